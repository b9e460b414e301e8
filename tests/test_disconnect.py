"""A client that leaves while its endpoint waits, on a server of each kind and with plain ASGI."""

import asyncio
import contextlib
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import pytest
import uvicorn
from starlette.types import Message

import ferroapi
from ferroapi import APIRouter, BackgroundTasks, Depends, FastAPI, Request, WebSocket
from ferroapi._engine import disconnect
from ferroapi.routing import APIRoute
from ferroapi.server import HTTPProtocol

SERVERS = [pytest.param(HTTPProtocol, id="ours"), "httptools", "h11"]
HTTP_REQUEST: Message = {"type": "http.request", "body": b"", "more_body": False}
GONE: Message = {"type": "http.disconnect"}


class Client:
    """The ASGI channels of one request; what the client does is put into them."""

    def __init__(self, path: str = "/", method: str = "GET", **scope: Any) -> None:
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [],
            "client": ("testclient", 1),
            "server": ("testserver", 80),
            "scheme": "http",
            **scope,
        }
        self.coming: asyncio.Queue[Message | Exception] = asyncio.Queue()
        self.sent: list[Message] = []
        self.asked = 0
        self.waiting = 0

    def does(self, *messages: Message | Exception) -> "Client":
        for message in messages:
            self.coming.put_nowait(message)
        return self

    async def receive(self) -> Message:
        self.asked += 1
        self.waiting += 1
        try:
            message = await self.coming.get()
        finally:
            self.waiting -= 1
        if isinstance(message, Exception):
            raise message
        return message

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    def start(self, app: FastAPI) -> asyncio.Task[None]:
        return asyncio.create_task(app(self.scope, self.receive, self.send))  # type: ignore[arg-type]

    @property
    def status(self) -> int | None:
        return self.sent[0]["status"] if self.sent else None


def waiting_app(events: list[str], **options: Any) -> FastAPI:
    """An application whose endpoint waits, with a dependency that is torn down."""
    app = FastAPI(**options)

    async def session() -> AsyncIterator[int]:
        events.append("opened")
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            events.append("closed")

    @app.get("/")
    async def wait(session: int = Depends(session)) -> str:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError as cancelled:
            events.append(f"cancelled: {cancelled}")
            raise
        return "whole"  # pragma: no cover

    @app.get("/thread")
    def block(session: int = Depends(session)) -> str:
        time.sleep(0.3)
        events.append("returned")
        return "whole"

    return app


CANCELLED = ["opened", "cancelled: the client has left", "closed"]


@contextlib.asynccontextmanager
async def served(app: Any, http: Any) -> AsyncIterator[tuple[str, int]]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app, http=http, lifespan="off", log_level="warning")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield listening.getsockname()
        finally:
            server.should_exit = True
            await serving


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def leave(address: tuple[str, int], path: str, is_under_way: Callable[[], Any]) -> None:
    """Ask, and leave once the request is under way."""
    _, writer = await asyncio.open_connection(*address)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await until(is_under_way)
    await asyncio.sleep(0.05)
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("http", SERVERS)
def test_client_that_leaves_cancels_its_endpoint(http: Any, caplog: pytest.LogCaptureFixture) -> None:
    events: list[str] = []
    caplog.set_level(logging.DEBUG, "fastapi")

    async def main() -> None:
        async with served(waiting_app(events, cancel_on_disconnect=True), http) as address:
            await leave(address, "/", lambda: "opened" in events)
            await until(lambda: "closed" in events)

    asyncio.run(main())
    assert events == CANCELLED
    assert [record.getMessage() for record in caplog.records if record.name == "fastapi"] == [
        "The client has left, GET / is cancelled"
    ]
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]


@pytest.mark.parametrize("http", SERVERS)
def test_endpoint_in_a_thread_ends_before_its_teardown(http: Any) -> None:
    events: list[str] = []

    async def main() -> None:
        async with served(waiting_app(events, cancel_on_disconnect=True), http) as address:
            await leave(address, "/thread", lambda: "opened" in events)
            await until(lambda: "closed" in events)

    asyncio.run(main())
    assert events == ["opened", "returned", "closed"]


@pytest.mark.parametrize("http", SERVERS)
def test_client_that_leaves_cancels_nothing_by_default(http: Any) -> None:
    events: list[str] = []
    app = FastAPI()

    @app.get("/")
    async def wait() -> None:
        events.append("began")
        await asyncio.sleep(0.3)
        events.append("ended")

    async def main() -> None:
        async with served(app, http) as address:
            await leave(address, "/", lambda: "began" in events)
            await until(lambda: "ended" in events)

    asyncio.run(main())


@pytest.mark.parametrize("http", SERVERS)
def test_middleware_sees_an_empty_response_of_a_client_that_left(http: Any, caplog: pytest.LogCaptureFixture) -> None:
    events: list[str] = []
    app = waiting_app(events, cancel_on_disconnect=True)
    statuses: list[int] = []

    @app.middleware("http")
    async def note_status(request: Request, call_next: Callable[[Request], Awaitable[Any]]) -> Any:
        response = await call_next(request)
        statuses.append(response.status_code)
        return response

    async def main() -> None:
        async with served(app, http) as address:
            await leave(address, "/", lambda: "opened" in events)
            await until(lambda: statuses)

    asyncio.run(main())
    assert statuses == [disconnect.CLIENT_CLOSED_REQUEST]
    assert events == CANCELLED
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


@pytest.mark.parametrize("http", SERVERS)
def test_request_after_one_that_was_cancelled_is_answered(http: Any) -> None:
    """A cancellation is of one request: neither its task nor its connection meets another one."""
    events: list[str] = []
    app = waiting_app(events, cancel_on_disconnect=True)

    @app.get("/cancelling")
    async def cancelling() -> int:
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    async def main() -> None:
        async with served(app, http) as address:
            for _ in range(3):
                events.clear()
                await leave(address, "/", lambda: "opened" in events)
                await until(lambda: "closed" in events)
                reader, writer = await asyncio.open_connection(*address)
                writer.write(b"GET /cancelling HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                assert (await reader.read()).endswith(b"\r\n\r\n0")
                writer.close()

    asyncio.run(main())


LEVELS = [
    # application, router, include, path operation; whether it is cancelled
    (None, None, None, None, False),
    (True, None, None, None, True),
    (None, True, None, None, True),
    (None, None, True, None, True),
    (None, None, None, True, True),
    (True, False, None, None, False),
    (True, None, False, None, False),
    (True, None, None, False, False),
    (False, True, False, None, True),
    (False, False, False, True, True),
]


@pytest.mark.parametrize(("application", "router", "include", "operation", "expected"), LEVELS)
def test_innermost_setting_counts(
    application: bool | None, router: bool | None, include: bool | None, operation: bool | None, expected: bool
) -> None:
    app = FastAPI(cancel_on_disconnect=application)
    below = APIRouter(cancel_on_disconnect=router)
    was_cancelled: list[bool] = []

    @below.get("/", cancel_on_disconnect=operation)
    async def wait() -> None:
        try:
            await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            was_cancelled.append(True)
            raise
        was_cancelled.append(False)

    app.include_router(below, prefix="/below", cancel_on_disconnect=include)

    async def main() -> None:
        await Client("/below/").does(HTTP_REQUEST, GONE).start(app)

    asyncio.run(main())
    assert was_cancelled == [expected]


def test_endpoint_that_never_suspends_asks_for_nothing() -> None:
    app = FastAPI(cancel_on_disconnect=True)

    @app.get("/")
    async def answer() -> str:
        return "whole"

    async def main() -> Client:
        client = Client().does(HTTP_REQUEST, GONE)
        await client.start(app)
        return client

    client = asyncio.run(main())
    assert (client.status, client.asked) == (200, 0)


class Conducted(APIRoute):
    """A route whose handler is wrapped: the driver calls it."""

    def get_route_handler(self) -> Any:
        handler = super().get_route_handler()

        async def wrapped(request: Request) -> Any:
            return await handler(request)

        return wrapped


@pytest.fixture(params=["native", "wrapped handler", "python"])
def router(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> APIRouter:
    """A router whose path operations are run by the driver, by its own handler, and by Python."""
    if request.param == "python":
        serialize = ferroapi.routing.serialize_response
        monkeypatch.setattr(ferroapi.routing, "serialize_response", lambda **options: serialize(**options))
    route_class = Conducted if request.param == "wrapped handler" else APIRoute
    return APIRouter(route_class=route_class, cancel_on_disconnect=True)


def included(router: APIRouter) -> FastAPI:
    app = FastAPI()
    app.include_router(router)
    return app


def test_messages_that_came_meanwhile_are_given_to_who_asks(router: APIRouter) -> None:
    bodies: list[Any] = []

    @router.post("/")
    async def read(request: Request) -> str:
        await asyncio.sleep(0.05)
        async for chunk in request.stream():
            bodies.append(chunk)
        bodies.append(await request.is_disconnected())
        return "whole"

    async def main() -> Client:
        client = Client(method="POST")
        request = client.start(included(router))
        for body, more in ((b"a", True), (b"b", True), (b"c", False)):
            client.does({"type": "http.request", "body": body, "more_body": more})
            await asyncio.sleep(0.01)
        await request
        return client

    client = asyncio.run(main())
    assert bodies == [b"a", b"b", b"c", b"", False]
    assert client.status == 200
    assert client.waiting == 0


def test_endpoint_that_waits_for_a_message_is_cancelled(router: APIRouter) -> None:
    events: list[str] = []

    @router.post("/")
    async def read(request: Request) -> None:
        try:
            async for chunk in request.stream():
                events.append(chunk.decode())
        except asyncio.CancelledError:
            events.append("cancelled")
            raise

    async def main() -> Client:
        client = Client(method="POST")
        request = client.start(included(router))
        await asyncio.sleep(0.01)
        client.does({"type": "http.request", "body": b"a", "more_body": True})
        await asyncio.sleep(0.01)
        client.does(GONE)
        await request
        return client

    client = asyncio.run(main())
    assert events == ["a", "cancelled"]
    assert client.status == disconnect.CLIENT_CLOSED_REQUEST


def test_endpoint_that_goes_on_is_answered_and_no_longer_cancelled(router: APIRouter) -> None:
    cancelling: list[int] = []

    async def count() -> None:
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        cancelling.append(task.cancelling())

    @router.get("/")
    async def go_on(background: BackgroundTasks) -> str:
        background.add_task(count)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(5)
        return "whole"

    async def main() -> Client:
        client = Client().does(HTTP_REQUEST, GONE)
        await client.start(included(router))
        return client

    assert asyncio.run(main()).status == 200
    assert cancelling == [0]


def test_structured_concurrency_sees_the_cancellation(router: APIRouter) -> None:
    events: list[str] = []

    async def child(name: str) -> None:
        try:
            await asyncio.sleep(5)
        finally:
            events.append(name)

    @router.get("/")
    async def wait() -> None:
        async with asyncio.timeout(5):
            async with asyncio.TaskGroup() as group:
                group.create_task(child("asyncio"))
                async with anyio.create_task_group() as others:
                    others.start_soon(child, "anyio")

    async def main() -> Client:
        client = Client().does(HTTP_REQUEST)
        request = client.start(included(router))
        await asyncio.sleep(0.02)
        client.does(GONE)
        await request
        return client

    assert asyncio.run(main()).status == disconnect.CLIENT_CLOSED_REQUEST
    assert sorted(events) == ["anyio", "asyncio"]


def test_cancellation_by_somebody_else_goes_through(router: APIRouter) -> None:
    @router.get("/")
    async def wait() -> None:
        await asyncio.sleep(5)

    async def main() -> Client:
        client = Client().does(HTTP_REQUEST)
        request = client.start(included(router))
        await asyncio.sleep(0.02)
        client.does(GONE)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        return client

    client = asyncio.run(main())
    assert client.status is None
    assert client.waiting == 0


def test_response_that_has_begun_is_not_cancelled(router: APIRouter) -> None:
    @router.get("/")
    async def stream() -> ferroapi.Response:
        async def pieces() -> AsyncIterator[str]:
            yield "a"
            await asyncio.sleep(0.05)
            yield "b"

        await asyncio.sleep(0)
        return ferroapi.responses.StreamingResponse(pieces())

    async def main() -> Client:
        client = Client().does(HTTP_REQUEST)
        await client.start(included(router))
        return client

    client = asyncio.run(main())
    assert [message.get("body") for message in client.sent] == [None, b"a", b"b", b""]


def test_exception_that_a_cancellation_becomes_is_answered(router: APIRouter) -> None:
    @router.get("/")
    async def wait() -> None:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            raise ferroapi.HTTPException(418) from None

    async def main() -> Client:
        client = Client().does(HTTP_REQUEST, GONE)
        await client.start(included(router))
        return client

    assert asyncio.run(main()).status == 418


def test_exception_that_a_teardown_raises_is_answered() -> None:
    app = FastAPI(cancel_on_disconnect=True)

    async def session() -> AsyncIterator[int]:
        try:
            yield 1
        except asyncio.CancelledError:
            raise ferroapi.HTTPException(418) from None

    @app.get("/")
    async def wait(session: int = Depends(session)) -> None:
        await asyncio.sleep(5)

    async def main() -> Client:
        client = Client().does(HTTP_REQUEST, GONE)
        await client.start(app)
        return client

    assert asyncio.run(main()).status == 418


def test_body_that_nobody_asks_for_is_kept_up_to_a_limit(router: APIRouter) -> None:
    sizes: list[int] = []

    @router.post("/")
    async def read(request: Request) -> None:
        await asyncio.sleep(0.05)
        sizes.append(client.coming.qsize())
        sizes.extend([len(chunk) async for chunk in request.stream() if chunk])

    async def main() -> None:
        piece = b"x" * (disconnect.MOST_KEPT // 2)
        for more in (True, True, True, True, False):
            client.does({"type": "http.request", "body": piece, "more_body": more})
        await client.start(included(router))

    client = Client(method="POST")
    asyncio.run(main())
    assert sizes == [3, *[disconnect.MOST_KEPT // 2] * 5]


def test_failure_of_receive_is_raised_where_it_is_asked(router: APIRouter) -> None:
    @router.post("/")
    async def read(request: Request) -> str:
        await asyncio.sleep(0.02)
        with pytest.raises(OSError, match=r"^broken$"):
            await request.body()
        return "whole"

    async def main() -> Client:
        client = Client(method="POST").does(OSError("broken"))
        await client.start(included(router))
        return client

    assert asyncio.run(main()).status == 200


def test_dependency_that_waits_is_cancelled() -> None:
    app = FastAPI(cancel_on_disconnect=True)
    called: list[str] = []

    async def slow() -> None:
        await asyncio.sleep(5)

    @app.get("/", dependencies=[Depends(slow)])
    def answer() -> None:
        called.append("endpoint")  # pragma: no cover

    async def main() -> Client:
        client = Client().does(HTTP_REQUEST, GONE)
        await client.start(app)
        return client

    start, body = asyncio.run(main()).sent
    assert start == {"type": "http.response.start", "status": 499, "headers": [(b"content-length", b"0")]}
    assert body == {"type": "http.response.body", "body": b""}
    assert called == []


def test_client_that_left_during_a_thread_cancels_what_comes_after() -> None:
    app = FastAPI(cancel_on_disconnect=True)
    events: list[str] = []
    release = threading.Event()

    def block() -> None:
        release.wait(5)
        events.append("thread")

    @app.get("/", dependencies=[Depends(block)])
    async def wait() -> None:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            events.append("cancelled")
            raise

    async def main() -> None:
        async with served(app, HTTPProtocol) as address:
            await leave(address, "/", lambda: True)
            release.set()
            await until(lambda: "cancelled" in events)

    asyncio.run(main())
    assert events == ["thread", "cancelled"]


def test_websocket_is_left_alone() -> None:
    from ferroapi.testclient import TestClient

    app = FastAPI(cancel_on_disconnect=True)

    @app.websocket("/")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        await asyncio.sleep(0)
        await websocket.send_text(await websocket.receive_text())

    with TestClient(app).websocket_connect("/") as session:
        session.send_text("whole")
        assert session.receive_text() == "whole"


def test_endpoint_under_trio_is_not_watched() -> None:
    from ferroapi.testclient import TestClient

    app = FastAPI(cancel_on_disconnect=True)

    @app.get("/")
    async def wait() -> str:
        await anyio.sleep(0.01)
        return "whole"

    assert TestClient(app, backend="trio").get("/").json() == "whole"


def test_route_says_that_it_is_native() -> None:
    app = FastAPI(cancel_on_disconnect=True, openapi_url=None)

    @app.get("/")
    async def answer() -> None: ...

    assert [each.mode for each in app.explain()] == ["native"]
