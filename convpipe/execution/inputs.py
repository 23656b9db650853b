"""The arrays a plan starts from, each made by its source from its own stream of the seed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from math import prod
from typing import cast

import numpy as np

from convpipe.errors import ConfigError, shown
from convpipe.files.contents import content_sha256, holding
from convpipe.graph.making import placed_shape, signature_of, source_of
from convpipe.graph.memo import Memo
from convpipe.graph.spec import Layer, Spec, stored_sources, with_sources
from convpipe.graph.work import Work
from convpipe.ops.kinds.quantised import Quant
from convpipe.ops.kinds.suiting import check_cells
from convpipe.sources import Request, Source, stream
from convpipe.sources.kinds.source import Stored, is_stored
from convpipe.tensors import Array, Signature, Sizes, Tensor

MOST_KEPT_BYTES = 16 << 20  # of a file's array between the runs of a sweep; a larger one is read for each


def make_arrays(spec: Spec, work: Work, memo: Memo | None = None) -> dict[str, Array]:
    """The given tensors of a spec's work, each from its own stream of the seed; the input is the whole batch.

    What is made is kept for the next run, read-only; what a file held, if it is small and the next run reads the same.

    Raises:
        ConfigError: a file that does not hold any more what it held when planned.
    """
    arrays = {}
    may_be_quantised = spec.quant is not None or spec.network is not None  # asked once, and not of each array
    for tensor in work.plan.given:
        source = source_of(spec, tensor)
        shape, wanted = placed_shape(tensor, work.batch), signature_of(tensor, work.batch)
        make = partial(placed_array, spec, source, tensor, wanted, shape)
        if memo is None or not is_kept(source, wanted):
            arrays[tensor.name] = make()
        else:
            seed = None if is_stored(source) else spec.seed  # what a file holds depends on none
            recipe = (source, wanted.shape, wanted.dtype, shape, seed, tensor.origin)
            arrays[tensor.name] = memo.of_equal(("array", tensor.name), recipe, partial(read_only, make))
        for key, dtype in integers_said(spec, tensor.name) if may_be_quantised else ():
            check_cells(tensor.name, arrays[tensor.name], dtype, key)
    return arrays


AFFINES = {"input": "input", "filters": "filters", "weights": "filters"}  # what says how given tensors are read


def integers_said(spec: Spec, name: str) -> Iterator[tuple[str, str]]:
    """Which integers quantised convolutions say of a given tensor: key and dtype."""
    layer, _, role = name.rpartition("/")
    affine = AFFINES.get(role, "")
    for under, quant in quants_reading(spec, layer).items() if affine else ():
        dtype = None if quant is None else getattr(quant, affine).dtype
        if dtype is not None:
            yield f"{under}quant.{affine}.dtype", dtype


def quants_reading(spec: Spec, layer: str) -> dict[str, Quant | None]:
    """How the readers of a layer's weights are quantised, or those of the input, by what their keys begin with."""
    if spec.network is None:
        return {"": spec.quant}
    names = [layer] if layer else readers_of_input(spec.network)
    return {f"network.{name}.": getattr(spec.network[name].operation, "quant", None) for name in names}


def readers_of_input(network: Mapping[str, Layer]) -> list[str]:
    """The layers that read the input: the first, unless it names others, and all that name it."""
    first = next(iter(network))
    return [name for name, each in network.items() if "input" in (each.inputs or ("input",) * (name == first))]


def is_kept(source: Source, wanted: Signature) -> bool:
    """Whether an array is kept for the next run: beside what that needs, as its plan counts it."""
    if not is_stored(source):
        return True
    return source.sha256 is not None and prod(wanted.shape) * wanted.dtype.itemsize <= MOST_KEPT_BYTES


def read_only(make: Callable[[], Array]) -> Array:
    """An array that nobody may change."""
    array = make()
    array.flags.writeable = False
    return array


def given_array(spec: Spec, work: Work, tensor: Tensor) -> Array:
    """One given tensor, from its own stream of the seed: as its source has it, in the shape of its place."""
    shape, wanted = placed_shape(tensor, work.batch), signature_of(tensor, work.batch)
    return placed_array(spec, source_of(spec, tensor), tensor, wanted, shape)


def placed_array(spec: Spec, source: Source, tensor: Tensor, wanted: Signature, shape: Sizes) -> Array:
    """The same by its source, whose signature for it is known, and in which shape it is wanted."""
    bits = stream(spec.seed, tensor.name)
    return held_to_plan(source, lambda: source.make(wanted, bits, tensor.origin)).reshape(shape)


def held_to_plan(source: Source, make: Callable[[], Array]) -> Array:
    """What a source makes; where it reads a file, that holds what was planned, before and after."""
    if not is_stored(source):
        return make()
    with holding(source.file, source.sha256, source.file_key):
        return make()


def pinned(spec: Spec, memo: Memo | None = None) -> Spec:
    """A spec that says what each file it reads holds; the same objects again for the same contents.

    Raises:
        ConfigError: a file that is not there, or that holds something else than the spec says.
    """
    sources = stored_sources(spec)
    if not sources:
        return spec
    memo = memo or Memo()
    return with_sources(spec, {key: source_pinned(key, source, memo) for key, source in sources.items()})


def source_pinned(role: str, source: Stored, memo: Memo) -> Stored:
    """A source that says what its file holds."""
    found = content_sha256(source.file, source.file_key)
    if source.sha256 is None:
        return cast(Stored, memo.of_equal(("pinned", role), (source, found), lambda: replace(source, sha256=found)))
    if source.sha256 != found:
        raise ConfigError(source.key("sha256"), source.sha256, f"{found}, that of {shown(source.file, 200)}")
    return source


def make_labels(labels: Source, seed: int, images: int) -> Array:
    """The class of each image, (N,), int64; one that is too large for that is no class in any case."""
    wanted, bits = labels.signature(Request((images,))), stream(seed, "labels")
    found = held_to_plan(labels, lambda: labels.make(wanted, bits))
    if found.dtype == np.uint64:
        found = np.minimum(found, np.uint64(np.iinfo(np.int64).max))
    return found.astype(np.int64)


def input_bytes(sources: Mapping[str, Stored]) -> dict[str, int]:
    """How large the files are that were read, by group, by which they are found again."""
    found = {}
    for group, source in sources.items():
        with suppress(OSError):  # it may be gone by now
            found[group] = os.stat(source.file).st_size
    return found
