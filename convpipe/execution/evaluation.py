"""What a network answers, the class of its largest output, and how often that is the right one."""

import math
from dataclasses import dataclass

import numpy as np

from convpipe.archive.read import Run
from convpipe.errors import ConfigError
from convpipe.execution.inputs import make_labels
from convpipe.graph.spec import Spec
from convpipe.graph.work import are_scores
from convpipe.tensors import Array, shape_text

NO_ANSWER = "none"


@dataclass(frozen=True)
class Answer:
    """What a network says of one image, beside the truth, as far as a label tells it."""

    image: int
    truth: int | None
    answer: int | None  # none where NaN is among the scores
    score: float  # of the answer

    @property
    def right(self) -> bool | None:
        """Whether it is the truth; nobody knows without a label."""
        return None if self.truth is None else self.answer == self.truth


@dataclass(frozen=True)
class Evaluation:
    """Counts of images, `confusion[true class, answered class]`; a last column for those without an answer, if any."""

    confusion: Array

    @property
    def images(self) -> int:
        """How many there were."""
        return int(self.confusion.sum())

    @property
    def correct(self) -> int:
        """How many were answered rightly."""
        return int(np.trace(self.confusion))

    @property
    def accuracy(self) -> float:
        """The share answered rightly, from 0 to 1."""
        return self.correct / self.images if self.images else float("nan")


def answer_names(evaluation: Evaluation) -> list[str]:
    """What the columns are called: the classes, and ``none``.

    >>> answer_names(Evaluation(np.zeros((2, 3), int)))
    ['0', '1', 'none']
    """
    classes, columns = evaluation.confusion.shape
    return [*map(str, range(classes)), *[NO_ANSWER] * (columns - classes)]


def evaluate(scores: Array, labels: Array) -> Evaluation:
    """Hold answers against labels; the answer is the class of the largest score, the first of equals.

    Where NaN is among the scores, none is the largest: such an image has no answer, and counts as one that is wrong.

    Args:
        scores: (N, classes), any dtype; or (N, classes, 1, 1), as a network has them that ends in global_avg_pool.
        labels: (N,), whole numbers from 0.

    Raises:
        ConfigError: scores of another shape, or a label that is no class.

    >>> evaluate(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 1])).accuracy
    0.5
    """
    if not are_scores(scores.shape) or len(scores) != len(labels):
        expected = f"one for each row of an output (N, classes), not {scores.shape}"
        raise ConfigError("labels", f"{len(labels)} labels", expected)
    classes = scores.shape[1]
    if labels.size and not (labels.min() >= 0 and labels.max() < classes):
        raise ConfigError("labels", f"{labels.min()} to {labels.max()}", f"classes from 0 to {classes - 1}")
    answers = answers_of(scores.reshape(len(scores), classes))
    confusion = np.zeros((classes, classes + bool((answers == classes).any())), np.int64)
    np.add.at(confusion, (labels, answers), 1)
    return Evaluation(confusion)


def answers_of(scores: Array) -> Array:
    """The class that each row of (N, classes) answers; the number of classes where NaN is among its scores.

    >>> answers_of(np.array([[1, 3, 3], [np.nan, 1, 2]])).tolist()
    [1, 3]
    """
    without: Array = (scores != scores).any(axis=1)
    answers: Array = np.where(without, scores.shape[1], scores.argmax(axis=1))
    return answers


def answers(run: Run, spec: Spec) -> tuple[Answer, ...]:
    """What a run's output answers for each image, beside its labels, which are made again by its spec.

    Raises:
        ConfigError: the output is not one number for each class.
        ArchiveError: the output, or what the labels were read from, is not there.
    """
    scores = run.output
    if not are_scores(scores.shape):
        raise ConfigError("answers", shape_text(scores.shape), "an output (N, classes), a number for each class")
    rows = scores.reshape(scores.shape[:2])
    truths = [None] * len(rows) if spec.labels is None else make_labels(spec.labels, spec.seed, len(rows)).tolist()
    found = zip(truths, answers_of(rows).tolist(), rows, strict=True)
    return tuple(Answer(image, truth, *scored(answer, row)) for image, (truth, answer, row) in enumerate(found))


def scored(answer: int, scores: Array) -> tuple[int | None, float]:
    """An answer and its score, or that there is none."""
    return (answer, scores[answer].item()) if answer < len(scores) else (None, math.nan)
