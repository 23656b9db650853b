"""What is good stays good to `verify`: while somebody is at work, after a kill, on other disks, in other forms."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_runs import convpipe, process
from good_collections import PLAIN, Collection
from run_cases import a_place, a_run, a_spec, execute, hidden
from sweep_cases import events
from verdicts import DAMAGE, QUIET, TOLD, judged, outcome

from convpipe.archive.collection import rebuild
from convpipe.files import staging

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
DAY = 24 * 3600


# Somebody at work


def test_while_a_run_is_made(tmp_path: Path) -> None:
    seen: list[tuple[str, list[str]]] = []

    def meanwhile(result: object) -> None:
        seen.append((outcome(judged(tmp_path)), hidden(tmp_path)))

    a_run(tmp_path, {"seed": 1})
    execute(a_spec(), a_place(tmp_path), meanwhile)
    assert {found for found, _ in seen} == {QUIET}
    assert all(len(half_done) == 1 for _, half_done in seen)


@pytest.mark.usefixtures("folder")
def test_between_any_two_points_of_a_sweep() -> None:
    assert convpipe("root=r", "name=c", *PLAIN, "seed=9").code == 0
    seen = []
    for event in events("root=r", "name=c", *PLAIN, "seed=range(0,12)", "conv.pad=0,1"):
        seen.append((type(event).__name__, outcome(judged(Path("r")))))
    assert len(seen) > 24
    assert {found for _, found in seen} == {QUIET}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda how: how.name)
def test_after_a_sweep_is_ended(folder: Path, how: signal.Signals) -> None:
    sweep = process("-m", "root=r", "name=c", *PLAIN, "seed=range(0,3000)", "workers=2", cwd=folder)
    while not len(list(folder.glob("r/c/[0-9a-f]*/manifest.json"))) > 20:
        assert sweep.poll() is None
        time.sleep(0.01)
    sweep.send_signal(how)
    _, told = sweep.communicate(timeout=60)
    answer = judged(folder / "r")
    assert answer.code == 0, (told, answer.err)
    assert how == signal.SIGKILL or outcome(answer) == QUIET, answer.err
    assert len(answer.out.splitlines()) > 20


@pytest.mark.parametrize("days", [0, 2])
def test_what_is_half_done_is_told_when_it_is_old(tmp_path: Path, days: int) -> None:
    a_run(tmp_path)
    ended = subprocess.Popen(["true"])
    ended.wait()
    left = tmp_path / f".staging-0123456789ab-{staging.machine_mark()}-{ended.pid}-00000000"
    left.mkdir()
    (left / "manifest.json").write_text("{")
    (left / "SHA256SUMS").write_text("half")
    then = time.time() - days * DAY
    os.utime(left, (then, then))
    assert outcome(judged(tmp_path)) == (TOLD if days else QUIET)
    assert left.exists()
    assert outcome(judged(tmp_path, "--tidy")) == (TOLD if days else QUIET)
    assert left.exists() is not bool(days)
    assert outcome(judged(tmp_path)) == QUIET


# Other states, other places, other forms


def test_after_each_of_what_writes(mine: Collection) -> None:
    commands = (
        ("runs", "r/c", "--rebuild"),
        ("page", "r/d"),
        ("page", f"r/c/{mine.named['network']}"),
        (*PLAIN, "root=r", "name=c", "seed=4", "keep=stages"),
        (*PLAIN, "root=r", "name=c", "seed=4", "label=again", "note=of now"),
        ("-m", *PLAIN, "root=r", "name=c", "seed=1,4,5", "reuse=same-config"),
        ("-m", *PLAIN, "root=r", "name=c", "seed=4,5", "retry=all", "timing.repeats=2"),
        ("-m", *PLAIN, "root=r", "name=d", "seed=5,6", "threads=1,2"),
        ("reproduce", f"r/c/{mine.named['full']}"),
    )
    for words in commands:
        answer = convpipe(*words)
        assert answer.code == 0, (words, answer)
        assert outcome(judged(mine.root)) == QUIET, words


@pytest.mark.parametrize("kept", [path.name for path in sorted(GOLDEN.glob("v*"))])
def test_archives_of_old(kept: str, tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / kept, tmp_path / kept)
    assert outcome(judged(tmp_path)) == QUIET
    for folder in (tmp_path / kept).iterdir():
        rebuild(folder)
    assert outcome(judged(tmp_path)) == QUIET


def copied(root: Path) -> None:
    """As `cp -r` does, with times of now."""
    subprocess.run(["cp", "-r", root, root.with_name("copy")], check=True)
    shutil.rmtree(root)
    root.with_name("copy").rename(root)


def zipped(root: Path) -> None:
    """Through a ZIP file without bits of access and with times of two seconds."""
    place = root.with_suffix(".zip")
    with zipfile.ZipFile(place, "w") as file:
        for path in sorted(root.rglob("*")):
            if path.is_file():
                file.writestr(str(path.relative_to(root)), path.read_bytes())
    shutil.rmtree(root)
    with zipfile.ZipFile(place) as file:
        file.extractall(root)


def tarred(root: Path) -> None:
    """Through a tar file."""
    place = root.with_suffix(".tar.gz")
    with tarfile.open(place, "w:gz") as file:
        file.add(root, "r")
    shutil.rmtree(root)
    with tarfile.open(place) as file:
        file.extractall(root.parent, filter="data")


def touched(root: Path) -> None:
    """Every file as if it had been changed now, or in 2300."""
    for number, path in enumerate(sorted(root.rglob("*"))):
        os.utime(path, (10_413_792_000,) * 2 if number % 2 else None)


def without_hidden(root: Path) -> None:
    """As programs leave it that copy no hidden files."""
    for name in (".index.jsonl", ".failed.jsonl", ".table.json", ".lock"):
        for path in root.glob(f"*/{name}"):
            path.unlink()
    for path in root.glob("*/.aside"):
        shutil.rmtree(path)


def read_only(root: Path) -> None:
    """Nothing may be written."""
    for path in (root, *root.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)


def runs_alone(root: Path) -> None:
    """Nothing but the folders of runs, and what they read."""
    for collection in root.iterdir():
        for path in collection.iterdir():
            if path.is_file():
                path.unlink()
        shutil.rmtree(collection / "sweeps", ignore_errors=True)


NO_LIST = "note: {}/results.csv: failed points that are in no list: "  # which hidden files had
CARRIED = (copied, zipped, tarred, touched, without_hidden, read_only, runs_alone)


@pytest.mark.parametrize("carry", CARRIED, ids=lambda carry: carry.__name__)
def test_carried_elsewhere(carry: Callable[[Path], object], mine: Collection) -> None:
    names = {*mine.ids(), *mine.ids("d")}
    carry(mine.root)
    answer = judged(mine.root)
    assert answer.code == 0, answer.err
    told = [line for line in answer.err.splitlines() if not line.startswith(NO_LIST.format(mine.folder))]
    assert told == [], answer.err
    assert len(answer.err.splitlines()) == (carry is without_hidden)
    assert {line.split("/")[-1].split()[0] for line in answer.out.splitlines()} >= names


def test_each_run_and_each_collection_by_itself(mine: Collection) -> None:
    for path in (mine.folder, mine.root / "d", *(mine.folder / name for name in mine.ids()), mine.aside):
        assert outcome(judged(path)) == QUIET, path
    for name in ("c", "c/", f"c/{mine.named['full']}/", "."):
        assert convpipe("verify", f"{mine.root}/{name}").code == 0, name


def test_what_systems_leave_is_told_and_no_damage(mine: Collection) -> None:
    for name in (".DS_Store", "._x", ".nfs00001", "Thumbs.db"):
        for place in (mine.root, mine.folder, mine.run("full")):
            (place / name).write_bytes(b"x")
    answer = judged(mine.root)
    assert outcome(answer) == TOLD
    assert all(name in answer.err for name in (".DS_Store", "._x", ".nfs00001", "Thumbs.db"))


def test_an_alarm_is_one(mine: Collection) -> None:
    """The states of this module are judged by what does find damage."""
    for path in (mine.run("light"), mine.run("network")):
        shutil.copy(path / "manifest.json", path / "output.npy")
        assert outcome(judged(path)) == DAMAGE
