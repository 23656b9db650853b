"""Stages of quantised convolutions of every rule, with arrays for them: what forms are held against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from form_cases import Case, ChainCase, a_case, a_chain, tensor_of

import convpipe as cp
from convpipe.archive.read import Run
from convpipe.fields import read
from convpipe.graph.chain import plan_chain
from convpipe.graph.lowerings import named_chain
from convpipe.ops import Form
from convpipe.ops.arrays.shifts import MODES
from convpipe.ops.dense import Dense
from convpipe.report.stage_cell import inputs_of
from convpipe.report.subject import subject_of
from convpipe.tensors import Array

INTEGER_RULES = {"double": 30, "double_up": 30, "single": 30, "reduced16": 14}
FLOAT_RULES = ("float", "float_reciprocal", "float_offset", "float64_product")
HALVES = (-1, 1, -2, 2, -6, 6, 10, 14, -14, 16908289, 2**29)


def sums(draw: np.random.Generator, dtype: str = "int32") -> Array:
    """(16, 3): sums of all sizes, and those that tell rules apart."""
    small, large = draw.integers(-300, 300, 18), draw.integers(-(2**31), 2**31, 30 - len(HALVES))
    return np.concatenate([small, large, HALVES]).reshape(-1, 3)[:16].astype(dtype)


def multipliers(draw: np.random.Generator, most: int) -> dict[str, Array]:
    """A multiplier and a shift for each of three channels."""
    shift = np.array([draw.integers(-12, 3), -1, draw.integers(-31, most + 1)])
    return {"multiplier": draw.integers(2**30, 2**31, 3).astype(np.int32), "shift": shift.astype(np.int32)}


def requantized(draw: np.random.Generator) -> Iterator[Case]:
    """Every rule, with its numbers as tensors, as settings and as scales, and every dtype and way to narrow."""
    for rule, most in INTEGER_RULES.items():
        for dtype, overflow in (
            ("int8", "saturate"),
            ("uint4", "wrap"),
            ("int4", "saturate_symmetric"),
            ("int16", "wrap"),
        ):
            settings = {"rule": rule, "dtype": dtype, "overflow": overflow, "zero_point": 3}
            given = multipliers(draw, most)
            yield a_case("requantize", settings, sums(draw, "int64"), **given)
            yield a_case("requantize", settings, sums(draw), **{role: each[:1] for role, each in given.items()})
            written = {role: each.tolist() for role, each in given.items()}
            yield a_case("requantize", {**settings, **written}, sums(draw))
        scales = {"input_scale": 0.1, "output_scale": 0.7}
        yield a_case("requantize", {"rule": rule, **scales, "filter_scale": [0.3, 0.001, 2.5]}, sums(draw))
        yield a_case("requantize", {"rule": rule, **scales, "filter_scale": 0.02}, sums(draw))
    for rule in FLOAT_RULES:
        settings = {"rule": rule, "zero_point": -5, "input_scale": 0.1, "output_scale": 0.7}
        yield a_case("requantize", settings, sums(draw), filter_scale=np.float32([0.3, 1e-7, 2.5]))
        yield a_case(
            "requantize", {**settings, "filter_scale": 0.02, "dtype": "uint8", "zero_point": 7}, sums(draw, "int64")
        )
        yield a_case("requantize", {**settings, "filter_scale": 1e17, "overflow": "wrap"}, sums(draw))
    for rule in ("float", "float64_product"):
        yield a_case("requantize", {"rule": rule}, sums(draw), multiplier=np.float32([0.25, 0.5, 3e38]))
        yield a_case("requantize", {"rule": rule, "multiplier": [0.25, 0.3, 1.0]}, sums(draw))
    yield from counted(draw)


def counted(draw: np.random.Generator) -> Iterator[Case]:
    """Shifts of every mode, and thresholds."""
    for mode in MODES:
        settings = {"rule": "shift", "mode": mode, "dtype": "int32"}
        for shift in (0, 1, 2, 31):
            yield a_case("requantize", {**settings, "shift": shift}, sums(draw))
        yield a_case("requantize", settings, sums(draw), shift=np.array([0, 1, 5]))
    table = draw.integers(-300, 300, (3, 4))
    settings = {"rule": "thresholds", "offset": -2, "step": 3, "zero_point": 1}
    yield a_case("requantize", settings, sums(draw), thresholds=table)
    yield a_case("requantize", settings, sums(draw), thresholds=table[:1])
    yield a_case("requantize", {**settings, "thresholds": table.tolist()}, sums(draw))
    yield a_case("requantize", {**settings, "thresholds": [5, -7, 5]}, sums(draw))


def narrowed(draw: np.random.Generator) -> Iterator[Case]:
    """Zero points, and real numbers to integers and back."""
    x = draw.integers(-128, 128, (2, 3, 4)).astype(np.int8)
    for limits in ({}, {"low": -3}, {"high": 6}, {"low": -3, "high": 6}):
        yield a_case("clamp", limits, x)
    yield a_case("center", {"zero_point": -128}, x)
    for zeros in (5, [1, -128]):
        yield a_case("center_filters", {"zero_point": zeros}, filter_matrix=x.reshape(2, 12))
    yield a_case("dequantize", {"scale": 0.1, "zero_point": 3}, x)
    yield a_case("relu6", {}, x)
    odd = np.array([0.25, 0.75, -0.1, 1e30, -1e30, np.inf, -np.inf, np.nan, 16777217.0, 1 / 3])
    for dtype in ("float32", "float64"):
        yield a_case("quantize", {"scale": 0.1, "zero_point": -3}, odd.astype(dtype))
    yield a_case("quantize", {"scale": 0.5, "dtype": "uint4", "zero_point": 8}, x)


ACCUMULATORS: tuple[Mapping[str, Any], ...] = (
    {},
    {"bits": 13, "overflow": "wrap"},
    {"bits": 10, "overflow": "saturate"},
    {"bits": 10, "overflow": "saturate", "every": "step"},
    {"bits": 10, "overflow": "saturate", "every": 5, "order": "kh,kw,C"},
    {"bits": 40, "overflow": "pairs16"},
    {"bits": 20, "overflow": "error", "every": "step"},
    {"bits": 64, "overflow": "saturate", "every": 3},
)


def accumulated(draw: np.random.Generator) -> Iterator[Case]:
    """The stages of convolutions in accumulators of every kind, with groups and without, with a bias and without."""
    for accumulator in ACCUMULATORS:
        for groups in (1, 2):
            x = draw.integers(-128, 128, (1, 4, 3, 3)).astype(np.int8)
            w = draw.integers(-128, 128, (4, 4 // groups, 2, 2)).astype(np.int8) // (
                1 if "pairs16" in accumulator.values() else 8
            )
            arrays = {"input": x, "filters": w, "bias": draw.integers(-50, 50, 4).astype(np.int32)}
            quant = {
                "rule": "double",
                "input": {"zero_point": -3},
                "filters": {"zero_point": [1, 0, 2, 3]},
                "multiplier": 2**30,
                "shift": -3,
                "accumulator": accumulator,
            }
            settings = {"groups": groups, "pad": 1, "quant": quant}
            numbers = {"multiplier": np.array([2**30]), "shift": np.array([-3])}
            yield from a_chain("conv", settings, "quantized", **arrays, **numbers).stages()


TILED = (
    "quant=shift",
    "quant.shift=2",
    "quant.input.zero_point=-3",
    "lowering.tile=[4,5,3]",
    "input=integers",
    "input.shape=[1,3,3,3]",
    "input.dtype=int8",
    "filters=integers",
    "filters.dtype=int8",
    "filters.kernel=2",
)


def tiled() -> Iterator[Case]:
    """The stages of convolutions whose columns are cut to a systolic array, in accumulators of every kind."""
    for accumulator in ({}, {"bits": 7, "overflow": "wrap"}, {"bits": 7, "overflow": "saturate", "every": 5}):
        for bias in ((), ("bias=integers", "bias.dtype=int32")):
            settings = {f"quant.accumulator.{name}": value for name, value in accumulator.items()}
            yield from planned_stages(cp.run(*TILED, *bias, archive=False, **settings))


def planned_stages(run: Run) -> Iterator[Case]:
    """The stages of a run, as the planner has them."""
    subject = subject_of(run)
    for step in subject.steps:
        there = {source: run[subject.work.plan.rows_by_tensor[name]] for source, name in inputs_of(step).items()}
        mains = tuple(array for source, array in there.items() if isinstance(source, int))
        sides = {source: array for source, array in there.items() if isinstance(source, str)}
        yield Case(step.op, step.operation, mains, sides, run[step.name], subject.form(step))


def dense_stages(draw: np.random.Generator, layout: str) -> Iterator[Case]:
    """The stages of a dense layer."""
    quant = {
        "rule": "single",
        "input": {"zero_point": 5},
        "filters": {"zero_point": 2},
        "multiplier": 2**30,
        "shift": -2,
    }
    operation = read(Dense, "dense", {"layout": layout, "quant": quant}).as_conv
    shape = (3, 6) if layout == "out_in" else (6, 3)
    arrays = {
        "input": draw.integers(-128, 128, (2, 6)).astype(np.int8),
        "weights": draw.integers(-128, 128, shape).astype(np.int8),
        "bias": draw.integers(-50, 50, 3).astype(np.int32),
        "multiplier": np.array([2**30]),
        "shift": np.array([-2]),
    }
    tensors = {role: tensor_of(role, array) for role, array in arrays.items()}
    stages = named_chain("dense", "quantized")
    steps = plan_chain(operation, operation.solve(tensors), tensors, stages, made=["columns"])
    for step in steps:
        arrays[step.makes.name] = step.run(*(arrays[name] for name in step.needs))
    planned = {**tensors, **{step.makes.name: step.makes for step in steps}}
    unasked = Form("x", 0, ())  # of its result, which nobody asks for here
    yield from ChainCase(operation, steps, arrays, unasked, planned).stages()


def whole_means(draw: np.random.Generator) -> Iterator[Case]:
    """Average pools that keep integers: every way to round, with padding that counts and without."""
    for mode in MODES:
        x = draw.integers(-9, 10, (2, 2, 5, 6)).astype("int8")
        yield a_case("avg_pool", {"kernel": 2, "rounding": mode}, x)
        yield a_case("avg_pool", {"kernel": 3, "stride": 2, "pad": 1, "rounding": mode, "zero_point": -7}, x)
        yield a_case("avg_pool", {"kernel": 3, "pad": 1, "rounding": mode, "count_include_pad": False}, x)
        yield a_case("global_avg_pool", {"rounding": mode}, x)


def quantised_cases(seed: int = 0) -> Iterator[Case]:
    """All of them."""
    draw = np.random.default_rng(seed)
    yield from requantized(draw)
    yield from narrowed(draw)
    yield from accumulated(draw)
    yield from tiled()
    for layout in ("in_out", "out_in"):
        yield from dense_stages(draw, layout)
    yield from whole_means(draw)
