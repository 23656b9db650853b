"""What a person sees of a run's result, by its axes: maps, a table of answers, or just the values."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import StringIO
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from convpipe.archive.format import PICTURE, SHEET, short_number
from convpipe.archive.maps import Maps, output_axes, range_texts, run_maps
from convpipe.archive.read import Run, read_bytes
from convpipe.errors import ArchiveError
from convpipe.ops import OPERATIONS
from convpipe.ops.kinds.operation import words
from convpipe.report.console import PLAIN_WIDTH, room, say, show_columns
from convpipe.tensors import Array, number_text, shape_text

if TYPE_CHECKING:
    from convpipe.execution.evaluation import Answer

CONFUSION = "confusion.csv"
LARGEST_PRINTED_MAP = 12 * 12  # cells
MOST_PRINTED_MAPS = 12
MOST_PRINTED_CELLS = 400  # of all maps
MOST_SUMMARY_ROWS = 32
MOST_ANSWERS = 10
MOST_CLASSES = 20  # of a confusion table that is printed
WIDER = "a wider terminal shows all, or | cat"
SHORT_FLOAT = 4  # bytes of a float whose shortest text has nine digits at most
ONE_LINE = 40  # characters up to which values are printed as a list on one line


def show_output(out: Console, run: Run, answers: Sequence[Answer] = ()) -> None:
    """Print a run's result in the way that suits its axes, how good its answers are, and which are wrong."""
    values = run.output
    axes = output_axes(run.rows, run.manifest, values.ndim)
    feature_map = len(axes) > 2 and (axes[0], axes[-1]) == ("N", "F")
    name = "feature map" if feature_map else words(OPERATIONS.find(run.rows[-1]["op"]))
    maps = run_maps(run, values)
    if not values.size:
        out.print(f"{name} {shape_text(values.shape)}, {values.dtype}: empty", markup=False)
    elif (run.folder / CONFUSION).exists() and values.shape[1] > 1:
        show_answers(out, values.reshape(values.shape[:2]))
    elif maps is not None:
        show_maps(out, name, maps)
    elif axes == ("N", "units") and values.shape[1] > 1:
        show_answers(out, values)
    else:
        show_values(out, name, values)
    if axes and not feature_map:
        show_lack(out, run, name, maps)
    show_confusion(out, run)
    if answers:
        from convpipe.report.answers import show_wrong  # most runs have none

        show_wrong(out, answers)
    show_pictures(out, run)


def show_lack(out: Console, run: Run, name: str, maps: Maps | None) -> None:
    """Say why a convolution shows no maps, or draws none: its stages end before the feature map.

    A network has none to show in any case, nor has a gradient, which starts from one.
    """
    rows = {row["stage"]: row for row in run.rows}
    if run.config.get("conv") and "grad" not in rows and (maps is None or rows["input"]["op"] == "image"):
        out.print(f"no {'maps' if maps is None else 'pictures'}: the chain ends in {name}", markup=False)


def show_maps(out: Console, name: str, maps: Maps) -> None:
    """Print a few small maps value by value, others as a summary of each."""
    values = maps.values
    small = values[0, 0].size <= LARGEST_PRINTED_MAP and values.size <= MOST_PRINTED_CELLS
    if not small or maps.count > MOST_PRINTED_MAPS:
        show_summary(out, name, maps)
        return
    for label, plane in maps:
        out.print(
            f"{name} {label}, {plane.dtype}: {values_text(plane, room(out) or PLAIN_WIDTH)}",
            markup=False,
            soft_wrap=True,
        )


def show_summary(out: Console, name: str, maps: Maps) -> None:
    """Print range and mean of each map, the first MOST_SUMMARY_ROWS of them."""
    rows = [(label, *range_texts(plane)) for label, plane in islice(maps, MOST_SUMMARY_ROWS)]
    columns = dict(zip((name, "min", "max", "mean"), map(list, zip(*rows, strict=True)), strict=True))
    show_columns(out, columns, WIDER, left=(name,))
    if maps.count > MOST_SUMMARY_ROWS:
        out.print(f"and {maps.count - MOST_SUMMARY_ROWS} more maps")


def show_answers(out: Console, scores: Array) -> None:
    """Print what the first rows of (N, classes) answer: the class of the largest score, none beside NaN."""
    from convpipe.execution.evaluation import NO_ANSWER, answers_of  # most runs have none

    columns: dict[str, list[str]] = {"image": [], "answer": [], "score": []}
    for n, (row, answer) in enumerate(zip(scores, answers_of(scores[:MOST_ANSWERS]).tolist(), strict=False)):
        there = answer < len(row)
        score = short_number(str(row[answer].item())) if there else "nan"
        for title, cell in zip(columns, (f"n={n}", str(answer) if there else NO_ANSWER, score), strict=True):
            columns[title].append(cell)
    show_columns(out, columns, WIDER)
    if len(scores) > MOST_ANSWERS:
        out.print(f"and {len(scores) - MOST_ANSWERS} more images")


def show_values(out: Console, name: str, values: Array) -> None:
    """Print an array of no known axes: whole where it is small, its range where it is not."""
    if values.size <= LARGEST_PRINTED_MAP:
        text = values_text(values, room(out) or PLAIN_WIDTH)
    else:
        low, high, mean = range_texts(values)
        text = f"min {low}, max {high}, mean {mean}"
    out.print(f"{name} {shape_text(values.shape)}, {values.dtype}: {text}", markup=False, soft_wrap=True)


def values_text(values: Array, width: int = PLAIN_WIDTH) -> str:
    """Values as a list where that fits on a line, as an aligned grid where it does not.

    >>> values_text(np.array([[-9, 1], [0, -7]])), values_text(np.array([0.1], np.float32))
    ('[[-9, 1], [0, -7]]', '[0.1]')
    """
    line = list_text(values) if values.size < ONE_LINE else ""
    if line and len(line) <= ONE_LINE:
        return line
    digits = None if values.dtype.itemsize <= SHORT_FLOAT and values.dtype.kind == "f" else 6
    return "\n" + np.array2string(values, precision=digits, max_line_width=width)


def list_text(values: Array) -> str:
    """An array as nested lists, each number as short as its dtype allows."""
    return f"[{', '.join(map(list_text, values))}]" if values.ndim else number_text(values[()])


# Answers held against labels


def show_confusion(out: Console, run: Run) -> None:
    """Print how many answers are right and, of not too many classes, which are taken for which."""
    path = run.folder / CONFUSION
    if not path.exists():
        return
    from convpipe.execution.evaluation import Evaluation, answer_names  # most runs have none

    found = Evaluation(read_confusion(run))
    out.print(f"\naccuracy {found.accuracy:.2%} ({found.correct} of {found.images})".replace("%", " %"), markup=False)
    classes = len(found.confusion)
    if classes > MOST_CLASSES:
        return
    columns = {"true\\answer": [str(true) for true in range(classes)]}
    for name, counts in zip(answer_names(found), found.confusion.T.tolist(), strict=True):
        columns[name] = [str(count) if count else "." for count in counts]
    show_columns(out, columns, f"{CONFUSION} has all")


def read_confusion(run: Run) -> Array:
    """The counts of confusion.csv: a row for each true class, a column for each answer, perhaps one for none.

    Raises:
        ArchiveError: it is no such table.
    """
    from convpipe.execution.evaluation import NO_ANSWER

    path = run.folder / CONFUSION
    try:
        lines = list(csv.reader(StringIO(read_bytes(path).decode(), newline="")))
        counts = np.array([[int(cell) for cell in line[1:]] for line in lines[1:]], np.int64)
    except (ValueError, OverflowError, csv.Error) as error:
        raise ArchiveError(f"{path}: expected a table of whole numbers: {error}") from error
    none = counts.shape[1:] == (len(counts) + 1,) and lines[0][-1] == NO_ANSWER
    if counts.ndim != 2 or counts.shape[1] - counts.shape[0] != none:
        raise ArchiveError(f"{path}: got a table {shape_text(counts.shape)}, expected as many rows as columns")
    return counts


def show_pictures(out: Console, run: Run) -> None:
    """Name the pictures that a run has: the sheet of all maps, and files of one map each."""
    names = sorted(path.name for path in run.folder.glob("map*.png") if PICTURE.fullmatch(path.name))
    files = [name for name in names if name != SHEET]
    several = f"{files[0]} to {files[-1]}, {len(files)} pictures" if len(files) > 1 else "".join(files)
    words = ", and ".join(filter(None, (SHEET if SHEET in names else "", several)))
    if words:
        say(out, f"drawn: {words}")
