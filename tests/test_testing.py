"""The conformance checks: every operation of ours passes them, and each way not to is found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convpipe.fields import field, whole
from convpipe.ops import OPERATIONS, Form, Made, Operation, cellwise, like
from convpipe.ops.kinds.operation import stands_alone
from convpipe.reference import layers as reference_layers
from convpipe.tensors import Array, Tensor
from convpipe.testing import check_operation

ALONE = [name for name in OPERATIONS.ours() if stands_alone(OPERATIONS.get("", name)) and "conv" not in name]
SETTINGS: dict[str, dict[str, Any]] = {
    "max_pool": {"kernel": 2},
    "avg_pool": {"kernel": 2, "pad": 1},
    "quantize": {"scale": 0.5},
    "dequantize": {"scale": 0.5},
    "requantize": {"rule": "shift", "shift": 1},
}
NO_FLOATS = ("center", "clamp", "dequantize", "requantize")
SIDES = {"scale": 1.0, "shift": 0.0, "mean": 2.0, "variance": 4.0}


@pytest.mark.parametrize("dtype", ["int8", "uint16", "float16", "float32", "float64"])
@pytest.mark.parametrize("name", ALONE)
def test_every_operation_of_ours_conforms(name: str, dtype: str) -> None:
    if name in NO_FLOATS and dtype[0] == "f":
        dtype = "int64"
    x = (np.arange(2 * 3 * 4 * 5) % 50).reshape(2, 3, 4, 5).astype(dtype)
    sides: dict[str, Array] = {}
    if name == "dense":
        x, sides = x.reshape(2, 60)[:, :7], {"weights": np.arange(21).reshape(7, 3).astype("int64"), "bias": np.ones(3)}
    if name == "batch_norm":
        sides = {role: np.full(3, value, "float32") for role, value in SIDES.items()}
    mains = (x, x) if OPERATIONS.get("", name).several else (x,)
    check_operation(OPERATIONS.get("", name), SETTINGS.get(name, {}), *mains, **sides)


class Doubled(Operation):
    """2 * x."""

    times: int = field(whole(), 2)

    def run(self, x: Array) -> Array:
        return x * np.array(self.times, x.dtype)


class Undocumented(Doubled):
    def run(self, x: Array) -> Array:
        return x


Undocumented.__doc__ = ""


class Unchecked(Doubled):
    """A field without a check."""

    more: int = 3


class OtherShape(Doubled):
    """One axis more than planned."""

    def run(self, x: Array) -> Array:
        return x[None]


class OtherDtype(Doubled):
    """Not the dtype that was planned."""

    def run(self, x: Array) -> Array:
        return x.astype(np.float32)


class Changing(Doubled):
    """It writes into what it reads."""

    def run(self, x: Array) -> Array:
        x += 1
        return x.copy()


class Batched(Doubled):
    """An image's result depends on the others."""

    def run(self, x: Array) -> Array:
        return x - x.max()


class Greedy(Doubled):
    """More memory than promised."""

    def plan(self, x: Tensor) -> Made:
        return like(x, workspace=0)

    def run(self, x: Array) -> Array:
        return (np.zeros((1000, *x.shape), x.dtype) + x)[0].copy()


class Misleading(Doubled):
    """What it says of its cells is not what it makes."""

    def form(self, x: Tensor) -> Form:
        return cellwise("x + times", x, times=self.times)


class Ordered(Doubled):
    """The result depends on how the input lies in memory."""

    def run(self, x: Array) -> Array:
        return x.ravel("K").reshape(x.shape)


def test_a_sound_operation_conforms() -> None:
    x = np.arange(2 * 6 * 7 * 8).reshape(2, 6, 7, 8)
    assert (check_operation(Doubled, {"times": 3}, x, oracle=lambda x, times: x * times) == 3 * x).all()


@pytest.mark.parametrize(
    ("kind", "match"),
    [
        (Undocumented, "Undocumented has no docstring"),
        (Unchecked, "the field more has no check"),
        (OtherShape, "it made the shape .*, planned was"),
        (OtherDtype, "it made float32, planned was int64"),
        (Changing, "it changed an array that it read"),
        (Batched, "of each image alone it makes other values"),
        (Misleading, r"its form comes to 2 at \(0, 0, 0, 0\), it made 0"),
        (Greedy, r"it took \d+ bytes; result and promise are \d+"),
        (Ordered, "of arrays that lie in Fortran's order it makes other values"),
    ],
)
def test_what_does_not_conform_is_said(kind: type[Operation], match: str) -> None:
    with pytest.raises(AssertionError, match=match):
        check_operation(kind, {}, np.arange(2 * 6 * 7 * 8).reshape(2, 6, 7, 8))


def test_an_oracle_that_disagrees_is_heard() -> None:
    x = np.arange(8).reshape(2, 4)
    with pytest.raises(AssertionError, match=r"it made .*, the oracle"):
        check_operation(Doubled, {}, x, oracle=lambda x: x)
    with pytest.raises(AssertionError, match="not the oracle's values"):
        check_operation(Doubled, {}, x.astype("float32"), oracle=lambda x: 2 * x + 1e-4)


def test_the_oracles_own_settings_arrive() -> None:
    x = np.arange(-4, 4).reshape(2, 4)
    check_operation(OPERATIONS.get("", "clip"), {"low": -1, "high": 2}, x, oracle=reference_layers.clip)
