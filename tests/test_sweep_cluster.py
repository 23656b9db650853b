"""The same sweep on Dask, on Ray and by stock Hydra launchers: the same collection, to the byte."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import CHECKOUT, Answer, convpipe, process, refused
from run_cases import hidden
from sweep_cases import collected, fast_folder, results
from test_sweep_resume import SOON, alive, children, ended, wait_for, wait_for_end

from convpipe.archive.collection import run_names
from convpipe.errors import ConfigError, StorageError
from convpipe.sweeps import clusters
from convpipe.sweeps.clusters import dask as dask_cluster
from convpipe.sweeps.clusters.ray import own_error
from convpipe.sweeps.totals import MOST_LISTED

KILLS = int(os.environ.get("CONVPIPE_KILLS", "2"))
RUNS_PER_KILL = 90
SECONDS = 60
LATER = 0.5  # in which a batch that nobody waited for would have added runs
WORDS = ("-m", "root=r", "name=c", "experiment=lecture_4d")
C = Path("r/c")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONWARNINGS": "ignore"}

needs_dask = pytest.mark.skipif(
    find_spec("distributed") is None, reason="needs the extra: pip install 'convpipe[dask]'"
)
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra: pip install 'convpipe[ray]'")


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder in memory."""
    with fast_folder() as folder:
        monkeypatch.chdir(folder)
        yield folder


# Dask


class Cluster:
    """A Dask scheduler and workers, in processes of their own that start elsewhere."""

    def __init__(self, place: Path) -> None:
        self.place, self.file = place, place / "scheduler.json"
        self.running: list[subprocess.Popen[bytes]] = []
        self.scheduler = self.start("scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(self.file))
        start = time.perf_counter()
        while not (self.file.exists() and self.file.read_text().endswith("}")):
            assert time.perf_counter() - start < SECONDS
            time.sleep(0.02)
        self.address: str = json.loads(self.file.read_text())["address"]
        self.workers: list[subprocess.Popen[bytes]] = []

    def start_workers(self, count: int) -> None:
        """More workers; the cluster has them when this is over, however long they take."""
        from distributed import Client

        self.workers += [self.start_worker() for _ in range(count)]
        living = sum(worker.poll() is None for worker in self.workers)
        with Client(self.address, timeout=SECONDS, set_as_default=False) as client:
            client.wait_for_workers(living, timeout=SECONDS)

    def start_worker(self) -> subprocess.Popen[bytes]:
        """One more worker."""
        limits = ("--nthreads", "2", "--no-nanny", "--no-dashboard", "--memory-limit", "0")
        return self.start("worker", self.address, *limits, "--local-directory", str(self.place))

    def start(self, what: str, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", "--host", "127.0.0.1", *words]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.running.append(subprocess.Popen(command, cwd=self.place, env=ENVIRONMENT, **quiet))  # type: ignore[call-overload]
        return self.running[-1]

    def end(self) -> None:
        """End every process that was started."""
        for running in reversed(self.running):
            running.kill()
            running.wait()


@contextmanager
def a_cluster(workers: int) -> Iterator[Cluster]:
    with fast_folder() as place:
        cluster = Cluster(place)
        try:
            if workers:
                cluster.start_workers(workers)
            yield cluster
        finally:
            cluster.end()


@pytest.fixture(scope="module")
def dask() -> Iterator[Cluster]:
    """A cluster of two workers, not to be harmed."""
    with a_cluster(2) as cluster:
        yield cluster


def on(cluster: Cluster) -> tuple[str, ...]:
    return ("cluster=dask", f"cluster.address={cluster.address}")


@needs_dask
def test_dask_gives_the_same_collection(folder: Path, dask: Cluster) -> None:
    words = (*WORDS, "seed=range(0,100)", "conv.stride=1,2")
    assert convpipe(*words, "root=alone").code == 0
    answer = convpipe(*words, *on(dask))
    assert (answer.code, answer.err) == (0, "")
    assert "200 done, 0 there before, 0 failed: r/c" in answer.out
    assert collected(C) == collected(Path("alone/c"))
    made_by = {json.loads(path.read_text())["provenance"]["threads"] for path in C.glob("*/manifest.json")}
    assert made_by == {1}
    again = convpipe(*words, *on(dask))
    assert (again.code, "0 done, 200 there before, 0 failed" in again.out) == (0, True)


@needs_dask
def test_relative_paths_are_those_of_the_client(folder: Path, dask: Cluster) -> None:
    np.save("image.npy", np.arange(48, dtype=np.int16).reshape(1, 3, 4, 4))
    words = ("-m", "name=c", "input=npy", "input.path=image.npy", "filters=integers", "filters.count=range(1,9)")
    assert convpipe(*words, "root=alone").code == 0
    answer = convpipe(*words, "root=r", *on(dask))
    assert (answer.code, answer.err) == (0, "")
    assert collected(C) == collected(Path("alone/c"))
    assert sorted(path.name for path in folder.iterdir()) == ["alone", "image.npy", "r"]


@needs_dask
def test_failures_on_dask(folder: Path, dask: Cluster) -> None:
    words = ("-m", "root=r", "name=c", "input=integers", "filters=integers", "conv.dtype=int8", "input.low=0",
             "filters.low=1", "filters.high=2", "input.high=1,2,100", "seed=range(0,10)")  # fmt: skip
    alone, there = convpipe(*words, "root=alone"), convpipe(*words, *on(dask))
    assert (alone.code, there.code) == (1, 1)
    assert causes(alone) == causes(there) == ["10 failed: conv.dtype"]
    assert len(alone.err.splitlines()) == len(there.err.splitlines()) == MOST_LISTED + 1
    assert collected(C) == collected(Path("alone/c"))


def causes(answer: Answer) -> list[str]:
    """How many points have failed for which cause, as the end of a sweep has it."""
    return re.findall(r"^\d+ failed: [\w.]+", answer.out, re.MULTILINE)


@needs_dask
def test_a_killed_dask_worker_loses_nothing(folder: Path) -> None:
    words = (*WORDS, "seed=range(0,600)")
    assert convpipe(*words, "root=alone").code == 0
    with a_cluster(2) as cluster:
        running = process(*words, *on(cluster), cwd=folder)
        wait_for(lambda: C.is_dir() and len(run_names(C)) > 100, running)
        cluster.workers[0].kill()
        cluster.workers[0].wait()
        assert ended(running) == (0, "")
    assert collected(C) == collected(Path("alone/c"))


@needs_dask
def test_a_client_killed_again_and_again(folder: Path, dask: Cluster) -> None:
    words = (*WORDS, f"seed=range(0,{KILLS * RUNS_PER_KILL})", *on(dask))
    assert convpipe(*words[:-2], "root=alone").code == 0
    numbers = random.Random(0)
    for _ in range(KILLS):
        before = len(run_names(C)) if C.is_dir() else 0
        running = process(*words, cwd=folder)
        wait_for(lambda before=before: C.is_dir() and len(run_names(C)) > before, running)  # type: ignore[misc]
        time.sleep(numbers.uniform(0, 0.04))
        running.kill()
        running.communicate()
    assert ended(process(*words, cwd=folder)) == (0, "")
    assert collected(C) == collected(Path("alone/c"))


@needs_dask
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_client(number: int, code: int, folder: Path, dask: Cluster) -> None:
    running = process(*WORDS, "seed=range(0,3000)", *on(dask), cwd=folder)
    wait_for(lambda: C.is_dir() and len(run_names(C)) > 20, running)
    running.send_signal(number)
    found, err = ended(running, SOON)
    assert found == code
    assert err == "convpipe: interrupted; what is done is kept, and the same command goes on from there\n"
    assert sorted(row["run"] for row in results(C)) == run_names(C)  # workers have ended what they had under way
    assert not hidden(C)
    time.sleep(LATER)
    assert sorted(row["run"] for row in results(C)) == run_names(C)
    assert convpipe(*WORDS, "seed=range(0,100)").code == 0


@needs_dask
def test_clusters_that_do_not_answer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_cluster, "CONNECT_SECONDS", 1)
    words = (*WORDS, "seed=1,2", "cluster=dask")
    answer = convpipe(*words, "cluster.address=tcp://127.0.0.1:1")
    assert answer.code == 4
    assert re.fullmatch(
        r"convpipe: cluster\.address: no Dask scheduler answers at tcp://127\.0\.0\.1:1: .*\n", answer.err
    )
    for address in ("nowhere", "tcp://127.0.0.1", "http://127.0.0.1:8786", "'tcp://[::'", "'tcp://h:x'"):
        error = refused(folder, *words, f"cluster.address={address}")
        assert re.match(r"cluster\.address: got .*, expected the Dask scheduler's address", error)


@needs_dask
def test_a_cluster_without_workers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = dask_cluster.worker_count

    def count_soon(client: Any, address: str | None) -> int:  # to connect may take as long as ever
        monkeypatch.setattr(dask_cluster, "CONNECT_SECONDS", 0.2)
        return count(client, address)

    monkeypatch.setattr(dask_cluster, "worker_count", count_soon)
    with a_cluster(0) as cluster:
        answer = convpipe(*WORDS, "seed=1,2", *on(cluster))
    assert answer.code == 4
    assert answer.err == f"convpipe: cluster.address: the Dask scheduler at {cluster.address} has no workers\n"


@needs_dask
def test_a_cluster_that_loses_all_its_workers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_cluster, "LOST_SECONDS", 2)
    with a_cluster(1) as cluster:
        killer = threading.Thread(target=kill_after_some_runs, args=(cluster.workers[0],))
        killer.start()
        answer = convpipe(*WORDS, "seed=range(0,3000)", *on(cluster))
        killer.join()
        lost = f"the Dask cluster at {cluster.address} has lost all its workers; what is done is kept"
        assert (answer.code, answer.err.partition(", and")[0]) == (4, f"convpipe: {lost}")
        cluster.start_workers(1)
        assert convpipe(*WORDS, "seed=range(0,100)", *on(cluster)).code == 0


def kill_after_some_runs(worker: subprocess.Popen[bytes]) -> None:
    while not (C.is_dir() and len(run_names(C)) > 50):
        time.sleep(0.01)
    worker.kill()
    worker.wait()


def test_a_cluster_without_its_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("distributed", "ray"):
        monkeypatch.setitem(sys.modules, name, None)
    for kind in ("dask", "ray"):
        with (
            pytest.raises(ConfigError, match=rf"cluster\.kind: got {kind}, .*pip install 'convpipe\[{kind}\]'"),
            clusters.named(kind)("x"),
        ):
            pass
    said = refused(folder, *WORDS, "seed=1,2", "cluster=ray", "cluster.kind=spark")
    assert said == "cluster.kind: got spark, expected one of dask, ray"


def test_batches_take_the_process_for_themselves() -> None:
    code = "import sys; from convpipe.cli.main import main; main(sys.argv[1:]); print(sorted(sys.modules))"
    command = [sys.executable, "-c", code, "-m", "dry_run=true", "seed=1,2"]
    out = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True).stdout
    loaded = {name.strip(" '[]\n").partition(".")[0] for name in out.rpartition("[")[2].split(",")}
    assert not loaded & {"dask", "distributed", "ray", "joblib", "submitit", "pandas"}
    assert "convpipe" in loaded


# Ray


@needs_ray
def test_ray_gives_the_same_collection(folder: Path) -> None:
    np.save("image.npy", np.arange(48, dtype=np.int16).reshape(1, 3, 4, 4))
    words = ("-m", "name=c", "input=npy", "input.path=image.npy", "filters=integers", "filters.count=range(1,41)")
    assert convpipe(*words, "root=alone").code == 0
    code, err = ended(process(*words, "root=r", "cluster=ray", cwd=folder))
    assert (code, err) == (0, "")
    assert collected(C) == collected(Path("alone/c"))


def ray_workers(process: int) -> list[int]:
    """The processes below a process that run Ray's tasks of ours."""
    below = children(process)
    own = [child for child in below if b"ray::run_batch" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return own + [worker for child in below for worker in ray_workers(child)]


@needs_ray
def test_a_killed_ray_worker_loses_nothing(folder: Path) -> None:
    words = (*WORDS, "seed=range(0,2000)")
    assert convpipe(*words, "root=alone").code == 0
    running = process(*words, "cluster=ray", cwd=folder)
    wait_for(lambda: C.is_dir() and len(run_names(C)) > 100 and ray_workers(running.pid), running)
    for worker in ray_workers(running.pid)[:1]:
        os.kill(worker, signal.SIGKILL)
        wait_for_end(worker)
    assert ended(running) == (0, "")
    assert collected(C) == collected(Path("alone/c"))


def test_rays_errors_are_ours() -> None:
    own = StorageError("full")
    assert own_error(own) is own
    assert str(own_error(KeyError("x"))) == "KeyError: 'x'"


# Stock launchers


LAUNCHERS = {"basic": "hydra", "joblib": "hydra_plugins.hydra_joblib_launcher",
             "submitit_local": "hydra_plugins.hydra_submitit_launcher"}  # fmt: skip


def installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:
        return False


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_stock_launchers_give_the_same_collection(launcher: str, folder: Path) -> None:
    if not installed(LAUNCHERS[launcher]):
        pytest.skip(f"needs the plugin {LAUNCHERS[launcher]}")
    words = (
        "-m",
        "name=c",
        "experiment=lecture_4d",
        "seed=1,2",
        "conv.pad=[[0,1],[2,0]],'same'",
        "keep='stages'",
        "+data='a b','a  b'",  # no part of a run, and yet it has to arrive
    )
    assert convpipe(*words, "root=alone").code == 0
    words = (*words, "root=r", f"hydra/launcher={launcher}")
    code, err = ended(process(*words, cwd=folder))
    assert (code, err) == (0, "")
    assert collected(C) == collected(Path("alone/c"))
    assert convpipe(*words).out.endswith("0 done, 8 there before, 0 failed: r/c\n")
    assert sorted(path.name for path in folder.iterdir()) in (["alone", "r"], [".submitit", "alone", "r"])


def test_failures_by_a_stock_launcher(folder: Path) -> None:
    words = ("-m", "name=c", "input=integers", "filters=integers", "conv.dtype=int8", "input.low=0", "filters.low=1",
             "filters.high=2", "input.high=2,100", "seed=1,2")  # fmt: skip
    alone, there = convpipe(*words, "root=alone"), convpipe(*words, "root=r", "hydra/launcher=basic")
    assert (alone.code, there.code) == (1, 1)
    assert alone.err == there.err
    assert collected(C) == collected(Path("alone/c"))
    assert "2 failed before" in convpipe(*words, "root=r", "hydra/launcher=basic").out


_: Any = (children, alive, hidden)
