"""Every Python name that the extension imports at run time exists: no linter sees that somebody needs it."""

import importlib
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "rust/core/src/names.rs"
NAMES = re.findall(r'\w+,\s*"([\w.]+)",\s*"(\w+)"', SOURCE.read_text())


def test_the_names_are_found_in_the_source() -> None:
    assert len(NAMES) > 20


@pytest.mark.parametrize(("module", "name"), NAMES, ids=lambda each: each)
def test_imported_name_exists(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name)
