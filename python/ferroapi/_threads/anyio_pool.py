"""AnyIO's worker threads on asyncio, borrowed for one call at a time, with the bookkeeping that AnyIO has.

Importing it fails where AnyIO's own code is not what this was written for. Source: AnyIO's `to_thread.run_sync`.
"""

import asyncio
from asyncio import Future, Task
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from threading import current_thread
from typing import Any, NamedTuple

from anyio import CancelScope, CapacityLimiter, WouldBlock
from anyio._backends._asyncio import (
    AsyncIOBackend,
    WorkerThread,
    _default_thread_limiter,
    _task_states,
    _threadpool_idle_workers,
)
from anyio._core._eventloop import threadlocals
from anyio.lowlevel import RunVar, _run_vars

from ferroapi import _core

_library: Any
try:
    from sniffio import current_async_library_cvar as _library
except ImportError:  # AnyIO does without it then
    _library = None

_NAMES: dict[Any, set[str]] = {
    AsyncIOBackend.check_cancelled: {"threadlocals", "current_cancel_scope"},
    AsyncIOBackend.run_sync_in_worker_thread: {"idle_since", "MAX_IDLE_TIME", "root_task", "stop", "put_nowait"},
    WorkerThread.run: {"queue", "get", "task_done", "threadlocals", "current_cancel_scope", "_report_result"},
    WorkerThread.stop: {"stopping", "queue", "put_nowait", "idle_workers"},
    WorkerThread._report_result: {"idle_since", "stopping", "idle_workers", "set_exception", "set_result"},
}
"""What must be in AnyIO's functions for the calls here to fit between them."""

for _function, _used in _NAMES.items():
    _code = getattr(_function, "__func__", _function).__code__
    if not _used <= set(_code.co_names):
        raise ImportError(f"anyio's {_code.co_name} is not as expected")

if "RunVar" not in str(RunVar._current_vars.fget.__annotations__):  # type: ignore[attr-defined]
    raise ImportError("anyio keeps the variables of an event loop by their names")


class BorrowedWorker(NamedTuple):
    """A worker thread for one call."""

    queue: _core.WorkQueue
    context: Context
    """What the call runs in."""
    scope: CancelScope | None
    """What `anyio.from_thread` finds."""
    thread: WorkerThread
    task: Task[Any]
    limiter: CapacityLimiter | None
    """Whose token the task holds meanwhile."""
    is_shielded: bool
    """Whether the task, which is in a cancel scope, waits in one of its own."""


def borrow_worker(is_limited: bool) -> BorrowedWorker | None:
    """Return the idle thread that was used last, None where AnyIO would do anything else than give it the call."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    task = asyncio.current_task(loop)
    if task is None:
        return None
    if isinstance(below := task.get_coro(), _core.SteppedTask):
        # What is below a middleware function may wait now: AnyIO has to know the cancel scope that it is in, as well.
        below.adopt()
    if task.cancelling():
        return None
    variables: Any = _run_vars.get(loop) or {}
    idle: deque[WorkerThread] | None = variables.get(_threadpool_idle_workers)
    if not idle:
        return None
    worker = idle[-1]
    queue: Any = worker.queue
    if type(queue) is not _core.WorkQueue:
        return None
    now = loop.time()
    context = copy_context()
    if _library is not None and _library.get() is not None:
        context.run(_library.set, None)
    state = _task_states.get(task)
    scope: Any = None if state is None else state.cancel_scope
    limiter = None
    if is_limited:
        limiter = variables.get(_default_thread_limiter)
        if limiter is None or (scope is not None and scope._effectively_cancelled):
            return None
        try:
            limiter.acquire_on_behalf_of_nowait(task)
        except (WouldBlock, RuntimeError):
            return None
    # From here on nothing of anybody else's is called, which might fail: whoever has borrowed it gives it back.
    idle.pop()
    while idle and now - idle[0].idle_since >= WorkerThread.MAX_IDLE_TIME:
        expired = idle.popleft()
        expired.root_task.remove_done_callback(expired.stop)
        expired.stop()
    # The end of a generator is out of reach of cancellation.
    return BorrowedWorker(queue, context, scope if is_limited else None, worker, task, limiter, scope is not None)


def return_worker(borrowed: BorrowedWorker) -> None:
    """Make the thread available again, after a call that was waited for in place."""
    worker = borrowed.thread
    if not worker.stopping:
        worker.idle_workers.append(worker)
    if borrowed.limiter is not None:
        borrowed.limiter.release_on_behalf_of(borrowed.task)
    worker.idle_since = worker.loop.time()


def report(borrowed: BorrowedWorker) -> tuple[Callable[..., Any], Callable[..., Any], Future[Any]]:
    """Return how the thread tells the event loop, what is called there, and the future that it settles."""
    worker = borrowed.thread
    return worker.loop.call_soon_threadsafe, worker._report_result, Future(loop=worker.loop)


async def wait(borrowed: BorrowedWorker, future: Future[Any]) -> Any:
    """Return the result of a call that is under way; only a cancellation of the task itself ends the waiting."""
    try:
        if not borrowed.is_shielded:
            return await future
        with CancelScope(shield=True):
            return await future
    finally:
        if borrowed.limiter is not None:
            borrowed.limiter.release_on_behalf_of(borrowed.task)


def adopt_thread_and_call(call: Callable[[], Any]) -> Any:
    """Make a call in a thread of AnyIO's pool, which reads from a queue of the engine from then on."""
    worker: Any = current_thread()
    if isinstance(worker, WorkerThread) and not isinstance(worker.queue, _core.WorkQueue):
        queue: Any = _core.WorkQueue(threadlocals)
        worker.queue = queue
        # Its end may have been ordered already, by way of the queue that nobody reads any more.
        if worker.stopping:
            queue.put_nowait(None)
    return call()
