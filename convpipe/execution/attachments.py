"""What a person wants of an output beside its numbers: pictures of a picture's maps, answers held against labels."""

from collections.abc import Sequence
from typing import Any

from convpipe.archive.format import csv_bytes
from convpipe.archive.write import Recorder
from convpipe.execution.evaluation import Evaluation, answer_names, evaluate
from convpipe.execution.inputs import make_labels
from convpipe.files.images import picture
from convpipe.graph.spec import Spec
from convpipe.tensors import Array

MOST_PICTURES = 64


def attach(draft: Recorder, spec: Spec, output: Array, axes: Sequence[str]) -> dict[str, Any]:
    """Add to a draft what goes with its output; gives what the manifest says of that."""
    if spec.input.source == "image" and axes[0] == "N" and axes[-1] == "F" and len(axes) > 2:
        draw(draft, output)
    if spec.labels is None:
        return {}
    evaluation = evaluate(output, make_labels(spec.labels, spec.seed, len(output)))
    draft.write("confusion.csv", confusion_csv(evaluation))
    return {"evaluation": {"images": evaluation.images, "correct": evaluation.correct}}


def draw(draft: Recorder, feature_map: Array) -> None:
    """Add the feature maps (N, out_h, out_w, F) of a picture as pictures, the first MOST_PICTURES of them."""
    maps = [(n, f) for n in range(feature_map.shape[0]) for f in range(feature_map.shape[-1])]
    for n, f in maps[:MOST_PICTURES]:
        draft.picture(f"map_n{n}_f{f:03d}.png", picture(feature_map[n, ..., f]))


def confusion_csv(evaluation: Evaluation) -> bytes:
    """A confusion table: a row for each true class, a column for each answer, and one for none where there is none."""
    columns = ["class", *answer_names(evaluation)]
    rows = [dict(zip(columns, (true, *counts), strict=True)) for true, counts in enumerate(evaluation.confusion)]
    return csv_bytes(columns, rows)
