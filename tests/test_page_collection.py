"""The page of a collection: what stands in it, and that its script says of every filter what `convpipe runs` says."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from where_cases import CELLS, FIXED_QUESTIONS, JUNK, expression, random_rows

from convpipe.archive.table import TEXT_COLUMNS, Row, cell_value, columns_of
from convpipe.config.expressions import ALLOWED, MOST_CHARACTERS
from convpipe.errors import ELSEWHERE, ConfigError
from convpipe.report.listing import chosen, csv_text
from convpipe.report.page.columnar import Column, column_of

HERE = Path(__file__).parent
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="node is not on this machine")

# What Python says, and what the page's script says


def python_answer(rows: Sequence[Row], where: str, sort: str, shown: Sequence[str]) -> dict[str, str]:
    """The listing as CSV, or the error's line."""
    try:
        return {"csv": csv_text(chosen(rows, where, sort, ",".join(shown)))}
    except ConfigError as error:
        return {"error": str(error)}


def told(column: Column) -> dict[str, Any]:
    """A column as `listings.mjs` reads it."""
    hashes = list(bytes.fromhex("".join(column.texts))) if column.digits else None
    places = None if column.places is None else column.places.tolist()
    return {"facts": column.facts, "places": places, "hex": hashes}


def table_told(rows: Sequence[Row], questions: Sequence[tuple[str, str, Sequence[str]]]) -> dict[str, Any]:
    """A table and questions about it."""
    known = list({name: None for row in rows for name in row})
    names = list(dict.fromkeys([*columns_of(rows), *known]))
    columns = [told(column_of(name, [row.get(name, "") for row in rows])) for name in names]
    asked = [{"where": where, "sort": sort, "shown": shown} for where, sort, shown in questions]
    return {"rows": len(rows), "known": known, "columns": columns, "questions": asked}


def script_answers(tables: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the page's modules say."""
    assert NODE is not None
    language = {"allowed": ALLOWED, "longest": MOST_CHARACTERS, "elsewhere": ELSEWHERE}
    given = json.dumps({"tables": tables, "language": language, "texts": TEXT_COLUMNS})
    done = subprocess.run([NODE, HERE / "page/listings.mjs"], input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


ZERO = re.compile(r"\([^()]*(?:by zero|modulo)[^()]*\)$")  # in other words from version to version of Python
PARSED = re.compile(rf"(expected an expression of {re.escape(ALLOWED)}).*", re.DOTALL)  # its parser's own hints


def compared(answer: dict[str, str]) -> dict[str, str]:
    """An answer without what Python's versions say differently."""
    if "error" not in answer:
        return answer
    line = ZERO.sub("(division by zero)", PARSED.sub(r"\1", answer["error"]))
    return {"error": line.replace("arg is an empty sequence", "iterable argument is empty")}


def questions_about(
    rows: Sequence[Row], source: random.Random, wheres: Sequence[str]
) -> list[tuple[str, str, list[str]]]:
    """Each filter with a column to sort by and some to show."""
    known = list({name: None for row in rows for name in row})
    signs = ("", "-")
    return [(where, source.choice(signs) + source.choice(known), source.sample(known, 4)) for where in wheres]


@needs_node
def test_filters_sorting_and_csv_are_those_of_convpipe_runs() -> None:
    source, tables = random.Random(12), []
    for count in (1, 2, 40, 12, 12, 12, 12, 12):
        rows = random_rows(source, count)
        wheres = [expression(source, source.choice((1, 2, 2, 3))) for _ in range(400)]
        tables.append((rows, questions_about(rows, source, (*wheres, *JUNK, *FIXED_QUESTIONS))))
    answered = script_answers([table_told(rows, questions) for rows, questions in tables])
    kinds = set()
    for (rows, questions), said in zip(tables, answered, strict=True):
        for (where, sort, shown), answer in zip(questions, said["answers"], strict=True):
            right = python_answer(rows, where, sort, shown)
            assert compared(answer) == compared(right), (where, sort, rows)
            kinds.add("error" if "error" in right else "none" if right["csv"].count("\n") == 1 else "some")
    assert kinds == {"error", "none", "some"}


@needs_node
def test_cells_are_the_values_that_they_were_written_for() -> None:
    cells = sorted({*CELLS, *(f"{mark}{text}" for text in CELLS for mark in ("[", "'", "-", " "))} - {""})
    rows = [{"run": f"{at:012x}", "x": cell} for at, cell in enumerate(cells)]
    (said,) = script_answers(
        [{"rows": len(rows), "known": [], "questions": [], "columns": [told(column_of("x", cells))]}]
    )
    assert said["values"]["x"] == [repr(cell_value("x", row["x"])) for row in rows]
