"""The gradient of a loss with respect to a convolution's filters."""

from convpipe.ops import Gradient


class GradWeights(Gradient):
    """The gradient with respect to the filters."""

    given = ("input", "grad")
    forward = True
