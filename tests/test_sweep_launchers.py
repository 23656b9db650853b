"""Hydra's launchers: named in files or by words, they get chunks of points, and what ends is in the books."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import tomllib
from collections.abc import Generator, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import CHECKOUT, convpipe, process, refused
from sweep_cases import collected, events, fast_folder, results, statuses
from test_sweep_cluster import LAUNCHERS, installed
from test_sweep_resume import SOON, children, ended, wait_for

from convpipe.archive.collection import run_names
from convpipe.archive.index import each_row, note
from convpipe.config.app import make_hydra
from convpipe.config.hydra_safety import EXTRAS
from convpipe.config.words import words_for_hydra
from convpipe.report.waiting import Growth
from convpipe.sweeps.events import Closed, Event
from convpipe.sweeps.outcomes import Finished, Launched
from convpipe.sweeps.started import started

C = Path("r/c")
WORDS = ("-m", "root=r", "name=c", "experiment=lecture_4d")
# Half of its points fail.
OVERFLOWING = ("root=r", "name=c", "input=integers", "filters=integers", "conv.dtype=int8", "input.low=0",
               "filters.low=1", "filters.high=2", "input.high=2,100")  # fmt: skip
needs_joblib = pytest.mark.skipif(
    not installed(LAUNCHERS["joblib"]), reason="needs the extra: pip install 'convpipe[joblib]'"
)
needs_submitit = pytest.mark.skipif(
    not installed(LAUNCHERS["submitit_local"]), reason="needs the extra: pip install 'convpipe[slurm]'"
)


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder in memory."""
    with fast_folder() as folder:
        monkeypatch.chdir(folder)
        yield folder


def last_line(*words: str, code: int = 0) -> str:
    """The last line of a sweep that is to end so."""
    answer = convpipe(*words)
    assert answer.code == code, answer.err
    return answer.out.rstrip("\n").rpartition("\n")[2]


def line_of(folder: Path, *words: str) -> str:
    """The same of a process of its own, as joblib's workers stay in the folder that they have started in."""
    running = process(*words, cwd=folder)
    out, err = running.communicate()
    assert (running.returncode, err) == (0, "")
    return out.rstrip("\n").rpartition("\n")[2]


def told(*words: str) -> Generator[Event]:
    """What happens in a sweep by the launcher that it names."""
    return started(make_hydra(), words_for_hydra(words))


# Named in files


def write_experiment(text: str) -> tuple[str, ...]:
    """A folder with an experiment of Hydra's form; gives the words that choose it."""
    Path("own/experiment").mkdir(parents=True)
    Path("own/experiment/mine.yaml").write_text(f"# @package _global_\n{text}")
    return ("--config-dir", "own", "-m", "experiment=mine", "name=c", "root=r")


def write_own(text: str) -> tuple[str, ...]:
    """A file of one's own; gives the words that run it."""
    Path("my.yaml").write_text(text)
    return ("-m", "my.yaml", "name=c", "root=r")


FORMS = pytest.mark.parametrize("written", [write_experiment, write_own])
BASIC = "defaults:\n  - override /hydra/launcher: basic\n"


@FORMS
def test_a_launcher_that_a_file_names_runs_the_points(written: Any, folder: Path) -> None:
    words = written(BASIC)
    assert last_line(*words, "seed=1,2,3") == "3 done, 0 there before, 0 failed: r/c (3 points in 1 job)"
    assert last_line(*words, "seed=4", "hydra/launcher=convpipe") == "1 done, 0 there before, 0 failed: r/c"


@FORMS
@needs_joblib
def test_a_launchers_settings_in_a_file_are_followed(written: Any, folder: Path) -> None:
    words = written("defaults:\n  - override /hydra/launcher: joblib\nhydra: {launcher: {n_jobs: 3}}\n")
    ending = "0 failed: r/c (7 points in 3 jobs of at most 3)"
    assert line_of(folder, *words, "seed=range(0,7)") == f"7 done, 0 there before, {ending}"
    ending = "0 failed: r/c (6 points in 2 jobs of at most 3)"
    assert line_of(folder, *words, "seed=range(7,13)", "hydra.launcher.n_jobs=2") == f"6 done, 0 there before, {ending}"


@pytest.mark.parametrize("text", ["hydra/launcher: basic\n", "hydra: {launcher: basic}\n", BASIC.replace("/", "")])
def test_a_file_of_ones_own_names_a_launcher_in_any_form(text: str, folder: Path) -> None:
    text = text.replace("hydralauncher", "hydra/launcher")
    words = write_own(f'{text}seed: 5\nhydra.sweeper.params: {{conv.stride: "1,2"}}\n')
    assert last_line(*words).endswith("2 done, 0 there before, 0 failed: r/c (2 points in 1 job)")
    assert all("seed: 5\n" in path.read_text() for path in C.glob("*/config.yaml"))


SAMPLE = r"\(sweep\.sample=20 draws as many at random\)"
REFUSED = {
    "another sweeper": (
        "defaults:\n  - override /hydra/sweeper: optuna\nhydra: {sweeper: {n_trials: 20}}\n",
        rf"hydra/sweeper: got optuna, expected convpipe, which runs every point of all axes {SAMPLE}",
    ),
    "Hydra's own": (
        "defaults:\n  - override /hydra/sweeper: basic\n",
        rf"hydra/sweeper: got basic, expected convpipe, which runs every point of all axes {SAMPLE}",
    ),
    "a sweeper's setting": (
        "hydra: {sweeper: {n_trials: 20}}\n",
        rf"hydra\.sweeper\.n_trials: got 20, expected params alone, which are the axes {SAMPLE}",
    ),
    "a launcher's, of none": (
        "hydra: {launcher: {timeout_min: 5}}\n",
        r"hydra\.launcher\.timeout_min: got 5, expected no settings of the launcher convpipe",
    ),
    "a launcher's, of one without": (
        f"{BASIC}hydra: {{launcher: {{n_jobs: 5}}}}\n",
        r"hydra\.launcher\.n_jobs: got n_jobs, expected no settings of this launcher",
    ),
}  # fmt: skip


@FORMS
@pytest.mark.parametrize("case", REFUSED)
def test_what_would_be_passed_over_is_refused(case: str, written: Any, folder: Path) -> None:
    text, line = REFUSED[case]
    words = written(text)
    for multirun in ((), ("-m",)):
        error = refused(folder, *(word for word in words if word != "-m"), *multirun)
        assert re.match(line, error), error


@FORMS
@needs_joblib
@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("n_job: 2", r"hydra\.launcher\.n_job: got n_job, expected one of .* \(did you mean n_jobs\?\)"),
        ("n_jobs: abc", r"hydra\.launcher\.n_jobs: got abc, expected a value that the launcher takes \(.*Integer\)"),
    ],
)
def test_a_launchers_wrong_setting_is_named(setting: str, line: str, written: Any, folder: Path) -> None:
    words = written(f"defaults:\n  - override /hydra/launcher: joblib\nhydra: {{launcher: {{{setting}}}}}\n")
    assert re.match(line, refused(folder, *words, "seed=1,2"))


def test_hydras_mode_is_not_passed_over(folder: Path) -> None:
    words = write_experiment("hydra: {mode: MULTIRUN}\nseed: 1\n")
    error = refused(folder, *(word for word in words if word != "-m"))
    assert re.match(r"hydra\.mode: got .*MULTIRUN, expected no such key: -m beside it", error)


@pytest.mark.parametrize("sweeper", ["basic", "optuna", "nope"])
def test_the_sweeper_of_the_command_line_is_ours(sweeper: str, folder: Path) -> None:
    line = refused(folder, "-m", f"hydra/sweeper={sweeper}", "seed=1,2")
    assert line.startswith(f"hydra/sweeper: got {sweeper}, expected convpipe, which runs every point of all axes")
    assert convpipe("-m", "hydra/sweeper=convpipe", "seed=1,2", "root=r").code == 0


def test_the_advice_instead_of_another_sweeper_works(folder: Path) -> None:
    assert last_line(*WORDS, "seed=range(0,100)", "sweep.sample=20") == "20 done, 0 there before, 0 failed: r/c"


def test_each_launcher_is_of_an_extra_that_there_is() -> None:
    extras = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(EXTRAS.values()) <= extras.keys()
    assert [text for text in extras["ray"] if text.startswith("ray[client]")]


@pytest.mark.skipif(find_spec("submitit") is not None, reason="the launcher is installed here")
def test_a_launcher_that_is_not_installed_says_how_to(folder: Path) -> None:
    line = refused(folder, *WORDS, "hydra/launcher=submitit_slurm", "seed=1,2")
    assert line.endswith("(pip install 'convpipe[slurm]')")


# Chunks


@pytest.mark.parametrize(
    ("chunk", "jobs"),
    [("3", "4 jobs of at most 3"), ("1", "10 jobs of at most 1"), ("10", "1 job"), ("99", "1 job"), ("null", "1 job")],
)
def test_chunks_are_as_large_as_is_asked_for(chunk: str, jobs: str, folder: Path) -> None:
    words = (*WORDS, "seed=range(0,5)", "conv.stride=1,2")
    assert convpipe(*words, "root=alone").code == 0
    line = last_line(*words, "hydra/launcher=basic", f"cluster.chunk={chunk}")
    assert line == f"10 done, 0 there before, 0 failed: r/c (10 points in {jobs})"
    assert collected(C) == collected(Path("alone/c"))
    index = [row["run"] for row in each_row(C / ".index.jsonl")]
    assert sorted(index) == run_names(C)  # each once


def test_a_file_says_how_large_chunks_are(folder: Path) -> None:
    words = write_own(f"{BASIC}cluster: {{chunk: 2}}\n")
    assert last_line(*words, "seed=range(0,5)").endswith("(5 points in 3 jobs of at most 2)")
    for wrong in ("0", "-1", "abc", "1.5"):
        assert re.match(
            r"cluster\.chunk: got .*, expected a whole number from 1",
            refused(folder, *words, "seed=9", f"cluster.chunk={wrong}"),
        )


def test_a_chunk_bounds_batches_without_a_launcher_too(folder: Path) -> None:
    words = (*WORDS, "seed=range(0,60)")
    assert convpipe(*words, "root=alone").code == 0
    assert last_line(*words, "workers=2", "cluster.chunk=1") == "60 done, 0 there before, 0 failed: r/c"
    assert collected(C) == collected(Path("alone/c"))


def test_only_what_is_not_there_goes_to_a_launcher(folder: Path) -> None:
    assert convpipe(*WORDS, "seed=1,2").code == 0
    line = last_line(*WORDS, "seed=range(0,5)", "hydra/launcher=basic")
    assert line == "3 done, 2 there before, 0 failed: r/c (3 points in 1 job)"
    line = last_line(*WORDS, "seed=range(0,5)", "hydra/launcher=basic")
    assert line == "0 done, 5 there before, 0 failed: r/c"


def test_several_experiments_go_to_a_launcher_at_once(folder: Path) -> None:
    words = ("-m", "name=c", "experiment=lecture_4d,tiny", "seed=1,2")
    assert convpipe(*words, "root=alone").code == 0
    line = last_line(*words, "root=r", "hydra/launcher=basic", "cluster.chunk=2")
    assert line == "4 done, 0 there before, 0 failed: r/c (4 points in 2 jobs of at most 2)"
    assert collected(C) == collected(Path("alone/c"))


def test_the_failures_of_a_chunk_do_not_stop_its_others(folder: Path) -> None:
    words = ("-m", *OVERFLOWING, "seed=range(0,6)", "hydra/launcher=basic", "cluster.chunk=4")
    line = last_line(*words, code=1)
    assert line == "6 done, 0 there before, 6 failed: r/c (12 points in 3 jobs of at most 4)"
    assert statuses(C) == {"done": 6, "failed": 6}
    assert all(row["error"].startswith("conv.dtype: got int8") for row in results(C) if row["status"] == "failed")
    failures = [row["run"] for row in each_row(C / ".failed.jsonl")]
    assert len(failures) == len(set(failures)) == 6  # each is noted once


def test_stopping_at_a_failure_stops_its_chunk_alone(folder: Path) -> None:
    words = ("-m", *OVERFLOWING[:-1], "input.high=100", "seed=range(0,9)", "hydra/launcher=basic", "cluster.chunk=3")
    line = last_line(*words, "on_error=stop", code=1)
    assert line == "0 done, 0 there before, 3 failed, 6 not run: r/c (9 points in 3 jobs of at most 3)"
    assert statuses(C) == {"failed": 3}


def test_a_file_that_goes_before_its_job_is_its_points_failure(folder: Path) -> None:
    for number, name in enumerate("abc"):
        np.save(f"{name}.npy", np.full((1, 1, 3, 3), number, np.int16))
    words = ("root=r", "name=c", "input=npy", "input.path=a.npy,b.npy,c.npy", "filters=integers")
    outcomes = []
    for event in told(*words, "hydra/launcher=basic"):
        if isinstance(event, Launched):
            assert (event.points, event.jobs, event.largest) == (3, 1, 3)
            Path("b.npy").unlink()
        if isinstance(event, Finished):
            outcomes.append(event.outcome)
    assert sorted((one.overrides, one.status) for one in outcomes) == [
        ("input.path=a.npy", "done"), ("input.path=b.npy", "failed"), ("input.path=c.npy", "done"),
    ]  # fmt: skip
    assert "b.npy" in next(one.error for one in outcomes if one.error)
    assert statuses(C) == {"done": 2, "failed": 1}


@needs_joblib
def test_configs_of_ones_own_reach_other_processes(folder: Path) -> None:
    Path("own/filters").mkdir(parents=True)
    Path("own/filters/mine.yaml").write_text("defaults: [integers, _self_]\ncount: 3\n")
    Path("my.yaml").write_text("input: {source: integers, shape: [1, 3, 4, 4]}\ncluster: {chunk: 2}\n")
    words = ("--config-dir", "own", "-m", "my.yaml", "name=c", "filters=mine", "seed=range(0,5)")
    assert convpipe(*words, "root=alone").code == 0
    code, err = ended(process(*words, "root=r", "hydra/launcher=joblib", cwd=folder))
    assert (code, err) == (0, "")
    assert collected(C) == collected(Path("alone/c"))


@needs_submitit
def test_forty_points_are_few_jobs_of_submitit(folder: Path) -> None:
    words = (*WORDS, "seed=range(0,20)", "conv.stride=1,2")
    assert convpipe(*words, "root=alone").code == 0
    running = process(*words, "hydra/launcher=submitit_local", cwd=folder)
    out, err = running.communicate()
    assert (running.returncode, err) == (0, "")
    found = re.search(r"\(40 points in (\d+) jobs? of at most \d+\)", out)
    assert found is not None
    assert int(found[1]) == min(8, os.cpu_count() or 1)
    assert len([path for path in Path(".submitit").rglob("*") if path.is_file()]) == 4 * int(found[1])
    assert collected(C) == collected(Path("alone/c"))


# What has ended is in the books


def test_what_a_job_has_run_is_noted_before_it_ends(folder: Path) -> None:
    words = (*WORDS, "seed=range(0,1500)", "hydra/launcher=basic")
    running = process(*words, cwd=folder)
    wait_for(lambda: list(each_row(C / ".index.jsonl")), running)
    running.kill()
    running.communicate()
    assert len(run_names(C)) < 1500
    noted = [row["run"] for row in each_row(C / ".index.jsonl")]
    assert noted
    assert set(noted) <= set(run_names(C))
    assert ended(process(*words, cwd=folder)) == (0, "")
    assert sorted(row["run"] for row in results(C)) == run_names(C)
    assert len(run_names(C)) == 1500


@needs_joblib
def test_points_of_a_job_that_dies_are_named(folder: Path) -> None:
    words = (*WORDS, "seed=range(0,6000)", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    running = process(*words, cwd=folder)
    wait_for(lambda: C.is_dir() and len(run_names(C)) > 20, running)
    for worker in loky_workers(running.pid):
        os.kill(worker, signal.SIGKILL)
    code, err = ended(running)
    assert code == 4
    line = r"convpipe: hydra/launcher: JoblibLauncher failed: .*; not ended: seed=\d+; seed=\d+; seed=\d+ and \d+ more"
    # behind it may come what joblib says of what it has not put away
    assert re.match(rf"{line}; what is done is kept, and the same command goes on from there\n", err), err
    assert sorted(row["run"] for row in results(C)) == run_names(C)
    assert convpipe(*WORDS, "seed=range(0,30)").code == 0


def loky_workers(process: int) -> list[int]:
    """The processes below one that run joblib's jobs."""
    found = [child for child in children(process) if b"loky" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return [child for child in found if b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes()]


@needs_submitit
def test_local_jobs_end_with_their_sweep(folder: Path) -> None:
    running = process(*WORDS, "seed=range(0,20000)", "hydra/launcher=submitit_local", cwd=folder)
    wait_for(lambda: C.is_dir() and len(run_names(C)) > 20, running)
    running.send_signal(signal.SIGINT)
    code, err = ended(running, SOON)  # which the pipe that jobs share with it has to end, too
    assert code == 130
    assert err == "convpipe: interrupted; what is done is kept, and the same command goes on from there\n"
    assert len(run_names(C)) < 20000
    assert convpipe(*WORDS, "seed=range(0,30)").code == 0
    assert sorted(row["run"] for row in results(C)) == run_names(C)


def test_looking_on_counts_what_jobs_note(folder: Path) -> None:
    index, failed = folder / ".index.jsonl", folder / ".failed.jsonl"
    note(folder, [{"run": "0" * 12, "status": "done"}])
    growth = Growth([index, failed])
    assert growth.look() == 0
    note(folder, [{"run": "1" * 12, "status": "done"}, {"run": "2" * 12, "status": "failed"}])
    assert growth.look() == 2
    assert growth.look() == 2
    note(folder, [{"run": "3" * 12, "status": "failed"}])
    assert growth.look() == 3


# Workers


def test_no_more_workers_are_started_than_there_are_points_to_run(folder: Path) -> None:
    words = ("root=r", "name=c", "experiment=lecture_4d", "workers=40")
    assert workers_of(*words, "seed=1,2") == 2
    assert workers_of(*words, "seed=1,2,3") == 1  # the others are there
    assert workers_of(*words, "seed=1,2,3") == 0
    assert workers_of(*words, "seed=range(0,30)", "workers=3") == 3


def workers_of(*words: str) -> int:
    """How many processes a sweep has while its points are told, or has had if none is."""
    most = 0
    for event in events(*words):
        if not isinstance(event, Closed):
            most = max(most, len(multiprocessing.active_children()))
    return most


def test_a_record_of_a_launched_sweep_has_each_point(folder: Path) -> None:
    assert convpipe(*WORDS, "seed=1,2,3", "hydra/launcher=basic", "cluster.chunk=2").code == 0
    (record,) = C.glob("sweeps/*.json")
    assert json.loads(record.read_text())["counts"] == {"done": 3}
