"""The page of a network, or of an operation that is no convolution: its graph, its arrays, and what it leaves out."""

from __future__ import annotations

import base64
import gzip
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from network_cases import CLASSES
from network_pages import BRANCHES, a_network, array_of, facts_of, nodes_of, notes_of, with_room
from run_cases import a_run

import convpipe as cp
from convpipe.archive.read import Run
from convpipe.config.read import read_archived
from convpipe.errors import ArchiveError, ConfigError
from convpipe.execution.recover import Recovery, recovered
from convpipe.graph.spec import Spec
from convpipe.graph.work import Work, plan_work
from convpipe.report.page.asked import Asked
from convpipe.report.page.cut import Shape, images_cut, small_cut, text_of
from convpipe.report.page.packed import packed
from convpipe.report.page.run_page import run_page, shape_of
from convpipe.report.page.script import words
from convpipe.report.page.thumbnails import thumbnail_shape, thumbnails


def shape_and_work(run: Run) -> tuple[Shape, Spec, Work]:
    spec = read_archived(run)
    work = plan_work(spec)
    return shape_of(run, spec, work), spec, work


@pytest.fixture(scope="module")
def branched(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return a_network(BRANCHES, tmp_path_factory.mktemp("branched"))


# The graph


def test_a_layer_is_a_node_which_names_what_it_reads(branched: Run) -> None:
    nodes = nodes_of(run_page(branched, Asked()))
    assert list(nodes) == ["input", *BRANCHES]
    inputs = {name: node["inputs"] for name, node in nodes.items()}
    assert inputs == {
        "input": [],
        "conv1": ["input"],
        "relu1": ["conv1"],
        "conv2": ["relu1"],
        "add": ["relu1", "conv2"],
        "join": ["add", "conv1", "add"],
        "up": ["join"],
        "pool": ["up"],
        "flatten": ["pool"],
        "dense": ["flatten"],
    }
    assert [name for name, node in nodes.items() if node.get("conv")] == ["conv1", "conv2"]
    assert nodes["add"]["reads"] == {"0": "relu1", "1": "conv2/transpose"}
    assert nodes["dense"]["reads"] == {"0": "flatten", "weights": "dense/weights", "bias": "dense/bias"}


def test_every_node_has_its_array_and_range(branched: Run) -> None:
    page = run_page(branched, Asked())
    for node in nodes_of(page).values():
        array = branched[node["array"]]
        np.testing.assert_array_equal(array_of(page, node["array"]), array, strict=True)
        assert (node["shape"], node["dtype"]) == ([*array.shape], str(array.dtype))
        assert node["span"] == [str(array.min()), str(array.max())]


def test_what_another_array_holds_stands_there_once(branched: Run) -> None:
    arrays = facts_of(run_page(branched, Asked()))["arrays"]
    assert arrays["conv1/transpose"] == {"of": "conv1/reshape", "order": [0, 3, 1, 2]}
    assert arrays["conv2/pad"] == {"of": "relu1"} or arrays["relu1"] == {"of": "conv2/pad"}  # its pad adds nothing


def test_what_holds_the_same_as_a_view_is_a_view_too(tmp_path: Path) -> None:
    layers = {"conv": {"op": "conv", "filters": 2, "kernel": 2}, "relu": {"op": "relu"}}
    run = a_network(layers, tmp_path / "c", **{"input.low": 1, "weights": {"source": "integers", "low": 1, "high": 3}})
    page = run_page(run, Asked())
    assert facts_of(page)["arrays"]["relu"] == {"of": "conv/reshape", "order": [0, 3, 1, 2]}
    np.testing.assert_array_equal(array_of(page, "relu"), run["relu"], strict=True)


def test_the_stages_of_a_layer_that_is_no_convolution_are_told_as_one_sum(branched: Run) -> None:
    up = nodes_of(run_page(branched, Asked()))["up"]
    assert "form" not in up
    assert up["whole"]["op"] == "conv_transpose"
    assert up["whole"]["reads"] == {"input": "join", "filters": "up/filters", "bias": "up/bias"}


@pytest.mark.parametrize(
    ("experiment", "last", "whole", "order"),
    [
        ("transpose", "crop", "conv_transpose", [0, 3, 1, 2]),
        ("grad_input", "unpad", "grad_input", [0, 1, 2, 3]),
        ("grad_weights", "col2fil", "grad_weights", [0, 1, 2, 3]),
        ("grad_bias", "sum_rows", "grad_bias", [0]),
    ],
)
def test_an_operation_that_is_no_convolution_is_the_graph_of_its_stages(
    experiment: str, last: str, whole: str, order: list[int]
) -> None:
    run = cp.run(f"experiment={experiment}", archive=False)
    page = run_page(run, Asked())
    nodes = nodes_of(page)
    assert list(nodes) == [row["stage"] for row in run.rows]
    assert {name: node["inputs"] for name, node in nodes.items()} == {
        name: list(dict.fromkeys(run.manifest["wiring"][name])) for name in nodes
    }
    assert list(nodes)[-1] == last
    assert (nodes[last]["whole"]["op"], nodes[last]["whole"]["order"]) == (whole, order)
    for name in nodes:
        np.testing.assert_array_equal(array_of(page, name), run[name], strict=True)
    assert facts_of(page)["convolutions"] == []
    assert not facts_of(page)["network"]


def test_the_same_bytes_each_time(branched: Run) -> None:
    for asked in (Asked(), with_room(branched, 5_000)):
        assert run_page(branched, asked) == run_page(branched, asked)


def test_it_can_open_with_a_layer_and_a_cell(branched: Run) -> None:
    start = facts_of(run_page(branched, Asked(at=(1, 2, 3, 4), layer="add")))["start"]
    assert start == {"at": [1, 2, 3, 4], "layer": "add"}


# What does not fit


BIG: dict[str, dict[str, Any]] = {
    "conv1": {"op": "conv", "filters": 80, "kernel": 3, "pad": 1},
    "relu1": {"op": "relu"},
    "pool": {"op": "max_pool", "kernel": 4},
    "flatten": {"op": "flatten"},
    "dense": {"op": "dense", "units": 40},
    "logits": {"op": "dense", "units": 4},
}


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return a_network(BIG, tmp_path_factory.mktemp("big"), (1, 3, 120, 100))


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return a_network(BRANCHES, tmp_path_factory.mktemp("several"), (40, 3, 16, 16))


def test_above_the_limit_maps_are_thumbnails_and_convolutions_crops(big: Run) -> None:
    asked = with_room(big, 900_000)
    page = run_page(big, asked)
    assert len(page) <= asked.limit
    arrays, [convolution] = facts_of(page)["arrays"], facts_of(page)["convolutions"]
    thumb = arrays["relu1"]["thumb"]
    assert arrays["relu1"]["dtype"] == "uint8"
    assert (thumb["of"], thumb["low"], thumb["high"]) == (80, 0, float(big["relu1"].max()))
    assert thumb["count"] == arrays["relu1"]["shape"][1] <= 64
    assert max(arrays["relu1"]["shape"][2:]) <= 96
    (top, bottom), (left, right) = convolution["box"]["out"]
    assert (bottom - top, right - left) == (12, 12)
    window = big["conv1/pad"][:, :, top : bottom + 2, left : right + 2]
    np.testing.assert_array_equal(array_of(page, "conv1/pad"), window, strict=True)
    np.testing.assert_array_equal(array_of(page, "logits"), big["logits"], strict=True)
    assert "dense/weights" not in arrays
    assert "logits/weights" in arrays


@pytest.mark.parametrize("language", ["en", "ko"])
def test_what_is_left_out_is_said_without_the_script(big: Run, language: str) -> None:
    notes = notes_of(run_page(big, with_room(big, 900_000, language=language)))
    assert list(notes) == ["leftCrops", "leftMaps", "leftWeights"]
    assert "dense/weights" in notes["leftWeights"]
    said = words("notes")[language]
    assert notes["leftCrops"] == said["leftCrops"].replace('"', "&quot;")
    assert notes["leftMaps"].startswith(said["leftMaps"].split("{")[0])
    assert "{" not in "".join(notes.values())


def test_a_page_with_all_there_is_says_nothing(branched: Run) -> None:
    page = run_page(branched, Asked())
    assert notes_of(page) == {}
    assert "leftCrops" not in facts_of(page)["words"]["en"]


@pytest.mark.parametrize("room", [50_000, 200_000, 600_000, 1_500_000, 3_000_000])
def test_no_page_is_larger_than_its_limit(big: Run, several: Run, room: int) -> None:
    for run in (big, several):
        asked = with_room(run, room)
        assert len(run_page(run, asked)) <= asked.limit


def test_a_page_that_not_even_crops_make_small_is_refused(big: Run) -> None:
    expected = r"^--limit: got 40\.0 KiB, expected at least \d+\.\d KiB, this page's size$"
    with pytest.raises(ConfigError, match=expected):
        run_page(big, Asked(limit=40 << 10))


def test_of_many_images_as_many_as_fit_are_whole(several: Run) -> None:
    page = run_page(several, with_room(several, 400_000, at=(20, 0, 0, 0), layer="add"))
    note = notes_of(page)["leftImages"]
    first, last = map(int, re.findall(r"images (\d+) to (\d+) of the 40", note)[0])
    assert 0 < first <= 20 <= last < 39
    for name in ("input", "add", "conv2/transpose", "dense"):
        part = several[name][first : last + 1]
        np.testing.assert_array_equal(array_of(page, name), part, strict=True)
    known = facts_of(page)
    assert known["arrays"]["add"]["origin"] == [first, 0, 0, 0]
    assert [each["box"]["n"] for each in known["convolutions"]] == [[first, last + 1]] * 2


def test_the_image_that_is_asked_for_is_the_one_that_is_kept(several: Run) -> None:
    page = run_page(several, with_room(several, 20_000, at=(7, 1, 2, 3), layer="conv2"))
    known = facts_of(page)
    assert {tuple(each["box"]["n"]) for each in known["convolutions"]} == {(7, 8)}
    conv2 = next(each for each in known["convolutions"] if each["layer"] == "conv2")
    assert all(start <= place < stop for (start, stop), place in zip(conv2["box"]["out"], (2, 3), strict=True))
    assert known["arrays"]["dense"]["origin"] == [7, 0]
    np.testing.assert_array_equal(array_of(page, "dense"), several["dense"][7:8], strict=True)


def test_a_cut_that_is_promised_to_fit_fits(big: Run, several: Run) -> None:
    for run in (big, several):
        shape, spec, work = shape_and_work(run)
        arrays = dict(recovered(run, spec, work, shape.names))
        for room in (30_000, 300_000, 900_000):
            for cut in (images_cut(shape, Asked(), room), small_cut(shape, Asked(), room)):
                if cut is not None:
                    texts = [len(pack(arrays[name]).text) for name, pack in cut.packs.items()]  # type: ignore[arg-type]
                    assert sum(texts) <= room


def test_text_of_bounds_what_gzip_cannot_make_smaller() -> None:
    draw = np.random.default_rng(0)
    for size in (0, 1, 100, 100_000):
        assert len(packed(draw.integers(0, 256, size, np.uint8)).text) <= text_of(size)


@pytest.mark.parametrize("size", [20, 80])  # of a side: from 24 on, it is looked at as a picture, too
def test_a_single_convolution_that_is_too_large_is_cropped_too(size: int, tmp_path: Path) -> None:
    changes = {"input.shape": [1, 16, 80, size], "filters.count": 16, "keep": "stages"}
    run = a_run(tmp_path / "c", changes)
    asked = with_room(run, 60_000)
    page = run_page(run, asked)
    assert len(page) <= asked.limit
    assert "leftCrops" in notes_of(page)
    [convolution] = facts_of(page)["convolutions"]
    box = convolution["box"]
    part = run["reshape"][(slice(*box["n"]), *(slice(*span) for span in box["out"]), slice(*box["f"]))]
    np.testing.assert_array_equal(array_of(page, "reshape"), part, strict=True)
    maps = facts_of(page)["arrays"].get("maps:reshape")
    assert (maps is None) == (size == 20)
    if maps is not None:
        assert (maps["thumb"]["of"], maps["dtype"], maps["shape"][0]) == (16, "uint8", 1)


def test_a_gradient_s_cell_is_of_no_image(tmp_path: Path) -> None:
    settings = {"input.shape": [1, 3, 60, 60], "filters.count": 8}
    run = cp.run("experiment=grad_weights", archive=False, **settings)
    page = run_page(run, with_room(run, 30_000, at=(7, 2, 1, 1)))
    assert facts_of(page)["start"] == {"at": [7, 2, 1, 1], "layer": None}
    np.testing.assert_array_equal(array_of(page, "col2fil"), run["col2fil"], strict=True)
    assert facts_of(page)["arrays"]["pad"]["shape"][0] == 1  # of its only image


@pytest.mark.parametrize(
    ("at", "layer", "line"),
    [
        ((3, 0, 0, 0), "add", r"--at: got 3,0,0,0, expected n from 0 to 1 \(record=4 puts image 3 on record\)"),
        ((3, 0, 0, 0), "conv1", r"--at: got 3,0,0,0, expected n from 0 to 1 \(record=4 puts image 3 on record\)"),
        ((0, 4, 0, 0), "add", r"--at: got 0,4,0,0, expected c from 0 to 3"),
        ((0, 0, 0), "add", r"--at: got 0,0,0, expected 4 whole numbers: n,c,h,w"),
        ((0, 2, 0, 0), "up", r"--at: got 0,2,0,0, expected f from 0 to 1"),
        ((0, 5), "dense", r"--at: got 0,5, expected units from 0 to 4"),
    ],
)
def test_a_cell_that_is_not_there(at: tuple[int, ...], layer: str, line: str, tmp_path: Path) -> None:
    run = a_network(BRANCHES, tmp_path / "c", (4, 3, 6, 6), record=2)
    with pytest.raises(ConfigError, match=f"^{line}$"):
        run_page(run, Asked(at=at, layer=layer))


# Thumbnails


def test_a_thumbnail_is_the_mean_of_squares_in_eight_bits() -> None:
    array = np.arange(2 * 3 * 5 * 4, dtype=np.int16).reshape(2, 3, 5, 4)
    small = thumbnails(array, ("N", "C", "H", "W"), 1, 2, 3)
    assert (small.dtype, small.shape, small.origin) == ("uint8", (1, 2, 3, 2), (1, 0, 0, 0))
    assert small.more == {"thumb": {"low": 0.0, "high": 119.0, "step": 2, "count": 2, "of": 3}}
    levels = np.frombuffer(gzip.decompress(base64.b64decode(small.text)), np.uint8).reshape(small.shape)
    expected = [
        [[array[1, c, y : y + 2, x : x + 2].astype(float).mean() for x in (0, 2)] for y in (0, 2, 4)] for c in (0, 1)
    ]
    np.testing.assert_array_equal(levels[0], np.rint(np.array(expected) / 119 * 255))


@pytest.mark.parametrize(
    ("shape", "axes", "expected"),
    [
        ((2, 100, 200, 50), ("N", "C", "H", "W"), (1, 64, 67, 17)),
        ((2, 200, 50, 100), ("N", "out_h", "out_w", "F"), (1, 67, 17, 64)),
        ((2, 100, 200), ("N", "C", "W"), (1, 64, 67)),
        ((2, 10, 9, 200, 50), ("N", "C", "D", "H", "W"), (1, 10, 6, 67, 17)),
        ((30, 40, 3, 3), ("F", "C", "kh", "kw"), (30, 2, 3, 3)),
        ((3136, 576), ("N*out_h*out_w", "C*kh*kw"), (96, 18)),
        ((5, 20_000), ("N", "units"), (1, 9216)),
        ((512,), ("F",), (512,)),
        ((), (), ()),
    ],
)
def test_thumbnails_are_of_one_image_and_keep_their_most(
    shape: tuple[int, ...], axes: tuple[str, ...], expected: tuple[int, ...]
) -> None:
    assert thumbnail_shape(shape, axes) == expected
    array = np.zeros(shape, np.float32)
    assert thumbnails(array, axes, 0, 64, 96).shape == expected


def test_a_thumbnail_of_what_is_no_number() -> None:
    array = np.array([[[[np.nan, np.inf], [-np.inf, 2], [0, 4]]]], np.float32)
    small = thumbnails(array, ("N", "C", "H", "W"), 0, 1, 3)
    levels = np.frombuffer(gzip.decompress(base64.b64decode(small.text)), np.uint8)
    assert (small.more["thumb"]["low"], small.more["thumb"]["high"]) == (0, 4)
    assert levels.tolist() == [0, 255, 0, 128, 0, 255]


# Arrays that are had again, or not


@pytest.mark.parametrize("keep", ["output", "layers", "stages"])
def test_arrays_come_one_after_another_as_they_were(keep: str, branched: Run, tmp_path: Path) -> None:
    run = a_network(BRANCHES, tmp_path / "c", keep=keep)
    shape, spec, work = shape_and_work(run)
    names = list[str]()
    for name, array in recovered(run, spec, work, shape.names):
        assert array is not None
        np.testing.assert_array_equal(array, branched[name], strict=True)
        names.append(name)
    assert sorted(names) == sorted(shape.names)


def test_no_array_stays_that_nothing_reads_any_more(tmp_path: Path) -> None:
    run = a_network(BRANCHES, tmp_path / "c", keep="output")
    shape, spec, work = shape_and_work(run)
    recovery = Recovery(run, spec, work, frozenset(), dict(shape.hashes))
    there = [len(recovery.there) for _ in recovery.arrays_of(shape.names)]
    assert recovery.there == {}
    assert max(there) < len(work.plan.steps) / 2


def other_floats(run: Run, *stages: str) -> Run:
    """The archive of a machine whose floats differ in these stages."""
    rows = [{**row, "sha256": "0" * 64} if row["stage"] in stages else row for row in run.rows]
    return replace(run, rows=tuple(rows))


def test_what_is_made_again_with_another_hash_is_left_out_and_said(tmp_path: Path) -> None:
    run = other_floats(a_network(BRANCHES, tmp_path / "c", keep="output"), "relu1", "conv2/reshape")
    page = run_page(run, Asked())
    known = facts_of(page)
    assert known["lacks"] == ["conv2/reshape", "relu1"]
    assert [each["layer"] for each in known["convolutions"]] == ["conv1"]
    assert notes_of(page)["lacksConvolutions"].endswith(": conv2.")
    np.testing.assert_array_equal(array_of(page, "add").shape, (2, 4, 6, 6))
    assert "relu1" not in known["arrays"]


def test_without_the_file_of_its_weights_the_rest_is_shown(tmp_path: Path) -> None:
    weights = {"conv1.weight": np.ones((4, 3, 3, 3), np.int16), "conv1.bias": np.zeros(4, np.int16)}
    np.savez(tmp_path / "w.npz", **weights)
    layers = {name: BRANCHES[name] for name in ("conv1", "relu1")}
    source = {"source": "npz", "path": str(tmp_path / "w.npz")}
    run = a_network(layers, tmp_path / "c", keep="layers", weights=source)
    (tmp_path / "w.npz").unlink()
    page = run_page(run, Asked())
    known = facts_of(page)
    assert {"conv1/filters", "conv1/bias"} <= set(known["lacks"])
    assert known["convolutions"] == []
    np.testing.assert_array_equal(array_of(page, "relu1"), run["relu1"], strict=True)
    assert notes_of(page).keys() == {"lacksArrays", "lacksConvolutions"}


def test_a_kept_array_of_another_shape_is_damage(branched: Run, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(branched.folder, tmp_path / "r"))
    file = next(row["file"] for row in branched.rows if row["stage"] == "add")
    np.save(folder / file, np.zeros((1, 4), np.int64))
    with pytest.raises(ArchiveError, match=r"stage 'add': got shape \(1,4\), expected \(2,4,6,6\)"):
        run_page(replace(branched, path=folder), Asked())


# Answers


def test_answers_stand_beside_the_truth(tmp_path: Path) -> None:
    truths = np.array([0, 1, 2, 3, 4, 0])
    np.save(tmp_path / "labels.npy", truths)
    labels = {"source": "npy", "path": str(tmp_path / "labels.npy")}
    run = a_network(CLASSES, tmp_path / "c", (6, 1, 8, 8), labels=labels, record=2)
    page = run_page(run, Asked())
    known = facts_of(page)["answers"]
    answers = run.output.argmax(axis=1)
    wrong = np.flatnonzero(answers != truths)
    assert (known["images"], known["right"]) == (6, int((answers == truths).sum()))
    assert known["recorded"] == {"first": 0, "count": 2, "all": 2}
    assert array_of(page, ":answer").tolist() == answers.tolist()
    assert array_of(page, ":truth").tolist() == truths.tolist()
    np.testing.assert_array_equal(array_of(page, ":score"), run.output.max(axis=1), strict=True)
    assert known["pictures"] == wrong.tolist()
    assert array_of(page, ":picture").shape == (len(wrong), 1, 8, 8)
    rows = re.findall(r'<th scope="row">n=(\d+)</th>', page.decode())
    assert [int(row) for row in rows] == [*wrong, *np.flatnonzero(answers == truths)]


def test_an_answer_that_is_none(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **{"dense.weight": np.array([[np.nan, 1], [1, 1]], np.float32)})
    layers = {"dense": {"op": "dense", "units": 2, "bias": False, "overflow": "inf", "layout": "out_in"}}
    weights = {"source": "npz", "path": str(tmp_path / "w.npz")}
    run = a_network(layers, tmp_path / "c", (2, 2), weights=weights)
    page = run_page(run, Asked())
    assert array_of(page, ":answer").tolist() == [-1, -1]
    assert "<td>none</td>" in page.decode()
    assert facts_of(page)["answers"]["right"] is None


def test_labels_whose_file_is_gone_are_said_to_be(tmp_path: Path) -> None:
    np.save(tmp_path / "l.npy", np.array([0, 1]))
    labels = {"source": "npy", "path": str(tmp_path / "l.npy")}
    run = a_network(CLASSES, tmp_path / "c", (2, 1, 8, 8), labels=labels)
    (tmp_path / "l.npy").unlink()
    page = run_page(run, Asked())
    assert list(notes_of(page)) == ["lacksLabels"]
    assert ":truth" not in facts_of(page)["arrays"]
