"""Operations of installed packages: a small one is built, installed into a new environment, and run from YAML."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from test_install import build, checkout, environment, pytestmark, run, wheel  # noqa: F401 - fixtures and the skip

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "{name}"
version = "1.2"
[project.entry-points."convpipe.ops"]
power = "{name}:Power"
relu = "{name}:NotRelu"
not_one = "{name}:field"
gone = "{name}:Gone"
[project.entry-points."convpipe.sources"]
ramp = "{name}:Ramp"
integers = "{name}:Ramp"
"""
CODE = '''
"""Powers of cells."""

from convpipe.errors import ConfigError
from convpipe.fields import field, whole
from convpipe.ops import Operation, like
from convpipe.sources import Request, Source
from convpipe.tensors import Signature
import numpy as np


class Power(Operation):
    """x to a whole power, in the dtype of x."""

    exponent: int = field(whole(1), 2)

    def plan(self, x):
        if x.dtype.kind == "f":
            raise ConfigError("x", x.dtype, "integers")
        return like(x)

    def run(self, x):
        return x**self.exponent


class Ramp(Source):
    """0, by, 2 * by ... in the shape asked for, as an input in 4 x 4."""

    roles = ("input", "bias")
    by: int = field(whole(), 1, under={"bias": 2})

    def signature(self, request=Request()):
        return Signature(request.shape or (1, 3, 4, 4), np.dtype("int64"))

    def make(self, signature, bits, entry=""):
        return self.by * np.arange(np.prod(signature.shape)).reshape(signature.shape)


class NotRelu(Operation):
    """Nothing that relu does."""

    def run(self, x):
        return -x
'''
CHECK = """
import numpy as np
from convpipe.sources import Request
from convpipe.testing import check_operation, check_source
from powers import Power, Ramp
assert check_source(Ramp, "bias", {"source": "ramp"}, Request((3,))).tolist() == [0, 2, 4]
check_operation(Power, {"exponent": 3}, np.arange(-8, 8).reshape(2, 2, 2, 2), oracle=lambda x, exponent: x * x * x)
print("conforms")
"""
STAGES = "lowering.stages=[pad,im2col,fil2col,matmul,{power:{exponent:3}},relu,reshape]"


def package(name: str, folder: Path) -> Path:
    """The wheel of a package of that name."""
    source = folder / name
    (source / name).mkdir(parents=True)
    (source / "pyproject.toml").write_text(PROJECT.format(name=name))
    (source / name / "__init__.py").write_text(CODE)
    return build("wheel", source, folder / f"{name}_wheel")


def install(made: Path, programs: Path) -> None:
    """Add a package to an environment, as pip would."""
    run([programs / "python", "-m", "pip", "install", "-q", "--no-deps", "--no-index", made], made.parent)


def refused(programs: Path, folder: Path, *words: str) -> str:
    """The one line that a command is refused with."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(
        [programs / "convpipe", *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    return line


def test_an_installed_package_brings_an_operation(wheel: Path, tmp_path: Path) -> None:  # noqa: F811
    programs = environment(tmp_path / "venv", wheel)
    install(package("powers", tmp_path), programs)
    assert "conforms" in run([programs / "python", "-c", CHECK], tmp_path)

    assert "power" in run([programs / "convpipe", STAGES, "name=mine"], tmp_path)
    (made,) = (tmp_path / "runs/mine").glob("*/output.npy")
    assert np.load(made)[0, :, :, 0].tolist() == [[0, 1], [0, 0]]  # (-9, 1, 0, -7) cubed, and ours is the relu
    assert json.loads((made.parent / "manifest.json").read_text())["operations"] == {"power": "powers 1.2"}
    assert "power: {exponent: 3}" in (made.parent / "config.yaml").read_text()
    assert "reproduced" in run([programs / "convpipe", "reproduce", made.parent], tmp_path)

    layers = "network={a:{op:power,exponent:3},b:{op:flatten}}"
    words = ["filters=none", "conv=none", "name=net", layers]
    run([programs / "convpipe", *(f"+{word}" if word == layers else word for word in words)], tmp_path)
    (output,) = (tmp_path / "runs/net").glob("*/output.npy")
    assert np.load(output).max() == 27
    line = refused(programs, tmp_path, "explain", str(output.parent), "--layer=a", "--at=0,0,0,0")
    assert line.startswith("convpipe: explain: got power, expected an operation that says how its cells come about")

    for role in ("input", "filters"):
        (tmp_path / "mine" / role).mkdir(parents=True)
        (tmp_path / "mine" / role / "ramp.yaml").write_text("source: ramp\nby: 3\n")
    words = ["--config-dir", tmp_path / "mine", "name=ramp", "keep=stages"]
    run([programs / "convpipe", *words, "input=ramp"], tmp_path)
    (given,) = (tmp_path / "runs/ramp").glob("*/*_input.npy")
    assert np.load(given).ravel().tolist() == list(range(0, 144, 3))
    assert json.loads((given.parent / "manifest.json").read_text())["sources"] == {"ramp": "powers 1.2"}
    without = ["name=bare", "keep=stages", "input=ramp", "input.by=3"]  # needs no file: it is a choice by itself
    run([programs / "convpipe", *without], tmp_path)
    assert (tmp_path / "runs" / "bare" / given.parent.name).is_dir()
    (tmp_path / "file.yaml").write_text("input: ramp\ninput.by: 3\n")
    assert f"runs/file/{given.parent.name}" in run([programs / "convpipe", "file.yaml", "keep=stages"], tmp_path)
    line = refused(programs, tmp_path, *map(str, words), "filters=ramp")
    assert line.endswith("(ramp is for input, bias)")

    key = r"lowering.stages[0]: got"
    assert refused(programs, tmp_path, "lowering.stages=[not_one]").startswith(f"convpipe: {key} not_one, expected a c")
    assert "powers 1.2" in refused(programs, tmp_path, "lowering.stages=[gone]")
    assert "did you mean power?" in refused(programs, tmp_path, "lowering.stages=[powr]")
    assert "expected integers; it reads float32" in refused(
        programs, tmp_path, "input=random", "lowering.stages=[pad,power]"
    )

    install(package("stronger", tmp_path), programs)
    line = refused(programs, tmp_path, "lowering.stages=[pad,power]")
    assert line.endswith("got power, expected a name that one installed package has, not powers 1.2 and stronger 1.2")
    run([programs / "convpipe", "lowering.stages=[pad,relu]"], tmp_path)  # ours, whoever else has the name


@pytest.mark.parametrize("name", ["os", "convpipe.cli.main", "kinds", "arrays", "../clip", "Clip", ""])
def test_only_files_of_operations_are_names(name: str) -> None:
    from convpipe.ops import OPERATIONS

    assert OPERATIONS.find(name) is None
