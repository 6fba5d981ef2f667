"""`python -m RobustDIRLib` is the command `robustdir`."""

import sys

from RobustDIRLib.cli import main

if __name__ == "__main__":
    sys.exit(main())
