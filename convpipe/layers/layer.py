"""What a layer is, and what a network tells it about its surroundings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import numpy as np

from convpipe import geometry
from convpipe.errors import ConfigError
from convpipe.fields import field, optional, several, text
from convpipe.graph.step import Step
from convpipe.lowerings.settings import ConvSettings
from convpipe.ops.floating import computing_float
from convpipe.tensors import Array, Tensor, Wanted

Weigh = Callable[[str, "str | None", Wanted], Tensor]
Convolve = Callable[[Tensor, Tensor, "Tensor | None", ConvSettings, "Sequence[str] | None"], tuple[Step, ...]]


@dataclass(frozen=True)
class Surroundings:
    """A layer's place in its network.

    `weigh` gives a tensor of weights by its role in the layer, its name in the weights file (None for the
    usual one) and its shape; `convolve` plans a convolution, forward or transposed, in the stages given or, where
    those are None, in the run's.
    """

    name: str
    inputs: tuple[Tensor, ...]
    weigh: Weigh
    convolve: Convolve

    @property
    def only(self) -> Tensor:
        """The tensor that a layer with one input reads.

        Raises:
            ConfigError: the layer is given several.
        """
        if len(self.inputs) != 1:
            raise ConfigError("inputs", [tensor.name for tensor in self.inputs], "one tensor")
        return self.inputs[0]

    def step(
        self, op: str, made: Tensor, run: Callable[..., Array], *weights: Tensor, macs: int = 0, workspace: int = 0
    ) -> Step:
        """A layer that is a single step, named as the layer is."""
        needs = tuple(tensor.name for tensor in (*self.inputs, *weights))
        return Step(self.name, op, needs, made, run, macs, workspace)

    def like(self, tensor: Tensor, **changes: Any) -> Tensor:
        """A tensor under this layer's name, as another but for some changes."""
        given = {"shape": tensor.shape, "dtype": tensor.dtype, "axes": tensor.axes, **changes}
        return Tensor(self.name, **given)


class Layer(Protocol):
    """Settings of one layer, which can say what its steps are."""

    @property
    def op(self) -> str:
        """Its kind, a name in the registry."""

    @property
    def inputs(self) -> tuple[str, ...] | None:
        """The layers it reads, or None for the one before it."""

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """Its steps, the last of which makes the tensor of the layer's own name.

        Raises:
            ConfigError: settings that do not suit what it reads, under their bare names (``stride``).
        """


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What every layer can be told: its kind, and what it reads instead of the layer before it."""

    op: str = field(text)
    inputs: tuple[str, ...] | None = field(optional(several(text)), None)


def within_image(axis: int, axes: int) -> int:
    """An axis from the front that is not the batch's: images do not depend on each other, so they may run in slices.

    >>> within_image(-1, axes=4)
    3
    """
    found = geometry.axis_of(axis, axes)
    if not found:
        raise ConfigError("axis", axis, f"an axis from 1 to {axes - 1}, as 0 is the batch")
    return found


def widened(made: Tensor) -> int:
    """The bytes of a result in the float that it is computed in, where that is a wider one; else 0."""
    wide = computing_float(made.dtype)
    return 0 if wide == made.dtype else cells_bytes(made, wide)


def cells_bytes(tensor: Tensor, dtype: np.dtype[Any]) -> int:
    """The bytes of a tensor's cells in another dtype."""
    return prod(tensor.shape) * dtype.itemsize
