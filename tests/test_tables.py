"""Tables and texts carry every number there and back: NaN, infinities, each dtype's extremes, whole numbers, gaps."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import convpipe as cp
from convpipe.archive.cells import cell_text, plain_value, setting_column, stage_column, unmarked
from convpipe.archive.collection import rebuild
from convpipe.archive.format import manifest_json, read_json
from convpipe.archive.frames import series, series_for_file
from convpipe.archive.index import INDEX
from convpipe.cli.main import main
from convpipe.errors import ArchiveError
from convpipe.tensors import DTYPES, FLOAT_DTYPES, INTEGER_DTYPES

NOT_FINITE = [math.nan, math.inf, -math.inf]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_of(x: np.ndarray, *words: str, weight: float = 1, name: str = "t") -> cp.archive.read.Run:
    """An archived run, every stage kept, of an image from a file and one filter of one cell."""
    np.save("x.npy", x)
    np.save("w.npy", np.full((1, 1, 1, 1), weight, x.dtype))
    files = ["input=npy", "input.path=x.npy", "filters=npy", "filters.path=w.npy", "keep=stages", f"name={name}"]
    return cp.load(cp.run(*files, *words).folder)


def image(values: list[Any], dtype: str) -> np.ndarray:
    """One image of one row."""
    return np.array(values, dtype).reshape(1, 1, 1, -1)


def same(found: Any, expected: Any) -> bool:
    """Whether two numbers are of one type and value; NaN is NaN."""
    both_nan = found != found and expected != expected
    return type(found) is type(expected) and (found == expected or both_nan)


def extremes(dtype: str) -> list[Any]:
    """The smallest and the largest number of a dtype, as Python's."""
    info: Any = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else np.finfo(dtype)
    return [np.dtype(dtype).type(info.min).item(), np.dtype(dtype).type(info.max).item()]


def subnormals(dtype: str) -> list[float]:
    """The smallest number of a float above 0, and the largest that is no normal one."""
    info = np.finfo(dtype)
    return [float(info.smallest_subnormal), float(np.nextafter(info.tiny, np.dtype(dtype).type(0)))]


# stages.csv and Run.stages


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_extremes_of_every_dtype_are_exact_in_the_table(dtype: str) -> None:
    low, high = extremes(dtype)
    for values in ([low, high], [high], [low]):
        stages = run_of(image(values, dtype), name=f"n{len(values)}{values[0] == high}").stages
        assert same(stages["min"].tolist()[0], min(values))
        assert same(stages["max"].tolist()[-1], max(values))
    assert stages["bytes"].dtype == stages["macs"].dtype == np.int64


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
@pytest.mark.parametrize("values", [[math.nan, 1, 2], [math.inf, 1], [-math.inf, 1], [math.inf, -math.inf], [-0.0]])
def test_no_numbers_and_infinities_are_in_the_table(dtype: str, values: list[float]) -> None:
    run = run_of(image(values, dtype))
    lowest = math.nan if math.isnan(values[0]) else min(values)
    assert same(run.stages["min"].tolist()[0], lowest + 0.0)
    assert run.stages["min"].dtype == run.stages["max"].dtype == np.float64
    assert run["pad"].tobytes() == np.array(values, dtype).tobytes()


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
def test_subnormals_are_exact_in_the_table(dtype: str) -> None:
    stages = run_of(image(subnormals(dtype), dtype)).stages
    assert [stages["min"].tolist()[0], stages["max"].tolist()[0]] == subnormals(dtype)


@pytest.mark.parametrize("dtype", ["uint64", "float32"])
def test_a_stage_without_cells_has_a_gap_and_no_number(dtype: str) -> None:
    stages = run_of(np.zeros((0, 1, 2, 2), dtype)).stages
    assert stages["min"].isna().tolist() == [True, False, True, True, False, True, True]
    assert same(stages["min"].tolist()[1], np.dtype(dtype).type(1).item())


def test_integers_beside_floats_are_each_its_own() -> None:
    np.save("x.npy", image([2**63 - 1, -(2**63)], "int64"))
    layers = "network: {a: {op: clip, low: -1}, b: {op: sigmoid}}"
    Path("mine.yaml").write_text(f"input: {{source: npy, path: x.npy}}\n{layers}\n")
    stages = cp.run("mine.yaml").stages
    assert [type(value) for value in stages["max"]] == [int, int, float]
    assert stages["max"].tolist()[:2] == [2**63 - 1] * 2
    assert stages["min"].tolist()[1] == -1


TEXTS_OF_STAGES: list[tuple[list[str], list[Any], str]] = [
    (["1", "-2"], [1, -2], "int64"),
    (["18446744073709551615", "0"], [2**64 - 1, 0], "uint64"),
    (["18446744073709551615", "-9223372036854775808"], [2**64 - 1, -(2**63)], "object"),
    (["18446744073709551615", ""], [2**64 - 1, None], "UInt64"),
    (["9007199254740993", ""], [2**53 + 1, None], "Int64"),
    (["1.0", "nan", "-inf"], [1.0, math.nan, -math.inf], "float64"),
    (["1.0", ""], [1.0, None], "float64"),
    (["nan", "", "inf"], [math.nan, None, math.inf], "Float64"),
    (["9007199254740993", "0.5"], [2**53 + 1, 0.5], "object"),
    (["1", "1.0", "", "nan"], [1, 1.0, None, math.nan], "object"),
    (["5e-324", "1.7976931348623157e+308"], [5e-324, 1.7976931348623157e308], "float64"),
    (["", ""], [None, None], "float64"),
]


@pytest.mark.parametrize(("texts", "expected", "dtype"), TEXTS_OF_STAGES, ids=str)
def test_a_column_of_stages_has_each_number_as_it_is(texts: list[str], expected: list[Any], dtype: str) -> None:
    import pandas as pd

    column = stage_column(pd.Series(texts, name="min"))
    assert (str(column.dtype), column.name) == (dtype, "min")
    for found, wanted in zip(column.tolist(), expected, strict=True):
        assert pd.isna(found) if wanted is None else same(found, wanted)
    if dtype != "float64":  # where a gap is NaN
        gaps = [found is None or found is pd.NA for found in column.tolist()]
        assert gaps == [wanted is None for wanted in expected]


@given(st.lists(st.floats() | st.integers(-(2**63), 2**64 - 1) | st.none(), min_size=1))
@settings(derandomize=True, max_examples=100, deadline=None)
def test_any_column_of_stages_comes_back(values: list[Any]) -> None:
    import pandas as pd

    column = stage_column(pd.Series(["" if value is None else str(value) for value in values], dtype=object))
    for found, wanted in zip(column.tolist(), values, strict=True):
        assert pd.isna(found) if wanted is None else same(found, wanted)


def test_a_run_of_no_numbers_shows_itself() -> None:
    run = run_of(image([math.nan, math.inf, -1], "float32"))
    assert "output (1,1,3,1) float32, nan to nan" in repr(run)
    assert run._repr_html_().count("NaN") + run._repr_html_().count("nan") > 2
    assert np.isnan(run.maps[0, 0, 0, 0])


# One run from end to end


NANS = {"float16": "<u2", "float32": "<u4", "float64": "<u8"}


def odd_nans(dtype: str) -> np.ndarray:
    """NaNs of several bit patterns: quiet, with a sign, with a payload, signalling."""
    bits = np.dtype(NANS[dtype])
    width, mantissa = 8 * bits.itemsize, np.finfo(dtype).nmant
    inf, quiet = int(np.array(math.inf, dtype).view(bits)), 1 << (mantissa - 1)
    patterns = [inf | quiet, inf | quiet | 1 << (width - 1), inf | quiet | 5, inf | 1]
    return np.array(patterns, bits).view(dtype)


@pytest.mark.parametrize("dtype", FLOAT_DTYPES)
def test_no_numbers_go_from_end_to_end_to_the_bit(dtype: str, capsys: pytest.CaptureFixture[str]) -> None:
    x = image([0, 0, 0, 0], dtype)
    x[0, 0, 0] = odd_nans(dtype)
    run = run_of(x)
    assert run["input"].tobytes() == run["im2col"].tobytes() == x.tobytes()
    assert cp.verify(run.folder)[0].stages.equals(run.stages)
    for _ in range(3):
        assert cp.reproduce(run.folder).verdict == "reproduced"
    cell = cp.explain(run.folder, (0, 0, 0, 2))
    assert str(cell).endswith("nan = nan, as stored")
    assert repr(cell).endswith("1 channels = nan, as stored>")
    main(["explain", str(run.folder), "--at", "0,0,0,1"])
    assert capsys.readouterr().out.endswith("nan = nan, as stored\n")


def test_the_difference_of_infinities_is_explained() -> None:
    np.save("x.npy", np.array([[[[math.inf, 1]], [[-math.inf, 2]]]]))
    words = ["filters.values=[[[[1.0]],[[1.0]]]]", "filters.dtype=float64", "keep=stages"]
    run = cp.run("input=npy", "input.path=x.npy", *words)
    assert str(cp.explain(run, (0, 0, 0, 0))).endswith("inf + -inf = nan, as stored")
    assert str(cp.explain(run, (0, 0, 0, 1))).endswith("1 + 2 = 3, as stored")


def test_what_is_no_number_and_stored_as_one_is_told() -> None:
    run = cp.run(archive=False)
    held = {**run.held, "reshape": run.held["reshape"] + 1}
    wrong = cp.archive.read.Run(None, run.config, run.rows, run.manifest, held)
    assert str(cp.explain(wrong, (0, 0, 0, 0))).endswith("= -9, but -8 is stored")


# JSON


def tokens(text: str) -> Iterator[str]:
    """The words of a JSON text that only Python takes."""
    found: list[str] = []
    json.loads(text, parse_constant=found.append)
    yield from found


def test_every_json_is_for_every_reader(capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of(image([math.nan, math.inf], "float64"))
    assert list(tokens((run.folder / "manifest.json").read_text())) == []
    for line in (run.folder.parent / INDEX).read_text().splitlines():
        assert list(tokens(line)) == []
    main(["runs", str(run.folder.parent), "--format", "json"])
    assert list(tokens(capsys.readouterr().out)) == []
    main(["schema"])
    assert list(tokens(capsys.readouterr().out)) == []
    assert list(tokens('{"a": [NaN, -Infinity]}')) == ["NaN", "-Infinity"], "this test would find them"


@pytest.mark.parametrize("value", NOT_FINITE)
def test_a_manifest_cannot_be_written_that_is_no_json(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        manifest_json({"seconds": {"pad": [value]}})


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", '{"a": [1, NaN]}'])
def test_what_is_no_json_is_not_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"(NaN|-?Infinity) is no JSON"):
        read_json(text.encode())


@pytest.mark.parametrize("seconds", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_a_manifest_of_times_that_no_clock_measured_is_refused(seconds: str) -> None:
    run = run_of(image([1], "int8"))
    path = run.folder / "manifest.json"
    path.write_text(re.sub(r'"pad": \[[^]]*\]', f'"pad": [{seconds}]', path.read_text(), count=1))
    with pytest.raises(
        ArchiveError, match=r"manifest\.json: (not readable: |got seconds\.pad \[-?inf\], expected a list)"
    ):
        cp.load(run.folder)


@pytest.mark.parametrize("row", ["[1]", "7", '{"run": "%s", "status": NaN}', '{"run": "%s", "conv.pad": 1}'])
def test_a_line_of_the_index_that_is_no_row_of_texts_counts_for_nothing(row: str) -> None:
    run = run_of(image([1], "int8"))
    index = run.folder.parent / INDEX
    index.write_text(row.replace("%s", run.folder.name) + "\n")
    (run.folder.parent / "results.csv").unlink()
    assert cp.runs(run.folder.parent, where="status == 'done'")["run"].tolist() == [run.folder.name]


# Settings


SETTINGS: list[tuple[Any, str]] = [
    (0, "0"),
    (-0.0, "-0.0"),
    (1e22, "1e+22"),
    (2**63, "9223372036854775808"),
    (10**308, "1" + "0" * 308),
    (5e-324, "5e-324"),
    (0.1, "0.1"),
    (True, "True"),
    ("same", "same"),
    ("7", "'7"),
    ("-0.5", "'-0.5"),
    (-0.5, "-0.5"),
    ("True", "'True"),
    ("[1]", "'[1]"),
    ("'a'", "''a'"),
    ('"a"', '"a"'),
    ("nan", "nan"),
    ("1_000", "1_000"),
    ([1, [2.5, "a"]], "[1, [2.5, 'a']]"),
]


@pytest.mark.parametrize(("value", "text"), SETTINGS, ids=str)
def test_a_setting_is_a_cell_and_back(value: Any, text: str) -> None:
    assert cell_text(value) == text
    assert repr(plain_value(text)) == repr(value)


@pytest.mark.parametrize(
    "text", ["9" * 309, "-" + "9" * 309, "9" * 310, f"[{'9' * 400}]", f"[1, [{'9' * 310}]]", "1e+309"]
)
def test_what_no_float_holds_stays_a_text(text: str) -> None:
    assert plain_value(text) == text


@given(st.text(min_size=1) | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**308), 10**308))
@settings(derandomize=True, max_examples=200, deadline=None)
def test_any_text_and_any_number_is_a_cell_and_back(value: Any) -> None:
    found = plain_value(cell_text(value))
    assert (found, type(found)) == (value, type(value))


COLUMNS: list[tuple[list[str], list[Any], str]] = [
    (["1", "0.5"], [1.0, 0.5], "float64"),
    (["9007199254740993", "0.5"], [2**53 + 1, 0.5], "object"),
    (["9007199254740994", "0.5"], [2.0**53 + 2, 0.5], "float64"),
    (["18446744073709551616", "1"], [2**64, 1], "object"),
    (["1" + "0" * 308, "1"], [10**308, 1], "object"),
    (["1" + "0" * 308, "0.5"], [10**308, 0.5], "object"),
    (["9007199254740993", ""], [2**53 + 1, None], "Int64"),
    (["18446744073709551615", ""], [2**64 - 1, None], "UInt64"),
    (["0.5", ""], [0.5, None], "float64"),
]


@pytest.mark.parametrize(("texts", "expected", "dtype"), COLUMNS, ids=str)
def test_a_column_of_settings_has_each_number_as_it_is(texts: list[str], expected: list[Any], dtype: str) -> None:
    import pandas as pd

    column = series("conv.pad_value", texts)
    assert str(column.dtype) == dtype
    for found, wanted in zip(column.tolist(), expected, strict=True):
        assert pd.isna(found) if wanted is None else same(found, wanted)
    in_file = series_for_file("conv.pad_value", texts)  # one type in a column: those that no dtype holds are texts
    assert in_file.tolist() == texts if dtype == "object" else in_file.equals(column)


@pytest.mark.parametrize("texts", [["nan", "nan"], ["inf", "1"], ["007", "8"], ["1_0", "2"], [" 1", "2"], ["0x1", "1"]])
def test_texts_that_pandas_would_take_for_numbers_stay_texts(texts: list[str]) -> None:
    import pandas as pd

    assert setting_column(pd.Series(texts)) is None
    assert series("conv.pad_value", texts).tolist() == texts


def test_texts_that_read_like_numbers_are_texts_in_every_table(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("7", "8", "nan", "True"):
        Path(name).with_suffix(".npy").write_bytes(b"")
        np.save(f"{name}.npy", image([1], "int8"))
        Path(f"{name}.npy").rename(name)
    names = ["7", "8", "nan", "True"]
    cells = [cell_text(name) for name in names]
    assert cells == ["'7", "'8", "nan", "'True"]
    assert series("input.path", cells).tolist() == names
    assert series_for_file("input.path", cells).tolist() == names
    assert [unmarked(cell) for cell in cells] == names


def collection(*values: object) -> Path:
    """Runs whose pad_value differs."""
    for value in values:
        cp.run(
            "input.dtype=float64",
            "filters.dtype=float64",
            "conv.pad=1",
            "conv.overflow=inf",
            f"conv.pad_value={value}",
            name="c",
        )
    return Path("runs/c")


VALUES = [10**308, 2**64, 2**53 + 1, 1e-05, 5e-324, 0.5, -1]


def test_numbers_of_settings_come_back_through_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    folder = collection(*VALUES)
    table = cp.runs(folder, sort="pad_value")
    assert [repr(value) for value in table["conv.pad_value"]] == [repr(value) for value in sorted(VALUES)]
    main(["runs", str(folder), "--format", "json", "--sort=-pad_value"])
    found = [row["conv.pad_value"] for row in json.loads(capsys.readouterr().out)]
    assert [repr(value) for value in found] == [repr(value) for value in sorted(VALUES, reverse=True)]
    main(["runs", str(folder), "--format", "csv", "--sort=pad_value"])
    texts = [row["conv.pad_value"] for row in csv.DictReader(capsys.readouterr().out.splitlines())]
    assert [Fraction(text) for text in texts] == sorted(map(Fraction, map(str, VALUES)))
    before = (folder / "results.csv").read_bytes()
    assert rebuild(folder).read_bytes() == before
    assert len(cp.runs(folder, where="pad_value > 1e300")) == 1
    assert len(cp.runs(folder, where=f"pad_value == {2**53 + 1}")) == 1
    for run in table["run"]:
        assert cp.reproduce(folder / run).verdict == "reproduced"


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="needs the extra: parquet")
def test_parquet_takes_numbers_of_any_size() -> None:
    import pandas as pd

    main(["runs", str(collection(2**64, 1)), "--output", "x.parquet"])
    assert sorted(pd.read_parquet("x.parquet")["conv.pad_value"]) == ["1", str(2**64)]
    main(["runs", str(collection(0.5)), "--columns", "pad_value", "--where", "pad_value < 2", "--output", "y.parquet"])
    assert sorted(pd.read_parquet("y.parquet")["conv.pad_value"]) == [0.5, 1.0]


@pytest.mark.parametrize("where", ["1e400 - 1e400", "1e400 * 0", "-(1e400 * 0)", "(1e400 - 1e400) * seed"])
def test_what_is_no_number_holds_for_no_run(where: str) -> None:
    cp.run()
    assert len(cp.runs("runs/lecture_3d", where=where)) == 0
    assert len(cp.runs("runs/lecture_3d", where=f"not ({where} < 1)")) == 1


@pytest.mark.parametrize("text", [".nan", ".inf", "-.inf", "nan", "inf", "1e400", "-1e400"])
@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("conv.pad_value", ["conv.pad_value={}"]),
        ("input.low", ["input=random", "input.dtype=float64", "input.low={}"]),
        ("input.values[0][0][0][0]", ["input.values=[[[[{}]]]]", "input.dtype=float64"]),
        ("seed", ["seed={}"]),
        ("lowering.stages[0].clip.low", ["lowering.stages=[{{clip:{{low: {}}}}},pad,im2col,fil2col,matmul,reshape]"]),
    ],
)
def test_a_setting_that_is_no_finite_number_is_one_line(
    key: str, words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.format(text) for word in words]) == 2
    assert re.fullmatch(rf"convpipe: {re.escape(key)}: got \S+, expected a .*number.*\n", capsys.readouterr().err)
    assert not Path("runs").exists()


ONE_TAP = {"filters.values": [[[[1]]]]}


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([-0.0, 1e22, 5e-324, 1.7976931348623157e308], "float64"),
        ([3.4028234663852886e38, 1e-45, -0.0], "float32"),
        ([65504, 6e-08], "float16"),
        ([2**64 - 1, 2**63, 0], "uint64"),
        ([2**63 - 1, -(2**63), 2**53 + 1], "int64"),
        ([float(2**53), 10**22], "float64"),
    ],
)
def test_values_written_out_come_back_to_the_bit(values: list[Any], dtype: str) -> None:
    words = {"input.values": [[[values]]], "input.dtype": dtype, "filters.values": [[[[1]]]], "filters.dtype": dtype}
    run = cp.run("keep=stages", **words)
    assert run["input"].tobytes() == np.array(values, dtype).tobytes()
    assert repr(cp.load(run.folder).config["input"]["values"]) == repr([[[values]]])
    assert cp.reproduce(run.folder).verdict == "reproduced"


@pytest.mark.parametrize("dtype", INTEGER_DTYPES)
def test_a_value_for_padding_comes_back_exactly(dtype: str) -> None:
    low, high = extremes(dtype)
    for value in (low, high):
        words = {"conv.pad_value": value, "conv.pad": 1, "input.dtype": dtype, "filters.dtype": dtype}
        run = cp.run("input=integers", "input.low=0", "keep=stages", "input.shape=[1,1,2,2]", **words, **ONE_TAP)
        assert run["pad"][0, 0, 0, 0] == value
        assert cp.load(run.folder).config["conv"]["pad_value"] == value
        assert cp.reproduce(run.folder).verdict == "reproduced"
