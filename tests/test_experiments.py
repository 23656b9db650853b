"""Every shipped experiment and every choice of input and filters is composed and run; the lecture's have its values."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from cli_runs import convpipe, only_run
from conv_cases import assert_within
from test_safetensors import file_of

import convpipe as cp
from convpipe import reference
from convpipe.archive.read import Run
from convpipe.archive.verify import verify
from convpipe.config.tree import config_folder

CONF = config_folder()


def choices(group: str) -> list[str]:
    """The choices of a group that belong to the main job: none, and what sets up a network, have tests of their own."""
    found = [path for path in sorted((CONF / group).glob("*.yaml")) if path.stem != "none"]
    return [path.stem for path in found if "override /network" not in path.read_text()]


# What each makes of whole numbers, the beginning of its SHA-256: the same on every machine and for ever.
EXPERIMENTS = {
    "alexnet": "b0ce9843d8b0f9c3",
    "corners": "04596f22dab00190",
    "edges": "dd8bea1f954939a8",
    "grad_bias": "1a621a3442c17ebb",
    "grad_input": "87c57b46f633fb8b",
    "grad_weights": "017a204e96c9643b",
    "grid": "8c6891a0107e2dec",
    "lecture_3d": "af2c45080a9c39f8",
    "lecture_pad": "62c569ed07d0d838",
    "mobilenet_v2": "aad9a2a935540b30",
    "resnet50": "501bd3769d11f54c",
    "resnet50_quant": "e2b9c7dc1e3776b2",
    "sharpen": "cc50eaa8fd810074",
    "ties": "cde06de092e8b734",
    "transpose": "d93a998be81b263c",
    "vgg16": "a7a277ba1db9db9b",
}
INPUTS = {
    "csv": "ad6717ca911dc1b0",
    "digits": "916a0a74d03f90ce",
    "image": "800f2d9eac3ef086",
    "integers": "913887612d47d5a8",
    "lecture": "8c9418221be09cbc",
    "lecture_2x2": "0c81e521b42831ba",
    "npy": "1883aad446017c9a",
    "npz": "1883aad446017c9a",
    "pattern": "54a986b064ad97f2",
    "safetensors": "1883aad446017c9a",
    "values": "e142913eaffb3ed4",
}
FILTERS = {
    "classic": "3f438cb1e3deb699",
    "csv": "91e823c0f9fd7688",
    "emboss": "9b16beba8a71c3ed",
    "identity": "182af151db2444f8",
    "integers": "c4b2baf68a77be94",
    "laplacian": "6367bc8afc5e51e9",
    "lecture": "14aa9e322b10eb31",
    "lecture_1x1": "c537227b1a9128f0",
    "npy": "ae46d860b0859cd8",
    "npz": "ae46d860b0859cd8",
    "pattern": "d47fc9246ce18509",
    "prewitt": "2fca3933454b7e19",
    "prewitt_x": "2fca3933454b7e19",
    "prewitt_y": "43162cbe7671f516",
    "safetensors": "ae46d860b0859cd8",
    "sharpen": "f5b92e595a828043",
    "sobel_x": "b76cdcda78a3905c",
    "sobel_y": "29993ac7bae867d4",
    "values": "3afdcb0d3bee7760",
}
FLOATS = {"experiment": 3, "input": 3, "filters": 5}  # choices without a hash


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """An image and arrays for the choices that read files."""
    image = pytest.importorskip("PIL.Image")
    numbers = np.arange(1, 1801) ** 2 % 251
    image.fromarray(numbers.astype(np.uint8).reshape(20, 30, 3)).save(tmp_path / "photo.png")
    np.save(tmp_path / "input.npy", (numbers[:432] % 19 - 9).astype(np.int16).reshape(2, 3, 8, 9))
    np.save(tmp_path / "filters.npy", (numbers[500:608] % 17 - 8).astype(np.int16).reshape(4, 3, 3, 3))
    for role, entry in (("input", "images"), ("filters", "filters")):
        array = np.load(tmp_path / f"{role}.npy")
        np.savez(tmp_path / f"{role}.npz", **{entry: array})
        header = {"dtype": "I16", "shape": array.shape, "data_offsets": [0, array.nbytes]}
        (tmp_path / f"{role}.safetensors").write_bytes(file_of({role: header}, array.tobytes()))
        np.savetxt(tmp_path / f"{role}.csv", array[0, 0], "%d", ",")
    return {path.name: path for path in tmp_path.iterdir()}


def run(root: Path, *words: str) -> Run:
    """Run a command line that must succeed; gives its verified archive."""
    answer = convpipe(f"root={root}/runs", *words)
    assert (answer.code, answer.err) == (0, ""), words
    return verify(only_run(root / "runs"))


def assert_output(made: Run, expected: str | None, pad: int = 0) -> None:
    """Whole numbers are those of that hash; without one, floats are those of a plain convolution."""
    if expected is not None:
        assert sha256(made.output.tobytes()).hexdigest().startswith(expected)
        return
    x, w = made.array("input"), made.array("filters")
    magnitude = reference.conv(np.abs(x), np.abs(w), pad=pad).astype(float)
    bound = magnitude * w[0].size * np.finfo(made.output.dtype).eps
    assert_within(np.moveaxis(made.output, -1, 1), reference.conv(x, w, pad=pad), bound)


@pytest.mark.parametrize("name", choices("experiment"))
def test_every_experiment(name: str, tmp_path: Path, files: dict[str, Path]) -> None:
    needs = {key: [f"input.path={files['photo.png']}"] for key in ("edges", "sharpen")}
    expected = EXPERIMENTS.get(name)
    kept = "output" if expected else "stages"
    made = run(tmp_path, f"experiment={name}", f"keep={kept}", *needs.get(name, []))
    assert made.path.parent.name == name
    assert made.rows[-1]["file"] == "output.npy"
    assert_output(made, expected, pad={"lecture_4d": 1, "seeds": 1}.get(name, 0))


@pytest.mark.parametrize("name", choices("input"))
def test_every_input(name: str, tmp_path: Path, files: dict[str, Path]) -> None:
    needs = {kind: [f"input.path={files[f'input.{kind}']}"] for kind in ("csv", "npy", "npz", "safetensors")}
    needs["image"] = [f"input.path={files['photo.png']}"]
    needs["values"] = ["input.values=[[[[1,2,0],[0,1,3]]]]"]
    made = run(tmp_path, "keep=stages", f"input={name}", "filters=integers", "filters.kernel=2", *needs.get(name, []))
    assert_output(made, INPUTS.get(name))


@pytest.mark.parametrize("name", choices("filters"))
def test_every_bank_of_filters(name: str, tmp_path: Path, files: dict[str, Path]) -> None:
    needs = {kind: [f"filters.path={files[f'filters.{kind}']}"] for kind in ("csv", "npy", "npz", "safetensors")}
    for flat in ("csv", "lecture_1x1", "lecture_2x2"):
        needs[flat] = [*needs.get(flat, []), "input.shape=[1,1,8,8]"]
    needs["values"] = ["filters.values=[[[[1,2],[0,-1]]]]", "input.shape=[1,1,8,8]"]
    made = run(tmp_path, "keep=stages", "input=integers", f"filters={name}", *needs.get(name, []))
    assert_output(made, FILTERS.get(name))


@pytest.mark.parametrize(("group", "hashes"), [("experiment", EXPERIMENTS), ("input", INPUTS), ("filters", FILTERS)])
def test_every_hash_is_of_a_choice(group: str, hashes: dict[str, str]) -> None:
    assert set(hashes) <= set(choices(group))
    assert len(choices(group)) - len(hashes) == FLOATS[group]


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


@pytest.mark.parametrize(("stages", "first"), [("pad,im2col", 3), ("pad,{clip:{high:1}},im2col", 1)])
def test_a_chain_that_ends_in_columns_is_traced(stages: str, first: int, tmp_path: Path) -> None:
    answer = convpipe("trace=true", "keep=stages", f"root={tmp_path}", f"lowering.stages=[{stages}]")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.count("col[:, :, ") == 9
    assert re.search(rf"as a matrix \(4, 27\):\n\[\[1 [{'1' if first == 1 else '2'}]", answer.out)
