"""Rows as of collections that nobody need run, and what stands in a collection's page, read as anyone would."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import random
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from convpipe.archive.table import Row
from convpipe.report.page.asked import Asked
from convpipe.report.page.collection_page import Collection, page_of

HOSTILE = "</script><img src=x onerror=\"document.title='hit'\"><!--"
DTYPES = ("int8", "int16", "float16", "float32")


def digest(text: str) -> str:
    """A hash, as of an output."""
    return hashlib.sha256(text.encode()).hexdigest()


def grid_rows(count: int, seed: int = 0, failing: float = 0.02) -> list[Row]:
    """Rows of a sweep over settings of many kinds, a few of which failed."""
    source = random.Random(seed)
    rows = [grid_row(source, at, failing) for at in range(count)]
    return sorted(rows, key=lambda row: row["run"])


def grid_row(source: random.Random, at: int, failing: float) -> Row:
    """One of them."""
    stride, kernel = source.choice((1, 2, 3, 4)), source.choice((1, 3, 5, 7))
    row = {
        "run": digest(f"run {at}")[:12],
        "status": "done",
        "seed": str(at),
        "input.shape": str([1, 3, source.choice((8, 16, 32)), 32]),
        "input.dtype": source.choice(DTYPES),
        "input.low": repr(source.uniform(0, 1)),
        "filters.kernel": str(kernel),
        "conv.stride": str(stride),
        "conv.pad": source.choice(("same", "valid", "0", "1", "2")),
        "conv.dilation": source.choice(("1", "[1, 2]")),
        "conv.groups": "1",
        **{f"quant.setting_{number}": str(number) for number in range(20)},
    }
    if source.random() < failing:
        return row | {"status": "failed", "error": f"conv.dtype: {source.randrange(10**6)} does not fit"}
    row |= {"output_shape": f"(1,{32 // stride},8)", "output_sha256": digest(f"output {at}"), "lowering": "im2col"}
    accuracy = min(1.0, max(0.0, 0.9 - 0.1 * stride + source.gauss(0, 0.05)))
    seconds = kernel**2 / stride * 1e-6 * source.lognormvariate(0, 1)
    return row | {"seconds": f"{seconds:.9f}", "format": "2", "accuracy": f"{accuracy:.6f}"}


def page_of_rows(rows: Sequence[Row], name: str = "grid", pages: Sequence[str] = (), **asked: Any) -> bytes:
    """The page of a collection of these rows."""
    return page_of(Collection(name, rows, frozenset(pages)), Asked(**asked))


# What stands in a page


def facts_in(page: bytes) -> dict[str, Any]:
    """What the page's script is told."""
    found = re.search(r'<script type="application/json" id="facts">(.*?)</script>', page.decode(), re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


def array_in(page: bytes, name: str) -> np.ndarray[Any, Any] | None:
    """An array of the page, where it has that."""
    found = re.search(rf'<script type="application/octet-stream" id="a-{name}">(.*?)</script>', page.decode())
    if found is None:
        return None
    facts = facts_in(page)["arrays"][name]
    values = np.frombuffer(gzip.decompress(base64.b64decode(found[1])), np.dtype(facts["dtype"]).newbyteorder("<"))
    return values.reshape(facts["shape"])


def rows_in(page: bytes) -> list[Row]:
    """The rows that a page holds, each with every column."""
    count, columns = facts_in(page)["rows"], array_in(page, "columns")
    assert columns is not None
    rows: list[Row] = [{} for _ in range(count)]
    for at, facts in enumerate(json.loads(columns.tobytes())):
        texts = facts["texts"] if "texts" in facts else hex_texts(array_in(page, f"hex-{at}"), facts["hex"])
        places = array_in(page, f"places-{at}")
        if places is None:
            places = np.arange(count) if facts["count"] == count else np.zeros(count, int)
        for row, place in zip(rows, places.tolist(), strict=True):
            row[facts["name"]] = texts[place] if place < len(texts) else ""
    return rows


def hex_texts(array: np.ndarray[Any, Any] | None, digits: int) -> list[str]:
    """Hashes from their bytes; none where there is no array."""
    if array is None:
        return []
    whole = array.tobytes().hex()
    return [whole[at : at + digits] for at in range(0, len(whole), digits)]


def seen_in(page: bytes) -> list[str]:
    """The columns that a page shows first."""
    columns = array_in(page, "columns")
    assert columns is not None
    names = [facts["name"] for facts in json.loads(columns.tobytes())]
    return [names[at] for at in facts_in(page)["chosen"]]
