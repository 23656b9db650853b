"""The adjoints of the stages, one by one: inner products agree with the forward stage, and integers are exact."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from conv_cases import MODES, Case, assert_exact, cases, integers, memory_orders
from hypothesis import given, settings, strategies as st

from convpipe import reference
from convpipe.errors import GeometryError, ValueRangeError
from convpipe.ops.arrays.adjoints import between_dtype, between_overflow
from convpipe.ops.col2im import fold_exactly
from convpipe.ops.crop import crop
from convpipe.ops.fil2col import fil2col
from convpipe.ops.fil2row import fil2row
from convpipe.ops.matmul_columns import matmul_columns
from convpipe.ops.matmul_rows import matmul_rows
from convpipe.ops.pad import pad
from convpipe.ops.reshape import reshape
from convpipe.ops.rows import rows
from convpipe.ops.sum_rows import sum_rows
from convpipe.ops.transpose import channels_first
from convpipe.ops.unpad import unpad

SEEDS = st.integers(0, 2**32 - 1)
LARGE = 2**62


def inner(first: np.ndarray, second: np.ndarray) -> int:
    """The sum of products, in Python integers."""
    return sum(int(a) * int(b) for a, b in zip(first.ravel().tolist(), second.ravel().tolist(), strict=True))


# Rows, and filters as rows


@given(cases(), SEEDS)
@settings(max_examples=50)
def test_rows_undo_reshape(case: Case, seed: int) -> None:
    sizes = case.sizes
    product = integers(sizes.product_shape, "int16", "any", seed)
    maps = channels_first(reshape(product, sizes.feature_map_shape))
    assert_exact(rows(maps), product)


@pytest.mark.parametrize("shape", [(1, 3, 4, 5), (1, 2, 7), (1, 2, 3, 4, 5)])
def test_rows_of_one_image_are_a_view(shape: tuple[int, ...]) -> None:
    maps = np.zeros(shape)
    assert np.shares_memory(rows(maps), maps)
    assert rows(maps).T.flags.c_contiguous  # BLAS takes that without a copy


def test_rows_of_several_images_are_transposed_too() -> None:
    assert rows(np.zeros((2, 3, 4, 5))).T.flags.c_contiguous


def test_rows_of_nothing() -> None:
    assert rows(np.zeros((0, 3, 4, 5))).shape == (0, 3)
    assert rows(np.zeros((2, 0, 4, 5))).shape == (40, 0)


@given(cases(), SEEDS)
@settings(max_examples=50)
def test_fil2row_is_each_groups_filter_matrix_transposed(case: Case, seed: int) -> None:
    groups = case.sizes.groups
    filters = integers(case.filters_shape, "int16", "any", seed)
    matrix = fil2col(filters)
    expected = np.concatenate([part.T for part in np.split(matrix, groups)])
    assert_exact(fil2row(filters, groups), expected)


def test_fil2row_of_one_group_is_a_view() -> None:
    filters = np.zeros((6, 3, 5, 5))
    assert np.shares_memory(fil2row(filters), filters)


@pytest.mark.parametrize("position", range(5))
def test_any_memory_order_gives_the_same(position: int) -> None:
    maps, filters = integers((2, 4, 3, 5), "int16", "any", 0), integers((4, 2, 3, 2), "int16", "any", 1)
    _, other_maps = list(memory_orders(maps))[position]
    _, other_filters = list(memory_orders(filters))[position]
    assert_exact(rows(other_maps), rows(maps))
    assert_exact(fil2row(other_filters, 2), fil2row(filters, 2))
    chosen: dict[str, Any] = {"pads": ((1, 1), (0, 2)), "mode": "edge", "dtype": "int8", "overflow": "saturate"}
    assert_exact(unpad(other_maps, **chosen), unpad(maps, **chosen))


# Unpad


@given(cases(), SEEDS)
@settings(max_examples=150)
def test_unpad_is_the_adjoint_of_pad(case: Case, seed: int) -> None:
    sizes, mode = case.sizes, case.settings["pad_mode"]
    x = integers(sizes.input_shape, "int64", "small", seed)
    padded = integers(sizes.padded_shape, "int64", "small", seed + 1)
    forward = pad(x, sizes.pads, mode) if any(map(any, sizes.pads)) else x
    back = unpad(padded, pads=sizes.pads, mode=mode)
    assert back.shape == x.shape
    assert back.dtype == padded.dtype
    assert inner(forward, padded) == inner(x, back)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("constant", [4, 8, 16]),
        ("edge", [1 + 2 + 4, 8, 16 + 32]),
        ("reflect", [4, 2 + 8 + 32, 1 + 16]),
        ("wrap", [4 + 32, 1 + 8, 2 + 16]),
    ],
)
def test_unpad_by_hand(mode: str, expected: list[int]) -> None:
    padded = np.array([[[1, 2, 4, 8, 16, 32]]])
    assert unpad(padded, pads=((2, 1),), mode=mode).ravel().tolist() == expected


def test_a_negative_pad_adds_cells() -> None:
    padded = np.arange(1, 5).reshape(1, 1, 2, 2)
    assert unpad(padded, pads=((0, -1), (1, -1))).tolist() == [[[[2, 0], [4, 0], [0, 0]]]]
    assert unpad(padded, pads=((2, -1), (0, 0))).tolist() == [[[[0, 0]]]]  # nothing but added cells


def test_bias_reaches_every_cell() -> None:
    padded = np.zeros((2, 2, 3), np.int64)
    biased = unpad(padded, np.array([5, -7], np.int8), pads=((1, -1),))
    assert biased.tolist() == [[[5, 5, 5], [-7, -7, -7]]] * 2
    assert crop(padded, np.array([5, -7]), pads=((1, -1),)).shape == (2, 3, 2)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("overflow", ["error", "wrap", "saturate"])
def test_unpad_beyond_int64_is_exact(mode: str, overflow: Any) -> None:
    padded = np.array([[[LARGE, LARGE, LARGE, -LARGE, LARGE, -LARGE], [1, 2, 3, 4, 5, 6]]])
    bias = np.array([-LARGE, 1])
    true = wide_unpad(padded, mode) + np.array([[[-LARGE], [1]]], object)
    dtype = np.dtype("int64")
    try:
        expected = reference.narrow(true, dtype, overflow)
    except OverflowError:
        with pytest.raises(ValueRangeError, match=r"^the exact sum -?[0-9]+ does not fit int64 "):
            unpad(padded, bias, pads=((2, 1),), mode=mode, overflow=overflow)
        return
    assert_exact(unpad(padded, bias, pads=((2, 1),), mode=mode, overflow=overflow), expected)


def wide_unpad(padded: np.ndarray, mode: str) -> np.ndarray:
    """`unpad` of pads (2, 1) in Python integers, cell by cell."""
    sums = np.zeros((1, 2, 3), object)
    for (image, channel, position), value in np.ndenumerate(padded.astype(object)):
        source = reference.source(position - 2, 3, mode)
        if source is not None:
            sums[image, channel, source] += value
    return sums


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "uint64"])
def test_unsigned_sums_narrow_by_every_rule(dtype: str) -> None:
    sums = np.array([[[0, 1, 127, 200, 2**63 - 1, 2**63, 2**64 - 1]]], np.uint64)
    for overflow in ("wrap", "saturate"):
        expected = reference.narrow(sums.astype(object), dtype, overflow)
        assert_exact(unpad(sums, pads=((0, 0),), dtype=dtype, overflow=overflow), expected)
    if dtype != "uint64":
        with pytest.raises(ValueRangeError, match=f"^the exact sum 18446744073709551615 does not fit {dtype} "):
            unpad(sums, pads=((0, 0),), dtype=dtype)


@pytest.mark.parametrize("mode", MODES)
def test_infinities_meet_without_a_warning(mode: str) -> None:
    padded = np.array([[[np.inf, -np.inf, np.inf, np.nan, np.inf, 1]]], np.float32)
    with np.errstate(all="raise"):
        unpadded = unpad(padded, np.array([-np.inf], np.float32), pads=((2, 1),), mode=mode)
    assert np.isnan(unpadded[0, 0, 0]) or mode != "constant"


# Fold


@given(cases(modes=("constant",)), st.sampled_from(["int64", "uint64"]), SEEDS)
@settings(max_examples=60)
def test_fold_is_exact_or_an_error(case: Case, dtype: str, seed: int) -> None:
    sizes = case.sizes
    columns = integers(sizes.columns_shape, dtype, "ends", seed) // 2
    chosen = {key: case.settings[key] for key in ("stride", "dilation")}
    arguments = (columns, sizes.padded_shape, sizes.kernel, sizes.stride, sizes.dilation)
    true = reference.col2im(columns, sizes.padded_shape, sizes.kernel, **chosen)
    assert_exact(fold_exactly(*arguments, "wrap"), reference.narrow(true, dtype, "wrap"))
    low, high = reference.limits(np.dtype(dtype))
    if not true.size or (low <= true.min() and true.max() <= high):
        assert_exact(fold_exactly(*arguments), true)
        return
    expected = rf"^the exact sum -?[0-9]+ does not fit {dtype} \(.*\); choose overflow=wrap or overflow=sat"
    with pytest.raises(ValueRangeError, match=expected):
        fold_exactly(*arguments)


def test_a_partial_sum_beyond_int64_is_no_harm() -> None:
    columns = np.array([[0, 0, -LARGE], [0, LARGE, 0], [LARGE, 0, 0]])  # taps are added in their order: 2**63 at once
    assert fold_exactly(columns, (1, 1, 5), (3,), (1,), (1,)).tolist() == [[[0, 0, LARGE, 0, 0]]]


def test_columns_of_another_shape_are_refused() -> None:
    with pytest.raises(GeometryError, match=r"^columns: got \(3, 2\), expected the shape \(2, 2\)"):
        fold_exactly(np.ones((3, 2)), (1, 1, 3), (2,), (1,), (1,))


def test_folded_infinities_meet_without_a_warning() -> None:
    columns = np.array([[1, np.inf], [-np.inf, 1]])
    with np.errstate(all="raise"):
        assert np.isnan(fold_exactly(columns, (1, 1, 3), (2,), (1,), (1,))[0, 0, 1])


# Products


def test_a_product_between_stages_is_exact_or_an_error() -> None:
    rows, taps = np.array([[2**31, 2**31]]), np.array([[2**31, 2**31]])
    expected = f"the exact sum {2**63}, on its way from stage to stage, does not fit int64; use floats or overflow=wrap"
    with pytest.raises(ValueRangeError, match=f"^{re.escape(expected)}$"):
        matmul_rows(rows, taps, 1, np.dtype("int64"), "error")
    assert matmul_rows(rows, taps, 1, np.dtype("int64"), "wrap").tolist() == [[-(2**63)]]
    with pytest.raises(
        ValueRangeError, match=r"^the exact sum 9223372036854775808 does not fit int64 .*; choose overflow=wr"
    ):
        matmul_rows(rows, taps, 1, None, "error")
    unsigned = matmul_rows(rows.astype("u8"), taps.astype("u8"), 1, np.dtype("uint64"), "error")
    assert unsigned.tolist() == [[2**63]]


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(0, 5), SEEDS)
@settings(max_examples=60)
def test_matmul_columns_is_each_groups_product(groups: int, filters: int, taps: int, positions: int, seed: int) -> None:
    rows = integers((positions, groups * filters), "int64", "any", seed)
    columns = integers((positions, groups * taps), "int64", "any", seed + 1)
    pairs = zip(np.split(rows.astype(object), groups, 1), np.split(columns.astype(object), groups, 1), strict=True)
    true = np.concatenate([a.T @ b for a, b in pairs]) + 0
    got = matmul_columns(rows, columns, groups, "int32", "wrap")
    assert_exact(got, reference.narrow(true, "int32", "wrap"))


@given(st.integers(0, 9), st.sampled_from(["int8", "int64", "uint64"]), SEEDS)
@settings(max_examples=60)
def test_sum_rows_is_exact(positions: int, dtype: str, seed: int) -> None:
    rows = integers((positions, 3), dtype, "ends", seed)
    true = rows.astype(object).sum(axis=0) + np.zeros(3, object)
    for overflow in ("wrap", "saturate"):
        expected = reference.narrow(true, dtype, overflow)
        assert_exact(sum_rows(rows, dtype, overflow), expected)
    wide = np.array([[2**63 - 1], [2**63 - 1], [-(2**63 - 1)]])
    assert sum_rows(wide).tolist() == [2**63 - 1]


# What travels between stages


@pytest.mark.parametrize(
    ("target", "operands", "expected"),
    [
        ("int8", ("int8", "int8"), "int64"),
        ("uint8", ("uint8", "uint64"), "uint64"),
        ("int64", ("uint64", "int8"), "int64"),
        ("float32", ("int8", "int8"), "int64"),
        ("float16", ("float16", "float16"), "float32"),
        ("float16", ("float16", "int64"), "float64"),
        ("float64", ("float32", "float32"), "float64"),
    ],
)
def test_the_dtype_between_stages(target: str, operands: tuple[str, ...], expected: str) -> None:
    assert between_dtype(np.dtype(target), "error", *map(np.dtype, operands)) == expected
    wide = "float64" if expected[0] == "f" else expected
    assert between_dtype(np.dtype(target), "saturate", *map(np.dtype, operands)) == wide


def test_what_wraps_between_stages() -> None:
    int64, float32 = np.dtype("int64"), np.dtype("float32")
    assert between_overflow(int64, np.dtype("int8"), "wrap") == "wrap"
    assert between_overflow(int64, float32, "inf") == "error"  # integers on the way to floats have no infinity
    assert between_overflow(float32, float32, "inf") == "inf"
    assert between_overflow(int64, int64, "error") == between_overflow(float32, float32, "saturate") == "error"
