"""Ask an ASGI application as a server does, and keep what it answers."""

import asyncio
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Headers = Iterable[tuple[bytes, bytes]]


@dataclass
class Answer:
    """What the client sees, and the exception that the server sees."""

    status: int | None = None
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    websocket: list[Any] = field(default_factory=list)
    raised: str | None = None
    read: int = 0
    """How many messages the application has asked for and got, until the client left."""


def http_scope(path: str, method: str = "GET", query: bytes = b"", headers: Headers = ()) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogatepass"),
        "query_string": query,
        "root_path": "",
        "headers": list(headers),
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
    }


def websocket_scope(path: str, headers: Headers = ()) -> dict[str, Any]:
    return {**http_scope(path, headers=headers), "type": "websocket", "scheme": "ws", "subprotocols": []}


async def ask(app: Any, scope: dict[str, Any], *chunks: bytes, leaves: bool = False) -> Answer:
    """Serve one connection; a body arrives in these chunks, and more is to come when the client `leaves`."""
    answer = Answer()
    if scope["type"] == "websocket":
        messages: list[dict[str, Any]] = [{"type": "websocket.connect"}]
    else:
        bodies = chunks or (b"",)
        messages = [
            {"type": "http.request", "body": body, "more_body": leaves or index + 1 < len(bodies)}
            for index, body in enumerate(bodies)
        ]

    async def receive() -> dict[str, Any]:
        answer.read += bool(messages)
        gone = {"type": "websocket.disconnect", "code": 1001} if scope["type"] == "websocket" else None
        return messages.pop(0) if messages else gone or {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answer.status, answer.headers = message["status"], list(message["headers"])
        elif message["type"] == "http.response.body":
            answer.body += message.get("body", b"")
        else:
            answer.websocket.append(message)

    try:
        await app(scope, receive, send)
    except Exception as error:
        answer.raised = f"{type(error).__name__}: {error}"
    return answer


def answers(app: Any, scopes: Iterable[dict[str, Any]], *chunks: bytes) -> list[Answer]:
    """Serve connections one behind the other, after a first request that makes an application build its middleware."""

    async def serve() -> list[Answer]:
        await ask(app, http_scope("/nowhere", "TRACE"))
        return [await ask(app, scope, *chunks) for scope in scopes]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return asyncio.run(serve())
