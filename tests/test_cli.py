"""The command line: flags, exit codes, signals, and that no config can make Hydra run code or write elsewhere."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from cli_runs import CHECKOUT, Answer, contents, convpipe, only_run, process, refused

from convpipe.archive.write import Draft
from convpipe.cli import main
from convpipe.cli.commands import COMMANDS
from convpipe.cli.flags import flag_parser, parsed_flags
from convpipe.config import hydra_safety
from convpipe.config.app import logging_kept
from convpipe.execution.provenance import VERSION
from convpipe.graph import work
from convpipe.graph.plan import Plan
from convpipe.graph.single import plan_run
from convpipe.graph.spec import Spec

pytestmark = pytest.mark.usefixtures("folder")  # no test writes into the checkout


# --- what Hydra may not be told ----------------------------------------------------------------------------------

ONLY = r"expected of Hydra's own settings only hydra/launcher"
VALUES = r"expected values only: a config chooses, it cannot execute"
UNSAFE = [
    *((text, rf"[+~]*{re.escape(text.split('=')[0].lstrip('+~'))}: got .*{ONLY}") for text in (
        "hydra.output_subdir=../..", "hydra.run.dir=/tmp/x", "hydra.sweep.dir=/tmp/x", "hydra.sweep.subdir=../x",
        "hydra.job.env_copy=[HOME]", "+hydra.job.env_set.A=b", "hydra.job.chdir=true", "hydra.searchpath=[pkg://evil]",
        "hydra/job_logging=default", "hydra/hydra_logging=default", "hydra.job_logging.version=1",
        "hydra.mode=MULTIRUN", "+hydra/callbacks=x", "hydra=x", "+hydra={run:{dir:x}}", "~hydra", "~hydra.callbacks",
        "hydra.launcher.setup=[ls]", "hydra.launcher.submitit_folder=../x",
        "+hydra.launcher.srun_args=[x]", "hydra.launcher=x", "hydra.sweeper=x",
        "hydra.sweeper.params=x")),
    ("hydra.sweeper.params.hydra.run.dir=x", rf"hydra\.run\.dir: got x, {ONLY}"),
    ("hydra@x=default", r"hydra@x: got default, expected a group without '@'"),
    ("+hydra/job_logging@hydra.hydra_logging=default", r"hydra/job_logging@.*expected a group without '@'"),
    ("+input@hydra.callbacks.x=random", r"input@hydra\.callbacks\.x: got random, expected a group without '@'"),
    ("++hydra.callbacks.x._target_=os.system", rf"hydra\.callbacks\.x\._target_: got os\.system, {VALUES}"),
    ("+hydra.callbacks.x={_target_:os.system}", rf"hydra\.callbacks\.x: got .*{VALUES}"),
    ("hydra.launcher._target_=os.system", rf"hydra\.launcher\._target_: got os\.system, {VALUES}"),
    ("input._target_=os.system", rf"input\._target_: got os\.system, {VALUES}"),
    ("+x={a:{_target_:os.system}}", rf"x: got .*{VALUES}"),
    ("+x='{_target_: os.system}'", rf"x: got .*{VALUES}"),
    ("+x=[{_target_:os.system}]", rf"x: got .*{VALUES}"),
    ('seed="${oc.create:{_target_:os.system}}"', rf"seed: got .*{VALUES}"),
    ("conv.pad={\"_target_\":os.system}", r"conv\.pad: got .*, expected key=value in Hydra's grammar"),
    *((text, r".*expected key=value in Hydra's grammar") for text in
      ('"hydra.run.dir"=x', "'hydra'=x", "hy\\dra.run.dir=x")),
    *((text, rf"hydra\.run\.dir: got x, {ONLY}") for text in
      (" hydra.run.dir=x", "\thydra.run.dir=x", "'hydra.run.dir=x'", "“hydra.run.dir=x”", "hydra.run.dir =x")),
    ("hydra/launcher=submitit_local", r"hydra/launcher: got submitit_local, expected one of .*basic"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line"), UNSAFE, ids=[text[:50] for text, _ in UNSAFE])
def test_an_unsafe_override_is_refused(text: str, line: str, folder: Path) -> None:
    if text == "hydra/launcher=submitit_local" and find_spec("submitit"):
        pytest.skip("the launcher is installed here")
    assert re.match(line, refused(folder, text))


def test_a_path_may_hold_the_word_target(folder: Path) -> None:
    line = refused(folder, "input=npy", "input.path=my_target_.npy")
    assert re.match(r"input\.path: got my_target_\.npy, expected a \.npy file that can be read", line)


# Config files that would run `evil`, were Hydra to act on them; `line` is what they end with.
EVIL = "{_target_: evil.Evil}"
KNOWN = "expected a launcher or sweeper that convpipe knows"
UNSAFE_FILES = {
    "callback": (f"hydra: {{callbacks: {{x: {EVIL}}}}}", r"hydra\.callbacks: got .*evil"),
    "job_logging": ('hydra: {job_logging: {handlers: {x: {"()": evil.Evil}}}}', r"hydra\.job_logging: got "),
    "hydra_logging": ('hydra: {hydra_logging: {formatters: {x: {"()": evil.Evil}}}}', r"hydra\.hydra_logging: got "),
    "launcher": (f"hydra: {{launcher: {EVIL}}}", rf"hydra\.launcher\._target_: got evil\.Evil, {KNOWN}"),
    "sweeper": (f"hydra: {{sweeper: {EVIL}}}", rf"hydra\.sweeper\._target_: got evil\.Evil, {KNOWN}"),
    "named": ("hydra: {launcher: {_target_: '${name}'}}\nname: evil.Evil", rf"hydra\.launcher\._target_: .*{KNOWN}"),
    "params": (f"hydra: {{sweeper: {{params: {{x: {EVIL}}}}}}}", r"hydra\.sweeper\.params\.x\._target_: got evil"),
    "swept": ("hydra: {sweeper: {params: {hydra.run.dir: x}}}", rf"hydra\.run\.dir: got x, {ONLY}"),
    "help": (f"hydra: {{help: {{x: {EVIL}}}}}", r"config: .*Key 'x' not in 'HelpConf'"),
    "search": ("hydra: {searchpath: ['pkg://evil']}", r"(config: .*searchpath|hydra\.searchpath: got .*evil)"),
    "output": ("hydra: {output_subdir: ../..}", r"hydra\.output_subdir: got \.\./\.\., expected None"),
    "run_dir": ("hydra: {run: {dir: '${root}'}}", r"hydra\.run\.dir: got \$\{root\}, expected \.,"),
    "sweep_dir": ("hydra: {sweep: {dir: /tmp/x}}", r"hydra\.sweep\.dir: got /tmp/x, expected \.,"),
    "env_set": ("hydra: {job: {env_set: {A: b}}}", r"hydra\.job\.env_set: got \{'A': 'b'\}, expected \{\}"),
    "env_copy": ("hydra: {job: {env_copy: [HOME]}}", r"hydra\.job\.env_copy: got \['HOME'\], expected \[\]"),
    "no_env": ("hydra: {job: {env_copy: [NOT_SET]}}", r"hydra\.job\.env_copy: got NOT_SET, expected nothing"),
    "chdir": ("hydra: {job: {chdir: true}}", r"hydra\.job\.chdir: got True, expected False"),
    "no_hydra": ("hydra: 5", r"config: .*HydraConf"),
    "input": (f"input: {EVIL}", r"input\._target_: got evil\.Evil, expected "),
    "nested": (f"input: {{values: {EVIL}}}", r"config: .*nested"),
    "pad": (f"conv: {{pad: {EVIL}}}", r"conv\.pad: got .*evil\.Evil.*, expected a whole number"),
    "created": ('input: {values: "${oc.create:{_target_: evil.Evil}}"}', r".*: input\.values: got .*evil\.Evil"),
    "python": ("seed: !!python/object/apply:evil.Evil []", r".*python\.yaml: line \d: .*/apply:evil\.Evil"),
    "package": ("defaults: ['pkg://evil/x']", r".*: got x, expected a config of that name"),
    "relocated": ("defaults: [config, '/input@hydra.callbacks.x: random', _self_]", r"(hydra\.callbacks|config): "),
}  # fmt: skip
HARMLESS_FILES = {
    "bad_yaml": ("seed: [1", r".*bad_yaml\.yaml: line \d: "),
    "colons": ("a: b: c", r".*colons\.yaml: line \d: .*a colon needs a blank behind it"),
    "twice": ("seed: 1\nseed: 2", r".*twice\.yaml: line \d: .*seed"),
    "unknown": ("sed: 1", r"sed: got 1, expected one of the keys: .*\(did you mean seed\?\)"),
    "type": ("seed: abc", r"seed: got abc, expected a whole number"),
    "number": ("1: 2", r"1: got 2, expected one of the keys"),
    "loose": ("seed: ${nope}", r"seed: got \$\{nope\}, expected a value that can be worked out \(.*nope.*\)"),
    "deep": ("input: {values: " + "[" * 500 + "]" * 500 + "}", r".*deep\.yaml: not readable: more than 50 levels"),
    "date": ("seed: 2020-01-01", r"seed: got 2020-01-01, expected a whole number"),
    "no_default": ("defaults: [nope]", r".*: got nope, expected a config of that name"),
    "no_list": ("defaults: 5", r"config: .*no_list.*list"),
}
AS_EXPERIMENT = "# @package _global_\n"
AS_MAIN = "defaults: [config, _self_]\n"


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module `evil` that can be imported, and the file that it makes when it is, or when it is called."""
    made = tmp_path / "canary"
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "evil.py").write_text(
        f"open({str(made)!r}, 'w').close()\ndef Evil(*a, **k): open({str(made)!r}, 'w').close()\n"
    )
    monkeypatch.syspath_prepend(str(modules))
    sys.modules.pop("evil", None)
    return made


@pytest.mark.parametrize(
    ("name", "as_main"),
    [(name, False) for name in (*UNSAFE_FILES, *HARMLESS_FILES)] + [(name, True) for name in UNSAFE_FILES],
)
def test_a_bad_config_file_is_refused_and_never_runs(
    name: str, as_main: bool, tmp_path: Path, folder: Path, canary: Path
) -> None:
    content, line = (UNSAFE_FILES | HARMLESS_FILES)[name]
    own = tmp_path / "own"
    place = own / f"{name}.yaml" if as_main else own / "experiment" / f"{name}.yaml"
    place.parent.mkdir(parents=True)
    place.write_text((AS_MAIN if as_main and "defaults" not in content else "" if as_main else AS_EXPERIMENT) + content)
    chosen = ["--config-name", name] if as_main else [f"experiment={name}"]
    assert re.match(line, refused(folder, "--config-dir", str(own), *chosen))
    assert not canary.exists()


@pytest.mark.parametrize("flag", ["--help", "--hydra-help", "--info", "--cfg=job", "--cfg=all"])
@pytest.mark.parametrize("name", ["callback", "hydra_logging", "search"])
def test_no_flag_acts_on_an_unsafe_file(flag: str, name: str, tmp_path: Path, folder: Path, canary: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "main.yaml").write_text(AS_MAIN + UNSAFE_FILES[name][0])
    assert re.match(UNSAFE_FILES[name][1], refused(folder, "--config-dir", str(own), "--config-name=main", flag))
    assert not canary.exists()


@pytest.mark.filterwarnings("ignore::UserWarning")  # a handler of logging that is none
def test_the_canary_sings_where_nobody_refuses(
    tmp_path: Path, folder: Path, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "main.yaml").write_text(AS_MAIN + UNSAFE_FILES["hydra_logging"][0])
    monkeypatch.setattr("convpipe.config.compose.check_hydra_node", lambda node: None)
    monkeypatch.setattr(
        "convpipe.cli.flags.help_text",
        lambda hydra, *rest: hydra.app_help("main", flag_parser(), parsed_flags(["--help"])),
    )
    with logging_kept():
        convpipe("--config-dir", str(own), "--config-name=main", "--help")
    assert canary.exists()


def test_a_config_file_of_ones_own_is_taken(tmp_path: Path, folder: Path) -> None:
    own = tmp_path / "own"
    (own / "experiment").mkdir(parents=True)
    (own / "experiment" / "mine.yaml").write_text(AS_EXPERIMENT + "name: mine\nconv:\n  pad: 1\n")
    assert convpipe("--config-dir", str(own), "experiment=mine").code == 0
    assert only_run(folder / "runs").parent.name == "mine"


def test_an_experiment_stands_at_the_top_with_and_without_its_package(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "own" / "experiment").mkdir(parents=True)
    (tmp_path / "own" / "experiment" / "mine.yaml").write_text("seed: 7\n")
    (tmp_path / "own" / "experiment" / "yours.yaml").write_text("# @package experiment\nseed: 1\n")
    own = ("--config-dir", str(tmp_path / "own"))
    assert convpipe(*own, "experiment=mine", "--cfg=job", "--package=seed").out == "7\n"
    line = refused(folder, *own, "experiment=yours")
    assert re.match(r"experiment: got \{'seed': 1\}, .*first line must be '# @package _global_'", line)


def test_a_file_that_is_not_text(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "own" / "experiment").mkdir(parents=True)
    (tmp_path / "own" / "experiment" / "mine.yaml").write_bytes(b"name: caf\xe9\n")
    assert re.match(
        r".*mine\.yaml: expected UTF-8, which it is not at byte 9",
        refused(folder, "--config-dir", f"{tmp_path}/own", "experiment=mine"),
    )


def test_a_launcher_may_have_only_its_usual_folders() -> None:
    with pytest.raises(hydra_safety.ConfigError, match=r"hydra\.launcher\.setup: got \['ls'\], expected None"):
        hydra_safety.check_fixed("hydra.launcher", {"setup": ["ls"]}, hydra_safety.FIXED_LAUNCHER_VALUES)
    assert hydra_safety.is_safe("hydra.launcher.n_jobs")
    assert not hydra_safety.is_safe("hydra.launcher.setup.x")


# --- flags -------------------------------------------------------------------------------------------------------

BAD_FLAGS = [
    ("--experimental-rerun x", r"--experimental-rerun: it would read a pickle; use convpipe reproduce RUN"),
    ("--experimental-rerun=x", r"--experimental-rerun: it would read a pickle"),
    ("--config-path /tmp", r"--config-path: the config tree is convpipe's own; add yours with --config-dir"),
    ("-cp /tmp", r"--config-path: the config tree is convpipe's own"),
    ("--config-dir /nope", r"--config-dir: got /nope, expected a folder"),
    ("--config-dir /etc/passwd", r"--config-dir: got /etc/passwd, a file; expected a folder"),
    ("--config-dir", r"--config-dir/-cd: expected one argument"),
    ("--config-name nope", r"--config-name: got nope, expected a config of that name"),
    ("--config-name=", r"--config-name: got nothing"),
    ("--fooo", r"--fooo: no such flag; convpipe --help shows"),
    ("--cfgg job", r"--cfgg: no such flag; .*\(did you mean --cfg\?\)"),
    ("-z", r"-z: no such flag"),
    ("--exp x", r"--exp: no such flag; convpipe --help shows"),
    ("--dry_run", r"--dry_run: no such flag; write dry_run=true\Z"),
    ("--dry-run", r"--dry-run: no such flag; write dry_run=true\Z"),
    ("--dry_run=true", r"--dry_run=true: no such flag; write dry_run=true\Z"),
    ("--experiment lecture_4d", r"--experiment: no such flag; write experiment=lecture_4d\Z"),
    ("--seed=3", r"--seed=3: no such flag; write seed=3\Z"),
    ("--seed 3", r"--seed: no such flag; write seed=3\Z"),
    ("--seed conv.pad=1", r"--seed: no such flag; write seed=0\Z"),
    ("--stride [2,1]", r"--stride: no such flag; write conv\.stride=\[2,1\]\Z"),
    ("--input.path", r"--input\.path: no such flag; write input\.path=VALUE\Z"),
    ("lecture_4d", r"lecture_4d: no such command; .* \(did you mean experiment=lecture_4d\?\)\Z"),
    ("lecture4d", r"lecture4d: no such command; .* \(did you mean experiment=lecture_4d\?\)\Z"),
    ("sobel_x", r"sobel_x: no such command; .* \(did you mean filters=sobel_x\?\)\Z"),
    ("verif", r"verif: no such command; .* \(did you mean verify\?\)\Z"),
    ("zzz", r"zzz: no such command; .* settings as key=value\Z"),
    ("--cfg jib", r"--cfg/-c: invalid choice: 'jib'"),
    ("--info nope", r"--info/-i: invalid choice: 'nope'"),
    ("--resolve", r"--resolve: expected --cfg beside it"),
    ("--package x", r"--package: expected --cfg beside it"),
    ("--cfg job --package conf", r"--package: got conf, expected a group of the config \(did you mean conv\?\)"),
    ("--cfg job --info", r"--cfg and --info: expected one of them at a time"),
    ("--cfg job -m", r"--cfg and --multirun: expected one of them at a time"),
    ("--cfg job --resolve seed=${nope}", r"seed: got \$\{nope\}, expected"),
    *((f"{flag} sed=1", r"sed: got 1, .*\(did you mean seed\?\)") for flag in ("--help", "--cfg=job", "--hydra-help")),
    ("--info=all sed=1", r"sed: got 1, .*\(did you mean seed\?\)"),
    ("-sc", r"--shell-completion: got nothing, expected install, uninstall or query=bash\|zsh\|fish"),
    ("-sc install=csh", r"--shell-completion: got install=csh, expected"),
    ("-sc query=bash", r"--shell-completion: query is for shells, which set COMP_LINE"),
    ("verify", r"verify: got 0 arguments, expected one path"),
    ("verify a b", r"verify: got 2 arguments, expected one path"),
    ("verify /nope", r"verify: got /nope, expected a folder"),
    ("verify .", r"verify: got \., expected a run or a collection of runs"),
    ("reproduce .", r"reproduce: got \., expected a run"),
    ("runs /nope", r"runs: got /nope, expected a folder"),
]


@pytest.mark.parametrize(("words", "line"), BAD_FLAGS, ids=[words for words, _ in BAD_FLAGS])
def test_a_bad_flag_is_one_line(words: str, line: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMP_LINE", raising=False)
    assert re.match(line, refused(folder, *words.split()))


@pytest.mark.parametrize("words", ["--dry_run", "--seed=3", "--stride [2,1]", "--input", "--experiment tiny"])
def test_what_is_said_instead_of_a_flag_works_as_typed(words: str, folder: Path) -> None:
    setting = refused(folder, *words.split()).rpartition(" ")[2]
    assert convpipe(setting, "dry_run=true").code == 0


@pytest.mark.parametrize("word", ["conv5", "conv6", "conv5.ym"])
def test_a_file_without_its_ending_is_told(word: str, folder: Path) -> None:
    (folder / "conv5.yaml").write_text("seed: 1\n")
    assert refused(folder, word).endswith(" (did you mean conv5.yaml?)")


def test_help_shows_commands_choices_and_settings(folder: Path) -> None:
    answer = convpipe("--help", "conv.stride=7")
    assert (answer.code, answer.err) == (0, "")
    for command in COMMANDS:
        assert f"convpipe {command} " in answer.out
    for group in ("conv", "experiment", "filters", "input", "lowering"):
        assert re.search(rf"^{group}: \w+", answer.out, re.MULTILINE)
    assert "  stride: 7\n" in answer.out
    assert contents(folder) == set()


def test_the_help_fits_eighty_columns_but_for_the_footer() -> None:
    body = convpipe("--help").out.partition("Commands")[0]
    assert max(map(len, body.splitlines())) <= 80


def test_cfg_shows_the_config_whole() -> None:
    answer = convpipe("--cfg", "job", "conv.stride=${conv.dilation}")
    assert (answer.code, answer.err) == (0, "")
    assert "stride: ${conv.dilation}\n" in answer.out
    assert "hydra" not in answer.out
    assert "  stride: 1\n" in convpipe("--cfg", "job", "--resolve", "conv.stride=${conv.dilation}").out
    assert convpipe("--cfg", "job", "--package", "limits").out == "# @package limits\nmemory: null\nruns: 1000000\n"


def test_cfg_shows_what_is_missing() -> None:
    assert "path: ???" in convpipe("--cfg", "job", "--resolve", "input=npy").out


def test_info_and_hydras_own_help() -> None:
    info = convpipe("--info")
    assert (info.code, info.err) == (0, "")
    assert "Defaults Tree" in info.out
    assert "pkg://hydra.conf" in convpipe("--info", "searchpath").out
    assert "== Flags ==" in convpipe("--hydra-help").out


def test_the_version_is_ours() -> None:
    answer = convpipe("--version")
    assert (answer.code, answer.out) == (0, f"convpipe {VERSION}\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/convpipe"])
    answer = convpipe("-sc", f"install={shell}")
    assert (answer.code, answer.err) == (0, "")
    assert re.search(r"complete .*convpipe", answer.out)
    assert convpipe("-sc", f"uninstall={shell}").code == 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("convpipe inp", {"input.", "input="}),
        ("convpipe ver", {"verify"}),
        ("convpipe verify r", set()),
        ("convpipe input=le", {"input=lecture", "input=lecture_2x2", "input=lecture_3x3", "input=lecture_4d"}),
        ("convpipe seed=1 conv.pad_", {"conv.pad_mode=", "conv.pad_value="}),
        ("convpipe conv.stride=", {"conv.stride=1"}),
        ("convpipe hydra.searchpath=[pkg://evil] inp", set()),
        ("convpipe --nope inp", set()),
        ("convpipe seed=[1 inp", set()),
    ],
)
def test_a_shell_completes(line: str, words: set[str], monkeypatch: pytest.MonkeyPatch, canary: Path) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    answer = convpipe("-sc", "query=bash")
    assert (answer.code, answer.err) == (0, "")
    assert set(answer.out.split()) == words
    assert not canary.exists()


LOADED = (
    "import sys; from convpipe.cli.main import main; code = main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
)


@pytest.mark.parametrize("words", [["--help"], ["experiment=lecture_4d"], ["dry_run=true"]], ids=" ".join)
def test_the_heavy_libraries_are_not_loaded(words: list[str], folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *words], cwd=folder, env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = {name.partition(".")[0] for name in done.stderr.split()}
    assert loaded & {"pandas", "matplotlib", "PIL", "scipy"} == set()
    assert "hydra" in loaded, "this test would find them"


# --- exit codes --------------------------------------------------------------------------------------------------


def test_a_root_below_a_file_is_a_disk_error(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "file").write_text("")
    line = refused(folder, f"root={tmp_path}/file/runs", code=4)
    assert line == f"{tmp_path}/file: a file, expected a folder; nothing was kept"
    assert contents(tmp_path) == {"file", "work"}


@pytest.mark.parametrize("method", ["write", "save", "finish"])
def test_a_full_disk_leaves_nothing(method: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "output.npy")

    monkeypatch.setattr(Draft, method, full)
    assert refused(folder, code=4) == "output.npy: No space left on device"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB, where this user may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_really_full(small_disk: Path, folder: Path) -> None:
    words = ["keep=stages", "input=random", "input.shape=[1,3,400,400]"]
    assert re.search(r"No space left on device", refused(folder, f"root={small_disk}", *words, code=4))
    assert contents(small_disk) == set()


def test_a_read_only_disk(small_disk: Path, folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert re.search(r"Read-only file system", refused(folder, f"root={small_disk}", code=4))


def test_memory_that_is_refused_is_no_traceback(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*args: object) -> None:
        raise MemoryError

    monkeypatch.setattr("convpipe.execution.runner.make_arrays", none)
    assert re.match(r"out of memory; lower limits\.memory", refused(folder, code=4))


def test_a_bug_is_one_line_and_a_traceback_only_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(words: list[str]) -> int:
        raise RuntimeError("a\nbug")

    monkeypatch.setattr(main, "dispatch", bug)
    line = "convpipe: unexpected RuntimeError: a bug (CONVPIPE_DEBUG=1 shows where)\n"
    assert convpipe() == Answer(1, "", line)
    monkeypatch.setenv("CONVPIPE_DEBUG", "1")
    assert convpipe().err.startswith("Traceback (most recent call last):")
    assert convpipe().err.endswith(line)


def test_the_commands_on_a_run(folder: Path) -> None:
    assert convpipe().code == 0
    run = only_run(folder / "runs")
    assert re.match(r"ok .*lecture_3d/4014ffa24254 archive [0-9a-f]{64}\n", convpipe("verify", str(run)).out)
    assert re.match(r"ok ", convpipe("verify", str(run.parent)).out)
    assert "4014ffa24254" in convpipe("runs", str(run.parent)).out
    assert "reproduced: " in convpipe("reproduce", str(run)).out
    assert "reproduced: " in convpipe().out


def test_a_changed_archive_is_exit_3(folder: Path) -> None:
    assert convpipe().code == 0
    run = only_run(folder / "runs")
    output = bytearray((run / "output.npy").read_bytes())
    output[-1] ^= 1
    (run / "output.npy").write_bytes(output)
    for words in (["verify", str(run)], ["reproduce", str(run)], []):
        answer = convpipe(*words)
        assert answer.code == 3
        assert re.match(
            r"convpipe: .*output\.npy: got sha256 [0-9a-f]+, expected [0-9a-f]+(; replace=true .*)?\n\Z", answer.err
        )


@pytest.mark.parametrize(("words", "plans"), [([], 1), (["dry_run=true"], 1), (["conv.stride=1,2,3", "-m"], 3)])
def test_every_run_is_planned_once(words: list[str], plans: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def counted(spec: Spec) -> Plan:
        seen.append(spec)
        return plan_run(spec)

    monkeypatch.setattr(work, "plan_run", counted)
    assert convpipe("experiment=lecture_4d", *words).code == 0
    assert len(seen) == plans


def test_a_dry_run_prints_and_writes_nothing(folder: Path) -> None:
    answer = convpipe("dry_run=true")
    assert answer.code == 0
    assert "multiply-adds" in answer.out
    assert contents(folder) == set()


BIG = [
    "root=deep/root",
    "keep=stages",
    "input=random",
    "input.shape=[8,32,256,256]",
    "filters=random",
    "filters.count=64",
]


def wait_for(condition: Callable[[], object], child: subprocess.Popen[str]) -> None:
    """Until `condition()` is true, or the child has ended; a minute, where it takes a second or two."""
    end = time.monotonic() + 60
    while not condition() and child.poll() is None:
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_leaves_nothing_behind(number: signal.Signals, code: int, folder: Path) -> None:
    child = process(*BIG, cwd=folder)
    wait_for(lambda: list(folder.glob("deep/root/*/.staging*/*.npy")), child)
    child.send_signal(number)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (code, "")
    assert err == "convpipe: interrupted; nothing of the run that was under way is kept\n"
    assert contents(folder) == set()


def test_the_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert convpipe("--version").code == 0
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("words", [["experiment=lecture_im2col"], ["--info"], ["--help"]], ids=" ".join)
def test_a_reader_that_goes_away_is_no_error(words: list[str], folder: Path) -> None:
    read, write = os.pipe()
    os.close(read)  # before anything is written
    child = process(*words, cwd=folder, stdout=write)
    os.close(write)
    _, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, "")


def test_any_letter_prints_in_any_encoding(folder: Path) -> None:
    child = process('root="é\u2603"', cwd=folder, env={"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"})
    out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, "")
    assert out.endswith("new: \\xe9\\u2603/lecture_3d/4014ffa24254\n")


def test_words_that_are_commands_elsewhere(folder: Path) -> None:
    assert convpipe("version").out == convpipe("-V").out == convpipe("--version").out
    (folder / "mine.yaml").write_text("seed: 1\n")
    assert refused(folder, "run", "mine.yaml").endswith("(did you mean mine.yaml?)")
