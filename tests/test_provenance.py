"""Where a result was made: a closed list of facts, each of its type, and which of them matter to a float."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

import convpipe
from convpipe.execution import provenance
from convpipe.execution.provenance import KEYS, collect, numeric_differences


def test_every_fact_is_registered_and_of_its_type() -> None:
    facts = collect(3)
    assert set(facts) == set(KEYS)
    for name, value in facts.items():
        assert type(value) is KEYS[name].type, name
        assert value, name


def test_every_key_says_what_it_means() -> None:
    for name, key in KEYS.items():
        assert key.type in (str, int), name
        assert all((key.unit, key.meaning)), name


def test_facts_are_those_of_this_process() -> None:
    facts = collect(3)
    assert facts["threads"] == 3
    assert facts["convpipe"] == provenance.VERSION
    assert re.fullmatch("[0-9a-f]{64}", facts["code_sha256"])
    assert 1 <= facts["cores"] <= 1 << 16
    assert facts["memory"] > 1 << 26


def test_the_time_is_in_utc() -> None:
    started = datetime.fromisoformat(provenance.now())
    assert started.tzinfo is UTC
    assert abs((datetime.now(UTC) - started).total_seconds()) < 60


def test_facts_are_a_copy() -> None:
    collect(1)["numpy"] = "0.0"
    assert collect(1)["numpy"] != "0.0"


def test_no_differences_between_equals() -> None:
    assert numeric_differences(collect(1), collect(1)) == {}


@pytest.mark.parametrize("name", KEYS)
def test_only_what_can_change_a_float_is_a_numeric_difference(name: str) -> None:
    then, now = collect(1), collect(1)
    then[name] = "other"
    expected = {name: ("other", now[name])} if KEYS[name].numeric else {}
    assert numeric_differences(then, now) == expected


def test_what_was_not_recorded_is_a_difference() -> None:
    then = collect(1)
    del then["blas"], then["python"]
    assert numeric_differences(then, collect(1)) == {"blas": (None, collect(1)["blas"])}
    assert "blas_kernel" in numeric_differences({}, collect(1))


def test_memory_is_no_more_than_the_control_group_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = provenance.memory_bytes()
    for text, expected in (("max\n", None), ("1048576\n", 1048576)):
        monkeypatch.setattr(Path, "read_text", lambda self, text=text: text)
        assert provenance.memory_bytes() == expected or (expected is None and provenance.memory_bytes() >= whole)


def test_a_machine_without_these_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(self: Path) -> str:
        raise FileNotFoundError(str(self))

    monkeypatch.setattr(Path, "read_text", nothing)
    assert provenance.memory_bytes() > 0
    assert provenance.cpu_model()


def test_the_hash_of_the_code_is_over_every_source_file_of_its_rooms_and_its_name() -> None:
    package = Path(convpipe.__file__).parent
    total = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        if path.relative_to(package).parts[0].removesuffix(".py") not in provenance.ROOMS:
            continue
        total.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    assert provenance.code_sha256() == total.hexdigest()
