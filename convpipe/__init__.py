"""convpipe: a laboratory for convolution, every stage on record.

    import convpipe as cp
    cp.conv(x, w, stride=2, pad=1)     # NCHW in, NCHW out
    cp.load("runs/lecture_3d/<id>").array("im2col")

Names are loaded when they are first used, so that the command line starts fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from convpipe.provenance import VERSION as __version__

if TYPE_CHECKING:
    from convpipe.archive import load
    from convpipe.collection import runs
    from convpipe.functions import conv, conv_grad, conv_transpose
    from convpipe.ops import col2im, fil2col, im2col, pad

HOMES = {
    "conv": "convpipe.functions",
    "conv_grad": "convpipe.functions",
    "conv_transpose": "convpipe.functions",
    "pad": "convpipe.ops",
    "im2col": "convpipe.ops",
    "col2im": "convpipe.ops",
    "fil2col": "convpipe.ops",
    "load": "convpipe.archive",
    "runs": "convpipe.collection",
}

__all__ = ["__version__", "col2im", "conv", "conv_grad", "conv_transpose", "fil2col", "im2col", "load", "pad", "runs"]


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'convpipe' has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
