"""Whether a repeat gave what the archive holds: to the bit, or, for floats made elsewhere, within a bound."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convpipe.archive.read import Run
from convpipe.errors import ArchiveError
from convpipe.execution.checks import LARGEST_BOUND, Check, Margin, cell_excesses
from convpipe.execution.provenance import numeric_differences
from convpipe.ops import OPERATIONS
from convpipe.tensors import Array

COMPARED = ("stage", "op", "shape", "dtype", "bytes", "macs", "min", "max", "sha256")
LAST_BITS = ("min", "max", "sha256")
SHORT = 12  # digits of a hash of code, for people
BATCH = "batch"  # what stands for the operation in the row of a whole batch's output


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


def compare(then: Run, now: Run, checks: Callable[[], Iterable[Check]]) -> str:
    """Compare a repeat with the archive; gives how they agree, in words.

    `checks` gives what is to be held against the archive where floats may differ.

    Raises:
        ArchiveError: they do not agree, or nobody can say; it names the first stage that differs.
    """
    found = list(differences(then, now))
    age = made_by(then.manifest, now.manifest)
    if not found:
        return f"reproduced{age}"
    wrong = intolerable(then, found)
    said = f"{then.path}: {wrong or found[0]}"
    environment = numeric_changes(then, now)
    if wrong or not environment:
        where = f" ({environment})" if environment else ""
        raise ArchiveError(f"{said}{seen(then, now, found[0])}{where}{age}")
    old, new = then.output, now.output
    if old.dtype != new.dtype or old.shape != new.shape or new.dtype.kind != "f":
        raise ArchiveError(f"{said}{seen(then, now, found[0])}; whole numbers, which every machine gives alike{age}")
    passed = []
    for check in checks():
        if check.excess > 1:
            first = f"{then.path}: {difference_of(check.stage, found)}" if check.local else said
            raise ArchiveError(f"{first}; {beyond(then, check, environment)}{age}")
        passed.append(check.margin)  # its arrays may be large
    return f"{judged(said, passed, environment, age)}{age}"


def difference_of(stage: str, found: Iterable[Difference]) -> str:
    """How a stage differs that was made again of what is archived before it."""
    own = (str(difference) for difference in found if difference.stage == stage)
    return next(own, f"stage {stage!r} differs from what comes of the stages archived before it")


def beyond(then: Run, check: Check, environment: str) -> str:
    """What is beyond its bound, by how much, and where the most."""
    excess = check.excess
    amount = f"{excess:.3g} times" if excess < np.inf else "in a cell that every machine gives alike, more than"
    where = described(check.stage, check.old, check.new, worst(check), axes_of(then, check.stage))
    again = "made of what is archived before it, " if check.local else ""
    return f"{amount} the float bound allows ({environment}): {again}{where}"


def judged(said: str, passed: Sequence[Margin], environment: str, age: str) -> str:
    """What checks that are within their bounds come to.

    Raises:
        ArchiveError: to be within them says nothing.
    """
    for check in passed:
        if check.undecided and check.relative == np.inf and check.advice:
            raise ArchiveError(f"{said} ({environment}; {check.advice}){age}")
        if check.undecided:
            much = f"{check.relative:.2g} of the largest value of {check.stage!r}, more than {LARGEST_BOUND:g}"
            advice = f"; {check.advice}" if check.advice else ""
            raise ArchiveError(f"{said} ({environment}); not decided: right results may differ by {much}{advice}{age}")
    excess, relative = (max((getattr(each, name) for each in passed), default=0.0) for name in ("excess", "relative"))
    near = f"reproduced within {excess:.2g} of the float bound, which is {relative:.2g} of the largest value at most"
    return f"{near}; not to the bit, as the environment differs: {environment}"


def numeric_changes(then: Run, now: Run) -> str:
    """What differs between two runs that can change a float's last bits; or nothing."""
    changes = numeric_differences(then.manifest["provenance"], now.manifest["provenance"])
    forms = then.manifest["format"], now.manifest["format"]
    if forms[0] != forms[1]:  # long sums of floats are made more exactly since format 2
        changes["format"] = forms
    codes = [str(record.get("code") or "unknown")[:SHORT] for record in (then.manifest, now.manifest)]
    if codes[0] != codes[1] and forms[0] == forms[1]:
        changes["code"] = (codes[0], codes[1])
    slices = then.manifest.get("slice"), now.manifest.get("slice")
    if slices[0] != slices[1]:  # how many images ran at a time, as `limits.memory` had it
        changes["images at a time"] = slices
    return ", ".join(f"{key} {was} -> {is_now}" for key, (was, is_now) in changes.items())


# Where two arrays differ the most


def seen(then: Run, now: Run, first: Difference) -> str:
    """Where the first two arrays that are at hand and differ do so the most; nothing where there are none.

    Of what was given and differs, only itself: what comes of it differs in any case.
    """
    given = first.op != BATCH and OPERATIONS.find(first.op) is None
    for old, new in zip(then.rows, now.rows, strict=False):
        if given and old["stage"] != first.stage:
            continue
        same_kind = all(old[column] == new[column] for column in ("stage", "shape", "dtype"))
        if same_kind and old["sha256"] != new["sha256"] and all(each["file"] for each in (old, new)):
            stage = old["stage"]
            arrays = then.array(stage), now.array(stage)
            differing = cell_excesses(*arrays, np.zeros(arrays[0].shape))
            if differing.any():
                return f"; {described(stage, *arrays, farthest(*arrays, differing > 0), axes_of(then, stage))}"
    return ""


def worst(check: Check) -> tuple[int, ...]:
    """The cell that is the farthest beyond its bound."""
    return farthest(check.old, check.new, check.excesses == check.excess)


def farthest(old: Array, new: Array, among: Array) -> tuple[int, ...]:
    """The cell that differs the most, among some."""
    with np.errstate(all="ignore"):
        distances = np.nan_to_num(np.abs(old.astype(np.float64) - new.astype(np.float64)), nan=np.inf, posinf=np.inf)
    at = int(np.where(among, distances, -1).argmax())
    return tuple(int(each) for each in np.unravel_index(at, old.shape))


def described(stage: str, old: Array, new: Array, at: tuple[int, ...], axes: Sequence[str]) -> str:
    """One cell of two arrays in words, its place as `explain` takes it: n,f,y,x of a feature map."""
    place = at
    if len(at) > 2 and (*axes[:1], *axes[-1:]) == ("N", "F"):
        place = (at[0], at[-1], *at[1:-1])
    was, is_now = old[at], new[at]
    units = ""
    if old.dtype.kind == "f" and np.isfinite(was) and np.isfinite(is_now):
        largest = max(abs(was), abs(is_now))
        distance = abs(float(was) - float(is_now)) / float(np.spacing(largest))
        units = f", {distance:.3g} ULP apart"
    return f"{stage} at {','.join(map(str, place))} was {was}, is now {is_now}{units}"


def axes_of(run: Run, stage: str) -> Sequence[str]:
    """What the axes of a stage are called, as far as that is known."""
    found: Sequence[str] = run.manifest["axes"].get(stage, ())
    return found


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


def intolerable(then: Run, found: list[Difference]) -> Difference | None:
    """The first difference that no machine can explain: before any sum of floats, or more than last bits.

    An operation that does not add up, and takes no function such as exp, cannot differ in a last bit, whatever the
    machine. The rest of a batch, whose stages are not recorded, may differ where one of the recorded stages may.
    """
    ops = [row["op"] for row in then.rows] if found[0].op == BATCH else [found[0].op]
    if not any(kind is not None and kind.varies for kind in map(OPERATIONS.find, ops)):
        return found[0]
    return next((difference for difference in found if difference.column not in LAST_BITS), None)
