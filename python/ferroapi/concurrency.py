"""Where code that blocks or must be limited runs: Starlette's thread helpers and the context managers of dependencies.

Nothing here knows of requests; `dependencies` decides what is entered, and in which order.
"""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from contextlib import asynccontextmanager as asynccontextmanager
from types import TracebackType
from typing import TypeVar
from weakref import WeakKeyDictionary

import anyio.to_thread
from anyio import CancelScope, CapacityLimiter, Semaphore
from anyio.lowlevel import RunVar, checkpoint_if_cancelled
from starlette.concurrency import iterate_in_threadpool as iterate_in_threadpool
from starlette.concurrency import run_in_threadpool as run_in_threadpool
from starlette.concurrency import run_until_first_complete as run_until_first_complete

_T = TypeVar("_T")


@asynccontextmanager
async def contextmanager_in_threadpool(cm: AbstractContextManager[_T]) -> AsyncGenerator[_T, None]:
    """Enter and exit a synchronous context manager in worker threads.

    The exit runs even when the surrounding task is cancelled.
    """
    # Exits do not queue for the shared limiter: the threads that hold it may all wait for what an exit gives back,
    # such as a database connection.
    exit_limiter = CapacityLimiter(1)

    async def leave(error: BaseException | None) -> bool:
        kind: type[BaseException] | None = None if error is None else type(error)
        traceback: TracebackType | None = None if error is None else error.__traceback__
        handled: bool | None = None
        with CancelScope(shield=True):
            handled = await anyio.to_thread.run_sync(cm.__exit__, kind, error, traceback, limiter=exit_limiter)
        return bool(handled)

    value = await run_in_threadpool(cm.__enter__)
    try:
        yield value
    except BaseException as error:
        if not await leave(error):
            raise
    else:
        await leave(None)


@asynccontextmanager
async def _asynccontextmanager_with_shielded_exit(
    cm: AbstractAsyncContextManager[_T], cleanup_scope: CancelScope
) -> AsyncGenerator[_T, None]:
    """Enter `cm`, and shield `cleanup_scope` from cancellation while it exits."""
    shield_before = cleanup_scope.shield
    try:
        async with cm as value:
            try:
                yield value
            finally:
                cleanup_scope.shield = True
    finally:
        cleanup_scope.shield = shield_before
    # A cancellation that arrived during the exit was held back and is due now.
    await checkpoint_if_cancelled()


class _DependencyConcurrency:
    """How many calls of one dependency may be open at once: one semaphore for each event loop."""

    def __init__(self, max_concurrency: int) -> None:
        self.max_concurrency = max_concurrency

    def get_semaphore(self) -> Semaphore:
        """Return the semaphore of the running event loop."""
        semaphores = _dependency_semaphores.get(None)
        if semaphores is None:
            semaphores = WeakKeyDictionary()
            _dependency_semaphores.set(semaphores)
        semaphore = semaphores.get(self)
        if semaphore is None:
            semaphore = semaphores[self] = Semaphore(self.max_concurrency)
        return semaphore


_dependency_semaphores: RunVar[WeakKeyDictionary[_DependencyConcurrency, Semaphore]] = RunVar(
    "fastapi_dependency_semaphores"
)


@asynccontextmanager
async def _contextmanager_with_concurrency_limit(
    cm: AbstractAsyncContextManager[_T], semaphore: Semaphore
) -> AsyncGenerator[_T, None]:
    """Hold one place of `semaphore` for as long as `cm` is open."""
    async with semaphore, cm as value:
        yield value
