"""Every promise of the manual's page names tests, and these are there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from convpipe.config.help import page

CHECKOUT = Path(__file__).resolve().parents[1]
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def promises(text: str) -> list[str]:
    """The promises of a page, each with what stands below it, up to the next or an empty line."""
    return re.findall(r"^- .*\n(?:  .*\n?)*", text, flags=re.M)


def untested(text: str) -> list[str]:
    """The promises that name no test, or one that is not there."""
    return [each for each in promises(text) if not TEST.search(each) or not all(map(is_test, TEST.findall(each)))]


def is_test(named: tuple[str, str]) -> bool:
    """Whether there is such a test."""
    return named[1] in names_of(named[0])


@cache
def names_of(path: str) -> frozenset[str]:
    """The names of the tests in a file."""
    if not (CHECKOUT / path).is_file():
        return frozenset()
    tree = ast.parse((CHECKOUT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def test_every_promise_has_its_tests() -> None:
    text = page("promises")
    assert len(promises(text)) == len(re.findall(r"^- ", text, flags=re.M)) > 30
    assert untested(text) == []


def test_every_test_of_the_page_is_named_by_a_promise() -> None:
    text = page("promises")
    assert len(TEST.findall(text)) == len(TEST.findall("".join(promises(text))))
    assert text.count("::") == len(TEST.findall(text))


def test_the_tests_of_reliability_hold_promises() -> None:
    """Each module of the set has one, but for what proves the set itself."""
    modules = {path.name for path in (CHECKOUT / "tests" / "reliability").glob("test_*.py")}
    assert {path.rpartition("/")[2] for path, _ in TEST.findall(page("promises")) if "reliability" in path} == modules


@pytest.mark.parametrize(
    "text",
    [
        "- Something.\n",
        "- Something.\n  `tests/test_promises.py`\n",
        "- Something.\n  `tests/test_promises.py::test_of_nothing`\n",
        "- Something.\n  `tests/test_nowhere.py::test_every_promise_has_its_tests`\n",
        "- Something.\n  `tests/test_promises.py::test_every_promise_has_its_tests`\n  `tests/test_x.py::test_y`\n",
        "- A.\n- B.\n  `tests/test_promises.py::test_every_promise_has_its_tests`\n",
    ],
)
def test_a_promise_without_its_test_is_found(text: str) -> None:
    assert len(untested(text)) == 1


def test_a_promise_with_its_test_is_one() -> None:
    assert untested("- A,\n  and more.\n  `tests/test_promises.py::test_a_promise_with_its_test_is_one`\n") == []
