"""Sizes of poolings and of the other layers, against counting; and what does not fit, word for word."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from pool_cases import PoolCase, pool_cases

from convpipe.errors import GeometryError
from convpipe.geometry.axes import axis_of
from convpipe.geometry.layers import check_per_channel, concat_shape, dense_shape, flatten_shape, same_shape
from convpipe.geometry.pooling import pool_size, solve_pool, tap_reads, window_cells
from convpipe.reference import layers as reference_layers


@given(pool_cases())
@settings(max_examples=500)
def test_windows_are_counted(case: PoolCase) -> None:
    sizes, given_ = case.sizes, case.settings
    axes = reference_layers.spatial_windows(
        case.input_shape, *(given_[key] for key in ("kernel", "stride", "pad", "dilation", "ceil_mode"))
    )
    assert sizes.out == tuple(map(len, axes))
    assert sizes.shape == (*case.input_shape[:2], *sizes.out)
    assert sizes.input_shape == case.input_shape


@given(pool_cases(dilated=False))
@settings(max_examples=300)
def test_window_cells_are_counted(case: PoolCase) -> None:
    sizes, given_ = case.sizes, case.settings
    axes = reference_layers.spatial_windows(
        case.input_shape, given_["kernel"], given_["stride"], given_["pad"], 1, given_["ceil_mode"]
    )
    known = zip(sizes.spatial, sizes.pads, sizes.kernel, sizes.stride, sizes.out, strict=True)
    for windows, axis in zip(axes, known, strict=True):
        assert window_cells(*axis) == tuple(map(len, windows))
        real = tuple(sum(cell is not None for cell in window) for window in windows)
        assert window_cells(*axis, include_pad=False) == real
        assert min(real) >= 1


@given(
    size=st.integers(1, 9),
    before=st.integers(0, 5),
    offset=st.integers(0, 9),
    stride=st.integers(1, 4),
    out=st.integers(1, 6),
)
@settings(max_examples=400)
def test_taps_read_what_lies_inside(size: int, before: int, offset: int, stride: int, out: int) -> None:
    positions, cells = tap_reads(size, before, offset, stride, out)
    met = [(at, at * stride + offset - before) for at in range(out)]
    inside = [(at, cell) for at, cell in met if 0 <= cell < size]
    assert list(zip(range(out)[positions], range(size)[cells], strict=True)) == inside


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pads", "floor", "ceil"),
    [
        (5, 2, 2, (0, 0), 2, 3),  # one cell overhangs
        (4, 2, 2, (0, 0), 2, 2),  # nothing left over
        (3, 2, 2, (1, 1), 2, 2),  # 5 cells: a third window would start in the padding behind the input
        (2, 1, 3, (0, 0), 1, 1),  # the next window would start behind the input
        (2, 3, 2, (0, 0), 0, 1),  # the only window overhangs
        (6, 3, 2, (1, 1), 3, 4),
        (7, 3, 2, (0, 0), 3, 3),
        (1, 1, 4, (0, 0), 1, 1),
    ],
)
def test_ceil_mode_by_hand(size: int, kernel: int, stride: int, pads: tuple[int, int], floor: int, ceil: int) -> None:
    assert pool_size(size, kernel, stride, 1, pads) == floor
    assert pool_size(size, kernel, stride, 1, pads, ceil_mode=True) == ceil


@pytest.mark.parametrize("word", ["same", "same_lower"])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_same_is_size_over_stride_with_and_without_ceil_mode(word: str, ceil_mode: bool) -> None:
    for size in range(1, 9):
        for kernel in range(1, 5):
            for stride in range(1, 5):
                sizes = solve_pool(
                    (1, 1, size), kernel=kernel, stride=stride, pad=word, dilation=2, ceil_mode=ceil_mode
                )
                assert sizes.out == (-(-size // stride),)


def test_everything_that_a_pooling_knows() -> None:
    sizes = solve_pool((2, 3, 9, 8), kernel=(3, 2), stride=2, pad=[[0, 1], [1, 0]], dilation=(2, 1))
    assert sizes.rank == 2
    assert sizes.padded == (10, 9)
    assert sizes.out == (3, 4)
    assert sizes.unread == (1, 1)
    assert sizes.taps == 6
    assert solve_pool((1, 1, 5), kernel=2, ceil_mode=True).unread == (0,)


@pytest.mark.parametrize(
    ("shape", "given_", "message"),
    [
        ((1, 1, 4, 4), {"kernel": 0}, "kernel: got 0, expected a whole number from 1, or a list of 2 (H, W)"),
        ((1, 1, 4, 4), {"kernel": 2, "stride": 0}, "stride: got 0, expected a whole number from 1"),
        ((1, 1, 4, 4), {"kernel": 2, "dilation": [1]}, "dilation: got [1], expected a whole number from 1"),
        ((1, 1, 4, 3), {"kernel": 4}, "kernel: got 4, expected at most 3 along W, the padded input's size"),
        (
            (1, 1, 4, 9),
            {"kernel": 3, "dilation": 2},
            "kernel: got 3, expected at most 4 along H, the padded input's size (with dilation 2 it reaches 5)",
        ),
        ((1, 1, 4, 4), {"kernel": 3, "pad": 2}, "pad: got 2, expected at most 1 along H, half the kernel of 3"),
        ((1, 1, 4, 4), {"kernel": [4, 2], "pad": 2}, "pad: got 2, expected at most 1 along W, half the kernel of 2"),
        (
            (1, 1, 4, 4),
            {"kernel": 2, "pad": 2, "dilation": 9},
            "pad: got 2, expected at most 1 along H, half the kernel of 2",
        ),
        (
            (1, 1, 4, 4),
            {"kernel": 2, "pad": [[1, 1], [0, 2]]},
            "pad: got [0, 2], expected at most 1 on a side along W, less than the kernel",
        ),
        ((1, 1, 4, 4), {"kernel": 2, "pad": "sane"}, "pad: got sane, expected a whole number from 0, 2 of them"),
        ((1, 1, 0, 4), {"kernel": 1}, "input: got (0, 4), expected at least 1 along H"),
        ((1, 4), {"kernel": 1}, "input: got (1, 4), expected 4 axes (N, C, H, W)"),
    ],
)
def test_what_does_not_fit_is_named(shape: tuple[int, ...], given_: dict[str, Any], message: str) -> None:
    with pytest.raises(GeometryError, match=f"^{re.escape(message)}"):
        solve_pool(shape, **given_)


def test_the_sizes_of_torch() -> None:
    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(5)
    for _ in range(2000):
        size, kernel, stride, dilation = (int(generator.integers(1, high)) for high in (12, 5, 6, 4))
        pad, ceil_mode = int(generator.integers(0, kernel // 2 + 1)), bool(generator.integers(2))
        chosen = {"stride": stride, "dilation": dilation, "ceil_mode": ceil_mode}
        try:
            theirs = torch.nn.functional.max_pool2d(
                torch.zeros(1, 1, 1, size), (1, kernel), (1, stride), (0, pad), (1, dilation), ceil_mode
            ).shape[3]
        except RuntimeError:
            with pytest.raises(GeometryError, match=r"^kernel: "):
                solve_pool((1, 1, size), kernel=kernel, pad=pad, **chosen)
            continue
        assert solve_pool((1, 1, size), kernel=kernel, pad=pad, **chosen).out == (theirs,)


# The other layers


@pytest.mark.parametrize(("axis", "expected"), [(0, 0), (3, 3), (-1, 3), (-4, 0), (np.int64(2), 2)])
def test_an_axis_may_be_counted_from_the_end(axis: int, expected: int) -> None:
    assert axis_of(axis, axes=4) == expected


@pytest.mark.parametrize("axis", [4, -5, 1.0, True, "1"])
def test_an_axis_that_is_not_there(axis: Any) -> None:
    with pytest.raises(GeometryError, match=f"^axis: got {axis}, expected a whole number from -4 to 3$"):
        axis_of(axis, axes=4)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (flatten_shape, ((3,),), "input: got (3,), expected at least 2 axes, N and C"),
        (dense_shape, ((1, 2, 3), (2, 3)), "input: got (1, 2, 3), expected 2 axes (N, in); a flatten"),
        (dense_shape, ((1, 2), (3, 2)), "weights: got (3, 2), expected the shape (2, out), one row per input"),
        (dense_shape, ((1, 2), (2,)), "weights: got (2,), expected the shape (2, out)"),
        (dense_shape, ((1, 2), (2, 3), (2,)), "bias: got (2,), expected the shape (3,), one value per output"),
        (check_per_channel, ("scale", (2,), (1, 3, 4)), "scale: got (2,), expected the shape (3,), one value"),
        (same_shape, (), "tensors: got nothing, expected at least one"),
        (same_shape, ((1, 2), (2, 1)), "tensors: got (2, 1), expected the shape (1, 2) of the first"),
        (concat_shape, (), "tensors: got nothing, expected at least one"),
        (
            concat_shape,
            ((1, 2, 3), (1, 2, 4)),
            "tensors: got (1, 2, 4), expected the shape (1, 2, 3) of the first, but for axis 1",
        ),
        (concat_shape, ((1, 2), (1, 2, 3)), "tensors: got (1, 2, 3), expected the shape (1, 2)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(function: Any, arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(GeometryError, match=f"^{re.escape(message)}"):
        function(*arguments)


def test_concat_adds_up_one_axis() -> None:
    assert concat_shape((1, 2, 3), (1, 2, 4), (1, 2, 0), axis=-1) == (1, 2, 7)
