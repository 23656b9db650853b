"""What the tests of runs share: small configs, runs of them, and archives changed by hand."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np

from convpipe.archive.collection import run_names
from convpipe.archive.format import COLUMNS, FORMAT, UNHASHED, csv_bytes, manifest_json, stage_row
from convpipe.archive.read import Run, load
from convpipe.config.read import read_spec
from convpipe.execution import runner
from convpipe.files.npy import array_sha256
from convpipe.files.staging import HIDDEN
from convpipe.graph.spec import Spec

IM2COL = ["pad", "im2col", "fil2col", "matmul", "reshape"]
IMPLICIT = ["pad", "implicit_gemm"]
ROOMY = 1 << 30  # bytes
NOBODY = 65534

PLAIN: dict[str, Any] = {
    "seed": 3,
    "input": {"source": "integers", "shape": [1, 2, 5, 4], "dtype": "int16", "low": -8, "high": 8},
    "filters": {"source": "integers", "count": 3, "kernel": [2, 2], "dtype": "int16", "low": -8, "high": 8},
    "conv": {"stride": 1, "pad": 1, "dilation": 1, "groups": 1, "pad_mode": "constant", "pad_value": 0},
    "lowering": {"stages": IM2COL},
}
FLOATS: dict[str, Any] = {
    "input.source": "random",
    "input.dtype": "float32",
    "input.low": -1,
    "input.high": 1,
    "filters.source": "random",
    "filters.dtype": "float32",
    "filters.low": -1,
    "filters.high": 1,
}


def plain_config(changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """A small run of whole numbers, changed at dotted keys."""
    plain = deepcopy(PLAIN)
    for key, value in (changes or {}).items():
        group, _, name = key.rpartition(".")
        (plain[group] if group else plain)[name] = value
    return plain


def a_spec(changes: dict[str, Any] | None = None) -> Spec:
    return read_spec(plain_config(changes))


def network_spec(layers: dict[str, Any], changes: dict[str, Any] | None = None) -> Spec:
    """A run of a network on small whole numbers, changed at dotted keys."""
    plain = plain_config({"network": layers, "weights": {"source": "integers"}, **(changes or {})})
    del plain["filters"], plain["conv"]
    return read_spec(plain)


def a_place(folder: Path, **settings: Any) -> runner.Place:
    return runner.Place(folder, settings.pop("memory", ROOMY), **settings)


def execute(spec: Spec, place: runner.Place, on_stage: runner.OnStage = runner.ignore) -> runner.Outcome:
    """Plan a spec and run it, as the command line does."""
    return runner.execute(runner.prepare(spec, place.memory), place, on_stage)


def a_run(folder: Path, changes: dict[str, Any] | None = None) -> Run:
    """A run in a collection, made here and now; `keep` among the changes says which arrays it keeps."""
    changes = dict(changes or {})
    place = a_place(folder, **{name: changes.pop(name) for name in ("keep",) if name in changes})
    return execute(a_spec(changes), place).run


def run_folders(folder: Path) -> list[Path]:
    """The runs of a collection, by run id."""
    return [folder / name for name in run_names(folder)]


def hidden(folder: Path) -> list[str]:
    """Names of work in progress."""
    return sorted(entry.name for entry in folder.iterdir() if HIDDEN.fullmatch(entry.name))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@contextmanager
def bound_by_permissions() -> Iterator[Path]:
    """A folder of one's own, and the rights of someone whom permissions bind: root reads and writes everything."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as place:
        if root:
            os.chown(place, NOBODY, -1)
            os.seteuid(NOBODY)
        try:
            yield Path(place)
        finally:
            if root:
                os.seteuid(0)


class FullDisk:
    """`os.write` on a disk that has room for some writes: of the next one half arrives."""

    def __init__(self, room: int) -> None:
        self.room, self.real = room, os.write

    def __call__(self, file: int, content: bytes | memoryview) -> int:
        self.room -= 1
        if self.room >= 0:
            return self.real(file, content)
        self.real(file, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def ending_early(read_header: Callable[..., Any]) -> Callable[..., Any]:
    """Read a header, and cut the last byte off the file before its data is read, as another process may."""

    def read_and_cut(file: Any, *arguments: Any) -> Any:
        found = read_header(file, *arguments)
        os.truncate(file.name, os.fstat(file.fileno()).st_size - 1)
        return found

    return read_and_cut


# Archives changed by hand, and sealed again as their maker would have


def reseal(folder: Path, **manifest: Any) -> None:
    """Make SHA256SUMS and the manifest's ids agree with the files again; `manifest` replaces entries of it."""
    names = sorted(path.name for path in folder.iterdir() if path.name not in UNHASHED and path.suffix != ".png")
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    sums = "".join(f"{digest}  {name}\n" for name, digest in digests.items()).encode()
    (folder / "SHA256SUMS").write_bytes(sums)
    sizes = {path.name: path.stat().st_size for path in folder.iterdir() if path.name != "manifest.json"}
    edit_manifest(folder, **{"archive_id": hashlib.sha256(sums).hexdigest(), "sizes": sizes, **manifest})


def edit_manifest(folder: Path, **entries: Any) -> None:
    """Replace entries of a manifest, whose own hash agrees with it again where they do not say another."""
    record = json.loads((folder / "manifest.json").read_text()) | entries
    sealed = record["format"] == FORMAT and "sha256" not in entries
    content = manifest_json(record) if sealed else json.dumps(record).encode()
    (folder / "manifest.json").write_bytes(content)


def from_elsewhere(folder: Path, **facts: Any) -> None:
    """Let an archive say that it was made in another numeric environment."""
    provenance = json.loads((folder / "manifest.json").read_text())["provenance"]
    edit_manifest(folder, provenance=provenance | (facts if facts else {"blas_kernel": "Z80"}))


def edit_rows(folder: Path, change: Callable[[dict[str, str]], object]) -> None:
    """Change rows of stages.csv, which may be done in place."""
    rows = [dict(row) for row in load(folder).rows]
    for row in rows:
        change(row)
    (folder / "stages.csv").write_bytes(csv_bytes(COLUMNS, rows))


def set_output(folder: Path, change: Callable[[np.ndarray[Any, Any]], object]) -> None:
    """Change the output in place, and with it the rows of the stages that it comes from; then seal the archive."""
    values = load(folder).output.copy()
    change(values)
    np.save(folder / "output.npy", values)
    made = stage_row("", "", values, 0, array_sha256(values), "")
    other = {key: str(made[key]) for key in ("min", "max", "sha256")}  # the product's hash is of another order
    edit_rows(folder, lambda row: row.update(other) if follows(row) else None)
    reseal(folder)


def follows(row: dict[str, str]) -> bool:
    """Whether a stage is the output, or the product that it is made of where that was not kept."""
    return row["file"] == "output.npy" or (row["op"] == "matmul" and not row["file"])
