"""A WebSocket of an asynchronous test client."""

import json
import math
from types import TracebackType
from typing import Any, Literal, Self

import anyio
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from ..jobs import Job
from . import httpx
from .async_transport import AsyncTransport
from .exchange import Message
from .scopes import add_websocket, scope_of


class AsyncWebSocketTestSession:
    """A WebSocket between a test and an application in one event loop.

    Source: starlette/testclient.py, `WebSocketTestSession`: names, messages and what is raised.
    """

    def __init__(self, transport: AsyncTransport, request: httpx.Request) -> None:
        offered = request.headers.get("sec-websocket-protocol", "")
        subprotocols = [each.strip() for each in offered.split(",")] if offered else []
        scope = scope_of(request, transport.root_path, transport.client, transport.app_state)
        self.app = transport.app
        self.scope = add_websocket(scope, subprotocols)
        self.accepted_subprotocol: str | None = None
        self.extra_headers: list[tuple[bytes, bytes]] | None = None

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            WebSocketDisconnect: the application has refused; a `WebSocketDenialResponse` if it did with a response.
        """
        self._to_app, self._app_receives = anyio.create_memory_object_stream[Message](math.inf)
        self._app_sends, self._from_app = anyio.create_memory_object_stream[Message](math.inf)
        self._job = Job(self._call)
        self._job.start()
        try:
            await self.send({"type": "websocket.connect"})
            message = await self.receive()
            await self._raise_on_close(message)
        except BaseException:
            await self._end()
            raise
        self.accepted_subprotocol = message.get("subprotocol", None)
        self.extra_headers = message.get("headers", None)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Disconnect, and end the application.

        Raises:
            Exception: what the application raised.
        """
        await self.close(1000)
        # An application that reads until the end has the time to come there.
        for _ in range(10):
            if self._job.has_ended:
                break
            await anyio.sleep(0)
        await self._end()
        if self._job.exception is not None and exc_value is None:
            raise self._job.exception

    async def _call(self) -> None:
        with self._app_sends, self._app_receives:
            await self.app(self.scope, self._app_receives.receive, self._app_sends.send)

    async def _end(self) -> None:
        await self._job.cancel()
        self._to_app.close()
        self._from_app.close()

    async def send(self, message: Message) -> None:
        """Send a message to the application; after it has returned, nobody reads it."""
        try:
            await self._to_app.send(message)
        except anyio.BrokenResourceError:
            return

    async def send_text(self, data: str) -> None:
        """Send a text."""
        await self.send({"type": "websocket.receive", "text": data})

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes."""
        await self.send({"type": "websocket.receive", "bytes": data})

    async def send_json(self, data: Any, mode: Literal["text", "binary"] = "text") -> None:
        """Send JSON, as a text or as bytes."""
        text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
        await (self.send_text(text) if mode == "text" else self.send_bytes(text.encode()))

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Tell the application that the client is gone."""
        await self.send({"type": "websocket.disconnect", "code": code, "reason": reason})

    async def receive(self) -> Message:
        """Wait for the next message of the application.

        Raises:
            Exception: what the application raised in place of one.
            RuntimeError: the application has returned.
        """
        try:
            return await self._from_app.receive()
        except anyio.EndOfStream:
            await self._job.wait()
            if self._job.exception is not None:
                raise self._job.exception from None
            raise RuntimeError("The application has returned; it sends no more messages.") from None

    async def receive_text(self) -> str:
        """Wait for a text; raises `WebSocketDisconnect` if the application closes."""
        text = (await self._receive_data())["text"]
        assert isinstance(text, str)
        return text

    async def receive_bytes(self) -> bytes:
        """Wait for bytes; raises `WebSocketDisconnect` if the application closes."""
        data = (await self._receive_data())["bytes"]
        assert isinstance(data, bytes)
        return data

    async def receive_json(self, mode: Literal["text", "binary"] = "text") -> Any:
        """Wait for JSON, in a text or in bytes; raises `WebSocketDisconnect` if the application closes."""
        return json.loads(await (self.receive_text() if mode == "text" else self.receive_bytes()))

    async def _receive_data(self) -> Message:
        message = await self.receive()
        await self._raise_on_close(message)
        return message

    async def _raise_on_close(self, message: Message) -> None:
        if message["type"] == "websocket.close":
            raise WebSocketDisconnect(code=message.get("code", 1000), reason=message.get("reason", ""))
        if message["type"] == "websocket.http.response.start":
            parts = [await self.receive()]
            while parts[-1].get("more_body", False):
                parts.append(await self.receive())
            content = b"".join(part["body"] for part in parts)
            raise WebSocketDenialResponse(status_code=message["status"], headers=message["headers"], content=content)
