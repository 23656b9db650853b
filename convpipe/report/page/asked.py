"""What is wanted of a page: the cell that it opens with, its language and the most bytes it may have."""

from collections.abc import Sequence
from dataclasses import dataclass

from convpipe.archive.read import Run
from convpipe.config.settings import bytes_of
from convpipe.errors import ConfigError, UsageError, did_you_mean
from convpipe.graph.plan import readable
from convpipe.graph.spec import Spec
from convpipe.graph.work import Work
from convpipe.report.cell import check_at, indices_of
from convpipe.report.page.convolutions import convolutions
from convpipe.report.page.script import LANGUAGES
from convpipe.report.subject import subject_of
from convpipe.tensors import Sizes

MOST_BYTES = 50 << 20  # of any page: browsers fail on files not much larger
USUAL_BYTES = 8 << 20


@dataclass(frozen=True)
class Asked:
    """What is wanted of a page."""

    at: Sizes | None = None
    layer: str | None = None
    language: str = "en"
    limit: int = USUAL_BYTES


def asked_for(at: str | Sequence[int] | None, layer: str | None, language: str, limit: str | int | None) -> Asked:
    """What is wanted, from what a person types.

    Raises:
        ConfigError: a cell, a language or a limit that there is not.
    """
    if language not in LANGUAGES:
        hint = did_you_mean(str(language), LANGUAGES)
        raise ConfigError("--lang", language, f"one of {', '.join(LANGUAGES)}", hint)
    size = USUAL_BYTES if limit is None else bytes_of("--limit", number_or_text(limit))
    if size > MOST_BYTES:
        raise ConfigError("--limit", limit, f"at most {readable(MOST_BYTES)}, above which browsers fail")
    return Asked(None if at is None else indices_of(at), layer, language, size)


def number_or_text(limit: str | int) -> str | int:
    """A bare number of bytes as a number."""
    return int(limit) if isinstance(limit, str) and limit.isascii() and limit.isdigit() else limit


def check_place(asked: Asked, run: Run, spec: Spec, work: Work) -> None:
    """The cell and the layer that the page is to open with are there.

    Raises:
        ConfigError: they are not.
    """
    layers = list(spec.network or ())
    if asked.layer is not None and asked.layer not in layers:
        expected = f"one of {', '.join(layers)}" if layers else "no layer, as the run is a single operation"
        raise ConfigError("--layer", asked.layer, expected, did_you_mean(asked.layer, layers))
    if asked.at is None:
        return
    if layers and asked.layer is None:
        raise ConfigError("--at", ",".join(map(str, asked.at)), "--layer NAME beside it: one of " + ", ".join(layers))
    subject = subject_of(run, asked.layer)
    subject.check_recorded(asked.at)
    for found in convolutions(spec, work):
        if found.layer == asked.layer:
            check_at(asked.at, found.sizes)
            return
    subject.index(asked.at)


def check_alone(asked: Asked) -> None:
    """A collection's page opens with no cell.

    Raises:
        UsageError: one is asked for.
    """
    if asked.at is not None or asked.layer is not None:
        raise UsageError("page: --at and --layer: expected a run, got a collection")
