"""Work in progress: a killed process leaves nothing that counts, and the next run clears it away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from run_cases import a_place, a_run, a_spec, contents, execute, hidden, run_folders

from convpipe.archive.collection import read_results, rebuild
from convpipe.archive.verify import verify
from convpipe.errors import StorageError
from convpipe.files import staging

CHECKOUT = Path(staging.__file__).parents[2]

# A run that kills itself when the word in argv[2] comes up: a stage that is done, or a file half written.
SUICIDE = """
import os, signal, sys
from pathlib import Path
from run_cases import a_place, a_spec, execute
from convpipe.archive import collection, write
from convpipe.execution import runner
folder, moment = Path(sys.argv[1]), sys.argv[2]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def dies_in(module, name, when=lambda *a: True):
    real = getattr(module, name)
    def deadly(*arguments):
        if when(*arguments):
            die()
        return real(*arguments)
    setattr(module, name, deadly)

def half(place, content):
    path = Path(place)
    path.write_bytes(next(iter(content))[:5])
    return path.name == moment

dies_in(write, "write_file", half) if "." in moment or moment.isupper() else None
dies_in(runner, "publish") if moment == "publish" else None
if moment == "results":
    dies_in(collection.os, "replace")
execute(a_spec({"seed": 8}), a_place(folder, keep="stages"), lambda done: die() if done.step.name == moment else None)
collection.rebuild(folder)
"""


def killed(folder: Path, moment: str) -> None:
    """Let a process begin a run and be killed at some moment."""
    environment = {**os.environ, "PYTHONPATH": f"{CHECKOUT}{os.pathsep}{Path(__file__).parent}"}
    done = subprocess.run([sys.executable, "-c", SUICIDE, str(folder), moment], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("moment", ["config.yaml", "pad", "05_matmul.npy", "SHA256SUMS", "manifest.json", "publish"])
def test_a_killed_run_is_not_there_and_the_next_one_clears_it_away(tmp_path: Path, moment: str) -> None:
    folder = tmp_path / "c"
    killed(folder, moment)
    assert len(hidden(folder)) == 1
    assert hidden(folder)[0].startswith(".staging-")
    assert run_folders(folder) == []
    assert read_results(folder) == []
    run = a_run(folder, {"seed": 8, "keep": "stages"})
    assert [path.name for path in folder.iterdir()] == [run.path.name]
    verify(run.path)


def test_a_table_killed_in_the_middle_leaves_the_old_one(tmp_path: Path) -> None:
    a_run(tmp_path)
    before = rebuild(tmp_path).read_bytes()
    killed(tmp_path, "results")
    assert (tmp_path / "results.csv").read_bytes() == before
    assert [name.split("-")[0] for name in hidden(tmp_path)] == [".results.csv"]
    assert len(read_results(tmp_path)) == 2  # the run itself is there, and so it is listed
    a_run(tmp_path)
    assert hidden(tmp_path) == []


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_only_dead_processes_of_this_machine_lose_their_work(tmp_path: Path) -> None:
    mark, dead = staging.machine_mark(), dead_process()
    living = [
        f".staging-0123456789ab-{mark}-{os.getpid()}-00000000",
        f".staging-0123456789ab-{mark}-1-00000000",
        f".staging-0123456789ab-{mark[::-1][:-1]}x-{dead}-00000000",
        f".staging-0123456789ab-{'0' * 8}-{dead}-00000000",
        f".staging-0123456789ab-{dead}-00000000",
        f".staging-0123456789ab-{mark}-0-00000000",
        f".staging-0123456789ab-{mark}-{'9' * 30}-00000000",
        f"staging-0123456789ab-{mark}-{dead}-00000000",
        ".cache",
    ]
    gone = [f".staging-0123456789ab-{mark}-{dead}-00000000", f".results.csv-{mark}-{dead}-00000001"]
    for name in (*living, gone[0]):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(b"")
    (tmp_path / gone[1]).write_bytes(b"")
    staging.remove_abandoned(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(living)


def test_a_link_is_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_bytes(b"mine")
    folder = tmp_path / "c"
    folder.mkdir()
    (folder / f".staging-x-{staging.machine_mark()}-{dead_process()}-00000000").symlink_to(tmp_path / "precious")
    staging.remove_abandoned(folder)
    assert contents(tmp_path) == {"precious/file": b"mine"}
    assert hidden(folder) == []


def test_hidden_names_are_recognised_and_never_the_same() -> None:
    names = {staging.hidden_name("staging-0123456789ab") for _ in range(100)}
    assert len(names) == 100
    for name in names:
        match = staging.HIDDEN.fullmatch(name)
        assert match
        assert (match[1], int(match[2])) == (staging.machine_mark(), os.getpid())


def test_a_run_under_way_is_hidden_and_survives_another(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def meanwhile(result: object) -> None:
        if not seen:
            seen.append(hidden(tmp_path))
            assert run_folders(tmp_path) == []
            a_run(tmp_path, {"seed": 9})
            assert hidden(tmp_path) == seen[0]

    execute(a_spec(), a_place(tmp_path), meanwhile)
    assert len(seen[0]) == 1
    assert len(run_folders(tmp_path)) == 2
    assert hidden(tmp_path) == []


def test_what_the_system_refuses_is_a_storage_error(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match=r"nowhere/file: No such file or directory; nothing was kept"),
        staging.storing(tmp_path),
    ):
        (tmp_path / "nowhere" / "file").write_bytes(b"")
    with pytest.raises(StorageError, match=f"{tmp_path}: odd; nothing was kept"), staging.storing(tmp_path):
        raise OSError("odd")
