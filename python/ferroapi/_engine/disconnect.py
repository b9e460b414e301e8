"""A client that leaves while its endpoint waits: the endpoint is cancelled where its path operation asks for that.

Whoever is outside of the path operation sees an empty response with the status 499, which reaches nobody.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Coroutine, Generator
from functools import partial
from typing import Any, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ferroapi._engine.compile import note_around
from ferroapi.logger import logger

CLIENT_CLOSED_REQUEST = 499
"""The status of what is sent in the place of a response. It is nginx's; no RFC has one."""

MOST_KEPT = 65_536
"""Bytes of a body that are kept for an endpoint that does not ask for them; what comes after is left to the server."""


def cancel(task: asyncio.Task[Any], method: str, path: str) -> None:
    """Cancel the task of an endpoint whose client has left."""
    logger.debug("The client has left, %s %s is cancelled", method, path)
    task.cancel("the client has left")


def uncancel(task: asyncio.Task[Any]) -> bool:
    """Take that cancellation back; tell whether nobody else wants the task to end."""
    return task.uncancel() == 0


class Watch:
    """A `receive` that is also asked while the endpoint waits; what has come then is kept for whoever asks next."""

    __slots__ = ("_failure", "_has_left", "_kept", "_pending", "_receive", "_scope", "_size", "_task")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope, self._receive = scope, receive
        self._kept: deque[Message] = deque()
        self._size = 0
        self._failure: BaseException | None = None
        self._pending: asyncio.Task[Message] | None = None
        self._task: asyncio.Task[Any] | None = None
        self._has_left = False

    async def __call__(self) -> Message:
        if not self._kept and self._pending is not None:
            await asyncio.wait([self._pending])
        if self._kept:
            message = self._kept.popleft()
            self._size -= len(message.get("body", b""))
            return message
        if self._failure is not None:
            raise self._failure
        return await self._receive()

    def begin(self) -> None:
        """Cancel the task that runs when the client leaves; under trio, which has none, nobody is watched."""
        try:
            self._task = asyncio.current_task()
        except RuntimeError:
            return
        if self._kept and self._kept[-1]["type"] == "http.disconnect":
            self._cancel()
        else:
            self._ask()

    def _ask(self) -> None:
        if self._pending is None and self._failure is None and self._size < MOST_KEPT:
            self._pending = asyncio.create_task(self._next())
            self._pending.add_done_callback(self._note)

    async def _next(self) -> Message:
        return await self._receive()

    def _note(self, pending: asyncio.Task[Message]) -> None:
        self._pending = None
        if pending.cancelled():
            return
        self._failure = pending.exception()
        if self._failure is not None:
            return
        message = pending.result()
        self._kept.append(message)
        self._size += len(message.get("body", b""))
        if message["type"] == "http.disconnect":
            self._cancel()
        elif self._task is not None:
            self._ask()

    def _cancel(self) -> None:
        if self._task is not None:
            self._has_left = True
            cancel(self._task, self._scope["method"], self._scope["path"])

    def end(self) -> bool:
        """Cancel nothing from here on; tell whether the endpoint was cancelled, and for no other reason."""
        task, self._task = self._task, None
        has_left, self._has_left = self._has_left, False
        return has_left and task is not None and uncancel(task)

    def close(self) -> None:
        """Ask for nothing any more."""
        if self._pending is not None:
            self._pending.cancel()


async def answer_left(failing: Awaitable[None] | None, send: Send) -> None:
    """Run the teardown of a cancelled request, and send what stands for its response.

    Raises:
        asyncio.CancelledError: somebody else cancels the task, too.
        Exception: what the teardown raises.
    """
    if failing is not None:
        try:
            await failing
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
        else:
            # A generator has turned the cancellation into an exception, which is answered.
            return
    await send({"type": "http.response.start", "status": CLIENT_CLOSED_REQUEST, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


class _Watched:
    """An awaitable whose client is watched from where it suspends first."""

    def __init__(self, awaitable: Coroutine[Any, Any, None], watch: Watch) -> None:
        self._awaitable, self._watch = awaitable, watch

    def __await__(self) -> Generator[Any, Any, None]:
        steps = self._awaitable.__await__()
        try:
            waits_for = next(steps)
        except StopIteration:
            return
        self._watch.begin()
        while True:
            try:
                sent = yield waits_for
            except GeneratorExit:
                steps.close()
                raise
            except BaseException as error:
                resume = partial(steps.throw, error)
            else:
                resume = partial(steps.send, sent)
            try:
                waits_for = resume()
            except StopIteration:
                return


def cancelled_on_disconnect(app: ASGIApp) -> ASGIApp:
    """Return the application of a path operation, cancelled when its client leaves before the response.

    It is what Python conducts; where the driver runs the path operation, that watches.
    """

    async def cancelled(scope: Scope, receive: Receive, send: Send) -> None:
        watch = Watch(scope, receive)

        async def send_unwatched(message: Message) -> None:
            watch.end()
            await send(message)

        try:
            await _Watched(cast(Any, app)(scope, watch, send_unwatched), watch)
        except asyncio.CancelledError:
            if not watch.end():
                raise
            await answer_left(None, send)
        finally:
            watch.close()

    note_around(cancelled, app)
    return cancelled
