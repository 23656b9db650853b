"""Sweeps from the command line: all points checked before any runs, then run, recorded and shown."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import CHECKOUT, Answer, contents, convpipe, refused
from run_cases import contents as files, edit_manifest, hidden, run_folders, set_output
from sweep_cases import collected, column, fast_folder, last_line, results, statuses

from convpipe.archive import write as archive_write
from convpipe.archive.collection import rebuild, refresh, run_names
from convpipe.archive.table import MEASURED
from convpipe.archive.verify import verify
from convpipe.errors import OUT_OF_MEMORY, StorageError
from convpipe.execution import provenance
from convpipe.report.sweep import SweepProgress
from convpipe.sweeps import batches
from convpipe.sweeps.batches import Batch, Task
from convpipe.sweeps.executors import Pool
from convpipe.sweeps.listed import listed_points
from convpipe.sweeps.outcomes import Done, FailedBefore, Finished, There
from convpipe.sweeps.totals import Tally

SMALL = ("root=r", "experiment=lecture_4d")
C = Path("r/lecture_4d")
# Sums of products of ones fit into int8, those of larger numbers do not.
INT8 = ("root=r", "name=c", "input=integers", "filters=integers", "conv.dtype=int8", "input.low=0", "filters.low=1",
        "filters.high=2")  # fmt: skip
OVERFLOWING = (*INT8, "input.high=2,100")


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder in memory."""
    with fast_folder() as folder:
        monkeypatch.chdir(folder)
        yield folder


def swept(*words: str, code: int = 0) -> Answer:
    """A sweep that ends with that code, without a line on stderr but for failures."""
    answer = convpipe("-m", *words)
    assert answer.code == code, answer.err + answer.out
    assert all(line.startswith("failed: ") for line in answer.err.splitlines()), answer.err
    return answer


# Run, recorded, shown


def test_every_point_is_a_run(folder: Path) -> None:
    answer = swept(*SMALL, "seed=1,2,3", "conv.stride=1,2")
    assert last_line(answer) == "6 done, 0 there before, 0 failed: r/lecture_4d"
    assert column(C, "seed") == ["1", "1", "2", "2", "3", "3"]
    assert set(results(C)[0]) == {"run", "status", "seed", "conv.stride", *MEASURED}
    for run in run_folders(C):
        assert verify(run)
    assert len(re.findall(r"^(fastest|slowest) ", answer.out, re.MULTILINE)) == 6


@pytest.mark.parametrize(("seeds", "words"), [("1,2", ["fastest", "slowest"]), ("range(0,5)", None)])
def test_no_run_is_both_fast_and_slow(seeds: str, words: list[str] | None, folder: Path) -> None:
    found = re.findall(r"^(fastest|slowest) +(\w+)", swept(*SMALL, f"seed={seeds}").out, re.MULTILINE)
    assert [word for word, _ in found] == (words or ["fastest"] * 3 + ["slowest"] * 2)
    assert sorted(run for _, run in found) == run_names(C)


def test_of_equally_fast_runs_none_is_both() -> None:
    tally = Tally()
    for number in range(7):
        tally.count(Finished(Done(C, str(number), "", "done", 1.0, None)))
    fastest, slowest = tally.both_ends
    assert len(fastest) == 3
    assert not {outcome.run for outcome in fastest} & {outcome.run for outcome in slowest}


def test_a_point_is_the_run_of_its_overrides(folder: Path) -> None:
    swept(*SMALL, "seed=1,2", "conv.stride=1,2", "keep=stages")
    for seed in (1, 2):
        for stride in (1, 2):
            words = (*SMALL, f"seed={seed}", f"conv.stride={stride}", "keep=stages")
            answer = convpipe(*words)
            assert (answer.code, "reproduced" in answer.out) == (0, True)
    assert len(run_names(C)) == 4


def test_a_shared_input_is_the_same_as_one_of_its_own(folder: Path) -> None:
    words = ("name=c", "input=random", "filters=random", "keep=stages", "seed=1,2", "filters.count=1,2,3")
    swept("root=together", *words)
    for seed in (1, 2):
        for count in (1, 2, 3):
            single = [word for word in words if not word.startswith(("seed", "filters.count"))]
            assert convpipe("root=alone", *single, f"seed={seed}", f"filters.count={count}").code == 0
    refresh(Path("alone/c"))
    assert collected(Path("together/c")) == collected(Path("alone/c"))


def test_nothing_is_swept_over(folder: Path) -> None:
    assert last_line(swept(*SMALL)) == "1 done, 0 there before, 0 failed: r/lecture_4d"
    assert (
        last_line(swept(*SMALL, "where='seed == 1'"))
        == "0 done, 0 there before, 0 failed, 1 left out by where: no points"
    )


def test_groups_experiments_names_threads_and_layers(folder: Path) -> None:
    swept("root=r", "experiment=lecture_4d,lecture_pad", "seed=1,2")
    assert {path.name: len(run_names(path)) for path in Path("r").iterdir()} == {
        "lecture_4d": 2, "lecture_pad": 2,
    }  # fmt: skip
    swept("root=s", "name=a,b", "threads=1,2", "input=integers,random", "filters=glob(sobel*)")
    assert {path.name: len(run_names(path)) for path in Path("s").iterdir()} == {"a": 4, "b": 4}
    assert set(column(Path("s/a"), "filters.names")) == {"['sobel_x']", "['sobel_y']"}
    swept("root=t", "experiment=tiny", "network.conv1.pad_mode=constant,edge", "seed=1,2")
    assert column(Path("t/tiny"), "network.conv1.pad_mode") == ["constant", "constant", "edge", "edge"]


def test_more_values_extend(folder: Path) -> None:
    swept(*SMALL, "seed=1,2")
    before = {name: value for name, value in collected(C).items() if name != "results.csv"}
    assert last_line(swept(*SMALL, "seed=1,2,3")).startswith("1 done, 2 there before, 0 failed")
    assert before.items() <= collected(C).items()
    assert column(C, "seed") == ["1", "2", "3"]
    swept(*SMALL, "conv.stride=1,2", "seed=2")
    assert len(results(C)) == 4
    assert "conv.stride" in results(C)[0]
    swept("root=once", "name=c", "experiment=lecture_4d", "seed=1,2,3")
    swept("root=once", "name=c", "experiment=lecture_4d", "seed=2", "conv.stride=2")
    assert collected(Path("once/c")) == collected(C)


def test_the_same_command_again_writes_nothing_new(folder: Path) -> None:
    words = (*SMALL, "seed=range(0,20)")
    swept(*words)
    before = files(C)
    assert last_line(swept(*words)) == "0 done, 20 there before, 0 failed: r/lecture_4d"
    there = files(C)
    assert {path: content for path, content in there.items() if path in before} == before
    assert {path.split("/")[0] for path in there.keys() - before.keys()} == {"sweeps"}  # its record


def test_rebuilding_gives_the_same_bytes(folder: Path) -> None:
    swept(*OVERFLOWING, "seed=1,2,3", "conv.pad_value=0,1", "lowering=im2col,implicit", code=1)
    for path in (Path("r/c"),):
        before = (path / "results.csv").read_bytes()
        assert rebuild(path).read_bytes() == before
        assert refresh(path).read_bytes() == before
    swept("root=r", "name=c", "experiment=lecture_4d", "input.low=0.5,1e-5,0.1", "conv.pad=same,[[0,1],[2,1]]")
    before = Path("r/c/results.csv").read_bytes()
    assert rebuild(Path("r/c")).read_bytes() == before


def test_points_that_are_the_same_run(folder: Path) -> None:
    answer = swept(*SMALL, "seed=1,1,2,1", "timing.repeats=1,2")
    assert last_line(answer).startswith("2 done, 0 there before, 6 reproduced, 0 failed, 8 measured")
    assert len(run_names(C)) == 2
    before = (C / "results.csv").read_bytes()
    assert rebuild(C).read_bytes() == before


# All before any


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ("seed=1,2 conv.stride=1,0", r"^seed=1 conv\.stride=0: conv\.stride: got 0, expected a whole number from 1"),
        (
            "seed=1,2 filters=integers filters.kernel=3,9",
            r"^seed=1 filters\.kernel=9: filters\.kernel: got 9, expected at most",
        ),
        ("seed=5,-1", r"^seed=-1: seed: got -1, expected a whole number from 0"),
        (
            "seed=1,2 conv.strid=1",
            r"^conv\.strid: got 1, expected one of the keys of conv: .* \(did you mean conv\.str",
        ),
        ("seed=1,2 conv.strid=1,2", r"^seed=1 conv\.strid=1: conv\.strid: got 1, expected one of the keys of conv"),
        ("seed=1,2 input=integers,rando", r"input=rando: input: got rando, expected one of .*did you mean random"),
        ("seed=1,2 inputt=integers,random", r"inputt: got integers, expected one of the keys"),
        ("seed=range(0,1000000000)", r"^limits\.runs: got 1000000, expected at least 1000000000, the points of this s"),
        (
            "input=random filters=random input.shape=[1,3,100,100],[1,3,20000,20000] limits.memory=100MB",
            r"20000\]: limits\.memory: got 95\.4 MiB",
        ),
        ("seed=1,2 where='seed < nothing'", r"^seed=1: where: got seed < nothing, expected values .*no nothing here"),
        ("seed=1,2 where='seed <'", r"^where: got seed <, expected an expression of"),
        ("seed=1,2 where='import os'", r"^where: got import os, expected an expression of"),
        ("seed=1,2 invalid=sikp", r"^invalid: got sikp, expected one of error, skip \(did you mean skip"),
        ("seed=1,2 retry=some", r"^retry: got some, expected one of failed, all"),
        ("seed=1,2 on_error=stopp", r"^on_error: got stopp, expected one of continue, stop"),
        ("seed=1,2 workers=0", r"^workers: got 0, expected a whole number from 1"),
        ("seed=1,2 cluster=nothing", r"^cluster: got nothing, expected one of dask, none, ray"),
        ("seed=1,2 cluster=dask", r"^cluster\.address: got nothing, expected the scheduler's address, such as"),
        ("seed=1,2 cluster=ray workers=2", r"^workers: got 2, expected 1 beside a cluster or a launcher"),
        ("seed=1,2 hydra/launcher=basic workers=2", r"^workers: got 2, expected 1 beside a cluster or a launcher"),
        ("seed=1,2 hydra/launcher=basic cluster=ray", r"^cluster\.kind: got ray, expected none beside hydra/launcher"),
        ("seed=1,2 trace=true", r"^trace: got True, expected false, as only a single run is traced"),
        ("seed=1,2 trace=true,false", r"^trace: got true,false, expected one value for the whole sweep"),
        ("name=../x,y", r"^name=\.\./x: name: got \.\./x, expected a folder name"),
        ("seed=1,2 hydra/launcher=nothing", r"launcher"),
        ("seed=1,2 hydra.sweep.dir=/tmp", r"^hydra\.sweep\.dir: got /tmp, expected of Hydra's own settings only"),
        ("hydra.sweeper.params.a._target_=1,2", r"expected values only"),
        ("+hydra.callbacks.x._target_=a,b", r"expected values only"),
        ("seed=1,2 conv.stride=1,${nowhere}", r"conv\.stride=.*: conv\.stride: got \$\{nowhere\}, expected a v"),
        ("seed=1,2 name=a,???", r"name=\?\?\?: name: got nothing, expected a value for it"),
    ],
)
def test_one_bad_point_and_nothing_has_run(words: str, match: str, folder: Path) -> None:
    said = refused(folder, "-m", "root=r", *split(words))
    assert re.search(match, said), said


def split(words: str) -> list[str]:
    """Words as a shell would split them, quotes kept for Hydra."""
    return [word.replace("\0", " ") for word in re.sub(r"'[^']*'", lambda q: q[0].replace(" ", "\0"), words).split()]


def test_too_many_points_are_refused_at_once(folder: Path) -> None:
    convpipe("--help")  # what is imported once
    start = time.process_time()
    refused(folder, "-m", "seed=range(0,1000000000)", "conv.stride=range(1,1000000000)")
    assert time.process_time() - start < 10  # to look at each would take centuries


def test_a_bad_last_point_of_many_leaves_nothing(folder: Path) -> None:
    assert "conv.pad=-1" in refused(folder, "-m", *SMALL, "conv.pad=0,-1", "seed=range(0,200)")
    swept(*SMALL, "seed=1")
    before = contents(folder)
    refused(folder, "-m", *SMALL, "conv.pad=0,-1", "seed=range(0,20)")
    assert contents(folder) == before


def test_impossible_geometries_can_be_skipped_and_nothing_else(folder: Path) -> None:
    words = (*SMALL, "filters.kernel=1,2,9", "conv.pad=0,1", "invalid=skip")
    assert last_line(swept(*words)) == "4 done, 0 there before, 0 failed, 2 impossible: r/lecture_4d"
    assert last_line(swept(*words)) == "0 done, 4 there before, 0 failed, 2 impossible: r/lecture_4d"
    assert "conv.stride: got 0" in refused(folder, "-m", *SMALL, "conv.stride=0,1", "invalid=skip")
    assert "conv.pad_mode: got x" in refused(folder, "-m", *SMALL, "conv.pad_mode=x,edge", "invalid=skip")
    assert "limits.memory" in refused(folder, "-m", *SMALL, "seed=1,2", "limits.memory=1KB", "invalid=skip")


def test_where(folder: Path) -> None:
    words = (*SMALL, "conv.stride=1,2,3", "conv.pad=0,1,2", "where='stride <= pad or conv.stride == 3'")
    assert last_line(swept(*words)) == "6 done, 0 there before, 0 failed, 3 left out by where: r/lecture_4d"
    found = {(row["conv.stride"], row["conv.pad"]) for row in results(C)}
    assert found == {("1", "1"), ("1", "2"), ("2", "2"), ("3", "0"), ("3", "1"), ("3", "2")}
    assert last_line(swept(*SMALL, "seed=1,2,3", "where='seed in [1, 3] and input.shape[1] == 3'")).startswith("2 done")


def test_a_dry_run_counts_and_writes_nothing(folder: Path) -> None:
    words = (*SMALL, "seed=range(0,10)", "conv.stride=1,2", "conv.dilation=1,9", "invalid=skip", "where='seed > 0'")
    swept(*SMALL, "seed=1,2", "conv.stride=2")
    before = contents(folder)
    answer = swept(*words, "dry_run=true")
    assert contents(folder) == before
    sizes = [(5, 5), (3, 3)]
    macs = sum(9 * out_h * out_w * 6 * 27 for out_h, out_w in sizes)
    assert answer.out.splitlines()[:3] == [
        "18 points, 2 of them already done, 16 to run",
        "4 left out by where, 18 impossible and skipped",
        f"{macs:,} multiply-adds, {answer.out.splitlines()[2].split(', ')[-1]}",
    ]
    assert answer.out.splitlines()[3].endswith("at its peak (seed=1 conv.stride=1 conv.dilation=1)")
    assert len(answer.out.splitlines()) == 4


def test_the_dry_runs_bytes_are_the_plans(folder: Path) -> None:
    one = swept(*SMALL, "dry_run=true").out
    ten = swept(*SMALL, "seed=range(0,1024)", "dry_run=true").out
    amount = [float(re.search(r"([\d.]+) (KiB|MiB) in arrays", out)[1]) for out in (one, ten)]  # type: ignore[index]
    assert amount[1] == pytest.approx(amount[0], rel=0.02)  # KiB of one, MiB of 1024


# Failures


def test_a_point_that_fails_is_recorded_and_the_others_run(folder: Path) -> None:
    answer = swept(*OVERFLOWING, "seed=1,2", code=1)
    assert statuses(Path("r/c")) == {"done": 2, "failed": 2}
    said = [
        re.match(r"failed: input\.high=100 seed=\d: conv\.dtype: got int8, exp", line)
        for line in answer.err.splitlines()
    ]
    assert (len(said), all(said)) == (2, True)
    failed = [row for row in results(Path("r/c")) if row["status"] == "failed"]
    assert all(row["error"].startswith("conv.dtype: got int8, expected a dtype that holds") for row in failed)
    assert all((row["input.high"], row["output_shape"], row["seconds"]) == ("100", "", "") for row in failed)
    assert last_line(answer) == "2 done, 0 there before, 2 failed: r/c"
    assert re.search(r"^2 failed: conv\.dtype: .* \(input\.high=100 seed=1, .* seed=2\)$", answer.out, re.MULTILINE)


def test_what_failed_is_not_run_again_unless_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swept(*OVERFLOWING, code=1)
    failed = 1
    before = results_but_times()
    again = swept(*OVERFLOWING, code=1)
    assert f"{failed} failed before (retry=failed runs them again)" in last_line(again)
    assert (again.err, last_line(again)[:6]) == ("", "0 done")
    assert f"{failed} failed before" in swept(*OVERFLOWING, "dry_run=true").out
    assert results_but_times() == before
    retried = swept(*OVERFLOWING, "retry=failed", code=1)
    assert f"{failed} failed: r/c" in last_line(retried)
    assert results_but_times() == before
    # the trouble is over: the run takes the failure's place
    monkeypatch.setattr(batches.runner, "produce", without_overflow(batches.runner.produce))
    swept(*OVERFLOWING, "retry=failed")
    assert "failed" not in statuses(Path("r/c"))
    assert "error" not in results(Path("r/c"))[0]
    assert last_line(swept(*OVERFLOWING)).startswith("0 done, 2 there before, 0 failed:")


def results_but_times() -> list[dict[str, str]]:
    """The table without when its points have started, which another try has later."""
    return [{key: text for key, text in row.items() if key != "started"} for row in results(Path("r/c"))]


def without_overflow(produce: Any) -> Any:
    """The runner of a time when large sums fitted."""
    from dataclasses import replace

    def producing(prepared: Any, place: Any, memo: Any) -> Any:
        roomy = replace(prepared.spec, conv=replace(prepared.spec.conv, overflow="wrap"))
        other = batches.runner.prepare(roomy, place.memory)
        return produce(replace(prepared, work=other.work), place, memo)

    return producing


def test_any_error_of_a_point_is_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = batches.runner.produce

    def produce(prepared: Any, place: Any, memo: Any) -> Any:
        if prepared.spec.seed == 2:
            raise ZeroDivisionError("of\nall things")
        if prepared.spec.seed == 3:
            raise MemoryError
        return real(prepared, place, memo)

    monkeypatch.setattr(batches.runner, "produce", produce)
    answer = swept(*SMALL, "seed=1,2,3,4", code=1)
    assert answer.err.splitlines() == [
        "failed: seed=2: unexpected ZeroDivisionError: of all things",
        f"failed: seed=3: {OUT_OF_MEMORY}",
    ]
    assert statuses(C) == {"done": 2, "failed": 2}


def test_an_earlier_failure_stops_nothing(folder: Path) -> None:
    swept(*OVERFLOWING, "seed=1", code=1)
    answer = swept(*OVERFLOWING, "seed=range(1,30)", "where='input.high == 2 or seed == 1'", "on_error=stop", code=1)
    assert last_line(answer).startswith("28 done, 1 there before, 0 failed, 1 failed before")


@pytest.mark.parametrize("workers", ["workers=1", "workers=2"])
def test_on_error_stop(workers: str, folder: Path) -> None:
    answer = swept(*INT8, "input.high=100", "seed=range(0,50)", "on_error=stop", workers, code=1)
    there = statuses(Path("r/c"))
    assert set(there) == {"failed"}
    assert there["failed"] == 1 if workers == "workers=1" else there["failed"] < 10
    assert f"{50 - there['failed']} not run" in last_line(answer)


def test_the_disk_refuses(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, written = archive_write.write_file, []

    def write_file(path: Path, content: Any) -> str:
        written.append(path)
        if len(written) == 103:
            raise StorageError(f"{path}: No space left on device; nothing was kept")
        return real(path, content)

    monkeypatch.setattr("convpipe.archive.write.write_file", write_file)
    answer = convpipe("-m", *SMALL, "seed=range(0,50)")
    assert answer.code == 4
    assert re.fullmatch(r"convpipe: .*No space left on device; what is done is kept, and the same .*\n", answer.err)
    assert len(results(C)) == len(run_names(C)) == 20  # of five files each
    assert hidden(C) == []
    assert last_line(swept(*SMALL, "seed=range(0,50)")).startswith("30 done, 20 there before, 0 failed:")


# Another version's runs


def from_version(run: Path, version: str) -> None:
    """Let a run say that another version made it."""
    record = json.loads((run / "manifest.json").read_text())
    edit_manifest(run, provenance={**record["provenance"], "convpipe": version}, code="0" * 64)


def test_another_versions_run_is_computed_again_and_compared(folder: Path) -> None:
    words = (*SMALL, "seed=1,2,3")
    swept(*words)
    run = run_folders(C)[0]
    from_version(run, "0.0.1")
    before = collected(C)
    assert "3 points, 2 of them already done, 1 to run" in swept(*words, "dry_run=true").out
    assert last_line(swept(*words)) == "0 done, 2 there before, 1 other code, 0 failed: r/lecture_4d"
    name = f"{run.name}/manifest.json"
    assert {**collected(C), name: ""} == {**before, name: ""}
    assert json.loads((run / "manifest.json").read_text())["provenance"]["convpipe"] == provenance.VERSION
    rebuilt = (C / "results.csv").read_bytes()
    assert rebuild(C).read_bytes() == rebuilt


def test_another_versions_run_that_differs_is_said(folder: Path) -> None:
    words = ("root=r", "name=c", "input=integers", "filters=integers", "seed=1,2,3")
    swept(*words)
    run = run_folders(Path("r/c"))[0]
    set_output(run, lambda values: np.put(values, 0, 99))
    swept(*words)  # to be there is to be whole; verify and reproduce look closer
    from_version(run, "0.0.1")
    answer = swept(*words, code=3)
    assert re.fullmatch(
        rf"failed: seed=\d: r/c/{run.name}: stage '\w+' differs: .*made by convpipe 0\.0\.1.*\n", answer.err
    )
    assert last_line(answer) == "0 done, 2 there before, 0 failed, 1 differs: r/c"
    assert len(run_names(Path("r/c"))) == 3


@pytest.mark.parametrize("damage", ["no manifest", "half a manifest", "another format"])
def test_a_run_that_cannot_be_read_is_said(damage: str, folder: Path) -> None:
    swept(*SMALL, "seed=1,2")
    manifest = run_folders(C)[0] / "manifest.json"
    if damage == "no manifest":
        manifest.unlink()
    elif damage == "half a manifest":
        manifest.write_bytes(manifest.read_bytes()[:40])
    else:
        edit_manifest(manifest.parent, format=99)
    answer = swept(*SMALL, "seed=1,2", code=3 if damage == "another format" else 0)
    assert "manifest.json" in answer.err + answer.out
    assert ("1 damaged before" in last_line(answer)) == (damage != "another format")


def test_a_worker_of_another_version_is_refused(folder: Path) -> None:
    batch = Batch((), str(folder), stop=False, version="9.9")
    with pytest.raises(
        StorageError, match=rf"a worker has convpipe {provenance.VERSION}, expected 9\.9, as its client"
    ):
        batches.run_batch(batch)


def test_a_workers_run_that_is_not_here_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    from convpipe.sweeps import sweep

    real = sweep.noted

    def noted(batch: Any, books: Any) -> Iterator[Any]:
        yield from real(batch, books)
        for outcome in batch:
            shutil.rmtree(outcome.folder / outcome.run)  # as if it lay on another machine's disk

    monkeypatch.setattr(sweep, "noted", noted)
    answer = convpipe("-m", *SMALL, "seed=1,2")
    assert answer.code == 4
    assert re.fullmatch(
        r"convpipe: r/lecture_4d: a worker's run \w{12} is not here; a cluster needs a sh.*\n", answer.err
    )


# Workers


def test_two_workers_give_the_same_collection(folder: Path) -> None:
    words = ("name=c", "experiment=lecture_4d", "seed=range(0,60)", "conv.stride=1,2")
    swept("root=one", *words)
    answer = swept("root=two", *words, "workers=2")
    assert last_line(answer) == "120 done, 0 there before, 0 failed: two/c"
    assert collected(Path("one/c")) == collected(Path("two/c"))
    assert len({json.loads(run.read_text())["run_id"] for run in Path("two/c").glob("*/manifest.json")}) == 120


def test_threads_are_set_in_workers(folder: Path) -> None:
    swept(*SMALL, "seed=1,2,3", "threads=2", "workers=2")
    for manifest in C.glob("*/manifest.json"):
        assert json.loads(manifest.read_text())["provenance"]["threads"] == 2


# Batches


def test_batches_suit_the_runs_length() -> None:
    seconds = 0.0
    fake = [Task((), sweep_place(), None) for n in range(2000)]  # type: ignore[arg-type]
    made = batches.in_batches(fake, lambda: seconds)
    assert len(next(made)) == 1
    seconds = 0.001
    assert len(next(made)) == 250
    seconds = 1e-9
    assert len(next(made)) == batches.MOST_IN_BATCH
    seconds = 10.0
    assert len(next(made)) == 1


def sweep_place(threads: int = 1) -> Any:
    from convpipe.execution.runner import Place

    return Place(Path("c"), 1, threads)


def test_a_few_long_runs_are_a_batch_each(folder: Path) -> None:
    answer = swept(
        "name=c", "input=random", "input.shape=[1,16,128,128]", "filters=random", "seed=1,2,3,4", "workers=2"
    )
    assert last_line(answer).startswith("4 done,")
    fake = [Task((), sweep_place(), None) for n in range(4)]  # type: ignore[arg-type]
    assert [len(batch) for batch in batches.in_batches(fake, lambda: 0.0)] == [1, 1, 1, 1]


def test_a_batch_has_one_thread_count() -> None:
    fake = [Task((), sweep_place(1 + n // 3), None) for n in range(6)]  # type: ignore[arg-type]
    assert [len(batch) for batch in batches.in_batches(fake, lambda: 0.001)] == [3, 3]


def test_points_are_taken_only_as_they_run(folder: Path) -> None:
    from concurrent.futures import Executor, Future

    taken: list[int] = []
    submitted: list[int] = []

    class Slow(Executor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = Future()
            submitted.append(len(taken))
            future.set_result([Done(C, "", "", "done", 0.1, None) for _ in args[0].tasks])
            return future

    def source() -> Iterator[Task]:
        for n in range(1000):
            taken.append(n)
            yield Task((), sweep_place(), None)  # type: ignore[arg-type]

    found = batches.run_all(source(), Pool(Slow(), 2), stop=False)
    next(found)
    assert len(taken) <= 2 * batches.BATCHES_AHEAD * 4
    found.close()  # type: ignore[attr-defined]


# What a person sees


def test_progress_counts(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[str] = []

    class Bar:
        console = type("C", (), {"print": staticmethod(lambda line, **options: seen.append(line))})

        def add_task(self, text: str, total: int) -> int:
            seen.append(f"of {total}")
            return 0

        def update(self, task: int, *, advance: int, description: str) -> None:
            seen.append(description)

    progress = SweepProgress(Bar(), 4)  # type: ignore[arg-type]
    progress.show(There(Path(), "0"))
    progress.show(Finished(Done(C, "1", "seed=1", "done", 0.1, None)))
    progress.show(FailedBefore(Path(), "2"))
    progress.show(Finished(Done(C, "3", "seed=2", "failed", 0.1, None, "no reason")))
    assert [re.sub(r"\d+/s", "R/s", line) for line in seen] == [
        "of 4",
        "0 done, 1 skipped, 0 failed, R/s",
        "1 done, 1 skipped, 0 failed, R/s",
        "1 done, 1 skipped, 1 failed, R/s",
        "1 done, 1 skipped, 2 failed, R/s",
        "failed: seed=2: no reason",
    ]


def test_a_bar_on_a_terminal(folder: Path) -> None:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    swept(*SMALL, "seed=0")
    environment = {"TERM": "xterm-256color", "COLUMNS": "120"}
    running = subprocess.Popen(
        [sys.executable, "-m", "convpipe", "-m", *SMALL, "seed=range(0,300)"],
        env={**os.environ, **environment, "PYTHONPATH": str(CHECKOUT)}, stderr=theirs, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 1 << 16):
            shown += chunk
    except OSError:  # the terminal's other end is closed
        pass
    assert running.wait(30) == 0
    assert re.search(rb"\d+ done, [01] skipped, 0 failed, \d+/s", shown)
    assert re.search(rb"\d+/300", shown)


# Real work


@pytest.mark.parametrize(
    ("name", "layers", "macs", "depthwise"),
    [("resnet50", 53, 4.09, 0), ("vgg16", 13, 15.35, 0), ("alexnet", 5, 0.656, 0), ("mobilenet_v2", 52, 0.2995, 17)],
)
def test_a_networks_layers(name: str, layers: int, macs: float, depthwise: int, folder: Path) -> None:
    from convpipe.config.tree import config_folder

    rows = [
        {key: value if key == "label" else json.loads(value) for key, value in row.items()}
        for row in listed_points(config_folder() / "points" / f"{name}.csv")
    ]
    assert len({row["label"] for row in rows}) == len(rows) == layers
    assert sum(row["conv.groups"] > 1 for row in rows) == depthwise
    total = sum(multiply_adds(row) for row in rows)
    assert total / 1e9 == pytest.approx(macs, rel=1e-3)  # as published, without the layers that are no convolution
    there = {(3, 224)}
    for row in rows:
        _, channels, height, width = row["input.shape"]
        assert height == width
        assert (channels, height) in there, row
        there |= pooled(row["filters.count"], output_size(row))
    dry = swept(f"experiment={name}", "dry_run=true").out
    assert dry.startswith(f"{layers} points, 0 of them already done")
    assert f"{total:,} multiply-adds" in dry


def output_size(row: dict[str, Any]) -> int:
    """The size of a layer's output, from the textbook."""
    return int((row["input.shape"][2] + 2 * row["conv.pad"] - row["filters.kernel"]) // row["conv.stride"] + 1)


def multiply_adds(row: dict[str, Any]) -> int:
    """The multiply-adds of a layer, from the textbook."""
    per_cell = row["input.shape"][1] // row["conv.groups"] * row["filters.kernel"] ** 2
    return int(output_size(row) ** 2 * row["filters.count"] * per_cell)


def pooled(channels: int, size: int) -> set[tuple[int, int]]:
    """What a layer's output may feed: as it is, or after a pooling of 2x2, of 3x3 (AlexNet), of 3x3 padded (ResNet)."""
    return {(channels, each) for each in (size, size // 2, (size - 3) // 2 + 1, (size + 2 - 3) // 2 + 1)}


def test_a_network_whose_layers_do_not_fit_is_found() -> None:
    row = {"input.shape": [1, 64, 56, 56], "filters.count": 64, "filters.kernel": 3, "conv.stride": 1, "conv.pad": 0}
    assert output_size(row) == 54
    assert (64, 56) not in pooled(64, 54)


def test_the_shipped_sweeps_run(folder: Path) -> None:
    assert last_line(swept("root=r", "experiment=grid")) == "138 done, 0 there before, 0 failed, 6 impossible: r/grid"
    assert (
        last_line(swept("root=r", "experiment=seeds", "seed=range(0,10)"))
        == "10 done, 0 there before, 0 failed: r/seeds"
    )
    assert last_line(swept("root=r", "experiment=alexnet")) == "5 done, 0 there before, 0 failed: r/alexnet"
    first = convpipe("root=r", "experiment=alexnet")
    assert (first.code, "reproduced" in first.out) == (0, True)  # without -m: the first layer


# Memory


MEASURE = """
import re, sys
from convpipe.cli.main import main
code = main(sys.argv[1:])
# not getrusage's peak, which begins with that of the process that started this one
print("peak", re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
sys.exit(code)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_memory_does_not_grow_with_the_number_of_points(folder: Path) -> None:
    peaks = []
    for count in (100, 2500):
        words = ["-m", *SMALL, f"name=of_{count}", f"seed=range(0,{count})"]
        out = subprocess.run(
            [sys.executable, "-c", MEASURE, *words], env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        peaks.append(int(out.split("peak ")[1]))
    assert peaks[1] - peaks[0] < 5_000  # KiB: 1 for each more, and 4 if its row were kept
