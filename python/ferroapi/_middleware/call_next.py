"""One request at a middleware function: `call_next`, and the messages between what is downstream and the response.

The messages go as through the memory stream of Starlette: one at a time, the sender waiting until it is taken.
"""

import asyncio
import types
from asyncio import CancelledError, sleep
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
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
from ferroapi._middleware.downstream import DownstreamTask, running_task

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


@types.coroutine
def _pause() -> Generator[None]:
    """Let the event loop go round once."""
    yield


def _is_of_a_scope(error: CancelledError) -> bool:
    """Tell whether a cancellation is one of AnyIO's.

    Source: AnyIO behaviour, `_backends._asyncio.is_anyio_cancellation`.
    """
    while not (error.args and str(error.args[0]).startswith("Cancelled via cancel scope ")):
        if not isinstance(error.__context__, CancelledError):
            return False
        error = error.__context__
    return True


class _Reading:
    """A task of what is downstream that waits for a message, which nobody needs once the response has been sent."""

    __slots__ = ("_cancelling", "_scope", "_since", "task")

    def __init__(self, task: "asyncio.Task[Any]") -> None:
        self.task = task
        self._since = scopes.current_scope(task)
        self._cancelling = task.cancelling()
        self._scope: scopes.Scope | None = None

    def call_off(self) -> None:
        """Cancel the wait."""
        scope = self._scope = scopes.surround(self.task, self._since, self._cancelling)
        scope.cancel()

    def leave(self, error: BaseException | None) -> bool:
        """End the wait with `error`; tell whether that only says that it was called off."""
        scope, self._scope = self._scope, None
        return scope is not None and bool(scope.__exit__(type(error), error, None))


_called_off: "WeakSet[asyncio.Task[Any]]" = WeakSet()
"""Tasks whose wait was called off. Two middleware functions around each other may wait for the same message."""


class CallNext(_core.ResponseMessages):
    """What a middleware function's `call_next` leads to, and the `send` of what is downstream.

    Source: Starlette behaviour, `middleware.base.BaseHTTPMiddleware.__call__`.
    """

    error: Exception | None = None
    _is_raised = False
    _body: AsyncGenerator[Any, None] | None = None
    _is_read = False
    _reading: dict["asyncio.Task[Any]", _Reading] | None = None
    _sent: anyio.Event | None = None
    """Set when the response has been sent, once somebody waits for a message meanwhile."""
    _failures: list[BaseException] | None = None
    """What other errors than exceptions and cancellations came from downstream, once one call has ended so."""
    _is_cancelled = False
    """Whether the task group would be cancelled: the middleware function, and all that is downstream."""
    _is_left = False
    _scope: scopes.Scope | None = None
    """The cancel scope around the middleware function, once it has been cancelled by what is downstream."""

    def __init__(
        self, app: Application, channels: tuple[Scope, Receive, Send], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._app = app
        self.request = _CachedRequest(*channels)
        self._send = channels[2]
        self.loop = loop
        self.outer_scope = scopes.current_scope(self.host)

    # What the middleware function does.

    async def call_next(self, request: Request) -> Response:
        """Run what is downstream until its response starts, and return that.

        Raises:
            Exception: what comes out of it before.
            RuntimeError: it ends without a response.
        """
        was_closed = self.is_sending_closed
        run = DownstreamTask(self.loop, self._app, (self.request.scope, self._receive_downstream, self))
        # What an earlier call has left is taken first.
        self.expect(run)
        run.begin_for(self)
        if run.ends_loop:
            await _pause()
        elif was_closed:
            # An earlier call has ended: this one cannot send, and has one turn of the loop to fail.
            await sleep(0)
        info = None
        try:
            if (message := self.take_first()) is None:
                message = await self.receive(is_first=True)
            while True:
                kind = message["type"]
                if kind == "http.response.debug":
                    info = message["info"]
                elif kind == "http.response.early_hint":
                    await self._send(message)
                else:
                    break
                message = await self.receive()
        except anyio.EndOfStream:
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
        """Tell whether a response is what came from downstream, so that it is sent as it comes."""
        return (
            type(response) is _StreamingResponse
            and response.body_iterator is self._body
            and not self._is_read
            and response.info is None
        )

    # What is taken from downstream.

    async def receive(self, *, is_first: bool = False) -> Message:
        """Return the next message from downstream; the first one was waited for before that began.

        Raises:
            anyio.EndOfStream: there will be none.
        """
        if self.is_waiting_interrupted if is_first else self.is_passing_interrupted:
            await _pause()
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
        if self._is_interruptible(message):
            await _pause()
        is_exact = self.is_disturbed and not self.is_closed
        if (turn := self.pass_on(message, is_exact=is_exact)) is not None:
            try:
                await turn
            finally:
                is_left = is_exact and self.take_back(turn)
            if is_left:
                return
        if is_exact and self.is_last(message):
            await (_pause() if self.is_closed else self.await_close())

    def _is_interruptible(self, message: Message) -> bool:
        """Tell whether the event loop has to go round before a message is sent, as it always does in AnyIO's streams.

        It has where a scope is entered, or a cancellation was asked for, that keeps the start or the end of a response
        from being sent; and between the chunks of a stream, which may have no end.
        """
        if message.get("more_body") or self.is_passing_interrupted:
            return True
        task = running_task(self.loop)
        return task is not None and (bool(task.cancelling()) or scopes.current_scope(task) is not None)

    async def _receive_downstream(self) -> Message:
        if self.is_closed:
            return {"type": "http.disconnect"}
        task = running_task(self.loop)
        assert task is not None
        if not self._is_alone(task):
            return await self._receive_in_group()
        if self._reading is None:
            self._reading = {}
        reading = self._reading[task] = _Reading(task)
        try:
            message = await self.request.wrapped_receive()
        except BaseException as error:
            if not self._end_reading(reading, error):
                # As the task group raises it in which Starlette waits for a message and for the end of the response.
                async with anyio.create_task_group() as group:
                    group.start_soon(anyio.sleep_forever)
                    raise
            return {"type": "http.disconnect"}
        self._end_reading(reading, None)
        # The task group of Starlette waits at its end: a task that is cancelled already gets no message.
        if task.cancelling():
            await _pause()
        await checkpoint_if_cancelled()
        return {"type": "http.disconnect"} if self.is_closed else message

    def _is_alone(self, task: "asyncio.Task[Any]") -> bool:
        """Tell whether no other task has had a turn since this one began, and none can cancel it."""
        return (
            getattr(task.get_coro(), "is_by_hand", False)
            and scopes.current_scope(task) is None
            and not task.cancelling()
            and not self.is_passing_interrupted
        )

    async def _receive_in_group(self) -> Message:
        """Receive as Starlette does: in as many turns of the event loop, and cancelled in the same ones."""
        if self._sent is None:
            self._sent = anyio.Event()
        sent = self._sent
        message: Message = {"type": "http.disconnect"}
        async with anyio.create_task_group() as group:

            async def wait() -> None:
                await sent.wait()
                group.cancel_scope.cancel()

            group.start_soon(wait)
            message = await self.request.wrapped_receive()
            group.cancel_scope.cancel()
        return {"type": "http.disconnect"} if self.is_closed else message

    def _end_reading(self, reading: _Reading, error: BaseException | None) -> bool:
        """End a wait for a message with `error`; tell whether that only says that it was called off."""
        assert self._reading is not None
        del self._reading[reading.task]
        _called_off.discard(reading.task)
        return reading.leave(error)

    # The end.

    async def rest(self) -> None:
        """Be cancelled, if code that ran after the response has asked for it: what is downstream has ended before."""
        if self.host.cancelling():
            self._call_off()
            self.settle()
            await _pause()

    def is_over(self) -> bool:
        """Close, now that the response is sent; tell whether all is over and well, so that nothing is left to do."""
        if self._reading or self._sent is not None or not self.settle():
            return False
        # The generator holds this object: without it, what a request leaves behind is freed at once.
        self._body = None
        return self.error is None and not self.is_escaping and self._failures is None

    async def leave(self, error: BaseException | None) -> None:
        """Wait for the end of what is downstream: after the response, or cancelled if the function ended with an error.

        Raises:
            BaseException: the error, or what other than an `Exception` came out of what is downstream.
        Source: AnyIO behaviour, `TaskGroup.__aexit__`, and Starlette's, `_utils.create_collapsing_task_group`.
        """
        if self._failures is None:
            self._failures = []
        if error is not None:
            self._is_cancelled = True
            self._cancel_calls()
            if not isinstance(error, CancelledError):
                self._failures.append(error)
        else:
            self._call_off()
            self.settle()
        if not self.have_all_ended or self.is_escaping:
            error = await self._join(error)
        self._is_left = True
        self._body = None
        self.close()
        try:
            if self._failures:
                raise BaseExceptionGroup("unhandled errors in a TaskGroup", self._failures) from None
            if error is not None:
                raise error
        except BaseException as raised:
            if self._scope is not None and self._scope.__exit__(type(raised), raised, None):
                return
            if len(self._failures) != 1:
                raise
            only = self._failures[0]
            raise only from only.__cause__ or (None if only.__suppress_context__ else only.__context__)
        if self._scope is not None:
            self._scope.__exit__(None, None, None)

    def fail(self) -> None:
        """Raise the exception of what is downstream, if `call_next` has not raised it.

        Raises:
            Exception: it.
        """
        if self.error is not None and not self._is_raised:
            raise self.error

    def note_escape(self, error: BaseException, *, ends_loop: bool = False) -> None:
        """Take note that a call of what is downstream has ended by something else than an `Exception`.

        The middleware function goes on before that counts if the event loop was ended, and is resumed.
        Source: AnyIO behaviour, `TaskGroup._spawn.task_done`, which the event loop calls in its next turn.
        """
        self.begin_escape()
        if isinstance(surrounding := self.host.get_coro(), _core.SteppedTask):
            surrounding.begin_cancellation()
        if ends_loop:
            self.loop.call_soon(self.loop.call_soon, self._escape, error)
        else:
            self.loop.call_soon(self._escape, error)

    def _escape(self, error: BaseException) -> None:
        self.end_escape()
        if isinstance(surrounding := self.host.get_coro(), _core.SteppedTask):
            surrounding.end_cancellation()
        if self._failures is None:
            self._failures = []
        if not isinstance(error, CancelledError):
            self._failures.append(error)
        if not self._is_cancelled and not self._is_left:
            self._is_cancelled = True
            self._cancel_calls()
            scope = self._scope = scopes.surround(self.host, self.outer_scope, self.host.cancelling())
            scope.cancel()
        self.note_end()

    def _call_off(self) -> None:
        """Let nothing of what is downstream wait for a message, or for its turn to send one."""
        self.close()
        if self._sent is not None:
            self._sent.set()
        self.release()
        for task, reading in (self._reading or {}).items():
            if task not in _called_off:
                _called_off.add(task)
                reading.call_off()

    def adopt_calls(self) -> None:
        """Put what is downstream under cancel scopes, as a task group does from the beginning."""
        for call in self.calls:
            if call.scope is None:
                call.adopt()
            else:
                # It was when it called a worker thread, before what is around it.
                scopes.follow(call.scope, self.host, self.outer_scope)

    def _cancel_calls(self) -> None:
        self.adopt_calls()
        for call in self.calls:
            if call.scope is not None:
                call.scope.cancel()

    async def _join(self, error: BaseException | None) -> BaseException | None:
        """Wait for the end of what is downstream; return the error, or the cancellation of the wait."""
        with anyio.CancelScope() as waiting:
            while not self.have_all_ended or self.is_escaping:
                try:
                    await self.await_end()
                except CancelledError as cancellation:
                    # Further attempts to cancel would not end it sooner.
                    waiting.shield = True
                    self._cancel_calls()
                    if error is None or (isinstance(error, CancelledError) and not _is_of_a_scope(cancellation)):
                        error = cancellation
        return error
