"""The arrays that a run starts from: which source makes each, of what signature, and in how much memory."""

from collections.abc import Iterable
from math import prod

from convpipe.graph.quantities import quantity
from convpipe.graph.spec import Spec
from convpipe.ops.kinds.quantised import QUANTITIES
from convpipe.sources import Source
from convpipe.tensors import Signature, Sizes, Tensor

SINGLE = ("input", "filters", "bias", "grad")  # tensors that have a source of their own; all others are weights


def source_of(spec: Spec, tensor: Tensor) -> Source:
    """Where a given tensor comes from."""
    if tensor.name in SINGLE:
        found: Source | None = getattr(spec, tensor.name)
    else:
        layer, _, role = tensor.name.rpartition("/")
        quant = spec.quant if spec.network is None else getattr(spec.network[layer].operation, "quant", None)
        found = quantity(quant, role, spec.weights) if quant and role in QUANTITIES else spec.weights
    assert found is not None
    return found


def placed_shape(tensor: Tensor, batch: int) -> Sizes:
    """The shape of a given tensor as it is computed with: the input is the whole batch."""
    return (batch, *tensor.shape[1:]) if tensor.name == "input" else tensor.shape


def signature_of(tensor: Tensor, batch: int) -> Signature:
    """What its source makes for a given tensor: as it is written there."""
    return Signature(tensor.written or placed_shape(tensor, batch), tensor.dtype)


def making_peak(spec: Spec, given: Iterable[Tensor], batch: int) -> int:
    """The most bytes that are in memory while the given arrays are made, one after the other.

    Raises:
        ConfigError: a source that cannot give what it gave when planned.
    """
    done = peak = 0
    for tensor in given:
        signature = signature_of(tensor, batch)
        done += prod(signature.shape) * signature.dtype.itemsize
        peak = max(peak, done + source_of(spec, tensor).making_bytes(signature, tensor.origin))
    return peak
