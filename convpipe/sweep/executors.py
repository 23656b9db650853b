"""Where the batches of a sweep run: here, in processes of this machine, or on a Dask or Ray cluster.

All but the first are executors in the sense of `concurrent.futures`, so one loop serves them all.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

from convpipe.errors import ConfigError, StorageError

CONNECT_SECONDS = 10


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


class RayExecutor(Executor):
    """Ray tasks as futures; Ray runs a lost worker's tasks again by itself."""

    def __init__(self, ray: Any) -> None:
        self.ray = ray

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """A future for a remote call."""
        task = self.ray.remote(fn).options(max_retries=-1)
        future: Future[Any] = task.remote(*args, **kwargs).future()
        return future


@contextmanager
def here() -> Iterator[tuple[Executor, int]]:
    """No other process at all."""
    yield Here(), 1


@contextmanager
def processes(workers: int) -> Iterator[tuple[Executor, int]]:
    """Processes of this machine. At the end, whatever end, none is left."""
    # a forked worker starts in milliseconds, with all modules loaded; elsewhere than on Linux it is not safe
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=leave_signals_to_parent)
    try:
        yield pool, workers
    except BaseException:
        stop_children(before)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def leave_signals_to_parent() -> None:
    """Ctrl-C reaches every process of the terminal; the parent alone decides what follows."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def stop_children(before: set[Any]) -> None:
    """End the processes started since, at once: what they had under way stays hidden and is cleared later."""
    children = [child for child in multiprocessing.active_children() if child not in before]
    for child in children:
        child.kill()
    for child in children:
        child.join(1)


@contextmanager
def dask_cluster(address: str | None) -> Iterator[tuple[Executor, int]]:
    """An existing Dask cluster, by its scheduler's address."""
    try:
        from distributed import Client
    except ImportError as error:
        raise ConfigError("cluster.kind", "dask", "the package dask", "pip install 'convpipe[dask]'") from error
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise StorageError(f"cluster.address: no Dask scheduler answers at {address}: {error}") from error
    with client:
        threads = sum(worker["nthreads"] for worker in client.scheduler_info(n_workers=-1)["workers"].values())
        yield client.get_executor(pure=False, retries=10), max(threads, 1)


@contextmanager
def ray_cluster(address: str | None) -> Iterator[tuple[Executor, int]]:
    """An existing Ray cluster, or, without an address, one on this machine."""
    try:
        import ray
    except ImportError as error:
        raise ConfigError("cluster.kind", "ray", "the package ray", "pip install 'convpipe[ray]'") from error
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise StorageError(f"cluster.address: no Ray cluster at {address}: {error}") from error
    try:
        yield RayExecutor(ray), max(int(ray.cluster_resources().get("CPU", 1)), 1)
    finally:
        ray.shutdown()
