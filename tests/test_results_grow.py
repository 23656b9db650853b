"""results.csv grows at its end where it can, is written anew where it cannot, and says the same either way."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from run_cases import a_run, contents, run_folders

from convpipe.archive import collection, results
from convpipe.archive.collection import read_results, rebuild, refresh
from convpipe.archive.index import FAILURES, INDEX, note
from convpipe.archive.ledger import Ledger
from convpipe.archive.results import RECORD, RESULTS
from convpipe.archive.table import MADE, Row, run_row

HUGE = 10**6


def table(folder: Path) -> list[Row]:
    with open(folder / RESULTS, newline="") as file:
        return list(csv.DictReader(file))


def names(folder: Path) -> list[str]:
    return [row["run"] for row in table(folder)]


def seeded(folder: Path, *seeds: int) -> list[str]:
    """Runs made one after another, each in the table as by the command line; their ids."""
    made = []
    for seed in seeds:
        made.append(a_run(folder, {"seed": seed}).folder.name)
        refresh(folder)
    return made


def failed(number: int, started: str = "") -> Row:
    return {"run": f"{number:012x}", "status": "failed", "seed": str(HUGE + number), "error": "no", "started": started}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "c"


def test_rows_stand_in_the_order_of_making(folder: Path) -> None:
    seeds = (5, 1, 4, 2, 3)
    made = seeded(folder, *seeds)
    assert made != sorted(made)  # so that this is another order than that of the ids
    assert names(folder) == made
    assert [row["seed"] for row in table(folder)] == list(map(str, seeds))
    assert names(folder) == [row["run"] for row in read_results(folder)]
    grown = (folder / RESULTS).read_bytes()
    for name in (RESULTS, RECORD, INDEX):
        (folder / name).unlink()
    assert refresh(folder).read_bytes() == grown
    assert rebuild(folder).read_bytes() == grown


def test_a_run_more_is_a_line_more(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeded(folder, 1, 2)
    before = (folder / RESULTS).read_bytes()
    monkeypatch.setattr(collection, "written_anew", None)  # to call it fails
    seeded(folder, 3, 4)
    grown = (folder / RESULTS).read_bytes()
    assert grown.startswith(before)
    assert grown.count(b"\n") == before.count(b"\n") + 2
    inode = (folder / RESULTS).stat().st_ino
    refresh(folder)
    assert (folder / RESULTS).read_bytes() == grown
    assert (folder / RESULTS).stat().st_ino == inode


def test_a_new_column_has_it_written_anew(folder: Path) -> None:
    seeded(folder, 1, 2)
    a_run(folder, {"seed": 2, "conv.stride": [2, 1]})
    refresh(folder)
    assert [row["conv.stride"] for row in table(folder)] == ["1", "1", "[2, 1]"]
    grown = (folder / RESULTS).read_bytes()
    assert rebuild(folder).read_bytes() == grown


def remove_first(folder: Path) -> None:
    shutil.rmtree(run_folders(folder)[0])


def remove_and_repeat(folder: Path) -> None:
    seed = int(table(folder)[0]["seed"])
    shutil.rmtree(folder / names(folder)[0])
    seeded(folder, seed)


def in_place_of_another(folder: Path) -> None:
    # as many runs as before, and a line more in the index
    seeds = [int(row["seed"]) for row in table(folder)]
    shutil.rmtree(folder / names(folder)[0])
    a_run(folder, {"seed": max(seeds) + 1})


def without_a_line(folder: Path) -> None:
    kept = (folder / INDEX).read_bytes()
    a_run(folder, {"seed": 77})
    (folder / INDEX).write_bytes(kept)


def of_another(folder: Path) -> None:
    # as many runs as before, and no line more
    without_a_line(folder)
    shutil.rmtree(folder / names(folder)[0])


def of_older_code(folder: Path) -> None:
    without_a_line(folder)
    row = {key: text for key, text in run_row(new_run(folder)).items() if key not in ("started", "macs", "k")}
    note(folder, [row])


def new_run(folder: Path) -> Path:
    """The run that is not in the table."""
    (new,) = {run.name for run in run_folders(folder)} - set(names(folder))
    return folder / new


def half_a_line(folder: Path) -> None:
    a_run(folder, {"seed": 77})
    with open(folder / INDEX, "r+b") as file:
        file.truncate((folder / INDEX).stat().st_size - 9)
    a_run(folder, {"seed": 78})


def cut_table(folder: Path) -> None:
    os.truncate(folder / RESULTS, (folder / RESULTS).stat().st_size - 7)


def edited_table(folder: Path) -> None:
    content = (folder / RESULTS).read_bytes()
    (folder / RESULTS).write_bytes(content.replace(b"done", b"dune", 1))


CHANGES: dict[str, Callable[[Path], object]] = {
    "a run removed": remove_first,
    "a run removed and made again": remove_and_repeat,
    "one removed and another made": in_place_of_another,
    "a run that the index lacks": without_a_line,
    "one removed and another that the index lacks": of_another,
    "a line of older code": of_older_code,
    "a line cut short": half_a_line,
    "a row twice": lambda folder: note(folder, [run_row(run_folders(folder)[0])] * 2),
    "a row once more": lambda folder: note(folder, [run_row(run_folders(folder)[0])]),
    "no index": lambda folder: (folder / INDEX).unlink(),
    "a cut index": lambda folder: os.truncate(folder / INDEX, (folder / INDEX).stat().st_size - 20),
    "no table": lambda folder: (folder / RESULTS).unlink(),
    "a cut table": cut_table,
    "an edited table": edited_table,
    "no record": lambda folder: (folder / RECORD).unlink(),
    "a record that is none": lambda folder: (folder / RECORD).write_text("[1, 2]"),
    "a record of other code": lambda folder: (folder / RECORD).write_text(
        json.dumps(json.loads((folder / RECORD).read_text()) | {"always": ["run", "status"]})
    ),
    "a record of numbers": lambda folder: (folder / RECORD).write_text(
        json.dumps(json.loads((folder / RECORD).read_text()) | {"varying": [1], "failed": [2]})
    ),
    "a deep record": lambda folder: (folder / RECORD).write_text("[" * 100_000),
    "a point that failed": lambda folder: note(folder, [failed(1)]),
    "a point that failed where a run is": lambda folder: note(folder, [failed(1) | {"run": names(folder)[0]}]),
    "a new status": lambda folder: (run_folders(folder)[1] / "manifest.json").write_bytes(b"{}"),
    "nothing": lambda folder: None,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("more", [False, True])
def test_it_says_what_the_runs_say_whatever_came(change: str, more: bool, folder: Path) -> None:
    seeded(folder, 5, 1, 4, 2)
    CHANGES[change](folder)
    if more:
        a_run(folder, {"seed": 99})
    refresh(folder)
    grown = table(folder)
    assert sorted(row["run"] for row in grown if row["status"] != "failed") == [run.name for run in run_folders(folder)]
    (folder / RECORD).unlink()
    assert refresh(folder).is_file()
    assert table(folder) == grown
    if change != "a new status":  # which nobody sees who does not look at the runs
        rebuild(folder)
        assert sorted(map(str, table(folder))) == sorted(map(str, grown))


def test_failed_points_stand_where_they_started(folder: Path) -> None:
    seeded(folder, 1)
    note(folder, [failed(2, "9999")])
    refresh(folder)
    seeded(folder, 2)
    assert [row["status"] for row in table(folder)] == ["done", "failed", "done"]  # as they came
    rebuild(folder)
    assert [row["status"] for row in table(folder)] == ["done", "done", "failed"]  # as they started
    note(folder, [failed(3, "9999")])
    before = (folder / RESULTS).read_bytes()
    assert refresh(folder).read_bytes().startswith(before)
    assert [row["run"] for row in table(folder)][2:] == [f"{2:012x}", f"{3:012x}"]


def test_a_run_takes_the_place_of_its_failure(folder: Path) -> None:
    seeded(folder, 1, 2)
    run = a_run(folder, {"seed": 3})
    shutil.move(run.folder, folder / "..")
    lines = (folder / INDEX).read_bytes().splitlines(keepends=True)
    (folder / INDEX).write_bytes(b"".join(lines[:-1]))
    row = json.loads(lines[-1])
    failed = {key: value for key, value in row.items() if key not in MADE}
    note(folder, [failed | {"status": "failed", "error": "no"}])
    refresh(folder)
    assert [row["status"] for row in table(folder)] == ["done", "done", "failed"]
    shutil.move(folder.parent / run.folder.name, folder)
    note(folder, [row])
    refresh(folder)
    assert [row["status"] for row in table(folder)] == ["done", "done", "done"]


def test_a_table_that_cannot_grow_says_so(folder: Path) -> None:
    seeded(folder, 1, 2)
    (folder / RESULTS).unlink()
    elsewhere = folder.parent / "elsewhere"
    elsewhere.write_bytes(b"")
    (folder / RESULTS).symlink_to(elsewhere)
    seeded(folder, 3)
    assert elsewhere.read_bytes() == b""
    assert len(table(folder)) == 3


# A sweep's books


def rows_of_runs(folder: Path, *seeds: int) -> list[Row]:
    """Runs that no index knows yet, as workers make them: their rows."""
    kept = {name: content for name, content in contents(folder).items() if name in (INDEX, FAILURES)}
    found = [run_row(a_run(folder, {"seed": seed}).folder) for seed in seeds]
    (folder / INDEX).unlink(missing_ok=True)
    for name, content in kept.items():
        (folder / name).write_bytes(content)
    return found


def test_the_table_grows_with_each_batch(folder: Path) -> None:
    folder.mkdir()
    ledger = Ledger(folder)
    for seeds in ((7,), (3, 5), (1,), (9, 8)):
        ahead = rows_of_runs(folder, 100 + seeds[0])  # which another worker has made, and nobody noted
        rows = rows_of_runs(folder, *seeds)
        ledger.note(rows)
        assert names(folder)[-len(seeds) :] == [row["run"] for row in rows]
        ledger.note(ahead)
    ledger.note([failed(4, "9999")])
    assert [row["status"] for row in table(folder)] == ["done"] * 10 + ["failed"]
    grown = (folder / RESULTS).read_bytes()
    ledger.close()
    assert (folder / RESULTS).read_bytes() == grown
    (folder / RECORD).unlink()
    refresh(folder)
    assert sorted((folder / RESULTS).read_bytes().splitlines()) == sorted(grown.splitlines())


def test_a_run_that_was_lost_and_is_made_again_has_one_row(folder: Path) -> None:
    seeded(folder, 1, 2, 3)
    lost = run_folders(folder)[1]
    shutil.rmtree(lost)
    ledger = Ledger(folder)
    run = next(run for seed in (1, 2, 3) if (run := a_run(folder, {"seed": seed})).folder == lost)
    ledger.note([run_row(run.folder)])
    ledger.close()
    assert sorted(row["run"] for row in table(folder)) == sorted(path.name for path in run_folders(folder))


def test_two_sweeps_that_write_at_once_end_with_all_rows(folder: Path) -> None:
    folder.mkdir()
    one, two = Ledger(folder), Ledger(folder)
    for seed in range(0, 20, 2):
        one.note(rows_of_runs(folder, seed))
        two.note(rows_of_runs(folder, seed + 1))
    assert len(set(names(folder))) == len(names(folder))
    one.close()
    assert sorted(names(folder)) == [run.name for run in run_folders(folder)]
    two.close()
    assert sorted(names(folder)) == [run.name for run in run_folders(folder)]


def test_a_column_that_another_sweep_has_made_is_in_the_table_of_both(folder: Path) -> None:
    folder.mkdir()
    one, two = Ledger(folder), Ledger(folder)
    one.note(rows_of_runs(folder, 1, 2))
    two.note([row | {"a.new": "x"} for row in rows_of_runs(folder, 3, 4)])
    for ledger in (one, two):
        ledger.note(rows_of_runs(folder, *((5, 6) if ledger is one else (7, 8))))
        assert {row["status"] for row in table(folder)} == {"done"}
        assert all(row["output_shape"].startswith("(1,") and None not in row.values() for row in table(folder))
    two.close()
    assert sorted(row["seed"] for row in table(folder)) == list("12345678")
    assert [row["a.new"] for row in table(folder)].count("x") == 2


def test_a_sweep_into_an_old_collection_leaves_its_table_complete(folder: Path) -> None:
    seeded(folder, 1, 2, 3)
    (folder / RECORD).unlink()
    ledger = Ledger(folder)
    ledger.note(rows_of_runs(folder, 4))
    assert len(table(folder)) == 3
    ledger.close()
    assert len(table(folder)) == 4


def test_new_columns_have_it_written_anew_a_few_times_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    written: list[int] = []
    whole = results.write_table

    def counted(folder: Path, rows: Callable[[], Any]) -> results.Table:
        found = whole(folder, rows)
        written.append(found.rows)
        return found

    monkeypatch.setattr(collection, "write_table", counted)
    ledger = Ledger(folder)
    for number, row in enumerate(rows_of_runs(folder, *range(40))):
        ledger.note([row | {f"key_{number}": "1"}])
    assert written == [1, 2, 4, 8, 16, 32]
    ledger.close()
    assert written == [1, 2, 4, 8, 16, 32, 40]
    assert len(table(folder)[0]) >= 40
