"""What people type comes to the value that they mean: as words, in files, and in lists of points."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import contents, convpipe, job, only_run, refused
from hypothesis import given, strategies
from sweep_cases import a_sweep, points

import convpipe as cp
from convpipe.config.hydra_safety import parsed
from convpipe.config.keys import keys
from convpipe.config.settings import saying
from convpipe.config.typed import TEXTS, check_of, is_said, is_text, text_check, typed, typed_value
from convpipe.errors import ConfigError

IMAGE = [[1, 2, 3], [4, 5, 6], [7, 8, 10]]
ON_IMAGE = ("input=npy", "filters.values=[[[[1]]]]")
LETTERS = "\uc218\uc5c51"  # Hangul
ODD_NAMES = (
    "사진.npy", "写真.npy", "фото.npy", "صورة.npy", "हिन्दी.npy", "é.npy", "a b.npy", "a (1).npy", "a [1].npy",
    "{a}.npy", "a#1.npy", "a&b.npy", "a@b.npy", "a!.npy", "a+b.npy", "a=b.npy", "a;b.npy", "it's.npy", 'say "x".npy',
    "a:b.npy", "100%.npy", "^~.npy", "<1>.npy", "`x`.npy", "a\\b.npy", "a|b.npy", "1.npy", "(.npy", "사진 (1).npy",
    "😀.npy",
)  # fmt: skip


def value_of(word: str, several: bool = False) -> Any:
    """What a word that sets one value comes to."""
    (text,) = typed(word, several)
    return parsed(text).value()


def saved(name: str) -> Path:
    """An image in a file of that name."""
    path = Path(name).expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        np.save(file, np.array([[IMAGE]]))
    return path


def values(found: list[str], key: str) -> list[Any]:
    """What the values of an axis come to."""
    (text,) = found
    assert text.startswith(f"{key}=")
    override: Any = parsed(text)
    return [getattr(each, "text", each) for each in override._value.list]


# Texts


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_file_of_any_name_is_read_as_it_is_typed(name: str, folder: Path) -> None:
    saved(name)
    made = cp.run("input=npy", f"input.path={name}", "filters.values=[[[[1]]]]", archive=False)
    assert made.maps[0, 0].tolist() == IMAGE
    assert convpipe("input=npy", f"input.path={name}", "filters.values=[[[[1]]]]").code == 0


def test_a_sweep_over_files_of_any_name(folder: Path) -> None:
    for name in ODD_NAMES:
        saved(name)
    words = typed(f"input.path={','.join(ODD_NAMES)}", True)
    assert values(words, "input.path") == list(ODD_NAMES)
    answer = convpipe("-m", *ON_IMAGE, "input.path=사진.npy,a (1).npy, it's.npy", "name=s")
    assert answer.out.endswith("1 done, 0 there before, 0 failed, 2 equal to another point: runs/s\n")
    assert len(points(*ON_IMAGE, "input.path=사진.npy,a (1).npy, it's.npy")) == 3


@pytest.mark.parametrize("name", [LETTERS, "1", "2024", "true", "nan", "1e5", "01", "ไทยนี้", "हिन्दी", "ñ"])
def test_a_name_of_any_letters(name: str, folder: Path) -> None:
    assert convpipe(f"name={name}").code == 0
    assert only_run(folder / "runs").parent.name == name


def test_a_name_is_one_however_its_letters_came(folder: Path) -> None:
    name = "é" + LETTERS
    for form in ("NFC", "NFD"):
        assert convpipe(f"name={unicodedata.normalize(form, name)}").code == 0
    assert [path.name for path in (folder / "runs").iterdir()] == [unicodedata.normalize("NFC", name)]


@pytest.mark.parametrize("name", ["수" * 67, "수/업", "..", ".수", "\u0301a", "수 업", "a\u200bb"])
def test_what_no_folder_may_be_called(name: str, folder: Path) -> None:
    assert re.match(r"name: got .*, expected a folder name of letters", refused(folder, f"name={name}"))


def test_a_name_of_two_hundred_bytes(folder: Path) -> None:
    assert job(f"name={'수' * 66}").execution.name == "수" * 66


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("a, b: c", "a, b: c"),
        ("first try (pad 1)", "first try (pad 1)"),
        ("[x]", "[x]"),
        ("{x", "{x"),
        ("it's 100% #1 & more!", "it's 100% #1 & more!"),
        ("01", "01"),
        ("1.50", "1.50"),
        ("true", "true"),
        ("a,b", "a,b"),
        ("'a,b'", "a,b"),
        ('"quoted"', "quoted"),
        ("\u201cquoted\u201d", "quoted"),
        ("range(1,3)", "range(1,3)"),
        ("null", None),
        ("C:\\temp\\", "C:\\temp\\"),
    ],
)
def test_a_note_is_what_was_typed(text: str, note: str | None, folder: Path) -> None:
    assert job(f"note={text}").execution.note == note
    assert job(f"label={text}").execution.label == note


def test_a_note_in_prose_is_no_axis_and_labels_may_be(folder: Path) -> None:
    assert len(points("seed=1,2", "note=first, with pad")) == 2
    assert points("seed=1,2", "label=a,b", "sweep.zip=[seed,label]") == ["seed=1 label=a", "seed=2 label=b"]


def test_an_expression_needs_no_quotes(folder: Path) -> None:
    for where, count in (
        ("seed<=2", 2),
        ("seed in [1,3]", 2),
        ("max(seed, 2) == 2", 2),
        ('seed == 1 or "a" == "b"', 1),
    ):
        told = convpipe("-m", "seed=1,2,3", f"where={where}", f"name={LETTERS}")
        assert f", {3 - count} left out by where" in told.out
        assert job(f"where={where}").execution.where == where


@pytest.mark.parametrize("name", ["합성곱", "خ", "étude"])
def test_an_experiment_of_ones_own_of_any_letters(name: str, folder: Path) -> None:
    path = folder / "mine" / "experiment" / f"{name}.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("seed: 7\n")
    (path.parent.parent / "input").mkdir()
    (path.parent.parent / "input" / f"{name}.yaml").write_text("source: integers\nshape: [1,3,4,4]\nlow: 0\nhigh: 3\n")
    for words in ((f"experiment={name}", f"input={name}"), ("-m", f"experiment={name},tiny")):
        assert convpipe("--config-dir", "mine", *words).code == 0
    assert cp.run(f"name={name}", archive=False).maps.size


def test_a_dict_and_a_list_take_any_letters(folder: Path) -> None:
    assert value_of("+new={source: npy, path: 사진.npy}") == {"source": "npy", "path": "사진.npy"}
    assert value_of("pictures=[합, b#1, 'c,d']") == ["합", "b#1", "c,d"]
    assert values(typed("input=choice(가,나)", True), "input") == ["가", "나"]


# What the grammar reads means what it meant

ALPHABET = " \t09aZ_é수~'\"\\/-+.$%*@?|,:=()[]{}#&!nul"


@given(
    strategies.sampled_from(["seed", "conv.pad", "input", "input.low", "pictures", "+new", "lowering.stages", "bias"]),
    strategies.text(ALPHABET, max_size=12),
    strategies.booleans(),
)
def test_what_the_grammar_reads_means_what_it_meant(key: str, text: str, several: bool) -> None:
    word = f"{key}={text}"
    try:
        before = parsed(word)
        after = [parsed(each) for each in typed(word, several)]
    except ConfigError:
        return
    assert [repr(each._value) for each in after] == [repr(before._value)], word


@given(strategies.sampled_from(["input.path", "name", "root"]), strategies.text(ALPHABET, max_size=12))
def test_a_text_that_the_grammar_reads_is_the_same_text(key: str, text: str) -> None:
    word = f"{key}={text}"
    if text != text.strip():
        return  # blanks at the end of a word say nothing
    try:
        before = parsed(word)
    except ConfigError:
        return
    found: Any = before._value
    listed = getattr(found, "list", [found])
    if any(isinstance(each, int | float) for each in listed):
        return  # a number, which was refused
    assert [repr(parsed(each)._value) for each in typed(word, True)] == [repr(found)], word


@given(strategies.text(min_size=1, max_size=30))
def test_a_text_that_the_grammar_does_not_read_is_taken_as_it_is(text: str) -> None:
    if "," in text or "${" in text or "\\" in text or text != text.strip() or text[0] + text[-1] in ("''", '""'):
        return
    word = f"input.path={text}"
    try:
        parsed(word)
    except ConfigError:
        assert value_of(word) in (text, text[1:-1])  # of typographic quotes a pair goes


@pytest.mark.parametrize("text", ["1", "[1,2]", "null", "", "same", "[[0,1],[2,3]]", "{a: 1}", "-1", "1e-3", "${seed}"])
def test_what_needs_nothing_stays(text: str) -> None:
    assert typed_value("conv.pad", text, False) == text


def test_the_settings_that_are_texts_are_what_their_checks_say() -> None:
    below = {
        name.rpartition(".")[2]
        for name, check in ((key.name, key.setting.check) for key in keys())
        if "." in name and "LAYER" not in name and text_check(check) and name != "cluster.kind"
    }
    assert below == set(TEXTS)
    top = {key.name for key in keys() if "." not in key.name and text_check(key.setting.check)} - {"experiment"}
    assert {name for name in top if is_text(name)} == top >= {"name", "root", "note", "label", "where", "data"}
    said = {key.name for key in keys() if getattr(key.setting.check, "check", None) is saying}
    assert {name for name in top if is_said(name)} == said == {"note", "label"}


# Quotes and blanks


@pytest.mark.parametrize(
    "word",
    ["'seed=7'", '"seed=7"', "\u201cseed=7\u201d", "\u2018seed=7\u2019", " seed=7", "seed = 7",
     "seed= 7", "' seed=7 '"],
)  # fmt: skip
def test_a_pair_of_quotes_that_a_shell_left_in(word: str, folder: Path) -> None:
    assert job(word).spec.seed == 7
    assert cp.run(word, archive=False).config["seed"] == 7
    assert points(word.replace("7", "7,8")) == ["seed=7", "seed=8"]


def test_quotes_that_are_not_around_the_word_stay(folder: Path) -> None:
    assert re.match(r"seed: got '7', expected a whole number", refused(folder, "seed='7'"))
    assert "key=value in Hydra's grammar" in refused(folder, "'seed=7")


# The home folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "home"
    place.mkdir()
    monkeypatch.setenv("HOME", str(place))
    return place


@pytest.mark.parametrize("word", ["input.path=~/x.npy", "'input.path=~/x.npy'", 'input.path="~/x.npy"'])
def test_a_file_in_the_home_folder(word: str, home: Path, folder: Path) -> None:
    saved("~/x.npy")
    assert convpipe(*ON_IMAGE, word, "root=~/runs").code == 0
    assert convpipe("-m", *ON_IMAGE, word, "seed=1,2", "root=~/runs").code == 0
    assert (home / "runs" / "lecture_3d").is_dir()
    assert contents(folder) == set()


def test_the_home_folder_everywhere(home: Path, folder: Path) -> None:
    saved("~/x.npy")
    (home / "my.yaml").write_text(
        "input: {source: npy, path: ~/x.npy}\nfilters: [[[[1]]]]\nroot: ~/a\nhydra.sweeper.params: {conv.pad: '0,1'}\n"
    )
    (home / "points.csv").write_text("input.path;label\n~/x.npy;one\n")
    (home / "experiment").mkdir()
    (home / "experiment" / "mine.yaml").write_text("root: ~/b\nname: mine\n")
    assert convpipe("~/my.yaml").code == convpipe("-m", "experiment=~/my.yaml").code == 0
    assert convpipe("--config-dir", "~", "experiment=mine").code == 0
    assert convpipe("-m", "~/my.yaml", "sweep.points=~/points.csv", "root=~/c").code == 0
    assert convpipe("runs", "~/a/my", "--output=~/table.csv").code == 0
    (run, *_) = cp.verify("~/b/mine")
    assert cp.load(f"~/b/mine/{run.path.name if run.path else ''}").config == run.config
    assert convpipe("page", "~/b/mine", "--out", "~/page.html").code == 0
    assert {"a", "b", "c", "table.csv", "page.html"} <= {path.name for path in home.iterdir()}
    assert contents(folder) == set()


@pytest.mark.parametrize(
    "word", ["root=~nobody-x/runs", "input=npy input.path=~nobody-x.npy", "-m sweep.points=~nobody-x.csv"]
)
def test_the_home_folder_of_nobody(word: str, home: Path, folder: Path) -> None:
    line = refused(folder, *word.split())
    assert re.search(r"got ~nobody-x.*, expected a path \(~nobody-x.* is nobody's home; .* is \./~nobody-x", line)


# Flags and settings in any order


def test_any_order_of_flags_and_settings_is_the_same_command(folder: Path) -> None:
    (folder / "mine").mkdir()
    (folder / "my.yaml").write_text("seed: 3\n")
    parts = (["-m"], ["seed=1,2"], ["conv.pad=1"], ["--config-dir", "mine"], ["my.yaml"])
    told = set()
    for order in itertools.permutations(parts):
        words = list(itertools.chain.from_iterable(order))
        told.add(" ".join(points(*(word for word in words if word != "-m"))))
        if order[0] in (["-m"], ["conv.pad=1"]) and order[1] == ["seed=1,2"]:
            assert convpipe(*words).out.endswith("0 failed: runs/my\n")
    assert told == {"seed=1 seed=2"}


def test_info_and_cfg_before_settings(folder: Path) -> None:
    for words in (("--info", "seed=7"), ("seed=7", "--info"), ("--info", "config", "seed=7")):
        assert "seed: 7" in convpipe(*words).out
    for words in (("--cfg", "job", "seed=7", "-p", "seed"), ("seed=7", "-p", "seed", "--cfg", "job")):
        assert convpipe(*words).out == "7\n"


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("--experiment=tiny", "experiment=tiny"),
        ("--experiment tiny", "experiment=tiny"),
        ("-experiment=tiny", "experiment=tiny"),
        ("--stride 2", "conv.stride=2"),
        ("--stride=2 seed=1", "conv.stride=2"),
        ("-seed=3", "seed=3"),
        ("--name mine", "name=mine"),
        ("-m --workers 2", "workers=2"),
        ("seed=1 --dry-run", "dry_run=true"),
    ],
)
def test_a_setting_typed_as_a_flag(words: str, meant: str, folder: Path) -> None:
    assert refused(folder, *words.split()).endswith(f"no such flag; write {meant}")


@pytest.mark.parametrize("words", [("version",), ("-V",), ("--version",)])
def test_the_version(words: tuple[str, ...]) -> None:
    assert re.fullmatch(r"convpipe \d+\.\d+\.\d+\n", convpipe(*words).out)


def test_help_by_any_name() -> None:
    assert convpipe("-h").out == convpipe("--help").out
    assert convpipe("help").code == 0


# Experiment files


@pytest.mark.parametrize("word", ["my.yaml", "./my.yaml", "experiment=my.yaml", "'my.yaml'", "'experiment=my.yaml'"])
def test_a_file_of_ones_own_in_any_place_of_the_line(word: str, folder: Path) -> None:
    (folder / "my.yaml").write_text("seed: 3\nconv: {pad: 1}\n")
    for words in ((word, "conv.stride=2"), ("conv.stride=2", word)):
        made = job(*words).spec
        assert (made.seed, made.conv.stride if made.conv else 0) == (3, 2)
    assert convpipe("-m", "conv.stride=1,2", word).out.endswith("2 done, 0 there before, 0 failed: runs/my\n")


def test_several_files_of_ones_own_in_one_sweep(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "a.yaml").write_text("seed: 1\n")
    (folder / "b.yml").write_text("seed: 2\n")
    answer = convpipe("-m", "experiment=sub/a.yaml,b.yml,lecture_3d", "conv.pad=0,1")
    assert answer.out.endswith("6 done, 0 there before, 0 failed: runs/a, runs/b, runs/lecture_3d\n")
    line = refused(folder, "sub/a.yaml", "b.yml")
    assert line == "b.yml: expected one experiment file; a sweep over several is -m experiment=sub/a.yaml,b.yml"


def test_the_paths_of_a_files_axes_start_at_its_folder(folder: Path) -> None:
    for name in ("a.npy", "나 (1).npy"):
        saved(f"sub/{name}")
    (folder / "sub" / "my.yaml").write_text(
        "input: npy\nfilters: [[[[1]]]]\nhydra: {sweeper: {params: {input.path: 'a.npy,나 (1).npy', seed: '1,2'}}}\n"
    )
    answer = convpipe("-m", "sub/my.yaml")
    assert answer.out.endswith("2 done, 0 there before, 0 failed, 2 equal to another point: runs/my\n")
    assert points("sub/my.yaml")[::2] == ["input.path=sub/a.npy seed=1", "input.path='sub/나 (1).npy' seed=1"]


def test_a_file_starts_from_an_experiment_of_ones_own(folder: Path) -> None:
    own_folder(folder, {"experiment/base.yaml": "seed: 7\nconv: {pad: 1}\n", "experiment/tiny.yaml": "seed: 8\n"})
    for base, seed in (("base", 7), ("tiny", 8), ("lecture_4d", 0)):
        (folder / "my.yaml").write_text(f"experiment: {base}\nname: mine\n")
        made = job("my.yaml", "--config-dir", "mine")
        assert (made.spec.seed, made.execution.name) == (seed, "mine")
    (folder / "my.yaml").write_text("experiment: bas\n")
    assert "(did you mean base?)" in refused(folder, "my.yaml", "--config-dir", "mine")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_mark_of_utf8_in_front_is_no_part_of_a_file(mark: bytes, folder: Path) -> None:
    (folder / "mine" / "experiment").mkdir(parents=True)
    for group in ("input", "bias"):
        (folder / "mine" / group).mkdir()
    for name, text in (
        ("my.yaml", "seed: 7\n"),
        ("head.yaml", "# @package _global_\nseed: 7\n"),
        ("mine/experiment/own.yaml", "# @package _global_\nseed: 7\n"),
        ("mine/input/own.yaml", "{source: integers, shape: [1,3,4,4], low: 0, high: 3}\n"),
        ("mine/bias/seven.yaml", "# @package _global_\nseed: 7\n"),
        ("p.yaml", "- seed: 7\n"),
        ("p.csv", "seed\n7\n"),
    ):
        (folder / name).write_bytes(mark + text.encode())
    own = ("--config-dir", "mine")
    for words in (("my.yaml",), ("head.yaml",), (*own, "experiment=own", "input=own"), (*own, "bias=seven")):
        assert convpipe(*words, "--cfg", "job", "-p", "seed").out == "7\n"
    assert points("sweep.points=p.yaml") == points("sweep.points=p.csv") == ["seed=7"]


# A folder of one's own


def own_folder(folder: Path, files: dict[str, str]) -> None:
    """A folder `mine` with files."""
    for name, text in files.items():
        (folder / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "mine" / name).write_text(text)


OWN_BOX = "{source: integers, shape: null, count: 1, kernel: 3, low: 7, high: 7}\n"


@pytest.mark.parametrize(
    ("name", "text", "words", "key", "expected"),
    [
        ("filters/box.yaml", "{source: values, values: [[[[7]]]]}", ("filters=box",), "filters.values", [[[[7]]]]),
        ("input/lecture.yaml", "{source: values, values: [[[[7]]]]}", (), "input.values", [[[[7]]]]),
        ("experiment/tiny.yaml", "seed: 7", ("experiment=tiny",), "seed", 7),
        ("conv/default.yaml", "{stride: 3}", (), "conv.stride", 3),
        ("lowering/implicit.yaml", "{stages: [rows, matmul]}", ("lowering=implicit",), "lowering.stages.0", "rows"),
    ],
)
def test_the_users_own_choice_wins(
    name: str, text: str, words: tuple[str, ...], key: str, expected: object, folder: Path
) -> None:
    own_folder(folder, {name: text})
    shown = convpipe("--config-dir", "mine", *words, "--cfg", "job").out
    from omegaconf import OmegaConf

    found = OmegaConf.select(OmegaConf.create(shown), key)
    assert (OmegaConf.to_container(found) if OmegaConf.is_config(found) else found) == expected


def test_the_users_own_list_of_points_wins(folder: Path) -> None:
    own_folder(folder, {"points/resnet50.csv": "seed\n7\n8\n", "points/mine.csv": "seed\n9\n"})
    assert points("sweep.points=resnet50", "--config-dir", "mine") == ["seed=7", "seed=8"]
    assert points("sweep.points=mine", "--config-dir", "mine") == ["seed=9"]
    assert len(points("sweep.points=resnet50")) > 40
    with pytest.raises(ConfigError, match=r"sweep\.points: got min, expected .*, mine, .*did you mean mine\?"):
        a_sweep("sweep.points=min", "--config-dir", "mine")


def test_the_users_own_main_config_wins_or_is_told(folder: Path) -> None:
    from convpipe.config.tree import config_folder

    whole = (config_folder() / "config.yaml").read_text().replace("\nseed: 0\n", "\nseed: 7\n", 1)
    own_folder(folder, {"config.yaml": whole})
    assert convpipe("--config-dir", "mine", "--cfg", "job", "-p", "seed").out == "7\n"
    own_folder(folder, {"config.yaml": "seed: 7\n"})
    line = refused(folder, "--config-dir", "mine")
    assert "mine/config.yaml: no list of defaults" in line
    assert str(config_folder() / "config.yaml") in line
    own_folder(folder, {"config.yaml": f"{whole}\n  searchpath: ['pkg://evil']\n"})
    assert re.match(r"hydra\.searchpath: got .*evil", refused(folder, "--config-dir", "mine"))


# Axes


@pytest.mark.parametrize(
    "words",
    [
        ("hydra.sweeper.params.seed=1,2",),
        ("+hydra.sweeper.params.seed=1,2",),
        ("hydra.sweeper.params={seed: '1,2'}",),
        ('hydra.sweeper.params={seed: "1,2"}',),
        ("+hydra.sweeper.params={seed: 'range(1,3)'}",),
    ],
)
def test_axes_by_the_name_that_files_have_for_them(words: tuple[str, ...], folder: Path) -> None:
    assert points(*words) == ["seed=1", "seed=2"]
    assert convpipe("-m", *words).out.endswith("2 done, 0 there before, 0 failed: runs/lecture_3d\n")
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.params.*expected -m beside it, as it is for sweeps"):
        job(*words)


def test_several_axes_in_one_dict(folder: Path) -> None:
    words = "hydra.sweeper.params={seed: '1,2', conv.pad: 1, input.path: '사진.npy,b.npy'}"
    assert typed(words, True) == ["seed=1,2", "conv.pad=1", "input.path='사진.npy',b.npy"]


@pytest.mark.parametrize(
    ("value", "forms"),
    [
        ("[1,2]", "seed=1,2 or seed=range(1,3)"),
        ("[1, 5]", "seed=1,5"),
        ("(1, 2)", "seed=1,2 or seed=range(1,3)"),
        ("{1,2}", "seed=1,2 or seed=range(1,3)"),
        ("list(1,2)", "seed=1,2 or seed=range(1,3)"),
        ("1:3", "seed=1,2,3 or seed=range(1,4)"),
        ("0..3", "seed=0,1,2,3 or seed=range(0,4)"),
        ("1-3", "seed=1,2,3 or seed=range(1,4)"),
        ("range(1..3)", "seed=1,2,3 or seed=range(1,4)"),
        ("range(1:3)", "seed=1,2,3 or seed=range(1,4)"),
        ("(1..3)", "seed=1,2,3 or seed=range(1,4)"),
        ("3..1", "seed=1,2,3 or seed=range(1,4)"),
        ("1 to 3", "seed=1,2,3 or seed=range(1,4)"),
        ("0..99", "seed=range(0,100)"),
    ],
)
def test_several_numbers_in_a_form_that_is_none(value: str, forms: str, folder: Path) -> None:
    line = refused(folder, "-m", f"seed={value}")
    assert line.endswith(f"(a sweep is {forms})")
    assert refused(folder, f"seed={value}").endswith(f"(a sweep is -m {forms.replace(' or ', ' or -m ')})")
    for form in forms.split(" or "):
        assert len(points(form)) > 1
    (folder / "my.yaml").write_text(f"hydra: {{sweeper: {{params: {{seed: '{value}'}}}}}}\n")
    assert forms in refused(folder, "-m", "my.yaml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("(2,1)", [2, 1]), ("(7,)", [7]), ("((0, 1), (2, 3))", [[0, 1], [2, 3]]), ("[(0,1),(2,3)]", [[0, 1], [2, 3]])],
)
def test_a_tuple_is_a_list(text: str, expected: list[Any], folder: Path) -> None:
    assert value_of(f"conv.pad={text}") == expected
    assert values(typed(f"conv.pad={text},{text}", True), "conv.pad") == [expected] * 2
    (folder / "p.csv").write_text(f"conv.pad;seed\n{text};1\n")
    assert a_sweep("sweep.points=p.csv").space.size == 1


@pytest.mark.parametrize("word", ["conv.pad=[0,1]", "conv.stride=[2,1]", "pictures=[1,2]", "input.shape=[1,3,4,4]"])
def test_lists_that_settings_take_are_no_sweeps(word: str) -> None:
    assert typed(word, True) == [word]


def test_a_check_is_known_where_it_takes_no_kinds() -> None:
    assert check_of("seed") is not None
    assert check_of("limits.runs") is not None
    assert check_of("input.low") is None
    assert check_of("nope") is None


# python -O


@pytest.mark.parametrize(
    ("word", "seeds"),
    [
        ("seed=range(0,3)", ["seed=0", "seed=1", "seed=2"]),
        ("seed=range(start=1,stop=3)", ["seed=1", "seed=2"]),
        ("seed=choice(4,5)", ["seed=4", "seed=5"]),
        ("seed=int(3.0),4", ["seed=3", "seed=4"]),
        ("seed=sort(3,1,2)", ["seed=1", "seed=2", "seed=3"]),
        ("seed=tag(a,choice(1,2))", ["seed=1", "seed=2"]),
    ],
)
def test_functions_without_assertions(word: str, seeds: list[str], folder: Path) -> None:
    code = "import sys; from sweep_cases import points; print(points(*sys.argv[1:], 'conv={stride: 2, pad: [0, 1]}'))"
    place = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = {**os.environ, "PYTHONOPTIMIZE": "1", "PYTHONPATH": place}
    command = [sys.executable, "-c", code, word]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=folder)
    assert done.stdout.strip() == str(seeds) == str(points(word, "conv={stride: 2, pad: [0, 1]}"))


# Lists of points


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.csv", 'label,seed\nconv1,1\n"a, b",2\n'),
        ("p.csv", "label;seed\nconv1;1\na, b;2\n"),
        ("p.csv", "label\tseed\nconv1\t1\na, b\t2\n"),
        ("p.tsv", "label\tseed\r\nconv1\t1\r\n\r\na, b\t2\r\n"),
        ("p.csv", "# layers; of mine\n\n# more, of it\nlabel;seed\nconv1;1\n  \n# in between\na, b;2\n;\n"),
        ("p.csv", "\ufefflabel;seed\r\nconv1;1\r\na, b;2\r\n"),
        ("p.yaml", "- {label: conv1, seed: 1}\n- {label: 'a, b', seed: 2}\n"),
    ],
)
def test_tables_as_spreadsheets_write_them(name: str, content: str, folder: Path) -> None:
    (folder / name).write_text(content, newline="")
    assert points(f"sweep.points={name}") == ["label='conv1' seed=1", "label='a, b' seed=2"]


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "true",
        "01",
        "1.50",
        "[1]",
        "{a}",
        "a: b",
        "range(1,2)",
        "~/x",
        "=1+1",
        "수업 (1)",
        "it's",
        "${x}",
        "a,b",
    ],
)
@pytest.mark.parametrize("key", ["label", "note"])
def test_labels_and_notes_of_points_are_texts_as_they_stand(key: str, text: str, folder: Path) -> None:
    (folder / "p.csv").write_text(f"{key};seed\n{text};1\n")
    (folder / "p.yaml").write_text(f'- {{{key}: "{text}", seed: 1}}\n')
    for name in ("p.csv", "p.yaml"):
        (point,) = a_sweep(f"sweep.points={name}").space.points()
        assert point[0].value == (text if "${" not in text else "\\${x}")


def test_the_cells_of_points_are_typed_as_words_are(folder: Path) -> None:
    saved("사진.npy")
    (folder / "p.csv").write_text("input.path;seed\n사진.npy;1\n1.npy;2\n")
    assert points(*ON_IMAGE, "sweep.points=p.csv") == ["input.path='사진.npy' seed=1", "input.path=1.npy seed=2"]


# The operation brings its chain


@pytest.mark.parametrize(
    ("words", "stages"),
    [
        ("conv=transpose", "rows"),
        ("conv=transpose lowering=transpose", "rows"),
        ("conv=default lowering=implicit", "pad"),
        ("conv=default lowering=auto", "pad"),
        ("lowering=im2col", "pad"),
    ],
)
def test_an_operation_brings_its_own_chain(words: str, stages: str) -> None:
    spec = job("input=integers", "filters=integers", *words.split()).spec
    assert spec.lowering.stages[0].op == stages
    assert cp.run("input=integers", "filters=integers", *words.split(), archive=False).maps.ndim == 4


@pytest.mark.parametrize("name", ["grad_input", "grad_weights", "grad_bias"])
def test_a_gradient_brings_its_own_chain(name: str) -> None:
    made = cp.run(f"experiment={name}", f"conv={name}", archive=False)
    assert made.output.shape == cp.run(f"experiment={name}", archive=False).output.shape


# Advice works when it is typed

WRONG = [
    "input=npy input.path=a,b.npy filters.values=[[[[1]]]]",
    "note=two words",
    "note=it's two",
    "stride=2",
    "conv.strid=2",
    "padd=1",
    "--experiment=tiny",
    "--stride 2",
    "--pad=1",
    "-seed=3",
    "seed = 3",
    "seed:3",
    "SEED=3",
    "conv/stride=2",
    "conv.stride=2,1",
    "-m seed=1 2 3",
    "-m seed=1, 2",
    "-m seed=(1,2)",
    "tiny",
    "seed=1 tiny",
    "experiment=tinny",
    "input=lectur",
    "seed=[1,2]",
    "-m seed=[1,2]",
    "-m seed=0..3",
    "seed=1:3",
    "conv.pad_mode=reflekt",
    "keep=stage",
    "input=x.npy filters.values=[[[[1]]]]",
    "my.yaml other.yaml",
    "input=4",
    "+seed=1",
    "root=~nobody-x",
    "-m sweep.points=resnet5 input=random filters=random",
]
ADVICE = re.compile(
    r"did you mean (?P<meant>\S+)\?"
    r"|no blanks between them: (?P<together>\S+)\)\Z"
    r"|write (?P<write>'[^\n]*'|[^\s)]+)\)?\Z"
    r"|no blanks around '=': (?P<blanks>\S+)"
    r"|needs quotes: (?P<quotes>[^\n]*)\)\Z"
    r"|a sweep is (?P<sweep>[^\n]*)\)\Z"
    r"|a sweep over several is (?P<files>[^\n]*)\Z"
    r"|\((?P<choice>input=\S+ input\.\S+)\)\Z"
)


@pytest.mark.parametrize("words", WRONG)
def test_the_advice_works_when_it_is_typed(words: str, folder: Path) -> None:
    for name in ("a,b.npy", "x.npy"):
        saved(name)
    for name in ("my.yaml", "other.yaml"):
        (folder / name).write_text("seed: 1\n")
    given = words.split(" ")
    line = refused(folder, *given)
    found = ADVICE.search(line)
    if found is None:
        assert words in ("input=4", "+seed=1", "root=~nobody-x"), line
        return
    advice = next(text for text in found.groups() if text)
    forms = advice.split(" or ") if found["sweep"] else [advice]
    for form in forms:
        again = retyped(given, shlex.split(form), found["meant"] or "")
        if found["sweep"] and "-m" not in again:
            again = ["-m", *again]
        assert convpipe(*again, "dry_run=true").code == 0, again


def retyped(given: list[str], advice: list[str], meant: str) -> list[str]:
    """The command of somebody who follows an advice: what was meant in the place of a key or a value that was wrong."""
    if not meant or "=" in meant:
        kept = ("-m", "input=npy", "filters.values=[[[[1]]]]")
        return [*(word for word in given if word in kept), *advice]
    wrong = next(word for word in given if word not in ("-m", "input=random", "filters=random"))
    key, _, value = wrong.partition("=")
    instead = f"{meant}={value}" if meant in {each.name for each in keys()} else f"{key}={meant}"
    return [instead if word == wrong else word for word in given]
