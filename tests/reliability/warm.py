"""The command line in forks of a process that has imported it all: 20 ms each, and every fork does the same calls.

Read as a module it is a client's: `Warm` starts this very file as a process, which forks a child for each line that it
is sent. A child that is `held` stops before its first step, so that strace can be attached to it.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
SECONDS = 60  # generous: a command here takes a twentieth of one
PTRACER, ANY = 0x59616D61, -1  # prctl: whoever may trace this process
FIXED = {"OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}
Attach = Callable[[int], "subprocess.Popen[str]"]


@dataclass(frozen=True)
class Ended:
    """What a command printed, and its exit code; minus a signal's number where that ended it."""

    words: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        """The last line of what it told beside its results."""
        return self.err.splitlines()[-1] if self.err else ""


class Warm:
    """A process that is ready to run commands, `python` being what it runs first."""

    def __init__(self, prepare: str = "") -> None:
        environment = {**os.environ, **FIXED, "PYTHONPATH": f"{CHECKOUT}{os.pathsep}{Path(__file__).parent}"}
        self.process = subprocess.Popen(
            [sys.executable, __file__, prepare],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        assert self.answer() == "ready"

    def answer(self) -> Any:
        """One line of the process."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, "the warm process has ended"
        return json.loads(line)

    def run(self, *words: str, cwd: Path, attach: Attach | None = None, shim: Sequence[Any] = ()) -> Ended:
        """Run one command to its end; `attach` is given the number of the process before its first step."""
        with tempfile.TemporaryDirectory() as place:
            asked = {"words": words, "cwd": str(cwd), "streams": place, "held": attach is not None, "shim": shim}
            assert self.process.stdin
            print(json.dumps(asked), file=self.process.stdin, flush=True)
            if attach is not None:
                number = self.answer()
                tracer = attach(number)
                os.kill(number, signal.SIGCONT)
            code = self.answer()
            if attach is not None:
                tracer.communicate(timeout=SECONDS)
            out, err = ((Path(place) / name).read_text(encoding="utf-8") for name in ("out", "err"))
        return Ended(words, code, out, err)

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(SECONDS)


@contextmanager
def warm(prepare: str = "") -> Iterator[Warm]:
    """A warm process, ended at last."""
    process = Warm(prepare)
    try:
        yield process
    finally:
        process.close()


# The process itself


def serve(prepare: str) -> None:
    """Fork a child for each line, and answer how it ended."""
    import_all()
    exec(compile(prepare, "<prepare>", "exec"), {})  # of a test's own text: a planted fault
    answer("ready")
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            become(asked)
        if asked["held"]:
            os.waitpid(child, os.WUNTRACED)
            answer(child)
        answer(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def answer(what: object) -> None:
    """Say something to the test."""
    print(json.dumps(what), flush=True)


def import_all() -> None:
    """Import every module, so that no child has to."""
    import pkgutil
    from importlib import import_module

    import pandas

    import convpipe

    assert pandas
    for module in pkgutil.walk_packages(convpipe.__path__, "convpipe."):
        if not module.name.startswith(("convpipe.__main__", "convpipe.sweeps.plugins", "convpipe.weights")):
            with suppress(ImportError):
                import_module(module.name)
    look_up()


def look_up() -> None:
    """Find out, once for all children, what a command finds out of code, machine, grammar and plugins of pictures."""
    import convpipe
    from convpipe.execution import provenance

    convpipe.run("input=integers", "filters=integers", "pictures=all", archive=False)

    provenance.own_code()
    provenance.recorded(1)
    with suppress(ImportError):
        from PIL import Image

        Image.init()


def become(asked: dict[str, Any]) -> None:
    """Be the command that is asked for, in a process that has just been forked; does not return."""
    try:
        os.chdir(asked["cwd"])
        streams = Path(asked["streams"])
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(streams / name, os.O_WRONLY | os.O_CREAT), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdin = open(0)  # noqa: SIM115
        sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False)  # type: ignore[misc]  # noqa: SIM115
        sys.stderr = sys.__stderr__ = open(2, "w", encoding="utf-8", closefd=False)  # type: ignore[misc]  # noqa: SIM115
        sys.argv = ["convpipe", *asked["words"]]
        from convpipe.__main__ import run_to_its_end

        if asked["shim"]:
            from shim import install

            install(*asked["shim"])
        if asked["held"]:
            with suppress(OSError):
                ctypes.CDLL(None).prctl(PTRACER, ANY, 0, 0, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
        run_to_its_end()
    except SystemExit as end:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else 0)
    except BaseException:  # noqa: BLE001 - a traceback is what a test looks for
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
        os._exit(99)


if __name__ == "__main__":
    serve(sys.argv[1])
