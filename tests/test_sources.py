"""Every source: what its signature promises, its values hold; and every shipped YAML reads."""

from __future__ import annotations

import math
import re
import subprocess
import sys
import tracemalloc
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings, strategies as st
from test_safetensors import file_of

from convpipe.errors import ConfigError
from convpipe.fields import settings_of
from convpipe.files.csv import read_matrix
from convpipe.geometry.layouts import suits
from convpipe.sources import SOURCES, Request, read_source, stream
from convpipe.sources.classic import NAMES, SIZED
from convpipe.sources.kinds.files import unchanged
from convpipe.sources.kinds.ranges import first_beyond
from convpipe.sources.kinds.source import ROLES
from convpipe.sources.kinds.stream import CHUNK
from convpipe.tensors import DTYPES, INTEGER_DTYPES, Signature, exact_range
from convpipe.testing import check_source

CONF = Path(__file__).parent.parent / "conf"
SOURCE_FILES = [path for role in ROLES for path in sorted((CONF / role).glob("*.yaml")) if path.stem != "none"]
GOLDEN_RAW = [
    3152210811302566520,
    10710393312986939500,
]  # stream(0, "input"): a change here changes every random run there is


def sources_for(role: str) -> list[str]:
    """The names of our sources that can fill a role."""
    return [name for name in SOURCES.ours() if role in SOURCES.get("", name).roles]


def read_input(**values: Any) -> Any:
    """An input source of plain values."""
    return read_source("input", values)


def read_filters(**values: Any) -> Any:
    """A filter source of plain values."""
    return read_source("filters", values)


def filters_for(channels: int, groups: int, rank: int) -> Request:
    """What a convolution asks of its filters."""
    return Request((None, channels // groups, *(None,) * rank), groups)


def made(source: Any, *geometry: int, seed: int = 0) -> Any:
    """The array of a source, found to be as its signature says; filters for channels, groups and a rank."""
    signature = source.signature(filters_for(*geometry) if geometry else Request())
    array = source.make(signature, stream(seed, "test"))
    assert type(array) is np.ndarray
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert (array.shape, array.dtype) == (signature.shape, signature.dtype)
    assert array.dtype.isnative
    return array


# --- the registry and the streams


DRAWN = [path for path in SOURCE_FILES if path.stem in ("random", "integers", "digits")]


@pytest.mark.parametrize("path", DRAWN, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_yaml_called_as_its_source_states_the_defaults(path: Path) -> None:
    values = yaml.safe_load(path.read_text())
    assert read_source(path.parent.name, {"source": path.stem}) == read_source(path.parent.name, values)
    assert set(values) == {"source", *settings_of(SOURCES.get("", path.stem), path.parent.name)}


def test_an_unknown_source_is_an_error_with_a_guess() -> None:
    with pytest.raises(ConfigError, match=r"^input\.source: got randon, expected one of csv, digits, .*mean random"):
        read_input(source="randon")
    with pytest.raises(ConfigError, match=r"^filters\.source: got nothing, expected one of classic, "):
        read_filters()


@pytest.mark.parametrize("name", [3, ["random"], {"random": 1}, True])
def test_a_source_that_is_no_name_is_an_error(name: object) -> None:
    with pytest.raises(ConfigError, match=r"^input\.source: got .*expected one of"):
        read_input(source=name)


@pytest.mark.parametrize("name", sources_for("input"))
def test_a_setting_that_an_input_does_not_have(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^input\.shap: got 3, expected one of the keys of input: source, "):
        read_input(source=name, shap=3)


@pytest.mark.parametrize("name", sources_for("filters"))
def test_a_setting_that_filters_do_not_have(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^filters\.cont: got 3, expected one of the keys of filters: source, "):
        read_filters(source=name, cont=3)


def test_streams_differ_by_name_and_seed_only() -> None:
    names = ["", "a", "b", "ab", "ba", "input", "filters", "a\0", "\0", "é", "a" * 50]
    first = {(seed, name): int(stream(seed, name).random_raw()) for seed in (0, 1, 2**70) for name in names}
    assert len(set(first.values())) == len(first)
    assert first[0, "input"] == int(stream(0, "input").random_raw())


def test_streams_are_the_same_for_ever() -> None:
    assert [int(raw) for raw in stream(0, "input").random_raw(2)] == GOLDEN_RAW


def test_a_stream_does_not_depend_on_the_process() -> None:
    code = "from convpipe.sources import stream; print(int(stream(0, 'input').random_raw()))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=CONF.parent)
    assert int(run.stdout) == GOLDEN_RAW[0]


@pytest.mark.parametrize("seed", [-1, 1.5, True, "1", None])
def test_a_seed_that_is_no_seed(seed: Any) -> None:
    with pytest.raises(ConfigError, match=r"^seed: got .*expected a whole number from 0"):
        stream(seed, "input")


# --- literal


def test_the_lectures_arrays_convolve_to_the_lectures_feature_map() -> None:
    x = made(read_input(**yaml.safe_load((CONF / "input/lecture.yaml").read_text())))
    w = made(read_filters(**yaml.safe_load((CONF / "filters/lecture.yaml").read_text())), 3, 1, 2)
    sums = [[int((x[0, :, row : row + 3, col : col + 3] * w[0]).sum()) for col in range(2)] for row in range(2)]
    assert sums == [[-9, 1], [0, -7]]


@pytest.mark.parametrize("dtype", DTYPES)
def test_literal_values_at_the_ends_of_a_dtype(dtype: str) -> None:
    low, high = exact_range(np.dtype(dtype))
    assert made(read_input(source="lecture", values=[low, high], dtype=dtype)).tolist() == [low, high]
    if dtype in INTEGER_DTYPES:
        with pytest.raises(ConfigError, match=rf"^input\.values\[0\]\[1\]: got {high + 1}, expected .*{dtype} holds"):
            read_input(source="lecture", values=[[0, high + 1]], dtype=dtype)
        with pytest.raises(ConfigError, match=rf"^filters\.values\[0\]: got {low - 1}, expected .*{dtype} holds"):
            read_filters(source="lecture", values=[low - 1], dtype=dtype)


@pytest.mark.parametrize(
    ("values", "dtype", "message"),
    [
        ([[1, 2], [3]], "int16", r"input\.values\[1\]: got \[3\], expected a list of shape \[2\], as in input.values"),
        ([[1, 2], 3], "int16", r"input\.values\[1\]: got 3, expected a list of shape \[2\]"),
        ([1, [2]], "int16", r"input\.values\[1\]: got \[2\], expected a number, as in"),
        ([[[1]], [[1], [2]]], "int16", r"input\.values\[1\]: .*a list of shape \[1, 1\]"),
        ([[1, True]], "int16", r"input\.values\[0\]\[1\]: got True, expected a number"),
        ([["1"]], "int16", r"input\.values\[0\]\[0\]: got '1', expected a number"),
        ([None], "int16", r"input\.values\[0\]: got nothing, expected a number"),
        ([{}], "int16", r"input\.values\[0\]: got \{\}, expected a number"),
        ([math.nan], "float32", r"input\.values\[0\]: got nan, expected a finite number"),
        ([math.inf], "float32", r"input\.values\[0\]: got inf, expected a finite number"),
        ([1.0], "int16", r"input\.values\[0\]: got 1.0, .*, as the dtype is int16 \(input\.dtype=float64 takes it\)$"),
        ([70000.0], "float16", r"input\.values\[0\]: got 70000.0, expected a number that float16 holds"),
        ([10**400], "float64", r"input\.values\[0\]: got 1000.*expected a number that float64 holds"),
        ([], "int16", r"input\.values: got an empty list, expected at least one value"),
        ([[], []], "int16", r"input\.values\[0\]: got an empty list"),
        (3, "int16", r"input\.values: got 3, expected a list"),
        (None, "int16", r"input\.values: got nothing, expected a list"),
        ("1", "int16", r"input\.values: got '1', expected a list"),
        ([1], "int12", r"input\.dtype: got int12, expected one of int8"),
    ],
)
def test_literal_values_that_are_refused(values: Any, dtype: str, message: str) -> None:
    with pytest.raises(ConfigError, match="^" + message):
        read_input(source="lecture", values=values, dtype=dtype)


def test_literal_lists_too_deep() -> None:
    values: Any = 1
    for _ in range(500):
        values = [values]
    with pytest.raises(ConfigError, match=r"expected at most 32 lists within each other"):
        read_input(source="lecture", values=values)


def test_literal_values_must_be_given() -> None:
    with pytest.raises(ConfigError, match=r"^input\.values: got nothing, expected a value for it"):
        read_input(source="lecture")


# --- random


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_random_in_every_dtype(dtype: str, distribution: str) -> None:
    settings = {"source": "random", "dtype": dtype, "distribution": distribution}
    x = made(read_input(**settings, shape=[2, 3, 50, 50], low=0, high=100, mean=50, std=10))
    w = made(read_filters(**settings, count=5, kernel=3, low=0, high=100), 4, 2, 2)
    assert w.shape == (5, 2, 3, 3)
    assert x.dtype == dtype
    assert 45 < x.mean(dtype=float) < 55
    assert x.min() >= 0
    assert x.max() < (100 if distribution == "uniform" else 200)
    assert len(np.unique(x)) > 50


@settings(deadline=None, derandomize=True, max_examples=300)
@given(data=st.data(), dtype=st.sampled_from(DTYPES))
def test_uniform_keeps_to_low_and_below_high(data: Any, dtype: str) -> None:
    info: Any = np.iinfo(dtype) if dtype in INTEGER_DTYPES else np.finfo(dtype)
    lowest, beyond = int(info.min), first_beyond(np.dtype(dtype))
    ends = st.floats(max(float(info.min), -8e307), min(float(info.max), 8e307)) | st.integers(lowest, beyond)
    low, high = sorted([data.draw(ends), data.draw(ends)])
    settings = {"source": "random", "shape": [64], "dtype": dtype, "low": low, "high": high}
    try:
        source = read_input(**settings)
    except ConfigError:  # an interval that is empty in this dtype
        with pytest.raises(ConfigError, match=r"^input\.(low|high): "):
            read_input(**settings)
        return
    for value in made(source).tolist():
        assert (math.floor(low) if dtype in INTEGER_DTYPES and abs(low) < 2**53 else float(low)) <= value < high


@pytest.mark.parametrize(("dtype", "low", "high"), [("float16", 1, 1.001), ("float32", 0.1, 0.1000001), ("int8", 3, 4)])
def test_uniform_does_not_round_up_to_high(dtype: str, low: float, high: float) -> None:
    x = made(read_input(source="random", shape=[20_000], dtype=dtype, low=low, high=high)).astype(float)
    assert low <= x.min()
    assert x.max() < high


def exact_draws(count: int) -> list[int]:
    """What uniform numbers are made from: the first 53 of each 64 raw bits, by which NumPy stands for ever."""
    return [int(raw) >> 11 for raw in stream(0, "test").random_raw(count)]


@pytest.mark.parametrize("dtype", INTEGER_DTYPES)
def test_uniform_integers_are_the_first_raw_bits(dtype: str) -> None:
    info = np.iinfo(dtype)
    bits = min(info.bits - 1, 53)
    low = 0 if info.min == 0 else -(2 ** (bits - 1))
    x = made(read_input(source="random", shape=[300], dtype=dtype, low=low, high=low + 2**bits))
    assert x.tolist() == [low + (draw >> (53 - bits)) for draw in exact_draws(300)]


@pytest.mark.parametrize("dtype", [name for name in INTEGER_DTYPES if not name.startswith("u")])
def test_uniform_integers_are_rounded_down(dtype: str) -> None:
    x = made(read_input(source="random", shape=[300], dtype=dtype, low=-2.5, high=1.5)).tolist()
    assert x == [math.floor(Fraction(draw, 2**51) - Fraction(5, 2)) for draw in exact_draws(300)]
    assert set(x) == {-3, -2, -1, 0, 1}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_uniform_floats_are_the_raw_bits_rounded_once(dtype: str) -> None:
    x = made(read_input(source="random", shape=[3000], dtype=dtype, low=-2, high=2))
    below = np.nextafter(np.dtype(dtype).type(2), np.dtype(dtype).type(0))
    exact = [draw / 2**51 - 2 for draw in exact_draws(3000)]
    assert x.tolist() == [min(np.dtype(dtype).type(value), below).item() for value in exact]


@pytest.mark.parametrize("dtype", DTYPES)
def test_normal_numbers_are_numpys_scaled_and_rounded_once(dtype: str) -> None:
    mean, std = 50, 7.25
    x = made(read_input(source="random", shape=[300], dtype=dtype, distribution="normal", mean=mean, std=std)).tolist()
    numbers = np.random.Generator(stream(0, "test")).standard_normal(300).tolist()
    exact = [number * std + mean for number in numbers]
    assert x == [round(value) if dtype in INTEGER_DTYPES else np.dtype(dtype).type(value).item() for value in exact]


@pytest.mark.parametrize(
    ("low", "high", "only"), [(2**53, 2**53 + 1, 2**53), (2**63 - 1025, 2**63 - 1, 2**63 - 1024), (-1, 0, -1)]
)
def test_the_last_number_below_high_where_floats_are_sparse(low: int, high: int, only: int) -> None:
    x = made(read_input(source="random", shape=[300], dtype="int64", low=low, high=high))
    assert set(x.tolist()) == {only}


def test_normal_is_normal() -> None:
    x = made(read_input(source="random", shape=[200_000], dtype="float64", distribution="normal", mean=3, std=2))
    assert abs(x.mean() - 3) < 0.02
    assert abs(x.std() - 2) < 0.02


def test_uniform_is_uniform() -> None:
    x = made(read_input(source="random", shape=[200_000], dtype="float64", low=-1, high=3))
    counts = np.histogram(x, bins=20, range=(-1, 3))[0]
    assert (abs(counts - 10_000) < 500).all()


def test_normal_integers_are_rounded_not_cut() -> None:
    x = made(read_input(source="random", shape=[100_000], dtype="int16", distribution="normal", std=2))
    assert abs(x.mean()) < 0.03


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_vast_normal_stays_within_its_dtype(dtype: str) -> None:
    x = made(read_input(source="random", shape=[99], dtype=dtype, distribution="normal", std=1e308))
    info: Any = np.iinfo(dtype) if dtype in INTEGER_DTYPES else np.finfo(dtype)
    assert np.isfinite(x).all()
    assert x.max() > info.max * 0.99
    assert x.min() <= info.min * 0.99


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"low": 1, "high": 1}, r"input\.high: got 1, expected a number above low, 1"),
        ({"low": 2, "high": 1}, r"input\.high: got 1, expected a number above low, 2"),
        ({"dtype": "uint8", "low": -1}, r"input\.low: got -1, expected a number that uint8 holds, from 0 to 255"),
        ({"dtype": "int8", "high": 200}, r"input\.high: got 200, expected a number from -128 to 128, below which int8"),
        ({"dtype": "float16", "high": 1e5}, r"input\.high: got 100000, expected a number from -65504 to 65536,"),
        ({"dtype": "float64", "low": -1.7e308, "high": 1.7e308}, r"input\.high: got 16999.*expected a number less"),
        ({"dtype": "float16", "low": 1.0001, "high": 1.0002}, r"input\.high: got 1.0002, .*some float16 lies between"),
        ({"low": math.nan}, r"input\.low: got nan, expected a number"),
        ({"high": "1"}, r"input\.high: got '1', expected a number"),
        ({"std": -1}, r"input\.std: got -1, expected a number from 0"),
        (
            {"dtype": "int8", "distribution": "normal", "mean": 300},
            r"input\.mean: got 300, expected a number that int8",
        ),
        ({"distribution": "poisson"}, r"input\.distribution: got poisson, expected one of uniform, normal"),
        ({"dtype": "bool"}, r"input\.dtype: got bool, expected one of int8"),
        ({"shape": []}, r"input\.shape: got \[\], expected a list of at least one value"),
        ({"shape": 3}, r"input\.shape: got 3, expected a list"),
        ({"shape": [1, -1]}, r"input\.shape\[1\]: got -1, expected a whole number from 0"),
        ({"shape": [1, 2.0]}, r"input\.shape\[1\]: got 2.0, expected a whole number from 0"),
        ({"shape": [1, True]}, r"input\.shape\[1\]: got True, expected a whole number"),
    ],
)
def test_random_settings_that_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match="^" + message):
        read_input(source="random", **values)


@pytest.mark.parametrize("name", ["random", "integers"])
def test_a_shape_beyond_memory_is_refused_even_where_it_is_empty(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^input\.shape: got \[0, .*fewer than 2\*\*63 bytes"):
        read_input(source=name, shape=[0, 2**40, 2**40]).signature()


@pytest.mark.parametrize("name", ["random", "integers"])
@pytest.mark.parametrize("shape", [[0], [0, 3, 4, 4], [1], [2, 3, 4, 5, 6]])
def test_every_rank_and_empty_shapes(name: str, shape: list[int]) -> None:
    assert made(read_input(source=name, shape=shape)).shape == tuple(shape)


# --- integers


@pytest.mark.parametrize("dtype", DTYPES)
def test_integers_over_the_whole_range_of_a_dtype(dtype: str) -> None:
    low, high = exact_range(np.dtype(dtype))
    x = made(read_input(source="integers", shape=[5000], dtype=dtype, low=low, high=high + 1)).tolist()
    assert min(x) < low + (high - low) // 100
    assert max(x) > high - (high - low) // 100
    assert all(value == int(value) for value in x)


@pytest.mark.parametrize(("dtype", "low", "high"), [("int64", -(2**63), 2**63), ("uint64", 0, 2**64)])
def test_integers_of_64_bits_use_every_bit(dtype: str, low: int, high: int) -> None:
    raw = [int(value) for value in stream(0, "test").random_raw(100)]
    x = made(read_input(source="integers", shape=[100], dtype=dtype, low=low, high=high)).tolist()
    assert x == [value + low for value in raw]


@settings(deadline=None, derandomize=True)
@given(data=st.data(), dtype=st.sampled_from(DTYPES))
def test_integers_equal_python_arithmetic_on_the_raw_bits(data: Any, dtype: str) -> None:
    least, most = exact_range(np.dtype(dtype))
    low, last = sorted([data.draw(st.integers(least, most)), data.draw(st.integers(least, most))])
    x = made(read_input(source="integers", shape=[3, 5], dtype=dtype, low=low, high=last + 1))
    raw = stream(0, "test").random_raw(15)
    assert x.ravel().tolist() == [low + int(bits) % (last + 1 - low) for bits in raw]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"low": 3, "high": 3}, r"filters\.high: got 3, expected a whole number above low, 3, and at most 32768"),
        ({"low": 3, "high": 2}, r"filters\.high: got 2, expected a whole number above low, 3"),
        ({"dtype": "int8", "high": 129}, r"filters\.high: got 129, .*at most 128 for int8"),
        ({"dtype": "uint8"}, r"filters\.low: got -8, expected a whole number that uint8 holds exactly, from 0 to 255"),
        ({"dtype": "float16", "high": 2050}, r"filters\.high: got 2050, .*at most 2049 for float16"),
        ({"low": 1.0}, r"filters\.low: got 1.0, expected a whole number"),
        ({"count": 0}, r"filters\.count: got 0, expected a whole number from 1"),
        ({"kernel": 0}, r"filters\.kernel: got 0, expected a whole number from 1"),
        ({"kernel": [3, 0]}, r"filters\.kernel\[1\]: got 0, expected a whole number from 1"),
        ({"kernel": []}, r"filters\.kernel: got \[\], expected a list of at least one value"),
    ],
)
def test_integer_settings_that_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match="^" + message):
        read_filters(source="integers", **values)


@pytest.mark.parametrize("name", ["random", "integers"])
@pytest.mark.parametrize(
    ("kernel", "rank", "sizes"), [(3, 1, (3,)), (2, 3, (2, 2, 2)), ([1, 5], 2, (1, 5)), ([4], 1, (4,))]
)
def test_a_kernel_of_one_size_or_one_per_axis(name: str, kernel: Any, rank: int, sizes: tuple[int, ...]) -> None:
    assert made(read_filters(source=name, count=2, kernel=kernel), 6, 3, rank).shape == (2, 2, *sizes)


@pytest.mark.parametrize("name", ["random", "integers"])
def test_a_kernel_of_another_rank_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^filters\.kernel: got \(3, 3\), .*a list of 3 \(D, H, W\)"):
        read_filters(source=name).signature(filters_for(3, 1, 3))


DRAWS = [
    {"source": "integers", "dtype": "int8"},
    {"source": "random", "dtype": "float32"},
    {"source": "random", "dtype": "float32", "distribution": "normal"},
]


@pytest.mark.parametrize("draw", DRAWS)
def test_more_filters_begin_with_the_same_ones(draw: dict[str, Any]) -> None:
    few, many = (made(read_filters(**draw, count=count, kernel=7), 64, 1, 2) for count in (20, 50))
    assert few.size < CHUNK < many.size
    np.testing.assert_array_equal(many[:20], few)


@pytest.mark.parametrize("draw", DRAWS)
def test_draws_repeat_and_depend_on_the_seed(draw: dict[str, Any]) -> None:
    source = read_input(**draw)
    np.testing.assert_array_equal(made(source), made(source))
    assert (made(source) != made(source, seed=1)).any()


@pytest.mark.parametrize("draw", DRAWS)
def test_drawing_takes_little_memory_beside_the_array(draw: dict[str, Any]) -> None:
    source = read_input(**draw, shape=[4_000_000])
    tracemalloc.start()
    array = made(source)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < array.nbytes + 3_000_000


@pytest.mark.parametrize("draw", DRAWS)
def test_a_signature_allocates_nothing(draw: dict[str, Any]) -> None:
    assert read_input(**draw, shape=[2**20, 2**20]).signature().shape == (2**20, 2**20)


# --- files


@pytest.fixture
def saved(tmp_path: Path) -> Any:
    """Save an array as x.npy and give its path."""

    def save(array: Any) -> str:
        np.save(tmp_path / "x.npy", array)
        return str(tmp_path / "x.npy")

    return save


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("stored", [">", "<"])
def test_a_file_comes_as_it_is(saved: Any, dtype: str, stored: Any) -> None:
    array = np.arange(24).reshape(1, 2, 3, 4).astype(np.dtype(dtype).newbyteorder(stored), order="F")
    np.testing.assert_array_equal(made(read_input(source="npy", path=saved(array))), array)
    np.testing.assert_array_equal(made(read_filters(source="npy", path=saved(array)), 2, 1, 2), array)


@pytest.mark.parametrize("stored", DTYPES)
@pytest.mark.parametrize("wanted", DTYPES)
def test_a_file_converts_where_the_dtype_holds_its_values(saved: Any, stored: str, wanted: str) -> None:
    x = made(read_input(source="npy", path=saved(np.array([0, 1, 127], stored)), dtype=wanted))
    assert x.dtype == wanted
    assert x.tolist() == [0, 1, 127]


@pytest.mark.parametrize(
    ("values", "stored", "wanted"),
    [
        ([300], "int16", "int8"),
        ([-1], "int8", "uint64"),
        ([2**63], "uint64", "int64"),
        ([2**53 + 1], "int64", "float64"),
        ([2**63 - 1], "int64", "float64"),
        ([2**64 - 1], "uint64", "float32"),
        ([2.0**63], "float64", "int64"),
        ([2.0**64], "float64", "uint64"),
        ([0.5], "float32", "int32"),
        ([math.nan], "float64", "int8"),
        ([math.inf], "float64", "int64"),
        ([0.1], "float64", "float32"),
        ([1e300], "float64", "float16"),
        ([70000], "int32", "float16"),
        ([0] * CHUNK + [0.5], "float64", "int8"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_a_file_is_not_converted_inexactly(saved: Any, values: list[Any], stored: str, wanted: str) -> None:
    source = read_filters(source="npy", path=saved(np.array(values, stored)), dtype=wanted)
    with pytest.raises(ConfigError, match=rf"^filters\.dtype: got {wanted}, expected a dtype that holds every value"):
        made(source, 1, 1, 2)


@pytest.mark.parametrize(("stored", "wanted"), [("float16", "float64"), ("float64", "float16")])
def test_nan_and_infinity_convert_between_floats(saved: Any, stored: str, wanted: str) -> None:
    x = made(read_input(source="npy", path=saved(np.array([math.nan, math.inf, -0.0], stored)), dtype=wanted))
    assert str(x.tolist()) == "[nan, inf, -0.0]"


@settings(deadline=None, derandomize=True)
@given(number=st.integers(-(2**63), 2**64 - 1), stored=st.sampled_from(DTYPES), wanted=st.sampled_from(DTYPES))
def test_unchanged_agrees_with_pythons_exact_numbers(number: int, stored: str, wanted: str) -> None:
    with np.errstate(all="ignore"):
        before = np.array([number]).astype(stored)
        after = before.astype(wanted)
    exact = before[0].item() == after[0].item()
    assert unchanged(before, after) == exact


def test_a_file_of_one_number_has_no_axes(saved: Any) -> None:
    with pytest.raises(ConfigError, match=r"^input\.path: got .*an array with axes"):
        read_input(source="npy", path=saved(np.array(3))).signature()


def test_a_file_that_changes_after_planning_is_noticed(saved: Any) -> None:
    source = read_input(source="npy", path=saved(np.zeros((1, 2, 3))))
    signature = source.signature()
    saved(np.zeros((1, 2, 4)))
    with pytest.raises(ConfigError, match=r"^input\.path: got .*an array \(1, 2, 3\), as it was when planned"):
        source.make(signature, stream(0, "input"))


@pytest.mark.parametrize("path", ["", None, 3, ["x.npy"]])
@pytest.mark.parametrize("name", ["npy", "image"])
def test_a_path_that_is_no_text(name: str, path: Any) -> None:
    with pytest.raises(ConfigError, match=r"^input\.path: got .*expected a text"):
        read_input(source=name, path=path)


@pytest.mark.parametrize("name", ["npy", "image"])
def test_a_path_that_is_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^input\.path: got .*that can be read"):
        read_input(source=name, path=str(tmp_path / "missing")).signature()


# --- images


@pytest.fixture
def photo(tmp_path: Path) -> str:
    """An image file, 2 high and 3 wide."""
    pillow = pytest.importorskip("PIL.Image", reason="Pillow is the optional extra `image`")
    pillow.fromarray(np.arange(18, dtype=np.uint8).reshape(2, 3, 3)).save(tmp_path / "x.png")
    return str(tmp_path / "x.png")


@pytest.mark.parametrize("dtype", [name for name in DTYPES if name != "int8"])
@pytest.mark.parametrize(("mode", "channels"), [("rgb", 3), ("grey", 1)])
def test_an_image_in_every_dtype(photo: str, dtype: str, mode: str, channels: int) -> None:
    assert made(read_input(source="image", path=photo, mode=mode, dtype=dtype)).shape == (1, channels, 2, 3)


def test_an_image_that_changes_after_planning_is_noticed(photo: str) -> None:
    source = read_input(source="image", path=photo)
    with pytest.raises(ConfigError, match=r"^input\.path: got .*an image \(1, 3, 9, 9\), as it was when planned"):
        source.make(Signature((1, 3, 9, 9), np.dtype("uint8")), stream(0, "input"))


def test_a_dtype_too_small_for_pixels(photo: str) -> None:
    with pytest.raises(ConfigError, match=r"^input\.dtype: got int8, expected one of int16"):
        read_input(source="image", path=photo, dtype="int8")


# --- classic kernels


def classic(name: str, **settings: Any) -> Any:
    """The (k, k) weights of one kernel."""
    return made(read_filters(source="classic", names=[name], **settings), 1, 1, 2)[0, 0]


@pytest.mark.parametrize(
    ("name", "total"),
    [
        *[(name, 0) for name in ("sobel_x", "sobel_y", "prewitt_x", "prewitt_y", "laplacian")],
        *[(name, 1) for name in ("sharpen", "emboss", "identity")],
        ("gaussian", 16),
        ("box", 9),
    ],
)
def test_what_a_kernel_makes_of_a_constant(name: str, total: int) -> None:
    assert classic(name).sum() == total


def test_the_list_of_kernels() -> None:
    listed = "sobel_x sobel_y prewitt_x prewitt_y laplacian gaussian box sharpen emboss identity"
    assert sorted(NAMES) == sorted(listed.split())


@pytest.mark.parametrize(
    ("name", "across", "down"), [("sobel_x", 8, 0), ("sobel_y", 0, 8), ("prewitt_x", 6, 0), ("prewitt_y", 0, 6)]
)
def test_gradients_answer_to_growth_to_the_right_and_down(name: str, across: int, down: int) -> None:
    down_ramp, across_ramp = np.mgrid[0:3, 0:3]
    assert ((classic(name) * across_ramp).sum(), (classic(name) * down_ramp).sum()) == (across, down)


@pytest.mark.parametrize("size", [1, 3, 5, 9])
@pytest.mark.parametrize("name", SIZED)
def test_sized_kernels(name: str, size: int) -> None:
    weights = classic(name, kernel=size, dtype="int64")
    assert weights.shape == (size, size)
    assert weights.sum() == {"box": size**2, "gaussian": 4 ** (size - 1)}.get(name, 1)
    assert (weights == weights[::-1, ::-1]).all()
    assert weights[size // 2, size // 2] == weights.max()


@pytest.mark.parametrize("size", [1, 3, 255])
@pytest.mark.parametrize("name", ["gaussian", "box"])
def test_normalized_kernels_sum_to_one(name: str, size: int) -> None:
    assert classic(name, kernel=size, dtype="float64", normalize=True).sum() == pytest.approx(1, abs=1e-12)


def test_normalize_leaves_other_kernels() -> None:
    assert classic("sobel_x", dtype="float16", normalize=True).max() == 2


@settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    depth=st.integers(1, 4),
    groups=st.integers(1, 4),
    names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=4),
    channels=st.sampled_from(["each", "sum"]),
)
def test_the_layout_of_a_bank(depth: int, groups: int, names: list[str], channels: str) -> None:
    bank = made(read_filters(source="classic", names=names, channels=channels), depth * groups, groups, 2)
    count = len(names) * (depth * groups if channels == "each" else groups)
    assert bank.shape == (count, depth, 3, 3)
    for filter, weights in enumerate(bank):
        kernel = classic(names[filter % len(names)])
        channel = filter // len(names)
        for place in range(depth):
            wanted = kernel if channels == "sum" or channel % depth == place else 0 * kernel
            np.testing.assert_array_equal(weights[place], wanted)
        group_of_filter, group_of_channel = filter // (count // groups), channel // depth
        assert channels == "sum" or group_of_filter == group_of_channel


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"names": ["sobel"]}, r"filters\.names\[0\]: got sobel, expected one of .*did you mean sobel_"),
        ({"names": []}, r"filters\.names: got \[\], expected a list of at least one"),
        ({"names": "box"}, r"filters\.names: got box, expected a list"),
        ({}, r"filters\.names: got nothing, expected a value for it"),
        ({"names": ["box"], "kernel": 4}, r"filters\.kernel: got 4, expected an odd whole number"),
        ({"names": ["box"], "kernel": 257}, r"filters\.kernel: got 257, expected a whole number from 1 to 255"),
        ({"names": ["box", "emboss"], "kernel": 5}, r"filters\.kernel: got 5, expected 3, the only size of emboss"),
        ({"names": ["box"], "normalize": True}, r"filters\.dtype: got int16, expected one of float16.*to normalize"),
        ({"names": ["box"], "normalize": 1}, r"filters\.normalize: got 1, expected true or false"),
        ({"names": ["sobel_x"], "dtype": "uint8"}, r"filters\.dtype: got uint8, .*every weight of sobel_x exactly"),
        ({"names": ["gaussian"], "kernel": 15}, r"filters\.dtype: got int16, .*every weight of gaussian exactly"),
        ({"names": ["box"], "channels": "all"}, r"filters\.channels: got all, expected one of each, sum"),
    ],
)
def test_classic_settings_that_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match="^" + message):
        read_filters(source="classic", **values)


@pytest.mark.parametrize("rank", [1, 3])
def test_classic_kernels_are_for_two_axes(rank: int) -> None:
    with pytest.raises(ConfigError, match=rf"^filters\.source: got classic, .*H x W .not {rank}-D"):
        read_filters(source="classic", names=["box"]).signature(filters_for(3, 1, rank))


# --- the shipped YAML: every source in every role

SHAPES = {
    "input": (1, 3, 4, 4),
    "filters": (1, 3, 2, 2),
    "bias": (2,),
    "grad": (1, 1, 2, 2),
    "weights": (2, 3),
    "labels": (2,),
}


def request_of(role: str, name: str) -> Request:
    """What a place of that role asks for."""
    if name == "shipped":
        return Request((8, 1, 3, 3), entry="conv1.weight", key="network.conv1.weights")
    if name == "digits":
        return Request((450,)) if role == "labels" else Request()
    shapes = {"input": None, "filters": (None, 3, None, None)}
    return Request(shapes.get(role, SHAPES[role]), entry="a" if role == "weights" else "", key="network.a.weights")


def saved_as(kind: str, folder: Path, role: str, entry: str) -> str:
    """A file of that kind with ones in the shape of a role."""
    array, path = np.ones(SHAPES[role], np.int16), folder / f"x.{kind}"
    if kind == "npy":
        np.save(path, array)
    elif kind == "npz":
        np.savez(path, **{entry: array})
    elif kind == "csv":
        path.write_text("1,1\n1,1\n" if array.ndim == 4 else "1,1\n")
    elif kind == "safetensors":
        header = {"dtype": "I16", "shape": array.shape, "data_offsets": [0, array.nbytes]}
        path.write_bytes(file_of({entry: header}, array.tobytes()))
    else:
        pillow = pytest.importorskip("PIL.Image", reason="Pillow is the optional extra `image`")
        pillow.new("RGB", (4, 4)).save(path.with_suffix(".png"))
        return str(path.with_suffix(".png"))
    return str(path)


def filled_in(path: Path, folder: Path) -> dict[str, Any]:
    """The values of a YAML file, with a file or numbers put where it asks for some."""
    values: dict[str, Any] = yaml.safe_load(path.read_text())
    role = path.parent.name
    if "defaults" in values:
        other, _ = values.pop("defaults")
        return {**filled_in(path.with_name(f"{other}.yaml"), folder), **values}
    if values.get("path") == "???":
        entry = "a" if role == "weights" else values.get("entry") or role
        values["path"] = saved_as(values["source"], folder, role, entry)
    if values.get("values") == "???":
        values["values"] = np.ones(SHAPES[role], int).tolist()
    return values


@pytest.mark.parametrize("path", SOURCE_FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_source_makes_in_every_role_what_its_signature_says(path: Path, tmp_path: Path) -> None:
    role, values = path.parent.name, filled_in(path, tmp_path)
    if values["source"] == "digits":
        pytest.importorskip("sklearn", reason="scikit-learn is the optional extra `digits`")
    source, request = read_source(role, values), request_of(role, values["source"])
    signature = source.signature(request)
    if request.shape is not None and role != "filters" and values["source"] != "csv":  # which has matrices alone
        assert suits(signature.shape, request.shape)
    check_source(type(source), role, values, request)
    assert set(values) == set(settings_of(type(source), role)), "the file sets every field"


@pytest.mark.parametrize("role", ROLES)
def test_every_source_has_a_file_for_every_role(role: str) -> None:
    files = [path for path in SOURCE_FILES if path.parent.name == role]
    assert {yaml.safe_load(path.read_text()).get("source") for path in files} - {None} == set(sources_for(role))


@pytest.mark.parametrize("role", ROLES)
def test_a_source_that_cannot_fill_a_role(role: str) -> None:
    for name in set(SOURCES.ours()) - set(sources_for(role)):
        with pytest.raises(ConfigError, match=rf"^{role}\.source: got {name}, expected one of .* \({name} is for "):
            read_source(role, {"source": name})


def test_one_source_does_not_import_the_others() -> None:
    code = "from convpipe.sources import read_source; read_source('input', {'source': 'integers'}); import sys; "
    code += "print(*sorted(name for name in sys.modules if name.startswith('convpipe.sources.')))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=CONF.parent)
    kinds = ["kinds", "kinds.drawn", "kinds.ranges", "kinds.source", "kinds.stream"]
    assert run.stdout.split() == [f"convpipe.sources.{name}" for name in ["integers", *kinds]]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("1,2\n3\n", r"expected rows of equally many numbers, at least one \(there are rows of \[1, 2\]\)"),
        ("", r"expected a \.csv file \(it is empty\)"),
        ("1,x\n", r"expected finite numbers with commas between them \(there is 'x'\)"),
        ("1,nan\n", r"expected finite numbers with commas between them \(there is 'nan'\)"),
        ("0.5,inf\n", r"expected finite numbers with commas between them \(there is 'inf'\)"),
        ("1e999\n", r"expected finite numbers with commas between them \(there is '1e999'\)"),
        ("1,,2\n", r"expected finite numbers with commas between them \(there is a cell with nothing in it\)"),
        ("1,2,\n", r"expected finite numbers with commas between them \(there is a cell with nothing in it\)"),
        (",", r"expected finite numbers with commas between them \(there is a cell with nothing in it\)"),
        ("1;2\n", r"expected finite numbers with commas between them \(there is '1;2'\)"),
        ("\n \n", r"expected rows of equally many numbers, at least one \(there are rows of \[\]\)"),
        (f"{10**30}\n", r"expected numbers that int64 or float64 holds \(there is 10{30}\)"),
        (f"{2**63}\n", r"expected numbers that int64 or float64 holds"),
        (f"0.5,{2**63}\n", r"expected numbers that int64 or float64 holds"),
        (f"0.5\n{-(2**63) - 1}\n", r"expected numbers that int64 or float64 holds"),
        ("1" * 600_000, r"expected a \.csv file that can be read \(a number of more than 262144 characters\)"),
        (
            "\n".join("1," * row + "1" for row in range(200)),
            r"expected rows of .* \(there are rows of \[1, 2, 3, .*\.\.\.\)$",
        ),
    ],
)
def test_csv_files_that_are_refused(text: str, line: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(ConfigError, match=rf"^input\.path: got .*, {line}"):
        read_input(source="csv", path=str(tmp_path / "x.csv")).signature()


@pytest.mark.parametrize(
    ("text", "dtype", "matrix"),
    [
        ("1,2\r\n3,4\r\n", "int64", [[1, 2], [3, 4]]),
        ("1,2\r3,4", "int64", [[1, 2], [3, 4]]),
        ("\n\n1\n  \n2\n", "int64", [[1], [2]]),
        (" 1 ,\t2\n", "int64", [[1, 2]]),
        (f"{-(2**63)},{2**63 - 1}\n", "int64", [[-(2**63), 2**63 - 1]]),
        ("1,2\n3,0.5\n", "float64", [[1, 2], [3, 0.5]]),
        ("0.5\n7\n", "float64", [[0.5], [7]]),
        ("1e30,-1e-30,.5,5.\n", "float64", [[1e30, -1e-30, 0.5, 5]]),
        (f"{2**53 + 1},0.5\n", "float64", [[2.0**53, 0.5]]),
    ],
)
def test_matrices_in_text(text: str, dtype: str, matrix: Any, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(text.encode())
    read = made(read_input(source="csv", path=str(tmp_path / "x.csv")))
    assert (read.dtype, read.tolist()) == (dtype, matrix)


@pytest.mark.parametrize("shape", [(1, 200_000), (200_000, 1), (400, 700)])
@pytest.mark.parametrize("real", [False, True])
def test_a_large_matrix_is_read_block_by_block(shape: tuple[int, int], real: bool, tmp_path: Path) -> None:
    values = np.arange(shape[0] * shape[1]).reshape(shape) * 12_345 % 99_991 - 50_000
    matrix = values / 8 if real else values
    np.savetxt(tmp_path / "x.csv", matrix, fmt="%.18e" if real else "%d", delimiter=",")
    read = read_matrix(tmp_path / "x.csv")
    assert read.dtype == matrix.dtype
    assert np.array_equal(read, matrix)


@pytest.mark.parametrize("block", range(2, 20))
def test_a_matrix_does_not_depend_on_where_its_blocks_end(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convpipe.files.csv.BLOCK", block)
    (tmp_path / "x.csv").write_text("1,-2, 3\n\n  \n40,5,6 \n7,8,9")
    assert read_matrix(tmp_path / "x.csv").tolist() == [[1, -2, 3], [40, 5, 6], [7, 8, 9]]
    for text in ("1,2,\n3,4,5\n", "1,2,3\n4,5,", "1,2\n3,4, \n"):
        (tmp_path / "x.csv").write_text(text)
        with pytest.raises(ConfigError, match=r"there is a cell with nothing in it"):
            read_matrix(tmp_path / "x.csv")


def test_a_line_without_an_end_takes_no_more_than_its_numbers(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("1," * 1_000_000 + "1")
    read_matrix(tmp_path / "x.csv")
    tracemalloc.start()
    assert read_matrix(tmp_path / "x.csv").shape == (1, 1_000_001)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000 * 1.2 + (30 << 20)  # of which most are the texts of a block's cells


def test_a_file_of_text_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "x.csv").open("wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(
        ConfigError, match=r"^input\.path: got .*, expected at most 64 MiB of text \(np\.save makes an \.npy"
    ):
        read_input(source="csv", path=str(tmp_path / "x.csv")).signature()
    monkeypatch.setattr("convpipe.files.csv.MOST_CELLS", 1000)
    (tmp_path / "x.csv").write_text("1," * 1000 + "1")
    with pytest.raises(
        ConfigError, match=r"^input\.path: got .*, expected at most 1,000 numbers \(np\.save makes an \.npy"
    ):
        read_input(source="csv", path=str(tmp_path / "x.csv")).signature()


def test_a_matrix_of_numbers(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("\ufeff1, -2,3\n\n4,5,6\n")
    assert made(read_input(source="csv", path=str(tmp_path / "x.csv"))).tolist() == [[1, -2, 3], [4, 5, 6]]
    (tmp_path / "x.csv").write_text("0.5,1\n")
    assert made(read_input(source="csv", path=str(tmp_path / "x.csv"))).dtype == np.float64


@pytest.mark.parametrize("path", SOURCE_FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_key_has_a_comment_above_it(path: Path) -> None:
    lines = path.read_text().splitlines()
    keys = [place for place, line in enumerate(lines) if line[0].isalpha()]
    if len(lines) == 1:  # a choice that is another with a setting or two
        assert re.fullmatch(r"\{defaults: \[\w+, _self_\], .*\}  # [A-Z].*", lines[0])
        return
    assert lines[0].startswith("# ")
    if "defaults" not in lines[1]:  # else the keys are the other file's
        assert all(lines[place - 1].startswith("# ") for place in keys)


def test_every_classic_kernel_has_a_file() -> None:
    assert {*NAMES, "prewitt", "classic"} <= {path.stem for path in (CONF / "filters").glob("*.yaml")}
