"""The awaitable that runs a request: how it suspends, is cancelled, thrown into and closed, beside FastAPI's coroutine.

Each scenario is an application of one endpoint; what its code logs and what the server sees must be equal.
"""

import asyncio
import contextvars
import importlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any

import anyio
import anyio.to_thread
import fastapi
import pytest

import ferroapi

from .asgi import Answer, answers, ask, http_scope

FRAMEWORKS = ("fastapi", "ferroapi")
VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")


class Gate:
    """An awaitable that shows its name to whoever steps the request by hand."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __await__(self) -> Iterator[Any]:
        return (yield self)


class Wait:
    """A gate for real tasks: it opens when told to, and tells when it is reached."""

    def __init__(self, closed_at: str | None = None) -> None:
        self.closed_at = closed_at
        self.reached = asyncio.Event()

    async def at(self, name: str) -> None:
        if name == self.closed_at:
            self.reached.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)


def application(framework: str, log: list[Any], gate: Callable[[str], Any], *, kind: str = "async") -> Any:
    """An endpoint under dependencies of each kind and scope, which log what happens to them and stop at every gate."""
    fastapi = importlib.import_module(framework)
    app = fastapi.FastAPI(openapi_url=None)

    async def outer() -> Any:
        await gate("outer enters")
        try:
            yield "outer"
        except BaseException as error:
            log.append(("outer caught", type(error).__name__))
            raise
        finally:
            await gate("outer leaves")
            log.append("outer left")

    def in_thread() -> Any:
        try:
            yield "in thread"
        except BaseException as error:
            log.append(("in thread caught", type(error).__name__))
            raise
        finally:
            log.append("in thread left")

    async def inner(
        outer: Annotated[str, fastapi.Depends(outer)], in_thread: Annotated[str, fastapi.Depends(in_thread)]
    ) -> Any:
        await gate("inner enters")
        try:
            yield f"inner of {outer} and {in_thread}"
        except BaseException as error:
            log.append(("inner caught", type(error).__name__))
            raise
        finally:
            await gate("inner leaves")
            log.append("inner left")

    async def plain(inner: Annotated[str, fastapi.Depends(inner, scope="function")]) -> str:
        await gate("plain")
        log.append("plain")
        return f"plain of {inner}"

    async def background() -> None:
        log.append("background starts")
        await gate("background")
        log.append("background ends")

    async def endpoint(plain: Annotated[str, fastapi.Depends(plain)], tasks: fastapi.BackgroundTasks) -> Any:
        tasks.add_task(background)
        log.append("endpoint starts")
        try:
            await gate("endpoint")
        except BaseException as error:
            log.append(("endpoint caught", type(error).__name__))
            raise
        log.append("endpoint ends")
        return [plain]

    def in_worker(plain: Annotated[str, fastapi.Depends(plain)], tasks: fastapi.BackgroundTasks) -> Any:
        tasks.add_task(background)
        log.append(("endpoint", threading.current_thread() is threading.main_thread()))
        return [plain]

    async def own_response(plain: Annotated[str, fastapi.Depends(plain)]) -> Any:
        async def pieces() -> Any:
            yield b"one"
            await gate("stream")
            yield b"two"

        return fastapi.responses.StreamingResponse(pieces())

    async def body(plain: Annotated[str, fastapi.Depends(plain)], content: Annotated[Any, fastapi.Body()]) -> Any:
        log.append(("body", content))
        return content

    endpoints = {"async": endpoint, "sync": in_worker, "stream": own_response, "body": body}
    app.add_api_route("/", endpoints[kind], methods=["POST" if kind == "body" else "GET"])
    return app


class Server:
    """The two channels of a server, whose gates are gates too."""

    def __init__(self, log: list[Any], gate: Callable[[str], Any], *, kind: str) -> None:
        self.log, self.gate, self.kind = log, gate, kind
        self.failing_at: str | None = None
        self.messages: list[dict[str, Any]] = [
            {"type": "http.request", "body": b'{"a":', "more_body": True},
            {"type": "http.request", "body": b"1}", "more_body": False},
        ]

    async def receive(self) -> dict[str, Any]:
        await self.gate("receive")
        if self.kind == "stream":
            # A streaming response listens for the client to go away, which would race with the stream.
            await anyio.sleep_forever()
        return self.messages.pop(0) if self.messages else {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        place = message["type"].removeprefix("http.")
        await self.gate(place)
        if place == self.failing_at:
            raise OSError(f"cannot send {place}")
        self.log.append((place, message.get("status"), message.get("body")))

    def scope(self) -> dict[str, Any]:
        headers = [(b"content-type", b"application/json")]
        return http_scope("/", "POST" if self.kind == "body" else "GET", headers=headers)


async def warm_up(app: Any) -> None:
    await ask(app, http_scope("/nowhere", "TRACE"))


GATES = {
    "async": ["outer enters", "inner enters", "plain", "endpoint", "inner leaves", "response.start", "response.body",
              "background", "outer leaves"],
    "sync": ["plain", "inner leaves", "response.start", "background", "outer leaves"],
    "stream": ["plain", "inner leaves", "response.start", "response.body", "stream", "outer leaves"],
    "body": ["receive", "plain", "response.start"],
}  # fmt: skip
PLACES = [(kind, name) for kind, names in GATES.items() for name in names]


# Cancelled by the task.


def cancelled_log(framework: str, kind: str, place: str) -> list[Any]:
    async def main() -> list[Any]:
        log: list[Any] = []
        wait = Wait()
        app = application(framework, log, wait.at, kind=kind)
        await warm_up(app)
        wait.closed_at = place
        server = Server(log, wait.at, kind=kind)
        task = asyncio.create_task(app(server.scope(), server.receive, server.send))
        await asyncio.wait_for(wait.reached.wait(), 10)
        wait.closed_at = None
        task.cancel("by the server")
        try:
            await task
        except asyncio.CancelledError:
            log.append("cancelled")
        return log

    return asyncio.run(main())


@pytest.mark.parametrize(("kind", "place"), PLACES)
def test_cancellation_unwinds_as_under_fastapi(kind: str, place: str) -> None:
    assert cancelled_log("ferroapi", kind, place) == cancelled_log("fastapi", kind, place)


# Stepped by hand.


# A streaming response has a task of its own, which cannot be stepped by hand.
STEPPED = [(kind, place) for kind, place in PLACES if kind != "stream"]


class Thrown(Exception):
    pass


def stepped_log(framework: str, kind: str, place: str, act: Callable[[Any], Any]) -> list[Any]:
    """Step a request to a gate, act on the coroutine, and step on to its end."""

    async def main() -> list[Any]:
        log: list[Any] = []
        by_hand = False

        async def gate(name: str) -> None:
            if by_hand:
                await Gate(name)

        app = application(framework, log, gate, kind=kind)
        await warm_up(app)
        by_hand = True
        server = Server(log, gate, kind=kind)
        request = app(server.scope(), server.receive, server.send).__await__()
        step: Callable[[], Any] = lambda: request.send(None)  # noqa: E731
        try:
            while True:
                reached = step()
                step = lambda: request.send(None)  # noqa: E731
                if isinstance(reached, Gate) and reached.name == place:
                    step = lambda: act(request)  # noqa: E731
                elif reached is not None and not isinstance(reached, Gate):
                    # A future of a worker thread: wait for it as a task would.
                    reached._asyncio_future_blocking = False
                    await asyncio.wait([reached])
        except StopIteration as stop:
            log.append(("returned", stop.value))
        except BaseException as error:
            log.append(("raised", type(error).__name__))
        return log

    return asyncio.run(main())


@pytest.mark.parametrize(("kind", "place"), STEPPED)
def test_throw_reaches_what_waits_as_under_fastapi(kind: str, place: str) -> None:
    found = {
        name: stepped_log(name, kind, place, lambda request: request.throw(Thrown("thrown"))) for name in FRAMEWORKS
    }
    assert found["ferroapi"] == found["fastapi"]


@pytest.mark.parametrize(("kind", "place"), STEPPED)
def test_a_base_exception_passes_every_handler(kind: str, place: str) -> None:
    found = {
        name: stepped_log(name, kind, place, lambda request: request.throw(KeyboardInterrupt())) for name in FRAMEWORKS
    }
    assert found["ferroapi"] == found["fastapi"]


def closed_log(framework: str, *, steps: int) -> list[Any]:
    """Step a request a few times, and close it as a server does that is shut down hard."""

    async def main() -> list[Any]:
        log: list[Any] = []

        async def endpoint() -> None:
            try:
                await Gate("endpoint")
            except BaseException as error:
                log.append(("endpoint caught", type(error).__name__))
                raise

        async def gate(name: str) -> None:
            if name.startswith("response"):
                await Gate(name)

        app = endpoint_app(framework, endpoint)
        await warm_up(app)
        server = Server(log, gate, kind="async")
        request = app(server.scope(), server.receive, server.send).__await__()
        for _ in range(steps):
            log.append(request.send(None).name)
        request.close()
        with pytest.raises((StopIteration, RuntimeError)):
            request.send(None)
        return log

    return asyncio.run(main())


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_close_reaches_what_waits_as_under_fastapi(steps: int) -> None:
    assert closed_log("ferroapi", steps=steps) == closed_log("fastapi", steps=steps)


def test_driver_cannot_be_awaited_twice() -> None:
    async def main() -> None:
        app = importlib.import_module("ferroapi").FastAPI(openapi_url=None)
        app.add_api_route("/", lambda: 1)
        await warm_up(app)
        server = Server([], Wait().at, kind="async")
        driver = app.router._drive(server.scope(), server.receive, server.send)
        await driver
        with pytest.raises(RuntimeError, match="already awaited"):
            await driver

    asyncio.run(main())


# Failing channels.


def failing_log(framework: str, kind: str, change: Callable[[Server], None]) -> list[Any]:
    async def main() -> list[Any]:
        log: list[Any] = []
        wait = Wait()
        app = application(framework, log, wait.at, kind=kind)
        await warm_up(app)
        server = Server(log, wait.at, kind=kind)
        change(server)
        try:
            await app(server.scope(), server.receive, server.send)
        except Exception as error:
            log.append(("raised", type(error).__name__))
        return log

    return asyncio.run(main())


def fails_at(place: str) -> Callable[[Server], None]:
    def change(server: Server) -> None:
        server.failing_at = place

    return change


def receives(*messages: dict[str, Any]) -> Callable[[Server], None]:
    def change(server: Server) -> None:
        server.messages = list(messages)

    return change


@pytest.mark.parametrize("kind", ["async", "sync", "stream"])
@pytest.mark.parametrize("place", ["response.start", "response.body"])
def test_failing_send_ends_as_under_fastapi(kind: str, place: str) -> None:
    found = [failing_log(framework, kind, fails_at(place)) for framework in FRAMEWORKS]
    assert found[1] == found[0]


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"type": "http.request", "body": b"{", "more_body": True}],
        [{"type": "http.request"}],
        [{"type": "http.request", "body": b"", "more_body": True}, {"type": "http.request", "body": b"[]"}],
        [{"type": "http.unknown"}, {"type": "http.request", "body": b"[1]", "more_body": False}],
        [{"type": "http.request", "body": b"[2]", "more_body": 0}],
    ],
    ids=["disconnected", "disconnected in the middle", "no body", "empty piece first", "unknown message", "falsy"],
)
def test_body_ends_as_under_fastapi(messages: list[dict[str, Any]]) -> None:
    found = [failing_log(framework, "body", receives(*messages)) for framework in FRAMEWORKS]
    assert found[1] == found[0]


# What user code may use.


def endpoint_app(framework: str, endpoint: Any, **options: Any) -> Any:
    app = importlib.import_module(framework).FastAPI(openapi_url=None)
    app.add_api_route("/", endpoint, **options)
    return app


async def after_warm_up(app: Any) -> Answer:
    await warm_up(app)
    return await ask(app, http_scope("/"))


async def with_timeout() -> str:
    try:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(10)
    except TimeoutError:
        return "timed out"
    return "never"


async def with_task_group() -> list[int]:
    async def number(value: int) -> int:
        await asyncio.sleep(0)
        return value

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(number(value)) for value in range(3)]
    return [task.result() for task in tasks]


async def with_failing_task_group() -> str:
    async def fails() -> None:
        raise Thrown

    caught = "nothing"
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fails())
            await asyncio.sleep(10)
    except* Thrown:
        caught = "the group's exception"
    return caught


async def with_cancel_scope() -> bool:
    with anyio.move_on_after(0.01) as scope:
        await anyio.sleep(10)
    return scope.cancelled_caught


async def with_shield() -> str:
    return await asyncio.shield(asyncio.create_task(asyncio.sleep(0, "shielded")))


async def with_current_task() -> bool:
    return asyncio.current_task() is not None


@pytest.mark.parametrize(
    "endpoint",
    [with_timeout, with_task_group, with_failing_task_group, with_cancel_scope, with_shield, with_current_task],
    ids=lambda endpoint: endpoint.__name__,
)
def test_structured_concurrency_works_in_endpoints(endpoint: Any) -> None:
    found = [asyncio.run(after_warm_up(endpoint_app(framework, endpoint))) for framework in FRAMEWORKS]
    assert found[1] == found[0]
    assert found[1].status == 200


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("kind", ["async", "sync", "stream", "body"])
def test_every_backend_of_anyio_runs_requests(backend: str, kind: str) -> None:
    async def gate(name: str) -> None:
        await anyio.sleep(0)

    async def main(framework: str) -> list[Any]:
        log: list[Any] = []
        app = application(framework, log, gate, kind=kind)
        await warm_up(app)
        server = Server(log, gate, kind=kind)
        await app(server.scope(), server.receive, server.send)
        return log

    found = [anyio.run(main, framework, backend=backend) for framework in FRAMEWORKS]
    assert found[1] == found[0]
    assert "outer left" in found[1]


def test_context_variable_is_set_and_reset_in_one_context() -> None:
    def build(framework: str) -> Any:
        fastapi = importlib.import_module(framework)

        async def dependency() -> Any:
            token = VARIABLE.set("by the dependency")
            yield
            VARIABLE.reset(token)

        def in_thread() -> Any:
            VARIABLE.set("by the thread")
            return VARIABLE.get()

        def endpoint(seen: Annotated[str, fastapi.Depends(in_thread)]) -> list[str]:
            return [VARIABLE.get(), seen]

        dependencies = [fastapi.Depends(dependency)]
        return endpoint_app(framework, endpoint, dependencies=dependencies)

    found = [asyncio.run(after_warm_up(build(framework))) for framework in FRAMEWORKS]
    assert found[1] == found[0]
    assert found[1].body == b'["by the dependency","by the thread"]'


def test_plain_endpoints_wait_for_the_limiter() -> None:
    running, most = 0, 0
    lock = threading.Lock()

    def endpoint() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.005)
        with lock:
            running -= 1

    async def main() -> None:
        app = endpoint_app("ferroapi", endpoint)
        await warm_up(app)
        anyio.to_thread.current_default_thread_limiter().total_tokens = 2
        answers = await asyncio.gather(*(ask(app, http_scope("/")) for _ in range(12)))
        assert {answer.status for answer in answers} == {200}

    asyncio.run(main())
    assert most == 2


def test_one_application_serves_two_event_loops() -> None:
    async def endpoint(number: int) -> int:
        await asyncio.sleep(0)
        return number

    app = endpoint_app("ferroapi", endpoint)
    found: dict[str, list[bytes]] = {}

    def serve(name: str) -> None:
        async def main() -> list[bytes]:
            await warm_up(app)
            scopes = [http_scope("/", query=f"number={number}".encode()) for number in range(50)]
            return [answer.body for answer in await asyncio.gather(*(ask(app, scope) for scope in scopes))]

        found[name] = asyncio.run(main())

    threads = [threading.Thread(target=serve, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found["one"] == found["two"] == [str(number).encode() for number in range(50)]


def test_concurrent_requests_do_not_share_anything() -> None:
    async def main(framework: str) -> list[bytes]:
        fastapi = importlib.import_module(framework)

        async def dependency(number: int) -> Any:
            await asyncio.sleep(0.001 * (number % 3))
            yield number
            await asyncio.sleep(0)

        async def endpoint(number: int, same: Annotated[int, fastapi.Depends(dependency)]) -> bool:
            await asyncio.sleep(0.001 * (number % 2))
            return number == same

        app = endpoint_app(framework, endpoint)
        await warm_up(app)
        scopes = [http_scope("/", query=f"number={number}".encode()) for number in range(40)]
        return [answer.body for answer in await asyncio.gather(*(ask(app, scope) for scope in scopes))]

    assert asyncio.run(main("ferroapi")) == [b"true"] * 40


@pytest.mark.parametrize("manager", [contextmanager, asynccontextmanager])
def test_dependency_that_gives_no_generator_fails_as_under_fastapi(manager: Any) -> None:
    """A context manager declared as a dependency looks like a generator function, and is none."""
    failures = []
    for framework in (fastapi, ferroapi):

        def plain() -> Any:
            yield

        async def asynchronous() -> Any:
            yield

        dependency = manager(plain if manager is contextmanager else asynchronous)
        app = framework.FastAPI(openapi_url=None)
        app.add_api_route("/", lambda value: value, dependencies=[framework.Depends(dependency)])
        failures.append(answers(app, [http_scope("/", query=b"value=1")])[0].raised)
    assert failures[0] == failures[1]
    assert failures[0].startswith("TypeError")


def test_messages_are_the_receivers_to_change() -> None:
    """Middleware edits the messages that it is given; those of the next request are as they were."""

    async def main(framework: str) -> list[Any]:
        seen = []

        async def endpoint() -> str:
            return "same"

        async def send(message: dict[str, Any]) -> None:
            seen.append({key: list(value) if key == "headers" else value for key, value in message.items()})
            for value in message.values():
                if isinstance(value, list):
                    value.clear()
            message.clear()

        app = endpoint_app(framework, endpoint)
        await warm_up(app)
        for _ in range(3):
            await app(http_scope("/"), None, send)
        return seen

    seen = {framework: asyncio.run(main(framework)) for framework in FRAMEWORKS}
    assert seen["ferroapi"] == seen["fastapi"]
    assert [list(message) for message in seen["ferroapi"]] == [list(message) for message in seen["fastapi"]]
