"""The front door: what the command line answers, as functions, in whatever thread and Hydra app they are called."""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cli_runs import CHECKOUT, contents, convpipe
from hypothesis import example, given, strategies as st
from omegaconf import OmegaConf
from run_cases import edit_rows, from_elsewhere, reseal, set_output

import convpipe as cp
from convpipe import reference
from convpipe.archive.read import Run
from convpipe.archive.table import MEASURED, SOMETIMES
from convpipe.config.grammar import MOST_NUMBERS, value_text, words_of
from convpipe.config.hydra_safety import parsed
from convpipe.errors import ArchiveError, ConfigError, ConvpipeError, StorageError, UsageError
from convpipe.execution.provenance import thread_pools
from convpipe.execution.threads import blas_threads
from convpipe.graph import lowerings

pytestmark = pytest.mark.usefixtures("folder")  # no test writes into the checkout

RING: list[Any] = []
RING.append(RING)
STRIDED = {"conv.stride": 2, "conv.pad": 1}


def line_of(call: Callable[[], object], match: str) -> str:
    """The text of the error that a call ends with, in one line."""
    with pytest.raises(ConvpipeError, match=match) as caught:
        call()
    return " ".join(str(caught.value).split())


# plan and run


def test_a_plan_is_what_a_dry_run_prints(folder: Path) -> None:
    plan = cp.plan("experiment=lecture_4d", **STRIDED)
    assert f"{plan}\n" == convpipe("experiment=lecture_4d", "conv.stride=2", "conv.pad=1", "dry_run=true").out
    assert contents(folder) == set()


def test_a_run_is_archived_as_by_the_command_line(folder: Path) -> None:
    run = cp.run("experiment=lecture_4d", keep="stages", **STRIDED)
    assert (folder / "runs/lecture_4d/results.csv").is_file()
    assert convpipe("experiment=lecture_4d", "keep=stages", "conv.stride=2", "conv.pad=1").out.splitlines()[-1] == (
        f"reproduced: {run.path}"
    )
    assert run.path == Path("runs/lecture_4d") / run.manifest["run_id"]
    assert list(cp.runs("runs/lecture_4d")["run"]) == [run.manifest["run_id"]]


def test_a_run_that_is_there_is_compared() -> None:
    path = cp.run("experiment=lecture_3d").folder
    assert cp.run("experiment=lecture_3d").path == path
    set_output(path, lambda values: values.__setitem__((0, 0, 0, 0), 7))
    with pytest.raises(ArchiveError, match=r"stage 'matmul' differs") as caught:
        cp.run("experiment=lecture_3d")
    assert convpipe("experiment=lecture_3d").err == f"convpipe: {caught.value}\n"


WRONG: list[tuple[list[str], dict[str, Any], str]] = [
    (["conv.strid=2"], {}, r"conv\.strid: got 2, .*did you mean conv\.stride\?"),
    ([], {"conv.strid": 2}, r"conv\.strid: got 2, .*did you mean conv\.stride\?"),
    ([], {"conv.stride": 0}, r"conv\.stride: got 0, expected"),
    ([], {"conv.stride": "a b"}, r"conv\.stride: got a b, expected"),
    (
        [],
        {"conv.dtype": "uint8"},
        r"conv\.dtype: got uint8, expected a dtype that holds every sum .*; "
        r"choose a wider dtype, conv\.overflow=wrap or conv\.overflow=saturate\)$",
    ),
    (["experiment=lecture_5d"], {}, r"experiment: got lecture_5d, expected one of"),
    ([], {"experiment": "lecture_5d"}, r"experiment: got lecture_5d, expected one of"),
    ([], {"name": "../x"}, r"name: got \.\./x, expected a folder name"),
    (["seed=1,2"], {}, r"seed: got 1,2, expected one value"),
    (["sweep.sample=3"], {}, r"sweep\.sample: got 3, expected -m beside it"),
    (["hydra.run.dir=x"], {}, r"hydra\.run\.dir: got x, expected"),
    (["input=npy", "input.path=nope.npy"], {}, r"input\.path: got nope\.npy, expected"),
    (["limits.memory=1"], {}, r"limits\.memory: got 1 B, expected at least"),
    (["lowering.stages=[pad,im2co]"], {}, r"lowering\.stages\[1\]: got im2co, expected one of"),
]


@pytest.mark.parametrize(("overrides", "settings", "line"), WRONG, ids=str)
def test_what_is_wrong_is_said_as_by_the_command_line(
    overrides: list[str], settings: dict[str, Any], line: str, folder: Path
) -> None:
    said = convpipe(*words_of(overrides, settings))
    for archive in (True, False):
        with pytest.raises(ConfigError, match=line) as caught:
            cp.run(*overrides, archive=archive, **settings)
        assert said.err == f"convpipe: {' '.join(str(caught.value).split())}\n"
        assert said.code == caught.value.exit_code == 2
    assert contents(folder) == set()


def test_a_word_that_is_no_setting() -> None:
    with pytest.raises(ConfigError, match=r"seed: got no '=' .*, expected a setting as key=value"):
        cp.run("seed")


def test_a_disk_that_refuses(folder: Path) -> None:
    (folder / "runs").write_text("a file")
    with pytest.raises(StorageError, match=r"runs.*; nothing was kept") as caught:
        cp.run()
    said = re.sub(r"-[0-9a-f]{8}:", ":", f"convpipe: {caught.value}\n")  # of the folder it would have been made in
    assert re.sub(r"-[0-9a-f]{8}:", ":", convpipe().err) == said


def test_a_dry_run_is_a_plan() -> None:
    for call in (cp.run, cp.sweep):
        with pytest.raises(ConfigError, match=r"dry_run: got True, expected false"):
            call(dry_run=True)


def test_a_traced_experiment_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    cp.run("experiment=lecture_im2col")
    assert capfd.readouterr() == ("", "")


# Settings as keywords


def test_of_overrides_and_keywords_the_later_counts() -> None:
    plan = cp.plan("conv.stride=1", "conv.stride=3", "experiment=lecture_3d", experiment="lecture_4d", seed=1)
    assert str(plan) == str(cp.plan("experiment=lecture_4d", "conv.stride=3"))
    assert str(cp.plan("conv.pad=1", **{"conv.pad": 2})) == str(cp.plan("conv.pad=2"))


def test_values_of_numpys_are_settings() -> None:
    values = np.arange(8, dtype=np.int16).reshape(1, 2, 2, 2)
    run = cp.run(
        "experiment=lecture_3d", "filters=lecture", archive=False, **{
            "input": "lecture", "input.values": np.ones((1, 2, 3, 3), np.int8), "filters.values": values,
            "conv.stride": np.int64(1), "conv.dilation": (np.int8(1), 1), "conv.dtype": None,
        },
    )  # fmt: skip
    assert run.maps.tolist() == [[[[28, 28], [28, 28]]]]


def test_a_path_is_a_setting(tmp_path: Path) -> None:
    path = tmp_path / "it's a ${b}, [c]=d.npy"
    np.save(path, np.ones((1, 3, 4, 4), np.int16))
    run = cp.run("input=npy", archive=False, **{"input.path": path})
    assert run["input"].sum() == 48


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (1j, r"x: got a complex, expected None, a truth, a number"),
        ([1, {2}], r"x: got a set, expected None"),
        ({"a": b"b"}, r"x\.a: got a bytes, expected None"),
        ({"a b": 1}, r"x: got a b, expected a dict whose keys are names"),
        ({"null": 1}, r"x: got null, expected a dict whose keys are names"),
        (np.zeros(MOST_NUMBERS + 1), r"x: got an array of 10001 numbers, expected at most 10000 written out"),
        (np.array([1j]), r"x: got a complex"),
        (10**5000, r"x: got a number of thousands of digits, expected None, a truth, a number"),
        (RING, r"x: got a list, expected fewer lists or dicts within each other"),
        (range(10**30), r"x: got range\(0, 10+\), expected at most 10000 written out"),
    ],
    ids=lambda value: "" if isinstance(value, int) else str(value)[:20],
)
def test_what_no_config_can_hold(value: Any, line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        value_text("x", value)


def test_a_long_range_is_swept_as_the_grammar_has_it() -> None:
    assert words_of([], {"seed": range(5, 10**12, 2)}, several=True) == ["seed=range(5,1000000000000,2)"]
    with pytest.raises(ConvpipeError, match=r"limits\.runs: got 1000000, expected .*100000000"):
        cp.sweep(seed=range(10**8))


def test_a_choice_too_long_for_a_file_is_one_that_there_is_not() -> None:
    with pytest.raises(ConfigError, match=r"^input: got x+\.\.\., expected the name of a choice of input \(File name"):
        cp.plan(input="x" * 5000)


def test_without_a_working_directory(folder: Path) -> None:
    folder.rmdir()
    assert cp.run(archive=False).output.size
    with pytest.raises(
        StorageError, match=r"^runs.*: No such file or directory \(this folder is gone, .*nothing was kept$"
    ):
        cp.run()
    folder.mkdir()


def test_an_override_is_a_text() -> None:
    with pytest.raises(ConfigError, match=r"overrides: got \{'seed': 1\}, expected texts such as"):
        cp.run({"seed": 1})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"seed: got \[\], expected at least one value to sweep over"):
        cp.sweep(seed=[])


TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.text("\\'${}a\"[:,= \n")
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.from_regex(r"[a-z]{5}", fullmatch=True), inner)
)


@given(VALUES)
@example("\\\n")
def test_every_value_comes_back_from_the_grammar(value: Any) -> None:
    if "???" in str(value) or "_target_" in str(value):
        return  # what OmegaConf takes for a value that is missing, and what we refuse
    found = parsed(f"x={value_text('x', value)}").value()
    config = OmegaConf.to_container(OmegaConf.create({"x": found}), resolve=True)
    assert repr(config["x"]) == repr(value)  # type: ignore[index,call-overload]


NO_PATHS = [None, 5, b"x", ["x"], np.array(1)]


@pytest.mark.parametrize("found", NO_PATHS, ids=repr)
def test_what_is_no_path_of_a_run_is_said_so(found: Any) -> None:
    for name in ("verify", "reproduce", "load", "runs"):
        with pytest.raises(UsageError, match=rf"^{name}: got .*, expected the path of a folder$"):
            getattr(cp, name)(found)
    with pytest.raises(UsageError, match=r"^explain: got .*, expected the path of a folder$"):
        cp.explain(found, at=(0, 0, 0, 0))


def test_a_folder_with_too_long_a_name_is_not_there() -> None:
    for name in ("verify", "reproduce"):
        with pytest.raises(UsageError, match=rf"^{name}: got x+, expected a folder$"):
            getattr(cp, name)("x" * 300)
    with pytest.raises(UsageError, match=r"^runs: got x+, expected a folder$"):
        cp.runs("x" * 300)


@pytest.mark.parametrize("at", [(), "", [], None])
def test_a_cell_has_indices(at: Any) -> None:
    with pytest.raises(ConfigError, match=r"^--at: got .*, expected whole numbers with commas between them"):
        cp.explain(cp.run(archive=False), at=at)


def test_what_the_disk_refuses_a_sweep_is_an_error_of_ours(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(StorageError, match=r"^file: a file, expected a folder$"):
        cp.sweep("experiment=lecture_3d", root="file", seed=[1, 2])


def test_stages_of_no_numbers_are_a_table() -> None:
    np.save("x.npy", np.array([[[[np.nan, 1.0], [2.0, 3.0]]]]))
    run = cp.run("input=npy", "input.path=x.npy", "filters.values=[[[[1.0]]]]", "filters.dtype=float64")
    assert run.stages["max"].isna().any()


# In memory


def test_the_stages_of_a_run_are_its_names() -> None:
    run = cp.run(archive=False)
    assert list(run) == [row["stage"] for row in run.rows]
    assert "im2col" in run
    assert 0 not in run
    with pytest.raises(ArchiveError, match=r"^the run in memory: got stage 0, expected one of input, filters, pad"):
        run[0]  # type: ignore[index]


def test_a_run_in_memory_is_the_archived_one(folder: Path) -> None:
    for words in (["experiment=lecture_4d"], ["experiment=tiny"], ["experiment=tiny", "record=2"]):
        held = cp.run(*words, archive=False)
        assert contents(folder) == set()
        run = cp.run(*words, root=folder.parent / "runs", keep="stages")
        same = [column for column in run.stages if column != "file"]
        pd.testing.assert_frame_equal(held.stages[same], run.stages[same])
        assert [*held.manifest] == [key for key in run.manifest if key not in ("archive_id", "sizes")]
        assert held.config == run.config
        assert held.manifest["axes"] == run.manifest["axes"]
        for row in run.rows:
            np.testing.assert_array_equal(held[row["stage"]], run[row["stage"]], strict=True)
        np.testing.assert_array_equal(held.output, run.output, strict=True)


def test_nobody_changes_a_run_in_memory() -> None:
    run = cp.run("experiment=lecture_3d", archive=False)
    run.output[:] = 100
    run["input"][:] = 100
    assert run.output[0, :, :, 0].tolist() == [[-9, 1], [0, -7]]
    assert run["input"].max() == 3


def test_a_run_in_memory_has_no_folder() -> None:
    run = cp.run("experiment=lecture_3d", archive=False)
    assert run.path is None
    for call in (cp.verify, cp.reproduce, lambda run: run.folder):
        with pytest.raises(UsageError, match="a run in memory has no folder"):
            call(run)


def test_all_arrays_have_to_fit(folder: Path) -> None:
    words = ["experiment=lecture_4d", "limits.memory=9000"]
    assert cp.run(*words).path is not None
    with pytest.raises(ConfigError, match=r"limits\.memory: got .*, expected at least .*, all arrays of this run"):
        cp.run(*words, archive=False)


WATCHED = """
    import os, sys, tempfile
    import convpipe as cp
    cp.plan()  # imports
    import pandas, threadpoolctl
    written = []
    def watch(event, found):
        if event == "open" and isinstance(found[2], int) and found[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            written.append(found[0])
        elif event in ("os.mkdir", "os.rename", "os.remove", "os.link", "os.symlink") or event.startswith("tempfile."):
            written.append((event, found))
    sys.addaudithook(watch)
    run = cp.run("experiment=lecture_4d", archive=False)
    run._repr_html_(), repr(run), cp.explain(run, (0, 0, 0, 0))
    print(written)
    tempfile.TemporaryFile().close()
    print(bool(written))
"""


def in_a_process(code: str, *words: str, folder: Path) -> str:
    """What a program prints that runs in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1"}
    script = folder / "app.py"
    script.write_text(textwrap.dedent(code))
    done = subprocess.run(
        [sys.executable, str(script), *words], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_nothing_at_all_is_written(folder: Path) -> None:
    assert in_a_process(WATCHED, folder=folder) == "[]\nTrue\n"


# sweep


def test_a_sweep_gives_the_rows_of_its_runs() -> None:
    cp.run("experiment=lecture_3d", seed=77)  # which is none of them
    table = cp.sweep("experiment=lecture_3d", **{"conv.stride": [1, (2, 1)], "seed": range(2)})
    whole = cp.runs("runs/lecture_3d")
    assert (len(table), len(whole)) == (4, 5)
    assert list(table.columns) == list(whole.columns)
    pd.testing.assert_frame_equal(table, whole[whole["seed"] != 77].reset_index(drop=True), check_dtype=False)
    assert sorted(table["conv.stride"]) == [(1,), (1,), (2, 1), (2, 1)]
    again = cp.sweep("experiment=lecture_3d", "conv.stride=1,[2,1]", "seed=range(0,2)")
    pd.testing.assert_frame_equal(again, table)


def test_failures_are_among_them() -> None:
    for _ in range(2):  # now, and in an earlier sweep
        table = cp.sweep("experiment=lecture_3d", **{"conv.dtype": ["int16", "uint8"]})
        assert sorted(table["status"]) == ["done", "failed"]
        assert table.set_index("status")["error"]["failed"].startswith("conv.dtype: got uint8, expected a dtype that")


def test_several_collections_are_joined() -> None:
    cp.run("experiment=lecture_4d", seed=5)
    table = cp.sweep(experiment=["lecture_3d", "lecture_4d"], seed=[1, 2])
    assert len(table) == 4
    assert list(table["output_shape"]) == ["(1,2,2,1)"] * 2 + ["(1,5,5,6)"] * 2
    assert set(table["run"]) < set(cp.runs("runs/lecture_3d")["run"]) | set(cp.runs("runs/lecture_4d")["run"])
    for name in ("lecture_3d", "lecture_4d"):
        assert set(cp.runs(f"runs/{name}").columns) <= set(table.columns)


def test_a_sweep_by_a_stock_launcher() -> None:
    table = cp.sweep("experiment=lecture_3d", "hydra/launcher=basic", seed=[0, 1])
    assert list(table["status"]) == ["done", "done"]


def test_a_sweep_without_points() -> None:
    table = cp.sweep("where='seed > 5'", seed=[0, 1])
    assert list(table.columns) == ["run", "status", *MEASURED, *sorted(SOMETIMES)]
    assert len(table) == 0


@pytest.mark.parametrize("settings", [{"seed": [-1, 0]}, {"conv.strid": [1, 2]}, {"conv.pad": ["x"]}], ids=str)
def test_a_sweep_that_cannot_be(settings: dict[str, Any], folder: Path) -> None:
    said = convpipe("-m", *words_of([], settings, several=True))
    assert f"convpipe: {line_of(lambda: cp.sweep(**settings), 'got .*, expected')}\n" == said.err
    assert contents(folder) == set()


def test_a_point_that_is_not_reproduced(monkeypatch: pytest.MonkeyPatch) -> None:
    path = cp.run("experiment=lecture_3d").folder
    set_output(path, lambda values: values.__setitem__((0, 0, 0, 0), 7))
    record = json.loads((path / "manifest.json").read_text())
    from_elsewhere(path, convpipe="0.0.1")  # by other code, or the run would be passed over
    assert record["provenance"]["convpipe"] != "0.0.1"
    with pytest.raises(ArchiveError, match=r"stage 'matmul' differs"):
        cp.sweep("experiment=lecture_3d", seed=[0, 1])


# stages


@pytest.mark.parametrize("lowering", ["auto", "im2col", "implicit"])
def test_the_stages_of_arrays_in_hand(lowering: str) -> None:
    draw = np.random.default_rng(5)
    x, w, bias = draw.integers(-9, 9, (2, 4, 6, 5)), draw.integers(-9, 9, (6, 2, 3, 2)), draw.integers(-9, 9, 6)
    settings: dict[str, Any] = {"stride": (2, 1), "pad": [[1, 0], [2, 1]], "groups": 2, "pad_value": 3}
    found = cp.stages(x, w, bias, lowering=lowering, **settings)
    assert [*found] == [stage.op for stage in lowerings.chain("conv", lowering)]
    *_, last = found.values()
    np.testing.assert_array_equal(np.moveaxis(last, -1, 1), reference.conv(x, w, bias, **settings))
    padded = np.pad(x, [(0, 0), (0, 0), (1, 0), (2, 1)], constant_values=3)
    np.testing.assert_array_equal(found["pad"], padded)
    if lowering == "im2col":
        expected = cp.im2col(x, 3, 2, stride=(2, 1), pad=[[1, 0], [2, 1]], pad_value=3)
        np.testing.assert_array_equal(found["im2col"].reshape(expected.shape), expected)


def test_stages_do_not_share_memory() -> None:
    x = np.ones((1, 1, 3, 3))
    found = cp.stages(x, np.ones((1, 1, 2, 2)))
    arrays = [x, *found.values()]
    assert not any(np.shares_memory(a, b) for at, a in enumerate(arrays) for b in arrays[:at])


def test_the_settings_of_stages_are_those_of_conv() -> None:
    with pytest.raises(ConfigError, match=r"stride: got 0"):
        cp.stages(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), stride=0)
    with pytest.raises(ConfigError, match=r"w: got bool"):
        cp.stages(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2), bool))


# explain, verify, reproduce


def test_a_cell_prints_itself_as_the_command_does() -> None:
    run = cp.run("experiment=tiny")
    said = convpipe("explain", str(run.path), "--at=0,3,1,7", "--layer=conv2").out
    held = cp.run("experiment=tiny", archive=False)
    for each in (run, run.path, str(run.path), held):
        cell = cp.explain(each, (0, 3, 1, 7), layer="conv2")  # type: ignore[arg-type]
        assert f"{cell}\n" == said
    assert re.fullmatch(r"<Cell n=0, f=3, out_h=1, out_w=7: 8 channels = -?\d+, as stored>", repr(cell))
    assert cell._repr_html_() == f"<pre>{said.rstrip()}</pre>".replace(">=", "&gt;=")


def test_a_cell_that_is_stored_otherwise_is_told() -> None:
    path = cp.run("experiment=lecture_3d").folder
    set_output(path, lambda values: values.__setitem__((0, 0, 0, 0), 7))
    cell = cp.explain(path, (0, 0, 0, 0))
    assert not cell.agrees
    assert "but 7 is stored" in repr(cell)


def test_what_is_held_is_not_made_again(folder: Path) -> None:
    np.save(folder / "x.npy", np.ones((1, 3, 4, 4), np.int16))
    run = cp.run("input=npy", "input.path=x.npy", archive=False)
    np.save(folder / "x.npy", np.zeros((1, 3, 4, 4), np.int16))
    assert cp.explain(run, (0, 0, 0, 0)).agrees


@pytest.mark.parametrize(
    ("at", "layer"), [("0,0,0", None), ((0, 0, 0, 5), None), ((0, 0, 0, 0), "x"), ("0,a", None)], ids=str
)
def test_what_cannot_be_explained(at: Any, layer: str | None) -> None:
    path = str(cp.run("experiment=lecture_3d").path)
    words = [f"--at={at if isinstance(at, str) else ','.join(map(str, at))}", *([f"--layer={layer}"] if layer else [])]
    said = convpipe("explain", path, *words).err
    assert said == f"convpipe: {line_of(lambda: cp.explain(path, at, layer), 'got .*, expected')}\n"


def test_indices_are_whole_numbers() -> None:
    run = cp.run("experiment=lecture_3d", archive=False)
    assert cp.explain(run, np.zeros(4, int)).stored == -9  # type: ignore[arg-type]
    for at in ((0, 0, 0, 0.5), 3, None):
        with pytest.raises(ConfigError, match=r"--at: got .*, expected whole numbers with commas between them"):
            cp.explain(run, at)  # type: ignore[arg-type]


@pytest.mark.parametrize("command", ["verify", "reproduce", "explain"])
def test_folders_that_are_none(command: str, folder: Path) -> None:
    call = {"explain": lambda path: cp.explain(path, (0, 0, 0, 0))}.get(command) or getattr(cp, command)
    words = ["--at=0,0,0,0"] if command == "explain" else []
    for path in ("nope", "."):
        with pytest.raises(UsageError, match=rf"{command}: got {re.escape(path)}, expected a ") as caught:
            call(path)
        assert convpipe(command, path, *words).err == f"convpipe: {caught.value}\n"


def test_all_runs_below_a_folder_are_verified() -> None:
    made = [cp.run("experiment=lecture_3d", seed=seed, name=name) for name in ("a", "b") for seed in (1, 2)]
    whole = cp.verify("runs")
    assert sorted(str(run.path) for run in whole) == sorted(str(run.path) for run in made)
    assert [run.path for run in whole] == sorted(run.folder for run in whole)
    assert [run.path for run in cp.verify(made[0])] == [made[0].path]
    broken = [whole[0].folder, whole[2].folder]
    (broken[0] / "output.npy").unlink()
    with pytest.raises(ArchiveError, match=rf"{broken[0]}/output\.npy: No such file"):
        cp.verify("runs")
    (broken[1] / "stages.csv").write_text("")
    found: list[Run] = []
    with pytest.raises(ArchiveError, match=rf"2 of 4 runs are damaged: {broken[0]}.*; {broken[1]}"):
        cp.verify("runs", found.append)
    assert [run.path for run in found] == [whole[1].path, whole[3].path]


def test_a_run_is_reproduced(folder: Path) -> None:
    run = cp.run("experiment=lecture_4d")
    before = contents(folder)
    outcome = cp.reproduce(run)
    assert outcome.verdict == "reproduced"
    assert [*outcome.seconds] == ["pad", "im2col", "fil2col", "matmul", "reshape"]
    assert repr(outcome) == f"<Outcome reproduced: {run.path}, 5 stages timed>"
    assert contents(folder) == before
    edit_rows(run.folder, lambda row: row.update(macs="7") if row["stage"] == "matmul" else None)
    reseal(run.folder)
    with pytest.raises(ArchiveError, match=r"stage 'matmul' differs: macs was 7, is now 4050") as caught:
        cp.reproduce(run.folder)
    assert convpipe("reproduce", str(run.path)).err == f"convpipe: {caught.value}\n"


# A run at a prompt and in a notebook


def test_maps_are_planes() -> None:
    run = cp.run("experiment=lecture_4d", archive=False)
    assert run.maps.shape == (1, 6, 5, 5)
    np.testing.assert_array_equal(run.maps, np.moveaxis(run.output, -1, 1))
    assert cp.run("experiment=grad_weights", archive=False).maps.ndim == 4


@pytest.mark.parametrize("words", [["lowering.stages=[pad,im2col]"], ["experiment=grad_bias"]], ids=str)
def test_a_result_without_maps(words: list[str]) -> None:
    run = cp.run(*words, archive=False)
    shape = re.escape(run.rows[-1]["shape"])
    with pytest.raises(ConfigError, match=rf"maps: got {shape} = \(.*\), expected an output of maps, such as"):
        _ = run.maps
    assert isinstance(run._repr_html_(), str)


def test_a_repr_is_short_and_has_no_values() -> None:
    run = cp.run("experiment=lecture_3d")
    assert repr(run).splitlines() == [
        "<Run 4014ffa24254 of lecture_3d",
        "  runs/lecture_3d/4014ffa24254",
        "  output (1,2,2,1) int16, -9 to 1",
        "  7 stages and given arrays>",
    ]
    assert repr(cp.run("experiment=lecture_3d", archive=False)).splitlines()[:2] == [
        "<Run 4014ffa24254",
        "  in memory",
    ]
    assert len(repr(cp.load(run.folder)).splitlines()) <= 6


HOSTILE = "<script>alert(1)</script>\n\x1b[2J&\u202e"


def hostile_run(folder: Path) -> Run:
    """An archived run whose texts all would like to be more than text."""
    path = cp.run("experiment=lecture_3d", keep="stages").folder
    place = folder / HOSTILE.replace("/", "") / "<img src=x>"
    place.parent.mkdir()
    path.rename(place)
    record = json.loads((place / "manifest.json").read_text())
    axes = {name: [HOSTILE] * len(found) for name, found in record["axes"].items()}
    (place / "manifest.json").write_text(json.dumps(record | {"axes": axes}))
    return cp.load(place)


class Tags(HTMLParser):
    """The tags of a page, and whether each is closed in its turn."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.found.append(tag)
        self.open += [tag] if tag != "img" else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


PLAIN_TAGS = {"div", "table", "thead", "tbody", "tr", "th", "td", "img"}


def test_what_an_archive_says_is_text(folder: Path) -> None:
    run = hostile_run(folder)
    assert len(repr(run).splitlines()) == 4
    assert all(line.isprintable() for line in repr(run).splitlines())
    page = Tags(run._repr_html_())
    assert set(page.found) <= PLAIN_TAGS - {"img"}
    assert page.open == []
    assert "<script>alert(1)</script>" in page.text


def test_a_notebook_shows_stages_maps_and_the_place() -> None:
    run = cp.run("experiment=lecture_4d", **{"conv.stride": 2})
    page = Tags(run._repr_html_())
    assert page.found.count("img") == 6
    assert page.found.count("table") == 7
    assert set(page.found) == PLAIN_TAGS
    assert page.open == []
    for text in (*(row["stage"] for row in run.rows), "(9,27) = (N*out_h*out_w, C*kh*kw)", "n=0 f=5", str(run.path)):
        assert text in page.text
    assert f"{run.maps[0, 5, 2, 1]:.6g}" in page.text


def test_large_maps_are_summed_up_and_drawn() -> None:
    run = cp.run(**{"input": "integers", "input.shape": (1, 1, 300, 20), "filters": "integers", "filters.count": 40},
                 archive=False)  # fmt: skip
    page = Tags(run._repr_html_())
    assert page.found.count("table") == 2
    assert page.found.count("img") == 12
    assert "n=0 f=31" in page.text
    assert "n=0 f=32" not in page.text
    assert "and 8 more maps" in page.text
    assert f"{run.maps[0, 3].mean():.6g}" in page.text


def test_without_pillow_there_are_numbers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    run = cp.run("experiment=lecture_4d", archive=False)
    monkeypatch.setitem(sys.modules, "PIL", None)  # as if it were not installed
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    page = Tags(run._repr_html_())
    assert page.found.count("img") == 0
    assert page.found.count("table") == 7


RESULTS = {
    "answers": (["experiment=tiny"], "table"),
    "columns": (["lowering.stages=[pad,im2col]"], "table"),
    "many columns": (["lowering.stages=[pad,im2col]", "input=integers", "input.shape=[1,3,20,20]"], "mean"),
    "empty": (["input=integers", "input.shape=[0,3,5,5]"], "empty"),
    "one axis": (["input=integers", "input.shape=[1,3,5]", "filters=integers", "filters.kernel=[2]"], "f=0"),
    "three axes": (
        ["input=integers", "input.shape=[1,1,3,3,3]", "filters=integers", "filters.kernel=[2,2,2]"],
        "n=0 f=0",
    ),
    "gradient": (["experiment=grad_weights"], "f=0 c=0"),
    "constant": (["conv.dtype=uint8", "conv.overflow=saturate", "input=integers", "input.high=1"], "n=0 f=0"),
}


@pytest.mark.parametrize("kind", RESULTS)
def test_every_result_is_shown(kind: str) -> None:
    words, mark = RESULTS[kind]
    page = Tags(cp.run(*words, archive=False)._repr_html_())
    assert mark in page.text or (mark == "table" and page.found.count("table") == 2)
    assert page.open == []


def test_an_output_that_is_not_there_is_said() -> None:
    run = cp.run("experiment=lecture_3d")
    (run.folder / "output.npy").unlink()
    assert "output.npy: No such file" in Tags(run._repr_html_()).text


def test_a_plan_shows_itself() -> None:
    plan = cp.plan("experiment=lecture_4d", "conv.stride=2")
    assert repr(plan) == "<Plan of 5 stages: 1,458 multiply-adds, 7.0 KiB in arrays, 4.4 KiB at the peak>"
    page = Tags(plan._repr_html_())
    assert page.found.count("tr") == 8
    assert "(N*out_h*out_w,C*kh*kw)" in page.text
    assert "4.4 KiB at the peak" in page.text


# Whatever the process


APP = """
    import logging, os, signal, sys, threading, warnings
    import hydra
    import numpy, threadpoolctl  # which set a variable and filters as they are imported
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.singleton import Singleton
    from omegaconf import OmegaConf
    from omegaconf.basecontainer import BaseContainer
    import convpipe as cp

    # called as ours are: Hydra would merge them into our config
    ConfigStore.instance().store(name="config", node={"lr": 0.1, "defaults": ["_self_", {"conv": "default"}]})
    ConfigStore.instance().store(group="conv", name="default", node={"mine": 1})

    def state():
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
        logs = [(log.level, log.handlers, log.disabled) for log in (logging.getLogger(), logging.getLogger("mine"))]
        return [dict(Singleton._instances), dict(BaseContainer._resolvers), handlers, logs, os.getcwd(),
                warnings.filters[:], dict(os.environ), sys.excepthook]

    @hydra.main(version_base=None, config_name="config")
    def app(config):
        OmegaConf.register_new_resolver("now", lambda pattern: "mine", replace=True)
        mine, before = HydraConfig.get(), state()
        run = cp.run("experiment=lecture_4d", **{"conv.stride": 2})
        table = cp.sweep("experiment=lecture_3d", seed=[0, 1, 2, 3], workers=2)
        try:
            cp.run("conv.strid=2")
        except cp.errors.ConfigError as error:
            print(error.key)
        assert HydraConfig.get() is mine
        assert state() == before
        print(run.maps.shape, len(table), HydraConfig.get().job.override_dirname, config.lr, config.conv.mine)

    import convpipe.errors
    app()
    with hydra.initialize(version_base=None):
        print(hydra.compose(overrides=["+x=1"]), cp.run().maps.shape, GlobalHydra.instance().is_initialized())
        print(hydra.compose("config").lr)
    print(GlobalHydra.instance().is_initialized(), cp.run().maps.shape)
"""


def test_inside_an_app_of_somebody_elses(folder: Path) -> None:
    assert in_a_process(APP, "lr=0.5", "hydra.run.dir=out", folder=folder).splitlines() == [
        "conv.strid",
        "(1, 6, 3, 3) 4 lr=0.5 0.5 1",
        "{'x': 1} (1, 1, 2, 2) True",
        "0.1",
        "False (1, 1, 2, 2)",
    ]
    assert (folder / "runs/lecture_4d/results.csv").is_file()


FIRST = """
    import convpipe as cp
    cp.run(archive=False)
    import hydra
    from hydra.core.global_hydra import GlobalHydra
    assert not GlobalHydra.instance().is_initialized()
    with hydra.initialize(version_base=None):
        print(hydra.compose(overrides=["+x=1", "hydra/launcher=basic"], return_hydra_config=True).x)
"""


def test_before_an_app_of_somebody_elses(folder: Path) -> None:
    assert in_a_process(FIRST, folder=folder) == "1\n"


def blas() -> list[int]:
    """The threads of each BLAS there was when they were looked for; other tests may have loaded SciPy's since."""
    return [pool["num_threads"] for pool in thread_pools().info() if pool["user_api"] == "blas"]


def at_once(*calls: Callable[[], object]) -> list[object]:
    """What calls give that are made at the same time, each in its thread; an error is given as such."""
    found: dict[int, object] = {}

    def call(position: int) -> None:
        try:
            found[position] = calls[position]()
        except Exception as error:  # noqa: BLE001 - whatever it is, the test shall see it
            found[position] = error

    threads = [threading.Thread(target=call, args=(position,)) for position in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [found[position] for position in range(len(calls))]


def test_eight_threads_at_once() -> None:
    before = blas()
    assert before

    def one(number: int) -> object:
        settings: dict[str, Any] = {"seed": number // 4, "threads": 1 + number % 2, "archive": number != 7}
        return cp.run("experiment=lecture_4d", **settings).manifest["run_id"]

    ids = at_once(*((lambda number=number: one(number)) for number in range(8)))
    alone = [cp.run("experiment=lecture_4d", seed=seed, archive=False).manifest["run_id"] for seed in (0, 1)]
    assert ids == [alone[0]] * 4 + [alone[1]] * 4
    assert list(cp.runs("runs/lecture_4d")["run"]) == sorted(alone)
    assert blas() == before


def test_sweeps_and_runs_at_once() -> None:
    found = at_once(
        lambda: len(cp.sweep("experiment=lecture_3d", seed=range(20))),
        lambda: len(cp.sweep("experiment=lecture_4d", seed=range(20))),
        lambda: cp.run("experiment=lecture_3d", seed=100).maps.shape,
    )
    assert found == [20, 20, (1, 1, 2, 2)]


def test_a_shared_limit_is_put_back_by_the_last() -> None:
    before = blas()
    other = [1] * len(before) if before != [1] * len(before) else [2] * len(before)
    entered, leave = threading.Event(), threading.Event()

    def outer() -> None:
        with blas_threads(other[0]):
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=outer)
    thread.start()
    entered.wait(10)
    with blas_threads(other[0]):
        assert blas() == other
        leave.set()
        thread.join(10)  # the first leaves before the second
        assert blas() == other
    assert blas() == before


def test_another_limit_waits_its_turn() -> None:
    order: list[str] = []
    started = threading.Event()

    def second() -> None:
        started.set()
        with blas_threads(2):
            order.append(f"second {blas()[0]}")

    with blas_threads(1):
        thread = threading.Thread(target=second)
        thread.start()
        started.wait(10)
        thread.join(0.2)
        with blas_threads(3):  # a thread that holds a limit keeps it
            order.append(f"first {blas()[0]}")
    thread.join(10)
    assert order == ["first 1", "second 2"]


# Names


def test_a_submodule_hides_no_function() -> None:
    import convpipe.api

    assert convpipe.api.run is cp.run
    for module in pkgutil.walk_packages(cp.__path__, "convpipe."):
        if (
            not module.name.endswith("__main__")
            and "hydra_plugins" not in module.name
            and "clusters" not in module.name
        ):
            importlib.import_module(module.name)
    for name in cp.__all__:
        assert name == "__version__" or callable(getattr(cp, name)), name


@pytest.mark.parametrize(
    "name", ["plan", "run", "sweep", "stages", "explain", "verify", "reproduce", "runs", "load", "matmul", "reshape"]
)
def test_the_front_door_has(name: str) -> None:
    assert name in cp.__all__
    assert callable(getattr(cp, name))


# Arrays in hand


def test_an_array_is_an_input_of_its_own_numbers_and_dtype(folder: Path) -> None:
    x, w = np.linspace(0, 1, 16, dtype=np.float32).reshape(1, 1, 4, 4), np.ones((2, 1, 2, 2), np.float32)
    run = cp.run(input=x, filters=w, bias=[0.5, 1], archive=False)
    assert np.array_equal(run["input"], x)
    assert run["input"].dtype == np.float32
    assert np.array_equal(run.maps, cp.conv(x, w, np.array([0.5, 1.0])))
    for dtype, more in (("float32", {}), ("float64", {"input.dtype": "float64"})):
        assert cp.run(filters=w, archive=False, **{"input.values": x, **more})["input"].dtype == dtype


def test_a_list_is_the_run_that_it_is_in_a_file_and_as_settings(folder: Path) -> None:
    """Whole numbers have the usual dtype, and where one has a point they are float64: one rule."""
    for numbers, dtype in (([[[[1, 2], [3, 4]]]], "int16"), ([[[[1, 2.5], [3, 4]]]], "float64")):
        (folder / "f.yaml").write_text(f"input: {numbers}\nfilters: [[[[1]]]]\n")
        held = cp.run(input=numbers, filters=[[[[1]]]], archive=False)
        assert held["input"].dtype == dtype
        assert held.manifest["run_id"] == cp.run("f.yaml", archive=False).manifest["run_id"]
        arrays = cp.run(input=tuple(numbers), filters=np.array([[[[1]]]], np.int16), archive=False)
        assert arrays.manifest["run_id"] == held.manifest["run_id"]


def test_a_dict_is_a_groups_choice_and_settings(folder: Path) -> None:
    plan = cp.plan(input={"source": "integers", "shape": [1, 2, 5, 5]}, filters={"source": "sobel_x"}, conv={"pad": 1})
    same = ("input=integers", "input.shape=[1,2,5,5]", "filters=sobel_x", "conv.pad=1")
    assert str(plan) == str(cp.plan(*same))
    with pytest.raises(ConfigError, match=r"^input\.source: got nope, expected one of csv, "):
        cp.plan(input={"source": "nope"})
    with pytest.raises(ConfigError, match=r"^network: got a dict, expected the name of a network \(layers stand in a"):
        cp.plan(network={"a": {"op": "relu"}})


def test_an_array_is_several_values_for_a_sweep_and_a_list_of_arrays_several_arrays(folder: Path) -> None:
    assert words_of([], {"conv.stride": np.arange(1, 3), "seed": np.arange(2)}, several=True) == [
        "conv.stride=1,2",
        "seed=0,1",
    ]
    w = np.ones((1, 3, 2, 2), np.int16)
    table = cp.sweep(filters=[w, 2 * w, 3 * w], **{"conv.stride": np.array([1, 2])})
    assert len(table) == 6
    assert len(cp.sweep(bias=np.array([5]), seed=range(2))) == 2
