"""What a page is made of, a run or a collection, and where it is written: beside the archive, never in it."""

import os
from pathlib import Path

from convpipe.archive.collection import is_run
from convpipe.archive.folders import collection_folder, existing_folder, held_run, run_folder
from convpipe.archive.read import Run
from convpipe.archive.verify import verify
from convpipe.errors import UsageError, having_kept, made_there
from convpipe.files.staging import write_whole
from convpipe.report.page.asked import Asked


def write_page(path: Run | str | Path, asked: Asked, out: str | Path | None) -> Path:
    """Write the page of a run or of a collection; gives where.

    Raises:
        UsageError: there is no such thing, or the page has no place.
        ConfigError, ArchiveError, StorageError: as of `convpipe.api.page`.
    """
    folder = None if held_run(path) else existing_folder("page", path)
    target = place_of(folder, out)
    with having_kept(made_there("the page", target), "no page was written"):
        write_whole(target, page_bytes(folder or path, asked, target.parent))
    return target


def show(page: Path) -> None:
    """Open a page in the browser that the machine has."""
    import webbrowser  # which takes long to load, for what is seldom asked for

    webbrowser.open(page.absolute().as_uri())


def place_of(folder: Path | None, out: str | Path | None) -> Path:
    """Where the page goes of what lies in a folder, or, without one, is held in memory.

    Raises:
        UsageError: it is a place inside an archive, or a folder, or there is none.
    """
    if out is None and folder is None:
        raise UsageError("page: got a run in memory, expected out=FILE beside it")
    target = Path(os.path.expanduser(out)) if out is not None else usual_place(folder)  # type: ignore[arg-type]
    if target.exists() and not target.is_file():
        raise UsageError(f"--out: got {target}, a {'folder' if target.is_dir() else 'device'}, expected a file")
    if is_run(Path(os.path.realpath(target)).parent):
        raise UsageError(f"--out: got {target}, expected a place outside the run, whose files are all hashed")
    return target


def usual_place(folder: Path) -> Path:
    """Beside a run, or in a collection."""
    whole = Path(os.path.realpath(folder)) if folder.name in ("", "..") else folder
    return whole.with_name(f"{whole.name}.html") if is_run(folder) else folder / "index.html"


def page_bytes(path: Run | str | Path, asked: Asked, beside: Path | None = None) -> bytes:
    """The page of a run or of a collection, to lie in a folder, where a collection's has links to what is beside it."""
    held = held_run(path)
    if held is None and not is_run(existing_folder("page", path)):
        from convpipe.report.page.collection_page import collection_page  # neither needs what the other does

        return collection_page(collection_folder("page", path), asked, beside)
    from convpipe.report.page.run_page import run_page

    return run_page(held or verify(run_folder("page", path)), asked)
