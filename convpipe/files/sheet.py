"""Many small pictures with their names on one sheet, as PNG."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from convpipe.files.images import need_pillow
from convpipe.tensors import Array

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

PAGE = 1400  # pixels: how wide a sheet becomes before its pictures go on in the next row
MARGIN, GAP, PAD = 24, 20, 6
LARGEST_LINE = 180  # pixels: a longer one below a narrow picture is cut
SIZES = {"title": 22, "heading": 17, "text": 13}  # of letters, in pixels
LINE = {"title": 32, "heading": 26, "text": 18}  # from one line to the next
INK, FAINT, PAPER, RIM = (25, 25, 30), (95, 95, 100), (255, 255, 255), (190, 190, 195)
# Where the letters of our names are that Pillow's own font lacks, such as Korean ones: the first that is there.
FONTS = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansKR-Regular.otf",
    "NanumGothic.ttf",
    "malgun.ttf",
    "AppleSDGothicNeo.ttc",
    "UnDotum.ttf",
    "DejaVuSans.ttf",
)
NOBODYS = "\U0010fffe"  # a character that no font has


@dataclass(frozen=True)
class Tile:
    """One picture, and what is said of it: its name first."""

    pixels: Array  # (h, w, 3) uint8
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """Pictures that belong together, in groups that each start a row."""

    heading: str
    groups: tuple[tuple[Tile, ...], ...]
    note: str = ""

    @cached_property
    def width(self) -> int:
        """The pixels of the widest picture and of the longest line that is not cut, within limits."""
        tiles = [tile for group in self.groups for tile in group]
        words = [text_width(line, "text") for tile in tiles for line in tile.lines]
        return max([min(LARGEST_LINE, max(words)), *(int(tile.pixels.shape[1]) for tile in tiles)])

    @cached_property
    def rows(self) -> list[tuple[Tile, ...]]:
        """The pictures by rows."""
        fit = max(1, (PAGE - 2 * MARGIN + GAP) // (self.width + GAP))
        return [group[start : start + fit] for group in self.groups for start in range(0, len(group), fit)]


def sheet(title: Sequence[str], sections: Sequence[Section], notes: Sequence[str], key: str = "pictures") -> bytes:
    """A PNG of a title, sections of labelled pictures, and notes; the same bytes for the same Pillow and fonts.

    Raises:
        ConfigError: no Pillow.
    """
    pillow = need_pillow(key)
    import PIL.ImageDraw

    size = sheet_size(title, sections, notes)
    image = pillow.new("RGB", size, PAPER)
    draw, top = PIL.ImageDraw.Draw(image), MARGIN
    for position, line in enumerate(title):
        top = write(draw, (MARGIN, top), line, size[0] - 2 * MARGIN, "heading" if position else "title")
    for section in sections:
        top = write(draw, (MARGIN, top + GAP), section.heading, size[0] - 2 * MARGIN, "heading")
        for row in section.rows:
            for column, tile in enumerate(row):
                left = MARGIN + column * (section.width + GAP)
                draw_tile(image, draw, tile, (left, top + PAD), section.width)
            top += row_height(row)
        if section.note:
            top = write(draw, (MARGIN, top), section.note, size[0] - 2 * MARGIN, "text")
    for line in notes:
        top = write(draw, (MARGIN, top + GAP), line, size[0] - 2 * MARGIN, "text", FAINT) - GAP
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def sheet_size(title: Sequence[str], sections: Sequence[Section], notes: Sequence[str]) -> tuple[int, int]:
    """How wide and high a sheet is."""
    rows = [(section, row) for section in sections for row in section.rows]
    widths = [len(row) * (section.width + GAP) - GAP for section, row in rows]
    texts = [(line, "heading" if position else "title") for position, line in enumerate(title)]
    texts += [(section.heading, "heading") for section in sections]
    texts += [(line, "text") for line in (*notes, *(section.note for section in sections))]
    width = min(PAGE, 2 * MARGIN + max([*widths, *(text_width(line, kind) + 1 for line, kind in texts)]))
    high = sum(row_height(row) for _, row in rows) + sum(LINE[kind] for line, kind in texts if line)
    return max(width, 2 * MARGIN + max(widths)), 2 * MARGIN + high + GAP * (len(sections) + bool(notes))


def row_height(row: Sequence[Tile]) -> int:
    """The pixels from one row of pictures to the next."""
    tallest = max(int(tile.pixels.shape[0]) for tile in row)
    return tallest + 3 * PAD + LINE["text"] * max(len(tile.lines) for tile in row)


def draw_tile(image: Any, draw: ImageDraw, tile: Tile, place: tuple[int, int], width: int) -> None:
    """A picture with a rim, and its lines below."""
    left, top = place
    height, across = tile.pixels.shape[:2]
    image.paste(need_pillow("pictures").fromarray(tile.pixels), place)
    draw.rectangle((left - 1, top - 1, left + across, top + height), outline=RIM)
    top += height + PAD - 1
    for position, line in enumerate(tile.lines):
        top = write(draw, (left, top), line, width, "text", FAINT if position else INK)


# Letters


def write(
    draw: ImageDraw, place: tuple[int, int], line: str, width: int, kind: str, ink: tuple[int, int, int] = INK
) -> int:
    """A line of text, cut where it is too long; gives where the next one starts."""
    text, font = spelt(line, kind)
    while text_width(text, kind) > width and len(text) > 3:
        text = f"{text[: -1 if not text.endswith('..') else -3]}.."
    draw.text(place, text, fill=ink, font=font)
    return place[1] + LINE[kind]


def text_width(line: str, kind: str) -> int:
    """How wide a line is."""
    text, font = spelt(line, kind)
    return int(font.getlength(text)) + 1


@lru_cache(4096)
def spelt(line: str, kind: str) -> tuple[str, Any]:
    """A line in letters that a font of this machine has, and that font."""
    for font in fonts(kind, line.isascii()):
        if has_all(font, line):
            return line, font
    plain = "".join(letter if letter.isascii() else in_latin(letter) for letter in line)
    return plain, next(fonts(kind, True))


def fonts(kind: str, is_ascii: bool) -> Iterator[Any]:
    """Pillow's own font, then those that have more letters."""
    import PIL.ImageFont

    try:
        yield PIL.ImageFont.load_default(SIZES[kind])
    except ImportError:  # a Pillow without FreeType has one font, of one size
        yield PIL.ImageFont.load_default()
    for name in () if is_ascii else FONTS:
        with suppress(OSError, ImportError):
            yield PIL.ImageFont.truetype(name, SIZES[kind])


def has_all(font: Any, line: str) -> bool:
    """Whether a font has every letter of a line: what it lacks looks like what no font has."""
    if line.isascii():
        return True
    try:
        lacking = bytes(font.getmask(NOBODYS))
        return all(letter.isascii() or bytes(font.getmask(letter)) != lacking for letter in set(line))
    except UnicodeError:  # the one font of a Pillow without FreeType has Latin letters alone
        return False


def in_latin(letter: str) -> str:
    """A letter that no font has, in Latin ones.

    >>> "".join(map(in_latin, "층\xe9"))
    'ceunge'
    """
    syllable = unicodedata.name(letter, "").removeprefix("HANGUL SYLLABLE ")
    if syllable.isalpha() and "가" <= letter <= "힣":
        return syllable.lower()
    plain = unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode()
    return plain or f"<{ord(letter):x}>"
