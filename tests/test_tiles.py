"""Columns and filters cut to the tiles of an array, their partial sums, and the sums of those, by plain loops."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from column_cases import A_TILE, GEOMETRIES, NHWC, lying, lying_cases, operations, plain_tiles
from form_cases import quarters, whole
from test_forms import check_values

import convpipe as cp
from convpipe.errors import ConfigError, ValueRangeError
from convpipe.execution.bounds import bounded_run
from convpipe.geometry.columns import ORDERS, Columns, Tile
from convpipe.graph.plan import Plan
from convpipe.tensors import Array

CUT = Columns(ORDERS[0], A_TILE)
BOTH = Columns(NHWC, A_TILE)


def plain_partial_sums(columns: Array, filters: Array, tile: Tile) -> list[Any]:
    """The partial sums of one group by Python's integers: by tile of rows, of filters and along K."""
    above, beside = plain_tiles(columns, tile.rows, tile.taps), plain_tiles(filters, tile.filters, tile.taps)
    return [
        [
            [
                [[sum(a * b for a, b in zip(row, f, strict=True)) for f in weights] for row in cells]
                for cells, weights in zip(along, own, strict=True)
            ]
            for own in beside
        ]
        for along in above
    ]


# The stages


@pytest.mark.parametrize(("rank", "groups", "stride", "dilation"), GEOMETRIES)
@pytest.mark.parametrize("how", [CUT, BOTH])
def test_tiles_and_partial_sums_are_those_of_plain_loops(
    rank: int, groups: int, stride: int, dilation: int, how: Columns
) -> None:
    _, settings, arrays = next(operations(rank, groups, stride, dilation))
    case = lying("conv", settings, how, **arrays)
    made, tile = case.arrays, A_TILE
    assert [step.name for step in case.steps[3:]] == [
        "tile_columns",
        "tile_filters",
        "matmul_tiles",
        "sum_tiles",
        "reshape",
    ]
    columns, filters = np.split(made["columns"], groups, 1), np.split(made["filter_matrix"], groups)
    assert made["column_tiles"].tolist() == [plain_tiles(each, tile.rows, tile.taps) for each in columns]
    turned = [
        [[np.transpose(each).tolist() for each in along] for along in plain_tiles(own, tile.filters, tile.taps)]
        for own in filters
    ]
    assert made["filter_tiles"].tolist() == turned
    sums = [plain_partial_sums(*each, tile) for each in zip(columns, filters, strict=True)]
    assert made["partial_sums"].tolist() == sums
    assert made["partial_sums"].dtype == np.int64


@pytest.mark.parametrize(("rank", "groups", "stride", "dilation"), GEOMETRIES)
@pytest.mark.parametrize("how", [CUT, BOTH, Columns(ORDERS[0], Tile(1, 1, 1)), Columns(NHWC, Tile(999, 999, 999))])
def test_results_do_not_depend_on_it(rank: int, groups: int, stride: int, dilation: int, how: Columns) -> None:
    _, settings, arrays = next(operations(rank, groups, stride, dilation))
    for given in (arrays, {role: array for role, array in arrays.items() if role != "bias"}):
        made, usual = (
            lying("conv", {**settings, "bias": "bias" in given}, columns, **given) for columns in (how, Columns())
        )
        assert made.result.dtype == usual.result.dtype
        assert made.result.tolist() == usual.result.tolist()


@pytest.mark.parametrize(("rank", "groups", "stride", "dilation"), GEOMETRIES)
def test_the_forms_of_the_stages_come_to_what_they_make(rank: int, groups: int, stride: int, dilation: int) -> None:
    _, settings, arrays = next(operations(rank, groups, stride, dilation))
    small = {**arrays, "input": arrays["input"][:1, :, :3]} if rank > 1 else arrays
    for case in lying("conv", settings, BOTH, **small).stages():
        check_values(case)


def test_the_forms_of_sums_in_an_accumulator_come_to_what_it_makes() -> None:
    for case in lying_cases():
        check_values(case)


def test_zeros_fill_up_after_centring() -> None:
    draw = np.random.default_rng(5)
    arrays = {"input": whole(draw, 1, 3, 4, 4, dtype="int8"), "filters": whole(draw, 3, 3, 2, 2, dtype="int8")}
    quant = {"input": {"zero_point": -7}, "filters": {"zero_point": 3}}
    made, usual = (
        lying("conv", {"bias": False, "pad": 1}, how, "quantized", quant, **arrays) for how in (BOTH, Columns())
    )
    assert made.arrays["product"].tolist() == usual.arrays["product"].tolist()
    assert made.arrays["product"].dtype == np.int32
    beyond = made.arrays["column_tiles"][0, -1, :, 25 - 24 :]  # 25 rows in tiles of 4
    assert not beyond.any()
    assert made.arrays["column_tiles"][0, :, -1, :, 12 - 10 :].any() == np.False_  # 12 cells in tiles of 5
    assert made.arrays["filter_tiles"][0, -1, :, :, 1].any() == np.False_  # 3 filters in tiles of 2


# Accumulators


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("bits", [7, 20])
def test_the_accumulator_s_limits_count_at_the_sum(overflow: str, bits: int) -> None:
    draw = np.random.default_rng(6)
    arrays = {"input": whole(draw, 1, 4, 4, 4, dtype="int8"), "filters": whole(draw, 2, 4, 2, 2, dtype="int8")}
    quant = {"accumulator": {"bits": bits, "overflow": overflow}}
    made, usual = (lying("conv", {"bias": False}, how, "quantized", quant, **arrays) for how in (BOTH, Columns()))
    assert made.arrays["product"].tolist() == usual.arrays["product"].tolist()
    exact = made.arrays["columns"].astype(int) @ made.arrays["filter_matrix"].astype(int).T
    assert (made.arrays["product"].tolist() == exact.tolist()) == (bits == 20)


def test_an_accumulator_that_counts_after_each_tile_is_held_there() -> None:
    draw = np.random.default_rng(7)
    arrays = {"input": whole(draw, 1, 4, 4, 4, dtype="int8"), "filters": whole(draw, 2, 4, 2, 2, dtype="int8")}
    quant = {"accumulator": {"bits": 8, "overflow": "saturate", "every": A_TILE.taps, "order": NHWC}}
    made, usual = (lying("conv", {"bias": False}, how, "quantized", quant, **arrays) for how in (BOTH, Columns()))
    assert made.arrays["product"].tolist() == usual.arrays["product"].tolist()
    expected = []
    for row in made.arrays["columns"].tolist():
        for weights in made.arrays["filter_matrix"].tolist():
            total = 0
            for start in range(0, 16, A_TILE.taps):
                part = zip(row[start : start + A_TILE.taps], weights[start : start + A_TILE.taps], strict=True)
                total = min(max(total + sum(a * b for a, b in part), -128), 127)
            expected.append(total)
    assert made.arrays["product"].ravel().tolist() == expected


@pytest.mark.parametrize(
    ("accumulator", "match"),
    [
        ({"every": "step"}, r"quant\.accumulator\.every: got step, expected end, or 5, the K of lowering\.tile"),
        ({"every": 4}, r"quant\.accumulator\.every: got 4, expected end, or 5"),
        ({"every": 5, "order": "C,kh,kw"}, r"quant\.accumulator\.order: got C,kh,kw, expected kh,kw,C"),
        ({"overflow": "pairs16"}, r"quant\.accumulator\.overflow: got pairs16, expected another rule"),
    ],
)
def test_an_accumulator_that_counts_at_other_steps_is_refused(accumulator: dict[str, Any], match: str) -> None:
    draw = np.random.default_rng(8)
    arrays = {"input": whole(draw, 1, 4, 4, 4, dtype="int8"), "filters": whole(draw, 2, 4, 2, 2, dtype="int8")}
    quant = {"accumulator": {"bits": 8, "overflow": "saturate", "order": NHWC, **accumulator}}
    with pytest.raises(ConfigError, match=match):
        lying("conv", {"bias": False}, BOTH, "quantized", quant, **arrays)


# Integers and floats that are large


def test_sums_that_64_bits_do_not_hold() -> None:
    x, w = np.full((1, 2, 1, 4), 2**62), np.array([[[[1, 1]], [[-1, -1]]]])
    arrays = {"input": x, "filters": w}
    how = Columns(ORDERS[0], Tile(2, 1, 2))
    assert lying("conv", {"bias": False}, how, **arrays).result.tolist() == [[[[0, 0, 0]]]]  # of 2**63 on the way
    with pytest.raises(ValueRangeError, match=r"on its way from stage to stage, does not fit int64"):
        lying("conv", {"bias": False}, Columns(ORDERS[0], Tile(2, 2, 2)), **arrays)
    wrapped = lying("conv", {"bias": False, "overflow": "wrap"}, Columns(ORDERS[0], Tile(2, 2, 2)), **arrays)
    assert wrapped.result.tolist() == [[[[0, 0, 0]]]]
    with pytest.raises(ValueRangeError, match=r"the exact sum 600 does not fit int8"):
        cp.sum_tiles([[[[[[300]], [[300]]]]]], (1, 1), dtype="int8")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("overflow", ["error", "saturate", "inf"])
def test_floats_lie_within_their_bounds(dtype: str, overflow: str) -> None:
    draw = np.random.default_rng(9)
    arrays = {
        "input": draw.normal(size=(1, 4, 5, 5)).astype(dtype),
        "filters": draw.normal(size=(4, 2, 3, 2)).astype(dtype),
        "bias": draw.normal(size=4).astype(dtype),
    }
    case = lying("conv", {"groups": 2, "overflow": overflow}, BOTH, **arrays)
    assert case.result.dtype == dtype
    *_, last = bounded_run(Plan((), case.steps), arrays)
    bounds = np.moveaxis(last.made.error, -1, 1)
    assert (bounds > 0).all()
    for at in np.ndindex(case.result.shape):
        n, f, y, x = at
        true = Fraction(float(arrays["bias"][f]))
        for channel, i, j in np.ndindex(2, 3, 2):
            pixel = float(arrays["input"][n, f // 2 * 2 + channel, y + i, x + j])
            true += Fraction(pixel) * Fraction(float(arrays["filters"][f, channel, i, j]))
        assert abs(Fraction(float(case.result[at])) - true) <= Fraction(float(bounds[at])), at


def test_floats_that_are_whole_come_out_exactly_the_same() -> None:
    draw = np.random.default_rng(10)
    arrays = {"input": quarters(draw, 1, 3, 5, 5), "filters": quarters(draw, 4, 3, 2, 2), "bias": quarters(draw, 4)}
    made, usual = (lying("conv", {}, how, **arrays) for how in (BOTH, Columns()))
    assert made.result.tolist() == usual.result.tolist()
    for case in made.stages():
        check_values(case)


def test_floats_that_are_too_large_follow_the_rule() -> None:
    big = np.float32(3e38)
    arrays = {"input": np.full((1, 2, 1, 2), big), "filters": np.array([[[[1]], [[1]]]], np.float32)}
    how = Columns(ORDERS[0], Tile(1, 1, 1))
    with pytest.raises(ValueRangeError, match=r"the result 6e\+38 does not fit float32"):
        lying("conv", {"bias": False}, how, **arrays)
    most = float(np.finfo(np.float32).max)
    saturated = lying("conv", {"bias": False, "overflow": "saturate"}, how, **arrays)
    assert saturated.result.tolist() == [[[[most, most]]]]
    infinite = lying("conv", {"bias": False, "overflow": "inf"}, how, **arrays)
    assert infinite.result.tolist() == [[[[np.inf, np.inf]]]]
    arrays["input"][0, 0, 0, 0] = np.nan
    assert np.isnan(lying("conv", {"bias": False, "overflow": "saturate"}, how, **arrays).result[0, 0, 0, 0])


# Functions


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (
            lambda: cp.tile_columns(np.ones((2, 3)), 2, 2, groups=2),
            "groups: got 2, expected a divisor of the 3 columns",
        ),
        (lambda: cp.tile_columns(np.ones((2, 3)), 0, 2), "rows: got 0, expected a whole number from 1"),
        (
            lambda: cp.tile_filters(np.ones((3, 2)), 2, 2, groups=2),
            "groups: got 2, expected a divisor of the 3 filters",
        ),
        (lambda: cp.tile_filters(np.ones((3, 2)), 2, 1.5), "f: got 1.5, expected a whole number from 1"),
        (
            lambda: cp.matmul_tiles(np.ones((1, 1, 2, 3, 4)), np.ones((1, 1, 2, 5, 2))),
            r"filter_tiles: got \(1, 1, 2, 5, 2\), expected 1 groups of 2 tiles of 4 along K",
        ),
        (
            lambda: cp.sum_tiles(np.ones((1, 2, 1, 2, 3, 4)), (7, 4)),
            r"partial_sums: got \(1, 2, 1, 2, 3, 4\), expected 3 x 1 tiles of 3 x 4, for a product \(7, 4\)",
        ),
        (lambda: cp.sum_tiles(np.ones((2, 1, 1, 1, 1, 1)), (1, 3)), r"shape: got \(1, 3\), expected \(P, F\)"),
        (lambda: cp.sum_tiles(np.ones((1, 1, 1, 1, 1, 2)), (1, 2), bias=[1]), r"bias: got \(1,\)"),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, match: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{match}"):
        call()


def test_functions_are_the_stages() -> None:
    draw = np.random.default_rng(11)
    x, w, bias = whole(draw, 2, 4, 4, 5), whole(draw, 6, 2, 2, 3), whole(draw, 6)
    made = cp.stages(x, w, bias, groups=2, order=NHWC, tile=[4, 5, 2])
    tiles = cp.tile_columns(made["im2col"], 4, 5, groups=2)
    filters = cp.tile_filters(made["fil2col"], 5, 2, groups=2)
    sums = cp.matmul_tiles(tiles, filters)
    assert [tiles.tolist(), filters.tolist()] == [made["tile_columns"].tolist(), made["tile_filters"].tolist()]
    assert sums.tolist() == made["matmul_tiles"].tolist()
    assert cp.sum_tiles(sums, made["sum_tiles"].shape, bias).tolist() == made["sum_tiles"].tolist()
    assert np.moveaxis(made["reshape"], -1, 1).tolist() == cp.conv(x, w, bias, groups=2).tolist()
    assert tiles.flags.c_contiguous
    assert filters.flags.c_contiguous


@pytest.mark.parametrize("shape", [(0, 2, 3, 3), (1, 2, 3, 3)])
def test_no_images_and_one(shape: tuple[int, ...]) -> None:
    made = cp.stages(np.ones(shape, int), np.ones((3, 2, 2, 2), int), tile=[4, 3, 2])
    assert made["reshape"].tolist() == np.full((shape[0], 2, 2, 3), 8).tolist()


# Runs


def test_a_run_archives_them_and_is_reproduced(tmp_path: Path) -> None:
    run = cp.run(
        "input=integers",
        "filters=integers",
        "lowering.tile=[8,16,4]",
        f"root={tmp_path}",
        "keep=stages",
    )
    usual = cp.run("input=integers", "filters=integers", f"root={tmp_path}")
    assert run.config["lowering"]["tile"] == [8, 16, 4]
    assert "tile" not in usual.config["lowering"]
    assert run.output.tolist() == usual.output.tolist()
    assert run["matmul_tiles"].shape == (1, 5, 1, 2, 8, 4)
    assert run.manifest["lowering"] == "im2col"
    assert "as stored" in str(cp.explain(run, at=(0, 0, 1, 1)))


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["lowering.tile=[1,2]"], r"lowering\.tile: got \[1, 2\], expected \[rows,K,F\], three sizes from 1"),
        (["lowering.tile=[1,2,0]"], r"lowering\.tile\[2\]: got 0, expected a whole number from 1"),
        (["lowering.tile=8"], r"lowering\.tile: got 8, expected \[rows,K,F\], three sizes from 1"),
        (
            ["lowering.tile=[8,8,8]", "lowering=implicit"],
            r"lowering\.tile: got \[8, 8, 8\], expected null, as no stage .* \(lowering=im2col does\)$",
        ),
        (
            ["lowering.tile=[8,8,8]", "experiment=grad_weights"],
            r"lowering\.tile: got \[8, 8, 8\], expected null, as no",
        ),
        (
            ["lowering.stages=[pad,im2col,tile_columns]"],
            r"lowering\.tile: got nothing, expected \[rows,K,F\], the size of the array",
        ),
    ],
)
def test_what_is_no_tile_or_finds_no_product_is_refused(words: list[str], match: str) -> None:
    with pytest.raises(ConfigError, match=f"^{match}"):
        cp.plan(*words)


def test_a_chain_of_one_s_own_has_them_where_it_multiplies() -> None:
    stages = "lowering.stages=[pad,im2col,fil2col,{matmul:{dtype:int64}},reshape]"
    plan = cp.plan(stages, "lowering.tile=[2,2,2]")
    assert plan.output.dtype == np.int64
    assert [step.op for step in plan.steps][3:-1] == ["tile_columns", "tile_filters", "matmul_tiles", "sum_tiles"]
    early = cp.plan("lowering.stages=[pad,im2col,tile_columns]", "lowering.tile=[2,2,2]")
    assert early.output.name == "column_tiles"


def test_a_network_s_convolutions_are_cut_too() -> None:
    plan = cp.plan("experiment=tiny", "lowering.tile=[16,16,16]")
    assert sum(step.op == "sum_tiles" for step in plan.steps) == 2
    found, usual = (cp.run("experiment=tiny", *words, archive=False) for words in (["lowering.tile=[16,16,16]"], []))
    np.testing.assert_allclose(found.output, usual.output, rtol=1e-5)


def test_a_sweep_over_tiles_and_orders_gives_one_result(tmp_path: Path) -> None:
    frame = cp.sweep(
        "input=integers",
        "filters=integers",
        f"root={tmp_path}",
        **{"lowering.tile": [None, (8, 8, 4), (16, 16, 16)], "lowering.order": list(ORDERS)},
    )
    assert len(frame) == 6
    assert len(set(frame["output_sha256"])) == 1
