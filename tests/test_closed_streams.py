"""A process that was started without its standard streams does its work and ends with the right code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import convpipe as cp

CLOSINGS = ("<&-", ">&-", "2>&-", "<&- >&- 2>&-")


def closed(closing: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """convpipe by a shell that closes some streams."""
    line = f'exec "$0" -m convpipe "$@" {closing}'
    environment = {**os.environ, "PYTHONPATH": str(Path(cp.__file__).parents[1])}
    return subprocess.run(
        ["sh", "-c", line, sys.executable, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("closing", CLOSINGS)
def test_a_page_is_written_and_the_code_is_right(tmp_path: Path, closing: str) -> None:
    run = cp.run("experiment=lecture_3d", root=str(tmp_path), name="c")
    right = cp.page(run.path, out=tmp_path / "right.html").read_bytes()
    done = closed(closing, tmp_path, "page", str(run.path), "--out", "page.html")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ("" if ">&-" in closing.split() else "page: page.html\n")
    assert (tmp_path / "page.html").read_bytes() == right


@pytest.mark.parametrize("closing", CLOSINGS)
@pytest.mark.parametrize("words", [["page", "nowhere"], ["verify", "nowhere"], ["runs", "nowhere"], ["conv.stride=x"]])
def test_an_error_keeps_its_code(tmp_path: Path, closing: str, words: list[str]) -> None:
    done = closed(closing, tmp_path, *words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == (0 if "2>&-" in closing else 1)
