"""Numbers as colours, by hand: grey, red to blue, orange for no number, and pixels that stand for many cells."""

from __future__ import annotations

import numpy as np
import pytest

from convpipe.files.colours import (
    BLUE,
    NO_NUMBER,
    RED,
    ROW_HEIGHT,
    SAMPLED,
    Span,
    coloured,
    enlarged,
    joint_span,
    span_of,
    true_colours,
)
from convpipe.tensors import Array

INTEGERS = ["int8", "uint8", "int16", "int32", "int64", "uint64"]
FLOATS = ["float16", "float32", "float64"]


def drawn(values: Array, step: int = 1) -> Array:
    return coloured(values, span_of(values), step)


def greys(levels: list[list[int]]) -> list[list[list[int]]]:
    return [[[level] * 3 for level in row] for row in levels]


@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_grey_goes_from_the_smallest_to_the_largest(dtype: str) -> None:
    values = np.array([[10, 20], [30, 61]], dtype)
    assert drawn(values).tolist() == greys([[0, 50], [100, 255]])
    assert drawn(np.full((2, 2), 7, dtype)).tolist() == greys([[128, 128]] * 2)


@pytest.mark.parametrize("dtype", ["int8", "int64", *FLOATS])
def test_numbers_below_0_are_red_and_those_above_blue(dtype: str) -> None:
    found = drawn(np.array([[-100, 0, 50, 100]], dtype))[0].tolist()
    halfway = [round(255 + (end - 255) / 2) for end in BLUE]
    assert found == [list(RED), [255, 255, 255], halfway, list(BLUE)]
    # of either sign alone the scale is symmetric, too
    assert drawn(np.array([[-8, -4]], dtype))[0, 0].tolist() == list(RED)


def test_the_widest_ranges_are_drawn() -> None:
    info = np.iinfo(np.int64)
    assert drawn(np.array([[info.min, 0]]))[0].tolist() == [list(RED), [255] * 3]
    assert drawn(np.array([[0, 2**64 - 1]], np.uint64)).tolist() == greys([[0, 255]])
    huge = np.finfo(np.float64).max
    assert drawn(np.array([[-huge, huge]]))[0].tolist() == [list(RED), list(BLUE)]
    # neighbours that float64 does not tell apart
    assert drawn(np.array([[2**62, 2**62 + 1]])).tolist() == greys([[0, 255]])


@pytest.mark.parametrize("dtype", FLOATS)
def test_what_is_no_number_is_orange_and_counted(dtype: str) -> None:
    values = np.array([[np.nan, 1, 4], [np.inf, -np.inf, 2]], dtype)
    assert span_of(values) == Span(1, 4, 1, 2)
    odd = list(NO_NUMBER)
    assert drawn(values).tolist() == [[odd, [0] * 3, [255] * 3], [odd, odd, [85] * 3]]
    nothing = np.array([[np.nan, np.inf]], dtype)
    assert span_of(nothing) == Span(None, None, 1, 1)
    assert drawn(nothing).tolist() == [[odd, odd]]


def test_planes_share_a_span() -> None:
    planes = [np.array([[1.0, np.nan]]), np.array([[np.inf, 5.0]]), np.array([[-2.0, 0.0]])]
    assert joint_span(planes) == Span(-2.0, 5.0, 1, 1)
    assert (joint_span(planes).is_signed, joint_span(planes).reach, joint_span(planes[:2]).is_signed) == (
        True,
        5,
        False,
    )


@pytest.mark.parametrize("step", [2, 3, 4])
def test_a_pixel_is_the_mean_of_its_cells(step: int) -> None:
    values = np.random.default_rng(0).integers(0, 256, (130, 11)).astype(np.uint8)
    values[0, :2] = 0, 255
    found = drawn(values, step)
    rows, columns = -(-130 // step), -(-11 // step)
    assert found.shape == (rows, columns, 3)
    for row in range(rows):
        for column in range(columns):
            cells = values[row * step : (row + 1) * step, column * step : (column + 1) * step]
            assert found[row, column].tolist() == [round(float(cells.mean()))] * 3


@pytest.mark.parametrize("shape", [(700, 30), (64, 64), (65, 129), (9, 500)])
@pytest.mark.parametrize("step", [5, 7, 64, 100])
def test_of_many_cells_some_are_looked_at_all_over_the_pixel(shape: tuple[int, int], step: int) -> None:
    assert step > SAMPLED
    blocks = np.random.default_rng(1).integers(0, 256, (-(-shape[0] // step), -(-shape[1] // step)))
    blocks.flat[0] = 0
    blocks.flat[-1] = 255
    values = blocks.repeat(step, axis=0).repeat(step, axis=1)[: shape[0], : shape[1]]
    expected = blocks if blocks.size > 1 else np.array([[128]])
    assert np.array_equal(drawn(values, step)[..., 0], expected)


@pytest.mark.parametrize("place", [(0, 0), (37, 12), (198, 100)])
def test_one_cell_without_a_number_is_seen_in_a_pixel_of_many(place: tuple[int, int]) -> None:
    values = np.zeros((199, 101))
    values[place] = np.nan
    found = drawn(values, 50)
    orange = (found == NO_NUMBER).all(axis=-1)
    assert np.argwhere(orange).tolist() == [[place[0] // 50, place[1] // 50]]


@pytest.mark.parametrize("dtype", INTEGERS[1:] + FLOATS)
def test_colours_from_0_to_255_are_shown_as_they_are(dtype: str) -> None:
    planes = np.array([[[0, 10]], [[100, 20]], [[7, 100]]], dtype)
    assert true_colours(planes, joint_span(planes)).tolist() == [[[0, 100, 7], [10, 20, 100]]]


def test_colours_beyond_go_up_to_the_largest_and_shares_up_to_1() -> None:
    wide = np.array([[[0, 510]], [[102, 51]], [[255, 0]]])
    assert true_colours(wide, joint_span(wide)).tolist() == [[[0, 51, 128], [255, 26, 0]]]
    shares = np.array([[[0, 0.5]], [[0.2, 0.4]], [[0.6, 0.8]]])
    assert true_colours(shares, joint_span(shares)).tolist() == [[[0, 51, 153], [128, 102, 204]]]


def test_small_pictures_grow_by_whole_factors() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert np.array_equal(enlarged(pixels, 3)[::3, ::3], pixels)
    assert enlarged(pixels, 3).shape == (6, 6, 3)
    assert enlarged(pixels[:1], 3).shape == (ROW_HEIGHT, 6, 3)
