"""The forms of means that are whole numbers: a window's sum, what it is rounded down, whether it goes one up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from convpipe.geometry.windows import Windows
from convpipe.ops.kinds.forms import Form, windowed
from convpipe.ops.kinds.formulas import formula

UP, ABOVE = "floor + (2 * rest >= cells)", "floor + (2 * rest >= cells + 1)"  # from the half on, and only above it
FORMULAS: Mapping[str, str] = {
    "floor": "total // cells",
    "zero": "-(-total // cells) if total < 0 else floor",
    "half_up": UP,
    "half_down": ABOVE,
    "half_away": f"{ABOVE} if total < 0 else {UP}",
    "half_zero": f"{UP} if total < 0 else {ABOVE}",
    "half_even": "floor + (2 * rest >= cells + 1 - (floor & 1))",
    "half_odd": "floor + (2 * rest >= cells + (floor & 1))",
    "odd": "floor + (rest >= 1) * (1 - (floor & 1))",
}
BEFORE = {"total": "sum(x)", "cells": "count(x)", "floor": "total // cells", "rest": "total - floor * cells"}


def whole_mean(sizes: Windows, padded: bool, mode: str, zero_point: int | None = None) -> Form:
    """A form of the mean of a window, rounded; of its padding too, where that is `padded` and holds the zero point."""
    holds: dict[str, Any] = {"padding": zero_point} if padded and zero_point else {}
    return replace(
        windowed(FORMULAS[mode], sizes, padded, **holds),
        before=tuple((name, formula(text)) for name, text in BEFORE.items()),
        steps=(("total", "sum"), ("floor", "rounded down")),
    )
