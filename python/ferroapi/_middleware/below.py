"""What is below a middleware function: run by hand as a task of its own until it waits for something else.

Starlette hands it to a task group. Here the task exists too, and whoever looks sees it; its first steps are only made
without waiting for the event loop to come round.
"""

import asyncio
from asyncio import _enter_task, _leave_task, current_task
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, copy_context
from sys import exception
from typing import TYPE_CHECKING, Any

from ferroapi._middleware import scopes

if TYPE_CHECKING:
    from ferroapi._middleware.exchange import Exchange

TASK_NAME = "starlette.middleware.base.BaseHTTPMiddleware.__call__.<locals>.call_next.<locals>.coro"
"""The name that AnyIO gives to the task of Starlette."""


async def _awaited(awaitable: Awaitable[None]) -> None:
    await awaitable


class Below(Coroutine[Any, Any, None]):
    """One call of the application below: the coroutine of a task that is stepped by hand until the task itself starts.

    `inspect` sees a coroutine that has started, as AnyIO asks before it cancels a task.
    """

    __slots__ = (
        "_context",
        "_coroutine",
        "_exchange",
        "_pending",
        "_start",
        "failure",
        "has_ended",
        "is_by_hand",
        "scope",
        "task",
    )

    __name__ = "coro"
    __qualname__ = TASK_NAME.removeprefix("starlette.middleware.base.")
    cr_running = False
    cr_suspended = True
    cr_frame = None
    cr_code = None
    cr_await = None

    def __init__(self, exchange: "Exchange", start: Callable[[], Awaitable[None]]) -> None:
        self._exchange = exchange
        self._context: Context = copy_context()
        self._pending: Any = None
        self.has_ended = False
        self.is_by_hand = True
        self.failure: BaseException | None = None
        self.scope: scopes.Scope | None = None
        self._coroutine: Any = None
        self._start = start
        self.task: asyncio.Task[None] = exchange.loop.create_task(self, name=TASK_NAME, context=self._context)
        # While the caller handles an exception, steps by hand would see it as theirs.
        if exception() is None:
            self._step(self._begin)

    def _begin(self, value: Any) -> Any:
        awaitable = self._start()
        is_resumable = hasattr(awaitable, "send") and hasattr(awaitable, "throw")
        self._coroutine = awaitable if is_resumable else _awaited(awaitable)
        return self._coroutine.send(value)

    def go_on(self) -> bool:
        """Make steps by hand for as long as nothing is in the way; tell whether any were made."""
        pending = self._pending
        if not self.is_by_hand or self.has_ended or pending is None or not pending.done() or exception() is not None:
            return False
        self._step(self._coroutine.send)
        return True

    def _step(self, step: Callable[[Any], Any]) -> None:
        loop, task = self._exchange.loop, self.task
        host = current_task(loop)
        assert host is not None
        _leave_task(loop, host)
        _enter_task(loop, task)
        try:
            self._pending = self._context.run(step, None)
        except StopIteration:
            self._end()
        except BaseException as error:
            self._fail(error)
        finally:
            _leave_task(loop, task)
            _enter_task(loop, host)

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, Exception):
            self._exchange.error = error
        else:
            self.failure = error
        self._end()

    def _end(self) -> None:
        self.has_ended = True
        if self.scope is not None:
            scopes.release(self.task, self.scope)
        self._exchange.note_end()

    def adopt(self) -> None:
        """Put the task under the cancel scope that a task group would have put it under."""
        if self.scope is None and not self.has_ended:
            self.scope = scopes.adopt(self.task, self._exchange.host, self._exchange.outer_scope)

    # What the task calls.

    def send(self, value: Any) -> Any:
        if self.has_ended:
            raise StopIteration
        if self.is_by_hand:
            self.is_by_hand = False
            self.adopt()
            # Bare yields have had their turn of the loop by now.
            if self._pending is not None:
                return self._pending
            if self._coroutine is None:
                return self._resume(self._begin, None)
        return self._resume(self._coroutine.send, value)

    def throw(self, error: Any, value: Any = None, traceback: Any = None) -> Any:
        if self.has_ended:
            raise StopIteration
        if self.is_by_hand:
            self.is_by_hand = False
            self.adopt()
            # Cancelled before the task had a chance to wait for this: it does now, and is woken by the cancellation.
            if self._pending is not None and self._pending.cancel(*error.args[:1]):
                return self._pending
            if self._coroutine is None:
                self._end()
                raise error
        return self._resume(self._coroutine.throw, error)

    def _resume(self, step: Callable[[Any], Any], value: Any) -> Any:
        try:
            return step(value)
        except StopIteration:
            self._end()
            raise
        except Exception as error:
            self._fail(error)
            raise StopIteration from None
        except BaseException as error:
            self._fail(error)
            raise

    def close(self) -> None:
        if self._coroutine is not None:
            self._coroutine.close()

    def __await__(self) -> Any:
        return (yield from self._coroutine.__await__())
