"""The oracle of transposed convolutions and gradients: against values done by hand, the definition, and PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conv_cases import Case, assert_exact, cases, integers
from hypothesis import given, settings, strategies as st

from convpipe import reference

SEEDS = st.integers(0, 2**32 - 1)


def inner(first: np.ndarray, second: np.ndarray) -> int:
    """The sum of products, in Python integers."""
    return sum(int(a) * int(b) for a, b in zip(first.ravel().tolist(), second.ravel().tolist(), strict=True))


def small(case: Case, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An input, filters, and a gradient of the output, of small integers."""
    shape = reference.out_shape(case.input_shape, case.filters_shape, reference.Settings(**case.settings))
    shapes = (case.input_shape, case.filters_shape, shape)
    x, w, grad = (integers(each, "int64", "small", seed + at) for at, each in enumerate(shapes))
    return x, w, grad


# Transposed convolution


def test_transposed_by_hand() -> None:
    x, w = np.array([[[1, 2]]]), np.array([[[1, 10, 100]]])
    assert reference.conv_transpose(x, w).ravel().tolist() == [1, 12, 120, 200]
    assert reference.conv_transpose(x, w, stride=3).ravel().tolist() == [1, 10, 100, 2, 20, 200]
    assert reference.conv_transpose(x, w, dilation=2).ravel().tolist() == [1, 2, 10, 20, 100, 200]
    assert reference.conv_transpose(x, w, pad=1).ravel().tolist() == [12, 120]
    assert reference.conv_transpose(x, w, pad=[[0, 2]], stride=2).ravel().tolist() == [1, 10, 102]
    assert reference.conv_transpose(x, w, stride=2, output_padding=1).ravel().tolist() == [1, 10, 102, 20, 200, 0]
    assert reference.conv_transpose(x, w, np.array([-1])).ravel().tolist() == [0, 11, 119, 199]


def test_transposed_groups_by_hand() -> None:
    x, w = np.array([[[1], [10], [100], [1000]]]), np.array([[[1], [2]], [[1], [2]], [[3], [4]], [[3], [4]]])
    assert reference.conv_transpose(x, w, groups=2).ravel().tolist() == [11, 22, 3300, 4400]


def test_transposed_floats_are_rounded_once() -> None:
    x, w = np.array([[[1.0], [2.0**-60], [-1.0]]]), np.ones((3, 1, 1))
    assert reference.conv_transpose(x, w).tolist() == [[[2.0**-60]]]
    assert reference.conv_transpose(x.astype(np.float32), np.ones((3, 1, 1), int), np.array([0.5])).tolist() == [
        [[0.5]]
    ]


@given(cases(modes=("constant",)), SEEDS)
@settings(max_examples=40)
def test_transposed_is_the_adjoint_of_the_convolution(case: Case, seed: int) -> None:
    case = Case(case.input_shape, case.filters_shape, case.settings | {"pad_value": 0})
    sizes = case.sizes
    x, w, grad = small(case, seed)
    chosen = {"stride": list(sizes.stride), "dilation": list(sizes.dilation), "groups": sizes.groups}
    back = reference.conv_transpose(
        grad, w, pad=[list(pair) for pair in sizes.pads], output_padding=list(sizes.unread), **chosen
    )
    assert back.shape == x.shape
    assert inner(back, x) == inner(grad, reference.conv(x, w, **case.settings))


# Gradients


def test_gradients_by_hand() -> None:
    x, w, grad = np.array([[[1, 2, 3]]]), np.array([[[10, 1]]]), np.array([[[1, -1]]])
    of_x, of_w, of_bias = reference.conv_grad(x, w, grad)
    assert (of_x.tolist(), of_w.tolist(), of_bias.tolist()) == ([[[10, -9, -1]]], [[[-1, -1]]], [0])


@pytest.mark.parametrize(
    ("mode", "of_x", "of_w"),
    [
        ("constant", [10 + 1, 100 + 10 + 1, 100 + 10], [5 + 1 + 2, 1 + 2 + 3, 2 + 3 + 5]),
        ("edge", [1 + 10 + 1, 111, 100 + 10 + 100], [1 + 1 + 2, 6, 2 + 3 + 3]),
        ("reflect", [11, 100 + 111 + 1, 110], [2 + 1 + 2, 6, 2 + 3 + 2]),
        ("wrap", [111, 111, 111], [3 + 1 + 2, 6, 2 + 3 + 1]),
    ],
)
def test_gradients_of_every_padding_by_hand(mode: str, of_x: list[int], of_w: list[int]) -> None:
    x, w, grad = np.array([[[1, 2, 3]]]), np.array([[[1, 10, 100]]]), np.array([[[1, 1, 1]]])
    got = reference.conv_grad(x, w, grad, pad=1, pad_mode=mode, pad_value=5)
    assert got[0].ravel().tolist() == of_x
    assert got[1].ravel().tolist() == of_w
    assert got[2].tolist() == [3]


@given(cases(), SEEDS)
@settings(max_examples=40)
def test_gradients_are_those_of_the_oracles_own_convolution(case: Case, seed: int) -> None:
    x, w, grad = small(case, seed)
    of_x, of_w, of_bias = reference.conv_grad(x, w, grad, **case.settings)
    bias = np.arange(1, len(w) + 1)

    def loss(x: np.ndarray, w: np.ndarray, bias: np.ndarray) -> int:
        return inner(reference.conv(x, w, bias, **case.settings), grad)

    # the loss is linear in each argument: a step of any length shows the slope exactly
    step = integers(x.shape, "int64", "small", seed + 3)
    assert loss(x + step, w, bias) - loss(x, w, bias) == inner(of_x, step)
    step = integers(w.shape, "int64", "small", seed + 4)
    assert loss(x, w + step, bias) - loss(x, w, bias) == inner(of_w, step)
    assert loss(x, w, 3 * bias) - loss(x, w, bias) == inner(of_bias, 2 * bias)


def test_each_gradient_is_a_float_where_its_operands_are() -> None:
    x, w, grad = np.array([[[1, 2]]]), np.array([[[0.5]]]), np.array([[[1, 1]]])
    of_x, of_w, of_bias = reference.conv_grad(x, w, grad)
    assert (of_x.dtype, of_w.dtype, of_bias.dtype) == (np.float64, object, object)
    assert (of_x.tolist(), of_w.tolist(), of_bias.tolist()) == ([[[0.5, 0.5]]], [[[3]]], [2])


# PyTorch


def transposed_settings(rank: int) -> list[dict[str, Any]]:
    """Settings that PyTorch takes too."""
    return [
        {},
        {"stride": 2, "output_padding": 1},
        {"stride": 3, "pad": 1, "dilation": 2, "output_padding": 2},
        {"stride": 1, "pad": 2, "dilation": 3, "output_padding": 2},
        {"stride": [2] * rank, "pad": [1] * rank, "groups": 2},
    ]


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("number", range(5))
def test_torch_agrees_on_transposed(rank: int, number: int) -> None:
    torch = pytest.importorskip("torch")
    chosen = transposed_settings(rank)[number]
    groups = chosen.get("groups", 1)
    x = integers((2, 4, *[4] * rank), "int64", "small", number)
    w = integers((4, 2, *[3, 2, 2][:rank]), "int64", "small", number + 1)
    bias = np.arange(2 * groups)
    function = getattr(torch.nn.functional, f"conv_transpose{rank}d")
    named = {{"pad": "padding"}.get(key, key): value for key, value in chosen.items()}
    expected = function(*(torch.tensor(array).double() for array in (x, w, bias)), **named).numpy()
    got = reference.conv_transpose(x, w, bias, **chosen)
    assert_exact(got.astype(float), expected)


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_torch_agrees_on_gradients(rank: int, mode: str) -> None:
    torch = pytest.importorskip("torch")
    x = integers((2, 4, *[5] * rank), "int64", "small", 0)
    w = integers((2, 2, *[3, 2, 2][:rank]), "int64", "small", 1)
    name = {"edge": "replicate", "wrap": "circular"}.get(mode, mode)
    image, weights = (torch.tensor(array).double().requires_grad_() for array in (x, w))
    bias = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    padded = torch.nn.functional.pad(image, [2, 1] * rank, mode=name)
    out = getattr(torch.nn.functional, f"conv{rank}d")(padded, weights, bias, stride=2, groups=2)
    grad = integers(tuple(out.shape), "int64", "small", 2)
    out.backward(torch.tensor(grad).double())
    got = reference.conv_grad(x, w, grad, stride=2, groups=2, pad=[[2, 1]] * rank, pad_mode=mode)
    for values, tensor in zip(got, (image, weights, bias), strict=True):
        assert_exact(values.astype(float), tensor.grad.numpy())
