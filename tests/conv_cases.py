"""What the tests share: legal convolutions for Hypothesis, values for them, and comparisons with the oracle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from convpipe.geometry.convolution import ConvGeometry, solve
from convpipe.ops.arrays.taps import unfold
from convpipe.ops.fil2col import fil2col
from convpipe.ops.matmul import matmul
from convpipe.ops.pad import pad
from convpipe.ops.reshape import reshape
from convpipe.ops.transpose import channels_first

Array = NDArray[Any]

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS = ("float16", "float32", "float64")
MODES = ("constant", "reflect", "edge", "wrap")

LECTURE_INPUT = np.array(
    [
        [[1, 2, 3, 0], [0, 1, 2, 3], [3, 0, 1, 2], [2, 3, 0, 1]],
        [[1, 3, 2, 0], [0, 1, 3, 2], [2, 0, 3, 1], [3, 2, 1, 0]],
        [[2, 3, 1, 0], [0, 2, 3, 1], [1, 0, 2, 3], [3, 1, 0, 2]],
    ]
)[None]
LECTURE_KERNEL = np.array(
    [[[1, -1, 1], [0, 1, -1], [-1, 0, 1]], [[-1, 1, 0], [1, -1, 0], [0, 1, -1]], [[0, -1, 1], [1, 0, -1], [-1, 1, 0]]]
)[None]
LECTURE_FEATURE_MAP = [[-9, 1], [0, -7]]


@dataclass(frozen=True)
class Case:
    """One legal convolution; `settings` are the keyword arguments of `reference.conv`."""

    input_shape: tuple[int, ...]
    filters_shape: tuple[int, ...]
    settings: dict[str, Any]

    @property
    def sizes(self) -> ConvGeometry:
        """The geometry under test."""
        known = {key: value for key, value in self.settings.items() if key != "pad_value"}
        return solve(self.input_shape, self.filters_shape, **known)


@st.composite
def cases(draw: st.DrawFn, modes: tuple[str, ...] = MODES) -> Case:
    """Convolutions of one to three axes: strides, dilations, every form of padding, groups, empty batches."""
    rank = draw(st.integers(1, 3))
    largest = 3 if rank < 3 else 2
    per_axis = st.lists(st.integers(1, largest), min_size=rank, max_size=rank)
    kernel, dilation, stride = draw(per_axis), draw(per_axis), draw(per_axis)
    groups, depth, filters_per_group = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    mode, (pad, pairs) = draw(st.sampled_from(modes)), draw(pads(rank, largest))
    spans = [step * (taps - 1) + 1 for taps, step in zip(kernel, dilation, strict=True)]
    least = [least_size(span, pair, pad, mode) for span, pair in zip(spans, pairs, strict=True)]
    spatial = [draw(st.integers(size, size + 5 - rank)) for size in least]
    settings = {
        "stride": draw(forms(stride)),
        "pad": pad,
        "dilation": draw(forms(dilation)),
        "groups": groups,
        "pad_mode": mode,
        "pad_value": draw(st.sampled_from([0, 0, 1, 5])) if mode == "constant" else 0,
    }
    batch = draw(st.sampled_from([1, 2, 1, 0]))
    return Case((batch, depth * groups, *spatial), (filters_per_group * groups, depth, *kernel), settings)


def forms(values: list[int]) -> st.SearchStrategy[Any]:
    """One number per axis as a list or a tuple, and one number for all where they agree."""
    return st.sampled_from([values[0], values, tuple(values)] if len(set(values)) == 1 else [values, tuple(values)])


@st.composite
def pads(draw: st.DrawFn, rank: int, largest: int) -> tuple[Any, list[tuple[int, int]]]:
    """A padding in one of the ways to write it, and its [before, after] per axis (for a word: not known yet)."""
    cells = st.integers(0, largest)
    form = draw(st.sampled_from(["number", "axes", "sides", "valid", "same", "same_lower"]))
    if form == "number":
        number = draw(cells)
        return number, [(number, number)] * rank
    if form == "axes":
        numbers = draw(st.lists(cells, min_size=rank, max_size=rank))
        return numbers, [(number, number) for number in numbers]
    pairs = draw(st.lists(st.tuples(cells, cells), min_size=rank, max_size=rank))
    return (pairs, pairs) if form == "sides" else (form, [(0, 0)] * rank)


def least_size(span: int, pair: tuple[int, int], pad: Any, mode: str) -> int:
    """The smallest axis that a kernel of this span fits into and that this padding can be filled from."""
    if pad in ("same", "same_lower"):
        return 1 if mode in ("constant", "edge") else span
    fillable = {"constant": 0, "edge": 1, "wrap": max(pair), "reflect": max(pair) + 1}[mode]
    return max(fillable, span - sum(pair))


def integers(shape: tuple[int, ...], dtype: str, flavour: str, seed: int) -> Array:
    """Integers of any value (``any``), of the dtype's two ends and 0, 1 (``ends``), or from -3 to 3 (``small``)."""
    generator, info = np.random.default_rng(seed), np.iinfo(dtype)
    if flavour == "any":
        return generator.integers(info.min, info.max, shape, dtype, endpoint=True)
    if flavour == "ends":
        return generator.choice(np.array([info.min, info.max, info.max - 1, 0, 1], dtype), shape)
    return generator.integers(max(info.min, -3), 3, shape, dtype, endpoint=True)


def floats(shape: tuple[int, ...], dtype: str, scale: int, seed: int) -> Array:
    """Floats of both signs, spread over many powers of two around 2**scale, a few of them zero."""
    generator = np.random.default_rng(seed)
    exponents = generator.integers(-8, 1, shape) + scale
    return np.ldexp(generator.integers(-64, 65, shape) / 64 * generator.random(shape), exponents).astype(dtype)


def by_columns(
    case: Case, x: Array, w: Array, bias: Array | None = None, dtype: Any = None, overflow: Any = "error"
) -> Array:
    """The lecture's chain, every stage of it, as (N, F, out...)."""
    sizes = case.sizes
    padded = pad(x, sizes.pads, case.settings["pad_mode"], case.settings["pad_value"])
    columns = unfold(padded, sizes.kernel, sizes.stride, sizes.dilation)
    product = matmul(columns, fil2col(w), bias, sizes.groups, dtype, overflow)
    return channels_first(reshape(product, sizes.feature_map_shape))


def memory_orders(values: Array) -> Iterator[tuple[str, Array]]:
    """The same values lying in memory in other ways, each with a name."""
    yield "fortran", np.asfortranarray(values)
    yield "backwards", np.flip(np.flip(values).copy())
    wide = np.zeros((*values.shape[:-1], 2 * values.shape[-1]), values.dtype)
    wide[..., ::2] = values
    yield "every second", wide[..., ::2]
    yield "last axis first", np.moveaxis(np.moveaxis(values, -1, 0).copy(), 0, -1)
    unwritable = values.copy()
    unwritable.flags.writeable = False
    yield "read-only", unwritable


def assert_exact(got: Array, expected: Array) -> None:
    """The same shape and, value by value, the same whole number or NaN; the same dtype unless Python's are expected."""
    assert got.shape == expected.shape, f"shape {got.shape}, expected {expected.shape}"
    assert expected.dtype in (object, got.dtype), f"dtype {got.dtype}, expected {expected.dtype}"
    pairs = zip(got.ravel().tolist(), expected.ravel().tolist(), strict=True)  # Python compares 2**53 + 1 exactly
    for index, (value, wanted) in zip(np.ndindex(expected.shape), pairs, strict=True):
        assert value == wanted or (value != value and wanted != wanted), f"{value} at {index}, expected {wanted}"


def assert_within(got: Array, true: Array, bound: Array) -> None:
    """The same shape, and every value within its bound of the true one (any value where the bound is infinite)."""
    assert got.shape == true.shape == bound.shape, f"shape {got.shape}, expected {true.shape}"
    for index in np.ndindex(true.shape):
        if np.isinf(bound[index]):
            continue
        error = abs(float(got[index]) - float(true[index]))
        assert error <= bound[index], f"{got[index]} at {index}, expected {true[index]} within {bound[index]}"
