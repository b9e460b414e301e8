"""What the event loop does between two messages behind a middleware function comes in the same turn as on FastAPI."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.responses import PlainTextResponse, StreamingResponse

sys.path.insert(0, str(Path(__file__).parent))

from failures import Case, Unhandled, World, _ask

from ferroapi._middleware import loops

uvloop = pytest.importorskip("uvloop")


def seen(world: World, case: Case, make_loop: Any = None) -> Any:
    with asyncio.Runner(loop_factory=make_loop) as runner:
        answer = runner.run(_ask(world, case))
    return answer.messages, answer.raised, answer.log, answer.is_over


def grouped(framework: str, turns: list[int], failure: str) -> World:
    """An application whose dependency has a task that fails after a number of turns."""
    world = World(framework)

    async def fail() -> None:
        for _ in range(turns[0]):
            await asyncio.sleep(0)
        world.log.append("the task fails")
        raise asyncio.CancelledError if failure == "cancelled" else Unhandled("in a task")

    async def group() -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fail)
            yield

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    group_of = world.framework.Depends(group)

    @world.app.get("/at-once")
    async def at_once(_: None = group_of) -> str:
        return "text"

    @world.app.get("/in-pieces")
    async def in_pieces(_: None = group_of) -> StreamingResponse:
        return StreamingResponse(pieces())

    return world


@pytest.mark.parametrize("failure", ["cancelled", "raised"])
@pytest.mark.parametrize("stack", [(), ("one",), ("one", "two"), ("joins",), ("wraps",), ("one", "pure")], ids="-".join)
def test_task_of_a_dependency_fails_between_the_same_messages(stack: tuple[str, ...], failure: str) -> None:
    turns = [0]
    ours, theirs = (grouped(framework, turns, failure) for framework in ("ferroapi", "fastapi"))
    found = set()
    for world in (ours, theirs):
        world.put_under(stack)
    for kind in ("at-once", "in-pieces"):
        for turns[0] in range(16):
            expected = seen(theirs, Case(kind))
            assert seen(ours, Case(kind)) == expected, (kind, turns)
            found.add(repr(expected))
    # Not all of it is the same.
    assert len(found) > 1


async def late(request: Any, call_next: Callable[[Any], Any], timeout: float, blocks: float = 0) -> Any:
    try:
        async with asyncio.timeout(timeout):
            time.sleep(blocks)
            return await call_next(request)
    except TimeoutError:
        return PlainTextResponse("late", 504)


async def over_before(request: Any, call_next: Callable[[Any], Any]) -> Any:
    return await late(request, call_next, 0)


async def over_after_a_turn(request: Any, call_next: Callable[[Any], Any]) -> Any:
    await asyncio.sleep(0)
    return await late(request, call_next, 0)


async def over_while_it_blocks(request: Any, call_next: Callable[[Any], Any]) -> Any:
    return await late(request, call_next, 0.05, 0.08)


async def over_while_the_endpoint_blocks(request: Any, call_next: Callable[[Any], Any]) -> Any:
    return await late(request, call_next, 0.05)


async def in_time(request: Any, call_next: Callable[[Any], Any]) -> Any:
    return await late(request, call_next, 20)


async def scope_is_over(request: Any, call_next: Callable[[Any], Any]) -> Any:
    with anyio.move_on_after(0):
        return await call_next(request)
    return PlainTextResponse("late", 504)


async def cancelled_soon(request: Any, call_next: Callable[[Any], Any]) -> Any:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().call_soon(task.cancel)
    try:
        return await call_next(request)
    except asyncio.CancelledError:
        return PlainTextResponse("cancelled", 504)


def blocking(framework: str, function: Any, around: tuple[str, ...]) -> World:
    """An application under a middleware function, with an endpoint that blocks the event loop."""
    world = World(framework)

    @world.app.get("/blocks")
    async def blocks() -> str:
        if function is over_while_the_endpoint_blocks:
            time.sleep(0.08)
        world.log.append("endpoint")
        return "text"

    world.put_under(around)
    world.app.middleware_stack = None
    world.app.middleware("http")(function)
    world.app.middleware_stack = world.app.build_middleware_stack()
    return world


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("around", [(), ("one",)], ids=["alone", "around another"])
@pytest.mark.parametrize(
    ("function", "status"),
    [
        *((function, 504) for function in (over_before, over_after_a_turn, over_while_the_endpoint_blocks)),
        *((function, 504) for function in (scope_is_over, cancelled_soon)),
        (in_time, 200),
    ],
)
def test_timeout_that_is_over_ends_what_is_downstream(
    function: Any, status: int, around: tuple[str, ...], make_loop: Any
) -> None:
    ours, theirs = (blocking(framework, function, around) for framework in ("ferroapi", "fastapi"))
    for _ in range(2):
        expected = seen(theirs, Case("blocks"), make_loop)
        assert seen(ours, Case("blocks"), make_loop) == expected
        assert expected[0][0]["status"] == status


def test_timeout_that_is_over_before_the_call_ends_what_is_downstream() -> None:
    """A loop whose timers cannot be seen is not asked for what came before the call."""
    ours, theirs = (blocking(framework, over_while_it_blocks, ()) for framework in ("ferroapi", "fastapi"))
    expected = seen(theirs, Case("blocks"))
    assert seen(ours, Case("blocks")) == expected
    assert expected[0][0]["status"] == 504


@pytest.mark.parametrize("function", [over_while_the_endpoint_blocks, in_time])
def test_loop_that_shows_nothing_is_given_a_turn_after_code_that_took_long(
    function: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "_found", lambda loop: None)
    monkeypatch.setattr(loops, "_last", (lambda: None, None))
    ours, theirs = (blocking(framework, function, ("one",)) for framework in ("ferroapi", "fastapi"))
    # The order of what two functions do then is not that of FastAPI.
    assert seen(ours, Case("blocks"))[:2] == seen(theirs, Case("blocks"))[:2]


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_calls_of_a_loop_are_seen(make_loop: Any) -> None:
    async def look() -> tuple[int, int, int]:
        loop = asyncio.get_running_loop()
        ready = loops.ready_calls(loop)
        assert ready is not None
        await asyncio.sleep(0)
        before = len(ready)
        loop.call_soon(list)
        during = len(ready)
        await asyncio.sleep(0)
        assert loops.ready_calls(loop) is ready
        return before, during, len(ready)

    with asyncio.Runner(loop_factory=make_loop) as runner:
        assert runner.run(look()) == (0, 1, 0)


def test_timers_of_a_loop_are_seen() -> None:
    async def look() -> list[bool | None]:
        loop = asyncio.get_running_loop()
        found = [loops.has_due_timer(loop)]
        timer = loop.call_later(0.002, list)
        found.append(loops.has_due_timer(loop))
        time.sleep(0.004)
        found.append(loops.has_due_timer(loop))
        timer.cancel()
        return found

    assert asyncio.run(look()) == [False, False, True]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(look()) == [None, None, None]


def noting(world: World, app: Any, name: str, kind: str) -> None:
    """Put a middleware function, or an application, around another one: it notes what it sees of a response."""
    if kind == "application":

        class Noting:
            def __init__(self, app: Any) -> None:
                self.app = app

            async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
                async def note(message: Any) -> None:
                    world.log.append((name, message["type"]))
                    await send(message)
                    world.log.append((name, "sent"))

                await self.app(scope, receive, note)

        app.add_middleware(Noting)
        return

    @app.middleware("http")
    async def note(request: Any, call_next: Any) -> Any:
        response = await call_next(request)
        world.log.append((name, "has its response"))
        chunks = response.body_iterator

        async def noted() -> AsyncIterator[Any]:
            async for chunk in chunks:
                world.log.append((name, chunk))
                yield chunk

        if kind == "replaces":
            return StreamingResponse(noted(), response.status_code)
        if kind == "wraps":
            response.body_iterator = noted()
        return response


def noted(framework: str, kinds: tuple[str, ...], path: str) -> Any:
    world = World(framework)

    async def pieces() -> AsyncIterator[str]:
        for piece in ("one", "two"):
            world.log.append(piece)
            yield piece

    world.app.get("/text", response_class=PlainTextResponse)(lambda: "text")
    world.app.get("/pieces")(lambda: StreamingResponse(pieces()))
    for place, kind in enumerate(kinds):
        noting(world, world.app, str(place), kind)
    for _ in range(2):
        world.log.append(asyncio.run(messages_of(world.app, path)))
    return world.log


async def messages_of(app: Any, path: str) -> list[Any]:
    messages: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        messages.append(dict(message))

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
    }
    await app({**scope, "root_path": "", "asgi": {"version": "3.0", "spec_version": "2.4"}}, receive, send)
    return messages


@pytest.mark.parametrize("path", ["/nowhere", "/text", "/pieces"])
@pytest.mark.parametrize(
    "kinds",
    [
        ("wraps", "wraps"),
        ("wraps", "wraps", "wraps", "passes"),
        ("replaces", "passes", "wraps"),
        ("passes", "application", "passes"),
        ("application", "passes", "application", "wraps"),
    ],
    ids="-".join,
)
def test_code_around_a_body_runs_between_the_same_messages(kinds: tuple[str, ...], path: str) -> None:
    assert noted("ferroapi", kinds, path) == noted("fastapi", kinds, path)
