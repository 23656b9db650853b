"""The last step, from a matrix to images: always a view."""

from __future__ import annotations

import re

import numpy as np
import pytest
from conv_cases import assert_exact

from convpipe.errors import ConfigError, GeometryError
from convpipe.ops.matmul import matmul
from convpipe.ops.reshape import reshape
from convpipe.ops.transpose import channels_first

SHAPES = [(2, 3, 4, 5), (1, 1, 1, 1), (2, 7, 3), (1, 2, 3, 4, 5), (3, 1, 1, 1), (1, 4, 1, 2)]


def product_of(shape: tuple[int, ...]) -> np.ndarray:
    """A C-ordered (positions, F) matrix of different numbers."""
    return np.arange(np.prod(shape)).reshape(-1, shape[-1])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_reshape_is_a_view_of_either_order(shape: tuple[int, ...], order: str) -> None:
    product = np.array(product_of(shape), order=order)
    feature_map = reshape(product, shape)
    assert_exact(feature_map, product_of(shape).reshape(shape))
    assert np.shares_memory(feature_map, product)


@pytest.mark.parametrize("shape", SHAPES)
def test_reshape_of_a_matrix_that_is_not_contiguous_is_a_view(shape: tuple[int, ...]) -> None:
    wide = np.repeat(product_of(shape), 2, axis=1)
    feature_map = reshape(wide[::-1, ::2], shape)
    assert_exact(feature_map, product_of(shape)[::-1].reshape(shape))
    assert np.shares_memory(feature_map, wide)


@pytest.mark.parametrize("shape", [(0, 3, 4, 5), (2, 3, 4, 0)])
def test_reshape_of_nothing(shape: tuple[int, ...]) -> None:
    positions = int(np.prod(shape[:-1]))
    assert reshape(np.zeros((positions, shape[-1]), np.int8), shape).shape == shape
    assert reshape(np.zeros((shape[-1], positions), np.int8).T, shape).dtype == np.int8


def test_a_wrong_shape_is_refused() -> None:
    message = "product: got (3, 2), expected the shape (4, 2), a row for each position of (1, 2, 2, 2)"
    with pytest.raises(GeometryError, match=f"^{re.escape(message)}$"):
        reshape(np.zeros((3, 2)), (1, 2, 2, 2))
    with pytest.raises(ConfigError, match=r"^shape: got \(1, -1, 2, 2\), expected a list of whole numbers from 0$"):
        reshape(np.zeros((4, 2)), (1, -1, 2, 2))


@pytest.mark.parametrize("shape", SHAPES)
def test_channels_first_moves_the_filters_and_copies_nothing(shape: tuple[int, ...]) -> None:
    feature_map = product_of(shape).reshape(shape)
    image = channels_first(feature_map)
    assert image.shape == (shape[0], shape[-1], *shape[1:-1])
    assert_exact(image, np.moveaxis(feature_map, -1, 1))
    assert np.shares_memory(image, feature_map)


def test_the_whole_tail_of_the_chain_is_one_view() -> None:
    product = matmul(np.ones((12, 3), np.float32), np.ones((4, 3), np.float32))
    image = channels_first(reshape(product, (1, 3, 4, 4)))
    assert np.shares_memory(image, product)
    assert image.flags.c_contiguous
