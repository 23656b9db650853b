"""The arrays a plan starts from, each made by its source from its own stream of the seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from convpipe.graph.spec import Spec
from convpipe.graph.work import Work
from convpipe.sources import Signature, stream
from convpipe.tensors import Array, Tensor

SINGLE = ("input", "filters", "bias", "grad")  # tensors that have a source of their own; all others are weights


@dataclass
class Shelf:
    """Generated arrays that the next run may need again: the last of each name, and read-only."""

    arrays: dict[str, tuple[Any, Array]] = field(default_factory=dict)

    def take(self, name: str, recipe: Any, make: Callable[[], Array]) -> Array:
        """The array of that recipe, made unless it lies here."""
        kept = self.arrays.get(name)
        if kept is not None and kept[0] == recipe:
            return kept[1]
        array = make()
        array.flags.writeable = False
        self.arrays[name] = (recipe, array)
        return array


def make_arrays(spec: Spec, work: Work, shelf: Shelf | None = None) -> dict[str, Array]:
    """The given tensors of a spec's work, each from its own stream of the seed; the input is the whole batch.

    What is generated lies on the shelf for the next run; files are read each time, as they may change.
    """
    arrays = {}
    for tensor in work.plan.given:
        source = source_of(spec, tensor)
        shape = (work.batch, *tensor.shape[1:]) if tensor.name == "input" else tensor.shape
        wanted = Signature(shape, tensor.dtype)
        make = partial(make_array, spec, source, tensor, wanted)
        recipe = (source, wanted, spec.seed, tensor.origin)
        generated = shelf is not None and not hasattr(source, "path")
        arrays[tensor.name] = shelf.take(tensor.name, recipe, make) if shelf is not None and generated else make()
    return arrays


def make_array(spec: Spec, source: Any, tensor: Tensor, wanted: Signature) -> Array:
    """One given tensor, from its own stream of the seed."""
    bits = stream(spec.seed, tensor.name)
    array: Array = source.make(tensor.origin, wanted, bits) if tensor.origin else source.make(wanted, bits)
    return array


def source_of(spec: Spec, tensor: Tensor) -> Any:
    """Where a given tensor comes from."""
    source = getattr(spec, tensor.name) if tensor.name in SINGLE else spec.weights
    assert source is not None
    return source
