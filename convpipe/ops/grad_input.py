"""The gradient of a loss with respect to a convolution's input."""

from convpipe.ops import Gradient


class GradInput(Gradient):
    """The gradient with respect to the input."""

    given = ("grad", "filters")
