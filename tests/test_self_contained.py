"""Archives in any folder: explained and reproduced from what was kept, stored, or found by its hash."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import contents, convpipe, job, only_run, process
from run_cases import reseal

import convpipe as cp
from convpipe.archive.format import manifest_json
from convpipe.archive.read import load
from convpipe.config.read import read_archived
from convpipe.execution import finding
from convpipe.graph.work import plan_work
from convpipe.report.trace import show_trace
from convpipe.sources import digits, shipped

needs_sklearn = pytest.mark.skipif(find_spec("sklearn") is None, reason="no scikit-learn (the extra: digits)")
needs_pillow = pytest.mark.skipif(find_spec("PIL") is None, reason="no Pillow (the extra: image)")


def ok(*words: str) -> str:
    answer = convpipe(*words)
    assert (answer.code, answer.err) == (0, ""), answer.err
    return answer.out


def refusal(*words: str) -> str:
    """The one line in which a command refuses an archive."""
    answer = convpipe(*words)
    assert (answer.code, answer.out) == (3, "")
    assert re.fullmatch(r"convpipe: [^\n]+\n", answer.err)
    return answer.err.removeprefix("convpipe: ").rstrip("\n")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def draw(*shape: int, dtype: str = "int16") -> np.ndarray[Any, Any]:
    return np.random.default_rng(7).integers(-5, 6, shape).astype(dtype)


# Runs that read files


@dataclass(frozen=True)
class Kind:
    """Files in the current folder, settings that read them, and the cells to explain."""

    make: Callable[[], None]
    words: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]


def plain_files() -> None:
    np.save("x.npy", draw(2, 3, 5, 4))
    np.savez("b.npz", bias=draw(4), other=draw(3))


def matrix_files() -> None:
    np.save("m.npy", draw(6, 5))
    Path("w.csv").write_text("1,2\n3,-4\n")


def picture_file() -> None:
    from PIL import Image

    Image.fromarray(draw(7, 6, 3).astype(np.uint8)).save("photo.png")


def weights_of(*words: str) -> dict[str, np.ndarray[Any, Any]]:
    """Whole numbers for all weights that a network has, by their names in a file."""
    plan = plan_work(job(*words).spec).plan
    return {tensor.origin: draw(*tensor.shape, dtype="float32") for tensor in plan.given if tensor.origin}


TINY = ("network=tiny", "record=1")


def safetensors_files() -> None:
    arrays = weights_of(*TINY, "input=integers", "input.shape=[4,3,8,8]", "weights=integers")
    header, data = {}, b""
    for name, array in arrays.items():
        header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    text = json.dumps(header).encode()
    Path("weights.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    Path("truth.csv").write_text("1\n2\n3\n4\n")
    np.savez("x.npz", images=draw(4, 3, 8, 8), labels=np.arange(4))


def gradient_files() -> None:
    np.save("x.npy", draw(2, 3, 5, 5))
    np.save("g.npy", draw(2, 4, 3, 3))


def no_files() -> None:
    """All that is read is in packages."""


FROM_FILES = ("input=npz", "input.path=x.npz", "weights=safetensors", "weights.path=weights.safetensors")
KINDS = {
    "a convolution": Kind(
        plain_files,
        ("input=npy", "input.path=x.npy", "bias=npz", "bias.path=b.npz", "filters=integers", "filters.count=4"),
        (("--at", "0,0,0,0"), ("--at", "1,3,2,1")),
    ),
    "matrices": Kind(
        matrix_files,
        ("input=npy", "input.path=m.npy", "filters=csv", "filters.path=w.csv", "conv.pad=1"),
        (("--at", "0,0,0,0"), ("--at", "0,0,6,5")),
    ),
    "a picture": pytest.param(
        Kind(picture_file, ("input=image", "input.path=photo.png", "filters=sobel_x"), (("--at", "0,1,2,3"),)),
        marks=needs_pillow,
    ),
    "a network": Kind(
        safetensors_files,
        (*TINY, *FROM_FILES, "labels=csv", "labels.path=truth.csv"),
        (("--at", "0,0,0,0", "--layer", "conv1"), ("--at", "0,7,7,7", "--layer", "conv2")),
    ),
    "one file twice": Kind(
        safetensors_files,
        (*TINY, *FROM_FILES, "labels=npz", "labels.path=x.npz", "record=4"),
        (("--at", "3,7,7,0", "--layer", "conv2"),),
    ),
    "digits": pytest.param(
        Kind(no_files, ("experiment=digits_small",), (("--at", "0,0,0,0", "--layer", "conv1"),)), marks=needs_sklearn
    ),
    "a gradient": Kind(
        gradient_files,
        (
            "conv=grad_weights",
            "lowering=grad_weights",
            "filters=integers",
            "filters.count=4",
            "input=npy",
            "input.path=x.npy",
            "grad=npy",
            "grad.path=g.npy",
        ),
        (),
    ),
    "a shape alone": Kind(  # of the input nothing else is read
        gradient_files,
        (
            "conv=grad_input",
            "lowering=grad_input",
            "input=npy",
            "input.path=x.npy",
            "grad=npy",
            "grad.path=g.npy",
            "filters=integers",
            "filters.count=4",
        ),
        (),
    ),
}


def each(*names: str) -> list[Any]:
    """Some kinds of runs as parameters, or all."""
    chosen = names or tuple(KINDS)
    found = [KINDS[name] if isinstance(KINDS[name], Kind) else KINDS[name].values[0] for name in chosen]
    marks = [() if isinstance(KINDS[name], Kind) else KINDS[name].marks for name in chosen]
    return [pytest.param(kind, id=name, marks=mark) for kind, name, mark in zip(found, chosen, marks, strict=True)]


@dataclass(frozen=True)
class Moved:
    """A run that is away from where it was made, and what was explained of it there."""

    run: Path
    said: tuple[str, ...]


def made(home: Path, kind: Kind, keep: str, monkeypatch: pytest.MonkeyPatch) -> Moved:
    """Make a run of a kind in a folder of its own."""
    home.mkdir()
    monkeypatch.chdir(home)
    kind.make()
    ok(*kind.words, f"keep={keep}", "name=c")
    run = only_run(home / "runs")
    return Moved(run, tuple(ok("explain", str(run), *cell) for cell in kind.cells))


def moved(tmp_path: Path, kind: Kind, keep: str, monkeypatch: pytest.MonkeyPatch) -> Moved:
    """Make a run, take its collection elsewhere, and delete all that it was made of; the current folder is empty."""
    here = made(tmp_path / "home", kind, keep, monkeypatch)
    shutil.move(here.run.parent, tmp_path / "archive")
    empty = tmp_path / "elsewhere"
    empty.mkdir()
    monkeypatch.chdir(empty)
    shutil.rmtree(tmp_path / "home")
    monkeypatch.setattr(digits, "find_spec", lambda name: None)  # and the packages are not there, either
    monkeypatch.setattr(shipped, "SHIPPED_FOLDER", tmp_path / "home")
    return Moved(tmp_path / "archive" / here.run.name, here.said)


@pytest.mark.parametrize("keep", ["output+inputs", "layers+inputs", "stages+inputs"])
@pytest.mark.parametrize("kind", each())
def test_with_its_inputs_a_collection_needs_nothing_else(
    tmp_path: Path, kind: Kind, keep: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = moved(tmp_path, kind, keep, monkeypatch)
    before = contents(tmp_path)
    assert ok("verify", str(there.run.parent)).startswith("ok ")
    assert tuple(ok("explain", str(there.run), *cell) for cell in kind.cells) == there.said
    assert ok("reproduce", str(there.run)).splitlines()[-1] == f"reproduced: {there.run}"
    assert contents(tmp_path) == before  # nothing is written, wherever


@pytest.mark.parametrize("kind", each())
def test_with_its_stages_a_run_is_explained_without_its_files(
    tmp_path: Path, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = moved(tmp_path, kind, "stages", monkeypatch)
    assert tuple(ok("explain", str(there.run), *cell) for cell in kind.cells) == there.said
    line = refusal("reproduce", str(there.run))
    group, sha = next((g, v["sha256"]) for g, v in load(there.run).config.items() if "sha256" in (v or {}))
    assert line.startswith(f"{there.run}: {group}: got no file, expected ")
    assert f" with sha256 {sha} in inputs beside the run, where it was, or among 10,000 files below" in line
    assert "keep=stages+inputs stores what a run reads" in line


@pytest.mark.parametrize("kind", each("a convolution", "a picture", "a network", "digits"))
def test_without_anything_one_line_says_what_is_missing(
    tmp_path: Path, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = moved(tmp_path, kind, "output", monkeypatch)
    for words in (("reproduce", str(there.run)), ("explain", str(there.run), *kind.cells[0])):
        line = refusal(*words)
        assert re.search(r"got no file, expected \S+ with sha256 [0-9a-f]{64} in inputs beside the run", line)
        assert "keep=output+inputs stores what a run reads" in line
        if "experiment=digits_small" in kind.words:
            assert "pip install 'convpipe[digits]'" in line


def test_the_advice_works_when_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = KINDS["a convolution"]
    there = moved(tmp_path, kind, "output", monkeypatch)
    keep = re.search(r"(keep=\S+) stores", refusal("explain", str(there.run), *kind.cells[0]))[1]  # type: ignore[index]
    kind.make()
    ok(*kind.words, keep, "name=again", "root=again")
    for name in ("x.npy", "b.npz"):
        Path(name).unlink()
    assert ok("explain", str(only_run(Path("again"))), *kind.cells[0]) == there.said[0]


def test_a_process_of_its_own_says_it_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = moved(tmp_path, KINDS["a convolution"], "output", monkeypatch)
    for words in (("explain", str(there.run), "--at=0,0,0,0"), ("reproduce", str(there.run))):
        started = process(*words, cwd=tmp_path / "elsewhere")
        out, err = started.communicate(timeout=60)
        assert (started.returncode, out) == (3, "")
        assert re.fullmatch(r"convpipe: [^\n]+: input: got no file, expected x\.npy with sha256 [^\n]+\n", err)


# Layers that were kept


def kept_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Moved:
    return moved(tmp_path, KINDS["a network"], "layers", monkeypatch)


def test_a_layer_is_explained_from_the_one_before_it_and_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = kept_layers(tmp_path, monkeypatch)
    cells = KINDS["a network"].cells
    line = refusal("explain", str(there.run), *cells[1])
    assert re.search(r": weights: got no file, expected weights\.safetensors with sha256 .*keep=layers\+inputs", line)
    safetensors_files()
    for name in ("x.npz", "truth.csv"):  # neither the input nor the labels are there
        Path(name).unlink()
    assert tuple(ok("explain", str(there.run), *cell) for cell in cells) == there.said
    assert re.search(r": input: got no file, expected x\.npz with", refusal("reproduce", str(there.run)))


def test_kept_layers_that_contradict_the_config_are_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = kept_layers(tmp_path, monkeypatch)
    safetensors_files()
    run = load(there.run)
    row = next(row for row in run.rows if row["stage"] == "relu1")
    for values, line in (
        (np.ones((1, 8, 4, 4), np.float32), r"stage 'relu1' differs: shape was \(1,8,4,4\), is now \(1,8,8,8\)"),
        (np.ones((1, 8, 8, 8), np.int32), r"stage 'relu1' differs: dtype was int32, is now float32"),
    ):
        replace_array(there.run, row, values)
        assert re.search(line, refusal("explain", str(there.run), *KINDS["a network"].cells[1]))


def replace_array(run: Path, row: dict[str, str], values: np.ndarray[Any, Any]) -> None:
    """Put another array in the place of one that a run keeps, as somebody would who seals it again."""
    old = next(line for line in (run / "stages.csv").read_text().splitlines() if line.startswith(f"{row['stage']},"))
    np.save(run / row["file"], values)
    shape = f'"({",".join(map(str, values.shape))})"'
    digest = hashlib.sha256(values.tobytes()).hexdigest()
    low, high = values.min().item(), values.max().item()
    cells = [row["stage"], row["op"], shape, values.dtype.name, values.nbytes, row["macs"], low, high, digest]
    text = (run / "stages.csv").read_text()
    (run / "stages.csv").write_text(text.replace(old, ",".join([*map(str, cells), row["file"]])))
    reseal(run)


# Files that lie elsewhere


def only_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: str = "output") -> tuple[Moved, Kind]:
    """A run of a convolution at home, its files beside it."""
    kind = KINDS["a convolution"]
    return made(tmp_path / "home", kind, keep, monkeypatch), kind


def test_files_are_found_where_they_were_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, kind = only_files(tmp_path, monkeypatch)
    shutil.move(here.run, tmp_path / "moved")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert ok("explain", "../moved", *kind.cells[0]) == here.said[0]
    assert ok("reproduce", "../moved").splitlines()[-1] == "reproduced: ../moved"


def test_files_are_found_from_the_current_folder_as_they_were_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("project/data", "project/work"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project" / "work")
    np.save("../data/x.npy", draw(1, 3, 4, 4))
    ok("input=npy", "input.path=../data/x.npy", "name=c")
    run = only_run(Path("runs"))
    said = ok("explain", str(run), "--at=0,0,0,0")
    (tmp_path / "project").rename(tmp_path / "renamed")
    monkeypatch.chdir(tmp_path / "renamed" / "work")
    assert ok("explain", str(run), "--at=0,0,0,0") == said
    assert ok("reproduce", str(run)).splitlines()[-1] == f"reproduced: {run}"


@pytest.mark.parametrize("place", ["data/x.npy", "a/b/c/renamed", "한국어/그림 하나.npy", "inputs/SHA256"])
def test_an_edited_file_is_found_by_its_hash_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    here, kind = only_files(tmp_path, monkeypatch)
    old = sha256(Path("x.npy"))
    copy = Path(place.replace("SHA256", old))
    copy.parent.mkdir(parents=True)
    shutil.copy("x.npy", copy)
    np.save("x.npy", draw(2, 3, 5, 4) + 1)
    assert ok("explain", str(here.run), *kind.cells[0]) == here.said[0]
    note = f"x.npy: got another content (sha256 {sha256(Path('x.npy'))}), expected {old}"
    assert ok("reproduce", str(here.run)).splitlines()[-1] == f"reproduced; {note}: {here.run}"
    copy.unlink()
    for words in (("explain", str(here.run), *kind.cells[0]), ("reproduce", str(here.run))):
        assert note in refusal(*words)


def test_stored_inputs_win_and_a_changed_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, kind = only_files(tmp_path, monkeypatch, "output+inputs")
    np.save("x.npy", draw(2, 3, 5, 4) + 1)
    assert ok("explain", str(here.run), *kind.cells[0]) == here.said[0]
    assert re.search(r"^reproduced; x\.npy: got another content", ok("reproduce", str(here.run)).splitlines()[-1])
    shutil.copytree(here.run.parent, tmp_path / "copy")
    np.save("x.npy", draw(2, 3, 5, 4))
    assert ok("reproduce", str(here.run)).splitlines()[-1] == f"reproduced: {here.run}"


def test_a_damaged_stored_input_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, kind = only_files(tmp_path, monkeypatch, "output+inputs")
    for path in (here.run.parent / "inputs").iterdir():
        path.write_bytes(b"damage")
    assert ok("explain", str(here.run), *kind.cells[0]) == here.said[0]
    assert ok("reproduce", str(here.run)).splitlines()[-1] == f"reproduced: {here.run}"


def test_what_is_hidden_or_a_link_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, kind = only_files(tmp_path, monkeypatch)
    (tmp_path / "outside").mkdir()
    Path("x.npy").rename(tmp_path / "outside" / "x.npy")
    Path("file.npy").symlink_to(tmp_path / "outside" / "x.npy")
    Path("folder").symlink_to(tmp_path / "outside")
    for hidden in (".cache/x.npy", ".x.npy"):
        Path(hidden).parent.mkdir(exist_ok=True)
        shutil.copy(tmp_path / "outside" / "x.npy", hidden)
    assert "input: got no file" in refusal("explain", str(here.run), *kind.cells[0])
    Path("x.npy").symlink_to(tmp_path / "outside" / "x.npy")  # but at its own place a link is the user's
    assert ok("explain", str(here.run), *kind.cells[0]) == here.said[0]


def test_the_search_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, kind = only_files(tmp_path, monkeypatch)
    size = Path("x.npy").stat().st_size
    Path("data/deep").mkdir(parents=True)
    Path("x.npy").rename("data/deep/renamed.npy")
    for number in range(20):
        Path(f"data/{number:02}.npy").write_bytes(bytes(size - 1) + b"x")  # as large, and nearer
    words = ("explain", str(here.run), *kind.cells[0])
    assert ok(*words) == here.said[0]
    with monkeypatch.context() as few:
        few.setattr(finding, "MOST_SEEN", 20)
        assert "among 20 files below the current folder" in refusal(*words)
    with monkeypatch.context() as little:
        little.setattr(finding, "MOST_HASHED", 20 * size)
        assert "input: got no file" in refusal(*words)
        Path("data/deep/renamed.npy").rename("data/deep/x.npy")  # its own name comes first
        assert ok(*words) == here.said[0]


def test_files_of_another_size_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, kind = only_files(tmp_path, monkeypatch)
    Path("data").mkdir()
    Path("x.npy").rename("data/z.npy")
    size = Path("data/z.npy").stat().st_size
    Path("data/a").write_bytes(bytes(size - 1))
    monkeypatch.setattr(finding, "MOST_HASHED", size)  # enough for the one that may be it, after no other
    assert ok("explain", str(here.run), *kind.cells[0]) == here.said[0]


def test_another_file_of_that_name_is_no_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, _ = only_files(tmp_path, monkeypatch)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    np.save("x.npy", draw(2, 3, 5, 4) + 1)
    assert ok("reproduce", str(here.run)).splitlines()[-1] == f"reproduced: {here.run}"


def test_a_run_is_found_from_within_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = KINDS["a convolution"]
    there = moved(tmp_path, kind, "output+inputs", monkeypatch)
    monkeypatch.chdir(there.run)
    assert ok("explain", ".", *kind.cells[0]) == there.said[0]
    assert ok("reproduce", ".").splitlines()[-1] == "reproduced: ."
    assert ok("verify", ".").startswith("ok . archive")


def test_a_run_that_was_put_aside_has_its_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = KINDS["a convolution"]
    there = moved(tmp_path, kind, "output+inputs", monkeypatch)
    aside = there.run.parent / ".aside" / f"{there.run.name}-{cp.load(there.run).manifest['archive_id']}"
    aside.parent.mkdir()
    there.run.rename(aside)
    assert ok("verify", str(aside)).startswith("ok ")
    assert ok("explain", str(aside), *kind.cells[0]) == there.said[0]
    assert ok("reproduce", str(aside)).splitlines()[-1] == f"reproduced: {aside}"


def test_korean_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "연구실"
    (home / "자료").mkdir(parents=True)
    monkeypatch.chdir(home)
    np.save("자료/입력 하나.npy", draw(1, 3, 4, 4))
    ok("input=npy", "input.path='자료/입력 하나.npy'", "keep=output+inputs", "name='실험'", "root='결과'")
    run = only_run(home / "결과")
    said = ok("explain", str(run), "--at=0,0,1,1")
    shutil.move(run.parent, tmp_path / "보관")
    shutil.rmtree("자료")
    run = tmp_path / "보관" / run.name
    assert ok("explain", str(run), "--at=0,0,1,1") == said
    assert ok("reproduce", str(run)).splitlines()[-1] == f"reproduced: {run}"
    shutil.rmtree(tmp_path / "보관" / "inputs")
    assert "expected 자료/입력 하나.npy with sha256" in refusal("reproduce", str(run))


# What lies in no folder, and the trace


@pytest.mark.parametrize("kind", each("a convolution", "matrices", "a network", "digits"))
def test_a_run_in_memory_is_explained_when_its_files_are_gone(
    tmp_path: Path, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = made(tmp_path / "home", kind, "output", monkeypatch)
    held = cp.run(*kind.words, archive=False)
    for path in tmp_path.glob("home/*.*"):
        path.unlink()
    monkeypatch.setattr(digits, "find_spec", lambda name: None)
    monkeypatch.setattr(shipped, "SHIPPED_FOLDER", tmp_path / "home")
    said = []
    for cell in kind.cells:
        at, layer = cell[1], cell[3] if len(cell) > 2 else None
        said.append(f"{cp.explain(held, at, layer)}\n")
    assert tuple(said) == here.said


def test_the_trace_of_a_copied_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = KINDS["matrices"]
    home = io.StringIO()
    here = made(tmp_path / "first", kind, "stages", monkeypatch)
    show_trace(home, load(here.run))
    there = moved(tmp_path, kind, "stages", monkeypatch)
    shutil.rmtree(tmp_path / "first")
    away = io.StringIO()
    show_trace(away, load(there.run))
    assert away.getvalue() == home.getvalue()
    assert "Final result:" in home.getvalue()


def test_the_sources_of_an_archive_say_what_they_gave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = KINDS["a network"]
    here = made(tmp_path / "home", kind, "output", monkeypatch)
    planned = plan_work(job(*kind.words).spec)
    for name in ("x.npz", "weights.safetensors", "truth.csv"):
        Path(name).unlink()
    recalled = plan_work(read_archived(load(here.run)))
    assert (recalled.batch, recalled.recorded, recalled.slice) == (planned.batch, planned.recorded, planned.slice)
    assert recalled.plan.rows == planned.plan.rows
    assert recalled.plan.wiring == planned.plan.wiring


def test_a_source_of_an_archive_makes_what_it_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = made(tmp_path / "home", KINDS["matrices"], "output", monkeypatch)
    source = read_archived(load(here.run)).input
    signature = source.signature()
    array = source.make(signature, np.random.PCG64(0))
    assert array.shape == signature.shape == (1, 1, 6, 5)
    assert np.array_equal(array[0, 0], draw(6, 5))


# Hostile archives


def with_path(run: Path, path: str, **more: Any) -> None:
    """Let a manifest say that the input lay there."""
    record = json.loads((run / "manifest.json").read_text())
    record["paths"]["input"] = path
    record.pop("input_bytes")
    (run / "manifest.json").write_bytes(manifest_json({**record, **more}))


@pytest.mark.parametrize(
    "path", ["pipe", "/dev/zero", "/dev/stdin", ".", "/", "/proc/self/environ", "/proc/kmsg", "link", "/nowhere/x", ""]
)
def test_a_hostile_path_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    there = moved(tmp_path, KINDS["a convolution"], "output", monkeypatch)
    os.mkfifo("pipe")
    Path("link").symlink_to("/dev/zero")
    with_path(there.run, path)
    for words in (("explain", str(there.run), "--at=0,0,0,0"), ("reproduce", str(there.run))):
        started = process(*words, cwd=tmp_path / "elsewhere")
        out, err = started.communicate(timeout=60)
        assert (started.returncode, out) == (3 if path else 2, ""), err
        assert re.fullmatch(r"convpipe: [^\n]+ expected [^\n]+\n", err), err
        assert "Traceback" not in err


def test_stored_inputs_are_regular_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = moved(tmp_path, KINDS["a convolution"], "output+inputs", monkeypatch)
    folder = there.run.parent / "inputs"
    one, other = sorted(folder.iterdir())
    one.rename(folder / "content")
    one.symlink_to("content")  # which is right, and yet no file of the archive's own
    line = refusal("reproduce", str(there.run))
    assert one.name in line
    for path in (one, other):
        path.unlink()
        path.symlink_to("/dev/zero")
    assert "got no file" in refusal("reproduce", str(there.run))
    for path in (one, other):
        path.unlink()
        os.mkfifo(path)
    assert "got no file" in refusal("reproduce", str(there.run))


@pytest.mark.parametrize("sha", ["../../x.npy", "AB" * 32, "ab", 5, None, ["ab"]])
def test_a_hash_that_is_none_leads_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sha: Any) -> None:
    there = moved(tmp_path, KINDS["a convolution"], "output+inputs", monkeypatch)
    text = (there.run / "config.yaml").read_text()
    old = load(there.run).config["input"]["sha256"]
    (there.run / "config.yaml").write_text(text.replace(f'"{old}"', json.dumps(sha)))
    from convpipe.archive.identity import run_id

    reseal(there.run, run_id=run_id(load(there.run).config))
    answer = convpipe("reproduce", str(there.run))
    assert answer.code in (2, 3)
    assert re.fullmatch(r"convpipe: [^\n]+\n", answer.err)
    assert "unexpected" not in answer.err


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("int16", "foo8"), r"input: got dtype foo8, expected one of int8, "),
        (('"(2,3,5,4)"', '"(2,3,5,9)"'), r"stage 'input' differs: bytes was 240, is now 540"),
        (("int16", "int32"), r"stage 'input' differs: bytes was 240, is now 480"),
    ],
)
def test_rows_that_contradict_the_file_are_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Sequence[str], line: str
) -> None:
    here, kind = only_files(tmp_path, monkeypatch)
    lines = (here.run / "stages.csv").read_text().splitlines()
    rows = [row.replace(*change) if row.startswith("input,") else row for row in lines]
    assert rows != lines
    (here.run / "stages.csv").write_text("\n".join(rows) + "\n")
    reseal(here.run)
    assert re.search(line, refusal("explain", str(here.run), *kind.cells[0]))


def test_groups_that_are_none_are_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, kind = only_files(tmp_path, monkeypatch)
    record = json.loads((here.run / "manifest.json").read_text())
    record["paths"] |= {"seed": "x.npy", "nothing": "x.npy"}
    (here.run / "manifest.json").write_bytes(manifest_json(record))
    assert ok("explain", str(here.run), *kind.cells[0]) == here.said[0]
