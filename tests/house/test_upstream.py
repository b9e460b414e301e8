"""`make upstream`: its table names each file of FastAPI and files of ours that are there, and its report says what two
releases differ in.
"""

import importlib
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import fastapi
import pytest

ROOT = Path(__file__).resolve().parents[2]
ANSWERS: dict[str, list[str]] = tomllib.loads(Path(__file__).with_name("upstream.toml").read_text(encoding="utf-8"))[
    "answers"
]


def test_upstream_table_names_each_file_of_fastapi() -> None:
    package = Path(fastapi.__file__).parent
    files = {path.relative_to(package.parent).as_posix() for path in package.glob("**/*.py")}
    assert files == ANSWERS.keys()


def test_upstream_table_names_files_that_are_there() -> None:
    same = {name: f"python/ferroapi/{name.removeprefix('fastapi/')}" for name in ANSWERS}
    missing = [path for name, paths in ANSWERS.items() for path in [same[name], *paths] if not (ROOT / path).exists()]
    assert not missing


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    # A script that stands beside those that it imports.
    monkeypatch.setattr(sys, "path", [str(ROOT / "tests/conformance"), *sys.path])
    for name in ("ledger", "run", "upstream"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("upstream")


def write_release(folder: Path, *, requires: str, modules: dict[str, str], tests: str) -> None:
    package = folder / "fastapi"
    package.mkdir(parents=True)
    for name, source in modules.items():
        (package / name).write_text(source)
    (folder / "tests").mkdir()
    (folder / "tests/test_query.py").write_text(tests)
    project = f'[project]\nname = "fastapi"\nrequires-python = ">=3.11"\ndependencies = ["{requires}"]\n'
    (folder / "pyproject.toml").write_text(project)


def test_upstream_report_says_what_differs_and_what_fails(
    upstream: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    same = {"__init__.py": "", "params.py": "class Path: ...\n"}
    write_release(
        tmp_path / "1.0",
        requires="starlette>=1",
        modules={**same, "encoders.py": "def encode(value): ...\n"},
        tests="def test_one(): ...\n",
    )
    write_release(
        tmp_path / "1.1",
        requires="starlette>=2",
        modules={**same, "encoders.py": "def encode(value, deep=False): ...\n", "new.py": "limit = 3\n"},
        tests="def test_one(): ...\ndef test_two(): ...\n",
    )
    outcomes = {"tests/test_query.py::test_one": "passed", "tests/test_query.py::test_two": "failed"}
    document: dict[str, Any] = {"outcomes": outcomes, "messages": {"tests/test_query.py::test_two": "assert 1 == 2"}}
    monkeypatch.setattr(upstream, "default_cache", lambda: tmp_path)
    monkeypatch.setattr(upstream, "fetch", lambda cache, version: upstream.Release(version, tmp_path / version))
    monkeypatch.setattr(upstream, "build_environment", lambda cache: None)
    monkeypatch.setattr(upstream, "run_suite", lambda cache, mode, python, selection, workers: document)
    report = tmp_path / "report.md"
    monkeypatch.setattr(sys, "argv", ["upstream", "--version", "1.1", "--since", "1.0", "--output", str(report)])

    assert upstream.main() == 1
    text = report.read_text()
    assert text == capsys.readouterr().out.removesuffix("\n")
    assert text.startswith("# FastAPI 1.1, seen from 1.0\n")
    assert "The suite of 1.1 on it: 1 passed, 1 failed (0 of them expected), 0 skipped, in " in text
    assert "- new parameter of `fastapi.encoders.encode`: `deep`\n" in text
    assert "| `fastapi/encoders.py` | +1 -1 | `python/ferroapi/encoders.py`" in text
    assert "| `fastapi/new.py` | +1 -0 | nothing yet |" in text
    assert "- no longer: `starlette>=1`\n- now: `starlette>=2`\n" in text
    assert "## New tests\n\n- `tests/test_query.py::test_two`\n" in text
    assert "## Tests that fail here\n\n- `tests/test_query.py::test_two: assert 1 == 2`\n" in text

    outcomes["tests/test_query.py::test_two"] = "passed"
    assert upstream.main() == 0
    assert "## Tests that fail here\n\nNone.\n" in report.read_text()
