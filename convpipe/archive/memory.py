"""A run that is held in memory: taken down as one on disk is, read as that is, and written nowhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from convpipe.archive.format import FORMAT, manifest_json, read_json, stage_row
from convpipe.archive.read import Run
from convpipe.files.npy import array_sha256
from convpipe.files.yaml import read_yaml
from convpipe.tensors import Array


@dataclass
class Held:
    """A run being made, every array kept."""

    files: dict[str, bytes] = field(default_factory=dict)
    rows: list[dict[str, str]] = field(default_factory=list)
    arrays: dict[str, Array] = field(default_factory=dict)

    def write(self, name: str, content: bytes) -> None:
        """Keep one file."""
        self.files[name] = content

    def picture(self, name: str, content: bytes) -> None:
        """A picture is for a folder."""

    def store(self, sha256: str, path: str, key: str) -> None:
        """There is no folder to store it in."""

    def add(self, stage: str, op: str, array: Array, *, macs: int = 0, kept: bool, last: bool = False) -> None:
        """Keep a stage's row and its array, whatever a run on disk would keep."""
        row = stage_row(stage, op, array, macs, array_sha256(array), "")
        self.rows.append({column: str(value) for column, value in row.items()})
        self.arrays[stage] = array

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """Keep the manifest."""
        self.files["manifest.json"] = manifest_json({"format": FORMAT, **manifest})

    def run(self) -> Run:
        """The run; its texts are what reading them from a disk would give."""
        config, manifest = read_yaml(self.files["config.yaml"]), read_json(self.files["manifest.json"])
        return Run(None, config, tuple(self.rows), manifest, self.arrays)
