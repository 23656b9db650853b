"""What people who had not seen convpipe before typed by habit: it is taken, or the line that comes says what to type,
and that is typed here, too.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from cli_runs import CHECKOUT, convpipe, job, only_run, refused

import convpipe as cp
from convpipe.config.own import name_of
from convpipe.errors import ConfigError, UsageError, nearest

ADVICE = re.compile(r"(?:\(did you mean|\(write|; write|\(no blanks around '=':|is|about:) (.+?)\??\)?\Z")
CELL = ("--at", "0,0,0,0")


def advised(line: str) -> list[str]:
    """The words that a line says to type, as a shell splits them."""
    found = ADVICE.search(line)
    assert found, line
    return [word for word in shlex.split(found[1]) if word != "convpipe"]


# Settings in another form


FORMS = {
    "seed: 3": ["seed=3"],
    "seed:3": ["seed=3"],
    "seed:  3": ["seed=3"],
    "conv.stride 2": ["conv.stride=2"],
    "conv.stride:2": ["conv.stride=2"],
    "conv.stride\uff1d2": ["conv.stride=2"],
    "stride 2": ["conv.stride=2"],
    "Stride 2": ["conv.stride=2"],
    "conv stride=2": ["conv.stride=2"],
    "run lecture_4d": ["experiment=lecture_4d"],
    "experiment lecture_4d": ["experiment=lecture_4d"],
    "show LECTURE_4D": ["experiment=lecture_4d"],
    "LECTURE_4D": ["experiment=lecture_4d"],
    "lecture_4d conv.stride=2": ["experiment=lecture_4d"],
    "SOBEL_X": ["filters=sobel_x"],
    "-n": ["dry_run=true"],
    "-j 2": ["workers=2"],
    "-s 3": ["seed=3"],
    "-o out": ["root=out"],
    "--output=out": ["root=out"],
    "--force": ["replace=true"],
    "--dry-run": ["dry_run=true"],
    "--conv-stride 2": ["conv.stride=2"],
    "--Seed 3": ["seed=3"],
    "--random-seed 3": ["seed=3"],
    "/?": ["--help"],
    "?": ["--help"],
}


@pytest.mark.parametrize("typed", FORMS)
def test_a_setting_in_another_form_is_told_as_it_works(typed: str, folder: Path) -> None:
    words = advised(refused(folder, *typed.split()))
    assert words == FORMS[typed]
    assert convpipe(*words, *([] if words == ["--help"] else ["dry_run=true"])).code == 0


@pytest.mark.parametrize(
    "typed", ["conv.stride = 2", "conv.stride =2", "conv.stride= 2", "conv.stride 2", "conv.stride: 2", "stride 2"]
)
def test_so_is_one_in_the_middle_of_a_line(typed: str, folder: Path) -> None:
    line = refused(folder, "seed=3", *typed.split(), "conv.pad=1")
    assert advised(line) == ["conv.stride=2"]
    with pytest.raises(ConfigError, match=r"conv\.stride=2"):
        cp.run("seed=3", *typed.split())


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("Conv.Stride", "conv.stride"),
        ("CONV.STRIDE", "conv.stride"),
        ("conv_stride", "conv.stride"),
        ("conv/stride", "conv.stride"),
        ("conv:stride", "conv.stride"),
        (",conv.stride", "conv.stride"),
        ("conv.strides", "conv.stride"),
        ("SEED", "seed"),
        ("/seed", "seed"),
        ("dryrun", "dry_run"),
        ("padding_mode", "conv.pad_mode"),
    ],
)
def test_a_key_in_another_spelling_is_told(key: str, meant: str, folder: Path) -> None:
    assert refused(folder, f"{key}=1").endswith(f"(did you mean {meant}?)")
    with pytest.raises(ConfigError, match=re.escape(f"did you mean {meant}?")):
        cp.run(f"{key}=1", archive=False)


@pytest.mark.parametrize(
    ("setting", "meant"),
    [
        ("conv.pad_mode=zeros", "constant"),
        ("conv.pad_mode=replicate", "edge"),
        ("conv.pad_mode=circular", "wrap"),
        ("conv.pad_mode=Reflect", "reflect"),
        ("conv.dtype=float", "float32"),
        ("conv.dtype=double", "float64"),
        ("conv.dtype=INT8", "int8"),
        ("experiment=LECTURE_4D", "lecture_4d"),
    ],
)
def test_a_value_of_other_packages_is_told(setting: str, meant: str, folder: Path) -> None:
    assert refused(folder, setting).endswith(f"(did you mean {meant}?)")


def test_capitals_are_no_mistake_by_themselves() -> None:
    assert nearest("STRIDE", ["pad", "stride", "strides"]) == "stride"
    assert nearest("Lecture_5d", ["tiny", "lecture_4d"]) == "lecture_4d"
    assert nearest("LECTURE_5D", ["tiny", "lecture_4d"]) == "lecture_4d"
    assert nearest("a", ["A", "a"]) == "A"


def test_verbs_before_a_file(folder: Path) -> None:
    (folder / "my file.yaml").write_text("seed: 3\n")
    for typed in (["run", "my file.yaml"], ["--config", "my file.yaml"], ["-f", "my file.yaml"], ["my file"]):
        words = advised(refused(folder, *typed))
        assert words == ["my file.yaml"]
    assert job(*words).spec.seed == 3
    assert refused(folder, ".").endswith("(did you mean convpipe runs .?)")
    (folder / "my.json").write_text("{}")
    assert refused(folder, "my.json").endswith("(an experiment file has a name that ends in .yaml)")
    assert refused(folder, "").startswith("'': no such command")


def test_a_picture_is_an_input(folder: Path) -> None:
    for typed in (["my photo.png"], ["--input", "my photo.png"], ["seed=1", "my photo.png"], ["run", "my photo.png"]):
        assert advised(refused(folder, *typed)) == ["input=image", "input.path=my photo.png"]


@pytest.mark.parametrize("flag", ["-v", "-d", "-N"])
def test_no_flag_of_one_letter_is_near_another(flag: str, folder: Path) -> None:
    assert "did you mean" not in refused(folder, flag)


# What a word processor makes of a line


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("conv.stride=\u20182\u2019", "conv.stride=2"),
        ("conv.stride=\u201d2\u201d", "conv.stride=2"),
        ("\u201dconv.stride=2\u201d", "conv.stride=2"),
        ("conv.pad=\u201csame\u201d", "conv.pad=same"),
        ("conv.stride=\uff12", "conv.stride=2"),
        ("conv.stride=\u200b2", "conv.stride=2"),
        ("conv.stride\u200b=2", "conv.stride=2"),
        ("\ufeffconv.stride=2", "conv.stride=2"),
        ("conv.stride=[2\uff0c1]", "conv.stride=[2,1]"),
        ("conv.pad_value=\u22121", "conv.pad_value=-1"),
        ("conv.pad_value=\u20131", "conv.pad_value=-1"),
    ],
)
def test_signs_that_only_look_so_are_read(typed: str, meant: str, folder: Path) -> None:
    assert job(typed).spec == job(meant).spec


def test_texts_keep_their_signs(folder: Path) -> None:
    assert job("note=\u2212\uff12\u200b").execution.note == "\u2212\uff12\u200b"
    assert "got 3\u00b2" in refused(folder, "conv.stride=3\u00b2")


def test_dashes_of_a_word_processor_are_hyphens(folder: Path) -> None:
    assert convpipe("\u2014version").out == convpipe("\u2013V").out == convpipe("--version").out
    assert advised(refused(folder, "\u2014seed=3")) == ["seed=3"]
    assert convpipe("\u2013m", "seed=1,2", "\u2014cfg").code == 2
    assert convpipe("\u2013m", "seed=1,2").code == 0
    assert convpipe("name=one").code == 0
    assert convpipe("explain", "one", "\u2014at", "0,0,0,0").out == convpipe("explain", "one", *CELL).out
    Path("\u2013x.yaml").write_text("seed: 3\n")
    assert job("\u2013x.yaml").spec.seed == 3
    assert convpipe("\u2013x.yaml", "dry_run=true").code == 0


def test_a_shell_has_split_at_typographic_quotes(folder: Path) -> None:
    assert advised(refused(folder, "\u2018name=a", "b\u2019")) == ["name=a b"]
    assert "quotes: 'note=\u201ca b\u201d'" in refused(folder, "note=\u201ca", "b\u201d")
    assert job("note=\u201ca b\u201d").execution.note == "a b"


@pytest.mark.parametrize(
    "typed",
    ["conv.stride=2 conv.pad=1", "conv.stride=2\u00a0conv.pad=1", "conv.stride=2, conv.pad=1", "conv.stride=2;pad=1"],
)
def test_two_settings_in_one_word(typed: str, folder: Path) -> None:
    line = refused(folder, typed)
    assert re.search(r"expected one setting in a word \(write conv\.stride=2 (conv\.)?pad=1\)\Z", line)
    with pytest.raises(ConfigError, match="one setting in a word"):
        cp.run(typed)
    assert job("note=a seed=3", "where=seed == 1").execution.note == "a seed=3"


# Files of any name


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("my file.yaml", "my_file"),
        ("a[1] (2).yaml", "a_1___2_"),
        ("lr=0.1.yaml", "lr_0.1"),
        ("a,b.yaml", "a_b"),
        ("a#50%.yaml", "a_50_"),
        ("\U0001f600.yaml", "_"),
        ("it's.yaml", "it_s"),
        (".yaml", "_yaml"),
        ("~t.yaml", "_t"),
        ("MY.YAML", "MY"),
        ("\ud569\uc131\uacf1 1.yml", "\ud569\uc131\uacf1_1"),
        (f"{'k' * 240}.yaml", "k" * 200),
    ],
)
def test_a_file_of_any_name_runs(name: str, called: str, folder: Path) -> None:
    Path(name).write_text("seed: 3\n")
    assert convpipe(name).code == 0
    assert only_run(folder / "runs").parent.name == called
    assert convpipe("-m", name, "seed=3").code == 0


def test_names_are_cut_between_letters() -> None:
    assert name_of("\uac00" * 100) == "\uac00" * 66
    assert name_of("\u0915\u0940") == "\u0915\u0940"  # a letter of Hindi and its vowel
    assert name_of("-x") == "_x"


def test_a_name_in_another_form_of_unicode_is_the_file(folder: Path) -> None:
    """macOS writes Korean names in pieces; they look the same."""
    Path(unicodedata.normalize("NFD", "\uc218\uc5c5.yaml")).write_text("seed: 3\n")
    assert job("\uc218\uc5c5.yaml").spec.seed == 3


def test_several_files_are_told_as_a_sweep(folder: Path) -> None:
    for name in ("a$b.yaml", "c d.yaml", "e,f.yaml"):
        Path(name).write_text("seed: 3\n")
    for typed in (["a$b.yaml", "c d.yaml"], ["a$b.yaml", "e,f.yaml"], ["c d.yaml,a$b.yaml"]):
        words = advised(refused(folder, *typed))
        assert words[0] == "-m"
        assert convpipe(*words).code == 0
    assert "a_b, " in convpipe("-m", "experiment=a$b.yaml,c d.yaml").out


def test_what_is_no_file(folder: Path) -> None:
    Path("d.yaml").mkdir()
    assert refused(folder, "d.yaml").startswith("d.yaml: no such file, but a folder; expected an experiment file")
    assert "~nobody_here is nobody's home" in refused(folder, "~nobody_here/x.yaml")
    Path("my file.yaml").write_text("seed: 3\n")
    words = advised(refused(folder, f"file://{folder}/my%20file.yaml"))
    assert words == [f"{folder}/my", "file.yaml"]
    assert advised(refused(folder, "my fil.yaml")) == ["my file.yaml"]


# What is in them


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"conv.stride=2\nconv.pad=1\n", r"expected keys and values, such as seed: 1 \(write conv\.stride: 2\)"),
        (b"seed:3\n", r"\(write seed: 3\)"),
        (b"- seed=3\n- conv.pad=1\n", r"\(write seed: 3\)"),
        (b"- 1\n", r"\(a file has groups of keys, no list\)"),
        (b"seed: 1\n---\nseed: 2\n", r"line 2: a second document \(one file is one experiment"),
        ("note: \uc218\uc5c5\n".encode("cp949"), r"expected UTF-8, which it is not at byte 6"),
        ("seed: 1\n".encode("utf-16-le"), r"expected UTF-8, which it is not at byte 1"),
        (b"conv: {stride:1}\n", r"\(a colon needs a blank behind it: stride: 1\)"),
        ("conv: {stride:\u00a01}\n".encode(), r"\(a colon needs a blank behind it: stride: 1\)"),
        ("conv:\n\u00a0\u00a0stride: 1\n".encode(), r"\(write stride with blanks of the keyboard"),
        (b"Seed: 1\n", r"\(did you mean seed\?\)"),
        (b"conv: {kernel: 3}\n", r"\(did you mean filters\.kernel\?\)"),
        (b"seed: [1, 2]\n", r"\(a sweep is -m seed=1,2 or -m seed=range\(1,3\)\)"),
        (b"seed: 1,2\n", r"\(a sweep is -m seed=1,2 or -m seed=range\(1,3\)\)"),
        (b"seed: 1-3\n", r"\(a sweep is -m seed=1,2,3 or -m seed=range\(1,4\)\)"),
        (b"input: &a [[1]]\nfilters: *a\n", r"what a \* refers to is to be written out"),
    ],
)
def test_a_file_that_is_not_quite_yaml(text: bytes, says: str, folder: Path) -> None:
    Path("my.yaml").write_bytes(text)
    assert re.search(says, refused(folder, "my.yaml"))
    with pytest.raises((ConfigError, UsageError), match=says):
        cp.run("my.yaml")


def test_utf_16_that_says_so_is_read(folder: Path) -> None:
    Path("my.yaml").write_bytes("seed: 3\n".encode("utf-16"))
    assert job("my.yaml").spec.seed == 3


# Runs


@pytest.fixture
def one(folder: Path) -> str:
    """A run in a collection `one`, by its path."""
    assert convpipe("name=one").code == 0
    return str(only_run(folder / "runs").relative_to(folder))


def test_the_start_of_an_id_in_its_collection(one: str, folder: Path) -> None:
    start = one[: len("runs/one/") + 4]
    for word in (start, start.removeprefix("runs/"), f"{one}/output.npy", f"{one}/manifest.json"):
        assert convpipe("explain", word, *CELL).out == convpipe("explain", one, *CELL).out
        assert cp.load(word).path == cp.load(one).path
    assert refused(folder, "explain", "one/zzzz", *CELL).startswith("explain: got one/zzzz, expected a folder")
    assert refused(folder, "verify", "ONE").endswith("(did you mean runs/one?)")


@pytest.mark.parametrize("cell", [["0", "0", "0", "0"], ["--at", "0", "0", "0", "0"], ["0,0,0,0"], ["at=0,0,0,0"]])
def test_a_cell_in_words_of_its_own(cell: list[str], one: str, folder: Path) -> None:
    words = advised(refused(folder, "explain", "one", *cell))
    assert convpipe("explain", *words).out == convpipe("explain", one, *CELL).out


def test_a_cell_in_brackets_and_one_below_0(one: str, folder: Path) -> None:
    for cell in ("(0,0,0,0)", "[0, 0, 0, 0]"):
        assert convpipe("explain", one, "--at", cell).out == convpipe("explain", one, *CELL).out
    assert convpipe("explain", one, "--at", "-1,0,0,0").err.startswith(
        "convpipe: --at: got -1,0,0,0, expected n from 0"
    )


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("runs one --json", "--format json"),
        ("runs one --reverse", "--sort -KEY"),
        ("runs one -o x.csv", "--output FILE"),
        ("runs one --colums seed", "--columns"),
        ("page one -o x.html", "--out FILE"),
        ("explain one --cell 0,0,0,0", "--at N,F,Y,X"),
    ],
)
def test_an_option_of_other_tools(typed: str, meant: str, one: str, folder: Path) -> None:
    assert refused(folder, *typed.split()).endswith(f"(did you mean {meant}?)")


def test_an_error_that_cannot_be_printed_keeps_its_exit_code(folder: Path) -> None:
    with open("/dev/full", "wb") as full:
        words = [sys.executable, "-m", "convpipe", "nope"]
        found = subprocess.run(words, stdout=full, stderr=full, env={**os.environ, "PYTHONPATH": str(CHECKOUT)})
    assert found.returncode == 2


def test_words_behind_a_file_are_completed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("my.yaml").write_text("seed: 3\n")
    monkeypatch.setenv("COMP_LINE", "convpipe my.yaml conv.str")
    assert convpipe("-sc", "query=bash").out.split() == ["conv.stride="]


@pytest.mark.parametrize("typed", ["bias=1", "bias=[2]", "input=[[1,2],[3,4]]", "filters=3", "filters=[[1,0],[0,1]]"])
def test_numbers_where_a_choice_is_expected(typed: str, folder: Path) -> None:
    said = refused(folder, typed)
    found = re.search(r"\(write (.*)\)$", said)
    assert found, said
    other = ["filters=values", "filters.values=[[1]]"] if typed.startswith("input") else []
    other = ["input=values", "input.values=[[1,2],[3,4]]"] if typed.startswith("filters") else other
    assert convpipe(*shlex.split(found[1]), *other).code == 0
