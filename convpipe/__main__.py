"""``python -m convpipe``, and the console script."""

from __future__ import annotations

import gc
import sys

from convpipe.cli import main

# New objects between two searches for cycles among them; Python's 700 cost a tenth of the start, for nothing.
GARBAGE_THRESHOLD = 50_000


def run() -> None:
    """Run the command line and exit with its code."""
    gc.set_threshold(GARBAGE_THRESHOLD)
    sys.exit(main())


if __name__ == "__main__":
    run()
