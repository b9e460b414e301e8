"""Table B: requests a second of one server process on one core, with wrk on another.

Each round starts a new server for each contender and case, and compares its answer; then all are loaded in turns.
"""

import asyncio
import http.client
import json
import pickle
import sys
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
from benches.http.pinned import (
    GRANIAN,
    OWN_PROTOCOL,
    RAW_RSGI,
    Effort,
    Unusable,
    cores,
    framework_of,
    load_in_turns,
    script_of,
    start,
)
from benches.rounds import Rounds

OURS = "ferroapi" + OWN_PROTOCOL
RSGI = RAW_RSGI + GRANIAN
IS_EAGER = sys.version_info >= (3, 12)


@dataclass(frozen=True)
class Goal:
    """How many times the requests a second of another contender one is to answer."""

    contender: str
    reference: str
    factor: float


@dataclass(frozen=True)
class Row:
    """A case on a server: what is asked of it, beside whom, and how many requests a client sends in one write."""

    case: str
    goals: tuple[Goal, ...]
    others: tuple[str, ...] = ()
    together: int = 1

    @property
    def name(self) -> str:
        """The name of the case, and how many requests come together."""
        return self.case if self.together == 1 else f"{self.case}, {self.together} together"

    @property
    def contenders(self) -> list[str]:
        """All that are measured: those of every row, those of the goals, and others."""
        asked = [name for goal in self.goals for name in (goal.contender, goal.reference)]
        return list(dict.fromkeys([*CONTENDERS, *asked, *self.others]))


CONTENDERS = ("raw", "ferroapi", "fastapi", "raw" + OWN_PROTOCOL, OURS)
ROWS = (
    Row(
        "json",
        (
            Goal("ferroapi", "raw", 0.90),
            Goal(OURS, "raw", 3.0 if IS_EAGER else 2.5),
            Goal(OURS, RSGI, 1.8),
            Goal("raw" + OWN_PROTOCOL, "raw", 2.2),
            Goal("starlette" + OWN_PROTOCOL, "starlette", 1.4),
        ),
        ("raw" + GRANIAN,),
    ),
    Row("items", (Goal("ferroapi", "raw", 0.80), Goal(OURS, "raw", 2.2))),
    Row("body", (Goal("ferroapi", "raw", 0.70), Goal(OURS, "raw", 2.0))),
    Row("sync", (Goal("ferroapi", "fastapi", 3.0),)),
    Row("deps", (Goal("ferroapi", "raw", 0.80), Goal(OURS, "raw", 2.2))),
    Row("dict", (Goal("ferroapi", "fastapi", 12.0),)),
    Row("plaintext", (Goal(OURS, "raw", 8.0),), together=16),
)
"""The rows, each with its goals."""


@dataclass
class Served(Rounds):
    """Requests a second of each contender, one figure a round."""

    row: Row
    case: Case
    rounds: dict[str, list[float]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the row."""
        return self.row.name


def _check(port: int, case: Case, expected: Answer, contender: str) -> None:
    request = case.request
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {name.decode(): value.decode() for name, value in request.headers}
    connection.request(request.method, f"{request.path}?{request.query}", request.body or None, headers)
    response = connection.getresponse()
    status, body = response.status, response.read()
    connection.close()
    is_same = body == expected.body
    if not is_same and framework_of(contender) not in CONTENDERS:  # peers may print JSON with other spaces
        is_same = json.loads(body) == json.loads(expected.body)
    if status != expected.status or not is_same:
        raise Unusable(f"{case.name}: {contender} answers {status} {body[:200]!r}")


def installed(peers: Iterable[str]) -> list[str]:
    """Return which of these frameworks are installed, and print which are not."""
    found = [name for name in peers if find_spec(name) is not None]
    if missing := [name for name in peers if name not in found]:
        print(f"not installed, so not measured: {', '.join(missing)} (pip install --group peers)")
    return found


def _peers() -> list[str]:
    """Return the peers that are installed, each on httptools, and on granian too where it documents that."""
    return [name + server for name in installed(PEERS) for server in ("", *([GRANIAN] if name == "blacksheep" else []))]


def run(names: list[str], effort: Effort, peers: bool, report: Callable[[Served], None]) -> list[Served]:
    """Measure the rows, or those of the named cases; `peers` adds other frameworks on `json`.

    Raises:
        Unusable: a tool or a core is missing, or an answer is wrong.
    """
    server_core, load_core = cores()
    cases = {case.name: case for case in CASES}
    has_granian = bool(installed(["granian"]))
    served = []
    with tempfile.TemporaryDirectory() as folder:
        script, answer = Path(folder, "request.lua"), Path(folder, "answer.pickle")
        for row in ROWS:
            if names and row.case not in names:
                continue
            case = cases[row.case]
            expected = asyncio.run(ask(case.build(import_module("fastapi")), case.request))
            answer.write_bytes(pickle.dumps(expected))
            script.write_text(script_of(case.request, row.together))
            contenders = [*row.contenders, *(_peers() if peers and row.case == "json" else [])]
            contenders = list(dict.fromkeys(name for name in contenders if has_granian or GRANIAN not in name))
            figures = Served(row, case, {name: [] for name in contenders})
            path = f"{case.request.path}?{case.request.query}" if case.request.query else case.request.path
            for _ in range(effort.rounds):
                with ExitStack() as servers:
                    urls = {}
                    for contender in contenders:
                        arguments = (case.name, str(answer))
                        server = start("benches.http.serve", contender, arguments, server_core)
                        port = servers.enter_context(server).port
                        _check(port, case, expected, contender)
                        urls[contender] = f"http://127.0.0.1:{port}{path}"
                    figures.add(load_in_turns(load_core, effort, script, urls))
            report(figures)
            served.append(figures)
    return served
