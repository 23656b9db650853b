"""One of each kind of hostile file and word, in a process that may take little: one line, and nothing is done.

Each kind has tests of its own elsewhere; here they stand together, as a stranger's mail would bring them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from cli_runs import contents, convpipe
from good_collections import PLAIN, edit_table
from limited import limited
from run_cases import edit_manifest, reseal, run_folders

SECRET = "hunter2-secret"
INTO = ("root=r", "name=c")
ESCAPE = "\x1b[31m"
FORGED = "a\nok runs/fake archive 0"
Make = Callable[[Path], tuple[str, ...]]  # in a folder with a run in r/c; gives the words


@dataclass(frozen=True)
class Hostile:
    """What is laid out in a folder, the command that meets it, and how that may end."""

    name: str
    make: Make
    codes: tuple[int, ...] = (2,)
    changes: bool = False  # whether the command may write, as it goes on without


def the_run() -> Path:
    """The run that is there."""
    (found,) = run_folders(Path("r/c"))
    return found


def own(text: str) -> Make:
    """A YAML file of one's own."""

    def make(folder: Path) -> tuple[str, ...]:
        (folder / "my.yaml").write_text(text)
        return ("my.yaml",)

    return make


def bomb() -> str:
    """A few hundred bytes that stand for 10^9 values."""
    lines = [f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]" for before, name in pairwise("abcdefghi")]
    return "\n".join(["a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]", *lines, "input: *i"])


def points(content: str) -> Make:
    """A list of points."""

    def make(folder: Path) -> tuple[str, ...]:
        (folder / "points.csv").write_text(content)
        return ("-m", *PLAIN, *INTO, "sweep.points=points.csv")

    return make


def points_link(folder: Path) -> tuple[str, ...]:
    """A list of points that never ends."""
    (folder / "points.csv").symlink_to("/dev/zero")
    return ("-m", *PLAIN, *INTO, "sweep.points=points.csv")


def pipe(path: str, *words: str) -> Make:
    """A pipe where a file is expected."""

    def make(folder: Path) -> tuple[str, ...]:
        (folder / path).unlink(missing_ok=True)
        os.mkfifo(folder / path)
        return words

    return make


def victim(path: str, *words: str) -> Make:
    """A link out of the collection in the place of its own file."""

    def make(folder: Path) -> tuple[str, ...]:
        (folder / "victim").write_text("mine\n")
        (folder / path).unlink(missing_ok=True)
        (folder / path).symlink_to(folder / "victim")
        return words

    return make


def archive(change: Callable[[Path], object], command: str = "verify") -> Make:
    """A run from elsewhere."""

    def make(folder: Path) -> tuple[str, ...]:
        change(the_run())
        return (command, str(the_run()))

    return make


def entry(**entries: object) -> Make:
    """A manifest that says odd things, sealed."""
    return archive(lambda run: edit_manifest(run, **entries))


def manifest_text(text: str) -> Callable[[Path], object]:
    """A manifest with that text in the place of its first number of threads."""

    def change(run: Path) -> None:
        path = run / "manifest.json"
        path.write_text(re.sub(r'"threads":\s*1', f'"threads": {text}', path.read_text(), count=1))

    return change


def large_config(run: Path) -> None:
    """A config of 14 MB of lines, sealed."""
    (run / "config.yaml").write_bytes((run / "config.yaml").read_bytes() + b"more:\n" + b"- \n" * 5_000_000)
    reseal(run)


def large_plan(run: Path) -> None:
    """A config that asks for far more than the run holds, sealed."""
    path = run / "config.yaml"
    path.write_text(re.sub(r"\[1, 3, 8, 8\]|\[1,3,8,8\]", "[1, 3, 7000, 7000]", path.read_text()))
    assert "7000" in path.read_text()
    reseal(run)


def with_text(run: Path) -> None:
    """A note that would colour a terminal and forge a line."""
    edit_manifest(run, note=f"{ESCAPE}{FORGED}")


def npz_names(folder: Path) -> tuple[str, ...]:
    """An archive of arrays whose names are no names."""
    with zipfile.ZipFile(folder / "x.npz", "w") as file:
        for name in (f"{ESCAPE}{FORGED}.npy", "b.npy"):
            with file.open(name, "w") as array:
                np.save(array, np.zeros((1, 1, 3, 3)))
    return ("input=npz", "input.path=x.npz", "filters=box", *INTO)


class Calls:
    """What makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.system, ("touch victim2",)


def pickled(folder: Path) -> tuple[str, ...]:
    """An array of objects, which only a pickle can hold."""
    np.save(folder / "x.npy", np.array([[[[Calls()]]]], dtype=object), allow_pickle=True)
    return ("input=npy", "input.path=x.npy", "filters=box", *INTO)


def odd_folder(folder: Path) -> tuple[str, ...]:
    """A folder whose name forges a line."""
    place = folder / FORGED.replace("/", "_")
    shutil.copytree(folder / "r" / "c", place / "c")
    next(place.glob("c/*/output.npy")).write_bytes(b"")
    return ("verify", str(place))


def spreadsheet(folder: Path) -> tuple[str, ...]:
    """A table with a cell that a spreadsheet would work out."""
    edit_table(folder / "r/c/results.csv", lambda lines: lines[1].__setitem__(-1, "=1+1"))
    return ("verify", "r")


def said(*words: str) -> Make:
    """Words alone."""
    return lambda folder: words


RUNS = ("runs", "r/c")
ONE_MORE = (*PLAIN, *INTO, "seed=7")
MORE = ("-m", *PLAIN, *INTO, "seed=7,8")


def kinds() -> Iterator[Hostile]:
    """All of them."""
    yield Hostile("an alias bomb", own(bomb()))
    yield Hostile("a list of a million", own(f"input: [{'1, ' * 1_000_000}1]"))
    yield Hostile("a hundred thousand layers", own("network:\n" + "".join(f"  l{n}: relu\n" for n in range(100_000))))
    yield Hostile("deep brackets", own("input: " + "[" * 10_000 + "]" * 10_000))
    yield Hostile("a million columns", points(",".join(f"k{number}" for number in range(1_000_000)) + "\n1\n"))
    yield Hostile("points that never end", points_link)
    yield Hostile("a pipe as points", pipe("points.csv", "-m", *PLAIN, *INTO, "sweep.points=points.csv"))
    yield Hostile("a pipe as an input", pipe("x.npy", "input=npy", "input.path=x.npy", "filters=box", *INTO))
    yield Hostile("a pipe as a file of one's own", pipe("my.yaml", "my.yaml"))
    for name in ("results.csv", ".index.jsonl", ".failed.jsonl", ".table.json"):
        yield Hostile(f"a pipe as {name}, listed", pipe(f"r/c/{name}", *RUNS), (0, 3, 4))
        yield Hostile(f"a pipe as {name}, verified", pipe(f"r/c/{name}", "verify", "r"), (0, 3))
        yield Hostile(f"a pipe as {name}, a run more", pipe(f"r/c/{name}", *ONE_MORE), (0, 4), changes=True)
        yield Hostile(f"a pipe as {name}, a sweep", pipe(f"r/c/{name}", *MORE), (0, 4), changes=True)
        yield Hostile(f"a link as {name}, a run more", victim(f"r/c/{name}", *ONE_MORE), (0, 4), changes=True)
        yield Hostile(f"a link as {name}, a sweep", victim(f"r/c/{name}", *MORE), (0, 4), changes=True)
    yield Hostile("a pipe in a run", archive(lambda run: pipe(str(run / "output.npy"))(Path())), (3,))
    yield Hostile("a config of 14 MB", archive(large_config), (3,))
    yield Hostile("a config of 14 MB, repeated", archive(large_config, "reproduce"), (3,))
    yield Hostile("an archive that asks for 7000x7000", archive(large_plan, "reproduce"), (3,))
    yield Hostile("a manifest of 5 as evaluation", entry(evaluation=5), (3,))
    yield Hostile("threads that are text", archive(manifest_text('"abc"')), (3,))
    yield Hostile("threads of 10**30", archive(manifest_text("1" + "0" * 30)), (3,))
    yield Hostile("a number of 400 digits", entry(seconds={"pad": [10**400]}), (3,))
    yield Hostile(
        "a manifest nested deeply", archive(lambda run: (run / "manifest.json").write_text("[" * 100_000)), (3,)
    )
    yield Hostile(
        "an index nested deeply",
        lambda folder: ((folder / "r/c/.index.jsonl").write_text("[" * 100_000), ONE_MORE)[1],
        (0,),
        changes=True,
    )
    yield Hostile(
        "a failure without status",
        lambda folder: ((folder / "r/c/.failed.jsonl").write_text('{"run": "0123456789ab"}\n'), ONE_MORE)[1],
        (0,),
        changes=True,
    )
    for word in ("seed", "name", "root", "input.path", "note", "label"):
        yield Hostile(f"an environment's value as {word}", said(*PLAIN, *INTO, f"{word}=${{oc.env:SECRET}}"))
    yield Hostile("an environment's value in a file of one's own", own("seed: ${oc.env:SECRET}\n"))
    yield Hostile("an environment's value, decoded", said(*PLAIN, *INTO, "seed=${oc.decode:${oc.env:SECRET}}"))
    yield Hostile("an environment's value of a sweep", said("-m", *PLAIN, *INTO, "name=${oc.env:SECRET},b"))
    yield Hostile(
        "escapes in a note, listed",
        lambda folder: (with_text(the_run()), ("runs", "r/c", "--rebuild"))[1],
        (0,),
        changes=True,
    )
    yield Hostile("escapes in names of arrays", npz_names)
    yield Hostile("code in a file of one's own", own("input: {_target_: os.system, command: 'touch victim2'}\n"))
    yield Hostile("a tag of YAML's that calls", own("input: !!python/object/apply:os.system ['touch victim2']\n"))
    yield Hostile("code among settings", said(*PLAIN, *INTO, "+hydra.callbacks.x={_target_:os.system}"))
    yield Hostile("a pickle as an array", pickled)
    yield Hostile("escapes in a path", said(f"input.path={ESCAPE}x", "input=npy", "filters=box", *INTO))
    yield Hostile("a folder that forges a line", odd_folder, (3,))
    yield Hostile("a cell that a spreadsheet works out", spreadsheet, (3,))


@pytest.fixture
def one_run(folder: Path) -> Path:
    """A working folder with a run in r/c."""
    assert convpipe(*PLAIN, *INTO, "note=so").code == 0
    return folder


@pytest.mark.parametrize("hostile", list(kinds()), ids=lambda hostile: hostile.name)
def test_a_stranger_gets_one_line(hostile: Hostile, one_run: Path) -> None:
    words = hostile.make(one_run)
    before = contents(one_run)
    ended = limited(words, one_run, environment={"SECRET": SECRET})
    assert ended.returncode in hostile.codes, ended
    told = ended.stderr.splitlines()
    assert len(told) == (ended.returncode != 0) or all(line.startswith("note: ") for line in told[:-1]), ended.stderr
    assert "Traceback" not in ended.stderr
    assert "unexpected" not in ended.stderr, ended.stderr
    for text in (ended.stdout, ended.stderr):
        assert "\x1b" not in text
        assert SECRET not in text
        assert not any(line.startswith("ok runs/fake") for line in text.splitlines())
    assert hostile.changes or contents(one_run) == before
    assert not (one_run / "victim").exists() or (one_run / "victim").read_text() == "mine\n"
    assert not any(SECRET in path for path in contents(one_run))
    assert not any(SECRET.encode() in path.read_bytes() for path in one_run.rglob("*") if path.is_file())


def test_the_limit_is_one(tmp_path: Path) -> None:
    """What takes more than it may is seen here."""
    script = ["-c", "x = bytearray(400 << 20)"]
    assert limited(script, tmp_path, command=(sys.executable,)).returncode == 1
    with pytest.raises(AssertionError, match="no end after"):
        limited(["-c", "import time; time.sleep(60)"], tmp_path, command=(sys.executable,), seconds=1)


def test_a_table_keeps_a_spreadsheet_from_working(folder: Path) -> None:
    """Written so that nothing is worked out, and read back the same."""
    assert convpipe(*PLAIN, *INTO, "note==1+1").code == 0
    assert "'=1+1" in (folder / "r/c/results.csv").read_text()
    rows = json.loads(convpipe("runs", "r/c", "--format", "json").out)
    assert rows[0]["note"] == "=1+1"
