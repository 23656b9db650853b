"""The sub-commands: each is a function of the front door and how its answer is printed, in one table."""

from __future__ import annotations

import json
import sys
from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from convpipe import api
from convpipe.errors import ArchiveError, UsageError, did_you_mean, first_few, having_kept, literal, printable

if TYPE_CHECKING:
    from convpipe.archive.read import Run
    from convpipe.report.entry import Entry
    from convpipe.report.explain import Explained
    from convpipe.report.listing import Listing


@dataclass(frozen=True)
class Option:
    """One option of a command, in argparse's terms."""

    name: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class Command:
    """One command: what it is called, how it is written, what it does, and the function that does and prints it.

    All that is said of commands is made from these: what runs, each one's --help, the help of all, completion.
    """

    name: str
    usage: str  # what follows the name: first what it takes, in brackets where that may be left out
    what: str  # one sentence
    function: Callable[[Namespace], None]
    options: Callable[[], tuple[Option, ...]] = tuple  # made when they are needed, as they may import what they name
    dashed: str = ""  # an option whose value may begin with a dash

    def run(self, words: list[str]) -> int:
        """Run it; gives the exit code."""
        self.function(self.read(joined(words, self.dashed)))
        return 0

    def read(self, words: list[str]) -> Namespace:
        """The arguments; `word` is the one among them that has no name, or None.

        Raises:
            UsageError: there is no such option, or not as many words as it takes.
        """
        given = self.parser().parse_intermixed_args(words)
        count, takes = len(given.words), self.takes
        if count > bool(takes) or (not count and takes and takes[0] != "["):
            raise UsageError(f"{self.name}: got {count} arguments, expected {self.expected}{cell_hint(given)}")
        given.word = given.words[0] if given.words else None
        return given

    @property
    def takes(self) -> str:
        """What its argument without a name is called."""
        return self.usage.partition(" ")[0]

    @property
    def expected(self) -> str:
        """How many arguments it takes, in words."""
        if not self.takes:
            return "none"
        if not self.takes.startswith("["):
            return "one path"
        return "at most one path" if self.takes == "[PATH]" else "at most one word"

    def parser(self) -> ArgumentParser:
        """What reads its arguments, and prints its help."""
        prog = f"convpipe {self.name}"
        parser = CommandParser(prog=prog, usage=f"{prog} {self.usage}", description=self.what, allow_abbrev=False)
        parser.add_argument("words", metavar=self.takes, nargs="*", help=SUPPRESS)
        for option in self.options():
            parser.add_argument(option.name, **option.settings)
        return parser


# Options of other tools, with ours, of which a command has one or the other.
ELSEWHERE = {
    **dict.fromkeys(("-o", "--output", "--out"), ("--output FILE", "--out FILE")),
    **dict.fromkeys(("-i", "--index", "--cell", "--position", "--pixel"), ("--at N,F,Y,X",)),
    **{f"--{form}": (f"--format {form}",) for form in ("json", "csv", "table", "parquet")},
    **dict.fromkeys(("-s", "--sort-by", "--order"), ("--sort KEY",)),
    **dict.fromkeys(("--desc", "--reverse", "-r"), ("--sort -KEY",)),
    **dict.fromkeys(("-f", "--filter"), ("--where EXPR",)),
}


def cell_hint(given: Namespace) -> str:
    """A hint at how a cell is said, where its numbers came as words of their own; or nothing."""
    if not hasattr(given, "at"):
        return ""
    said = ([given.at] if given.at else []) + [word.removeprefix("at=") for word in given.words[1:]]
    are_numbers = said and all(word.replace(",", "").removeprefix("-").isdigit() for word in said)
    return f" (did you mean {given.words[0]} --at {','.join(said)}?)" if are_numbers and given.words else ""


class CommandParser(ArgumentParser):
    """Arguments of one command; what is wrong with them is an error of ours."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage."""
        flag = message.partition("unrecognized arguments: ")[2].split(" ")[0]
        hint = self.meant(flag) if flag else ""
        raise UsageError(f"{self.prog.split()[-1]}: {message.removeprefix('argument ')}{f' ({hint})' if hint else ''}")

    def meant(self, flag: str) -> str:
        """A hint at the option of ours that a flag was meant to be; or nothing."""
        name = flag.partition("=")[0]
        ours = [each for action in self._actions for each in action.option_strings]
        meant = next((each for each in ELSEWHERE.get(name, ()) if each.split(" ")[0] in ours), "")
        return f"did you mean {meant}?" if meant else did_you_mean(f"--{name.lstrip('-')}", ours)


# What they do


def noted(note: str) -> None:
    """What is worth knowing beside what a command prints."""
    print(f"note: {literal(note)}", file=sys.stderr)


def verify(given: Namespace) -> None:
    """``convpipe verify PATH``: every hash of a run, or of all runs below a folder."""

    def told(run: Run) -> None:
        print(f"ok {literal(run.path)} archive {run.manifest['archive_id']}")

    api.verify(Path(given.word), told, noted, tidy=given.tidy)


def reproduce(given: Namespace) -> None:
    """``convpipe reproduce RUN``: compute an archived run again and compare."""
    outcome = api.reproduce(Path(given.word))

    from convpipe.report.answers import answers
    from convpipe.report.console import console
    from convpipe.report.run import show_run

    labelled = "evaluation" in outcome.run.manifest
    found = answers(outcome.run) if labelled else ()
    show_run(console(), outcome.run, outcome.verdict, outcome.seconds, answers=found)


def explain(given: Namespace) -> None:
    """``convpipe explain RUN --at n,f,y,x``: how one output cell came about; with ``--all`` those of a map."""
    from convpipe.report.cell_text import stored_text

    which = {"stage": given.stage, "address": given.address, "layout": given.layout}
    if given.at is None and given.address is None and not given.all:
        raise UsageError("explain: the following arguments are required: --at N,F,Y,X, or --all, or --address A")
    if given.all and any(value is not None for value in which.values()):
        name, value = next((name, value) for name, value in which.items() if value is not None)
        raise UsageError(f"explain: --{name}: got {literal(value)}, expected none beside --all")
    run = one_run("explain", given.word)
    cells: Iterable[Explained | Entry] = (
        api.explain_map(run, given.at, given.layer) if given.all else [api.explain(run, given.at, given.layer, **which)]
    )
    wrong = ""
    for number, cell in enumerate(cells):
        print(printable(f"\n{cell}" if number else str(cell)))
        if not cell.agrees:
            at = ",".join(map(str, cell.indices))
            wrong = wrong or f"{run}: at {at}: got {stored_text(cell)} stored, expected {cell.total}"
    if wrong:
        raise ArchiveError(wrong)


def page(given: Namespace) -> None:
    """``convpipe page PATH``: a run or a collection as one HTML file."""
    options = {"lang": given.lang, "limit": given.limit, "out": given.out, "open": given.open}
    found = api.page(Path(given.word), given.at, given.layer, **options)
    print(f"page: {literal(found)}")


def runs(given: Namespace) -> None:
    """``convpipe runs [PATH]``: a collection's runs, one line each, or the collections of a root."""
    from convpipe.archive.below import collections_below
    from convpipe.archive.collection import rebuild
    from convpipe.archive.folders import ROOT, collection_folder, existing_folder
    from convpipe.archive.root import holds_collections
    from convpipe.report import listing
    from convpipe.report.fitting import terminal_width

    form = given.format or listing.file_format(given.output)
    if form == "parquet" and given.output is None:
        raise UsageError("runs: --format parquet: expected --output FILE beside it")
    if given.word is None and not Path(ROOT).is_dir():
        raise UsageError(f"runs: got no path, and there is no folder {ROOT} here, in which results are")
    path = existing_folder("runs", Path(ROOT if given.word is None else given.word))
    if holds_collections(path):
        found = collections_listed(path, given)
    else:
        path = collection_folder("runs", path)
        if below := [str(found) for found in collections_below(path)]:
            noted(f"{path} has runs of its own; collections below it are not listed: {first_few(below, 3)}")
        if given.rebuild:
            with having_kept("the runs are as they were"):
                rebuild(path)
        usual = listing.ALL if form in ("json", "parquet") else listing.VARYING
        columns = usual if given.columns is None else given.columns
        found = listing.of_collection(path, given.where, given.sort, columns, points=given.points)
    if given.output == "":
        raise UsageError("runs: --output: got nothing, expected a file")
    if given.output is not None:
        listing.write_listing(found, form, Path(given.output))
    elif form == "table" and given.points and not found.total:
        print("no points: the collection has no sweep on record")
    elif form == "table":
        sys.stdout.write(table_for(found, chosen=given.columns not in (None, listing.VARYING)))
    else:
        piped = terminal_width() is None
        text = listing.TEXTS[form](found if piped else found.on_a_terminal)
        sys.stdout.write(text if piped else printable(text))


def collections_listed(root: Path, given: Namespace) -> Listing:
    """The collections of a root as a listing.

    Raises:
        UsageError: what can be asked of runs alone.
    """
    from convpipe.archive.root import COLUMNS, collections
    from convpipe.report.listing import Listing

    for option in ("where", "sort", "columns", "rebuild"):
        if getattr(given, option):
            raise UsageError(f"runs: --{option}: expected a collection, got {root}, which holds several")
    rows = collections(root)
    return Listing(rows, COLUMNS, len(rows))


def table_for(found: Listing, *, chosen: bool) -> str:
    """A listing as a table: whole for a pipe; of a terminal as much as fits, but for columns that were chosen."""
    from convpipe.report import listing
    from convpipe.report.fitting import terminal_width

    width = terminal_width()
    return listing.table_text(found) if width is None else listing.terminal_text(found, None if chosen else width)


def one_run(command: str, word: str) -> Path:
    """The folder of a run; where a word stands for another, that is said beside what is printed."""
    from convpipe.archive.folders import run_folder

    path = run_folder(command, Path(word))
    if path != Path(word):
        print(f"{command}: {literal(path)}", file=sys.stderr)
    return path


def help_command(given: Namespace) -> None:
    """``convpipe help [WORD]``: what a word means: a page of the manual, a command, a key, an operation ..."""
    if given.word in COMMANDS:
        COMMANDS[given.word].parser().print_help()
    else:
        print(api.help(given.word))


def schema(given: Namespace) -> None:
    """``convpipe schema``: the JSON Schema of experiment files."""
    print(json.dumps(api.schema(), indent=1))


def joined(words: list[str], option: str) -> list[str]:
    """An option and its value as one word, as the value may begin with a dash.

    >>> joined(["runs", "--sort", "-seconds"], "--sort")
    ['runs', '--sort=-seconds']
    """
    if option not in words[:-1]:
        return words
    at = words.index(option)
    return [*words[:at], f"{option}={words[at + 1]}", *words[at + 2 :]]


# The table of them


def explain_options() -> tuple[Option, ...]:
    """Those of ``explain``."""
    return (
        Option("--at", {"metavar": "N,F,Y,X", "help": "image, filter, and position along each axis"}),
        Option("--all", {"action": "store_true", "help": "all cells of a map, row by row: of --at N,F or the first"}),
        Option("--layer", {"metavar": "NAME", "help": "of a network: which layer, but for an only convolution"}),
        Option("--stage", {"metavar": "NAME", "help": "a cell of this stage, at its own indices: im2col --at 5,3"}),
        Option("--address", {"metavar": "A", "help": "what lies there, counted in cells, of --stage or the input"}),
        Option("--layout", {"metavar": "ORDER", "help": "in which order cells lie: NCHW, NHWC, OIHW, OHWI, HWIO ..."}),
    )


def verify_options() -> tuple[Option, ...]:
    """Those of ``verify``."""
    return (Option("--tidy", {"action": "store_true", "help": "remove what has been half done for more than a day"}),)


def page_options() -> tuple[Option, ...]:
    """Those of ``page``."""
    from convpipe.report.page.script import LANGUAGES

    limit = "the most bytes that it may have (default 8MiB, at most 50MiB); of a larger run it shows a part"
    return (
        Option("--at", {"metavar": "N,F,Y,X", "help": "the cell that it opens with"}),
        Option("--layer", {"metavar": "NAME", "help": "of a network: the layer that it opens with"}),
        Option("--lang", {"choices": LANGUAGES, "default": "en", "help": "its language; a button in it changes that"}),
        Option("--limit", {"metavar": "SIZE", "help": limit}),
        Option("--out", {"metavar": "FILE", "help": "write there instead of beside the archive"}),
        Option("--open", {"action": "store_true", "help": "show it in a browser"}),
    )


def runs_options() -> tuple[Option, ...]:
    """Those of ``runs``."""
    from convpipe.report.listing import FORMATS

    by_ending = "default: as FILE ends (.csv, .json, .parquet), table for any other ending or no FILE"
    return (
        Option("--where", {"metavar": "EXPR", "help": "such as \"stride == 2 and status == 'done'\""}),
        Option("--sort", {"metavar": "KEY,...", "help": "columns to sort by; -KEY: from the largest down"}),
        Option("--columns", {"metavar": "A,B,C", "help": "the columns to list: all, varying, or their names"}),
        Option("--format", {"choices": FORMATS, "help": by_ending}),
        Option("--output", {"metavar": "FILE", "help": "write there (parquet needs it)"}),
        Option("--points", {"action": "store_true", "help": "a line for each point of its sweeps, with its label"}),
        Option("--rebuild", {"action": "store_true", "help": "first make results.csv anew from the runs"}),
    )


TABLE = (
    Command(
        "verify", "PATH [--tidy]", "check a run, or all runs, tables and records below a folder", verify, verify_options
    ),
    Command("reproduce", "RUN", "compute an archived run again and compare it stage by stage", reproduce),
    Command(
        "explain",
        "RUN --at N,F,Y,X | --all | --address A [options]",
        "show how one cell came about, or all of a map",
        explain,
        explain_options,
        "--at",
    ),
    Command(
        "page", "PATH [options]", "make a page of a run or a collection, to look at offline", page, page_options, "--at"
    ),
    Command(
        "runs", "[PATH] [options]", "list the runs of a collection, or the collections", runs, runs_options, "--sort"
    ),
    Command("help", "[WORD]", "the manual, or what a key, command or operation is", help_command),
    Command("schema", "", "print the JSON Schema of experiment files", schema),
)
COMMANDS = {command.name: command for command in TABLE}
