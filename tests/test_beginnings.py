"""How the command line begins: with a signal that comes early, in the POSIX locale, in a folder that is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_runs import CHECKOUT, process

# A signal as soon as a module is imported: a process of its own cannot be hit there by a clock.
SIGNALLED = """\
import os, sys
number, wanted = int(sys.argv.pop(1)), sys.argv.pop(1)
def look(event, arguments):
    global wanted
    if event == "import" and arguments[0] == wanted:
        wanted = ""
        os.kill(os.getpid(), number)
sys.addaudithook(look)
from convpipe.__main__ import run
run()
"""
ON_THE_WAY = ("convpipe.cli.main", "convpipe.cli.commands", "hydra", "omegaconf", "numpy", "yaml", "antlr4")
POSIX = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def signalled(folder: Path, number: int, module: str, *words: str) -> subprocess.CompletedProcess[str]:
    """convpipe, which gets a signal while it imports a module."""
    return subprocess.run(
        [sys.executable, "-c", SIGNALLED, str(number), module, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("module", ON_THE_WAY)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_during_the_imports_is_one_line(tmp_path: Path, number: int, code: int, module: str) -> None:
    done = signalled(tmp_path, number, module)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "convpipe: interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_a_signal_before_there_is_a_handler_is_one_line(tmp_path: Path) -> None:
    done = signalled(tmp_path, signal.SIGINT, "convpipe.cli.early")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "convpipe: interrupted\n")


def test_ignored_signals_stay_ignored(tmp_path: Path) -> None:
    line = 'trap "" HUP INT; exec "$@"'
    command = ["sh", "-c", line, "sh", sys.executable, "-c", SIGNALLED, str(int(signal.SIGHUP)), "hydra"]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("new: runs/lecture_3d/4014ffa24254\n")


# The POSIX locale


@pytest.fixture
def lessons(tmp_path: Path) -> Path:
    """A folder with an array in a folder whose name is no ASCII."""
    (tmp_path / "수업").mkdir()
    np.save(tmp_path / "수업" / "x.npy", np.ones((1, 3, 4, 4), np.int16))
    return tmp_path


@pytest.mark.parametrize("words", [(), ("-m", "seed=0,1")])
def test_a_path_of_any_letters_is_found_in_the_posix_locale(lessons: Path, words: tuple[str, ...]) -> None:
    child = process(*words, "input=npy", 'input.path="수업/x.npy"', "name=u", cwd=lessons, env=POSIX)
    assert child.communicate(timeout=60)[1] == ""
    assert len(list((lessons / "runs" / "u").glob("*/output.npy"))) == max(len(words), 1)
    child = process("verify", "수업", cwd=lessons, env=POSIX)
    assert "수업" in child.communicate(timeout=60)[1]


# A folder that is gone


def in_a_folder_that_is_gone(folder: Path, *words: str) -> tuple[int, str, str]:
    """convpipe in a working directory that has been deleted."""
    gone = folder / "gone"
    gone.mkdir()
    line = 'rmdir "$PWD" && exec "$0" -m convpipe "$@"'
    done = subprocess.run(
        ["sh", "-c", line, sys.executable, *words],
        cwd=gone,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_absolute_paths_work_where_the_folder_is_gone(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("input: [[[[2, 3]]]]\nfilters: [[[[2]]]]\n")
    root = f"root={tmp_path}/r"
    assert in_a_folder_that_is_gone(tmp_path, root)[::2] == (0, "")
    code, out, err = in_a_folder_that_is_gone(tmp_path, str(tmp_path / "own.yaml"), root)
    assert (code, err) == (0, "")
    assert "[[4, 6]]" in out
    run = tmp_path / "r" / "lecture_3d" / "4014ffa24254"
    for words in (
        ["runs", str(run.parent)],
        ["verify", str(run)],
        ["explain", str(run), "--at", "0,0,0,0"],
        ["reproduce", str(run)],
        ["--help"],
        ["--cfg", "job"],
    ):
        code, out, err = in_a_folder_that_is_gone(tmp_path, *words)
        assert (code, err) == (0, ""), words
        assert out, words


@pytest.mark.parametrize("words", [[], ["-m", "seed=1,2"], ["own.yaml"], ["runs", "runs"], ["verify", "x"]])
def test_a_relative_path_says_that_the_folder_is_gone(tmp_path: Path, words: list[str]) -> None:
    code, out, err = in_a_folder_that_is_gone(tmp_path, *words)
    assert code in (2, 4)
    assert out == ""
    assert err.count("(this folder is gone, perhaps deleted: cd to one that is there)") == 1
    assert err.count("\n") == 1
