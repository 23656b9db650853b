"""The chain of one convolution: its stages in order, each on what it reads, checked to be whole."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any

from convpipe.errors import ConfigError
from convpipe.geometry.columns import AS_USUAL, Columns
from convpipe.graph.step import Step, plan_step
from convpipe.ops import MAIN, OPERATIONS, Operation
from convpipe.ops.kinds.convolving import Convolution, Convolving, ConvSettings
from convpipe.ops.kinds.stages import Stage
from convpipe.tensors import Tensor

OF_CONV = frozenset(entry.name for entry in fields(ConvSettings))


@dataclass
class Chain:
    """A chain as far as it is planned: which tensor has each role by now, and which nobody has read yet."""

    key: str  # of the stages
    prefix: str  # of the names of steps and tensors
    roles: dict[str, Tensor]
    steps: list[Step] = field(default_factory=list)
    unread: dict[str, tuple[str, str]] = field(default_factory=dict)  # by name: what to name in an error, and why
    names: set[str] = field(default_factory=set)  # of results and stages

    def add(self, stage: Stage, kind: type[Operation], conv: Convolution, later: Container[str], key: str) -> None:
        """Plan one more stage; roles that `later` stages cannot do without are left to those."""
        name = self.new_name(stage, kind)
        check_usual(stage, kind, conv, key)
        of_conv = kind.of(conv)
        operation = complete(kind, {**of_conv, **dict(stage.settings)}, f"{key}.{stage.op}")
        inputs = self.inputs(stage, kind, later)
        makes = kind.result or name
        try:
            step = plan_step(self.prefix + name, stage.op, operation, inputs, self.prefix + makes)
        except ConfigError as error:
            raise at_stage(error, stage, key) from error
        own = hasattr(operation, "overflow") and ("overflow" in dict(stage.settings) or "overflow" not in of_conv)
        if own:
            step = replace(step, rule=f"{key}.{stage.op}")
        elif conv.quant is not None and kind.ruled_by:
            step = replace(step, rule=f"{self.under}{kind.ruled_by}")
        self.steps.append(step)
        for read in step.needs:
            self.unread.pop(read, None)
        self.unread[step.makes.name] = (name, f"{name} makes {makes!r}")
        self.roles[kind.makes] = step.makes

    @property
    def under(self) -> str:
        """What stands before the keys of the convolution's own settings."""
        return f"network.{self.prefix[:-1]}." if self.prefix else ""

    def new_name(self, stage: Stage, kind: type[Operation]) -> str:
        """The stage's name, with a number where it is not the first of its operation.

        Raises:
            ConfigError: a result that is there already, or another that has to be there and is not.
        """
        for needed in kind.after:
            if needed not in self.names:
                raise self.missing(stage.op, needed)
        if kind.result and kind.result in self.names:
            raise ConfigError(self.key, stage.op, f"a tensor of its own; {kind.result!r} is there already")
        count = sum(step.op == stage.op for step in self.steps)
        name = f"{stage.op}_{count + 1}" if count else stage.op
        self.names |= {kind.result, name}
        return name

    def inputs(self, stage: Stage, kind: type[Operation], later: Container[str]) -> list[tuple[str, Tensor]]:
        """The tensors that a stage reads, with their roles."""
        found = []
        for role in kind.reads:
            choices = (role,) if isinstance(role, str) else role
            there = [self.roles[each] for each in choices if each in self.roles]
            if not there:
                raise self.missing(stage.op, choices[0])
            found.append((choices[0], there[0]))
        return found + [(role, self.roles[role]) for role in kind.may_read if role in self.roles and role not in later]

    def missing(self, stage: str, needed: str) -> ConfigError:
        """A stage that needs what no stage before it has made."""
        there = ", ".join(dict.fromkeys(tensor.name.removeprefix(self.prefix) for tensor in self.roles.values()))
        expected = f"the tensor {needed!r} made before {stage} needs it"
        return ConfigError(self.key, stage, expected, f"there: {there}")

    def check_read(self, idle: Iterable[str]) -> None:
        """Every tensor but the last, and those that may be idle, is read."""
        may = {*idle, self.steps[-1].makes.name}
        for name, (got, why) in self.unread.items():
            if name not in may:
                raise ConfigError(self.key, got, f"a later stage that needs it: {why}, and nothing reads it")


def plan_chain(
    operation: Convolving,
    conv: Convolution,
    tensors: Mapping[str, Tensor],
    stages: Sequence[Stage],
    key: str = "lowering.stages",
    prefix: str = "",
    made: Iterable[str] = (),
) -> tuple[Step, ...]:
    """The steps of a convolution, or of its adjoint.

    Args:
        tensors: all that it has, by role.
        key: the config key that lists the stages.
        made: results that its input is already: the rows that go into a dense layer are columns.

    Raises:
        ConfigError: a stage whose input is missing, does not fit or is never used, with its place.
    """
    main, *sides = (role for role in operation.given if role in tensors)
    chain = Chain(key, prefix, {MAIN: tensors[main], **{role: tensors[role] for role in sides}}, names={*made})
    chain.unread = {tensors[role].name: (role, f"{role!r} is given") for role in (main, *sides)}
    links = [link for position, stage in enumerate(stages) for link in links_of(stage, conv, f"{key}[{position}]")]
    for position, (stage, kind, place) in enumerate(links):
        if kind.left_out(conv):
            continue
        later = [role for _, each, _ in links[position + 1 :] for role in each.reads if isinstance(role, str)]
        chain.add(stage, kind, conv, later, place)
    chain.check_read(tensors[role].name for role in operation.idle)
    check_asked(operation, {name for stage, kind, _ in links for name in {*kind.of(conv)} - {*dict(stage.settings)}})
    return tuple(chain.steps)


def links_of(stage: Stage, conv: Convolution, key: str) -> Iterator[tuple[Stage, type[Operation], str]]:
    """A stage with its kind of operation and its key, or those that stand in its place, the last with its settings."""
    kind = OPERATIONS.get(key, stage.op)
    *before, last = kind.instead(conv) or (stage.op,)
    for op in before:
        yield Stage(op), OPERATIONS.get(key, op), key
    yield replace(stage, op=last), OPERATIONS.get(key, last), key


def check_followed(columns: Columns, steps: Iterable[Step], hint: str = "") -> None:
    """Some stage takes what is said of how columns lie and are cut.

    Args:
        hint: of a lowering that has such a stage.

    Raises:
        ConfigError: none does.
    """
    followed = {name for step in steps for name in type(step.operation).follows}
    if columns.order != AS_USUAL.order and "order" not in followed:
        expected = f"{AS_USUAL.order}, as no stage of the chain has columns"
        raise ConfigError("lowering.order", columns.order, expected, hint)
    if columns.tile is not None and "tile" not in followed:
        tile = [*vars(columns.tile).values()]
        expected = "null, as no stage of the chain multiplies columns with filters"
        raise ConfigError("lowering.tile", tile, expected, hint)


def check_asked(operation: Convolving, taken: Container[str]) -> None:
    """A dtype or a rule for overflow that was asked for is one that some stage takes from the convolution."""
    for name, idle in (("dtype", None), ("overflow", "error")):
        asked = getattr(operation, name)
        if asked != idle and name not in taken:
            raise ConfigError(name, asked, f"{idle or 'nothing'}, as no stage of the chain takes it")


def check_usual(stage: Stage, kind: type[Operation], conv: Convolution, key: str) -> None:
    """What a stage says of its own is what counts for it, be it the default.

    Raises:
        ConfigError: the default, where the convolution says something else: the stage would take that.
    """
    if not stage.usual:
        return
    defaults = {entry.name: entry.default for entry in fields(kind)}
    for name in stage.usual:
        of_conv = kind.of(conv).get(name, defaults[name])
        if of_conv != defaults[name]:
            hint = "the other stages may have it each, and the convolution the default"
            expected = f"{of_conv}, as the convolution has it, or nothing"
            raise ConfigError(f"{key}.{stage.op}.{name}", defaults[name], expected, hint)


def complete(kind: type[Operation], settings: Mapping[str, Any], key: str) -> Operation:
    """An operation of these settings, in which none is missing."""
    for entry in fields(kind):
        if entry.default is MISSING and entry.name not in settings:
            raise ConfigError(f"{key}.{entry.name}", None, "a value for it")
    return kind(**settings)


def at_stage(error: ConfigError, stage: Stage, key: str) -> ConfigError:
    """A stage's complaint under its place in the chain; about a setting of the convolution, as it is."""
    if error.key in dict(stage.settings):
        return error.at({error.key: f"{key}.{stage.op}.{error.key}"})
    if error.key in OF_CONV or "." in error.key:  # a setting that is no stage's
        return error
    return ConfigError(key, stage.op, f"{error.expected}; it reads {error.got}", error.hint)
