"""The sub-commands: what the command line does with archives that are there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from convpipe.errors import UsageError


def verify_command(words: list[str]) -> int:
    """``convpipe verify PATH``: every hash of a run, or of all runs of a collection."""
    from convpipe import archive, collection

    path = one_path("verify", words)
    folders = [path] if is_run(path) else collection.run_folders(path)
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
    if not is_run(path):
        raise UsageError(f"reproduce: got {path}, expected a run")
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


def is_run(path: Path) -> bool:
    """Whether a folder looks like a run, however damaged."""
    return (path / "SHA256SUMS").exists() or (path / "manifest.json").exists()


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "verify": verify_command,
    "reproduce": reproduce_command,
    "runs": runs_command,
}
