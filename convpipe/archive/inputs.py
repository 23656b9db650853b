"""What file sources read, stored beside a collection's runs: each content once, in a file named as its SHA-256.

Nothing else is ever read there, and what is read is held against its name.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convpipe.archive.format import INPUTS
from convpipe.archive.keep import Keep
from convpipe.archive.read import Run, check_regular
from convpipe.archive.replace import ASIDE
from convpipe.archive.verify import file_sha256
from convpipe.errors import ArchiveError, shown

NESTED = ("quant", "filters")  # whose settings may be sources themselves
CONTENT = re.compile(r"[0-9a-f]{64}\Z", re.ASCII)


def contents_of(config: Mapping[str, Any]) -> dict[str, str]:
    """The SHA-256 of what each source in a run's config read from a file, by its key.

    >>> contents_of({"seed": 1, "input": {"source": "npy", "sha256": "ab" * 32}, "conv": {"stride": 1}})
    {'input': 'abababababababababababababababababababababababababababababababab'}
    """
    found = {}
    for key, value in config.items():
        if not isinstance(value, Mapping):
            continue
        text = value.get("sha256")
        if isinstance(text, str) and CONTENT.match(text):
            found[key] = text
        elif key in NESTED:
            found |= {f"{key}.{inner}": sha256 for inner, sha256 in contents_of(value).items()}
    return found


def inputs_folder(run: Run) -> Path | None:
    """The folder of stored inputs that goes with an archived run, whether it is there or not; a link is none."""
    if run.path is None:
        return None
    beside = Path(os.path.realpath(run.path)).parent
    folder = (beside.parent if beside.name == ASIDE else beside) / INPUTS
    return None if folder.is_symlink() else folder


def own_inputs(run: Run) -> list[Path]:
    """The stored inputs that belong to a run, if it stores them.

    Raises:
        ArchiveError: one is not there.
    """
    folder = inputs_folder(run)
    if run.path is None or run.manifest["format"] < 2 or not Keep(run.manifest["keep"]).inputs:
        return []
    contents = contents_of(run.config)
    for group, sha256 in contents.items():
        if folder is None or not os.path.lexists(folder / sha256):
            lacking = shown(run.manifest["paths"].get(group, f"what {group} has read"), 200)
            raise ArchiveError(f"{run.path}: got no {INPUTS}/{sha256} beside it, expected {lacking} to be stored there")
    return [folder / sha256 for sha256 in dict.fromkeys(contents.values())] if folder else []


def inputs_in(collection: Path) -> list[Path]:
    """The inputs that a collection has stored, sorted; whatever else lies there is none."""
    try:
        names = sorted(os.listdir(collection / INPUTS))
    except OSError:
        return []
    return [collection / INPUTS / name for name in names if CONTENT.match(name)]


def check_input(path: Path) -> None:
    """A stored input holds what its name says.

    Raises:
        ArchiveError: it does not.
    """
    check_regular(path)
    if (found := file_sha256(path)) != path.name:
        raise ArchiveError(f"{path}: got sha256 {found}, expected {path.name}, as it is named")
