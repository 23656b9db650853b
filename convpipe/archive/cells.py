"""Cells of tables: values as texts and back, and columns of numbers that keep each number what it is.

A cell that begins with ' is the text behind that mark, whatever that looks like: a number, a list, a formula.
"""

from __future__ import annotations

import ast
import math
import re
import string
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from convpipe.fields import LARGEST

if TYPE_CHECKING:
    import pandas as pd

Number = int | float
# As `str` writes it; the largest float is a whole number of 309 digits.
NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,309})(?:\.\d{1,100})?(?:e[+-]\d{1,3})?", re.ASCII)
ELSEWHERE = re.compile(
    r"\.?\d[\d.,]*(?:e[+-]?\d+)?|true|false", re.ASCII | re.IGNORECASE
)  # what a spreadsheet reads so
TRUTHS = {"True": True, "False": False, "": None}
MARK = "'"  # of a text; a spreadsheet knows it, too
FORMULA = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")  # what a spreadsheet would work out, full-width signs too
BEFORE = frozenset("\t\r\n")  # in front of which it has been seen to look for one
OURS = re.compile(rf"{NUMBER.pattern}|-?inf|nan", re.ASCII)  # begins with a sign, and is a number of ours
SAFE_STARTS = frozenset(f"{string.ascii_letters}{string.digits}[('")
FLOAT_EXACT = 2**53  # whole numbers up to it are the same as floats
WHOLE_DTYPES = {name: np.iinfo(name) for name in ("int64", "uint64")}


# Cells


def cell_text(value: Any) -> str:
    """A value as a cell: as `str` has it, a text with a mark where it would be taken for something else.

    >>> cell_text([1, 2]), cell_text(-1), cell_text("same"), cell_text("7"), cell_text("007"), cell_text("=1+1")
    ('[1, 2]', '-1', 'same', "'7", "'007", "'=1+1")
    """
    if not isinstance(value, str):
        return str(value)
    marked = value.startswith(MARK) or is_formula(value) or ELSEWHERE.fullmatch(value)
    return MARK + value if marked or (value and plain_value(value) != value) else value


def is_formula(text: str) -> bool:
    r"""Whether a spreadsheet might take a text for something to work out, blanks and what is not seen passed over.

    >>> [is_formula(text) for text in ("=1", " \u200b+1", "\tx", "\uff1d1", "a=1", "")]
    [True, True, True, True, False, False]
    """
    if not text or text[0] in SAFE_STARTS:
        return False
    if text[0] in BEFORE:
        return True
    first = next((mark for mark in text if mark.isprintable() and not mark.isspace()), "")
    return first in FORMULA


def for_spreadsheets(cells: Iterable[Any]) -> list[Any]:
    """The cells of a line as they are written: none is a formula, whoever's table they are from.

    >>> for_spreadsheets(["=1+1", "-1", -1, "[1]", "a", " @x"])
    ["'=1+1", '-1', -1, '[1]', 'a', "' @x"]
    """
    return [cell if type(cell) is not str or not cell or cell[0] in SAFE_STARTS else harmless(cell) for cell in cells]


def harmless(cell: str) -> str:
    """A cell with a mark where it might be a formula and is no number of ours."""
    return MARK + cell if not OURS.fullmatch(cell) and is_formula(cell) else cell


def marked_name(name: str) -> str:
    """A column's name as the head of a table has it.

    >>> marked_name("conv.stride"), marked_name("=1"), column_name(marked_name("'x"))
    ('conv.stride', "'=1", "'x")
    """
    return MARK + name if name.startswith(MARK) or is_formula(name) else name


def column_name(cell: str) -> str:
    """The column that a cell of a table's head names."""
    return cell.removeprefix(MARK)


@lru_cache(maxsize=1 << 16)
def plain_value(text: str) -> Any:
    """A number, a truth, a text or a list of such, as `cell_text` wrote it; any other text stays one."""
    if text in TRUTHS:
        return TRUTHS[text]
    if NUMBER.fullmatch(text):  # a tenth of what ast takes
        number = number_of(text)
        return number if abs(number) <= LARGEST else text
    if text.startswith(MARK):
        return text[1:]
    if not text.startswith("["):
        return text
    try:
        value = ast.literal_eval(text)
        return value if is_plain(value) else text
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def unmarked(text: str) -> str:
    """A cell as a text: without the mark that keeps it from being taken for something else.

    >>> unmarked("'7"), unmarked("7"), unmarked("[1]")
    ('7', '7', '[1]')
    """
    return text.removeprefix(MARK)


def is_plain(value: Any) -> bool:
    """Whether a value is a finite number, a text, or a list of such: one that JSON has and that can be sorted."""
    if isinstance(value, list):
        return all(map(is_plain, value))
    return isinstance(value, str) or (isinstance(value, int | float) and abs(value) <= LARGEST)


# Columns


def stage_column(column: pd.Series[Any]) -> pd.Series[Any]:
    """A column of stages.csv: whole numbers as such, floats as such, NaN and infinities among them; gaps stay gaps.

    Integers beside floats, as of a network that has both, are each cell's own value.
    """
    return number_column(column, [stage_number(text) for text in column])


def stage_number(text: str) -> Number | None:
    """A number of stages.csv, where floats have a point, an exponent or a word; None of an empty cell."""
    return number_of(text) if text else None


def number_of(text: str) -> Number:
    """The number that a text is, a float where it has a point, an exponent or a word."""
    return float(text) if any(mark in text for mark in ".en") else int(text)


def setting_column(column: pd.Series[Any]) -> pd.Series[Any] | None:
    """A column of settings or times that are numbers, as `number_column` has it; nothing of any other.

    A whole number of a setting may be one of its floats (0, 0.5, 1), so that both together are floats if exact.
    """
    if not all(NUMBER.fullmatch(text) or not text for text in column):
        return None
    return number_column(column, together([plain_value(text) for text in column]))


def together(numbers: Sequence[Number | None]) -> Sequence[Number | None]:
    """Numbers, all of them floats where some are, if those are the same."""
    if any(isinstance(number, float) for number in numbers) and all(map(is_exact, numbers)):
        return [None if number is None else float(number) for number in numbers]
    return numbers


def is_exact(number: Number | None) -> bool:
    """Whether a float is the same."""
    return not isinstance(number, int) or abs(number) <= FLOAT_EXACT or int(float(number)) == number


def number_column(column: pd.Series[Any], numbers: Sequence[Number | None]) -> pd.Series[Any]:
    """Numbers in place of a column's texts: of the dtype that holds every one of them, else each cell's own.

    Gaps are missing values of pandas. In float64 those are NaN, so that floats with NaN and gaps are Float64.
    """
    import pandas as pd

    gaps = np.array([number is None for number in numbers], bool)
    filled = [0 if number is None else number for number in numbers]
    kinds = {type(number) for number in numbers if number is not None}
    dtype = whole_dtype(filled) if kinds == {int} else "float64" if kinds <= {float} else "object"
    if dtype == "object" or not gaps.any():
        values: Any = np.array(numbers if dtype == "object" else filled, dtype)
    elif dtype == "float64" and not any(map(math.isnan, filled)):
        values = np.where(gaps, np.nan, np.array(filled, dtype))
    else:
        masked = pd.arrays.FloatingArray if dtype == "float64" else pd.arrays.IntegerArray
        values = masked(np.array(filled, dtype), gaps)
    return pd.Series(values, index=column.index, name=column.name)


def whole_dtype(numbers: Sequence[Number]) -> str:
    """The dtype that holds all these whole numbers; object where none does.

    >>> whole_dtype([-1, 2**63 - 1]), whole_dtype([0, 2**64 - 1]), whole_dtype([-1, 2**64 - 1])
    ('int64', 'uint64', 'object')
    """
    low, high = min(numbers, default=0), max(numbers, default=0)
    fitting = (name for name, info in WHOLE_DTYPES.items() if info.min <= low and high <= info.max)
    return next(fitting, "object")
