"""The route table answers as the linear scan does, and as FastAPI's own router, whatever the route list."""

import importlib
import string
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, note
from hypothesis import strategies as st
from starlette.convertors import CONVERTOR_TYPES, Convertor, register_url_convertor
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Match, Router

from ferroapi._routing import table
from ferroapi._routing.matching import first_match

from .asgi import answers, http_scope, websocket_scope

FRAMEWORKS = ("fastapi", "ferroapi")

pytestmark = pytest.mark.timeout(3600)  # Each example builds two applications: minutes on a busy machine.


class HexConvertor(Convertor[int]):
    """A convertor that only Starlette's regular expressions know."""

    regex = "[0-9a-f]+"

    def convert(self, value: str) -> int:
        return int(value, 16)

    def to_string(self, value: int) -> str:
        return f"{value:x}"


@pytest.fixture(scope="module", autouse=True)
def _hex_convertor() -> Any:
    register_url_convertor("hex", HexConvertor())
    yield
    del CONVERTOR_TYPES["hex"]


# A route list as data.


@dataclass(frozen=True)
class Place:
    """A route, a mount, a host, or a router with the places in it."""

    kind: str
    path: str
    methods: tuple[str, ...] = ("GET",)
    inside: "tuple[Place, ...]" = ()


def build(framework: str, places: tuple[Place, ...]) -> Any:
    """An application with these places; each endpoint answers where it is and what it was called with."""
    fastapi = importlib.import_module(framework)
    app = fastapi.FastAPI(openapi_url=None)
    fill(fastapi, app.router, places, "")
    return app


def fill(fastapi: Any, router: Any, places: tuple[Place, ...], name: str) -> None:
    for number, place in enumerate(places):
        add(fastapi, router, place, f"{name}.{number}")


def add(fastapi: Any, router: Any, place: Place, name: str) -> None:
    async def endpoint(request: fastapi.Request) -> Any:
        scope = request.scope
        known = sorted({"route", "endpoint", "router", "app"} & scope.keys())
        text = repr((name, scope["path_params"], scope["root_path"], scope["path"], known))
        return fastapi.responses.PlainTextResponse(text)

    async def socket(websocket: fastapi.WebSocket) -> None:
        await websocket.accept(headers=[(b"x-name", f"{name} {websocket.path_params}".encode())])

    if place.kind == "operation":
        router.add_api_route(place.path, endpoint, methods=list(place.methods), name=name)
    elif place.kind == "skittish":
        route_class = skittish_route(fastapi)
        router.add_api_route(
            place.path, endpoint, methods=list(place.methods), name=name, route_class_override=route_class
        )
    elif place.kind == "plain":
        router.add_route(place.path, endpoint, methods=list(place.methods), name=name)
    elif place.kind == "websocket":
        router.add_api_websocket_route(place.path, socket)
    elif place.kind == "mount":
        router.mount(place.path.rstrip("/"), inner(fastapi, place, name))
    elif place.kind == "host":
        router.routes.append(Host(place.path, inner(fastapi, place, name)))
    elif place.kind == "router":
        included = fastapi.APIRouter()
        fill(fastapi, included, place.inside, name)
        prefix = place.path.rstrip("/")
        if prefix or all(each.path for each in place.inside):
            router.include_router(included, prefix=prefix)


def inner(fastapi: Any, place: Place, name: str) -> Any:
    """The application inside a mount or a host: Starlette's own router, or one of the framework."""
    router = fastapi.APIRouter() if place.inside else Router()
    fill(fastapi, router, place.inside, name)
    if not place.inside:
        router.add_route(
            "/{rest:path}", lambda request: fastapi.responses.PlainTextResponse(f"{name} {request.path_params}")
        )
    return router


def skittish_route(fastapi: Any) -> Any:
    """A route class that matches only requests with a header, by code of its own."""

    class Skittish(fastapi.routing.APIRoute):
        def matches(self, scope: Any) -> Any:
            match, child_scope = super().matches(scope)
            return (match, child_scope) if any(name == b"x-calm" for name, _ in scope["headers"]) else (Match.NONE, {})

    return Skittish


# Strategies.

_PARAMETERS = [
    "{a}",
    "{a:str}",
    "{a:int}",
    "{a:float}",
    "{a:uuid}",
    "{a:hex}",
    "x{a}",
    "{a:int}.json",
    "{a}-{b}",
    "{a}{b:int}",
    "v{a:float}{b}",
]
_SEGMENTS = st.sampled_from(["a", "b", "items", "1", "a.b", "é", "A", ""]) | st.sampled_from(_PARAMETERS)
_TAILS = st.sampled_from(["", "", "", "/", "/{p:path}", "/{p:path}/end", "/{p:path}.txt"])


@st.composite
def templates(draw: st.DrawFn) -> str:
    segments = draw(st.lists(_SEGMENTS, min_size=1, max_size=3))
    numbered = [
        each.replace("{a", f"{{a{number}").replace("{b", f"{{b{number}") for number, each in enumerate(segments)
    ]
    return "/" + "/".join(numbered) + draw(_TAILS)


_METHODS = st.lists(
    st.sampled_from(["GET", "POST", "HEAD", "PUT", "get", "PURGE"]), min_size=1, max_size=2, unique=True
).map(tuple)
_LEAF_KINDS = st.sampled_from(["operation", "operation", "operation", "plain", "websocket", "skittish"])
_LEAVES = st.builds(Place, _LEAF_KINDS, templates(), _METHODS)
_PREFIXES = st.sampled_from(["", "/a", "/items", "/{o}", "/{o:int}", "/a/b"])


@st.composite
def _around(draw: st.DrawFn, leaves: st.SearchStrategy[Place]) -> Place:
    kind = draw(st.sampled_from(["router", "router", "mount", "host"]))
    path = draw(st.sampled_from(["a.test", "{sub}.test"])) if kind == "host" else draw(_PREFIXES)
    inside = tuple(draw(st.lists(leaves, max_size=3)))
    depth = 1 + len([each for each in walk(inside) if "{o" in each.path])
    return Place(kind, path.replace("{o", f"{{o{depth}"), (), inside)


def walk(places: tuple[Place, ...]) -> Iterator[Place]:
    for place in places:
        yield place
        yield from walk(place.inside)


PLACES = st.recursive(_LEAVES, _around, max_leaves=6)
EDITS = st.lists(st.sampled_from(["reverse", "pop", "rotate", "swap", "double", "slice"]), max_size=3)
_WORDS = ["a", "b", "items", "1", "a.b", "é", "A", "", "x1", "12.json", "-1", "1.5", "0", "ff", "a-b", "a-b-c",
    "v1.5z", "end", "n\n",
          "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "q.txt", " ", "٣"]  # fmt: skip
PATHS = st.lists(st.sampled_from(_WORDS) | st.text(string.printable, max_size=3), max_size=5).map(
    lambda words: "/" + "/".join(words)
)
HEADERS = st.sampled_from(
    [(), ((b"host", b"a.test"),), ((b"host", b"b.test:80"), (b"x-calm", b"1")), ((b"x-calm", b"1"),)]
)
HTTP = st.builds(
    http_scope, PATHS, st.sampled_from(["GET", "POST", "HEAD", "PUT", "get", "PURGE", "OPTIONS"]), headers=HEADERS
)
CONNECTIONS = HTTP | HTTP | HTTP | st.builds(websocket_scope, PATHS, HEADERS)


def edit(routes: list[Any], edits: list[str]) -> None:
    """Edit a route list in place, as applications do it."""
    for each in edits:
        if each == "reverse":
            routes.reverse()
        elif each == "pop" and routes:
            routes.pop()
        elif each == "rotate" and routes:
            routes.insert(0, routes.pop())
        elif each == "swap" and len(routes) > 1:
            routes[0], routes[1] = routes[1], routes[0]
        elif each == "double":
            routes += routes[:1]
        elif each == "slice":
            del routes[1:2]


def is_decided_difference(scope: dict[str, Any]) -> bool:
    """Whether a path is one of those that end in a newline, which `$` in Starlette's expressions passes over."""
    return "\n" in scope["path"]


@given(st.lists(PLACES, max_size=6).map(tuple), EDITS, st.lists(CONNECTIONS, min_size=1, max_size=8), st.booleans())
def test_table_answers_as_fastapi(
    places: tuple[Place, ...], edits: list[str], connections: list[dict[str, Any]], is_list_of_their_own: bool
) -> None:
    connections = [scope for scope in connections if not is_decided_difference(scope)]
    found = {}
    for framework in FRAMEWORKS:
        app = build(framework, places)
        routes = app.router.routes
        if is_list_of_their_own:
            # It tells nobody of the edits.
            routes = app.router.routes = list(routes)
        before = answers(app, [dict(scope) for scope in connections])
        edit(routes, edits)
        assert app.router.routes is routes
        found[framework] = [*before, *answers(app, [dict(scope) for scope in connections])]
    for number, (theirs, ours) in enumerate(zip(found["fastapi"], found["ferroapi"], strict=True)):
        note(f"{number}: {connections[number % len(connections)]}")
        assert ours == theirs


@given(st.lists(PLACES, max_size=6).map(tuple), EDITS, st.lists(CONNECTIONS, min_size=1, max_size=8))
def test_table_selects_the_route_of_the_linear_scan(
    places: tuple[Place, ...], edits: list[str], connections: list[dict[str, Any]]
) -> None:
    router = build("ferroapi", places).router
    edit(router.routes, edits)
    for scope in connections:
        if is_decided_difference(scope):
            continue
        expected = first_match(router.routes, dict(scope))
        selected = router._current_table().select(dict(scope))
        assert (selected is None) == (expected is None)
        if selected is not None and expected is not None:
            chain = selected.candidate.include_path.chain
            outermost = chain[0] if chain else selected.candidate.candidate
            assert outermost is expected.candidate
            assert selected.match == expected.match
            if not chain:
                assert selected.child_scope.get("path_params") == expected.child_scope.get("path_params")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_routes_that_cannot_be_compiled_are_met_by_the_middleware(framework: str) -> None:
    """A parameter named twice through an include is found out by a request: 500, and the server sees the error."""
    twice = (Place("router", "/{o}", (), (Place("router", "/{o}", (), (Place("operation", "/a"),)),)),)
    answer = answers(build(framework, twice), [http_scope("/x")])[0]
    assert (answer.status, answer.raised) == (500, "ValueError: Duplicated param name o at path /{o}/{o}/a")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_list_of_routes_may_belong_to_two_applications(framework: str) -> None:
    first, second = build(framework, ()), build(framework, ())
    second.router.routes = first.router.routes
    answered = []
    for app in (first, second):
        app.add_api_route(f"/{len(first.routes)}", lambda: None)
        answered += [answers(each, [http_scope(first.routes[-1].path)])[0].status for each in (first, second)]
    second.router.routes = tuple(first.routes)
    first.routes.clear()
    answered += [answers(each, [http_scope(second.routes[-1].path)])[0].status for each in (first, second)]
    assert answered == [200, 200, 200, 200, 404, 200]


def test_edit_is_not_lost_where_the_table_could_not_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    app = build("ferroapi", (Place("operation", "/a"),))
    before = answers(app, [http_scope("/a")])[0]
    assert before.status == 200

    def fail(*arguments: Any) -> Any:
        raise RuntimeError("no table")

    with monkeypatch.context() as patch:
        patch.setattr(table, "entry_of", fail)
        app.routes[-1].app = PlainTextResponse("after")
        failed = answers(app, [http_scope("/a")] * 2)
    assert [each.raised for each in failed] == ["RuntimeError: no table"] * 2
    assert answers(app, [http_scope("/a")])[0].body == b"after"
