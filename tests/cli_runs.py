"""Running the command line in this process, and what every refusal has to look like."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from convpipe.archive.identity import run_id
from convpipe.cli import main
from convpipe.cli.flags import parsed_flags
from convpipe.config.app import make_hydra
from convpipe.config.compose import compose
from convpipe.config.read import read_job
from convpipe.config.settings import Job
from convpipe.graph.spec import describe

CHECKOUT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


def convpipe(*words: str) -> Answer:
    """Call `main` in this process; standard output and error as a pipe has them."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main.main(list(words))
    return Answer(code, out.getvalue(), err.getvalue())


def refused(folder: Path, *words: str, code: int = 2) -> str:
    """The one line with which `words` end; in `folder`, the working directory, nothing may change."""
    before = contents(folder)
    answer = convpipe(*words)
    assert answer.code == code, f"{words}: exit {answer.code}, {answer.err or answer.out}"
    assert answer.out == "", f"{words}: printed {answer.out}"
    assert re.fullmatch(r"convpipe: [^\n]+\n", answer.err), f"{words}: not one line: {answer.err!r}"
    assert "Traceback" not in answer.err
    assert "unexpected" not in answer.err, answer.err
    assert contents(folder) == before, f"{words}: wrote {contents(folder) - before}"
    return answer.err.removeprefix("convpipe: ").rstrip("\n")


def contents(folder: Path) -> set[str]:
    """Every path below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def job(*words: str) -> Job:
    """The checked config of a command line; nothing is run."""
    arguments = parsed_flags(list(words))
    return read_job(compose(make_hydra(arguments.config_dir), arguments.config_name, arguments.overrides))


def identity(*words: str) -> str:
    """The run id of a command line."""
    return run_id(describe(job(*words).spec).config)


def only_run(folder: Path) -> Path:
    """The one run below a root."""
    (found,) = folder.glob("*/*/manifest.json")
    return found.parent


def process(*words: str, cwd: Path, **options: object) -> subprocess.Popen[str]:
    """`python -m convpipe` in a process of its own, from another folder."""
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), **options.pop("env", {})}  # type: ignore[dict-item]
    return subprocess.Popen(
        [sys.executable, "-m", "convpipe", *words],
        cwd=cwd,
        env=environment,
        text=True,
        stdout=options.pop("stdout", subprocess.PIPE),  # type: ignore[call-overload]
        stderr=subprocess.PIPE,
        **options,
    )
