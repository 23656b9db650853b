"""Average pools that keep integers: against the oracle, and against TFLite's formula written out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from pool_cases import PoolCase, pool_cases

import convpipe as cp
from convpipe.errors import ConfigError
from convpipe.ops.arrays.quotients import divided
from convpipe.ops.arrays.windows import divisors
from convpipe.reference import layers as oracle

MODES = ("floor", "zero", "half_up", "half_down", "half_away", "half_zero", "half_even", "half_odd", "odd")
DTYPES = ("int8", "uint8", "int16", "int64", "uint64")


def integers(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    """Integers of the whole range of a dtype."""
    info = np.iinfo(dtype)
    return np.random.default_rng(seed).integers(info.min, info.max, shape, dtype, endpoint=True)


# --- the numbers


@given(pool_cases(), st.sampled_from(MODES), st.booleans(), st.sampled_from(DTYPES), st.integers(0, 99))
def test_means_are_the_oracles(case: PoolCase, mode: str, padded: bool, dtype: str, seed: int) -> None:
    x = integers(case.input_shape, dtype, seed)
    zero = int(integers((1,), dtype, seed + 1)[0])
    settings = {**case.settings, "count_include_pad": padded, "rounding": mode, "zero_point": zero}
    if not padded and (divisors(case.sizes, include_pad=False) == 0).any():  # windows of padding
        with pytest.raises(ConfigError, match="some window has no cell that counts"):
            cp.avg_pool(x, **settings)
        return
    made = cp.avg_pool(x, **settings)
    assert made.dtype == x.dtype
    assert made.tolist() == oracle.avg_pool(x, **settings).tolist()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_means_of_channels_are_the_oracles(mode: str, dtype: str) -> None:
    x = integers((2, 3, 4, 5), dtype, 4)
    made = cp.global_avg_pool(x, rounding=mode)
    assert made.dtype == x.dtype
    assert made.tolist() == oracle.avg_pool(x, (4, 5), rounding=mode).tolist()


@pytest.mark.parametrize(("kernel", "pad"), [(2, 0), (3, 1), ((2, 3), 1), (5, 2)])
def test_half_away_is_tflites_average(kernel: Any, pad: int) -> None:
    """The sum of the real cells, half their number added away from zero, divided towards zero."""
    x = integers((1, 2, 7, 6), "int8", 8)
    made = cp.avg_pool(x, kernel, stride=1, pad=pad, count_include_pad=False, rounding="half_away")
    rows, columns = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    for n, c, y, across in np.ndindex(made.shape):
        top, left = y - pad, across - pad
        cells = x[n, c, max(top, 0) : top + rows, max(left, 0) : left + columns].ravel().tolist()
        total, count = sum(cells), len(cells)
        moved = total + count // 2 if total > 0 else total - count // 2
        assert made[n, c, y, across] == abs(moved) // count * (1 if moved > 0 else -1)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("floor", [-3, -2, -1, 0, 1, 2]),
        ("zero", [-2, -1, 0, 0, 1, 2]),
        ("odd", [-3, -1, -1, 1, 1, 3]),
        ("half_up", [-2, -1, 0, 1, 2, 3]),
        ("half_down", [-3, -2, -1, 0, 1, 2]),
        ("half_away", [-3, -2, -1, 1, 2, 3]),
        ("half_zero", [-2, -1, 0, 0, 1, 2]),
        ("half_even", [-2, -2, 0, 0, 2, 2]),
        ("half_odd", [-3, -1, -1, 1, 1, 3]),
    ],
)
def test_ties_go_where_the_mode_says(mode: str, expected: list[int]) -> None:
    halves = np.array([-5, -3, -1, 1, 3, 5])
    assert divided(halves, np.array(2), mode).tolist() == expected
    assert divided(halves.astype(object), np.array(2, object), mode).tolist() == expected
    assert cp.avg_pool(np.array([[[-5, 0]], [[3, 0]]], np.int8), 2, rounding=mode).ravel().tolist() == [
        expected[0],
        expected[4],
    ]


def test_padding_that_counts_is_the_zero_point() -> None:
    x = np.array([[[10, 20]]], np.int8)
    settings = {"kernel": 2, "stride": 1, "pad": 1, "rounding": "half_up"}
    assert cp.avg_pool(x, **settings, zero_point=-100).tolist() == [[[-45, 15, -40]]]
    assert cp.avg_pool(x, **settings, zero_point=0).tolist() == [[[5, 15, 10]]]
    assert cp.avg_pool(x, **settings, count_include_pad=False).tolist() == [[[10, 15, 20]]]


def test_no_image_gives_none() -> None:
    assert cp.avg_pool(np.zeros((0, 1, 4, 4), np.int8), 2, rounding="zero").shape == (0, 1, 2, 2)
    assert cp.avg_pool(np.zeros((0, 1, 4, 4), np.uint64), 2, rounding="zero").dtype == np.uint64


# --- what does not go together


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        (
            {"rounding": "nearest"},
            r"^rounding: got nearest, expected null, or one of floor, zero,|^rounding: got nearest",
        ),
        ({"rounding": "zero", "zero_point": 128}, r"^zero_point: got 128, expected a whole number from -128 to 127"),
        ({"zero_point": 3}, r"^zero_point: got 3, expected null, as there is no rounding"),
        ({"rounding": "zero", "pad": 1}, r"^zero_point: got nothing, expected the integer .*count_include_pad=false"),
        ({"rounding": "zero", "overflow": "inf"}, r"^overflow: got inf, expected "),
        ({"rounding": "zero", "overflow": "saturate"}, r"^overflow: got saturate, expected error, as a mean of int"),
    ],
)
def test_what_does_not_go_together_is_refused(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        cp.avg_pool(np.ones((1, 1, 4, 4), np.int8), 2, **settings)


def test_floats_are_not_rounded() -> None:
    for pool in (cp.global_avg_pool, lambda x, rounding: cp.avg_pool(x, 2, rounding=rounding)):
        with pytest.raises(ConfigError, match=r"^rounding: got zero, expected null, as what it reads is float32"):
            pool(np.ones((1, 1, 4, 4), np.float32), rounding="zero")


def test_a_window_of_nothing_but_padding_has_no_mean() -> None:
    x, settings = np.ones((1, 1, 2), np.int8), {"kernel": 2, "pad": 1, "dilation": 3, "rounding": "zero"}
    with pytest.raises(ConfigError, match=r"^rounding: got zero, expected null, as some window has no cell"):
        cp.avg_pool(x, **settings, count_include_pad=False)
    assert cp.avg_pool(x, **settings, zero_point=7).tolist() == [[[7]]]


# --- as layers


def pool_run(folder: Path, **layer: Any) -> cp.Run:
    """An archived run of one pool on small integers."""
    layers = {"p": {"op": "avg_pool", "kernel": 2, **layer}}
    config = {"input": {"source": "integers", "shape": [2, 2, 4, 4], "dtype": "int8"}, "network": layers}
    (folder / "pool.yaml").write_text(json.dumps(config))
    return cp.run(str(folder / "pool.yaml"), root=folder / "runs", keep="stages")


def test_a_setting_that_nothing_reads_is_no_part_of_the_id(tmp_path: Path) -> None:
    def name(**layer: Any) -> str:
        return pool_run(tmp_path, **layer).path.name

    plain = name(rounding="zero")
    assert name(rounding="zero", zero_point=3) == plain
    assert name(rounding="zero", pad=1, count_include_pad=False, zero_point=3) != plain
    assert name(rounding="floor") != plain
    assert name(rounding="zero", pad=1, zero_point=0) != name(rounding="zero", pad=1, zero_point=3)
    assert not {"rounding", "zero_point"} & pool_run(tmp_path).config["network"]["p"].keys()


def test_a_pool_of_a_network_keeps_its_integers(tmp_path: Path) -> None:
    run = pool_run(tmp_path, rounding="half_even", pad=1, count_include_pad=False)
    x = run.array("input")
    expected = oracle.avg_pool(x, 2, pad=1, count_include_pad=False, rounding="half_even")
    assert run.output.dtype == np.int8
    assert run.output.tolist() == expected.tolist()
