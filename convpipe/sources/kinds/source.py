"""What a source is: settings of its own, and an array for a place that asks for one."""

import dataclasses
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeGuard, dataclass_transform

import numpy as np

from convpipe.errors import ConfigError, did_you_mean
from convpipe.fields import field, judged, optional, read, text
from convpipe.geometry.layouts import Turns, image_shape, suits, turn_hint
from convpipe.ops.kinds.quantised import QUANTITIES
from convpipe.ops.kinds.registry import Registry
from convpipe.ops.kinds.suiting import key_of
from convpipe.tensors import Array, Signature, Sizes, Wanted

ARRAYS = ("input", "filters", "bias", "grad")  # roles of one array
ROLES = (*ARRAYS, "weights", "labels")
NUMBERS = tuple(map(key_of, QUANTITIES))  # of a quantised convolution, which are written out where they are no files


@dataclass(frozen=True)
class Request:
    """What the place of a tensor asks of its source."""

    shape: Wanted | None = None  # None: the source's own
    groups: int = 1  # of the convolution whose filters they are
    entry: str = ""  # the tensor's name in a file of weights
    key: str = ""  # the config key that complaints name, where that is not the source's
    turns: Turns = ()  # how its axes may lie elsewhere, and what to do about it


ANY = Request()
SHA256 = "What the file has to hold, as its SHA-256; null is whatever it holds."
HASH = "[0-9a-f]{64}"


def hexadecimal(key: str, value: Any) -> str:
    """A SHA-256, in lower case."""
    found = str(value).lower()
    if not re.fullmatch(HASH, found):
        raise hash_of_a_file.refused(key, value)
    return found


hash_of_a_file = judged(hexadecimal, "a SHA-256, 64 hexadecimal digits", {"type": "string", "pattern": f"^{HASH}$"})


@dataclass_transform(frozen_default=True, kw_only_default=True)
@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """Where arrays come from: its fields are its settings.

    Each is a frozen dataclass (a subclass becomes one by itself) in a file of its own, named as the source is, whose
    fields carry their checks and defaults (`convpipe.fields.field`), which may differ by role. `read_source` makes
    one; it raises its errors under `key`, and its arrays are C-ordered, of exactly the signature that it gave.
    """

    roles: ClassVar[tuple[str, ...]] = ROLES  # the groups of the config that can have it
    is_stored: ClassVar[bool] = False
    is_picture: ClassVar[bool] = False  # whether a person sees its array as a picture

    role: str = dataclasses.field()
    source: str = field(text, says="Where the array comes from: the name of a source.")

    def __init_subclass__(cls) -> None:
        """Make every kind of source a frozen dataclass."""
        dataclass(frozen=True, kw_only=True)(cls)

    @abstractmethod
    def signature(self, request: Request = ANY) -> Signature:
        """The shape and dtype to come; of a file only the header is read.

        Raises:
            ConfigError: it cannot give what is asked for.
        """

    @abstractmethod
    def make(self, signature: Signature, bits: np.random.PCG64, entry: str = "") -> Array:
        """The array of a signature, drawn from `bits` or of that entry of a file.

        Raises:
            ConfigError: the source does not have it, or no longer.
        """

    def making_bytes(self, signature: Signature, entry: str = "") -> int:
        """How much memory `make` takes at its peak beside the array, as far as that counts.

        Raises:
            ConfigError: as `signature`.
        """
        return 0

    def labels(self, signature: Signature, channels: Sequence[str] = ()) -> tuple[str, ...]:
        """What its filters are called, by the names of the input's channels: each of them, or none."""
        return ()

    def unread(self) -> tuple[str, ...]:
        """Settings that nothing reads, as the others are: they are no part of a run's id."""
        return ()

    def key(self, setting: str) -> str:
        """The config key of one of its settings."""
        return f"{self.role}.{setting}"

    def one_more_axis(self) -> str:
        """How a user gives its array one more axis in front, in words."""
        return "the array with one more axis in front"

    def wrong(self, setting: str, got: object, expected: str, hint: str = "") -> ConfigError:
        """A complaint about one of its settings."""
        return ConfigError(self.key(setting), got, expected, hint)

    def stated(self, shape: Sizes, dtype: Any, request: Request, setting: str) -> Signature:
        """The signature of an array that the source has as it is.

        Raises:
            ConfigError: another shape than the one asked for; whether filters suit, the geometry judges.
        """
        wanted = None if self.role == "filters" else request.shape
        if wanted is not None and not suits(image_shape(shape) if len(wanted) == 4 else shape, wanted):
            sizes = ", ".join("any" if size is None else str(size) for size in wanted)
            expected = f"{self.role} of the shape ({sizes}{',' * (len(wanted) == 1)})"
            hint = turn_hint(shape, wanted, request.turns)
            raise ConfigError(request.key or self.key(setting), shape, expected, hint)
        return Signature(shape, np.dtype(dtype))


class Stored(Source):
    """A source whose array lies in a file. What that holds is part of a run's id, by its hash; where it lies is not."""

    is_stored: ClassVar[bool] = True
    sha256: str | None = field(optional(hash_of_a_file), None, SHA256)
    elsewhere: str | None = dataclasses.field(default=None)  # no setting: where the file of a package is instead

    @property
    @abstractmethod
    def file(self) -> str:
        """Where the file is.

        Raises:
            ConfigError: it is part of a package that is not installed.
        """

    @property
    def file_key(self) -> str:
        """The config key that says where the file is."""
        return self.key("path")

    def at(self, path: str) -> Self:
        """The same source, whose file is somewhere else."""
        return dataclasses.replace(self, **{"path" if hasattr(self, "path") else "elsewhere": path})


def is_stored(source: Source | None) -> TypeGuard[Stored]:
    """Whether a source reads a file; `isinstance` takes ten times as long for abstract classes."""
    return source is not None and source.is_stored


SOURCES: Registry[Source] = Registry("convpipe.sources", Source)  # type: ignore[type-abstract]


def read_source(role: str, settings: Mapping[str, Any]) -> Source:
    """The source that settings name, for a role.

    Raises:
        ConfigError: there is none of that name, it cannot fill the role, or a setting is not legal.

    >>> read_source("bias", {"source": "integers", "high": 9}).signature(Request((4,)))
    Signature(shape=(4,), dtype=dtype('int16'))
    """
    key, name = f"{role}.source", settings.get("source")
    kind = SOURCES.get(key, name) if name in SOURCES.ours() or name in SOURCES.names() else None
    if kind is None or role not in kind.roles:
        known = [other for other in SOURCES.names() if role in SOURCES.get(key, other).roles]
        hint = f"{name} is for {', '.join(kind.roles)}" if kind else did_you_mean(str(name), known)
        raise ConfigError(key, name, f"one of {', '.join(known)}", hint)
    return read(kind, role, settings, role=role)
