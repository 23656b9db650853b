"""What a terminal of any width shows of tables, and that texts from outside stay on their line."""

from __future__ import annotations

import io
import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
from cli_runs import convpipe
from rich.cells import cell_len

import convpipe as cp
from convpipe.archive.index import note
from convpipe.archive.maps import Maps
from convpipe.cli import main
from convpipe.errors import literal
from convpipe.report import listing, outputs, run as run_report
from convpipe.report.console import ShownConsole, show_columns
from convpipe.report.fitting import adjusted, cells_of, cut, fitting, left_out
from convpipe.tensors import number_text

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def typed(monkeypatch: pytest.MonkeyPatch, width: int, *words: str) -> str:
    """What a command prints on a terminal of that width, its colours aside."""
    screen = Terminal()
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("sys.stdout", screen)
    code = main.main(list(words))
    monkeypatch.undo()
    assert code == 0
    return ESCAPE.sub("", screen.getvalue())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of six runs that differ in two settings."""
    root = tmp_path_factory.mktemp("root")
    words = ["input=integers", "filters=integers", "seed=range(0,3)", "conv.pad=0,1", f"root={root}", "name=c"]
    assert convpipe("-m", *words).code == 0
    return root / "c"


# Which columns


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 120, 160, 200])
def test_a_list_of_runs_fits_and_says_what_it_leaves_out(
    made: Path, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = convpipe("runs", str(made)).out.splitlines()[0].split()
    head, *rows = typed(monkeypatch, width, "runs", str(made)).splitlines()
    assert len(rows) in (6, 7)
    assert max(map(len, [head, *rows[:6]])) <= width
    lost = [name for name in every if name not in head.split()]
    assert head.split()[0] == "run"
    assert (len(rows) == 7) == bool(lost)
    if lost:
        assert len(rows[6]) <= width or width < 80
        found = re.fullmatch(r"left out: (.*?)(?: and (\d+) more)? \(--columns (\S+) or --format csv\)", rows[6])
        assert found, rows[6]
        named = found[1].split(", ")
        assert set(named) <= set(lost)
        assert len(named) + int(found[2] or 0) == len(lost)
        again = typed(monkeypatch, width, "runs", str(made), "--columns", found[3]).splitlines()
        assert again[0].split() == found[3].split(",")
        assert found[3].split(",")[1] in lost
    csv = convpipe("runs", str(made), "--format", "csv").out
    assert csv.splitlines()[0].split(",") == every


def test_what_varies_comes_first_and_hashes_last(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert typed(monkeypatch, 30, "runs", str(made)).splitlines()[0].split() == ["run", "seed", "conv.pad"]
    head = typed(monkeypatch, 60, "runs", str(made)).splitlines()[0].split()
    assert {"output_shape", "seconds"} <= set(head)
    assert "output_sha256" not in head


def test_what_was_asked_for_is_never_left_out(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["output_sha256", "run", "seed", "conv.pad", "seconds"]
    lines = typed(monkeypatch, 20, "runs", str(made), "--columns", ",".join(names)).splitlines()
    assert lines[0].split() == names
    assert len(lines) == 7


def test_times_have_units_and_hashes_are_short(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = typed(monkeypatch, 200, "runs", str(made), "--columns", "run,seconds,output_sha256").splitlines()
    table = {row.run: row for row in cp.runs(made).itertuples()}
    for line in lines[1:]:
        run, number, unit, digest = line.split()
        seconds = float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1}[unit]
        assert seconds == pytest.approx(table[run].seconds, rel=0.06)
        assert digest == table[run].output_sha256[:12]


def test_a_pipe_has_all_of_it(made: Path) -> None:
    lines = convpipe("runs", str(made)).out.splitlines()
    assert "left out" not in lines[-1]
    assert max(map(len, lines)) > 80


def test_no_color_makes_a_terminal_no_wider(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    printed = typed(monkeypatch, 60, f"root={made.parent}", "name=d")
    assert max(map(len, printed.partition("\n\n")[0].splitlines())) <= 60
    assert "left out: " in printed


def test_columns_by_worth() -> None:
    widths = {"a": 5, "b": 10, "c": 3, "d": 4}
    assert fitting(widths, [["a"], ["b"], ["c", "d"]], None) == ["a", "b", "c", "d"]
    assert fitting(widths, [["a"], ["b"], ["c", "d"]], 17) == ["a", "b"]
    assert fitting(widths, [["a"], ["b"], ["c", "d"]], 16) == ["a", "c", "d"]
    assert fitting(widths, [["a"], ["b"], ["c", "d"]], 1) == ["a"]
    assert fitting(widths, [["a"], ["c"], ["d"], ["b"]], 10) == ["a", "c"]
    names = [f"column{number}" for number in range(20)]
    assert left_out(names, "how") == f"left out: {', '.join(names[:6])} and 14 more (how)"


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_table_of_numbers_fits(width: int) -> None:
    screen = Terminal()
    out = ShownConsole(file=screen, width=width, force_terminal=True)
    columns = {str(number): ["123456", "7"] for number in range(30)}
    show_columns(out, columns, "confusion.csv has all")
    head, rule, *lines = ESCAPE.sub("", screen.getvalue()).splitlines()
    assert max(map(len, [head, rule, *lines])) <= width
    assert len(head.split()) == (width + 2) // 8
    assert " ".join(lines[2:]).startswith("left out: ")


def test_wide_ranges_of_maps_fit(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Terminal()
    out = ShownConsole(file=screen, width=40, force_terminal=True)
    values = np.full((1, 2, 40, 40), -1.23456789e-300)
    outputs.show_summary(out, "feature map", Maps(values, ("n", "f")))
    lines = ESCAPE.sub("", screen.getvalue()).splitlines()
    assert lines[0].split() == ["feature", "map", "min"]
    assert max(map(len, lines)) <= 40
    assert " ".join(lines[4:]).startswith("left out: max, mean")


# Wide letters


def test_korean_letters_take_two_cells() -> None:
    assert [cells_of(text) for text in ("a", "가", "가a", "")] == [1, 2, 3, 0]
    assert cell_len(adjusted("가", 5, right=True)) == cell_len(adjusted("ab", 5, right=False)) == 5
    for most in range(3, 12):
        assert cell_len(cut("합성곱 convolution", most)) <= most
    rows = [{"run": "a", "path": "합성곱", "seed": "1"}, {"run": "b", "path": "x", "seed": "22"}]
    found = listing.Listing(rows, ("run", "path", "seed"), 2)
    for text in (listing.table_text(found), listing.terminal_text(found, 80)):
        assert len({cell_len(line) for line in text.splitlines()}) == 1, text


# Numbers


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64, np.uint8])
def test_a_number_reads_back_as_itself(dtype: type) -> None:
    random = np.random.default_rng(3)
    if np.issubdtype(dtype, np.floating):
        values = (
            random.integers(0, 2**16, 2000).astype(np.uint16).view(np.float16)
            if dtype == np.float16
            else (random.normal(size=2000) * 10.0 ** random.integers(-30, 30, 2000))
        )
        values = values[np.isfinite(values)].astype(dtype)
    else:
        values = random.integers(0, 100, 100).astype(dtype)
    for value in values:
        assert dtype(number_text(value)) == value
        assert len(number_text(value)) <= len(str(value.item()))


def test_a_float32_is_shown_as_short_as_it_is(tmp_path: Path) -> None:
    x = np.array([[[[23.21887]]]], np.float32)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "w.npy", np.ones((1, 1, 1, 1), np.float32))
    paths = [f"input.path={tmp_path}/x.npy", f"filters.path={tmp_path}/w.npy"]
    printed = convpipe("input=npy", "filters=npy", *paths, f"root={tmp_path}", "name=f").out
    assert "float32: [[23.21887]]\n" in printed
    assert "23.218870" not in printed
    run = cp.load(next((tmp_path / "f").glob("*/manifest.json")).parent)
    assert run.rows[-1]["min"] == "23.218870162963867"  # of an archive nothing changes


def test_values_of_a_short_float_are_whole() -> None:
    values = np.arange(30, dtype=np.float32).reshape(3, 10) + np.float32(0.1)
    lines = outputs.values_text(values).splitlines()
    read = np.array([line.strip("[] ").split() for line in lines[1:]], np.float32)
    assert (read == values).all()


# Texts from outside

FORGED = "a\nnew: runs/fake\x1b[31m\u202e"


def test_a_text_stays_on_its_line() -> None:
    assert literal(FORGED) == r"a\nnew: runs/fake\x1b[31m\u202e"
    assert literal(Path("합성곱 x/y")) == "합성곱 x/y"


def test_paths_cannot_forge_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "x\nok runs\x1b[2J"
    run = cp.run(root=str(root), name="c")
    monkeypatch.chdir(tmp_path)
    for words in (
        ["verify", str(run.path)],
        ["reproduce", str(run.path)],
        ["page", str(run.path)],
        ["runs", str(root)],
    ):
        answer = convpipe(*words)
        assert answer.code == 0, answer.err
        printed = answer.out + answer.err
        assert "\x1b" not in printed
        assert r"x\nok runs\x1b[2J" in printed
        assert not re.search(r"^ok runs", printed, re.MULTILINE)
    assert convpipe("verify", f"{root}/nope").err.count("\n") == 1


def test_an_archive_cannot_forge_lines(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note(made, [{"run": "0" * 12, "status": "failed", "seed": "77", "error": FORGED}])
    for width in (80, 400):
        printed = typed(monkeypatch, width, "runs", str(made))
        assert "\x1b" not in printed
        assert not re.search(r"^new:", printed, re.MULTILINE)
    printed = typed(monkeypatch, 80, "runs", str(made), "--format", "csv")
    assert "\x1b" not in printed
    assert "\x1b[31m" in convpipe("runs", str(made), "--format", "csv").out  # a program reads it


def test_axes_of_an_archive_cannot_forge_lines(tmp_path: Path) -> None:
    run = cp.run("experiment=lecture_3d", archive=False)
    run.manifest["axes"] = {**run.manifest["axes"], "reshape": [FORGED, "b", "c", "d"]}
    screen = Terminal()
    run_report.show_stages(ShownConsole(file=screen, width=200, force_terminal=True), run, {})
    printed = ESCAPE.sub("", screen.getvalue())
    assert r"a\nnew: runs/fake\x1b[31m" in printed
    assert len(printed.splitlines()) == 2 + 7


def test_overrides_of_a_sweep_are_literal(tmp_path: Path) -> None:
    answer = convpipe("-m", f"root={tmp_path}", 'note="a\x1b[31mb"', "seed=1,2")
    assert "\x1b" not in answer.out + answer.err


@pytest.mark.parametrize("through", ["root=x.txt", "root=x.txt/y", "root=z"])
@pytest.mark.parametrize("sweep", [(), ("-m", "seed=1,2")])
def test_a_file_where_a_folder_is_expected_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, through: str, sweep: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.txt").write_text("")
    Path("z").mkdir()
    Path("z/lecture_3d").write_text("")
    answer = convpipe(through, *sweep)
    named = "z/lecture_3d" if through == "root=z" else "x.txt"
    assert answer.code == 4
    assert answer.err.startswith(f"convpipe: {named}: a file, expected a folder")
    assert os.listdir(".") == ["x.txt", "z"] or sorted(os.listdir(".")) == ["x.txt", "z"]


@pytest.mark.parametrize("source", ["image", "npy", "csv", "npz", "safetensors"])
def test_a_folder_where_a_file_is_expected_is_called_one(tmp_path: Path, source: str) -> None:
    answer = convpipe(f"input={source}", f"input.path={tmp_path}", f"root={tmp_path}")
    assert answer.code == 2
    assert "a folder" in answer.err
    assert "no such file" not in answer.err


def test_a_terminal_shows_a_date_by_this_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "KST-9")
    time.tzset()
    try:
        assert listing.local_time("2026-11-26T15:30:59.123456+00:00") == "2026-11-27 00:30"
        rows = [{"collection": "runs/a", "runs": "1", "failed": "0", "started": "2026-11-26T15:30:59.123+00:00"}]
        text = listing.terminal_text(listing.Listing(rows, tuple(rows[0]), 1), 80)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert text.splitlines()[1].split() == ["runs/a", "1", "0", "2026-11-27", "00:30"]
