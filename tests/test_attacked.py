"""What attacks have found: spellings that an archive could not read again, and manifests that say what none does."""

from __future__ import annotations

import json
import os
import re
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import convpipe
from run_cases import IM2COL, a_place, a_run, a_spec, edit_manifest, execute, network_spec

import convpipe as cp
from convpipe.archive.collection import refresh
from convpipe.archive.format import manifest_json
from convpipe.archive.glance import manifest_text
from convpipe.archive.read import load
from convpipe.archive.replace import mend
from convpipe.archive.verify import verify
from convpipe.config.read import read_spec
from convpipe.errors import ArchiveError, ConfigError, StorageError
from convpipe.execution import runner
from convpipe.execution.bounds import bounded_run
from convpipe.execution.inputs import make_arrays
from convpipe.files import contents
from convpipe.graph.spec import Spec, describe
from convpipe.graph.work import plan_work
from convpipe.ops.clip import clip

MEMORY = 1 << 30


def read_again(spec: Spec) -> Spec:
    """A spec as its own config.yaml has it."""
    return read_spec(describe(spec).config)


# Spellings


@pytest.mark.parametrize("op", ["max_pool", "avg_pool"])
@pytest.mark.parametrize("pad", [[[2, 2], [2, 2]], [[2, 2], [0, 1]], [[0, 0], [2, 2]]])
def test_a_padding_that_only_pairs_may_have_is_read_again(op: str, pad: list[Any]) -> None:
    spec = network_spec({"pool": {"op": op, "kernel": 3, "pad": pad}})
    assert plan_work(read_again(spec), MEMORY).plan.output.shape == plan_work(spec, MEMORY).plan.output.shape
    assert describe(read_again(spec)).identity == describe(spec).identity


def test_so_it_is_of_a_pooling_that_is_a_stage() -> None:
    pool = {"max_pool": {"kernel": 3, "pad": [[2, 2], [0, 0]], "stride": 1}}
    spec = a_spec({"lowering.stages": [*IM2COL, pool]})
    assert plan_work(read_again(spec), MEMORY).plan.output.shape == plan_work(spec, MEMORY).plan.output.shape
    assert describe(read_again(spec)).identity == describe(spec).identity


@pytest.mark.parametrize("pad", [1, [1, 1], [[1, 1], [1, 1]], [[1, 1], 1]])
def test_a_padding_that_one_number_may_say_is_that_number(pad: Any) -> None:
    spec = network_spec({"pool": {"op": "max_pool", "kernel": [3, 2], "pad": pad}})
    assert describe(spec).config["network"]["pool"]["pad"] == 1


# Manifests


def changed(folder: Path, entries: dict[str, Any]) -> None:
    """Other entries in a manifest that hashes itself."""
    path = folder / "manifest.json"
    path.write_bytes(manifest_json({**json.loads(path.read_text()), **entries}))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return a_run(tmp_path / "runs").folder


@pytest.mark.parametrize(
    ("entries", "match"),
    [
        ({"evaluation": [None]}, r"got evaluation \[None\], expected a dict"),
        ({"evaluation": {}}, r"got evaluation\.images nothing, expected a whole number from 0"),
        ({"evaluation": {"images": 1, "correct": 1e308}}, r"got evaluation\.correct 1e\+308, expected a whole number"),
        ({"evaluation": {"images": -1, "correct": 0}}, r"got evaluation\.images -1, expected a whole number from 0"),
        ({"provenance": {"threads": "many"}}, r"got provenance\.threads many, expected a whole number from 1 to 4096"),
        ({"provenance": {"threads": 10**9}}, r"got provenance\.threads 1000000000, expected a whole number from 1"),
        ({"provenance": {"threads": True}}, r"got provenance\.threads True, expected a whole number from 1 to 4096"),
    ],
)
def test_what_is_counted_with_is_a_number(run: Path, entries: dict[str, Any], match: str) -> None:
    changed(run, entries)
    with pytest.raises(ArchiveError, match=match):
        load(run)


def test_times_of_any_size_are_a_row(run: Path) -> None:
    changed(run, {"seconds": {"pad": [10**308], "im2col": [10**308]}})
    answer = convpipe("runs", str(run.parent), "--columns", "seconds,status")
    assert (answer.code, answer.err) == (0, "")
    assert "done" in answer.out


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "link to a manifest"])
def test_a_manifest_that_is_no_file_is_no_text(run: Path, tmp_path: Path, kind: str) -> None:
    path, other = run / "manifest.json", tmp_path / "other"
    path.rename(other)
    if kind.endswith("pipe"):
        other.unlink()
        os.mkfifo(path if kind == "pipe" else other)
    if kind.startswith("link"):
        path.symlink_to(other)
    assert manifest_text(str(run)) == ""
    with pytest.raises(ArchiveError, match=re.escape(f"{path}: expected a regular file")):
        verify(run)


# Places


@pytest.mark.parametrize("target", ["nowhere", "itself"])
def test_a_link_that_leads_nowhere_is_something_in_a_run_s_place(tmp_path: Path, target: str) -> None:
    spec, place = a_spec(), a_place(tmp_path / "runs")
    folder = tmp_path / "runs" / describe(spec).identity
    folder.parent.mkdir()
    folder.symlink_to(tmp_path / "nowhere" if target == "nowhere" else folder)
    with pytest.raises(
        ArchiveError, match=rf"{folder}: a link or a file, expected the folder of a run; remove it, or another name="
    ):
        execute(spec, place)
    assert [each.name for each in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize("name", ["config.yaml", "stages.csv"])
def test_a_text_of_gigabytes_is_not_hashed(run: Path, name: str) -> None:
    os.truncate(run / name, 1 << 33)
    with pytest.raises(ArchiveError, match=rf"{name}: got 8589934592 bytes, expected at most"):
        verify(run, arrays=False)


# Files


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("kind", ["a pipe", "a device", "nothing in it"])
def test_a_file_that_no_layer_reads_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "w.npz"
    make = {"a pipe": os.mkfifo, "a device": lambda path: path.symlink_to("/dev/null"), "nothing in it": Path.touch}
    make[kind](path)
    spec = network_spec({"a": {"op": "relu"}}, {"weights": {"source": "npz", "path": str(path)}})
    match = rf"weights\.path: got {path}, expected a readable file \(it is empty, or no regular file\)"
    with pytest.raises(ConfigError, match=match):
        runner.prepare(spec, MEMORY)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("name", [".index.jsonl", ".failed.jsonl", "results.csv"])
@pytest.mark.parametrize("kind", ["a pipe", "a link"])
def test_a_collection_s_own_files_are_files(run: Path, tmp_path: Path, name: str, kind: str) -> None:
    path, other = run.parent / name, tmp_path / "other"
    other.write_text("of somebody else\n")
    if kind == "a pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(other)
    answer = convpipe("runs", str(run.parent))
    assert (answer.code, answer.err) == (0, "")
    assert run.name in answer.out
    rebuilt = convpipe("runs", str(run.parent), "--rebuild")
    assert (rebuilt.code, rebuilt.err) == (0, "")
    assert other.read_text() == "of somebody else\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_nothing_is_written_through_a_link_of_the_index(run: Path, tmp_path: Path) -> None:
    (run.parent / ".index.jsonl").symlink_to(tmp_path / "other")
    with pytest.raises(
        StorageError, match=r"\.index\.jsonl: a link, expected a regular file; remove it; nothing was kept"
    ):
        refresh(run.parent)
    assert not (tmp_path / "other").exists()


def test_a_file_of_tomorrow_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(b"as a clock of another zone has it")
    os.utime(path, (time.time() + 86_400,) * 2)
    monkeypatch.setattr(contents.time, "time", lambda real=time.time: real() + 10 * contents.LATELY)
    found = contents.content_sha256(str(path), "input.path")
    monkeypatch.setattr(contents.hashlib, "file_digest", lambda *file: pytest.fail("read again"))
    assert contents.content_sha256(str(path), "input.path") == found


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("kind", ["a pipe", "a file", "a link"])
def test_what_is_no_folder_on_its_way_out_is_removed(run: Path, tmp_path: Path, kind: str) -> None:
    leaving = run.parent / ".aside" / f".contained-{run.name}-abc"
    leaving.parent.mkdir()
    make = {"a pipe": os.mkfifo, "a file": Path.touch, "a link": lambda path: path.symlink_to(tmp_path)}
    make[kind](leaving)
    mend(run.parent)
    assert not leaving.parent.exists()
    assert verify(run).path == run


def test_nothing_goes_aside_through_a_link(run: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / f".contained-{run.name}-abc").mkdir()
    (run.parent / ".aside").symlink_to(elsewhere)
    mend(run.parent)
    (run / "output.npy").write_bytes(b"")
    with pytest.raises(StorageError, match=r"\.aside: a link, expected a folder; nothing was kept"):
        execute(a_spec(), a_place(run.parent))
    assert [each.name for each in elsewhere.iterdir()] == [f".contained-{run.name}-abc"]
    assert run.is_dir()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_damaged_run_with_a_pipe_goes_aside(run: Path) -> None:
    for name in ("SHA256SUMS", "manifest.json"):
        (run / name).unlink()
        os.mkfifo(run / name)
    execute(a_spec(), a_place(run.parent))
    assert verify(run).path == run
    assert [each.name for each in (run.parent / ".aside").iterdir()] == [f"{run.name}-unknown"]


# Bounds


def allowed(values: list[float]) -> np.ndarray[Any, Any]:
    """What right runs may differ by, of a row of an image and one kernel as wide."""
    layer = {"op": "conv", "kernel": [1, len(values)], "filters": 1, "bias": False, "overflow": "inf"}
    weights = {"source": "integers", "dtype": "float64", "low": 3, "high": 4}
    settings = {"input.shape": [1, 1, 1, len(values)], "input.dtype": "float64", "weights": weights}
    image, spec = np.array(values).reshape(1, 1, 1, -1), network_spec({"a": layer}, settings)
    work = plan_work(spec, MEMORY)
    *_, last = bounded_run(work.plan, {**make_arrays(spec, work), "input": image})
    return last.allowed


def test_a_sum_that_overflows_by_its_order_has_no_bound() -> None:
    # 3e308 is infinity, and less 3e308 NaN; with fused multiply-adds it may be another
    assert np.isinf(allowed([1e308, -1e308])).all()
    assert (allowed([np.inf, 1.0]) == 0).all()
    assert (allowed([np.nan, 0.5]) == 0).all()
    assert (allowed([np.inf, 1e300]) == 0).all()
    assert 0 < allowed([1e300, 0.1]).max() < 1e290


def test_a_slope_of_hundreds_of_digits_has_an_error() -> None:
    layers = {"mean": {"op": "avg_pool", "kernel": 2}, "steep": {"op": "leaky_relu", "slope": 10**300}}
    spec = network_spec(layers, {"input": {"source": "random", "dtype": "float64", "low": -1, "shape": [1, 1, 4, 4]}})
    work = plan_work(spec, MEMORY)
    *_, last = bounded_run(work.plan, make_arrays(spec, work))
    assert last.allowed.max() > 1e280


def test_a_limit_that_no_cell_reaches_is_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert clip(np.array([1, -2], "float16"), -1, 1e300).tolist() == [1, -1]


def test_an_archive_id_is_part_of_a_name_only_where_it_is_one(folder: Path) -> None:
    run = cp.run("experiment=lecture_3d", name="c").folder
    edit_manifest(run, archive_id="../../../stray")
    (run / "output.npy").unlink()
    assert cp.run("experiment=lecture_3d", name="c").folder == run
    (aside,) = (path.name for path in (run.parent / ".aside").iterdir())
    assert re.fullmatch(rf"{run.name}-[0-9a-f]{{64}}", aside)
    assert not list(folder.parent.rglob("*stray*"))
