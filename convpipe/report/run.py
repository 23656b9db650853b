"""What a person sees of an archived run: a table of its stages, its result, what became of it and its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from convpipe.archive.format import lettered, rank_words, short_number
from convpipe.archive.read import Run
from convpipe.errors import literal
from convpipe.graph.plan import readable
from convpipe.report.console import readable_seconds, room, say, show_columns
from convpipe.report.fitting import cells_of
from convpipe.report.outputs import WIDER, show_output

if TYPE_CHECKING:
    from convpipe.execution.evaluation import Answer

Row = Mapping[str, str]

MOST_STAGES = 40  # rows of stages; of more, which only a network has, each layer gets one row
# The columns of the table of stages, the most useful first: a narrow terminal shows those that fit.
WORTH = (("stage", "shape"), ("dtype",), ("time",), ("size",), ("min", "max"), ("multiply-adds",))
WORDS = ("stage", "shape", "dtype")  # which stand to the left


def show_run(
    out: Console,
    run: Run,
    verdict: str,
    seconds: Mapping[str, Sequence[float]],
    notes: Sequence[str] = (),
    answers: Sequence[Answer] = (),
) -> None:
    """Print a run: its stages, its result or a summary of it, what is to note, what became of it, and where it is."""
    if words := rank_words(run.manifest["axes"]):
        say(out, words)
    show_stages(out, run, seconds)
    if len(run.rows) > MOST_STAGES:
        out.print(f"a line for each layer; stages.csv has all {len(run.rows)} stages and weights")
    if counts := run.manifest.get("counts"):
        say(out, counted(list(counts.values())))
    out.print()
    show_output(out, run, answers)
    out.print()
    for note in notes:
        say(out, note)
    out.print(Text.assemble((literal(verdict), "bold green"), f": {literal(run.path)}"), soft_wrap=True)


def counted(stages: Sequence[Mapping[str, int]]) -> str:
    """What the stages of a quantised run have counted, in words.

    >>> counted([{"saturated_low": 15, "saturated_high": 18, "ties": 9, "bits": 14}])
    'saturated: 15 at the low end, 18 at the high end; ties: 9; the sums need 14 bits'
    """
    low, high, ties = (sum(stage[name] for stage in stages) for name in ("saturated_low", "saturated_high", "ties"))
    bits = max(stage["bits"] for stage in stages)
    return f"saturated: {low:,} at the low end, {high:,} at the high end; ties: {ties:,}; the sums need {bits} bits"


def show_stages(out: Console, run: Run, seconds: Mapping[str, Sequence[float]]) -> None:
    """Print a run's stages: shape with the field's letters, dtype, size, multiply-adds, time and range of values."""
    cells = [stage_cells(run, name, rows, seconds) for name, rows in shown_stages(run.rows).items()]
    columns = {title: [row[title] for row in cells] for title in cells[0]}
    stage, shape = (max(map(cells_of, columns[title])) for title in WORTH[0])
    if (width := room(out)) is not None and stage + 2 + shape > width:
        columns["shape"] = [text.partition(" = ")[0] for text in columns["shape"]]  # without the letters
    show_columns(out, columns, WIDER, worth=WORTH, left=WORDS, styles={"stage": "cyan"})


def shown_stages(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of stages.csv by what the table calls them: each by itself, or those of a layer together.

    Layers stand in the order of their last stages, as the rows of all weights come first.
    """
    if len(rows) <= MOST_STAGES:
        return {row["stage"]: [row] for row in rows}
    layers: dict[str, list[Row]] = {}
    for row in rows:
        layer = row["stage"].partition("/")[0]
        layers[layer] = [*layers.pop(layer, []), row]
    return layers


def stage_cells(run: Run, name: str, rows: Sequence[Row], seconds: Mapping[str, Sequence[float]]) -> dict[str, str]:
    """One stage, or all of a layer, as texts, by column; what they make is what the last of them makes."""
    last = rows[-1]
    macs = sum(int(row["macs"]) for row in rows)
    times = [min(seconds[row["stage"]]) for row in rows if row["stage"] in seconds]
    return {
        "stage": name,
        "shape": lettered(last["shape"], run.manifest["axes"].get(last["stage"], ())),
        "dtype": last["dtype"],
        "size": readable(int(last["bytes"])),
        "multiply-adds": f"{macs:,}" if macs else "",
        "time": readable_seconds(sum(times)) if times else "",
        "min": short_number(last["min"]),
        "max": short_number(last["max"]),
    }
