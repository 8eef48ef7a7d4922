"""`python -m torchmoji` is the command `torchmoji`."""

import sys

from torchmoji.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
