"""Pooling layers: the largest or the mean of each window."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from convpipe import geometry
from convpipe.fields import anything, field, truth
from convpipe.layers.layer import Reading, Surroundings
from convpipe.ops.pooling import avg_pool, global_avg_pool, global_max_pool, max_pool
from convpipe.step import Step


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
        made = around.like(x, shape=sizes.shape)
        return (around.step("max_pool", made, partial(max_pool, **settings)),)


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
        made = around.like(x, shape=sizes.shape, dtype=float_dtype(x.dtype))
        run = partial(avg_pool, **sized, count_include_pad=self.count_include_pad)
        return (around.step("avg_pool", made, run),)


@dataclass(frozen=True, kw_only=True)
class GlobalMaxPoolLayer(Reading):
    """The largest value of each channel."""

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        x = around.only
        shape = (*x.shape[:2], *(1 for _ in x.shape[2:]))
        return (around.step("global_max_pool", around.like(x, shape=shape), global_max_pool),)


@dataclass(frozen=True, kw_only=True)
class GlobalAvgPoolLayer(Reading):
    """The mean of each channel."""

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        x = around.only
        shape = (*x.shape[:2], *(1 for _ in x.shape[2:]))
        made = around.like(x, shape=shape, dtype=float_dtype(x.dtype))
        return (around.step("global_avg_pool", made, global_avg_pool),)


def float_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of a function whose values are not whole: floats keep theirs, integers give float64."""
    return dtype if dtype.kind == "f" else np.dtype(np.float64)
