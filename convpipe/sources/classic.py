"""The named kernels of image processing, as filter banks.

They are applied as deep learning does, not flipped: sobel_x answers to values that grow from left to right.
Source: Gonzalez & Woods, Digital Image Processing; gaussian is the binomial approximation.
"""

from collections.abc import Callable, Sequence
from math import comb

import numpy as np

from convpipe.fields import choice, dtype_name, field, several, truth, whole
from convpipe.geometry.layouts import THREE_AXES
from convpipe.sources.kinds.bank import CHANNELS, EACH, SUM, bank_labels, bank_shape, laid_out
from convpipe.sources.kinds.drawn import signature as bank_signature
from convpipe.sources.kinds.source import ANY, Request, Source
from convpipe.tensors import FLOAT_DTYPES, Array, Signature, exact_range

Kernel = tuple[tuple[int, ...], ...]

FIXED: dict[str, Kernel] = {
    "sobel_x": ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1)),
    "sobel_y": ((-1, -2, -1), (0, 0, 0), (1, 2, 1)),
    "prewitt_x": ((-1, 0, 1), (-1, 0, 1), (-1, 0, 1)),
    "prewitt_y": ((-1, -1, -1), (0, 0, 0), (1, 1, 1)),
    "laplacian": ((0, 1, 0), (1, -4, 1), (0, 1, 0)),
    "sharpen": ((0, -1, 0), (-1, 5, -1), (0, -1, 0)),
    "emboss": ((-2, -1, 0), (-1, 1, 1), (0, 1, 2)),
}
FIXED_SIZE = 3
LARGEST = 255  # a gaussian's weights grow as 4**size


def gaussian(size: int) -> Kernel:
    """Binomial weights, the outer product of one row of Pascal's triangle.

    >>> gaussian(3)
    ((1, 2, 1), (2, 4, 2), (1, 2, 1))
    """
    row = [comb(size - 1, place) for place in range(size)]
    return tuple(tuple(down * across for across in row) for down in row)


def box(size: int) -> Kernel:
    """Ones: the sum of a neighbourhood."""
    return ((1,) * size,) * size


def identity(size: int) -> Kernel:
    """A one in the middle of zeros: the image itself."""
    middle = size // 2
    return tuple(tuple(int(row == column == middle) for column in range(size)) for row in range(size))


SIZED: dict[str, Callable[[int], Kernel]] = {"gaussian": gaussian, "box": box, "identity": identity}
SMOOTHING = ("gaussian", "box")  # those that `normalize` divides by their sum
NAMES = (*FIXED, *SIZED)
SIZE = "3; another odd size only for a bank of gaussian, box and identity alone."


class Classic(Source):
    """A bank of named kernels: each on every input channel by itself, or on the sum of the channels."""

    roles = ("filters",)

    names: tuple[str, ...] = field(several(choice(NAMES)), says="One or several of the kernels by name.")
    channels: str = field(choice([EACH, SUM]), EACH, CHANNELS)
    kernel: int = field(whole(1, LARGEST), FIXED_SIZE, SIZE)
    dtype: str = field(dtype_name, "int16", "Any dtype that holds the weights exactly.")
    normalize: bool = field(truth, False, "true divides gaussian and box by their sum, and needs a float dtype.")

    def __post_init__(self) -> None:
        if self.kernel % 2 == 0:
            raise self.wrong("kernel", self.kernel, "an odd whole number, so that the kernel has a middle")
        fixed = [name for name in self.names if name in FIXED]
        if fixed and self.kernel != FIXED_SIZE:
            raise self.wrong("kernel", self.kernel, f"{FIXED_SIZE}, the only size of {fixed[0]}")
        if self.normalize and self.dtype not in FLOAT_DTYPES:
            raise self.wrong("dtype", self.dtype, f"one of {', '.join(FLOAT_DTYPES)}, to normalize")
        for name in self.names:
            self.weights(name)

    def unread(self) -> tuple[str, ...]:
        """Whether to normalize, where no kernel smooths."""
        return () if set(self.names).intersection(SMOOTHING) else ("normalize",)

    def signature(self, request: Request = ANY) -> Signature:
        """(F, C/G, k, k): F is names * C for ``each``, names * G for ``sum``.

        Raises:
            ConfigError: an input that has not two spatial axes.
        """
        _, _, *spatial = request.shape or (None, None)
        if len(spatial) != 2:
            expected = "another source: these kernels are H x W"
            hint = f"not {len(spatial)}-D" + (f"; {THREE_AXES}" if len(spatial) == 1 else "")
            raise self.wrong("source", "classic", expected, hint)
        shape = bank_shape(request, len(self.names), (self.kernel, self.kernel), self.channels)
        return bank_signature(self.key("names"), shape, self.dtype)

    def labels(self, signature: Signature, channels: Sequence[str] = ()) -> tuple[str, ...]:
        """Each kernel's name, with that of its channel, or the number of its group, where there are several."""
        return bank_labels(self.names, signature.shape[1], self.channels, channels)

    def make(self, signature: Signature, bits: np.random.PCG64, entry: str = "") -> Array:
        """Lay the kernels out."""
        return laid_out(np.stack([self.weights(name) for name in self.names]), signature.shape, self.channels)

    def weights(self, name: str) -> Array:
        """One kernel (k, k) in the bank's dtype."""
        rows = FIXED[name] if name in FIXED else SIZED[name](self.kernel)
        dtype = np.dtype(self.dtype)
        if self.normalize and name in SMOOTHING:
            total = sum(map(sum, rows))
            return np.array([[weight / total for weight in row] for row in rows], dtype)
        low, high = exact_range(dtype)
        if not all(low <= weight <= high for row in rows for weight in row):
            raise self.wrong("dtype", self.dtype, f"a dtype that holds every weight of {name} exactly")
        return np.array(rows, dtype)
