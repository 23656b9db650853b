"""Where the multipliers, shifts, scales and thresholds of a quantised convolution come from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from convpipe.errors import ConfigError
from convpipe.ops.arrays.rescaling import multiplied
from convpipe.ops.kinds.quantised import Quant, setting_of, takes_scales
from convpipe.ops.kinds.suiting import key_of
from convpipe.sources import Request, Source
from convpipe.sources.kinds.source import ANY
from convpipe.sources.lecture import Lecture
from convpipe.tensors import Array, Signature, one_for_all


class Scales(Source):
    """The multipliers, or the shifts, that follow from three real scales."""

    roles = ()

    part: str
    input_scale: float
    filter_scale: Source
    output_scale: float

    def signature(self, request: Request = ANY) -> Signature:
        """One number for each scale of the filters."""
        return Signature(self.filter_scale.signature(request).shape, np.dtype(np.int32))

    def make(self, signature: Signature, bits: np.random.PCG64, entry: str = "") -> Array:
        """`multiplied`, of float32 scales."""
        scales = self.filter_scale.make(self.filter_scale.signature(Request(entry=entry)), bits, entry)
        ends = (np.array([scale], np.float32) for scale in (self.input_scale, self.output_scale))
        pair = multiplied(next(ends), scales.astype(np.float32), next(ends))
        return pair[("multiplier", "shift").index(self.part)].astype(np.int32)


def quantity(quant: Quant, role: str, weights: Source | None) -> Source:
    """The source of one of `QUANTITIES`: numbers that are written out, a file, an entry of weights, or the scales.

    Raises:
        ConfigError: a text that is the path of no .npy, where there are no weights.
    """
    if takes_scales(quant) and role in ("multiplier", "shift"):
        scales = quantity(quant, "filter_scale", weights)
        ends = quant.input.scale, quant.output.scale
        more = {"input_scale": ends[0], "filter_scale": scales, "output_scale": ends[1]}
        return Scales(role=key_of(role), source="scales", part=role, **more)
    value = setting_of(quant, role)
    if isinstance(value, Source):
        return value
    if isinstance(value, str):
        if weights is None:
            raise ConfigError(key_of(role), value, "numbers, or the path of a .npy")
        return weights
    value = one_for_all(value) if role != "thresholds" else value  # as the config of the run has it
    values = value if isinstance(value, tuple) else (value,)
    if role == "thresholds" and not isinstance(values[0], tuple):  # one list for all filters
        values = (values,)
    return Lecture(role=key_of(role), source="lecture", values=values, dtype=dtype_for(quant, role, values))


def dtype_for(quant: Quant, role: str, values: Any) -> str:
    """The dtype of numbers that are written out."""
    if role == "filter_scale" or (role == "multiplier" and quant.kind is not None and not quant.kind.integer):
        return "float32"
    return "int32" if all(-(2**31) <= value < 2**31 for value in cells(values)) else "int64"


def cells(values: Iterable[Any]) -> Iterable[int]:
    """The numbers in lists of lists."""
    for value in values:
        yield from cells(value) if isinstance(value, tuple) else (value,)
