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
from benches.http.pinned import Effort, Unusable, cores, load_in_turns, script_of, serving
from benches.http.run import installed
from benches.load.peers import PEERS
from benches.load.rules import Answer, Ask, check, check_date_moves
from benches.rounds import Rounds


@dataclass(frozen=True)
class Case:
    """A test type, and the path that is loaded."""

    name: str
    path: str


# Twenty queries and a hundred rows of a cache are the most that TechEmpower draws for its tables.
CASES = (
    Case("json", "/json"),
    Case("plaintext", "/plaintext"),
    Case("single query", "/db"),
    Case("multiple queries", "/queries?queries=20"),
    Case("cached queries", "/cached-queries?queries=100"),
    Case("fortunes", "/fortunes"),
    Case("updates", "/updates?queries=20"),
)
CONTENDERS = ("ferroapi", "fastapi")


@dataclass
class Loaded(Rounds):
    """Requests a second of each contender, one figure a round."""

    case: Case
    rounds: dict[str, list[float]] = field(default_factory=dict)


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
    contenders = [*CONTENDERS, *(installed(PEERS) if peers else [])]
    results = []
    with tempfile.TemporaryDirectory() as folder, database(load_core) as made:
        script = Path(folder, "request.lua")
        script.write_text(script_of(Request("/")))
        for case in CASES:
            if names and case.name not in names:
                continue
            loaded = Loaded(case, {name: [] for name in contenders})
            for _ in range(effort.rounds):
                with ExitStack() as servers:
                    urls = {}
                    for contender in contenders:
                        port = servers.enter_context(serving("benches.load.serve", (contender, made.url), server_core))
                        _check(port, contender, case, made)
                        urls[contender] = f"http://127.0.0.1:{port}{case.path}"
                    loaded.add(load_in_turns(load_core, effort, script, urls))
            report(loaded)
            results.append(loaded)
    return made, results
