"""The order of columns: what lies where, that results do not depend on it, and how it is typed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from column_cases import GEOMETRIES, NHWC, lying, operations, places, plain_columns, plain_rows
from form_cases import whole
from test_forms import check_values

import convpipe as cp
from convpipe.config.typed import typed
from convpipe.errors import ConfigError
from convpipe.geometry.columns import ORDERS, Columns, Patch
from convpipe.tensors import Array

IN_ORDER = Columns(NHWC)


# What lies where


@pytest.mark.parametrize(("rank", "groups", "stride", "dilation"), GEOMETRIES)
@pytest.mark.parametrize("order", ORDERS)
def test_columns_and_filters_lie_as_plain_loops_lay_them(
    rank: int, groups: int, stride: int, dilation: int, order: Any
) -> None:
    _, settings, arrays = next(operations(rank, groups, stride, dilation))
    made = lying("conv", settings, Columns(order), **arrays).arrays
    kernel = arrays["filters"].shape[2:]
    assert made["columns"].tolist() == plain_columns(made["padded"], kernel, stride, dilation, groups, order)
    assert made["filter_matrix"].tolist() == plain_rows(arrays["filters"], order)


@pytest.mark.parametrize(("rank", "groups", "stride", "dilation"), GEOMETRIES)
def test_the_matrices_of_adjoints_lie_so_too(rank: int, groups: int, stride: int, dilation: int) -> None:
    for op, settings, arrays in operations(rank, groups, stride, dilation):
        made = lying(op, settings, IN_ORDER, **arrays).arrays
        usual = lying(op, settings, Columns(), **arrays).arrays
        w = arrays["filters"]
        depth, kernel = w.shape[1], w.shape[2:]
        if "tap_matrix" in made:
            count = len(w) // groups
            expected = [
                [int(w[(group * count + f, channel, *tap)]) for f in range(count)]
                for group in range(groups)
                for channel, tap in places(depth, kernel, 1, NHWC)
            ]
            assert made["tap_matrix"].tolist() == expected
        at = {place: column for column, place in enumerate(places(depth * groups, kernel, groups, ORDERS[0]))}
        turned = [at[place] for place in places(depth * groups, kernel, groups, NHWC)]
        for name in ("tap_columns", "columns"):
            if name in made:
                assert made[name].tolist() == usual[name][:, turned].tolist(), (op, name)
        if "grad_filter_matrix" in made:
            own = [ORDERS[0], NHWC]
            first, second = (places(depth, kernel, 1, order) for order in own)
            columns = [first.index(place) for place in second]
            assert made["grad_filter_matrix"].tolist() == usual["grad_filter_matrix"][:, columns].tolist()


@pytest.mark.parametrize(("rank", "groups", "stride", "dilation"), GEOMETRIES)
def test_results_do_not_depend_on_it(rank: int, groups: int, stride: int, dilation: int) -> None:
    for op, settings, arrays in operations(rank, groups, stride, dilation):
        made, usual = (lying(op, settings, columns, **arrays) for columns in (IN_ORDER, Columns()))
        assert made.result.dtype == usual.result.dtype
        assert made.result.tolist() == usual.result.tolist(), op


@pytest.mark.parametrize("dtype", ["int64", "float32"])
def test_large_sums_do_not_depend_on_it(dtype: str) -> None:
    draw = np.random.default_rng(1)
    columns = draw.integers(-(2**61), 2**61, (2 * 3 * 3, 4 * 2 * 2)).astype(dtype)
    if dtype == "float32":
        columns[3:5, 2] = np.finfo(np.float32).max, np.inf
    at = [*places(4, (2, 2), 2, ORDERS[0])]
    turned = columns[:, [at.index(place) for place in places(4, (2, 2), 2, NHWC)]]
    usual = cp.col2im(columns, (2, 4, 4, 4), 2, 2)
    assert cp.col2im(turned, (2, 4, 4, 4), 2, 2, order=NHWC, groups=2).tolist() == usual.tolist()


@pytest.mark.parametrize(("rank", "groups", "stride", "dilation"), GEOMETRIES)
def test_the_forms_of_all_stages_follow(rank: int, groups: int, stride: int, dilation: int) -> None:
    for op, settings, arrays in operations(rank, groups, stride, dilation):
        for case in lying(op, settings, IN_ORDER, **arrays).stages():
            check_values(case)


@pytest.mark.parametrize(
    ("rank", "groups", "columns", "matrix"),
    [
        (1, 1, "kw*C", "kw*C"),
        (2, 1, "kh*kw*C", "kh*kw*C"),
        (3, 1, "kd*kh*kw*C", "kd*kh*kw*C"),
        (2, 2, "G*kh*kw*C/G", "kh*kw*C/G"),
    ],
)
def test_the_letters_of_the_axes_say_it(rank: int, groups: int, columns: str, matrix: str) -> None:
    _, settings, arrays = next(operations(rank, groups, 1, 1))
    tensors = lying("conv", settings, IN_ORDER, **arrays).tensors
    assert tensors["columns"].axes[1] == columns
    assert tensors["filter_matrix"].axes[1] == matrix


def test_a_patch_of_no_channels_has_no_columns() -> None:
    patch = Patch(0, (2, 2), order=NHWC)
    assert (patch.size, patch.shape) == (0, (2, 2, 0))


# Functions


def test_functions_take_it_by_name() -> None:
    x, w = np.arange(2 * 4 * 5 * 5).reshape(2, 4, 5, 5), np.arange(6 * 2 * 3 * 2).reshape(6, 2, 3, 2)
    columns = cp.im2col(x, 3, 2, stride=2, order=NHWC, groups=2)
    assert columns.tolist() == plain_columns(x, (3, 2), 2, 1, 2, NHWC)
    matrix = cp.fil2col(w, order=NHWC)
    assert matrix.tolist() == plain_rows(w, NHWC)
    assert cp.col2fil(matrix, w.shape, order=NHWC).tolist() == w.tolist()
    product = cp.matmul(columns, matrix, groups=2)
    assert product.tolist() == cp.matmul(cp.im2col(x, 3, 2, stride=2), cp.fil2col(w), groups=2).tolist()
    folded = cp.col2im(columns, x.shape, 3, 2, stride=2, order=NHWC, groups=2)
    assert folded.tolist() == cp.col2im(cp.im2col(x, 3, 2, stride=2), x.shape, 3, 2, stride=2).tolist()
    taps = cp.fil2row(w, 2, order=NHWC)
    assert taps[: 3 * 2 * 2].tolist() == matrix[:3].T.tolist()
    made = cp.stages(x, w, groups=2, order=NHWC)
    assert made["im2col"].tolist() == cp.im2col(x, 3, 2, order=NHWC, groups=2).tolist()


@pytest.mark.parametrize(
    "call",
    [
        lambda: cp.im2col(np.ones((1, 1, 3, 3)), 2, 2, order="kw,kh,C"),
        lambda: cp.fil2col(np.ones((1, 1, 2, 2)), order="kw,kh,C"),
        lambda: cp.fil2row(np.ones((1, 1, 2, 2)), order="kw,kh,C"),
        lambda: cp.col2fil(np.ones((1, 4)), (1, 1, 2, 2), order="kw,kh,C"),
        lambda: cp.col2im(np.ones((4, 4)), (1, 1, 3, 3), 2, 2, order="kw,kh,C"),
        lambda: cp.stages(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), order="kw,kh,C"),
    ],
)
def test_another_order_is_refused(call: Any) -> None:
    with pytest.raises(ConfigError, match=r"^order: got kw,kh,C, expected one of C,kh,kw or kh,kw,C"):
        call()


def test_groups_that_do_not_divide_the_channels_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^groups: got 2, expected a divisor of the 3 channels"):
        cp.im2col(np.ones((1, 3, 3, 3)), 2, 2, groups=2)


# Accumulators


def test_an_accumulator_adds_in_its_own_order_however_columns_lie() -> None:
    draw = np.random.default_rng(3)
    x, w = whole(draw, 2, 4, 4, 4, dtype="int8"), whole(draw, 4, 2, 2, 2, dtype="int8")
    for order in ORDERS:
        quant = {"accumulator": {"bits": 8, "overflow": "saturate", "every": "step", "order": order}}
        made = [
            lying("conv", {"groups": 2, "bias": False}, columns, "quantized", quant, input=x, filters=w).arrays
            for columns in (Columns(), IN_ORDER)
        ]
        assert made[0]["product"].tolist() == made[1]["product"].tolist()
        expected = []
        for row in plain_columns(x, (2, 2), 1, 1, 2, order):
            for f, weights in enumerate(plain_rows(w, order)):
                total = 0
                for a, b in zip(row[f // 2 * 8 :], weights, strict=False):
                    total = min(max(total + a * b, -128), 127)
                expected.append(total)
        assert made[0]["product"].ravel().tolist() == expected


# As it is typed


@pytest.mark.parametrize(
    ("word", "several", "found"),
    [
        ("lowering.order=kh,kw,C", False, "lowering.order='kh,kw,C'"),
        ("lowering.order=kh,kw,C", True, "lowering.order='kh,kw,C'"),
        ("lowering.order=C,kh,kw,kh,kw,C", True, "lowering.order='C,kh,kw','kh,kw,C'"),
        ("lowering.order=\"C,kh,kw\",'kh,kw,C'", True, "lowering.order='C,kh,kw','kh,kw,C'"),
        ("quant.accumulator.order=kh,kw,C", False, "quant.accumulator.order='kh,kw,C'"),
        ("lowering.order=kh,kw", False, "lowering.order=kh,kw"),
        ("seed=1,2", True, "seed=1,2"),
    ],
)
def test_commas_within_a_name_need_no_quotes(word: str, several: bool, found: str) -> None:
    assert typed(word, several) == [found]


def test_a_run_says_it_in_config_stages_and_manifest(tmp_path: Path) -> None:
    run = cp.run("lowering.order=kh,kw,C", "experiment=lecture_4d", f"root={tmp_path}", "keep=stages")
    usual = cp.run("experiment=lecture_4d", f"root={tmp_path}", "keep=stages")
    assert run.config["lowering"]["order"] == NHWC
    assert "order" not in usual.config["lowering"]
    assert run.manifest["axes"]["im2col"][1] == "kh*kw*C"
    assert run["im2col"].tolist() == plain_columns_of(run["pad"])
    assert cp.reproduce(run.path).verdict == "reproduced"
    assert run.manifest["lowering"] == "im2col"


def plain_columns_of(padded: Array) -> list[list[float]]:
    """The columns of `lecture_4d`."""
    return [
        [padded[0, channel, y + i, x + j].item() for i in range(3) for j in range(3) for channel in range(3)]
        for y in range(5)
        for x in range(5)
    ]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["lowering=implicit"], r" \(lowering=im2col does\)"),
        (["lowering=auto"], r" \(lowering=im2col does\)"),
        (["experiment=grad_bias"], ""),
    ],
)
def test_a_lowering_without_columns_refuses_it(words: list[str], hint: str) -> None:
    match = rf"^lowering\.order: got kh,kw,C, expected C,kh,kw, as no stage of the chain has columns{hint}$"
    with pytest.raises(ConfigError, match=match):
        cp.plan(*words, "lowering.order=kh,kw,C")


def test_the_advice_of_that_works() -> None:
    assert cp.plan("lowering=im2col", "lowering.order=kh,kw,C").axes["im2col"][1] == "kh*kw*C"


def test_all_convolutions_of_a_network_have_it() -> None:
    words = ("experiment=tiny", "lowering.order=kh,kw,C")
    plan = cp.plan(*words)
    letters = [axes[1] for name, axes in plan.axes.items() if name.endswith("/im2col")]
    assert letters == ["kh*kw*C"] * len(letters)
    assert len(letters) > 1
    found, usual = (cp.run(*each, archive=False) for each in (words, words[:1]))
    assert found.output.shape == usual.output.shape
    np.testing.assert_allclose(found.output, usual.output, rtol=1e-5)


def test_a_network_without_columns_refuses_it() -> None:
    with pytest.raises(ConfigError, match=r"^lowering\.order: got kh,kw,C, expected C,kh,kw, as no stage"):
        cp.plan("experiment=tiny", "lowering=implicit", "lowering.order=kh,kw,C")


def test_a_sweep_over_it_gives_one_result(tmp_path: Path) -> None:
    frame = cp.sweep(
        "input=integers", "filters=integers", f"root={tmp_path}", **{"lowering.order": list(ORDERS), "seed": [1, 2]}
    )
    assert len(frame) == 4
    assert len(set(frame["output_sha256"])) == 2
    assert len(set(frame["run"])) == 4
