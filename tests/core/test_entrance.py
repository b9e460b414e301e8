"""The entrance between the server and the driver: it is shut as soon as something stands between them again."""

import asyncio
import importlib
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ferroapi import FastAPI, _core
from ferroapi.routing import APIRouter
from ferroapi.websockets import WebSocket

from .asgi import Answer, ask, http_scope, websocket_scope


def application(framework: str = "ferroapi") -> Any:
    app = importlib.import_module(framework).FastAPI(openapi_url=None)

    @app.get("/here")
    async def here() -> str:
        return "as written"

    return app


def opened() -> FastAPI:
    app: FastAPI = application()
    for _ in range(2):
        assert requested(app).status == 200
    assert app._entrance is not None
    return app


def sender(messages: list[Any]) -> Any:
    async def send(message: Any) -> None:
        messages.append(message)

    return send


class Passing:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


def requested(app: Any, path: str = "/here") -> Answer:
    return asyncio.run(ask(app, http_scope(path)))


def test_entrance_lets_the_second_request_pass_without_the_middleware_stack() -> None:
    app = opened()
    assert app._entrance is not None
    sent: list[Any] = []
    assert app._entrance.serve(http_scope("/here"), None, sender(sent)) is True
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


def test_entrance_lets_a_websocket_pass_to_its_endpoint_and_nothing_else() -> None:
    app = FastAPI()

    @app.websocket("/rooms/{number}")
    async def enter(websocket: WebSocket, number: int) -> None:
        await websocket.accept(subprotocol=f"{number} {websocket.path_params}")

    @app.get("/here")
    async def here() -> None: ...

    for _ in range(2):
        assert requested(app).status == 200
    assert app._entrance is not None
    sent: list[Any] = []
    scope = websocket_scope("/rooms/7")

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    session = app._entrance.serve(scope, receive, sender(sent))
    assert not isinstance(session, bool)
    assert sent == []
    asyncio.run(awaited(session))
    assert [(message["type"], message["subprotocol"]) for message in sent] == [
        ("websocket.accept", "7 {'number': '7'}"),
    ]
    assert scope["app"] is app
    for others in (websocket_scope("/here"), {"type": "lifespan"}, {"type": "http2"}, {}):
        assert app._entrance.serve(others, receive, sender(sent)) is False


def test_entrance_is_shut_for_websockets_too_when_a_middleware_is_added() -> None:
    """What the application does from then on is what it does for its first request."""
    app = FastAPI()

    @app.websocket("/room")
    async def enter(websocket: WebSocket) -> None:
        await websocket.accept(subprotocol=str(websocket.scope.get("mark")))

    @app.get("/here")
    async def here() -> None: ...

    for _ in range(2):
        assert requested(app).status == 200
    entrance = app._entrance
    assert entrance is not None

    def marking(downstream: Any) -> Any:
        async def mark(scope: Any, receive: Any, send: Any) -> None:
            await downstream({**scope, "mark": "marked"}, receive, send)

        return mark

    app.middleware_stack = None
    app.add_middleware(marking)
    answer = asyncio.run(ask(app, websocket_scope("/room")))
    assert answer.websocket[0]["subprotocol"] == "marked"


async def awaited(rest: Any) -> None:
    await rest


def test_request_that_waits_comes_out_of_the_gate_as_its_rest() -> None:
    """What was run before is not run again, and what the request waits for is what the server's task gets."""
    app = FastAPI()
    steps: list[str] = []

    class Trap:
        def __await__(self) -> Any:
            steps.append((yield "a trap of the event loop"))
            return "its result"

    @app.get("/waits")
    async def waits() -> Any:
        steps.append("begun")
        return await Trap()

    @app.get("/here")
    async def here() -> None: ...

    assert requested(app, "/here").status == 200
    assert requested(app, "/here").status == 200
    sent: list[Any] = []
    assert app._entrance is not None
    rest = app._entrance.serve(http_scope("/waits"), None, sender(sent))
    assert isinstance(rest, _core.Awaitable)
    assert (steps, sent) == (["begun"], [])
    assert rest.send(None) == "a trap of the event loop"
    with pytest.raises(StopIteration):
        rest.send("woken")
    assert steps == ["begun", "woken"]
    assert [message.get("body") for message in sent] == [None, b'"its result"']


def test_rest_of_a_request_can_be_cancelled_before_it_is_awaited() -> None:
    app = FastAPI()
    seen: list[type] = []

    class Trap:
        def __await__(self) -> Any:
            yield "a trap of the event loop"

    @app.get("/waits")
    async def waits() -> None:
        try:
            await Trap()
        except BaseException as error:
            seen.append(type(error))
            raise

    for _ in range(2):
        assert requested(app, "/nowhere").status == 404
    assert app._entrance is not None
    rest = app._entrance.serve(http_scope("/waits"), None, sender([]))
    assert isinstance(rest, _core.Awaitable)
    with pytest.raises(asyncio.CancelledError):
        rest.throw(asyncio.CancelledError)
    assert seen == [asyncio.CancelledError]


@pytest.mark.parametrize("framework", ["fastapi", "ferroapi"])
def test_another_middleware_stack_is_asked_from_then_on(framework: str) -> None:
    app = application(framework)
    before = requested(app)

    async def stack(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 299, "headers": []})

    app.middleware_stack = stack
    assert (before.status, requested(app).status) == (200, 299)


def another_router(app: Any) -> None:
    app.router = APIRouter()
    app.middleware_stack = None


def removed_routes(app: Any) -> None:
    del app.router.routes[:]


@pytest.mark.parametrize("change", [another_router, removed_routes])
def test_routes_that_are_gone_are_not_found(change: Callable[[Any], None]) -> None:
    app = opened()
    change(app)
    assert requested(app).status == 404


@pytest.mark.parametrize("framework", ["fastapi", "ferroapi"])
def test_root_path_set_later_is_stripped(framework: str) -> None:
    app = application(framework)
    assert requested(app, "/prefix/here").status == 404
    app.root_path = "/prefix"
    assert requested(app, "/prefix/here").status == 200
    assert requested(app).status == 200


def test_route_added_later_is_found() -> None:
    app = opened()
    app.get("/there")(lambda: "there")
    assert requested(app, "/there").body == b'"there"'
    assert app._entrance is not None
    assert app._entrance.is_current


def test_telemetry_that_becomes_possible_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package may import opentelemetry and install a provider after the first request."""
    app = opened()
    asked: list[str] = []

    def enabled() -> bool:
        asked.append("asked")
        return False

    monkeypatch.setattr(app._native_telemetry, "enabled", enabled)
    monkeypatch.setitem(sys.modules, "opentelemetry", types.ModuleType("opentelemetry"))
    assert requested(app).status == 200
    assert asked == ["asked"]
    monkeypatch.setattr(app._native_telemetry, "enabled", lambda: True)
    assert app._entrance is not None
    assert app._entrance.serve(http_scope("/here"), None, None) is False


def test_method_replaced_on_a_base_class_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Classes are watched by their version, which changes when a base of theirs is modified."""
    app = opened()
    original = Route.matches
    matched: list[str] = []

    def matches(self: Any, scope: Any) -> Any:
        matched.append(scope["path"])
        return original(self, scope)

    assert app._entrance is not None
    assert app._entrance.serve(http_scope("/here"), None, sender([])) is True
    monkeypatch.setattr(Route, "matches", matches)
    assert app._entrance.serve(http_scope("/here"), None, None) is False
    assert requested(app).body == b'"as written"'
    assert "/here" in matched
    monkeypatch.undo()
    assert app._entrance.serve(http_scope("/here"), None, sender([])) is True


@pytest.mark.parametrize("scope", [{}, {"type": "lifespan"}, {"type": 1}, {"type": "websocket", "path": "/here"}])
def test_scope_of_anything_but_http_is_left_to_the_application(scope: dict[str, Any]) -> None:
    app = opened()
    assert app._entrance is not None
    assert app._entrance.serve(scope, None, None) is False


@pytest.mark.parametrize("framework", ["fastapi", "ferroapi"])
@pytest.mark.parametrize("stack", ["none", "built anew", "another application"])
@pytest.mark.parametrize("middleware", [False, True])
def test_request_under_way_fails_in_the_stack_that_it_came_through(
    framework: str, stack: str, middleware: bool
) -> None:
    f = importlib.import_module(framework)
    app, waiting, is_changed = f.FastAPI(), asyncio.Event(), asyncio.Event()

    @app.get("/waits")
    async def waits() -> None:
        waiting.set()
        await is_changed.wait()
        raise KeyError

    @app.exception_handler(KeyError)
    async def answer(request: Any, error: KeyError) -> PlainTextResponse:
        return PlainTextResponse("handled", 418)

    if middleware:
        app.add_middleware(Passing)

    async def another(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("another")(scope, receive, send)

    async def scenario() -> list[Any]:
        for path in ("/nowhere", "/nowhere"):
            await app(http_scope(path), None, sender([]))
        sent: list[Any] = []
        under_way = asyncio.create_task(app(http_scope("/waits"), None, sender(sent)))
        await waiting.wait()
        stacks = {
            "none": lambda: None,
            "built anew": app.build_middleware_stack,
            "another application": lambda: another,
        }
        app.middleware_stack = stacks[stack]()
        for _ in range(2):
            await app(http_scope("/nowhere"), None, sender(sent))
        is_changed.set()
        await under_way
        return [message.get("status") or message.get("body") for message in sent]

    refused = [200, b"another"] if stack == "another application" else [404, b'{"detail":"Not Found"}']
    assert asyncio.run(scenario()) == [*refused, *refused, 418, b"handled"]
