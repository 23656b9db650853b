"""Pictures of maps: which are drawn, what is on the sheet and in the files, and what becomes of a run without them."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tracemalloc
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import convpipe, only_run, refused
from run_cases import edit_manifest

import convpipe as cp
from convpipe.archive.read import Run, load
from convpipe.archive.verify import verify
from convpipe.config.app import read_words
from convpipe.errors import ArchiveError, ConfigError
from convpipe.execution import album, runner
from convpipe.execution.album import Album, draw_files
from convpipe.execution.drawing import drawn_stages
from convpipe.execution.naming import map_names
from convpipe.files import sheet
from convpipe.files.colours import coloured, enlarged, span_of, true_colours
from convpipe.files.images import grey_levels
from convpipe.tensors import Array

PILLOW = pytest.importorskip("PIL.Image")
SMALL = ["input=integers", "input.shape=[1,2,6,6]", "filters=integers", "filters.count=3", "filters.kernel=3"]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def photo() -> Array:
    """A picture of 7x9 pixels, which lies in photo.png."""
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9, 3)).astype(np.uint8)
    PILLOW.fromarray(pixels).save("photo.png")
    return pixels


def pixels_of(path: Path) -> Array:
    return np.asarray(PILLOW.open(path))


def edges(*words: str, **settings: Any) -> Run:
    return cp.run("experiment=edges", "input.path=photo.png", *words, **settings)


def pictures(run: Run) -> list[str]:
    return sorted(run.manifest.get("pictures", {}))


def shows(picture: Array, part: Array) -> bool:
    """Whether a picture has another somewhere in it."""
    height, width = part.shape[:2]
    windows = np.lib.stride_tricks.sliding_window_view(picture, (height, width, 3))[:, :, 0]
    starts = np.argwhere((windows[:, :, 0, 0] == part[0, 0]).all(axis=-1))
    return any(np.array_equal(windows[y, x], part) for y, x in starts)


def seen(*words: str, **settings: Any) -> dict[str, sheet.Section]:
    """The sections of the sheet of a run, by their stages."""
    run = cp.run(*words, archive=False, **settings)
    job = read_words(words, settings)
    prepared = runner.prepare(job.spec, job.execution.place.memory)
    plan = prepared.work.plan
    drawn = drawn_stages(job.execution.pictures, job.spec, plan)
    found = Album(job.spec, plan, map_names(job.spec, plan), drawn)
    for stage in run:
        found.see(stage, run[stage])
    return found.sections


def lines(section: sheet.Section) -> list[list[tuple[str, ...]]]:
    return [[tile.lines for tile in group] for group in section.groups]


# What is on the sheet, and in the files


def test_a_photo_gets_a_sheet_and_a_file_for_each_map(photo: Array) -> None:
    run = edges("filters.names=[sobel_x,identity]")
    files = [f"map_{name}_{part}.png" for name in ("identity", "sobel_x") for part in "RGB"]
    assert pictures(run) == sorted([*files, "map_identity_RGB.png", "maps.png"])
    assert run.manifest["drawn"] == ["reshape"]
    for name, plane in zip(run.manifest["names"]["feature_map"], run.maps[0], strict=True):
        assert np.array_equal(pixels_of(run.folder / f"map_{name.replace(' ', '_')}.png"), grey_levels(plane))
    assert np.array_equal(pixels_of(run.folder / "map_identity_RGB.png"), photo)
    page = pixels_of(run.folder / "maps.png")
    times = album.SIDE // 9
    assert shows(page, enlarged(photo, times))
    for plane in run.maps[0, ::2]:  # sobel_x, whose scale is that of its three channels
        span = span_of(run.maps[0, ::2].reshape(-1, 9))
        assert shows(page, enlarged(coloured(plane, span), times))
    assert not shows(page, enlarged(255 - photo, times))
    assert "png" not in (run.folder / "SHA256SUMS").read_text()
    verify(run.folder)


def test_maps_of_one_filter_stand_in_a_row_with_name_range_and_scale(photo: Array) -> None:
    found = seen("experiment=edges", "input.path=photo.png", "filters.names=[sobel_y,box]")
    run = edges("filters.names=[sobel_y,box]")
    sobel, box = run.maps[0, ::2], run.maps[0, 1::2]
    first, second = lines(found["reshape"])
    reach = np.abs(sobel).max()
    assert first == [
        (f"sobel_y {part}", f"{plane.min()} to {plane.max()}", f"scale ±{reach}")
        for part, plane in zip("RGB", sobel, strict=True)
    ]
    assert [each[0] for each in second] == ["box R", "box G", "box B", "box RGB"]
    assert second[-1] == ("box RGB", f"{box.min()} to {box.max()}")
    assert f"scale {box.min()} to {box.max()}" in {each[-1] for each in second}
    assert lines(found["input"]) == [[("input RGB", f"{photo.min()} to {photo.max()}")]]
    assert found["reshape"].heading == "reshape  (1,7,9,6) = (N, out_h, out_w, F)  int16, 28 x 28 pixels a cell"
    wide = enlarged(true_colours(box, span_of(box.reshape(-1, 9))), 28)
    assert np.array_equal(found["reshape"].groups[1][3].pixels, wide)


def test_a_large_map_is_reduced_and_says_so() -> None:
    PILLOW.fromarray(np.zeros((600, 1000, 3), np.uint8) + 9).save("photo.png")
    found = seen("experiment=edges", "input.path=photo.png", "filters=box")
    assert found["input"].groups[0][0].lines == ("input RGB   1:4", "9 to 9")
    assert found["input"].groups[0][0].pixels.shape == (150, 250, 3)
    assert found["reshape"].heading.endswith(", 1:4")


def test_of_many_maps_the_first_are_shown_and_the_others_counted() -> None:
    found = seen(*SMALL, "pictures=all", **{"filters.count": 80})["reshape"]
    assert sum(map(len, found.groups)) == album.MOST_MAPS
    assert (found.groups[0][63].lines[0], found.note) == ("f63", "and 16 more maps")
    assert seen(*SMALL, "pictures=all")["reshape"].note == ""


def test_images_and_layers_are_named() -> None:
    found = seen("experiment=tiny", "pictures=all", **{"input.shape": [2, 3, 8, 8], "record": 2})
    assert list(found) == ["input", "conv1/pad", "conv1/transpose", "relu1", "conv2/pad", "conv2/transpose", "add",
                           "relu2", "pool"]  # fmt: skip
    names = [tile.lines[0] for group in found["conv1/transpose"].groups for tile in group]
    assert names == [f"n={n} conv1 f{f}" for n in range(2) for f in range(8)]
    assert found["add"].groups[0][9].lines[0] == "n=1 add c1"
    (filters,) = seen("experiment=tiny", "pictures=[conv2/filters]")["conv2/filters"].groups
    assert [tile.lines[0] for tile in filters] == [f"conv2/filters f{f} c{c}" for f in range(8) for c in range(8)]


def test_what_is_no_number_is_counted_below_its_map() -> None:
    values = np.ones((1, 1, 4, 4), np.float32)
    values[0, 0, 0, 0], values[0, 0, 3, 3] = np.nan, np.inf
    np.save("x.npy", values)
    found = seen("input=npy", "input.path=x.npy", "filters.values=[[1.0]]", "filters.dtype=float32", "pictures=all")
    assert found["reshape"].groups[0][0].lines == ("f0", "1 to 1", "1 NaN", "1 infinite")


def test_maps_of_one_axis_are_rows_and_those_of_three_are_not_drawn() -> None:
    words = ("input=integers", "filters=integers", "filters.count=2", "filters.kernel=2", "pictures=all")
    assert seen(*words, "input.shape=[1,1,9]")["reshape"].groups[0][1].pixels.shape == (32, 256, 3)
    assert seen(*words, "input.shape=[1,1,4,4,4]") == {}
    assert pictures(cp.run(*words, "input.shape=[1,1,4,4,4]")) == []


def test_several_images_and_filters_without_names_have_numbers(tmp_path: Path) -> None:
    class Taken(dict[str, bytes]):
        picture = dict.__setitem__

    taken = Taken()
    draw_files(taken, np.arange(2 * 2 * 2 * 3).reshape(2, 2, 2, 3))  # type: ignore[arg-type]
    assert sorted(taken) == [f"map_n{n}_f{f:03d}.png" for n in range(2) for f in range(3)]
    taken.clear()
    draw_files(taken, np.zeros((1, 2, 2, 2)), ("a b", "A_B"))  # type: ignore[arg-type]  # one file on some disks
    assert sorted(taken) == ["map_f000.png", "map_f001.png"]


def test_the_same_run_has_the_same_sheet(photo: Array) -> None:
    first, second = (edges("filters=classic", root=root) for root in ("a", "b"))
    assert first.manifest["pictures"] == second.manifest["pictures"]
    assert len(first.manifest["pictures"]) > 30


def test_letters_that_no_font_has_are_spelt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheet, "FONTS", ())
    sheet.spelt.cache_clear()
    assert sheet.spelt("사진 café ☃", "text")[0] == "sajin cafe <2603>"
    assert sheet.spelt("conv1 ±8", "text")[0] == "conv1 ±8"
    sheet.spelt.cache_clear()


def test_a_line_that_is_too_long_is_cut() -> None:
    tile = sheet.Tile(np.zeros((8, 8, 3), np.uint8), ("x" * 300, "1"))
    section = sheet.Section("head", ((tile,) * 40,), "note")
    assert section.width == sheet.LARGEST_LINE
    assert all((row[0] is tile and len(row) <= 7) for row in section.rows)
    page = PILLOW.open(BytesIO(sheet.sheet(("title",), [section], ("a note",))))
    assert page.width <= sheet.PAGE
    margin = np.asarray(page)[:, -sheet.MARGIN + 1 :]
    assert (margin == 255).all()


# What is asked for


@pytest.mark.parametrize(
    ("words", "stages"),
    [
        ("pictures=auto", []),
        ("pictures=none", []),
        ("pictures=all", ["pad", "reshape"]),
        ("pictures=[reshape]", ["reshape"]),
        ("pictures=[reshape,filters,pad]", ["filters", "pad", "reshape"]),
        ("pictures=[input]", ["input"]),
        ("pictures=all experiment=tiny", ["conv1/pad", "conv1/transpose", "relu1", "conv2/pad", "conv2/transpose",
                                          "add", "relu2", "pool"]),
        ("pictures=[conv1,conv2/reshape] experiment=tiny", ["conv1/transpose", "conv2/reshape"]),
    ],
)  # fmt: skip
def test_the_stages_that_are_asked_for_are_drawn(words: str, stages: list[str]) -> None:
    run = cp.run(*words.split())
    assert run.manifest.get("drawn", []) == stages
    assert pictures(run) == ["maps.png"] * bool(stages)
    verify(run.folder)
    assert run.manifest["archive_id"] == cp.run(*words.split()[1:], root="other").manifest["archive_id"]


@pytest.mark.parametrize(("asked", "names"), [("none", []), ("[pad]", ["maps.png"]), ("[input]", ["maps.png"])])
def test_of_a_photo_less_may_be_asked_for(photo: Array, asked: str, names: list[str]) -> None:
    assert pictures(edges(f"pictures={asked}")) == names


REFUSED = {
    "pictures=[reshap]": r"pictures\[0\]: got reshap, expected a stage with maps, one of .*pad, reshape.*"
    r" \(did you mean reshape\?\)",
    "pictures=[pad,matmul]": r"pictures\[1\]: got matmul, expected a stage with maps, .*\(matmul makes no maps\)",
    "pictures=[conv3] experiment=tiny": r"pictures\[0\]: got conv3, .*\(did you mean conv2\?\)",
    "pictures=[dense] experiment=tiny": r"pictures\[0\]: got dense, .*\(dense makes no maps\)",
    "pictures=al": r"pictures: got al, expected auto, all, none, or a list of stages \(did you mean all\?\)",
    "pictures=reshape": r"pictures: got reshape, expected .* \(pictures=\[reshape\] draws a stage of that name\)",
    "pictures=null": r"pictures: got nothing, expected auto, all, none, or a list of stages",
    "pictures=[]": r"pictures: got \[\], expected a list of at least one value",
    "pictures=[1]": r"pictures\[0\]: got 1, expected a text",
    "pictures=true": r"pictures: got True, expected auto",
}


@pytest.mark.parametrize("more", ["", " dry_run=true"])
@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_drawn_is_told_before_anything_runs(words: str, more: str, tmp_path: Path) -> None:
    assert re.match(REFUSED[words], refused(tmp_path, *f"{words}{more}".split()))


@pytest.mark.parametrize("words", ["pictures=[reshap]", "pictures=al"])
def test_so_it_is_from_python_and_in_a_sweep(words: str, tmp_path: Path) -> None:
    for call in (cp.run, cp.plan, lambda *words: cp.run(*words, archive=False)):
        with pytest.raises(ConfigError, match=REFUSED[words]):
            call(words)
    line = refused(tmp_path, "-m", words, "seed=1,2")
    assert re.search(REFUSED[words], line)


def test_the_advice_works() -> None:
    assert convpipe("pictures=[reshape]").code == 0


@pytest.mark.parametrize("more", [[], ["dry_run=true"], ["-m", "seed=1,2"]])
def test_without_pillow_nothing_runs(more: list[str], tmp_path: Path) -> None:
    code = "import sys; sys.modules['PIL'] = None; from convpipe.cli.main import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "pictures=all", *more], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert re.match(
        r"convpipe: (seed=1: )?pictures: got no Pillow, expected .*pip install 'convpipe\[image\]'", done.stderr
    )
    assert not list(tmp_path.iterdir())
    fine = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert fine.returncode == 0, fine.stderr


def test_the_pictures_of_a_run_are_named(photo: Array) -> None:
    assert "\ndrawn: maps.png\n" in convpipe("pictures=all").out
    printed = convpipe("experiment=edges", "input.path=photo.png", "filters=sobel_x").out
    assert "\ndrawn: maps.png, and map_sobel_x_B.png to map_sobel_x_R.png, 3 pictures\n" in printed
    assert "drawn" not in convpipe("seed=1").out


def test_a_photo_in_a_network_that_ends_in_maps_gets_a_sheet(photo: Array) -> None:
    text = "input: {source: image, path: photo.png}\nnetwork: {double: {op: upsample, factor: 2}"
    Path("own.yaml").write_text(f"{text}}}\n")
    ends = cp.run("own.yaml")
    assert (pictures(ends), ends.manifest["drawn"]) == (["maps.png"], ["double"])
    assert shows(pixels_of(ends.folder / "maps.png"), enlarged(photo, album.SIDE // 9))
    Path("own.yaml").write_text(f"{text}, rows: {{op: flatten}}}}\n")
    assert pictures(cp.run("own.yaml")) == []


def test_a_picture_is_not_cut_to_some_of_its_colours() -> None:
    words = ("input=integers", "input.shape=[30,3,2,2]", "input.dtype=uint8", "input.low=0", "filters=box")
    found = seen(*words, "pictures=[reshape]", **{"filters.kernel": 1})
    names = [tile.lines[0] for group in found["input"].groups for tile in group]
    assert names == [f"n={n} input RGB" for n in range(album.MOST_MAPS // 3)]
    assert found["input"].note == "and 27 more maps"


def test_of_thousands_of_images_the_first_are_drawn() -> None:
    found = seen("input=integers", "input.shape=[5000,1,1,1]", "filters.values=[[[[1]]],[[[2]]]]", "pictures=[reshape]")
    tiles = [tile.lines[0] for group in found["reshape"].groups for tile in group]
    assert tiles == [f"n={n} f{f}" for n in range(32) for f in range(2)]
    assert found["reshape"].note == "and 9,936 more maps"


def test_of_a_batch_the_recorded_images_are_drawn() -> None:
    assert cp.run("experiment=tiny", "pictures=[relu1]").manifest["drawn"] == ["relu1"]
    found = seen("experiment=tiny", "pictures=[relu1]")["relu1"]
    assert [tile.lines[0] for group in found.groups for tile in group] == [f"relu1 c{c}" for c in range(8)]


def test_pictures_take_no_second_copy_of_the_maps() -> None:
    words = (
        "input=integers",
        "input.shape=[1,1,1500,1500]",
        "filters=integers",
        "filters.count=8",
        "input.dtype=int16",
    )
    job = read_words((*words, "pictures=all"), {})
    prepared = runner.prepare(job.spec, job.execution.place.memory)
    cp.run("pictures=all")  # what is imported on the way is not the run's
    tracemalloc.start()
    cp.run(*words, "pictures=all")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < prepared.work.peak_bytes + (12 << 20)  # a map is 4.5 MB, all are 36 MB


# A run that is there


def test_a_run_without_the_pictures_gets_them_and_stays_what_it_was() -> None:
    first = cp.run(*SMALL)
    assert pictures(first) == []
    out = convpipe(*SMALL, "pictures=all").out
    assert out.endswith(f"reproduced; more pictures are drawn now: {first.folder}\n")
    second = verify(first.folder)
    assert (pictures(second), second.manifest["drawn"]) == (["maps.png"], ["pad", "reshape"])
    assert second.manifest["archive_id"] == first.manifest["archive_id"]
    assert not (first.folder.parent / ".aside").exists()
    assert convpipe(*SMALL, "pictures=all").out.endswith(f"reproduced: {first.folder}\n")


def test_pictures_of_other_stages_come_to_those_that_are_there() -> None:
    cp.run("pictures=[pad]")
    assert cp.run("pictures=[reshape]").manifest["drawn"] == ["pad", "reshape"]
    assert cp.run("pictures=none").manifest["drawn"] == ["pad", "reshape"]
    kept = cp.run("keep=stages")
    assert (kept.manifest["drawn"], kept.manifest["keep"]) == (["pad", "reshape"], "stages")
    assert cp.run("pictures=[filters]").manifest["keep"] == "stages"
    verify(kept.folder)


def test_a_sweep_draws_what_is_missing_and_passes_over_what_is_there() -> None:
    words = ("-m", *SMALL, "name=s", "seed=1,2,3")
    assert "3 done" in convpipe(*words).out
    assert "3 there before" in convpipe(*words).out
    drawn = convpipe(*words, "pictures=[pad]")
    assert drawn.code == 0
    assert "3 more pictures" in drawn.out
    assert "3 there before" in convpipe(*words, "pictures=[pad]").out
    assert "3 there before" in convpipe(*words, "pictures=none").out
    assert all(pictures(load(path.parent)) == ["maps.png"] for path in Path("runs/s").glob("*/manifest.json"))
    assert convpipe("-m", *SMALL, "name=t", "root=t", "pictures=none,all").code == 0  # one run, asked for twice
    assert pictures(load(only_run(Path("t")))) == ["maps.png"]


def test_reproducing_draws_nothing(photo: Array) -> None:
    run = edges("filters=box")
    before = {path.name: path.stat().st_mtime_ns for path in run.folder.iterdir()}
    assert cp.reproduce(run).verdict == "reproduced"
    assert {path.name: path.stat().st_mtime_ns for path in run.folder.iterdir()} == before


# What is read


def test_pictures_with_names_of_before_are_read(photo: Array) -> None:
    run = edges("filters=box", "pictures=none")
    content = (Path("photo.png")).read_bytes()
    (run.folder / "map_n0_f000.png").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    sizes = {**run.manifest["sizes"], "map_n0_f000.png": len(content)}
    edit_manifest(run.folder, pictures={"map_n0_f000.png": digest}, sizes=sizes)
    assert pictures(verify(run.folder)) == ["map_n0_f000.png"]
    assert "drawn: map_n0_f000.png\n" in convpipe("reproduce", str(run.folder)).out


@pytest.mark.parametrize(
    ("entries", "match"),
    [
        ({"pictures": {"map_/x.png": "0"}}, r"got pictures of map_/x\.png, expected a name of a file"),
        ({"pictures": {"map_..png\n": "0"}}, "got pictures"),
        ({"pictures": {"output.png": "0"}}, "got pictures"),
        ({"drawn": "pad"}, "got drawn pad, expected a list of texts"),
        ({"drawn": [1]}, r"got drawn \[1\], expected a list of texts"),
    ],
)
def test_a_hostile_manifest_is_refused(entries: dict[str, Any], match: str) -> None:
    run = cp.run()
    edit_manifest(run.folder, **entries)
    with pytest.raises(ArchiveError, match=match):
        load(run.folder)
