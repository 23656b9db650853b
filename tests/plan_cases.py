"""What the tests of plans share: plans of single operations from signatures, their stages as plain names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convpipe.graph import lowerings
from convpipe.graph.network import input_tensor, plan_single
from convpipe.graph.plan import Plan
from convpipe.graph.single import operation_of
from convpipe.ops.kinds.convolving import ConvSettings
from convpipe.ops.kinds.operation import Weight
from convpipe.ops.kinds.stages import Stage, stage_list
from convpipe.tensors import Signature, Tensor

# those that make sums; one goes on to the integers of a target, see test_quantised_convolution
LOWERINGS = [name for name in lowerings.names("conv")[1:] if name != lowerings.QUANTIZED]
Stages = str | Sequence[Any]


def chain_of(operation: str, lowering: str | None = None) -> list[str]:
    """The names of an operation's stages."""
    return [stage.op for stage in lowerings.chain(operation, lowering)]


def stages_of(stages: Stages) -> tuple[Stage, ...]:
    """Stages as a config lists them, or those of a convolution's lowering."""
    found = stage_list("lowering.stages", stages)
    return lowerings.chain("conv", found)


def plan_operation(settings: ConvSettings, stages: Stages, **signatures: Signature | None) -> Plan:
    """Plan an operation on tensors by role."""
    there = {role: signature for role, signature in signatures.items() if signature is not None}

    def give(weight: Weight) -> Tensor:
        return Tensor(weight.role, there[weight.role].shape, there[weight.role].dtype, weight.axes)

    operation = operation_of(settings, bias="bias" in there)
    return plan_single(operation, stages_of(stages), input_tensor(there["input"]), give)


def plan_convolution(
    x: Signature, w: Signature, settings: ConvSettings, stages: Stages, bias: Signature | None = None
) -> Plan:
    return plan_operation(settings, stages, input=x, filters=w, bias=bias)


def plan_gradient(x: Signature, w: Signature, grad: Signature, settings: ConvSettings, stages: Stages) -> Plan:
    return plan_operation(settings, stages, input=x, filters=w, grad=grad)
