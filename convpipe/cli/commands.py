"""The sub-commands: what the command line does with archives that are there."""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from convpipe.errors import ArchiveError, ConfigError, UsageError

MOST_NAMED = 5


class CommandParser(ArgumentParser):
    """Arguments of one command; what is wrong with them is an error of ours."""

    def __init__(self, command: str, what: str, usage: str) -> None:
        prog = f"convpipe {command}"
        super().__init__(prog=prog, usage=f"{prog} {usage}", description=what, allow_abbrev=False)
        self.command = command
        self.add_argument("folders", metavar=usage.split()[0], nargs="*", help="a folder")

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage."""
        raise UsageError(f"{self.command}: {message.removeprefix('argument ')}")

    def read(self, words: list[str], *, run: bool = False) -> Namespace:
        """The arguments; `path` is the one among them that has no name, a folder that exists, or a run."""
        given = self.parse_intermixed_args(words)
        if len(given.folders) != 1:
            raise UsageError(f"{self.command}: got {len(given.folders)} arguments, expected one path")
        given.path = Path(given.folders[0])
        if not given.path.is_dir():
            raise UsageError(f"{self.command}: got {given.path}, expected a folder")
        if run and not is_run(given.path):
            raise UsageError(f"{self.command}: got {given.path}, expected a run")
        return given


def verify_command(words: list[str]) -> int:
    """``convpipe verify PATH``: every hash of a run, or of all runs below a folder."""
    parser = CommandParser("verify", "check every hash of a run, or of all runs below a folder", "PATH")
    path = parser.read(words).path

    from convpipe.archive.verify import verify

    folders = [path] if is_run(path) else list(runs_below(path))
    if not folders:
        raise UsageError(f"verify: got {path}, expected a run or a collection of runs")
    errors = []
    for folder in folders:
        try:
            print(f"ok {folder} archive {verify(folder).manifest['archive_id']}")
        except ArchiveError as error:
            errors.append(error)
    if len(errors) > 1:
        raise ArchiveError(f"{len(errors)} of {len(folders)} runs are damaged: {'; '.join(map(str, errors))}")
    if errors:
        raise errors[0]
    return 0


def reproduce_command(words: list[str]) -> int:
    """``convpipe reproduce RUN``: compute an archived run again and compare."""
    parser = CommandParser("reproduce", "compute an archived run again and compare it stage by stage", "RUN")
    path = parser.read(words, run=True).path

    import tempfile

    from convpipe.archive.verify import verify
    from convpipe.config.read import read_spec
    from convpipe.config.settings import MEMORY_SHARE
    from convpipe.execution import provenance, runner
    from convpipe.report.console import console
    from convpipe.report.run import show_run

    then = verify(path)
    spec = read_spec(then.config)
    with tempfile.TemporaryDirectory(prefix="convpipe-") as scratch:
        memory = int(MEMORY_SHARE * provenance.memory_bytes())
        threads = int(then.manifest.get("provenance", {}).get("threads", 1))
        outcome = runner.repeat(path, runner.Place(Path(scratch), memory, threads), spec)
    show_run(console(), outcome.run, outcome.verdict, outcome.seconds)
    return 0


def explain_command(words: list[str]) -> int:
    """``convpipe explain RUN --at n,f,y,x``: how one output cell came about."""
    what = "show which pixels and weights one output cell is the sum of"
    parser = CommandParser("explain", what, "RUN --at N,F,Y,X [--layer NAME]")
    parser.add_argument("--at", required=True, metavar="N,F,Y,X", help="image, filter, and position along each axis")
    parser.add_argument("--layer", metavar="NAME", help="of a network: which convolution layer")
    given = parser.read(words, run=True)
    at = whole_numbers("--at", given.at)

    from convpipe.archive.verify import verify
    from convpipe.report.explain import explained, show_cell

    cell = explained(verify(given.path), at, given.layer)
    show_cell(sys.stdout, cell)
    if not cell.agrees:
        raise ArchiveError(f"{given.path}: at {given.at}: got {cell.stored} stored, expected {cell.total}")
    return 0


def runs_command(words: list[str]) -> int:
    """``convpipe runs COLLECTION``: its runs, one line each."""
    from convpipe.report import listing

    parser = CommandParser("runs", "list the runs of a collection", "COLLECTION [options]")
    parser.add_argument("--where", metavar="EXPR", help="such as \"stride == 2 and status == 'done'\"")
    parser.add_argument("--sort", metavar="KEY", help="a column to sort by; -KEY: from the largest down")
    parser.add_argument("--columns", metavar="A,B,C", help="the columns to list, any config value among them")
    by_ending = "default: as FILE ends (.csv, .json, .parquet), table for any other ending or no FILE"
    parser.add_argument("--format", choices=listing.FORMATS, help=by_ending)
    parser.add_argument("--output", metavar="FILE", help="write there (parquet needs it)")
    parser.add_argument("--rebuild", action="store_true", help="first make results.csv anew from the runs")
    given = parser.read(joined(words, "--sort"))
    path = given.path
    check_collection(path)

    from convpipe.archive.collection import read_results, rebuild, whole_rows

    if given.format == "parquet" and given.output is None:
        raise UsageError("runs: --format parquet: expected --output FILE beside it")
    if given.rebuild:
        rebuild(path)
    if (given.where, given.sort, given.columns) == (None, None, None):
        found = listing.whole(read_results(path))
    else:
        found = listing.chosen(whole_rows(path), given.where, given.sort, given.columns)
    form = given.format or listing.file_format(given.output)
    if given.output is not None:
        listing.write_listing(found, form, Path(given.output))
    else:
        sys.stdout.write(listing.TEXTS[form](found))
    return 0


# Arguments


def joined(words: list[str], option: str) -> list[str]:
    """An option and its value as one word, as the value may begin with a dash.

    >>> joined(["runs", "--sort", "-seconds"], "--sort")
    ['runs', '--sort=-seconds']
    """
    if option not in words[:-1]:
        return words
    at = words.index(option)
    return [*words[:at], f"{option}={words[at + 1]}", *words[at + 2 :]]


def whole_numbers(option: str, text: str) -> tuple[int, ...]:
    """Numbers with commas between them.

    Raises:
        ConfigError: they are none.

    >>> whole_numbers("--at", "0,1,-2")
    (0, 1, -2)
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(option, text, "whole numbers with commas between them: n,f,y,x") from error


def check_collection(path: Path) -> None:
    """The folder is no run, and holds no collections instead of runs."""
    from convpipe.archive.collection import RESULTS, run_names

    if is_run(path):
        raise UsageError(f"runs: got {path}, a run; expected its collection, {path.resolve().parent}")
    if not (path / RESULTS).exists() and not run_names(path):
        found = sorted({str(run.parent) for run in runs_below(path)})
        more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
        there = f", such as {', '.join(found[:MOST_NAMED])}{more}" if found else ""
        raise UsageError(f"runs: got {path}, expected a collection of runs{there}")


def runs_below(path: Path) -> Iterator[Path]:
    """Every run of a collection, or of the collections in a folder, however deep; sorted."""
    from convpipe.archive.identity import RUN_ID

    for name in sorted(entry.name for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False)):
        if RUN_ID.match(name) or is_run(path / name):
            yield path / name
        elif not name.startswith("."):
            yield from runs_below(path / name)


def is_run(path: Path) -> bool:
    """Whether a folder looks like a run, however damaged."""
    return (path / "SHA256SUMS").exists() or (path / "manifest.json").exists()


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "verify": verify_command,
    "reproduce": reproduce_command,
    "explain": explain_command,
    "runs": runs_command,
}
