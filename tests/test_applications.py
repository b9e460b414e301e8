"""`ferroapi.FastAPI`: settings, documentation routes, the middleware stack and the entry of a connection."""

import subprocess
import sys
from typing import Any

import fastapi
import pytest
from starlette.middleware import Middleware
from starlette.requests import Request

from ferroapi import APIRouter, FastAPI, WebSocket
from ferroapi.exceptions import FastAPIDeprecationWarning
from ferroapi.responses import PlainTextResponse
from ferroapi.testclient import TestClient


def test_options_become_attributes() -> None:
    app = FastAPI(title="T", version="2", servers=[{"url": "/s"}], docs_url=None, max_body_size=5)
    assert (app.title, app.version, app.servers, app.docs_url, app.max_body_size) == (
        "T",
        "2",
        [{"url": "/s"}],
        None,
        5,
    )
    assert app.router.max_body_size == 5
    assert app.openapi_version == "3.1.0"


@pytest.mark.parametrize("name", ["title", "version"])
def test_document_needs_title_and_version(name: str) -> None:
    with pytest.raises(AssertionError, match=f"A {name} must be provided for OpenAPI"):
        FastAPI(**{name: ""})  # type: ignore[arg-type]
    FastAPI(openapi_url=None, **{name: ""})  # type: ignore[arg-type]


def test_root_path_is_deprecated_at_the_callers_line() -> None:
    with pytest.warns(FastAPIDeprecationWarning, match="`root_path` parameter is deprecated") as caught:
        FastAPI(root_path="/api")
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ["openapi", "swagger_ui_html", "swagger_ui_redirect", "redoc_html"]),
        ({"openapi_url": None}, []),
        ({"docs_url": None}, ["openapi", "redoc_html"]),
        ({"redoc_url": None, "swagger_ui_oauth2_redirect_url": None}, ["openapi", "swagger_ui_html"]),
    ],
)
def test_documentation_routes(options: dict[str, Any], names: list[str]) -> None:
    app = FastAPI(**options)
    assert [route.name for route in app.routes] == names  # type: ignore[attr-defined]
    client = TestClient(app)
    for route in app.routes:
        assert client.get(route.path).status_code == 200  # type: ignore[attr-defined]


def test_documentation_routes_have_the_qualified_names_of_fastapis() -> None:
    """Tracers name a transaction after the endpoint's."""
    found, expected = (
        [each.endpoint.__qualname__ for each in app.routes]  # type: ignore[attr-defined]
        for app in (FastAPI(), fastapi.FastAPI())
    )
    assert found == expected and len(found) == 4


def test_document_is_made_again_when_a_route_is_added() -> None:
    app = FastAPI()
    first = app.openapi()
    assert app.openapi() is first
    app.get("/x")(lambda: None)
    assert "/x" in app.openapi()["paths"]


def test_document_lists_the_root_path_as_a_server() -> None:
    app = FastAPI(servers=[{"url": "/other"}])
    client = TestClient(app, root_path="/api")
    assert client.get("/openapi.json").json()["servers"] == [{"url": "/api"}, {"url": "/other"}]
    assert "/api/openapi.json" in client.get("/docs").text
    assert app.openapi()["servers"] == [{"url": "/other"}]


def test_stack_is_ordered_from_errors_to_files() -> None:
    class Own:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self.app(scope, receive, send)

    app = FastAPI(middleware=[Middleware(Own)])
    names = []
    layer: Any = app.build_middleware_stack()
    while layer is not app.router:
        names.append(type(layer).__name__)
        layer = layer.app
    assert names == [
        "ServerErrorMiddleware",
        "ExceptionTelemetryMiddleware",
        "AppBodyLimitMiddleware",
        "Own",
        "ExceptionMiddleware",
        "AsyncExitStackMiddleware",
    ]


def test_handlers_of_exceptions_and_statuses() -> None:
    app = FastAPI()

    @app.exception_handler(KeyError)
    async def on_key_error(request: Request, error: KeyError) -> PlainTextResponse:
        return PlainTextResponse("key", status_code=409)

    @app.exception_handler(500)
    async def on_any(request: Request, error: Exception) -> PlainTextResponse:
        return PlainTextResponse("any", status_code=500)

    @app.get("/{kind}")
    def endpoint(kind: str) -> None:
        raise KeyError if kind == "key" else ValueError

    client = TestClient(app, raise_server_exceptions=False)
    assert [client.get(path).text for path in ("/key", "/other")] == ["key", "any"]


def test_middleware_decorator_runs_around_the_request() -> None:
    app = FastAPI()

    @app.middleware("http")
    async def add_header(request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-seen"] = request.url.path
        return response

    app.get("/x")(lambda: 1)
    assert TestClient(app).get("/x").headers["x-seen"] == "/x"


def test_overridden_dependencies_reach_included_routes() -> None:
    from ferroapi import Depends

    def dependency() -> str:
        return "original"

    router = APIRouter()

    @router.get("/x")
    def endpoint(value: str = Depends(dependency)) -> str:
        return value

    app = FastAPI()
    app.include_router(router)
    client = TestClient(app)
    app.dependency_overrides[dependency] = lambda: "override"
    assert client.get("/x").json() == "override"
    app.dependency_overrides.clear()
    assert client.get("/x").json() == "original"


def test_application_can_be_mounted_in_another() -> None:
    inner = FastAPI()

    @inner.get("/x")
    def endpoint(request: Request) -> list[Any]:
        return [request.scope["root_path"], request.scope["app"] is inner]

    @inner.websocket_route("/ws")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    outer = FastAPI()
    outer.mount("/inner", inner)
    client = TestClient(outer)
    assert client.get("/inner/x").json() == ["/inner", True]
    with client.websocket_connect("/inner/ws"):
        pass


def test_import_and_a_request_leave_opentelemetry_alone() -> None:
    code = (
        "import sys, ferroapi.testclient; app = ferroapi.FastAPI(); app.get('/')(lambda: 1)\n"
        "assert ferroapi.testclient.TestClient(app).get('/').json() == 1\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    # Pydantic loads the plugins it finds, and one of them imports opentelemetry.
    environment = {"PYDANTIC_DISABLE_PLUGINS": "1", "PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
