"""pytest plugin of the run over a socket: Starlette's `TestClient` asks a server on the engine's HTTP protocol.

The server listens in the client's event loop, beside the lifespan, so that an application sees one loop as it does
without the plugin, and an exception of its own comes out of the client as it is. WebSockets, trio and a client's
`root_path`, which a server would put before the path, stay with Starlette.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from starlette import testclient
from starlette.testclient import httpx
from uvicorn import Config
from uvicorn.server import ServerState

import ferroapi.testclient
from ferroapi.server import HTTPProtocol

ADDRESS = "127.0.0.1"
PATIENCE = 20.0
"""Seconds that an application may go on after its answer."""
HOP_BY_HOP = frozenset({b"transfer-encoding", b"connection", b"date", b"server"})
"""What the server adds to an answer."""
PORTS = {"http": 80, "https": 443}

in_process = testclient._TestClientTransport.handle_request


class _Failures(logging.Filter):
    """What applications have failed with, by the thread of their event loop; none where one did not answer."""

    def __init__(self) -> None:
        super().__init__()
        self._failures: dict[int, list[BaseException | None]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Take a failure from the log: whatever keeps the record would keep what the failed request holds."""
        is_failure = bool(record.exc_info) or "ASGI callable" in record.msg
        if is_failure:
            error = record.exc_info[1] if record.exc_info else None
            self._failures.setdefault(threading.get_ident(), []).append(error)
        return not is_failure

    def of(self, thread: int) -> list[BaseException | None]:
        """Take what failed in a thread."""
        return self._failures.pop(thread, [])


_failures = _Failures()


class _Transport:
    """A transport that says what `TestClient` says of the two ends of a connection."""

    def __init__(self, transport: asyncio.Transport, said: dict[str, Any]) -> None:
        self._transport, self._said = transport, said

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._said.get(name, default)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Server:
    """A server for the client's requests to one host, and the connections of the client to it."""

    def __init__(self, transport: Any, portal: Any, said: dict[str, Any]) -> None:
        self._portal, self._said = portal, said
        self._client = httpx.HTTPTransport()
        self._config = Config(
            transport.app, loop="none", lifespan="off", log_config=None, access_log=False, proxy_headers=False
        )
        self._config.load()
        # `TestClient` shows the state that the lifespan makes, which begins empty, to each request.
        self._app_state = transport.app_state
        self._state = ServerState()
        self._thread = portal.call(threading.get_ident)
        self._server = portal.call(self._listen)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _listen(self) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        said = self._said

        class Protocol(HTTPProtocol):
            def connection_made(self, transport: Any) -> None:
                super().connection_made(_Transport(transport, said))

        def protocol() -> Any:
            return Protocol(config=self._config, server_state=self._state, app_state=self._app_state, _loop=loop)

        return await loop.create_server(protocol, ADDRESS, 0)

    async def _settle(self) -> None:
        tasks = {*self._state.tasks}
        if tasks:
            await asyncio.wait(tasks, timeout=PATIENCE)

    def settle(self) -> list[BaseException | None]:
        """Wait until the application is done with its requests; return what it has failed with."""
        self._portal.call(self._settle)
        return _failures.of(self._thread)

    async def _stop(self) -> None:
        self._server.close()
        for connection in [*self._state.connections]:
            connection.shutdown()
        await self._settle()

    def close(self) -> None:
        """Stop listening, and end the connections."""
        self._client.close()
        self._portal.call(self._stop)

    def ask(self, request: Any) -> Any:
        """Make the request to this server."""
        url = request.url.copy_with(scheme="http", host=ADDRESS, port=self.port)
        sent = httpx.Request(request.method, url, content=request.read(), headers=request.headers)
        # Of the length, as the client has it.
        sent.headers = request.headers
        return self._client.handle_request(sent)


def _raise(failures: list[BaseException | None]) -> None:
    for failure in failures:
        raise failure or AssertionError("TestClient did not receive any response.")


class _Body(httpx.SyncByteStream):  # type: ignore[misc,name-defined]
    """The body of an answer, at whose end the application's failure comes out."""

    def __init__(self, stream: Any, close: Callable[[], None]) -> None:
        self._stream, self._close = stream, close

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._stream
        except httpx.RemoteProtocolError:
            # The application has failed in the middle of its answer, which without a server is then as it is.
            return

    def close(self) -> None:
        self._stream.close()
        self._close()


def _server_of(transport: Any, request: Any, stack: ExitStack) -> _Server:
    """Return the server for a request: one that serves as long as the client is entered, else a new one."""
    url = request.url
    is_tls = url.scheme == "https"
    said = {"peername": transport.client, "sockname": (url.host, url.port or PORTS[url.scheme])}
    said |= {"sslcontext": object()} if is_tls else {}
    # Leaving the client closes the transport before its event loop ends; a loop of its own ends with the request.
    is_kept = transport.portal_factory.__self__.portal is not None
    entered = stack.enter_context(transport.portal_factory())
    kept = transport.__dict__.setdefault("_servers", {})
    key = (id(entered), url.scheme, url.netloc)
    if is_kept and key in kept:
        found: _Server = kept[key]
        return found
    server = _Server(transport, entered, said)
    if is_kept:
        kept[key] = server
        stop = ExitStack()
        stop.callback(server.close)
        stop.callback(kept.pop, key)
        transport._open_requests.add(stop.close)
    else:
        stack.callback(server.close)
    return server


def handle_request(transport: Any, request: Any) -> Any:
    """Answer a request of `TestClient` over a socket."""
    backend = transport.portal_factory.__self__.async_backend["backend"]
    if request.url.scheme not in PORTS or backend != "asyncio" or transport.root_path:
        return in_process(transport, request)
    stack = ExitStack()
    with stack:
        server = _server_of(transport, request, stack)

        def end() -> None:
            with kept:
                failures = server.settle()
            if transport.raise_server_exceptions:
                _raise(failures)

        try:
            answer = server.ask(request)
        except httpx.TransportError:
            failures = server.settle()
            if transport.raise_server_exceptions:
                _raise(failures)
            raise
        kept = stack.pop_all()
    headers = [(name, value) for name, value in answer.headers.raw if name.lower() not in HOP_BY_HOP]
    return httpx.Response(answer.status_code, headers=headers, stream=_Body(answer.stream, end), request=request)


def pytest_configure() -> None:
    """Put the server between `TestClient` and the applications."""
    logging.getLogger("uvicorn.error").addFilter(_failures)
    testclient._TestClientTransport.handle_request = handle_request  # type: ignore[method-assign]
    # Ours asks the application itself.
    ferroapi.testclient.TestClient = testclient.TestClient  # type: ignore[assignment,misc]
