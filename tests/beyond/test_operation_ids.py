"""The document of a route with several methods is the same in each process."""

import json
import subprocess
import sys

SCRIPT = """
import importlib, json, sys, warnings
warnings.simplefilter("ignore")
app = importlib.import_module(sys.argv[1]).FastAPI()
app.api_route("/items/{item}", methods=["POST", "GET", "PATCH", "HEAD", "DELETE"])(lambda item: item)
print(json.dumps(app.openapi()["paths"]["/items/{item}"]))
"""


def documents(framework: str) -> set[str]:
    """Return the documents that processes with other hash seeds make of one route."""

    def made(seed: int) -> str:
        command = [sys.executable, "-c", SCRIPT, framework]
        return subprocess.run(
            command, env={"PYTHONHASHSEED": str(seed)}, capture_output=True, text=True, check=True
        ).stdout

    return set(map(made, range(4)))


def test_the_document_does_not_depend_on_the_hash_seed() -> None:
    [document] = documents("ferroapi")

    operations = json.loads(document)
    assert list(operations) == ["delete", "get", "head", "patch", "post"]
    assert {operation["operationId"] for operation in operations.values()} == {"_lambda__items__item__delete"}


def test_the_document_of_fastapi_depends_on_it() -> None:
    assert len(documents("fastapi")) > 1
