"""A folder of several users: each runs, sweeps, lists and looks on, or is told in one line what is kept."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from cli_runs import CHECKOUT
from surroundings import one_line

import convpipe as cp

EVE, BOB, GROUP = 60001, 60002, 60010
pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be others")

# A process that becomes others: what they may need is imported first, perhaps from where they may not read.
JOB = """\
import contextlib, io, json, os, sys
b"x".decode("ascii")
from convpipe.cli.main import main
folder, steps = sys.argv[1], json.load(sys.stdin)
os.chdir(os.path.join(folder, "warm"))
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    main(["keep=output+inputs"]), main(["-m", "seed=1,2", "workers=2"]), main(["runs", "lecture_3d", "--rebuild"])
    main(["page", "runs/lecture_3d"]), main(["page", "lecture_3d"]), main(["verify", "runs"])
    main(["reproduce", "lecture_3d"]), main(["explain", "lecture_3d", "--at", "0,0,0,0"])
os.chdir(os.path.join(folder, "work"))
for number, (user, group, mask, words) in enumerate(steps):
    if not (child := os.fork()):
        with open(f"../{number}", "w", buffering=1) as said:
            os.setgroups([]), os.setgid(group), os.setuid(user), os.umask(int(mask, 8))
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
                code = main(words)
        os._exit(code)
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), open(f"../{number}").read()]))
"""
Step = tuple[int, list[str]]  # who, and what is typed


def by_users(folder: Path, steps: Sequence[Step], mask: str = "022") -> list[tuple[list[str], int, str]]:
    """What each of some commands gives, by users whose files have a mask: the words, the code, the standard error."""
    (folder / "warm").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", JOB, str(folder)],
        input=json.dumps([(user, GROUP, mask, words) for user, words in steps]),
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return [(words, *answer) for (_, words), answer in zip(steps, answers, strict=True)]


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
    for words, code, said in by_users(folder, DAY):
        assert (code, said) == (0, ""), words
    assert sorted(cp.runs(place)["seed"]) == [0, 1, 2, 3]


def test_a_folder_like_tmp(folder: Path) -> None:
    place = folder / "work/runs/c"
    place.chmod(0o1777)
    texts = [["name=c", "seed=1"], ["-m", "name=c", "seed=2,3"], ["runs", "c"], ["verify", "runs"]]
    (_, first, _), *others = by_users(folder, [(EVE, ["name=c"]), *((BOB, words) for words in texts)])
    assert first == 0
    for words, code, said in others:
        if code:  # another's table cannot be replaced there
            assert code == 4, words
            assert "not permitted" in one_line(said)
            assert "kept" in said
    seeds = {cp.load(path.parent).config["seed"] for path in place.glob("*/manifest.json")}
    assert seeds == {0, 1, 2, 3}


def test_a_private_run_is_told_as_one(folder: Path) -> None:
    (folder / "work/runs/c").chmod(0o777)
    run = "runs/c/4014ffa24254"
    assert by_users(folder, [(EVE, ["name=c"])], "077")[0][1] == 0
    shutil.rmtree(folder / "warm")
    texts = [["verify", "runs"], ["name=c"], ["reproduce", run], ["page", run], ["explain", run, "--at", "0,0,0,0"]]
    for words, code, said in by_users(folder, [(BOB, words) for words in texts]):
        assert code in (3, 4), words
        assert "Permission denied" in one_line(said)


def test_a_folder_that_may_not_be_written_to(folder: Path) -> None:
    cp.run(root=str(folder / "work" / "runs"), name="c")
    run = "runs/c/4014ffa24254"
    texts = [["name=c", "seed=5"], ["-m", "name=c", "seed=5,6"], ["page", "runs/c"], ["runs", "c", "--rebuild"]]
    reading = [["verify", "runs"], ["runs", "c"], ["reproduce", run], ["explain", run, "--at=0,0,0,0"], ["runs"]]
    for words, code, said in by_users(folder, [(BOB, words) for words in [*texts, *reading]]):
        if words in reading:
            assert (code, said) == (0, ""), words
        else:
            assert code == 4, words
            assert "Permission denied" in one_line(said)


def test_a_working_directory_that_may_not_be_read(folder: Path) -> None:
    (folder / "work").chmod(0o700)
    texts = [["verify", "."], ["runs"], ["page", "c"], ["seed=1"], ["-m", "seed=1,2"], ["--help"]]
    for words, code, said in by_users(folder, [(BOB, words) for words in texts]):
        if words == ["--help"]:
            assert (code, said) == (0, "")
        else:
            assert code in (2, 4), words
            assert "Permission denied" in one_line(said)
