"""How often a network's largest output names the right class."""

from dataclasses import dataclass

import numpy as np

from convpipe.errors import ConfigError
from convpipe.tensors import Array


@dataclass(frozen=True)
class Evaluation:
    """Counts of images, `confusion[true class, answered class]`."""

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


def evaluate(scores: Array, labels: Array) -> Evaluation:
    """Hold answers against labels; the answer is the class of the largest score, the first of equals.

    Args:
        scores: (N, classes), any dtype; or (N, classes, 1, 1), as a network has them that ends in global_avg_pool.
        labels: (N,), whole numbers from 0.

    Raises:
        ConfigError: scores of another shape, or a label that is no class.

    >>> evaluate(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 1])).accuracy
    0.5
    """
    if scores.ndim > 2 and all(size == 1 for size in scores.shape[2:]):
        scores = scores.reshape(scores.shape[:2])
    if scores.ndim != 2 or len(scores) != len(labels):
        expected = f"one for each row of an output (N, classes), not {scores.shape}"
        raise ConfigError("labels", f"{len(labels)} labels", expected)
    classes = scores.shape[1]
    if labels.size and not (labels.min() >= 0 and labels.max() < classes):
        raise ConfigError("labels", f"{labels.min()} to {labels.max()}", f"classes from 0 to {classes - 1}")
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (labels, scores.argmax(axis=1)), 1)
    return Evaluation(confusion)
