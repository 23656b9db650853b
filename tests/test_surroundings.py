"""Streams that fail, signals at any moment, folders that are gone, odd environments: one line, and the right code."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_runs import CHECKOUT, convpipe
from surroundings import CHOSEN, COMMANDS, LONG, RUN, at_call, by_script, fresh, in_shell, leftovers, one_line

import convpipe as cp
from convpipe.cli import early, main, signals
from convpipe.errors import pass_on

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="terminals and processes are Linux's here")


@pytest.fixture(scope="session")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of three runs, made once."""
    root = tmp_path_factory.mktemp("made")
    cp.sweep("experiment=lecture_3d", root=str(root), seed=[0, 1, 2])
    return root / "lecture_3d"


@pytest.fixture
def folder(collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a copy of it."""
    monkeypatch.chdir(fresh(collection, tmp_path / "here"))
    return tmp_path / "here"


# Streams


@pytest.mark.parametrize("closing", ["<&- >&- 2>&-", "2>/dev/full", *([">&-", "2>&-"] if LONG else [])])
@pytest.mark.parametrize("command", CHOSEN)
def test_a_stream_that_is_closed_changes_nothing(command: str, closing: str, folder: Path) -> None:
    done = in_shell(f'exec "$@" {closing}', folder, COMMANDS[command])
    assert (done.returncode, done.stderr) == (0, "")
    assert leftovers(folder) == []


@pytest.mark.parametrize("command", CHOSEN)
def test_what_cannot_be_told_is_told_so(command: str, folder: Path) -> None:
    done = in_shell('exec "$@" >/dev/full', folder, COMMANDS[command])
    assert done.returncode == 4
    said = one_line(done.stderr)
    assert said.startswith("convpipe: standard output: No space left on device")
    if kept := re.search(r"; the run is kept: (\S+)\n", said):
        assert cp.verify(folder / kept[1])
    assert bool(kept) == (command in ("a run", "a repeat"))
    assert ("what is done is kept" in said) == (command in ("a sweep", "workers"))


@pytest.mark.parametrize(
    ("words", "stream", "code"),
    [
        (("--version",), ">/dev/full 2>/dev/full", 4),
        (("verify", "nowhere"), ">/dev/full 2>/dev/full", 2),
        (("conv.stride=x",), "2>/dev/full", 2),
        (("explain", "lecture_3d", "--at", "0,0,0,0"), "2>/dev/full", 0),  # which says there whose cell it shows
    ],
)
def test_the_code_is_told_where_nothing_can_be(words: tuple[str, ...], stream: str, code: int, folder: Path) -> None:
    done = in_shell(f'exec "$@" {stream}', folder, words)
    assert (done.returncode, done.stderr) == (code, "")


# The reader closes its end before anything is written: `head` would, but at a time of its own.
GONE_READER = '{ "$@"; echo $? >code; } | : ; cat code'


TOO_LARGE = "-m conv.dtype=int8 seed=1,2 input=integers input.low=99 input.high=101 filters=integers filters.low=7"


@pytest.mark.parametrize(("typed", "code"), [("verify runs", 3), (TOO_LARGE, 1)])
def test_a_reader_who_leaves_does_not_change_what_is_found(typed: str, code: int, folder: Path) -> None:
    last = sorted((folder / "runs/lecture_3d").glob("*/output.npy"))[-1]
    last.write_bytes(last.read_bytes()[:-1] + b"?")
    done = in_shell(GONE_READER, folder, typed.split(), {"PYTHONUNBUFFERED": "1"})
    assert int(done.stdout) == code


def test_a_reader_who_leaves_does_not_end_a_sweep(folder: Path) -> None:
    words = ["-m", "seed=range(0,12)", "name=new"]
    done = in_shell(GONE_READER, folder, words, {"PYTHONUNBUFFERED": "1"})
    assert (done.stdout, done.stderr) == ("0\n", "")
    assert len(cp.runs(folder / "runs/new")) == 12


@LINUX
@pytest.mark.parametrize("columns", ["0", "1", "99999999999", "wide", "-3"] if LONG else ["0", "99999999999"])
@pytest.mark.parametrize(
    "words", [[], ["-m", "seed=0,1,7"], ["runs", "lecture_3d"]] if LONG else [["-m", "seed=0,1,7"]]
)
def test_a_terminal_of_any_width(columns: str, words: list[str], folder: Path) -> None:
    ours, theirs = os.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "convpipe", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "COLUMNS": columns, "TERM": "dumb"},
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(theirs)
    shown = b""
    ended = False
    while not ended:
        ended = child.poll() is not None  # looked at before what it has left there is read
        with contextlib.suppress(OSError):  # as Linux tells that nobody has the other end open, at the beginning, too
            while piece := os.read(ours, 1 << 16):
                shown += piece
        time.sleep(0.01)
    os.close(ours)
    said = child.communicate(timeout=120)[1]
    assert (child.returncode, said) == (0, "")
    assert shown


# Signals


def interrupted_at(call: int, words: list[str]) -> tuple[int, str]:
    """What is said, and with which code, where Ctrl-C comes at the so-many-th call of a Python function."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        sys.setprofile(at_call(call, lambda: signal.raise_signal(signal.SIGINT)))
        try:
            code = main.main(words)
            if code == 0:  # it came in a `__del__`, which passes it over: it comes once more, and soon
                time.sleep(50 * signals.SOON_SECONDS)
        except KeyboardInterrupt:  # before anything is tried, or after all is done: `__main__.run` says it
            return 130, "convpipe: interrupted\n"
        finally:
            sys.setprofile(None)
    return code, err.getvalue()


def calls_of(words: list[str]) -> int:
    """How many calls of Python functions a command makes, once all is imported."""
    count = 0

    def counted(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(counted)
    try:
        assert convpipe(*words).code == 0
    finally:
        sys.setprofile(None)
    return count


MOMENTS = 400 if LONG else 16
KINDS = {
    "a run": ["name=new", "keep=stages"],
    "a sweep": ["-m", "seed=0,1", "name=new", "conv.stride=1,2"],
    "page": ["page", RUN],
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupt_at_any_moment(kind: str, folder: Path, collection: Path) -> None:
    words = KINDS[kind]
    assert convpipe(*words).code == 0  # so that nothing is left to import
    fresh(collection, folder)
    calls, kept = calls_of(words), set()
    for moment in range(MOMENTS):
        fresh(collection, folder)
        code, said = interrupted_at(2 + calls * moment // MOMENTS, words)
        kept.add(check_end(kind, code, one_line(said), folder))
    assert False in kept  # some came before anything was there to keep


def check_end(kind: str, code: int, said: str, folder: Path) -> bool:
    """Nothing is half written, and what is said to be kept is, and the other way round: gives whether something was."""
    assert code == 130
    assert said.startswith("convpipe: interrupted")
    assert leftovers(folder) == []
    made = sorted((folder / "runs/new").glob("*/manifest.json"))
    if kind == "page":
        assert not ("no page" in said and (folder / f"{RUN}.html").exists())
        return "the page is kept" in said
    assert "nothing of the run" not in said or made == []
    if made:
        assert len(cp.verify(folder / "runs/new")) == len(made)
        assert "kept" in said
    return bool(made)


# A process of its own, which gets a signal at some share of its calls, and perhaps another one soon after.
SIGNALLED = """\
import os, signal, sys
from surroundings import at_call
import convpipe.cli.commands, convpipe.cli.main, convpipe.config.app, convpipe.sweeps.started, convpipe.report.run
from convpipe.__main__ import run
number, moment, again, own = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), os.getpid()
del sys.argv[1:4]

def kill():  # as a terminal that is closed does: the workers, too
    if os.getpid() == own:
        os.killpg(own, number)

def first():
    if again:
        sys.setprofile(at_call(again, kill))
    kill()

sys.setprofile(at_call(moment, first))
run()
"""
CALLS = 60_000  # of a small sweep: most of them compose it, and most of the others run it
STEP = 1_500 if LONG else 18_000
LATER = 1_000


@LINUX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_two_signals_at_any_moment(number: int, folder: Path, collection: Path) -> None:
    for moment in range(100, CALLS, STEP):
        words = ["-m", "seed=range(0,40)", "workers=2", "name=new"]
        code, said, left = by_script(SIGNALLED, [str(int(number)), str(moment), str(LATER), *words], folder)
        assert code == 128 + number, said
        assert one_line(said).startswith("convpipe: interrupted")
        assert left == []
        assert leftovers(folder) == []
        fresh(collection, folder)


# Signals when all is done: one comes while Python itself ends, from what is called at the very last.
LATE = """import atexit, os, signal, sys
from convpipe.__main__ import run
number = int(sys.argv.pop(1))
if sys.argv[1] == "first":
    atexit.register(lambda: signal.getsignal(number) is signal.SIG_IGN or os._exit(7))  # called after ours
    sys.argv.pop(1)
    run()
else:
    sys.argv.pop(1)
    import convpipe.cli.main as ours
    main = ours.main
    def ended():
        code = main()
        atexit.register(os.kill, os.getpid(), number)  # called before ours
        return code
    ours.main = ended
    run()
"""


@pytest.mark.parametrize("when", ["first", "last"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_after_all_is_done_changes_nothing(number: int, when: str, folder: Path) -> None:
    assert by_script(LATE, [str(int(number)), when, "name=new"], folder) == (0, "", [])
    assert len(cp.verify(folder / "runs/new")) == 1


@pytest.mark.parametrize("tell", [lambda: main.interrupted(signals.Stopped(15)), lambda: main.reported(OSError())])
def test_what_is_told_is_told_once(tell: Callable[[], int], capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.signal(signal.SIGTERM, early.end_at_once)
    try:
        assert tell()
        assert signal.getsignal(signal.SIGTERM) is not early.end_at_once
    finally:
        signal.signal(signal.SIGTERM, before)
    one_line(capsys.readouterr().err)


def test_a_second_signal_does_not_cut_short_what_clears_away() -> None:
    cleared = []
    with pytest.raises(signals.Stopped, match=r"^15$"), signals.stopping_on_signals():  # noqa: PT012
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
            cleared.append("all")
    assert cleared == ["all"]


def test_a_signal_that_python_passes_over_comes_again(capsys: pytest.CaptureFixture[str]) -> None:
    class Careless:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)
            time.sleep(0)

    with pytest.raises(signals.Stopped, match=r"^15$"), signals.stopping_on_signals():  # noqa: PT012
        Careless()
        time.sleep(60)  # it does not last so long
    assert capsys.readouterr().err == ""


def test_an_interrupt_that_others_make_an_error_of_is_one() -> None:
    error = AttributeError("of OmegaConf")
    error.__cause__ = error  # as some are
    pass_on(error)
    with pytest.raises(KeyboardInterrupt, match=r"^$"):  # noqa: PT012
        try:
            try:
                raise KeyboardInterrupt
            finally:
                None.flags  # type: ignore[attr-defined] # noqa: B018
        except AttributeError as error:
            pass_on(error)
    with pytest.raises(signals.Stopped, match=r"^15$"), signals.stopping_on_signals():  # noqa: PT012
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise ValueError("mine") from None


# Folders


def test_the_functions_work_where_the_folder_is_gone(folder: Path) -> None:
    (folder / "gone").mkdir()
    os.chdir(folder / "gone")
    (folder / "gone").rmdir()
    try:
        run = cp.run(root=str(folder / "r"))
        assert len(cp.verify(run.path)) == 1
        assert cp.page(run.path).is_file()
        assert cp.explain(run, "0,0,0,0").agrees
        assert cp.reproduce(run.path).verdict == "reproduced"
        assert len(cp.sweep(root=str(folder / "r"), seed=[0, 1])) == 2
        assert len(cp.runs(folder / "r" / "lecture_3d")) == 2
    finally:
        os.chdir(folder)


@pytest.mark.parametrize(
    "environment",
    [
        {"HOME": "/nonexistent", "XDG_CACHE_HOME": "/proc", "XDG_CONFIG_HOME": "/nonexistent", "TZ": "Odd/Zone"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONDONTWRITEBYTECODE": "1"},
        {"TMPDIR": "/nonexistent", "PYTHONWARNINGS": "always", "PYTHONDEVMODE": "1"},
    ],
    ids=["home", "posix", "warnings"],
)
@pytest.mark.parametrize("command", CHOSEN if LONG else ["a run", "workers", "reproduce", "page"])
def test_an_odd_environment_changes_nothing(command: str, environment: dict[str, str], folder: Path) -> None:
    done = in_shell('exec "$@"', folder, COMMANDS[command], environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in folder.iterdir()} == {"runs"}


def test_korean_names_in_any_locale(folder: Path) -> None:
    names = ["수업", "합성곱"]
    posix, latin = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "latin-1"}
    typed = (["name=수업"], ["-m", "seed=0,1", "name=합성곱"], ["verify", "runs"], ["page", "runs/합성곱"])
    for words in typed:
        for locale in (posix, latin) if LONG or words is typed[0] else (posix,):
            done = in_shell('exec "$@"', folder, words, locale)
            assert (done.returncode, done.stderr) == (0, ""), words
    assert sorted(path.name for path in (folder / "runs").iterdir()) == sorted(["lecture_3d", *names])
