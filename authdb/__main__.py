"""``python -m authdb``: the command line."""

import sys

from authdb.cli import main

if __name__ == "__main__":
    sys.exit(main())
