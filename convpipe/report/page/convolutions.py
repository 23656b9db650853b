"""The convolutions of a run as the page shows them: sizes, and which arrays they are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any

from convpipe.geometry.axes import AXES, out_letters
from convpipe.geometry.columns import ORDERS, TAPS_FIRST, Order
from convpipe.geometry.convolution import ConvGeometry
from convpipe.graph.single import operation_of, sourced
from convpipe.graph.spec import Spec
from convpipe.graph.step import Step
from convpipe.graph.work import Work
from convpipe.ops.kinds.convolving import Convolving, ConvStage
from convpipe.ops.kinds.quantised import QUANTITIES
from convpipe.report.page.sums import LATER, Sums, by_cell, is_summed, sums_of
from convpipe.tensors import Array, Sizes, Tensor

CROP_SIDE = 12  # outputs along each axis of a crop
CROP_FILTERS = 8
CROP_CELLS = 60_000  # weights of a crop: of a layer with many channels, fewer filters are kept

MOST_TABLE_CELLS, MOST_CELLS = 2_000, 5_000  # of one table and of a page, as convolution.mjs has it

Span = tuple[int, int]  # from, up to


@dataclass(frozen=True)
class Box:
    """The part of a convolution that the page keeps: spans of images, filters and outputs along each axis."""

    images: Span
    filters: Span
    out: tuple[Span, ...]


@dataclass(frozen=True)
class Shown:
    """One forward convolution: of a run, or a layer of a network.

    `parts` are the names in stages.csv of what it is made of: padded, filters, bias, product, sums (the product and
    the bias), feature_map, later_0 and so on of what is made of its sums, and what these read beside them, such as
    multipliers, as far as its chain has them.
    """

    layer: str | None
    operation: Convolving
    sizes: ConvGeometry
    parts: dict[str, str]
    chain: tuple[Step, ...]
    box: Box
    sums: Sums

    @property
    def facts(self) -> dict[str, Any]:
        """What the page's script is told."""
        sizes, rank = self.sizes, self.sizes.rank
        own = ("batch", "channels", "groups", "filters", "spatial", "padded", "pads", "kernel", "stride", "dilation")
        return {
            "layer": self.layer,
            "letters": AXES[rank],
            "outLetters": out_letters(rank),
            **{name: getattr(sizes, name) for name in own},
            "out": sizes.out,
            "padMode": self.operation.pad_mode,
            "padValue": self.operation.pad_value,
            "parts": self.parts,
            "stages": [step.op for step in self.chain],
            "rules": [(rule, dtype.name) for rule, dtype in self.sums.rules],
            "addsBias": self.sums.bias,
            "later": [later.facts for later in self.sums.later],
            **self.sums.quantised,
            **({"byTap": True} if self.order == TAPS_FIRST else {}),
            "box": {"n": self.box.images, "f": self.box.filters, "out": self.box.out},
        }

    @property
    def order(self) -> Order:
        """How a row of its columns lies."""
        solved = (step.operation.conv for step in self.chain if isinstance(step.operation, ConvStage))
        return next((conv.order for conv in solved), ORDERS[0])

    @property
    def large(self) -> bool:
        """Whether it takes what the lecture's does not: grids of more cells than tables can show, or later stages."""
        sizes, box = self.sizes, self.box
        images, filters, *out = (stop - start for start, stop in (box.images, box.filters, *box.out))
        rows = images * prod(out)
        planes = [sizes.channels * prod(sizes.padded), sizes.taps, prod(out)]
        grids = [rows * sizes.columns_shape[1], sizes.taps * filters, rows * filters, *planes]
        more = bool(self.sums.later or self.sums.quantised)
        return more or max(grids) > MOST_TABLE_CELLS or sum(grids) > MOST_CELLS

    def slices(self, part: str) -> tuple[slice, ...]:
        """The cells of a part's array that lie in the box."""
        box, sizes = self.box, self.sizes
        images, filters, out = slice(*box.images), slice(*box.filters), [slice(*span) for span in box.out]
        reach = zip(out, sizes.stride, sizes.dilation, sizes.kernel, sizes.padded, strict=True)
        windows = [
            slice(span.start * stride, min((span.stop - 1) * stride + (kernel - 1) * dilation + 1, size))
            for span, stride, dilation, kernel, size in reach
        ]
        if box.out == whole_box(sizes).out:  # with what the stride leaves unread
            windows = [slice(0, size) for size in sizes.padded]
        return {
            "padded": (images, slice(None), *windows),
            "filters": (filters,),
            "bias": (filters,),
            **dict.fromkeys(QUANTITIES, ()),
        }.get(part, (images, *out, filters))

    def laid_out(self, part: str, array: Array) -> Array:
        """A part's array as the page reads it: sums by n, position and f."""
        step = next((step for step in self.chain if step.name == self.parts[part]), None)
        return by_cell(array, step, self.sizes) if step and is_summed(part) else array


def whole_box(sizes: ConvGeometry) -> Box:
    """All there is."""
    return Box((0, sizes.batch), (0, sizes.filters), tuple((0, size) for size in sizes.out))


def cropped(shown: Shown, at: Sequence[int] | None) -> Shown:
    """The same around one output cell, or in the middle of its first map."""
    sizes = shown.sizes
    n, f, *position = at if at else (0, 0, *(size // 2 for size in sizes.out))
    weights = max(1, min(CROP_FILTERS, CROP_CELLS // max(sizes.taps, 1)))
    out = tuple(span_around(place, size, CROP_SIDE) for place, size in zip(position, sizes.out, strict=True))
    box = Box((n, n + 1), span_around(f, sizes.filters, weights), out)
    return replace(shown, box=box)


def span_around(place: int, size: int, most: int) -> Span:
    """So many places around one, as far as there are.

    >>> span_around(0, 10, 4), span_around(5, 10, 4), span_around(9, 10, 4), span_around(1, 3, 4)
    ((0, 4), (3, 7), (6, 10), (0, 3))
    """
    start = max(0, min(place - most // 2, size - most))
    return start, min(start + most, size)


def convolutions(spec: Spec, work: Work) -> Iterator[Shown]:
    """All forward convolutions of a run."""
    tensors = {tensor.name: tensor for tensor in (*work.plan.given, *(step.makes for step in work.plan.steps))}
    if spec.network is None:
        assert spec.conv is not None
        there = {"": operation_of(spec.conv, bias=spec.bias is not None)}
        if there[""].forward and "input" in tensors:  # filters count, too, where no stage reads them
            tensors = there[""].ask(partial(sourced, spec), tensors["input"]) | tensors
    else:
        operations = {f"{name}/": found.operation for name, found in spec.network.items()}
        there = {name: found for name, found in operations.items() if isinstance(found, Convolving)}
    for prefix, operation in there.items():
        forward = operation.forward and not operation.backward  # a gradient of weights has columns, but no such sums
        if forward and (found := shown_of(prefix, operation, tensors, work)) is not None:
            yield found


def shown_of(prefix: str, operation: Convolving, tensors: Mapping[str, Tensor], work: Work) -> Shown | None:
    """One of them; nothing where its chain does not start with the padded image, or changes its windows."""
    chain = tuple(step for step in work.plan.steps if step.name.startswith(prefix))
    padding = next((step for step in chain if step.makes.name == f"{prefix}padded"), None)
    sums = sums_of(prefix, chain, tensors)
    if padding is None or sums is None:
        return None
    sizes = operation.forward_sizes(tensors[padding.needs[0]], tensors[f"{prefix}filters"])
    if tensors[sums.image].shape[1:] != sizes.padded_shape[1:]:
        return None
    sizes = replace(sizes, batch=tensors[padding.makes.name].shape[0])
    parts = dict(parts_of(prefix, sums, work))
    return Shown(prefix.removesuffix("/") or None, operation, sizes, parts, chain, whole_box(sizes), sums)


def parts_of(prefix: str, sums: Sums, work: Work) -> Iterator[tuple[str, str]]:
    """The parts that there are, and their names in stages.csv; product and sums where they are not the feature map."""
    rows = work.plan.rows_by_tensor
    yield "padded", rows[sums.image]
    for part in ("filters", "bias", "feature_map"):
        if f"{prefix}{part}" in rows:
            yield part, rows[f"{prefix}{part}"]
    for part, step in (("product", sums.product), ("sums", sums.whole)):
        if step is not None and step.name != rows.get(f"{prefix}feature_map"):
            yield part, step.name
    for index, later in enumerate(sums.later):
        yield f"{LATER}{index}", later.step.name
        mains = len(later.step.needs) - len(later.step.sides)
        for role, name in zip(later.step.sides, later.step.needs[mains:], strict=True):
            if role in QUANTITIES:
                yield role, rows[name]


def origin_of(slices: Sequence[slice], rank: int) -> Sizes:
    """Where the first cell of a part stands."""
    starts = tuple(each.start or 0 for each in slices)
    return (*starts, *(0,) * (rank - len(starts)))
