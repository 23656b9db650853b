"""The bound of a convolution's floats: what two right results may differ by, derived from its own stages."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from convpipe.execution import pipeline
from convpipe.execution.inputs import make_arrays
from convpipe.graph.network import input_tensor, plan_single
from convpipe.graph.single import operation_of, sourced
from convpipe.graph.spec import Spec
from convpipe.graph.work import plan_work
from convpipe.tensors import Array


def float_bound(taps: int, magnitude: Array, dtype: Any) -> Array:
    """How far a float convolution may lie from the true value, whatever the order of its sum.

    A sum of K products has an error of at most gamma_K * sum|x||w|, where gamma_n = n*u / (1 - n*u) and u is the
    unit roundoff of the accumulator (N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition,
    SIAM 2002, section 3.1). Two more roundings go into gamma_(K+2): adding the bias, and those in the oracle and
    in this bound. Beside that: rounding to `dtype`, and for each product and the result the spacing of the
    subnormals, since below them a relative bound does not hold.

    Args:
        taps: K, how many products one sum has.
        magnitude: sum|x||w| + |bias| of each sum.
        dtype: float16, float32 or float64, of the result. Sums are made in it, float16's in float32, or wider;
            operands must be exact in there.

    Returns:
        An array like `magnitude`, float64; infinity where a partial sum may overflow.

    >>> float(float_bound(1, np.array(1.0), "float64")) < 5e-16
    True
    """
    result, accumulator = np.finfo(dtype), np.finfo(np.result_type(dtype, np.float32))
    unit = float(accumulator.eps) / 2
    gamma = (taps + 2) * unit / (1 - (taps + 2) * unit)
    sums = np.asarray(magnitude, np.float64)
    tiny = (taps + 1) * float(accumulator.smallest_subnormal) + float(result.smallest_subnormal)
    with np.errstate(over="ignore"):
        errors = gamma * sums + (1 + gamma) * sums * float(result.eps) / 2 + tiny
        return np.where(sums + errors < float(result.max), errors, np.inf)


@dataclass(frozen=True)
class Bound:
    """What two right outputs may differ by: from the number of products a cell sums, and their magnitudes."""

    taps: int
    magnitude: Array  # sum|x||w| of every output cell, in its shape
    exact: Array  # for every cell, whether its products and sums are whole numbers that nothing rounds

    def allowed(self, dtype: np.dtype[Any]) -> Array:
        """The largest right difference in each cell; not a number where one only infinities and NaNs can say.

        Each output lies within `float_bound` of the true sum, in whatever order its products are
        added, so two of them lie within twice that of each other.
        """
        finite = np.isfinite(self.magnitude)
        limits = 2 * float_bound(self.taps, np.where(finite, self.magnitude, 0), dtype)
        return np.where(finite, np.where(self.exact, 0, limits), np.nan)


def output_bound(spec: Spec) -> Bound | None:
    """The bound of a convolution's float sums: its own stages over again, of magnitudes.

    None where nobody has derived one: for a network, for stages that are not linear or have settings of their own.
    """
    if spec.conv is None or any(stage.settings for stage in spec.lowering.stages):
        return None
    work = plan_work(spec)
    if not all(type(step.operation).linear for step in work.plan.steps):
        return None
    arrays = make_arrays(spec, work)
    magnitude = output_of(spec, {name: np.abs(array.astype(np.float64)) for name, array in arrays.items()})
    counts = output_of(spec, {name: np.ones(array.shape) for name, array in arrays.items()}, ones=True)
    taps = int(counts.max()) if counts.size else 0
    return Bound(taps, magnitude, exact_cells(spec, work.plan.output.dtype, arrays, magnitude))


def output_of(spec: Spec, arrays: Mapping[str, Array], *, ones: bool = False) -> Array:
    """The output of a spec's own stages on other arrays, float64, the padding's value as a magnitude or as 1."""
    assert spec.conv is not None
    value = float(bool(spec.conv.pad_value)) if ones else abs(spec.conv.pad_value)
    conv = replace(spec.conv, pad_value=value, dtype="float64", overflow="inf")
    wide = np.dtype(np.float64)
    x = replace(input_tensor(spec.input.signature()), dtype=wide)
    operation = operation_of(conv, bias=spec.bias is not None)
    plan = plan_single(operation, spec.lowering.stages, x, lambda weight: replace(sourced(spec, weight), dtype=wide))
    return pipeline.output(plan, arrays)


def exact_cells(spec: Spec, result: np.dtype[Any], arrays: Mapping[str, Array], magnitude: Array) -> Array:
    """Which output cells are sums of whole numbers that no partial sum rounds."""
    assert spec.conv is not None
    dtypes = [array.dtype for array in arrays.values()]
    if all(dtype.kind in "iu" for dtype in dtypes):
        return np.ones(magnitude.shape, bool)
    if not all(map(whole, (*arrays.values(), np.array(spec.conv.pad_value)))):
        return np.zeros(magnitude.shape, bool)
    mantissa = np.finfo(np.result_type(result, *dtypes, np.float32)).nmant + 1
    return np.asarray(magnitude <= 2.0**mantissa)


def whole(values: Array) -> bool:
    """Whether all values are whole numbers.

    >>> whole(np.array([1.0, -3.0])), whole(np.array([0.5])), whole(np.array([np.inf]))
    (True, False, False)
    """
    return values.dtype.kind in "iu" or bool(np.all(np.isfinite(values) & (values == np.trunc(values))))
