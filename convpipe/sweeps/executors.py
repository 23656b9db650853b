"""What runs the batches of a sweep: this process, or several of this machine; `clusters` has other machines.

All are executors in the sense of `concurrent.futures`, so one loop serves them all.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any

from convpipe.errors import StorageError, of_the_system
from convpipe.execution import provenance
from convpipe.sweeps.interrupts import ENDING, uninterrupted
from convpipe.sweeps.outcomes import GOES_ON


@dataclass(frozen=True)
class Pool:
    """What runs batches: so many at once, and looked after now and then while none comes back."""

    executor: Executor
    workers: int
    check: Callable[[], None] = lambda: None


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
    with errors_of_threads() as errors:
        try:
            with uninterrupted():  # a signal that comes meanwhile waits, so that it finds every worker ready for it
                pool.submit(os.getpid)  # starts them
            started = set(multiprocessing.active_children()) - before
            yield Pool(pool, workers, lambda: check_alive(started, errors))
        except BrokenProcessPool as error:
            kill(pool, set(multiprocessing.active_children()) - before)
            raise StorageError(f"a worker process was killed (for want of memory?); {GOES_ON}") from error
        except BaseException:
            kill(pool, set(multiprocessing.active_children()) - before)
            raise
        finally:
            with suppress(RuntimeError):  # of a thread that could not be started
                pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def errors_of_threads() -> Iterator[list[BaseException]]:
    """What ends threads meanwhile, which else is printed and known to nobody; of a pool's nothing would come then."""
    errors: list[BaseException] = []

    def noted(ended: threading.ExceptHookArgs) -> None:
        errors.extend([ended.exc_value] if ended.exc_value is not None else [])

    before, threading.excepthook = threading.excepthook, noted
    try:
        yield errors
    finally:
        threading.excepthook = before


def kill(pool: ProcessPoolExecutor, children: Iterable[BaseProcess]) -> None:
    """End the workers at once: what they had under way stays hidden and is cleared later.

    One may die while it says what came of its runs. The pool's thread would wait for the rest of that forever, as this
    process could write to that pipe as well: it is closed here, so that the pipe ends with the last worker.
    """
    for child in children:
        child.kill()
        child.join(1)
    results = pool._result_queue
    if results is not None:
        results._writer.close()  # type: ignore[attr-defined]


def check_alive(children: Iterable[BaseProcess], errors: Sequence[BaseException] = ()) -> None:
    """All workers live, though the pool's thread may be waiting for the rest of what one was saying when it died.

    Args:
        errors: what has ended threads, the pool's own perhaps.

    Raises:
        BrokenProcessPool: one does not.
        StorageError: the pool's thread does not.
    """
    if errors:
        raise of_the_system(errors[0]) or errors[0]
    if not all(child.is_alive() for child in children):
        raise BrokenProcessPool("a worker is gone")


def obey_parent(begin: Callable[..., object], *given: Any) -> None:
    """Set up a worker: its parent alone decides what a signal means, and it does not outlive its parent."""
    for number in ENDING:  # Ctrl-C, and a terminal that is closed, reach every process of it
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()
    begin(*given)


def end_with_parent() -> None:
    """End this process at once when its parent has gone, killed perhaps: nobody would take its results."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
