"""The lecture's trace: how the column tensor fills, one kernel tap after another."""

from typing import TextIO

import numpy as np

from convpipe.archive.read import Run
from convpipe.config.read import read_archived
from convpipe.graph.single import plan_run
from convpipe.ops.arrays.taps import fill_columns
from convpipe.ops.im2col import Im2col
from convpipe.tensors import Array


def show_trace(out: TextIO, run: Run) -> None:
    """Print the column tensor of an archived run before, after each kernel tap and at the end.

    The tensor is (N, C, kh, kw, out_h, out_w), as in the lecture, before it becomes a matrix.
    """
    steps = plan_run(read_archived(run)).steps
    (sizes, read), *_ = ((s.operation.conv.sizes, s.needs[0]) for s in steps if isinstance(s.operation, Im2col))
    padded = run.array(next(step.name for step in steps if step.makes.name == read))
    buffer = np.zeros((sizes.channels, *sizes.kernel, sizes.batch, *sizes.out), padded.dtype)
    col = np.moveaxis(buffer, 1 + sizes.rank, 0)  # (N, C, kh, kw, out_h, out_w)
    print_part(out, "before:", col)
    for tap, planes in fill_columns(padded, buffer, sizes.stride, sizes.dilation):
        indices = ", ".join([":", ":", *map(str, tap), *(":" for _ in tap)])
        print_part(out, f"col[{indices}]:", planes.swapaxes(0, 1))
    print_part(out, "Final result:", col, rule=False)
    print_part(out, f"as a matrix {run.array('im2col').shape}:", run.array("im2col"), rule=False)


def print_part(out: TextIO, title: str, values: Array, *, rule: bool = True) -> None:
    """One step of the trace: its title, the values, and the lecture's rule below."""
    print(title, values, *(["-----"] if rule else []), sep="\n", file=out)
