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
    "no bytes": (b"", "a .npy file .it is empty"),
    "text": (b"hello, world", "a .npy file .it does not begin as one"),
    "magic only": (b"\x93NUMPY", "it does not begin as one"),
    "half a length": (b"\x93NUMPY\x01\x00\x05", "ended early"),
    "zip": (b"PK\x03\x04" + bytes(40), "it does not begin as one"),
    "version 9": (npy(plain("(0,)"), version=(9, 0)), "version 1.0, 2.0 or 3.0 .it is 9.0"),
    "version 1.7": (npy(plain("(0,)"), version=(1, 7)), "version 1.0, 2.0 or 3.0 .it is 1.7"),
    "header ends early": (npy(plain("(0,)"), length=500), "a header of 500 bytes .the file ended early"),
    "header of 4 GiB": (npy(plain("(0,)"), version=(2, 0), length=2**32 - 1), "at most 10000 bytes"),
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
    "deep": (npy("(" * 9_000), "plain numbers"),
    "deep minus": (npy("-" * 9_000 + "1"), "plain numbers"),
    "wide space": (npy("{'descr': True, 'shape': True, 'fortran_order': True" + " " * 9_000), "plain numbers"),
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


PYTHON_2 = [
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (1L, 1L, 3L, 3L), }", (1, 1, 3, 3)),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (9L,), }", (9,)),
    ("{'descr': '<f4', 'fortran_order': True, 'shape': (3, 3L), }            \n", (3, 3)),
    ("{'descr': '=f4', 'fortran_order': False, 'shape': (3L, 3), }", (3, 3)),
    ("{'shape': (9L,), 'descr': 'f4', 'fortran_order': False}", (9,)),
    ("{u'descr': u'f4', u'fortran_order': False, u'shape': (3 L, 3,)}", (3, 3)),
]


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(("header", "shape"), PYTHON_2)
def test_headers_as_python_2_wrote_them(tmp_path: Path, header: str, shape: tuple[int, ...], version: int) -> None:
    values = np.arange(9, dtype="<f4")
    (tmp_path / "x.npy").write_bytes(npy(header, values.tobytes(), (version, 0)))
    order: Any = "F" if "True" in header else "C"
    assert read_array(tmp_path / "x.npy").tolist() == values.reshape(shape, order=order).tolist()


def test_a_header_of_version_3_is_not_of_python_2(tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(npy(plain("(3L,)"), bytes(6), (3, 0)))
    with pytest.raises(ConfigError, match=r"expected a shape of at most 32 whole numbers \(its header says '\(3L,\)'"):
        read_array(tmp_path / "x.npy")


@pytest.mark.parametrize(
    ("descr", "values"),
    [("=f4", [1, -2]), ("f4", [1, -2]), ("float32", [1, -2]), ("f", [1, -2]), (">d", [1, -2]), ("|u1", [1, 254]),
     ("B", [1, 254]), (">i2", [1, -2]), ("<q", [1, -2]), ("longlong", [1, -2]), ("half", [1, -2]), ("|i1", [1, -2])],
)  # fmt: skip
def test_a_dtype_in_any_of_numpys_spellings(tmp_path: Path, descr: str, values: list[int]) -> None:
    (tmp_path / "x.npy").write_bytes(npy(plain("(2,)", f"'{descr}'"), np.array(values, descr).tobytes()))
    read = read_array(tmp_path / "x.npy")
    assert read.tolist() == values
    assert (read.dtype, read.dtype.char) == (np.dtype(descr).newbyteorder("="), np.dtype(read.dtype.name).char)


@pytest.mark.parametrize("descr", ["g", "f16", "c8", "?", "O", "V4", "T", "n0", "i3", "3i2", "", "<", "<int8", "str"])
def test_a_dtype_that_is_none_of_ours(tmp_path: Path, descr: str) -> None:
    (tmp_path / "x.npy").write_bytes(npy(plain("(2,)", f"'{descr}'"), bytes(32)))
    with pytest.raises(ConfigError, match=r"expected numbers of dtype int8, .* \(its header says \"'"):
        read_array(tmp_path / "x.npy")


def as_numpy_loads(content: bytes) -> Any:
    """What numpy.load makes of a file, or None where it refuses, leaves bytes, or has another dtype than ours."""
    file = io.BytesIO(content)
    try:
        array = np.load(file, allow_pickle=False)
    except Exception:  # noqa: BLE001 - of a dozen kinds
        return None
    return array if not file.read() and array.dtype.newbyteorder("=").name in DTYPES else None


SPACES = st.sampled_from(["", " ", "  ", "\t", "\n", "\r\n", "\x0b", "\f", "\0", "#\n", "\\\n", "\xa0"])
DESCRS = [
    "<f4",
    "f4",
    "=f4",
    "|f4",
    ">i2",
    "|u1",
    "float64",
    "e",
    "q",
    "L",
    "l",
    "?",
    "O",
    "c8",
    "i3",
    "V2",
    "3i2",
    "f16",
]
NUMBERS = ["{}", "{}L", "{} L", "0{}", "-{}", "+{}", "{}l", "{}.0", "{}_0", "0x{}", "{}LL"]
ORDERS = ["True", "False", "0", "None", "'True'"]


@st.composite
def headers(draw: st.DrawFn) -> tuple[str, bytes]:
    """A header in some writer's form, mostly legal, and as many bytes of data as it means."""
    seldom = st.integers(0, 9).map(lambda number: number == 0)
    sizes = draw(st.lists(st.integers(0, 3), max_size=4))
    forms = [draw(st.sampled_from(NUMBERS)) if draw(seldom) else NUMBERS[draw(st.integers(0, 1))] for _ in sizes]
    space = draw(SPACES) if draw(seldom) else draw(st.sampled_from(["", " "]))
    numbers = [form.format(size) for form, size in zip(forms, sizes, strict=True)]
    shape = f"({f'{space},'.join(numbers)}{',' if len(numbers) == 1 or (numbers and draw(seldom)) else ''})"
    descr = draw(st.sampled_from(DESCRS))
    mark = draw(st.sampled_from(["'", '"'])) if not draw(seldom) else "u'"
    entries = {"descr": mark + descr + mark[-1], "fortran_order": draw(st.sampled_from(ORDERS[:2])), "shape": shape}
    if draw(seldom):
        entries["fortran_order"] = draw(st.sampled_from(ORDERS))
    names = draw(st.permutations(list(entries)))[: 2 if draw(seldom) else 3]
    ending = draw(st.sampled_from(["", ",", ", ", ",,"])) + space + "}" + draw(st.sampled_from(["", " \n", "\n ", "x"]))
    text = "{" + f"{space},{space}".join(f"'{name}'{space}:{space}{entries[name]}" for name in names) + ending
    length = int(np.prod(sizes)) * (int(descr[-1]) if descr[-1].isdigit() else np.dtype(descr).itemsize)
    return text, bytes(range(1, 1 + min(length, 255))) + bytes(max(0, length - 255))


@settings(
    deadline=None, max_examples=1500, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(header=headers(), version=st.integers(1, 3))
@pytest.mark.filterwarnings("ignore")
def test_a_header_is_read_as_numpy_reads_it_or_refused(tmp_path: Path, header: tuple[str, bytes], version: int) -> None:
    content = npy(*header, (version, 0))
    (tmp_path / "x.npy").write_bytes(content)
    expected = as_numpy_loads(content)
    try:
        read = read_array(tmp_path / "x.npy")
    except ConfigError:
        unusual = any(mark in header[0] for mark in ("#", "\\", "_", "0x", "+", "LL", "3i2", "\0"))
        assert expected is None or unusual, "what is plain is read"
        return
    assert expected is not None
    assert (read.shape, read.dtype) == (expected.shape, expected.dtype.newbyteorder("="))
    assert read.tobytes() == expected.astype(read.dtype).tobytes()


OWN = sorted(Path(np.__file__).parent.rglob("*.npy"))  # of NumPy's tests, some written by Python 2 on Windows


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
@pytest.mark.filterwarnings("ignore:Reading .* required additional header parsing")
def test_numpys_own_files_are_read_as_numpy_reads_them(path: Path) -> None:
    expected = as_numpy_loads(path.read_bytes())
    if expected is None:
        with pytest.raises(ConfigError, match=r"expected numbers of dtype int8"):
            read_array(path)
    else:
        assert read_array(path).tolist() == expected.tolist()


@pytest.mark.filterwarnings("ignore:Reading .* required additional header parsing")
def test_the_comparison_with_numpy_reads_many_and_refuses_many() -> None:
    contents = [npy(plain("(1L,)", f"'{descr}'"), bytes(np.dtype(descr).itemsize)) for descr in DESCRS if descr != "i3"]
    assert sum(as_numpy_loads(content) is not None for content in contents) == 11
    assert as_numpy_loads(GOOD + b"x") is None


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
    reason = {"folder": r" \(it is a folder, no regular file\)$", "pipe": r" \(it is a pipe, a device or the like, "}
    expected = rf"^filters\.path: got .*expected a \.npy file{reason.get(name, '')}"
    with pytest.raises(ConfigError, match=expected):
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
