"""AnyIO's worker threads of an event loop that is used again: they are, too, where nothing was left in them.

They end with the task at the root of the loop, which here is one that outlives the requests.
"""

import asyncio
import functools
import sys
import weakref
from contextvars import Context
from importlib import import_module
from typing import Any, NamedTuple

from anyio import to_thread

from ..._core import WorkQueue
from ..._wings import OFF
from .thread_state import CAN_COUNT, describe_thread, make_thread_values, thread_hooks, values_in_thread

# To ask a thread takes about 50 µs of CPU: two threads wake up.
_MOST_THREADS = 8

adopt_thread_and_call: Any
try:
    from ..._threads.anyio_pool import adopt_thread_and_call
except ImportError:
    adopt_thread_and_call = None

_backend: Any = import_module("anyio._backends._asyncio")
_run_vars: Any = getattr(import_module("anyio.lowlevel"), "_run_vars", None)
_KEPT_IN_LOOP = ("_root_task", "_threadpool_workers", "_threadpool_idle_workers", "_default_thread_limiter")
_variables: list[Any] = [getattr(_backend, name, None) for name in _KEPT_IN_LOOP]
_root_task, _threadpool_workers, _threadpool_idle_workers, _default_thread_limiter = _variables
MAY_KEEP = (
    CAN_COUNT
    and "threads" not in OFF  # a kept thread is asked through the wing's queue
    and None not in (adopt_thread_and_call, _run_vars, *_variables)
    and "_root_task" in _backend.find_root_task.__code__.co_names
)


class WorkerThreads:
    """The worker threads of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._root: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Let the threads that AnyIO starts in this loop, which runs, last longer than a request."""
        make_thread_values()
        if MAY_KEEP:
            self._root = asyncio.create_task(_wait(self._loop))
            _root_task.set(self._root)
            await asyncio.sleep(0)

    def count_references(self) -> int | None:
        """Return how many references to the loop the threads hold; None where a request has left something in them.

        The loop must not run.
        """
        if self._root is None:
            return 0
        variables: dict[Any, Any] = _run_vars.get(self._loop, {})
        workers = variables.get(_threadpool_workers, ())
        if (
            self._root.done()
            or len(workers) > _MOST_THREADS
            or len(workers) != len(variables.get(_threadpool_idle_workers, ()))
            or variables.keys() - {_root_task, _threadpool_workers, _threadpool_idle_workers, _default_thread_limiter}
        ):
            return None
        if _default_thread_limiter not in variables and not workers:
            return 0
        new = _find_new(thread_hooks())
        if _describe_limiter(variables.get(_default_thread_limiter)) != new.limiter:
            variables.pop(_default_thread_limiter, None)
        for worker in workers:
            if not isinstance(worker.queue, WorkQueue) or worker.stopping or not worker.is_alive():
                return None
            worker.queue.describe_after_calls(_describe)
            # What a call has left may be gone by now, such as its exception: then the thread says so when it is asked.
            if (worker.queue.description, describe_thread(worker)) != new.thread:
                described = _ask(worker.queue)
                if (described, describe_thread(worker)) != new.thread:
                    return None
        return len(workers) * new.references


async def _wait(loop: asyncio.AbstractEventLoop) -> None:
    await loop.create_future()


class _New(NamedTuple):
    """What a worker thread is like that has called nothing of a user's yet."""

    thread: tuple[object, tuple[object, ...]]
    """What the thread sees itself, and what all others see."""
    limiter: tuple[object, ...]
    references: int
    """To the loop."""


@functools.lru_cache(maxsize=4)
def _find_new(hooks: tuple[object, object]) -> _New:
    """Start a worker thread in a loop of its own, and describe it; `hooks` are those that threads start with."""
    loop = asyncio.SelectorEventLoop()
    threads = WorkerThreads(loop)
    try:
        loop.run_until_complete(threads.open())
        before = sys.getrefcount(loop)
        loop.run_until_complete(to_thread.run_sync(functools.partial(adopt_thread_and_call, make_thread_values)))
        variables: dict[Any, Any] = _run_vars[loop]
        (worker,) = variables[_threadpool_workers]
        described = _ask(worker.queue) if isinstance(worker.queue, WorkQueue) else ()
        # From a frame with as many references to the thread as the one that compares.
        return _New(
            (described, describe_thread(worker)),
            _describe_limiter(variables[_default_thread_limiter]),
            sys.getrefcount(loop) - before,
        )
    finally:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.get_loop()


def _describe_limiter(limiter: Any) -> tuple[object, ...]:
    if limiter is None:
        return ()
    return (sys.getrefcount(limiter), weakref.getweakrefcount(limiter), limiter.total_tokens, limiter.borrowed_tokens)


def _ask(queue: WorkQueue) -> tuple[object, ...]:
    described: tuple[object, ...] = queue.call(Context(), _describe)
    return described


def _describe() -> tuple[object, ...]:
    Context().run(make_thread_values)
    return values_in_thread()
