"""convpipe: a laboratory for convolution, every stage on record.

    import convpipe as cp
    cp.conv(x, w, stride=2, pad=1)     # NCHW in, NCHW out
    cp.load("runs/lecture_3d/<id>").array("im2col")

Names are loaded when they are first used, so that the command line starts fast.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convpipe.execution.provenance import VERSION as __version__

if TYPE_CHECKING:
    from convpipe.archive.collection import runs
    from convpipe.archive.read import load
    from convpipe.execution.functions import conv, conv_grad, conv_transpose
    from convpipe.ops.add import add
    from convpipe.ops.add_bias import add_bias
    from convpipe.ops.avg_pool import avg_pool
    from convpipe.ops.batch_norm import batch_norm
    from convpipe.ops.col2im import col2im
    from convpipe.ops.concat import concat
    from convpipe.ops.dense import dense
    from convpipe.ops.dropout import dropout
    from convpipe.ops.fil2col import fil2col
    from convpipe.ops.flatten import flatten
    from convpipe.ops.gelu import gelu
    from convpipe.ops.global_avg_pool import global_avg_pool
    from convpipe.ops.global_max_pool import global_max_pool
    from convpipe.ops.im2col import im2col
    from convpipe.ops.leaky_relu import leaky_relu
    from convpipe.ops.local_response_norm import local_response_norm
    from convpipe.ops.log_softmax import log_softmax
    from convpipe.ops.matmul import matmul
    from convpipe.ops.max_pool import max_pool
    from convpipe.ops.pad import pad
    from convpipe.ops.relu import relu
    from convpipe.ops.reshape import reshape
    from convpipe.ops.scale import scale
    from convpipe.ops.sigmoid import sigmoid
    from convpipe.ops.softmax import softmax
    from convpipe.ops.tanh import tanh

__all__ = [
    "__version__",
    "add",
    "add_bias",
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
    "matmul",
    "max_pool",
    "pad",
    "relu",
    "reshape",
    "runs",
    "scale",
    "sigmoid",
    "softmax",
    "tanh",
]

# Where names are at home that are no operation's array function, which lies in the file of its own name.
HOMES = {
    "conv": "execution.functions",
    "conv_grad": "execution.functions",
    "conv_transpose": "execution.functions",
    "load": "archive.read",
    "runs": "archive.collection",
}


OPERATIONS = Path(__file__).with_name("ops")


def __getattr__(name: str) -> Any:
    home = HOMES.get(name, f"ops.{name}")
    if name in HOMES or (OPERATIONS / f"{name}.py").is_file():
        found = vars(import_module(f"convpipe.{home}")).get(name)
        if found is not None:
            return found
    raise AttributeError(f"module 'convpipe' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(path.stem for path in OPERATIONS.glob("[a-z]*.py"))})
