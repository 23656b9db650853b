"""Files that held something else when other runs read them: told from the rows of a collection, as texts.

The content of a file is part of a run's config, by its hash; where it lay is not, but the row says it. So a run whose
row is that of another but for such hashes is of the same config with a file that has changed meanwhile.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from convpipe.archive.cells import cell_text, unmarked
from convpipe.archive.collection import run_ids, run_names
from convpipe.archive.identity import Described
from convpipe.archive.index import INDEX, each_row, failures, whole_row
from convpipe.archive.inputs import contents_of
from convpipe.archive.limits import lines_of
from convpipe.archive.results import known_table
from convpipe.archive.shared import is_own_folder, own_file
from convpipe.archive.table import DAMAGED, FAILED, KEEP, NOT_CONFIG, OLD_FORMAT, Row, run_row, with_paths

SHA256 = ".sha256"
CELLS_FROM = len('{"run": "0123456789ab", "status": "done", ')  # in a line of the index
NOT_IDENTITY = NOT_CONFIG | {KEEP}
Hashes = Mapping[str, str]  # of files, by group


@dataclass(frozen=True)
class Former:
    """A run of the same config as another, but for what some files held."""

    run: str
    files: tuple[str, ...]  # where those lie


@dataclass
class Formers:
    """The runs of a collection by their configs without what files held; the latest of each."""

    folder: Path
    latest: dict[int, list[tuple[str, Hashes]]] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Take a run's row into account, if it has read files."""
        if row["status"] not in (DAMAGED, FAILED) and (read := hashes_of(row)):
            self.latest.setdefault(config_key(row), []).append((row["run"], read))

    def of(self, row: Row) -> Former | None:
        """The latest run that is still there of the same config as a row's, with other content; None without any."""
        read = hashes_of(row)
        for run, then in reversed(self.latest.get(config_key(row), ())):
            if then != read and then.keys() == read.keys() and is_own_folder(self.folder / run):
                changed = [group for group in read if then[group] != read[group]]
                return Former(run, tuple(unmarked(row.get(f"{group}.path", group)) for group in changed))
        return None


def formers(folder: Path) -> Formers:
    """Those of a collection, as it is now."""
    found = Formers(folder)
    for row in indexed_rows(folder):
        found.add(row)
    return found


def indexed_rows(folder: Path) -> Iterator[Row]:
    """The rows of a collection in the order in which they were made, then those of runs that the index lacks."""
    if not folder.is_dir():
        return
    known = set()
    for row in each_row(folder / INDEX):
        known.add(row["run"])
        yield row
    yield from (run_row(folder / name) for name in run_names(folder) if name not in known)


def formers_like(folder: Path, row: Row) -> Formers:
    """Those of a collection whose table is complete that may be of a row's config.

    Which lines of the index are to be read whole is told from their bytes, in a twentieth of the time.
    """
    found = Formers(folder)
    first, *others = cells_between_hashes(row)
    with suppress(OSError), open(folder / INDEX, "rb", opener=own_file) as index:
        for line in lines_of(index):
            if line.startswith(first, CELLS_FROM) and all(part in line for part in others):
                like = whole_row(line)
                if like is not None:
                    found.add(like)
    return found


def cells_between_hashes(row: Row) -> list[bytes]:
    """The cells of a config as they stand in a line of the index, cut where it has the hash of a file.

    >>> cells_between_hashes({"run": "ab", "seed": "0", "input.sha256": "cd", "input.path": "x", "conv.pad": "1"})
    [b'"seed": "0"', b'"input.path": "x", "conv.pad": "1"']
    """
    parts: list[dict[str, str]] = [{}]
    for key, text in row.items():
        if key.endswith(SHA256):
            parts.append({})
        elif key not in NOT_IDENTITY:
            parts[-1][key] = text
    return [json.dumps(part)[1:-1].encode() for part in parts]


def changed_lines(folder: Path, described: Described) -> list[str]:
    """What is to be said of the files of a run that is new: which held something else for another one."""
    row = {"run": described.identity, **with_paths(described.cells, described.paths)}
    former = formers_like(folder, row).of(row) if hashes_of(row) else None
    return [f"{file} has changed since run {former.run}" for file in former.files] if former else []


def hashes_of(row: Row) -> dict[str, str]:
    """The hashes of the files that a row's run has read, by group."""
    return {key.removesuffix(SHA256): text for key, text in row.items() if key.endswith(SHA256)}


def config_key(row: Row) -> int:
    """What equal configs have in common, files' contents left out and their places not."""
    return hash(frozenset(cell for cell in row.items() if cell[0] not in NOT_IDENTITY and not cell[0].endswith(SHA256)))


# Two contents of one path


@dataclass
class Survey:
    """What a collection holds beside the runs of a sweep: runs of format 1, and other contents of the sweep's files."""

    read: dict[tuple[str, str], set[str]] = field(default_factory=dict)  # hashes by group and path, of the sweep
    held: dict[tuple[str, str], set[str]] = field(default_factory=dict)  # of the same files, of any run
    groups: dict[str, set[str]] = field(default_factory=dict)  # of any file of that group; "" of runs without one
    of_format_1: set[str] = field(default_factory=set)  # run ids

    def reading(self, described: Described) -> None:
        """Take note of what a point of the sweep reads."""
        for group, sha256 in contents_of(described.config).items():
            if group in described.paths:
                self.read.setdefault((group, cell_text(described.paths[group])), set()).add(sha256)

    def join(self, other: "Survey") -> None:
        """Take note of what other points of the sweep read."""
        for place, hashes in other.read.items():
            self.read.setdefault(place, set()).update(hashes)

    def count(self, row: Row) -> None:
        """Take a row of the collection into account."""
        if row.get("format") == OLD_FORMAT:
            self.of_format_1.add(row["run"])
        if self.read:
            self.count_files(row)

    def count_files(self, row: Row) -> None:
        """Take note of what a row's run has read for the groups of the sweep."""
        for group in {group for group, _ in self.read}:
            place, found = (group, row.get(f"{group}.path", "")), row.get(f"{group}{SHA256}", "")
            self.groups.setdefault(group, set()).add(found)
            if place in self.read:
                self.held.setdefault(place, set()).add(found)

    @property
    def changed(self) -> dict[str, set[str]]:
        """Old contents by group: what a file of the sweep held for other runs, and none holds now."""
        current = {group: set[str]() for group, _ in self.read}
        for (group, _), hashes in self.read.items():
            current[group] |= hashes
        old = {group: set[str]() for group in current}
        for (group, _), hashes in self.held.items():
            old[group] |= hashes - current[group] - {""}
        return {group: hashes for group, hashes in old.items() if hashes}

    @property
    def where(self) -> str:
        """The expression that leaves runs of old contents out; empty where there are none."""
        return " and ".join(self.condition(group, old) for group, old in self.changed.items())

    def condition(self, group: str, old: set[str]) -> str:
        """What holds for the runs whose file of a group is not an old one, in the shorter way."""
        others = sorted(self.groups[group] - old)
        if len(others) == 1 and others[0]:
            return f"{group}{SHA256} == '{others[0]}'"
        if len(old) == 1:
            return f"{group}{SHA256} != '{min(old)}'"
        return f"{group}{SHA256} not in {sorted(old)}"


def take_survey(survey: Survey, folder: Path) -> None:
    """Let a survey take the rows of a collection into account whose table is up to date.

    All of them where the sweep has read files; otherwise only the runs of format 1, which are known without.
    """
    table = known_table(folder)
    if table is not None and not survey.read:
        survey.of_format_1 |= table.old
        return
    there = set(run_ids(folder))
    for row in each_row(folder / INDEX):
        if row["run"] in there:
            survey.count(row)
    for row in failures(folder).values():
        survey.count(row)


def command_without_old(folder: Path, survey: Survey) -> str:
    """The command that lists a collection without the runs of old contents; empty where there are none.

    >>> survey = Survey({("input", "x.npy"): {"b"}}, {("input", "x.npy"): {"a", "b"}}, {"input": {"a", "b"}})
    >>> print(command_without_old(Path("runs/x"), survey))
    convpipe runs runs/x --where "input.sha256 == 'b'"
    """
    import shlex  # which most sweeps do without

    return f'convpipe runs {shlex.quote(str(folder))} --where "{survey.where}"' if survey.where else ""
