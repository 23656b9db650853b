"""What a layer is, and what a network tells it about its surroundings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from convpipe.errors import ConfigError
from convpipe.fields import field, optional, several, text
from convpipe.lowerings.settings import ConvSettings
from convpipe.sources.weights import Wanted
from convpipe.step import Array, Step, Tensor

Weigh = Callable[[str, "str | None", Wanted], Tensor]
Convolve = Callable[[Tensor, Tensor, "Tensor | None", ConvSettings, Sequence[str]], tuple[Step, ...]]


@dataclass(frozen=True)
class Surroundings:
    """A layer's place in its network.

    `weigh` gives a tensor of weights by its role in the layer, its name in the weights file (None for the
    usual one) and its shape; `convolve` plans a convolution.
    """

    name: str
    inputs: tuple[Tensor, ...]
    weigh: Weigh
    convolve: Convolve
    stages: tuple[str, ...]

    @property
    def only(self) -> Tensor:
        """The tensor that a layer with one input reads.

        Raises:
            ConfigError: the layer is given several.
        """
        if len(self.inputs) != 1:
            raise ConfigError(f"network.{self.name}.inputs", [t.name for t in self.inputs], "one tensor")
        return self.inputs[0]

    def step(self, op: str, made: Tensor, run: Callable[..., Array], *weights: Tensor, macs: int = 0) -> Step:
        """A layer that is a single step, named as the layer is; its workspace is reckoned as one more result."""
        needs = tuple(tensor.name for tensor in (*self.inputs, *weights))
        return Step(self.name, op, needs, made, run, macs, workspace=2 * made.bytes)

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
        """Its steps, the last of which makes the tensor of the layer's own name."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What every layer can be told: its kind, and what it reads instead of the layer before it."""

    op: str = field(text)
    inputs: tuple[str, ...] | None = field(optional(several(text)), None)
