"""`ferroapi.routing`: routes, their options, the conductors, and the functions that packages replace."""

import json
from contextlib import suppress
from typing import Any

import fastapi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.convertors import CONVERTOR_TYPES, Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Match, Mount, NoMatchFound, Route, Router

import ferroapi
from ferroapi import APIRouter, Body, Depends, FastAPI, WebSocket, routing
from ferroapi.exceptions import FastAPIError, ResponseValidationError
from ferroapi.routing import APIRoute
from ferroapi.testclient import TestClient

from .core.asgi import answers, http_scope


def client_of(app: FastAPI, **options: Any) -> TestClient:
    return TestClient(app, **options)


# Registration.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"responses": {404: "text"}}, "An additional response must be a dict"),
        ({"responses": {204: {"model": int}}}, "Status code 204 must not have a response body"),
        ({"status_code": 204, "response_model": int}, "Status code 204 must not have a response body"),
    ],
)
def test_route_refuses_a_response_it_cannot_give(options: dict[str, Any], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        APIRoute("/", lambda: None, **options)


def test_route_refuses_an_endpoint_that_is_not_callable() -> None:
    with pytest.raises(AssertionError, match="An endpoint must be a callable"):
        APIRoute("/", "endpoint")  # type: ignore[arg-type]


def test_route_refuses_a_response_model_pydantic_cannot_serialize() -> None:
    with pytest.raises(FastAPIError, match="Invalid args for response field!"):
        APIRoute("/", lambda: None, response_model=type("Opaque", (), {}))


@pytest.mark.parametrize("size", [-1, True, "1"])
def test_router_refuses_a_body_limit_that_is_no_size(size: Any) -> None:
    with pytest.raises(ValueError, match="max_body_size must be a non-negative integer or None"):
        APIRouter(max_body_size=size)


@pytest.mark.parametrize(
    ("prefix", "message"),
    [("items", "must start with '/'"), ("/items/", "must not end with '/'")],
)
def test_router_refuses_a_prefix_that_is_none(prefix: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        APIRouter(prefix=prefix)
    with pytest.raises(AssertionError, match=message):
        APIRouter().include_router(APIRouter(), prefix=prefix)


@pytest.mark.parametrize("verb", ["get", "put", "post", "delete", "options", "head", "patch", "trace"])
def test_verb_declares_exactly_its_method(verb: str) -> None:
    router = APIRouter()
    getattr(router, verb)("/")(lambda: None)
    assert router.routes[0].methods == {verb.upper()}  # type: ignore[attr-defined]


def test_unknown_option_is_refused_by_the_decorator() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'respons_model'"):
        APIRouter().get("/", respons_model=int)  # type: ignore[call-arg]


def test_router_settings_meet_the_route_settings() -> None:
    def of_router() -> None: ...

    def of_route() -> None: ...

    router = APIRouter(
        prefix="/r",
        tags=["router"],
        dependencies=[Depends(of_router)],
        responses={401: {}},
        default_response_class=PlainTextResponse,
        max_body_size=10,
        deprecated=True,
    )

    @router.get("/x", tags=["route"], dependencies=[Depends(of_route)], responses={404: {}}, max_body_size=5)
    def endpoint() -> str:
        return ""

    (route,) = router.routes
    assert isinstance(route, APIRoute)
    assert route.path == "/r/x"
    assert route.tags == ["router", "route"]
    assert [each.dependency for each in route.dependencies] == [of_router, of_route]
    assert route.responses == {401: {}, 404: {}}
    assert route.response_class is PlainTextResponse
    assert (route.max_body_size, route.deprecated) == (5, True)


def test_route_attributes_may_be_assigned() -> None:
    app = FastAPI()

    @app.get("/x")
    def endpoint() -> None: ...

    for route in app.routes:
        if isinstance(route, APIRoute):
            route.operation_id = route.name
    assert app.openapi()["paths"]["/x"]["get"]["operationId"] == "endpoint"


def test_route_class_without_form_limits_still_serves() -> None:
    class Older(APIRoute):
        def __init__(self, path: str, endpoint: Any, **options: Any) -> None:
            assert "form_limits" not in options
            super().__init__(path, endpoint, **options)

    router = APIRouter(route_class=Older)
    router.get("/")(lambda: None)
    assert isinstance(router.routes[0], Older)


# Matching, against Starlette and FastAPI.

PATHS = ["/", "/a", "/a/", "/{x}", "/a/{x}", "/{x}/b", "/{n:int}", "/{rest:path}", "/a/b"]
METHODS = ["GET", "POST", "PUT"]


def answers_of(app: Any, requests: list[tuple[str, str]]) -> list[tuple[int, str | None, str]]:
    client = TestClient(app, follow_redirects=False)
    answers = [client.request(method, path) for method, path in requests]
    return [(each.status_code, each.headers.get("location"), each.text) for each in answers]


def app_with(module: Any, declared: list[tuple[str, str]], included: list[tuple[str, str]]) -> Any:
    app = module.FastAPI(openapi_url=None)
    router = module.APIRouter()
    for index, (target, path, method) in enumerate(
        [(app, *each) for each in declared] + [(router, *each) for each in included]
    ):

        def endpoint(request: module.Request, index: int = index) -> str:
            return f"{index} {sorted(request.path_params.items())}"

        target.api_route(path, methods=[method])(endpoint)
    app.include_router(router, prefix="/a")
    return app


routes = st.lists(st.tuples(st.sampled_from(PATHS), st.sampled_from(METHODS)), max_size=4)
requests = st.lists(
    st.tuples(
        st.sampled_from([*METHODS, "HEAD"]), st.sampled_from(["/", "/a", "/a/", "/b", "/a/b", "/a/a/", "/7", "/a/7/b"])
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=settings().max_examples // 4)
@given(declared=routes, included=routes, requests=requests)
def test_dispatch_answers_as_fastapi_does(
    declared: list[tuple[str, str]], included: list[tuple[str, str]], requests: list[tuple[str, str]]
) -> None:
    ours = answers_of(app_with(ferroapi, declared, included), requests)
    theirs = answers_of(app_with(fastapi, declared, included), requests)
    assert ours == theirs


async def drive(app: Any, path: str, method: str = "GET") -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "root_path": "",
        "query_string": b"",
        "headers": [],
        "scheme": "http",
        "server": ("h", 80),
    }
    await app(scope, receive, send)
    return sent


@pytest.mark.anyio
async def test_router_alone_answers_404_and_405_without_an_application() -> None:
    async def index(request: Request) -> PlainTextResponse:
        return PlainTextResponse("index")

    router = APIRouter()
    router.add_route("/", index)
    assert [(await drive(router, path, method))[0]["status"] for path, method in [("/", "GET"), ("/x", "GET")]] == [
        200,
        404,
    ]
    assert (await drive(router, "/", "POST"))[0]["status"] == 405


def test_matches_names_the_route_for_middleware() -> None:
    app = FastAPI()

    @app.get("/x/{y}")
    def endpoint(y: str) -> None: ...

    scope = {"type": "http", "method": "GET", "path": "/x/1", "root_path": ""}
    match, child_scope = app.routes[-1].matches(scope)
    assert match == Match.FULL
    assert child_scope["route"] is app.routes[-1]
    assert child_scope["path_params"] == {"y": "1"}


def test_mount_and_starlette_routes_share_the_router() -> None:
    async def plain(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.url.path)

    app = FastAPI()
    app.mount("/m", Router(routes=[Route("/in", plain)]))
    app.add_route("/plain", plain)
    client = client_of(app)
    assert [client.get(path).text for path in ("/m/in", "/plain")] == ["/m/in", "/plain"]


# The functions that packages replace.


def test_get_request_handler_replaced_may_replace_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    original = routing.get_request_handler
    calls: list[str] = []

    def patched(*args: Any, **keywords: Any) -> Any:
        dependant = keywords["dependant"]
        endpoint = dependant.call

        def wrapped(*args: Any, **keywords: Any) -> Any:
            calls.append("wrapped")
            return endpoint(*args, **keywords)

        dependant.call = wrapped
        handler = original(*args, **keywords)

        async def outer(*args: Any, **keywords: Any) -> Any:
            calls.append("handler")
            return await handler(*args, **keywords)

        return outer

    monkeypatch.setattr(routing, "get_request_handler", patched)
    app = FastAPI()

    @app.get("/{n}")
    def endpoint(n: int) -> int:
        return n

    assert client_of(app).get("/3").json() == 3
    assert calls == ["handler", "wrapped"]


@pytest.mark.parametrize("name", ["solve_dependencies", "run_endpoint_function", "serialize_response"])
def test_replaced_function_is_called_with_keywords(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    original = getattr(routing, name)
    seen: list[set[str]] = []

    async def patched(**keywords: Any) -> Any:
        seen.append(set(keywords))
        return await original(**keywords)

    app = FastAPI()

    @app.post("/")
    async def endpoint(n: int = Body()) -> int:
        return n

    monkeypatch.setattr(routing, name, patched)
    assert client_of(app).post("/", json=1).json() == 1
    expected = {
        "solve_dependencies": {"request", "dependant", "body", "async_exit_stack", "embed_body_fields"},
        "run_endpoint_function": {"dependant", "values", "is_coroutine"},
        "serialize_response": {"field", "response_content", "include", "is_coroutine", "dump_json"},
    }
    assert len(seen) == 1
    assert expected[name] <= seen[0]


def test_request_response_replaced_wraps_routes_made_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    original = routing.request_response
    wrapped: list[Any] = []
    monkeypatch.setattr(routing, "request_response", lambda func: wrapped.append(func) or original(func))
    app = FastAPI(openapi_url=None)
    app.get("/")(lambda: 1)
    assert len(wrapped) == 1
    assert client_of(app).get("/").json() == 1


def test_get_route_handler_overridden_surrounds_the_handler() -> None:
    class Timed(APIRoute):
        def get_route_handler(self) -> Any:
            handler = super().get_route_handler()

            async def timed(request: Request) -> Any:
                response = await handler(request)
                response.headers["X-Timed"] = "yes"
                return response

            return timed

    app = FastAPI()
    app.router.route_class = Timed
    router = APIRouter(route_class=Timed)
    app.get("/direct")(lambda: 1)
    router.get("/included")(lambda: 2)
    app.include_router(router, prefix="/p")
    client = client_of(app)
    for path, value in (("/direct", 1), ("/p/included", 2)):
        response = client.get(path)
        assert (response.json(), response.headers["x-timed"]) == (value, "yes")


# Requests and responses in handler mode.


@pytest.mark.parametrize(
    ("content_type", "strict", "body"),
    [
        ("application/json", True, {"n": 1}),
        ("Application/Vnd.Api+JSON; charset=utf-8", True, {"n": 1}),
        ("application/geo+json;x", True, {"n": 1}),
        ("text/plain", True, None),
        ("application/json/x", True, None),
        (None, True, None),
        (None, False, {"n": 1}),
    ],
)
def test_body_is_json_by_its_content_type(content_type: str | None, strict: bool, body: Any) -> None:
    app = FastAPI(strict_content_type=strict)

    @app.post("/")
    def endpoint(value: dict[str, int] = Body()) -> Any:
        return value

    headers = {} if content_type is None else {"content-type": content_type}
    response = client_of(app).post("/", content=b'{"n": 1}', headers=headers)
    assert (response.json() if response.status_code == 200 else None) == body


@pytest.mark.parametrize(
    ("content", "status", "detail"),
    [
        (b"{", 422, "json_invalid"),
        (b"\xff", 400, "There was an error parsing the body"),
        (b"[" * 100_000, 400, "There was an error parsing the body"),
    ],
)
def test_body_that_does_not_parse_is_the_clients_error(content: bytes, status: int, detail: str) -> None:
    app = FastAPI()

    @app.post("/")
    def endpoint(value: Any = Body()) -> Any:
        return value

    response = client_of(app).post("/", content=content, headers={"content-type": "application/json"})
    assert response.status_code == status
    assert detail in response.text


def test_response_model_mismatch_names_the_endpoint() -> None:
    app = FastAPI()

    @app.get("/x")
    def endpoint() -> int:
        return "text"  # type: ignore[return-value]

    with pytest.raises(ResponseValidationError) as caught:
        client_of(app).get("/x")
    assert "in endpoint" in str(caught.value)
    assert "GET /x" in str(caught.value)


def test_injected_response_gives_status_and_headers() -> None:
    app = FastAPI()

    @app.get("/")
    def endpoint(response: ferroapi.Response) -> dict[str, int]:
        response.status_code = 418
        response.headers["x-a"] = "b"
        return {"n": 1}

    response = client_of(app).get("/")
    assert (response.status_code, response.headers["x-a"], response.json()) == (418, "b", {"n": 1})


@pytest.mark.parametrize("status", [204, 205, 304])
def test_status_without_body_sends_none(status: int) -> None:
    app = FastAPI()
    app.get("/", status_code=status)(lambda: None)
    response = client_of(app).get("/")
    assert (response.status_code, response.content) == (status, b"")


def test_dependency_that_swallows_the_exception_is_reported() -> None:
    async def swallowing() -> Any:
        with suppress(BaseException):
            yield

    app = FastAPI()

    @app.get("/", dependencies=[Depends(swallowing)])
    def endpoint() -> None:
        raise ValueError

    with pytest.raises(FastAPIError, match="Response not awaited"):
        client_of(app).get("/")


def test_json_response_class_receives_plain_data() -> None:
    class Sorted(JSONResponse):
        def render(self, content: Any) -> bytes:
            return json.dumps(content, sort_keys=True).encode()

    app = FastAPI(default_response_class=Sorted)
    app.get("/")(lambda: {"b": {1}, "a": 2})
    assert client_of(app).get("/").text == '{"a": 2, "b": [1]}'


# Websockets.


def test_websocket_solves_dependencies_and_refuses_what_does_not_validate() -> None:
    app = FastAPI()
    router = APIRouter(prefix="/r")

    @router.websocket("/{n}")
    async def endpoint(websocket: WebSocket, n: int, q: int = Depends(lambda n: n + "!")) -> None:
        await websocket.accept()
        await websocket.send_json([n, q])
        await websocket.close()

    app.include_router(router, prefix="/p")
    client = client_of(app)
    with client.websocket_connect("/p/r/1") as session:
        assert session.receive_json() == [1, "1!"]
    with pytest.raises(Exception) as caught, client.websocket_connect("/p/r/x"):
        pass
    assert getattr(caught.value, "code", None) == 1008


def test_url_path_for_finds_routes_by_name() -> None:
    app = FastAPI()
    router = APIRouter(routes=[Mount("/m", routes=[Route("/{x}", lambda request: None, name="inner")], name="outer")])
    app.include_router(router, prefix="/p")
    assert app.url_path_for("outer:inner", x="1") == "/p/m/1"
    with pytest.raises(NoMatchFound):
        app.url_path_for("missing")


# How often the application's own matching code is called.


def counting_application(framework: Any, calls: list[Any]) -> Any:
    """An application whose router and routes note each time they are asked whether they match."""

    class NotingRouter(framework.APIRouter):  # type: ignore[misc]
        def matches(self, scope: Any) -> Any:
            calls.append(("router", scope["path"]))
            return super().matches(scope)

    class NotingRoute(framework.routing.APIRoute):  # type: ignore[misc]
        def matches(self, scope: Any) -> Any:
            match, child_scope = super().matches(scope)
            calls.append(("route", scope["path"], match.name))
            return match, child_scope

    app = framework.FastAPI(openapi_url=None)
    router, inner = NotingRouter(prefix="/r", route_class=NotingRoute), NotingRouter()
    router.add_api_route("/x/{a}", lambda a: a, methods=["GET"])
    inner.add_api_route("/x/{a}", lambda a: a, methods=["POST"])
    router.include_router(inner, prefix="/q")
    app.include_router(router)
    app.router.add_api_route("/own", lambda: None, route_class_override=NotingRoute)
    app.add_api_route("/{rest:path}", lambda rest: rest, methods=["GET"])
    return app


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize("path", ["/r/x/1", "/r/q/x/1", "/r/q/x/1/", "/r/none", "/own", "/own/", "/elsewhere"])
def test_overridden_matches_is_called_as_often_as_by_fastapi(method: str, path: str) -> None:
    """It may count, log or draw lots: a request must not ask again what it has asked."""
    seen = []
    for framework in (fastapi, ferroapi):
        calls: list[Any] = []
        client = TestClient(counting_application(framework, calls))
        statuses = [client.request(method, path).status_code for _ in range(2)]
        seen.append((statuses, calls))
    assert seen[0] == seen[1]


def test_custom_convertor_converts_once_and_leaves_later_routes_native() -> None:
    class Month(Convertor[str]):
        regex = "[0-9]{4}-[0-9]{2}"

        def convert(self, value: str) -> str:
            converted.append(value)
            return value

        def to_string(self, value: str) -> str:
            return value

    converted: list[str] = []
    register_url_convertor("month_counted", Month())
    try:
        app = FastAPI(openapi_url=None)
        app.add_api_route("/{month:month_counted}", lambda month: month)
        app.add_api_route("/{other}", lambda other: other)
        client = client_of(app)
        assert client.get("/warm-up").json() == "warm-up"
        assert [client.get(path).json() for path in ("/2024-05", "/other")] == ["2024-05", "other"]
    finally:
        del CONVERTOR_TYPES["month_counted"]
    assert converted == ["2024-05"]
    assert [(row.path, row.mode) for row in app.explain()][1:] == [("/{other}", "native")]


# What no server and no careful application would do.


def test_scope_of_a_foreign_type_is_not_taken_for_a_request() -> None:
    ends = []
    for framework in (fastapi, ferroapi):
        app = framework.FastAPI(openapi_url=None)
        app.add_api_route("/{item}", lambda item: item, methods=["GET"])
        found = answers(app, [http_scope("/item") | {"type": "foreign"}] * 2)
        ends.append([(each.status, each.raised) for each in found])
    assert ends[1] == ends[0]


def test_status_code_that_is_no_number_fails_as_under_fastapi() -> None:
    ends = []
    for framework in (fastapi, ferroapi):
        app = framework.FastAPI(openapi_url=None)
        app.add_api_route("/", lambda: 1, status_code="201")
        ends.append([(each.status, each.raised) for each in answers(app, [http_scope("/")] * 2)])
    assert ends[1] == ends[0]
