"""Which code makes a run: ours as far as it can change a value, and that of installed packages that the run names."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from convpipe.execution import provenance
from convpipe.graph.plan import Plan
from convpipe.graph.spec import Spec, sources_of
from convpipe.ops import OPERATIONS
from convpipe.ops.kinds.registry import distribution, installed_ones
from convpipe.sources import SOURCES

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Names = tuple[str, ...]


def named(spec: Spec, plan: Plan) -> tuple[Names, Names]:
    """The operations and the sources that a run names: stages, layers that became stages, and what they start from."""
    operations = plan.ops
    if spec.network is not None:
        operations += tuple([layer.op for layer in spec.network.values()])
    elif spec.conv is not None and spec.conv.operation is not None:
        operations += (spec.conv.operation,)
    return operations, tuple([source.source for source in sources_of(spec)])


@cache
def code_of(operations: Names = (), sources: Names = ()) -> str:
    """A hash over our version and code, and over the packages that brought some of these operations and sources."""
    entries = [*installed_ones(OPERATIONS, operations).values(), *installed_ones(SOURCES, sources).values()]
    packages = {f"{distribution(entry)} {package_sha256(entry)}" for entry in entries}
    ours = (provenance.VERSION, provenance.own_code())
    return hashlib.sha256("\n".join([*ours, *sorted(packages)]).encode()).hexdigest()


# Installed packages


def package_sha256(entry: EntryPoint) -> str:
    """A hash over the files of the package that an entry point is of: one that is edited where it lies is another."""
    total = hashlib.sha256()
    for name in sorted(top_levels(entry)):
        for path, inside in sorted(module_files(name), key=lambda found: found[1]):
            with open(path, "rb", buffering=0) as file:
                total.update(f"{name}/{inside}".encode() + b"\0" + file.read())
    return total.hexdigest()


def top_levels(entry: EntryPoint) -> set[str]:
    """The top-level modules that come with an entry point, as far as its distribution says; its own in any case."""
    names = {entry.module.partition(".")[0]}
    if entry.dist is not None:
        names.update((entry.dist.read_text("top_level.txt") or "").split())
        firsts = [file.parts[0].removesuffix(".py") for file in entry.dist.files or () if file.suffix == ".py"]
        names.update(name for name in firsts if name.isidentifier() and not name.startswith("__"))  # __editable__...
    return names


def module_files(name: str) -> Iterator[tuple[str, str]]:
    """The files of a top-level module, and their places in it; compiled by Python they are only once more the same."""
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is not None and spec.submodule_search_locations is None:
        if spec.origin is not None and os.path.isfile(spec.origin):
            yield spec.origin, ""
        return
    for top in (spec.submodule_search_locations or ()) if spec is not None else ():
        for folder, folders, files in os.walk(top):
            folders[:] = [each for each in folders if each != "__pycache__"]
            for file in files:
                path = os.path.join(folder, file)
                yield path, os.path.relpath(path, top)
