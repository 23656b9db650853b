"""README.md is true: every command in it is run, and what it prints is what README says.

A `##` section is a session of its own, started in an empty folder; its blocks run in order. In a console block,
`$ ` begins a command and the lines after it are what it prints; a python block is a doctest. `...` stands for
anything, and so many spaces as README has stand for any number of them: a column is as wide as the times in it.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from convpipe.ops import OPERATIONS
from convpipe.ops.kinds.operation import stands_alone

CHECKOUT = Path(__file__).resolve().parents[1]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
CHECKED = ("console", "python")
# What a section needs beside the package: a module, and the extra that brings it.
EXTRAS = {"A five-minute tour": ("PIL", "image"), "Digits": ("sklearn", "digits")}
# The one-line commands: .ci/run runs them (see test_ci.py).
INSTALLING = ("Run it", "Test it")


@dataclass(frozen=True)
class Block:
    """A fenced block: its section, its language, and where it starts."""

    section: str
    language: str
    line: int
    text: str


def blocks(readme: str) -> Iterator[Block]:
    """Every fenced block of a README."""
    section, opened = "", None
    inside: list[str] = []
    for number, line in enumerate(readme.splitlines(), 1):
        if opened is not None and line == "```":
            yield Block(section, opened[0], opened[1], "\n".join(inside) + "\n")
            opened = None
        elif opened is not None:
            inside.append(line)
        elif line.startswith("```"):
            opened, inside = (line.removeprefix("```"), number), []
        elif line.startswith("## "):
            section = line.removeprefix("## ")
    assert opened is None, f"README.md:{opened}: a block that is not closed"


def commands(block: Block) -> Iterator[tuple[int, str, str]]:
    """The (line, command, expected output) of a console block."""
    lines = block.text.splitlines()
    assert lines[0].startswith("$ "), f"README.md:{block.line}: a console block starts with a command"
    starts = [index for index, line in enumerate(lines) if line.startswith("$ ")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield block.line + 1 + start, lines[start].removeprefix("$ "), "\n".join(lines[start + 1 : end])


def narrowed(text: str) -> str:
    """Text with single spaces and no empty ends."""
    lines = (re.sub(r"[ \t]+", " ", line).rstrip() for line in text.splitlines())
    return "\n".join(lines).strip("\n") + "\n"


def agrees(expected: str, printed: str) -> bool:
    """Whether a command printed what README expects of it."""
    return doctest.OutputChecker().check_output(narrowed(expected), narrowed(printed), doctest.ELLIPSIS)


def session_environment(folder: Path) -> dict[str, str]:
    """An environment in which `convpipe` and `python` are this interpreter and this checkout."""
    folder.mkdir()
    for name, arguments in (("convpipe", "-m convpipe"), ("python", "")):
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        program.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CONVPIPE_")}
    return {**kept, "PATH": f"{folder}{os.pathsep}{kept['PATH']}", "PYTHONPATH": str(CHECKOUT), "LC_ALL": "C.UTF-8"}


def check_console(block: Block, folder: Path, environment: dict[str, str]) -> None:
    """Run a console block's commands; each must succeed and print what README says."""
    for line, command, expected in commands(block):
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"README.md:{line}: {command}: exit {done.returncode}\n{done.stdout}"
        assert agrees(expected, done.stdout), f"README.md:{line}: {command}\nprinted\n{done.stdout}\nnot\n{expected}"


def check_python(block: Block, names: dict[str, Any]) -> None:
    """Run a python block as a doctest; it leaves its names for the next."""
    test = doctest.DocTestParser().get_doctest(block.text, names, "README.md", "README.md", block.line)
    report: list[str] = []
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=report.append, clear_globs=False)
    assert result.attempted, f"README.md:{block.line}: a python block without >>>"
    assert not result.failed, "".join(report)
    names.update(test.globs)


def check_section(readme: str, section: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run all blocks of a section, in order, in one folder."""
    environment = session_environment(folder / "bin")
    session = folder / "session"
    session.mkdir()
    monkeypatch.chdir(session)
    names: dict[str, Any] = {}
    for block in blocks(readme):
        if block.section != section:
            continue
        if block.language == "console":
            check_console(block, session, environment)
        elif block.language == "python":
            check_python(block, names)


SECTIONS = sorted({block.section for block in blocks(README) if block.language in CHECKED})


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_prints_what_it_says(section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if section in EXTRAS:
        module, extra = EXTRAS[section]
        pytest.importorskip(module, reason=f"{section} needs the extra: {extra}")
    check_section(README, section, tmp_path, monkeypatch)


def test_every_block_is_checked() -> None:
    others = [block for block in blocks(README) if block.language not in CHECKED]
    assert [(block.section, block.language) for block in others] == [(section, "bash") for section in INSTALLING]


def test_the_test_extra_brings_what_the_sections_need() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    (brought,) = re.findall(r"convpipe\[(.*)\]", " ".join(project["optional-dependencies"]["test"]))
    assert {extra for _, extra in EXTRAS.values()} <= set(brought.split(","))
    assert set(EXTRAS) <= set(SECTIONS)


def test_every_extra_that_readme_names_is_there() -> None:
    extras = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (rows,) = re.findall(r"^\| extra \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", README, re.MULTILINE)
    named = re.findall(r"`(\w+)`", " ".join(line.split("|")[1] for line in rows.splitlines()))
    assert set(named) == set(extras) - {"test", "dev"}


def test_every_layer_and_its_settings_are_in_the_table_of_operations() -> None:
    (table,) = re.findall(r"^\| operation \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", README, re.MULTILINE)
    rows = [line.strip("|").split("|") for line in table.splitlines()]
    named = [(re.findall(r"`(\w+)`", names), set(re.findall(r"`(\w+)`", settings))) for names, _, settings in rows]
    layers = [name for name in OPERATIONS.ours() if stands_alone(OPERATIONS.get("op", name))]
    assert sorted(name for names, _ in named for name in names) == sorted(layers)
    for names, settings in named:
        fields = {field for name in names for field in signature(OPERATIONS.get("op", name)).parameters}
        assert settings - {"inputs", "kernel", "filters", "stages"} <= fields, names  # those are any layer's, or conv's


def test_the_installing_commands_are_one_line_each() -> None:
    run, test = (block.text for block in blocks(README) if block.language == "bash")
    for command in (run, test):
        assert command.count("\n") == 1
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install ")
    assert run.endswith("&& .venv/bin/convpipe\n")
    assert test.endswith("&& .venv/bin/python -m pytest\n")


PLANTED = {
    "another value": "```console\n$ echo 1\n2\n```\n",
    "output that is not shown": "```console\n$ echo 1\n```\n",
    "output that never comes": "```console\n$ true\n1\n```\n",
    "a failure that is not shown": "```console\n$ echo 1; false\n1\n```\n",
    "a failure within a pipe": "```console\n$ false | cat\n```\n",
    "a wrong last line": "```console\n$ seq 3\n1\n...\n4\n```\n",
    "a wrong doctest": "```python\n>>> 1 + 1\n3\n```\n",
    "a python block that shows nothing": "```python\nx = 1\n```\n",
}


@pytest.mark.parametrize("readme", PLANTED.values(), ids=PLANTED)
def test_a_wrong_readme_is_found(readme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match=r"README\.md"):
        check_section(f"## Section\n\n{readme}", "Section", tmp_path, monkeypatch)


def test_a_right_readme_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = "## S\n```console\n$ seq 3 | tee file\n1\n...\n3\n$ echo 'a    b'\na b\n```\n"
    readme += "```python\n>>> x = open('file').read()\n```\n```python\n>>> x\n'1\\n2...'\n```\n"
    check_section(readme, "S", tmp_path, monkeypatch)
