"""What a person wants of an output beside its numbers: pictures of a picture's maps, answers held against labels."""

from __future__ import annotations

from typing import Any

from convpipe.archive.format import csv_bytes
from convpipe.archive.write import Draft
from convpipe.execution.evaluation import Evaluation, evaluate
from convpipe.files.images import picture
from convpipe.graph.spec import Spec
from convpipe.tensors import Array

MOST_PICTURES = 64
PICTURED = (None, "conv_transpose")  # operations that make feature maps


def add_views(draft: Draft, spec: Spec, output: Array) -> dict[str, Any]:
    """Add an output's views to a draft; gives what the manifest says of them."""
    if spec.input.source == "image" and spec.conv is not None and spec.conv.operation in PICTURED:
        draw(draft, output)
    if spec.labels is None:
        return {}
    evaluation = evaluate(output, spec.labels.make())
    draft.write("confusion.csv", confusion_csv(evaluation))
    return {"evaluation": {"images": evaluation.images, "correct": evaluation.correct}}


def draw(draft: Draft, feature_map: Array) -> None:
    """Add the feature maps (N, out_h, out_w, F) of a picture as pictures, the first MOST_PICTURES of them."""
    maps = [(n, f) for n in range(feature_map.shape[0]) for f in range(feature_map.shape[-1])]
    for n, f in maps[:MOST_PICTURES]:
        draft.write(f"map_n{n}_f{f:03d}.png", picture(feature_map[n, ..., f]))


def confusion_csv(evaluation: Evaluation) -> bytes:
    """A confusion table: a row for each true class, a column for each answer."""
    classes = range(len(evaluation.confusion))
    rows = [
        {"class": true, **dict(zip(map(str, classes), counts, strict=True))}
        for true, counts in enumerate(evaluation.confusion.tolist())
    ]
    return csv_bytes(["class", *map(str, classes)], rows)
