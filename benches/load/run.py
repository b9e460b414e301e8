"""The load set: TechEmpower's test types, requests a second of one uvicorn process on one core.

Each round starts a new server for each contender and test type, and checks its rules; then all are loaded in turns.
The database runs on the core of the load.
"""

import http.client
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benches.cases.exchange import Request
from benches.http.database import Database, database
from benches.http.pinned import (
    GRANIAN,
    OWN_PROTOCOL,
    Effort,
    Unusable,
    cores,
    framework_of,
    load_in_turns,
    script_of,
    start,
)
from benches.http.run import installed
from benches.load.peers import PEERS
from benches.load.rules import Answer, Ask, check, check_date_moves
from benches.rounds import Rounds


@dataclass(frozen=True)
class Case:
    """A test type, and the path that is loaded."""

    name: str
    path: str
    has_store: bool = True


# Twenty queries and a hundred rows of a cache are the most that TechEmpower draws for its tables.
CASES = (
    Case("json", "/json", has_store=False),
    Case("plaintext", "/plaintext", has_store=False),
    Case("single query", "/db"),
    Case("multiple queries", "/queries?queries=20"),
    Case("cached queries", "/cached-queries?queries=100", has_store=False),
    Case("fortunes", "/fortunes"),
    Case("updates", "/updates?queries=20"),
)
OURS = "ferroapi" + OWN_PROTOCOL
CONTENDERS = ("ferroapi", OURS, "fastapi")
SINGLE_QUERY_GOAL = 3.0
"""How many times FastAPI's requests a second one query is to be answered, from the plain store."""


@dataclass
class Loaded(Rounds):
    """Requests a second of each contender with a store, one figure a round."""

    case: Case
    store: str
    rounds: dict[str, list[float]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the test type, and of the store if it is not the plain one."""
        return self.case.name if self.store == "plain" else f"{self.case.name}, {self.store} store"

    @property
    def goals(self) -> list[tuple[str, float]]:
        """Who is to be surpassed, and by how much: every peer on its best server, and FastAPI with one plain query."""
        peers = [name for name in self.rounds if framework_of(name) not in ("ferroapi", "fastapi")]
        best = {framework_of(name): name for name in sorted(peers, key=lambda name: self.medians[name])}
        is_goal = self.name == "single query"
        return [*((name, 1.0) for name in best.values()), *([("fastapi", SINGLE_QUERY_GOAL)] if is_goal else [])]


def asking(port: int) -> Ask:
    """Return a function that makes a request to this port, each on a connection of its own."""

    def ask(path: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, response.read())
        finally:
            connection.close()

    return ask


def _check(port: int, contender: str, case: Case, made: Database) -> None:
    ask = asking(port)
    try:
        check(case.name, ask, made)
        check_date_moves(ask, case.path)
    except RuntimeError as error:
        raise Unusable(f"{contender}, {case.name}: {error}") from error


def run(
    names: list[str], effort: Effort, peers: bool, report: Callable[[Loaded], None]
) -> tuple[Database, list[Loaded]]:
    """Measure all test types, or the named ones among them; return what the database was, too.

    Raises:
        Unusable: a tool or a core is missing, or a rule is broken.
    """
    server_core, load_core = cores()
    servers_of_peers = ["", *([GRANIAN] if installed(["granian"]) else [])]
    contenders = [*CONTENDERS]
    if peers:
        contenders += [name + server for name in installed(PEERS) for server in servers_of_peers]
    results = []
    with tempfile.TemporaryDirectory() as folder, database(load_core) as made:
        script = Path(folder, "request.lua")
        script.write_text(script_of(Request("/")))
        stores = ["plain"] if made.statements is None else ["plain", "tuned"]
        loads = [Loaded(case, store) for case in CASES for store in (stores if case.has_store else ["plain"])]
        for loaded in loads:
            case = loaded.case
            if names and case.name not in names:
                continue
            loaded.rounds = {name: [] for name in contenders}
            for _ in range(effort.rounds):
                with ExitStack() as servers:
                    urls = {}
                    for contender in contenders:
                        server = start("benches.load.serve", contender, (made.url, loaded.store), server_core)
                        port = servers.enter_context(server).port
                        _check(port, contender, case, made)
                        urls[contender] = f"http://127.0.0.1:{port}{case.path}"
                    loaded.add(load_in_turns(load_core, effort, script, urls))
            report(loaded)
            results.append(loaded)
    return made, results
