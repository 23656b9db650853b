"""A script with short names and without what only its readers need, as every page carries it.

All variables of one name get the same short name wherever they stand, and different names different ones, so that what
is told apart stays told apart. Properties, texts and what the browser brings keep their names.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count, product
from string import ascii_letters

TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<number>\d[\w.]*)|(?P<name>[A-Za-z_$][\w$]*)
    |(?P<mark>=>|\.\.\.|\?\.|[=!]==?|\*\*=?|&&=?|\|\|=?|\?\?=?|<<|>>>?|\+\+|--|[-+*/%&|^<>]=|[^\w\s])""",
    re.VERBOSE,
)
REGEX = re.compile(r"/(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\\[])+/[a-z]*")
MEETING = re.compile(r"^(?:[\w$]{2}|\+\+|--)$")  # two pieces that would be one
TEMPLATE = re.compile(r"(?:\\.|\$(?!\{)|[^`\\$])*")
WORDS = (
    "async await break case catch class const continue default delete do else extends false finally for function get if"
    " in instanceof let new null of return set static super switch this throw true try typeof undefined var void while"
    " yield"
)
KEYWORDS = frozenset(WORDS.split())
BEFORE_VALUES = "( , = : [ ? ... || && ?? return const let of in default yield await + !"
VALUE_FOLLOWS = frozenset(BEFORE_VALUES.split())
OPENING, CLOSING = {"(": ")", "[": "]", "{": "}"}, frozenset(")]}")
DECLARING = frozenset(("const", "let", "var", "function", "class"))
MEMBER_FOLLOWS = frozenset(("{", "}", ";", "async", "get", "set", "static"))
BEFORE_CONDITION = frozenset(("if", "for", "while", "switch"))


@dataclass(frozen=True)
class Token:
    """A piece of a script; `after_line` says that a line ended before it."""

    kind: str
    text: str
    after_line: bool = False


def tokens_of(script: str) -> Iterator[Token]:
    """The pieces of a script; of a template, its texts and between them what stands in its braces."""
    place, last, line, depth = 0, Token("mark", ";"), False, list[str]()
    while place < len(script):
        if depth and script[place] == "}" and depth[-1] == "`":
            depth.pop()
            found = Token("template", "}" + TEMPLATE.match(script, place + 1)[0])  # type: ignore[index]
        elif script[place] == "`":
            found = Token("template", "`" + TEMPLATE.match(script, place + 1)[0])  # type: ignore[index]
        else:
            found = plain_token(script, place, last)
        place += len(found.text)
        if found.kind == "space":
            line |= "\n" in found.text
            continue
        if found.kind == "template":
            end = "${" if script.startswith("${", place) else "`"
            place += len(end)
            depth += ["`"] if end == "${" else []
            found = Token("template", found.text + end)
        elif found.text in ("{", "}"):
            depth = [*depth, "{"] if found.text == "{" else depth[:-1]
        last = Token(found.kind, found.text, line)
        yield last
        line = False


def plain_token(script: str, place: int, last: Token) -> Token:
    """The piece that starts at a place outside of templates."""
    divides = last.text in (")", "]", "}") or (last.kind in ("name", "number", "string") and last.text != "return")
    if script[place] == "/" and not divides and (regex := REGEX.match(script, place)):
        return Token("string", regex[0])
    found = TOKEN.match(script, place)
    assert found is not None
    assert found.lastgroup is not None
    return Token(found.lastgroup, found[0])


@dataclass(frozen=True)
class Script:
    """The pieces of a script, and what they mean where they stand."""

    tokens: Sequence[Token]

    def text(self, place: int) -> str:
        """A piece's text; nothing before the first and after the last."""
        return self.tokens[place].text if 0 <= place < len(self.tokens) else ""

    @cached_property
    def brackets(self) -> tuple[dict[int, int], list[int]]:
        """The end of each bracket, and for each piece the bracket that it stands in, or -1."""
        ends, within, stack = dict[int, int](), list[int](), [-1]
        for place, token in enumerate(self.tokens):
            opens = token.text in OPENING if token.kind == "mark" else token.text.endswith("${")
            closes = token.text in CLOSING if token.kind == "mark" else token.text.startswith("}")
            if closes:
                ends[stack.pop()] = place
            within.append(stack[-1])
            if opens:
                stack.append(place)
        return ends, within

    def in_object(self, place: int) -> bool:
        """Whether a piece stands directly in the braces of an object, or of a pattern that takes one apart."""
        start = self.brackets[1][place]
        return start >= 0 and self.text(start) == "{" and self.is_object(start)

    def in_class(self, place: int) -> bool:
        """Whether a piece stands directly in the braces of a class."""
        start = self.brackets[1][place]
        return start >= 0 and self.text(start) == "{" and bool({"class", "extends"} & {*self.words_before(start)})

    def words_before(self, start: int) -> tuple[str, ...]:
        """The three pieces before a brace, where the word `class` stands, if it opens one."""
        return tuple(self.text(at) for at in range(start - 3, start) if self.tokens[at].kind == "name")

    def is_object(self, start: int) -> bool:
        """Whether a brace opens an object, not a block."""
        return self.text(start - 1) in VALUE_FOLLOWS

    def is_variable(self, place: int) -> bool:
        """Whether a name is a variable's: no property's, no method's."""
        token, before, after = self.tokens[place], self.text(place - 1), self.text(place + 1)
        if token.kind != "name" or token.text in KEYWORDS or before in (".", "?."):
            return False
        method = after == "(" and self.is_method(place)
        if self.in_object(place):
            return not (before in ("{", ",", "async") and (after == ":" or method))
        if self.in_class(place):
            return not (before in MEMBER_FOLLOWS and (after in ("=", ";") or method))
        return True

    def is_method(self, place: int) -> bool:
        """Whether a name before a parenthesis is that of a method, whose body follows."""
        return self.text(self.brackets[0][place + 1] + 1) == "{"

    def is_short(self, place: int) -> bool:
        """Whether a variable stands for a property of its own name, too: {name}."""
        around = self.text(place - 1) in ("{", ",") and self.text(place + 1) in (",", "}", "=")
        return around and self.in_object(place)

    def declared(self) -> Iterator[str]:
        """The names of variables that the script makes itself."""
        ends, _ = self.brackets
        for place, token in enumerate(self.tokens):
            before, after = self.text(place - 1), self.text(place + 1)
            pattern = token.text in ("{", "[") and before in DECLARING
            if self.is_variable(place) and (before in DECLARING or after == "=>"):
                yield token.text
            elif pattern or (token.text == "(" and self.has_parameters(place, self.text(ends[place] + 1))):
                yield from self.variables(place, ends[place])

    def has_parameters(self, place: int, after: str) -> bool:
        """Whether a parenthesis holds what a function takes, or a catch."""
        named = place > 0 and self.tokens[place - 1].kind == "name" and self.text(place - 1) not in BEFORE_CONDITION
        return after == "=>" or (after == "{" and named)

    def variables(self, start: int, end: int) -> Iterator[str]:
        """The variables between two brackets, but those that start with a capital: the browser brings them."""
        for place in range(start + 1, end):
            name = self.text(place)
            if self.is_variable(place) and not name[0].isupper():
                yield name


def shrunk(script: str) -> str:
    """A script that does the same.

    >>> shrunk("const first = (value) => ({ value, first: value.first });  console.log(`${first(2)}`);")
    'const b=(a)=>({value:a,first:a.first});console.log(`${b(2)}`);'
    """
    whole = Script(tuple(tokens_of(script)))
    variables = [place for place in range(len(whole.tokens)) if whole.is_variable(place)]
    own = frozenset(whole.declared())
    uses = Counter(whole.text(place) for place in variables)
    taken = KEYWORDS | (uses.keys() - own)
    names = dict(zip((name for name, _ in uses.most_common() if name in own), short_names(taken), strict=False))
    texts = [token.text for token in whole.tokens]
    for place in variables:
        if (new := names.get(texts[place])) is not None:
            texts[place] = f"{texts[place]}:{new}" if whole.is_short(place) else new
    return joined(whole.tokens, texts)


def short_names(taken: frozenset[str]) -> Iterator[str]:
    """Names that are not taken, the shortest first."""
    for size in count(1):
        for letters in product(ascii_letters, repeat=size):
            if (name := "".join(letters)) not in taken:
                yield name


def joined(tokens: Sequence[Token], texts: Sequence[str]) -> str:
    """Pieces with no more space between them than they need; a line's end stays where it may end a statement."""
    parts = list[str]()
    last = ""
    for token, text in zip(tokens, texts, strict=True):
        if token.after_line and last and last[-1] not in ";{,([=?:&|+-*<>" and text[0] not in ")]},.?:&|;":
            parts.append("\n")
        elif MEETING.search(last[-1:] + text[0]):
            parts.append(" ")
        parts.append(text)
        last = text
    return "".join(parts)
