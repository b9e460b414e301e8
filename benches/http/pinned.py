"""A server on one core and wrk on another, as every figure on a server is taken."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import uvicorn

from benches.cases.exchange import ASGIApp, Request
from benches.surroundings import ROOT

CONNECTIONS = 32

OWN_PROTOCOL = " on the engine's HTTP"
"""What is behind the name of a contender that is served on `ferroapi.server:HTTPProtocol`, not on httptools."""


class Unusable(RuntimeError):
    """This machine or a contender cannot be measured; the text says why."""


@dataclass(frozen=True)
class Effort:
    """How long to load each contender: new servers in each round, and in it so many bursts of so many seconds."""

    rounds: int = 5
    bursts: int = 5
    seconds: int = 1
    warm_up: int = 1


QUICK = Effort(rounds=1, bursts=2)


def cores() -> tuple[int, int]:
    """Return the core of the server and the core of the load.

    Raises:
        Unusable: a tool is missing, or this machine has one core.
    """
    for tool in ("wrk", "taskset"):
        if shutil.which(tool) is None:
            package = "wrk" if tool == "wrk" else "util-linux"
            raise Unusable(f"{tool} is not installed (Debian: apt-get install {package})")
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise Unusable("the server and the load need a core each, and this machine has one")
    return usable[-1], usable[0]


@contextmanager
def serving(module: str, arguments: Sequence[str], core: int) -> Iterator[int]:
    """Run `module` on a core, with a socket that listens, and yield its port. Connections made early wait there."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(2048)
        descriptor = listening.fileno()
        command = [sys.executable, "-m", module, *arguments, str(core), str(descriptor)]
        process = subprocess.Popen(command, cwd=ROOT, pass_fds=[descriptor])
        try:
            yield listening.getsockname()[1]
        finally:
            process.terminate()
            process.wait(10)


def script_of(request: Request) -> str:
    """Return the request as a script for wrk, which makes it once and repeats it."""
    lines = [f'wrk.method = "{request.method}"']
    if request.body:
        lines.append("wrk.body = " + json.dumps(request.body.decode()))
    lines += [
        f"wrk.headers[{json.dumps(name.decode())}] = {json.dumps(value.decode())}" for name, value in request.headers
    ]
    return "\n".join(lines) + "\n"


def load_command(core: int, seconds: int, script: Path | str, url: str) -> list[str]:
    """Return the command that loads a server."""
    return [
        "taskset",
        "-c",
        str(core),
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds}s",
        "--timeout",
        "10s",
        "-s",
        str(script),
        url,
    ]


def load(core: int, seconds: int, script: Path, url: str) -> float:
    """Load a server and return requests a second.

    Raises:
        Unusable: a request failed or was refused.
    """
    finished = subprocess.run(load_command(core, seconds, script, url), capture_output=True, text=True, check=True)
    failures = re.search(r"(Non-2xx or 3xx responses|Socket errors).*", finished.stdout)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", finished.stdout)
    if failures or rate is None:
        raise Unusable(f"wrk says: {failures[0] if failures else finished.stdout}")
    return float(rate[1])


def load_in_turns(core: int, effort: Effort, script: Path, urls: Mapping[str, str]) -> dict[str, float]:
    """Load the server of each contender in one round, and return requests a second.

    The servers wait on the same core meanwhile. They take turns at each burst, so that a slow moment of the machine
    falls on all alike.

    Raises:
        Unusable: a request failed or was refused.
    """
    for url in urls.values():
        load(core, effort.warm_up, script, url)
    bursts: dict[str, list[float]] = {contender: [] for contender in urls}
    for _ in range(effort.bursts):
        for contender, url in urls.items():
            bursts[contender].append(load(core, effort.seconds, script, url))
    return {contender: fmean(rates) for contender, rates in bursts.items()}


def serve(
    app: ASGIApp, listening: int, lifespan: Literal["auto", "on"] = "auto", http: str | type[Any] = "httptools"
) -> None:
    """Serve on the socket of this file descriptor until terminated, as in production."""
    config = uvicorn.Config(app, loop="uvloop", http=http, lifespan=lifespan, access_log=False, log_level="warning")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=listening)])
