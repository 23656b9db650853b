"""The gradient of a loss with respect to a convolution's input."""

from convpipe.geometry.convolution import ConvGeometry
from convpipe.ops import Form, Gradient
from convpipe.ops.kinds.products import of_adjoint


class GradInput(Gradient):
    """The gradient with respect to the input."""

    given = ("grad", "filters")

    def sum_form(self, sizes: ConvGeometry, bias: bool) -> Form:
        """Gradients times the taps that this cell was met by, filter by filter."""
        return of_adjoint(sizes, "grad", self.pad_mode, words=("filter", "gradients", "weights"))
