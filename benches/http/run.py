"""Table B: requests a second of one uvicorn process on one core, with wrk on another.

Each round starts a new server for each contender and case, and compares its answer; then all are loaded in turns.
"""

import asyncio
import http.client
import json
import pickle
import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from benches.cases.exchange import Answer, ask
from benches.cases.table import CASES, Case
from benches.http.peers import PEERS
from benches.http.pinned import OWN_PROTOCOL, Effort, Unusable, cores, load_in_turns, script_of, serving
from benches.rounds import Rounds

# Name of the case: the goal against the raw application or against FastAPI.
GOALS = {
    "json": ("raw", 0.90),
    "items": ("raw", 0.80),
    "body": ("raw", 0.70),
    "sync": ("fastapi", 3.0),
    "deps": ("raw", 0.80),
    "dict": ("fastapi", 12.0),
}
CONTENDERS = ("raw", "ferroapi", "fastapi", *(name + OWN_PROTOCOL for name in ("raw", "ferroapi")))


@dataclass
class Served(Rounds):
    """Requests a second of each contender, one figure a round."""

    case: Case
    rounds: dict[str, list[float]] = field(default_factory=dict)


def _check(port: int, case: Case, expected: Answer, contender: str) -> None:
    request = case.request
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {name.decode(): value.decode() for name, value in request.headers}
    connection.request(request.method, f"{request.path}?{request.query}", request.body or None, headers)
    response = connection.getresponse()
    status, body = response.status, response.read()
    connection.close()
    is_same = body == expected.body
    if not is_same and contender not in CONTENDERS:  # peers may print JSON with other spaces
        is_same = json.loads(body) == json.loads(expected.body)
    if status != expected.status or not is_same:
        raise Unusable(f"{case.name}: {contender} answers {status} {body[:200]!r}")


def installed(peers: Iterable[str]) -> list[str]:
    """Return which of these frameworks are installed, and print which are not."""
    found = [name for name in peers if find_spec(name) is not None]
    if missing := [name for name in peers if name not in found]:
        print(f"not installed, so not measured: {', '.join(missing)} (pip install --group peers)")
    return found


def run(names: list[str], effort: Effort, peers: bool, report: Callable[[Served], None]) -> list[Served]:
    """Measure the cases that have a goal on a server, or the named ones among them; `peers` adds others on `json`.

    Raises:
        Unusable: a tool or a core is missing, or an answer is wrong.
    """
    server_core, load_core = cores()
    served = []
    with tempfile.TemporaryDirectory() as folder:
        script, answer = Path(folder, "request.lua"), Path(folder, "answer.pickle")
        for case in CASES:
            if case.name not in GOALS or (names and case.name not in names):
                continue
            expected = asyncio.run(ask(case.build(import_module("fastapi")), case.request))
            answer.write_bytes(pickle.dumps(expected))
            script.write_text(script_of(case.request))
            contenders = [*CONTENDERS, *(installed(PEERS) if peers and case.name == "json" else [])]
            figures = Served(case, {name: [] for name in contenders})
            path = f"{case.request.path}?{case.request.query}" if case.request.query else case.request.path
            for _ in range(effort.rounds):
                with ExitStack() as servers:
                    urls = {}
                    for contender in contenders:
                        arguments = (contender, case.name, str(answer))
                        port = servers.enter_context(serving("benches.http.serve", arguments, server_core))
                        _check(port, case, expected, contender)
                        urls[contender] = f"http://127.0.0.1:{port}{path}"
                    figures.add(load_in_turns(load_core, effort, script, urls))
            report(figures)
            served.append(figures)
    return served
