"""The convolution view in a real browser: what it says of each cell is what the archive holds and `explain` says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import findings, scrolls_sideways
from page_cases import a_page, any_geometry

import convpipe as cp
from convpipe.archive.read import Run
from convpipe.report.page.asked import Asked
from convpipe.report.page.run_page import run_page

OpenPage = Callable[..., Any]

MOST_BYTES = 60_000  # of lecture_4d's page
SHOWN = """look => [...document.querySelectorAll(look)].map(table =>
  [...table.tBodies[0].rows].map(row => [...row.querySelectorAll('td')].map(cell => cell.textContent)))"""
WALK = """look => [...document.querySelectorAll(look + ' tbody td')].map(cell => {
  cell.dispatchEvent(new PointerEvent('pointerover', {bubbles: true}));
  return [document.querySelector('.where').textContent, document.querySelector('.live').textContent];
})"""


@pytest.fixture(scope="module")
def lectures() -> dict[str, tuple[Run, bytes]]:
    """The lecture's runs and their pages."""
    runs = {name: cp.run(f"experiment={name}", archive=False) for name in ("lecture_3d", "lecture_4d")}
    return {name: (run, run_page(run, Asked())) for name, run in runs.items()}


def cell(page: Any, part: str, row: int, column: int, table: int = 0) -> Any:
    """A cell of one of the grids."""
    return page.locator(f".{part} table.grid").nth(table).locator("tbody tr").nth(row).locator("td").nth(column)


def live(page: Any) -> str:
    return str(page.text_content(".live"))


def where(page: Any) -> str:
    return str(page.text_content(".where"))


def marked(page: Any, part: str, look: str) -> int:
    """How many cells of some grids have a look."""
    return int(page.locator(f".{part} table.grid td.{look}").count())


def last_line(run: Run, at: Sequence[int]) -> str:
    """What `convpipe explain` ends with."""
    return str(cp.explain(run, at=at)).splitlines()[-1]


def numbers(shown: list[list[str]]) -> list[list[int]]:
    """The whole numbers of a table, with those in brackets."""
    return [[int(text.strip("()")) for text in row] for row in shown]


# What it says


def test_the_lecture_s_cells_are_told_as_explain_tells_them(lectures: Any, page_of: OpenPage) -> None:
    run, html = lectures["lecture_3d"]
    page = page_of(html)
    cell(page, "map", 0, 0).hover()
    assert live(page) == "-1 + -2 + -6 = -9, as stored"
    assert page.locator(".channels p").all_text_contents() == ["sum: -1", "sum: -2", "sum: -6"]
    assert "the archive holds this very value (int16)" in page.text_content(".arithmetic")
    told = page.evaluate(WALK, ".map")
    assert told == [
        [f"n=0, f=0, out_h={y}, out_w={x}", last_line(run, (0, 0, y, x))] for y in range(2) for x in range(2)
    ]


def test_every_cell_of_lecture_4d_is(lectures: Any, page_of: OpenPage) -> None:
    run, html = lectures["lecture_4d"]
    page = page_of(html)
    told = dict(page.evaluate(WALK, ".product"))
    wanted = {
        f"n=0, f={f}, out_h={y}, out_w={x}": last_line(run, (0, f, y, x))
        for f in range(6)
        for y in range(5)
        for x in range(5)
    }
    assert told == wanted
    cell(page, "product", 7, 0).hover()
    assert page.text_content(".arithmetic code") == repr(float(run.output[0, 1, 2, 0]))
    assert page.text_content(".arithmetic code").startswith("8.9080421635309")  # the last digits are BLAS's


@pytest.mark.parametrize("seed", range(8))
def test_cells_of_any_geometry_are(seed: int, tmp_path: Path, page_of: OpenPage) -> None:
    run, html = a_page(tmp_path / "c", any_geometry(seed))
    page = page_of(html)
    told = page.evaluate(WALK, ".product")
    places = np.ndindex(run.output.shape)
    wanted = [last_line(run, (n, f, *at)) for n, *at, f in places]
    assert [line for _, line in told] == wanted
    [columns] = page.evaluate(SHOWN, ".columns table.grid")
    assert numbers(columns) == run.array("im2col").tolist()
    [matrix] = page.evaluate(SHOWN, ".matrix table.grid")
    assert numbers(matrix) == run.array("fil2col").T.tolist()
    [product] = page.evaluate(SHOWN, ".product table.grid")
    assert numbers(product) == run.array("matmul").tolist()


def test_more_channels_than_are_told_are_summed(tmp_path: Path, page_of: OpenPage) -> None:
    run, html = a_page(tmp_path / "c", {"input.shape": [1, 20, 3, 3], "filters.count": 1})
    page = page_of(html)
    assert live(page) == last_line(run, (0, 0, 0, 0))
    assert "(the other channels)" in live(page)
    assert page.locator(".channels figure").count() == 16
    assert page.locator(".padded table.grid").count() == 8
    assert "8 of 20 channels are drawn" in page.text_content(".padded")


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
def test_what_did_not_fit_is_told(overflow: str, tmp_path: Path, page_of: OpenPage) -> None:
    changes = {"conv.dtype": "int8", "conv.overflow": overflow, "input.low": -100, "input.high": 100}
    run, html = a_page(tmp_path / "c", changes)
    told = page_of(html).evaluate(WALK, ".map")
    wanted = [last_line(run, (0, 0, *at)) for at in np.ndindex(run.output.shape[1:3])]
    assert [line for _, line in told] == wanted
    assert any(f"overflow={overflow}" in line for line in wanted)


def test_floats_of_each_dtype_are_told(tmp_path: Path, page_of: OpenPage) -> None:
    for dtype in ("float16", "float32", "float64"):
        changes = {"input.source": "random", "filters.source": "random", "input.dtype": dtype, "filters.dtype": dtype}
        changes |= {"input.low": -1, "input.high": 1, "filters.low": -1, "filters.high": 1}
        run, html = a_page(tmp_path / dtype, changes)
        told = page_of(html).evaluate(WALK, ".map")
        assert [line for _, line in told] == [last_line(run, (0, 0, *at)) for at in np.ndindex(run.output.shape[1:3])]


BIAS = {"source": "integers", "dtype": "int16", "low": 1, "high": 9}
AFTER = {
    "a bias and two that change it": ["add_bias", {"clip": {"low": -5}}, "reshape", "relu"],
    "a bias after one that changes it": [{"clip": {"low": -5, "high": 20}}, "add_bias", "reshape"],
    "one after the map, laid out otherwise": ["add_bias", "reshape", "transpose", "relu"],
}


@pytest.mark.parametrize("stages", AFTER.values(), ids=AFTER)
def test_stages_after_the_sums_go_on_as_explain_does(stages: list[Any], tmp_path: Path, page_of: OpenPage) -> None:
    changes = {"lowering.stages": ["pad", "im2col", "fil2col", "matmul", *stages], "bias": BIAS}
    run, html = a_page(tmp_path / "c", changes)
    page = page_of(html)
    n, f, height, width = 1, 3, 6, 5
    assert run.array("matmul").shape == (n * height * width, f)
    for row, column in ((0, 0), (7, 1), (13, 2), (29, 2)):
        cell(page, "product", row, column).hover()
        shown = page.locator(".arithmetic .wide > p").all_text_contents()
        told = str(cp.explain(run, at=(0, column, *divmod(row, width)))).splitlines()
        later = told[len(told) - told[::-1].index("") :]  # what stands below the last empty line
        assert shown[0] == live(page) == told[-len(later) - 2]
        assert shown[2:] == [line.rpartition(", ")[0] for line in later]
    [product] = page.evaluate(SHOWN, ".product table.grid")
    assert numbers(product) == run.array("matmul").tolist()


def test_a_bias_of_its_own_stage_counts_as_explain_has_it(tmp_path: Path, page_of: OpenPage) -> None:
    stages = ["pad", "im2col", "fil2col", "matmul", "add_bias", "reshape"]
    run, html = a_page(tmp_path / "c", {"lowering.stages": stages, "bias": BIAS})
    page = page_of(html)
    told = page.evaluate(WALK, ".map")
    assert [line for _, line in told] == [last_line(run, (0, 0, *at)) for at in np.ndindex(run.output.shape[1:3])]
    [product] = page.evaluate(SHOWN, ".product table.grid")
    assert numbers(product) == run.array("matmul").tolist()


def test_columns_that_were_not_made_are_shown_and_said_so(tmp_path: Path, page_of: OpenPage) -> None:
    run, html = a_page(tmp_path / "c", {"lowering.stages": ["pad", "implicit_gemm"]})
    page = page_of(html)
    assert "never made this column matrix" in page.text_content(".scheme .legend")
    other, _ = a_page(tmp_path / "d")
    [columns] = page.evaluate(SHOWN, ".columns table.grid")
    assert numbers(columns) == other.array("im2col").tolist()
    assert live(page) == last_line(run, (0, 0, 0, 0))


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_chain_that_ends_early_shows_what_is_there(count: int, tmp_path: Path, page_of: OpenPage) -> None:
    run, html = a_page(tmp_path / "c", {"lowering.stages": ["pad", "im2col", "fil2col", "matmul"][:count]})
    page = page_of(html)
    parts = {part: page.locator(f".{part} table.grid").count() for part in ("padded", "filters", "map", "product")}
    assert parts == {"padded": 2, "filters": 2 if count > 2 else 0, "map": 0, "product": 1 if count > 2 else 0}
    if count > 1:
        [columns] = page.evaluate(SHOWN, ".columns table.grid")
        assert numbers(columns) == run.array("im2col").tolist()


@pytest.mark.parametrize("place", [1, 2])
def test_windows_that_a_stage_changed_are_not_told_as_the_padded_input_s(
    place: int, tmp_path: Path, page_of: OpenPage
) -> None:
    stages = ["pad", "im2col", "fil2col", "matmul", "reshape"]
    run, html = a_page(tmp_path / "c", {"lowering.stages": [*stages[:place], "relu", *stages[place:]]})
    page = page_of(html)
    if place == 1:  # what is unfolded is shown
        [columns] = page.evaluate(SHOWN, ".columns table.grid")
        assert numbers(columns) == run.array("im2col").tolist()
        assert min(map(min, numbers(columns))) == 0
    else:
        assert page.locator("#convolution").count() == 0


def test_heads_say_what_a_row_and_a_column_are(lectures: Any, page_of: OpenPage) -> None:
    page = page_of(lectures["lecture_4d"][1])
    rows = [[str(5 * y + x), f"0,{y},{x}"] for y in range(5) for x in range(5)]
    taps = [f"{i},{j}" for i in range(3) for j in range(3)]
    weights = [[str(9 * c + k), f"{c},{tap}"] for c in range(3) for k, tap in enumerate(taps)]
    for part, heads in (("columns", rows), ("product", rows), ("matrix", weights)):
        found = page.locator(f".{part} tbody th").all_text_contents()
        assert [found[at : at + 2] for at in range(0, len(found), 2)] == heads
    assert page.locator(".columns thead tr").nth(0).locator("th").all_text_contents() == ["c=0", "c=1", "c=2"]
    assert page.locator(".columns thead tr").nth(1).locator("th").all_text_contents() == taps * 3
    assert page.locator(".columns thead tr").nth(2).locator("th").all_text_contents() == [str(k) for k in range(27)]
    ruled = page.locator(".columns tbody tr").first.locator("td.rule")
    assert [int(ruled.nth(at).evaluate("cell => cell.cellIndex")) - 2 for at in range(ruled.count())] == [8, 17, 26]
    assert page.locator(".matrix tbody tr.rule").count() == 3


def test_padding_stands_in_brackets_and_is_hatched(tmp_path: Path, page_of: OpenPage) -> None:
    changes = {"input.shape": [1, 1, 4, 4], "filters.count": 1, "conv.pad": [[1, 0], [2, 1]], "conv.pad_mode": "edge"}
    _, html = a_page(tmp_path / "c", changes)
    page = page_of(html)
    outside = np.pad(np.zeros((4, 4), bool), [(1, 0), (2, 1)], constant_values=True)
    windows = np.lib.stride_tricks.sliding_window_view(outside, (2, 2)).reshape(-1, 4)
    for part, mask in (("padded", outside), ("columns", windows)):
        [shown] = page.evaluate(SHOWN, f".{part} table.grid")
        assert [[text.startswith("(") and text.endswith(")") for text in row] for row in shown] == mask.tolist()
        assert page.locator(f".{part} td.padding").count() == mask.sum()
    assert "repeating-linear-gradient" in page.locator(".padded td.padding").first.evaluate(
        "cell => getComputedStyle(cell).backgroundImage"
    )
    cell(page, "columns", 0, 0).hover()
    assert page.locator(".block.window td.padding").count() == 0
    cell(page, "map", 0, 0).hover()
    assert page.locator(".block.window td.padding").count() == windows[0].sum()


# Copies


def test_a_pixel_of_lecture_4d_has_nine_copies_and_one_at_the_corner_four(lectures: Any, page_of: OpenPage) -> None:
    page = page_of(lectures["lecture_4d"][1])
    for row, column, copies in ((3, 3, 9), (1, 1, 4), (1, 3, 6), (0, 0, 1)):
        cell(page, "padded", row, column, table=1).hover()
        assert f": copied {copies}{chr(0xD7)} into the column matrix" in live(page)
        assert live(page).startswith("padding" if row == 0 else "pixel")
        assert marked(page, "columns", "window") == copies
        assert marked(page, "map", "feeds") == marked(page, "product", "feeds") == copies
        assert marked(page, "filters", "weight") == marked(page, "matrix", "weight") == copies
        assert page.locator(".copies tbody tr").count() == copies


def test_an_entry_of_the_column_matrix_is_its_pixel(lectures: Any, page_of: OpenPage) -> None:
    page = page_of(lectures["lecture_4d"][1])
    cell(page, "columns", 12, 13).hover()
    assert where(page) == "n=0, c=1, y=3, x=3"
    assert marked(page, "columns", "window") == 9
    assert marked(page, "columns", "chosen") == 1
    assert page.locator(".padded table.grid td.chosen").count() == 1


def test_a_weight_shows_its_column(lectures: Any, page_of: OpenPage) -> None:
    page = page_of(lectures["lecture_4d"][1])
    cell(page, "filters", 1, 2, table=2).hover()
    assert where(page) == "f=0, c=2, i=1, j=2"
    assert "meets column k=23" in live(page)
    assert marked(page, "columns", "window") == 25
    cell(page, "matrix", 23, 0).hover()
    assert where(page) == "f=0, c=2, i=1, j=2"


# Moving


def test_a_click_pins_and_esc_frees(lectures: Any, page_of: OpenPage) -> None:
    page = page_of(lectures["lecture_4d"][1])
    cell(page, "map", 1, 2).click()
    pinned = live(page)
    cell(page, "map", 4, 4).hover()
    cell(page, "padded", 3, 3).hover()
    assert live(page) == pinned
    page.keyboard.press("Escape")
    cell(page, "map", 4, 4).hover()
    assert where(page) == "n=0, f=0, out_h=4, out_w=4"
    cell(page, "map", 4, 4).click()
    cell(page, "map", 4, 4).click()  # a second click frees, too
    cell(page, "map", 0, 0).hover()
    assert where(page) == "n=0, f=0, out_h=0, out_w=0"


def test_arrow_keys_move_and_a_grid_is_one_tab_stop(lectures: Any, page_of: OpenPage) -> None:
    page = page_of(lectures["lecture_4d"][1])
    assert page.evaluate(
        "[...document.querySelectorAll('table.grid')].every(t => t.querySelectorAll('[tabindex]').length === 1)"
    )
    cell(page, "map", 1, 2).click()
    for key, place in (
        ("ArrowRight", (1, 3)),
        ("ArrowDown", (2, 3)),
        ("ArrowLeft", (2, 2)),
        ("ArrowUp", (1, 2)),
        ("Home", (1, 0)),
        ("ArrowLeft", (1, 0)),
        ("End", (1, 4)),
    ):
        page.keyboard.press(key)
        assert where(page) == f"n=0, f=0, out_h={place[0]}, out_w={place[1]}"
    assert page.get_attribute("#convolution", "data-pinned") == "yes"
    page.keyboard.press("Enter")
    assert page.get_attribute("#convolution", "data-pinned") == "no"
    assert page.evaluate(
        "[...document.querySelectorAll('table.grid')].every(t => t.querySelectorAll('[tabindex]').length === 1)"
    )


def test_steps_walk_the_window_over_the_map(lectures: Any, page_of: OpenPage) -> None:
    page = page_of(lectures["lecture_3d"][1])
    seen = []
    for _ in range(5):
        seen.append(where(page)[10:])
        page.get_by_role("button", name="next").click()
    assert seen == [f"out_h={y}, out_w={x}" for y, x in ((0, 0), (0, 1), (1, 0), (1, 1), (0, 0))]
    page.get_by_role("button", name="previous").click()
    page.get_by_role("button", name="previous").click()
    assert where(page).endswith("out_h=1, out_w=1")
    page.get_by_role("button", name="walk").click()
    page.locator(".where", has_text="out_h=0, out_w=1").wait_for()
    page.get_by_role("button", name="stop").click()
    assert page.get_by_role("button", name="walk").count() == 1


def test_tabs_choose_the_filter_and_keep_their_focus(lectures: Any, page_of: OpenPage) -> None:
    run, html = lectures["lecture_4d"]
    page = page_of(html)
    cell(page, "map", 2, 1).click()
    page.get_by_role("button", name="3", exact=True).click()
    assert live(page) == last_line(run, (0, 3, 2, 1))
    assert page.evaluate("document.activeElement.textContent") == "3"
    assert page.get_by_role("button", name="3", exact=True).get_attribute("aria-pressed") == "true"
    assert page.text_content(".map figcaption") == "n=0, f=3"
    [shown] = page.evaluate(SHOWN, ".map table.grid")
    np.testing.assert_allclose(np.array(shown, float), run.output[0, ..., 3], atol=0.0006)
    kernels = page.evaluate(SHOWN, ".filters table.grid")
    np.testing.assert_allclose(np.array(kernels, float), run.array("filters")[3], atol=0.0006)


def test_the_box_keeps_its_height(lectures: Any, page_of: OpenPage) -> None:
    for name in lectures:
        page = page_of(lectures[name][1])
        heights = page.evaluate(
            """() => [...document.querySelectorAll('.map td, .padded td')].map(cell => {
              cell.dispatchEvent(new PointerEvent('pointerover', {bubbles: true}));
              return document.querySelector('.arithmetic').offsetHeight; })"""
        )
        assert len(heights) > 4
        assert len(set(heights)) == 1


def test_a_cell_that_was_asked_for_is_pinned(tmp_path: Path, page_of: OpenPage) -> None:
    run, html = a_page(tmp_path / "c", at=(0, 2, 3, 1))
    page = page_of(html)
    assert where(page) == "n=0, f=2, out_h=3, out_w=1"
    assert live(page) == last_line(run, (0, 2, 3, 1))
    assert page.get_attribute("#convolution", "data-pinned") == "yes"
    cell(page, "map", 0, 0).hover()
    assert where(page) == "n=0, f=2, out_h=3, out_w=1"


# Large ones


def test_grids_too_large_for_tables_are_drawn(tmp_path: Path, page_of: OpenPage) -> None:
    changes = {"input.shape": [2, 4, 30, 40], "filters.kernel": [3, 3], "filters.count": 12}
    run, html = a_page(tmp_path / "c", changes)
    page = page_of(html)
    assert page.locator("table.grid td").count() <= 5_000
    drawn = page.locator(".columns .canvas-grid")
    edge = drawn.bounding_box()
    drawn.hover(position={"x": edge["width"] / 2, "y": 90})
    assert where(page).startswith("n=0, c=")
    page.locator(".product .canvas-grid").hover(position={"x": 130, "y": 60 + 22 * 5 + 11})
    assert where(page) == "n=0, f=0, out_h=0, out_w=5"
    assert live(page) == last_line(run, (0, 0, 0, 5))
    page.locator(".product .canvas-grid").click(position={"x": 130, "y": 60 + 22 * 5 + 11})
    for key in ("ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    assert live(page) == last_line(run, (0, 1, 0, 6))
    assert page.evaluate(
        "document.querySelector('.columns canvas').getContext('2d').getImageData(200, 100, 1, 1).data[3]"
    ) in range(256)


def test_a_part_of_a_large_one_says_which(tmp_path: Path, page_of: OpenPage) -> None:
    changes = {"input.shape": [1, 3, 120, 160], "filters.kernel": [3, 3], "filters.count": 10}
    run, html = a_page(tmp_path / "c", changes, at=(0, 7, 60, 80), limit=150_000)
    assert len(html) <= 150_000
    page = page_of(html)
    assert "n 0..0, f 2..9, out_h 54..65, out_w 74..85" in page.text_content("#convolution")
    assert live(page) == last_line(run, (0, 7, 60, 80))
    page.keyboard.press("Escape")
    told = page.evaluate(WALK, ".map")
    wanted = [last_line(run, (0, 7, y, x)) for y in range(54, 66) for x in range(74, 86)]
    assert [line for _, line in told] == wanted
    assert page.locator(".map tbody th").all_text_contents() == [str(y) for y in range(54, 66)]
    heads = page.locator(".product tbody tr").first.locator("th").all_text_contents()
    assert heads == [str(54 * 160 + 74), "0,54,74"]
    assert page.locator(".product thead th").all_text_contents() == [str(f) for f in range(2, 10)]


def test_convolutions_of_a_network_are_chosen(page_of: OpenPage) -> None:
    run = cp.run("experiment=tiny", archive=False)
    html = run_page(run, Asked())
    page = page_of(html)
    layers = page.locator(".choice").first.locator("button, option").all_text_contents()
    assert len(layers) > 1
    for layer in layers[1:]:
        page.locator(".choice").first.get_by_role("button", name=layer).click()
        page.locator(".choice button:focus", has_text=layer).wait_for()
        assert live(page) == str(cp.explain(run, at=(0, 0, 0, 0), layer=layer)).splitlines()[-1]


# For everybody


@pytest.fixture(scope="module")
def barred(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Small pages with all that there is: padding, groups, a bias, tabs, later stages, drawn grids."""
    folder = tmp_path_factory.mktemp("pages")
    grouped = {"input.shape": [2, 2, 3, 3], "filters.count": 2, "conv.groups": 2, "bias": BIAS}
    stages = {"lowering.stages": ["pad", "im2col", "fil2col", "matmul", "reshape", "relu"]}
    drawn = {"input.shape": [1, 1, 30, 72], "filters.count": 1, "filters.kernel": [1, 1], "conv.pad": 0}
    return [a_page(folder, changes)[1] for changes in (grouped | stages, drawn)]


@pytest.mark.parametrize("dark", [False, True])
def test_nothing_bars_anyone(dark: bool, barred: list[bytes], page_of: OpenPage) -> None:
    for html in barred:
        page = page_of(html, dark=dark)
        grid = page.locator(".padded .canvas-grid, .padded table.grid td:not(.corner)").first
        grid.click(position={"x": 60, "y": 40} if grid.get_attribute("role") == "application" else None)
        assert where(page).startswith("n=0, c=0")
        assert findings(page) == []


@pytest.mark.parametrize("width", [390, 800])
def test_a_phone_scrolls_no_page_sideways(width: int, lectures: Any, page_of: OpenPage, tmp_path: Path) -> None:
    large = a_page(tmp_path / "c", {"input.shape": [2, 4, 30, 40], "filters.count": 12})[1]
    for html in (lectures["lecture_4d"][1], large):
        page = page_of(html, width=width)
        assert not scrolls_sideways(page)
        page.get_by_role("button", name="한국어").click()
        assert not scrolls_sideways(page)


def test_a_phone_has_no_text_that_keys_cannot_scroll(lectures: Any, page_of: OpenPage) -> None:
    page = page_of(lectures["lecture_4d"][1], width=390)
    page.locator(".padded table.grid tbody td").nth(9).click()
    assert page.locator(".bar p").get_attribute("tabindex") == "0"
    assert findings(page) == []


def test_it_speaks_korean(lectures: Any, page_of: OpenPage) -> None:
    page = page_of(lectures["lecture_3d"][1])
    cell(page, "padded", 0, 0).click()
    page.get_by_role("button", name="한국어").click()
    text = page.text_content("#convolution")
    for term in ("필터", "채널", "특성 맵", "열 행렬", "필터 행렬", "행렬곱", "보폭(stride)"):
        assert term in text
    assert "복사" in live(page)
    assert "out_h" in text
    page.get_by_role("button", name="English").click()
    assert "into the column matrix" in live(page)


def test_the_pinned_cell_is_printed(lectures: Any, page_of: OpenPage) -> None:
    run, html = lectures["lecture_4d"]
    page = page_of(html)
    cell(page, "map", 1, 2).click()
    page.emulate_media(media="print")
    assert page.locator(".walker").is_hidden()
    assert page.locator(".arithmetic").is_visible()
    assert page.locator(".map td.chosen").is_visible()
    assert live(page) == last_line(run, (0, 0, 1, 2))


def test_names_of_channels_and_maps_stand_in_it_and_run_nothing(tmp_path: Path, page_of: OpenPage) -> None:
    bad = "</script><img src=x onerror=alert(1)>"
    run, _ = a_page(tmp_path / "c")
    names = {"input": ["red", bad], "feature_map": [f"{bad}{f}" for f in range(3)]}  # which no archive could have
    page = page_of(run_page(replace(run, manifest=run.manifest | {"names": names}), Asked()))
    assert page.locator("img").count() == 0
    captions = page.locator("figcaption").all_text_contents()
    assert f"channel 1 {bad}" in captions
    assert f"n=0, f=0 {bad}0" in captions
    page.get_by_role("button", name=f"2 {bad}2").click()
    assert page.text_content(".map figcaption") == f"n=0, f=2 {bad}2"


# Figures


def test_the_lecture_s_page_is_small(lectures: Any) -> None:
    assert len(lectures["lecture_4d"][1]) <= MOST_BYTES
