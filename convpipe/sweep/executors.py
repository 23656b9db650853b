"""Where the batches of a sweep run: here, in processes of this machine, or on a Dask or Ray cluster.

All are executors in the sense of `concurrent.futures`, so one loop serves them all.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from convpipe import provenance
from convpipe.errors import ConfigError, ConvpipeError, StorageError, shown
from convpipe.sweep.interrupts import ENDING, GOES_ON

CONNECT_SECONDS = 10
DASK_SCHEMES = ("tcp", "tls", "ws", "wss", "ucx")
RAY_SCHEMES = ("", "ray")
RAY_WORDS = (None, "auto", "local")  # in place of an address
LOST_SECONDS = 30  # without any worker


def nothing_to_check() -> None:
    """Of processes of this machine the executor itself says when one is lost."""


@dataclass(frozen=True)
class Pool:
    """What runs batches: so many at once, and looked after now and then while none comes back."""

    executor: Executor
    workers: int
    check: Callable[[], None] = nothing_to_check


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
def here() -> Iterator[Pool]:
    """No other process at all."""
    yield Pool(Here(), 1)


# Processes of this machine


@contextmanager
def processes(workers: int) -> Iterator[Pool]:
    """Processes of this machine. At the end, whatever end, none is left.

    Raises:
        StorageError: the system killed one of them, for want of memory most likely.
    """
    # a forked worker starts in milliseconds, with all modules loaded; elsewhere than on Linux it is not safe
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    provenance.machine()  # or each would find out for itself
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=obey_parent)
    try:
        start(pool)
        yield Pool(pool, workers)
    except BrokenProcessPool as error:
        raise StorageError(f"a worker process was killed (for want of memory?); {GOES_ON}") from error
    except BaseException:
        stop_children(before)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def start(pool: ProcessPoolExecutor) -> None:
    """Start the workers; a signal that comes meanwhile waits, so that it finds every worker ready for it."""
    if not hasattr(signal, "pthread_sigmask"):
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        pool.submit(os.getpid)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def obey_parent() -> None:
    """Set up a worker: its parent alone decides what a signal means, and it does not outlive its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of the terminal
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    """End this process at once when its parent has gone, killed perhaps: nobody would take its results."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def stop_children(before: set[Any]) -> None:
    """End the processes started since, at once: what they had under way stays hidden and is cleared later."""
    children = [child for child in multiprocessing.active_children() if child not in before]
    for child in children:
        child.kill()
    for child in children:
        child.join(1)


# Clusters


class DaskExecutor(Executor):
    """Dask tasks as futures; a lost worker's tasks are run again by Dask itself.

    Dask's own executor leaves a future waiting for ever whose result was lost on its way.
    """

    def __init__(self, client: Any) -> None:
        self.client = client
        self.under_way: set[Any] = set()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """A future for a remote call."""
        future: Future[Any] = Future()
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

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take back what has not started."""
        self.client.cancel(list(self.under_way), reason="the sweep has ended")


@contextmanager
def dask_cluster(address: str | None) -> Iterator[Pool]:
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
    check_answers("Dask scheduler", address or "", DASK_SCHEMES)
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise StorageError(f"cluster.address: no Dask scheduler answers at {address}: {shown(error)}") from error
    with client:
        workers, executor = dask_workers(client, address), DaskExecutor(client)
        try:
            yield Pool(executor, workers, DaskWatch(client, address).check)
        except (KilledWorker, CancelledError, CommClosedError) as error:
            raise StorageError(f"the Dask cluster at {address} was lost: {shown(error)}; {GOES_ON}") from error
        finally:
            executor.shutdown()


def check_answers(what: str, address: str, schemes: Sequence[str]) -> None:
    """Somebody listens at an address; the clients themselves find out in 20 s (Dask's) to two minutes (Ray's).

    Raises:
        ConfigError: it is not an address.
        StorageError: nobody answers there.
    """
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not (host and port and parts.scheme in schemes):
        example = " or ".join(f"{scheme}://HOST:PORT" if scheme else "HOST:PORT" for scheme in schemes[:2])
        raise ConfigError("cluster.address", address, f"the {what}'s address, {example}")
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except OSError as error:
        raise StorageError(f"cluster.address: no {what} answers at {address}: {shown(error)}") from error


def dask_workers(client: Any, address: str | None) -> int:
    """How many worker processes there are, each of which runs one batch at a time.

    Raises:
        StorageError: none has come within a while.
    """
    try:
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except TimeoutError as error:
        raise StorageError(f"cluster.address: the Dask scheduler at {address} has no workers") from error
    return len(client.scheduler_info(n_workers=-1)["workers"])


class DaskWatch:
    """Looks whether a Dask cluster still has workers: without any its scheduler would wait for ever."""

    def __init__(self, client: Any, address: str | None) -> None:
        self.client, self.address = client, address
        self.missed_since: float | None = None

    def check(self) -> None:
        """Take note of the workers there are.

        Raises:
            StorageError: there has been none for a while.
        """
        if self.client.scheduler_info(n_workers=-1)["workers"]:
            self.missed_since = None
            return
        now = perf_counter()
        self.missed_since = self.missed_since or now
        if now - self.missed_since > LOST_SECONDS:
            raise StorageError(f"the Dask cluster at {self.address} has lost all its workers; {GOES_ON}")


class RayExecutor(Executor):
    """Ray tasks as futures; Ray runs a lost worker's tasks again by itself."""

    def __init__(self, ray: Any) -> None:
        self.ray = ray
        self.remote = cache(lambda fn: ray.remote(fn).options(max_retries=-1))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """A future for a remote call."""
        future: Future[Any] = self.remote(fn).remote(*args, **kwargs).future()
        return future


@contextmanager
def ray_cluster(address: str | None) -> Iterator[Pool]:
    """An existing Ray cluster, or, without an address, one on this machine.

    Raises:
        ConfigError: the package is missing.
        StorageError: there is no such cluster, or it was lost.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers about every cluster
    try:
        import ray
        from ray.exceptions import RayError, RayTaskError
    except ImportError as error:
        raise ConfigError("cluster.kind", "ray", "the package ray", "pip install 'convpipe[ray]'") from error
    if address not in RAY_WORDS:
        check_answers("Ray cluster", str(address), RAY_SCHEMES)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise StorageError(f"cluster.address: no Ray cluster at {address}: {shown(error)}") from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)  # Ray sets its own
    try:
        yield Pool(RayExecutor(ray), max(int(ray.cluster_resources().get("CPU", 1)), 1))
    except RayTaskError as error:
        raise own_error(error.cause) from error
    except RayError as error:
        raise StorageError(f"the Ray cluster was lost: {shown(error)}; {GOES_ON}") from error
    finally:
        ray.shutdown()


def own_error(error: Exception) -> ConvpipeError:
    """What a remote batch raised, without Ray's traceback."""
    return error if isinstance(error, ConvpipeError) else StorageError(f"{type(error).__name__}: {error}")
