"""The layers that end a classifier: images laid out as rows, and rows times weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from convpipe import geometry
from convpipe.fields import choice, field, optional, text, whole
from convpipe.graph.step import Step
from convpipe.layers.convolution import bias_name, weigh_bias
from convpipe.layers.layer import Reading, Surroundings
from convpipe.ops.dense import dense, flatten
from convpipe.ops.matmul import result_dtype, workspace as matmul_workspace
from convpipe.tensors import Tensor, Wanted

LAYOUTS = ("in_out", "out_in")


@dataclass(frozen=True, kw_only=True)
class FlattenLayer(Reading):
    """(N, C, H, W) -> (N, C*H*W)."""

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        x = around.only
        made = around.like(x, shape=geometry.flatten_shape(x.shape), axes=("N", "*".join(x.axes[1:])))
        return (around.step("flatten", made, flatten),)


@dataclass(frozen=True, kw_only=True)
class DenseLayer(Reading):
    """A fully connected layer, (N, in) -> (N, units)."""

    units: int | None = field(optional(whole(1)), None)
    weights: str | None = field(optional(text), None)
    bias: bool | str = field(bias_name, True)
    # in_out: (in, units), as NumPy's x @ W; out_in: (units, in), as PyTorch's Linear
    layout: str = field(choice(LAYOUTS), "in_out")

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One matrix product."""
        x = around.only
        geometry.dense_shape(x.shape, (x.shape[1], self.units or 0))  # what it reads has two axes
        turned = self.layout == "out_in"
        shape: Wanted = (self.units, x.shape[1]) if turned else (x.shape[1], self.units)
        w = around.weigh("weights", self.weights, shape)
        size = geometry.dense_shape(x.shape, w.shape[::-1] if turned else w.shape)
        weights = (w, *weigh_bias(around, self.bias, size[1]))
        dtypes = [x.dtype, *(tensor.dtype for tensor in weights)]
        made = Tensor(around.name, size, result_dtype(*dtypes), ("N", "units"))
        macs = size[0] * w.shape[0] * w.shape[1]
        workspace = matmul_workspace(size[0], (size[1], x.shape[1]), made.dtype, *dtypes)
        run = partial(run_dense, turned=turned)
        return (around.step("dense", made, run, *weights, macs=macs, workspace=workspace),)


def run_dense(x: Any, weights: Any, bias: Any = None, *, turned: bool) -> np.ndarray[Any, Any]:
    """`ops.dense`, with weights in either layout."""
    return dense(x, weights.T if turned else weights, bias)
