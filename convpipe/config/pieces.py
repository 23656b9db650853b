"""The pieces of a value that somebody has typed: brackets, commas and what is between them, quotes respected."""

from __future__ import annotations

import re
from collections.abc import Iterator

QUOTED = r"""\s*(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\s*(?=[\[\]{}(),:=]|\Z)"""
BETWEEN = r"(?:\$\{[^{}]*\}|\\.|[^\[\]{}(),])+"
ENTRY_KEY = r"[^\[\]{}(),:=]+[:=]"  # of a dict, or a function's argument by its name
MARKS = "[]{}(),"


class Piece:
    """A mark of the grammar, or what is between two, and how many brackets are open there. No dataclass, as every
    start makes it.
    """

    def __init__(self, text: str, depth: int, is_mark: bool = False) -> None:
        self.text, self.depth, self.is_mark = text, depth, is_mark


def at(pattern: str, value: str, place: int) -> re.Match[str] | None:
    """What matches at a place; the pattern is made when it is first needed, as few words do."""
    return re.compile(pattern, re.DOTALL).match(value, place)


def pieces(value: str) -> Iterator[Piece]:
    """The pieces of a value: brackets and commas outside of quotes, and what is between them."""
    place, opened = 0, ""
    while place < len(value):
        pattern = at(QUOTED, value, place) or (opened[-1:] in tuple("{(") and at(ENTRY_KEY, value, place))
        if not pattern and value[place] in MARKS:
            mark = value[place]
            opened = opened[:-1] if mark in "]})" else opened
            yield Piece(mark, len(opened), True)
            opened += mark if mark in "[{(" else ""
            place += 1
            continue
        found = pattern or at(BETWEEN, value, place)
        text = found[0] if found else value[place]
        yield Piece(text, len(opened), bool(pattern))
        place += len(text)


def at_commas(value: str) -> list[str]:
    """The values between commas outside of quotes and brackets; where brackets do not match, they are letters.

    >>> at_commas("a (1, 2).png,'b,c'"), at_commas("a (1,b.png")
    (['a (1, 2).png', "'b,c'"], ['a (1', 'b.png'])
    """
    found = [""]
    depth = 0
    for piece in pieces(value):
        depth += piece.is_mark and (piece.text in tuple("[{(")) - (piece.text in tuple("]})"))
        if piece.is_mark and piece.text == "," and piece.depth == 0:
            found.append("")
        else:
            found[-1] += piece.text
    parts = [part.strip() for part in (value.split(",") if depth else found)]
    return parts if all(parts) else [value]
