"""Arrays out of .npz files, whole ones and hostile ones: every refusal is one line that names the key."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conv_cases import FLOATS, INTEGERS
from hypothesis import given, settings, strategies as st

from convpipe.errors import ConfigError
from convpipe.files import npz
from convpipe.files.npy import NpyHeader

VALUES = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def npy_bytes(array: np.ndarray[Any, Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def zipped(path: Path, entries: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> str:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return str(path)


# Whole files


@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_as_they_were_saved(dtype: str, save: Any, tmp_path: Path) -> None:
    arrays = {"a": VALUES.astype(dtype), "b": np.zeros((0, 3), dtype), "c": np.array(5, dtype)}
    save(tmp_path / "f.npz", **arrays)
    for name, array in arrays.items():
        header = npz.read_header(str(tmp_path / "f.npz"), name)
        got = npz.read_array(str(tmp_path / "f.npz"), name)
        assert (header.shape, header.dtype) == (array.shape, array.dtype)
        assert (got.dtype, got.shape, got.tolist()) == (array.dtype, array.shape, array.tolist())


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_both_ways_of_packing(compression: int, tmp_path: Path) -> None:
    path = zipped(tmp_path / "f.npz", {"a.npy": npy_bytes(VALUES)}, compression)
    assert np.array_equal(npz.read_array(path, "a"), VALUES)


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("size", [1, 50 << 20])
def test_ways_of_packing_that_unpack_without_bounds(compression: int, size: int, tmp_path: Path) -> None:
    path = zipped(tmp_path / "f.npz", {"a.npy": npy_bytes(VALUES) + bytes(size)}, compression)
    tracemalloc.start()
    with pytest.raises(ConfigError, match=r"\(a is packed in another way than by numpy\.savez_compressed\)$"):
        npz.read_header(path, "a")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_other_orders_of_bytes_and_axes(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", big=VALUES.astype(">f4"), fortran=np.asfortranarray(VALUES))
    for name in ("big", "fortran"):
        got = npz.read_array(str(tmp_path / "f.npz"), name)
        assert got.flags.c_contiguous
        assert got.dtype == np.dtype("float32")
        assert np.array_equal(got, VALUES)


def test_an_array_is_the_callers_own(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", a=VALUES)
    npz.read_array(str(tmp_path / "f.npz"), "a")[:] = 0
    assert np.array_equal(npz.read_array(str(tmp_path / "f.npz"), "a"), VALUES)


def test_names_with_paths_are_only_names(tmp_path: Path) -> None:
    entries = {"../../up.npy": npy_bytes(VALUES), "/root.npy": npy_bytes(VALUES), "a/b.npy": npy_bytes(VALUES)}
    path = zipped(tmp_path / "f.npz", entries)
    for name in ("../../up", "/root", "a/b"):
        assert np.array_equal(npz.read_array(path, name), VALUES)
    assert [entry.name for entry in tmp_path.iterdir()] == ["f.npz"]


def test_reading_takes_one_array_of_memory(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "f.npz", a=np.zeros(4 << 20, np.uint8))
    npz.read_array(str(tmp_path / "f.npz"), "a")
    tracemalloc.start()
    npz.read_array(str(tmp_path / "f.npz"), "a")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (4 << 20) + 4 * npz.BLOCK_BYTES


# What is not there


def test_a_missing_entry_is_named_with_a_guess(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", conv1=VALUES, conv2=VALUES)
    path = str(tmp_path / "f.npz")
    with pytest.raises(
        ConfigError, match=r"^path: got .*f\.npz, expected an array 'con1' in it, where there are conv1, "
    ):
        npz.read_header(path, "con1")
    with pytest.raises(
        ConfigError, match=r"^w\.entry: got con1, expected one of .*: conv1, conv2 \(did you mean conv1\?"
    ):
        npz.read_array(path, "con1", "w.path", "w.entry")


def test_a_long_list_of_entries_is_cut(tmp_path: Path) -> None:
    path = zipped(tmp_path / "f.npz", {f"entry{number}.npy": b"" for number in range(1000)})
    with pytest.raises(ConfigError, match=r"there are entry0, entry1, .*\.\.\.( \(did you mean|$)") as caught:
        npz.read_header(path, "x")
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize("kind", ["missing", "folder", "null"])
def test_a_path_that_is_no_file(kind: str, tmp_path: Path) -> None:
    path = {"missing": tmp_path / "no.npz", "folder": tmp_path, "null": "a\0b"}[kind]
    with pytest.raises(ConfigError, match=r"^w\.path: got .*, expected an? (regular )?\.npz file"):
        npz.read_header(str(path), "a", "w.path")


# Names that are there twice


@pytest.mark.parametrize(
    "names", [("a.npy", "a.npy"), ("a.npy", "a"), ("a", "a"), ("b.npy", "b.npy"), ("a/b", "a/b.npy")]
)
@pytest.mark.parametrize("wanted", ["a", "b", "c"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_there_twice(names: tuple[str, str], wanted: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "f.npz", "w") as archive:
        archive.writestr("c.npy", npy_bytes(VALUES))
        for number, name in enumerate(names):
            archive.writestr(name, npy_bytes(VALUES + number))
    twice = names[0].removesuffix(".npy")
    with pytest.raises(
        ConfigError, match=rf"^w\.path: .* an \.npz file with each name once \(there are two arrays {twice}"
    ):
        npz.read_array(str(tmp_path / "f.npz"), wanted, "w.path", "w.entry")


def test_names_that_differ_in_little_are_two(tmp_path: Path) -> None:
    entries = {"a.npy": VALUES, "A.npy": VALUES + 1, "a.npy.npy": VALUES + 2, " a.npy": VALUES + 3, "á.npy": VALUES + 4}
    path = zipped(tmp_path / "f.npz", {name: npy_bytes(array) for name, array in entries.items()})
    for number, name in enumerate(["a", "A", "a.npy", " a", "á"]):
        assert np.array_equal(npz.read_array(path, name), VALUES + number)


def test_a_file_of_very_many_entries_is_refused_before_they_are_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "f.npz", "w") as archive:
        for number in range(2000):
            archive.writestr(f"{number}{'n' * 5000}", b"")
    tracemalloc.start()
    with pytest.raises(ConfigError, match=r"\(its list of entries has 10\d{6} bytes, at most 4194304 are read\)$"):
        npz.read_header(str(tmp_path / "f.npz"), "a")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_many_entries_are_read_still(tmp_path: Path) -> None:
    entries = {f"weights of layer {number}.npy": b"" for number in range(5000)}
    path = zipped(tmp_path / "f.npz", {**entries, "a.npy": npy_bytes(VALUES)}, zipfile.ZIP_STORED)
    assert np.array_equal(npz.read_array(path, "a"), VALUES)
    with pytest.raises(
        ConfigError, match=r"^w\.entry: got weights of layr 7, .* \(did you mean weights of layer 7\?\)$"
    ):
        npz.read_header(path, "weights of layr 7", "w.path", "w.entry")


# Hostile files


class Evil:
    """Pickled, it would make a folder."""

    def __reduce__(self) -> Any:
        return (Path.mkdir, (Path("evil"),))


def encrypted(content: bytes) -> bytes:
    """The same archive, its entry's flag saying that it is encrypted, in both places that say it."""
    changed = bytearray(content)
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        changed[content.index(magic) + offset] |= 1
    return bytes(changed)


def with_size(content: bytes, size: int) -> bytes:
    """The same archive, whose directory claims another size of its entry, as its local header does."""
    changed = bytearray(content)
    for magic, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = content.index(magic) + offset
        changed[start : start + 4] = struct.pack("<I", size)
    return bytes(changed)


def with_method(content: bytes, method: int) -> bytes:
    """The same archive, whose entry claims to be packed in another way."""
    changed = bytearray(content)
    for magic, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = content.index(magic) + offset
        changed[start : start + 2] = struct.pack("<H", method)
    return bytes(changed)


def claiming(shape: tuple[int, ...]) -> bytes:
    """A .npy file whose header claims another shape than its data has."""
    return npy_bytes(VALUES).replace(b"(2, 3, 4), }" + b" " * 20, f"{shape}, }}".encode().ljust(32))


def hostile(kind: str) -> bytes:
    """The bytes of one hostile file whose entry is ``a``."""
    stream = io.BytesIO()
    np.savez_compressed(stream, a=VALUES)
    whole = stream.getvalue()
    data = whole.index(b"a.npy") + 10
    evil = np.empty(1, object)
    evil[0] = Evil()
    kinds = {
        "empty": b"",
        "text": b"hello, world" * 100,
        "npy": npy_bytes(VALUES),
        "half": whole[: len(whole) // 2],
        "no end": whole[:-10],
        "changed": whole[:data] + bytes(64) + whole[data + 64 :],
        "encrypted": encrypted(whole),
        "larger": with_size(whole, 1 << 31),
        "smaller": with_size(whole, 100),
        "another method": with_method(whole, 77),
        "stored, it says": with_method(whole, zipfile.ZIP_STORED),
        "another name at its place": whole.replace(b"a.npy", b"b.npy", 1),
        "another start": whole.replace(b"PK\x03\x04", b"PK\x03\x05"),
        "another sum": whole.replace(whole[whole.index(b"PK\x01\x02") + 16 :][:4], b"\1\2\3\4"),
    }
    entries = {
        "pickle": npy_bytes(evil),
        "text entry": b"hello",
        "no bytes": b"",
        "too large a shape": claiming((10**6, 10**6)),
        "too small a shape": claiming((2, 3, 1)),
        "complex": npy_bytes(VALUES.astype(complex)),
        "bool": npy_bytes(VALUES > 1),
        "text array": npy_bytes(np.array(["a"])),
        "record": npy_bytes(np.zeros(2, [("a", "f4"), ("b", "i4")])),
        "bytes behind": npy_bytes(VALUES) + b"more",
        "bomb": npy_bytes(VALUES) + bytes(50 << 20),
    }
    if kind in kinds:
        return kinds[kind]
    with zipfile.ZipFile(stream := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", entries[kind])
    return stream.getvalue()


HOSTILE = (
    "empty", "text", "npy", "half", "no end", "changed", "encrypted", "larger", "smaller", "another method",
    "stored, it says", "another name at its place", "another start", "another sum", "pickle", "text entry",
    "no bytes", "too large a shape", "too small a shape", "complex", "bool", "text array", "record", "bytes behind",
    "bomb",
)  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_one_line(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "f.npz"
    path.write_bytes(hostile(kind))
    tracemalloc.start()
    with pytest.raises(ConfigError, match=r"^w\.path: got .*, expected [^\n]*$"):
        npz.read_array(str(path), "a", "w.path")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20
    assert not (tmp_path / "evil").exists()


def test_a_size_that_header_and_directory_agree_to_lie_about(tmp_path: Path) -> None:
    content = npy_bytes(VALUES)
    huge = claiming((1000, 1000))
    with zipfile.ZipFile(stream := io.BytesIO(), "w") as archive:
        archive.writestr("a.npy", huge)
    (tmp_path / "f.npz").write_bytes(with_size(stream.getvalue(), len(content) - VALUES.nbytes + 4_000_000))
    assert npz.read_header(str(tmp_path / "f.npz"), "a").shape == (1000, 1000)
    with pytest.raises(ConfigError, match=r"^path: got .*, expected (4000000 bytes of data in a|an \.npz file)"):
        npz.read_array(str(tmp_path / "f.npz"), "a")


@given(st.data())
@settings(max_examples=300)
def test_a_damaged_file_is_refused_or_read(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, a=VALUES, b=VALUES)
    content = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(content[: data.draw(st.sampled_from([None, -1, len(content) // 2]))])
    try:
        header = npz.read_header(str(path), "a")
        array = npz.read_array(str(path), "a")
    except ConfigError:
        return
    assert isinstance(header, NpyHeader)
    assert array.nbytes == header.bytes
