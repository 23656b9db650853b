"""How many threads BLAS has: a setting of the whole process, which runs in several Python threads share."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, get_ident
from typing import Any

from convpipe.execution.provenance import thread_pools


class SharedLimit:
    """A limit on BLAS's threads that lasts from the first who asks for it to the last who needs it no more.

    Each putting back what it found would not do: the second finds the first's limit, and may put it back last.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start anew, as a forked process does: the threads that may hold the limit are not in it."""
        self.changed = Condition()
        self.holders: list[int] = []  # Python's threads, each as often as it holds it
        self.threads = 0
        self.limiter: Any = None

    def take(self, threads: int) -> None:
        """Set the limit, or share it; who wants another one waits, as the number of threads moves floats' last bits."""
        me = get_ident()
        with self.changed:
            self.changed.wait_for(lambda: not self.holders or threads == self.threads or me in self.holders)
            if not self.holders:
                let_any_thread_set()
                self.limiter, self.threads = thread_pools().limit(limits=threads, user_api="blas"), threads
            self.holders.append(me)

    def give_back(self) -> None:
        """Need the limit no more; the last of all puts back what was."""
        with self.changed:
            self.holders.remove(get_ident())
            if not self.holders:
                let_any_thread_set()
                self.limiter.restore_original_limits()
                let_any_thread_set()
                self.changed.notify_all()


def let_any_thread_set() -> None:
    """Take OpenBLAS from the thread that set it last: threadpoolctl passes over what others set.

    The result would then be of another number of threads than its archive says.
    """
    import threadpoolctl

    clear = getattr(getattr(threadpoolctl, "OpenBLASController", None), "clear_controlling_thread", None)
    if clear is not None:
        clear(force=True)


LIMIT = SharedLimit()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=LIMIT.forget)


@contextmanager
def blas_threads(threads: int) -> Iterator[None]:
    """Limit BLAS to that many threads, from now to the end of the block."""
    LIMIT.take(threads)
    try:
        yield
    finally:
        LIMIT.give_back()
