"""The plan: sizes and costs worked out before any array exists, and true of the arrays when they do."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from conv_cases import Case, cases
from hypothesis import given, strategies as st
from plan_cases import LOWERINGS, plan_convolution
from run_cases import IM2COL, IMPLICIT, a_spec

from convpipe import reference
from convpipe.errors import ConfigError, GeometryError
from convpipe.execution import pipeline
from convpipe.graph.plan import Plan, readable
from convpipe.graph.single import at_conv, operation_of, plan_run
from convpipe.graph.work import checked_work
from convpipe.ops.arrays.sums import result_dtype
from convpipe.ops.kinds.convolving import ConvSettings
from convpipe.tensors import Signature

LECTURE_TABLE = """\
stage    makes          shape      axes                     dtype  bytes  macs
-        input          (1,3,4,4)  (N,C,H,W)                int16     96     -
-        filters        (1,3,3,3)  (F,C,kh,kw)              int16     54     -
pad      padded         (1,3,4,4)  (N,C,H,W)                int16     96     -
im2col   columns        (4,27)     (N*out_h*out_w,C*kh*kw)  int16    216     -
fil2col  filter_matrix  (1,27)     (F,C*kh*kw)              int16     54     -
matmul   product        (4,1)      (N*out_h*out_w,F)        int16      8   108
reshape  feature_map    (1,2,2,1)  (N,out_h,out_w,F)        int16      8     -
"""


def a_plan(
    x: tuple[int, ...], w: tuple[int, ...], lowering: str = "im2col", dtype: str = "int16", **settings: Any
) -> Plan:
    dtypes = np.dtype(dtype)
    return plan_convolution(Signature(x, dtypes), Signature(w, dtypes), ConvSettings(**settings), lowering)


# What it prints


def test_the_table_is_aligned() -> None:
    text = str(a_plan((1, 3, 4, 4), (1, 3, 3, 3)))
    assert text.startswith(LECTURE_TABLE)
    assert text.splitlines()[8].startswith("108 multiply-adds, 532 B in arrays, ")
    assert text.endswith(" at the peak")


def test_large_numbers_have_their_column() -> None:
    lines = str(a_plan((64, 3, 1000, 1000), (64, 3, 3, 3), groups=1, pad=1)).splitlines()
    assert lines[4].endswith("  int16  3,456,000,000                -")
    assert lines[6].endswith("  int16  8,192,000,000  110,592,000,000")
    assert len({len(line) for line in lines[:8]}) == 1


def test_groups_show_in_the_letters() -> None:
    text = str(a_plan((1, 4, 5), (2, 2, 3), groups=2))
    assert "(F,C/G,kw)" in text
    assert "(F,C/G*kw)" in text
    assert "(N*out_w,C*kw)" in text


def test_what_a_stride_never_reads_is_noted() -> None:
    text = str(a_plan((1, 1, 6, 8), (1, 1, 3, 3), stride=[2, 3]))
    note = "never read, as the stride does not divide: 1 along H, 2 along W (cells at the end of the padded input)"
    assert text.splitlines()[-2] == note
    assert a_plan((1, 1, 5, 9), (1, 1, 3, 3), stride=[2, 3]).notes == ()
    assert a_plan((1, 1, 5, 8), (1, 1, 3, 3), stride=[2, 3]).notes[0].split(": ")[1].startswith("2 along W (")


@given(cases())
def test_what_is_noted_is_what_the_oracle_never_reads(case: Case) -> None:
    sizes, padded = case.sizes, {"pad": 0, "pad_mode": "constant", "pad_value": 0}
    links = reference.links(
        (1, 1, *sizes.padded), (1, 1, *sizes.kernel), reference.Settings(**case.settings | padded | {"groups": 1})
    )
    cells = [cell[2:] for _, cell, _ in links if cell is not None]
    for axis, (size, unread) in enumerate(zip(sizes.padded, sizes.unread, strict=True)):
        assert size - 1 - max(cell[axis] for cell in cells) == unread


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1 << 20, "1.0 MiB"),
        (5 << 60, "5.0 EiB"),
        (5 << 70, "5,120.0 EiB"),
    ],
)
def test_bytes_are_readable(count: int, text: str) -> None:
    assert readable(count) == text


# What it says comes true


@given(
    cases(),
    st.sampled_from(sorted(LOWERINGS)),
    st.sampled_from(["int8", "uint8", "int64", "float16", "float32"]),
    st.sampled_from(["int8", "int16", "float64"]),
    st.sampled_from([None, "float32", "float16"]),
    st.booleans(),
)
def test_arrays_are_as_planned(case: Case, lowering: str, x: str, w: str, result: str | None, with_bias: bool) -> None:
    signatures = [Signature(case.input_shape, np.dtype(x)), Signature(case.filters_shape, np.dtype(w))]
    bias = Signature(case.filters_shape[:1], np.dtype("int8")) if with_bias else None
    settings = ConvSettings(**case.settings, dtype=result)
    made = plan_convolution(signatures[0], signatures[1], settings, lowering, bias)
    arrays = {tensor.name: np.ones(tensor.shape, tensor.dtype) for tensor in made.given}
    for step_result in pipeline.run(made, arrays):
        tensor = step_result.step.makes
        assert (step_result.array.shape, step_result.array.dtype) == (tensor.shape, tensor.dtype), tensor.name
        assert step_result.array.nbytes == tensor.bytes
    assert made.output.dtype == (result or result_dtype(*(tensor.dtype for tensor in made.given)))


@given(cases(), st.sampled_from(sorted(LOWERINGS)))
def test_costs_are_those_counted_one_by_one(case: Case, lowering: str) -> None:
    made = a_plan(case.input_shape, case.filters_shape, lowering, **case.settings)
    expected = reference.out_shape(case.input_shape, case.filters_shape, reference.Settings(**case.settings))
    batch, filters, *out = expected
    assert made.output.shape == (batch, *out, filters)
    links = reference.links(case.input_shape, case.filters_shape, reference.Settings(**case.settings))
    assert made.macs == sum(1 for _ in links)
    tensors = [*made.given, *(step.makes for step in made.steps)]
    assert made.bytes == sum(np.zeros(tensor.shape, tensor.dtype).nbytes for tensor in tensors)
    assert max(tensor.bytes for tensor in tensors) <= made.peak_bytes


def test_the_lectures_four_dimensional_page() -> None:
    made = a_plan((1, 3, 5, 5), (6, 3, 3, 3), pad=1, dtype="float64")
    shapes = {step.makes.name: step.makes.shape for step in made.steps}
    assert shapes == {
        "padded": (1, 3, 7, 7),
        "columns": (25, 27),
        "filter_matrix": (6, 27),
        "product": (25, 6),
        "feature_map": (1, 5, 5, 6),
    }


def test_planning_makes_no_arrays() -> None:
    shapes = (1, 10**3, 10**6, 10**6), (10**3, 10**3, 10**3, 10**3)
    a_plan(*shapes)  # what is imported on the way
    tracemalloc.start()
    made = a_plan(*shapes, lowering="implicit")
    text = str(made)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
    assert "PiB" in text
    assert made.macs == (10**6 - 999) ** 2 * 10**12


@pytest.mark.parametrize("stages", [IM2COL, IMPLICIT])
def test_a_run_without_room_is_refused(stages: list[str]) -> None:
    spec = a_spec({"input.shape": [1, 1, 10**6, 10**6], "lowering.stages": stages})
    peak = plan_run(spec).peak_bytes
    with pytest.raises(
        ConfigError, match=r"limits\.memory: got 1\.0 GiB, expected at least .* [TP]iB, this run's peak"
    ):
        checked_work(spec, 1 << 30)
    assert checked_work(spec, peak).peak_bytes == peak
    with pytest.raises(ConfigError, match=r"limits\.memory"):
        checked_work(spec, peak - 1)


def test_the_peak_is_less_than_all_arrays_together() -> None:
    made = a_plan((1, 1, 1000, 1000), (1, 1, 1, 1), pad=0, dtype="float64")
    sizes = [tensor.bytes for tensor in (*made.given, *(step.makes for step in made.steps))]
    assert made.bytes == sum(sizes)
    assert max(sizes) * 2 <= made.peak_bytes < made.bytes


def test_what_is_still_needed_counts_at_the_peak() -> None:
    made = a_plan((1, 1, 100), (1, 1, 1), dtype="float64")
    hungry = Plan(made.given, tuple(replace(step, workspace=10**6) for step in made.steps))
    assert made.peak_bytes + 900_000 < hungry.peak_bytes <= made.peak_bytes + 10**6


@pytest.mark.parametrize("changes", [{}, {"conv.pad": 1, "conv.pad_mode": "edge"}])
def test_a_padding_value_that_is_not_used_may_be_any(changes: dict[str, Any]) -> None:
    unused = {"input.dtype": "int8", "conv.pad_value": 4000, "conv.pad": 0, **changes}
    assert plan_run(a_spec(unused)).output.dtype == plan_run(a_spec({**unused, "conv.pad_value": 0})).output.dtype
    with pytest.raises(ConfigError, match=r"^conv\.pad_value: got 4000, expected a value that int8 holds, from -128"):
        plan_run(a_spec({**unused, "conv.pad": 1, "conv.pad_mode": "constant"}))


# Errors under the keys of the config


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"conv.stride": 0}, r"conv\.stride: got 0, expected a whole number from 1"),
        ({"conv.pad": -1}, r"conv\.pad: got -1, expected a whole number from 0"),
        ({"conv.pad": "sme"}, r"conv\.pad: got sme.*did you mean same\?"),
        ({"conv.dilation": [1, 2, 3]}, r"conv\.dilation: got \(1, 2, 3\), expected .* a list of 2"),
        ({"conv.groups": 2, "filters.count": 4, "input.shape": [1, 3, 5, 5]}, r"conv\.groups: got 2, expected a divis"),
        ({"conv.pad_mode": "mirror"}, r"conv\.pad_mode: got mirror, expected one of constant"),
        ({"conv.pad_value": 0.5}, r"conv\.pad_value: got 0\.5, expected a whole number, as the input is int16"),
        ({"filters.kernel": [9, 9]}, r"filters\.kernel: got 9, expected at most 7 along H"),
        ({"filters.kernel": [2, 2, 2]}, r"filters\.kernel: got \(2, 2, 2\)"),
        ({"input.shape": [2]}, r"input\.shape: got \(2,\), expected 4 axes .*\(a row alone is input\.shape=\[1,2\]\)"),
        ({"conv.dtype": "int16", "input.dtype": "float32"}, r"conv\.dtype: got int16, expected a float dtype, as"),
    ],
)
def test_errors_name_what_was_typed(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        plan_run(a_spec(changes))


def test_every_geometry_error_has_a_key_of_the_config() -> None:
    operation = operation_of(ConvSettings())
    for name in (
        "stride",
        "pad",
        "dilation",
        "groups",
        "pad_mode",
        "pad_value",
        "dtype",
        "input",
        "kernel",
        "channels",
    ):
        found = at_conv(GeometryError(name, 0, "something else"), operation)
        assert found.key.split(".")[0] in ("conv", "input", "filters")
