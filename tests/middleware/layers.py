"""What can stand around an application: functions and classes of middleware, by name; innermost first in a stack."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

import anyio
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Next = Callable[[Request], Awaitable[Response]]


class World(Protocol):
    """Where a layer notes what it sees, and what it is told."""

    log: list[Any]
    ends: list[Callable[[], Any]]
    """What ends an endpoint that waits: the middleware that lost its patience, or the server."""

    async def meet(self, moment: str) -> None: ...

    def describe(self, error: BaseException | None) -> Any: ...


Function = Callable[[World, Request, Next], Awaitable[Response]]
Add = Callable[[World, Any], None]


def function(call: Function) -> Add:
    def add(world: World, app: Any) -> None:
        @app.middleware("http")
        async def layer(request: Request, call_next: Next) -> Response:
            return await call(world, request, call_next)

    return add


def marks(name: str) -> Add:
    async def mark(world: World, request: Request, call_next: Next) -> Response:
        try:
            response = await call_next(request)
        except BaseException as error:
            world.log.append((name, world.describe(error)))
            raise
        world.log.append((name, response.status_code))
        response.headers[f"x-{name}"] = "1"
        return response

    return function(mark)


async def catches(world: World, request: Request, call_next: Next) -> Response:
    try:
        return await call_next(request)
    except Exception as error:
        world.log.append(world.describe(error))
        return JSONResponse({"caught": type(error).__name__}, 503)


async def meets(world: World, request: Request, call_next: Next) -> Response:
    """Fail itself, before and after the call."""
    await world.meet("before next")
    response = await call_next(request)
    await world.meet("after next")
    return response


async def reads(world: World, request: Request, call_next: Next) -> Response:
    try:
        world.log.append(await request.body())
    except Exception as error:
        world.log.append(world.describe(error))
        raise
    return await call_next(request)


async def streams(world: World, request: Request, call_next: Next) -> Response:
    async for chunk in request.stream():
        world.log.append(chunk)
        break
    return await call_next(request)


async def joins(world: World, request: Request, call_next: Next) -> Response:
    response: Any = await call_next(request)
    try:
        content = b"".join([chunk async for chunk in response.body_iterator])
    except BaseException as error:
        world.log.append(("joins", world.describe(error)))
        raise
    return Response(content, response.status_code, {"x-joined": "1"})


async def wraps(world: World, request: Request, call_next: Next) -> Response:
    response: Any = await call_next(request)
    inner = response.body_iterator

    async def passed() -> AsyncIterator[Any]:
        async for chunk in inner:
            yield chunk

    response.body_iterator = passed()
    return response  # type: ignore[no-any-return]


async def answers(world: World, request: Request, call_next: Next) -> Response:
    return PlainTextResponse("early")


async def drops(world: World, request: Request, call_next: Next) -> Response:
    await call_next(request)
    return PlainTextResponse("another")


async def adds_task(world: World, request: Request, call_next: Next) -> Response:
    response = await call_next(request)
    response.background = BackgroundTask(world.meet, "background of the middleware")
    return response


async def limits(world: World, request: Request, call_next: Next) -> Response:
    with anyio.fail_after(10):
        return await call_next(request)


async def in_a_task(world: World, request: Request, call_next: Next) -> Response:
    return await asyncio.create_task(call_next(request))  # type: ignore[arg-type]


# What loses its patience with an endpoint that waits.


async def times_out(world: World, request: Request, call_next: Next) -> Response:
    try:
        async with asyncio.timeout(10) as timeout:
            world.ends.append(lambda: timeout.reschedule(0))
            return await call_next(request)
    except TimeoutError:
        world.log.append("timed out")
        return PlainTextResponse("timed out", status_code=504)


async def moves_on(world: World, request: Request, call_next: Next) -> Response:
    with anyio.CancelScope() as scope:
        world.ends.append(scope.cancel)
        return await call_next(request)
    world.log.append("moved on")
    return PlainTextResponse("moved on", status_code=504)


async def is_cancelled(world: World, request: Request, call_next: Next) -> Response:
    task = asyncio.current_task()
    assert task is not None
    world.ends.append(task.cancel)
    try:
        return await call_next(request)
    except asyncio.CancelledError:
        world.log.append("cancelled")
        raise


# Classes.


class Pure:
    """A middleware that is none of Starlette's."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def receives() -> Message:
            return await receive()

        async def sends(message: Any) -> None:
            await send(message)

        await self.app(scope, receives, sends)


class Subclass(BaseHTTPMiddleware):
    """A middleware class with a method."""

    async def dispatch(self, request: Request, call_next: Next) -> Response:
        response = await call_next(request)
        response.headers["x-class"] = "1"
        return response


def of(cls: Any, **options: Any) -> Add:
    def add(world: World, app: Any) -> None:
        app.add_middleware(cls, **options)

    return add


def starlette(name: str, **options: Any) -> Add:
    module, _, attribute = name.partition(":")
    return of(getattr(importlib.import_module(f"starlette.middleware.{module}"), attribute), **options)


def handles(world: World, app: Any) -> None:
    """A handler of any exception, which is outermost wherever it is declared."""

    @app.exception_handler(Exception)
    async def handle(request: Request, error: Exception) -> Response:
        world.log.append(("any", world.describe(error)))
        return JSONResponse({"error": type(error).__name__}, 500)


LAYERS: dict[str, Add] = {
    "one": marks("one"),
    "two": marks("two"),
    "class": of(Subclass),
    "pure": of(Pure),
    "gzip": starlette("gzip:GZipMiddleware", minimum_size=1),
    "cors": starlette("cors:CORSMiddleware", allow_origins=["*"]),
    "handles": handles,
    **{
        call.__name__: function(call)
        for call in (
            *(catches, meets, reads, streams, joins, wraps, answers, drops, adds_task, limits, in_a_task),
            *(times_out, moves_on, is_cancelled),
        )
    },
}
