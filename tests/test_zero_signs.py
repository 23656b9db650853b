"""Which of -0.0 and 0.0 an operation gives is a rule of its own, and not the machine's, whose instructions differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convpipe.ops.clip import clip
from convpipe.tensors import FLOAT_DTYPES

CELLS = 37  # more than the instructions take at once, and some that are left over


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
@pytest.mark.parametrize("zero", [0.0, -0.0])
@pytest.mark.parametrize(
    "limits",
    [{"low": 0}, {"low": -0.0}, {"high": 0.0}, {"high": -0.0}, {"low": -0.0, "high": 3}, {"low": 0, "high": 0}],
)
def test_where_a_limit_is_zero_every_zero_is_positive(dtype: str, zero: float, limits: dict[str, Any]) -> None:
    got = clip(np.array([zero, -2, zero, 2] * CELLS, dtype), **limits)
    low, high = limits.get("low", -2), limits.get("high", 2)
    assert got.tolist() == [0, max(-2, low), 0, min(2, high)] * CELLS
    assert got.dtype == dtype
    assert not np.signbit(got[got == 0]).any()


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
@pytest.mark.parametrize("limits", [{"low": -1}, {"high": 1}, {"low": -1, "high": 1}, {}])
def test_between_other_limits_a_zero_stays_as_it_is(dtype: str, limits: dict[str, Any]) -> None:
    x = np.array([0.0, -0.0] * CELLS, dtype)
    assert clip(x, **limits).tobytes() == x.tobytes()


def test_the_zeros_of_the_caller_are_left_alone() -> None:
    x = np.array([-0.0, 1.0])
    clip(x, low=0)
    assert np.signbit(x).tolist() == [True, False]
