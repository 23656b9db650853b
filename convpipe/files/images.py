"""Photographs in, pictures of feature maps out: with `sheet` all that touches Pillow (the extra ``image``)."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from convpipe.errors import ConfigError, shown
from convpipe.files import npy, tiff
from convpipe.tensors import Array

if TYPE_CHECKING:
    from PIL.Image import Image

MODES = {"rgb": ("RGB", 3), "grey": ("L", 1)}  # our name -> Pillow's, and how many channels
# A closed list: Pillow hands EPS to an outside program (Ghostscript).
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
MOST_BITS = 16
BAND_ROWS = 64  # converted at a time: a whole second image in memory is what this avoids

# Bytes a pixel, measured at 36 megapixels: of Pillow's images by their modes, and of what decoding takes beside.
MODE_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
OTHER_MODE_BYTES = 4
BESIDE = {"WEBP": 12, "TIFF": 4, "JPEG": 8, "MPO": 8, "BMP": 4}  # frames; a strip; waves; runs

RUN_LENGTHS = (1, 2)  # a BMP's, of 8 and of 4 bits
MOST_RUN_LENGTH_PIXELS = 1 << 24
START_OF_SCAN = b"\xff\xda"
MOST_SCANS = 100  # ten are usual

ORIENTATION_TAG = 0x0112  # EXIF 2.32


def image_size(path: str | PathLike[str], key: str = "input.path") -> tuple[int, int]:
    """The (height, width) of an image file held upright, read from its header alone.

    Raises:
        ConfigError: no Pillow, no such file, or not an image.
    """
    with opened(path, key) as (image, _):
        width, height = image.size
        return (width, height) if turn(image)[0] else (height, width)


def decoding_bytes(path: str | PathLike[str], mode: str = "rgb", key: str = "input.path") -> int:
    """How much memory `read_image` takes at its peak, its array included, by the header alone.

    Raises:
        ConfigError: as `image_size`.
    """
    with opened(path, key) as (image, _):
        planes = MODES[mode][1] * (1 + any(turn(image)))
        beside = max(planes, BESIDE.get(image.format or "", 0))
        return image.width * image.height * (MODE_BYTES.get(image.mode, OTHER_MODE_BYTES) + beside)


def read_image(path: str | PathLike[str], mode: str = "rgb", key: str = "input.path") -> Array:
    """Read an image file, held upright as its EXIF orientation says.

    Transparency is dropped, 16-bit channels keep their high byte, and grey of colours is luma (ITU-R BT.601).

    Args:
        path: PNG, JPEG, BMP, GIF (its first picture), TIFF, WebP or PPM.
        mode: ``rgb`` or ``grey``.
        key: the config key that an error names.

    Returns:
        (1, C, H, W) uint8, with C 3 or 1.

    Raises:
        ConfigError: no Pillow, no such file, not an image, or one that is damaged.
    """
    _, channels = MODES[mode]
    with opened(path, key) as (image, bits):
        swap, flip_height, flip_width = turn(image)  # before load, which consumes a TIFF's orientation
        image.load()
        planes = np.empty((1, channels, image.height, image.width), np.uint8)
        for top in range(0, image.height, BAND_ROWS):
            band = image.crop((0, top, image.width, min(top + BAND_ROWS, image.height)))
            planes[0, :, top : top + BAND_ROWS] = band_planes(band, mode, bits)
    upright = planes.swapaxes(2, 3) if swap else planes
    return np.ascontiguousarray(upright[:, :, :: -1 if flip_height else 1, :: -1 if flip_width else 1])


def band_planes(band: Image, mode: str, bits: int) -> Array:
    """Some rows of an image as (C, h, W), or as (h, W) where all channels are the same."""
    if band.mode.startswith("I"):  # 12 or 16 bits; Pillow's own conversion would clip at 255
        values = np.asarray(band)
        if values.size and not 0 <= values.min() <= values.max() < 1 << bits:
            raise ValueError(f"its numbers do not fit {bits} bits")
        return (values >> (bits - 8)).astype(np.uint8)
    if band.mode == "F":
        raise ValueError("its pixels are floating-point numbers; save them as .npy")
    pixels = np.asarray(band.convert(MODES[mode][0]))
    return pixels.transpose(2, 0, 1) if pixels.ndim == 3 else pixels


def turn(image: Image) -> tuple[bool, bool, bool]:
    """What holds an image that is not loaded yet upright: whether to swap H and W, then flip H, then flip W."""
    import PIL.Image

    # Pillow turns a TIFF itself, when it loads it; and a PNG's own getexif decodes it all in search of a late tag
    exif = {} if image.format == "TIFF" else PIL.Image.Image.getexif(image)
    orientation = exif.get(ORIENTATION_TAG, 1)
    return orientation in (5, 6, 7, 8), orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)


@contextmanager
def opened(path: str | PathLike[str], key: str) -> Iterator[tuple[Image, int]]:
    """Open an image file; whatever Pillow says against it, then or on decoding, becomes a ConfigError.

    With it comes how many bits a channel has where these are more than 8.
    """
    pillow = need_pillow(key)
    with npy.opened(path, key, "an image file") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # size is the plan's to judge; a doubtful tag is no news to the user
        pixels = None
        try:
            pixels = tiff.pixels_of(file)
            if pixels is not None:
                pixels.check()
            file.seek(0)
            with pillow.open(file, formats=FORMATS) as image:
                check_effort(image, file)
                yield image, pixels.bits[0] if pixels else MOST_BITS
        except pillow.DecompressionBombError as error:
            raise ConfigError(key, path, f"an image of at most {2 * (pillow.MAX_IMAGE_PIXELS or 0)} pixels") from error
        except pillow.UnidentifiedImageError as error:
            hint = f"it is a TIFF of {pixels}, which Pillow does not read; {tiff.ADVICE}" if pixels else ""
            raise ConfigError(key, path, f"an image: {', '.join(FORMATS)}", hint) from error
        except Exception as error:  # damaged files make Pillow raise nearly anything, SyntaxError, struct.error ...
            reason = shown(getattr(error, "strerror", None) or str(error) or type(error).__name__, 200)
            raise ConfigError(key, path, "an image file that can be read", reason) from error


def check_effort(image: Image, file: BinaryIO) -> None:
    """Its decoder is done in seconds, however small a file may be whose decoder works for minutes.

    Raises:
        ValueError: it would not be.
    """
    if image.format == "BMP" and image.info.get("compression") in RUN_LENGTHS:  # decoded by Python, 0.1 us a pixel
        if image.width * image.height > MOST_RUN_LENGTH_PIXELS:
            raise ValueError(f"it is run-length coded, with more than {MOST_RUN_LENGTH_PIXELS} pixels; save it as .png")
    elif image.format in ("JPEG", "MPO"):  # each scan goes over all pixels, 0.7 ns for each
        place, scans = file.tell(), scans_of(file)
        file.seek(place)
        if scans > MOST_SCANS:
            raise ValueError(f"it has {scans} scans, at most {MOST_SCANS} are read; save it as .png")


def scans_of(file: BinaryIO) -> int:
    """How often a JPEG says that a scan starts, which its coded values never seem to say."""
    file.seek(0)
    scans, last = 0, b""
    while block := file.read(npy.BLOCK_BYTES):
        scans += (last + block).count(START_OF_SCAN)
        last = block[-1:]
    return scans


def need_pillow(key: str) -> Any:
    """The module ``PIL.Image``, or an error that says how to get it."""
    try:
        import PIL.Image
    except ImportError as error:
        raise ConfigError(key, "no Pillow", "Pillow for images", "pip install 'convpipe[image]'") from error
    return PIL.Image


def picture(feature_map: Array, key: str = "picture") -> bytes:
    """A PNG of one 2-D array, from black at its smallest value to white at its largest.

    Args:
        feature_map: (H, W), any integer or float dtype; a constant one is mid grey, NaN and infinity are black.
        key: what an error names.

    Raises:
        ConfigError: no Pillow, or not (H, W) numbers with at least one cell.
    """
    if feature_map.ndim != 2 or not feature_map.size or feature_map.dtype.kind not in "biuf":
        raise ConfigError(key, f"{feature_map.dtype} {feature_map.shape}", "(H, W) numbers, at least one")
    file = io.BytesIO()
    need_pillow(key).fromarray(grey_levels(feature_map)).save(file, "PNG")
    return file.getvalue()


def colour_picture(pixels: Array, key: str = "picture") -> bytes:
    """A PNG of (H, W, 3) uint8, red, green and blue.

    Raises:
        ConfigError: no Pillow.
    """
    file = io.BytesIO()
    need_pillow(key).fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def grey_levels(values: Array) -> Array:
    """Values scaled linearly to 0..255, uint8; a constant gives 128, what is not finite 0.

    >>> grey_levels(np.array([-(2**63), 0, 2**63 - 1])), grey_levels(np.array([1.0, np.nan, 2.0]))
    (array([  0, 128, 255], dtype=uint8), array([  0,   0, 255], dtype=uint8))
    """
    levels = np.zeros(values.shape, np.uint8)
    bands = [slice(top, top + BAND_ROWS) for top in range(0, len(values), BAND_ROWS)]  # or 26 bytes a cell are needed
    ends = [(found.min(), found.max()) for band in bands if (found := values[band][np.isfinite(values[band])]).size]
    if not ends:
        return levels
    lowest, largest = np.min(ends, axis=0)[0], np.max(ends, axis=0)[1]
    highest = heights(np.array([largest], values.dtype), lowest, largest)[0]
    for band in bands:
        finite = np.isfinite(values[band])
        above = heights(values[band][finite], lowest, largest)
        levels[band][finite] = np.rint(above / highest * 255) if highest else 128
    return levels


def heights(values: Array, lowest: Any, largest: Any) -> Array:
    """How far each value lies above the lowest of all, float64 or wider, up to a common factor."""
    if values.dtype.kind in "biu":
        # exact for int64 and uint64 alike: differences modulo 2**64, of values less than 2**64 apart
        return np.asarray(values.astype(np.uint64) - lowest.astype(np.uint64), np.float64)
    wide = values.astype(np.promote_types(values.dtype, np.float64))
    peak = max(abs(wide.dtype.type(lowest)), abs(wide.dtype.type(largest))) or 1
    return np.asarray(wide / peak - wide.dtype.type(lowest) / peak)  # to -1..1 first: their difference may overflow
