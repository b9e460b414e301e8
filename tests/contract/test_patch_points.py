"""What packages and applications replace, subclass, edit and read at run time has the same effect as under FastAPI.

Each scenario is a function of the framework and returns what was seen; the framework is the only difference.
Where it says "served", the application has answered natively before something is replaced.
"""

import asyncio
import importlib
import inspect
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import wraps
from types import ModuleType
from typing import Annotated, Any
from unittest import mock

import pytest
from pydantic import BaseModel
from starlette import routing
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Match, Mount, Route, compile_path
from starlette.testclient import TestClient

Scenario = Callable[["Framework"], Any]
SCENARIOS: list[Any] = []


@dataclass(frozen=True)
class Framework:
    """FastAPI or ferroapi: its modules by name."""

    name: str

    def module(self, name: str = "") -> ModuleType:
        return importlib.import_module(f"{self.name}.{name}" if name else self.name)

    def __getattr__(self, name: str) -> Any:
        if name == "routing":
            return self.module("routing")
        return getattr(self.module(), name)


def scenario(function: Scenario) -> Scenario:
    SCENARIOS.append(pytest.param(function, id=function.__name__))
    return function


def variants(*values: Any) -> Callable[[Callable[[Framework, Any], Any]], Callable[[Framework, Any], Any]]:
    """Make one scenario of each value."""

    def decorate(function: Callable[[Framework, Any], Any]) -> Callable[[Framework, Any], Any]:
        for value in values:
            label = value if isinstance(value, str) else "-".join(map(str, value))

            def run(f: Framework, value: Any = value) -> Any:
                return function(f, value)

            SCENARIOS.append(pytest.param(run, id=f"{function.__name__}-{label}"))
        return function

    return decorate


# What the scenarios share.


class Item(BaseModel):
    name: str
    count: int = 1


def get(app: Any, *urls: str, method: str = "GET", **options: Any) -> list[Any]:
    """Return status and text of one answer or of several."""
    client = TestClient(app, raise_server_exceptions=False, follow_redirects=False)
    answers = [client.request(method, url, **options) for url in urls]
    return [[each.status_code, each.text, each.headers.get("x-seen")] for each in answers]


def word(number: int = 1) -> str:
    return f"word {number}"


async def later_word(text: Annotated[str, "metadata"] = "late") -> str:
    return text


def build(f: Framework) -> Any:
    """An application with a route of its own and one that is included."""
    app = f.FastAPI()

    @app.get("/items/{number}")
    async def read(number: int, named: Annotated[str, f.Depends(word)]) -> dict[str, Any]:
        return {"number": number, "named": named}

    @app.get("/sync/{number}")
    def read_sync(number: int) -> dict[str, int]:
        return {"number": number}

    router = f.APIRouter(prefix="/shop")

    @router.get("/items/{number}")
    async def read_included(number: int, text: Annotated[str, f.Depends(later_word)]) -> list[Any]:
        return [number, text]

    @router.post("/items")
    async def add(item: Item) -> Item:
        return item

    @router.websocket("/watch/{number}")
    async def watch(websocket: f.WebSocket, number: int) -> None:
        await websocket.accept()
        await websocket.send_json([number, await websocket.receive_json()])
        await websocket.close()

    app.include_router(router)
    return app


URLS = ("/items/1", "/sync/2", "/shop/items/3", "/items/x", "/nothing")


def watch(app: Any) -> Any:
    with TestClient(app).websocket_connect("/shop/watch/5") as websocket:
        websocket.send_json("hello")
        return websocket.receive_json()


def add_item(app: Any) -> Any:
    return get(app, "/shop/items", method="POST", json={"name": "saw"})


# The functions of `fastapi.routing`.


@variants("before", "served")
def request_handler_is_replaced(f: Framework, when: str) -> Any:
    """A tracing package reads the keyword `dependant`, assigns its `call`, and awaits the handler with the request."""
    seen: list[Any] = []
    made: list[Any] = []
    original = f.routing.get_request_handler
    app = build(f)
    if when == "served":
        seen.append(get(app, *URLS))

    def replaced(*args: Any, **keywords: Any) -> Any:
        # When and how often the views on included routes are made is nobody's business.
        made.append([args, sorted(keywords)])
        dependant = keywords["dependant"]
        inner = dependant.call

        @wraps(inner)
        async def traced(*args: Any, **values: Any) -> Any:
            seen.append(["call", args, sorted(values)])
            result = inner(*args, **values)
            return await result if inspect.isawaitable(result) else result

        dependant.call = traced
        handler = original(*args, **keywords)

        async def handle(request: Request) -> Response:
            seen.append(["handle", request.scope["route"].path, request.scope["endpoint"].__name__])
            response: Response = await handler(request)
            response.headers["x-seen"] = "traced"
            return response

        return handle

    with mock.patch.object(f.routing, "get_request_handler", replaced):
        if when == "before":
            app = build(f)
        seen.append(get(app, *URLS))
        app.add_api_route("/new/{number}", word)
        seen.append(get(app, "/new/1?number=3", *URLS))
    seen.append(get(app, "/new/1?number=3", *URLS))
    return [*seen, made[0]]


def recording(original: Any, seen: list[Any]) -> Any:
    """A replacement that notes how it was called, and calls on."""

    def note(args: Any, keywords: dict[str, Any]) -> None:
        dependant = keywords.get("dependant")
        name = dependant.call.__name__ if dependant else None
        values = {key: value for key, value in keywords.items() if key in ("values", "is_coroutine", "dump_json")}
        content = keywords.get("response_content")
        seen.append([original.__name__, len(args), sorted(keywords), name, values, repr(content)])

    if inspect.iscoroutinefunction(original):

        async def replaced_later(*args: Any, **keywords: Any) -> Any:
            note(args, keywords)
            return await original(*args, **keywords)

        return replaced_later

    def replaced(*args: Any, **keywords: Any) -> Any:
        note(args, keywords)
        return original(*args, **keywords)

    return replaced


@variants(
    # That the others are asked by an application of its own says `tests/test_witness.py`.
    *((name, when) for name in ("get_websocket_app", "websocket_session") for when in ("before", "served")),
    *(
        (name, "by the router")
        for name in ("solve_dependencies", "run_endpoint_function", "serialize_response", "request_response")
    ),
)
def function_of_routing_is_replaced(f: Framework, how: tuple[str, str]) -> Any:
    name, when = how
    seen: list[Any] = []
    original = getattr(f.routing, name)
    app: Any = build(f)
    if when != "before":
        if when == "by the router":
            outer = f.FastAPI()
            outer.mount("", app.router)
            app = outer
        seen += [get(app, *URLS), add_item(app), watch(app)]
    with mock.patch.object(f.routing, name, recording(original, seen)):
        if when == "before":
            app = build(f)
        seen += [get(app, *URLS), add_item(app), watch(app)]
    seen += [get(app, *URLS), add_item(app), watch(app)]
    return seen


@variants("solve_dependencies", "run_endpoint_function", "serialize_response")
def function_of_routing_answers_itself(f: Framework, name: str) -> Any:
    """The replacement's answer counts, not only that it was asked."""
    app = build(f)
    seen = [get(app, *URLS)]
    original = getattr(f.routing, name)

    async def replaced(**keywords: Any) -> Any:
        if name == "run_endpoint_function":
            return {"instead of": keywords["dependant"].call.__name__, "values": keywords["values"]}
        result = await original(**keywords)
        if name == "serialize_response":
            return {"wrapped": result} if not isinstance(result, bytes) else b'{"wrapped":' + result + b"}"
        result.values.update(number=99)
        return result

    with mock.patch.object(f.routing, name, replaced):
        seen.append(get(app, *URLS))
    return [*seen, get(app, *URLS)]


@scenario
def dependencies_are_solved_by_a_framework_of_its_own(f: Framework) -> Any:
    """A messaging framework makes the scope itself, with the exit stacks that generators close in."""
    utils = f.module("dependencies.utils")
    events: list[str] = []

    def opened() -> Iterator[str]:
        events.append("open")
        yield "value"
        events.append("close")

    def handler(subject: str, size: int = 3, held: str = f.Depends(opened), named: str = f.Depends(word)) -> None: ...

    dependant = utils.get_dependant(path="subject", call=handler)

    async def solve(query: bytes) -> Any:
        async with AsyncExitStack() as inner, AsyncExitStack() as function:
            scope = {
                "type": "http",
                "path": "subject",
                "headers": [],
                "query_string": query,
                "path_params": {},
                "fastapi_inner_astack": inner,
                "fastapi_function_astack": function,
            }
            solved = await utils.solve_dependencies(
                request=Request(scope),
                dependant=dependant,
                body=None,
                dependency_overrides_provider=None,
                async_exit_stack=inner,
                embed_body_fields=False,
            )
            events.append("solved")
        return [solved.values, solved.errors, type(solved).__name__, solved.background_tasks]

    async def run() -> Any:
        return [await solve(b"subject=a&size=4&number=5"), await solve(b"size=x")]

    return [asyncio.run(run()), events]


@variants("", "?number=1", "?limit=1", "?number=1&limit=1")
def solver_is_wrapped_where_a_dependency_asks_for_background_tasks(f: Framework, query: str) -> Any:
    """FastAPI makes the tasks also where errors prevent the call of the dependency that asks for them."""
    original = f.routing.solve_dependencies
    seen: list[Any] = []

    async def solve(**keywords: Any) -> Any:
        solved = await original(**keywords)
        seen.append([type(solved.background_tasks).__name__, sorted(solved.values), len(solved.errors)])
        return solved

    def dependency(number: int, tasks: f.BackgroundTasks) -> None: ...  # type: ignore[name-defined]

    app = f.FastAPI()

    @app.get("/")
    def read(limit: int, needed: None = f.Depends(dependency)) -> int:
        return limit

    with mock.patch.object(f.routing, "solve_dependencies", solve):
        return [get(app, f"/{query}"), seen]


@variants("nothing", "values", "errors", "response", "tasks", "result", "solver fails", "call fails")
def steps_of_a_request_are_wrapped(f: Framework, changed: str) -> Any:
    """As tracers wrap them: what they are given, and what comes of it if they change what they give back."""
    solve, call = f.routing.solve_dependencies, f.routing.run_endpoint_function
    events: list[Any] = []

    async def wrapped_solve(**keywords: Any) -> Any:
        request, body = keywords["request"], keywords["body"]
        read = [name for name in ("_body", "_json", "_form", "_stream_consumed") if getattr(request, name, None)]
        stacks = sorted(key for key in request.scope if key.endswith("_astack"))
        is_inner = keywords["async_exit_stack"] is request.scope["fastapi_inner_astack"]
        events.append([sorted(keywords), type(request).__name__, type(body).__name__, read, stacks, is_inner])
        solved = await solve(**keywords)
        events.append(["solved", sorted(solved.values), len(solved.errors), type(solved.background_tasks).__name__])
        if changed == "solver fails":
            raise f.HTTPException(418, "solver")
        if changed == "values":
            solved.values["said"] = "changed"
        elif changed == "errors":
            solved.errors.append({"type": "odd", "loc": ("body",), "msg": "added", "input": None})
        elif changed == "response":
            response = Response(status_code=202, headers={"x-seen": "another"})
            solved = replace(solved, values=dict(solved.values), response=response)
        elif changed == "tasks":
            solved = replace(solved, background_tasks=BackgroundTask(events.append, "another task"))
        return solved

    async def wrapped_call(*, dependant: Any, values: dict[str, Any], **keywords: Any) -> Any:
        events.append(["call", dependant.call.__name__, sorted(values), keywords])
        result = await call(dependant=dependant, values=values, **keywords)
        if changed == "call fails":
            raise f.HTTPException(418, "call")
        return {"name": "other", "count": "7"} if changed == "result" else result

    async def held(response: Response) -> AsyncIterator[str]:
        response.headers["x-seen"] = "held"
        events.append("open")
        yield "held"
        events.append("close")

    def said(tasks: f.BackgroundTasks, held: str = f.Depends(held)) -> str:  # type: ignore[name-defined]
        tasks.add_task(events.append, "task")
        return held

    app = f.FastAPI()

    @app.get("/")
    async def read(said: str = f.Depends(said)) -> str:
        return said

    @app.post("/json")
    def add(item: Item, said: str = f.Depends(said)) -> Item:
        return item

    @app.post("/form", status_code=201)
    async def fill(name: Annotated[str, f.Form()], said: str = f.Depends(said)) -> Any:
        return {"name": name, "said": said}

    @app.post("/file")
    async def upload(file: f.UploadFile, request: Request) -> Any:  # type: ignore[name-defined]
        return [file.filename, (await file.read()).decode(), len(await request.form())]

    @app.get("/made")
    async def make(said: str = f.Depends(said)) -> Any:
        return PlainTextResponse(said, status_code=203)

    @app.get("/limited/{number}")
    def limited(number: int) -> dict[str, Any]:
        return {"number": number}

    def ask() -> Any:
        events.append("begin")
        return [
            get(app, "/", "/made", "/limited/1", "/limited/x"),
            get(app, "/json", method="POST", json={"name": "saw", "count": "2"}),
            get(app, "/json", method="POST", json={"count": "x"}),
            get(app, "/json", method="POST", content=b"{", headers={"content-type": "application/json"}),
            get(app, "/form", method="POST", data={"name": "saw"}),
            get(app, "/form", method="POST"),
            get(app, "/file", method="POST", files={"file": ("name.txt", b"content")}),
        ]

    seen = [ask()]
    with (
        mock.patch.object(f.routing, "solve_dependencies", wrapped_solve),
        mock.patch.object(f.routing, "run_endpoint_function", wrapped_call),
    ):
        seen.append(ask())
        app.dependency_overrides[said] = later_word
        seen.append(ask())
    return [*seen, ask(), events]


@variants("assigned before", "assigned later", "compile_path")
def paths_ignore_case(f: Framework, how: str) -> Any:
    """As applications make paths match in any case: by the flags of the expression, or by what compiles it."""

    def ignoring(regex: Any) -> Any:
        return re.compile(regex.pattern, re.IGNORECASE)

    def compiled(path: str) -> Any:
        regex, *others = compile_path(path)
        return (ignoring(regex), *others)

    urls = (*URLS, "/ITEMS/1", "/Sync/2", "/SHOP/items/3")
    if how == "compile_path":
        with mock.patch.object(f.routing, "compile_path", compiled):
            app = build(f)
            return [get(app, *urls), [route.path_regex.flags for route in app.routes if hasattr(route, "path_regex")]]
    app = build(f)
    seen = [get(app, *urls)] if how == "assigned later" else []
    for route in app.router.routes:
        if isinstance(route, f.routing.APIRoute):
            route.path_regex = ignoring(route.path_regex)
    return [*seen, get(app, *urls)]


@scenario
def graph_of_a_route_is_built_by_a_wrapper(f: Framework) -> Any:
    original = f.routing._build_dependant_with_parameterless_dependencies
    made: list[Any] = []

    def refuse() -> None:
        raise f.HTTPException(403)

    def replaced(**keywords: Any) -> Any:
        dependant, *others = original(**keywords)
        made.append([sorted(keywords), keywords["path"], *others[1:]])
        dependant.dependencies.append(f.module("dependencies.utils").get_dependant(path="", call=refuse))
        return (dependant, *others)

    with mock.patch.object(f.routing, "_build_dependant_with_parameterless_dependencies", replaced):
        app = build(f)
        # When and how often the views on included routes are made is nobody's business.
        return [get(app, *URLS), made[:2]]


@variants("jsonable_encoder", "get_flat_models_from_fields", "OpenAPI")
def function_of_the_document_is_replaced(f: Framework, name: str) -> Any:
    utils = f.module("openapi.utils")
    original = getattr(utils, name)
    asked: list[Any] = []

    def replaced(*args: Any, **keywords: Any) -> Any:
        asked.append([len(args), sorted(keywords)])
        return original(*args, **keywords)

    with mock.patch.object(utils, name, replaced):
        document = build(f).openapi()
    return [document, asked]


# The application and its middleware.


@variants("before", "served")
def middleware_stack_is_built_by_a_wrapper(f: Framework, when: str) -> Any:
    app = build(f)
    seen: list[Any] = []
    if when == "served":
        seen.append(get(app, *URLS))
    original = app.build_middleware_stack

    def build_stack() -> Any:
        stack = original()
        seen.append(type(stack).__name__)

        async def outermost(scope: Any, receive: Any, send: Any) -> None:
            seen.append(["in", scope["path"], "app" in scope])
            await stack(scope, receive, send)
            seen.append(["out", scope.get("route") and scope["route"].path, sorted(scope.get("path_params", {}))])

        return outermost

    app.build_middleware_stack = build_stack
    seen.append(get(app, *URLS))
    app.middleware_stack = app.build_middleware_stack()
    seen.append(get(app, *URLS))
    app.build_middleware_stack = original
    app.middleware_stack = None
    seen.append(get(app, *URLS))
    return seen


@variants("handle", "matches", "app")
def method_of_an_object_is_replaced(f: Framework, method: str) -> Any:
    """On one route, between two requests."""
    app = build(f)
    outcome = [get(app, *URLS)]
    for route in (app.router.routes[4], app.router.routes[-1].original_router.routes[0]):
        original = getattr(route, method)
        if method == "matches":

            def replaced(scope: Any, original: Any = original) -> Any:
                match, child_scope = original(scope)
                return (Match.FULL, child_scope) if match == Match.FULL else (Match.NONE, {})
        else:

            async def replaced(scope: Any, receive: Any, send: Any, original: Any = original) -> None:
                response = PlainTextResponse(f"instead of {scope['endpoint'].__name__} {sorted(scope['path_params'])}")
                await response(scope, receive, send)

        setattr(route, method, replaced)
        outcome += [get(app, *URLS), get(app, "/items/1", "/shop/items/3", method="PUT")]
        delattr(route, method) if method != "app" else setattr(route, method, original)
        outcome.append(get(app, *URLS))
    return outcome


@scenario
def router_of_the_application_is_wrapped(f: Framework) -> Any:
    app = build(f)
    outcome = [get(app, *URLS)]
    router = app.router
    original = router.middleware_stack

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        outcome.append(["router", scope["path"]])
        await original(scope, receive, send)

    router.middleware_stack = wrapped
    outcome.append(get(app, *URLS))
    router.middleware_stack = original

    async def not_found(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("own 404", 404)(scope, receive, send)

    router.default = not_found
    outcome.append(get(app, *URLS))
    router.redirect_slashes = False
    outcome.append(get(app, "/items/1/"))
    app.router = f.APIRouter()
    app.router.add_api_route("/other", word)
    outcome.append(get(app, "/other", *URLS))
    app.middleware_stack = None
    outcome.append(get(app, "/other", *URLS))
    return outcome


@scenario
def answer_where_nothing_is_found_is_replaced(f: Framework) -> Any:
    async def own(router: Any, scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("own 404", 404)(scope, receive, send)

    with mock.patch.object(routing.Router, "not_found", own):
        app = build(f)
        outcome = [get(app, *URLS, "/nowhere")]
    # A router takes it when it is made.
    outcome.append(get(app, *URLS, "/nowhere"))
    later = build(f)
    with mock.patch.object(routing.Router, "not_found", own):
        outcome.append(get(later, "/nowhere"))
    return outcome


@scenario
def application_class_is_replaced_by_a_subclass(f: Framework) -> Any:
    seen: list[Any] = []
    base = f.FastAPI

    class Instrumented(base):  # type: ignore[misc, valid-type]
        def __init__(self, *args: Any, **keywords: Any) -> None:
            seen.append(["init", args, sorted(keywords)])
            super().__init__(*args, **keywords)
            self.created = True

        def setup(self) -> None:
            seen.append("setup")
            super().setup()

        def add_api_route(self, path: str, endpoint: Any, **keywords: Any) -> None:
            seen.append(["add", path, sorted(keywords)])
            super().add_api_route(path, endpoint, **keywords)

        def include_router(self, router: Any, **keywords: Any) -> None:
            seen.append(["include", sorted(keywords)])
            super().include_router(router, **keywords)

        def build_middleware_stack(self) -> Any:
            seen.append("stack")
            return super().build_middleware_stack()

        def openapi(self) -> Any:
            return {**super().openapi(), "x": 1}

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            seen.append(["call", scope["type"]])
            await super().__call__(scope, receive, send)

    with mock.patch.object(f.module(), "FastAPI", Instrumented):
        app = build(f)
    app.add_api_route("/word", word, tags=["a"])
    seen += [get(app, *URLS), get(app, *URLS), get(app, "/word", "/openapi.json"), isinstance(app, base), app.created]
    return seen


@variants("http", "pure", "both")
def middleware_asks_routes_for_the_template(f: Framework, kind: str) -> Any:
    """Metrics packages walk `app.routes` and call `matches`, before or after the application has answered."""
    seen: list[Any] = []
    app = build(f)

    def templates(scope: Any) -> Any:
        found = []
        for context in f.routing.iter_route_contexts(scope["app"].routes):
            route = context.route
            candidate = context._route_context or route
            match, child_scope = candidate.matches(dict(scope))
            if match != Match.NONE:
                found.append([match.name, context.path, sorted(child_scope), type(route).__name__])
        for route in scope["app"].routes:
            match, child_scope = route.matches(scope)
            if match != Match.NONE:
                found.append([match.name, type(route).__name__, sorted(child_scope)])
        return found

    class Pure:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                seen.append(["before", templates(scope), "route" in scope])
            await self.app(scope, receive, send)
            if scope["type"] == "http":
                notes = scope.get("fastapi", {})
                context = notes.get("effective_route_context")
                seen.append(
                    [
                        "after",
                        scope.get("path_params"),
                        scope["route"].path if "route" in scope else None,
                        scope["endpoint"].__name__ if "endpoint" in scope else None,
                        type(scope["router"]).__name__,
                        sorted(notes),
                        context and [context.path, context.name, sorted(context.methods), context.original_route.path],
                        scope["root_path"],
                    ]
                )

    if kind in ("pure", "both"):
        app.add_middleware(Pure)
    if kind in ("http", "both"):

        @app.middleware("http")
        async def name_route(request: Request, call_next: Any) -> Response:
            seen.append(templates(request.scope))
            response: Response = await call_next(request)
            response.headers["x-seen"] = getattr(request.scope.get("route"), "path", "none")
            return response

    seen.append(get(app, *URLS, "/shop/items", "/items/1/"))
    seen.append(get(app, *URLS, "/shop/items", "/items/1/"))
    return seen


# Routes and routers as base classes.


@variants("direct", "included", "router", "override")
def route_class_overrides_get_route_handler(f: Framework, where: str) -> Any:
    seen: list[Any] = []

    class GzipRequest(Request):
        async def body(self) -> bytes:
            return (await super().body()).replace(b"?", b"3")

    class Timed(f.routing.APIRoute):  # type: ignore[name-defined, misc]
        def get_route_handler(self) -> Any:
            original = super().get_route_handler()
            seen.append(["get_route_handler", self.path, self.name])

            async def handle(request: Request) -> Response:
                try:
                    response: Response = await original(GzipRequest(request.scope, request.receive))
                except f.module("exceptions").RequestValidationError as error:
                    raise f.HTTPException(422, {"errors": error.errors(), "body": error.body}) from error
                response.headers["x-seen"] = f"{self.path} {type(request).__name__}"
                return response

            return handle

    app = f.FastAPI()
    router = f.APIRouter(route_class=Timed if where == "router" else f.routing.APIRoute)
    target: Any = app if where == "direct" else router
    if where == "direct":
        app.router.route_class = Timed
    keywords = {"route_class_override": Timed} if where in ("override", "included") else {}
    if where == "included":
        middle = f.APIRouter(prefix="/middle")
        middle.include_router(router, prefix="/deep")

    async def add(item: Item, number: int = 1) -> Any:
        return [item.count, number]

    adder = target.router if where == "direct" else target
    adder.add_api_route("/items", add, methods=["POST"], **keywords)
    if where == "included":
        app.include_router(middle, prefix="/outer")
    elif where != "direct":
        app.include_router(router, prefix="/outer")
    paths = ("/items", "/outer/items", "/outer/middle/deep/items")
    for _ in range(2):
        seen.append(get(app, *paths, method="POST", content=b'{"name": "a", "count": ?}'))
        seen.append(get(app, *paths, method="POST", content=b'{"count": ?}'))
        seen.append(get(app, *paths, method="GET"))
    return seen


@scenario
def route_class_init_is_patched(f: Framework) -> Any:
    seen: list[Any] = []
    route_class = f.routing.APIRoute
    original = route_class.__init__

    def patched(self: Any, *args: Any, **keywords: Any) -> None:
        seen.append([args, sorted(keywords)])
        keywords["tags"] = ["patched"]
        original(self, *args, **keywords)
        self.extra = "extra"

    with mock.patch.object(route_class, "__init__", patched):
        app = build(f)
        app.router.api_route("/api", methods=["GET", "POST"], summary="s", operation_id="api")(word)
    seen.append([[route.tags, route.extra] for route in app.routes if isinstance(route, route_class)])
    return [*seen, get(app, *URLS, "/api"), app.openapi()]


@scenario
def router_class_overrides_how_routes_are_added(f: Framework) -> Any:
    seen: list[Any] = []

    class Versioned(f.APIRouter):  # type: ignore[name-defined, misc]
        def add_api_route(self, path: str, endpoint: Any, **keywords: Any) -> None:
            seen.append(["add", path, endpoint.__name__, sorted(keywords), keywords.get("methods")])
            super().add_api_route(path, endpoint, **keywords)
            if not path.endswith("/"):
                keywords["include_in_schema"] = False
                super().add_api_route(path + "/", endpoint, **keywords)

        def include_router(self, router: Any, **keywords: Any) -> None:
            seen.append(["include", sorted(keywords)])
            super().include_router(router, **keywords, tags=["all"])

        def api_route(self, path: str, **keywords: Any) -> Any:
            seen.append(["api_route", path, sorted(keywords)])
            return super().api_route("/v1" + path, **keywords)

        def add_api_websocket_route(self, path: str, endpoint: Any, name: Any = None, **keywords: Any) -> None:
            seen.append(["websocket", path, name, sorted(keywords)])
            super().add_api_websocket_route("/ws" + path, endpoint, name, **keywords)

        def get(self, path: str, *args: Any, **keywords: Any) -> Any:
            seen.append(["get", path])
            return super().get(path, *args, **keywords)

    app = f.FastAPI()
    router = Versioned(prefix="/shop")
    router.get("/a")(word)
    router.post("/b", status_code=201)(word)
    router.api_route("/c", methods=["PATCH", "GET"], operation_id="c")(word)

    @router.websocket("/d")
    async def socket(websocket: f.WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    inner = f.APIRouter()
    inner.get("/inner")(word)
    router.include_router(inner, prefix="/x")
    app.include_router(router)
    urls = ("/shop/v1/a", "/shop/v1/a/", "/shop/v1/c/", "/shop/v1/b", "/shop/b", "/shop/x/inner", "/shop/x/inner/")
    seen += [get(app, *urls), get(app, *urls), get(app, "/shop/v1/b/", method="POST"), app.openapi()]
    seen.append([[each.path, sorted(each.methods or ())] for each in f.routing.iter_route_contexts(router.routes)])
    return seen


@variants("matches", "handle", "app", "__call__")
def router_class_overrides_how_requests_pass(f: Framework, method: str) -> Any:
    seen: list[Any] = []

    class Guarded(f.APIRouter):  # type: ignore[name-defined, misc]
        pass

    def matches(self: Any, scope: Any) -> Any:
        if b"key" not in scope["query_string"]:
            return Match.NONE, {}
        return super(Guarded, self).matches(scope)

    async def pass_(self: Any, scope: Any, receive: Any, send: Any) -> None:
        seen.append([method, scope["path"]])
        await getattr(super(Guarded, self), method)(scope, receive, send)

    setattr(Guarded, method, matches if method == "matches" else pass_)
    router = Guarded(prefix="/shop")
    router.get("/a/{b}")(word)
    app = f.FastAPI()
    app.include_router(router)
    app.include_router(router, prefix="/again")
    app.get("/shop/{rest:path}")(word)
    urls = ("/shop/a/1", "/shop/a/1?key=1", "/again/shop/a/1", "/again/shop/a/1?key=1&number=x", "/shop/b")
    seen += [get(app, *urls), get(app, *urls)]
    app.mount("/mounted", router)
    return [*seen, get(app, "/mounted/shop/a/1", "/mounted/shop/a/1?key=1")]


# Route lists and routes that are edited.


def _append(f: Framework, routes: list[Any]) -> None:
    routes.append(f.routing.APIRoute("/new", word))


def _insert(f: Framework, routes: list[Any]) -> None:
    routes.insert(0, f.routing.APIRoute("/items/{rest:path}", word))


def _remove(f: Framework, routes: list[Any]) -> None:
    routes.remove(next(route for route in routes if getattr(route, "path", "") == "/items/{number}"))


def _slice(f: Framework, routes: list[Any]) -> None:
    routes[:] = [route for route in routes if getattr(route, "path", "") != "/items/{number}"]


def _replace(f: Framework, routes: list[Any]) -> None:
    index = next(index for index, route in enumerate(routes) if getattr(route, "path", "") == "/items/{number}")
    routes[index] = f.routing.APIRoute("/items/{number}", later_word)


def _delete(f: Framework, routes: list[Any]) -> None:
    del routes[4:]


def _extend(f: Framework, routes: list[Any]) -> None:
    routes += [Route("/new", lambda request: PlainTextResponse("starlette")), Mount("/new", app=build(f))]


def _reverse(f: Framework, routes: list[Any]) -> None:
    routes.append(f.routing.APIRoute("/items/1", word))
    routes.reverse()


def _sort(f: Framework, routes: list[Any]) -> None:
    routes.append(f.routing.APIRoute("/items/1", word))
    routes.sort(key=lambda route: getattr(route, "path", ""))


def _clear(f: Framework, routes: list[Any]) -> None:
    routes.clear()


def _pop(f: Framework, routes: list[Any]) -> None:
    routes.pop()


EDITS = {each.__name__[1:]: each for each in (_append, _insert, _remove, _slice, _replace, _delete, _extend)} | {
    each.__name__[1:]: each for each in (_reverse, _sort, _clear, _pop)
}


@variants(*((name, where) for name in EDITS for where in ("app.routes", "router.routes", "included.routes")))
def route_list_is_edited(f: Framework, how: tuple[str, str]) -> Any:
    """In place, after requests were served."""
    name, where = how
    app = build(f)
    if where == "included.routes":
        other = build(f).router
        app = f.FastAPI()
        app.include_router(other, prefix="/outer")
        routes = other.routes
        urls = tuple("/outer" + url for url in (*URLS, "/new", "/new/items/1"))
    else:
        routes = app.routes if where == "app.routes" else app.router.routes
        urls = (*URLS, "/new", "/new/items/1")
    outcome: list[Any] = [get(app, *urls), sorted(app.openapi()["paths"])]
    EDITS[name](f, routes)
    outcome += [get(app, *urls), sorted(app.openapi()["paths"])]
    app.openapi_schema = None
    outcome += [len(app.routes), sorted(app.openapi()["paths"])]
    return outcome


@scenario
def route_list_is_assigned(f: Framework) -> Any:
    app = build(f)
    outcome = [get(app, *URLS)]
    app.router.routes = [route for route in app.routes if getattr(route, "path", "") != "/items/{number}"]
    outcome.append(get(app, *URLS))
    app.router.routes = list(reversed(app.router.routes))
    outcome += [get(app, *URLS), [getattr(route, "path", None) for route in app.routes]]
    app.router.routes.append(f.routing.APIRoute("/items/{number}", later_word))
    return [*outcome, get(app, *URLS), isinstance(app.routes, list)]


async def replacement(**values: Any) -> Any:
    return {"instead": sorted(values)}


async def _own_app(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse(f"own {scope['path_params']}")(scope, receive, send)


def _set_call(f: Framework, route: Any) -> None:
    route.dependant.call = replacement


def _set_sub_call(f: Framework, route: Any) -> None:
    route.dependant.dependencies[0].call = replacement


def _drop_parameters(f: Framework, route: Any) -> None:
    route.dependant.path_params.clear()
    route.dependant.dependencies.clear()
    route.dependant.call = replacement


def _add_dependency(f: Framework, route: Any) -> None:
    utils = f.module("dependencies.utils")
    depends = f.Depends(lambda needed: needed)
    route.dependant.dependencies.insert(0, utils.get_parameterless_sub_dependant(depends=depends, path=route.path))


def _set_regex(f: Framework, route: Any) -> None:
    route.path_regex, route.path_format, route.param_convertors = compile_path("/changed/{number}")


def _response_field(f: Framework, route: Any) -> None:
    field = f.module("utils").create_model_field(name="Response_x", type_=Item, mode="serialization")
    route.response_field = field


EDITED: dict[str, Callable[[Framework, Any], None]] = {
    "app": lambda f, route: setattr(route, "app", _own_app),
    "dependant.call": _set_call,
    "sub-dependant.call": _set_sub_call,
    "dependant cleared": _drop_parameters,
    "dependant grows": _add_dependency,
    "path_regex": _set_regex,
    "path": lambda f, route: setattr(route, "path", "/changed/{number}"),
    "methods added": lambda f, route: route.methods.add("PUT"),
    "methods removed": lambda f, route: route.methods.discard("GET"),
    "methods": lambda f, route: setattr(route, "methods", {"PUT"}),
    "response_field": _response_field,
    "response_class": lambda f, route: setattr(route, "response_class", PlainTextResponse),
    "response_model": lambda f, route: setattr(route, "response_model", Item),
    "status_code": lambda f, route: setattr(route, "status_code", 299),
    "endpoint": lambda f, route: setattr(route, "endpoint", replacement),
    "dependant": lambda f, route: setattr(
        route, "dependant", f.module("dependencies.utils").get_dependant(path=route.path, call=later_word)
    ),
    "name": lambda f, route: setattr(route, "name", "renamed"),
    "include_in_schema": lambda f, route: setattr(route, "include_in_schema", False),
    "convertor": lambda f, route: route.param_convertors.update(number=mock.Mock(convert=lambda text: "77")),
    "dependencies": lambda f, route: route.dependencies.append(f.Depends(word)),
    "max_body_size": lambda f, route: setattr(route, "max_body_size", 1),
    "dependency_overrides_provider": lambda f, route: setattr(route, "dependency_overrides_provider", None),
}


# A plan holds the graph below the endpoint as it was at the first request; upstream walks it again for each.
KEPT_AT_FIRST_REQUEST = ("sub-dependant.call", "dependant grows", "convertor")


@variants(
    *(
        (name, where)
        for name in EDITED
        for where in ("direct", "included", "direct, built", "included, built")
        if not (name in KEPT_AT_FIRST_REQUEST and where == "direct")
    )
)
def route_is_edited(f: Framework, how: tuple[str, str]) -> Any:
    """After requests were served, or after the views on included routes were made."""
    name, where = how
    app = build(f)
    included = app.router.routes[-1].original_router.routes
    route = included[0] if where.startswith("included") else app.router.routes[4]
    urls = ("/items/1", "/shop/items/3", "/changed/4", "/shop/changed/5", "/items/x?needed=1")
    outcome: list[Any] = []
    if where.endswith("built"):
        outcome.append(app.openapi()["paths"].keys() and [])
    else:
        outcome.append(get(app, *urls))
    EDITED[name](f, route)
    outcome += [get(app, *urls), get(app, *urls, method="PUT"), get(app, *urls)]
    app.openapi_schema = None
    outcome.append(app.openapi())
    outcome.append([[each.path, each.name] for each in f.routing.iter_route_contexts(app.routes)])
    return outcome


@variants("direct", "included")
def dependency_is_overridden_after_serving(f: Framework, where: str) -> Any:
    app = build(f)
    outcome = [get(app, *URLS)]
    app.dependency_overrides[word] = lambda: "overridden"
    app.dependency_overrides[later_word] = lambda needed: needed
    outcome += [get(app, *URLS), get(app, "/shop/items/3?needed=yes")]
    app.dependency_overrides = {}
    return [*outcome, get(app, *URLS)]


# What can be read in a request.


def describe(scope: Any) -> Any:
    notes = scope.get("fastapi", {})
    context = notes.get("effective_route_context")
    return {
        "stacks": [type(scope.get(f"fastapi_{name}_astack")).__name__ for name in ("inner", "function")],
        "notes": sorted(notes),
        "context": context and [context.path, context.path_format, context.name],
        "included": notes.get("included_router") and notes["included_router"].include_context.prefix,
        "route": [type(scope["route"]).__name__, scope["route"].path],
        "router": [type(scope["router"]).__name__, len(scope["router"].routes)],
        "app": type(scope["app"]).__name__,
        "endpoint": scope["endpoint"].__name__,
        "path_params": scope["path_params"],
        "root_path": scope["root_path"],
        "app_root_path": scope.get("app_root_path"),
    }


@variants("direct", "included", "nested", "mounted", "websocket")
def scope_is_read_by_endpoint_and_dependency(f: Framework, where: str) -> Any:
    """Exit stacks are there for an endpoint or a dependency that enters something of its own."""
    events: list[str] = []

    class Held:
        def __init__(self, name: str) -> None:
            self.name = name

        def __enter__(self) -> None:
            events.append(f"open {self.name}")

        def __exit__(self, *error: Any) -> None:
            events.append(f"close {self.name}")

    def held(connection: f.requests.HTTPConnection) -> Any:
        connection.scope["fastapi_inner_astack"].enter_context(Held("inner"))
        connection.scope["fastapi_function_astack"].enter_context(Held("function"))
        return describe(connection.scope)

    async def read(number: int, request: Request, found: Annotated[Any, f.Depends(held)]) -> Any:
        events.append("endpoint")
        return [found, describe(request.scope)]

    async def socket(number: int, websocket: f.WebSocket, found: Annotated[Any, f.Depends(held)]) -> None:
        await websocket.accept()
        await websocket.send_json([found, describe(websocket.scope)])
        await websocket.close()

    app = f.FastAPI()
    router = f.APIRouter(prefix="/a")
    router.add_api_route("/{number}", read)
    router.add_api_websocket_route("/ws/{number}", socket)
    outer = f.APIRouter(prefix="/b")
    outer.include_router(router)
    app.include_router(router)
    app.include_router(outer, prefix="/c")
    app.add_api_route("/{number}", read)
    mounted = f.FastAPI()
    mounted.include_router(router)
    app.mount("/mounted", mounted)
    urls = {"direct": "/1", "included": "/a/1", "nested": "/c/b/a/1", "mounted": "/mounted/a/1"}
    if where == "websocket":
        found = []
        for url in ("/a/ws/1", "/c/b/a/ws/2", "/mounted/a/ws/3"):
            with TestClient(app).websocket_connect(url) as websocket:
                found.append(websocket.receive_json())
        return [found, events]
    return [get(app, urls[where]), get(app, urls[where]), events]


@scenario
def exception_handlers_are_read_from_the_scope(f: Framework) -> Any:
    app = f.FastAPI()

    @app.get("/")
    async def read(request: Request) -> Any:
        handlers, statuses = request.scope["starlette.exception_handlers"]
        return [sorted(each.__name__ for each in handlers), sorted(statuses)]

    return [get(app, "/"), get(app, "/")]


@scenario
def routes_are_listed_with_their_context(f: Framework) -> Any:
    app = build(f)
    router = f.APIRouter(prefix="/deep", tags=["deep"], dependencies=[f.Depends(word)])
    router.include_router(build(f).router, prefix="/deeper")
    router.mount("/mounted", build(f))
    router.add_route("/plain", lambda request: PlainTextResponse("plain"), methods=["GET"])
    app.include_router(router, prefix="/outer", tags=["outer"])
    app.mount("/sub", build(f))

    def rows(routes: Any) -> Any:
        return [
            [
                each.path,
                each.path_format,
                each.name,
                sorted(each.methods or ()),
                getattr(each.endpoint, "__name__", None),
                type(each.route).__name__,
                type(each.original_route).__name__,
                isinstance(each._route_context, f.routing._EffectiveRouteContext),
                isinstance(each._effective_route, f.routing._EffectiveRouteContext),
                getattr(each, "tags", None),
                each.matches({"type": "http", "path": each.path or "", "method": "GET", "headers": []})[0].name,
            ]
            for each in f.routing.iter_route_contexts(routes)
        ]

    seen: list[Any] = [rows(app.routes), rows(list(f.routing.iter_route_contexts(app.routes)))]
    included = app.routes[-2]
    seen.append([type(included).__name__, isinstance(included, f.routing._IncludedRouter)])
    for context in included.effective_route_contexts():
        starlette_route = context.starlette_route
        seen.append(
            [
                isinstance(context, f.routing._EffectiveRouteContext),
                getattr(context, "path", None),
                getattr(context, "path_format", None),
                getattr(context, "name", None),
                type(starlette_route).__name__,
                getattr(starlette_route, "path", None),
                context.original_route.path,
                sorted(getattr(context, "dependencies", None) or [], key=str).__len__(),
            ]
        )
    seen.append([[route.path, context and context.path] for route, context in _with_context(f, app)])
    seen.append([route.path for route in f.routing._iter_included_route_candidates(app.routes)])
    return seen


def _with_context(f: Framework, app: Any) -> Any:
    return [(r, c and (c.starlette_route or c)) for r, c in f.routing._iter_routes_with_context(app.routes)]


# Starlette's classes, which applications patch for every framework built on it.


@variants("before", "served")
def json_response_renders_otherwise(f: Framework, when: str) -> Any:
    app = build(f)

    @app.get("/any")
    async def anything() -> Any:
        return {"a": 1}

    outcome = [get(app, "/any", *URLS)] if when == "served" else []
    with mock.patch.object(JSONResponse, "render", lambda self, content: f"rendered {content}".encode()):
        outcome.append(get(app, "/any", *URLS))
    return [*outcome, get(app, "/any", *URLS)]


@variants(
    *((name, when) for name in ("routing.Request", "routing.serialize_response") for when in ("before", "served")),
    *((name, "served") for name in ("routing.solve_dependencies", "dependencies.utils.run_in_threadpool")),
)
def name_is_wrapped_by_a_mock(f: Framework, how: tuple[str, str]) -> Any:
    """What is in the place of a class is no class then."""
    name, when = how
    app = build(f)
    outcome: list[Any] = [get(app, *URLS), add_item(app)] if when == "served" else []
    module, _, attribute = name.rpartition(".")
    owner = f.module(module)
    with mock.patch.object(owner, attribute, wraps=getattr(owner, attribute)) as wrapped:
        outcome += [get(app, *URLS), add_item(app), wrapped.call_count]
    return [*outcome, get(app, *URLS), add_item(app)]


@variants("application", "included")
def route_class_makes_properties_of_what_it_is_given(f: Framework, where: str) -> Any:
    """What a route is made of is what its attributes are once they were set."""

    class Fixed(f.routing.APIRoute):  # type: ignore[name-defined, misc]
        response_model = property(lambda self: dict[str, int], lambda self, value: None)
        stream_item_type = property(lambda self: None, lambda self, value: None)
        unique_id = property(lambda self: f"id_of_{self.name}", lambda self, value: None)

    app = f.FastAPI()
    router = f.APIRouter(route_class=Fixed) if where == "included" else app.router
    router.route_class = Fixed

    @router.get("/item")
    def item() -> Item:
        return Item(name="n")

    @router.get("/counts")
    async def counts() -> Item:
        return {"a": 1}  # type: ignore[return-value]

    @router.get("/lines")
    async def lines() -> AsyncIterator[Item]:
        yield Item(name="n")

    if where == "included":
        app.include_router(router, prefix="/included")
    prefix = "/included" if where == "included" else ""
    return get(app, *(prefix + path for path in ("/item", "/counts", "/lines")), "/openapi.json")


@variants("404", "405", "HTTPException")
def exception_handler_raises_another_exception(f: Framework, handled: str) -> Any:
    """Handlers are around a route and around all routes: where no route is, only the latter meet it."""
    app = build(f)
    app.add_exception_handler(418, lambda request, error: PlainTextResponse(f"418 for {error.detail}"))
    met: list[Any] = []

    def handle(request: Request, error: Any) -> Response:
        met.append([request.url.path, error.status_code])
        raise f.HTTPException(418, "another")

    app.add_exception_handler(int(handled) if handled.isdecimal() else f.HTTPException, handle)

    @app.get("/refused/{status_code}")
    def refuse(status_code: int) -> None:
        raise f.HTTPException(status_code)

    urls = (*URLS, "/refused/404", "/refused/405", "/refused/400")
    return [get(app, *urls), get(app, *urls, method="DELETE"), met]


@scenario
def background_task_is_patched_after_serving(f: Framework) -> Any:
    app = build(f)
    events: list[str] = []

    @app.get("/background")
    async def background(tasks: f.BackgroundTasks) -> Any:
        tasks.add_task(events.append, "task")
        return "soon"

    original = BackgroundTask.__call__

    async def patched(self: BackgroundTask) -> None:
        events.append(self.func.__name__)
        await original(self)

    outcome = [get(app, "/background")]
    with mock.patch.object(BackgroundTask, "__call__", patched):
        outcome.append(get(app, "/background"))
    return [*outcome, get(app, "/background"), events]


@pytest.mark.filterwarnings("ignore:Duplicate Operation ID")
@pytest.mark.parametrize("function", SCENARIOS)
def test_patch_point_has_the_same_effect(function: Scenario) -> None:
    assert function(Framework("ferroapi")) == function(Framework("fastapi"))
