"""A feature map in the order in which the next layer reads it."""

from convpipe.geometry.axes import AXES, RANKS
from convpipe.ops import Array, Form, GeometryError, Made, Operation, Tensor, copied, like, variables


def channels_first(feature_map: Array) -> Array:
    """(N, out_h, out_w, F) as (N, F, out_h, out_w), the order in which the next layer reads it: a view."""
    return feature_map.transpose(0, -1, *range(1, feature_map.ndim - 1))


class Transpose(Operation):
    """(N, out_h, out_w, F) -> (N, C, H, W): channels first."""

    function = staticmethod(channels_first)
    linear = True
    moves = True

    def plan(self, x: Tensor) -> Made:
        """The last axis second."""
        rank = len(x.shape) - 2
        if rank not in RANKS:
            raise GeometryError("input", x.shape, "4 axes (N, H, W, C), or 3 or 5 with one or three spatial ones")
        return like(x, shape=(x.shape[0], x.shape[-1], *x.shape[1:-1]), axes=("N", "C", *AXES[rank]), workspace=0)

    def form(self, x: Tensor) -> Form:
        """The cell with its channel last."""
        own = variables(len(x.shape))
        return copied(len(own), (own[0], *own[2:], own[1]), x.shape)
