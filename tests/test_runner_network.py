"""Runs of networks: every stage archived, batches in slices, memory, and repeats."""

from __future__ import annotations

import csv
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import convpipe, identity, job, only_run, refused
from network_cases import CLASSES, RESIDUAL
from run_cases import (
    IMPLICIT,
    a_place,
    contents,
    edit_manifest,
    edit_rows,
    execute,
    from_elsewhere,
    network_spec,
    reseal,
)

from convpipe.archive.read import Run
from convpipe.archive.verify import verify
from convpipe.errors import ArchiveError, ConfigError
from convpipe.files.npy import BLOCK_BYTES
from convpipe.graph import work
from convpipe.graph.spec import Spec
from convpipe.graph.work import plan_work
from convpipe.report.explain import explained


def sliced(images: int, **changes: Any) -> Spec:
    return network_spec(RESIDUAL, {"input.shape": [images, 3, 6, 6], **changes})


def executed(spec: Spec, folder: Path, **place: Any) -> Run:
    return verify(execute(spec, a_place(folder, **place)).run.path)


# Stages


def test_every_stage_of_every_layer_is_a_row(tmp_path: Path) -> None:
    run = executed(sliced(2), tmp_path, keep="stages")
    stages = [row["stage"] for row in run.rows]
    assert stages[:6] == ["input", "conv1/filters", "conv1/bias", "conv2/filters", "conv2/bias", "dense/weights"]
    inner = ["pad", "im2col", "fil2col", "matmul", "reshape", "transpose"]
    assert stages[7:] == [
        *(f"conv1/{stage}" for stage in inner), "relu1", *(f"conv2/{stage}" for stage in inner),
        "add", "pool", "flatten", "dense",
    ]  # fmt: skip
    files = {row["stage"]: row["file"] for row in run.rows}
    assert files["conv1/im2col"] == "08_conv1.im2col.npy"
    assert files["dense"] == "output.npy"
    assert all(files.values())
    assert {row["op"] for row in run.rows[1:7]} == {"integers"}
    assert set(run.manifest["seconds"]) == set(stages[7:])
    assert run.manifest["axes"]["conv1/im2col"] == ["N*out_h*out_w", "C*kh*kw"]
    assert "slice" not in run.manifest


def test_kept_stages_follow_from_each_other(tmp_path: Path) -> None:
    run = executed(sliced(2), tmp_path, keep="stages")
    columns, matrix = run.array("conv1/im2col"), run.array("conv1/fil2col")
    assert np.array_equal(columns @ matrix.T + run.array("conv1/bias"), run.array("conv1/matmul"))
    assert np.array_equal(run.array("relu1"), np.maximum(run.array("conv1/transpose"), 0))
    assert np.array_equal(run.array("add"), run.array("relu1") + run.array("conv2/transpose"))
    rows = run.array("flatten") @ run.array("dense/weights") + run.array("dense/bias")
    assert np.array_equal(rows, run.array("dense"))
    assert np.array_equal(run.output, run.array("dense"))


def test_a_layers_cells_can_be_explained(tmp_path: Path) -> None:
    run = executed(sliced(2), tmp_path, keep="stages")
    for at in ((0, 0, 0, 0), (1, 3, 2, 5)):
        cell = explained(run, at, "conv2")
        assert cell.stored == run.array("conv2/transpose")[at]
        assert cell.agrees


def test_networks_without_files_hash_the_same(tmp_path: Path) -> None:
    short, long = (executed(sliced(2), tmp_path / keep, keep=keep) for keep in ("output", "stages"))
    assert [row["sha256"] for row in short.rows] == [row["sha256"] for row in long.rows]
    assert [row["file"] for row in short.rows if row["file"]] == ["output.npy"]


# Slices


@pytest.mark.parametrize("keep", ["output", "stages"])
def test_slices_give_the_whole_batchs_output(tmp_path: Path, keep: str) -> None:
    whole = executed(sliced(150), tmp_path).output
    for record in (1, 64, 149):
        run = executed(sliced(150, record=record), tmp_path / keep, keep=keep)
        assert np.array_equal(run.output, whole)
        last = run.rows[-1]
        assert (last["stage"], last["op"], last["shape"], last["file"]) == ("output", "batch", "(150,5)", "output.npy")
        assert run.manifest["slice"] == min(64, 150 - record)
        dense = next(row for row in run.rows if row["stage"] == "dense")
        assert dense["shape"] == f"({record},5)"
        assert sum(int(row["macs"]) for row in run.rows) == plan_work(sliced(150)).macs
    if keep == "stages":
        assert np.array_equal(run.array("dense"), whole[:149])


@pytest.mark.parametrize("record", [1, 3])
def test_smaller_slices_give_the_same_whole_numbers(tmp_path: Path, record: int) -> None:
    spec = sliced(40, record=record)
    roomy = executed(spec, tmp_path / "roomy")
    least = plan_work(spec, 1).peak_bytes
    tight = executed(spec, tmp_path / "tight", memory=least)
    assert (roomy.manifest["slice"], tight.manifest["slice"]) == (40 - record, 1 if record == 1 else 3)
    assert contents(tight.path)["stages.csv"] == contents(roomy.path)["stages.csv"]
    assert execute(spec, a_place(tmp_path / "tight")).verdict == "reproduced"


FLOATING = {"input.source": "random", "input.dtype": "float32", "input.low": -1, "input.high": 1}


def float_spec(images: int, **changes: Any) -> Spec:
    return network_spec(
        CLASSES, {"input.shape": [images, 3, 6, 6], **FLOATING, "weights": {"source": "random"}, **changes}
    )


def test_floats_repeat_to_the_bit_whatever_the_memory_that_suffices(tmp_path: Path) -> None:
    spec = float_spec(100, record=1)
    run = executed(spec, tmp_path)
    enough = plan_work(spec).peak_bytes
    assert execute(spec, a_place(tmp_path, memory=enough)).verdict == "reproduced"
    assert np.allclose(run.output, executed(float_spec(100), tmp_path).output, rtol=1e-5, atol=1e-6)


def test_other_slices_are_named_where_floats_differ(tmp_path: Path) -> None:
    spec = float_spec(100, record=1)
    run = executed(spec, tmp_path)
    edit_rows(run.path, lambda row: row.update(max="0.75") if row["stage"] == "output" else None)
    reseal(run.path)
    with pytest.raises(ArchiveError, match=r"stage 'output' differs: max was 0\.75, is now [^ ;]*(;|$)"):
        execute(spec, a_place(tmp_path))
    edit_manifest(run.path, slice=8)
    said = execute(spec, a_place(tmp_path)).verdict
    assert said.startswith("reproduced within 0 of the float bound")
    assert said.endswith("not to the bit, as the environment differs: images at a time 8 -> 64")


def test_last_bits_of_a_network_are_within_its_bound(tmp_path: Path) -> None:
    spec = float_spec(2)
    run = executed(spec, tmp_path)
    edit_rows(run.path, lambda row: row.update(sha256="0" * 64) if row["stage"] == "conv1/matmul" else None)
    reseal(run.path)
    from_elsewhere(run.path)
    assert execute(spec, a_place(tmp_path)).verdict.startswith("reproduced within 0 of the float bound")


def test_no_images_at_all(tmp_path: Path) -> None:
    run = executed(sliced(0), tmp_path)
    assert run.output.shape == (0, 5)
    with pytest.raises(ConfigError, match=r"^record: got 1, expected at most 0"):
        executed(sliced(0, record=1), tmp_path)


def test_too_little_memory_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^limits\.memory: got 2\.0 KiB, expected at least "):
        executed(sliced(10, record=1), tmp_path, memory=2048)
    with pytest.raises(ConfigError, match=r"^network\.add\.overflow: got error, expected sums that fit"):
        executed(
            network_spec(
                {"add": {"op": "add", "inputs": ["input", "input"]}},
                {"input.dtype": "int8", "input.low": 100, "input.high": 127},
            ),
            tmp_path,
        )
    assert contents(tmp_path) == {}


LARGE = {
    "conv1": {"op": "conv", "filters": 8, "kernel": 3, "pad": 1},
    "relu1": {"op": "relu"},
    "conv2": {"op": "conv", "filters": 8, "kernel": 3, "pad": 1},
    "add": {"op": "add", "inputs": ["relu1", "conv2"]},
    "norm": {"op": "local_response_norm"},
    "pool": {"op": "avg_pool", "kernel": 2},
    "up": {"op": "conv_transpose", "filters": 4, "kernel": 2, "stride": 2},
    "flatten": {"op": "flatten"},
    "dense": {"op": "dense", "units": 10},
    "softmax": {"op": "softmax"},
}


@pytest.mark.parametrize("stages", [None, IMPLICIT])
@pytest.mark.parametrize("dtype", ["float32", "int16"])
@pytest.mark.parametrize(("images", "record"), [(24, None), (200, 1), (100, 20)])
def test_a_network_keeps_to_its_plans_memory(
    tmp_path: Path, images: int, record: int | None, dtype: str, stages: list[str] | None
) -> None:
    changes: dict[str, Any] = {"input.dtype": dtype, "record": record}
    if stages:
        changes["lowering.stages"] = stages
    execute(network_spec(LARGE, {"input.shape": [3, 3, 4, 4], **changes, "record": 1}), a_place(tmp_path))
    spec = network_spec(LARGE, {"input.shape": [images, 3, 40, 40], **changes})
    tracemalloc.start()
    execute(spec, a_place(tmp_path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= plan_work(spec).peak_bytes + 3 * BLOCK_BYTES


# The command line


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


SMALL = ["network=tiny", "input=integers", "input.shape=[2,3,6,6]"]


@pytest.mark.parametrize(
    "words",
    [
        ["network=tiny"],
        ["network=tiny", "input=random"],
        ["network=tiny", "input=lecture_4d", "lowering=implicit"],
        [*SMALL, "weights=integers", "record=1", "keep=stages"],
        [*SMALL, "network.conv1.stride=2", "network.relu1.op=tanh"],
        [*SMALL, "network.conv1.dilation=2", "network.conv2.bias=false"],
        [*SMALL, "+network.last={op: log_softmax, inputs: [dense]}", "~network.softmax"],
        ["experiment=tiny"],
    ],
)
def test_networks_from_the_command_line(words: list[str], folder: Path) -> None:
    assert convpipe(*words, "root=r").code == 0
    run = verify(only_run(folder / "r"))
    assert run.output.shape[1] == 10
    again = convpipe(*words, "root=r")
    assert (again.code, again.err) == (0, "")
    assert "reproduced: " in again.out
    answer = convpipe("reproduce", str(run.path))
    assert (answer.code, answer.err) == (0, "")
    assert "reproduced: " in answer.out


def test_a_setting_of_a_layer_is_set(folder: Path) -> None:
    layers = job(*SMALL, "network.conv1.stride=2", "network.pool.op=global_max_pool").spec.network or {}
    assert (layers["conv1"].operation.stride, layers["pool"].op) == (2, "global_max_pool")  # type: ignore[attr-defined]
    assert identity(*SMALL, "network.conv1.stride=1") == identity(*SMALL)
    assert identity(*SMALL, "network.conv1.stride=2") != identity(*SMALL)


def test_no_network_is_the_main_job(folder: Path) -> None:
    assert identity("network=single") == identity()
    assert identity("network=single", "weights=none", "labels=none", "record=null") == identity()


def test_the_tiny_experiment_records_one_image(folder: Path) -> None:
    assert convpipe("experiment=tiny").code == 0
    run = verify(only_run(folder / "runs"))
    assert run.path.parent.name == "tiny"
    shapes = {row["stage"]: row["shape"] for row in run.rows}
    assert (shapes["input"], shapes["conv1/matmul"], shapes["output"]) == ("(1,3,8,8)", "(64,8)", "(4,10)")


def test_a_dry_run_shows_the_whole_network(folder: Path) -> None:
    answer = convpipe("experiment=tiny", "dry_run=true")
    assert answer.code == 0
    assert "conv2/im2col" in answer.out
    assert "and 3 more images, 3 at a time, whose stages are not recorded" in answer.out
    assert contents(folder) == {}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("conv=default", "conv: got settings, expected conv=none beside a network (its layers have their own)"),
        ("filters=integers", "filters: got settings, expected filters=none beside a network"),
        ("bias=integers", "bias: got settings, expected bias=none beside a network"),
        ("grad=integers", "grad: got settings, expected grad=none beside a network"),
        ("weights=none", "weights: got nothing, expected a source of weights, as the layer conv1 has some"),
        (
            "conv.stride=2",
            "conv.stride: got 2, expected nothing below conv, which is empty (it goes with a choice of conv; of",
        ),
        ("network.conv1.strid=2", "network.conv1.strid: got 2, expected one of the keys of network.conv1: "),
        ("network.con1.stride=2", "network.con1.op: got nothing, expected the kind of a new layer, or another layer's"),
        (
            "network.conv1.stride=0",
            "network.conv1.stride: got 0, expected a whole number from 1, or a list of 2 (H, W)",
        ),
        ("network.conv1.op=cnv", "network.conv1.op: got cnv, expected one of add, "),
        ("network.conv2.kernel=9 network.conv2.pad=0", "network.conv2.kernel: got 9, expected at most 6 along H"),
        ("network.conv2.stride=2", "network.add.inputs: got conv2 (2, 8, 3, 3), expected the shape (2, 8, 6, 6) of"),
        (
            "network.add.inputs=[relu1,conv3]",
            "network.add.inputs: got conv3, expected one of input, conv1, relu1, conv2",
        ),
        ("network.relu1.inputs=[add]", "network.relu1.inputs: got add, expected a layer before this one (a cycle: add"),
        ("network.relu2.inputs=[conv2]", "network.add: got add, expected a later layer that reads it, and none does"),
        ("network.conv1=null", "network.conv1: got nothing, expected a group of settings"),
        ("record=3", "record: got 3, expected at most 2, the images there are"),
        ("record=0", "record: got 0, expected a whole number from 1"),
        ("record=1 limits.memory=1KiB", "limits.memory: got 1.0 KiB, expected at least "),
        ("labels=npz labels.path=nowhere.npz", "labels.path: got nowhere.npz, expected an .npz file that can be read"),
        (
            "weights=npz weights.path=nowhere.npz",
            "weights.path: got nowhere.npz, expected an .npz file that can be read",
        ),
        ("trace=true keep=stages", "trace: got True, expected a single convolution, not a network"),
        ("lowering=transpose", "lowering.stages: got conv_transpose, expected one of auto, im2col, implicit"),
        ("network=tini", "network: got tini, expected one of "),
    ],
)
def test_a_bad_network_is_one_line_and_writes_nothing(words: str, line: str, folder: Path) -> None:
    assert refused(folder, *SMALL, *words.split()).startswith(line)


@pytest.mark.parametrize("words", ["weights=integers", "labels=npz labels.path=a", "record=1"])
def test_what_only_networks_have(words: str, folder: Path) -> None:
    line = refused(folder, *words.split())
    assert line.startswith(words.partition("=")[0])
    assert "without a network" in line


def test_a_layer_twice_in_a_file(folder: Path) -> None:
    (folder / "conf" / "network").mkdir(parents=True)
    text = "# @package _global_\nnetwork:\n  a: {op: relu}\n  a: {op: tanh}\n"
    (folder / "conf" / "network" / "mine.yaml").write_text(text)
    line = refused(folder, "--config-dir", "conf", "network=mine", "filters=none", "conv=none")
    assert "duplicate key" in line


def test_labels_give_a_table_of_confusion(folder: Path) -> None:
    np.savez(folder / "l.npz", labels=np.array([3, 9], np.uint8))
    words = [*SMALL, "labels=npz", "labels.path=l.npz", "keep=stages"]
    for more in ([], ["record=1"]):
        assert convpipe(*words, *more, f"root=r{len(more)}").code == 0
        run = verify(only_run(folder / f"r{len(more)}"))
        table = list(csv.reader((run.path / "confusion.csv").read_text().splitlines()))
        assert table[0] == ["class", *map(str, range(10))]
        counts = np.array(table[1:], int)[:, 1:]
        expected = np.zeros((10, 10), int)
        np.add.at(expected, ([3, 9], run.output.argmax(axis=1)), 1)
        assert np.array_equal(counts, expected)
    np.savez(folder / "l.npz", labels=np.array([3, 10], np.uint8))
    line = refused(folder, *words, "root=again")
    assert line == "labels: got 3 to 10, expected classes from 0 to 9"


def test_the_slice_is_the_documented_one() -> None:
    assert work.SLICE == 64
