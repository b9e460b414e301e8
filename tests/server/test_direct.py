"""An application of ours below ASGI, beside the same application called with messages: nobody can tell which it was."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse, StreamingResponse
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from ferroapi import BackgroundTasks, Body, Cookie, Depends, FastAPI, Form, Header, HTTPException, Request, Response
from ferroapi.server import HTTPProtocol

from .exchange import PROTOCOLS, arrive, connect, turns

variable: ContextVar[int] = ContextVar("variable", default=0)


def is_called() -> bool:
    """Tell whether `FastAPI.__call__` is among the frames that run."""
    frame: Any = sys._getframe()
    while frame is not None:
        if frame.f_code is FastAPI.__call__.__code__:
            return True
        frame = frame.f_back
    return False


def visible(scope: Any) -> list[Any]:
    """Return what can be compared of a scope, in its order."""
    plain = (str, int, bytes, tuple, list, dict, type(None))
    unlike = {"starlette.exception_handlers", "path_params", "state"}
    return [(key, value if isinstance(value, plain) and key not in unlike else "") for key, value in scope.items()]


def make(seen: list[Any]) -> FastAPI:
    """Return an application that notes what its code sees."""
    app = FastAPI()

    @app.get("/json")
    async def json() -> Any:
        return {"message": "Hello, World!"}

    @app.get("/called")
    async def called() -> Any:
        return is_called()

    @app.get("/item/{number}")
    async def item(
        number: int, q: str = "z", x: Annotated[tuple[str, ...], Header()] = (), c: Annotated[str, Cookie()] = ""
    ) -> Any:
        return [number, q, x, c]

    @app.post("/body")
    async def body(value: Annotated[Any, Body()]) -> Any:
        return value

    @app.post("/form")
    async def form(name: Annotated[str, Form()]) -> Any:
        return name

    @app.post("/request")
    @app.get("/request/{number}")
    async def request(request: Request) -> Any:
        seen.append(visible(request.scope))
        seen.append([request.path_params, dict(request.scope["state"])])
        request.scope["state"]["added"] = 1
        return [request.client, str(request.url), request.headers.items(), (await request.body()).decode()]

    @app.get("/context")
    async def context() -> Any:
        before = variable.get()
        variable.set(before + 1)
        return before

    @app.get("/wait")
    async def wait() -> Any:
        variable.set(variable.get() + 1)
        task = asyncio.current_task()
        await asyncio.sleep(0)
        return [variable.get(), task is asyncio.current_task()]

    @app.get("/thread")
    def thread() -> Any:
        return "a thread"

    @app.get("/stream")
    async def stream() -> Any:
        async def parts() -> AsyncIterator[str]:
            yield "a"
            await asyncio.sleep(0)
            yield "b"

        return StreamingResponse(parts())

    @app.get("/response")
    async def response(response: Response) -> Any:
        response.headers["x-a"] = "1"
        response.status_code = 201
        response.set_cookie("a", "b")
        return 1

    @app.get("/plain")
    async def plain() -> Any:
        return PlainTextResponse("text", headers={"x-b": "2"})

    @app.get("/empty", status_code=204)
    async def empty() -> None:
        return None

    @app.get("/closing")
    async def closing(response: Response) -> Any:
        response.headers["connection"] = "close"

    @app.head("/json")
    async def head() -> Any:
        return {"a": 1}

    @app.get("/background")
    async def background(tasks: BackgroundTasks) -> Any:
        async def note() -> None:
            seen.append("background")

        tasks.add_task(note)
        return 1

    async def entered() -> AsyncIterator[int]:
        seen.append("enter")
        yield 1
        await asyncio.sleep(0)
        seen.append("leave")

    @app.get("/yield")
    async def with_yield(value: Annotated[int, Depends(entered)]) -> Any:
        seen.append("endpoint")
        return value

    @app.get("/fail")
    async def fail() -> Any:
        raise LookupError("wrong")

    @app.get("/refuse")
    async def refuse() -> Any:
        raise HTTPException(418, "no", {"x-c": "3"})

    @app.get("/sent-before")
    async def sent_before(request: Request) -> Any:
        await request._send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
        await request._send({"type": "http.response.body", "body": b"x"})
        return 1

    @app.get("/started-before")
    async def started_before(request: Request) -> Any:
        await request._send({"type": "http.response.start", "status": 200, "headers": []})
        return 1

    @app.get("/bad-length")
    async def bad_length() -> Any:
        return PlainTextResponse("text", headers={"content-length": "9"})

    @app.get("/replaced-body/{kind}")
    async def replaced_body(kind: str) -> Any:
        answer = PlainTextResponse("text")
        answer.body = {"array": bytearray(b"text"), "memory": memoryview(b"text"), "text": "text"}[kind]  # type: ignore[assignment]
        return answer

    @app.get("/replaced-status")
    async def replaced_status() -> Any:
        answer = PlainTextResponse("text")
        answer.status_code = "200"  # type: ignore[assignment]
        return answer

    @app.get("/cancelled")
    async def cancelled() -> Any:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        return "not noticed"

    @app.get("/leaves")
    async def leaves(request: Request) -> Any:
        for _ in range(10):
            await asyncio.sleep(0)
        seen.append(await request.is_disconnected())
        return 1

    @app.get("/slow")
    async def slow(request: Request) -> Any:
        try:
            await request.body()
        finally:
            seen.append(type(sys.exception()).__name__)

    return app


HOST = "Host: x\r\n"
LENGTH = "Content-Length: 7\r\n"
JSON = '{"a":1}'

CASES = {
    "json": ["GET /json HTTP/1.1", HOST],
    "head": ["HEAD /json HTTP/1.1", HOST],
    "http/1.0": ["GET /json HTTP/1.0", ""],
    "http/1.0 head": ["HEAD /json HTTP/1.0", ""],
    "close": ["GET /json HTTP/1.1", HOST + "Connection: close\r\n"],
    "parameters": ["GET /item/3?q=%41+b&q=c HTTP/1.1", HOST + "X: 1\r\nx: \xe9\r\nCookie: c=d; e=f\r\n"],
    "invalid": ["GET /item/three HTTP/1.1", HOST],
    "encoded path": ["GET /item/%33 HTTP/1.1", HOST],
    "body": ["POST /body HTTP/1.1", HOST + LENGTH + "Content-Type: application/json\r\n", JSON],
    "body without type": ["POST /body HTTP/1.1", HOST + LENGTH, JSON],
    "no body": ["POST /body HTTP/1.1", HOST],
    "wrong body": ["POST /body HTTP/1.1", HOST + LENGTH + "Content-Type: application/json\r\n", '{"a":1,'],
    "chunked": ["POST /body HTTP/1.1", HOST + "Transfer-Encoding: chunked\r\n", "3\r\n[1]\r\n0\r\n\r\n"],
    "expects": ["POST /body HTTP/1.1", HOST + LENGTH + "Expect: 100-continue\r\n", "", JSON],
    "late body": ["POST /body HTTP/1.1", HOST + LENGTH, '{"a', '":1}'],
    "body not asked for": ["GET /json HTTP/1.1", HOST + LENGTH + "Expect: 100-continue\r\n", "", JSON],
    "form": ["POST /form HTTP/1.1", HOST + "Content-Length: 8\r\nContent-Type: application/x-www-form-urlencoded\r\n",
             "name=a+b"],
    "multipart": ["POST /form HTTP/1.1",
                  HOST + "Content-Length: 60\r\nContent-Type: multipart/form-data; boundary=b\r\n",
                  '--b\r\nContent-Disposition: form-data; name="name"\r\n\r\na\r\n--b--'],
    "request": ["GET /request/4?a=b%20c HTTP/1.1", HOST + "X-A: 1\r\n"],
    "request with a body": ["POST /request HTTP/1.1", HOST + LENGTH, "seven b"],
    "context": ["GET /context HTTP/1.1", HOST],
    "wait": ["GET /wait HTTP/1.1", HOST],
    "thread": ["GET /thread HTTP/1.1", HOST],
    "stream": ["GET /stream HTTP/1.1", HOST],
    "response": ["GET /response HTTP/1.1", HOST],
    "plain": ["GET /plain HTTP/1.1", HOST],
    "empty": ["GET /empty HTTP/1.1", HOST],
    "closing": ["GET /closing HTTP/1.1", HOST],
    "background": ["GET /background HTTP/1.1", HOST],
    "yield": ["GET /yield HTTP/1.1", HOST],
    "fail": ["GET /fail HTTP/1.1", HOST],
    "refuse": ["GET /refuse HTTP/1.1", HOST],
    "sent before": ["GET /sent-before HTTP/1.1", HOST],
    "started before": ["GET /started-before HTTP/1.1", HOST],
    "bad length": ["GET /bad-length HTTP/1.1", HOST],
    "body of a byte array": ["GET /replaced-body/array HTTP/1.1", HOST],
    "body of memory": ["GET /replaced-body/memory HTTP/1.1", HOST],
    "body of text": ["GET /replaced-body/text HTTP/1.1", HOST],
    "status of text": ["GET /replaced-status HTTP/1.1", HOST],
    "cancelled": ["GET /cancelled HTTP/1.1", HOST],
    "leaves": ["GET /leaves HTTP/1.1", HOST],
    "leaves the body": ["GET /slow HTTP/1.1", HOST + LENGTH, "a"],
    "not found": ["GET /nowhere HTTP/1.1", HOST],
    "other method": ["DELETE /json HTTP/1.1", HOST],
    "own method": ["SEARCH /json HTTP/1.1", HOST],
    "slash": ["GET /json/ HTTP/1.1", HOST],
    "document": ["GET /openapi.json HTTP/1.1", HOST],
}  # fmt: skip
LEAVING = {"leaves", "leaves the body"}


def as_messages(app: Any) -> Any:
    """Return an application that the server has to call, around ours."""

    async def called(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    return called


def run(protocol: Any, wrap: Callable[[Any], Any], *cases: str, **options: Any) -> tuple[Any, ...]:
    """Send the requests behind two others; return the bytes, and what the application's code saw."""
    warm = b"GET /json HTTP/1.1\r\nHost: x\r\n\r\n"
    pieces = [("warm", warm)] * 2
    for case in cases:
        line, headers, *body = CASES[case]
        texts = [f"{line}\r\n{headers}\r\n{''.join(body[:1])}", *body[1:]]
        pieces += [(case, text.encode("latin-1")) for text in texts]

    async def converse() -> tuple[Any, ...]:
        seen: list[Any] = []
        connected, wire = await connect(protocol, wrap(make(seen)), **options)
        for case, piece in pieces:
            if wire.closed:
                break
            arrive(connected, piece)
            if case in LEAVING and not seen:
                await turns(3)
                break
            for _ in range(100):
                await asyncio.sleep(0.0002 if "thread" in case else 0)
        closed = wire.closed
        connected.connection_lost(None)
        await turns(30)
        return b"".join(wire.written), seen, closed, len(asyncio.all_tasks())

    return asyncio.run(converse())


def as_it_is(app: Any) -> Any:
    """Return an application that the server may go past."""
    return app


WAYS = ((HttpToolsProtocol, as_messages), (HTTPProtocol, as_messages), (HTTPProtocol, as_it_is))


@pytest.mark.parametrize("case", CASES)
def test_direct_request_is_what_it_is_with_messages(case: str, caplog: pytest.LogCaptureFixture) -> None:
    results = []
    for protocol, wrap in WAYS:
        caplog.clear()
        with caplog.at_level(logging.DEBUG, "uvicorn"):
            result = run(protocol, wrap, case, case, case)
        results.append((*result, [record.getMessage() for record in caplog.records if record.name != "asyncio"]))
    reference, called, direct = results
    assert called == direct
    # A method that httptools does not know is refused there.
    if case != "own method":
        assert reference == direct


@given(st.lists(st.sampled_from(sorted({*CASES} - LEAVING - {"own method", "thread"})), min_size=2, max_size=6))
def test_direct_requests_are_independent_of_those_before(cases: list[str]) -> None:
    reference, called, direct = [run(protocol, wrap, *cases) for protocol, wrap in WAYS]
    assert reference == called == direct


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_request_that_is_over_stays_over_for_those_who_keep_it(protocol: Any) -> None:
    kept: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        for others, _ in kept:
            assert await others() == {"type": "http.disconnect"}
        kept.append((receive, scope))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def converse() -> None:
        connected, wire = await connect(protocol, application)
        for number in range(4):
            arrive(connected, b"POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n%d" % (number, number))
            await turns()
        assert b"".join(wire.written).count(b"200 OK") == 4
        assert [scope["path"] for _, scope in kept] == ["/0", "/1", "/2", "/3"]

    asyncio.run(converse())


def called(wrap: Callable[[Any], Any], **options: Any) -> bool:
    """Tell whether the server called an application for a request, by the frames that its endpoint saw."""
    CASES["called"] = ["GET /called HTTP/1.1", HOST]
    written, *_ = run(HTTPProtocol, wrap, *["called"] * 3, **options)
    del CASES["called"]
    answers = [answer.partition(b"\r\n\r\n")[2] for answer in written.split(b"HTTP/1.1 200 OK")[3:]]
    assert len(set(answers)) == 1
    return {b"true": True, b"false": False}[answers[0]]


def test_direct_request_is_entered_below_the_application() -> None:
    assert not called(as_it_is)
    assert not called(as_it_is, proxy_headers=True)
    assert called(as_messages)


class Counting(FastAPI):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await super().__call__(scope, receive, send)


def counting(app: FastAPI) -> FastAPI:
    app.__class__ = Counting
    return app


def with_middleware(app: FastAPI) -> FastAPI:
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["*"])
    return app


@pytest.mark.parametrize(("wrap", "options"), [
    (as_it_is, {"root_path": "/prefix"}),
    (counting, {}),
    (with_middleware, {}),
])  # fmt: skip
def test_direct_request_is_called_where_something_stands_before(wrap: Callable[[Any], Any], options: Any) -> None:
    assert called(wrap, **options)


def test_direct_request_is_called_once_somebody_replaces_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    original, calls = FastAPI.__call__, []

    async def replaced(self: Any, scope: Any, receive: Any, send: Any) -> None:
        calls.append(scope["path"])
        await original(self, scope, receive, send)

    async def converse() -> None:
        connected, _ = await connect(HTTPProtocol, make([]))
        for _ in range(3):
            arrive(connected, b"GET /json HTTP/1.1\r\nHost: x\r\n\r\n")
            await turns()
        monkeypatch.setattr(FastAPI, "__call__", replaced)
        arrive(connected, b"GET /json HTTP/1.1\r\nHost: x\r\n\r\n")
        await turns()
        monkeypatch.undo()
        arrive(connected, b"GET /json HTTP/1.1\r\nHost: x\r\n\r\n")
        await turns()

    asyncio.run(converse())
    assert calls == ["/json"]


def test_direct_request_is_logged_as_any_other(caplog: pytest.LogCaptureFixture) -> None:
    lines = []
    for protocol, wrap in WAYS:
        caplog.clear()
        with caplog.at_level(logging.INFO, "uvicorn.access"):
            run(protocol, wrap, *["parameters"] * 3, access_log=True)
        lines.append([record.getMessage() for record in caplog.records if record.name == "uvicorn.access"])
    assert lines[0] == lines[1] == lines[2]
    assert lines[0][2:] == ['1.2.3.4:56 - "GET /item/3?q=%41+b&q=c HTTP/1.1" 200'] * 3


FORWARDED = {
    "for": "X-Forwarded-For: 9.9.9.9\r\n",
    "several": "X-Forwarded-For: 8.8.8.8, 9.9.9.9:5\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n",
    "scheme": "X-Forwarded-Proto: http\r\nX-Forwarded-Proto:  wss\r\n",
    "wrong": "X-Forwarded-Proto: gopher\r\nX-Forwarded-For:\r\n",
    "none": "",
}


@pytest.mark.parametrize("sent", FORWARDED)
@pytest.mark.parametrize("trusted", ["*", "1.2.3.4", "1.2.3.0/24,9.9.9.9", "127.0.0.1"])
def test_direct_request_has_what_a_trusted_proxy_says(sent: str, trusted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CASES, "forwarded", ["GET /request/4 HTTP/1.1", HOST + FORWARDED[sent]])
    options: Any = {"proxy_headers": True, "forwarded_allow_ips": trusted}
    results = [run(protocol, wrap, *["forwarded"] * 3, **options) for protocol, wrap in WAYS]
    assert results[0] == results[1] == results[2]


def test_direct_response_waits_for_a_client_that_does_not_read() -> None:
    async def converse() -> None:
        connected, wire = await connect(HTTPProtocol, make([]))
        for _ in range(2):
            arrive(connected, b"GET /json HTTP/1.1\r\nHost: x\r\n\r\n")
            await turns()
        written = len(wire.written)
        connected.pause_writing()
        arrive(connected, b"GET /json HTTP/1.1\r\nHost: x\r\n\r\n")
        await turns()
        assert len(wire.written) == written
        connected.resume_writing()
        await turns()
        assert b"".join(wire.written[written:]) == wire.written[0]

    asyncio.run(converse())


def test_direct_response_is_one_write_before_what_comes_after_it() -> None:
    async def converse() -> None:
        app = FastAPI()
        connected, wire = await connect(HTTPProtocol, app)

        @app.get("/")
        async def endpoint(tasks: BackgroundTasks) -> Any:
            tasks.add_task(after, len(wire.written))

        async def after(before: int) -> None:
            seen.append(wire.written[before:])

        seen: list[Any] = []
        for _ in range(2):
            arrive(connected, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await turns()
        assert [len(written) for written in seen] == [1, 1]

    asyncio.run(converse())


def test_direct_response_has_the_default_headers_of_the_moment() -> None:
    async def converse() -> None:
        state = ServerState()
        connected, wire = await connect(HTTPProtocol, make([]), server_state=state)
        headers = [(b"server", b"a")]
        for number in range(4):
            if number == 1:
                headers.append((b"x-d", b"1"))
            state.default_headers = headers if number < 2 else [(b"date", b"now")]
            for _ in range(2):
                arrive(connected, b"GET /json HTTP/1.1\r\nHost: x\r\n\r\n")
                await turns()
        found = [answer.split(b"content-length")[0] for answer in b"".join(wire.written).split(b"HTTP/1.1 200 OK\r\n")]
        assert found[1::2] == found[2::2]
        assert found[1::2] == [b"server: a\r\n", b"server: a\r\nx-d: 1\r\n", b"date: now\r\n", b"date: now\r\n"]

    asyncio.run(converse())
