"""The ends of generators and exit stacks that the driver leaves to Python, without an exception and with one.

The names that the driver asks for are in `rust/core/src/names.rs`.
"""

import asyncio
import types
from collections.abc import Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any, Literal

from anyio import CancelScope, CapacityLimiter
from anyio.lowlevel import checkpoint_if_cancelled
from anyio.to_thread import run_sync
from starlette.types import Scope

from ferroapi._engine import stand_ins
from ferroapi._engine.session import RESPONSE_NOT_AWAITED
from ferroapi.exceptions import FastAPIError


def open_outermost(scope: Scope) -> AsyncExitStack:
    """Put into a scope what the middleware would leave there, and return the stack that this would have opened.

    User code with a `Request` finds it, and the exception handlers.
    """
    scope["starlette.exception_handlers"] = scope["app"]._stack_plan.handlers
    stack = scope["fastapi_middleware_astack"] = AsyncExitStack()
    return stack


async def close_stack(stack: AsyncExitStack) -> bool:
    """Leave what user code entered in an exit stack."""
    await stack.__aexit__(None, None, None)
    return True


class Unscoped:
    """Stands in the place of a cancel scope that could not do anything: no scope is around the task that it is for.

    What is entered inside must have been left by its end, as with AnyIO's scope.
    """

    __slots__ = ("_task", "shield")

    def __init__(self, task: "asyncio.Task[Any]") -> None:
        self._task = task
        self.shield = False

    def is_left(self) -> bool:
        """Tell whether the task has left all that it has entered inside."""
        return stand_ins.is_unscoped(self._task)

    def leave(self) -> bool:
        """Leave it, unless the task has not left what it has entered inside; tell whether it is left.

        Raises:
            RuntimeError: another task leaves it.
        """
        is_left = self.is_left()
        if is_left:
            self._check_task()
        return is_left

    def _check_task(self) -> None:
        if asyncio.current_task() is not self._task:
            raise RuntimeError("Attempted to exit cancel scope in a different task than it was entered in")

    def __exit__(self, *exception: Any) -> None:
        self._check_task()
        if not self.is_left():
            raise RuntimeError("Attempted to exit a cancel scope that isn't the current tasks's current cancel scope")


def enter_scope() -> CancelScope | Unscoped:
    """Return an entered cancel scope; its shield is raised while an async generator ends."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # another event loop than asyncio's
        task = None
    return Unscoped(task) if task is not None and stand_ins.is_unscoped(task) else CancelScope().__enter__()


async def close_async(generator: Any, scope: CancelScope | Unscoped) -> bool:
    """Run an async generator to its end, out of reach of cancellation, and tell whether it stopped there.

    Source: FastAPI behaviour, `concurrency._asynccontextmanager_with_shielded_exit`.
    """
    scope.shield = True
    try:
        await generator.__anext__()
    except StopAsyncIteration:
        pass
    else:
        return False
    finally:
        scope.shield = False
    await checkpoint_if_cancelled()
    return True


Teardown = list[tuple[Any, Literal["async", "plain", "scope", "stack"]]]
"""Generators at their `yield`, in the order of their entry, and the cancel scope around the async ones."""


@types.coroutine
def _raise_when_closed(error: BaseException) -> Generator[None]:
    with suppress(GeneratorExit):
        yield
    raise error


async def unwind(
    error: BaseException,
    started: bool,
    sent: bool,
    function_teardown: Teardown,
    request_teardown: Teardown,
    is_closing: bool,
) -> None:
    """Raise an exception inside the generators that are still entered, as their exit stacks would.

    If the request `is_closing`, this waits to be closed itself, so that what then waits in any of the coroutines around
    raises in the next one.

    Raises:
        BaseException: what comes out of the generators, `error` itself unless they do something with it.
        FastAPIError: they swallowed it, so that there is no response.
    """
    scope = next((entered for entered, kind in request_teardown if kind == "scope"), None)
    async with AsyncExitStack() as request_stack:
        _push(request_stack, request_teardown, scope)
        async with AsyncExitStack() as function_stack:
            _push(function_stack, function_teardown, scope)
            if is_closing:
                await _raise_when_closed(error)
            raise error
        raise UnboundLocalError(_NO_RESPONSE)
    if not sent:
        raise FastAPIError(RESPONSE_NOT_AWAITED)


_NO_RESPONSE = "cannot access local variable 'response' where it is not associated with a value"
"""What FastAPI raises when a dependency of function scope swallows the exception of an endpoint."""


def _push(stack: AsyncExitStack, teardown: Teardown, scope: CancelScope | Unscoped | None) -> None:
    for entered, kind in teardown:
        if kind == "scope":
            stack.push(entered.__exit__)
        elif kind == "stack":
            stack.push_async_exit(entered.__aexit__)
        elif kind == "async":
            assert scope is not None, "async generators are entered in a cancel scope"
            stack.push_async_exit(partial(_exit_async, entered, scope))
        else:
            stack.push_async_exit(partial(_exit_sync, entered))


async def _exit_async(generator: Any, scope: CancelScope | Unscoped, *exception: Any) -> bool | None:
    # A context manager made around a generator that is entered already: its exit is contextlib's.
    manager = asynccontextmanager(lambda: generator)()
    scope.shield = True
    try:
        is_swallowed = await manager.__aexit__(*exception)
    finally:
        scope.shield = False
    if is_swallowed or exception[1] is None:
        await checkpoint_if_cancelled()
    return is_swallowed


async def _exit_sync(generator: Any, *exception: Any) -> bool:
    manager = contextmanager(lambda: generator)()
    is_swallowed = False
    try:
        with CancelScope(shield=True):
            is_swallowed = bool(await run_sync(partial(manager.__exit__, *exception), limiter=CapacityLimiter(1)))
    except StopAsyncIteration as stop:
        # FastAPI has an async generator around this one, out of which its own end may not be raised.
        raise RuntimeError("async generator raised StopAsyncIteration") from stop
    return is_swallowed
