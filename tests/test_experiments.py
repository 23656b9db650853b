"""Every shipped experiment and every choice of input and filters is composed and run; the lecture's have its values."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from cli_runs import convpipe, only_run

import convpipe as cp
from convpipe.archive.read import Run
from convpipe.archive.verify import verify
from convpipe.config.compose import config_folder

CONF = config_folder()


def choices(group: str) -> list[str]:
    """The choices of a group that belong to the main job: none, and what sets up a network, have tests of their own."""
    found = [path for path in sorted((CONF / group).glob("*.yaml")) if path.stem != "none"]
    return [path.stem for path in found if "override /network" not in path.read_text()]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """An image and arrays for the choices that read files."""
    image = pytest.importorskip("PIL.Image")
    numbers = np.random.default_rng(0)
    image.fromarray(numbers.integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(tmp_path / "photo.png")
    np.save(tmp_path / "input.npy", numbers.integers(-9, 9, (2, 3, 8, 9), dtype=np.int16))
    np.save(tmp_path / "filters.npy", numbers.integers(-9, 9, (4, 3, 3, 3), dtype=np.int16))
    np.savez(tmp_path / "input.npz", images=np.load(tmp_path / "input.npy"))
    return {name: tmp_path / name for name in ("photo.png", "input.npy", "filters.npy", "input.npz")}


def run(root: Path, *words: str) -> Run:
    """Run a command line that must succeed; gives its verified archive."""
    answer = convpipe(f"root={root}/runs", *words)
    assert (answer.code, answer.err) == (0, ""), words
    return verify(only_run(root / "runs"))


@pytest.mark.parametrize("name", choices("experiment"))
def test_every_experiment(name: str, tmp_path: Path, files: dict[str, Path]) -> None:
    needs = {"edges": [f"input.path={files['photo.png']}"]}
    made = run(tmp_path, f"experiment={name}", *needs.get(name, []))
    assert made.path.parent.name == name
    assert made.rows[-1]["file"] == "output.npy"


@pytest.mark.parametrize("name", choices("input"))
def test_every_input(name: str, tmp_path: Path, files: dict[str, Path]) -> None:
    needs = {
        "image": [f"input.path={files['photo.png']}"],
        "npy": [f"input.path={files['input.npy']}"],
        "npz": [f"input.path={files['input.npz']}", "input.entry=images"],
    }
    made = run(tmp_path, f"input={name}", "filters=integers", "filters.kernel=2", *needs.get(name, []))
    assert np.all(np.isfinite(made.output))


@pytest.mark.parametrize("name", choices("filters"))
def test_every_bank_of_filters(name: str, tmp_path: Path, files: dict[str, Path]) -> None:
    needs = {"npy": [f"filters.path={files['filters.npy']}"], "lecture_1x1": ["input.shape=[1,1,8,8]"],
             "lecture_2x2": ["input.shape=[1,1,8,8]"]}  # fmt: skip
    made = run(tmp_path, "input=integers", f"filters={name}", *needs.get(name, []))
    assert np.all(np.isfinite(made.output))


@pytest.mark.parametrize("words", [
    "", "experiment=lecture_pad", "conv.pad=2 conv.stride=2", "input=integers filters=integers conv.groups=1",
    "input=integers filters=integers filters.count=4 input.shape=[2,4,9,7] conv.pad=[[0,1],[2,0]] conv.dilation=2",
])  # fmt: skip
def test_both_lowerings_give_the_same_bytes(words: str, tmp_path: Path) -> None:
    outputs = [
        (run(tmp_path / lowering, *words.split(), f"lowering={lowering}").path / "output.npy").read_bytes()
        for lowering in ("im2col", "implicit")
    ]
    assert outputs[0] == outputs[1]


# --- the lecture's values ----------------------------------------------------------------------------------------


def test_the_main_job(tmp_path: Path) -> None:
    made = run(tmp_path)
    assert made.output.dtype == np.int16
    assert made.output[0, :, :, 0].tolist() == [[-9, 1], [0, -7]]


def test_the_lectures_shapes(tmp_path: Path) -> None:
    made = run(tmp_path, "experiment=lecture_4d")
    shapes = {row["stage"]: row["shape"] for row in made.rows}
    assert [shapes[stage] for stage in ("im2col", "fil2col", "matmul", "reshape")] == [
        "(25,27)", "(6,27)", "(25,6)", "(1,5,5,6)",
    ]  # fmt: skip
    assert made.output.dtype == np.float64


# The lecture's np.pad page: what it types, and what NumPy printed.
PADDED = {
    "0": [[1, 2], [3, 4]],
    "[1,0]": [[0, 0], [1, 2], [3, 4], [0, 0]],
    "[0,1]": [[0, 1, 2, 0], [0, 3, 4, 0]],
    "1": [[0, 0, 0, 0], [0, 1, 2, 0], [0, 3, 4, 0], [0, 0, 0, 0]],
    "[0,2]": [[0, 0, 1, 2, 0, 0], [0, 0, 3, 4, 0, 0]],
}


@pytest.mark.parametrize("pad", PADDED)
def test_the_lectures_padding(pad: str, tmp_path: Path) -> None:
    made = run(tmp_path, "experiment=lecture_pad", f"conv.pad={pad}")
    assert made.array("pad")[0, 0].tolist() == PADDED[pad]
    assert made.output[0, :, :, 0].tolist() == PADDED[pad]


# The lecture's trace: 1 to 9, kernel 2x2. Title and numbers, in the order it prints them.
TRACE = [
    ("before", "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0"),
    ("col[:, :, 0, 0, :, :]", "1 2 4 5"),
    ("col[:, :, 0, 1, :, :]", "2 3 5 6"),
    ("col[:, :, 1, 0, :, :]", "4 5 7 8"),
    ("col[:, :, 1, 1, :, :]", "5 6 8 9"),
    ("Final result", "1 2 4 5 2 3 5 6 4 5 7 8 5 6 8 9"),
    ("as a matrix (4, 4)", "1 2 4 5 2 3 5 6 4 5 7 8 5 6 8 9"),
]


def test_the_lectures_trace(tmp_path: Path) -> None:
    answer = convpipe("experiment=lecture_im2col", f"root={tmp_path}")
    assert answer.code == 0
    printed = answer.out.partition("\nstage ")[0]
    parts = re.findall(r"^(\S[^\n]*):\n((?:[ \[][^\n]*\n|\n)+)(-----\n)?", printed + "\n", re.MULTILINE)
    assert [(title, " ".join(re.findall(r"(\d)\.", values))) for title, values, _ in parts] == TRACE
    assert [bool(rule) for *_, rule in parts] == [True] * 5 + [False] * 2
    assert printed.startswith("before:\n[[[[[[0. 0.]\n     [0. 0.]]\n")  # as NumPy prints (1, 1, 2, 2, 2, 2)


def test_the_trace_of_more_than_one_channel(tmp_path: Path) -> None:
    answer = convpipe("trace=true", "keep=stages", f"root={tmp_path}", "conv.stride=[1,2]", "conv.pad=1")
    assert answer.code == 0
    made = cp.load(only_run(tmp_path))
    assert answer.out.count("\n-----\n") == 1 + 9
    assert str(made.array("im2col")) in answer.out
