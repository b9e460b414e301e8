"""`include_router`: live views on another router under merged settings (`ferroapi._routing.include`, `inherit`)."""

import importlib
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Match, Mount, Route, Router, WebSocketRoute

from ferroapi import APIRouter, Depends, FastAPI
from ferroapi._routing.inherit import inherit_all
from ferroapi.datastructures import Default
from ferroapi.exceptions import FastAPIError
from ferroapi.routing import (
    APIRoute,
    RouteContext,
    _EffectiveRouteContext,
    _IncludedRouter,
    _iter_routes_with_context,
    iter_route_contexts,
)
from ferroapi.testclient import TestClient


def plain(request: Request) -> PlainTextResponse:
    return PlainTextResponse(request.url.path)


# One setting meeting another.

PLACEHOLDER = Default("placeholder")


@pytest.mark.parametrize(
    ("name", "outer", "inner", "effective"),
    [
        ("prefix", "/a", "/b", "/a/b"),
        ("tags", ["a"], None, ["a"]),
        ("tags", ["a"], ["b"], ["a", "b"]),
        ("responses", {1: "a"}, {1: "b", 2: "c"}, {1: "b", 2: "c"}),
        ("deprecated", True, None, True),
        ("deprecated", None, False, None),
        ("include_in_schema", False, True, False),
        ("response_class", "outer", PLACEHOLDER, "outer"),
        ("response_class", "outer", "inner", "inner"),
        ("strict_content_type", PLACEHOLDER, PLACEHOLDER, PLACEHOLDER),
        ("max_body_size", 5, None, 5),
        ("max_body_size", 5, 0, 0),
    ],
)
def test_setting_is_inherited(name: str, outer: Any, inner: Any, effective: Any) -> None:
    assert inherit_all([name], SimpleNamespace(**{name: outer}), {name: inner}) == {name: effective}


# What is seen through includes.


def nested() -> tuple[FastAPI, APIRouter]:
    leaf = APIRouter(prefix="/leaf")
    middle = APIRouter(prefix="/middle")
    middle.include_router(leaf, prefix="/via")
    app = FastAPI(openapi_url=None)
    app.include_router(middle, prefix="/one")
    app.include_router(middle, prefix="/two")
    return app, leaf


def test_routes_added_after_the_include_are_served_under_every_prefix() -> None:
    app, leaf = nested()
    client = TestClient(app)
    assert client.get("/one/middle/via/leaf/x").status_code == 404
    leaf.get("/x")(lambda: "x")
    paths = ["/one/middle/via/leaf/x", "/two/middle/via/leaf/x"]
    assert [client.get(path).json() for path in paths] == ["x", "x"]
    assert [context.path for context in iter_route_contexts(app.routes)] == paths


def test_views_are_kept_until_a_route_changes() -> None:
    app, leaf = nested()
    included = app.routes[-1]
    assert isinstance(included, _IncludedRouter)
    before = included.effective_candidates()
    assert included.effective_candidates() is before
    version = included.original_router._get_routes_version()
    leaf.get("/x")(lambda: None)
    assert included.original_router._get_routes_version() > version
    assert included.effective_candidates() is not before


def test_view_exposes_what_a_route_does() -> None:
    def dependency() -> None: ...

    router = APIRouter()

    @router.post("/{item}", status_code=201, tags=["route"])
    def endpoint(item: int, body: dict[str, int]) -> dict[str, int]:
        """What it does."""
        return body

    app = FastAPI(openapi_url=None)
    app.include_router(router, prefix="/p", tags=["include"], dependencies=[Depends(dependency)])
    ((route, context),) = _iter_routes_with_context(app.routes)
    assert isinstance(context, _EffectiveRouteContext)
    assert context.original_route is route is router.routes[0]
    assert (context.path, context.path_format, context.methods) == ("/p/{item}", "/p/{item}", {"POST"})
    assert (context.status_code, context.tags, context.description) == (201, ["include", "route"], "What it does.")
    assert context.unique_id == "endpoint_p__item__post"
    assert [each.call for each in context.dependant.dependencies] == [dependency]
    assert context.body_field is not None
    assert context.response_field is not None
    assert context.matches({"type": "http", "path": "/p/1", "method": "GET"})[0] == Match.PARTIAL
    with pytest.raises(AttributeError):
        context.missing  # noqa: B018
    assert isinstance(route, APIRoute)
    assert route.path == "/{item}"


def test_path_parameter_of_a_prefix_reaches_the_endpoint() -> None:
    router = APIRouter()

    @router.get("/x")
    def endpoint(tenant: int) -> int:
        return tenant

    app = FastAPI()
    app.include_router(router, prefix="/{tenant}")
    client = TestClient(app)
    assert client.get("/7/x").json() == 7
    assert client.get("/a/x").json()["detail"][0]["loc"] == ["path", "tenant"]


def test_route_context_reads_the_effective_route() -> None:
    router = APIRouter(routes=[Route("/plain", plain, name="plain")])
    app = FastAPI(openapi_url=None)
    app.include_router(router, prefix="/p")
    (context,) = iter_route_contexts(app.routes)
    assert isinstance(context, RouteContext)
    assert (context.path, context.name, context.methods) == ("/p/plain", "plain", {"GET", "HEAD"})
    assert context.route is context.original_route is router.routes[0]
    assert list(iter_route_contexts([context])) == [context]
    assert context.param_convertors == {}


def test_starlette_routes_keep_working_below_a_prefix() -> None:
    async def socket(websocket: Any) -> None:
        await websocket.accept()
        await websocket.send_text("socket")
        await websocket.close()

    router = APIRouter(
        routes=[
            Route("/plain", plain),
            WebSocketRoute("/socket", socket),
            Mount("/mount", routes=[Route("/in", plain)]),
            Host("{any}.example.com", Router(routes=[Route("/host", plain)])),
        ]
    )
    app = FastAPI()
    app.include_router(router, prefix="/p")
    client = TestClient(app)
    assert [client.get(path).text for path in ("/p/plain", "/p/mount/in")] == ["/p/plain", "/p/mount/in"]
    assert client.get("/p/host", headers={"host": "a.example.com"}).text == "/p/host"
    with client.websocket_connect("/p/socket") as session:
        assert session.receive_text() == "socket"


def test_effective_context_is_in_the_scope() -> None:
    router = APIRouter()

    @router.get("/x")
    def endpoint(request: Request) -> str:
        template: str = request.scope["fastapi"]["effective_route_context"].path
        return template

    app = FastAPI()
    app.include_router(router, prefix="/p")
    assert TestClient(app).get("/p/x").json() == "/p/x"


def test_router_subclass_decides_what_matches() -> None:
    class Closed(APIRouter):
        def matches(self, scope: Any) -> Any:
            return (Match.NONE, {}) if b"open" not in dict(scope["headers"]) else super().matches(scope)

    router = Closed()
    router.get("/x")(lambda: 1)
    app = FastAPI()
    app.include_router(router)
    client = TestClient(app)
    assert [client.get("/x").status_code, client.get("/x", headers={"open": ""}).status_code] == [404, 200]


# What is refused.


def test_routers_cannot_include_each_other() -> None:
    first, second = APIRouter(), APIRouter()
    first.include_router(second)
    with pytest.raises(AssertionError, match="already includes this router"):
        second.include_router(first)
    with pytest.raises(AssertionError, match="into itself"):
        first.include_router(first)


def test_prefix_and_path_cannot_both_be_empty() -> None:
    router = APIRouter()

    @router.get("")
    def nameless() -> None: ...

    with pytest.raises(FastAPIError, match=r"Prefix and path cannot be both empty \(path operation: nameless\)"):
        APIRouter().include_router(router)
    APIRouter().include_router(router, prefix="/p")


def noting_router(f: Any, name: str, log: list[str]) -> Any:
    """Return a subclass of `APIRouter` that notes when one of its methods is called."""

    def noted(self: Any, *args: Any) -> Any:
        log.append(name)
        return getattr(f.APIRouter, name)(self, *args)

    return type("NotingRouter", (f.APIRouter,), {name: noted})


@pytest.mark.parametrize(
    "name", ["_match_low_priority", "_iter_low_priority_routes", "_get_routes_version", "matches", "handle"]
)
@pytest.mark.parametrize("path", ["/own", "/included/there", "/nowhere"])
@pytest.mark.parametrize("where", ["application", "included"])
def test_method_of_a_router_that_a_subclass_overrides_is_asked_as_by_fastapi(name: str, path: str, where: str) -> None:
    def served(f: Any) -> tuple[Any, ...]:
        log: list[str] = []
        app = f.FastAPI(openapi_url=None)
        special = noting_router(f, name, log)
        if where == "application":
            app.router.__class__ = special
        router = special() if where == "included" else f.APIRouter()
        app.add_api_route("/own", lambda: 1)
        router.add_api_route("/there", lambda: 2)
        app.include_router(router, prefix="/included")
        client = TestClient(app)
        client.get(path)
        log.clear()
        answer = client.get(path)
        return answer.status_code, answer.content, log

    assert served(importlib.import_module("ferroapi")) == served(importlib.import_module("fastapi"))


@pytest.mark.parametrize("answers", [True, False], ids=["answers", "matches nothing"])
def test_route_behind_the_others_that_does_not_match_says_no_more_than_that(answers: bool) -> None:
    class Quiet(Route):
        def matches(self, scope: Any) -> Any:
            match, child_scope = super().matches(scope)
            return (match, child_scope) if answers and match == Match.FULL else (Match.NONE, None)

    def served(f: Any) -> Any:
        class Last(f.APIRouter):  # type: ignore[name-defined, misc]
            def _iter_low_priority_routes(self) -> Any:
                return iter([Quiet("/other", plain), Quiet("/another", plain), Quiet("/there", plain)])

        app = f.FastAPI(openapi_url=None)
        app.router.__class__ = Last
        client = TestClient(app)
        return [(answer.status_code, answer.text) for answer in (client.get("/there"), client.get("/nowhere"))]

    expected = [(200, "/there") if answers else (404, '{"detail":"Not Found"}'), (404, '{"detail":"Not Found"}')]
    assert served(importlib.import_module("ferroapi")) == served(importlib.import_module("fastapi")) == expected


@pytest.mark.parametrize("name", ["matches", "handle"])
@pytest.mark.parametrize("path", ["/included/there", "/nowhere"])
def test_method_that_is_assigned_to_an_included_router_is_asked_as_by_fastapi(name: str, path: str) -> None:
    def served(f: Any) -> list[Any]:
        log: list[str] = []
        app, router = f.FastAPI(openapi_url=None), f.APIRouter()
        router.add_api_route("/there", lambda: 2)
        app.include_router(router, prefix="/included")
        included = app.routes[-1]
        original = getattr(included, name)

        def noting(*arguments: Any) -> Any:
            log.append(name)
            return original(*arguments)

        client, found = TestClient(app), []
        for change in (lambda: None, lambda: setattr(included, name, noting), lambda: delattr(included, name)):
            change()
            answer = client.get(path)
            found += [answer.status_code, answer.content, *log]
            log.clear()
        return found

    found = served(importlib.import_module("ferroapi"))
    assert found == served(importlib.import_module("fastapi"))
    assert name in found or (name, path) == ("handle", "/nowhere")
