"""Where the gradient of a convolution's output comes from: its shape follows from the convolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from convpipe.sources.integers import Integers
from convpipe.sources.random import Random
from convpipe.sources.signature import signature
from convpipe.tensors import Signature, Sizes


@dataclass(frozen=True)
class IntegersGrad(Integers):
    """A gradient of whole numbers, (N, F, out_h, out_w).

    >>> IntegersGrad("integers").signature((1, 6, 5, 5))
    Signature(shape=(1, 6, 5, 5), dtype=dtype('int16'))
    """

    key: ClassVar[str] = "grad"

    def signature(self, shape: Sizes) -> Signature:
        """The shape of the convolution's output."""
        return signature("grad", shape, self.dtype)


@dataclass(frozen=True)
class RandomGrad(Random):
    """A random gradient, (N, F, out_h, out_w).

    >>> RandomGrad("random").signature((1, 6, 5, 5))
    Signature(shape=(1, 6, 5, 5), dtype=dtype('float32'))
    """

    key: ClassVar[str] = "grad"

    def signature(self, shape: Sizes) -> Signature:
        """The shape of the convolution's output."""
        return signature("grad", shape, self.dtype)
