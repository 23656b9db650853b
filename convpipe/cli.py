"""The command line: wiring and exit codes."""

from __future__ import annotations

import os
import sys
import traceback
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from convpipe.errors import ConvpipeError, StorageError, UsageError, did_you_mean

if TYPE_CHECKING:
    from hydra._internal.hydra import Hydra

INTERRUPTED = 130
QUIET_FLAGS = ("help", "hydra_help", "cfg", "info", "shell_completion")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code. No traceback reaches a user, but with CONVPIPE_DEBUG=1."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = dispatch(words)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("interrupted; nothing of the run that was under way is kept", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader went away: be quiet at exit too
        return 0
    except Exception as error:  # noqa: BLE001 - the one place where every error becomes a line and an exit code
        return reported(error)


def reported(error: Exception) -> int:
    """Print an error in one line; gives its exit code."""
    if os.environ.get("CONVPIPE_DEBUG") == "1":
        traceback.print_exception(error)
    known = as_known(error)
    print(f"convpipe: {' '.join(str(known).split())}", file=sys.stderr)
    return known.exit_code


def as_known(error: Exception) -> ConvpipeError:
    """Any error as one of ours."""
    if isinstance(error, ConvpipeError):
        return error
    if isinstance(error, OSError):
        return StorageError(f"{error.filename or 'output'}: {error.strerror or error}")
    if isinstance(error, MemoryError):
        return StorageError("out of memory; lower limits.memory to have such a run refused before it starts")
    return ConvpipeError(f"unexpected {type(error).__name__}: {error} (CONVPIPE_DEBUG=1 shows where)")


def dispatch(words: list[str]) -> int:
    """A sub-command where the first word is one, else the Hydra app."""
    if words and not words[0].startswith("-") and "=" not in words[0] and not words[0].startswith(("~", "+")):
        if words[0] not in COMMANDS:
            hint = did_you_mean(words[0], COMMANDS)
            raise UsageError(
                f"{words[0]}: no such command; there are {', '.join(COMMANDS)}, and settings as key=value"
                + (f" ({hint})" if hint else "")
            )
        return COMMANDS[words[0]](words[1:])
    return hydra_app(words)


def hydra_app(words: list[str]) -> int:
    """Run what the overrides describe, or show what Hydra's flags ask for."""
    from convpipe import config

    arguments = parsed_flags(words)
    config.refuse_unsafe(arguments.overrides)
    if any(getattr(arguments, flag) for flag in QUIET_FLAGS):
        return hydra_shows(arguments)
    hydra = make_hydra(arguments)
    if arguments.multirun:
        return multirun(hydra, arguments)
    job = config.read_job(config.compose(hydra, arguments.config_name or "config", arguments.overrides))
    return run_job(job)


def parsed_flags(words: list[str]) -> Namespace:
    """Hydra's flags, parsed; those that read pickles or that we cannot vouch for are refused."""
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()
    parser.prog = "convpipe"
    parser.exit_on_error = False

    def fail(message: str) -> None:
        raise UsageError(message)

    parser.error = fail  # type: ignore[method-assign,assignment]
    arguments = parser.parse_args(words)
    if arguments.experimental_rerun is not None:
        raise UsageError("--experimental-rerun: it would read a pickle; use convpipe reproduce RUN")
    if arguments.config_path is not None:
        raise UsageError("--config-path: the config tree is convpipe's own; add yours with --config-dir")
    if arguments.config_dir is not None and not Path(arguments.config_dir).is_dir():
        raise UsageError(f"--config-dir: got {arguments.config_dir}, expected a folder")
    return arguments


def make_hydra(arguments: Namespace) -> Hydra:
    """Hydra, set up on our config tree and perhaps the user's folder before it."""
    from hydra import version
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import create_config_search_path
    from hydra.core.config_search_path import SearchPathQuery

    from convpipe import config

    version.setbase("1.3")
    search_path = create_config_search_path(str(config.config_folder()))
    if arguments.config_dir is not None:
        path = f"file://{os.path.abspath(arguments.config_dir)}"
        search_path.prepend(provider="command-line", path=path, anchor=SearchPathQuery(provider="schema"))
    return Hydra.create_main_hydra2("convpipe", search_path)


def hydra_shows(arguments: Namespace) -> int:
    """Hydra's own answers: --help, --cfg, --info, --shell-completion."""
    from hydra._internal.utils import get_args_parser

    from convpipe.config import composed

    hydra = make_hydra(arguments)
    name = arguments.config_name or "config"
    if arguments.shell_completion:
        hydra.shell_completion(config_name=name, overrides=arguments.overrides)
        return 0
    composed(hydra, name, arguments.overrides, multirun=False)  # for errors in our words
    if arguments.help:
        hydra.app_help(config_name=name, args_parser=get_args_parser(), args=arguments)
    elif arguments.hydra_help:
        hydra.hydra_help(config_name=name, args_parser=get_args_parser(), args=arguments)
    elif arguments.cfg:
        hydra.show_cfg(name, arguments.overrides, arguments.cfg, arguments.package, arguments.resolve)
    else:
        hydra.show_info(arguments.info, config_name=name, overrides=arguments.overrides)
    return 0


def run_job(job: object) -> int:
    """Run one checked job and show it, or only its plan."""
    from convpipe import collection, runner
    from convpipe.config import Job
    from convpipe.plan import check_memory, plan_run
    from convpipe.report.console import console, show_run
    from convpipe.report.progress import progress
    from convpipe.report.trace import show_trace

    assert isinstance(job, Job)
    place = job.execution.place
    plan = plan_run(job.spec)
    if job.execution.dry_run:
        print(plan)
        check_memory(plan, place.memory)
        return 0
    with progress(len(plan.steps), "stages") as done:
        outcome = runner.execute(job.spec, place, lambda result: done(result.step.name))
    collection.rebuild(place.folder)
    if job.execution.trace:
        show_trace(sys.stdout, outcome.run)
    show_run(console(), outcome.run, outcome.verdict, outcome.seconds)
    return 0


def multirun(hydra: Hydra, arguments: Namespace) -> int:
    """A sweep, through Hydra's sweeper and launcher."""
    raise UsageError("-m: sweeps are not built yet")


def verify_command(words: list[str]) -> int:
    """``convpipe verify PATH``: every hash of a run, or of all runs of a collection."""
    from convpipe import archive, collection

    path = one_path("verify", words)
    folders = (
        [path] if (path / "SHA256SUMS").exists() or (path / "manifest.json").exists() else collection.run_folders(path)
    )
    if not folders:
        raise UsageError(f"verify: got {path}, expected a run or a collection of runs")
    for folder in folders:
        run = archive.verify(folder)
        print(f"ok {folder} archive {run.manifest['archive_id']}")
    return 0


def reproduce_command(words: list[str]) -> int:
    """``convpipe reproduce RUN``: compute an archived run again and compare."""
    import tempfile

    from convpipe import archive, config, provenance, runner
    from convpipe.report.console import console, show_run

    path = one_path("reproduce", words)
    then = archive.verify(path)
    spec = config.read_spec(then.config)
    with tempfile.TemporaryDirectory(prefix="convpipe-") as scratch:
        memory = int(config.MEMORY_SHARE * provenance.memory_bytes())
        threads = int(then.manifest.get("provenance", {}).get("threads", 1))
        outcome = runner.repeat(path, runner.Place(Path(scratch), memory, threads), spec)
    show_run(console(), outcome.run, outcome.verdict, outcome.seconds)
    return 0


def runs_command(words: list[str]) -> int:
    """``convpipe runs COLLECTION``: its runs, one line each."""
    from convpipe import collection
    from convpipe.report.console import console, table

    out = console()
    rows = collection.read_results(one_path("runs", words))
    listing = table(out.no_color)
    for column in rows[0] if rows else ():
        listing.add_column(column)
    for row in rows:
        listing.add_row(*row.values())
    out.print(listing)
    return 0


def one_path(command: str, words: list[str]) -> Path:
    """The one argument of a command, a folder that exists."""
    if len(words) != 1:
        raise UsageError(f"{command}: got {len(words)} arguments, expected one path")
    if not Path(words[0]).is_dir():
        raise UsageError(f"{command}: got {words[0]}, expected a folder")
    return Path(words[0])


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "verify": verify_command,
    "reproduce": reproduce_command,
    "runs": runs_command,
}
