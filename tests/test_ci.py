""".ci/run does what README says, on any machine."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
SCRIPT = CHECKOUT / ".ci" / "run"
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="not a checkout: there is no .ci/run")


def readme_command(section: str) -> str:
    """The one line in a section's bash block, found without the script's own code."""
    found = re.search(rf"^## {section}\n.*?^```bash\n(.*?)\n```$", README, re.MULTILINE | re.DOTALL)
    assert found, f"README.md has no command in {section!r}"
    return found[1]


def bash(command: str) -> subprocess.CompletedProcess[str]:
    """What bash makes of a line, in the checkout."""
    return subprocess.run(["bash", "-c", command], cwd=CHECKOUT, capture_output=True, text=True, check=False)


def script_function(name: str) -> str:
    """The source of one of the script's functions."""
    found = re.search(rf"^{name}\(\) {{\n.*?^}}$", SCRIPT.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f".ci/run has no function {name}"
    return found[0]


def test_it_is_an_executable_that_bash_can_read() -> None:
    assert os.access(SCRIPT, os.X_OK)
    assert bash("bash -n .ci/run").returncode == 0
    assert "\nset -euo pipefail\n" in SCRIPT.read_text()


@pytest.mark.parametrize("section", ["Run it", "Test it"])
def test_it_runs_what_readme_says(section: str) -> None:
    called = f'run_line "$(readme_command "{section}")"'
    assert called in SCRIPT.read_text()
    extracted = bash(f'{script_function("readme_command")}\nreadme_command "{section}"').stdout
    assert extracted == readme_command(section) + "\n"


def test_it_refuses_a_readme_without_the_command() -> None:
    done = bash(f"{script_function('readme_command')}\n{script_function('run_line')}\n"
                'run_line "$(readme_command "No such heading")"')  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "README.md has no such command\n"


def test_it_fails_where_no_test_ran() -> None:
    (check,) = re.findall(r"grep -Eq '(.*)' \"\$log\"", SCRIPT.read_text())
    for line, ran in (("12 passed in 3s", True), ("1 failed, 3 passed", True), ("no tests ran in 0.01s", False)):
        assert bool(re.search(check, line)) is ran
    assert not re.search(check, "0 passed")
    assert not re.search(check, "3 skipped, 20 deselected")


def test_it_lints_formats_and_checks_types() -> None:
    lines = SCRIPT.read_text().splitlines()
    for line in ("ruff check .", "ruff format --check .", "mypy"):
        assert f".venv/bin/{line}" in lines


def test_it_names_no_host_and_leaves_the_numeric_environment_alone() -> None:
    text = SCRIPT.read_text()
    assert not re.search(r"https?:|\b[\w-]+\.(org|com|net|io|dev)\b|index-url|find-links", text)
    assert not re.search(r"(export|unset)\s+OPENBLAS|OPENBLAS_\w+=", text)
