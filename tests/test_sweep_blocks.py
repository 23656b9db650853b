"""Workers that check and run blocks of points themselves: the same collection as one process makes."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from cli_runs import contents as paths, convpipe, refused
from run_cases import hidden
from sweep_cases import collected, events, last_line, swept

from convpipe.archive.collection import run_names
from convpipe.archive.sweeps import point_rows
from convpipe.sweeps import blocks
from convpipe.sweeps.blocks import Block, Crew, OpenBlocks, Worker, check_block, run_block
from convpipe.sweeps.executors import Here, Pool
from convpipe.sweeps.outcomes import Done, Finished, There
from convpipe.sweeps.points import Checked, Points
from convpipe.sweeps.sweep import check_all

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="blocks are for processes that are forked")
SMALL = ("root=r", "name=c", "experiment=lecture_3d")
C = Path("r/c")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(blocks, "MANY", 1)
    monkeypatch.setattr(blocks, "CHECKED_AT_ONCE", 3)
    yield tmp_path
    blocks.WORKERS.clear()


@pytest.mark.parametrize(
    "words",
    [
        ("seed=range(0,25)", "conv.pad=0,1"),
        ("input=random", "filters=random", "input.shape=[1,3,8,8]", "seed=range(0,10)", "keep=stages"),
        ("seed=range(0,1000)", "sweep.sample=20"),
        ("input=random", "input.high=interval(1,9)", "sweep.sample=12", "filters=random"),
        ("filters=integers", "filters.kernel=2,9,3", "seed=1,2,3", "invalid=skip"),
        ("seed=range(0,9)", 'where="seed != 4"'),
        ("conv.dtype=int32,int8,uint8", "seed=1,2,3"),
        ("seed=1,1,2,2,3,3", "label=a,b"),
    ],
)
def test_two_workers_leave_what_one_leaves(words: tuple[str, ...], folder: Path) -> None:
    one = convpipe("-m", "root=one", *SMALL[1:], *words)
    two = convpipe("-m", "root=two", *SMALL[1:], *words, "workers=2")
    assert (one.code, last_line(one).replace("one/", "")) == (two.code, last_line(two).replace("two/", ""))
    assert collected(Path("one/c")) == collected(Path("two/c"))
    plain = [sorted((row["point"], row["label"], row["settings"], row["run"]) for row in point_rows(Path(root, "c")))
             for root in ("one", "two")]  # fmt: skip
    assert plain[0] == plain[1]
    again = convpipe("-m", "root=two", *SMALL[1:], *words, "workers=2")
    assert last_line(again).startswith("0 done")
    assert hidden(Path("two/c")) == []


def test_the_first_bad_point_is_named_and_nothing_has_run(folder: Path) -> None:
    said = refused(folder, "-m", *SMALL, "seed=range(0,20)", "conv.stride=1,0", "conv.pad=0,-1", "workers=2")
    assert re.match(r"seed=0 conv\.stride=1 conv\.pad=-1: conv\.pad: got -1", said)


def test_it_stops_at_a_failure(folder: Path) -> None:
    words = ("conv.dtype=int32,uint8,int64", "seed=range(0,40)", "on_error=stop", "workers=2")
    answer = swept(*SMALL, *words, code=1)
    assert re.search(r"[1-9]\d* not run", last_line(answer))
    assert hidden(C) == []


def test_files_that_have_changed_are_told(folder: Path) -> None:
    words = ("root=r", "name=c", "input=npy", "input.path=x.npy", "filters=integers", "seed=1,2,3", "workers=2")
    np.save("x.npy", np.arange(48).reshape(1, 3, 4, 4))
    swept(*words)
    np.save("x.npy", np.arange(48)[::-1].reshape(1, 3, 4, 4))
    assert last_line(swept(*words)).startswith(
        "0 done, 0 there before, 3 input changed (x.npy), 0 failed: r/c (without"
    )


def test_points_of_several_experiments(folder: Path) -> None:
    swept("root=two", "experiment=grid,seeds", "workers=2")
    swept("root=one", "experiment=grid,seeds")
    for name in ("grid", "seeds"):
        assert collected(Path("one", name)) == collected(Path("two", name))


def test_threads_of_a_list_are_measured_and_so_in_one_process(folder: Path) -> None:
    Path("p.csv").write_text("threads,seed\n1,1\n2,2\n1,3\n")
    said = refused(folder, "-m", *SMALL, "sweep.points=p.csv", "workers=2")
    assert "workers: got 2, expected 1 beside several values of threads" in said


def parts(*words: str) -> tuple[Points, ...]:
    from convpipe.cli.flags import parsed_flags
    from convpipe.config.app import make_hydra
    from convpipe.config.compose import composed
    from convpipe.sweeps.sweep import points_of

    arguments = parsed_flags(["-m", *words])
    config = composed(make_hydra(None), arguments.config_name, arguments.overrides, multirun=True)
    return points_of(config, arguments.overrides, launched=False)


def test_a_block_is_checked_kept_and_run_in_its_process(folder: Path) -> None:
    points = parts(*SMALL, "seed=range(0,6)")
    blocks.begin(points)
    check_block(Block(0, 0, 4))
    kept = blocks.WORKERS[0].kept
    assert sorted(kept) == [1, 2, 3, 4]
    assert all(isinstance(each, Checked) for each in kept.values())
    ran = run_block(Block(0, 2, 6), stop=False)
    assert sorted(kept) == [1, 2]
    assert [each.number for each in ran.outcomes if isinstance(each, Done)] == [3, 4, 5, 6]
    again = run_block(Block(0, 2, 6), stop=False)
    assert all(isinstance(each, There) for each in again.outcomes)


def test_no_more_is_kept_than_there_is_room_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "MOST_KEPT_BYTES", 2 * blocks.POINT_BYTES)
    blocks.begin(parts(*SMALL, "seed=range(0,6)"))
    check_block(Block(0, 0, 6))
    assert len(blocks.WORKERS[0].kept) == 2
    assert len(run_block(Block(0, 0, 6), stop=False).outcomes) == 6


def test_the_check_comes_to_what_one_process_finds(folder: Path) -> None:
    words = (*SMALL, "filters=integers", "filters.kernel=2,9", "seed=range(0,7)", "invalid=skip", 'where="seed != 2"')
    found = a_crew(parts(*words)).check()
    assert found == check_all(parts(*words))
    assert (found[0].points, found[0].impossible, found[0].left_out) == (6, 6, 2)


def a_crew(points: tuple[Points, ...]) -> Crew:
    blocks.begin(points)
    return Crew(points, Pool(Here(), 2), ExitStack())


def test_open_blocks_get_smaller_and_nothing_is_lost() -> None:
    there = OpenBlocks([Block(0, 0, 50), Block(1, 0, 10)], most=20, ahead=4)
    first = there.take()
    assert (first, there.points) == (Block(0, 0, 15), 45)
    there.put(Block(0, 3, 15))  # the worker has come to three of them
    assert (there.take(), there.points) == (Block(0, 3, 15), 45)
    there.put(Block(0, 15, 15))
    taken = [there.take() for _ in range(100) if there.points]
    assert [index for block in taken for index in range(block.start, block.stop)] == [*range(15, 50), *range(10)]
    lengths = [len(block) for block in taken]
    assert max(lengths) <= 20
    assert lengths[-3:] == [1, 1, 1]
    assert OpenBlocks([Block(0, 0, 50)], most=20, ahead=1).take() == Block(0, 0, 20)


def test_a_block_takes_its_time_and_gives_the_rest_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = (*SMALL, "seed=range(0,9)", "filters=integers", "filters.kernel=2,9", "invalid=skip")
    points = parts(*words)
    monkeypatch.setattr(blocks, "BATCH_SECONDS", 0.0)
    blocks.begin(points)
    ran = run_block(Block(0, 4, 18), stop=False)
    assert ([each.number for each in ran.outcomes], ran.rest) == ([5], Block(0, 5, 18))
    (C / run_names(C)[0]).rename("moved")
    found = [each for told in a_crew(points).run(blocks.Surveys()) for each in told]
    assert sorted(each.number for each in found) == list(range(1, 19, 2))  # the others cannot be
    assert len(run_names(C)) == 9


def test_points_that_are_there_are_passed_over_in_large_blocks(folder: Path) -> None:
    words = (*SMALL, "seed=range(0,300)")
    swept(*words, "workers=2")
    told = list(a_crew(parts(*words)).run(blocks.Surveys()))
    assert sum(map(len, told)) == 300
    assert all(isinstance(each, There) for found in told for each in found)
    assert len(told) < 300 // blocks.CHECKED_AT_ONCE + 20


def test_a_sample_is_the_same_from_any_point_on(folder: Path) -> None:
    (points,) = parts(*SMALL, "seed=range(0,1000)", "sweep.sample=20")
    every = list(points.numbered())
    assert list(points.numbered(7, 12)) == every[7:12]
    (drawn,) = parts(*SMALL, "input=random", "input.high=interval(1,9)", "sweep.sample=20")
    assert list(drawn.numbered(7, 12)) == list(drawn.numbered())[7:12]
    assert not drawn.composer.sweep.space.is_indexed


def test_a_worker_begins_anew(folder: Path) -> None:
    blocks.begin(())
    blocks.begin(())
    assert [type(each) for each in blocks.WORKERS] == [Worker]


def test_all_is_told(folder: Path) -> None:
    found = [event for event in events(*SMALL, "seed=range(0,30)", "workers=2") if isinstance(event, Finished)]
    assert sorted(event.outcome.number for event in found) == list(range(1, 31))


def test_small_sweeps_and_dry_runs_have_no_crew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "MANY", 30)

    def never(*given: object) -> None:
        raise AssertionError("a crew")

    monkeypatch.setattr(blocks, "crew", never)
    swept(*SMALL, "seed=range(0,29)", "workers=2")
    assert convpipe("-m", *SMALL, "seed=range(0,40)", "workers=2", "dry_run=true").code == 0
    assert paths(folder)
