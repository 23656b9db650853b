"""A judge of every public array function: its true results, of NumPy's arrays of exact numbers, by formulas alone.

Nothing here is shared with what is judged. A judge takes the arrays by the names of arguments and the settings of the
case in `test_arguments.CASES`, and gives what the function has to: one or several `Expected`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
from exact_numbers import ZERO, Expected, Number, numbers, total

Arrays = Mapping[str, np.ndarray]
Settings = Mapping[str, Any]
Judge = Callable[[Arrays, Settings], list[Expected]]

JUDGES: dict[str, Judge] = {}


class NotTakenError(Exception):
    """Arrays that the function has to refuse."""


FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


def judge(function: Judge) -> Judge:
    """Register a judge under its own name."""
    JUDGES[function.__name__] = function
    return function


# Dtypes


def common(*arrays: np.ndarray | None) -> np.dtype[Any]:
    """The dtype of a sum of products: of integers an integer, int64 where uint64 meets a signed one."""
    dtypes = [array.dtype for array in arrays if array is not None]
    found = np.result_type(*dtypes)
    return np.dtype(np.int64) if found.kind == "f" and all(dtype.kind in "iu" for dtype in dtypes) else found


def as_float(*arrays: np.ndarray) -> np.dtype[Any]:
    """The float of a layer: a float's own, float64 of integers."""
    found = np.result_type(*arrays)
    return found if found.kind == "f" else FLOAT64


def products(cells: np.ndarray, *arrays: np.ndarray | None) -> Expected:
    """Sums of products: of floats in the widest of theirs, at least float32."""
    dtype = common(*arrays)
    return Expected(cells, dtype, np.result_type(dtype, FLOAT32) if dtype.kind == "f" else FLOAT64)


def moved(cells: np.ndarray, *arrays: np.ndarray) -> list[Expected]:
    """Numbers that are only moved."""
    return [Expected(cells, common(*arrays))]


# Laid out


def padded(cells: np.ndarray, pads: Any) -> np.ndarray:
    """Zeros around the spatial axes."""
    grown = np.full((*cells.shape[:2], *(n + sum(p) for n, p in zip(cells.shape[2:], pads, strict=True))), ZERO)
    grown[:, :, *(slice(p[0], p[0] + n) for n, p in zip(cells.shape[2:], pads, strict=True))] = cells
    return grown


def windows(shape: Any, kernel: Any, stride: Any, dilation: Any) -> tuple[list[int], Iterator[Any]]:
    """The sizes of an output, and of each tap its place in the kernel and the padded cells that it meets."""
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    out = [(n - span) // s + 1 for n, span, s in zip(shape, spans, stride, strict=True)]

    def taps() -> Iterator[Any]:
        for tap in product(*map(range, kernel)):
            along = zip(tap, stride, dilation, out, strict=True)
            yield tap, tuple(slice(t * d, t * d + s * (o - 1) + 1, s) for t, s, d, o in along)

    return out, taps()


def columns_of(image: np.ndarray, kernel: Any, stride: Any, dilation: Any) -> np.ndarray:
    """(N*out_h*out_w, C*kh*kw) of a padded image."""
    out, taps = windows(image.shape[2:], kernel, stride, dilation)
    planes = np.stack([image[(..., *cells)] for _, cells in taps], 2)  # (N, C, taps, out_h, out_w)
    taps_of_all = image.shape[1] * math.prod(kernel)
    return np.moveaxis(planes, (1, 2), (-2, -1)).reshape(image.shape[0] * math.prod(out), taps_of_all)


def convolved(image: np.ndarray, filters: np.ndarray, stride: Any, dilation: Any) -> np.ndarray:
    """(N, F, out_h, out_w) of a padded image."""
    out, taps = windows(image.shape[2:], filters.shape[2:], stride, dilation)
    sums = np.full((len(image), len(filters), *out), ZERO)
    for tap, cells in taps:
        parts = (
            image[(slice(None), None, slice(None), *cells)]
            * filters[(slice(None), slice(None), *tap)][None, :, :, None, None]
        )
        sums = sums + total(parts, 2)
    return sums


def spread(maps: np.ndarray, filters: np.ndarray, shape: Any, stride: Any, dilation: Any) -> np.ndarray:
    """Each cell of (N, F, h, w) times filters (F, C, kh, kw), added up in a padded image of that spatial shape."""
    _, taps = windows(shape, filters.shape[2:], stride, dilation)
    image = np.full((len(maps), filters.shape[1], *shape), ZERO)
    for tap, cells in taps:
        parts = maps[:, :, None] * filters[(slice(None), slice(None), *tap)][None, :, :, None, None]
        image[(..., *cells)] = image[(..., *cells)] + total(parts, 1)
    return image


def inner(cells: np.ndarray, pads: Any) -> np.ndarray:
    """Without padding, or with zeros where it is negative."""
    for axis, (before, after) in enumerate(pads, start=2):
        size = cells.shape[axis] - before - after
        kept = np.take(cells, range(before, min(before + size, cells.shape[axis])), axis)
        zeros = [(0, 0)] * cells.ndim
        zeros[axis] = (0, size - kept.shape[axis])
        cells = np.pad(kept, zeros, constant_values=ZERO)
    return cells


def channelwise(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    """(C,) beside (N, C, ...)."""
    return values.reshape(-1, *[1] * (like.ndim - 2))


def matrix_product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(rows, K) times (K, columns)."""
    return total(left[:, :, None] * right[None], 1)


@judge
def pad(arrays: Arrays, settings: Settings) -> list[Expected]:
    return moved(padded(numbers(arrays["x"]), settings["pad"]), arrays["x"])


@judge
def im2col(arrays: Arrays, settings: Settings) -> list[Expected]:
    image = padded(numbers(arrays["img"]), settings["pad"])
    kernel = (settings["kh"], settings["kw"])
    return moved(columns_of(image, kernel, settings["stride"], settings["dilation"]), arrays["img"])


@judge
def fil2col(arrays: Arrays, settings: Settings) -> list[Expected]:
    kernel = arrays["kernel"]
    return moved(numbers(kernel).reshape(len(kernel), -1), kernel)


@judge
def fil2row(arrays: Arrays, settings: Settings) -> list[Expected]:
    filters, groups = arrays["filters"], settings["groups"]
    parts = numbers(filters).reshape(groups, len(filters) // groups, -1)
    return moved(np.concatenate([part.T for part in parts]), filters)


@judge
def col2fil(arrays: Arrays, settings: Settings) -> list[Expected]:
    return moved(numbers(arrays["filter_matrix"]).reshape(settings["shape"]), arrays["filter_matrix"])


@judge
def reshape(arrays: Arrays, settings: Settings) -> list[Expected]:
    return moved(numbers(arrays["product"]).reshape(settings["shape"]), arrays["product"])


@judge
def rows(arrays: Arrays, settings: Settings) -> list[Expected]:
    maps = numbers(arrays["maps"])
    return moved(np.moveaxis(maps, 1, -1).reshape(maps.size // maps.shape[1], maps.shape[1]), arrays["maps"])


@judge
def flatten(arrays: Arrays, settings: Settings) -> list[Expected]:
    x = arrays["x"]
    return moved(numbers(x).reshape(len(x), math.prod(x.shape[1:])), x)


@judge
def dropout(arrays: Arrays, settings: Settings) -> list[Expected]:
    return moved(numbers(arrays["x"]), arrays["x"])


@judge
def concat(arrays: Arrays, settings: Settings) -> list[Expected]:
    return moved(np.concatenate([numbers(array) for array in arrays.values()], 1), *arrays.values())


@judge
def upsample(arrays: Arrays, settings: Settings) -> list[Expected]:
    down, across = settings["factor"]
    return moved(np.kron(numbers(arrays["x"]), np.full((1, 1, down, across), Number(1, 1))), arrays["x"])


@judge
def clip(arrays: Arrays, settings: Settings) -> list[Expected]:
    low, high = settings["low"], settings["high"]
    limited = each(lambda v: v if v != v else min(max(v, low), high), arrays["x"])
    return moved(limited, arrays["x"])


@judge
def relu(arrays: Arrays, settings: Settings) -> list[Expected]:
    return moved(each(lambda v: v if v != v else max(v, 0), arrays["x"]), arrays["x"])


# Sums of products


@judge
def matmul(arrays: Arrays, settings: Settings) -> list[Expected]:
    columns, filters, bias = (arrays[name] for name in ("columns", "filter_matrix", "bias"))
    groups = settings["groups"]
    parts = zip(np.split(numbers(columns), groups, 1), np.split(numbers(filters), groups, 0), strict=True)
    sums = np.concatenate([matrix_product(left, right.T) for left, right in parts], 1)
    return [products(sums + numbers(bias), columns, filters, bias)]


@judge
def matmul_columns(arrays: Arrays, settings: Settings) -> list[Expected]:
    left, right, groups = arrays["row_matrix"], arrays["columns"], settings["groups"]
    parts = zip(np.split(numbers(left), groups, 1), np.split(numbers(right), groups, 1), strict=True)
    return [products(np.concatenate([matrix_product(one.T, other) for one, other in parts]), left, right)]


@judge
def matmul_rows(arrays: Arrays, settings: Settings) -> list[Expected]:
    left, right, groups = arrays["row_matrix"], arrays["tap_matrix"], settings["groups"]
    parts = zip(np.split(numbers(left), groups, 1), np.split(numbers(right), groups, 0), strict=True)
    cells = np.concatenate([matrix_product(one, other.T) for one, other in parts], 1)
    dtype = np.dtype(settings["dtype"])
    return [Expected(cells, dtype, dtype if dtype.kind == "f" else FLOAT64)]


@judge
def tile_columns(arrays: Arrays, settings: Settings) -> list[Expected]:
    parts = np.split(numbers(arrays["columns"]), settings["groups"], 1)
    return moved(np.array([in_tiles(part, settings["rows"], settings["k"]) for part in parts]), arrays["columns"])


@judge
def tile_filters(arrays: Arrays, settings: Settings) -> list[Expected]:
    parts = np.split(numbers(arrays["filter_matrix"]), settings["groups"], 0)
    tiles = np.array([in_tiles(part, settings["f"], settings["k"]) for part in parts])
    return moved(np.moveaxis(tiles, 3, 4), arrays["filter_matrix"])


def in_tiles(matrix: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """A matrix in tiles of a size, filled up with zeros."""
    above, beside = (-(-count // size) for count, size in zip(matrix.shape, (rows, columns), strict=True))
    tiles = numbers(np.zeros((above, beside, rows, columns), int))
    for row, column in np.ndindex(*matrix.shape):
        tiles[row // rows, column // columns, row % rows, column % columns] = matrix[row, column]
    return tiles


@judge
def matmul_tiles(arrays: Arrays, settings: Settings) -> list[Expected]:
    left, right = arrays["column_tiles"], arrays["filter_tiles"]
    groups, above, along, rows, _ = left.shape
    cells = np.zeros((groups, above, right.shape[1], along, rows, right.shape[4]), object)
    for group, row, f, k in np.ndindex(*cells.shape[:4]):
        cells[group, row, f, k] = matrix_product(numbers(left)[group, row, k], numbers(right)[group, f, k])
    return [partial_sums(cells, left, right)]


def partial_sums(cells: np.ndarray, *arrays: np.ndarray) -> Expected:
    """Sums on their way: integers of 64 bits, floats in the widest of theirs, at least float32."""
    if any(array.dtype.kind == "f" for array in arrays):
        dtype = np.result_type(*arrays, FLOAT32)
        return Expected(cells, dtype, dtype)
    return Expected(
        cells, np.dtype(np.uint64 if all(array.dtype.kind == "u" for array in arrays) else np.int64), FLOAT64
    )


@judge
def sum_tiles(arrays: Arrays, settings: Settings) -> list[Expected]:
    tiles, bias = arrays["partial_sums"], arrays["bias"]
    count, filters = settings["shape"]
    sums = np.zeros((count, filters), object)
    for row, f in np.ndindex(count, filters):
        group, own = divmod(f, filters // len(tiles))
        beside, column = divmod(own, tiles.shape[5])
        cells = numbers(tiles)[group, row // tiles.shape[4], beside, :, row % tiles.shape[4], column]
        sums[row, f] = total(cells, 0)
    return [products(sums + numbers(bias), tiles, bias)]


@judge
def sum_rows(arrays: Arrays, settings: Settings) -> list[Expected]:
    return [Expected(total(numbers(arrays["row_matrix"]), 0), arrays["row_matrix"].dtype)]


@judge
def dense(arrays: Arrays, settings: Settings) -> list[Expected]:
    x, weights, bias = (arrays[name] for name in ("x", "weights", "bias"))
    return [products(matrix_product(numbers(x), numbers(weights)) + numbers(bias), x, weights, bias)]


@judge
def implicit_gemm(arrays: Arrays, settings: Settings) -> list[Expected]:
    image, filters, bias = (arrays[name] for name in ("padded", "filters", "bias"))
    sums = convolved(numbers(image), numbers(filters), settings["stride"], settings["dilation"])
    return [products(np.moveaxis(sums + channelwise(numbers(bias), sums), 1, -1), image, filters, bias)]


@judge
def conv(arrays: Arrays, settings: Settings) -> list[Expected]:
    return [products(feature_maps(arrays, settings), arrays["x"], arrays["w"], arrays["bias"])]


def feature_maps(arrays: Arrays, settings: Settings) -> np.ndarray:
    """(N, F, out_h, out_w)."""
    image = padded(numbers(arrays["x"]), settings["pad"])
    sums = convolved(image, numbers(arrays["w"]), settings["stride"], settings["dilation"])
    return sums + channelwise(numbers(arrays["bias"]), sums)


@judge
def stages(arrays: Arrays, settings: Settings) -> list[Expected]:
    x, w, bias = (arrays[name] for name in ("x", "w", "bias"))
    image = padded(numbers(x), settings["pad"])
    maps = np.moveaxis(feature_maps(arrays, settings), 1, -1)
    return [
        *moved(image, x),
        *moved(columns_of(image, w.shape[2:], settings["stride"], settings["dilation"]), x),
        *moved(numbers(w).reshape(len(w), -1), w),
        products(maps.reshape(maps.size // len(w), len(w)), x, w, bias),
        products(maps, x, w, bias),
    ]


@judge
def conv_transpose(arrays: Arrays, settings: Settings) -> list[Expected]:
    x, w, bias = (arrays[name] for name in ("x", "w", "bias"))
    stride, dilation = settings["stride"], settings["dilation"]
    sizes = zip(x.shape[2:], w.shape[2:], stride, dilation, strict=True)
    shape = [(n - 1) * s + (k - 1) * d + 1 for n, k, s, d in sizes]
    sums = inner(spread(numbers(x), numbers(w), shape, stride, dilation), settings["pad"])
    return [products(sums + channelwise(numbers(bias), sums), x, w, bias)]


@judge
def conv_grad(arrays: Arrays, settings: Settings) -> list[Expected]:
    x, w, grad = (arrays[name] for name in ("x", "w", "grad"))
    image, maps = padded(numbers(x), settings["pad"]), numbers(grad)
    stride, dilation = settings["stride"], settings["dilation"]
    of_x = inner(spread(maps, numbers(w), image.shape[2:], stride, dilation), settings["pad"])
    of_w = np.full(w.shape, ZERO)
    for tap, cells in windows(image.shape[2:], w.shape[2:], stride, dilation)[1]:
        parts = maps[:, :, None] * image[(slice(None), None, slice(None), *cells)]
        of_w[(slice(None), slice(None), *tap)] = total(parts, (0, 3, 4))
    return [products(of_x, grad, w), products(of_w, x, grad), products(total(maps, (0, 2, 3)), grad)]


@judge
def col2im(arrays: Arrays, settings: Settings) -> list[Expected]:
    col, (batch, channels, *spatial) = arrays["col"], settings["img_shape"]
    kernel = (settings["kh"], settings["kw"])
    out, taps = windows(spatial, kernel, (1, 1), (1, 1))
    planes = numbers(col).reshape(batch, *out, channels, *kernel)
    image = np.full((batch, channels, *spatial), ZERO)
    for tap, cells in taps:
        image[(..., *cells)] = image[(..., *cells)] + np.moveaxis(planes[(..., *tap)], -1, 1)
    return [Expected(image, col.dtype)]


# Sums


@judge
def add(arrays: Arrays, settings: Settings) -> list[Expected]:
    one, other = arrays.values()
    return [Expected(numbers(one) + numbers(other), common(one, other))]


@judge
def add_bias(arrays: Arrays, settings: Settings) -> list[Expected]:
    x, bias = arrays["x"], arrays["bias"]
    return [Expected(numbers(x) + numbers(bias), common(x, bias))]


def with_bias(arrays: Arrays, settings: Settings) -> np.ndarray:
    """(N, C, H, W) without its padding, and a bias for each channel."""
    cells = inner(numbers(arrays["padded"]), settings["pads"])
    return cells + channelwise(numbers(arrays["bias"]), cells)


@judge
def unpad(arrays: Arrays, settings: Settings) -> list[Expected]:
    return [Expected(with_bias(arrays, settings), arrays["padded"].dtype)]


@judge
def crop(arrays: Arrays, settings: Settings) -> list[Expected]:
    return [Expected(np.moveaxis(with_bias(arrays, settings), 1, -1), arrays["padded"].dtype)]


# Pooling


@judge
def max_pool(arrays: Arrays, settings: Settings) -> list[Expected]:
    x, pads = arrays["x"], settings["pad"]
    least = -math.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    grown = np.pad(x, ((0, 0), (0, 0), *pads), constant_values=least)
    _, taps = windows(grown.shape[2:], settings["kernel"], settings["stride"], (1, 1))
    return moved(numbers(np.maximum.reduce([grown[(..., *cells)] for _, cells in taps])), x)


@judge
def global_max_pool(arrays: Arrays, settings: Settings) -> list[Expected]:
    x = arrays["x"]
    cells = x.reshape(*x.shape[:2], math.prod(x.shape[2:]))
    return moved(numbers(np.maximum.reduce(cells, -1).reshape(*x.shape[:2], 1, 1)), x)


@judge
def avg_pool(arrays: Arrays, settings: Settings) -> list[Expected]:
    x = arrays["x"]
    grown = padded(numbers(x), settings["pad"])
    out, taps = windows(grown.shape[2:], settings["kernel"], settings["stride"], (1, 1))
    sums = np.full((*x.shape[:2], *out), ZERO)
    for _, cells in taps:
        sums = sums + grown[(..., *cells)]
    return [mean(sums, math.prod(settings["kernel"]), x)]


@judge
def global_avg_pool(arrays: Arrays, settings: Settings) -> list[Expected]:
    x = arrays["x"]
    sums = total(numbers(x), (2, 3))
    return [mean(sums[:, :, None, None], math.prod(x.shape[2:]), x)]


def mean(sums: np.ndarray, count: int, x: np.ndarray) -> Expected:
    """Sums by how many they are of; of integers rounded once."""
    return Expected(sums / np.full(sums.shape, Number(count, count)), as_float(x), rounded=x.dtype.kind != "f")


# Cell by cell, by Python's own functions


def each(function: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    """A function of each Python number, exactly."""
    return numbers_of([Number.of(function(value)) for value in x.ravel().tolist()], x.shape)


def numbers_of(found: list[Number], shape: Any) -> np.ndarray:
    """An array of numbers."""
    result = np.empty(len(found), object)
    result[:] = found
    return result.reshape(shape)


def computed(function: Callable[[float], Number], x: np.ndarray) -> list[Expected]:
    """A function of each cell, of integers as float64."""
    dtype = as_float(x)
    cells = numbers_of([function(float(value)) for value in x.ravel().tolist()], x.shape)
    return [Expected(cells, dtype, np.result_type(dtype, FLOAT32))]


@judge
def leaky_relu(arrays: Arrays, settings: Settings) -> list[Expected]:
    slope = Number.of(0.01)
    return computed(lambda v: Number.of(v) * slope if v < 0 else Number.of(v), arrays["x"])


@judge
def scale(arrays: Arrays, settings: Settings) -> list[Expected]:
    x = arrays["x"]
    return [Expected(numbers(x) / np.full(x.shape, Number(255, 255)), FLOAT32)]


def exp(value: float) -> float:
    """The exponential; the logarithms of what is no float are 0."""
    return math.exp(value) if value > -800 else 0.0


@judge
def sigmoid(arrays: Arrays, settings: Settings) -> list[Expected]:
    def of(v: float) -> Number:
        return Number.near(1 / (1 + exp(-v)) if v > 0 else exp(v) / (1 + exp(v)), 16 + min(abs(v), 800))

    return computed(lambda v: Number(v) if v != v else of(v), arrays["x"])


@judge
def tanh(arrays: Arrays, settings: Settings) -> list[Expected]:
    return computed(lambda v: Number.near(math.tanh(v), 16), arrays["x"])


@judge
def gelu(arrays: Arrays, settings: Settings) -> list[Expected]:
    def of(v: float) -> Number:
        share = math.erfc(-v / math.sqrt(2)) / 2
        return Number.near(v * share, 16 + min(2 * v * v, 4000)) if v > -40 else ZERO

    return computed(lambda v: Number(math.nan if v < 0 else v) if not math.isfinite(v) else of(v), arrays["x"])


def along_channels(x: np.ndarray, function: Callable[[list[Any]], list[Number]]) -> list[Expected]:
    """A function of each row of cells along the second axis."""
    dtype, rows_ = as_float(x), np.moveaxis(x, 1, -1)
    flat = rows_.reshape(math.prod(rows_.shape[:-1]), x.shape[1]).tolist()
    found = [number for row in flat for number in function(row)]
    cells = np.moveaxis(numbers_of(found, rows_.shape), -1, 1)
    return [Expected(cells, dtype, np.result_type(dtype, FLOAT32))]


def distances(row: list[float]) -> tuple[list[float], float] | None:
    """Each cell less the largest, and the logarithm of the sum of their exponentials; nothing of no numbers."""
    if any(value != value for value in row) or math.isinf(max(row)):
        return None
    below = [
        float(max(Fraction(value) - Fraction(max(row)), -LARGEST)) if value > -math.inf else value for value in row
    ]
    return below, math.log(math.fsum(map(exp, below)))


LARGEST = Fraction(float(np.finfo(np.float64).max))


@judge
def softmax(arrays: Arrays, settings: Settings) -> list[Expected]:
    def of(row: list[float]) -> list[Number]:
        found = distances(row)
        if found is None:
            return [Number(math.nan)] * len(row)
        return [Number.near(exp(below - found[1]), 32 + min(abs(below), 800)) for below in found[0]]

    return along_channels(arrays["x"], of)


@judge
def log_softmax(arrays: Arrays, settings: Settings) -> list[Expected]:
    """Where x less the largest is beyond float64, so is the result, or next to it."""

    def of(row: list[float]) -> list[Number]:
        found = distances(row)
        if found is None:
            return [Number(math.nan)] * len(row)
        return [
            Number(below)
            if below == -math.inf
            else Number(
                Fraction(value) - Fraction(max(row)) - Fraction(found[1]),
                abs(Fraction(below)) + Fraction(found[1]) + 1,
                32,
            )
            for value, below in zip(row, found[0], strict=True)
        ]

    return along_channels(arrays["x"], of)


# Normalised


def logarithm(value: Fraction) -> float:
    """The natural logarithm of a fraction of any size."""
    if 1 / Fraction(2) < value < 2:
        return math.log1p(float(value - 1))
    power = value.numerator.bit_length() - value.denominator.bit_length()
    return math.log(float(value / Fraction(2) ** power)) + power * math.log(2)


@judge
def local_response_norm(arrays: Arrays, settings: Settings) -> list[Expected]:
    """The defaults: a window of 5, alpha 1e-4, beta 0.75, k 1; by logarithms where squares leave float64."""

    def of(row: list[float]) -> list[Number]:
        return [normed(value, row[max(at - 2, 0) : at + 3]) for at, value in enumerate(row)]

    def normed(value: float, window: list[float]) -> Number:
        if any(other != other for other in window):
            return Number(math.nan)
        if any(map(math.isinf, window)):
            return Number(math.nan) if math.isinf(value) else ZERO
        base = 1 + Fraction(1e-4) / 5 * sum(Fraction(other) ** 2 for other in window)
        if not value:
            return ZERO
        logs = logarithm(abs(Fraction(value))), 0.75 * logarithm(base)
        steps = 64 + 4 * (abs(logs[0]) + logs[1]) if base < LARGEST else 1 << 14
        found = Number.near(math.copysign(math.exp(min(logs[0] - logs[1], 709)), value), steps)
        return replace(found, way=max(Fraction(other) ** 2 for other in window) * 5)

    return along_channels(arrays["x"], of)


def root(value: Any) -> Any:
    """The square root, to 100 bits and more."""
    if isinstance(value, float):
        return value
    found = Fraction(value)
    return Fraction(math.isqrt((found.numerator * found.denominator) << 2200), found.denominator << 1100)


@judge
def batch_norm(arrays: Arrays, settings: Settings) -> list[Expected]:
    x = numbers(arrays["x"])
    gain, shift, centre, variance = (
        channelwise(numbers(arrays[name]), x) for name in ("scale", "shift", "mean", "variance")
    )
    epsilon = Number.of(1e-5)
    deviation = np.frompyfunc(lambda v: Number(root((v + epsilon).value), 0, 2), 1, 1)(variance)
    dtype = as_float(*arrays.values())
    return [Expected((x - centre) * (gain / deviation) + shift, dtype, np.result_type(dtype, FLOAT32))]


# Quantised


def whole(array: np.ndarray, low: int = -(2**63), high: int = 2**63 - 1) -> np.ndarray:
    """An array's integers, Python's.

    Raises:
        NotTakenError: floats, or integers out of a range.
    """
    found = array.astype(object)
    if array.dtype.kind == "f" or any(not low <= cell <= high for cell in found.ravel()):
        raise NotTakenError
    return found


def integral(function: Callable[[int], int], array: np.ndarray, dtype: Any) -> list[Expected]:
    """What a function makes of each integer of an array."""
    cells = np.empty(array.shape, object)
    cells.ravel()[:] = [Number.of(function(cell)) for cell in array.ravel()]
    return [Expected(cells, np.dtype(dtype))]


@judge
def center(arrays: Arrays, settings: Settings) -> list[Expected]:
    x, zero = arrays["x"], settings["zero_point"]
    cells = whole(x, -(2**63), 2**64)
    whole(cells - zero)
    size = {1: np.int16, 2: np.int32}.get(x.dtype.itemsize, np.int64)
    return integral(lambda cell: cell - zero, cells, size)


@judge
def clamp(arrays: Arrays, settings: Settings) -> list[Expected]:
    cells, low = whole(arrays["x"], 0, 2**64) if arrays["x"].dtype.kind == "u" else whole(arrays["x"]), settings["low"]
    return integral(lambda cell: min(max(cell, low), settings["high"]), cells, arrays["x"].dtype)


@judge
def relu6(arrays: Arrays, settings: Settings) -> list[Expected]:
    return moved(each(lambda v: v if v != v else min(max(v, 0), 6), arrays["x"]), arrays["x"])


@judge
def round_shift(arrays: Arrays, settings: Settings) -> list[Expected]:
    half = 2 ** settings["shift"] // 2
    return integral(lambda cell: (cell + half) // (2 * half), whole(arrays["x"]), np.int64)


@judge
def requantize(arrays: Arrays, settings: Settings) -> list[Expected]:
    multiplier, right = settings["multiplier"], -settings["shift"]
    low, high = settings["low"], settings["high"]

    def scaled(acc: int) -> int:
        once = (acc * multiplier + 2**30) // 2**31
        return (once + 2 ** (right - 1) - (once < 0)) // 2**right

    sums = whole(arrays["acc"], -(2**31), 2**31 - 1)
    narrow = {"wrap": lambda value: (value + 128) % 256 - 128}.get(settings["overflow"], lambda value: value)
    if settings["overflow"] not in ("wrap", "saturate") and any(not -128 <= scaled(acc) <= 127 for acc in sums.ravel()):
        raise NotTakenError
    return integral(lambda acc: min(max(narrow(scaled(acc)), low), high), sums, np.int8)


@judge
def thresholds(arrays: Arrays, settings: Settings) -> list[Expected]:
    sums, table = whole(arrays["acc"]), whole(arrays["table"])
    cells = np.empty(sums.shape, object)
    for index, acc in np.ndenumerate(sums):
        cells[index] = Number.of(sum(acc >= limit for limit in table[index[-1]]))
    return [Expected(cells, np.dtype(np.int64))]


@judge
def quantize(arrays: Arrays, settings: Settings) -> list[Expected]:
    def steps(value: Any) -> int:
        if value != value:
            return settings["zero_point"]
        limited = min(max(value / settings["scale"], -1e9), 1e9)  # the scale is a power of two
        return min(max(round(limited) + settings["zero_point"], -128), 127)

    with np.errstate(all="ignore"):
        return integral(steps, arrays["x"].astype(np.float32).astype(np.float64).astype(object), np.int8)


@judge
def quantize_bias(arrays: Arrays, settings: Settings) -> list[Expected]:
    step = settings["input_scale"] * settings["filter_scale"]  # a power of two

    def steps(value: float) -> int:
        limited = 0.0 if value != value else min(max(value / step, -(2.0**32)), 2.0**32)
        return min(max(round(limited), -(2**31)), 2**31 - 1)

    with np.errstate(all="ignore"):
        return integral(steps, arrays["bias"].astype(np.float32).astype(np.float64).astype(object), np.int32)


@judge
def dequantize(arrays: Arrays, settings: Settings) -> list[Expected]:
    cells = whole(arrays["q"], -(2**63), 2**64) - settings["zero_point"]
    found = np.empty(cells.shape, object)
    found.ravel()[:] = [Number.of(float(np.float32(cell)) * settings["scale"]) for cell in cells.ravel()]
    return [Expected(found, FLOAT32)]


@judge
def pack_int4(arrays: Arrays, settings: Settings) -> list[Expected]:
    values = [cell % 16 for cell in whole(arrays["values"], -8, 7).ravel()]
    pairs = np.array([*values, *[0] * (len(values) % 2)], object).reshape(-1, 2)
    return integral(lambda byte: byte, pairs[:, 0] + 16 * pairs[:, 1], np.uint8)


@judge
def unpack_int4(arrays: Arrays, settings: Settings) -> list[Expected]:
    packed = whole(arrays["packed"], -128, 255).ravel()
    nibbles = np.array([[cell % 16, cell // 16 % 16] for cell in packed], object).reshape(-1)
    return integral(lambda cell: cell - 16 * (cell > 7), nibbles, np.int8)
