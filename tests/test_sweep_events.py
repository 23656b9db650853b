"""The engine of sweeps tells what happens and prints nothing; however it ends, what has run is in the books."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_cases import hidden
from sweep_cases import collected, events, fast_folder, results, statuses

from convpipe.archive.collection import run_names
from convpipe.errors import UsageError
from convpipe.graph.memo import Memo
from convpipe.sweeps import clusters, points
from convpipe.sweeps.composer import Composer
from convpipe.sweeps.events import Closed, Event, Planned
from convpipe.sweeps.outcomes import FailedBefore, Finished, There

SMALL = ("root=r", "name=c", "experiment=lecture_4d")
C = Path("r/c")
# Two of three points fail: their sums do not fit.
FAILING = ("root=r", "name=c", "input=integers", "filters=integers", "conv.dtype=int8", "input.low=0", "filters.low=1",
           "filters.high=2", "input.high=2,100,101")  # fmt: skip
NOTHING_KEPT, A_FEW_KEPT = 0, 6 * points.POINT_BYTES


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder in memory."""
    with fast_folder() as folder:
        monkeypatch.chdir(folder)
        yield folder


def kinds(found: Sequence[Event]) -> list[str]:
    return [type(event).__name__ for event in found]


# What is told


def test_a_sweep_is_told_and_not_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = list(events(*FAILING))
    assert kinds(first) == ["Planned", "Finished", "Finished", "Finished", "Closed"]
    planned, closed = first[0], first[-1]
    assert isinstance(planned, Planned)
    assert isinstance(closed, Closed)
    assert (planned.totals.points, planned.folders, planned.dry_run) == (3, (C,), False)
    outcomes = [event.outcome for event in first if isinstance(event, Finished)]
    assert [(one.overrides, one.status, bool(one.error)) for one in outcomes] == [
        ("input.high=2", "done", False),
        ("input.high=100", "failed", True),
        ("input.high=101", "failed", True),
    ]
    assert (closed.tally.done, closed.tally.failed, closed.tally.exit_code) == (1, 2, 1)
    again = list(events(*FAILING))
    which = [(each.folder, each.run, each.number, each.label, each.overrides) for each in outcomes]
    assert [each.number for each in outcomes] == [1, 2, 3]
    assert again[1:4] == [There(*which[0]), FailedBefore(*which[1]), FailedBefore(*which[2])]
    assert capsys.readouterr() == ("", "")


def test_a_dry_run_is_only_planned(folder: Path) -> None:
    (planned,) = events(*SMALL, "seed=1,2", "dry_run=true")
    assert isinstance(planned, Planned)
    assert (planned.dry_run, planned.totals.points, planned.totals.to_run) == (True, 2, 2)
    assert list(folder.iterdir()) == []


def test_a_bad_point_is_refused_before_anything_is_told(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"^seed=-1: seed: got -1"):
        next(events(*SMALL, "seed=1,-1"))


def test_what_has_run_is_in_the_index_when_it_is_told(folder: Path) -> None:
    for event in events(*SMALL, "seed=range(0,5)"):
        if isinstance(event, Finished):
            assert event.outcome.run in (C / ".index.jsonl").read_text()


# However it ends


def stopped(told: Generator[Event], after: int, end: Callable[[Generator[Event]], object]) -> None:
    """Look on at a sweep until so many points have run, then end it."""
    for event in told:
        after -= isinstance(event, Finished)
        if not after:
            break
    end(told)


def thrown(error: BaseException) -> Callable[[Generator[Event]], object]:
    """Throw an error where the sweep waits for whoever looks on."""

    def end(told: Generator[Event]) -> None:
        with pytest.raises(type(error)):
            told.throw(error)

    return end


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("end", [Generator.close, thrown(KeyboardInterrupt()), thrown(ValueError("of a display"))])
def test_the_books_are_kept_whoever_stops_it(end: Any, workers: int, folder: Path) -> None:
    stopped(events(*SMALL, "seed=range(0,400)", f"workers={workers}"), 3, end)
    there = run_names(C)
    assert 3 <= len(there) < 400
    assert sorted(row["run"] for row in results(C)) == there
    assert hidden(C) == []
    assert list(events(*SMALL, "seed=range(0,400)"))
    assert statuses(C) == {"done": 400}


def test_what_points_run_within_ends_before_the_sweep_is_on_record(folder: Path) -> None:
    told: list[object] = []

    @contextmanager
    def watch(folders: Sequence[Path]) -> Iterator[None]:
        told.append(tuple(folders))
        yield
        told.append((C / "sweeps").exists())

    def watched(*words: str) -> list[object]:
        told.clear()
        list(events(*SMALL, *words, watch=watch))
        return told

    assert watched("seed=1,2") == [(C,), False]
    assert watched("seed=1,2", "workers=2") == []
    assert watched("seed=1,2", "dry_run=true") == []


# Each point is composed and planned once


def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often points are composed and described from now on."""
    calls = {"composed": 0, "described": 0}

    def counting(name: str, call: Any) -> Any:
        def counted(*given: Any) -> Any:
            calls[name] += 1
            return call(*given)

        return counted

    monkeypatch.setattr(Composer, "compose", counting("composed", Composer.compose))
    monkeypatch.setattr(points, "describe", counting("described", points.describe))
    return calls


def test_each_point_is_composed_and_described_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = counted(monkeypatch)
    list(events(*SMALL, "seed=range(0,30)", "conv.stride=1,2"))
    assert calls == {"composed": 60, "described": 60}


@pytest.mark.parametrize(("most", "kept"), [(NOTHING_KEPT, 0), (A_FEW_KEPT, 6)])
def test_what_is_not_kept_is_made_once_more(
    most: int, kept: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("seed=range(0,20)", "where='seed > 2'")
    assert len(list(events(*SMALL, *words, "root=alone"))) == 17 + 2
    monkeypatch.setattr(points, "MOST_KEPT_BYTES", most)
    monkeypatch.setattr(points, "PLAN_BYTES_A_STEP", 0)
    calls = counted(monkeypatch)
    told = list(events(*SMALL, *words))
    assert calls["described"] == 17
    assert calls["composed"] == 40 - (kept + 3 if kept else 0)
    assert len(told) == 17 + 2
    assert collected(C) == collected(Path("alone/c"))


@pytest.mark.parametrize("workers", [1, 2])
def test_impossible_points_are_passed_over_kept_or_not(
    workers: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("filters.kernel=1,9,2", "conv.pad=0,1", "invalid=skip", f"workers={workers}")
    for most, root in ((NOTHING_KEPT, "r"), (1 << 20, "alone")):
        monkeypatch.setattr(points, "MOST_KEPT_BYTES", most)
        closed = list(events(*SMALL, *words, f"root={root}"))[-1]
        assert isinstance(closed, Closed)
        assert (closed.tally.done, closed.totals.impossible, closed.tally.not_run(closed.totals)) == (4, 2, 0)
    assert collected(C) == collected(Path("alone/c"))


@pytest.mark.parametrize("most", [NOTHING_KEPT, 1 << 20])
def test_a_file_that_goes_after_the_check_is_its_points_failure(
    most: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(points, "MOST_KEPT_BYTES", most)
    for number, name in enumerate("abc"):
        np.save(f"{name}.npy", np.full((1, 1, 3, 3), number, np.int16))
    told = events("root=r", "name=c", "input=npy", "input.path=a.npy,b.npy,c.npy", "filters=integers")
    next(told)
    Path("b.npy").unlink()
    found = [event.outcome for event in told if isinstance(event, Finished)]
    assert [(one.overrides, one.status) for one in found] == [
        ("input.path=a.npy", "done"), ("input.path=b.npy", "failed"), ("input.path=c.npy", "done"),
    ]  # fmt: skip
    assert "b.npy" in found[1].error
    assert statuses(C) == {"done": 2, "failed": 1}


# Memo


def test_equal_values_are_not_the_same_thing() -> None:
    memo = Memo()
    for value, kind in ((1, int), (1.0, float), (True, bool), (1, int)):
        assert memo.each("kind", {"a": value}, lambda name, thing: type(thing)) == {"a": kind}
        assert memo.of_same("kind", [value], lambda value=value: type(value)) is kind  # type: ignore[misc]
    assert memo.each("other", {"a": 1}, lambda name, thing: "other") == {"a": "other"}


def test_a_recipe_is_the_same_where_it_is_equal() -> None:
    memo, made = Memo(), []
    for recipe in ((1, "a"), (1, "a"), (2, "a"), (1, "a")):
        memo.of_equal("array", recipe, lambda recipe=recipe: made.append(recipe))  # type: ignore[misc]
    assert made == [(1, "a"), (2, "a"), (1, "a")]


# Clusters


def test_every_kind_of_cluster_is_a_file_of_its_own() -> None:
    found = sorted(path.stem for path in Path(clusters.__file__).parent.glob("[a-z]*.py"))
    assert found == ["dask", "ray"]
    for kind in found:
        pool: AbstractContextManager[Any] = clusters.named(kind)("nowhere:1")
        assert hasattr(pool, "__enter__")


def test_what_was_made_before_is_let_go_of_first() -> None:
    """Two large arrays under one name need not fit into memory together."""
    memo = Memo()
    memo.of_equal("array", (1,), lambda: "first")
    assert memo.of_equal("array", (2,), lambda: "second" if not memo.kept else "beside the first") == "second"
