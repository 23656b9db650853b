"""What each entry of a manifest may be: all who read one hold it against the same declaration."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from run_cases import a_run, edit_manifest, edit_rows, reseal

import convpipe as cp
from convpipe.archive.collection import refresh, whole_rows
from convpipe.archive.entries import FORMATS, check_entry, check_manifest
from convpipe.archive.format import FORMAT, MOST_THREADS
from convpipe.archive.glance import glance, manifest_text
from convpipe.archive.index import INDEX
from convpipe.archive.read import load
from convpipe.archive.table import run_row, taps_of
from convpipe.archive.timings import recorded_repeats
from convpipe.errors import ArchiveError

HEX = "a" * 64
# An entry as JSON, and what is said of it.
WRONG = [
    ('"seconds": {"pad": [1e999]}', r"got seconds\.pad \[inf\], expected a list of finite numbers"),
    (f'"seconds": {{"pad": [1{"0" * 400}]}}', r"got seconds\.pad \[1000.*, expected a list of finite numbers"),
    ('"seconds": {"pad": []}', r"got seconds\.pad \[\], expected a list of finite numbers"),
    ('"seconds": [1]', r"got seconds \[1\], expected a dict"),
    ('"axes": {"pad": "NCHW"}', r"got axes\.pad NCHW, expected a list of texts"),
    ('"axes": {"pad": [["N"]]}', r"got axes\.pad .*, expected a list of texts"),
    ('"wiring": {"pad": [1]}', r"got wiring\.pad \[1\], expected a list of texts"),
    ('"evaluation": 5', r"got evaluation 5, expected a dict"),
    ('"evaluation": {"images": 1}', r"got evaluation\.correct nothing, expected a whole number from 0"),
    ('"evaluation": {"images": 1e3, "correct": 1}', r"got evaluation\.images 1000\.0, expected a whole number"),
    (
        '"provenance": {"threads": "abc"}',
        rf"got provenance\.threads abc, expected a whole number from 1 to {MOST_THREADS}",
    ),
    (f'"provenance": {{"threads": 1{"0" * 30}}}', r"got provenance\.threads 10+, expected a whole number from 1 to"),
    ('"provenance": {"threads": true}', r"got provenance\.threads True, expected a whole number"),
    ('"provenance": {"cpu": {"a": 1}}', r"got provenance\.cpu \{'a': 1\}, expected a text or a number"),
    ('"provenance": {"cpu": 1e999}', r"got provenance\.cpu inf, expected a text or a number"),
    ('"nonfinite": "many"', r"got nonfinite many, expected a whole number from 0"),
    ('"slice": -1', r"got slice -1, expected a whole number from 0"),
    ('"note": ["a"]', r"got note \['a'\], expected a text"),
    ('"folder": null', r"got folder nothing, expected a text"),
    ('"paths": {"input": 5}', r"got paths\.input 5, expected a text"),
    ('"given": {"w": {}}', r"got given\.w \{\}, expected a text"),
    ('"names": {"feature_map": ["a\\nb"]}', r"got names\.feature_map .*, expected a list of names"),
    ('"pictures": {"../x.png": "a"}', r"got pictures of \.\./x\.png, expected a name of a file"),
    ('"pictures": {"maps.png": "a"}', r"got pictures\.maps\.png a, expected a SHA-256"),
    ('"sizes": {"../x": 1}', r"got sizes of \.\./x, expected a name of a file"),
    ('"sizes": {"output.npy": -1}', r"got sizes\.output\.npy -1, expected a number of bytes"),
    ('"input_bytes": {"input": 1.5}', r"got input_bytes\.input 1\.5, expected a number of bytes"),
    ('"agrees": "all"', r"got agrees all, expected a list of texts"),
    ('"drawn": {"pad": 1}', r"got drawn \{'pad': 1\}, expected a list of texts"),
    ('"operations": ["a"]', r"got operations \['a'\], expected a dict"),
    ('"keep": "everything"', r"got keep everything, expected one of output, layers"),
    ('"keep": []', r"got keep \[\], expected one of output, layers"),
    ('"status": "damaged"', r"got status damaged, expected done"),
    ('"run_id": "../../../x"', r"got run_id \.\./\.\./\.\./x, expected 12 hex digits"),
    ('"archive_id": "A"', r"got archive_id A, expected a SHA-256"),
    ('"code": 5', r"got code 5, expected a SHA-256"),
    ('"started": "=now()"', r"got started =now\(\), expected a date and time"),
    ('"lowering": 1', r"got lowering 1, expected a text"),
    ('"sha256": null', r"got sha256 nothing, expected a SHA-256"),
    ('"format": "2"', r"got format 2, expected one of 1, 2"),
    ('"format": true', r"got format True, expected one of 1, 2"),
    ('"format": 3', r"got format 3, expected one of 1, 2"),
    (f'"other": {"[" * 300}{"]" * 300}', r"got more than 8 levels, expected a manifest"),
    (f'"other": {"[" * 10**5}{"]" * 10**5}', r"not readable: maximum recursion depth"),
    ('"other": 1e999', r"got the number inf, expected finite ones"),
    ('"other": {"a": 1, "a": 2}', r"not readable: got the key a twice"),
    ('"other": NaN', r"not readable: NaN is no JSON"),
    (f'"other": {"9" * 5000}', r"not readable: Exceeds the limit"),
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return a_run(tmp_path / "runs").folder


def with_entry(run: Path, entry: str) -> None:
    """A manifest with an entry as JSON, in place of the one of that key."""
    path = run / "manifest.json"
    key = json.loads(f"[{entry.partition(':')[0]}]")[0]
    record = json.loads(path.read_text())
    record.pop(key, None)
    path.write_text(f"{{{entry}, {json.dumps(record)[1:]}")


@pytest.mark.parametrize(("entry", "match"), WRONG)
def test_an_entry_that_no_manifest_has_is_told(run: Path, entry: str, match: str) -> None:
    with_entry(run, entry)
    for read in (load, cp.load, cp.verify):
        with pytest.raises(ArchiveError, match=rf"manifest\.json: {match}"):
            read(run)
    assert run_row(run) == {"run": run.name, "status": "damaged", "started": ""}


@pytest.mark.parametrize(
    "entry",
    [entry for entry, match in WRONG if not match.startswith(("not readable", "got more", "got the", "got format"))],
)
def test_a_glance_holds_an_entry_against_the_same(run: Path, entry: str) -> None:
    path = run / "manifest.json"
    key, _, text = entry.partition(": ")
    content = path.read_text()
    line = re.compile(rf"^ {key}: .*?(,?)$", re.MULTILINE)
    spoilt = line.sub(lambda found: f" {key}: {text}{found[1]}", content)
    path.write_text(spoilt if line.search(content) else content.replace("\n}", f",\n {key}: {text}\n}}"))
    looked_up = glance(str(run), manifest_text(str(run)))
    with pytest.raises(ArchiveError, match=r"manifest\.json: got "):
        looked_up(json.loads(key))


def test_what_is_missing_is_told(run: Path) -> None:
    record = json.loads((run / "manifest.json").read_text())
    for form in FORMATS:
        for key in FORMATS[form].needed:
            with pytest.raises(ArchiveError, match=rf"x: got {key} nothing, expected"):
                check_manifest("x", {name: value for name, value in {**record, "format": form}.items() if name != key})
    check_manifest("x", record)
    check_manifest("x", {**record, "other": [1, {"a": None}]})
    check_entry("x", FORMAT, "other", object())  # which nobody reads


def test_times_that_cannot_be_are_none(run: Path) -> None:
    assert recorded_repeats(str(run))[:2] == (1, 1)
    path = run / "manifest.json"
    path.write_text(re.sub(r'"seconds": .*', '"seconds": {"pad": "abc"},', path.read_text()))
    assert recorded_repeats(str(run))[:2] == (None, 1)


# What is made of it


def test_a_product_of_no_cells_has_no_taps() -> None:
    assert taps_of([{"macs": "5", "shape": "(0,3)"}]) == ""
    assert taps_of([{"macs": "5", "shape": "()"}]) == "5"


def test_stages_of_no_cells_are_a_row(run: Path) -> None:
    edit_rows(run, lambda row: row.update(shape="(0)") if row["op"] == "matmul" else None)
    reseal(run)
    refresh(run.parent)
    assert [row["k"] for row in whole_rows(run.parent)] == [""]


@pytest.mark.parametrize("seconds", ["soon", "1e5", "[1]", "\x1b[2J", "1" * 1000])
def test_a_line_of_a_time_that_is_none_is_passed_over(run: Path, seconds: str) -> None:
    refresh(run.parent)
    index = run.parent / INDEX
    row = json.loads(index.read_text())
    index.write_text(json.dumps({**row, "seconds": seconds}) + "\n")
    assert whole_rows(run.parent) == [row]
    edit_manifest(run, note="new")
    assert whole_rows(run.parent) == [{**row, "note": "new"}]


@pytest.mark.parametrize("value", ["2026-01-01", ".nan", ".inf", "!!binary aGk=", "!!set {a}", "{1: 2}", "[{1: 2}]"])
def test_a_config_has_plain_values(run: Path, value: str) -> None:
    (run / "config.yaml").write_text(f"{(run / 'config.yaml').read_text()}other: {value}\n")
    with pytest.raises(ArchiveError, match=r"config\.yaml: (expected plain values|not readable)"):
        load(run)


def test_a_config_is_no_larger_than_one_that_is_written(run: Path) -> None:
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text + f"#{'x' * 1000}\n" * 1100)
    reseal(run)
    with pytest.raises(ArchiveError, match=r"config\.yaml: got 11\d{5} bytes, expected at most 1048576"):
        cp.load(run)
    edit_manifest(run, format=1)  # which had no such limit
    assert cp.load(run).config["seed"] == 3
