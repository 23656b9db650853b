"""Where in a convolution's chain its sums of products stand, and what later stages make of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import MISSING, dataclass, fields
from math import prod

from convpipe.geometry.convolution import ConvGeometry
from convpipe.graph.step import Step
from convpipe.report.cell import Rule
from convpipe.report.chain import rules_of
from convpipe.tensors import Array

LAYOUT = ("reshape", "transpose")  # what only lays out the product that it reads
MAP = "feature_map"


@dataclass(frozen=True)
class Sums:
    """The sums of a chain.

    `image` is the tensor whose windows are laid out, `part` the one that holds the sums, with the bias or without it;
    `made` is where they are first whole, `later` are the stages after it that make other values of them, cell by cell.
    """

    image: str
    part: str | None
    bias: bool
    rules: tuple[Rule, ...]
    made: Step | None
    later: tuple[Step, ...]

    @property
    def settings(self) -> list[dict[str, object]]:
        """The later stages, as the page tells of them."""
        return [{"op": step.op, "says": list(settings_text(step))} for step in self.later]


def sums_of(prefix: str, chain: Sequence[Step]) -> Sums | None:
    """The sums of a chain; nothing where a stage changes the image's windows before they are multiplied."""
    columns, product, result = (f"{prefix}{name}" for name in ("columns", "product", MAP))
    reader = next((step for step in chain if step.makes.name in (columns, product, result)), None)
    if reader is None:
        return Sums(f"{prefix}padded", None, False, (), None, ())
    image = reader.needs[0]
    made = next((step for step in chain if step.makes.name in (product, result)), None)
    if made is None:
        return Sums(image, None, False, (), None, ())
    if made is not reader and made.needs[0] != reader.makes.name:
        return None
    later = tuple(later_steps(made, chain))
    reads_bias = f"{prefix}bias" in made.needs
    there = any(step.makes.name == result for step in chain)
    if there and all(type(step.operation).linear for step in chain):  # as `explain` takes it apart
        reads_bias |= any(f"{prefix}bias" in step.needs for step in later)
        return Sums(image, MAP, reads_bias, tuple(rules_of(chain)), made, later)
    part = "product" if made.makes.name == product else MAP
    return Sums(image, part, reads_bias, tuple(rules_of([made])), made, later)


def later_steps(made: Step, chain: Sequence[Step]) -> Iterator[Step]:
    """What changes the cells of a chain's sums one by one, up to what makes another number of them."""
    current, cells = made.makes.name, prod(made.makes.shape)
    for step in chain[chain.index(made) + 1 :]:
        if step.needs[0] != current:
            continue
        if prod(step.makes.shape) != cells:
            return
        if step.op not in LAYOUT:
            yield step
        current = step.makes.name


def settings_text(step: Step) -> Iterator[str]:
    """An operation's settings, as far as they are not those that it has anyway."""
    for entry in fields(step.operation):
        value = getattr(step.operation, entry.name)
        if "check" in entry.metadata and entry.default is not MISSING and value != entry.default:
            yield f"{entry.name}={value}"


def by_cell(array: Array, step: Step, sizes: ConvGeometry) -> Array:
    """A tensor of sums as (N, out_h, out_w, F), whichever way its stage lays them out."""
    if step.makes.axes[-1] == "F":
        return array.reshape(-1, *sizes.out, sizes.filters)
    return array.reshape(-1, sizes.filters, *sizes.out).transpose(0, *range(2, array.ndim), 1)
