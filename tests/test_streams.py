"""Every number that is ever drawn, held against golden hashes: of tests/golden/streams.csv, one line for each array.

A run's id says a seed and not its numbers, so that other numbers under the same seed would be other results under
the same name. Drawn arrays are short here: of one normal number in 3,900 NumPy takes the C library's logarithm, whose
last bit is not the same everywhere.
"""

from __future__ import annotations

import csv
import struct
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from math import isqrt
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import convpipe as cp
from convpipe.files.npy import array_sha256
from convpipe.sources import SOURCES, Request, read_source, stream
from convpipe.sources.kinds.stream import CHUNK
from convpipe.sources.random import DISTRIBUTIONS, std_of
from convpipe.tensors import DTYPES, FLOAT_DTYPES

TABLE = Path(__file__).parent / "golden" / "streams.csv"
SEEDS = (0, 2**70 + 1)
REQUESTS = {  # what the place of each role asks for
    "input": Request(),
    "filters": Request((None, 2, None, None)),
    "bias": Request((5,)),
    "grad": Request((2, 3, 2, 4)),
    "weights": Request((4, 2, 3), entry="conv1.weight"),
}
SIZES: dict[str, dict[str, Any]] = {"input": {"shape": [2, 3, 4, 3]}, "filters": {"count": 3, "kernel": [3, 2]}}
RAW = """The bits come from PCG64.random_raw, which NumPy keeps for ever, and become numbers by arithmetic that IEEE 754
fixes: so convpipe/sources draws otherwise. Do not renew the hash: every archive of drawn numbers would be one that
nothing reproduces."""
NORMAL = """NumPy may change Generator.standard_normal, and says so in its release notes. Where this NumPy did: archives
of normal numbers are reproduced by the versions before it alone, so say that in convpipe/manual/10_numbers.md and
accept the hashes of both. Where it did not: convpipe/sources draws otherwise, which it must not."""
NEW = "A source that draws needs golden hashes before anyone makes archives with it. Add the line to {}:\n{}"


class Drawn(NamedTuple):
    """One array: who draws it, as what, and for which stream of which seed."""

    source: str
    numbers: str
    stream: str
    dtype: str
    seed: int


# Which numbers each source can draw: their settings by dtype and role.


def integer_numbers(dtype: str, role: str) -> Iterator[tuple[str, dict[str, Any]]]:
    unsigned = dtype.startswith("u")
    yield "small", {"low": 0 if unsigned else -100, "high": 101}
    if not unsigned:
        yield "default", {}
    if dtype in ("int64", "uint64"):
        low = 0 if dtype == "uint64" else -(2**63)
        yield "all", {"low": low, "high": low + 2**64}
        yield "large", {"low": low + 3, "high": low + 2**63 + 2**62}


def random_numbers(dtype: str, role: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if role == "weights":
        if dtype in FLOAT_DTYPES:
            yield "normal, by fan-in", {}
        return
    yield "uniform", {"distribution": "uniform", "low": 0 if dtype.startswith("u") else -100.5, "high": 100.25}
    yield "normal", {"distribution": "normal", "mean": 50.5, "std": 17.25}


DRAWING = {"integers": integer_numbers, "random": random_numbers}


# Those that draw nothing: their settings, and what is asked for where that is needed. Files are written beside.

STILL: dict[str, tuple[dict[str, Any], Request]] = {
    "classic": ({"names": ["sobel_x", "gaussian"]}, Request((None, 2, None, None))),
    "lecture": ({"values": [1, 2]}, Request()),
    "pattern": ({"pattern": "ramp"}, Request((2, 3, 2, 2))),
    "digits": ({}, Request()),
    "shipped": ({"name": "digits_small"}, Request(entry="conv1.weight")),
    "image": ({"path": "x.ppm"}, Request()),
    "csv": ({"path": "x.csv"}, Request()),
    "npy": ({"path": "x.npy"}, Request()),
    "npz": ({"path": "x.npz"}, Request(entry="x")),
    "safetensors": ({"path": "x.safetensors"}, Request(entry="x")),
}
NEEDED = {"digits": "sklearn", "image": "PIL"}


def write_files(folder: Path) -> None:
    """Two numbers, 1 and 2, in a file of every kind."""
    values = np.array([1, 2], "<i2")
    np.save(folder / "x.npy", values)
    np.savez(folder / "x.npz", x=values)
    (folder / "x.csv").write_text("1,2\n")
    (folder / "x.ppm").write_bytes(b"P6\n1 1\n255\n\1\2\3")
    header = b'{"x":{"dtype":"I16","shape":[2],"data_offsets":[0,4]}}'
    (folder / "x.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + values.tobytes())


# The golden hashes


@cache
def golden() -> dict[Drawn, str]:
    """The hashes by what was drawn."""
    with TABLE.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    found = {Drawn(*row[:4], int(row[4])): row[5] for row in rows}
    assert len(found) == len(rows), f"{TABLE} has a line twice"
    return found


def cases() -> Iterator[tuple[Drawn, dict[str, Any]]]:
    """Every array that a source of ours may draw, as far as that depends on the source, and its settings."""
    for source in SOURCES.ours():
        for role in SOURCES.get("", source).roles if source in DRAWING else ():
            for dtype in DTYPES:
                for numbers, settings in DRAWING[source](dtype, role):
                    for seed in SEEDS:
                        yield Drawn(source, numbers, role, dtype, seed), settings


def draw(drawn: Drawn, settings: dict[str, Any], bits: np.random.PCG64) -> Any:
    """The array that a source draws."""
    role = drawn.stream
    values = {"source": drawn.source, "dtype": drawn.dtype, **SIZES.get(role, {}), **settings}
    source = read_source(role, values)
    return source.make(source.signature(REQUESTS[role]), bits, REQUESTS[role].entry)


def check(drawn: Drawn, digest: str) -> None:
    """Hold a hash against the golden one; where it is another, say which source it is of and what to do."""
    line = ",".join([*(f'"{cell}"' if "," in cell else cell for cell in map(str, drawn)), digest])
    assert drawn in golden(), NEW.format(TABLE, line)
    advice = NORMAL if "normal" in drawn.numbers else RAW
    here = f"the source {drawn.source} draws other {drawn.numbers} {drawn.dtype} than ever before"
    assert digest == golden()[drawn], (
        f"{here}: seed {drawn.seed}, stream {drawn.stream}, NumPy {np.__version__}.\n{advice}"
    )


KINDS = dict.fromkeys(drawn[:3] for drawn, _ in cases())


@pytest.mark.parametrize(("source", "numbers", "role"), KINDS)
def test_a_source_draws_what_it_always_drew(source: str, numbers: str, role: str) -> None:
    found = [(drawn, settings) for drawn, settings in cases() if drawn[:3] == (source, numbers, role)]
    for drawn, settings in found:
        check(drawn, array_sha256(draw(drawn, settings, stream(drawn.seed, role))))


@pytest.mark.parametrize(
    "name",
    [
        "input",
        "filters",
        "bias",
        "grad",
        "labels",
        "conv1/filters",
        "conv1/bias",
        "dense/weights",
        "",
        "é",
        "사진/bias",
    ],
)
def test_the_bits_of_a_stream_are_what_they_always_were(name: str) -> None:
    for seed in SEEDS:
        raw = stream(seed, name).random_raw(8)
        check(Drawn("stream", "raw bits", name, "uint64", seed), array_sha256(np.asarray(raw)))


def test_the_spread_of_weights_is_the_nearest_float() -> None:
    for fan_in in (*range(1, 1000), 1446, 2676, 5784, 10704, 25088):  # of some glibc's power is one bit off
        exact = Fraction(2 / fan_in)
        nearest = isqrt(exact.numerator * exact.denominator << 200) / Fraction(exact.denominator << 100)
        assert std_of((fan_in, 1)) == float(nearest), fan_in
        assert std_of((1, fan_in, 1)) == float(nearest), fan_in


@pytest.mark.parametrize(
    ("source", "numbers", "settings"),
    [
        ("integers", "many", {}),
        ("random", "many, uniform", {"low": -100, "high": 100}),
        ("random", "many, normal", {"distribution": "normal", "std": 25}),  # rounded: no last bits
    ],
)
def test_more_numbers_than_are_drawn_at_once(source: str, numbers: str, settings: dict[str, Any]) -> None:
    drawn = Drawn(source, numbers, "input", "int8", 0)
    array = draw(drawn, {**settings, "shape": [2 * CHUNK + 5]}, stream(0, "input"))
    check(drawn, array_sha256(array))


# Each tensor of a run has a stream of its own, called as the tensor is

RUNS = {
    "convolution": ("input=integers", "filters=integers", "bias=integers"),
    "grad_input": ("experiment=grad_input",),
    "grad_weights": ("experiment=grad_weights",),
    "grad_bias": ("experiment=grad_bias",),
    "transpose": ("experiment=transpose",),
    "network": ("experiment=tiny",),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_draws_each_of_its_arrays_from_the_stream_of_its_name(name: str) -> None:
    run = cp.run(*RUNS[name], archive=False)
    given = [row for row in run.rows if row["op"] == "integers"]
    assert given
    for row in given:
        check(Drawn("integers", f"run: {name}", row["stage"], row["dtype"], 0), row["sha256"])


def test_labels_have_the_stream_of_their_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from convpipe.execution.inputs import make_labels
    from convpipe.sources.lecture import Lecture

    seen = []

    def watched(self: Any, signature: Any, bits: Any, entry: str = "") -> Any:
        seen.append(int(bits.random_raw()))
        return np.array(self.values, signature.dtype)

    monkeypatch.setattr(Lecture, "make", watched)
    assert make_labels(read_source("labels", {"source": "lecture", "values": [3]}), 5, 1).tolist() == [3]
    assert seen == [int(stream(5, "labels").random_raw())]


# That nothing is left out


def test_every_source_of_ours_is_known_to_draw_or_not() -> None:
    known = [*DRAWING, *STILL]
    assert len(set(known)) == len(known)
    new = set(SOURCES.ours()) - set(known)
    assert not new, f"{new}: of each say here whether it draws, in DRAWING with all that it can draw, or in STILL"
    assert set(known) == set(SOURCES.ours())


def test_every_distribution_is_drawn() -> None:
    drawn = {drawn.numbers for drawn, _ in cases() if drawn.source == "random"}
    assert {*DISTRIBUTIONS, "normal, by fan-in"} == drawn


def test_no_golden_hash_is_left_of_what_is_drawn_no_more() -> None:
    others = ("raw bits", "many", "run:")  # held against tests with names of their own
    kept = {drawn for drawn in golden() if not drawn.numbers.startswith(others)}
    assert kept == {drawn for drawn, _ in cases()}


@pytest.mark.parametrize("source", DRAWING)
def test_a_source_that_draws_takes_its_bits_from_the_stream_alone(source: str) -> None:
    drawn, settings = next((drawn, settings) for drawn, settings in cases() if drawn.source == source)
    bits = stream(0, "test")
    first = draw(drawn, settings, bits)
    assert bits.state != stream(0, "test").state
    np.random.seed(1)  # which must have no influence
    assert np.array_equal(draw(drawn, settings, stream(0, "test")), first)
    assert not np.array_equal(draw(drawn, settings, stream(1, "test")), first)


@pytest.mark.parametrize(
    ("source", "role"), [(source, role) for source in STILL for role in SOURCES.get("", source).roles]
)
def test_a_source_without_golden_hashes_draws_nothing(
    source: str, role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if source in NEEDED:
        pytest.importorskip(NEEDED[source])
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path)
    settings, request = STILL[source]
    made = read_source(role, {"source": source, **settings})
    bits, state = stream(0, "test"), stream(0, "test").state
    assert made.make(made.signature(request), bits, request.entry).size
    assert bits.state == state, f"{source} draws: give it golden hashes, by DRAWING"
