"""Arrays from .npy files."""

from typing import Any

from convpipe.files import npy
from convpipe.sources.kinds.files import File
from convpipe.sources.kinds.source import ARRAYS, NUMBERS, Request
from convpipe.tensors import Array


class Npy(File):
    """The array of one .npy file."""

    roles = (*ARRAYS, "labels", *NUMBERS)

    def header(self, request: Request) -> Any:
        """The file's header."""
        return npy.read_header(self.path, self.key("path"))

    def read(self, entry: str) -> Array:
        """The file's array."""
        return npy.read_array(self.path, self.key("path"))
