"""Random bits: one stream for each name, and arrays filled from it piece by piece."""

from collections.abc import Callable, Iterator

import numpy as np

from convpipe.fields import whole
from convpipe.tensors import Array, Signature

SEED = whole(0)  # a check takes six times as long to make as to use
CHUNK = 1 << 16  # values; 7 ns each, as with 2**18, against 13 with 2**20 and 20 with 2**14 (Xeon, NumPy 2.4)


def stream(seed: int, name: str) -> np.random.PCG64:
    """The random bits that belong to one name under one seed, whatever other names there are.

    Raises:
        ConfigError: a seed that is not a whole number from 0.

    >>> int(stream(0, "input").random_raw()) == int(stream(0, "input").random_raw())
    True
    """
    SEED("seed", seed)
    # the bytes of the name, not hash(): Python salts that anew in every process
    return np.random.PCG64(np.random.SeedSequence(seed, spawn_key=tuple(name.encode())))


def chunks(size: int) -> Iterator[slice]:
    """Slices that together cover `size` values.

    >>> [part.stop - part.start for part in chunks(70_000)]
    [65536, 4464]
    """
    for start in range(0, size, CHUNK):
        yield slice(start, min(start + CHUNK, size))


def filled(signature: Signature, draw: Callable[[int], Array]) -> Array:
    """An array of ``draw(how_many)`` values in C order, made in pieces so that memory stays near one array."""
    array = np.empty(signature.shape, signature.dtype)
    flat = array.reshape(-1)
    for part in chunks(flat.size):
        flat[part] = draw(part.stop - part.start)
    return array
