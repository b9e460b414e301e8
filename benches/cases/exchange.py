"""One request as an ASGI server makes it: a scope, the messages to receive, and somewhere to send the answer."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

Message = MutableMapping[str, Any]
ASGIApp = Callable[..., Awaitable[None]]

# What uvicorn 0.54 puts into a scope; with this `spec_version` a streamed answer also listens for the client leaving.
_SERVER = {
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "server": ("127.0.0.1", 8000),
    "client": ("127.0.0.1", 54321),
    "root_path": "",
}
_HEADERS = ((b"host", b"127.0.0.1:8000"), (b"user-agent", b"bench"), (b"accept", b"*/*"))


@dataclass(frozen=True)
class Request:
    """A fixed request. `messages` follow the opening of a websocket; an HTTP request has one, its body."""

    path: str
    query: str = ""
    method: str = "GET"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    websocket_messages: tuple[Message, ...] | None = None

    def scope(self) -> dict[str, Any]:
        """Return a new scope. Its lists are shared by no other."""
        headers = [*_HEADERS, *self.headers]
        if self.body:
            headers.append((b"content-length", str(len(self.body)).encode()))
        scope = {
            **_SERVER,
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": self.query.encode(),
            "headers": headers,
            "state": {},
        }
        if self.websocket_messages is not None:
            return scope | {"type": "websocket", "scheme": "ws", "subprotocols": []}
        return scope | {"type": "http", "scheme": "http", "method": self.method}

    def messages(self) -> tuple[Message, ...]:
        """Return what `receive` answers, in order."""
        if self.websocket_messages is not None:
            return ({"type": "websocket.connect"}, *self.websocket_messages)
        return ({"type": "http.request", "body": self.body, "more_body": False},)


class Receiver:
    """The `receive` of one request: the messages in order, then silence, as from a client that waits for its answer."""

    __slots__ = ("_messages", "_position")

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages
        self._position = 0

    async def __call__(self) -> Message:
        position = self._position
        if position == len(self._messages):
            await asyncio.get_running_loop().create_future()
        self._position = position + 1
        return self._messages[position]


async def discard(message: Message) -> None:
    """Send nowhere."""


@dataclass(frozen=True)
class Answer:
    """What an application sent: status and headers of an HTTP answer, and its body or the websocket's messages."""

    status: int | None
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    websocket_messages: tuple[Message, ...] = ()


async def ask(app: ASGIApp, request: Request) -> Answer:
    """Make the request once and return the answer."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await app(request.scope(), Receiver(request.messages()), send)
    if request.websocket_messages is not None:
        return Answer(None, (), b"", tuple(sent))
    start, *rest = sent
    headers = tuple(sorted((bytes(name), bytes(value)) for name, value in start["headers"]))
    return Answer(start["status"], headers, b"".join(message.get("body", b"") for message in rest))
