"""Whether a run that is there will do for what is asked, or has to be computed again, and why."""

import os
from dataclasses import dataclass
from enum import Enum
from typing import Any

from convpipe.archive.format import FORMAT
from convpipe.archive.glance import Entry, check_sizes, glance, is_ours, line_of, manifest_text
from convpipe.archive.keeping import keeps
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
    keep: str
    reuse: str
    code: str
    threads: int

    def is_said_by(self, manifest: str) -> bool:
        """Whether a manifest says just what is asked, where that is two of its lines: most do, and this is quick."""
        code = f'\n "run_id": "{self.identity}",\n "status": "done",\n "code": "{self.code}",\n'
        keep = f'\n "keep": "{self.keep}",\n'
        return self.reuse != SAME_ENVIRONMENT and code in manifest and keep in manifest and is_ours(manifest)


@dataclass(frozen=True)
class Found:
    """What lies in a run's place."""

    standing: Standing
    keep: str = ""  # what it keeps, as far as it says
    damage: str = ""


ABSENT, THERE = Found(Standing.ABSENT), Found(Standing.THERE)


def look(folder: str, asked: Asked) -> Found:
    """What lies in a run's place: only its manifest is read, and its files are asked for their sizes."""
    if not os.access(folder, os.F_OK):  # a third of the time of an open() that fails
        return ABSENT
    keep, manifest = "", manifest_text(folder)
    try:
        if asked.is_said_by(manifest):
            check_sizes(folder, line_of(folder, manifest, "sizes"))
            return THERE
        entry = glance(folder, manifest)
        if entry("run_id") != asked.identity or entry("format") != FORMAT:
            return Found(Standing.FOREIGN)
        keep = str(entry("keep"))
        check_sizes(folder, entry("sizes"))
        return judged(entry, keep, asked)
    except ArchiveError as error:
        return Found(Standing.DAMAGED, keep, str(error))


def judged(entry: Entry, keep: str, asked: Asked) -> Found:
    """How a run whose files are there stands to what is asked."""
    if not keeps(keep, asked.keep):
        return Found(Standing.LESS, keep)
    if asked.reuse == SAME_CONFIG:
        return THERE
    if asked.code != entry("code") and asked.code not in listed(entry("agrees")):
        return Found(Standing.OTHER_CODE, keep)
    if asked.reuse == SAME_ENVIRONMENT and elsewhere(entry("provenance"), asked.threads):
        return Found(Standing.OTHER_ENVIRONMENT, keep)
    return THERE


def listed(value: Any) -> list[Any]:
    """A list as it is; of anything else an empty one."""
    return value if isinstance(value, list) else []


def elsewhere(facts: Any, threads: int) -> bool:
    """Whether a run was made where a float may have other last bits than here."""
    return not isinstance(facts, dict) or bool(numeric_differences(facts, collect(threads)))
