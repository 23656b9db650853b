"""What an accumulator of a target makes of the products of one cell, in Python's integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from convpipe.geometry.columns import ORDERS
from convpipe.ops.arrays.accumulating import step_order
from convpipe.ops.kinds.machine_numbers import pairs16, saturating, wrapped
from convpipe.ops.kinds.quantised import Accumulator
from convpipe.tensors import Sizes


@dataclass(frozen=True)
class Held:
    """The accumulator that a cell's sum is made in: how it counts, and how many channels and taps are added."""

    accumulator: Accumulator
    depth: int
    kernel: Sizes

    def whole(self, total: int) -> int:
        """A sum as the accumulator has it when it is done."""
        low, high = self.accumulator.limits
        if self.accumulator.overflow == "wrap":
            return wrapped(total, self.accumulator.bits)
        return max(low, min(total, high)) if self.accumulator.overflow == "saturate" else total

    def sum(self, factors: Sequence[tuple[int, int]], zero_points: tuple[int, int]) -> int:
        """The sum of products, channel by channel and tap by tap; pixels and weights are less their zero points."""
        order = step_order(self.depth, self.kernel, ORDERS[0], self.accumulator.order)
        pairs = [factors[place] for place in order]
        if self.accumulator.overflow == "pairs16":  # as they were, as x86 has it
            zx, zw = zero_points
            raw = pairs16([(x + zx) * (w + zw) for x, w in pairs])
            found: int = raw - zx * sum(w for _, w in pairs) - zw * sum(x + zx for x, _ in pairs)
            return found
        products, every = [x * w for x, w in pairs], self.accumulator.every
        if self.accumulator.at_end:
            return self.whole(sum(products))
        low, high = self.accumulator.limits
        if self.accumulator.overflow != "saturate":
            return sum(products)
        return saturating(products, low, high, 1 if every == "step" else int(every))
