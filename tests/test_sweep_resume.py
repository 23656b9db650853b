"""A sweep loses nothing: killed, interrupted, or beside another one, it ends with the collection of one left alone."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from cli_runs import convpipe, process
from run_cases import hidden, run_folders
from sweep_cases import collected, fast_folder, results, statuses

from convpipe.archive.collection import rebuild, run_names
from convpipe.archive.verify import verify
from convpipe.graph.memo import Memo
from convpipe.graph.spec import Spec
from convpipe.graph.work import Work
from convpipe.sweeps import points

KILLS = int(os.environ.get("CONVPIPE_KILLS", "4"))
RUNS_PER_KILL = 90
SECONDS = 60  # after which a test gives up waiting
SOON = 20  # seconds that a signal may take, on however busy a machine; tests/benchmarks/waiting.py measures
WORDS = ("-m", "root=r", "name=c", "experiment=lecture_4d")
C = Path("r/c")
# Every third point fails: its sum does not fit.
FAILING = ("-m", "root=r", "name=c", "input=integers", "filters=integers", "conv.dtype=int8", "input.low=0",
           "filters.low=1", "filters.high=2", "input.high=1,2,100")  # fmt: skip


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder in memory."""
    with fast_folder() as folder:
        monkeypatch.chdir(folder)
        yield folder


def wait_for(what: Callable[[], object], running: subprocess.Popen[str] | None = None) -> None:
    """Wait until something is the case, or the process has ended."""
    start = time.perf_counter()
    while not what() and (running is None or running.poll() is None):
        assert time.perf_counter() - start < SECONDS
        time.sleep(0.002)


def runs() -> int:
    """How many runs there are."""
    return len(run_names(C)) if C.is_dir() else 0


def children(process: int) -> list[int]:
    """The processes that a process has started."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True).stdout
    return [int(line) for line in listed.split()]


def alive(process: int) -> bool:
    """Whether a process runs; one that only waits to be taken note of does not."""
    try:
        return ") Z" not in Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False


def wait_for_end(process: int) -> None:
    """Wait until a process has ended, without taking note of it."""
    start = time.perf_counter()
    while alive(process):
        assert time.perf_counter() - start < SECONDS
        time.sleep(0.002)


def ended(running: subprocess.Popen[str], seconds: float = SECONDS) -> tuple[int, str]:
    """The exit code and standard error of a process that ends by itself."""
    try:
        _, err = running.communicate(timeout=seconds)
    finally:
        running.kill()
    return running.returncode, err


def assert_whole(expected: Path) -> None:
    """The collection is that of a sweep left alone, to the byte, and its table that of the runs."""
    assert collected(C) == collected(expected)
    table = (C / "results.csv").read_bytes().splitlines()  # in the order in which workers' batches came
    assert sorted(rebuild(C).read_bytes().splitlines()) == sorted(table)


# Kills


def killed_on_its_way(words: Sequence[str], numbers: random.Random, folder: Path) -> bool:
    """Start a sweep and kill it, wherever it is by then; False where it came to its end before."""
    before = runs()
    running = process(*words, cwd=folder)
    if numbers.random() < 0.8:
        wait_for(lambda: runs() > before, running)
        time.sleep(numbers.uniform(0, 0.04))
    else:
        time.sleep(numbers.uniform(0, 0.8))
    running.kill()
    running.communicate()
    return running.returncode == -signal.SIGKILL


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_again_and_again(workers: int, folder: Path) -> None:
    words = (*FAILING, f"seed=range(0,{KILLS * RUNS_PER_KILL // 3})", f"workers={workers}")
    assert convpipe(*words, "root=alone").code == 1
    numbers = random.Random(workers)
    kills = 0
    for _ in range(10 * KILLS):
        if killed_on_its_way(words, numbers, folder):
            kills += 1
        else:  # whole, and there is nothing left to kill
            assert_whole(Path("alone/c"))
            shutil.rmtree(C)
        if kills == KILLS:
            break
    assert kills == KILLS
    code, err = ended(process(*words, cwd=folder))
    assert code == 1, err
    assert_whole(Path("alone/c"))


def test_workers_do_not_outlive_a_killed_sweep(folder: Path) -> None:
    running = process(*WORDS, "seed=range(0,2000)", "workers=2", cwd=folder)
    wait_for(lambda: runs() > 10, running)
    workers = children(running.pid)
    running.kill()
    running.communicate()
    assert len(workers) == 2
    for worker in workers:
        wait_for_end(worker)


@pytest.mark.parametrize("cut", [1, 40, 10_000])
def test_files_that_a_kill_cut_short(cut: int, folder: Path) -> None:
    words = (*FAILING, "seed=range(0,4)")
    assert convpipe(*words, "root=alone").code == 1
    assert convpipe(*words).code == 1
    for name in (".index.jsonl", ".failed.jsonl"):
        content = (C / name).read_bytes()
        (C / name).write_bytes(content[: max(0, len(content) - cut)])
    (C / "results.csv").unlink()
    assert convpipe(*words, "seed=range(0,3)").code == 1
    assert convpipe(*words).code == 1
    assert_whole(Path("alone/c"))


def test_what_a_kill_left_half_done_is_cleared(folder: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])  # nobody takes note of its end
    wait_for_end(dead.pid)
    assert convpipe(*WORDS, "seed=1").code == 0
    from convpipe.files.staging import machine_mark

    left = C / f".staging-0123456789ab-{machine_mark()}-{dead.pid}-00000000"
    mine = C / f".staging-0123456789ab-{machine_mark()}-{os.getpid()}-00000000"
    for path in (left, mine):
        path.mkdir()
    assert convpipe(*WORDS, "seed=1,2").code == 0
    assert hidden(C) == [mine.name]  # a living process may still be at it
    dead.wait()


# Interrupts


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_soon_and_in_one_line(number: int, code: int, workers: int, folder: Path) -> None:
    words = (*WORDS, "seed=range(0,1500)", f"workers={workers}")
    running = process(*words, cwd=folder, start_new_session=True)
    wait_for(lambda: runs() > 20, running)
    started = children(running.pid)
    assert len(started) == (workers if workers > 1 else 0)
    os.killpg(running.pid, number) if number == signal.SIGINT else running.send_signal(number)  # as a terminal does
    found, err = ended(running, SOON)
    assert (found, err) == (
        code,
        "convpipe: interrupted; what is done is kept, and the same command goes on from there\n",
    )
    assert not any(map(alive, started))
    assert hidden(C) == []
    there = run_names(C)
    assert 20 < len(there) < 1500
    assert sorted(row["run"] for row in results(C)) == there
    for name in there[:20]:
        assert verify(C / name)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_does_not_wait_for_a_long_run(workers: int, folder: Path) -> None:
    # minutes for a single run
    words = (*WORDS, "input=random", "input.shape=[1,3,256,256]", "timing.repeats=10000", "seed=range(0,9)")
    running = process(*words, f"workers={workers}", cwd=folder)
    wait_for(lambda: C.is_dir() and len(hidden(C)) == workers, running)
    started = children(running.pid)
    running.send_signal(signal.SIGINT)
    assert ended(running, SOON)[0] == 130
    assert not any(map(alive, started))
    assert (hidden(C), results(C)) == ([], [])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_before_anything_runs(number: int, code: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, planned = points.checked_work, []

    def interrupted(spec: Spec, memory: int, memo: Memo) -> Work:
        planned.append(spec)
        if len(planned) == 100:
            signal.raise_signal(number)
        return plan(spec, memory, memo)

    monkeypatch.setattr(points, "checked_work", interrupted)
    assert convpipe(*WORDS, "seed=range(0,200)").code == code
    assert len(planned) == 100
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_worker_ends_it_in_one_line_and_it_goes_on(number: int, folder: Path) -> None:
    words = (*WORDS, "seed=range(0,400)", "workers=2")
    assert convpipe(*words, "root=alone").code == 0
    running = process(*words, cwd=folder)
    wait_for(lambda: runs() > 5, running)
    workers = children(running.pid)
    os.kill(workers[0], number)
    code, err = ended(running)
    assert code == 4
    assert re.fullmatch(r"convpipe: a worker process was killed \(.*\); what is done is kept, and the same .*\n", err)
    assert not any(map(alive, workers))
    assert hidden(C) == []
    assert len(results(C)) == runs() < 400
    assert convpipe(*words).code == 0
    assert_whole(Path("alone/c"))


# Two at once


@pytest.mark.parametrize("workers", [1, 2])
def test_two_identical_sweeps_at_once(workers: int, folder: Path) -> None:
    words = (*WORDS, "seed=range(0,150)", f"workers={workers}")
    assert convpipe(*words, "root=alone").code == 0
    both = [process(*words, cwd=folder) for _ in range(2)]
    assert [ended(running) for running in both] == [(0, ""), (0, "")]
    assert_whole(Path("alone/c"))


def test_two_sweeps_at_once_give_the_union(folder: Path) -> None:
    parts = (("seed=range(0,100)",), ("seed=range(50,150)",))
    assert convpipe(*WORDS, "seed=range(0,150)", "root=alone").code == 0
    both = [process(*WORDS, *part, cwd=folder) for part in parts]
    assert [ended(running) for running in both] == [(0, ""), (0, "")]
    assert statuses(C) == {"done": 150}
    assert_whole(Path("alone/c"))


def test_the_comparison_finds_what_differs(folder: Path) -> None:
    for root in ("r", "alone"):
        assert convpipe(*WORDS, "seed=1,2", f"root={root}").code == 0
    assert_whole(Path("alone/c"))
    run = run_folders(C)[0]
    changes = {
        run / "output.npy": lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        run / "manifest.json": lambda content: content.replace(b'"done"', b'"half"'),
        C / "results.csv": lambda content: content.replace(b"done", b"dune", 1),
        run / "more": lambda content: b"",
        C / ".staging-0123456789ab-01234567-1-01234567": lambda content: b"",
    }
    for path, change in changes.items():
        before = path.read_bytes() if path.exists() else None
        path.write_bytes(change(before or b""))
        assert collected(C) != collected(Path("alone/c")), path
        path.unlink()
        if before is not None:
            path.write_bytes(before)
    assert_whole(Path("alone/c"))
