"""A header of .safetensors is taken or refused as the format's own library does, which judges where it is installed."""

from __future__ import annotations

import json
import math
import random
import re
from typing import Any

import pytest
from test_safetensors import file_of

from convpipe.files.tensor_list import BITS, tensor_list

ONE = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
HEADERS = {  # and whether the library takes them before four bytes
    "plain": ('{"a":ONE}', True),
    "spaces around": (' \n\t\r{"a":ONE} \n\t', True),
    "bytes of null behind": ('{"a":ONE}\0', False),
    "a byte order mark": ('\ufeff{"a":ONE}', False),
    "a comma behind": ('{"a":ONE,}', False),
    "two values": ('{"a":ONE} {}', False),
    "a comment": ('{"a":ONE} // more', False),
    "a list": ("[]", False),
    "a name twice": ('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":ONE}', True),
    "a name twice, once no array": ('{"a":5,"a":ONE}', False),
    "metadata of null": ('{"__metadata__":null,"a":ONE}', True),
    "metadata twice": ('{"__metadata__":{},"__metadata__":{},"a":ONE}', False),
    "a text of metadata twice": ('{"__metadata__":{"x":"1","x":"2"},"a":ONE}', True),
    "a number in metadata": ('{"__metadata__":{"x":1},"a":ONE}', False),
    "null in metadata": ('{"__metadata__":{"x":null},"a":ONE}', False),
    "an object in metadata": ('{"__metadata__":{"x":{}},"a":ONE}', False),
    "a list for metadata": ('{"__metadata__":[],"a":ONE}', False),
    "a text for metadata": ('{"__metadata__":"x","a":ONE}', False),
    "escaped names": ('{"\\u005f_metadata__":{"x":"y"},"a":{"d\\u0074ype":"F\\u00332",SHAPE}}', True),
    "fields as a list": ('{"a":["F32",[1],[0,4]]}', True),
    "four fields as a list": ('{"a":["F32",[1],[0,4],1]}', False),
    "a field twice": ('{"a":{"dtype":"F32","dtype":"F32",SHAPE}}', False),
    "a field more, twice": ('{"a":{"x":[{}],"x":1,"dtype":"F32",SHAPE}}', True),
    "a field less": ('{"a":{"dtype":"F32","shape":[1]}}', False),
    "a dtype in an object": ('{"a":{"dtype":{"F32":null},SHAPE}}', True),
    "a dtype with something": ('{"a":{"dtype":{"F32":[]},SHAPE}}', False),
    "a dtype in small letters": ('{"a":{"dtype":"f32",SHAPE}}', False),
    "a size of 1.0": ('{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}', False),
    "a size of -0": ('{"a":ONE,"b":{"dtype":"F32","shape":[-0],"data_offsets":[4,4]}}', False),
    "a size of 64 bits": ('{"a":ONE,"b":{"dtype":"F32","shape":[0,18446744073709551615],"data_offsets":[4,4]}}', True),
    "a size of 65 bits": ('{"a":ONE,"b":{"dtype":"F32","shape":[0,18446744073709551616],"data_offsets":[4,4]}}', False),
    "vast, then nothing": ('{"a":ONE,"b":{"dtype":"F32","shape":[BIG,BIG,0],"data_offsets":[4,4]}}', False),
    "nothing, then vast": ('{"a":ONE,"b":{"dtype":"F32","shape":[0,BIG,BIG],"data_offsets":[4,4]}}', True),
    "three offsets": ('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,5]}}', False),
    "NaN": ('{"a":{"x":NaN,"dtype":"F32",SHAPE}}', False),
    "1e400": ('{"a":{"x":1e400,"dtype":"F32",SHAPE}}', False),
    "300 digits": (f'{{"a":{{"x":{10**300},"dtype":"F32",SHAPE}}}}', True),
    "400 digits": (f'{{"a":{{"x":{10**400},"dtype":"F32",SHAPE}}}}', False),
    "half a pair": ('{"\\ud800":ONE}', False),
    "the other half": ('{"\\udc00":ONE}', False),
    "a pair": ('{"\\ud83d\\ude00":ONE}', True),
    "an escaped backslash": ('{"\\\\ud800":ONE}', True),
    "no character": ('{"a\x01":ONE}', False),
    "an empty name": ('{"":ONE}', True),
    "127 levels": (f'{{"a":{{"x":{"[" * 125}{"]" * 125},"dtype":"F32",SHAPE}}}}', True),
    "128 levels": (f'{{"a":{{"x":{"[" * 126}{"]" * 126},"dtype":"F32",SHAPE}}}}', False),
    "128 levels of both": ('{"a":{"x":' + '[{"":' * 63 + "0" + "}]" * 63 + ',"dtype":"F32",SHAPE}}', False),
    "overlap": ('{"a":ONE,"b":U8(2,2,4)}', False),
    "the same bytes": ('{"a":ONE,"b":ONE}', False),
    "a hole": ('{"a":U8(1,0,1),"b":U8(2,2,4)}', False),
    "a hole in front": ('{"a":U8(3,1,4)}', False),
    "bytes behind": ('{"a":U8(3,0,3)}', False),
    "listed in another order": ('{"b":U8(2,2,4),"a":U8(2,0,2)}', True),
    "nothing between": ('{"a":U8(2,0,2),"z":U8(0,2,2),"b":U8(2,2,4)}', True),
    "nothing within": ('{"a":ONE,"z":U8(0,1,1)}', False),
    "half a byte": ('{"a":{"dtype":"F4","shape":[7],"data_offsets":[0,4]}}', False),
    "no arrays": ("{}", False),
}  # fmt: skip


def written_out(text: str) -> bytes:
    """The header that a text means with its words in capitals."""
    text = text.replace("ONE", ONE).replace("BIG", str(2**32)).replace("SHAPE", '"shape":[1],"data_offsets":[0,4]')
    return re.sub(r"U8\((\d),(\d),(\d)\)", r'{"dtype":"U8","shape":[\1],"data_offsets":[\2,\3]}', text).encode()


@pytest.mark.parametrize("kind", HEADERS)
def test_a_header_is_taken_where_the_library_takes_it(kind: str) -> None:
    text, taken = HEADERS[kind]
    assert (taken_from(written_out(text), 4) is not None) == taken


@pytest.mark.parametrize("kind", HEADERS)
def test_what_is_said_of_the_library_is_so(kind: str) -> None:
    package = pytest.importorskip("safetensors", "0.8", reason="the format's own library judges, that of 0.8")
    text, taken = HEADERS[kind]
    assert (judged(package, file_of(written_out(text), bytes(4))) is not None) == taken


def taken_from(header: bytes, size: int) -> dict[str, Any] | None:
    """What we find in a header, or None where we refuse it."""
    try:
        arrays = tensor_list(header, size)
    except (ValueError, RecursionError):
        return None
    return {name: (entry.dtype, list(entry.shape), entry.start, entry.stop) for name, entry in arrays.items()}


def judged(package: Any, content: bytes) -> dict[str, Any] | None:
    """What the library finds in a file: dtype, shape and bytes by name, or None where it refuses it."""
    try:
        return {
            name: (found["dtype"], found["shape"], bytes(found["data"])) for name, found in package.deserialize(content)
        }
    except package.SafetensorError:
        return None


ODD = [None, True, 0, -1, 1, 2**63, 2**64, 1.5, 1.0, "x", "F32", [], {}, [0], [1, 2], {"F32": None}, [[[]]], "é"]
PIECES = [b"0", b"-", b".0", b"e1", b"\\u0041", b"\\ud800", b"\\", b'"', b"[", b"]", b"{", b"}", b",", b":", b" ",
          b"NaN", b"\xc3", b"null", b"1", b"9" * 25, b"\\/", b"\0"]  # fmt: skip


def drawn_entries(draw: random.Random) -> tuple[list[tuple[str, Any]], int]:
    """Entries of a true header in any order, and how many bytes their values have."""
    entries: list[tuple[str, Any]] = []
    end = 0
    for number in range(draw.randrange(5)):
        dtype, shape = draw.choice(list(BITS)), [draw.choice([0, 1, 2, 3, 4, 8]) for _ in range(draw.randrange(4))]
        length = BITS[dtype] * math.prod(shape) // 8  # not true where that leaves bits
        entries.append((f"a{number}", {"dtype": dtype, "shape": shape, "data_offsets": [end, end + length]}))
        end += length
    draw.shuffle(entries)
    return entries + [("__metadata__", {"format": "pt"})] * (draw.random() < 0.3), end


def is_whole(value: Any) -> bool:
    """Whether it is an entry that was not changed much."""
    return isinstance(value, dict) and all(isinstance(value.get(key), list) for key in ("shape", "data_offsets"))


def changed(entries: list[tuple[str, Any]], draw: random.Random) -> list[tuple[str, Any]]:
    """The entries with one of them gone, doubled, renamed, or a value of it another."""
    place = draw.randrange(len(entries))
    name, value = entries[place]
    kind = draw.randrange(8)
    if kind == 0:
        return entries[:place] + entries[place + 1 :]
    if kind == 1:
        return [*entries, (name, value)]
    if kind == 2:
        name = draw.choice(["__metadata__", entries[0][0], "", "é"])
    elif kind == 3 or not is_whole(value):
        value = draw.choice(ODD)
    elif kind == 4:
        value = list(value.values())
    elif kind == 5:
        value = {**value, draw.choice([*value, "more"]): draw.choice(ODD)}
    elif kind == 6:
        value = {**value, "shape": [*value["shape"], draw.choice([0, 1, 2, 2**32, 2**63])]}
    else:
        start, *more = value["data_offsets"] or [0]
        value = {**value, "data_offsets": [draw.choice([start, 0, 1, 2]), *more]}
    return [*entries[:place], (name, value), *entries[place + 1 :]]


def drawn_file(draw: random.Random) -> bytes:
    """A file that is true, or whose entries, text or length is not quite."""
    entries, size = drawn_entries(draw)
    for _ in range(draw.choice([0, 1, 1, 2])):
        entries = changed(entries, draw) if entries else entries
    text = "{" + ", ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in entries) + "}"
    header = bytearray((text + draw.choice(["", "", " ", "\n", "\0"])).encode())
    for _ in range(draw.choice([0, 0, 1, 2])):
        place = draw.randrange(len(header))
        header[place : place + draw.randrange(2)] = draw.choice([*PIECES, bytes([draw.randrange(256)])])
    size = max(0, size + draw.choice([0] * 12 + [-1, 1]))
    return file_of(bytes(header), bytes(number % 251 for number in range(size)))


def test_thousands_of_files_are_taken_or_refused_as_the_library_does() -> None:
    package = pytest.importorskip("safetensors", "0.8", reason="the format's own library judges, that of 0.8")
    draw, taken, refused = random.Random(10), 0, 0
    for _ in range(4000):
        content = drawn_file(draw)
        start = 8 + int.from_bytes(content[:8], "little")
        ours, theirs = taken_from(content[8:start], len(content) - start), judged(package, content)
        if ours is not None:
            ours = {name: (dtype, shape, content[start:][a:b]) for name, (dtype, shape, a, b) in ours.items()}
        assert ours == theirs, content
        taken, refused = taken + (theirs is not None), refused + (theirs is None)
    assert taken > 700
    assert refused > 700
