"""What a dtype cannot hold: one rule for integers and floats, in every operation that sums or multiplies."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conv_cases import FLOATS, INTEGERS
from hypothesis import given, settings, strategies as st
from run_cases import a_place, edit_manifest, execute, network_spec, reseal

import convpipe as cp
from convpipe.archive.read import load
from convpipe.config.read import read_archived, read_spec
from convpipe.errors import ArchiveError, ConfigError, ConvpipeError, ValueRangeError
from convpipe.graph.spec import Spec, describe, told
from convpipe.ops import OPERATIONS
from convpipe.ops.arrays.totals import total, total_along
from convpipe.tensors import Array

SEEDS = st.integers(0, 2**32 - 1)


@dataclass(frozen=True)
class Call:
    """A function on arrays of one dtype whose result is `factor` times a value v, in every cell, or else not finite."""

    arrays: Callable[[Any, Any], list[Array]]  # from the value and the dtype
    function: Callable[..., Any]
    factor: float
    more: dict[str, Any] = field(default_factory=dict)
    result: Callable[[Any], Any] = lambda dtype: dtype  # the result's dtype

    def __call__(self, value: float, dtype: str, **chosen: Any) -> Array:
        return np.asarray(self.function(*self.arrays(value, dtype), **self.more, **chosen))


def full(*shape: int) -> Callable[[Any, Any], Array]:
    return lambda value, dtype: np.full(shape, value, dtype)


def ones(*shape: int) -> Callable[[Any, Any], Array]:
    return lambda value, dtype: np.full(shape, 1, dtype)


def each(*makers: Callable[[Any, Any], Array]) -> Callable[[Any, Any], list[Array]]:
    return lambda value, dtype: [make(value, dtype) for make in makers]


def grad_of_x(*arrays: Array, **chosen: Any) -> Array:
    return cp.conv_grad(*arrays, **chosen)[0]


def parameters(value: Any, dtype: Any) -> list[Array]:
    """Of `batch_norm` with a factor of 3."""
    return [np.full((1, 2, 3), value, dtype), *(np.full(2, each, dtype) for each in (3, 0, 0, 1))]


def lower_scores(value: Any, dtype: Any) -> list[Array]:
    return [np.array([[value, 0, 0]], dtype)]


def of_lower(x: Array, **chosen: Any) -> Array:
    return cp.log_softmax(x, **chosen)[:, 1:]


ROW = {"pads": ((1, 1),), "mode": "edge"}
SUMS = {  # integers and floats alike
    "add": Call(each(full(1, 2), full(1, 2), full(1, 2)), cp.add, 3),
    "add two": Call(each(full(1, 2), full(1, 2)), cp.add, 2),
    "add_bias": Call(each(full(2, 3), full(3)), cp.add_bias, 2),
    "col2im": Call(each(full(1, 4)), cp.col2im, 1, {"img_shape": (1, 1, 2, 2), "kh": 2, "kw": 2}),
    "col2im overlapping": Call(
        each(full(3, 3)), lambda col, **more: cp.col2im(col, (1, 1, 1, 5), 1, 3, **more)[..., 2:3], 3
    ),
    "conv": Call(each(full(1, 1, 4), ones(1, 1, 3)), cp.conv, 3),
    "conv implicit": Call(each(full(1, 1, 2, 2), ones(1, 1, 2, 2)), cp.conv, 4, {"lowering": "implicit"}),
    "conv with bias": Call(each(full(1, 1, 2), ones(1, 1, 1), full(1)), cp.conv, 2),
    "conv_transpose": Call(each(full(1, 3, 1), ones(3, 1, 2)), cp.conv_transpose, 3),
    "conv_grad of x": Call(each(ones(1, 1, 2), ones(3, 1, 2), full(1, 3, 1)), grad_of_x, 3),
    "crop": Call(each(full(1, 1, 4), full(1)), cp.crop, 2, {"pads": ((1, 1),)}),
    "dense": Call(each(full(2, 3), ones(3, 2)), cp.dense, 3),
    "implicit_gemm": Call(each(full(1, 1, 3), ones(1, 1, 3)), cp.implicit_gemm, 3, {"stride": 1, "dilation": 1}),
    "matmul": Call(each(full(2, 3), ones(2, 3)), cp.matmul, 3),
    "matmul with bias": Call(each(full(2, 3), ones(2, 3), full(2)), cp.matmul, 4),
    "matmul_columns": Call(each(full(3, 2), ones(3, 2)), cp.matmul_columns, 3),
    "stages": Call(each(full(1, 1, 3), ones(1, 1, 3)), lambda *a, **m: cp.stages(*a, **m)["matmul"], 3),
    "sum_rows": Call(each(full(3, 2)), cp.sum_rows, 3),
    "unpad": Call(each(full(1, 1, 3)), cp.unpad, 3, ROW),
    "unpad with bias": Call(each(full(1, 1, 3), full(1)), cp.unpad, 4, ROW),
}
PRODUCTS = {  # floats alone
    "batch_norm": Call(
        lambda v, d: [full(1, 2, 3)(v, d), *(ones(2)(v, d) * by for by in (3, 0, 0, 1))],
        cp.batch_norm,
        3,
        {"epsilon": 0},
    ),
    "leaky_relu": Call(lambda v, d: [-full(2)(v, d)], cp.leaky_relu, 3, {"slope": -3}),
    "log_softmax": Call(lower_scores, of_lower, -1),
    "scale": Call(each(full(2)), cp.scale, 4, {"divisor": 0.25}),
}
ALL = SUMS | PRODUCTS


def whole_limit(dtype: str, factor: float) -> tuple[int, int]:
    """The largest value whose result fits an integer dtype, and one whose does not."""
    most = np.iinfo(dtype).max // abs(int(factor))
    return most, most + 1


# The rule


@pytest.mark.parametrize("name", SUMS)
@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_never_wrap_unasked(name: str, dtype: str) -> None:
    call = SUMS[name]
    fits, beyond = whole_limit(dtype, call.factor)
    assert (call(fits, dtype).astype(object) == fits * int(call.factor)).all()
    if call.factor == 1:
        return
    on_the_way = dtype in ("int64", "uint64") and name in ("conv_transpose", "conv_grad of x")
    with pytest.raises(
        ValueRangeError, match=rf"^the exact sum {beyond * int(call.factor)}(, on .*,)? does not fit {dtype}"
    ):
        call(beyond, dtype, overflow="error")
    wrapped = np.array([beyond * int(call.factor)], object) & (2**64 - 1)
    assert (call(beyond, dtype, overflow="wrap") == wrapped.astype(np.uint64).astype(dtype)).all()
    if not on_the_way:
        assert (call(beyond, dtype, overflow="saturate") == np.iinfo(dtype).max).all()


@pytest.mark.parametrize(
    ("name", "sign"),
    [(name, sign) for name in ALL for sign in (1, -1) if sign > 0 or name not in ("log_softmax", "leaky_relu")],
)
@pytest.mark.parametrize("dtype", FLOATS)
def test_floats_never_overflow_unasked(name: str, dtype: str, sign: int) -> None:
    call, info = ALL[name], np.finfo(dtype)
    if name == "scale":
        call = Call(call.arrays, call.function, call.factor, {**call.more, "dtype": dtype})
    size = abs(call.factor)
    value = float(np.ldexp(np.finfo(dtype).max / 2, 0)) / size * sign
    close = call(value, dtype)
    assert np.isfinite(close).all()
    assert close.dtype == dtype
    np.testing.assert_allclose(close.astype(float), value * call.factor, rtol=2 * float(info.eps) + 1e-15)
    value = float(info.max) * sign
    if size == 1 and name != "log_softmax":
        return
    beyond = (
        call if name != "log_softmax" else Call(lambda v, d: [np.array([[v, -v, -v]], d)], call.function, call.factor)
    )
    with pytest.raises(ValueRangeError, match=rf"does not fit {dtype}.*overflow=inf$") as caught:
        beyond(value, dtype)
    assert len(str(caught.value).splitlines()) == 1
    infinite = beyond(value, dtype, overflow="inf")
    assert (infinite == math.copysign(math.inf, call.factor * value)).all()
    if dtype == "float64" and name in ("conv_transpose", "conv_grad of x"):
        return
    assert (beyond(value, dtype, overflow="saturate") == math.copysign(info.max, call.factor * value)).all()


@pytest.mark.parametrize("name", ALL)
def test_a_rule_is_for_its_kind_of_number(name: str) -> None:
    call = ALL[name]
    with pytest.raises(ConfigError, match=r"^overflow: got wrap, expected error, saturate or inf, as the result is f"):
        call(1, "float32", overflow="wrap")
    with pytest.raises(ConfigError, match=r"^overflow: got clip, expected one of error, wrap, saturate, inf$"):
        call(1, "float32", overflow="clip")
    if name in SUMS:
        with pytest.raises(ConfigError, match=r"^overflow: got inf, expected error, wrap or saturate, as the result "):
            call(1, "int32", overflow="inf")


def test_every_function_that_has_a_rule_is_here() -> None:
    from inspect import signature

    from test_arguments import FUNCTIONS

    with_rule = {name for name in FUNCTIONS if "overflow" in signature(getattr(cp, name)).parameters}
    means = {"avg_pool", "global_avg_pool"}  # of finite values finite, see below
    # below, and by way of others; and what narrows integers, see test_quantised_rules
    others = {"local_response_norm", "matmul_rows", "conv_grad", "requantize", "conv_quantized"}
    others |= {"sum_tiles", "matmul_tiles"}
    assert with_rule - means - others == {name.split()[0] for name in ALL} - {"conv_grad"}
    layers = {name for name in OPERATIONS.ours() if "overflow" in {*OPERATIONS.get("", name).__dataclass_fields__}}
    assert means | {"add", "batch_norm", "conv", "dense", "leaky_relu", "log_softmax", "scale"} <= layers


# Operands that are not finite pass through, each in its own cells


@pytest.mark.parametrize("name", ["conv", "matmul", "dense", "add", "sum_rows", "unpad", "conv_transpose"])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("odd", [math.inf, -math.inf, math.nan])
def test_what_is_not_finite_passes_through(name: str, dtype: str, odd: float) -> None:
    call = ALL[name]
    got = call(odd, dtype)
    assert (np.isnan(got) if math.isnan(odd) else got == odd).all()


def test_an_overflow_beside_an_infinity_is_seen() -> None:
    rows = np.array([[math.inf, 1], [3e38, 3e38]], np.float32)
    with pytest.raises(ValueRangeError, match=r"^the result 6e\+38 does not fit float32"):
        cp.matmul(rows, np.ones((1, 2), np.float32))
    assert cp.matmul(rows, np.ones((1, 2), np.float32), overflow="saturate").ravel().tolist() == [
        math.inf,
        float(np.finfo(np.float32).max),
    ]


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_sum_that_only_left_its_range_on_the_way_is_right(dtype: str) -> None:
    most = float(np.finfo(dtype).max)
    row = np.array([[most, most, -most, -most, 1]], dtype)
    for overflow in ("error", "saturate"):
        assert abs(cp.matmul(row, np.ones_like(row), overflow=overflow).item()) <= most * 1e-3
        assert cp.sum_rows(row.T, overflow=overflow).tolist() == [1.0] or dtype == "float64"
        assert cp.add(*(row[:, at : at + 1] for at in range(4)), overflow=overflow).tolist() == [[0.0]]
    assert cp.matmul(row[:, :3], np.ones((1, 3), dtype)).item() == most


def test_the_sign_of_a_saturated_sum_is_that_of_the_true_one() -> None:
    row = np.array([[1e308, 1e308, -1e308, -1e308, -1e308, -1e308]])  # +inf first, from left to right
    assert cp.matmul(row, np.ones_like(row), overflow="saturate").item() == -np.finfo(float).max
    assert cp.add(*row.T[:, :, None], overflow="saturate").item() == -np.finfo(float).max
    assert cp.sum_rows(row.T, overflow="saturate").item() == -np.finfo(float).max


def test_logarithms_of_0_and_divisions_by_it_are_ieees() -> None:
    one = np.ones(1)
    assert cp.batch_norm(np.array([[2.0]]), one, one, one, 0 * one, epsilon=0).tolist() == [[math.inf]]
    assert np.isnan(cp.batch_norm(np.array([[1.0]]), one, one, one, 0 * one, epsilon=0)).all()
    assert np.isnan(cp.local_response_norm(np.zeros((1, 1, 1)), k=0)).all()
    assert cp.softmax(np.array([[0.0, -math.inf]])).tolist() == [[1.0, 0.0]]
    assert cp.log_softmax(np.array([[0.0, -math.inf]])).tolist() == [[0.0, -math.inf]]


# Means


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("function", [lambda x, **m: cp.avg_pool(x, x.shape[2:], **m), cp.global_avg_pool])
def test_a_mean_lies_between_its_cells(function: Callable[..., Array], dtype: str) -> None:
    most = np.finfo(dtype).max
    for value in (0.1, 1 / 3, 255, float(most), float(np.finfo(dtype).tiny)):
        x = np.full((1, 1, 30, 31), value, dtype)
        assert function(x).tolist() == [[[[x[0, 0, 0, 0].item()]]]]
    mixed = np.array([[[most, most, -most, most / 2]]], dtype)
    true = float(sum(map(Fraction, mixed[0, 0].tolist())) / 4)
    assert function(mixed).item() == np.dtype(dtype).type(true)
    if dtype == "float64":
        assert function(mixed, overflow="inf").item() in (math.inf, -math.inf) or math.isnan(
            function(mixed, overflow="inf").item()
        )


def test_a_large_window_of_float32_is_right() -> None:
    x = np.full((1, 1, 300, 300), 255, np.float32)
    assert cp.avg_pool(x, 300).tolist() == cp.global_avg_pool(x).tolist() == [[[[255.0]]]]


def test_means_of_large_integers_are_exact() -> None:
    x = np.array([[[2**62 + 1, -(2**62)]]])
    assert cp.avg_pool(x, 2).tolist() == cp.global_avg_pool(x).tolist() == [[[0.5]]]
    assert cp.avg_pool(np.array([[[2**64 - 1, 2**64 - 3]]], np.uint64), 2).tolist() == [[[float(2**64 - 2)]]]


# Long sums


@given(st.integers(1, 2000), st.sampled_from(FLOATS), st.sampled_from([0, 1]), SEEDS)
@settings(max_examples=60)
def test_long_sums_are_within_their_bounds(terms: int, dtype: str, axis: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    with np.errstate(over="ignore"):
        x = (generator.standard_normal(terms) * 10.0 ** generator.integers(-4, 4, terms)).astype(dtype)
    true, size = sum(map(Fraction, x.tolist()), Fraction(0)), sum(map(Fraction, np.abs(x).tolist()), Fraction(0))
    unit = Fraction(1, 2**53)
    added = total((1,), x.dtype, ((slice(None), x[at : at + 1]) for at in range(terms)))
    error = abs(Fraction(added.item()) - true)
    compensated = unit * abs(true) + 2 * (terms * unit) ** 2 * size
    assert error <= (compensated if dtype == "float64" else 2 * terms * unit * size)
    table = np.stack([x, x], 1 - axis)
    along = total_along(np.asfortranarray(table), axis)
    assert along.shape == ((1, 2) if axis == 0 else (2, 1))
    bound = compensated if dtype == "float64" else 2 * terms * unit * size
    assert all(abs(Fraction(found) - true) <= bound for found in along.ravel().tolist())


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_probabilities_of_many_classes_add_up(axis: int) -> None:
    x = np.random.default_rng(0).standard_normal((2, 50_000, 2) if axis == 1 else (2, 2, 50_000)).astype(np.float32)
    made = cp.softmax(x, axis)
    np.testing.assert_allclose(made.astype(np.float64).sum(axis), 1, rtol=1e-7)
    true = np.exp(x.astype(np.float64) - x.max(axis, keepdims=True))
    np.testing.assert_allclose(made, true / true.sum(axis, keepdims=True), rtol=1e-6)
    logarithms = cp.log_softmax(x, axis)
    np.testing.assert_allclose(logarithms, np.log(true / true.sum(axis, keepdims=True)), rtol=1e-6)


@pytest.mark.parametrize("size", [3, 9, 100])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_taps_of_a_large_kernel_are_added_up_as_well(size: int, dtype: str) -> None:
    x, w = np.full((1, 1, size, size), 0.1, dtype), np.ones((1, 1, size, size), dtype)
    true = float(size**2 * Fraction(x[0, 0, 0, 0].item()))
    middle = cp.conv_transpose(x, w)[0, 0, size - 1, size - 1].item()
    assert abs(middle - true) <= (8 if size < 9 else 1) * float(np.spacing(np.dtype(dtype).type(true)))
    grad = np.full((1, 1, 1, 1), 0.1, dtype)
    assert cp.conv_grad(x, w, grad)[2].item() == grad.item()


def test_squares_beyond_float32_are_normalised() -> None:
    x = np.array([[[1e20], [1.0]]])
    true = x / (1 + 1e-4 / 5 * (x**2).sum()) ** 0.75
    np.testing.assert_allclose(cp.local_response_norm(x.astype(np.float32)), true.astype(np.float32), rtol=1e-6)
    huge = np.array([[[1e200], [3.0]]])  # whose squares float64 does not hold
    ratio = 10 ** (-0.75 * (math.log10(1e-4 / 5) + 400))
    np.testing.assert_allclose(cp.local_response_norm(huge), huge * ratio, rtol=1e-9)
    assert cp.local_response_norm(huge, overflow="inf").tolist() == [[[0.0], [0.0]]]
    with pytest.raises(ValueRangeError, match=r"^the result .*does not fit float64"):
        cp.local_response_norm(huge, beta=-1)


def test_a_batch_norm_through_float32s_ends() -> None:
    one = np.ones(1, np.float32)
    x, least = np.array([[3e38]], np.float32), np.array([-3e38], np.float32)
    assert cp.batch_norm(x, one / 4, 0 * one, least, one, epsilon=0).tolist() == [[float(np.float32(1.5e38))]]
    with pytest.raises(ValueRangeError, match=r"^the result 1\.8e\+39 does not fit float32"):
        cp.batch_norm(x, 3 * one, 0 * one, least, one, epsilon=0)


# In runs


def of_half(role: str, value: int, *shape: int) -> list[str]:
    """An array of one value in float16, in the words of a command line."""
    numbers = str(np.full(shape, value).tolist()).replace(" ", "")
    return [f"{role}=values", f"{role}.values={numbers}", f"{role}.dtype=float16"]


HALF = [*of_half("input", 60000, 1, 1, 3, 3), *of_half("filters", 3, 1, 1, 3, 3)]


def test_a_float_that_overflows_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        cp.run(*HALF, root=tmp_path)
    expected = (
        r"conv.dtype: got float16, expected a dtype that holds every sum (the result 1.62e+06 does not fit float16 "
        r"(-65504 to 65504); choose a wider dtype, conv.overflow=saturate or conv.overflow=inf)"
    )
    assert str(caught.value) == expected
    assert not [*tmp_path.rglob("manifest.json")]


@pytest.mark.parametrize(
    ("advice", "value"),
    [("conv.overflow=saturate", 65504), ("conv.overflow=inf", math.inf), ("conv.dtype=float32", 27 * 60000)],
)
def test_the_advice_works(advice: str, value: float, tmp_path: Path) -> None:
    made = cp.run(*HALF, advice, root=tmp_path)
    assert set(made.output.ravel().tolist()) == {value}
    assert cp.reproduce(made.path).verdict == "reproduced"
    if value < math.inf:
        assert "but" not in str(cp.explain(made, "0,0,0,0")).splitlines()[-1]


@pytest.mark.parametrize(
    "more", [["conv=transpose"], ["conv=grad_input", *of_half("grad", 60000, 1, 1, 1, 1)]], ids=lambda more: more[0]
)
def test_the_adjoints_of_a_run_too(more: list[str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^conv\.dtype: got float16, .*the result .* does not fit float16"):
        cp.run(*HALF, *more, root=tmp_path)
    made = cp.run(*HALF, *more, "conv.overflow=saturate", root=tmp_path)
    assert made.output.max() == 65504


def half_network(**layer: Any) -> Spec:
    """A network whose only layer makes 100000 of float16."""
    network = {"half": {"op": "scale", "divisor": 1e-3, "dtype": "float16", **layer}}
    return network_spec(network, {"input.shape": [1, 1, 2, 2], "input.low": 100, "input.high": 101})


def test_a_layer_says_its_key_and_takes_its_rule(tmp_path: Path) -> None:
    def made(**layer: Any) -> set[float]:
        return set(execute(half_network(**layer), a_place(tmp_path)).run.output.ravel().tolist())

    expected = (
        "network.half.overflow: got error, expected sums that fit (the result 100000 does not fit float16 "
        "(-65504 to 65504); choose a wider dtype, network.half.overflow=saturate or network.half.overflow=inf)"
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(expected)}$"):
        made()
    assert made(overflow="saturate") == {65504.0}
    assert made(overflow="inf") == {math.inf}
    with pytest.raises(ConfigError, match=r"^network\.half\.overflow: got wrap, expected error, saturate or inf, as "):
        made(overflow="wrap")


@pytest.mark.parametrize(
    ("stage", "settings", "value"),
    [
        ("scale", "divisor: 0.001, dtype: float16", 65504),
        ("leaky_relu", "slope: -400", 65504),
        ("local_response_norm", "alpha: 0, k: 0.000001, beta: 1", 65504),
    ],
)
def test_the_advice_on_a_stage_with_a_rule_of_its_own_works(
    stage: str, settings: str, value: float, folder: Path
) -> None:
    half = "{source: lecture, values: [[-200]], dtype: float16}"
    chain = "lowering: {{stages: [pad, im2col, fil2col, matmul, {1}]}}\n"
    text = "input: {0}\nfilters: {{values: [[1]], dtype: float16}}\n" + chain
    (folder / "own.yaml").write_text(text.format(half, f"{{{stage}: {{{settings}}}}}, reshape"))
    line = (
        rf"^lowering\.stages\[4\]\.{stage}\.overflow: got error, .* lowering\.stages\[4\]\.{stage}\.overflow=saturate"
    )
    with pytest.raises(ConfigError, match=line):
        cp.run("own.yaml", archive=False)
    with pytest.raises(ConfigError, match=line):
        cp.run("own.yaml", "conv.overflow=saturate", archive=False)
    (folder / "own.yaml").write_text(text.format(half, f"{{{stage}: {{{settings}, overflow: saturate}}}}, reshape"))
    assert abs(cp.run("own.yaml", archive=False).output.item()) == value


def test_the_advice_on_a_product_with_a_rule_of_its_own_names_the_stage(folder: Path) -> None:
    stages = "[pad, im2col, fil2col, {matmul: {dtype: int8}}, {relu: {}}, reshape]"
    layer = f"{{op: conv, filters: 1, kernel: 1, bias: false, stages: {stages}}}"
    (folder / "own.yaml").write_text(
        "input: [[300]]\nweights: {source: npz, path: w.npz}\nnetwork:\n  c: " + layer + "\n"
    )
    np.savez(folder / "w.npz", **{"c.weight": np.ones((1, 1, 1, 1), np.int16)})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"^network\.c\.overflow: .* network\.c\.overflow=saturate"):
        cp.run("own.yaml", archive=False)
    assert cp.run("own.yaml", "network.c.overflow=saturate", archive=False).output.item() == 127


@pytest.mark.parametrize("rule", ["wrap", "saturate"])
def test_a_stage_that_asks_for_an_error_never_wraps(rule: str, tmp_path: Path) -> None:
    words = ("conv.dtype=int8", "input.values=[[100,100]]", "filters.values=[[1,1]]", f"root={tmp_path}")
    chain = "lowering.stages=[pad,im2col,fil2col,{matmul:{overflow:error}},reshape]"
    got = rf"^lowering\.stages\[3\]\.matmul\.overflow: got error, expected {rule}, as the convolution has it"
    with pytest.raises(ConfigError, match=got):
        cp.run(chain, f"conv.overflow={rule}", *words)
    with pytest.raises(ConfigError, match=r"the exact sum 200 does not fit int8"):
        cp.run(chain, *words)
    plain = cp.run("conv.dtype=int8", f"root={tmp_path}")  # where nothing overflows, the default said is no other run
    assert cp.run(chain, "conv.dtype=int8", f"root={tmp_path}").folder == plain.folder


def test_a_stage_that_asks_for_its_own_dtype_is_not_narrowed(tmp_path: Path) -> None:
    chain = "lowering.stages=[pad,im2col,fil2col,{matmul:{dtype:null}},reshape]"
    with pytest.raises(
        ConfigError, match=r"^lowering\.stages\[3\]\.matmul\.dtype: got nothing, expected int64, as the c"
    ):
        cp.run(chain, "conv.dtype=int64", f"root={tmp_path}")


def test_a_rule_at_its_default_changes_no_id() -> None:
    plain, spoken, other = half_network(), half_network(overflow="error"), half_network(overflow="inf")
    assert describe(plain).identity == describe(spoken).identity != describe(other).identity
    assert b"overflow" not in describe(spoken).yaml


# Settings that were there when the first runs were archived: each that came later is left out at its default.
FIRST = {
    "avg_pool": ["kernel", "stride", "pad", "ceil_mode", "count_include_pad"],
    "add": [],
    "batch_norm": ["scale", "shift", "mean", "variance", "epsilon"],
    "dense": ["units", "weights", "bias", "layout"],
    "global_avg_pool": [],
    "leaky_relu": ["slope"],
    "local_response_norm": ["size", "alpha", "beta", "k"],
    "log_softmax": ["axis"],
    "scale": ["divisor", "dtype"],
}


@pytest.mark.parametrize("name", FIRST)
def test_settings_that_came_later_change_no_id(name: str) -> None:
    kind = OPERATIONS.get("", name)
    needed = {"kernel": 2} if name == "avg_pool" else {}
    assert list(told(kind(**needed))) == FIRST[name]
    assert list(told(kind(**needed, overflow="inf"))) == [*FIRST[name], "overflow"]


# Archives of before, when floats overflowed in silence


def as_format_1(folder: Path, was: str, then: str) -> None:
    """A run as that code left it: another rule in its config, format 1 in its manifest."""
    config = (folder / "config.yaml").read_text()
    assert was in config
    (folder / "config.yaml").write_text(config.replace(was, then))
    identity = describe(read_spec(load(folder).config)).identity
    reseal(folder, format=1, run_id=identity)


@pytest.mark.parametrize("then", ["error", "wrap", "saturate"])
def test_an_overflow_of_format_1_is_reproduced(then: str, tmp_path: Path) -> None:
    made = cp.run(*HALF, "conv.overflow=inf", "keep=stages", root=tmp_path)
    as_format_1(made.folder, 'overflow: "inf"', f"overflow: {then}")
    assert cp.reproduce(made.folder).verdict.startswith("reproduced")
    last = str(cp.explain(made.folder, "0,0,0,0")).splitlines()[-1]
    assert last.endswith("stored as inf, as overflow=inf has it")
    edit_manifest(made.folder, format=2)
    with pytest.raises(ConvpipeError, match=r"^conv\.(dtype|overflow): got |differs"):
        cp.reproduce(made.folder)


def test_a_stage_of_format_1_with_a_rule_of_its_own_is_reproduced(tmp_path: Path) -> None:
    stages = "lowering.stages=[pad,im2col,fil2col,{matmul:{overflow:saturate,dtype:float16}},reshape]"
    made = cp.run(*HALF, stages, root=tmp_path)
    edit_manifest(made.folder, format=1)
    spec = read_archived(load(made.folder))
    assert dict(spec.lowering.stages[3].settings) == {"overflow": "inf", "dtype": "float16"}
    with pytest.raises(ArchiveError, match=r"stage 'matmul' differs: .* was 65504.0, is now inf"):
        cp.reproduce(made.folder)  # as code of then would have archived infinity


@pytest.mark.parametrize(
    ("dtype", "cell", "stage", "rule"),
    [
        ("int64", "-1000000", "{scale: {divisor: 1e-3, dtype: float16, overflow: inf}}", ', overflow: "inf"'),
        ("float64", "-1e30", "{leaky_relu: {overflow: inf, slope: -1e300}}", 'overflow: "inf", '),
    ],
)
def test_a_stage_of_format_1_that_is_no_product_is_reproduced(
    dtype: str, cell: str, stage: str, rule: str, tmp_path: Path
) -> None:
    words = [
        "input=values",
        f"input.values=[[{cell}]]",
        f"input.dtype={dtype}",
        "filters=values",
        "filters.values=[[1]]",
    ]
    made = cp.run(*words, f"lowering.stages=[pad,im2col,fil2col,matmul,{stage},reshape]", root=tmp_path)
    assert math.isinf(made.output.item())
    as_format_1(made.folder, rule, "")
    assert cp.reproduce(made.folder).verdict.startswith("reproduced")


def test_integers_of_format_1_keep_their_rule(tmp_path: Path) -> None:
    words = ("input=integers", "filters=integers", "conv.dtype=int8", "input.high=100", "conv.overflow=wrap")
    made = cp.run(*words, root=tmp_path)
    edit_manifest(made.folder, format=1)
    assert read_archived(load(made.folder)).conv.overflow == "wrap"  # type: ignore[union-attr]
    assert cp.reproduce(made.folder).verdict.startswith("reproduced")


def test_a_network_of_format_1_is_reproduced(tmp_path: Path) -> None:
    made = execute(half_network(overflow="inf"), a_place(tmp_path)).run
    as_format_1(made.folder, '    overflow: "inf"\n', "")
    assert read_archived(load(made.folder)).network["half"].operation.overflow == "inf"  # type: ignore[attr-defined,index]
    assert cp.reproduce(made.folder).verdict.startswith("reproduced")


def test_a_transposed_convolution_of_format_1_is_reproduced(tmp_path: Path) -> None:
    made = cp.run(*HALF, "conv=transpose", "conv.overflow=inf", root=tmp_path)
    assert np.isinf(made.output).any()
    as_format_1(made.folder, 'overflow: "inf"', "overflow: error")
    assert cp.reproduce(made.folder).verdict.startswith("reproduced")
