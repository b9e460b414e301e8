"""A middleware function may call what is downstream twice: the same answer, the same exceptions, the same order."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from starlette.responses import Response, StreamingResponse

Call = Callable[[], Awaitable[Any]]
Consume = Callable[[Any], Awaitable[None]]


async def at_once(call: Call, consume: Consume) -> Any:
    await call()
    return await call()


async def at_once_for_the_first(call: Call, consume: Consume) -> Any:
    first = await call()
    await call()
    return first


async def at_once_for_another(call: Call, consume: Consume) -> None:
    await call()
    await call()


async def after_the_first(call: Call, consume: Consume) -> Any:
    await consume(await call())
    return await call()


async def after_the_first_and_a_turn(call: Call, consume: Consume) -> Any:
    await consume(await call())
    await asyncio.sleep(0)
    return await call()


async def one_after_the_other(call: Call, consume: Consume) -> None:
    await consume(await call())
    await consume(await call())


async def before_the_first_is_read(call: Call, consume: Consume) -> None:
    responses = [await call(), await call()]
    for response in responses:
        await consume(response)


async def after_two_others(call: Call, consume: Consume) -> Any:
    await consume(await call())
    await consume(await call())
    return await call()


async def after_an_error(call: Call, consume: Consume) -> Any:
    return await call() or await call() or await call()


async def at_the_same_time(call: Call, consume: Consume) -> Any:
    first, second = await asyncio.gather(call(), call())
    return first or second


WAYS = [
    at_once,
    at_once_for_the_first,
    at_once_for_another,
    after_the_first,
    after_the_first_and_a_turn,
    one_after_the_other,
    before_the_first_is_read,
    after_two_others,
    after_an_error,
    at_the_same_time,
]
ON_THE_LOOP = ("endpoint", "generator", "waiting", "stream", "background", "fails first", "fails second")
IN_THREADS = ("def endpoint", "def dependency")


def build(framework: Any, kind: str, way: Callable[[Call, Consume], Any], is_surrounded: bool, log: list[Any]) -> Any:
    app = framework.FastAPI()
    calls = 0

    async def opened() -> AsyncIterator[None]:
        log.append("open")
        yield
        log.append("close")

    async def pieces() -> AsyncIterator[str]:
        for piece in "abc":
            log.append(piece)
            yield piece

    async def later() -> None:
        log.append("later")

    def in_a_thread() -> None:
        log.append("thread")

    if kind == "stream":

        @app.get("/")
        async def stream() -> StreamingResponse:
            return StreamingResponse(pieces())

    elif kind == "def endpoint":
        app.get("/")(in_a_thread)
    else:
        needed = {"generator": opened, "def dependency": in_a_thread}.get(kind)

        @app.get("/", dependencies=[framework.Depends(needed)] if needed else [])
        async def endpoint(tasks: framework.BackgroundTasks) -> int:
            nonlocal calls
            calls += 1
            log.append(f"call {calls}")
            if kind == "waiting":
                await asyncio.sleep(0)
            if kind == ("", "fails first", "fails second")[calls % 3]:
                raise LookupError(kind)
            if kind == "background":
                tasks.add_task(later)
            return calls

    @app.middleware("http")
    async def twice(request: Any, call_next: Any) -> Any:
        async def call() -> Response | None:
            try:
                response: Response = await call_next(request)
            except Exception as error:
                log.append(repr(error))
                return None
            log.append(response.status_code)
            return response

        async def consume(response: Any) -> None:
            if response is None:
                return
            try:
                log.append([piece async for piece in response.body_iterator])
            except AssertionError as error:
                log.append(repr(error))

        return await way(call, consume) or Response("another")

    if is_surrounded:

        @app.middleware("http")
        async def around(request: Any, call_next: Any) -> Any:
            response = await call_next(request)
            log.append("around")
            return response

    return app


async def serve(app: Any, log: list[Any]) -> tuple[list[Any], list[Any]]:
    sent: list[Any] = []
    requests = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        return requests.pop() if requests else await asyncio.Future()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [], "root_path": ""}
    try:
        await asyncio.wait_for(app(scope, receive, send), 10)
    except Exception as error:
        log.append(("raised", repr(error)))
    log.append(("tasks", len(asyncio.all_tasks())))
    return sent, log


def seen(framework: str, kind: str, way: Any, is_surrounded: bool) -> tuple[list[Any], list[Any]]:
    log: list[Any] = []
    return asyncio.run(serve(build(importlib.import_module(framework), kind, way, is_surrounded, log), log))


def without_a_read_body(kind: str, way: Any) -> bool:
    return kind in IN_THREADS and way in (at_once, at_once_for_the_first, at_once_for_another, at_the_same_time)


@pytest.mark.parametrize("is_surrounded", [False, True], ids=["alone", "surrounded"])
@pytest.mark.parametrize(
    ("kind", "way"),
    [
        pytest.param(kind, way, id=f"{kind}-{way.__name__}")
        for kind in (*ON_THE_LOOP, *IN_THREADS)
        for way in WAYS
        if not without_a_read_body(kind, way)
    ],
)
def test_downstream_called_twice_ends_as_under_fastapi(kind: str, way: Any, is_surrounded: bool) -> None:
    assert seen("ferroapi", kind, way, is_surrounded) == seen("fastapi", kind, way, is_surrounded)


@pytest.mark.parametrize("kind", IN_THREADS)
def test_thread_of_a_call_that_is_cancelled_at_once_has_begun(kind: str) -> None:
    """A decided difference (docs/differences.md)."""

    async def uncaught(call: Call, consume: Consume) -> Any:
        await call()
        if await call() is None:
            raise LookupError("the second")

    (theirs_sent, theirs), (ours_sent, ours) = (seen(name, kind, uncaught, False) for name in ("fastapi", "ferroapi"))
    assert theirs_sent == ours_sent
    assert theirs[-2:] == ours[-2:] == [("raised", "LookupError('the second')"), ("tasks", 1)]
    assert theirs.count("thread") == 1
    assert ours.count("thread") == 2
