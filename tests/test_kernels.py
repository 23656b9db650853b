"""Kernels of one's own, written out or in files, laid out over the channels: against SciPy, channel by channel."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import convpipe, identity, refused
from test_safetensors import file_of

import convpipe as cp
from convpipe.archive.verify import verify
from convpipe.errors import ConfigError
from convpipe.sources import Request, read_source
from convpipe.tensors import Array
from convpipe.testing import check_source

ndimage = pytest.importorskip("scipy.ndimage")
SHARPEN = [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]
TWO = [SHARPEN, [[1, 2, 3], [4, 5, 6], [7, 8, 9]]]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def images(channels: int = 3) -> Array:
    return np.random.default_rng(0).integers(0, 256, (2, channels, 7, 8)).astype(np.int16)


def filtered(x: Array, kernel: Any) -> Array:
    """Each channel (N, C, H, W) filtered by itself, without padding, by SciPy."""
    weights = np.array(kernel)[None, None]
    whole = ndimage.correlate(x.astype(np.int64), weights, mode="constant")
    inner: Array = whole[:, :, 1:-1, 1:-1]
    return inner


def made(x: Array, *words: str, **settings: Any) -> Array:
    return cp.run(*words, input=x, archive=False, **{"conv.dtype": "int32", **settings}).maps


def saved(kind: str, kernels: Any) -> list[str]:
    """The words that take filters from a file of a kind."""
    array, path = np.array(kernels, np.int16), f"kernels.{kind}"
    if kind == "npy":
        np.save(path, array)
    elif kind == "npz":
        np.savez(path, filters=array)
    elif kind == "csv":
        np.savetxt(path, array, "%d", ",")
    else:
        header = {"dtype": "I16", "shape": array.shape, "data_offsets": [0, array.nbytes]}
        Path(path).write_bytes(file_of({"filters": header}, array.tobytes()))
    return [f"filters={kind}", f"filters.path={path}"]


def written(kind: str, kernels: Any) -> list[str]:
    """The words that take filters from numbers written out, or from a file."""
    return ["filters=values", f"filters.values={kernels}"] if kind == "values" else saved(kind, kernels)


@pytest.mark.parametrize("kind", ["values", "csv", "npy", "npz", "safetensors"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_each_channel_is_filtered_by_itself(kind: str, channels: int) -> None:
    x = images(channels)
    assert np.array_equal(made(x, *written(kind, SHARPEN), "filters.channels=each"), filtered(x, SHARPEN))


@pytest.mark.parametrize("kind", ["values", "npy", "npz", "safetensors"])
def test_several_kernels_filter_every_channel_in_turn(kind: str) -> None:
    x = images()
    expected = np.stack([filtered(x, kernel) for kernel in TWO], axis=2).reshape(2, 6, 5, 6)  # kernels within channels
    assert np.array_equal(made(x, *written(kind, TWO), "filters.channels=each"), expected)
    grouped = made(x, *written(kind, TWO), "filters.channels=each", **{"conv.groups": 3})
    assert np.array_equal(grouped, expected)


@pytest.mark.parametrize("kind", ["values", "npy"])
def test_or_the_sum_of_the_channels_of_each_group(kind: str) -> None:
    x = images(4)
    whole = np.stack([filtered(x, kernel).sum(axis=1) for kernel in TWO], axis=1)
    assert np.array_equal(made(x, *written(kind, TWO), "filters.channels=sum"), whole)
    halves = [filtered(x[:, part], kernel).sum(axis=1) for part in (slice(2), slice(2, 4)) for kernel in TWO]
    grouped = made(x, *written(kind, TWO), "filters.channels=sum", **{"conv.groups": 2})
    assert np.array_equal(grouped, np.stack(halves, axis=1))


@pytest.mark.parametrize(("rank", "kernel"), [(1, [1, -2]), (3, [[[1, 2], [3, 4]], [[5, 6], [7, 8]]])])
def test_kernels_have_as_many_axes_as_the_image(rank: int, kernel: Any) -> None:
    x = np.random.default_rng(1).integers(-9, 9, (1, 2, *(4,) * rank))
    windows = np.lib.stride_tricks.sliding_window_view(x, (2,) * rank, tuple(range(2, 2 + rank)))
    expected = (windows * np.array(kernel)).sum(axis=tuple(range(-rank, 0)))
    words = ("filters=values", f"filters.values={kernel}", "filters.channels=each")
    assert np.array_equal(made(x, *words), expected)
    twice = made(x, "filters=values", f"filters.values=[{kernel},{kernel}]", "filters.channels=each")
    assert np.array_equal(twice, expected.repeat(2, axis=1))


def test_it_is_what_classic_kernels_are() -> None:
    x = images()
    assert np.array_equal(
        made(x, *written("values", SHARPEN), "filters.channels=each"),
        made(x, "filters=sharpen", "filters.channels=each"),
    )


def test_its_maps_have_names() -> None:
    def names(kernels: Any, **settings: Any) -> list[str]:
        words = (*written("values", kernels), "filters.channels=each")
        run = cp.run(*words, input=images(2), archive=False, **{"conv.dtype": "int32", **settings})
        found: list[str] = run.manifest.get("names", {}).get("feature_map", [])
        return found

    assert names(SHARPEN) == ["kernel c0", "kernel c1"]
    assert names(TWO) == ["kernel0 c0", "kernel1 c0", "kernel0 c1", "kernel1 c1"]
    assert names(TWO, **{"filters.channels": "sum"}) == ["kernel0", "kernel1"]
    assert names(TWO, **{"filters.channels": "sum", "conv.groups": 2}) == [
        f"kernel{at} g{group}" for group in range(2) for at in range(2)
    ]
    assert names([[[[1]], [[2]]]], **{"filters.channels": None}) == []


def test_a_run_without_the_setting_is_what_it_was() -> None:
    assert identity("filters.channels=null") == identity() == "4014ffa24254"
    words = ("filters=values", "filters.values=[[1,2],[3,4]]", "input=lecture_2x2")
    assert identity(*words, "filters.channels=null") == identity(*words) != identity(*words, "filters.channels=each")


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_a_run_of_kernels_in_a_file_is_repeated_and_explained(kind: str) -> None:
    np.save("x.npy", images())
    words = ("input=npy", "input.path=x.npy", *saved(kind, SHARPEN), "filters.channels=each", "conv.dtype=int32")
    run = cp.run(*words)
    verify(run.folder)
    assert cp.reproduce(run).verdict == "reproduced"
    cell = str(cp.explain(run.folder, at=(1, 2, 0, 0)))
    assert cell.endswith(f"= {int(filtered(images(), SHARPEN)[1, 2, 0, 0])}, as stored")


@pytest.mark.parametrize("channels", ["each", "sum"])
def test_its_array_is_what_sources_promise(channels: str) -> None:
    settings = {"source": "lecture", "values": TWO, "channels": channels}
    kind = type(read_source("filters", settings))
    found = check_source(kind, "filters", settings, Request((None, 2, None, None), groups=2))
    assert found.shape == ((8, 2, 3, 3) if channels == "each" else (4, 2, 3, 3))


REFUSED = {
    "filters.channels=eech": r"filters\.channels: got eech, expected one of each, sum \(did you mean each\?\)",
    "input.channels=each": r"input\.channels: got each, expected one of the keys of input: ",
    "filters=values filters.values=[[[[1]]]] filters.channels=each": r"filters\.values: got \(1, 1, 1, 1\), expected a"
    r" kernel of 2 axes, or a list of such, beside filters\.channels=each \(filters\.channels=null takes filters as",
    "filters=values filters.values=[1,2] filters.channels=sum": r"filters\.values: got \(2,\), expected a kernel of 2",
    "filters=classic filters.channels=null": r"filters\.channels: got nothing, expected one of each, sum",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_no_kernel_is_refused(words: str, tmp_path: Path) -> None:
    assert re.match(REFUSED[words], refused(tmp_path, *words.split()))


def test_a_file_that_changes_is_seen() -> None:
    source = read_source("filters", {"source": "npy", "path": "k.npy", "channels": "each"})
    np.save("k.npy", np.array(SHARPEN, np.int16))
    wanted = source.signature(Request((None, 3, None, None)))
    assert wanted.shape == (3, 3, 3, 3)
    for other in (np.ones((2, 2)), np.ones((2, 3, 3)), np.ones((1, 1, 3, 3))):
        np.save("k.npy", other.astype(np.int16))
        with pytest.raises(
            ConfigError, match=r"filters\.path: got \(.*\), expected (a kernel \(3, 3\)|as many kernels)"
        ):
            source.make(wanted, np.random.PCG64(0))


# A sharpened photo


def test_a_sharpened_photo_is_a_photo() -> None:
    pillow = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(3).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    pillow.fromarray(pixels).save("photo.png")
    answer = convpipe("experiment=sharpen", "input.path=photo.png")
    assert answer.code == 0, answer.err
    (picture,) = Path("runs/sharpen").glob("*/map_sharpen_RGB.png")
    wide = [ndimage.correlate(pixels[..., at].astype(int), np.array(SHARPEN), mode="nearest") for at in range(3)]
    assert np.array_equal(np.asarray(pillow.open(picture)), np.stack(wide, axis=-1).clip(0, 255).astype(np.uint8))
