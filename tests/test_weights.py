"""Sources of weights: files by name, random numbers, whole numbers; shapes and dtypes that do not suit are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conv_cases import FLOATS, INTEGERS
from network_cases import weights_of
from test_safetensors import file_of

from convpipe.errors import ConfigError
from convpipe.sources import Request, stream
from convpipe.tensors import Signature, Wanted

KEY = "network.c.weights"
VALUES = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def in_file(kind: str, folder: Path, values: np.ndarray[Any, Any] = VALUES, **settings: Any) -> Any:
    """A source of one array ``a`` in a file of that kind."""
    path = folder / f"w.{kind}"
    if kind == "npz":
        np.savez(path, a=values)
    else:
        letter = {"f": "F", "i": "I", "u": "U"}[values.dtype.kind]
        header = {"dtype": f"{letter}{8 * values.itemsize}", "shape": values.shape, "data_offsets": [0, values.nbytes]}
        path.write_bytes(file_of({"a": header}, values.tobytes()))
    return weights_of(kind, path=str(path), **settings)


def asked(entry: str, shape: Wanted) -> Request:
    """A layer's request for weights."""
    return Request(shape, entry=entry, key=KEY)


def made(source: Any, entry: str, signature: Signature, name: str = "c/filters", seed: int = 0) -> Any:
    array = source.make(signature, stream(seed, name), entry)
    assert (array.shape, array.dtype) == (signature.shape, signature.dtype)
    return array


def test_there_is_no_such_source() -> None:
    with pytest.raises(ConfigError, match=r"^weights\.source: got safetensor, expected one of .*mean safetensors"):
        weights_of("safetensor")


# Files


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_a_file_keeps_its_dtype(kind: str, dtype: str, tmp_path: Path) -> None:
    source = in_file(kind, tmp_path, VALUES.astype(dtype))
    signature = source.signature(asked("a", (2, None, 4)))
    assert signature == Signature((2, 3, 4), np.dtype(dtype))
    assert np.array_equal(made(source, "a", signature), VALUES.astype(dtype))


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_shapes_and_names_that_do_not_suit(kind: str, tmp_path: Path) -> None:
    source = in_file(kind, tmp_path)
    for wanted, text in (((2, 3), r"\(2, 3\)"), ((2, 3, 5), r"\(2, 3, 5\)"), ((None, 4, 4), r"\(any, 4, 4\)")):
        with pytest.raises(ConfigError, match=rf"^network\.c\.weights: got \(2, 3, 4\), expected weights of .* {text}"):
            source.signature(asked("a", wanted))
    with pytest.raises(ConfigError, match=r"^network\.c\.weights: got b, expected one of the arrays in .*: a$"):
        source.signature(asked("b", (2, 3, 4)))


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_another_dtype(kind: str, tmp_path: Path) -> None:
    values = np.array([0.1, 1e30, -2], np.float64)
    narrow = in_file(kind, tmp_path, values, dtype="float16")
    with np.errstate(over="ignore"):
        expected = values.astype(np.float16)
    assert np.array_equal(made(narrow, "a", narrow.signature(asked("a", (3,)))), expected)
    wide = in_file(kind, tmp_path, np.array([1, -3], np.int8), dtype="float32")
    assert made(wide, "a", wide.signature(asked("a", (2,)))).tolist() == [1, -3]
    halves = in_file(kind, tmp_path, np.array([0.5]), dtype="int8")
    with pytest.raises(ConfigError, match=r"^weights\.dtype: got int8, expected a dtype that holds every value of "):
        made(halves, "a", halves.signature(asked("a", (1,))))
    large = in_file(kind, tmp_path, np.array([2**24 + 1]), dtype="float32")
    with pytest.raises(ConfigError, match=r"^weights\.dtype: got float32, expected a dtype that holds every value of "):
        made(large, "a", large.signature(asked("a", (1,))))
    with pytest.raises(ConfigError, match=r"^weights\.dtype: got bool, expected one of int8"):
        weights_of(kind, path="x", dtype="bool")


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_a_file_that_changes_after_planning_is_noticed(kind: str, tmp_path: Path) -> None:
    source = in_file(kind, tmp_path)
    signature = source.signature(asked("a", (2, 3, 4)))
    in_file(kind, tmp_path, VALUES[:, :2])
    with pytest.raises(
        ConfigError, match=r"^weights\.path: got .*, expected an array \(2, 3, 4\), as it was when planned \(it is"
    ):
        made(source, "a", signature)


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
@pytest.mark.parametrize("path", ["nowhere", "."])
def test_a_file_that_is_not_there(kind: str, path: str) -> None:
    with pytest.raises(ConfigError, match=rf"^weights\.path: got {path[0]}.*, expected an? (regular )?\.{kind} file"):
        weights_of(kind, path=path).signature(asked("a", (1,)))
    with pytest.raises(ConfigError, match=r"^weights\.path: got nothing, expected a value for it"):
        weights_of(kind)


# Drawn


@pytest.mark.parametrize("source", ["random", "integers"])
def test_a_drawn_weight_needs_its_whole_shape(source: str) -> None:
    with pytest.raises(
        ConfigError, match=r"^network\.c\.weights: got \(\?, 3\), expected a layer that states its sizes"
    ):
        weights_of(source).signature(asked("c.weight", (None, 3)))


@pytest.mark.parametrize("dtype", FLOATS)
def test_random_weights_have_the_variance_of_their_fan_in(dtype: str) -> None:
    source = weights_of("random", dtype=dtype)
    for shape, fan_in in (((64, 16, 5, 5), 400), ((500, 50), 500)):
        signature = source.signature(asked("c.weight", shape))
        values = made(source, "c.weight", signature).astype(np.float64)
        assert values.var() == pytest.approx(2 / fan_in, rel=0.05)
        assert abs(values.mean()) < 0.05 * values.std()


@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_whole_weights_fill_their_range(dtype: str) -> None:
    low = 0 if dtype[0] == "u" else -2
    source = weights_of("integers", dtype=dtype, low=low)
    values = made(source, "c.weight", source.signature(asked("c.weight", (40, 40))))
    assert set(values.ravel().tolist()) == set(range(low, 3))


@pytest.mark.parametrize("source", ["random", "integers"])
def test_draws_repeat_and_depend_on_seed_and_name(source: str) -> None:
    signature = Signature((30, 30), np.dtype("float32"))
    first = made(weights_of(source), "c.weight", signature)
    assert np.array_equal(first, made(weights_of(source), "c.weight", signature))
    for other in ({"seed": 1}, {"name": "d/filters"}):
        assert not np.array_equal(first, made(weights_of(source), "c.weight", signature, **other))


@pytest.mark.parametrize(
    ("source", "values", "line"),
    [
        ("integers", {"low": 3, "high": 3}, r"weights\.high: got 3, expected a whole number above low, 3"),
        ("integers", {"dtype": "uint8"}, r"weights\.low: got -2, expected a whole number that uint8 holds"),
        ("integers", {"dtype": "int8", "high": 200}, r"weights\.high: got 200, .*at most 128 for int8"),
        ("integers", {"low": 0.5}, r"weights\.low: got 0\.5, expected a whole number"),
        ("random", {"dtype": "int8"}, r"weights\.dtype: got int8, expected one of float16, float32, float64"),
        ("random", {"std": 1}, r"weights\.std: got 1, expected one of the keys of weights: "),
        ("npz", {"path": ""}, r"weights\.path: got nothing, expected a text"),
    ],
)
def test_settings_that_are_refused(source: str, values: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError, match=f"^{line}"):
        weights_of(source, **values)
