"""Serve a request as a server does, and keep all that can be seen of it."""

import asyncio
from typing import Any
from urllib.parse import unquote

from .build import Built
from .descriptions import Outcome, Request


def scope_of(request: Request) -> dict[str, Any]:
    is_websocket = request.method == "WEBSOCKET"
    own_host = any(name == b"host" for name, _ in request.headers)
    scope = {
        "type": "websocket" if is_websocket else "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "ws" if is_websocket else "http",
        "path": request.root_path + unquote(request.path),
        "raw_path": (request.root_path + request.path).encode("ascii", "replace"),
        "query_string": request.query,
        "root_path": request.root_path,
        "headers": [*([] if own_host else [(b"host", b"testserver")]), *request.headers],
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
        "state": {},
    }
    if is_websocket:
        del scope["method"]
        scope["subprotocols"] = ["one", "two"]
        scope["extensions"] = {"websocket.http.response": {}}
    return scope


def messages_of(request: Request) -> list[dict[str, Any]]:
    """All that the client sends, but for its leaving."""
    if request.method == "WEBSOCKET":
        received = [
            {"type": "websocket.receive", "bytes": chunk}
            if index % 2
            else {"type": "websocket.receive", "text": chunk.decode("utf-8", "replace")}
            for index, chunk in enumerate(request.chunks)
        ]
        return [{"type": "websocket.connect"}, *received]
    return [
        {"type": "http.request", "body": chunk, "more_body": request.disconnects or index + 1 < len(request.chunks)}
        for index, chunk in enumerate(request.chunks)
    ]


async def run(built: Built, request: Request) -> Outcome:
    """Serve one request as a server does, and return all that can be seen of it."""
    outcome = Outcome(log=built.log)
    built.log.clear()
    messages, answered = messages_of(request), asyncio.Event()
    gone = (
        {"type": "websocket.disconnect", "code": 1001, "reason": "gone"}
        if request.method == "WEBSOCKET"
        else {"type": "http.disconnect"}
    )

    async def receive() -> dict[str, Any]:
        if not messages and request.method != "WEBSOCKET" and not request.disconnects:
            # A client stays until it has its answer.
            async with asyncio.timeout(10):
                await answered.wait()
        return messages.pop(0) if messages else gone

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            built.log.append("start")
            outcome.status = message["status"]
            outcome.headers = [(bytes(name), bytes(value)) for name, value in message["headers"]]
        elif message["type"] == "http.response.body":
            body = without_time(outcome, message.get("body", b""))
            built.log.append(("body", body, message.get("more_body", False)))
            outcome.body += body
            if not message.get("more_body"):
                answered.set()
        else:
            if message.get("code") == 1008 and message.get("reason"):
                # Decided difference: FastAPI's reason is a list, which no server can send.
                message = {**message, "reason": "the errors"}
            built.log.append(sorted(message.items(), key=str))

    try:
        await asyncio.create_task(built.app(scope_of(request), receive, send))
    except Exception as error:
        outcome.raised = f"{type(error).__name__}: {error}"
    outcome.log = list(built.log)
    return outcome


def without_time(outcome: Outcome, body: bytes) -> bytes:
    """The body without the second in which it was compressed, which stands in the header of a gzip stream."""
    is_start = not outcome.body and (b"content-encoding", b"gzip") in outcome.headers
    return body[:4] + bytes(4) + body[8:] if is_start and len(body) >= 10 else body
