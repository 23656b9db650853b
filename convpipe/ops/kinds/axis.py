"""Operations along one axis of what they read."""

from convpipe.errors import ConfigError
from convpipe.fields import field, whole
from convpipe.geometry.axes import axis_of
from convpipe.ops.kinds.operation import Made, Operation
from convpipe.tensors import Tensor


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

    axis: int = field(whole(), 1)

    def plan(self, x: Tensor) -> Made:
        """A tensor like `x`."""
        within_image(self.axis, len(x.shape))
        return super().plan(x)
