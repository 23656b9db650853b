"""Weights that come with the package, trained by `convpipe.weights`."""

from pathlib import Path

import numpy as np

from convpipe.fields import choice, dtype_name, field, optional
from convpipe.sources.kinds.files import DTYPE
from convpipe.sources.kinds.source import ANY, Request, Stored
from convpipe.sources.npz import Npz
from convpipe.tensors import Array, Signature

SHIPPED = ("digits_small", "quant_digits")  # files inside the package
SHIPPED_FOLDER = Path(__file__).resolve().parent.parent / "weights"


class Shipped(Stored):
    """Arrays of a file that comes with the package."""

    roles = ("weights",)

    name: str = field(choice(SHIPPED), says="Which weights.")
    dtype: str | None = field(optional(dtype_name), None, DTYPE)

    def signature(self, request: Request = ANY) -> Signature:
        """As the file says."""
        return self.arrays.signature(request)

    def make(self, signature: Signature, bits: np.random.PCG64, entry: str = "") -> Array:
        """Read the array."""
        return self.arrays.make(signature, bits, entry)

    @property
    def file(self) -> str:
        """Inside the package."""
        return self.elsewhere or str(SHIPPED_FOLDER / f"{self.name}.npz")

    @property
    def file_key(self) -> str:
        """The name's."""
        return self.key("name")

    @property
    def arrays(self) -> Npz:
        """The file as a source."""
        return Npz(role=self.role, source="npz", path=self.file, dtype=self.dtype)
