"""One request at a middleware function: `call_next`, and the messages between what is below and the response.

The messages go as through the memory stream of Starlette: one at a time, the sender waiting until it is taken.
"""

import asyncio
from asyncio import CancelledError, Future, current_task, sleep
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any
from weakref import WeakSet

import anyio
from anyio.lowlevel import checkpoint_if_cancelled
from starlette.middleware.base import _CachedRequest, _StreamingResponse
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from ferroapi._middleware import scopes
from ferroapi._middleware.below import Below

Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_NEXT: Any = object()
"""Wanted by whoever makes the steps of what is below: no future is needed."""

_called_off: "WeakSet[asyncio.Task[Any]]" = WeakSet()
"""Tasks that wait for a message which nobody needs any more, since the response has been sent."""

_STREAMED_AS_WRITTEN = _StreamingResponse.__call__


def _is_last(message: Message) -> bool:
    kind = message["type"]
    return kind == "http.response.pathsend" or (kind == "http.response.body" and not message.get("more_body", False))


class Exchange:
    """What a middleware function's `call_next` leads to.

    Source: Starlette behaviour, `middleware.base.BaseHTTPMiddleware.__call__`.
    """

    error: Exception | None = None
    _is_raised = False
    # What a sender that waits is told by; the receiver's future or `_NEXT` while nobody has anything for it.
    _wanted: Any = None
    _message: Message | None = None
    _is_closed = False
    _is_send_closed = False
    _over: Future[None] | None = None
    _body: AsyncGenerator[Any, None] | None = None
    _is_read = False
    _reading: set[asyncio.Task[Any]] | None = None

    def __init__(
        self, app: Application, channels: tuple[Scope, Receive, Send], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._app = app
        self.request = _CachedRequest(*channels)
        self._send = channels[2]
        self.loop = loop
        self.host: asyncio.Task[Any] = current_task(loop)  # type: ignore[assignment]
        self.outer_scope = scopes.current_scope(self.host)
        self._runs: list[Below] = []
        # The messages that were sent and not taken, each with what its sender waits for.
        self._waiting: deque[tuple[Message, Future[None]]] = deque()
        self._finals: list[Future[None]] = []

    # What the middleware function does.

    async def call_next(self, request: Request) -> Response:
        """Run what is below until its response starts, and return that.

        Raises:
            Exception: what comes out of it before.
            RuntimeError: it ends without a response.
        """
        # What an earlier call has left is taken first.
        self._wanted = None if self._waiting else _NEXT
        was_closed = self._is_send_closed
        run = Below(self.loop, self._app, (self.request.scope, self._receive_below, self._send_below))
        self._runs.append(run)
        run.begin_for(self)
        if was_closed:
            # An earlier call has ended: this one cannot send, and has one turn of the loop to fail.
            await sleep(0)
        info = None
        try:
            while True:
                if (message := self._take()) is None:
                    message = await self._receive()
                kind = message["type"]
                if kind == "http.response.debug":
                    info = message["info"]
                elif kind == "http.response.early_hint":
                    await self._send(message)
                else:
                    break
        except anyio.EndOfStream:
            if (failure := run.failure) is not None:
                raise failure from None
            if (error := self.error) is not None:
                self._is_raised = True
                raise error from error.__cause__ or error.__context__
            raise RuntimeError("No response returned.")  # noqa: B904 - its context is the end of the stream, as ever
        assert message["type"] == "http.response.start"
        self._body = self._body_stream()
        response = _StreamingResponse(status_code=message["status"], content=self._body, info=info)
        response.raw_headers = message.get("headers", [])
        return response

    async def _body_stream(self) -> AsyncGenerator[Any, None]:
        self._is_read = True
        while True:
            try:
                message = await self._receive()
            except anyio.EndOfStream:
                return
            if message["type"] == "http.response.pathsend":
                yield message
                return
            assert message["type"] == "http.response.body", f"Unexpected message: {message}"
            if body := message.get("body", b""):
                yield body
            if not message.get("more_body", False):
                return

    async def respond(self, response: Response, scope: Scope, send: Send) -> None:
        """Send what the middleware function returned."""
        if (
            type(response) is not _StreamingResponse
            or response.body_iterator is not self._body
            or self._is_read
            or _StreamingResponse.__call__ is not _STREAMED_AS_WRITTEN
        ):
            await response(scope, self.request.wrapped_receive, send)
            return
        if response.info is not None:
            await send({"type": "http.response.debug", "info": response.info})
        await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
        is_body = True
        while True:
            try:
                if (message := self._take()) is None:
                    message = await self._receive()
            except anyio.EndOfStream:
                break
            if message["type"] == "http.response.pathsend":
                is_body = False
                await send(message)
                break
            assert message["type"] == "http.response.body", f"Unexpected message: {message}"
            if body := message.get("body", b""):
                await send({"type": "http.response.body", "body": body, "more_body": True})
            if not message.get("more_body", False):
                break
        if is_body:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        # None when it was made; the middleware function may have set it.
        background: Any = response.background
        if background:
            await background()

    # What is taken from below.

    def _take(self) -> Message | None:
        """Return the next message, None if what is below has to wait for something before.

        Raises:
            anyio.EndOfStream: there will be none.
        """
        if self._is_closed:
            raise anyio.ClosedResourceError
        while True:
            if (message := self._message) is not None:
                self._message = None
                return message
            if self._waiting:
                message, gate = self._waiting.popleft()
                if _is_last(message):
                    self._finals.append(gate)
                elif not gate.done():
                    gate.set_result(None)
                return message
            if self._is_send_closed:
                raise anyio.EndOfStream
            self._wanted = _NEXT
            if not self._go_on():
                return None

    def _go_on(self) -> bool:
        """Make a step of what is below if nothing is in the way; tell whether one was made."""
        for run in self._runs:  # noqa: SIM110 - a generator expression takes longer than the rest
            if run.go_on():
                return True
        return False

    async def _receive(self) -> Message:
        if (message := self._take()) is not None:
            return message
        wanted = self._wanted = self.loop.create_future()
        try:
            await wanted
        finally:
            self._wanted = None
        if (message := self._message) is None:
            raise anyio.EndOfStream
        self._message = None
        return message

    async def _send_below(self, message: Message) -> None:
        if self._is_send_closed:
            raise anyio.ClosedResourceError
        if self._is_closed:
            return
        wanted, self._wanted = self._wanted, None
        if wanted is None:
            gate: Future[None] = self.loop.create_future()
            item = (message, gate)
            self._waiting.append(item)
            try:
                await gate
            except BaseException:
                if item in self._waiting:
                    self._waiting.remove(item)
                raise
            return
        self._message = message
        if wanted is not _NEXT and not wanted.done():
            wanted.set_result(None)
        if _is_last(message):
            gate = self.loop.create_future()
            self._finals.append(gate)
            await gate

    async def _receive_below(self) -> Message:
        if self._is_closed:
            return {"type": "http.disconnect"}
        task = current_task(self.loop)
        assert task is not None
        cancelling = task.cancelling()
        reading = self._reading
        if reading is None:
            reading = self._reading = set()
        reading.add(task)
        try:
            message = await self.request.wrapped_receive()
        except CancelledError:
            if task not in _called_off:
                raise
            # Not cancelled, but called off: the response has been sent.
            _called_off.discard(task)
            if task.uncancel() > cancelling:
                raise
            return {"type": "http.disconnect"}
        finally:
            reading.discard(task)
        # The task group of Starlette waits at its end: a scope that is cancelled already gets no message.
        await checkpoint_if_cancelled()
        return {"type": "http.disconnect"} if self._is_closed else message

    def note_end(self) -> None:
        """Take note that a call of what is below is over: nothing can be sent any more."""
        self._is_send_closed = True
        wanted = self._wanted
        if wanted is not None and wanted is not _NEXT and not wanted.done():
            wanted.set_result(None)
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

    # The end.

    async def finish(self) -> None:
        """Let what is below come to its end, now that the response is sent.

        Raises:
            Exception: what comes out of it, if `call_next` has not raised it.
        """
        self._is_closed = True
        for gate in self._finals:
            if not gate.done():
                gate.set_result(None)
        for _, gate in self._waiting:
            if not gate.done():
                gate.set_result(None)
        if self._reading:
            # One exchange around another waits for the same message, and calls off once.
            for task in self._reading.difference(_called_off):
                _called_off.add(task)
                task.cancel()
        while self._go_on():
            pass
        for run in self._runs:
            if not run.has_ended:
                await self._join(None)
                break
        # The generator holds this object: without it, what a request leaves behind is freed at once.
        self._body = None
        for run in self._runs:
            if run.failure is not None:
                raise run.failure
        if self.error is not None and not self._is_raised:
            raise self.error

    async def abandon(self, error: BaseException) -> None:
        """Cancel what is below, wait for its end, and raise the error of the middleware function.

        Raises:
            BaseException: the error.
        Source: Starlette behaviour, `_utils.create_collapsing_task_group`.
        """
        if not all(run.has_ended for run in self._runs):
            self._cancel()
            await self._join(error)
        self._is_closed = True
        if isinstance(error, CancelledError):
            raise error
        try:
            raise BaseExceptionGroup("unhandled errors in a TaskGroup", [error]) from None
        except BaseExceptionGroup:
            context = None if error.__suppress_context__ else error.__context__
            raise error from error.__cause__ or context

    def _cancel(self) -> None:
        for run in self._runs:
            run.adopt()
            if run.scope is not None:
                run.scope.cancel()

    async def _join(self, error: BaseException | None) -> None:
        cancelled: CancelledError | None = None
        with anyio.CancelScope() as waiting:
            while not all(run.has_ended for run in self._runs):
                self._over = self.loop.create_future()
                try:
                    await self._over
                except CancelledError as exc:
                    # Further attempts to cancel would not end it sooner.
                    waiting.shield = True
                    self._cancel()
                    cancelled = exc
                self._over = None
        if cancelled is not None and error is None:
            raise cancelled
