"""The text of a manifest: what is alike from run to run is encoded once, and what has changed anew."""

import hashlib
import json
from typing import Any

import pytest

from convpipe.archive.format import manifest_json, manifest_sha256

RECORD: dict[str, Any] = {
    "format": 2,
    "archive_id": "a" * 64,
    "seconds": {"pad": [0.25], "add": [0.5]},
    "axes": {"x": ["N", "C"], "b": ["F"]},
    "wiring": {"pad": ["input"], "add": ["pad", "b"]},
    "provenance": {"threads": 1, "cpu": "größer"},
}


def expected(record: dict[str, Any]) -> tuple[list[str], str]:
    """The lines of a manifest but for its brackets, and its hash, by json alone."""
    canonical = json.dumps(record, sort_keys=True, separators=(",", ":"))
    sha256 = hashlib.sha256(canonical.encode()).hexdigest()
    return [f' "{key}": {json.dumps(value)}' for key, value in {**record, "sha256": sha256}.items()], sha256


def check(record: dict[str, Any]) -> None:
    """A manifest says what json says, and has the hash that a reader works out."""
    lines, sha256 = expected(record)
    assert manifest_json(record).decode() == "{\n" + ",\n".join(lines) + "\n}\n"
    assert manifest_sha256(record) == sha256


def test_it_is_a_line_for_each_entry_and_their_hash() -> None:
    check(RECORD)
    check({**RECORD, "axes": {}})


@pytest.mark.parametrize("key", ["axes", "wiring", "provenance", "seconds"])
def test_an_entry_that_has_changed_is_written_anew(key: str) -> None:
    record = json.loads(json.dumps(RECORD))
    check(record)
    record[key]["later"] = [1]  # the same object
    check(record)
    record[key] = dict(reversed(record[key].items()))  # equal, in another order
    check(record)


def test_a_hash_of_its_own_does_not_count() -> None:
    assert manifest_json({**RECORD, "sha256": "old"}) == manifest_json(RECORD)
