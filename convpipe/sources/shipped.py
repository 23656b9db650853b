"""Weights that come with the package, trained by `convpipe.weights`."""

from pathlib import Path

import numpy as np

from convpipe.fields import choice, dtype_name, field, optional
from convpipe.sources.kinds.files import DTYPE
from convpipe.sources.kinds.source import ANY, Request, Source
from convpipe.sources.npz import Npz
from convpipe.tensors import Array, Signature

SHIPPED = ("digits_small",)  # files inside the package
SHIPPED_FOLDER = Path(__file__).resolve().parent.parent / "weights"


class Shipped(Source):
    """Arrays of a file that comes with the package."""

    roles = ("weights",)

    name: str = field(choice(SHIPPED), says="Which weights.")
    dtype: str | None = field(optional(dtype_name), None, DTYPE)

    def signature(self, request: Request = ANY) -> Signature:
        """As the file says."""
        return self.file.signature(request)

    def make(self, signature: Signature, bits: np.random.PCG64, entry: str = "") -> Array:
        """Read the array."""
        return self.file.make(signature, bits, entry)

    @property
    def file(self) -> Npz:
        """The file that the name stands for."""
        return Npz(role=self.role, source="npz", path=str(SHIPPED_FOLDER / f"{self.name}.npz"), dtype=self.dtype)
