"""The guarded .npy reader: what NumPy writes comes back, and everything else is one line of error."""

from __future__ import annotations

import io
import os
import pickle
import re
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from hypothesis.extra import numpy as hnp
from run_cases import bound_by_permissions, ending_early

from convpipe.errors import ConfigError
from convpipe.files import npy as npy_files
from convpipe.files.npy import NpyHeader, read_array, read_header
from convpipe.tensors import DTYPES


def npy(header: str, data: bytes = b"", version: tuple[int, int] = (1, 0), length: int | None = None) -> bytes:
    """The bytes of a .npy file with any header, true or not."""
    text = header.encode("latin1")
    size = (len(text) if length is None else length).to_bytes(2 if version[0] == 1 else 4, "little")
    return b"\x93NUMPY" + bytes(version) + size + text + data


def saved(array: Any, **options: Any) -> bytes:
    """The bytes that numpy.save writes."""
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def plain(shape: str, descr: str = "'<i2'", order: str = "False") -> str:
    """A header in NumPy's own form."""
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


class Bomb:
    """What a pickle would run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("pwned",))


GOOD = saved(np.arange(6, dtype=np.int16).reshape(2, 3))
HOSTILE = {
    "no bytes": (b"", "a .npy file .it does not begin as one"),
    "text": (b"hello, world", "a .npy file .it does not begin as one"),
    "magic only": (b"\x93NUMPY", "it does not begin as one"),
    "half a length": (b"\x93NUMPY\x01\x00\x05", "ended early"),
    "zip": (b"PK\x03\x04" + bytes(40), "it does not begin as one"),
    "version 9": (npy(plain("(0,)"), version=(9, 0)), "version 1.0, 2.0 or 3.0 .it is 9.0"),
    "version 1.7": (npy(plain("(0,)"), version=(1, 7)), "version 1.0, 2.0 or 3.0 .it is 1.7"),
    "header ends early": (npy(plain("(0,)"), length=500), "a header of 500 bytes .the file ended early"),
    "header of 4 GiB": (npy(plain("(0,)"), version=(2, 0), length=2**32 - 1), "at most 65536 bytes"),
    "truncated data": (GOOD[:-1], "12 bytes of data, int16 .2, 3. .it has 11"),
    "no data": (npy(plain("(2, 3)")), "12 bytes of data, int16 .2, 3. .it has 0"),
    "trailing bytes": (GOOD + b"\0", "12 bytes of data, int16 .2, 3. .it has 13"),
    "gigantic": (npy(plain("(1000000, 1000000)"), bytes(8)), "2000000000000 bytes of data.*it has 8"),
    "beyond 64 bits": (npy(plain("(4294967296, 4294967296)"), bytes(8)), "that memory can address"),
    "empty but gigantic": (npy(plain("(0, 4294967296, 4294967296)")), "that memory can address"),
    "a size of many digits": (npy(plain(f"({'9' * 5000},)")), "whole numbers"),
    "many axes": (npy(plain(f"({'1, ' * 40})"), bytes(2)), "at most 32 whole numbers"),
    "negative": (npy(plain("(-1, -6)"), bytes(12)), "plain numbers"),
    "bool size": (npy(plain("(True,)"), bytes(2)), "plain numbers"),
    "float size": (npy(plain("(1.0,)"), bytes(2)), "plain numbers"),
    "a number for a shape": (npy(plain("(3)"), bytes(6)), "whole numbers"),
    "no number for a shape": (npy(plain("(,)"), bytes(6)), "whole numbers"),
    "a text for a shape": (npy(plain("'(3,)'"), bytes(6)), "whole numbers"),
    "pickled objects": (saved(np.array([Bomb()], object), allow_pickle=True), "dtype int8.*its header says '\"?'|O'"),
    "pickle": (pickle.dumps(Bomb()), "it does not begin as one"),
    "structured": (saved(np.zeros(2, [("a", "i2"), ("b", "f4")])), "plain numbers"),
    "subarray": (npy(plain("(1,)", descr="('<i2', (3,))"), bytes(6)), "plain numbers"),
    "two fields in a text": (npy(plain("(1,)", descr="'i2, i2'"), bytes(4)), "numbers of dtype"),
    "string": (saved(np.array(["a", "b"])), "numbers of dtype"),
    "bytes": (saved(np.array([b"a"])), "numbers of dtype"),
    "bool": (saved(np.array([True])), "numbers of dtype"),
    "complex": (saved(np.array([1j])), "numbers of dtype"),
    "date": (saved(np.array(["2020-01-01"], "M8[D]")), "numbers of dtype"),
    "dtype not quoted": (npy(plain("(1,)", descr="True"), bytes(2)), "numbers of dtype"),
    "order not a bool": (npy(plain("(1,)", order="'F'"), bytes(2)), "fortran_order True or False"),
    "code": (npy("__import__('os').mkdir('pwned')"), "plain numbers"),
    "code for a shape": (npy(plain("(__import__('os').mkdir('pwned'),)")), "plain numbers"),
    "deep": (npy("(" * 60_000), "plain numbers"),
    "deep minus": (npy("-" * 60_000 + "1"), "plain numbers"),
    "wide space": (npy("{'descr': True, 'shape': True, 'fortran_order': True" + " " * 60_000), "plain numbers"),
    "null characters": (npy("\0" * 100), "plain numbers"),
    "broken lines": (npy("{'descr'\n\n\n:\x1b[2J"), "plain numbers"),
    "a key twice": (npy("{'descr': '<i2', 'descr': '<i2', 'shape': (1,), }", bytes(2)), "plain numbers"),
    "a key too many": (npy(plain("(1,)")[:-1] + "'x': True}", bytes(2)), "plain numbers"),
    "a key missing": (npy("{'descr': '<i2', 'shape': (1,), }", bytes(2)), "plain numbers"),
    "no dict": (npy("[1, 2]"), "plain numbers"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("read", [read_header, read_array])
def test_hostile_files_are_one_line_of_error(tmp_path: Path, monkeypatch: Any, name: str, read: Any) -> None:
    monkeypatch.chdir(tmp_path)
    content, expected = HOSTILE[name]
    Path("x.npy").write_bytes(content)
    tracemalloc.start()
    started = time.process_time()
    with pytest.raises(ConfigError, match=rf"^input\.path: got x\.npy, expected .*{expected}") as raised:
        read("x.npy", "input.path")
    assert tracemalloc.get_traced_memory()[1] < 4_000_000
    tracemalloc.stop()
    assert time.process_time() - started < 5  # 0.02 as a rule; without an end where a pattern backtracks
    assert "\n" not in str(raised.value)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 400
    assert not Path("pwned").exists()


@pytest.mark.parametrize("cut", range(0, len(GOOD), 7))
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, cut: int) -> None:
    (tmp_path / "x.npy").write_bytes(GOOD[:cut])
    with pytest.raises(ConfigError, match=r"^input\.path: got .*expected"):
        read_array(tmp_path / "x.npy", "input.path")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(place=st.integers(0, len(GOOD) - 1), byte=st.integers(0, 255))
def test_a_changed_byte_reads_or_is_refused(tmp_path: Path, place: int, byte: int) -> None:
    (tmp_path / "x.npy").write_bytes(GOOD[:place] + bytes([byte]) + GOOD[place + 1 :])
    try:
        outcome: Any = read_array(tmp_path / "x.npy").nbytes
    except ConfigError as error:
        outcome = str(error)
    assert outcome == 12 or "\n" not in outcome


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(data=st.data(), dtype=st.sampled_from(DTYPES), order=st.sampled_from("CF"), endian=st.sampled_from("<>"))
def test_what_numpy_saves_comes_back(tmp_path: Path, data: Any, dtype: str, order: Any, endian: Any) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4))
    array = data.draw(hnp.arrays(dtype, shape))
    np.save(tmp_path / "x.npy", np.asarray(array, array.dtype.newbyteorder(endian), order=order))
    read = read_array(tmp_path / "x.npy")
    assert read.dtype == np.dtype(dtype)
    assert read.dtype.isnative
    assert read.flags.c_contiguous
    assert read.shape == shape
    assert read.tobytes() == np.ascontiguousarray(array).tobytes()
    header = read_header(tmp_path / "x.npy")
    assert (header.shape, header.bytes) == (shape, array.nbytes)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_format_version_reads(tmp_path: Path, version: tuple[int, int]) -> None:
    with (tmp_path / "x.npy").open("wb") as file:
        np.lib.format.write_array(file, np.arange(3, dtype=np.int8), version=version)
    assert read_array(tmp_path / "x.npy").tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "header",
    ["{'shape':(3,),'descr':'|u1','fortran_order':True}", '{"fortran_order": False, "shape": (3 ,), "descr": "<u1"}\n'],
)
def test_other_writers_headers_read(tmp_path: Path, header: str) -> None:
    (tmp_path / "x.npy").write_bytes(npy(header, b"\1\2\3"))
    assert read_array(tmp_path / "x.npy").tolist() == [1, 2, 3]


def test_the_header_as_a_record(tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(GOOD)
    assert read_header(tmp_path / "x.npy") == NpyHeader((2, 3), np.dtype("<i2"), False, 128)


@pytest.mark.parametrize("shape", [(1,) * 30 + (2, 3), (2, 3), (2**59 - 1, 0)])
def test_what_numpy_can_still_hold_is_read(tmp_path: Path, shape: tuple[int, ...]) -> None:
    (tmp_path / "x.npy").write_bytes(npy(plain(str(shape)), GOOD[-12:] if 0 not in shape else b""))
    assert read_array(tmp_path / "x.npy").shape == shape
    for more in ((1,) * 31 + (2, 3), (2**59, 0)):
        (tmp_path / "x.npy").write_bytes(npy(plain(str(more)), GOOD[-12:] if 0 not in more else b""))
        with pytest.raises(
            ConfigError, match=r"expected a shape (of at most 32 whole numbers|that memory can address)"
        ):
            read_array(tmp_path / "x.npy")


@pytest.mark.parametrize("name", ["", "missing.npy", "folder", "pipe", "file/x.npy", "null\0.npy", "long" * 100])
def test_what_is_not_a_readable_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(GOOD)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match=r"^filters\.path: got .*expected a (regular )?\.npy file"):
        read_array(tmp_path / name, "filters.path")


def test_a_file_without_permission_is_refused() -> None:
    with bound_by_permissions() as folder:
        (folder / "x.npy").write_bytes(GOOD)
        (folder / "x.npy").chmod(0)
        with pytest.raises(ConfigError, match=re.escape("that can be read (Permission denied)")):
            read_array(folder / "x.npy")


def test_a_file_that_ends_early_after_its_header_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.npy").write_bytes(GOOD)
    monkeypatch.setattr(npy_files, "header_of", ending_early(npy_files.header_of))
    with pytest.raises(ConfigError, match=r"^path: got .*x\.npy, expected 12 bytes of data \(the file ended early\)$"):
        read_array(tmp_path / "x.npy")
