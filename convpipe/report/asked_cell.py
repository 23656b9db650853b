"""What is asked of `explain`: a cell of a result, a cell of a stage, or what lies at an address."""

from __future__ import annotations

from dataclasses import dataclass

from convpipe.archive.read import Run
from convpipe.errors import ConfigError
from convpipe.fields import is_whole
from convpipe.report.entry import Entry
from convpipe.report.explain import Explained, explained
from convpipe.report.stages import located, stage_cell
from convpipe.tensors import Sizes


@dataclass(frozen=True)
class AskedCell:
    """Which cell, by its indices or by its address: see `api.explain`."""

    at: Sizes | None
    layer: str | None
    stage: str | None
    address: int | None
    layout: str | None

    def told_of(self, run: Run) -> Explained | Entry:
        """The cell of a run.

        Raises:
            ConfigError: it is not there.
            ArchiveError: what has to be made again is not what was archived.
        """
        if self.address is not None:
            return located(run, self.address, self.stage, self.layer, self.layout)
        assert self.at is not None
        if self.stage is not None:
            return stage_cell(run, self.at, self.stage, self.layer)
        return explained(run, self.at, self.layer)


def asked_cell(
    at: Sizes | None,
    layer: str | None = None,
    stage: str | None = None,
    address: int | str | None = None,
    layout: str | None = None,
) -> AskedCell:
    """What is asked, checked as far as no run is needed for that.

    Raises:
        ConfigError: a cell by both, or by neither of indices and address, or a layout of no address.
    """
    found = address
    if isinstance(address, str):
        digits = address.removeprefix("-")
        found = int(address) if digits.isascii() and digits.isdigit() else address
    if found is not None and not is_whole(found):
        raise ConfigError("--address", address, "a whole number, the place of a cell in memory")
    if found is not None and at is not None:
        raise ConfigError("--address", found, "no --at beside it: a cell has one or the other")
    if found is None and at is None:
        raise ConfigError("--at", None, "whole numbers with commas between them: n,f,y,x")
    if found is None and layout is not None:
        raise ConfigError("--layout", layout, "--address beside it, which counts cells in that order")
    return AskedCell(at, layer, stage, None if found is None else int(found), layout)
