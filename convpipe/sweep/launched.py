"""Sweeps by stock Hydra launchers (joblib, submitit): they compose and start every job, the archives are the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convpipe import collection, runner
from convpipe.config import Execution, plain_config, read_job
from convpipe.errors import ConvpipeError
from convpipe.spec import plain, run_id

if TYPE_CHECKING:
    from hydra.plugins.launcher import Launcher
    from omegaconf import DictConfig

    from convpipe.sweep.sweep import Points


def launch(points: Points, launcher: Launcher, execution: Execution, folders: Sequence[Path]) -> int:
    """Have a launcher run the points that are not there yet; gives the exit code."""
    wanted = []
    for overrides, job in points.jobs():
        if not (job.execution.place.folder / run_id(plain(job.spec))).is_dir():
            wanted.append([*points.sweep.fixed, *overrides.split(" ")] if overrides else list(points.sweep.fixed))
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    returns = launcher.launch(wanted, initial_job_idx=0) if wanted else []
    errors = [str(each.return_value) for each in returns if each.return_value]
    for folder in folders:
        collection.refresh(folder)
    for error in errors:
        print(f"failed: {error}")
    print(f"{len(wanted) - len(errors)} done, {len(errors)} failed, by {type(launcher).__name__}")
    return 1 if errors else 0


def run_hydra_job(config: DictConfig) -> Any:
    """One job of a launcher; gives its error, or nothing."""
    job = read_job(plain_config(config))
    try:
        runner.execute(job.spec, job.execution.place)
    except ConvpipeError as error:
        return " ".join(str(error).split())
    return ""
