"""The dtype rules of the float layers."""

from __future__ import annotations

import numpy as np
import pytest
from conv_cases import FLOATS, INTEGERS

from convpipe.ops.arrays.floats import computing_float, result_float


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_become_float64(dtype: str) -> None:
    assert result_float(np.dtype(dtype)) == computing_float(np.dtype(dtype)) == np.float64


@pytest.mark.parametrize("dtype", FLOATS)
def test_floats_stay_and_float16_is_computed_in_float32(dtype: str) -> None:
    assert result_float(np.dtype(dtype)) == dtype
    assert computing_float(np.dtype(dtype)) == ("float32" if dtype == "float16" else dtype)
