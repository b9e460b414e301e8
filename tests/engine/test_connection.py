"""Websocket endpoints run by their plans (`ferroapi._engine.connection`), beside FastAPI.

Each scenario runs under FastAPI, and under ferroapi by a plan and by the Python conductor, to which it falls back.
"""

import asyncio
import contextlib
import contextvars
import importlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import anyio
import pytest
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket, WebSocketDisconnect

from ferroapi._routing import entries

from ..core.asgi import ask, http_scope, websocket_scope

CONTENDERS = ("fastapi", "ferroapi", "ferroapi, falling back")
VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")

Log = list[Any]


class Failure(Exception):
    """Raised by user code."""


class Unhandled(Exception):
    """Raised by user code, and handled by nobody."""


def application(framework: str, log: Log, *, middleware: str = "none") -> Any:
    """An application whose endpoints log what they are given; what fails is chosen by the path."""
    fastapi = importlib.import_module(framework)
    security = importlib.import_module(f"{framework}.security")
    app = fastapi.FastAPI(openapi_url=None)

    async def resource() -> AsyncIterator[str]:
        try:
            yield "resource"
        except BaseException as error:
            log.append(("resource", type(error).__name__))
            raise
        finally:
            log.append(("resource closed", VARIABLE.get()))

    def in_thread() -> Iterator[str]:
        try:
            yield "in thread"
        finally:
            log.append("in thread closed")

    async def swallowing() -> AsyncIterator[None]:
        with contextlib.suppress(Failure):
            yield

    async def nested(
        connection: HTTPConnection, resource: Annotated[str, fastapi.Depends(resource)], q: int = 1
    ) -> dict[str, Any]:
        return {"type": connection.scope["type"], "resource": resource, "q": q}

    def refusing(x_token: Annotated[str | None, fastapi.Header()] = None) -> str | None:
        if x_token == "wrong":
            raise fastapi.HTTPException(403, "wrong token")
        return x_token

    Nested = Annotated[dict[str, Any], fastapi.Depends(nested)]
    InThread = Annotated[str, fastapi.Depends(in_thread, scope="function")]

    @app.websocket("/echo")
    async def echo(websocket: WebSocket) -> None:
        # FastAPI leaves an empty "fastapi" where it has asked an included router; the table need not ask.
        keys = sorted(websocket.scope.keys() - {"fastapi"})
        log.append((type(websocket), keys, websocket.scope["route"].path, websocket.url.path))
        log.append([type(websocket.scope[name]).__name__ for name in ("app", "router", "endpoint")])
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())
        await websocket.close()
        VARIABLE.set("by the endpoint")

    @app.websocket("/values/{key}/{number:int}")
    async def values(
        websocket: WebSocket,
        key: str,
        number: int,
        nested: Nested,
        in_thread: InThread,
        x_token: Annotated[str | None, fastapi.Depends(refusing)],
        tasks: fastapi.BackgroundTasks,
        response: fastapi.Response,
        scopes: security.SecurityScopes,
        many: Annotated[list[int], fastapi.Query()] = [],  # noqa: B006
        session: Annotated[str | None, fastapi.Cookie()] = None,
    ) -> None:
        tasks.add_task(log.append, "background")
        log.append((key, number, nested, in_thread, x_token, many, session, scopes.scopes, response.status_code))
        await websocket.accept()
        await websocket.send_json({"key": key})

    @app.websocket("/token")
    async def token(
        websocket: WebSocket,
        token: Annotated[str, fastapi.Depends(security.OAuth2PasswordBearer(tokenUrl="/"))],
        key: Annotated[str, fastapi.Depends(security.APIKeyHeader(name="x-key"))],
    ) -> None:
        await websocket.accept()
        log.append((token, key))

    @app.websocket("/fail/{way}/{place}")
    async def fail(websocket: WebSocket, way: str, place: str, nested: Nested, in_thread: InThread) -> None:
        if place == "after":
            await websocket.accept()
        error: Exception = {
            "handled": Failure("handled"),
            "chained": Failure("chained"),
            "unhandled": Unhandled("unhandled"),
            "http": fastapi.HTTPException(418, "teapot"),
            "websocket": fastapi.WebSocketException(1011, "reason"),
            "disconnect": WebSocketDisconnect(1001),
        }[way]
        raise error

    @app.websocket("/swallow")
    async def swallow(_: Annotated[None, fastapi.Depends(swallowing)]) -> None:
        raise Failure("swallowed")

    @app.websocket("/wait")
    async def wait(websocket: WebSocket, nested: Nested) -> None:
        await websocket.accept()
        log.append("waiting")
        await anyio.sleep(10)

    @app.websocket("/plain")
    def plain(websocket: WebSocket) -> None:
        log.append("plain")

    @app.websocket("/http")
    async def wants_http(request: fastapi.Request) -> None:
        log.append("called without a request")

    @app.exception_handler(Failure)
    async def handler(connection: Any, error: Failure) -> Any:
        log.append((type(connection).__name__, connection.application_state.name, str(error)))
        if str(error) == "chained":
            raise fastapi.HTTPException(409, "from the handler")
        await connection.close(4000, "handled")

    inner, outer = fastapi.APIRouter(prefix="/inner"), fastapi.APIRouter(prefix="/outer")

    @inner.websocket("/{name}")
    async def included(websocket: WebSocket, name: str, nested: Nested) -> None:
        log.append((name, nested, websocket.scope["route"].path, sorted(websocket.scope["fastapi"])))
        await websocket.close(4001)

    outer.include_router(inner, dependencies=[fastapi.Depends(refusing)])
    app.include_router(outer)
    mounted = fastapi.FastAPI(openapi_url=None)
    mounted.websocket("/echo")(echo)
    app.mount("/mounted", mounted)

    if middleware == "pure":

        class Pure:
            def __init__(self, app: Any) -> None:
                self.app = app

            async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
                async def send_logged(message: Any) -> None:
                    log.append(("middleware", message["type"]))
                    await send(message)

                try:
                    await self.app(scope, receive, send_logged)
                except Exception as error:
                    log.append(("middleware", type(error).__name__))
                    raise

        app.add_middleware(Pure)
    elif middleware == "http":

        async def dispatch(request: Any, call_next: Callable[[Any], Any]) -> Any:
            return await call_next(request)

        app.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)
    return app


async def connect(app: Any, log: Log, scope: dict[str, Any], backend: str) -> None:
    messages: list[dict[str, Any]] = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "hello"},
        {"type": "websocket.disconnect", "code": 1000},
    ]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        # The reason of a refusal is a text here: docs/differences.md.
        log.append({name: value for name, value in message.items() if message.get("code") != 1008 or name != "reason"})

    await ask(app, http_scope("/nowhere", "TRACE"))
    try:
        if backend == "cancelled":
            task = asyncio.create_task(app(scope, receive, send))
            while "waiting" not in log:
                await asyncio.sleep(0)
            task.cancel()
            await task
        else:
            await app(scope, receive, send)
    except BaseException as error:
        log.append((type(error).__name__, str(error).partition("\n")[0]))
    log.append(("after", VARIABLE.get()))


Prepare = Callable[[str, Any, Log, pytest.MonkeyPatch], None]


def logs(scope: dict[str, Any], prepare: Prepare | None = None, *, backend: str = "asyncio", **options: Any) -> Any:
    found = []
    for contender in CONTENDERS:
        framework, _, falls_back = contender.partition(", ")
        log: Log = []
        app = application(framework, log, **options)
        with pytest.MonkeyPatch.context() as patch:
            if falls_back:
                patch.setattr(entries, "plan_of", lambda state: (None, "the test says so"))
            if prepare is not None:
                prepare(framework, app, log, patch)
            runner = "asyncio" if backend == "cancelled" else backend
            anyio.run(connect, app, log, {**scope, "headers": list(scope["headers"])}, backend, backend=runner)
        found.append(log)
    return found


def assert_equal(found: Any) -> None:
    fastapi, ferroapi, falling_back = found
    assert falling_back == fastapi
    assert ferroapi == fastapi


SCOPES = {
    "echo": websocket_scope("/echo"),
    "values": websocket_scope("/values/a%20b/7", [(b"x-token", b"t"), (b"cookie", b"session=s")])
    | {"query_string": b"q=3&many=1&many=2"},
    "invalid": websocket_scope("/values/a/7") | {"query_string": b"q=x&many=y"},
    "refused": websocket_scope("/values/a/7", [(b"x-token", b"wrong")]),
    "token": websocket_scope("/token", [(b"authorization", b"Bearer abc"), (b"x-key", b"k")]),
    "no token": websocket_scope("/token", [(b"x-key", b"k")]),
    "odd token": websocket_scope("/token", [(b"authorization", b"Basic abc"), (b"x-key", b"")]),
    "swallow": websocket_scope("/swallow"),
    "plain": websocket_scope("/plain"),
    "http": websocket_scope("/http"),
    "missing": websocket_scope("/missing"),
    "slash": websocket_scope("/echo/"),
    "included": websocket_scope("/outer/inner/name"),
    "included, refused": websocket_scope("/outer/inner/name", [(b"x-token", b"wrong")]),
    "mounted": websocket_scope("/mounted/echo"),
    "root path": websocket_scope("/root/echo") | {"root_path": "/root"},
}
FAILURES = [
    f"/fail/{way}/{place}"
    for way in ("handled", "chained", "unhandled", "http", "websocket", "disconnect")
    for place in ("before", "after")
]


@pytest.mark.parametrize("middleware", ["none", "pure", "http"])
def test_number_that_python_does_not_read_matches_no_websocket(middleware: str) -> None:
    """Decided difference: input alone causes no exception."""
    fastapi, ferroapi, falling_back = logs(websocket_scope("/values/a/" + "9" * 5000), middleware=middleware)
    assert "ValueError" in [entry[0] for entry in fastapi if isinstance(entry, tuple)]
    unmatched, *_ = logs(websocket_scope("/values/a/word"), middleware=middleware)
    assert ferroapi == falling_back == unmatched


@pytest.mark.parametrize("middleware", ["none", "pure", "http"])
@pytest.mark.parametrize("name", SCOPES)
def test_websocket_is_served_as_by_fastapi(name: str, middleware: str) -> None:
    assert_equal(logs(SCOPES[name], middleware=middleware))


@pytest.mark.parametrize("middleware", ["none", "pure"])
@pytest.mark.parametrize("path", FAILURES)
def test_websocket_fails_as_under_fastapi(path: str, middleware: str) -> None:
    assert_equal(logs(websocket_scope(path), middleware=middleware))


@pytest.mark.parametrize("name", ["echo", "values", "invalid", "token", "included"])
def test_websocket_is_served_under_trio(name: str) -> None:
    assert_equal(logs(SCOPES[name], backend="trio"))


def test_cancelled_websocket_leaves_its_dependencies() -> None:
    found = logs(websocket_scope("/wait"), backend="cancelled")
    assert_equal(found)
    assert ("resource", "CancelledError") in found[1]


def replace_solver(framework: str, app: Any, log: Log, patch: pytest.MonkeyPatch) -> None:
    routing = importlib.import_module(f"{framework}.routing")
    original = routing.solve_dependencies

    async def solve_dependencies(**keywords: Any) -> Any:
        log.append("solving")
        return await original(**keywords)

    patch.setattr(routing, "solve_dependencies", solve_dependencies)


def replace_handle(framework: str, app: Any, log: Log, patch: pytest.MonkeyPatch) -> None:
    routing = importlib.import_module(f"{framework}.routing")
    original = routing.APIWebSocketRoute.handle

    async def handle(self: Any, scope: Any, receive: Any, send: Any) -> None:
        log.append("handling")
        await original(self, scope, receive, send)

    patch.setattr(routing.APIWebSocketRoute, "handle", handle)


def replace_app(framework: str, app: Any, log: Log, patch: pytest.MonkeyPatch) -> None:
    for route in app.router.routes:
        if getattr(route, "path", None) == "/values/{key}/{number:int}":
            original = route.app

            async def wrapped(scope: Any, receive: Any, send: Any, original: Any = original) -> None:
                log.append("wrapped")
                await original(scope, receive, send)

            route.app = wrapped


def replace_call(framework: str, app: Any, log: Log, patch: pytest.MonkeyPatch) -> None:
    for route in app.router.routes:
        if getattr(route, "path", None) == "/values/{key}/{number:int}":
            original = route.dependant.call

            async def wrapped(original: Any = original, **values: Any) -> None:
                log.append(("called", sorted(values)))
                await original(**values)

            route.dependant.call = wrapped


def override(framework: str, app: Any, log: Log, patch: pytest.MonkeyPatch) -> None:
    for route in app.router.routes:
        if getattr(route, "path", None) == "/values/{key}/{number:int}":
            app.dependency_overrides[route.dependant.dependencies[0].call] = lambda: {"overridden": True}


@pytest.mark.parametrize("prepare", [replace_solver, replace_handle, replace_app, replace_call, override])
def test_websocket_that_something_was_put_into_is_left_to_python(prepare: Prepare) -> None:
    found = logs(SCOPES["values"], prepare)
    assert_equal(found)
    marks = {"solving", "handling", "wrapped", "called", "overridden"}
    assert any(mark in repr(found[1]) for mark in marks)


def test_explain_tells_how_a_websocket_is_run() -> None:
    from ferroapi._routing.explanation import explain

    app = application("ferroapi", [])
    modes = {row.path: (row.mode, row.reason) for row in explain(app.router)}
    assert modes["/echo"] == ("native", "")
    assert modes["/outer/inner/{name}"] == ("native", "")
    assert modes["/plain"] == ("native", "")
    assert modes["/http"] == ("native", "")


@pytest.mark.parametrize("framework", ["fastapi", "ferroapi"])
def test_websocket_route_that_is_built_by_its_own_code_is_left_to_python(framework: str) -> None:
    fastapi = importlib.import_module(framework)
    routing = importlib.import_module(f"{framework}.routing")
    log: Log = []

    async def run(scope: Any, receive: Any, send: Any) -> None:
        log.append(scope["route"].path)

    class Route(routing.APIWebSocketRoute):  # type: ignore[misc, name-defined]
        def __init__(self, path: str) -> None:
            routing.routing.WebSocketRoute.__init__(self, path, lambda websocket: None)
            self.app = run

    app = fastapi.FastAPI(openapi_url=None)
    app.router.routes.append(Route("/own"))
    asyncio.run(connect(app, log, websocket_scope("/own"), "asyncio"))
    assert log == ["/own", ("after", "unset")]
