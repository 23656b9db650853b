"""convpipe: a laboratory for convolution, every stage on record.

    import convpipe as cp
    cp.conv(x, w, stride=2, pad=1)     # NCHW in, NCHW out
    cp.run("experiment=lecture_4d", **{"conv.stride": 2})
    cp.load("runs/lecture_3d/<id>")["im2col"]

Names are loaded when they are first used, so that the command line starts fast; nothing is imported here, so that
Ctrl-C finds the command line ready for it almost at once.
"""

TYPE_CHECKING = False  # as typing has it
if TYPE_CHECKING:
    from convpipe.api import (
        explain as explain,
        explain_map as explain_map,
        help as help,
        page as page,
        plan as plan,
        reproduce as reproduce,
        run as run,
        runs as runs,
        schema as schema,
        sweep as sweep,
        verify as verify,
        view as view,
    )
    from convpipe.archive.folders import load as load
    from convpipe.execution.functions import (
        conv as conv,
        conv_grad as conv_grad,
        conv_transpose as conv_transpose,
        stages as stages,
    )
    from convpipe.execution.quantised import conv_quantized as conv_quantized, stages_quantized as stages_quantized
    from convpipe.ops.add import add as add
    from convpipe.ops.add_bias import add_bias as add_bias
    from convpipe.ops.arrays.nibbles import pack_int4 as pack_int4, unpack_int4 as unpack_int4
    from convpipe.ops.arrays.rescaling import quantize_multiplier as quantize_multiplier
    from convpipe.ops.arrays.shifts import round_shift as round_shift
    from convpipe.ops.arrays.thresholds import thresholds as thresholds
    from convpipe.ops.avg_pool import avg_pool as avg_pool
    from convpipe.ops.batch_norm import batch_norm as batch_norm
    from convpipe.ops.center import center as center
    from convpipe.ops.clamp import activation_range as activation_range, clamp as clamp
    from convpipe.ops.clip import clip as clip
    from convpipe.ops.col2fil import col2fil as col2fil
    from convpipe.ops.col2im import col2im as col2im
    from convpipe.ops.concat import concat as concat
    from convpipe.ops.crop import crop as crop
    from convpipe.ops.dense import dense as dense
    from convpipe.ops.dequantize import dequantize as dequantize
    from convpipe.ops.dropout import dropout as dropout
    from convpipe.ops.fil2col import fil2col as fil2col
    from convpipe.ops.fil2row import fil2row as fil2row
    from convpipe.ops.flatten import flatten as flatten
    from convpipe.ops.gelu import gelu as gelu
    from convpipe.ops.global_avg_pool import global_avg_pool as global_avg_pool
    from convpipe.ops.global_max_pool import global_max_pool as global_max_pool
    from convpipe.ops.im2col import im2col as im2col
    from convpipe.ops.implicit_gemm import implicit_gemm as implicit_gemm
    from convpipe.ops.leaky_relu import leaky_relu as leaky_relu
    from convpipe.ops.local_response_norm import local_response_norm as local_response_norm
    from convpipe.ops.log_softmax import log_softmax as log_softmax
    from convpipe.ops.matmul import matmul as matmul
    from convpipe.ops.matmul_columns import matmul_columns as matmul_columns
    from convpipe.ops.matmul_rows import matmul_rows as matmul_rows
    from convpipe.ops.matmul_tiles import matmul_tiles as matmul_tiles
    from convpipe.ops.max_pool import max_pool as max_pool
    from convpipe.ops.pad import pad as pad
    from convpipe.ops.quantize import quantize as quantize, quantize_bias as quantize_bias
    from convpipe.ops.relu import relu as relu
    from convpipe.ops.relu6 import relu6 as relu6
    from convpipe.ops.requantize import requantize as requantize
    from convpipe.ops.reshape import reshape as reshape
    from convpipe.ops.rows import rows as rows
    from convpipe.ops.scale import scale as scale
    from convpipe.ops.sigmoid import sigmoid as sigmoid
    from convpipe.ops.softmax import softmax as softmax
    from convpipe.ops.sum_rows import sum_rows as sum_rows
    from convpipe.ops.sum_tiles import sum_tiles as sum_tiles
    from convpipe.ops.tanh import tanh as tanh
    from convpipe.ops.tile_columns import tile_columns as tile_columns
    from convpipe.ops.tile_filters import tile_filters as tile_filters
    from convpipe.ops.unpad import unpad as unpad
    from convpipe.ops.upsample import upsample as upsample
    from convpipe.report.answers import answers as answers


__version__: str  # of the provenance, when it is asked for
# Where names are at home that are no operation's array function, which lies in the file of its own name.
HOMES = {
    "activation_range": "ops.clamp",
    "answers": "report.answers",
    "conv": "execution.functions",
    "conv_grad": "execution.functions",
    "conv_quantized": "execution.quantised",
    "conv_transpose": "execution.functions",
    "explain": "api",
    "explain_map": "api",
    "help": "api",
    "load": "archive.folders",
    "pack_int4": "ops.arrays.nibbles",
    "page": "api",
    "plan": "api",
    "quantize_bias": "ops.quantize",
    "quantize_multiplier": "ops.arrays.rescaling",
    "reproduce": "api",
    "round_shift": "ops.arrays.shifts",
    "run": "api",
    "runs": "api",
    "schema": "api",
    "stages": "execution.functions",
    "stages_quantized": "execution.quantised",
    "sweep": "api",
    "thresholds": "ops.arrays.thresholds",
    "unpack_int4": "ops.arrays.nibbles",
    "verify": "api",
    "view": "api",
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "__version__":
        return vars(import_module("convpipe.execution.provenance"))["VERSION"]
    if name == "__all__":
        return [each for each in __dir__() if each in globals() or hasattr(import_module(__name__), each)]
    home = HOMES.get(name, f"ops.{name}")
    if name in HOMES or name in operations():
        found: object = vars(import_module(f"convpipe.{home}")).get(name)
        if found is not None:
            globals()[name] = found  # or each later access would come here: 15 us
            return found
    raise AttributeError(f"module 'convpipe' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({"__version__", *HOMES, *operations()})


def operations() -> set[str]:
    """The files of operations by their names."""
    import os

    names = os.listdir(os.path.join(os.path.dirname(__file__), "ops"))
    return {name.removesuffix(".py") for name in names if name.endswith(".py") and name[0].isalpha()}
