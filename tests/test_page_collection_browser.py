"""The page of a collection in a real browser: filter, brush, highlight, sort, copy, and 20,000 runs."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from browser import Open, findings, scrolls_sideways
from cli_runs import convpipe
from collection_cases import HOSTILE, grid_rows, page_of_rows

import convpipe as cp
from convpipe.archive.collection import whole_rows
from convpipe.archive.table import Row
from convpipe.report.listing import chosen, csv_text
from convpipe.report.page.asked import Asked
from convpipe.report.page.collection_page import collection_page

ROWS = grid_rows(300)
GRID = page_of_rows(ROWS, pages=[row["run"] for row in ROWS[:2]])
FRAME = "() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"
TIMED = """async () => {
    const start = performance.now();
    document.querySelector("#where").dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }));
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    return Math.round(performance.now() - start);
}"""
FOCUSED = "document.activeElement.closest('tr').getAttribute('aria-rowindex')"
LINE_HEIGHT = 28
WHERES = (
    "stride == 2",
    "status == 'failed'",
    "accuracy > 0.6 and pad in ['same', 1]",
    "seed == 7",
    "0",
    "shape[2] < 9",
)


def filtered(page: Any, text: str) -> str:
    """What the page says of how many are left, after a filter was typed."""
    page.fill("#where", text)
    page.press("#where", "Enter")
    return str(page.inner_text("#count"))


def left(rows: Sequence[Row], where: str) -> str:
    """What it should say."""
    return f"{len(chosen(rows, where, None, 'run').rows):,} of {len(rows):,} runs"


def column(page: Any, name: str) -> list[str]:
    """The texts of a column in the rows that are drawn."""
    heads = page.locator(".grid thead th").all_inner_texts()
    at = [head.split(" ")[0] for head in heads].index(name)
    found: list[str] = page.evaluate(
        "(at) => [...document.querySelectorAll('.grid tbody tr')].map((row) => row.children[at].textContent)", at
    )
    return found


def by_sort(page: Any, name: str) -> None:
    """Click a head."""
    page.get_by_role("columnheader", name=name).get_by_role("button").click()


# Filter, sort


@pytest.mark.parametrize("where", WHERES)
def test_a_filter_that_is_typed_leaves_what_convpipe_runs_leaves(page_of: Open, where: str) -> None:
    page = page_of(GRID)
    assert page.inner_text("#count") == "300 of 300 runs"
    assert filtered(page, where) == left(ROWS, where)
    assert column(page, "run") == [row["run"] for row in chosen(ROWS, where, None, "run").rows][:36]
    assert filtered(page, "") == "300 of 300 runs"


def test_typing_is_enough(page_of: Open) -> None:
    page = page_of(GRID)
    page.type("#where", "stride == 2")
    page.wait_for_function(
        "(text) => document.querySelector('#count').textContent === text", arg=left(ROWS, "stride == 2")
    )


def test_a_wrong_filter_is_said_as_python_says_it_and_changes_nothing(page_of: Open) -> None:
    page = page_of(GRID)
    filtered(page, "stride == 2")
    assert filtered(page, "strid == 2") == f"{left(ROWS, 'stride == 2')} by the filter before: stride == 2"
    line = "--where: got strid == 2, expected values that go together in it (no strid here; did you mean stride?)"
    assert page.inner_text("#where-error") == f"There is no column strid. Did you mean stride? {line}"
    assert page.get_attribute("#where", "aria-invalid") == "true"
    filtered(page, "stride == 1")
    assert page.inner_text("#where-error") == ""


def test_an_example_is_a_filter(page_of: Open) -> None:
    page = page_of(GRID)
    for example in page.locator(".filter button").all():
        example.click()
        assert page.inner_text("#where-error") == ""
        assert page.inner_text("#count") == left(ROWS, example.inner_text())


@pytest.mark.parametrize("name", ["conv.pad", "seconds", "input.low", "input.shape", "status"])
def test_a_head_sorts_upwards_then_downwards(page_of: Open, name: str) -> None:
    page = page_of(GRID)
    for sign, said in (("", "ascending"), ("-", "descending")):
        by_sort(page, name)
        assert column(page, "run") == [row["run"] for row in chosen(ROWS, None, sign + name, "run").rows][:36]
        assert page.get_by_role("columnheader", name=name).get_attribute("aria-sort") == said


# Brush, highlight


def drag(page: Any, name: str, start: float, end: float) -> None:
    """Drag along an axis, between shares of its height from below."""
    axis = page.locator("#parallel g", has=page.locator("title", has_text=name)).last
    box = axis.locator(".handle-area").bounding_box()
    x, bottom, height = box["x"] + box["width"] / 2, box["y"] + box["height"] - 6, box["height"] - 12
    page.mouse.move(x, bottom - start * height)
    page.mouse.down()
    page.mouse.move(x, bottom - end * height, steps=4)
    page.mouse.up()
    page.evaluate(FRAME)


@pytest.mark.parametrize(
    ("name", "start", "end", "where"),
    [
        ("conv.stride", 0.3, 0.7, "conv.stride == 2 or conv.stride == 3"),
        ("conv.stride", 0.4, 0.1, "conv.stride == 2"),
        ("input.dtype", 0.03, 0.45, "input.dtype in ['float16', 'float32']"),
        ("conv.pad", 0.51, 0.99, "conv.pad in ['same', 'valid']"),
        ("conv.pad", 0.15, 0.25, "0"),
    ],
)
def test_a_part_of_an_axis_filters(page_of: Open, name: str, start: float, end: float, where: str) -> None:
    page = page_of(GRID)
    drag(page, name, start, end)
    assert page.inner_text("#count") == left(ROWS, where)
    said = page.inner_text("#brushes code")
    assert left(ROWS, said) == left(ROWS, where)
    filtered(page, "seed < 150")
    assert page.inner_text("#count") == left(ROWS, f"({said}) and seed < 150")
    page.locator("#brushes button").click()
    page.evaluate(FRAME)
    assert page.inner_text("#count") == left(ROWS, "seed < 150")


def test_a_click_on_an_axis_frees_it(page_of: Open) -> None:
    page = page_of(GRID)
    drag(page, "conv.stride", 0.3, 0.7)
    assert page.locator("#brushes button").count() == 1
    drag(page, "conv.stride", 0.9, 0.9)
    assert page.locator("#brushes button").count() == 0
    assert page.inner_text("#count") == "300 of 300 runs"


def test_axes_are_moved_by_keys(page_of: Open) -> None:
    page = page_of(GRID)
    assert page.locator("#parallel [tabindex='0']").count() == 1
    page.locator("#parallel [tabindex='0']").focus()
    for _ in range(40):
        if page.evaluate("document.activeElement.getAttribute('aria-label')") == "conv.stride up to":
            break
        page.keyboard.press("ArrowRight")
    for key, where in (
        ("ArrowDown", "stride <= 3"),
        ("ArrowLeft", "stride <= 3"),
        ("ArrowUp", "stride in [2, 3]"),
        ("ArrowUp", "stride == 3"),
        ("ArrowDown", "stride in [2, 3]"),
    ):
        page.keyboard.press(key)
        page.evaluate(FRAME)
        assert page.inner_text("#count") == left(ROWS, where)
    assert page.evaluate("document.activeElement.getAttribute('aria-valuetext')") == "2 <= conv.stride <= 3"
    page.keyboard.press("Delete")
    page.evaluate(FRAME)
    assert page.inner_text("#count") == "300 of 300 runs"


def lit(page: Any) -> tuple[list[str], list[str], list[str]]:
    """Which rows are lit: in the table, as a point, as a line."""
    runs = [row["run"] for row in ROWS]
    places = [
        page.evaluate("(which) => [...document.querySelectorAll(which)].map((each) => each.dataset.row)", which)
        for which in (".grid tbody tr.lit", "#scatter .ring:not(.kept)", "#parallel polyline.lit:not(.kept)")
    ]
    return tuple([runs[int(place)] for place in each] for each in places)  # type: ignore[return-value]


def test_a_run_is_lit_everywhere_wherever_it_is_pointed_at(page_of: Open) -> None:
    page = page_of(GRID)
    run = column(page, "run")[3]
    page.hover(".grid tbody tr:nth-child(4) td:nth-child(2)")
    assert lit(page) == ([run], [run], [run])
    assert run in page.inner_text("#chosen")
    point = [float(page.get_attribute("#scatter .ring", name)) for name in ("cx", "cy")]
    page.mouse.move(5, 5)
    assert lit(page) == ([], [], [])
    filtered(page, f"run == '{run}'")
    move(page, "#scatter svg[role=img]", point[0] + 3, point[1])
    assert lit(page) == ([run], [run], [run])
    move(page, "#scatter svg[role=img]", point[0] + 40, point[1])
    assert lit(page) == ([], [], [])
    places = page.get_attribute("#parallel svg", "height")
    for height in range(52, int(places), 5):
        move(page, "#parallel svg", 60, height)
        if lit(page)[0]:
            break
    assert lit(page) == ([run], [run], [run])


def move(page: Any, plot: str, x: float, y: float) -> None:
    """Point at a place of a plot."""
    page.locator(plot).scroll_into_view_if_needed()
    box = page.locator(plot).bounding_box()
    page.mouse.move(box["x"] + x, box["y"] + y)


def test_a_click_keeps_a_run_and_escape_frees_it(page_of: Open) -> None:
    page = page_of(GRID)
    run = column(page, "run")[5]
    page.click(".grid tbody tr:nth-child(6) td:nth-child(2)")
    page.mouse.move(5, 5)
    assert run in page.inner_text("#chosen")
    assert page.locator(".grid tbody tr.kept").count() == 1
    assert f"convpipe page {run}" in page.inner_text("#chosen")
    page.keyboard.press("Escape")
    assert page.locator(".grid tbody tr.kept").count() == 0
    assert run not in page.inner_text("#chosen")


def test_axes_of_the_scatter_plot_are_chosen(page_of: Open) -> None:
    page = page_of(GRID)
    for at, name in enumerate(("conv.pad", "seconds", "status")):
        page.locator("#scatter select").nth(at).select_option(name)
    texts = {text for text, *_ in boxes(page, "#scatter svg[role=img]")}
    assert {"same", "valid", "0", "1", "2", "conv.pad", "seconds (s, log)"} <= texts
    assert page.locator("#scatter .legend").inner_text().split() == ["done", "failed"]
    assert page.get_attribute("#scatter svg[role=img]", "aria-label") == "seconds over conv.pad, a point for each run"


def boxes(page: Any, plot: str) -> list[list[Any]]:
    """The texts of a plot, each with its left, top, right and bottom."""
    script = """(plot) => [...document.querySelectorAll(plot + " text")].map((each) => {
        const box = each.getBoundingClientRect();
        return [each.textContent, box.left, box.top + 2, box.right, box.bottom - 2];
    })"""
    return [found for found in page.evaluate(script, plot) if found[0]]


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("plot", ["#scatter svg[role=img]", "#parallel svg"])
def test_texts_of_plots_do_not_lie_on_each_other(page_of: Open, width: int, plot: str) -> None:
    texts = boxes(page_of(GRID, width), plot)
    assert len(texts) > 10
    for at, (text, *box) in enumerate(texts):
        for other, *edges in texts[:at]:
            apart = box[2] <= edges[0] or edges[2] <= box[0] or box[3] <= edges[1] or edges[3] <= box[1]
            assert apart, (text, other)


# Links, CSV, the same in a terminal


def test_links_lead_only_to_what_is_there(page_of: Open) -> None:
    page = page_of(GRID)
    links = page.locator(".grid tbody a")
    assert [link.get_attribute("href") for link in links.all()] == [f"{row['run']}.html" for row in ROWS[:2]]
    page.hover(".grid tbody tr:nth-child(1) td:nth-child(2)")
    assert page.locator("#chosen a").get_attribute("href") == f"{ROWS[0]['run']}.html"
    page.hover(".grid tbody tr:nth-child(3) td:nth-child(2)")
    assert page.locator("#chosen a").count() == 0


def expected_csv(page: Any, where: str | None, sort: str | None) -> str:
    """The CSV of convpipe runs with the columns that the page shows."""
    names = [head.split(" ")[0] for head in page.locator(".grid thead th").all_inner_texts()]
    return csv_text(chosen(ROWS, where, sort, ",".join(names)))


def test_what_is_left_is_copied_as_csv(page_of: Open) -> None:
    page = page_of(GRID, permissions=["clipboard-read", "clipboard-write"])
    filtered(page, "stride == 2")
    by_sort(page, "seconds")
    page.click("#copy")
    page.wait_for_function("() => document.querySelector('.copy').textContent.includes('rows copied')")
    assert page.evaluate("navigator.clipboard.readText()") == expected_csv(page, "stride == 2", "seconds")


def test_where_the_clipboard_is_refused_there_is_a_box(page_of: Open) -> None:
    page = page_of(GRID)
    assert not page.locator("#csv").is_visible()
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); }")
    page.click("#copy")
    page.wait_for_selector("#csv", state="visible")
    assert page.input_value("#csv") == expected_csv(page, None, None)
    assert page.evaluate("document.activeElement.id") == "csv"


def test_columns_are_chosen(page_of: Open) -> None:
    page = page_of(GRID)
    page.locator("summary", has_text="Columns").click()
    page.get_by_label("output_sha256").check()
    assert column(page, "output_sha256")[0] == ROWS[0].get("output_sha256", "")
    page.get_by_label("conv.groups = 1").check()
    assert set(column(page, "conv.groups")) == {"1"}
    page.get_by_label("seed", exact=True).uncheck()
    heads = page.locator(".grid thead th").all_inner_texts()
    assert "seed" not in heads


def test_the_command_for_the_same_rows_gives_the_same_rows(
    page_of: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"conv.stride": [1, 2], "conv.pad": ["same", 0, 1], "seed": range(4)}
    cp.sweep("experiment=lecture_3d", root=str(tmp_path), name="c", **settings)
    page = page_of(collection_page(tmp_path / "c", Asked()))
    page.locator("summary", has_text="terminal").click()
    filtered(page, "stride == 1 or seed in [1, 2]")
    drag(page, "conv.pad", 0.4, 1)
    by_sort(page, "seconds")
    by_sort(page, "seconds")
    runs = column(page, "run")
    assert 0 < len(runs) < 24
    words = shlex.split(page.locator("details code").last.inner_text())
    monkeypatch.chdir(tmp_path / "c")
    answer = convpipe(*words[1:], "--format", "csv")
    assert answer.code == 0, answer.err
    assert [row["run"] for row in csv.DictReader(io.StringIO(answer.out))] == runs
    assert len(whole_rows(tmp_path / "c")) == 24
    page.hover(".grid tbody tr:nth-child(1) td:nth-child(2)")
    answer = convpipe(*shlex.split(page.locator("#chosen code").inner_text())[1:])
    assert answer.out.split() == ["page:", f"{runs[0]}.html"]
    assert (tmp_path / "c" / f"{runs[0]}.html").is_file()


# The table


def test_20_000_runs(page_of: Open, capsys: pytest.CaptureFixture[str]) -> None:
    rows = grid_rows(20_000)
    page = page_of(page_of_rows(rows))
    with capsys.disabled():
        print("\nready after", page.evaluate("Math.round(performance.now())"), "ms;", end=" ")
    assert page.locator(".grid tbody tr").count() <= 60
    assert page.get_attribute(".grid", "aria-rowcount") == "20001"
    height = page.evaluate("document.querySelector('.grid tbody').getBoundingClientRect().height")
    assert height == pytest.approx(20_000 * LINE_HEIGHT, abs=2)
    page.evaluate("document.querySelector('.window').scrollTop = 1e9")
    page.evaluate(FRAME)
    assert column(page, "run")[-1] == rows[-1]["run"]
    assert page.locator(".grid tbody tr").last.get_attribute("aria-rowindex") == "20001"
    assert page.locator(".grid tbody tr").count() <= 60
    page.evaluate("document.querySelector('.window').scrollTop = 28 * 9990")
    page.evaluate(FRAME)
    assert rows[10_000]["run"] in column(page, "run")
    times = []
    for where in ("stride == 2", "accuracy > 0.6 and pad in ['same', 1]", "run != ''", "seconds < 0.00001"):
        page.fill("#where", where)
        times.append(page.evaluate(TIMED))
        assert page.inner_text("#count") == left(rows, where)
    with capsys.disabled():
        print("filtered and drawn in", times, "ms")


def test_the_table_is_one_stop_and_keys_lead_through_it(page_of: Open) -> None:
    page = page_of(GRID)
    assert page.locator(".grid [tabindex='0']").count() == 1
    page.locator(".grid [tabindex='0']").focus()
    assert page.evaluate(FOCUSED) == "1"
    for key, row in (("ArrowDown", "2"), ("ArrowDown", "3"), ("PageDown", "20"), ("PageDown", "37"), ("ArrowUp", "36")):
        page.keyboard.press(key)
        assert page.evaluate(FOCUSED) == row, key
        assert page.locator(".grid [tabindex='0']").count() == 1
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    kept = page.locator(".grid tr.kept").get_attribute("aria-rowindex")
    assert kept == "36"
    for _ in range(5):
        page.keyboard.press("PageUp")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    assert page.get_by_role("columnheader", name="run").get_attribute("aria-sort") == "ascending"
    assert page.evaluate("document.activeElement.textContent") == "run ▲"


# What may be in a collection


def few_rows(cells: Sequence[str], **more: str) -> list[Row]:
    """Rows in which one column varies."""
    return [{"run": f"{at:012x}", "status": "done", "x": cell, **more} for at, cell in enumerate(cells)]


COLLECTIONS: dict[str, list[Row]] = {
    "empty": [],
    "one run": grid_rows(1),
    "one column varies": few_rows(["1", "2", "3"]),
    "all failed": grid_rows(30, failing=1),
    "no numbers": few_rows(["nan", "inf", "-inf", "1", "", "1e+300"]),
    "beyond floats": few_rows([str(10**20 + at) for at in range(50)], y="same"),
}


@pytest.mark.parametrize("rows", COLLECTIONS.values(), ids=COLLECTIONS.keys())
@pytest.mark.parametrize("language", ["en", "ko"])
def test_any_collection_has_a_page(page_of: Open, rows: list[Row], language: str) -> None:
    page = page_of(page_of_rows(rows, language=language))
    size = len(rows)
    assert page.inner_text("#count") == (
        f"{size} of {size} runs" if language == "en" else f"전체 {size}개 실행 중 {size}개"
    )
    assert not rows or column(page, "run") == [row["run"] for row in rows[:36]]
    assert findings(page) == []


def test_words_beside_numbers_colour_the_points(page_of: Open) -> None:
    rows = few_rows(["same", "1", "2", "same", "1", "2"])
    page = page_of(page_of_rows([row | {"y": str(at), "z": str(at % 2)} for at, row in enumerate(rows)]))
    page.locator("#scatter select").nth(2).select_option("x")
    assert [text.strip() for text in page.locator("#scatter .legend .key").all_inner_texts()] == ["1", "2", "same"]


def test_hostile_names_stay_texts(page_of: Open) -> None:
    rows = [
        row
        | {
            f"{HOSTILE}.{'x' * (at % 2)}": f"{HOSTILE}{at % 3}",
            "note": f"=cmd|' /C calc'!A{at % 2}",
            "__proto__": str(at),
        }
        for at, row in enumerate(grid_rows(20))
    ]
    page = page_of(page_of_rows(rows, name=HOSTILE))
    for box in page.locator(".choice input").all():
        page.evaluate("(box) => box.checked || box.click()", box.element_handle())
    page.hover(".grid tbody tr:nth-child(2) td:nth-child(2)")
    filtered(page, "note != ''")
    assert page.inner_text("#count") == "20 of 20 runs"
    assert page.locator("img").count() == 0
    assert page.title() != "hit"
    assert column(page, "note")[0].startswith("=cmd")
    assert column(page, "__proto__")[:2] == ["0", "1"]


@pytest.mark.parametrize("dark", [False, True])
def test_no_barrier_is_found(page_of: Open, dark: bool) -> None:
    page = page_of(GRID, dark=dark)
    filtered(page, "strid == 2")
    drag(page, "conv.stride", 0.3, 0.7)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    page.hover(".grid tbody tr:nth-child(2) td:nth-child(2)")
    assert findings(page) == []


def test_the_other_language_is_a_click_away(page_of: Open) -> None:
    page = page_of(GRID)
    drag(page, "conv.stride", 0.3, 0.7)
    page.get_by_role("button", name="한국어").click()
    assert page.inner_text("#count").startswith("전체 300개 실행 중 ")
    assert page.get_by_role("heading", name="평행 좌표").count() == 1
    assert page.get_by_role("slider", name="conv.stride 끝").count() == 1


@pytest.mark.parametrize("rows", [[row | {"note": "x" * 200} for row in ROWS], grid_rows(3000)], ids=len)
def test_a_phone_does_not_scroll_sideways(page_of: Open, rows: list[Row]) -> None:
    page = page_of(page_of_rows(rows), 390)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert not scrolls_sideways(page)


def test_print_has_the_first_rows_and_the_plots(page_of: Open) -> None:
    page = page_of(GRID, 800)
    page.emulate_media(media="print")
    assert page.locator(".grid tbody tr").count() >= 30
    assert page.locator("#scatter svg[role=img]").is_visible()
    assert not page.locator("#copy").is_visible()
    assert not scrolls_sideways(page)
