"""Reproducing networks of floats: by a bound of the whole, or of each layer that is kept, and by the plan first."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from network_cases import CLASSES
from run_cases import (
    FLOATS,
    a_place,
    a_run,
    a_spec,
    contents,
    edit_rows,
    execute,
    from_elsewhere,
    network_spec,
    reseal,
)

from convpipe.archive.format import csv_bytes, stage_row
from convpipe.archive.identity import run_id
from convpipe.archive.read import Run, load
from convpipe.archive.verify import verify
from convpipe.errors import ArchiveError
from convpipe.execution import checks, runner
from convpipe.execution.checks import LARGEST_BOUND, Check
from convpipe.files.npy import array_sha256
from convpipe.files.yaml import read_yaml, yaml_lines
from convpipe.graph.spec import Spec
from convpipe.ops import OPERATIONS, Operation
from convpipe.tensors import Array

RANDOM = {
    "input.shape": [3, 3, 6, 6],
    "input.source": "random",
    "input.dtype": "float32",
    "weights": {"source": "random"},
}
IMPLICIT = {"lowering.stages": ["pad", "implicit_gemm"]}


def float_spec(layers: dict[str, Any] | None = None, **changes: Any) -> Spec:
    return network_spec(layers or CLASSES, {**RANDOM, **changes})


def made(folder: Path, spec: Spec, keep: str = "output") -> Run:
    """A run of another machine."""
    run = execute(spec, a_place(folder, keep=keep)).run
    from_elsewhere(run.path)
    return run


def repeated(run: Run, spec: Spec) -> str:
    """How a repeat of it agrees; the archive stays as it is."""
    before = contents(run.path)
    scratch = run.path.parent.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    try:
        return runner.repeat(run.path, a_place(scratch), spec).verdict
    finally:
        assert contents(run.path) == before


def set_stage(run: Run, stage: str, change: Callable[[Array], object]) -> None:
    """Change an archived array in place, and its row and the seal with it."""
    (row,) = (row for row in run.rows if row["stage"] == stage)
    values = run.array(stage)
    change(values)
    np.save(run.path / row["file"], values)
    fresh = stage_row("", "", values, 0, array_sha256(values), "")
    other = {key: str(fresh[key]) for key in ("min", "max", "sha256")}
    edit_rows(run.path, lambda found: found.update(other) if found["stage"] == stage else None)
    reseal(run.path)


def set_last(run: Run, change: Callable[[Array], object]) -> None:
    """Change the output alone, as if no stage before it differed."""
    set_stage(load(run.path), run.rows[-1]["stage"], change)


def one_unit(values: Array) -> None:
    """The last bit of the largest cell."""
    flat = values.reshape(-1)
    at = int(np.abs(flat).argmax())
    flat[at] = np.nextafter(flat[at], flat.dtype.type(0))


# The whole


def test_last_bits_of_a_network_are_reproduced(tmp_path: Path) -> None:
    run = made(tmp_path, float_spec())
    set_last(run, one_unit)
    said = repeated(run, float_spec())
    assert said.startswith("reproduced within 0.0")
    assert " of the largest value at most; not to the bit, as the environment differs: blas_kernel Z80 -> " in said


@pytest.mark.parametrize("op", ["sigmoid", "tanh", "gelu", "softmax", "log_softmax", "local_response_norm"])
def test_functions_of_numpys_differ_in_last_bits(op: str, tmp_path: Path) -> None:
    spec = float_spec({"first": {"op": op}})
    run = made(tmp_path, spec)
    set_last(run, one_unit)
    assert repeated(run, spec).startswith("reproduced within 0.")


@pytest.mark.parametrize("op", ["relu", "leaky_relu", "scale", "flatten", "clip"])
def test_what_every_machine_rounds_alike_is_not_excused(op: str, tmp_path: Path) -> None:
    spec = float_spec({"first": {"op": op}, "last": {"op": "softmax"}})
    run = made(tmp_path, spec)
    edit_rows(run.path, lambda row: row.update(sha256="0" * 64) if row["stage"] == "first" else None)
    reseal(run.path)
    with pytest.raises(ArchiveError, match=r"stage 'first' differs: sha256 was 0{64}, is now \w{64} \(blas_kernel Z80"):
        repeated(run, spec)


@pytest.mark.parametrize("record", [1, 2])
def test_images_whose_stages_are_not_recorded_have_the_same_bound(record: int, tmp_path: Path) -> None:
    spec = float_spec(record=record)
    run = made(tmp_path, spec)
    set_last(run, lambda values: one_unit(values[-1:]))
    assert repeated(run, spec).startswith("reproduced within 0.0")
    set_last(run, lambda values: np.multiply(values[-1:], np.float32(0.9), out=values[-1:]))
    with pytest.raises(
        ArchiveError, match=r"stage 'output' differs: .*times the float bound allows .*output at 2,\d was"
    ):
        repeated(run, spec)


def test_what_cannot_vary_is_not_excused_in_a_batch(tmp_path: Path) -> None:
    spec = float_spec({"first": {"op": "relu"}, "last": {"op": "scale"}}, record=1)
    run = made(tmp_path, spec)
    set_last(run, one_unit)
    with pytest.raises(
        ArchiveError, match=r"stage 'output' differs: .* was .*; output at .* 1 ULP apart \(blas_kernel"
    ):
        repeated(run, spec)


# Where


def test_a_mismatch_tells_where_and_how_much(tmp_path: Path) -> None:
    run = a_run(tmp_path / "c", {**FLOATS, **IMPLICIT})
    was = run.output[0, 2, 3, 1]
    wrong = was + np.float32(0.5)

    def change(values: Array) -> None:
        values[0, 2, 3, 1] = wrong
        values[0, 0, 0, 0] += np.float32(2**-16)

    set_last(run, change)
    units = 0.5 / float(np.spacing(max(abs(was), abs(wrong))))
    where = rf"implicit_gemm at 0,1,2,3 was {wrong}, is now {was}, {re.escape(f'{units:.3g}')} ULP apart"
    with pytest.raises(ArchiveError, match=rf"stage 'implicit_gemm' differs: \w+ was .*; {where}$"):
        repeated(run, a_spec({**FLOATS, **IMPLICIT}))
    from_elsewhere(run.path)
    far = r"\d(\.\d+)?e\+0\d times the float bound allows \(blas_kernel Z80 -> \w+\)"
    with pytest.raises(ArchiveError, match=rf"stage 'implicit_gemm' differs: \w+ was .*; {far}: {where}$") as caught:
        repeated(run, a_spec({**FLOATS, **IMPLICIT}))
    assert "\n" not in str(caught.value)


def test_whole_numbers_tell_no_units(tmp_path: Path) -> None:
    run = a_run(tmp_path / "c", {"keep": "stages"})
    was = run.array("im2col")[3, 2]
    set_stage(run, "im2col", lambda values: values.__setitem__((3, 2), was + 5))
    with pytest.raises(ArchiveError, match=rf"stage 'im2col' differs: .*; im2col at 3,2 was {was + 5}, is now {was}$"):
        repeated(run, a_spec())


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_what_is_no_number_is_told_as_it_is(odd: float, tmp_path: Path) -> None:
    run = a_run(tmp_path / "c", FLOATS)
    set_last(run, lambda values: values.__setitem__((0, 1, 1, 1), odd))
    with pytest.raises(ArchiveError, match=rf"reshape at 0,1,1,1 was {odd}, is now -?[\d.]+$"):
        repeated(run, a_spec(FLOATS))


def test_the_first_of_two_arrays_at_hand_is_told(tmp_path: Path) -> None:
    run = made(tmp_path / "c", float_spec(), "stages")
    for stage in ("add", "conv2/filters"):
        set_stage(run, stage, lambda values: values.__setitem__((0, 1, 1, 1), 2))
        with pytest.raises(ArchiveError, match=rf"; {stage} at 0,1,1,1 was 2\.0, is now ") as caught:
            repeated(run, float_spec())
        assert f"stage '{stage}' differs" in str(caught.value)


# Layer by layer


@pytest.mark.parametrize("changes", [{}, IMPLICIT, {"record": 1}])
def test_kept_stages_are_reproduced_one_by_one(changes: dict[str, Any], tmp_path: Path) -> None:
    spec = float_spec(**changes)
    run = made(tmp_path / "c", spec, "stages")
    set_stage(run, "dense", one_unit)  # what is made of it may differ by its own roundings alone
    assert repeated(run, spec).startswith("reproduced within 0.")
    set_stage(load(run.path), "relu1", one_unit)
    with pytest.raises(ArchiveError, match=r"stage 'relu1' differs: .*; relu1 at [\d,]+ was .* 1 ULP apart \(blas_k"):
        repeated(run, spec)


@pytest.mark.parametrize("keep", ["layers", "stages"])
def test_images_that_are_not_recorded_are_looked_at_beside_kept_layers(keep: str, tmp_path: Path) -> None:
    spec = float_spec(record=1)
    run = made(tmp_path / "c", spec, keep)
    set_last(run, lambda values: one_unit(values[1:]))
    assert repeated(run, spec).startswith("reproduced within 0.")
    set_last(run, lambda values: larger(values[1:]))
    with pytest.raises(
        ArchiveError, match=r"stage 'output' differs: .* times the float bound allows .*: output at [12],"
    ):
        repeated(run, spec)


def test_each_stage_is_made_of_the_archived_arrays(tmp_path: Path) -> None:
    spec = float_spec()
    run = made(tmp_path / "c", spec, "stages")
    now = load(run.path)
    found = {check.stage: check for check in checks.checks(run, now, spec)}
    assert list(found) == [row["stage"] for row in run.rows if row["stage"] in run.manifest["seconds"]]
    ops = {row["stage"]: OPERATIONS.get("op", row["op"]) for row in run.rows if row["stage"] in found}
    for stage, check in found.items():  # archived arrays may lie in memory otherwise, which sums of BLAS notice
        assert check.excess < (1 if ops[stage].varies else 1e-300)
        assert check.allowed.any() == ops[stage].varies
    loose = {check.stage: check for check in checks.checks(made(tmp_path / "d", spec), now, spec)}
    assert list(loose) == ["softmax"]
    assert found["softmax"].relative < loose["softmax"].relative / 10


LAYERS = {"conv1": "filters", "conv2": "filters", "dense": "weights"}


@pytest.mark.parametrize("lowering", [{}, IMPLICIT])
@pytest.mark.parametrize("layer", LAYERS)
def test_a_weight_that_was_changed_behind_its_hash_is_found(
    layer: str, lowering: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = float_spec(**lowering)
    run = made(tmp_path / "c", spec, "stages")
    name = f"{layer}/{LAYERS[layer]}"
    with monkeypatch.context() as patch:
        change_arrays(patch, {name: larger})
        with pytest.raises(ArchiveError, match=rf"stage '{name}' differs: .*{name} at [\d,]+ was .*\(blas_kernel Z80"):
            repeated(run, spec)
    set_stage(run, name, larger)
    if not lowering and layer != "dense":
        set_stage(load(run.path), f"{layer}/fil2col", larger)
    change_arrays(monkeypatch, {name: larger})
    of = "dense" if layer == "dense" else f"{layer}/(matmul|implicit_gemm)"
    with pytest.raises(
        ArchiveError, match=rf"stage '{of}' differs: .* times the float bound allows .*: made of .*, {of} at [\d,]+ w"
    ):
        repeated(load(run.path), spec)


def larger(values: Array) -> None:
    """A thousandth more in the largest weight."""
    flat = values.reshape(-1)
    flat[int(np.abs(flat).argmax())] *= flat.dtype.type(1.001)


def change_arrays(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Callable[[Array], object]]) -> None:
    """Let repeats start from changed arrays."""
    make = checks.make_arrays

    def changed(*arguments: Any) -> dict[str, Array]:
        arrays = {name: array.copy() for name, array in make(*arguments).items()}
        for name, change in changes.items():
            change(arrays[name])
        return arrays

    for module in (checks, runner):
        monkeypatch.setattr(module, "make_arrays", changed)


def test_a_layer_that_is_not_kept_passes_its_errors_on(tmp_path: Path) -> None:
    """As with keep=layers: some rows have files, others not."""
    spec = float_spec()
    run = made(tmp_path / "c", spec, "stages")
    kept = ("conv1/transpose", "relu1", "conv2/transpose", "add", "pool", "flatten", "dense", "softmax")
    for row in run.rows:
        if row["stage"] not in kept:
            (run.path / row["file"]).unlink()
    edit_rows(run.path, lambda row: row.update(file="") if row["stage"] not in kept else None)
    reseal(run.path)
    run = verify(run.path)
    found = {check.stage: check for check in checks.checks(run, load(run.path), spec)}
    assert tuple(found) == kept
    assert found["conv2/transpose"].allowed.max() > 0
    assert not found["relu1"].allowed.any()
    edit_rows(run.path, lambda row: row.update(sha256="0" * 64) if row["stage"] == "conv1/matmul" else None)
    reseal(run.path)
    assert repeated(run, spec).startswith("reproduced within 0 of the float bound")
    set_stage(load(run.path), "add", larger)
    with pytest.raises(
        ArchiveError, match=r"stage 'add' differs.* that every machine gives alike.*: made of .*, add at [\d,]+ was"
    ):
        repeated(run, spec)


# Too much


def deep(layers: int) -> dict[str, Any]:
    """Layers whose bounds grow one upon the other."""
    found: dict[str, Any] = {"flatten": {"op": "flatten"}}
    for number in range(layers):
        found[f"dense{number}"] = {"op": "dense", "units": 64}
    return found


@pytest.mark.parametrize(("record", "advice"), [(None, "keep=layers"), (1, "keep=layers record=null")])
def test_a_bound_that_says_nothing_decides_nothing(record: int | None, advice: str, tmp_path: Path) -> None:
    spec = float_spec(deep(6), record=record)
    run = made(tmp_path / "c", spec)
    set_last(run, one_unit)
    much = rf"not decided: right results may differ by [\d.]+ of the largest value of '\w+', more than {LARGEST_BOUND}"
    with pytest.raises(ArchiveError, match=rf"{much}; run it with {advice}: then each layer") as caught:
        repeated(run, spec)
    assert caught.value.exit_code == 3
    set_last(run, lambda values: np.multiply(values, 1e6, out=values))
    with pytest.raises(ArchiveError, match=r"times the float bound allows"):
        repeated(run, spec)


def test_where_layers_are_kept_the_bound_does_not_grow(tmp_path: Path) -> None:
    spec = float_spec(deep(6))
    run = made(tmp_path / "c", spec, "stages")
    set_stage(run, "dense3", one_unit)
    assert repeated(run, spec).startswith("reproduced within 0.0")


@pytest.mark.parametrize(
    ("largest", "allowed", "undecided"), [(1.0, 0.02, False), (1.0, 0.021, True), (0.0, 0.0, False), (0.0, 1e-9, True)]
)
def test_what_decides(largest: float, allowed: float, undecided: bool) -> None:
    values = np.array([largest, -largest / 2, np.inf, np.nan])
    check = Check("a", values, values, np.array([0, allowed, 0, 0]))
    assert check.margin.undecided == undecided
    assert check.relative == (pytest.approx(allowed) if largest else (np.inf if allowed else 0))


class Halved(Operation):
    """An operation whose author says nothing of errors."""

    function = staticmethod(lambda x: x / 2)


def test_an_operation_without_a_rule_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    from convpipe.ops.kinds import registry

    entries = [EntryPoint("halved", f"{__name__}:Halved", "convpipe.ops")]
    monkeypatch.setattr(registry, "installed", lambda group: entries if group == "convpipe.ops" else [])
    monkeypatch.setattr(registry, "distribution", lambda entry: "halves 1.0")
    spec = float_spec({**CLASSES, "halved": {"op": "halved"}})
    run = made(tmp_path / "c", spec)
    set_last(run, one_unit)
    edit_rows(run.path, lambda row: row.update(sha256="0" * 64) if row["stage"] == "softmax" else None)
    reseal(run.path)
    said = r"'softmax' differs: .* \(blas_kernel Z80 -> \w+; there is no bound for these floats, as halved has no rule"
    with pytest.raises(ArchiveError, match=said):
        repeated(run, spec)


# The plan first


def set_config(run: Run, change: Callable[[dict[str, Any]], object]) -> Run:
    """An archive whose config asks for something else, sealed by its maker."""
    config = read_yaml((run.path / "config.yaml").read_bytes())
    change(config)
    (run.path / "config.yaml").write_text("".join(yaml_lines(config)))
    reseal(run.path, run_id=run_id(config))
    return verify(run.path)


def no_arrays(*_: Any, **__: Any) -> None:
    raise AssertionError("an array is made")


@pytest.mark.parametrize("shape", [[1, 2, 7000, 7000], [1, 2, 700_000, 70_000], [1, 2, 6, 5]])
def test_another_size_is_refused_before_an_array_is_made(
    shape: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from convpipe.config.read import read_archived

    run = set_config(a_run(tmp_path / "c"), lambda config: config["input"].update(shape=shape))
    monkeypatch.setattr(runner, "make_arrays", no_arrays)
    there = ",".join(map(str, shape))
    said = rf"stage 'input' differs: shape was \(1,2,5,4\), is now \({there}\) \(as config\.yaml plans it; nothing was"
    with pytest.raises(ArchiveError, match=said):
        runner.repeat(run.path, a_place(tmp_path), read_archived(run))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"op": "random"}, "stage 'filters' differs: op was random, is now integers"),
        ({"stage": "kernels"}, "stage 'kernels' differs: stage was kernels, is now filters"),
        ({"shape": "(3,2,2,1)"}, r"stage 'filters' differs: shape was \(3,2,2,1\), is now \(3,2,2,2\)"),
        ({"dtype": "int8"}, "stage 'filters' differs: dtype was int8, is now int16"),
        ({"bytes": "47"}, "stage 'filters' differs: bytes was 47, is now 48"),
        ({"macs": "1"}, "stage 'filters' differs: macs was 1, is now 0"),
    ],
)
def test_the_first_row_and_column_that_the_plan_does_not_have(
    change: dict[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_run(tmp_path / "c")
    edit_rows(run.path, lambda row: row.update(change) if row["stage"] == "filters" else None)
    edit_rows(run.path, lambda row: row.update(macs="7") if row["stage"] == "matmul" else None)
    reseal(run.path)
    monkeypatch.setattr(runner, "make_arrays", no_arrays)
    with pytest.raises(ArchiveError, match=said):
        runner.repeat(run.path, a_place(tmp_path), a_spec())


@pytest.mark.parametrize(("rows", "said"), [(slice(-1), "was 6, is now 7"), (slice(0), "was 1, is now 7")])
def test_a_plan_of_more_stages(rows: slice, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = a_run(tmp_path / "c")
    fewer = [dict(row) for row in run.rows][rows] or [dict(run.rows[0])]
    (run.path / "stages.csv").write_bytes(csv_bytes(list(run.rows[0]), fewer))
    reseal(run.path)
    monkeypatch.setattr(runner, "make_arrays", no_arrays)
    with pytest.raises(ArchiveError, match=f"differs: count of stages {said}"):
        runner.repeat(run.path, a_place(tmp_path), a_spec())


@pytest.mark.parametrize("record", [None, 1])
def test_a_networks_plan_is_what_its_archive_says(record: int | None, tmp_path: Path) -> None:
    spec = float_spec(record=record)
    run = execute(spec, a_place(tmp_path / "c")).run
    assert repeated(run, spec) == "reproduced"
    stage = "output" if record else "softmax"
    more = np.zeros((4, 5), np.float32)
    np.save(run.path / "output.npy", more)
    other = {"shape": "(4,5)", "bytes": "80", "sha256": array_sha256(more)}
    edit_rows(run.path, lambda row: row.update(other) if row["stage"] == stage else None)
    reseal(run.path)
    with pytest.raises(ArchiveError, match=rf"stage '{stage}' differs: shape was \(4,5\), is now \(3,5\) \(as config"):
        repeated(run, spec)
