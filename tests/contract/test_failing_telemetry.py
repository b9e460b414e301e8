"""What is recorded of requests that fail, where and however they do: as under FastAPI, with all providers or one."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Annotated, Any

import pytest
from pydantic import BaseModel
from starlette.responses import JSONResponse, StreamingResponse
from starlette.types import Message

from .drawn.recording import Recording


class Unhandled(Exception):
    """What no handler takes."""


class Escaped(BaseException):
    """What no `except Exception` sees."""


class Numbered(BaseModel):
    a: int


def build(framework: ModuleType, telemetry: Any, around: str) -> Any:
    """Build an application whose parts fail with what the query asks for."""
    depends = framework.Depends
    app = framework.FastAPI(telemetry=telemetry)
    event_source = importlib.import_module(f"{framework.__name__}.sse").EventSourceResponse

    def fail(how: str) -> None:
        match how:
            case "unhandled":
                raise Unhandled("unhandled")
            case "refused":
                raise framework.HTTPException(418, "refused")
            case "unavailable":
                raise framework.HTTPException(503, "unavailable")
            case "cancelled":
                raise asyncio.CancelledError("cancelled")
            case "escaped":
                raise Escaped("escaped")
            case "handled":
                raise KeyError("handled")
            case "invalid":
                raise framework.exceptions.RequestValidationError([])

    @app.exception_handler(KeyError)
    async def handle(request: Any, error: Any) -> Any:
        return JSONResponse({}, 409)

    async def dependency(dependency: str = "") -> None:
        fail(dependency)

    def dependency_in_a_thread(thread: str = "") -> None:
        fail(thread)

    async def opened(before: str = "", after: str = "") -> AsyncIterator[None]:
        fail(before)
        yield
        fail(after)

    async def items(how: str) -> AsyncIterator[Any]:
        if how.startswith("first "):
            fail(how.removeprefix("first "))
        yield "item"
        fail(how)

    dependencies = [depends(dependency), depends(dependency_in_a_thread), depends(opened)]

    @app.get("/plain", dependencies=dependencies)
    async def plain(how: str = "", number: int = 0) -> Any:
        fail(how)

    @app.get("/sync", dependencies=[depends(dependency_in_a_thread)])
    def sync(how: str = "", number: int = 0) -> Any:
        fail(how)

    @app.get("/model", response_model=Numbered)
    async def model(how: str = "", value: str = "1") -> Any:
        fail(how)
        return {"a": value}

    app.get("/object")(object)
    app.get("/not a number")(lambda: float("nan"))
    app.get("/surrogate")(lambda: ["\ud800"])
    app.get("/digits")(lambda: [10**5000])
    app.get("/text", response_class=framework.responses.PlainTextResponse)(lambda: "\ud800")

    @app.get("/stream")
    async def stream(how: str = "") -> Any:
        return StreamingResponse(items(how))

    @app.get("/lines")
    async def lines(how: str = "") -> AsyncIterator[Any]:
        async for item in items(how):
            yield item

    @app.get("/events", response_class=event_source)
    async def events(how: str = "") -> AsyncIterator[Any]:
        async for item in items(how):
            yield item

    @app.get("/lines in a thread")
    def lines_in_a_thread(how: str = "") -> Iterator[Any]:
        yield 1
        fail(how)

    @app.get("/background")
    async def background(tasks: framework.BackgroundTasks, how: str = "") -> None:  # type: ignore[name-defined]
        tasks.add_task(fail, how)

    @app.post("/body")
    async def body(item: Numbered) -> Numbered:
        return item

    @app.post("/form")
    async def form(a: Annotated[int, framework.Form()]) -> int:
        return a

    @app.get("/slow")
    async def slow() -> None:
        await asyncio.sleep(5)

    if around == "function":

        @app.middleware("http")
        async def pass_on(request: Any, call_next: Any) -> Any:
            return await call_next(request)

    if around == "handler":

        @app.exception_handler(Exception)
        async def handle_any(request: Any, error: Any) -> Any:
            return JSONResponse({}, 500)

    return app


FAILURES = ("unhandled", "refused", "unavailable", "cancelled", "escaped", "handled", "invalid")
STREAMED = ("", *FAILURES[:3], "cancelled", "escaped", "handled", "first unhandled", "first refused", "first cancelled")
PATHS = (
    *(f"/plain?{place}={how}" for place in ("how", "dependency", "thread", "before", "after") for how in FAILURES),
    *(f"/sync?{place}={how}" for place in ("how", "thread") for how in FAILURES),
    *(f"/{kind}?how={how}" for kind in ("stream", "lines", "events", "lines in a thread") for how in STREAMED),
    *(f"/background?how={how}" for how in ("", *FAILURES)),
    *("/plain", "/plain?number=x", "/sync", "/sync?number=x", "/model", "/model?value=x", "/model?how=unhandled"),
    *("/object", "/not a number", "/surrogate", "/digits", "/text", "/none", "/plain/", "/slow"),
    *("POST /plain", "POST /body", "POST /body {", 'POST /body {"a": 1}', 'POST /body {"a": "x"}', "POST /form"),
)


async def ask(app: Any, wanted: str) -> Any:
    method, wanted = wanted.split(" ", 1) if wanted.startswith("POST") else ("GET", wanted)
    target, body = wanted.split(" ", 1) if method == "POST" and " " in wanted else (wanted, "")
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.replace(" ", "+").encode(),
        "root_path": "",
        "headers": [(b"host", b"host"), (b"content-type", b"application/json")],
        "client": ("client", 1),
        "server": ("server", 2),
    }
    messages: list[Any] = []
    is_sent = asyncio.Event()
    received = iter([{"type": "http.request", "body": body.encode(), "more_body": False}])

    async def receive() -> Message:
        if (message := next(received, None)) is None:
            await is_sent.wait()
        return message or {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        messages.append((message["type"], message.get("status"), message.get("body")))

    task = asyncio.create_task(app(scope, receive, send))
    if path == "/slow":
        await asyncio.sleep(0.01)
        task.cancel()
    await asyncio.wait([task], timeout=5)
    try:
        await task
    except BaseException as error:
        return messages, type(error).__name__
    return messages, None


def records(framework: str, options: dict[str, Any], around: str) -> list[Any]:
    recording = Recording()
    try:
        app = build(importlib.import_module(framework), recording.config(**options), around)
        seen = []
        for wanted in PATHS:
            recording.spans.clear()
            recording.logs.clear()  # type: ignore[no-untyped-call]
            seen.append((wanted, asyncio.run(ask(app, wanted)), without_framework(recording.read())))
        return seen
    finally:
        recording.close()


def without_framework(read: Any) -> str:
    return str(read).replace("ferroapi", "fastapi")


@pytest.mark.parametrize("around", ["nothing", "function", "handler"])
@pytest.mark.parametrize(
    "options",
    [{}, {"metrics": False, "logs": False}, {"tracing": False}, {"operation_spans": False}],
    ids=["all", "spans", "no-spans", "no-operations"],
)
def test_what_is_recorded_of_failures_is_that_of_fastapi(options: dict[str, Any], around: str) -> None:
    ours, theirs = (records(framework, options, around) for framework in ("ferroapi", "fastapi"))
    for mine, wanted in zip(ours, theirs, strict=True):
        assert mine == wanted
