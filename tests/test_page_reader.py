"""What readers of convolution pages had to guess is said on it: letters, a weight's block, stages, paper, phones."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import numpy as np
import pytest

import convpipe as cp
from convpipe.report.page.asked import Asked
from convpipe.report.page.run_page import run_page

OpenPage = Callable[..., Any]

TIMES, MINUS = chr(0xD7), chr(0x2212)
PAPER = 718  # px of A4 between usual margins


@pytest.fixture(scope="module")
def pages() -> dict[str, bytes]:
    """Pages of the lecture's runs."""
    names = ("lecture_3d", "lecture_4d", "lecture_im2col")
    return {name: run_page(cp.run(f"experiment={name}", archive=False), Asked()) for name in names}


def box(page: Any, look: str) -> dict[str, float]:
    """Where an element stands in the window."""
    return dict(page.locator(look).first.bounding_box())


def block(page: Any, look: str) -> list[list[str]]:
    """The numbers of a block of the calculation."""
    rows = page.locator(f".arithmetic .block.{look} tr").all()
    return [[text.strip() for text in row.locator("td").all_text_contents()] for row in rows]


def test_letters_are_explained_above_the_grids(pages: Any, page_of: OpenPage) -> None:
    page = page_of(pages["lecture_4d"])
    told = page.text_content("#convolution > .legend")
    for letter in ("n", "c", "f", "y, x", "i, j", "out_h=, out_w="):
        assert f"{letter}: " in told
    assert "r: row, k: column of the column matrix" in told
    assert "pixel (0, 0) stands at (1, 1)" in told
    assert page.locator("#convolution > .legend .swatch").count() == 6
    assert box(page, "#convolution > .legend")["y"] < box(page, ".padded")["y"]


def test_arrow_keys_walk_the_outputs_at_once(pages: Any, page_of: OpenPage) -> None:
    page = page_of(pages["lecture_3d"])
    seen = []
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
        seen.append(page.text_content(".where"))
    assert seen == ["n=0, f=0, out_h=0, out_w=1", "n=0, f=0, out_h=1, out_w=0", "n=0, f=0, out_h=0, out_w=1"]
    assert page.text_content(".boxHead").endswith("kept")


@pytest.mark.parametrize(("i", "j"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_a_weight_shows_the_lecture_s_block(i: int, j: int, pages: Any, page_of: OpenPage) -> None:
    page = page_of(pages["lecture_im2col"])
    page.locator(".filters td:not(.corner)").nth(2 * i + j).hover()
    image = np.arange(1, 10).reshape(3, 3)
    met = image[i : i + 2, j : j + 2]  # the lecture prints these four
    weight = int(page.locator(".filters td:not(.corner)").nth(2 * i + j).text_content())
    assert np.array(block(page, "window"), float).tolist() == met.tolist()
    assert np.array(block(page, "added"), float).tolist() == (met * weight).tolist()
    told = page.text_content(".arithmetic")
    assert f"col[:, :, {i}, {j}, :, :]" in told
    assert "transpose(0, 4, 5, 1, 2, 3)" in told
    assert page.locator(".map td.feeds").count() == page.locator(".product td.feeds").count() == 4


def test_one_channel_adds_its_products(pages: Any, page_of: OpenPage) -> None:
    page = page_of(pages["lecture_im2col"])
    assert page.locator(".channels p").all_text_contents() == ["sum: 1 + 4 + 12 + 20 = 37"]


def test_the_formula_shows_the_padding(pages: Any, page_of: OpenPage) -> None:
    told = page_of(pages["lecture_4d"]).text_content("#convolution")
    assert "out_h = (5 + 2·1 - 3) // 1 + 1 = 5" in told.replace(MINUS, "-")
    assert "(6, 27), a row for each filter" in told
    assert "(25, 27) · (27, 6) = (25, 6)" in told
    assert "outputs * weights of a filter * filters = 25 * 27 * 6 = 4050" in told.replace(TIMES, "*")


def test_captions_name_their_stages(pages: Any, page_of: OpenPage) -> None:
    page = page_of(pages["lecture_3d"])
    captions = [".columns figcaption", ".matrix figcaption", ".product figcaption"]
    told = [page.text_content(each) for each in captions]
    assert told == ["Column matrix (im2col)", "Filter matrix, transposed (fil2col.T)", "Matrix product (matmul)"]
    page.get_by_role("button", name="한국어").click()
    told = [page.text_content(each) for each in captions]
    assert told == ["열 행렬 (im2col)", "필터 행렬 (전치) (fil2col.T)", "행렬곱 (matmul)"]


STAGES = {"pad": ".padded", "im2col": ".columns", "fil2col": ".matrix", "matmul": ".product", "reshape": ".map"}


@pytest.mark.parametrize(("stage", "look"), STAGES.items())
def test_a_stage_leads_to_its_grid(stage: str, look: str, pages: Any, page_of: OpenPage) -> None:
    page = page_of(pages["lecture_4d"], reduced_motion="reduce")
    assert box(page, "#stages")["y"] > 900
    page.get_by_role("button", name=stage, exact=True).click()
    seen = "look => { const {top, bottom} = document.querySelector(look).getBoundingClientRect();"
    page.wait_for_function(
        seen + " return Math.abs((top + bottom) / 2 - innerHeight / 2) < 120 || scrollY === 0; }", arg=look
    )
    assert 0 <= box(page, look)["y"] + box(page, look)["height"] / 2 <= 900


def test_a_padded_pixel_is_named_in_the_image_too(pages: Any, page_of: OpenPage) -> None:
    page = page_of(pages["lecture_4d"])
    cells = page.locator(".padded table.grid").first.locator("tbody tr")
    cells.nth(1).locator("td").nth(2).hover()
    assert page.text_content(".where") == "n=0, c=0, y=1, x=2"
    assert "In the image without padding: y=0, x=1" in page.text_content(".arithmetic")
    cells.nth(0).locator("td").nth(0).hover()
    assert "without padding" not in page.text_content(".arithmetic")


def test_a_phone_shows_whole_sentences(pages: Any, page_of: OpenPage) -> None:
    page = page_of(pages["lecture_4d"], width=390)
    for look in (".arithmetic .total", ".live", ".where"):
        edge = box(page, look)
        assert edge["x"] >= 0
        assert edge["x"] + edge["width"] <= 390
    assert page.evaluate("(({scrollWidth, clientWidth}) => scrollWidth <= clientWidth)(document.querySelector('.bar'))")
    assert box(page, ".columns")["width"] > 340


def test_paper_holds_all_columns(pages: Any, page_of: OpenPage) -> None:
    page = page_of(pages["lecture_4d"], width=PAPER)
    shown = page.locator(".columns .wide tbody td").all_text_contents()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    tables = page.locator(".columns .paper table")
    assert tables.count() == 3
    assert page.locator(".columns .wide").is_hidden()
    rows = [
        [
            text
            for table in tables.all()
            for text in table.locator("tbody tr").nth(row).locator("td").all_text_contents()
        ]
        for row in (0, 12, 24)
    ]
    assert rows == [shown[row * 27 : row * 27 + 27] for row in (0, 12, 24)]
    assert page.locator(".paper td.window").count() == 27
    edges = page.evaluate("[...document.querySelectorAll('table')].map(each => each.getBoundingClientRect().right)")
    assert max(edges) <= PAPER
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator(".paper").count() == 0


def test_no_korean_particle_follows_a_number() -> None:
    """는/은, 와/과, 로/으로 depend on how the number before them is read."""
    said = json.loads(files("convpipe.report.page").joinpath("words", "convolution.json").read_text("utf-8"))
    found = [each["ko"] for each in said.values() if re.search(r"\}(은|는|이|가|을|를|와|과|로|으로)\b", each["ko"])]
    assert found == []
    assert "출력 {count}개 각각에서 픽셀 하나와 곱해집니다" in said["weightMeaning"]["ko"]
