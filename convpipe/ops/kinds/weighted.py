"""What operations with a bias share."""

from typing import Any

from convpipe.errors import GeometryError
from convpipe.fields import text
from convpipe.ops.kinds.operation import Give, Weight
from convpipe.tensors import Tensor


def bias_name(key: str, value: Any) -> bool | str:
    """False for no bias, true for one by its usual name, or its name."""
    return value if isinstance(value, bool) else str(text(key, value))


def bias_of(give: Give, bias: bool | str, size: int) -> dict[str, Tensor]:
    """The bias, of that many values, if there is one.

    Raises:
        GeometryError: it has another shape.
    """
    if not bias:
        return {}
    found = give(Weight("bias", (size,), ("F",), "bias", bias if isinstance(bias, str) else None))
    if found.shape != (size,):
        raise GeometryError("bias", found.shape, f"the shape {(size,)}, one value per filter")
    return {"bias": found}
