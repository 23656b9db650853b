"""A folder of several users: each runs, sweeps, lists and looks on, or is told in one line what is kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_runs import CHECKOUT
from surroundings import LONG, one_line

import convpipe as cp

EVE, BOB, GROUP = 60001, 60002, 60010
pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be others")

# Another user's process: what it may need is imported first, perhaps from where that user may not read.
JOB = """\
import contextlib, io, os, sys
b"x".decode("ascii")
from convpipe.cli.main import main
folder, user, group, mask, *words = sys.argv[1:]
os.chdir(os.path.join(folder, "warm"))
with contextlib.redirect_stdout(io.StringIO()):
    main(["keep=output+inputs"]), main(["-m", "seed=1,2", "workers=2"]), main(["runs", "lecture_3d", "--rebuild"])
    main(["page", "runs/lecture_3d"]), main(["page", "lecture_3d"]), main(["verify", "runs"])
    main(["reproduce", "lecture_3d"]), main(["explain", "lecture_3d", "--at", "0,0,0,0"])
os.chdir(os.path.join(folder, "work"))
os.setgroups([]), os.setgid(int(group)), os.setuid(int(user)), os.umask(int(mask, 8))
code = main(words)
sys.stdout.flush()
os._exit(code)
"""


def by(user: int, folder: Path, mask: str, *words: str, group: int = GROUP) -> subprocess.CompletedProcess[str]:
    """convpipe by another user, whose new files have a mask."""
    shutil.rmtree(folder / "warm", ignore_errors=True)
    (folder / "warm").mkdir()
    return subprocess.run(
        [sys.executable, "-c", JOB, str(folder), str(user), str(group), mask, *words],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody may read; pytest's own are for one user alone."""
    with tempfile.TemporaryDirectory() as name:
        for part in (Path(name), Path(name, "work"), Path(name, "work", "runs"), Path(name, "work", "runs", "c")):
            part.mkdir(exist_ok=True)
            part.chmod(0o755)
        yield Path(name)


# The bits of the shared folder, and whose it is: everybody's, everybody's like /tmp, or a group's.
KINDS = {"everybody": (0o777, 0), "like tmp": (0o1777, 0), "a group": (0o2775, GROUP)}
DAY = (
    (EVE, ["name=c"]),
    (BOB, ["name=c", "seed=1"]),
    (EVE, ["-m", "name=c", "seed=1,2", "workers=2"]),
    (BOB, ["-m", "name=c", "seed=2,3"]),
    (BOB, ["runs", "c", "--rebuild"]),
    (EVE, ["name=c", "seed=1"]),
    (EVE, ["verify", "runs"]),
    (BOB, ["reproduce", "runs/c/4014ffa24254"]),
    (BOB, ["page", "c"]),
)


@pytest.mark.parametrize("kind", ["everybody", "a group"])
def test_two_users_share_a_folder(kind: str, folder: Path) -> None:
    place = folder / "work/runs/c"
    bits, group = KINDS[kind]
    os.chown(place, EVE, group)
    place.chmod(bits)
    for user, words in DAY:
        done = by(user, folder, "022", *words)
        assert (done.returncode, done.stderr) == (0, ""), (words, done.stderr)
    assert sorted(cp.runs(place)["seed"]) == [0, 1, 2, 3]


@pytest.mark.parametrize("mask", ["022", "077"] if LONG else ["022"])
def test_a_folder_like_tmp(mask: str, folder: Path) -> None:
    place = folder / "work/runs/c"
    place.chmod(0o1777)
    assert by(EVE, folder, mask, "name=c").returncode == 0
    for words in (["name=c", "seed=1"], ["-m", "name=c", "seed=2,3"], ["runs", "c"], ["verify", "runs"]):
        done = by(BOB, folder, "022", *words)
        if done.returncode:
            said = one_line(done.stderr)
            assert done.returncode in (3, 4), said
            assert "Permission denied" in said or "not permitted" in said
            assert mask == "077" or "kept" in said
    assert {0, 1} <= {run.config["seed"] for run in map(cp.load, place.glob("*/manifest.json/..")) if run}


def test_a_private_run_is_told_as_one(folder: Path) -> None:
    place = folder / "work/runs/c"
    place.chmod(0o777)
    assert by(EVE, folder, "077", "name=c").returncode == 0
    for words in (
        ["verify", "runs"],
        ["name=c"],
        ["reproduce", "runs/c/4014ffa24254"],
        ["page", "runs/c/4014ffa24254"],
    ):
        done = by(BOB, folder, "022", *words)
        assert done.returncode in (3, 4), words
        assert "Permission denied" in one_line(done.stderr)
    done = by(BOB, folder, "022", "name=c", "seed=1")
    assert "kept" in done.stderr or done.returncode == 0


def test_a_folder_that_may_not_be_written_to(folder: Path) -> None:
    assert by(EVE, folder, "022", "name=c", "root=../own").returncode in (0, 4)
    cp.run(root=str(folder / "work" / "runs"), name="c")
    for words in (["name=c", "seed=5"], ["-m", "name=c", "seed=5,6"], ["page", "runs/c"], ["runs", "c", "--rebuild"]):
        done = by(BOB, folder, "022", *words)
        assert (done.returncode, done.stdout) == (4, ""), words
        assert "Permission denied" in one_line(done.stderr)
    for words in (
        ["verify", "runs"],
        ["runs", "c"],
        ["reproduce", "runs/c/4014ffa24254"],
        ["explain", "c", "--at=0,0,0,0"],
    ):
        assert by(BOB, folder, "022", *words).returncode == 0, words


@pytest.mark.parametrize(
    "words", [["verify", "."], ["runs"], ["page", "c"], ["--help"], ["seed=1"], ["-m", "seed=1,2"]]
)
def test_a_working_directory_that_may_not_be_read(words: list[str], folder: Path) -> None:
    (folder / "work").chmod(0o700)
    done = by(BOB, folder, "022", *words)
    if words != ["--help"]:
        assert done.returncode in (2, 4)
        assert "Permission denied" in one_line(done.stderr)
    else:
        assert (done.returncode, done.stderr) == (0, "")
