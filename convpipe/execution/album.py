"""A sheet of a run's maps: of each stage that is drawn a few small pictures are kept, as it passes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, product

import numpy as np

from convpipe.archive.format import SHEET, lettered
from convpipe.archive.maps import Maps, maps_of
from convpipe.archive.write import Recorder
from convpipe.execution.drawing import has_maps, layers_of, tensors_of
from convpipe.execution.naming import COLOURS, Names
from convpipe.files.colours import Span, coloured, enlarged, joint_span, span_of, true_colours
from convpipe.files.images import colour_picture, picture
from convpipe.files.sheet import Section, Tile, sheet
from convpipe.graph.plan import Plan
from convpipe.graph.spec import Spec
from convpipe.tensors import Array, shape_text

INPUT, FEATURE_MAP = "input", "feature_map"
MOST_FILES = 64  # beside the sheet
MOST_MAPS = 64  # of one stage
MOST_OF_ALL = 384  # of a sheet, unless it has so many stages that LEAST_MAPS of each are more
LEAST_MAPS = 4
SIDE, SMALL_SIDE = 256, 128  # pixels of a map: where few stages are drawn, and where many are
MOST_BESIDE = 6  # channels of a filter that have a row to themselves
SIGNED = "Maps with numbers below 0: red below, white at 0, blue above, as deep at the scale's end in either direction."
ODD = "Orange: NaN or infinity."


@dataclass(frozen=True)
class Group:
    """Maps of one image that share a scale: those of a filter, one for each channel, or all of a stage."""

    name: str
    names: tuple[str, ...]
    planes: tuple[Array, ...]  # (h, w) each
    span: Span  # of these and of the other images'

    @property
    def is_colours(self) -> bool:
        """Whether they are red, green and blue of a picture."""
        lasts = tuple(name.rpartition(" ")[2] for name in self.names)
        odd = self.span.nans + self.span.infinities
        return lasts == COLOURS and not odd and self.span.low is not None and bool(self.span.low >= 0)


@dataclass
class Album:
    """The pictures of a run so far."""

    spec: Spec
    plan: Plan
    names: Names
    drawn: Sequence[str]  # stages
    sections: dict[str, Section] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)

    def see(self, stage: str, array: Array) -> None:
        """Keep small pictures of a stage's maps, if they are drawn; of the input, if anything is."""
        if stage not in self.drawn and not (stage == INPUT and self.drawn):
            return
        tensor = tensors_of(self.plan)[stage]
        maps = maps_of(array, tensor.axes) if has_maps(tensor) else None
        if maps is None:
            return
        longest = max(maps.values.shape[2:])
        step, times = -(-longest // self.side), max(1, self.side // longest)
        each = f", {times} x {times} pixels a cell" if times > 1 else f", 1:{step}" if step > 1 else ""
        head = f"{stage}  {lettered(shape_text(tensor.shape), tensor.axes)}  {tensor.dtype}{each}"
        marks, called = self.marks(stage, maps), self.called(stage, maps)
        groups = groups_of(maps.values, marks, called, scales_of(called, FEATURE_MAP in self.names), self.most)
        tiles = [tuple(self.tiles(stage, group, step, times)) for group in groups]
        beside = 1 < max(map(len, tiles)) <= MOST_BESIDE  # or they go on in one row
        left = maps.count - sum(len(group.planes) for group in groups)
        rows = tuple(tiles) if beside else (tuple(chain.from_iterable(tiles)),)
        self.sections[stage] = Section(head, rows, f"and {left:,} more maps" if left else "")

    @property
    def most(self) -> int:
        """How many maps of a stage are drawn."""
        return min(MOST_MAPS, max(LEAST_MAPS, MOST_OF_ALL // len(self.drawn)))

    @property
    def side(self) -> int:
        """How many pixels they are long."""
        return SIDE if len(self.drawn) <= 2 else SMALL_SIDE

    def called(self, stage: str, maps: Maps) -> list[str]:
        """What the maps of one image are called: feature maps of a single convolution as their filters are."""
        letter, count = maps.letters[1], maps.values.shape[1]
        named: Sequence[str] = ()
        if self.spec.network is None or stage == INPUT:
            named = self.names.get(FEATURE_MAP if letter == "f" else INPUT, ())
        layer, _, _ = stage.partition("/")
        if self.spec.network is not None and stage == layers_of(self.plan).get(layer):
            filters = any(tensor.name == f"{layer}/filters" for tensor in self.plan.given)
            stage, letter = layer, "f" if filters else letter
        found = list(named) if len(named) == count else [f"{letter}{at}" for at in range(count)]
        is_plain = maps.letters[0] == "f" or (self.spec.network is None and letter == "f")
        return found if is_plain else [f"{stage} {name}" for name in found]

    def marks(self, stage: str, maps: Maps) -> list[str]:
        """What the maps of each image are called before that, or of each filter, whose channels these are."""
        if maps.letters[0] == "f":
            return [f"{stage} f{at} " for at in range(len(maps.values))]
        return [f"n={at} " for at in range(len(maps.values))] if len(maps.values) > 1 else [""]

    def tiles(self, stage: str, group: Group, step: int, times: int) -> Iterator[Tile]:
        """Pictures of a group, each with its name and range; of colours all as one, too, and of an input only so."""
        span, scale = group.span, f"   1:{step}" if step > 1 else ""
        for name, plane in zip(group.names, group.planes, strict=True):
            if stage == INPUT and group.is_colours:
                continue
            own = span_of(plane)
            self.notes |= dict.fromkeys([SIGNED] * span.is_signed + [ODD] * bool(own.nans or own.infinities))
            yield Tile(enlarged(coloured(plane, span, step), times), (f"{name}{scale}", *range_lines(own, span)))
        if group.is_colours:
            pixels = enlarged(true_colours(group.planes, span, step), times)
            yield Tile(pixels, (f"{group.name}{scale}", *range_lines(joint_span(group.planes), span)))

    @property
    def has_result(self) -> bool:
        """Whether the feature maps of a single convolution are drawn."""
        return self.spec.network is None and self.plan.steps[-1].name in self.drawn and self.plan.output.axes[-1] == "F"

    def add_to(self, draft: Recorder, title: str) -> None:
        """Add the sheet of all pictures, if there are some."""
        if not any(stage in self.drawn for stage in self.sections):
            return
        name = getattr(self.spec.input, "path", self.spec.input.source).replace("\\", "/").rpartition("/")[2]
        order = [stage for stage in tensors_of(self.plan) if stage in self.sections]
        sections = [self.sections[stage] for stage in order]
        draft.picture(SHEET, sheet((title, f"input: {name}"), sections, tuple(self.notes)))


def draw_files(draft: Recorder, feature_map: Array, names: Sequence[str] = ()) -> None:
    """Add the feature maps (N, out_h, out_w, F) as pictures of their own size, and colours together, too.

    They are named as their filters are, or numbered where those have no names that tell files apart.
    """
    planes = np.moveaxis(feature_map, -1, 1)
    images, count = planes.shape[:2]
    apart = len({name.replace(" ", "_").lower() for name in names}) == count
    called = names if apart else [f"f{at:03d}" for at in range(count)]
    marks = [f"n{at} " for at in range(images)] if images > 1 else [""]
    for group in groups_of(planes, marks, called, scales_of(called, apart), MOST_FILES):
        for name, plane in zip(group.names, group.planes, strict=True):
            draft.picture(file_name(name), picture(plane))
        if group.is_colours:
            draft.picture(file_name(group.name), colour_picture(true_colours(group.planes, group.span)))


def file_name(name: str) -> str:
    """The file of a map.

    >>> file_name("n1 sobel_x R"), file_name("f007")
    ('map_n1_sobel_x_R.png', 'map_f007.png')
    """
    return f"map_{name.replace(' ', '_')}.png"


def groups_of(
    planes: Array, marks: Sequence[str], called: Sequence[str], scales: Sequence[Sequence[int]], most: int
) -> list[Group]:
    """At most so many of planes (N, F, h, w), image by image, those together that share a scale.

    Args:
        marks, called: what they are called: an image, and the planes of each.
        scales: the places of planes that share one.
    """
    marks = marks[: -(-most // len(called))]  # of thousands of images
    chosen = [(image, place) for image in range(len(marks)) for places in scales for place in places][:most]
    spans = [joint_span(planes[at] for at in chosen if at[1] in places) for places in scales]
    groups = list[Group]()
    for (image, mark), (places, span) in product(enumerate(marks), zip(scales, spans, strict=True)):
        mine = [place for place in places if (image, place) in chosen]
        is_cut = len(mine) < len(places) <= MOST_BESIDE and groups != []  # of a filter not some channels alone
        if mine and not is_cut:
            names = tuple(f"{mark}{called[place]}" for place in mine)
            found = tuple(np.atleast_2d(planes[image, place]) for place in mine)
            groups.append(Group(f"{names[0].rpartition(' ')[0]} RGB", names, found, span))
    return groups


def scales_of(called: Sequence[str], by_filter: bool) -> list[list[int]]:
    """The places of maps that share a scale: those of one filter, whose names differ in their last word; or all.

    >>> scales_of(["box R", "sobel R", "box G", "sobel G"], True), scales_of(["conv1 f0", "conv1 f1"], False)
    ([[0, 2], [1, 3]], [[0, 1]])
    >>> scales_of(["box", "sobel"], True)
    [[0], [1]]
    """
    rows: dict[str, list[int]] = {}
    for place, name in enumerate(called if by_filter else ()):
        rows.setdefault(name.rpartition(" ")[0] or name, []).append(place)
    return list(rows.values()) or [list(range(len(called)))]


def range_lines(own: Span, shared: Span) -> list[str]:
    """What a map holds, and from where to where its colours go, where that is something else."""
    odd = [f"{count:,} {word}" for count, word in ((own.nans, "NaN"), (own.infinities, "infinite")) if count]
    if own.low is None:
        return odd
    lines = [f"{short(own.low)} to {short(own.high)}"]
    if shared.is_signed:
        lines.append(f"scale \xb1{short(shared.reach)}")
    elif (own.low, own.high) != (shared.low, shared.high):
        lines.append(f"scale {short(shared.low)} to {short(shared.high)}")
    return [*lines, *odd]


def short(value: object) -> str:
    """A number in a few characters.

    >>> short(np.int16(-1020)), short(np.float32(0.1)), short(-(2**40))
    ('-1020', '0.1', '-1.1e+12')
    """
    number = getattr(value, "item", lambda: value)()
    text = str(number)
    return text if isinstance(number, int) and len(text) <= 7 else f"{number:.4g}"
