"""A sweep from its overrides to its results: all points checked, those that are there skipped, the rest run."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from itertools import chain
from pathlib import Path

from hydra.core.global_hydra import GlobalHydra
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from convpipe.archive.changes import Survey
from convpipe.archive.shared import is_own_folder
from convpipe.config.compose import sweep_params
from convpipe.config.expressions import compile_expression
from convpipe.config.settings import Execution
from convpipe.config.tree import MAIN_CONFIG
from convpipe.errors import ConfigError, StorageError
from convpipe.execution.runner import standing
from convpipe.files.yaml import dotted
from convpipe.sweeps import clusters
from convpipe.sweeps.batches import Passing, Task, is_done, run_all
from convpipe.sweeps.blocks import crew_for
from convpipe.sweeps.books import Books
from convpipe.sweeps.composer import Base, Composer, base_of
from convpipe.sweeps.events import Closed, Event, Planned
from convpipe.sweeps.executors import Here, Pool, processes
from convpipe.sweeps.interrupts import uninterrupted
from convpipe.sweeps.launched import Jobs, launch
from convpipe.sweeps.listed import override_text
from convpipe.sweeps.outcomes import Done, FailedBefore, Finished, Launched, PassedOver, There
from convpipe.sweeps.parts import parts_of
from convpipe.sweeps.points import OF_A_PART, OF_THE_SWEEP, Checked, Points, not_of_the_sweep
from convpipe.sweeps.space import Sweep, sweep_of
from convpipe.sweeps.totals import Tally, Totals
from convpipe.sweeps.turns import failed_before, turns

# What the points of these collections run within where they run in this process.
Watch = Callable[[Sequence[Path]], AbstractContextManager[object]]
Launching = tuple[Launcher, Jobs]  # a stock launcher, and what it calls in each job


def sweep(
    config: DictConfig,
    arguments: Sequence[str],
    launcher: Launching | None,
    watch: Watch = nullcontext,
    command: Sequence[str] = (),
) -> Generator[Event]:
    """Run a sweep, and tell what happens.

    However it ends, closed before its time included, what has run is in the books: whoever looks on closes it.

    Args:
        config: composed for the sweep as a whole: how to execute, and axes as hydra.sweeper.params.
        arguments: from the command line; they come after those axes and count more.
        launcher: a stock Hydra launcher, or None for our own.
        watch: what the points run within where they run in this process.
        command: as it was typed, for the record of the sweep.

    Raises:
        ConvpipeError: something is wrong with a point or with the whole; nothing has run.
    """
    parts = points_of(config, arguments, launched=launcher is not None)
    with crew_for(parts) as crew:
        totals, folders = check_all(parts) if crew is None else crew.check()
        yield Planned(totals, folders, parts[0].execution.dry_run)
        if not parts[0].execution.dry_run:
            tally, books = Tally(notes=list(rowless_axes(parts))), Books(parts, folders, command)
            found = outcomes(parts, totals.points, books.surveys, launcher) if crew is None else crew.run(books.surveys)
            yield from run_points(books, tally, found, watch)
            tally.notes += unkept_note(parts[0].execution, tally)
            yield Closed(totals, tally, books.surveys)


def points_of(config: DictConfig, arguments: Sequence[str], *, launched: bool) -> tuple[Points, ...]:
    """The points of a sweep: of one space, or of each of several experiments.

    Raises:
        ConfigError: settings of which a sweep could follow only some, or more points than limits.runs.
    """
    hydra = GlobalHydra.instance().hydra
    assert hydra is not None
    found: list[Points] = []
    before = 0
    for part in parts_of(hydra, config, arguments):
        execution = part.execution
        check_execution(execution, launched=launched)
        composer = composer_for(part.config, part.arguments, execution)
        check_measuring(composer.sweep, execution, launched=launched)
        where = None if execution.where is None else compile_expression("where", execution.where)
        found.append(Points(composer, part.whole, execution, where, before, part.experiment))
        before += found[-1].size
        check_same(found[0], found[-1])
        if before > execution.limits.runs:
            raise ConfigError("limits.runs", execution.limits.runs, f"at least {before}, the points of this sweep")
    return tuple(found)


def check_same(first: Points, other: Points) -> None:
    """What says how the whole sweep is run is the same of several experiments.

    Raises:
        ConfigError: one says something else.
    """
    for key in (key for key in OF_THE_SWEEP if key not in OF_A_PART):
        if other.whole.get(key) != first.whole.get(key):
            raise not_of_the_sweep(key, other.whole.get(key), first.whole.get(key))


def rowless_axes(parts: Sequence[Points]) -> Iterator[str]:
    """What is to be said of axes about how to execute, as they give no rows of their own."""
    found = dict.fromkeys(key for points in parts for key in points.composer.sweep.rowless)
    if found:
        measured = "of how to execute, threads are what is measured: threads=1,2 timing.repeats=30"
        yield f"no rows for each value of {', '.join(found)}, as a run is what it computes; {measured}"


def unkept_note(execution: Execution, tally: Tally) -> list[str]:
    """What is to be said where runs that were there keep their own notes."""
    if execution.note is None or not tally.there:
        return []
    return [f"the note is of new runs: {tally.there} that were there keep theirs, and the sweep's record has it"]


def composer_for(config: DictConfig, arguments: Sequence[str], execution: Execution) -> Composer:
    """What composes the points of a sweep."""
    hydra = GlobalHydra.instance().hydra
    assert hydra is not None
    name = config.hydra.job.config_name or MAIN_CONFIG
    params = sweep_params(config)
    texts = [f"{key}={override_text(value)}" for key, value in dotted(params)]
    # with no axes from a file, the config of the whole is what points that choose nothing are set on
    bases: dict[tuple[str, ...], Base] = {} if params else {(): base_of(config)}
    return Composer(hydra, name, sweep_of(hydra, [*texts, *arguments], execution), params, bases)


def check_execution(execution: Execution, *, launched: bool) -> None:
    """Nothing that is asked for would be passed over.

    Raises:
        ConfigError: settings of which a sweep could follow only one.
    """
    cluster = execution.elsewhere
    if execution.trace:
        raise ConfigError("trace", True, "false, as only a single run is traced")
    if cluster is not None and launched:
        raise ConfigError("cluster.kind", cluster.kind, "none beside hydra/launcher, which runs the points elsewhere")
    if cluster is not None:
        clusters.named(cluster.kind)
    if cluster is not None and cluster.address == "???":
        raise ConfigError("cluster.address", None, "the scheduler's address, such as tcp://HOST:8786")
    if execution.workers > 1 and (cluster is not None or launched):
        raise ConfigError("workers", execution.workers, "1 beside a cluster or a launcher, which has its own")


def check_measuring(sweep: Sweep, execution: Execution, *, launched: bool) -> None:
    """Runs are measured one after another, with nothing beside them.

    Raises:
        ConfigError: they would run side by side.
    """
    if not sweep.measures:
        return
    hint = "they are measured, one run after another, on this machine"
    if execution.workers > 1:
        raise ConfigError("workers", execution.workers, "1 beside several values of threads or repeats", hint)
    if execution.elsewhere is not None or launched:
        raise ConfigError("threads", "several values", "one beside a cluster or a launcher", hint)


def run_points(
    books: Books, tally: Tally, outcomes: Generator[Sequence[Passing] | PassedOver | Launched], watch: Watch
) -> Iterator[PassedOver | Launched | Finished]:
    """Let what has to run do so, every outcome in the books before it is told; at any end they are complete.

    Raises:
        StorageError: the disk refused, or a worker was lost for good.
    """
    execution, complete = books.parts[0].execution, False
    try:
        books.open()
        watched = watch(books.folders) if books.parts[0].is_serial else nullcontext()
        with watched, closing(outcomes) as found:
            for each in found:
                if isinstance(each, Launched):
                    tally.launched = each
                    yield each
                    continue
                for event in noted(each, books):
                    tally.count(event)
                    yield event
                if execution.on_error == "stop" and (tally.failed or tally.differing):
                    break
            else:
                complete = True
    finally:
        with uninterrupted():
            books.close(tally, complete=complete)
    check_shared(tally, books.folders)


def check_shared(tally: Tally, folders: Sequence[Path]) -> None:
    """What workers have done is here, as it is where the folder is shared.

    Raises:
        StorageError: it is on a disk of theirs.
    """
    for outcome in (*tally.fastest, *tally.slowest):
        if not any(is_own_folder(folder / outcome.run) for folder in folders):
            missing = f"a worker's run {outcome.run} is not here"
            raise StorageError(f"{folders[0]}: {missing}; a cluster needs a shared folder")


def check_all(parts: Sequence[Points]) -> tuple[Totals, tuple[Path, ...]]:
    """Plan every point; gives what they come to and the collections they belong to.

    Which of them are done is counted for a dry run alone, as each is looked up again at its turn.

    Raises:
        UsageError: a point that cannot run, unless ``invalid=skip``.
    """
    totals, folders = Totals(), dict[Path, None]()
    failed = failed_before(parts[0].execution)
    for points, found in ((each, found) for each in parts for found in each.checked()):
        totals.add(found)
        if not isinstance(found, Checked):
            continue
        folder = found.place.folder
        folders[folder] = None
        if points.execution.dry_run:
            prepared = points.task(found).prepared
            totals.there += is_done(standing(prepared, found.place), found.place)
            totals.failed_before += prepared.identity in failed(folder)
    return totals, tuple(folders)


def outcomes(
    parts: Sequence[Points], count: int, surveys: Mapping[Path, Survey], launcher: Launching | None
) -> Generator[Sequence[Passing] | PassedOver | Launched]:
    """What comes of the points, in batches, by a launcher or in a pool; where none has to run, in neither."""
    execution = parts[0].execution
    failed = failed_before(execution)
    every = chain.from_iterable(turns(points, points.turns(), surveys, failed) for points in parts)
    if launcher is not None:
        yield from launch(every, *launcher, execution)
        return
    first: list[Task] = []  # no more workers are started than there are points that have to run
    while len(first) < execution.workers and (each := next(every, None)) is not None:
        if isinstance(each, Task):
            first.append(each)
        else:
            yield [each] if isinstance(each, Done) else each
    if first:
        with pool_for(execution, len(first)) as pool:
            yield from run_all(chain(first, every), pool, execution.on_error == "stop", execution.chunk, count)


def noted(each: Sequence[Passing] | PassedOver, books: Books) -> Iterator[PassedOver | Finished]:
    """What has come of points as events, after it is in the books of their collections."""
    found: Sequence[PassedOver | Finished]
    if isinstance(each, There | FailedBefore):
        found = (each,)
    else:
        with uninterrupted():
            found = books.note(each)
    yield from map(books.add, found)


def pool_for(execution: Execution, workers: int) -> AbstractContextManager[Pool]:
    """Where the points run: on a cluster, here, or in so many processes."""
    cluster = execution.elsewhere
    if cluster is not None:
        return clusters.named(cluster.kind)(cluster.address)
    return nullcontext(Pool(Here(), 1)) if execution.workers == 1 else processes(workers)
