"""The parts of a sweep: one, or one for each of several experiments that bring points of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hydra._internal.hydra import Hydra
from omegaconf import DictConfig

from convpipe.config.compose import composed, plain_config, sweep_params
from convpipe.config.grammar import value_text
from convpipe.config.hydra_safety import parsed
from convpipe.config.read import read_execution
from convpipe.config.settings import Execution
from convpipe.config.tree import MAIN_CONFIG
from convpipe.config.words import as_typed
from convpipe.errors import ConfigError
from convpipe.sweeps.axes import swept_values
from convpipe.sweeps.space import group_options, parse

EXPERIMENT = "experiment"


@dataclass(frozen=True)
class Part:
    """A sweep of one space: the config of it as a whole, and the words that it adds to that."""

    config: DictConfig
    whole: dict[str, Any]
    execution: Execution
    arguments: tuple[str, ...]
    experiment: str = ""  # the word that chooses this one, where there are others


def parts_of(hydra: Hydra, config: DictConfig, arguments: Sequence[str]) -> tuple[Part, ...]:
    """What a command sweeps over: a space, or those of several experiments one after another.

    Experiments that bring no points of their own are an axis like any other.

    Raises:
        ConfigError: settings that cannot be, or that do not go with several such experiments.
    """
    one = part(config, arguments)
    at = swept_experiments(hydra, arguments)
    if at is None:
        return (one,)
    parts = tuple(parts_alone(hydra, config, arguments, at))
    if all(own_points(each) == own_points(one) for each in parts):
        return (one,)
    for each in parts:
        check_together(each)
    return parts


def part(config: DictConfig, arguments: Sequence[str], experiment: str = "") -> Part:
    """A sweep by its config and its words."""
    whole = plain_config(config, missing=True)
    return Part(config, whole, read_execution(whole), tuple(arguments), experiment)


def swept_experiments(hydra: Hydra, arguments: Sequence[str]) -> int | None:
    """Where among the words several experiments are chosen; the last word about it counts."""
    places = [place for place, word in enumerate(arguments) if parsed(word).key_or_group == EXPERIMENT]
    return places[-1] if places and parsed(arguments[places[-1]]).is_sweep_override() else None


def parts_alone(hydra: Hydra, config: DictConfig, arguments: Sequence[str], at: int) -> Iterator[Part]:
    """The same sweep with each of its experiments alone.

    Raises:
        ConfigError: an experiment that there is not.
    """
    override = parse(hydra, [arguments[at]])[0]
    options = group_options(hydra, EXPERIMENT)
    name = config.hydra.job.config_name or MAIN_CONFIG
    for value in swept_values(override, len(options or ()), 0):
        word = f"{EXPERIMENT}={value_text(EXPERIMENT, getattr(value, 'text', value))}"
        words = [*arguments[:at], word, *arguments[at + 1 :]]
        yield part(composed(hydra, name, words, multirun=True), words, as_typed(word))


def own_points(part: Part) -> tuple[Any, ...]:
    """What makes the points of a part, beside its words."""
    return sweep_params(part.config), part.whole.get("sweep")


def check_together(part: Part) -> None:
    """What says something of all points at once says it of one experiment alone.

    Raises:
        ConfigError: a sample, or experiments that advance with another key.
    """
    settings = part.execution.sweep
    hint = "the experiments bring points of their own: sweep over one at a time"
    if settings.sample is not None:
        raise ConfigError("sweep.sample", settings.sample, "none beside several of these experiments", hint)
    if EXPERIMENT in str(settings.zip):
        raise ConfigError("sweep.zip", settings.zip, "no experiment among its keys", hint)
