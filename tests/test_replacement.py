"""A replacement is there whole or not at all, whenever it is killed: the next command brings it to its end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import CHECKOUT, convpipe
from run_cases import a_place, a_run, a_spec, contents, edit_manifest, execute, hidden, run_folders, set_output
from sweep_cases import fast_folder

import convpipe as cp
from convpipe.archive import replace
from convpipe.archive.collection import rebuild
from convpipe.archive.read import load
from convpipe.archive.shared import locked
from convpipe.archive.verify import verify
from convpipe.errors import StorageError

C = Path("r/c")
WORDS = ("root=r", "name=c", "input=integers", "filters=integers")
OTHER = "0" * 64
STEPS = range(1, 5)  # of a replacement: make way, put in place, note the row, put away
KEPT, REMOVED = ("replace=true",), ("keep=stages",)  # what becomes of the old run
# A command that kills itself before, or after, the so-many-th of those steps.
KILLED = """
import os, signal, sys
from convpipe.archive import replace
from convpipe.cli.main import main
left, when = int(sys.argv[1]), sys.argv[2]

def counted(call):
    def counting(*given, **settings):
        global left
        left -= 1
        if not left and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        made = call(*given, **settings)
        if not left and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return made
    return counting

class Counting:
    def __init__(self, module, *names):
        self.module, self.counted = module, {name: counted(getattr(module, name)) for name in names}
    def __getattr__(self, name):
        return self.counted.get(name) or getattr(self.module, name)

replace.os, replace.remove_hidden = Counting(os, "rename", "replace"), counted(replace.remove_hidden)
replace.index_row = counted(replace.index_row)
sys.exit(main(sys.argv[3:]))
"""


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder in memory."""
    with fast_folder() as folder:
        monkeypatch.chdir(folder)
        yield folder


def killed(step: int, when: str, *words: str) -> None:
    """Run a command that is killed at a step of its replacement."""
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-c", KILLED, str(step), when, *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


def old_run(*changes: str) -> Path:
    """A run of other code, and, where it is to be kept aside, with another result than ours."""
    assert convpipe(*WORDS, "seed=1").code == 0
    (run,) = run_folders(C)
    if changes == KEPT:
        set_output(run, lambda values: np.put(values, 0, 99))
    edit_manifest(run, code=OTHER)
    return run


NEXT: dict[str, Callable[[Path], object]] = {
    "runs": lambda run: convpipe("runs", "r/c"),
    "cp.runs": lambda run: cp.runs("r/c"),
    "verify": lambda run: convpipe("verify", "r/c"),
    "verify all": lambda run: convpipe("verify", "r"),
    "reproduce": lambda run: convpipe("reproduce", str(run)),
    "explain": lambda run: convpipe("explain", str(run), "--at=0,0,0,0"),
    "sweep": lambda run: convpipe("-m", *WORDS, "seed=1,2", "reuse=same-config"),
    "run": lambda run: convpipe(*WORDS, "seed=7"),
}


def aside() -> list[Path]:
    """What lies aside."""
    return sorted((C / replace.ASIDE).iterdir()) if (C / replace.ASIDE).exists() else []


def archive_id(run: Path) -> str:
    """The archive id of a run that is whole."""
    found: str = verify(run).manifest["archive_id"]
    return found


def assert_settled(run: Path, old: str, changes: tuple[str, ...]) -> None:
    """A run is whole, the old one or the new one, and of the old one nothing is lost and nothing is there twice."""
    assert [path.name for path in aside() if path.name.startswith(".")] == []
    if archive_id(run) == old or changes == REMOVED:
        assert aside() == []
    else:
        (gone,) = aside()
        assert gone.name == f"{run.name}-{old}"
        assert archive_id(gone) == old


def assert_replaced(run: Path, old: str, changes: tuple[str, ...]) -> None:
    """The same command again, and all is as if it had not been killed."""
    assert convpipe("-m", *WORDS, "seed=1", *changes).code == 0
    assert archive_id(run) != old
    assert_settled(run, old, changes)
    assert hidden(C) == []
    table = (C / "results.csv").read_bytes()
    assert rebuild(C).read_bytes() == table


# Kills


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("changes", [KEPT, REMOVED])
def test_a_replacement_that_is_killed(changes: tuple[str, ...], when: str, step: int, folder: Path) -> None:
    run = old_run(*changes)
    old = archive_id(run)
    killed(step, when, "-m", *WORDS, "seed=1", *changes)
    assert convpipe("runs", "r/c").out.splitlines()[-1].startswith(run.name)
    assert_settled(run, old, changes)
    new = step > 2 or (step, when) == (2, "after")
    assert (archive_id(run) != old) == new
    if new:
        (row,) = cp.runs("r/c").to_dict("records")
        assert row["output_sha256"] == load(run).rows[-1]["sha256"]
    assert_replaced(run, old, changes)


@pytest.mark.parametrize("command", NEXT)
def test_the_next_command_puts_it_right(command: str, folder: Path) -> None:
    run = old_run(*KEPT)
    old = archive_id(run)
    killed(1, "after", "-m", *WORDS, "seed=1", *KEPT)
    assert not run.exists()
    NEXT[command](run)
    assert archive_id(run) == old
    assert aside() == []


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("when", ["before", "after"])
def test_putting_it_right_may_be_killed_too(when: str, step: int, folder: Path) -> None:
    run = old_run(*KEPT)
    old = archive_id(run)
    killed(2, "after", "-m", *WORDS, "seed=1", *KEPT)
    killed(step, when, "runs", "r/c")
    assert convpipe("runs", "r/c").code == 0
    assert archive_id(run) != old
    assert_settled(run, old, KEPT)
    assert_replaced(run, old, KEPT)


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_manifest_that_is_renewed_and_killed(when: str, step: int, folder: Path) -> None:
    run = old_run()
    old = contents(run)
    killed(step, when, "-m", *WORDS, "seed=1")
    now = contents(run)
    assert now.keys() == old.keys()
    assert (now == old) == ((step, when) == (1, "before"))
    assert convpipe("verify", "r").code == 0
    assert convpipe("-m", *WORDS, "seed=1").code == 0
    assert load(run).manifest["agrees"] == [OTHER]
    assert hidden(C) == []
    table = (C / "results.csv").read_bytes()
    assert rebuild(C).read_bytes() == table


def test_a_run_that_a_person_has_removed_does_not_come_back(folder: Path) -> None:
    run = old_run(*KEPT)
    old = archive_id(run)
    assert convpipe("-m", *WORDS, "seed=1", *KEPT).code == 0
    shutil.rmtree(run)
    convpipe("runs", "r/c")
    assert not run.exists()
    assert convpipe("-m", *WORDS, "seed=1").out.endswith("1 done, 0 there before, 0 failed: r/c\n")
    assert_settled(run, old, KEPT)


def test_where_nothing_may_be_written_a_listing_is_one_all_the_same(folder: Path, monkeypatch: Any) -> None:
    run = old_run(*KEPT)
    killed(1, "after", "-m", *WORDS, "seed=1", *KEPT)
    monkeypatch.setattr(replace, "locked", lambda folder: (_ for _ in ()).throw(PermissionError(13, "no")))
    assert convpipe("runs", "r/c").code == 0
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    convpipe("runs", "r/c")
    assert run.exists()


# What fails on its way


class Failing:
    """The system, of which the so-many-th rename, or each from then on, fails."""

    def __init__(self, at: int, error: BaseException, for_ever: bool = False) -> None:
        self.left, self.error, self.for_ever = at, error, for_ever

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def rename(self, source: Any, target: Any) -> None:
        self.left -= 1
        if self.left == 0 or (self.left < 0 and self.for_ever):
            raise self.error
        os.rename(source, target)


FULL = OSError(28, "No space left on device")


@pytest.mark.parametrize("error", [FULL, KeyboardInterrupt()])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_rename_that_fails(at: int, error: BaseException, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = old_run(*KEPT)
    old = archive_id(run)
    before = contents(run)
    monkeypatch.setattr(replace, "os", Failing(at, error))
    expected = pytest.raises(KeyboardInterrupt) if error is not FULL else pytest.raises(StorageError, match="No space")
    with expected:
        execute_again(KEPT)
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert hidden(C) == []
    if at < 3:
        assert contents(run) == before
        assert aside() == []
    convpipe("runs", "r/c")
    assert (archive_id(run) == old) == (at < 3)
    assert_settled(run, old, KEPT)
    assert_replaced(run, old, KEPT)


def test_a_rename_that_fails_and_cannot_be_undone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = old_run(*KEPT)
    old = archive_id(run)
    monkeypatch.setattr(replace, "os", Failing(2, FULL, for_ever=True))
    with pytest.raises(StorageError, match="No space"):
        execute_again(KEPT)
    assert not run.exists()
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    convpipe("runs", "r/c")
    assert archive_id(run) == old
    assert_replaced(run, old, KEPT)


def execute_again(changes: tuple[str, ...]) -> Any:
    """The run once more, in this process."""
    return cp.run(*WORDS, "seed=1", *changes)


# Several at once


def test_a_run_that_another_has_put_into_the_empty_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = old_run(*KEPT)
    old = archive_id(run)

    class Taken(Failing):
        def rename(self, source: Any, target: Any) -> None:
            self.left -= 1
            if self.left == 0:
                monkeypatch.setattr(replace, "os", os)
                shutil.copytree(source, target)  # by a process that found the place empty
            os.rename(source, target)

    monkeypatch.setattr(replace, "os", Taken(2, FULL))
    execute_again(KEPT)
    assert archive_id(run) != old
    assert_settled(run, old, KEPT)
    assert hidden(C) == []


def test_a_run_that_has_changed_since_it_was_compared_is_compared_again(tmp_path: Path, monkeypatch: Any) -> None:
    run = a_run(tmp_path)
    set_output(run.path, lambda values: np.put(values, 0, 99))
    real, seen = replace.manifest_text, list[str]()

    def changing(place: str) -> str:
        if not seen:
            edit_manifest(run.path, code=OTHER)
        seen.append(place)
        return real(place)

    monkeypatch.setattr(replace, "manifest_text", changing)
    outcome = execute(a_spec(), a_place(tmp_path, replace=True))
    assert len(seen) > 2
    assert outcome.verdict.startswith("new; the one before was not reproduced")
    verify(run.path)


BESIDE = """
import sys
from pathlib import Path
from run_cases import a_place, a_spec, execute
print(execute(a_spec(), a_place(Path(sys.argv[1]), replace=True, keep="stages")).verdict)
"""


def test_two_replacements_at_once(tmp_path: Path) -> None:
    run = a_run(tmp_path / "c")
    set_output(run.path, lambda values: np.put(values, 0, 99))
    old = archive_id(run.path)
    environment = {**os.environ, "PYTHONPATH": f"{CHECKOUT}{os.pathsep}{Path(__file__).parent}"}
    command = [sys.executable, "-c", BESIDE, str(tmp_path / "c")]
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60)[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(text.partition(";")[0] for text in said) in (["new", "reproduced"], ["new", "new"])
    assert archive_id(run.path) != old
    assert f"{run.path.name}-{old}" in {path.name for path in (tmp_path / "c" / replace.ASIDE).iterdir()}
    assert hidden(tmp_path / "c") == []


def test_who_mends_waits_for_who_replaces(folder: Path) -> None:
    run = old_run(*KEPT)
    leaving = replace.make_way(run, replace.KEPT)
    mended = threading.Thread(target=replace.mend, args=(C,))
    with locked(C):
        mended.start()
        time.sleep(0.2)
        assert leaving.path.exists()
        assert not run.exists()
    mended.join(60)
    assert run.exists()
    assert not leaving.path.exists()
