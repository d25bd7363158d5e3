"""``python -m labwright`` is ``labwright``."""

from __future__ import annotations

import sys

UNWRITTEN = 2
"""Some of the output could not be written."""
INTERRUPTED = 130
"""128 + SIGINT, as in shells."""


def main() -> int:
    """Run the command line; return its exit status, also after an interruption."""
    try:
        # Imported here, so that Ctrl-C during the slow import is handled, too.
        from labwright.host.output import CLOSED, lasting, lost

        with lasting() as (output, _):
            from labwright.cli import main as command_line

            try:
                status = command_line()
            except SystemExit as end:  # argparse's: --help, or wrong usage
                status = end.code if isinstance(end.code, int) else int(end.code is not None)
            output.flush()
            if lost(output):
                print(f"labwright: {lost(output)}", file=sys.stderr)  # noqa: T201
            full = output.problem is not None and output.problem.errno not in CLOSED
        return UNWRITTEN if full else status
    except KeyboardInterrupt:
        print("\nlabwright: interrupted", file=sys.stderr)  # noqa: T201
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
