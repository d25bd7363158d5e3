"""``python -m labwright`` is ``labwright``."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line; return its exit status, also where importing it is interrupted."""
    try:
        from labwright.cli import main as command_line
    except KeyboardInterrupt:
        print("\nlabwright: interrupted", file=sys.stderr)  # noqa: T201
        return 130
    return command_line()


if __name__ == "__main__":
    sys.exit(main())
