"""What a person sees of an archived run: a table of its stages, its result, what became of it and its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from convpipe.archive.format import lettered, rank_words, short_number
from convpipe.archive.read import Run
from convpipe.graph.plan import readable
from convpipe.report.console import PLAIN_WIDTH, readable_seconds, table
from convpipe.report.outputs import show_output

if TYPE_CHECKING:
    from convpipe.execution.evaluation import Answer

Row = Mapping[str, str]

MOST_STAGES = 40  # rows of stages; of more, which only a network has, each layer gets one row
# What the table of stages leaves out, in this order, until it fits a narrow terminal; stages.csv has it all.
LEFT_OUT = ((), ("multiply-adds",), ("multiply-adds", "min", "max"), ("multiply-adds", "min", "max", "size"))


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
        out.print(words, markup=False)
    out.print(fitting_table(out, run, seconds))
    if len(run.rows) > MOST_STAGES:
        out.print(f"a line for each layer; stages.csv has all {len(run.rows)} stages and weights")
    out.print()
    show_output(out, run, answers)
    out.print()
    for note in notes:
        out.print(note, markup=False, soft_wrap=True)
    out.print(Text.assemble((verdict, "bold green"), f": {run.path}"), soft_wrap=True)


def fitting_table(out: Console, run: Run, seconds: Mapping[str, Sequence[float]]) -> Table:
    """The table of a run's stages, without the columns that a narrow terminal would wrap."""
    for left_out in LEFT_OUT:
        rows = stage_table(run, seconds, left_out, plain=out.no_color)
        if out.measure(rows, options=out.options.update(width=PLAIN_WIDTH)).maximum <= out.width:
            break
    return rows


def stage_table(
    run: Run, seconds: Mapping[str, Sequence[float]], left_out: Sequence[str] = (), *, plain: bool
) -> Table:
    """A run's stages: shape with the field's letters, dtype, size, multiply-adds, time and range of values."""
    listing = table(plain)
    cells = [stage_cells(run, name, rows, seconds) for name, rows in shown_stages(run.rows).items()]
    for name in cells[0]:
        if name not in left_out:
            to_left = name in ("stage", "shape", "dtype")
            style = "cyan" if name == "stage" and not plain else ""
            listing.add_column(name, justify="left" if to_left else "right", overflow="fold", style=style)
    for row in cells:
        listing.add_row(*(Text(text) for name, text in row.items() if name not in left_out))
    return listing


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
