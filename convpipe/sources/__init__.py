"""Where arrays come from: a closed registry of sources for inputs, and one for filter banks.

A source is a frozen dataclass of settings. ``signature`` says what the array will be, ``make`` makes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

import numpy as np

from convpipe.errors import ConfigError, did_you_mean
from convpipe.sources.bias import BIASES, BiasSource
from convpipe.sources.classic import ClassicFilters
from convpipe.sources.digits import DigitsInput
from convpipe.sources.files import NpyFilters, NpyInput, NpzInput
from convpipe.sources.gradient import GRADS, GradSource
from convpipe.sources.integers import IntegersFilters, IntegersInput
from convpipe.sources.labels import LABELS, LabelSource
from convpipe.sources.literal import LiteralFilters, LiteralInput
from convpipe.sources.photo import ImageInput
from convpipe.sources.random import RandomFilters, RandomInput
from convpipe.sources.signature import Signature
from convpipe.sources.stream import stream
from convpipe.sources.weights import WEIGHTS, WeightSource
from convpipe.step import Array

__all__ = [
    "BIASES",
    "FILTERS",
    "GRADS",
    "INPUTS",
    "LABELS",
    "WEIGHTS",
    "BiasSource",
    "FilterSource",
    "GradSource",
    "InputSource",
    "LabelSource",
    "Signature",
    "WeightSource",
    "get_bias",
    "get_filters",
    "get_grad",
    "get_input",
    "get_labels",
    "get_weights",
    "stream",
]

T = TypeVar("T")


class InputSource(Protocol):
    """What every input source can do."""

    @property
    def source(self) -> str:
        """Its name in the registry."""

    def signature(self) -> Signature:
        """The shape (N, C, H, W) and dtype to come; of a file only the header is read."""

    def make(self, signature: Signature, bits: np.random.PCG64) -> Array:
        """The array, C-ordered, of exactly that shape and dtype."""


class FilterSource(Protocol):
    """What every filter source can do."""

    @property
    def source(self) -> str:
        """Its name in the registry."""

    def signature(self, channels: int, groups: int, rank: int) -> Signature:
        """The shape (F, C/G, kernel...) and dtype to come, for an input of C channels and 1 to 3 spatial axes."""

    def make(self, signature: Signature, bits: np.random.PCG64) -> Array:
        """The array, C-ordered, of exactly that shape and dtype."""


INPUTS: dict[str, type[InputSource]] = {
    "lecture": LiteralInput,
    "random": RandomInput,
    "integers": IntegersInput,
    "npy": NpyInput,
    "npz": NpzInput,
    "image": ImageInput,
    "digits": DigitsInput,
}
FILTERS: dict[str, type[FilterSource]] = {
    "lecture": LiteralFilters,
    "random": RandomFilters,
    "integers": IntegersFilters,
    "npy": NpyFilters,
    "classic": ClassicFilters,
}


def get_input(name: object) -> type[InputSource]:
    """The settings class of one input source.

    Raises:
        ConfigError: there is no source of that name.

    >>> get_input("random").__name__
    'RandomInput'
    """
    return registered("input.source", name, INPUTS)


def get_filters(name: object) -> type[FilterSource]:
    """The settings class of one filter source.

    Raises:
        ConfigError: there is no source of that name.
    """
    return registered("filters.source", name, FILTERS)


def get_bias(name: object) -> type[BiasSource]:
    """The settings class of one source of a bias.

    Raises:
        ConfigError: there is no source of that name.
    """
    return registered("bias.source", name, BIASES)


def get_grad(name: object) -> type[GradSource]:
    """The settings class of one source of a gradient.

    Raises:
        ConfigError: there is no source of that name.
    """
    return registered("grad.source", name, GRADS)


def get_weights(name: object) -> type[WeightSource]:
    """The settings class of one source of weights.

    Raises:
        ConfigError: there is no source of that name.
    """
    return registered("weights.source", name, WEIGHTS)


def get_labels(name: object) -> type[LabelSource]:
    """The settings class of one source of labels.

    Raises:
        ConfigError: there is no source of that name.
    """
    return registered("labels.source", name, LABELS)


def registered(key: str, name: object, registry: Mapping[str, T]) -> T:
    """The entry of that name, or an error that lists the names there are."""
    if not isinstance(name, str) or name not in registry:
        raise ConfigError(key, name, f"one of {', '.join(registry)}", did_you_mean(str(name), registry))
    return registry[name]
