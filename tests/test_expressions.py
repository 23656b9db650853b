"""A tiny language that chooses points and runs: what it says, and that it can do nothing else."""

from __future__ import annotations

import ast
import warnings
from typing import Any

import pytest

from convpipe.config.expressions import BINARY, COMPARE, FUNCTIONS, UNARY, compile_expression
from convpipe.errors import ConfigError

VALUES: dict[str, Any] = {
    "conv.stride": 2,
    "conv.pad": [0, 1],
    "conv.dtype": None,
    "input.shape": [1, 3, 8, 8],
    "input.dtype": "int16",
    "filters.dtype": "int8",
    "filters.kernel": 3,
    "seed": 7,
    "trace": False,
    "a.b.c": 1.5,
}

TRUE = [
    "stride == 2", "conv.stride == 2", "seed > 6 and seed < 8", "6 < seed <= 7", "not trace", "trace == false",
    "conv.dtype == None", "input.dtype == 'int16'", "'int' in input.dtype", "seed in [6, 7]",
    "seed not in (1, 2)", "input.shape == [1,3,8,8]", "shape[2] == shape[-1]", "len(shape) == 4",
    "shape[2] - kernel + 1 == 6", "seed // 2 == 3 and seed % 2 == 1", "seed / 2 == 3.5", "-seed == +-7",
    "max(seed, 9) == 9", "min(shape) == 1", "abs(-seed) == 7", "pad[0] < pad[1] or nothing", "c * 2 == 3.0",
    "True and true", "not None", "1 <= stride != 3", "conv.stride >= 2 and (seed == 1 or seed == 7)", " seed == 7 ",
    "(seed\n== 7)", "c == 1.5", "a.b.c == 1.5", "input.dtype != filters.dtype", "not seed == 8",
]  # fmt: skip


@pytest.mark.parametrize("text", TRUE)
def test_what_it_says(text: str) -> None:
    assert compile_expression("where", text)(VALUES) is True
    assert not compile_expression("where", f"not ({text})")(VALUES)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (
            "strid == 2",
            r"where: got strid == 2, expected values that go together in it \(.*no strid here; did you mean s",
        ),
        ("input.dtype == int16", r"no int16 here; a text needs quotes: 'int16'"),
        ("dtype == null", r"dtype could be conv\.dtype or filters\.dtype or input\.dtype"),
        ("'a' * 1000000000 == 'b'", r"arithmetic of 'a' and 1000000000"),
        ("[1] * 1000000000 == 1", r"arithmetic of \[1\] and 1000000000"),
        ("'%s' % seed == '7'", r"arithmetic of '%s' and 7"),
    ],
)
def test_values_that_do_not_go_together(text: str, match: str) -> None:
    expression = compile_expression("where", text)
    with pytest.raises(ConfigError, match=match):
        expression(VALUES)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("seed < 'a'", TypeError),
        ("seed / 0 == 1", ZeroDivisionError),
        ("shape[9] == 1", IndexError),
        ("seed[0] == 1", TypeError),
        ("min(seed) == 1", TypeError),
        ("len() == 1", TypeError),
        ("1 in seed", TypeError),
        (f"{'not ' * 240}seed == {'-' * 5}1 / 0", ZeroDivisionError),
    ],
)
def test_what_python_cannot_work_out_is_said_in_its_words(text: str, kind: type[Exception]) -> None:
    with pytest.raises(ConfigError, match=r"^where: got .*, expected values that go together in it \(.+\)$") as refused:
        compile_expression("where", text)(VALUES)
    assert type(refused.value.__cause__) is kind
    assert str(refused.value).endswith(f"({refused.value.__cause__})")


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "seed ==", "seed = 7", "a b", "import os", "seed; seed", "(seed", "seed == 7 #\n1",
        "__import__('os')", "open('x')", "().__class__", "'a'.upper()", "seed.bit_length()", "[].append(1)",
        "lambda: 1", "[x for x in shape]", "{x for x in shape}", "{}", "{1: 2}", "{1}", "f'{seed}'", "b'a'", "1j",
        "...", "seed if trace else 1", "(seed := 1)", "shape[1:2]", "shape[:]", "max(seed, key=len)", "max(*shape)",
        "2 ** 3", "1 << 9", "1 >> 9", "1 | 2", "1 & 2", "1 ^ 2", "~1", "1 @ 2", "seed is None", "seed is not 7",
        "await seed", "yield", "min.__call__(1)", "(1).real", "[1].x", "sum(shape)", "eval('1')", "getattr(seed, 'x')",
        "\0", "\ud800", "1" * 1001, "(" * 300 + "1" + ")" * 300,
    ],
)  # fmt: skip
def test_what_is_no_expression(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConfigError, match=r"where: got .*, expected an expression of"):
            compile_expression("where", text)({"seed": 1} if "==" not in text else VALUES)


def test_a_long_expression_is_refused() -> None:
    with pytest.raises(ConfigError, match="an expression of at most 1000 characters"):
        compile_expression("where", "seed == 1 or " * 100 + "seed == 2")


@pytest.mark.parametrize("text", ["-" * 990 + "1", "not " * 240 + "1", "seed" + ".a" * 490, "[" * 90 + "1" + "]" * 90])
def test_deep_expressions_end_in_one_error_or_a_value(text: str) -> None:
    said = ""
    try:
        compile_expression("where", text)(VALUES)
    except ConfigError as error:
        said = str(error)
    assert "\n" not in said


def test_nothing_is_called_but_four_functions() -> None:
    # every node of Python's that the language takes, so that a new one is a decision
    assert set(FUNCTIONS) == {"min", "max", "abs", "len"}
    assert {kind.__name__ for kind in (*BINARY, *UNARY, *COMPARE)} == {
        "Add", "Sub", "Mult", "Div", "FloorDiv", "Mod", "Not", "USub", "UAdd",
        "Eq", "NotEq", "Lt", "LtE", "Gt", "GtE", "In", "NotIn",
    }  # fmt: skip
    assert ast.Pow not in BINARY


def test_parts_are_looked_at_only_as_far_as_needed() -> None:
    for text, expected in (("trace and nowhere", False), ("seed or nowhere", True)):
        assert compile_expression("where", text)(VALUES) is expected


def test_a_whole_key_counts_more_than_the_end_of_another() -> None:
    assert compile_expression("where", "seed")({"seed": 1, "sweep.seed": 2}) == 1
    assert compile_expression("where", "none")({"none": 3}) == 3
