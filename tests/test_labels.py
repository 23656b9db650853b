"""Labels out of an .npz file: one whole number for each image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conv_cases import INTEGERS

from convpipe.errors import ConfigError
from convpipe.execution.inputs import make_labels
from convpipe.graph.work import check_labels
from convpipe.sources import Source, read_source


def labels_of(folder: Path, **arrays: Any) -> Source:
    np.savez(folder / "l.npz", **arrays)
    return read_source("labels", {"source": "npz", "path": str(folder / "l.npz")})


@pytest.mark.parametrize("dtype", INTEGERS)
def test_labels_come_as_int64(dtype: str, tmp_path: Path) -> None:
    labels = labels_of(tmp_path, labels=np.array([3, 0, 9], dtype))
    check_labels(labels, 3)
    made = make_labels(labels, 0, 3)
    assert (made.tolist(), made.dtype) == ([3, 0, 9], np.int64)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (np.zeros(3, np.int8), r"labels\.path: got \(3,\), expected labels of the shape \(4,\)"),
        (np.zeros((4, 1), np.int8), r"labels\.path: got \(4, 1\), expected labels .* \(one axis is enough, .*\)"),
        (np.int8(4), r"labels\.path: got \(\), expected labels of the shape \(4,\)"),
        (np.zeros(4, np.float32), r"labels: got float32, expected whole numbers, the class of each image"),
    ],
)
def test_other_shapes_and_dtypes_are_refused(values: Any, line: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^{line}$"):
        check_labels(labels_of(tmp_path, labels=values), 4)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^labels\.entry: got labels, expected one of .*: label \(did you mean label\?"
    ):
        check_labels(labels_of(tmp_path, label=np.zeros(1)), 1)
    with pytest.raises(
        ConfigError, match=r"^labels\.path: got no\.npz, expected an \.npz file that can be read \(No such"
    ):
        check_labels(read_source("labels", {"source": "npz", "path": "no.npz"}), 1)


def test_labels_written_out() -> None:
    labels = read_source("labels", {"source": "lecture", "values": [2, 0, 1]})
    check_labels(labels, 3)
    assert make_labels(labels, 0, 3).tolist() == [2, 0, 1]
