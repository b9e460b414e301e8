"""What is downstream of a middleware function: run by hand as a task of its own until it waits for something else.

Starlette hands it to a task group. Here the task exists too, and whoever looks sees it; its first steps are only made
without waiting for the event loop to come round.
"""

import asyncio
import sys
from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from ferroapi import _core

if TYPE_CHECKING:
    from ferroapi._middleware.call_next import CallNext

TASK_NAME = "starlette.middleware.base.BaseHTTPMiddleware.__call__.<locals>.call_next.<locals>.coro"
"""The name that AnyIO gives to the task of Starlette."""


if sys.version_info >= (3, 12):
    running_task: Callable[[Any], Any] = asyncio.current_task
else:
    # `current_task` is slow there, written in Python; this is what it reads.
    running_task = vars(asyncio.tasks)["_current_tasks"].get


def _end_loop(error: BaseException) -> None:
    raise error


async def awaited(awaitable: Awaitable[None]) -> None:
    """Make a coroutine of an awaitable that is none."""
    await awaitable


class DownstreamTask(_core.SteppedTask, Coroutine[Any, Any, None]):
    """One call of the application downstream: the coroutine of a task, stepped by hand until the task itself starts.

    `inspect` sees whether it has started, as AnyIO asks before it cancels a task.
    """

    __name__ = "coro"
    __qualname__ = TASK_NAME.removeprefix("starlette.middleware.base.")
    cr_running = False
    cr_frame = None
    cr_code = None
    cr_await = None
    ends_loop = False
    """Whether it has been ended by hand by what ends the event loop, in the next turn of that."""

    @property
    def cr_suspended(self) -> bool:
        """Whether the application was called, and does not run now."""
        return self.coroutine is not None

    def begin_for(self, call_next: "CallNext") -> None:
        """Begin, as a new task."""
        self.caller = call_next
        task = call_next.loop.create_task(self, name=TASK_NAME, context=self.context)
        self.begin_as(task, call_next.note_task())

    def note_failure(self, error: BaseException) -> None:
        """Take note of what the application raised, which is its end.

        Raises:
            BaseException: the error, if it is meant to end the event loop.
        """
        caller = self.caller
        if caller is not None and isinstance(error, Exception):
            caller.error = error
        ends_loop = isinstance(error, (KeyboardInterrupt, SystemExit))
        if ends_loop and caller is not None and self.is_by_hand:
            # It would end the middleware function, whose task makes this step, and not the loop.
            caller.loop.call_soon(_end_loop, error)
            self.ends_loop = True
            ends_loop = False
        self.note_end()
        if caller is not None and not isinstance(error, Exception):
            caller.note_escape(error, ends_loop=self.ends_loop)
        if ends_loop:
            raise error

    # What the task calls.

    def send(self, value: Any) -> Any:
        if self.has_ended:
            raise StopIteration
        if self.hand_over():
            self.adopt()
            if (pending := self.pending) is not None:
                return pending
            if self.coroutine is None:
                return self._resume(lambda _: self.begin(), None)
            # A bare yield gives those their turn that the application has scheduled: they come after this step.
            if self.is_followed:
                return None
        return self._resume(self.coroutine.send, value)

    def throw(self, error: Any, value: Any = None, traceback: Any = None) -> Any:
        if self.has_ended:
            raise StopIteration
        if self.hand_over():
            self.adopt()
            # Cancelled before the task had a chance to wait for this: it does now, and is woken by the cancellation.
            if (pending := self.pending) is not None and pending.cancel(*error.args[:1]):
                return pending
            if self.coroutine is None:
                self.note_end()
                raise error
        return self._resume(self._throw, error)

    def _throw(self, error: BaseException) -> Any:
        if isinstance(error, GeneratorExit):
            # What awaits is closed by it, from the inside out, and the frame around all is raised the error itself.
            self.coroutine.close()
            raise error
        return self.coroutine.throw(error)

    def _resume(self, step: Callable[[Any], Any], value: Any) -> Any:
        try:
            return step(value)
        except StopIteration:
            self.note_end()
            raise
        except CancelledError as error:
            self.note_failure(error)
            raise
        except BaseException as error:
            self.note_failure(error)
            raise StopIteration from None

    def close(self) -> None:
        if (coroutine := self.coroutine) is not None:
            coroutine.close()

    def __await__(self) -> Any:
        return (yield from self.coroutine.__await__())
