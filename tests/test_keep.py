"""What a run keeps: which arrays, and what its file sources have read, once per content."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import CHECKOUT, convpipe, job, only_run, refused
from run_cases import FullDisk, a_place, execute, hidden
from test_digits_mnist import DATA, data

import convpipe as cp
from convpipe.archive.below import runs_below
from convpipe.archive.collection import run_names
from convpipe.archive.format import manifest_json
from convpipe.archive.keep import Keep
from convpipe.archive.read import load
from convpipe.archive.verify import verify
from convpipe.archive.write import store_content
from convpipe.errors import ArchiveError, ConfigError, StorageError
from convpipe.execution import runner

TINY = ("experiment=tiny", "record=null")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def ok(*words: str) -> str:
    answer = convpipe(*words)
    assert (answer.code, answer.err) == (0, ""), answer.err
    return answer.out


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


PLAIN_FILES = {"SHA256SUMS", "config.yaml", "manifest.json", "stages.csv", "output.npy"}


# The values


def test_a_keep_is_at_least_another() -> None:
    arrays = {"output": 0, "layers": 1, "stages": 2}
    for mine in Keep:
        for other in Keep:
            (a, _, more), (b, _, wanted) = mine.partition("+"), other.partition("+")
            expected = arrays[a] >= arrays[b] and (more == "inputs" or wanted == "")
            assert mine.covers(other) is expected, (mine, other)
            both = mine.joined(other)
            assert both.covers(mine)
            assert both.covers(other)
            assert both == max(a, b, key=lambda name: arrays[name]) + ("+inputs" if more or wanted else "")


def test_six_values_are_all(folder: Path) -> None:
    line = refused(folder, "keep=layer")
    there = "output, layers, stages, output+inputs, layers+inputs, stages+inputs"
    assert line == f"keep: got layer, expected one of {there} (did you mean layers?)"
    assert refused(folder, "keep=inputs").startswith(f"keep: got inputs, expected one of {there}")


# Which arrays


def test_layers_of_one_convolution_are_its_output(folder: Path) -> None:
    made = {keep: cp.run(name=keep, keep=keep) for keep in ("output", "layers", "stages")}
    assert files(made["layers"].folder) == files(made["output"].folder) == PLAIN_FILES
    assert made["layers"].manifest["archive_id"] == made["output"].manifest["archive_id"]
    assert made["layers"].manifest["keep"] == "output"
    stages = ["input", "filters", "pad", "im2col", "fil2col", "matmul", "reshape"]
    assert files(made["stages"].folder) == PLAIN_FILES | {f"{at:02d}_{name}.npy" for at, name in enumerate(stages)}


def test_layers_are_the_input_and_what_each_layer_makes(folder: Path) -> None:
    run = cp.run(*TINY, keep="layers", name="layers")
    whole = cp.run(*TINY, keep="stages", name="stages")
    kept = ["input", "conv1/transpose", "relu1", "conv2/transpose", "add", "relu2", "pool", "flatten", "dense"]
    numbers = {row["stage"]: at for at, row in enumerate(run.rows)}
    expected = {f"{numbers[name]:02d}_{name.replace('/', '.')}.npy" for name in (*kept, "softmax")}
    assert files(run.folder) == PLAIN_FILES | expected
    assert [row["stage"] for row in run.rows if row["file"]] == [*kept, "softmax"]
    for name in kept:
        assert np.array_equal(run[name], whole[name])
    assert run.manifest["keep"] == "layers"
    assert [row["sha256"] for row in run.rows] == [row["sha256"] for row in whole.rows]
    assert [each.path for each in cp.verify("runs")] == [each.folder for each in (run, whole)]


def test_of_a_batch_in_slices_the_layers_of_the_recorded_images(folder: Path) -> None:
    run = cp.run("experiment=tiny", keep="layers", record=2)
    assert run["input"].shape == (2, 3, 8, 8)
    assert run["relu1"].shape == (2, 8, 8, 8)
    assert run["softmax"].shape == (2, 10)
    assert run.output.shape == (4, 10)
    assert np.array_equal(run.output[:2], run["softmax"])


@data
def test_the_layers_of_the_deep_network(folder: Path) -> None:
    ok("experiment=digits_deep", f"data={DATA}", "keep=layers")
    run = load(only_run(folder / "runs"))
    blocks = [[f"conv{at}.transpose", f"relu{at}", f"conv{at + 1}.transpose", f"relu{at + 1}"] for at in (1, 3, 5)]
    layers = [name for at, block in enumerate(blocks, 1) for name in (*block, f"pool{at}")]
    names = ["input", "scale", *layers, "flatten", "dense1", "relu7", "dense2", "softmax"]
    stored = sorted(name for name in files(run.folder) if name[0].isdigit())
    assert [name[3:-4] for name in stored] == names
    assert run["input"].shape == (1, 1, 28, 28)
    assert run["relu6"].min() == 0
    assert files(run.folder) == {*stored, *PLAIN_FILES, "confusion.csv"}
    verify(run.folder)


@pytest.mark.parametrize(
    ("stage", "keep"),
    [
        ("input", "layers"),
        ("conv1/transpose", "layers"),
        ("relu1", "layers"),
        ("conv1/pad", "stages"),
        ("conv1/filters", "stages"),
        ("dense/weights", "stages"),
    ],
)
def test_an_array_that_was_not_kept_says_what_keeps_it(folder: Path, stage: str, keep: str) -> None:
    run = cp.run(*TINY, keep="output")
    with pytest.raises(ArchiveError, match=rf"the array of '{stage}' was not kept \(run with keep={keep}\)\Z"):
        run[stage]
    assert cp.run(*TINY, keep=keep, name="more")[stage].size


def test_an_array_of_one_convolution_is_kept_as_a_stage(folder: Path) -> None:
    with pytest.raises(ArchiveError, match=r"the array of 'input' was not kept \(run with keep=stages\)\Z"):
        cp.run(keep="layers")["input"]


def test_the_trace_is_read_from_any_keep_with_stages(folder: Path) -> None:
    assert "Final result:" in ok("trace=true", "keep=stages+inputs")
    assert refused(folder, "trace=true", "keep=layers+inputs").startswith("trace: got True, expected keep=stages")


# What was read


def read_files(folder: Path) -> tuple[str, ...]:
    """Settings that read two files, made here."""
    np.save(folder / "x.npy", np.arange(48, dtype=np.int16).reshape(1, 3, 4, 4))
    np.savez(folder / "b.npz", bias=np.array([7], np.int16))
    return "input=npy", f"input.path={folder}/x.npy", "bias=npz", f"bias.path={folder}/b.npz", "name=c"


def test_what_was_read_is_stored_as_it_was(folder: Path) -> None:
    words = read_files(folder)
    ok(*words, "keep=output+inputs")
    inputs = folder / "runs" / "c" / "inputs"
    assert files(inputs) == {sha256(folder / name) for name in ("x.npy", "b.npz")}
    for name in ("x.npy", "b.npz"):
        assert (inputs / sha256(folder / name)).read_bytes() == (folder / name).read_bytes()
    run = load(only_run(folder / "runs"))
    assert files(run.folder) == PLAIN_FILES
    assert run.manifest["keep"] == "output+inputs"
    assert run.manifest["input_bytes"] == {"input": (folder / "x.npy").stat().st_size, "bias": 264}
    assert hidden(folder / "runs" / "c") == []


def test_an_archive_is_the_same_whether_inputs_are_stored(folder: Path) -> None:
    words = read_files(folder)
    with_inputs, without = (cp.run(*words, name=keep[-6:], keep=keep) for keep in ("stages+inputs", "stages"))
    assert with_inputs.manifest["archive_id"] == without.manifest["archive_id"]
    assert not (folder / "runs" / "stages" / "inputs").exists()


def test_one_content_is_stored_once(folder: Path) -> None:
    words = read_files(folder)
    ok(*words, "keep=output+inputs")
    inputs = folder / "runs" / "c" / "inputs"
    before = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in inputs.iterdir()}
    (folder / "copy.npy").write_bytes((folder / "x.npy").read_bytes())
    ok(
        "-m",
        *words,
        "keep=stages+inputs",
        "conv.stride=1,2",
        "input.path=x.npy,copy.npy",
        "filters=integers",
        "filters.count=1",
    )
    assert {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in inputs.iterdir()} == before
    assert len(run_names(folder / "runs" / "c")) == 3
    ok("verify", "runs")


def test_a_csv_of_labels_and_the_weights_of_the_package_are_stored(folder: Path) -> None:
    (folder / "truth.csv").write_text("3\n1\n2\n2\n")
    np.savez(folder / "x.npz", images=np.ones((4, 1, 8, 8), np.uint8))
    words = ("network=digits_small", "input=npz", "input.path=x.npz", "labels=csv", "labels.path=truth.csv")
    ok(*words, "name=c", "keep=layers+inputs")
    shipped = CHECKOUT / "convpipe" / "weights" / "digits_small.npz"
    expected = {sha256(path) for path in (folder / "truth.csv", folder / "x.npz", shipped)}
    assert files(folder / "runs" / "c" / "inputs") == expected


def test_weights_that_nothing_reads_are_not_stored(folder: Path) -> None:
    (folder / "net.yaml").write_text("network: {half: {op: scale, divisor: 2}}\ninput: {source: npy, path: x.npy}\n")
    np.save(folder / "x.npy", np.ones((1, 1, 4, 4)))
    ok("net.yaml", "weights=shipped", "keep=output+inputs", "name=c")
    assert files(folder / "runs" / "c" / "inputs") == {sha256(folder / "x.npy")}


def test_drawn_numbers_need_no_files(folder: Path) -> None:
    ok("keep=stages+inputs", "name=c")
    assert not (folder / "runs" / "c" / "inputs").exists()
    ok("verify", "runs")


def test_a_run_in_memory_stores_nothing(folder: Path) -> None:
    run = cp.run(*read_files(folder), keep="output+inputs", archive=False)
    assert run["pad"].shape == (1, 3, 4, 4)
    assert files(folder) == {"x.npy", "b.npz"}


def test_a_run_that_fails_stores_nothing(folder: Path) -> None:
    words = read_files(folder)
    line = refused(
        folder,
        *words,
        "keep=output+inputs",
        "conv.dtype=int8",
        "filters=integers",
        "filters.count=1",
        "filters.high=100",
    )
    assert line.startswith("conv.dtype: got int8")


def test_a_file_that_changes_meanwhile_is_not_stored(folder: Path) -> None:
    found = job(*read_files(folder), "keep=output+inputs")
    prepared = runner.prepare(found.spec, 1 << 30)

    def edit(result: Any) -> None:
        np.save(folder / "x.npy", np.zeros((1, 3, 4, 4), np.int16))

    with pytest.raises(ConfigError, match=r"input\.path: got .*x\.npy, expected the content it had when planned"):
        runner.execute(prepared, a_place(folder / "c", keep="output+inputs"), edit)
    assert not (folder / "c").exists() or run_names(folder / "c") == []
    stored = [path.name for path in folder.rglob("c/inputs/*")]
    assert hashlib.sha256((folder / "x.npy").read_bytes()).hexdigest() not in stored
    assert all(sha256(folder / "c" / "inputs" / name) == name for name in stored)


# Disks, kills, several at once


@pytest.mark.parametrize("room", range(8))  # config.yaml, output.npy's two, two inputs, and three texts
def test_a_full_disk_leaves_nothing_half_stored(folder: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    found = job(*read_files(folder), "keep=output+inputs")
    place = a_place(folder / "c", keep="output+inputs")
    with monkeypatch.context() as disk:
        disk.setattr(os, "write", FullDisk(room))
        with pytest.raises(StorageError, match=r"No space left on device; nothing was kept"):
            execute(found.spec, place)
    stored = list(folder.glob("c/inputs/*"))
    assert len(stored) <= max(0, room - 2)
    assert all(sha256(path) == path.name for path in stored)
    assert [path for path in folder.rglob("*") if path.name.startswith(".")] == []
    assert list(folder.glob("c/*/manifest.json")) == []
    assert execute(found.spec, place).verdict == "new"
    assert cp.verify(folder / "c")


def test_a_folder_where_nothing_can_be_written(folder: Path) -> None:
    words = read_files(folder)
    (folder / "runs" / "c").mkdir(parents=True)
    (folder / "runs" / "c" / "inputs").write_text("a file where the folder should be")
    answer = convpipe(*words, "keep=output+inputs")
    assert answer.code == 4
    assert answer.err.startswith("convpipe: runs/c/")
    assert hidden(folder / "runs" / "c") == []
    assert run_names(folder / "runs" / "c") == []


def test_nothing_is_stored_through_a_link(folder: Path) -> None:
    words = read_files(folder)
    (folder / "other").mkdir()
    (folder / "runs" / "c").mkdir(parents=True)
    (folder / "runs" / "c" / "inputs").symlink_to(folder / "other")
    answer = convpipe(*words, "keep=output+inputs")
    assert answer.code == 4
    assert "runs/c/inputs: a link, expected a folder; nothing was kept" in answer.err
    assert list((folder / "other").iterdir()) == []


def test_what_was_cut_short_is_stored_again(folder: Path) -> None:
    words = read_files(folder)
    ok(*words, "keep=output+inputs")
    stored = folder / "runs" / "c" / "inputs" / sha256(folder / "x.npy")
    stored.write_bytes(stored.read_bytes()[:-1])
    ok(*words, "keep=output+inputs", "conv.pad=1")
    assert sha256(stored) == stored.name
    ok("verify", "runs")


SUICIDE = """
import os, signal, sys
from convpipe.archive import write
real = write.write_all
def half(file, block):
    real(file, block[: len(block) // 2])
    os.kill(os.getpid(), signal.SIGKILL)
write.write_all = half
write.store_content(*map(write.Path, sys.argv[1:2]), *sys.argv[2:], "input.path")
"""


def test_what_a_killed_process_was_storing_is_cleared_away(folder: Path) -> None:
    words = read_files(folder)
    target = folder / "runs" / "c" / "inputs" / sha256(folder / "x.npy")
    target.parent.parent.mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    arguments = [sys.executable, "-c", SUICIDE, str(target), str(folder / "x.npy")]
    done = subprocess.run(arguments, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(hidden(folder / "runs" / "c")) == 1
    assert not target.exists()
    ok(*words, "keep=output+inputs")
    assert hidden(folder / "runs" / "c") == []
    ok("verify", "runs")


def test_two_workers_store_one_content(folder: Path) -> None:
    words = read_files(folder)
    ok("-m", *words, "keep=output+inputs", "workers=2", "filters=integers", "filters.count=1", "seed=range(0,12)")
    assert files(folder / "runs" / "c" / "inputs") == {sha256(folder / name) for name in ("x.npy", "b.npz")}
    assert len(run_names(folder / "runs" / "c")) == 12
    assert hidden(folder / "runs" / "c") == []
    ok("verify", "runs")


def test_many_at_once_store_one_content(folder: Path) -> None:
    (folder / "big").write_bytes(os.urandom(5 << 20))
    target = folder / "inputs" / sha256(folder / "big")
    together = threading.Barrier(8)

    def store(_: int) -> None:
        together.wait()
        store_content(target, str(folder / "big"), "input.path")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store, range(8)))
    assert files(folder) == {"big", "inputs"}
    assert files(target.parent) == {target.name}
    assert sha256(target) == target.name


# Verifying


def stored_collection(folder: Path) -> list[Path]:
    """Two runs of a collection that stores its inputs; gives these."""
    ok("-m", *read_files(folder), "keep=output+inputs", "conv.pad=0,1")
    return sorted((folder / "runs" / "c" / "inputs").iterdir())


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def damages(path: Path) -> dict[str, Any]:
    return {
        "a flipped bit": lambda: flip(path),
        "cut short": lambda: path.write_bytes(path.read_bytes()[:-1]),
        "empty": lambda: path.write_bytes(b""),
        "a folder": lambda: (path.unlink(), path.mkdir()),
        "a link": lambda: (path.rename("elsewhere"), path.symlink_to(os.path.abspath("elsewhere"))),
        "a pipe": lambda: (path.unlink(), os.mkfifo(path)),
    }


@pytest.mark.parametrize("damage", damages(Path()))
def test_damage_of_a_stored_input_is_named(folder: Path, damage: str) -> None:
    broken = stored_collection(folder)[0]
    damages(broken)[damage]()
    of_all = convpipe("verify", "runs")
    assert of_all.code == 3
    assert of_all.err.startswith(f"convpipe: runs/c/inputs/{broken.name}: ")
    assert of_all.out.count("ok ") == 2  # the runs themselves are whole
    for run in runs_below(folder / "runs"):
        of_one = convpipe("verify", str(run))
        assert of_one.code == 3
        assert f"/inputs/{broken.name}: " in of_one.err


def test_all_that_is_damaged_is_counted(folder: Path) -> None:
    inputs = stored_collection(folder)
    for path in inputs:
        flip(path)
    run = next(runs_below(folder / "runs"))
    flip(run / "output.npy")
    answer = convpipe("verify", "runs")
    assert answer.code == 3
    assert answer.err.startswith("convpipe: 1 of 2 runs and 2 of 2 stored inputs are damaged: runs/c/")
    assert all(path.name in answer.err for path in inputs)


def test_a_stored_input_that_is_gone_is_missed_by_its_runs(folder: Path) -> None:
    stored_collection(folder)
    lost = folder / "runs" / "c" / "inputs" / sha256(folder / "x.npy")
    lost.unlink()
    answer = convpipe("verify", "runs")
    assert answer.code == 3
    assert answer.err.startswith("convpipe: 2 of 2 runs are damaged: ")
    assert answer.err.count(f"got no inputs/{lost.name} beside it, expected {folder}/x.npy to be stored there") == 2


def test_a_run_without_stored_inputs_misses_none(folder: Path) -> None:
    words = read_files(folder)
    ok(*words, "keep=output")
    ok(*words, "keep=output+inputs", "conv.pad=1")
    (folder / "runs" / "c" / "inputs" / sha256(folder / "x.npy")).unlink()
    answer = convpipe("verify", "runs")
    assert answer.out.count("ok ") == 1
    assert answer.code == 3


def test_what_else_lies_there_is_no_input(folder: Path) -> None:
    inputs = stored_collection(folder)[0].parent
    (inputs / "README.txt").write_text("mine")
    (inputs / ("A" * 64)).write_text("no hash of ours")
    (inputs / f"{'a' * 64}.npy").write_text("nor this")
    found = convpipe("verify", "runs")
    assert found.code == 0
    assert found.out.count("ok ") == 2
    assert found.err == (
        f"note: runs/c: no part of the collection: inputs/{'A' * 64}, inputs/README.txt, inputs/{'a' * 64}.npy\n"
    )
    assert len(list(runs_below(folder / "runs"))) == 2
    assert ok("runs", "runs/c").count("done") == 2
    assert refused(folder, "runs", "runs/c/inputs").startswith("runs: got runs/c/inputs, expected a collection")
    assert refused(folder, "verify", "runs/c/inputs").startswith("verify: got runs/c/inputs, expected a run")


def test_a_collection_may_be_called_inputs(folder: Path) -> None:
    words = read_files(folder)
    ok(*words[:-1], "name=inputs", "keep=output+inputs")
    ok(*words[:-1], "name=inputs", "root=runs/inputs", "keep=output+inputs", "conv.pad=1")  # even inside another
    assert ok("verify", "runs").count("ok ") == 2
    flip(folder / "runs" / "inputs" / "inputs" / sha256(folder / "x.npy"))
    assert convpipe("verify", "runs").code == 3


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ({"keep": "all"}, r"got keep all, expected one of output, layers, stages, output\+inputs"),
        ({"folder": 5}, "got folder 5, expected a text"),
        ({"input_bytes": {"input": -1}}, r"got input_bytes\.input -1, expected a number of bytes"),
        ({"input_bytes": [3]}, r"got input_bytes \[3\], expected a dict"),
        ({"input_bytes": {"input": "3"}}, r"got input_bytes\.input 3, expected a number of bytes"),
    ],
)
def test_a_manifest_that_says_something_else_is_refused(folder: Path, entry: dict[str, Any], line: str) -> None:
    ok(*read_files(folder), "keep=output+inputs")
    run = only_run(folder / "runs")
    record = json.loads((run / "manifest.json").read_text()) | entry
    (run / "manifest.json").write_bytes(manifest_json(record))
    with pytest.raises(ArchiveError, match=line):
        verify(run)
