"""Plain configs as YAML: every reader of YAML gives back what was written."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import example, given, strategies as st
from omegaconf import OmegaConf

from convpipe.errors import ConfigError, shown
from convpipe.files.yaml import DEEPEST, config_yaml, read_yaml

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | FLOATS | TEXTS
LISTS = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=6)
VALUES = st.recursive(LISTS, lambda inner: st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8)
CONFIGS = st.dictionaries(TEXTS, VALUES, max_size=4)


@given(CONFIGS)
@example({"a": 1e-05, "b": 1e16, "c": 1.5e-07, "d": -0.0, "e": 1e22, "f": 5e-324, "g": 2**64})
@example({"yes": "no", "null": None, "true": True, "1": "1", "": "", "a: b": "- c", "#": "# d"})
@example({"a": {"b": {}, "c": [], "d": [[], [1]]}, "e": {"f": {"g": [{"h": 1e-05}]}}})
@example({"a": "1e5", "b": "0x10", "c": "1:30", "d": "~", "e": "2026-01-01", "f": "=", "g": "<<", "h": "!!int 1"})
@example({"a": "\u2028\u0085\x7f\ufeff\x00\n\t\\\"'", "b": "\U0001f600\n", "c": "\U000e0001\uffff", "d": "é한"})
def test_yaml_gives_back_any_plain_config(config: dict[str, Any]) -> None:
    content = config_yaml(config)
    for read in (yaml.safe_load(content), read_yaml(content)) if config else ():
        assert repr(read) == repr(config)  # repr tells 1 from 1.0 and True, and 0.0 from -0.0


@given(st.dictionaries(TEXTS.filter(lambda key: key != ""), VALUES, min_size=1, max_size=4))
def test_omegaconf_reads_the_same(config: dict[str, Any]) -> None:
    text = config_yaml(config).decode()
    if "$" not in text and "???" not in text:  # which mean something to OmegaConf
        assert repr(OmegaConf.to_container(OmegaConf.create(text))) == repr(config)


def test_halves_of_characters_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"path: got '\"/photo\\udcff.png\"', expected text that UTF-8 can hold"):
        config_yaml({"seed": 1, "input": {"path": "/photo\udcff.png"}})


def test_numbers_that_are_none_are_refused() -> None:
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="Out of range float values"):
            config_yaml({"a": value})


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"a: &a [1]\nb: *a", "^aliases are not for plain values$"),
        (b"[" * (DEEPEST + 1), f"^more than {DEEPEST} levels$"),
        (b"- " * 100_000, f"^more than {DEEPEST} levels$"),
    ],
)
def test_what_is_no_plain_config_is_refused(content: bytes, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        read_yaml(content)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"a: !!python/name:os.system", yaml.constructor.ConstructorError),
        (b"a: !!python/object/apply:os.system [ls]", yaml.constructor.ConstructorError),
        (b"a: [", yaml.parser.ParserError),
        (b"\xff\xfe\xff", yaml.reader.ReaderError),
        (b"a: \x00", yaml.reader.ReaderError),
        (b'a: "\\ud800"', yaml.scanner.ScannerError),
    ],
)
def test_what_yaml_refuses_is_said_in_its_words(content: bytes, kind: type[Exception]) -> None:
    with pytest.raises(ValueError, match=r"^\S[^\n]+$") as refused:
        read_yaml(content)
    assert type(refused.value.__cause__) is kind
    assert str(refused.value) == shown(refused.value.__cause__, 200)


def test_hostile_depth_is_refused_by_us_or_by_yaml() -> None:  # releases differ in who is first
    with pytest.raises(ValueError, match=r"^[^\n]{,200}$") as refused:
        read_yaml(b"[" * 100_000)
    assert isinstance(refused.value.__cause__, yaml.YAMLError) or str(refused.value) == f"more than {DEEPEST} levels"
