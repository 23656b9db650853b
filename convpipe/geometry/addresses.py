"""Where cells lie in memory: layouts by name, and the address of each cell, counted in cells."""

from dataclasses import dataclass

import numpy as np

from convpipe.tensors import Array, Sizes

# Layouts of images and of filters by the letters of their axes, the one whose cells are neighbours last. HW stands
# for all spatial axes, however many there are, in their order.
IMAGE_LAYOUTS = ("NCHW", "NHWC")
FILTER_LAYOUTS = ("OIHW", "OHWI", "HWIO", "IHWO")


def order_of(layout: str, axes: int) -> Sizes:
    """How numpy.transpose brings an array of so many axes, (N, C, ...) or (O, I, ...), into a layout.

    >>> order_of("NHWC", 4), order_of("HWIO", 4), order_of("NHWC", 3)
    ((0, 2, 3, 1), (2, 3, 1, 0), (0, 2, 1))
    """
    places = {"N": (0,), "O": (0,), "C": (1,), "I": (1,), "H": tuple(range(2, axes)), "W": ()}
    return tuple(place for letter in layout for place in places[letter])


@dataclass(frozen=True)
class Cells:
    """Some cells of an array of at least two axes, one after another in C order, and where a layout has them."""

    shape: Sizes
    order: Sizes  # of its axes in the layout
    start: int
    stop: int

    @property
    def places(self) -> tuple[Array, ...]:
        """The places along each axis, int64.

        >>> [place.tolist() for place in Cells((2, 3), (1, 0), 2, 5).places]
        [[0, 1, 1], [2, 0, 1]]
        """
        return tuple(np.unravel_index(np.arange(self.start, self.stop), self.shape))

    @property
    def addresses(self) -> Array:
        """The addresses in the layout, int64.

        >>> Cells((2, 3), (1, 0), 0, 6).addresses.tolist()
        [0, 2, 4, 1, 3, 5]
        """
        return self.counted(self.order)

    @property
    def inside(self) -> Array:
        """The addresses within the image, or filter, in which each cell is: all its axes but the first."""
        return self.counted(tuple(axis for axis in self.order if axis != 0))

    def counted(self, order: Sizes) -> Array:
        """The addresses in an array that has these axes alone, in this order."""
        if order == tuple(range(len(self.shape))):
            return np.arange(self.start, self.stop)
        places = self.places
        found = np.zeros(self.stop - self.start, np.int64)
        for axis in order:
            found *= self.shape[axis]
            found += places[axis]
        return found
