"""Specs of archives of format 1, in which a float too large for its dtype was infinity, whatever rule was asked for."""

from collections.abc import Callable
from dataclasses import replace

from convpipe.graph.spec import Layer, Spec
from convpipe.graph.work import plan_work
from convpipe.ops.arrays.overflow import Overflow
from convpipe.ops.kinds.stages import Stage

Rule = Callable[[str, Overflow], Overflow]  # from a layer's name, "" of a single convolution, and the rule it has


def as_then(spec: Spec) -> Spec:
    """The spec that computes today what an archive's spec computed then: ``overflow=inf`` wherever floats come out.

    Raises:
        ConfigError: settings that do not fit together.
    """
    plan = plan_work(ruled(spec, lambda name, overflow: "error")).plan
    dtypes = {"": plan.output.dtype} | {step.makes.name: step.makes.dtype for step in plan.steps}
    return ruled(spec, lambda name, overflow: "inf" if dtypes[name].kind == "f" else overflow)


def ruled(spec: Spec, rule: Rule) -> Spec:
    """A spec with another rule for overflow wherever it has one."""
    if spec.network is not None:
        return replace(spec, network={name: ruled_layer(name, layer, rule) for name, layer in spec.network.items()})
    assert spec.conv is not None
    stages = tuple(ruled_stage(stage, rule) for stage in spec.lowering.stages)
    conv = replace(spec.conv, overflow=rule("", spec.conv.overflow))
    return replace(spec, conv=conv, lowering=replace(spec.lowering, stages=stages))


def ruled_layer(name: str, layer: Layer, rule: Rule) -> Layer:
    """A layer likewise."""
    overflow: Overflow | None = getattr(layer.operation, "overflow", None)
    if overflow is None:
        return layer
    return replace(layer, operation=replace(layer.operation, overflow=rule(name, overflow)))  # type: ignore[call-arg]


def ruled_stage(stage: Stage, rule: Rule) -> Stage:
    """A stage with a rule of its own likewise."""
    settings = {name: rule("", value) if name == "overflow" else value for name, value in stage.settings}
    return replace(stage, settings=tuple(settings.items()), usual=())
