"""``python -m labwright`` is ``labwright``."""

import sys

from labwright.cli import main

if __name__ == "__main__":
    sys.exit(main())
