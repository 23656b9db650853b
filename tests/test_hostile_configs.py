"""What a stranger's configs, lists of points and words may cost: each is refused in a line, before it is read whole."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import convpipe, refused
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings, strategies as st
from limited import limited
from run_cases import a_run, a_spec

import convpipe as cp
from convpipe.archive.limits import most_bytes
from convpipe.archive.read import load
from convpipe.config.app import make_hydra
from convpipe.config.plain_words import plain_override
from convpipe.errors import ArchiveError, ConfigError
from convpipe.execution import runner
from convpipe.files.limits import MOST_ARCHIVED_VALUES, MOST_CONFIG_BYTES, MOST_POINTS, MOST_POINTS_BYTES, MOST_VALUES
from convpipe.files.regular import regular_bytes
from convpipe.files.yaml import read_yaml
from convpipe.graph.plan import readable
from convpipe.sweeps.listed import listed_points
from convpipe.sweeps.space import points_axis

MEMORY = 1 << 30
GOLDEN = Path(__file__).parent / "golden" / "v1" / "lecture_3d" / "75a40c9ecb2a"


def layers(count: int, entry: str = "op: relu") -> str:
    """A network of that many layers."""
    return "network:\n" + "".join(
        f" l{number}: {{{entry.replace('NEXT', f'l{number + 1}')}}}\n" for number in range(count)
    )


def bomb(levels: int = 8) -> str:
    """The alias bomb: each list ten times the one before it."""
    tens = ",".join(["1"] * 10)
    lists = (f"l{each}: &l{each} [{','.join([f'*l{each - 1}'] * 10)}]\n" for each in range(1, levels))
    return f"l0: &l0 [{tens}]\n" + "".join(lists)


MANY = rf"more than {MOST_VALUES} names and values \(numbers go into a \.npy file"
GROWN = r"expected at most 1048576 characters and values, and 10000 references followed"
TEXTS: dict[str, tuple[str | bytes, str]] = {
    "a bomb of aliases": (bomb(), r"not readable: (aliases are not for plain values|more than 20000 names)"),
    "an alias of itself": ("a: &a [*a]", r"not readable: aliases are not for"),
    "nested lists": (f"a: {'[' * 5000}{']' * 5000}", r"more than 50 levels|exceeded maximum nesting depth"),
    "nested groups": ("{a: " * 5000 + "}" * 5000, r"more than 50 levels|exceeded maximum nesting depth"),
    "many numbers": (f"input: {{values: [{'1,' * 400_000}]}}", MANY),
    "many empty entries": ("- \n" * 300_000, MANY),
    "many layers": (layers(40_000), MANY),
    "many keys": ("".join(f"k{each}: 1\n" for each in range(80_000)), MANY),
    "a long line": (b"#" + b"x" * MOST_CONFIG_BYTES, r"got 1048577 bytes, expected at most 1048576"),
    "a number of many digits": (f"seed: {'9' * 5000}", r"a number of 5000 digits, expected at most 400"),
    "a number in hexadecimal": (f"seed: 0x{'f' * 500_000}", r"a number of 500002 digits, expected at most 400"),
    "a number of sixties": (f"seed: 1{':1' * 300_000}", r"a number of 600001 digits, expected at most 400"),
    "a number by its tag": (f"seed: !!int '{'9' * 5000}'", r"a number of 5000 digits, expected at most 400"),
    "an object": ('seed: !!python/object/apply:os.getcwd []', r"could not determine a constructor"),
    "a zero": ("seed: 1\0", r"not readable: .*(control characters|#x0|unacceptable)|expected UTF-8"),
    "garbage": (bytes(range(256)) * 10, r"expected UTF-8|not readable"),
    "texts that double": (
        "note: '${label}${label}'\nlabel: '${where}${where}'\nwhere: '${data}${data}'\ndata: '" + "x" * 200_000 + "'",
        GROWN,
    ),
    "texts that double in a network": (layers(60, "op: '${network.NEXT.op}${network.NEXT.op}'"), GROWN),
    "groups that double": (layers(60, "op: relu, a: '${network.NEXT}', b: '${network.NEXT}'"), GROWN),
    "lists that double": (layers(60, "op: relu, a: ['${network.NEXT.a}', '${network.NEXT.a}']"), GROWN),
    "groups that double by relative references": (layers(60, "op: relu, a: '${..NEXT}', b: '${..NEXT}'"), GROWN),
    "a circle": ("note: ${label}\nlabel: ${note}", r"(note|label): got .*(recursion|Recursive|itself|worked out)"),
    "a group of itself": ("network: {a: '${network}'}", r"config: expected fewer lists or groups|network.*: got"),
    "a long chain": (layers(3000, "op: '${network.NEXT.op}'"), r"network: .*expected fewer references that each lead"),
    "runs": ("limits: {runs: 1000000000000}", r"limits\.runs: got 1000000000000, expected a whole number from 1 to"),
    "workers": ("workers: 100000", r"workers: got 100000, expected a whole number from 1 to 4096"),
    "threads": ("threads: 1000000", r"threads: got 1000000, expected a whole number from 1 to 4096"),
    "repeats": ("timing: {repeats: 1000000000}", r"timing\.repeats: got 1000000000, expected a whole number from 1 to"),
    "a name": (f"name: {'n' * 500_000}", r"name: got n+\.\.\., expected a folder name"),
    "a name in a network": (f"network:\n  ? {'n' * 500_000}\n  : {{op: nope}}\n", r"network\.n+\.\.\.: got nope"),
    "a shape": ("input: {source: integers, shape: [1, 3, 1000000000, 1000000000]}", r"(limits\.memory|input\.shape): "),
    "a shape of many axes": (f"input: {{source: integers, shape: [{'1,' * 5000}]}}", r"input\.shape: .*4 axes"),
    "an exponent": ("conv: {pad_value: 1e999999999}", r"conv\.pad_value: got .*, expected a number"),
    "a circle of layers": (
        "input: {source: integers, shape: [1, 1, 8, 8]}\n"
        "network: {a: {op: add, inputs: [b, input]}, b: {op: add, inputs: [a, input]}}",
        r"network\.a\.inputs.*: got b, expected",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "line"), TEXTS.values(), ids=TEXTS)
def test_a_file_is_refused(text: str | bytes, line: str, folder: Path) -> None:
    written = text if isinstance(text, bytes) else text.encode()
    (folder / "my.yaml").write_bytes(written)
    told = refused(folder, "my.yaml")
    assert re.search(line, told), told
    assert len(told) < 4000


CHOSEN = (
    "a bomb of aliases",
    "nested lists",
    "many numbers",
    "a number in hexadecimal",
    "groups that double",
    "garbage",
)


@pytest.mark.parametrize("name", CHOSEN)
def test_so_it_is_in_a_folder_of_choices(name: str, folder: Path) -> None:
    text, line = TEXTS[name]
    (folder / "own" / "experiment").mkdir(parents=True)
    written = text if isinstance(text, bytes) else text.encode()
    (folder / "own" / "experiment" / "mine.yaml").write_bytes(written)
    told = refused(folder, "--config-dir", "own", "experiment=mine")
    assert re.search(line, told), told
    if "references" not in line:
        assert told.startswith(f"{folder / 'own'}/experiment/mine.yaml: ")


def test_several_files_have_no_more_values_than_one(folder: Path) -> None:
    for group in ("input", "filters"):
        (folder / "own" / group).mkdir(parents=True)
        numbers = "1," * (MOST_VALUES // 2)
        (folder / "own" / group / "mine.yaml").write_text(f"source: lecture\nvalues: [[[[{numbers}]]]]\n")
    told = refused(folder, "--config-dir", "own", "input=mine", "filters=mine")
    assert re.search(r"own/\w+/mine\.yaml: not readable: more than \d+ names and values", told)
    assert re.search(r"^(filters|conv)", refused(folder, "--config-dir", "own", "input=mine", "conv.dilation=99"))


def test_aliases_of_a_folder_of_choices_count_as_what_they_stand_for(folder: Path) -> None:
    (folder / "own" / "experiment").mkdir(parents=True)
    text = "conv: &one {stride: 2}\nsweep: {zip: null}\nlimits: &two {runs: 5}\ntiming: {<<: {repeats: 2}}\n"
    (folder / "own" / "experiment" / "mine.yaml").write_text(f"{text}name: merged\n")
    assert convpipe("--config-dir", "own", "experiment=mine").code == 0
    assert (folder / "runs" / "merged").is_dir()


# Lists of points


POINTS: dict[str, tuple[str, str | bytes, str]] = {
    "many columns": ("csv", f"{','.join(f'a{each}' for each in range(10**6))}\n", r"got 1000000 columns"),
    "many rows": ("csv", "seed\n" + "1\n" * (MOST_POINTS + 1), rf"got {MOST_POINTS + 1} points, expected at most"),
    "many cells": ("csv", ",".join(f"a{each}" for each in range(1000)) + "\n" + "1\n" * 1001, r"got 1001000 cells"),
    "many bytes": ("csv", b"x" * (MOST_POINTS_BYTES + 1), r"got \d+ bytes, expected at most 16777216"),
    "a long cell": ("csv", f"seed\n{'1' * 200_000}\n", r"field larger than field limit|expected"),
    "many values": ("yaml", "- \n" * 200_000, r"more than 100000 names and values"),
    "a bomb": ("yaml", bomb(), r"aliases are not for plain values"),
    "nested JSON": ("json", "[" * 100_000, r"more than 50 levels|exceeded maximum nesting depth"),
    "a number": ("json", f'[{{"seed": {"9" * 5000}}}]', r"a number of 5000 digits"),
    "a key twice": ("json", '[{"seed": 1, "seed": 2}]', r"got seed again, expected a key once"),
    "binary": ("csv", bytes(range(256)), r"codec can't decode"),
    "UTF-16": ("csv", "seed\n1\n".encode("utf-16"), r"codec can't decode"),
}  # fmt: skip


@pytest.mark.parametrize(("ending", "content", "line"), POINTS.values(), ids=POINTS)
def test_a_list_of_points_is_refused(ending: str, content: str | bytes, line: str, folder: Path) -> None:
    (folder / f"points.{ending}").write_bytes(content if isinstance(content, bytes) else content.encode())
    told = refused(folder, "-m", f"sweep.points=points.{ending}")
    assert re.search(line, told), told
    assert told.startswith("sweep.points")


def test_a_list_of_points_of_thousands_of_rows_is_one(folder: Path) -> None:
    header, hydra = "seed,label,conv.pad,input.shape", make_hydra()
    rows = [f'{each},row {each},{each % 3},"[1,3,{8 + each % 9},8]"' for each in range(20_000)]
    (folder / "points.csv").write_text("\n".join([header, *rows]))
    found = points_axis(hydra, "points.csv")
    assert len(found) == 20_000
    last = {setting.key: setting.value for setting in found.at(19_999)}
    assert last == {"seed": 19_999, "label": "row 19999", "conv.pad": 1, "input.shape": [1, 3, 8 + 19_999 % 9, 8]}


def test_json_says_what_yaml_says(folder: Path) -> None:
    text = '[{"seed": 1, "conv": {"pad": [1, 2]}, "note": "é \\u00e9", "conv.pad_value": 0.5}, {"seed": null}]'
    (folder / "points.json").write_text(text)
    (folder / "points.yaml").write_text(text)
    assert listed_points(Path("points.json")) == listed_points(Path("points.yaml"))


# Files that are none


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("kind", ["a pipe", "a device", "a folder"])
@pytest.mark.parametrize("place", ["my.yaml", "points.csv", "points.json", "own/experiment/mine.yaml"])
def test_what_is_no_file_is_not_waited_for(kind: str, place: str, folder: Path) -> None:
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    make = {"a pipe": os.mkfifo, "a device": lambda path: path.symlink_to("/dev/zero"), "a folder": Path.mkdir}
    make[kind](path)
    words = ["--config-dir", "own", "experiment=mine"] if "own" in place else [place]
    told = refused(folder, *(["-m", f"sweep.points={place}"] if "points" in place else words))
    assert re.search(r"regular file|folder|Is a directory|experiment: got mine, expected one of", told), told


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert regular_bytes(tmp_path / "x", 3) == b"abc"
    with pytest.raises(ValueError, match="got 3 bytes, expected at most 2"):
        regular_bytes(tmp_path / "x", 2)


# Words


WORDS = {
    "many numbers": (f"input.values=[{'1,' * 30_000}1]", r"input\.values: got .*at most 20000 numbers in a word"),
    "many values": (f"seed={'1,' * 300_000}1", r"seed: got .*, expected at most 250000 numbers in a word"),
    "many brackets": (f"conv.pad={'[1],' * 5000}1", r"conv\.pad: got .*, expected at most 10000 commas|250000"),
    "many texts": (f"pictures=[{'a,' * 4000}a]", r"pictures: got .*at most 10000 commas.*3000 of them"),
    "many choices": (f"input.path={'a.b,' * 12_000}a", r"input\.path: got .*(at most 10000 commas|one value)"),
    "a long word": (f"conv.pad={'.' * 300_000}", r"conv\.pad: got \.+, expected at most 200000 characters in a word"),
    "brackets": (f"conv.pad={'[' * 3000}{']' * 3000}", r"expected at most 60 brackets within each other"),
    "digits": (f"seed={'9' * 5000}", r"seed: got 9+\.\.\., expected key=value in Hydra's grammar \(.*digits"),
    "more digits than a size has": (f"conv.stride=1{'0' * 400}", r"conv\.stride: got 1.*expected a whole number"),
    "a range": ("seed=range(0,10000000000000)", r"limits\.runs|seed: got range"),
    "blanks": (f"conv.pad=1{' ' * 100_000}=x", r"conv\.pad: got 1 =x, expected"),
    "blanks in brackets": (f"conv.pad=[1{' ' * 100_000}x", r"conv\.pad: got \[1 x, expected"),
    "backslashes": ("note=" + "\\" * 100_001 + "x", r"note: got .*, expected at most 10000 commas"),
    "a long text": (f"note={'x' * 100_000}", r"note: got x+\.\.\., expected a text of at most 1000 characters"),
    "a long key": (f"{'k' * 100_000}=1", r"k+\.\.\.: got 1, expected a key of at most 255 characters"),
    "no setting": ("k" * 100_000, r"k{10}.*no such command"),
    "a long hint": (f"pictures={'a' * 50_000}", r"pictures: got a+\.\.\., .*, or a list of stages$"),
}  # fmt: skip


@pytest.mark.parametrize(("word", "line"), WORDS.values(), ids=WORDS)
def test_a_word_is_refused(word: str, line: str, folder: Path) -> None:
    told = refused(folder, *([] if word.startswith("kk") and "=" not in word else ["-m"] * ("range" in word)), word)
    assert re.search(line, told), told[:300]
    assert len(told) < 5000 or "no such command" in told


NUMBERS = st.integers(-(10**17), 10**17) | st.floats(allow_nan=False, allow_infinity=False)
LISTS = st.recursive(st.lists(NUMBERS), lambda inner: st.lists(inner, min_size=1), max_leaves=20)


@settings(max_examples=20)
@given(st.lists(LISTS, min_size=1).filter(lambda found: len(str(found)) > 200))
def test_a_list_of_numbers_is_read_as_the_grammar_reads_it(values: list[Any]) -> None:
    text = f"input.values={values}"
    found = plain_override(*text.split("=", 1))
    assert found is None or found == OverridesParser.create().parse_override(text)
    assert found is not None or re.search(r"[0-9.e+-]{40}", text)


@given(
    st.from_regex(
        r"[a-c_.]{1,5}=('[A-Za-z0-9 .,:/()-]{0,6}'|[a-z_]{1,5}|-?[0-9]{1,4}|true|null|nan|inf)", fullmatch=True
    )
)
def test_a_short_word_is_read_as_the_grammar_reads_it(text: str) -> None:
    found = plain_override(*text.split("=", 1))
    if found is not None:
        assert found == OverridesParser.create().parse_override(text)
        assert type(found.value()) is type(OverridesParser.create().parse_override(text).value())


@settings(max_examples=10)
@given(st.lists(st.integers(-100, 10**6), min_size=80, max_size=120))
def test_several_numbers_are_read_as_the_grammar_reads_them(values: list[int]) -> None:
    text = f"seed={','.join(map(str, values))}"
    found = plain_override(*text.split("=", 1))
    assert len(text) <= 205 or found == OverridesParser.create().parse_override(text)


@pytest.mark.parametrize("value", ["[01,1]", "[1_000,2]", "[1,]", "[,1]", "[1 2]", "[1.]", "[+1]", "[.5]", "[--1]"])
def test_what_json_reads_otherwise_is_left_to_the_grammar(value: str) -> None:
    assert plain_override("conv.pad", f"{value[:-1]}{' ' * 300}]") is None


def test_an_image_written_out_is_legitimate(folder: Path) -> None:
    pixels = np.arange(10_000).reshape(1, 1, 100, 100) % 7
    (folder / "my.yaml").write_text(f"input: {pixels.tolist()}\nfilters: [[[[1]]]]\n")
    assert np.array_equal(cp.run("my.yaml", archive=False, pictures="none").output.reshape(100, 100), pixels[0, 0])


# What is written, and read again


def test_a_config_that_could_not_be_read_again_is_not_run() -> None:
    values = [[[list(range(10**17, 10**17 + 60_000))]]]
    spec = a_spec({"input": {"source": "lecture", "values": values, "dtype": "int64"}, "filters.dtype": "int64"})
    match = r"^input: got a config of \d+ bytes, expected at most 1048576 in all \(write .* \.npy file: input=npy"
    with pytest.raises(ConfigError, match=match):
        runner.prepare(spec, MEMORY)


def test_a_config_of_more_is_not_read(tmp_path: Path) -> None:
    run = a_run(tmp_path / "runs").folder
    padding = "#" * (MOST_CONFIG_BYTES + 1)
    with open(run / "config.yaml", "a") as file:
        file.write(padding)
    with pytest.raises(ArchiveError, match=r"config\.yaml: got \d+ bytes, expected at most 1048576$"):
        load(run)


def test_a_config_of_format_1_keeps_its_limit(tmp_path: Path) -> None:
    run = Path(shutil.copytree(GOLDEN, tmp_path / GOLDEN.name))
    with open(run / "config.yaml", "a") as file:
        file.write("#" * (MOST_CONFIG_BYTES + 1))
    assert load(run).manifest["format"] == 1
    os.truncate(run / "config.yaml", most_bytes("config.yaml") + 1)
    with pytest.raises(ArchiveError, match=r"config\.yaml: got \d+ bytes, expected at most 67108864"):
        load(run)


def test_a_config_of_format_1_is_reproduced_however_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Path(shutil.copytree(GOLDEN, tmp_path / GOLDEN.name))
    for module in ("archive.identity", "execution.runner"):
        monkeypatch.setattr(f"convpipe.{module}.MOST_CONFIG_BYTES", 100, raising=False)
    assert cp.reproduce(run).verdict.startswith("reproduced")
    with pytest.raises(ConfigError, match="expected at most 100 in all"):
        cp.run("experiment=lecture_3d", archive=False)


@pytest.mark.parametrize("text", [b"- \n" * 340_000, b"[" + b"1," * 500_000 + b"]"])
def test_the_values_of_an_archive_s_config_are_counted(text: bytes) -> None:
    assert len(text) <= MOST_CONFIG_BYTES
    with pytest.raises(ValueError, match=f"more than {MOST_ARCHIVED_VALUES} names and values"):
        read_yaml(text)


def test_bytes_that_no_machine_has_are_told() -> None:
    assert readable(1023 * 2**60) == "1,023.0 EiB"
    assert readable(2**5000) == "2**5000 B"


# In a process that may take little


def test_a_bomb_ends_within_limits(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text(bomb(9))
    assert len((tmp_path / "my.yaml").read_bytes()) < 600
    answer = limited(["my.yaml"], tmp_path)
    assert (answer.returncode, answer.stdout, answer.stderr.count("\n")) == (2, "", 1)
    assert "aliases are not for plain values" in answer.stderr


def test_points_of_a_million_columns_end_within_limits(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text(
        ",".join(f"a{each}" for each in range(10**6)) + "\n" + "1," * (10**6 - 1) + "1\n"
    )
    answer = limited(["-m", "sweep.points=points.csv"], tmp_path)
    assert (answer.returncode, answer.stdout, answer.stderr.count("\n")) == (2, "", 1)
    assert "got 1000000 columns, expected at most 1000" in answer.stderr


def test_numbers_of_a_file_end_within_limits(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("input: {values: [" + "1," * 500_000 + "]}")
    answer = limited(["-m", "my.yaml"], tmp_path)
    assert (answer.returncode, answer.stdout, answer.stderr.count("\n")) == (2, "", 1)
    assert "more than 20000 names and values" in answer.stderr
