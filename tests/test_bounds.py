"""Each operation's rule for errors: no right result is beyond it, and it is not much more than what occurs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
from network_cases import RESIDUAL, given, planned, weights_of
from run_cases import FLOATS, a_spec, network_spec

from convpipe import reference
from convpipe.execution.bounds import bounded_run, has_rule, step_error, without_rule
from convpipe.execution.inputs import make_arrays
from convpipe.graph.work import plan_work
from convpipe.ops import OPERATIONS, Operation
from convpipe.ops.arrays.bounds import FUNCTION_ULPS, Bounded, exact_sums, float_bound, known, rounding
from convpipe.ops.kinds.convolving import Convolving
from convpipe.reference import layers as oracle

Array = np.ndarray[Any, Any]
DTYPES = ("float16", "float32", "float64")
IMAGES = (2, 3, 4, 5)
ROWS = (3, 7)
ALMOST = 1e-30  # an error so small that it changes no value, of one cell: then roundings are all that there is


# Every operation has one


@pytest.mark.parametrize("name", OPERATIONS.ours())
def test_every_operation_of_ours_has_a_rule(name: str) -> None:
    kind = OPERATIONS.get("op", name)
    assert issubclass(kind, Convolving) or kind.moves or kind.integers or kind.error is not Operation.error


def test_what_moves_values_moves_errors() -> None:
    moving = {name for name in OPERATIONS.ours() if OPERATIONS.get("op", name).moves}
    assert moving == {
        "im2col", "fil2col", "fil2row", "col2fil", "reshape", "rows",
        "flatten", "transpose", "upsample", "concat", "dropout", "tile_columns", "tile_filters", "weight_rows",
    }  # fmt: skip
    assert not any(OPERATIONS.get("op", name).varies for name in moving)


# Against the oracle


@dataclass(frozen=True)
class Case:
    """A layer, the oracle of it, and numbers to try it on."""

    op: str
    settings: dict[str, Any]
    oracle: Callable[..., Array]
    shape: tuple[int, ...] = IMAGES
    sides: Callable[[np.random.Generator], dict[str, Array]] = lambda bits: {}
    count: int = 1
    size: float = 2.0
    loose: float = 100.0  # how many times what occurs the bound may be


def of_filters(*shape: int) -> Callable[[np.random.Generator], dict[str, Array]]:
    def sides(bits: np.random.Generator) -> dict[str, Array]:
        return {"weights": bits.normal(size=shape), "bias": bits.normal(size=shape[1])}

    return sides


def of_channels(bits: np.random.Generator) -> dict[str, Array]:
    numbers = {name: bits.normal(size=3) for name in ("scale", "shift", "mean")}
    return {**numbers, "variance": bits.uniform(0.01, 4, 3)}


def mean_of_all(x: Array) -> Array:
    return oracle.avg_pool(x, x.shape[2:])


def largest_of_all(x: Array) -> Array:
    return oracle.max_pool(x, x.shape[2:])


LAYERS = [
    Case("relu", {}, oracle.relu),
    Case("clip", {"low": -0.5, "high": 1}, partial(oracle.clip, low=-0.5, high=1)),
    Case("leaky_relu", {"slope": 0.25}, partial(oracle.leaky_relu, slope=0.25)),
    Case("leaky_relu", {"slope": -3}, partial(oracle.leaky_relu, slope=-3)),
    Case("sigmoid", {}, oracle.sigmoid, size=6),
    Case("tanh", {}, oracle.tanh),
    Case("gelu", {}, oracle.gelu, loose=1000),
    Case("gelu", {"approximate": "tanh"}, partial(oracle.gelu, approximate="tanh"), loose=1000),
    Case("scale", {"divisor": 3, "dtype": "same"}, lambda x: x.astype(np.float64) / 3),
    Case("max_pool", {"kernel": 2, "stride": 1, "pad": 1}, partial(oracle.max_pool, kernel=2, stride=1, pad=1)),
    Case("global_max_pool", {}, largest_of_all),
    Case("avg_pool", {"kernel": 2, "stride": 1, "pad": 1}, partial(oracle.avg_pool, kernel=2, stride=1, pad=1)),
    Case(
        "avg_pool",
        {"kernel": 2, "pad": 1, "count_include_pad": False},
        partial(oracle.avg_pool, kernel=2, pad=1, count_include_pad=False),
    ),
    Case("global_avg_pool", {}, mean_of_all),
    Case("add", {}, oracle.add, count=2),
    Case("add", {}, oracle.add, count=5),
    Case("concat", {}, oracle.concat, count=2),
    Case("upsample", {"factor": 2}, partial(oracle.upsample, factor=2)),
    Case("pad", {"pad": 1, "value": 0.5}, partial(oracle.pad, pad=1, value=0.5)),
    Case("flatten", {}, oracle.flatten),
    Case("dropout", {}, lambda x: x),
    Case("softmax", {}, oracle.softmax, ROWS, loose=1000),
    Case("softmax", {"axis": 2}, partial(oracle.softmax, axis=2), size=8, loose=1000),
    Case("log_softmax", {}, oracle.log_softmax, ROWS, loose=1000),
    Case("batch_norm", {}, oracle.batch_norm, sides=of_channels),
    Case("local_response_norm", {"size": 2, "alpha": 1}, partial(oracle.local_response_norm, size=2, alpha=1)),
    Case(
        "local_response_norm",
        {"size": 3, "alpha": 0.5, "beta": -0.5, "k": 2},
        partial(oracle.local_response_norm, size=3, alpha=0.5, beta=-0.5, k=2),
    ),
    Case("dense", {"units": 4}, oracle.dense, ROWS, of_filters(7, 4)),
]


def operation(case: Case, dtype: str) -> Operation:
    settings = {name: dtype if value == "same" else value for name, value in case.settings.items()}
    return OPERATIONS.get("op", case.op)(**settings)


def inexact(true: Array, error: Array, bits: np.random.Generator) -> Array:
    """What a right run may have: anywhere within the errors of the true values."""
    moved = true.astype(np.float64) + bits.uniform(-0.9, 0.9, true.shape) * error
    return moved.astype(true.dtype)


def errors_like(true: Array, size: float, bits: np.random.Generator) -> Array:
    """Errors of some size, and no less than what rounding to the dtype makes of them; some are none at all."""
    if size == ALMOST:
        return np.where(np.arange(true.size).reshape(true.shape) == 0, size, 0)
    units = float(np.finfo(true.dtype).eps) * 2
    errors = np.where(bits.random(true.shape) < 0.2, 0, bits.random(true.shape) * size)
    return np.where(errors > 0, errors + 8 * units * (np.abs(true.astype(np.float64)) + size), 0)


@pytest.mark.parametrize("size", [0.0, ALMOST, 1e-3, 0.1])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", LAYERS, ids=lambda case: f"{case.op}-{len(case.settings)}")
def test_no_right_result_is_beyond_its_bound(case: Case, dtype: str, size: float) -> None:
    made_errors, bounds = [], []
    for seed in range(20):
        bits = np.random.default_rng(seed)
        true = [bits.uniform(-case.size, case.size, case.shape).astype(dtype) for _ in range(case.count)]
        sides = {name: side.astype(dtype) for name, side in case.sides(bits).items()}
        errors = [errors_like(x, size, bits) if size else np.zeros(x.shape) for x in true]
        expected = case.oracle(*true, *sides.values()).astype(np.float64)
        spare = 16 * np.finfo(np.float64).eps * (1 + np.abs(expected)) if dtype == "float64" else 0  # of the oracle
        layer = operation(case, dtype)
        runs = [[inexact(x, error, bits) for x, error in zip(true, errors, strict=True)] for _ in range(2)]
        results = [layer.run(*inputs, **sides) for inputs in runs]
        bounded = [Bounded(x, error) for x, error in zip(runs[0], errors, strict=True)]
        exact = {name: Bounded.exactly(side) for name, side in sides.items()}
        bound = known(layer.error(results[0], *bounded, **exact))
        assert bound.shape == expected.shape
        assert bound.min() >= 0
        for result in results:  # the bound of one run holds for another
            found = np.abs(result.astype(np.float64) - expected)
            assert (found <= bound + spare).all(), f"{case.op}: {(found / bound).max()} times the bound"
            made_errors.append(found.max())
        bounds.append(bound.max())
    assert np.isfinite(bounds).all()
    if max(made_errors) > 0:
        assert max(bounds) <= case.loose * max(made_errors) + (1e-13 if dtype == "float64" else 0)


# Sums of products


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("which", ["x", "w", "b", "xw", "xwb"])
def test_factors_and_bias_may_each_be_inexact(dtype: str, which: str) -> None:
    layer = OPERATIONS.get("op", "dense")(units=5)
    for seed in range(30):
        bits = np.random.default_rng(seed)
        true = [bits.normal(size=shape).astype(dtype) for shape in ((4, 40), (40, 5), (5,))]
        pairs = zip("xwb", true, strict=True)
        errors = [errors_like(each, 0.05 if name in which else ALMOST, bits) for name, each in pairs]
        expected = oracle.dense(*true).astype(np.float64)
        runs = [[inexact(*pair, bits) for pair in zip(true, errors, strict=True)] for _ in range(2)]
        x, w, b = (Bounded(*pair) for pair in zip(runs[0], errors, strict=True))
        made = [layer.run(x, weights=w, bias=b) for x, w, b in runs]
        bound = layer.error(made[0], x, weights=w, bias=b)
        found = np.max([np.abs(each.astype(np.float64) - expected) for each in made], axis=0)
        assert (found <= bound).all()
        assert bound.max() < 100 * found.max()


CONVOLUTIONS = [
    {"lowering.stages": ["pad", "im2col", "fil2col", "matmul", "reshape"]},
    {"lowering.stages": ["pad", "implicit_gemm"]},
    {"lowering.stages": ["pad", "im2col", "fil2col", "matmul", "add_bias", "reshape"]},
    {"lowering.stages": ["pad", "implicit_gemm"], "conv.pad_value": 0.3, "conv.stride": 2},
]


@pytest.mark.parametrize("changes", CONVOLUTIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_convolution_is_within_its_bound(changes: dict[str, Any], dtype: str) -> None:
    bias = {"source": "random", "dtype": dtype, "low": -1, "high": 1}
    spec = a_spec({**FLOATS, "input.dtype": dtype, "filters.dtype": dtype, "bias": bias, **changes})
    arrays = make_arrays(spec, plan_work(spec))
    *_, last = bounded_run(plan_work(spec).plan, arrays)
    settings = {"pad": 1, "stride": spec.conv.stride, "pad_value": spec.conv.pad_value}
    true = np.moveaxis(reference.conv(arrays["input"], arrays["filters"], arrays["bias"], **settings), 1, -1)
    error = np.abs(last.made.values.astype(np.float64) - true.astype(np.float64))
    assert (error <= last.made.error).all()
    assert error.max() > 0
    assert last.made.error.max() <= 100 * error.max()


@pytest.mark.parametrize("name", ["conv_transpose", "grad_input", "grad_weights", "grad_bias"])
@pytest.mark.parametrize("mode", ["constant", "edge"])
def test_an_adjoint_is_within_its_bound(name: str, mode: str) -> None:
    other = {"source": "random", "dtype": "float32", "low": -1, "high": 1}
    more = {"bias": other} if name == "conv_transpose" else {"grad": other, "conv.pad_mode": mode}
    spec = a_spec({**FLOATS, "conv.operation": name, "conv.pad": 1, "lowering.stages": chain(name), **more})
    plan = plan_work(spec).plan
    arrays = make_arrays(spec, plan_work(spec))
    *_, last = bounded_run(plan, arrays)
    true = adjoint(name, mode, arrays, spec)
    error = np.abs(last.made.values.astype(np.float64) - true)
    assert (error <= last.made.error).all()
    assert 0 < last.made.error.max() <= 1000 * error.max()


def chain(name: str) -> list[str]:
    from plan_cases import chain_of

    return list(chain_of(name))


def adjoint(name: str, mode: str, arrays: dict[str, Array], spec: Any) -> Array:
    """What the oracle says; of gradients, whatever they do not read is as good as another."""
    if name == "conv_transpose":
        found = reference.conv_transpose(arrays["input"], arrays["filters"], arrays["bias"], pad=1)
        return np.moveaxis(found, 1, -1).astype(np.float64)
    shape = spec.input.signature().shape
    x = arrays.get("input", np.zeros(shape, np.float32))
    w = arrays.get("filters", np.zeros((3, 2, 2, 2), np.float32))
    found = reference.conv_grad(x, w, arrays["grad"], pad=1, pad_mode=mode)
    return found[["grad_input", "grad_weights", "grad_bias"].index(name)].astype(np.float64)


# Networks

NETWORKS: dict[str, dict[str, dict[str, Any]]] = {
    "residual": {**RESIDUAL, "softmax": {"op": "softmax"}},
    "smooth": {
        "conv1": {"op": "conv", "filters": 4, "kernel": 3, "pad": 1},
        "gelu": {"op": "gelu"},
        "norm": {"op": "local_response_norm", "alpha": 0.1},
        "up": {"op": "conv_transpose", "filters": 3, "kernel": 2, "stride": 2},
        "tanh": {"op": "tanh"},
        "pool": {"op": "avg_pool", "kernel": 2},
        "join": {"op": "concat", "inputs": ["pool", "norm"]},
        "flatten": {"op": "flatten"},
        "dense": {"op": "dense", "units": 6},
        "sigmoid": {"op": "sigmoid"},
    },
    "scores": {
        "conv1": {"op": "conv", "filters": 4, "kernel": 3, "stages": ["pad", "implicit_gemm"]},
        "leaky": {"op": "leaky_relu", "slope": 0.2},
        "clip": {"op": "clip", "low": -1, "high": 2},
        "mean": {"op": "global_avg_pool"},
        "flatten": {"op": "flatten"},
        "log": {"op": "log_softmax"},
    },
}


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_tensor_of_a_network_is_within_its_bound(name: str, dtype: str) -> None:
    for seed in range(5):
        narrow, wide = both_precisions(NETWORKS[name], dtype, seed)
        for here, there in zip(narrow, wide, strict=True):
            error = np.abs(here.made.values.astype(np.float64) - there.made.values)
            assert (error <= here.made.error + there.made.error).all(), here.step.name
            assert np.isfinite(here.made.error).all(), here.step.name
    assert 0 < error.max() < here.made.error.max() < 1e5 * error.max()


def both_precisions(layers: dict[str, Any], dtype: str, seed: int) -> tuple[list[Any], list[Any]]:
    """A network on the same numbers, in a dtype and in float64."""
    found = []
    source = weights_of("random", dtype=dtype)
    plan = planned(layers, (2, 3, 6, 6), dtype, source)
    x = np.random.default_rng(seed).uniform(-1, 1, (2, 3, 6, 6)).astype(dtype)
    arrays = given(plan, x, source)
    for kind in (dtype, "float64"):
        plan = planned(layers, (2, 3, 6, 6), kind, weights_of("random", dtype=kind))
        found.append(list(bounded_run(plan, {name: array.astype(kind) for name, array in arrays.items()})))
    return found[0], found[1]


def test_whole_numbers_are_exact_through_a_network() -> None:
    spec = network_spec(RESIDUAL, {"input.shape": [2, 3, 6, 6], "input.dtype": "float32"})
    *results, last = bounded_run(plan_work(spec).plan, make_arrays(spec, plan_work(spec)))
    assert last.made.values.dtype.kind == "f"
    assert last.made.exact
    assert all(result.made.exact for result in results)


def test_an_archived_array_starts_without_errors() -> None:
    spec = network_spec({**RESIDUAL, "softmax": {"op": "softmax"}}, FLOAT_NETWORK)
    work = plan_work(spec)
    arrays = make_arrays(spec, work)
    free = {result.step.name: result.made for result in bounded_run(work.plan, arrays)}
    kept = bounded_run(work.plan, arrays, lambda step: free[step.name].values)
    local = {result.step.name: result.made for result in kept}
    assert (local["conv1/matmul"].error == free["conv1/matmul"].error).all()
    assert local["conv2/matmul"].error.max() < free["conv2/matmul"].error.max()
    assert local["softmax"].error.max() < free["softmax"].error.max() / 5
    assert local["relu1"].exact
    assert not free["relu1"].exact


FLOAT_NETWORK = {
    "input.shape": [2, 3, 6, 6],
    "input.source": "random",
    "input.dtype": "float32",
    "weights": {"source": "random"},
}


# What is not known


class Cube(Operation):
    """An operation whose author says nothing of errors."""

    function = staticmethod(lambda x: x**3)


def test_an_operation_without_a_rule_has_no_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    from convpipe.ops.kinds import registry

    entries = [EntryPoint("cube", f"{__name__}:Cube", "convpipe.ops")]
    monkeypatch.setattr(registry, "installed", lambda group: entries if group == "convpipe.ops" else [])
    layers = {**RESIDUAL, "cube": {"op": "cube"}, "soft": {"op": "softmax"}}
    spec = network_spec(layers, FLOAT_NETWORK)
    plan = plan_work(spec).plan
    *_, cube, last = bounded_run(plan, make_arrays(spec, plan_work(spec)))
    assert not has_rule(cube.step.operation)
    assert without_rule(plan) == "cube"
    assert np.isposinf(cube.made.error).all()
    assert np.isposinf(last.made.error).all()


@pytest.mark.parametrize("case", LAYERS, ids=lambda case: f"{case.op}-{len(case.settings)}")
def test_nothing_is_known_of_what_is_made_of_the_unknown(case: Case) -> None:
    bits = np.random.default_rng(1)
    x = bits.normal(size=case.shape).astype(np.float32)
    sides = {name: side.astype(np.float32) for name, side in case.sides(bits).items()}
    layer = operation(case, "float32")
    made = layer.run(*[x] * case.count, **sides)
    unknown = Bounded(x, np.full(x.shape, np.inf))
    exact = {name: Bounded.exactly(side) for name, side in sides.items()}
    with np.errstate(all="ignore"):
        error = known(layer.error(made, *[unknown] * case.count, **exact))
    inner = error[..., 1:-1, 1:-1] if case.op == "pad" else error
    bounded = case.op in ("softmax",)  # whose results are from 0 to 1 whatever they are made of
    assert (inner >= 1).all() if bounded else np.isposinf(inner).all()


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
def test_an_infinity_in_a_sum_is_alike_everywhere(odd: float) -> None:
    spec = a_spec({**FLOATS, "lowering.stages": ["pad", "implicit_gemm"]})
    plan = plan_work(spec).plan
    arrays = make_arrays(spec, plan_work(spec))
    arrays["input"][0, 0, 0, 0] = odd
    *_, last = bounded_run(plan, arrays)
    there = ~np.isfinite(last.made.values)
    assert there.any()
    assert not last.made.error[there].any()
    assert (last.made.error[~there] > 0).all()


def test_a_sum_that_may_overflow_is_unknown() -> None:
    x = Bounded(np.array([[3e38, 1.0]], np.float32), np.array([[1e37, 0.1]]))
    w = Bounded.exactly(np.ones((2, 1), np.float32))
    layer = OPERATIONS.get("op", "dense")(overflow="inf", bias=False)
    assert np.isposinf(layer.error(layer.run(x.values, w.values), x, weights=w)).all()


# Rounding


def test_rounding_counts() -> None:
    one = np.array([1.0])
    unit = 2.0**-24
    assert rounding(one, "float32", 0)[0] == pytest.approx(unit, rel=1e-6)
    assert rounding(one, "float32", 3)[0] == pytest.approx(4 * unit, rel=1e-6)
    assert rounding(one, "float16", 0)[0] == pytest.approx(2.0**-11, rel=1e-3)
    assert rounding(one, "float32", 3, np.float64)[0] == pytest.approx(unit, rel=1e-6)
    assert rounding(np.array([np.inf, np.nan]), "float32", 0).tolist() == [np.inf, np.inf]
    assert rounding(one, "float32", 2**25)[0] == np.inf
    assert float_bound(2**25, one, "float32")[0] == np.inf


def test_sums_of_small_whole_numbers_are_exact() -> None:
    single, whole_values = np.dtype(np.float32), np.array([1.0, -3.0], np.float32)
    sizes = np.array([2.0**24, 2.0**24 + 2])
    assert exact_sums(sizes, single, [Bounded.exactly(whole_values)]).tolist() == [True, False]
    assert not exact_sums(sizes, single, [Bounded.exactly(whole_values / 2)]).any()
    assert not exact_sums(sizes, single, [Bounded(whole_values, np.array([0, 1e-9]))]).any()
    assert exact_sums(sizes, single, [Bounded.exactly(np.array([2**40]))]).all()


def test_the_same_bits_give_the_same_bits_where_nothing_varies() -> None:
    spec = network_spec({"scale": {"op": "scale", "divisor": 3}, "tanh": {"op": "tanh"}}, FLOAT_NETWORK)
    first, second = bounded_run(plan_work(spec).plan, make_arrays(spec, plan_work(spec)))
    assert first.made.exact
    assert (second.made.error > 0).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", [np.exp, np.log, np.tanh])
def test_numpys_functions_keep_to_the_units_that_are_assumed(function: Any, dtype: str) -> None:
    """The judge is the same function in a longer float; where there is none, float32 alone is judged."""
    wide = np.longdouble if np.finfo(np.longdouble).nmant > np.finfo(np.float64).nmant else np.float64
    if np.finfo(wide).nmant <= np.finfo(dtype).nmant:
        pytest.skip("no longer float here")
    bits = np.random.default_rng(0)
    low, high = (0.01, 1e4) if function is np.log else (-80, 0) if function is np.exp else (-9, 9)
    x = bits.uniform(low, high, 200_000).astype(dtype)
    true = function(x.astype(wide))
    units = np.abs(function(x).astype(wide) - true) / np.spacing(np.abs(true.astype(dtype)))
    assert 0.4 < units.max() < FUNCTION_ULPS / 2


def test_operands_keep_their_roles() -> None:
    spec = network_spec({"dense": {"op": "dense", "units": 3}}, {**FLOAT_NETWORK, "input.shape": [2, 5]})
    (step,) = plan_work(spec).plan.steps
    arrays = list(make_arrays(spec, plan_work(spec)).values())
    error = step_error(step, step.run(*arrays), [Bounded.exactly(array) for array in arrays])
    x, w, b = (np.abs(array.astype(float)) for array in arrays)
    np.testing.assert_allclose(error, float_bound(5, x @ w + b, "float32"), rtol=1e-9)
