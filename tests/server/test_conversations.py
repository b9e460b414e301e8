"""Whole conversations over a socket: clients that leave, stay or wait, proxies, logs, and servers that end."""

import asyncio
import json
import logging
import re
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ferroapi.server import HTTPProtocol

from .test_protocol import compared

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
SLOW = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
STREAM = b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n"
ENOUGH = 20.0
"""Seconds after which a conversation has failed, on a busy machine too."""


class Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def main_loop(self) -> None:
        """Look more often than uvicorn does whether it is to end."""
        counter = 0
        while not await self.on_tick(counter):
            counter += 1
            await asyncio.sleep(0.01)


class Application:
    """Answers with what was asked for, in the way that the path names."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        """What slow answers wait for."""
        self.begun = asyncio.Event()
        """A slow answer waits."""
        self.left: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": "got " + (await receive())["text"]})
            await send({"type": "websocket.close"})
            return
        kind = scope["path"].rsplit("/", 1)[-1]
        if kind == "wait":
            self.begun.set()
            while (message := await receive())["type"] != "http.disconnect":
                self.left.append(message["type"])
            self.left.append(message["type"])
            return
        if kind == "stream":
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
        if kind in {"stream", "slow"}:
            self.begun.set()
            await self.go_on.wait()
        if kind == "stream":
            await send({"type": "http.response.body", "body": b"last"})
            return
        body, more = scope["method"].encode() + b" " + scope["path"].encode() + b" ", kind not in {"early", "scope"}
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        if kind == "scope":
            names = ("scheme", "root_path", "path", "query_string", "raw_path")
            body = json.dumps(
                {"client": (scope["client"] or [None])[0], **{name: str(scope[name]) for name in names}}
            ).encode()
        head = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 413 if kind == "early" else 200, "headers": head})
        await send({"type": "http.response.body", "body": body})


class Client:
    """A connection to the server, and what is done on it."""

    def __init__(self, server: Server, application: Application, trust: ssl.SSLContext | None = None) -> None:
        self.server, self.application, self.trust = server, application, trust

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        address = self.server.servers[0].sockets[0].getsockname()
        if isinstance(address, str):
            return await asyncio.open_unix_connection(address)
        host, port, *_ = address
        options: dict[str, Any] = {"ssl": self.trust, "server_hostname": "localhost"} if self.trust else {}
        return await asyncio.open_connection(host, port, **options)

    async def talk(self, *pieces: bytes, until: bytes = b"", eof: bool = False) -> tuple[bytes, bool]:
        """Send the pieces, each when the server has had its turn; return what is read, and whether the server ended it.

        Without something to read until, the server is waited for to end the connection.
        """
        reader, writer = await self.connect()
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.02)
        if eof:
            writer.write_eof()
        answer = await self.read(reader, until)
        writer.close()
        return answer

    async def read(self, reader: asyncio.StreamReader, until: bytes = b"") -> tuple[bytes, bool]:
        read, has_ended = b"", False
        while not (has_ended or (until and read.endswith(until))):
            part = await reader.read(65536)
            read, has_ended = read + part, not part
        # The date of uvicorn is off; the answers of its WebSocket libraries have one.
        return re.sub(rb"\r\nDate: [^\r]*", b"", read), has_ended


Conversation = Callable[[Client], Awaitable[Any]]


def says(*pieces: bytes, until: bytes = b"", eof: bool = False) -> Conversation:
    return lambda client: client.talk(*pieces, until=until, eof=eof)


def posts(path: bytes, *headers: bytes, body: bytes = b"hello", length: int = 5) -> bytes:
    lines = [b"POST %b HTTP/1.1" % path, b"Host: x", b"Content-Length: %d" % length, *headers, b"", body]
    return b"\r\n".join(lines)


def forwarded(*headers: bytes) -> Conversation:
    return says(b"\r\n".join([b"GET /scope HTTP/1.1", b"Host: x", *headers, b"", b""]), until=b"}")


def held(*pieces: bytes, eof: bool = False, until: bytes = b"") -> Conversation:
    """Answer only when all has been sent, and perhaps the sending side is closed."""

    async def conversation(client: Client) -> Any:
        reader, writer = await client.connect()
        writer.writelines(pieces)
        await client.application.begun.wait()
        if eof:
            writer.write_eof()
            await asyncio.sleep(0.1)
        client.application.go_on.set()
        answer = await client.read(reader, until)
        writer.close()
        return answer

    return conversation


def ended_while(*pieces: bytes) -> Conversation:
    """End the server while a request is being answered."""

    async def conversation(client: Client) -> Any:
        idle, first = await client.connect()
        first.write(GET)
        before = await client.read(idle, b"GET /a ")
        reader, writer = await client.connect()
        writer.writelines(pieces)
        await client.application.begun.wait()
        client.server.should_exit = True
        after = await client.read(idle)
        client.application.go_on.set()
        answer = await client.read(reader)
        first.close()
        writer.close()
        return before, after, answer

    return conversation


async def leaves(client: Client) -> Any:
    _, writer = await client.connect()
    writer.write(posts(b"/wait"))
    await client.application.begun.wait()
    writer.close()
    while client.server.server_state.connections or client.server.server_state.tasks:
        await asyncio.sleep(0.01)
    return client.application.left


async def resets(client: Client) -> Any:
    reader, writer = await client.connect()
    writer.write(STREAM)
    await client.read(reader, b"first\r\n")
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()
    client.application.go_on.set()
    while client.server.server_state.connections or client.server.server_state.tasks:
        await asyncio.sleep(0.01)
    return await client.talk(GET, until=b"GET /a ")


async def crowds(client: Client) -> Any:
    reader, writer = await client.connect()
    writer.write(SLOW)
    await client.application.begun.wait()
    refused = await client.talk(GET)
    client.application.go_on.set()
    answer = await client.read(reader, b"GET /slow ")
    writer.close()
    return refused, answer


async def comes_once_too_often(client: Client) -> Any:
    answer = await client.talk(GET, GET)
    while client.server.started and client.server.servers[0].is_serving():
        await asyncio.sleep(0.01)
    return answer


UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
FRAME = b"\x81\x82\0\0\0\0hi"
ANSWERED = b"\x81\x06got hi\x88\x02\x03\xe8"
PROXY = {"proxy_headers": True, "forwarded_allow_ips": "127.0.0.1"}
EXPECTING = posts(b"/a", b"Expect: 100-continue", body=b"")

SAME: dict[str, tuple[Conversation, dict[str, Any]]] = {
    "end after a request": (says(GET, eof=True), {}),
    "end while it is answered": (held(SLOW, eof=True), {}),
    "end behind another request": (held(SLOW, GET, eof=True), {}),
    "end in a head": (says(b"GET / HT", eof=True), {}),
    "end in a body": (says(posts(b"/a", length=9), eof=True), {}),
    "end in a body that nobody reads": (says(posts(b"/early", length=9), eof=True), {}),
    "early answer": (says(posts(b"/early") + GET, until=b"GET /a "), {}),
    "early answer before the body's end": (says(posts(b"/early", length=7), b"ab" + GET, until=b"GET /a "), {}),
    "early answer to an expectation": (
        says(posts(b"/early", b"Expect: 100-continue", body=b""), b"hello" + GET, until=b"GET /a "), {}),
    "expectation": (says(EXPECTING, b"hello" + GET, until=b"GET /a "), {}),
    "large body that nobody reads": (
        says(posts(b"/early", body=b"x" * 300_000, length=300_000) + GET, until=b"GET /a "), {}),
    "large body": (says(posts(b"/a", body=b"x" * 300_000, length=300_000) + GET, until=b"GET /a "), {}),
    "stream": (held(STREAM, GET, until=b"GET /a "), {}),
    "head of a stream": (held(STREAM.replace(b"GET", b"HEAD"), GET, until=b"GET /a "), {}),
    "request that waits behind another": (held(SLOW, GET, posts(b"/a"), until=b"POST /a hello"), {}),
    "websocket": (says(UPGRADE, FRAME, until=ANSWERED), {}),
    "websocket in two pieces": (says(UPGRADE[:50], UPGRADE[50:], FRAME, until=ANSWERED), {}),
    "websocket behind a request": (says(GET + UPGRADE, FRAME, until=ANSWERED), {}),
    "websocket of a client of HTTP/1.0": (says(UPGRADE.replace(b"/1.1", b"/1.0"), FRAME, until=ANSWERED), {}),
    "websocket of wsproto": (says(UPGRADE, FRAME, until=ANSWERED), {"ws": "wsproto"}),
    "websocket without a class": (says(UPGRADE, until=b"GET /ws "), {"ws": "none"}),
    "root path": (says(b"GET /scope?a=b HTTP/1.1\r\nHost: x\r\n\r\n", until=b"}"), {"root_path": "/api"}),
    "root path that is sent": (says(b"GET /api/scope HTTP/1.1\r\nHost: x\r\n\r\n", until=b"}"), {"root_path": "/api"}),
    "absolute target": (says(b"GET http://y/scope?q HTTP/1.1\r\nHost: x\r\n\r\n", until=b"}"), {}),
    "proxy": (forwarded(b"X-Forwarded-For: 1.2.3.4", b"X-Forwarded-Proto: https"), PROXY),
    "list of proxies": (forwarded(b"X-Forwarded-For: 9.9.9.9, 1.2.3.4, 127.0.0.1"), PROXY),
    "proxies in two headers": (
        forwarded(b"X-Forwarded-For: 9.9.9.9", b"X-Forwarded-For: 1.2.3.4", b"X-Forwarded-Proto: a",
                  b"X-Forwarded-Proto: https"), PROXY),
    "proxy with a port": (forwarded(b"X-Forwarded-For: 1.2.3.4:567"), PROXY),
    "proxy of IPv6": (forwarded(b"X-Forwarded-For: [2001:db8::1]:567"), PROXY),
    "proxy that says nothing": (forwarded(b"X-Forwarded-For:", b"X-Forwarded-Proto:"), PROXY),
    "proxy that says rubbish": (forwarded(b"X-Forwarded-For: a b, \xe9", b"X-Forwarded-Proto: gopher"), PROXY),
    "any proxy": (forwarded(b"X-Forwarded-For: 9.9.9.9, 1.2.3.4"), {**PROXY, "forwarded_allow_ips": "*"}),
    "network of proxies": (
        forwarded(b"X-Forwarded-For: 9.9.9.9, 10.2.3.4"), {**PROXY, "forwarded_allow_ips": "127.0.0.1,10.0.0.0/8"}),
    "proxy that is not trusted": (
        forwarded(b"X-Forwarded-For: 9.9.9.9", b"X-Forwarded-Proto: https"),
        {**PROXY, "forwarded_allow_ips": "10.0.0.1"},
    ),
    "logged query": (says(b"GET /a%20b/a?c=%C3%A9 HTTP/1.1\r\nHost: x\r\n\r\n", until=b"/a "), {}),
    "logged line feed": (says(b"GET /b%0a%22/a?c=\"d HTTP/1.1\r\nHost: x\r\n\r\n", until=b"/a "), {}),
    "logged client of HTTP/1.0": (says(b"HEAD /a HTTP/1.0\r\n\r\n"), {}),
    "logged root path": (says(GET, until=b"/a "), {"root_path": "/api"}),
    "no log": (says(GET, until=b"/a "), {"access_log": False}),
    "logged refusal": (says(b"rubbish\r\n\r\n"), {}),
    "end of the time to stay": (says(GET), {"timeout_keep_alive": 1}),
    "no time to stay": (says(GET), {"timeout_keep_alive": 0}),
    "headers of the server": (says(GET, until=b"/a "), {"headers": [("X-A", "b"), ("server", "z")]}),
    "end of the server in a stream": (ended_while(STREAM), {}),
    "end of the server before an answer": (ended_while(SLOW), {}),
    "end of the server with another request": (ended_while(SLOW, GET), {}),
    "too many connections": (crowds, {"limit_concurrency": 2}),
    "too many requests": (comes_once_too_often, {"limit_max_requests": 2}),
    "client that leaves": (leaves, {}),
    "client that resets": (resets, {}),
}  # fmt: skip


@pytest.fixture
def log() -> Any:
    """What uvicorn logs, without what differs from run to run."""
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            line = f"{record.name} {record.levelname} {record.getMessage()}"
            if not re.search(r"Started|Waiting|startup|complete|running|Shutting|Finished", line):
                lines.append(re.sub(r"(127\.0\.0\.1|1\.2\.3\.4):\d+", r"\1", line))

    handler, loggers = Lines(), [logging.getLogger(name) for name in ("uvicorn.error", "uvicorn.access")]
    before = [(logger, logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    yield lines
    for logger, level, propagate in before:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


async def converse(
    protocol: Any, conversation: Conversation, options: dict[str, Any], trust: ssl.SSLContext | None = None
) -> Any:
    application = Application()
    usual: dict[str, Any] = {"date_header": False, "proxy_headers": False, "ws": "websockets-sansio"}
    config = uvicorn.Config(
        application,
        **{"host": "127.0.0.1", "port": 0, "http": protocol, "log_config": None, "lifespan": "off"} | usual | options,
    )
    server = Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        if serving.done():
            raise RuntimeError("the server did not start") from serving.exception()
        await asyncio.sleep(0.01)
    try:
        return await asyncio.wait_for(conversation(Client(server, application, trust)), ENOUGH)
    finally:
        server.should_exit = True
        await asyncio.wait_for(serving, ENOUGH)


@compared
@pytest.mark.parametrize("name", SAME)
def test_conversation_is_that_of_httptools(name: str, log: list[str]) -> None:
    conversation, options = SAME[name]
    results = []
    for protocol in (HttpToolsProtocol, HTTPProtocol):
        log.clear()
        results.append((asyncio.run(converse(protocol, conversation, options)), log.copy()))
    assert results[1] == results[0]


def test_conversation_goes_on_with_a_websocket_whose_first_message_comes_with_its_head() -> None:
    """httptools and h11 lose what has arrived behind the head."""
    conversation = says(UPGRADE + FRAME, until=ANSWERED)
    answer, _ = asyncio.run(converse(HTTPProtocol, conversation, {}))
    assert answer.startswith(b"HTTP/1.1 101 ") and answer.endswith(ANSWERED)


def test_conversation_answers_before_it_becomes_a_websocket() -> None:
    """With httptools the WebSocket is opened, and the answer written into it."""
    conversation = held(SLOW, UPGRADE, FRAME, until=ANSWERED)
    answer, _ = asyncio.run(converse(HTTPProtocol, conversation, {}))
    assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"200", b"101"]
