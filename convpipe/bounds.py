"""The bound of a convolution's floats: what two right results may differ by, derived from its own stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from convpipe import pipeline
from convpipe.given import make_arrays
from convpipe.plan import plan_run
from convpipe.planner import plan_work
from convpipe.reproduce import Bound, whole
from convpipe.sources import Signature
from convpipe.spec import Spec
from convpipe.step import Array


@dataclass(frozen=True)
class Held:
    """An array in the place of any source."""

    array: Array
    source: str = "held"

    def signature(self, *_: object, **__: object) -> Signature:
        """The array's own."""
        return Signature(self.array.shape, self.array.dtype)

    def make(self, signature: Signature, bits: np.random.PCG64) -> Array:
        """The array."""
        return self.array


def float_bound(spec: Spec) -> Bound | None:
    """The bound of a convolution's float sums: its own stages over again, of magnitudes; None for a network."""
    if spec.conv is None:
        return None
    work = plan_work(spec)
    arrays = make_arrays(spec, work)
    magnitude = output_of(spec, {name: np.abs(array.astype(np.float64)) for name, array in arrays.items()})
    counts = output_of(spec, {name: np.ones(array.shape) for name, array in arrays.items()}, ones=True)
    taps = int(counts.max()) if counts.size else 0
    return Bound(taps, magnitude, exact_cells(spec, work.plan.output.dtype, arrays, magnitude))


def output_of(spec: Spec, arrays: Mapping[str, Array], *, ones: bool = False) -> Array:
    """The output of a spec's own stages on other arrays, float64, the padding's value as a magnitude or as 1."""
    assert spec.conv is not None
    value = float(ones) if spec.conv.pad_value else 0
    conv = replace(spec.conv, pad_value=value if ones else abs(spec.conv.pad_value), dtype="float64", overflow="error")
    held = {name: Held(array) for name, array in arrays.items()}
    missing = {name: Held(np.ones(signature.shape)) for name, signature in unread(spec, arrays).items()}
    plan = plan_run(replace(spec, conv=conv, **{**missing, **held}))  # type: ignore[arg-type]
    return pipeline.output(plan, arrays)


def unread(spec: Spec, arrays: Mapping[str, Array]) -> dict[str, Signature]:
    """The signatures of input and filters where a gradient does not read them."""
    assert spec.filters is not None
    assert spec.conv is not None
    given = spec.input.signature()
    found = {"input": given}
    rank = len(given.shape) - 2
    found["filters"] = spec.filters.signature(channels=given.shape[1], groups=spec.conv.groups, rank=rank)
    return {name: signature for name, signature in found.items() if name not in arrays}


def exact_cells(spec: Spec, result: np.dtype[Any], arrays: Mapping[str, Array], magnitude: Array) -> Array:
    """Which output cells are sums of whole numbers that no partial sum rounds."""
    assert spec.conv is not None
    dtypes = [array.dtype for array in arrays.values()]
    if all(dtype.kind in "iu" for dtype in dtypes):
        return np.ones(magnitude.shape, bool)
    if not all(map(whole, (*arrays.values(), np.array(spec.conv.pad_value)))):
        return np.zeros(magnitude.shape, bool)
    mantissa = np.finfo(np.result_type(result, *dtypes, np.float32)).nmant + 1
    return np.asarray(magnitude <= 2.0**mantissa)
