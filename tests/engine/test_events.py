"""How server-sent events are produced ahead of what is sent (`ferroapi._engine.events`), beside FastAPI.

Each scenario runs under FastAPI, and under ferroapi with channels of its own and with AnyIO's, to which it falls back.
What is sent, and how far the generator has come when something fails or leaves, is equal to the turn of the event loop.
"""

import importlib
import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from ferroapi._engine import sending

from ..core.asgi import http_scope

CONTENDERS = ("fastapi", "ferroapi", "ferroapi, falling back")


class Item(BaseModel):
    n: int


class Script(BaseModel):
    """What generator and client do: the items, what each is preceded by, how it ends, when the client leaves."""

    items: int = 3
    turns: list[int] = [0]
    """Turns of the event loop before each item, in rotation."""
    fails: bool = False
    ignores_cancellation: bool = False
    send_turns: int = 0
    leaves_after: int | None = None
    is_sync: bool = False
    bad_item: int | None = None


async def turn(times: int) -> None:
    for _ in range(times):
        await anyio.sleep(0)


def application(framework: str, script: Script, log: list[Any]) -> Any:
    fastapi = importlib.import_module(framework)
    sse = importlib.import_module(f"{framework}.sse")
    app = fastapi.FastAPI(openapi_url=None)

    async def resource() -> AsyncIterator[None]:
        try:
            yield
        except BaseException as error:
            log.append(("resource", type(error).__name__))
            raise
        finally:
            log.append("resource closed")

    async def task() -> None:
        log.append("background")

    Resource = Annotated[None, fastapi.Depends(resource)]

    def item(index: int) -> Any:
        log.append(index)
        if index == script.bad_item:
            return {"n": "no number"}
        return sse.ServerSentEvent(data={"n": index}, id=str(index)) if index % 3 == 2 else {"n": index}

    if script.is_sync:

        @app.get("/", response_class=sse.EventSourceResponse)
        def plain(_: Resource, tasks: fastapi.BackgroundTasks) -> Iterator[Any]:
            tasks.add_task(task)
            yield from map(item, range(script.items))
            if script.fails:
                raise ValueError("failed")

        return app

    @app.get("/", response_class=sse.EventSourceResponse)
    async def endpoint(_: Resource, tasks: fastapi.BackgroundTasks) -> AsyncIterator[Item]:
        tasks.add_task(task)
        turns = itertools.cycle(script.turns)
        try:
            for index in range(script.items):
                try:
                    await turn(next(turns))
                except BaseException as error:
                    log.append(("waiting", type(error).__name__))
                    if not script.ignores_cancellation:
                        raise
                yield item(index)
            if script.fails:
                raise ValueError("failed")
        except BaseException as error:
            log.append(("generator", type(error).__name__))
            raise

    return app


async def serve(app: Any, script: Script, log: list[Any]) -> None:
    left = anyio.Event()
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    chunks = 0

    async def send(message: Any) -> None:
        nonlocal chunks
        log.append({name: list(value) if name == "headers" else value for name, value in message.items()})
        chunks += message["type"] == "http.response.body"
        if chunks == script.leaves_after:
            left.set()
        await turn(script.send_turns)

    def shown(error: BaseException) -> Any:
        parts = [shown(part) for part in error.exceptions] if isinstance(error, BaseExceptionGroup) else []
        text = "" if type(error).__name__ == "ResponseValidationError" else str(error)
        return type(error).__name__, text, parts

    try:
        with anyio.fail_after(10):
            await app(http_scope("/"), receive, send)
    except BaseException as error:
        log.append(shown(error))
    log.append("served")


def logs(script: Script, backend: str = "asyncio") -> list[list[Any]]:
    found = []
    for contender in CONTENDERS:
        framework, _, falls_back = contender.partition(", ")
        log: list[Any] = []
        app = application(framework, script, log)
        with pytest.MonkeyPatch.context() as patch:
            if falls_back:
                patch.setattr(sending, "in_asyncio_task", lambda: False)
            anyio.run(serve, app, script, log, backend=backend)
        found.append(log)
    return found


def assert_equal(script: Script, backend: str = "asyncio") -> None:
    fastapi, ferroapi, falling_back = logs(script, backend)
    assert falling_back == fastapi
    assert ferroapi == fastapi


@settings(max_examples=max(60, settings().max_examples // 5))
@given(
    st.builds(
        Script,
        items=st.integers(0, 9),
        turns=st.lists(st.sampled_from([0, 1, 2, 3, 7]), min_size=1, max_size=3),
        fails=st.booleans(),
        ignores_cancellation=st.just(False),
        send_turns=st.sampled_from([0, 0, 1, 2, 5, 20]),
        leaves_after=st.none() | st.integers(1, 8),
        is_sync=st.just(False),
        bad_item=st.none() | st.integers(0, 9),
    )
)
def test_events_leave_in_the_same_turns(script: Script) -> None:
    assert_equal(script)


@pytest.mark.parametrize("send_turns", [0, 5])
@pytest.mark.parametrize("leaves_after", [None, 2])
def test_generator_that_ignores_its_cancellation_is_ended_by_its_channel(
    leaves_after: int | None, send_turns: int
) -> None:
    script = Script(items=50, turns=[5, 0], ignores_cancellation=True, send_turns=send_turns, leaves_after=leaves_after)
    assert_equal(script)


def test_events_of_a_plain_generator_are_sent() -> None:
    # When a worker thread logs an item is up to the system: what is sent and what is called are compared apart.
    found = logs(Script(is_sync=True))
    for kind in (True, False):
        fastapi, ferroapi, falling_back = ([each for each in log if isinstance(each, dict) is kind] for log in found)
        assert falling_back == fastapi
        assert ferroapi == fastapi


@pytest.mark.parametrize("fails", [False, True])
def test_events_are_sent_under_trio(fails: bool) -> None:
    # Which of its tasks goes on first is up to trio: the items wait for each other.
    assert_equal(Script(fails=fails, turns=[20]), "trio")


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("stalls", [False, True])
def test_silence_is_filled_with_comments(monkeypatch: pytest.MonkeyPatch, contender: str, stalls: bool) -> None:
    framework, _, falls_back = contender.partition(", ")
    monkeypatch.setattr(importlib.import_module(f"{framework}.routing"), "_PING_INTERVAL", 0.02)
    if falls_back:
        monkeypatch.setattr(sending, "in_asyncio_task", lambda: False)
    fastapi = importlib.import_module(framework)
    sse = importlib.import_module(f"{framework}.sse")
    app = fastapi.FastAPI(openapi_url=None)

    @app.get("/", response_class=sse.EventSourceResponse)
    async def endpoint() -> AsyncIterator[int]:
        yield 1
        await anyio.sleep(0.3)
        yield 2
        yield 3

    sent: list[bytes] = []

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))
        # A client that does not read is not filled up with comments: no more than two wait for it.
        if stalls and sent[-1] == b"data: 1\n\n":
            await anyio.sleep(0.25)

    async def receive() -> Any:
        await anyio.sleep_forever()

    async def main() -> None:
        await app(http_scope("/"), receive, send)

    anyio.run(main)
    assert sent[:2] == [b"", b"data: 1\n\n"]
    assert sent[-3:] == [b"data: 2\n\n", b"data: 3\n\n", b""]
    assert set(sent[2:-3]) == {b": ping\n\n"}
    assert len(sent[2:-3]) <= (6 if stalls else 15)


def test_ping_without_an_interval_is_left_to_anyio(monkeypatch: pytest.MonkeyPatch) -> None:
    """With no interval at all FastAPI sends comments only, for ever: so do we."""
    from ferroapi import FastAPI, routing
    from ferroapi.sse import EventSourceResponse

    monkeypatch.setattr(routing, "_PING_INTERVAL", 0)
    app = FastAPI(openapi_url=None)

    @app.get("/", response_class=EventSourceResponse)
    async def endpoint() -> AsyncIterator[int]:
        yield 1

    sent: list[bytes] = []

    async def main() -> None:
        async def send(message: Any) -> None:
            sent.append(message.get("body", b""))
            if len(sent) == 4:
                scope.cancel()

        with anyio.CancelScope() as scope:
            await app(http_scope("/"), anyio.sleep_forever, send)

    anyio.run(main)
    assert sent[:4] == [b"", *[b": ping\n\n"] * 3]
