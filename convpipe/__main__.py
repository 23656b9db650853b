"""``python -m convpipe``, and the console script."""

import gc
import os
import sys
from contextlib import suppress

from convpipe.cli.main import main

# New objects between two searches for cycles among them; Python's 700 cost a tenth of the start, for nothing.
GARBAGE_THRESHOLD = 200_000


def run() -> None:
    """Run the command line and exit with its code."""
    gc.set_threshold(GARBAGE_THRESHOLD)
    fill_streams()
    # or OpenBLAS, when NumPy loads it, starts a thread for each core, and these spin for 50 ms; `threads` sets its own
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    code = main()
    if code:  # everything is cleared away, but threads of a cluster's client may wait for what will never come
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    gc.freeze()  # or Python looks for cycles among all that there is, twice, before it ends
    sys.exit(code)


def fill_streams() -> None:
    """Give a process that was started with closed streams such that lead nowhere, before a file takes their place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


if __name__ == "__main__":
    run()
