"""The page's modules: what they may say, that node reads them, and that their script does the same with short names."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from convpipe.report.page import script as page_script
from convpipe.report.page.shrink import shrunk

PARTS = Path(page_script.__file__).parent
MODULES = sorted(PARTS.glob("*.mjs"))
NODE_TESTS = sorted((Path(__file__).parent / "page").glob("*.test.mjs"))
ENTRIES = sorted(path.stem for path in MODULES if path.stem.endswith("_page"))

TOP_LEVEL = re.compile(r"(?:export )?(?:async )?(?:function|const|let|class) (\w+)")
EXPORT = re.compile(r"export (?:async )?(?:function|const) \w+")
FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|\bfetch\(|XMLHttpRequest|WebSocket"
    r"|srcdoc|\bimport\(|javascript:|setAttribute\(\"style\"|localStorage|sessionStorage"
)

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node reads the modules and is not installed")


def faults(name: str, text: str) -> list[str]:
    """What is wrong with a module's text, by the rules that let modules become one script."""
    found = [f"{name}: {match}" for match in FORBIDDEN.findall(text)]
    for line in text.splitlines():
        if line.startswith("import ") and not page_script.IMPORT.fullmatch(line):
            found.append(f"{name}: not an import that is understood: {line}")
        if line.lstrip().startswith("import ") and not line.startswith("import "):
            found.append(f"{name}: an import inside: {line}")
        if re.match(r"\s*export\b", line) and not EXPORT.match(line):
            found.append(f"{name}: not an export that is understood: {line}")
        if "//" in re.sub(r'"(?:\\.|[^"\\])*"|`[^`]*`', "", line) and not line.lstrip().startswith("//"):
            found.append(f"{name}: a comment behind code: {line}")
        if line.count("`") % 2:
            found.append(f"{name}: a template over several lines: {line}")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_keeps_the_rules(path: Path) -> None:
    assert faults(path.stem, path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        'import x from "./dom.mjs";',
        'import { x } from "elsewhere";',
        "export default 1;",
        "  export const x = 1;",
        "const x = 1; // why",
        "const x = `a\nb`;",
        "node.innerHTML = text;",
        "const x = eval(text);",
        "const x = await import(name);",
        'node.setAttribute("style", x);',
    ],
)
def test_what_breaks_the_rules_is_found(text: str) -> None:
    assert faults("bad", text)


def test_no_name_is_taken_twice() -> None:
    names = Counter(
        found[1]
        for path in MODULES
        for line in path.read_text("utf-8").splitlines()
        if (found := TOP_LEVEL.match(line))
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_what_is_imported_is_exported() -> None:
    for path in MODULES:
        for names, module in re.findall(r'import \{ ([^}]*) \} from "\./(\w+)\.mjs";', path.read_text("utf-8")):
            there = re.findall(
                r"^export (?:async )?(?:function|const) (\w+)", (PARTS / f"{module}.mjs").read_text(), re.M
            )
            assert set(names.split(", ")) <= set(there), (path.stem, module)


# Node


def node(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["node", *arguments], input=text, capture_output=True, text=True, timeout=120, check=False)


@needs_node
@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_node_reads_a_module(path: Path) -> None:
    answer = node("--check", str(path))
    assert answer.returncode == 0, answer.stderr


@needs_node
@pytest.mark.parametrize("entry", ENTRIES)
def test_node_reads_a_page_s_script(entry: str, tmp_path: Path) -> None:
    path = tmp_path / "script.mjs"
    path.write_text(page_script.script(entry), "utf-8")
    answer = node("--check", str(path))
    assert answer.returncode == 0, answer.stderr


@needs_node
@pytest.mark.parametrize("path", NODE_TESTS, ids=lambda path: path.name.partition(".")[0])
def test_a_module_does_what_its_tests_say(path: Path) -> None:
    answer = node("--test", "--test-reporter=tap", str(path))
    assert answer.returncode == 0, answer.stdout
    assert re.search(r"^# pass [1-9]", answer.stdout, re.M), answer.stdout


# Short names

TRICKY = dict(
    paragraph.removeprefix("// ").split("\n", 1)
    for paragraph in (Path(__file__).parent / "page" / "tricky.txt").read_text("utf-8").split("\n\n")
)
SAY = "const say = (value) => console.log(JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? String(v) : v)));\n"


@needs_node
@pytest.mark.parametrize("code", TRICKY.values(), ids=TRICKY)
def test_a_script_with_short_names_says_the_same(code: str) -> None:
    wanted, got = (node("--input-type=module", text=text) for text in (SAY + code, shrunk(SAY + code)))
    assert wanted.returncode == 0, wanted.stderr
    assert wanted.stdout
    assert (got.stdout, got.returncode) == (wanted.stdout, 0), (shrunk(code), got.stderr)


def test_names_do_become_short() -> None:
    for entry in ENTRIES:
        assert not re.search(r"\b(?:const|function) [A-Za-z]{4,}\b", page_script.script(entry))


def test_a_script_is_the_same_each_time() -> None:
    assert len({shrunk("const first = 1; const second = first + first;") for _ in range(3)}) == 1
