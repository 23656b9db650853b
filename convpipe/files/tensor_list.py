"""The header of a .safetensors file: JSON that lists its arrays, taken exactly where the format's own library takes it.

That library, of 0.8, is the judge: of JSON (serde_json's), of entries, and of where their bytes lie.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import isinf
from typing import Any, NoReturn

from convpipe.errors import shown
from convpipe.tensors import Sizes

METADATA = "__metadata__"  # an entry that is no array
FIELDS = ("dtype", "shape", "data_offsets")
MOST_BRACKETS = 300_000  # each is an object of Python, of 60 to 230 bytes
DEEPEST = 127  # levels of lists and objects
BELOW_FIELDS = DEEPEST - 2
ESCAPE = re.compile(r"\\(?:[^u]|u[dD][89abAB]..\\u[dD][c-fC-F]..|u(?![dD][89a-fA-F])....)")
BITS = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
        "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32,
        "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64}  # fmt: skip

Pairs = tuple[tuple[str, Any], ...]  # an object of JSON, in which a name may be twice; lists of JSON are lists


@dataclass(frozen=True, slots=True)
class Entry:
    """What a header says of one array, and from which byte after the header to which its values lie."""

    dtype: str
    shape: Sizes
    start: int
    stop: int


@lru_cache(maxsize=1)  # a network asks for its weights one by one
def tensor_list(header: bytes, size: int) -> Mapping[str, Entry]:
    """The arrays that a header lists, by their names, whose values are exactly the `size` bytes after it.

    Raises:
        ValueError: the format's library would not take it, or it has too many parts.
        RecursionError: parts within parts, too deep to be read.

    >>> tensor_list(b'{"a": {"dtype": "I16", "shape": [3], "data_offsets": [0, 6]}}', 6)
    {'a': Entry(dtype='I16', shape=(3,), start=0, stop=6)}
    """
    if header.count(b"[") + header.count(b"{") > MOST_BRACKETS:
        raise ValueError(f"its header has more than {MOST_BRACKETS} lists and objects")
    parts = read_json(header.decode())
    if not isinstance(parts, tuple):
        raise ValueError("its header is no JSON object")
    check_metadata([value for name, value in parts if name == METADATA])
    arrays = {name: entry_of(name, value) for name, value in parts if name != METADATA}
    check_places(arrays, size)
    return arrays


def read_json(text: str) -> Any:
    """The values of a JSON text."""
    read = json.loads(text, object_pairs_hook=tuple, parse_int=whole, parse_float=real, parse_constant=refuse)
    if "\\" in text and "\\" in ESCAPE.sub("", text):
        raise ValueError("a character of its header is half of a pair")
    return read


def whole(text: str) -> int | float:
    """A number without a point; -0 is none of whole numbers."""
    return real(text) if text == "-0" or len(text) > 20 else int(text)


def real(text: str) -> float:
    """A number with a point, or too long to be a size."""
    number = float(text)
    if isinf(number):
        raise ValueError("a number of its header is out of range")
    return number


def refuse(text: str) -> NoReturn:
    """Python's own NaN, Infinity and -Infinity are no JSON."""
    raise ValueError(f"its header has {text}, which is no JSON")


def check_metadata(values: list[Any]) -> None:
    """There is one object of metadata at most, whose values are texts."""
    if len(values) > 1:
        raise ValueError(f"its header has {METADATA} twice")
    for value in values:
        texts = isinstance(value, tuple) and all(isinstance(text, str) for _, text in value)
        if not (texts or value is None):
            raise ValueError(f"its {METADATA} are not texts by name")


def entry_of(name: str, value: Any) -> Entry:
    """What a header says of one array, as an object or as a list of the three fields."""
    dtype, shape, span = fields_of(name, value)
    if isinstance(dtype, tuple) and len(dtype) == 1 and dtype[0][1] is None:  # {"F32": null}
        dtype = dtype[0][0]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise wrong(name, f"no dtype of the format is called {shown(dtype)}")
    if not (sizes(shape) and sizes(span) and len(span) == 2):
        raise wrong(name, "shape and data_offsets are not whole numbers, of data_offsets two")
    return Entry(dtype, tuple(shape), *span)


def wrong(name: str, reason: str) -> ValueError:
    """A complaint about one entry."""
    return ValueError(f"{shown(name, 60)}: {reason}")


def fields_of(name: str, value: Any) -> list[Any]:
    """The three fields of an array; what else an object has means nothing."""
    if isinstance(value, list) and len(value) == len(FIELDS):
        return value
    pairs = value if isinstance(value, tuple) else ()
    found = {field: entry for field, entry in pairs if field in FIELDS}
    if len(found) < len(FIELDS) or sum(field in FIELDS for field, _ in pairs) > len(FIELDS):
        raise wrong(name, f"expected {', '.join(FIELDS)}, each once")
    if len(pairs) > len(FIELDS) and any(levels(entry) > BELOW_FIELDS for _, entry in pairs):
        raise wrong(name, f"more than {DEEPEST} levels within each other")
    return [found[field] for field in FIELDS]


def levels(value: Any) -> int:
    """How many lists and objects lie within each other."""
    if isinstance(value, list):
        return 1 + max(map(levels, value), default=0)
    return 1 + max((levels(entry) for _, entry in value), default=0) if isinstance(value, tuple) else 0


def sizes(values: Any) -> bool:
    """Whether a value is a list of whole numbers from 0 that 64 bits hold."""
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**64 for value in values)


def check_bytes(name: str, entry: Entry) -> None:
    """The values fill their bytes; none of the products on the way there needs more than 64 bits."""
    total = 1
    for factor in (*entry.shape, BITS[entry.dtype]):
        total *= factor
        if total >= 2**64:
            raise wrong(name, f"{shown(list(entry.shape))} is larger than 64 bits can say")
    if total != 8 * (entry.stop - entry.start):
        says = f"{entry.dtype} {shown(list(entry.shape))} is {total} bits"
        raise wrong(name, f"{says}, but it lies from byte {entry.start} to {entry.stop}")


def check_places(arrays: Mapping[str, Entry], size: int) -> None:
    """The arrays lie one behind the other, from the first byte to the last."""
    end = 0
    for name, entry in sorted(arrays.items(), key=lambda item: (item[1].start, item[1].stop)):
        if entry.start != end:
            raise wrong(name, f"it begins at byte {entry.start}, where {end} is next: a hole or an overlap")
        check_bytes(name, entry)
        end = entry.stop
    if end != size:
        raise ValueError(f"its arrays end at byte {end} of {size}")
