"""The weights of a dense layer as a matrix with a row for each output."""

from __future__ import annotations

from convpipe.fields import choice, field
from convpipe.ops import Array, Convolution, ConvStage, Form, Made, Tensor, copied, variables

LAYOUTS = ("in_out", "out_in")
LAYOUT = "How the weights lie: in_out is (in, units), as in x @ W; out_in is (units, in), as PyTorch's Linear has it."


class WeightRows(ConvStage):
    """weights -> filter_matrix, (units, in): as they lie, or transposed."""

    layout: str = field(choice(LAYOUTS), "in_out", LAYOUT)

    reads = ("weights",)
    makes = result = "filter_matrix"
    moves = True

    @classmethod
    def of(cls, conv: Convolution) -> dict[str, object]:
        """The layer as a convolution, and how its weights lie."""
        return {"conv": conv, "layout": getattr(conv.operation, "layout", LAYOUTS[0])}

    def plan(self, weights: Tensor) -> Made:
        """(units, in)."""
        shape = self.conv.sizes.filter_matrix_shape
        return Made(shape, weights.dtype, ("units", "in"), workspace=0)

    def run(self, weights: Array) -> Array:
        """A view."""
        return weights if self.layout == "out_in" else weights.T

    def form(self, weights: Tensor) -> Form:
        """The weight that it is a copy of."""
        unit, place = variables(2)
        return copied(2, (unit, place) if self.layout == "out_in" else (place, unit), weights.shape, "weights")
