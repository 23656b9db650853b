"""A tiny expression language over named values, for a sweep's ``where`` and ``runs --where``.

Comparisons, and / or / not, + - * / // %, in, lists, dotted names, [index] and min, max, abs, len. It is
walked, never evaluated as Python: there is nothing in it to call, assign or reach into.
"""

import ast
import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from convpipe.errors import ConfigError, did_you_mean

Expression = Callable[[Mapping[str, Any]], Any]

BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, container: item in container,
    ast.NotIn: lambda item, container: item not in container,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {"min": min, "max": max, "abs": abs, "len": len}
WORDS = {"true": True, "false": False, "null": None, "none": None}
MOST_CHARACTERS = 1000
ALLOWED = "names, numbers, 'texts', lists, comparisons, and, or, not, in, + - * / // %, min, max, abs, len"


def compile_expression(key: str, text: str) -> Expression:
    """Read an expression; gives a function of the values that its names stand for.

    A name is a dotted key, or its last part where only one key ends in it.

    Raises:
        ConfigError: not an expression of this language; and, from the function, a name there is not, or
            values that do not go together.

    >>> compile_expression("where", "conv.stride <= 2 and pad == 1")({"conv.stride": 2, "conv.pad": 1})
    True
    """
    if len(text) > MOST_CHARACTERS:
        raise ConfigError(key, text, f"an expression of at most {MOST_CHARACTERS} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's advice to programmers
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(key, text, f"an expression of {ALLOWED}", getattr(error, "msg", "")) from error
    for node in ast.walk(tree):
        if not allowed(node):
            raise ConfigError(key, text, f"an expression of {ALLOWED}", f"not {type(node).__name__}")

    def value_of(values: Mapping[str, Any]) -> Any:
        try:
            return walk(tree, values)
        except (TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
            raise ConfigError(key, text, "values that go together in it", str(error)) from error

    return value_of


def allowed(node: ast.AST) -> bool:
    """Whether one node belongs to the language."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int | float | str | None)
    if isinstance(node, ast.BinOp):
        return type(node.op) in BINARY
    if isinstance(node, ast.UnaryOp):
        return type(node.op) in UNARY
    if isinstance(node, ast.Compare):
        return all(type(op) in COMPARE for op in node.ops)
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS and not node.keywords
    if isinstance(node, ast.Attribute):
        return bool(dotted(node))
    plain = (ast.Name, ast.BoolOp, ast.List, ast.Tuple, ast.Subscript, ast.expr_context)
    return isinstance(node, (*plain, ast.operator, ast.unaryop, ast.cmpop, ast.boolop))


def dotted(node: ast.expr) -> str:
    """The dotted name that a chain of attributes spells, or nothing."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def walk(node: ast.expr, values: Mapping[str, Any]) -> Any:
    """The value of one node."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name | ast.Attribute):
        return look_up(dotted(node), values)
    if isinstance(node, ast.BoolOp):
        return bool_of(node, values)
    if isinstance(node, ast.Compare):
        return compared(node, values)
    if isinstance(node, ast.BinOp):
        return combined(node, values)
    if isinstance(node, ast.UnaryOp):
        return UNARY[type(node.op)](walk(node.operand, values))
    if isinstance(node, ast.List | ast.Tuple):
        return [walk(entry, values) for entry in node.elts]
    if isinstance(node, ast.Subscript):
        return walk(node.value, values)[walk(node.slice, values)]
    assert isinstance(node, ast.Call)
    assert isinstance(node.func, ast.Name)
    return FUNCTIONS[node.func.id](*(walk(argument, values) for argument in node.args))


def combined(node: ast.BinOp, values: Mapping[str, Any]) -> Any:
    """The result of arithmetic, of numbers alone: a text times a number could fill the memory."""
    left, right = walk(node.left, values), walk(node.right, values)
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        raise TypeError(f"arithmetic of {left!r} and {right!r}")
    return BINARY[type(node.op)](left, right)


def bool_of(node: ast.BoolOp, values: Mapping[str, Any]) -> bool:
    """and, or: the parts are looked at only as far as needed."""
    parts = (bool(walk(part, values)) for part in node.values)
    return all(parts) if isinstance(node.op, ast.And) else any(parts)


def compared(node: ast.Compare, values: Mapping[str, Any]) -> bool:
    """A chain of comparisons."""
    left = walk(node.left, values)
    for op, part in zip(node.ops, node.comparators, strict=True):
        right = walk(part, values)
        if not COMPARE[type(op)](left, right):
            return False
        left = right
    return True


def look_up(name: str, values: Mapping[str, Any]) -> Any:
    """The value of a key given whole, or by its last part where only one key ends in it."""
    if name in values:
        return values[name]
    if name.lower() in WORDS:
        return WORDS[name.lower()]
    ends = [key for key in values if key.endswith(f".{name}")]
    if len(ends) == 1:
        return values[ends[0]]
    if ends:
        raise LookupError(f"{name} could be {' or '.join(sorted(ends))}")
    hint = did_you_mean(name, [*values, *(key.rpartition(".")[2] for key in values)])
    raise LookupError(f"no {name} here; {hint or f'a text needs quotes: {name!r}'}")
