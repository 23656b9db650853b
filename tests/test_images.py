"""Photographs in and pictures out, against Pillow itself."""

from __future__ import annotations

import io
import os
import struct
import sys
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from convpipe.errors import ConfigError
from convpipe.files import npy
from convpipe.files.images import decoding_bytes, grey_levels, image_size, picture, read_image, scans_of
from convpipe.tensors import DTYPES

Image = pytest.importorskip("PIL.Image", reason="Pillow is the optional extra `image`")
ImageOps = pytest.importorskip("PIL.ImageOps", reason="Pillow is the optional extra `image`")

HEIGHT, WIDTH = 150, 70  # more than two bands of rows
PIXELS = np.arange(HEIGHT * WIDTH * 4, dtype=np.uint32).reshape(HEIGHT, WIDTH, 4) * 7919 % 256
RGBA = Image.fromarray(PIXELS.astype(np.uint8))


def planes(image: Any, mode: str) -> Any:
    """What Pillow makes of an image, as (1, C, H, W)."""
    pixels = np.asarray(image.convert(mode))
    return (pixels[:, :, None] if pixels.ndim == 2 else pixels).transpose(2, 0, 1)[None]


def assert_reads_as(path: Path, image: Any) -> None:
    """The file reads as the image, coloured and grey, and its size is known beforehand."""
    assert image_size(path) == (image.height, image.width)
    for mode, name in (("rgb", "RGB"), ("grey", "L")):
        read = read_image(path, mode)
        assert read.dtype == np.uint8
        assert read.flags.c_contiguous
        np.testing.assert_array_equal(read, planes(image, name))


def test_the_comparison_can_fail(tmp_path: Path) -> None:
    RGBA.save(tmp_path / "x.png")
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        assert_reads_as(tmp_path / "x.png", ImageOps.flip(RGBA))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
def test_png_of_every_mode(tmp_path: Path, mode: str) -> None:
    image = RGBA.convert("RGB").convert("P") if mode == "P" else RGBA.convert(mode)
    image.save(tmp_path / "x.png")
    assert_reads_as(tmp_path / "x.png", image)


@pytest.mark.parametrize("suffix", ["bmp", "gif", "tiff", "webp", "ppm", "jpg"])
def test_every_format(tmp_path: Path, suffix: str) -> None:
    RGBA.convert("RGB").save(tmp_path / f"x.{suffix}")
    with Image.open(tmp_path / f"x.{suffix}") as image:
        assert_reads_as(tmp_path / f"x.{suffix}", image)


def test_a_phones_jpeg_with_a_second_picture_reads_as_its_first(tmp_path: Path) -> None:
    RGBA.convert("RGB").save(tmp_path / "x.jpg", "MPO", save_all=True, append_images=[Image.new("RGB", (3, 3))])
    with Image.open(tmp_path / "x.jpg") as image:
        assert image.format == "MPO"
        assert_reads_as(tmp_path / "x.jpg", image)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_of_a_picture_that_moves_the_first_is_read(tmp_path: Path, suffix: str) -> None:
    first, *more = (RGBA.convert("RGB").rotate(90 * turns) for turns in range(4))
    first.save(tmp_path / f"x.{suffix}", save_all=True, append_images=more, lossless=True)
    with Image.open(tmp_path / f"x.{suffix}") as image:
        assert image.n_frames == 4
        assert_reads_as(tmp_path / f"x.{suffix}", image)


def test_transparency_is_dropped_not_blended(tmp_path: Path) -> None:
    Image.new("RGBA", (1, 1), (200, 100, 50, 0)).save(tmp_path / "x.png")
    assert read_image(tmp_path / "x.png").ravel().tolist() == [200, 100, 50]


def test_a_transparent_palette_colour_keeps_its_colour(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1), 1)
    image.putpalette([0, 0, 0, 9, 8, 7])
    image.save(tmp_path / "x.png", transparency=b"\xff\x00")
    assert read_image(tmp_path / "x.png")[0, :, 0, 0].tolist() == [9, 8, 7]


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("suffix", ["png", "tiff", "webp", "jpg"])
def test_exif_orientation(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    RGBA.convert("RGB").save(tmp_path / f"x.{suffix}", exif=exif)
    with Image.open(tmp_path / f"x.{suffix}") as image:
        assert_reads_as(tmp_path / f"x.{suffix}", ImageOps.exif_transpose(image))


@pytest.mark.parametrize("suffix", ["png", "tiff", "pgm"])
def test_sixteen_bits_keep_the_high_byte(tmp_path: Path, suffix: str) -> None:
    values = (np.arange(HEIGHT * WIDTH, dtype=np.uint32) * 6007 % 65536).astype(np.uint16).reshape(HEIGHT, WIDTH)
    values[0, 0], values[0, 1] = 0, 65535
    Image.fromarray(values).save(tmp_path / f"x.{suffix}")
    np.testing.assert_array_equal(read_image(tmp_path / f"x.{suffix}", "grey")[0, 0], values >> 8)
    np.testing.assert_array_equal(read_image(tmp_path / f"x.{suffix}")[0], np.stack([values >> 8] * 3))


def test_a_float_map_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.pfm").write_bytes(b"Pf 2 1 -1.0\n" + np.array([0.5, 70_000], "<f4").tobytes())
    with pytest.raises(
        ConfigError, match=r"^input\.path: got .*an image file that can be read .its pixels are floating-po"
    ):
        read_image(tmp_path / "x.pfm")


def png_bytes() -> bytes:
    """A whole PNG file."""
    file = io.BytesIO()
    RGBA.save(file, "PNG")
    return file.getvalue()


def claiming(width: int, height: int) -> bytes:
    """A PNG whose header claims a size that its few bytes cannot fill."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + png_bytes()[33:]


DAMAGED = {
    "no bytes": (b"", "an image file .it is empty"),
    "text": (b"hello", "an image: PNG"),
    "npy": (b"\x93NUMPY\x01\x00", "an image: PNG"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "an image: PNG"),
    "truncated": (png_bytes()[: len(png_bytes()) // 2], "an image file that can be read"),
    "damaged": (png_bytes()[:60] + b"\0\1\2\3" + png_bytes()[64:], "an image file that can be read"),
    "a bomb": (claiming(100_000, 100_000), "an image of at most 178956970 pixels"),
}


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.filterwarnings("error")
def test_damaged_files_are_one_line_of_error(tmp_path: Path, name: str) -> None:
    content, expected = DAMAGED[name]
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"^filters\.path: got .*expected {expected}") as raised:
        read_image(tmp_path / "x.png", key="filters.path")
    assert "\n" not in str(raised.value)


def vast(suffix: str, width: int, height: int) -> bytes:
    """The beginning of a file whose header claims a size."""
    little, big = struct.pack("<II", width, height), struct.pack(">HH", height, width)
    shorts = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 8), (278, height), (279, 10**6)]
    tags = struct.pack("<H", len(shorts)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in shorts)
    starts = {
        "gif": b"GIF89a"
        + struct.pack("<HH", width, height)
        + b"\0\0\0,"
        + bytes(4)
        + struct.pack("<HH", width, height),
        "bmp": b"BM" + bytes(8) + struct.pack("<II", 54, 40) + little + struct.pack("<HH", 1, 24) + bytes(24),
        "ppm": f"P6 {width} {height} 255\n".encode(),
        "tiff": b"II*\0\x08\0\0\0" + tags + bytes(4),
        "jpg": b"\xff\xd8\xff\xc0\x00\x11\x08" + big + b"\x03\x01\x11\0\x02\x11\0\x03\x11\0\xff\xda",
        "png": claiming(width, height)[:60],
    }
    return starts[suffix] + bytes(20)


@pytest.mark.parametrize("suffix", ["gif", "bmp", "ppm", "tiff", "jpg", "png"])
@pytest.mark.parametrize("read", [image_size, read_image])
def test_a_header_that_claims_too_much_is_refused_at_once(tmp_path: Path, suffix: str, read: Any) -> None:
    (tmp_path / f"x.{suffix}").write_bytes(vast(suffix, 60_000, 50_000))
    tracemalloc.start()
    with pytest.raises(ConfigError, match=r"^input\.path: got .*, expected an image of at most 178956970 pixels$"):
        read(tmp_path / f"x.{suffix}")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


@pytest.mark.parametrize("suffix", ["gif", "bmp", "ppm", "tiff", "jpg", "png"])
def test_a_header_that_claims_what_is_not_there(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"x.{suffix}").write_bytes(vast(suffix, 300, 200))
    assert image_size(tmp_path / f"x.{suffix}") == (200, 300)
    with pytest.raises(ConfigError, match=r"^input\.path: got .*, expected an image file that can be read \(.*\)$"):
        read_image(tmp_path / f"x.{suffix}")


def run_lengths(width: int, height: int) -> bytes:
    """A BMP of rows that are run-length coded, of one grey each."""
    rows = b"".join(bytes([width, row % 256, 0, 0]) for row in range(height)) + b"\0\1"
    palette = b"".join(bytes([grey, grey, grey, 0]) for grey in range(256))
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(rows), 0, 0, 256, 0) + palette
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + len(rows), 0, 0, 14 + len(head)) + head + rows


def test_a_run_length_coded_bmp(tmp_path: Path) -> None:
    (tmp_path / "x.bmp").write_bytes(run_lengths(9, 300))
    assert read_image(tmp_path / "x.bmp", "grey")[0, 0].tolist() == [[row % 256] * 9 for row in range(299, -1, -1)]
    vast = run_lengths(9, 300).replace(struct.pack("<ii", 9, 300), struct.pack("<ii", 13_000, 12_000))
    (tmp_path / "x.bmp").write_bytes(vast)
    for read in (image_size, read_image):
        with pytest.raises(
            ConfigError, match=r"\(it is run-length coded, with more than 16777216 pixels; save it as \.png"
        ):
            read(tmp_path / "x.bmp")


@pytest.mark.parametrize("scans", [0, 50, 500])
def test_a_jpeg_whose_scans_are_many(tmp_path: Path, scans: int) -> None:
    file = io.BytesIO()
    RGBA.convert("L").save(file, "JPEG", progressive=True)
    content = file.getvalue()
    last = content.rindex(b"\xff\xda")
    (tmp_path / "x.jpg").write_bytes(content[:last] + content[last:-2] * (1 + scans) + content[-2:])
    assert 3 < content.count(b"\xff\xda") < 20
    if scans > 100:
        with pytest.raises(ConfigError, match=r"\(it has 50\d scans, at most 100 are read; save it as \.png\)$"):
            image_size(tmp_path / "x.jpg")
    else:
        assert image_size(tmp_path / "x.jpg") == (HEIGHT, WIDTH)


@pytest.mark.parametrize("place", [npy.BLOCK_BYTES - 2, npy.BLOCK_BYTES - 1, npy.BLOCK_BYTES])
def test_scans_are_counted_across_blocks(place: int) -> None:
    content = bytearray(2 * npy.BLOCK_BYTES)
    content[place : place + 2] = content[5:7] = b"\xff\xda"
    assert scans_of(io.BytesIO(content)) == 2


@pytest.mark.filterwarnings("error")
def test_the_size_of_a_large_image_is_read_without_decoding_or_warning(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(claiming(10_000, 12_000))
    assert image_size(tmp_path / "x.png") == (12_000, 10_000)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.png", r"an image file that can be read \(No such file or directory\)"),
        ("missing/x.png", r"an image file that can be read \(No such file or directory\)"),
        ("null\0.png", r"an image file that can be read \(embedded null byte\)"),
        (".", r"an image file \(it is a folder, no regular file\)"),
        ("pipe", r"an image file \(it is a pipe, a device or the like, no regular file\)"),
        ("/dev/zero", r"an image file \(it is a pipe, a device or the like, no regular file\)"),
        ("empty.png", r"an image file \(it is empty\)"),
    ],
)
@pytest.mark.parametrize("read", [image_size, read_image, decoding_bytes])
def test_a_path_that_is_no_image(tmp_path: Path, name: str, reason: str, read: Any) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(ConfigError, match=rf"^input\.path: got .*, expected {reason}$"):
        read(tmp_path / name)


def test_a_path_in_any_script(tmp_path: Path) -> None:
    RGBA.save(tmp_path / "사진 1.png")
    assert image_size(tmp_path / "사진 1.png") == (HEIGHT, WIDTH)
    with pytest.raises(ConfigError, match=r"^input\.path: got .*/없다\.png, expected an image file that can be read"):
        image_size(tmp_path / "없다.png")


@pytest.mark.parametrize("call", [lambda: image_size("x.png"), lambda: picture(np.zeros((2, 2)))])
def test_without_pillow_the_error_says_how_to_get_it(monkeypatch: Any, call: Any) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ConfigError, match=r"got no Pillow, expected .*pip install 'convpipe\[image\]'"):
        call()


@pytest.mark.filterwarnings("error")
@settings(deadline=None, derandomize=True)
@given(data=st.data(), dtype=st.sampled_from(DTYPES))
def test_a_picture_runs_from_black_to_white_in_the_values_order(data: Any, dtype: str) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=6))
    values = data.draw(hnp.arrays(dtype, shape))
    with Image.open(io.BytesIO(picture(values))) as image:
        levels = np.asarray(image)
        assert image.mode == "L"
        assert levels.shape == shape
    finite = np.isfinite(values)
    assert not levels[~finite].any()
    if finite.any():
        order = np.argsort(values[finite], kind="stable")
        assert (np.diff(levels[finite][order].astype(int)) >= 0).all()
        ends = [levels[finite].min(), levels[finite].max()]
        assert ends in ([0, 255], [128, 128])
        assert values[finite].min() != values[finite].max() or ends == [128, 128]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("values", "levels"),
    [
        (np.array([[-(2**63), 2**63 - 1]]), [[0, 255]]),
        (np.array([[2**63 - 2, 2**63 - 1]]), [[0, 255]]),
        (np.array([[0, 2**64 - 1]], np.uint64), [[0, 255]]),
        (np.array([[-128, 127, 0]], np.int8), [[0, 255, 128]]),
        (np.array([[-65504, 65504]], np.float16), [[0, 255]]),
        (np.array([[-1.7e308, 1.7e308]]), [[0, 255]]),
        (np.array([[0, 5e-324]]), [[0, 255]]),
        (np.array([[np.nan, np.inf, -np.inf]]), [[0, 0, 0]]),
        (np.array([[np.nan, 3.0]]), [[0, 128]]),
        (np.array([[7, 7]]), [[128, 128]]),
        (np.array([[False, True]]), [[0, 255]]),
        (np.array([[-1, 0]], np.longdouble) * np.finfo(np.longdouble).max, [[0, 255]]),
    ],
)
def test_grey_levels_of_extreme_values(values: Any, levels: Any) -> None:
    assert grey_levels(values).tolist() == levels


@pytest.mark.parametrize("dtype", ["int16", "uint64", "float16", "float64", "bool"])
def test_grey_levels_are_made_band_by_band(dtype: str) -> None:
    values = (np.arange(1 << 20).reshape(1024, 1024) % 251).astype(dtype)
    tracemalloc.start()
    levels = grey_levels(values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * values.size  # of which a quarter is the result
    assert levels.tolist() == np.rint(values.astype(float) / float(values.max()) * 255).tolist()


def test_the_darkest_and_the_lightest_cell_may_lie_in_different_bands() -> None:
    values = np.full((200, 2), np.nan)
    values[[3, 190]] = [[-1.0, 0.0], [1.0, np.inf]]
    levels = grey_levels(values)
    assert (levels[3].tolist(), levels[190].tolist(), int(levels.sum())) == ([0, 128], [255, 0], 383)


@pytest.mark.parametrize("values", [np.zeros(3), np.zeros((0, 3)), np.zeros((2, 2), complex), np.zeros((1, 2, 2))])
def test_what_has_no_picture(values: Any) -> None:
    with pytest.raises(ConfigError, match=r"^picture: got .*expected .H, W. numbers"):
        picture(values)
