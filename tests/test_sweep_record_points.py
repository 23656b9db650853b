"""How many points the record of a sweep has is counted as they were written, whenever an interrupt came."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from convpipe.archive import sweeps
from convpipe.archive.beside import check_sweep
from convpipe.archive.sweeps import SweepRecord

TEXTS = ("plain", "two\nlines", 'a "mark"', "a,comma", '"', "", "x" * 200_000)


@pytest.mark.parametrize("texts", [(), TEXTS[:1], TEXTS], ids=["none", "one", "all"])
def test_points_are_counted_as_they_were_written(texts: tuple[str, ...], tmp_path: Path) -> None:
    record = SweepRecord(tmp_path)
    for number, text in enumerate(texts, start=1):
        record.add(number, text, text, "0123456789ab", "done")
    facts = record.close({}).with_suffix(".json")
    assert json.loads(facts.read_text())["points"] == len(texts)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_interrupt_at_a_row_leaves_a_record_that_agrees(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, real = SweepRecord(tmp_path), sweeps.add_cells
    record.add(1, "", "seed=1", "0123456789ab", "done")

    def interrupted(*given: Any) -> None:
        if moment == "after":
            real(*given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sweeps, "add_cells", interrupted)
        with pytest.raises(KeyboardInterrupt):
            record.add(2, "", "seed=2", "0123456789ab", "done")
    table = record.close({})
    assert check_sweep(table) == {"0123456789ab"}
    assert json.loads(table.with_suffix(".json").read_text())["points"] == 1 + (moment == "after")
