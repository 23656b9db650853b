"""Where in a convolution's chain its sums of products stand, and what later stages make of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from convpipe.geometry.convolution import ConvGeometry
from convpipe.graph.step import Step
from convpipe.ops import Form, SumStage
from convpipe.ops.center import Center
from convpipe.ops.center_filters import zeros_taken
from convpipe.ops.kinds.quantised import QUANTITIES, Accumulator
from convpipe.report.cell import Rule
from convpipe.report.chain import rules_of
from convpipe.tensors import Array, Tensor

LATER = "later_"  # parts that later stages make of the sums, with their number
LAYOUT = ("reshape", "transpose")  # what only lays out the product that it reads


@dataclass(frozen=True)
class Later:
    """A stage that makes other values of the sums, cell by cell, and how, where the page can tell that."""

    step: Step
    form: Form | None

    @property
    def facts(self) -> dict[str, Any]:
        """What the page's script is told; `f` is the axis of filters, where its cells have numbers of their own."""
        found = {"op": self.step.op, "form": None if self.form is None else self.form.facts()}
        axes = self.step.makes.axes
        return {**found, "f": axes.index("F")} if self.step.sides and "F" in axes else found


@dataclass(frozen=True)
class Sums:
    """The sums of a chain.

    `image` is the tensor whose windows are laid out. `product` holds what the multiplication makes, `whole` that and
    the bias, if a stage adds it; `later` are the stages after that. `zeros` are the zero points of pixels and, one or
    one for each filter, of weights; `accumulator` is what the sums are made in, where no dtype says it.
    """

    image: str
    product: Step | None = None
    whole: Step | None = None
    bias: bool = False
    rules: tuple[Rule, ...] = ()
    later: tuple[Later, ...] = ()
    zeros: tuple[int, tuple[int, ...]] = (0, (0,))
    accumulator: Accumulator | None = None

    @property
    def quantised(self) -> dict[str, Any]:
        """What the page's script is told of these; nothing where sums are plain."""
        zx, zw = self.zeros
        found = {"zeros": [zx, zw]} if zx or any(zw) else {}
        if self.accumulator is None:
            return found
        low, high = map(str, self.accumulator.limits)
        held = {"bits": self.accumulator.bits, "low": low, "high": high, "overflow": self.accumulator.overflow}
        return {**found, "held": {**held, "every": self.accumulator.every, "order": self.accumulator.order}}


def sums_of(prefix: str, chain: Sequence[Step], tensors: Mapping[str, Tensor]) -> Sums | None:
    """The sums of a chain, as `explain` has them: its first stages as far as they only add and move.

    Returns:
        Nothing where a stage changes the image's windows before they are multiplied.
    """
    columns, *products = (f"{prefix}{name}" for name in ("columns", "product", "feature_map"))
    reader = next((step for step in chain if step.makes.name in (columns, *products)), None)
    made = next((step for step in chain if step.makes.name in products), None)
    image = f"{prefix}padded" if reader is None else reader.needs[0]
    if made is None or reader is None:
        return Sums(image)
    zero_point, columns_of = 0, made.needs[0]
    for step in reversed(chain):
        if made is not reader and step.makes.name == columns_of and isinstance(step.operation, Center):
            zero_point, columns_of = zero_point + step.operation.zero_point, step.needs[0]
    if made is not reader and columns_of != reader.makes.name:
        return None
    trail = [made, *followers(made, chain)]
    first = next((at for at, step in enumerate(trail) if not type(step.operation).linear), len(trail))
    sums = trail[:first]
    later = tuple(Later(step, form_of(step, tensors)) for step in trail[first:] if step.op not in LAYOUT)
    whole = [step for step in sums if step.op not in LAYOUT or step.makes.name == products[-1]][-1]
    product = made if any(step.op not in LAYOUT for step in sums[1:]) else whole  # which may be the map's array
    bias = any("bias" in step.sides for step in sums)
    weights = zeros_taken(step.operation for step in chain)
    held = [step.operation.accumulator for step in sums if isinstance(step.operation, SumStage)]
    accumulator = next(filter(None, held), None)
    return Sums(image, product, whole, bias, tuple(rules_of(sums)), later, (zero_point, weights), accumulator)


def followers(made: Step, chain: Sequence[Step]) -> Iterator[Step]:
    """The stages that go on with a tensor one by one, up to one that makes another number of cells."""
    current = made.makes
    for step in chain[chain.index(made) + 1 :]:
        if step.needs[0] != current.name:
            continue
        if prod(step.makes.shape) != prod(current.shape):
            return
        current = step.makes
        yield step


def form_of(step: Step, tensors: Mapping[str, Tensor]) -> Form | None:
    """How a stage makes a cell of one cell and what its filter has; nothing where it takes more."""
    mains = [tensors[name] for name in step.needs[: len(step.needs) - len(step.sides)]]
    sides = {role: tensors[name] for role, name in zip(step.sides, step.needs[len(mains) :], strict=True)}
    form = step.operation.form(*mains, **sides)
    known = form is not None and form.follows_one and {*sides} <= {"bias", *QUANTITIES}
    return form if known else None


def by_cell(array: Array, step: Step, sizes: ConvGeometry) -> Array:
    """A tensor of sums as (N, out_h, out_w, F), whichever way its stage lays them out."""
    if step.makes.axes[-1] == "F":
        return array.reshape(-1, *sizes.out, sizes.filters)
    return array.reshape(-1, sizes.filters, *sizes.out).transpose(0, *range(2, array.ndim), 1)


def is_summed(part: str) -> bool:
    """Whether a part lies in a page as a feature map does, whichever way its stage lays it out."""
    return part in ("product", "sums") or part.startswith(LATER)
