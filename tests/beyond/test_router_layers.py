# mypy: disable-error-code="untyped-decorator"
"""Middleware and exception handlers of routers, nested, around the application's own."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Route

from ferroapi import APIRouter, FastAPI, HTTPException, Request, WebSocket
from ferroapi.exceptions import FastAPIError
from ferroapi.responses import JSONResponse, PlainTextResponse
from ferroapi.testclient import TestClient


class Noted:
    made: list[str] = []  # noqa: RUF012

    def __init__(self, app: Any, name: str, log: list[str]) -> None:
        self.app, self.name, self.log = app, name, log
        self.made.append(name)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        self.log.append(f"{self.name} in")
        try:
            await self.app(scope, receive, send)
        finally:
            self.log.append(f"{self.name} out")


class Failed(Exception):
    pass


def handler(name: str) -> Any:
    async def handle(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"handled by": name}, status_code=418)

    return handle


def application(log: list[str]) -> FastAPI:
    def noted(name: str) -> list[Middleware]:
        return [Middleware(Noted, name=name, log=log)]

    inner = APIRouter(middleware=noted("inner"), exception_handlers={KeyError: handler("inner")})
    outer = APIRouter(middleware=noted("outer"), exception_handlers={KeyError: handler("outer"), 404: handler("outer")})
    app = FastAPI(middleware=noted("app"), exception_handlers={KeyError: handler("app"), Failed: handler("app")})

    for router in (inner, outer, app):

        @router.get("/ok")
        async def ok() -> str:
            log.append("endpoint")
            return "ok"

        @router.get("/raise/{kind}")
        async def fail(kind: str) -> None:
            raise {"key": KeyError("k"), "failed": Failed(), "404": HTTPException(404), "400": HTTPException(400)}[kind]

    @inner.websocket("/ws")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("hello")
        await websocket.close()

    async def plain(request: Request) -> PlainTextResponse:
        log.append("endpoint")
        return PlainTextResponse("plain")

    inner.add_route("/plain", plain)
    inner.mount("/mounted", PlainTextResponse("mounted"))
    outer.include_router(inner, prefix="/inner")
    app.include_router(outer, prefix="/outer")
    served = APIRouter(middleware=noted("served"), routes=[Route("/x", plain)])
    app.mount("/served", served)
    return app


@pytest.mark.parametrize(
    ("path", "layers"),
    [
        ("/ok", ["app"]),
        ("/outer/ok", ["app", "outer"]),
        ("/outer/inner/ok", ["app", "outer", "inner"]),
        ("/outer/inner/plain", ["app", "outer", "inner"]),
        ("/served/x", ["app", "served"]),
    ],
)
def test_middleware_is_around_what_it_was_declared_for(path: str, layers: list[str]) -> None:
    log: list[str] = []
    client = TestClient(application(log))

    for _ in range(2):
        log.clear()
        assert client.get(path).status_code == 200
        assert log == [f"{each} in" for each in layers] + ["endpoint"] + [f"{each} out" for each in reversed(layers)]


def test_middleware_is_made_once() -> None:
    Noted.made.clear()
    client = TestClient(application([]))
    for _ in range(3):
        client.get("/outer/inner/ok")
        client.get("/outer/inner/plain")
    assert sorted(Noted.made) == ["app", "inner", "outer", "served"]


def test_a_mount_and_a_websocket_are_behind_it() -> None:
    log: list[str] = []
    client = TestClient(application(log))

    assert client.get("/outer/inner/mounted/x").text == "mounted"
    expected = ["app in", "outer in", "inner in", "inner out", "outer out", "app out"]
    assert log == expected
    log.clear()
    with client.websocket_connect("/outer/inner/ws") as session:
        assert session.receive_text() == "hello"
    assert log[:3] == expected[:3]


@pytest.mark.parametrize(
    ("path", "by"),
    [
        ("/raise/key", "app"),
        ("/outer/raise/key", "outer"),
        ("/outer/inner/raise/key", "inner"),
        ("/outer/inner/raise/404", "outer"),
        ("/outer/inner/raise/failed", "app"),
    ],
)
def test_the_innermost_handler_answers(path: str, by: str) -> None:
    log: list[str] = []
    answer = TestClient(application(log)).get(path)

    assert (answer.status_code, answer.json()) == (418, {"handled by": by})
    # Middleware sees an answer, as that of the application does.
    assert len(log) % 2 == 0


def test_the_default_handlers_answer_the_rest() -> None:
    client = TestClient(application([]))
    assert client.get("/outer/inner/raise/400").json() == {"detail": "Bad Request"}
    assert client.get("/raise/404").json() == {"detail": "Not Found"}
    assert client.post("/outer/inner/ok").status_code == 405
    assert client.get("/outer/nowhere").status_code == 404


def test_explain_names_what_stands_around() -> None:
    app = FastAPI()
    layered, bare = APIRouter(middleware=[Middleware(Noted, name="x", log=[])]), APIRouter()
    for router in (layered, bare):
        router.get("/ok")(lambda: "ok")
    app.include_router(layered, prefix="/layered")
    app.include_router(bare, prefix="/bare")

    rows = {row.path: (row.mode, row.reason) for row in app.explain()}

    assert rows["/bare/ok"] == ("native", "")
    assert rows["/layered/ok"] == ("handler", "it runs behind the middleware or exception handlers of its router")


def test_the_example_marks_its_own_routes() -> None:
    path = Path(__file__).parents[2] / "examples" / "beyond" / "routers.py"
    spec = importlib.util.spec_from_file_location("example_routers", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    client = TestClient(module.app)

    assert client.get("/admin/users/ada").headers["x-area"] == "admin"
    missing = client.get("/admin/users/bob")
    assert (missing.status_code, missing.json(), missing.headers["x-area"]) == (404, {"missing": "'bob'"}, "admin")
    assert "x-area" not in client.get("/public").headers


@pytest.mark.parametrize("wrong", [GZipMiddleware, "gzip"])
def test_middleware_that_is_no_middleware_is_refused(wrong: Any) -> None:
    name = "GZipMiddleware" if wrong is GZipMiddleware else "TheClass"
    with pytest.raises(
        FastAPIError, match=rf"^`middleware` of a router is a list of `Middleware\({name}, \.\.\.\)`, not"
    ):
        APIRouter(middleware=[wrong])


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"middleware": Middleware(GZipMiddleware)}, "`middleware` of a router is a list, not Middleware(GZip"),
        ({"middleware": 3}, "`middleware` of a router is a list, not 3"),
        ({"exception_handlers": [(404, print)]}, "`exception_handlers` of a router is a dictionary, not [(404"),
        ({"exception_handlers": {"404": print}}, "an exception class or a status, not '404'"),
        ({"exception_handlers": {int: print}}, "an exception class or a status, not <class 'int'>"),
        ({"exception_handlers": {KeyError("a"): print}}, "an exception class or a status, not KeyError('a')"),
        ({"exception_handlers": {404: None}}, "the exception handler for 404 is no function, but None"),
    ],
)
def test_what_could_never_be_called_is_refused(wrong: Any, told: str) -> None:
    with pytest.raises(FastAPIError) as refused:
        APIRouter(**wrong)
    assert told in str(refused.value)


def test_preflights_are_answered_and_a_wrong_method_is_refused_outside() -> None:
    router = APIRouter(
        middleware=[Middleware(CORSMiddleware, allow_origins=["https://example.com"])],
        exception_handlers={405: lambda request, error: PlainTextResponse("own", 405)},
    )
    router.get("/items")(lambda: 1)
    app = FastAPI()
    app.include_router(router, prefix="/api")
    client = TestClient(app, headers={"origin": "https://example.com"})
    preflight = client.options("/api/items", headers={"access-control-request-method": "GET"})
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, "https://example.com")
    refused = client.post("/api/items")
    assert (refused.status_code, refused.json()) == (405, {"detail": "Method Not Allowed"})
    assert "access-control-allow-origin" not in refused.headers
