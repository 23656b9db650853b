"""A matrix of numbers from a .csv file."""

from math import prod

from convpipe.files.csv import read_matrix
from convpipe.sources.kinds.files import File
from convpipe.sources.kinds.source import ARRAYS, Request
from convpipe.tensors import Array, Signature


class Csv(File):
    """The numbers of a .csv file, H lines of W: one image of one channel, one filter, a row of values, or rows."""

    roles = (*ARRAYS, "labels")

    def header(self, request: Request) -> Array:
        """The array itself, as the file has no header."""
        return self.read("")

    def making_bytes(self, signature: Signature, entry: str = "") -> int:
        """The numbers as they are read, int64 or float64, beside those of another dtype; without reading them again."""
        return 8 * prod(signature.shape)

    def read(self, entry: str) -> Array:
        """The numbers, (H, W), of a bias and labels (H * W,)."""
        matrix = read_matrix(self.path, self.key("path"))
        return matrix.reshape(-1) if self.role in ("bias", "labels") else matrix
