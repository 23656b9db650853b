"""What each kind of source can do: say what an array will be before it exists, and make it."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from convpipe.tensors import Array, Signature, Sizes, Wanted


class InputSource(Protocol):
    """What every input source can do."""

    @property
    def source(self) -> str:
        """Its name in the registry."""

    def signature(self) -> Signature:
        """The shape (N, C, H, W) and dtype to come; of a file only the header is read."""

    def make(self, signature: Signature, bits: np.random.PCG64) -> Array:
        """The array, C-ordered, of exactly that shape and dtype."""


class FilterSource(Protocol):
    """What every filter source can do."""

    @property
    def source(self) -> str:
        """Its name in the registry."""

    def signature(self, channels: int, groups: int, rank: int) -> Signature:
        """The shape (F, C/G, kernel...) and dtype to come, for an input of C channels and 1 to 3 spatial axes."""

    def make(self, signature: Signature, bits: np.random.PCG64) -> Array:
        """The array, C-ordered, of exactly that shape and dtype."""


class BiasSource(Protocol):
    """What every source of a bias can do."""

    @property
    def source(self) -> str:
        """Its name in the registry."""

    def signature(self, shape: Sizes) -> Signature:
        """The dtype to come, with the shape (F,) that the filters ask for."""

    def make(self, signature: Signature, bits: np.random.PCG64) -> Array:
        """The array, of exactly that shape and dtype."""


class GradSource(Protocol):
    """What every source of a gradient can do."""

    @property
    def source(self) -> str:
        """Its name in the registry."""

    def signature(self, shape: Sizes) -> Signature:
        """The dtype to come, with the shape (N, F, out_h, out_w) of the convolution's output."""

    def make(self, signature: Signature, bits: np.random.PCG64) -> Array:
        """The array, C-ordered, of exactly that shape and dtype."""


class WeightSource(Protocol):
    """What every source of weights can do."""

    @property
    def source(self) -> str:
        """Its name in the registry."""

    def signature(self, entry: str, shape: Wanted, key: str) -> Signature:
        """The shape and dtype of one array, before it is made; `key` is the config key that names it."""

    def make(self, entry: str, signature: Signature, bits: np.random.PCG64) -> Array:
        """The array, of exactly that shape and dtype."""


class LabelSource(Protocol):
    """What every source of labels can do."""

    @property
    def source(self) -> str:
        """Its name in the registry."""

    def check(self, images: int) -> None:
        """There is one label for each image."""

    def make(self) -> Array:
        """The labels, (N,), int64."""
