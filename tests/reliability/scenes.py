"""Commands that write, each in a folder that is prepared for it, and what has to hold after whatever happens to one."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from run_cases import edit_manifest, run_folders, set_output
from sweep_cases import SHM, collected
from warm import Ended, Warm

from convpipe.files.staging import remove_abandoned

OTHER_CODE = "0" * 64
PLAIN = ("input=integers", "filters=integers")
FIXED_COLUMNS = ("seconds", "started")
Prepare = Callable[[Warm, Path], object]


@dataclass(frozen=True)
class Scene:
    """A command in a folder; ROOT in its words stands for the root of its results, FOLDER for where it is run."""

    name: str
    words: tuple[str, ...]
    prepare: Prepare = lambda warm, folder: None
    clears: bool = True  # whether the command clears away what an earlier one has left half done

    def typed(self, folder: Path) -> tuple[str, ...]:
        """Its words in a folder."""
        return tuple(word.replace("ROOT", str(folder / "r")).replace("FOLDER", str(folder)) for word in self.words)


def x_csv(warm: Warm, folder: Path) -> None:
    """A file that is read."""
    (folder / "x.csv").write_text("1,2,3\n4,5,6\n7,8,9\n")
    os.utime(folder / "x.csv", (0, 0))  # a file that has just been written is read once more


def well(warm: Warm, folder: Path, *words: str) -> Ended:
    """A command that must do."""
    typed = Scene("", words).typed(folder)
    ended = warm.run(*typed, cwd=folder)
    assert ended.code == 0, ended
    return ended


def a_run_of_other_code(warm: Warm, folder: Path) -> None:
    """A run that is equal, but of other code: its manifest will be renewed."""
    well(warm, folder, *SINGLE, "keep=stages")
    (run,) = run_folders(folder / "r" / "c")
    edit_manifest(run, code=OTHER_CODE)
    well(warm, folder, "runs", "ROOT/c", "--rebuild")


def a_run_to_replace(warm: Warm, folder: Path) -> None:
    """A run with another result."""
    well(warm, folder, *SINGLE)
    (run,) = run_folders(folder / "r" / "c")
    set_output(run, lambda values: np.put(values, 0, 99))
    edit_manifest(run, code=OTHER_CODE)
    well(warm, folder, "runs", "ROOT/c", "--rebuild")


def a_collection(warm: Warm, folder: Path) -> None:
    """Some runs, and a point that failed."""
    well(warm, folder, "-m", *SINGLE, "seed=1,2,3")
    ended = warm.run(*Scene("", ("-m", *SINGLE, "conv.dtype=uint8", "seed=1,2")).typed(folder), cwd=folder)
    assert ended.code == 1, ended


KEEPING = ("keep=stages+inputs", "pictures=all")
SINGLE = (*PLAIN, "root=ROOT", "name=c")
SCENES = {
    scene.name: scene
    for scene in (
        Scene(
            "single",
            ("input=csv", "input.path=FOLDER/x.csv", "filters=lecture_2x2", "root=ROOT", "name=c", *KEEPING),
            x_csv,
        ),
        Scene("replacement", (*SINGLE, "replace=true"), a_run_to_replace),
        Scene("more arrays", (*SINGLE, "keep=stages"), lambda warm, folder: well(warm, folder, *SINGLE)),
        Scene("renewal", (*SINGLE, "keep=stages"), a_run_of_other_code),
        Scene("sweep", ("-m", *SINGLE, "seed=1,2,3", "threads=1", "timing.repeats=2", "label=a"), a_collection),
        Scene("failures", ("-m", *SINGLE, "conv.dtype=int8,uint8", "on_error=continue", "seed=1,2")),
        Scene("rebuild", ("runs", "ROOT/c", "--rebuild"), a_collection),
        Scene("page", ("page", "ROOT/c"), a_collection, clears=False),
    )
}


class Stage:
    """A scene, prepared once, that can be begun again and again, always in the same folder."""

    def __init__(self, scene: Scene, warm: Warm, place: Path) -> None:
        self.scene, self.warm = scene, warm
        self.kept, self.folder = place / "kept", place / "work"
        self.folder.mkdir()
        scene.prepare(warm, self.folder)
        shutil.copytree(self.folder, self.kept, symlinks=True)
        self.words = scene.typed(self.folder)
        self.first = self.run()
        self.codes = {self.first.code}
        assert (again := self.run()).code in self.codes, again
        self.expected = state(self.collection)

    @property
    def collection(self) -> Path:
        """Where the results are."""
        return self.folder / "r" / "c"

    def begin(self) -> None:
        """Put the folder back to what it was at first."""
        shutil.rmtree(self.folder)
        shutil.copytree(self.kept, self.folder, symlinks=True)

    def run(self) -> Ended:
        """The command, undisturbed."""
        return self.warm.run(*self.words, cwd=self.folder)

    def settled(self) -> None:
        """What is visible is whole, and the same command goes on to what it would have come to."""
        whole(self.warm, self.folder)
        again = self.run()
        assert again.code in self.codes, f"the same command again: {again}"
        if not self.scene.clears:
            remove_abandoned(self.collection)
        same_state(state(self.collection), self.expected)
        whole(self.warm, self.folder)


@contextmanager
def on_stage(scene: Scene, warm: Warm) -> Iterator[Stage]:
    """A stage in memory, where the system has such."""
    with tempfile.TemporaryDirectory(dir=SHM if SHM.is_dir() else None, prefix="convpipe-struck-") as place:
        yield Stage(scene, warm, Path(place))


# What has to hold


def whole(warm: Warm, folder: Path) -> None:
    """`verify` finds no damage; notes it may have."""
    if not any((folder / "r").glob("*/[0-9a-f]*/manifest.json")):
        return
    ended = warm.run("verify", str(folder / "r"), cwd=folder)
    assert ended.code == 0, ended
    assert all(line.startswith("note: ") for line in ended.err.splitlines()), ended


def told_well(stage: Stage, ended: Ended) -> None:
    """A command that met an error says one line, with the right code, and what it says is so."""
    assert ended.code in {*stage.codes, 4}, ended
    assert "Traceback" not in ended.err, ended
    assert "unexpected" not in ended.err, ended
    if ended.code == 4:
        assert re.fullmatch(r"convpipe: .+", ended.last), ended
        lines = [line for line in ended.err.splitlines() if line not in stage.first.err.splitlines()]
        assert len(lines) == 1, ended
    if kept := re.search(r"the run is kept: ([^\s;]+)", ended.last):
        found = stage.warm.run("verify", kept[1], cwd=stage.folder)
        assert found.code == 0, (ended, found)
    if "nothing was kept" in ended.last:
        assert runs_there(stage.folder) <= runs_there(stage.kept), ended


def same_state(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """A collection holds what it should, but for what no command but the next run clears away."""
    other = {name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name)}
    assert not other, {name: (found.get(name), expected.get(name)) for name in sorted(other)}


def runs_there(folder: Path) -> set[str]:
    """The runs below a folder, with what they say of themselves."""
    found = (folder / "r").glob("*/[0-9a-f]*/manifest.json")
    return {f"{path.relative_to(folder)} {path.read_text()}" for path in found}


def state(folder: Path) -> dict[str, Any]:
    """All that a collection holds, but for what says when and how fast."""
    found = collected(folder)
    found.pop("timings.csv", None)
    for name in (".index.jsonl", ".failed.jsonl"):
        found[name] = lines_of(folder / name)
    if records := sorted((folder / "sweeps").glob("*.csv")):
        last = records[-1]
        found["sweeps"] = [{**row, "status": ""} for row in table(last)]
        found["points"] = json.loads(last.with_suffix(".json").read_text())["points"]
    if (folder / "timings.csv").exists():
        whole = [row for row in table(folder / "timings.csv") if row["measured"]]  # others were cut short by a kill
        found["timings"] = {(row["run"], row["threads"], row["repeat"], row["stage"]) for row in whole}
    return found


def lines_of(path: Path) -> dict[str, dict[str, str]]:
    """The last line of each run in a file of lines, but for what says when and how fast."""
    if not path.exists():
        return {}
    rows = []
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:  # cut short by a kill: it counts for nothing
            continue
    return {row["run"]: {key: text for key, text in row.items() if key not in FIXED_COLUMNS} for row in rows}


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a table."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
