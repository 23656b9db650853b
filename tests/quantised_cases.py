"""For tests of quantised convolutions: the published data beside the checkout, random cases, the oracle's answers."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_runs import CHECKOUT
from conv_cases import Array, Case, cases
from hypothesis import strategies as st

from convpipe.reference import quantised, rules

DATA = Path(os.environ.get("CONVPIPE_DATA") or CHECKOUT.parent / "shared" / "data") / "quantised"
FILES = ("rules.json", "cmsis_nn.json", "cmsis_nn.npz")
MISSING = [name for name in FILES if not (DATA / name).is_file()]

data = pytest.mark.skipif(
    bool(MISSING), reason=f"no {', '.join(MISSING)} in {DATA} (CONVPIPE_DATA names another folder)"
)

INTEGER_RULES = ("double", "double_up", "single", "reduced16")
FLOAT_RULES = ("float", "float_reciprocal", "float_offset", "float64_product")
MODES = ("floor", "zero", "half_up", "half_down", "half_away", "half_zero", "half_even", "half_odd", "odd")
NARROW = ("int4", "uint4", "int8", "uint8", "int16", "uint16", "int32", "uint32")
OVERFLOWS = ("saturate", "saturate_symmetric", "wrap", "error")


def sections() -> list[dict[str, Any]]:
    """The 33 sections of rules.json; none where it is absent."""
    if MISSING:
        return []
    found: list[dict[str, Any]] = json.loads((DATA / "rules.json").read_text())["sections"]
    return found


# CMSIS-NN


@dataclass(frozen=True)
class CmsisSet:
    """One set of its test data, in NCHW and OIHW."""

    name: str
    facts: dict[str, Any]
    x: Array
    w: Array
    bias: Array | None
    multiplier: Array
    shift: Array
    output: Array

    @property
    def rule(self) -> str:
        return "reduced16" if self.facts["bias_dtype"] == "int64" else "double"

    @property
    def bits(self) -> int:
        return 64 if self.rule == "reduced16" else 32

    @property
    def filters_dtype(self) -> str:
        return f"int{self.facts['filters_bits']}"

    @property
    def geometry(self) -> dict[str, Any]:
        """How filters meet the input; the output's size says how much padding there is at the end."""
        facts = self.facts
        pads = []
        for axis, before in enumerate(facts["pad_before"]):
            span = (self.w.shape[2 + axis] - 1) * facts["dilation"][axis] + 1
            needed = (self.output.shape[2 + axis] - 1) * facts["stride"][axis] + span
            pads.append([before, max(0, needed - self.x.shape[2 + axis] - before)])
        return {"stride": facts["stride"], "pad": pads, "dilation": facts["dilation"], "groups": facts["groups"]}

    def cut(self, maps: Array) -> Array:
        """Maps without what lies beyond the published output, where the input is larger than that needs."""
        return maps[:, :, : self.output.shape[2], : self.output.shape[3]]


def cmsis_names() -> list[str]:
    """The names of the 52 sets; none where the data is absent."""
    return [] if MISSING else list(json.loads((DATA / "cmsis_nn.json").read_text())["sets"])


def cmsis_set(name: str) -> CmsisSet:
    """One of them."""
    facts = json.loads((DATA / "cmsis_nn.json").read_text())["sets"][name]
    turn = (0, 3, 1, 2) if facts["kind"] == "conv" else (3, 0, 1, 2)
    with np.load(DATA / "cmsis_nn.npz") as arrays:
        bias = arrays[f"{name}/bias"] if f"{name}/bias" in arrays.files else None
        return CmsisSet(
            name,
            facts,
            arrays[f"{name}/input"].transpose(0, 3, 1, 2),
            arrays[f"{name}/filters"].transpose(turn),
            bias,
            arrays[f"{name}/multiplier"],
            arrays[f"{name}/shift"],
            arrays[f"{name}/output"].transpose(0, 3, 1, 2),
        )


# Random numbers of rules


def float32s(least: float, most: float) -> st.SearchStrategy[float]:
    """Scales that float32 holds, spread evenly over the powers of two and often a power itself."""
    low, high = int(np.floor(np.log2(least))), int(np.ceil(np.log2(most)))
    fractions = st.one_of(st.just(1.0), st.floats(1, 2, exclude_max=True))
    made = st.builds(
        lambda fraction, power: float(np.float32(fraction * 2.0**power)), fractions, st.integers(low, high)
    )
    return made.filter(lambda value: least <= value <= most)


def whole_numbers(bits: int) -> st.SearchStrategy[int]:
    """Integers of so many bits, of every size, with ends and powers of two."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    sized = st.integers(1, bits - 1).flatmap(lambda size: st.integers(-(2**size), 2**size - 1))
    near = st.builds(
        lambda power, add, sign: sign * (2**power + add),
        st.integers(0, bits - 1),
        st.integers(-1, 1),
        st.sampled_from([1, -1]),
    )
    return st.one_of(sized, near, st.sampled_from([low, low + 1, high, high - 1, 0])).map(
        lambda value: min(max(value, low), high)
    )


@dataclass(frozen=True)
class Scaling:
    """A rule with what it works with: as arguments of a function, and for the oracle channel by channel."""

    rule: str
    arguments: dict[str, Any]
    channels: list[rules.Numbers]
    bits: int  # of the sums that it takes


@st.composite
def scalings(draw: st.DrawFn, channels: int, names: Sequence[str] = (*INTEGER_RULES, *FLOAT_RULES, "shift")) -> Scaling:
    """Every rule with every way to give it its numbers, one for all channels or one for each."""
    rule = draw(st.sampled_from(list(names)))
    count = draw(st.sampled_from([1, channels]))

    def several(strategy: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(strategy, min_size=count, max_size=count))

    if rule == "shift":
        shifts, mode = several(st.integers(0, 63)), draw(st.sampled_from(MODES))
        found = [rules.Numbers(shift=shift, mode=mode) for shift in shifts]
        return Scaling(rule, {"shift": one_or_all(shifts), "mode": mode}, found, 64)
    bits = {"reduced16": 48}.get(rule, 32 if rule in INTEGER_RULES else 64)
    scaled = rule in ("float_reciprocal", "float_offset") or draw(st.booleans())
    if scaled:
        sx, sy = draw(float32s(2.0**-20, 2.0**6)), draw(float32s(2.0**-6, 2.0**10))
        sw = several(float32s(2.0**-24, 4.0 if rule == "reduced16" else 2.0**12))
        if rule == "reduced16":
            sx = min(sx, 1.0)
        found = [rules.Numbers(input_scale=sx, filter_scale=each, output_scale=sy) for each in sw]
        return Scaling(rule, {"input_scale": sx, "filter_scale": one_or_all(sw), "output_scale": sy}, found, bits)
    if rule in FLOAT_RULES:
        factors = several(float32s(2.0**-40, 2.0**20))
        return Scaling(rule, {"multiplier": one_or_all(factors)}, [rules.Numbers(each) for each in factors], bits)
    multipliers = several(
        st.one_of(
            st.integers(2**30, 2**31 - 1),
            st.sampled_from([0, 1, 2**30, 2**31 - 1, 0x7FFF0000, 0x7FFEFFFF]),
            st.integers(0, 2**31 - 1),
        )
    )
    shifts = several(st.integers(-31, 14 if rule == "reduced16" else 30))
    found = [rules.Numbers(*pair) for pair in zip(multipliers, shifts, strict=True)]
    return Scaling(rule, {"multiplier": one_or_all(multipliers), "shift": one_or_all(shifts)}, found, bits)


def one_or_all(values: list[Any]) -> Any:
    """A list of one as the number itself."""
    return values[0] if len(values) == 1 else values


# Random convolutions


@dataclass(frozen=True)
class QuantisedCase:
    """A legal quantised convolution, its arrays, and its arguments beside them."""

    case: Case
    x: Array
    w: Array
    bias: Array | None
    zeros: tuple[int, list[int]]  # of the input, of the filters
    accumulator: dict[str, Any]
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def geometry(self) -> dict[str, Any]:
        """stride, pad, dilation and groups."""
        return {key: value for key, value in self.case.settings.items() if not key.startswith("pad_")}

    def sums(self) -> Array:
        """The oracle's sums.

        Raises:
            OverflowError: one that the accumulator does not hold.
        """
        accumulator = quantised.Accumulator(**self.accumulator)
        zero, filter_zeros = self.zeros
        return quantised.conv_sums(
            self.x,
            self.w,
            self.bias,
            input_zero=zero,
            filter_zeros=filter_zeros,
            accumulator=accumulator,
            **self.geometry,
        )


ACCUMULATORS = st.fixed_dictionaries(
    {
        "bits": st.one_of(st.integers(2, 64), st.sampled_from([16, 32, 64])),
        "overflow": st.sampled_from(["error", "wrap", "saturate", "pairs16"]),
        "every": st.one_of(st.sampled_from(["end", "step"]), st.integers(1, 9)),
        "order": st.sampled_from(["C,kh,kw", "kh,kw,C"]),
    }
)
PLAIN = st.just({"bits": 64})


@st.composite
def quantised_cases(draw: st.DrawFn, accumulators: st.SearchStrategy[Any] = PLAIN) -> QuantisedCase:
    """Convolutions of one to three axes, of 4 to 16 bits, zero points, one for each filter among them, biases."""
    case = draw(cases(("constant",)))
    bits = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    names = draw(st.tuples(st.sampled_from(NARROW[:6]), st.sampled_from(NARROW[:4])))
    x, w = (
        values_of(bits, shape, name) for shape, name in zip((case.input_shape, case.filters_shape), names, strict=True)
    )
    ends = [rules.integer_limits(name) for name in names]
    zero = draw(st.one_of(st.sampled_from([0, *ends[0]]), st.integers(*ends[0])))
    count = draw(st.sampled_from([1, len(w)]))
    zeros = draw(st.one_of(st.just([0]), st.lists(st.integers(*ends[1]), min_size=count, max_size=count)))
    bias = bits.integers(-(10**5), 10**5, len(w)).astype(np.int32) if draw(st.booleans()) else None
    return QuantisedCase(case, x, w, bias, (zero, zeros), draw(accumulators))


def values_of(bits: np.random.Generator, shape: Any, dtype: str) -> Array:
    """Integers of any value or of the two ends, of 4 bits in a byte each."""
    low, high = rules.integer_limits(dtype)
    stored = {"int4": "int8", "uint4": "uint8"}.get(dtype, dtype)
    if bits.integers(0, 2):
        return bits.integers(low, high, shape, endpoint=True).astype(stored)
    return bits.choice(np.array([low, high, high - 1, 0]), shape).astype(stored)
