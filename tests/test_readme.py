"""README.md and the manual are true: every command in them is run, and what it prints is what the page says.

A `##` section is a session of its own, started in an empty folder; its blocks run in order. In a console block,
`$ ` begins a command and the lines after it are what it prints; a python block is a doctest. A block whose first line
is `# NAME` with an ending is that file of the session. `...` stands for anything, and so many spaces as the page has
stand for any number of them: a column is as wide as the times in it.
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
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

import convpipe as cp
from convpipe.cli.commands import COMMANDS, TABLE
from convpipe.config.help import MANUAL, WIDTH, topics
from convpipe.config.keys import keys
from convpipe.config.tree import GROUPS
from convpipe.ops import OPERATIONS
from convpipe.ops.kinds.operation import stands_alone
from convpipe.sources import SOURCES

CHECKOUT = Path(__file__).resolve().parents[1]
README = "README.md"
PAGES = {README: CHECKOUT / README, **{path.name: path for path in sorted(MANUAL.glob("*.md"))}}
TEXTS = {page: path.read_text(encoding="utf-8") for page, path in PAGES.items()}
CHECKED = ("console", "python")
# What a section needs beside the package: modules, and the extra that brings them.
EXTRAS = {
    ("10_numbers.md", "Pictures"): (["PIL"], "image"),
    ("30_networks.md", "Digits"): (["sklearn"], "digits"),
    ("70_extending.md", "A package of your own"): (["hatchling", "pip"], "test"),
}
# The one-line commands: .ci/run runs them (see test_ci.py).
INSTALLING = ("Run it", "Test it")


@dataclass(frozen=True)
class Block:
    """A fenced block: its page and section, its language, and where it starts."""

    page: str
    section: str
    language: str
    line: int
    text: str

    @property
    def file(self) -> str | None:
        """The name of the file that it shows, if it shows one."""
        named = re.match(r"# (\w+\.\w+)\n", self.text)
        return named[1] if named else None

    @property
    def where(self) -> str:
        """Where it starts, for a message."""
        return f"{self.page}:{self.line}"


def blocks(page: str, text: str) -> Iterator[Block]:
    """Every fenced block of a page."""
    section, opened = "", None
    inside: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if opened is not None and line == "```":
            yield Block(page, section, opened[0], opened[1], "\n".join(inside) + "\n")
            opened = None
        elif opened is not None:
            inside.append(line)
        elif line.startswith("```"):
            opened, inside = (line.removeprefix("```"), number), []
        elif line.startswith("## "):
            section = line.removeprefix("## ")
    assert opened is None, f"{page}:{opened}: a block that is not closed"


def commands(block: Block) -> Iterator[tuple[int, str, str]]:
    """The (line, command, expected output) of a console block."""
    lines = block.text.splitlines()
    assert lines[0].startswith("$ "), f"{block.where}: a console block starts with a command"
    starts = [index for index, line in enumerate(lines) if line.startswith("$ ")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield block.line + 1 + start, lines[start].removeprefix("$ "), "\n".join(lines[start + 1 : end])


def narrowed(text: str) -> str:
    """Text with single spaces and no empty ends."""
    lines = (re.sub(r"[ \t]+", " ", line).rstrip() for line in text.splitlines())
    return "\n".join(lines).strip("\n") + "\n"


def agrees(expected: str, printed: str) -> bool:
    """Whether a command printed what the page expects of it."""
    return doctest.OutputChecker().check_output(narrowed(expected), narrowed(printed), doctest.ELLIPSIS)


# What the programs of a session are: this interpreter and this checkout. pip asks nobody, and has a place of its own.
PIP = '-m pip "$@" -q --no-deps --no-index --no-build-isolation --disable-pip-version-check --target'


def session_environment(folder: Path) -> dict[str, str]:
    """An environment in which `convpipe` and `python` are this interpreter and this checkout."""
    folder.mkdir()
    installed = folder / "installed"
    programs = {"convpipe": '-m convpipe "$@"', "python": '"$@"', "pip": f'{PIP} "{installed}"'}
    for name, arguments in programs.items():
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}\n')
        program.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CONVPIPE_")}
    path, modules = f"{folder}{os.pathsep}{kept['PATH']}", f"{CHECKOUT}{os.pathsep}{installed}"
    return {**kept, "PATH": path, "PYTHONPATH": modules, "LC_ALL": "C.UTF-8"}


def check_console(block: Block, folder: Path, environment: dict[str, str]) -> None:
    """Run a console block's commands; each must succeed and print what the page says."""
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
        assert done.returncode == 0, f"{block.page}:{line}: {command}: exit {done.returncode}\n{done.stdout}"
        told = f"{block.page}:{line}: {command}\nprinted\n{done.stdout}\nnot\n{expected}"
        assert agrees(expected, done.stdout), told


def check_python(block: Block, names: dict[str, Any]) -> None:
    """Run a python block as a doctest; it leaves its names for the next."""
    test = doctest.DocTestParser().get_doctest(block.text, names, block.page, block.page, block.line)
    report: list[str] = []
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=report.append, clear_globs=False)
    assert result.attempted, f"{block.where}: a python block without >>>"
    assert not result.failed, "".join(report)
    names.update(test.globs)


def check_section(page: str, text: str, section: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run all blocks of a section, in order, in one folder."""
    environment = session_environment(folder / "bin")
    session = folder / "session"
    session.mkdir()
    monkeypatch.chdir(session)
    names: dict[str, Any] = {}
    for block in blocks(page, text):
        if block.section != section:
            continue
        if block.file is not None:
            (session / block.file).write_text(block.text)
        elif block.language == "console":
            check_console(block, session, environment)
        elif block.language == "python":
            check_python(block, names)


BLOCKS = [block for page, text in TEXTS.items() for block in blocks(page, text)]
SECTIONS = sorted({(block.page, block.section) for block in BLOCKS if block.language in CHECKED})


@pytest.mark.parametrize(("page", "section"), SECTIONS, ids=[": ".join(names) for names in SECTIONS])
def test_a_section_prints_what_it_says(
    page: str, section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules, extra = EXTRAS.get((page, section), ([], ""))
    if not all(map(find_spec, modules)):
        pytest.skip(f"{section} needs the extra: {extra}")
    check_section(page, TEXTS[page], section, tmp_path, monkeypatch)


def test_every_block_is_checked() -> None:
    others = [block for block in BLOCKS if block.language not in CHECKED and block.file is None]
    assert [(block.page, block.section, block.language) for block in others] == [
        (README, section, "bash") for section in INSTALLING
    ]


def test_every_file_is_read_by_what_comes_after_it() -> None:
    last = {(block.page, block.section): block for block in BLOCKS}
    assert [block.where for block in last.values() if block.file is not None] == []
    assert len([block for block in BLOCKS if block.file is not None]) > 5


def test_the_test_extra_brings_what_the_sections_need() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    (brought,) = re.findall(r"convpipe\[(.*)\]", " ".join(project["optional-dependencies"]["test"]))
    assert {extra for _, extra in EXTRAS.values()} <= {*brought.split(","), "test"}
    assert set(EXTRAS) <= set(SECTIONS)


def tables(heading: str) -> list[list[list[str]]]:
    """The tables of all pages whose first column has that heading: each its rows of cells."""
    found = re.findall(rf"^\| {heading} +\|.*\n\|[-|]+\|\n((?:\|.*\n)+)", "\n".join(TEXTS.values()), re.MULTILINE)
    return [[line.strip("|").split("|") for line in rows.splitlines()] for rows in found]


def named(cell: str) -> list[str]:
    """The words of a cell that are names."""
    return re.findall(r"`(\w+)`", cell)


def test_every_extra_that_there_is_has_a_row() -> None:
    extras = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (rows,) = tables("extra")
    assert {name for row in rows for name in named(row[0])} == set(extras) - {"test", "dev"}


# The manual


def test_readme_lists_every_topic_with_its_title() -> None:
    (rows,) = tables("topic")
    assert [name for names, _ in rows for name in named(names)] == list(topics())
    titles = [text.partition("\n")[0].removeprefix("# ") for page, text in TEXTS.items() if page != README]
    assert [title.strip() for _, title in rows] == titles


@pytest.mark.parametrize("page", [page for page in PAGES if page != README])
def test_a_page_has_a_title_and_fits_a_terminal(page: str) -> None:
    assert TEXTS[page].startswith("# ")
    assert [line for line in TEXTS[page].splitlines() if len(line) > WIDTH] == []


def test_a_topic_has_no_name_of_something_else() -> None:
    others = {*(key.name for key in keys()), *GROUPS, *OPERATIONS.ours(), *SOURCES.ours(), *COMMANDS}
    assert not others & set(topics())


def test_every_command_is_on_a_page() -> None:
    for command in TABLE:
        assert re.search(rf"\bconvpipe {command.name}\b", "\n".join(TEXTS.values())), command.name


def test_every_function_but_those_of_operations_is_on_the_python_page() -> None:
    objects = {name: getattr(cp, name) for name in cp.__all__}
    others = [name for name, each in objects.items() if not getattr(each, "__module__", "").startswith("convpipe.ops")]
    assert {"run", "conv", "load", "__version__"} <= set(others)
    assert [name for name in others if not re.search(rf"\bcp\.{name}\b", TEXTS["60_python.md"])] == []


def test_every_experiment_is_on_a_page() -> None:
    for path in (CHECKOUT / "conf" / "experiment").glob("*.yaml"):
        assert re.search(rf"\b{path.stem}\b", "\n".join(TEXTS.values())), path.stem


def test_every_layer_and_its_settings_are_in_the_table_of_layers() -> None:
    (rows,) = tables("layer")
    layers = [name for name in OPERATIONS.ours() if stands_alone(OPERATIONS.get("op", name))]
    assert sorted(name for names, *_ in rows for name in named(names)) == sorted(layers)
    for names, _, settings in rows:
        fields = {field for name in named(names) for field in signature(OPERATIONS.get("op", name)).parameters}
        assert set(named(settings)) - {"inputs"} <= fields, names  # which are any layer's


def test_every_stage_is_in_the_table_of_stages() -> None:
    (rows,) = tables("stage")
    stages = [name for name in OPERATIONS.ours() if not stands_alone(kind := OPERATIONS.get("op", name)) and kind.stage]
    assert sorted(name for names, *_ in rows for name in named(names)) == sorted(stages)


def test_the_installing_commands_are_one_line_each() -> None:
    run, test = (block.text for block in BLOCKS if block.language == "bash")
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
    "a file of another content": "```yaml\n# a.yaml\nx: 1\n```\n```console\n$ cat a.yaml\n# a.yaml\nx: 2\n```\n",
}


@pytest.mark.parametrize("readme", PLANTED.values(), ids=PLANTED)
def test_a_wrong_page_is_found(readme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match=r"PAGE\.md"):
        check_section("PAGE.md", f"## Section\n\n{readme}", "Section", tmp_path, monkeypatch)


def test_a_right_page_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = "## S\n```console\n$ seq 3 | tee file\n1\n...\n3\n$ echo 'a    b'\na b\n```\n"
    readme += "```python\n>>> x = open('file').read()\n```\n```python\n>>> x\n'1\\n2...'\n```\n"
    readme += "```toml\n# a.toml\nx = 1\n```\n```console\n$ tail -n 1 a.toml\nx = 1\n```\n"
    check_section("PAGE.md", readme, "S", tmp_path, monkeypatch)
