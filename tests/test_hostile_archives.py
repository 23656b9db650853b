"""A folder of runs that came by mail: whatever lies in the place of its files, no command is led out of it or waits."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_runs import convpipe
from hostile_cases import AGAIN, NAME, Collection, a_collection, a_copy, answers, no_hang, spoil, state
from limited import limited
from run_cases import bound_by_permissions, reseal

import convpipe as cp
from convpipe.archive.collection import read_results, run_names
from convpipe.archive.format import manifest_sha256
from convpipe.errors import ArchiveError, StorageError

GIGABYTES = 10 << 30
BOOKS = ("results.csv", "timings.csv", ".index.jsonl", ".failed.jsonl", ".table.json", ".lock")
OF_RUN = ("manifest.json", "config.yaml", "stages.csv", "SHA256SUMS", "output.npy", "03_im2col.npy")
FOLDERS = ("sweeps", "inputs", ".aside")

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return a_collection(tmp_path_factory.mktemp("good"))


@pytest.fixture
def found(good: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Collection:
    """A copy of it, with a victim beside it, in a folder that is the current one."""
    (tmp_path / "victim").mkdir()
    for name in ("file", *OF_RUN):
        (tmp_path / "victim" / name).write_text("of somebody else\n")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return a_copy(good, tmp_path / "here")


def victim_of(found: Collection) -> Path:
    return found.folder.parent.parent / "victim"


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, GIGABYTES)


def kinds(victim: Path) -> dict[str, Callable[[Path], object]]:
    """What may lie in the place of a file."""
    return {
        "a pipe": os.mkfifo,
        "a link to a file outside": lambda path: path.symlink_to(victim / "file"),
        "a link to nothing": lambda path: path.symlink_to(victim / "new"),
        "a link to zeros": lambda path: path.symlink_to("/dev/zero"),
        "a folder": lambda path: path.mkdir(),
        "ten sparse gigabytes": sparse,
    }


KINDS = tuple(kinds(Path()))
READ = ("results.csv", ".index.jsonl", ".failed.jsonl")  # of the books, by most commands
PLACES = [(name, kind) for name in BOOKS for kind in (KINDS if name in READ else KINDS[::3])]
PLACES += [("sweeps/x.csv", kind) for kind in KINDS] + [("index.html", kind) for kind in KINDS if "spar" not in kind]
PLACES += [(name, KINDS[at % len(KINDS)]) for at, name in enumerate([*OF_RUN, *OF_RUN[:3]])]


def place_of(found: Collection, name: str) -> Path:
    return (found.run if name in OF_RUN else found.folder) / name


@pytest.mark.parametrize(("name", "kind"), PLACES)
def test_what_is_no_file_is_neither_followed_nor_waited_for(found: Collection, name: str, kind: str) -> None:
    victim = victim_of(found)
    before = state(victim)
    spoil(place_of(found, name), kinds(victim)[kind])
    told = dict(answers(found))
    assert state(victim) == before
    read = [answer for words, answer in told.items() if words[0] == "runs" and "--rebuild" not in words]
    assert [answer.code for answer in read] == [0] * 5
    assert all(found.run.name in answer.out for answer in (read[0], read[3]))


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("kind", ["a link to a folder outside", "a file", "a pipe"])
def test_what_is_no_folder_of_its_own_is_none(found: Collection, name: str, kind: str) -> None:
    victim = victim_of(found)
    before = state(victim)
    make: dict[str, Callable[[Path], object]] = {"a file": Path.touch, "a pipe": os.mkfifo}
    spoil(found.folder / name, make.get(kind, lambda path: path.symlink_to(victim)))
    told = list(answers(found))
    assert state(victim) == before
    (found.run / "output.npy").write_bytes(b"")
    with no_hang(), pytest.raises(StorageError) if name == ".aside" else no_hang():
        cp.run(*AGAIN, root=str(found.folder.parent))
    assert state(victim) == before
    refused = [answer.err for words, answer in told if answer.code > 1]
    assert all(f"/{name}: a " in line and "expected a folder" in line for line in refused)


def test_inputs_are_not_stored_through_a_link(found: Collection) -> None:
    victim = victim_of(found)
    (found.folder / "inputs").symlink_to(victim)
    Path("x.csv").write_text("1,2\n3,4\n")
    words = ("input=csv", "input.path=x.csv", "filters=integers", "filters.kernel=[1,1]", "keep=output+inputs")
    with pytest.raises(StorageError, match=r"inputs: a link, expected a folder; nothing was kept"):
        cp.run(f"name={NAME}", *words, root=str(found.folder.parent))
    assert sorted(path.name for path in victim.iterdir()) == sorted(("file", *OF_RUN))


def test_a_run_s_folder_that_is_a_link_is_no_run(found: Collection) -> None:
    elsewhere = victim_of(found) / "run"
    os.rename(found.run, elsewhere)
    found.run.symlink_to(elsewhere)
    before = state(elsewhere)
    told = dict(answers(found))
    assert state(elsewhere) == before
    assert found.run.name not in told["runs", str(found.folder)].out
    again = told[*AGAIN, f"root={found.folder.parent}", "label=second"]
    line = f"{found.run}: a link or a file, expected the folder of a run; remove it, or another name="
    assert (again.code, line in again.err) == (3, True)
    os.unlink(found.run)
    assert cp.run(*AGAIN, root=str(found.folder.parent)).folder == found.run


def test_a_listing_is_not_written_through_a_link_of_a_collection(found: Collection) -> None:
    victim = victim_of(found) / "file"
    for name in ("out.csv", "out.json"):
        (found.folder / name).symlink_to(victim)
        assert convpipe("runs", str(found.folder), "--output", str(found.folder / name)).code == 0
        assert not (found.folder / name).is_symlink()
    assert victim.read_text() == "of somebody else\n"


def test_a_loop_of_links_is_listed_once(found: Collection) -> None:
    root = found.folder.parent
    (root / "group").mkdir()
    (root / "group" / "up").symlink_to(root)
    (root / "group" / "more").symlink_to(found.folder)
    with no_hang():
        answer = convpipe("runs", str(root))
    assert (answer.code, answer.out.count("group/more"), answer.out.count(f"/{NAME} ")) == (0, 1, 1)


# Sizes, each in a process that may take 300 MiB


def million(text: str) -> str:
    return ",".join(f"{text}{at}" for at in range(10**6))


LINE = '{"run": "0123456789ab", "status": "done", "started": "", '
MANY: dict[str, tuple[str, Callable[[], str | int]]] = {  # a number is that of zeros, which no disk holds
    "an index of one line": (".index.jsonl", lambda: 1 << 30),
    "an index with a row of one long text": (".index.jsonl", lambda: f'{LINE}"a": "{"x" * (50 << 20)}"}}\n'),
    "an index with a million keys": (
        ".index.jsonl",
        lambda: f'{LINE}{million(chr(34) + "k").replace(",", chr(34) + ": 1, ")}"}}\n',
    ),
    "an index that is nested": (".index.jsonl", lambda: f'{LINE}"a": {"[" * 10**5}{"]" * 10**5}}}\n'),
    "an index of a hundred thousand other runs": (
        ".index.jsonl",
        lambda: "".join(f'{{"run": "{at:012x}", "status": "done", "started": ""}}\n' for at in range(10**5)),
    ),
    "failures that are nested": (".failed.jsonl", lambda: f'{LINE}"a": {"{" * 10**5}\n'),
    "a table of a million columns": ("results.csv", lambda: f"run,status,{million('c')}\n"),
    "a table with a row of a million cells": ("results.csv", lambda: f"run,status\n{million('')}\n"),
    "a table of one line": ("results.csv", lambda: 1 << 30),
    "a table whose cells are lines": ("results.csv", lambda: "run,status\n" + '"a\nb",' * 10**6),
    "a table with a long cell": ("results.csv", lambda: f"run,status,a\n0123456789ab,done,{'x' * 10**6}\n"),
    "a record of a million columns": (
        ".table.json",
        lambda: f'{{"always": [], "varying": ["{million("c").replace(",", chr(34) + "," + chr(34))}"]}}',
    ),
    "a record that is nested": (".table.json", lambda: "[" * 10**6),
    "the times of a million columns": ("timings.csv", lambda: f"run,threads,repeat,{million('c')}\n"),
    "a sweep of a million columns": ("sweeps/x.csv", lambda: f"point,{million('c')}\n"),
}


@pytest.mark.parametrize("what", MANY)
def test_what_is_too_much_is_passed_over(found: Collection, what: str) -> None:
    name, make = MANY[what]
    content = make()
    if isinstance(content, int):
        (found.folder / name).write_bytes(b"")
        os.truncate(found.folder / name, content)
    else:
        (found.folder / name).write_text(content)
    root = found.folder.parent
    listed = cp.runs(found.folder)
    assert (listed["status"].tolist(), found.run.name in set(listed["run"])) == (["done"] * 2, True)
    run = limited((*AGAIN, f"root={root}", "seed=7"), root)
    assert (run.returncode, run.stderr) == (0, "")
    assert cp.runs(found.folder)["status"].tolist() == ["done"] * 3
    if name == "results.csv":  # which is made anew
        assert (found.folder / name).stat().st_size < 10_000


ONE_KEY = '{"":0},'  # seven characters that take 232 bytes
ABSURD = [
    ("stages.csv", lambda text: text + "pad,pad,(1),int16,2,0,0,0,{},\n".format("a" * 64) * 10**6),
    ("stages.csv", lambda text: text + "," * (8 << 20)),
    ("stages.csv", lambda text: text.replace("reshape,reshape", f"{'x' * 200_000},reshape")),
    ("manifest.json", lambda text: text.replace('"note": "', f'"more": {"[" * 10**5}{"]" * 10**5},\n "note": "')),
    ("manifest.json", lambda text: text.replace('"note": "', f'"more": [{ONE_KEY * 10**6}0],\n "note": "')),
    ("manifest.json", lambda text: text.replace('"note": "', f'"note": "{"x" * (50 << 20)}')),
    ("manifest.json", lambda text: text.replace('"note": "', f'"more": {"9" * 10**6},\n "note": "')),
    ("manifest.json", lambda text: text.replace('"note": "', '"note": "other",\n "note": "')),
    ("config.yaml", lambda text: text + "- " * 10**6),
    ("SHA256SUMS", lambda text: f"{'a' * 64}  x.npy\n" * 10**6),
]


@pytest.mark.parametrize("at", range(len(ABSURD)))
def test_what_no_run_says_is_refused_at_once(found: Collection, at: int) -> None:
    name, change = ABSURD[at]
    path = found.run / name
    text = path.read_text()
    path.write_text(change(text))
    assert path.read_text() != text
    root = found.folder.parent
    if name in ("manifest.json", "stages.csv"):
        with pytest.raises(ArchiveError, match=rf"{name}: "):
            cp.load(found.run)
    answer = limited(("explain", str(found.run), "--at", "0,0,0,0"), root)
    assert (answer.returncode, answer.stderr.count("\n")) == (3, 1), answer.stderr[-500:]
    (found.folder / ".index.jsonl").unlink()
    assert sorted(cp.runs(found.folder)["status"]) == ["damaged", "done"]


def test_an_array_that_asks_for_a_terabyte_is_refused(found: Collection) -> None:
    path = found.run / "output.npy"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"(1, 2, 2, 1), }" + b" " * 18, b"(1000000, 1000000, 1, 1), }" + b" " * 6))
    assert path.read_bytes() != content
    with pytest.raises(ArchiveError, match=r"output\.npy: expected \d+ bytes of data, int16"):
        cp.load(found.run).output  # noqa: B018 - it is read when it is asked for


def test_settings_by_the_hundred_thousand_make_no_columns(found: Collection) -> None:
    index = found.folder / ".index.jsonl"
    first, *others = index.read_text().splitlines(keepends=True)
    more = "".join(f', "k{at}": ""' for at in range(200_000))
    index.write_text("".join([first.replace("}\n", f"{more}}}\n"), *others]))
    assert cp.runs(found.folder).shape[1] < 100
    head, *rows = (found.folder / "results.csv").read_text().splitlines()
    names = "".join(f",k{at}" for at in range(200_000))
    text = "".join(f"{line}{',' * 200_000}\n" for line in rows)
    (found.folder / "results.csv").write_text(f"{head}{names}\n{text}")
    listed = limited(("runs", NAME), found.folder.parent)
    assert (listed.returncode, listed.stderr, " k9" in listed.stdout) == (0, "", False)
    assert len(listed.stdout) < 5000


def test_stages_by_the_million_are_not_read(found: Collection) -> None:
    path = found.run / "stages.csv"
    row = f'pad,pad,"(1)",int16,2,0,0,0,{"a" * 64},\n'
    path.write_text(path.read_text() + row * 10**6)
    reseal(found.run)
    answer = limited(("explain", str(found.run), "--at", "0,0,0,0"), found.folder.parent)
    assert (answer.returncode, answer.stderr.count("\n")) == (3, 1)
    assert "stages.csv: got 94000882 bytes, expected at most 8388608" in answer.stderr


def test_points_of_other_folders_are_not_listed(found: Collection) -> None:
    victim = victim_of(found)
    record = next((found.folder / "sweeps").glob("*.csv"))
    (victim / record.name).write_text(record.read_text().replace("first", "elsewhere"))
    spoil(found.folder / "sweeps", lambda path: path.symlink_to(victim))
    answer = convpipe("runs", str(found.folder), "--points")
    assert (answer.code, answer.out) == (0, "no points: the collection has no sweep on record\n")


# Records that lie, and what may not be read


LIES: dict[str, Callable[[dict[str, Any]], object]] = {
    "other columns": lambda record: record.update(varying=[], first={"a": "1"}),
    "one column more": lambda record: record["varying"].append("conv.pad"),
    "columns by the hundred thousand": lambda record: record.update(varying=[f"k{at}" for at in range(10**5)]),
    "fewer runs than none": lambda record: record.update(runs=-1, ids=-1),
    "more runs": lambda record: record.update(runs=10**30),
    "sizes below zero": lambda record: record["sizes"].update({".index.jsonl": -5}),
    "texts where counts are": lambda record: record.update(runs="2", ids="x"),
    "failures that are none": lambda record: record.update(failed=["../../x", "0123456789ab"]),
    "columns that are none": lambda record: record.update(sometimes=[1, None]),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_record_that_lies_and_is_sealed_is_not_believed(found: Collection, lie: str) -> None:
    path = found.folder / ".table.json"
    record = json.loads(path.read_text())
    LIES[lie](record)
    record["sha256"] = manifest_sha256(record)
    path.write_text(json.dumps(record))
    answer = convpipe(*AGAIN, f"root={found.folder.parent}", "conv.stride=3")  # which brings no new column
    assert (answer.code, answer.err) == (0, "")
    table = (found.folder / "results.csv").read_bytes()
    assert sorted(row["run"] for row in read_results(found.folder)) == run_names(found.folder)
    assert convpipe("runs", str(found.folder), "--rebuild").code == 0
    assert sorted((found.folder / "results.csv").read_bytes().splitlines()) == sorted(table.splitlines())


@pytest.fixture(scope="module")
def warm(good: Collection, tmp_path_factory: pytest.TempPathFactory) -> None:
    """All that commands import, before somebody does who may not read where Python is installed."""
    found = a_copy(good, tmp_path_factory.mktemp("warm"))
    (found.run / "output.npy").unlink()
    list(answers(found))
    list(answers(a_copy(good, tmp_path_factory.mktemp("warm"))))


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("name", [*BOOKS, "sweeps", "inputs", ".aside"])
def test_what_may_not_be_read_is_passed_over_or_told(name: str) -> None:
    with bound_by_permissions() as place:
        found = a_collection(place)
        path = found.folder / name
        path.mkdir(exist_ok=True) if name in FOLDERS else path.touch()
        path.chmod(0)
        try:
            told = dict(answers(found))
        finally:
            path.chmod(0o700)
        listed = told["runs", str(found.folder)]
        assert (listed.code, found.run.name in listed.out) == (0, True)


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("name", OF_RUN)
def test_a_run_that_may_not_be_read_is_damaged(name: str) -> None:
    with bound_by_permissions() as place:
        found = a_collection(place)
        (found.run / name).chmod(0)
        told = dict(answers(found))
        assert told["reproduce", str(found.run)].code == 3
        assert f"{found.run / name}: " in told["reproduce", str(found.run)].err
