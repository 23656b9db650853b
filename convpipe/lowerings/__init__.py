"""Ways to do one convolution: each a named chain of stages, in one dict that others may add to.

A transposed convolution and the gradients are other operations, each with stages of its own (`adjoint.STAGES`)
and one chain of them (`ADJOINTS`).
"""

from __future__ import annotations

from collections.abc import Sequence

from convpipe.errors import ConfigError, did_you_mean
from convpipe.graph.step import Step, check_chain
from convpipe.lowerings import adjoint
from convpipe.lowerings.convolution import OPERATIONS, Convolution, OperationName
from convpipe.lowerings.stages import STAGES, get_stage

__all__ = [
    "ADJOINTS",
    "LOWERINGS",
    "OPERATIONS",
    "STAGES",
    "Convolution",
    "OperationName",
    "get",
    "lower",
    "register",
]

LOWERINGS: dict[str, tuple[str, ...]] = {
    "im2col": ("pad", "im2col", "fil2col", "matmul", "reshape"),
    "implicit": ("pad", "implicit_gemm"),
}
AUTO = "implicit"  # the fastest that archives no columns
ADJOINTS: dict[OperationName, tuple[str, ...]] = {name: tuple(stages) for name, stages in adjoint.STAGES.items()}


def register(name: str, stages: Sequence[str]) -> None:
    """Add a lowering under a new name.

    Raises:
        ConfigError: the name is taken, or a stage is unknown.
    """
    if name in LOWERINGS or name == "auto":
        raise ConfigError("lowering", name, "a name that is not taken")
    for stage in stages:
        get_stage("stages", stage)
    LOWERINGS[name] = tuple(stages)


def get(name: str) -> tuple[str, ...]:
    """The stages of a lowering; ``auto`` is the fastest.

    Raises:
        ConfigError: there is none of that name.

    >>> get("im2col")
    ('pad', 'im2col', 'fil2col', 'matmul', 'reshape')
    """
    chosen = AUTO if name == "auto" else name
    if chosen not in LOWERINGS:
        raise ConfigError("lowering", name, f"one of auto, {', '.join(LOWERINGS)}", did_you_mean(name, LOWERINGS))
    return LOWERINGS[chosen]


def lower(conv: Convolution, stages: Sequence[str], key: str = "lowering.stages") -> tuple[Step, ...]:
    """The steps of one convolution, checked to be a whole chain from its tensors to its operation's result.

    Raises:
        ConfigError: a stage that the operation does not have, or a tensor that is missing, made twice or never used.
    """
    known = adjoint.STAGES.get(conv.operation, STAGES)
    steps = tuple(get_stage(f"{key}[{position}]", name, known)(conv) for position, name in enumerate(stages))
    check_chain(key, conv.given, steps)
    last, wanted = steps[-1].makes.name, OPERATIONS[conv.operation].makes
    if last != wanted:
        raise ConfigError(key, steps[-1].name, f"a last stage that makes {wanted!r}, not {last!r}")
    return steps
