"""No value of the environment, nor of anything else in the process, gets into a config: it refers to its own keys."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_runs import convpipe
from omegaconf import OmegaConf

import convpipe as cp
from convpipe.config.references import check_references
from convpipe.errors import ConfigError

SECRET = "s3cr3t-of-the-environment"
FORMS = {
    "plain": "${oc.env:SECRET}",
    "a default": "${oc.env:SECRET,1}",
    "blanks": "${ oc.env : SECRET }",
    "within a text": "a-${oc.env:SECRET}-b",
    "a name from elsewhere": "${oc.${note}:SECRET}",
    "a key from elsewhere": "${${note}}",
    "decoded": "${oc.decode:${oc.env:SECRET}}",
    "created": "${oc.create:${oc.env:SECRET}}",
    "selected": "${oc.select:seed}",
    "a dict's keys": "${oc.dict.keys:input}",
    "a dict's values": "${oc.dict.values:input}",
    "Hydra's": "${hydra:runtime.cwd}",
    "Hydra's node": "${hydra.runtime.cwd}",
    "Hydra's node from below": "${..hydra.runtime.cwd}",
    "Hydra's node in brackets": "${[hydra].runtime.cwd}",
    "now": "${now:%Y}",
    "the version of Python": "${python_version:}",
    "of somebody else": "${mine:SECRET}",
    "behind an escaped one": r"\${a} ${oc.env:SECRET}",
    "behind two backslashes": r"\\${oc.env:SECRET}",
    "of no end": "${oc.env:SECRET",
}
MATCH = r"got .*, expected references to other settings alone, such as \$\{seed\}"


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A value of the environment, and what is asked of a resolver that somebody else in the process has registered."""
    monkeypatch.setenv("SECRET", SECRET)
    asked: list[str] = []
    OmegaConf.register_new_resolver("mine", lambda name: asked.append(name) or os.environ[name])
    yield asked
    OmegaConf.clear_resolver("mine")
    assert asked == []


def refused(*words: str) -> str:
    """The one line by which a command refuses its words; nothing is made, and the value is nowhere."""
    before = sorted(Path().rglob("*"))
    answer = convpipe(*words)
    assert (answer.code, answer.out) == (2, "")
    assert SECRET not in answer.err
    assert len(answer.err.splitlines()) == 1
    assert sorted(Path().rglob("*")) == before
    return answer.err


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_word_refers_to_settings_alone(form: str, folder: Path) -> None:
    quoted = form.replace("\\", "\\\\")
    for key in ("seed", "name", "root", "note", "input.path"):
        assert re.search(rf"{re.escape(key)}: got ", line := refused(f'{key}="{quoted}"')), line
        assert re.search(MATCH, line) or "Hydra's grammar" in line or "worked out" in line, line


@pytest.mark.parametrize("key", ["seed", "name", "root", "note", "input.path", "conv.pad", "where", "data"])
def test_what_is_refused_is_said_as_it_is_written_with_the_way_out(key: str, folder: Path) -> None:
    line = refused(f"{key}=${{oc.env:SECRET}}")
    assert line.startswith(f"convpipe: {key}: got ${{oc.env:SECRET}}, expected references to other settings alone")
    assert f'the shell can put a value in: {key}="$SECRET"' in line


def test_the_way_out_works(folder: Path) -> None:
    assert convpipe(f"note={SECRET}").code == 0  # as a shell hands it over


@pytest.mark.parametrize(
    "word",
    [r"seed=$\{oc.env\:SECRET\}", "conv.pad=[1,'${oc.env:SECRET}']", "conv={pad: '${oc.env:SECRET}'}", "+x=${now:}"],
)
def test_nor_does_one_in_the_grammar_s_own_spellings(word: str, folder: Path) -> None:
    assert re.search(MATCH, refused(word))


@pytest.mark.parametrize(
    "word", ["seed=1,${oc.env:SECRET}", "hydra.sweeper.params.seed='${oc.env:SECRET}'", "+a=choice(1,'${now:}')"]
)
def test_nor_an_axis(word: str, folder: Path) -> None:
    assert re.search(MATCH, refused("-m", word))


FILES = {
    "a value": "seed: ${oc.env:SECRET}",
    "escaped": r'seed: "\x24{oc.env:SECRET}"',
    "a list": "conv: {pad: [0, '${oc.env:SECRET}']}",
    "a name": "'${oc.env:SECRET}': 1",
    "an axis": "hydra: {sweeper: {params: {seed: '1,${oc.env:SECRET}'}}}",
    "a choice": "defaults: [{override /input: '${oc.env:SECRET}'}]",
    "a file": "input: {source: npy, path: '${oc.env:SECRET}/x.npy'}",
    "a merge": "input: ${oc.create:{}}\n",
    "a block": "note: |\n  two\n  ${oc.env:SECRET}\n",
}


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_a_file_refers_to_settings_alone(text: str, folder: Path) -> None:
    Path("my.yaml").write_text(text)
    own = Path("own/experiment")
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text(text)
    assert re.search(MATCH, refused("my.yaml"))
    assert re.search(MATCH, refused("-m", "my.yaml"))
    line = refused("--config-dir", "own", "experiment=mine")
    assert re.search(rf"own/experiment/mine\.yaml: .*{MATCH}", line)
    assert re.search(MATCH, refused("--config-dir", "own", "--config-name", "experiment/mine"))


def test_nor_does_a_choice_of_one_s_own(folder: Path) -> None:
    Path("own/input").mkdir(parents=True)
    Path("own/input/mine.yaml").write_text("source: npy\npath: ${oc.env:SECRET}\n")
    assert re.search(rf"input/mine\.yaml: path: {MATCH}", refused("--config-dir", "own", "input=mine"))
    for flag in ("--cfg=job", "--info", "--help"):
        assert re.search(rf"input/mine\.yaml: path: {MATCH}", refused("--config-dir", "own", "input=mine", flag))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("points.csv", "seed,note\n1,${oc.env:SECRET}\n"),
        ("points.yaml", "- {seed: 1, note: '${oc.env:SECRET}'}\n- {seed: '${oc.env:SECRET}'}\n"),
        ("points.json", r'[{"seed": "\u0024{oc.env:SECRET}"}]'),
    ],
)
def test_nor_a_list_of_points(name: str, text: str, folder: Path) -> None:
    Path(name).write_text(text)
    answer = convpipe("-m", f"sweep.points={name}", "dry_run=true")
    told = f"{answer.out}{answer.err}"
    assert SECRET not in told
    assert re.search(MATCH, told) or name == "points.csv"  # where a note is a text whatever it looks like


def test_python_s_words_are_refused_and_its_values_are_texts(folder: Path) -> None:
    with pytest.raises(ConfigError, match=rf"^note: {MATCH}"):
        cp.run("note=${oc.env:SECRET}")
    with pytest.raises(ConfigError, match=rf"^note: {MATCH}"):
        cp.plan("note=${mine:SECRET}")
    with pytest.raises(ConfigError, match=rf"^seed: {MATCH}"):
        cp.sweep("seed=1,${mine:SECRET}")
    assert cp.run(note="${oc.env:SECRET}").manifest["note"] == "${oc.env:SECRET}"


# What stays


def test_references_to_settings_are_followed(folder: Path) -> None:
    Path("my.yaml").write_text(
        "seed: 2\nconv: {stride: 2, dilation: 1, pad: '${.dilation}'}\n"
        "note: '${name}-${conv.stride}'\nlabel: ${ note }\n"
    )
    run = cp.run("my.yaml", "record=null", "conv.groups=${conv.dilation}")
    assert run.manifest["note"] == "my-2"
    assert (run.config["conv"]["pad"], run.config["seed"]) == (1, 2)


def test_a_backslash_before_it_makes_letters_of_a_reference(folder: Path) -> None:
    Path("my.yaml").write_text(r"note: '\${oc.env:SECRET}'")
    assert cp.run("my.yaml").manifest["note"] == "${oc.env:SECRET}"


@pytest.mark.parametrize(
    ("text", "legal"),
    [
        ("${seed}", True),
        ("${a.b[0].c}", True),
        ("${..low}", True),
        ("$seed {a} $ {b}", True),
        (r"\${oc.env:A}", True),
        (r"\\${seed}", True),
        (r"\\\${oc.env:A}", True),
        (r"\\${oc.env:A}", False),
        ("${seed}${now:}", False),
        ("${}", False),
        ("${a b}", False),
    ],
)
def test_which_references_there_are(text: str, legal: bool) -> None:
    if legal:
        check_references("note", text)
        return
    with pytest.raises(ConfigError, match=rf"^note: {MATCH}"):
        check_references("note", {"x": 1, "y": [text]}["y"])


# What is written


def test_no_file_of_a_run_has_a_value_of_the_environment(folder: Path) -> None:
    run = cp.run("experiment=lecture_3d", keep="stages+inputs", note="a note")
    cp.sweep("experiment=lecture_3d", seed=[1, 2])
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    recorded = json.dumps(run.manifest["provenance"])
    assert [name for name in os.environ if name in recorded and len(name) > 6] == []


def test_what_hydra_has_copied_from_the_environment_is_in_no_message(folder: Path) -> None:
    Path("own/experiment").mkdir(parents=True)
    Path("own/experiment/mine.yaml").write_text("# @package _global_\nhydra: {job: {env_copy: [SECRET]}}\n")
    line = refused("--config-dir", "own", "experiment=mine")
    assert "hydra.job.env_copy: got ['SECRET'], expected []" in line


@pytest.mark.skipif(not os.path.exists("/proc/self/environ"), reason="no such file here")
@pytest.mark.parametrize("place", ["my.yaml", "points.csv", "own/input/mine.yaml"])
def test_a_link_to_a_process_s_environment_is_not_read(place: str, folder: Path) -> None:
    Path(place).parent.mkdir(parents=True, exist_ok=True)
    Path(place).symlink_to("/proc/self/environ")
    words = {"my.yaml": ["my.yaml"], "points.csv": ["-m", "sweep.points=points.csv"]}
    line = refused(*words.get(place, ["--config-dir", "own", "input=mine"]))
    assert "expected a regular file, none of the system's own" in line
