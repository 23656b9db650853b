"""Arrays from .safetensors files, by their names in them."""

from types import ModuleType
from typing import ClassVar

from convpipe.files import safetensors
from convpipe.sources.kinds.files import NamedFile


class Safetensors(NamedFile):
    """One array of a .safetensors file."""

    reader: ClassVar[ModuleType] = safetensors
