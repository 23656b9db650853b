"""What the tests of a network's page share: runs of small whole numbers, and what stands in a page."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from run_cases import a_place, execute, network_spec

from convpipe.archive.read import Run
from convpipe.config.read import read_archived
from convpipe.graph.work import plan_work
from convpipe.report.page.asked import Asked
from convpipe.report.page.run_page import MARGIN, bare_size, material_of
from convpipe.tensors import Array

BRANCHES: dict[str, dict[str, Any]] = {
    "conv1": {"op": "conv", "filters": 4, "kernel": 3, "pad": 1},
    "relu1": {"op": "relu"},
    "conv2": {"op": "conv", "filters": 4, "kernel": 1},
    "add": {"op": "add", "inputs": ["relu1", "conv2"]},
    "join": {"op": "concat", "inputs": ["add", "conv1", "add"]},
    "up": {"op": "conv_transpose", "filters": 2, "kernel": 2, "stride": 2},
    "pool": {"op": "max_pool", "kernel": 2},
    "flatten": {"op": "flatten"},
    "dense": {"op": "dense", "units": 5},
}


def a_network(
    layers: dict[str, Any], folder: Path, shape: tuple[int, ...] = (2, 3, 6, 6), keep: str = "stages", **changes: Any
) -> Run:
    """An archived run of small whole numbers through a network."""
    weights = {"source": "integers", "dtype": "int32", "low": -1, "high": 2}
    there = {"input.shape": list(shape), "input.low": -3, "input.high": 4, "weights": weights, **changes}
    return execute(network_spec(layers, there), a_place(folder, keep=keep)).run


def with_room(run: Run, room: int, **asked: Any) -> Asked:
    """A limit that leaves so many bytes for arrays, however large the page's script is."""
    spec = read_archived(run)
    material = material_of(run, spec, plan_work(spec))
    return Asked(limit=bare_size(material, Asked(**asked)) + int(room / MARGIN) + 1, **asked)


def facts_of(page: bytes) -> dict[str, Any]:
    """What the page's script is told."""
    found = re.search(r'<script type="application/json" id="facts">(.*?)</script>', page.decode(), re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


def array_of(page: bytes, name: str) -> Array:
    """An array of a page, read as anyone would."""
    known = facts_of(page)["arrays"][name]
    if "of" in known:
        array = array_of(page, known["of"])
        return array.transpose(known.get("order", range(array.ndim)))
    found = re.search(rf'<script type="application/octet-stream" id="a-{name}">(.*?)</script>', page.decode())
    assert found, name
    values = gzip.decompress(base64.b64decode(found[1]))
    return np.frombuffer(values, np.dtype(known["dtype"]).newbyteorder("<")).reshape(known["shape"])


def nodes_of(page: bytes) -> dict[str, dict[str, Any]]:
    """The nodes of the page's graph by name."""
    return {node["name"]: node for node in facts_of(page)["graph"]}


def notes_of(page: bytes) -> dict[str, str]:
    """What the page says of itself without its script: its sentences by their keys."""
    return dict(re.findall(r'<p class="note" data-word="(\w+)" data-values="[^"]*">([^<]*)</p>', page.decode()))
