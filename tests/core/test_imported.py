"""Every Python name that the extension imports at run time exists: no linter sees that somebody needs it."""

import importlib
import re
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "rust/core/src/names.rs"
# What is compiled for Python 3.12 and later is asked for there only.
NEWER = re.compile(r"#\[cfg\(all\(Py_3_12\b.*?\);" if sys.version_info < (3, 12) else r"(?!)", re.DOTALL)
NAMES = re.findall(r'\w+,\s*"([\w.]+)",\s*"(\w+)"', NEWER.sub("", SOURCE.read_text()))


def test_the_names_are_found_in_the_source() -> None:
    assert len(NAMES) > 20


@pytest.mark.parametrize(("module", "name"), NAMES, ids=lambda each: each)
def test_imported_name_exists(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(module), name)
