"""The notes for agents: they are in the package, in the form agents read, and their example runs."""

import re
import subprocess
import sys
from pathlib import Path

import ferroapi

PACKAGE = Path(ferroapi.__file__).parent
NOTES = PACKAGE / ".agents" / "skills" / "ferroapi" / "SKILL.md"


def test_notes_start_with_a_name_and_a_description() -> None:
    front = re.match(r"---\nname: (\S+)\ndescription: (.+)\n---\n", NOTES.read_text(encoding="utf-8"))
    assert front is not None
    assert front[1] == NOTES.parent.name == "ferroapi"
    assert len(front[2]) <= 1024


def test_notes_example_runs() -> None:
    (example,) = re.findall(r"(?ms)^```python\n(.*?)^```", NOTES.read_text(encoding="utf-8"))
    check = """
from ferroapi.testclient import TestClient
assert TestClient(app).get('/items').json()[0]['name'] == 'tea'
assert TestClient(app).get('/items/1').status_code == 404
"""
    code = f"import sys\nsys.path.insert(0, {str(PACKAGE.parent)!r})\n{example}{check}"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_package_says_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()
