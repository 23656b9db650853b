"""Arrays out of .safetensors files: as the package of that name writes them, and hostile ones."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conv_cases import FLOATS, INTEGERS
from hypothesis import given, settings, strategies as st
from run_cases import ending_early

from convpipe.errors import ConfigError
from convpipe.files import safetensors
from convpipe.files.npy import BLOCK_BYTES
from convpipe.files.tensor_list import BITS

KEYS = ("w.path", "w.entry")
VALUES = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def file_of(header: Any, data: bytes = VALUES.tobytes(), length: int | None = None) -> bytes:
    """A file of that header, written by hand."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(**changes: Any) -> dict[str, Any]:
    return {"a": {"dtype": "F32", "shape": [2, 3, 4], "data_offsets": [0, 96], **changes}}


def test_a_file_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "f.safetensors"
    second = {"b": {"dtype": "I16", "shape": [2], "data_offsets": [96, 100]}}
    more = {"__metadata__": {"format": "pt"}, **entry(), **second}
    path.write_bytes(file_of(more, VALUES.tobytes() + np.array([-1, 7], "<i2").tobytes()))
    assert np.array_equal(safetensors.read_array(str(path), "a", *KEYS), VALUES)
    assert safetensors.read_array(str(path), "b", *KEYS).tolist() == [-1, 7]
    with pytest.raises(
        ConfigError, match=r"^w\.entry: got aa, expected one of the arrays in .*: a, b \(did you mean a"
    ):
        safetensors.read_header(str(path), "aa", *KEYS)
    with pytest.raises(ConfigError, match=r"^w\.entry: got __metadata__, expected one of the arrays in .*: a, b"):
        safetensors.read_header(str(path), "__metadata__", *KEYS)


@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_what_the_package_writes(dtype: str, tmp_path: Path) -> None:
    package = pytest.importorskip("safetensors.numpy")
    arrays = {"a": VALUES.astype(dtype), "none": np.zeros((0, 3), dtype), "one": np.array(5, dtype)}
    package.save_file(arrays, tmp_path / "f.safetensors", metadata={"made": "here"})
    for name, array in arrays.items():
        header = safetensors.read_header(str(tmp_path / "f.safetensors"), name, *KEYS)
        got = safetensors.read_array(str(tmp_path / "f.safetensors"), name, *KEYS)
        assert (header.shape, header.dtype) == (array.shape, array.dtype)
        assert (got.dtype, got.shape, got.tolist()) == (array.dtype, array.shape, array.tolist())


HOSTILE = {
    "empty": b"",
    "seven bytes": bytes(7),
    "no header": bytes(8),
    "a vast header": file_of(entry(), length=2**63),
    "a header beyond the file": file_of(entry(), length=1000),
    "not JSON": file_of(b"hello"),
    "not UTF-8": file_of(b"\xff\xfe\x00"),
    "deep JSON": file_of(b"[" * 100_000),
    "a list": file_of([1, 2]),
    "a number too long": file_of(b'{"a": ' + b"9" * 5000 + b"}"),
    "cut": file_of(entry())[:-1],
    "lying shape": file_of(entry(shape=[2, 3, 5])),
    "lying offsets": file_of(entry(data_offsets=[0, 95])),
    "beyond the end": file_of(entry(data_offsets=[4, 100])),
    "backwards": file_of(entry(data_offsets=[96, 0])),
    "negative": file_of(entry(data_offsets=[-96, 0])),
    "one offset": file_of(entry(data_offsets=[0])),
    "vast": file_of(entry(shape=[2**40, 2**40, 0], data_offsets=[0, 0]), b""),
    "too large to address": file_of(entry(shape=[2**59, 0], data_offsets=[0, 0]), b""),
    "an axis too many": file_of(entry(shape=[1] * 31 + [2, 12])),
    "negative shape": file_of(entry(shape=[-2, -3, 4])),
    "true shape": file_of(entry(shape=[True, 24])),
    "float shape": file_of(entry(shape=[2.0, 12])),
    "text shape": file_of(entry(shape="24")),
    "too many axes": file_of(entry(shape=[1] * 40 + [24])),
    "no dtype": file_of(entry(dtype=None)),
    "a dtype that is a list": file_of(entry(dtype=["F32"])),
    "no entry": file_of({"a": 5}),
    "null": file_of({"a": None}),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_one_line(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "f.safetensors"
    path.write_bytes(HOSTILE[kind])
    with pytest.raises(ConfigError, match=r"^w\.path: got .*, expected [^\n]*$"):
        safetensors.read_array(str(path), "a", *KEYS)


@pytest.mark.parametrize(
    ("shape", "length"), [([1] * 30 + [2, 12], 96), ([2, 3, 4], 96), ([1, 0, 2**58], 0), ([2**59 - 1, 0], 0)]
)
def test_what_numpy_can_still_hold_is_read(shape: list[int], length: int, tmp_path: Path) -> None:
    path = tmp_path / "f.safetensors"
    path.write_bytes(file_of(entry(shape=shape, data_offsets=[0, length]), bytes(length)))
    assert safetensors.read_array(str(path), "a", *KEYS).shape == tuple(shape)


def test_a_file_that_ends_early_after_its_header_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f.safetensors").write_bytes(file_of(entry()))
    monkeypatch.setattr(safetensors, "stored", ending_early(safetensors.stored))
    match = r"^w\.path: got .*, expected all values of a \(the file ended early\)$"
    with pytest.raises(ConfigError, match=match):
        safetensors.read_array(str(tmp_path / "f.safetensors"), "a", *KEYS)


def test_a_path_that_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^w\.path: got .*, expected a \.safetensors file that can be read \(No such"
    ):
        safetensors.read_header(str(tmp_path / "no"), "a", *KEYS)


@given(st.data())
@settings(max_examples=300)
def test_a_damaged_file_is_refused_or_read(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    content = bytearray(file_of(entry()))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 90))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    path.write_bytes(content)
    try:
        header = safetensors.read_header(str(path), "a", *KEYS)
        array = safetensors.read_array(str(path), "a", *KEYS)
    except ConfigError:
        return
    assert (array.shape, array.dtype) == (header.shape, header.dtype)


# The dtypes of the format


def test_bfloat16_is_read_as_float32_exactly(tmp_path: Path) -> None:
    bits = np.arange(2**16, dtype="<u2")  # every number there is
    (tmp_path / "f.safetensors").write_bytes(
        file_of(entry(dtype="BF16", shape=[256, 256], data_offsets=[0, 131072]), bits.tobytes())
    )
    header = safetensors.read_header(str(tmp_path / "f.safetensors"), "a", *KEYS)
    read = safetensors.read_array(str(tmp_path / "f.safetensors"), "a", *KEYS)
    assert (header.shape, header.dtype, read.shape, read.dtype) == ((256, 256), np.float32, (256, 256), np.float32)
    assert read.flags.c_contiguous
    flat = read.reshape(-1)
    assert [flat[bits] for bits in (0x3F80, 0xBFC0, 0x4049, 0x0001, 0x7F7F)] == [
        1,
        -1.5,
        3.140625,
        2**-133,
        255 * 2.0**120,
    ]
    assert (flat[0x7F80], flat[0xFF80], np.signbit(flat[0x8000])) == (np.inf, -np.inf, True)
    assert flat.view(np.uint32).tolist() == [bits << 16 for bits in range(2**16)]


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES])
def test_bfloat16_of_many_blocks(size: int, tmp_path: Path) -> None:
    bits = (np.arange(size, dtype=np.int64) * 7919).astype("<u2")
    (tmp_path / "f.safetensors").write_bytes(
        file_of(entry(dtype="BF16", shape=[size], data_offsets=[0, 2 * size]), bits.tobytes())
    )
    read = safetensors.read_array(str(tmp_path / "f.safetensors"), "a", *KEYS)
    assert np.array_equal(read.view(np.uint32) >> 16, bits)


def test_bfloat16_that_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f.safetensors").write_bytes(file_of(entry(dtype="BF16", shape=[48])))
    monkeypatch.setattr(safetensors, "stored", ending_early(safetensors.stored))
    with pytest.raises(ConfigError, match=r"expected all values of a \(the file ended early\)$"):
        safetensors.read_array(str(tmp_path / "f.safetensors"), "a", *KEYS)


@pytest.mark.parametrize("dtype", sorted(set(BITS) - {"BF16", *safetensors.STORED}))
def test_a_dtype_that_is_none_of_ours_is_named_with_its_entry(dtype: str, tmp_path: Path) -> None:
    second = {"b": {"dtype": "U8", "shape": [1], "data_offsets": [BITS[dtype], BITS[dtype] + 1]}}
    content = file_of(
        {**entry(dtype=dtype, shape=[8], data_offsets=[0, BITS[dtype]]), **second}, bytes(BITS[dtype]) + b"x"
    )
    (tmp_path / "f.safetensors").write_bytes(content)
    with pytest.raises(
        ConfigError, match=rf"^w\.path: got .*, expected an array of I8, .*, BF16 \(a is {dtype}, which no"
    ):
        safetensors.read_header(str(tmp_path / "f.safetensors"), "a", *KEYS)
    assert safetensors.read_array(str(tmp_path / "f.safetensors"), "b", *KEYS).tolist() == [ord("x")]


VAST = {
    "a million arrays": (b" " * 75_000_000, r"expected a header of at most 8388608 bytes \(it has 75000000\)"),
    "lists": (b'{"a":{"x":[' + b"[]," * 2_000_000 + b"0]}}", "more than 300000 lists and objects"),
    "deep lists": (b"[" * 4_000_000, "more than 300000 lists and objects"),
    "deep lists that are few": (b"[" * 200_000, "recursion"),
    "digits": (b'{"a":' + b"9" * 8_000_000 + b"}", "out of range"),
    "numbers": (b'{"a":[' + b"1234," * 1_000_000 + b"1]}", "a: expected dtype, shape, data_offsets, each once"),
    "names": (b"{" + b",".join(b'"%d":0' % number for number in range(300_000)) + b"}", "0: expected dtype, shape"),
    "one long name": (b'{"' + b"n" * 8_000_000 + b'":5}', "nnn.*: expected dtype, shape, data_offsets, each once"),
}  # fmt: skip


@pytest.mark.parametrize("kind", VAST)
def test_a_vast_header_is_one_line_in_little_memory(kind: str, tmp_path: Path) -> None:
    header, expected = VAST[kind]
    (tmp_path / "f.safetensors").write_bytes(file_of(header, b""))
    tracemalloc.start()
    with pytest.raises(ConfigError, match=rf"^w\.path: got .*{expected}") as raised:
        safetensors.read_header(str(tmp_path / "f.safetensors"), "a", *KEYS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 << 20
    assert len(str(raised.value)) < 400
