"""Every file-system call of a command, seen by strace, and one of them struck: an error, or the end of the process.

A command is a fork of a warm process (`warm.py`), so that it makes the same calls each time: the fifth `write` of one
is the fifth `write` of the next. strace counts calls by their names, and so does `Call.number`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from warm import Ended, Warm

KILL = "KILL"
ATTACHED = "attached"
# At the start of a line: a call by its name, with what is said of it; the second half of one is none.
LINE = re.compile(r"(?P<name>[a-z_0-9]+)\((?P<said>.*)")
NOT_OF_FILES = frozenset({"ioctl", "fcntl", "mmap", "munmap", "lseek", "getcwd", "chdir"})
# What a path has that is another each time, by what stands for it; of the run's files those of arrays are alike.
OTHER_EACH_TIME = (
    (re.compile(r"\.([a-z.]+)(?:-[0-9a-f]{12})?-[0-9a-f]{8}-\d+-[0-9a-f]{8}"), r".\1-HIDDEN"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "SHA"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "RUN"),
    (re.compile(r"\d{8}T\d{9}Z-\d+"), "SWEEP"),
    (re.compile(r"\d\d_\w+\.npy"), "NN.npy"),
)
CREATES = re.compile(r"O_CREAT|O_TRUNC")
CHANGES = re.compile(r"write|rename|mkdir|unlink|rmdir|link|truncate|chmod|chown|fsync|fdatasync|utime|fallocate|copy")


@dataclass(frozen=True)
class Call:
    """A call: the so-many-th of its name, on which path, and what it does there."""

    name: str
    number: int
    path: str
    changes: bool
    of_a_folder: bool = False

    @property
    def kind(self) -> tuple[str, str]:
        """What calls from the same place have in common."""
        path = self.path
        for pattern, word in OTHER_EACH_TIME:
            path = pattern.sub(word, path)
        return f"{self.name}{'+' if self.changes else ''}", path


class Strace:
    """Calls as the system sees them."""

    def calls(self, warm: Warm, words: Sequence[str], cwd: Path, below: Path) -> tuple[Ended, list[Call]]:
        """Run a command; gives all its calls on files below a folder, in their order."""
        ended, lines = self.run(warm, words, cwd, "trace=file,desc,/(chmod|rename|mkdir)", "-y", "-s0")
        return ended, list(calls_in(lines, below))

    def strike(self, warm: Warm, words: Sequence[str], cwd: Path, call: Call, blow: str, below: Path) -> Ended:
        """Run a command, and strike at one of its calls: by an error, or by the end of the process."""
        what = "signal=KILL" if blow == KILL else f"error={blow}"
        ended, lines = self.run(
            warm, words, cwd, f"inject={call.name}:{what}:when={call.number}", f"-etrace={call.name}"
        )
        struck = ended.code == -9 if blow == KILL else any("(INJECTED)" in line for line in lines)
        assert struck, f"{call} was not struck: {ended}"
        return ended

    def run(self, warm: Warm, words: Sequence[str], cwd: Path, expression: str, *flags: str) -> tuple[Ended, list[str]]:
        """Run a command under strace; gives the lines of its trace, too."""
        with tempfile.NamedTemporaryFile("r", encoding="utf-8", errors="replace") as trace:

            def attach(number: int) -> subprocess.Popen[str]:
                words = ["strace", *flags, "-e", expression, "-o", trace.name, "-p", str(number)]
                tracer = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
                assert tracer.stderr
                assert ATTACHED in (line := tracer.stderr.readline()), line
                return tracer

            ended = warm.run(*words, cwd=cwd, attach=attach)
            return ended, trace.read().splitlines()


def calls_in(lines: Sequence[str], below: Path) -> Iterator[Call]:
    """The calls in a trace that are on files below a folder."""
    counted: Counter[str] = Counter()
    inside = re.compile(rf"{re.escape(str(below))}(?P<path>/[^\"<>]*)?[\"<>]")
    for line in lines:
        if (match := LINE.match(line)) is None:
            continue
        name, said = match["name"], match["said"]
        counted[name] += 1
        found = inside.search(re.sub(r"^AT_FDCWD<[^>]*>", "", said))
        if found and name not in NOT_OF_FILES:
            changes = bool(CREATES.search(said) if name.startswith("open") else CHANGES.search(name))
            yield Call(name, counted[name], found["path"] or "/", changes, "O_DIRECTORY" in said)


@cache
def can_strace() -> bool:
    """Whether there is strace, and it may follow a process that it has not started."""
    if shutil.which("strace") is None:
        return False
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        tracer = subprocess.Popen(["strace", "-p", str(sleeper.pid)], stderr=subprocess.PIPE, text=True)
        assert tracer.stderr
        return ATTACHED in tracer.stderr.readline()
    finally:
        sleeper.kill()
        sleeper.wait()
        tracer.communicate()


class Shim:
    """Calls as Python makes them (`shim.py`), where there is no strace; the number is among all calls."""

    def calls(self, warm: Warm, words: Sequence[str], cwd: Path, below: Path) -> tuple[Ended, list[Call]]:
        """As `Strace.calls`."""
        with tempfile.NamedTemporaryFile("r", encoding="utf-8", errors="replace") as log:
            ended = warm.run(*words, cwd=cwd, shim=(str(below), 0, KILL, log.name))
            lines = [line.split("\t") for line in log.read().splitlines()]
        found = enumerate(lines, start=1)
        return ended, [Call(name, number, path, changes == "1") for number, (name, changes, path) in found]

    def strike(self, warm: Warm, words: Sequence[str], cwd: Path, call: Call, blow: str, below: Path) -> Ended:
        """As `Strace.strike`."""
        with tempfile.NamedTemporaryFile("r", encoding="utf-8", errors="replace") as log:
            ended = warm.run(*words, cwd=cwd, shim=(str(below), call.number, blow, log.name))
            lines = log.read().splitlines()
        assert len(lines) >= call.number, f"{call} was not struck: {ended}"
        assert lines[call.number - 1].split("\t")[0] == call.name
        return ended
