"""An archive that asks for more work, or other work, than its stages say: nothing of it is done."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from cli_runs import convpipe
from limited import limited
from run_cases import a_run, reseal

import convpipe as cp
from convpipe.archive.identity import run_id
from convpipe.archive.read import load
from convpipe.errors import ArchiveError, ConfigError
from convpipe.execution import finding
from convpipe.files import contents
from convpipe.files.yaml import config_yaml

LARGE = 100_000  # cells along an axis: an image of 20 GB in int16
COMMANDS: dict[str, Callable[[Path], object]] = {
    "reproduce": cp.reproduce,
    "explain": lambda run: cp.explain(run, (0, 0, 0, 0)),
    "page": cp.page,
}


def forge(run: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Another config in an archive, which is sealed again as its maker would have."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    change(config)
    (run / "config.yaml").write_bytes(config_yaml(config))
    reseal(run, run_id=run_id(config))


def forge_stages(run: Path, change: Callable[[list[dict[str, str]]], object]) -> None:
    """Other stages, too."""
    path = run / "stages.csv"
    table = list(csv.DictReader(io.StringIO(path.read_text(), newline="")))
    change(table)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    path.write_text(text.getvalue())
    reseal(run)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return a_run(tmp_path / "runs").folder


OTHER: dict[str, Callable[[dict[str, Any]], object]] = {
    "a larger image": lambda config: config["input"].update(shape=[1, 2, 7000, 7000]),
    "more images": lambda config: config["input"].update(shape=[10**9, 2, 5, 4]),
    "more filters": lambda config: config["filters"].update(count=10**6),
    "a larger kernel": lambda config: config["filters"].update(kernel=[5, 5]),
    "more padding": lambda config: config["conv"].update(pad=7000),
    "another dtype": lambda config: config["input"].update(dtype="int64"),
    "another stride": lambda config: config["conv"].update(stride=2),
    "another chain": lambda config: config["lowering"].update(stages=["pad", "implicit_gemm"]),
    "another source": lambda config: config["input"].update(source="random", low=0, high=1, dtype="float32"),
}


@pytest.mark.parametrize("what", OTHER)
def test_what_the_stages_do_not_say_is_not_computed(run: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    forge(run, OTHER[what])
    for module in ("inputs.placed_array", "pipeline.run", "remake.given_array", "recover.given_array"):
        monkeypatch.setattr(f"convpipe.execution.{module}", lambda *given: pytest.fail("something is made"))
    for command in COMMANDS.values():
        with pytest.raises(ArchiveError, match=r"stage '\w+' differs: .* \(as config\.yaml plans it; nothing was comp"):
            command(run)


def test_so_it_is_within_little_memory(run: Path) -> None:
    forge(run, OTHER["a larger image"])
    answer = limited(("reproduce", str(run)), run.parent)
    assert (answer.returncode, answer.stdout) == (3, "")
    assert "stage 'input' differs: shape was (1,2,5,4), is now (1,2,7000,7000)" in answer.stderr


def large(run: Path) -> None:
    """Config and stages that agree on an image that no memory holds."""
    forge(run, lambda config: config["input"].update(shape=[1, 2, LARGE, LARGE]))
    side, padded, out = LARGE, LARGE + 2, LARGE + 1
    shapes = {"input": (1, 2, side, side), "filters": (3, 2, 2, 2), "pad": (1, 2, padded, padded)}
    shapes |= {"im2col": (out * out, 8), "fil2col": (3, 8), "matmul": (out * out, 3), "reshape": (1, out, out, 3)}

    def enlarge(rows: list[dict[str, str]]) -> None:
        for row in rows:
            cells = int(np.prod([int(size) for size in shapes[row["stage"]]], dtype=object))
            shape = ",".join(map(str, shapes[row["stage"]]))
            macs = out * out * 24 if row["stage"] == "matmul" else 0
            row.update(shape=f"({shape})", bytes=str(2 * cells), macs=str(macs), file="")

    forge_stages(run, enlarge)


def test_what_no_memory_holds_is_not_begun(run: Path) -> None:
    large(run)
    with pytest.raises(ConfigError, match=r"limits\.memory: got .*, expected at least .*, this run's peak"):
        cp.reproduce(run)
    with pytest.raises(
        ArchiveError, match=r"got arrays to be made again of .* GiB, expected at most .* memory of this"
    ):
        cp.explain(run, (0, 0, 0, 0))
    answer = limited(("explain", str(run), "--at", "0,0,0,0"), run.parent)
    assert (answer.returncode, answer.stderr.count("\n")) == (3, 1)


# Files


def file_run(folder: Path, **more: str) -> Path:
    """A run of a file in the current folder."""
    np.save("x.npy", np.arange(9, dtype="int16").reshape(1, 1, 3, 3))
    words = ("input=npy", "input.path=x.npy", "filters=integers", "filters.kernel=[2,2]", "name=c", f"root={folder}")
    return cp.run(*words, **more).folder


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("kind", ["a pipe", "a device", "of the system's own", "a folder", "a link to a pipe", "huge"])
def test_a_path_of_a_stranger_is_only_ever_read_as_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    run = file_run(tmp_path / "runs")
    os.unlink("x.npy")
    os.mkfifo("pipe")
    make: dict[str, Callable[[], object]] = {
        "a pipe": lambda: os.mkfifo("x.npy"),
        "a device": lambda: os.symlink("/dev/zero", "x.npy"),
        "of the system's own": lambda: os.symlink("/proc/self/environ", "x.npy"),
        "a folder": lambda: os.mkdir("x.npy"),
        "a link to a pipe": lambda: os.symlink("pipe", "x.npy"),
        "huge": lambda: (Path("x.npy").touch(), os.truncate("x.npy", contents.MOST_HASHED + 1)),
    }
    make[kind]()
    answer = limited(("reproduce", str(run)), tmp_path)
    assert (answer.returncode, answer.stderr.count("\n")) == (3, 1)
    assert "input: got no file, expected x.npy with sha256" in answer.stderr


def test_no_file_is_looked_for_where_the_plan_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = file_run(tmp_path / "runs")
    forge(run, lambda config: config["conv"].update(pad=100))
    monkeypatch.setattr(finding, "regular_sha256", lambda path: pytest.fail(f"{path} is read"))
    with pytest.raises(ArchiveError, match=r"nothing was computed"):
        cp.reproduce(run)


def test_a_stored_input_that_is_not_what_its_name_says_is_never_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = file_run(tmp_path / "runs", keep="output+inputs")
    (stored,) = (run.parent / "inputs").iterdir()
    content = Path("x.npy").read_bytes()
    stored.write_bytes(content[:-2] + b"\x07\x07")  # as large
    assert convpipe("reproduce", str(run)).code == 0  # by the file where it was
    os.rename("x.npy", ".hidden")
    with pytest.raises(ArchiveError, match=r"input: got no file, expected x\.npy with sha256"):
        cp.reproduce(run)
    os.rename(".hidden", "x.npy")
    other = file_run(tmp_path / "runs", keep="output+inputs", **{"conv.pad": "1"})
    assert hashlib.sha256(stored.read_bytes()).hexdigest() == stored.name  # stored again
    os.unlink("x.npy")
    assert load(other).manifest["keep"] == "output+inputs"
    assert [cp.reproduce(each).verdict for each in (run, other)] == ["reproduced", "reproduced"]
