"""From a matrix back to images."""

from convpipe.ops import Array, ConvStage, GeometryError, Made, Sizes, Tensor


class Reshape(ConvStage):
    """product -> feature_map, in the lecture's order."""

    after = ("product",)
    result = "feature_map"

    def plan(self, x: Tensor) -> Made:
        """(N, out_h, out_w, F)."""
        sizes = self.conv.sizes
        if x.shape != sizes.product_shape:
            raise GeometryError("x", x.shape, f"a product of the shape {sizes.product_shape}")
        return Made(sizes.feature_map_shape, x.dtype, sizes.feature_map_axes, workspace=0)

    def run(self, x: Array) -> Array:
        """`reshape`."""
        return reshape(x, self.conv.sizes.feature_map_shape)


def reshape(product: Array, shape: Sizes) -> Array:
    """Give the product of columns and filters the shape of images again.

    Args:
        product: (N*out_h*out_w, F), any dtype, which the result keeps.
        shape: (N, out_h, out_w, F).

    Returns:
        (N, out_h, out_w, F): a view, whichever way `product` lies in memory.

    >>> import numpy as np
    >>> reshape(np.zeros((25, 6)), (1, 5, 5, 6)).shape
    (1, 5, 5, 6)
    """
    filter_first = product.T.reshape(shape[-1], *shape[:-1]) if product.flags.f_contiguous else None
    if filter_first is None:
        return product.reshape(shape)
    return filter_first.transpose(*range(1, len(shape)), 0)  # (N, out_h, out_w, F)
