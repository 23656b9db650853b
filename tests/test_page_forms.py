"""The page's modules say of every cell what Python says of it, to the letter."""

from __future__ import annotations

import json
import math
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from form_cases import Case, chain_cases, layer_cases

from convpipe.ops.kinds.forms import Form
from convpipe.ops.kinds.formulas import short
from convpipe.tensors import Sizes

HERE = Path(__file__).parent
MODULES = sorted((HERE.parent / "convpipe/report/page").glob("*.mjs"))
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="node is not on this machine")


def node(*words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    assert NODE is not None
    return subprocess.run([NODE, *words], input=given, capture_output=True, text=True, check=False)


def answers(questions: list[dict[str, Any]]) -> list[Any]:
    """What the page's modules say."""
    done = node(str(HERE / "page/answers.mjs"), given=json.dumps(questions, allow_nan=False))
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


def told(value: Any) -> Any:
    """A number as `answers.mjs` reads it."""
    return str(value) if isinstance(value, int) else [*struct.pack("<d", value)]


# Numbers


def numbers() -> list[Any]:
    """Numbers of all sizes, and those whose seventh digit is a half."""
    draw = np.random.default_rng(1)
    found: list[Any] = [
        0.0,
        -0.0,
        math.inf,
        -math.inf,
        math.nan,
        5e-324,
        1.7976931348623157e308,
        2**63,
        -(2**53) - 1,
        7,
    ]
    found += struct.unpack("<2000d", draw.bytes(16000))
    found += [(draw.integers(100000, 1000000) + 0.5) * 2.0 ** draw.integers(-3, 4) for _ in range(500)]
    found += [draw.integers(1, 10**7) / 10 ** draw.integers(0, 12) for _ in range(500)]
    found += [10.0**power for power in range(-20, 20)] + [10.0**power - 10.0 ** (power - 7) for power in range(-20, 20)]
    return [value if isinstance(value, int) else float(value) for value in found]


@needs_node
def test_numbers_are_written_as_python_writes_them() -> None:
    values = numbers()
    [found] = answers([{"kind": "short", "values": [told(value) for value in values]}])
    assert found == [short(value) for value in values]


# Forms


def places(shape: Sizes, draw: np.random.Generator, count: int) -> Iterator[Sizes]:
    """Some cells, a first and a last one among them."""
    if all(shape):
        yield from {(0,) * len(shape), tuple(size - 1 for size in shape)}
        yield from (tuple(int(draw.integers(size)) for size in shape) for _ in range(count))


def question(form: Form, at: Sizes, value_at: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is asked of the page, and what it has to say."""
    values, names = dict[str, Any](), dict[Any, str]()
    reads = form.cells(at)
    for read in reads:
        names[read.input] = f"layer_{read.input}"
        values |= {
            f"{read.input}:{','.join(map(str, c))}": told(value_at(read.input, c)) for c in read.cells if c is not None
        }
    facts = json.loads(json.dumps(form.facts(), allow_nan=False))
    said = [
        {"name": r.name, "input": r.input, "cells": [c and list(c) for c in r.cells], "padding": list(r.padding)}
        for r in reads
    ]
    asked = {"kind": "form", "form": facts, "at": at, "values": values, "names": names}
    text, result = form.text(at, value_at, lambda source: names[source]), short(form.value(at, value_at))
    return asked, {"reads": said, "text": text, "result": result}


def questions() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Cells of every operation, on whole numbers and on floats of any digits."""
    draw = np.random.default_rng(2)
    for seed in range(2):
        for case in layer_cases(seed):
            for at in places(case.made.shape, draw, 4):
                yield str(case), *question(case.form, at, case.at)
                yield str(case), *question(case.form, at, noisy(case))
    for each in chain_cases():
        for case in each.stages():
            for at in places(case.made.shape, draw, 1):
                yield str(case), *question(case.form, at, case.at)
        for at in places(each.result.shape, draw, 2):
            by_role = lambda role, cell, arrays=each.arrays: arrays[role][cell].item()  # noqa: E731
            yield str(each.operation), *question(each.form, at, by_role)


def noisy(case: Case) -> Any:
    """Values of many digits in place of those of a case, by their cells; among them NaN and infinity."""
    odd = {3: math.nan, 11: math.inf, 19: -math.inf, 27: -0.0}

    def value_at(source: int | str, cell: Sizes) -> float:
        number = hash((str(source).encode()[-1], cell)) % 997
        return odd.get(number, math.sin(number) * 10.0 ** (number % 7 - 3))

    return value_at


@needs_node
def test_the_page_says_of_every_cell_what_python_says() -> None:
    asked = list(questions())
    found = answers([each for _, each, _ in asked])
    assert len(asked) > 2000
    for (case, _, expected), answer in zip(asked, found, strict=True):
        assert answer == expected, case
