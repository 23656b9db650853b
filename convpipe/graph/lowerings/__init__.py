"""Ways to do a convolution: each a file with a chain of stages for every operation that it can do.

CHAINS = {"conv": ("pad", "implicit_gemm")}
"""

from functools import cache
from importlib import import_module

from convpipe.errors import ConfigError, did_you_mean
from convpipe.ops.kinds.registry import file_names
from convpipe.ops.kinds.stages import Stage

AUTO = "implicit"  # the fastest that archives no columns
OWN = "im2col"  # has a chain for every operation
QUANTIZED = "quantized"  # goes on to the integers of a target


def names(operation: str) -> list[str]:
    """The lowerings that an operation has; ``auto`` is the fastest where there is more than one.

    >>> names("conv")
    ['auto', 'im2col', 'implicit', 'quantized']
    """
    found = [name for name in file_names(__name__) if operation in chains_of(name)]
    return ["auto", *found] if AUTO in found else found


def chains_of(name: str) -> dict[str, tuple[str, ...]]:
    """A lowering's chains, by operation."""
    found: dict[str, tuple[str, ...]] = import_module(f"{__name__}.{name}").CHAINS
    return found


def name_of(operation: str, stages: tuple[Stage, ...]) -> str:
    """The name of the lowering that has these stages, or nothing where they are a list of somebody's own.

    >>> name_of("conv", chain("conv", "auto")), name_of("conv", (Stage("pad"),))
    ('implicit', '')
    """
    return next((name for name, chain in known_chains(operation) if chain == stages), "")


def for_quant(operation: str, name: str | None, quantised: bool) -> str | None:
    """The lowering that is meant by a name: of a quantised convolution its own, unless another one is chosen.

    >>> for_quant("conv", "im2col", True), for_quant("conv", "im2col", False), for_quant("conv", "implicit", True)
    ('quantized', 'im2col', 'implicit')
    """
    return QUANTIZED if quantised and name in (None, OWN, "auto") else name


def layer_chain(stages: tuple[Stage, ...], quantised: bool) -> tuple[Stage, ...]:
    """The chain of one convolution of a network, given that of all: a list of somebody's own, or by its kind."""
    if not name_of("conv", stages):
        return stages
    if quantised:
        return named_chain("conv", QUANTIZED)
    return named_chain("conv", OWN) if stages == named_chain("conv", QUANTIZED) else stages


@cache
def known_chains(operation: str) -> tuple[tuple[str, tuple[Stage, ...]], ...]:
    """An operation's lowerings and their stages."""
    return tuple((name, chain(operation, name)) for name in names(operation) if name != "auto")


def chain(operation: str, stages: str | tuple[Stage, ...] | None = None, key: str = "lowering") -> tuple[Stage, ...]:
    """The stages of an operation: those given, or those of a lowering by its name, by default the operation's own.

    Raises:
        ConfigError: under `key`, the operation has no lowering of that name.

    >>> [stage.op for stage in chain("conv", "auto")]
    ['pad', 'implicit_gemm']
    """
    if isinstance(stages, tuple):
        return stages
    known = names(operation)
    if stages == operation:  # an older name for its own
        stages = OWN
    if stages is not None and stages not in known:
        raise ConfigError(key, stages, f"one of {', '.join(known)}, or a list of stages", did_you_mean(stages, known))
    return named_chain(operation, AUTO if stages == "auto" else stages or OWN)


@cache
def named_chain(operation: str, name: str) -> tuple[Stage, ...]:
    """The stages that a lowering has for an operation: the same object each time, so that it is quickly known again."""
    return tuple(map(Stage, chains_of(name)[operation]))
