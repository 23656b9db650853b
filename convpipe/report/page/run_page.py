"""The page of one run: what stands in it, and how much of that where the whole would be too large."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from convpipe.archive.format import short_number
from convpipe.archive.read import Run
from convpipe.config.read import read_archived
from convpipe.errors import ArchiveError, ConfigError
from convpipe.execution.planned import planned_work
from convpipe.execution.recover import recovered
from convpipe.graph.plan import readable
from convpipe.graph.spec import Spec
from convpipe.graph.work import Work
from convpipe.report.page.answers import Answered, answered, command_of
from convpipe.report.page.asked import Asked, check_place
from convpipe.report.page.convolutions import Shown, convolutions
from convpipe.report.page.cut import MAPS, Cut, Shape, images_cut, small_cut, text_of, whole_cut
from convpipe.report.page.document import Content, Note, Table, document
from convpipe.report.page.graph import graph_of
from convpipe.report.page.packed import Packed
from convpipe.report.page.tables import foot, output_table, page_title, stage_table
from convpipe.tensors import Array

LEAST_PACKED = 16  # an array's bytes are hardly ever more than so many times what stands in the page
PICTURE_SIDE = 24  # cells of a map from which it is looked at as a picture, too
MARGIN = 0.97  # of the room for arrays: facts about what is left out take some, too


@dataclass(frozen=True)
class Material:
    """What a page is made from: a run, what is known of its arrays, and its answers, if it is a classifier."""

    run: Run
    spec: Spec
    work: Work
    shape: Shape
    answered: Answered | None

    @property
    def tables(self) -> list[Table]:
        """What is read without the script."""
        return [stage_table(self.run), self.answered.table if self.answered else output_table(self.run)]


@dataclass
class Filled:
    """A cut with its arrays, as far as they have come."""

    cut: Cut
    arrays: dict[str, Packed] = field(default_factory=dict)
    size: int = 0

    def take(self, name: str, array: Array) -> None:
        """Pack an array, if it is in the cut."""
        for key in (name, MAPS + name):
            if key in self.cut.packs:
                self.arrays[key] = self.cut.packs[key](array)
                self.size += len(self.arrays[key].text)


def run_page(run: Run, asked: Asked) -> bytes:
    """The page of a run whose hashes have been verified, whole or, above the limit, as much as it holds.

    Raises:
        ConfigError: a cell or a layer that is not there, or a limit that the page would not keep.
        ArchiveError: the archive has no such stages as its config makes.
    """
    spec = read_archived(run)
    work = planned_work(run, spec)
    check_place(asked, run, spec, work)
    material = material_of(run, spec, work)
    size = bare_size(material, asked)
    room = max(0, int((asked.limit - size) * MARGIN))
    filled, lacks = gathered(material, cuts_of(material.shape, asked, room), room)
    for each in filled:
        content = document(content_of(material, asked, each, lacks))
        size = len(content)
        if size <= asked.limit:
            return content
    expected = f"at least {readable(size)}, this page's size"
    raise ConfigError("--limit", readable(asked.limit), expected)


def material_of(run: Run, spec: Spec, work: Work) -> Material:
    """What a page is made from."""
    return Material(run, spec, work, shape_of(run, spec, work), answered(run, spec, work))


def bare_size(material: Material, asked: Asked) -> int:
    """The bytes of the page without the arrays of its stages."""
    return len(document(content_of(material, asked, Filled(Cut(material.shape.convolutions, {}, 0)), ())))


def shape_of(run: Run, spec: Spec, work: Work) -> Shape:
    """What is known of a run's arrays.

    Raises:
        ArchiveError: it lacks a row of a stage that its config makes.
    """
    found = tuple(convolutions(spec, work))
    graph = graph_of(run, spec, work, {each.layer: each for each in found}) if is_graph(spec, found) else ()
    tensors = {work.plan.rows_by_tensor[tensor.name]: tensor for tensor in work.plan.given}
    tensors |= {step.name: step.makes for step in work.plan.steps}
    hashes = {row["stage"]: row["sha256"] for row in run.rows}
    if lacking := [name for name in tensors if name not in hashes]:
        raise ArchiveError(f"{run.path}: stages.csv: got no row of {lacking[0]}, which the run's config makes")
    return Shape(found, graph, tensors, hashes, work.recorded)


def is_graph(spec: Spec, found: Sequence[Shown]) -> bool:
    """Whether a run is looked at as a graph: a network, what is no forward convolution, or one of a picture."""
    of_picture = spec.network is None and any(min(each.sizes.out) >= PICTURE_SIDE for each in found)
    return spec.network is not None or not found or (of_picture and "feature_map" in found[0].parts)


def cuts_of(shape: Shape, asked: Asked, room: int) -> list[Cut]:
    """What a page may hold, the most first; the last of them fits, if anything does."""
    whole = whole_cut(shape)
    if text_of(whole.bytes) <= room:
        return [whole]
    first = [whole] if whole.bytes <= LEAST_PACKED * room else []
    images = images_cut(shape, asked, room)
    return [*first, images or small_cut(shape, asked, room)]


def gathered(material: Material, cuts: Sequence[Cut], room: int) -> tuple[list[Filled], tuple[str, ...]]:
    """The arrays that the page shows, packed one after another as they are come by, and which cannot be had."""
    filled, lacks = [Filled(cut) for cut in cuts], list[str]()
    names = [name for name in material.shape.names if any(name in cut.packs or name in cut.views for cut in cuts)]
    for name, array in recovered(material.run, material.spec, material.work, names):
        if array is None:
            lacks.append(name)
            continue
        for each in filled:
            each.take(name, array)
        filled = [each for each in filled if each.size <= room or each is filled[-1]]
    return filled, tuple(name for name in names if name in lacks)


def content_of(material: Material, asked: Asked, filled: Filled, lacks: tuple[str, ...]) -> Content:
    """What stands in the page."""
    run, shape, cut = material.run, material.shape, filled.cut
    there = [each for each in cut.convolutions if not set(each.parts.values()) & set(lacks)]
    views = {name: view for name, view in cut.views.items() if view["of"] in filled.arrays}
    answers = material.answered
    facts: dict[str, Any] = {
        "kind": "run",
        "run": run.manifest.get("run_id"),
        "archive": run.manifest.get("archive_id"),
        "start": {"at": asked.at, "layer": asked.layer},
        "names": run.manifest.get("names", {}),
        "convolutions": [each.facts for each in there],
        "network": material.spec.network is not None,
        "graph": [{**node.facts, "span": span_of(run, node.array)} for node in shape.graph],
        "answers": answers and {**answers.facts, "recorded": recorded_images(cut, shape), "command": command_of(run)},
        "lacks": lacks,
        "cropped": cut.convolutions != shape.convolutions,
    }
    return Content(
        entry=entry_of(material, there),
        title=page_title(run),
        language=asked.language,
        facts=facts,
        arrays={**filled.arrays, **(answers.arrays if answers else {})},
        views=views,
        notes=(*cut.left, *lack_notes(material, there, lacks)),
        tables=material.tables,
        foot=foot(run),
    )


def entry_of(material: Material, kept: Sequence[Shown]) -> str:
    """The module that starts the page."""
    if material.shape.graph:
        return "network_page" if kept else "operation_page"
    return "large_run_page" if any(each.large for each in kept) else "run_page"


def recorded_images(cut: Cut, shape: Shape) -> dict[str, int]:
    """Which images the page has the stages of."""
    values = next((values for key, values in cut.left if key == "leftImages"), {"first": 0, "last": shape.images - 1})
    return {"first": values["first"], "count": values["last"] - values["first"] + 1, "all": shape.images}


def lack_notes(material: Material, there: Sequence[Shown], lacks: Sequence[str]) -> Iterator[Note]:
    """What the page says of arrays that cannot be had: which they are, and which views are missing for that."""
    if lacks:
        yield "lacksArrays", {"names": ", ".join(lacks)}
    missing = [
        each.layer or "" for each in material.shape.convolutions if each.parts not in [one.parts for one in there]
    ]
    if lacks and missing:
        named = ", ".join(filter(None, missing))
        yield ("lacksConvolutions", {"names": named}) if named else ("lacksConvolution", {})
    if material.answered and material.answered.labels_lack:
        yield "lacksLabels", {}


def span_of(run: Run, name: str) -> list[str]:
    """The least and the largest value of an array, as texts."""
    row = next(row for row in run.rows if row["stage"] == name)
    return [short_number(row["min"]), short_number(row["max"])]
