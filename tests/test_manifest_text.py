"""The text of a manifest: JSON for every reader, whatever of it has been encoded before, with the hash of that."""

import hashlib
import json
from typing import Any

import pytest

from convpipe.archive.format import Fixed, manifest_json, manifest_sha256

RECORD: dict[str, Any] = {
    "format": 2,
    "archive_id": "a" * 64,
    "seconds": {"pad": [0.25], "add": [0.5]},
    "axes": {"x": ["N", "C"], "b": ["F"]},
    "wiring": {"pad": ["input"], "add": ["pad", "b"]},
    "provenance": {"threads": 1, "cpu": "größer"},
}


def check(record: dict[str, Any]) -> None:
    """A manifest says what the record does, a line for each entry, and has the hash that json alone gives."""
    text = manifest_json(record).decode()
    plain = json.loads(json.dumps(record))
    sha256 = hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    assert json.loads(text) == {**plain, "sha256": sha256}
    assert manifest_sha256(record) == manifest_sha256(plain) == sha256
    assert len(text.splitlines()) == len(record) + 3
    for key in ("seconds", "axes", "wiring"):
        assert list(json.loads(text)[key]) == list(record[key])  # as the stages ran


def test_it_is_a_line_for_each_entry_and_their_hash() -> None:
    check(RECORD)
    check({**RECORD, "axes": {}})


@pytest.mark.parametrize("key", ["axes", "wiring", "provenance", "seconds"])
def test_what_is_encoded_once_is_what_it_would_be_anew(key: str) -> None:
    check({**RECORD, key: Fixed(RECORD[key])})
    turned = Fixed(dict(reversed(RECORD[key].items())))  # equal, in another order
    check({**RECORD, key: turned})


def test_an_entry_that_has_changed_is_written_anew() -> None:
    record = json.loads(json.dumps(RECORD))
    check(record)
    record["wiring"]["later"] = ["add"]
    check(record)


def test_a_hash_of_its_own_does_not_count() -> None:
    assert manifest_json({**RECORD, "sha256": "old"}) == manifest_json(RECORD)
