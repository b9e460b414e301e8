"""The reference solver: order of calls, sharing, overrides, lifetimes, and what each node takes from the request."""

import contextvars
import threading
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any

import anyio
import pytest
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from ferroapi._engine.reference.solve import solve_values

pytestmark = pytest.mark.anyio

Log = list[str]


class App:
    def __init__(self) -> None:
        self.dependency_overrides: dict[Any, Any] = {}


@asynccontextmanager
async def exit_stacks(scope: MutableMapping[str, Any], log: Log) -> AsyncIterator[AsyncExitStack]:
    """The two stacks as routing opens them, with a mark in the log where the response would be sent."""
    async with AsyncExitStack() as request_stack:
        scope["fastapi_inner_astack"] = request_stack
        async with AsyncExitStack() as function_stack:
            scope["fastapi_function_astack"] = function_stack
            yield request_stack
        log.append("response")


def http_request(query: bytes = b"", headers: tuple[tuple[bytes, bytes], ...] = ()) -> Request:
    return Request({"type": "http", "method": "GET", "query_string": query, "headers": headers, "path_params": {}})


async def solve(
    framework: Any, call: Callable[..., Any], request: Any = None, log: Log | None = None, **options: Any
) -> Any:
    request = request or http_request()
    async with exit_stacks(request.scope, [] if log is None else log) as stack:
        return await framework.utils.solve_dependencies(
            request=request,
            dependant=framework.utils.get_dependant(path="/", call=call),
            async_exit_stack=stack,
            embed_body_fields=False,
            **options,
        )


def graph(framework: Any, log: Log) -> Callable[..., Any]:
    """A graph with every kind of dependency, whose calls are written to the log."""
    p = framework.param_functions

    def leaf(q: int) -> int:
        log.append(f"leaf {q}")
        return q

    async def middle(leaf: Annotated[int, p.Depends(leaf)], h: Annotated[str, p.Header()] = "-") -> str:
        log.append("middle")
        return f"{leaf}{h}"

    def generator(leaf: Annotated[int, p.Depends(leaf)]) -> Any:
        log.append("enter sync")
        yield leaf
        log.append("exit sync")

    async def async_generator(again: Annotated[int, p.Depends(leaf, use_cache=False)]) -> Any:
        log.append("enter async")
        yield again
        log.append("exit async")

    async def function_scoped() -> Any:
        log.append("enter function")
        yield "f"
        log.append("exit function")

    class Instance:
        def __init__(self, z: int = 7) -> None:
            log.append("class")
            self.z = z

    def endpoint(
        a: Annotated[str, p.Depends(middle)],
        b: Annotated[int, p.Depends(generator)],
        c: Annotated[int, p.Depends(async_generator)],
        d: Annotated[str, p.Depends(function_scoped, scope="function")],
        e: Annotated[Instance, p.Depends()],
        f: Annotated[int, p.Depends(leaf)],
        own: Annotated[list[str], p.Query()],
    ) -> None: ...

    return endpoint


@pytest.mark.parametrize("query", [b"q=1&own=x&own=y", b"q=bad", b"", b"q=1&z=no&own=a"])
async def test_calls_values_errors_and_exits_are_those_of_fastapi(query: bytes, ours: Any, theirs: Any) -> None:
    found = []
    for framework in (ours, theirs):
        log: Log = []
        solved = await solve(framework, graph(framework, log), http_request(query, ((b"h", b"!"),)), log)
        values = {name: getattr(value, "z", value) for name, value in solved.values.items()}
        found.append((log, list(values), values, solved.errors, len(solved.dependency_cache)))
    assert found[0] == found[1]


async def test_dependency_with_errors_is_not_called_and_its_siblings_are(ours: Any) -> None:
    log: Log = []
    solved = await solve(ours, graph(ours, log), http_request(b"own=x"), log)
    assert log == ["enter function", "class", "exit function", "response"]
    assert [error["loc"] for error in solved.errors] == [("query", "q")] * 4


@pytest.mark.parametrize("replaced", ["leaf", "generator"])
async def test_overrides_are_used_as_by_fastapi(replaced: str, ours: Any, theirs: Any) -> None:
    found = []
    for framework in (ours, theirs):
        log: Log = []
        endpoint = graph(framework, log)
        dependant = framework.utils.get_dependant(path="/", call=endpoint)
        calls = {
            node.call.__name__: node.call for node in (*dependant.dependencies, *dependant.dependencies[0].dependencies)
        }
        app = App()

        def override(other: str) -> Any:
            yield other

        app.dependency_overrides[calls[replaced]] = override
        request = http_request(b"q=1&other=o&own=x")
        for _ in range(2):
            solved = await solve(framework, endpoint, request, log, dependency_overrides_provider=app)
            values = {name: getattr(value, "z", value) for name, value in solved.values.items()}
            found.append((list(log), values, solved.errors))
            log.clear()
    assert found[0] == found[1] == found[2] == found[3]


async def test_override_keeps_the_scopes_of_the_declaration(ours: Any) -> None:
    p, scopes_type = ours.param_functions, ours.utils.SecurityScopes

    def user() -> None: ...
    def replacement(scopes: scopes_type) -> list[str]:  # type: ignore[valid-type]
        return scopes.scopes  # type: ignore[no-any-return,attr-defined]

    def endpoint(user: Annotated[Any, p.Security(user, scopes=["a", "b"])]) -> None: ...

    app = App()
    app.dependency_overrides[user] = replacement
    solved = await solve(ours, endpoint, dependency_overrides_provider=app)
    assert solved.values == {"user": ["a", "b"]}


async def test_objects_of_the_request_are_passed_by_type(ours: Any) -> None:
    def endpoint(
        request: Request,
        connection: HTTPConnection,
        socket: WebSocket,
        response: Response,
        tasks: ours.utils.BackgroundTasks,
        scopes: ours.utils.SecurityScopes,
    ) -> None: ...

    request = http_request()
    solved = await solve(ours, endpoint, request)
    assert solved.values["request"] is solved.values["connection"] is request
    assert "socket" not in solved.values
    assert solved.values["response"] is solved.response
    assert solved.values["tasks"] is solved.background_tasks
    assert solved.values["scopes"].scopes == []

    scope = {"type": "websocket", "headers": [], "query_string": b""}
    socket = WebSocket(scope, receive=anyio.sleep_forever, send=anyio.sleep)  # type: ignore[arg-type]
    solved = await solve(ours, endpoint, socket)
    assert solved.values["socket"] is solved.values["connection"] is socket
    assert "request" not in solved.values


async def test_response_and_background_tasks_are_shared_by_all_nodes(ours: Any) -> None:
    p, tasks_type = ours.param_functions, ours.utils.BackgroundTasks

    def first(response: Response, tasks: tasks_type) -> Any:  # type: ignore[valid-type]
        response.headers["x"] = "1"
        return tasks

    def endpoint(first: Annotated[Any, p.Depends(first)], response: Response, tasks: tasks_type) -> None: ...  # type: ignore[valid-type]

    solved = await solve(ours, endpoint)
    assert solved.values["first"] is solved.values["tasks"] is solved.background_tasks
    assert solved.response.headers.raw == [(b"x", b"1")]
    assert solved.response.status_code is None


async def test_value_of_a_node_that_refuses_sharing_does_not_replace_the_shared_one(ours: Any) -> None:
    p = ours.param_functions
    made: list[object] = []

    async def make() -> object:
        made.append(object())
        return made[-1]

    def endpoint(
        a: Annotated[object, p.Depends(make)],
        b: Annotated[object, p.Depends(make, use_cache=False)],
        c: Annotated[object, p.Depends(make)],
    ) -> None: ...

    values = (await solve(ours, endpoint)).values
    assert [values["a"], values["b"]] == made
    assert values["c"] is made[0]


async def test_sync_dependency_runs_in_a_worker_thread_with_the_context(ours: Any) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("set")

    def where() -> tuple[int, str]:
        return threading.get_ident(), variable.get()

    def endpoint(where: Annotated[Any, ours.param_functions.Depends(where)]) -> None: ...

    thread, seen = (await solve(ours, endpoint)).values["where"]
    assert thread != threading.get_ident()
    assert seen == "set"


@pytest.mark.parametrize("kind", ["coroutine", "function", "generator", "async generator"])
async def test_concurrency_limit_holds_across_requests(kind: str, ours: Any) -> None:
    running = 0
    most = 0

    def count(change: int) -> None:
        nonlocal running, most
        running += change
        most = max(most, running)

    async def coroutine() -> None:
        count(1)
        await anyio.sleep(0.01)
        count(-1)

    def function() -> None:
        count(1)
        anyio.from_thread.run(anyio.sleep, 0.01)
        count(-1)

    def generator() -> Any:
        function()
        yield

    async def async_generator() -> Any:
        await coroutine()
        yield

    call = {
        "coroutine": coroutine, "function": function, "generator": generator, "async generator": async_generator
    }[kind]  # fmt: skip

    def endpoint(limited: Annotated[None, ours.param_functions.Depends(call, max_concurrency=1)]) -> None: ...

    dependant = ours.utils.get_dependant(path="/", call=endpoint)

    async def one_request() -> None:
        request = http_request()
        async with exit_stacks(request.scope, []) as stack:
            await ours.utils.solve_dependencies(
                request=request, dependant=dependant, async_exit_stack=stack, embed_body_fields=False
            )

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(one_request)
    assert most == 1


async def test_exit_of_async_generators_survives_cancellation(ours: Any) -> None:
    log: Log = []

    async def outer() -> Any:
        try:
            yield
        finally:
            await anyio.sleep(0)
            log.append("outer closed")

    async def inner(outer: Annotated[Any, ours.param_functions.Depends(outer)]) -> Any:
        try:
            yield
        finally:
            await anyio.sleep(0)
            log.append("inner closed")

    def endpoint(inner: Annotated[Any, ours.param_functions.Depends(inner)]) -> None: ...

    request = http_request()
    with anyio.CancelScope() as scope:
        async with exit_stacks(request.scope, []) as stack:
            await ours.utils.solve_dependencies(
                request=request,
                dependant=ours.utils.get_dependant(path="/", call=endpoint),
                async_exit_stack=stack,
                embed_body_fields=False,
            )
            scope.cancel()
            await anyio.sleep(1)
    assert log == ["inner closed", "outer closed"]
    assert request.scope["fastapi_async_cleanup_scopes"] == {}


@pytest.mark.parametrize("missing", ["fastapi_inner_astack", "fastapi_function_astack"])
async def test_missing_exit_stack_is_said(missing: str, ours: Any) -> None:
    request = http_request()
    async with exit_stacks(request.scope, []) as stack:
        del request.scope[missing]
        with pytest.raises(AssertionError, match=f"{missing} not found in request scope"):
            await ours.utils.solve_dependencies(
                request=request, dependant=ours.utils.Dependant(), async_exit_stack=stack, embed_body_fields=False
            )


async def test_assigned_call_is_the_one_called(ours: Any) -> None:
    """Instrumentation replaces `dependant.call`, possibly by a callable of another kind."""

    def original() -> str:
        raise AssertionError("replaced")

    async def replacement() -> str:
        return "replacement"

    def endpoint(value: Annotated[str, ours.param_functions.Depends(original)]) -> None: ...

    dependant = ours.utils.get_dependant(path="/", call=endpoint)
    dependant.dependencies[0].call = replacement
    request = http_request()
    async with exit_stacks(request.scope, []) as stack:
        solved = await ours.utils.solve_dependencies(
            request=request, dependant=dependant, async_exit_stack=stack, embed_body_fields=False
        )
    assert solved.values == {"value": "replacement"}


async def test_node_values_are_those_of_the_request_alone(ours: Any) -> None:
    def endpoint(request: Request, body: dict[str, int]) -> None: ...

    request = http_request()
    dependant = ours.utils.get_dependant(path="/", call=endpoint)
    node = await solve_values(
        request=request,
        dependant=dependant,
        body={"a": 1},
        embed_body_fields=False,
        background_tasks=None,
        response=Response(),
    )
    assert node.values == {"body": {"a": 1}, "request": request}
    assert (node.errors, node.background_tasks) == ([], None)
