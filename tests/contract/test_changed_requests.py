"""A `Request` of another class, or that a dependency has changed: what it says then is what the next ones are given."""

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Annotated, Any

import pytest
from pydantic import BaseModel
from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import Request
from starlette.testclient import TestClient

Change = Callable[[Any], object]


def of_class(**places: Any) -> Change:
    """Give a request a class that says something else."""

    def change(request: Any) -> None:
        own = {place: property(lambda self, value=value: value) for place, value in places.items()}
        request.__class__ = type("Own", (type(request),), own)

    return change


def asks_itself(request: Any) -> None:
    class Own(type(request)):  # type: ignore[misc]
        def __getattribute__(self, name: str) -> Any:
            return QueryParams("query=5") if name == "query_params" else super().__getattribute__(name)

    request.__class__ = Own


def append_after_reading(request: Any) -> None:
    assert request.headers["header"] == "1"
    request.scope["headers"].append((b"other", b"5"))


def replace_after_reading(request: Any) -> None:
    assert (request.headers["header"], request.query_params["query"]) == ("1", "1")
    request.scope.update(headers=[(b"header", b"5")], query_string=b"query=5")


CHANGES: dict[str, Change] = {
    "nothing": lambda request: request.headers,
    "reads everything": lambda request: (request.headers, request.query_params, request.cookies, request.path_params),
    "query string": lambda request: request.scope.update(query_string=b"query=5"),
    "query": lambda request: setattr(request, "_query_params", QueryParams("query=5")),
    "cookie": lambda request: request.cookies.update(cookie="5"),
    "cookies": lambda request: setattr(request, "_cookies", {"cookie": "5"}),
    "appended header": lambda request: request.scope["headers"].append((b"other", b"5")),
    "appended header after reading": append_after_reading,
    "list of headers": lambda request: request.scope.update(headers=[(b"header", b"5"), (b"cookie", b"cookie=5")]),
    "after reading": replace_after_reading,
    "copied headers": lambda request: MutableHeaders(scope=request.scope).update({"header": "5"}),
    "headers": lambda request: setattr(request, "_headers", Headers({"header": "5"})),
    "path parameter": lambda request: request.path_params.update(path="5"),
    "more path parameters": lambda request: request.path_params.update(more="5"),
    "no path parameter": lambda request: request.path_params.clear(),
    "path parameters": lambda request: request.scope.update(path_params={"path": "5"}),
    "invalid": lambda request: request.path_params.update(path="x"),
    "class with a query": of_class(query_params=QueryParams("query=5")),
    "class with headers": of_class(headers=Headers({"header": "5"})),
    "class with cookies": of_class(cookies={"cookie": "5"}),
    "class with path parameters": of_class(path_params={"path": "5"}),
    "class with a state": of_class(state="5"),
    "class that asks itself": asks_itself,
}


def build(framework: ModuleType, place: str, change: Change) -> Any:
    """Build an application whose request is changed at this place, and whose other code reads it."""
    routing = importlib.import_module(f"{framework.__name__}.routing")
    app, depends, header, cookie = framework.FastAPI(), framework.Depends, framework.Header(), framework.Cookie()
    scheme = importlib.import_module(f"{framework.__name__}.security").APIKeyHeader(name="other", auto_error=False)

    class Handled(routing.APIRoute):  # type: ignore[misc, name-defined]
        def get_route_handler(self) -> Any:
            handler = super().get_route_handler()

            async def handle(request: Request) -> Any:
                change(request)
                return await handler(request)

            return handle

    async def changes(request: Request) -> None:
        change(request)

    def changes_in_a_thread(request: Request) -> None:
        change(request)

    async def reads(
        query: int = 0,
        header: Annotated[str, header] = "",
        cookie: Annotated[str, cookie] = "",
        other: Annotated[str, header] = "",
    ) -> list[Any]:
        return [query, header, cookie, other]

    def reads_in_a_thread(query: int = 0, other: Annotated[str, header] = "") -> list[Any]:
        return [query, other]

    async def around(_: Annotated[None, depends(changes)], read: Annotated[Any, depends(reads)]) -> Any:
        return read

    changing = {"dependency": changes, "thread": changes_in_a_thread, "below a dependency": around}.get(place)
    router = routing.APIRouter(
        route_class=Handled if place == "handler" else routing.APIRoute,
        dependencies=[depends(reads), *([depends(changing)] if changing else [])],
    )

    @router.get("/{path}")
    async def endpoint(
        path: int,
        read: Annotated[Any, depends(reads)],
        again: Annotated[Any, depends(reads, use_cache=False)],
        in_a_thread: Annotated[Any, depends(reads_in_a_thread)],
        key: Annotated[Any, depends(scheme)],
        query: int = 0,
        header: Annotated[str, header] = "",
    ) -> Any:
        return path, read, again, in_a_thread, key, query, header

    async def changes_socket(websocket: framework.WebSocket) -> None:  # type: ignore[name-defined]
        if place == "websocket":
            change(websocket)

    @router.websocket("/{path}")
    async def socket(
        websocket: framework.WebSocket,  # type: ignore[name-defined]
        path: int,
        _: Annotated[None, depends(changes_socket)],
        query: int = 0,
        header: Annotated[str, header] = "",
        cookie: Annotated[str, cookie] = "",
        other: Annotated[str, header] = "",
    ) -> None:
        await websocket.accept()
        await websocket.send_json([path, query, header, cookie, other])

    app.include_router(router)
    return app


def answers(framework: str, place: str, change: Change) -> Any:
    client = TestClient(build(importlib.import_module(framework), place, change))
    headers = {"header": "1", "cookie": "cookie=1"}
    if place != "websocket":
        response = client.get("/1?query=1", headers=headers)
        return response.status_code, response.json()
    try:
        with client.websocket_connect("/1?query=1", headers=headers) as session:
            return session.receive_json()
    except Exception as error:
        return repr(error)


@pytest.mark.parametrize("place", ["handler", "dependency", "thread", "below a dependency", "websocket"])
@pytest.mark.parametrize("change", CHANGES)
def test_what_a_request_says_is_what_others_are_given(place: str, change: str) -> None:
    if place == "websocket":
        # Of another class it would be no `WebSocket` that both frameworks could open.
        change = "query" if change.startswith("class") else change
    assert answers("ferroapi", place, CHANGES[change]) == answers("fastapi", place, CHANGES[change])


class Said(BaseModel):
    query: int = 0
    header: str = ""
    cookie: str = ""


SOURCES = {"query": "Query", "header": "Header", "cookie": "Cookie"}


@pytest.mark.parametrize("source", [*SOURCES, "request"])
@pytest.mark.parametrize("change", [*CHANGES, "scope"])
def test_models_and_the_request_of_an_endpoint_say_the_same(source: str, change: str) -> None:
    def answer(framework: Any) -> Any:
        def changes(request: framework.Request) -> None:
            if change == "scope":
                request.scope = request.scope | {"query_string": b"query=5", "headers": [(b"header", b"5")]}
            else:
                CHANGES[change](request)

        app = framework.FastAPI(dependencies=[framework.Depends(changes)])

        if source == "request":

            @app.get("/{path}")
            async def read_request(request: framework.Request) -> list[Any]:
                return [dict(request.query_params), request.headers.items(), request.cookies, request.path_params]
        else:

            @app.get("/{path}")
            def read_model(said: Annotated[Said, getattr(framework, SOURCES[source])()]) -> Said:
                return said

        response = TestClient(app).get("/1?query=1", headers={"header": "1", "cookie": "cookie=1"})
        return response.status_code, response.json()

    ours, theirs = (answer(importlib.import_module(name)) for name in ("ferroapi", "fastapi"))
    assert ours == theirs


@pytest.mark.parametrize(("framework", "said"), [("fastapi", "1"), ("ferroapi", "5")])
def test_request_that_was_not_asked_before_says_what_is_in_its_scope(framework: str, said: str) -> None:
    """See docs/differences.md."""
    app = importlib.import_module(framework).FastAPI()

    @app.get("/")
    async def endpoint(request: Request, query: int) -> list[Any]:
        CHANGES["query string"](request)
        CHANGES["list of headers"](request)
        return [query, request.query_params["query"], request.headers["header"]]

    assert TestClient(app).get("/?query=1", headers={"header": "1"}).json() == [1, said, said]


PROPERTIES = ("method", "headers", "cookies", "query_params", "path_params", "url", "client", "state")
METHODS = ("body", "json", "form", "stream")
MULTIPART = b'--x\r\ncontent-disposition: form-data; name="a"; filename="f"\r\n\r\n1\r\n--x--\r\n'
BODIES = {
    "json": (b'{"a": 1}', "application/json"),
    "no json": (b'{"a": ', "application/json"),
    "other json": (b'{"a": 1}', "application/vnd+json; charset=x"),
    "no type": (b'{"a": 1}', None),
    "empty": (b"", "application/json"),
    "text": (b"abc", "text/plain"),
    "form": (b"a=1", "application/x-www-form-urlencoded"),
    "other form": (b"b=1", "application/x-www-form-urlencoded"),
    "multipart": (MULTIPART, "multipart/form-data; boundary=x"),
    "no boundary": (MULTIPART, "multipart/form-data"),
}


def recording(log: list[str], names: tuple[str, ...]) -> type[Request]:
    """Return a class of requests that notes which of these it is asked for."""

    def noted(name: str) -> Any:
        if name in PROPERTIES:
            return property(lambda self: (log.append(name), getattr(super(Recording, self), name))[1])
        return lambda self, **options: (
            log.append(f"{name}({sorted(options)})"),
            getattr(super(Recording, self), name)(**options),
        )[1]

    class Recording(Request):
        pass

    for name in names:
        setattr(Recording, name, noted(name))
    return Recording


def reads_of(
    framework: str, place: str, names: tuple[str, ...], body: str, monkeypatch: pytest.MonkeyPatch
) -> list[Any]:
    """Return what is asked of a request of another class for each kind of endpoint, and the answers."""
    fastapi, routing = importlib.import_module(framework), importlib.import_module(f"{framework}.routing")
    log: list[str] = []
    recorded = recording(log, names)

    class Handled(routing.APIRoute):  # type: ignore[misc, name-defined]
        def get_route_handler(self) -> Any:
            handler = super().get_route_handler()

            async def handle(request: Request) -> Any:
                return await handler(recorded(request.scope, request.receive))

            return handle

    async def nothing() -> int:
        return 1

    async def reads_json(a: Annotated[dict[str, int], fastapi.Body()]) -> Any:
        return a

    async def reads_field(a: Annotated[int, fastapi.Body(embed=True)]) -> Any:
        return a

    def reads_bytes(a: Annotated[bytes, fastapi.Body()]) -> Any:
        return a

    async def reads_form(a: Annotated[int, fastapi.Form()]) -> Any:
        return a

    async def reads_file(a: fastapi.UploadFile) -> Any:  # type: ignore[name-defined]
        return a.filename

    async def asks(request: Request, q: int = 0, c: Annotated[str, fastapi.Cookie()] = "") -> Any:
        return (await request.body()).decode(), q, c

    async def streams(a: Annotated[Any, fastapi.Body()]) -> Any:
        yield a

    app = fastapi.FastAPI()
    with monkeypatch.context() as patch:
        if place == "routing":
            patch.setattr(routing, "Request", recorded)
        router = routing.APIRouter(route_class=Handled if place == "handler" else routing.APIRoute)
        endpoints = (nothing, reads_json, reads_field, reads_bytes, reads_form, reads_file, asks, streams)
        for endpoint in endpoints:
            router.post(f"/{endpoint.__name__}", response_model=None)(endpoint)
        app.include_router(router)
        content, content_type = BODIES[body]
        headers = {"cookie": "c=1", **({"content-type": content_type} if content_type else {})}
        seen: list[Any] = []
        for endpoint in endpoints:
            log.clear()
            response = TestClient(app, raise_server_exceptions=False).post(
                f"/{endpoint.__name__}?q=1", content=content, headers=headers
            )
            seen.append((endpoint.__name__, list(log), response.status_code, response.content))
        return seen


@pytest.mark.parametrize("place", ["handler", "routing"])
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("names", [(*PROPERTIES, *METHODS), ("headers",), METHODS, ("method",)], ids="-".join)
def test_request_of_another_class_is_asked_as_often_and_in_the_same_order(
    place: str, body: str, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = reads_of("fastapi", place, names, body, monkeypatch)
    assert reads_of("ferroapi", place, names, body, monkeypatch) == theirs
