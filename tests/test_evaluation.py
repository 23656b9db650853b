"""Answers held against labels: every image is counted once, in the right place."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from conv_cases import FLOATS, INTEGERS
from hypothesis import given, settings, strategies as st

from convpipe.errors import ConfigError
from convpipe.execution.evaluation import evaluate


@given(st.integers(1, 5), st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=20))
@settings(max_examples=100)
def test_a_count_for_every_image(classes: int, pairs: list[tuple[int, int]]) -> None:
    pairs = [(true % classes, answer % classes) for true, answer in pairs]
    scores = np.zeros((len(pairs), classes))
    for row, (_, answer) in enumerate(pairs):
        scores[row, answer] = 1
    found = evaluate(scores, np.array([true for true, _ in pairs], np.int64))
    assert found.images == len(pairs)
    assert found.correct == sum(true == answer for true, answer in pairs)
    for true in range(classes):
        for answer in range(classes):
            assert found.confusion[true, answer] == pairs.count((true, answer))


@pytest.mark.parametrize("dtype", INTEGERS + FLOATS)
def test_the_first_of_equal_scores_is_the_answer(dtype: str) -> None:
    scores = np.array([[1, 2, 2], [0, 0, 0], [2, 1, 2]]).astype(dtype)
    assert evaluate(scores, np.array([1, 0, 0])).accuracy == 1


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("odd", [[np.nan, 1, 2], [1, np.nan, 0], [np.nan] * 3, [np.inf, np.nan, 0], [0, 0, np.nan]])
def test_no_number_among_the_scores_is_no_answer(odd: list[float], dtype: str) -> None:
    found = evaluate(np.array([odd, [np.inf, 1, 2], [-np.inf, 0, np.inf]]).astype(dtype), np.array([0, 0, 2]))
    assert (found.images, found.correct) == (3, 2)
    assert found.confusion.tolist() == [[1, 0, 0, 1], [0, 0, 0, 0], [0, 0, 1, 0]]


def test_no_images_have_no_accuracy() -> None:
    found = evaluate(np.zeros((0, 3)), np.zeros(0, np.int64))
    assert (found.images, found.correct) == (0, 0)
    assert math.isnan(found.accuracy)


@pytest.mark.parametrize(
    ("scores", "labels", "line"),
    [
        (
            np.zeros((2, 3)),
            [0],
            r"labels: got 1 labels, expected one for each row of an output \(N, classes\), not \(2, 3",
        ),
        (np.zeros((2, 3, 1, 2)), [0, 1], r"labels: got 2 labels, expected one for each row of .*, not \(2, 3, 1, 2\)"),
        (np.zeros(2), [0, 1], r"labels: got 2 labels, expected one for each row"),
        (np.zeros((2, 3)), [0, 3], r"labels: got 0 to 3, expected classes from 0 to 2"),
        (np.zeros((2, 3)), [-1, 2], r"labels: got -1 to 2, expected classes from 0 to 2"),
    ],
)
def test_what_cannot_be_compared(scores: Any, labels: list[int], line: str) -> None:
    with pytest.raises(ConfigError, match=f"^{line}"):
        evaluate(scores, np.array(labels))
