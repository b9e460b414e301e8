"""Timeouts, cancellation, disconnects and tasks around `call_next` act as under FastAPI, where a task group does it.

Each scenario is a function of the framework and returns what was seen; the framework is the only difference.
"""

import asyncio
import importlib
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from types import ModuleType
from typing import Any

import anyio
import anyio.from_thread
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

Scenario = Callable[[ModuleType], Awaitable[Any]]
SCENARIOS: list[Any] = []


def scenario(function: Scenario) -> Scenario:
    SCENARIOS.append(pytest.param(function, id=function.__name__))
    return function


def scope(path: str = "/") -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [],
    }


class Client:
    """A client that may hang up after some messages."""

    def __init__(self, hangs_up_after: int | None = None) -> None:
        self.messages: list[Any] = []
        self.hangs_up_after = hangs_up_after
        self.gone = asyncio.Event()
        self.asked = False

    async def receive(self) -> Any:
        if not self.asked:
            self.asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.messages.append((message["type"], message.get("status"), message.get("body")))
        if self.hangs_up_after == len(self.messages):
            self.gone.set()


async def ask(app: Any, client: Client | None = None, path: str = "/") -> Any:
    """Serve one request; return the messages and the exception."""
    client = client or Client()
    raised = None
    try:
        await app(scope(path), client.receive, client.send)
    except BaseException as error:
        raised = (type(error).__name__, str(error) if isinstance(error, Exception) else "")
    return client.messages, raised


async def warm(app: Any) -> None:
    """Let an application build its middleware, so that what is compared is the native way."""
    await ask(app, path="/nowhere")


async def passes(request: Request, call_next: Any) -> Response:
    """Pass the request on, and return what comes of it."""
    response: Response = await call_next(request)
    return response


@scenario
async def an_asyncio_timeout_in_the_middleware_leaves_the_endpoint_alone(f: ModuleType) -> Any:
    app, log = f.FastAPI(), []

    @app.get("/")
    async def slow() -> None:
        try:
            await asyncio.sleep(0.3)
            log.append("endpoint ended")
        except asyncio.CancelledError:
            log.append("endpoint cancelled")
            raise

    @app.middleware("http")
    async def limit(request: Request, call_next: Any) -> Response:
        try:
            async with asyncio.timeout(0.05):
                response: Response = await call_next(request)
                return response
        except TimeoutError:
            log.append("too late")
            return PlainTextResponse("too late", status_code=504)

    await warm(app)
    return await ask(app), log


@scenario
async def an_anyio_timeout_in_the_middleware_leaves_the_endpoint_alone(f: ModuleType) -> Any:
    app, log = f.FastAPI(), []

    @app.get("/")
    async def slow() -> None:
        try:
            await anyio.sleep(0.3)
            log.append("endpoint ended")
        except asyncio.CancelledError:
            log.append("endpoint cancelled")
            raise

    @app.middleware("http")
    async def limit(request: Request, call_next: Any) -> Response:
        with anyio.move_on_after(0.05):
            response: Response = await call_next(request)
            return response
        log.append("too late")
        return PlainTextResponse("too late", status_code=504)

    await warm(app)
    return await ask(app), log


@scenario
async def a_timeout_inside_the_endpoint_ends_the_endpoint_only(f: ModuleType) -> Any:
    app, log = f.FastAPI(), []

    @app.get("/")
    async def slow() -> dict[str, str]:
        with anyio.move_on_after(0.01):
            await asyncio.sleep(5)
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(5)
        except TimeoutError:
            log.append("timed out")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(5), 0.01)
        return {"ok": "yes"}

    @app.middleware("http")
    async def passes(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        log.append(response.status_code)
        return response

    await warm(app)
    return await ask(app), log


def _cancellable(f: ModuleType, log: list[Any]) -> Any:
    app = f.FastAPI()

    async def resource() -> AsyncIterator[None]:
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.005)
            log.append("released")

    @app.get("/")
    async def slow(_: Any = f.Depends(resource)) -> None:
        log.append("started")
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            log.append("endpoint cancelled")
            try:
                await asyncio.sleep(0.001)
                log.append("cleaned up")
            except asyncio.CancelledError:
                log.append("cancelled again")
            raise

    for name in ("inner", "outer"):

        def add(name: str) -> None:
            @app.middleware("http")
            async def passes(request: Request, call_next: Any) -> Response:
                try:
                    response: Response = await call_next(request)
                    return response
                except asyncio.CancelledError:
                    log.append(f"{name} cancelled")
                    raise

        add(name)
    return app


@scenario
async def a_request_is_cancelled_by_its_server(f: ModuleType) -> Any:
    log: list[Any] = []
    app = _cancellable(f, log)
    await warm(app)
    task = asyncio.ensure_future(ask(app))
    await asyncio.sleep(0.02)
    task.cancel()
    return await task, log


@scenario
async def a_request_is_cancelled_by_a_scope_around_it(f: ModuleType) -> Any:
    log: list[Any] = []
    app = _cancellable(f, log)
    await warm(app)
    client = Client()
    with anyio.move_on_after(0.02) as around:
        await app(scope(), client.receive, client.send)
    return client.messages, around.cancelled_caught, log


@scenario
async def a_middleware_fails_while_the_endpoint_streams(f: ModuleType) -> Any:
    app, log = f.FastAPI(), []

    @app.get("/")
    async def stream() -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x"
                    await asyncio.sleep(0.001)
            finally:
                log.append("stream ended")

        return StreamingResponse(chunks())

    @app.middleware("http")
    async def fails(request: Request, call_next: Any) -> Response:
        await call_next(request)
        await asyncio.sleep(0.005)
        raise KeyError("middleware")

    await warm(app)
    return await ask(app), log


@scenario
async def a_client_hangs_up_while_the_endpoint_streams(f: ModuleType) -> Any:
    app, log = f.FastAPI(), []

    @app.get("/")
    async def stream() -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x"
                    await asyncio.sleep(0.001)
            finally:
                log.append("stream ended")

        return StreamingResponse(chunks())

    for _ in range(3):
        app.middleware("http")(passes)

    await warm(app)
    messages, raised = await asyncio.wait_for(ask(app, Client(hangs_up_after=4)), 60)
    return messages[:4], raised, log


@scenario
async def an_endpoint_waits_for_the_disconnect(f: ModuleType) -> Any:
    app, log = f.FastAPI(), []

    @app.get("/")
    async def watch(request: Request) -> dict[str, Any]:
        seen = [(await request.receive())["type"]]
        client.gone.set()
        seen.append((await request.receive())["type"])
        return {"seen": seen, "gone": await request.is_disconnected()}

    for _ in range(2):

        @app.middleware("http")
        async def passes(request: Request, call_next: Any) -> Response:
            response: Response = await call_next(request)
            log.append(await request.is_disconnected())
            return response

    await warm(app)
    client = Client()
    return await ask(app, client), log


@scenario
async def a_background_task_sees_the_disconnect_after_the_response(f: ModuleType) -> Any:
    app, log = f.FastAPI(), []

    @app.get("/")
    async def endpoint(request: Request, tasks: f.BackgroundTasks) -> dict[str, str]:  # type: ignore[name-defined]
        async def later() -> None:
            log.append((await request.receive())["type"])

        tasks.add_task(later)
        await request.body()
        return {"a": "b"}

    app.middleware("http")(passes)

    await warm(app)
    return await asyncio.wait_for(ask(app), 60), log


@scenario
async def each_call_of_what_is_below_has_a_task_of_its_own(f: ModuleType) -> Any:
    app = f.FastAPI()
    tasks: list[Any] = []

    @app.get("/")
    async def endpoint() -> dict[str, str]:
        tasks.append(asyncio.current_task())
        await asyncio.sleep(0)
        tasks.append(asyncio.current_task())
        return {"a": "b"}

    for _ in range(2):

        @app.middleware("http")
        async def passes(request: Request, call_next: Any) -> Response:
            tasks.append(asyncio.current_task())
            response: Response = await call_next(request)
            tasks.append(asyncio.current_task())
            return response

    await warm(app)
    tasks.clear()
    await ask(app)
    await asyncio.sleep(0)
    known = list(dict.fromkeys(tasks))
    return [known.index(task) for task in tasks], [task.done() for task in known[1:]], len(asyncio.all_tasks())


@scenario
async def a_message_of_a_sender_that_was_cancelled_is_not_sent(f: ModuleType) -> Any:
    app, log = f.FastAPI(), []

    async def below(_: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with anyio.move_on_after(0.01) as around:
            await send({"type": "http.response.body", "body": b"late", "more_body": True})
        log.append(around.cancelled_caught)
        await send({"type": "http.response.body", "body": b"in time"})

    app.mount("/", below)

    @app.middleware("http")
    async def waits(request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        await asyncio.sleep(0.03)
        return response

    await warm(app)
    log.clear()
    return await ask(app), log


@scenario
async def what_is_below_sends_from_tasks_of_its_own(f: ModuleType) -> Any:
    app = f.FastAPI()

    async def below(_: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(send, {"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.create_task(send({"type": "http.response.body", "body": b"one", "more_body": True}))
        await asyncio.wait_for(send({"type": "http.response.body", "body": b"two"}), 60)

    app.mount("/", below)

    for _ in range(2):
        app.middleware("http")(passes)

    await warm(app)
    return await ask(app)


@scenario
async def what_is_below_sends_something_unknown(f: ModuleType) -> Any:
    app = f.FastAPI()

    async def below(_: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.trailers", "headers": []})

    app.mount("/", below)

    app.middleware("http")(passes)

    await warm(app)
    return await ask(app)


@scenario
async def a_task_that_the_endpoint_started_is_its_own(f: ModuleType) -> Any:
    app, log = f.FastAPI(), []

    @app.get("/")
    async def endpoint() -> dict[str, list[int]]:
        async def work(number: int) -> int:
            await asyncio.sleep(0.001)
            return number

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work(number)) for number in range(3)]
        async with anyio.create_task_group() as others:
            for number in range(3):
                others.start_soon(work, number)
        return {"numbers": [task.result() for task in tasks] + await asyncio.gather(work(4), work(5))}

    app.middleware("http")(passes)

    await warm(app)
    return await ask(app), log


@scenario
async def a_task_that_was_started_runs_while_the_endpoint_yields_once(f: ModuleType) -> Any:
    app, log = f.FastAPI(), []

    async def work() -> None:
        log.append("task")

    @app.get("/")
    async def endpoint() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        log.append("endpoint")
        await task

    app.middleware("http")(passes)

    await warm(app)
    return await ask(app), log


@scenario
async def a_failing_task_group_in_the_endpoint(f: ModuleType) -> Any:
    app, log = f.FastAPI(), []

    @app.get("/")
    async def endpoint() -> None:
        async def fail() -> None:
            raise KeyError("in a task")

        async with anyio.create_task_group() as group:
            group.start_soon(fail)
            await anyio.sleep(5)

    @app.middleware("http")
    async def sees(request: Request, call_next: Any) -> Response:
        try:
            response: Response = await call_next(request)
            return response
        except BaseException as error:
            log.append(repr(error))
            raise

    await warm(app)
    return await ask(app), log


@scenario
async def many_requests_at_once(f: ModuleType) -> Any:
    app, log = f.FastAPI(), []

    @app.get("/")
    async def endpoint(request: Request) -> dict[str, Any]:
        await asyncio.sleep(0.001)
        return {"seen": request.state.number}

    @app.get("/thread")
    def thread(request: Request) -> dict[str, Any]:
        return {"seen": request.state.number}

    for _ in range(2):

        @app.middleware("http")
        async def numbers(request: Request, call_next: Any) -> Response:
            request.state.number = getattr(request.state, "number", 0) + 1
            response: Response = await call_next(request)
            response.headers["x-number"] = str(request.state.number)
            return response

    await warm(app)
    return sorted(map(repr, await asyncio.gather(*(ask(app) for _ in range(20))))), log


@scenario
async def a_middleware_that_fails_waits_for_the_thread_of_the_endpoint(f: ModuleType) -> Any:
    """The thread is told that it is cancelled, and the request is not over before it has ended."""
    app, log = f.FastAPI(), []
    begun = threading.Event()

    @app.get("/")
    def slow() -> None:
        begun.set()
        try:
            for _ in range(50):
                anyio.from_thread.check_cancelled()
                time.sleep(0.002)
            log.append("endpoint was not told")
        except asyncio.CancelledError:
            time.sleep(0.05)
            log.append("endpoint cancelled")
            raise

    @app.get("/short")
    def short() -> None: ...

    @app.middleware("http")
    async def fail(request: Request, call_next: Any) -> Any:
        if request.url.path == "/short":
            return await call_next(request)
        await asyncio.wait_for(call_next(request), 0.02)

    await warm(app)
    for _ in range(3):
        await ask(app, path="/short")
    seen = []
    for _ in range(3):
        begun.clear()
        seen.append(await ask(app))
        assert begun.is_set()
        log.append("request is over")
    return seen, log


@pytest.mark.parametrize("run", SCENARIOS)
def test_tasks_and_cancellation_are_as_under_fastapi(run: Scenario) -> None:
    theirs, ours = (asyncio.run(run(importlib.import_module(name))) for name in ("fastapi", "ferroapi"))
    assert ours == theirs


def test_under_trio_the_answer_is_the_same() -> None:
    import trio

    def served(name: str) -> Any:
        app = importlib.import_module(name).FastAPI()

        @app.get("/")
        async def endpoint() -> dict[str, str]:
            await anyio.sleep(0)
            return {"a": "b"}

        @app.middleware("http")
        async def marks(request: Request, call_next: Any) -> Response:
            response: Response = await call_next(request)
            response.headers["x-a"] = "1"
            return response

        async def serve() -> list[Any]:
            sent: list[Any] = []

            async def receive() -> Any:
                return {"type": "http.request"}

            async def send(message: Any) -> None:
                sent.append(message)

            for _ in range(2):
                await app(scope(), receive, send)
            return sent

        return trio.run(serve)

    assert served("ferroapi") == served("fastapi")
