"""Images from files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convpipe import fields
from convpipe.errors import ConfigError
from convpipe.images import MODES, image_size, read_image
from convpipe.sources.signature import Signature
from convpipe.step import Array

PIXEL_DTYPES = tuple(name for name in fields.DTYPES if fields.exact_range(np.dtype(name))[1] >= 255)


@dataclass(frozen=True)
class ImageInput:
    """One image as a batch of one, (1, C, H, W) with values 0..255."""

    source: str = fields.field(fields.choice(["image"]))
    path: str = fields.field(fields.text)
    mode: str = fields.field(fields.choice(MODES), "rgb")
    dtype: str = fields.field(fields.dtype_name(PIXEL_DTYPES), "uint8")

    def signature(self) -> Signature:
        """The size in the file's header, and the channels of the mode."""
        height, width = image_size(self.path, "input.path")
        return Signature((1, MODES[self.mode][1], height, width), np.dtype(self.dtype))

    def make(self, signature: Signature, bits: np.random.PCG64) -> Array:
        """Decode the image; `bits` is not used."""
        array = read_image(self.path, self.mode, "input.path")
        if array.shape != signature.shape:
            expected = f"an image {signature.shape}, as it was when planned"
            raise ConfigError("input.path", self.path, expected, f"it is {array.shape} now")
        return array.astype(signature.dtype, copy=False)
