"""Gradients of a convolution, and the stages through which sums travel back."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any

import numpy as np

from convpipe.errors import GeometryError
from convpipe.geometry.axes import kernel_letters
from convpipe.geometry.convolution import ConvGeometry
from convpipe.ops.arrays.adjoints import between_dtype, between_overflow, copies, unpad_workspace
from convpipe.ops.arrays.bounds import Bounded, sum_error, total_rounding
from convpipe.ops.arrays.overflow import Overflow
from convpipe.ops.kinds.convolving import Convolving, ConvStage, SumStage
from convpipe.ops.kinds.forms import Read
from convpipe.ops.kinds.operation import Give, Weight
from convpipe.ops.kinds.places import Place
from convpipe.tensors import Array, Tensor


class BetweenStage(ConvStage):
    """A stage that adds up on the way to the result, in a dtype that holds what may come."""

    varies = True

    @property
    def between(self) -> np.dtype[Any]:
        """The dtype of sums between stages."""
        return between_dtype(self.conv.output, self.conv.operation.overflow, *self.conv.operands)

    @property
    def between_overflow(self) -> Overflow:
        """What happens to a sum that this dtype does not hold."""
        return between_overflow(self.between, self.conv.output, self.conv.operation.overflow)


class UnpadStage(SumStage):
    """A stage that takes the padding of summed images back."""

    after = ("padded_sums",)
    varies = False  # but for folded padding, whose sums have few terms

    @property
    def memory(self) -> int:
        """The bytes that it may need beside its result."""
        sizes, conv = self.conv.sizes, self.conv
        axes = zip(sizes.spatial, sizes.pads, strict=True)
        repeats = prod(copies(size, pair, conv.operation.pad_mode) for size, pair in axes)
        terms = sizes.filters // sizes.groups * prod(sizes.kernel) * repeats
        cells = sizes.channels * max(prod(sizes.padded), prod(sizes.spatial))
        between = between_dtype(conv.output, conv.operation.overflow, *conv.operands)
        return unpad_workspace(cells, sizes.channels, terms, between, *conv.operands)

    def cropped(self, x: Tensor, n: Place, channel: Place, own: Sequence[Place]) -> Read:
        """The cell of the padded sums at a place, or what no tap reaches, which is 0."""
        pads = self.conv.sizes.pads
        places = (n, channel, *(place + before for place, (before, _) in zip(own, pads, strict=True)))
        beyond = ((max(-before, 0), max(-after, 0)) for before, after in pads)
        return Read("x", 0, places, x.shape, ((0, 0), (0, 0), *beyond))

    def error(self, made: Array, x: Bounded, bias: Bounded | None = None) -> Array:
        """That of sums as in `total`: of a cell, of those that were copied from it, and of the bias."""
        sizes = self.conv.sizes
        axes = zip(sizes.spatial, sizes.pads, strict=True)
        terms = 1 + prod(copies(size, pair, self.conv.operation.pad_mode) for size, pair in axes)
        local = partial(total_rounding, dtype=made.dtype, terms=terms, of=np.dtype(np.float32))
        wide = replace(self, dtype="float64", overflow="inf").run
        return sum_error(wide, made.dtype, local, *(term for term in (x, bias) if term is not None))


class Gradient(Convolving):
    """A gradient of a convolution, given the gradient of its output."""

    lacks = ("output_padding", "output_shape")
    layer = False

    def ask(self, give: Give, x: Tensor) -> dict[str, Tensor]:
        """The convolution's filters, and the gradient of its output."""
        rank = len(x.shape) - 2
        depth = "C" if self.groups == 1 else "C/G"
        wanted = (None, x.shape[1] // self.groups, *(None,) * rank)
        filters = give(Weight("filters", wanted, ("F", depth, *kernel_letters(rank))))
        sizes = self.forward_sizes(x, filters)
        shape = (sizes.batch, sizes.filters, *sizes.out)
        grad = give(Weight("grad", shape, ("N", "F", *sizes.feature_map_axes[1:-1])))
        return {"filters": filters, "grad": grad}

    def sizes(self, tensors: Mapping[str, Tensor]) -> ConvGeometry:
        """The geometry of the convolution that it is a gradient of."""
        sizes, grad = super().sizes(tensors), tensors["grad"]
        expected = (sizes.batch, sizes.filters, *sizes.out)
        if grad.shape != expected:
            raise GeometryError("grad", grad.shape, f"the shape {expected} of the convolution's output")
        return sizes
