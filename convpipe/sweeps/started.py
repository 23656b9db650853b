"""A sweep from the words that describe it: composed, and handed to Hydra's sweeper with the launcher it names."""

from collections.abc import Generator, Sequence
from contextlib import closing, nullcontext

from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra.core.plugins import Plugins
from hydra.types import HydraContext

from convpipe.config.app import sweep_config
from convpipe.config.tree import MAIN_CONFIG
from convpipe.errors import StorageError, having_kept
from convpipe.sweeps.events import Event
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
    some = False
    with closing(events):
        try:
            for event in events:
                some = some or isinstance(event, Finished | There)
                yield event
        except (OSError, StorageError) as error:
            if some:
                with having_kept(GOES_ON):
                    raise
            if isinstance(error, StorageError):
                raise
            raise StorageError.of(error) from error
