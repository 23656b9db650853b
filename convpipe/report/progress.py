"""A progress bar for what takes over a second, and nothing at all for what does not."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from convpipe.report.console import console, is_plain

DELAY_SECONDS = 1.0


@contextmanager
def progress(total: int, what: str, delay: float = DELAY_SECONDS) -> Iterator[Callable[[str], None]]:
    """Count things as they are done; the bar appears on a terminal's standard error after a second.

    Gives a function to call with the name of each thing that is done.
    """
    if is_plain(sys.stderr):
        yield lambda name: None
        return
    # imported here, as a run in a pipe does without these 17 ms
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=console(sys.stderr), transient=True)
    task = bar.add_task(what, total=total)
    timer = threading.Timer(delay, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda name: bar.update(task, advance=1, description=f"{what}: {name} done")
    finally:
        timer.cancel()
        timer.join()
        bar.stop()
