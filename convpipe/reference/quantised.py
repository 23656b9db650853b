"""The oracle of quantised convolution: the products of `links` in an accumulator, then `rules`, one cell at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convpipe.reference.convolution import Settings, links, out_shape
from convpipe.reference.numbers import Array, Index
from convpipe.reference.rules import Numbers, held, requantize


@dataclass(frozen=True)
class Accumulator:
    """What sums are made in."""

    bits: int = 32
    overflow: str = "error"  # wrap, saturate, pairs16
    every: Any = "end"  # step, or after so many products
    order: str = "C,kh,kw"  # kh,kw,C

    def hold(self, value: int) -> int:
        """A sum in its bits."""
        rule = "error" if self.overflow == "pairs16" else self.overflow
        return held(value, -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1, rule)


@dataclass(frozen=True)
class Product:
    """One product of a sum: what meets, not yet less their zero points, and where the weight lies in its filter."""

    x: int
    w: int
    tap: Index  # channel, and then along each spatial axis


def conv_sums(
    x: Array,
    w: Array,
    bias: Array | None = None,
    *,
    input_zero: int = 0,
    filter_zeros: Sequence[int] = (0,),
    accumulator: Accumulator = Accumulator(),
    **settings: Any,
) -> Array:
    """The sums of a quantised convolution in its accumulator, with the bias.

    Args:
        x: (N, C, spatial...), integers; padding holds `input_zero`.
        w: (F, C/G, kernel...), integers.
        bias: (F,), integers.
        filter_zeros: one zero point, or one for each filter.
        settings: stride, pad, dilation and groups, as for `conv`.

    Returns:
        (N, F, out...), Python integers.

    Raises:
        OverflowError: with ``error``, a sum that the accumulator does not hold.

    >>> x, w = np.array([[[-128, -128]]], np.int8), np.array([[[-128, -128]]], np.int8)
    >>> conv_sums(x, w, accumulator=Accumulator(15, "wrap")).tolist(), conv_sums(x, w).tolist()
    ([[[0]]], [[[32768]]])
    """
    asked = Settings(**settings)
    sums = np.empty(out_shape(x.shape, w.shape, asked), object)
    cells: dict[Index, list[Product]] = {index: [] for index in np.ndindex(sums.shape)}
    for out, cell, tap in links(x.shape, w.shape, asked):
        read = input_zero if cell is None else int(x[cell])
        cells[out].append(Product(read, int(w[tap]), tap[1:]))
    for out, products in cells.items():
        zero = filter_zeros[out[1] % len(filter_zeros)]
        total = accumulated(products, input_zero, zero, accumulator)
        sums[out] = total if bias is None else accumulator.hold(total + int(bias[out[1]]))
    return sums


def accumulated(products: list[Product], zx: int, zw: int, accumulator: Accumulator) -> int:
    """One sum of products, as the accumulator makes it."""
    if accumulator.order == "kh,kw,C":
        products = sorted(products, key=lambda each: (each.tap[1:], each.tap[0]))
    if accumulator.overflow == "pairs16":
        return accumulator.hold(in_pairs(products, zx, zw))
    size = {"end": max(len(products), 1), "step": 1}.get(accumulator.every, accumulator.every)
    total = 0
    for start in range(0, len(products), size):
        total = accumulator.hold(total + sum((each.x - zx) * (each.w - zw) for each in products[start : start + size]))
    return total


def in_pairs(products: list[Product], zx: int, zw: int) -> int:
    """Products of what meets as it is, added in pairs that saturate at 16 bits; the zero points are taken off after."""
    total = 0
    for start in range(0, len(products), 2):
        pair = sum(each.x * each.w for each in products[start : start + 2])
        total += held(pair, -(2**15), 2**15 - 1, "saturate")
    return total - sum(zx * each.w + zw * each.x - zx * zw for each in products)


def conv_quantized(sums: Array, rule: str, channels: Sequence[Numbers], **output: Any) -> Array:
    """The sums of `conv_sums` as a target's integers.

    Args:
        sums: (N, F, out...), Python integers.
        rule: one of `rules.RULES`.
        channels: what it works with: one for all filters, or one for each.
        output: ``zero``, ``dtype``, ``low``, ``high`` and ``overflow``, as `rules.requantize` has them.

    Returns:
        (N, F, out...), Python integers.

    >>> conv_quantized(np.array([[[5], [6]]], object), "shift", [Numbers(shift=1), Numbers(shift=2)]).tolist()
    [[[3], [2]]]
    """
    made = np.empty(sums.shape, object)
    for index in np.ndindex(sums.shape):
        made[index] = requantize(int(sums[index]), rule, channels[index[1] % len(channels)], **output)
    return made
