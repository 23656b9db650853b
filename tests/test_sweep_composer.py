"""A point's config is the one that stock Hydra composes, however cheaply it came about."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from sweep_cases import composer

from convpipe.config.typed import typed
from convpipe.errors import ConvpipeError
from convpipe.sweeps import composer as composing

# A case is some of these, each fixed or swept over. A key stands once; values are texts of Hydra's grammar.
VALUES: dict[str, list[str]] = {
    "seed": ["0", "7", "123456789012345678", "-1", "true", "null", "1.5", "abc"],
    "keep": [
        "output",
        "stages",
        "'two words'",
        '"a,b"',
        "'it\\'s'",
        '"${seed}"',
        "a\\,b",
        "''",
        "[a,{b:1}]",
        "'${name}'",
    ],
    "name": ["a", "'1'", "1", "???", "a.b-c_d", "'${keep}${keep}'", "x${seed}y", "'\\${seed}'"],
    "conv.stride": ["1", "2", "[2,1]", "[]", "null", "1e-5", "1E5", ".5", "inf", "-0.0", "1_000", "0x10"],
    "conv.pad": ["0", "same", "[[0,1],[2,3]]", "[1,'a b',null,true,1e-05]", "${conv.stride}", "[${seed},2]"],
    "conv.pad_value": ["0", "1.0", "1e-05", "1e100", "'1e-5'", "${seed}", "12345678901234567890123"],
    "conv.dtype": ["null", "int32", "'null'", "Null", "int", "nan"],
    "input.shape": ["[1,3,5,5]", "[1,1,${conv.stride},4]", "[[1],[2]]"],
    "input.low": ["0", "0.25", "1e-5"],
    "input": ["integers", "random", "lecture_4d", "lecture"],
    "filters": ["integers", "random", "lecture"],
    "lowering": ["im2col", "implicit"],
    "bias": ["integers", "none"],
    "experiment": ["lecture_4d", "tangle", "lecture_3d", "grad_input"],
    "limits.memory": ["1GiB", "null", "1000"],
}
# These are composed by Hydra itself, so a few of them do.
WHOLE: dict[str, list[str]] = {
    "timing": ["{repeats:2}", "{repeats:${seed}}"],
    "timing.repeats": ["3", "1"],
    "+new": ["1", "a", "[1,2]", "{a:1,b:{c:[2,null]}}", "'${seed}'"],
    "+conv.extra": ["1", "{a:1}"],
    "++conv.groups": ["1", "2"],
    "++conv.deep.er": ["1", "'x'"],
    "conv": ["{stride:5}", "{stride:5,pad:1}", "transpose"],
}
ALONE = ["~conv.dtype", "~bias", "~timing.repeats", "~experiment"]
BROKEN = ["conv.strid=1,2", "nothing=1,2", "conv.stride.deeper=1,2", "name=${nowhere},a", "input=integers,nothing",
          "+seed=1,2", "~nowhere", "conv.pad_mode.x=[1],[2]", "name=a,???"]  # fmt: skip

TANGLE = """# @package _global_
# Interpolations of every kind: to values, to groups, across groups, within texts and lists, relative.
defaults:
  - override /input: random
name: t_${seed}_${conv.stride}
input:
  shape: [1, "${conv.groups}", 8, 8]
  high: ${.low}
conv:
  dilation: ${conv.stride}
  overflow: ${keep}
data: ${conv}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an experiment full of interpolations."""
    folder = tmp_path_factory.mktemp("conf")
    (folder / "experiment").mkdir()
    (folder / "experiment" / "tangle.yaml").write_text(TANGLE)
    return folder


def a_case(numbers: random.Random) -> list[str]:
    """The overrides of a random sweep."""
    keys = numbers.sample(sorted(VALUES), numbers.randint(1, 6))
    keys += numbers.sample(sorted(WHOLE), numbers.choice((0, 0, 0, 0, 1)))
    words = []
    for key in keys:
        known = (VALUES | WHOLE)[key]
        values = numbers.sample(known, min(len(known), numbers.choice((1, 1, 2, 3))))
        words.append(f"{key}={','.join(values)}")
    words += numbers.sample(ALONE, numbers.choice((0, 0, 0, 0, 0, 1)))
    broken = [word for word in BROKEN if word.partition("=")[0] not in keys]  # a key twice is another matter
    words += numbers.sample(broken, numbers.choice((0,) * 12 + (1,)))
    numbers.shuffle(words)
    return words


def stock_points(words: list[str]) -> list[list[str]]:
    """Every job's overrides, as stock Hydra's own sweeper has them."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    overrides = OverridesParser.create().parse_overrides([text for word in words for text in typed(word, True)])
    (jobs,) = BasicSweeper.split_arguments(overrides, None)
    return [list(job) for job in jobs]


def stock(overrides: list[str]) -> dict[str, Any] | None:
    """Stock Hydra's config, or None where it refuses."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        config = hydra.compose("config", overrides)
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException, ValueError):
        return None
    assert isinstance(plain, dict)
    return plain


def answers(made: composing.Composer) -> Iterator[dict[str, Any] | None]:
    """Our config of every point, or None where it is refused."""
    for point in made.sweep.space.points():
        try:
            yield made.compose(point)
        except ConvpipeError:
            yield None


def compared(made: composing.Composer, words: list[str], most: int) -> tuple[int, int]:
    """Hold a sweep's first points against stock Hydra's; gives how many were composed and how many refused."""
    jobs = stock_points(words)
    assert made.sweep.space.size == len(jobs), words
    composed = refused = 0
    for ours, overrides in islice(zip(answers(made), jobs, strict=True), most):
        theirs = stock(overrides)
        assert repr(ours) == repr(theirs), overrides  # types and order, too
        composed, refused = composed + (theirs is not None), refused + (theirs is None)
    return composed, refused


@pytest.mark.parametrize("part", range(4))
def test_every_config_is_stock_hydras(part: int, folder: Path) -> None:
    wanted = int(os.environ.get("CONVPIPE_POINTS", "60")) // 4  # thousands, when asked
    numbers = random.Random(part)
    composed = 0
    while composed < wanted:
        words = a_case(numbers)
        try:
            made = composer(*words, "--config-dir", str(folder))
        except ConvpipeError:
            continue  # the sweep as a whole is refused
        composed += compared(made, words, 12)[0]


@pytest.mark.parametrize("experiment", ["grad_input", "tangle"])
def test_every_value_is_stock_hydras(experiment: str, folder: Path) -> None:
    # all keys at once, each swept over one value twice: the plain way, and the one with interpolations
    cheap = {key: [value for value in values if not re.search(r"[$?{]", value)] for key, values in VALUES.items()}
    cheap = {key: values for key, values in cheap.items() if values and key not in ("experiment", "input", "bias")}
    for number in range(max(map(len, cheap.values()))):
        chosen = {key: values[number % len(values)] for key, values in cheap.items()}
        words = [f"experiment={experiment}", *(f"{key}={value},{value}" for key, value in chosen.items())]
        assert compared(composer(*words, "--config-dir", str(folder)), words, 1) == (1, 0)


@pytest.mark.parametrize("broken", BROKEN)
def test_what_stock_hydra_refuses_is_refused(broken: str, folder: Path) -> None:
    words = ["seed=1,2", "conv.pad=0", broken]
    try:
        made = composer(*words, "--config-dir", str(folder))
    except ConvpipeError:  # the sweep as a whole is refused
        assert None in map(stock, stock_points(words))
    else:
        assert compared(made, words, 12)[1]


# What is cheap, and what is not


def path_of(words: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How each point of a sweep came about: plain, resolved or whole."""
    made = composer(*words, "--config-dir", str(folder))
    taken: list[str] = []
    for owner, name in ((composing.Composer, "whole"), (composing.Composer, "resolved"), (composing, "with_values")):
        real = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *given, real=real, name=name: taken.append(name) or real(*given))
    for point in made.sweep.space.points():
        made.compose(point)
    monkeypatch.undo()
    return taken


@pytest.mark.parametrize(
    ("words", "taken"),
    [
        (["seed=1,2", "input=integers,random", "conv.pad=[0,1]"], ["with_values"] * 4),
        (["experiment=tangle", "seed=1,2"], ["resolved"] * 2),
        (["experiment=tiny", "network.conv1.dilation=1,2"], ["resolved"] * 2),  # which the file leaves at its default
        (["seed=1,2", "+new=3"], ["with_values"] * 2),
        (["seed=1,2", "conv={stride:2}"], ["with_values"] * 2),
        (["seed=1", "+new=3,4"], ["whole"] * 2),
        (["conv.stride=1,2", "conv={stride:5}"], ["whole"] * 2),  # the last word counts
    ],
)
def test_what_is_cheap(words: list[str], taken: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert path_of(words, folder, monkeypatch) == taken


def test_the_last_word_counts(folder: Path) -> None:
    for words, stride in (
        (["conv.stride=1,2", "conv={stride:5}"], [5, 5]),
        (["conv={stride:5}", "conv.stride=1,2"], [1, 2]),
        (["conv.stride=1,2", "++conv.stride=5"], [5, 5]),
        (["conv.stride=1,2", "conv.stride=7"], [7]),
        (["conv.stride=7", "conv.stride=1,2"], [1, 2]),
    ):
        assert [config["conv"]["stride"] for config in answers(composer(*words)) if config] == stride


def test_what_is_set_on_a_copy_stays_there(folder: Path) -> None:
    made = composer("seed=1,2", "conv.stride=1,2", "experiment=tangle", "--config-dir", str(folder))
    first = [repr(config) for config in answers(made)]
    assert [repr(config) for config in answers(made)] == first
    assert len(set(first)) == 4
    assert len(made.bases) == 1


@pytest.mark.parametrize("experiment", ["lecture_3d", "tangle"])
def test_a_point_knows_nothing_of_the_last_one(experiment: str, folder: Path) -> None:
    (folder / "points.yaml").write_text("- {seed: 5}\n- {conv: {stride: 3}}\n- {keep: stages}\n")
    made = composer(f"experiment={experiment}", f"sweep.points={folder / 'points.yaml'}", "--config-dir", str(folder))
    found = [(config["seed"], config["conv"]["stride"], config["keep"]) for config in answers(made) if config]
    assert found == [(5, 1, "output"), (0, 3, "output"), (0, 1, "stages")]


def test_a_listed_point_is_the_last_word(folder: Path) -> None:
    (folder / "points.yaml").write_text("- {conv.stride: 3}\n- {conv.stride: 4}\n")
    made = composer("seed=1", "conv={stride:5,pad:1}", f"sweep.points={folder / 'points.yaml'}")
    found = [(config["conv"]["stride"], config["conv"]["pad"]) for config in answers(made) if config]
    assert found == [(3, 1), (4, 1)]
