"""What an error says to do, typed: of runs that are damaged, of names that stand for runs, of what was kept."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli_runs import CHECKOUT, convpipe, only_run

import convpipe as cp
from convpipe.archive import collection, index, shared
from convpipe.archive.verify import leftovers, verify
from convpipe.errors import ArchiveError, StorageError, UsageError

ID = "4014ffa24254"
ROOTED = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def flipped(path: Path) -> None:
    """Change the last byte of a file, whose size stays."""
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def edited(path: Path, **entries: object) -> None:
    """Change entries of a manifest, without its hash."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def replaced_by(run: Path, make: Callable[[Path], object]) -> None:
    """Something else lies in the place of a run."""
    shutil.rmtree(run)
    make(run)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "no manifest": lambda run: (run / "manifest.json").unlink(),
    "an empty manifest": lambda run: (run / "manifest.json").write_bytes(b""),
    "a manifest of nothing": lambda run: (run / "manifest.json").write_text("{}"),
    "a manifest that lies": lambda run: edited(run / "manifest.json", started="never"),
    "a manifest of another run": lambda run: edited(run / "manifest.json", run_id="0" * 12),
    "a later format": lambda run: edited(run / "manifest.json", format=99),
    "an array cut short": lambda run: os.truncate(run / "output.npy", 100),
    "an array of other values": lambda run: flipped(run / "output.npy"),
    "no array": lambda run: (run / "output.npy").unlink(),
    "another config": lambda run: flipped(run / "config.yaml"),
    "other stages": lambda run: flipped(run / "stages.csv"),
    "no sums": lambda run: (run / "SHA256SUMS").unlink(),
    "other sums": lambda run: flipped(run / "SHA256SUMS"),
    "a file too many": lambda run: (run / "notes.txt").write_text("mine"),
    "a folder for an array": lambda run: ((run / "output.npy").unlink(), (run / "output.npy").mkdir()),
    "an empty folder": lambda run: replaced_by(run, Path.mkdir),
    "a folder of other things": lambda run: replaced_by(run, lambda at: (at.mkdir(), (at / "x").write_text("y"))),
    "a file": lambda run: replaced_by(run, lambda at: at.write_text("a file")),
    "a link to nothing": lambda run: replaced_by(run, lambda at: at.symlink_to("nowhere")),
}


@pytest.mark.parametrize("sweep", [False, True], ids=["a run", "a sweep"])
@pytest.mark.parametrize("kind", DAMAGE)
def test_the_way_out_of_damage_works_when_typed(kind: str, sweep: bool) -> None:
    words = ["experiment=lecture_3d", "-m", "seed=0", "retry=all"] if sweep else ["experiment=lecture_im2col"]
    assert convpipe(*words).code == 0
    run = only_run(Path("runs"))
    DAMAGE[kind](run)
    answer = convpipe(*words)
    if answer.code == 0:  # put aside and made anew by itself
        assert verify(run).manifest["status"] == "done"
        return
    assert answer.code == 3
    assert "Traceback" not in answer.err
    said = answer.err.strip()
    assert said.count("\n") == 0
    if "remove it" in said:
        run.unlink()
    ways = [word for word in ("replace=true", "name=another") if word.partition("=")[0] + "=" in said]
    assert ways, said
    for way in [""] if "remove it" in said else ways[:1]:
        answer = convpipe(*words, *filter(None, [way]))
        assert (answer.code, answer.err) == (0, ""), way
        made = Path("runs", "another" if "name" in way else run.parent.name, run.name)
        assert verify(made).manifest["status"] == "done"


# What systems leave


LEFT = (".DS_Store", "._output.npy", ".nfs000000000123", "Thumbs.db", "desktop.ini", ".fuse_hidden01")


def test_what_systems_leave_is_told_and_no_damage() -> None:
    assert convpipe("name=c").code == 0
    run = only_run(Path("runs"))
    for folder in (run, run.parent, run.parent.parent):
        for name in LEFT:
            (folder / name).write_bytes(b"\0")
    (run / ".ipynb_checkpoints").mkdir()
    answer = convpipe("verify", "runs")
    assert answer.code == 0
    assert answer.out.startswith(f"ok {run} archive ")
    first = ", ".join(sorted([*LEFT, ".ipynb_checkpoints"])[:5])
    of_collection = f"note: {run.parent}: no part of the collection: {', '.join(sorted(LEFT)[:5])} and 1 more"
    assert answer.err.splitlines() == [f"note: {run}: no part of the run: {first} and 2 more", of_collection]
    assert leftovers(run) == sorted([*LEFT, ".ipynb_checkpoints"])
    assert convpipe("name=c").out.endswith(f"reproduced: {run}\n")
    assert "1 there before, 0 failed" in convpipe("-m", "name=c", "seed=0,1").out
    assert convpipe("reproduce", str(run)).code == 0
    assert convpipe("runs", "c", "--rebuild").out.count("done") == 2


# What stands for a run


def test_a_name_an_id_or_its_start_stands_for_a_run() -> None:
    assert convpipe("name=c").code == 0
    run = only_run(Path("runs"))
    assert convpipe("name=c", "seed=1").code == 0
    newest = next(path for path in sorted(Path("runs/c").iterdir()) if path.is_dir() and path.name != ID)
    for word, right in ((ID, run), (ID[:4], run), (f"c/{ID}", run), ("c", newest), ("runs/c", newest)):
        answer = convpipe("explain", word, "--at", "0,0,0,0")
        assert (answer.code, answer.err) == (0, f"explain: {right}\n"), word
        assert answer.out.endswith("= -9, as stored\n")
        assert convpipe("reproduce", word).out.endswith(f"reproduced: {right}\n"), word
        assert cp.load(word).path == right
        assert cp.explain(word, (0, 0, 0, 0)).stored == -9
    assert convpipe("explain", str(run), "--at", "0,0,0,0").err == ""
    assert convpipe("verify", ID[:6]).out.startswith(f"ok {run} ")
    assert convpipe("verify", "c").out.count("ok runs/c/") == 2
    assert convpipe("page", ID).out == f"page: {run}.html\n"
    assert convpipe("page", "c").out == "page: runs/c/index.html\n"
    assert convpipe("runs", "c").out == convpipe("runs", "runs/c").out
    assert len(cp.runs("c")) == 2


def test_what_is_here_counts_more_than_what_is_in_runs() -> None:
    assert convpipe("name=c").code == 0
    assert convpipe("root=.", "name=c", "seed=1").code == 0
    (here,) = (path.parent for path in Path("c").glob("*/manifest.json"))
    assert cp.load("c").path == here


def test_an_id_of_several_runs_names_them_and_each_works() -> None:
    for name in ("a", "b"):
        assert convpipe(f"name={name}").code == 0
    answer = convpipe("explain", ID, "--at", "0,0,0,0")
    said = f"got {ID}, with which 2 run ids start; expected a run, such as runs/a/{ID}, runs/b/{ID}\n"
    assert (answer.code, answer.err) == (2, f"convpipe: explain: {said}")
    for path in re.findall(r"runs/\w/\w+", answer.err):
        assert convpipe("explain", path, "--at", "0,0,0,0").code == 0


@pytest.mark.parametrize(
    "word", ["runs/leture_3d", "leture_3d", "run/lecture_3d", "runs/lecture_3d/4014ffa24255", "runz"]
)
@pytest.mark.parametrize("command", [["verify"], ["page"], ["runs"], ["explain", "--at=0,0,0,0"], ["reproduce"]])
def test_what_was_meant_works_when_typed(word: str, command: list[str]) -> None:
    assert convpipe().code == 0
    answer = convpipe(*command, word)
    assert answer.code == 2
    found = re.search(rf"^convpipe: {command[0]}: got {word}, expected a folder \(did you mean (\S+)\?\)$", answer.err)
    assert found, answer.err
    again = convpipe(*command, found[1])
    assert again.code == 0 or re.search(
        r"expected (its collection, |a run, such as |a collection.*, such as )", again.err
    )


@pytest.mark.parametrize("command", [["verify"], ["page"], ["runs"], ["explain", "--at=0,0,0,0"], ["reproduce"]])
def test_a_file_is_called_one(command: list[str]) -> None:
    Path("x.txt").write_text("")
    assert convpipe(*command, "x.txt").err == f"convpipe: {command[0]}: got x.txt, a file; expected a folder\n"


def test_where_there_is_nothing_at_all() -> None:
    said = "convpipe: runs: got no path, and there is no folder runs here, in which results are\n"
    assert convpipe("runs") == type(convpipe("runs"))(2, "", said)
    for load in (cp.load, cp.runs, cp.verify, cp.reproduce):
        with pytest.raises(UsageError, match=r"got c, expected a folder$"):
            load("c")


# The collections of a root


def test_runs_without_a_path_lists_the_collections() -> None:
    assert convpipe("name=a").code == 0
    assert convpipe("-m", "name=b", "seed=1,2,3").code == 0
    Path("runs/empty").mkdir()
    Path("runs/README.md").write_text("mine")
    for words in (["runs"], ["runs", "runs"], ["runs", "runs/"]):
        answer = convpipe(*words)
        assert (answer.code, answer.err) == (0, "")
        head, *rows = (line.split() for line in answer.out.splitlines())
        assert head == ["collection", "runs", "failed", "started"]
        assert [row[:3] for row in rows] == [["runs/b", "3", "0"], ["runs/a", "1", "0"]]
        assert [row[3] for row in rows] == [cp.load(row[0]).manifest["started"] for row in rows]
    listed = json.loads(convpipe("runs", "--format", "json").out)
    assert [(row["collection"], row["runs"]) for row in listed] == [("runs/b", 3), ("runs/a", 1)]
    answer = convpipe("runs", "--where", "seed == 1")
    assert (answer.code, answer.err) == (
        2,
        "convpipe: runs: --where: expected a collection, got runs, which holds several\n",
    )
    with pytest.raises(UsageError, match=r"^runs: got runs, expected a collection of runs, such as runs/a, runs/b$"):
        cp.runs("runs")


def test_collections_that_a_run_laid_beside_them_would_hide_are_told() -> None:
    for name in "abcd":
        assert convpipe(f"name={name}").code == 0
    shutil.copytree(cp.load("runs/a").path, "runs/0123456789ab")
    answer = convpipe("runs")
    told = "note: runs has runs of its own; collections below it are not listed: runs/a, runs/b, runs/c and 1 more\n"
    assert (answer.code, answer.err) == (0, told)


# What is kept


def broken(*words: object) -> None:
    """The disk refuses."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/c/results.csv")


def test_a_table_that_cannot_be_written_says_that_the_run_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert convpipe("name=c").code == 0
    monkeypatch.setattr(collection, "run_row", broken)
    monkeypatch.setattr(collection, "locked", broken)
    answer = convpipe("name=c", "seed=1")
    (made,) = (path.parent for path in Path("runs/c").glob("*/manifest.json") if path.parent.name != ID)
    said = f"convpipe: runs/c/results.csv: No space left on device; the run is kept: {made}\n"
    assert (answer.code, answer.err) == (4, said)
    assert verify(made).manifest["status"] == "done"
    with pytest.raises(StorageError, match=r"device; the run is kept: runs/c/\w{12}$"):
        cp.run(name="c", seed=2)
    answer = convpipe("runs", "c", "--rebuild")
    assert answer.err.endswith("No space left on device; the runs are as they were\n")


def test_a_replacement_whose_row_cannot_be_noted_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from convpipe.archive import replace

    assert convpipe("name=c").code == 0
    run = only_run(Path("runs"))
    (run / "output.npy").unlink()
    monkeypatch.setattr(replace, "index_row", broken)
    answer = convpipe("name=c")
    assert answer.code == 4
    assert answer.err.endswith(f"; the run is kept: {run}\n")
    assert verify(run).manifest["status"] == "done"


# A folder of several users


JOB = """\
import contextlib, io, os, sys
b"x".decode("ascii")
from convpipe.cli.main import main
folder, users, *words = sys.argv[1:]
os.chdir(os.path.join(folder, "warm"))
with contextlib.redirect_stdout(io.StringIO()):  # so that nothing is left to import
    main(["keep=output+inputs"]), main(["-m", "seed=1,2"]), main(["runs", "lecture_3d", "--rebuild"])
os.chdir(os.path.join(folder, "work"))
os.setgroups([]), os.setgid(int(users)), os.setuid(int(users)), os.umask(0o022)
code = main(words)
sys.stdout.flush()
os._exit(code)
"""


def by(user: int, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """convpipe by another user, whose files nobody else may write to by themselves."""
    shutil.rmtree(folder / "warm", ignore_errors=True)
    (folder / "warm").mkdir()
    return subprocess.run(
        [sys.executable, "-c", JOB, str(folder), str(user), *words],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


EVE, BOB = 60001, 60002


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder with a collection to which everybody may write; pytest's own are for one user alone."""
    with tempfile.TemporaryDirectory() as name:
        for folder in (Path(name, *parts) for parts in ((), ("work",), ("work", "runs"), ("work", "runs", "c"))):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o777)
        yield Path(name)


@pytest.mark.skipif(not ROOTED, reason="only root can be others")
@pytest.mark.parametrize("old", [False, True], ids=["now", "of before"])
def test_two_users_share_a_collection(shared_folder: Path, old: bool) -> None:
    folder = shared_folder / "work/runs/c"
    assert by(EVE, shared_folder, "name=c").returncode == 0
    if old:  # files that only their owner may write to, as they were made before
        for name in os.listdir(folder):
            if not (folder / name).is_dir():
                (folder / name).chmod(0o644)
    for user, words in (
        (BOB, ["name=c", "seed=1"]),
        (EVE, ["-m", "name=c", "seed=1,2"]),
        (BOB, ["-m", "name=c", "seed=2,3"]),
        (EVE, ["name=c", "seed=1"]),
        (BOB, ["runs", "c", "--rebuild"]),
    ):
        done = by(user, shared_folder, *words)
        assert (done.returncode, done.stderr) == (0, ""), (words, done.stderr)
    assert len(cp.runs(folder)) == 4


@pytest.mark.skipif(not ROOTED, reason="only root can be others")
def test_a_folder_like_tmp_says_what_is_kept(shared_folder: Path) -> None:
    folder = shared_folder / "work/runs/c"
    assert by(EVE, shared_folder, "name=c").returncode == 0
    folder.chmod(0o1777)
    for name in (".index.jsonl", "results.csv"):
        (folder / name).chmod(0o644)
    done = by(BOB, shared_folder, "name=c", "seed=1")
    assert done.returncode == 4
    (made,) = (path.parent for path in folder.glob("*/manifest.json") if path.parent.name != ID)
    assert done.stderr.endswith(f"; the run is kept: runs/c/{made.name}\n")
    verify(made)


def test_a_lock_is_held_by_one(here: Path) -> None:
    with index.locked(here), pytest.raises(TimeoutError, match="held by another process"):
        index.locked(here).acquire(timeout=0)
    with index.locked(here).acquire(timeout=0):
        assert (here / shared.LOCK).exists()


def test_a_private_folder_stays_private(here: Path) -> None:
    here.chmod(0o700)
    before = os.umask(0o077)
    try:
        with index.locked(here):
            index.add_lines(here / "x", b"x\n")
    finally:
        os.umask(before)
    assert [(here / name).stat().st_mode & 0o077 for name in (".lock", "x")] == [0, 0]


def test_verify_finds_what_is_no_leftover() -> None:
    assert convpipe("name=c").code == 0
    run = only_run(Path("runs"))
    (run / "more.npy").write_bytes(b"")
    with pytest.raises(ArchiveError, match=r"more\.npy: a file that SHA256SUMS does not list"):
        verify(run)
