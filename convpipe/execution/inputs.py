"""The arrays a plan starts from, each made by its source from its own stream of the seed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from convpipe.graph.making import placed_shape, signature_of, source_of
from convpipe.graph.memo import Memo
from convpipe.graph.spec import Spec
from convpipe.graph.work import Work
from convpipe.sources import Request, Source, stream
from convpipe.tensors import Array, Signature, Sizes, Tensor


def make_arrays(spec: Spec, work: Work, memo: Memo | None = None) -> dict[str, Array]:
    """The given tensors of a spec's work, each from its own stream of the seed; the input is the whole batch.

    What is generated is kept for the next run, read-only; files are read each time, as they may change.
    """
    arrays = {}
    for tensor in work.plan.given:
        source = source_of(spec, tensor)
        shape, wanted = placed_shape(tensor, work.batch), signature_of(tensor, work.batch)
        make = partial(make_array, spec, source, tensor, wanted, shape)
        if memo is None or hasattr(source, "path"):
            arrays[tensor.name] = make()
        else:
            recipe = (source, wanted, shape, spec.seed, tensor.origin)
            arrays[tensor.name] = memo.of_equal(("array", tensor.name), recipe, partial(read_only, make))
    return arrays


def read_only(make: Callable[[], Array]) -> Array:
    """An array that nobody may change."""
    array = make()
    array.flags.writeable = False
    return array


def make_array(spec: Spec, source: Source, tensor: Tensor, wanted: Signature, shape: Sizes) -> Array:
    """One given tensor, from its own stream of the seed: as its source has it, in the shape of its place."""
    bits = stream(spec.seed, tensor.name)
    return source.make(wanted, bits, tensor.origin).reshape(shape)


def make_labels(labels: Source, seed: int, images: int) -> Array:
    """The class of each image, (N,), int64; one that is too large for that is no class in any case."""
    found = labels.make(labels.signature(Request((images,))), stream(seed, "labels"))
    if found.dtype == np.uint64:
        found = np.minimum(found, np.uint64(np.iinfo(np.int64).max))
    return found.astype(np.int64)
