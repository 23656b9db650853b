"""``python -m convpipe``, and the console script."""

from __future__ import annotations

import sys

from convpipe.cli import main


def run() -> None:
    """Run the command line and exit with its code."""
    sys.exit(main())


if __name__ == "__main__":
    run()
