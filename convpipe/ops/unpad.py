"""The padding of a batch taken back: the adjoint of `pad`."""

from convpipe.ops import Array, Made, Tensor, UnpadStage
from convpipe.ops.arrays.adjoints import unpad


class Unpad(UnpadStage):
    """padded_sums -> grad_input."""

    result = "grad_input"
    called = "gradient of the input"

    def plan(self, x: Tensor) -> Made:
        """(N, C, H, W)."""
        return Made(self.conv.sizes.input_shape, self.target, x.axes, workspace=self.memory)

    def run(self, x: Array) -> Array:
        """`unpad`."""
        conv = self.conv
        return unpad(x, pads=conv.sizes.pads, mode=conv.operation.pad_mode, dtype=self.target, overflow=self.overflow)
