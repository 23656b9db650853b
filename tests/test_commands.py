"""The sub-commands on collections: checked as a whole, listed, chosen from, sorted and written in every format."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from cli_runs import CHECKOUT, convpipe, process
from run_cases import FLOATS, a_run, run_folders

import convpipe as cp
from convpipe.archive.collection import rebuild, run_names
from convpipe.archive.format import write_cells
from convpipe.archive.index import INDEX, note
from convpipe.archive.table import FIXED, MEASURED, cell_value, cells
from convpipe.cli.commands import COMMANDS
from convpipe.errors import ConfigError, UsageError
from convpipe.report import listing
from convpipe.report.listing import MISSING


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with a collection of five runs, not to be changed."""
    root = tmp_path_factory.mktemp("made")
    for changes in (
        {},
        {"seed": 10},
        {"seed": 9, "conv.stride": 2},
        {"seed": 9, "conv.stride": [2, 1]},
        {**FLOATS, "conv.pad": 0},
    ):
        a_run(root / "c", changes)
    rebuild(root / "c")
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(made, tmp_path / "root"))


def printed(*words: str) -> str:
    """What a command prints, without an error."""
    answer = convpipe(*words)
    assert (answer.code, answer.err) == (0, "")
    return answer.out


def error(*words: str, code: int = 2) -> str:
    """The one line with which a command ends."""
    answer = convpipe(*words)
    assert answer.code == code, answer
    assert re.fullmatch(r"convpipe: [^\n]+\n", answer.err)
    return answer.err.removeprefix("convpipe: ").rstrip("\n")


def listed(folder: Path, *words: str) -> list[dict[str, str]]:
    """The rows of a listing, read back from its CSV."""
    return list(csv.DictReader(io.StringIO(printed("runs", str(folder), "--format=csv", *words))))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    assert printed(command, "--help").startswith(f"usage: convpipe {command} ")


def test_the_help_of_all_lists_every_command() -> None:
    commands = printed("--help").partition("\nCommands")[2].partition("\nFlags")[0]
    for command in COMMANDS.values():
        assert re.search(rf"  convpipe {command.name} {re.escape(command.usage)}\s+{command.what}\n", commands)
    assert commands.count("  convpipe ") == len(COMMANDS)
    assert all(len(line) <= 95 for line in commands.splitlines())


# verify


def test_all_collections_below_a_folder_are_verified(root: Path) -> None:
    a_run(root / "deep" / "er", {})
    lines = printed("verify", str(root)).splitlines()
    assert len(lines) == 6
    assert [line.split()[1] for line in lines] == sorted(line.split()[1] for line in lines)
    assert all(re.fullmatch(r"ok \S+ archive [0-9a-f]{64}", line) for line in lines)
    assert printed("verify", str(root / "c")).splitlines() == lines[:5]


def test_every_damaged_run_is_named_and_the_others_are_verified(root: Path) -> None:
    first, second, *whole = run_folders(root / "c")
    (first / "output.npy").unlink()
    answer = convpipe("verify", str(root))
    assert answer.code == 3
    assert re.fullmatch(rf"convpipe: {first}/output\.npy: No such file or directory\n", answer.err)
    assert len(answer.out.splitlines()) == 4
    (second / "manifest.json").write_text("{}")
    answer = convpipe("verify", str(root))
    assert answer.code == 3
    assert re.match(rf"convpipe: 2 of 5 runs are damaged: {first}/.*; {second}/.*\n\Z", answer.err)
    assert [line.split()[1] for line in answer.out.splitlines()] == [str(run) for run in whole]


def test_an_empty_folder_with_a_runs_name_is_damaged(root: Path) -> None:
    (root / "c" / ("0" * 12)).mkdir()
    assert re.match(r".*/000000000000/SHA256SUMS: No such file", error("verify", str(root), code=3))


def test_links_are_not_followed(root: Path) -> None:
    (root / "round").symlink_to(root, target_is_directory=True)
    found = convpipe("verify", str(root))
    assert found.code == 0
    assert len(found.out.splitlines()) == 5
    assert found.err == f"note: {root}: links, which are not followed: round\n"


# runs: which


WHERE: list[tuple[str, int]] = [
    ("stride == 2", 1),
    ("conv.stride == 2", 1),
    ("stride == [2, 1]", 1),
    ("stride != 2", 4),
    ("seed >= 9", 3),
    ("seed == 9 and status == 'done'", 2),
    ("seed in [3, 10]", 3),
    ("input.dtype == 'float32' or stride == 2", 2),
    ("not (seed == 3)", 3),
    ("groups == 1 and keep == 'output'", 5),  # values that do not vary
    ("input.shape[1] == 2", 5),
    ("seconds < 0", 0),
    ("input.distribution == 'uniform'", 1),  # which only one run has
]


@pytest.mark.parametrize(("where", "count"), WHERE, ids=[where for where, _ in WHERE])
def test_where(where: str, count: int, made: Path) -> None:
    assert len(listed(made / "c", "--where", where)) == count


def test_a_run_that_lacks_a_value_is_left_out(root: Path) -> None:
    damaged = run_folders(root / "c")[0]
    (damaged / "stages.csv").unlink()
    rebuild(root / "c")
    for where in ("seconds < 1", "seconds >= 0", "-seconds < 0 or seconds * 2 > 1", "input.shape[1] == 2"):
        rows = listed(root / "c", "--where", where)
        assert damaged.name not in [row["run"] for row in rows], where
        assert len(rows) == 4, where
    assert [row["run"] for row in listed(root / "c", "--where", "seconds == null")] == [damaged.name]
    assert [row["run"] for row in listed(root / "c", "--sort=seconds")][-1] == damaged.name
    assert [row["run"] for row in listed(root / "c", "--sort=-seconds")][-1] == damaged.name


def test_what_is_missing_compares_with_nothing() -> None:
    assert not any(
        (MISSING < 1, MISSING > 1, MISSING <= "a", MISSING >= [1], MISSING == 1, MISSING == MISSING, 1 in MISSING)
    )
    assert MISSING == None  # noqa: E711 - as an expression compares
    assert MISSING != 1
    assert not MISSING
    assert len(MISSING) == 0
    assert MISSING[0] == None  # noqa: E711
    assert not MISSING + 1 > 0


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--where", "strid == 2"], r"--where: got strid == 2, expected .*no strid here; did you mean stride\?"),
        (["--where", "stride =="], r"--where: got stride ==, expected an expression of names"),
        (["--where", "__import__('os')"], r"--where: got .*, expected an expression of names"),
        (["--where", "dtype == 1"], r"--where: .*dtype could be filters\.dtype or input\.dtype"),
        (["--where", "status < 3"], r"--where: .*not supported between"),
        (
            ["--sort", "nope"],
            r"--sort: got nope, expected one of run, .*, seconds, lowering, .*, started, .*seed, .*conv\.stride",
        ),
        (["--sort", "time"], r"--sort: got time, expected one of .*\bseconds, (?!.* more)"),
        (["--columns", "shape_"], r"--columns: got shape_, .*\(did you mean shape\?\)"),
        (["--sort", "shap"], r"--sort: got shap, .*did you mean shape\?"),
        (["--sort", "dtype"], r"--sort: got dtype, expected one of filters\.dtype, input\.dtype"),
        (["--columns", "run,nope"], r"--columns: got nope, expected one of"),
        (["--columns", ""], r"--columns: got nothing, expected one of"),
        (["--format", "xml"], r"runs: --format: invalid choice: 'xml'"),
        (["--sort"], r"runs: --sort: expected one argument"),
        (["--format=parquet"], r"runs: --format parquet: expected --output FILE beside it"),
        (["--nope"], r"runs: unrecognized arguments: --nope"),
        (["more"], r"runs: got 2 arguments, expected at most one path"),
    ],
)
def test_a_wrong_choice_is_one_line(words: list[str], line: str, made: Path) -> None:
    assert re.match(line, error("runs", str(made / "c"), *words))


def test_an_empty_collection_has_no_columns_to_choose() -> None:
    with pytest.raises(ConfigError, match=r"--sort: got x, expected some run"):
        listing.column_named("--sort", "x", [])


def test_a_columns_hint_knows_the_words_of_its_name_and_many_columns_are_cut() -> None:
    known = ["run", *(f"network.a{number}.stride" for number in range(80)), "output_shape", "seconds"]
    expected = r"^--sort: got shape, expected one of run, output_shape, seconds, network\.a0\.stride, .*"
    with pytest.raises(ConfigError, match=expected + r"a56\.stride and 23 more \(did you mean output_shape\?\)$"):
        listing.column_named("--sort", "shape", known)


# runs: order and columns


def test_numbers_are_sorted_as_numbers(made: Path) -> None:
    assert [row["seed"] for row in listed(made / "c", "--sort", "seed")] == ["3", "3", "9", "9", "10"]
    assert [row["seed"] for row in listed(made / "c", "--sort", "-seed")] == ["10", "9", "9", "3", "3"]
    assert [row["conv.stride"] for row in listed(made / "c", "--sort=-stride")][:2] == ["[2, 1]", "2"]


def test_columns_are_chosen_and_named_in_full(made: Path) -> None:
    rows = listed(made / "c", "--columns", "run, stride,conv.groups,filters.kernel", "--sort", "seed")
    assert list(rows[0]) == ["run", "conv.stride", "conv.groups", "filters.kernel"]
    assert {row["filters.kernel"] for row in rows} == {"2"}


def test_a_choice_keeps_the_columns_of_the_whole_table(made: Path) -> None:
    whole = listed(made / "c")
    assert [row for row in whole if row["seed"] == "10"] == listed(made / "c", "--where", "seed == 10")


def test_the_arguments_stand_in_any_order(made: Path) -> None:
    words = ["--sort", "-seed", str(made / "c"), "--format", "csv"]
    assert printed("runs", *words) == printed("runs", words[2], *words[:2], *words[3:])


# runs: formats


def test_the_csv_is_results_csv(made: Path) -> None:
    assert printed("runs", str(made / "c"), "--format", "csv") == (made / "c" / "results.csv").read_text()


def test_json_is_typed(made: Path) -> None:
    rows = json.loads(printed("runs", str(made / "c"), "--format=json"))
    assert sorted(row["run"] for row in rows) == run_names(made / "c")
    assert {type(row["seed"]) for row in rows} == {int}
    assert {type(row["seconds"]) for row in rows} == {float}
    assert [2, 1] in [row["conv.stride"] for row in rows]
    assert None in [row["input.distribution"] for row in rows]


def test_a_table_is_aligned_and_cut(tmp_path: Path) -> None:
    cases = {"values": ["x" * 100, "short"], "seed": ["5", "10"], "error": ["two\nlines \x1b[31m", ""]}
    rows = [{name: cells[at] for name, cells in cases.items()} for at in (0, 1)]
    lines = listing.table_text(listing.Listing(rows, list(cases), 2)).splitlines()
    assert lines == [
        "values                            seed  error",
        f"{'x' * 29}...     5  two lines  [31m",
        "short                               10",
    ]
    assert listing.table_text(listing.Listing([], list(cases), 0)) == ""


EMPTY = ",".join([*FIXED, *MEASURED]) + "\n"


@pytest.mark.parametrize(("form", "text"), [("table", ""), ("csv", EMPTY), ("json", "[]\n")])
def test_no_runs_in_any_format(form: str, text: str, tmp_path: Path) -> None:
    rebuild(tmp_path)
    assert printed("runs", str(tmp_path), "--format", form) == text


def test_no_run_that_matches(made: Path, tmp_path: Path) -> None:
    words = ["runs", str(made / "c"), "--where", "seconds < 0"]
    assert printed(*words) == "no run of 5 matches\n"
    assert printed(*words, "--format=json") == "[]\n"
    head = (made / "c" / "results.csv").read_text().partition("\n")[0]
    assert printed(*words, "--format=csv") == f"{head}\n"
    assert printed(*words, "--format=csv", "--columns=run,stride") == "run,conv.stride\n"


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="needs the extra: parquet")
def test_no_run_that_matches_in_parquet(made: Path, tmp_path: Path) -> None:
    import pandas as pd

    words = ["--where", "seconds < 0", "--columns=run,stride", "--output", str(tmp_path / "x.parquet")]
    printed("runs", str(made / "c"), *words)
    found = pd.read_parquet(tmp_path / "x.parquet")
    assert (list(found.columns), len(found)) == (["run", "conv.stride"], 0)


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_a_listing_goes_to_a_file(form: str, made: Path, tmp_path: Path) -> None:
    assert printed("runs", str(made / "c"), "--format", form, "--output", str(tmp_path / "x")) == ""
    assert (tmp_path / "x").read_text() == printed("runs", str(made / "c"), "--format", form)


@pytest.mark.parametrize(
    ("name", "form"), [("x.csv", "csv"), ("x.JSON", "json"), ("x.txt", "table"), ("x.table", "table"), ("csv", "table")]
)
def test_a_files_ending_says_its_format(name: str, form: str, made: Path, tmp_path: Path) -> None:
    printed("runs", str(made / "c"), "--output", str(tmp_path / name))
    assert (tmp_path / name).read_text() == printed("runs", str(made / "c"), "--format", form)
    printed("runs", str(made / "c"), "--output", str(tmp_path / name), "--format=json")
    assert json.loads((tmp_path / name).read_text())


def test_the_help_says_what_a_files_ending_does() -> None:
    text = " ".join(printed("runs", "--help").split())
    assert "default: as FILE ends (.csv, .json, .parquet), table for any other ending or no FILE" in text


def test_a_file_that_cannot_be_written(made: Path, tmp_path: Path) -> None:
    line = error("runs", str(made / "c"), "--output", str(tmp_path / "no" / "x"), code=4)
    assert re.search(r"no/x: No such file or directory; nothing was kept", line)


def test_parquet_says_what_it_needs(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as if it were not installed
    line = error("runs", str(made / "c"), "--format=parquet", "--output", str(tmp_path / "x"))
    assert line == "--format: parquet needs pyarrow: pip install 'convpipe[parquet]'"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="needs the extra: parquet")
def test_parquet_is_the_typed_table(made: Path, tmp_path: Path) -> None:
    import pandas as pd

    printed("runs", str(made / "c"), "--output", str(tmp_path / "x.parquet"))
    found, runs = pd.read_parquet(tmp_path / "x.parquet"), cp.runs(made / "c")
    lists = [name for name in runs if isinstance(runs[name][0], tuple)]
    assert "conv.stride" in lists
    assert sorted(map(list, found["conv.stride"])) == [[1], [1], [1], [2], [2, 1]]
    for name in lists:
        found[name] = [tuple(tupled(value)) for value in found[name]]
    pd.testing.assert_frame_equal(found, runs)


def tupled(value: Any) -> Any:
    """Lists and arrays as tuples, and what is in them, too."""
    return tuple(map(tupled, value)) if hasattr(value, "__len__") and not isinstance(value, str) else value


# runs, in Python


CHOICES: list[tuple[list[str], dict[str, Any]]] = [
    ([], {}),
    (["--where", "stride == 1 and seed < 3"], {"where": "stride == 1 and seed < 3"}),
    (["--sort=-seed"], {"sort": "-seed"}),
    (["--columns", "stride,run"], {"columns": ["stride", "run"]}),
    (
        ["--columns=run,seed", "--where=seed > 0", "--sort=seed"],
        {"columns": "run, seed", "where": "seed > 0", "sort": "seed"},
    ),
    (["--where", "seed == 99"], {"where": "seed == 99"}),
]


def there(row: dict[str, Any]) -> dict[str, Any]:
    """The cells that a run has, lists as tuples, times as texts."""
    texts = {column: value.isoformat() if column == "started" and value else value for column, value in row.items()}
    found = {column: tupled(value) for column, value in texts.items()}
    return {column: value for column, value in found.items() if value not in (None, "") and value == value}


@pytest.mark.parametrize(("words", "arguments"), CHOICES, ids=str)
def test_the_function_gives_what_the_command_lists(words: list[str], arguments: dict[str, Any], made: Path) -> None:
    table = cp.runs(made / "c", **arguments)
    rows = json.loads(printed("runs", str(made / "c"), "--format=json", *words))
    for row in rows:
        row |= {"started": datetime.fromisoformat(row["started"])} if "started" in row else {}
    assert [there(row) for row in table.to_dict("records")] == [there(row) for row in rows]
    every = () if any(word.startswith("--columns") for word in words) else ("--columns=all",)
    head = printed("runs", str(made / "c"), "--format=csv", *words, *every).split("\n")[0]
    assert list(table.columns) == head.split(",")
    assert not rows or "seed" not in table or table["seed"].dtype.kind == "i"


WRONG: list[tuple[list[str], dict[str, Any]]] = [
    (["--where", "strid == 2"], {"where": "strid == 2"}),
    (["--sort", "nope"], {"sort": "nope"}),
    (["--columns", "run,nope"], {"columns": ["run", "nope"]}),
    (["--columns", ""], {"columns": []}),
]


@pytest.mark.parametrize(("words", "arguments"), WRONG, ids=str)
def test_the_function_says_what_is_wrong_as_the_command_does(
    words: list[str], arguments: dict[str, Any], made: Path
) -> None:
    with pytest.raises(ConfigError, match=r"^--\w+: got ") as caught:
        cp.runs(made / "c", **arguments)
    assert str(caught.value) == error("runs", str(made / "c"), *words)


def test_the_function_wants_a_collection_as_the_command_does(root: Path) -> None:
    for path in (root, root / "no", run_folders(root / "c")[0]):
        with pytest.raises(UsageError, match=r"^runs: got .*, (expected a|a run; expected its) ") as caught:
            cp.runs(path)
        if path != root:  # of which the command lists the collections
            assert str(caught.value) == error("runs", str(path))


# runs: what is there


def test_rebuild_gives_the_same_bytes(root: Path) -> None:
    before = (root / "c" / "results.csv").read_bytes()
    (root / "c" / "results.csv").write_bytes(b"nonsense")
    (root / "c" / INDEX).write_bytes(b"nonsense\n")
    printed("runs", str(root / "c"), "--rebuild")
    assert (root / "c" / "results.csv").read_bytes() == before


READINGS: dict[str, Callable[[Path], Any]] = {
    "no table": lambda folder: (folder / "results.csv").unlink(),
    "no index": lambda folder: (folder / INDEX).unlink(),
    "neither": lambda folder: [(folder / name).unlink() for name in ("results.csv", INDEX)],
    "nonsense": lambda folder: (folder / "results.csv").write_bytes(b"\xff\0"),
    "too many cells": lambda folder: (
        (folder / "results.csv").open("a").write("1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16\n")
    ),
    "a long line": lambda folder: (folder / "results.csv").write_text(
        (folder / "results.csv").read_text().replace("\n", ",more\n").replace(",more\n", "\n", 1)
    ),
    "a short index": lambda folder: (folder / INDEX).write_bytes((folder / INDEX).read_bytes()[:-50]),
}


@pytest.mark.parametrize("reading", READINGS)
def test_a_listing_is_right_whatever_the_table_says(reading: str, root: Path) -> None:
    whole = printed("runs", str(root / "c"))
    chosen = printed("runs", str(root / "c"), "--sort=-seed")
    READINGS[reading](root / "c")
    assert printed("runs", str(root / "c")) == whole
    assert printed("runs", str(root / "c"), "--sort=-seed") == chosen


def test_failed_points_are_listed(root: Path) -> None:
    identity = "0" * 12
    note(root / "c", [{"run": identity, "status": "failed", "seed": "77", "error": "it broke, badly"}])
    rows = listed(root / "c", "--where", "status == 'failed'")
    assert [(row["run"], row["error"]) for row in rows] == [(identity, "it broke, badly")]
    assert len(listed(root / "c")) == 6


def test_a_folder_of_collections_and_a_run_are_no_collection(root: Path) -> None:
    for number in range(6):
        shutil.copytree(root / "c", root / f"c{number}")
    with pytest.raises(UsageError, match="expected a collection") as caught:
        cp.runs(root)
    assert (
        str(caught.value)
        == f"runs: got {root}, expected a collection of runs, such as "
        + ", ".join([f"{root}/c", *(f"{root}/c{number}" for number in range(4))])
        + " and 2 more"
    )
    run = run_folders(root / "c")[0]
    assert error("runs", str(run)) == f"runs: got {run}, a run; expected its collection, {root}/c"
    for command in (["explain", "--at=0,0,0,0"], ["reproduce"]):
        assert error(*command, str(root)).endswith(" and 30 more")
    (root / "empty").mkdir()
    assert error("runs", str(root / "empty")) == f"runs: got {root}/empty, expected a collection of runs"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-3", -3),
        ("0.5", 0.5),
        ("1e-05", 1e-05),
        ("True", True),
        ("False", False),
        ("", None),
        ("same", "same"),
        ("[1, [2, 3]]", [1, [2, 3]]),
        ("['pad', 'im2col']", ["pad", "im2col"]),
        ("[", "["),
        ("[1e999]", "[1e999]"),
        ("1e999", "1e999"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("1_000", "1_000"),
        ("[None]", "[None]"),
        ("[b'x']", "[b'x']"),
        ("[1j]", "[1j]"),
        ("[" * 500, "[" * 500),
        ("9" * 101, int("9" * 101)),
        ("9" * 400, "9" * 400),
        ("'7", "7"),
        ("'nan", "nan"),
        ("''nan", "'nan"),
        ("007", "007"),
        ("\u0663", "\u0663"),
    ],
)
def test_cells_are_read_as_what_they_were(text: str, value: Any) -> None:
    found = cell_value("conv.stride", text)
    assert (found, type(found)) == (value, type(value))
    assert cell_value("run", text) == (text.removeprefix("'") or None)


# Speed


def big_collection(folder: Path, count: int) -> None:
    """A collection that has its table, its index and a folder for each run, though next to nothing in them."""
    columns = [
        "run",
        "status",
        "seed",
        "input.values",
        "conv.stride",
        "conv.pad",
        "filters.count",
        *MEASURED,
    ]
    rows = []
    for number in range(count):
        digest = sha256(str(number).encode()).hexdigest()
        values = [digest[:12], "done", number, list(range(20)), number % 5, [number % 2, 1], 7, "(1,3,3,1)", digest]
        measured = [f"{number * 1e-6:.9f}", "im2col", "2", "9", "99", "9", "-1", "1", "0", f"{number:09}"]
        rows.append(dict(zip(columns, [*map(str, values), *measured], strict=True)))
        (folder / digest[:12]).mkdir(parents=True)
        (folder / digest[:12] / "manifest.json").touch()
    rows.sort(key=lambda row: row["run"])
    with open(folder / "results.csv", "w", newline="") as file:
        write_cells(file, columns, cells(rows, columns))
    note(folder, rows)


@pytest.mark.parametrize("words", [[], ["--where", "stride == 2 and seed > 100", "--sort", "-seconds"]], ids=" ".join)
def test_ten_thousand_runs_are_listed(words: list[str], tmp_path: Path) -> None:
    big_collection(tmp_path, 10_000)
    child = process("runs", str(tmp_path), *words, cwd=tmp_path, stdout=subprocess.PIPE)
    try:
        # half a second at rest, as tests/benchmarks/waiting.py measures; comparing all with all would take minutes
        out, err = child.communicate(timeout=20)
    finally:
        child.kill()
    assert (child.returncode, err) == (0, "")
    assert len(out.splitlines()) == (1981 if words else 10_001)


def test_a_listing_does_without_the_heavy_libraries(made: Path) -> None:
    code = "import sys; from convpipe.cli.main import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code, "runs", str(made / "c"), "--sort=seed"],
        env={"PYTHONPATH": str(CHECKOUT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert loaded & {"pandas", "hydra", "omegaconf", "PIL", "rich", "scipy"} == set()
    assert "numpy" in loaded, "this test would find them"
