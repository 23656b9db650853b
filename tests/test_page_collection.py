"""The page of a collection: what stands in it, and that its script says of every filter what `convpipe runs` says."""

from __future__ import annotations

import html
import json
import random
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from collection_cases import HOSTILE, array_in, facts_in, grid_rows, page_of_rows, rows_in, seen_in
from where_cases import CELLS, FIXED_QUESTIONS, JUNK, expression, random_rows

import convpipe as cp
from convpipe.archive.collection import whole_rows
from convpipe.archive.frames import every_column
from convpipe.archive.table import TEXT_COLUMNS, Row, cell_value, columns_of
from convpipe.config.expressions import ALLOWED, MOST_CHARACTERS
from convpipe.errors import ELSEWHERE, ArchiveError, ConfigError, UsageError
from convpipe.report.listing import MISSING, chosen, csv_text
from convpipe.report.page.asked import Asked
from convpipe.report.page.collection_page import collection_page
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
    known = every_column(rows)
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


# What stands in the page


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small collection, one of whose points fails."""
    root = tmp_path_factory.mktemp("runs")
    settings = {"conv.stride": [1, 2], "conv.dtype": ["int8", "int16"], "filters.dtype": "int16"}
    own = {"root": str(root), "name": "합성곱", "input.dtype": "int16"}
    cp.sweep("experiment=lecture_3d", seed=range(3), **settings, **own)
    cp.sweep("experiment=lecture_3d", "conv.pad_value=120", "conv.pad=1", **settings, **own)
    return root / "합성곱"


def test_every_run_stands_in_it_with_every_column() -> None:
    for rows in (grid_rows(300), random_rows(random.Random(3), 70), grid_rows(1), grid_rows(40, failing=1)):
        known = every_column(rows)
        names = list(dict.fromkeys([*columns_of(rows), *known]))
        assert rows_in(page_of_rows(rows)) == [{name: row.get(name, "") for name in names} for row in rows]


def test_a_collection_on_disk_is_as_convpipe_runs_has_it(made: Path) -> None:
    page = collection_page(made, Asked())
    assert rows_in(page) == [{name: row.get(name, "") for name in rows_in(page)[0]} for row in whole_rows(made)]
    assert {row["status"] for row in rows_in(page)} == {"done", "failed"}
    assert collection_page(made, Asked()) == page


def test_runs_of_format_1_and_damaged_ones_are_in_it(tmp_path: Path) -> None:
    for path in (HERE / "golden/v1").rglob("manifest.json"):
        shutil.copytree(path.parent, tmp_path / path.parent.name)
    damaged = sorted(tmp_path.iterdir())[0]
    (damaged / "SHA256SUMS").unlink()
    (damaged / "manifest.json").unlink()
    rows = {row["run"]: row for row in rows_in(collection_page(tmp_path, Asked()))}
    assert rows.pop(damaged.name)["status"] == "damaged"
    assert {(row["status"], row["format"]) for row in rows.values()} == {("done", "1")}


def test_only_pages_that_are_beside_it_are_led_to(made: Path, tmp_path: Path) -> None:
    runs = [row["run"] for row in whole_rows(made)]
    folder = shutil.copytree(made, tmp_path / "c")
    (folder / f"{runs[1]}.html").write_text("a page")
    (folder / f"{runs[2]}.html").mkdir()
    elsewhere = tmp_path / "elsewhere"
    assert linked(collection_page(folder, Asked())) == [runs[1]]
    assert linked(collection_page(folder, Asked(), elsewhere)) == []
    assert linked(cp.page(folder).read_bytes()) == [runs[1]]
    elsewhere.mkdir()
    assert linked(cp.page(folder, out=elsewhere / "index.html").read_bytes()) == []


def linked(page: bytes) -> list[str]:
    """The runs that a page has links for."""
    has_page = array_in(page, "pages")
    assert has_page is not None
    return [row["run"] for row, has in zip(rows_in(page), has_page, strict=True) if has]


def test_what_is_no_collection_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("nowhere", "file"):
        with pytest.raises(ArchiveError, match=rf"{name}: no such collection$"):
            collection_page(tmp_path / name, Asked())


def test_an_empty_collection_has_a_page(tmp_path: Path) -> None:
    page = collection_page(tmp_path, Asked())
    assert rows_in(page) == []
    assert seen_in(page) == []


def test_it_is_read_without_its_script() -> None:
    rows = [row | {"conv.pad": HOSTILE} if at == 1 else row for at, row in enumerate(grid_rows(60))]
    text = page_of_rows(rows).decode()
    totals = [("all", "60"), ("done", "57"), ("failed", "3")]
    assert re.findall(r'<tr><th scope="row">(\w+)</th><td>(\d+)\s*(?=<)', text) == totals
    assert re.findall(r'<tr><th scope="row">([0-9a-f]{12})</th>', text) == [row["run"] for row in rows[:50]]
    assert html.escape(HOSTILE)[:20] in text
    assert "quant.setting_1<" not in text
    assert "sha256<" not in text


def test_hostile_names_end_no_script() -> None:
    rows = [row | {f"{HOSTILE}.x": str(at), "note": HOSTILE + str(at)} for at, row in enumerate(grid_rows(5))]
    page = page_of_rows(rows, name=HOSTILE)
    assert b"<img" not in page
    assert page.count(b"</script>") == page.count(b"<script")
    assert rows_in(page)[0][f"{HOSTILE}.x"] == "0"


def test_names_that_are_no_unicode_have_a_page() -> None:
    rows = [
        {"run": "0" * 12, "status": "done", "x\udc80": "\udcff"},
        {"run": "1" * 12, "status": "done", "x\udc80": "y"},
    ]
    page = page_of_rows(rows, name="a\udc80b")
    assert rows_in(page)[0]["x\udc80"] == "\udcff"


def test_20_000_runs_are_3_mb_at_most() -> None:
    page = page_of_rows(grid_rows(20_000))
    assert len(page) <= 3_000_000
    assert len(rows_in(page)) == 20_000


def test_hashes_are_left_out_before_a_limit_is_refused() -> None:
    rows = grid_rows(300)
    whole = page_of_rows(rows)
    page = page_of_rows(rows, limit=len(whole) - 1)
    assert facts_in(page)["leftOut"] == ["output_sha256"]
    assert "output_sha256" not in rows_in(page)[0]
    assert facts_in(whole)["leftOut"] == []
    with pytest.raises(ConfigError, match=r"^--limit: got 9.0 KiB, expected at least [\d.]+ KiB, this page's size$"):
        page_of_rows(rows, limit=9 << 10)


def test_a_cell_belongs_to_a_run(made: Path) -> None:
    with pytest.raises(UsageError, match=r"^page: --at and --layer: expected a run, got a collection$"):
        collection_page(made, Asked(at=(0, 0, 0, 0)))


def test_what_varies_is_seen_first_and_hashes_are_not() -> None:
    seen = seen_in(page_of_rows(grid_rows(50)))
    assert seen[:4] == ["run", "status", "seed", "input.shape"]
    assert not {"output_sha256", "conv.groups", "format", "lowering"} & {*seen}
    assert seen_in(page_of_rows(grid_rows(1))) == ["run", "status", "seconds"]


# What a run lacks


def test_the_least_of_what_a_run_lacks_is_found() -> None:
    rows = [{"run": "a", "status": "done", "x": "[3, 1]"}, {"run": "b", "status": "done"}]
    assert list(MISSING) == [MISSING]
    for where in ("min(x) == 1", "max(x) == 3"):
        assert [row["run"] for row in chosen(rows, where, None, "run").rows] == ["a"]
