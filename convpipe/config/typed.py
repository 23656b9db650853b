"""What people type, in Hydra's grammar: words of a command, of a call, of sweeps in files and of lists of points.

All values come through here. A word that the grammar reads stays as it is, and means what it meant. The others get
the quotes that the grammar needs: letters of any script, `~`, `(`, `#` and the like; a setting that is a text, such
as a path, takes any, and so do labels and notes. One pair of quotes around a word, which a shell left in, goes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convpipe.config.grammar import choices_text, quoted, quoted_text
from convpipe.config.hydra_safety import PARAMS, SWEEPS, parsed, refuse_unsafe
from convpipe.config.parts import SETTINGS
from convpipe.config.pieces import at_commas, pieces
from convpipe.config.settings import saying
from convpipe.errors import ConfigError
from convpipe.fields import Check, group as settings_group, path as path_check

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

# Settings below a group that are texts, whatever looks like a number in them; a test holds them against the checks.
TEXTS = ("path", "entry", "points", "address", "operation", "sha256")
PAIRS = (
    "''",
    '""',
    "\u201d\u201d",
    "\u2019\u2019",
    "\u201c\u201d",
    "\u2018\u2019",
    "\u201e\u201c",
    "«»",
)  # straight, and as word processors have them
SIMPLE = re.compile(r"[A-Za-z0-9_ \t/\\+.$%*@?|:,\[\]{}()-]*")  # what needs no look, where no text is wanted
NAME = re.compile(r"(?!(?:null|true|false|nan|inf)\Z)[A-Za-z_/][A-Za-z0-9_./-]*", re.IGNORECASE)  # a text in any case
FOREIGN = r"[^A-Za-z0-9_ \t/\\+.$%*@?|:-]"
FUNCTION = r"(?:choice|range|interval|shuffle|sort|tag|glob|bool|float|int|str)\s*\(.*\)\s*"
SPAN = r"(?:range)?[(\[]?\s*(\d{1,9})\s*(?:\.{2,3}|:|-|~|to)\s*(\d{1,9})\s*[)\]]?"
LISTED = r"(?:list|tuple|set|np\.array)?\s*[\[({]+\s*(\d{1,20}(?:\s*,\s*\d{1,20})*)(?:\s*,)?\s*[\])}]+"
NUMBERS = re.compile(r"[\s0-9+.eE,\[\]-]+")
MORE = re.compile(r"(?<![\s,;])[\s,;]+([A-Za-z_][\w.]*)=")  # of a row of blanks from the first one on
MOST_LISTED = 8  # numbers in an advice


def typed(word: str, several: bool) -> list[str]:
    """A word as Hydra takes it; what a word says of a sweep's axes may be several.

    Args:
        several: whether it is of a sweep, in which commas separate values.

    Raises:
        ConfigError: an axis without a sweep, or several values in a form that is none of a sweep's.

    >>> typed("'name=수업 1'", False), typed("input.path=가.png,~/b (1).png", True), typed("seed = 1", False)
    (["name='수업 1'"], ["input.path='가.png','~/b (1).png'"], ['seed=1'])
    """
    text = without_pair(word.strip())
    key, equals, value = text.partition("=")
    if not equals or not key.strip("+~@ "):
        return [text]
    key, value = visible(key), value.strip()
    if key.lstrip("+").startswith(PARAMS):
        return list(axes_of(key, value, several))
    check_form(key, value, several)
    check_one_setting(key, value)
    return [f"{key}={typed_value(key, value, several)}"]


def without_pair(text: str) -> str:
    """A text without the pair of quotes around it, if there is one; typographic ones are, too.

    >>> without_pair("'seed=1'"), without_pair("\u201cseed=1\u201d"), without_pair("seed='1'")
    ('seed=1', 'seed=1', "seed='1'")
    """
    return text[1:-1].strip() if len(text) > 2 and text[0] + text[-1] in PAIRS else text


def without_tuples(value: str) -> str:
    """A value whose tuples, which the grammar does not have, are lists.

    >>> without_tuples("(1,3,8,8)"), without_tuples("(2, 1),(7,)"), without_tuples("range(1,3)")
    ('[1,3,8,8]', '[2, 1],[7]', 'range(1,3)')
    """
    if not re.match(r"\[*\(", value) or re.search(r"[^\s,(\[]\(|['\"]", value):
        return value
    return re.sub(r",\s*\]", "]", value.replace("(", "[").replace(")", "]"))


def visible(key: str) -> str:
    """A key without what has no shape, such as a zero-width blank that was copied from a page."""
    return key.strip() if key.isascii() else "".join(mark for mark in key if mark.isprintable()).strip()


def as_numbers(value: str) -> str:
    """A value whose signs only look like those of numbers, as of a word processor or a wide font, with those.

    >>> as_numbers("\u22121"), as_numbers("[\uff12\uff0c1]"), as_numbers("\u201c2\u201d"), as_numbers("3\u00b2")
    ('-1', '[2,1]', '2', '3²')
    """
    if value.isascii():
        return value
    bare = without_pair(value) if value[0] not in "'\"" else value
    text = "".join(map(number_mark, bare))
    return text if NUMBERS.fullmatch(text) else bare


def number_mark(mark: str) -> str:
    """The mark of a number that another looks like; nothing for what has no shape."""
    from unicodedata import category, digit  # which few words need

    code, kind = ord(mark), category(mark)
    if kind in ("Nd", "Zs", "Cf"):
        return str(digit(mark)) if kind == "Nd" else " " if kind == "Zs" else ""
    if 0xFF01 <= code <= 0xFF5E:  # wide letters, as CJK keyboards have them
        return chr(code - 0xFEE0)
    return "-" if kind == "Pd" or mark == "\u2212" else mark


def check_one_setting(key: str, value: str) -> None:
    """No second setting is in the same word, as behind a blank that the shell takes for a letter.

    Raises:
        ConfigError: there is one.
    """
    found = MORE.search(value) if "=" in value and not is_text(key.lstrip("+~")) else None
    if not found:
        return
    from convpipe.config.keys import key_meant  # which only such a word needs

    if key_meant(found[1]):
        words = f"{key}={value[: found.start()].strip()} {value[found.start(1) :]}"
        raise ConfigError(key, value, "one setting in a word", f"write {' '.join(words.split())}")


def typed_value(key: str, value: str, several: bool) -> str:
    """A value in the grammar.

    >>> [typed_value("conv.pad", value, False) for value in ("1", "[1,2]", "é", "{a: [é]}", "[1")]
    ['1', '[1,2]', "'é'", "{a: ['é']}", '[1']
    """
    bare = key.lstrip("+~")
    if "," in value:
        value = names_apart(bare, value)
    if not is_text(bare):
        found = without_tuples(value) if "(" in value else value
        return found if SIMPLE.fullmatch(found) else in_quotes(key, as_numbers(found))
    if NAME.fullmatch(value):
        return value
    override = read(key, value)
    if is_said(bare):
        return value if override and stays(override, several and ", " not in value) else verbatim(value)
    if override is not None and not has_numbers(override):
        return value
    if override is None and is_function(value):
        return in_quotes(key, value)
    parts = at_commas(value) if bare != "where" else [value]
    return ",".join(one_text(key, part) for part in parts)


def names_apart(key: str, value: str) -> str:
    """Names of a setting that have commas in them, one or several, each in quotes; any other value as it is.

    >>> names_apart("lowering.order", "kh,kw,C"), names_apart("lowering.order", "C,kh,kw,kh,kw,C")
    ("'kh,kw,C'", "'C,kh,kw','kh,kw,C'")
    """
    known = [name for name in getattr(check_of(key), "names", ()) if "," in name]
    one = rf"\s*(['\"]?)({'|'.join(map(re.escape, known))})\1\s*"
    if not known or not re.fullmatch(rf"(?:{one},)*{one.replace('1', '3')}", value):
        return value
    return ",".join(f"'{found[2]}'" for found in re.finditer(one, value))


def is_function(value: str) -> bool:
    """Whether a value is a function of the grammar, such as ``choice(1,2)``."""
    return bool(re.fullmatch(FUNCTION, value, re.DOTALL))


def one_text(key: str, value: str) -> str:
    """One value of a setting that is a text."""
    override = None if NAME.fullmatch(value) else read(key, value)
    return value if NAME.fullmatch(value) or (override and not has_numbers(override)) else verbatim(value)


def text_of_word(key: str, value: str) -> str:
    """The text that one value of such a setting is read as."""
    override = read(key, one_text(key, value))
    return str(override.value()) if override else value


def verbatim(value: str) -> str:
    """A text as it was typed, in the quotes of the grammar; what refers to other keys still does."""
    refers = re.search(r"\$\{[^{}]*\}", value)
    return (quoted_text if refers else quoted)(without_pair(value.strip()))


def read(key: str, value: str) -> Override | None:
    """A value as the grammar reads it, if it does."""
    try:
        return parsed(f"{key}={value}")
    except ConfigError:
        return None


def has_numbers(override: Override) -> bool:
    """Whether a value, or one of several, is a number or a truth, which a text only looks like."""
    found: Any = override._value
    values = getattr(found, "list", [found])
    return any(isinstance(each, int | float) for each in values)


def stays(override: Override, several: bool) -> bool:
    """Whether what is said of runs is read as the grammar has it: a text, quoted or not, nothing, or several."""
    if override.is_sweep_override():
        return several
    return override.value() is None or isinstance(override.value(), str)


def is_text(key: str) -> bool:
    """Whether a setting is a text; of those below a group it is known by their names, as kinds take time to load.

    >>> [is_text(key) for key in ("name", "input.path", "note", "seed", "conv.pad", "where")]
    [True, True, True, False, False, True]
    """
    group, _, name = key.partition(".")
    return name in TEXTS if name else group in SETTINGS and text_check(SETTINGS[group].check)


def text_check(check: Check) -> bool:
    """Whether a check takes any text, or null."""
    schema = getattr(check, "check", check).schema()
    types = schema.get("type", ())
    return "string" in (types, *types) and "integer" not in types and "enum" not in schema


def is_said(key: str) -> bool:
    """Whether a setting is what people say of runs, in their own words."""
    return key in SETTINGS and getattr(SETTINGS[key].check, "check", None) is saying


def typed_texts(override: Override) -> str:
    """The values of an override as they were typed: without the quotes that texts have for the grammar's sake."""
    found: Any = override._value
    values = [getattr(each, "text", None) for each in getattr(found, "list", ())]
    written = str(override.input_line).partition("=")[2]
    return ",".join(map(str, values)) if values and None not in values else written


def one_word(key: str, text: str) -> str:
    """A setting and its text as one word of a shell, whatever is in the text.

    >>> print(one_word("input.path", "a,b.png"), one_word("note", "a, b"))
    'input.path="a,b.png"' 'note=a, b'
    """
    import shlex  # which only an advice needs

    if is_said(key) or "," not in text:
        return shlex.quote(f"{key}={text}")
    inner = quoted(text)
    if "'" not in text and '"' not in text:
        return f"'{key}=\"{inner[1:-1]}\"'"
    return shlex.quote(f"{key}={inner}")


def file_at(key: str, name: str) -> Path:
    """The file of a name that a setting has, perhaps in the home folder; one that is called so lies here."""
    return Path(name if os.path.isfile(name) else path_check(key, name))


def one_value(key: str, text: str) -> str:
    """How several values are typed as one: a text, or a list where the setting takes that; nothing where it does not.

    >>> print(one_value("input.path", "a,b"), one_value("conv.stride", "2,1"), one_value("seed", "2,1") or "nothing")
    write 'input.path="a,b"' write conv.stride=[2,1] nothing
    """
    if is_text(key):
        return f"write {one_word(key, text)}"
    check, listed = check_of(key), read(key, f"[{text}]")
    with suppress(ConfigError):
        if check is not None and listed is not None:
            check(key, listed.value())
            return f"write {key}=[{text}]"
    return ""


def in_quotes(key: str, value: str) -> str:
    """A value whose texts have quotes where the grammar needs them, if it can be read then."""
    if read(key, value) is not None:
        return value
    text = "".join(piece.text if piece.is_mark else with_quotes(piece.text) for piece in pieces(value))
    return text if read(key, text) is not None else value


def with_quotes(text: str) -> str:
    """A text of a value, in quotes where there is something in it that the grammar does not take."""
    bare = re.sub(r"\$\{[^{}]*\}|\\.", "", text.strip())
    if not re.search(FOREIGN, bare) or bare[:1] in ("'", '"'):
        return text
    start = len(text) - len(text.lstrip())
    return text[:start] + verbatim(text)


# Sweeps


def axes_of(key: str, value: str, several: bool) -> Iterator[str]:
    """The axes that are given by the name that files have for them: what they set, as it is typed otherwise.

    Raises:
        ConfigError: there is no sweep.
    """
    key = key.lstrip("+")
    text = in_quotes(key, value)
    refuse_unsafe([f"{key}={text}"] if key.startswith(SWEEPS) else ())
    override = read(key, text)
    found = override.value() if override and not override.is_sweep_override() else None
    if key.startswith(SWEEPS):
        pairs = {key.removeprefix(SWEEPS): value}
    elif key == PARAMS and isinstance(found, dict):
        pairs = {name: entry if isinstance(entry, str) else choices_text(name, entry) for name, entry in found.items()}
    else:
        pairs = {}
        yield f"{key}={text}"
    if pairs and not several:
        raise ConfigError(key, value, "-m beside it, as it is for sweeps")
    for name, entry in pairs.items():
        yield from typed(f"{name}={entry}", several)


def axis_text(key: str, value: Any) -> Any:
    """The values that a file gives for an axis, in the grammar; what is no text stays as it is."""
    return typed_value(key, value.strip(), several=True) if isinstance(value, str) else value


def check_form(key: str, value: str, several: bool) -> None:
    """Several whole numbers are in the form that a sweep has, where a setting takes but one.

    Raises:
        ConfigError: they are a list, or from one to another, and the setting does not take that.
    """
    span = re.fullmatch(SPAN, value)
    numbers = re.fullmatch(LISTED, value)
    listed = [int(each) for each in numbers[1].split(",")] if numbers else None
    check = check_of(key) if span or listed else None
    if check is None or "number" not in check.words:
        return
    try:
        check(key, listed or value)
    except ConfigError as error:
        first, last = sorted((int(span[1]), int(span[2]))) if span else (0, 0)
        asked = forms(f"{'' if several else '-m '}{key}", listed or range(first, last + 1))
        raise ConfigError(key, value, error.expected, f"a sweep is {asked}") from error


def forms(key: str, numbers: Sequence[int]) -> str:
    """How numbers are typed, one by one and as a range.

    >>> forms("seed", [1, 2]), forms("-m seed", [1, 5]), forms("seed", range(100))
    ('seed=1,2 or seed=range(1,3)', '-m seed=1,5', 'seed=range(0,100)')
    """
    listed = f"{key}={','.join(map(str, numbers))}" if len(numbers) <= MOST_LISTED else ""
    in_a_row = all(after == before + 1 for before, after in pairwise(numbers))
    ranged = f"{key}=range({numbers[0]},{numbers[-1] + 1})" if in_a_row else ""
    return " or ".join(filter(None, (listed, ranged))) or f"{key}={numbers[0]},{numbers[1]},..."


def check_of(key: str) -> Check | None:
    """The check of a setting, where it is known without its group's choice."""
    group, *names = key.lstrip("+").split(".")
    check = SETTINGS[group].check if group in SETTINGS else None
    inner = getattr(check, "check", check)
    for name in names:
        found = inner.kinds()[""].get(name) if isinstance(inner, settings_group) else None
        check = found.check if found else None
        inner = getattr(check, "check", check) if isinstance(getattr(check, "check", check), settings_group) else check
    return None if isinstance(inner, settings_group) else check
