"""Plain callables in worker threads, beside FastAPI's: what they see of AnyIO, of each other and of cancellation.

Requests are repeated, since the engine calls differently once it knows a thread and once calls have been short.
"""

import asyncio
import contextvars
import importlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
import sniffio
import uvloop

from ferroapi._beyond.testing import loops
from ferroapi._threads import workers
from ferroapi._wings import OFF

from ..core.asgi import Answer, ask, http_scope

FRAMEWORKS = ("fastapi", "ferroapi")
VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")
REPEATED = 8
"""Requests of one scenario: by AnyIO, by a borrowed thread, and from the fifth on waited for in place."""


@pytest.fixture(params=["borrowed", "refused"], autouse=True)
def pool(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The engine's own way, and AnyIO's where the pool is not as expected."""
    if request.param == "borrowed" and "threads" in OFF:
        pytest.skip("AnyIO makes all calls where the wing is switched off")
    if request.param == "refused":
        monkeypatch.setattr(workers, "borrow_worker", workers._refuse)
        monkeypatch.setattr(workers, "adopt_thread_and_call", workers._call)
    return str(request.param)


@pytest.fixture(autouse=True)
def no_kept_loops() -> None:
    """Loops that the test client kept for its next request, with their threads, are of tests that ran before."""
    loops._end_idle()
    for thread in worker_threads():
        thread.join(10)


def run(main: Callable[..., Any], *arguments: Any, backend: str = "asyncio") -> Any:
    if backend == "trio":
        return anyio.run(main, *arguments, backend="trio")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if backend == "uvloop" else None) as runner:
        return runner.run(main(*arguments))


class Stop(BaseException):
    """What no handler takes."""


def numbered(names: list[Any]) -> list[int]:
    """Objects as the order in which they were first seen."""
    return [list(dict.fromkeys(names)).index(name) for name in names]


# One request after the other.


def thread_facts(fastapi: Any) -> Any:
    def endpoint() -> Any:
        thread = threading.current_thread()
        try:
            asyncio.get_running_loop()
        except RuntimeError as error:
            running = str(error)
        try:
            library = sniffio.current_async_library()
        except sniffio.AsyncLibraryNotFoundError:
            library = "none"
        return [thread.name, thread.daemon, thread is threading.main_thread(), running, library]

    return endpoint


def calls_from_thread(fastapi: Any) -> Any:
    async def awaited(value: str) -> list[Any]:
        await anyio.sleep(0)
        return [value, sniffio.current_async_library()]

    def endpoint() -> Any:
        anyio.from_thread.check_cancelled()
        limiter = anyio.from_thread.run_sync(anyio.to_thread.current_default_thread_limiter)
        statistics = limiter.statistics()
        return [anyio.from_thread.run(awaited, "value"), statistics.borrowed_tokens, len(statistics.borrowers)]

    return endpoint


def calls_from_ends(fastapi: Any) -> Any:
    log: list[Any] = []

    def dependency() -> Any:
        yield list(log)
        anyio.from_thread.check_cancelled()
        limiter = anyio.from_thread.run_sync(anyio.to_thread.current_default_thread_limiter)
        log.append(limiter.statistics().borrowed_tokens)

    async def endpoint(seen: Any = fastapi.Depends(dependency)) -> Any:
        return seen

    return endpoint


def context(fastapi: Any) -> Any:
    def first() -> str:
        before = VARIABLE.get()
        VARIABLE.set("first")
        return before

    def second(first: str = fastapi.Depends(first)) -> list[str]:
        before = VARIABLE.get()
        VARIABLE.set("second")
        return [first, before]

    async def third(second: list[str] = fastapi.Depends(second)) -> list[str]:
        before = VARIABLE.get()
        VARIABLE.set("third")
        return [*second, before]

    def endpoint(third: list[str] = fastapi.Depends(third)) -> Any:
        before = VARIABLE.get()
        VARIABLE.set("endpoint")
        return [*third, before]

    return endpoint


def one_thread(fastapi: Any) -> Any:
    """The thread that was used last is used next, by AnyIO's own calls too: many an SQLite connection depends on it."""
    seen: list[Any] = []

    def note() -> None:
        seen.append(threading.current_thread())

    def dependency() -> Any:
        note()
        yield
        note()

    async def between(entered: None = fastapi.Depends(dependency)) -> None:
        await fastapi.concurrency.run_in_threadpool(note)

    def endpoint(tasks: fastapi.BackgroundTasks, entered: None = fastapi.Depends(between)) -> Any:
        note()
        tasks.add_task(note)
        return numbered(seen)

    return endpoint


def anyio_first(fastapi: Any) -> Any:
    seen: list[Any] = []

    async def before() -> None:
        await anyio.to_thread.run_sync(lambda: seen.append(threading.current_thread()))

    def endpoint(done: None = fastapi.Depends(before)) -> Any:
        seen.append(threading.current_thread())
        return numbered(seen)

    return endpoint


def raising(make: Callable[[Any], BaseException]) -> Any:
    def build(fastapi: Any) -> Any:
        def endpoint() -> Any:
            raise make(fastapi)

        return endpoint

    build.__name__ = f"raising_{type(make(importlib.import_module('fastapi'))).__name__}"
    return build


def failing_end(fastapi: Any) -> Any:
    def dependency() -> Any:
        yield
        raise ValueError("the end")

    async def endpoint(entered: None = fastapi.Depends(dependency)) -> None:
        pass

    return endpoint


def endless(fastapi: Any) -> Any:
    def dependency() -> Any:
        yield
        yield

    async def endpoint(entered: None = fastapi.Depends(dependency)) -> None:
        pass

    return endpoint


def now_and_then_long(fastapi: Any) -> Any:
    count = 0

    def endpoint() -> Any:
        nonlocal count
        count += 1
        if count % 3 == 0 or count == 8:
            time.sleep(0.002)
        return count

    return endpoint


SCENARIOS = [
    thread_facts,
    calls_from_thread,
    calls_from_ends,
    context,
    one_thread,
    anyio_first,
    raising(lambda fastapi: ValueError("an error")),
    raising(lambda fastapi: StopIteration("stopped")),
    raising(lambda fastapi: fastapi.HTTPException(418, "refused")),
    raising(lambda fastapi: asyncio.CancelledError("by itself")),
    raising(lambda fastapi: Stop("stopped")),
    failing_end,
    endless,
    now_and_then_long,
]


async def repeated(framework: str, scenario: Any) -> list[Any]:
    fastapi = importlib.import_module(framework)
    importlib.import_module(f"{framework}.concurrency")
    app = fastapi.FastAPI(openapi_url=None)
    app.get("/")(scenario(fastapi))
    limiter = anyio.to_thread.current_default_thread_limiter()
    found: list[Any] = []
    for number in range(REPEATED):
        VARIABLE.set(f"request {number}")
        try:
            answer = await ask(app, http_scope("/"))
            found.append((answer.status, answer.body, answer.raised))
        except BaseException as error:
            cause = error.__cause__
            found.append((type(error), error.args, type(cause), getattr(cause, "args", None)))
        found.append((limiter.borrowed_tokens, VARIABLE.get()))
    return found


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_repeated_calls_are_as_under_fastapi(backend: str, scenario: Any) -> None:
    if backend == "trio" and scenario.__name__ in ("raising_CancelledError", "one_thread", "anyio_first"):
        pytest.skip("trio raises another error of its own, and takes threads from a cache in its own order")
    found = {framework: run(repeated, framework, scenario, backend=backend) for framework in FRAMEWORKS}
    assert found["ferroapi"] == found["fastapi"]


def test_short_calls_are_waited_for_in_place_and_long_ones_are_not(pool: str) -> None:
    if pool == "refused":
        pytest.skip("AnyIO waits for nothing in place")
    seconds = 0.0

    def endpoint() -> None:
        time.sleep(seconds) if seconds else None

    async def main() -> None:
        nonlocal seconds
        fastapi = importlib.import_module("ferroapi")
        app = fastapi.FastAPI(openapi_url=None)
        app.get("/")(endpoint)

        async def has_suspended() -> bool:
            turned = asyncio.Event()
            asyncio.get_running_loop().call_soon(turned.set)
            assert (await ask(app, http_scope("/"))).status == 200
            return turned.is_set()

        # On a busy machine a thread may be slow to wake.
        assert not all([await has_suspended() for _ in range(200)])
        seconds = 0.05
        assert all([await has_suspended() for _ in range(5)])

    run(main)


def test_a_call_that_becomes_long_leaves_the_event_loop_free() -> None:
    opened = threading.Event()
    is_long = False

    def endpoint() -> bool:
        return opened.wait(10) if is_long else True

    async def main() -> None:
        nonlocal is_long
        fastapi = importlib.import_module("ferroapi")
        app = fastapi.FastAPI(openapi_url=None)
        app.get("/")(endpoint)
        for _ in range(REPEATED):
            await ask(app, http_scope("/"))
        is_long = True
        # Each waits for the event loop, which opens the gate only when all have been begun.
        requests = [asyncio.create_task(ask(app, http_scope("/"))) for _ in range(5)]
        await asyncio.sleep(0.05)
        opened.set()
        assert [(await request).body for request in requests] == [b"true"] * 5

    run(main)


# Many at once.


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize("tokens", [1, 3])
def test_calls_wait_for_the_tokens_of_the_default_limiter(backend: str, tokens: int) -> None:
    async def main(framework: str) -> Any:
        running, most = 0, 0
        lock = threading.Lock()
        fastapi = importlib.import_module(framework)
        app = fastapi.FastAPI(openapi_url=None)

        @app.get("/{number}")
        def endpoint(number: int) -> int:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.001 * (number % 3))
            with lock:
                running -= 1
            return number

        limiter = anyio.to_thread.current_default_thread_limiter()
        limiter.total_tokens = tokens
        answers: list[bytes] = []

        async def one(number: int) -> None:
            answers.append((await ask(app, http_scope(f"/{number}"))).body)

        async with anyio.create_task_group() as group:
            for number in range(40):
                group.start_soon(one, number)
        return most <= tokens, sorted(answers), limiter.borrowed_tokens

    found = {framework: run(main, framework, backend=backend) for framework in FRAMEWORKS}
    assert found["ferroapi"] == found["fastapi"]
    assert found["ferroapi"][0]


def test_a_held_token_is_refused_as_by_anyio() -> None:
    async def main(framework: str) -> Any:
        fastapi = importlib.import_module(framework)
        app = fastapi.FastAPI(openapi_url=None)

        async def holding() -> Any:
            async with anyio.to_thread.current_default_thread_limiter():
                yield

        @app.get("/", dependencies=[fastapi.Depends(holding)])
        def endpoint() -> None:
            pass

        @app.get("/free")
        def free() -> None:
            pass

        found = []
        for _ in range(REPEATED):
            found.append((await ask(app, http_scope("/free"))).raised)
            found.append((await ask(app, http_scope("/"))).raised)
        return found

    found = {framework: run(main, framework) for framework in FRAMEWORKS}
    assert found["ferroapi"] == found["fastapi"]


# Cancelled.


def cancelled_log(framework: str, act: Callable[[asyncio.Task[Any], anyio.CancelScope], Any], warm: int) -> list[Any]:
    """Cancel a request while its endpoint runs, which looks for the cancellation and waits."""
    log: list[Any] = []
    started, done = threading.Event(), threading.Event()

    async def main() -> None:
        fastapi = importlib.import_module(framework)
        app = fastapi.FastAPI(openapi_url=None)

        @app.get("/short")
        def short() -> None:
            pass

        @app.get("/long")
        def long():  # type: ignore[no-untyped-def]
            started.set()
            done.wait(10)
            try:
                anyio.from_thread.check_cancelled()
            except BaseException as error:
                log.append(("seen", type(error).__name__))
            return "ended"

        for _ in range(warm):
            await ask(app, http_scope("/short"))
        limiter = anyio.to_thread.current_default_thread_limiter()
        scope = anyio.CancelScope()

        async def request() -> None:
            with scope:
                try:
                    log.append((await ask(app, http_scope("/long"))).status)
                    await anyio.sleep(0)
                except BaseException as error:
                    log.append(("raised", type(error).__name__))
                    raise
                finally:
                    log.append(("borrowed", limiter.borrowed_tokens))

        task = asyncio.create_task(request())
        while not started.is_set():
            await asyncio.sleep(0.001)
        act(task, scope)
        await asyncio.sleep(0.01)
        log.append(("over", task.done(), limiter.borrowed_tokens))
        done.set()
        with suppress(asyncio.CancelledError):
            await task
        while len([thread for thread in threading.enumerate() if thread.name == "AnyIO worker thread"]) > 1:
            await asyncio.sleep(0.001)
        answer = await ask(app, http_scope("/short"))
        log.append((answer.status, limiter.borrowed_tokens, scope.cancelled_caught))

    run(main)
    return log


@pytest.mark.parametrize(
    "act",
    [lambda task, scope: task.cancel(), lambda task, scope: scope.cancel()],
    ids=["by the task", "by a cancel scope"],
)
@pytest.mark.parametrize("warm", [0, 1, REPEATED])
def test_cancellation_reaches_the_request_as_under_fastapi(act: Any, warm: int) -> None:
    assert cancelled_log("ferroapi", act, warm) == cancelled_log("fastapi", act, warm)


@pytest.mark.parametrize("how", ["task", "scope", "shielded"])
def test_a_request_that_is_cancelled_already_begins_no_call(how: str) -> None:
    async def main(framework: str) -> list[Any]:
        fastapi = importlib.import_module(framework)
        app = fastapi.FastAPI(openapi_url=None)
        log: list[Any] = []

        @app.get("/")
        def endpoint() -> None:
            log.append("called")

        for _ in range(REPEATED):
            await ask(app, http_scope("/"))

        async def request() -> None:
            with anyio.CancelScope() as scope, anyio.CancelScope(shield=how == "shielded"):
                if how == "task":
                    current = asyncio.current_task()
                    assert current is not None
                    current.cancel()
                else:
                    scope.cancel()
                try:
                    log.append((await ask(app, http_scope("/"))).status)
                except BaseException as error:
                    log.append(type(error).__name__)
                    raise

        with suppress(asyncio.CancelledError):
            await asyncio.create_task(request())
        return log

    found = {framework: run(main, framework) for framework in FRAMEWORKS}
    assert found["ferroapi"] == found["fastapi"]
    assert len(found["ferroapi"]) == REPEATED + (2 if how == "shielded" else 1)


# Threads and their end.


def worker_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "AnyIO worker thread"]


@pytest.mark.parametrize("backend", ["asyncio", "uvloop"])
def test_threads_end_with_their_event_loop(backend: str) -> None:
    async def main() -> int:
        fastapi = importlib.import_module("ferroapi")
        app = fastapi.FastAPI(openapi_url=None)
        app.get("/")(lambda: time.sleep(0.001))
        for _ in range(REPEATED):
            await asyncio.gather(*(ask(app, http_scope("/")) for _ in range(4)))
        return len(worker_threads())

    assert run(main, backend=backend) >= 4
    for thread in worker_threads():
        thread.join(10)
        assert not thread.is_alive()


def test_the_test_client_leaves_no_thread_of_a_loop_that_has_ended() -> None:
    fastapi = importlib.import_module("ferroapi")
    testclient = importlib.import_module("ferroapi.testclient")
    app = fastapi.FastAPI(openapi_url=None)
    app.get("/")(lambda: threading.current_thread().name)
    with testclient.TestClient(app) as client:
        assert {client.get("/").json() for _ in range(REPEATED)} == {"AnyIO worker thread"}
    assert {testclient.TestClient(app).get("/").json() for _ in range(REPEATED)} == {"AnyIO worker thread"}
    # A loop that is used again, and a thread in it, end with the process.
    loops._end_idle()
    for thread in worker_threads():
        thread.join(10)
        assert not thread.is_alive()


def test_idle_threads_are_ended_as_anyio_ends_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from anyio._backends._asyncio import WorkerThread

    async def main(framework: str) -> int:
        fastapi = importlib.import_module(framework)
        app = fastapi.FastAPI(openapi_url=None)
        app.get("/")(lambda: time.sleep(0.002))
        for _ in range(3):
            await asyncio.gather(*(ask(app, http_scope("/")) for _ in range(6)))
        monkeypatch.setattr(WorkerThread, "MAX_IDLE_TIME", 0)
        await ask(app, http_scope("/"))
        monkeypatch.undo()
        deadline = time.monotonic() + 10
        while len(worker_threads()) > 1 and time.monotonic() < deadline:
            await asyncio.sleep(0.001)
        return len(worker_threads())

    assert [run(main, framework) for framework in FRAMEWORKS] == [1, 1]


def test_a_replacement_of_anyios_function_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    original = anyio.to_thread.run_sync

    async def run_sync(func: Any, *arguments: Any, **options: Any) -> Any:
        calls.append(options)
        return await original(func, *arguments, **options)

    async def main() -> None:
        fastapi = importlib.import_module("ferroapi")
        app = fastapi.FastAPI(openapi_url=None)
        app.get("/")(lambda: None)
        for _ in range(REPEATED):
            await ask(app, http_scope("/"))
        monkeypatch.setattr(anyio.to_thread, "run_sync", run_sync)
        for _ in range(3):
            await ask(app, http_scope("/"))

    run(main)
    assert len(calls) == 3


@pytest.mark.parametrize("is_long", [False, True], ids=["before the call", "while the call is under way"])
def test_a_thread_is_given_back_where_nobody_can_be_told_of_its_call(
    is_long: bool, pool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if pool == "refused":
        pytest.skip("AnyIO makes the future itself")
    from ferroapi._threads import anyio_pool

    def refuse(**options: Any) -> None:
        raise RuntimeError("no future")

    async def main() -> Any:
        fastapi = importlib.import_module("ferroapi")
        app = fastapi.FastAPI(openapi_url=None)
        calls: list[threading.Thread] = []

        @app.get("/")
        def endpoint(seconds: float) -> None:
            calls.append(threading.current_thread())
            time.sleep(seconds) if seconds else None

        async def one(seconds: float) -> Answer:
            return await ask(app, http_scope("/", query=f"seconds={seconds}".encode()))

        limiter = anyio.to_thread.current_default_thread_limiter()
        await one(0)
        # A call that used to be short is waited for in place, and one that becomes long is told of later.
        while is_long:
            count = len(calls)
            monkeypatch.setattr(anyio_pool, "Future", refuse)
            answer = await one(0)
            monkeypatch.undo()
            if answer.raised is None and len(calls) > count:
                break
            await one(0)
        before = len(calls)
        monkeypatch.setattr(anyio_pool, "Future", refuse)
        failed = await one(0.02)
        monkeypatch.undo()
        free = limiter.borrowed_tokens
        after = await one(0)
        return failed.raised, len(calls) - before, free, after.status, len(set(calls))

    assert run(main) == ("RuntimeError: no future", 2 if is_long else 1, 0, 200, 1)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    for thread in worker_threads():
        thread.join(10)


# Between two calls of one hop.


@pytest.mark.parametrize(
    "act",
    [lambda task, scope: task.cancel(), lambda task, scope: scope.cancel()],
    ids=["by the task", "by a cancel scope"],
)
def test_nothing_more_is_called_for_a_request_that_is_cancelled(act: Any) -> None:
    async def main(framework: str) -> list[Any]:
        fastapi = importlib.import_module(framework)
        app = fastapi.FastAPI(openapi_url=None)
        log: list[Any] = []
        started, done, ended = threading.Event(), threading.Event(), threading.Event()

        def dependency() -> None:
            log.append("dependency")
            started.set()
            done.wait(10)
            ended.set()

        @app.get("/")
        def endpoint(called: None = fastapi.Depends(dependency)) -> str:
            log.append("endpoint")
            return ""

        scope = anyio.CancelScope()

        async def request() -> None:
            with scope:
                await ask(app, http_scope("/"))
                await anyio.sleep(0)

        task = asyncio.create_task(request())
        while not started.is_set():
            await asyncio.sleep(0.001)
        act(task, scope)
        await asyncio.sleep(0.01)
        done.set()
        with suppress(asyncio.CancelledError):
            await task
        while not ended.is_set():
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        return log

    found = {framework: run(main, framework) for framework in FRAMEWORKS}
    assert found["ferroapi"] == found["fastapi"] == ["dependency"]
