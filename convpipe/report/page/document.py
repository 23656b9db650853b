"""One self-contained HTML file, which asks for nothing and runs nothing but its own script."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from string import Template
from typing import Any

from convpipe.errors import literal
from convpipe.report.page.packed import Packed, packed_text
from convpipe.report.page.script import part, script, style, words

Note = tuple[str, Mapping[str, Any]]  # a key of words, and the values in them
Cells = Sequence[str | Note]


@dataclass(frozen=True)
class Table:
    """A table that is read without the script: its heads are keys of words."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Cells]
    mark: str  # its id


@dataclass(frozen=True)
class Content:
    """What a page holds."""

    entry: str  # the module that starts it
    title: str
    language: str
    facts: Mapping[str, Any]
    arrays: Mapping[str, Packed]
    tables: Sequence[Table] = ()
    foot: Sequence[str | Note] = field(default=())  # lines
    views: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # arrays that hold what another of them holds
    notes: Sequence[Note] = ()


def document(content: Content) -> bytes:
    """The file's bytes, the same each time."""
    code, look = script(content.entry), style(content.entry)
    told = {key for key, _ in content.notes}
    said = {
        language: {**texts, **{key: text for key, text in words("notes")[language].items() if key in told}}
        for language, texts in words(content.entry).items()
    }
    facts = {
        **content.facts,
        "language": content.language,
        "arrays": {**{name: each.facts for name, each in content.arrays.items()}, **content.views},
    }
    return filled(
        "page.html",
        language=escape(content.language),
        title=escape(content.title),
        script=code,
        style=look,
        script_sha256=sha256_base64(code),
        style_sha256=sha256_base64(look),
        notes="\n".join(note_html(each, said[content.language]) for each in content.notes),
        body="\n".join(table_html(each, said[content.language]) for each in content.tables),
        foot="\n".join(f"<p{text_html(line, said[content.language])}</p>" for line in content.foot),
        data="\n".join(
            [
                json_block("facts", facts),
                text_block("words", packed_text(compact(said))),
                *map(array_block, content.arrays.items()),
            ]
        ),
    ).encode(errors="backslashreplace")


def filled(name: str, **slots: str) -> str:
    """A template with its slots filled, all of them escaped or made here."""
    return Template(part(name)).substitute(slots)


def sha256_base64(text: str) -> str:
    """The hash by which the page's policy knows its script and its style."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def json_block(name: str, value: Any) -> str:
    """A value as JSON that ends no script element, whatever is in it."""
    return f'<script type="application/json" id="{name}">{compact(value).replace("<", chr(92) + "u003c")}</script>'


def compact(value: Any) -> str:
    """A value as JSON without a space more than it needs."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def array_block(entry: tuple[str, Packed]) -> str:
    """An array's text, which the script decodes when it is looked at."""
    name, array = entry
    return text_block(f"a-{escape(name)}", array.text)


def text_block(name: str, text: str) -> str:
    """Packed bytes; those of the words are named without the a- of arrays, which may have any name."""
    return f'<script type="application/octet-stream" id="{name}">{text}</script>'


def table_html(table: Table, said: Mapping[str, str]) -> str:
    """A table, whose words the script changes with the language."""
    heads = "".join(f'<th scope="col"{spoken(key, said)}</th>' for key in table.heads)
    caption = f"<h2{spoken(table.caption, said)}</h2>"
    rows = "".join(row_html(cells, said) for cells in table.rows)
    whole = f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>"
    label = f'data-label="{table.caption}" aria-label="{escape(said.get(table.caption, table.caption))}"'
    region = f'<div class="wide" tabindex="0" role="region" {label}>{whole}</div>'
    return f'<section id="{table.mark}">{caption}\n{region}</section>'


def spoken(key: str, said: Mapping[str, str]) -> str:
    """The rest of a tag with a text that follows the language, or, where it is no key of words, stays as it is."""
    return f' data-word="{key}">{escape(said[key])}' if key in said else f">{escape(literal(key))}"


def note_html(note: Note, said: Mapping[str, str]) -> str:
    """A sentence about the page."""
    return f'<p class="note"{text_html(note, said)}</p>'


def text_html(text: str | Note, said: Mapping[str, str]) -> str:
    """The rest of a tag with a text: one that stays as it is, or one which the script says in another language."""
    if isinstance(text, str):
        return f">{escape(literal(text))}"
    key, values = text
    found = said.get(key, key)
    for name, value in values.items():
        found = found.replace(f"{{{name}}}", str(value))
    data = escape(json.dumps(values, ensure_ascii=False))
    return f' data-word="{key}" data-values="{data}">{escape(literal(found))}'


def row_html(cells: Cells, said: Mapping[str, str]) -> str:
    """A row whose first cell is its head; HTML leaves out where its cells end, which is a KB of a small page."""
    head, *rest = (text_html(cell, said) for cell in cells)
    return f'<tr><th scope="row"{head}</th>{"".join(f"<td{cell}" for cell in rest)}'
