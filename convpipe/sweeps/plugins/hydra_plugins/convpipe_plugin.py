"""Our sweeper and launcher, where Hydra looks for such: thin, all logic is in `convpipe.sweeps`."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ConvpipeLauncher(Launcher):
    """Points that the sweeper runs itself, here, in processes or on a cluster."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Nothing to set up: the sweeper does not call `launch`."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Not for other sweepers, which compose every job on their own."""
        raise NotImplementedError("hydra/launcher=convpipe goes with hydra/sweeper=convpipe")


class ConvpipeSweeper(Sweeper):
    """Every point composed cheaply, checked before any runs, and skipped where its run is there."""

    def __init__(self, params: Any = None) -> None:
        """What `params` says is in the config, too."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what a sweep needs; only a launcher that is not ours is made."""
        self.whole = config
        self.launcher: Any = None  # with what it calls in each job
        if not config.hydra.launcher["_target_"].endswith(f".{ConvpipeLauncher.__name__}"):
            made = Plugins.instance().instantiate_launcher(
                hydra_context=hydra_context, task_function=task_function, config=config
            )
            self.launcher = made, task_function

    def sweep(self, arguments: list[str]) -> Any:
        """The sweep, for whoever shows it to run: a function of what its points run within, which gives its events."""
        from convpipe.sweeps.sweep import sweep

        return partial(sweep, self.whole, arguments, self.launcher)


# In Python and not in conf/hydra: two YAML files fewer to read at every start. Whoever has imported this file under
# another name, as a collector of doctests does, the targets are those by which Hydra finds it.
for group, kind, settings in (("launcher", ConvpipeLauncher, {}), ("sweeper", ConvpipeSweeper, {"params": None})):
    node = {"_target_": f"hydra_plugins.convpipe_plugin.{kind.__name__}", **settings}
    ConfigStore.instance().store(group=f"hydra/{group}", name="convpipe", node=node, provider="convpipe")
