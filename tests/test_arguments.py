"""Public array functions take whatever makes an array, check their arguments alike, and are typed."""

from __future__ import annotations

import ast
import inspect
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from conv_cases import memory_orders
from numpy.typing import ArrayLike, DTypeLike

import convpipe as cp
from convpipe.errors import ConfigError, ConvpipeError

NAMES = [name for name in cp.__all__ if not name.startswith("_")]
HOMES = {name: getattr(cp, name).__module__ for name in NAMES}
OF_ARRAYS = ("convpipe.ops.", "convpipe.execution.functions")
OF_NUMBERS = {"activation_range", "quantize_multiplier"}  # which take no array
FUNCTIONS = [name for name in NAMES if HOMES[name].startswith(OF_ARRAYS) and name not in OF_NUMBERS]


def counted(*shape: int) -> np.ndarray:
    """Different small whole numbers of a shape, of both signs."""
    size = math.prod(shape)
    return (np.arange(size) * 7 % (2 * size + 1) % 23 - 11).reshape(shape)


@dataclass(frozen=True)
class Case:
    """A call that succeeds: its arrays by name (`tensors`, if any, in a row) and settings without a default."""

    arrays: Mapping[str, np.ndarray]
    settings: Mapping[str, Any] = field(default_factory=dict)
    tensors: bool = False

    def call(self, name: str, **changed: Any) -> Any:
        """The function's result, some arguments replaced."""
        arguments = {**self.arrays, **self.settings, **changed}
        row = [arguments.pop(key) for key in self.arrays] if self.tensors else []
        return getattr(cp, name)(*row, **arguments)


X, W, BIAS = counted(2, 2, 5, 4), counted(4, 2, 3, 2), counted(4)
ROWS, MAPS = counted(6, 4), counted(1, 4, 3, 2)
ONE = Case({"x": X})
WINDOWS = {"kernel": [2, 2], "stride": [2, 1], "pad": [[1, 0], [0, 1]]}
SIZES = {"stride": [2, 1], "pad": [[1, 0], [0, 1]], "dilation": [1, 2]}
CONV = {**SIZES, "groups": 1}
CASES = {
    "add": Case({"tensors[0]": X, "tensors[1]": X + 1}, tensors=True),
    "add_bias": Case({"x": ROWS, "bias": BIAS}),
    "avg_pool": Case({"x": X}, WINDOWS),
    "batch_norm": Case({"x": X} | {name: counted(2) + 12 for name in ("scale", "shift", "mean", "variance")}),
    "center": Case({"x": X}, {"zero_point": 3}),
    "clamp": Case({"x": X}, {"low": -3, "high": 4}),
    "clip": Case({"x": X}, {"low": -3, "high": 4}),
    "col2fil": Case({"filter_matrix": counted(4, 12)}, {"shape": [4, 2, 3, 2]}),
    "col2im": Case({"col": counted(16, 8)}, {"img_shape": [1, 2, 5, 5], "kh": 2, "kw": 2}),
    "concat": Case({"tensors[0]": X, "tensors[1]": X + 1}, tensors=True),
    "conv": Case({"x": X, "w": W, "bias": BIAS}, CONV),
    "conv_grad": Case({"x": X, "w": W, "grad": counted(2, 4, 2, 3)}, CONV),
    "conv_transpose": Case({"x": X, "w": W[:2], "bias": counted(2)}, CONV),
    "crop": Case({"padded": X, "bias": counted(2)}, {"pads": [[1, 0], [0, -1]]}),
    "dense": Case({"x": ROWS, "weights": counted(4, 3), "bias": counted(3)}),
    "dequantize": Case({"q": X}, {"scale": 0.5, "zero_point": 3}),
    "dropout": ONE,
    "fil2col": Case({"kernel": W}),
    "fil2row": Case({"filters": W}, {"groups": 2}),
    "flatten": ONE,
    "gelu": ONE,
    "global_avg_pool": ONE,
    "global_max_pool": ONE,
    "im2col": Case({"img": X}, {"kh": 2, "kw": 2, **SIZES}),
    "implicit_gemm": Case({"padded": X, "filters": W, "bias": BIAS}, {"stride": [2, 1], "dilation": [1, 2]}),
    "leaky_relu": ONE,
    "local_response_norm": ONE,
    "log_softmax": ONE,
    "matmul": Case({"columns": ROWS, "filter_matrix": counted(4, 2), "bias": BIAS}, {"groups": 2}),
    "matmul_columns": Case({"row_matrix": ROWS, "columns": counted(6, 2)}, {"groups": 2}),
    "matmul_rows": Case(
        {"row_matrix": ROWS, "tap_matrix": counted(6, 2)}, {"groups": 2, "dtype": "int64", "overflow": "error"}
    ),
    "matmul_tiles": Case({"column_tiles": counted(2, 3, 2, 2, 3), "filter_tiles": counted(2, 2, 2, 3, 2)}),
    "max_pool": Case({"x": X}, WINDOWS),
    "pad": Case({"x": X}, {"pad": [[1, 0], [0, 1]]}),
    "pack_int4": Case({"values": X % 8}),
    "quantize": Case({"x": X}, {"scale": 0.5, "zero_point": 3}),
    "quantize_bias": Case({"bias": BIAS}, {"input_scale": 0.5, "filter_scale": 0.25}),
    "relu": ONE,
    "relu6": ONE,
    "requantize": Case({"acc": X}, {"rule": "double", "multiplier": 3 << 29, "shift": -1, "low": -9, "high": 9}),
    "reshape": Case({"product": ROWS}, {"shape": [1, 3, 2, 4]}),
    "round_shift": Case({"x": X}, {"shift": 1}),
    "rows": Case({"maps": MAPS}),
    "scale": ONE,
    "sigmoid": ONE,
    "softmax": ONE,
    "stages": Case({"x": X, "w": W, "bias": BIAS}, CONV),
    "sum_rows": Case({"row_matrix": ROWS}),
    "sum_tiles": Case({"partial_sums": counted(2, 2, 1, 3, 2, 2), "bias": BIAS}, {"shape": [3, 4]}),
    "tanh": ONE,
    "tile_columns": Case({"columns": ROWS}, {"rows": 4, "k": 3, "groups": 2}),
    "tile_filters": Case({"filter_matrix": ROWS}, {"k": 3, "f": 2, "groups": 2}),
    "thresholds": Case({"acc": ROWS, "table": counted(4, 2)}),
    "unpack_int4": Case({"packed": X}),
    "unpad": Case({"padded": X, "bias": counted(2)}, {"pads": [[1, 0], [0, -1]]}),
    "upsample": Case({"x": X}, {"factor": [2, 3]}),
}
ACTIVATIONS = {"gelu", "leaky_relu", "log_softmax", "relu", "sigmoid", "softmax", "tanh"}
# Whose arrays are integers: floats are refused.
OF_INTEGERS = {"center", "clamp", "dequantize", "pack_int4", "requantize", "round_shift", "thresholds", "unpack_int4"}
QUANTISED = {*OF_INTEGERS, "quantize", "relu6"}
ANY_SHAPE = {"add_bias", "clip", "dropout", "flatten", "local_response_norm", "scale", *ACTIVATIONS, *QUANTISED}

NUMBER, FLAG, SPREAD = ["a", None, math.nan, 1j, [1.0]], ["a", 1, None], ["a", 0, 1.5, True, [1] * 7, [1.0, 1.0]]
# Wrong values of every setting there is, by its name.
WRONG: dict[str, list[Any]] = {
    "alpha": NUMBER,
    "approximate": ["tan", 3, None],
    "axis": ["a", None, 1.5, 9, [1]],
    "beta": NUMBER,
    "ceil_mode": FLAG,
    "count": ["a", -1, 1.5, 999, True],
    "count_include_pad": FLAG,
    "dilation": [*SPREAD, None],
    "divisor": [*NUMBER, 0],
    "dtype": ["int9", "complex64", bool, object, 7],
    "epsilon": [*NUMBER, -1],
    "f": ["a", None, 0, 1.5],
    "factor": [*SPREAD, None],
    "filter_scale": ["a", 0, -1, math.nan, [1.0, 2.0, 3.0], 1e39],
    "groups": ["a", None, 0, 1.5, True],
    "high": ["a", 1j, [1], -10],
    "img_shape": ["a", None, 3, [1, 2, -5, 5], [1.0, 2.0, 5.0, 5.0]],
    "input_scale": ["a", 0, -1, math.nan, [1.0, 2.0], 1e39],
    "k": NUMBER,
    "kernel": [*SPREAD, None],
    "kh": ["a", None, 0, 1.5],
    "kw": ["a", None, 0, 1.5],
    "low": ["a", 1j, [1], 0.5],
    "lowering": ["fft", None, 3, ("pad",)],
    "mode": ["mirror", None, 3, ["edge"]],
    "order": ["kw,kh,C", None, 3, ["C,kh,kw"]],
    "multiplier": ["a", -1, 2**31, 1.5, True, [1, 2, 3]],
    "offset": ["a", None, 1.5, [1]],
    "out": [3, [[1]], np.zeros((6, 4), int), np.zeros((4, 6), np.int8)],
    "output_padding": ["a", -1, 1.5, [2, 0]],
    "output_shape": ["a", 0, 1.5, [1, 1, 1]],
    "output_scale": ["a", 0, -1, math.nan, [1.0, 2.0], 1e39],
    "overflow": ["clip", None, 3, ["error"]],
    "pad": ["sam", None, -1, 1.5, [1] * 7, [[1, 2, 3]]],
    "pad_mode": ["mirror", None, 3, ["edge"]],
    "pad_value": ["a", None, 1j, [1], 0.5],
    "pads": ["a", None, 1, [[1, 1]], [[1, 1], [1, 1.5]], [[9, 9], [0, 0]]],
    "rate": [*NUMBER, -1, 2],
    "rows": ["a", None, 0, 1.5],
    "rounding": ["nearest", 3, ["floor"]],
    "rule": ["nearest", None, 3, ["double"], "thresholds"],
    "scale": ["a", None, 0, -1, math.nan, [1.0, 2.0, 3.0], 1e39],
    "shape": ["a", None, 3, [-1, 2, 2, 4], [1.0, 3.0, 2.0, 4.0]],
    "shift": ["a", 1.5, 99, True, [1, 2, 3]],
    "size": ["a", None, 0, 1.5, True],
    "slope": NUMBER,
    "step": ["a", None, 1.5, [1]],
    "stride": ["a", 0, 1.5, True, [1] * 7, [1.0, 1.0]],
    "tile": ["a", 3, [1, 2], [8, 8, 8, 8]],
    "value": ["a", None, 1j, [1], 0.5],
    "zero_point": ["a", 1.5, [0.5], 2**63],
}
CALLED = {"kh": "kernel", "kw": "kernel"}  # what an error calls them, as it judges both at once


class Tensor:
    """An array of another library."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.array


class Unreachable:
    """A tensor that gives no array, as PyTorch's that keep their gradient."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        raise RuntimeError("call detach first")


class Unlike(Tensor):
    """An object whose `__array__` gives no array."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.array.tolist()


class Raising(Tensor):
    """An object whose own code raises what no library would."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        raise KeyError("two\nlines")


class Shared:
    """A tensor that gives its memory by DLPack alone."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __dlpack__(self, **asked: Any) -> object:
        return self.array.__dlpack__(**asked)

    def __dlpack_device__(self) -> tuple[Any, Any]:
        return self.array.__dlpack_device__()


class Interface:
    """A tensor that tells where its memory is."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.__array_interface__ = array, array.__array_interface__


def itself() -> list[Any]:
    """A list that is in itself."""
    found: list[Any] = [1]
    found.append(found)
    return found


def within(array: np.ndarray, other: Any) -> list[Any]:
    """An array as a list of its parts, the first of them another."""
    return [other, *array[1:]]


def no_numbers(like: np.ndarray) -> dict[str, Any]:
    """What no array argument takes, of the shape that it has where that is possible."""
    return {
        "bool": like.astype(bool),
        "complex": like.astype(complex),
        "text": like.astype(str),
        "objects": like.astype(object),
        "dates": like.astype("M8[s]"),
        "complex without an imaginary part": [like.astype(complex)],
        "dates in a list": [like.astype("m8[s]")],
        "structures": np.zeros(like.shape, "i4,f4"),
        "more than float64": like.astype(np.longdouble),
        "a mask": np.ma.masked_less(like, 0),
        "no mask yet": np.ma.array(like),
        "a mask in a list": within(like, np.ma.masked_less(like[0], 0)),
        "a mask in a tuple in a list": [(np.ma.array(like),)],
        "what is masked, in a list": [1, np.ma.masked],
        "an object with a mask": Tensor(np.ma.array(like)),
        "an object with a mask in a list": within(like, Tensor(np.ma.array(like[0]))),
        "a truth in a list": [1, True],
        "truths in a list": within(like, like[0] > 0),
        "NumPy's truth in a list of floats": [1.5, np.True_],
        "a complex in a list": within(like, like[0] + 1j),
        "Python's integers in an array in a list": [like.astype(object)],
        "whole numbers that no dtype holds": [2**64, 1],
        "whole numbers below all dtypes": [-(2**63) - 1, 2**63 - 1],
        "whole numbers that no one dtype holds": [2**63, -1],
        "integers that no one dtype holds": [np.array([2**63], np.uint64), np.array([-1])],
        "nothing in a list": [1, None],
        "what gives no array": Unlike(like),
        "what raises": Raising(like),
        "what raises in a list": [Raising(like)],
        "itself in a list": itself(),
        "a generator": (each for each in like),
        "bytes": b"ab",
        "a mapping": {1: 2},
        "lists of different lengths": [[1, 2], [3]],
        "no array": Unreachable(),
        "a set": {1, 2},
        "a number": 3,
        "an array without axes": np.array(3),
    }


def parts(result: Any) -> list[np.ndarray]:
    """The arrays that a function gives, one or several."""
    several = list(result.values()) if isinstance(result, dict) else result
    return list(several) if isinstance(several, tuple | list) else [several]


def assert_same(found: Any, expected: Any, of: str) -> None:
    """The same arrays to the bit, of the machine's byte order."""
    for mine, theirs in zip(parts(found), parts(expected), strict=True):
        assert (mine.shape, mine.dtype) == (theirs.shape, theirs.dtype), of
        assert mine.tobytes() == theirs.tobytes(), of
        assert mine.dtype.isnative, of


def parameters(name: str) -> Mapping[str, inspect.Parameter]:
    """A function's parameters."""
    return inspect.signature(getattr(cp, name)).parameters


def settings_of(name: str) -> list[str]:
    """Those that are no arrays to compute with."""
    return [each for each in parameters(name) if each not in (*CASES[name].arrays, "tensors", "bias")]


def optional_arrays(name: str) -> list[str]:
    """Those of its arrays that may be None."""
    return [each.name for each in parameters(name).values() if each.name in CASES[name].arrays and each.default is None]


def test_every_function_has_its_case() -> None:
    assert sorted(CASES) == sorted(FUNCTIONS), "add a call of each array function to CASES"
    assert {each for name in CASES for each in settings_of(name)} == set(WRONG), "add wrong values of each setting"


# Arrays


def ways(array: np.ndarray) -> Iterator[tuple[str, Any]]:
    """The same numbers given in other ways."""
    yield "lists", array.tolist()
    yield "another library's", Tensor(array)
    yield "another byte order", array.astype(array.dtype.newbyteorder("S"))
    yield "a list of arrays", list(array)
    yield "a tuple of another library's", tuple(map(Tensor, array)) if array.ndim > 1 else tuple(array)
    yield "by DLPack", Shared(array)
    yield "by its interface", Interface(array)
    yield "of a subclass", array.view(np.memmap)
    yield "by its buffer", memoryview(np.ascontiguousarray(array))
    yield "not at its bytes' boundary", unaligned(array)
    yield "read-only", read_only(array)
    yield from memory_orders(array)


def unaligned(array: np.ndarray) -> np.ndarray:
    """The same numbers, one byte off."""
    memory = np.empty(array.nbytes + 1, np.uint8)[1:]
    found = memory.view(array.dtype).reshape(array.shape)
    found[...] = array
    return found


def read_only(array: np.ndarray) -> np.ndarray:
    """The same numbers, which nobody may change."""
    found = array.copy()
    found.flags.writeable = False
    return found


@pytest.mark.parametrize(
    ("name", "dtype"),
    [(name, dtype) for name in CASES for dtype in ("int64", "float64") if dtype == "int64" or name not in OF_INTEGERS],
)
def test_whatever_makes_an_array_gives_the_same_bits(name: str, dtype: str) -> None:
    case = CASES[name]
    settings = {"dtype": dtype} if name == "matmul_rows" else {}
    arrays = {key: array.astype(dtype) for key, array in case.arrays.items()}
    expected = case.call(name, **arrays, **settings)
    for argument, array in arrays.items():
        before = array.copy()
        for way, other in ways(array):
            found = case.call(name, **(arrays | {argument: other}), **settings)
            assert_same(found, expected, f"{argument} as {way}")
        assert array.tobytes() == before.tobytes(), f"{argument} was changed"


@pytest.mark.parametrize(("name", "argument"), [(name, each) for name, case in CASES.items() for each in case.arrays])
def test_what_is_no_array_of_numbers_is_refused_by_name(name: str, argument: str) -> None:
    case, key = CASES[name], re.escape(argument)
    for what, values in no_numbers(case.arrays[argument]).items():
        with pytest.raises(ConfigError, match=rf"^{key}: got .*, expected .*\Z"):  # \Z: one line
            pytest.fail(f"it took {what}: {case.call(name, **{argument: values})}")
    if argument not in optional_arrays(name):
        with pytest.raises(ConfigError, match=f"^{key}: got object, expected one of int8"):
            case.call(name, **{argument: None})


@pytest.mark.parametrize(
    ("name", "argument"), [(name, each) for name in CASES if name not in ANY_SHAPE for each in CASES[name].arrays]
)
def test_another_number_of_axes_is_refused(name: str, argument: str) -> None:
    case = CASES[name]
    array = case.arrays[argument]
    for other in (array[None, None, None, None, None], array.ravel()[:1] if array.ndim > 1 else array[None]):
        with pytest.raises(ConfigError, match=r"^[\w\[\]]+: got .*, expected "):
            pytest.fail(f"it took {other.ndim} axes: {case.call(name, **{argument: other})}")


@pytest.mark.parametrize("name", [name for name in CASES if "bias" in optional_arrays(name)])
def test_no_bias_is_none_and_one_of_another_length_is_refused(name: str) -> None:
    case = CASES[name]
    zeros = np.zeros_like(case.arrays["bias"])
    assert_same(case.call(name, bias=None), case.call(name, bias=zeros), "no bias")
    with pytest.raises(ConfigError, match=r"^bias: got \(\d,\), expected the shape "):
        case.call(name, bias=np.append(zeros, 0))


# Settings


@pytest.mark.parametrize(("name", "setting"), [(name, each) for name in CASES for each in settings_of(name)])
def test_a_wrong_setting_is_refused_by_name(name: str, setting: str) -> None:
    called = CALLED.get(setting, setting)
    for value in WRONG[setting]:
        with pytest.raises(ConfigError, match=rf"^({called}|\w+_matrix|product): got .*, expected "):
            pytest.fail(f"it took {setting}={value!r}: {CASES[name].call(name, **{setting: value})}")


@pytest.mark.parametrize(
    ("name", "setting"),
    [(name, each) for name in CASES for each, value in CASES[name].settings.items() if not isinstance(value, str)],
)
def test_numpys_numbers_and_arrays_are_settings_like_pythons(name: str, setting: str) -> None:
    case = CASES[name]
    value = case.settings[setting]
    expected = case.call(name)
    assert_same(case.call(name, **{setting: np.array(value)[()]}), expected, setting)
    assert_same(case.call(name, **{setting: np.array(value)}), expected, setting)
    if isinstance(value, list):
        assert_same(case.call(name, **{setting: tuple(map(np.array, value))}), expected, setting)


@pytest.mark.parametrize(
    ("name", "settings", "plain"),
    [
        ("max_pool", {"ceil_mode": np.True_}, {"ceil_mode": True}),
        ("max_pool", {"ceil_mode": np.array(True)}, {"ceil_mode": True}),
        ("avg_pool", {"count_include_pad": np.False_}, {"count_include_pad": False}),
        ("leaky_relu", {"slope": np.array(0.5)}, {"slope": 0.5}),
        ("leaky_relu", {"slope": np.float16(0.5)}, {"slope": 0.5}),
        ("clip", {"low": np.array(-3), "high": np.int8(4)}, {}),
        ("clip", {"low": np.array(-3.0)}, {}),
        ("pad", {"value": np.array(2.0)}, {"value": 2}),
        ("gelu", {"approximate": np.str_("tanh")}, {"approximate": "tanh"}),
        ("conv", {"overflow": np.str_("wrap")}, {"overflow": "wrap"}),
        ("local_response_norm", {"size": np.array(3), "alpha": np.array(0.5)}, {"size": 3, "alpha": 0.5}),
    ],
)
def test_settings_of_numpy_are_settings(name: str, settings: dict[str, Any], plain: dict[str, Any]) -> None:
    assert_same(CASES[name].call(name, **settings), CASES[name].call(name, **plain), name)


ODD_SETTINGS = [
    np.array("2"),
    np.ma.masked,
    np.ma.array([2, 2], mask=[False, True]),
    Raising(np.array(2)),
    Unlike(np.array(2)),
    np.datetime64(2, "s"),
    np.complex64(2),
    np.array([[2.5]]),
    {2},
    b"2",
    object(),
    np.void(b"2"),
]


def ended(name: str, changed: dict[str, Any]) -> str:
    """A call's error, if it ends in one of ours."""
    try:
        CASES[name].call(name, **changed)
    except ConvpipeError as error:
        return str(error)
    return ""


HUGE = [2**31, 2**62, 2**63, 10**30, 10**400, -(10**30)]


@pytest.mark.parametrize(("name", "setting"), [(name, each) for name in CASES for each in settings_of(name)])
def test_an_odd_setting_is_refused_in_one_line(name: str, setting: str) -> None:
    for value in ODD_SETTINGS:
        with pytest.raises(ConfigError, match=r"^(\w+): got .*, expected .*\Z"):
            pytest.fail(f"it took {setting}={value!r}: {CASES[name].call(name, **{setting: value})}")


@pytest.mark.parametrize(("name", "setting"), [(name, each) for name in CASES for each in settings_of(name)])
def test_a_huge_setting_ends_in_a_result_or_in_one_line(name: str, setting: str) -> None:
    for value in HUGE:
        for form in (value, [value, value], [[value, value], [value, value]], [1, 1, value, 1]):
            with suppress(MemoryError):  # of an array that could be, on a larger machine
                assert "\n" not in ended(name, {setting: form})


@pytest.mark.parametrize("letter", ["a", "O", "V", "M8", "2i4", "i4,f4", "?", "g", np.generic, np.floating])
def test_a_dtype_that_is_none_of_ours_is_refused_whatever_numpy_warns_of(letter: Any) -> None:
    with pytest.raises(ConfigError, match=r"^dtype: got .*, expected one of int8"):
        cp.conv(X, W, dtype=letter)


def test_integers_of_several_dtypes_stay_integers() -> None:
    rows = [np.array([[[5]]], np.uint64), np.array([[[-1]]], np.int64)]
    assert cp.relu(rows).dtype == np.int64
    assert cp.relu(rows).ravel().tolist() == [5, 0]
    assert cp.relu([[2**64 - 1, 0]]).tolist() == [[2**64 - 1, 0]]
    assert cp.relu([[2**63, 0.5]]).dtype == np.float64


@pytest.mark.parametrize("name", ["conv", "fil2row", "implicit_gemm", "matmul", "matmul_columns", "matmul_rows"])
def test_groups_that_do_not_divide_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^groups: got 5, expected a divisor of "):
        CASES[name].call(name, groups=5)


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("matmul", "columns"),
        ("matmul_rows", "row_matrix"),
        ("matmul_columns", "columns"),
        ("col2fil", "filter_matrix"),
        ("reshape", "product"),
    ],
)
def test_matrices_that_do_not_fit_are_refused_by_name(name: str, argument: str) -> None:
    longer = np.pad(CASES[name].arrays[argument], ((0, 1), (0, 1)))
    with pytest.raises(ConfigError, match=rf"^{argument}: got {re.escape(str(longer.shape))}, expected "):
        CASES[name].call(name, **{argument: longer})


@pytest.mark.parametrize("name", ["crop", "unpad"])
def test_padding_taken_back_that_does_not_fit_is_refused(name: str) -> None:
    case = CASES[name]
    with pytest.raises(ConfigError, match=r"^bias: got float64, expected an integer dtype, as the sums are int64$"):
        case.call(name, bias=np.array([0.5, 1]))
    for pads, message in [
        ([[1, 0], [2, 3]], r"no more than the cells that there are, \(5, 4\)$"),
        ([[1, 0]], r"2 pairs \[before, after\]$"),
    ]:
        with pytest.raises(ConfigError, match=f"^pads: got .*, expected {message}"):
            case.call(name, pads=pads)


@pytest.mark.parametrize(
    ("pads", "message"),
    [
        ([[0, 0], [0, -1]], "expected numbers from 0 for reflect padding$"),
        ([[0, 0], [2, 0]], "expected at most 1 along W for reflect padding of 2$"),
    ],
)
def test_only_a_constant_padding_may_be_any(pads: list[list[int]], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^pads: got .*, {message}"):
        cp.unpad(X, pads=pads, mode="reflect")


def test_infinity_is_a_value_for_cells_of_floats_alone() -> None:
    x = np.array([[[1.0, -1.0]]])
    assert cp.clip(x, low=0, high=math.inf).tolist() == [[[1, 0]]]
    assert cp.pad(x, 1, value=-math.inf).tolist() == [[[-math.inf, 1, -1, -math.inf]]]
    assert cp.im2col(x[..., None], 1, 1, pad=[1, 0], pad_value=math.inf)[0, 0] == math.inf
    for value in (math.inf, math.nan):
        with pytest.raises(ConfigError, match=rf"^high: got {value}, expected a whole number from"):
            cp.clip(x.astype(int), high=value)


# Types


def holds_any(hint: Any) -> bool:
    """Whether a type is Any, or has one in it that no type of NumPy's explains."""
    if getattr(get_origin(hint) or hint, "__module__", "") == "numpy":
        return False
    choices = list(hint) if isinstance(hint, list) else list(get_args(hint))
    for known in map(get_args, (ArrayLike, DTypeLike)):
        if all(each in choices for each in known):
            choices = [each for each in choices if each not in known]
    return hint is Any or any(map(holds_any, choices))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_parameter_and_no_result_is_any(name: str) -> None:
    hints = get_type_hints(getattr(cp, name))
    assert set(hints) == {*parameters(name), "return"}
    assert [each for each, hint in hints.items() if holds_any(hint)] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_signature_is_short_enough_to_read(name: str) -> None:
    signature = inspect.signature(getattr(cp, name))  # names of types, not what NumPy's stand for: thousands of letters
    assert len(str(signature)) < 100 + 25 * len(signature.parameters)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_arrays_are_anything_like_one(name: str) -> None:
    hints = get_type_hints(getattr(cp, name))
    for argument in CASES[name].arrays:
        assert set(get_args(hints[argument.partition("[")[0]])) >= set(get_args(ArrayLike))


def test_an_any_is_found() -> None:
    def typed(x: ArrayLike, y: np.ndarray[Any, Any] | None, dtype: DTypeLike | None) -> tuple[int, ...]: ...

    assert not any(map(holds_any, get_type_hints(typed).values()))
    careless = [Any, list[Any], dict[str, Any], int | list[Any], Callable[[Any], int], ArrayLike | set[Any]]
    assert all(map(holds_any, careless))


def for_type_checkers() -> set[str]:
    """The lines of `convpipe/__init__.py` that only type checkers read, one for each name."""
    tree = ast.parse(Path(cp.__file__).read_text())
    [block] = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    assert all(isinstance(node, ast.ImportFrom) for node in block.body)
    return {
        f"from {node.module} import {alias.name} as {alias.asname}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_type_checkers_are_told_of_every_name() -> None:
    there = {f"from {home} import {name} as {name}" for name, home in HOMES.items()}
    listed = for_type_checkers()
    assert sorted(there - listed) == [], "lines to add to TYPE_CHECKING in convpipe/__init__.py"
    assert sorted(listed - there) == [], "lines to take out of TYPE_CHECKING in convpipe/__init__.py"
    assert Path(cp.__file__).with_name("py.typed").is_file()
