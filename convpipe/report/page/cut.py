"""How much of a run's arrays a page holds: all of them, those of some images, or crops and thumbnails of one image.

What a page may have left out it says: `Cut.left` are the keys of its words, and the numbers in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from typing import Any

from convpipe.report.page.asked import Asked
from convpipe.report.page.convolutions import Box, Shown, origin_of, span_around
from convpipe.report.page.graph import Node
from convpipe.report.page.packed import Packed, packed
from convpipe.report.page.sums import is_summed
from convpipe.report.page.thumbnails import MOST_MAPS, MOST_SIDE, thumbnail_shape, thumbnails
from convpipe.tensors import Array, Sizes, Tensor

TEXT = 1.34  # characters of base64 for each byte, which gzip hardly ever makes more of
BESIDE = 200  # bytes of an array's text and facts beside that
LADDER = ((64, 96), (64, 64), (32, 64), (32, 48), (16, 48), (16, 32), (8, 32), (8, 16), (4, 16), (2, 12), (1, 8))
CROPS = ((12, 8), (12, 4), (8, 4), (8, 2), (6, 2), (4, 2), (4, 1), (3, 1), (2, 1), (1, 1))  # outputs a side, filters

MAPS = "maps:"  # before the name of an array whose maps stand in a page beside a convolution's part of it

Pack = Callable[[Array], Packed]
Left = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Shape:
    """What is known of a run's arrays before they are there."""

    convolutions: tuple[Shown, ...]
    graph: tuple[Node, ...]
    tensors: Mapping[str, Tensor]  # by the names of stages.csv
    hashes: Mapping[str, str]
    images: int  # that are on record

    @property
    def sides(self) -> list[str]:
        """Arrays that formulas read and no node and no convolution shows: weights."""
        parts = {name for each in self.convolutions for name in each.parts.values()}
        shown = {node.array for node in self.graph} | parts
        wholes = [node.whole["reads"] for node in self.graph if node.whole]
        reads = [*(node.reads for node in self.graph), *wholes]
        read = dict.fromkeys(name for each in reads for name in each.values())
        return [name for name in read if name not in shown]

    @property
    def names(self) -> list[str]:
        """All arrays that a page could show."""
        parts = [name for each in self.convolutions for name in each.parts.values()]
        return list(dict.fromkeys([*parts, *(node.array for node in self.graph), *self.sides]))


@dataclass(frozen=True)
class Cut:
    """What a page holds: how each array is packed, by its name or `MAPS` and that; and which are views of others."""

    convolutions: tuple[Shown, ...]
    packs: Mapping[str, Pack]
    bytes: int  # of the arrays before they are packed
    views: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    left: tuple[Left, ...] = ()


def size_of(shape: Sizes, tensor: Tensor) -> int:
    """The bytes of so many cells of a tensor."""
    return prod(shape) * tensor.dtype.itemsize


def text_of(count: int) -> int:
    """The most that so many bytes take in a page."""
    return int(count * TEXT) + BESIDE


# All of some images


def whole_cut(shape: Shape, images: tuple[int, int] | None = None) -> Cut:
    """Everything, or everything of some images."""
    first, last = images or (0, shape.images)
    convolutions = tuple(replace(each, box=whole_images(each, images)) for each in shape.convolutions)
    packs: dict[str, Pack] = {name: partial(pack_images, (first, last), shape.tensors[name]) for name in shape.names}
    packs |= part_packs(convolutions)
    views = views_of(shape, [*packs])
    kept = {name: pack for name, pack in packs.items() if name not in views}
    size = sum(images_bytes(shape, name, last - first) for name in kept)
    values = {"first": first, "last": last - 1, "images": shape.images}
    return Cut(convolutions, kept, size, views, (("leftImages", values),) if images else ())


def whole_images(shown: Shown, images: tuple[int, int] | None) -> Box:
    """A box around all of some images."""
    return replace(shown.box, images=images) if images else shown.box


def is_batch(tensor: Tensor) -> bool:
    """Whether an array has a part for each image."""
    return tensor.axes[:1] == ("N",)


def images_bytes(shape: Shape, name: str, images: int) -> int:
    """The bytes of an array's part for so many images."""
    tensor = shape.tensors[name]
    split = is_batch(tensor) or (tensor.axes and tensor.axes[0].startswith("N*"))
    return tensor.bytes * images // shape.images if split and shape.images else tensor.bytes


def pack_images(images: tuple[int, int], tensor: Tensor, array: Array) -> Packed:
    """Some images of an array, or all of one that has none."""
    if not is_batch(tensor):
        return packed(array)
    return packed(array[slice(*images)], (images[0], *(0,) * (array.ndim - 1)))


def part_packs(convolutions: Sequence[Shown]) -> Iterator[tuple[str, Pack]]:
    """The parts of convolutions, as far as their boxes reach."""
    for each in convolutions:
        for part, name in each.parts.items():
            yield name, partial(pack_part, each, part)


def pack_part(shown: Shown, part: str, array: Array) -> Packed:
    """A part of a convolution."""
    laid_out = shown.laid_out(part, array)
    slices = shown.slices(part)
    return packed(laid_out[slices], origin_of(slices, laid_out.ndim))


def views_of(shape: Shape, names: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Arrays that hold what another holds: in the same order, or with its channels in another place."""
    maps = {each.layer: each.parts.get("feature_map") for each in shape.convolutions}
    moved = {node.array: maps[node.name] for node in shape.graph if node.conv and maps.get(node.name)}
    products = {name for each in shape.convolutions for part, name in each.parts.items() if is_summed(part)}
    there, found = dict[tuple[str, Sizes, str], str](), dict[str, Mapping[str, Any]]()
    for name in names:
        tensor = shape.tensors[name]
        if name in products:
            continue
        same = there.setdefault((shape.hashes[name], tensor.shape, str(tensor.dtype)), name)
        if name in moved:
            rank = len(tensor.shape)
            found[name] = {"of": moved[name], "order": (0, rank - 1, *range(1, rank - 1))}
        elif same != name:
            found[name] = found.get(same, {"of": same})  # of what is there, even if that is like a view
    return found


def images_cut(shape: Shape, asked: Asked, room: int) -> Cut | None:
    """Everything of as many images as fit for certain, around the one that is asked for; None where not one does."""
    one, two = (whole_cut(shape, (0, count)) for count in (1, 2))
    each = two.bytes - one.bytes
    fixed = one.bytes - each + len(one.packs) * BESIDE
    count = int((room / TEXT - fixed) // max(each, 1))
    if count < 1 or shape.images < 2:
        return None
    return whole_cut(shape, span_around(image_of(shape, asked), shape.images, min(count, shape.images - 1)))


# Parts of one image


def image_of(shape: Shape, asked: Asked) -> int:
    """The image of the cell that is asked for, or the first; the first index of a gradient's cell is no image."""
    last = next((node.tensor for node in reversed(shape.graph) if asked.layer in (None, node.name)), None)
    return asked.at[0] if asked.at and (last is None or is_batch(last)) else 0


def small_cut(shape: Shape, asked: Asked, room: int) -> Cut:
    """Crops of convolutions and thumbnails of maps, where the arrays themselves do not fit."""
    image = image_of(shape, asked)
    crops = tuple(
        cropped_within(shape, each, asked, image, room * 3 // 8 if shape.graph else room) for each in shape.convolutions
    )
    packs = dict(part_packs(crops))
    used = sum(
        text_of(size_of(lengths(crop, part, shape), shape.tensors[name]))
        for crop in crops
        for part, name in crop.parts.items()
    )
    maps, used_by_maps, small = map_packs(shape, image, (room - used) * 3 // 4 if shape.sides else room - used)
    packs |= {MAPS + name if name in packs else name: pack for name, pack in maps.items()}
    sides, lost = side_packs(shape, room - used - used_by_maps)
    left = list[Left]()
    if shape.images > 1:
        left.append(("leftImages", {"first": image, "last": image, "images": shape.images}))
    if any(crop.box != whole.box for crop, whole in zip(crops, shape.convolutions, strict=True)):
        left.append(("leftCrops", {}))
    if small:
        left.append(
            ("leftMaps", {"layers": small, "of": len(shape.graph), "maps": MOST_MAPS}) if maps else ("leftAllMaps", {})
        )
    if lost:
        left.append(("leftWeights", {"names": ", ".join(lost)}))
    return Cut(crops, {**packs, **sides}, 0, {}, tuple(left))


def lengths(shown: Shown, part: str, shape: Shape) -> Sizes:
    """The shape of a part in its box."""
    sizes = shown.sizes
    whole = (sizes.batch, *sizes.out, sizes.filters) if is_summed(part) else shape.tensors[shown.parts[part]].shape
    slices = (*shown.slices(part), *[slice(None)] * len(whole))
    return tuple(len(range(size)[each]) for each, size in zip(slices, whole, strict=False))


def cropped_within(shape: Shape, shown: Shown, asked: Asked, image: int, room: int) -> Shown:
    """A convolution around the cell that is asked for, or in the middle of a map, as much as fits its share of room."""
    sizes, own = shown.sizes, asked.at and asked.layer == shown.layer
    _, f, *position = asked.at if own and asked.at else (0, 0, *(size // 2 for size in sizes.out))
    share = room // max(1, len(shape.convolutions))
    for side, filters in CROPS:
        out = tuple(span_around(place, size, side) for place, size in zip(position, sizes.out, strict=True))
        box = Box((image, image + 1), span_around(f, sizes.filters, filters), out)
        crop = replace(shown, box=box)
        parts = crop.parts.items()
        if sum(text_of(size_of(lengths(crop, part, shape), shape.tensors[name])) for part, name in parts) <= share:
            break
    return crop


def map_packs(shape: Shape, image: int, room: int) -> tuple[dict[str, Pack], int, int]:
    """How the arrays of the graph are packed: exactly where that is no more than thumbnails, or where there is room.

    Gives also how much they take, and how many are thumbnails.
    """
    one = {node.array: (1 if is_batch(node.tensor) else 0, node.tensor) for node in shape.graph}
    exact = {
        name: size_of(tensor.shape, tensor) // (shape.images if batch else 1) for name, (batch, tensor) in one.items()
    }
    for most, side in LADDER:
        small = {
            name: prod(thumbnail_shape(tensor.shape, tensor.axes, most, side)) for name, (_, tensor) in one.items()
        }
        used = sum(text_of(min(exact[name], small[name])) for name in one)
        if used <= room:
            break
    else:
        return {}, 0, len(one)
    kept = {name for name in one if exact[name] <= small[name]}
    for name in sorted(one, key=lambda name: (exact[name], name)):
        more = text_of(exact[name]) - text_of(small[name])
        if name not in kept and used + more <= room:
            kept.add(name)
            used += more
    span = (image, image + 1)
    packs: dict[str, Pack] = {
        name: partial(pack_images, span, tensor)
        if name in kept
        else partial(pack_thumbnails, tensor, image, most, side)
        for name, (_, tensor) in one.items()
    }
    return packs, used, len(one) - len(kept)


def pack_thumbnails(tensor: Tensor, image: int, most: int, side: int, array: Array) -> Packed:
    """An array's maps made small."""
    return thumbnails(array, tensor.axes, image, min(most, MOST_MAPS), min(side, MOST_SIDE))


def side_packs(shape: Shape, room: int) -> tuple[dict[str, Pack], list[str]]:
    """The weights that fit, the smallest first, and the names of the others."""
    packs, lost = dict[str, Pack](), list[str]()
    for name in sorted(shape.sides, key=lambda name: (shape.tensors[name].bytes, name)):
        taken = text_of(shape.tensors[name].bytes)
        if taken <= room:
            packs[name], room = packed, room - taken
        else:
            lost.append(name)
    return packs, [name for name in shape.sides if name in lost]
