"""What the images of a batch are: the classes that a network's answers are held against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convpipe.errors import ConfigError
from convpipe.fields import choice, field, text
from convpipe.files import npz
from convpipe.tensors import Array


@dataclass(frozen=True)
class NpzLabels:
    """One array of an .npz file: a whole number from 0 for each image, its class."""

    source: str = field(choice(["npz"]))
    path: str = field(text)
    entry: str = field(text)

    def check(self, images: int) -> None:
        """There is one label for each image.

        Raises:
            ConfigError: another shape, or a dtype of no whole numbers.
        """
        header = npz.read_header(self.path, self.entry, "labels.path", "labels.entry")
        if header.shape != (images,) or header.dtype.kind not in "iu":
            found = f"{self.entry}: {header.dtype} {header.shape}"
            raise ConfigError("labels.entry", found, f"whole numbers of shape ({images},), one for each image")

    def make(self) -> Array:
        """Read the labels."""
        return npz.read_array(self.path, self.entry, "labels.path").astype(np.int64)
