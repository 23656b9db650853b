"""Texts of strangers, and odd names of one's own: they are shown literally, and can forge no line that is printed."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from cli_runs import Answer, convpipe
from hostile_cases import AGAIN, NAME, Collection, a_collection, check, commands, no_hang
from run_cases import reseal

import convpipe as cp
from convpipe.archive.format import manifest_sha256
from convpipe.archive.index import INDEX
from convpipe.errors import ArchiveError, ConfigError, StorageError, UsageError, ValueRangeError, literal

ESCAPES = {
    "a new line": "a\nok runs/fake archive",
    "a line of its own in other ways": "a\rb\vc\fd\x85e\u2028f\u2029g",
    "colours": "\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "of one character": "\x9b31m\x9d0;title\x9c",
    "backwards": "\u202egnp.exe\u2066a\u2069",
    "not seen": "a\u200b\u200d\ufeffb\u00ad",
    "no Unicode": "a\udcffb",
}


def printed(words: tuple[str, ...]) -> Answer:
    """What a command says; nothing of it moves a cursor, or begins a line that it has not begun."""
    with no_hang():
        answer = convpipe(*words)
    check(words, answer)
    lines = (answer.out + answer.err).splitlines()
    assert not [line for line in lines if line.startswith(("ok runs/fake", "title", "31m"))], lines
    return answer


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return a_collection(tmp_path_factory.mktemp("good"))


def in_root(found: Collection, root: Path) -> Collection:
    """A copy of a collection in a root of any name."""
    root.mkdir()
    shutil.copytree(found.folder, root / NAME)
    return Collection(root / NAME, root / NAME / found.run.name)


# Names of folders


@pytest.mark.parametrize("kind", ESCAPES)
def test_a_folder_of_any_name_is_shown_literally(good: Collection, tmp_path: Path, kind: str) -> None:
    found = in_root(good, tmp_path / ESCAPES[kind].replace("/", "-"))
    for words in commands(found):
        if "-m" not in words and not words[0].startswith("experiment"):
            printed(words)
    for words in (("verify", str(found.folder)), ("verify", str(found.run)), ("verify", str(found.folder.parent))):
        answer = printed(words)
        assert answer.out.count("\nok ") + answer.out.startswith("ok ") == (1 if words[1] == str(found.run) else 2)
        assert literal(found.folder.parent) in answer.out
    (found.run / "output.npy").unlink()
    for words in (*list(commands(found))[5:9], ("verify", str(found.folder))):
        answer = printed(words)
        assert (answer.code, literal(found.folder.parent) in answer.err) in ((3, True), (0, False))


@pytest.mark.parametrize("kind", ESCAPES)
def test_a_path_that_is_not_there_is_shown_literally(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"no/{ESCAPES[kind]}"
    for command in ("verify", "reproduce", "page", "runs", "help"):
        answer = printed((command, name))
        assert (answer.code, len(answer.err.splitlines())) == (2, 1)
    printed(("explain", name, "--at", "0,0,0,0"))
    printed((*AGAIN, f"input.path={shlex.quote(name)}"))
    printed(("runs", "--where", ESCAPES[kind]))
    printed((ESCAPES[kind],))


# What a run says of itself


TEXTS = {
    "note": lambda text: {"note": text},
    "folder": lambda text: {"folder": text, "paths": {"input": text}},
    "paths": lambda text: {"paths": {"input": text, text: text}},
    "axes": lambda text: {"axes": {"input": [text] * 4, "reshape": [text] * 4, text: [text]}},
    "letters": lambda text: {"axes": {"filters": ["F", "C", text, "kw"]}},
    "seconds": lambda text: {"seconds": {text: [1.0], "pad": [1.0]}},
    "wiring": lambda text: {"wiring": {text: [text]}},
    "provenance": lambda text: {"provenance": {"convpipe": text, "blas": text, "cpu": text, "threads": 1}},
    "lowering": lambda text: {"lowering": text},
    "given": lambda text: {"given": {text: text}, "drawn": [text], "agrees": [text], "operations": {text: text}},
    "run_id": lambda text: {"run_id": text},
    "archive_id": lambda text: {"archive_id": text},
    "started": lambda text: {"started": text},
    "status": lambda text: {"status": text},
    "keep": lambda text: {"keep": text},
    "names": lambda text: {"names": {"feature_map": [text]}},
    "sizes": lambda text: {"sizes": {text: 1}},
    "other": lambda text: {text: text},
}


@pytest.mark.parametrize("entry", TEXTS)
def test_a_manifest_s_texts_are_shown_literally(good: Collection, tmp_path: Path, entry: str) -> None:
    found = in_root(good, tmp_path / "root")
    changed = TEXTS[entry]("".join(ESCAPES.values()))
    record = json.loads((found.run / "manifest.json").read_text()) | changed
    record["sha256"] = manifest_sha256(record)
    (found.run / "manifest.json").write_text(json.dumps(record))
    (found.folder / INDEX).unlink()
    for words in (*commands(found), ("verify", str(found.folder)), ("verify", str(found.run))):
        printed(words)
    shown(found)


def shown(found: Collection) -> None:
    """What a notebook or a prompt shows of a run has nothing that moves a cursor either."""
    with suppress(ArchiveError):
        run = cp.load(found.run)
        assert re.fullmatch(r"[\x20-\x7e\n]+", repr(run))
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", run._repr_html_())


@pytest.mark.parametrize("name", ["config.yaml", "stages.csv", "SHA256SUMS", "manifest.json"])
@pytest.mark.parametrize("sealed", [False, True])
def test_texts_of_other_files_are_shown_literally(good: Collection, tmp_path: Path, name: str, sealed: bool) -> None:
    found = in_root(good, tmp_path / "root")
    path, text = found.run / name, "".join(ESCAPES.values()).replace("\udcff", "")
    added = {"config.yaml": f"{json.dumps(text)}: {json.dumps(text)}\n", "stages.csv": f'"{text}",' * 9 + f'"{text}"\n'}
    path.write_text(path.read_text() + added.get(name, text))
    if sealed and name in added:
        reseal(found.run)
    (found.folder / INDEX).unlink()
    for words in (*commands(found), ("verify", str(found.folder)), ("verify", str(found.run))):
        printed(words)
    shown(found)


# What a collection says


def test_texts_of_a_collection_s_books_are_shown_literally(good: Collection, tmp_path: Path) -> None:
    found = in_root(good, tmp_path / "root")
    text = "".join(ESCAPES.values())
    rows = [json.loads(line) for line in (found.folder / INDEX).read_text().splitlines()]
    for row in rows:
        row |= {text: text, "note": text, "conv.stride": text, "lowering": text, "output_shape": text, "started": text}
    (found.folder / INDEX).write_text("".join(json.dumps(row) + "\n" for row in rows))
    failed = {"run": "0123456789ab", "status": "failed", "started": text, "error": text, "conv.pad": text}
    (found.folder / ".failed.jsonl").write_text(json.dumps(failed) + "\n")
    for path in (found.folder / "sweeps").glob("*.csv"):
        with open(path, "a", newline="", errors="backslashreplace") as file:
            csv.writer(file).writerow((7, text, text, found.run.name, text))
    for words in (*commands(found), ("verify", str(found.folder))):
        printed(words)
    found = in_root(good, tmp_path / "table")
    table = list(csv.reader((found.folder / "results.csv").read_text().splitlines()))
    with open(found.folder / "results.csv", "w", newline="", errors="backslashreplace") as file:
        csv.writer(file).writerows([[*table[0], text], *([*row, text] for row in table[1:])])
    for words in (*commands(found), ("verify", str(found.folder))):
        printed(words)


# Errors


@pytest.mark.parametrize("kind", ESCAPES)
@pytest.mark.parametrize("error", [ArchiveError, StorageError, UsageError, ValueRangeError])
def test_an_error_is_one_line_whatever_it_says(kind: str, error: type[Exception]) -> None:
    assert str(error(f"{ESCAPES[kind]}: got")).isprintable()
    assert str(ConfigError(ESCAPES[kind], ESCAPES[kind], ESCAPES[kind], ESCAPES[kind])).isprintable()


def test_a_label_and_a_note_are_shown_literally(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = ESCAPES["a new line"] + ESCAPES["colours"] + ESCAPES["backwards"]
    cp.run(*AGAIN, label=text, note=text)
    run = next(Path("runs", NAME).glob("*/manifest.json")).parent
    found = Collection(run.parent.absolute(), run.absolute())
    for words in commands(found):
        printed(words)
    assert cp.runs(found.folder, points=True)["label"].tolist()[0] == text
    assert os.path.lexists(found.folder / "results.csv")
