"""Table C: importing the package, declaring 1,000 routes and describing them, each figure from a new process."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field

from benches.rounds import Rounds
from benches.surroundings import ROOT

ROUTES = 1_000

_IMPORT = """
import time
start = time.perf_counter()
import pydantic
from pydantic import BaseModel
from starlette.applications import Starlette
below = time.perf_counter()
import {framework}
{framework}.FastAPI
end = time.perf_counter()
figures = {{"import": end - start, "import over pydantic and starlette": end - below}}
"""

_DECLARE = """
import asyncio, time
import {framework} as framework
from pydantic import create_model
from benches.cases.exchange import Request, ask

def dependency_of(index):
    async def dependency(q: str = "", limit: int = index):
        return limit
    return dependency

def endpoint_of(model, dependency):
    async def endpoint(item_id: int, body: model, value: int = framework.Depends(dependency)) -> model:
        return body
    return endpoint

models = [
    create_model(f"Model{{index}}", name=(str, ...), price=(float, ...), count=(int, 0), tags=(list[str], []))
    for index in range({routes})
]
start = time.perf_counter()
app = framework.FastAPI()
for index, model in enumerate(models):
    app.post(f"/resource{{index}}/{{{{item_id}}}}")(endpoint_of(model, dependency_of(index)))
declared = time.perf_counter()
document = app.openapi()
described = time.perf_counter()
assert len(document["paths"]) == {routes} and len(document["components"]["schemas"]) == {routes} + 2
memory = next(int(line.split()[1]) / 1000 for line in open("/proc/self/status") if line.startswith("VmRSS"))
json = ((b"content-type", b"application/json"),)
request = Request("/resource{last}/1", method="POST", headers=json, body=b'{{"name":"a","price":1}}')
first = time.perf_counter()
answer = asyncio.run(ask(app, request))
answered = time.perf_counter()
assert answer.status == 200 and answer.body == b'{{"name":"a","price":1.0,"count":0,"tags":[]}}', answer
figures = {{
    "declare 1,000 routes": declared - start,
    "OpenAPI of those": described - declared,
    "first request to the last": answered - first,
    "resident memory": memory,
}}
"""

# Name of the figure: its unit and its goal.
GOALS: dict[str, tuple[str, float | None]] = {
    "import": ("s", None),
    "import over pydantic and starlette": ("s", 0.15),
    "declare 1,000 routes": ("s", 0.3),
    "OpenAPI of those": ("s", 0.8),
    "first request to the last": ("s", None),
    "resident memory": ("MB", 90),
}


@dataclass
class Started(Rounds):
    """One figure of both frameworks, one value a round."""

    name: str
    rounds: dict[str, list[float]] = field(default_factory=dict)


def _environment() -> dict[str, str]:
    """Return the environment of a measured process: bytecode is kept, and plugins of pydantic are not its cost."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYDANTIC_DISABLE_PLUGINS": "1"}


def _figures(script: str) -> dict[str, float]:
    ending = "\nimport json; print(json.dumps(figures))"
    pinned = {max(os.sched_getaffinity(0))}
    finished = subprocess.run(
        [sys.executable, "-c", script + ending],
        cwd=ROOT,
        env=_environment(),
        stdout=subprocess.PIPE,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, pinned),
    )
    figures: dict[str, float] = json.loads(finished.stdout)
    return figures


def run(import_rounds: int = 7, declare_rounds: int = 3) -> list[Started]:
    """Measure both frameworks in turns."""
    started = {name: Started(name, {"ferroapi": [], "fastapi": []}) for name in GOALS}
    scripts = [(_IMPORT, import_rounds), (_DECLARE, declare_rounds)]
    for framework in ("ferroapi", "fastapi"):  # for the bytecode
        _figures(_IMPORT.format(framework=framework))
    for script, rounds in scripts:
        for _ in range(rounds):
            for framework in ("ferroapi", "fastapi"):
                filled = script.format(framework=framework, routes=ROUTES, last=ROUTES - 1)
                for name, figure in _figures(filled).items():
                    started[name].rounds[framework].append(figure)
    return list(started.values())
