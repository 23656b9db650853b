"""Other machines that run the points of a sweep: a file for each kind, whose ``cluster(address)`` gives their pool."""

import socket
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from pkgutil import iter_modules
from urllib.parse import urlsplit

from convpipe.errors import ConfigError, StorageError, shown
from convpipe.fields import choice
from convpipe.sweeps.executors import Pool

CONNECT_SECONDS = 10


def named(kind: str | None) -> Callable[[str | None], AbstractContextManager[Pool]]:
    """What connects to a cluster of that kind; its package is imported only then.

    Raises:
        ConfigError: there is no such kind.
    """
    choice([found.name for found in iter_modules(__path__)])("cluster.kind", kind)
    cluster: Callable[[str | None], AbstractContextManager[Pool]] = import_module(f"{__name__}.{kind}").cluster
    return cluster


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
