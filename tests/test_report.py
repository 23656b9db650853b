"""What a person sees: on a terminal, in a pipe, of small maps, of large ones and of empty ones."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from cli_runs import CHECKOUT, convpipe, only_run
from run_cases import edit_manifest

from convpipe.archive.read import Run, load
from convpipe.errors import ArchiveError
from convpipe.report import console as report, outputs, progress as bars, run as run_report

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_a_terminal(*words: str, columns: int = 80, **environment: str) -> str:
    """What `python -m convpipe` prints to a terminal of that width."""
    child, terminal = pty.fork()
    if child == 0:  # pragma: no cover
        for name in ("NO_COLOR", "COLUMNS", "LINES"):
            os.environ.pop(name, None)
        os.environ.update({"TERM": "xterm-256color", "PYTHONPATH": str(CHECKOUT), **environment})
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        # the environment that Python knows: readline, which pytest loads, sets COLUMNS behind its back
        os.execve(sys.executable, [sys.executable, "-m", "convpipe", *words], dict(os.environ))
    printed = b""
    try:
        while part := os.read(terminal, 65536):
            printed += part
    except OSError:  # Linux's way to say that the other end is closed
        pass
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, printed.decode()
    return printed.decode().replace("\r\n", "\n")


def heads(printed: str) -> list[str]:
    """The titles of the first table's columns."""
    return ESCAPE.sub("", printed).splitlines()[0].split()


def test_a_terminal_has_colour_and_a_rule(tmp_path: Path) -> None:
    printed = on_a_terminal(f"root={tmp_path}", columns=140)
    assert "\x1b[36mreshape" in printed
    assert "\x1b[1;32mnew\x1b[0m: " in printed
    assert re.search(r"^─{60,}$", printed, re.MULTILINE)
    assert heads(printed) == ["stage", "shape", "dtype", "size", "multiply-adds", "time", "min", "max"]
    assert "\x1b[?25l" not in printed, "a progress bar, for less than a second"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "stage shape dtype size time min max"),
        (["input=random", "filters=random", "input.shape=[4,16,64,64]"], "stage shape dtype size time"),
    ],
)
def test_eighty_columns_wrap_nothing(words: list[str], expected: str, tmp_path: Path) -> None:
    printed = ESCAPE.sub("", on_a_terminal(f"root={tmp_path}", *words))
    lines = printed.partition("\n\n")[0].splitlines()
    assert heads(printed) == expected.split()
    assert len(lines) == 2 + 7 + 1
    assert max(map(len, lines)) <= 80
    assert all(line.split()[0].isidentifier() for line in (lines[0], *lines[2:-1]))
    assert lines[-1].startswith("left out: ")


def test_no_color_is_plain_on_a_terminal(tmp_path: Path) -> None:
    printed = on_a_terminal(f"root={tmp_path}", NO_COLOR="1")
    assert "\x1b" not in printed
    assert "─" not in printed


def test_ascii_only_terminals(tmp_path: Path) -> None:
    printed = on_a_terminal(f"root={tmp_path}", PYTHONIOENCODING="ascii")
    assert printed.isascii()
    assert "[[-9, 1], [0, -7]]" in printed


def test_a_pipe_is_plain(tmp_path: Path) -> None:
    printed = convpipe(f"root={tmp_path}").out
    assert printed.isascii()
    assert "\x1b" not in printed
    lines = printed.splitlines()
    assert lines[0].split() == ["stage", "shape", "dtype", "size", "multiply-adds", "time", "min", "max"]
    assert re.fullmatch(
        r"im2col   \(4,27\) = \(N\*out_h\*out_w, C\*kh\*kw\)  int16  216 B +[\d.]+ [um]?s +0 +3", lines[4]
    )
    assert lines[-3] == "feature map n=0 f=0, int16: [[-9, 1], [0, -7]]"
    assert lines[-1] == f"new: {tmp_path}/lecture_3d/4014ffa24254"


# --- the progress bar --------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A standard error that takes itself for a terminal; no fixture, as pytest sets its own before the test."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    made = Terminal()
    monkeypatch.setattr(sys, "stderr", made)
    return made


def wait_for(text: str, terminal: Terminal) -> None:
    """Until a terminal shows a text; a minute, where it takes a moment."""
    end = time.monotonic() + 60
    while text not in terminal.getvalue():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_the_bar_comes_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = a_terminal(monkeypatch)
    with bars.progress(2, "stages", 0.05) as done:
        done("pad")
        wait_for("stages: pad done", terminal)


def test_the_bar_does_not_come_before(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = a_terminal(monkeypatch)
    with bars.progress(2, "stages", 60.0) as done:
        done("pad")
    assert terminal.getvalue() == ""


@pytest.mark.parametrize("plain", ["pipe", "NO_COLOR"])
def test_no_bar_without_a_terminal(plain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO() if plain == "pipe" else Terminal()
    monkeypatch.setenv("NO_COLOR", "1" if plain == "NO_COLOR" else "")
    monkeypatch.setattr(sys, "stderr", stream)
    with bars.progress(1, "stages", 0.0) as done:
        time.sleep(0.1)
        done("pad")
    assert stream.getvalue() == ""


def test_the_delay_is_a_second() -> None:
    assert bars.DELAY_SECONDS == 1


def test_a_bar_ends_with_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = a_terminal(monkeypatch)
    with pytest.raises(RuntimeError, match="stop"), bars.progress(1, "stages", 0.0):  # noqa: PT012
        wait_for("stages", terminal)
        raise RuntimeError("stop")
    assert terminal.getvalue().endswith("\x1b[2K")  # it takes itself away


# --- results -----------------------------------------------------------------------------------------------------

FEATURES = ("N", "out_h", "out_w", "F")


def shown(values: np.ndarray, axes: Sequence[str] = FEATURES, op: str = "reshape") -> str:
    """What is printed of a result with these axes."""
    out = io.StringIO()
    run = Run(Path("/nowhere"), {}, ({"stage": "last", "op": op},), {"axes": {"last": list(axes)}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "output", values)
        outputs.show_output(report.console(out), run)
    return out.getvalue()


def test_a_small_map_is_a_list_and_a_larger_one_a_grid() -> None:
    assert shown(np.array([[[[1], [2]]]])) == "feature map n=0 f=0, int64: [[1, 2]]\n"
    grid = shown(np.arange(100, dtype=np.int16).reshape(1, 10, 10, 1))
    assert grid.startswith("feature map n=0 f=0, int16: \n[[ 0  1  2")
    assert len(grid.splitlines()) == 11


def test_a_large_map_is_a_summary_per_channel() -> None:
    feature_map = np.zeros((1, 20, 20, 40), np.float32)
    feature_map[..., 3] = 1.5
    lines = shown(feature_map).splitlines()
    assert lines[0].split() == ["feature", "map", "min", "max", "mean"]
    assert lines[4].split() == ["n=0", "f=3", "1.5", "1.5", "1.5"]
    assert lines[-1] == "and 8 more maps"
    assert len(lines) == 1 + outputs.MOST_SUMMARY_ROWS + 1


def test_many_small_maps_are_a_summary() -> None:
    assert "min  max  mean" in shown(np.zeros((1, 2, 2, 13)))
    assert "min  max  mean" in shown(np.zeros((1, 8, 8, 8)))
    assert "min  max  mean" not in shown(np.zeros((2, 6, 6, 3)))


def test_numbers_that_have_no_mean() -> None:
    feature_map = np.full((1, 20, 20, 2), np.inf)
    feature_map[0, 0, 0, 0] = -np.inf
    feature_map[..., 1] = np.nan
    lines = shown(feature_map).splitlines()
    assert lines[1].split() == ["n=0", "f=0", "-inf", "inf", "nan"]
    assert lines[2].split() == ["n=0", "f=1", "nan", "nan", "nan"]


def test_whole_numbers_of_a_summary_are_whole() -> None:
    lines = shown(np.full((1, 20, 20, 1), 2**62, np.int64)).splitlines()
    assert lines[1].split()[2:4] == [str(2**62)] * 2


@pytest.mark.parametrize(
    ("axes", "op", "line"),
    [
        (FEATURES, "crop", "feature map n=0 f=1, int64: [[1, 3], [5, 7]]"),
        (("N", "C", "H", "W"), "unpad", "gradient of the input n=1 c=0, int64: [[4, 5], [6, 7]]"),
        (("N", "C", "H", "W"), "relu", "output n=1 c=0, int64: [[4, 5], [6, 7]]"),
        (("F", "C", "kh", "kw"), "col2fil", "gradient of the filters f=1 c=0, int64: [[4, 5], [6, 7]]"),
        (("F", "C/G", "kh", "kw"), "col2fil", "gradient of the filters f=1 c=0, int64: [[4, 5], [6, 7]]"),
    ],
)
def test_the_axes_say_what_a_map_is(axes: Sequence[str], op: str, line: str) -> None:
    shape = (1, 2, 2, 2) if axes == FEATURES else (2, 1, 2, 2)
    assert line in shown(np.arange(8).reshape(shape), axes, op).splitlines()


def test_one_and_three_axes() -> None:
    assert "n=0 f=1, int64: [1, 3]" in shown(np.arange(4).reshape(1, 2, 2), ("N", "out_w", "F"))
    axes = ("N", "C", "D", "H", "W")
    assert "output n=0 c=0, int64: [[[0, 1]]]" in shown(np.arange(2).reshape(1, 1, 1, 1, 2), axes, "relu")


@pytest.mark.parametrize("axes", [(), ("N",), ("A", "B", "C", "D"), ("in", "N", "C", "F")])
def test_unknown_axes_are_just_values(axes: Sequence[str]) -> None:
    assert shown(np.arange(4).reshape(1, 2, 2, 1), axes, "x") == "output (1,2,2,1), int64: [[[[0], [1]], [[2], [3]]]]\n"
    assert shown(np.arange(1000).reshape(10, 10, 10, 1), axes, "x").endswith(": min 0, max 999, mean 499.5\n")


def test_scores_are_answers() -> None:
    scores = np.zeros((12, 3), np.float32)
    scores[np.arange(12), np.arange(12) % 3] = 0.75
    lines = shown(scores, ("N", "units"), "softmax").splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["image", "answer", "score"],
        ["n=0", "0", "0.75"],
        ["n=1", "1", "0.75"],
    ]
    assert lines[-1] == "and 2 more images"
    assert len(lines) == 1 + outputs.MOST_ANSWERS + 1


@pytest.mark.parametrize(("shape", "axes"), [((2, 1), ("N", "units")), ((2, 3), ("N", "C*H*W")), ((3,), ("F",))])
def test_what_is_no_score_is_printed(shape: tuple[int, ...], axes: Sequence[str]) -> None:
    values = np.arange(np.prod(shape)).reshape(shape)
    assert f"int64: {values.tolist()}\n" in shown(values, axes, "flatten")


def test_nothing_is_said_to_be_nothing(tmp_path: Path) -> None:
    answer = convpipe("input=random", "input.shape=[0,3,5,5]", f"root={tmp_path}")
    assert (answer.code, answer.err) == (0, "")
    assert "feature map (0,3,3,1), float32: empty\n" in answer.out


# --- every kind of run -------------------------------------------------------------------------------------------


def a_run(root: Path, *words: str) -> tuple[Run, str]:
    """A run by the command line, and what it printed below the table of stages."""
    answer = convpipe(f"root={root}", *words)
    assert (answer.code, answer.err) == (0, "")
    return load(only_run(root)), answer.out.partition("\n\n")[2]


@pytest.mark.parametrize(
    ("experiment", "line"),
    [
        ("transpose", r"feature map +min +max +mean\nn=0 f=0 "),
        ("grad_input", r"gradient of the input n=0 c=0, int16: \n\[\["),
        ("grad_weights", r"gradient of the filters f=0 c=0, int16: \n\[\["),
        ("grad_bias", r"gradient of the bias \(4\), int16: \[.*\]\n"),
        ("tiny", r"image +answer +score\n +n=0 +\d +\S+\n +n=1 "),
    ],
)
def test_a_run_of_every_kind(experiment: str, line: str, tmp_path: Path) -> None:
    assert re.match(line, a_run(tmp_path, f"experiment={experiment}")[1])


@pytest.mark.parametrize(
    ("stages", "line"),
    [
        ("pad,im2col", "no maps: the chain ends in columns"),
        ("pad,im2col,fil2col,matmul", "no maps: the chain ends in product"),
    ],
)
def test_a_chain_that_ends_early_says_why_there_are_no_maps(stages: str, line: str, tmp_path: Path) -> None:
    assert line in a_run(tmp_path, f"lowering.stages=[{stages}]")[1].splitlines()


@pytest.mark.parametrize("experiment", ["lecture_3d", "lecture_pad", "transpose", "grad_bias", "tiny"])
def test_other_runs_have_no_such_line(experiment: str, tmp_path: Path) -> None:
    assert "the chain ends" not in a_run(tmp_path, f"experiment={experiment}")[1]


def test_a_network_that_ends_in_maps(tmp_path: Path) -> None:
    layers = [f"~network.{name}" for name in ("pool", "flatten", "dense", "softmax")]
    assert a_run(tmp_path, "network=tiny", "input=integers", *layers)[1].startswith("output   min ")


def test_an_archive_that_does_not_say_its_axes(tmp_path: Path) -> None:
    run, _ = a_run(tmp_path)
    edit_manifest(run.path, axes={})
    printed = convpipe("reproduce", str(run.path)).out
    assert "feature map (1,2,2,1), int16: [[[[-9], [1]], [[0], [-7]]]]\n" in printed
    assert "\nim2col   (4,27)  " in printed


def test_a_long_network_has_a_line_for_each_layer(tmp_path: Path) -> None:
    layers = [f"+network.more{number}={{op:conv,filters:4,kernel:1}}" for number in range(5)]
    layers += [
        "network=tiny",
        "input=integers",
        *(f"~network.{name}" for name in ("pool", "flatten", "dense", "softmax")),
    ]
    answer = convpipe(f"root={tmp_path}", *layers)
    run = load(only_run(tmp_path))
    table, _, note = answer.out.partition("\n\n")[0].rpartition("\n")
    assert note == f"a line for each layer; stages.csv has all {len(run.rows)} stages and weights"
    assert [line.split()[0] for line in table.splitlines()[1:]] == ["input", *run.config["network"]]
    macs = {row["stage"]: int(row["macs"]) for row in run.rows}
    assert f" {macs['conv2/matmul']:,} " in next(line for line in table.splitlines() if line.startswith("conv2"))


# --- answers held against labels ---------------------------------------------------------------------------------


def judged(folder: Path, confusion: str) -> str:
    """What is printed of a run with these counts."""
    (folder / "confusion.csv").write_text(confusion)
    out = io.StringIO()
    outputs.show_confusion(report.console(out), Run(folder, {}, (), {}))
    return out.getvalue()


def test_accuracy_and_confusion(tmp_path: Path) -> None:
    lines = judged(tmp_path, "class,0,1\n0,900,0\n1,11,89\n").splitlines()
    assert lines[1] == "accuracy 98.90 % (989 of 1000)"
    assert [line.split() for line in lines[2:]] == [["true\\answer", "0", "1"], ["0", "900", "."], ["1", "11", "89"]]


def test_images_without_an_answer_are_told(tmp_path: Path) -> None:
    lines = judged(tmp_path, "class,0,1,none\n0,900,0,2\n1,10,88,0\n").splitlines()
    assert lines[1] == "accuracy 98.80 % (988 of 1000)"
    assert [line.split() for line in lines[2:4]] == [["true\\answer", "0", "1", "none"], ["0", "900", ".", "2"]]


def test_answers_beside_no_number(folder: Path) -> None:
    np.save(folder / "x.npy", np.array([[np.nan, 1.0], [0.5, np.inf], [2.0, 1.0]]))
    (folder / "odd.yaml").write_text("input: {source: npy, path: x.npy}\nlabels: [0, 1, 0]\nnetwork: {r: {op: relu}}\n")
    text = convpipe("odd.yaml").out
    assert "  n=0    none    nan\n  n=1       1    inf\n  n=2       0      2\n" in text
    assert "accuracy 66.67 % (2 of 3)" in text
    assert (only_run(folder / "runs") / "confusion.csv").read_text() == "class,0,1,none\n0,1,0,1\n1,0,1,0\n"


def test_the_largest_float16_is_the_same_in_every_line(folder: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is the optional extra `image`")
    image.new("L", (60, 40), 255).save(folder / "p.png")
    words = ("filters.values=[[3000]]", "filters.dtype=float16", "conv.overflow=saturate", "input.mode=grey")
    text = convpipe("input=image", "input.path=p.png", *words).out
    assert "n=0 f=0      65504  65504  65504\n" in text


def test_of_many_classes_only_the_accuracy(tmp_path: Path) -> None:
    counts = np.eye(30, dtype=int)
    text = "\n".join(
        ["class," + ",".join(map(str, range(30)))] + [f"{i}," + ",".join(map(str, row)) for i, row in enumerate(counts)]
    )
    assert judged(tmp_path, text) == "\naccuracy 100.00 % (30 of 30)\n"


@pytest.mark.parametrize(
    "text",
    [
        "class,0,1,none\n0,1,2,0,0\n1,1,1,1,1\n",
        "class,0,1,2\n0,1,2,0\n1,1,1,1\n",
        "class,0\n0,x\n",
        "class,0,1\n0,1,2\n",
        "",
        "class,0,1\n0,1\n1,2,3\n",
        "c,0\n0,99999999999999999999\n",
    ],
)
def test_a_confusion_that_is_none(text: str, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"confusion\.csv: (expected a table of whole numbers|got a table)"):
        judged(tmp_path, text)


def test_a_trained_network_is_judged(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn (the extra: digits)")
    _, printed = a_run(tmp_path, "experiment=digits_small")
    assert re.search(r"\n\naccuracy 9\d\.\d\d % \(4\d\d of 450\)\n", printed)


# --- pictures ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "line"), [("sobel_x", "maps.png, and map_sobel_x_B.png to map_sobel_x_R.png, 3 pictures")]
)
def test_the_pictures_are_named(name: str, line: str, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.arange(300, dtype=np.uint8).reshape(10, 10, 3)).save(tmp_path / "x.png")
    answer = convpipe("input=image", f"input.path={tmp_path}/x.png", f"filters={name}", f"root={tmp_path}/runs")
    assert f"drawn: {line}\n" in answer.out
    assert len(list(only_run(tmp_path / "runs").glob("map_*.png"))) == 3


def test_pictures_that_are_not_drawn_say_why(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.arange(300, dtype=np.uint8).reshape(10, 10, 3)).save(tmp_path / "x.png")
    words = ["input=image", f"input.path={tmp_path}/x.png", "lowering.stages=[pad]", f"root={tmp_path}/runs"]
    assert "no pictures: the chain ends in padded\n" in convpipe(*words).out


def test_markup_in_names_is_text(tmp_path: Path) -> None:
    answer = convpipe(f'root="{tmp_path}/[bold]x:bug:"')
    assert f"new: {tmp_path}/[bold]x:bug:/lecture_3d/" in answer.out
    answer = convpipe("-m", f'root="{tmp_path}/[bold]x:bug:"', "seed=1,2")
    assert answer.out.endswith(f": {tmp_path}/[bold]x:bug:/lecture_3d\n")


# --- the table ---------------------------------------------------------------------------------------------------


EVERY = ["stage", "shape", "dtype", "size", "multiply-adds", "time", "min", "max"]


@pytest.mark.parametrize(
    ("columns", "lost"),
    [
        (200, []),
        (82, ["multiply-adds"]),
        (69, ["multiply-adds", "min", "max"]),
        (60, ["size", "multiply-adds", "min", "max"]),
        (20, ["dtype", "size", "multiply-adds", "time", "min", "max"]),
    ],
)
def test_columns_are_left_out_until_the_table_fits(columns: int, lost: list[str], tmp_path: Path) -> None:
    assert convpipe(f"root={tmp_path}").code == 0
    run = load(only_run(tmp_path))
    screen = Terminal()
    out = report.ShownConsole(file=screen, width=columns, force_terminal=True)
    run_report.show_stages(out, run, {})
    head, *lines = ESCAPE.sub("", screen.getvalue()).splitlines()
    assert head.split() == [name for name in EVERY if name not in lost]
    assert max(map(len, [head, *lines])) <= columns
    said = " ".join(" ".join(lines[8:]).split())
    named, _, more = said.partition(" (")[0].removeprefix("left out: ").partition(" and ")
    there = named.split(", ") if said else []
    assert there == lost[: len(there)]
    assert len(there) + int(more.split()[0] if more else 0) == len(lost)
    assert said.endswith("(a wider terminal shows all, or | cat)") or not lost


def test_a_broken_pipe_is_left_to_the_caller() -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError, match=r"^$"):
        report.console(Closed()).print("x")


def test_the_trace_of_a_gradient(tmp_path: Path) -> None:
    run, printed = a_run(tmp_path, "experiment=grad_weights", "trace=true")
    assert f"as a matrix {run.array('im2col').shape}:\n" in printed


def test_runs_lists_a_collection(tmp_path: Path) -> None:
    assert convpipe(f"root={tmp_path}").code == 0
    assert convpipe(f"root={tmp_path}", "seed=1").code == 0
    lines = convpipe("runs", f"{tmp_path}/lecture_3d").out.splitlines()
    assert len(lines) == 3
    assert lines[0].split()[:3] == ["run", "status", "seed"]
