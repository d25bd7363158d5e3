"""The signals that ask the daemon to stop.

Process 1 of a container gets no default actions: a signal without a handler is lost, and
``docker stop`` would wait in vain and then kill, which leaves services in the kernel.
"""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""``docker stop``, Ctrl-C, and the terminal of ``docker run -it`` being closed."""


def _leave(_number: int, _frame: object) -> NoReturn:
    sys.exit(0)


def heed_while_starting() -> None:
    """Leave at once when asked to stop before anything is registered."""
    for number in STOPPING:
        signal.signal(number, _leave)
