"""Everything that can go wrong, each kind with the exit code the command line gives it."""

from __future__ import annotations

import difflib
import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice

# What other packages, and files of theirs, call what has another name here.
ELSEWHERE = {
    "padding": "pad",
    "padding_mode": "pad_mode",
    "strides": "stride",
    "dilations": "dilation",
    "kernel_size": "kernel",
    "kernel_shape": "kernel",
    "type": "source",
    "file": "path",
    "filename": "path",
    "size": "shape",
    "time": "seconds",
    "zeros": "constant",
    "replicate": "edge",
    "circular": "wrap",
    "periodic": "wrap",
    "mirror": "reflect",
    "float": "float32",
    "double": "float64",
    "half": "float16",
    "int": "int32",
    "long": "int64",
    "byte": "uint8",
}
MOST_SAID = 1500  # characters of a key, of what was expected, and of a hint: the longest lists have 600
# What there is to do against what the system says of itself, and not of a file.
HINTS = {
    errno.EMFILE: "a process may open more after ulimit -n 1024",
    errno.EAGAIN: "the system starts no more processes: workers=1 needs none",
    errno.EFBIG: "of a process that may write no larger ones: see ulimit -f",
}
BY_WHOM = r"-([0-9a-f]{8})-([1-9]\d{0,8})-[0-9a-f]{8}"  # the end of a hidden name: a machine, a process, chance
# The name of what is half done, and within it that of what it is to become, which alone a user knows.
HIDDEN = re.compile(rf"\.(?:staging-|manifest-|input-)?([^/]+){BY_WHOM}", re.ASCII)
MOST_COMPARED = 1000  # names with a mistyped one, at 20 us each: a file of arrays may have any number
GONE = "this folder is gone, perhaps deleted: cd to one that is there"
NOTHING_KEPT = "; nothing was kept"  # the end of what a StorageError says while something is being written
# What the system says of the disk or of the machine, and not of the file that it was asked for.
NOT_OF_THE_FILE = frozenset(
    getattr(errno, name)
    for name in ("EIO", "ENXIO", "ENODEV", "ESTALE", "ETIMEDOUT", "EMFILE", "ENFILE", "ENOMEM", "EINTR", "EAGAIN")
)
OUT_OF_MEMORY = (
    "out of memory; lower limits.memory to have such a run refused before it starts, "
    "or allow this process more (ulimit -v, ulimit -d)"
)
NO_THREADS = "the system starts no more threads (workers=1 needs fewest; see ulimit -u)"
# What Python and other packages make of it where the system has no more.
SIGNS = {
    "start new thread": NO_THREADS,
    "failed to map segment": OUT_OF_MEMORY,
    "cannot map zero-fill pages": OUT_OF_MEMORY,
    "annot allocate memory": OUT_OF_MEMORY,
    "without exception set": OUT_OF_MEMORY,
    "without setting an exception": OUT_OF_MEMORY,
    "timestamp too large": "the clock: got a time that Python cannot tell, expected one before 2262",
}
STOPPED = 128  # with a signal's number the exit code, as a shell has it: 130 for Ctrl-C, 143 for SIGTERM


class ConvpipeError(Exception):
    """The root of every error this package raises on purpose; its text is one line that moves no cursor."""

    exit_code = 1

    def __str__(self) -> str:
        return literal(super().__str__())


class ConfigError(ConvpipeError, ValueError):
    """A setting that cannot be used: which key, what came, what was expected.

    >>> print(ConfigError("conv.stride", 0, "a whole number from 1"))
    conv.stride: got 0, expected a whole number from 1
    """

    exit_code = 2

    def __init__(self, key: str, got: object, expected: str, hint: str = "") -> None:
        self.key, self.got, self.expected, self.hint = key, got, expected, hint
        super().__init__(key, got, expected, hint)

    def __str__(self) -> str:
        tail = f" ({self.hint})" if self.hint and len(self.hint) <= MOST_SAID else ""  # none that is cut works
        return literal(f"{cut(self.key)}: got {shown(self.got)}, expected {cut(self.expected)}{tail}")

    def at(self, keys: Mapping[str, str]) -> ConfigError:
        """The same error under the name its user typed, for example ``stride`` as ``conv.stride``."""
        return type(self)(keys.get(self.key, self.key), self.got, self.expected, self.hint)


class GeometryError(ConfigError):
    """Sizes that do not fit together; its key is the bare parameter (``stride``, ``kernel`` ...)."""


class GeometrySettingError(GeometryError):
    """A parameter that is wrong whatever the sizes, such as a stride of 0."""


class UsageError(ConvpipeError):
    """A command line that asks for something there is not."""

    exit_code = 2


class ValueRangeError(ConvpipeError, OverflowError):
    """An exact integer result that its dtype cannot hold.

    Args:
        text: what does not fit what, and what helps.
        setting: the one to blame, where that is not the operation's rule for overflow, and `got`, what it is.
        value: what does not fit, where it is a whole number.
    """

    exit_code = 2

    def __init__(self, text: str, setting: str = "", got: object = None, value: int = 0) -> None:
        self.setting, self.got, self.value = setting, got, value
        super().__init__(text)

    def under(self, key: str) -> str:
        """Its text with the settings as its user types them, below a key of a config.

        >>> ValueRangeError("300 does not fit int8; choose overflow=wrap").under("conv")
        '300 does not fit int8; choose conv.overflow=wrap'
        """
        found = str(self).replace("overflow=", f"{key}.overflow=")
        for name in ("dtype", "bits"):
            found = found.replace(f" {name}=", f" {key}.{name}=")
        return found


class ArchiveError(ConvpipeError):
    """An archive that is damaged, foreign, or that a repeat does not reproduce."""

    exit_code = 3


class StorageError(ConvpipeError):
    """The disk refused: full, read-only, not there."""

    exit_code = 4

    @classmethod
    def of(cls, error: OSError | MemoryError) -> StorageError:
        """What the system said, as an error of ours."""
        return cls(OUT_OF_MEMORY if isinstance(error, MemoryError) else what_the_system_says(error, "the system"))


def unread(path: object, error: OSError | ValueError) -> ConvpipeError:
    """Why a file of an archive cannot be read: that it is not there is damage, that the disk fails is none.

    >>> print(repr(unread("a/b", FileNotFoundError(errno.ENOENT, "No such file"))))
    ArchiveError('a/b: No such file')
    >>> print(repr(unread("a/b", OSError(errno.EIO, "Input/output error"))))
    StorageError('a/b: Input/output error')
    """
    kind = StorageError if getattr(error, "errno", None) in NOT_OF_THE_FILE else ArchiveError
    return kind(f"{path}: {getattr(error, 'strerror', None) or error}")


def of_the_system(error: BaseException) -> StorageError | None:
    """An error that says no more than that the system has no memory, no threads, no files ..., as one of ours."""
    if isinstance(error, OSError | MemoryError):
        return StorageError.of(error)
    if isinstance(error, RuntimeError | ImportError | SystemError | OverflowError):
        text = str(error)
        return next((StorageError(said) for sign, said in SIGNS.items() if sign in text), None)
    return None


def what_the_system_says(error: OSError, path: object) -> str:
    """Where and why the system refused something; of a path that leads through a file, which file that is."""
    where = error.filename or path
    if error.errno == errno.ENOMEM:
        return OUT_OF_MEMORY  # wherever it ran out
    if isinstance(error, NotADirectoryError | FileExistsError):
        for above in reversed([where, *parents(str(where))]):
            if os.path.lexists(above) and not os.path.isdir(above):
                return f"{above}: a file, expected a folder"
    is_lost = isinstance(error, FileNotFoundError) and not os.path.isabs(str(where)) and not folder_is_there()
    hint = GONE if is_lost else HINTS.get(error.errno or 0, "")
    where = HIDDEN.sub(r"\1", str(where))
    return f"{where}: {error.strerror or error}{f' ({hint})' if hint else ''}"


def folder_is_there() -> bool:
    """Whether the working directory has not been deleted."""
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def parents(path: str) -> Iterator[str]:
    """The folders that a path leads through, innermost first."""
    while (above := os.path.dirname(path)) not in ("", path):
        yield above
        path = above


class having_kept:  # noqa: N801 - reads as a word
    """What the system says against what comes after something was written: that is kept, and the error says so.

    An interrupt has it as a note.
    """

    def __init__(self, what: str | Callable[[], str], otherwise: str = "") -> None:
        """`what` is asked for at the end where it depends on that.

        Args:
            otherwise: an interrupt's note where `what` is empty; an error says itself that nothing was kept.
        """
        self.what, self.otherwise = what, otherwise

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, KeyboardInterrupt | OSError | MemoryError | StorageError):
            return
        if isinstance(error, BrokenPipeError):  # whose reader has gone: no fault
            return
        what = self.what if isinstance(self.what, str) else self.what()
        if isinstance(error, KeyboardInterrupt) and (note := what or self.otherwise):
            error.add_note(note)
        if isinstance(error, KeyboardInterrupt) or not what:
            return
        known = error if isinstance(error, StorageError) else StorageError.of(error)
        said = str(known).removesuffix(NOTHING_KEPT)
        is_said = said.endswith(what.removeprefix("the "))  # perhaps of the new run
        raise known if is_said else StorageError(f"{said}; {what}") from error


class made_there:  # noqa: N801 - reads as a word
    """Whether a folder, or a file, has been made at a place since this was: in words, for `having_kept`."""

    def __init__(self, what: str, place: str | os.PathLike[str]) -> None:
        self.what, self.place, self.before = what, place, mark_of(place)

    def __call__(self) -> str:
        """That it is kept, where it is; otherwise nothing."""
        now = mark_of(self.place)
        return f"{self.what} is kept: {self.place}" if now is not None and now != self.before else ""


def mark_of(place: str | os.PathLike[str]) -> tuple[int, int, int] | None:
    """What tells what lies at a place from anything that has ever lain there; None where nothing does."""
    try:
        found = os.lstat(place)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_ctime_ns


def pass_on(error: BaseException) -> None:
    """Raise the interrupt behind an error, if there is one: OmegaConf makes another error of a signal.

    Raises:
        KeyboardInterrupt: the one that the error came of.
    """
    seen: set[int] = set()
    behind: BaseException | None = error
    while behind is not None and id(behind) not in seen:  # some are their own causes
        if isinstance(behind, KeyboardInterrupt):
            raise behind from None
        seen.add(id(behind))
        behind = behind.__cause__ or behind.__context__


def shown(value: object, limit: int = 80) -> str:
    """A value for an error line: strings bare, everything on one line, long ones cut, of paths the folders.

    >>> shown("a\\nb"), shown([1, 2]), shown(None), shown("\\x1b[31m"), shown("folder/of/x.npy", limit=12)
    ('a b', '[1, 2]', 'nothing', '\\\\x1b[31m', '...of/x.npy')
    """
    try:
        text = " ".join(str(value).split()) if value is not None else ""
    except Exception:  # noqa: BLE001 - a number of 5,000 digits, or any object's own
        text = f"a {type(value).__name__}"
    text = printable(text or "nothing")
    if len(text) <= limit:
        return text
    is_path = hasattr(value, "__fspath__") or (isinstance(value, str) and "/" in value)
    return "..." + text[3 - limit :] if is_path else text[: limit - 3] + "..."


def cut(text: str) -> str:
    """A text that an error line has room for: what somebody types or mails may be of any length."""
    return text if len(text) <= MOST_SAID else f"{text[: MOST_SAID - 3]}..."


def first_few(names: Sequence[str], most: int, between: str = ", ") -> str:
    """The first of many names, and how many more there are.

    >>> first_few(["a", "b", "c"], 2), first_few([], 2)
    ('a, b and 1 more', '')
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{between.join(names[:most])}{more}"


def printable(text: str) -> str:
    """A text with escapes for what has no shape of its own, such as colours of a terminal; its lines stay.

    >>> print(printable("a\\x1b[31m\\u202eb"))
    a\\x1b[31m\\u202eb
    """
    if text.isprintable():
        return text
    return "".join(mark if mark.isprintable() or mark == "\n" else ascii(mark)[1:-1] for mark in text)


def literal(value: object) -> str:
    r"""A text from outside, such as a path, whole and on one line: escapes for line breaks, too, and for colours.

    >>> print(literal("runs/a\nok\x1b[31m"))
    runs/a\nok\x1b[31m
    """
    text = str(value)
    return text if text.isprintable() else printable(text).replace("\n", "\\n")


def told_apart(value: object) -> object:
    """A setting's value for an error line: a text that reads like a number, a truth or null in quotes.

    What was typed as a word, key=value, is a text whatever it means: that stays as it is.

    >>> [told_apart(value) for value in ("2", 2, "1e-3", "0x1f", "True", "null", "~", "yes", "same", "1,2")]
    ["'2'", 2, "'1e-3'", "'0x1f'", "'True'", "'null'", "'~'", "'yes'", 'same', '1,2']
    """
    return f"'{value}'" if isinstance(value, str) and reads_otherwise(value) else value


def reads_otherwise(text: str) -> bool:
    """Whether a text reads like a number, a truth or null."""
    if text.lower() in ("true", "false", "yes", "no", "on", "off", "null", "none", "~"):
        return True
    for number in (float, partial(int, base=0)):
        with suppress(ValueError):
            number(text)
            return True
    return False


def did_you_mean(word: str, known: Iterable[str], before: str = "") -> str:
    """A hint with the known name nearest to a mistyped one, and what stands before both; or an empty string.

    >>> did_you_mean("strid", ["stride", "pad"]), did_you_mean("padding", ["pad", "output_padding"], "conv.")
    ('did you mean stride?', 'did you mean conv.pad?')
    """
    names = list(islice(known, MOST_COMPARED))
    other = ELSEWHERE.get(word)
    near = other if other in names else nearest(word, names)
    return f"did you mean {before}{near}?" if near else ""


def nearest(word: str, names: Iterable[str], cutoff: float = 0.6) -> str:
    """The name nearest to a mistyped one; nothing where none is near. Capital letters are no mistake by themselves.

    >>> nearest("strid", ["stride"]), nearest("LECTURE_4D", ["lecture_3d", "lecture_4d"]), nearest("x", ["stride"])
    ('stride', 'lecture_4d', '')
    """
    found = difflib.get_close_matches(word, names := list(names), n=1, cutoff=cutoff)
    in_any_case = {name.casefold(): name for name in reversed(names)}
    if word.casefold() in in_any_case:
        return in_any_case[word.casefold()]
    lower = difflib.get_close_matches(word.casefold(), in_any_case, n=1, cutoff=cutoff)
    return found[0] if found else in_any_case[lower[0]] if lower else ""
