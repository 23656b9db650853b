"""The sources of an archived run, which is planned from what it says of itself: a file is looked for when it is read.

So a run whose arrays were kept is explained without the files that it has read.
"""

import dataclasses
from math import prod

import numpy as np

from convpipe.archive.read import Run
from convpipe.errors import ArchiveError, shown
from convpipe.execution.finding import Finder
from convpipe.execution.inputs import held_to_plan
from convpipe.geometry.layouts import suits
from convpipe.graph.spec import Spec, sources_by_key, stored_sources, with_sources
from convpipe.sources import Request, Source
from convpipe.sources.kinds.bank import Kernels
from convpipe.sources.kinds.source import ANY, ARRAYS, Stored
from convpipe.tensors import DTYPES, Array, Signature, shape_text


class Recalled(Source):
    """A source whose file an archived run has read."""

    stored: Stored = dataclasses.field()  # the source itself, at the place where the file was
    finder: Finder = dataclasses.field()

    def signature(self, request: Request = ANY) -> Signature:
        """As stages.csv has it; of what it has no row for, as nothing read the values, the file's."""
        if self.role == "labels":  # which only say how often a network is right
            return Signature(tuple(size or 0 for size in request.shape or ()), np.dtype(np.int64))
        row = self.row(request)
        return signature_of(self.finder.run, row) if row else self.found().signature(request)

    def row(self, request: Request) -> dict[str, str] | None:
        """The row of the array that is asked for."""
        run = self.finder.run
        if self.role in ARRAYS:
            return next((row for row in run.rows if row["stage"] == self.role), None)
        names = {name for name, entry in run.manifest.get("given", {}).items() if entry == request.entry}
        rows = [row for row in run.rows if row["stage"] in names]  # an array of a file may be in several places
        wanted = request.shape
        return next((row for row in rows if wanted is None or suits(signature_of(run, row).shape, wanted)), None)

    def make(self, signature: Signature, bits: np.random.PCG64, entry: str = "") -> Array:
        """Read the array from the file, wherever that is now, in the shape of its place."""
        source = self.found()
        if isinstance(source, Kernels) and source.channels is not None:  # the file has less than its filters
            return held_to_plan(source, lambda: source.make(signature, bits, entry))
        wanted = source.signature(Request(entry=entry))
        if prod(wanted.shape) != prod(signature.shape):
            found, expected = shape_text(wanted.shape), shape_text(signature.shape)
            raise ArchiveError(f"{source.file}: got shape {found}, expected {expected}, as stages.csv says")
        return held_to_plan(source, lambda: source.make(wanted, bits, entry)).reshape(signature.shape)

    def found(self) -> Stored:
        """The source, at the place where its file is.

        Raises:
            ArchiveError: that is nowhere.
        """
        return self.stored.at(self.finder.find(self.stored))

    def one_more_axis(self) -> str:
        """The source's own words."""
        return self.stored.one_more_axis()


def signature_of(run: Run, row: dict[str, str]) -> Signature:
    """The array of a row of stages.csv; of an input whose first images alone were recorded, that of all.

    Raises:
        ArchiveError: a dtype that there is not.
    """
    shape = shape_of(row)
    last = run.rows[-1]
    if row["stage"] == "input" and last["op"] == "batch":
        shape = (*shape_of(last)[:1], *shape[1:])
    if row["dtype"] not in DTYPES:
        known = ", ".join(DTYPES)
        raise ArchiveError(f"{run.path}: {row['stage']}: got dtype {shown(row['dtype'])}, expected one of {known}")
    return Signature(shape, np.dtype(row["dtype"]))


def shape_of(row: dict[str, str]) -> tuple[int, ...]:
    """The shape of a row of stages.csv.

    >>> shape_of({"shape": "(1,3,4)"}), shape_of({"shape": "()"})
    ((1, 3, 4), ())
    """
    return tuple(map(int, filter(None, row["shape"].strip("()").split(","))))


def recalled(run: Run, spec: Spec) -> Spec:
    """An archived run's spec, to be planned without the files that it reads."""
    finder = Finder(run)
    found: dict[str, Source] = {
        key: Recalled(role=key, source=source.source, stored=source, finder=finder)
        for key, source in stored_sources(spec).items()
        if source.sha256 is not None
    }
    return with_sources(spec, found)


def with_files(spec: Spec) -> tuple[Spec, list[str]]:
    """An archived run's spec that reads its files, wherever they are now; and which are no more what they were.

    Raises:
        ArchiveError: one that is nowhere.
    """
    sources = {key: source for key, source in sources_by_key(spec).items() if isinstance(source, Recalled)}
    changed = dict.fromkeys(note for source in sources.values() for note in source.finder.changed(source.stored))
    found: dict[str, Source] = {key: source.found() for key, source in sources.items()}
    return with_sources(spec, found), [*changed]
