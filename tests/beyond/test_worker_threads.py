"""The worker threads of requests outside of a client's context: when they are used again, and that they end."""

import asyncio
import sys
import threading
import weakref
from collections.abc import Callable, Iterator

import anyio.to_thread
import pytest

from ferroapi import FastAPI
from ferroapi._beyond.testing import client as test_client
from ferroapi._beyond.testing import loops, worker_threads
from ferroapi._core import WorkQueue
from ferroapi.testclient import TestClient

pytestmark = pytest.mark.skipif(
    not (test_client._CAN_REPLACE and worker_threads.MAY_KEEP),
    reason="with another AnyIO or Starlette, without the wing of threads or the interpreter's lock, none is kept",
)
local = threading.local()
kept: list[object] = []


@pytest.fixture(autouse=True)
def no_idle() -> Iterator[None]:
    loops._end_idle()
    yield
    loops._end_idle()
    kept.clear()


def client(work: Callable[[], object]) -> TestClient:
    app = FastAPI()

    @app.get("/")
    def call() -> str:
        work()
        return threading.current_thread().name

    @app.get("/thread")
    def thread() -> int:
        return id(threading.current_thread())

    @app.get("/tokens")
    async def tokens() -> float:
        return anyio.to_thread.current_default_thread_limiter().total_tokens

    @app.get("/more")
    async def more() -> None:
        anyio.to_thread.current_default_thread_limiter().total_tokens = 100

    return TestClient(app)


def nothing() -> None:
    return None


def sets_value_of_thread() -> None:
    local.value = 1


def keeps_thread() -> None:
    kept.append(threading.current_thread())


def names_thread() -> None:
    threading.current_thread().name = "named"


def sets_trace() -> None:
    sys.settrace(lambda *_: None)


def sets_profile() -> None:
    sys.setprofile(lambda *_: None)


def marks_thread() -> None:
    threading.current_thread().mark = 1  # type: ignore[attr-defined]


def test_worker_threads_are_used_again_where_nothing_was_left() -> None:
    one = client(nothing)
    # The first calls of a process may leave a reference for a while, as Python 3.13 does.
    for _ in range(3):
        one.get("/thread")
    found = {one.get("/thread").json() for _ in range(10)}

    assert len(found) == 1
    assert one.get("/").json() == "AnyIO worker thread"
    assert len(loops._idle) == 1


@pytest.mark.parametrize(
    "work", [sets_value_of_thread, keeps_thread, names_thread, sets_trace, sets_profile, marks_thread]
)
def test_worker_threads_end_where_a_request_left_something(work: Callable[[], None]) -> None:
    # Not by their numbers, which are given to others once they have ended.
    others = weakref.WeakSet(threading.enumerate())
    one = client(work)
    one.get("/thread")
    ((worker, before),) = [
        (thread, thread.name)
        for thread in threading.enumerate()
        if type(thread).__name__ == "WorkerThread" and thread not in others
    ]
    del worker  # a reference to a thread ends it
    one.get("/")

    assert before == "AnyIO worker thread"
    assert not loops._idle


def test_worker_threads_are_seldom_asked_what_was_left(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    ask = worker_threads._ask

    def noted(queue: WorkQueue) -> tuple[object, ...]:
        asked.append(queue)
        return ask(queue)

    one = client(nothing)
    for _ in range(3):
        one.get("/")
    monkeypatch.setattr(worker_threads, "_ask", noted)
    names = {one.get("/").json() for _ in range(50)}

    assert names == {"AnyIO worker thread"}
    assert len(loops._idle) == 1
    # Asked only where the thread was not back at its queue yet when it was looked at.
    assert len(asked) <= 25


def test_worker_threads_are_asked_what_a_call_by_anyio_has_left() -> None:
    one = client(nothing)
    for _ in range(3):
        one.get("/")
    app = FastAPI()

    @app.get("/")
    def call() -> None: ...

    @app.get("/anyio")
    async def by_anyio() -> int:
        await anyio.to_thread.run_sync(sets_value_of_thread)
        return 1

    other = TestClient(app)
    for _ in range(3):
        other.get("/")

    assert other.get("/anyio").json() == 1
    assert not loops._idle


def test_worker_threads_end_with_the_loops_that_nobody_needs() -> None:
    # Those of the test before may not have ended yet.
    others = {*threading.enumerate()}
    client(nothing).get("/")
    threads = [each for each in threading.enumerate() if type(each).__name__ == "WorkerThread" and each not in others]
    loops._end_idle()
    for thread in threads:
        thread.join(10)

    assert len(threads) == 1
    assert not threads[0].is_alive()


def test_worker_threads_limiter_is_as_new_for_each_request() -> None:
    one = client(nothing)
    one.get("/")
    one.get("/more")

    assert one.get("/tokens").json() == 40


def test_worker_threads_of_calls_that_were_abandoned_are_not_used_again() -> None:
    may_end = threading.Event()

    async def app(scope: object, receive: object, send: Callable[..., object]) -> None:
        with anyio.move_on_after(0.01):
            await anyio.to_thread.run_sync(may_end.wait, abandon_on_cancel=True)
        await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[misc]
        await send({"type": "http.response.body", "body": b"done"})  # type: ignore[misc]

    try:
        assert TestClient(app).get("/").content == b"done"
        assert not loops._idle
    finally:
        may_end.set()


def test_worker_threads_of_a_loop_whose_tasks_were_all_cancelled_are_not_used_again() -> None:
    app = FastAPI()

    @app.get("/")
    def call() -> int:
        return 1

    @app.get("/cancel")
    async def cancel() -> int:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)
        return 2

    one = TestClient(app)
    one.get("/")

    assert one.get("/cancel").json() == 2
    assert not loops._idle
    assert one.get("/").json() == 1
