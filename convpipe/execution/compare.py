"""Whether a repeat gave what the archive holds: to the bit, or, for floats made elsewhere, within a bound."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from convpipe.archive.read import Run
from convpipe.errors import ArchiveError
from convpipe.execution.bounds import Bound
from convpipe.execution.provenance import numeric_differences
from convpipe.ops import OPERATIONS
from convpipe.tensors import Array

COMPARED = ("stage", "op", "shape", "dtype", "bytes", "macs", "min", "max", "sha256")
LAST_BITS = ("min", "max", "sha256")


@dataclass(frozen=True)
class Difference:
    """One value of stages.csv that a repeat did not give again."""

    stage: str
    op: str
    column: str
    then: object
    now: object

    def __str__(self) -> str:
        return f"stage {self.stage!r} differs: {self.column} was {self.then}, is now {self.now}"


def compare(then: Run, now: Run, bound: Callable[[], Bound | None]) -> str:
    """Compare a repeat with the archive; gives how they agree, in words.

    `bound` gives what floats may differ by, or None where nobody has derived that.

    Raises:
        ArchiveError: they do not; it names the first stage that differs.
    """
    found = list(differences(then, now))
    age = made_by(then.manifest, now.manifest)
    if not found:
        return f"reproduced{age}"
    wrong = f"{then.path}: {intolerable(found) or found[0]}"
    changes = numeric_differences(then.manifest["provenance"], now.manifest["provenance"])
    forms = then.manifest["format"], now.manifest["format"]
    if forms[0] != forms[1]:  # long sums of floats are made more exactly since format 2
        changes["format"] = forms
    environment = ", ".join(f"{key} {was} -> {is_now}" for key, (was, is_now) in changes.items())
    if intolerable(found) or not changes:
        raise ArchiveError(wrong + age)
    old, new = then.output, now.output
    if old.dtype != new.dtype or old.shape != new.shape or new.dtype.kind != "f":
        raise ArchiveError(f"{wrong}; whole numbers, which every machine gives alike{age}")
    limits = bound()
    if limits is None:
        raise ArchiveError(f"{wrong} ({environment}; there is no bound for these floats){age}")
    excess = largest_excess(old, new, limits.allowed(new.dtype))
    if excess > 1:
        amount = f"{excess:.3g} times" if excess < np.inf else "in a cell that every machine gives alike, more than"
        raise ArchiveError(f"{wrong}; {amount} the float bound allows ({environment}){age}")
    near = f"reproduced within {excess:.2g} of the float bound, not to the bit"
    return f"{near}, as the environment differs: {environment}{age}"


def made_by(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Which version made the archive, where it was not this one: results are not mixed in silently.

    >>> made_by({"format": 1, "provenance": {"convpipe": "0.1"}}, {"format": 1, "provenance": {"convpipe": "0.2"}})
    ' (made by convpipe 0.1, format 1; this is convpipe 0.2, format 1)'
    """
    versions = [(record["provenance"].get("convpipe", "unknown"), record["format"]) for record in (then, now)]
    if versions[0] == versions[1]:
        return ""
    old, new = (f"convpipe {version}, format {form}" for version, form in versions)
    return f" (made by {old}; this is {new})"


def differences(then: Run, now: Run) -> Iterator[Difference]:
    """Where two runs' stages differ, stage by stage."""
    for old, new in zip(then.rows, now.rows, strict=False):
        for column in COMPARED:
            if old[column] != new[column]:
                yield Difference(old["stage"], old["op"], column, old[column], new[column])
    counts = len(then.rows), len(now.rows)
    if counts[0] != counts[1]:
        extra = max(then.rows, now.rows, key=len)[min(counts)]
        yield Difference(extra["stage"], extra["op"], "count of stages", *counts)


def intolerable(found: list[Difference]) -> Difference | None:
    """The first difference that no machine can explain: before any sum of floats, or more than last bits.

    An operation that does not add up only moves values, which cannot differ in a last bit, whatever the machine.
    """
    kind = OPERATIONS.find(found[0].op)
    if kind is None or not kind.adds_up:
        return found[0]
    return next((difference for difference in found if difference.column not in LAST_BITS), None)


def largest_excess(old: Array, new: Array, allowed: Array) -> float:
    """The largest difference between two outputs, in units of what is allowed in its cell (1 is the limit).

    NaN is equal to NaN; 0.0 and -0.0 are different bits, which counts only where nothing at all is allowed.

    >>> largest_excess(np.array([1.0, np.nan]), np.array([1.5, np.nan]), np.array([0.25, np.nan]))
    2.0
    """
    same = ((old == new) & (np.signbit(old) == np.signbit(new))) | (np.isnan(old) & np.isnan(new))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        excess = np.abs(old.astype(np.float64) - new.astype(np.float64)) / allowed
    # what is no number: a difference where none is allowed, of 0.0 and -0.0, or of infinities
    excess = np.where(same | np.isposinf(allowed), 0, np.nan_to_num(excess, nan=np.inf, posinf=np.inf))
    return float(excess.max()) if excess.size else 0.0
