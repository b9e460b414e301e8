"""Whatever code puts on the task of its request, or keeps of it, the next request of the connection does not see."""

import asyncio
import sys
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ferroapi import FastAPI
from ferroapi.server import HTTPProtocol

from .exchange import arrive, connect, turns

SERVES_AGAIN = sys.version_info < (3, 14)
"""Whether a task may serve more than one request."""

variable: ContextVar[int] = ContextVar("variable", default=0)
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

kept: list[Any] = []
by_task: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()


def running() -> "asyncio.Task[Any]":
    task = asyncio.current_task()
    assert task is not None
    return task


async def in_scope() -> None:
    with anyio.CancelScope():
        pass


def context_of(task: "asyncio.Task[Any]") -> Any:
    """Return what the task runs in; before Python 3.12 nobody can ask for it."""
    if sys.version_info >= (3, 12):
        return task.get_context()
    return object()


def cancel_and_take_back() -> None:
    running().cancel()
    running().uncancel()


MARKS: dict[str, Callable[[], Any]] = {
    "reference": lambda: kept.append(running()),
    "weak reference": lambda: kept.append(weakref.ref(running())),
    "weak key": lambda: by_task.setdefault(running(), 1),
    "name": lambda: running().set_name("mine"),
    "name that is kept": lambda: kept.append(running().get_name()),
    "coroutine": lambda: kept.append(running().get_coro()),
    "context": lambda: kept.append(context_of(running())),
    "attribute": lambda: setattr(running(), "mine", 1),
    "callback": lambda: running().add_done_callback(lambda task: kept.append("called")),
    "variable": lambda: variable.set(1),
    "variable of another type": lambda: variable.set(False),
    "variable put back": lambda: variable.reset(variable.set(1)),
    "cancellation": lambda: running().cancel(),
    "cancellation taken back": cancel_and_take_back,
    "scope": in_scope,
    "weak reference with a call": lambda: kept.append(weakref.ref(running(), kept.append)),
}


UNSEEN = {"variable put back", "cancellation taken back", "scope"} | (
    {"context"} if sys.version_info < (3, 12) else set()
)
"""What leaves a task as it was."""


def serve(mark: Callable[[], Any], pieces: list[bytes], clean: int = 0) -> list[Any]:
    """Return what each request finds on its task before it makes its mark; the first ones make none."""
    seen: list[Any] = []
    kept.clear()

    async def converse() -> None:
        app = FastAPI()

        @app.get("/")
        async def endpoint() -> None:
            task = running()
            # To ask a task for its name leaves something on it.
            name = task.get_name() if mark in {MARKS["name"], MARKS["name that is kept"]} else None
            known = [id(task), id(task.get_coro()), id(context_of(task))]
            found = [each() if isinstance(each, weakref.ref) else each for each in kept]
            marked = [each for each in found if id(each) in known or (name and each == name)]
            seen.append((len(marked), by_task.get(task, 0), name == "mine", hasattr(task, "mine"),
                         variable.get(), task.cancelling()))  # fmt: skip
            del task, found, marked
            if len(seen) > clean and (awaitable := mark()) is not None and asyncio.iscoroutine(awaitable):
                await awaitable

        connected, _ = await connect(HTTPProtocol, app)
        for piece in pieces:
            arrive(connected, piece)
            await turns(5)
        connected.connection_lost(None)
        await turns(5)
        kept[:] = [each for each in kept if each == "called"]
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(converse())
    return seen


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("pieces", [[GET] * 6, [GET * 6], [GET, GET * 3, GET]], ids=["apart", "together", "mixed"])
@pytest.mark.parametrize("clean", [0, 3])
def test_spare_shows_nothing_of_the_request_before(mark: str, pieces: list[bytes], clean: int) -> None:
    seen = serve(MARKS[mark], pieces, clean)
    assert seen == [(0, 0, False, False, 0, 0)] * sum(piece.count(GET) for piece in pieces)
    if mark == "callback":
        assert kept == ["called"] * (len(seen) - clean)


def ask_each(question: Callable[[], Any], pieces: list[bytes]) -> list[Any]:
    """Return what each request finds that its task says."""
    answers: list[Any] = []
    serve(lambda: answers.append(question()), pieces)
    return answers


def is_spare() -> bool:
    """Tell whether the task has served before: it waits for the next request. Who asks that leaves nothing on it."""
    waiter: Any = getattr(running(), "_fut_waiter")  # noqa: B009
    return waiter is not None


@pytest.mark.skipif(not SERVES_AGAIN, reason="Python 3.14 has the running task where only it can put one")
def test_spare_serves_while_nothing_is_on_it() -> None:
    assert ask_each(is_spare, [GET] * 6)[-3:] == [True] * 3


@pytest.mark.skipif(not SERVES_AGAIN, reason="Python 3.14 has the running task where only it can put one")
@pytest.mark.parametrize("mark", [mark for mark in MARKS if mark not in UNSEEN])
def test_spare_serves_no_more_once_something_is_on_it(mark: str) -> None:
    answers: list[bool] = []

    def look() -> None:
        answers.append(is_spare())
        if len(answers) == 4:
            MARKS[mark]()

    serve(look, [GET] * 5)
    assert answers[-2:] == [True, False]


@pytest.mark.parametrize("pieces", [[GET] * 6, [GET * 6]], ids=["apart", "together"])
def test_spare_has_another_name_for_each_request_that_keeps_it(pieces: list[bytes]) -> None:
    assert len(set(ask_each(lambda: running().get_name(), pieces))) == 6


@pytest.mark.skipif(sys.version_info < (3, 12), reason="docs/deployment.md says what all_tasks has there")
def test_spare_is_among_all_tasks_while_it_serves_as_with_httptools() -> None:
    def count(protocol: Any) -> list[Any]:
        counts: list[Any] = []

        async def application(scope: Any, receive: Any, send: Any) -> None:
            tasks = asyncio.all_tasks()
            counts.append((len(tasks), running() in tasks))
            if scope["path"] == "/wait":
                await asyncio.sleep(0)
                counts.append((len(asyncio.all_tasks()), running() in asyncio.all_tasks()))
            await send({"type": "http.response.start", "status": 204})
            await send({"type": "http.response.body"})

        async def converse() -> None:
            connected, _ = await connect(protocol, application)
            for piece in [GET, GET, GET, GET.replace(b"/ ", b"/wait ", 1), GET, GET]:
                arrive(connected, piece)
                await turns(5)
                counts.append(len(asyncio.all_tasks()))
            connected.connection_lost(None)

        asyncio.run(converse())
        return counts

    assert count(HTTPProtocol) == count(HttpToolsProtocol)


@pytest.mark.parametrize("cancel", [True, False])
def test_spare_waits_as_a_new_task_does(cancel: bool) -> None:
    """A request that has to wait after one that had not: in the task that served that, which may be cancelled."""
    seen: list[Any] = []

    async def converse() -> None:
        app = FastAPI()
        event = asyncio.Event()

        @app.get("/")
        async def endpoint() -> None:
            return None

        @app.get("/wait")
        async def wait() -> Any:
            variable.set(variable.get() + 1)
            task = running()
            if cancel:
                task.cancel("why")
            try:
                await event.wait()
            except asyncio.CancelledError as error:
                seen.append((error.args, task is running(), variable.get()))
                return "cancelled"
            seen.append((task is running(), variable.get()))
            return "waited"

        connected, wire = await connect(HTTPProtocol, app)
        for piece in [GET, GET, GET, GET.replace(b"/ ", b"/wait ", 1)]:
            arrive(connected, piece)
            await turns(5)
        event.set()
        await turns(5)
        arrive(connected, GET)
        await turns(5)
        assert b"".join(wire.written).count(b"HTTP/1.1 200 OK") == 5
        connected.connection_lost(None)
        await turns(5)

    asyncio.run(converse())
    assert seen == ([(("why",), True, 1)] if cancel else [(True, 1)])


def test_spare_that_somebody_cancels_from_outside_serves_no_more() -> None:
    async def converse() -> None:
        app = FastAPI()

        @app.get("/")
        async def endpoint() -> None:
            return None

        connected, wire = await connect(HTTPProtocol, app)
        for _ in range(4):
            arrive(connected, GET)
            await turns(5)
            others = asyncio.all_tasks() - {running()}
            for task in others:
                task.cancel()
            await turns(5)
            assert all(task.cancelled() for task in others)
        assert b"".join(wire.written).count(b"HTTP/1.1 200 OK") == 4
        connected.connection_lost(None)
        await turns(5)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(converse())
