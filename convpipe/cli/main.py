"""The command line: wiring and exit codes."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import traceback
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from convpipe.cli.early import end_well_on_signals
from convpipe.cli.signals import Stopped, stopping_on_signals
from convpipe.config.somewhere import in_some_folder
from convpipe.errors import (
    GONE,
    STOPPED,
    ConvpipeError,
    UsageError,
    folder_is_there,
    having_kept,
    literal,
    made_there,
    nearest,
    of_the_system,
    pass_on,
    printable,
    shown,
)

if TYPE_CHECKING:
    from hydra._internal.hydra import Hydra

    from convpipe.archive.read import Run
    from convpipe.config.settings import Job
    from convpipe.execution.evaluation import Answer
    from convpipe.execution.runner import Outcome, Prepared

DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
SHORT = ("sc", "cd", "cn", "cp", "hh")  # flags of two letters behind one hyphen
NOTHING_OF_IT = "nothing of the run that was under way is kept"
BARRED = "Permission denied: you may not look into this folder"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code. No traceback reaches a user, but with CONVPIPE_DEBUG=1."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = ended([hyphened(word) for word in words])
        sys.stdout.flush()
        return code
    except KeyboardInterrupt as stop:
        return interrupted(stop)
    except Exception as error:  # noqa: BLE001 - the one place where every error becomes a line and an exit code
        return reported(error)


def ended(words: list[str]) -> int:
    """What the words ask for, done; argparse ends the process after --version and a command's --help."""
    try:
        return dispatch(words)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    except Exception as error:
        pass_on(error)
        raise


def interrupted(stop: KeyboardInterrupt) -> int:
    """Say in one line that the process was interrupted, and what is kept; gives the exit code."""
    code = STOPPED + (stop.number if isinstance(stop, Stopped) else signal.SIGINT)
    kept = "".join(f"; {note}" for note in getattr(stop, "__notes__", [])[-1:])
    end_well_on_signals(code)  # another one would say so a second time
    print(f"convpipe: interrupted{literal(kept)}", file=sys.stderr)
    return code


def reported(error: Exception) -> int:
    """Print an error in one line; gives its exit code."""
    if os.environ.get("CONVPIPE_DEBUG") == "1":
        traceback.print_exception(error)
    known = as_known(error)
    where = GONE if not folder_is_there() else BARRED if not os.access(".", os.X_OK) else ""
    gone = f" ({where})" if where and where not in str(known) else ""
    end_well_on_signals(known.exit_code)  # that it is interrupted would be a second line
    with suppress(OSError):  # of a full disk: the exit code still says it
        print(f"convpipe: {known}{gone}", file=sys.stderr)
    return known.exit_code


def as_known(error: Exception) -> ConvpipeError:
    """Any error as one of ours."""
    if isinstance(error, ConvpipeError):
        return error
    text = f"unexpected {type(error).__name__}: {shown(error, 1000)} (CONVPIPE_DEBUG=1 shows where)"
    return of_the_system(error) or ConvpipeError(text)


def dispatch(words: list[str]) -> int:
    """A sub-command where the first word is one, else the Hydra app."""
    from convpipe.cli.commands import COMMANDS

    first = words[0] if words else "-"
    if first in COMMANDS:
        with stopping_on_signals():
            return COMMANDS[first].run([at_home(word) for word in words[1:]])
    if first == "version":
        return hydra_app(["--version"])
    from convpipe.config.typed import without_pair  # which no command needs
    from convpipe.config.words import is_own_file

    if first.startswith(("-", "~", "+")) or "=" in first or is_own_file(without_pair(first)):
        return hydra_app(words)
    if words[1:2] == ["="] or (words[1:2] and words[1].startswith("=")):
        raise UsageError(f"{first}: no blanks around '=': {''.join(words[:3] if words[1] == '=' else words[:2])}")
    raise no_command(words, COMMANDS)


def hyphened(word: str) -> str:
    """A flag whose hyphens a word processor has made a dash of, with hyphens again; a file of that name stays.

    >>> [hyphened(word) for word in ("\u2014seed=3", "\u2013m", "\u2013\u2013version", "\u2013sc", "a\u2013b")]
    ['--seed=3', '-m', '--version', '-sc', 'a\u2013b']
    """
    name = word.lstrip(DASHES)
    if word.startswith("-") or name == word or os.path.lexists(word):
        return word
    return f"{'-' if len(name) == 1 or name in SHORT else '--'}{name}"


def at_home(word: str) -> str:
    """A word of a command, whose path may be in the home folder.

    >>> at_home("--where=a"), at_home("--output=~/a") == "--output=" + os.path.expanduser("~/a")
    ('--where=a', True)
    """
    flag, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return f"{flag}{equals}{os.path.expanduser(value)}"


def no_command(words: Sequence[str], commands: Iterable[str]) -> UsageError:
    """The first word is no command: perhaps a setting in another form, a file, a choice, or misspelt."""
    from convpipe.config.meant import meant

    word = words[0]
    no_words = {"info": "--info", "list": "runs", "ls": "runs"}  # as elsewhere
    near = nearest(word, known := {**no_words, **{name: name for name in commands}})
    typed = "" if word in no_words else meant(words)
    hint = typed or (known[near] if near else "")
    there = ", ".join(commands)
    said = f" (did you mean {hint}?)" if hint else ""
    if not hint and os.path.isfile(word):
        said = " (an experiment file has a name that ends in .yaml)"
    return UsageError(
        f"{word if word.strip() else repr(word)}: no such command; there are {there}, and settings as key=value{said}"
    )


def hydra_app(words: list[str]) -> int:
    """Run what the overrides describe, or show what Hydra's flags ask for."""
    from convpipe.cli import flags
    from convpipe.cli.commands import COMMANDS
    from convpipe.config.app import job_of, make_hydra

    arguments = flags.parsed_flags(words)
    if any(getattr(arguments, name) for name in flags.SHOWING):
        with in_some_folder():
            answer = flags.answer(arguments, COMMANDS)
        print(printable(answer), end="")
        return 0
    with in_some_folder():
        hydra = make_hydra(arguments.config_dir)
    if arguments.multirun:
        with stopping_on_signals():
            return multirun(hydra, arguments, words)
    with in_some_folder():
        job = job_of(hydra, arguments.overrides, arguments.config_name)
        notes = list(one_of_many(hydra, arguments, words) if job.is_sweep else said_of_sweeps(job, arguments))
    with stopping_on_signals():
        return run_job(job, words, notes)


def one_of_many(hydra: Hydra, arguments: Namespace, words: Sequence[str]) -> Iterator[str]:
    """What is to be said of a single run of what is a sweep."""
    from convpipe.sweeps.started import points_typed

    count = points_typed(hydra, arguments.overrides, arguments.config_name)
    if count > 1:
        yield f"this is one run of a sweep of {count} points; all of them: convpipe -m {shlex.join(words)}"


def said_of_sweeps(job: Job, arguments: Namespace) -> Iterator[str]:
    """What is to be said of settings that a single run does not look at."""
    from convpipe.config.app import passed_over

    if keys := passed_over(job.execution, arguments.overrides):
        yield f"{', '.join(keys)}: of sweeps alone (-m), passed over by a single run"


def run_job(job: Job, words: Sequence[str], notes: Sequence[str] = ()) -> int:
    """Run one checked job and show it, or only its plan.

    Args:
        words: as they were typed, for the record of a run that has a label.
        notes: what is to be said beside it.
    """
    from convpipe.execution import runner
    from convpipe.execution.drawing import drawn_stages
    from convpipe.execution.inputs import pinned
    from convpipe.graph.work import check_memory, plan_work
    from convpipe.report.progress import progress

    place = job.execution.place
    if job.execution.dry_run:
        work = plan_work(job.spec, place.memory)
        pinned(job.spec)
        drawn_stages(place.pictures, job.spec, work.plan)
        print(printable(str(work)))
        check_memory(work, job.spec, place.memory)
        print("".join(f"{literal(note)}\n" for note in notes), end="")
        return 0
    prepared = runner.prepare(job.spec, place.memory)
    with having_kept(made_there("the run", place.folder / prepared.identity), NOTHING_OF_IT):
        with progress(len(prepared.work.plan.steps), "stages") as done:
            outcome = runner.execute(prepared, place, lambda result: done(result.step.name))
        with having_kept(f"the run is kept: {outcome.run.path}"):
            show_outcome(job, outcome, prepared, words, notes)
    return 0


def show_outcome(job: Job, outcome: Outcome, prepared: Prepared, words: Sequence[str], notes: Sequence[str]) -> None:
    """Put a run that is kept into the table of its collection, and show it."""
    from convpipe.archive.collection import refresh
    from convpipe.report.console import console
    from convpipe.report.run import show_run

    folder = job.execution.place.folder
    refresh(folder)
    if job.execution.label is not None:
        from convpipe.sweeps.books import record_single

        record_single(job.execution, prepared.identity, outcome.verdict, ["convpipe", *words])
    if job.execution.trace:
        from convpipe.report.trace import show_trace

        show_trace(sys.stdout, outcome.run)
    changed = changed_files(folder, prepared) if outcome.verdict == "new" else ()
    notes = [*notes, *changed, *unkept_note(job, outcome)]
    show_run(console(), outcome.run, outcome.verdict, outcome.seconds, notes, answers_of(outcome.run, prepared))


def unkept_note(job: Job, outcome: Outcome) -> Iterator[str]:
    """What is to be said where a run that is there keeps its own note."""
    there = outcome.run.manifest.get("note")
    if job.execution.note is not None and there != job.execution.note:
        kept = f"keeps its own note: {shown(there)}" if there else "has no note, and gets none"
        yield f"the run was there before, and {kept}"


def answers_of(run: Run, prepared: Prepared) -> Sequence[Answer]:
    """What a network that has just run has answered; nothing without labels, by which its answers are judged."""
    if prepared.spec.labels is None:
        return ()
    from convpipe.execution.evaluation import answers

    return answers(run, prepared.spec)


def changed_files(folder: Path, prepared: Prepared) -> Sequence[str]:
    """What is to be said of the files of a new run, which may have held something else for an older one."""
    from convpipe.archive.inputs import contents_of

    if not contents_of(prepared.described.config):
        return ()
    from convpipe.archive.changes import changed_lines  # which most runs do without

    return changed_lines(folder, prepared.described)


def multirun(hydra: Hydra, arguments: Namespace, words: Sequence[str]) -> int:
    """A sweep, through Hydra's sweeper and launcher, shown as it runs."""
    from convpipe.cli.ending import ending_soon
    from convpipe.report.sweep import show_sweep
    from convpipe.sweeps.outcomes import GOES_ON
    from convpipe.sweeps.started import started

    try:
        with closing(
            started(hydra, arguments.overrides, arguments.config_name, ending_soon, ["convpipe", *words])
        ) as events:
            return show_sweep(events)
    except (KeyboardInterrupt, OSError):  # what the disk says against the runs is an error of ours by now
        with having_kept(GOES_ON):
            raise
