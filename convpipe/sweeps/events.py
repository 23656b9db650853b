"""What happens in a sweep, told to whoever looks on: the engine itself prints nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from convpipe.archive.changes import Survey
from convpipe.sweeps.outcomes import Finished, Launched, PassedOver
from convpipe.sweeps.totals import Tally, Totals


@dataclass(frozen=True)
class Planned:
    """All points are checked, and none has run; of a dry run there is nothing more."""

    totals: Totals
    folders: tuple[Path, ...]
    dry_run: bool


@dataclass(frozen=True)
class Closed:
    """The sweep is over, and the tables of its collections are up to date."""

    totals: Totals
    tally: Tally
    surveys: Mapping[Path, Survey]  # of the collections

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where the collections are."""
        return tuple(self.surveys)


Event = Planned | Launched | PassedOver | Finished | Closed
