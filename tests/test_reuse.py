"""What is there is passed over where it will do; else it is computed again and compared, and the report says why."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import convpipe
from run_cases import (
    FLOATS,
    a_place,
    a_run,
    a_spec,
    contents,
    edit_manifest,
    execute,
    from_elsewhere,
    hidden,
    run_folders,
    set_output,
)
from sweep_cases import events, fast_folder, last_line, results, swept

import convpipe as cp
from convpipe.archive.collection import rebuild, run_names
from convpipe.archive.read import load
from convpipe.archive.verify import verify
from convpipe.errors import ArchiveError, StorageError
from convpipe.execution import code, runner
from convpipe.execution.reuse import Standing
from convpipe.graph.memo import Memo
from convpipe.sweeps import batches
from convpipe.sweeps.batches import Batch, run_batch
from convpipe.sweeps.events import Closed

WHOLE = ("root=r", "name=c", "input=integers", "filters=integers")
C = Path("r/c")
OTHER, ANOTHER = "0" * 64, "1" * 64  # code that is not ours


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder in memory."""
    with fast_folder() as folder:
        monkeypatch.chdir(folder)
        yield folder


def manifest(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "manifest.json").read_text())
    return found


def set_codes(runs: list[Path], code: str = OTHER) -> None:
    """Let runs say that other code made them."""
    for run in runs:
        edit_manifest(run, code=code)


def spoil(run: Path, number: int = 99) -> None:
    """Let a run hold another result, and say so throughout."""
    set_output(run, lambda values: np.put(values, 0, number))


def nudge(run: Path) -> None:
    """Move one float by its last bit."""
    set_output(run, lambda values: np.put(values, 0, np.nextafter(values.flat[0], np.inf, dtype=values.dtype)))


def in_order() -> list[Path]:
    return run_folders(C)


# Other code


def test_the_same_code_is_passed_over_and_nothing_is_written(folder: Path) -> None:
    swept(*WHOLE, "seed=1,2,3")
    before = contents(C)
    assert last_line(swept(*WHOLE, "seed=1,2,3")) == "0 done, 3 there before, 0 failed: r/c"
    assert {name: content for name, content in contents(C).items() if name in before} == before
    assert all(name.startswith("sweeps/") for name in contents(C).keys() - before.keys())


def test_other_code_that_gives_the_same_bits_renews_the_manifest_alone(folder: Path) -> None:
    swept(*WHOLE, "seed=1,2,3")
    ours = manifest(in_order()[0])
    set_codes(in_order()[:2])
    before = contents(C)
    answer = swept(*WHOLE, "seed=1,2,3,4")
    assert last_line(answer) == "1 done, 1 there before, 2 other code, 0 failed: r/c"
    for run in run_folders(C):
        verify(run)
        then, now = before.get(f"{run.name}/manifest.json"), (run / "manifest.json").read_bytes()
        if then is not None and b'"code": "0000' in then:
            record = json.loads(now)
            assert record["code"] == ours["code"]
            assert record["agrees"] == [OTHER]
            assert record["archive_id"] == json.loads(then)["archive_id"]
            assert record["started"] > json.loads(then)["started"]
            assert record["seconds"] != json.loads(then)["seconds"]
    changed = {name for name, content in contents(C).items() if before.get(name) != content}
    new = {f"{name}/" for name in run_names(C) if f"{name}/manifest.json" not in before}
    assert {name for name in changed if not name.startswith((*new, "sweeps/"))} == {
        ".index.jsonl",
        ".table.json",
        "results.csv",
        *(f"{name}/manifest.json" for name in run_names(C) if b"agrees" in contents(C)[f"{name}/manifest.json"]),
    }
    table = (C / "results.csv").read_bytes()
    assert rebuild(C).read_bytes() == table
    assert last_line(swept(*WHOLE, "seed=1,2,3,4")) == "0 done, 4 there before, 0 failed: r/c"


def test_a_code_that_agreed_is_ours_too(folder: Path) -> None:
    swept(*WHOLE, "seed=1,2")
    ours = manifest(in_order()[0])["code"]
    for run in in_order():
        edit_manifest(run, code=OTHER, agrees=[ANOTHER, ours])
    assert last_line(swept(*WHOLE, "seed=1,2")) == "0 done, 2 there before, 0 failed: r/c"


def test_codes_that_agree_are_noted_once_and_not_for_ever(folder: Path) -> None:
    swept(*WHOLE, "seed=1")
    (run,) = in_order()
    for number in range(20):
        edit_manifest(run, code=f"{number:064x}")
        assert "1 other code" in last_line(swept(*WHOLE, "seed=1"))
    agrees = manifest(run)["agrees"]
    assert agrees == [f"{number:064x}" for number in range(19, 3, -1)]
    set_codes([run])
    assert "1 other code" in last_line(swept(*WHOLE, "seed=1"))
    assert manifest(run)["agrees"] == [OTHER, *agrees[:-1]]


@pytest.mark.parametrize("elsewhere", [True, False])
def test_other_code_whose_floats_are_within_the_bound(elsewhere: bool, folder: Path) -> None:
    words = ("root=r", "name=c", "input=random", "filters=random", "seed=1,2,3")
    swept(*words)
    runs = in_order()
    ours = manifest(runs[0])["code"]
    for run in runs[:2]:
        nudge(run)
        if elsewhere:
            from_elsewhere(run)
    nudge(runs[2])
    set_codes(runs[:2])
    before = contents(C)
    answer = swept(*words)
    assert last_line(answer) == "0 done, 1 there before, 2 within the bound, 0 failed: r/c"
    for run in runs[:2]:
        verify(run)
        record, then = manifest(run), json.loads(before[f"{run.name}/manifest.json"])
        assert record == {**then, "agrees": [ours], "sha256": record["sha256"]}
    assert (runs[0] / "output.npy").read_bytes() == before[f"{runs[0].name}/output.npy"]
    assert last_line(swept(*words)) == "0 done, 3 there before, 0 failed: r/c"
    last = "0 done, 0 there before, 2 within the bound, 0 failed, 1 differs: r/c"  # that of the same code and machine
    assert last_line(swept(*words, "retry=all", code=3)) == last


def test_other_code_that_differs_is_said_and_the_old_run_stays(folder: Path) -> None:
    swept(*WHOLE, "seed=1,2,3")
    runs = in_order()
    spoil(runs[0])
    set_codes(runs[:2])
    before = contents(runs[0])
    answer = swept(*WHOLE, "seed=1,2,3", code=3)
    assert last_line(answer) == "0 done, 1 there before, 1 other code, 0 failed, 1 differs: r/c"
    line = rf"failed: seed=\d: r/c/{runs[0].name}: stage '\w+' differs: .*; replace=true puts the new run in its place"
    assert re.match(line, answer.err)
    assert contents(runs[0]) == before
    with pytest.raises(ArchiveError, match=rf"r/c/{runs[0].name}: stage '\w+' differs"):
        cp.sweep(*WHOLE, seed=[1, 2, 3])
    assert contents(runs[0]) == before


def test_what_differs_wins_over_what_failed(folder: Path) -> None:
    words = (*WHOLE, "conv.dtype=int8", "input.low=0", "filters.low=1", "filters.high=2", "input.high=1,2,100")
    swept(*words, code=1)
    spoil(in_order()[0], 9)
    set_codes(in_order()[:1])
    answer = swept(*words, "retry=failed", code=3)
    assert last_line(answer) == "0 done, 1 there before, 1 failed, 1 differs: r/c"


def test_a_single_run_of_other_code(folder: Path) -> None:
    words = (*WHOLE, "seed=1")
    assert convpipe(*words).code == 0
    (run,) = in_order()
    before = contents(run)
    assert convpipe(*words).out.endswith(f"reproduced: {run}\n")
    assert contents(run) == before
    set_codes([run])
    assert convpipe(*words).out.endswith(f"reproduced: {run}\n")
    assert manifest(run)["agrees"] == [OTHER]
    assert {name for name, content in contents(run).items() if content != before[name]} == {"manifest.json"}
    spoil(run)
    spoilt = contents(run)
    answer = convpipe(*words)
    assert (answer.code, answer.out) == (3, "")
    assert re.fullmatch(rf"convpipe: {run}: stage '\w+' differs: .*; replace=true puts the new run .*\n", answer.err)
    assert contents(run) == spoilt


# What is asked for


@pytest.mark.parametrize(
    ("reuse", "change", "counted"),
    [
        ("same-config", {"code": OTHER}, ""),
        ("same-config", {"provenance": {}}, ""),
        ("same-code", {"provenance": {"convpipe": "0.0.1"}}, "1 other code, "),
        ("same-code", {"provenance": {"code_sha256": OTHER}}, "1 other code, "),
        ("same-code", {"code": OTHER}, "1 other code, "),
        ("same-code", {"provenance": {}}, ""),
        ("same-environment", {"code": OTHER}, "1 other code, "),
        ("same-environment", {"provenance": {}}, "1 other environment, "),
        ("same-environment", {}, ""),
    ],
)
def test_reuse(reuse: str, change: dict[str, Any], counted: str, folder: Path) -> None:
    swept(*WHOLE, "seed=1,2")
    run = in_order()[0]
    if "provenance" in change:
        from_elsewhere(run, **(change["provenance"] or {"numpy": "1.0"}))
    else:
        edit_manifest(run, **change)
    there = 1 if counted else 2
    answer = swept(*WHOLE, "seed=1,2", f"reuse={reuse}")
    assert last_line(answer) == f"0 done, {there} there before, {counted}0 failed: r/c"
    assert last_line(swept(*WHOLE, "seed=1,2", f"reuse={reuse}")) == "0 done, 2 there before, 0 failed: r/c"


@pytest.mark.parametrize(("fact", "other"), [("threads", 2), ("blas", "blis 1"), ("system", "Minix 3")])
def test_only_what_can_change_a_float_is_another_environment(fact: str, other: object, folder: Path) -> None:
    swept(*WHOLE, "seed=1")
    from_elsewhere(in_order()[0], **{fact: other})
    there = fact == "system"
    answer = last_line(swept(*WHOLE, "seed=1", "reuse=same-environment"))
    assert answer.startswith(f"0 done, {int(there)} there before, {'' if there else '1 other environment, '}0 failed")


@pytest.mark.parametrize("words", [("reuse=never",), ("retry=some",), ("replace=2",)])
def test_what_is_asked_for_is_checked(words: tuple[str, ...], folder: Path) -> None:
    key, _, value = words[0].partition("=")
    assert convpipe("-m", *WHOLE, "seed=1", *words).err.startswith(f"convpipe: {key}: got {value}, expected ")
    assert list(folder.iterdir()) == []


def test_it_is_one_for_the_whole_sweep(folder: Path) -> None:
    for word in ("reuse=same-code,same-config", "replace=true,false"):
        assert convpipe("-m", *WHOLE, word).err.endswith("expected one value for the whole sweep\n")


def test_all_is_computed_again(folder: Path) -> None:
    swept(*WHOLE, "seed=1,2")
    before = {name: content for name, content in contents(C).items() if "manifest" in name}
    assert last_line(swept(*WHOLE, "seed=1,2,3", "retry=all")) == "1 done, 0 there before, 2 reproduced, 0 failed: r/c"
    assert before.items() <= contents(C).items()
    spoil(in_order()[0])
    assert last_line(swept(*WHOLE, "seed=1,2,3")) == "0 done, 3 there before, 0 failed: r/c"
    answer = swept(*WHOLE, "seed=1,2,3", "retry=all", code=3)
    assert last_line(answer) == "0 done, 0 there before, 2 reproduced, 0 failed, 1 differs: r/c"


def test_all_is_what_failed_too(folder: Path) -> None:
    words = (*WHOLE, "conv.dtype=int8", "input.low=0", "filters.low=1", "filters.high=2", "input.high=1,100")
    swept(*words, code=1)
    assert "1 failed before" in last_line(swept(*words, code=1))
    assert last_line(swept(*words, "retry=all", code=1)) == "0 done, 0 there before, 1 reproduced, 1 failed: r/c"


def test_a_dry_run_counts_what_would_be_passed_over(folder: Path) -> None:
    swept(*WHOLE, "seed=1,2")
    set_codes(in_order()[:1])
    for words, done in (((), 1), (("reuse=same-config",), 2), (("retry=all",), 0)):
        out = swept(*WHOLE, "seed=1,2", "dry_run=true", *words).out
        assert out.startswith(f"2 points, {done} of them already done, {2 - done} to run\n")


# Damage


def no_manifest(run: Path) -> None:
    (run / "manifest.json").unlink()


def half_a_manifest(run: Path) -> None:
    content = (run / "manifest.json").read_bytes()
    (run / "manifest.json").write_bytes(content[: len(content) // 2])


def no_line_of_sizes(run: Path) -> None:
    content = (run / "manifest.json").read_text()
    (run / "manifest.json").write_text(re.sub('\n "sizes": .*', "", content))


def shorter(run: Path) -> None:
    content = (run / "output.npy").read_bytes()
    (run / "output.npy").write_bytes(content[:-1])


def longer(run: Path) -> None:
    with open(run / "stages.csv", "a") as file:
        file.write("\n")


def no_file(run: Path) -> None:
    (run / "config.yaml").unlink()


def a_folder(run: Path) -> None:
    (run / "SHA256SUMS").unlink()
    (run / "SHA256SUMS").mkdir()


def nothing_at_all(run: Path) -> None:
    for path in run.iterdir():
        path.unlink()
    (run / "notes.txt").write_text("mine")


DAMAGES = [no_manifest, half_a_manifest, no_line_of_sizes, shorter, longer, no_file, a_folder, nothing_at_all]


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_computed_again_and_said(damage: Callable[[Path], None], folder: Path) -> None:
    swept(*WHOLE, "seed=1,2,3")
    run = in_order()[1]
    whole = contents(run)
    damage(run)
    damaged = contents(run)
    answer = swept(*WHOLE, "seed=1,2,3")
    assert last_line(answer) == "0 done, 2 there before, 1 damaged before, 0 failed: r/c"
    (aside,) = (C / ".aside").iterdir()
    said = rf"{run}: computed again: new; the one before was damaged \(r/c/{run.name}.*\), and lies in {aside}\n"
    assert answer.err == ""
    assert re.search(rf"\n{said}0 done", answer.out)
    assert aside.name.startswith(f"{run.name}-")
    assert contents(aside) == damaged
    verify(run)
    assert {**contents(run), "manifest.json": b""} == {**whole, "manifest.json": b""}
    table = (C / "results.csv").read_bytes()
    assert rebuild(C).read_bytes() == table
    assert last_line(swept(*WHOLE, "seed=1,2,3")) == "0 done, 3 there before, 0 failed: r/c"


@pytest.mark.parametrize("damage", [no_manifest, shorter])
def test_a_single_run_mends_damage_too(damage: Callable[[Path], None], folder: Path) -> None:
    assert convpipe(*WHOLE, "seed=1").code == 0
    (run,) = in_order()
    damage(run)
    answer = convpipe(*WHOLE, "seed=1")
    (aside,) = (C / ".aside").iterdir()
    assert re.search(rf"\nnew; the one before was damaged \(.*\), and lies in {aside}: {run}\n\Z", answer.out)
    verify(run)
    assert [row["status"] for row in results(C)] == ["done"]


def test_what_only_a_hash_finds_is_an_error_and_stays(folder: Path) -> None:
    swept(*WHOLE, "seed=1,2")
    run = in_order()[0]
    with open(run / "output.npy", "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    before = contents(run)
    assert last_line(swept(*WHOLE, "seed=1,2")) == "0 done, 2 there before, 0 failed: r/c"
    answer = swept(*WHOLE, "seed=1,2", "retry=all", code=3)
    assert re.fullmatch(
        rf"failed: seed=\d: {run}/output\.npy: got sha256 .*, expected \w+; replace=true .*\n", answer.err
    )
    assert contents(run) == before
    swept(*WHOLE, "seed=1,2", "retry=all", "replace=true")
    verify(run)


def test_a_run_of_another_config_in_its_place_is_left_alone(folder: Path) -> None:
    swept(*WHOLE, "seed=1,2")
    first, second = in_order()
    shutil.rmtree(first)
    shutil.copytree(second, first)
    before = contents(first)
    for words in ((), ("replace=true",)):
        answer = swept(*WHOLE, "seed=1,2", *words, code=3)
        assert (
            f"{first}: a run of another config, or of a later format, lies there; another name=... keeps both"
            in answer.err
        )
        assert contents(first) == before


def test_a_run_of_a_later_format_is_left_alone(folder: Path) -> None:
    swept(*WHOLE, "seed=1")
    (run,) = in_order()
    edit_manifest(run, format=99)
    before = contents(run)
    answer = swept(*WHOLE, "seed=1", "replace=true", code=3)
    assert "manifest.json: got format 99, expected one of 1, 2: a run of another config, or of a later" in answer.err
    assert contents(run) == before


def test_a_run_of_an_older_format_is_compared_and_nothing_else(folder: Path) -> None:
    swept(*WHOLE, "seed=1")
    (run,) = in_order()
    edit_manifest(run, format=1)
    before = contents(run)
    assert "1 reproduced" in last_line(swept(*WHOLE, "seed=1", "keep=stages"))
    spoil(run)
    edit_manifest(run, format=1)
    spoilt = contents(run)
    assert "1 differs" in last_line(swept(*WHOLE, "seed=1", "replace=true", code=3))
    assert before != spoilt == contents(run)


def test_floats_of_an_older_format_are_not_replaced_either(tmp_path: Path) -> None:
    run = a_run(tmp_path, FLOATS)
    nudge(run.path)
    record = {key: value for key, value in manifest(run.path).items() if key not in ("code", "sha256")}
    (run.path / "manifest.json").write_text(json.dumps({**record, "format": 1}))
    before = contents(run.path)
    for replacing in (False, True):
        outcome = execute(a_spec(FLOATS), a_place(tmp_path, replace=replacing))
        assert outcome.verdict.startswith("reproduced within ")
        assert contents(run.path) == before


def test_a_file_in_the_place_of_a_run_is_left_alone(folder: Path) -> None:
    swept(*WHOLE, "seed=1,2")
    run = in_order()[0]
    shutil.rmtree(run)
    run.write_text("mine")
    for words in ((), ("replace=true",)):
        answer = swept(*WHOLE, "seed=1,2", *words, code=3)
        assert last_line(answer) == "0 done, 1 there before, 0 failed, 1 differs: r/c"
        assert run.read_text() == "mine"
    assert hidden(C) == []


# More arrays


def test_more_arrays_than_there_are(folder: Path) -> None:
    swept(*WHOLE, "seed=1,2,3")
    spoil(in_order()[0])
    before = [contents(run) for run in in_order()]
    answer = swept(*WHOLE, "seed=1,2,3", "keep=stages", code=3)
    assert last_line(answer) == "0 done, 0 there before, 2 more arrays, 0 failed, 1 differs: r/c"
    assert contents(in_order()[0]) == before[0]
    for run, then in zip(in_order()[1:], before[1:], strict=True):
        verify(run)
        assert load(run)["im2col"].size
        assert (run / "output.npy").read_bytes() == then["output.npy"]
        assert manifest(run)["keep"] == "stages"
    assert not (C / ".aside").exists()  # the fuller one has all of the lesser one
    assert hidden(C) == []
    shutil.rmtree(in_order()[0])
    assert "2 there before" in last_line(swept(*WHOLE, "seed=1,2,3", "keep=stages"))
    assert last_line(swept(*WHOLE, "seed=1,2,3")) == "0 done, 3 there before, 0 failed: r/c"
    assert last_line(swept(*WHOLE, "seed=1,2,3", "keep=layers")) == "0 done, 3 there before, 0 failed: r/c"


def test_more_arrays_by_a_single_run(folder: Path) -> None:
    assert convpipe(*WHOLE, "seed=1").code == 0
    (run,) = in_order()
    assert convpipe(*WHOLE, "seed=1", "keep=stages").out.endswith(f"reproduced; more arrays are kept now: {run}\n")
    assert cp.verify(run)[0]["pad"].size
    before = contents(run)
    assert convpipe(*WHOLE, "seed=1").out.endswith(f"reproduced: {run}\n")
    assert contents(run) == before


def test_more_arrays_within_the_bound_are_not_put_in_place(folder: Path) -> None:
    words = ("root=r", "name=c", "input=random", "filters=random", "seed=1")
    swept(*words)
    (run,) = in_order()
    nudge(run)
    from_elsewhere(run)
    before = contents(run)
    assert "1 within the bound" in last_line(swept(*words, "keep=stages"))
    assert contents(run) == before
    assert "within" in last_line(convpipe(*words, "keep=stages"))
    assert contents(run) == before


def test_what_was_kept_before_is_kept_with_what_is_asked_for(folder: Path) -> None:
    np.save("x.npy", np.arange(48, dtype=np.int16).reshape(1, 3, 4, 4))
    words = ("root=r", "name=c", "input=npy", "input.path=x.npy")
    swept(*words, "keep=stages")
    assert "1 more arrays" in last_line(swept(*words, "keep=output+inputs"))
    (run,) = in_order()
    assert manifest(run)["keep"] == "stages+inputs"
    assert verify(run)["im2col"].size
    (stored,) = (C / "inputs").iterdir()
    assert "1 there before" in last_line(swept(*words, "keep=layers+inputs"))
    stored.unlink()
    assert "1 there before" in last_line(swept(*words, "keep=stages"))
    assert "1 reproduced" in last_line(swept(*words, "keep=output+inputs"))  # computed again, and so stored
    assert stored.exists()


def test_layers_of_what_has_none_are_its_output(folder: Path) -> None:
    swept(*WHOLE, "seed=1")
    assert "1 there before" in last_line(swept(*WHOLE, "seed=1", "keep=layers"))
    network = ("root=r", "name=n", "experiment=tiny", "keep=output")
    swept(*network)
    (run,) = run_folders(Path("r/n"))
    assert "1 more arrays" in last_line(swept(*network, "keep=layers"))
    assert verify(run)["conv1/transpose"].size


def test_a_run_that_reads_no_file_has_all_its_inputs(folder: Path) -> None:
    words = ("root=r", "name=c", "seed=1")
    swept(*words)
    assert "1 there before" in last_line(swept(*words, "keep=output+inputs"))
    assert last_line(convpipe(*words, "keep=layers+inputs")).startswith("reproduced: ")
    assert "1 more arrays" in last_line(swept(*words, "keep=stages+inputs"))
    assert "1 there before" in last_line(swept(*words, "keep=stages+inputs"))


# Replacing


def test_what_differs_is_replaced_and_the_old_run_goes_aside(folder: Path) -> None:
    swept(*WHOLE, "seed=1,2", "keep=stages")
    run = in_order()[0]
    whole = contents(run)
    spoil(run)
    set_codes([run])
    spoilt, archive_id = contents(run), manifest(run)["archive_id"]
    answer = swept(*WHOLE, "seed=1,2", "replace=true")
    assert last_line(answer) == "0 done, 1 there before, 1 replaced, 0 failed: r/c"
    aside = C / ".aside" / f"{run.name}-{archive_id}"
    assert contents(aside) == spoilt
    assert f", and lies in {aside}\n" in answer.out
    verify(run)
    assert {**contents(run), "manifest.json": b""} == {**whole, "manifest.json": b""}  # all stages are kept still
    table = (C / "results.csv").read_bytes()
    assert rebuild(C).read_bytes() == table
    assert [made.path for made in cp.verify(C)] == in_order()


def test_the_same_archive_goes_aside_twice(folder: Path) -> None:
    for number in range(3):
        convpipe(*WHOLE, "seed=1")
        (run,) = in_order()
        spoil(run)
        archive_id = manifest(run)["archive_id"]
        assert convpipe(*WHOLE, "seed=1", "replace=true").code == 0
        verify(run)
        expected = {f"{run.name}-{archive_id}{end}" for end in ("", "-2", "-3")[: number + 1]}
        assert {path.name for path in (C / ".aside").iterdir()} == expected


def test_what_is_equal_is_not_replaced(folder: Path) -> None:
    swept(*WHOLE, "seed=1,2")
    set_codes(in_order()[:1])
    answer = swept(*WHOLE, "seed=1,2", "replace=true")
    assert last_line(answer) == "0 done, 1 there before, 1 other code, 0 failed: r/c"
    assert not (C / ".aside").exists()


def test_what_is_within_the_bound_is_replaced_where_that_is_asked_for(tmp_path: Path) -> None:
    run = a_run(tmp_path, FLOATS)
    output = run.output
    nudge(run.path)
    from_elsewhere(run.path)
    outcome = execute(a_spec(FLOATS), a_place(tmp_path, replace=True))
    assert outcome.verdict.startswith("new; the one before was reproduced within ")
    assert np.array_equal(verify(run.path).output, output)


# Which code


def prepared(changes: dict[str, Any] | None = None) -> runner.Prepared:
    return runner.prepare(a_spec(changes), 1 << 30)


def test_a_manifest_says_which_code_made_it(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    assert run.manifest["code"] == prepared().code == code.code_of()
    assert re.fullmatch("[0-9a-f]{64}", run.manifest["code"])
    assert runner.standing(prepared(), a_place(tmp_path)).standing is Standing.THERE


@pytest.mark.parametrize("entry", [{"code": 1}, {"agrees": "0" * 64}, {"agrees": [1]}])
def test_a_manifest_says_codes_as_texts(entry: dict[str, Any], tmp_path: Path) -> None:
    run = a_run(tmp_path)
    edit_manifest(run.path, **entry)
    with pytest.raises(ArchiveError, match=rf"manifest\.json: got {next(iter(entry))} .*, expected a"):
        load(run.path)


def test_a_worker_of_other_code_is_refused(folder: Path) -> None:
    with pytest.raises(StorageError, match="a worker has other code than its client, both of convpipe"):
        run_batch(Batch((), str(folder), stop=False, code=OTHER))
    assert not list(folder.iterdir())


def test_every_batch_says_which_code_asks_for_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def run(batch: Batch) -> list[batches.Done]:
        asked.append(batch.code)
        return run_batch(batch)

    monkeypatch.setattr(batches, "run_batch", run)
    assert isinstance(list(events(*WHOLE, "seed=1,2"))[-1], Closed)
    assert set(asked) == {code.code_of()}


def test_a_point_that_another_sweep_has_run_meanwhile_is_there(folder: Path) -> None:
    place, point = a_place(C), prepared()
    assert runner.produce(point, place, Memo())[0].how.value == "done"
    task = batches.Task((), place, point)
    assert batches.run_task(task, Memo()).status == batches.THERE
    again = batches.Task((), a_place(C, again=True), point)
    assert batches.run_task(again, Memo()).status == "reproduced"


def test_a_run_as_it_was_asked_for_is_known_by_a_few_words_of_its_manifest(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    for changes, words in (({}, True), ({"keep": "stages"}, False), ({"reuse": "same-environment"}, False)):
        asked = runner.asked(prepared(), a_place(tmp_path, **changes))
        assert asked.is_said_by((run.path / "manifest.json").read_text()) is words
