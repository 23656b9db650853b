"""How one output cell came about, as the lecture's slide shows it: pixels times weights, channel by channel."""

from collections.abc import Sequence
from typing import Any, TextIO

from convpipe.archive.read import Run
from convpipe.config.read import read_spec
from convpipe.errors import ConfigError, did_you_mean
from convpipe.execution.remake import stage_arrays
from convpipe.graph.single import operation_of
from convpipe.graph.spec import Spec
from convpipe.graph.step import Step
from convpipe.graph.work import Work, plan_work
from convpipe.ops.kinds.convolving import Convolving
from convpipe.report.cell import Cell, Channel, cell_letters, cell_of, check_at

PADDING = "({})"  # a pixel that padding put there
MOST_CHANNELS = 16  # printed tap by tap; of the others only the sums


def explained(run: Run, at: Sequence[int], layer: str | None = None) -> Cell:
    """Take apart one cell of a run's convolution, or of a convolution layer of its network.

    Raises:
        ConfigError: a cell or a layer that is not there, or one of another operation.
        ArchiveError: what has to be made again is not what was archived.
    """
    spec = read_spec(run.config)
    conv = operation_explained(spec, layer)
    work = plan_work(spec)
    prefix = f"{layer}/" if layer else ""
    chain = [step for step in work.plan.steps if step.name.startswith(prefix)]
    check_linear(chain, f"{prefix}feature_map")
    tensors = {tensor.name: tensor for tensor in (*work.plan.given, *(step.makes for step in work.plan.steps))}
    rows = {**{name: name for name in tensors}, **{step.makes.name: step.name for step in work.plan.steps}}
    image = next(step.needs[0] for step in chain if step.makes.name == f"{prefix}padded")
    sizes = conv.forward_sizes(tensors[image], tensors[f"{prefix}filters"])
    check_recorded(at, work)
    check_at(at, sizes)
    parts = {part: rows.get(f"{prefix}{part}") for part in ("padded", "filters", "bias", "feature_map")}
    arrays = stage_arrays(run, spec, work, [row for row in parts.values() if row is not None])
    found = {part: None if row is None else arrays[row] for part, row in parts.items()}
    return cell_of(sizes, **found, at=at, overflow=conv.overflow)  # type: ignore[arg-type]


def check_linear(chain: Sequence[Step], result: str) -> None:
    """Every cell of the chain's result is the sum of products of one window.

    Raises:
        ConfigError: naming a stage that makes something else of it, or the last of a chain that ends before.
    """
    for step in chain:
        if not type(step.operation).linear:
            raise ConfigError("explain", step.op, "a chain of stages that only lay out, multiply and add up")
    if not any(step.makes.name == result for step in chain):
        raise ConfigError("explain", chain[-1].op, "a chain that ends in a feature map")


def check_recorded(at: Sequence[int], work: Work) -> None:
    """The image is one whose stages are on record."""
    if work.recorded <= at[0] < work.batch:
        hint = "the stages of the other images are not on record"
        raise ConfigError("--at", ",".join(map(str, at)), f"n from 0 to {work.recorded - 1}", hint)


def operation_explained(spec: Spec, layer: str | None) -> Convolving:
    """The convolution that is to be explained.

    Raises:
        ConfigError: no layer, or one too many, or an operation whose cells are no sums of one window.
    """
    if spec.network is None:
        assert spec.conv is not None
        if layer is not None:
            raise ConfigError("--layer", layer, "no layer, as the run is a single convolution")
        operation = operation_of(spec.conv)
        if operation.backward:
            raise ConfigError("explain", spec.conv.operation, "a run of a forward convolution")
        return operation
    operations = {name: found.operation for name, found in spec.network.items()}
    there = {name: found for name, found in operations.items() if isinstance(found, Convolving) and not found.backward}
    if layer not in there:
        of = f"one of {', '.join(there)}" if there else "a network with one"
        raise ConfigError("--layer", layer, f"a convolution layer: {of}", did_you_mean(layer or "", there))
    return there[layer]


# Printing


def show_cell(out: TextIO, cell: Cell) -> None:
    """Print how a cell came about, and whether it is the stored value."""
    letters = cell_letters(len(cell.indices) - 2)
    where = ", ".join(f"{letter}={index}" for letter, index in zip(letters, cell.indices, strict=True))
    bracketed = any(channel.padding.any() for channel in cell.channels)
    print(f"cell {where} ({cell.dtype}){'; padding stands in brackets' if bracketed else ''}", file=out)
    for channel in cell.channels[:MOST_CHANNELS]:
        show_channel(out, channel)
    rest = cell.channels[MOST_CHANNELS:]
    if rest:
        print(f"\nand {len(rest)} more channels, {rest[0].number} to {rest[-1].number}", file=out)
    parts = [short(channel.total) for channel in cell.channels[:MOST_CHANNELS]]
    parts += [f"{short(sum(channel.total for channel in rest))} (the other channels)"] if rest else []
    parts += [] if cell.bias is None else [f"{short(cell.bias)} (bias)"]
    print(f"\n{' + '.join(parts)} = {short(cell.total)}, {verdict(cell)}", file=out)


def show_channel(out: TextIO, channel: Channel) -> None:
    """Print one channel's pixels, weights and products side by side, and their sum."""
    print(f"\nchannel {channel.number}: pixels | weights | pixels * weights", file=out)
    pixels, weights = (list(map(short, values.ravel().tolist())) for values in (channel.pixels, channel.weights))
    outside = channel.padding.ravel().tolist()
    bracketed = [PADDING.format(text) if mark else text for text, mark in zip(pixels, outside, strict=True)]
    products = [f"{short(part)} +" for part in channel.products]  # with the plus signs of the lecture's slide
    products[-1] = products[-1].replace(" +", "  ")
    for line in beside(*(in_rows(texts, channel.pixels.shape[-1]) for texts in (bracketed, weights, products))):
        print(f"  {line}", file=out)
    print(f"  sum: {short(channel.total)}", file=out)


def verdict(cell: Cell) -> str:
    """How the sum and the stored value go together, in words."""
    if not cell.agrees:
        return f"but {short(cell.stored)} is stored"
    if cell.total == cell.stored:
        return "as stored"
    if cell.dtype.kind in "iu":
        return f"stored as {short(cell.stored)}, as overflow={cell.overflow} has it"
    return f"as stored, within the rounding of {cell.dtype}"


def in_rows(texts: Sequence[str], width: int) -> list[Sequence[str]]:
    """Texts in rows as wide as the last axis; the planes of a kernel of three axes follow one under the other."""
    return [texts[start : start + width] for start in range(0, len(texts), width)]


def beside(*blocks: Sequence[Sequence[str]]) -> list[str]:
    """Blocks of texts side by side, aligned to the right.

    >>> beside([["1", "-2"], ["3", "4"]], [["x"], ["y"]])
    [' 1 -2 | x', ' 3  4 | y']
    """
    lines = []
    widths = [max(len(text) for row in block for text in row) for block in blocks]
    for rows in zip(*blocks, strict=True):
        cells = [" ".join(text.rjust(width) for text in row) for row, width in zip(rows, widths, strict=True)]
        lines.append(" | ".join(cells).rstrip())
    return lines


def short(value: Any) -> str:
    """A number for people: whole ones whole, others to six digits.

    >>> short(3), short(0.123456789)
    ('3', '0.123457')
    """
    return str(value) if isinstance(value, int) else f"{value + 0:.6g}"  # + 0 makes -0.0 a 0.0
