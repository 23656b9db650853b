"""Random sums and convolutions against the implementations themselves, where they are installed.

pip install ai-edge-litert tflite flatbuffers onnxruntime onnx apytypes
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from quantised_cases import MODES
from tflite_models import RESOLVERS, Quantised, convolution, run

import convpipe as cp


def installed(*names: str) -> pytest.MarkDecorator:
    """Skips where one of these is missing."""
    missing = [name for name in names if find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


litert = installed("ai_edge_litert", "tflite", "flatbuffers")
runtime = installed("onnxruntime", "onnx")
evaluator = installed("onnx")
fixed_point = installed("apytypes")

BITS = np.random.default_rng(15)


def sums_and_scales(count: int, bits: int, most: float) -> tuple[np.ndarray, np.ndarray]:
    """Sums of every size, and scales that bring each to about the range of a result: a third of these powers of 2."""
    sizes = BITS.integers(0, bits - 1, count)
    sums = (BITS.integers(0, 2**62, count) >> (62 - sizes)) * BITS.choice([-1, 1], count)
    sums[:4] = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1, 0, 1
    scales = (most * BITS.random(count) / np.maximum(np.abs(sums), 1)).astype(np.float32)
    powers = 2.0 ** np.round(np.log2(np.maximum(scales, 2.0**-30)))
    scales = np.where(np.arange(count) % 3 == 0, powers, scales).astype(np.float32)
    return sums, np.clip(scales, 2.0**-30, 2.0**7).astype(np.float32)


# LiteRT


def by_bias(rule: str, x_dtype: str, bias: np.ndarray, scales: np.ndarray, zero: int) -> np.ndarray:
    """Sums that are given as the bias of a 1 x 1 convolution of nothing, by LiteRT's kernels."""
    count, one = len(bias), np.ones(1, np.float32)
    tensors = [
        Quantised("input", (1, 1, 1, 1), x_dtype, one),
        Quantised("filters", (count, 1, 1, 1), "int8", scales, values=np.zeros(count, np.int8)),
        Quantised("bias", (count,), bias.dtype.name, scales, values=bias),
        Quantised("output", (1, 1, 1, count), x_dtype, one, zero),
    ]
    return run(convolution(tensors), np.zeros((1, 1, 1, 1), x_dtype), rule)[0, 0, 0]


@litert
@pytest.mark.parametrize("rule", RESOLVERS)
@pytest.mark.parametrize("zero", [0, 5, -128])
def test_litert_sums(rule: str, zero: int) -> None:
    sums, scales = sums_and_scales(5000, 32, 300)
    expected = by_bias(rule, "int8", sums.astype(np.int32), scales, zero)
    got = cp.requantize(
        sums[None], rule=rule, input_scale=1.0, filter_scale=scales, output_scale=1.0, zero_point=zero, dtype="int8"
    )
    wrong = got[0] != expected
    assert not wrong.any(), (sums[wrong][:5], scales[wrong][:5], got[0][wrong][:5], expected[wrong][:5])


@litert
@pytest.mark.parametrize(("rule", "bits", "dtype"), [("reduced16", 40, np.int64), ("double", 32, np.int32)])
def test_litert_sums_of_16_bits(rule: str, bits: int, dtype: Any) -> None:
    sums, scales = sums_and_scales(5000, bits, 70_000)
    expected = by_bias("double", "int16", sums.astype(dtype), scales, 0)
    scaling = {"input_scale": 1.0, "filter_scale": scales, "output_scale": 1.0}
    got = cp.requantize(sums[None], rule=rule, dtype="int16", **scaling)
    wrong = got[0] != expected
    assert not wrong.any(), (sums[wrong][:5], scales[wrong][:5], got[0][wrong][:5], expected[wrong][:5])


@litert
@pytest.mark.parametrize("rule", RESOLVERS)
@pytest.mark.parametrize("padding", ["VALID", "SAME"])
@pytest.mark.parametrize("stride", [1, 2])
def test_litert_convolutions(rule: str, padding: str, stride: int) -> None:
    x = BITS.integers(-128, 128, (2, 9, 8, 5)).astype(np.int8)
    w = BITS.integers(-127, 128, (6, 3, 3, 5)).astype(np.int8)
    bias = BITS.integers(-5000, 5000, 6).astype(np.int32)
    zeros = BITS.integers(-128, 128, 2).tolist()
    sx, sw, sy = np.float32(0.05), BITS.uniform(0.001, 0.02, 6).astype(np.float32), np.float32(0.11)
    size = {"SAME": [-(-each // stride) for each in (9, 8)], "VALID": [(each - 3) // stride + 1 for each in (9, 8)]}
    tensors = [
        Quantised("input", x.shape, "int8", sx, zeros[0]),
        Quantised("filters", w.shape, "int8", sw, values=w),
        Quantised("bias", bias.shape, "int32", sx * sw, values=bias),
        Quantised("output", (2, *size[padding], 6), "int8", sy, zeros[1]),
    ]
    expected = run(convolution(tensors, stride, padding), x, rule)
    got = cp.conv_quantized(
        x.transpose(0, 3, 1, 2),
        w.transpose(0, 3, 1, 2),
        bias,
        rule=rule,
        input_scale=float(sx),
        filter_scale=sw,
        output_scale=float(sy),
        input_zero_point=zeros[0],
        output_zero_point=zeros[1],
        stride=stride,
        pad=padding.lower(),
    )
    assert np.array_equal(got.transpose(0, 2, 3, 1), expected)


# ONNX


def qlinear_conv(dtypes: tuple[str, str], **attributes: Any) -> Any:
    """A model of one QLinearConv with a bias."""
    from onnx import TensorProto, helper

    kinds = {name: getattr(TensorProto, name.upper()) for name in ("int8", "uint8", "int32")}
    names = ("x", "sx", "zx", "w", "sw", "zw", "sy", "zy", "b")
    of = (dtypes[0], None, dtypes[0], dtypes[1], None, dtypes[1], None, dtypes[0], "int32")
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT if kind is None else kinds[kind], None)
        for name, kind in zip(names, of, strict=True)
    ]
    output = helper.make_tensor_value_info("y", kinds[dtypes[0]], None)
    node = helper.make_node("QLinearConv", list(names), ["y"], **attributes)
    return model_of(helper.make_graph([node], "g", inputs, [output]))


def model_of(graph: Any) -> Any:
    """A model that both implementations read."""
    from onnx import helper

    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def by_runtime(model: Any, feeds: dict[str, np.ndarray]) -> np.ndarray:
    """What onnxruntime makes of it."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    made: np.ndarray = session.run(None, {name: np.asarray(value) for name, value in feeds.items()})[0]
    return made


def by_evaluator(model: Any, feeds: dict[str, np.ndarray]) -> np.ndarray:
    """What the reference evaluator makes of it."""
    from onnx.reference import ReferenceEvaluator

    made: np.ndarray = ReferenceEvaluator(model).run(None, feeds)[0]
    return made


IMPLEMENTATIONS = [
    pytest.param(by_runtime, "float", marks=runtime),
    pytest.param(by_evaluator, "float64_product", marks=evaluator),
]


@pytest.mark.parametrize(("implementation", "rule"), IMPLEMENTATIONS)
@pytest.mark.parametrize(("dtype", "zero"), [("int8", -3), ("uint8", 129)])
def test_onnx_sums(implementation: Any, rule: str, dtype: str, zero: int) -> None:
    sums, scales = sums_and_scales(2000, 32, 300)
    count, sx, sy = len(sums), np.float32(0.0371), np.float32(0.1173)
    feeds = {
        "x": np.zeros((1, 1, 1, 1), dtype),
        "sx": sx,
        "zx": np.zeros((), dtype),
        "w": np.zeros((count, 1, 1, 1), np.int8),
        "sw": scales,
        "zw": np.zeros(count, np.int8),
        "sy": sy,
        "zy": np.array(zero, dtype),
        "b": sums.astype(np.int32),
    }
    expected = implementation(qlinear_conv((dtype, "int8")), feeds)[0, :, 0, 0]
    scaling = {"input_scale": float(sx), "filter_scale": scales, "output_scale": float(sy)}
    got = cp.requantize(sums[None], rule=rule, zero_point=zero, dtype=dtype, **scaling)
    wrong = got[0] != expected
    assert not wrong.any(), (sums[wrong][:5], scales[wrong][:5], got[0][wrong][:5], expected[wrong][:5])


@pytest.mark.parametrize(("implementation", "rule"), IMPLEMENTATIONS)
@pytest.mark.parametrize("groups", [1, 2])
def test_onnx_convolutions(implementation: Any, rule: str, groups: int) -> None:
    x = BITS.integers(0, 256, (2, 4, 7, 6)).astype(np.uint8)
    w = BITS.integers(-128, 128, (6, 4 // groups, 3, 2)).astype(np.int8)
    bias = BITS.integers(-5000, 5000, 6).astype(np.int32)
    sw = BITS.uniform(0.001, 0.02, 6).astype(np.float32)
    feeds = {
        "x": x,
        "sx": np.float32(0.05),
        "zx": np.array(120, np.uint8),
        "w": w,
        "sw": sw,
        "zw": np.zeros(6, np.int8),
        "sy": np.float32(0.4),
        "zy": np.array(110, np.uint8),
        "b": bias,
    }
    asked = {"pads": [1, 0, 2, 1], "strides": [2, 1], "dilations": [1, 2]}
    expected = implementation(qlinear_conv(("uint8", "int8"), group=groups, **asked), feeds)
    got = cp.conv_quantized(
        x,
        w,
        bias,
        rule=rule,
        input_scale=float(feeds["sx"]),
        filter_scale=sw,
        output_scale=float(feeds["sy"]),
        input_zero_point=120,
        output_zero_point=110,
        dtype="uint8",
        stride=[2, 1],
        pad=[[1, 2], [0, 1]],
        dilation=[1, 2],
        groups=groups,
    )
    assert np.array_equal(got, expected)


@runtime
@pytest.mark.parametrize(("x_dtype", "w_dtype"), [("uint8", "uint8"), ("int8", "int8"), ("uint8", "int8")])
def test_onnx_sums_of_products(x_dtype: str, w_dtype: str) -> None:
    from onnx import TensorProto, helper

    kinds = {name: getattr(TensorProto, name.upper()) for name in ("int8", "uint8", "int32")}
    dtypes = {"x": x_dtype, "w": w_dtype, "zx": x_dtype, "zw": w_dtype}
    inputs = [helper.make_tensor_value_info(name, kinds[dtype], None) for name, dtype in dtypes.items()]
    node = helper.make_node("ConvInteger", list(dtypes), ["y"], pads=[1, 1, 0, 2])
    output = helper.make_tensor_value_info("y", kinds["int32"], None)
    model = model_of(helper.make_graph([node], "g", inputs, [output]))
    ends = {name: np.iinfo(dtype) for name, dtype in dtypes.items()}
    shapes = {"x": (2, 3, 6, 5), "w": (4, 3, 2, 3), "zx": (), "zw": ()}
    feeds = {
        name: np.array(BITS.integers(ends[name].min, ends[name].max, shape, endpoint=True)).astype(dtypes[name])
        for name, shape in shapes.items()
    }
    got = cp.conv_quantized(
        feeds["x"],
        feeds["w"],
        rule=None,
        input_zero_point=int(feeds["zx"]),
        filter_zero_point=int(feeds["zw"]),
        pad=[[1, 0], [1, 2]],
    )
    expected = by_runtime(model, feeds)
    assert got.dtype == expected.dtype
    assert np.array_equal(got, expected)


@runtime
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16"])
def test_onnx_quantize_and_dequantize(dtype: str) -> None:
    from onnx import TensorProto, helper

    info = np.iinfo(dtype)
    scale, zero = np.float32(0.0137), int(info.max) // 3
    x = np.concatenate([BITS.normal(size=2000) * info.max * scale, np.arange(-300, 300) * scale / 2]).astype(np.float32)
    kind = getattr(TensorProto, dtype.upper())
    infos = [helper.make_tensor_value_info(name, of, None) for name, of in (("x", 1), ("s", 1), ("z", kind))]
    output = helper.make_tensor_value_info("y", kind, None)
    node = helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"])
    graph = helper.make_graph([node], "g", infos, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    made = by_runtime(model, {"x": x, "s": scale, "z": np.array(zero, dtype)})
    assert np.array_equal(cp.quantize(x, float(scale), zero, dtype), made)
    infos[0], output = helper.make_tensor_value_info("x", kind, None), helper.make_tensor_value_info("y", 1, None)
    node = helper.make_node("DequantizeLinear", ["x", "s", "z"], ["y"])
    graph = helper.make_graph([node], "g", infos, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    back = by_runtime(model, {"x": made, "s": scale, "z": np.array(zero, dtype)})
    assert np.array_equal(cp.dequantize(made, float(scale), zero), back)


# Fixed point

HLS = {
    "floor": "TRN",
    "zero": "TRN_ZERO",
    "half_up": "RND",
    "half_down": "RND_MIN_INF",
    "half_away": "RND_INF",
    "half_zero": "RND_ZERO",
    "half_even": "RND_CONV",
    "half_odd": "RND_CONV_ODD",
    "odd": "JAM_UNBIASED",
}


@fixed_point
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_fixed_point(mode: str, overflow: str) -> None:
    from apytypes import APyFixed, OverflowMode, QuantizationMode

    rounding = getattr(QuantizationMode, HLS[mode])
    held = {"wrap": OverflowMode.WRAP, "saturate": OverflowMode.SAT}[overflow]
    near = [half + step for half in (-96, -32, 32, 96) for step in (-1, 0, 1)]
    for shift in (1, 2, 6, 20):
        sums = [*near, *BITS.integers(-(2**31), 2**31, 200).tolist(), *BITS.integers(-(2**12), 2**12, 200).tolist()]
        expected = [
            APyFixed(each, bits=40, int_bits=40 - shift).cast(
                int_bits=8, frac_bits=0, quantization=rounding, overflow=held
            )
            for each in sums
        ]
        got = cp.requantize(np.array(sums), rule="shift", shift=shift, mode=mode, overflow=overflow)
        assert got.tolist() == [int(float(each)) for each in expected]
        whole = cp.round_shift(sums, shift, mode)
        exact = [
            APyFixed(each, bits=40, int_bits=40 - shift).cast(int_bits=41, frac_bits=0, quantization=rounding)
            for each in sums
        ]
        assert whole.tolist() == [int(float(each)) for each in exact]
