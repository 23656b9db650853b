"""Pooling layers: the largest or the mean of each window."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

from convpipe import geometry
from convpipe.fields import anything, field, truth
from convpipe.graph.step import Step
from convpipe.layers.layer import Reading, Surroundings, cells_bytes, widened
from convpipe.ops.floating import computing_float, result_float
from convpipe.ops.pooling import avg_pool, global_avg_pool, global_max_pool, max_pool


@dataclass(frozen=True, kw_only=True)
class MaxPoolLayer(Reading):
    """The largest value of each window."""

    kernel: Any = field(anything)
    stride: Any = field(anything, None)
    pad: Any = field(anything, 0)
    dilation: Any = field(anything, 1)
    ceil_mode: bool = field(truth, False)

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        x = around.only
        settings = {name: getattr(self, name) for name in ("kernel", "stride", "pad", "dilation", "ceil_mode")}
        sizes = geometry.solve_pool(x.shape, **settings)
        return (around.step("max_pool", around.like(x, shape=sizes.shape), partial(max_pool, **settings)),)


@dataclass(frozen=True, kw_only=True)
class AvgPoolLayer(Reading):
    """The mean of each window."""

    kernel: Any = field(anything)
    stride: Any = field(anything, None)
    pad: Any = field(anything, 0)
    ceil_mode: bool = field(truth, False)
    count_include_pad: bool = field(truth, True)

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        x = around.only
        sized = {name: getattr(self, name) for name in ("kernel", "stride", "pad", "ceil_mode")}
        sizes = geometry.solve_pool(x.shape, **sized)
        made = around.like(x, shape=sizes.shape, dtype=result_float(x.dtype))
        run = partial(avg_pool, **sized, count_include_pad=self.count_include_pad)
        divisors = 2 * prod(sizes.out) * computing_float(made.dtype).itemsize
        return (around.step("avg_pool", made, run, workspace=widened(made) + divisors),)


@dataclass(frozen=True, kw_only=True)
class GlobalMaxPoolLayer(Reading):
    """The largest value of each channel."""

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        x = around.only
        made = around.like(x, shape=geometry.solve_pool(x.shape, kernel=x.shape[2:]).shape)
        return (around.step("global_max_pool", made, global_max_pool),)


@dataclass(frozen=True, kw_only=True)
class GlobalAvgPoolLayer(Reading):
    """The mean of each channel."""

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        x = around.only
        shape = geometry.solve_pool(x.shape, kernel=x.shape[2:]).shape
        made = around.like(x, shape=shape, dtype=result_float(x.dtype))
        copy = cells_bytes(x, computing_float(x.dtype))  # in C order, which a convolution's output is not
        return (around.step("global_avg_pool", made, global_avg_pool, workspace=copy + widened(made)),)
