"""What happens in a sweep, told to whoever looks on: the engine itself prints nothing."""

from dataclasses import dataclass
from pathlib import Path

from convpipe.sweeps.outcomes import Finished, PassedOver
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
    folders: tuple[Path, ...]


Event = Planned | PassedOver | Finished | Closed
