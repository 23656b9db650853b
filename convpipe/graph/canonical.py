"""The rest of a run's canonical form: what nothing reads, as far as only the plan can tell."""

from dataclasses import replace
from typing import Any

from convpipe.graph.plan import Plan
from convpipe.graph.spec import Layer, Spec
from convpipe.graph.work import Work
from convpipe.ops import ConvSettings, ConvStage

ZEROS: dict[str, Any] = {"pad_mode": "constant", "pad_value": 0}


def as_computed(spec: Spec, work: Work) -> Spec:
    """A spec as its plan computes it: all images recorded is null, and where no cell is padded, none says with what."""
    if spec.record is not None and spec.record >= work.batch:
        spec = replace(spec, record=None)
    if spec.conv is not None and says_padding(spec.conv) and pads_nothing(work.plan, ""):
        return replace(spec, conv=replace(spec.conv, **ZEROS))
    if spec.network is not None and any(says_padding(layer.operation) for layer in spec.network.values()):
        return replace(spec, network={name: settled(name, layer, work.plan) for name, layer in spec.network.items()})
    return spec


def settled(name: str, layer: Layer, plan: Plan) -> Layer:
    """A layer that does not say with what cells are padded, where none is."""
    if not says_padding(layer.operation) or not pads_nothing(plan, name):
        return layer
    return replace(layer, operation=replace(layer.operation, **ZEROS))


def says_padding(operation: Any) -> bool:
    """Whether a convolution says that cells are padded with something else than zeros."""
    return isinstance(operation, ConvSettings) and any(getattr(operation, name) != ZEROS[name] for name in ZEROS)


def pads_nothing(plan: Plan, layer: str) -> bool:
    """Whether the sizes of a layer's convolution, or of a single one, pad no cell."""
    own = [step.operation for step in plan.steps if step.name.rpartition("/")[0] == layer]
    pads = [operation.conv.sizes.pads for operation in own if isinstance(operation, ConvStage)]
    return bool(pads) and not any(map(any, pads[0]))
