"""Arrays from .npz files, by their names in them."""

from types import ModuleType
from typing import ClassVar

from convpipe.files import npz
from convpipe.sources.kinds.files import NamedFile


class Npz(NamedFile):
    """One array of an .npz file."""

    reader: ClassVar[ModuleType] = npz
