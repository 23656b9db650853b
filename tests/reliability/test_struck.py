"""The end of the process, or an error of the disk, at every call of what writes: nothing half done is ever seen.

Of calls from one place, as to write each array of a run, CI strikes the first. CONVPIPE_LONG=1 strikes them all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from scenes import SCENES, Scene, Stage, on_stage, told_well
from struck import KILL, Call, Shim, Strace, can_strace
from warm import Warm, warm

LONG = os.environ.get("CONVPIPE_LONG") == "1"
TORN, EIO, ENOSPC, EINTR = "TORN", "EIO", "ENOSPC", "EINTR"
GOES_ON = ("open", "openat", "read", "write", "flock", "fsync")  # after EINTR, as Python does
Kind = tuple[str, str]


@dataclass(frozen=True)
class Traced:
    """A scene's calls, and which of them are like none of an earlier scene."""

    calls: Sequence[Call]
    new: frozenset[Kind]


@pytest.fixture(scope="module")
def striker() -> Strace | Shim:
    """What strikes here."""
    return Strace() if can_strace() else Shim()


@pytest.fixture(scope="module")
def traced(ready: Warm, striker: Strace | Shim) -> dict[str, Traced]:
    """The calls of each scene."""
    found: dict[str, Traced] = {}
    known: set[Kind] = set()
    for name, scene in SCENES.items():
        with on_stage(scene, ready) as stage:
            stage.begin()
            ended, calls = striker.calls(ready, stage.words, stage.folder, stage.folder / "r")
        assert ended.code in stage.codes, ended
        kinds = {call.kind for call in calls}
        found[name] = Traced(calls, frozenset(kinds - known))
        known |= kinds
    return found


def chosen(traced: Traced, blow: str) -> list[Call]:
    """The calls that are struck: each kind in the first scene that has it; torn writes in every one."""
    calls = [call for call in traced.calls if call.changes or blow in (EIO, EINTR)]
    if blow == TORN:
        calls = [call for call in calls if call.name == "write"]
    elif blow == EINTR:
        calls = [call for call in calls if call.name in GOES_ON and not call.of_a_folder]
    if LONG:
        return calls
    return list({call.kind: call for call in reversed(calls) if blow == TORN or call.kind in traced.new}.values())


def is_struck(scene: Scene, blow: str) -> bool:
    """Whether CI strikes there: a full disk and a signal meet a run and a sweep alone, which write as the others do."""
    return LONG or blow in (KILL, EIO) or scene.name in ("single", "sweep")


def failings(stage: Stage, striker: Strace | Shim, calls: Sequence[Call], blow: str) -> Iterator[str]:
    """What does not hold after each of some calls was struck."""
    for call in calls:
        stage.begin()
        try:
            ended = striker.strike(stage.warm, stage.words, stage.folder, call, blow, stage.folder / "r")
            assert ended.code == -9 if blow in (KILL, TORN) else ended.code != -9, ended
            if blow == EINTR:
                assert ended.code in stage.codes, ended
            elif blow not in (KILL, TORN):
                told_well(stage, ended)
            stage.settled()
        except AssertionError as error:
            yield f"{blow} at {call}: {error}".replace(str(stage.folder), "FOLDER")


BLOWS = [(scene, blow) for scene in SCENES.values() for blow in (KILL, EIO, ENOSPC, EINTR) if is_struck(scene, blow)]


@pytest.mark.parametrize(("scene", "blow"), BLOWS, ids=lambda each: getattr(each, "name", each))
def test_each_call_struck(
    scene: Scene, blow: str, ready: Warm, striker: Strace | Shim, traced: dict[str, Traced]
) -> None:
    with on_stage(scene, ready) as stage:
        assert list(failings(stage, striker, chosen(traced[scene.name], blow), blow)) == []


@pytest.mark.parametrize("scene", SCENES.values(), ids=lambda scene: scene.name)
def test_each_write_torn(scene: Scene, ready: Warm) -> None:
    """Half of what is written arrives, as on a disk that fills up, and then the process ends."""
    with on_stage(scene, ready) as stage:
        stage.begin()
        ended, calls = Shim().calls(ready, stage.words, stage.folder, stage.folder / "r")
        assert ended.code in stage.codes, ended
        writes = chosen(Traced(calls, frozenset()), TORN)
        assert writes
        assert list(failings(stage, Shim(), writes, TORN)) == []


def test_every_scene_writes(traced: dict[str, Traced]) -> None:
    for name, found in traced.items():
        assert {call.kind[0] for call in found.calls} & {"write+", "rename+"}, name
        assert len(found.calls) > 30, name


# What strikes is itself proven, on writers that do it wrong

NOT_ATOMIC = """
import os
from convpipe.archive import write
from convpipe.files.staging import storing

def publish(draft, place):
    if place.exists():
        return False
    with storing(place):
        os.makedirs(place)
        for name in sorted(os.listdir(draft.folder)):
            os.rename(draft.folder / name, place / name)
        os.rmdir(draft.folder)
    draft.published = True
    return True

from convpipe.execution import runner
runner.publish = publish
"""
LYING = """
from convpipe.archive import collection
refresh = collection.refresh

def never_mind(folder):
    try:
        return refresh(folder)
    except Exception:
        raise RuntimeError("something") from None

collection.refresh = never_mind
"""
DEAF = """
from convpipe.archive import write
real = write.write_file

def hushed(path, content):
    try:
        return real(path, content)
    except Exception:
        return "0" * 64

write.write_file = hushed
"""
SINGLE = SCENES["single"]


@pytest.mark.parametrize(
    ("planted", "blow"), [(NOT_ATOMIC, KILL), (LYING, EIO), (DEAF, EIO)], ids=["not atomic", "lying", "deaf"]
)
@pytest.mark.parametrize("kind", ["strace", "shim"])
def test_a_writer_that_does_it_wrong_is_caught(planted: str, blow: str, kind: str) -> None:
    if kind == "strace" and not can_strace():
        pytest.skip("no strace that may follow other processes")
    striker: Any = Strace() if kind == "strace" else Shim()
    with warm(planted) as process, on_stage(SINGLE, process) as stage:
        stage.begin()
        _, calls = striker.calls(process, stage.words, stage.folder, stage.folder / "r")
        first = {call.kind: call for call in reversed(calls) if call.changes}
        assert any(failings(stage, striker, list(first.values()), blow))


def test_a_call_that_does_not_come_is_no_pass(ready: Warm, tmp_path: Path) -> None:
    call = Call("write", 10_000, "/c/results.csv", changes=True)
    for striker in (Strace(), Shim()) if can_strace() else (Shim(),):
        with pytest.raises(AssertionError, match="was not struck"):
            striker.strike(ready, ["help"], tmp_path, call, EIO, tmp_path)
