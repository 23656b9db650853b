"""Points on a Ray cluster."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Any

from convpipe.errors import ConfigError, ConvpipeError, StorageError, shown
from convpipe.sweeps.clusters import check_answers
from convpipe.sweeps.executors import Pool
from convpipe.sweeps.outcomes import GOES_ON

END_SECONDS = 1.0  # for batches that run when a sweep is stopped, of the two in which it has to end


class RayExecutor(Executor):
    """Ray tasks as futures; Ray runs a lost worker's tasks again by itself."""

    def __init__(self, ray: Any) -> None:
        self.ray, self.under_way = ray, set[Any]()
        self.remote = cache(lambda fn: ray.remote(fn).options(max_retries=-1))

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """A future for a remote call."""
        remote = self.remote(fn).remote(*args, **kwargs)
        self.under_way.add(remote)
        future: Future[Any] = remote.future()
        future.add_done_callback(lambda future: self.under_way.discard(remote))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take back what has not started and stop what has, so that nothing is made after the tables."""
        started = list(self.under_way)
        for remote in started:
            self.ray.cancel(remote)
        if started:
            self.ray.wait(started, num_returns=len(started), timeout=END_SECONDS)


@contextmanager
def cluster(address: str | None) -> Iterator[Pool]:
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
    if str(address).startswith("ray://") and find_spec("grpc") is None:  # which Ray's client needs beside it
        hint = "pip install 'convpipe[ray]'"
        raise ConfigError("cluster.address", address, "the package ray with its client, for ray://", hint)
    if address not in (None, "auto", "local"):
        check_answers("Ray cluster", str(address), ("", "ray"))
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        token = "" if address is None else " (where it asks for a token: RAY_AUTH_MODE=token in the environment)"
        raise StorageError(f"cluster.address: no Ray cluster at {address}: {shown(error)}{token}") from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)  # Ray sets its own
    try:
        with RayExecutor(ray) as executor:
            yield Pool(executor, max(int(ray.cluster_resources().get("CPU", 1)), 1))
    except RayTaskError as error:
        raise own_error(error.cause) from error
    except RayError as error:
        raise StorageError(f"the Ray cluster was lost: {shown(error)}; {GOES_ON}") from error
    finally:
        ray.shutdown()


def own_error(error: Exception) -> ConvpipeError:
    """What a remote batch raised, without Ray's traceback."""
    return error if isinstance(error, ConvpipeError) else StorageError(f"{type(error).__name__}: {error}")
