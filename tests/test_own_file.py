"""An experiment file of the user's own: `convpipe my.yaml`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

import convpipe as cp
from convpipe.archive.read import load
from convpipe.config.own import experiment
from convpipe.config.tree import config_folder
from convpipe.config.words import OWN
from convpipe.errors import ConfigError, ConvpipeError, StorageError
from tests.cli_runs import contents, convpipe, identity, job, only_run, refused

EXPERIMENTS = sorted(path.stem for path in (config_folder() / "experiment").glob("*.yaml"))
NEEDED = {
    "digits_simple": ["data=DIR"],
    "digits_deep": ["data=DIR"],
    "edges": ["input.path=x.png"],
    "sharpen": ["input.path=x.png"],
}
MINE = "input: {source: lecture, values: [[[[1, 2], [3, 4]]]]}\nfilters: {source: lecture, values: [[[[2]]]]}\n"


def run_id(*words: str) -> str:
    """The id of the run that a command makes, or made before."""
    answer = convpipe(*words)
    assert answer.code == 0, answer.err
    return answer.out.rstrip().rpartition("/")[2]


def written(folder: Path, text: str, name: str = "my.yaml") -> str:
    """A file with that text; gives its path from the working directory."""
    path = folder / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text, encoding="utf-8")
    return name


def test_a_file_runs_and_its_stem_is_the_name(folder: Path) -> None:
    answer = convpipe(written(folder, MINE))
    assert answer.code == 0
    assert "feature map n=0 f=0, int16: [[2, 4], [6, 8]]" in answer.out
    assert only_run(folder / "runs").parent == folder / "runs" / "my"


def test_settings_beside_it_count_more(folder: Path) -> None:
    mine = written(folder, MINE + "conv: {pad: 1}\nseed: 3\n")
    found = job(mine, "conv.pad=2", "seed=4", "name=other")
    assert (found.spec.conv.pad, found.spec.seed, found.execution.name) == (2, 4, "other")  # type: ignore[union-attr]


def test_a_choice_beside_it_takes_the_place_of_its_settings(folder: Path) -> None:
    mine = written(folder, MINE + "bias: {source: random}\nconv: {pad: 1}\n")
    assert identity(mine, "input=integers", "bias=none", "conv={stride:2}") == identity(
        "input=integers", "filters.values=[[[[2]]]]", "conv.pad=1", "conv.stride=2"
    )
    based = written(folder, "experiment: tiny\ninput.shape: [1, 3, 8, 8]\n", "based.yaml")
    assert identity(based, "input=random", "input.shape=[1,3,8,8]") == identity(
        "experiment=tiny", "input=random", "input.shape=[1,3,8,8]"
    )
    assert convpipe("-m", mine, "input=integers,random", "filters=integers").code == 0


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_cfg_shows_of_an_experiment_is_a_file_of_the_same_run(name: str, folder: Path) -> None:
    more = NEEDED.get(name, [])
    shown = convpipe("--cfg", "job", f"experiment={name}", *more)
    mine = written(folder, shown.out)
    assert job(mine).spec == job(f"experiment={name}", *more).spec
    assert job(mine).execution == job(f"experiment={name}", *more).execution


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_shipped_experiment_file_is_one_as_it_is(name: str, folder: Path) -> None:
    """Hydra's package line and defaults list are accepted."""
    more = NEEDED.get(name, [])
    mine = written(folder, (config_folder() / "experiment" / f"{name}.yaml").read_text())
    assert job(mine, *more).spec == job(f"experiment={name}", *more).spec


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_file_may_start_from_an_experiment(name: str, folder: Path) -> None:
    more = NEEDED.get(name, [])
    found = job(written(folder, f"experiment: {name}\n"), *more)
    assert found.spec == job(f"experiment={name}", *more).spec
    assert found.execution.name == "my"


SAME = {
    "a source by name": ("input: random\nfilters: sobel_x", "input=random filters=sobel_x"),
    "a source and its settings": (
        "input: {source: random, shape: [1, 1, 5, 5]}\nfilters: {source: integers, count: 2}",
        "input=random input.shape=[1,1,5,5] filters=integers filters.count=2",
    ),
    "dotted keys": ("conv.stride: 2\nconv: {pad: 1}\nconv.dilation: 1", "conv.stride=2 conv.pad=1"),
    "an operation": (
        "conv: {operation: conv_transpose, stride: 2}\ninput: integers\nfilters: integers",
        "conv=transpose conv.stride=2 input=integers filters=integers",
    ),
    "a gradient": (
        "conv: {operation: grad_bias}\ninput: integers\nfilters: integers\ngrad: integers",
        "conv=grad_bias input=integers filters=integers grad=integers",
    ),
    "stages": ("lowering: {stages: [pad, im2col]}", "lowering.stages=[pad,im2col]"),
    "a lowering": ("lowering: implicit", "lowering=implicit"),
    "a network by name": ("network: tiny\ninput: integers", "network=tiny input=integers"),
    "layers": (
        "network: {a: {op: conv, filters: 2, kernel: 3}, b: {op: relu}}\ninput: integers\nweights: random",
        "network=single filters=none conv=none weights=random input=integers "
        "+network.a={op:conv,filters:2,kernel:3} +network.b={op:relu}",
    ),
    "a change to a network": (
        "experiment: tiny\nnetwork: {conv1: {stride: 2}, conv2: {stride: 1}, add: {inputs: [relu1]}}",
        "experiment=tiny network.conv1.stride=2 network.conv2.stride=1 network.add.inputs=[relu1]",
    ),
    "another source than the experiment's": (
        "experiment: tiny\ninput: {source: random, shape: [2, 3, 8, 8]}",
        "network=tiny weights=integers record=1 keep=stages input=random input.shape=[2,3,8,8]",
    ),
    "a list is numbers": (
        "input: [[[[1, 2], [3, 4]]]]\nfilters: [[[[1]]]]\nbias: [2]",
        "input=values input.values=[[[[1,2],[3,4]]]] filters=values filters.values=[[[[1]]]] "
        "bias=values bias.values=[2]",
    ),
    "numbers with a point": (
        "input: [[[[1, 2.5]]]]\nfilters: {source: lecture, values: [[[[0.5]]]]}",
        "input=values input.values=[[[[1,2.5]]]] input.dtype=float64 "
        "filters=values filters.values=[[[[0.5]]]] filters.dtype=float64",
    ),
    "a dtype of its own": (
        "input: {source: values, values: [[[[0.5]]]], dtype: float32}",
        "input=values input.values=[[[[0.5]]]] input.dtype=float32",
    ),
    "a choice and its keys": (
        "filters: sobel_x\nfilters.dtype: int32\ninput.low: 0\ninput: integers",
        "filters=sobel_x filters.dtype=int32 input=integers input.low=0",
    ),
    "a choice for a source": ("filters: {source: sobel_x, dtype: int32}", "filters=sobel_x filters.dtype=int32"),
    "nothing of a group": ("bias: null\ngrad: {}", ""),
    "Hydra's list": (
        "defaults:\n  - override /input: integers\n  - _self_\ninput: {low: 0}",
        "input=integers input.low=0",
    ),
    "a main config's list": (
        "defaults: [input: integers, override filters: integers]",
        "input=integers filters=integers",
    ),
    "a reference": ("seed: 5\nlabels: null\nconv: {pad: '${seed}'}", "seed=5 conv.pad=5"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), SAME.values(), ids=SAME)
def test_a_file_is_the_run_of_a_command(text: str, words: str, folder: Path) -> None:
    mine = written(folder, text + "\n")
    assert identity(mine) == identity(*words.split())


REPLACED = {
    "a source": ("input=integers", "input=integers"),
    "a choice": ("filters=sobel_x", "filters=sobel_x"),
    "a kernel of the lecture's": ("filters=lecture_1x1", "filters=lecture_1x1"),
    "settings of it": ("input=random input.shape=[1,1,5,5]", "input=random input.shape=[1,1,5,5]"),
}
FULL = "input: {source: lecture, values: [[[[1, 2], [3, 4]]]]}\nfilters: {source: random, count: 2, kernel: 1}\n"


@pytest.mark.parametrize(("beside", "words"), REPLACED.values(), ids=REPLACED)
def test_a_choice_beside_a_file_replaces_the_files_whole_group(beside: str, words: str, folder: Path) -> None:
    mine = written(folder, FULL)
    group = beside.partition("=")[0]
    other = {
        "input": "filters=random filters.count=2 filters.kernel=1",
        "filters": "input=lecture input.values=[[[[1,2],[3,4]]]]",
    }[group]
    assert identity(mine, *beside.split()) == identity(*other.split(), *words.split())


def test_settings_of_a_group_that_chooses_nothing_go_with_any_choice(folder: Path) -> None:
    mine = written(folder, "conv: {stride: 2}\n")
    assert identity(mine, "conv=transpose") == identity("conv=transpose", "conv.stride=2")


def test_relative_paths_start_at_the_files_folder(folder: Path) -> None:
    np.save(folder / "x.npy", np.ones((1, 1, 4, 4), np.int16))
    (folder / "sub").mkdir()
    np.save(folder / "sub" / "x.npy", np.full((1, 1, 4, 4), 7, np.int16))
    text = "input: {source: npy, path: x.npy}\nfilters: {source: lecture, values: [[[[1]]]]}\nkeep: stages\nroot: out\n"
    assert convpipe(written(folder, text, "sub/my.yaml")).code == 0
    made = load(only_run(folder / "sub" / "out"))
    assert made.output.max() == 7
    assert convpipe("sub/my.yaml", "input.path=x.npy", "root=here").code == 0  # beside it they start here
    assert load(only_run(folder / "here")).output.max() == 1


@pytest.mark.parametrize("path", ["/x/y.npy", "~/y.npy", "${data}/y.npy"])
def test_other_paths_stay(path: str, folder: Path) -> None:
    mine = written(folder, f"input: {{source: npy, path: '{path}'}}\n", "sub/my.yaml")
    assert experiment(Path(mine))["input"]["path"] == path


def test_paths_of_every_kind_start_there(folder: Path) -> None:
    text = "data: here\nweights: {source: npz, path: w.npz}\nlabels: {source: npy, path: ../l.npy}\n"
    mine = written(folder, text + "sweep: {points: p.csv}\n", "sub/my.yaml")
    found = experiment(Path(mine))
    assert (found["data"], found["weights"]["path"], found["labels"]["path"]) == ("sub/here", "sub/w.npz", "l.npy")
    assert found["sweep"]["points"] == "sub/p.csv"
    assert experiment(Path(written(folder, "sweep: {points: alexnet}\n", "sub/b.yaml")))["sweep"]["points"] == "alexnet"


def test_a_file_is_swept(folder: Path) -> None:
    mine = written(folder, MINE)
    for words in (("-m", mine, "conv.stride=1,2"), (mine, "-m", "conv.stride=1,2", "seed=0")):
        answer = convpipe(*words)
        assert answer.code == 0, answer.err
    assert answer.out.rstrip().endswith("0 done, 2 there before, 0 failed: runs/my")


def test_a_file_brings_a_sweep_of_its_own(folder: Path) -> None:
    mine = written(folder, MINE + "hydra: {sweeper: {params: {conv.pad: '0,1,2'}}}\n")
    assert convpipe("-m", mine).out.rstrip().endswith("3 done, 0 there before, 0 failed: runs/my")


def test_a_file_and_workers(folder: Path) -> None:
    mine = written(folder, MINE)
    assert convpipe("-m", mine, "conv.pad=0,1,2,3", "workers=2").code == 0


def test_letters_of_any_script(folder: Path) -> None:
    assert convpipe(written(folder, MINE, "수업1.yml")).code == 0
    assert only_run(folder / "runs").parent.name == "수업1"


REFUSED = {
    "unknown": ("sed: 1", r"sed: got 1, expected one of the keys: .*\(did you mean seed\?\)"),
    "unknown below": ("conv: {strid: 1}", r"conv\.strid: got 1, .*\(did you mean conv\.stride\?\)"),
    "of another source": ("input: {path: x.npy}", r"input\.path: got x\.npy, .*\(input=csv, .* npz, .* have it\)"),
    "a choice": ("input: rando", r"input: got rando, expected one of csv, .*\(did you mean random\?\)"),
    "a source": ("input: {source: rando}", r"input\.source: got rando, .*\(did you mean random\?\)"),
    "an experiment": ("experiment: tinu", r"experiment: got tinu, expected one of alexnet.*\(did you mean tiny\?\)"),
    "another package": ("# @package input\nseed: 1", r"my\.yaml: got # @package input, expected _global_"),
    "no mapping": ("- 1", r"my\.yaml: expected keys and values"),
    "empty": ("", r"my\.yaml: expected keys and values"),
    "no yaml": ("seed: [1", r"my\.yaml: line 1: did not find expected ',' or '\]'$"),
    "a tab": ("seed: 1\nconv:\n\tpad: 2\n", r"my\.yaml: line 3: .*\(YAML takes blanks, no tabs, before a key\)$"),
    "a tab below": ("conv:\n  pad: 1\n\tstride: 2\n", r"my\.yaml: line 3: .*\(YAML takes blanks, no tabs"),
    "no blank": ("seed:1\nname: x", r"my\.yaml: line 2: mapping values .* \(a colon needs a blank behind it,"),
    "no blank at the end": ("name: x\nseed:1", r"my\.yaml: line 2: could not find .* \(a colon needs a blank"),
    "a colon": ("seed: 1\nnote: a: b", r"my\.yaml: line 2: .*, and a text with ': ' quotes\)$"),
    "a character": ("seed: @x", r"my\.yaml: line 1: found character that cannot start any token$"),
    "control": ("note: \0", r"my\.yaml: not readable: unacceptable character #x0000: .* not allowed, at byte 6$"),
    "twice": ("seed: 1\nseed: 2", r"my\.yaml: line 2: found duplicate key seed \(a key once"),
    "a group twice": ("input: npy\ninput: {path: x}", r"my\.yaml: line 2: .*duplicate key input \(a key once; beside"),
    "dotted twice": ("conv.pad: 1\nconv: {stride: 1}\nconv.stride: 2", r"conv\.stride: got 2, expected a key once"),
    "twice in both ways": ("conv.pad: 1\nconv: {pad: 2}", r"conv\.pad: got 2, expected a key once"),
    "in both ways twice": ("conv: {pad: 2}\nconv.pad: 1", r"conv\.pad: got 1, expected a key once"),
    "another's word": ("conv: {padding: 1}", r"conv\.padding: got 1, .*\(did you mean conv\.pad\?\)"),
    "another's word at the top": ("inputs: [[[[1]]]]", r"inputs: got .*\(did you mean input\?\)"),
    "a path by another name": ("input: {source: npy, file: x}", r"input\.file: got x, .*mean input\.path\?\)"),
    "a path of nothing": ("input: npy\npath: x.npy", r"path: got x\.npy, .*\(did you mean input\.path\?\)"),
    "a file for a choice": ("input: x.npy", r"input: got x\.npy, .*\(input=npy input\.path=x\.npy\)"),
    "a number for an array": ("bias: 3", r"bias: got 3, expected a list of numbers, .*\(\[3\]\)"),
    "an op alone": ("network: {r: relu}\nweights: random", r"network\.r: got relu, .*\(\{op: relu\}\)"),
    "an alias": ("a: &a [1]\nseed: *a", r"my\.yaml: not readable: aliases"),
    "code": ("input: {_target_: os.system}", r"input\._target_: got os\.system, expected one of the keys of input: "),
    "Hydra's folder": ("hydra: {run: {dir: /x}}", r"hydra\.run: got .*, expected of Hydra's own settings only"),
    "a launcher": ("hydra: {launcher: {_target_: evil.E}}", r"hydra\.launcher\._target_: got evil\.E"),
    "a callback": ("hydra: {callbacks: {x: {_target_: evil.E}}}", r"hydra\.callbacks: got "),
    "moved": ("defaults: [{/input@hydra.callbacks.x: random}]", r"(hydra\.callbacks|config): "),
    "defaults": ("defaults: 5", r"defaults: got 5, expected a list"),
    "python": ("seed: !!python/object/apply:os.system [ls]", r"my\.yaml: line 1: could not determine a constructor"),
    "big": ("# " + "x" * (1 << 20), r"my\.yaml: got 1048578 bytes, expected at most 1048576 \(numbers go into"),
    "a list for a source": ("input: {source: [a]}", r"input\.source: got \['a'\], expected one of csv"),
    "a group for a source": ("filters: {source: {a: 1}}", r"filters\.source: got \{'a': 1\}, expected one of"),
    "a list for an operation": ("conv: {operation: [a]}", r"conv\.operation: got \['a'\], expected"),
    "a list for a kind": ("cluster: {kind: [a]}", r"cluster\.kind: got \['a'\], expected"),
    "nothing between points": ("conv..stride: 1", r"conv\.\.stride: got 1, expected names for keys"),
    "a key of nothing": ('"": 1', r"'': got 1, expected names for keys"),
    "Hydra's own state": ("hydra: {overrides: {task: x}}", r"hydra\.overrides: got .*, expected of Hydra"),
    "Hydra's group": ("hydra: {launcher: []}", r"hydra\.launcher: got \[\], expected a group of settings"),
    "Hydra itself": ("hydra: 5", r"hydra: got 5, expected a group of settings"),
    "no axes": ("hydra.sweeper.params: 5", r"hydra\.sweeper\.params: got 5, expected a group of keys"),
    "a list for a group": ("timing: []", r"timing: got \[\], expected a group of settings"),
    "a reference cut short": ("seed: '${'", r"seed: got \$\{, expected references to other settings alone"),
    "a truth for a key": ("network: {on: {op: relu}}", r"network: got True for a key, expected names .* quotes around"),
    "nothing for a key": ("threads: {null: 1}", r"threads: got None for a key, expected names"),
    "a set": ("input: {shape: !!set {a, b}}", r"input\.shape: got a set, expected a text, a number, a list"),
    "bytes": ("where: [!!binary aGVsbG8=]", r"where\[0\]: got a bytes, expected a text, a number, a list"),
    "deep": (f"? conv{'.a' * 45}\n: {'{a: ' * 45}1{'}' * 45}", r"conv(\.a)+\.{3,4}: got .* at most 50 levels"),
    "points": (f"? conv{'.a' * 3000}\n: 1", r"conv(\.a)+\.{3,4}: got 1, expected at most 50 levels"),
    "the character 0": (MINE + 'root: "a\\0b"', r"root: got a\\x00b, expected a path \(none has"),
    "a colour": ('seed: "\\e[31m"', r"seed: got \\x1b\[31m, expected a whole number"),
    "an experiment in the list": ("defaults: [override /experiment: tiny]", r"defaults: got .* as experiment: tiny\)"),
    "no entry": ("defaults: [5]", r"defaults: got 5, expected entries such as override /input: random"),
    "two in an entry": ("defaults: [{input: random, conv: default}]", r"defaults: got .*, expected entries such as"),
    "a name": (MINE + "name: ../x", r"name: got \.\./x, expected a folder name"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "line"), REFUSED.values(), ids=REFUSED)
def test_what_may_not_be_set_elsewhere_may_not_be_set_here(text: str, line: str, folder: Path) -> None:
    assert re.match(line, refused(folder, written(folder, text)))


def test_what_is_no_such_file(folder: Path) -> None:
    assert re.match(r"nope\.yaml: no such file; expected an experiment file, or settings", refused(folder, "nope.yaml"))
    (folder / "f.yaml").mkdir()
    assert re.match(r"f\.yaml: no such file", refused(folder, "f.yaml"))


def test_a_missing_file_is_perhaps_another(folder: Path) -> None:
    written(folder, MINE, "mine.yaml")
    assert refused(folder, "mine.yml").endswith("(did you mean mine.yaml?)")
    assert refused(folder, "lecture_4d.yaml").endswith("(did you mean experiment=lecture_4d?)")


def test_one_experiment_at_a_time(folder: Path) -> None:
    mine = written(folder, MINE)
    assert re.match(r"experiment: got tiny, expected none beside my\.yaml", refused(folder, mine, "experiment=tiny"))
    with pytest.raises(ConfigError, match=r"^experiment: got tiny, expected none beside my\.yaml"):
        job(mine, "experiment=tiny")


@pytest.mark.parametrize("word", ["~experiment", "+experiment=tiny", "++experiment=tiny", "experiment@x=tiny"])
def test_the_file_stays_the_experiment(word: str, folder: Path) -> None:
    assert re.search(
        r"experiment.*: got .*, expected none beside my\.yaml", refused(folder, written(folder, MINE), word)
    )


def test_there_is_one_file(folder: Path) -> None:
    written(folder, MINE)
    line = refused(folder, "my.yaml", "seed=1", "my.yaml")
    assert line == "my.yaml: expected one experiment file; a sweep over several is -m experiment=my.yaml,my.yaml"


def test_the_experiments_of_config_dir_stay_apart(folder: Path) -> None:
    written(folder, "# @package _global_\nseed: 7\n", "more/experiment/own.yaml")
    mine = written(folder, MINE)
    assert (job(mine, "--config-dir", "more").spec.seed, job("experiment=own", "--config-dir", "more").spec.seed) == (
        0,
        7,
    )


def test_names_that_hydra_would_read_as_more(folder: Path) -> None:
    """The stem, and the folder that paths start from, are no references to other keys."""
    assert job(written(folder, MINE, "${seed}.yaml")).execution.name == "__seed_"
    mine = written(folder, MINE + "root: out\n", "${seed}/my.yaml")
    assert Path(job(mine).execution.root) == Path("${seed}/out")
    assert job(written(folder, MINE, "5.yaml")).execution.name == "5"


@pytest.mark.parametrize(
    ("value", "line"), [("???", "a value for it"), ("${nowhere}", "a value that can be worked out")]
)
def test_axes_that_cannot_be(value: str, line: str, folder: Path) -> None:
    mine = written(folder, f"hydra: {{sweeper: {{params: {{seed: '{value}'}}}}}}\n")
    got = "nothing" if value == "???" else re.escape(value)
    assert re.match(rf"hydra\.sweeper\.params\.seed: got {got}, expected {line}", refused(folder, "-m", mine))


def test_a_name_too_long_for_the_disk(folder: Path) -> None:
    line = r"^x+\.yaml: File name too long"
    assert re.match(line, refused(folder, f"{'x' * 300}.yaml", code=4))
    with pytest.raises(StorageError, match=line):
        cp.run(f"{'x' * 300}.yaml")


def test_a_message_moves_no_cursor(folder: Path) -> None:
    assert refused(folder, "a\x1b[31m\u202e.yaml").startswith(r"a\x1b[31m\u202e.yaml: no such file")


def test_a_stem_that_is_no_name(folder: Path) -> None:
    mine = written(folder, MINE, "my file.yaml")
    assert job(mine).execution.name == "my_file"
    assert convpipe(mine, "name=mine").code == 0


@pytest.mark.parametrize("flag", [("--cfg", "job"), ("--info", "defaults"), ("--help",)])
def test_flags_show_the_files_config(flag: tuple[str, ...], folder: Path) -> None:
    mine = written(folder, MINE + "seed: 123454321\n")
    before = contents(folder)
    answer = convpipe(mine, *flag)
    assert answer.code == 0, answer.err
    assert "123454321" in answer.out or flag[0] == "--info"
    assert contents(folder) == before


def test_yaml_means_what_it_means_in_conf(folder: Path) -> None:
    """A number with an exponent, which YAML 1.1 takes for a text, a truth, and a null."""
    text = "input: {source: random, distribution: normal, std: 1e-2}\nfilters: integers\ntrace: false\nrecord: null\n"
    assert job(written(folder, text)).spec.input.std == 0.01  # type: ignore[attr-defined]


# From Python


def test_a_file_from_python(folder: Path) -> None:
    mine = written(folder, MINE)
    assert cp.run(mine).maps.tolist() == [[[[2, 4], [6, 8]]]]
    assert cp.run(Path(mine), archive=False, **{"conv.stride": 2}).maps.tolist() == [[[[2]]]]
    assert cp.plan(mine, "conv.pad=1").output.shape == (1, 4, 4, 1)
    assert len(cp.sweep(mine, **{"conv.pad": [0, 1, 2]})) == 3
    assert {path.name for path in (folder / "runs").iterdir()} == {"my"}


def test_what_is_wrong_with_a_file_is_said_as_by_the_command_line(folder: Path) -> None:
    for text, line in REFUSED.values():
        mine = written(folder, text)
        with pytest.raises(ConvpipeError, match=f"^{line}") as caught:
            cp.run(mine)
        assert convpipe(mine).err == f"convpipe: {' '.join(str(caught.value).split())}\n"


def test_nothing_of_a_file_stays_behind(folder: Path) -> None:
    cp.run(written(folder, MINE), archive=False)
    with pytest.raises(ConfigError, match=rf"experiment: got {OWN}, expected one of "):
        cp.run(f"experiment={OWN}")


def test_a_file_is_no_choice_of_later_calls_in_a_process(folder: Path) -> None:
    mine = written(folder, MINE)
    assert OWN not in convpipe(mine, "--help").out
    assert OWN not in refused(folder, "experiment=nope")


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no folder in memory")
def test_a_file_in_memory_is_a_file(folder: Path) -> None:
    with TemporaryDirectory(dir="/dev/shm") as memory:
        Path(memory, "my.yaml").write_text("experiment: lecture_4d\n")
        np.save(f"{memory}/x.npy", np.ones((1, 3, 5, 5)))
        answer = convpipe(f"{memory}/my.yaml", "input=npy", f"input.path={memory}/x.npy")
        assert (answer.code, answer.err) == (0, "")
        assert convpipe("reproduce", "runs/my").code == 0
