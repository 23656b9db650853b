"""Layers that bring cells to a common scale: by stored statistics, by their neighbours, or by a number."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from convpipe.errors import ConfigError
from convpipe.fields import dtype_name, field, number, optional, text, whole
from convpipe.graph.step import Step
from convpipe.layers.layer import Reading, Surroundings, cells_bytes, widened
from convpipe.ops.floating import computing_float, result_float
from convpipe.ops.normalization import batch_norm, local_response_norm
from convpipe.tensors import FLOAT_DTYPES, Array

ROLES = ("scale", "shift", "mean", "variance")


@dataclass(frozen=True, kw_only=True)
class BatchNormLayer(Reading):
    """Normalisation by stored statistics, per channel (inference)."""

    scale: str | None = field(optional(text), None)
    shift: str | None = field(optional(text), None)
    mean: str | None = field(optional(text), None)
    variance: str | None = field(optional(text), None)
    epsilon: float = field(number(low=0), 1e-5)

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        x = around.only
        weights = [around.weigh(role, getattr(self, role), (x.shape[1],)) for role in ROLES]
        made = around.like(x, dtype=result_float(np.result_type(x.dtype, *(tensor.dtype for tensor in weights))))
        per_channel = 4 * sum(cells_bytes(tensor, np.dtype(np.float64)) for tensor in weights)
        run = partial(batch_norm, epsilon=self.epsilon)
        return (around.step("batch_norm", made, run, *weights, workspace=widened(made) + per_channel),)


@dataclass(frozen=True, kw_only=True)
class LocalResponseNormLayer(Reading):
    """Normalisation over neighbouring channels (Krizhevsky et al., 2012)."""

    size: int = field(whole(1), 5)
    alpha: float = field(number(), 1e-4)
    beta: float = field(number(), 0.75)
    k: float = field(number(), 1.0)

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        made = around.like(around.only, dtype=result_float(around.only.dtype))
        settings = {name: getattr(self, name) for name in ("size", "alpha", "beta", "k")}
        squares = cells_bytes(made, computing_float(made.dtype))
        run = partial(local_response_norm, **settings)
        return (around.step("local_response_norm", made, run, workspace=widened(made) + squares),)


@dataclass(frozen=True, kw_only=True)
class ScaleLayer(Reading):
    """x / divisor, in floats: 255 brings the values of a picture to [0, 1]."""

    divisor: float = field(number(), 255)
    dtype: str = field(dtype_name(FLOAT_DTYPES), "float32")

    def steps(self, around: Surroundings) -> tuple[Step, ...]:
        """One step."""
        if not self.divisor:
            raise ConfigError("divisor", self.divisor, "a number other than 0")
        made = around.like(around.only, dtype=np.dtype(self.dtype))
        quotients = 0 if made.dtype == np.float64 else cells_bytes(made, np.dtype(np.float64))
        run = partial(scaled, divisor=self.divisor, dtype=made.dtype)
        return (around.step("scale", made, run, workspace=quotients),)


def scaled(x: Array, *, divisor: float, dtype: np.dtype[Any]) -> Array:
    """x / divisor in float64, then rounded to `dtype`.

    >>> scaled(np.array([0, 51, 255], np.uint8), divisor=255, dtype=np.dtype("float32"))
    array([0. , 0.2, 1. ], dtype=float32)
    """
    with np.errstate(all="ignore"):
        quotients: Array = np.divide(x, divisor, dtype=np.float64, order="C")
        return quotients.astype(dtype, copy=False)
