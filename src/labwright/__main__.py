"""``python -m labwright`` is ``labwright``."""

from __future__ import annotations

import sys

INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""


def main() -> int:
    """Run the command line; return its exit status, also of one that is interrupted."""
    try:
        # Here, since importing takes long enough to be interrupted.
        from labwright.cli import main as command_line

        return command_line()
    except KeyboardInterrupt:
        print("\nlabwright: interrupted", file=sys.stderr)  # noqa: T201
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
