"""Whether a repeat gave what the archive holds: to the bit, or, for floats made elsewhere, within a bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from convpipe.archive import Run
from convpipe.errors import ArchiveError
from convpipe.provenance import numeric_differences
from convpipe.step import Array

# Stages that only move values: they cannot differ in a last bit, whatever the machine.
EXACT_ROLES = ("input", "filters", "bias", "pad", "im2col", "fil2col")
COMPARED = ("stage", "op", "shape", "dtype", "bytes", "macs", "min", "max", "sha256")


@dataclass(frozen=True)
class Bound:
    """How far two right results may lie apart: `taps` products a cell, and the sums of their magnitudes."""

    taps: int
    magnitude: Array  # sum|x||w| of every output cell, in its shape
    exact: bool  # every product and sum is a whole number that the dtype holds


def compare(then: Run, now: Run, bound: Callable[[], Bound]) -> str:
    """Compare a repeat with the archive; gives how they agree, in words.

    Raises:
        ArchiveError: they do not; it names the first stage that differs.
    """
    different = first_difference(then, now)
    if different is None:
        return "reproduced"
    stage, column, old, new = different
    said = f"{then.path}: stage {stage!r} differs: {column} was {old}, is now {new}"
    changes = numeric_differences(then.manifest.get("provenance", {}), now.manifest.get("provenance", {}))
    if not changes or stage in EXACT_ROLES or column not in ("min", "max", "sha256"):
        raise ArchiveError(said)
    limit = bound()
    old_output, new_output = then.output, now.output
    if limit.exact or new_output.dtype.kind != "f" or old_output.shape != new_output.shape:
        raise ArchiveError(f"{said} (whole numbers, which every machine must give alike)")
    excess = largest_excess(old_output, new_output, limit)
    environment = ", ".join(f"{key} {was} -> {now_is}" for key, (was, now_is) in changes.items())
    if excess > 1:
        raise ArchiveError(f"{said}; {excess:.3g} times the float bound allows ({environment})")
    return (
        f"reproduced within {excess:.2g} of the float bound, not to the bit, as the environment differs: {environment}"
    )


def first_difference(then: Run, now: Run) -> tuple[str, str, Any, Any] | None:
    """The first stage and column in which two runs differ, with both values."""
    for old, new in zip(then.rows, now.rows, strict=False):
        for column in COMPARED:
            if old[column] != new[column]:
                return old["stage"], column, old[column], new[column]
    if len(then.rows) != len(now.rows):
        longer = max(then.rows, now.rows, key=len)
        return longer[min(len(then.rows), len(now.rows))]["stage"], "count of stages", len(then.rows), len(now.rows)
    return None


def largest_excess(old: Array, new: Array, bound: Bound) -> float:
    """The largest difference between two outputs, in units of what is allowed in its cell (1 is the limit).

    Each output lies within gamma_K * sum|x||w| of the true sum, gamma_K = K*u / (1 - K*u) with u the unit
    roundoff, in whatever order the K products are added (Higham, Accuracy and Stability of Numerical
    Algorithms, 2nd ed., section 3.1); two of them lie within twice that of each other.
    """
    info = np.finfo(new.dtype)
    rounding = (bound.taps + 1) * float(info.eps) / 2
    if rounding >= 1:
        return 0.0
    allowed = 2 * (rounding / (1 - rounding) * bound.magnitude + bound.taps * float(info.smallest_subnormal))
    same = (old == new) | (np.isnan(old) & np.isnan(new))
    with np.errstate(invalid="ignore"):
        difference = np.abs(old.astype(np.float64) - new.astype(np.float64))
    excess = np.where(same, 0, np.nan_to_num(difference / allowed, nan=np.inf))
    return float(excess.max()) if excess.size else 0.0


def whole_and_small(x: Array, w: Array, taps: int, dtype: np.dtype[Any]) -> bool:
    """Whether these floats are whole numbers whose sums of products `dtype` holds without rounding."""
    if not prod(x.shape) or not prod(w.shape):
        return True
    whole = all(bool(np.all(np.isfinite(values)) and np.all(values == np.trunc(values))) for values in (x, w))
    return whole and taps * float(np.abs(x).max()) * float(np.abs(w).max()) <= 2 ** (np.finfo(dtype).nmant + 1)
