"""Where a network's weights come from: files that hold arrays by name, or random numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path

import numpy as np

from convpipe import fields
from convpipe.errors import ConfigError
from convpipe.fields import choice, dtype_name, field, optional, text, whole
from convpipe.files import npz, safetensors
from convpipe.sources.files import exactly
from convpipe.sources.integers import whole_numbers
from convpipe.sources.random import normal
from convpipe.sources.stream import filled
from convpipe.tensors import FLOAT_DTYPES, Array, Signature, Sizes, Wanted

SHIPPED = ("digits_small",)  # files inside the package
SHIPPED_FOLDER = Path(__file__).resolve().parent.parent / "weights"


@dataclass(frozen=True)
class NpzWeights:
    """Arrays of an .npz file, by their names in it."""

    source: str = field(choice(["npz"]))
    path: str = field(text)
    dtype: str | None = field(optional(dtype_name()), None)

    def signature(self, entry: str, shape: Wanted, key: str) -> Signature:
        """The array's own shape, which must be the wanted one; only its header is read."""
        header = npz.read_header(self.path, entry, "weights.path", key)
        check_shape(header.shape, shape, key)
        return Signature(header.shape, np.dtype(self.dtype) if self.dtype else header.dtype.newbyteorder("="))

    def make(self, entry: str, signature: Signature, bits: np.random.PCG64) -> Array:
        """Read the array; `bits` is not used. Floats may be rounded to a narrower float `dtype`."""
        return as_planned(npz.read_array(self.path, entry, "weights.path"), signature, self.path)


@dataclass(frozen=True)
class SafetensorsWeights:
    """Arrays of a .safetensors file, by their names in it."""

    source: str = field(choice(["safetensors"]))
    path: str = field(text)
    dtype: str | None = field(optional(dtype_name()), None)

    def signature(self, entry: str, shape: Wanted, key: str) -> Signature:
        """The array's own shape, which must be the wanted one; only the file's header is read."""
        header = safetensors.read_header(self.path, entry, "weights.path", key)
        check_shape(header.shape, shape, key)
        return Signature(header.shape, np.dtype(self.dtype) if self.dtype else header.dtype)

    def make(self, entry: str, signature: Signature, bits: np.random.PCG64) -> Array:
        """Read the array; `bits` is not used. Floats may be rounded to a narrower float `dtype`."""
        array = safetensors.read_array(self.path, entry, "weights.path", "weights.path")
        return as_planned(array, signature, self.path)


@dataclass(frozen=True)
class ShippedWeights:
    """Arrays of a file that comes with the package, trained by `convpipe.weights`."""

    source: str = field(choice(["shipped"]))
    name: str = field(choice(SHIPPED))
    dtype: str | None = field(optional(dtype_name()), None)

    def signature(self, entry: str, shape: Wanted, key: str) -> Signature:
        """The array's own shape, which must be the wanted one; only its header is read."""
        return self.file.signature(entry, shape, key)

    def make(self, entry: str, signature: Signature, bits: np.random.PCG64) -> Array:
        """Read the array; `bits` is not used. Floats may be rounded to a narrower float `dtype`."""
        return self.file.make(entry, signature, bits)

    @property
    def file(self) -> NpzWeights:
        """The file that the name stands for."""
        return NpzWeights("npz", str(SHIPPED_FOLDER / f"{self.name}.npz"), self.dtype)


@dataclass(frozen=True)
class RandomWeights:
    """Normal numbers with variance 2 / fan-in (He et al., 2015), where no trained weights are wanted."""

    source: str = field(choice(["random"]))
    dtype: str = field(dtype_name(FLOAT_DTYPES), "float32")

    def signature(self, entry: str, shape: Wanted, key: str) -> Signature:
        """The wanted shape, which must be known whole."""
        return Signature(whole_shape(shape, key), np.dtype(self.dtype))

    def make(self, entry: str, signature: Signature, bits: np.random.PCG64) -> Array:
        """Draw the array."""
        fan_in = prod(signature.shape[1:]) if len(signature.shape) > 2 else signature.shape[0]
        std = (2 / max(fan_in, 1)) ** 0.5
        return filled(signature, partial(normal, np.random.Generator(bits), 0.0, std, signature.dtype))


@dataclass(frozen=True)
class IntegerWeights:
    """Whole numbers from `low` to below `high`: results are exact, on every machine."""

    source: str = field(choice(["integers"]))
    dtype: str = field(dtype_name(), "float32")
    low: int = field(whole(), -2)
    high: int = field(whole(), 3)

    def __post_init__(self) -> None:
        kind = np.dtype(self.dtype)
        fields.fits("weights.low", self.low, kind)
        fields.fits("weights.high", self.high, kind)
        if self.low >= self.high:
            raise ConfigError("weights.high", self.high, f"a whole number above low, {self.low}")

    def signature(self, entry: str, shape: Wanted, key: str) -> Signature:
        """The wanted shape, which must be known whole."""
        return Signature(whole_shape(shape, key), np.dtype(self.dtype))

    def make(self, entry: str, signature: Signature, bits: np.random.PCG64) -> Array:
        """Draw the array."""
        return filled(signature, partial(whole_numbers, bits, self.low, self.high))


def check_shape(found: Sizes, wanted: Wanted, key: str) -> None:
    """An array's shape is the one its layer needs.

    Raises:
        ConfigError: naming the layer's key and both shapes.
    """
    fits = len(found) == len(wanted) and all(size in (None, have) for have, size in zip(found, wanted, strict=True))
    if not fits:
        expected = ", ".join("any" if size is None else str(size) for size in wanted)
        raise ConfigError(key, found, f"weights of the shape ({expected}{',' * (len(wanted) == 1)})")


def whole_shape(shape: Wanted, key: str) -> Sizes:
    """A shape none of whose sizes is left to a file.

    Raises:
        ConfigError: one is.
    """
    if any(size is None for size in shape):
        expected = ", ".join("?" if size is None else str(size) for size in shape)
        raise ConfigError(key, f"({expected})", "a layer that states its sizes (filters and kernel, or units)")
    return tuple(size for size in shape if size is not None)


def as_planned(array: Array, signature: Signature, path: str) -> Array:
    """Weights of the shape that was planned, in the dtype asked for: between floats rounded, else unchanged or refused.

    Raises:
        ConfigError: a file that changed, or values that the dtype does not hold.
    """
    if array.shape != signature.shape:
        raise ConfigError("weights.path", path, f"an array {signature.shape}, as when planned", f"now {array.shape}")
    if array.dtype.kind == signature.dtype.kind == "f":
        with np.errstate(over="ignore"):  # a weight that is too large is infinity, as IEEE says
            return array.astype(signature.dtype, copy=False)
    return exactly(array, signature.dtype, "weights.dtype", path)
