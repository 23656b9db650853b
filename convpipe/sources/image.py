"""Images from files."""

from math import prod

import numpy as np

from convpipe.fields import choice, field, path
from convpipe.files.images import MODES, decoding_bytes, image_size, read_image
from convpipe.sources.kinds.source import ANY, Request, Stored
from convpipe.tensors import DTYPES, Array, Signature, exact_range

PIXEL_DTYPES = tuple(name for name in DTYPES if exact_range(np.dtype(name))[1] >= 255)


class Image(Stored):
    """One image as a batch of one, (1, C, H, W) with values 0..255."""

    roles = ("input",)
    is_picture = True

    path: str = field(path, says="Where the file is: PNG, JPEG, BMP, GIF, TIFF, WebP or PPM.", identity=False)
    mode: str = field(choice(MODES), "rgb", "rgb: three channels; grey: one.")
    dtype: str = field(choice(PIXEL_DTYPES), "uint8", "Any dtype that holds 0 to 255.")

    @property
    def file(self) -> str:
        """The path."""
        return self.path

    def signature(self, request: Request = ANY) -> Signature:
        """The size in the file's header, and the channels of the mode."""
        height, width = image_size(self.path, self.key("path"))
        return Signature((1, MODES[self.mode][1], height, width), np.dtype(self.dtype))

    def making_bytes(self, signature: Signature, entry: str = "") -> int:
        """What decoding takes at its peak, or of another dtype than uint8 the pixels beside the array."""
        pixels = prod(signature.shape)
        result = pixels * signature.dtype.itemsize
        recast = pixels if signature.dtype != np.uint8 else 0
        return max(decoding_bytes(self.path, self.mode, self.key("path")) - result, recast)

    def make(self, signature: Signature, bits: np.random.PCG64, entry: str = "") -> Array:
        """Decode the image."""
        array = read_image(self.path, self.mode, self.key("path"))
        if array.shape != signature.shape:
            expected = f"an image {signature.shape}, as it was when planned"
            raise self.wrong("path", self.path, expected, f"it is {array.shape} now")
        return array.astype(signature.dtype, copy=False)
