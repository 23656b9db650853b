"""A run is the same to the byte wherever, whenever, by whomever and however it is made, where floats are the same.

The same runs are made in ways that differ in all that must not matter; then archives are compared: every file that
SHA256SUMS has, that file itself, and the archive id of the manifest, which else says how a run was made. That a Dask
cluster and other launchers give the same collection is in test_sweep_cluster.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import CHECKOUT, convpipe
from run_cases import NOBODY
from sweep_cases import fast_folder

import convpipe as cp
from convpipe.cli.flags import parsed_flags
from convpipe.config.app import make_hydra
from convpipe.config.compose import compose
from convpipe.config.read import read_job
from convpipe.graph.spec import describe

FILES = {"input.path": "x.npy", "filters.path": "w.csv", "bias.path": "b.npz"}
RUNS: dict[str, tuple[str, ...]] = {
    "lecture": ("experiment=lecture_4d", "keep=stages"),
    "floats": ("input=random", "filters=random", "filters.distribution=normal", "conv.pad=same", "input.high=1e-5"),
    "network": ("experiment=tiny", "weights=random", "keep=stages"),
    "files": ("input=npy", "filters=csv", "bias=npz", "bias.entry=b", "conv.pad=[1,0]", "keep=stages"),
    "digits": ("experiment=digits_small", "record=1", "keep=stages"),
}
NEEDS = {"digits": "sklearn"}
SWEEP = ("experiment=lecture_4d", "conv.stride=1,[1,2]", "conv.pad=0,same", "seed=0,7")
Archive = dict[str, bytes]  # of one run


@dataclass(frozen=True)
class Way:
    """How the runs are made."""

    files: str = "data/{}"  # where a file is, HERE being the working folder
    python: bool = False  # and not by the command line
    order: int = 1  # of the sweep, -1 is backward
    words: tuple[str, ...] = ()
    sweep: tuple[str, ...] = ()  # more words


def make(way: Way) -> None:
    """Make all runs below r/ in the working folder."""
    places = {key: way.files.replace("HERE", os.getcwd()).format(name) for key, name in FILES.items()}
    write_files(places)
    for name, words in RUNS.items():
        if name not in NEEDS or find_spec(NEEDS[name]):
            paths = [f"{key}='{path}'" for key, path in places.items()] if name == "files" else []
            made(way, *words, *paths, f"name={name}", *way.words)
    axes = [backward(word) if way.order < 0 else word for word in SWEEP[:: way.order]]
    made(way, "-m", *axes, "name=sweep", *way.words, *way.sweep)


def backward(word: str) -> str:
    """An axis with its values in the other order."""
    key, _, values = word.partition("=")
    return f"{key}={','.join(reversed(values.replace('[1,2]', '[1;2]').split(',')))}".replace(";", ",")


def made(way: Way, *words: str) -> None:
    """Make a run or a sweep."""
    if not way.python:
        answer = convpipe(*words, "root=r")
        assert answer.code == 0, f"{words}: {answer.err}"
    elif words[0] == "-m":
        cp.sweep(*words[1:], root="r")
    else:
        cp.run(*words, root="r")


def write_files(places: dict[str, str]) -> None:
    """An input, filters and a bias."""
    for path in places.values():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    np.save(places["input.path"], np.arange(-30, 42, dtype=np.int16).reshape(2, 1, 6, 6))
    Path(places["filters.path"]).write_text("1,-2,3\n0.5,0,-1\n")
    np.savez(places["bias.path"], a=np.zeros(3), b=np.array([-0.25]))


def archives(root: Path) -> dict[str, Archive]:
    """All that is archived below a root, but of the manifests only the archive ids."""
    found = {}
    for manifest in root.glob("*/*/manifest.json"):
        names = [line.split("  ")[1] for line in (manifest.parent / "SHA256SUMS").read_text().splitlines()]
        files = {name: (manifest.parent / name).read_bytes() for name in [*names, "SHA256SUMS"]}
        files["archive id"] = json.loads(manifest.read_text())["archive_id"].encode()
        found[str(manifest.parent.relative_to(root))] = files
    return found


def differences(found: dict[str, Archive], expected: dict[str, Archive]) -> list[str]:
    """What differs, in words."""
    runs = [f"{run} is {'not ' if run in expected else ''}there" for run in sorted(found.keys() ^ expected.keys())]
    for run in sorted(found.keys() & expected.keys()):
        for name in sorted(found[run].keys() | expected[run].keys()):
            here, there = found[run].get(name, b""), expected[run].get(name, b"")
            if here != there:
                lines = zip([*here.splitlines(), b""], [*there.splitlines(), b""], strict=False)
                runs.append(f"{run}/{name}: {next((pair for pair in lines if pair[0] != pair[1]), 'more of it')}")
    return runs


@contextmanager
def a_folder(name: str) -> Iterator[Path]:
    """A working folder of that name, in memory."""
    with fast_folder() as place:
        (place / name).mkdir(parents=True)
        with chdir(place / name):
            yield place / name


@pytest.fixture(scope="module")
def expected() -> dict[str, Archive]:
    """What the usual way makes."""
    with a_folder("work") as folder:
        make(Way())
        return archives(folder / "r")


def test_the_runs_are_those_that_are_meant(expected: dict[str, Archive]) -> None:
    counts = {name: sum(run.startswith(f"{name}/") for run in expected) for name in [*RUNS, "sweep"]}
    digits = int(find_spec("sklearn") is not None)
    assert counts == {"lecture": 1, "floats": 1, "network": 1, "files": 1, "digits": digits, "sweep": 8}
    assert all(
        {"config.yaml", "stages.csv", "output.npy", "SHA256SUMS", "archive id"} <= set(run) for run in expected.values()
    )


WAYS = {
    "as before": Way(),
    "files of other names": Way("other {}"),
    "absolute paths": Way("HERE/given/{}"),
    "Python": Way(python=True),
    "order": Way(order=-1),
    "workers": Way(sweep=("workers=2",)),
    "launcher": Way(sweep=("hydra/launcher=basic",)),
    "timing": Way(words=("timing.repeats=2",)),
}


@pytest.mark.parametrize("name", WAYS)
def test_how_a_run_is_made_is_not_in_its_archive(name: str, expected: dict[str, Archive]) -> None:
    with a_folder("work") as folder:
        make(WAYS[name])
        assert differences(archives(folder / "r"), expected) == []


def test_where_a_run_is_made_is_not_in_its_archive(expected: dict[str, Archive]) -> None:
    with a_folder("another/사 ü") as folder:
        make(Way("HERE/{}"))
        assert differences(archives(folder / "r"), expected) == []


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this system has no time zone of a process")
def test_when_a_run_is_made_is_not_in_its_archive(
    expected: dict[str, Archive], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Chatham-12:45")
    time.tzset()
    try:
        with a_folder("work") as folder:
            make(Way())
            assert differences(archives(folder / "r"), expected) == []
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_rights_of_its_files_are_not_in_an_archive(expected: dict[str, Archive]) -> None:
    mask = 0o077
    before = os.umask(mask)
    try:
        with a_folder("work") as folder:
            make(Way())
            assert differences(archives(folder / "r"), expected) == []
            rights = next((folder / "r").glob("*/*/output.npy")).stat().st_mode & 0o777
            assert os.name != "posix" or rights == 0o666 & ~mask  # so that it was another archive in this respect
    finally:
        os.umask(before)


REALS = ("input=values", "input.dtype=float64", "filters=values", "filters.values=[[1]]", "filters.dtype=float64")
RANDOM = ("input=random", "input.shape=[1,1,3,3]", *REALS[2:])
ALIKE: dict[str, tuple[tuple[str, ...], str, str, str]] = {  # words, and a setting's values that Python takes for equal
    "values": (REALS, "input.values", "[[0.0,1.5]]", "[[-0.0,1.5]]"),
    "kernel": (RANDOM, "filters.values", "[[0.0,1.5]]", "[[-0.0,1.5]]"),
    "padding": ((*REALS, "input.values=[[1.5,2]]", "conv.pad=1"), "conv.pad_value", "0.0", "-0.0"),
    "stages": (
        (*REALS, "input.values=[[-1.5,2]]"),
        "lowering.stages",
        *(f"[pad,{{clip:{{low: {low}}}}},implicit_gemm]" for low in ("0.0", "-0.0")),
    ),
    "random": ((*RANDOM, "input.distribution=normal", "input.std=0"), "input.mean", "0.0", "-0.0"),
    "dtype": (RANDOM, "input.low", "0", "0.0"),
}


@pytest.mark.parametrize("name", ALIKE)
def test_a_point_is_what_it_is_alone_whichever_came_before_it(name: str) -> None:
    words, key, one, other = ALIKE[name]
    words = (*words, "keep=stages", "name=c")
    with a_folder("work") as folder:
        for root, values in (("r", f"{one},{other}"), ("back", f"{other},{one}")):
            assert convpipe("-m", "seed=2,3", *words, f"{key}={values}", f"root={root}").code == 0
        for value in (one, other):
            assert convpipe(*words, f"{key}={value}", "seed=3", "root=alone").code == 0
        forward, alone = archives(folder / "r"), archives(folder / "alone")
        assert differences(archives(folder / "back"), forward) == []
        assert differences({run: forward[run] for run in alone}, alone) == []


NEEDED = {
    "digits_deep": ("data=x.npz",),
    "digits_simple": ("data=x.npz",),
    "edges": ("input.path=x.png",),
    "sharpen": ("input.path=x.png",),
}


def turned(value: Any, key: str = "") -> Any:
    """A config with the keys of every group in the other order, but for layers, whose order has a meaning."""
    if isinstance(value, list):
        return [turned(entry) for entry in value]
    if not isinstance(value, Mapping):
        return value
    entries = list(value.items()) if key == "network" else reversed(value.items())
    return {name: turned(entry, name) for name, entry in entries}


EXPERIMENTS = sorted(path.stem for path in (CHECKOUT / "conf" / "experiment").glob("*.yaml"))
WORDS = [(f"experiment={name}", *NEEDED.get(name, ())) for name in EXPERIMENTS]


@pytest.mark.parametrize("words", [*WORDS, ("lowering.stages=[pad,{clip:{low: -9, high: 9}},implicit_gemm]",)])
def test_the_order_of_keys_is_not_in_an_archive(words: tuple[str, ...]) -> None:
    arguments = parsed_flags(words)
    config = compose(make_hydra(arguments.config_dir), arguments.config_name, arguments.overrides)
    there, here = (describe(read_job(each).spec) for each in (config, turned(config)))
    assert list(turned(config)) == list(config)[::-1]
    assert (here.identity, here.yaml) == (there.identity, there.yaml)


# What belongs to a whole process

JOB = """
import locale, os, sys
user, python = int(sys.argv[1]), sys.argv[2] == "python"
locale.setlocale(locale.LC_ALL, "")  # as programs with windows do
from test_same_everywhere import Way, make
if user:
    os.mkdir("warm")
    os.chdir("warm")
    make(Way())  # so that nothing is left to import, perhaps from where that user may not read
    os.chdir("..")
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
make(Way(python=python))
print(locale.localeconv()["decimal_point"], hash("a"), os.getuid() if hasattr(os, "getuid") else 0)
"""
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
TURKISH = "tr_TR.UTF-8"  # its small letter of I is no i, and its numbers have a comma


def processed(folder: Path, environment: dict[str, str], user: int = 0, *, python: bool = False) -> list[str]:
    """Make the runs in a process of their own; gives what that says of itself."""
    path = os.pathsep.join(map(str, (CHECKOUT, CHECKOUT / "tests")))
    done = subprocess.run(
        [sys.executable, "-c", JOB, str(user), "python" if python else "command line"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_who_makes_a_run_is_not_in_its_archive(expected: dict[str, Archive]) -> None:
    other = NOBODY if hasattr(os, "geteuid") and os.geteuid() == 0 else 0
    with a_folder("work") as folder:
        if other:
            shutil.chown(folder.parent, other)
            shutil.chown(folder, other)
        home = {"HOME": "/nonexistent", "USER": "someone", "LOGNAME": "someone", "COLUMNS": "20"}
        assert int(processed(folder, home, other)[2]) == (other or os.getuid())
        assert differences(archives(folder / "r"), expected) == []


def test_an_archive_is_the_same_where_text_is_ascii_and_hashes_have_another_salt(expected: dict[str, Archive]) -> None:
    salt = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    with a_folder("work") as folder:
        said = processed(folder, {**ASCII, "PYTHONHASHSEED": salt})
        assert said[1] != str(hash("a"))
        assert differences(archives(folder / "r"), expected) == []


def test_an_archive_is_the_same_in_turkish(expected: dict[str, Archive], tmp_path: Path) -> None:
    with a_folder("work") as folder:
        said = processed(folder, {"LC_ALL": TURKISH, **locale_of(TURKISH, tmp_path)}, python=True)
        assert said[0] == ","
        assert differences(archives(folder / "r"), expected) == []


def locale_of(name: str, folder: Path) -> dict[str, str]:
    """What makes a locale available: nothing, where the system has it, or a folder that it is compiled into."""
    probe = "import locale; locale.setlocale(locale.LC_ALL, '')"
    for place in ({}, {"LOCPATH": str(folder)}):
        environment = {**os.environ, "LC_ALL": name, **place}
        if place and shutil.which("localedef"):
            language, _, charset = name.partition(".")
            command = ["localedef", "-i", language, "-f", charset, str(folder / name)]
            subprocess.run(command, capture_output=True, check=False)
        if subprocess.run([sys.executable, "-c", probe], env=environment, capture_output=True).returncode == 0:
            return place
    pytest.skip(f"needs the locale {name}, or localedef and its sources to make it")


# That differences are seen


@pytest.mark.parametrize(
    "name", ["config.yaml", "stages.csv", "output.npy", "SHA256SUMS", "archive id", "00_input.npy"]
)
def test_a_difference_is_told(name: str, expected: dict[str, Archive]) -> None:
    run = next(run for run in expected if run.startswith("lecture/"))
    changed = {**expected, run: {**expected[run], name: b"1" + expected[run][name]}}
    assert [line.partition(": ")[0] for line in differences(changed, expected)] == [f"{run}/{name}"]
    without = {other: archive for other, archive in expected.items() if other != run}
    assert differences(without, expected) == [f"{run} is not there"]
    assert differences(expected, without) == [f"{run} is there"]
    less = {**expected, run: {key: value for key, value in expected[run].items() if key != name}}
    assert len(differences(less, expected)) == 1
