"""What tracers put in the place of a name that the engine goes past is called as by FastAPI, with the same arguments.

The rest of the request stays with the driver; here nothing but the framework differs.
"""

import asyncio
import importlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from types import SimpleNamespace
from typing import Annotated, Any
from unittest import mock

import pytest
from pydantic import BaseModel
from starlette import requests, routing
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.testclient import TestClient


class Item(BaseModel):
    name: str
    count: int = 1


class Odd(Exception):
    """An exception that the application answers."""


def build(f: Any, events: list[Any], *, layer: str = "") -> Any:
    """An application with routes of its own, one that is included, and one that is mounted; all note what is called."""
    app = f.FastAPI()

    async def held(response: Response) -> AsyncIterator[str]:
        response.headers["x-held"] = "1"
        events.append("open")
        yield "held"
        events.append("close")

    def said(tasks: f.BackgroundTasks, held: str = f.Depends(held)) -> str:
        tasks.add_task(events.append, "task")
        return held

    @app.get("/")
    async def read(said: str = f.Depends(said)) -> Any:
        events.append("endpoint")
        return {"said": said, "numbers": [1, 2.5, None, True], "_sa_state": 1, 5: "five"}

    @app.get("/model", response_model_exclude={"count"})
    async def model() -> Item:
        return Item(name="saw")

    @app.post("/items", status_code=201)
    def add(item: Item) -> Item:
        return item

    @app.post("/form")
    async def fill(name: Annotated[str, f.Form()], request: Request) -> Any:
        return [name, sorted(await request.form())]

    @app.post("/file")
    async def upload(file: f.UploadFile, request: Request) -> Any:
        return [file.filename, (await file.read()).decode(), await request.body() if request._stream_consumed else 0]

    @app.get("/text", response_class=PlainTextResponse)
    async def text() -> str:
        return "text"

    @app.get("/own")
    async def own() -> Any:
        return JSONResponse({"own": 1}, headers={"x-own": "1"})

    @app.get("/empty", status_code=204)
    async def empty() -> None: ...

    @app.get("/wrong")
    async def wrong() -> Item:
        return {"nothing": 1}  # type: ignore[return-value]

    @app.get("/odd")
    async def odd(said: str = f.Depends(said)) -> None:
        raise Odd("endpoint")

    @app.get("/refused")
    def refused() -> None:
        raise f.HTTPException(418, "refused")

    @app.get("/lines")
    async def lines() -> AsyncIterator[Item]:
        yield Item(name="line")

    router = f.APIRouter(prefix="/shop")

    @router.get("/{number}")
    async def included(number: int, request: Request) -> Any:
        return [number, sorted(request.scope["path_params"])]

    app.include_router(router)
    mounted = f.FastAPI()

    @mounted.get("/word")
    async def word() -> str:
        return "word"

    app.mount("/mounted", mounted)
    app.add_route("/plain", lambda request: PlainTextResponse("plain"))

    @app.exception_handler(Odd)
    async def answer_odd(request: Request, error: Odd) -> Response:
        events.append(["handler", type(request).__name__, str(error)])
        return PlainTextResponse(f"odd {error}", status_code=409)

    if layer == "function":

        @app.middleware("http")
        async def pass_on(request: Request, call_next: Callable[[Any], Any]) -> Any:
            response = await call_next(request)
            response.headers["x-passed"] = "1"
            return response

    elif layer == "class":

        class PassThrough:
            def __init__(self, app: Any) -> None:
                self.app = app

            async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
                await self.app(scope, receive, send)

        app.add_middleware(PassThrough)
    return app


REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/", {}),
    ("GET", "/model", {}),
    ("POST", "/items", {"json": {"name": "saw", "count": "2"}}),
    ("POST", "/items", {"json": {"count": "x"}}),
    ("POST", "/items", {"content": b"{", "headers": {"content-type": "application/json"}}),
    ("POST", "/items", {}),
    ("POST", "/form", {"data": {"name": "saw"}}),
    ("POST", "/form", {}),
    ("POST", "/file", {"files": {"file": ("name.txt", b"content")}}),
    ("POST", "/file", {"content": b"--", "headers": {"content-type": "multipart/form-data; boundary=x"}}),
    *(
        ("GET", f"/{path}", {})
        for path in ["text", "own", "empty", "wrong", "odd", "refused", "lines", "shop/3", "shop/x", "plain", "nothing"]
    ),
    ("GET", "/mounted/word", {}),
    ("GET", "/mounted/nothing", {}),
    ("PUT", "/model", {}),
]


def ask(app: Any, events: list[Any]) -> list[Any]:
    seen = []
    with TestClient(app, raise_server_exceptions=False) as client:
        for method, url, options in REQUESTS:
            events.append([method, url])
            answer = client.request(method, url, **options)
            seen.append([answer.status_code, answer.text, sorted(answer.headers.items())])
    return seen


def build_at(when: str, f: Any, events: list[Any], *, layer: str = "") -> Any:
    """The application at one of the `MOMENTS`: before its first request, or when it has answered all of them."""
    app = build(f, events, layer=layer)
    if when == "served":
        ask(app, events)
    return app


def compare(scenario: Callable[[Any, list[Any]], Any]) -> None:
    """Run a scenario with both frameworks: what it returns and what is noted must be the same."""
    results = []
    for name in ("fastapi", "ferroapi"):
        events: list[Any] = []
        results.append((scenario(importlib.import_module(name), events), events))
    assert results[1] == results[0]


def readable(value: Any) -> Any:
    """Return what can be compared of an argument."""
    if isinstance(value, dict):
        return {key: readable(each) for key, each in value.items() if key not in ("file", "line")}
    return type(value).__name__ if callable(value) or isinstance(value, AsyncExitStack) else repr(value)


LAYERS = ["", "function", "class"]
MOMENTS = ["before", "served"]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("when", MOMENTS)
def test_request_is_made_as_often_with_the_same_arguments(when: str, layer: str) -> None:
    """By its `__init__`, which finds the scope as it is then; the one that was made is the one that is given."""

    def scenario(f: Any, events: list[Any]) -> Any:
        app = build_at(when, f, events, layer=layer)
        original = Request.__init__

        def init(self: Any, *args: Any, **keywords: Any) -> None:
            scope = args[0]
            keys = [key for key in ("route", "endpoint", "path_params", "app", "router") if key in scope]
            events.append(["init", type(self).__name__, len(args), sorted(keywords), keys, dict(scope["path_params"])])
            original(self, *args, **keywords)

        with mock.patch.object(Request, "__init__", init):
            seen = ask(app, events)
        return [seen, ask(app, events)]

    compare(scenario)


@pytest.mark.parametrize("what", ["scope", "receive", "kept", "fails", "refuses"])
def test_request_that_is_made_otherwise_is_read_as_it_was_made(what: str) -> None:
    """What `__init__` has changed counts, and what it raises is met where it would be."""

    def scenario(f: Any, events: list[Any]) -> Any:
        app, original, kept = build(f, events), Request.__init__, []

        def init(self: Any, scope: Any, receive: Any = None, send: Any = None) -> None:
            if what == "scope" and "route" in scope:
                # FastAPI fails if it is another dictionary: it puts the exit stacks into the one that it had.
                scope.update(path_params={"number": "77"}, query_string=b"number=8")
            elif what == "receive" and receive is not None:
                inner = receive

                async def noting() -> Any:
                    message = await inner()
                    events.append(["received", message["type"]])
                    return message

                receive = noting
            elif what == "fails" and "route" in scope:
                raise Odd("init")
            elif what == "refuses" and "route" in scope:
                raise f.HTTPException(418, "init")
            original(self, scope, *(each for each in (receive, send) if each is not None))
            kept.append(self)

        with mock.patch.object(Request, "__init__", init):
            seen = ask(app, events)
        if what == "kept":
            events.append([[hasattr(each, "_body"), hasattr(each, "_json"), each._stream_consumed] for each in kept])
        return seen

    compare(scenario)


OWNERS = [routing.Route, routing.Mount, "APIRoute"]


def handles_replaced(f: Any, replacement: Callable[[Any, str], Any]) -> ExitStack:
    stack = ExitStack()
    for owner in OWNERS:
        cls: Any = f.routing.APIRoute if isinstance(owner, str) else owner
        stack.enter_context(mock.patch.object(cls, "handle", replacement(cls.handle, cls.__name__)))
    return stack


@pytest.mark.parametrize("size", [10, 2_000_000])
def test_stack_of_the_middleware_closes_the_files_of_a_form(size: int) -> None:
    """What is around a route may leave it before the application does, as cadwyn does when a request is cancelled."""

    def scenario(f: Any, events: list[Any]) -> Any:
        app, kept = f.FastAPI(), []

        @app.post("/")
        async def upload(file: f.UploadFile) -> Any:
            kept.append(file.file)
            return file.size

        original = routing.Route.handle

        async def handle(self: Any, scope: Any, receive: Any, send: Any) -> None:
            await original(self, scope, receive, send)
            events.append(kept[0].closed)
            await scope["fastapi_middleware_astack"].aclose()
            events.append(kept[0].closed)

        with mock.patch.object(routing.Route, "handle", handle):
            return TestClient(app).post("/", files={"file": ("name.txt", b"x" * size)}).json()

    compare(scenario)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("when", MOMENTS)
def test_route_is_handled_by_its_replaced_method(when: str, layer: str) -> None:
    """With the scope of a route that was selected, and once for each class that the method goes through."""

    def scenario(f: Any, events: list[Any]) -> Any:
        app = build_at(when, f, events, layer=layer)

        def replacement(original: Any, name: str) -> Any:
            async def handle(self: Any, scope: Any, receive: Any, send: Any) -> None:
                is_selected = scope.get("route") is self
                stacks = "fastapi_middleware_astack" in scope
                params, root = dict(scope["path_params"]), scope["root_path"]
                fastapi = sorted(scope.get("fastapi", {}))
                events.append([name, self.path, is_selected, stacks, params, root, fastapi])

                async def noting(message: Any) -> None:
                    events.append(message["type"])
                    await send(message)

                await original(self, scope, receive, noting)
                events.append([name, "done"])

            return handle

        with handles_replaced(f, replacement):
            seen = ask(app, events)
        return [seen, ask(app, events)]

    compare(scenario)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("when", ["at first", "after the start", "at the end", "instead"])
@pytest.mark.parametrize("error", ["HTTPException", "Odd", "ValueError", "nothing"])
def test_what_a_replaced_handle_raises_is_met_where_it_would_be(error: str, when: str, layer: str) -> None:
    def scenario(f: Any, events: list[Any]) -> Any:
        app = build_at("served", f, events, layer=layer)

        def fail() -> None:
            if error != "nothing":
                raise {"HTTPException": f.HTTPException(418, "handle"), "Odd": Odd("handle")}.get(error, ValueError())

        def replacement(original: Any, name: str) -> Any:
            async def handle(self: Any, scope: Any, receive: Any, send: Any) -> None:
                async def failing(message: Any) -> None:
                    await send(message)
                    fail()

                if when == "at first":
                    fail()
                if when == "instead":
                    await PlainTextResponse("instead")(scope, receive, send)
                else:
                    await original(self, scope, receive, failing if when == "after the start" else send)
                fail()

            return handle

        with handles_replaced(f, replacement):
            return ask(app, events)

    compare(scenario)


@pytest.mark.parametrize("when", MOMENTS)
def test_what_serializes_is_given_the_same_and_its_result_is_taken_as_it_is(when: str) -> None:
    def scenario(f: Any, events: list[Any]) -> Any:
        app = build_at(when, f, events)
        original = f.routing.serialize_response
        results: list[Any] = [
            None,
            {"a": float("inf")},
            {"_sa_kept": (1, 2)},
            {5: 1},
            [Item(name="x")],
            b'"bytes"',
            "\ud800",
        ]

        async def serialize(**keywords: Any) -> Any:
            named = {name: readable(value) for name, value in keywords.items() if name != "field"}
            events.append(["serialize", keywords["field"] is None, named])
            result = await original(**keywords)
            events.append([type(result).__name__, result is keywords["response_content"], repr(result)])
            return results[len(events) % len(results)] if when == "before" else result

        with mock.patch.object(f.routing, "serialize_response", serialize):
            seen = [ask(app, events) for _ in range(3)]
        return [*seen, ask(app, events)]

    compare(scenario)


def test_all_names_that_tracers_replace_are_called_in_the_same_order() -> None:
    def scenario(f: Any, events: list[Any]) -> Any:
        app = build(f, events)
        solve, call, serialize = (
            getattr(f.routing, name) for name in ("solve_dependencies", "run_endpoint_function", "serialize_response")
        )
        tasks = set()

        def noting(name: str, original: Any) -> Any:
            async def noted(*args: Any, **keywords: Any) -> Any:
                events.append(name)
                tasks.add(asyncio.current_task())
                try:
                    return await original(*args, **keywords)
                finally:
                    events.append(f"{name} done")

            return noted

        original = requests.Request.__init__

        def init(self: Any, *args: Any, **keywords: Any) -> None:
            events.append("init")
            original(self, *args, **keywords)

        with (
            handles_replaced(f, lambda original, name: noting(name, original)),
            mock.patch.object(f.routing, "solve_dependencies", noting("solve", solve)),
            mock.patch.object(f.routing, "run_endpoint_function", noting("call", call)),
            mock.patch.object(f.routing, "serialize_response", noting("serialize", serialize)),
            mock.patch.object(requests.Request, "__init__", init),
        ):
            seen = ask(app, events)
        return [seen, ask(app, events), len(tasks)]

    compare(scenario)


SOLVED = ["as it is", "errors", "failure", "values", "response", "another object", "too little"]


@pytest.mark.parametrize("what", SOLVED)
@pytest.mark.parametrize("when", MOMENTS)
def test_what_solving_by_name_gives_is_gone_on_with(when: str, what: str) -> None:
    """The arguments come in the same order, and the result is read as FastAPI reads it."""

    def scenario(f: Any, events: list[Any]) -> Any:
        app = build_at(when, f, events)
        solve, call = f.routing.solve_dependencies, f.routing.run_endpoint_function

        async def solving(**keywords: Any) -> Any:
            request = keywords["request"]
            is_own = keywords["dependant"] is request.scope["route"].dependant
            is_stack = keywords["async_exit_stack"] is request.scope["fastapi_inner_astack"]
            events.append(["solve", list(keywords), is_own or request.url.path, is_stack])
            solved: Any = await solve(**keywords)
            match what:
                case "errors":
                    solved.errors.append({"type": "odd", "loc": ("query", "odd"), "msg": "Odd", "input": 1})
                case "failure":
                    raise Odd("solved")
                case "values":
                    solved = replace(solved, values=Counter(solved.values))
                case "response":
                    tasks = f.BackgroundTasks()
                    tasks.add_task(events.append, "another task")
                    response = Response(status_code=202, headers={"x-other": "1"})
                    solved = replace(solved, response=response, background_tasks=tasks)
                case "another object":
                    solved = SimpleNamespace(**vars(solved) | {"errors": ()})
                case "too little":
                    solved = SimpleNamespace(values=solved.values, errors=[])
            return solved

        async def calling(**keywords: Any) -> Any:
            events.append(["call", list(keywords), type(keywords["values"]).__name__, keywords["is_coroutine"]])
            return await call(**keywords)

        with (
            mock.patch.object(f.routing, "solve_dependencies", solving),
            mock.patch.object(f.routing, "run_endpoint_function", calling),
        ):
            seen = ask(app, events)
        return [seen, ask(app, events)]

    compare(scenario)


@pytest.mark.parametrize("fails", [False, True], ids=["returns", "fails"])
@pytest.mark.parametrize("owners", ["routing", "dependencies.utils", "routing dependencies.utils concurrency"])
@pytest.mark.parametrize("when", MOMENTS)
def test_what_calls_in_a_worker_thread_is_given_the_same(when: str, owners: str, fails: bool) -> None:
    """As New Relic has it: for endpoints and dependencies that are plain functions, and to validate their results."""

    def scenario(f: Any, events: list[Any]) -> Any:
        app = build_at(when, f, events)

        def noting(owner: str, original: Any) -> Any:
            async def run(function: Any, /, *args: Any, **keywords: Any) -> Any:
                name = getattr(function, "__name__", type(function).__name__)
                events.append([owner, name, len(args), sorted(keywords)])
                result = await original(function, *args, **keywords)
                events.append([owner, "done", type(result).__name__])
                if fails:
                    raise Odd("thread")
                return result

            return run

        with ExitStack() as stack:
            for owner in owners.split():
                module: Any = importlib.import_module(f"{f.__name__}.{owner}")
                original = module.run_in_threadpool
                stack.enter_context(mock.patch.object(module, "run_in_threadpool", noting(owner, original)))
            seen = ask(app, events)
        return [seen, ask(app, events)]

    compare(scenario)


@pytest.mark.parametrize("kind", ["generator", "async generator", "coroutine function", "function"])
@pytest.mark.parametrize("response_class", [JSONResponse, StreamingResponse])
def test_endpoint_that_the_solver_replaces_by_one_of_another_kind_is_called_as_that(
    kind: str, response_class: type[Response]
) -> None:
    """While its request is served, and in the next one."""

    def generate() -> Iterator[str]:
        yield "generated"

    async def generate_later() -> AsyncIterator[str]:
        yield "generated"

    async def later() -> str:
        return "later"

    others = {"generator": generate, "async generator": generate_later, "coroutine function": later}

    def scenario(f: Any, events: list[Any]) -> Any:
        app, original = f.FastAPI(), f.routing.solve_dependencies
        app.add_api_route("/plain", lambda: "plain", response_class=response_class)

        @app.get("/later", response_class=response_class)
        async def read() -> Any:
            return "read"

        async def solve(**keywords: Any) -> Any:
            solved = await original(**keywords)
            # What a plain function's replacement returns is awaited by neither if it is a coroutine.
            if kind != "coroutine function" or keywords["dependant"].path == "/later":
                keywords["dependant"].call = others.get(kind, lambda: "other")
            return solved

        with mock.patch.object(f.routing, "solve_dependencies", solve):
            client = TestClient(app, raise_server_exceptions=False)
            answers = [client.get(url) for url in ("/plain", "/later", "/plain", "/later")]
        return [(answer.status_code, answer.text, sorted(answer.headers.items())) for answer in answers]

    compare(scenario)
