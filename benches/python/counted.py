"""What callgrind counts: each case some times, then more times, with a mark between. Run by `instructions.py`.

All runs inside one step of one task, so that an event loop adds to the count only where a case waits for something.
Some cases are served too, on the engine's protocol under uvloop; their client is another process, which is not counted.
"""

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable, Iterator
from functools import wraps
from importlib import import_module
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from time import sleep
from types import FunctionType
from typing import Any

import uvloop
from uvicorn.config import Config
from uvicorn.server import ServerState

from benches.cases.exchange import Receiver, Request, ask, discard
from benches.cases.table import CASES, Case
from ferroapi.server import HTTPProtocol

FEW, MANY = 25, 100
ON_SERVER = " served"
"""What the name of a case ends with where it is counted on a server."""

SERVED = {name + ON_SERVER: name for name in ("json", "items", "deps")}
"""The cases that are counted on a server by the gate, and what they are called elsewhere."""
# All that table A has, but for what takes minutes under callgrind: ten thousand routes, a hundred events a request.
CASES_COUNTED = (
    *(case.name for case in CASES if case.name not in ("routes 10", "routes 10000", "events")),
    *SERVED,
)
_LONG = 0.0005
"""How long what runs in a worker thread takes, in seconds: ten times what the engine calls short."""

APART = frozenset(case.name for case in CASES if case.apart)
"""Those that are counted in a process of their own, under the alias."""

MARK = "Py_SetRecursionLimit"
"""A function of the interpreter that nothing else calls; callgrind writes its counts out at each call."""


def _mark() -> None:
    sys.setrecursionlimit(sys.getrecursionlimit())


async def _count_requests(requests: Callable[[int], Awaitable[None]]) -> None:
    await requests(FEW)
    gc.collect()
    _mark()
    await requests(FEW)
    _mark()
    await requests(MANY)
    _mark()


def _prolonged(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that does the same, and takes longer in a worker thread than what is waited for in place.

    The engine waits in place while such calls are short by the clock. Callgrind makes trivial ones about that long, so
    that by chance some were waited for in place, and others, at twice the cost, by way of the event loop.
    """
    if isgeneratorfunction(call):

        @wraps(call)
        def generate(*args: Any, **keywords: Any) -> Iterator[Any]:
            sleep(_LONG)
            yield from call(*args, **keywords)
            sleep(_LONG)

        return generate

    @wraps(call)
    def function(*args: Any, **keywords: Any) -> Any:
        sleep(_LONG)
        return call(*args, **keywords)

    return function


def _prolong(dependant: Any) -> None:
    call = dependant.call
    if isinstance(call, FunctionType) and not (iscoroutinefunction(call) or isasyncgenfunction(call)):
        dependant.call = _prolonged(call)
    for each in dependant.dependencies:
        _prolong(each)


def _build(case: Case) -> Any:
    # Under the alias, where what observes the case finds it.
    app: Any = case.build(import_module("fastapi" if case.apart else "ferroapi"))
    for route in getattr(app, "routes", ()):
        if hasattr(route, "dependant"):
            _prolong(route.dependant)
    return app


async def count(case: Case) -> None:
    app = _build(case)
    answer = await ask(app, case.request)
    assert answer.status == case.status, answer
    scope, messages = case.request.scope(), case.request.messages()

    async def requests(times: int) -> None:
        for _ in range(times):
            await app(scope.copy(), Receiver(messages), discard)

    await _count_requests(requests)


# Sends as many requests as a line says, one after the other on one connection, and answers with a line.
_CLIENT = """
import socket, sys
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
request, end = (bytes.fromhex(argument) for argument in sys.argv[2:])
for line in sys.stdin:
    for _ in range(int(line)):
        connection.sendall(request)
        answer = b""
        while not answer.endswith(end):
            answer += connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200 OK"), answer
    print("done", flush=True)
"""


def _sent(request: Request) -> bytes:
    """Return what wrk sends for a request without a body: the headers of its own, and no others but `Host`."""
    target = request.path + (f"?{request.query}" if request.query else "")
    lines = [f"{request.method} {target} HTTP/1.1".encode(), b"Host: 127.0.0.1:8000"]
    return b"\r\n".join([*lines, *(name + b": " + value for name, value in request.headers), b"", b""])


async def count_served(case: Case) -> None:
    app = _build(case)
    sent, end = _sent(case.request), (await ask(app, case.request)).body
    # Valgrind takes longer between two requests than a client may be silent.
    config = Config(app, log_config=None, access_log=False, timeout_keep_alive=3600)
    state, loop = ServerState(), asyncio.get_running_loop()
    # What asyncio asks of a protocol it has, and is no subclass.
    protocol: Any = HTTPProtocol
    state.default_headers = [(b"date", b"Thu, 01 Jan 1970 00:00:00 GMT"), (b"server", b"uvicorn")]
    server = await loop.create_server(lambda: protocol(config, state, {}, loop), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _CLIENT, str(port), sent.hex(), end.hex()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert client.stdin is not None and client.stdout is not None

    async def requests(times: int) -> None:
        assert client.stdin is not None and client.stdout is not None
        client.stdin.write(b"%d\n" % times)
        assert await client.stdout.readline() == b"done\n"

    await _count_requests(requests)
    client.stdin.close()
    await client.wait()
    server.close()


def run(name: str) -> None:
    """Make the requests of a case, on a server if its name ends so."""
    case = next(case for case in CASES if case.name == name.removesuffix(ON_SERVER))
    if name.endswith(ON_SERVER):
        uvloop.run(count_served(case))
    else:
        asyncio.run(count(case))


if __name__ == "__main__":
    # A collection would fall into one count or the other by chance, as would a thread that takes its turn by the clock.
    gc.disable()
    sys.setswitchinterval(1000)
    for name in sys.argv[1:]:
        run(name)
