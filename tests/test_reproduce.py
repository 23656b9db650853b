"""Comparing a repeat with an archive: to the bit, or within the float bound where the environment differs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_cases import (
    FLOATS,
    IMPLICIT,
    a_place,
    a_run,
    a_spec,
    contents,
    edit_manifest,
    edit_rows,
    execute,
    from_elsewhere,
    network_spec,
    reseal,
    set_output,
)

from convpipe import reference
from convpipe.archive.read import Run, load
from convpipe.errors import ArchiveError
from convpipe.execution import runner
from convpipe.execution.bounds import bounded_run, float_bound
from convpipe.execution.checks import Check, cell_excesses
from convpipe.execution.compare import compare
from convpipe.execution.inputs import make_arrays
from convpipe.execution.provenance import VERSION
from convpipe.graph.spec import Spec
from convpipe.graph.work import plan_work

Array = np.ndarray[Any, Any]
WHOLE_FLOATS = {"input.dtype": "float32", "filters.dtype": "float32"}


def repeat(run: Run, changes: dict[str, Any] | None = None) -> str:
    """Run again into the same place; the archive that is there stays as it is."""
    before = contents(run.path)
    try:
        return execute(a_spec(changes), a_place(run.path.parent)).verdict
    finally:
        assert contents(run.path) == before


def set_first_cell(value: Any) -> Callable[[Array], None]:
    def change(values: Array) -> None:
        values[0, 0, 0, 0] = value

    return change


def nudged(units: float) -> Callable[[Array], None]:
    """Move one cell by some units of its spacing."""

    def change(values: Array) -> None:
        cell = values[0, 2, 2, 1]
        values[0, 2, 2, 1] = cell + units * np.spacing(np.abs(cell))

    return change


# The same environment


@pytest.mark.parametrize("changes", [{}, {"keep": "stages"}, FLOATS, {"lowering.stages": IMPLICIT}])
def test_a_repeat_is_reproduced(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert repeat(a_run(tmp_path, changes), changes) == "reproduced"


@pytest.mark.parametrize("changes", [{}, FLOATS, WHOLE_FLOATS])
def test_in_the_same_environment_every_bit_counts(tmp_path: Path, changes: dict[str, Any]) -> None:
    run = a_run(tmp_path, changes)
    set_output(run.path, nudged(1))
    with pytest.raises(ArchiveError, match=rf"{run.path}: stage 'matmul' differs: .* was .*, is now "):
        repeat(run, changes)


def test_the_first_stage_that_differs_is_named(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    for stage in ("reshape", "im2col", "filters"):
        edit_rows(run.path, lambda row, stage=stage: row.update(macs="77") if row["stage"] == stage else None)
        reseal(run.path)
        with pytest.raises(ArchiveError, match=f"stage '{stage}' differs: macs was 77, is now 0"):
            repeat(run)


def test_a_missing_stage_is_named(tmp_path: Path) -> None:
    run = a_run(tmp_path, {"lowering.stages": IMPLICIT})
    now = a_run(tmp_path / "now", {"lowering.stages": IMPLICIT})
    shorter = Run(run.path, run.config, run.rows[:-1], run.manifest)
    for then, repeated, counts in ((shorter, now, "was 3, is now 4"), (now, shorter, "was 4, is now 3")):
        with pytest.raises(ArchiveError, match=f"stage 'implicit_gemm' differs: count of stages {counts}"):
            compare(then, repeated, no_bound)


def test_a_damaged_archive_is_no_basis(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    with open(run.path / "output.npy", "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    with pytest.raises(ArchiveError, match=r"output\.npy: got sha256"):
        repeat(run)


# Another environment


def no_bound() -> list[Check]:
    raise AssertionError("no bound is asked for here")


def allowed(spec: Spec) -> Array:
    """The largest right difference in each cell of a spec's output."""
    work = plan_work(spec)
    *_, last = bounded_run(work.plan, make_arrays(spec, work))
    return last.allowed


def test_the_same_bits_from_elsewhere_are_reproduced(tmp_path: Path) -> None:
    run = a_run(tmp_path, FLOATS)
    from_elsewhere(run.path)
    assert repeat(run, FLOATS) == "reproduced"


@pytest.mark.parametrize(("key", "was"), [("blas_kernel", "Z80"), ("threads", 7), ("numpy", "1.0"), ("cpu", "abacus")])
@pytest.mark.parametrize("stages", [IMPLICIT, ["pad", "im2col", "fil2col", "matmul", "reshape"]])
def test_last_bits_from_elsewhere_are_within_the_bound(tmp_path: Path, key: str, was: object, stages: Any) -> None:
    changes = {**FLOATS, "lowering.stages": stages}
    run = a_run(tmp_path, changes)
    set_output(run.path, nudged(1))
    from_elsewhere(run.path, **{key: was})
    said = repeat(run, changes)
    assert said.startswith("reproduced within 0.")
    assert f"as the environment differs: {key} {was} -> " in said


def test_last_bits_of_an_older_format_are_within_the_bound(tmp_path: Path) -> None:
    run = a_run(tmp_path, FLOATS)
    set_output(run.path, nudged(1))
    with pytest.raises(ArchiveError, match="stage 'matmul' differs"):
        repeat(run, FLOATS)
    edit_manifest(run.path, format=1)  # whose long sums were less exact
    assert "not to the bit, as the environment differs: format 1 -> 2" in repeated(run, a_spec(FLOATS), tmp_path)
    set_output(run.path, set_first_cell(run.output[0, 0, 0, 0] + np.float32(1)))
    with pytest.raises(ArchiveError, match=r"the float bound allows \(format 1 -> 2\)"):
        repeated(run, a_spec(FLOATS), tmp_path)


def repeated(run: Run, spec: Spec, folder: Path) -> str:
    """Reproduce a run of any spec."""
    return runner.repeat(run.path, a_place(folder), spec).verdict


def test_a_network_of_an_older_format_is_held_to_its_bound(tmp_path: Path) -> None:
    changes = {"input.source": "random", "input.shape": [2, 9, 3, 3], "input.dtype": "float32"}
    spec = network_spec({"s": {"op": "softmax"}}, changes)
    run = execute(spec, a_place(tmp_path)).run
    set_output(run.path, nudged(1))
    edit_manifest(run.path, format=1)
    assert "not to the bit, as the environment differs: format 1 -> 2" in repeated(run, spec, tmp_path)
    set_output(run.path, set_first_cell(run.output[0, 0, 0, 0] + np.float32(1)))
    with pytest.raises(ArchiveError, match=r"stage 's' differs: .* times the float bound allows \(format 1 -> 2\)"):
        repeated(run, spec, tmp_path)


@pytest.mark.parametrize("wrong", [1.0, 1e-5, np.nan, np.inf, -np.inf])
def test_more_than_the_bound_is_an_error_with_its_factor(tmp_path: Path, wrong: float) -> None:
    run = a_run(tmp_path, FLOATS)
    set_output(run.path, set_first_cell(run.output[0, 0, 0, 0] + np.float32(wrong)))
    from_elsewhere(run.path)
    with pytest.raises(
        ArchiveError, match=r"stage 'matmul' differs: .*; (\d|in a cell).* the float bound allows \(blas_kernel Z80 -> "
    ):
        repeat(run, FLOATS)


@pytest.mark.parametrize("fact", [{"python": "2.7"}, {"cores": 4096}, {"started": "long ago"}])
def test_only_what_can_change_a_number_excuses_one(tmp_path: Path, fact: dict[str, Any]) -> None:
    run = a_run(tmp_path, FLOATS)
    set_output(run.path, nudged(1))
    from_elsewhere(run.path, **fact)
    with pytest.raises(ArchiveError, match="stage 'matmul' differs"):
        repeat(run, FLOATS)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"input.dtype": "int64", "filters.dtype": "uint8", "filters.low": 0},
        {"conv.dtype": "float32"},
        {"conv.dtype": "float16", "input.low": -900, "input.high": 900},
    ],
)
def test_whole_numbers_are_the_same_bits_everywhere(tmp_path: Path, changes: dict[str, Any]) -> None:
    run = a_run(tmp_path, changes)
    set_output(run.path, nudged(1) if run.output.dtype.kind == "f" else set_first_cell(run.output[0, 0, 0, 0] + 1))
    from_elsewhere(run.path)
    with pytest.raises(ArchiveError, match=r"whole numbers|in a cell that every machine gives alike"):
        repeat(run, changes)


@pytest.mark.parametrize(
    "more", [{}, {"conv.pad_value": 7}, {"filters.dtype": "int16"}, {"conv.dtype": "float16"}, {"input.dtype": "int8"}]
)
def test_whole_floats_are_the_same_bits_everywhere(tmp_path: Path, more: dict[str, Any]) -> None:
    changes = {**WHOLE_FLOATS, **more}
    run = a_run(tmp_path, changes)
    set_output(run.path, nudged(1))
    from_elsewhere(run.path)
    with pytest.raises(ArchiveError, match="in a cell that every machine gives alike, more than the float bound"):
        repeat(run, changes)


@pytest.mark.parametrize(
    "more",
    [
        {"conv.pad_value": 0.5},
        {"input.low": -(2**24), "input.high": 2**24, "conv.pad": 0},
        {"filters.source": "random", "filters.low": 0, "filters.high": 1},
    ],
)
def test_floats_that_are_rounded_have_their_bound(tmp_path: Path, more: dict[str, Any]) -> None:
    changes = {**WHOLE_FLOATS, **more}
    run = a_run(tmp_path, changes)
    set_output(run.path, nudged(1))
    from_elsewhere(run.path)
    assert repeat(run, changes).startswith("reproduced within 0.")


@pytest.mark.parametrize("value", [-3, 3])
def test_the_bound_takes_the_paddings_magnitude(value: int, tmp_path: Path) -> None:
    changes = {**FLOATS, "conv.pad": 2, "conv.pad_value": value, "keep": "stages"}
    run = a_run(tmp_path, changes)
    x, w = (np.abs(run.array(stage)) for stage in ("input", "filters"))
    magnitude = np.moveaxis(reference.conv(x, w, pad=2, pad_value=3), 1, -1).astype(float)
    assert magnitude.min() > 0
    np.testing.assert_allclose(allowed(a_spec(changes)), 2 * float_bound(w[0].size, magnitude, "float32"), rtol=2e-6)


@pytest.mark.parametrize("taps", [0, 1, 27, 5000])
@pytest.mark.parametrize(
    ("dtype", "summed", "rounded"),  # digits, and the exponent of the smallest number, of sums and of the result
    [("float16", (24, -149), (11, -24)), ("float32", (24, -149), (24, -149)), ("float64", (53, -1074), (53, -1074))],
)
def test_the_bound_of_a_sum_is_highams(
    dtype: str, summed: tuple[int, int], rounded: tuple[int, int], taps: int
) -> None:
    two, unit = Fraction(2), Fraction(1, 2 ** summed[0])
    gamma = (taps + 2) * unit / (1 - (taps + 2) * unit)
    tiny = (taps + 1) * two ** summed[1] + two ** rounded[1]
    expected = 3 * gamma + 3 * (1 + gamma) / 2 ** rounded[0] + tiny
    assert float_bound(taps, np.array(3.0), dtype).item() == pytest.approx(float(expected), rel=1e-13, abs=0)
    assert float_bound(taps, np.array(0.0), dtype).item() == float(tiny)
    largest = float(np.finfo(dtype).max)
    near = np.array([largest * 0.99, np.nextafter(largest, 0)])
    assert np.isfinite(float_bound(taps, near, dtype)).tolist() == [True, False]


def test_a_zero_of_another_sign_is_another_bit(tmp_path: Path) -> None:
    changes = {**WHOLE_FLOATS, "input.low": 0, "input.high": 1}
    run = a_run(tmp_path, changes)
    assert not run.output.any()
    set_output(run.path, set_first_cell(-0.0))
    from_elsewhere(run.path)
    with pytest.raises(ArchiveError, match="in a cell that every machine gives alike"):
        repeat(run, changes)


@pytest.mark.parametrize("stage", ["input", "filters", "pad", "im2col", "fil2col"])
@pytest.mark.parametrize("column", ["sha256", "min", "max", "shape", "op", "bytes"])
def test_what_only_moves_values_is_never_excused(tmp_path: Path, stage: str, column: str) -> None:
    run = a_run(tmp_path, FLOATS)
    now = a_run(tmp_path / "now", FLOATS)
    wrong = {"sha256": "0" * 64, "min": "-7.5", "max": "7.5", "shape": "(1,1)", "op": "magic", "bytes": "4"}[column]
    edit_rows(run.path, lambda row: row.update({column: wrong}) if row["stage"] == stage else None)
    from_elsewhere(run.path)
    with pytest.raises(ArchiveError, match=f"stage '{stage}' differs: {column} was "):
        compare(load(run.path), now, no_bound)


@pytest.mark.parametrize("column", ["dtype", "shape", "macs"])
def test_last_bits_do_not_excuse_another_shape_further_on(tmp_path: Path, column: str) -> None:
    run, now = a_run(tmp_path, FLOATS), a_run(tmp_path / "now", FLOATS)
    wrong = {"dtype": "float64", "shape": "(90,1)", "macs": "9"}[column]
    set_output(run.path, nudged(1))
    edit_rows(run.path, lambda row: row.update({column: wrong}) if row["stage"] == "reshape" else None)
    from_elsewhere(run.path)
    with pytest.raises(ArchiveError, match=f"stage 'reshape' differs: {column} was "):
        compare(load(run.path), now, no_bound)


# Another version


def test_another_versions_archive_says_so(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    from_elsewhere(run.path, convpipe="0.0.7")
    said = f"(made by convpipe 0.0.7, format 2; this is convpipe {VERSION}, format 2)"
    assert runner.repeat(run.path, a_place(tmp_path / "scratch"), a_spec()).verdict == f"reproduced {said}"
    assert load(run.path).manifest["provenance"]["convpipe"] == "0.0.7"
    assert execute(a_spec(), a_place(tmp_path)).verdict == f"reproduced {said}"
    assert load(run.path).manifest["provenance"]["convpipe"] == VERSION


def test_another_versions_wrong_archive_says_so_too(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    set_output(run.path, set_first_cell(77))
    from_elsewhere(run.path, convpipe="0.0.7")
    with pytest.raises(ArchiveError, match=r"stage 'matmul' differs: .* \(made by convpipe 0\.0\.7, format 2; this is"):
        repeat(run)


def test_a_manifest_without_facts_is_another_environment(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    edit_manifest(run.path, provenance={})
    assert repeat(run).startswith("reproduced (made by convpipe unknown, format 2; ")


@pytest.mark.parametrize("then", ["0" * 64, ""])
def test_last_bits_of_other_code_are_within_the_bound(then: str, tmp_path: Path) -> None:
    run = a_run(tmp_path, FLOATS)
    set_output(run.path, nudged(1))
    with pytest.raises(ArchiveError, match="stage 'matmul' differs"):
        repeated(run, a_spec(FLOATS), tmp_path)
    edit_manifest(run.path, code=then)
    assert f"not to the bit, as the environment differs: code {then[:12] or 'unknown'} -> " in repeated(
        run, a_spec(FLOATS), tmp_path
    )


# A run copied elsewhere


def test_repeat_compares_an_archive_anywhere_and_keeps_nothing(tmp_path: Path) -> None:
    made = a_run(tmp_path / "a").path
    copy = Path(shutil.copytree(made, tmp_path / "under another name"))
    (tmp_path / "scratch").mkdir()
    outcome = runner.repeat(copy, a_place(tmp_path / "scratch"), a_spec())
    assert outcome.verdict == "reproduced"
    assert outcome.run.path == copy
    assert list((tmp_path / "scratch").iterdir()) == []


# The bound itself


def test_the_bound_of_a_run_is_of_its_own_magnitudes() -> None:
    changes = {"input.low": -3, "input.high": -2, "filters.low": 2, "filters.high": 3}
    assert not allowed(a_spec({**changes, **WHOLE_FLOATS})).any()
    found = allowed(a_spec({**changes, **WHOLE_FLOATS, "conv.pad_value": 0.5}))
    assert found.shape == (1, 6, 5, 3)
    np.testing.assert_allclose(found[0, 0, 0], 2 * float_bound(8, np.array(12.0 + 6), "float32"), rtol=2e-6)
    np.testing.assert_allclose(found[0, 2, 2], 2 * float_bound(8, np.array(48.0), "float32"), rtol=2e-6)


def test_the_bound_of_the_smallest_integer_is_not_negative(tmp_path: Path) -> None:
    changes = {"input.low": -(2**63), "input.high": 1 - 2**63, "input.dtype": "int64", "filters.dtype": "float64"}
    found = allowed(a_spec(changes))
    assert found.min() > 0
    assert found.max() < 64 * 2**-53 * 2**63 * 64


@pytest.mark.parametrize(
    ("old", "new", "allowed", "excess"),
    [
        (1.0, 1.0, 0.0, 0.0),
        (np.nan, np.nan, 0.0, 0.0),
        (np.inf, np.inf, np.nan, 0.0),
        (np.inf, -np.inf, np.nan, np.inf),
        (np.inf, np.nan, np.nan, np.inf),
        (np.inf, 1.0, 0.5, np.inf),
        (np.nan, 1.0, 0.5, np.inf),
        (1.0, 2.0, np.nan, np.inf),
        (np.inf, 1.0, np.inf, 0.0),
        (np.nan, 1.0, np.inf, 0.0),
        (1.0, 1.25, 0.5, 0.5),
        (0.0, -0.0, 0.5, 0.0),
        (0.0, -0.0, 0.0, np.inf),
        (3e38, -3e38, 1e30, 6e8),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_excess(old: float, new: float, allowed: float, excess: float, dtype: str) -> None:
    check = Check("a", np.array([0, old], dtype), np.array([0, new], dtype), np.array([0, allowed]))
    assert check.excess == pytest.approx(excess)
    assert cell_excesses(check.old, check.new, check.allowed)[0] == 0


def test_an_empty_output_has_no_excess() -> None:
    empty = np.zeros((0, 1, 1, 1), np.float32)
    check = Check("a", empty, empty, empty)
    assert (check.excess, check.relative, check.margin.undecided) == (0, 0, False)
