"""What all tests take for granted."""

from __future__ import annotations

import gc
import signal

from hypothesis import settings

# A shell starts what it puts in the background with SIGINT ignored, and all that is started
# from there inherits it: tests that interrupt a process would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine must not fail a property, and what failed once must fail again.
settings.register_profile("labwright", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("labwright")


def pytest_collection_finish() -> None:
    """Keep what was imported out of garbage collection.

    A run of pytest inside a test ends with five collections, and each would look at all of it.
    """
    gc.collect()
    gc.freeze()
