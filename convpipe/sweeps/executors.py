"""What runs the batches of a sweep: this process, or several of this machine; `clusters` has other machines.

All are executors in the sense of `concurrent.futures`, so one loop serves them all.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from convpipe.errors import StorageError
from convpipe.execution import provenance
from convpipe.sweeps.interrupts import uninterrupted
from convpipe.sweeps.outcomes import GOES_ON


@dataclass(frozen=True)
class Pool:
    """What runs batches: so many at once, and looked after now and then while none comes back."""

    executor: Executor
    workers: int
    check: Callable[[], None] = lambda: None  # of this machine's processes the executor says when one is lost


class Here(Executor):
    """Runs what is submitted at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """The finished future of a call; interrupts pass through."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - a future carries any error to whoever asks for its result
            future.set_exception(error)
        return future


@contextmanager
def processes(workers: int, begin: Callable[..., object] = lambda: None, *given: Any) -> Iterator[Pool]:
    """Processes of this machine. At the end, whatever end, none is left.

    Args:
        begin: what each calls first, and what it is given then.

    Raises:
        StorageError: the system killed one of them, for want of memory most likely.
    """
    # a forked worker starts in milliseconds, with all modules loaded; elsewhere than on Linux it is not safe
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    provenance.machine()  # or each would find out for itself
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=obey_parent, initargs=(begin, *given))
    try:
        with uninterrupted():  # a signal that comes meanwhile waits, so that it finds every worker ready for it
            pool.submit(os.getpid)  # starts them
        yield Pool(pool, workers)
    except BrokenProcessPool as error:
        raise StorageError(f"a worker process was killed (for want of memory?); {GOES_ON}") from error
    except BaseException:
        for child in set(multiprocessing.active_children()) - before:
            child.kill()  # at once: what it had under way stays hidden and is cleared later
            child.join(1)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def obey_parent(begin: Callable[..., object], *given: Any) -> None:
    """Set up a worker: its parent alone decides what a signal means, and it does not outlive its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of the terminal
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=end_with_parent, daemon=True).start()
    begin(*given)


def end_with_parent() -> None:
    """End this process at once when its parent has gone, killed perhaps: nobody would take its results."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
