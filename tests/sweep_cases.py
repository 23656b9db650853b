"""What the tests of sweeps share: sweeps in this process or one of their own, and collections compared."""

from __future__ import annotations

import csv
import hashlib
import json
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from cli_runs import Answer, convpipe

from convpipe.cli.flags import parsed_flags
from convpipe.config.app import make_hydra
from convpipe.config.compose import composed, plain_config
from convpipe.config.read import read_execution
from convpipe.files.staging import HIDDEN
from convpipe.sweeps.composer import Composer
from convpipe.sweeps.events import Event
from convpipe.sweeps.space import Sweep
from convpipe.sweeps.sweep import Watch, composer_for, sweep

SHM = Path("/dev/shm")  # in memory, as a sweep makes many files
EPHEMERAL = ("seconds", "provenance", "started", "sha256")  # of a manifest: when and how fast


def composer(*words: str) -> Composer:
    """The composer of a command line's sweep."""
    arguments = parsed_flags(["-m", *words])
    hydra = make_hydra(arguments.config_dir)
    config = composed(hydra, arguments.config_name, arguments.overrides, multirun=True)
    execution = read_execution(plain_config(config, missing=True))
    return composer_for(config, arguments.overrides, execution)


def events(*words: str, watch: Watch = nullcontext) -> Generator[Event]:
    """What happens in a command line's sweep."""
    arguments = parsed_flags(["-m", *words])
    config = composed(make_hydra(arguments.config_dir), arguments.config_name, arguments.overrides, multirun=True)
    return sweep(config, arguments.overrides, None, watch)


def a_sweep(*words: str) -> Sweep:
    """The space of a command line's sweep."""
    return composer(*words).sweep


def points(*words: str) -> list[str]:
    """Every point of a command line's sweep, as typed."""
    return [" ".join(setting.text for setting in point) for point in a_sweep(*words).space.points()]


def collected(folder: Path) -> dict[str, Any]:
    """A whole collection, but for what says when, how fast and by which command; what is half done would be in it."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        hidden = (".index.jsonl", ".failed.jsonl", ".table.json", ".lock")
        if path.is_file() and name not in hidden and not name.startswith("sweeps/"):
            found[name] = stable(path)
        elif HIDDEN.fullmatch(path.name):
            found[name] = "work in progress"
    return found


def stable(path: Path) -> str:
    """The hash of a file, or of what stays the same of a manifest or of results.csv."""
    content = path.read_bytes()
    if path.name == "manifest.json":
        record = {key: value for key, value in json.loads(content).items() if key not in EPHEMERAL}
        content = json.dumps(record).encode()
    elif path.name == "results.csv":
        rows = [
            {key: value for key, value in row.items() if key not in ("seconds", "started")}
            for row in results(path.parent)
        ]
        rows.sort(key=lambda row: row["run"])  # workers end in any order
        content = json.dumps(rows, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()


def results(folder: Path) -> list[dict[str, str]]:
    """The rows of results.csv."""
    with open(folder / "results.csv", newline="") as file:
        return list(csv.DictReader(file))


def column(folder: Path, key: str) -> list[str]:
    """One column of results.csv, sorted."""
    return sorted(row[key] for row in results(folder))


def statuses(folder: Path) -> dict[str, int]:
    """How many runs of each status there are."""
    found: Sequence[str] = column(folder, "status")
    return {status: found.count(status) for status in found}


@contextmanager
def fast_folder() -> Iterator[Path]:
    """A new folder, in memory where the system has such."""
    with tempfile.TemporaryDirectory(dir=SHM if SHM.is_dir() else None, prefix="convpipe-test-") as name:
        yield Path(name)


def swept(*words: str, code: int = 0) -> Answer:
    """A sweep that ends with that code."""
    answer = convpipe("-m", *words)
    assert answer.code == code, answer.out + answer.err
    return answer


def last_line(answer: Answer) -> str:
    """The line that says what came of a sweep."""
    return answer.out.splitlines()[-1]
