"""The plan of a run: every stage with its shape, dtype, bytes and multiply-adds, before any array exists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from convpipe.archive.format import Fixed, rank_words
from convpipe.graph.step import Step
from convpipe.tensors import Tensor, shape_text

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
LONGEST = 100  # bits of a number of bytes that is written out


@dataclass(frozen=True)
class Plan:
    """Given tensors and the steps that follow; printing it gives an aligned table."""

    given: tuple[Tensor, ...]
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()

    @property
    def output(self) -> Tensor:
        """What the last step makes."""
        return self.steps[-1].makes

    @cached_property
    def ops(self) -> tuple[str, ...]:
        """The names of the operations of its steps."""
        return tuple([step.op for step in self.steps])

    @cached_property
    def axes(self) -> Mapping[str, tuple[str, ...]]:
        """What the axes of given tensors and of stages are called, by their names in stages.csv."""
        made = {step.name: step.makes.axes for step in self.steps}
        return Fixed({tensor.name: tensor.axes for tensor in self.given} | made)

    @cached_property
    def rows_by_tensor(self) -> dict[str, str]:
        """The name in stages.csv of each tensor: of a given one its own, of another that of the stage that made it."""
        given = {tensor.name: tensor.name for tensor in self.given}
        return given | {step.makes.name: step.name for step in self.steps}

    @cached_property
    def wiring(self) -> Mapping[str, list[str]]:
        """What each stage read, by the names in stages.csv; given tensors read nothing."""
        read = {step.name: [self.rows_by_tensor[name] for name in step.needs] for step in self.steps}
        return Fixed({tensor.name: list[str]() for tensor in self.given} | read)

    @cached_property
    def macs(self) -> int:
        """Multiply-adds of all steps."""
        return sum(step.macs for step in self.steps)

    @cached_property
    def bytes(self) -> int:
        """All arrays of the plan together."""
        return sum(tensor.bytes for tensor in self.given) + sum(step.makes.bytes for step in self.steps)

    @cached_property
    def last_uses(self) -> dict[str, int]:
        """The position of the last step that reads each tensor."""
        return {name: position for position, step in enumerate(self.steps) for name in step.needs}

    @cached_property
    def peak_bytes(self) -> int:
        """The most that is in memory at once, each tensor dropped after its last use (views counted as copies)."""
        live = {tensor.name: tensor.bytes for tensor in self.given}
        peak = sum(live.values())
        for position, step in enumerate(self.steps):
            live[step.makes.name] = step.makes.bytes
            peak = max(peak, sum(live.values()) + step.workspace)
            live = {
                name: size
                for name, size in live.items()
                if self.last_uses.get(name, -1) > position or name == self.output.name
            }
        return peak

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The plan as a table of texts, its head first."""
        heads = ("stage", "makes", "shape", "axes", "dtype", "bytes", "macs")
        given = [table_row("-", tensor) for tensor in self.given]
        return [heads, *given, *(table_row(step.name, step.makes, step.macs) for step in self.steps)]

    @property
    def heads(self) -> list[str]:
        """A line before the table, where its convolutions are not of images."""
        return [words] if (words := rank_words(self.axes)) else []

    @property
    def totals(self) -> str:
        """What it all comes to."""
        memory = f"{readable(self.bytes)} in arrays, {readable(self.peak_bytes)} at the peak"
        return f"{self.macs:,} multiply-adds, {memory}"

    def __str__(self) -> str:
        return "\n".join([*self.heads, *aligned(self.rows), *self.notes, self.totals])

    def __repr__(self) -> str:
        return f"<Plan of {len(self.steps)} stages: {self.totals}>"

    def _repr_html_(self) -> str:
        from convpipe.files import html

        heads, ends = map(html.line, self.heads), map(html.line, (*self.notes, self.totals))
        return "\n".join([*heads, html.text_table(self.rows), *ends])


def table_row(stage: str, tensor: Tensor, macs: int = 0) -> tuple[str, ...]:
    """A stage's name and what it makes, as texts."""
    sizes, letters, count = shape_text(tensor.shape), shape_text(tensor.axes), f"{macs:,}" if macs else "-"
    return stage, tensor.name, sizes, letters, str(tensor.dtype), f"{tensor.bytes:,}", count


def readable(count: int) -> str:
    """A number of bytes for people.

    >>> readable(512), readable(3 * 1024**2)
    ('512 B', '3.0 MiB')
    """
    power = min(max(count.bit_length() - 1, 0) // 10, len(UNITS) - 1)
    if count.bit_length() > LONGEST:  # more than any machine has, and perhaps than a float
        return f"2**{count.bit_length() - 1} B"
    return f"{count} B" if power == 0 else f"{count / 1024**power:,.1f} {UNITS[power]}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines whose columns stand under each other, numbers (the last two columns) to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if at >= len(row) - 2 else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
