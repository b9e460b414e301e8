"""What is taken out for a while is put back, whatever comes between: a panic, a failure, a cancellation."""

import asyncio
import importlib
import threading
from collections.abc import AsyncIterator
from contextvars import copy_context
from types import ModuleType
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.testclient import TestClient
from tests.server.exchange import converse

from ferroapi import Depends, FastAPI, _core
from ferroapi._engine import disconnect
from ferroapi.server import HTTPProtocol

from .asgi import http_scope
from .test_soundness import PANIC

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
BROKEN = b"GET /broken HTTP/1.1\r\nHost: x\r\n\r\n"


class _Headers:
    def __iter__(self) -> Any:
        raise PANIC("broken")


async def _fails_late(scope: Any, receive: Any, send: Any) -> None:
    headers: Any = _Headers() if scope["path"] == "/broken" else [(b"content-length", b"1")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"a"})


async def _fails_at_once(scope: Any, receive: Any, send: Any) -> None:
    raise PANIC("broken")


async def _fails_after_a_wait(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(0)
    raise PANIC("broken")


@pytest.mark.parametrize("application", [_fails_at_once, _fails_after_a_wait])
def test_panic_of_an_application_on_the_protocol_is_answered(application: Any) -> None:
    _, answer, closed = converse(HTTPProtocol, application, [GET])
    assert answer.startswith(b"HTTP/1.1 500 ") and answer.endswith(b"Internal Server Error") and closed


def test_panic_while_a_response_is_written_loses_nothing_of_those_before() -> None:
    _, answers, closed = converse(HTTPProtocol, _fails_late, [GET + GET + BROKEN])
    assert answers.count(b"HTTP/1.1 200 ") == 2 and answers.endswith(b"\r\n\r\na") and closed


def test_panic_in_a_worker_thread_is_told_to_who_waits() -> None:
    def panics() -> None:
        raise PANIC("broken")

    queue = _core.WorkQueue(threading.local())
    worker = threading.Thread(target=queue.get, daemon=True)
    worker.start()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="ferroapi failed: broken"):
            queue.call(copy_context(), panics)
    queue.put_nowait(None)
    worker.join(10)
    assert not worker.is_alive()


def test_failure_to_watch_a_client_ends_the_request_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(self: Any) -> None:
        raise LookupError("no task")

    monkeypatch.setattr(disconnect.Watch, "begin", begin)
    app, seen = FastAPI(cancel_on_disconnect=True), []

    @app.exception_handler(LookupError)
    async def handle(request: Request, error: Exception) -> Response:
        return Response(str(error), 503)

    async def opened() -> AsyncIterator[None]:
        try:
            yield
        finally:
            seen.append("closed")

    async def waits() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            seen.append("given up")

    app.get("/", dependencies=[Depends(opened)])(waits)
    answer = TestClient(app).get("/")
    assert (answer.status_code, answer.text, seen) == (503, "no task", ["given up", "closed"])


async def _request(app: Any, path: str = "/") -> list[Any]:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(http_scope(path), receive, send)
    return sent


FRAMEWORKS = [importlib.import_module(name) for name in ("fastapi", "ferroapi")]


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("is_overridden", [False, True])
def test_cancelled_request_calls_no_other_dependency_in_its_thread(framework: ModuleType, is_overridden: bool) -> None:
    app, called, begun, go_on = framework.FastAPI(), [], threading.Event(), threading.Event()

    def first() -> None:
        begun.set()
        go_on.wait(10)

    def second() -> None:
        called.append("second")

    app.get("/", dependencies=[framework.Depends(first), framework.Depends(second)])(lambda: None)
    if is_overridden:
        app.dependency_overrides[_request] = _request

    async def run() -> None:
        task = asyncio.create_task(_request(app))
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()
        # What the thread does next has been done when it takes another call, or when its pool ends.
        await asyncio.sleep(0.1)

    asyncio.run(run())
    assert not called


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_methods_that_cannot_be_asked_fail_as_the_first_route_does(framework: ModuleType) -> None:
    class Methods(set[str]):
        def __contains__(self, method: object) -> bool:
            raise LookupError(self.pop())

    app = framework.FastAPI()
    for name in ("first", "second"):
        app.get("/")(lambda: None)
        app.routes[-1].methods = Methods({name})
    with pytest.raises(LookupError, match="first"):
        asyncio.run(_request(app))
