"""What a plan is made of: an operation that makes one tensor from others, and the key of its settings."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import cast

from convpipe.errors import ConfigError, ValueRangeError
from convpipe.ops import MAIN, Operation
from convpipe.ops.arrays.narrowing import Counts
from convpipe.ops.arrays.overflow import Overflow, check_rule
from convpipe.ops.kinds.operation import workspace_of
from convpipe.ops.kinds.quantised import QUANTITIES
from convpipe.ops.kinds.suiting import key_of
from convpipe.tensors import Array, Tensor

# Where a layer has what a single convolution has in the settings of a source.
OF_TENSORS = {"input.dtype": "inputs", "filters.dtype": "weights", "bias.dtype": "bias"}
Inputs = Sequence[tuple[str, Tensor]]  # tensors with the roles that they are read in


@dataclass(frozen=True)
class Step:
    """One operation of a plan: `run` makes the tensor `makes` of the tensors named in `needs`."""

    name: str
    op: str
    operation: Operation
    needs: tuple[str, ...]  # main tensors, and then
    sides: tuple[str, ...]  # those with a role of their own, which these are
    makes: Tensor
    macs: int = 0
    workspace: int = 0  # bytes it may allocate beside its result
    key: str = ""  # a layer's, under which its errors are put; "": they come out as they are
    rule: str = ""  # of a stage with a rule for overflow of its own: the key that this is under

    def run(self, *arrays: Array) -> Array:
        """The tensor's array, from those it needs.

        Raises:
            ConfigError, ValueRangeError: as `counted`.
        """
        return self.counted(*arrays)[0]

    def counted(self, *arrays: Array) -> tuple[Array, Counts | None]:
        """The tensor's array, from those it needs; and what rounding and narrowing did, of an operation that counts.

        Raises:
            ConfigError: values that the operation does not take.
            ValueRangeError: an exact sum that does not fit; of a layer, or where a stage has a rule of its own, that
                is a ConfigError.
        """
        mains, sides = arrays, dict[str, Array]()
        if self.sides:  # most steps have none
            count = len(arrays) - len(self.sides)
            mains, sides = arrays[:count], dict(zip(self.sides, arrays[count:], strict=True))
        try:
            if self.operation.counts:
                return self.operation.run_counted(*mains, **sides)
            return self.operation.run(*mains, **sides), None
        except ConfigError as error:
            raise under(self.key, self.operation, error.at(self.of_quant)) from error
        except ValueRangeError as error:
            key = self.rule or self.key
            if not key:
                raise
            setting = error.setting or ("overflow" if hasattr(self.operation, "overflow") else "op")
            got = error.got if error.setting else getattr(self.operation, setting, self.op)
            raise ConfigError(f"{key}.{setting}", got, "sums that fit", error.under(key)) from error

    @property
    def of_quant(self) -> dict[str, str]:
        """The keys of the numbers that a quantised convolution's stage reads, by their roles."""
        return {role: f"{self.rule.removesuffix('quant')}{key_of(role)}" for role in self.sides if role in QUANTITIES}


def plan_step(name: str, op: str, operation: Operation, inputs: Inputs, makes: str) -> Step:
    """An operation on its inputs as a step, which makes a tensor of that name.

    Raises:
        ConfigError: inputs that do not fit, under bare names of roles and settings.
    """
    mains = [tensor for role, tensor in inputs if role == MAIN]
    sides = {role: tensor for role, tensor in inputs if role != MAIN}
    made = operation.plan(*mains, **sides)
    if isinstance(overflow := getattr(operation, "overflow", None), str):
        check_rule(cast(Overflow, overflow), made.dtype)
    tensor = Tensor(makes, made.shape, made.dtype, made.axes)
    reads = (*mains, *sides.values())
    needs = tuple(each.name for each in reads)
    return Step(name, op, operation, needs, tuple(sides), tensor, made.macs, workspace_of(made, reads))


def under(key: str, operation: Operation, error: ConfigError) -> ConfigError:
    """An operation's complaint under the key its user typed: a setting's name, or what the operation reads."""
    if key and error.key in OF_TENSORS:
        return error.at({error.key: f"{key}.{OF_TENSORS[error.key]}"})
    if key and error.key.startswith("quant."):
        return error.at({error.key: f"{key}.{error.key}"})
    if not key or "." in error.key or error.key == "weights":  # of weights, there is no source
        return error
    is_setting = error.key in {entry.name for entry in fields(operation)}
    read = error.key in (MAIN, "input", "tensors") and not is_setting
    return error.at({error.key: f"{key}.{'inputs' if read else error.key}"})
