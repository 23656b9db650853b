"""Whether a run that is there will do for what is asked, or has to be computed again, and why."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from convpipe.archive.format import FORMAT, INPUTS
from convpipe.archive.glance import Entry, check_sizes, glance, is_ours, line_of, manifest_text
from convpipe.archive.keep import Keep
from convpipe.errors import ArchiveError
from convpipe.execution.provenance import collect, numeric_differences

SAME_CONFIG, SAME_CODE, SAME_ENVIRONMENT = "same-config", "same-code", "same-environment"
REUSES = (SAME_CONFIG, SAME_CODE, SAME_ENVIRONMENT)


class Standing(Enum):
    """How what lies in a run's place stands to what is asked; the value is for people."""

    ABSENT = "absent"
    THERE = "there before"
    FOREIGN = "another run"  # of another format or config: nothing is done to it
    DAMAGED = "damaged before"
    LESS = "more arrays"
    OTHER_CODE = "other code"
    OTHER_ENVIRONMENT = "other environment"


@dataclass(frozen=True)
class Asked:
    """What a run has to be, so that it need not be computed again."""

    identity: str
    keep: Keep
    reuse: str
    code: str
    threads: int
    inputs: Mapping[str, str]  # the hashes, by group, of files that are to be stored

    def is_said_by(self, manifest: str) -> bool:
        """Whether a manifest says just what is asked, where that is two of its lines: most do, and this is quick."""
        code = f'\n "run_id": "{self.identity}",\n "status": "done",\n "code": "{self.code}",\n'
        keep = f'\n "keep": "{self.keep}",\n'
        return self.reuse != SAME_ENVIRONMENT and code in manifest and keep in manifest and is_ours(manifest)


@dataclass(frozen=True)
class Found:
    """What lies in a run's place."""

    standing: Standing
    keep: Keep | None = None  # what it keeps, as far as it says
    damage: str = ""


ABSENT, THERE = Found(Standing.ABSENT), Found(Standing.THERE)


def look(folder: str, asked: Asked) -> Found:
    """What lies in a run's place: only its manifest is read, and its files are asked for their sizes."""
    if not os.access(folder, os.F_OK):  # a third of the time of an open() that fails
        return ABSENT
    keep, manifest = None, manifest_text(folder)
    try:
        if asked.is_said_by(manifest) and not asked.inputs:
            check_sizes(folder, line_of(folder, manifest, "sizes"))
            return THERE
        entry = glance(folder, manifest)
        if entry("run_id") != asked.identity or entry("format") != FORMAT:
            return Found(Standing.FOREIGN)
        keep = keep_of(folder, entry)
        check_sizes(folder, entry("sizes"))
    except ArchiveError as error:
        return Found(Standing.DAMAGED, keep, str(error))
    if not keep.covers(asked.keep) or lacks_inputs(folder, entry, asked):
        return Found(Standing.LESS, keep)
    return judged(entry, keep, asked)


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


def judged(entry: Entry, keep: Keep, asked: Asked) -> Found:
    """How a run that has all that is asked for stands to it."""
    if asked.reuse == SAME_CONFIG:
        return Found(Standing.THERE, keep)
    if asked.code != entry("code") and asked.code not in listed(entry("agrees")):
        return Found(Standing.OTHER_CODE, keep)
    if asked.reuse == SAME_ENVIRONMENT and elsewhere(entry("provenance"), asked.threads):
        return Found(Standing.OTHER_ENVIRONMENT, keep)
    return Found(Standing.THERE, keep)


def listed(value: Any) -> list[Any]:
    """A list as it is; of anything else an empty one."""
    return value if isinstance(value, list) else []


def elsewhere(facts: Any, threads: int) -> bool:
    """Whether a run was made where a float may have other last bits than here."""
    return not isinstance(facts, dict) or bool(numeric_differences(facts, collect(threads)))
