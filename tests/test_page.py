"""A page as a file: where it lies, what it holds without a script, what it refuses, and that nothing in it can run."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import convpipe, refused
from run_cases import a_run, contents, edit_manifest, hidden

import convpipe as cp
from convpipe.archive.read import Run
from convpipe.errors import ArchiveError, ConfigError, StorageError, UsageError
from convpipe.files import staging
from convpipe.report.page import script as page_script
from convpipe.report.page.document import Content, Table, document
from convpipe.report.page.packed import packed

ENTRIES = ("run_page", "large_run_page", "network_page", "operation_page", "collection_page")
PARTS = Path(page_script.__file__).parent


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return a_run(tmp_path / "c", {"keep": "stages"})


def facts_of(page: bytes) -> dict[str, Any]:
    """What the page's script is told."""
    found = re.search(r'<script type="application/json" id="facts">(.*?)</script>', page.decode(), re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


def array_of(page: bytes, name: str) -> np.ndarray[Any, Any]:
    """An array that stands in the page, read as anyone would."""
    found = re.search(rf'<script type="application/octet-stream" id="a-{name}">(.*?)</script>', page.decode())
    assert found
    said = facts_of(page)["arrays"][name]
    values = np.frombuffer(gzip.decompress(base64.b64decode(found[1])), np.dtype(said["dtype"]).newbyteorder("<"))
    return values.reshape(said["shape"])


# Where it lies


def test_it_lies_beside_the_run_which_stays_as_it_was(run: Run) -> None:
    before = contents(run.folder)
    answer = convpipe("page", str(run.path))
    target = run.folder.with_name(f"{run.folder.name}.html")
    assert (answer.code, answer.out) == (0, f"page: {target}\n")
    assert target.read_bytes().startswith(b"<!doctype html>")
    assert contents(run.folder) == before
    assert hidden(run.folder.parent) == []
    assert convpipe("verify", str(run.folder.parent)).code == 0
    assert len(cp.runs(run.folder.parent)) == 1


def test_its_bytes_are_the_same_each_time_and_from_any_folder(run: Run, tmp_path: Path) -> None:
    first = cp.page(run).read_bytes()
    moved = shutil.copytree(run.folder.parent, tmp_path / "c2" / run.folder.parent.name) / run.folder.name
    assert cp.page(moved, out=tmp_path / "other.html").read_bytes() == first


def test_a_run_is_named_by_its_folder_however_that_is_written(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.folder)
    assert cp.page(".").resolve() == run.folder.with_name(f"{run.folder.name}.html")


def test_a_collection_has_an_index(run: Run) -> None:
    answer = convpipe("page", str(run.folder.parent), "--lang", "ko")
    assert answer.out == f"page: {run.folder.parent / 'index.html'}\n"
    assert b'<html lang="ko">' in (run.folder.parent / "index.html").read_bytes()


def test_korean_names(tmp_path: Path) -> None:
    run = a_run(tmp_path / "합성곱")
    page = cp.page(run, out=tmp_path / "쪽.html").read_text("utf-8")
    assert f"<title>합성곱 {run.folder.name}</title>" in page


def test_a_run_in_memory_needs_a_place(tmp_path: Path) -> None:
    held = cp.run("experiment=lecture_3d", archive=False)
    with pytest.raises(UsageError, match=r"^page: got a run in memory, expected out=FILE beside it$"):
        cp.page(held)
    page = cp.page(held, out=tmp_path / "x.html").read_bytes()
    assert array_of(page, "reshape").ravel().tolist() == [-9, 1, 0, -7]


def test_it_is_shown_in_a_browser_where_that_is_asked_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = list[str]()
    monkeypatch.setattr("webbrowser.open", opened.append)
    convpipe("page", str(run.path))
    assert opened == []
    convpipe("page", str(run.path), "--open")
    assert opened == [run.folder.with_name(f"{run.folder.name}.html").as_uri()]


# What it holds


def test_arrays_are_those_of_the_run(run: Run) -> None:
    page = cp.page(run).read_bytes()
    for name in ("pad", "filters", "reshape"):
        np.testing.assert_array_equal(array_of(page, name), run[name], strict=True)


@pytest.mark.parametrize("keep", ["output", "layers", "stages"])
def test_what_was_not_kept_is_made_again(keep: str, tmp_path: Path) -> None:
    changes = {"keep": keep}
    arrays = facts_of(cp.page(a_run(tmp_path / "c", changes)).read_bytes())["arrays"]
    assert {"pad", "filters", "reshape"} <= set(arrays)


def test_the_table_of_stages_is_read_without_a_script(run: Run) -> None:
    text = cp.page(run).read_text("utf-8").partition("</main>")[0]
    for row in run.rows:
        given = not run.manifest["wiring"][row["stage"]]
        op = f"source: {row['op']}" if given else f"<td>{row['op']}"
        assert f"{op}<td>{row['shape']}<td>" in text.partition(f'<th scope="row">{row["stage"]}</th>')[2]
        assert f"<td>{row['sha256'][:12]}<" in text


def test_the_foot_names_run_and_archive(run: Run) -> None:
    foot = cp.page(run).read_text("utf-8").partition("<footer>")[2].partition("</footer>")[0]
    assert run.manifest["run_id"] in foot
    assert run.manifest["archive_id"] in foot


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_policy_admits_its_own_script_and_style_and_nothing_else(entry: str) -> None:
    page = document(Content(entry, "t", "en", {}, {})).decode()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    sources = dict(part.strip().split(" ", 1) for part in policy[1].split(";"))
    script, style = (re.search(rf"<{tag}>(.*?)</{end}>", page, re.DOTALL) for tag, end in (
        ('script type="module"', "script"), ("style", "style")))  # fmt: skip
    assert script
    assert style
    for name, found in (("script-src", script[1]), ("style-src", style[1])):
        digest = base64.b64encode(hashlib.sha256(found.encode()).digest()).decode()
        assert sources.pop(name) == f"'sha256-{digest}'"
    assert sources == {
        "default-src": "'none'", "img-src": "data: blob:", "base-uri": "'none'", "form-action": "'none'"
    }  # fmt: skip


@pytest.mark.parametrize("entry", ENTRIES)
def test_nothing_is_asked_for_from_elsewhere(entry: str) -> None:
    page = document(Content(entry, "t", "en", {}, {})).decode()
    outside = page.replace("http://www.w3.org/2000/svg", "")
    assert re.findall(r"https?:|\bsrc=|\bhref=\"|@import|url\(", outside) == []


HOSTILE = "</script><img src=x onerror=alert(1)><script>alert(2)</script>&\"'"


def test_names_stay_inert() -> None:
    table = Table("stages", ("stage", HOSTILE), [[HOSTILE, HOSTILE]], "stages")
    facts = {"names": [HOSTILE, "\u2028"]}
    content = Content("run_page", HOSTILE, "en", facts, {"a": packed(np.zeros(2))}, [table], [HOSTILE])
    page = document(content)
    assert b"<img" not in page
    assert b"alert(2)</script>" not in page
    assert page.count(b"<script") == page.count(b"</script>") == 4
    assert facts_of(page)["names"] == facts["names"]


@pytest.mark.parametrize("dtype", ["int8", "uint64", "int64", "float16", "float32", "float64"])
def test_a_packed_array_is_the_array(dtype: str) -> None:
    info: Any = np.iinfo(dtype) if dtype[0] in "iu" else np.finfo(dtype)  # type: ignore[arg-type]
    array = np.array([[info.min, info.max], [1, 0]], dtype)
    found = packed(array.T, (3, 0))
    values = np.frombuffer(gzip.decompress(base64.b64decode(found.text)), np.dtype(dtype).newbyteorder("<"))
    np.testing.assert_array_equal(values.reshape(2, 2), array.T, strict=True)
    assert found.facts == {"dtype": dtype, "shape": (2, 2), "origin": (3, 0)}
    assert packed(array.T, (3, 0)) == found


# Its parts


@pytest.mark.parametrize("entry", [*ENTRIES, "notes"])
def test_every_word_is_there_in_both_languages(entry: str) -> None:
    said = page_script.words(entry)
    assert said["en"].keys() == said["ko"].keys()
    assert all(text for texts in said.values() for text in texts.values())
    places = [set(re.findall(r"\{(\w+)\}", said["en"][key])) ^ set(re.findall(r"\{(\w+)\}", said["ko"][key]))
              for key in said["en"]]  # fmt: skip
    assert not any(places)


def test_no_key_has_two_meanings() -> None:
    found: dict[str, Any] = {}
    for path in sorted((PARTS / "words").glob("*.json")):
        for key, texts in json.loads(path.read_text("utf-8")).items():
            assert found.setdefault(key, texts) == texts, f"{path.name}: {key}"


def test_every_module_is_part_of_a_page() -> None:
    used = {name for entry in ENTRIES for name in page_script.modules(entry)}
    assert {path.stem for path in PARTS.glob("*.mjs")} == used
    assert {path.stem for path in PARTS.glob("*.css")} <= used
    assert {path.stem for path in (PARTS / "words").glob("*.json")} <= {
        *used,
        "notes",
    }  # which stand on pages that have some to say


# What is refused


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--at", "0,0,9,0"], "--at: got 0,0,9,0, expected out_h from 0 to 5"),
        (["--at", "0,0,1"], "--at: got 0,0,1, expected 4 whole numbers: n,f,out_h,out_w"),
        (["--at", "0,x"], "--at: got 0,x, expected whole numbers with commas between them: n,f,y,x"),
        (["--layer", "conv1"], "--layer: got conv1, expected no layer, as the run is a single operation"),
        (["--limit", "51MiB"], "--limit: got 51MiB, expected at most 50.0 MiB, above which browsers fail"),
        (["--limit", "much"], "--limit: got much, expected a size such as 500MB, 2GiB or a whole number of bytes"),
        (["--limit", "0"], "--limit: got 0, expected a size such as 500MB, 2GiB or a whole number of bytes"),
        (["--lang", "de"], "page: --lang: invalid choice: 'de' (choose from 'en', 'ko')"),
    ],
)
def test_what_cannot_be_is_one_line(words: list[str], line: str, run: Run) -> None:
    said = refused(run.folder.parent, "page", str(run.path), *words)
    assert said.replace("(choose from en, ko)", "(choose from 'en', 'ko')") == line  # Python 3.12 has no quotes there


def test_a_limit_below_the_least_is_refused(run: Run) -> None:
    with pytest.raises(ConfigError, match=r"^--limit: got 1000 B, expected at least \d+\.\d KiB, this page's size$"):
        cp.page(run, limit="1kB")
    assert not run.folder.with_name(f"{run.folder.name}.html").exists()


def test_a_language_that_there_is_not(run: Run) -> None:
    with pytest.raises(ConfigError, match=r"^--lang: got kor, expected one of en, ko \(did you mean ko\?\)$"):
        cp.page(run, lang="kor")


def test_a_damaged_run_has_no_page(run: Run) -> None:
    path = run.folder / "05_matmul.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\7")
    said = refused(run.folder.parent, "page", str(run.path), code=3)
    assert said.startswith(f"{path}: got sha256 ")


def test_a_page_is_never_written_into_a_run(run: Run) -> None:
    said = refused(run.folder, "page", str(run.path), "--out", str(run.folder / "x.html"))
    assert said.endswith("expected a place outside the run, whose files are all hashed")


@pytest.mark.parametrize(("name", "word"), [(".", "folder"), ("/dev/null", "device")])
def test_only_a_file_is_written_over(name: str, word: str, run: Run, tmp_path: Path) -> None:
    said = refused(tmp_path, "page", str(run.path), "--out", str(tmp_path / name))
    assert said == f"--out: got {tmp_path / name}, a {word}, expected a file"


def test_a_folder_that_is_not_there(run: Run, tmp_path: Path) -> None:
    said = refused(tmp_path, "page", str(run.path), "--out", str(tmp_path / "no" / "x.html"), code=4)
    assert said.endswith("No such file or directory; nothing was kept")


def test_what_was_there_stays_where_writing_fails(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    target = cp.page(run)
    before = contents(run.folder.parent)

    def full(path: Path, content: bytes) -> int:
        with open(path, "wb") as file:
            file.write(content[:100])
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError, match=r"No space left on device; nothing was kept$"):
        staging.write_whole(target, b"other")
    assert contents(run.folder.parent) == before


def test_an_interrupted_page_is_told_as_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("convpipe.report.page.place.write_whole", stopped)
    answer = convpipe("page", str(run.path))
    assert (answer.code, answer.err) == (130, "convpipe: interrupted; no page was written\n")


def test_a_collection_has_no_cell(run: Run) -> None:
    with pytest.raises(UsageError, match=r"^page: --at and --layer: expected a run, got a collection$"):
        cp.page(run.folder.parent, at="0,0,0,0")


# In a notebook


def test_a_notebook_shows_the_page_in_a_frame_that_reaches_nothing(run: Run) -> None:
    shown = run.view(at=(0, 0, 1, 1), lang="ko")
    assert repr(shown) == "<View of a page, 980 pixels high>"
    text = shown._repr_html_()  # type: ignore[attr-defined]
    frame = re.fullmatch(r'<iframe title="convpipe" sandbox="allow-scripts" width="100%" height="980" '
                         r'srcdoc="([^"<>]*)"></iframe>', text)  # fmt: skip
    assert frame
    assert "&lt;html lang=&quot;ko&quot;&gt;" in frame[1]
    with pytest.raises(ConfigError, match=r"^--at: got 9, expected 4 whole numbers: n,f,out_h,out_w$"):
        run.view(at="9")


def test_a_run_of_another_format_has_one_too(tmp_path: Path) -> None:
    golden = Path(__file__).parent / "golden" / "v1"
    folder = next(path.parent for path in sorted(golden.rglob("manifest.json")))
    page = cp.page(shutil.copytree(folder, tmp_path / "c" / folder.name)).read_bytes()
    assert facts_of(page)["run"] == folder.name


def test_a_manifest_that_says_something_else_is_refused(run: Run) -> None:
    edit_manifest(run.folder, axes={**run.manifest["axes"], "pad": ["<b>"]})
    page = cp.page(run).read_bytes()
    assert b"<b>" not in page
    (run.folder / "manifest.json").write_text("{}")
    with pytest.raises(ArchiveError, match=r"manifest\.json"):
        cp.page(run)
