"""Sums in an accumulator of a target as formulas: what it cannot hold, when that counts, and in which order."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from convpipe.geometry.columns import ORDERS
from convpipe.ops.kinds.forms import Form
from convpipe.ops.kinds.formulas import formula
from convpipe.ops.kinds.places import Place, variables
from convpipe.ops.kinds.quantised import Accumulator, Quant
from convpipe.tensors import Sizes


def held_text(text: str, accumulator: Accumulator) -> str:
    """A whole sum as the accumulator has it, given its formula.

    >>> held_text("x + bias", Accumulator(bits=16, overflow="wrap"))
    'wrap16(x + bias)'
    """
    if accumulator.overflow == "wrap":
        return f"wrap{accumulator.bits}({text})"
    return f"min(max({text}, least), most)" if accumulator.overflow == "saturate" else text


def terms_text(accumulator: Accumulator, terms: str = "x * w") -> str:
    """The sum of terms, by default products of centred columns and weights, as a formula."""
    if accumulator.overflow == "pairs16":  # which are added as they were, and what zero points add is taken off
        return "pairs16((x + zx) * (w + zw)) - zx * sum(w) - zw * sum(x + zx)"
    if accumulator.at_end:
        return held_text(f"sum({terms})", accumulator)
    return f"saturating({terms}, least, most, every)" if accumulator.overflow == "saturate" else f"sum({terms})"


def held_form(form: Form, text: str, accumulator: Accumulator, count: int = 1, quant: Quant | None = None) -> Form:
    """A form whose formula is another, of so many terms, in an accumulator."""
    least, most = accumulator.limits
    every = {"step": 1, "end": count}.get(str(accumulator.every), accumulator.every)
    constants = {"least": least, "most": most, "every": every, "zx": quant.input.zero_point if quant else 0}
    lists = (("zw", 1, quant.filters.zero_points if quant else (0,)),)
    return replace(form, formula=formula(text), constants=(*form.constants, *constants.items()), lists=lists)


def stepped(rank: int, channels: int, kernel: Sizes, lying: str, wanted: str) -> tuple[Place, tuple[int, ...]]:
    """Where the terms lie that are added one after the other, and the loops that go there; see `step_order`."""
    taps = prod(kernel)
    if lying == wanted:
        [place] = variables(1, rank)
        return place, (channels * taps,)
    outer, inner = variables(2, rank)
    if lying == ORDERS[0]:
        return inner * taps + outer, (taps, channels)
    return inner * channels + outer, (channels, taps)
