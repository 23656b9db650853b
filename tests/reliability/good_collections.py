"""A collection with all that one can have: runs of several experiments, pictures, inputs, a sweep, a replaced run."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from cli_runs import convpipe
from run_cases import edit_manifest, set_output

PLAIN = ("input=integers", "filters=integers")
OTHER_CODE = "0" * 64


@dataclass(frozen=True)
class Collection:
    """The collection `c` below a root, beside a second one, `d`."""

    root: Path

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.root / "c"

    def ids(self, name: str = "c") -> list[str]:
        """Its runs, sorted."""
        return sorted(path.parent.name for path in (self.root / name).glob("[0-9a-f]*/manifest.json"))

    @cached_property
    def named(self) -> dict[str, str]:
        """Some of its runs by what they are."""
        found = {}
        for name in self.ids():
            config = (self.folder / name / "config.yaml").read_text()
            there = {path.name for path in (self.folder / name).iterdir()}
            if 'source: "csv"' in config:
                found["full"] = name  # every stage, its input and pictures
            elif "network:" in config:
                found["network"] = name
            elif "02_pad.npy" not in there:
                found["replaced" if "seed: 9" in config else "light"] = name
            else:
                found["other" if "swept" in found else "swept"] = name
        return found

    def run(self, what: str) -> Path:
        """The folder of a run by what it is."""
        return self.folder / self.named[what]

    @property
    def aside(self) -> Path:
        """The run that was replaced."""
        (found,) = (self.folder / ".aside").iterdir()
        return found

    @property
    def record(self) -> Path:
        """The table of its first sweep."""
        return min((self.folder / "sweeps").glob("*.csv"))

    @property
    def stored(self) -> Path:
        """A stored input."""
        return min((self.folder / "inputs").iterdir())


def make_good(folder: Path) -> Collection:
    """Make it in a folder, which is the working folder."""
    (folder / "x.csv").write_text("1,2,3\n4,5,6\n7,8,0\n")
    into = ("root=r", "name=c")
    swept = (*PLAIN, *into, "keep=stages", "label=first", "note=by hand", "conv.pad=1")
    well("-m", *swept, "seed=1,2", "timing.repeats=2")
    well("-m", *swept, "seed=1,2", "threads=1", "timing.repeats=3")
    well(
        "input=csv",
        "input.path=x.csv",
        "filters=lecture_2x2",
        *into,
        "keep=stages+inputs",
        "pictures=all",
        "conv.pad=1",
    )
    well("experiment=tiny", *into)
    well(*PLAIN, *into, "seed=4")
    well("-m", *PLAIN, *into, "conv.dtype=uint8", "seed=4", code=1)
    well(*PLAIN, *into, "seed=9")
    collection = Collection(folder / "r")
    replace_one(collection.run("replaced"), *PLAIN, *into, "seed=9")
    well(*PLAIN, "root=r", "name=d", "seed=5")
    well("page", "r/c")
    well("page", f"r/c/{collection.named['full']}")
    return collection


def replace_one(run: Path, *words: str) -> None:
    """Let a run have another result and be of other code, and run it again."""
    set_output(run, lambda values: np.put(values, 0, 99))
    edit_manifest(run, code=OTHER_CODE)
    well(*words, "replace=true")


def well(*words: str, code: int = 0) -> None:
    """A command that must end so."""
    answer = convpipe(*words)
    assert answer.code == code, (words, answer)


# Changes by hand


def flip(path: Path, bit: int) -> None:
    """Turn one bit of a file."""
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def cut(path: Path, size: int = -1) -> None:
    """Cut a file, by its last byte or to a size."""
    path.write_bytes(path.read_bytes()[:size])


def extend(path: Path, content: bytes = b"\n") -> None:
    """Write behind a file's end."""
    with path.open("ab") as file:
        file.write(content)


def swap(first: Path, second: Path) -> None:
    """Give two files or folders each other's name."""
    between = first.with_name("between")
    first.rename(between)
    second.rename(first)
    between.rename(second)


def link_instead(path: Path, elsewhere: Path) -> None:
    """Put a link in the place of a file or a folder, to itself, moved elsewhere."""
    shutil.move(path, elsewhere)
    path.symlink_to(elsewhere)


def edit_text(path: Path, old: str, new: str) -> None:
    """Put one text in the place of another, of which there is one at least."""
    text = path.read_text()
    assert old in text, (path, old)
    path.write_text(text.replace(old, new, 1))


def edit_table(path: Path, change: Callable[[list[list[str]]], object]) -> None:
    """Change the lines of a CSV table, its head the first."""
    with path.open(newline="") as file:
        lines = list(csv.reader(file))
    before = [list(line) for line in lines]
    change(lines)
    assert lines != before
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)


def edit_lines(path: Path, change: Callable[[list[dict[str, str]]], object]) -> None:
    """Change the lines of a file of JSON lines."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    before = json.dumps(rows)
    change(rows)
    assert json.dumps(rows) != before
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def other_text(text: str) -> str:
    """Another text of the same kind: a number for a number."""
    return f"{text[:-1]}{(int(text[-1]) + 1) % 10}" if text[-1:].isdigit() else f"{text}x"
