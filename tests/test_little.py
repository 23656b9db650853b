"""Little of everything: memory, handles, processes, room on a disk. One line says so, and the same command goes on."""

from __future__ import annotations

import csv
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_runs import convpipe
from surroundings import LONG, RUN, by_script, leftovers, one_line, with_limits

import convpipe as cp
from convpipe.errors import OUT_OF_MEMORY, StorageError, having_kept, made_there, of_the_system
from convpipe.sweeps import batches, executors

MIB = 1 << 20
SWEEP = ["-m", "seed=range(0,12)", "name=new"]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="limits are Linux's here")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a collection of one run."""
    monkeypatch.chdir(tmp_path)
    cp.run()
    return tmp_path


def check_refused(done: subprocess.CompletedProcess[str], folder: Path) -> str:
    """Refused by the system in one line, and nothing is half written: what is said."""
    assert done.returncode == 4, done.stderr
    assert leftovers(folder) == []
    assert all(run.manifest["status"] == "done" for run in cp.verify(folder / "runs"))
    return one_line(done.stderr)


def table_of(folder: Path) -> list[tuple[str, ...]]:
    """What results.csv says, but for when and how fast."""
    with open(folder / "results.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return sorted((row["run"], row["status"], row["output_shape"], row["output_sha256"]) for row in rows)


def check_goes_on(folder: Path, words: list[str] = SWEEP) -> None:
    """The same command, now that the cause is gone, ends with the collection of one that was left alone."""
    assert convpipe(*words).code == 0
    here = table_of(folder / "runs" / "new")
    assert convpipe(*words, "root=undisturbed").code == 0
    assert here == table_of(folder / "undisturbed" / "new")
    answer = convpipe("verify", "runs")
    assert (answer.code, answer.err) == (0, "")


# Memory


@LINUX
@pytest.mark.parametrize("mib", range(8, 90, 2) if LONG else (10, 30, 46, 60))
def test_little_memory_is_said_in_one_line(mib: int, folder: Path) -> None:
    for words in ([*SWEEP, "workers=2"], ["page", RUN]) if LONG else ([*SWEEP, "workers=2"],):
        done = with_limits(words, folder, {resource.RLIMIT_DATA: mib * MIB})
        assert check_refused(done, folder).startswith("convpipe: out of memory")


@LINUX
@pytest.mark.parametrize("mib", range(40, 260, 10) if LONG else (60, 110))
def test_little_address_space_is_said_in_one_line(mib: int, folder: Path) -> None:
    done = with_limits([*SWEEP, "workers=2"], folder, {resource.RLIMIT_AS: mib * MIB})
    if done.returncode:
        assert check_refused(done, folder).startswith("convpipe: out of memory")
    check_goes_on(folder)


def test_no_memory_in_the_midst_of_a_sweep(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = batches.runner.produce

    def produce(prepared: object, *more: object) -> object:
        if prepared.spec.seed == 5:  # type: ignore[attr-defined]
            raise MemoryError
        return real(prepared, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(batches.runner, "produce", produce)
    answer = convpipe(*SWEEP)
    assert answer.code == 1
    assert answer.err == f"failed: seed=5: {OUT_OF_MEMORY}\n"
    monkeypatch.undo()
    os.chdir(folder)
    check_goes_on(folder)  # and so that point is tried again, as there may be memory now


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), RuntimeError("can't start new thread")])
def test_what_the_system_lacks_is_no_fault_of_a_point(
    error: Exception, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = batches.runner.produce

    def produce(prepared: object, *more: object) -> object:
        if prepared.spec.seed == 5:  # type: ignore[attr-defined]
            raise error
        return real(prepared, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(batches.runner, "produce", produce)
    answer = convpipe(*SWEEP)
    assert answer.code == 4
    assert one_line(answer.err).endswith("; what is done is kept, and the same command goes on from there\n")
    monkeypatch.undo()
    os.chdir(folder)
    check_goes_on(folder)


def test_a_pool_whose_thread_ends_is_not_waited_for() -> None:
    def ended() -> None:
        raise RuntimeError("can't start new thread")

    with (  # noqa: PT012
        pytest.raises(StorageError, match=r"^the system starts no more threads"),
        executors.processes(1) as pool,
    ):
        thread = threading.Thread(target=ended)
        thread.start()
        thread.join()
        pool.check()


KILLED = """\
import os, signal, sys
from convpipe.execution import runner
from convpipe.__main__ import run
real, parent = runner.produce, os.getpid()

def produce(prepared, *more):
    if prepared.spec.seed == 7 and os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(prepared, *more)

runner.produce = produce
run()
"""


@LINUX
def test_a_worker_that_is_killed_for_memory_is_told(folder: Path) -> None:
    code, said, left = by_script(KILLED, [*SWEEP, "workers=2"], folder)
    assert (code, left) == (4, [])
    assert "a worker process was killed (for want of memory?); what is done is kept" in one_line(said)
    check_goes_on(folder)


# Handles, threads, the stack, the processor's time, the size of files


@LINUX
@pytest.mark.parametrize("most", range(5, 40) if LONG else (5, 6, 8, 12, 16))
def test_few_handles(most: int, folder: Path) -> None:
    done = with_limits([*SWEEP, "workers=2"], folder, {resource.RLIMIT_NOFILE: most})
    if done.returncode:
        assert "Too many open files (a process may open more after ulimit -n 1024)" in check_refused(done, folder)
    check_goes_on(folder)


@LINUX
@pytest.mark.parametrize("most", [0, 100, 1000, *range(1200, 9000, 300)] if LONG else [0, 1000, 2500, 5000])
def test_files_may_not_grow(most: int, folder: Path) -> None:
    done = with_limits(SWEEP, folder, {resource.RLIMIT_FSIZE: most})
    assert "File too large" in check_refused(done, folder)
    check_goes_on(folder)


@LINUX
def test_a_small_stack_will_do(folder: Path) -> None:
    done = with_limits(SWEEP, folder, {resource.RLIMIT_STACK: 256 << 10})
    assert (done.returncode, done.stderr) == (0, "")


# A disk that is full


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """`runs`, as a file system of its own, where this user may mount one."""
    place = folder / "runs"
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def remount(place: Path, option: str) -> None:
    """The same file system, otherwise."""
    subprocess.run(["mount", "-o", f"remount,{option}", str(place)], check=True)


@pytest.mark.parametrize("kib", range(8, 300, 12) if LONG else (16, 64, 128))
@pytest.mark.parametrize("workers", [1, 2])
def test_a_disk_that_fills_up(kib: int, workers: int, small_disk: Path, folder: Path) -> None:
    remount(small_disk, f"size={kib}k")
    words = [*SWEEP, f"workers={workers}"]
    answer = convpipe(*words)
    assert answer.code == 4
    assert "No space left on device" in one_line(answer.err)
    assert leftovers(small_disk) == []
    there = list((small_disk / "new").glob("*/manifest.json"))
    assert ("is kept" in answer.err) or not there
    remount(small_disk, "size=64m")
    check_goes_on(folder, words)


def test_a_disk_that_turns_read_only(small_disk: Path, folder: Path) -> None:
    remount(small_disk, "size=64m")
    assert convpipe(*SWEEP).code == 0
    remount(small_disk, "ro")
    for words in ([*SWEEP, "seed=range(0,13)"], ["name=new", "seed=50"], ["page", "runs/new"]):
        answer = convpipe(*words)
        assert answer.code == 4
        assert "Read-only file system" in one_line(answer.err)
    for words in (["verify", "runs"], ["runs", "new"], ["explain", "new", "--at", "0,0,0,0"], ["--help"]):
        assert convpipe(*words).code == 0, words
    remount(small_disk, "rw")
    check_goes_on(folder)


# What is said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), OUT_OF_MEMORY),
        (OSError(12, "Cannot allocate memory", "hydra/plugins"), OUT_OF_MEMORY),
        (ImportError("libopenblas.so: failed to map segment from shared object"), OUT_OF_MEMORY),
        (SystemError("error return without exception set"), OUT_OF_MEMORY),
        (
            OSError(24, "Too many open files", "a"),
            "a: Too many open files (a process may open more after ulimit -n 1024)",
        ),
        (OSError(28, "No space left on device", "a"), "a: No space left on device"),
    ],
)
def test_what_the_system_lacks_is_said(error: Exception, said: str) -> None:
    assert str(of_the_system(error)) == said


@pytest.mark.parametrize(
    "error", [ImportError("No module named 'x'"), SystemError("bad"), RuntimeError("x"), ValueError()]
)
def test_what_is_no_fault_of_the_system_is_none(error: Exception) -> None:
    assert of_the_system(error) is None


def test_what_is_kept_is_looked_at(tmp_path: Path) -> None:
    place = tmp_path / "run"
    with pytest.raises(OSError, match="full"), having_kept(made_there("the run", place), "nothing is"):
        raise OSError(28, "full", "a")
    with (  # noqa: PT012
        pytest.raises(StorageError, match=rf"^a: full; the run is kept: {place}$"),
        having_kept(made_there("the run", place)),
    ):
        place.mkdir()
        raise OSError(28, "full", "a")
    with (  # noqa: PT012
        pytest.raises(KeyboardInterrupt, match=rf"^\nthe run is kept: {place}$"),
        having_kept(made_there("the run", place), "nothing is"),
    ):
        place.rename(tmp_path / "another")
        place.mkdir()
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt, match=r"^\nnothing is$"), having_kept(made_there("x", place), "nothing is"):
        raise KeyboardInterrupt
