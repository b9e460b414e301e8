"""A file holds one concept: how long it may be, and which files are long because FastAPI names them."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 450
"""In lines."""

# Modules that FastAPI names: what packages import from them, and replace in them, must be there.
NAMED_BY_FASTAPI = {
    "python/ferroapi/applications.py",
    "python/ferroapi/routing.py",
    "python/ferroapi/openapi/models.py",
    "python/ferroapi/_compat/v2.py",
}

FILES = {
    str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines())
    for pattern in ("python/ferroapi/**/*.py", "rust/*/src/**/*.rs")
    for file in ROOT.glob(pattern)
}


def test_sizes_files_are_found() -> None:
    assert {"python/ferroapi/_routing/table.py", "rust/core/src/table.rs", "rust/wire/src/routes.rs"} <= FILES.keys()


@pytest.mark.parametrize("name", sorted(FILES.keys() - NAMED_BY_FASTAPI))
def test_sizes_file_is_no_longer_than_one_concept(name: str) -> None:
    assert FILES[name] <= LONGEST, f"{name} has {FILES[name]} lines: look for the second concept in it"


@pytest.mark.parametrize("name", sorted(NAMED_BY_FASTAPI))
def test_sizes_exception_is_still_needed(name: str) -> None:
    assert FILES[name] > LONGEST, f"{name} is short enough now: take it off the list"
