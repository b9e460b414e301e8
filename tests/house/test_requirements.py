"""What tests, benches and examples import is installed by `make build`, and not only by another command or by hand."""

import ast
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
MANIFEST = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT, GROUPS = MANIFEST["project"], MANIFEST["dependency-groups"]
FOLDERS = ("tests", "benches", "examples")

# Their commands of the Makefile install more, or make an environment of their own.
ELSEWHERE = ("benches/http/peers.py", "benches/load/peers.py", "examples/ray_serve/", "tests/ray_serve/")
# It comes with each virtual environment.
ALWAYS = {"pip"}


def _group(name: str) -> Iterator[str]:
    """Yield the requirements of a group and of those that it includes."""
    for entry in GROUPS[name]:
        yield from _group(entry["include-group"]) if isinstance(entry, dict) else [entry]


def _installed_for(requirements: Iterable[str]) -> set[str]:
    """Return the names of the distributions that come with these requirements, as far as they are installed."""
    found: set[tuple[str, str]] = set()
    waiting = [(Requirement(each), "") for each in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        for wanted in {"", *requirement.extras}:
            if (name, wanted) not in found:
                found.add((name, wanted))
                try:
                    needed = requires(name)
                except PackageNotFoundError:
                    continue
                waiting += [(Requirement(each), wanted) for each in needed or ()]
    return {name for name, _ in found}


def _modules_imported(text: str) -> Iterator[str]:
    """Yield the first part of each module that a source imports."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def _undeclared(text: str, declared: set[str], own: set[str], distributions: Mapping[str, list[str]]) -> set[str]:
    """Return the modules a source imports that no requirement installs."""
    return {
        name
        for name in _modules_imported(text)
        if name not in own | ALWAYS and declared.isdisjoint(map(canonicalize_name, distributions.get(name, ())))
    }


def _sources() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.py"))


OWN = {
    "ferroapi",
    "_ferroapi_alias",
    *FOLDERS,
    *sys.stdlib_module_names,
    *(path.stem for path in _sources()),
    *(path.parent.name for path in _sources()),
}
"""What is found without a package: modules of this repository, which some files import by their last name."""

MADE = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["standard"], *_group("dev"), *_group("gil")]
"""What the Makefile installs before it builds."""


@pytest.mark.gil
def test_imported_module_is_of_a_package_that_the_makefile_installs() -> None:
    declared, distributions = _installed_for(MADE), packages_distributions()
    undeclared = {}
    for path in _sources():
        name = path.relative_to(ROOT).as_posix()
        found = _undeclared(path.read_text(), declared, OWN, distributions)
        if found and not name.startswith(ELSEWHERE):
            undeclared[name] = sorted(found)
    assert undeclared == {}


def test_undeclared_modules_are_found() -> None:
    text = "import a.b, here\nfrom c import d\nfrom . import e"
    assert _undeclared(text, {"a-1"}, {"here"}, {"a": ["A_1"], "c": ["c"], "here": ["other"]}) == {"c"}
    assert _undeclared("import absent", {"absent"}, set(), {}) == {"absent"}
    assert {"starlette", "anyio", "trio", "uvloop", "wsproto", "idna"} <= _installed_for(MADE)
    assert "wsproto" not in _installed_for(PROJECT["dependencies"])
