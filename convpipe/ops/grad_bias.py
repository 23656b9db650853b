"""The gradient of a loss with respect to a convolution's bias."""

from convpipe.ops import Gradient


class GradBias(Gradient):
    """The gradient with respect to the bias."""

    given = ("grad",)
