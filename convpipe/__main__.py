"""``python -m convpipe``, and the console script; it imports nothing but what Python has at hand."""

import os
import sys

# New objects between two searches for cycles among them; Python's 700 cost a tenth of the start, for nothing.
GARBAGE_THRESHOLD = 200_000
NEEDED_BYTES = 50 << 20  # with less, imports end in crashes: measured with RLIMIT_DATA and RLIMIT_AS
ENOMEM = 12  # as importing errno takes memory, too


def run() -> None:
    """Run the command line and exit with its code."""
    try:
        run_to_its_end()
    except KeyboardInterrupt:  # before there is a handler, or once more while a first one is being told
        os.write(2, b"convpipe: interrupted\n")
        os._exit(130)
    except (MemoryError, OSError) as error:  # before there is anybody to say it better
        what = "out of memory" if isinstance(error, MemoryError) or error.errno == ENOMEM else error
        os.write(2, f"convpipe: {what}\n".encode())
        os._exit(4)


def run_to_its_end() -> None:
    """The same, where no signal comes in the first few milliseconds."""
    fill_streams()
    from convpipe.cli.early import end_on_signals, end_well_on_signals, pass_over_signals

    end_on_signals()  # first, as the imports take most of the start
    read_paths_as_utf8()
    try_memory()
    from convpipe.cli.streams import may_fail

    may_fail()
    import atexit
    import gc
    from contextlib import suppress

    atexit.register(pass_over_signals)  # it is called after all that are registered later

    gc.set_threshold(GARBAGE_THRESHOLD)
    # or OpenBLAS, when NumPy loads it, starts a thread for each core, and these spin for 50 ms; `threads` sets its own
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from convpipe.cli.main import main

    code = main()
    end_well_on_signals(code)
    if code:  # everything is cleared away, but threads of a cluster's client may wait for what will never come
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    gc.freeze()  # or Python looks for cycles among all that there is, twice, before it ends
    sys.exit(code)


def fill_streams() -> None:
    """Give a process that was started with closed streams such that lead nowhere, before a file takes their place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def try_memory() -> None:
    """Find out whether there is what NumPy's import takes: OpenBLAS itself would end the process, with its own words.

    Raises:
        MemoryError, OSError: there is not.
    """
    import mmap

    if hasattr(mmap, "MAP_PRIVATE"):
        mmap.mmap(-1, NEEDED_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()


def read_paths_as_utf8() -> None:
    """Start anew in Python's UTF-8 mode where the locale knows no letters but ASCII's, as no other path can be opened.

    Python itself does so in the C locale, unless PYTHONUTF8=0 and PYTHONCOERCECLOCALE=0 forbid it.
    """
    if sys.getfilesystemencoding() == "ascii" and hasattr(os, "execv"):
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


if __name__ == "__main__":
    run()
