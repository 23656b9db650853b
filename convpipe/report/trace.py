"""The lecture's trace: how the column tensor fills, one kernel tap after another."""

from typing import TextIO

import numpy as np

from convpipe import geometry
from convpipe.archive.read import Run
from convpipe.ops.arrays.taps import fill_columns
from convpipe.tensors import Array, Sizes


def show_trace(out: TextIO, run: Run) -> None:
    """Print the column tensor of an archived run before, after each kernel tap and at the end.

    The tensor is (N, C, kh, kw, out_h, out_w), as in the lecture, before it becomes a matrix.
    """
    conv = run.config["conv"]
    sizes = geometry.solve(
        run.array("input").shape,
        filters_shape(run),
        **{key: conv[key] for key in ("stride", "pad", "dilation", "groups", "pad_mode")},
    )
    padded = run.array("pad")
    buffer = np.zeros((sizes.channels, *sizes.kernel, sizes.batch, *sizes.out), padded.dtype)
    col = np.moveaxis(buffer, 1 + sizes.rank, 0)  # (N, C, kh, kw, out_h, out_w)
    print_part(out, "before:", col)
    for tap, planes in fill_columns(padded, buffer, sizes.stride, sizes.dilation):
        indices = ", ".join([":", ":", *map(str, tap), *(":" for _ in tap)])
        print_part(out, f"col[{indices}]:", planes.swapaxes(0, 1))
    print_part(out, "Final result:", col, rule=False)
    print_part(out, f"as a matrix {run.array('im2col').shape}:", run.array("im2col"), rule=False)


def filters_shape(run: Run) -> Sizes:
    """The shape of the filters; a run that reads none makes their gradient, which has the same."""
    there = any(row["stage"] == "filters" for row in run.rows)
    return run.array("filters").shape if there else run.output.shape


def print_part(out: TextIO, title: str, values: Array, *, rule: bool = True) -> None:
    """One step of the trace: its title, the values, and the lecture's rule below."""
    print(title, values, *(["-----"] if rule else []), sep="\n", file=out)
