"""The versions that `pyproject.toml` allows: no next major version of a package whose private names are imported."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python/ferroapi"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["standard"]]

# The requirement that says which version of a module is installed, where its name is another.
HELD_BY = {"opentelemetry": "opentelemetry-api", "pydantic_core": "pydantic"}
OTHERS = {"ferroapi", *sys.stdlib_module_names}
# Not private by its name, but nothing that uvicorn documents: the server's protocol is built from it.
UNDOCUMENTED = {"uvicorn.protocols.utils"}


def _private_imports(text: str) -> Iterator[tuple[str, str]]:
    """Yield package and name of each import from another package that the package does not promise."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            package, *parts = name.split(".")
            is_private = any(part.startswith("_") and not part.endswith("__") for part in parts)
            if package not in OTHERS and (is_private or name.rpartition(".")[0] in UNDOCUMENTED):
                yield HELD_BY.get(package, package), name


def _found() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for package, name in _private_imports(path.read_text()):
            found.setdefault(package, set()).add(name)
    return found


@pytest.mark.parametrize(("package", "names"), sorted(_found().items()))
def test_package_with_private_names_in_use_has_an_upper_bound(package: str, names: set[str]) -> None:
    (bounds,) = [
        each.replace(package, "", 1) for each in REQUIREMENTS if each.split(">")[0].split("[")[0] == package
    ] or [""]
    assert ",<" in bounds, f"{package}: {sorted(names)}"


def test_private_imports_are_found() -> None:
    text = "import a.b._c\nfrom a import b\nfrom a.b import _c as d\nfrom ferroapi._core import x\nfrom . import _f"
    assert list(_private_imports(text)) == [("a", "a.b._c"), ("a", "a.b._c")]
    assert {"anyio", "pydantic", "starlette", "uvicorn"} <= _found().keys()
