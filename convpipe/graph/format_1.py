"""Specs of archives of format 1, in which a float too large for its dtype was infinity, whatever rule was asked for."""

from dataclasses import fields, replace

from convpipe.graph.spec import Layer, Spec
from convpipe.graph.work import plan_work
from convpipe.ops import OPERATIONS, SumStage
from convpipe.ops.arrays.overflow import Overflow
from convpipe.ops.kinds.stages import Stage


def as_then(spec: Spec) -> Spec:
    """The spec that computes today what an archive's spec computed then: ``overflow=inf`` wherever floats come out.

    Raises:
        ConfigError: settings that do not fit together.
    """
    return single_as_then(spec) if spec.network is None else network_as_then(spec)


def network_as_then(spec: Spec) -> Spec:
    """A network's layers, each after what it makes."""
    assert spec.network is not None
    plain = {name: ruled_layer(layer, "error") for name, layer in spec.network.items()}
    steps = plan_work(replace(spec, network=plain)).plan.steps
    floats = {step.makes.name for step in steps if step.makes.dtype.kind == "f"}
    then = {name: ruled_layer(layer, "inf") if name in floats else layer for name, layer in spec.network.items()}
    return replace(spec, network=then)


def ruled_layer(layer: Layer, overflow: Overflow) -> Layer:
    """A layer with another rule, where it has one."""
    if not hasattr(layer.operation, "overflow"):
        return layer
    return replace(layer, operation=replace(layer.operation, overflow=overflow))  # type: ignore[call-arg]


def single_as_then(spec: Spec) -> Spec:
    """A convolution's rule, and that of each stage which has its own, each after what the stages make."""
    assert spec.conv is not None
    stages = spec.lowering.stages
    plain = tuple(ruled_stage(stage, "error") for stage in stages)
    bare = replace(spec, conv=replace(spec.conv, overflow="error"), lowering=replace(spec.lowering, stages=plain))
    floats = [step.makes.dtype.kind == "f" for step in plan_work(bare).plan.steps]
    then = tuple(
        ruled_stage(stage, "inf") if is_float else stage for stage, is_float in zip(stages, floats, strict=True)
    )
    shared = [is_float for stage, is_float in zip(stages, floats, strict=True) if takes_rule(stage)]
    overflow: Overflow = "inf" if any(shared) else spec.conv.overflow
    conv = replace(spec.conv, overflow=overflow)
    return replace(spec, conv=conv, lowering=replace(spec.lowering, stages=then))


def takes_rule(stage: Stage) -> bool:
    """Whether a stage has the convolution's rule."""
    return issubclass(OPERATIONS.get("lowering.stages", stage.op), SumStage) and "overflow" not in dict(stage.settings)


def ruled_stage(stage: Stage, overflow: Overflow) -> Stage:
    """A stage with another rule, where it has one of its own."""
    names = {entry.name for entry in fields(OPERATIONS.get("lowering.stages", stage.op))}
    if "overflow" not in names or takes_rule(stage):
        return stage
    return replace(stage, settings=tuple({**dict(stage.settings), "overflow": overflow}.items()))
