"""`AsyncTestClient`: a client for tests that are coroutines; the application runs in the test's event loop."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin

import anyio
from starlette.types import ASGIApp

from ..jobs import Job
from . import httpx
from .async_transport import AsyncTransport
from .async_websocket import AsyncWebSocketTestSession


class AsyncTestClient(httpx.AsyncClient):
    """An `httpx2.AsyncClient` of an ASGI application, with the options of `TestClient` and no thread.

    `async with` runs the application's lifespan. The application runs in tasks of the running loop, of asyncio or trio;
    a response that is streamed can be read while it is sent.
    """

    __test__ = False
    __module__ = "ferroapi.testclient"

    def __init__(
        self,
        app: ASGIApp,
        base_url: str = "http://testserver",
        raise_server_exceptions: bool = True,
        root_path: str = "",
        cookies: "httpx._types.CookieTypes | None" = None,
        headers: dict[str, str] | None = None,
        follow_redirects: bool = True,
        client: tuple[str, int] = ("testclient", 50000),
    ) -> None:
        self.app = app
        self.app_state: dict[str, Any] = {}
        self._lifespan: _Lifespan | None = None
        transport = AsyncTransport(app, raise_server_exceptions, root_path, client, self.app_state)
        super().__init__(
            base_url=base_url,
            headers={"user-agent": "testclient", **(headers or {})},
            transport=transport,
            follow_redirects=follow_redirects,
            cookies=cookies,
        )
        self._asgi = transport

    async def __aenter__(self) -> Self:
        """Start the application.

        Raises:
            Exception: what its lifespan raised before it was started.
        """
        lifespan = _Lifespan(self.app, self.app_state)
        await lifespan.start()
        self._lifespan = lifespan
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """Stop the application.

        Raises:
            Exception: what its lifespan raised when it was stopped.
        """
        lifespan, self._lifespan = self._lifespan, None
        if lifespan is not None:
            await lifespan.stop()

    def websocket_connect(
        self, url: str, subprotocols: Sequence[str] | None = None, **options: Any
    ) -> AsyncWebSocketTestSession:
        """Return a WebSocket session, which `async with` connects.

        `options` are those of `build_request`, such as `headers`, `params` and `cookies`.
        """
        headers = httpx.Headers(options.pop("headers", None))
        headers.setdefault("connection", "upgrade")
        headers.setdefault("sec-websocket-key", "testserver==")
        headers.setdefault("sec-websocket-version", "13")
        if subprotocols is not None:
            headers.setdefault("sec-websocket-protocol", ", ".join(subprotocols))
        request = self.build_request("GET", urljoin("ws://testserver", url), headers=headers, **options)
        return AsyncWebSocketTestSession(self._asgi, request)


class _Lifespan:
    """The lifespan of an application, in a task of its own."""

    def __init__(self, app: ASGIApp, state: dict[str, Any]) -> None:
        self._app = app
        self._scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": state}
        self._job = Job(self._call)
        self._to_app, self._receive = anyio.create_memory_object_stream[dict[str, Any]](2)
        self._send, self._from_app = anyio.create_memory_object_stream[Any](2)

    async def _call(self) -> None:
        with self._send, self._receive:
            await self._app(self._scope, self._receive.receive, self._send.send)

    async def start(self) -> None:
        self._job.start()
        await self._tell("startup")

    async def stop(self) -> None:
        await self._tell("shutdown")
        await self._end()

    async def _tell(self, event: str) -> None:
        try:
            await self._to_app.send({"type": f"lifespan.{event}"})
            message = await self._from_app.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            message = None
        if message is None or message["type"] != f"lifespan.{event}.complete":
            await self._end()
            if message is not None:
                raise RuntimeError(message.get("message", "") or f"The application says: {message['type']}.")

    async def _end(self) -> None:
        await self._job.wait()
        self._to_app.close()
        self._from_app.close()
        if self._job.exception is not None:
            raise self._job.exception
