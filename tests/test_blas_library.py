"""The BLAS that the archive names is NumPy's own, whichever other packages brought one; and the C library is named."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import CHECKOUT

from convpipe.execution import provenance
from convpipe.execution.provenance import blas_library, c_library

NUMPY = Path(np.__file__).resolve().parent
PACKAGES = NUMPY.parent
SYSTEM = "/usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblasp-r0.3.21.so"
ELSEWHERE = "/home/me/.local/lib/python3.11/site-packages"


class Pools:
    """What threadpoolctl would find of libraries at these places, each with its place as its version."""

    def __init__(self, *libraries: str) -> None:
        self.libraries = libraries

    def info(self) -> list[dict[str, Any]]:
        openmp = {"user_api": "openmp", "internal_api": "openmp", "version": None, "filepath": f"{NUMPY}/libgomp.so"}
        return [openmp, *(self.pool(library) for library in self.libraries)]

    def pool(self, library: str) -> dict[str, Any]:
        kind = "mkl" if "mkl" in library else "openblas"
        found = {"user_api": "blas", "internal_api": kind, "version": library, "filepath": library}
        return found if kind == "mkl" else found | {"architecture": f"kernel of {library}"}


def named(monkeypatch: pytest.MonkeyPatch, *libraries: str) -> tuple[str, str]:
    """What is recorded where these BLAS libraries are loaded, in this order."""
    monkeypatch.setattr(provenance, "thread_pools", lambda: Pools(*libraries))
    return blas_library()


OTHERS = [
    f"{PACKAGES}/scipy.libs/libscipy_openblas-1.so",
    f"{PACKAGES}/scikit_learn.libs/libopenblas.so",
    f"{PACKAGES}/scipy/.dylibs/libopenblas.0.dylib",
    f"{PACKAGES}/torch/lib/libmkl_rt.so",
    f"{PACKAGES}/numpy_financial.libs/libopenblas.so",
    f"{PACKAGES}/numpyro/libopenblas.so",
    f"{ELSEWHERE}/torch/lib/libopenblas.so.0",
    "/usr/lib/python3/dist-packages/scipy/libopenblas.so",
    "/opt/target/scipy.libs/libopenblas.so",
    f"{ELSEWHERE}/numpy.libs/libopenblas.so",  # of a NumPy that is not the one that was imported
]


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize(
    "own",
    [
        f"{NUMPY}.libs/libscipy_openblas64_-1.so",
        f"{NUMPY}/.dylibs/libscipy_openblas64_.dylib",
        f"{NUMPY}/DLLs/libopenblas.dll",
        SYSTEM,
        "/opt/conda/lib/libopenblas.so",
    ],
)
def test_numpys_library_is_named_before_or_after_another_is_loaded(
    own: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = (f"openblas {own}", f"kernel of {own}")
    for loaded in ((own,), (own, other), (other, own), (other, own, *OTHERS)):
        assert named(monkeypatch, *loaded) == expected


def test_numpys_library_comes_before_one_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    own = f"{NUMPY}.libs/libopenblas.so"
    assert named(monkeypatch, SYSTEM, own) == (f"openblas {own}", f"kernel of {own}")


def test_of_several_of_the_system_the_first_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert named(monkeypatch, "/opt/intel/libmkl_rt.so.2", SYSTEM) == ("mkl /opt/intel/libmkl_rt.so.2", "unknown")


@pytest.mark.parametrize("others", [(), OTHERS])
def test_a_numpy_whose_library_cannot_be_found_has_none_of_another_package(
    others: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert named(monkeypatch, *others) == ("unknown", "unknown")  # as of Apple's Accelerate


def test_a_numpy_of_links_is_where_they_lead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored, installed = tmp_path / "cache" / "1a2b", tmp_path / "lib" / "site-packages"
    for name in ("numpy/__init__.py", "numpy.libs/libopenblas.so"):
        (stored / name).parent.mkdir(parents=True)
        (stored / name).touch()
        (installed / name).parent.mkdir(parents=True)
        (installed / name).symlink_to(stored / name)
    monkeypatch.setattr(np, "__file__", str(installed / "numpy/__init__.py"))
    for place in (stored, installed):  # threadpoolctl gives the former
        own = f"{place}/numpy.libs/libopenblas.so"
        assert named(monkeypatch, *OTHERS, own) == (f"openblas {own}", f"kernel of {own}")


LOOK = """
import ctypes, importlib, json, sys
before, after = json.loads(sys.argv[1])
for library in before:
    ctypes.CDLL(library)
from convpipe.execution import provenance, threads
first = provenance.machine()
for library in after:
    ctypes.CDLL(library)
provenance.machine.cache_clear()
provenance.thread_pools.cache_clear()
with threads.blas_threads(1):
    pools = [pool for pool in provenance.thread_pools().info() if pool["user_api"] == "blas"]
print(json.dumps([first, provenance.machine(), pools]))
"""


def scipys_libraries() -> list[str]:
    """The BLAS that SciPy brings, after those that it needs, as older wheels have them."""
    found = importlib.util.find_spec("scipy")
    folder = Path(found.origin).parent if found and found.origin else PACKAGES / "scipy"
    places = (folder.with_name("scipy.libs"), folder / ".dylibs")
    libraries = [path for place in places if place.is_dir() for path in place.glob("lib*")]
    if not any("openblas" in path.name for path in libraries):
        pytest.skip("needs a SciPy that brings an OpenBLAS of its own, as its wheels do")
    return [str(path) for path in sorted(libraries, key=lambda path: ("openblas" in path.name, "gfor" in path.name))]


@pytest.mark.parametrize("order", ["before", "after"])
def test_scipys_library_is_not_taken_for_numpys(order: str) -> None:
    if not any(PACKAGES.glob("numpy.libs/*openblas*")):
        pytest.skip("needs a NumPy that brings an OpenBLAS of its own, as its wheels do")
    libraries = scipys_libraries()
    loaded = json.dumps([libraries, []] if order == "before" else [[], libraries])
    done = subprocess.run(
        [sys.executable, "-c", LOOK, loaded],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=True,
    )
    first, second, pools = json.loads(done.stdout)
    versions = {Path(pool["filepath"]).parent.name: f"openblas {pool['version']}" for pool in pools}
    assert set(versions) == {"numpy.libs", "scipy.libs"}  # both are there, so that there was a choice
    assert first["blas"] == second["blas"] == versions["numpy.libs"]
    assert {pool["num_threads"] for pool in pools} == {1}  # a run's limit is NumPy's, too


# The C library


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this system has another C library than glibc")
def test_glibc_is_named() -> None:
    assert c_library() == " ".join(platform.libc_ver())


@pytest.mark.parametrize(
    "error", [ValueError("unrecognized configuration name"), OSError(22, "Invalid argument"), None]
)
def test_another_c_library_is_that_of_the_system(error: Exception | None, monkeypatch: pytest.MonkeyPatch) -> None:
    def confstr(name: str) -> None:
        if error:
            raise error

    monkeypatch.setattr(os, "confstr", confstr, raising=False)
    assert c_library() == f"{platform.system()} {platform.release()}"
    monkeypatch.delattr(os, "confstr")  # as on Windows
    assert c_library() == f"{platform.system()} {platform.release()}"


def test_another_c_library_explains_last_bits() -> None:
    here = provenance.collect(1)
    changed = provenance.numeric_differences({**here, "c_library": "glibc 2.1"}, here)
    assert changed == {"c_library": ("glibc 2.1", here["c_library"])}
