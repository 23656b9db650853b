"""A classifier's answers as the page lists them: all, and small pictures of the first that are listed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from convpipe.archive.format import short_number
from convpipe.archive.read import Run
from convpipe.config.keys import named_choices
from convpipe.errors import ConvpipeError
from convpipe.execution.evaluation import NO_ANSWER, answers_of
from convpipe.execution.inputs import given_array, make_labels
from convpipe.graph.spec import Spec
from convpipe.graph.work import Work, are_scores
from convpipe.report.page.document import Table
from convpipe.report.page.packed import Packed, packed
from convpipe.report.page.thumbnails import ends_of
from convpipe.tensors import Array

MOST_PICTURES = 200
LARGEST_PICTURE = 64  # a side
MOST_ROWS = 40  # of the table for who reads without the script


@dataclass(frozen=True)
class Answered:
    """What a network answers, and what is true; `pictures` are those of `pictured` images."""

    scores: Array  # (N, classes)
    truths: Array | None
    labels_lack: bool
    pictured: tuple[int, ...] = ()
    pictures: Array | None = field(default=None)

    @property
    def answers(self) -> Array:
        """The class of each image; -1 where NaN is among its scores."""
        found = answers_of(self.scores)
        return np.where(found == self.scores.shape[1], -1, found).astype(np.int32)

    @property
    def order(self) -> Array:
        """Images as they are listed: wrong ones first."""
        if self.truths is None:
            return np.arange(len(self.scores))
        return np.argsort(self.answers == self.truths, kind="stable")

    @property
    def facts(self) -> dict[str, Any]:
        """What the page's script is told."""
        right = None if self.truths is None else int((self.truths == self.answers).sum())
        return {"images": len(self.scores), "right": right, "pictures": self.pictured, "labelsLack": self.labels_lack}

    @property
    def arrays(self) -> dict[str, Packed]:
        """The arrays that it needs; no stage has such names."""
        best = self.scores[np.arange(len(self.scores)), self.answers]
        found = {":answer": packed(self.answers), ":score": packed(best)}
        if self.truths is not None:
            found[":truth"] = packed(self.truths)
        if self.pictures is not None:
            found[":picture"] = packed(self.pictures)
        return found

    @property
    def table(self) -> Table:
        """The first answers for who reads without the script, wrong ones first."""
        rows = [self.row(int(image)) for image in self.order[:MOST_ROWS]]
        heads = ("answeredImage", "answer", "score", *(("truth",) if self.truths is not None else ()))
        return Table("answers", heads, rows, "output")

    def row(self, image: int) -> list[str]:
        """One image's row."""
        answer = int(self.answers[image])
        score = short_number(str(self.scores[image, answer].item()))
        truth = [] if self.truths is None else [str(self.truths[image])]
        return [f"n={image}", NO_ANSWER if answer < 0 else str(answer), score, *truth]


def answered(run: Run, spec: Spec, work: Work) -> Answered | None:
    """The answers of a network that gives one number for each class; None of anything else."""
    if spec.network is None or not are_scores(work.plan.output.shape) or not run.output.size:
        return None
    scores = run.output.reshape(len(run.output), -1)
    if scores.shape[1] < 2:
        return None
    truths, lack = None, False
    if spec.labels is not None:
        try:
            truths = make_labels(spec.labels, spec.seed, len(scores)).astype(np.int32)
        except ConvpipeError:  # their file is gone
            lack = True
    found = Answered(scores, truths, lack)
    return found if truths is None else with_pictures(found, spec, work)


def with_pictures(found: Answered, spec: Spec, work: Work) -> Answered:
    """The same with small pictures of the first that are listed, where the input is one of pictures."""
    listed = found.order[:MOST_PICTURES]
    given = work.plan.given[0]
    drawable = len(given.shape) == 4 and given.shape[1] in (1, 3) and max(given.shape[2:]) <= LARGEST_PICTURE
    if not drawable or given.name != "input":
        return found
    try:
        pictures = given_array(spec, work, given)[listed]
    except ConvpipeError:
        return found
    low, high = ends_of(pictures)
    levels = (pictures.astype(np.float64) - low) * (255 / (high - low) if high > low else 0)
    return Answered(found.scores, found.truths, False, tuple(listed.tolist()), np.nan_to_num(levels).astype(np.uint8))


def command_of(run: Run) -> str:
    """What starts the command that makes a run again, as far as it is known: its experiment, if that gave the name."""
    name = "" if run.path is None else os.path.basename(os.path.dirname(os.path.abspath(run.path)))
    return f"convpipe experiment={name} " if "experiment" in named_choices(name) else ""
