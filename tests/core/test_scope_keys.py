"""What middleware may leave in a scope is read as by FastAPI: in every order, lacking, and of every type.

Keys are looked for where they stood in the last scope.
"""

import asyncio
import warnings
from collections import ChainMap, UserDict
from collections.abc import Callable, MutableMapping
from functools import cache
from http import HTTPMethod
from importlib import import_module
from types import MappingProxyType, SimpleNamespace
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket

from .asgi import Answer, ask, http_scope, websocket_scope

SCOPE: dict[str, Any] = {
    "type": "http",
    "asgi": {"version": "3.0"},
    "http_version": "1.1",
    "server": ("test", 80),
    "client": ("test", 1),
    "scheme": "http",
    "method": "GET",
    "root_path": "",
    "path": "/items/7",
    "raw_path": b"/items/7",
    "query_string": b"q=tea",
    "headers": [(b"x-token", b"t")],
    "state": {},
}


def application(framework: Any) -> Any:
    app = framework.FastAPI()

    @app.get("/items/{item_id}")
    async def read_item(item_id: int, q: str, x_token: str = framework.Header()) -> list[Any]:
        return [item_id, q, x_token]

    return app


APPLICATIONS = [application(import_module(name)) for name in ("fastapi", "ferroapi")]


async def answer(app: Any, scope: dict[Any, Any]) -> Any:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    sent = []

    async def send(message: dict[str, Any]) -> None:
        sent.append((message.get("status"), message.get("body")))

    try:
        await app(scope, receive, send)
    except Exception as error:
        return type(error), str(error)
    return sent


class Text(str):
    """A key that is no plain text."""


@st.composite
def scopes(draw: st.DrawFn) -> dict[Any, Any]:
    keys = draw(st.permutations(list(SCOPE)))
    keys = keys[: draw(st.sampled_from([len(keys), len(keys), len(keys) - 1, len(keys) - 3]))]
    kinds = {key: draw(st.sampled_from(["interned", "interned", "equal", "subclass"])) for key in keys}
    made = {"interned": str, "equal": lambda key: "".join(list(key)), "subclass": Text}
    # What is taken out again leaves a gap in the dict.
    gaps = {f"x-{index}": None for index in range(draw(st.integers(0, 3)))}
    scope = gaps | {made[kinds[key]](key): SCOPE[key] for key in keys}
    for name in gaps:
        del scope[name]
    return scope


@given(st.lists(scopes(), min_size=1, max_size=40))
def test_scope_keys_in_any_order_are_read_as_by_fastapi(drawn: list[dict[Any, Any]]) -> None:
    async def answers(app: Any) -> list[Any]:
        return [await answer(app, scope.copy()) for scope in drawn]

    theirs, ours = (asyncio.run(answers(app)) for app in APPLICATIONS)
    assert ours == theirs


class Dictionary(dict[Any, Any]):
    """A dictionary that is no plain one."""


@cache
def service(name: str) -> tuple[Any, list[str]]:
    """Return an application with a route of each kind that reads its scope in its own way, and what notes calls."""
    f, called = import_module(name), []
    app, router, mounted = f.FastAPI(openapi_url=None), f.APIRouter(prefix="/in"), f.FastAPI(openapi_url=None)

    async def read(number: int, request: Request, q: str = "") -> list[Any]:
        return [number, q, str(request.path_params), request.scope["route"].path]

    async def talk(websocket: WebSocket, number: int) -> None:
        await websocket.accept()
        await websocket.send_text(f"{number} {websocket.path_params}")
        await websocket.close()

    async def fill(word: Annotated[str, f.Form()]) -> str:
        return word

    class Watched(f.routing.APIRoute):  # type: ignore[misc,name-defined]
        def get_route_handler(self) -> Callable[[Any], Any]:
            original = super().get_route_handler()

            async def handler(request: Any) -> Any:
                called.append("handler")
                return await original(request)

            return handler

    async def answer_error(request: Any, error: Exception) -> PlainTextResponse:
        return PlainTextResponse(f"{type(error).__name__}: {error}", 418)

    watched = f.APIRouter(route_class=Watched, prefix="/watched")
    for each in (app, router, mounted, watched):
        each.get("/items/{number}")(read)
    for each in (app, router):
        each.websocket("/talk/{number}")(talk)
    limited = f.APIRouter(prefix="/limited", form_limits={"max_fields": 5})
    for each in (app, router, limited):
        each.post("/form")(fill)
    for each in (router, limited, watched):
        app.include_router(each)
    app.mount("/at/{outer}", mounted)
    app.add_exception_handler(TypeError, answer_error)
    return app, called


FORM = [(b"content-type", b"application/x-www-form-urlencoded")]
CONNECTIONS = [
    *((http_scope(path, query=b"q=tea", headers=[(b"host", b"test")]), b"") for path in ("/items/7", "/in/items/7")),
    *((http_scope(path, headers=[(b"host", b"test")]), b"") for path in ("/items/x", "/items/7/", "/nothing")),
    *((http_scope(path, "PUT"), b"") for path in ("/items/7", "/in/items/7")),
    *((http_scope(path, query=b"q=tea"), b"") for path in ("/at/1/items/7", "/watched/items/7")),
    *((http_scope(path, "POST", headers=FORM), b"word=a") for path in ("/form", "/in/form", "/limited/form")),
    *((websocket_scope(path), b"") for path in ("/talk/7", "/talk/x", "/in/talk/7", "/nothing")),
]

MISSING = object()

UNUSUAL: dict[str, list[Any]] = {
    "type": [MISSING, None, b"http", Text("http"), "other"],
    "method": [MISSING, None, b"GET", Text("GET"), HTTPMethod.GET, "get", 5, ["GET"]],
    "path": [MISSING, None, b"/items/7", Text("/items/7"), 5, "", "items/7"],
    "root_path": [MISSING, None, b"", Text("/at"), "/at", 5, [], "\ud800"],
    "path_params": [
        *(MISSING, None, [], [("number", "9")], (), "", "ab", 5, {1: 2}, {"number": "9"}, Dictionary(outer=1)),
        *(ChainMap({"outer": "1"}), MappingProxyType({"outer": "1"})),
    ],
    "query_string": [MISSING, None, "q=text", "", bytearray(b"q=1"), 5, [], [("q", "1")], {"q": "1"}],
    "headers": [MISSING, None, (), {}, 5, {b"x-token": b"d"}, [["host", "h"]], [[bytearray(b"host"), b"h"]]],
    "fastapi": [MISSING, {}, Dictionary()],
    "state": [MISSING, None, 5, [], Dictionary(known=1), SimpleNamespace(known=1)],
    "app": [None, 5],
    "router": [None, 5],
    "endpoint": [None, 5],
    "route": [None, 5],
    "client": [None, (), ("host",), 5],
    "server": [MISSING, None, (), ("host",), 5],
    "scheme": [MISSING, None, b"http", 5],
    "extensions": [None, 5, {}],
    "user": [None, 5],
    "session": [None, {}],
}
"""What a middleware may leave under a key: nothing, something of another type, or of a class of its own."""


def answers_to(name: str, change: Callable[[dict[str, Any]], MutableMapping[str, Any]]) -> list[Any]:
    """Return the answers to all connections with changed scopes, and whether the overridden handler was called."""
    app, called = service(name)

    async def serve() -> list[tuple[Answer, int]]:
        seen = []
        for scope, content in CONNECTIONS:
            # As they are, so that the engine serves them, and then changed.
            for made in (dict(scope), change(dict(scope))):
                called.clear()
                try:
                    answer = await ask(app, made, content)  # type: ignore[arg-type]
                except KeyError as error:
                    # The scope lacks the type that `ask` looks up.
                    answer = Answer(raised=f"KeyError: {error}")
                for message in answer.websocket:
                    message.pop("reason", None)
                seen.append((answer, len(called)))
        return seen

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return asyncio.run(serve())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param(key, value, id=f"{key}-{index}")
        for key, values in UNUSUAL.items()
        for index, value in enumerate(values)
    ],
)
def test_unusual_value_of_a_key_means_what_it_does_under_fastapi(key: str, value: Any) -> None:
    """The same answer, or the same exception to the same handlers: 405 for a method that is None, and so on."""

    def change(scope: dict[str, Any]) -> dict[str, Any]:
        scope[key] = value
        return scope if value is not MISSING else {name: each for name, each in scope.items() if name != key}

    assert answers_to("ferroapi", change) == answers_to("fastapi", change)


@pytest.mark.parametrize("kind", [Dictionary, UserDict, lambda scope: ChainMap({}, scope)])
def test_scope_that_is_no_plain_dictionary_is_read_as_by_fastapi(kind: Any) -> None:
    theirs = answers_to("fastapi", kind)
    assert 200 in {answer.status for answer, _ in theirs}
    assert answers_to("ferroapi", kind) == theirs


@pytest.mark.parametrize("value", [None, 5, [], "text"])
def test_what_others_left_under_the_key_of_fastapi_is_not_looked_at(value: Any) -> None:
    """A decided difference (docs/differences.md): FastAPI fails for each path operation."""

    def change(scope: dict[str, Any]) -> dict[str, Any]:
        return scope | {"fastapi": value}

    theirs, ours = (answers_to(name, change)[1][0] for name in ("fastapi", "ferroapi"))
    assert (theirs.status, ours.status) == (500, 200)
