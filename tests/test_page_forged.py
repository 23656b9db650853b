"""Pages of archives that someone wrote by hand, with right hashes and wrong contents."""

import hashlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import convpipe as cp
from convpipe.archive.format import manifest_sha256
from convpipe.errors import ArchiveError


def sealed(folder: Path, edit: Callable[[dict[str, Any]], object] = dict) -> Path:
    """A run's folder with its manifest edited, and every hash and size as they then are."""
    manifest, sums = json.loads((folder / "manifest.json").read_text()), folder / "SHA256SUMS"
    edit(manifest)
    names = [line.split("  ", 1)[1] for line in sums.read_text().splitlines()]
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    sums.write_text("".join(lines))
    manifest["archive_id"] = hashlib.sha256(sums.read_bytes()).hexdigest()
    manifest["sizes"] = {name: (folder / name).stat().st_size for name in manifest["sizes"]}
    (folder / "manifest.json").write_text(json.dumps(manifest | {"sha256": manifest_sha256(manifest)}))
    return folder


@pytest.mark.parametrize("experiment", ["lecture_3d", "tiny"])
def test_a_stage_that_stages_csv_lacks_is_said(tmp_path: Path, experiment: str) -> None:
    folder = Path(cp.run(f"experiment={experiment}", root=str(tmp_path), name="c", keep="output").path)
    stages = folder / "stages.csv"
    lines = stages.read_text().splitlines(keepends=True)
    stages.write_text("".join([*lines[:2], *lines[3:]]))
    with pytest.raises(ArchiveError, match=r": stage .* differs: stage was .* \(as config.yaml plans it; nothing"):
        cp.page(sealed(folder))


@pytest.mark.parametrize("seconds", [[1e308, 1e308], [-1.0], [5e-324]])
def test_times_that_nobody_took_are_no_warnings(tmp_path: Path, seconds: list[float]) -> None:
    folder = Path(cp.run("experiment=lecture_3d", root=str(tmp_path), name="c").path)

    def taken(manifest: dict[str, Any]) -> None:
        manifest["seconds"] = dict.fromkeys(manifest["seconds"], seconds)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page = cp.page(sealed(folder, taken))
    assert page.is_file()
