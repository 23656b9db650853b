"""Files that change between sweeps: the runs of what they hold now, and a report that says what has changed."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cli_runs import Answer, convpipe
from run_cases import run_folders
from sweep_cases import fast_folder, results

import convpipe as cp
from convpipe.archive.changes import Survey, command_without_old, formers, formers_like
from convpipe.archive.collection import run_names, whole_rows
from convpipe.archive.index import INDEX
from convpipe.archive.verify import verify

GOLDEN = Path(__file__).parent / "golden" / "v1"
C = Path("r/c")
X = ("root=r", "name=c", "input=npy", "input.path=x.npy")


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder in memory."""
    with fast_folder() as folder:
        monkeypatch.chdir(folder)
        yield folder


def write(name: str, start: int = 0, shape: tuple[int, ...] = (1, 3, 4, 4)) -> None:
    """A small array of whole numbers."""
    np.save(name, (np.arange(np.prod(shape), dtype=np.int16).reshape(shape) * 7 + start) % 11 - 5)


def swept(*words: str, code: int = 0) -> str:
    """The last line of a sweep."""
    answer = convpipe("-m", *words)
    assert answer.code == code, answer.out + answer.err
    return answer.out.splitlines()[-1]


def counts(line: str) -> str:
    return line.partition(": r/")[0]


def listed(line: str) -> list[dict[str, object]]:
    """The rows that the command at the end of a sweep's last line lists, typed as it stands there."""
    (command,) = re.findall(r"\(without what the files held before: (.*)\)\Z", line)
    words = shlex.split(command)
    assert words[:2] == ["convpipe", "runs"]
    answer = convpipe(*words[1:], "--format", "json")
    assert answer.code == 0, answer.err
    path, where = words[2], words[4]
    found: list[dict[str, object]] = cp.runs(path, where=where, columns="varying").to_dict("records")
    assert answer.out.count('"run"') == len(found)
    return found


# One file


def test_an_edited_file_makes_other_runs_and_that_is_said(folder: Path) -> None:
    write("x.npy")
    assert swept(*X, "conv.pad=0,1") == "2 done, 0 there before, 0 failed: r/c"
    old = run_names(C)
    write("x.npy", 1)
    line = swept(*X, "conv.pad=0,1,2")
    assert counts(line) == "1 done, 0 there before, 2 input changed (x.npy), 0 failed"
    assert len(run_names(C)) == 5
    assert {row["run"] for row in listed(line)} == set(run_names(C)) - set(old)
    again = swept(*X, "conv.pad=0,1,2")
    assert counts(again) == "0 done, 3 there before, 0 failed"
    assert listed(again) == listed(line)


def test_each_run_is_of_the_content_that_its_row_says(folder: Path) -> None:
    expected = {}
    for start in range(3):
        write("x.npy", start)
        swept(*X)
        array = np.load("x.npy")
        expected[start] = cp.run(*X, archive=False).output
        assert any(np.array_equal(verify(run).output, expected[start]) for run in run_folders(C)), array
    assert len(run_names(C)) == 3
    assert len({row["input.sha256"] for row in results(C)}) == 3
    assert {row["input.path"] for row in results(C)} == {"x.npy"}


def test_back_to_what_it_was(folder: Path) -> None:
    write("x.npy")
    swept(*X, "seed=1,2")
    first = set(run_names(C))
    write("x.npy", 1)
    swept(*X, "seed=1,2")
    write("x.npy")
    line = swept(*X, "seed=1,2")
    assert counts(line) == "0 done, 2 there before, 0 failed"
    assert {row["run"] for row in listed(line)} == first


def test_a_copy_and_a_new_name_are_the_same_runs(folder: Path) -> None:
    write("x.npy")
    swept(*X, "seed=1,2")
    shutil.copy("x.npy", "y.npy")
    Path("x.npy").rename("z.npy")
    for name in ("y.npy", "z.npy", str(Path("z.npy").resolve())):
        assert swept(*X[:3], f"input.path={name}", "seed=1,2") == "0 done, 2 there before, 0 failed: r/c"


def test_another_file_is_no_change(folder: Path) -> None:
    write("x.npy")
    write("y.npy", 1)
    swept(*X)
    assert swept(*X[:3], "input.path=y.npy") == "1 done, 0 there before, 0 failed: r/c"


def test_another_setting_beside_a_change_is_new(folder: Path) -> None:
    write("x.npy")
    swept(*X, "conv.pad=0")
    write("x.npy", 1)
    line = swept(*X, "conv.pad=1")
    assert counts(line) == "1 done, 0 there before, 0 failed"
    assert [row["run"] for row in listed(line)] == [
        run for run in run_names(C) if verify(C / run).config["conv"]["pad"]
    ]


def test_a_removed_run_is_none_that_has_changed(folder: Path) -> None:
    write("x.npy")
    swept(*X)
    shutil.rmtree(run_folders(C)[0])
    write("x.npy", 1)
    assert swept(*X) == "1 done, 0 there before, 0 failed: r/c"


def test_runs_that_the_index_lacks_count_too(folder: Path) -> None:
    write("x.npy")
    swept(*X)
    (C / INDEX).unlink()
    write("x.npy", 1)
    assert counts(swept(*X)) == "0 done, 0 there before, 1 input changed (x.npy), 0 failed"


@pytest.mark.parametrize("workers", [1, 2])
def test_many_points_and_few_contents(workers: int, folder: Path) -> None:
    write("x.npy")
    swept(*X, "seed=range(0,40)", f"workers={workers}")
    write("x.npy", 1)
    line = swept(*X, "seed=range(20,60)", f"workers={workers}")
    assert counts(line) == "20 done, 0 there before, 20 input changed (x.npy), 0 failed"


# Several files


def test_three_files_that_are_edited_copied_and_renamed(folder: Path) -> None:
    names = ("a.npy", "b.npy", "c.npy")
    for start, name in enumerate(names):
        write(name, start)
    words = (*X[:3], "input.path=a.npy,b.npy,c.npy", "conv.pad=0,1")
    assert counts(swept(*words)) == "6 done, 0 there before, 0 failed"
    write("b.npy", 7)
    line = swept(*words)
    assert counts(line) == "0 done, 4 there before, 2 input changed (b.npy), 0 failed"
    assert {row["input.path"] for row in listed(line)} == set(names)
    assert len(listed(line)) == 6
    shutil.copy("b.npy", "c.npy")  # which now has no runs of its own
    line = swept(*words)
    assert counts(line) == "0 done, 6 there before, 0 failed"
    assert {row["input.path"] for row in listed(line)} == {"a.npy", "b.npy"}
    write("b.npy", 1)  # as at first, and c.npy is what b.npy was
    assert counts(swept(*words)) == "0 done, 6 there before, 0 failed"
    Path("a.npy").rename("d.npy")
    line = swept(*X[:3], "input.path=b.npy,c.npy,d.npy", "conv.pad=0,1")
    assert counts(line) == "0 done, 6 there before, 0 failed"


def test_weights_and_input(folder: Path) -> None:
    write("x.npy")
    np.savez("w.npz", w=np.ones((2, 3, 3, 3), np.int16))
    words = (*X, "filters=npz", "filters.path=w.npz", "filters.entry=w", "conv.pad=0,1")
    swept(*words)
    np.savez("w.npz", w=2 * np.ones((2, 3, 3, 3), np.int16))
    line = swept(*words)
    assert counts(line) == "0 done, 0 there before, 2 input changed (w.npz), 0 failed"
    assert "filters.sha256 == '" in line
    assert len(listed(line)) == 2
    write("x.npy", 1)
    np.savez("w.npz", w=3 * np.ones((2, 3, 3, 3), np.int16))
    line = swept(*words)
    assert counts(line) == "0 done, 0 there before, 2 input changed (x.npy, w.npz), 0 failed"
    assert len(listed(line)) == 2


def test_of_many_files_a_few_are_named(folder: Path) -> None:
    names = [f"{number}.npy" for number in range(5)]
    for name in names:
        write(name)
    for start in range(2):
        for number, name in enumerate(names):
            write(name, start * 5 + number)
        line = swept(*X[:3], f"input.path={','.join(names)}")
    assert counts(line) == "0 done, 0 there before, 5 input changed (0.npy, 1.npy, 2.npy, ...), 0 failed"


def test_a_collection_of_both_files_and_none(folder: Path) -> None:
    write("x.npy")
    swept(*X)
    swept("root=r", "name=c", "input=integers", "filters=integers")
    write("x.npy", 1)
    line = swept(*X)
    assert len(listed(line)) == 2  # the one of now, and the one that reads no file
    write("x.npy", 2)
    assert len(listed(swept(*X))) == 2


def test_a_path_that_needs_quotes(folder: Path) -> None:
    name = "my file's 'x' [1].npy"
    write(name)
    words = ("root=r s", "name=c", "input=npy", 'input.path="' + name + '"')
    swept(*words)
    write(name, 1)
    line = swept(*words)
    assert f"1 input changed ({name})" in line
    assert len(listed(line)) == 1


# A single run


def single(*words: str) -> Answer:
    answer = convpipe(*words)
    assert (answer.code, answer.err) == (0, "")
    return answer


def test_a_single_run_says_since_which_run(folder: Path) -> None:
    write("x.npy")
    assert "has changed" not in single(*X).out
    (first,) = run_names(C)
    write("x.npy", 1)
    out = single(*X).out
    (second,) = set(run_names(C)) - {first}
    assert out.endswith(f"\n\nx.npy has changed since run {first}\nnew: r/c/{second}\n")
    assert "has changed" not in single(*X).out
    write("x.npy", 2)
    assert f"x.npy has changed since run {second}\n" in single(*X).out


def test_in_python_nothing_is_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for start in range(2):
        write("x.npy", start)
        cp.run(*X)
    assert capsys.readouterr() == ("", "")


# Format 1


def test_runs_of_format_1_are_counted_beside_them(folder: Path) -> None:
    names = []
    for run in sorted(GOLDEN.glob("*/*/manifest.json")):
        names.append(run.parent.name)
        shutil.copytree(run.parent, C / names[-1])
    before = {name: (C / name / "manifest.json").read_bytes() for name in names}
    words = ("root=r", "name=c", "experiment=lecture_3d")
    assert swept(*words, "seed=0,1") == f"2 done, 0 there before, 0 failed, {len(names)} of format 1 beside them: r/c"
    line = swept(*words, "seed=0,1", "replace=true", "retry=all")
    assert line == f"0 done, 0 there before, 2 reproduced, 0 failed, {len(names)} of format 1 beside them: r/c"
    assert {name: (C / name / "manifest.json").read_bytes() for name in names} == before
    assert len(cp.runs(C, where="format == 2")) == 2
    assert len(cp.runs(C, where="format == 1")) == len(names)


def test_an_index_of_then_has_no_formats(folder: Path) -> None:
    swept("root=r", "name=c", "experiment=lecture_3d", "seed=0,1")
    for run in GOLDEN.glob("lecture_4d/*/manifest.json"):
        shutil.copytree(run.parent, C / run.parent.name)
    convpipe("runs", "r/c", "--rebuild")
    lines = (C / INDEX).read_text().replace(', "format": "1"', "").replace(', "started": ""', "")
    assert lines.count('"format"') == 2
    (C / INDEX).write_text(lines)
    assert swept("root=r", "name=c", "experiment=lecture_3d").endswith(", 1 of format 1 beside them: r/c")
    assert sorted(row["format"] for row in results(C)) == ["1", "2", "2"]


# What leaves the old out


@pytest.mark.parametrize(
    ("held", "groups", "where"),
    [
        ({"b"}, {"b"}, ""),
        ({"a", "b"}, {"a", "b"}, "input.sha256 == 'b'"),
        ({"a", "b"}, {"a", "b", "c"}, "input.sha256 != 'a'"),
        ({"a", "b"}, {"a", "b", ""}, "input.sha256 != 'a'"),
        ({"a", "b", "d"}, {"a", "b", "d", "c"}, "input.sha256 not in ['a', 'd']"),
    ],
)
def test_the_shortest_expression_that_is_right(held: set[str], groups: set[str], where: str) -> None:
    survey = Survey({("input", "x.npy"): {"b"}}, {("input", "x.npy"): held}, {"input": groups})
    assert survey.where == where
    expected = f"convpipe runs 'r s/c' --where \"{where}\"" if where else ""
    assert command_without_old(Path("r s/c"), survey) == expected


# One run more, among many


def test_a_run_more_looks_only_at_its_like(folder: Path) -> None:
    for seed in range(3):
        write("x.npy", seed)
        for stride in (1, 2):
            cp.run(*X, f"seed={seed % 2}", f"conv.stride={stride}")
    cp.run("root=r", "name=c", "experiment=lecture_3d")
    rows = whole_rows(C)
    every = formers(C)
    found = 0
    for row in rows:
        like = formers_like(C, row)
        assert like.of(row) == every.of(row)
        assert sum(map(len, like.latest.values())) < sum(map(len, every.latest.values()))
        found += every.of(row) is not None
    assert found == 4
