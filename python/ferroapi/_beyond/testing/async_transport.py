"""What stands between an asynchronous test client and the application, which runs in the same event loop."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import anyio

from ..jobs import Job
from . import httpx
from .exchange import Application, Message
from .scopes import add_http, scope_of


@dataclass(eq=False)
class AsyncTransport(httpx.AsyncBaseTransport):
    """Calls the application for each request, and returns its response as soon as that begins."""

    app: Application
    raise_server_exceptions: bool
    root_path: str
    client: tuple[str, int]
    app_state: dict[str, Any]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Call the application.

        Raises:
            AssertionError: it has returned without a response.
            Exception: what it raised before its response began, unless `raise_server_exceptions` is false.
        """
        scope = add_http(scope_of(request, self.root_path, self.client, self.app_state), request.method)
        streamed = _Streamed(self.app, scope, request)
        try:
            await streamed.begin()
        except BaseException:
            await streamed.end()
            raise
        if streamed.status_code is None:
            await streamed.end()
            if not self.raise_server_exceptions:
                return httpx.Response(500, stream=httpx.ByteStream(b""), request=request)
            raise streamed.job.exception or AssertionError("TestClient did not receive any response.")
        stream = _Stream(streamed, request.method != "HEAD", self.raise_server_exceptions)
        response = httpx.Response(streamed.status_code, headers=streamed.headers, stream=stream, request=request)
        if streamed.trailers is not None:
            response.extensions["http.response.trailers"] = streamed.trailers
        return response


class _Streamed:
    """A request, and its response as far as it was sent: a part of the body is sent when the one before was read."""

    def __init__(self, app: Application, scope: dict[str, Any], request: httpx.Request) -> None:
        self.job = Job(self._call)
        self.status_code: int | None = None
        self.headers: list[tuple[bytes, bytes]] = []
        self.trailers: list[tuple[bytes, bytes]] | None = None
        self._app = app
        self._scope = scope
        self._request = request
        self._body: AsyncIterator[bytes] | None = None
        self._body_was_received = False
        self._begun = anyio.Event()
        self._complete = anyio.Event()
        self._all_sent = False
        self._write, self.parts = anyio.create_memory_object_stream[bytes](0)

    async def begin(self) -> None:
        """Start the application and wait until its response begins, or it has ended."""
        self.job.start()
        await self._begun.wait()

    async def end(self) -> None:
        """Wait until the application has ended; where its response is not complete, cancel it."""
        self.parts.close()
        if not self._complete.is_set():
            await self.job.cancel()
        await self.job.wait()

    async def _call(self) -> None:
        try:
            with self._write:
                await self._app(self._scope, self._receive, self._send)
        finally:
            self._begun.set()

    async def _receive(self) -> Message:
        if self._body_was_received:
            await self._complete.wait()
            return {"type": "http.disconnect"}
        if isinstance(self._request.stream, httpx.ByteStream):
            self._body_was_received = True
            return {"type": "http.request", "body": await self._request.aread()}
        if self._body is None:
            assert isinstance(self._request.stream, httpx.AsyncByteStream), "Sent a synchronous stream."
            self._body = aiter(self._request.stream)
        try:
            return {"type": "http.request", "body": await anext(self._body), "more_body": True}
        except StopAsyncIteration:
            self._body_was_received = True
            return {"type": "http.request", "body": b""}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            assert self.status_code is None, 'Received multiple "http.response.start" messages.'
            self.headers = list(message.get("headers", []))
            self.status_code = message["status"]
            if message.get("trailers", False):
                self.trailers = []
            self._begun.set()
        elif kind == "http.response.body":
            assert self.status_code is not None, 'Received "http.response.body" without "http.response.start".'
            assert not self._all_sent, 'Received "http.response.body" after response completed.'
            is_last = not message.get("more_body", False)
            self._all_sent = is_last
            await self._write.send(bytes(message.get("body", b"")))
            if is_last and self.trailers is None:
                self._finish()
        elif kind == "http.response.trailers":
            assert self.trailers is not None, 'Received "http.response.trailers" without declaring trailers.'
            assert self._all_sent, 'Received "http.response.trailers" before body completed.'
            self.trailers.extend(message.get("headers", []))
            if not message.get("more_trailers", False):
                self._finish()

    def _finish(self) -> None:
        self._complete.set()
        self._write.close()


@dataclass(eq=False)
class _Stream(httpx.AsyncByteStream):
    """The body of a response, which is read while it is sent."""

    streamed: _Streamed
    has_body: bool
    raises: bool

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self.streamed.parts:
            if self.has_body and part:
                yield part
        await self.streamed.job.wait()
        if self.raises and (exception := self.streamed.job.exception) is not None:
            raise exception

    async def aclose(self) -> None:
        await self.streamed.end()
