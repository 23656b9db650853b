"""Sweeps by stock Hydra launchers (basic, joblib, submitit): they compose every job, the archives are the same."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from convpipe.config.app import logging_kept
from convpipe.config.compose import of_layer, plain_config
from convpipe.config.read import read_job
from convpipe.errors import StorageError, shown
from convpipe.execution.code import code_of
from convpipe.execution.runner import prepare
from convpipe.sweeps.batches import Batch, Passing, Task, check_code, run_batch
from convpipe.sweeps.composer import Composer
from convpipe.sweeps.outcomes import Done, PassedOver


@dataclass(frozen=True)
class Returned:
    """What a job gives back: what came of its point, and by which code."""

    outcome: Done
    code: str


def launch(
    composer: Composer, found: Iterable[Task | Passing], launcher: Launcher
) -> Iterator[list[Done] | PassedOver]:
    """Have a launcher run tasks, all in one go; gives their outcomes, and before them what is no task.

    Raises:
        StorageError: the disk refused one of them; what the others did is there.
    """
    wanted: list[Task] = []
    for each in found:
        if isinstance(each, Task):
            wanted.append(each)
        else:
            yield [each] if isinstance(each, Done) else each
    overrides = [[of_layer(text) for text in composer.overrides(task.point)] for task in wanted]
    try:
        with logging_kept():
            returns = launcher.launch(overrides, initial_job_idx=0) if wanted else []
    except Exception as error:  # another's code: no Slurm here, a queue that there is not
        raise StorageError(f"hydra/launcher: {type(launcher).__name__} failed: {shown(error, 200)}") from error
    for task, answer in zip(wanted, returns, strict=True):
        returned = answer._return_value  # as `return_value` prints what it raises
        if not isinstance(returned, Returned):
            raise returned if isinstance(returned, StorageError) else StorageError(f"{task.overrides}: {returned}")
        check_code(returned.code)
        yield [replace(returned.outcome, folder=task.place.folder, overrides=task.overrides)]


def run_hydra_job(config: DictConfig) -> Any:
    """One job of a launcher, in whichever process that starts."""
    job = read_job(plain_config(config))
    place = job.execution.place
    batch = Batch((Task((), place, prepare(job.spec, place.memory)),), os.getcwd(), stop=False)
    return Returned(run_batch(batch)[0], code_of())
