"""The registry of lowerings, and the chains of stages that it accepts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from convpipe import geometry, lowerings, reference
from convpipe.errors import ConfigError
from convpipe.execution.functions import conv
from convpipe.lowerings import LOWERINGS, STAGES, Convolution

IM2COL = ["pad", "im2col", "fil2col", "matmul", "reshape"]


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """The registry is as it was after each test."""
    before = dict(LOWERINGS)
    yield
    LOWERINGS.clear()
    LOWERINGS.update(before)


def a_convolution(bias: bool = False) -> Convolution:
    dtype = np.dtype("int16")
    return Convolution(geometry.solve((1, 2, 5, 5), (3, 2, 2, 2)), dtype, dtype, dtype if bias else None)


@pytest.mark.parametrize("name", [*LOWERINGS, "auto"])
@pytest.mark.parametrize("bias", [False, True])
def test_every_lowering_is_a_whole_chain(name: str, bias: bool) -> None:
    steps = lowerings.lower(a_convolution(bias), lowerings.get(name))
    assert steps[-1].makes.name == "feature_map"
    assert steps[-1].makes.shape == (1, 4, 4, 3)
    assert sum(step.macs for step in steps) == 1 * 4 * 4 * 3 * 2 * 2 * 2
    assert [step.name for step in steps] == list(lowerings.get(name))


def test_auto_makes_no_columns_on_its_way() -> None:
    assert lowerings.get("auto") == ("pad", "implicit_gemm")


def test_there_is_no_such_lowering() -> None:
    with pytest.raises(ConfigError, match=r"lowering: got im2cl, expected one of auto, im2col.* \(did you mean im2col"):
        lowerings.get("im2cl")


@pytest.mark.parametrize("name", ["im2col", "auto"])
def test_a_name_is_taken_once(name: str) -> None:
    with pytest.raises(ConfigError, match=f"lowering: got {name}, expected a name that is not taken"):
        lowerings.register(name, IM2COL)


def test_a_lowering_is_made_of_stages_there_are() -> None:
    with pytest.raises(ConfigError, match=r"stages: got matmull, expected one of .* \(did you mean matmul\?\)"):
        lowerings.register("mine", ["pad", "matmull"])
    assert "mine" not in LOWERINGS


def test_a_registered_lowering_is_used_by_its_name() -> None:
    lowerings.register("shuffled", ["fil2col", "pad", "im2col", "matmul", "reshape"])
    x, w = np.arange(32).reshape(1, 2, 4, 4), np.arange(8).reshape(1, 2, 2, 2)
    assert conv(x, w, lowering="shuffled").tolist() == reference.conv(x, w).tolist()


@pytest.mark.parametrize(
    ("stages", "match"),
    [
        (["pad", "im2col", "matmul", "reshape"], "got matmul, expected the tensor 'filter_matrix' made before"),
        (["im2col", "fil2col", "matmul", "reshape"], "got im2col, expected the tensor 'padded' made before im2col"),
        (["pad", "pad", "im2col", "fil2col", "matmul", "reshape"], "got pad, expected a tensor of its own; 'padded'"),
        (["pad", "implicit_gemm", "fil2col"], "'feature_map', and nothing reads it"),
        (["pad", "fil2col", "implicit_gemm"], "got fil2col, expected a later stage that needs it"),
        (["fil2col"], "got input, expected a later stage that needs it: 'input' is given, and nothing reads it"),
        (["pad", "im2col", "fil2col", "matmul"], "got matmul, expected a last stage that makes 'feature_map', not"),
        ([], r"got \[\], expected at least one stage"),
    ],
)
def test_a_chain_that_is_not_whole_is_refused(stages: list[str], match: str) -> None:
    with pytest.raises(ConfigError, match=rf"lowering\.stages: .*{match}"):
        lowerings.lower(a_convolution(), stages)


@pytest.mark.parametrize(
    ("stages", "match"),
    [
        (["pad", "im2cl"], r"lowering\.stages\[1\]: got im2cl, expected one of pad, im2col.*did you mean im2col"),
        (["__import__"], r"lowering\.stages\[0\]: got __import__, expected one of "),
    ],
)
def test_an_unknown_stage_is_named_with_its_place(stages: list[str], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        lowerings.lower(a_convolution(), stages)


@pytest.mark.parametrize(
    ("lowering", "needs"),
    [("im2col", ("columns", "filter_matrix", "bias")), ("implicit", ("padded", "filters", "bias"))],
)
def test_the_product_reads_the_bias(lowering: str, needs: tuple[str, ...]) -> None:
    made = lowerings.lower(a_convolution(bias=True), lowerings.get(lowering))
    assert [step.needs for step in made if "bias" in step.needs] == [needs]


def test_a_bias_that_no_stage_reads_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    matmul = STAGES["matmul"]
    monkeypatch.setitem(STAGES, "matmul", lambda conv: matmul(replace(conv, bias=None)))
    with pytest.raises(
        ConfigError, match=r"lowering\.stages: got bias, expected a later stage that needs it: 'bias' is"
    ):
        lowerings.lower(a_convolution(bias=True), IM2COL)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_names_what_it_needs_and_makes(name: str) -> None:
    step = STAGES[name](a_convolution())
    assert step.needs
    assert step.makes.name not in step.needs
    assert len(step.makes.axes) == len(step.makes.shape)
    assert step.workspace >= 0
    assert step.macs >= 0
