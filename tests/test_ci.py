""".ci/run does what README says, on any machine."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

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


@pytest.mark.parametrize(("section", "function"), [("Run it", "run_line"), ("Test it", "run_tests")])
def test_it_runs_what_readme_says(section: str, function: str) -> None:
    called = f'{function} "$(readme_command "{section}")"'
    assert called in SCRIPT.read_text()
    extracted = bash(f'{script_function("readme_command")}\nreadme_command "{section}"').stdout
    assert extracted == readme_command(section) + "\n"


def test_it_refuses_a_readme_without_the_command() -> None:
    done = bash(f"{script_function('readme_command')}\n{script_function('run_line')}\n"
                'run_line "$(readme_command "No such heading")"')  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "README.md has no such command\n"


def test_tests_run_by_way_of_what_fails_where_none_ran() -> None:
    lines = SCRIPT.read_text().splitlines()
    assert [line for line in lines if "pytest" in line or "Test it" in line] == [
        'run_tests "$(readme_command "Test it")"',
        'run_tests ".venv-oldest/bin/python -m pytest $CORE"',
    ]


@pytest.mark.parametrize(
    ("printed", "code"),
    [("12 passed in 3s", 0), ("3 skipped, 1 passed", 0), ("0 passed", 1), ("3 skipped, 20 deselected", 1), ("", 1)],
)
def test_it_fails_where_no_test_ran(printed: str, code: int) -> None:
    functions = map(script_function, ("run_line", "run_tests"))
    script = "\n".join(["set -euo pipefail", "log=$(mktemp)", *functions])
    done = bash(f"{script}\nrun_tests \"echo '{printed}'\"")
    assert (done.returncode, done.stderr) == (code, "no test ran\n" if code else "")
    assert done.stdout == f"$ echo '{printed}'\n{printed}\n"
    assert bash(f"{script}\nrun_tests \"echo '{printed}'; exit 7\"").returncode == 7


# The oldest versions


def test_the_oldest_versions_are_pyprojects_lower_bounds() -> None:
    with open(CHECKOUT / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)["project"]
    stated = [f"python{project['requires-python']}", *project["dependencies"]]
    stated += [requirement for extra in project["optional-dependencies"].values() for requirement in extra]
    bounds = [(found.name, bound) for found in map(Requirement, stated) for bound in found.specifier]
    expected = [f"{name}=={bound.version}" for name, bound in bounds if bound.operator == ">="]
    done = bash(f"{script_function('oldest_versions')}\noldest_versions")
    assert done.stdout.splitlines() == expected
    assert {"python==3.11", "numpy==1.26", "hydra-core==1.3.8", "pillow==11"} <= set(expected)


def test_the_core_is_of_files_that_are_there() -> None:
    (core,) = re.findall(r"^CORE=\$\(.*?\)$", SCRIPT.read_text(), re.MULTILINE | re.DOTALL)
    files = bash(f'{core}\necho "$CORE"').stdout.split()
    assert len(files) > 30
    assert [file for file in files if not (CHECKOUT / file).is_file()] == []


def test_it_lints_formats_and_checks_types() -> None:
    lines = SCRIPT.read_text().splitlines()
    for line in ("ruff check .", "ruff format --check .", "mypy"):
        assert f".venv/bin/{line}" in lines


def test_it_names_no_host_and_leaves_the_numeric_environment_alone() -> None:
    text = SCRIPT.read_text()
    assert not re.search(r"https?:|\b[\w-]+\.(org|com|net|io|dev)\b|index-url|find-links", text)
    assert not re.search(r"(export|unset)\s+OPENBLAS|OPENBLAS_\w+=", text)
