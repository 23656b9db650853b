"""Arrays out of .safetensors files: as the package of that name writes them, and hostile ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conv_cases import FLOATS, INTEGERS
from hypothesis import given, settings, strategies as st
from run_cases import ending_early

from convpipe.errors import ConfigError
from convpipe.files import safetensors

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
    "vast": file_of(entry(shape=[2**40, 2**40, 0], data_offsets=[0, 0])),
    "too large to address": file_of(entry(shape=[2**59, 0], data_offsets=[0, 0])),
    "an axis too many": file_of(entry(shape=[1] * 31 + [2, 12])),
    "negative shape": file_of(entry(shape=[-2, -3, 4])),
    "true shape": file_of(entry(shape=[True, 24])),
    "float shape": file_of(entry(shape=[2.0, 12])),
    "text shape": file_of(entry(shape="24")),
    "too many axes": file_of(entry(shape=[1] * 40 + [24])),
    "bfloat16": file_of(entry(dtype="BF16", shape=[48])),
    "bool": file_of(entry(dtype="BOOL", shape=[96])),
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
    ("shape", "span"),
    [([1] * 30 + [2, 12], [0, 96]), ([2, 3, 4], [0, 96]), ([1, 0, 2**58], [0, 0]), ([2**59 - 1, 0], [96, 96])],
)
def test_what_numpy_can_still_hold_is_read(shape: list[int], span: list[int], tmp_path: Path) -> None:
    path = tmp_path / "f.safetensors"
    path.write_bytes(file_of(entry(shape=shape, data_offsets=span)))
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
