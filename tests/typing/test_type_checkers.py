"""What an editor says of the options: good uses are clean, and each bad use is reported on its own line."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ferroapi

HERE = Path(__file__).parent
GOOD, BAD = HERE / "good.py", HERE / "bad.py"

pytest.importorskip("mypy")


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, int]]:
    """Return the file and line of each of mypy's errors."""
    cache = tmp_path_factory.mktemp("mypy")
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--cache-dir", str(cache)]
    # mypy finds an installed package itself, and refuses to be told; a source tree it must be told.
    source = Path(ferroapi.__file__).parents[1]
    environment = os.environ if source.name == "site-packages" else {**os.environ, "MYPYPATH": str(source)}
    run = subprocess.run([*command, str(GOOD), str(BAD)], capture_output=True, text=True, check=False, env=environment)
    assert run.returncode in (0, 1), run.stdout + run.stderr
    errors = re.findall(r"^(.+?):(\d+)(?::\d+)?: error:", run.stdout, re.MULTILINE)
    return {(Path(file).name, int(line)) for file, line in errors}


def test_mypy_accepts_good_uses(reported: set[tuple[str, int]]) -> None:
    assert not [line for file, line in reported if file == GOOD.name]


def test_mypy_reports_each_bad_use(reported: set[tuple[str, int]]) -> None:
    marked = {number for number, line in enumerate(BAD.read_text().splitlines(), 1) if line.endswith("# error")}
    assert {line for file, line in reported if file == BAD.name} == marked
