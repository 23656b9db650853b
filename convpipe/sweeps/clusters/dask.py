"""Points on an existing Dask cluster."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from functools import partial
from threading import Thread
from time import perf_counter
from typing import Any

from convpipe.errors import ConfigError, StorageError, shown
from convpipe.sweeps.batches import ONE_AT_A_TIME, STOPPED, Batch
from convpipe.sweeps.clusters import CONNECT_SECONDS, check_answers
from convpipe.sweeps.executors import Pool
from convpipe.sweeps.outcomes import GOES_ON

LOST_SECONDS = 30  # without any worker
END_SECONDS = 1.0  # for batches that run when a sweep is stopped, of the two in which it has to end
LOOK_SECONDS = 0.05


class DaskExecutor(Executor):
    """Dask tasks as futures; a lost worker's tasks are run again by Dask itself, while there are workers.

    Dask's own executor leaves a future waiting for ever whose result was lost on its way.
    """

    def __init__(self, client: Any, address: str | None) -> None:
        self.client, self.address = client, address
        self.under_way: set[Any] = set()
        self.sweeps: set[str] = set()  # of batches, as they know themselves
        self.missed_since: float | None = None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """A future for a remote call."""
        future: Future[Any] = Future()
        self.sweeps.update(each.sweep for each in args if isinstance(each, Batch))
        remote = self.client.submit(fn, *args, **kwargs, pure=False)
        self.under_way.add(remote)
        remote.add_done_callback(partial(self.hand_over, future))
        return future

    def hand_over(self, future: Future[Any], remote: Any) -> None:
        """Give a remote result, or what became of it, to whoever waits for it; runs in a thread of Dask's."""
        self.under_way.discard(remote)
        try:
            future.set_result(remote.result())
        except BaseException as error:  # noqa: BLE001 - being cancelled included
            future.set_exception(error)

    def check(self) -> None:
        """Take note of the workers there are: without any the scheduler would wait for ever.

        Raises:
            StorageError: there has been none for a while.
        """
        if self.client.scheduler_info(n_workers=-1)["workers"]:
            self.missed_since = None
            return
        self.missed_since = self.missed_since or perf_counter()
        if perf_counter() - self.missed_since > LOST_SECONDS:
            raise StorageError(f"the Dask cluster at {self.address} has lost all its workers; {GOES_ON}")

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take back what has not started, and stop what has behind its next point: then the tables have it, too."""
        started = list(self.under_way)
        if not started:
            return
        self.client.cancel(started)
        # in a thread, as a worker that has gone would hold it up for half a minute
        waiting = Thread(target=self.wait_for_workers, daemon=True)
        waiting.start()
        waiting.join(END_SECONDS)

    def wait_for_workers(self) -> None:
        """Stop the sweep's batches on all workers, and wait until none runs, for a while."""
        with suppress(Exception):  # the client may be closed meanwhile
            self.client.run(until_idle, self.sweeps, END_SECONDS - 2 * LOOK_SECONDS, on_error="ignore")


async def until_idle(sweeps: Collection[str], seconds: float) -> None:
    """Have no more points run of some sweeps in a worker's process, and wait until none runs, for so long at most."""
    STOPPED.update(sweeps)
    end = perf_counter() + seconds
    while ONE_AT_A_TIME.locked() and perf_counter() < end:
        await asyncio.sleep(LOOK_SECONDS)


@contextmanager
def cluster(address: str | None) -> Iterator[Pool]:
    """An existing Dask cluster, by its scheduler's address.

    Raises:
        ConfigError: the package is missing, or it is not an address.
        StorageError: nobody answers there, or the cluster was lost.
    """
    try:
        from distributed import CancelledError, Client
        from distributed.comm import CommClosedError
        from distributed.scheduler import KilledWorker
    except ImportError as error:
        raise ConfigError("cluster.kind", "dask", "the package dask", "pip install 'convpipe[dask]'") from error
    for name in ("distributed", "distributed.client", "distributed.gc", "tornado.application", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters to a sweep comes as an error
    check_answers("Dask scheduler", address or "", ("tcp", "tls", "ws", "wss", "ucx"))
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise StorageError(f"cluster.address: no Dask scheduler answers at {address}: {shown(error)}") from error
    with client, DaskExecutor(client, address) as executor:
        try:
            yield Pool(executor, worker_count(client, address), executor.check)
        except (KilledWorker, CancelledError, CommClosedError) as error:
            raise StorageError(f"the Dask cluster at {address} was lost: {shown(error)}; {GOES_ON}") from error


def worker_count(client: Any, address: str | None) -> int:
    """How many worker processes there are, each of which runs one batch at a time.

    Raises:
        StorageError: none has come within a while.
    """
    try:
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except TimeoutError as error:
        raise StorageError(f"cluster.address: the Dask scheduler at {address} has no workers") from error
    return len(client.scheduler_info(n_workers=-1)["workers"])
