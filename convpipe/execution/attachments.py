"""What a person wants of an output beside its numbers: pictures of maps, answers held against labels."""

from typing import Any

from convpipe.archive.format import csv_bytes
from convpipe.archive.write import Recorder
from convpipe.execution.album import FEATURE_MAP, Album, draw_files
from convpipe.execution.evaluation import Evaluation, answer_names, evaluate
from convpipe.execution.inputs import make_labels
from convpipe.graph.spec import Spec
from convpipe.tensors import Array


def attach(draft: Recorder, spec: Spec, output: Array, album: Album | None, title: str) -> dict[str, Any]:
    """Add to a draft what goes with its output; gives what the manifest says of that.

    Args:
        album: of what is drawn, if anything is.
    """
    if album is not None:
        album.add_to(draft, title)
        if spec.input.is_picture and album.has_result:
            draw_files(draft, output, album.names.get(FEATURE_MAP, ()))
    if spec.labels is None:
        return {}
    evaluation = evaluate(output, make_labels(spec.labels, spec.seed, len(output)))
    draft.write("confusion.csv", confusion_csv(evaluation))
    return {"evaluation": {"images": evaluation.images, "correct": evaluation.correct}}


def confusion_csv(evaluation: Evaluation) -> bytes:
    """A confusion table: a row for each true class, a column for each answer, and one for none where there is none."""
    columns = ["class", *answer_names(evaluation)]
    rows = [dict(zip(columns, (true, *counts), strict=True)) for true, counts in enumerate(evaluation.confusion)]
    return csv_bytes(columns, rows)
