"""Sources of a bias: one value for each filter, whatever the filters are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convpipe.errors import ConfigError
from convpipe.sources import Request, read_source, stream
from convpipe.tensors import Signature


def bias_of(source: str, **settings: Any) -> Any:
    return read_source("bias", {"source": source, **settings})


def made(source: Any, filters: int, seed: int = 0) -> Any:
    signature = source.signature(Request((filters,)))
    array = source.make(signature, stream(seed, "bias"))
    assert (array.shape, array.dtype) == ((filters,), signature.dtype)
    return array


DRAWN = {
    "integers": {"dtype": "int16", "low": -8, "high": 8},
    "random": {"dtype": "float32", "distribution": "uniform", "low": 0, "high": 1, "mean": 0, "std": 1},
}


@pytest.mark.parametrize("name", DRAWN)
def test_drawn_values_repeat_and_more_begin_with_the_same(name: str) -> None:
    source = bias_of(name, **DRAWN[name])
    assert made(source, 7).tolist() == made(source, 7).tolist()
    assert made(source, 9)[:7].tolist() == made(source, 7).tolist()
    assert made(source, 7, seed=1).tolist() != made(source, 7).tolist()
    assert made(source, 0).size == 0


def test_written_out_values() -> None:
    source = bias_of("lecture", values=[3, -2], dtype="int8")
    assert made(source, 2).tolist() == [3, -2]
    for filters in (1, 3):
        with pytest.raises(
            ConfigError, match=rf"^bias\.values: got \(2,\), expected bias of the shape \({filters},\)$"
        ):
            source.signature(Request((filters,)))


@pytest.mark.parametrize("dtype", [None, "int64", "float32"])
def test_a_file(dtype: str | None, tmp_path: Path) -> None:
    np.save(tmp_path / "b.npy", np.array([1, 2, 3], np.int16))
    source = bias_of("npy", path=str(tmp_path / "b.npy"), dtype=dtype)
    assert made(source, 3).tolist() == [1, 2, 3]
    assert source.signature(Request((3,))) == Signature((3,), np.dtype(dtype or "int16"))
    with pytest.raises(ConfigError, match=r"^bias\.path: got \(3,\), expected bias of the shape \(4,\)$"):
        source.signature(Request((4,)))
    np.save(tmp_path / "b.npy", np.ones((3, 1)))
    with pytest.raises(ConfigError, match=r"^bias\.path: got \(3, 1\), expected bias of the shape \(3,\)"):
        source.signature(Request((3,)))
    np.save(tmp_path / "b.npy", np.float32(5))
    with pytest.raises(ConfigError, match=r"^bias\.path: got \(\), expected bias of the shape \(3,\)"):
        source.signature(Request((3,)))


@pytest.mark.parametrize(
    ("source", "values", "line"),
    [
        ("lecture", {"values": [1, [2]], "dtype": "int8"}, r"bias\.values"),
        ("lecture", {"values": [300], "dtype": "int8"}, r"bias\.values\[0\]: got 300, expected"),
        ("lecture", {"dtype": "int8"}, r"bias\.values: got nothing, expected a value for it"),
        ("integers", {**DRAWN["integers"], "low": 9}, r"bias\.high: got 8, expected"),
        ("random", {**DRAWN["random"], "std": -1}, r"bias\.std: got -1, expected"),
        ("npy", {"path": 5}, r"bias\.path: got 5, expected a text"),
        ("npy", {"path": "x", "count": 3}, r"bias\.count: got 3, expected one of the keys of bias: "),
    ],
)
def test_settings_that_are_refused(source: str, values: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError, match=f"^{line}"):
        bias_of(source, **values)


def test_there_is_no_such_source() -> None:
    with pytest.raises(ConfigError, match=r"^bias\.source: got integer, expected one of .*mean integers"):
        bias_of("integer")
