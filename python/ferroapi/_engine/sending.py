"""Sends a streaming response while it listens for the client to leave: what calling Starlette's response object does.

Where the class was changed, or there is no asyncio task, the response object is called instead.
"""

import asyncio
from collections.abc import Awaitable
from functools import cache, lru_cache
from typing import Any

from anyio import CancelScope
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from ferroapi import _core
from ferroapi._witness import Part

_METHODS = ("__call__", "stream_response", "listen_for_disconnect")
"""What is done here in the response's place."""

_RAISES_ON_DISCONNECT = (2, 4)
"""The version of ASGI's HTTP specification from which `send` raises `OSError` when the client has left."""


async def send_stream(response: StreamingResponse, scope: Scope, receive: Receive, send: Send) -> None:
    """Send what a `StreamingResponse` streams, then run its background tasks.

    Raises:
        ClientDisconnect: the client has left, and the server says so by an `OSError`.
    Source: Starlette behaviour, `responses.StreamingResponse.__call__`.
    """
    if scope["type"] != "http" or not in_asyncio_task() or not _is_as_written(response):
        await response(scope, receive, send)
        return
    stream = _core.stream(response, send)
    if _specification(scope.get("asgi", {}).get("spec_version", "2.0")) >= _RAISES_ON_DISCONNECT:
        try:
            await stream
        except OSError:
            raise ClientDisconnect()  # noqa: B904  # a traceback shows what Starlette's does
    else:
        await _until_disconnect(stream, receive)
    if response.background is not None:
        await response.background()


def in_asyncio_task() -> bool:
    """Tell whether this code runs in an asyncio task, under which a bare `yield` lets the event loop go round."""
    try:
        return asyncio.current_task() is not None
    except RuntimeError:
        return False


def _is_as_written(response: StreamingResponse) -> bool:
    return not _core.is_replaced(Part.STREAM) and response.__dict__.keys().isdisjoint(_METHODS)


@lru_cache(maxsize=16)
def _specification(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


@cache
def _scope_class() -> type[CancelScope]:
    # What anyio looks for anew for each scope, which then is initialized twice.
    return type(CancelScope())


async def _until_disconnect(stream: Awaitable[None], receive: Receive) -> None:
    """Run the stream in a task of its own, and cancel it when the client leaves.

    It is Starlette's task group without the group: the stream in the child, listening in the task of the request, and
    whichever ends first cancels the other. Both are in cancel scopes, which repeat a cancellation until it is obeyed.
    """
    scope_class = _scope_class()
    listening, streaming = scope_class(), scope_class()
    host = asyncio.current_task()

    async def run() -> None:
        with streaming:
            await stream
            # Where the listening waits for something, the callback is in time; AnyIO describes a task that cancels,
            # which takes 30,000 instructions.
            if getattr(host, "_fut_waiter", None) is None:
                listening.cancel()

    task = asyncio.get_running_loop().create_task(run(), name="stream_response")
    task.add_done_callback(lambda _: listening.cancel())
    failures: list[BaseException] = []
    cancellation: asyncio.CancelledError | None = None
    try:
        with listening:
            while (await receive())["type"] != "http.disconnect":
                pass
    except asyncio.CancelledError as error:
        cancellation = error
    except BaseException as error:
        failures.append(error)
    # A task group learns of a failure of its child a turn after that.
    has_failed_first = listening.cancel_called
    if task.done() and not task.cancelled() and task.exception() is not None:
        # A task group waits at its end in any case, and whoever waits for the request has that turn.
        with CancelScope(shield=True):
            await asyncio.sleep(0)
    while not task.done():
        streaming.cancel()
        try:
            with CancelScope(shield=cancellation is not None):
                await asyncio.wait((task,))
        except asyncio.CancelledError as error:
            cancellation = error
    failure = None if task.cancelled() else task.exception()
    if failure is not None:
        failures.insert(0 if has_failed_first else len(failures), failure)
    if len(failures) > 1:
        raise BaseExceptionGroup("unhandled errors in a TaskGroup", failures) from None
    if failures:
        try:
            _raise_alone(failures[0])
        except StopAsyncIteration as stop:
            if stop is not failure:
                raise
            # Starlette's task group is in an async generator, into which what the child raises is not thrown.
            raise RuntimeError("async generator raised StopAsyncIteration") from stop
    if cancellation is not None:
        raise cancellation


def _raise_alone(error: BaseException) -> Any:
    """Raise the only exception of a group, with its cause or context as its cause.

    Source: Starlette behaviour, `_utils.create_collapsing_task_group`.
    """
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    try:
        # The group becomes the context, of which middleware may make the cause.
        raise BaseExceptionGroup("unhandled errors in a TaskGroup", [error])
    except BaseExceptionGroup:
        raise error from cause
