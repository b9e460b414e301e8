"""What type checkers say: good uses are clean, in strict mode, and each bad use is reported on its own line."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ferroapi

HERE = Path(__file__).parent
GOOD, BEYOND, BAD = (HERE / name for name in ("good.py", "beyond.py", "bad.py"))

pytest.importorskip("mypy")


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, int]]:
    """Return the file and line of each of mypy's errors."""
    cache = tmp_path_factory.mktemp("mypy")
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--cache-dir", str(cache)]
    # mypy finds an installed package itself, and refuses to be told; a source tree it must be told.
    source = Path(ferroapi.__file__).parents[1]
    environment = os.environ if source.name == "site-packages" else {**os.environ, "MYPYPATH": str(source)}
    run = subprocess.run(
        [*command, str(GOOD), str(BEYOND), str(BAD)], capture_output=True, text=True, check=False, env=environment
    )
    assert run.returncode in (0, 1), run.stdout + run.stderr
    errors = re.findall(r"^(.+?):(\d+)(?::\d+)?: error:", run.stdout, re.MULTILINE)
    return {(Path(file).name, int(line)) for file, line in errors}


@pytest.mark.parametrize("good", [GOOD, BEYOND])
def test_mypy_accepts_good_uses(good: Path, reported: set[tuple[str, int]]) -> None:
    assert not [line for file, line in reported if file == good.name]


def test_mypy_reports_each_bad_use(reported: set[tuple[str, int]]) -> None:
    marked = {number for number, line in enumerate(BAD.read_text().splitlines(), 1) if line.endswith("# error")}
    assert {line for file, line in reported if file == BAD.name} == marked


def test_pyright_accepts_what_fastapi_has_not(tmp_path: Path) -> None:
    # In a folder of its own: pyright lists all files of the folder that its settings are in.
    (tmp_path / BEYOND.name).write_text(BEYOND.read_text())
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(Path(ferroapi.__file__).parents[1])]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--project", str(tmp_path)]
    run = subprocess.run([*command, "--pythonpath", sys.executable], capture_output=True, text=True, check=False)
    told = json.loads(run.stdout)
    assert told["summary"]["filesAnalyzed"] == 1
    assert told["generalDiagnostics"] == []


def test_example_of_what_fastapi_has_not_is_an_application() -> None:
    spec = importlib.util.spec_from_file_location("typed_beyond", BEYOND)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    document = module.app.openapi()
    assert {"404", "409", "422", "503"} <= document["paths"]["/items/{item}"]["get"]["responses"].keys()
