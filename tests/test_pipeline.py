"""The loop over a plan's steps: lazy, timed, and holding no array longer than it is needed."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from convpipe.execution import pipeline
from convpipe.graph.plan import Plan
from convpipe.graph.step import Step
from convpipe.ops import Operation
from convpipe.tensors import Array, Tensor

FLOAT = np.dtype("float64")


def tensor(name: str) -> Tensor:
    return Tensor(name, (4,), FLOAT)


class Called(Operation):
    """A function as an operation."""

    function: Callable[..., Array]

    def run(self, *arrays: Array) -> Array:
        return self.function(*arrays)


def step(makes: str, *needs: str, run: Callable[..., Array]) -> Step:
    return Step(f"make_{makes}", "op", Called(function=run), needs, (), tensor(makes))


def chain(*steps: Step, given: tuple[str, ...] = ("x",)) -> Plan:
    return Plan(tuple(map(tensor, given)), steps)


def plus_one(x: Array) -> Array:
    return x + 1


def test_steps_run_in_order_on_what_they_need() -> None:
    plan = chain(
        step("a", "x", run=plus_one),
        step("b", "y", run=lambda y: 10 * y),
        step("c", "b", "a", run=lambda b, a: b - a),
        given=("x", "y"),
    )
    arrays = {"x": np.zeros(4), "y": np.ones(4)}
    results = list(pipeline.run(plan, arrays))
    assert [result.step.name for result in results] == ["make_a", "make_b", "make_c"]
    assert results[-1].array.tolist() == pipeline.output(plan, arrays).tolist() == [9.0] * 4
    assert set(arrays) == {"x", "y"}


def test_nothing_runs_before_it_is_asked_for() -> None:
    ran: list[str] = []

    def noted(name: str) -> Callable[[Array], Array]:
        return lambda x: ran.append(name) or x  # type: ignore[func-returns-value]

    results = pipeline.run(chain(step("a", "x", run=noted("a")), step("b", "a", run=noted("b"))), {"x": np.zeros(4)})
    assert ran == []
    next(results)
    assert ran == ["a"]
    results.close()
    assert list(results) == []
    assert ran == ["a"]


@pytest.mark.parametrize("repeats", [1, 3])
def test_every_repeat_is_timed(repeats: int) -> None:
    calls: list[int] = []
    plan = chain(step("a", "x", run=lambda x: calls.append(1) or x + 1))  # type: ignore[func-returns-value]
    (result,) = pipeline.run(plan, {"x": np.zeros(4)}, repeats)
    assert len(calls) == len(result.seconds) == repeats
    assert all(0 <= seconds < 10 for seconds in result.seconds)


def test_arguments_may_be_read_only_and_stay_as_they_are() -> None:
    x = np.arange(4.0)
    x.flags.writeable = False
    arrays = {"x": x}
    pipeline.output(chain(step("a", "x", run=plus_one), step("b", "a", run=plus_one)), arrays)
    assert arrays["x"] is x
    assert x.tolist() == [0, 1, 2, 3]


class Watched:
    """Arrays, and which of them are still alive."""

    def __init__(self) -> None:
        self.made: dict[str, weakref.ref[Array]] = {}
        self.alive: dict[str, list[str]] = {}

    def array(self, name: str) -> Array:
        array = np.zeros(4)
        self.made[name] = weakref.ref(array)
        return array

    def step(self, makes: str, *needs: str) -> Step:
        def run(*operands: Array) -> Array:
            self.alive[makes] = [name for name, array in self.made.items() if array() is not None]
            return self.array(makes)

        return step(makes, *needs, run=run)


@pytest.mark.parametrize("repeats", [1, 2])
def test_a_tensor_is_let_go_after_its_last_use(repeats: int) -> None:
    watched = Watched()
    plan = chain(
        watched.step("a", "x"),
        watched.step("b", "a", "w"),
        watched.step("c", "w"),
        watched.step("d", "c", "b"),
        watched.step("e", "d"),
        given=("x", "w"),
    )
    for result in pipeline.run(plan, {"x": watched.array("x"), "w": watched.array("w")}, repeats):
        del result
    assert watched.alive == {
        "a": ["x", "w"],
        "b": ["w", "a"],
        "c": ["w", "b"],
        "d": ["b", "c"],
        "e": ["d"],
    }
    gc.collect()
    assert not any(array() is not None for array in watched.made.values())


def test_the_output_of_a_run_is_all_that_stays() -> None:
    watched = Watched()
    plan = chain(watched.step("a", "x"), watched.step("b", "a"))
    made = pipeline.output(plan, {"x": watched.array("x")})
    gc.collect()
    assert [name for name, array in watched.made.items() if array() is not None] == ["b"]
    assert made is watched.made["b"]()


def test_an_error_of_a_step_comes_out_as_it_is() -> None:
    def fail(x: Array) -> Array:
        raise ZeroDivisionError("of this step")

    with pytest.raises(ZeroDivisionError, match="of this step"):
        pipeline.output(chain(step("a", "x", run=fail)), {"x": np.zeros(4)})


def test_a_tensor_that_is_not_given_is_an_error() -> None:
    with pytest.raises(KeyError, match="x"):
        pipeline.output(chain(step("a", "x", run=plus_one)), {})


def test_last_uses() -> None:
    steps: list[Any] = [step("a", "x", run=plus_one), step("b", "x", "a", run=plus_one), step("c", "b", run=plus_one)]
    assert Plan((), tuple(steps)).last_uses == {"x": 1, "a": 1, "b": 2}
