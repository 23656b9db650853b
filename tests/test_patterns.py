"""Patterns as a source, against plain Python loops; the experiments made of them, and what those show."""

from __future__ import annotations

import itertools
import re
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from math import ceil, floor, prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from cli_runs import convpipe, only_run, refused

import convpipe as cp
from convpipe.fields import settings_of
from convpipe.sources import Request, read_source
from convpipe.sources.kinds.stream import CHUNK
from convpipe.sources.pattern import PATTERNS, Pattern
from convpipe.testing import check_source

CONF = Path(__file__).parent.parent / "conf"
MANUAL = Path(__file__).parent.parent / "convpipe" / "manual" / "10_numbers.md"
ROLES = ("input", "filters", "bias", "grad")

# How many bits a dtype's whole numbers have, and whether they have a sign: of floats, those of the mantissa.
BITS = {"int4": 4, "uint4": 4, "int8": 8, "uint8": 8, "int16": 16, "uint16": 16, "int32": 32, "uint32": 32}
BITS |= {"int64": 64, "uint64": 64, "float16": 11, "float32": 24, "float64": 53}
ENDS = {name: (0, 2**n - 1) if name[0] == "u" else (-(2 ** (n - 1)), 2 ** (n - 1) - 1) for name, n in BITS.items()}
ENDS |= {name: (-(2 ** BITS[name]), 2 ** BITS[name]) for name in ("float16", "float32", "float64")}

# The axes of each layout in our own order: 0 is N or O, 1 is C or I, the others are spatial.
AXES = {
    "NCHW": (0, 1, 2, 3),
    "NHWC": (0, 2, 3, 1),
    "OIHW": (0, 1, 2, 3),
    "OHWI": (0, 2, 3, 1),
    "HWIO": (2, 3, 1, 0),
    "IHWO": (1, 2, 3, 0),
}


def laid(shape: Sequence[int], axes: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """The indices of all cells, in the order in which a layout has them."""
    for place in itertools.product(*(range(shape[axis]) for axis in axes)):
        found = [0] * len(shape)
        for axis, index in zip(axes, place, strict=True):
            found[axis] = index
        yield tuple(found)


def signed(value: int, dtype: str) -> int:
    """A whole number from 0 on as the integer that has those bits."""
    wraps = dtype[0] == "i" and value >= 2 ** (BITS[dtype] - 1)
    return value - 2 ** BITS[dtype] if wraps else value


def plain(shape: tuple[int, ...], axes: tuple[int, ...], dtype: str, name: str, **given: Any) -> dict[Any, int]:
    """What a pattern has in each cell, by the manual's table, one cell after another."""
    low, high = given.get("low", ENDS[dtype][0]), given.get("high", ENDS[dtype][1])
    zero, bits = given.get("zero_point", 0), BITS[dtype]
    reach, cells = min(high - zero, zero - low), prod(shape[1:])
    counts, found = [0] * shape[0], {}
    for address, place in enumerate(laid(shape, axes)):
        inside = counts[place[0]]  # the address in its image or filter
        counts[place[0]] += 1
        hot = given.get("position")
        is_hot = inside == place[0] % cells if hot is None else place[1:] == tuple(hot)
        found[place] = {
            "minimum": low,
            "maximum": high,
            "zero_point": zero,
            "checkerboard": high if sum(place) % 2 else low,
            "alternate": high if place[axes[-1]] % 2 else low,
            "ramp": low + address % (high - low + 1),
            "address": signed(address // 2 ** (bits * given.get("byte", 0)) % 2**bits, dtype),
            "walking_one": signed(2 ** (address % bits), dtype),
            "one_hot": high if is_hot else zero,
            "sign": zero + reach if 2 * inside < cells else zero - reach,
        }[name]
    return found


def pattern(role: str, name: str, **given: Any) -> Pattern:
    """A source of plain values."""
    found = read_source(role, {"source": "pattern", "pattern": name, **given})
    assert isinstance(found, Pattern)
    return found


def made(role: str, name: str, request: Request | None = None, **given: Any) -> np.ndarray[Any, Any]:
    """The array of a pattern, held to what any source keeps to."""
    return check_source(Pattern, role, {"source": "pattern", "pattern": name, **given}, request)


def assert_cells(array: np.ndarray[Any, Any], expected: dict[Any, int]) -> None:
    """Each cell has the value."""
    assert array.size == len(expected)
    assert {place: int(array[place]) for place in expected} == expected


# --- each pattern against loops


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", BITS)
@pytest.mark.parametrize("name", PATTERNS)
def test_an_input_cell_by_cell(name: str, dtype: str, layout: str) -> None:
    zero = 5 if dtype[0] == "u" else 0
    x = made("input", name, shape=[2, 3, 4, 5], dtype=dtype, layout=layout, zero_point=zero)
    assert x.dtype == {"int4": "int8", "uint4": "uint8"}.get(dtype, dtype)
    assert_cells(x, plain((2, 3, 4, 5), AXES[layout], dtype, name, zero_point=zero))


@pytest.mark.parametrize("layout", ["OIHW", "OHWI", "HWIO", "IHWO"])
@pytest.mark.parametrize("name", PATTERNS)
def test_filters_cell_by_cell(name: str, layout: str) -> None:
    request = Request((None, 3, None, None), groups=2)
    w = made("filters", name, request, count=40, kernel=[2, 3], layout=layout)  # more than a filter has cells
    assert_cells(w, plain((40, 3, 2, 3), AXES[layout], "int8", name))


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize("count", [1, 2, 7, 300])
def test_a_bias_is_one_list(name: str, count: int) -> None:
    bias = made("bias", name, Request((count,)), dtype="int16")
    expected = plain((1, count), (0, 1), "int16", name)
    expected = {place[1:]: value for place, value in expected.items()}
    if name == "checkerboard":
        expected = {(place,): (-32768, 32767)[place % 2] for place in range(count)}
    assert_cells(bias, expected)


@pytest.mark.parametrize("name", PATTERNS)
@pytest.mark.parametrize(
    ("shape", "layout"), [((4, 3, 5), "NHWC"), ((2, 3, 2, 3, 4), "NHWC"), ((2, 3, 2, 3, 4), "NCHW")]
)
def test_other_numbers_of_spatial_axes(name: str, shape: tuple[int, ...], layout: str) -> None:
    spatial = tuple(range(2, len(shape)))
    axes = (0, 1, *spatial) if layout == "NCHW" else (0, *spatial, 1)
    x = made("input", name, shape=list(shape), layout=layout)
    assert_cells(x, plain(shape, axes, "int8", name))
    assert_cells(made("grad", name, Request(shape), layout=layout), plain(shape, axes, "int8", name))


@pytest.mark.parametrize("name", PATTERNS)
def test_a_matrix_is_one_image(name: str) -> None:
    x = made("input", name, shape=[3, 4])
    assert_cells(x[None, None], plain((1, 1, 3, 4), AXES["NCHW"], "int8", name))


@pytest.mark.parametrize(("low", "high", "zero"), [(-3, 4, 1), (0, 255, 128), (7, 7, 7), (-100, -90, -95), (-3, 4, 2)])
@pytest.mark.parametrize("name", sorted(set(PATTERNS) - {"sign"}))
def test_ends_and_a_zero_point_of_one_s_own(name: str, low: int, high: int, zero: int) -> None:
    given = {"low": low, "high": high, "zero_point": zero}
    x = made("input", name, shape=[2, 2, 3, 3], dtype="int16", **given)
    assert_cells(x, plain((2, 2, 3, 3), AXES["NCHW"], "int16", name, **given))


@pytest.mark.parametrize(
    ("dtype", "given", "values"),
    [
        ("int8", {}, [127, 127, -127]),
        ("int8", {"zero_point": -5}, [118, 118, -128]),
        ("int8", {"zero_point": 126}, [127, 127, 125]),
        ("uint8", {"zero_point": 128}, [255, 255, 1]),
        ("int8", {"low": -3, "high": 9}, [3, 3, -3]),
    ],
)
def test_signs_lie_as_far_from_the_zero_point_as_both_can(dtype: str, given: dict[str, Any], values: list[int]) -> None:
    assert made("input", "sign", shape=[1, 1, 3], dtype=dtype, **given).ravel().tolist() == values


def test_sums_of_signs_climb_as_high_as_they_can_and_come_back() -> None:
    w = made("filters", "sign", Request((None, 2, None, None)), count=1, kernel=2)
    on_the_way = list(itertools.accumulate(int(value) * 127 for value in w.ravel()))
    assert on_the_way == [16129, 32258, 48387, 64516, 48387, 32258, 16129, 0]


@pytest.mark.parametrize(("position", "at"), [([0, 0, 0], (0, 0, 0)), ([2, 0, 1], (2, 0, 1)), ([1, 3, 4], (1, 3, 4))])
def test_a_position_is_the_same_in_each_image(position: list[int], at: tuple[int, ...]) -> None:
    x = made("input", "one_hot", shape=[3, 3, 4, 5], position=position, high=9)
    assert [tuple(index) for index in np.argwhere(x)] == [(image, *at) for image in range(3)]
    assert x.max() == 9


@pytest.mark.parametrize(
    ("role", "given", "request_"),
    [
        ("input", {"shape": [3, 4], "position": [2, 1]}, Request()),
        ("bias", {"position": [3]}, Request((5,))),
        ("input", {"shape": [2, 3, 4], "position": [2, 1]}, Request()),
    ],
)
def test_a_position_in_fewer_axes(role: str, given: dict[str, Any], request_: Request) -> None:
    array = made(role, "one_hot", request_, **given)
    flat = np.argwhere(array).tolist()
    batch = [[n] for n in range(array.shape[0])] if array.ndim == 3 else [[]]
    assert flat == [[*front, *given["position"]] for front in batch]


@pytest.mark.parametrize(("byte", "number"), [("low", 0), (0, 0), ("high", 1), (1, 1), (2, 2), (15, 15)])
@pytest.mark.parametrize("dtype", ["int4", "uint8", "int16", "float16"])
def test_all_parts_of_an_address(byte: str | int, number: int, dtype: str) -> None:
    shape = (2, 3, 120, 130)
    x = made("input", "address", shape=list(shape), byte=byte, dtype=dtype, layout="NHWC")
    places = {address: place for address, place in enumerate(laid(shape, AXES["NHWC"])) if address % 997 < 3}
    for address, place in places.items():
        digit = (address >> (BITS[dtype] * number)) % 2 ** BITS[dtype]
        assert int(x[place]) == signed(digit, dtype), place


def test_two_bytes_say_where_every_cell_is() -> None:
    low, high = (made("input", "address", shape=[1, 3, 40, 50], dtype="uint8", byte=part) for part in ("low", "high"))
    assert (low.astype(int) + 256 * high.astype(int)).ravel().tolist() == list(range(6000))


@pytest.mark.parametrize("name", PATTERNS)
def test_an_array_of_many_pieces_is_that_of_one(name: str) -> None:
    x = made("input", name, shape=[3, 5, 79, 97], layout="NHWC", dtype="int16")
    assert x.size > CHUNK
    expected = plain((3, 5, 79, 97), AXES["NHWC"], "int16", name)
    assert_cells(x, expected)


@pytest.mark.parametrize("name", PATTERNS)
def test_no_cells(name: str) -> None:
    assert made("input", name, shape=[2, 0, 3, 3]).shape == (2, 0, 3, 3)


@pytest.mark.parametrize("name", PATTERNS)
def test_nothing_is_drawn(name: str) -> None:
    source = pattern("input", name)
    arrays = [source.make(source.signature(), np.random.PCG64(seed)) for seed in (1, 2)]
    np.testing.assert_array_equal(*arrays)


@pytest.mark.parametrize("name", ["checkerboard", "one_hot", "address"])
def test_a_pattern_takes_little_memory_beside_the_array(name: str) -> None:
    source = pattern("input", name, shape=[1, 4, 1000, 1000], layout="NHWC")
    tracemalloc.start()
    array = source.make(source.signature(), np.random.PCG64(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < array.nbytes + 8_000_000


# --- settings


@pytest.mark.parametrize("role", ROLES)
def test_the_yaml_states_the_defaults(role: str) -> None:
    values = yaml.safe_load((CONF / role / "pattern.yaml").read_text())
    assert read_source(role, {"source": "pattern"}) == read_source(role, values)
    assert set(values) == {"source", *settings_of(Pattern, role)}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("input.pattern=minimun", r"input\.pattern: got minimun, expected one of .* \(did you mean minimum\?\)"),
        ("input.dtype=int5", r"input\.dtype: got int5, expected one of int4, uint4, int8, .*"),
        ("input.low=-129", r"input\.low: got -129, expected a whole number from -128 to 127, as the dtype is int8"),
        ("input.dtype=uint4 input.high=16", r"input\.high: got 16, expected .* from 0 to 15, as the dtype is uint4"),
        ("input.dtype=uint8 input.zero_point=-1", r"input\.zero_point: got -1, expected .* from 0 to 255, .*"),
        ("input.dtype=float16 input.high=2049", r"input\.high: got 2049, expected .* from -2048 to 2048, .* float16"),
        ("input.low=5 input.high=4", r"input\.high: got 4, expected a whole number from low, 5, on"),
        ("input.low=1.5", r"input\.low: got 1.5, expected a whole number"),
        ("input.layout=HWIO", r"input\.layout: got HWIO, expected one of NCHW, NHWC"),
        ("filters=pattern filters.layout=NHWC", r"filters\.layout: got NHWC, expected one of OIHW, OHWI, HWIO, IHWO"),
        ("input.layout=HWC", r"input\.layout: got HWC, expected one of NCHW, .*"),
        ("input.byte=mid", r"input\.byte: got mid, expected low, high, or a whole number from 0 to 15"),
        ("input.byte=16", r"input\.byte: got 16, expected low, high, or a whole number from 0 to 15"),
        ("input.byte=true", r"input\.byte: got True, expected low, high, or a whole number from 0 to 15"),
        ("input.byte=[1]", r"input\.byte: got \[1\], expected low, high, or a whole number from 0 to 15"),
        (
            "input.pattern=one_hot input.position=[0,8,0]",
            r"input\.position\[1\]: got 8, expected a whole number below 8",
        ),
        (
            "input.pattern=one_hot input.position=[0,0]",
            r"input\.position: got \[0, 0\], .* list of 3, .* 3 x 8 x 8 cells",
        ),
        ("input.pattern=one_hot input.position=4", r"input\.position: got 4, expected a list .*"),
        (
            "input.pattern=one_hot input.position=[-1,0,0]",
            r"input\.position\[0\]: got -1, expected a whole number from 0",
        ),
        (
            "input.pattern=sign input.dtype=uint8",
            r"input\.zero_point: got 0, expected .* above low, 0, and below high.*",
        ),
        ("input.pattern=sign input.zero_point=127", r"input\.zero_point: got 127, expected .* below high, 127, .*"),
        ("input.shape=[]", r"input\.shape: got \[\], expected a list of at least one value"),
        ("filters=pattern filters.kernel=[2,2,2]", r"filters\.kernel: got \(2, 2, 2\), .*"),
        ("bias=pattern bias.layout=NCHW", r"bias\.layout: got NCHW, expected one of the keys of bias: .*"),
        ("bias=pattern bias.pattern=one_hot bias.position=[1]", r"bias\.position\[0\]: got 1, expected .* below 1"),
        ("weights=pattern network=tiny", r"weights: .*pattern.*"),
    ],
)
def test_settings_that_are_refused(words: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert re.fullmatch(message, refused(tmp_path, "input=pattern", *words.split()))


@pytest.mark.parametrize("name", PATTERNS)
def test_what_is_not_read_is_no_part_of_an_id(name: str) -> None:
    """Changing a setting changes the array or leaves the id; cells enough that each setting matters somewhere."""
    others = {"low": -7, "high": 6, "zero_point": 3, "layout": "NHWC", "byte": 1, "position": [1, 2, 3]}
    base = pattern("input", name, shape=[2, 3, 12, 12])
    first = base.make(base.signature(), np.random.PCG64(0))
    for setting, value in others.items():
        other = pattern("input", name, shape=[2, 3, 12, 12], **{setting: value})
        second = other.make(other.signature(), np.random.PCG64(0))
        assert np.array_equal(first, second) == (setting in base.unread()), setting


def test_a_place_reads_no_layout() -> None:
    assert "layout" in pattern("input", "one_hot", position=[0, 0, 0]).unread()
    assert "layout" not in pattern("input", "one_hot").unread()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("input=pattern", "0b86512a919f"),
        ("input=pattern input.pattern=address input.layout=NHWC input.byte=high", "c8b42898497d"),
        ("input=pattern filters=pattern filters.pattern=one_hot filters.kernel=2 conv.dtype=int32", "b0126b5d5f6d"),
    ],
)
def test_ids_are_the_same_for_ever(words: str, expected: str, tmp_path: Path) -> None:
    assert convpipe(f"root={tmp_path}", *words.split()).code == 0
    assert only_run(tmp_path).name == expected


# --- the manual's table


def test_the_table_of_the_manual_has_every_pattern_and_its_example() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .* \| ([-\d ]+) \|$", MANUAL.read_text(), re.MULTILINE)
    assert [name for name, _ in rows if name in PATTERNS] == [name for name, _ in rows]
    assert {name for name, _ in rows} == set(PATTERNS)
    for name, cells in rows:
        assert made("input", name, shape=[1, 2, 2, 2], dtype="int4").ravel().tolist() == [*map(int, cells.split())], (
            name
        )


# --- what they are for


def test_filters_of_one_hot_give_the_patches(tmp_path: Path) -> None:
    words = "input=pattern input.shape=[1,2,3,4] filters=pattern filters.pattern=one_hot filters.high=1 filters.count=8"
    for layout, axes in (("OIHW", (0, 1, 2)), ("OHWI", (1, 2, 0))):
        root = tmp_path / layout
        answer = convpipe(f"root={root}", *words.split(), "filters.kernel=2", f"filters.layout={layout}", "keep=stages")
        assert answer.code == 0, answer.err
        run = cp.load(only_run(root))
        x = run.array("input")[0]
        for row, column, number in np.ndindex(2, 3, 8):
            place = list(laid((2, 2, 2), axes))[number]
            c, i, j = place
            assert run.output[0, row, column, number] == x[c, row + i, column + j]


def test_int4_patterns_go_through_a_quantised_convolution(tmp_path: Path) -> None:
    words = "input=pattern input.dtype=int4 filters=pattern filters.dtype=int4 filters.pattern=minimum quant=tosa"
    scales = "quant.input.scale=1 quant.filters.scale=1 quant.output.scale=1 quant.output.dtype=int32"
    types = "quant.input.dtype=int4 quant.filters.dtype=int4"
    answer = convpipe(f"root={tmp_path}", "keep=stages", *words.split(), *scales.split(), *types.split())
    assert answer.code == 0, answer.err
    run = cp.load(only_run(tmp_path))
    x = run.array("input")[0]
    expected = [[-8 * int(x[:, i : i + 3, j : j + 3].sum()) for j in range(6)] for i in range(6)]
    assert run.output[0, ..., 0].tolist() == expected


# --- corners


@pytest.fixture(scope="module")
def corners(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corners")
    answer = convpipe("-m", "experiment=corners", "conv.stride=2", "keep=stages", f"root={root}")
    assert answer.code == 0, answer.err
    assert "200 done, 0 there before, 0 failed" in answer.out
    return root / "corners"


def test_corners_takes_every_pattern_with_every_pattern() -> None:
    sweep = yaml.safe_load((CONF / "experiment" / "corners.yaml").read_text())["hydra"]["sweeper"]["params"]
    for key in ("input.pattern", "filters.pattern"):
        assert set(sweep[key].split(",")) == set(PATTERNS)


def test_corners_are_those_of_a_plain_convolution(corners: Path) -> None:
    seen = 0
    for run in map(cp.load, sorted(path.parent for path in corners.glob("*/manifest.json"))):
        x, w = run.array("input").astype(int) + 5, run.array("filters").astype(int)
        pad = 1 if run.config["conv"]["pad"] == 1 else 0
        x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        height = (x.shape[2] - 3) // 2 + 1
        for n, row, column, f in np.ndindex(2, height, height, 4):
            acc = int((x[n, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3] * w[f]).sum())
            expected = min(max(away(Fraction(acc, 2048)) + 3, -128), 127)
            assert run.output[n, row, column, f] == expected
        seen += 1
    assert seen == 200


def test_corners_reach_both_ends_and_what_lies_between(corners: Path) -> None:
    outputs = [cp.load(path.parent).output for path in corners.glob("*/manifest.json")]
    everything = np.concatenate([output.ravel() for output in outputs])
    assert (everything == -128).any()
    assert (everything == 127).any()
    assert len(np.unique(everything)) > 50


# --- ties


def away(value: Fraction) -> int:
    """To the nearest whole number, halves away from zero."""
    return floor(value + Fraction(1, 2)) if value >= 0 else ceil(value - Fraction(1, 2))


def up(value: Fraction) -> int:
    """To the nearest whole number, halves up."""
    return floor(value + Fraction(1, 2))


def doubly(last: Callable[[Fraction], int]) -> Callable[[Fraction], int]:
    """Twice the value rounded up, then half of that rounded."""
    return lambda value: last(Fraction(up(value * 2), 2))


def before(value: Fraction) -> int:
    """To the nearest, halves to even, after the zero point of 1 has been added."""
    return round(value + 1) - 1


TIES = {
    "tflite": doubly(away),
    "tosa": doubly(away),
    "tflite_ruy": doubly(up),
    "tflite_single": up,
    "tosa_single": up,
    "xnnpack": round,
    "onnxruntime": round,
    "onnx": round,
    "fbgemm": round,
    "qnnpack": round,
    "onednn": before,
}


def test_the_sweep_of_ties_takes_every_target_that_works_with_these_scales() -> None:
    sweep = yaml.safe_load((CONF / "experiment" / "ties.yaml").read_text())["hydra"]["sweeper"]["params"]
    assert sorted(sweep["quant"].split(",")) == sorted(TIES)
    presets = {path.stem for path in (CONF / "quant").glob("*.yaml")}
    assert presets - set(TIES) == {"none", "shift", "thresholds", "gemmini"}  # which has no zero points


@pytest.mark.parametrize("bias", [2, 1])
@pytest.mark.parametrize("quant", TIES)
def test_how_each_target_rounds_ties(quant: str, bias: int, tmp_path: Path) -> None:
    words = ("experiment=ties", f"quant={quant}", f"bias.high={bias}", "keep=stages", f"root={tmp_path}")
    answer = convpipe(*words)
    assert answer.code == 0, answer.err
    run = cp.load(only_run(tmp_path))
    x = [[(5 * row + column) % 16 - 8 for column in range(5)] for row in range(5)]
    for row, column, f in np.ndindex(4, 4, 4):
        value = Fraction(4 * x[row + f // 2][column + f % 2] + bias, 4)
        assert (value.denominator == 2) == (bias == 2), "every output is a tie"
        assert run.output[0, row, column, f] == TIES[quant](value) + 1


def test_the_ties_tell_five_ways_of_rounding_apart(tmp_path: Path) -> None:
    answer = convpipe("-m", "experiment=ties", f"root={tmp_path}")
    assert answer.code == 0, answer.err
    table = cp.runs(tmp_path / "ties")
    ways: dict[str, set[Any]] = {}
    for rule, rows in table.groupby("quant.rule"):
        both = tuple(rows[rows["bias.high"] == bias]["output_sha256"].iloc[0] for bias in (2, 1))
        ways.setdefault(both, set()).add(rule)
    assert sorted(map(sorted, ways.values())) == [
        ["double"],
        ["double_up"],
        ["float", "float64_product", "float_reciprocal"],
        ["float_offset"],
        ["single"],
    ]
