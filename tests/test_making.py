"""What it takes to make the arrays that a run starts from counts like its stages, before any is made."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_cases import a_spec, network_spec
from test_safetensors import file_of

from convpipe.errors import ConfigError
from convpipe.execution import runner
from convpipe.execution.inputs import make_arrays
from convpipe.graph.making import making_peak
from convpipe.graph.work import check_memory, plan_work
from convpipe.sources import Request, read_source

VALUES = np.arange(4 * 50 * 40, dtype="<i2").reshape(1, 4, 50, 40) % 100
BYTES = VALUES.nbytes
FLAT = {"flat": {"op": "flatten"}}  # which takes its input once more


def saved(folder: Path, array: Any, kind: str = "npy") -> dict[str, Any]:
    """The settings of an input that is a file of that array."""
    path = folder / f"x.{kind}"
    if kind == "npy":
        np.save(path, array)
    elif kind == "npz":
        np.savez_compressed(path, images=array)
    else:
        span = [0, array.nbytes]
        path.write_bytes(
            file_of({"images": {"dtype": "I16", "shape": array.shape, "data_offsets": span}}, array.tobytes())
        )
    return {"source": kind, "path": str(path)}


def beside(settings: dict[str, Any]) -> int:
    """How much memory a source says that making takes beside its array."""
    source = read_source("input", settings)
    return source.making_bytes(source.signature(Request(entry="images")), "images")


@pytest.mark.parametrize("kind", ["npy", "npz"])
@pytest.mark.parametrize(
    ("array", "dtype", "times"),
    [
        (VALUES, None, 0),
        (VALUES, "int16", 0),
        (VALUES, "int32", 1),
        (VALUES.astype(">i2"), None, 1),
        (np.asfortranarray(VALUES), None, 1),
        (np.asfortranarray(VALUES).astype(">i2"), "float64", 2),
    ],
)
def test_a_file_takes_a_copy_where_its_order_or_dtype_changes(
    kind: str, array: Any, dtype: str | None, times: int, tmp_path: Path
) -> None:
    assert beside(saved(tmp_path, array, kind) | ({"dtype": dtype} if dtype else {})) == times * BYTES


@pytest.mark.parametrize(("dtype", "times"), [(None, 0), ("int64", 1)])
def test_an_array_of_a_safetensors_file(dtype: str | None, times: int, tmp_path: Path) -> None:
    assert beside(saved(tmp_path, VALUES, "safetensors") | ({"dtype": dtype} if dtype else {})) == times * BYTES


def test_a_source_that_draws_takes_nothing_that_counts() -> None:
    assert beside({"source": "integers", "shape": [1, 4, 50, 40]}) == 0


@pytest.mark.parametrize("array", [VALUES.astype(">i2"), np.asfortranarray(VALUES)])
@pytest.mark.parametrize("dtype", [None, "int64"])
def test_no_more_is_taken_than_is_said(array: Any, dtype: str | None, tmp_path: Path) -> None:
    big = np.tile(array, (50, 1, 1, 1))
    np.save(tmp_path / "x.npy", big.astype(array.dtype, order="F"))
    spec = a_spec({"input": {"source": "npy", "path": str(tmp_path / "x.npy"), "dtype": dtype}})
    work = plan_work(spec)
    make_arrays(spec, work)
    tracemalloc.start()
    make_arrays(spec, work)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    said = making_peak(spec, work.plan.given, work.batch)
    assert 0.7 * said < peak < said + 300_000


def test_a_run_whose_files_do_not_fit_is_refused(tmp_path: Path) -> None:
    big = np.tile(VALUES, (50, 1, 1, 1))
    spec = network_spec(FLAT, {"input": saved(tmp_path, big)})
    work = plan_work(spec)
    check_memory(work, spec, work.peak_bytes)
    turned = network_spec(FLAT, {"input": {**saved(tmp_path, big.astype(">i8")), "dtype": "int16"}})
    with pytest.raises(
        ConfigError, match=r"^limits\.memory: got .* MiB, expected at least .* to make the arrays this run starts from$"
    ):
        check_memory(plan_work(turned), turned, work.peak_bytes)
    needed = making_peak(turned, work.plan.given, work.batch)
    assert needed > work.peak_bytes
    check_memory(plan_work(turned), turned, needed)
    with pytest.raises(ConfigError, match=r"^limits\.memory: got "):
        runner.prepare(turned, needed - 1)


def test_the_whole_batch_of_a_network_counts(tmp_path: Path) -> None:
    big = np.tile(VALUES, (50, 1, 1, 1))
    spec = network_spec(FLAT, {"input": saved(tmp_path, big.astype(">i2")), "record": 1})
    work = plan_work(spec)
    assert making_peak(spec, work.plan.given, work.batch) == 2 * big.nbytes


def picture(folder: Path, name: str, shape: tuple[int, ...] = (300, 200, 3), **options: Any) -> dict[str, Any]:
    """The settings of an input that is a picture."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is the optional extra `image`")
    pixels = np.arange(np.prod(shape), dtype=np.int64).astype(np.uint8).reshape(shape)
    image.fromarray(pixels).save(folder / name, **options)
    return {"source": "image", "path": str(folder / name)}


@pytest.mark.parametrize(
    ("name", "shape", "mode", "dtype", "bytes_a_pixel"),
    [
        ("x.png", (300, 200, 3), "rgb", "uint8", 4 + 3 - 3),
        ("x.png", (300, 200, 4), "grey", "uint8", 4 + 1 - 1),
        ("x.png", (300, 200), "rgb", "uint8", 1 + 3 - 3),
        ("x.png", (300, 200), "rgb", "float64", 3),
        ("x.png", (300, 200, 3), "rgb", "float32", 3),
        ("x.jpg", (300, 200, 3), "rgb", "uint8", 4 + 8 - 3),
        ("x.webp", (300, 200, 3), "rgb", "uint8", 4 + 12 - 3),
        ("x.webp", (300, 200, 3), "grey", "int16", 4 + 12 - 2),
        ("x.tiff", (300, 200, 3), "rgb", "uint8", 4 + 4 - 3),
        ("x.gif", (300, 200), "grey", "uint8", 1),
        ("x.bmp", (300, 200, 3), "rgb", "uint8", 4 + 4 - 3),
    ],
)
def test_a_picture_counts_as_it_is_decoded(
    name: str, shape: tuple[int, ...], mode: str, dtype: str, bytes_a_pixel: int, tmp_path: Path
) -> None:
    settings = picture(tmp_path, name, shape) | {"mode": mode, "dtype": dtype}
    assert beside(settings) == 300 * 200 * bytes_a_pixel


def test_a_picture_that_is_turned_takes_its_planes_twice(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is the optional extra `image`")
    exif = image.Exif()
    exif[0x0112] = 6
    assert beside(picture(tmp_path, "x.png", exif=exif)) == 300 * 200 * (4 + 6 - 3)


def test_a_vast_picture_is_refused_by_its_header(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is the optional extra `image`")
    file = io.BytesIO()
    image.new("RGB", (13_000, 100)).save(file, "PNG")
    content = file.getvalue()
    (tmp_path / "x.png").write_bytes(with_height(content, 13_000))
    spec = network_spec(FLAT, {"input": {"source": "image", "path": str(tmp_path / "x.png")}})
    tracemalloc.start()
    with pytest.raises(
        ConfigError, match=r"^limits\.memory: got 1,000\.0 MiB, expected at least 1\.1 GiB, to make the arr"
    ):
        runner.prepare(spec, 1000 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 << 20


def with_height(png: bytes, height: int) -> bytes:
    """A PNG whose header claims another height."""
    header = png[12:20] + struct.pack(">I", height) + png[24:29]
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]
