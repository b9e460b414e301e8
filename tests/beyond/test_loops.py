"""The threads and loops of requests outside of a client's context: when they are used again, and that they end."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from ferroapi._beyond.testing import client as test_client
from ferroapi._beyond.testing import loops, thread_state
from ferroapi.testclient import TestClient

pytestmark = pytest.mark.skipif(
    not test_client._CAN_REPLACE, reason="with a Starlette whose transport is made otherwise, the loops are AnyIO's"
)
Work = Callable[[], Awaitable[None]]
only_where_threads_are_kept = pytest.mark.skipif(
    not thread_state.CAN_COUNT, reason="without the lock of the interpreter, no thread is kept"
)


@pytest.fixture(autouse=True)
def no_idle() -> Iterator[None]:
    loops._end_idle()
    yield
    loops._end_idle()


def client(work: Work, **options: Any) -> TestClient:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for event in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{event}.complete"})
            return
        await work()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    return TestClient(app, **options)


async def nothing() -> None:
    repr([nothing])


@only_where_threads_are_kept
def test_loops_are_used_again_where_nothing_was_left() -> None:
    one = client(nothing)
    one.get("/")
    (worker,) = loops._idle
    one.get("/")
    client(nothing).get("/")

    assert list(loops._idle) == [worker]


kept: list[object] = []
local = threading.local()


async def keeps_loop() -> None:
    kept.append(asyncio.get_running_loop())


async def keeps_thread() -> None:
    kept.append(threading.current_thread())


async def keeps_future() -> None:
    kept.append(asyncio.get_running_loop().create_future())


async def starts_task() -> None:
    kept.append(asyncio.create_task(asyncio.sleep(10)))


async def sets_timer() -> None:
    asyncio.get_running_loop().call_later(100, kept.append)


async def sets_value_of_thread() -> None:
    local.value = 1


async def sets_trace() -> None:
    sys.settrace(lambda *_: None)


async def names_thread() -> None:
    threading.current_thread().name = "named"


async def sets_debug() -> None:
    asyncio.get_running_loop().set_debug(True)


async def marks_loop() -> None:
    asyncio.get_running_loop().mark = 1  # type: ignore[attr-defined]


async def uses_executor() -> None:
    await asyncio.get_running_loop().run_in_executor(None, int)


async def opens_generator() -> None:
    async def items() -> Any:
        yield 1

    generator = items()
    await anext(generator)
    kept.append(generator)


async def watches_file() -> None:
    read, _ = os.pipe()
    asyncio.get_running_loop().add_reader(read, kept.append)


@pytest.mark.parametrize(
    "work",
    [
        keeps_loop, keeps_thread, keeps_future, starts_task, sets_timer, sets_value_of_thread, sets_trace, names_thread,
        sets_debug, marks_loop, uses_executor, opens_generator, watches_file,
    ],
)  # fmt: skip
def test_loops_end_where_a_request_left_something(work: Work) -> None:
    before = threading.active_count()
    client(work).get("/")

    assert not loops._idle
    assert threading.active_count() == before
    kept.clear()


def test_loops_made_with_options_end_with_their_request() -> None:
    made: list[asyncio.AbstractEventLoop] = []

    def factory() -> asyncio.AbstractEventLoop:
        made.append(asyncio.SelectorEventLoop())
        return made[-1]

    one = client(nothing, backend_options={"loop_factory": factory, "debug": True})
    one.get("/")
    one.get("/")

    assert [(loop.is_closed(), loop.get_debug()) for loop in made] == [(True, True), (True, True)]
    assert not loops._idle


# Python 3.14 deprecates policies; applications still have them.
@pytest.mark.filterwarnings("ignore:.*policy:DeprecationWarning")
@only_where_threads_are_kept
def test_loops_of_another_policy_are_not_used_again() -> None:
    class Policy(asyncio.DefaultEventLoopPolicy):
        def new_event_loop(self) -> asyncio.AbstractEventLoop:
            made.append(super().new_event_loop())
            return made[-1]

    made: list[asyncio.AbstractEventLoop] = []
    client(nothing).get("/")
    before = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(Policy())
    try:
        client(nothing).get("/")
    finally:
        asyncio.set_event_loop_policy(before)

    assert len(made) == 1


def test_loops_serve_requests_of_many_threads_at_a_time() -> None:
    barrier = threading.Barrier(8)

    async def meet() -> None:
        barrier.wait(20)

    one, answers = client(meet), []
    threads = [threading.Thread(target=lambda: answers.append(one.get("/").content)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [b"done"] * 8


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Interruptions raise `KeyboardInterrupt`, also in a process that was started in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_loops_cancel_the_application_where_the_wait_is_interrupted() -> None:
    seen: list[str] = []

    async def work() -> None:
        threading.Timer(0.05, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT]).start()
        for _ in range(2):
            try:
                await asyncio.sleep(20)
            except asyncio.CancelledError:
                seen.append("cancelled")
        raise asyncio.CancelledError

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        client(work).get("/")
    with client(work) as entered, pytest.raises(KeyboardInterrupt):
        entered.get("/")

    assert seen == ["cancelled"] * 4
    assert time.monotonic() - began < 15


def test_loops_failure_of_making_one_is_raised() -> None:
    def factory() -> asyncio.AbstractEventLoop:
        raise OSError("no more files")

    with pytest.raises(OSError, match="no more files"):
        client(nothing, backend_options={"loop_factory": factory}).get("/")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_loops_of_a_forked_process_are_its_own_and_end_at_exit() -> None:
    program = """
import os, sys, warnings
warnings.simplefilter("error")
from ferroapi.testclient import TestClient
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})
client = TestClient(app)
assert client.get("/").content == b"done"
child = os.fork()
assert client.get("/").content == b"done"
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    ended = subprocess.run([sys.executable, "-X", "dev", "-c", program], capture_output=True, text=True)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
