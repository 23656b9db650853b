"""The last step: from a matrix back to images."""

from __future__ import annotations

from convpipe.tensors import Array, Sizes


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


def channels_first(feature_map: Array) -> Array:
    """(N, out_h, out_w, F) as (N, F, out_h, out_w), the order in which the next layer reads it: a view."""
    return feature_map.transpose(0, -1, *range(1, feature_map.ndim - 1))
