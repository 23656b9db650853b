"""What comes of a finished draft where a run lies already: they are compared, and one of them is kept, or both."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from convpipe.archive.format import MOST_AGREEING
from convpipe.archive.glance import manifest_text
from convpipe.archive.read import Run, load
from convpipe.archive.replace import renew, replace
from convpipe.archive.shared import is_own_folder
from convpipe.archive.table import Row, done_row
from convpipe.archive.verify import sums_of, verify
from convpipe.archive.write import Draft
from convpipe.errors import ArchiveError, StorageError
from convpipe.execution.reuse import Asked, Found, Standing, look

Compare = Callable[[Run], str]  # how a draft agrees with a run, in words; it raises where it does not
REPLACING = "replace=true puts the new run in its place, and this one aside"
REMOVING = "remove it, or another name=... leaves it as it is"
ANOTHER_NAME = "another name=... keeps both"
FOREIGN = f"a run of another config, or of a later format, lies there; {ANOTHER_NAME}"
OLD = ("format", "archive_id", "keep", "sizes", "pictures", "drawn", "agrees")  # of a renewed manifest what stays


class How(Enum):
    """What came of a run; the value is what a sweep counts it as."""

    NEW = "done"
    REPRODUCED = "reproduced"
    OTHER_CODE = "other code"  # equal to the bit: the manifest has the code, the time and the machine of now
    OTHER_ENVIRONMENT = "other environment"
    WITHIN = "within the bound"  # not equal to the bit: the old run stays
    MORE_ARRAYS = "more arrays"
    MORE_PICTURES = "more pictures"
    DAMAGED = "damaged before"
    REPLACED = "replaced"


SAME_BITS = {
    Standing.OTHER_CODE: How.OTHER_CODE,
    Standing.OTHER_ENVIRONMENT: How.OTHER_ENVIRONMENT,
    Standing.LESS: How.MORE_ARRAYS,
    Standing.UNDRAWN: How.MORE_PICTURES,
}


@dataclass(frozen=True)
class Settled:
    """What came of a run, in words, too, and what has gone aside for it."""

    how: How
    words: str = "new"
    note: str = ""  # what a sweep says of it beside counting it
    row: Row | None = None  # where the index has still to be told of it


@dataclass(frozen=True)
class Case:
    """A finished draft, the place of its run, and what is asked of a run that lies there."""

    draft: Draft
    place: Path
    asked: Asked
    cells: Mapping[str, str]  # of its config, for its row
    compare: Compare
    replacing: bool

    @property
    def row(self) -> Row:
        """The row of the draft."""
        return done_row(self.cells, self.draft.manifest, self.draft.rows)

    def settle(self) -> Settled | None:
        """Compare the draft with what lies in its place, and keep what is to be kept.

        None where there is nothing any more, or something else than a moment ago: another process was at work.

        Raises:
            ArchiveError: they differ, or what lies there is not whole, or no such run; it stays as it is.
            StorageError: the disk refused.
        """
        from convpipe.execution.compare import differences  # which a new run does without

        seen, found = manifest_text(str(self.place)), look(str(self.place), lambda: self.asked)
        if found.standing is Standing.ABSENT:
            return None
        if found.standing is Standing.FOREIGN:
            raise ArchiveError(f"{found.damage or self.place}: {FOREIGN}")
        if found.standing is Standing.DAMAGED:
            if not is_own_folder(self.place):
                raise ArchiveError(f"{found.damage}; {REMOVING}")
            return self.replaced(How.DAMAGED, seen, f"damaged ({found.damage})")
        try:
            then = verify(self.place)
        except ArchiveError as error:
            return self.differs(ArchiveError(f"{error}; {self.way_out(found)}"), seen, found)
        try:
            words = self.compare(then)
        except ArchiveError as error:
            return self.differs(ArchiveError(f"{error}; {self.way_out(found)}"), seen, found)
        same = next(differences(then, load(self.draft.folder)), None) is None
        if found.standing is Standing.OLD_FORMAT:
            return Settled(How.REPRODUCED if same else How.WITHIN, words)
        if same:
            return self.same_bits(then, found, seen, words)
        return self.replaced(How.REPLACED, seen, words) if self.replacing else self.within(then, seen, words)

    def way_out(self, found: Found) -> str:
        """What there is to do where what lies there cannot be compared, or differs."""
        return ANOTHER_NAME if found.standing is Standing.OLD_FORMAT else REPLACING

    def differs(self, error: ArchiveError, seen: str, found: Found) -> Settled | None:
        """What lies there is not whole, or not what came now: it stays, or goes aside where that is asked for."""
        if self.replacing and found.standing is not Standing.OLD_FORMAT:
            return self.replaced(How.REPLACED, seen, f"not reproduced ({str(error).removesuffix(f'; {REPLACING}')})")
        raise error

    def replaced(self, how: How, seen: str, was: str) -> Settled | None:
        """Put the draft in its place; what lay there goes aside."""
        aside = replace(self.draft.folder, self.place, seen, self.row)
        if aside is None:
            return None
        self.draft.published = True
        words = f"new; the one before was {was}, and lies in {aside}"
        return Settled(how, words, f"{self.place}: computed again: {words}")

    def same_bits(self, then: Run, found: Found, seen: str, words: str) -> Settled | None:
        """Every stage is equal: the fuller archive is kept, or the old one, with the facts of now."""
        how = SAME_BITS.get(found.standing, How.REPRODUCED)
        if how is How.REPRODUCED:
            return Settled(how, words)
        draft, manifest = self.draft, then.manifest
        if how in (How.MORE_ARRAYS, How.MORE_PICTURES):
            new = "more arrays are kept" if how is How.MORE_ARRAYS else "more pictures are drawn"
            words = f"{words}; {new} now"
            if draft.manifest["archive_id"] != manifest["archive_id"] or how is How.MORE_PICTURES:
                contained = is_contained(then, draft)
                draft.published = replace(draft.folder, self.place, seen, self.row, contained=contained) is not None
                return Settled(how, words) if draft.published else None
            manifest = {**manifest, "keep": draft.manifest["keep"]}
        kept = {key: manifest[key] for key in OLD if key in manifest}
        fresh = {key: value for key, value in draft.manifest.items() if key not in OLD}
        record = with_agreeing({**kept, **fresh}, manifest["code"])
        return self.renewed(how, words, record, seen, self.row)

    def within(self, then: Run, seen: str, words: str) -> Settled | None:
        """Some floats differ by no more than they may: the old run stays, and says that this code agrees."""
        record = with_agreeing(then.manifest, self.asked.code)
        if record == then.manifest:
            return Settled(How.WITHIN, words)
        return self.renewed(How.WITHIN, words, record, seen, None)

    def renewed(self, how: How, words: str, record: Mapping[str, Any], seen: str, row: Row | None) -> Settled | None:
        """Give the run its new manifest; that of another user, which one may not change, stays as it is."""
        try:
            return Settled(how, words) if renew(self.place, record, seen, row) else None
        except StorageError as error:
            if isinstance(error.__cause__, PermissionError):
                return Settled(how, f"{words}; its manifest is another user's, and stays as it is")
            raise


def with_agreeing(manifest: Mapping[str, Any], code: str) -> dict[str, Any]:
    """A manifest that says of one code more that it gave the same, if it is not its own."""
    known = manifest.get("agrees", [])
    codes = [code, *(each for each in known if each != code)] if code not in known else known
    agrees = [each for each in codes if each != manifest["code"]][:MOST_AGREEING]
    return {**manifest, **({"agrees": agrees} if agrees else {})}


def is_contained(then: Run, draft: Draft) -> bool:
    """Whether all files of a run are in a draft, too, but for the table that says which there are."""
    sums = sums_of(then.folder)
    return all(draft.sums.get(name) == found for name, found in sums.items() if name != "stages.csv")
