"""Strategies: functions, operations and whole applications of every kind that can be built."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse

from ..drawn import Application, Dependence, Function, Operation, Special
from ..drawn.results import RESULTS
from .parameters import parameters
from .sockets import socket_endpoints
from .streams import streamed
from .surroundings import surrounded
from .values import now_and_then

_NAMES = ["a", "b", "c", "limit", "item", "some_name", "tags"]


@st.composite
def functions(
    draw: st.DrawFn,
    name: str,
    kinds: list[str],
    known: int,
    path_names: list[str],
    features: frozenset[str],
) -> Function:
    """A function that takes up to three parameters, and dependencies of those that are known."""
    names = draw(st.lists(st.sampled_from(_NAMES), unique=True, max_size=3))
    allow_body = not name.startswith("dependency") or now_and_then(draw, times=4)
    files = "files" in features
    taken: list[Any] = [draw(parameters(each, allow_body=allow_body, files=files)) for each in names]
    taken += [draw(parameters(each, in_path=True)) for each in path_names if draw(st.booleans())]
    if known:
        for place in range(draw(st.integers(0, 2))):
            taken.append(
                Dependence(
                    f"needs_{place}",
                    draw(st.integers(0, known - 1)),
                    use_cache=draw(st.sampled_from([True, True, False])),
                    scope=draw(st.sampled_from([None, None, "function", "request"])),
                    scopes=draw(st.sampled_from([None, None, ("read",), ("read", "write")])),
                )
            )
    kinds_of_special = ["request", "connection", "response", "background", "scopes"]
    for kind in (
        draw(st.lists(st.sampled_from(kinds_of_special), unique=True, max_size=2)) if draw(st.booleans()) else []
    ):
        taken.append(Special(f"the_{kind}", kind))
    does = "returns"
    if "simple" not in features and now_and_then(draw, times=3):
        does = draw(
            st.sampled_from(
                [
                    "raises http",
                    "raises value",
                    "raises custom",
                    "raises validation",
                    "status",
                    "background",
                    "suspends",
                    "reads",
                    "swallows",
                    "transforms",
                    "after: raises http",
                    "after: raises value",
                    "after: raises custom",
                ]
            )
        )
    return Function(name, draw(st.sampled_from(kinds)), tuple(draw(st.permutations(taken))), does)


_DEPENDENCY_KINDS = ["async", "sync", "class", "async callable", "async generator", "generator"]
_PATHS = ["/plain", "/of/{p}", "/of/{p:int}", "/in/{p}/{q}", "/deep/{p:path}", "/f/{p:float}", "/u/{p:uuid}"]
_RESPONSE_OPTIONS: list[tuple[tuple[str, Any], ...]] = [
    (),
    (),
    (("status_code", 201),),
    (("status_code", 204),),
    (("status_code", 205),),
    (("status_code", 304),),
    (("response_class", PlainTextResponse),),
    (("response_class", HTMLResponse),),
    (("response_class", JSONResponse),),
    (("response_model", None),),
]
_RESPONSE_MODELS = ["item", "aliased", "list of items", "dict", "point", "any", "str", "item or none"]
_MODEL_OPTIONS: list[tuple[tuple[str, Any], ...]] = [
    (),
    (),
    (("response_model_exclude_unset", True),),
    (("response_model_exclude_defaults", True),),
    (("response_model_exclude_none", True),),
    (("response_model_include", {"name"}),),
    (("response_model_exclude", {"price"}),),
    (("response_model_by_alias", False),),
    (("status_code", 201), ("response_class", JSONResponse)),
]


@st.composite
def operations(draw: st.DrawFn, number: int, known: int, features: frozenset[str]) -> Operation:
    """An operation; `WEBSOCKET` is a method among others."""
    path = draw(st.sampled_from(_PATHS)) + (f"/{number}" if draw(st.booleans()) else "")
    path_names = [part[1:].split(":")[0].split("}")[0] for part in path.split("/") if part.startswith("{")]
    endpoint = draw(functions(f"endpoint_{number}", ["async", "sync"], known, path_names, features))
    options: tuple[tuple[str, Any], ...] = ()
    if "simple" not in features:
        options = draw(st.sampled_from(_RESPONSE_OPTIONS))
        endpoint = replace(endpoint, result=draw(st.sampled_from([*["values"] * 6, *RESULTS])))
        if draw(st.booleans()):
            model = draw(
                st.sampled_from(["item", "aliased", "list of items", "dict", "point", "any", "str", "item or none"])
            )
            options = (("response_model", model), *draw(st.sampled_from(_MODEL_OPTIONS)))
    method = draw(st.sampled_from(["GET", "POST", "POST", "PUT", "DELETE", "HEAD"]))
    dependencies = draw(st.lists(st.integers(0, known - 1), max_size=2)) if known else []
    operation = Operation(path, method, endpoint, options, tuple(dependencies))
    if "sockets" in features and not now_and_then(draw, times=4):
        return replace(operation, method="WEBSOCKET", options=(), endpoint=draw(socket_endpoints(endpoint)))
    if "streams" in features and not now_and_then(draw, times=4):
        return draw(streamed(operation))
    return operation


_SCHEMES = ["bearer", "basic", "key", "key cookie", "key query", "password"]


@st.composite
def applications(draw: st.DrawFn, *named: str) -> Application:
    """A whole application. A `simple` one has no generators, routers, handlers or middleware, and raises nothing.

    Other features are `files`, `streams`, `sockets` and `surroundings`; most of the application is about those named.
    """
    features = frozenset(named)
    kinds = [kind for kind in _DEPENDENCY_KINDS if "simple" not in features or "generator" not in kind]
    dependencies: list[Function] = []
    for number in range(draw(st.integers(0, 4))):
        if now_and_then(draw, times=5):
            does = draw(st.sampled_from(["returns", "returns empty"]))
            dependencies.append(
                Function(f"dependency_{number}", "scheme", does=does, result=draw(st.sampled_from(_SCHEMES)))
            )
        else:
            dependencies.append(draw(functions(f"dependency_{number}", kinds, number, [], features)))
    known = len(dependencies)
    described = Application(
        tuple(draw(operations(number, known, features)) for number in range(draw(st.integers(1, 3)))),
        tuple(dependencies),
    )
    if "simple" in features:
        return described
    kinds_of_handler = ["custom", "value", "http", "status 404", "validation", "any"]
    overrides: tuple[tuple[int, int], ...] = ()
    if known > 1 and now_and_then(draw, times=6):
        # An earlier dependency takes the place of a later one, since a circle would never end.
        later = draw(st.integers(1, known - 1))
        overrides = ((later, draw(st.integers(0, later - 1))),)
    described = replace(
        described,
        overrides=overrides,
        prefixes=draw(st.sampled_from([(), (), ("/in",), ("/{outer}", "/b")])),
        router_dependencies=tuple(draw(st.lists(st.integers(0, known - 1), max_size=1))) if known else (),
        handlers=tuple(draw(st.lists(st.sampled_from(kinds_of_handler), unique=True, max_size=2))),
        middleware=draw(st.sampled_from([(), (), (), ("asgi",), ("http",)])),
        mounted=now_and_then(draw, times=6),
    )
    return draw(surrounded(described)) if "surroundings" in features else described
