"""What maps are called, by the source of the filters and the colours of the input, and where that is shown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import convpipe, only_run

import convpipe as cp
from convpipe.archive.format import manifest_json
from convpipe.archive.maps import Maps
from convpipe.archive.read import load
from convpipe.archive.verify import verify
from convpipe.errors import ArchiveError
from convpipe.execution.naming import legal
from convpipe.sources import Request
from convpipe.sources.lecture import Lecture
from convpipe.tensors import Signature
from convpipe.testing import check_source

PILLOW = pytest.importorskip("PIL.Image")


def photo(folder: Path, mode: str = "RGB") -> Path:
    """A picture of 6x5 pixels."""
    pixels = np.arange(5 * 6 * 3, dtype=np.uint8).reshape(5, 6, 3)
    PILLOW.fromarray(pixels).convert(mode).save(folder / "photo.png")
    return folder / "photo.png"


def names_of(*words: str, **settings: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = cp.run(*words, archive=False, **settings).manifest.get("names", {})
    return found


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, ["sobel_x R", "box R", "sobel_x G", "box G", "sobel_x B", "box B"]),
        ({"filters.channels": "sum"}, ["sobel_x", "box"]),
        ({"filters.channels": "sum", "conv.groups": 3}, [f"{n} g{g}" for g in range(3) for n in ("sobel_x", "box")]),
        ({"conv.groups": 3}, ["sobel_x R", "box R", "sobel_x G", "box G", "sobel_x B", "box B"]),
    ],
)
def test_maps_of_a_photo_have_the_names_of_filters_and_colours(settings: Any, names: Any, tmp_path: Path) -> None:
    words = ("experiment=edges", "filters.names=[sobel_x,box]", f"input.path={photo(tmp_path)}")
    run = cp.run(*words, archive=False, **settings)
    assert run.manifest["names"] == {"input": ["R", "G", "B"], "feature_map": names}
    for name, plane in zip(names, run.maps[0], strict=True):  # each is what the filter makes that it is named after
        kernel, _, part = name.partition(" ")
        alone = cp.run(*words, f"filters.names=[{kernel}]", archive=False).maps[0]  # of each channel
        channels = {"": [0, 1, 2]}.get(part) or ["RGB".find(part) if part in "RGB" else int(part[1:])]
        assert np.array_equal(plane, sum(alone[channel] for channel in channels))


def test_other_channels_are_numbered_and_one_needs_no_name(tmp_path: Path) -> None:
    assert names_of("filters=sobel_x") == {"feature_map": ["sobel_x c0", "sobel_x c1", "sobel_x c2"]}
    assert names_of("filters=sobel_x", "input=integers", "input.shape=[5,5]") == {"feature_map": ["sobel_x"]}
    grey = {"input.path": str(photo(tmp_path, "L")), "input.mode": "grey"}
    assert names_of("experiment=edges", "filters.names=[prewitt_x,prewitt_y]", **grey) == {
        "feature_map": ["prewitt_x", "prewitt_y"]
    }


def test_an_array_of_the_form_of_a_picture_has_colours(tmp_path: Path) -> None:
    words = ("input=integers", "filters=box", "input.low=0")
    assert names_of(*words, "input.shape=[2,3,5,5]", "input.dtype=uint8")["input"] == ["R", "G", "B"]
    assert "input" not in names_of(*words, "input.shape=[2,3,5,5]", "input.dtype=int16")
    assert "input" not in names_of(*words, "input.shape=[2,4,5,5]", "input.dtype=uint8")


def test_what_has_no_names_has_none_in_its_manifest(tmp_path: Path) -> None:
    assert names_of() == {}
    assert names_of("experiment=tiny") == {}
    for gradient in ("grad_weights", "grad_input", "grad_bias"):  # which read not all arrays
        assert names_of(f"experiment={gradient}") == {}


def test_names_are_no_part_of_what_is_hashed(tmp_path: Path) -> None:
    run = cp.run("filters=sobel_x", root=tmp_path)
    assert run.manifest["names"]["feature_map"][0] == "sobel_x c0"
    record = {key: value for key, value in run.manifest.items() if key != "names"}
    (run.folder / "manifest.json").write_bytes(manifest_json(record))
    assert verify(run.folder).manifest["archive_id"] == run.manifest["archive_id"]


@pytest.mark.parametrize(
    "names", [["a"], {"feature_map": "sobel"}, {"feature_map": [1]}, {"feature_map": ["a\x1b[2J"]}, {"x": ["../a"]}]
)
def test_a_hostile_name_is_refused(names: Any, tmp_path: Path) -> None:
    run = cp.run(root=tmp_path)
    record = {key: value for key, value in run.manifest.items() if key != "sha256"}
    (run.folder / "manifest.json").write_text(json.dumps({**record, "names": names, "sha256": "0" * 64}))
    with pytest.raises(ArchiveError, match=r"manifest\.json: got names"):
        load(run.folder)


def test_maps_are_shown_with_their_names(tmp_path: Path) -> None:
    words = ("experiment=edges", f"root={tmp_path}/runs", "filters=sobel_x", f"input.path={photo(tmp_path)}")
    printed = convpipe(*words).out
    assert "feature map n=0 f=1 sobel_x G, int16: " in printed
    run = load(only_run(tmp_path / "runs"))
    assert "n=0 f=2 sobel_x B" in run._repr_html_()
    big = convpipe(*words, "filters=classic").out
    assert "n=0 f=29 identity B" in big


def test_names_go_with_the_second_letter() -> None:
    maps = Maps(np.zeros((2, 2, 1, 1)), ("n", "f"), ("a R", "a G"))
    assert [name for name, _ in maps] == ["n=0 f=0 a R", "n=0 f=1 a G", "n=1 f=0 a R", "n=1 f=1 a G"]


def test_labels_of_a_strangers_source_become_legal() -> None:
    assert [legal(label) for label in ("a/b  c", "\x1b[2J", "가 R", "")] == ["a_b c", "_2J", "가 R", ""]
    assert len(legal("x" * 300)) == 80


class Unnamed(Lecture):
    """Numbers written out, the first of whose filters alone has a name."""

    def labels(self, signature: Signature, channels: Sequence[str] = ()) -> tuple[str, ...]:
        return ("first",)


def test_a_source_with_too_few_labels_does_not_conform() -> None:
    bank: dict[str, Any] = {"source": "values", "values": [[[[1]]], [[[2]]]]}
    with pytest.raises(AssertionError, match="it has 1 labels for 2 filters"):
        check_source(Unnamed, "filters", bank, Request((None, 1, None, None)))


def test_filters_of_one_name_have_none() -> None:
    assert names_of("filters=sobel_x", **{"filters.names": ["sobel_x", "sobel_x"]}) == {}
