"""scikit-learn's handwritten digits, which need no download: 1,797 images of 8x8 and their classes (extra ``digits``).

Every fourth image, from the first, is for testing (450), the others are for training (1,347). Neighbouring images
are of one writer, so both splits have every writer. Source: UCI, "Optical recognition of handwritten digits", 1998.
"""

import gzip
from functools import cache
from importlib.util import find_spec

import numpy as np

from convpipe.errors import shown
from convpipe.fields import choice, dtype_name, field
from convpipe.files.contents import content_sha256
from convpipe.sources.kinds.source import ANY, Request, Stored
from convpipe.tensors import Array, Signature

# A quarter has 38 to 50 images of each class. A fifth would have 26 to 48, as the writers went from 0 to 9 in turn.
EVERY = 4
SPLITS = ("train", "test")
FILE = "datasets/data/digits.csv.gz"  # of the package; read as it is, since to import that takes 0.9 s
PIXELS = 64


class Digits(Stored):
    """One split: images (N, 1, 8, 8) with values 0 (paper) to 16 (ink), or as labels their classes (N,), 0 to 9."""

    roles = ("input", "labels")

    split: str = field(choice(SPLITS), "test", "test: every fourth image, 450; train: the other 1,347.")
    dtype: str | None = field(dtype_name, says="Any integer or float dtype.", under={"input": "uint8"})

    def signature(self, request: Request = ANY) -> Signature:
        """The shape of the split.

        Raises:
            ConfigError: scikit-learn is not installed, or another number of images.
        """
        array = self.array()
        return self.stated(array.shape, self.dtype or array.dtype, request, "split")

    @property
    def file(self) -> str:
        """Inside the package scikit-learn."""
        if self.elsewhere is not None:
            return self.elsewhere
        package = find_spec("sklearn")
        if package is None or not package.submodule_search_locations:
            hint = "pip install 'convpipe[digits]'"
            raise self.wrong("source", "digits", "the package scikit-learn", hint)
        return f"{package.submodule_search_locations[0]}/{FILE}"

    @property
    def file_key(self) -> str:
        """The source's name."""
        return self.key("source")

    def make(self, signature: Signature, bits: np.random.PCG64, entry: str = "") -> Array:
        """The images or the classes, a copy."""
        return self.array().astype(signature.dtype)

    def array(self) -> Array:
        """What the split has."""
        file = self.file
        try:
            images, classes = digits_of(file, content_sha256(file, self.file_key))
        except (OSError, ValueError) as error:
            raise self.wrong("source", "digits", f"scikit-learn's own file {FILE}", shown(error)) from error
        return part(classes if self.role == "labels" else images, self.split)


def part(rows: Array, split: str) -> Array:
    """What a split takes of the images or of their classes, a copy.

    >>> part(np.arange(9), "test"), part(np.arange(9), "train")
    (array([0, 4, 8]), array([1, 2, 3, 5, 6, 7]))
    """
    tests: Array = np.arange(len(rows)) % EVERY == 0
    taken: Array = rows[tests if split == "test" else ~tests]
    return taken


@cache
def digits_of(file: str, sha256: str) -> tuple[Array, Array]:
    """The images (N, 1, 8, 8), uint8, and classes (N,), int64, of a file with a line of numbers for each image.

    They are kept for as long as the file holds the same.
    """
    with gzip.open(file, "rt", encoding="ascii") as lines:
        table = np.array([line.split(",") for line in lines], np.int64)
    return table[:, :PIXELS].astype(np.uint8).reshape(-1, 1, 8, 8), table[:, PIXELS].copy()
