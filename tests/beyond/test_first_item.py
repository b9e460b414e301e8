# mypy: disable-error-code="untyped-decorator"
"""Streams whose response begins with their first item."""

import asyncio
import importlib.util
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ferroapi import APIRouter, Depends, FastAPI, HTTPException, Request
from ferroapi.exceptions import FastAPIError
from ferroapi.responses import JSONResponse, StreamingResponse
from ferroapi.routing import APIRoute
from ferroapi.sse import EventSourceResponse
from ferroapi.streams import with_first_item
from ferroapi.testclient import TestClient

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/beyond/first_item.py"


class ByHandler(APIRoute):
    def get_route_handler(self) -> Any:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Any:
            return await handler(request)

        return handle


def _fail(name: str, log: list[str]) -> None:
    log.append("called")
    if name == "missing":
        raise HTTPException(404, "no such stream", headers={"x-reason": "none"})
    if name == "broken":
        raise LookupError(name)


def application(log: list[str], route_class: type[APIRoute] = APIRoute, **options: Any) -> FastAPI:
    """Return an application with a stream of each kind."""
    app = FastAPI()
    app.router.route_class = route_class

    async def guard() -> AsyncIterator[None]:
        try:
            yield
        except HTTPException as error:
            log.append(f"guard {error.status_code}")
            raise
        finally:
            log.append("closed")

    around: Any = {"dependencies": [Depends(guard, scope="request")], **options}

    @app.get("/lines/{name}", **around)
    async def lines(name: str) -> AsyncIterator[dict[str, int]]:
        _fail(name, log)
        if name != "empty":
            yield {"a": 1}
            yield {"a": 2}

    @app.get("/sync-lines/{name}", **around)
    def sync_lines(name: str) -> Iterator[dict[str, int]]:
        _fail(name, log)
        if name != "empty":
            yield {"a": 1}
            yield {"a": 2}

    @app.get("/chunks/{name}", response_class=StreamingResponse, **around)
    async def chunks(name: str) -> AsyncIterator[bytes]:
        _fail(name, log)
        if name != "empty":
            yield b"a"
            yield b"b"

    @app.get("/events/{name}", response_class=EventSourceResponse, **around)
    async def events(name: str) -> AsyncIterator[dict[str, int]]:
        _fail(name, log)
        if name != "empty":
            yield {"a": 1}
            yield {"a": 2}

    return app


def scope(specification: str) -> dict[str, Any]:
    return {
        **{"type": "http", "asgi": {"version": "3.0", "spec_version": specification}, "http_version": "1.1"},
        **{"method": "GET", "scheme": "http", "path": "/", "raw_path": b"/", "query_string": b"", "root_path": ""},
        "headers": [],
    }


KINDS = ("lines", "sync-lines", "chunks", "events")


@pytest.mark.parametrize("route_class", [APIRoute, ByHandler])
@pytest.mark.parametrize("kind", KINDS)
def test_an_exception_before_the_first_item_is_answered(kind: str, route_class: type[APIRoute]) -> None:
    log: list[str] = []
    client = TestClient(application(log, route_class, wait_for_first_item=True), raise_server_exceptions=False)
    answer = client.get(f"/{kind}/missing")
    assert (answer.status_code, answer.json()) == (404, {"detail": "no such stream"})
    assert answer.headers["x-reason"] == "none"
    assert log == ["called", "guard 404", "closed"]
    assert client.get(f"/{kind}/broken").status_code == 500


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["whole", "empty"])
def test_any_other_stream_is_the_same(kind: str, name: str) -> None:
    found: list[str] = []
    without: list[str] = []
    waiting = TestClient(application(found, wait_for_first_item=True)).get(f"/{kind}/{name}")
    plain = TestClient(application(without)).get(f"/{kind}/{name}")
    assert (waiting.status_code, waiting.headers, waiting.content) == (200, plain.headers, plain.content)
    assert found == without == ["called", "closed"]
    assert bool(plain.content) is (name == "whole")


@pytest.mark.parametrize("kind", KINDS[:3])
def test_without_the_option_the_start_is_sent_first(kind: str) -> None:
    with pytest.raises(RuntimeError, match="response already started"):
        TestClient(application([])).get(f"/{kind}/missing")


@pytest.mark.parametrize(
    ("declare", "is_set"),
    [
        (lambda app, router: app.include_router(router, wait_for_first_item=True), True),
        (lambda app, router: app.include_router(router), False),
    ],
)
def test_the_level_above_decides(declare: Callable[[Any, Any], None], is_set: bool) -> None:
    app, router = FastAPI(), APIRouter()

    @router.get("/inner")
    async def inner() -> AsyncIterator[dict[str, int]]:
        raise HTTPException(404)
        yield {}

    declare(app, router)
    client = TestClient(app)
    if is_set:
        assert client.get("/inner").status_code == 404
    else:
        with pytest.raises(RuntimeError, match="response already started"):
            client.get("/inner")


@pytest.mark.parametrize("level", ["application", "router", "route against the application"])
def test_each_level_has_the_option(level: str) -> None:
    app = FastAPI(wait_for_first_item=level != "router")
    router = APIRouter(wait_for_first_item=True) if level == "router" else APIRouter()
    own = {"wait_for_first_item": False} if level.startswith("route ") else {}

    @router.get("/", **own)  # type: ignore[arg-type]
    async def endpoint() -> AsyncIterator[dict[str, int]]:
        raise HTTPException(404)
        yield {}

    app.include_router(router, prefix="/inner")
    client = TestClient(app)
    if own:
        with pytest.raises(RuntimeError, match="response already started"):
            client.get("/inner/")
    else:
        assert client.get("/inner/").status_code == 404
    assert {row.mode for row in app.explain() if row.path == "/inner/"} == {"native"}


def test_a_response_of_ones_own_can_wait_too() -> None:
    app = FastAPI()

    async def letters(name: str) -> AsyncIterator[str]:
        if name == "missing":
            raise HTTPException(404)
        for letter in name:
            yield letter

    @app.get("/{name}")
    async def endpoint(name: str) -> StreamingResponse:
        return with_first_item(StreamingResponse(letters(name), media_type="text/plain"))

    @app.get("/sync/{name}")
    async def of_list(name: str) -> StreamingResponse:
        return with_first_item(StreamingResponse(iter(name)))

    client = TestClient(app)
    assert client.get("/missing").status_code == 404
    assert client.get("/abc").text == client.get("/sync/abc").text == "abc"


def test_nothing_is_sent_before_the_first_item() -> None:
    app = FastAPI(wait_for_first_item=True)
    log: list[Any] = []

    @app.get("/")
    async def endpoint() -> AsyncIterator[dict[str, int]]:
        log.append("called")
        yield {"a": 1}
        log.append("again")
        yield {"a": 2}

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        log.append(message.get("body", "start"))

    asyncio.run(app(scope("2.4"), receive, send))
    assert log == ["called", "start", b'{"a":1}\n', "again", b'{"a":2}\n', b""]


@pytest.mark.parametrize("specification", ["2.3", "2.4"])
@pytest.mark.parametrize("response_class", [None, StreamingResponse, EventSourceResponse])
def test_a_generator_runs_in_one_task(response_class: Any, specification: str) -> None:
    app = FastAPI()
    tasks = set()

    async def endpoint() -> AsyncIterator[Any]:
        async with asyncio.timeout(60), asyncio.TaskGroup():
            for text in ("a", "b"):
                tasks.add(asyncio.current_task())
                yield text

    kind = {} if response_class is None else {"response_class": response_class}
    app.get("/", wait_for_first_item=True, **kind)(endpoint)
    sent: list[Any] = []
    left = asyncio.Event()

    async def receive() -> Any:
        await left.wait()

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope(specification), receive, send))
    assert len(tasks) == 1
    assert sent[0]["status"] == 200 and not sent[-1]["more_body"]


def test_a_client_may_leave_before_the_first_item() -> None:
    app = FastAPI(wait_for_first_item=True)
    ended: list[str] = []

    @app.get("/")
    async def endpoint() -> AsyncIterator[dict[str, int]]:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        yield {}

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        ended.append(message["type"])

    asyncio.run(app(scope("2.3"), receive, send))
    assert ended == ["cancelled"]


@pytest.mark.parametrize("kind", KINDS)
def test_trio_waits_too(kind: str) -> None:
    client = TestClient(application([], wait_for_first_item=True), backend="trio")
    assert client.get(f"/{kind}/missing").status_code == 404
    assert client.get(f"/{kind}/whole").content


def test_the_example_answers_404() -> None:
    spec = importlib.util.spec_from_file_location("first_item", EXAMPLE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    client = TestClient(module.app)
    assert client.get("/logs/today").text == '"one"\n"two"\n'
    assert client.get("/logs/tomorrow").status_code == 404


def test_response_without_chunks_is_refused() -> None:
    response: Any = JSONResponse(1)
    with pytest.raises(TypeError, match=r"^`with_first_item` takes a StreamingResponse, not <.*JSONResponse"):
        with_first_item(response)


async def plain() -> StreamingResponse:
    return StreamingResponse(iter("a"))


async def items() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("owner", [FastAPI, APIRouter])
@pytest.mark.parametrize(
    ("endpoint", "response_class", "told"),
    [
        (plain, {}, "`wait_for_first_item=True` is for an endpoint that yields its items, and 'plain' does not"),
        (
            plain,
            {"response_class": StreamingResponse},
            "'plain' does not. Let a StreamingResponse that it returns wait",
        ),
        (items, {"response_class": JSONResponse}, "is for a response class that is a StreamingResponse, and that of"),
    ],
)
def test_operation_without_items_is_refused(owner: Any, endpoint: Any, response_class: Any, told: str) -> None:
    with pytest.raises(FastAPIError) as refused:
        owner().get("/", wait_for_first_item=True, **response_class)(endpoint)
    assert told in str(refused.value)


def test_operations_without_items_may_be_below_a_level_with_the_option() -> None:
    app = FastAPI(wait_for_first_item=True)
    router = APIRouter(wait_for_first_item=True)
    for target in (app, router):
        target.get("/plain")(plain)
        target.get("/none", wait_for_first_item=False)(plain)
    app.include_router(router, prefix="/router", wait_for_first_item=True)
    client = TestClient(app)
    assert {client.get(f"{prefix}/{name}").text for prefix in ("", "/router") for name in ("plain", "none")} == {"a"}
