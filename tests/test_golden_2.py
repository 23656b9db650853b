"""The archives of format 2 that are kept as they were made: today's code still gives their ids and their bytes."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from cli_runs import convpipe
from golden.make import ARCHIVES_2, GOLDEN_2, REFERENCES, RUNS, make_files
from run_cases import contents, reseal, run_folders

import convpipe as cp
from convpipe.archive.collection import rebuild
from convpipe.archive.inputs import inputs_in
from convpipe.archive.read import load
from convpipe.errors import ArchiveError
from convpipe.files.npy import array_sha256

# Of whole numbers; the others' last bits are the machine's.
EXACT = sorted(ARCHIVES_2.keys() - {"lecture_4d", "network"})
ALONE = ["files", "gradient", "lecture_3d", "random_integers", "saturate", "whole_floats"]  # without other arrays


def only(name: str) -> Path:
    """The run of a golden collection."""
    (path,) = run_folders(GOLDEN_2 / name)
    return path


FOLDERS = [*(GOLDEN_2 / name for name in ARCHIVES_2), RUNS / "reference"]


def test_every_archive_is_there() -> None:
    assert {path.name for path in GOLDEN_2.iterdir()} == set(ARCHIVES_2)
    assert [path.name for path in run_folders(RUNS / "reference")] == sorted(only(name).name for name in REFERENCES)
    assert {load(only(name)).manifest["format"] for name in ARCHIVES_2} == {2}


@pytest.mark.parametrize("collection", FOLDERS, ids=lambda path: path.name)
def test_it_is_whole_and_reproduced(collection: Path, folder: Path) -> None:
    before = contents(collection)
    for run in cp.verify(collection):
        assert cp.reproduce(run).verdict.startswith("reproduced")
    assert contents(collection) == before
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", EXACT)
def test_the_same_command_gives_the_same_bytes(name: str, folder: Path) -> None:
    make_files()
    answer = convpipe(*ARCHIVES_2[name].split(), "name=now")
    assert answer.code == 0, answer.err
    (now,) = run_folders(Path("runs/now"))
    old, new = contents(only(name)), contents(now)
    assert now.name == only(name).name
    assert {key: value for key, value in old.items() if key != "manifest.json"} == {
        key: value for key, value in new.items() if key != "manifest.json"
    }
    assert contents(GOLDEN_2 / name / "inputs") == contents(Path("runs/now/inputs"))


@pytest.mark.parametrize("name", ALONE)
def test_a_wrong_output_would_be_noticed(name: str, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(GOLDEN_2 / name, tmp_path / "c")) / only(name).name
    values = np.load(copy / "output.npy")
    values.flat[0] += 1 if values.flat[0] < 100 else -1
    np.save(copy / "output.npy", values)
    rows = (copy / "stages.csv").read_text().replace(load(copy).rows[-1]["sha256"], array_sha256(values))
    (copy / "stages.csv").write_text(rows)
    reseal(copy)
    with pytest.raises(ArchiveError, match="differs: sha256 was"):
        cp.reproduce(copy)


@pytest.mark.parametrize("collection", FOLDERS, ids=lambda path: path.name)
def test_its_table_is_rebuilt_with_what_came_later(collection: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(collection, tmp_path / "c"))
    (copy / "results.csv").unlink()
    later = ("macs", "bytes", "k", "min", "max", "nonfinite", "started")
    then, now = read_rows(collection / "results.csv"), read_rows(rebuild(copy))
    assert then == [{key: text for key, text in row.items() if key not in later} for row in now]
    assert all(row["started"] for row in now)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_what_it_read_is_stored_beside_it() -> None:
    run = load(only("files"))
    stored = [path.name for path in inputs_in(GOLDEN_2 / "files")]
    assert stored == sorted({run.config[group]["sha256"] for group in ("input", "filters", "bias")})
    assert run.manifest["paths"] == {"input": "arrays.npz", "filters": "arrays.npz", "bias": "bias.npy"}
