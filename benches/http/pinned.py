"""A server on one core and wrk on another, as every figure on a server is taken."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
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

GRANIAN = " on granian"
"""What is behind the name of a contender that is served by granian, not by uvicorn."""


RAW_RSGI = "raw RSGI"
"""The application by hand for granian's own interface."""


class Unusable(RuntimeError):
    """This machine or a contender cannot be measured; the text says why."""


@dataclass(frozen=True)
class Effort:
    """How long to load each contender: new servers in each round, and in it so many bursts of so many seconds."""

    rounds: int = 5
    bursts: int = 5
    seconds: int = 1
    warm_up: int = 1


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


@dataclass(frozen=True)
class Running:
    """A server process that runs."""

    port: int
    process_id: int


@contextmanager
def serving(module: str, arguments: Sequence[str], core: int) -> Iterator[Running]:
    """Run `module` on a core, with a socket that listens. Connections made early wait there."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(2048)
        descriptor = listening.fileno()
        command = [sys.executable, "-m", module, *arguments, str(core), str(descriptor)]
        process = subprocess.Popen(command, cwd=ROOT, pass_fds=[descriptor])
        try:
            yield Running(listening.getsockname()[1], process.pid)
        finally:
            process.terminate()
            process.wait(10)


@contextmanager
def serving_itself(module: str, arguments: Sequence[str], core: int) -> Iterator[Running]:
    """Run `module` on a core, which listens on a port that it is given; wait until it does.

    Raises:
        Unusable: it ends, or does not listen within half a minute.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", module, *arguments, str(core), str(port)], cwd=ROOT)
    try:
        until = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > until:
                    raise Unusable(f"{' '.join(arguments)} does not listen") from None
                time.sleep(0.05)
        yield Running(port, process.pid)
    finally:
        process.terminate()
        process.wait(10)


def script_of(request: Request, together: int = 1) -> str:
    """Return the request as a script for wrk, which makes it once and repeats it, so many of it in one write."""
    lines = [f'wrk.method = "{request.method}"']
    if request.body:
        lines.append("wrk.body = " + json.dumps(request.body.decode()))
    lines += [
        f"wrk.headers[{json.dumps(name.decode())}] = {json.dumps(value.decode())}" for name, value in request.headers
    ]
    if together > 1:
        lines += [
            "local all",
            f"init = function(args) all = string.rep(wrk.format(), {together}) end",
            "request = function() return all end",
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
    app: ASGIApp,
    listening: int,
    lifespan: Literal["auto", "on"] = "auto",
    http: str | type[Any] = "httptools",
    timeout_keep_alive: int = 5,
) -> None:
    """Serve on the socket of this file descriptor until terminated, as in production."""
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=http,
        lifespan=lifespan,
        access_log=False,
        log_level="warning",
        timeout_keep_alive=timeout_keep_alive,
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=listening)])


def framework_of(contender: str) -> str:
    """Return what a contender's application is made with, without the server's name."""
    return contender.removesuffix(OWN_PROTOCOL).removesuffix(GRANIAN)


def serve_contender(contender: str, load: Callable[[], ASGIApp], where: int, has_lifespan: bool = False) -> None:
    """Serve what `load` returns on the contender's server, on the socket or the port that it was given."""
    if contender.endswith(GRANIAN):
        return _serve_by_granian(contender, load, where, has_lifespan)
    protocol: Any = "httptools"
    if contender.endswith(OWN_PROTOCOL):
        from ferroapi.server import HTTPProtocol

        protocol = HTTPProtocol
    return serve(load(), where, lifespan="on" if has_lifespan else "auto", http=protocol)


def _serve_by_granian(contender: str, load: Callable[[], ASGIApp], port: int, has_lifespan: bool) -> None:
    """Serve with what granian's own benchmarks set: one worker, one thread of its runtime, uvloop, no log."""
    from granian import Granian  # type: ignore[attr-defined]
    from granian.constants import HTTPModes, Interfaces, Loops, RuntimeModes

    asgi = Interfaces.ASGI if has_lifespan else Interfaces.ASGINL
    server = Granian(
        contender,
        port=port,
        interface=Interfaces.RSGI if framework_of(contender) == RAW_RSGI else asgi,
        workers=1,
        runtime_threads=1,
        runtime_mode=RuntimeModes.st,
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
    )
    server.serve(target_loader=load, wrap_loader=False)


def start(module: str, contender: str, arguments: Sequence[str], core: int) -> AbstractContextManager[Running]:
    """Run `module` for a contender on a core; its server listens when this is entered."""
    run = serving_itself if contender.endswith(GRANIAN) else serving
    return run(module, (contender, *arguments), core)
