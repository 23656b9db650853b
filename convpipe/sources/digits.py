"""scikit-learn's handwritten digits, which need no download: 1,797 images of 8x8 and their classes (extra ``digits``).

Every fourth image, from the first, is for testing (450), the others are for training (1,347). Neighbouring images
are of one writer, so both splits have every writer. Source: UCI, "Optical recognition of handwritten digits", 1998.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from convpipe.errors import ConfigError
from convpipe.fields import choice, dtype_name, field
from convpipe.tensors import Array, Signature

# A quarter has 38 to 50 images of each class. A fifth would have 26 to 48, as the writers went from 0 to 9 in turn.
EVERY = 4
SPLITS = ("train", "test")


@dataclass(frozen=True)
class DigitsInput:
    """The images of one split, (N, 1, 8, 8), with values 0 (paper) to 16 (ink)."""

    source: str = field(choice(["digits"]))
    split: str = field(choice(SPLITS), "test")
    dtype: str = field(dtype_name(), "uint8")

    def signature(self) -> Signature:
        """The shape of the split."""
        return Signature(images(self.split, "input.source").shape, np.dtype(self.dtype))

    def make(self, signature: Signature, bits: np.random.PCG64) -> Array:
        """A copy of the images; `bits` is not used."""
        return images(self.split, "input.source").astype(signature.dtype)


@dataclass(frozen=True)
class DigitsLabels:
    """The classes of one split, 0 to 9."""

    source: str = field(choice(["digits"]))
    split: str = field(choice(SPLITS), "test")

    def check(self, images: int) -> None:
        """There is one label for each image.

        Raises:
            ConfigError: a batch that is not this split.
        """
        there = len(self.make())
        if there != images:
            raise ConfigError("labels.split", f"{self.split}, {there} labels", f"{images} labels, one for each image")

    def make(self) -> Array:
        """The labels."""
        return classes(self.split, "labels.source")


def images(split: str, key: str = "source") -> Array:
    """The images of one split, (N, 1, 8, 8), uint8.

    Raises:
        ConfigError: scikit-learn is not installed; under `key`.
    """
    return part(load(key)[0], split)


def classes(split: str, key: str = "source") -> Array:
    """The classes of one split, (N,), int64.

    Raises:
        ConfigError: scikit-learn is not installed; under `key`.
    """
    return part(load(key)[1], split)


def part(rows: Array, split: str) -> Array:
    """What a split takes of the images or of their classes, a copy.

    >>> part(np.arange(9), "test"), part(np.arange(9), "train")
    (array([0, 4, 8]), array([1, 2, 3, 5, 6, 7]))
    """
    tests: Array = np.arange(len(rows)) % EVERY == 0
    taken: Array = rows[tests if split == "test" else ~tests]
    return taken


def load(key: str) -> tuple[Array, Array]:
    """All images and all classes; where scikit-learn is missing, an error that names `key`."""
    try:
        return bundled()
    except ImportError as error:
        raise ConfigError(key, "digits", "the package scikit-learn", "pip install 'convpipe[digits]'") from error


@cache
def bundled() -> tuple[Array, Array]:
    """The images (N, 1, 8, 8), uint8, and classes (N,), int64, that come with scikit-learn."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return data.images[:, None].astype(np.uint8), data.target.astype(np.int64)
