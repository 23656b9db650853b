"""The network view in a real browser: its pictures are the archive's numbers, its cells are told as by explain."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import findings, scrolls_sideways
from network_cases import CLASSES
from network_pages import BRANCHES, a_network, with_room
from run_cases import a_place, a_run, execute, network_spec

import convpipe as cp
from convpipe.archive.read import Run
from convpipe.report.page.asked import Asked
from convpipe.report.page.run_page import run_page

OpenPage = Callable[..., Any]


@pytest.fixture(scope="module")
def branched(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return a_network(BRANCHES, tmp_path_factory.mktemp("seen"))


@pytest.fixture(scope="module")
def page_bytes(branched: Run) -> bytes:
    return run_page(branched, Asked())


def times(*sizes: int) -> str:
    return "\N{MULTIPLICATION SIGN}".join(map(str, sizes))


def choose(page: Any, name: str) -> None:
    """Choose a layer in the graph."""
    page.locator(f"[data-node={name}]").click()
    page.wait_for_function("name => document.querySelector('.layer-panel h3').textContent === name", arg=name)


def point(page: Any, keys: Sequence[str]) -> None:
    """Go to a cell by keys: the first key goes to the first cell."""
    page.locator(".layer-panel .maps").first.focus()
    for key in keys:
        page.keyboard.press(key)


def story(page: Any) -> str:
    return str(page.text_content(".story"))


def own_figures(page: Any) -> Any:
    """The maps of the chosen layer, without those that it has read."""
    return page.locator(".beside > div:first-child figure.map")


def pixels(page: Any, at: int) -> np.ndarray[Any, Any]:
    """The colours of one map, (height, width, 3)."""
    canvas = own_figures(page).nth(at).locator("canvas")
    shape, flat = canvas.evaluate(
        "c => [[c.height, c.width], [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]]"
    )
    return np.array(flat).reshape(*shape, 4)[..., :3]


def red_white_blue(plane: np.ndarray[Any, Any], most: float) -> np.ndarray[Any, Any]:
    """The colours of signed numbers, worked out here."""
    ends = np.where(plane[..., None] < 0, np.array([178, 24, 43]), np.array([33, 102, 172]))
    return np.floor(255 + (ends - 255) * (np.abs(plane) / most)[..., None] + 0.5)


# The graph and its maps


def test_a_layer_that_is_clicked_shows_its_maps_in_one_scale(
    branched: Run, page_bytes: bytes, page_of: OpenPage
) -> None:
    page = page_of(page_bytes)
    choose(page, "add")
    made = branched["add"]
    assert own_figures(page).count() == made.shape[1]
    for at, plane in enumerate(made[0]):
        np.testing.assert_allclose(pixels(page, at), red_white_blue(plane, np.abs(made).max()), atol=1)
    assert page.text_content(".legend .range") == f"{made.min()} … {made.max()}"
    assert page.text_content(".shape") == f"add: {times(2, 4, 6, 6)} (N=2, C=4, H=6, W=6), int32"


def test_what_is_not_signed_is_grey(branched: Run, page_bytes: bytes, page_of: OpenPage) -> None:
    page = page_of(page_bytes)
    choose(page, "relu1")
    made = branched["relu1"]
    grey = np.floor(255 * (made[0] / made.max()) + 0.5)
    for at, plane in enumerate(grey):
        np.testing.assert_allclose(pixels(page, at), np.repeat(plane[..., None], 3, 2), atol=1)


def test_each_map_can_have_its_own_scale(branched: Run, page_bytes: bytes, page_of: OpenPage) -> None:
    page = page_of(page_bytes)
    choose(page, "add")
    page.get_by_label("each map by its own scale").check()
    for at, plane in enumerate(branched["add"][0]):
        np.testing.assert_allclose(pixels(page, at), red_white_blue(plane, np.abs(plane).max()), atol=1)
        assert (
            own_figures(page).nth(at).locator("figcaption").text_content() == f"c={at}: {plane.min()} … {plane.max()}"
        )


def test_named_filters_of_a_picture_have_scales_of_their_own(tmp_path: Path, page_of: OpenPage) -> None:
    filters = {"source": "classic", "names": ["sobel_x", "gaussian"], "channels": "sum"}
    changes = {"input.shape": [1, 1, 30, 40], "filters": filters, "conv.pad": 1}
    page = page_of(run_page(a_run(tmp_path / "c", changes), Asked()))
    captions = page.locator(".layer-panel figcaption").all_text_contents()
    assert [re.sub(r": .*", "", text) for text in captions] == ["f=0 sobel_x", "f=1 gaussian"]
    page.get_by_label("each map by its own scale").uncheck()
    page.wait_for_function("() => document.querySelector('.layer-panel figcaption').textContent === 'f=0 sobel_x'")


def test_another_image_has_its_own_maps(branched: Run, page_bytes: bytes, page_of: OpenPage) -> None:
    page = page_of(page_bytes)
    choose(page, "conv1")
    page.locator(".images").get_by_role("button", name="n=1").click()
    made = branched["conv1/transpose"]
    page.wait_for_selector(".images [aria-pressed=true]:text('n=1')")
    np.testing.assert_allclose(pixels(page, 3), red_white_blue(made[1, 3], np.abs(made).max()), atol=1)


def test_maps_are_enlarged_by_a_whole_number_without_smoothing(page_bytes: bytes, page_of: OpenPage) -> None:
    page = page_of(page_bytes)
    choose(page, "relu1")
    canvas = own_figures(page).first.locator("canvas")
    sizes = canvas.evaluate("c => [c.width, c.getBoundingClientRect().width, getComputedStyle(c).imageRendering]")
    assert sizes == [6, 6 * 28, "pixelated"]
    assert own_figures(page).first.locator(".numbers text").count() == 36


def test_an_input_of_colours_is_shown_in_colour(tmp_path: Path, page_of: OpenPage) -> None:
    source = {"input.dtype": "uint8", "input.low": 0, "input.high": 256}
    layers = {"pool": {"op": "max_pool", "kernel": 2}}
    run = a_network(layers, tmp_path / "c", (1, 3, 4, 4), **source)
    page = page_of(run_page(run, Asked()))
    choose(page, "input")
    np.testing.assert_array_equal(pixels(page, 0), run["input"][0].transpose(1, 2, 0))
    assert own_figures(page).count() == 4


def test_edges_and_boxes_are_all_there(page_bytes: bytes, page_of: OpenPage) -> None:
    page = page_of(page_bytes)
    assert page.locator(".graph [role=option]").count() == len(BRANCHES) + 1
    ends = page.locator(".graph path").evaluate_all("all => all.map(e => [e.dataset.from, e.dataset.to])")
    assert ["relu1", "add"] in ends
    assert ["conv1", "join"] in ends
    assert len(ends) == 11
    assert page.get_attribute("[data-node=up]", "aria-label") == f"up, conv_transpose, {times(2, 2, 12, 12)}"


# How a cell came about


def cell_keys(at: Sequence[int]) -> list[str]:
    """The keys that lead to a cell (n=0, map, y, x) from nowhere."""
    _, map_number, y, x = at
    return ["ArrowRight", *["PageDown"] * map_number, *["ArrowDown"] * y, *["ArrowRight"] * x]


def explained(run: Run, layer: str, at: Sequence[int]) -> str:
    """The last line that explain prints, without its verdict."""
    return str(cp.explain(run, at=at, layer=layer)).splitlines()[-1].rpartition(", as stored")[0]


@pytest.mark.parametrize(
    ("layer", "at"),
    [
        ("relu1", (0, 2, 1, 3)),
        ("add", (0, 3, 5, 5)),
        ("join", (0, 5, 2, 1)),
        ("pool", (0, 1, 2, 2)),
        ("conv1", (0, 1, 0, 0)),
        ("conv2", (0, 2, 3, 3)),
        ("up", (0, 1, 4, 3)),
    ],
)
def test_a_cell_is_told_as_explain_tells_it(
    layer: str, at: tuple[int, ...], branched: Run, page_bytes: bytes, page_of: OpenPage
) -> None:
    page = page_of(page_bytes)
    choose(page, layer)
    point(page, cell_keys(at))
    text = re.sub(r"conv1\[", "conv1/transpose[", explained(branched, layer, at))  # copies name the stage here
    assert story(page) == f"{layer}[{','.join(map(str, at))}] = {text}"


def told_blocks(page: Any) -> str:
    """Where the factors of a sum have met, and its blocks, as explain has them one below the other."""
    return "\n\n".join(page.locator(".told .places, .told pre").all_text_contents())


@pytest.mark.parametrize("unit", [0, 3])
def test_a_unit_is_told_as_explain_tells_it(unit: int, branched: Run, page_bytes: bytes, page_of: OpenPage) -> None:
    page = page_of(page_bytes)
    choose(page, "dense")
    point(page, ["ArrowDown", *["ArrowDown"] * unit])
    whole = str(cp.explain(branched, at=(0, unit), layer="dense"))
    assert story(page) == f"dense[0,{unit}] = {explained(branched, 'dense', (0, unit))}"
    assert told_blocks(page) == whole.split("\n\n", 1)[1].rpartition("\n\n")[0]


@pytest.mark.parametrize(
    ("experiment", "at", "keys"),
    [
        ("transpose", (0, 1, 2, 2), ["ArrowRight", "PageDown", *["ArrowDown", "ArrowRight"] * 2]),
        ("grad_input", (0, 1, 1, 2), ["ArrowRight", "PageDown", "ArrowDown", *["ArrowRight"] * 2]),
        ("grad_weights", (0, 1, 1, 2), ["ArrowRight", "PageDown", "ArrowDown", *["ArrowRight"] * 2]),
        ("grad_bias", (2,), ["ArrowDown"] * 3),
    ],
)
def test_stages_are_also_told_as_the_one_sum_that_they_are(
    experiment: str, at: tuple[int, ...], keys: list[str], page_of: OpenPage
) -> None:
    run = cp.run(f"experiment={experiment}", archive=False)
    page = page_of(run_page(run, Asked()))
    point(page, keys)
    blocks, _, last = str(cp.explain(run, at=at)).partition("\n")[2].rpartition("\n\n")
    assert told_blocks(page) == blocks.strip("\n")
    assert page.locator(".told p").first.text_content().endswith(last.removesuffix(", as stored"))


KINDS: dict[str, dict[str, dict[str, Any]]] = {
    "images": {
        "conv": {"op": "conv", "filters": 4, "kernel": 2, "stride": 2, "pad": "same", "groups": 2},
        "norm": {"op": "batch_norm"},
        "leaky": {"op": "leaky_relu"},
        "lrn": {"op": "local_response_norm", "size": 3},
        "gelu": {"op": "gelu"},
        "average": {"op": "avg_pool", "kernel": 2, "pad": 1, "stride": 1},
        "up": {"op": "upsample", "factor": 2},
        "clip": {"op": "clip", "low": -1, "high": 1},
        "global": {"op": "global_max_pool"},
        "flatten": {"op": "flatten"},
        "dense": {"op": "dense", "units": 40},
        "tanh": {"op": "tanh"},
        "log": {"op": "log_softmax"},
    },
    "lines": {
        "conv": {"op": "conv", "filters": 4, "kernel": 3, "pad": 1, "pad_mode": "reflect"},
        "sigmoid": {"op": "sigmoid"},
        "pool": {"op": "max_pool", "kernel": 2},
        "up": {"op": "conv_transpose", "filters": 2, "kernel": 2, "stride": 2},
    },
    "volumes": {
        "conv": {"op": "conv", "filters": 2, "kernel": 2, "pad": 1},
        "relu": {"op": "relu"},
        "flatten": {"op": "flatten"},
    },
    "rows": {"dense": {"op": "dense", "units": 3}, "softmax": {"op": "softmax"}},
}
SHAPES = {"images": (2, 2, 6, 5), "lines": (2, 3, 8), "volumes": (1, 2, 3, 4, 3), "rows": (2, 7)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_every_kind_of_layer_is_told_as_explain_tells_it(
    kind: str, dtype: str, tmp_path: Path, page_of: OpenPage
) -> None:
    weights = {"source": "integers", "dtype": dtype, "low": 0, "high": 3}
    source = {"source": "random", "shape": [*SHAPES[kind]], "dtype": dtype}
    run = execute(network_spec(KINDS[kind], {"input": source, "weights": weights}), a_place(tmp_path / "c")).run
    page = page_of(run_page(run, Asked()))
    for layer in KINDS[kind]:
        choose(page, layer)
        point(page, ["ArrowRight", "PageDown", "ArrowDown", "ArrowRight"])
        name, _, formula = story(page).partition(" = ")
        at = [int(index) for index in name.removeprefix(f"{layer}[").removesuffix("]").split(",")]
        told = str(cp.explain(run, at=at, layer=layer)).splitlines()[-1]
        expected = re.sub(r"\bconv\[", "conv/transpose[", told.rpartition(" = ")[0])
        assert formula.rpartition(" = ")[0] == expected, layer


def test_what_a_cell_reads_is_marked_in_the_maps_beside_it(page_bytes: bytes, page_of: OpenPage) -> None:
    page = page_of(page_bytes)
    choose(page, "pool")
    point(page, cell_keys((0, 1, 2, 1)))
    assert page.text_content(".source h4") == "read from up"
    assert page.text_content(".source figcaption") == "n=0 f=1"
    marks = page.locator(".source .marks rect").evaluate_all(
        "all => all.map(r => ['x', 'y', 'width', 'height'].map(k => Number(r.getAttribute(k))))"
    )
    assert marks == [[2, 4, 2, 2]]
    assert page.locator(".marks rect.own").count() == 1


def test_the_window_of_a_convolution_is_marked_without_its_padding(page_bytes: bytes, page_of: OpenPage) -> None:
    page = page_of(page_bytes)
    choose(page, "conv1")
    point(page, cell_keys((0, 0, 0, 5)))
    assert page.locator(".source figure").count() == 3
    marks = page.locator(".source .marks rect").evaluate_all(
        "all => all.map(r => ['x', 'y', 'width', 'height'].map(k => Number(r.getAttribute(k))))"
    )
    assert marks == [[4, 0, 2, 2]] * 3


def test_pointing_shows_a_click_pins_and_escape_frees(page_bytes: bytes, page_of: OpenPage) -> None:
    page = page_of(page_bytes)
    choose(page, "relu1")
    picture = own_figures(page).nth(2).locator(".picture")
    picture.hover(position={"x": 28 * 3 + 10, "y": 28 * 4 + 10})
    assert story(page).startswith("relu1[0,2,4,3] = max(0, ")
    picture.click(position={"x": 28 * 3 + 10, "y": 28 * 4 + 10})
    picture.hover(position={"x": 10, "y": 10})
    assert story(page).startswith("relu1[0,2,4,3] = ")
    page.locator(".layer-panel .maps").first.focus()
    page.keyboard.press("Escape")
    assert story(page) == "Point at a cell of a map."
    picture.hover(position={"x": 40, "y": 10})
    assert story(page).startswith("relu1[0,2,0,1] = ")


@pytest.mark.parametrize("width", [1280, 390])
def test_maps_keep_still_while_a_cell_is_told(width: int, page_bytes: bytes, page_of: OpenPage) -> None:
    page = page_of(page_bytes, width)
    choose(page, "conv1")
    picture = own_figures(page).first.locator(".picture")
    picture.scroll_into_view_if_needed()
    before = picture.bounding_box()
    picture.hover(position={"x": 40, "y": 40})
    assert story(page).startswith("conv1[0,0,1,1] = ")
    assert picture.bounding_box() == before
    picture.click(position={"x": 40, "y": 40})
    assert "Pinned" in page.text_content(".place")


def test_maps_have_their_own_ranges_where_that_is_asked_for(page_of: OpenPage) -> None:
    run = cp.run("experiment=transpose", archive=False)
    page = page_of(run_page(run, Asked()))
    page.get_by_label("each map by its own scale").check()
    ranges = [f"f={at}: {plane.min()} … {plane.max()}" for at, plane in enumerate(np.moveaxis(run["crop"][0], -1, 0))]
    assert page.locator(".beside > div:first-child figcaption").all_text_contents() == ranges


def test_a_convolution_s_cell_leads_to_the_convolution_below(
    branched: Run, page_bytes: bytes, page_of: OpenPage
) -> None:
    page = page_of(page_bytes)
    choose(page, "conv2")
    point(page, cell_keys((0, 2, 3, 1)))
    page.get_by_role("button", name="See this convolution cell by cell").click()
    page.wait_for_function("() => document.querySelector('#convolution .where').textContent.includes('f=2')")
    assert "out_h=3, out_w=1" in page.text_content("#convolution .where")
    assert page.text_content("#convolution .live") == explained(branched, "conv2", (0, 2, 3, 1)) + ", as stored"
    choose(page, "relu1")
    assert page.locator("text=See this convolution cell by cell").is_hidden()


@pytest.mark.parametrize(
    ("stage", "shown"),
    [("input", "input"), ("add", "add"), ("up/rows", "up"), ("dense/weights", "dense"), ("relu1", "relu1")],
)
def test_a_row_of_the_stage_table_leads_to_its_layer(
    stage: str, shown: str, page_bytes: bytes, page_of: OpenPage
) -> None:
    page = page_of(page_bytes)
    page.locator("#stages").get_by_role("button", name=stage, exact=True).click()
    page.wait_for_function("name => document.querySelector('.layer-panel h3').textContent === name", arg=shown)


def test_a_row_of_a_convolution_leads_to_it(page_bytes: bytes, page_of: OpenPage) -> None:
    page = page_of(page_bytes)
    page.locator("#stages").get_by_role("button", name="conv2/matmul", exact=True).click()
    page.wait_for_selector("#convolution button[aria-pressed=true]:text('conv2')")


def test_a_page_opens_with_the_cell_that_is_asked_for(branched: Run, page_of: OpenPage) -> None:
    page = page_of(run_page(branched, Asked(at=(1, 3, 2, 4), layer="add")))
    assert story(page) == f"add[1,3,2,4] = {explained(branched, 'add', (1, 3, 2, 4))}"
    assert page.text_content(".images [aria-pressed=true]") == "n=1"


# What is left out


def test_a_thumbnail_has_no_exact_value_and_says_so(branched: Run, tmp_path: Path, page_of: OpenPage) -> None:
    layers = {"conv": {"op": "conv", "filters": 70, "kernel": 3}, "relu": {"op": "relu"}, "flatten": {"op": "flatten"}}
    run = a_network(layers, tmp_path / "c", (1, 3, 60, 60))
    page = page_of(run_page(run, with_room(run, 200_000)))
    choose(page, "relu")
    assert "Thumbnails of 8 bits" in page.text_content(".layer-panel")
    point(page, ["ArrowRight", "ArrowRight"])
    assert story(page) == "The page does not hold the exact value of this cell."
    assert page.locator("main > .note").count() == 2
    page.get_by_role("button", name="한국어").click()
    assert "축소판" in page.text_content(".layer-panel")
    assert all("{" not in text for text in page.locator("main > .note").all_text_contents())


def test_a_sum_whose_weights_are_left_out_says_which(tmp_path: Path, page_of: OpenPage) -> None:
    layers = {"flatten": {"op": "flatten"}, "dense": {"op": "dense", "units": 60}}
    run = a_network(layers, tmp_path / "c", (1, 3, 16, 16))
    page = page_of(run_page(run, with_room(run, 20_000)))
    choose(page, "dense")
    point(page, ["ArrowDown"])
    value = run["dense"][0, 0]
    assert story(page) == f"dense[0,0] = {value} (dense/weights, which it reads, is not on this page)"


# Answers


@pytest.fixture(scope="module")
def classified(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("classified")
    np.save(folder / "labels.npy", np.arange(130) % 5)
    labels = {"source": "npy", "path": str(folder / "labels.npy")}
    return a_network(CLASSES, folder / "c", (130, 1, 8, 8), labels=labels, record=2)


def test_wrong_answers_are_listed_first_with_truth_and_score(classified: Run, page_of: OpenPage) -> None:
    page = page_of(run_page(classified, Asked()))
    answers, truths = classified.output.argmax(1), np.arange(130) % 5
    wrong = np.flatnonzero(answers != truths)
    rows = page.locator("#answers tbody tr")
    assert rows.count() == 50
    first = rows.first.locator("th, td").all_text_contents()
    assert first[0] == f"n={wrong[0]}"
    assert first[2] == str(answers[wrong[0]])
    assert first[4:] == [str(truths[wrong[0]]), "✗ wrong"]
    page.get_by_label("only wrong answers").check()
    assert rows.locator("text=✓ right").count() == 0
    page.locator("#answers").get_by_role("button", name="more").click()
    assert 50 < rows.count() == min(len(wrong), 100)
    assert page.locator("#output").count() == 0
    assert f"{130 - len(wrong)} of 130 answers are right" in page.text_content("#answers")
    assert f"n={wrong[2]} record={wrong[2] + 1}" in page.text_content("#answers")


def test_an_answer_on_record_leads_to_its_image(classified: Run, page_of: OpenPage) -> None:
    page = page_of(run_page(classified, Asked()))
    links = page.locator("#answers tbody th button")
    assert sorted(links.all_text_contents()) == ["n=0", "n=1"]
    page.locator("#answers").get_by_role("button", name="n=1", exact=True).click()
    page.wait_for_selector(".images [aria-pressed=true]:text('n=1')")


# For everybody


def test_the_graph_is_one_tab_stop_with_arrow_keys(page_bytes: bytes, page_of: OpenPage) -> None:
    page = page_of(page_bytes)
    assert page.locator(".graph [tabindex='0']").count() == 1
    page.locator("[data-node=conv1]").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.node") == "conv2"
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('.layer-panel h3').textContent === 'conv2'")
    assert page.get_attribute("[data-node=conv2]", "aria-selected") == "true"
    page.keyboard.press("End")
    page.keyboard.press(" ")
    page.wait_for_function("() => document.querySelector('.layer-panel h3').textContent === 'dense'")
    assert page.locator(".graph [tabindex='0']").count() == 1


@pytest.mark.parametrize(("layer", "dark"), [("conv1", False), ("add", True), ("dense", False)])
def test_axe_finds_nothing(layer: str, dark: bool, classified: Run, page_of: OpenPage) -> None:
    page = page_of(run_page(classified, Asked()), dark=dark)
    choose(page, layer)
    point(page, ["ArrowRight"])
    assert findings(page) == []


def test_a_phone_does_not_scroll_sideways(classified: Run, page_of: OpenPage) -> None:
    page = page_of(run_page(classified, Asked()), 390)
    for layer in ("conv1", "dense"):
        choose(page, layer)
        point(page, ["ArrowRight"])
        assert not scrolls_sideways(page)


def test_it_speaks_korean(page_bytes: bytes, page_of: OpenPage) -> None:
    page = page_of(page_bytes)
    page.get_by_role("button", name="한국어").click()
    assert page.text_content("#network h2") == "신경망"
    assert page.text_content(".story") == "맵의 칸을 가리키세요."
    choose(page, "relu1")
    point(page, ["ArrowRight"])
    assert page.text_content(".source h4") == "읽은 곳: conv1"


def test_a_graph_of_many_layers_scrolls_within_its_frame(tmp_path: Path, page_of: OpenPage) -> None:
    layers = {f"layer{at}": {"op": "relu"} for at in range(180)}
    page = page_of(run_page(a_network(layers, tmp_path / "c", (1, 1, 2, 2)), Asked()))
    frame = page.locator(".graph")
    assert frame.evaluate("f => f.scrollHeight > 5 * f.clientHeight && f.clientHeight < 900")
    page.locator("[data-node=layer179]").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('.layer-panel h3').textContent === 'layer179'")
    box, around = page.locator("[data-node=layer179]").bounding_box(), frame.bounding_box()
    assert around["y"] <= box["y"] <= around["y"] + around["height"]
