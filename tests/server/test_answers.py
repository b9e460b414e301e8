"""What an application sends, right or wrong, as the engine's protocol and httptools write it."""

import asyncio
import logging
from collections import UserDict
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest

from .exchange import PROTOCOLS, converse
from .test_protocol import compared

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: x\r\n\r\n"


def start(status: Any = 200, *headers: Any, **more: Any) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers), **more}


def body(data: Any = b"hello", more: Any = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


LENGTH = (b"content-length", b"5")
CHUNKED = (b"transfer-encoding", b"chunked")
Messages = Callable[[], list[Any]]

# Messages are made for each protocol: some can be read once only.
SAME: dict[str, tuple[bytes, Messages]] = {
    "status of an enumeration": (GET, lambda: [start(HTTPStatus.CREATED, LENGTH), body()]),
    "status that is unknown": (GET, lambda: [start(299, LENGTH), body()]),
    "status of 599": (GET, lambda: [start(599, LENGTH), body()]),
    "status of 600": (GET, lambda: [start(600, LENGTH), body()]),
    "status of 99": (GET, lambda: [start(99, LENGTH), body()]),
    "status below zero": (GET, lambda: [start(-1, LENGTH), body()]),
    "status that has no room": (GET, lambda: [start(1 << 80, LENGTH), body()]),
    "status of a text": (GET, lambda: [start("200", LENGTH), body()]),
    "status of a fraction": (GET, lambda: [start(200.0, LENGTH), body()]),
    "status of None": (GET, lambda: [start(None, LENGTH), body()]),
    "no status": (GET, lambda: [{"type": "http.response.start"}, body()]),
    "204 with a body": (GET, lambda: [start(204), body()]),
    "204 with a length": (GET, lambda: [start(204, (b"content-length", b"0")), body(b"")]),
    "204 without a body": (GET, lambda: [start(204), body(b"")]),
    "304 with a length": (GET, lambda: [start(304, LENGTH), body(b"")]),
    "304 with a body": (GET, lambda: [start(304), body()]),
    "205": (GET, lambda: [start(205), body(b"")]),
    "103": (GET, lambda: [start(103), body(b"")]),
    "HEAD without a length": (GET.replace(b"GET", b"HEAD"), lambda: [start(), body()]),
    "HEAD with a length": (GET.replace(b"GET", b"HEAD"), lambda: [start(200, LENGTH), body()]),
    "HEAD with another length": (GET.replace(b"GET", b"HEAD"), lambda: [start(200, (b"content-length", b"9")), body()]),
    "HEAD in chunks": (GET.replace(b"GET", b"HEAD"), lambda: [start(200, CHUNKED), body()]),
    "chunks": (GET, lambda: [start(200, CHUNKED), body()]),
    "chunks in upper case": (GET, lambda: [start(200, (b"Transfer-Encoding", b"CHUNKED")), body()]),
    "coding that is another": (GET, lambda: [start(200, (b"transfer-encoding", b"gzip")), body()]),
    "chunks behind another coding": (GET, lambda: [start(200, (b"transfer-encoding", b"gzip, chunked")), body()]),
    "chunks and a length": (GET, lambda: [start(200, CHUNKED, LENGTH), body()]),
    "a length and chunks": (GET, lambda: [start(200, LENGTH, CHUNKED), body()]),
    "length twice": (GET, lambda: [start(200, LENGTH, LENGTH), body()]),
    "lengths that differ": (GET, lambda: [start(200, (b"content-length", b"1"), LENGTH), body()]),
    "length between spaces": (GET, lambda: [start(200, (b"content-length", b" 5 ")), body()]),
    "length of parts": (GET, lambda: [start(200, LENGTH), body(b"he", True), body(b"llo", True), body(b"")]),
    "length that a part exceeds": (GET, lambda: [start(200, LENGTH), body(b"he", True), body(b"llooo")]),
    "length that parts do not reach": (GET, lambda: [start(200, LENGTH), body(b"he", True), body(b"l")]),
    "parts that are empty": (GET, lambda: [start(), body(b"", True), body(b"a", True), body(b"", True), body(b"")]),
    "closing": (GET, lambda: [start(200, LENGTH, (b"connection", b"close")), body()]),
    "closing in upper case": (GET, lambda: [start(200, LENGTH, (b"CONNECTION", b"CLOSE")), body()]),
    "closing in a list": (GET, lambda: [start(200, LENGTH, (b"connection", b"keep-alive, close")), body()]),
    "closing between spaces": (GET, lambda: [start(200, LENGTH, (b"connection", b" close ")), body()]),
    "staying": (GET, lambda: [start(200, LENGTH, (b"connection", b"keep-alive")), body()]),
    "header of texts": (GET, lambda: [start(200, LENGTH, ("x-a", "b")), body()]),
    "header of byte arrays": (GET, lambda: [start(200, LENGTH, (bytearray(b"x-a"), bytearray(b"b"))), body()]),
    "header of memory": (GET, lambda: [start(200, LENGTH, (memoryview(b"x-a"), memoryview(b"b"))), body()]),
    "header of a list": (GET, lambda: [start(200, LENGTH, [b"x-a", b"b"]), body()]),
    "header of three": (GET, lambda: [start(200, LENGTH, (b"x-a", b"b", b"c")), body()]),
    "header of one": (GET, lambda: [start(200, LENGTH, (b"x-a",)), body()]),
    "header of None": (GET, lambda: [start(200, LENGTH, None), body()]),
    "header without a name": (GET, lambda: [start(200, LENGTH, (b"", b"b")), body()]),
    "header with a colon": (GET, lambda: [start(200, LENGTH, (b"x:a", b"b")), body()]),
    "header with zero": (GET, lambda: [start(200, LENGTH, (b"x-a", b"b\0c")), body()]),
    "header with a tab": (GET, lambda: [start(200, LENGTH, (b"x-a", b"b\tc")), body()]),
    "header with a delete": (GET, lambda: [start(200, LENGTH, (b"x-a", b"b\x7fc")), body()]),
    "header with a line feed at the end": (GET, lambda: [start(200, LENGTH, (b"x-a", b"b\n")), body()]),
    "header beyond ASCII": (GET, lambda: [start(200, LENGTH, (b"x-a", b"\xe9"), (b"\xe9", b"a")), body()]),
    "header between spaces": (GET, lambda: [start(200, LENGTH, (b"x-a", b"  b  ")), body()]),
    "header of the server's": (GET, lambda: [start(200, LENGTH, (b"Server", b"a"), (b"date", b"b")), body()]),
    "headers in a tuple": (GET, lambda: [start() | {"headers": (LENGTH,)}, body()]),
    "headers that are read once": (GET, lambda: [start() | {"headers": iter([LENGTH, (b"x-a", b"b")])}, body()]),
    "headers of a dict": (GET, lambda: [start() | {"headers": {b"ab": b"c"}}, body()]),
    "headers of None": (GET, lambda: [start() | {"headers": None}, body()]),
    "no headers": (GET, lambda: [{"type": "http.response.start", "status": 200}, body()]),
    "trailers": (
        GET, lambda: [start(200, trailers=True), body(), {"type": "http.response.trailers", "headers": []}]),
    "body of a byte array": (GET, lambda: [start(200, LENGTH), body(bytearray(b"hello"))]),
    "body of memory": (GET, lambda: [start(200, LENGTH), body(memoryview(b"hello"))]),
    "body of strided memory": (GET, lambda: [start(), body(memoryview(b"hello")[::2])]),
    "body of a text in chunks": (GET, lambda: [start(), body("hello")]),
    "body of numbers": (GET, lambda: [start(), body([104, 105])]),
    "body of a number": (GET, lambda: [start(), body(5)]),
    "body of None": (GET, lambda: [start(200, LENGTH), body(None)]),
    "body of None in chunks": (GET, lambda: [start(), body(None)]),
    "no body": (GET, lambda: [start(), {"type": "http.response.body"}]),
    "more of a word": (GET, lambda: [start(), body(b"a", "no"), body(b"b", 0)]),
    "more of None": (GET, lambda: [start(), body(b"a", None)]),
    "message without a type": (GET, lambda: [{"status": 200}, body()]),
    "message of another type": (GET, lambda: [{"type": 5, "status": 200}, body()]),
    "message that is no dict": (GET, lambda: [UserDict(start(200, LENGTH)), UserDict(body())]),
    "message that is None": (GET, lambda: [None, body()]),
    "message of pairs": (GET, lambda: [list(start(200, LENGTH).items()), body()]),
    "message of a push": (GET, lambda: [{"type": "http.response.push", "path": "/b", "headers": []}, start(), body()]),
    "early hint": (GET, lambda: [{"type": "http.response.early_hint", "links": []}, start(), body()]),
    "debug": (GET, lambda: [{"type": "http.response.debug", "info": {}}, start(), body()]),
    "body of a file": (GET, lambda: [start(), {"type": "http.response.pathsend", "path": "/dev/null"}]),
    "start behind a part": (GET, lambda: [start(), body(b"a", True), start(), body(b"b")]),
    "HTTP/1.0 with a length": (GET.replace(b"1.1", b"1.0"), lambda: [start(200, LENGTH), body()]),
}  # fmt: skip


class Application:
    """Sends messages, and keeps how each of them was taken; answers the last request as usual."""

    def __init__(self, messages: list[Any]) -> None:
        self.messages = messages
        self.taken: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        messages = [start(200, LENGTH), body()] if scope["path"] == "/last" else self.messages
        for message in messages:
            try:
                await send(message)
            except Exception as error:
                self.taken.append(f"{type(error).__name__}: {error}")
                raise
            self.taken.append("taken")


def answered(protocol: Any, request: bytes, messages: Messages) -> tuple[Any, ...]:
    application = Application(messages())
    _, answers, closed = converse(protocol, application, [request, LAST])
    return answers, closed, application.taken


def logged_errors(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [
        (record.getMessage(), repr(record.exc_info and record.exc_info[1]))
        for record in caplog.records
        if record.levelno >= logging.WARNING
    ]


@compared
@pytest.mark.parametrize("name", SAME)
def test_answer_is_written_as_by_httptools(name: str, caplog: pytest.LogCaptureFixture) -> None:
    request, messages = SAME[name]
    results = []
    for protocol in PROTOCOLS:
        caplog.clear()
        results.append((answered(protocol, request, messages), logged_errors(caplog)))
    assert results[1] == results[0]


NOT_WRITTEN = (b"", True, ["RuntimeError: Invalid HTTP header value."])

# What the engine's protocol writes, and whether it closes; `docs/deployment.md` says why.
DIFFERENT: dict[str, tuple[Messages, tuple[Any, ...]]] = {
    "length with a plus": (lambda: [start(200, (b"content-length", b"+5")), body()], NOT_WRITTEN),
    "length with a line": (lambda: [start(200, (b"content-length", b"0_5")), body()], NOT_WRITTEN),
    "length below zero": (lambda: [start(200, (b"content-length", b"-5")), body()], NOT_WRITTEN),
    "length of a word": (lambda: [start(200, (b"content-length", b"five")), body()], NOT_WRITTEN),
    "length that is empty": (lambda: [start(200, (b"content-length", b"")), body()], NOT_WRITTEN),
    "length that has no room": (lambda: [start(200, (b"content-length", b"9" * 30)), body()], NOT_WRITTEN),
    "body of wide memory": (
        lambda: [start(200, (b"connection", b"close")), body(memoryview(b"hellohel").cast("I"))],
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n8\r\nhellohel\r\n0\r\n\r\n",
         True, ["taken", "taken"])),
}  # fmt: skip


@compared
@pytest.mark.parametrize("name", DIFFERENT)
def test_answer_is_written_otherwise_where_that_is_decided(name: str) -> None:
    messages, expected = DIFFERENT[name]
    theirs, ours = (answered(protocol, GET, messages) for protocol in PROTOCOLS)
    assert ours == expected != theirs


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_answer_of_text_ends_behind_its_head(protocol: Any) -> None:
    """What the exception says is left to the transport by httptools."""
    answers, closed, (_, taken) = answered(protocol, GET, lambda: [start(200, LENGTH), body("hello")])
    assert (answers, closed) == (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", True)
    assert taken.startswith("TypeError: ")


@compared
@pytest.mark.parametrize("status", [200, 200.0, True, 600, None])
def test_answer_is_logged_before_its_status_is_refused(status: Any, caplog: pytest.LogCaptureFixture) -> None:
    logged = []
    with caplog.at_level(logging.INFO, "uvicorn.access"):
        for protocol in PROTOCOLS:
            caplog.clear()
            converse(protocol, Application([start(status, LENGTH), body()]), [GET], access_log=True)
            logged.append([(record.msg, record.args) for record in caplog.records if record.name == "uvicorn.access"])
    assert logged[1] == logged[0] and logged[0]


class Stop(BaseException):
    """What no handler of exceptions takes."""


ENDS: dict[str, BaseException] = {
    "cancelled": asyncio.CancelledError("why"),
    "stopped": StopAsyncIteration(),
    "base": Stop("why"),
    "group": BaseExceptionGroup("several", [Stop(), ValueError("one")]),
    "generator": GeneratorExit(),
}


@compared
@pytest.mark.parametrize("has_started", [False, True])
@pytest.mark.parametrize("name", ENDS)
def test_answer_that_an_exception_ends_is_that_of_httptools(
    name: str, has_started: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        if has_started:
            await send(start(200, LENGTH))
        await asyncio.sleep(0)
        raise ENDS[name]

    results = []
    for protocol in PROTOCOLS:
        caplog.clear()
        results.append((converse(protocol, application, [GET, LAST])[1:], logged_errors(caplog)))
    assert results[1] == results[0]
