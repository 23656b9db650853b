"""From a spec to its place on disk, once, again, and from two processes at once."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_cases import (
    FLOATS,
    IM2COL,
    IMPLICIT,
    ROOMY,
    a_place,
    a_run,
    a_spec,
    contents,
    execute,
    hidden,
    plain_config,
    run_folders,
)

from convpipe import reference
from convpipe.archive.identity import run_id
from convpipe.archive.verify import verify
from convpipe.archive.write import Draft, publish
from convpipe.errors import ArchiveError, ConfigError
from convpipe.execution import album, inputs, runner
from convpipe.execution.pipeline import StageResult
from convpipe.execution.threads import blas_threads
from convpipe.files import npy
from convpipe.files.npy import BLOCK_BYTES
from convpipe.graph.memo import Memo
from convpipe.graph.single import plan_run

CHECKOUT = Path(runner.__file__).parents[2]


def test_a_run_is_new_and_then_reproduced(tmp_path: Path) -> None:
    outcomes = [execute(a_spec(), a_place(tmp_path / "c")) for _ in range(3)]
    assert [outcome.verdict for outcome in outcomes] == ["new", "reproduced", "reproduced"]
    assert len({outcome.run.path for outcome in outcomes}) == 1
    assert [path.name for path in (tmp_path / "c").iterdir()] == [outcomes[0].run.path.name]


def test_a_runs_place_is_named_by_its_config(tmp_path: Path) -> None:
    run = execute(a_spec(), a_place(tmp_path)).run
    assert run.path == tmp_path / run_id(run.config)
    plain = plain_config({"filters.kernel": 2})  # in its shortest spelling
    assert {key: run.config[key] for key in plain} == {**plain, "conv": run.config["conv"]}


@pytest.mark.parametrize(("threads", "repeats"), [(2, 1), (1, 4)])
def test_how_a_run_is_executed_is_no_part_of_it(tmp_path: Path, threads: int, repeats: int) -> None:
    first = execute(a_spec(), a_place(tmp_path))
    other = execute(a_spec(), a_place(tmp_path, threads=threads, repeats=repeats))
    assert other.verdict == "reproduced"
    assert other.run.path == first.run.path
    assert {len(seconds) for seconds in other.seconds.values()} == {repeats}


def test_the_manifest_says_how_it_was(tmp_path: Path) -> None:
    run = execute(a_spec(), a_place(tmp_path, threads=2, repeats=3)).run
    assert run.manifest["provenance"]["threads"] == 2
    assert list(run.manifest["seconds"]) == IM2COL
    assert all(len(values) == 3 and min(values) >= 0 for values in run.manifest["seconds"].values())
    assert run.manifest["axes"]["im2col"] == ["N*out_H*out_W".lower().replace("n", "N", 1), "C*kh*kw"]


def test_the_output_is_the_oracles(tmp_path: Path) -> None:
    run = a_run(tmp_path, {"keep": "stages"})
    expected = reference.conv(run.array("input"), run.array("filters"), pad=1)
    assert run.output.transpose(0, 3, 1, 2).tolist() == expected.tolist()


def test_both_lowerings_archive_the_same_output(tmp_path: Path) -> None:
    runs = [execute(a_spec({"lowering.stages": s}), a_place(tmp_path)).run for s in (IM2COL, IMPLICIT)]
    assert runs[0].path != runs[1].path
    assert runs[0].rows[-1]["sha256"] == runs[1].rows[-1]["sha256"]


def test_every_stage_is_shown_in_order(tmp_path: Path) -> None:
    seen: list[str] = []
    execute(a_spec(), a_place(tmp_path), lambda result: seen.append(result.step.name))
    assert seen == IM2COL


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"filters.kernel": [9, 2]}, r"filters\.kernel: got 9, expected at most 7 along H"),
        ({"conv.groups": 2}, r"conv\.groups: got 2, expected a divisor"),
        (
            {"conv.dtype": "int8", "conv.pad_value": 4000},
            r"conv\.dtype: got int8, expected a dtype that holds every sum \(the",
        ),
        ({"lowering.stages": ["pad", "matmul"]}, r"lowering\.stages: got matmul, expected the tensor 'columns'"),
    ],
)
def test_what_cannot_be_run_writes_nothing(tmp_path: Path, changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        execute(a_spec(changes), a_place(tmp_path / "root" / "c"))
    assert contents(tmp_path) == {}
    assert not (tmp_path / "root").exists()


def test_too_large_a_run_is_refused_at_once(tmp_path: Path) -> None:
    spec = a_spec({"input.shape": [1, 1, 10**6, 10**6], "filters.kernel": [3, 3]})
    start = time.process_time()
    tracemalloc.start()
    with pytest.raises(ConfigError, match=r"limits\.memory: got 1\.0 GiB, expected at least .* TiB, this run's peak"):
        execute(spec, a_place(tmp_path / "c"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
    assert time.process_time() - start < 5  # its arrays would take minutes
    assert not (tmp_path / "c").exists()


def test_a_file_in_the_place_of_a_run(tmp_path: Path) -> None:
    place = execute(a_spec(), a_place(tmp_path / "a")).run.path.name
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / place).write_bytes(b"mine")
    with pytest.raises(ArchiveError, match=f"{place}: a link or a file, expected the folder of a run"):
        execute(a_spec(), a_place(tmp_path / "b"))
    assert (tmp_path / "b" / place).read_bytes() == b"mine"
    assert hidden(tmp_path / "b") == []


def test_an_input_file_that_has_changed_is_another_run(tmp_path: Path) -> None:
    spec = a_spec({"input": {"source": "npy", "path": str(tmp_path / "x.npy")}})
    made = []
    for number in (1, 2, 1):
        np.save(tmp_path / "x.npy", np.full((1, 3, 5, 5), number, np.int16))
        made.append(execute(spec, a_place(tmp_path / "c")))
    assert [outcome.verdict for outcome in made] == ["new", "new", "reproduced"]
    assert len(run_folders(tmp_path / "c")) == 2
    hashes = [outcome.run.config["input"]["sha256"] for outcome in made]
    assert hashes[0] == hashes[2] == hashlib.sha256((tmp_path / "x.npy").read_bytes()).hexdigest() != hashes[1]


@pytest.mark.parametrize(("megabytes", "read"), [(1, 1), (24, 3)])
def test_runs_of_one_file_read_it_once_where_it_is_small(
    megabytes: int, read: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large one is let go of in time, so that each run of a sweep keeps to its plan's memory."""
    np.save(tmp_path / "x.npy", np.ones((1, 1, megabytes, 1 << 20), np.int8))
    spec = a_spec({"input": {"source": "npy", "path": str(tmp_path / "x.npy")}, "filters.kernel": [1, 1], "conv.pad": 0,
                   "filters.dtype": "int8", "lowering.stages": IMPLICIT})  # fmt: skip
    seen: list[str] = []
    real = npy.read_array
    monkeypatch.setattr(npy, "read_array", lambda path, key: (seen.append(path), real(path, key))[1])
    memo = Memo()
    for seed in range(3):
        prepared = runner.prepare(replace(spec, seed=seed, conv=replace(spec.conv, overflow="wrap")), ROOMY)
        runner.produce(prepared, a_place(tmp_path / "c"), memo)
    assert len(seen) == read
    held = sum(made.nbytes for _, made in memo.kept.values() if isinstance(made, np.ndarray))
    assert held <= inputs.MOST_KEPT_BYTES + (1 << 16)


def test_a_file_that_changes_between_plan_and_run_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((1, 3, 5, 5), 1, np.int16))
    prepared = runner.prepare(a_spec({"input": {"source": "npy", "path": str(tmp_path / "x.npy")}}), ROOMY)
    np.save(tmp_path / "x.npy", np.full((1, 3, 5, 5), 2, np.int16))
    with pytest.raises(
        ConfigError, match=r"input\.path: got .*x\.npy, expected the content it had when planned, sha256"
    ):
        runner.execute(prepared, a_place(tmp_path / "c"))
    assert not (tmp_path / "c").exists()


def test_an_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(result: StageResult) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(a_spec(), a_place(tmp_path / "c"), interrupt)
    assert not (tmp_path / "c").exists()
    (tmp_path / "mine" / "empty").mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt):
        execute(a_spec(), a_place(tmp_path / "mine" / "empty" / "root" / "c"), interrupt)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "empty"]  # a person's own folders stay


def test_blas_has_the_threads_it_is_given() -> None:
    from threadpoolctl import threadpool_info

    def used() -> set[int]:
        # NumPy's own: another test may have loaded SciPy's, which no stage calls
        pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas" and "numpy" in pool["filepath"]]
        return {pool["num_threads"] for pool in pools}

    before = used()
    assert before, "NumPy's BLAS is found"
    with blas_threads(1):
        assert used() == {1}
    assert used() == before


# Two at once


def test_a_run_that_another_finishes_first_is_compared(tmp_path: Path) -> None:
    inner: list[str] = []

    def other(result: StageResult) -> None:
        if result.step.name == "reshape":
            inner.append(execute(a_spec(), a_place(tmp_path)).verdict)

    outer = execute(a_spec(), a_place(tmp_path), other)
    assert (inner, outer.verdict) == (["new"], "reproduced")


def test_a_run_that_another_publishes_in_the_last_moment_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = publish

    def late(draft: Draft, place: Path) -> bool:
        monkeypatch.setattr(runner, "publish", real)
        assert execute(a_spec(), a_place(tmp_path)).verdict == "new"
        return real(draft, place)

    monkeypatch.setattr(runner, "publish", late)
    assert execute(a_spec(), a_place(tmp_path)).verdict == "reproduced"
    assert hidden(tmp_path) == []
    assert len(run_folders(tmp_path)) == 1


BESIDE = """
import sys, time
from pathlib import Path
from run_cases import a_place, a_spec, execute, hidden, run_folders
from convpipe.archive.collection import rebuild
folder = Path(sys.argv[1])

def wait_for_the_other(result):
    while result.step.name == "reshape" and len(hidden(folder)) < 2 and not run_folders(folder):
        time.sleep(0.001)

print(execute(a_spec(), a_place(folder), wait_for_the_other).verdict)
rebuild(folder)
"""


def test_two_processes_at_once(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{CHECKOUT}{os.pathsep}{Path(__file__).parent}"}
    command = [sys.executable, "-c", BESIDE, str(tmp_path / "c")]
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(process.communicate(timeout=60)[0].strip() for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert said == ["new", "reproduced"]
    (run,) = run_folders(tmp_path / "c")
    assert verify(run)
    assert sorted(contents(tmp_path / "c"))[-1] == "results.csv"


# Memory


@pytest.mark.parametrize("stages", [IM2COL, IMPLICIT])
@pytest.mark.parametrize(
    "changes",
    [
        {"input.shape": [1, 3, 500, 500], "filters.count": 8, "filters.kernel": [3, 3]},
        {"input.shape": [4, 16, 64, 64], "filters.count": 16, "filters.kernel": [3, 3], "keep": "stages"},
        {"input.shape": [1, 3, 500, 500], "filters.kernel": [3, 3], **FLOATS},
        {"input.shape": [1, 8, 200, 200], "filters.kernel": [5, 5], "conv.groups": 2, "filters.count": 8, **FLOATS},
    ],
)
def test_a_run_keeps_to_its_plans_memory(tmp_path: Path, changes: dict[str, Any], stages: list[str]) -> None:
    execute(a_spec(), a_place(tmp_path))  # what is imported on the way is not the run's
    keep = changes.get("keep", "output")
    spec = a_spec({**{key: value for key, value in changes.items() if key != "keep"}, "lowering.stages": stages})
    tracemalloc.start()
    execute(spec, a_place(tmp_path, keep=keep))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= plan_run(spec).peak_bytes + 3 * BLOCK_BYTES  # the copies of a block, and small objects


# Pictures


def test_maps_are_drawn_up_to_a_number(tmp_path: Path) -> None:
    draft = Draft(tmp_path)
    album.draw_files(draft, np.arange(2 * 3 * 4 * 40).reshape(2, 3, 4, 40))
    assert (len(draft.pictures), draft.sums) == (album.MOST_FILES, {})
    assert {"map_n0_f000.png", "map_n0_f039.png", "map_n1_f023.png"} <= set(draft.pictures)
