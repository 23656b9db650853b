"""What of a run is explained: a convolution or a layer, its steps, and how the indices of its cells are given."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

from convpipe.archive.read import Run
from convpipe.config.read import read_archived
from convpipe.errors import ConfigError, did_you_mean
from convpipe.execution.planned import planned_work
from convpipe.execution.remake import stage_arrays
from convpipe.graph.single import operation_of
from convpipe.graph.spec import Spec
from convpipe.graph.step import Step
from convpipe.graph.work import Work
from convpipe.ops import Form
from convpipe.ops.kinds.convolving import Convolving
from convpipe.report.cell import check_indices
from convpipe.tensors import Array, Sizes, Tensor


@dataclass(frozen=True)
class Subject:
    """One convolution of a run, or one layer of its network."""

    run: Run
    spec: Spec
    work: Work
    steps: tuple[Step, ...]
    operation: Convolving | None  # whose chain the steps are
    as_stored: bool = False  # whether indices are those of the array, a feature map's, too

    @property
    def made(self) -> Tensor:
        """What it makes."""
        return self.steps[-1].makes

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """All tensors of the run by name."""
        plan = self.work.plan
        return {tensor.name: tensor for tensor in (*plan.given, *(step.makes for step in plan.steps))}

    @cached_property
    def order(self) -> tuple[int, ...]:
        """The axes of what it makes, as indices name them."""
        return tuple(range(len(self.made.shape))) if self.as_stored else index_order(self.made)

    @property
    def letters(self) -> tuple[str, ...]:
        """What the indices are called."""
        return tuple(self.made.axes[axis].lower() for axis in self.order)

    @property
    def sizes(self) -> Sizes:
        """How many there are of each."""
        return tuple(self.made.shape[axis] for axis in self.order)

    def index(self, at: Sequence[int]) -> Sizes:
        """The cell in what it makes.

        Raises:
            ConfigError: there is none, or its stages are not on record.
        """
        self.check_recorded(at)
        mapped = self.order != tuple(range(len(self.order)))
        check_indices(at, self.letters, self.sizes, "feature map" if mapped else "output")
        found = dict(zip(self.order, at, strict=True))
        return tuple(found[axis] for axis in range(len(self.order)))

    def check_recorded(self, at: Sequence[int]) -> None:
        """The image is one whose stages are on record."""
        if self.made.axes[:1] == ("N",) and self.work.recorded <= at[0] < self.work.batch:
            hint = f"record={at[0] + 1} puts image {at[0]} on record"
            raise ConfigError("--at", ",".join(map(str, at)), f"n from 0 to {self.work.recorded - 1}", hint)

    def walk(self, at: Sequence[int] | None) -> Iterator[Sizes]:
        """The positions of one map, row by row: of the first, or of the one that is named.

        Raises:
            ConfigError: no such map.
        """
        count = max(min(2, len(self.letters) - 1), 0)
        first = tuple(at) if at is not None else (0,) * count
        if len(first) != count:
            expected = f"{count} whole numbers beside --all, the map: {','.join(self.letters[:count])}"
            raise ConfigError("--at", ",".join(map(str, first)), expected)
        if first:
            self.check_recorded(first)
        check_indices(first, self.letters[:count], self.sizes[:count])
        yield from ((*first, *rest) for rest in product(*map(range, self.sizes[count:])))

    def arrays(self, names: Collection[str]) -> dict[str, Array]:
        """The arrays of some tensors by name: read, or made again.

        Raises:
            ArchiveError: what has to be made again is not what was archived.
        """
        rows = {name: self.work.plan.rows_by_tensor[name] for name in names}
        found = stage_arrays(self.run, self.spec, self.work, [*dict.fromkeys(rows.values())])
        return {name: found[row] for name, row in rows.items()}

    def form(self, step: Step) -> Form:
        """How a cell of a step comes about.

        Raises:
            ConfigError: its operation does not say so.
        """
        mains = len(step.needs) - len(step.sides)
        read = [self.tensors[name] for name in step.needs]
        form = step.operation.form(*read[:mains], **dict(zip(step.sides, read[mains:], strict=True)))
        if form is None:
            raise ConfigError("explain", step.op, "an operation that says how its cells come about (Operation.form)")
        return form


def index_order(tensor: Tensor) -> tuple[int, ...]:
    """The axes of a tensor as indices name them: a feature map is n, f, y, x, whichever way it lies."""
    axes = range(len(tensor.shape))
    mapped = len(axes) > 2 and (tensor.axes[0], tensor.axes[-1]) == ("N", "F")
    return (0, axes[-1], *axes[1:-1]) if mapped else tuple(axes)


def subject_of(run: Run, layer: str | None = None) -> Subject:
    """The convolution of a run, or a layer of its network.

    Raises:
        ConfigError: no such layer, or one too many.
    """
    spec = read_archived(run)
    if spec.network is None:
        assert spec.conv is not None
        if layer is not None:
            raise ConfigError("--layer", layer, "no layer, as the run is a single convolution")
        work = planned_work(run, spec)
        return Subject(run, spec, work, work.plan.steps, operation_of(spec.conv))
    layer = layer if layer is not None else only_convolution(spec)
    if layer not in spec.network:
        there = list(spec.network)
        raise ConfigError("--layer", layer, f"a layer: one of {', '.join(there)}", did_you_mean(layer or "", there))
    work, operation = planned_work(run, spec), spec.network[layer].operation
    if not isinstance(operation, Convolving):
        own = tuple(step for step in work.plan.steps if step.name.partition("/")[0] == layer)
        return Subject(run, spec, work, own, None)
    chain = tuple(step for step in work.plan.steps if step.name.startswith(f"{layer}/"))
    return Subject(run, spec, work, chain[:-1], operation)  # the last brings the map's channels to the front


def only_convolution(spec: Spec) -> str | None:
    """The layer that is meant where none is named: the one convolution of a network."""
    layers = (spec.network or {}).items()
    there = [name for name, layer in layers if isinstance(layer.operation, Convolving) and layer.operation.forward]
    return there[0] if len(there) == 1 else None
