"""`python -m fingerpost`: the program."""

import sys

from .binary import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
