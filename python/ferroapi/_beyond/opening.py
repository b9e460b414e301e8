"""Puts the start of a stream off until there is a first item, so that an exception in its place may have a status.

The start is sent alone when the first item takes long: clients wait for it before they cause what they wait for.
"""

import asyncio
import types
from collections.abc import Generator
from typing import Any

from starlette.types import Message, Send

FIRST_ITEM_WAIT = 0.5
"""How long the start of a response waits for the first item, in seconds."""


@types.coroutine
def _suspend(on: Any) -> Generator[Any]:
    """Suspend the task on what something below has yielded."""
    yield on


async def first_chunk(step: Any, pending: Any, send: Send, start: Message) -> tuple[Any, BaseException | None, bool]:
    """Await the rest of a step that gives the first chunk of a stream, and waits for `pending`.

    Returns the chunk, the exception in its place, and whether `start` was sent meanwhile: in the task of the request,
    while the generator is suspended.

    Raises:
        Exception: what `send` raises.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + FIRST_ITEM_WAIT
    has_started = False
    while True:
        failure: BaseException | None = None
        if not has_started:
            if asyncio.isfuture(pending):
                failure = await _until_done(pending, deadline)
            is_due = failure is None and loop.time() >= deadline
            if is_due and not (asyncio.isfuture(pending) and pending.done()):
                await send(start)
                has_started = True
        try:
            if failure is None and not (asyncio.isfuture(pending) and pending.done()):
                try:
                    await _suspend(pending)
                except BaseException as error:
                    failure = error
            pending = step.send(None) if failure is None else step.throw(failure)
        except StopIteration as stop:
            return stop.value, None, has_started
        except GeneratorExit:
            raise
        except BaseException as error:
            # Of a cancellation, too, FastAPI has sent the start.
            return None, error, has_started


async def _until_done(pending: "asyncio.Future[Any]", deadline: float) -> BaseException | None:
    """Wait until a future is done or the time has come; return what is raised here in the future's place.

    A cancellation goes to the future, as that of a task which waits for it.
    """
    loop = asyncio.get_running_loop()
    is_cancelled = False
    while not pending.done():
        waker = loop.create_future()

        def wake(_: Any = None, waker: "asyncio.Future[None]" = waker) -> None:
            if not waker.done():
                waker.set_result(None)

        pending.add_done_callback(wake)
        timer = None if is_cancelled else loop.call_at(deadline, wake)
        try:
            await waker
        except asyncio.CancelledError as error:
            # With its message, by which AnyIO knows whose it is.
            if not pending.cancel(*error.args[:1]):
                return error
            is_cancelled = True
        except BaseException as error:
            return error
        else:
            if not is_cancelled:
                break
        finally:
            pending.remove_done_callback(wake)
            if timer is not None:
                timer.cancel()
    return None
