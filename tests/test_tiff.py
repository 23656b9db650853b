"""TIFFs made byte by byte: their pixels are right, or one line says what they are and what to do."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from convpipe.errors import ConfigError
from convpipe.files.images import decoding_bytes, image_size, read_image

pytest.importorskip("PIL.Image", reason="Pillow is the optional extra `image`")

WIDTH, HEIGHT, BITS, PACKING, PHOTOMETRIC, STRIPS, SAMPLES, ROWS, LENGTHS, PLANAR, COLOURS, EXTRA, FORMAT = (
    256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 320, 338, 339,
)  # fmt: skip
SHORT, LONG, LONG8 = 3, 4, 16
CODES = {SHORT: "H", LONG: "I", LONG8: "Q"}
UINT, INT, FLOAT, UNDEFINED, COMPLEX = 1, 2, 3, 4, 6
DEFLATE = 8


def tiff(
    strips: list[bytes], tags: dict[int, Any], order: str = "<", big: bool = False, start: bytes | None = None
) -> bytes:
    """A file of one picture: the strips, then what the tags' values are, then the tags."""
    word, count, kinds = (
        ("Q", "Q", {STRIPS: LONG8, LENGTHS: LONG8}) if big else ("I", "H", {STRIPS: LONG, LENGTHS: LONG})
    )
    head = start or {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "H", 43 if big else 42)
    head += struct.pack(order + "HH", 8, 0) if big else b""
    content = head + bytes(struct.calcsize(order + word))
    places = []
    for strip in strips:
        places.append(len(content))
        content += strip + bytes(len(strip) % 2)
    entries = b""
    for tag, value in sorted({**tags, STRIPS: places, LENGTHS: [len(strip) for strip in strips]}.items()):
        values, kind = value if isinstance(value, list) else [value], kinds.get(tag, SHORT)
        packed = struct.pack(f"{order}{len(values)}{CODES[kind]}", *values)
        if len(packed) > struct.calcsize(order + word):
            content, packed = content + packed, struct.pack(order + word, len(content))
        entries += struct.pack(f"{order}HH{word}", tag, kind, len(values)) + packed.ljust(
            struct.calcsize(order + word), b"\0"
        )
    place = len(content)
    content += struct.pack(order + count, len(entries) // (struct.calcsize(f"{order}HH{word}{word}"))) + entries
    content += bytes(struct.calcsize(order + word))
    return head + struct.pack(order + word, place) + content[len(head) + struct.calcsize(order + word) :]


def of_array(array: Any, order: str = "<", big: bool = False, **changes: Any) -> bytes:
    """A file of an array (H, W) or (H, W, C), in one strip."""
    kind = {"u": UINT, "i": INT, "f": FLOAT, "c": COMPLEX}[array.dtype.kind]
    channels = array.shape[2] if array.ndim == 3 else 1
    tags = {
        WIDTH: array.shape[1],
        HEIGHT: array.shape[0],
        BITS: [8 * array.dtype.itemsize] * channels,
        PACKING: 1,
        PHOTOMETRIC: 2 if channels > 2 else 1,
        SAMPLES: channels,
        ROWS: array.shape[0],
        FORMAT: [kind] * channels,
    }
    return tiff([array.astype(array.dtype.newbyteorder(order)).tobytes()], {**tags, **named(changes)}, order, big)


def named(changes: dict[str, Any]) -> dict[int, Any]:
    """Tags by their names here."""
    return {globals()[name.upper()]: value for name, value in changes.items()}


def packed(values: Any, bits: int) -> bytes:
    """Rows of numbers of so many bits, each row filled up to a byte."""
    rows = ["".join(f"{value:0{bits}b}" for value in row) for row in values]
    return b"".join(int(row.ljust(-(-len(row) // 8) * 8, "0"), 2).to_bytes(-(-len(row) // 8), "big") for row in rows)


GREY = (np.arange(35, dtype=np.uint8) * 37).reshape(5, 7)
WIDE = (np.arange(35) * 3701 % 65536).astype(np.uint16).reshape(5, 7)
RGB = (np.arange(105, dtype=np.uint8) * 29).reshape(5, 7, 3)
WIDE_RGB = (np.arange(105) * 4099 % 65536).astype(np.uint16).reshape(5, 7, 3)
NIBBLES = np.arange(35).reshape(5, 7) * 5 % 16
TWELVE = np.arange(35).reshape(5, 7) * 397 % 4096
COLOUR_MAP = np.arange(768) * 83 % 65536


def of_bits(values: Any, bits: int, **changes: Any) -> bytes:
    """A grey file of so many bits."""
    tags = {WIDTH: 7, HEIGHT: 5, BITS: bits, PACKING: 1, PHOTOMETRIC: 1, SAMPLES: 1, ROWS: 5, **named(changes)}
    return tiff([packed(values, bits)], tags)


def planes_of(array: Any) -> list[bytes]:
    """The channels of an array, one after the other."""
    return [array[:, :, channel].tobytes() for channel in range(array.shape[2])]


RGB_TAGS = {WIDTH: 7, HEIGHT: 5, BITS: [8] * 3, PACKING: 1, PHOTOMETRIC: 2, SAMPLES: 3, ROWS: 5}
READ = {
    "8 bits": (of_array(GREY), GREY),
    "8 bits, big-endian": (of_array(GREY, ">"), GREY),
    "8 bits of a BigTIFF": (of_array(GREY, big=True), GREY),
    "8 bits, 0 is white": (of_array(GREY, photometric=0), 255 - GREY),
    "16 bits": (of_array(WIDE), WIDE >> 8),
    "16 bits, big-endian": (of_array(WIDE, ">"), WIDE >> 8),
    "16 bits of a BigTIFF": (of_array(WIDE, big=True), WIDE >> 8),
    "1 bit": (of_bits(NIBBLES & 1, 1), (NIBBLES & 1) * 255),
    "1 bit, 0 is white": (of_bits(NIBBLES & 1, 1, photometric=0), 255 - (NIBBLES & 1) * 255),
    "2 bits": (of_bits(NIBBLES & 3, 2), (NIBBLES & 3) * 85),
    "4 bits": (of_bits(NIBBLES, 4), NIBBLES * 17),
    "12 bits": (of_bits(TWELVE, 12), TWELVE >> 4),
    "three channels": (of_array(RGB), RGB),
    "three channels, big-endian": (of_array(RGB, ">"), RGB),
    "three channels of 16 bits": (of_array(WIDE_RGB), WIDE_RGB >> 8),
    "three channels of 16 bits, big-endian": (of_array(WIDE_RGB, ">"), WIDE_RGB >> 8),
    "three planes": (tiff(planes_of(RGB), {**RGB_TAGS, PLANAR: 2}), RGB),
    "three channels and one that is none": (of_array(np.dstack([RGB, GREY]), extra=0), RGB),
    "three channels and transparency": (of_array(np.dstack([RGB, GREY]), extra=2), RGB),
    "colours of a palette": (
        of_array(GREY, photometric=3, colours=COLOUR_MAP.tolist()),
        (COLOUR_MAP >> 8).reshape(3, 256)[:, GREY].transpose(1, 2, 0),
    ),
    "deflated": (tiff([zlib.compress(RGB.tobytes())], {**RGB_TAGS, PACKING: DEFLATE}), RGB),
    "deflated, of 16 bits": (
        tiff(
            [zlib.compress(WIDE.astype(">u2").tobytes())],
            {WIDTH: 7, HEIGHT: 5, BITS: 16, PACKING: DEFLATE, PHOTOMETRIC: 1, SAMPLES: 1, ROWS: 5},
            ">",
        ),
        WIDE >> 8,
    ),
    "without a word on samples": (
        tiff([GREY.tobytes()], {WIDTH: 7, HEIGHT: 5, BITS: 8, PACKING: 1, PHOTOMETRIC: 1, ROWS: 5}),
        GREY,
    ),
}


@pytest.mark.parametrize("name", READ)
def test_the_pixels_are_right(name: str, tmp_path: Path) -> None:
    content, expected = READ[name]
    (tmp_path / "x.tiff").write_bytes(content)
    planes = expected.transpose(2, 0, 1) if expected.ndim == 3 else np.stack([expected] * 3)
    assert image_size(tmp_path / "x.tiff") == (5, 7)
    read = read_image(tmp_path / "x.tiff")
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read[0], planes)
    if expected.ndim == 2:
        np.testing.assert_array_equal(read_image(tmp_path / "x.tiff", "grey")[0, 0], expected)


KINDS = ["int8", "int16", "int32", "int64", "uint32", "uint64", "float16", "float32", "float64", "complex64"]


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True), (">", True)])
@pytest.mark.parametrize("read", [image_size, read_image, decoding_bytes])
def test_pixels_of_other_dtypes_are_named(
    dtype: str, channels: int, order: str, big: bool, read: Any, tmp_path: Path
) -> None:
    shape = (5, 7) if channels == 1 else (5, 7, 3)
    (tmp_path / "x.tiff").write_bytes(of_array(np.ones(shape, dtype), order, big))
    what = f"it has {channels} channels? of {dtype}, a picture has uint of 1 to 16 bits; .* save its array as \\.npy"
    with pytest.raises(
        ConfigError, match=rf"^input\.path: got .*, expected an image file that can be read \({what}\)$"
    ):
        read(tmp_path / "x.tiff")


REFUSED = {
    "16 bits, 0 is white": (of_array(WIDE, photometric=0), r"it has 1 channel of uint16 whose 0 is white; read it"),
    "planes of 16 bits": (
        tiff(planes_of(WIDE_RGB), {**RGB_TAGS, BITS: [16] * 3, PLANAR: 2}),
        r"it has 3 channels of uint16 in planes of their own; read it",
    ),
    "channels that differ": (of_array(RGB, bits=[8, 8, 16]), r"it has 3 channels of uint16 and uint8, a picture has"),
    "formats that differ": (of_array(RGB, format=[1, 1, 2]), r"it has 3 channels of int8 and uint8, a picture has"),
    "undefined": (of_array(GREY, format=UNDEFINED), r"it has 1 channel of undefined8, a picture has"),
    "a format that is none": (of_array(GREY, format=77), r"it has 1 channel of unknown 8, a picture has"),
    "24 bits": (of_array(GREY, bits=24), r"it has 1 channel of uint24, a picture has"),
    "five channels of grey": (
        of_array(np.dstack([RGB, GREY, GREY]), photometric=1),
        r"it is a TIFF of 5 channels of uint8, which Pillow does not read; read it",
    ),
    "a big-endian BigTIFF": (
        of_array(GREY, ">", big=True),
        r"it is a TIFF of 1 channel of uint8, which Pillow does not",
    ),
    "the order of the magic number turned": (
        tiff([GREY.tobytes()], {**RGB_TAGS, BITS: 8, SAMPLES: 1, FORMAT: INT, PHOTOMETRIC: 1}, start=b"II\0*"),
        r"it has 1 channel of int8, a picture has",
    ),
    "no tags": (b"II*\0\x08\0\0\0\0\0", r"it is a TIFF of 1 channel of uint1, which Pillow does not read"),
    "tags beyond the end": (b"II*\0\xff\xff\xff\xff", r"the file ended early"),
    "half a start": (b"II*\0\x08", r"the file ended early"),
    "many tags": (b"II*\0\x08\0\0\0\xff\xff", r"it has 65535 tags, at most 4096 are read"),
    "more tags than there are": (b"II*\0\x08\0\0\0\xff\0", r"the file ended early"),
    "a vast count": (
        b"II+\0\x08\0\0\0" + struct.pack("<QQHHQQ", 16, 1, BITS, SHORT, 2**60, 0),
        r"a tag of its pixels is damaged",
    ),
    "no values": (b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, BITS, SHORT, 0, 0), r"a tag of its pixels is damaged"),
    "a text for a number": (
        b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, BITS, 2, 1, 0),
        r"a tag of its pixels is dam",
    ),
    "values beyond 64 bits": (
        b"II+\0\x08\0\0\0" + struct.pack("<QQHHQQ", 16, 1, BITS, SHORT, 9, 2**64 - 1),
        r"(the file ended early|cannot fit)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("read", [image_size, read_image])
def test_what_is_not_read_is_one_line(name: str, read: Any, tmp_path: Path) -> None:
    content, expected = REFUSED[name]
    (tmp_path / "x.tiff").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"^input\.path: got .*, expected an image.* \({expected}") as raised:
        read(tmp_path / "x.tiff")
    assert "\n" not in str(raised.value)


def test_of_several_pages_the_first_is_read(tmp_path: Path) -> None:
    from PIL import Image

    pages = [Image.fromarray(GREY), Image.fromarray(RGB), Image.fromarray(np.ones((5, 7), np.float32))]
    pages[0].save(tmp_path / "x.tiff", save_all=True, append_images=pages[1:])
    np.testing.assert_array_equal(read_image(tmp_path / "x.tiff", "grey")[0, 0], GREY)
    pages[2].save(tmp_path / "x.tiff", save_all=True, append_images=pages[:2])
    with pytest.raises(ConfigError, match=r"it has 1 channel of float32, a picture has"):
        read_image(tmp_path / "x.tiff")


@pytest.mark.parametrize("name", ["8 bits", "16 bits of a BigTIFF", "three planes", "colours of a palette"])
def test_a_file_cut_anywhere_is_refused(name: str, tmp_path: Path) -> None:
    content, _ = READ[name]
    for cut in range(0, len(content) - 12, 7):
        (tmp_path / "x.tiff").write_bytes(content[:cut])
        with pytest.raises(ConfigError, match=r"^input\.path: got .*, expected an image"):
            read_image(tmp_path / "x.tiff")


@settings(deadline=None, max_examples=300, derandomize=True)
@given(data=st.data(), name=st.sampled_from(["8 bits", "16 bits", "three channels", "16 bits of a BigTIFF"]))
def test_a_file_whose_pixels_are_said_to_be_others_is_not_misread(
    tmp_path_factory: pytest.TempPathFactory, data: Any, name: str
) -> None:
    content, _ = READ[name]
    kind = data.draw(st.sampled_from([INT, FLOAT, UNDEFINED, COMPLEX, 0, 9]))
    channels = 3 if name == "three channels" else 1
    kinds = data.draw(st.permutations([kind, *[UINT] * (channels - 1)]))
    arrays = {"8 bits": GREY, "16 bits": WIDE, "three channels": RGB, "16 bits of a BigTIFF": WIDE}
    path = tmp_path_factory.getbasetemp() / "said.tiff"
    path.write_bytes(of_array(arrays[name], big="Big" in name, format=list(kinds)))
    assert path.read_bytes() != content
    with pytest.raises(ConfigError, match=r"a picture has uint of 1 to 16 bits"):
        read_image(path)
