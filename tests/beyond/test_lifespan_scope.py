"""Dependencies of the scope "lifespan": when they are called and closed, what they may need, and overrides."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import anyio
import pytest

from ferroapi import APIRouter, Depends, FastAPI, Query, Request, WebSocket
from ferroapi._beyond.lifespan_scope import LifespanValue
from ferroapi.exceptions import DependencyScopeError, FastAPIError
from ferroapi.testclient import AsyncTestClient, TestClient

seen: list[str] = []


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    seen.clear()


async def settings() -> AsyncIterator[str]:
    seen.append("settings")
    yield "real"
    seen.append("settings closed")


Settings = Annotated[str, Depends(settings, scope="lifespan")]


def pool(settings: Settings) -> Iterator[dict[str, str]]:
    seen.append(f"pool of {settings}")
    yield {"pool": settings}
    seen.append("pool closed")


Pool = Annotated[dict[str, str], Depends(pool, scope="lifespan")]


def make_app(**options: Any) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        seen.append("started")
        yield
        seen.append("stopped")

    app = FastAPI(lifespan=lifespan, **options)

    @app.get("/pool")
    async def read(pool: Pool, settings: Settings) -> list[Any]:
        return [pool, id(pool), settings]

    @app.websocket("/socket")
    async def socket(websocket: WebSocket, pool: Pool) -> None:
        await websocket.accept()
        await websocket.send_json([pool, id(pool)])

    return app


OPENED = ["settings", "pool of real"]
CLOSED = ["pool closed", "settings closed"]


def test_lifespan_scope_is_entered_at_startup_and_closed_in_reverse_order() -> None:
    with TestClient(make_app()) as client:
        assert seen == ["started", *OPENED]
        first, second = client.get("/pool").json(), client.get("/pool").json()
        with client.websocket_connect("/socket") as socket:
            third = socket.receive_json()

    assert first == second == [{"pool": "real"}, first[1], "real"]
    assert third == first[:2]
    assert seen == ["started", *OPENED, *CLOSED, "stopped"]


def test_lifespan_scope_may_be_entered_at_first_use() -> None:
    with TestClient(make_app(lifespan_dependencies="first_use")) as client:
        assert seen == ["started"]
        assert client.get("/pool").json()[1] == client.get("/pool").json()[1]
        assert seen == ["started", *OPENED]

    assert seen == ["started", *OPENED, *CLOSED, "stopped"]


def test_lifespan_scope_is_the_request_where_no_lifespan_runs() -> None:
    client = TestClient(make_app())

    assert client.get("/pool").json()[0] == {"pool": "real"}
    assert seen == [*OPENED, *CLOSED]
    assert client.get("/pool").json()[0] == {"pool": "real"}
    assert seen == [*OPENED, *CLOSED] * 2


def test_lifespan_scope_is_entered_once_by_requests_at_the_same_time() -> None:
    entered: list[object] = []

    async def slow() -> object:
        await asyncio.sleep(0.02)
        entered.append(object())
        return entered[-1]

    app = FastAPI(lifespan_dependencies="first_use")

    @app.get("/")
    async def read(value: Annotated[object, Depends(slow, scope="lifespan")]) -> bool:
        return value is entered[0]

    async def main() -> list[bool]:
        async with AsyncTestClient(app) as client:
            return [answer.json() for answer in await asyncio.gather(*(client.get("/") for _ in range(5)))]

    assert asyncio.run(main()) == [True] * 5
    assert len(entered) == 1


def test_lifespan_scope_of_included_and_mounted_applications_is_that_of_the_outer_one() -> None:
    app, router, inner = FastAPI(), APIRouter(), make_app()

    @router.get("/included", dependencies=[Depends(pool, scope="lifespan")])
    async def included(pool: Pool) -> int:
        return id(pool)

    app.include_router(router, prefix="/a")
    app.mount("/inner", inner)
    with TestClient(app) as client:
        assert seen == OPENED
        assert client.get("/a/included").json() == client.get("/inner/pool").json()[1]

    assert seen == [*OPENED, *CLOSED]


@pytest.mark.parametrize("entered_at", ["startup", "first_use"])
def test_lifespan_scope_has_overrides(entered_at: str) -> None:
    app = make_app(lifespan_dependencies=entered_at)
    app.dependency_overrides[settings] = lambda: "fake"
    with TestClient(app) as client:
        assert client.get("/pool").json()[::2] == [{"pool": "fake"}, "fake"]
        app.dependency_overrides[pool] = lambda: {"pool": "other"}
        assert client.get("/pool").json()[0] == {"pool": "other"}
        app.dependency_overrides.clear()
        assert client.get("/pool").json()[::2] == [{"pool": "real"}, "real"]

    assert seen == ["started", "pool of fake", *OPENED, *CLOSED, "pool closed", "stopped"]


def test_lifespan_scope_each_loop_has_its_own() -> None:
    app, values = make_app(), []
    barrier = threading.Barrier(2)

    def use() -> None:
        with TestClient(app) as client:
            values.append(client.get("/pool").json()[1])
            barrier.wait(20)

    threads = [threading.Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert values[0] != values[1]
    assert seen.count("pool closed") == 2


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_lifespan_scope_runs_on_both_backends(backend: Any) -> None:
    with TestClient(make_app(), backend=backend) as client:
        assert client.get("/pool").json()[0] == {"pool": "real"}

    assert seen == ["started", *OPENED, *CLOSED, "stopped"]


def test_lifespan_scope_failure_at_startup_closes_what_was_entered() -> None:
    def broken(settings: Settings) -> None:
        raise ValueError("no connection")

    app = make_app()
    app.get("/broken", dependencies=[Depends(broken, scope="lifespan")])(lambda: None)

    with pytest.raises(ValueError, match="no connection"), TestClient(app):
        raise AssertionError

    assert seen == ["started", *OPENED, *CLOSED]


def test_lifespan_scope_failure_at_shutdown_is_raised() -> None:
    async def value() -> AsyncIterator[None]:
        yield
        raise ValueError("not closed")

    app = FastAPI()
    app.get("/", dependencies=[Depends(value, scope="lifespan")])(lambda: None)

    with pytest.raises(ValueError, match="not closed"), TestClient(app):
        pass


def of_request() -> None: ...


def needs_request_scope(value: Annotated[None, Depends(of_request)]) -> None: ...


def needs_function_scope(value: Annotated[None, Depends(of_request, scope="function")]) -> None: ...


def needs_query(limit: int) -> None: ...


def needs_default(limit: Annotated[int, Query()] = 3) -> None: ...


def needs_request(request: Request) -> None: ...


@pytest.mark.parametrize(
    ("dependency", "message"),
    [
        (needs_request_scope, '"needs_request_scope" .* cannot depend on "of_request", .* scope of "request"'),
        (needs_function_scope, '"needs_function_scope" .* cannot depend on "of_request", .* scope of "function"'),
        (needs_query, '"needs_query" .* its parameter "limit" is something that only a request has'),
        (needs_default, '"needs_default" .* its parameter "limit" is something that only a request has'),
        (needs_request, '"needs_request" .* its parameter "request" is something that only a request has'),
    ],
)
def test_lifespan_scope_refuses_at_declaration_what_ends_before_it(dependency: Any, message: str) -> None:
    app = FastAPI()

    with pytest.raises(DependencyScopeError, match=message):
        app.get("/", dependencies=[Depends(dependency, scope="lifespan")])(lambda: None)


def test_lifespan_scope_runs_on_the_engine_and_is_not_in_the_document() -> None:
    app = make_app()

    (explanation,) = [each for each in app.explain() if each.path == "/pool"]
    assert explanation.mode == "native"
    assert "parameters" not in app.openapi()["paths"]["/pool"]["get"]


def test_lifespan_scope_adds_nothing_to_the_state_of_other_applications() -> None:
    app = FastAPI()

    @app.get("/")
    async def read(request: Request) -> list[str]:
        return list(request.scope["state"])

    with TestClient(app) as client:
        assert client.get("/").json() == []


def test_lifespan_scope_is_shared_with_requests_of_an_asynchronous_client() -> None:
    async def main() -> None:
        async with AsyncTestClient(make_app()) as client:
            assert (await client.get("/pool")).json()[1] == (await client.get("/pool")).json()[1]

    anyio.run(main)

    assert seen == ["started", *OPENED, *CLOSED, "stopped"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("entered_at", ["startup", "first_use"])
def test_lifespan_scope_may_hold_a_task_group(backend: Any, entered_at: Any) -> None:
    async def workers() -> AsyncIterator[Any]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            yield tasks
            tasks.cancel_scope.cancel()
        seen.append("workers ended")

    async def work() -> None:
        seen.append("worked")

    app = make_app(lifespan_dependencies=entered_at)

    @app.get("/work")
    async def start(tasks: Annotated[Any, Depends(workers, scope="lifespan")]) -> None:
        tasks.start_soon(work)
        await anyio.sleep(0.01)

    with TestClient(app, backend=backend) as client:
        client.get("/work")
        client.get("/work")
        client.get("/pool")

    assert seen.count("worked") == 2
    assert seen[-1] == "stopped"
    assert "workers ended" in seen
    seen.clear()
    TestClient(app, backend=backend).get("/work")
    assert seen == ["worked", "workers ended"]


def test_lifespan_scope_failure_at_first_use_is_raised_and_tried_again() -> None:
    def flaky() -> str:
        seen.append("tried")
        if len(seen) < 2:
            raise ValueError("not yet")
        return "there"

    app = FastAPI(lifespan_dependencies="first_use")

    @app.get("/")
    async def read(value: Annotated[str, Depends(flaky, scope="lifespan")]) -> str:
        return value

    with TestClient(app) as client:
        with pytest.raises(ValueError, match="not yet"):
            client.get("/")
        assert client.get("/").json() == client.get("/").json() == "there"

    assert seen == ["tried", "tried"]


def test_lifespan_scope_value_is_taken_by_the_engine_without_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    call = LifespanValue.__call__

    def noted(self: LifespanValue, connection: Any) -> AsyncIterator[Any]:
        calls.append(type(connection).__name__)
        return call(self, connection)

    monkeypatch.setattr(LifespanValue, "__call__", noted)
    app = make_app()

    @app.get("/thread")
    def in_thread(number: Annotated[int, Depends(lambda: 1)], pool: Pool) -> list[Any]:
        return [number, pool]

    with TestClient(app) as client:
        assert client.get("/pool").json()[0] == {"pool": "real"}
        assert client.get("/thread").json() == [1, {"pool": "real"}]
        with client.websocket_connect("/socket") as socket:
            assert socket.receive_json()[0] == {"pool": "real"}
        app.dependency_overrides[settings] = lambda: "fake"
        assert calls == []
        assert client.get("/thread").json() == [1, {"pool": "fake"}]
        assert client.get("/pool").json()[0] == {"pool": "fake"}
    app.dependency_overrides.clear()

    assert TestClient(app).get("/thread").json() == [1, {"pool": "real"}]
    assert set(calls) == {"Request"}


def test_unknown_time_of_entering_is_refused() -> None:
    later: Any = "lazy"
    with pytest.raises(FastAPIError, match=r"^lifespan_dependencies must be .* not 'lazy'$"):
        FastAPI(lifespan_dependencies=later)


@pytest.mark.parametrize("is_in_thread", [False, True])
@pytest.mark.parametrize("entered_at", ["startup", "first_use"])
def test_lifespan_scope_dependency_may_resolve_others(entered_at: Any, is_in_thread: bool) -> None:
    log: list[str] = []
    app = FastAPI(lifespan_dependencies=entered_at)

    async def settings() -> AsyncIterator[str]:
        log.append("settings in")
        yield "settings"
        log.append("settings out")

    async def read(settings: Annotated[str, Depends(settings, scope="lifespan")]) -> str:
        return settings

    async def resolved() -> str:
        async with app.resolve(read) as value:
            return value

    async def pool() -> AsyncIterator[str]:
        log.append("pool in")
        yield await resolved()
        log.append("pool out")

    def threaded_pool() -> Iterator[str]:
        log.append("pool in")
        yield anyio.from_thread.run(resolved)
        log.append("pool out")

    used = threaded_pool if is_in_thread else pool

    @app.get("/")
    async def endpoint(pool: Annotated[str, Depends(used, scope="lifespan")]) -> str:
        return pool

    with TestClient(app) as client:
        assert client.get("/").json() == client.get("/").json() == "settings"
    assert log == ["pool in", "settings in", "settings out", "pool out"]


@pytest.mark.parametrize("entered_at", ["startup", "first_use"])
def test_lifespan_scope_dependency_that_asks_for_itself_is_told_so(entered_at: Any) -> None:
    app = FastAPI(lifespan_dependencies=entered_at)

    async def pool() -> AsyncIterator[str]:
        async with app.resolve(read) as value:
            yield value

    async def read(pool: Annotated[str, Depends(pool, scope="lifespan")]) -> str:
        return pool

    @app.get("/")
    async def endpoint(pool: Annotated[str, Depends(pool, scope="lifespan")]) -> str:
        return pool

    with pytest.raises(DependencyScopeError) as refused, TestClient(app) as client:
        client.get("/")
    assert str(refused.value) == 'The dependency "pool" asks for itself while it is called.'
