"""Every Python name that the extension imports at run time exists: no linter sees that somebody needs it."""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "rust/core/src"
MODULE = re.compile(r'"([\w.]+)" \{(.*?)\}', re.DOTALL)
NAME = re.compile(r'(#\[cfg\(.*?\)\]\s+)?(\w+)(?: = "(\w+)")?(?:,|\s*$)')


def imported_names(source: Path) -> Iterator[tuple[str, str]]:
    """Yield module and name of what `imported!` and `imported_types!` declare in one file."""
    for module, declared in MODULE.findall(re.sub("//.*", "", source.read_text())):
        for condition, name, attribute in NAME.findall(declared):
            # What is compiled for Python 3.12 and later is asked for there only.
            if "Py_3_12" not in condition or sys.version_info >= (3, 12):
                yield module, attribute or name


NAMES = [each for source in sorted(SOURCES.rglob("names.rs")) for each in imported_names(source)]


def test_the_names_are_found_in_the_sources() -> None:
    for expected in [
        ("pydantic_core", "PydanticUndefined"),
        ("pydantic_core", "from_json"),
        ("starlette.requests", "Request"),
        ("ferroapi.applications", "_is_called_as_written"),
    ]:
        assert expected in NAMES
    assert len(NAMES) > 100


@pytest.mark.parametrize(("module", "name"), NAMES, ids=lambda each: each)
def test_imported_name_exists(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name)
