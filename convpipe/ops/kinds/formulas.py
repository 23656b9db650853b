"""Formulas of cells as data: read once from a text, told with numbers in it, and worked out exactly.

A formula is never run: it is read to lists of words and numbers, which the page has too (`forms.mjs`), and of which
only those in `FUNCTIONS` and the signs below mean anything.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from convpipe.ops.kinds.machine_numbers import MACHINE, pairs16, saturating

MOST_TERMS = 32  # told one by one; of the others only how many
MOST_POWER = 64  # that is worked out exactly

Formula = Any  # a name, a number, or a sign or the name of a function with what it is of

SIGNS: Mapping[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Pow: "**",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.BitAnd: "&",
    ast.BitOr: "|",
}
RANKS = {
    ">=": 0,
    "<<": 0,
    ">>": 0,
    "&": 0,
    "|": 0,
    "+": 1,
    "-": 1,
    "*": 2,
    "/": 2,
    "//": 2,
    "**": 4,
}  # what binds tighter
ATOM = 9
STEPS = ("exp", "log", "sqrt", "tanh", "**")  # whose values are told on the way
ALL = ("max", "min", "count")  # of all cells that a name has, not of those at one place of a sum
ADDING = ("saturating", "pairs16")  # sums of terms, as `sum`, in accumulators that count on the way
EXACT: Mapping[str, Callable[[Any, Any], Any]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}
BITWISE: Mapping[str, Callable[[int, int], int]] = {  # of whole numbers
    "<<": operator.lshift,
    ">>": operator.rshift,
    "//": operator.floordiv,
    "&": operator.and_,
    "|": operator.or_,
    ">=": lambda first, second: int(first >= second),
}
IEEE = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "**": np.power}
FUNCTIONS: dict[str, Callable[[float], Any]] = {
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
    "Phi": lambda x: math.erfc(-x / math.sqrt(2)) / 2,  # how probable a standard normal variable is below x
}


@cache
def formula(text: str) -> Formula:
    """A formula, from the words and signs that Python has for it.

    >>> formula("max(0, x)"), formula("-slope * x if x < 0 else x")
    (('max', 0, 'x'), ('?', 'x', ('*', ('-', 'slope'), 'x'), 'x'))
    """
    return parsed(ast.parse(text, mode="eval").body)


def parsed(node: ast.expr) -> Formula:
    """A formula of what Python's parser has made."""
    match node:
        case ast.Name(name):
            return name
        case ast.Constant(int() | float() as value):
            return value
        case ast.UnaryOp(ast.USub(), of):
            return ("-", parsed(of))
        case ast.BinOp(first, sign, second):
            return (SIGNS[type(sign)], parsed(first), parsed(second))
        case ast.Call(ast.Name(name), [*of]):
            return (name, *map(parsed, of))
        case ast.Compare(left, [ast.GtE()], [right]):
            return (">=", parsed(left), parsed(right))
        case ast.IfExp(ast.Compare(left, [ast.Lt()], [ast.Constant(0)]), negative, other):
            return ("?", parsed(left), parsed(negative), parsed(other))
    raise ValueError(
        f"got {ast.unparse(node)}, expected names, numbers, signs, calls, or one thing below 0 and another"
    )


@dataclass(frozen=True)
class Operand:
    """One cell that stands in a formula: its value, whether it is padding, and perhaps how it is written."""

    value: Any
    padding: bool = False
    written: str = ""

    @property
    def text(self) -> str:
        """It for people; padding stands in brackets."""
        return bracketed(self.written or short(self.value), self.padding)


Cells = Mapping[str, Sequence[Operand]]


# Numbers


def exact(value: Any) -> Any:
    """A finite float as a fraction; whole numbers, infinities and NaN as they are."""
    return Fraction(value) if isinstance(value, float) and math.isfinite(value) else value


def as_float(value: Any) -> float:
    """The nearest float, beyond the largest infinity."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def combined(sign: str, first: Any, second: Any) -> Any:
    """Two numbers combined: exactly where both are finite, else as IEEE has it."""
    if sign in BITWISE:
        return BITWISE[sign](first, second)
    if all(isinstance(each, int | Fraction) for each in (first, second)):
        if sign in EXACT:
            return EXACT[sign](first, second)
        if sign == "/" and second:
            return Fraction(first) / second
        if sign == "**" and isinstance(second, int) and 0 <= second <= MOST_POWER:
            return first**second
    with np.errstate(all="ignore"):
        return exact(float(IEEE[sign](np.float64(as_float(first)), np.float64(as_float(second)))))


def short(value: Any) -> str:
    """A number for people: whole ones whole, others to six digits.

    >>> short(3), short(0.123456789), short(Fraction(7, 2)), short(-0.0)
    ('3', '0.123457', '3.5', '0')
    """
    return str(value) if isinstance(value, int) else f"{as_float(value) + 0:.6g}"  # + 0 makes -0.0 a 0.0


# What a formula comes to


def value_of(of: Formula, cells: Cells, at: int | None = None) -> Any:
    """The value of a formula: an int, a fraction, or a float that is not finite.

    Args:
        cells: what its names stand for: one cell, or those that its sums, maxima and counts are of.
        at: inside of a sum, which of them.

    >>> x = [Operand(5), Operand(7), Operand(0, padding=True)]
    >>> value_of(formula("sum(x) / count(x)"), {"x": x})
    Fraction(4, 1)
    """
    if isinstance(of, str):
        return exact(operand(of, cells, at).value)
    if not isinstance(of, tuple):
        return exact(of)
    word, *parts = of
    if word == "sum":
        return total([value_of(parts[0], cells, place) for place in range(terms(parts[0], cells))])
    if word in ADDING:
        limits = [value_of(part, cells) for part in parts[1:]]
        return held_sum(word, [value_of(parts[0], cells, place) for place in range(terms(parts[0], cells))], limits)
    if word == "count":
        return len(cells[parts[0]])
    if word in ALL:
        return extreme(word, [value for part in parts for value in all_values(part, cells, at)], cells)
    if word == "?":
        return value_of(parts[1 if value_of(parts[0], cells, at) < 0 else 2], cells, at)
    values = [value_of(part, cells, at) for part in parts]
    if word in MACHINE:
        return MACHINE[word](values[0])
    if word in FUNCTIONS:
        with np.errstate(all="ignore"):
            return exact(float(FUNCTIONS[word](as_float(values[0]))))
    return -values[0] if len(values) == 1 else combined(word, *values)


def held_sum(word: str, values: list[Any], limits: Sequence[Any]) -> Any:
    """The sum of numbers in an accumulator that counts on the way."""
    return pairs16(values) if word == "pairs16" else saturating(values, *limits)


def operand(name: str, cells: Cells, at: int | None) -> Operand:
    """The cell that a name stands for at one place of a sum, or everywhere."""
    found = cells[name]
    return found[at if at is not None and len(found) > 1 else 0]


def terms(of: Formula, cells: Cells) -> int:
    """How many terms a sum has: as many as there are cells of the names in it."""
    counts = {len(cells[name]) for name in names(of)}
    return 0 if 0 in counts else max(counts)


def names(of: Formula) -> list[str]:
    """The names in a formula."""
    if isinstance(of, str):
        return [of]
    return [name for part in of[1:] for name in names(part)] if isinstance(of, tuple) else []


def total(values: Sequence[Any]) -> Any:
    """The sum of numbers."""
    found: Any = 0
    for value in values:
        found = combined("+", found, value)
    return found


def all_values(of: Formula, cells: Cells, at: int | None) -> list[Any]:
    """The values of all cells of a name, or that of another formula."""
    return [exact(each.value) for each in cells[of]] if isinstance(of, str) else [value_of(of, cells, at)]


def extreme(word: str, values: Sequence[Any], cells: Cells) -> Any:
    """The largest or the least; NaN where one is; of nothing what the formula has for that."""
    if not values:
        return exact(cells["least"][0].value)
    odd = [value for value in values if value != value]
    return odd[0] if odd else max(values) if word == "max" else min(values)


# What it is told as


def told(of: Formula, cells: Cells) -> list[str]:
    """A formula with the numbers in it; then once more with the functions in it worked out, if there are any.

    >>> told(formula("1 / (1 + exp(-x))"), {"x": [Operand(-2)]}), told(formula("max(0, x)"), {"x": [Operand(-3)]})
    (['1 / (1 + exp(-(-2)))', '1 / (1 + 7.38906)'], ['max(0, -3)'])
    """
    first, *more = (text for text, _ in (rendered(of, cells, None, worked) for worked in (False, True)))
    inner = isinstance(of, tuple) and any(has_steps(part) for part in chosen(of, cells)[1:])
    return [first, *(more if inner else [])]


def chosen(of: Formula, cells: Cells) -> Formula:
    """Of one thing and another that which counts."""
    if isinstance(of, tuple) and of[0] == "?":
        return chosen(of[2 if value_of(of[1], cells) < 0 else 3], cells)
    return of if isinstance(of, tuple) else ("", of)


def is_name(of: Formula, cells: Cells) -> bool:
    """Whether what counts of a formula is another number as it is."""
    return not chosen(of, cells)[0]


def has_steps(of: Formula) -> bool:
    """Whether a formula has a function whose value is told on the way."""
    return isinstance(of, tuple) and (of[0] in STEPS or any(map(has_steps, of[1:])))


def rendered(of: Formula, cells: Cells, at: int | None, worked: bool, inner: bool = False) -> tuple[str, int]:
    """A formula as a text, and how tightly that holds together.

    Args:
        worked: whether functions are told by their values.
        inner: whether it is a part of another; a whole one is not told by its value.
    """
    if isinstance(of, str):
        return operand(of, cells, at).text, ATOM
    if not isinstance(of, tuple):
        return short(of), ATOM
    word, *parts = of
    if worked and inner and (word in STEPS or (word == "sum" and has_steps(of))):
        return short(value_of(of, cells, at)), ATOM
    if word == "?":
        return rendered(parts[1 if value_of(parts[0], cells, at) < 0 else 2], cells, at, worked, inner)
    if word == "count":
        return short(value_of(of, cells)), ATOM
    if word == "sum":
        return rendered_sum(parts[0], cells, worked)
    if word in ADDING:
        return f"{word}({rendered_sum(parts[0], cells, worked)[0]})", ATOM
    if word in RANKS and len(parts) == 2:
        return rendered_sign(word, [rendered(part, cells, at, worked, True) for part in parts])
    if word == "-":
        text, rank = rendered(parts[0], cells, at, worked, True)
        return f"-{bracketed(text, rank < ATOM or text.startswith('-'))}", 3
    told = [text for part in parts for text in all_texts(part, cells, at, worked)]
    return f"{word}({listed(told, ', ')})", ATOM


def rendered_sum(of: Formula, cells: Cells, worked: bool) -> tuple[str, int]:
    """The terms of a sum, with plus signs between them."""
    parts = [rendered(of, cells, place, worked, True) for place in range(terms(of, cells))]
    if len(parts) == 1:
        return parts[0]
    return listed([bracketed(text, rank < 1) for text, rank in parts], " + "), 1


def rendered_sign(sign: str, parts: Sequence[tuple[str, int]]) -> tuple[str, int]:
    """Two texts with a sign between them, in brackets where the sign holds tighter."""
    (first, left), (second, right), rank = *parts, RANKS[sign]
    power = sign == "**"
    bits = sign in BITWISE  # whose order not everybody knows by heart
    first = bracketed(first, left < (ATOM if bits else rank) or (power and (left == rank or first.startswith("-"))))
    second = bracketed(second, right < (ATOM if bits else rank) or (right == rank and sign in "-/"))
    return (f"{first}**{second}" if power else f"{first} {sign} {second}"), rank


def all_texts(of: Formula, cells: Cells, at: int | None, worked: bool) -> list[str]:
    """The texts of all cells of a name, or that of another formula."""
    if isinstance(of, str) and len(cells[of]) != 1:
        return [rendered(of, {of: [cell]}, None, worked)[0] for cell in cells[of]]
    return [rendered(of, cells, at, worked, True)[0]]


def bracketed(text: str, wanted: bool) -> str:
    """A text in brackets where they are wanted."""
    return f"({text})" if wanted else text


def listed(texts: Sequence[str], between: str) -> str:
    """Texts one after another; of many the first and how many more there are.

    >>> listed([], ", "), listed(["1", "2"], ", "), listed(["1"] * 40, " + ").count("1"), listed(["1"] * 40, " + ")[-7:]
    ('nothing but padding', '1, 2', 32, '8 more)')
    """
    if not texts:
        return "nothing but padding"
    rest = len(texts) - MOST_TERMS
    return between.join([*texts[:MOST_TERMS], *([f"({rest} more)"] if rest > 0 else [])])
