"""What all tests take for granted."""

from __future__ import annotations

import signal

# A shell starts what it puts in the background with SIGINT ignored, and all that is started
# from there inherits it: tests that interrupt a process would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
