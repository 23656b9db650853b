"""Labels out of an .npz file: one whole number for each image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conv_cases import INTEGERS

from convpipe.errors import ConfigError
from convpipe.fields import read
from convpipe.sources.labels import NpzLabels


def labels_of(folder: Path, **arrays: Any) -> NpzLabels:
    np.savez(folder / "l.npz", **arrays)
    return read(NpzLabels, "labels", {"source": "npz", "path": str(folder / "l.npz"), "entry": "labels"})


@pytest.mark.parametrize("dtype", INTEGERS)
def test_labels_come_as_int64(dtype: str, tmp_path: Path) -> None:
    labels = labels_of(tmp_path, labels=np.array([3, 0, 9], dtype), images=np.zeros(2))
    labels.check(3)
    assert labels.make().tolist() == [3, 0, 9]
    assert labels.make().dtype == np.int64


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (np.zeros(3, np.int8), r"labels: int8 \(3,\)"),
        (np.zeros((4, 1), np.int8), r"labels: int8 \(4, 1\)"),
        (np.zeros(4, np.float32), r"labels: float32 \(4,\)"),
        (np.int8(4), r"labels: int8 \(\)"),
    ],
)
def test_other_shapes_and_dtypes_are_refused(values: Any, found: str, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=rf"^labels\.entry: got {found}, expected whole numbers of shape \(4,\), one for each image"
    ):
        labels_of(tmp_path, labels=values).check(4)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^labels\.entry: got labels, expected one of .*: label \(did you mean label\?"
    ):
        labels_of(tmp_path, label=np.zeros(1)).check(1)
    with pytest.raises(
        ConfigError, match=r"^labels\.path: got no\.npz, expected an \.npz file that can be read \(No such"
    ):
        NpzLabels("npz", "no.npz", "labels").check(1)
    with pytest.raises(ConfigError, match=r"^labels\.entry: got nothing, expected a value for it"):
        read(NpzLabels, "labels", {"source": "npz", "path": "x"})
