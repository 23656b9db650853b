"""A disk that is full, at any place, and one that is read-only: one line, and what it says was kept was kept."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cli_runs import Answer, contents, convpipe
from good_collections import PLAIN, make_good
from verdicts import QUIET, judged, outcome

from convpipe.archive.verify import verify

KIB = 1024
SIZES = (
    16,
    20,
    24,
    28,
    32,
    36,
    40,
    44,
    48,
    52,
    56,
    64,
    72,
    80,
    88,
    96,
    112,
    128,
    160,
    224,
    320,
    512,
)  # KiB, in blocks of 4
SINGLE = ("input=csv", "input.path=x.csv", "filters=box", "root=disk/r", "name=c", "keep=stages+inputs", "pictures=all")
SWEEP = ("-m", *PLAIN, "root=disk/r", "name=c", "seed=range(0,6)", "keep=stages", "timing.repeats=2", "label=a")


def can_mount() -> bool:
    """Whether a disk in memory may be made here."""
    return os.geteuid() == 0 and subprocess.run(["mount", "--version"], capture_output=True).returncode == 0


@contextmanager
def disk(place: Path, kib: int) -> Iterator[Path]:
    """A small disk in memory."""
    place.mkdir()
    options = f"size={kib}k,nr_inodes=1000"
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no disk can be mounted here: {made.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def remount(place: Path, *options: str) -> None:
    """The same disk with other options."""
    subprocess.run(["mount", "-o", ",".join(("remount", *options)), place], check=True)


pytestmark = pytest.mark.skipif(not can_mount(), reason="only root mounts a small disk")


def assert_told(answer: Answer) -> None:
    """A command that met a full disk says so in one line, and what it says of runs is so."""
    assert answer.code == 4, answer
    lines = answer.err.splitlines()
    assert re.fullmatch(r"convpipe: .*No space left on device; .*kept.*", lines[-1]), answer.err
    assert len(lines) == 1, answer.err
    if kept := re.search(r"the run is kept: (\S+)", answer.err):
        verify(kept[1])
    if "nothing was kept" in answer.err:
        assert not list(Path("disk").glob("r/c/[0-9a-f]*"))


@pytest.mark.parametrize("words", [SINGLE, SWEEP], ids=["single", "sweep"])
def test_a_disk_that_fills_up(words: tuple[str, ...], folder: Path) -> None:
    """Of every size from next to nothing to enough; then there is room, and the same command goes on."""
    (folder / "x.csv").write_text("1,2,3\n4,5,6\n7,8,9\n")
    codes = []
    for kib in SIZES:
        with disk(folder / "disk", kib) as place:
            answer = convpipe(*words)
            codes.append(answer.code)
            if answer.code:
                assert_told(answer)
            if list(place.glob("r/c/[0-9a-f]*")):
                assert judged(place / "r").code == 0
            remount(place, "size=4m")
            assert convpipe(*words).code == 0
            last = judged(place / "r")
            assert outcome(last) == QUIET, last.err
            assert not [path for path in place.rglob(".*-*-*") if path.is_dir() or path.suffix != ".jsonl"]
        place.rmdir()
    assert codes[0] == 4
    assert codes[-1] == 0


def test_a_disk_that_is_read_only(folder: Path) -> None:
    with disk(folder / "disk", 4096) as place:
        os.chdir(place)
        collection = make_good(place)
        os.chdir(folder)
        remount(place, "ro")
        full = f"disk/r/c/{collection.named['full']}"
        before = contents(place)
        reading = (
            ("verify", "disk/r"),
            ("runs", "disk/r"),
            ("runs", "disk/r/c", "--points"),
            ("runs", "disk/r/c", "--format", "json"),
            ("explain", full, "--at", "0,0,0,0"),
            ("dry_run=true", "root=disk/r", "name=c", *PLAIN),
        )
        for words in reading:
            assert convpipe(*words).code == 0, words
        writing = (
            ("page", "disk/r/c"),
            ("page", full),
            ("runs", "disk/r/c", "--rebuild"),
            ("runs", "disk/r/c", "--output", "disk/x.csv"),
            (*PLAIN, "root=disk/r", "name=c", "seed=77"),
            (*PLAIN, "root=disk/r", "name=c", "seed=4"),
            (*PLAIN, "root=disk/r", "name=new"),
            ("-m", *PLAIN, "root=disk/r", "name=c", "seed=77,78"),
        )
        for words in writing:
            answer = convpipe(*words)
            assert answer.code == 4, (words, answer)
            assert re.fullmatch(r"convpipe: [^\n]*Read-only file system[^\n]*\n", answer.err), (words, answer.err)
        assert contents(place) == before
        assert outcome(judged(place / "r")) == QUIET
