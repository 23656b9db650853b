"""The oracle: naive loops that share no code with what they judge."""

from convpipe.reference.adjoint import conv_grad, conv_transpose
from convpipe.reference.convolution import Settings, col2im, conv, links, magnitude, out_shape, sides, source, starts
from convpipe.reference.numbers import exact, limits, narrow, rounded

__all__ = [
    "Settings",
    "col2im",
    "conv",
    "conv_grad",
    "conv_transpose",
    "exact",
    "limits",
    "links",
    "magnitude",
    "narrow",
    "out_shape",
    "rounded",
    "sides",
    "source",
    "starts",
]
