"""The layers of a network: a closed registry from the name in YAML to the settings of that kind of layer."""

from __future__ import annotations

from convpipe.errors import ConfigError, did_you_mean
from convpipe.layers.activations import (
    CellFunctionLayer,
    DropoutLayer,
    GeluLayer,
    LeakyReluLayer,
    ReluLayer,
    SoftmaxLayer,
)
from convpipe.layers.convolution import ConvLayer, ConvTransposeLayer
from convpipe.layers.dense import DenseLayer, FlattenLayer
from convpipe.layers.joining import AddLayer, ConcatLayer
from convpipe.layers.layer import Layer, Surroundings
from convpipe.layers.normalization import BatchNormLayer, LocalResponseNormLayer, ScaleLayer
from convpipe.layers.pooling import AvgPoolLayer, GlobalAvgPoolLayer, GlobalMaxPoolLayer, MaxPoolLayer

__all__ = ["LAYERS", "Layer", "Surroundings", "get_layer"]

LAYERS: dict[str, type[Layer]] = {
    "conv": ConvLayer,
    "conv_transpose": ConvTransposeLayer,
    "dense": DenseLayer,
    "max_pool": MaxPoolLayer,
    "avg_pool": AvgPoolLayer,
    "global_max_pool": GlobalMaxPoolLayer,
    "global_avg_pool": GlobalAvgPoolLayer,
    "relu": ReluLayer,
    "leaky_relu": LeakyReluLayer,
    "sigmoid": CellFunctionLayer,
    "tanh": CellFunctionLayer,
    "gelu": GeluLayer,
    "softmax": SoftmaxLayer,
    "log_softmax": SoftmaxLayer,
    "batch_norm": BatchNormLayer,
    "local_response_norm": LocalResponseNormLayer,
    "flatten": FlattenLayer,
    "add": AddLayer,
    "concat": ConcatLayer,
    "dropout": DropoutLayer,
    "scale": ScaleLayer,
}


def get_layer(key: str, op: object) -> type[Layer]:
    """The settings of one kind of layer.

    Raises:
        ConfigError: there is no such kind.
    """
    if not isinstance(op, str) or op not in LAYERS:
        raise ConfigError(key, op, f"one of {', '.join(LAYERS)}", did_you_mean(str(op), LAYERS))
    return LAYERS[op]
