"""convpipe as others get it: from a wheel, from an editable install and from the bare checkout, without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
SHIPPED = ("conf", "convpipe", "tests", "pyproject.toml", "README.md", ".gitignore")
LECTURE_MAP = "[[-9, 1], [0, -7]]"
SHAPES_4D = ("(25,27)", "(6,27)", "(25,6)", "(1,5,5,6)")

pytestmark = [
    pytest.mark.skipif(find_spec("pip") is None, reason="there is no pip to install with"),
    pytest.mark.skipif(find_spec("hatchling") is None, reason="there is no hatchling to build with (the extra: test)"),
]


def run(command: Sequence[object], folder: Path) -> str:
    """What a command prints in a folder; it must succeed, and the checkout under test is not on its path."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def copy_checkout(folder: Path) -> Path:
    """A copy of what a clone has, with a run in it that no package may carry."""
    folder.mkdir()
    for name in SHIPPED:
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, folder / name)
    (folder / "runs" / "mine").mkdir(parents=True)
    (folder / "runs" / "mine" / "output.npy").write_bytes(b"not to be shipped")
    return folder


def build(kind: str, source: Path, target: Path) -> Path:
    """A wheel, editable or sdist of a source tree, made as pip makes it but without a network."""
    call = f"import hatchling.build as backend; backend.build_{kind}({str(target)!r})"
    run([sys.executable, "-c", call], source)
    (made,) = target.iterdir()
    return made


def environment(folder: Path, wheel: Path | None = None) -> Path:
    """A new environment with our dependencies and perhaps a wheel; gives its folder of programs.

    The dependencies come as a plain path: that reads no .pth file of theirs, so an editable install there is not seen.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    programs = folder / "bin"
    if wheel is not None:
        pip = [sys.executable, "-m", "pip", "--python", programs / "python", "install"]
        run([*pip, "-q", "--no-deps", "--no-index", "--no-compile", wheel], folder)
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    site_packages = next(folder.glob("lib/python*/site-packages"))
    (site_packages / "dependencies.pth").write_text("\n".join(sorted(paths)) + "\n")
    return programs


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def check_runs(command: Sequence[object], folder: Path) -> None:
    """The two lecture experiments come out right, and are archived in the folder the command was started in."""
    assert LECTURE_MAP in run(command, folder)
    run([*command, "experiment=lecture_4d"], folder)
    (output,) = folder.glob("runs/lecture_3d/*/output.npy")
    assert np.load(output).dtype == np.int16
    (stages,) = folder.glob("runs/lecture_4d/*/stages.csv")
    assert all(shape in stages.read_text() for shape in SHAPES_4D)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_checkout(tmp_path_factory.mktemp("install") / "checkout")


@pytest.fixture(scope="module")
def wheel(checkout: Path) -> Path:
    return build("wheel", checkout, checkout.parent / "wheel")


def test_an_installed_wheel_runs_from_any_folder(wheel: Path, tmp_path: Path) -> None:
    programs = environment(tmp_path / "venv", wheel)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    where = run([programs / "python", "-c", "import convpipe; print(convpipe.__file__)"], elsewhere)
    assert str(tmp_path / "venv") in where
    check_runs([programs / "convpipe"], elsewhere)
    assert f"{LECTURE_MAP}\n\nreproduced: " in run([programs / "python", "-m", "convpipe"], elsewhere)
    assert run([programs / "convpipe", "help", "numbers"], elsewhere).startswith("# Your own numbers")


def test_the_wheel_carries_the_config_tree_and_nothing_else(checkout: Path, wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
        names = archive.namelist()
    assert files(tmp_path / "convpipe" / "conf") == files(checkout / "conf")
    shutil.rmtree(tmp_path / "convpipe" / "conf")
    assert files(tmp_path / "convpipe") == files(checkout / "convpipe")
    assert {"convpipe/py.typed", "convpipe/manual/10_numbers.md"} <= set(names)
    assert {name.split("/")[0].partition("-")[0] for name in names} <= {"convpipe", "hydra_plugins"}


def test_a_source_distribution_builds_the_same_wheel(checkout: Path, wheel: Path, tmp_path: Path) -> None:
    sdist = build("sdist", checkout, tmp_path / "sdist")
    shutil.unpack_archive(sdist, tmp_path / "source")
    (source,) = (tmp_path / "source").iterdir()
    assert (source / "tests").is_dir()
    assert not (source / "runs" / "mine").exists()
    again = build("wheel", source, tmp_path / "again")
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(again) as second:
        assert {name: first.read(name) for name in first.namelist()} == {
            name: second.read(name) for name in second.namelist()
        }


def test_an_editable_install_reads_the_checkouts_config_tree(tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path / "checkout")
    programs = environment(tmp_path / "venv", build("editable", checkout, tmp_path / "built"))
    (checkout / "conf" / "experiment" / "mine.yaml").write_text("# @package _global_\nname: mine\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    where = "from convpipe.config import tree; print(tree.__file__, tree.config_folder())"
    found = run([programs / "python", "-c", where], elsewhere).split()
    assert found == [str(checkout / "convpipe" / "config" / "tree.py"), str(checkout / "conf")]
    assert LECTURE_MAP in run([programs / "convpipe", "experiment=mine"], elsewhere)
    assert len(list(elsewhere.glob("runs/mine/*/manifest.json"))) == 1


def test_a_checkout_runs_without_an_install(tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path / "checkout")
    programs = environment(tmp_path / "venv")
    check_runs([programs / "python", "-m", "convpipe"], checkout)
