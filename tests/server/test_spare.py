"""Whatever code puts on the task of its request, or keeps of it, the next request of the connection does not see."""

import asyncio
import sys
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from ferroapi import FastAPI
from ferroapi.server import HTTPProtocol

from .exchange import arrive, connect, turns

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


def cancel_and_take_back() -> None:
    running().cancel()
    running().uncancel()


MARKS: dict[str, Callable[[], Any]] = {
    "reference": lambda: kept.append(running()),
    "weak reference": lambda: kept.append(weakref.ref(running())),
    "weak key": lambda: by_task.setdefault(running(), 1),
    "name": lambda: running().set_name("mine"),
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


def serve(mark: Callable[[], Any], pieces: list[bytes], clean: int = 0) -> list[Any]:
    """Return what each request finds on its task before it makes its mark; the first ones make none."""
    seen: list[Any] = []
    kept.clear()

    async def converse() -> None:
        app = FastAPI()

        @app.get("/")
        async def endpoint() -> None:
            task = running()
            marked = [each for each in kept if each is task or (isinstance(each, weakref.ref) and each() is task)]
            seen.append((len(marked), by_task.get(task, 0), task.get_name() == "mine", hasattr(task, "mine"),
                         variable.get(), task.cancelling()))  # fmt: skip
            del task
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


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="eager tasks are cheap: each request has its own")
def test_spare_ends_with_its_connection_and_serves_while_nothing_is_on_it() -> None:
    assert len(set(serve_ids([GET] * 6))) < 6


def serve_ids(pieces: list[bytes]) -> list[int]:
    """Return the numbers of the tasks' names: a new task has a new name."""
    names: list[Any] = []
    serve(lambda: names.append(running().get_name()), pieces)
    return names


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
            for task in asyncio.all_tasks() - {running()}:
                task.cancel()
            await turns(5)
        assert b"".join(wire.written).count(b"HTTP/1.1 200 OK") == 4
        connected.connection_lost(None)
        await turns(5)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(converse())
