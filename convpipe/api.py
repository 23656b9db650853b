"""The front door: what the command line does, as functions; each command is one of these plus printing.

    import convpipe as cp
    cp.run("experiment=lecture_4d", **{"conv.stride": 2})

Settings are given as on the command line (``"conv.stride=2"``), or as keywords with Python's values; of both, the
later counts. What is wrong is an exception of `convpipe.errors`, in the one line that the command line prints.

Everything is imported when it is needed, as each command pays for its own alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convpipe.errors import ArchiveError, ConfigError, UsageError, having_kept, made_there

if TYPE_CHECKING:
    import pandas as pd

    from convpipe.archive.read import Run
    from convpipe.execution.runner import Outcome
    from convpipe.graph.plan import Plan
    from convpipe.report.entry import Entry
    from convpipe.report.explain import Explained
    from convpipe.report.page.view import View

# From settings


def plan(*overrides: str, **settings: Any) -> Plan:
    """What a run would do: its stages with their shapes, dtypes, bytes and multiply-adds; nothing runs.

    Raises:
        ConfigError: settings that cannot be, or a run that does not fit into limits.memory.

    >>> print(plan("experiment=lecture_4d", **{"conv.stride": 2}))
    stage    makes          shape      axes                     dtype    bytes   macs
    -        input          (1,3,5,5)  (N,C,H,W)                float64    600      -
    -        filters        (6,3,3,3)  (F,C,kh,kw)              float64  1,296      -
    pad      padded         (1,3,7,7)  (N,C,H,W)                float64  1,176      -
    im2col   columns        (9,27)     (N*out_h*out_w,C*kh*kw)  float64  1,944      -
    fil2col  filter_matrix  (6,27)     (F,C*kh*kw)              float64  1,296      -
    matmul   product        (9,6)      (N*out_h*out_w,F)        float64    432  1,458
    reshape  feature_map    (1,3,3,6)  (N,out_h,out_w,F)        float64    432      -
    1,458 multiply-adds, 7.0 KiB in arrays, 4.4 KiB at the peak
    """
    from convpipe.config.app import read_words
    from convpipe.execution import runner

    job = read_words(overrides, settings)
    prepared = runner.prepare(job.spec, job.execution.place.memory)
    runner.drawn(prepared, job.execution.place)
    return prepared.work.plan


def run(*overrides: str, archive: bool = True, **settings: Any) -> Run:
    """Run one convolution or network, archived as by the command line; one that is there is run again and compared.

    Args:
        archive: False runs in memory only: every stage is kept there, and nothing is written anywhere.

    Raises:
        ConfigError: settings that cannot be; nothing is written.
        ArchiveError: the run is there, and is damaged or not reproduced.
        StorageError: the disk refused.

    >>> run("experiment=lecture_3d", archive=False, **{"conv.pad": 1, "conv.stride": 2}).maps.tolist()
    [[[[-5, 11], [11, -7]]]]
    """
    from convpipe.archive.collection import refresh
    from convpipe.config.app import read_words
    from convpipe.execution import runner

    job = read_words(overrides, settings)
    if job.execution.dry_run:
        raise ConfigError("dry_run", True, "false", "cp.plan gives the plan, and runs nothing")
    place = job.execution.place
    prepared = runner.prepare(job.spec, place.memory)
    if not archive:
        return runner.hold(prepared, place)
    with having_kept(made_there("the run", place.folder / prepared.identity)):
        made = runner.execute(prepared, place)
    with having_kept(f"the run is kept: {made.run.path}"):
        refresh(place.folder)
        if job.execution.label is not None:
            from convpipe.config.grammar import words_of
            from convpipe.sweeps.books import record_single

            record_single(job.execution, prepared.identity, made.verdict, ["cp.run", *words_of(overrides, settings)])
    return made.run


def sweep(*overrides: str, **settings: Any) -> pd.DataFrame:
    """Run every point of a sweep; gives the rows of its runs as `runs` does, those that failed among them.

    Args:
        overrides: as on the command line after -m: ``"seed=range(0,10)"``.
        settings: a list is several values, ``{"conv.stride": [1, 2]}``; one value per axis is a tuple.

    Raises:
        ConfigError, UsageError: a point that cannot be; nothing has run.
        ArchiveError: a run that was there is not reproduced.
        StorageError: the disk refused.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     table = sweep("experiment=lecture_3d", root=folder, seed=range(2), **{"conv.stride": [1, (2, 1)]})
    >>> sorted(table["output_shape"]), len(table)
    (['(1,1,2,1)', '(1,1,2,1)', '(1,2,2,1)', '(1,2,2,1)'], 4)
    """
    from convpipe.archive.collection import chosen_runs
    from convpipe.config.app import OwnHydra
    from convpipe.config.grammar import words_of
    from convpipe.config.words import words_for_hydra
    from convpipe.sweeps.events import Planned
    from convpipe.sweeps.outcomes import DIFFERS, FailedBefore, Finished, There
    from convpipe.sweeps.started import started

    words = words_of(overrides, settings, several=True)
    found: dict[Path, set[str]] = {}
    own, differing = OwnHydra(), list[str]()
    with own.here() as hydra:
        events = started(hydra, words_for_hydra(words, several=True), command=["cp.sweep", *words])
    for event in own.each(events):
        if isinstance(event, Planned):
            if event.dry_run:
                raise ConfigError("dry_run", True, "false", "convpipe -m counts the points of a dry run")
            found = {folder: set() for folder in event.folders}
        elif isinstance(event, There | FailedBefore):
            found[event.folder].add(event.run)
        elif isinstance(event, Finished):
            found[event.outcome.folder].add(event.outcome.run)
            differing += [event.outcome.error] if event.outcome.status == DIFFERS else []
    if differing:
        raise ArchiveError("; ".join(differing))
    return chosen_runs(found)


# From runs


def explain(
    run: Run | str | Path,
    at: str | Sequence[int] | None = None,
    layer: str | None = None,
    *,
    stage: str | None = None,
    address: int | str | None = None,
    layout: str | None = None,
) -> Explained | Entry:
    """How one output cell came about; printing it shows that, for a convolution as the lecture does.

    Args:
        run: an archived one, which is verified first, or one in memory.
        at: image, filter, and position along each axis; of a layer or chain whose output has other axes, one index for
            each of those.
        layer: of a network: which layer; it may be left out where one alone is a convolution.
        stage: explain a cell of this stage instead, at indices of its own array: of im2col, say, which pixel or padding
            a column entry is. A given tensor, such as ``input``, is a stage, too.
        address: tell what lies there in memory, counted in cells, of `stage`, or of the input.
        layout: in which order cells lie: ``NCHW`` or ``NHWC``, of filters ``OIHW``, ``OHWI``, ``HWIO``, ``IHWO`` or,
            where they have one channel, ``1HWO``; None is as the array has them.

    Raises:
        ConfigError: a cell, a layer, a stage, an address or a layout that is not there, or an operation that says
            nothing of its cells.
        ArchiveError: the run is damaged.

    >>> cell = explain(run("experiment=lecture_3d", archive=False), at=(0, 0, 0, 0))
    >>> cell
    <Cell n=0, f=0, out_h=0, out_w=0: 3 channels = -9, as stored>
    >>> print(str(cell).splitlines()[-1])
    -1 + -2 + -6 = -9, as stored
    >>> print(explain(run("experiment=tiny", archive=False), at=(0, 3, 1, 7), layer="relu1"))
    cell n=0, c=3, h=1, w=7 (float32): relu of conv1[0,3,1,7]
    <BLANKLINE>
    max(0, -26) = 0, as stored
    >>> print(explain(run("experiment=lecture_3d", archive=False), address=4, layout="NHWC"))
    address 4 in NHWC: input n=0, c=1, h=0, w=1 (int16): 3, bytes 8 to 9 are 03 00
    """
    from convpipe.archive.folders import whole_run
    from convpipe.report.asked_cell import asked_cell
    from convpipe.report.cell import indices_of

    indices = None if at is None else indices_of(at)
    asked = asked_cell(indices, layer, stage, address, layout)
    return asked.told_of(whole_run(run))


def explain_map(
    run: Run | str | Path, at: str | Sequence[int] | None = None, layer: str | None = None
) -> Iterator[Explained]:
    """The cells of one map explained one after another, row by row, as the lecture's kernel moves.

    Args:
        run, layer: as for `explain`.
        at: image and filter; the first ones where none are given.

    Raises:
        ConfigError, ArchiveError: as `explain`, before the first cell.

    >>> [cell.stored for cell in explain_map(run("experiment=lecture_3d", archive=False))]
    [-9, 1, 0, -7]
    """
    from convpipe.archive.folders import whole_run
    from convpipe.report.cell import indices_of
    from convpipe.report.explain import walked

    indices = None if at is None else indices_of(at)
    return walked(whole_run(run), indices, layer)


def page(
    path: Run | str | Path,
    at: str | Sequence[int] | None = None,
    layer: str | None = None,
    *,
    lang: str = "en",
    limit: str | int | None = None,
    out: str | Path | None = None,
    open: bool = False,
) -> Path:
    """Make a page of a run or of a collection: one HTML file that needs no network; gives where it is.

    Args:
        path: a run, which is verified first, or a collection, whose page leads to those of its runs.
        at: the cell that it opens with: image, filter, and position along each axis.
        layer: of a network: whose cell that is.
        lang: ``en`` or ``ko``; a button changes it.
        limit: the most bytes that it may have, such as ``"8MiB"``, which is usual, and at most 50 MiB. A run that is
            larger is shown in part, and the page says which.
        out: where to write it; by default beside the run as ``<run id>.html``, or in the collection as ``index.html``.
        open: whether to show it in a browser.

    Raises:
        UsageError: there is no run and no collection, or a run in memory and no `out`.
        ConfigError: a cell, a layer or a language that is not there, or a limit that the page would not keep.
        ArchiveError, StorageError: the run is damaged; the disk refused.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     page(run("experiment=lecture_3d", root=folder), at=(0, 0, 1, 1)).name
    '4014ffa24254.html'
    """
    from convpipe.report.page.asked import asked_for
    from convpipe.report.page.place import show, write_page

    target = write_page(path, asked_for(at, layer, lang, limit), out)
    if open:
        show(target)
    return target


def view(
    run: Run | str | Path, at: str | Sequence[int] | None = None, layer: str | None = None, *, lang: str = "en"
) -> View:
    """The page of a run inside a notebook, as ``run.view()`` does; the arguments are those of `page`.

    >>> view(run("experiment=lecture_3d", archive=False))
    <View of a page, 980 pixels high>
    """
    from convpipe.report.page.asked import asked_for
    from convpipe.report.page.place import page_bytes
    from convpipe.report.page.view import View

    return View(page_bytes(run, asked_for(at, layer, lang, None)).decode())


def runs(
    path: str | Path,
    where: str | None = None,
    sort: str | Sequence[str] | None = None,
    columns: str | Sequence[str] = "all",
    *,
    points: bool = False,
) -> pd.DataFrame:
    """The runs of a collection as a table: one row per run, in order of making, whose columns each have one type.

    Numbers, truths and times are such; lists are tuples, and numbers beside them tuples of one; what stands beside a
    text is a text: of ``conv.pad`` 1, "same" and [2, 1] all three. Gaps are missing values, of texts empty ones.

    Args:
        where: an expression that holds for the runs to list: ``"stride == 2 and status == 'done'"``.
        sort: a column to sort by, or several; with a minus sign before it from the largest down.
        columns: ``"all"``, every setting of the runs and all that is measured, whether or not any run has it;
            ``"varying"``, as the command has them; or names, also as one text with commas.
        points: one row per point of its sweeps instead, with its ``label``, ``sweep``, ``point`` (its number there) and
            ``outcome``: equal points share a run and have a row each.

    Raises:
        UsageError: there is no collection.
        ConfigError: a column that there is not, or an expression that cannot be.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = sweep("experiment=lecture_3d", root=folder, seed=range(4))
    ...     runs(f"{folder}/lecture_3d", where="seed != 2", sort="-seed", columns=["seed"])["seed"].tolist()
    [3, 1, 0]
    """
    from convpipe.archive.folders import collection_folder
    from convpipe.archive.frames import frame
    from convpipe.report.listing import names_text, of_collection

    if where is not None and not isinstance(where, str):
        raise ConfigError("where", where, "an expression as a text")
    order = None if sort is None else names_text("sort", sort)
    found = of_collection(collection_folder("runs", path), where, order, names_text("columns", columns), points=points)
    return frame(found.rows, found.columns)


def verify(
    path: Run | str | Path,
    on_run: Callable[[Run], object] | None = None,
    on_note: Callable[[str], object] | None = None,
    *,
    tidy: bool = False,
) -> list[Run]:
    """Check a run, or all that lies below a folder: every file by its hash, names, stored inputs, tables and records.

    Args:
        on_run: is called with each run as soon as it is found whole.
        on_note: is called with what is no damage and yet to be told: runs that are not listed, or listed and gone,
            links, files of others, and what has been half done for more than a day.
        tidy: whether to remove the last of these.

    Returns:
        The whole runs, without those that were replaced and lie aside; `on_run` is called with these, too.

    Raises:
        ArchiveError: naming all that is damaged.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     made = run("experiment=lecture_3d", root=folder)
    ...     [whole.manifest["run_id"] for whole in verify(folder)]
    ['4014ffa24254']
    """
    from convpipe.archive.audit import verify_all
    from convpipe.archive.folders import existing_folder

    return verify_all(existing_folder("verify", path), on_run, on_note, tidy=tidy)


def reproduce(run: Run | str | Path) -> Outcome:
    """Compute an archived run again and compare it stage by stage; nothing is kept of the repeat.

    The files that it has read are found by what they hold, in whatever folder both are now.

    Raises:
        ArchiveError: it is damaged, or a stage of it is not reproduced, or a file that it has read is not there.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     reproduce(run("experiment=lecture_3d", root=folder)).verdict
    'reproduced'
    """
    from tempfile import TemporaryDirectory

    from convpipe.archive.folders import run_folder
    from convpipe.archive.verify import verify as verified
    from convpipe.config.read import read_archived
    from convpipe.config.settings import usual_memory
    from convpipe.execution import runner
    from convpipe.execution.planned import planned_work
    from convpipe.execution.recalled import with_files

    folder = run_folder("reproduce", run)
    then = verified(folder)
    spec = read_archived(then)
    planned_work(then, spec, usual_memory())  # before any file is looked for
    spec, changed = with_files(spec)
    with TemporaryDirectory(prefix="convpipe-") as scratch:
        threads = int(then.manifest.get("provenance", {}).get("threads", 1))
        outcome = runner.repeat(folder, runner.Place(Path(scratch), usual_memory(), threads), spec)
    return replace(outcome, verdict="; ".join([outcome.verdict, *changed]))


# What there is


def help(word: str | None = None) -> str:
    """All that is known of a word: a page of the manual, a key of a config, a group, an operation, a function ...

    Args:
        word: None lists the pages, and what else can be asked for.

    Raises:
        UsageError: nothing is known of it.

    >>> print(help("conv.groups"))
    conv.groups: Filters of group g see only the channels of group g.
      takes a whole number from 1; default 1
    """
    from convpipe.config.help import Page, help_text

    try:
        return help_text(word)
    except UsageError:
        if not isinstance(word, str) or word not in functions():
            raise
    from inspect import getdoc, signature

    found = functions()[word]
    return Page(f"convpipe.{word}{signature(found)}\n\n{getdoc(found)}")


def functions() -> dict[str, Callable[..., object]]:
    """What takes settings or runs, by its name; each command is one of them."""
    from convpipe.archive.folders import load
    from convpipe.report.answers import answers

    found = (plan, run, sweep, load, runs, explain, explain_map, page, view, answers, verify, reproduce, help, schema)
    return {each.__name__: each for each in found}


def schema() -> dict[str, Any]:
    """The JSON Schema of an experiment file, by which editors complete and check it.

    >>> schema()["properties"]["keep"]["default"]
    'output'
    """
    from convpipe.config.schema import schema as made

    return made()
