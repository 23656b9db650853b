"""Every kind of change to a good collection, each by a name, and what `verify` has to make of it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from good_collections import (
    Collection,
    cut,
    edit_lines,
    edit_table,
    edit_text,
    extend,
    link_instead,
    other_text,
    swap,
)
from run_cases import edit_manifest, edit_rows, from_elsewhere, reseal, set_output
from verdicts import DAMAGE, QUIET, TOLD

from convpipe.archive.format import manifest_sha256
from convpipe.archive.identity import run_id
from convpipe.archive.read import load

Change = Callable[[Collection], object]
RUN_FILES = ("config.yaml", "stages.csv", "SHA256SUMS", "manifest.json", "output.npy", "00_input.npy", "maps.png")
SWAPPED = ("config.yaml", "stages.csv", "SHA256SUMS", "manifest.json", "output.npy", "00_input.npy")
FREE_ID = "0123456789ab"


@dataclass(frozen=True)
class Tampering:
    """A change to a collection, and what is expected of `verify`."""

    name: str
    change: Change
    expected: str = DAMAGE


def tamperings() -> Iterator[Tampering]:
    """All of them."""
    yield from of_files()
    yield from of_folders()
    yield from of_manifests()
    yield from of_sealed_runs()
    yield from of_inputs()
    yield from of_runs_aside()
    yield from of_results()
    yield from of_the_index()
    yield from of_sweeps()
    yield from of_links()
    yield from of_forgers()


# Files of a run


def of_files() -> Iterator[Tampering]:
    """Each file of a run: away, elsewhere, shorter, longer, another's, or no file at all."""
    for name in RUN_FILES:
        for word, change in FILE_CHANGES.items():
            if (name, word) == ("manifest.json", "with line ends of Windows"):
                continue  # the same to a reader of JSON, and its hash is of what it says
            yield Tampering(f"{name} {word}", partial(change_file, name, change))
    for name in SWAPPED:
        yield Tampering(f"{name} swapped with another run's", partial(swap_files, name))
    yield Tampering(
        "two arrays of a run swapped", lambda c: swap(c.run("full") / "00_input.npy", c.run("full") / "output.npy")
    )
    for name in ("notes.txt", "output2.npy", "99_matmul.npy", "config.yaml.bak", "map_0.png"):
        yield Tampering(f"{name} added", partial(lambda name, c: (c.run("light") / name).write_bytes(b"x"), name))
    yield Tampering("a folder added to a run", lambda c: (c.run("light") / "more").mkdir())
    for name in (".DS_Store", "._output.npy", ".nfs000001", "Thumbs.db", "desktop.ini"):
        change = partial(lambda name, c: (c.run("light") / name).write_bytes(b"x"), name)
        yield Tampering(f"{name} left in a run by a system", change, TOLD)


def change_file(name: str, change: Callable[[Path], object], collection: Collection) -> None:
    """Change one file of the run that has them all."""
    change(collection.run("full") / name)


def swap_files(name: str, collection: Collection) -> None:
    """Give two runs each other's file."""
    swap(collection.run("swept") / name, collection.run("other") / name)


def in_place_of(path: Path, make: Callable[[Path], object]) -> None:
    """Put something else in the place of a file."""
    path.unlink()
    make(path)


FILE_CHANGES: dict[str, Callable[[Path], object]] = {
    "removed": lambda path: path.unlink(),
    "renamed": lambda path: path.rename(path.with_name(f"{path.name}2")),
    "in capitals": lambda path: path.rename(path.with_name(path.name.swapcase())),
    "shorter by a byte": cut,
    "cut to half": lambda path: cut(path, path.stat().st_size // 2),
    "empty": lambda path: cut(path, 0),
    "longer by a byte": extend,
    "longer by a null": lambda path: extend(path, b"\0"),
    "twice": lambda path: extend(path, path.read_bytes()),
    "with line ends of Windows": lambda path: path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n")),
    "other bytes of the same size": lambda path: path.write_bytes(path.read_bytes()[::-1]),
    "a folder": lambda path: in_place_of(path, Path.mkdir),
    "a pipe": lambda path: in_place_of(path, os.mkfifo),
    "a link to itself elsewhere": lambda path: link_instead(path, path.parents[3] / path.name),
    "a link to nothing": lambda path: in_place_of(path, lambda path: path.symlink_to("nowhere")),
}


# Folders


def of_folders() -> Iterator[Tampering]:
    """Runs under other names, in other places, twice, or away."""
    yield Tampering("two runs swapped", lambda c: swap(c.run("swept"), c.run("other")))
    yield Tampering("runs of two experiments swapped", lambda c: swap(c.run("full"), c.run("network")))
    yield Tampering("a run under another id", lambda c: c.run("light").rename(c.folder / FREE_ID))
    yield Tampering("a run under a word", lambda c: c.run("light").rename(c.folder / "best"))
    yield Tampering("a run twice", lambda c: shutil.copytree(c.run("light"), c.folder / FREE_ID))
    yield Tampering("a run in the place of another", in_the_place)
    yield Tampering("a run of another collection under an id of this one", another_collections)
    yield Tampering(
        "a run of another collection as it is",
        lambda c: shutil.copytree(c.root / "d" / c.ids("d")[0], c.folder / c.ids("d")[0]),
        TOLD,
    )
    yield Tampering("a run removed", lambda c: shutil.rmtree(c.run("light")), TOLD)
    yield Tampering("an empty folder with an id", lambda c: (c.folder / FREE_ID).mkdir())
    yield Tampering("a file with an id", lambda c: (c.folder / FREE_ID).write_bytes(b"x"), TOLD)
    yield Tampering("a run emptied", emptied)
    yield Tampering("a foreign file beside the runs", lambda c: (c.folder / "notes.txt").write_text("x"), TOLD)
    yield Tampering("a file of a system beside the runs", lambda c: (c.folder / ".DS_Store").write_text("x"), TOLD)


def in_the_place(collection: Collection) -> None:
    """A run instead of another."""
    shutil.rmtree(collection.run("swept"))
    shutil.copytree(collection.run("other"), collection.run("swept"))


def another_collections(collection: Collection) -> None:
    """A run of `d` instead of one of `c`."""
    shutil.rmtree(collection.run("light"))
    shutil.copytree(collection.root / "d" / collection.ids("d")[0], collection.run("light"))


def emptied(collection: Collection) -> None:
    """Nothing in a run's folder."""
    run = collection.run("light")
    shutil.rmtree(run)
    run.mkdir()


# Manifests


def of_manifests() -> Iterator[Tampering]:
    """Each entry of a manifest changed, as it is and with the hash of the whole made anew."""
    entries = ("format", "run_id", "archive_id", "status", "started", "keep", "sizes", "paths", "seconds", "code")
    for key in (*entries, "provenance", "wiring", "axes", "note", "sha256"):
        yield Tampering(f"manifest: {key} changed", partial(change_entry, key, False))
    for key in ("format", "run_id", "archive_id", "status", "started", "keep", "sizes", "seconds", "note"):
        yield Tampering(f"manifest: {key} changed, and its hash with it", partial(change_entry, key, True))
    for key in ("archive_id", "sizes", "keep", "seconds", "provenance", "pictures"):
        yield Tampering(f"manifest: {key} left out", partial(leave_out, key))
    yield Tampering("manifest: of another run, with the ids of this one", another_manifest)


def changed(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, str):
        return other_text(value)
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, list):
        return [changed(each) for each in value] or ["x"]
    first = next(iter(value), None)
    return {**value, first: changed(value[first])} if first is not None else {"x": "y"}


def change_entry(key: str, sealed: bool, collection: Collection) -> None:
    """Change an entry of a manifest."""
    run = collection.run("swept")
    record = json.loads((run / "manifest.json").read_text())
    value = changed(record.get(key, "x"))
    if sealed:
        edit_manifest(run, **{key: value})
    else:
        old, new = (json.dumps(each, separators=(",", ":"), sort_keys=True) for each in (record.get(key, {}), value))
        text = (run / "manifest.json").read_text()
        edited = text.replace(old, new, 1) if old in text and key in record else None
        (run / "manifest.json").write_text(edited or json.dumps({**record, key: value}))


def leave_out(key: str, collection: Collection) -> None:
    """Leave an entry of a manifest out, and make the hash of the whole anew."""
    run = collection.run("full")
    record = json.loads((run / "manifest.json").read_text())
    del record[key]
    record["sha256"] = manifest_sha256(record)
    (run / "manifest.json").write_text(json.dumps(record))


def written_anew(path: Path) -> None:
    """A manifest that says the same in another form."""
    path.write_text(json.dumps(json.loads(path.read_text()), indent=2))


def another_manifest(collection: Collection) -> None:
    """The facts of one run with the ids of another."""
    swept, other = collection.run("swept"), collection.run("other")
    ids = {key: load(swept).manifest[key] for key in ("run_id", "archive_id")}
    shutil.copy(other / "manifest.json", swept / "manifest.json")
    edit_manifest(swept, **ids)


# Runs that were changed and sealed again


def of_sealed_runs() -> Iterator[Tampering]:
    """Files changed, and the hashes of SHA256SUMS and the manifest with them."""
    yield Tampering(
        "SHA256SUMS: a hash changed", lambda c: edit_sums(c, lambda lines: [other_text(lines[0]), *lines[1:]])
    )
    yield Tampering("SHA256SUMS: a line left out", lambda c: edit_sums(c, lambda lines: lines[1:]))
    yield Tampering("SHA256SUMS: in another order", lambda c: edit_sums(c, lambda lines: lines[::-1]))
    yield Tampering("SHA256SUMS: a line twice", lambda c: edit_sums(c, lambda lines: [lines[0], *lines]))
    yield Tampering("SHA256SUMS: a file left out and removed", file_left_out)
    yield Tampering("an array changed, and sealed", array_sealed)
    yield Tampering(
        "an array of another dtype, and sealed", lambda c: array_sealed(c, lambda values: values.astype("<f8"))
    )
    yield Tampering(
        "the output changed, its row, and sealed",
        lambda c: set_output(c.run("light"), lambda values: np.put(values, 0, 77)),
    )
    for word, change in CONFIG_CHANGES.items():
        yield Tampering(f"config.yaml: {word}, and sealed", partial(config_sealed, change))
    yield Tampering(
        "config.yaml: a seed, sealed with its own id",
        lambda c: config_sealed(CONFIG_CHANGES["another seed"], c, run_id),
    )
    yield Tampering("a picture changed, and sealed", picture_sealed)


def edit_sums(collection: Collection, change: Callable[[list[str]], list[str]]) -> None:
    """Change the lines of SHA256SUMS, and the archive id with them."""
    import hashlib

    run = collection.run("full")
    lines = change((run / "SHA256SUMS").read_text().splitlines())
    lines = [f"0{line[1:]}" if number == 0 and line.endswith("x") else line for number, line in enumerate(lines)]
    content = "".join(f"{line}\n" for line in lines).encode()
    (run / "SHA256SUMS").write_bytes(content)
    sizes = {**load(run).manifest["sizes"], "SHA256SUMS": len(content)}
    edit_manifest(run, archive_id=hashlib.sha256(content).hexdigest(), sizes=sizes)


def file_left_out(collection: Collection) -> None:
    """An array that stages.csv names is nowhere any more."""
    (collection.run("full") / "03_im2col.npy").unlink()
    reseal(collection.run("full"))


def array_sealed(collection: Collection, change: Callable[[Any], Any] = lambda values: values + 1) -> None:
    """An array changed; its row in stages.csv says what it was."""
    run = collection.run("swept")
    np.save(run / "02_pad.npy", change(np.load(run / "02_pad.npy")))
    reseal(run)


def row_sealed(collection: Collection) -> None:
    """What stages.csv says of an array is something else."""
    edit_rows(collection.run("swept"), lambda row: row.update(max="99") if row["stage"] == "matmul" else None)
    reseal(collection.run("swept"))


CONFIG_CHANGES = {
    "another seed": lambda path: edit_text(path, "seed: 4", "seed: 5"),
    "another pad": lambda path: edit_text(path, "pad: 0", "pad: 1"),
    "a key more": lambda path: extend(path, b"more: 1\n"),
}


def config_sealed(change: Callable[[Path], object], collection: Collection, identity: Any = None) -> None:
    """A config changed, and sealed again, perhaps with the id of what it says now."""
    run = collection.run("light")
    change(run / "config.yaml")
    reseal(run, **({"run_id": identity(load(run).config)} if identity else {}))


def picture_sealed(collection: Collection) -> None:
    """A picture changed, with its size, and not its hash."""
    run = collection.run("full")
    extend(run / "maps.png")
    reseal(run)


# What lies beside runs


def of_inputs() -> Iterator[Tampering]:
    """Stored inputs."""
    yield Tampering("an input changed", lambda c: extend(c.stored))
    yield Tampering("an input cut", lambda c: cut(c.stored))
    yield Tampering("an input renamed", lambda c: c.stored.rename(c.stored.with_name("f" * 64)))
    yield Tampering("an input removed", lambda c: c.stored.unlink())
    yield Tampering("all inputs removed", lambda c: shutil.rmtree(c.folder / "inputs"))
    yield Tampering(
        "an input under another name beside it", lambda c: shutil.copy(c.stored, c.stored.with_name("e" * 64))
    )
    yield Tampering("a folder as an input", lambda c: in_place_of(c.stored, Path.mkdir))
    yield Tampering("a foreign file among inputs", lambda c: (c.folder / "inputs" / "x.csv").write_text("1"), TOLD)


def of_runs_aside() -> Iterator[Tampering]:
    """Runs that were replaced."""
    for name in ("output.npy", "config.yaml", "stages.csv", "manifest.json", "SHA256SUMS"):
        yield Tampering(f"aside: {name} changed", partial(lambda name, c: extend(c.aside / name), name))
        yield Tampering(f"aside: {name} removed", partial(lambda name, c: (c.aside / name).unlink(), name))
    yield Tampering(
        "aside: under another archive id", lambda c: c.aside.rename(c.aside.with_name(f"{c.aside.name[:-1]}x"))
    )
    yield Tampering(
        "aside: under the id of another run",
        lambda c: c.aside.rename(c.aside.with_name(f"{FREE_ID}{c.aside.name[12:]}")),
    )
    yield Tampering("aside: back in the place of the new one", put_back)
    yield Tampering("aside: a foreign file", lambda c: (c.folder / ".aside" / "notes.txt").write_text("x"), TOLD)


def put_back(collection: Collection) -> None:
    """The old run in the place of the new one, which the table lists."""
    shutil.rmtree(collection.run("replaced"))
    shutil.move(collection.aside, collection.run("replaced"))


RESULT_COLUMNS = (
    *("status", "seed", "input.source", "input.shape", "filters.kernel", "conv.pad", "conv.overflow", "keep"),
    *("output_shape", "output_sha256", "seconds", "lowering", "format", "macs", "bytes", "k", "min", "max"),
    *("nonfinite", "started", "note"),
)


def of_results() -> Iterator[Tampering]:
    """results.csv: cells, rows, columns, the whole."""
    for column in RESULT_COLUMNS:
        yield Tampering(f"results.csv: {column} changed", partial(change_cell, column))
    yield Tampering("results.csv: the id of a row changed", lambda c: change_cell("run", c), TOLD)
    for word, change in TABLE_CHANGES.items():
        yield Tampering(f"results.csv: {word}", partial(change_results, change))
    yield Tampering("results.csv: a row left out", lambda c: change_results(lambda lines: lines.pop(1), c), TOLD)
    yield Tampering(
        "results.csv: rows in another order",
        lambda c: change_results(lambda lines: lines.insert(1, lines.pop(2)), c),
        QUIET,
    )
    yield Tampering("results.csv: a row of a run that is nowhere", another_row, TOLD)
    yield Tampering("results.csv: cut in its last line", lambda c: cut(c.folder / "results.csv", -9))
    yield Tampering("results.csv: no text", lambda c: (c.folder / "results.csv").write_bytes(bytes(range(128, 256))))
    yield Tampering("results.csv: a folder", lambda c: in_place_of(c.folder / "results.csv", Path.mkdir))
    yield Tampering("results.csv: a pipe", lambda c: in_place_of(c.folder / "results.csv", os.mkfifo))


def change_cell(column: str, collection: Collection) -> None:
    """Change the cell of one column in the first row."""

    def change(lines: list[list[str]]) -> None:
        at = lines[0].index(column)
        lines[1][at] = other_text(lines[1][at])

    change_results(change, collection)


def change_results(change: Callable[[list[list[str]]], object], collection: Collection) -> None:
    """Change results.csv."""
    edit_table(collection.folder / "results.csv", change)


def another_row(collection: Collection) -> None:
    """A row of a run that is not there."""
    change_results(lambda lines: lines.append([FREE_ID, *lines[1][1:]]), collection)


def swap_cells(lines: list[list[str]]) -> None:
    """Give two rows each other's cells, but for the ids."""
    lines[1][1:], lines[2][1:] = lines[2][1:], lines[1][1:]


def rename_column(lines: list[list[str]]) -> None:
    """Give a column another name."""
    lines[0][lines[0].index("macs")] = "maccs"


def drop_column(lines: list[list[str]]) -> None:
    """Leave a column out."""
    at = lines[0].index("min")
    for line in lines:
        del line[at]


TABLE_CHANGES: dict[str, Callable[[list[list[str]]], object]] = {
    "two rows' cells swapped": swap_cells,
    "two columns' names swapped": lambda lines: lines[0].__setitem__(slice(-4, -2), lines[0][-4:-2][::-1]),
    "a column renamed": rename_column,
    "a column left out": drop_column,
    "a row twice, once changed": lambda lines: lines.append([*lines[1][:3], "other", *lines[1][4:]]),
    "a cell more": lambda lines: lines[1].append("x"),
    "a cell less": lambda lines: lines[2].pop(),
    "a run as failed": lambda lines: lines[1].__setitem__(1, "failed"),
    "a cell that a spreadsheet works out": lambda lines: lines[1].__setitem__(3, "=1+1"),
}


def of_the_index() -> Iterator[Tampering]:
    """The index, and the list of failures."""
    for column in RESULT_COLUMNS:
        yield Tampering(f"index: {column} changed", partial(change_index, column))
    yield Tampering("index: the id of a line changed", lambda c: change_index("run", c), TOLD)
    yield Tampering(
        "index: a line left out", lambda c: edit_lines(c.folder / ".index.jsonl", lambda rows: rows.pop(0)), TOLD
    )
    yield Tampering("index: cut in its last line", lambda c: cut(c.folder / ".index.jsonl", -9))
    yield Tampering(
        "index: a line that is no JSON", lambda c: edit_text(c.folder / ".index.jsonl", '"status"', "status")
    )
    yield Tampering("index: a pipe", lambda c: in_place_of(c.folder / ".index.jsonl", os.mkfifo))
    yield Tampering("failures: a run that is there as failed", failed_too)
    yield Tampering(
        "failures: another error",
        lambda c: edit_lines(c.folder / ".failed.jsonl", lambda rows: rows[0].update(error="none")),
    )


def change_index(column: str, collection: Collection) -> None:
    """Change an entry of the first line of the index."""

    def change(rows: list[dict[str, str]]) -> None:
        rows[0][column] = other_text(rows[0][column])

    edit_lines(collection.folder / ".index.jsonl", change)


def failed_too(collection: Collection) -> None:
    """A row of results.csv that says that a run has failed."""
    change_results(lambda lines: lines.append([collection.named["light"], "failed", *lines[1][2:]]), collection)


def of_sweeps() -> Iterator[Tampering]:
    """Records of sweeps, and timings."""
    for column in ("point", "label", "settings", "run", "status"):
        yield Tampering(f"sweep: {column} changed", partial(change_record, column))
    yield Tampering("sweep: a point left out", lambda c: edit_table(c.record, lambda lines: lines.pop(1)))
    yield Tampering("sweep: a table that is none", lambda c: c.record.write_bytes(b"\xff\xfe\0"))
    yield Tampering("sweep: a table cut short", lambda c: cut(c.record, 40))
    yield Tampering("sweep: the table removed", lambda c: c.record.unlink(), TOLD)
    facts = {
        "points": ('"points": 2', '"points": 3'),
        "command": ("seed=1,2", "seed=1,3"),
        "complete": ("true", "false"),
    }
    for key, (old, new) in facts.items():
        yield Tampering(
            f"sweep: {key} changed",
            partial(lambda old, new, c: edit_text(c.record.with_suffix(".json"), old, new), old, new),
        )
    yield Tampering("sweep: facts that are no JSON", lambda c: cut(c.record.with_suffix(".json"), 50))
    yield Tampering("sweep: a pipe", lambda c: in_place_of(c.record, os.mkfifo))
    yield Tampering("sweep: a foreign file", lambda c: (c.folder / "sweeps" / "notes.txt").write_text("x"), TOLD)
    yield Tampering(
        "timings: of a run that is nowhere",
        lambda c: edit_table(c.folder / "timings.csv", lambda lines: lines[1].__setitem__(0, FREE_ID)),
        TOLD,
    )
    yield Tampering(
        "timings: seconds that are no number",
        lambda c: edit_table(c.folder / "timings.csv", lambda lines: lines[1].__setitem__(4, "fast")),
    )
    yield Tampering("timings: a column renamed", lambda c: edit_text(c.folder / "timings.csv", "seconds", "minutes"))
    yield Tampering("timings: no text", lambda c: (c.folder / "timings.csv").write_bytes(b"\xff\xfe\0"))
    yield Tampering("timings: a folder", lambda c: in_place_of(c.folder / "timings.csv", Path.mkdir))


def of_forgers() -> Iterator[Tampering]:
    """What nothing contradicts, as all hashes were made anew: sums find damage, not forgery."""
    yield Tampering("forged: the range of a stage inside", row_sealed, QUIET)
    yield Tampering(
        "forged: a comment in config.yaml", lambda c: config_sealed(lambda path: extend(path, b"# so\n"), c), QUIET
    )
    yield Tampering("forged: another machine", lambda c: from_elsewhere(c.run("light")), QUIET)
    yield Tampering(
        "the same manifest, as json writes it", lambda c: written_anew(c.run("swept") / "manifest.json"), QUIET
    )
    yield Tampering("forged: a page", lambda c: extend(c.folder / "index.html"), QUIET)


def change_record(column: str, collection: Collection) -> None:
    """Change the first point of a sweep's record."""

    def change(lines: list[list[str]]) -> None:
        at = lines[0].index(column)
        lines[1][at] = other_text(lines[1][at])

    edit_table(collection.record, change)


def of_links() -> Iterator[Tampering]:
    """Links in the places of folders and of a collection's own files: none is followed, all are told."""
    yield Tampering("a run's folder a link", lambda c: link_instead(c.run("light"), c.root.parent / "away"), TOLD)
    yield Tampering("inputs a link", lambda c: link_instead(c.folder / "inputs", c.root.parent / "away"))
    for name in ("sweeps", ".aside"):
        yield Tampering(
            f"{name} a link", partial(lambda name, c: link_instead(c.folder / name, c.root.parent / "away"), name), TOLD
        )
    for name in ("results.csv", ".index.jsonl", "timings.csv"):
        yield Tampering(
            f"{name} a link", partial(lambda name, c: link_instead(c.folder / name, c.root.parent / "away"), name)
        )
    yield Tampering("a link to a run beside the runs", lambda c: (c.folder / FREE_ID).symlink_to(c.run("light")), TOLD)
    yield Tampering("a link to a file beside the runs", lambda c: (c.folder / "link").symlink_to("/etc/hostname"), TOLD)
    yield Tampering("a collection a link", lambda c: link_instead(c.root / "d", c.root.parent / "away"), TOLD)
