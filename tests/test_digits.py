"""scikit-learn's digits as inputs and labels, the shipped weights, and the experiment that needs no download."""

from __future__ import annotations

import csv
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import convpipe, job, only_run, refused

from convpipe.archive.read import load
from convpipe.archive.verify import verify
from convpipe.errors import ConfigError
from convpipe.sources import Request, digits, read_source, stream
from convpipe.sources.shipped import SHIPPED, SHIPPED_FOLDER
from convpipe.tensors import DTYPES, Signature

needs_sklearn = pytest.mark.skipif(find_spec("sklearn") is None, reason="no scikit-learn (the extra: digits)")
COUNTS = {"train": 1347, "test": 450}
RIGHT = 445  # of the test images: 98.89 %


def read_input(**values: Any) -> Any:
    return read_source("input", {"source": "digits", **values})


def read_labels(**values: Any) -> Any:
    return read_source("labels", {"source": "digits", **values})


def read_weights(**values: Any) -> Any:
    return read_source("weights", {"source": "shipped", **values})


def made(source: Any) -> Any:
    return source.make(source.signature(), stream(0, "input"))


# --- images and classes


@needs_sklearn
@pytest.mark.parametrize("split", COUNTS)
def test_a_split_is_what_its_signature_says(split: str) -> None:
    source = read_input(split=split)
    images = made(source)
    assert source.signature() == Signature((COUNTS[split], 1, 8, 8), np.dtype(np.uint8))
    assert (images.shape, images.dtype) == ((COUNTS[split], 1, 8, 8), np.uint8)
    assert images.flags.c_contiguous
    assert (images.min(), images.max()) == (0, 16)
    labels = read_labels(split=split)
    assert labels.signature(Request((len(images),))).dtype == np.int64
    assert made(labels).dtype == np.int64
    assert set(made(labels).tolist()) == set(range(10))


@needs_sklearn
def test_the_splits_share_no_image_and_leave_none_out() -> None:
    from sklearn.datasets import load_digits

    data = load_digits()
    whole = np.empty((1797, 8, 8))
    whole[::4] = made(read_input(split="test"))[:, 0]
    whole[np.arange(1797) % 4 > 0] = made(read_input(split="train"))[:, 0]
    np.testing.assert_array_equal(whole, data.images)
    np.testing.assert_array_equal(made(read_labels(split="test")), data.target[::4])


@needs_sklearn
def test_the_test_images_have_every_class_about_as_often() -> None:
    assert np.bincount(made(read_labels())).tolist() == [44, 45, 43, 38, 49, 45, 45, 47, 44, 50]


@needs_sklearn
@pytest.mark.parametrize("dtype", DTYPES)
def test_images_in_every_dtype(dtype: str) -> None:
    images = made(read_input(dtype=dtype))
    assert images.dtype == dtype
    assert images.sum(dtype=float) == made(read_input()).sum(dtype=float)


@needs_sklearn
def test_who_changes_an_array_changes_no_other() -> None:
    made(read_input())[:] = 99
    made(read_labels())[:] = 99
    assert made(read_input()).max() == 16
    assert made(read_labels()).max() == 9


@needs_sklearn
def test_labels_of_the_other_split_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^labels\.split: got \(1347,\), expected labels of the shape \(450,\)"):
        read_labels(split="train").signature(Request((450,)))


@pytest.mark.parametrize("read", [read_input, read_labels])
def test_a_split_that_there_is_not(read: Any) -> None:
    with pytest.raises(ConfigError, match=r"split: got tests, expected one of train, test \(did you mean test\?\)"):
        read(split="tests")


def test_labels_of_an_unknown_source() -> None:
    with pytest.raises(ConfigError, match=r"^labels\.source: got digit, expected one of .*\(did you mean digits"):
        read_source("labels", {"source": "digit"})


@pytest.mark.parametrize("words", ["", "dry_run=true", "input=integers input.shape=[2,1,8,8]"])
def test_without_scikit_learn_it_says_what_to_install(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(digits, "find_spec", lambda name: None)
    split = "labels.split=test" if "integers" in words else ""  # the labels alone need it, too
    line = refused(tmp_path, "experiment=digits_small", *f"{words} {split}".split())
    key = "labels" if split else "input"
    assert line == f"{key}.source: got digits, expected the package scikit-learn (pip install 'convpipe[digits]')"


# --- shipped weights


def test_every_shipped_file_has_its_name_and_every_name_its_file() -> None:
    assert sorted(path.name for path in SHIPPED_FOLDER.glob("*.npz")) == sorted(f"{name}.npz" for name in SHIPPED)


def test_shipped_weights_are_read_by_name() -> None:
    source = read_weights(name="digits_small")
    signature = source.signature(Request((None, 8, 3, 3), entry="conv2.weight", key="network.conv2.weights"))
    assert signature == Signature((16, 8, 3, 3), np.dtype(np.float32))
    array = source.make(signature, stream(0, "conv2/filters"), "conv2.weight")
    assert (array.shape, array.dtype) == (signature.shape, signature.dtype)


def test_shipped_weights_in_another_float_dtype() -> None:
    source = read_weights(name="digits_small", dtype="float16")
    assert source.signature(Request((8,), entry="conv1.bias", key="network.conv1.bias")).dtype == np.float16


@pytest.mark.parametrize("name", ["digits_smal", "../weights/digits_small", "", None])
def test_only_names_of_the_list_are_shipped(name: Any) -> None:
    with pytest.raises(ConfigError, match=r"^weights\.name: got .*, expected one of digits_small"):
        read_weights(name=name)


def test_shipped_weights_of_another_shape_are_refused() -> None:
    expected = r"^network\.conv1\.weights: got \(8, 1, 3, 3\), expected weights of the shape \(8, 1, 5, 5\)"
    with pytest.raises(ConfigError, match=expected):
        read_weights(name="digits_small").signature(
            Request((8, 1, 5, 5), entry="conv1.weight", key="network.conv1.weights")
        )


# --- the experiment


@needs_sklearn
def test_the_experiment_classifies_the_test_images(tmp_path: Path) -> None:
    answer = convpipe("experiment=digits_small", f"root={tmp_path}")
    assert (answer.code, answer.err) == (0, "")
    run = verify(only_run(tmp_path))
    assert run.path.parent.name == "digits_small"
    assert run.output.shape == (450, 10)
    np.testing.assert_allclose(run.output.sum(axis=1), 1, rtol=1e-6)
    with (run.path / "confusion.csv").open() as file:
        table = np.array([[int(row[str(answered)]) for answered in range(10)] for row in csv.DictReader(file)])
    assert table.sum() == 450
    assert table.trace() == RIGHT
    assert table.sum(axis=1).tolist() == np.bincount(made(read_labels())).tolist()


@needs_sklearn
def test_no_answer_of_the_test_images_is_a_close_one(tmp_path: Path) -> None:
    assert convpipe("experiment=digits_small", f"root={tmp_path}").code == 0
    least, most = np.sort(load(only_run(tmp_path)).output, axis=1)[:, -2:].T
    # 0.0208; four BLAS kernels differ by 4e-7 there, so no machine's rounding changes RIGHT
    assert (most - least).min() > 0.01


@needs_sklearn
def test_every_stage_of_the_first_image_is_on_record(tmp_path: Path) -> None:
    assert convpipe("experiment=digits_small", "keep=stages", f"root={tmp_path}").code == 0
    run = verify(only_run(tmp_path))
    shapes = {row["stage"]: row["shape"] for row in run.rows}
    assert (shapes["conv1/im2col"], shapes["pool1"], shapes["pool2"]) == ("(64,9)", "(1,8,4,4)", "(1,16,2,2)")
    assert shapes["dense1"] == shapes["softmax"] == "(1,10)"
    np.testing.assert_array_equal(run.array("input"), made(read_input())[:1])


@needs_sklearn
def test_the_labels_follow_the_inputs_split() -> None:
    spec = job("experiment=digits_small", "input.split=train").spec
    assert spec.labels is not None
    assert len(made(spec.labels)) == spec.input.signature().shape[0] == 1347
