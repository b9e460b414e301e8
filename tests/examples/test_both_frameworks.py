"""The example service gives the same answers under FastAPI, with nothing changed but the imports."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "examples" / "service"
IMPORT = re.compile(r"^from ferroapi\b", re.MULTILINE)

# Where ferroapi answers otherwise on purpose (docs/differences.md), and what each says instead.
DECIDED: dict[str, tuple[object, object]] = {
    "add, no number": (422, 500),
    "add, a lone surrogate": (422, 500),
    "listen without a token": (
        "query.token: Field required",
        [{"type": "missing", "loc": ["query", "token"], "msg": "Field required", "input": None}],
    ),
}


def copy_service(folder: Path, framework: str) -> None:
    """Write the service into the folder with the framework's imports."""
    for source in SOURCES.rglob("*.py"):
        copy = folder / "service" / source.relative_to(SOURCES)
        copy.parent.mkdir(parents=True, exist_ok=True)
        text = IMPORT.sub(f"from {framework}", source.read_text())
        if framework != "ferroapi":
            assert "ferroapi" not in text, f"{source} names ferroapi outside of an import"
        copy.write_text(text)


def run_python(folder: Path, *arguments: str | Path) -> str:
    """Run Python in the folder, in an environment that says nothing about the service; return what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SERVICE_", "FERROAPI_"))}
    # What `make test-oldest` says of warnings holds here too.
    warnings = ",".join(["error", *filter(None, [os.environ.get("PYTHONWARNINGS")])])
    process = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment | {"SERVICE_DATA": str(folder / "data"), "PYTHONWARNINGS": warnings},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def converse(folder: Path, framework: str) -> dict[str, Any]:
    """Talk to the service under the framework, and return its answers by title."""
    copy_service(folder, framework)
    answers = json.loads(run_python(folder, HERE / "conversation.py", folder, framework))
    titles = Counter(answer["title"] for answer in answers)
    return {
        answer["title"] if titles[answer["title"]] == 1 else f"{answer['title']} {index}": answer
        for index, answer in enumerate(answers)
    }


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return converse(tmp_path_factory.mktemp("ferroapi"), "ferroapi")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return converse(tmp_path_factory.mktemp("fastapi"), "fastapi")


def test_example_answers_as_under_fastapi(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert list(ours) == list(theirs)
    different = {
        title: (ours[title], theirs[title]) for title in ours if title not in DECIDED and ours[title] != theirs[title]
    }
    assert different == {}


@pytest.mark.parametrize("title", DECIDED)
def test_example_answers_otherwise_where_that_was_decided(
    ours: dict[str, Any], theirs: dict[str, Any], title: str
) -> None:
    key = "status" if "status" in ours[title] else "reason"
    assert (ours[title][key], theirs[title][key]) == DECIDED[title]


def test_example_openapi_document_is_the_same_text(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert ours["schema"]["body"] == theirs["schema"]["body"]
    assert json.loads(ours["schema"]["body"])["openapi"].startswith("3.")


def test_conversation_reaches_every_kind_of_answer(ours: dict[str, Any]) -> None:
    """The comparison means something: what was meant to succeed did, and what was meant to fail did in its own way."""
    statuses = Counter(answer["status"] for answer in ours.values() if "status" in answer)
    assert set(statuses) == {200, 201, 204, 206, 307, 400, 401, 403, 404, 405, 409, 413, 416, 422}
    assert statuses[200] >= 15
    assert sum(statuses.values()) >= 60
    heard = [json.loads(answer["message"]["text"]) for title, answer in ours.items() if "hears" in title]
    assert [event["kind"] for event in heard] == ["listed", "listed", "removed", "note"] * 2
    assert [answer["code"] for title, answer in ours.items() if title.startswith("listen")] == [1008, 1008, 1008, 1000]


def test_example_passes_its_own_tests_under_fastapi(tmp_path: Path) -> None:
    copy_service(tmp_path, "fastapi")
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\naddopts = --import-mode=importlib\n")
    assert " passed" in run_python(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "service")
