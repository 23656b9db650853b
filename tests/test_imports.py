"""The order of the package: a module imports only from rows above its own, and nothing that could run a text."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import convpipe

PACKAGE = Path(convpipe.__file__).parent

# Lowest first. Modules of one row, such as those of a sub-package, may import each other.
ORDER = (
    "errors",
    "latest",
    "expressions",
    "plainyaml",
    "fields",
    "geometry",
    "step",
    "ops",
    "reference",
    "reference_layers",
    "evaluation",
    "npyfile",
    "npzfile",
    "images",
    "sources",
    "lowerings",
    "layers",
    "spec",
    "plan",
    "network",
    "planner",
    "pipeline",
    "functions",
    "provenance",
    "staging",
    "archive",
    "reproduce",
    "given",
    "bounds",
    "collection",
    "views",
    "runner",
    "recall",
    "hydra_errors",
    "hydra_safety",
    "config",
    "report",
    "sweep",
    "plugins",
    "tools",
    "flags",
    "commands",
    "cli",
    "__main__",
)
HYDRA = ("config", "sweep", "plugins", "cli", "flags", "hydra_errors", "hydra_safety")
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


def row(name: str) -> int:
    """The row of a module of the package, by its first part.

    Raises:
        ValueError: it has none.
    """
    first = name.split(".")[0]
    if first not in ORDER:
        raise ValueError(f"convpipe.{name} has no row in ORDER")
    return ORDER.index(first)


def wrong_imports(name: str, tree: ast.Module) -> list[str]:
    """What a module imports from the package though it is not above its own row."""
    own = [found.removeprefix("convpipe.") for found in imported(tree) if found.split(".")[0] == "convpipe"]
    package = name.split(".")[0]
    if name == "__init__":
        return []
    return [found for found in own if row(found) >= row(name) and found.split(".")[0] != package]


MODULES = dict(sources())


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_from_rows_above(name: str) -> None:
    assert name == "__init__" or row(name) >= 0
    assert wrong_imports(name, MODULES[name]) == []


@pytest.mark.parametrize(
    ("name", "text", "wrong"),
    [
        ("errors", "from convpipe.archive import load", ["archive.load"]),
        ("plan", "def f():\n    from convpipe import cli", ["cli"]),
        ("plan", "if TYPE_CHECKING:\n    import convpipe.archive", ["archive"]),
        ("ops.matmul", "from convpipe.sources.random import uniform", ["sources.random.uniform"]),
        ("reproduce", "from convpipe import archive, runner", ["runner"]),
        ("ops.matmul", "from convpipe.ops.padding import pad\nfrom convpipe.errors import ConfigError", []),
        ("archive", "import numpy.linalg\nfrom convpipe import spec", []),
    ],
)
def test_a_wrong_import_is_found(name: str, text: str, wrong: list[str]) -> None:
    assert wrong_imports(name, ast.parse(text)) == wrong


def test_a_module_without_a_row_is_found() -> None:
    for name, text in (("utils", "import convpipe.errors"), ("cli", "from convpipe.utils import helper")):
        with pytest.raises(ValueError, match=r"convpipe\.utils.* has no row in ORDER"):
            wrong_imports(name, ast.parse(text))


def test_the_oracle_shares_nothing() -> None:
    assert [name for name in imported(MODULES["reference"]) if name.startswith("convpipe")] == []


def test_only_a_few_modules_know_hydra() -> None:
    knowing = {
        name.split(".")[0]
        for name, tree in MODULES.items()
        if any(found.split(".")[0] in ("hydra", "omegaconf") for found in imported(tree))
    }
    assert knowing <= set(HYDRA)


def test_pandas_is_imported_only_where_a_table_is_made() -> None:
    for name, tree in MODULES.items():
        top = ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])
        assert not {"pandas", "matplotlib"} & {found.split(".")[0] for found in imported(top)}, name


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
