"""Legal poolings for Hypothesis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from conv_cases import forms
from hypothesis import strategies as st

from convpipe.geometry.pooling import PoolGeometry, solve_pool


@dataclass(frozen=True)
class PoolCase:
    """One legal pooling; `settings` are the keyword arguments of `max_pool`."""

    input_shape: tuple[int, ...]
    settings: dict[str, Any]

    @property
    def sizes(self) -> PoolGeometry:
        """The geometry under test."""
        return solve_pool(self.input_shape, **self.settings)


@st.composite
def pool_cases(draw: st.DrawFn, *, dilated: bool = True) -> PoolCase:
    """Poolings of one to three axes: strides, dilations, every form of padding, overhangs, empty batches."""
    rank = draw(st.integers(1, 3))
    largest = 4 if rank < 3 else 2
    per_axis = st.lists(st.integers(1, largest), min_size=rank, max_size=rank)
    kernel, strides = draw(per_axis), draw(st.none() | per_axis)
    dilation = draw(per_axis) if dilated and draw(st.booleans()) else [1] * rank
    ceil_mode = draw(st.booleans())
    spans = [step * (taps - 1) + 1 for taps, step in zip(kernel, dilation, strict=True)]
    pad, padded = draw(pool_pads(kernel, spans))
    slack = [stride - 1 if ceil_mode else 0 for stride in strides or kernel]
    least = [max(1, span - more - free) for span, more, free in zip(spans, padded, slack, strict=True)]
    if pad in ("same", "same_lower"):
        least = [1] * rank
    spatial = [draw(st.integers(size, size + 6 - rank)) for size in least]
    settings = {
        "kernel": draw(forms(kernel)),
        "stride": None if strides is None else draw(forms(strides)),
        "pad": pad,
        "dilation": draw(forms(dilation)),
        "ceil_mode": ceil_mode,
    }
    return PoolCase((draw(st.sampled_from([1, 2, 0])), draw(st.integers(1, 2)), *spatial), settings)


@st.composite
def pool_pads(draw: st.DrawFn, kernel: list[int], spans: list[int]) -> tuple[Any, list[int]]:
    """A padding in one of the ways to write it, and how many cells it adds to each axis (for a word: not known yet)."""
    form = draw(st.sampled_from(["number", "axes", "sides", "valid", "same", "same_lower"]))
    if form == "number":
        number = draw(st.integers(0, min(kernel) // 2))
        return number, [2 * number] * len(kernel)
    if form == "axes":
        numbers = [draw(st.integers(0, taps // 2)) for taps in kernel]
        return numbers, [2 * number for number in numbers]
    if form == "sides":
        pairs = [(draw(st.integers(0, span - 1)), draw(st.integers(0, span - 1))) for span in spans]
        return pairs, [sum(pair) for pair in pairs]
    return form, [0] * len(kernel)
