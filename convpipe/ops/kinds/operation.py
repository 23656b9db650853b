"""What an operation is: settings of its own, inputs by role, one output, and the facts about it."""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, dataclass_transform

import numpy as np

from convpipe.errors import ConfigError, GeometryError
from convpipe.fields import Check, field, is_whole, judged, text, whole
from convpipe.geometry.axes import PAD_WORDS, axis_of, shortest_pads, spread
from convpipe.geometry.layouts import Turns, turn_hint
from convpipe.ops.arrays.floats import TILE_CELLS
from convpipe.ops.arrays.narrowing import Counts
from convpipe.ops.arrays.sums import SLACK
from convpipe.ops.kinds.forms import Form
from convpipe.tensors import Array, Sizes, Tensor, Wanted, one_for_all

MAIN = "x"  # the role of the tensor that passes along a chain, and of what a layer reads
WIDE_COPIES = 4  # of the largest tensor in float64: more than any operation here takes that works cell by cell
TILE_COPIES = 12  # of a tile in float64, which the longest function of a cell holds at once

# Settings that only the geometry, knowing the rank, can judge.
WHOLE = {"type": "integer"}
EACH = {"anyOf": [{"type": ["integer", "null"]}, {"type": "array", "items": WHOLE}]}
PAIR = {"anyOf": [WHOLE, {"type": "array", "items": WHOLE, "minItems": 2, "maxItems": 2}]}
PADS = {"anyOf": [WHOLE, {"enum": list(PAD_WORDS)}, {"type": "array", "items": PAIR}]}


class PerAxis(Check):
    """A value for every axis, or one for each; what only the rank can judge is left to the geometry."""

    def canonical(self, value: Any) -> Any:
        """One value where all axes have the same."""
        return one_for_all(value)


class PadSizes(Check):
    """A padding in any of its spellings."""

    def canonical(self, value: Any) -> Any:
        """The shortest of them."""
        return shortest_pads(value)


each_axis = PerAxis("a whole number, or one per axis", EACH)
padding = PadSizes(f"a whole number, one or a pair [before, after] per axis, or {', '.join(PAD_WORDS)}", PADS)
PAD = "Cells around the input: one number, one per axis, [before, after] per axis, or valid, same, same_lower."
PAD_MODE = "What padding holds: constant (of the value beside it), reflect, edge or wrap."


@dataclass(frozen=True)
class Made:
    """The output of an operation, known before it exists, and what making it costs."""

    shape: Sizes
    dtype: np.dtype[Any]
    axes: tuple[str, ...]
    macs: int = 0
    workspace: int | None = None  # bytes it may allocate beside its result; None: the estimate of `workspace_of`


@dataclass(frozen=True)
class Weight:
    """A tensor that an operation asks of its surroundings: weights of a layer, filters of a convolution."""

    role: str
    shape: Wanted
    axes: tuple[str, ...]
    usual: str = ""  # PyTorch's word for it, which a weights file has after the layer's name and a point
    entry: str | None = None  # its name in the weights file, where that is another
    setting: str = ""  # the setting that gives the entry, where that is not called as the role is
    turns: Turns = ()  # how its axes may lie elsewhere; in the words, {layer} is the key of the layer


Give = Callable[[Weight], Tensor]


def solved() -> Any:
    """A field that no user sets: it follows from the sizes of the convolution whose stage the operation is."""
    return dataclasses.field()


@dataclass_transform(frozen_default=True, kw_only_default=True)
@dataclass(frozen=True, kw_only=True)
class Operation:
    """A stage of a convolution and a layer of a network alike: its fields are its settings.

    Each is a frozen dataclass (a subclass becomes one by itself) in a file of its own, named as the operation is,
    whose fields carry their checks (`convpipe.fields.field`). One that works cell by cell needs no more than this:

        class Power(Operation):
            '''x to a whole power.'''

            exponent: int = field(whole(1), 2, "To which power.")

            function = staticmethod(power)
    """

    def __init_subclass__(cls) -> None:
        """Make every kind of operation a frozen dataclass."""
        dataclass(frozen=True, kw_only=True)(cls)

    # Inputs by role; of several roles, the first that there is. One that it `may_read` is left to a later stage
    # that cannot do without it. `plan` and `run` take main tensors in order, and the others by role.
    reads: ClassVar[tuple[str | tuple[str, ...], ...]] = (MAIN,)
    may_read: ClassVar[tuple[str, ...]] = ()
    several: ClassVar[bool] = False  # whether it reads any number of main tensors
    makes: ClassVar[str] = MAIN  # the role of its output; one that is not the main tensor leaves that alone
    result: ClassVar[str] = ""  # the name of its output, of which there is one in a chain; "": that of its stage
    after: ClassVar[tuple[str, ...]] = ()  # outputs that have to be made before it

    # whether the last bits of its floats are the machine's: it adds them up, or takes NumPy's exp, log ...
    varies: ClassVar[bool] = False
    moves: ClassVar[bool] = False  # whether it only moves values, so that their errors move as they do
    integers: ClassVar[bool] = False  # whether it takes integers alone, so that every right run makes the same
    linear: ClassVar[bool] = False  # whether outputs of magnitudes bound what the rounding of inputs can do
    layer: ClassVar[bool] = True  # whether a network can have it
    # what its main tensor is: True: images, so that a matrix that goes into a network is one; False: rows; None: either
    images: ClassVar[bool | None] = None
    stage: ClassVar[bool] = True  # whether a chain can have it
    # the array function, called with the inputs and with the settings by name; or else it has a `run` of its own
    function: ClassVar[Callable[..., Array]]
    follows: ClassVar[tuple[str, ...]] = ()  # what it takes of how columns lie (`Columns`): their order, their tile
    called: ClassVar[str] = ""  # what its output is called where it is a run's; "": as `result`

    # of a quantised convolution: the key that its overflow is under
    ruled_by: ClassVar[str] = ""
    counts: ClassVar[bool] = False  # whether it has a `run_counted`, which tells what rounding and narrowing did

    @classmethod
    def left_out(cls, conv: Any) -> bool:
        """Whether a chain goes without it, as it does nothing in that `Convolution`."""
        return False

    @classmethod
    def instead(cls, conv: Any) -> tuple[str, ...]:
        """The operations that a chain has in its place in that `Convolution`, the last with its settings; or none."""
        return ()

    @classmethod
    def of(cls, conv: Any) -> dict[str, Any]:
        """Its fields as the solved `Convolution` has it whose stage it is; settings of its own come before these."""
        return {}

    def ask(self, give: Give, x: Tensor) -> dict[str, Tensor]:
        """The tensors beside `x` that it reads as a layer, by role; it asks for each."""
        return {}

    def plan(self, *inputs: Any, **sides: Any) -> Made:
        """Its output, from the tensors it reads: main ones in order, others by role.

        By default that is a tensor like the first.

        Raises:
            ConfigError: inputs or settings that do not fit, under the role's or the setting's bare name.
        """
        return like(inputs[0], dtype=self.dtype_of(inputs[0].dtype))

    def unread(self) -> tuple[str, ...]:
        """Settings that nothing reads, as the others are: they are no part of a run's id."""
        return ()

    @classmethod
    def as_written(cls, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """Of some settings those whose shortest spelling would be refused: their own is the canonical one."""
        return ()

    @staticmethod
    def dtype_of(dtype: np.dtype[Any]) -> np.dtype[Any]:
        """The dtype of the output, where that follows from the input's alone."""
        return dtype

    def error(self, made: Array, *inputs: Any, **sides: Any) -> Array | None:
        """How far each cell of any right run may lie from its true value: float64, see `ops.arrays.bounds`.

        None where nobody has derived that: then floats of another machine cannot be judged.

        Args:
            made: its output in this run.
            inputs, sides: what it was made of, each a `Bounded` with the errors of that.
        """
        if self.integers:
            return np.zeros(made.shape)
        if not self.moves:
            return None
        return self.run(*(each.error for each in inputs), **{role: each.error for role, each in sides.items()})

    def form(self, *inputs: Any, **sides: Any) -> Form | None:
        """How a cell of its output comes about, from the tensors it reads: what `explain` and the page say of it.

        None where nobody has said that.
        """
        return None

    def run(self, *inputs: Any, **sides: Any) -> Array:
        """Its output, from the arrays of its inputs, which it does not change.

        Raises:
            ValueRangeError: an exact sum that does not fit.
        """
        return self.function(*inputs, **sides, **vars(self))

    def run_counted(self, *inputs: Any, **sides: Any) -> tuple[Array, Counts]:
        """The same of an operation that `counts`, and what rounding and narrowing did."""
        return self.run(*inputs, **sides), Counts()


def like(tensor: Tensor, **changes: Any) -> Made:
    """An output as a tensor, but for some changes."""
    return Made(**{"shape": tensor.shape, "dtype": tensor.dtype, "axes": tensor.axes, **changes})


def op_name(kind: type[Operation]) -> str:
    """The name of a kind of operation of ours: that of its file.

    >>> class MaxPool: ...
    >>> op_name(MaxPool)
    'max_pool'
    """
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


def words(kind: type[Operation] | None) -> str:
    """What the output of a kind of operation is called."""
    return (kind.called or kind.result.replace("_", " ") or "output") if kind else "output"


def workspace_of(made: Made, inputs: Sequence[Tensor]) -> int:
    """The bytes that an operation may allocate beside its result: its own promise, or an estimate from above."""
    if made.workspace is not None:
        return made.workspace
    cells = max(prod(shape) for shape in (made.shape, *(tensor.shape for tensor in inputs)))
    return 8 * (WIDE_COPIES * cells + TILE_COPIES * min(cells, TILE_CELLS)) + SLACK


def stands_alone(kind: type[Operation]) -> bool:
    """Whether an operation can be a layer: it works on the main tensor, and no field waits for a convolution."""
    waits = any("check" not in entry.metadata for entry in dataclasses.fields(kind))
    return kind.layer and kind.makes == MAIN and MAIN in kind.reads and not waits


def chosen(kind: type[Operation], given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some settings that say something else than the default."""
    defaults = {entry.name: entry.default for entry in dataclasses.fields(kind)}
    return {name: value for name, value in given.items() if value != defaults[name]}


# What several kinds share


def unread_padding(pad: Any, mode: str) -> tuple[bool, bool]:
    """Whether nothing reads the mode of a padding, as nothing is padded, and whether nothing reads its value.

    >>> unread_padding("valid", "constant"), unread_padding(1, "edge"), unread_padding("same", "constant")
    ((True, True), (False, True), (False, False))
    """
    nothing = shortest_pads(pad) == 0
    return nothing, nothing or mode != "constant"


def unread_stride(kernel: Any, stride: Any) -> tuple[str, ...]:
    """The stride of a window that moves by its own size, as it does where none is given."""
    return ("stride",) if one_for_all(stride) == one_for_all(kernel) else ()


def pads_as_written(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The padding of a pooling, where it is wider in pairs than one number may be: that is half the window at most.

    >>> pads_as_written({"kernel": 3, "pad": ((2, 2), (0, 1))}), pads_as_written({"kernel": 3, "pad": ((1, 1), (0, 1))})
    (('pad',), ())
    """
    pads, kernel = shortest_pads(settings.get("pad", 0)), settings.get("kernel")
    axes = max((len(each) for each in (pads, kernel) if isinstance(each, list | tuple)), default=1)
    both = zip(spread(pads, axes), spread(kernel, axes), strict=False)
    wide = any(is_whole(entry) and is_whole(size) and entry > size // 2 for entry, size in both)
    return ("pad",) * wide


def within_image(axis: int, axes: int) -> int:
    """An axis from the front that is not the batch's: images do not depend on each other, so they may run in slices.

    >>> within_image(-1, axes=4)
    3
    """
    found = axis_of(axis, axes)
    if not found:
        raise ConfigError("axis", axis, f"an axis from 1 to {axes - 1}, as 0 is the batch")
    return found


class AxisOperation(Operation):
    """An operation along one axis, by default the channels, or classes."""

    axis: int = field(whole(), 1, "The axis along which it works: 1 is that of the channels or classes.")

    def plan(self, x: Tensor) -> Made:
        """A tensor like `x`."""
        within_image(self.axis, len(x.shape))
        return super().plan(x)


WEIGHTS = "The name of its weights in the file of weights; null is LAYER.weight."
BIAS = "true adds a bias, by the name LAYER.bias; false adds none; a text is the name of another."


def named_bias(key: str, value: Any) -> bool | str:
    """False for no bias, true for one by its usual name, or its name."""
    return value if isinstance(value, bool) else str(text(key, value))


bias_name = judged(named_bias, "true, false or a text", {"type": ["boolean", "string"]})


def bias_of(give: Give, bias: bool | str, size: int) -> dict[str, Tensor]:
    """The bias, of that many values, if there is one.

    Raises:
        GeometryError: it has another shape.
    """
    if not bias:
        return {}
    found = give(Weight("bias", (size,), ("F",), "bias", bias if isinstance(bias, str) else None))
    if found.shape != (size,):
        hint = turn_hint(found.shape, (size,))
        raise GeometryError("bias", found.shape, f"the shape {(size,)}, one value per filter", hint)
    return {"bias": found}
