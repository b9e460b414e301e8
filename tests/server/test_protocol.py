"""The HTTP protocol of the engine beside that of httptools: the same scopes, messages and bytes."""

import asyncio
import gc
import weakref
from contextvars import ContextVar
from typing import Any

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st

from ferroapi import FastAPI
from ferroapi.server import HTTPProtocol

from .exchange import PROTOCOLS, arrive, connect, converse, turns

# Under an older uvicorn the engine's protocol works too, and answers as a newer one does.
compared = pytest.mark.skipif(
    tuple(map(int, uvicorn.__version__.split(".")[:2])) < (0, 53), reason="it answers as uvicorn does from 0.53 on"
)

GET = b"GET /a%20b?c=d HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the whole body, as the path says: chunked, with a length, in parts, late, or closing."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    if "late" in scope["path"]:
        await asyncio.sleep(0)
    headers = [(b"X-Kind", b"a")]
    if "length" in scope["path"]:
        headers.append((b"content-length", b"%d" % len(body)))
    if "close" in scope["path"]:
        headers.append((b"Connection", b"close"))
    await send(
        {"type": "http.response.start", "status": 201 if "created" in scope["path"] else 200, "headers": headers}
    )
    if "parts" in scope["path"]:
        await send({"type": "http.response.body", "body": body, "more_body": True})
        body = b"" if "length" in scope["path"] else b"end"
    await send({"type": "http.response.body", "body": body})


async def fail(scope: Any, receive: Any, send: Any) -> None:
    """Do what an application must not do, by the path."""
    kind = scope["path"][1:]
    if kind == "raise":
        raise LookupError
    if kind == "return":
        return
    if kind == "body-first":
        await send({"type": "http.response.body", "body": b""})
    headers = {
        "name": [(b"bad name", b"a")],
        "value": [(b"a", b"b\r\nc: d")],
        "short": [(b"content-length", b"9")],
        "long": [(b"content-length", b"1")],
    }.get(kind, [])
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if kind == "start-only":
        return
    if kind == "twice":
        await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"1234", "more_body": kind == "raise-late"})
    if kind == "raise-late":
        raise LookupError
    if kind == "after":
        await send({"type": "http.response.body", "body": b"x"})


async def receive_at_once(scope: Any, receive: Any, send: Any) -> None:
    """Answer with what calls of `receive` that wait beside each other return, round after round."""
    answer = b""
    for calls in scope["path"][1:]:
        for message in await asyncio.gather(*(receive() for _ in range(int(calls)))):
            answer += b"%b %d|" % (message.get("body", b"gone"), message.get("more_body", False))
    headers = [(b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


FAILURES = ["raise", "return", "body-first", "name", "value", "short", "long", "start-only", "twice", "raise-late"]
FAILURES += ["after"]


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Draw one to three requests, cut anywhere."""
    stream = b""
    for _ in range(draw(st.integers(1, 3))):
        method = draw(st.sampled_from([b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"]))
        words = draw(
            st.lists(st.sampled_from(["late", "length", "parts", "created", "close", "%C3%A9", "%"]), max_size=3)
        )
        query = draw(st.sampled_from([b"", b"?", b"?a=b&c", b"?%41#x"]))
        body = draw(st.binary(max_size=20))
        headers = draw(
            st.lists(
                st.sampled_from(
                    [
                        b"Accept: */*",
                        b"X-A:  spaced",
                        b"x-b: \xe9",
                        b"Cookie: a=b; c=d",
                        b"X-Empty:",
                        b"Expect: 100-continue",
                    ]
                ),
                max_size=3,
            )
        )
        if draw(st.booleans()):
            headers.append(b"Content-Length: %d" % len(body))
        elif draw(st.booleans()):
            chunks = [body[at : at + 7] for at in range(0, len(body), 7)]
            headers.append(b"Transfer-Encoding: chunked")
            body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
        else:
            body = b""
        version = (
            draw(st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.0"])) if b"chunked" not in b"".join(headers) else b"1.1"
        )
        # Without a length, what is sent to a client of HTTP/1.0 ends with the connection here, and in chunks there.
        if version == b"1.0":
            words.append("length")
        if draw(st.integers(0, 5)) == 0:
            headers.append(b"Connection: close")
        path = "/" + "/".join(words)
        head = [b"%b %b%b HTTP/%b" % (method, path.encode(), query, version), b"Host: x", *headers, b"", b""]
        stream += b"\r\n".join(head) + body
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=4)))
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True) if start < end]


def messages_joined(seen: list[Any]) -> list[Any]:
    """Return what was seen with the parts of each body as one: how they are cut is the loop's business."""
    joined: list[Any] = []
    for each in seen:
        if (
            each["type"] == "http.request"
            and joined
            and joined[-1]["type"] == "http.request"
            and joined[-1]["more_body"]
        ):
            joined[-1] = {**each, "body": joined[-1]["body"] + each["body"]}
        else:
            joined.append(each)
    return joined


@compared
@given(streams())
def test_protocol_answers_as_httptools_does(pieces: list[bytes]) -> None:
    (seen, answers, closed), (our_seen, our_answers, our_closed) = (
        converse(protocol, echo, pieces) for protocol in PROTOCOLS
    )
    assert messages_joined(our_seen) == messages_joined(seen)
    assert [list(each) for each in our_seen if "path" in each] == [list(each) for each in seen if "path" in each]
    assert our_answers == answers
    assert our_closed == closed


@compared
@given(
    rounds=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    parts=st.lists(st.sampled_from([b"hello", b"a", b"bc"]), min_size=1, max_size=3),
    is_head_apart=st.booleans(),
)
def test_protocol_wakes_each_call_of_receive_as_httptools_does(
    rounds: list[int], parts: list[bytes], is_head_apart: bool
) -> None:
    path = "".join(map(str, rounds)).encode()
    head = b"POST /%b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path, len(b"".join(parts)))
    pieces = [head, *parts] if is_head_apart else [head + parts[0], *parts[1:]]
    theirs, ours = (converse(protocol, receive_at_once, pieces) for protocol in PROTOCOLS)
    assert ours[1:] == theirs[1:]


@compared
@pytest.mark.parametrize("kind", FAILURES)
def test_protocol_meets_wrong_applications_as_httptools_does(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    results = []
    for protocol in PROTOCOLS:
        caplog.clear()
        result = converse(protocol, fail, [b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % kind.encode()])
        errors = [(record.msg, repr(record.exc_info and record.exc_info[1])) for record in caplog.records]
        results.append((result, errors))
    assert results[1] == results[0]


@compared
@pytest.mark.parametrize(
    ("options", "pieces"),
    [
        ({"root_path": "/root"}, [GET]),
        ({"limit_concurrency": 1}, [GET]),
        ({"limit_concurrency": 2}, [GET, GET]),
        ({"reset_contextvars": True}, [GET]),
    ],
)
def test_protocol_keeps_uvicorns_options(options: dict[str, Any], pieces: list[bytes]) -> None:
    assert converse(PROTOCOLS[1], echo, pieces, **options) == converse(PROTOCOLS[0], echo, pieces, **options)


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nA : b\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"rubbish\r\n\r\n",
    ],
)
def test_protocol_refuses_what_can_be_understood_in_two_ways(head: bytes) -> None:
    seen, answer, closed = converse(HTTPProtocol, echo, [head])
    assert not seen and closed
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n") and answer.endswith(
        b"\r\n\r\nInvalid HTTP request received."
    )


class Small(HTTPProtocol):
    head_limit = 60
    request_line_limit = 30
    header_limit = 2
    head_timeout = 0.05


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /" + b"a" * 30 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\na: " + b"b" * 60 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\na: b\r\nc: d\r\ne: f\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: a, chunked\r\n\r\n", 501),
    ],
)
def test_protocol_limits_are_settings_of_the_class(request_bytes: bytes, status: int) -> None:
    seen, answer, closed = converse(Small, echo, [request_bytes])
    assert not seen and closed and answer.startswith(b"HTTP/1.1 %d " % status)


def test_protocol_cuts_a_slow_sender_off() -> None:
    async def run() -> bool:
        protocol, wire = await connect(Small, echo)
        for byte in b"GET / HT":
            if not wire.closed:
                arrive(protocol, bytes([byte]))
            await asyncio.sleep(0.02)
        return wire.closed

    assert asyncio.run(run())


def test_protocol_gives_each_request_a_task_and_a_context_of_its_own() -> None:
    variable = ContextVar("variable", default=0)
    tasks: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        task = asyncio.current_task()
        assert task is not None and task not in [each() for each in tasks]
        tasks.append(weakref.ref(task))
        assert variable.get() == 0
        variable.set(1)
        await asyncio.sleep(0)
        assert asyncio.current_task() is task and variable.get() == 1
        await echo(scope, receive, send)
        variable.set(2)

    async def run() -> None:
        protocol, wire = await connect(HTTPProtocol, application)
        for _ in range(3):
            arrive(protocol, GET * 2)
            await turns(40)
        assert b"".join(wire.written).count(b"HTTP/1.1 200") == 6
        protocol.connection_lost(None)

    asyncio.run(run())
    gc.collect()
    assert len(tasks) == 6 and not any(each() for each in tasks)


def test_protocol_lets_two_requests_wait_for_one_future() -> None:
    async def run() -> list[int]:
        shared = asyncio.get_running_loop().create_future()

        async def application(scope: Any, receive: Any, send: Any) -> None:
            await shared
            await echo(scope, receive, send)

        connections = [await connect(HTTPProtocol, application) for _ in range(2)]
        for protocol, _ in connections:
            arrive(protocol, GET)
        await turns()
        shared.set_result(None)
        await turns()
        return [b"".join(wire.written).count(b"HTTP/1.1 200") for _, wire in connections]

    assert asyncio.run(run()) == [1, 1]


@pytest.mark.parametrize("protocol_class", PROTOCOLS)
def test_protocol_task_can_be_cancelled_before_its_first_wait(protocol_class: Any) -> None:
    async def run() -> list[str]:
        log: list[str] = []

        async def inner() -> None:
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                log.append("inner")
                raise

        async def application(scope: Any, receive: Any, send: Any) -> None:
            task = asyncio.current_task()
            assert task is not None
            waited = asyncio.create_task(inner())
            await asyncio.sleep(0)
            task.cancel()
            try:
                await waited
            except asyncio.CancelledError:
                log.append("outer")
            await echo(scope, receive, send)

        protocol, wire = await connect(protocol_class, application)
        arrive(protocol, GET)
        await turns()
        log.append(str(b"".join(wire.written)[:12]))
        return log

    assert asyncio.run(run()) == ["inner", "outer", "b'HTTP/1.1 200'"]


@pytest.mark.parametrize("protocol_class", PROTOCOLS)
def test_protocol_holds_a_sender_up_until_the_client_has_read(protocol_class: Any) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        for part in (b"a", b"b"):
            await send({"type": "http.response.body", "body": part, "more_body": part == b"a"})

    async def run() -> list[bytes]:
        protocol, wire = await connect(protocol_class, application)
        protocol.pause_writing()
        arrive(protocol, GET)
        await turns()
        before = b"".join(wire.written)
        protocol.resume_writing()
        await turns()
        return [before, b"".join(wire.written)]

    before, after = asyncio.run(run())
    assert before == b"" and after.endswith(b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n")


@pytest.mark.parametrize("protocol_class", PROTOCOLS)
def test_protocol_tells_the_application_that_the_client_has_left(protocol_class: Any) -> None:
    async def run() -> list[Any]:
        seen: list[Any] = []

        async def application(scope: Any, receive: Any, send: Any) -> None:
            seen.append(await receive())
            seen.append(await receive())
            await send({"type": "http.response.start", "status": 200})

        protocol, wire = await connect(protocol_class, application)
        arrive(protocol, POST)
        await turns()
        protocol.connection_lost(None)
        await turns()
        return [*seen, wire.written]

    assert asyncio.run(run()) == [
        {"type": "http.request", "body": b"hello", "more_body": False},
        {"type": "http.disconnect"},
        [],
    ]


def test_protocol_writes_head_and_body_at_once() -> None:
    app = FastAPI()

    @app.get("/a b")
    async def read(c: str) -> dict[str, str]:
        return {"c": c}

    async def run() -> list[bytes]:
        protocol, wire = await connect(HTTPProtocol, app)
        arrive(protocol, GET)
        await turns()
        return wire.written

    [answer] = asyncio.run(run())
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b'\r\n\r\n{"c":"d"}')
