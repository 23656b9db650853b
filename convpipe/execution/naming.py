"""What the maps of a run are called: a picture's channels by their colours, feature maps by their filters."""

import re
from collections.abc import Sequence

from convpipe.archive.format import MAP_NAME
from convpipe.graph.making import signature_of
from convpipe.graph.plan import Plan
from convpipe.graph.spec import Spec
from convpipe.tensors import Tensor

COLOURS = ("R", "G", "B")
NO_SIGN = re.compile(r"[^\w.-]+")  # of a name of ours
Names = dict[str, list[str]]


def map_names(spec: Spec, plan: Plan) -> Names:
    """What a manifest calls the channels of an input of colours, and feature maps whose filters have names."""
    given = {tensor.name: tensor for tensor in plan.given}
    found = given.get("input")  # which some gradients do without
    if found is None:
        return {}
    colours = list(COLOURS) if is_coloured(spec, found) else []
    names = {"input": colours, "feature_map": filter_names(spec, found, given.get("filters"), colours)}
    return {key: value for key, value in names.items() if value}


def is_coloured(spec: Spec, given: Tensor) -> bool:
    """Whether the input is one of red, green and blue: a picture, or what has the form of one."""
    form = len(given.shape) == 4 and given.shape[1] == len(COLOURS)
    return form and (spec.input.is_picture or given.dtype == "uint8")


def filter_names(spec: Spec, given: Tensor, filters: Tensor | None, colours: Sequence[str]) -> list[str]:
    """The name of each filter of a forward convolution, where its source has one for each."""
    if spec.filters is None or filters is None or filters.axes[:1] != ("F",):
        return []
    channels = colours or [f"c{channel}" for channel in range(given.shape[1])]
    labels = spec.filters.labels(signature_of(filters, given.shape[0]), channels)
    names = [legal(label) for label in labels]
    return names if len(set(names)) == len(names) == filters.shape[0] else []


def legal(label: str) -> str:
    """A name as archives may have it, such as of somebody's own source.

    >>> legal("sobel_x R"), legal("a/b")
    ('sobel_x R', 'a_b')
    """
    words = [NO_SIGN.sub("_", word) for word in label.split()]
    name = " ".join(words)[:80]
    return name if MAP_NAME.fullmatch(name) else ""
