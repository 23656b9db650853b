"""One run on disk: whole or not there, the same bytes every time, and every damage found."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import resource
import shutil
import subprocess
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conv_cases import memory_orders
from hypothesis import given, strategies as st
from run_cases import (
    FullDisk,
    a_place,
    a_run,
    a_spec,
    bound_by_permissions,
    contents,
    edit_manifest,
    edit_rows,
    execute,
    hidden,
    plain_config,
    reseal,
)

from convpipe.archive.format import COLUMNS, stage_row
from convpipe.archive.read import load
from convpipe.archive.verify import verify
from convpipe.archive.write import Draft, drafting, publish, write_file
from convpipe.errors import ArchiveError, StorageError
from convpipe.files.npy import BLOCK_BYTES, array_sha256, blocks, npy_header, read_array
from convpipe.tensors import DTYPES

EMPTY_SHA256 = hashlib.sha256().hexdigest()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with every stage kept, not to be changed."""
    return a_run(tmp_path_factory.mktemp("made") / "c", {"keep": "stages"}).path


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(made, tmp_path / "c" / made.name))


# What is written


def test_a_run_has_the_files_of_the_contract(made: Path) -> None:
    stages = ["00_input", "01_filters", "02_pad", "03_im2col", "04_fil2col", "05_matmul", "06_reshape", "output"]
    texts = ["SHA256SUMS", "config.yaml", "manifest.json", "stages.csv"]
    assert sorted(path.name for path in made.iterdir()) == sorted([*texts, *(f"{name}.npy" for name in stages)])


def test_only_the_output_is_kept_unless_asked(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    assert [path.name for path in sorted(run.path.glob("*.npy"))] == ["output.npy"]
    assert [row["file"] for row in run.rows] == [""] * 6 + ["output.npy"]


def test_stages_csv_and_sums_are_the_same_bytes_on_every_repeat(tmp_path: Path) -> None:
    first, second = (a_run(tmp_path / name, {"keep": "stages"}).path for name in "ab")
    for path in first.iterdir():
        same = path.read_bytes() == (second / path.name).read_bytes()
        assert same or path.name == "manifest.json", path.name


def test_stages_csv_holds_the_columns_of_the_contract(made: Path) -> None:
    lines = (made / "stages.csv").read_bytes().decode().split("\n")
    assert lines[0] == "stage,op,shape,dtype,bytes,macs,min,max,sha256,file"
    assert lines[1].startswith('input,integers,"(1,2,5,4)",int16,80,0,-8,7,')
    assert len(lines) == 9
    assert lines[-1] == ""


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum here")
def test_sha256sum_agrees(made: Path) -> None:
    done = subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=made, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": OK\n") == len(list(made.iterdir())) - 2


def test_the_archive_id_is_the_hash_of_the_sums(made: Path) -> None:
    manifest = json.loads((made / "manifest.json").read_text())
    assert manifest["archive_id"] == hashlib.sha256((made / "SHA256SUMS").read_bytes()).hexdigest()
    assert (manifest["format"], manifest["run_id"], manifest["status"]) == (2, made.name, "done")


def test_the_manifest_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    real = write_file

    def noted(path: str, content: Any) -> str:
        written.append(Path(path).name)
        return real(path, content)

    monkeypatch.setattr("convpipe.archive.write.write_file", noted)
    a_run(tmp_path)
    assert written == ["config.yaml", "output.npy", "stages.csv", "SHA256SUMS", "manifest.json"]


# Arrays


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_array_is_stored_alike_whatever_its_order_in_memory(tmp_path: Path, dtype: str) -> None:
    values = np.arange(24).reshape(2, 3, 4).astype(dtype)
    others = [("big-endian", values.astype(values.dtype.newbyteorder(">"))), *memory_orders(values)]
    expected = hashlib.sha256(values.astype(values.dtype.newbyteorder("<")).tobytes()).hexdigest()
    draft = Draft(tmp_path)
    assert draft.save("plain.npy", values) == expected
    for name, other in others:
        assert draft.save(f"{name}.npy", other) == array_sha256(other) == expected, name
        assert draft.sums[f"{name}.npy"] == draft.sums["plain.npy"], name
    stored = np.load(tmp_path / "plain.npy")
    assert stored.dtype == dtype
    assert stored.flags.c_contiguous
    np.testing.assert_array_equal(stored, values)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (1, 1, 1), (7,), (2, 1, 3)])
def test_arrays_of_any_shape_are_read_again(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = np.full(shape, 7, np.int16)
    digest = Draft(tmp_path).save("a.npy", values)
    assert digest == hashlib.sha256(values.tobytes()).hexdigest()
    for read in (np.load(tmp_path / "a.npy"), read_array(tmp_path / "a.npy")):
        assert read.shape == shape
        assert read.dtype == np.int16
        np.testing.assert_array_equal(read, values)


def test_the_header_is_numpys_own_and_aligned() -> None:
    header = npy_header((3, 4), np.dtype("int8"))
    assert len(header) % 64 == 0
    assert header.endswith(b"\n")
    file = io.BytesIO(header)
    assert np.lib.format.read_magic(file) == (1, 0)
    assert np.lib.format.read_array_header_1_0(file) == ((3, 4), False, np.dtype("int8"))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 4000, 1000), np.int16),
        np.zeros((3, 4000, 1000), np.int16).transpose(2, 1, 0),
        np.zeros((1, 1, 24_000_000), np.uint8)[..., ::-2],
        np.zeros((1, 6, 1_000_000), ">i4"),
    ],
    ids=["plain", "transposed", "backwards", "big-endian"],
)
def test_blocks_never_copy_much(array: np.ndarray[Any, Any]) -> None:
    tracemalloc.start()
    try:
        total = sum(block.nbytes for block in blocks(array))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == array.nbytes > BLOCK_BYTES
    assert peak < 2.5 * BLOCK_BYTES  # one made while the last is still in the loop's hand, and no third


@given(st.integers(1, 40), st.permutations([2, 3, 5]), st.permutations([0, 1, 2]))
def test_blocks_of_any_size_are_the_same_bytes(block_bytes: int, shape: list[int], axes: list[int]) -> None:
    array = np.arange(30, dtype=np.int16).reshape(shape).transpose(axes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("convpipe.files.npy.BLOCK_BYTES", block_bytes)
        assert b"".join(blocks(array)) == array.tobytes()


def test_extremes_of_a_row() -> None:
    def extremes(values: Any, dtype: str) -> tuple[object, object]:
        row = stage_row("s", "o", np.array(values, dtype), 0, "", "")
        return row["min"], row["max"]

    assert extremes([0, 2**64 - 1], "uint64") == (0, 2**64 - 1)
    assert extremes([-(2**63)], "int64") == (-(2**63), -(2**63))
    assert str(extremes([-0.0], "float32")) == "(0.0, 0.0)"
    assert extremes([], "float32") == ("", "")
    assert str(extremes([1, np.nan, np.inf], "float16")) == "(nan, nan)"
    assert extremes([0.1], "float32") == (0.10000000149011612, 0.10000000149011612)


# Whole or not there


def leave_nothing(folder: Path) -> bool:
    return not folder.exists() or not list(folder.iterdir())


def test_what_is_not_published_is_removed_with_its_folders(tmp_path: Path) -> None:
    with drafting(tmp_path / "a" / "b" / "0123456789ab") as draft:
        draft.write("config.yaml", b"")
        assert draft.folder.parent == tmp_path / "a" / "b"
        assert draft.folder.name.startswith(".staging-0123456789ab-")
    assert leave_nothing(tmp_path)


def test_other_runs_folders_are_not_removed(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    with drafting(tmp_path / "c" / "0123456789ab"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_publish_leaves_what_is_there(made: Path, tmp_path: Path) -> None:
    place = tmp_path / "0123456789ab"
    for content, expected in ((b"first", True), (b"second", False)):
        with drafting(place) as draft:
            draft.write("config.yaml", content)
            assert publish(draft, place) is expected
    assert contents(tmp_path) == {"0123456789ab/config.yaml": b"first"}


def test_publish_onto_a_file_leaves_it(tmp_path: Path) -> None:
    (tmp_path / "0123456789ab").write_bytes(b"mine")
    with drafting(tmp_path / "0123456789ab") as draft:
        assert not publish(draft, tmp_path / "0123456789ab")
    assert contents(tmp_path) == {"0123456789ab": b"mine"}


WRITES = 2 * 8 + 4  # header and values of eight arrays, four texts


@pytest.mark.parametrize("room", range(WRITES))
def test_a_disk_full_at_any_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    a_run(tmp_path / "c", {"seed": 99})
    before, spec, place = contents(tmp_path), a_spec(), a_place(tmp_path / "c", keep="stages")
    with monkeypatch.context() as disk:
        disk.setattr(os, "write", FullDisk(room))
        with pytest.raises(StorageError, match=r"/[0-9a-f]{12}/[^/]+: No space left on device; nothing was kept"):
            execute(spec, place)
    assert contents(tmp_path) == before
    assert hidden(tmp_path / "c") == []
    monkeypatch.setattr(os, "write", FullDisk(WRITES))
    assert execute(spec, place).verdict == "new"


def test_a_system_that_writes_a_few_bytes_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, real = a_run(tmp_path / "whole", {"keep": "stages"}).path, os.write
    monkeypatch.setattr(os, "write", lambda file, content: real(file, content[:7]))
    pieces = a_run(tmp_path / "pieces", {"keep": "stages"}).path
    verify(pieces)
    assert (pieces / "SHA256SUMS").read_bytes() == (whole / "SHA256SUMS").read_bytes()


@pytest.mark.parametrize("room", [0, 10, 100, 300])
def test_a_limit_of_the_system_itself(tmp_path: Path, room: int) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(StorageError, match="File too large"):
            a_run(tmp_path / "c")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert leave_nothing(tmp_path)


def test_a_full_disk_while_repeating_leaves_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_run(tmp_path)
    before = contents(tmp_path)
    monkeypatch.setattr(os, "write", FullDisk(1))
    with pytest.raises(StorageError, match="No space left"):
        a_run(tmp_path)
    assert contents(tmp_path) == before
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("place", ["/proc/convpipe/c", "/dev/null/c"])
def test_a_place_that_cannot_be_written(place: str) -> None:
    with pytest.raises(StorageError, match=f"{place.rsplit('/', 1)[0]}.*nothing was kept"):
        a_run(Path(place))


def test_a_read_only_parent() -> None:
    with bound_by_permissions() as folder:
        folder.chmod(0o500)
        with pytest.raises(StorageError, match="Permission denied; nothing was kept"):
            a_run(folder / "c")
        assert list(folder.iterdir()) == []


def test_an_error_of_the_watcher_is_its_own(tmp_path: Path) -> None:
    def broken(result: object) -> None:
        raise BrokenPipeError("the reader went away")

    with pytest.raises(BrokenPipeError, match="the reader went away"):
        execute(a_spec(), a_place(tmp_path / "c"), broken)
    assert leave_nothing(tmp_path)


# Every damage is found


def test_a_whole_run_is_verified(run: Path) -> None:
    for arrays in (True, False):
        assert verify(run, arrays=arrays).manifest["run_id"] == run.name


@pytest.mark.parametrize("name", ["config.yaml", "stages.csv", "SHA256SUMS", "output.npy", "03_im2col.npy"])
def test_every_flipped_bit_is_found(run: Path, name: str) -> None:
    path = run / name
    whole = path.read_bytes()
    step = 1 if len(whole) < 300 else 13  # of long files every 13th, which is each bit of a byte in its turn
    for bit in range(0, 8 * len(whole), step):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(ArchiveError, match=re.escape(str(run))):
            verify(run)
    path.write_bytes(whole)
    verify(run)


@pytest.mark.parametrize("arrays", [True, False])
def test_every_missing_renamed_or_truncated_file_is_found(made: Path, tmp_path: Path, arrays: bool) -> None:
    for number, name in enumerate(path.name for path in made.iterdir()):
        for verb, damage in DAMAGES.items():
            run = Path(shutil.copytree(made, tmp_path / f"{number}{verb}"))
            damage(run / name)
            with pytest.raises(ArchiveError, match=str(run)):
                verify(run, arrays=arrays)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "removed": lambda path: path.unlink(),
    "renamed": lambda path: path.rename(path.with_name("other" + path.name)),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-2]),
    "emptied": lambda path: path.write_bytes(b""),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "a link": lambda path: (path.rename(path.parent.parent / "else"), path.symlink_to(path.parent.parent / "else")),
}


@pytest.mark.parametrize("name", ["extra.npy", "hidden.", "99_more.npy", "map.png"])
def test_every_added_file_is_found(run: Path, name: str) -> None:
    (run / name).write_bytes(b"")
    with pytest.raises(ArchiveError, match=f"{name}: a file that SHA256SUMS does not list"):
        verify(run)


def test_swapped_files_are_found(run: Path) -> None:
    (run / "output.npy").rename(run / "kept")
    (run / "00_input.npy").rename(run / "output.npy")
    (run / "kept").rename(run / "00_input.npy")
    with pytest.raises(ArchiveError, match=r"00_input\.npy: got \d+ bytes, expected"):
        verify(run)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("  output.npy", "  ../output.npy", "a file of this folder"),
        ("  output.npy", "  /etc/passwd", "a file of this folder"),
        ("  output.npy", " *output.npy", "a hash and a file"),
        ("\n", "\r\n", "one line for each file"),
        ("  output.npy\n", "  output.npy\n\n", "a hash and a file"),
        ("  stages.csv\n", "  stages.csv", "one line for each file"),
        ("  config.yaml", "  output.npy", "one line for each file"),
    ],
)
def test_only_plain_sums_are_read(run: Path, old: str, new: str, match: str) -> None:
    sums = run / "SHA256SUMS"
    text = sums.read_text()
    assert old in text
    sums.write_bytes(text.replace(old, new).encode())
    with pytest.raises(ArchiveError, match=f"SHA256SUMS: .*{match}"):
        verify(run)


@pytest.mark.parametrize("name", ["config.yaml", "stages.csv", "output.npy"])
def test_no_file_may_be_left_out_with_its_line(run: Path, name: str) -> None:
    (run / name).unlink()
    digests = (run / "SHA256SUMS").read_text().splitlines(keepends=True)
    (run / "SHA256SUMS").write_text("".join(line for line in digests if name not in line))
    with pytest.raises(ArchiveError, match=f"expected a line for {name}"):
        verify(run)


def test_an_edited_config_is_another_run(run: Path) -> None:
    path = run / "config.yaml"
    path.write_text(path.read_text().replace("seed: 3", "seed: 4"))
    reseal(run)
    with pytest.raises(ArchiveError, match=f"manifest.json: got run_id {run.name}, expected [0-9a-f]{{12}}, that of"):
        verify(run)


@pytest.mark.parametrize("key", ["archive_id", "run_id"])
def test_edited_ids_are_found(run: Path, key: str) -> None:
    edit_manifest(run, **{key: "0" * 12})
    with pytest.raises(ArchiveError, match=f"manifest.json: got {key} 000000000000, expected "):
        verify(run)


@pytest.mark.parametrize("form", [0, 3, True, 1.0, "1", None, [1]])
def test_another_format_is_refused(run: Path, form: object) -> None:
    edit_manifest(run, format=form)
    with pytest.raises(ArchiveError, match=r"manifest.json: got format .*, expected one of 1, 2"):
        load(run)


@pytest.mark.parametrize(
    ("column", "value"), [("shape", "(1,5,6,3)"), ("dtype", "int32"), ("bytes", "1"), ("sha256", EMPTY_SHA256)]
)
def test_an_array_that_is_not_the_one_of_its_row(run: Path, column: str, value: str) -> None:
    edit_rows(run, lambda row: row.update({column: value}) if row["stage"] == "reshape" else None)
    reseal(run)
    with pytest.raises(ArchiveError, match=f"output.npy: got {column} .*, expected {re.escape(value)}, as stages.csv"):
        verify(run)


# Reading


def test_a_run_reads_as_it_was_made(made: Path) -> None:
    run = load(str(made))
    plain = plain_config({"filters.kernel": 2})  # in its shortest spelling
    assert run.config == {**plain, "conv": run.config["conv"]}
    assert run.output.shape == (1, 6, 5, 3)
    assert run.output.dtype == np.int16
    np.testing.assert_array_equal(run.array("reshape"), run.output)
    np.testing.assert_array_equal(run.array("matmul"), run.output.reshape(30, 3))
    np.testing.assert_array_equal(run.array("pad")[:, :, 1:-1, 1:-1], run.array("input"))


def test_the_table_of_stages_is_typed(made: Path) -> None:
    stages = load(made).stages
    assert list(stages.columns) == list(COLUMNS)
    assert len(stages) == 7
    assert {column: stages[column].dtype.kind for column in ("bytes", "macs", "min", "max")} == dict.fromkeys(
        ("bytes", "macs", "min", "max"), "i"
    )
    assert stages["macs"].sum() == 30 * 3 * 8
    assert stages["shape"][3] == "(30,8)"


def test_the_table_of_an_empty_and_of_a_float_run(tmp_path: Path) -> None:
    empty = a_run(tmp_path, {"input.shape": [0, 2, 5, 4], "input.dtype": "float32"}).stages
    assert empty["min"].isna().tolist() == [True, False, True, True, False, True, True]
    assert empty["min"].dtype == "Int64"


def test_a_stage_that_is_not_there(made: Path, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="got stage 'conv', expected one of input, filters, pad, im2col"):
        load(made).array("conv")
    with pytest.raises(ArchiveError, match=r"the array of 'matmul' was not kept \(run with keep=stages\)"):
        a_run(tmp_path).array("matmul")


def test_no_run_there(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere", "a\0b"):
        with pytest.raises(ArchiveError, match=r"manifest\.json"):
            load(folder)
        with pytest.raises(ArchiveError, match="SHA256SUMS"):
            verify(folder)


@pytest.mark.parametrize("name", ["output.npy", "03_im2col.npy"])
def test_an_array_is_not_read_through_a_link(run: Path, tmp_path: Path, name: str) -> None:
    shutil.move(run / name, tmp_path / "elsewhere.npy")
    (run / name).symlink_to(tmp_path / "elsewhere.npy")
    loaded = load(run)
    with pytest.raises(ArchiveError, match=f"{re.escape(name)}: expected a regular file$"):
        assert loaded.output.size if name == "output.npy" else loaded.array("im2col").size


@pytest.mark.parametrize("name", ["config.yaml", "stages.csv", "manifest.json", "SHA256SUMS", "output.npy"])
def test_a_file_that_may_not_be_read_is_named(name: str) -> None:
    with bound_by_permissions() as folder:
        run = a_run(folder / "c").path
        (run / name).chmod(0)
        message = rf"^{re.escape(str(run / name))}: (expected a \.npy file that can be read \()?Permission denied\)?$"
        with pytest.raises(ArchiveError, match=message):
            verify(run)
        if name != "SHA256SUMS":  # which only verify reads
            with pytest.raises(ArchiveError, match=message):
                assert load(run).output.size


HOSTILE_FILES = {
    "config.yaml": [
        b"- 1\n",
        b"\xff",
        b"a: !!python/object/apply:os.system [touch /tmp/x]\n",
        b"a: &a [1]\nb: *a\n",
        b"a: [" * 5000,
        b"{" * 100_000,
        b"a: 1\na: {\n",
        b"",
    ],
    "stages.csv": [b"", b"stage,op\n", b"\xff", b"\0", b'"' + b"a" * 200_000, b"stage;op;shape\n1\n"],
    "manifest.json": [b"", b"[]", b"{", b"nan", b"1", b"[" * 100_000, b"\xff", b'{"format": NaN}'],
    "output.npy": [b"", b"\x93NUMPY", b"\x80\x04\x95.", b"\x93NUMPY\x01\x00\xff\xff{"],
}


@pytest.mark.parametrize(
    ("name", "content"), [(name, content) for name, contents in HOSTILE_FILES.items() for content in contents]
)
def test_hostile_files_are_archive_errors(run: Path, name: str, content: bytes) -> None:
    (run / name).write_bytes(content)
    with pytest.raises(ArchiveError, match=re.escape(name)):
        _ = load(run).output


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("file", "../../etc/passwd"),
        ("file", "/etc/passwd.npy"),
        ("file", ".."),
        ("file", ".hidden.npy"),
        ("file", "config.yaml"),
        ("bytes", "-1"),
        ("bytes", "9" * 5000),
        ("macs", "many"),
        ("min", "[bold]"),
        ("max", "1" * 400),
        ("shape", "(1,-2)"),
        ("shape", "(1,2"),
        ("dtype", "|O"),
        ("sha256", "ff"),
        ("stage", "a\nb"),
        ("stage", ""),
        ("op", "\x1b[2J"),
    ],
)
def test_rows_of_another_form_are_refused(run: Path, column: str, value: str) -> None:
    edit_rows(run, lambda row: row.update({column: value}) if row["stage"] == "pad" else None)
    reseal(run)
    for read in (load, verify):
        with pytest.raises(ArchiveError, match=f"stages.csv: row 3: got {column} "):
            read(run)


def test_rows_with_too_many_or_no_values_are_refused(run: Path) -> None:
    path = run / "stages.csv"
    lines = path.read_text().splitlines()
    for text, match in (("\n".join([*lines, "a,b"]), "row 8: got 2 values, expected 10"), (lines[0], "got no rows")):
        path.write_text(text)
        with pytest.raises(ArchiveError, match=match):
            load(run)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seconds", {"pad": []}),
        ("seconds", {"pad": ["1"]}),
        ("seconds", {"pad": 1}),
        ("seconds", None),
        ("axes", {"pad": [1]}),
        ("axes", []),
        ("provenance", "here"),
        ("run_id", 1),
        ("status", None),
    ],
)
def test_a_manifest_of_another_form_is_refused(run: Path, key: str, value: object) -> None:
    edit_manifest(run, **{key: value})
    with pytest.raises(ArchiveError, match=f"manifest.json: got {key}"):
        load(run)


@pytest.mark.parametrize("config", ["seed: 2026-01-01", "seed: .nan", "{1: a, b: c}", "seed: !!set {1, 2}"])
def test_a_config_of_other_than_plain_values_is_refused(run: Path, config: str) -> None:
    (run / "config.yaml").write_text(config)
    reseal(run)
    with pytest.raises(ArchiveError, match=r"config\.yaml: expected plain values"):
        verify(run)


def test_a_text_of_gigabytes_is_not_read(run: Path) -> None:
    with open(run / "config.yaml", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ArchiveError, match=r"config\.yaml: got 1099511627776 bytes, expected at most"):
        load(run)


def test_nothing_is_unpickled(run: Path) -> None:
    np.save(run / "output.npy", np.array([{"a": 1}], object), allow_pickle=True)
    reseal(run)
    for read in (lambda folder: load(folder).output, verify):
        with pytest.raises(ArchiveError, match=r"output\.npy: expected numbers of dtype"):
            read(run)
