"""Every public array function x every dtype x odd arrays: the exact or bounded result, or one line of our own.

`function_judges` has a judge of every function; one that is missing fails the first test. NumPy warns of nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np
import pytest
from exact_numbers import Expected, Number, beyond, numbers, wrong_cell
from function_judges import JUDGES, NotTakenError
from hypothesis import given, settings, strategies as st
from test_arguments import (
    CASES,
    FUNCTIONS,
    OF_INTEGERS,
    Raising,
    Shared,
    Tensor,
    Unlike,
    parameters,
    parts,
    read_only,
    unaligned,
)

import convpipe as cp
from convpipe.errors import ConfigError, ConvpipeError, ValueRangeError
from convpipe.tensors import DTYPES, FLOAT_DTYPES, INTEGER_DTYPES

pytestmark = pytest.mark.filterwarnings("error")

EXAMPLES = 6
BATCHES = ("x", "q", "acc", "img", "padded", "columns", "row_matrix", "maps", "grad", "tensors[0]", "tensors[1]")
FIXED = ("reshape", "col2im", "col2fil")  # whose settings say how many images there are
ON_THE_WAY = ("conv_transpose", "conv_grad")  # where integers may leave 64 bits before a sum that would fit


# Values


def small(dtype: np.dtype[Any], bits: np.random.Generator, shape: Any) -> np.ndarray:
    """Small whole numbers, whose sums are exact in any float."""
    return bits.integers(0 if dtype.kind == "u" else -3, 4, shape).astype(dtype)


def limits(dtype: np.dtype[Any], bits: np.random.Generator, shape: Any) -> np.ndarray:
    """Numbers at the ends of the dtype's range, and a few small ones."""
    info: Any = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
    ends = [info.min, info.max, info.max, 0, 1, 2]
    more = [info.max - 1, info.min + 1] if dtype.kind in "iu" else [info.max / 2, -info.max / 3, info.tiny]
    return np.array([*ends, *more], dtype)[bits.integers(0, len(ends) + len(more), shape)]


def spread(dtype: np.dtype[Any], bits: np.random.Generator, shape: Any) -> np.ndarray:
    """Numbers of all magnitudes."""
    if dtype.kind in "iu":
        return bits.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    info = np.finfo(dtype)
    powers = bits.integers(info.minexp - info.nmant, info.maxexp, shape)
    return np.ldexp(bits.uniform(-1, 1, shape), powers).astype(dtype)


def fractions(dtype: np.dtype[Any], bits: np.random.Generator, shape: Any) -> np.ndarray:
    """Floats around 1; whole numbers of up to half the dtype's bits."""
    if dtype.kind == "f":
        return bits.normal(size=shape).astype(dtype)
    return bits.integers(0, 2 ** (4 * dtype.itemsize - 1), shape).astype(dtype)


def not_finite(dtype: np.dtype[Any], bits: np.random.Generator, shape: Any) -> np.ndarray:
    """Infinities and NaN among small numbers, where the dtype has them."""
    found = small(dtype, bits, shape)
    if dtype.kind == "f":
        odd = bits.random(shape)
        found[odd < 0.06], found[odd < 0.04], found[odd < 0.02] = math.inf, -math.inf, math.nan
    return found


VALUES = (small, limits, spread, fractions, not_finite)


# Ways to give an array, and what is none


def listed(array: np.ndarray) -> Any:
    """As lists, which lose the shape of an empty array."""
    return array.tolist() if array.size else array


def apart(array: np.ndarray) -> np.ndarray:
    """Every second cell of a larger array."""
    grown = np.zeros([2 * size for size in array.shape], array.dtype)
    grown[tuple(slice(None, None, 2) for _ in array.shape)] = array
    return grown[tuple(slice(None, None, 2) for _ in array.shape)]


def backwards(array: np.ndarray) -> np.ndarray:
    """With negative strides."""
    turned = tuple(slice(None, None, -1) for _ in array.shape)
    return array[turned].copy()[turned]


WAYS: dict[str, Callable[[np.ndarray], Any]] = {
    "as it is": lambda array: array,
    "lists": listed,
    "a tuple of arrays": lambda array: tuple(array) if array.size else array,
    "apart": apart,
    "backwards": backwards,
    "columns first": np.asfortranarray,
    "another byte order": lambda array: array.astype(array.dtype.newbyteorder("S")),
    "read-only": read_only,
    "unaligned": unaligned,
    "one cell everywhere": lambda array: (
        np.broadcast_to(array.ravel()[:1].reshape([1] * array.ndim), array.shape) if array.size else array
    ),
    "another library's": Tensor,
    "DLPack": Shared,
    "a subclass": lambda array: array.view(np.memmap),
}
REFUSED: dict[str, Callable[[np.ndarray], Any]] = {
    "bool": lambda array: array > 0,
    "complex": lambda array: array + 0j,
    "objects": lambda array: array.astype(object),
    "text": lambda array: array.astype(str),
    "long doubles": lambda array: array.astype(np.longdouble),
    "dates": lambda array: np.zeros(array.shape, "M8[s]"),
    "structures": lambda array: np.zeros(array.shape, "i4,f4"),
    "masked": np.ma.array,
    "masked in a list": lambda array: [np.ma.array(array)],
    "a truth in a list": lambda array: [True, 2],
    "of different lengths": lambda array: [[1], [1, 2]],
    "no axes": lambda array: np.array(3, array.dtype),
    "a number": lambda array: 3,
    "what raises": Raising,
    "what gives no array": Unlike,
    "too many axes": lambda array: reduce(lambda inner, _: [inner], range(33), 1),  # NumPy 1 has no such array
    "a text": lambda array: "abc",
    "a generator": lambda array: (cell for cell in array),
}


def as_seen(given: Any, array: np.ndarray) -> np.ndarray:
    """The array that was meant: lists of Python's numbers have the dtype of those."""
    if not isinstance(given, list):
        return np.array(given, array.dtype) if isinstance(given, np.ndarray) else array
    if array.dtype.kind == "f":
        return array.astype(np.float64)
    return array.astype(np.uint64 if array.max() > np.iinfo(np.int64).max else np.int64)


# Calls


def made(name: str, dtype: str, seed: int, values: Any, *, empty: bool = False) -> dict[str, np.ndarray]:
    """Arrays for a function's arguments, of its case's shapes."""
    bits = np.random.default_rng(seed)
    arrays = {}
    for argument, array in CASES[name].arrays.items():
        shape = (0, *array.shape[1:]) if empty and argument in BATCHES else array.shape
        arrays[argument] = values(np.dtype(dtype), bits, shape)
    if "variance" in arrays:  # which has a square root
        arrays["variance"] = np.where(arrays["variance"] < 0, 0, arrays["variance"]).astype(dtype)
    return arrays


def settings_of(name: str, arrays: Mapping[str, np.ndarray], overflow: str) -> dict[str, Any]:
    """The settings of a function's case, and a rule for overflow where it takes one."""
    found = dict(CASES[name].settings)
    if "overflow" in parameters(name):
        found["overflow"] = overflow
    if name in ("clip", "clamp") and arrays["x"].dtype.kind == "u":
        found["low"] = 1
    if name == "matmul_rows":  # which states its dtype
        floats = any(array.dtype.kind == "f" for array in arrays.values())
        found["dtype"] = str(np.result_type(np.float32, *arrays.values()) if floats else np.dtype(np.int64))
    return found


def right(name: str, arrays: Mapping[str, np.ndarray], chosen: Mapping[str, Any]) -> list[Expected]:
    """What a function has to give."""
    with np.errstate(all="ignore"):  # which NumPy looks at for objects, too
        return JUDGES[name](arrays, chosen)


def rule(name: str, overflow: str, expected: list[Expected]) -> str:
    """A rule for overflow that is for the results' dtypes: of integers wrap, of floats inf, or one for both."""
    floats = {each.dtype.kind == "f" for each in expected}
    unfit = (overflow == "wrap" and True in floats) or (overflow == "inf" and False in floats)
    return "error" if unfit or "overflow" not in parameters(name) else overflow


def judged(name: str, given: Mapping[str, Any], arrays: Mapping[str, np.ndarray], overflow: str) -> None:
    """Call a function, and hold what comes against its judge."""
    try:
        expected = right(name, arrays, settings_of(name, arrays, overflow))
    except NotTakenError:
        with pytest.raises(ConvpipeError, match=r"\A[^\n]+\Z"):
            pytest.fail(f"it took them: {CASES[name].call(name, **{**given, **settings_of(name, arrays, 'error')})}")
        return
    overflow = rule(name, overflow, expected)
    found = outcome(name, {**given, **settings_of(name, arrays, overflow)})
    if isinstance(found, ValueRangeError):
        assert "\n" not in str(found)
        assert may_be_refused(name, expected, overflow), found
        return
    for result, each in zip(found, expected, strict=True):
        wrong = wrong_cell(result, each, overflow)
        assert not wrong, f"{name}: {wrong}"


def outcome(name: str, arguments: Mapping[str, Any]) -> list[np.ndarray] | ValueRangeError:
    """The arrays that a function gives, or the error of a result that does not fit."""
    try:
        return parts(CASES[name].call(name, **arguments))
    except ValueRangeError as error:
        return error


def may_be_refused(name: str, expected: list[Expected], overflow: str) -> bool:
    """Whether some result may lie outside of its dtype, or some integer of 64 bits on the way."""
    cells = [(number, each) for each in expected for number in each.cells.ravel()]
    if name in ON_THE_WAY and overflow != "wrap" and any(number.size >= 2**63 for number, _ in cells):
        return True
    return overflow == "error" and any(beyond(number, each)[1] for number, each in cells)


def test_every_function_has_its_judge() -> None:
    assert sorted(JUDGES) == sorted(FUNCTIONS), "add a judge of each array function to function_judges.py"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
@given(
    values=st.sampled_from(VALUES),
    way=st.sampled_from(sorted(WAYS)),
    place=st.integers(0, 4),
    other=st.integers(0, 23),
    overflow=st.sampled_from(["error", "error", "wrap", "saturate", "inf"]),
    seed=st.integers(0, 2**32),
)
@settings(derandomize=True, database=None, max_examples=EXAMPLES, deadline=None)
def test_every_call_gives_the_right_result(
    name: str, dtype: str, values: Any, way: str, place: int, other: int, overflow: str, seed: int
) -> None:
    arrays = made(name, dtype, seed, values)
    odd = list(arrays)[place % len(arrays)]
    kind = FLOAT_DTYPES if np.dtype(dtype).kind == "f" else INTEGER_DTYPES
    arrays[odd] = made(name, kind[other % len(kind)], seed, values)[odd]
    given_arrays: dict[str, Any] = {**arrays, odd: WAYS[way](arrays[odd])}
    seen = {key: as_seen(given_arrays[key], array) for key, array in arrays.items()}
    judged(name, given_arrays, seen, overflow)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_call_without_images_gives_none(name: str, dtype: str) -> None:
    arrays = made(name, dtype, 0, small, empty=True)
    if name not in FIXED:
        judged(name, arrays, arrays, "error")
        return
    arrays = {key: array[:0] for key, array in arrays.items()}
    with pytest.raises(ConfigError, match=r"^\w+: got .*, expected .*\Z"):
        CASES[name].call(name, **arrays)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_no_array_of_numbers_is_refused_in_one_line(name: str, dtype: str) -> None:
    arrays = made(name, dtype, 0, small)
    for argument, array in arrays.items():
        for what, change in REFUSED.items():
            with pytest.raises(ConvpipeError, match=r"^[\w\[\]]+: got .*, expected .*\Z"):
                pytest.fail(f"it took {what}: {CASES[name].call(name, **{**arrays, argument: change(array)})}")


@pytest.mark.parametrize(
    ("dtype", "bias", "asked", "overflow", "expected"),
    [
        ("uint8", -1, None, "saturate", [0, 0, 4]),
        ("uint8", -1, None, "wrap", [255, 0, 4]),
        ("uint8", -1, "int8", "error", [-1, 0, 4]),
        ("uint64", -1, None, "saturate", [0, 0, 4]),
        ("uint64", -1, "int16", "error", [-1, 0, 4]),
        ("uint8", 300, "int32", "wrap", [300, 301, 305]),
        ("int8", 300, "uint64", "wrap", [300, 301, 305]),
        ("int8", -6, "uint64", "wrap", [2**64 - 6, 2**64 - 5, 2**64 - 1]),
        ("uint64", 2**63, None, "wrap", [2**63, 2**63 + 1, 2**63 + 5]),
    ],
)
def test_a_bias_of_another_dtype_is_added_exactly(
    dtype: str, bias: int, asked: str | None, overflow: Any, expected: list[int]
) -> None:
    padded = np.array([[[7, 0, 1, 5]]], dtype)
    for function in (cp.unpad, cp.crop):
        found = function(padded, [bias], pads=[[1, 0]], dtype=asked, overflow=overflow)
        assert found.ravel().tolist() == expected


MOST, LEAST = float(np.finfo(float).max), float(np.finfo(float).smallest_subnormal)


@pytest.mark.parametrize(
    ("x", "scale", "shift", "mean", "variance", "expected"),
    [
        (MOST, 2.0**-1020, -5.0, -MOST, 1.0, 27.0),  # the difference overflows, the result does not
        (-MOST, 2.0**-1020, 5.0, MOST, 1.0, -27.0),
        (MOST, 2.0**-1074, 0.0, 0.0, 2.0**-1000, MOST * 2.0**-574),
        (LEAST, 2.0**1023, 1.0, 0.0, 2.0**-1000, 1.0 + 2.0**449),  # the factor does
        (2 * LEAST, MOST, 0.0, LEAST, 2.0**-60, MOST * 2.0**-1044),
        (MOST, 2.0, -MOST, 0.0, 1.0, MOST),  # the product does
    ],
)
def test_a_normalisation_is_right_whatever_overflows_on_its_way(
    x: float, scale: float, shift: float, mean: float, variance: float, expected: float
) -> None:
    found = cp.batch_norm([[x]], [scale], [shift], [mean], [variance], epsilon=0)
    assert found.tolist() == [[pytest.approx(expected, rel=1e-15, abs=0)]]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64"])
def test_a_negative_bias_that_leaves_an_unsigned_dtype_is_refused(dtype: str) -> None:
    with pytest.raises(ValueRangeError, match=rf"^the exact sum -1 does not fit {dtype}"):
        cp.crop(np.zeros((1, 1, 2), dtype), [-1], pads=[[0, 0]])


# The judges themselves


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        (name, dtype)
        for name in FUNCTIONS
        for dtype in ("int16", "float32")
        if dtype == "int16" or name not in OF_INTEGERS
    ],
)
def test_a_planted_wrong_answer_is_noticed(name: str, dtype: str) -> None:
    arrays = made(name, dtype, 3, small if dtype == "int16" else fractions)
    chosen = settings_of(name, arrays, "error")
    expected = right(name, arrays, chosen)
    found = parts(CASES[name].call(name, **arrays, **chosen))
    for result, each in zip(found, expected, strict=True):
        assert wrong_cell(result, each, "error") == ""
        for at in {0, result.size // 2, result.size - 1}:
            wrong = np.array(result, order="C")
            cell = wrong.reshape(-1)[at : at + 1]
            cell += cell.dtype.type(1) if cell.dtype.kind != "f" else max(abs(cell[0]) / 1000, 1e-3)
            assert "expected Number" in wrong_cell(wrong, each, "error"), f"{at} of {name}"
        assert "expected" in wrong_cell(result[None], each, "error")
        assert "expected" in wrong_cell(result.astype(np.longdouble), each, "error")


@pytest.mark.parametrize(
    ("value", "size", "dtype", "overflow", "found", "right"),
    [
        (128, 128, "int8", "wrap", -128, True),
        (128, 128, "int8", "saturate", 127, True),
        (128, 128, "int8", "error", 127, False),
        (127, 500, "int8", "error", 127, True),
        (70000, 70000, "float16", "saturate", 65504.0, True),
        (70000, 70000, "float16", "saturate", -65504.0, False),
        (70000, 70000, "float16", "inf", math.inf, True),
        (70000, 70000, "float16", "error", 65504.0, False),
        (70000, 70000, "float16", "error", math.inf, False),
        (3, 70000, "float16", "inf", math.nan, True),
        (3, 5, "float16", "inf", math.nan, False),
        (3, 5, "float16", "error", 3.0, True),
        (3, 5, "float16", "error", 3.002, False),
        (math.nan, 0, "float32", "error", math.nan, True),
        (math.nan, 0, "float32", "error", math.inf, False),
        (-math.inf, 0, "float32", "saturate", -math.inf, True),
        (-math.inf, 0, "float32", "error", -3e38, False),
    ],
)
def test_verdicts(value: Any, size: int, dtype: str, overflow: str, found: float, right: bool) -> None:
    cell = np.empty(1, object)
    cell[0] = Number(value, size, 1)
    expected = Expected(cell, np.dtype(dtype), np.dtype(np.float32))
    assert (wrong_cell(np.array([found], dtype), expected, overflow) == "") is right


def test_exact_numbers_know_of_infinities() -> None:
    inf, nan, two, none = (Number.of(value) for value in (math.inf, math.nan, 2.0, 0.0))
    assert [(inf + two).value, (two - inf).value, (inf * -two).value] == [math.inf, -math.inf, -math.inf]
    assert [(two / inf).value, (two / none).value, (-two / none).value] == [0, math.inf, -math.inf]
    for found in (inf - inf, inf * none, none / none, nan + two, nan * inf, inf / inf):
        assert math.isnan(found.value)
    assert numbers(np.array([[0.5, 2]]))[0, 0].value * 2 == 1
