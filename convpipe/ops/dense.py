"""Rows times weights: a fully connected layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from numpy.typing import ArrayLike, DTypeLike

from convpipe.fields import choice, field, group, if_given, optional, text, whole
from convpipe.geometry import convolution
from convpipe.geometry.convolution import ConvGeometry
from convpipe.geometry.layers import dense_shape
from convpipe.geometry.layouts import Turns
from convpipe.ops import (
    BIAS,
    MAIN,
    WEIGHTS,
    Array,
    Form,
    Give,
    Made,
    Operation,
    Read,
    Sizes,
    Tensor,
    Wanted,
    Weight,
    bias_name,
    bias_of,
    bias_read,
    numeric,
    of_products,
    variables,
)
from convpipe.ops.arrays.bounds import Bounded, product_error
from convpipe.ops.arrays.overflow import OVERFLOW, OVERFLOWS, Overflow
from convpipe.ops.arrays.sums import result_dtype, workspace
from convpipe.ops.conv import Conv
from convpipe.ops.kinds.quantised import QUANT, QUANTITIES, Quant
from convpipe.ops.kinds.suiting import asked
from convpipe.ops.matmul import matmul
from convpipe.ops.weight_rows import LAYOUT, LAYOUTS


class Dense(Operation):
    """A fully connected layer, (N, in) -> (N, units)."""

    units: int | None = field(optional(whole(1)), None, "How many outputs; null is as many as the weights have.")
    weights: str | None = field(optional(text), None, WEIGHTS)
    bias: bool | str = field(bias_name, True, BIAS)
    layout: str = field(choice(LAYOUTS), "in_out", LAYOUT)
    overflow: Overflow = field(choice(OVERFLOWS), "error", OVERFLOW, later=True)
    quant: Quant | None = field(if_given(group(Quant)), None, QUANT, later=True)

    reads = (MAIN, "weights")
    may_read = ("bias",)
    varies = True
    images = False

    def ask(self, give: Give, x: Tensor) -> dict[str, Tensor]:
        """The weights, and the bias if there is one."""
        dense_shape(x.shape, (x.shape[-1], self.units or 0))  # what it reads has two axes
        shape: Wanted = (x.shape[1], self.units)
        turned = self.layout == "out_in"
        shape = shape[::-1] if turned else shape
        w = give(Weight("weights", shape, self.letters, "weight", self.weights, turns=self.turns))
        units = w.shape[0 if turned else 1]
        return {"weights": w, **bias_of(give, self.bias, units), **asked(give, self.quant, units)}

    @property
    def as_conv(self) -> DenseConv:
        """What has the stages of a quantised one: a convolution of images of one cell."""
        return DenseConv(bias=bool(self.bias), quant=self.quant, layout=self.layout, overflow=self.overflow)

    @property
    def letters(self) -> tuple[str, ...]:
        """What the axes of the weights are called."""
        return ("units", "in") if self.layout == "out_in" else ("in", "units")

    @property
    def turns(self) -> Turns:
        """The other layout, and the setting for it."""
        other = next(layout for layout in LAYOUTS if layout != self.layout)
        return (((1, 0), f"that is the transpose, which {{layer}}.layout={other} takes"),)

    def plan(self, x: Tensor, weights: Tensor, bias: Tensor | None = None) -> Made:
        """One matrix product."""
        size = dense_shape(x.shape, self.in_out(weights.shape))
        dtypes = [tensor.dtype for tensor in (x, weights, bias) if tensor is not None]
        target, macs = result_dtype(*dtypes), size[0] * weights.shape[0] * weights.shape[1]
        return Made(size, target, ("N", "units"), macs, workspace(size[0], (size[1], x.shape[1]), target, *dtypes))

    def in_out(self, shape: Sizes) -> Sizes:
        """The shape of weights in the layout that the product takes."""
        return shape[::-1] if self.layout == "out_in" else shape

    def run(self, x: Array, weights: Array, bias: Array | None = None) -> Array:
        """`dense`."""
        turned = weights.T if self.layout == "out_in" else weights
        return dense(x, turned, bias, overflow=self.overflow)

    def error(self, made: Array, x: Bounded, weights: Bounded, bias: Bounded | None = None) -> Array:
        """That of sums of products."""
        return product_error(replace(self, overflow="inf").run, made.dtype, x.values.shape[1], x, weights, bias)

    def form(self, x: Tensor, weights: Tensor, bias: Tensor | None = None) -> Form:
        """The sum of inputs times weights, and the bias."""
        [row, unit], [k] = variables(2), variables(1, 2)
        place = (unit, k) if self.layout == "out_in" else (k, unit)
        reads = (Read("x", 0, (row, k), x.shape), Read("w", "weights", place, weights.shape))
        own = None if bias is None else bias_read(unit, bias.shape[0])
        return of_products(2, reads, (x.shape[1],), own, ("", "inputs", "weights"))


class DenseConv(Conv):
    """A dense layer as a convolution whose images have one cell: its rows are the columns of that."""

    layout: str = field(choice(LAYOUTS), "in_out", LAYOUT)

    given = ("input", "weights", "bias", *QUANTITIES)
    idle = ()

    def sizes(self, tensors: Mapping[str, Tensor]) -> ConvGeometry:
        """Those of images (N, in, 1) and filters (units, in, 1)."""
        x, rows = tensors["input"].shape, self.filters_of(tensors).shape
        dense_shape(x, rows[::-1])
        return convolution.solve((*x, 1), (*rows, 1))

    def filters_of(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """The weights as (units, in)."""
        w = tensors["weights"]
        return w if self.layout == "out_in" else replace(w, shape=w.shape[::-1])


def dense(
    x: ArrayLike,
    weights: ArrayLike,
    bias: ArrayLike | None = None,
    dtype: DTypeLike | None = None,
    overflow: Overflow = "error",
) -> Array:
    """Multiply rows with weights: ``x @ weights + bias``.

    Args:
        x: (N, in), any integer or float dtype.
        weights: (in, out), likewise: one column per output, as in the lecture's book and in Keras; PyTorch
            keeps the transpose.
        bias: (out,), added to each row.
        dtype, overflow: as for `matmul`, whose values these are: integers exact whatever their size.

    Returns:
        (N, out), a transposed view. Beside it, the bytes of `matmul.workspace`.

    Raises:
        ConfigError: arguments that are no arrays of numbers or do not fit together, named.
        ValueRangeError: with ``overflow="error"``, a sum that does not fit.

    >>> import numpy as np
    >>> dense(np.array([[1, 2]]), np.array([[1, 0, 1], [0, 1, 1]]), bias=np.array([0, 0, 10]))
    array([[ 1,  2, 13]])
    """
    x, weights = numeric("x", x), numeric("weights", weights)
    bias = None if bias is None else numeric("bias", bias)
    dense_shape(x.shape, weights.shape, None if bias is None else bias.shape)
    return matmul(x, weights.T, bias, dtype=dtype, overflow=overflow)
