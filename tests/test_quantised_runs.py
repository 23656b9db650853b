"""Quantised runs on disk: numbers from files, what is counted, sweeps over targets."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cli_runs import convpipe, refused
from run_cases import edit_manifest

import convpipe as cp
from convpipe.archive.verify import verify
from convpipe.errors import ArchiveError

pytestmark = pytest.mark.usefixtures("folder")

SMALL = (
    "input=integers",
    "input.dtype=int8",
    "input.low=-128",
    "input.high=128",
    "filters=integers",
    "filters.dtype=int8",
    "bias=integers",
    "bias.dtype=int32",
    "name=q",
)
TFLITE = ("quant=tflite", "quant.multiplier=1073741824", "quant.shift=-4")


def saved(name: str, values: Any, dtype: str = "int32") -> str:
    np.save(name, np.array(values, dtype))
    return name


# Numbers from files


def test_the_content_of_a_file_of_numbers_is_what_a_run_is() -> None:
    saved("m.npy", [1 << 30, 1 << 29, 1500000000, 1 << 30])
    one = cp.run(*SMALL, "quant=tflite", "quant.multiplier=m.npy", "quant.shift=-4", keep="stages")
    Path("elsewhere").mkdir()
    Path("m.npy").rename("elsewhere/n.npy")
    same = cp.run(*SMALL, "quant=tflite", "quant.multiplier=elsewhere/n.npy", "quant.shift=-4")
    saved("m.npy", [1 << 30, 1 << 29, 1500000000, (1 << 30) + 1])
    other = cp.run(*SMALL, "quant=tflite", "quant.multiplier=m.npy", "quant.shift=-4")
    assert one.manifest["run_id"] == same.manifest["run_id"] != other.manifest["run_id"]
    assert one["multiplier"].tolist() == [1 << 30, 1 << 29, 1500000000, 1 << 30]
    assert one.manifest["paths"] == {"quant.multiplier": "m.npy"}
    assert len(one.config["quant"]["multiplier"]["sha256"]) == 64
    assert "path" not in one.config["quant"]["multiplier"]


def test_written_out_numbers_and_a_file_of_them_give_the_same_values() -> None:
    numbers = [[-300, -10, 0, 200], [-5, 0, 5, 6], [0, 0, 0, 1], [100, 300, -200, 5]]
    saved("t.npy", numbers, "int64")
    words = (*SMALL, "quant=thresholds", "quant.output.dtype=uint4")
    written = cp.run(*words, f"quant.thresholds={numbers}", keep="stages")
    stored = cp.run(*words, "quant.thresholds=t.npy", keep="stages")
    assert (written.output == stored.output).all()
    assert written["requantize"].dtype == np.uint8
    sums = stored["add_bias"]
    expected = [[sum(int(t) <= cell for t in numbers[f]) for f, cell in enumerate(row)] for row in sums.tolist()]
    assert stored["requantize"].tolist() == expected


def test_files_of_numbers_are_stored_and_found_again() -> None:
    saved("scale.npy", [0.5, 0.25, 0.125, 0.3], "float64")
    words = ("quant=xnnpack", "quant.input.scale=0.5", "quant.filters.scale=scale.npy", "quant.output.scale=4")
    run = cp.run(*SMALL, *words, keep="stages+inputs")
    sha256 = run.config["quant"]["filters"]["scale"]["sha256"]
    assert {path.name for path in Path("runs/q/inputs").iterdir()} == {sha256}
    verify(run.folder)
    Path("scale.npy").unlink()
    assert convpipe("reproduce", str(run.folder)).out.splitlines()[-1].startswith("reproduced: ")
    Path(f"runs/q/inputs/{sha256}").unlink()
    answer = convpipe("verify", "runs")
    assert answer.code == 3
    assert f"got no inputs/{sha256} beside it, expected scale.npy to be stored there" in answer.err


def test_an_integer_rule_has_its_multipliers_on_record_whatever_they_are_made_of() -> None:
    scales = ("quant.input.scale=0.5", "quant.filters.scale=[0.5,0.25,0.1,0.3]", "quant.output.scale=4")
    run = cp.run(*SMALL, "quant=tflite", *scales, keep="stages")
    reals = [Fraction(0.5) * Fraction(float(np.float32(scale))) / 4 for scale in (0.5, 0.25, 0.1, 0.3)]
    pairs = zip(run["multiplier"].tolist(), run["shift"].tolist(), reals, strict=True)
    assert run["multiplier"].dtype == run["shift"].dtype == np.int32
    for multiplier, shift, real in pairs:
        assert 1 << 30 <= multiplier < 1 << 31
        assert abs(Fraction(multiplier) * Fraction(2) ** (shift - 31) - real) <= Fraction(2) ** (shift - 32)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("quant.multiplier=q.npy", r"quant\.multiplier\.path: got q\.npy, expected a \.npy file that can be read"),
        ("quant.multiplier=q.txt", r"quant\.multiplier: got q\.txt, expected numbers, or the path of a \.npy"),
        ("quant.multiplier=m.npy", r"quant\.multiplier: got \(3,\), expected one, or 4, one for each filter"),
        ("quant.multiplier={source: integers}", r"quant\.multiplier\.source: got integers, expected one of npy"),
    ],
)
def test_a_file_of_numbers_that_is_none_is_one_line(word: str, message: str, folder: Path) -> None:
    saved("m.npy", [1, 2, 3])
    assert re.match(message, refused(folder, *SMALL, "quant=tflite", word, "quant.shift=-4"))


# What is counted


def plain_counts(sums: list[int], multiplier: int, shift: int, zero_point: int, low: int, high: int) -> dict[str, int]:
    """The counts of a rule that rounds once, cell by cell in fractions."""
    exact = [Fraction(cell * multiplier) * Fraction(2) ** (shift - 31) for cell in sums]
    rounded = [(2 * value + 1).__floor__() // 2 + zero_point for value in exact]  # halves up
    widths = [cell.bit_length() if cell >= 0 else (~cell).bit_length() for cell in sums]
    return {
        "saturated_low": sum(value < low for value in rounded),
        "saturated_high": sum(value > high for value in rounded),
        "ties": sum(2 * value % 2 == 1 for value in exact),
        "bits": 1 + max(widths),
    }


def test_what_rounding_and_narrowing_did_is_counted() -> None:
    words = ("quant=tflite_single", "quant.multiplier=1610612736", "quant.shift=-3", "quant.output.zero_point=9")
    run = cp.run(*SMALL, *words, keep="stages")
    expected = plain_counts(run["add_bias"].ravel().tolist(), 1610612736, -3, 9, -128, 127)
    assert run.manifest["counts"] == {"requantize": expected}
    assert all(expected.values())
    row = cp.runs("runs/q").iloc[0]
    assert {name: row[name] for name in expected} == expected


def test_a_run_without_quant_has_no_counts() -> None:
    cp.run(*SMALL, *TFLITE)
    plain = cp.run(*SMALL)
    assert "counts" not in plain.manifest
    table = cp.runs("runs/q").set_index("run")
    assert table.loc[plain.manifest["run_id"], ["saturated_low", "saturated_high", "ties", "bits"]].isna().all()
    assert pd.read_csv("runs/q/results.csv")["ties"].isna().sum() == 1


def test_forged_counts_are_found() -> None:
    run = cp.run(*SMALL, *TFLITE)
    edit_manifest(run.folder, counts={"requantize": {"saturated_low": -1}})
    with pytest.raises(ArchiveError, match=r"got counts\.requantize\.saturated_low -1, expected a whole number from 0"):
        verify(run.folder)


def test_a_table_that_counts_otherwise_than_its_run_is_damaged() -> None:
    run = cp.run(*SMALL, *TFLITE)
    table = Path("runs/q/results.csv")
    frame = pd.read_csv(table, dtype=str)
    assert convpipe("verify", "runs").code == 0
    frame["ties"] = str(int(frame["ties"][0]) + 1)
    table.write_text(frame.to_csv(index=False))
    answer = convpipe("verify", "runs")
    assert answer.code == 3
    assert "ties" in answer.err
    assert run.manifest["run_id"] in answer.err


def test_what_is_counted_stands_below_the_table() -> None:
    answer = convpipe(*SMALL, *TFLITE)
    counts = json.loads((next(Path("runs/q").glob("*/manifest.json"))).read_text())["counts"]["requantize"]
    low, high = counts["saturated_low"], counts["saturated_high"]
    line = f"saturated: {low} at the low end, {high} at the high end; ties: {counts['ties']}; the sums need"
    assert f"{line} {counts['bits']} bits\n" in answer.out


# Sweeps


def test_targets_are_swept_with_what_only_they_have() -> None:
    words = ("quant.multiplier=1073741824", "quant.shift=-3,-4", "quant.output.zero_point=2")
    answer = convpipe("-m", *SMALL, "quant=tflite,tflite_ruy,tflite_single", *words)
    assert (answer.code, answer.out.splitlines()[-1]) == (0, "6 done, 0 there before, 0 failed: runs/q")
    table = cp.runs("runs/q")
    assert sorted(set(table["quant.rule"])) == ["double", "double_up", "single"]
    assert set(table["quant.shift"]) == {-3, -4}
    again = convpipe("-m", *SMALL, "quant=tflite,tflite_ruy,tflite_single", *words)
    assert again.out.splitlines()[-1] == "0 done, 6 there before, 0 failed: runs/q"


def test_the_quantised_layers_of_resnet50_fit_their_accumulators() -> None:
    table = cp.sweep("experiment=resnet50_quant")
    assert len(table) == 23
    assert set(table["status"]) == {"done"}
    assert table["bits"].between(16, 32).all()
    assert set(table["output_shape"]) > {"(1,112,112,64)", "(1,7,7,2048)"}


# Arrays in hand


def test_stages_of_arrays_in_hand_are_those_of_a_run() -> None:
    words = (*SMALL, *TFLITE, "quant.input.zero_point=-5", "quant.filters.zero_point=2", "conv.pad=1")
    run = cp.run(*words, keep="stages")
    made = cp.stages_quantized(
        run["input"],
        run["filters"],
        run["bias"],
        rule="double",
        multiplier=1 << 30,
        shift=-4,
        input_zero_point=-5,
        filter_zero_point=2,
        accumulator={"overflow": "wrap"},
        pad=1,
    )
    names = [row["stage"] for row in run.rows if row["stage"] not in ("input", "filters", "bias")]
    assert [*made] == names
    for name, array in made.items():
        assert array.dtype == run[name].dtype
        assert (array == run[name]).all()


def test_an_argument_that_there_is_not_is_named() -> None:
    with pytest.raises(
        ValueError, match=r"^strid: got 2, expected one of x, w, bias, rule, .* \(did you mean stride\?\)"
    ):
        cp.stages_quantized(np.zeros((1, 1, 2, 2), np.int8), np.zeros((1, 1, 1, 1), np.int8), strid=2)


def test_a_convolution_of_sums_names_the_one_that_goes_on() -> None:
    for function in (cp.conv, cp.stages):
        with pytest.raises(ValueError, match=r"^lowering: got quantized, expected one that makes sums; conv_quantized"):
            function(np.zeros((1, 1, 2, 2), np.int8), np.zeros((1, 1, 1, 1), np.int8), lowering="quantized")
