"""Single runs of every operation from the command line: exact, archived, repeated, and refused where they cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import convpipe, identity, only_run, refused
from plan_cases import chain_of
from run_cases import FLOATS, a_place, edit_rows, execute, from_elsewhere, plain_config, reseal

from convpipe import reference
from convpipe.archive.format import stage_row
from convpipe.archive.read import Run
from convpipe.archive.verify import verify
from convpipe.config.read import read_spec
from convpipe.errors import ArchiveError
from convpipe.execution import runner
from convpipe.execution.bounds import bounded_run
from convpipe.execution.inputs import make_arrays
from convpipe.files.npy import array_sha256
from convpipe.graph.spec import Spec
from convpipe.graph.work import plan_work
from convpipe.sources import stream

Array = np.ndarray[Any, Any]

IMAGE = ["input=integers", "input.shape=[2,4,5,6]"]
FILTERS = ["filters=integers", "filters.count=6", "filters.kernel=[2,3]"]
CONV = {"stride": [2, 1], "pad": [[1, 0], [1, 2]], "dilation": [1, 2]}
SETTINGS = ["conv.stride=[2,1]", "conv.pad=[[1,0],[1,2]]", "conv.dilation=[1,2]"]
GRADIENTS = ("grad_input", "grad_weights", "grad_bias")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> Run:
    """A run that succeeds and that `reproduce` reproduces; its verified archive."""
    made = printed("new: ", *words, "keep=stages", "root=r")
    printed("reproduced: ", "reproduce", str(made.path))
    return made


def printed(verdict: str, *words: str) -> Run:
    """A call that succeeds with that verdict; the one run there is."""
    answer = convpipe(*words)
    assert (answer.code, answer.err) == (0, ""), words
    assert verdict in answer.out
    return verify(only_run(Path("r")))


def drawn_input(made: Run) -> Array:
    """The input of a run, also where it did not read it."""
    spec = read_spec(made.config)
    return spec.input.make(spec.input.signature(), stream(spec.seed, "input"))


# Against the oracle


@pytest.mark.parametrize("groups", [1, 2])
def test_a_transposed_convolution(groups: int) -> None:
    more = ["conv.output_padding=[1,0]", f"conv.groups={groups}", "bias=integers"]
    made = run(*IMAGE, *FILTERS, "conv=transpose", "lowering=transpose", *SETTINGS, *more)
    x, w, bias = (made.array(name) for name in ("input", "filters", "bias"))
    assert w.shape == (4, 6 // groups, 2, 3)
    expected = reference.conv_transpose(x, w, bias, output_padding=[1, 0], groups=groups, **CONV)
    assert made.output.transpose(0, 3, 1, 2).tolist() == expected.tolist()
    assert [row["stage"] for row in made.rows[3:]] == ["rows", "fil2row", "matmul_rows", "col2im", "crop"]


@pytest.mark.parametrize("name", GRADIENTS)
@pytest.mark.parametrize("groups", [1, 2])
def test_a_gradient(name: str, groups: int) -> None:
    more = ["grad=integers", f"conv.groups={groups}"]
    made = run(*IMAGE, *FILTERS, f"conv={name}", f"lowering={name}", *SETTINGS, *more)
    grad = made.array("grad")
    x = drawn_input(made)
    w = made.array("filters") if name == "grad_input" else filters_like(x, groups)
    expected = reference.conv_grad(x, w, grad, groups=groups, **CONV)[GRADIENTS.index(name)]
    assert made.output.tolist() == expected.tolist()
    assert made.rows[-1]["stage"] == chain_of(name)[-1]


def filters_like(x: Array, groups: int) -> Array:
    """Filters of the right shape, where the gradient does not depend on their values."""
    return np.zeros((6, x.shape[1] // groups, 2, 3), np.int16)


@pytest.mark.parametrize("lowering", ["im2col", "implicit"])
@pytest.mark.parametrize("source", ["integers", "lecture", "npy", "random"])
def test_a_bias(source: str, lowering: str) -> None:
    np.save("b.npy", np.arange(6, dtype=np.int32))
    more = {
        "integers": ["bias.low=-100", "bias.high=100"],
        "lecture": ["bias.values=[5,-4,3,-2,1,0]"],
        "npy": ["bias.path=b.npy"],
        "random": ["bias.dtype=int8", "bias.low=-9", "bias.high=9"],
    }
    made = run(*IMAGE, *FILTERS, *SETTINGS, f"bias={source}", *more[source], f"lowering={lowering}")
    x, w, bias = (made.array(name) for name in ("input", "filters", "bias"))
    assert bias.any()
    assert made.output.transpose(0, 3, 1, 2).tolist() == reference.conv(x, w, bias, **CONV).tolist()


@pytest.mark.parametrize("shape", ["[2,3,9]", "[1,2,4,3,5]"])
@pytest.mark.parametrize("name", [*GRADIENTS, "transpose"])
def test_every_operation_has_every_rank(name: str, shape: str) -> None:
    more = [] if name == "transpose" else ["grad=integers"]
    words = ["input=integers", f"input.shape={shape}", "filters=integers", "filters.kernel=2", "conv.stride=2", *more]
    printed("new: ", *words, f"conv={name}", "root=r")  # each brings its own chain


@pytest.mark.parametrize("mode", ["reflect", "edge", "wrap"])
@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_through_every_padding(name: str, mode: str) -> None:
    more = ["grad=integers", "conv.pad=1", f"conv.pad_mode={mode}"]
    made = run(*IMAGE, *FILTERS, f"conv={name}", f"lowering={name}", *more)
    x = drawn_input(made)
    w = made.array("filters") if name == "grad_input" else filters_like(x, 1)
    expected = reference.conv_grad(x, w, made.array("grad"), pad=1, pad_mode=mode)[GRADIENTS.index(name)]
    assert made.output.tolist() == expected.tolist()


def test_one_seed_draws_the_same_input_for_every_operation() -> None:
    words = [*IMAGE, *FILTERS, "keep=stages", "root=r"]
    made = printed("new: ", *words, "conv=grad_weights", "lowering=grad_weights", "grad=integers")
    before = made.array("input")
    made.path.rename("apart")
    assert np.array_equal(printed("new: ", *words).array("input"), before)


@pytest.mark.parametrize("name", ["transpose", *GRADIENTS])
def test_the_shipped_experiments(name: str) -> None:
    made = run(f"experiment={name}")
    printed("reproduced: ", f"experiment={name}", "root=r")
    assert made.path.parent.name == name
    assert made.output.dtype == np.int16
    if name == "transpose":
        assert made.output.shape == (2, 8, 8, 4)


def test_naming_the_convolution_is_no_other_run() -> None:
    assert identity("+conv.operation=conv") == identity()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("conv=grad_input lowering=grad_input", "grad: got nothing, expected a source such as integers, as grad_input"),
        ("conv=grad_bias lowering=grad_bias", "grad: got nothing, expected a source such as integers, as grad_bias"),
        ("grad=integers", "grad: got integers, expected grad=none, as conv.operation is no gradient"),
        (
            "grad=random conv=transpose lowering=transpose",
            "grad: got random, expected grad=none, as conv.operation is no",
        ),
        (
            "conv=grad_input lowering=grad_input grad=integers bias=integers",
            "bias: got integers, expected bias=none, as a gradient does not depend on it",
        ),
        (
            "conv=transpose lowering=implicit",
            "lowering.stages: got implicit, expected one of im2col, or a list of stages",
        ),
        (
            "lowering=transpose",
            "lowering.stages: got conv_transpose, expected one of auto, im2col, implicit, quantized, or a list",
        ),
        (
            "conv=transpose lowering=grad_input",
            "lowering.stages: got grad_input, expected one of im2col, or a list of stages",
        ),
        (
            "conv=grad_bias lowering=grad_input grad=integers",
            "lowering.stages: got grad_input, expected one of im2col",
        ),
        ("conv=grad_weights lowering=implicit grad=integers", "lowering.stages: got implicit, expected one of im2col"),
        ("lowering=grad_wieghts", "lowering: got grad_wieghts, expected one of "),
        ("conv=transpose lowering=transpose conv.output_padding=1", "conv.output_padding: got 1, expected less than 1"),
        (
            "conv=transpose lowering=transpose conv.output_shape=[3,99]",
            "conv.output_shape: got 99, expected 1 to 8 along W",
        ),
        ("conv=transpose lowering=transpose conv.groups=3", "conv.groups: got 3, expected a divisor of"),
        (
            "conv=transpose lowering=transpose +conv.pad_mode=edge",
            "conv.pad_mode: got edge, expected constant, as conv_t",
        ),
        ("+conv.operation=grads", "conv.operation: got grads, expected one of conv, conv_transpose, grad_bias"),
        ("bias=lecture bias.values=[1,2]", "bias.values: got (2,), expected bias of the shape (6,)"),
        ("bias=npy bias.path=no.npy", "bias.path: got no.npy, expected a .npy file that can be read"),
        (
            "bias=integer",
            "bias: got integer, expected one of csv, integers, lecture, none, npy, npz, pattern, random",
        ),
        (
            "conv=grad_input lowering=grad_input grad=integers conv.dtype=int8 grad.low=100 grad.high=101",
            "conv.dtype: got int8, expected a dtype that holds every sum (the exact sum ",
        ),
        ("bias=random conv.dtype=int16", "conv.dtype: got int16, expected a float dtype"),
    ],
)
def test_what_does_not_go_together(words: str, line: str, folder: Path) -> None:
    found = refused(folder, *IMAGE, *FILTERS, *words.split())
    assert found.startswith(line), found


# In another environment

OPERATIONS: dict[str, dict[str, Any]] = {
    "bias": {"bias": {"source": "random", "dtype": "float32", "low": -1, "high": 1}},
    "implicit": {
        "bias": {"source": "random", "dtype": "float32", "low": -1, "high": 1},
        "lowering.stages": ["pad", "implicit_gemm"],
    },
    "transpose": {
        "bias": {"source": "random", "dtype": "float32", "low": -1, "high": 1},
        "conv.operation": "conv_transpose",
        "conv.stride": 2,
        "lowering.stages": chain_of("conv_transpose"),
    },
} | {
    name: {
        "grad": {"source": "random", "dtype": "float32", "low": -1, "high": 1},
        "conv.operation": name,
        "conv.pad_mode": "edge",
        "lowering.stages": chain_of(name),
    }
    for name in GRADIENTS
}  # fmt: skip
WHOLE = {
    "input.dtype": "float32",
    "filters.dtype": "float32",
    "grad": {"source": "integers", "dtype": "float32", "low": -8, "high": 8},
    "bias": {"source": "integers", "dtype": "float32", "low": -8, "high": 8},
}


def float_spec(name: str, whole: bool = False) -> Spec:
    """A run in floats of random values, or of whole ones."""
    if not whole:
        return read_spec(plain_config({**FLOATS, **OPERATIONS[name]}))
    unused = {"bias", "grad"} - set(OPERATIONS[name])
    changes = {key: value for key, value in {**OPERATIONS[name], **WHOLE}.items() if key not in unused}
    return read_spec(plain_config(changes))


def perturbed(made: Run, change: Callable[[Array], None]) -> None:
    """Change the output, the rows that it comes from and the seal, as if it had been made elsewhere."""
    values = made.output.copy()
    change(values)
    np.save(made.path / "output.npy", values)
    digest = array_sha256(values)
    last = made.rows[-1]["stage"]
    summing = next(row["stage"] for row in made.rows if row["op"] in SUMS)
    edit_rows(made.path, lambda row: row.update(sha256=digest) if row["stage"] in (last, summing) else None)
    row = stage_row("", "", values, 0, digest, "")
    edit_rows(
        made.path,
        lambda found: found.update(min=str(row["min"]), max=str(row["max"])) if found["stage"] == last else None,
    )
    reseal(made.path)
    from_elsewhere(made.path)


SUMS = ("matmul", "implicit_gemm", "matmul_rows", "matmul_columns", "sum_rows")


def one_unit(values: Array) -> None:
    """The last bit of one cell that is not 0."""
    flat = values.reshape(-1)
    at = int(np.abs(flat).argmax())
    flat[at] = np.nextafter(flat[at], np.float32(0))


def by_much(values: Array) -> None:
    """A thousandth more in one cell."""
    values.reshape(-1)[0] += np.float32(1e-3)


@pytest.mark.parametrize("name", OPERATIONS)
def test_last_bits_from_elsewhere_are_within_the_bound(name: str, tmp_path: Path) -> None:
    spec = float_spec(name)
    made = execute(spec, a_place(tmp_path)).run
    perturbed(made, one_unit)
    assert execute(spec, a_place(tmp_path)).verdict.startswith("reproduced within 0.")
    assert runner.repeat(made.path, a_place(tmp_path), spec).verdict.startswith("reproduced within 0.")
    answer = convpipe("reproduce", str(made.path))
    assert answer.code == 0, answer.err
    assert "as the environment differs: blas_kernel Z80 -> " in answer.out


@pytest.mark.parametrize("name", OPERATIONS)
def test_more_than_that_is_refused(name: str, tmp_path: Path) -> None:
    spec = float_spec(name)
    made = execute(spec, a_place(tmp_path)).run
    perturbed(made, by_much)
    with pytest.raises(ArchiveError, match=r"differs: .* the float bound allows \(blas_kernel Z80 -> "):
        execute(spec, a_place(tmp_path))
    answer = convpipe("reproduce", str(made.path))
    assert (answer.code, answer.out) == (3, "")


@pytest.mark.parametrize("name", OPERATIONS)
def test_whole_floats_are_alike_everywhere(name: str, tmp_path: Path) -> None:
    spec = float_spec(name, whole=True)
    made = execute(spec, a_place(tmp_path)).run
    perturbed(made, one_unit)
    with pytest.raises(ArchiveError, match="in a cell that every machine gives alike, more than the float bound"):
        execute(spec, a_place(tmp_path))


@pytest.mark.parametrize("name", OPERATIONS)
def test_nothing_may_differ_of_whole_floats_and_little_of_others(name: str) -> None:
    for whole in (True, False):
        spec = float_spec(name, whole)
        work = plan_work(spec)
        *_, last = bounded_run(work.plan, make_arrays(spec, work))
        if whole:
            assert not last.allowed.any()
        else:
            assert 0 < last.allowed.min() <= last.allowed.max() < 1e-3
