"""A good run and a good collection, of which one value is changed, again and again: all goes on working, or refuses.

What is drawn is the same on every machine. Each change is read by every reader and command; none may end in an error
that is not of this package.
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from cli_runs import convpipe
from hostile_cases import AGAIN, NAME, Collection, a_collection, a_copy, check, no_hang
from run_cases import reseal

import convpipe as cp
from convpipe.archive.format import manifest_json
from convpipe.archive.index import FAILURES, INDEX
from convpipe.errors import ConvpipeError

DRAWN = int(os.environ.get("CONVPIPE_FUZZED", "8"))  # changes of each kind of file, of thousands that there are
RAW = "raw:"  # JSON that no value of Python's is written as
ODD: list[Any] = [
    "abc", "", "=1+1", "a\x1b[31mb\nc", "\udcff", "9" * 5000, "x" * 200_000,
    0, 1, -1, 10**30, 10**400, 1.5, 1e308, True, False, None,
    [], {}, [None], [[]], [10**400], [1, 2, 3], ["a"], {"a": 1}, {"a": None}, {"": []}, {"a": {"b": {"c": {"d": []}}}},
    f"{RAW}1e999", f"{RAW}NaN", f"{RAW}-0", f'{RAW}"\\ud800"', f"{RAW}{'[' * 10**5}{']' * 10**5}",
    f"{RAW}{'[' * 300}{']' * 300}", f'{RAW}{{"a": 1, "a": 2}}', f"{RAW}{'9' * 5000}",
]  # fmt: skip
CELLS = [
    "", "0", "-1", "1", "9" * 20, "9" * 400, "nan", "inf", "-inf", "1e999", "1.5", "a", "=1", "../x.npy", "output.npy",
    "(0)", "(1,2)", "()", f"({10**9},{10**9})", "(1,1,1,1,1)", "[1]", "x" * 200_000, "a\nb", "complex64", "float32",
    "object", "pad", "input", "matmul", "batch", "filters", "\x1b[2J", "0" * 64,
]  # fmt: skip
Change = tuple[tuple[str | int, ...], Any]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return a_collection(tmp_path_factory.mktemp("good"))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    root = tmp_path_factory.mktemp("network")
    run = cp.run("experiment=tiny", "name=c", "keep=layers", root=str(root)).folder
    return Collection(root / NAME, run)


# Changing one value


def changes(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[Change]:
    """Every place of a JSON value with every odd thing in it; keys that nobody has among them."""
    yield from ((path, odd) for odd in ODD)
    if isinstance(value, dict):
        for key in value:
            yield from changes(value[key], (*path, key))
        first = next(iter(value.values()), "x")
        yield from (((*path, key), first) for key in ("zzz", "a\x1b[2J\nb", "=1", "../x", "") if path)
    elif isinstance(value, list):
        for at in range(min(2, len(value))):
            yield from changes(value[at], (*path, at))


def changed(value: Any, path: Sequence[str | int], new: Any) -> Any:
    """The value with another one in a place of it."""
    if not path:
        return new
    found = deepcopy(value)
    at = found
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = new
    return found


def written(value: Any) -> bytes:
    """A manifest as it is written, with a hash of its own where it can have one; or any JSON."""
    if RAW in repr(value):
        text = json.dumps(value)
        for odd in ODD:
            if isinstance(odd, str) and odd.startswith(RAW):
                text = text.replace(json.dumps(odd), odd.removeprefix(RAW))
        return text.encode()
    try:
        return manifest_json(value)
    except (ValueError, AttributeError, KeyError, TypeError):
        return json.dumps(value).encode()


# Who reads it


def read_all(found: Collection) -> Iterator[Callable[[], object]]:
    """What reads a run, and shows it."""

    def looked_at() -> None:
        run = cp.load(found.run)
        repr(run)
        run._repr_html_()
        _ = run.stages, run.output, list(run)
        _ = run.maps

    yield looked_at
    yield lambda: cp.verify(found.run)
    yield lambda: cp.verify(found.folder)
    yield lambda: str(cp.explain(found.run, (0, 0, 0, 0)))
    yield lambda: cp.page(found.run)
    yield lambda: cp.page(found.folder)
    yield lambda: cp.runs(found.folder)
    yield lambda: cp.runs(found.folder, points=True)
    yield lambda: cp.answers(found.run)


def commanded(found: Collection, again: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """What goes on with it."""
    folder, root = str(found.folder), f"root={found.folder.parent}"
    yield ("runs", folder, "--where", "seconds > 0 or macs > 0 or k > 0", "--sort", "seconds,started,min")
    yield ("reproduce", str(found.run))
    yield (*again, root)
    yield ("-m", *again, root, "seed=0", "timing.repeats=2")
    yield ("runs", folder, "--rebuild", "--columns", "all")


def judged(found: Collection, again: Sequence[str], what: object) -> None:
    """Every reader and command works, or refuses as this package does."""
    for read in read_all(found):
        try:
            with no_hang():
                read()
        except ConvpipeError as error:
            if error.exit_code not in (2, 3):
                raise AssertionError(f"{what}: exit code {error.exit_code}: {error}") from error
        except Exception as error:
            raise AssertionError(f"{what}: {type(error).__name__}: {error}"[:2000]) from error
    for words in commanded(found, again):
        with no_hang():
            check(words, convpipe(*words))


def drawn(all_of_them: Iterator[Any] | Sequence[Any], seed: str, count: int = DRAWN) -> list[Any]:
    """Some of them, the same each time."""
    found = list(all_of_them)
    return random.Random(seed).sample(found, min(count, len(found)))


def one_after_another(
    good: Collection, root: Path, all_of_them: Sequence[Any], spoil: Callable[[Collection, Any], None]
) -> None:
    """Each change by itself, in a copy."""
    for number, change in enumerate(all_of_them):
        place = root / str(number)
        place.mkdir()
        found = a_copy(good, place)
        spoil(found, change)
        judged(found, AGAIN if "tiny" not in str(root) else TINY, change)
        shutil.rmtree(place)


TINY = ("experiment=tiny", f"name={NAME}", "keep=layers")


# Manifests


def spoil_manifest(found: Collection, change: Change) -> None:
    path = found.run / "manifest.json"
    path.write_bytes(written(changed(json.loads(path.read_text()), *change)))
    (found.folder / INDEX).unlink()


def test_any_value_of_a_manifest(good: Collection, tmp_path: Path) -> None:
    manifest = json.loads((good.run / "manifest.json").read_text())
    manifest |= {"nonfinite": 1, "evaluation": {"images": 1, "correct": 1}, "input_bytes": {"input": 1}}
    manifest |= {"names": {"feature_map": ["a"]}, "drawn": ["pad"], "agrees": ["a"], "slice": 1, "folder": "/"}
    found = drawn(((path, odd) for path, odd in changes(manifest) if len(path) < 2), "manifest", DRAWN)
    found += drawn(((path, odd) for path, odd in changes(manifest) if len(path) > 1), "deep", DRAWN)

    def spoil(found: Collection, change: Change) -> None:
        (found.run / "manifest.json").write_bytes(written(changed(manifest, *change)))
        (found.folder / INDEX).unlink()

    one_after_another(good, tmp_path, found, spoil)


def test_any_value_of_a_network_s_manifest(network: Collection, tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    path = network.run / "manifest.json"
    found = drawn(changes(json.loads(path.read_text())), "network", DRAWN // 2)
    one_after_another(network, tmp_path / "tiny", found, spoil_manifest)


# Stages


def stage_cells(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_text(), newline="")))


def spoil_stages(found: Collection, change: tuple[int, int, str]) -> None:
    row, column, text = change
    path = found.run / "stages.csv"
    table = stage_cells(path)
    table[row][column] = text
    with open(path, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(table)
    reseal(found.run)
    (found.folder / INDEX).unlink()


def test_any_cell_of_the_stages(good: Collection, tmp_path: Path) -> None:
    table = stage_cells(good.run / "stages.csv")
    places = [(row, column) for row in range(len(table)) for column in range(len(table[0]))]
    found = drawn([(*place, text) for place in places for text in CELLS], "stages", DRAWN)
    one_after_another(good, tmp_path, found, spoil_stages)


# Configs


def test_any_value_of_a_config(good: Collection, tmp_path: Path) -> None:
    import yaml

    config = yaml.safe_load((good.run / "config.yaml").read_text())
    plain = [(path, odd) for path, odd in changes(config) if not (isinstance(odd, str) and odd.startswith(RAW))]

    def spoil(found: Collection, change: Change) -> None:
        (found.run / "config.yaml").write_text(json.dumps(changed(config, *change)))
        from convpipe.archive.identity import run_id

        try:
            identity = run_id(changed(config, *change))
        except (TypeError, ValueError, AttributeError):
            identity = found.run.name
        reseal(found.run, run_id=identity)
        (found.folder / INDEX).unlink()

    one_after_another(good, tmp_path, drawn(plain, "config"), spoil)


# Books


@pytest.mark.parametrize("name", [INDEX, FAILURES, ".table.json"])
def test_any_value_of_a_line(good: Collection, tmp_path: Path, name: str) -> None:
    row = json.loads((good.folder / (name if name != FAILURES else INDEX)).read_text().splitlines()[0])
    row |= {"run": "0123456789ab", "status": "failed", "error": "no"} if name == FAILURES else {}

    def spoil(found: Collection, change: Change) -> None:
        lines = (good.folder / name).read_text().splitlines() if name == INDEX else [""]
        text = json.dumps(changed(row, *change))
        for odd in ODD:
            if isinstance(odd, str) and odd.startswith(RAW):
                text = text.replace(json.dumps(odd), odd.removeprefix(RAW))
        (found.folder / name).write_text("\n".join([text, *lines[1:]]) + "\n")

    one_after_another(good, tmp_path, drawn(changes(row), name, DRAWN // 2), spoil)


@pytest.mark.parametrize("name", ["results.csv", "timings.csv", "sweeps"])
def test_any_cell_of_a_table(good: Collection, tmp_path: Path, name: str) -> None:
    path = good.folder / name
    path = path if path.is_file() else next(path.glob("*.csv"))
    table = stage_cells(path)
    places = [(row, column) for row in range(len(table)) for column in range(len(table[0]))]

    def spoil(found: Collection, change: tuple[int, int, str]) -> None:
        row, column, text = change
        cells = deepcopy(table)
        cells[row][column] = text
        with open(found.folder / path.relative_to(good.folder), "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(cells)

    found = drawn([(*place, text) for place in places for text in CELLS], name, DRAWN // 2)
    one_after_another(good, tmp_path, found, spoil)
