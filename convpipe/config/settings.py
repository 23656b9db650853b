"""What a config may say, as frozen dataclasses: how to execute, and the job as a whole."""

import math
import re
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from convpipe.archive.keep import Keep
from convpipe.errors import ConfigError, did_you_mean
from convpipe.execution import provenance
from convpipe.execution.drawing import ALL, AUTO, NONE
from convpipe.execution.reuse import REUSES, SAME_CODE
from convpipe.execution.runner import Place
from convpipe.fields import (
    choice,
    field,
    group,
    if_given,
    judged,
    one_or_several,
    optional,
    path,
    several,
    text,
    truth,
    whole,
)
from convpipe.graph.spec import Spec

MEMORY = "The most memory a run may need, such as 2GiB; null is four fifths of the machine's."
ZIP = "Lists of keys whose values go together, one by one: [[conv.stride, conv.pad]]."
POINTS = "A list of points: a CSV file (a header of keys), a YAML or JSON file, or the name of one in conf/points."
SAMPLE = "This many points at random, by this seed, instead of all."
ADDRESS = "Where it is: tcp://HOST:8786 of Dask; of Ray auto, HOST:6379, or null for one that is started here."
KIND = "Which kind of cluster it is: dask or ray; null is none."
CHUNK = "The most points in one batch of a cluster, or in one job of a launcher; null makes few jobs, of equal sizes."
KEEP = "What to archive beside hashes: output, layers (each one's output), stages (every array); +inputs: files read."
TRACE = "Print how the column tensor is filled, tap by tap, as the lecture does (needs keep: stages)."
PICTURES = (
    "Which maps are drawn: auto (of a picture), all, none, or a list of stages and layers; the sheet is maps.png."
)
WHERE = "Points of a sweep for which this is false are left out, such as conv.stride <= filters.kernel[0]."
RETRY = "Compute points again: failed are those that failed before; all are those whose runs are there, too."
REUSE = "A sweep passes over what is there of the same-config, same-code or same-environment."
REPLACE = "What differs from the run that is there takes its place; that goes aside, to .aside in its collection."
ON_ERROR = "What the failure of a point means for the rest of a sweep: continue or stop."
LABEL = "What a point of a sweep is called, such as a layer: it stands in sweeps/*.csv, and equal points share a run."
NOTE = "What is to be said of new runs: it stands in their manifests, and is a column of tables."
COLLECTION_NAME = re.compile(r"\w[\w.-]*\Z")
NAME_PATTERN = r"^[^\s!-/:-@\[-^`{-~][^\s!-,/:-@\[-^`{-~]*$"  # for editors, whose \w is of ASCII alone
MOST_NAME_BYTES = 200  # file systems end at 255
MEMORY_SHARE = 0.8
MOST_SAID = 1000  # characters of a label or a note
MOST_RUNS = 100_000_000  # to check them takes ten hours
MOST_SAMPLED = 1_000_000  # numbers of points that are drawn before the first of them runs: 0.1 GB
SIZE = re.compile(r"(.*?)\s*(?:([kmgt])(ib|b)?|b)?\s*", re.IGNORECASE)


def named_collection(key: str, value: Any) -> str:
    """A folder's name: it cannot lead out of the root. One letter is one character, however it was typed (NFC)."""
    found = composed(value) if isinstance(value, str) else ""
    if not COLLECTION_NAME.match(without_marks(found)) or len(found.encode()) > MOST_NAME_BYTES:
        raise collection_name.refused(key, value)
    return found


def composed(name: str) -> str:
    """A name in the form in which one letter is one character: macOS hands it over in pieces."""
    if name.isascii():
        return name
    from unicodedata import normalize  # which few names need

    return normalize("NFC", name)


def without_marks(name: str) -> str:
    """A name without the marks that go with letters, such as the vowels of many scripts; not in front."""
    if name.isascii():
        return name
    from unicodedata import category

    return name[:1] + "".join(mark for mark in name[1:] if category(mark)[0] != "M")


collection_name = judged(
    named_collection,
    "a folder name of letters, digits, '_', '-' and '.', at most 200 bytes",
    {"type": "string", "pattern": NAME_PATTERN},
)


def said_of(key: str, value: Any) -> str:
    """A text of people's own; a number is one, too."""
    found = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else text(key, value)
    if len(found) > MOST_SAID:
        raise saying.refused(key, value)
    return found


saying = judged(said_of, f"a text of at most {MOST_SAID} characters", {"type": ["string", "number"]})


def usual_memory() -> int:
    """The bytes that a run may need where nothing says more."""
    return int(MEMORY_SHARE * provenance.memory_bytes())


def bytes_of(key: str, value: Any) -> int:
    """A number of bytes, bare or with a unit: ``500MB``, ``2GiB``.

    >>> bytes_of("limits.memory", "2GiB")
    2147483648
    """
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    amount, match = math.nan, SIZE.fullmatch(value) if isinstance(value, str) else None
    if match:
        base = 1024 if (match[3] or "").lower() == "ib" else 1000
        with suppress(ValueError):
            amount = float(match[1]) * base ** " kmgt".index((match[2] or " ").lower())
    if not 1 <= amount < math.inf:
        raise ConfigError(key, value, size_in_bytes.words)
    return int(amount)


size_in_bytes = judged(
    bytes_of, "a size such as 500MB, 2GiB or a whole number of bytes", {"type": ["integer", "string"]}
)


def pictures_of(key: str, value: Any) -> str | tuple[str, ...]:
    """One of the words, or a list of stages; whether there are such stages, the plan says."""
    if isinstance(value, list | tuple):
        return tuple(several(text)(key, value))
    if value not in PICTURE_WORDS:
        hint = f"{key}=[{value}] draws a stage of that name" if isinstance(value, str) and value else ""
        raise pictures_asked.refused(key, value, did_you_mean(str(value), PICTURE_WORDS) or hint)
    return str(value)


PICTURE_WORDS = (AUTO, ALL, NONE)
pictures_asked = judged(
    pictures_of,
    f"{', '.join(PICTURE_WORDS)}, or a list of stages",
    {
        "anyOf": [
            {"enum": list(PICTURE_WORDS)},
            {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
        ]
    },
)


def points_of(key: str, value: Any) -> str:
    """The name of a file, or of a list."""
    if isinstance(value, (list, tuple, dict)):
        raise ConfigError(
            key, value, "a file of points, or the name of a list", "points go into a .yaml file of theirs"
        )
    return str(text(key, value))


points_asked = judged(points_of, text.words, text.schema())


@dataclass(frozen=True)
class Limits:
    """What a run may use."""

    memory: int | None = field(optional(size_in_bytes), None, MEMORY)
    runs: int = field(whole(1, MOST_RUNS), 1_000_000, "The most points a sweep may have.")


@dataclass(frozen=True)
class Timing:
    """How stages are timed."""

    repeats: int = field(whole(1, 10_000), 1, "How often each stage is run and timed.")


@dataclass(frozen=True)
class SweepSettings:
    """What makes the points of a sweep, beyond the product of all values given."""

    zip: tuple[Any, ...] | None = field(optional(several(one_or_several(text))), None, ZIP)
    points: str | None = field(optional(points_asked), None, POINTS)
    sample: int | None = field(
        optional(whole(1, MOST_SAMPLED)), None, "This many points at random, by this seed, instead of all."
    )
    seed: int = field(whole(0), 0, "What the points of sweep.sample are drawn with.")


@dataclass(frozen=True)
class Cluster:
    """Other machines to run a sweep on."""

    kind: str | None = field(optional(text), None, KIND)  # one of the files in sweeps/clusters
    address: str | None = field(optional(text), None, ADDRESS)
    chunk: int | None = field(optional(whole(1)), None, CHUNK)


@dataclass(frozen=True)
class Execution:
    """How to run, and where to put it: never part of a run's identity."""

    name: str = field(collection_name, says="The collection: results go to <root>/<name>/<run id>/.")
    root: str = field(path, says="The folder that collections lie in.")
    label: str | None = field(optional(saying), None, LABEL)
    note: str | None = field(optional(saying), None, NOTE)
    keep: str = field(choice(map(str, Keep)), "output", KEEP)
    dry_run: bool = field(truth, False, "Print the plan and its cost, run nothing.")
    pictures: str | tuple[str, ...] = field(pictures_asked, AUTO, PICTURES)
    trace: bool = field(truth, False, TRACE)
    workers: int = field(whole(1, 4096), 1, "How many processes run the points of a sweep.")
    threads: int = field(whole(1, 4096), 1, "How many threads a matrix product may use.")
    limits: Limits = field(group(Limits), Limits(), "What a run may use.")
    timing: Timing = field(group(Timing), Timing(), "How stages are timed.")
    sweep: SweepSettings = field(group(SweepSettings), SweepSettings(), "What makes the points of a sweep (-m).")
    where: str | None = field(optional(text), None, WHERE)
    invalid: str = field(choice(["error", "skip"]), "error", "Points that cannot be: error (nothing runs) or skip.")
    retry: str | None = field(optional(choice(["failed", "all"])), None, RETRY)
    reuse: str = field(choice(REUSES), SAME_CODE, REUSE)
    replace: bool = field(truth, False, REPLACE)
    on_error: str = field(choice(["continue", "stop"]), "continue", ON_ERROR)
    cluster: Cluster | None = field(if_given(group(Cluster)), None, "Other machines to run a sweep on.")

    @property
    def elsewhere(self) -> Cluster | None:
        """The cluster that the points of a sweep run on, if they do."""
        return self.cluster if self.cluster is not None and self.cluster.kind is not None else None

    @property
    def chunk(self) -> int | None:
        """The most points that a batch or a job may have, where that is said."""
        return None if self.cluster is None else self.cluster.chunk

    @cached_property
    def place(self) -> Place:
        """Where and how, as the runner takes it."""
        memory = self.limits.memory or usual_memory()
        folder, again = Path(self.root) / self.name, self.retry == "all"
        how = (self.threads, self.timing.repeats, self.keep, self.reuse, again, self.replace)
        return Place(folder, memory, *how, pictures=self.pictures, note=self.note)


@dataclass(frozen=True)
class Job:
    """A whole config, checked: what to run and how."""

    spec: Spec
    execution: Execution
    is_sweep: bool = False  # its config has axes or a list of points, of which a single run is one


SPEC_KEYS = tuple(entry.name for entry in fields(Spec))
EXECUTION_KEYS = tuple(entry.name for entry in fields(Execution))
