"""``python -m convpipe``, and the console script."""

import gc
import os
import sys
from contextlib import suppress

from convpipe.cli.main import main

# New objects between two searches for cycles among them; Python's 700 cost a tenth of the start, for nothing.
GARBAGE_THRESHOLD = 50_000


def run() -> None:
    """Run the command line and exit with its code."""
    gc.set_threshold(GARBAGE_THRESHOLD)
    code = main()
    if code:  # everything is cleared away, but threads of a cluster's client may wait for what will never come
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    run()
