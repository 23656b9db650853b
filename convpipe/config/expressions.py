"""A tiny expression language over named values, for a sweep's ``where`` and ``runs --where``.

Comparisons, and / or / not, + - * / // %, in, lists, dotted names, [index] and min, max, abs, len. It is
read node by node, never evaluated as Python: there is nothing in it to call, assign or reach into.
"""

import ast
import operator
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
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
# What data frames have for them.
SIGNS: dict[type[ast.AST], tuple[str, str]] = {
    ast.BitAnd: ("&", "and"),
    ast.BitOr: ("|", "or"),
    ast.Invert: ("~", "not"),
}
SINGLE_EQUAL = re.compile(r"(?<![=!<>])=(?!=)")
WRITE_EQUAL = "not =; write =="
FUNCTIONS: dict[str, Callable[..., Any]] = {"min": min, "max": max, "abs": abs, "len": len}
SHAPE = re.compile(r"\(\d+(?:,\d+)*,?\)")  # as tables have it
NAMES_IT = ("source", "operation", "kind", "stages")  # the settings that say which choice of its group a config has
WORDS = {"true": True, "false": False, "null": None, "none": None}
ODD = ("nan", "inf")
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
            found = compiled(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = WRITE_EQUAL if SINGLE_EQUAL.search(text) and error.args[0] == "invalid syntax" else ""
        raise ConfigError(key, text, f"an expression of {ALLOWED}", reason or getattr(error, "msg", "")) from error

    def value_of(values: Mapping[str, Any]) -> Any:
        try:
            return found(values)
        except (TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
            raise ConfigError(key, text, "values that go together in it", str(error)) from error

    return value_of


def compiled(node: ast.expr) -> Expression:
    """A function that gives the value of a node.

    Raises:
        SyntaxError: a node that the language does not have.
    """
    match node:
        case ast.Constant(value=int() | float() | str() | None as value):
            return lambda values: value
        case ast.Name() | ast.Attribute() if name := dotted(node):
            return partial(look_up, name)
        case ast.BoolOp(op=op, values=nodes):
            every, parts = all if isinstance(op, ast.And) else any, [compiled(part) for part in nodes]
            return lambda values: every(part(values) for part in parts)  # looked at only as far as needed
        case ast.Compare(left=left, ops=ops, comparators=nodes) if all(type(op) in COMPARE for op in ops):
            parts = [compiled(part) for part in (left, *nodes)]
            return partial(compared, [COMPARE[type(op)] for op in ops], parts)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
            return partial(combined, BINARY[type(op)], compiled(left), compiled(right))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in UNARY:
            apply, part = UNARY[type(op)], compiled(operand)
            return lambda values: apply(part(values))
        case ast.List(elts=nodes) | ast.Tuple(elts=nodes):
            parts = [compiled(entry) for entry in nodes]
            return lambda values: [entry(values) for entry in parts]
        case ast.Subscript(value=left, slice=right):
            whole, part = compiled(left), compiled(right)
            return lambda values: as_list(whole(values))[part(values)]
        case ast.Call(func=ast.Name(id=name), args=nodes, keywords=[]) if name in FUNCTIONS:
            parts = [compiled(argument) for argument in nodes]
            return lambda values: FUNCTIONS[name](*(as_list(argument(values)) for argument in parts))
    raise SyntaxError(instead_of(node))


def instead_of(node: ast.expr) -> str:
    """What to write in place of a node that the language does not have, where it has another for it."""
    match node:
        case ast.BinOp(op=ast.BitAnd() | ast.BitOr() as op) | ast.UnaryOp(op=ast.Invert() as op):
            sign, word = SIGNS[type(op)]
            return f"not {sign}; write {word}"
        case ast.Compare(ops=ops) if any(isinstance(op, ast.Is | ast.IsNot) for op in ops):
            return "not is; write == or !="
    return f"not {type(node).__name__}"


def dotted(node: ast.expr) -> str:
    """The dotted name that a chain of attributes spells, or nothing."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def combined(apply: Callable[[Any, Any], Any], first: Expression, second: Expression, values: Mapping[str, Any]) -> Any:
    """The result of arithmetic, of numbers alone: a text times a number could fill the memory."""
    left, right = first(values), second(values)
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        raise TypeError(f"arithmetic of {left!r} and {right!r}")
    return apply(left, right)


def compared(
    operators: Sequence[Callable[[Any, Any], bool]], parts: Sequence[Expression], values: Mapping[str, Any]
) -> bool:
    """A chain of comparisons: each part is worked out once, and only as far as needed."""
    left = parts[0](values)
    for holds, part in zip(operators, parts[1:], strict=True):
        right = part(values)
        if not holds(*alike(left, right)):
            return False
        left = right
    return True


def alike(left: Any, right: Any) -> tuple[Any, Any]:
    """Two values as they compare: a shape of a table, which is a text, with a list as a list, wherever it stands.

    >>> alike("(1,5)", [1, 5]), alike("(1,5)", "(1,5)"), alike(5, "(1,5)"), alike("(2,)", [[2], [3]])
    (([1, 5], [1, 5]), ('(1,5)', '(1,5)'), (5, [1, 5]), ([2], [[2], [3]]))
    """
    if isinstance(left, str) and isinstance(right, str):
        return left, right
    return as_list(left), as_list(right)


def as_list(value: Any) -> Any:
    """A tuple, or a shape of a table, as a list; other values as they are."""
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, str) and SHAPE.fullmatch(value):
        return [int(size) for size in value.strip("(),").split(",")]
    return value


def look_up(name: str, values: Mapping[str, Any]) -> Any:
    """The value of a key given whole, or by its last part where only one key ends in it; of a group its choice."""
    if name in values:
        return values[name]
    chosen = next((key for below in NAMES_IT if (key := f"{name}.{below}") in values), None)
    if chosen is not None:
        return values[chosen]
    if name.lower() in WORDS:
        return WORDS[name.lower()]
    ends = [key for key in values if key.endswith(f".{name}")]
    if len(ends) == 1:
        return values[ends[0]]
    if ends:
        raise LookupError(f"{name} could be {' or '.join(sorted(ends))}")
    if name.lower() in ODD and "nonfinite" in values:
        raise LookupError(f"no {name} here; nonfinite > 0 holds for outputs with NaN or infinities")
    hint = did_you_mean(name, [*values, *(key.rpartition(".")[2] for key in values)])
    raise LookupError(f"no {name} here; {hint or f'a text needs quotes: {name!r}'}")
