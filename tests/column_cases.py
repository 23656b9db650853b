"""Convolutions and their adjoints whose columns lie in some order and are cut to tiles, and the same by plain loops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from form_cases import Case, ChainCase, tensor_of, whole

from convpipe.fields import read
from convpipe.geometry.columns import Columns, Tile
from convpipe.graph.chain import plan_chain
from convpipe.graph.lowerings import chain
from convpipe.ops import OPERATIONS
from convpipe.ops.kinds.convolving import Convolving
from convpipe.tensors import Array

NHWC = "kh,kw,C"
A_TILE = Tile(4, 5, 2)
GEOMETRIES = [
    (rank, groups, stride, dilation)
    for rank in (1, 2, 3)
    for groups, stride, dilation in ((1, 1, 1), (2, 2, 1), (4, 1, 2))
]


def lying(
    op: str, settings: Mapping[str, Any], columns: Columns, stages: Any = None, quant: Any = None, **arrays: Array
) -> ChainCase:
    """A chain of an operation on arrays by role, with columns that lie as it says."""
    kind = OPERATIONS.get("op", op)
    assert issubclass(kind, Convolving)
    operation = read(kind, op, {**settings, **({} if quant is None else {"quant": quant})})
    tensors = {role: tensor_of(role, array) for role, array in arrays.items()}
    conv = replace(operation.solve(tensors), columns=columns)
    steps = plan_chain(operation, conv, tensors, chain(op, stages))
    found = dict(arrays)
    for step in steps:
        found[step.makes.name] = step.run(*(found[name] for name in step.needs))
        made = found[step.makes.name]
        assert (made.shape, made.dtype) == (step.makes.shape, step.makes.dtype), step.name
    planned = {**tensors, **{step.makes.name: step.makes for step in steps}}
    x, *sides = arrays
    form = operation.form(tensors[x], **{role: tensors[role] for role in sides})
    return ChainCase(operation, steps, found, form, planned)


def operations(
    rank: int, groups: int, stride: int, dilation: int, seed: int = 0
) -> Iterator[tuple[str, dict[str, Any], dict[str, Array]]]:
    """A convolution, those of its gradients that have columns, and a transposed convolution: their arrays by role."""
    draw = np.random.default_rng(seed)
    settings = {"stride": stride, "pad": ((2, 1),) * rank, "dilation": dilation, "groups": groups}
    x = whole(draw, 2, 2 * groups, *(5, 6, 4)[:rank])
    w = whole(draw, 3 * groups, 2, *(2, 3, 2)[:rank])
    yield "conv", settings, {"input": x, "filters": w, "bias": whole(draw, 3 * groups)}
    made = lying("conv", settings, Columns(), input=x, filters=w, bias=whole(draw, 3 * groups)).result
    grad = whole(draw, *made.shape)
    for op in ("grad_input", "grad_weights"):
        yield op, settings, {"input": x, "filters": w, "grad": grad}
    y, v = whole(draw, 2, 2 * groups, *(4, 3, 3)[:rank]), whole(draw, 2 * groups, 3, *(2, 3, 2)[:rank])
    more = {**settings, "pad": 1, "output_padding": max(stride, dilation) - 1}
    yield "conv_transpose", more, {"input": y, "filters": v, "bias": whole(draw, 3 * groups)}


def lying_cases() -> Iterator[Case]:
    """The stages of a convolution whose columns lie by taps and are cut, as integers and in an accumulator."""
    _, settings, arrays = next(operations(1, 2, 1, 1))
    how = Columns(NHWC, A_TILE)
    yield from lying("conv", settings, how, **arrays).stages()
    for overflow, every in (("wrap", "end"), ("saturate", "end"), ("saturate", A_TILE.taps), ("error", A_TILE.taps)):
        bits = 20 if overflow == "error" else 8
        quant = {"accumulator": {"bits": bits, "overflow": overflow, "every": every, "order": NHWC}}
        for bias in (True, False):
            given = {role: array for role, array in arrays.items() if bias or role != "bias"}
            yield from lying("conv", {**settings, "bias": bias}, how, "im2col", quant, **given).stages()


# Plain loops


def places(channels: int, kernel: Sequence[int], groups: int, order: str) -> list[tuple[int, tuple[int, ...]]]:
    """Which channel and tap stand in each column, one after the other."""
    taps = list(product(*map(range, kernel)))
    found = []
    for group in range(groups):
        own = range(group * channels // groups, (group + 1) * channels // groups)
        if order == NHWC:
            found += [(channel, tap) for tap in taps for channel in own]
        else:
            found += [(channel, tap) for channel in own for tap in taps]
    return found


def plain_columns(
    padded: Array, kernel: Sequence[int], stride: int, dilation: int, groups: int, order: str
) -> list[list[int]]:
    """The columns of a padded image, cell by cell."""
    batch, channels, *size = padded.shape
    out = [(cells - dilation * (taps - 1) - 1) // stride + 1 for cells, taps in zip(size, kernel, strict=True)]
    return [
        [
            int(padded[(n, channel, *(at * stride + tap * dilation for at, tap in zip(position, taps, strict=True)))])
            for channel, taps in places(channels, kernel, groups, order)
        ]
        for n, *position in product(range(batch), *map(range, out))
    ]


def plain_rows(filters: Array, order: str) -> list[list[int]]:
    """The filter matrix, cell by cell."""
    _, depth, *kernel = filters.shape
    return [
        [int(filters[(f, channel, *tap)]) for channel, tap in places(depth, kernel, 1, order)]
        for f in range(len(filters))
    ]


def plain_tiles(matrix: Array, rows: int, columns: int) -> list[list[list[list[int]]]]:
    """A matrix in tiles, cell by cell, zeros where one goes beyond."""
    height, width = matrix.shape

    def cell(row: int, column: int) -> int:
        return int(matrix[row, column]) if row < height and column < width else 0

    return [
        [
            [[cell(top + row, left + column) for column in range(columns)] for row in range(rows)]
            for left in range(0, width, columns)
        ]
        for top in range(0, height, rows)
    ]
