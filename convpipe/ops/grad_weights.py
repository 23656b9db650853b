"""The gradient of a loss with respect to a convolution's filters."""

from convpipe.geometry.convolution import ConvGeometry
from convpipe.ops import Form, Gradient
from convpipe.ops.kinds.products import of_weight_gradient


class GradWeights(Gradient):
    """The gradient with respect to the filters."""

    given = ("input", "grad")
    forward = True

    def sum_form(self, sizes: ConvGeometry, bias: bool) -> Form:
        """Pixels that met this tap times the gradients there, image by image."""
        return of_weight_gradient(sizes)
