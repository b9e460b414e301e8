"""What an index shows of a release: links that lead somewhere from there."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REPOSITORY = "https://example.com/owner/name"


def _run(folder: Path) -> "subprocess.CompletedProcess[str]":
    program = ROOT / "tests/packaging/index_links.py"
    command = [sys.executable, str(program), REPOSITORY, "v1"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_readme_links_are_absolute_and_lead_to_files(checkout: Path) -> None:
    done = _run(checkout)
    assert done.returncode == 0, done.stderr
    text = (checkout / "README.md").read_text()
    targets = re.findall(r'\]\(([^)]+)\)|(?:src|srcset|href)="([^"]+)"', text)
    assert targets
    for target in map("".join, targets):
        view, _, path = target.removeprefix(f"{REPOSITORY}/").partition("/v1/")
        assert view == ("raw" if path.endswith(".svg") else "blob"), target
        assert (ROOT / path.partition("#")[0]).is_file(), target
    assert text.count("\n") == (ROOT / "README.md").read_text().count("\n")


def test_metadata_names_the_repository(checkout: Path) -> None:
    assert "urls" not in tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    assert _run(checkout).returncode == 0
    urls = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]["urls"]
    assert urls["Source"] == REPOSITORY
    assert all(url.startswith(REPOSITORY) for url in urls.values())
    again = _run(checkout)
    assert again.returncode == 1
    assert "has [project.urls] already" in again.stderr
