"""Which code makes a run: of ours the rooms that can change a value, and the packages whose parts the run names."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from run_cases import a_place, a_run, a_spec, execute, network_spec
from test_imports import ROOMS as ALL_ROOMS, between_rooms

from convpipe.execution import code, provenance, runner
from convpipe.execution.code import code_of, package_sha256
from convpipe.ops.kinds import registry

PACKAGE = '''
from convpipe.ops import Operation, like

class Twice(Operation):
    """Every cell twice."""

    def plan(self, x):
        return like(x)

    def run(self, x):
        return 2 * x
'''
STAGES = ["pad", "im2col", "fil2col", "matmul", "twice", "reshape"]


# Ours


def test_every_room_that_a_run_goes_through_counts() -> None:
    reached, more = {"execution"}, {"execution"}
    while more:
        more = {arrow.read for arrow in between_rooms() if arrow.reader in reached} - reached
        reached |= more
    assert reached == set(provenance.ROOMS)


def test_what_only_asks_and_shows_does_not_count() -> None:
    others = set(ALL_ROOMS) - set(provenance.ROOMS)
    assert others == {"reference", "report", "sweeps", "api", "cli", "config", "testing", "weights", "__main__"}


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small package whose code is hashed as if it were ours."""
    for room in ("errors", "tensors", "fields"):
        (tmp_path / f"{room}.py").write_text("1")
    for room in provenance.ROOMS[3:]:
        (tmp_path / room / "within").mkdir(parents=True)
        (tmp_path / room / "within" / "a.py").write_text("1")
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "execution" / "provenance.py"))
    return tmp_path


@pytest.mark.parametrize("room", provenance.ROOMS)
def test_each_byte_of_a_room_counts(room: str, copy: Path) -> None:
    before = provenance.code_sha256()
    path = copy / f"{room}.py" if (copy / f"{room}.py").exists() else copy / room / "within" / "a.py"
    path.write_text("2")
    assert provenance.code_sha256() != before
    path.write_text("1")
    assert provenance.code_sha256() == before


@pytest.mark.parametrize("name", ["report/a.py", "api.py", "cli/main.py", "ops/notes.txt", "ops/__pycache__/a.py"])
def test_what_lies_elsewhere_does_not(name: str, copy: Path) -> None:
    before = provenance.code_sha256()
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).write_text("3")
    assert provenance.code_sha256() == before


def test_a_name_counts(copy: Path) -> None:
    before = provenance.code_sha256()
    (copy / "ops" / "within" / "a.py").rename(copy / "ops" / "a.py")
    assert provenance.code_sha256() != before


def test_the_version_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_of()
    monkeypatch.setattr(provenance, "VERSION", "9.9")
    forget()
    assert code_of() != before
    monkeypatch.undo()
    forget()
    assert code_of() == before


# Other packages


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package that brings the operation `twice`, where it can be edited: as one that is installed in place."""
    name = "twice_package"
    folder = tmp_path / "elsewhere" / name
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(PACKAGE)
    (folder / "tables.py").write_text("FACTOR = 2\n")
    monkeypatch.syspath_prepend(str(folder.parent))
    entry = EntryPoint("twice", f"{name}:Twice", "convpipe.ops")
    real: Callable[[str], list[EntryPoint]] = registry.installed
    monkeypatch.setattr(registry, "installed", lambda group: [*real(group), *([entry] if entry.group == group else [])])
    importlib.invalidate_caches()
    forget()
    yield folder
    forget()
    sys.modules.pop(name, None)


def forget() -> None:
    """As another process would, which asks anew."""
    code_of.cache_clear()
    registry.origins.cache_clear()


def codes(*changes: dict[str, Any]) -> list[str]:
    return [runner.prepare(a_spec(change), 1 << 30).code for change in changes]


def test_a_package_counts_where_the_run_names_it(installed: Path) -> None:
    plain, named = codes({}, {"lowering.stages": STAGES})
    assert plain == code_of()
    assert named != plain
    (installed / "tables.py").write_text("FACTOR = 3\n")
    forget()
    assert codes({}, {"lowering.stages": STAGES}) == [plain, codes({"lowering.stages": STAGES})[0]]
    assert codes({"lowering.stages": STAGES}) != [named]
    (installed / "tables.py").write_text("FACTOR = 2\n")
    forget()
    assert codes({}, {"lowering.stages": STAGES}) == [plain, named]


def test_a_layer_counts_as_a_stage_does(installed: Path) -> None:
    spec = network_spec({"a": {"op": "twice"}, "b": {"op": "relu"}})
    found = runner.prepare(spec, 1 << 30)
    assert found.named[0] == ("twice", "relu", "twice", "relu")
    assert found.code == codes({"lowering.stages": STAGES})[0]


def test_an_edited_package_is_other_code(installed: Path, tmp_path: Path) -> None:
    place, spec = a_place(tmp_path / "c"), a_spec({"lowering.stages": STAGES})
    run = execute(spec, place).run
    a_run(tmp_path / "c")
    assert run.manifest["operations"] == {"twice": "twice_package:Twice"}
    assert runner.standing(runner.prepare(spec, 1 << 30), place).standing.value == "there before"
    (installed / "tables.py").write_text("FACTOR = 1 + 1\n")
    forget()
    assert runner.standing(runner.prepare(spec, 1 << 30), place).standing.value == "other code"
    assert runner.standing(runner.prepare(a_spec(), 1 << 30), place).standing.value == "there before"
    assert execute(spec, place).verdict == "reproduced"
    assert runner.standing(runner.prepare(spec, 1 << 30), place).standing.value == "there before"


@pytest.mark.parametrize("change", ["edit", "add", "data", "compiled"])
def test_the_files_of_a_package(change: str, installed: Path) -> None:
    entry = EntryPoint("twice", "twice_package:Twice", "convpipe.ops")
    before = package_sha256(entry)
    (installed / "__pycache__").mkdir()
    paths = {"edit": "__init__.py", "add": "more.py", "data": "table.bin", "compiled": "__pycache__/tables.pyc"}
    (installed / paths[change]).write_text("# changed")
    assert (package_sha256(entry) == before) == (change == "compiled")


def test_a_package_of_one_file_and_one_that_is_gone(installed: Path) -> None:
    (installed.parent / "single_file.py").write_text("1")
    importlib.invalidate_caches()
    entry = EntryPoint("x", "single_file:X", "convpipe.ops")
    before = package_sha256(entry)
    (installed.parent / "single_file.py").write_text("2")
    assert package_sha256(entry) != before
    gone = EntryPoint("x", "nowhere_at_all.within:X", "convpipe.ops")
    assert package_sha256(gone) == package_sha256(gone)


def test_the_modules_that_come_with_an_installed_package() -> None:
    from importlib.metadata import distribution

    (entry, *_) = [each for each in distribution("pytest").entry_points if each.group == "console_scripts"]
    assert {"pytest", "_pytest"} <= code.top_levels(entry)
    assert all(name.isidentifier() for name in code.top_levels(entry))
