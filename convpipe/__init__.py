"""convpipe: a laboratory for convolution, every stage on record.

    import convpipe as cp
    cp.conv(x, w, stride=2, pad=1)     # NCHW in, NCHW out
    cp.load("runs/lecture_3d/<id>").array("im2col")

Names are loaded when they are first used, so that the command line starts fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from convpipe.execution.provenance import VERSION as __version__

if TYPE_CHECKING:
    from convpipe.archive.collection import runs
    from convpipe.archive.read import load
    from convpipe.execution.functions import conv, conv_grad, conv_transpose
    from convpipe.ops.activations import dropout, gelu, leaky_relu, log_softmax, relu, sigmoid, softmax, tanh
    from convpipe.ops.columns import col2im, fil2col, im2col
    from convpipe.ops.dense import dense, flatten
    from convpipe.ops.joining import add, concat
    from convpipe.ops.normalization import batch_norm, local_response_norm
    from convpipe.ops.padding import pad
    from convpipe.ops.pooling import avg_pool, global_avg_pool, global_max_pool, max_pool

__all__ = [
    "__version__",
    "add",
    "avg_pool",
    "batch_norm",
    "col2im",
    "concat",
    "conv",
    "conv_grad",
    "conv_transpose",
    "dense",
    "dropout",
    "fil2col",
    "flatten",
    "gelu",
    "global_avg_pool",
    "global_max_pool",
    "im2col",
    "leaky_relu",
    "load",
    "local_response_norm",
    "log_softmax",
    "max_pool",
    "pad",
    "relu",
    "runs",
    "sigmoid",
    "softmax",
    "tanh",
]

# Where each name is at home.
HOMES = {
    "execution.functions": ("conv", "conv_grad", "conv_transpose"),
    "archive.read": ("load",),
    "archive.collection": ("runs",),
    "ops.padding": ("pad",),
    "ops.columns": ("im2col", "col2im", "fil2col"),
    "ops.pooling": ("max_pool", "avg_pool", "global_max_pool", "global_avg_pool"),
    "ops.activations": ("relu", "leaky_relu", "sigmoid", "tanh", "gelu", "softmax", "log_softmax", "dropout"),
    "ops.normalization": ("batch_norm", "local_response_norm"),
    "ops.dense": ("dense", "flatten"),
    "ops.joining": ("add", "concat"),
}


def __getattr__(name: str) -> Any:
    for module, names in HOMES.items():
        if name in names:
            return getattr(import_module(f"convpipe.{module}"), name)
    raise AttributeError(f"module 'convpipe' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
