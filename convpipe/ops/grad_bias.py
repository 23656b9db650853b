"""The gradient of a loss with respect to a convolution's bias."""

from convpipe.geometry.convolution import ConvGeometry
from convpipe.ops import Form, Gradient
from convpipe.ops.kinds.products import of_bias_gradient


class GradBias(Gradient):
    """The gradient with respect to the bias."""

    given = ("grad",)

    def sum_form(self, sizes: ConvGeometry, bias: bool) -> Form:
        """All gradients of the filter, image by image."""
        return of_bias_gradient(sizes)
