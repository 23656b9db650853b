"""Columns times filters: exact for integers up to the last digit, within a derived bound for floats."""

from __future__ import annotations

import contextlib
import tracemalloc
from typing import Any

import numpy as np
import pytest
from conv_cases import (
    FLOATS,
    INTEGERS,
    LECTURE_FEATURE_MAP,
    LECTURE_INPUT,
    LECTURE_KERNEL,
    Case,
    assert_exact,
    assert_within,
    by_columns,
    cases,
    floats,
    integers,
    memory_orders,
)
from hypothesis import given, settings, strategies as st

from convpipe import reference
from convpipe.errors import ConfigError, ValueRangeError
from convpipe.execution.bounds import float_bound
from convpipe.ops.arrays.sums import integer_accumulator, largest, result_dtype, workspace
from convpipe.ops.fil2col import fil2col
from convpipe.ops.im2col import im2col
from convpipe.ops.matmul import matmul
from convpipe.ops.reshape import reshape

SEEDS = st.integers(0, 2**32 - 1)
INTEGER_RULES: list[Any] = ["error", "wrap", "saturate"]
FLAVOURS = st.sampled_from(["any", "ends", "small"])
INT64_MINIMUM, INT64_MAXIMUM, UINT64_MAXIMUM = -(2**63), 2**63 - 1, 2**64 - 1
OBJECTS = 16 << 10  # bytes of Python objects (views, slices, shapes, an error) that a call makes beside its arrays


# The lecture


@pytest.mark.parametrize("dtype", ["int16", "int8", "int64", "float32"])
def test_the_lectures_feature_map(dtype: str) -> None:
    case = Case((1, 3, 4, 4), (1, 3, 3, 3), {"pad_mode": "constant", "pad_value": 0})
    feature_map = by_columns(case, LECTURE_INPUT.astype(dtype), LECTURE_KERNEL.astype(dtype))
    assert feature_map.dtype == dtype
    assert feature_map.tolist() == [[LECTURE_FEATURE_MAP]]


def test_the_lectures_shapes() -> None:
    columns, filter_matrix = im2col(np.ones((1, 3, 5, 5)), 3, 3, 1, 1), fil2col(np.ones((6, 3, 3, 3)))
    product = matmul(columns, filter_matrix)
    assert (columns.shape, filter_matrix.shape, product.shape) == ((25, 27), (6, 27), (25, 6))
    assert reshape(product, (1, 5, 5, 6))[0, 0, 0].tolist() == [12.0] * 6  # a corner sees 2x2 cells, 3 channels


# The whole chain against the oracle


@given(
    case=cases(),
    dtypes=st.tuples(*[st.sampled_from(INTEGERS)] * 3),
    target=st.sampled_from([None, *INTEGERS]),
    flavours=st.tuples(FLAVOURS, FLAVOURS, st.sampled_from(["any", "ends", "small", None])),
    overflow=st.sampled_from(INTEGER_RULES),
    seed=SEEDS,
)
@settings(max_examples=500)
def test_integers_are_exact(
    case: Case, dtypes: Any, target: str | None, flavours: Any, overflow: Any, seed: int
) -> None:
    x = integers(case.input_shape, dtypes[0], flavours[0], seed)
    w = integers(case.filters_shape, dtypes[1], flavours[1], seed + 1)
    bias = None if flavours[2] is None else integers(case.filters_shape[:1], dtypes[2], flavours[2], seed + 2)
    true = reference.conv(x, w, bias, **case.settings)
    expected_dtype = target or result_dtype(*(array.dtype for array in (x, w, bias) if array is not None))
    try:
        expected = reference.narrow(true, expected_dtype, overflow)
    except OverflowError:
        with pytest.raises(ValueRangeError, match=f"does not fit {expected_dtype} "):
            by_columns(case, x, w, bias, target, overflow)
        return
    assert_exact(by_columns(case, x, w, bias, target, overflow), expected)


@given(
    case=cases(),
    dtypes=st.tuples(*[st.sampled_from(FLOATS)] * 3),
    target=st.sampled_from([None, *FLOATS]),
    scales=st.tuples(*[st.sampled_from([0, 0, 7, -20, -70, 60])] * 2),
    with_bias=st.booleans(),
    seed=SEEDS,
)
@settings(max_examples=400)
def test_floats_are_within_the_bound(
    case: Case, dtypes: Any, target: str | None, scales: Any, with_bias: bool, seed: int
) -> None:
    with np.errstate(over="ignore"):
        x = floats(case.input_shape, dtypes[0], scales[0], seed)
        w = floats(case.filters_shape, dtypes[1], scales[1], seed + 1)
    x, w = np.where(np.isfinite(x), x, x.dtype.type(1)), np.where(np.isfinite(w), w, w.dtype.type(1))
    bias = floats(case.filters_shape[:1], dtypes[2], 0, seed + 2) if with_bias else None
    got = by_columns(case, x, w, bias, target, "inf")
    assert got.dtype == (target or np.result_type(*(array for array in (x, w, bias) if array is not None)))
    true, size = reference.conv(x, w, bias, **case.settings), reference.magnitude(x, w, bias, **case.settings)
    assert_within(got, true, float_bound(case.sizes.taps, size, got.dtype))


@given(
    case=cases(), dtypes=st.tuples(st.sampled_from(FLOATS), st.sampled_from(INTEGERS)), swap=st.booleans(), seed=SEEDS
)
@settings(max_examples=100)
def test_whole_numbers_in_floats_are_exact(case: Case, dtypes: Any, swap: bool, seed: int) -> None:
    first, second = reversed(dtypes) if swap else dtypes
    x = integers(case.input_shape, "int8", "small", seed).astype(first)
    w = abs(integers(case.filters_shape, "int8", "small", seed + 1)).astype(second)
    x = abs(x) if first.startswith("u") else x
    expected = reference.conv(x, w, **case.settings)
    got = by_columns(case, x, w)
    assert got.dtype == np.result_type(first, second)
    assert_exact(got, expected.astype(got.dtype))


# Which accumulator, at the very edge of each

EDGES = [
    (1, 2**12, 2**12, "float32"),
    (2**8, 2**8, 2**8, "float32"),
    (97, 257, 673, "float64"),  # 2**24 + 1
    (2**11, 2**21, 2**21, "float64"),
    (2, 2**26, 2**26, "float64"),
    (3, 107, 28059810762433, "int64"),  # 2**53 + 1
    (49, 3124327, 60247241209, "int64"),  # 2**63 - 1
    (2, 2**31, 2**31, "object"),
    (1, INT64_MAXIMUM, 1, "int64"),
    (1, 2**63, 1, "object"),
    (1, UINT64_MAXIMUM, 2**62, "object"),
]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("taps", "column", "weight", "accumulator"), EDGES)
def test_the_accumulator_at_its_edge_is_exact(taps: int, column: int, weight: int, accumulator: str, sign: int) -> None:
    assert integer_accumulator(taps, column, weight, 0) == accumulator
    columns = np.full((3, taps), column, np.uint64)
    columns[1, 0] = column - 1  # a neighbour whose last digit would be lost
    weights = np.full((2, taps), sign * weight, np.uint64 if sign > 0 else np.int64)
    expected = [[sign * taps * column * weight] * 2, [sign * (taps * column - 1) * weight] * 2]
    wide = "int64" if sign < 0 else "uint64"
    true = np.array([*expected, expected[0]], object)
    assert_exact(matmul(columns, weights, dtype=wide, overflow="wrap"), reference.narrow(true, wide, "wrap"))
    assert_exact(matmul(columns, weights, dtype=wide, overflow="saturate"), reference.narrow(true, wide, "saturate"))


def test_the_edges_are_where_they_are_said_to_be() -> None:
    bounds = [taps * column * weight for taps, column, weight, _ in EDGES]
    assert bounds[:4] == [2**24, 2**24, 2**24 + 1, 2**53]
    assert bounds[4:9] == [2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**63 - 1]
    assert int(np.float32(2**24 + 1)) == 2**24
    assert int(float(2**53 + 1)) == 2**53


@pytest.mark.parametrize(
    ("bound", "within", "beyond"),
    [(2**24, "float32", "float64"), (2**53, "float64", "int64"), (2**63 - 1, "int64", "object")],
)
def test_the_bias_counts(bound: int, within: str, beyond: str) -> None:
    assert integer_accumulator(1, bound - 1, 1, 1) == within
    assert integer_accumulator(1, bound - 1, 1, 2) == beyond
    columns, weights = np.array([[bound - 1]], np.int64), np.array([[1]], np.int64)
    for bias in (1, 2):
        product = matmul(columns, weights, np.array([bias]), dtype="uint64")
        assert product.tolist() == [[bound - 1 + bias]]


def test_operands_themselves_fit_the_accumulator() -> None:
    assert integer_accumulator(5, 2**24 + 1, 0, 0) == np.float64
    assert integer_accumulator(0, 2**53 + 1, 1, 0) == np.int64
    assert matmul(np.array([[INT64_MINIMUM]]), np.array([[0]])).tolist() == [[0]]


def test_partial_sums_do_not_matter_where_the_total_is_small() -> None:
    columns = np.array([[INT64_MAXIMUM, INT64_MAXIMUM, INT64_MINIMUM, INT64_MINIMUM, 5]])
    assert matmul(columns, np.ones((1, 5), np.int64), dtype="int8").tolist() == [[3]]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_largest_is_a_python_integer_at_both_ends(dtype: str) -> None:
    info = np.iinfo(dtype)
    assert largest(np.array([0, info.min, 1], dtype)) == max(-int(info.min), 1)
    assert largest(np.array([0, info.max, 1], dtype)) == int(info.max)
    assert largest(np.zeros((0, 3), dtype)) == 0


# Results that do not fit


def test_a_sum_that_does_not_fit_is_told_with_its_value() -> None:
    hundred = np.array([[100]], np.int8)
    message = r"^the exact sum 10000 does not fit int8 \(-128 to 127\); "
    message += "choose a wider dtype, overflow=wrap or overflow=saturate$"
    with pytest.raises(ValueRangeError, match=message):
        matmul(hundred, hundred)
    with pytest.raises(ValueRangeError, match=r"^the exact sum -10000 does not fit uint16"):
        matmul(hundred, -hundred, dtype="uint16")
    with pytest.raises(ValueRangeError, match=r"^the exact sum -7 does not fit uint8"):
        matmul(np.array([[1], [-1]], np.int8), np.array([[7], [1]], np.int8), dtype="uint8")
    assert matmul(hundred, hundred, overflow="wrap").tolist() == [[16]]
    assert matmul(hundred, hundred, overflow="saturate").tolist() == [[127]]
    assert matmul(hundred, -hundred, overflow="saturate", dtype="uint8").tolist() == [[0]]


def test_twice_2_to_the_62() -> None:
    columns, weights = np.array([[2**62, 2**62]]), np.array([[1, 1]])
    with pytest.raises(ValueRangeError, match=f"^the exact sum {2**63} does not fit int64"):
        matmul(columns, weights)
    assert matmul(columns, weights, dtype="uint64").tolist() == [[2**63]]
    assert matmul(columns, weights, overflow="wrap").tolist() == [[-(2**63)]]
    assert matmul(columns, weights, overflow="saturate").tolist() == [[2**63 - 1]]
    assert matmul(-columns, weights).tolist() == [[-(2**63)]]


def test_saturating_leaves_what_fits_alone() -> None:
    columns = np.array([[INT64_MAXIMUM], [-1]])
    product = matmul(columns, np.array([[1]]), dtype="uint64", overflow="saturate")
    assert product.tolist() == [[INT64_MAXIMUM], [0]]


def test_uint64_maximum() -> None:
    columns = np.array([[UINT64_MAXIMUM]], np.uint64)
    assert matmul(columns, np.array([[1]], np.uint64)).tolist() == [[UINT64_MAXIMUM]]
    assert matmul(columns, columns, dtype="uint64", overflow="wrap").tolist() == [[1]]
    assert matmul(columns, np.array([[-1]], np.int8), overflow="saturate").tolist() == [[INT64_MINIMUM]]


# Dtypes of results


@pytest.mark.parametrize(
    ("operands", "expected"),
    [
        (["int8", "int8"], "int8"),
        (["uint8", "int16"], "int16"),
        (["uint8", "int8"], "int16"),
        (["uint32", "int32"], "int64"),
        (["uint64", "uint8"], "uint64"),
        (["uint64", "int8"], "int64"),
        (["uint64", "uint8", "int8"], "int64"),
        (["float16", "float16"], "float16"),
        (["float16", "int16"], "float32"),
        (["float32", "int8", "float64"], "float64"),
        (["uint64", "int64", "float32"], "float64"),
    ],
)
def test_the_dtype_where_none_is_asked_for(operands: list[str], expected: str) -> None:
    assert result_dtype(*map(np.dtype, operands)) == expected


@pytest.mark.parametrize("operands", [("float32", "int8"), ("int8", "float16"), ("float64", "float64")])
def test_floats_do_not_become_integers(operands: tuple[str, str]) -> None:
    columns, weights = (np.ones((1, 1), dtype) for dtype in operands)
    with pytest.raises(
        ConfigError, match=r"^dtype: got int32, expected a float dtype, as the input or the filters are floats$"
    ):
        matmul(columns, weights, dtype="int32")


def test_exact_sums_in_a_float_are_rounded_once() -> None:
    big = np.array([[2**53 + 1]])
    assert matmul(big, np.array([[1]]), dtype="float64").tolist() == [[2.0**53]]
    assert matmul(np.array([[2049]]), np.array([[1]]), np.array([2]), dtype="float16").tolist() == [[2052.0]]
    assert matmul(np.array([[70000]]), np.array([[1]]), dtype="float16", overflow="inf").tolist() == [[np.inf]]


def test_float16_is_summed_in_float32() -> None:
    columns, ones = np.full((1, 4096), 1, np.float16), np.full((1, 4096), 1, np.float16)
    assert matmul(columns, ones).tolist() == [[4096.0]]  # a float16 sum of ones stops at 2048
    assert matmul(columns[:, :2049], ones[:, :2049], np.array([-2048], np.float16)).tolist() == [[1.0]]


# Tiles, groups, memory


@pytest.mark.parametrize("dtypes", [("int8", "int8"), ("int64", "int64"), ("float16", "float16"), ("int16", "float64")])
def test_tiles_meet_without_a_gap(monkeypatch: pytest.MonkeyPatch, dtypes: tuple[str, str]) -> None:
    monkeypatch.setattr("convpipe.ops.arrays.sums.TILE_BYTES", 200)
    columns, weights = (
        integers((shape, 7), "int8", "small", 1).astype(dtype) for shape, dtype in zip((53, 3), dtypes, strict=True)
    )
    expected = columns.astype(int) @ weights.astype(int).T + [1, 2, 3]
    product = matmul(columns, weights, np.array([1, 2, 3], weights.dtype))
    assert_exact(product, expected.astype(product.dtype))


def test_one_large_product_in_real_tiles() -> None:
    columns, weights = integers((150_000, 9), "int16", "any", 0), integers((4, 9), "int8", "any", 1)
    assert_exact(matmul(columns, weights, dtype="int64"), columns.astype(int) @ weights.astype(int).T)


def test_groups_read_their_part_of_the_columns() -> None:
    columns, weights = np.array([[1, 10, 100, 1000]]), np.array([[1, 1], [2, 2], [1, 1], [3, 3]])
    bias = np.array([0, 1, 0, 2])
    assert matmul(columns, weights, bias, groups=2).tolist() == [[11, 23, 1100, 3302]]


@pytest.mark.parametrize("dtype", ["int8", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("position", range(5))
def test_any_memory_order_gives_the_same_and_arguments_stay(dtype: str, position: int) -> None:
    columns, weights = (
        integers((6, 8), "int8", "small", 1).astype(dtype),
        integers((4, 4), "int8", "small", 2).astype(dtype),
    )
    bias = np.arange(4).astype(dtype)
    expected = matmul(columns, weights, bias, groups=2)
    arrays = [list(memory_orders(array))[position][1] for array in (columns, weights, bias)]
    before = [array.copy() for array in arrays]
    assert_exact(matmul(*arrays, groups=2), expected)
    for array, copy in zip(arrays, before, strict=True):
        assert_exact(array, copy)


@pytest.mark.parametrize("dtype", ["int8", "int64", "float16", "float32"])
def test_the_product_is_filter_first_in_memory_and_new(dtype: str) -> None:
    columns, weights = np.ones((6, 1), dtype), np.ones((1, 1), dtype)
    product = matmul(columns, weights)
    assert product.T.flags.c_contiguous
    assert product.flags.writeable
    assert not np.shares_memory(product, columns)
    assert not np.shares_memory(product, weights)


@pytest.mark.parametrize("dtype", ["int8", "int64", "float16", "float32"])
def test_products_of_nothing(dtype: str) -> None:
    def product(positions: int, taps: int, filters: int, **options: Any) -> list[Any]:
        return matmul(np.zeros((positions, taps), dtype), np.zeros((filters, taps), dtype), **options).tolist()

    assert product(0, 3, 2) == []
    assert product(2, 3, 0) == [[], []]
    assert product(2, 0, 2) == [[0, 0], [0, 0]]
    assert product(1, 0, 2, bias=np.array([1, 2], dtype)) == [[1, 2]]


def test_products_of_nothing_beyond_int64() -> None:
    huge, nothing = np.full((2, 1), INT64_MINIMUM), np.zeros((0, 1), np.int64)
    for overflow in INTEGER_RULES:
        assert matmul(nothing, huge, overflow=overflow).shape == (0, 2)
        assert matmul(huge, nothing, overflow=overflow).shape == (2, 0)


def test_nan_and_infinity_pass_through() -> None:
    columns = np.array([[np.nan, 1], [np.inf, 1], [1, 1]], np.float32)
    assert np.isnan(matmul(columns, np.array([[1, 1]], np.float32))[0, 0])
    assert matmul(columns, np.array([[1, 1]], np.float32))[1:].tolist() == [[np.inf], [2.0]]


# Memory


def peak_bytes(columns: np.ndarray, weights: np.ndarray, **options: Any) -> int:
    """The most that one matmul has allocated at any moment, its result included; also of one that fails."""
    tracemalloc.start()
    try:
        with contextlib.suppress(ValueRangeError):
            matmul(columns, weights, **options)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def operand(shape: tuple[int, ...], dtype: str, flavour: str) -> np.ndarray:
    """Values in the memory order of columns."""
    if dtype.startswith("float"):
        return np.ones(shape[::-1], dtype).T
    return integers(shape[::-1], dtype, flavour, 1).T


def assert_workspace_is_enough(
    sizes: tuple[int, int, int], dtypes: tuple[str, str], flavour: str, target: np.dtype[Any], overflow: str
) -> None:
    """What `matmul` allocates beside its result is no more than `workspace` says."""
    positions, taps, filters = sizes
    columns, weights = operand((positions, taps), dtypes[0], flavour), operand((taps, filters), dtypes[1], flavour).T
    allowed = workspace(positions, weights.shape, target, columns.dtype, weights.dtype)
    used = peak_bytes(columns, weights, dtype=target, overflow=overflow) - positions * filters * target.itemsize
    assert used <= allowed + OBJECTS, f"{used:,} bytes beside the result, {allowed:,} planned"


def test_tracemalloc_sees_what_numpy_allocates() -> None:
    ones = np.ones((1000, 1000), np.float32)
    assert peak_bytes(ones, ones) >= 4_000_000


def test_the_workspace_check_sees_one_copy_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, floats32 = (1000, 100, 100), ("float32", "float32")
    assert_workspace_is_enough(sizes, floats32, "small", np.dtype("float32"), "error")
    monkeypatch.setitem(globals(), "matmul", lambda columns, weights, **_: columns.copy() @ weights.T)
    with pytest.raises(AssertionError, match="bytes beside the result, 0 planned"):
        assert_workspace_is_enough(sizes, floats32, "small", np.dtype("float32"), "error")


def test_the_workspace_of_plain_integers_is_not_planned_as_if_they_were_pythons() -> None:
    columns, weights = operand((60_000, 1), "int8", "any"), operand((1, 64), "int8", "any").T
    used = peak_bytes(columns, weights, dtype=np.dtype("int16"), overflow="wrap") - 60_000 * 64 * 2
    assert workspace(60_000, weights.shape, np.dtype("int16"), columns.dtype, weights.dtype) < 4 * used


@pytest.mark.parametrize("overflow", INTEGER_RULES)
@pytest.mark.parametrize("target", ["int8", "int64"])
@pytest.mark.parametrize(
    ("dtypes", "flavour"),
    [
        (("int8", "int8"), "any"),
        (("int16", "int16"), "any"),
        (("int32", "int32"), "small"),
        (("int64", "int64"), "small"),
        (("uint8", "int8"), "any"),
        (("int8", "int64"), "small"),
    ],
)
@pytest.mark.parametrize(
    "sizes", [(60_000, 27, 8), (60_000, 1, 64), (60_000, 64, 1), (50, 27, 6), (1, 500, 500)], ids=str
)
def test_workspace_of_integers(sizes: Any, dtypes: Any, flavour: str, target: str, overflow: str) -> None:
    assert_workspace_is_enough(sizes, dtypes, flavour, np.dtype(target), overflow)


@pytest.mark.parametrize("overflow", INTEGER_RULES)
@pytest.mark.parametrize(
    ("dtypes", "flavour"), [(("int32", "int32"), "any"), (("int64", "int64"), "ends"), (("uint64", "uint64"), "any")]
)
@pytest.mark.parametrize("sizes", [(6_000, 9, 4), (3_000, 1, 32), (3_000, 32, 1), (50, 27, 6), (50, 2, 100)], ids=str)
def test_workspace_of_python_integers(sizes: Any, dtypes: Any, flavour: str, overflow: str) -> None:
    assert_workspace_is_enough(sizes, dtypes, flavour, np.dtype("int64"), overflow)


@pytest.mark.parametrize(
    "dtypes",
    [("float16", "float16"), ("float32", "float32"), ("float64", "float64"), ("float32", "int8"), ("int16", "float64")],
)
@pytest.mark.parametrize("target", FLOATS)
@pytest.mark.parametrize(
    "sizes", [(60_000, 27, 8), (60_000, 1, 64), (60_000, 64, 1), (50, 27, 6), (1, 500, 500)], ids=str
)
def test_workspace_of_floats(sizes: Any, dtypes: Any, target: str) -> None:
    assert_workspace_is_enough(sizes, dtypes, "small", np.dtype(target), "error")
