"""Whether a run that is there will do for what is asked, or has to be computed again, and why."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from stat import S_ISDIR
from typing import Any, NamedTuple

from convpipe.archive.format import CANONICAL, FORMAT, INPUTS, read_json
from convpipe.archive.glance import Entry, check_sizes, glance, is_ours, line_of, manifest_text
from convpipe.archive.keep import Keep
from convpipe.archive.shared import mode_of
from convpipe.errors import ArchiveError
from convpipe.execution.provenance import VERSION, collect, numeric_differences, own_code

SAME_CONFIG, SAME_CODE, SAME_ENVIRONMENT = "same-config", "same-code", "same-environment"
REUSES = (SAME_CONFIG, SAME_CODE, SAME_ENVIRONMENT)


class Standing(Enum):
    """How what lies in a run's place stands to what is asked; the value is for people."""

    ABSENT = "absent"
    THERE = "there before"
    FOREIGN = "another run"  # of a later format or another config: nothing is done to it
    OLD_FORMAT = "an older format"  # it is compared, and nothing else
    DAMAGED = "damaged before"
    LESS = "more arrays"
    UNDRAWN = "more pictures"
    OTHER_CODE = "other code"
    OTHER_ENVIRONMENT = "other environment"


class Asked(NamedTuple):  # made for each point of a sweep, in a quarter of a frozen dataclass's time
    """What a run has to be, so that it need not be computed again."""

    identity: str
    keep: Keep
    reuse: str
    code: str
    threads: int
    inputs: Mapping[str, str]  # the hashes, by group, of files that are to be stored
    drawn: tuple[str, ...] = ()  # stages of which there are to be pictures

    def is_said_by(self, manifest: str) -> bool:
        """Whether a manifest says just what is asked, where that is two of its lines: most do, and this is quick."""
        code = f'\n "run_id": "{self.identity}",\n "status": "done",\n "code": "{self.code}",\n'
        keep = f'\n "keep": "{self.keep}",\n'
        said = code in manifest and keep in manifest and own_words() in manifest and is_ours(manifest)
        return said and self.reuse != SAME_ENVIRONMENT


@dataclass(frozen=True)
class Found:
    """What lies in a run's place."""

    standing: Standing
    keep: Keep | None = None  # what it keeps, as far as it says
    damage: str = ""
    drawn: tuple[str, ...] = ()  # stages of which it has pictures


ABSENT, THERE = Found(Standing.ABSENT), Found(Standing.THERE)


def look(folder: str, wanted: Callable[[], Asked]) -> Found:
    """What lies in a run's place: only its manifest is read, and its files are asked for their sizes."""
    found = mode_of(folder)  # half of the time of an open() that fails
    if found is None:
        return ABSENT
    if not S_ISDIR(found):  # a link to a run is none: what is done to a run would be done elsewhere
        return Found(Standing.DAMAGED, damage=f"{folder}: a link or a file, expected the folder of a run")
    asked = wanted()
    keep, manifest = None, manifest_text(folder)
    try:
        if asked.is_said_by(manifest) and not asked.inputs and not asked.drawn:
            check_sizes(folder, line_of(folder, manifest, "sizes"))
            return THERE
        entry = glance(folder, manifest)
        if entry("run_id") not in (asked.identity, None):
            return Found(Standing.FOREIGN)
        if entry("format") != FORMAT:
            return Found(Standing.OLD_FORMAT)
        keep = keep_of(folder, entry)
        check_sizes(folder, entry("sizes"))
        drawn = tuple(entry("drawn") or ())
        if not keep.covers(asked.keep) or lacks_inputs(folder, entry, asked):
            return Found(Standing.LESS, keep, drawn=drawn)
        if not {*asked.drawn} <= {*drawn}:
            return Found(Standing.UNDRAWN, keep, drawn=drawn)
        return Found(judged(entry, asked), keep, drawn=drawn)
    except (ArchiveError, AttributeError, TypeError) as error:  # as of entries of other types than ours
        return Found(Standing.FOREIGN if is_of_later_format(manifest) else Standing.DAMAGED, keep, str(error))


def is_of_later_format(manifest: str) -> bool:
    """Whether a manifest is one that a later version of this package has written."""
    try:
        found = read_json(manifest.encode())
    except (ValueError, RecursionError):
        return False
    form = found.get("format") if isinstance(found, dict) else None
    return type(form) is int and form > FORMAT


def keep_of(folder: str, entry: Entry) -> Keep:
    """What a run says that it keeps.

    Raises:
        ArchiveError: it does not.
    """
    try:
        return Keep(entry("keep"))
    except ValueError as error:
        raise ArchiveError(f"{folder}/manifest.json: {error}") from error


def lacks_inputs(folder: str, entry: Entry, asked: Asked) -> bool:
    """Whether what the run's files held, if that is asked for, is not stored in its collection any more."""
    sizes = entry("input_bytes") if asked.inputs else {}
    try:
        stored = {group: f"{os.path.dirname(folder)}/{INPUTS}/{sha256}" for group, sha256 in asked.inputs.items()}
        return any(os.lstat(path).st_size != sizes.get(group) for group, path in stored.items())
    except (OSError, AttributeError):
        return True


@cache
def own_facts() -> dict[str, Any]:
    """What provenance says of this code, beside the hash of all code of a run."""
    return {"code_sha256": own_code(), "convpipe": VERSION}


@cache
def own_words() -> str:
    """The same as a manifest's line has it."""
    return CANONICAL.encode(own_facts())[1:-1]


def judged(entry: Entry, asked: Asked) -> Standing:
    """How a run that has all that is asked for stands to it."""
    if asked.reuse == SAME_CONFIG:
        return Standing.THERE
    facts = entry("provenance")
    is_own = entry("code") == asked.code and all(facts.get(name, own) == own for name, own in own_facts().items())
    if not is_own and asked.code not in (entry("agrees") or ()):
        return Standing.OTHER_CODE
    if asked.reuse == SAME_ENVIRONMENT and numeric_differences(facts, collect(asked.threads)):
        return Standing.OTHER_ENVIRONMENT
    return Standing.THERE
