"""`python -m hetao.cli`."""

import sys

from hetao.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
