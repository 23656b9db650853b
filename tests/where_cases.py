"""Tables and expressions about them, which `convpipe runs --where` and a collection's page must answer alike."""

import random

from convpipe.archive.table import Row

NAMES = (
    "conv.stride", "conv.pad", "input.shape", "input.dtype", "filters.dtype", "filters.kernel", "a.b.값", "note",
    "constructor",
)  # fmt: skip
CELLS = (
    "", "", "0", "1", "2", "3", "-1", "10", "9", "0.5", "1.0", "1e-05", "2.5e+300", "-0.0", "9007199254740993",
    "9007199254740992.0", "True", "False", "None", "nan", "inf", "same", "valid", "int8", "[1, 2]", "[1, 10]",
    "[2, 1]", "[]", "['a', 1]", "[[1], 2.0]", "'7'", "\"it's\"", "'[1]'", "[1, nan]", "(1, 2)", "['x", "007", "1_000",
    "한글", "\U0001f600", "\uffff", "=1+1", "a,b", 'say "no"', "two\nlines", "</script><img src=x onerror=alert(1)>",
    "1e999", "[-1, +2]", "[1e999]", "[True]", "[None]", "['\\x41\\n']", "1" * 40,
)  # fmt: skip
CONSTANTS = (
    "0", "1", "2", "3", "-1", "0.5", "1.", ".5", "1e3", "0x1f", "0b11", "0o17", "1_000", "9007199254740993", "1e999",
    "'same'", '"valid"', "'a'", "''", "'''x'''", "r'\\n'", "'\\x41\\u0042\\\\'", "'a' 'b'", "True", "False", "None",
    "null", "TRUE", "[]", "()", "(1,)", "[1, 2]", "(1, 2)", "[1, [2]]", "['a', 1]", "'한글'", "'\U0001f600'", "1" * 40,
    "00", "'done'",
)  # fmt: skip
LEAVES = (
    *NAMES, "constructor", "toString", "stride", "pad", "shape", "dtype", "kernel", "값", "b.값", "run", "status",
    "seconds", "output_shape", "min", "max", "macs",
)  # fmt: skip
WRONG = (
    "__proto__", "hasOwnProperty", "strid", "shap", "nothing_like_it", "padding", "time", "seconds.x", "int8",
    "Conv.stride",
)  # fmt: skip
COMPARISONS = (
    "==", "!=", "<", "<=", ">", ">=", "in", "not in",
)  # fmt: skip
JUNK = (
    "", "1 +", "(1", "1)", "a = 1", "1 ** 2", "1 if 2 else 3", "lambda: 1", "x is None", "{1}", "{}",
    "[1 for x in y]", "f'a'", "b'a'", "1j", "'a", "'''a'", "0777", "1__0", "1_", "1a", "stride.2", "(stride).x",
    "[1][0].x", "f(1)", "min(x=1)", "min(*[1])", "a[1:2]", "a[]", "[1,,2]", "(,)", "not", "1 not 2", "1 == not 2",
    "- not 1", "1 <> 2", "~1", "1 & 2", "a b", "'a' b", "1 'a'", "...", "x := 1", "a.in", "a.True", "True.x",
    "1 # comment", "# only", "1\n", "(1\n== 1)", "1\n== 1", "__import__('os')", "stride.__class__", "'\\u12'",
    "'\\U00110000'", "len", "1;2", "@", "$", "\\", "1, 2", "1,", "*a", "'\\q'", "1or 2", "1 or2", "0xfor 1", "1.real",
    "1..x", "if", "'a' in 'abc' in ['abc']", "('%s' % 1) == '1'", "\u00a0stride == 1", "stride\u00a0== 1",
    "\uff53\uff54\uff52\uff49\uff44\uff45 == 2", "not " * 150 + "1", "(" * 150 + "1" + ")" * 150,
    "(" * 230 + "1" + ")" * 230, "1" * 1001, "'" + "\U0001f600" * 998 + "'", "-" * 90 + "1 == 1", "a/" * 60 + "b",
    "x " * 60, "'tab\tbell\x07' < 1",
)  # fmt: skip
FIXED_QUESTIONS = (
    "min(stride) == 1", "max(pad) > 1", "min(shape) < 9", "len(note) == 2", "stride / 0 == 1", "stride // 0",
    "1.5 % 0", "not (1e999 - 1e999)", "1e999 - 1e999", "[1e999 - 1e999] == [1e999 - 1e999]", "[seconds] == [seconds]",
    "-7 // 2 == -4 and -7 % 2 == 1", "-7.5 // 2 == -4.0 and -7.5 % 2 == 0.5", "7 % -2 == -1", "-1 % 1e999 == 1e999",
    "True + True == 2", "-True == -1", "abs(-3) == 3", "abs('a')", "-'a'", "+[1]", "'a' + 'b'", "'a' * 3", "[1] * 2",
    "9007199254740993 == 9007199254740992.0", "9007199254740993 > 9007199254740992.0", "1 / 3 == 0.3333333333333333",
    f"{'9' * 400} / 1 > 1", f"{'9' * 400} * 1.5 > 1", f"{'9' * 400} / {'9' * 399}.0 > 1",
    f"{'9' * 400} / {'3' * 400} == 3", f"{10**30 + 1} / {10**29} > 10", "'a' < 1", "[1] < ['a']",
    "[1, 'a'] < [1, 'b']", "[1] < [1, 2]", "None < 1", "'ab'[0] == 'a'", "'ab'[2]", "[1][1.0]", "[1]['a']",
    "'a'['b']", "1[0]", "None[0]", "shape[0] == 1", "note[0]", "1 in 1", "1 in 'a'", "stride in 'abc'",
    "stride in [1, 2]", "min()", "len()", "len(1, 2)", "len(1)", "len(None)", "min([])", "min(1)", "min('ba') == 'a'",
    "max(1, 2.5, True) == 2.5", "max([1, 'a'])", "'\U0001f600' > '\uffff'", "len('\U0001f600') == 1",
    "dtype == 'int8'", "no_such", "1 and no_such", "0 and no_such", "1 or no_such", "1 < 0 < no_such", "seconds < 1",
    "9007199254740993 in [9007199254740992.0]", "0.1 + 0.2 == 0.3", "'a' == \"a\"", "[1, 2] == (1, 2)",
    "[None] == [pad]", "'it\\'s' < 1", "\"it's\" < 1", "['a', 1.5, None, True, 1e+16, 1e-5, -0.0, 1e999] < 1",
    "'\\n\\t\\x00\\u202e' < 1", "-stride < 0", "+pad == 1", "abs(pad) == 1", "0 == False and '' != False",
    "[0] == [False]", "not pad", "pad or stride",
)  # fmt: skip


def expression(source: random.Random, depth: int) -> str:
    """A random expression; most of them make sense."""
    if depth == 0 or source.random() < 0.15:
        leaf = source.random()
        return source.choice(LEAVES if leaf < 0.55 else CONSTANTS if leaf < 0.98 else WRONG)
    part = [expression(source, depth - 1) for _ in range(3)]
    forms = (
        f"{part[0]} {source.choice(COMPARISONS)} {part[1]}",
        f"{part[0]} {source.choice(COMPARISONS)} {part[1]} {source.choice(COMPARISONS)} {part[2]}",
        f"{part[0]} {source.choice(('and', 'or'))} {part[1]}",
        f"not {part[0]}",
        f"({part[0]})",
        f"{part[0]} {source.choice('+-*/%')} {part[1]}",
        f"{part[0]}//{part[1]}",
        f"{source.choice('+-')}{part[0]}",
        f"[{part[0]}, {part[1]}]",
        f"({part[0]})[{source.choice(('0', '-1', '1', part[1]))}]",
        f"{source.choice(('min', 'max', 'abs', 'len'))}({', '.join(part[: source.choice((0, 1, 1, 1, 2, 2, 3))])})",
    )
    return source.choice(forms if depth < 3 else forms[:5])


def random_rows(source: random.Random, count: int) -> list[Row]:
    """Rows as of a collection whose runs do not all have the same columns; each column keeps to a few cells."""
    palettes = {name: source.sample(CELLS, source.choice((1, 2, 4, 9))) for name in NAMES}
    rows = []
    for _ in range(count):
        row = {"run": f"{source.randrange(16**12):012x}", "status": source.choice(("done", "failed"))}
        row |= {name: source.choice(palettes[name]) for name in NAMES if source.random() < 0.9}
        if row["status"] == "done":
            row |= {"output_shape": source.choice(("(1,2)", "7")), "seconds": f"{source.random():.9f}", "format": "2"}
            row |= {end: source.choice(("nan", "inf", "-inf", "1", "-2.5", "")) for end in ("min", "max")}
        rows.append(row)
    return rows
