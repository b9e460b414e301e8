"""Whatever fails at a WebSocket behind middleware: the same messages, and the same exception to whoever meets it."""

import asyncio
import sys
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any

import fastapi.routing
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message

sys.path.insert(0, str(Path(__file__).parent))

from failures import FAILURES, Case, World, described, server_error
from layers import LAYERS

MOMENTS = (
    *("before yield", "before accept", "after accept", "before send", "before close", "after close", "after yield"),
    "invalid",
)
SERVER_ERRORS = ("error", "gone", "cancelled", "escaped")


@cache
def _world(framework: str) -> World:
    world = World(framework)
    meet, log = world.meet, world.log

    async def opened() -> AsyncIterator[str]:
        await meet("before yield")
        try:
            yield "value"
        except BaseException as error:
            log.append(("opened saw", described(error)))
            raise
        finally:
            log.append("closed")
        await meet("after yield")

    @world.app.websocket("/socket/{number}")
    async def endpoint(
        socket: world.framework.WebSocket,  # type: ignore[name-defined]
        number: int,
        value: str = world.framework.Depends(opened),
    ) -> None:
        await meet("before accept")
        await socket.accept()
        await meet("after accept")
        try:
            text = await socket.receive_text()
        except BaseException as error:
            log.append(("received", described(error)))
            raise
        await meet("before send")
        await socket.send_text(text)
        await meet("before close")
        await socket.close()
        await meet("after close")

    return world


async def _ask(world: World, case: Case) -> tuple[list[Message], Any, list[Any]]:
    world.case = case
    world.log.clear()
    messages: list[Message] = []
    received = sent = 0
    arriving = [{"type": "websocket.connect"}, *({"type": "websocket.receive", "text": "text"},) * (case.chunks - 1)]

    async def receive() -> Message:
        nonlocal received
        number, received = received, received + 1
        for _ in range(case.receive_turns):
            await asyncio.sleep(0)
        if case.receive_fails is not None and case.receive_fails[0] == number:
            raise server_error(case.receive_fails[1])
        return arriving[number] if number < len(arriving) else {"type": "websocket.disconnect", "code": 1001}

    async def send(message: Message) -> None:
        nonlocal sent
        number, sent = sent, sent + 1
        for _ in range(case.send_turns):
            await asyncio.sleep(0)
        if case.send_fails is not None and case.send_fails[0] == number:
            raise server_error(case.send_fails[1])
        kept = dict(message, headers=sorted(map(tuple, message.get("headers", ()))))
        if message["type"] == "websocket.close":
            # Ours is a text: docs/differences.md.
            kept["reason"] = bool(message.get("reason"))
        messages.append(kept)

    path = f"/socket/{'no' if case.moment == 'invalid' else '1'}"
    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": case.spec_version},
        "http_version": "1.1",
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"testserver")],
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
        "subprotocols": [],
        # With it, what refuses a connection is a response.
        "extensions": {"websocket.http.response": {}} if case.is_post else {},
    }
    task = asyncio.create_task(world.app(scope, receive, send))
    world.ends[:] = [task.cancel] if case.ended_by == "server" else []
    raised = None
    try:
        await asyncio.wait_for(task, 20)
    except BaseException as error:
        raised = described(error)
    for _ in range(5):
        await asyncio.sleep(0)
    return messages, raised, list(world.log)


def _answer(framework: str, case: Case) -> Any:
    world = _world(framework)
    world.put_under(case.stack)
    return asyncio.run(_ask(world, case))


def assert_same(case: Case) -> None:
    # FastAPI keeps where an endpoint is by its address, which may be that of an earlier case's.
    fastapi.routing._endpoint_context_cache.clear()
    ours, theirs = (_answer(framework, case) for framework in ("ferroapi", "fastapi"))
    assert ours == theirs


@pytest.mark.parametrize("stack", [(), ("one",), ("pure", "one"), ("pure", "class")], ids="-".join)
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("failure", ["http exception", "handled", "unhandled", "cancelled", "cancels itself"])
def test_failure_of_a_socket_is_met_as_under_fastapi(failure: str, moment: str, stack: tuple[str, ...]) -> None:
    assert_same(Case("socket", failure, moment, stack, chunks=2))


fails = st.none() | st.tuples(st.integers(0, 3), st.sampled_from(SERVER_ERRORS))
cases = st.builds(
    Case,
    st.just("socket"),
    st.sampled_from(("nothing", *FAILURES)),
    st.sampled_from(MOMENTS),
    st.lists(st.sampled_from(sorted(LAYERS)), max_size=3, unique=True).map(tuple),
    is_post=st.booleans(),
    spec_version=st.sampled_from(("2.3", "2.4")),
    chunks=st.integers(1, 3),
    receive_turns=st.sampled_from((0, 0, 1)),
    receive_fails=fails,
    send_turns=st.sampled_from((0, 0, 1)),
    send_fails=fails,
    ended_by=st.sampled_from(("nobody", "server")),
)


# 166 by default, and 8,333 in a deep run.
@pytest.mark.timeout(3600)
@settings(max_examples=settings().max_examples * 5 // 3)
@given(cases)
def test_drawn_failure_of_a_socket_is_met_as_under_fastapi(case: Case) -> None:
    assert_same(case)
