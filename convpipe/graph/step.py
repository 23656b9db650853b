"""What a plan is made of: a named tensor, and one array operation that makes it from others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from convpipe.errors import ConfigError
from convpipe.tensors import Array, Tensor


@dataclass(frozen=True)
class Step:
    """One operation of a plan: ``run(*arrays)`` makes the tensor `makes` of the tensors named in `needs`."""

    name: str
    op: str
    needs: tuple[str, ...]
    makes: Tensor
    run: Callable[..., Array] = field(repr=False)
    macs: int = 0
    workspace: int = 0  # bytes it may allocate beside its result


def check_chain(key: str, given: Iterable[str], steps: Iterable[Step]) -> None:
    """Every tensor a step needs is there by then, and every tensor but the last is needed.

    Args:
        key: the config key that lists the steps, for the error.
        given: names of the tensors that exist before the first step.

    Raises:
        ConfigError: naming the step whose tensor is missing, made twice or never used.
    """
    makers = dict.fromkeys(given, "")
    unused = set(makers)
    last = ""
    for step in steps:
        for name in step.needs:
            if name not in makers:
                there = ", ".join(makers)
                raise ConfigError(
                    key, step.name, f"the tensor {name!r} made before {step.name} needs it", f"there: {there}"
                )
        last = step.makes.name
        if last in makers:
            raise ConfigError(key, step.name, f"a tensor of its own; {last!r} is there already")
        unused -= set(step.needs)
        unused.add(last)
        makers[last] = step.name
    if not last:
        raise ConfigError(key, [], "at least one stage")
    for name in (name for name in makers if name in unused - {last}):
        maker = f"{makers[name]} makes {name!r}" if makers[name] else f"{name!r} is given"
        raise ConfigError(key, makers[name] or name, f"a later stage that needs it: {maker}, and nothing reads it")
