"""Networks of floats archived under one BLAS kernel are reproduced under others, and without some instruction sets.

Each kernel has a process of its own, which is this file run as a program: OPENBLAS_CORETYPE counts when NumPy starts.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CHECKOUT = Path(__file__).parent.parent
DATA = Path(os.environ.get("CONVPIPE_DATA") or CHECKOUT.parent / "shared" / "data")
KERNELS = ("Haswell", "SkylakeX", "Sandybridge", "Nehalem")
FEW = 24  # of MNIST's images
WITHOUT = {"NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL"}
WEIGHTS = ("conv1/filters", "conv2/filters", "dense/weights")
# Runs whose weights are changed, and runs that keep all stages of the same
CHANGED = {"kept": "kept", "layers": "kept", "small": "small", "small_layers": "small"}

RUNS = {
    "tiny": "experiment=tiny input=random input.shape=[4,3,8,8] weights=random keep=output",
    "kept": "experiment=tiny input=random input.shape=[4,3,8,8] weights=random keep=stages",
    "smooth": "experiment=tiny input=random input.shape=[4,3,8,8] input.dtype=float64 weights=random"
    " weights.dtype=float64 network.relu1.op=tanh network.relu2.op=sigmoid network.softmax.op=log_softmax",
    "layers": "experiment=tiny input=random input.shape=[4,3,8,8] weights=random keep=layers",
    "small": "experiment=digits_small keep=stages",
    "small_layers": "experiment=digits_small keep=layers",
    "short": "experiment=digits_small lowering=implicit",
    "simple": "experiment=digits_simple data={data}",
    "deep": "experiment=digits_deep data={data}",
}


def there() -> list[str]:
    """The runs that can be made here."""
    missing = set() if find_spec("sklearn") else {"small", "small_layers", "short"}
    if not all((DATA / name).is_file() for name in ("mnist_t10k.npz", "simple_convnet.npz", "deep_convnet.npz")):
        missing |= {"simple", "deep"}
    return [name for name in RUNS if name not in missing]


def few_images(folder: Path) -> None:
    """The published networks' files, with some of the images."""
    if "deep" not in there():
        return
    images = np.load(DATA / "mnist_t10k.npz")
    np.savez(folder / "mnist_t10k.npz", **{name: images[name][:FEW] for name in images.files})
    for name in ("simple_convnet.npz", "deep_convnet.npz"):
        (folder / name).symlink_to(DATA / name)


# In a process of its own


def answer(task: str, root: Path) -> dict[str, Any]:
    """What this process makes of a task: archives, or how they are reproduced, each with its exit code."""
    return {"archive": archived, "reproduce": reproduced, "change": changed}[task](root)


def archived(root: Path) -> dict[str, Any]:
    import convpipe as cp
    from convpipe.execution.provenance import blas_library

    found = {}
    for name in there():
        words = RUNS[name].format(data=root / "data").split()
        found[name] = str(cp.run(*words, name=name, root=str(root)).folder)
    return {"kernel": blas_library()[1], "runs": found}


def reproduced(root: Path) -> dict[str, Any]:
    import convpipe as cp
    from convpipe.execution.provenance import blas_library

    said = {name: told(lambda folder=folder: cp.reproduce(folder).verdict) for name, folder in folders(root).items()}
    return {"kernel": blas_library()[1], "said": said}


def changed(root: Path) -> dict[str, Any]:
    """One of the larger weights of each layer a thousandth larger: as its hash has it, and behind it."""
    import convpipe as cp
    from convpipe.execution import checks, runner

    make, name = checks.make_arrays, ""

    def arrays(*arguments: Any) -> dict[str, Any]:
        found = {key: array.copy() for key, array in make(*arguments).items()}
        larger(found[name])
        return found

    said: dict[str, Any] = {}
    runner.make_arrays = checks.make_arrays = arrays
    there = folders(root)
    for run, weight in product(CHANGED, WEIGHTS) if "small" in there else product(("kept", "layers"), WEIGHTS):
        name = weight.replace("dense/", "dense1/") if run.startswith("small") else weight
        folder = Path(there[run])
        said[f"{run} {name}"] = told(lambda folder=folder: cp.reproduce(folder).verdict)
        behind = behind_its_hash(folder, Path(there[CHANGED[run]]), root / f"{run}-{name}" / folder.name, name)
        said[f"{run} {name} behind"] = told(lambda folder=behind: cp.reproduce(folder).verdict)
    return said


def behind_its_hash(folder: Path, full: Path, copy: Path, name: str) -> Path:
    """An archive whose rows of a weight, and of the matrix that it is laid out as, say what the changed one has."""
    import shutil

    from run_cases import reseal

    from convpipe.archive.format import stage_row
    from convpipe.archive.read import load
    from convpipe.files.npy import array_sha256

    shutil.copytree(folder, copy, dirs_exist_ok=True)
    for stage in (name, name.replace("/filters", "/fil2col")):
        (row,) = (row for row in load(copy).rows if row["stage"] == stage)
        values = load(full).array(stage)
        larger(values)
        if row["file"]:
            np.save(copy / row["file"], values)
        fresh = stage_row("", "", values, 0, array_sha256(values), "")
        other = {key: str(fresh[key]) for key in ("min", "max", "sha256")}
        set_row(copy, stage, other)
    reseal(copy)
    return copy


def set_row(folder: Path, stage: str, cells: dict[str, str]) -> None:
    """Change a row of stages.csv."""
    from run_cases import edit_rows

    edit_rows(folder, lambda row: row.update(cells) if row["stage"] == stage else None)


def larger(values: np.ndarray) -> None:
    """A thousandth more in the largest weight."""
    flat = values.reshape(-1)
    flat[int(np.abs(flat).argmax())] *= flat.dtype.type(1.001)


def told(call: Any) -> list[Any]:
    """An exit code, and what was said."""
    from convpipe.errors import ConvpipeError

    try:
        return [0, call()]
    except ConvpipeError as error:
        return [error.exit_code, str(error)]


def folders(root: Path) -> dict[str, str]:
    """The archives that the first process made."""
    found: dict[str, str] = json.loads((root / "archives.json").read_text())["runs"]
    return found


# The tests


def process(task: str, root: Path, environment: dict[str, str]) -> dict[str, Any]:
    """A task in a process with other settings of BLAS and NumPy."""
    variables = {**os.environ, "PYTHONPATH": f"{CHECKOUT}{os.pathsep}{CHECKOUT / 'tests'}", **environment}
    done = subprocess.run(
        [sys.executable, __file__, task, str(root)],
        env=variables,
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with archives of the first kernel."""
    folder = tmp_path_factory.mktemp("kernels")
    (folder / "data").mkdir()
    few_images(folder / "data")
    made = process("archive", folder, {"OPENBLAS_CORETYPE": KERNELS[0]})
    (folder / "archives.json").write_text(json.dumps(made))
    if made["kernel"] != KERNELS[0]:
        pytest.skip(f"NumPy's BLAS here does not choose a kernel by OPENBLAS_CORETYPE: {made['kernel']}")
    return folder


@pytest.mark.parametrize("kernel", KERNELS)
def test_networks_are_reproduced_under_another_kernel(kernel: str, root: Path) -> None:
    answer = process("reproduce", root, {"OPENBLAS_CORETYPE": kernel})
    if answer["kernel"] != kernel:
        pytest.skip(f"this processor runs no {kernel}")
    for name, (code, said) in answer["said"].items():
        assert code == 0, f"{name}: {said}"
        if kernel == KERNELS[0]:
            assert said == "reproduced"
    if kernel != KERNELS[0]:
        within = [name for name, (_, said) in answer["said"].items() if said.startswith("reproduced within 0")]
        assert len(within) >= min(4, len(answer["said"])), answer["said"]


def test_networks_are_reproduced_without_some_instruction_sets(root: Path) -> None:
    answer = process("reproduce", root, {"OPENBLAS_CORETYPE": KERNELS[0], **WITHOUT})
    for name, (code, said) in answer["said"].items():
        assert code == 0, f"{name}: {said}"


@pytest.mark.parametrize("environment", [*({"OPENBLAS_CORETYPE": name} for name in KERNELS[1:]), WITHOUT], ids=str)
def test_a_changed_weight_is_found(environment: dict[str, str], root: Path) -> None:
    answers = process("change", root, {"OPENBLAS_CORETYPE": KERNELS[0], **environment})
    assert len(answers) >= 6
    for name, (code, said) in answers.items():
        _, weight, *behind = name.split()
        assert code == 3, f"{name}: {said}"
        stage = f"{weight.partition('/')[0]}(/matmul|/transpose)?" if behind else weight
        expected = f"stage '{stage}' differs: "
        assert re.search(expected, said), f"{name}: {said}"
        if behind and environment is not WITHOUT:
            assert "times the float bound allows" in said, f"{name}: {said}"
            assert "made of what is archived before it" in said, f"{name}: {said}"


if __name__ == "__main__":
    print(json.dumps(answer(sys.argv[1], Path(sys.argv[2]))))
