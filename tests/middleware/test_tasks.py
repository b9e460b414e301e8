"""What is below a middleware function is stepped by hand at first: it waits, and takes turns, as in its own task."""

import asyncio
import importlib
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from failures import add_functions


def _application(framework: str) -> tuple[Any, dict[str, Any]]:
    module = importlib.import_module(framework)
    app, shared = module.FastAPI(), {}

    @app.middleware("http")
    async def pass_on(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    @app.get("/shared")
    async def wait_for_shared() -> int:
        result: int = await shared["future"]
        return result

    @app.get("/turn")
    async def take_turns() -> list[str]:
        log: list[str] = []

        async def other() -> None:
            log.append("other")

        task = asyncio.create_task(other())
        await asyncio.sleep(0)
        log.append("endpoint")
        await task
        return log

    return app, shared


async def _get(app: Any, path: str) -> tuple[int, bytes]:
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b"", "http_version": "1.1"}
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message["body"] for message in sent[1:])


@pytest.mark.parametrize("framework", ["fastapi", "ferroapi"])
def test_tasks_below_middleware_can_wait_for_one_future(framework: str) -> None:
    async def run() -> list[tuple[int, bytes]]:
        app, shared = _application(framework)
        shared["future"] = asyncio.get_running_loop().create_future()
        requests = [asyncio.create_task(_get(app, "/shared")) for _ in range(3)]
        for _ in range(10):
            await asyncio.sleep(0)
        shared["future"].set_result(7)
        return await asyncio.gather(*requests)

    assert asyncio.run(run()) == [(200, b"7")] * 3


@pytest.mark.parametrize("framework", ["fastapi", "ferroapi"])
def test_tasks_below_middleware_give_others_their_turn(framework: str) -> None:
    app, _ = _application(framework)
    assert asyncio.run(_get(app, "/turn")) == (200, b'["other","endpoint"]')


@pytest.mark.parametrize("layers", [0, 1, 2])
@pytest.mark.parametrize("turns", [0, 1])
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt("stop")], ids=repr)
@pytest.mark.parametrize("framework", ["fastapi", "ferroapi"])
def test_what_ends_the_event_loop_ends_it_behind_middleware_too(
    framework: str, error: BaseException, turns: int, layers: int
) -> None:
    app = importlib.import_module(framework).FastAPI()

    async def pass_on(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    for _ in range(layers):
        app.middleware("http")(pass_on)

    @app.get("/")
    async def stop() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        raise error

    @app.get("/first")
    async def first() -> None:
        return None

    scope = {"type": "http", "method": "GET", "query_string": b"", "headers": []}
    messages: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        messages.append(message)

    async def serve() -> None:
        # Steps are made by hand once it is known how.
        await app(scope | {"path": "/first", "raw_path": b"/first"}, receive, send)
        messages.clear()
        # As a server does: it looks after its requests, and awaits none.
        request = asyncio.create_task(app(scope | {"path": "/", "raw_path": b"/"}, receive, send))
        await asyncio.wait({request}, timeout=5)

    loop = asyncio.new_event_loop()
    server = loop.create_task(serve())
    with pytest.raises(type(error)) as raised:
        loop.run_until_complete(server)
    assert (raised.value, messages) == (error, [])
    # What is left of it comes to rest.
    for _ in range(5):
        for task in asyncio.all_tasks(loop):
            task.cancel()
        with suppress(type(error)):
            loop.run_until_complete(asyncio.sleep(0.01))
    assert asyncio.all_tasks(loop) == set()
    loop.close()


def _resumed(framework: str, error: BaseException, turns: int, layers: int, is_late: bool) -> list[Any]:
    """Return what is seen of a request that ends the event loop, which is then resumed."""
    fastapi = importlib.import_module(framework)
    app = fastapi.FastAPI()
    seen: list[Any] = []

    add_functions(app, seen, layers)

    async def fail() -> None:
        raise error

    @app.get("/")
    async def stop(tasks: fastapi.BackgroundTasks) -> None:  # type: ignore[name-defined]
        for _ in range(turns):
            await asyncio.sleep(0)
        if not is_late:
            raise error
        tasks.add_task(fail)

    @app.get("/first")
    async def first() -> None:
        return None

    scope = {"type": "http", "method": "GET", "query_string": b"", "headers": []}

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        seen.append(message["type"])

    async def serve() -> None:
        await app(scope | {"path": "/first", "raw_path": b"/first"}, receive, send)
        request = asyncio.create_task(app(scope | {"path": "/", "raw_path": b"/"}, receive, send))
        await asyncio.wait({request}, timeout=5)
        seen.append(("request", repr(request.exception())))

    loop = asyncio.new_event_loop()
    server = loop.create_task(serve())
    while not server.done():
        try:
            loop.run_until_complete(server)
        except type(error) as raised:
            seen.append(("loop", repr(raised)))
    loop.close()
    return seen


@pytest.mark.parametrize("is_late", [False, True], ids=["endpoint", "background"])
@pytest.mark.parametrize("layers", [0, 1, 2])
@pytest.mark.parametrize("turns", [0, 1])
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt("stop")], ids=repr)
def test_event_loop_that_is_resumed_ends_the_request_as_under_fastapi(
    error: BaseException, turns: int, layers: int, is_late: bool
) -> None:
    ours, theirs = (_resumed(framework, error, turns, layers, is_late) for framework in ("ferroapi", "fastapi"))
    assert ours == theirs
