"""Images to columns and back, against the lecture and against the oracle's list of which cell meets which tap."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from conv_cases import FLOATS, INTEGERS, Case, assert_exact, assert_within, cases, floats, integers, memory_orders
from hypothesis import given, settings, strategies as st

from convpipe import reference
from convpipe.errors import GeometryError
from convpipe.ops.arrays.taps import fold, unfold
from convpipe.ops.col2im import col2im
from convpipe.ops.fil2col import fil2col
from convpipe.ops.im2col import im2col
from convpipe.ops.pad import pad

NINE = np.arange(1, 10).reshape(1, 1, 3, 3)
IMAGE = np.random.default_rng(0).integers(-99, 99, (2, 3, 5, 4), dtype=np.int16)
SEEDS = st.integers(0, 2**32 - 1)


def columns_by_links(case: Case, x: np.ndarray) -> np.ndarray:
    """The column matrix written entry by entry: row = output position, column = channel and tap."""
    one_filter = (1, case.input_shape[1], *case.filters_shape[2:])
    chosen = reference.Settings(**case.settings | {"groups": 1})
    batch, _, *out = reference.out_shape(case.input_shape, one_filter, chosen)
    columns = np.zeros((batch, *out, *one_filter[1:]), x.dtype)
    for (number, _, *position), cell, (_, *tap) in reference.links(case.input_shape, one_filter, chosen):
        columns[(number, *position, *tap)] = chosen.pad_value if cell is None else x[cell]
    rows = batch * int(np.prod(out))
    return columns.reshape(rows, int(np.prod(one_filter)))


def unfolded(case: Case, x: np.ndarray) -> np.ndarray:
    """The column matrix under test, padding included."""
    sizes = case.sizes
    padded = pad(x, sizes.pads, case.settings["pad_mode"], case.settings["pad_value"])
    return unfold(padded, sizes.kernel, sizes.stride, sizes.dilation)


# The lecture


def test_the_lectures_columns() -> None:
    assert im2col(NINE, kh=2, kw=2).tolist() == [[1, 2, 4, 5], [2, 3, 5, 6], [4, 5, 7, 8], [5, 6, 8, 9]]


def test_the_lectures_column_tensor() -> None:
    tensor = im2col(NINE, kh=2, kw=2).T.reshape(1, 2, 2, 1, 2, 2)  # (C, kh, kw, N, out_h, out_w)
    assert tensor[0, :, :, 0].tolist() == [
        [[[1, 2], [4, 5]], [[2, 3], [5, 6]]],
        [[[4, 5], [7, 8]], [[5, 6], [8, 9]]],
    ]


def test_the_lectures_shapes() -> None:
    assert im2col(np.zeros((9, 3, 5, 5)), kh=5, kw=5, stride=1, pad=0).shape == (9, 75)
    assert im2col(np.zeros((90, 3, 5, 5)), 5, 5, stride=1, pad=0).shape == (90, 75)
    assert im2col(np.zeros((1, 3, 5, 5)), 3, 3, 1, 1).shape == (25, 27)
    assert fil2col(np.zeros((6, 3, 5, 5))).shape == (6, 75)
    assert fil2col(np.zeros((6, 3, 3, 3))).shape == (6, 27)


def test_fil2col_reads_its_argument() -> None:
    first, second = np.arange(24).reshape(2, 3, 2, 2), -np.arange(24).reshape(2, 3, 2, 2)
    assert fil2col(first).tolist() == [list(range(12)), list(range(12, 24))]
    assert (fil2col(second) == -fil2col(first)).all()
    assert np.shares_memory(fil2col(first), first)


def test_columns_are_in_order_of_channel_row_and_column() -> None:
    image = np.arange(2 * 4 * 4).reshape(1, 2, 4, 4)
    assert im2col(image, 2, 2)[0].tolist() == image[0, :, :2, :2].ravel().tolist()


# Against the oracle


@given(cases(), st.sampled_from(INTEGERS + FLOATS), SEEDS)
@settings(max_examples=200)
def test_every_entry_is_the_cell_its_tap_meets(case: Case, dtype: str, seed: int) -> None:
    x = integers(case.input_shape, "int8", "small", seed).astype(dtype)
    columns = unfolded(case, x)
    assert_exact(columns, columns_by_links(case, x))
    assert columns.shape == case.sizes.columns_shape


@given(cases(), SEEDS)
@settings(max_examples=60)
def test_im2col_is_pad_and_unfold(case: Case, seed: int) -> None:
    if len(case.input_shape) != 4:
        return
    x = integers(case.input_shape, "int32", "any", seed)
    settings = {key: value for key, value in case.settings.items() if key != "groups"}
    assert_exact(im2col(x, *case.filters_shape[2:], **settings), unfolded(case, x))


@given(cases(modes=("constant",)), SEEDS)
@settings(max_examples=200)
def test_fold_is_the_oracles_col2im(case: Case, seed: int) -> None:
    sizes = case.sizes
    columns = integers(sizes.columns_shape, "int64", "small", seed)
    chosen = {key: case.settings[key] for key in ("stride", "pad", "dilation")}
    expected = reference.col2im(columns, case.input_shape, sizes.kernel, **chosen)
    folded = fold(columns, sizes.padded_shape, sizes.kernel, sizes.stride, sizes.dilation)
    inside = [slice(before, before + size) for (before, _), size in zip(sizes.pads, sizes.spatial, strict=True)]
    assert_exact(folded[(slice(None), slice(None), *inside)], expected)
    if sizes.rank == 2:
        assert_exact(col2im(columns, case.input_shape, *sizes.kernel, **chosen), expected)


@given(cases(modes=("constant",)), SEEDS)
@settings(max_examples=100)
def test_col2im_is_the_adjoint_of_im2col(case: Case, seed: int) -> None:
    case = Case(case.input_shape, case.filters_shape, case.settings | {"pad_value": 0})
    sizes = case.sizes
    x = integers(case.input_shape, "int32", "any", seed).astype(np.int64) // 2**10
    columns = integers(sizes.columns_shape, "int32", "any", seed + 1).astype(np.int64) // 2**10
    folded = fold(columns, sizes.padded_shape, sizes.kernel, sizes.stride, sizes.dilation)
    forward, backward = inner(unfolded(case, x), columns), inner(pad(x, sizes.pads), folded)
    assert forward == backward


def inner(first: np.ndarray, second: np.ndarray) -> int:
    """The sum of products, in Python integers."""
    return sum(a * b for a, b in zip(first.ravel().tolist(), second.ravel().tolist(), strict=True))


@pytest.mark.parametrize("dtype", FLOATS)
def test_col2im_of_floats_is_within_the_bound_of_a_sum(dtype: str) -> None:
    columns = floats((2 * 12, 3 * 9), dtype, 0, seed=1)
    true = reference.col2im(columns, (2, 3, 5, 6), (3, 3))
    size = reference.col2im(abs(columns), (2, 3, 5, 6), (3, 3))
    got = col2im(columns, (2, 3, 5, 6), 3, 3)
    assert got.dtype == dtype
    assert_within(got, true, 9 * float(np.finfo(dtype).eps) * size)  # nine terms, eight additions of u = eps/2


def test_col2im_of_ones_counts_the_patches_of_each_cell() -> None:
    assert col2im(np.ones((9, 9), int), (1, 1, 3, 3), 3, 3, pad=1).tolist() == [[[[4, 6, 4], [6, 9, 6], [4, 6, 4]]]]


# How arrays lie in memory


@given(cases(), st.sampled_from(FLOATS))
@settings(max_examples=50)
def test_columns_are_a_transposed_view_that_blas_takes(case: Case, dtype: str) -> None:
    columns = unfolded(case, np.ones(case.input_shape, dtype))
    assert columns.T.flags.c_contiguous
    assert columns.T.flags.aligned
    assert columns.size == 0 or columns.base is not None


def test_blas_makes_no_copy_of_the_columns() -> None:
    columns = im2col(np.ones((4, 8, 32, 32), np.float32), 3, 3)
    assert columns.strides == (4, 4 * columns.shape[0])
    assert columns.T.base is columns.base


@pytest.mark.parametrize("position", range(5))
def test_any_memory_order_gives_the_same(position: int) -> None:
    expected, filters = im2col(IMAGE, 3, 2, 2, 1), fil2col(IMAGE)
    folded = col2im(expected, IMAGE.shape, 3, 2, 2, 1)
    _name, x = list(memory_orders(IMAGE))[position]
    _, columns = list(memory_orders(expected))[position]
    before = x.copy(), columns.copy()
    assert_exact(im2col(x, 3, 2, 2, 1), expected)
    assert_exact(fil2col(x), filters)
    assert_exact(col2im(columns, IMAGE.shape, 3, 2, 2, 1), folded)
    assert_exact(x, before[0])
    assert_exact(columns, before[1])


@pytest.mark.parametrize("pad", [0, 1])
def test_results_share_no_memory_with_arguments(pad: int) -> None:
    columns = im2col(IMAGE, 3, 3, pad=pad)
    assert not np.shares_memory(columns, IMAGE)
    assert not np.shares_memory(im2col(IMAGE[:, :, :1, :1], 1, 1), IMAGE)
    assert not np.shares_memory(col2im(columns, IMAGE.shape, 3, 3, pad=pad), columns)


def test_an_empty_batch_and_no_channels() -> None:
    assert im2col(np.zeros((0, 3, 5, 5)), 3, 3).shape == (0, 27)
    assert im2col(np.zeros((2, 0, 5, 5)), 3, 3).shape == (18, 0)
    assert col2im(np.zeros((0, 27)), (0, 3, 5, 5), 3, 3).shape == (0, 3, 5, 5)
    assert fil2col(np.zeros((0, 3, 2, 2))).shape == (0, 12)


# What does not fit


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: im2col(IMAGE[0], 3, 3), "input: got (3, 5, 4), expected 4 axes: N, C, H, W"),
        (lambda: im2col(IMAGE, 6, 1), "kernel: got 6, expected at most 5 along H, the padded input's size"),
        (lambda: im2col(IMAGE, 0, 1), "kernel: got (0, 1), expected a whole number from 1, or a list of 2 (H, W)"),
        (lambda: im2col(IMAGE, 2.0, 1), "kernel: got (2.0, 1), expected a whole number from 1"),
        (lambda: im2col(IMAGE, 2, 2, stride=0), "stride: got 0, expected a whole number from 1"),
        (lambda: im2col(IMAGE, 2, 2, pad=-1), "pad: got -1, expected a whole number from 0"),
        (lambda: im2col(IMAGE, 2, 2, dilation=[1, 4]), "kernel: got 2, expected at most 4 along W"),
        (lambda: im2col(IMAGE, 2, 2, pad=4, pad_mode="reflect"), "pad: got [4, 4], expected at most 3 along W"),
        (lambda: im2col(IMAGE, 2, 2, pad=1, pad_value=0.5), "pad_value: got 0.5, expected a whole number"),
        (lambda: col2im(np.ones((4, 4)), (1, 3, 3), 2, 2), "input: got (1, 3, 3), expected 4 axes: N, C, H, W"),
        (
            lambda: col2im(np.ones((4, 5)), (1, 1, 3, 3), 2, 2),
            "columns: got (4, 5), expected the shape (4, 4) of this image and kernel",
        ),
        (
            lambda: fold(np.ones((3, 2)), (1, 1, 3), (2,), (1,), (1,)),
            "columns: got (3, 2), expected the shape (2, 2) of this image and kernel",
        ),
    ],
)
def test_what_does_not_fit_is_named(call: Any, message: str) -> None:
    with pytest.raises(GeometryError, match=f"^{re.escape(message)}"):
        call()
