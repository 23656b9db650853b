"""The house: a room imports only from rooms below its own, and nothing that could run a text.

python tests/test_imports.py     # the rooms, and which reads which
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import convpipe

PACKAGE = Path(convpipe.__file__).parent

# Lowest first: a room imports only from rows above its own. Modules of one room may import each other.
ROOMS = (
    "errors",
    "tensors",
    "fields",
    "geometry",
    "reference",
    "ops",
    "files",
    "sources",
    "archive",
    "graph",
    "execution",
    "config",
    "sweeps",
    "report",
    "api",
    "testing",
    "cli",
    "__main__",
    "weights",
)
TO_COME: set[str] = set()
MOST_ARROWS = 100

HYDRA = {"config", "sweeps", "api", "cli"}
READERS_OF_THE_ORACLE = {"reference", "testing"}
NOT_FOR_THE_ARCHIVE = ("convpipe.ops", "convpipe.graph", "convpipe.sources", "hydra", "omegaconf", "pandas")

FORBIDDEN_MODULES = ("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve", "hydra.utils")
FORBIDDEN_NAMES = ("eval", "exec", "__import__")
FORBIDDEN_ATTRIBUTES = ("instantiate", "get_method", "get_class", "system", "popen", "unsafe_load")
FORBIDDEN_KEYWORDS = ("shell", "allow_pickle")


def sources(package: Path = PACKAGE) -> Iterator[tuple[str, ast.Module]]:
    """Every module of the package by its dotted name below it, parsed."""
    for path in sorted(package.rglob("*.py")):
        name = ".".join(path.relative_to(package).with_suffix("").parts).removesuffix(".__init__")
        yield name, ast.parse(path.read_text(), str(path))


def imported(tree: ast.Module) -> Iterator[str]:
    """The dotted names a module imports, wherever in it, for type checkers only or not."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(name: str) -> str:
    """The room a module of the package is in."""
    return name.split(".")[0]


def row(name: str) -> int:
    """The row of a module's room.

    Raises:
        ValueError: it has none.
    """
    if room(name) not in ROOMS:
        raise ValueError(f"convpipe.{name} has no row in ROOMS")
    return ROOMS.index(room(name))


MODULES = dict(sources())


# The import graph


@dataclass(frozen=True, order=True)
class Arrow:
    """One module of the package imports from another, or a room does."""

    reader: str
    read: str

    @property
    def rooms(self) -> Arrow:
        return Arrow(room(self.reader), room(self.read))

    @property
    def is_up(self) -> bool:
        """Whether it leads to another room that is not below. The package itself, `__init__`, may read all."""
        inside = room(self.reader) == room(self.read)
        return self.reader != "__init__" and not inside and row(self.read) >= row(self.reader)

    def __str__(self) -> str:
        return f"{self.reader} -> {self.read}"


def arrows_of(name: str, tree: ast.Module) -> set[Arrow]:
    """From a module to those modules of the package that it imports, or a name of."""
    own = (found.removeprefix("convpipe.") for found in imported(tree) if found.startswith("convpipe."))
    return {Arrow(name, module_of(found)) for found in own}


def module_of(name: str) -> str:
    """The module that a dotted name is, or is in; the name as it is where there is none."""
    parts = name.split(".")
    starts = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((start for start in starts if start in MODULES), name)


def up(name: str, tree: ast.Module) -> list[str]:
    """The arrows from a module that lead up."""
    return [str(arrow) for arrow in sorted(arrows_of(name, tree)) if arrow.is_up]


def arrows() -> set[Arrow]:
    """All arrows of the package between modules."""
    return {arrow for name, tree in MODULES.items() for arrow in arrows_of(name, tree) if arrow.read != arrow.reader}


def between_rooms() -> set[Arrow]:
    """All arrows of the package from one room to another."""
    return {arrow.rooms for arrow in arrows() if arrow.rooms.reader != arrow.rooms.read}


def print_graph() -> None:
    """Every room with its modules and the rooms it reads, the sums, and the arrows that lead up."""
    there = [name for name in (*ROOMS, "__init__") if name in map(room, MODULES)]
    for name in there:
        modules = sum(room(module) == name for module in MODULES)
        read = {arrow.read for arrow in between_rooms() if arrow.reader == name}
        print(f"{name:<10} {modules:>3}  {' '.join(sorted(read, key=row))}".rstrip())
    wrong = sorted(arrow for arrow in arrows() if arrow.is_up)
    print(f"{len(there)} rooms, {len(MODULES)} modules, ", end="")
    print(f"{len(between_rooms())} arrows between rooms, {len(arrows())} between modules, {len(wrong)} up")
    for arrow in wrong:
        print("up:", arrow)


def test_every_row_is_a_room_and_every_room_has_its_row() -> None:
    there = {room(name) for name in MODULES} - {"__init__"}
    assert there == set(ROOMS) - TO_COME


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_from_rooms_below(name: str) -> None:
    assert up(name, MODULES[name]) == []


def test_there_are_few_arrows() -> None:
    assert len(between_rooms()) <= MOST_ARROWS


@pytest.mark.parametrize(
    ("name", "text", "wrong"),
    [
        ("errors", "from convpipe.archive.read import load", ["errors -> archive.read"]),
        ("graph.plan", "def f():\n    from convpipe import cli", ["graph.plan -> cli"]),
        ("archive.read", "if TYPE_CHECKING:\n    import convpipe.graph.spec", ["archive.read -> graph.spec"]),
        ("ops.matmul", "from convpipe.sources.random import uniform", ["ops.matmul -> sources.random"]),
        ("archive", "from convpipe import errors, execution", ["archive -> execution"]),
        ("sweeps.sweep", "from convpipe.report import console", ["sweeps.sweep -> report.console"]),
        ("ops.matmul", "from convpipe.ops.padding import pad\nfrom convpipe.errors import ConfigError", []),
        ("archive", "import numpy.linalg\nfrom convpipe import files", []),
        ("__init__", "from convpipe import cli", []),
    ],
)
def test_an_arrow_up_is_found(name: str, text: str, wrong: list[str]) -> None:
    assert up(name, ast.parse(text)) == wrong


def test_a_module_without_a_row_is_found() -> None:
    for name, text in (("utils", "import convpipe.errors"), ("cli", "from convpipe.utils import helper")):
        with pytest.raises(ValueError, match=r"convpipe\.utils.* has no row in ROOMS"):
            up(name, ast.parse(text))


def test_the_graph_is_printed() -> None:
    done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert "archive" in [line.split()[0] for line in lines]
    assert f"{len(between_rooms())} arrows between rooms" in done.stdout


# Who knows what


def test_the_oracle_shares_nothing() -> None:
    read = {arrow.read for arrow in arrows() if room(arrow.reader) == "reference"}
    assert {room(name) for name in read} <= {"reference"}


def test_only_tests_read_the_oracle() -> None:
    assert {room(arrow.reader) for arrow in arrows() if room(arrow.read) == "reference"} <= READERS_OF_THE_ORACLE


def test_only_a_few_rooms_know_hydra() -> None:
    knowing = {
        room(name)
        for name, tree in MODULES.items()
        if any(found.split(".")[0] in ("hydra", "omegaconf") for found in imported(tree))
    }
    assert knowing <= HYDRA


def test_pandas_is_imported_only_where_a_table_is_made() -> None:
    for name, tree in MODULES.items():
        top = ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])
        assert not {"pandas", "matplotlib"} & {found.split(".")[0] for found in imported(top)}, name


@pytest.mark.parametrize("name", [name for name in MODULES if room(name) == "archive"])
def test_the_archive_is_read_without_what_made_it(name: str) -> None:
    code = f"import sys, convpipe.{name}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert f"convpipe.{name}" in loaded
    assert [found for found in loaded if f"{found}.".startswith(tuple(f"{no}." for no in NOT_FOR_THE_ARCHIVE))] == []


# What a text could run


def dangers(tree: ast.Module) -> list[str]:
    """Whatever could run code from a file or a text, or a shell."""
    found = [name for name in imported(tree) if name.startswith(FORBIDDEN_MODULES)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in FORBIDDEN_NAMES:
            found.append(node.id)
        elif isinstance(node, ast.Attribute) and node.attr in FORBIDDEN_ATTRIBUTES and not is_platform(node):
            found.append(node.attr)
        elif isinstance(node, ast.keyword) and node.arg in FORBIDDEN_KEYWORDS and not is_false(node.value):
            found.append(f"{node.arg}=")
    return found


def is_platform(node: ast.Attribute) -> bool:
    """`platform.system` only names the system."""
    return isinstance(node.value, ast.Name) and node.value.id == "platform"


def is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


@pytest.mark.parametrize("name", MODULES)
def test_nothing_runs_a_text(name: str) -> None:
    assert dangers(MODULES[name]) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import pickle", ["pickle"]),
        ("def f():\n    from cloudpickle import loads", ["cloudpickle.loads"]),
        ("eval('1')", ["eval"]),
        ("run = exec", ["exec"]),
        ("from hydra.utils import instantiate", ["hydra.utils.instantiate"]),
        ("hydra.utils.instantiate(config)", ["instantiate"]),
        ("subprocess.run('ls', shell=True)", ["shell="]),
        ("subprocess.run('ls', shell=yes)", ["shell="]),
        ("numpy.load(path, allow_pickle=True)", ["allow_pickle="]),
        ("os.system('ls')", ["system"]),
        ("platform.system()", []),
        ("numpy.load(path, allow_pickle=False)", []),
        ("text = 'eval pickle exec'", []),
    ],
)
def test_a_danger_is_found(text: str, found: list[str]) -> None:
    assert dangers(ast.parse(text)) == found


if __name__ == "__main__":
    print_graph()
