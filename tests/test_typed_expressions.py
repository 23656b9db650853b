"""Shapes and choices in expressions: as people write them, of runs and of points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cli_runs import convpipe

from convpipe.config.expressions import compile_expression

TABLE: dict[str, Any] = {"output_shape": "(1,5,5,4)", "length": "(7,)", "shape": (1, 2), "path": "(1).png"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("output_shape == (1,5,5,4)", True),
        ("(1, 5, 5, 4) == output_shape", True),
        ("output_shape == [1,5,5,4]", True),
        ('output_shape == "(1,5,5,4)"', True),
        ("output_shape != (1,5,5,4)", False),
        ("output_shape == (1,5,5,3)", False),
        ("output_shape in [(1,5,5,3), (1,5,5,4)]", True),
        ("output_shape not in [(1,5,5,3)]", True),
        ("output_shape[1] == 5 and output_shape[-1] == 4", True),
        ("len(output_shape) == 4 and max(output_shape) == 5", True),
        ("4 in output_shape and 6 not in output_shape", True),
        ("length == (7,)", True),
        ("shape == (1, 2) and shape == [1, 2]", True),
        ('path == "(1).png"', True),
        ("path == [1]", False),
    ],
)
def test_a_shape_compares_with_a_tuple(text: str, expected: bool) -> None:
    assert compile_expression("where", text)(TABLE) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('lowering == "implicit"', True),
        ('lowering in ["im2col", "implicit"]', True),
        ('input == "random"', True),
        ('conv == "conv_transpose"', True),
        ('cluster == "dask"', False),
    ],
)
def test_a_group_is_its_choice(text: str, expected: bool) -> None:
    chosen = {"lowering.stages": "implicit", "input.source": "random", "conv.operation": "conv_transpose"}
    assert compile_expression("where", text)({**chosen, "cluster.kind": "ray", "bias.source": "npy"}) is expected


def test_a_sweep_and_its_runs_are_chosen_by_lowering_and_shape(folder: Path) -> None:
    words = ("lowering=im2col,implicit", "conv.pad=0,1", "name=s")
    assert convpipe("-m", *words, 'where=lowering == "implicit"').out.endswith("2 done, 0 there before, 0 failed, "
        "2 left out by where: runs/s\n")  # fmt: skip
    for where, rows in (("output_shape == (1,4,4,1)", 1), ('lowering == "implicit"', 2), ('lowering == "im2col"', 0)):
        listed = convpipe("runs", "runs/s", "--where", where, "--format", "csv").out.splitlines()
        assert len(listed) == 1 + rows, where
