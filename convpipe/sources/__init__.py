"""Where arrays come from: a closed registry of sources for each kind of array.

A source is a frozen dataclass of settings. ``signature`` says what the array will be, ``make`` makes it.
"""

from __future__ import annotations

from convpipe.sources.protocols import BiasSource, FilterSource, GradSource, InputSource, LabelSource, WeightSource
from convpipe.sources.registry import Registry
from convpipe.sources.stream import stream
from convpipe.tensors import Signature

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
    "stream",
]

INPUTS: Registry[type[InputSource]] = Registry(
    "input.source",
    {
        "lecture": "literal.LiteralInput",
        "random": "random.RandomInput",
        "integers": "integers.IntegersInput",
        "npy": "files.NpyInput",
        "npz": "files.NpzInput",
        "image": "photo.ImageInput",
        "digits": "digits.DigitsInput",
    },
)
FILTERS: Registry[type[FilterSource]] = Registry(
    "filters.source",
    {
        "lecture": "literal.LiteralFilters",
        "random": "random.RandomFilters",
        "integers": "integers.IntegersFilters",
        "npy": "files.NpyFilters",
        "classic": "classic.ClassicFilters",
    },
)
BIASES: Registry[type[BiasSource]] = Registry(
    "bias.source",
    {
        "lecture": "bias.LiteralBias",
        "random": "bias.RandomBias",
        "integers": "bias.IntegersBias",
        "npy": "bias.NpyBias",
    },
)
GRADS: Registry[type[GradSource]] = Registry(
    "grad.source", {"integers": "gradient.IntegersGrad", "random": "gradient.RandomGrad"}
)
WEIGHTS: Registry[type[WeightSource]] = Registry(
    "weights.source",
    {
        "npz": "weights.NpzWeights",
        "safetensors": "weights.SafetensorsWeights",
        "shipped": "weights.ShippedWeights",
        "random": "weights.RandomWeights",
        "integers": "weights.IntegerWeights",
    },
)
LABELS: Registry[type[LabelSource]] = Registry(
    "labels.source", {"npz": "labels.NpzLabels", "digits": "digits.DigitsLabels"}
)
