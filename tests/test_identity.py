"""A run is what it computes: equal settings in any spelling, and what files hold, wherever they lie."""

from __future__ import annotations

import builtins
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import convpipe, identity, only_run, refused
from run_cases import ROOMY, a_run, a_spec, edit_manifest, network_spec, reseal
from sweep_cases import events

import convpipe as cp
from convpipe.archive.format import manifest_sha256
from convpipe.archive.identity import run_id
from convpipe.archive.read import load
from convpipe.archive.verify import verify
from convpipe.errors import ArchiveError, ConfigError
from convpipe.execution import runner
from convpipe.execution.inputs import pinned
from convpipe.files import contents
from convpipe.graph.spec import describe
from convpipe.sweeps.outcomes import Finished

pytestmark = pytest.mark.usefixtures("folder")


def id_of(*words: str) -> str:
    """The run id of a command line."""
    return identity(*(word for each in words for word in each.split()))


# Settings in canonical form

SAME = [
    ("conv.pad=0", ["conv.pad=[0,0]", "conv.pad=valid", "conv.pad=[[0,0],[0,0]]", "conv.pad=[0,[0,0]]"]),
    ("conv.pad=1", ["conv.pad=[1,1]", "conv.pad=[[1,1],[1,1]]", "conv.pad=[1,[1,1]]"]),
    ("conv.pad=[0,1]", ["conv.pad=[[0,0],[1,1]]", "conv.pad=[0,[1,1]]"]),
    ("conv.stride=1", ["conv.stride=[1,1]"]),
    ("conv.stride=2", ["conv.stride=[2,2]"]),
    ("conv.dilation=2", ["conv.dilation=[2,2]"]),
    ("conv.pad_value=0.0", ["conv.pad_value=0", "conv.pad_value=7", "conv.pad_mode=edge"]),  # nothing is padded
    ("conv.pad=1 conv.pad_mode=edge", ["conv.pad=1 conv.pad_mode=edge conv.pad_value=5"]),
    ("input=random", ["input=random input.mean=7 input.std=2"]),
    ("input=random input.distribution=normal", ["input=random input.distribution=normal input.low=-3 input.high=3"]),
    ("filters=random", ["filters=random filters.kernel=3", "filters=random filters.mean=1"]),
    ("filters=sobel_x", ["filters=sobel_x filters.normalize=false"]),
    ("lowering=im2col", ["lowering.stages=[pad,im2col,fil2col,matmul,reshape]", "lowering.stages=im2col"]),
    ("lowering=implicit", ["lowering.stages=auto", "lowering.stages=[pad,implicit_gemm]"]),
    ("conv=transpose filters=integers input=integers",
     ["conv=transpose filters=integers input=integers conv.output_padding=0"]),
    ("keep=output", ["keep=layers", "keep=stages", "keep=stages+inputs"]),
    ("input=npz input.path=x.npz input.entry=input", ["input=npz input.path=y.npz input.entry=null"]),
    ("input.dtype=float64 input.values=[[[[1,2,3],[4,5,6],[7,8,9]]]] filters=box",
     ["input.dtype=float64 input.values=[[[[1.0,2,3],[4,5,6.0],[7,8,9]]]] filters=box"]),
    ("lowering.stages=[{pad:{pad:1}},im2col,fil2col,matmul,reshape]",
     ["lowering.stages=[{pad:{pad:[1,1]}},im2col,fil2col,matmul,reshape]"]),
]  # fmt: skip
OTHER = [
    ("conv.pad=same", "conv.pad=1"),  # a word stays one
    ("conv.pad=[0,1]", "conv.pad=[1,0]"),
    ("conv.pad=[[0,1],[0,1]]", "conv.pad=[0,1]"),
    ("conv.pad=1", "conv.pad=1 conv.pad_value=2"),
    ("conv.pad=1", "conv.pad=1 conv.pad_mode=edge"),
    ("conv.stride=[1,2]", "conv.stride=[2,1]"),
    ("input=random", "input=random input.low=-1"),
    ("input=random input.distribution=normal", "input=random input.distribution=normal input.mean=1"),
    ("filters=gaussian", "filters=gaussian filters.normalize=false"),
    ("lowering=im2col", "lowering=implicit"),
    ("seed=0", "seed=1"),
    ("experiment=tiny", "experiment=tiny record=2"),
    ("input.dtype=float64 input.values=[[[[0.0,2,3],[4,5,6],[7,8,9]]]] filters=box",
     "input.dtype=float64 input.values=[[[[-0.0,2,3],[4,5,6],[7,8,9]]]] filters=box"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "spellings"), SAME, ids=[words for words, _ in SAME])
def test_equal_settings_are_one_run(words: str, spellings: list[str]) -> None:
    assert {id_of(spelling) for spelling in spellings} == {id_of(words)}


@pytest.mark.parametrize(("first", "second"), OTHER)
def test_what_changes_the_result_is_another_run(first: str, second: str) -> None:
    assert id_of(first) != id_of(second)


def layers_id(layers: dict[str, Any], changes: dict[str, Any] | None = None) -> str:
    """The run id of a network."""
    return run_id(describe(network_spec(layers, changes)).config)


POOL = {"op": "max_pool", "kernel": 2}
MEAN = {"op": "avg_pool", "kernel": 2}
CONV = {"op": "conv", "filters": 2, "kernel": 3}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (POOL, POOL | {"stride": 2}),
        (POOL, POOL | {"kernel": [2, 2], "stride": [2, 2], "pad": "valid"}),
        (MEAN, MEAN | {"count_include_pad": False}),
        ({"op": "dropout"}, {"op": "dropout", "rate": 0.1}),
        ({"op": "relu"}, {"op": "relu", "inputs": ["input"]}),
        (CONV, CONV | {"pad": [[0, 0], [0, 0]], "pad_value": 3, "kernel": [3, 3]}),
    ],
)
def test_equal_layers_are_one_run(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert layers_id({"a": first}) == layers_id({"a": second})


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (POOL, POOL | {"stride": 1}),
        (MEAN, MEAN | {"pad": 1, "count_include_pad": False}),
        (MEAN | {"pad": 1}, MEAN | {"pad": 1, "count_include_pad": False}),
        (CONV, CONV | {"pad": 1}),
    ],
)
def test_layers_that_differ_are_other_runs(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert layers_id({"a": first}) != layers_id({"a": second})


def test_weights_and_stages_that_no_layer_has_do_not_count() -> None:
    other = {"weights": {"source": "random"}, "lowering.stages": ["pad", "implicit_gemm"]}
    assert layers_id({"a": POOL}) == layers_id({"a": POOL}, other)
    assert layers_id({"a": CONV}) != layers_id({"a": CONV}, {"weights": other["weights"]})
    assert layers_id({"a": CONV}) != layers_id({"a": CONV}, {"lowering.stages": ["pad", "implicit_gemm"]})


def test_the_config_on_disk_is_the_canonical_one() -> None:
    run = cp.run("experiment=lecture_3d", **{"conv.pad": [[1, 1], [1, 1]], "conv.stride": [2, 2], "keep": "stages"})
    assert (run.config["conv"]["pad"], run.config["conv"]["stride"]) == (1, 2)
    assert "keep" not in run.config
    assert run.manifest["keep"] == "stages"
    assert run_id(run.config) == run.manifest["run_id"] == run.folder.name


def test_a_lowering_is_a_column_by_its_name() -> None:
    own = "lowering.stages=[pad,im2col,fil2col,matmul,{clip:{low:0}},reshape]"
    for words in ("lowering=im2col", "lowering.stages=auto", own):
        assert convpipe(words, "name=c").code == 0
    table = cp.runs("runs/c")
    assert sorted(table["lowering"].fillna("")) == ["", "im2col", "implicit"]
    assert len(cp.runs("runs/c", where="lowering == 'implicit'")) == 1


SAME_BY_SIZES = [
    ("input=random filters.kernel=1 filters=random conv.pad=same",
     ["input=random filters.kernel=1 filters=random conv.pad=same conv.pad_mode=edge",
      "input=random filters.kernel=1 filters=random conv.pad=same conv.pad_value=3"]),
    ("experiment=tiny record=null", ["experiment=tiny record=4"]),
    ("lowering=auto", ["lowering=implicit"]),
]  # fmt: skip


@pytest.mark.parametrize(("words", "spellings"), SAME_BY_SIZES, ids=[words for words, _ in SAME_BY_SIZES])
def test_what_sizes_make_equal_is_one_run(words: str, spellings: list[str]) -> None:
    """Planned one by one, and as the points of sweeps."""
    found = [cp.run(*spelling.split(), name="c").folder.name for spelling in (words, *spellings)]
    assert len({*found}) == 1
    before = len(found)
    told = [convpipe("-m", *spelling.split(), "name=c").out.splitlines()[-1] for spelling in (words, *spellings)]
    assert [line.startswith("0 done, 1 there before") for line in told] == [True] * before


def test_a_layer_that_pads_nothing_does_not_say_with_what() -> None:
    layers = {"a": {"op": "conv", "filters": 2, "kernel": 1, "pad": "same"}}
    plain = runner.prepare(network_spec(layers), ROOMY)
    assert runner.prepare(network_spec({"a": layers["a"] | {"pad_mode": "edge"}}), ROOMY).identity == plain.identity
    wide = {"a": layers["a"] | {"kernel": 3}}
    other = {"a": wide["a"] | {"pad_mode": "edge"}}
    assert runner.prepare(network_spec(wide), ROOMY).identity != runner.prepare(network_spec(other), ROOMY).identity


def test_less_than_all_images_is_another_run() -> None:
    assert cp.run("experiment=tiny", "record=3", name="c").folder != cp.run("experiment=tiny", name="c").folder


# Files

ARRAY = np.arange(48, dtype=np.int16).reshape(1, 3, 4, 4)


def saved(path: str, array: Any = ARRAY) -> str:
    """An array in a file; gives the hash of that."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def read(path: str, *words: str, **settings: Any) -> Any:
    """A run of a file."""
    return cp.run("experiment=lecture_3d", "input=npy", f"input.path={path}", *words, name="c", **settings)


def test_the_same_content_by_another_path_is_the_same_run() -> None:
    sha256 = saved("x.npy")
    shutil.copy("x.npy", "y.npy")
    first = read("x.npy")
    before = (first.folder / "SHA256SUMS").read_bytes()
    second = read(str(Path("y.npy").absolute()))
    assert first.folder == second.folder
    assert (first.folder / "SHA256SUMS").read_bytes() == before
    assert first.config["input"] == {"source": "npy", "sha256": sha256}
    assert first.manifest["paths"] == {"input": "x.npy"}


def test_other_content_under_the_same_path_is_another_run() -> None:
    saved("x.npy")
    first = read("x.npy")
    saved("x.npy", ARRAY + 1)
    second = read("x.npy")
    assert first.folder != second.folder
    table = cp.runs("runs/c")
    assert list(table["input.path"]) == ["x.npy", "x.npy"]
    assert table["input.sha256"].nunique() == 2
    assert len(cp.runs("runs/c", where=f"input.sha256 == '{first.config['input']['sha256']}'")) == 1


def test_which_file_and_where_are_columns_always() -> None:
    sha256 = saved("x.npy")
    read("x.npy")
    for table in (cp.runs("runs/c"), cp.runs("runs/c", where="seed == 0")):
        assert (table["input.sha256"][0], table["input.path"][0]) == (sha256, "x.npy")
    head = Path("runs/c/results.csv").read_text().splitlines()[0].split(",")
    assert head.index("input.path") == head.index("input.sha256") + 1


def test_a_hash_that_is_given_pins_the_content(folder: Path) -> None:
    sha256 = saved("x.npy")
    assert read("x.npy", f"input.sha256={sha256.upper()}").folder == read("x.npy").folder
    saved("x.npy", ARRAY + 1)
    words = ("input=npy", "input.path=x.npy", f"input.sha256={sha256}", "name=c")
    for more in ((), ("dry_run=true",), ("-m", "seed=1,2")):
        line = refused(folder, *words, *more)
        assert f"input.sha256: got {sha256}, expected " in line
        assert line.endswith(", that of x.npy")
    line = refused(folder, "input=npy", "input.path=x.npy", "input.sha256=abc")
    assert line == "input.sha256: got abc, expected a SHA-256, 64 hexadecimal digits"
    with pytest.raises(ConfigError, match=r"input\.sha256: got "):
        cp.plan(*words[:3])


def test_every_file_counts_whatever_it_is_for() -> None:
    """Filters, bias, weights, labels: each content is part of the id."""
    saved("w.npy", np.ones((2, 3, 2, 2), np.int16))
    saved("b.npy", np.ones(2, np.int16))
    settings = {"filters": "npy", "filters.path": "w.npy", "bias": "npy", "bias.path": "b.npy"}
    seen = {read_with(settings)}
    for path in ("w.npy", "b.npy"):
        saved(path, np.load(path) + 1)
        seen.add(read_with(settings))
    assert len(seen) == 3
    saved("labels.npy", np.zeros(8, int))
    layers = {"a": {"op": "global_avg_pool"}}
    labels = {"labels": {"source": "npy", "path": "labels.npy"}, "input.shape": [8, 3, 4, 4]}
    first = describe(pinned(network_spec(layers, labels))).identity
    saved("labels.npy", np.ones(8, int))
    assert describe(pinned(network_spec(layers, labels))).identity != first


def read_with(settings: dict[str, Any]) -> str:
    """The id of a run with some settings."""
    made = cp.run("experiment=lecture_3d", name="f", **settings)
    assert set(made.manifest["paths"]) == {"filters", "bias"}
    return str(made.manifest["run_id"])


def test_files_of_a_package_count_and_have_no_path() -> None:
    pytest.importorskip("sklearn")
    run = cp.run("experiment=digits_small")
    for group in ("input", "labels", "weights"):
        assert len(run.config[group]["sha256"]) == 64
    assert run.manifest["paths"] == {}


def test_a_file_is_hashed_once_for_thousands_of_points(monkeypatch: pytest.MonkeyPatch) -> None:
    saved("x.npy")
    old = contents.LATELY * 10
    monkeypatch.setattr(contents.time, "time", lambda real=contents.time.time: real() + old)
    monkeypatch.setattr(contents, "KNOWN", {})
    hashed: list[str] = []
    real = contents.hashed
    monkeypatch.setattr(contents, "hashed", lambda path, *rest: (hashed.append(path), real(path, *rest))[1])
    told = events("root=r", "name=c", "input=npy", "input.path=x.npy", "seed=range(0,300)")
    next(told)
    assert hashed == ["x.npy"]
    assert sum(isinstance(event, Finished) for event in told) == 300
    assert hashed == ["x.npy"]


@pytest.mark.parametrize("same_times", [False, True])
def test_a_change_is_seen_however_quick(same_times: bool) -> None:
    saved("x.npy")
    before, stamp = contents.content_sha256("x.npy", "input.path"), os.stat("x.npy")
    saved("x.npy", ARRAY + 1)
    if same_times:  # of its last change, which a user can set
        os.utime("x.npy", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert contents.content_sha256("x.npy", "input.path") != before


def test_a_file_that_lasts_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    sha256 = saved("x.npy")
    monkeypatch.setattr(contents.time, "time", lambda real=contents.time.time: real() + 10 * contents.LATELY)
    assert contents.content_sha256("x.npy", "input.path") == sha256
    monkeypatch.setattr(contents.hashlib, "file_digest", lambda *file: pytest.fail("read again"))
    assert contents.content_sha256("x.npy", "input.path") == sha256


def test_a_file_that_cannot_be_read_is_told() -> None:
    with pytest.raises(ConfigError, match=r"^input\.path: got nowhere\.npy, expected a readable file \(No such file"):
        contents.content_sha256("nowhere.npy", "input.path")


def test_a_run_from_memory_says_its_files_too() -> None:
    sha256 = saved("x.npy")
    held = read("x.npy", archive=False)
    assert held.config["input"] == {"source": "npy", "sha256": sha256}
    assert held.manifest["paths"] == {"input": "x.npy"}


# The manifest


def test_a_manifest_says_what_the_design_says(tmp_path: Path) -> None:
    run = a_run(tmp_path, {"keep": "stages"})
    manifest = run.manifest
    assert manifest["format"] == 2
    assert manifest["sizes"] == {path.name: path.stat().st_size for path in run.folder.iterdir()
                                 if path.name != "manifest.json"}  # fmt: skip
    assert manifest["wiring"] == {
        "input": [], "filters": [], "pad": ["input"], "im2col": ["pad"], "fil2col": ["filters"],
        "matmul": ["im2col", "fil2col"], "reshape": ["matmul"],
    }  # fmt: skip
    others = {key: value for key, value in manifest.items() if key != "sha256"}
    text = json.dumps(others, sort_keys=True, separators=(",", ":"))
    assert manifest["sha256"] == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(("key", "value"), [("started", "1"), ("keep", "layers"), ("lowering", "x"), ("note", "")])
def test_an_edited_manifest_is_found(key: str, value: str, tmp_path: Path) -> None:
    run = a_run(tmp_path).folder
    record = json.loads((run / "manifest.json").read_text())
    edit_manifest(run, **{key: value, "sha256": record["sha256"]})
    with pytest.raises(ArchiveError, match=r"manifest\.json: got sha256 [0-9a-f]{64}, expected [0-9a-f]{64}, its own$"):
        verify(run)


@pytest.mark.parametrize(
    ("entries", "match"),
    [
        ({"sizes": {}}, "got the sizes of other files than those of SHA256SUMS"),
        ({"sizes": {"x": "1"}}, r"got sizes\.x 1, expected a number of bytes"),
        ({"sizes": {"x": -1}}, r"got sizes\.x -1, expected a number of bytes"),
        ({"paths": {"input": 1}}, r"got paths\.input 1, expected a text"),
        ({"paths": []}, r"got paths \[\], expected a dict"),
        ({"wiring": {"pad": "input"}}, r"got wiring\.pad input, expected a list of texts"),
        ({"given": {"a": []}}, r"got given\.a \[\], expected a text"),
        ({"pictures": {"../x.png": "0" * 64}}, r"got pictures of \.\./x\.png, expected a name of a file"),
        ({"keep": None}, r"got keep nothing, expected one of output, layers, stages"),
        ({"started": 5}, r"got started 5, expected a date and time"),
    ],
)  # fmt: skip
def test_a_manifest_that_says_something_else_is_refused(entries: dict[str, Any], match: str, tmp_path: Path) -> None:
    run = a_run(tmp_path).folder
    edit_manifest(run, **entries)
    with pytest.raises(ArchiveError, match=match):
        verify(run)


def test_a_wrong_size_is_found(tmp_path: Path) -> None:
    run = a_run(tmp_path).folder
    sizes = load(run).manifest["sizes"]
    edit_manifest(run, sizes={**sizes, "output.npy": sizes["output.npy"] + 1})
    with pytest.raises(ArchiveError, match=r"output\.npy: got \d+ bytes, expected \d+$"):
        verify(run)


def test_pictures_lie_beside_the_archive() -> None:
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.arange(75, dtype=np.uint8).reshape(5, 5, 3)).save("x.png")
    assert convpipe("input=image", "input.path=x.png", "filters=sobel_x").code == 0
    run = only_run(Path("runs"))
    sums, manifest = (run / "SHA256SUMS").read_text(), json.loads((run / "manifest.json").read_text())
    files = [f"map_sobel_x_{part}.png" for part in ("B", "G", "R", "RGB")]
    assert sorted(manifest["pictures"]) == [*files, "maps.png"]
    assert "png" not in sums
    verify(run)
    (run / "map_sobel_x_G.png").write_bytes(b"\x89" * (run / "map_sobel_x_G.png").stat().st_size)
    with pytest.raises(ArchiveError, match=r"map_sobel_x_G\.png: got sha256 "):
        verify(run)
    (run / "map_sobel_x_G.png").unlink()
    with pytest.raises(ArchiveError, match=r"map_sobel_x_G\.png: No such file"):
        verify(run)


def test_a_manifest_sealed_anew_verifies(tmp_path: Path) -> None:
    """The hash finds damage, not forgery: whoever makes all of it anew has another archive."""
    run = a_run(tmp_path).folder
    reseal(run, keep="layers")
    assert verify(run).manifest["sha256"] == manifest_sha256(load(run).manifest)


def test_describing_opens_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = a_spec({"input": {"source": "npy", "path": "nowhere.npy", "sha256": "0" * 64}})
    monkeypatch.setattr(builtins, "open", lambda *words, **more: pytest.fail("opened"))
    assert describe(spec).paths == {"input": "nowhere.npy"}
