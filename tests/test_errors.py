"""Errors: their exit codes, their words, and that they survive a trip to another process."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from convpipe import errors
from convpipe.errors import ConfigError, ConvpipeError, GeometryError, did_you_mean, shown


@pytest.mark.parametrize(
    ("kind", "code", "builtin"),
    [
        ("ConvpipeError", 1, Exception),
        ("ConfigError", 2, ValueError),
        ("GeometryError", 2, ValueError),
        ("UsageError", 2, Exception),
        ("ValueRangeError", 2, OverflowError),
        ("ArchiveError", 3, Exception),
        ("StorageError", 4, Exception),
    ],
)
def test_exit_codes(kind: str, code: int, builtin: type[Exception]) -> None:
    error = getattr(errors, kind)
    assert error.exit_code == code
    assert issubclass(error, ConvpipeError)
    assert issubclass(error, builtin)


def test_a_config_error_says_what_came_and_what_was_expected() -> None:
    error = ConfigError("conv.stride", 0, "a whole number from 1", "did you mean 1?")
    assert str(error) == "conv.stride: got 0, expected a whole number from 1 (did you mean 1?)"
    assert str(ConfigError("conv.stride", None, "a number")) == "conv.stride: got nothing, expected a number"


@pytest.mark.parametrize("kind", [ConfigError, GeometryError])
def test_an_error_can_be_renamed_and_keeps_its_kind(kind: type[ConfigError]) -> None:
    error = kind("stride", 0, "a number", "a hint")
    renamed = error.at({"stride": "conv.stride", "pad": "conv.pad"})
    assert type(renamed) is kind
    assert str(renamed) == "conv.stride: got 0, expected a number (a hint)"
    assert str(error.at({"pad": "conv.pad"})) == str(error)
    assert str(error).startswith("stride:")  # the first one is left as it was


def test_an_error_is_the_same_after_pickling() -> None:
    error = GeometryError("kernel", [7, 7], "at most 5 along H", "smaller")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is GeometryError
    assert str(copy) == str(error)
    assert (copy.key, copy.got, copy.expected, copy.hint) == ("kernel", [7, 7], "at most 5 along H", "smaller")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "nothing"),
        ("", "nothing"),
        (0, "0"),
        (False, "False"),
        ([], "[]"),
        ("two\nlines\tand  blanks ", "two lines and blanks"),
        ("x" * 80, "x" * 80),
        ("x" * 81, "x" * 77 + "..."),
        (np.int8(3), "3"),
        (np.array([1, 2]), "[1 2]"),
        (np.array([]), "[]"),
        (np.arange(4).reshape(2, 2), "[[0 1] [2 3]]"),
    ],
)
def test_values_are_shown_on_one_line(value: object, text: str) -> None:
    assert shown(value) == text


def test_shown_can_be_shorter() -> None:
    assert shown("abcdefgh", limit=6) == "abc..."


@pytest.mark.parametrize(
    ("word", "hint"),
    [("strid", "did you mean stride?"), ("Stride", "did you mean stride?"), ("zzz", ""), ("", "")],
)
def test_hints(word: str, hint: str) -> None:
    assert did_you_mean(word, ["stride", "pad", "dilation"]) == hint
