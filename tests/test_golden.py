"""Archives of the past: each is still verified, read, and reproduced by today's code."""

from __future__ import annotations

import csv
import hashlib
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from golden.make import ARCHIVES, GOLDEN
from run_cases import a_place, contents, execute, reseal, run_folders, set_output

import convpipe as cp
from convpipe.archive.collection import rebuild
from convpipe.archive.read import Run, load
from convpipe.archive.verify import verify
from convpipe.config.read import read_archived, read_spec
from convpipe.errors import ArchiveError
from convpipe.execution import runner

PATHS = [path for name in ARCHIVES for path in run_folders(GOLDEN / name)]


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def repeat(path: Path, scratch: Path) -> str:
    """Run an archive again; gives how it compares."""
    spec = read_archived(load(path))
    return runner.repeat(path, a_place(scratch), spec).verdict


def only(collection_folder: Path) -> Path:
    (path,) = run_folders(collection_folder)
    return path


def test_every_archive_is_there() -> None:
    assert len(PATHS) == len(ARCHIVES)
    assert {path.name for path in GOLDEN.iterdir()} == set(ARCHIVES)


def test_all_of_them_are_verified_and_reproduced_by_the_front_door(tmp_path: Path) -> None:
    before = contents(GOLDEN)
    assert [run.path for run in cp.verify(GOLDEN)] == sorted(PATHS)
    assert cp.reproduce(only(GOLDEN / "lecture_3d")).verdict.startswith("reproduced")
    assert contents(GOLDEN) == before


@pytest.mark.parametrize("path", PATHS, ids=named)
def test_it_is_whole(path: Path) -> None:
    run = verify(path)
    assert run.manifest["run_id"] == path.name
    assert run.stages["stage"].tolist()[:2] == ["input", "filters"]
    for row in run.rows:
        if row["file"]:
            stored = np.load(path / row["file"])
            assert hashlib.sha256(stored.tobytes()).hexdigest() == row["sha256"]


@pytest.mark.parametrize("path", PATHS, ids=named)
@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum here")
def test_sha256sum_agrees(path: Path) -> None:
    done = subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", PATHS, ids=named)
def test_it_is_reproduced(path: Path, tmp_path: Path) -> None:
    before = contents(path)
    said = repeat(path, tmp_path)
    assert said.startswith("reproduced")
    assert contents(path) == before
    if not sums_are_rounded(load(path)):
        assert "within" not in said  # whole numbers: to the bit, on every machine


def sums_are_rounded(run: Run) -> bool:
    """Whether the order of a sum matters: floats that are drawn are no whole numbers."""
    return run.output.dtype.kind == "f" and run.config["input"]["source"] == "random"


def test_only_the_lectures_random_floats_are_rounded() -> None:
    assert {path.name for path in PATHS if sums_are_rounded(load(path))} == {"a8c968642ce6"}


@pytest.mark.parametrize("path", PATHS, ids=named)
def test_what_is_drawn_and_moved_is_the_same_to_the_bit(path: Path, tmp_path: Path) -> None:
    then = load(path)
    now = execute(read_spec(then.config), a_place(tmp_path)).run
    for row, again in zip(then.rows, now.rows, strict=True):
        if row["op"] in ("matmul", "implicit_gemm") and sums_are_rounded(then):
            break
        assert (row["stage"], row["sha256"]) == (again["stage"], again["sha256"])


@pytest.mark.parametrize("path", PATHS, ids=named)
def test_a_wrong_answer_would_be_noticed(path: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(path, tmp_path / path.name))

    def one_more(values: np.ndarray) -> None:
        values[(0,) * values.ndim] += 1 if values[(0,) * values.ndim] < 100 else -1

    set_output(copy, one_more)
    verify(copy)
    with pytest.raises(ArchiveError, match=r"stage '(matmul|reshape|implicit_gemm)' differs"):
        repeat(copy, tmp_path / "scratch")


@pytest.mark.parametrize("path", PATHS, ids=named)
def test_a_wrong_input_would_be_noticed(path: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(path, tmp_path / path.name))
    rows = (copy / "stages.csv").read_text().replace(load(copy).rows[0]["sha256"], "0" * 64)
    (copy / "stages.csv").write_text(rows)
    reseal(copy)
    with pytest.raises(ArchiveError, match=r"stage 'input' differs|got sha256 .*, expected 0{64}"):
        repeat(copy, tmp_path / "scratch")


@pytest.mark.parametrize("folder", [GOLDEN / name for name in ARCHIVES], ids=lambda path: path.name)
def test_its_table_is_rebuilt_with_what_came_later(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "c"))
    (copy / "results.csv").unlink()
    rebuild(copy)
    then, now = read_rows(folder / "results.csv"), read_rows(copy / "results.csv")
    later = ("macs", "bytes", "k", "min", "max", "nonfinite")
    assert [{**row, "lowering": "", "format": "1", "started": ""} for row in then] == [
        {key: text for key, text in row.items() if key not in later} for row in now
    ]
    rows = load(folder / now[0]["run"]).rows if len(now) == 1 else ()
    if rows:
        assert [now[0][key] for key in ("macs", "bytes")] == [
            str(sum(int(row[key]) for row in rows)) for key in ("macs", "bytes")
        ]
        assert [now[0][key] for key in ("min", "max", "nonfinite")] == [rows[-1]["min"], rows[-1]["max"], "0"]


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


# The lecture's own numbers


def test_the_lectures_feature_map() -> None:
    run = load(only(GOLDEN / "lecture_3d"))
    assert run.output.dtype == np.int16
    assert run.output[0, ..., 0].tolist() == [[-9, 1], [0, -7]]


def test_the_lectures_padding() -> None:
    run = load(only(GOLDEN / "lecture_pad"))
    assert run.array("pad")[0, 0].tolist() == [[0, 0, 0, 0], [0, 1, 2, 0], [0, 3, 4, 0], [0, 0, 0, 0]]


def test_the_lectures_columns() -> None:
    run = load(only(GOLDEN / "lecture_im2col"))
    assert run.array("im2col").tolist() == [[1, 2, 4, 5], [2, 3, 5, 6], [4, 5, 7, 8], [5, 6, 8, 9]]


def test_the_lectures_four_dimensional_shapes() -> None:
    shapes = {row["stage"]: row["shape"] for row in load(only(GOLDEN / "lecture_4d")).rows}
    assert [shapes[stage] for stage in ("im2col", "fil2col", "matmul", "reshape")] == [
        "(25,27)",
        "(6,27)",
        "(25,6)",
        "(1,5,5,6)",
    ]


def test_what_saturates_does() -> None:
    output = load(only(GOLDEN / "saturate")).output
    assert output.dtype == np.int8
    assert {int(output.min()), int(output.max())} == {-128, 127}
