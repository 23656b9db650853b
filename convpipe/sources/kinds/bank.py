"""Kernels laid out over the channels of an input, as a bank of filters."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from convpipe.fields import choice, field, optional
from convpipe.sources.kinds.drawn import signature as bank_signature
from convpipe.sources.kinds.source import Request, Source
from convpipe.tensors import Array, Signature, Sizes

EACH, SUM = "each", "sum"
CHANNELS = "each: every input channel filtered by itself; sum: over the sum of the channels."
KERNELS = (
    "each: a kernel (a matrix, or a list of them) filters every input channel by itself; sum: the sum of the channels; "
    "null: filters as they are."
)


def bank_shape(request: Request, count: int, kernel: Sizes, channels: str) -> Sizes:
    """(F, C/G, kernel...): F is count * C for ``each``, count * G for ``sum``.

    >>> bank_shape(Request((None, 2, None, None), groups=2), 3, (5, 5), "each")
    (12, 2, 5, 5)
    """
    first, depth, *_ = request.shape or (None, None)
    there = (first or 0) if depth is None else depth * request.groups
    return (count * (there if channels == EACH else request.groups), there // request.groups, *kernel)


def laid_out(kernels: Array, shape: Sizes, channels: str) -> Array:
    """Kernels (count, kernel...) as filters of a shape: for each channel in turn all kernels, or for each group."""
    bank = np.zeros(shape, kernels.dtype)
    count = len(kernels)
    if channels == SUM:
        bank.reshape(-1, count, *shape[1:])[:] = kernels[:, None]  # groups, count, C/G, kernel
        return bank
    filters = np.arange(len(bank))
    channel, kernel = np.divmod(filters, count)
    bank[filters, channel % shape[1]] = kernels[kernel]  # groups take the channels in order, C/G of them each
    return bank


def bank_labels(names: Sequence[str], depth: int, how: str, channels: Sequence[str]) -> tuple[str, ...]:
    """Each kernel's name, with that of its channel, or the number of its group, where there are several.

    >>> bank_labels(["box", "sobel"], 2, "each", ["R", "G"])
    ('box R', 'sobel R', 'box G', 'sobel G')
    """
    parts = channels if how == EACH else [f"g{group}" for group in range(len(channels) // max(depth, 1))]
    return tuple(f"{name} {part}" if len(parts) > 1 else name for part in parts for name in names)


class Kernels(Source):
    """A source of filters that may be single kernels, laid out over the channels."""

    channels: str | None = field(optional(choice([EACH, SUM])), says=KERNELS, under={"filters": None})

    def labels(self, signature: Signature, channels: Sequence[str] = ()) -> tuple[str, ...]:
        """The kernels by their numbers, if there are several, each with its channel; none of filters as they are."""
        if self.channels is None:
            return ()
        depth = signature.shape[1]
        copies = len(channels) if self.channels == EACH else len(channels) // max(depth, 1)
        count = signature.shape[0] // max(copies, 1)
        names = [f"kernel{at}" for at in range(count)] if count > 1 else ["kernel"]
        return bank_labels(names, depth, self.channels, channels)

    def bank(self, shape: Sizes, dtype: Any, request: Request, setting: str) -> Signature:
        """The signature of the filters that kernels of a shape become: one kernel, or a list of them.

        Raises:
            ConfigError: numbers of another number of axes.
        """
        rank = len(request.shape) - 2 if request.shape else len(shape)
        if len(shape) not in (rank, rank + 1):
            expected = f"a kernel of {rank} axes, or a list of such, beside {self.key('channels')}={self.channels}"
            raise self.wrong(setting, shape, expected, f"{self.key('channels')}=null takes filters as they are")
        count = shape[0] if len(shape) > rank else 1
        made = bank_shape(request, count, shape[len(shape) - rank :], self.channels or EACH)
        return bank_signature(self.key(setting), made, str(np.dtype(dtype)))

    def banked(self, kernels: Array, signature: Signature, setting: str) -> Array:
        """The filters of a signature, of kernels as they are read.

        Raises:
            ConfigError: they are not those that were planned.
        """
        kernel = signature.shape[2:]
        if kernels.shape[-len(kernel) :] != kernel or kernels.ndim > len(kernel) + 1:
            raise self.wrong(setting, kernels.shape, f"a kernel {kernel}, or several, as when planned")
        found = kernels.reshape(-1, *kernel)
        if not len(found) or signature.shape[0] % len(found):
            raise self.wrong(setting, kernels.shape, f"as many kernels as make {signature.shape[0]} filters")
        return laid_out(found, signature.shape, self.channels or EACH)
