"""A sweep from the words that describe it: composed, and handed to Hydra's sweeper with the launcher it names."""

from collections.abc import Generator, Sequence
from contextlib import closing, nullcontext, suppress
from pathlib import Path

from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra.core.plugins import Plugins
from hydra.types import HydraContext

from convpipe.archive.collection import run_ids
from convpipe.config.app import sweep_config
from convpipe.config.tree import MAIN_CONFIG
from convpipe.errors import StorageError, having_kept
from convpipe.sweeps.events import Event, Planned
from convpipe.sweeps.launched import Jobs, words_of_jobs
from convpipe.sweeps.outcomes import GOES_ON, Finished, There
from convpipe.sweeps.sweep import Watch


def points_typed(hydra: Hydra, words: Sequence[str], config_name: str = MAIN_CONFIG) -> int:
    """How many points the words describe as a sweep.

    Raises:
        ConvpipeError: words that describe no sweep.
    """
    from convpipe.sweeps.points import points_in
    from convpipe.sweeps.sweep import points_of

    return points_in(points_of(sweep_config(hydra, words, config_name), words, launched=False))


def started(
    hydra: Hydra,
    words: Sequence[str],
    config_name: str = MAIN_CONFIG,
    watch: Watch = nullcontext,
    command: Sequence[str] = (),
) -> Generator[Event]:
    """The events of a sweep, as it is run by whoever takes them; see `sweeps.sweep.sweep`.

    Raises:
        ConvpipeError: words that describe no sweep.
    """
    config = sweep_config(hydra, words, config_name)
    context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks())
    plugins = Plugins.instance()
    sweeper = plugins.instantiate_sweeper(
        config=config, hydra_context=context, task_function=Jobs(words_of_jobs(config))
    )
    events: Generator[Event] = sweeper.sweep(list(words))(watch, command or words)
    return saying_what_is_kept(events)


def saying_what_is_kept(events: Generator[Event]) -> Generator[Event]:
    """The same events; what the disk refuses once there are runs is an error that says that these are kept.

    Raises:
        StorageError: the disk refused.
    """
    some, before = False, dict[Path, set[str]]()
    with closing(events):
        try:
            for event in events:
                some = some or isinstance(event, Finished | There)
                if isinstance(event, Planned):
                    before = {folder: runs_there(folder) for folder in event.folders}
                yield event
        except (OSError, StorageError) as error:
            # a run is there before anybody is told of it
            if some or any(runs_there(folder) - known for folder, known in before.items()):
                with having_kept(GOES_ON):
                    raise
            if isinstance(error, StorageError):
                raise
            raise StorageError.of(error) from error


def runs_there(folder: Path) -> set[str]:
    """The runs of a collection, if it is there and can be read."""
    with suppress(OSError):
        return set(run_ids(folder))
    return set()
