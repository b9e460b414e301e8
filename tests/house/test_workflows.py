"""The workflows run what `.ci/run` runs, by targets that the Makefile has, with tools of fixed versions."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def _jobs(path: Path) -> dict[str, Any]:
    jobs: dict[str, Any] = yaml.safe_load(path.read_text())["jobs"]
    return jobs


def _targets(path: Path) -> set[str]:
    """Return what the jobs of a workflow call `make` with."""
    found: set[str] = set()
    for job in _jobs(path).values():
        for step in job["steps"]:
            for target in re.findall(r"\bmake (\$\{\{ matrix\.target }}|[a-z-]+)", step.get("run", "")):
                found |= {target} if target in TARGETS else set(job["strategy"]["matrix"]["target"])
    return found


def test_workflow_runs_what_the_run_before_a_change_runs() -> None:
    (steps,) = re.findall(r"^for step in (.+); do$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    only_there = {"test-oldest", "test-newest", "test-plain"}
    assert set(steps.split()) | only_there == _targets(ROOT / ".github/workflows/ci.yml")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_calls_targets_that_are_there(path: Path) -> None:
    assert _targets(path) <= TARGETS


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow_names_versions_that_cannot_change(path: Path) -> None:
    text = path.read_text()
    used = re.findall(r"uses: (\S+)", text)
    assert used
    assert [each for each in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", each)] == []
    assert set(re.findall(r"rustup (?:toolchain install|default) (\S+)", text)) == {'"$RUST"'}


def test_workflows_compile_with_one_version_that_the_crates_admit() -> None:
    (version,) = {yaml.safe_load(path.read_text())["env"]["RUST"] for path in WORKFLOWS}
    (oldest,) = re.findall(r'^rust-version = "(\S+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert [int(part) for part in version.split(".")] >= [int(part) for part in oldest.split(".")]


def test_workflows_test_each_python_that_is_named_in_the_metadata() -> None:
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    named = [version for each in classifiers for version in re.findall(r":: (3\.\d+)$", each)]
    # The classifier of a Python without the global lock names no version.
    assert _jobs(ROOT / ".github/workflows/ci.yml")["test"]["strategy"]["matrix"]["python"] == [*named, f"{named[-1]}t"]
