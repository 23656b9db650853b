"""Every operation says how its cells come about, and what it says comes to what it makes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from column_cases import lying_cases
from form_cases import Case, ChainCase, chain_cases, layer_cases
from quantised_forms import quantised_cases

from convpipe.ops import OPERATIONS
from convpipe.ops.arrays.bounds import Bounded
from convpipe.ops.kinds.convolving import Convolving
from convpipe.tensors import Array


@cache
def layers() -> tuple[Case, ...]:
    return tuple(layer_cases())


@cache
def chains() -> tuple[ChainCase, ...]:
    return tuple(chain_cases())


def cases() -> Iterator[Case]:
    """All layers and all stages."""
    yield from layers()
    for each in chains():
        yield from each.stages()
    yield from quantised_cases()
    yield from lying_cases()


def allowed(case: Case) -> Array:
    """How far what is made may be from the formula: by the operation's own rule, and half a unit in the last place."""
    if case.made.dtype.kind != "f":
        return np.zeros(case.made.shape)
    mains = [Bounded.exactly(x) for x in case.mains]
    sides = {role: Bounded.exactly(x) for role, x in case.sides.items()}
    error = case.operation.error(case.made, *mains, **sides)
    assert error is not None
    return 2 * error + np.spacing(np.abs(case.made)).astype(np.float64) / 2


def check_values(case: Case) -> None:
    """The formula of each cell comes to that cell."""
    bounds = allowed(case)
    for at in np.ndindex(case.made.shape):
        found, made = case.form.value(at, case.at), case.made[at].item()
        if not isinstance(found, float) and math.isfinite(made):
            assert abs(found - Fraction(made)) <= Fraction(float(bounds[at])), (str(case), at, float(found), made)
        else:
            assert np.array_equal(float(found), made, equal_nan=True), (str(case), at, found, made)


@pytest.mark.parametrize("number", range(len(layers())))
def test_the_form_of_a_layer_comes_to_what_it_makes(number: int) -> None:
    check_values(layers()[number])


def test_the_form_of_a_stage_comes_to_what_it_makes() -> None:
    for each in chains():
        for case in each.stages():
            check_values(case)


def test_the_form_of_a_convolution_comes_to_its_result() -> None:
    checked = set()
    for each in chains():
        for at in np.ndindex(each.result.shape):
            found = each.form.value(at, lambda role, cell, arrays=each.arrays: arrays[role][cell].item())
            assert found == each.result[at], (str(each.operation), at)
        checked.add(type(each.operation))
    assert len(checked) == 5


def test_every_operation_has_a_form_that_is_checked() -> None:
    checked = {case.op for case in cases()}
    for name in OPERATIONS.ours():
        kind = OPERATIONS.get("op", name)
        if issubclass(kind, Convolving):
            assert kind in {type(each.operation) for each in chains()}
        else:
            assert name in checked | {"add_bias"}, name
