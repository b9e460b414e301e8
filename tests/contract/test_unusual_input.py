"""Scopes and messages of types that no server uses, but adapters and middleware may, mean what they mean to FastAPI.

What differs: `docs/differences.md` has a row for headers that no one reads.
"""

import array
import asyncio
import collections
import importlib
import types
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

FRAMEWORKS = ("fastapi", "ferroapi")
MODES = ("native", "behind middleware", "handler mode")


class Text(str):
    """A text of a class of its own."""


class Bytes(bytes):
    """Bytes of a class of their own."""


def build(framework: str, mode: str) -> Any:
    api = importlib.import_module(framework)
    routing: Any = importlib.import_module(f"{framework}.routing")
    app = api.FastAPI(openapi_url=None)

    class Handled(routing.APIRoute):  # type: ignore[misc]
        def get_route_handler(self) -> Any:
            handler = super().get_route_handler()

            async def handle(request: Any) -> Any:
                return await handler(request)

            return handle

    if mode == "handler mode":
        app.router.route_class = Handled
    if mode == "behind middleware":

        @app.middleware("http")
        async def through(request: Any, call_next: Any) -> Any:
            return await call_next(request)

    @app.get("/plain")
    async def plain() -> str:
        return "plain"

    @app.get("/values")
    async def values(
        x: int = 0,
        h: Annotated[str | None, api.Header()] = None,
        hs: Annotated[list[str] | None, api.Header(alias="h")] = None,
        c: Annotated[str | None, api.Cookie()] = None,
    ) -> Any:
        return [x, h, hs, c]

    @app.get("/url")
    async def url(request: api.Request, x: int = 0) -> Any:
        return [str(request.query_params), dict(request.headers), request.cookies, x]

    @app.get("/key")
    async def key(
        key: Annotated[Any, api.Depends(importlib.import_module(f"{framework}.security").HTTPBearer())],
    ) -> Any:
        return key.credentials

    @app.post("/json")
    async def read_json(body: dict[str, int]) -> Any:
        return body

    @app.post("/raw")
    async def read_raw(body: Annotated[bytes, api.Body()], request: api.Request) -> Any:
        return [body.decode("latin-1"), (await request.body()).decode("latin-1")]

    @app.post("/form")
    async def read_form(a: Annotated[str, api.Form()], b: Annotated[list[str] | None, api.Form()] = None) -> Any:
        return [a, b]

    @app.post("/file")
    async def read_file(a: Annotated[bytes, api.File()], b: api.UploadFile | None = None) -> Any:
        return [a.decode("latin-1"), b and (b.filename, (await b.read()).decode("latin-1"))]

    @app.websocket("/socket")
    async def socket(socket: api.WebSocket, x: int = 0) -> None:
        await socket.accept()
        await socket.send_text(str(x))
        await socket.close()

    return app


APPS = {(framework, mode): build(framework, mode) for framework in FRAMEWORKS for mode in MODES}


async def ask(app: Any, scope: Any, messages: list[Any]) -> list[Any]:
    """Everything that an application sends for a connection, and what it raises."""
    left = iter(messages)
    seen: list[Any] = []

    async def receive() -> Any:
        return next(left, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        seen.append(sorted(message.items()))

    try:
        await app(scope, receive, send)
    except Exception as error:
        seen.append(f"{type(error).__name__}: {error}")
    return seen


def compare(make_scope: Callable[[], Any], make_messages: Callable[[], list[Any]], mode: str) -> None:
    """Assert that both frameworks say the same, each to a scope and messages of its own."""

    async def outcome(app: Any) -> list[Any]:
        await ask(app, scope_of("/nowhere"), [])
        return await ask(app, make_scope(), make_messages())

    found, expected = (asyncio.run(outcome(APPS[framework, mode])) for framework in ("ferroapi", "fastapi"))
    assert found == expected


def scope_of(path: str, method: str = "GET", headers: Any = (), query_string: Any = b"", kind: str = "http") -> Any:
    return {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query_string,
        "root_path": "",
        "scheme": "http",
        "headers": headers,
        "client": ("127.0.0.1", 5000),
        "server": ("testserver", 80),
    }


BODIES: dict[str, list[bytes]] = {
    "/json": [b'{"a": 1}', b"", b"[1]", b'{"a": "b"}', b'{"a'],
    "/raw": [b'{"a": 1}', b"", b"text"],
    "/form": [b"a=1&b=2&b=3", b"", b"a=%ff&&=", b"b=1"],
    "/file": [
        b'--B\r\nContent-Disposition: form-data; name="a"; filename="n"\r\n\r\n1\r\n--B--\r\n',
        b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--B\r\n'
        b'Content-Disposition: form-data; name="b"; filename="f"\r\n\r\nfile\r\n--B--',
        b"",
    ],
}
TYPES: dict[str, list[bytes]] = {
    "/json": [b"application/json", b"application/x+json; a=b", b"text/plain", b""],
    "/raw": [b"application/octet-stream", b"application/json"],
    "/form": [b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=B", b"application/json"],
    "/file": [b"multipart/form-data; boundary=B", b"application/x-www-form-urlencoded"],
}
KINDS: list[Callable[[bytes], Any]] = [
    bytes,
    bytearray,
    memoryview,
    Bytes,
    lambda piece: array.array("B", piece),
    lambda piece: piece or None,
    lambda piece: piece.decode() or piece,
    lambda piece: piece or 0,
]
CONTAINERS: list[Callable[[dict[str, Any]], Any]] = [
    dict,
    types.MappingProxyType,
    collections.OrderedDict,
    collections.UserDict,
    lambda message: list(message.items()),
    lambda message: None,
]
ODD = [
    {"type": "http.request", "body": None, "more_body": True},
    {"type": "http.request", "more_body": True},
    {"type": "http.request", "body": b"", "more_body": 1},
    {"type": "http.request", "body": "", "more_body": True},
    {"type": "http.request", "body": 0, "more_body": "yes"},
    {"type": "http.trailers"},
    {"type": b"http.request", "body": b"a=1"},
    {"type": None},
    {"body": b"a=1"},
    {"type": "http.disconnect"},
    {"type": Text("http.request"), "body": b"", "more_body": True},
]


@given(st.data())
def test_messages_of_any_type_mean_what_they_mean_to_fastapi(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(BODIES)))
    body = data.draw(st.sampled_from(BODIES[path]))
    content_type = data.draw(st.sampled_from(TYPES[path]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=3)))
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    usual = st.sampled_from(KINDS[:1] * 3 + KINDS)
    containers = st.sampled_from(CONTAINERS[:1] * 6 + CONTAINERS)
    recipes: list[tuple[Any, Any, dict[str, Any]]] = []
    for index, piece in enumerate(pieces):
        if data.draw(st.integers(0, 3)) == 0:
            recipes.append((dict, None, data.draw(st.sampled_from(ODD))))
        more = index + 1 < len(pieces)
        message: dict[str, Any] = {"type": "http.request", "body": piece, "more_body": more}
        if not more and data.draw(st.booleans()):
            del message["more_body"]
        recipes.append((data.draw(containers), data.draw(usual), message))

    def messages() -> list[Any]:
        made = []
        for container, kind, message in recipes:
            own = dict(message) if kind is None else {**message, "body": kind(message["body"])}
            made.append(container(own))
        return made

    headers = [(b"content-type", content_type)]
    compare(lambda: scope_of(path, "POST", list(headers)), messages, data.draw(st.sampled_from(MODES)))


NAMES = [b"h", b"cookie", b"authorization", b"content-type", b"x", "h", b"H"]
VALUES = [b"1", b"c=2", b"Bearer token", b"application/json", b"\xff", "1", None]
HEADER_KINDS: list[Callable[[Any], Any]] = [lambda value: value] * 4 + [
    lambda value: bytearray(value) if isinstance(value, bytes) else value,
    lambda value: memoryview(value) if isinstance(value, bytes) else value,
    lambda value: Bytes(value) if isinstance(value, bytes) else value,
]
PAIRS: list[Callable[[tuple[Any, Any]], Any]] = [
    *[tuple] * 4,
    list,
    collections.namedtuple("Pair", "name value")._make,
]
LISTS: list[Callable[[list[Any]], Any]] = [list, list, list, tuple, iter, collections.deque]
QUERIES: list[Callable[[], Any]] = [
    lambda: b"x=1",
    lambda: b"",
    lambda: b"x=%31&x=2",
    lambda: "x=1",
    lambda: bytearray(b"x=1"),
    lambda: memoryview(b"x=1"),
    lambda: Bytes(b"x=1"),
    lambda: None,
    lambda: [("x", "1")],
    lambda: {"x": 1},
]


@given(st.data())
def test_scopes_of_any_type_mean_what_they_mean_to_fastapi(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(["/values", "/url", "/key", "/json", "/socket", "/plain"]))
    pairs = data.draw(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=4))
    kinds = [(data.draw(st.sampled_from(HEADER_KINDS)), data.draw(st.sampled_from(HEADER_KINDS))) for _ in pairs]
    shapes = [data.draw(st.sampled_from(PAIRS)) for _ in pairs]
    container, query = data.draw(st.sampled_from(LISTS)), data.draw(st.sampled_from(QUERIES[:1] * 5 + QUERIES))
    absent = data.draw(st.sampled_from([None] * 8 + ["query_string", "headers", "root_path", "client"]))
    # Decided: FastAPI reads the cookies of every request, and fails by a value that nobody wants.
    if path != "/values":
        pairs = [(name, value if isinstance(value, bytes) else b"1") for name, value in pairs]
        kinds = [(to_name, to_value if to_value is not HEADER_KINDS[5] else bytes) for to_name, to_value in kinds]

    def scope() -> Any:
        own = [
            shape((to_name(name), to_value(value)))
            for (name, value), (to_name, to_value), shape in zip(pairs, kinds, shapes, strict=True)
        ]
        kind, method = ("websocket", "GET") if path == "/socket" else ("http", "POST" if path == "/json" else "GET")
        made = scope_of(path, method, container(own), query(), kind)
        made.pop(absent, None)
        return made

    message = {"type": "websocket.connect"} if path == "/socket" else {"type": "http.request", "body": b'{"a": 1}'}
    mode = "native" if path == "/socket" else data.draw(st.sampled_from(MODES))
    compare(scope, lambda: [dict(message)], mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("headers", [[(b"x", b"1", b"2")], [(b"y",)], [None], [(b"cookie", "c=1")]])
def test_headers_that_are_no_pairs_are_looked_at_where_they_are_read(headers: list[Any], mode: str) -> None:
    async def first(framework: str, path: str) -> Any:
        app = APPS[framework, mode]
        await ask(app, scope_of("/nowhere"), [])
        return (await ask(app, scope_of(path, headers=list(headers)), []))[0]

    for path in ("/values", "/url"):
        assert ("status", 500) in asyncio.run(first("fastapi", path))
    assert ("status", 500) in asyncio.run(first("ferroapi", "/values"))
    assert ("status", 500) in asyncio.run(first("fastapi", "/plain"))
    if mode == "native":
        assert ("status", 200) in asyncio.run(first("ferroapi", "/plain"))
