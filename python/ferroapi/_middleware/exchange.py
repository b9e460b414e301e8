"""One request at a middleware function: `call_next`, and the messages between what is below and the response.

The messages go as through the memory stream of Starlette: one at a time, the sender waiting until it is taken.
"""

import asyncio
from asyncio import CancelledError, sleep
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any
from weakref import WeakSet

import anyio
from anyio.lowlevel import checkpoint_if_cancelled
from starlette.middleware.base import _CachedRequest, _StreamingResponse
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from ferroapi import _core
from ferroapi._middleware import scopes
from ferroapi._middleware.below import Below, running_task

Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_called_off: "WeakSet[asyncio.Task[Any]]" = WeakSet()
"""Tasks that wait for a message which nobody needs any more, since the response has been sent."""

_STREAMED_AS_WRITTEN = _StreamingResponse.__call__


class Exchange(_core.Messages):
    """What a middleware function's `call_next` leads to, and the `send` of what is below.

    Source: Starlette behaviour, `middleware.base.BaseHTTPMiddleware.__call__`.
    """

    error: Exception | None = None
    has_failed = False
    _is_raised = False
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
        self.host: asyncio.Task[Any] = running_task(loop)
        self.outer_scope = scopes.current_scope(self.host)

    # What the middleware function does.

    async def call_next(self, request: Request) -> Response:
        """Run what is below until its response starts, and return that.

        Raises:
            Exception: what comes out of it before.
            RuntimeError: it ends without a response.
        """
        was_closed = self.is_sending_closed
        run = Below(self.loop, self._app, (self.request.scope, self._receive_below, self))
        # What an earlier call has left is taken first.
        self.expect(run)
        run.begin_for(self)
        if was_closed:
            # An earlier call has ended: this one cannot send, and has one turn of the loop to fail.
            await sleep(0)
        info = None
        try:
            while True:
                if (message := self.take()) is None:
                    message = await self.receive()
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
                message = await self.receive()
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

    def passes(self, response: Response) -> bool:
        """Tell whether a response is what came from below, so that it is sent as it comes."""
        return (
            type(response) is _StreamingResponse
            and response.body_iterator is self._body
            and not self._is_read
            and response.info is None
            and _StreamingResponse.__call__ is _STREAMED_AS_WRITTEN
        )

    # What is taken from below.

    async def receive(self) -> Message:
        """Return the next message from below.

        Raises:
            anyio.EndOfStream: there will be none.
        """
        message: Message | None = self.take()
        if message is not None:
            return message
        wanted = self.want()
        try:
            await wanted
        except BaseException:
            self.give_up()
            raise
        message = self.arrived()
        if message is None:
            raise anyio.EndOfStream
        return message

    async def __call__(self, message: Message) -> None:
        """Send a message to the response."""
        if (gate := self.pass_on(message)) is not None:
            await gate

    async def _receive_below(self) -> Message:
        if self.is_closed:
            return {"type": "http.disconnect"}
        task = running_task(self.loop)
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
        return {"type": "http.disconnect"} if self.is_closed else message

    # The end.

    def is_over(self) -> bool:
        """Close, now that the response is sent; tell whether all is over and well, so that nothing is left to do."""
        if self._reading or not self.settle():
            return False
        # The generator holds this object: without it, what a request leaves behind is freed at once.
        self._body = None
        return self.error is None and not self.has_failed

    async def finish(self) -> None:
        """Let what is below come to its end, now that the response is sent.

        Raises:
            Exception: what comes out of it, if `call_next` has not raised it.
        """
        if self._reading:
            self.close()
            self.release()
            # One exchange around another waits for the same message, and calls off once.
            for task in self._reading.difference(_called_off):
                _called_off.add(task)
                task.cancel()
        if not self.settle():
            await self._join(None)
        self._body = None
        if self.has_failed:
            raise next(run.failure for run in self.runs if run.failure is not None)
        if self.error is not None and not self._is_raised:
            raise self.error

    async def abandon(self, error: BaseException) -> None:
        """Cancel what is below, wait for its end, and raise the error of the middleware function.

        Raises:
            BaseException: the error.
        Source: Starlette behaviour, `_utils.create_collapsing_task_group`.
        """
        if not self.have_all_ended:
            self._cancel()
            await self._join(error)
        self.close()
        if isinstance(error, CancelledError):
            raise error
        try:
            raise BaseExceptionGroup("unhandled errors in a TaskGroup", [error]) from None
        except BaseExceptionGroup:
            context = None if error.__suppress_context__ else error.__context__
            raise error from error.__cause__ or context

    def _cancel(self) -> None:
        for run in self.runs:
            run.adopt()
            if run.scope is not None:
                run.scope.cancel()

    async def _join(self, error: BaseException | None) -> None:
        cancelled: CancelledError | None = None
        with anyio.CancelScope() as waiting:
            while not self.have_all_ended:
                try:
                    await self.await_end()
                except CancelledError as exc:
                    # Further attempts to cancel would not end it sooner.
                    waiting.shield = True
                    self._cancel()
                    cancelled = exc
        if cancelled is not None and error is None:
            raise cancelled
