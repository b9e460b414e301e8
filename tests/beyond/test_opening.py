# mypy: disable-error-code="untyped-decorator"
"""An exception in place of the first item of a stream is an answer, where FastAPI breaks the connection."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from starlette.types import Message

KINDS = ("raw", "lines", "given", "raw_sync", "lines_sync")
EVENTS = ("events", "events_sync")


def application(framework: str, wait: float = 0.0, items: int = 0) -> Any:
    """Return an application whose streams raise a 404 after so many items."""
    fastapi: Any = importlib.import_module(framework)
    responses = importlib.import_module(f"{framework}.responses")
    events = importlib.import_module(f"{framework}.sse").EventSourceResponse
    app: Any = fastapi.FastAPI(openapi_url=None)
    app.state.closed = []

    async def items_of() -> AsyncIterator[str]:
        for _ in range(items):
            yield "item"
        await asyncio.sleep(wait)
        raise fastapi.HTTPException(404, "no such stream", headers={"x-reason": "none"})

    def opened() -> Iterator[None]:
        try:
            yield
        finally:
            app.state.closed.append("request")

    needs = [fastapi.Depends(opened, scope="request")]

    @app.get("/raw", response_class=responses.StreamingResponse, dependencies=needs)
    async def raw() -> AsyncIterator[str]:
        async for item in items_of():
            yield item

    @app.get("/lines", dependencies=needs)
    async def lines() -> AsyncIterator[str]:
        async for item in items_of():
            yield item

    @app.get("/events", response_class=events, dependencies=needs)
    async def event_stream() -> AsyncIterator[str]:
        async for item in items_of():
            yield item

    @app.get("/given", dependencies=needs)
    async def given() -> Any:
        return responses.StreamingResponse(items_of())

    def sync_items() -> Iterator[str]:
        for _ in range(items):
            yield "item"
        raise fastapi.HTTPException(404, "no such stream", headers={"x-reason": "none"})

    @app.get("/raw_sync", response_class=responses.StreamingResponse, dependencies=needs)
    def raw_sync() -> Iterator[str]:
        yield from sync_items()

    @app.get("/lines_sync", dependencies=needs)
    def lines_sync() -> Iterator[str]:
        yield from sync_items()

    @app.get("/events_sync", response_class=events, dependencies=needs)
    def events_sync() -> Iterator[str]:
        yield from sync_items()

    return app


async def sent(app: Any, path: str, version: str = "2.4") -> tuple[list[Message], BaseException | None]:
    """Return the messages that a request is answered with, and what is raised to the server."""
    messages: list[Message] = []
    never = asyncio.get_running_loop().create_future()

    body = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Message:
        for message in body:
            return message
        await never
        raise AssertionError("it never comes")

    async def send(message: Message) -> None:
        messages.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": version},
        "method": "GET",
        "path": "/" + path,
        "query_string": b"",
        "headers": [],
    }
    failure: BaseException | None = None
    try:
        await app(scope, receive, send)
    except BaseException as error:
        failure = error
    return messages, failure


@pytest.mark.parametrize("version", ["2.3", "2.4"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_exception_before_the_first_item_is_its_status(kind: str, version: str) -> None:
    theirs, their_failure = asyncio.run(sent(application("fastapi"), kind, version))
    assert theirs[0]["status"] == 200
    assert their_failure is not None

    app = application("ferroapi")
    ours, our_failure = asyncio.run(sent(app, kind, version))

    assert our_failure is None
    assert ours[0]["status"] == 404
    assert (b"x-reason", b"none") in ours[0]["headers"]
    assert b"".join(message.get("body", b"") for message in ours) == b'{"detail":"no such stream"}'
    assert app.state.closed == ["request"]


@pytest.mark.parametrize("kind", [*KINDS, *EVENTS])
def test_an_exception_after_the_first_item_breaks_the_stream_as_under_fastapi(kind: str) -> None:
    theirs, their_failure = asyncio.run(sent(application("fastapi", items=1), kind))
    ours, our_failure = asyncio.run(sent(application("ferroapi", items=1), kind))

    assert [message.get("status") for message in ours] == [message.get("status") for message in theirs]
    assert ours == theirs
    assert type(our_failure) is type(their_failure)


@pytest.mark.parametrize("kind", EVENTS)
def test_server_sent_events_start_before_their_first_item_as_under_fastapi(kind: str) -> None:
    theirs, their_failure = asyncio.run(sent(application("fastapi"), kind))
    ours, our_failure = asyncio.run(sent(application("ferroapi"), kind))

    assert ours == theirs
    assert type(our_failure) is type(their_failure)


@pytest.mark.parametrize("kind", ["raw", "lines", "given"])
def test_an_exception_that_takes_a_while_is_its_status(kind: str) -> None:
    app = application("ferroapi", wait=0.05)

    ours, failure = asyncio.run(sent(app, kind))

    assert (ours[0]["status"], failure) == (404, None)


@pytest.mark.parametrize("kind", ["raw", "lines", "given"])
def test_a_start_does_not_wait_long_for_the_first_item(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ferroapi._beyond.opening.FIRST_ITEM_WAIT", 0.01)

    ours, failure = asyncio.run(sent(application("ferroapi", wait=0.2), kind))

    assert ours[0]["status"] == 200
    assert failure is not None


def waiting(framework: str, kind: str) -> Any:
    """Return an application whose stream waits for an event that its client causes after the start."""
    fastapi: Any = importlib.import_module(framework)
    responses = importlib.import_module(f"{framework}.responses")
    app: Any = fastapi.FastAPI(openapi_url=None)
    app.state.caused = asyncio.Event()
    app.state.ends = []

    @app.get("/raw", response_class=responses.StreamingResponse)
    async def raw() -> AsyncIterator[str]:
        try:
            await app.state.caused.wait()
            yield "a"
            yield "b"
        except BaseException as error:
            app.state.ends.append(type(error))
            raise

    @app.get("/given")
    async def given() -> Any:
        return responses.StreamingResponse(raw())

    if kind == "behind middleware":

        @app.middleware("http")
        async def pass_on(request: Any, call_next: Any) -> Any:
            return await call_next(request)

    return app


@pytest.mark.parametrize("kind", ["plain", "behind middleware"])
@pytest.mark.parametrize("path", ["raw", "given"])
def test_a_client_that_waits_for_the_start_gets_it(path: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ferroapi._beyond.opening.FIRST_ITEM_WAIT", 0.02)

    async def exchange(framework: str) -> list[bytes]:
        app = waiting(framework, kind)
        got: list[bytes] = []

        async def receive() -> Message:
            await asyncio.sleep(60)
            raise AssertionError("it never comes")

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                app.state.caused.set()
            got.append(message.get("body", b"start"))

        scope = {"type": "http", "asgi": {"spec_version": "2.4"}, "method": "GET", "path": f"/{path}", "headers": []}
        await app(scope | {"query_string": b""}, receive, send)
        return got

    assert asyncio.run(exchange("ferroapi")) == asyncio.run(exchange("fastapi")) == [b"start", b"a", b"b", b""]


@pytest.mark.parametrize("wait", [0.01, 5.0], ids=["after the start", "before the start"])
def test_a_cancelled_request_cancels_what_its_generator_waits_for(wait: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ferroapi._beyond.opening.FIRST_ITEM_WAIT", wait)

    async def exchange() -> Any:
        app = waiting("ferroapi", "plain")
        task = asyncio.create_task(sent(app, "raw"))
        await asyncio.sleep(0.05)
        task.cancel()
        await task
        return app.state.ends

    assert asyncio.run(exchange()) == [asyncio.CancelledError]
