"""A .tflite model of one convolution, written operation by operation, and what LiteRT's kernels make of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

RESOLVERS = {  # the rule of each set of kernels
    "double": "BUILTIN_REF",
    "double_up": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "float": "AUTO",  # XNNPACK
}


@dataclass(frozen=True)
class Quantised:
    """A tensor of a model: its shape, its integers, and how they stand for real numbers."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: np.ndarray  # float32, one, or one for each filter
    zero_point: int = 0
    values: np.ndarray | None = None  # of a constant


def convolution(tensors: list[Quantised], stride: int = 1, padding: str = "VALID") -> bytes:
    """A model of one convolution: input, filters (O, h, w, I), bias and output, in this order."""
    import flatbuffers
    import tflite

    builder = flatbuffers.Builder(1024)
    buffers = [tensor_buffer(builder, values) for values in (None, *(each.values for each in tensors))]
    made = [tensor_table(builder, at + 1, each) for at, each in enumerate(tensors)]
    options = conv_options(builder, stride, padding, tensors[2].dtype)
    operator = operator_table(builder, options)
    graph = subgraph(builder, made, operator)
    code = operator_code(builder)
    vectors = [offsets(builder, each) for each in ([code], [graph], buffers)]
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, 3)
    tflite.ModelAddOperatorCodes(builder, vectors[0])
    tflite.ModelAddSubgraphs(builder, vectors[1])
    tflite.ModelAddBuffers(builder, vectors[2])
    builder.Finish(tflite.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


def offsets(builder: Any, tables: list[int]) -> int:
    """A vector of tables."""
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return int(builder.EndVector())


def tensor_buffer(builder: Any, values: np.ndarray | None) -> int:
    """What a constant holds; of another tensor nothing."""
    import tflite

    data = None if values is None else builder.CreateByteVector(values.tobytes())
    tflite.BufferStart(builder)
    if data is not None:
        tflite.BufferAddData(builder, data)
    return int(tflite.BufferEnd(builder))


def tensor_table(builder: Any, buffer: int, tensor: Quantised) -> int:
    """One tensor with its quantisation."""
    import tflite

    kinds = {name: getattr(tflite.TensorType, name.upper()) for name in ("int8", "int16", "int32", "int64", "uint8")}
    scales = np.atleast_1d(tensor.scale).astype(np.float32)
    name, shape = builder.CreateString(tensor.name), builder.CreateNumpyVector(np.array(tensor.shape, np.int32))
    scale = builder.CreateNumpyVector(scales)
    zero = builder.CreateNumpyVector(np.full(len(scales), tensor.zero_point, np.int64))
    tflite.QuantizationParametersStart(builder)
    tflite.QuantizationParametersAddScale(builder, scale)
    tflite.QuantizationParametersAddZeroPoint(builder, zero)
    tflite.QuantizationParametersAddQuantizedDimension(builder, 0)
    quantisation = tflite.QuantizationParametersEnd(builder)
    tflite.TensorStart(builder)
    tflite.TensorAddShape(builder, shape)
    tflite.TensorAddType(builder, kinds[tensor.dtype])
    tflite.TensorAddBuffer(builder, buffer)
    tflite.TensorAddName(builder, name)
    tflite.TensorAddQuantization(builder, quantisation)
    return int(tflite.TensorEnd(builder))


def conv_options(builder: Any, stride: int, padding: str, bias_dtype: str) -> int:
    """Stride and padding, and in which dtype the bias is added."""
    import tflite

    tflite.Conv2DOptionsStart(builder)
    tflite.Conv2DOptionsAddPadding(builder, getattr(tflite.Padding, padding))
    tflite.Conv2DOptionsAddStrideW(builder, stride)
    tflite.Conv2DOptionsAddStrideH(builder, stride)
    tflite.Conv2DOptionsAddDilationWFactor(builder, 1)
    tflite.Conv2DOptionsAddDilationHFactor(builder, 1)
    tflite.Conv2DOptionsAddQuantizedBiasType(builder, getattr(tflite.TensorType, bias_dtype.upper()))
    return int(tflite.Conv2DOptionsEnd(builder))


def operator_table(builder: Any, options: int) -> int:
    """The convolution of tensors 0, 1 and 2, which gives tensor 3."""
    import tflite

    ends = [builder.CreateNumpyVector(np.array(each, np.int32)) for each in ([0, 1, 2], [3])]
    tflite.OperatorStart(builder)
    tflite.OperatorAddOpcodeIndex(builder, 0)
    tflite.OperatorAddInputs(builder, ends[0])
    tflite.OperatorAddOutputs(builder, ends[1])
    tflite.OperatorAddBuiltinOptionsType(builder, tflite.BuiltinOptions.Conv2DOptions)
    tflite.OperatorAddBuiltinOptions(builder, options)
    return int(tflite.OperatorEnd(builder))


def subgraph(builder: Any, tensors: list[int], operator: int) -> int:
    """The whole graph: tensor 0 goes in, tensor 3 comes out."""
    import tflite

    made = [offsets(builder, tensors), offsets(builder, [operator])]
    ends = [builder.CreateNumpyVector(np.array([each], np.int32)) for each in (0, 3)]
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, made[0])
    tflite.SubGraphAddInputs(builder, ends[0])
    tflite.SubGraphAddOutputs(builder, ends[1])
    tflite.SubGraphAddOperators(builder, made[1])
    return int(tflite.SubGraphEnd(builder))


def operator_code(builder: Any) -> int:
    """That the operator is a convolution."""
    import tflite

    tflite.OperatorCodeStart(builder)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, tflite.BuiltinOperator.CONV_2D)
    tflite.OperatorCodeAddBuiltinCode(builder, tflite.BuiltinOperator.CONV_2D)
    tflite.OperatorCodeAddVersion(builder, 3)
    return int(tflite.OperatorCodeEnd(builder))


def run(model: bytes, x: np.ndarray, rule: str) -> np.ndarray:
    """What a model makes of an image, by the kernels that have a rule."""
    from ai_edge_litert import interpreter

    kernels = getattr(interpreter.OpResolverType, RESOLVERS[rule])
    runner = interpreter.Interpreter(model_content=model, experimental_op_resolver_type=kernels, num_threads=1)
    runner.allocate_tensors()
    runner.set_tensor(runner.get_input_details()[0]["index"], x)
    runner.invoke()
    made: np.ndarray = runner.get_tensor(runner.get_output_details()[0]["index"])
    return made
