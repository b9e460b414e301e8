"""Table B: requests a second of one uvicorn process on one core, with wrk on another.

Each round starts a new server for each contender and case, compares its answer, warms it up, and then loads it.
"""

import asyncio
import http.client
import json
import os
import pickle
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from benches.cases.exchange import Answer, ask
from benches.cases.table import CASES, Case
from benches.surroundings import ROOT

CONNECTIONS = 32

# Name of the case: the goal against the raw application or against FastAPI.
GOALS = {
    "json": ("raw", 0.90),
    "items": ("raw", 0.80),
    "body": ("raw", 0.70),
    "sync": ("fastapi", 3.0),
    "deps": ("raw", 0.80),
    "dict": ("fastapi", 12.0),
}
CONTENDERS = ("raw", "ferroapi", "fastapi")


class Unusable(RuntimeError):
    """This machine or a contender cannot be measured; the text says why."""


@dataclass(frozen=True)
class Effort:
    """How long to load each contender, and how often."""

    rounds: int = 3
    seconds: int = 5
    warm_up: int = 1


@dataclass
class Served:
    """Requests a second of each contender, one figure a round."""

    case: Case
    rounds: dict[str, list[float]] = field(default_factory=dict)

    @property
    def medians(self) -> dict[str, float]:
        """The figure that is quoted for each contender."""
        return {name: statistics.median(rounds) for name, rounds in self.rounds.items()}


def _cores() -> tuple[int, int]:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise Unusable("the server and the load need a core each, and this machine has one")
    return cores[-1], cores[0]


@contextmanager
def _server(contender: str, case: Case, answer: Path, core: int) -> Iterator[int]:
    """Run a server and yield its port. Connections made before it serves wait in the socket."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(2048)
        descriptor = listening.fileno()
        command = [
            sys.executable,
            "-m",
            "benches.http.serve",
            contender,
            case.name,
            str(answer),
            str(core),
            str(descriptor),
        ]
        process = subprocess.Popen(command, cwd=ROOT, pass_fds=[descriptor])
        try:
            yield listening.getsockname()[1]
        finally:
            process.terminate()
            process.wait(10)


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


def _script(case: Case) -> str:
    """Return the request as a script for wrk, which makes it once and repeats it."""
    request = case.request
    lines = [f'wrk.method = "{request.method}"']
    if request.body:
        lines.append("wrk.body = " + json.dumps(request.body.decode()))
    lines += [
        f"wrk.headers[{json.dumps(name.decode())}] = {json.dumps(value.decode())}" for name, value in request.headers
    ]
    return "\n".join(lines) + "\n"


def load_command(core: int, seconds: int, script: Path | str, url: str) -> list[str]:
    """Return the command that loads a server."""
    return ["taskset", "-c", str(core), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), url]


def _load(core: int, seconds: int, script: Path, url: str) -> float:
    finished = subprocess.run(load_command(core, seconds, script, url), capture_output=True, text=True, check=True)
    failures = re.search(r"(Non-2xx or 3xx responses|Socket errors).*", finished.stdout)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", finished.stdout)
    if failures or rate is None:
        raise Unusable(f"wrk says: {failures[0] if failures else finished.stdout}")
    return float(rate[1])


def _peers() -> list[str]:
    from benches.http.peers import PEERS

    missing = [name for name in PEERS if find_spec(name) is None]
    if missing:
        print(f"not installed, so not measured: {', '.join(missing)} (pip install --group peers)")
    return [name for name in PEERS if name not in missing]


def run(names: list[str], effort: Effort, peers: bool, report: Callable[[Served], None]) -> list[Served]:
    """Measure the cases that have a goal on a server, or the named ones among them; `peers` adds others on `json`.

    Raises:
        Unusable: a tool or a core is missing, or an answer is wrong.
    """
    for tool in ("wrk", "taskset"):
        if shutil.which(tool) is None:
            raise Unusable(
                f"{tool} is not installed (Debian: apt-get install {'wrk' if tool == 'wrk' else 'util-linux'})"
            )
    server_core, load_core = _cores()
    served = []
    with tempfile.TemporaryDirectory() as folder:
        script, answer = Path(folder, "request.lua"), Path(folder, "answer.pickle")
        for case in CASES:
            if case.name not in GOALS or (names and case.name not in names):
                continue
            expected = asyncio.run(ask(case.build(import_module("fastapi")), case.request))
            answer.write_bytes(pickle.dumps(expected))
            script.write_text(_script(case))
            contenders = [*CONTENDERS, *(_peers() if peers and case.name == "json" else [])]
            figures = Served(case, {name: [] for name in contenders})
            for _ in range(effort.rounds):
                for contender in contenders:
                    with _server(contender, case, answer, server_core) as port:
                        _check(port, case, expected, contender)
                        url = f"http://127.0.0.1:{port}{case.request.path}"
                        if case.request.query:
                            url += f"?{case.request.query}"
                        _load(load_core, effort.warm_up, script, url)
                        figures.rounds[contender].append(_load(load_core, effort.seconds, script, url))
            report(figures)
            served.append(figures)
    return served
