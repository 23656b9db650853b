"""Where a bias comes from: its shape (F,) follows from the filters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from convpipe.errors import ConfigError
from convpipe.sources.files import Npy
from convpipe.sources.integers import Integers
from convpipe.sources.literal import Literal, shape_of
from convpipe.sources.random import Random
from convpipe.tensors import Signature, Sizes


@dataclass(frozen=True)
class IntegersBias(Integers):
    """A bias of whole numbers."""

    key: ClassVar[str] = "bias"

    def signature(self, shape: Sizes) -> Signature:
        """One value per filter."""
        return Signature(shape, np.dtype(self.dtype))


@dataclass(frozen=True)
class RandomBias(Random):
    """A random bias."""

    key: ClassVar[str] = "bias"

    def signature(self, shape: Sizes) -> Signature:
        """One value per filter."""
        return Signature(shape, np.dtype(self.dtype))


@dataclass(frozen=True)
class LiteralBias(Literal):
    """A bias written out."""

    key: ClassVar[str] = "bias"

    def signature(self, shape: Sizes) -> Signature:
        """The values' own shape, which must be one per filter."""
        return fitting("bias.values", Signature(shape_of(self.values), np.dtype(self.dtype)), shape)


@dataclass(frozen=True)
class NpyBias(Npy):
    """A bias from a file."""

    key: ClassVar[str] = "bias"

    def signature(self, shape: Sizes) -> Signature:
        """The file's own shape, which must be one value per filter."""
        return fitting("bias.path", self.stated(), shape)


def fitting(key: str, stated: Signature, shape: Sizes) -> Signature:
    """A bias that has one value per filter.

    Raises:
        ConfigError: another shape.
    """
    if stated.shape != shape:
        raise ConfigError(key, stated.shape, f"the shape {shape}, one value per filter")
    return stated
