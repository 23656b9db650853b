"""Failures by their cause: the first are told as they come, all are counted at the end, and every row keeps its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cli_runs import Answer, convpipe
from sweep_cases import fast_folder, results

from convpipe.report.sweep import MOST_KINDS, SweepProgress
from convpipe.sweeps.causes import MOST_CAUSES, MOST_POINTS, Causes, kind_of
from convpipe.sweeps.outcomes import Done, Finished
from convpipe.sweeps.totals import MOST_LISTED

C = Path("r/c")


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder in memory."""
    with fast_folder() as folder:
        monkeypatch.chdir(folder)
        yield folder


def failure(error: str, number: int = 0, status: str = "failed") -> Done:
    return Done(C, f"{number:012x}", f"seed={number}", status, 0.1, None, error)


SAME = [
    ("conv.dtype: got int8, expected int16", "conv.dtype: got uint8, expected int16"),
    ("the exact sum 1731 does not fit", "the exact sum -9.5e+3 does not fit"),
    ("input.path: got a.npy, expected a file", "input.path: got of/b c.npy, expected a file"),
    ("/data/1/a.npy: no such file", "relative/b.npy: no such file"),
    ("a.npy is damaged", "b-2.npy is damaged"),
    ("r/c/0123456789ab: stage 'matmul' differs", "r/c/ba9876543210: stage 'matmul' differs"),
    ("run 0123456789ab is not there", f"run {'0f' * 32} is not there"),
]
DIFFERENT = [
    ("conv.dtype: got int8, expected int16", "conv.pad: got int8, expected int16"),
    ("x: got 1, expected a list", "x: got 1, expected a number"),
    ("stage 'conv1' differs", "stage 'conv2' differs"),  # a name, although it has a number
    ("unexpected KeyError: 'a'", "unexpected ValueError: 'a'"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_differs_between_points_is_no_cause(one: str, other: str) -> None:
    assert kind_of(one) == kind_of(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_other_causes_are_told_apart(one: str, other: str) -> None:
    assert kind_of(one) != kind_of(other)


def test_causes_are_counted() -> None:
    causes = Causes()
    for number in range(5):
        causes.add(failure(f"sum {number} does not fit", number))
    causes.add(failure("no file", 7))
    causes.add(failure("sum 1 does not fit", 8, "differs"))
    found = [(cause.count, cause.status, cause.text, cause.points) for cause in causes]
    assert found == [
        (5, "failed", "sum 0 does not fit", ["seed=0", "seed=1", "seed=2"][:MOST_POINTS]),
        (1, "failed", "no file", ["seed=7"]),
        (1, "differs", "sum 1 does not fit", ["seed=8"]),
    ]


def test_two_thousand_causes_take_little_room() -> None:
    causes = Causes()
    for number in range(2000):
        causes.add(failure(f"{'x' * 10_000}" if number < 2 else f"{chr(0x4E00 + number)} {'y' * 10_000}", number))
    assert len(list(causes)) == MOST_CAUSES
    assert sum(cause.count for cause in causes) + causes.others == 2000
    assert all(len(cause.text) < 1000 for cause in causes)


# As they come


class Printed:
    """A progress that writes its lines down."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.progress = SweepProgress(None, 0)
        self.progress.console.print = lambda line, **options: self.lines.append(line)  # type: ignore[method-assign]

    def tell(self, *errors: str) -> list[str]:
        for number, error in enumerate(errors):
            self.progress.show(Finished(failure(error, number)))
        return self.lines


def test_the_first_of_a_kind_are_told_and_then_that_there_are_more() -> None:
    errors = [f"sum {number} does not fit" for number in range(5137)]
    assert Printed().tell(*errors) == [
        *(f"failed: seed={number}: sum {number} does not fit" for number in range(MOST_LISTED)),
        "failed: more failures of this kind are counted, not listed",
    ]


def test_of_a_few_failures_each_is_told() -> None:
    lines = Printed().tell("one", "another", "one")
    assert lines == ["failed: seed=0: one", "failed: seed=1: another", "failed: seed=2: one"]


def test_failures_of_many_kinds_do_not_fill_the_screen() -> None:
    lines = Printed().tell(*(chr(0x4E00 + number) for number in range(2000)))
    assert lines[-1] == "failed: failures of more kinds are counted, not listed"
    assert len(lines) == MOST_KINDS + 1


# At the end


OVERFLOWING = ("-m", "root=r", "name=c", "input=integers", "filters=integers", "conv.dtype=int8", "input.low=0",
               "filters.low=1", "filters.high=2", "input.high=2,100", "seed=range(0,20)")  # fmt: skip


@pytest.mark.parametrize("how", [(), ("workers=2",), ("hydra/launcher=basic", "cluster.chunk=7")])
def test_a_sweep_tells_a_cause_once(how: tuple[str, ...], folder: Path) -> None:
    answer = convpipe(*OVERFLOWING, *how)
    assert answer.code == 1
    assert len(answer.err.splitlines()) == MOST_LISTED + 1
    (line,) = cause_lines(answer)
    pattern = r"20 failed: conv\.dtype: got int8, expected .* \((input\.high=100 seed=\d+, ){3}\.\.\.\)"
    assert re.fullmatch(pattern, line), line
    errors = [row["error"] for row in results(C) if row["status"] == "failed"]
    assert len(errors) == 20
    assert len(set(errors)) > 1  # the sum that does not fit is each point's own


def cause_lines(answer: Answer) -> list[str]:
    return [line for line in answer.out.splitlines() if re.match(r"[\d,]+ (failed|differs): ", line)]


def test_the_most_frequent_cause_comes_first(folder: Path) -> None:
    np.save("a.npy", np.full((1, 1, 3, 3), 30_000, np.int16))
    points = ["input.path,conv.dtype,seed", "a.npy,int16,0", *(f"a.npy,int8,{seed}" for seed in range(5))]
    Path("points.csv").write_text("\n".join(points) + "\n")
    words = ("-m", "root=r", "name=c", "input=npy", "filters=integers", "sweep.points=points.csv",
             "filters.low=5", "filters.high=6")  # fmt: skip
    answer = convpipe(*words)
    assert answer.code == 1, answer.err
    lines = cause_lines(answer)
    assert [line.partition(" ")[0] for line in lines] == ["5", "1"], answer.out + answer.err
