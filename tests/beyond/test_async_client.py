"""`AsyncTestClient`: requests, streams, WebSockets and the lifespan in the loop of the test."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from importlib.metadata import version
from typing import Any

import anyio
import pytest
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from ferroapi import BackgroundTasks, FastAPI, Request, Response, WebSocket
from ferroapi.responses import StreamingResponse
from ferroapi.testclient import AsyncTestClient, TestClient

OLD_CLIENT = tuple(map(int, version("httpx2").split(".")[:2])) < (2, 12)

pytestmark = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def make_app(seen: list[str]) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        seen.append("started")
        yield {"pool": "opened"}
        seen.append("stopped")

    app = FastAPI(lifespan=lifespan)

    @app.get("/stream")
    async def stream() -> Response:
        async def parts() -> AsyncIterator[str]:
            for index in range(3):
                yield f"{index},"
                await anyio.sleep(0)

        return StreamingResponse(parts())

    @app.post("/echo")
    async def echo(request: Request, response: Response) -> dict[str, Any]:
        response.set_cookie("known", "yes")
        body = await request.body()
        return {"body": body.decode(), "pool": request.scope["state"].get("pool"), "cookies": request.cookies}

    @app.get("/fail")
    async def fail() -> None:
        raise ValueError("failed")

    @app.get("/fail-later")
    async def fail_later(tasks: BackgroundTasks) -> dict[str, str]:
        async def work() -> None:
            await anyio.sleep(0)
            seen.append("worked")
            raise ValueError("failed later")

        tasks.add_task(work)
        return {}

    @app.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept(subprotocol="chat")
        try:
            while True:
                await websocket.send_json({"got": await websocket.receive_text()})
        except WebSocketDisconnect as disconnect:
            seen.append(f"left {disconnect.code}")

    @app.websocket("/refused")
    async def refused(websocket: WebSocket) -> None:
        await websocket.close(4001)

    @app.websocket("/denied")
    async def denied(websocket: WebSocket) -> None:
        await websocket.send_denial_response(Response("no", status_code=403))

    @app.websocket("/failing")
    async def failing(websocket: WebSocket) -> None:
        await websocket.accept()
        raise ValueError("socket failed")

    return app


def run(backend: str, test: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        with anyio.fail_after(30):
            await test()

    anyio.run(limited, backend=backend)


def test_async_client_answers_what_the_other_one_does(backend: str) -> None:
    async def test() -> None:
        async with AsyncTestClient(make_app([])) as client:
            for _ in range(2):
                answer = await client.post("/echo", content=b"sent")
                answers.append((answer.status_code, answer.json(), answer.headers.raw))
            missing = await client.get("/missing", params={"x": "1"})
            answers.append((missing.status_code, missing.json(), missing.headers.raw))

    answers: list[Any] = []
    run(backend, test)
    with TestClient(make_app([])) as client:
        expected = [client.post("/echo", content=b"sent") for _ in range(2)] + [client.get("/missing?x=1")]

    assert answers == [(each.status_code, each.json(), each.headers.raw) for each in expected]


def test_async_client_runs_the_lifespan_only_where_it_is_entered(backend: str) -> None:
    async def test() -> None:
        client = AsyncTestClient(make_app(seen))
        assert (await client.post("/echo")).json()["pool"] is None
        assert seen == []
        async with client:
            assert (await client.post("/echo")).json()["pool"] == "opened"
            assert seen == ["started"]

    seen: list[str] = []
    run(backend, test)

    assert seen == ["started", "stopped"]


# Before 2.12 httpx2 does not close the generator in which it reads a body: where the body was not read to its end, that
# generator and the transport's are left to the garbage collector, and Trio warns of both.
@pytest.mark.filterwarnings(
    *(["ignore:Exception ignored in. <async_generator:pytest.PytestUnraisableExceptionWarning"] if OLD_CLIENT else [])
)
def test_async_client_reads_a_stream_while_it_is_sent(backend: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            for index in range(1000):
                seen.append(f"part {index}")
                await send({"type": "http.response.body", "body": f"{index},".encode(), "more_body": True})
        finally:
            seen.append("ended")

    async def test() -> None:
        client = AsyncTestClient(app)
        async with client.stream("GET", "/stream") as response, aclosing(response.aiter_raw()) as parts:
            assert [await anext(parts) for _ in range(3)] == [b"0,", b"1,", b"2,"]
            assert len(seen) < 8
        assert seen[-1] == "ended"

    seen: list[str] = []
    run(backend, test)

    assert len(seen) < 10


def test_async_client_reads_a_whole_stream(backend: str) -> None:
    async def test() -> None:
        assert (await AsyncTestClient(make_app([])).get("/stream")).text == "0,1,2,"

    run(backend, test)


def test_async_client_sends_a_body_in_parts(backend: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            await send({"type": "http.response.body", "body": message["body"].upper(), "more_body": more})
        seen.append((await receive())["type"])

    async def test() -> None:
        async def body() -> AsyncIterator[bytes]:
            yield b"a"
            yield b"b"

        assert (await AsyncTestClient(app).post("/", content=body())).content == b"AB"

    seen: list[str] = []
    run(backend, test)

    assert seen == ["http.disconnect"]


def test_async_client_raises_what_the_application_raised(backend: str) -> None:
    async def test() -> None:
        client = AsyncTestClient(make_app(seen))
        with pytest.raises(ValueError, match="failed"):
            await client.get("/fail")
        with pytest.raises(ValueError, match="failed later"):
            await client.get("/fail-later")
        quiet = AsyncTestClient(make_app(seen), raise_server_exceptions=False)
        assert (await quiet.get("/fail")).status_code == 500
        assert (await quiet.get("/fail-later")).status_code == 200

    seen: list[str] = []
    run(backend, test)

    assert seen == ["worked", "worked"]


def test_async_client_raises_what_a_lifespan_raised(backend: str) -> None:
    def failing(before: bool) -> FastAPI:
        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[None]:
            if before:
                raise ValueError("not started")
            yield
            raise ValueError("not stopped")

        return FastAPI(lifespan=lifespan)

    async def test() -> None:
        with pytest.raises(ValueError, match="not started"):
            async with AsyncTestClient(failing(before=True)):
                raise AssertionError
        with pytest.raises(ValueError, match="not stopped"):
            async with AsyncTestClient(failing(before=False)):
                pass

    run(backend, test)


def test_async_client_talks_over_a_websocket(backend: str) -> None:
    async def test() -> None:
        client = AsyncTestClient(make_app(seen))
        async with client.websocket_connect("/socket", subprotocols=["chat"]) as socket:
            assert socket.accepted_subprotocol == "chat"
            await socket.send_text("hello")
            assert await socket.receive_json() == {"got": "hello"}

    seen: list[str] = []
    run(backend, test)

    assert seen == ["left 1000"]


def test_async_client_websocket_raises_on_refusal_and_failure(backend: str) -> None:
    async def test() -> None:
        client = AsyncTestClient(make_app([]))
        with pytest.raises(WebSocketDisconnect) as refused:
            async with client.websocket_connect("/refused"):
                raise AssertionError
        assert refused.value.code == 4001
        with pytest.raises(WebSocketDenialResponse) as denied:
            async with client.websocket_connect("/denied"):
                raise AssertionError
        assert (denied.value.status_code, denied.value.content) == (403, b"no")
        with pytest.raises(ValueError, match="socket failed"):
            async with client.websocket_connect("/failing") as socket:
                await socket.receive_text()

    run(backend, test)


def test_async_client_may_be_left_by_another_task(backend: str) -> None:
    async def test() -> None:
        client = AsyncTestClient(make_app(seen))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.__aenter__)
        assert (await client.post("/echo")).status_code == 200
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.__aexit__)

    seen: list[str] = []
    run(backend, test)

    assert seen == ["started", "stopped"]


def test_async_client_cancelled_request_ends_the_application(backend: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await anyio.sleep(20)
        finally:
            seen.append("ended")

    async def test() -> None:
        with anyio.move_on_after(0.05):
            await AsyncTestClient(app).get("/")

    seen: list[str] = []
    run(backend, test)

    assert seen == ["ended"]
