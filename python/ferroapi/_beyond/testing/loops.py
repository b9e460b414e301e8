"""Event loops for requests outside of a client's context: each request has a thread and a loop that it finds new.

Both are used again where the request left nothing in them that another could see; else they end with it, as the thread
and the loop of `anyio.from_thread.start_blocking_portal` do.
"""

import asyncio
import atexit
import contextvars
import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Sized
from typing import Any

from .exchange import Exchange, let_others_run
from .thread_state import CAN_COUNT, announce_asyncio, thread_hooks, thread_state
from .worker_threads import WorkerThreads

_idle: deque["_Worker"] = deque()
_abandoned: list["_Worker"] = []


def run(exchange: Exchange, options: dict[str, Any]) -> None:
    """Run an exchange in a loop of its own, in another thread, until all that it left running has ended.

    `options` are those of AnyIO's backend for asyncio.

    Raises:
        BaseException: what made or ended the loop failed, or the wait was interrupted: the application is cancelled.
    """
    work = _Work(exchange, options, copy_context())
    try:
        worker = _idle.pop()
    except IndexError:
        worker = _Worker()
    worker.start(work)
    try:
        work.wait()
    except BaseException:
        if not exchange.complete:
            exchange.cancel_until(work.has_finished)
        work.wait()
        raise
    finally:
        if work.thread_ends:
            worker.thread.join()
    if work.failure is not None:
        raise work.failure


def copy_context() -> contextvars.Context:
    """The caller's context for a task of asyncio, whichever library the caller runs in."""
    context = contextvars.copy_context()
    context.run(announce_asyncio)
    return context


class _Work:
    """What a worker has to do, and how the thread that waits for it is told."""

    __slots__ = ("_done", "context", "exchange", "failure", "options", "thread_ends")

    def __init__(self, exchange: Exchange, options: dict[str, Any], context: contextvars.Context) -> None:
        self.exchange = exchange
        self.options = options
        self.context = context
        self.failure: BaseException | None = None
        self.thread_ends = False
        self._done = threading.Lock()
        self._done.acquire()

    def wait(self) -> None:
        self._done.acquire()
        self._done.release()

    def finish(self) -> None:
        self._done.release()

    def has_finished(self) -> bool:
        """Wait for a moment, and say whether the work is done."""
        if not self._done.acquire(timeout=0.01):
            return False
        self._done.release()
        return True


class _Loop:
    """An event loop, which may be used again if nobody refers to it, nothing waits in it and nothing was set on it."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._made_as = _how_loops_are_made()
        factory = options.get("loop_factory")
        if factory is None and options.get("use_uvloop", False):
            from uvloop import new_event_loop as factory
        self._is_current = factory is None
        self.loop: asyncio.AbstractEventLoop = (factory or asyncio.new_event_loop)()
        if self._is_current:
            asyncio.set_event_loop(self.loop)
        if (debug := options.get("debug")) is not None:
            self.loop.set_debug(debug)
        self._workers = WorkerThreads(self.loop)
        if not options:
            self.loop.run_until_complete(self._workers.open())
        # A loop that is made with options ends with its request; so does one whose attributes cannot be read (uvloop).
        self._attributes = None if options else getattr(self.loop, "__dict__", {}).copy() or None
        self._sizes = [len(value) for value in (self._attributes or {}).values() if isinstance(value, Sized)]
        self._references = self._count_references()

    def _count_references(self) -> tuple[int, int]:
        return sys.getrefcount(self.loop), weakref.getweakrefcount(self.loop)

    def is_for(self, options: dict[str, Any]) -> bool:
        """Whether a loop that is made now, with these options, would be like this one."""
        return not options and self._made_as == _how_loops_are_made()

    def run(self, work: _Work) -> None:
        """Run an exchange until the application returns or raises."""
        task = self.loop.create_task(work.exchange.run(), context=work.context)
        try:
            self.loop.run_until_complete(task)
        except BaseException as exception:
            # Those of the application are the exchange's to tell.
            if not task.done() or not (task.cancelled() or task.exception() is exception):
                raise

    def is_as_new(self) -> bool:
        before = self._attributes
        if before is None or (of_workers := self._workers.count_references()) is None:
            return False
        strong, weak = self._references
        if self._count_references() != (strong + of_workers, weak):
            return False
        now = vars(self.loop)
        return (
            len(now) == len(before)
            and all(value is before.get(name, now) for name, value in now.items())
            and [len(value) for value in now.values() if isinstance(value, Sized)] == self._sizes
        )

    def end(self) -> None:
        """Give what was left a few turns, cancel it, end asynchronous generators and threads, and close the loop."""
        try:
            with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
                runner.run(let_others_run())
        finally:
            if self._is_current:
                asyncio.set_event_loop(None)


def _how_loops_are_made() -> tuple[object, object]:
    # Since Python 3.14, the public function warns.
    find_policy = getattr(asyncio.events, "_get_event_loop_policy", None) or asyncio.get_event_loop_policy
    return asyncio.new_event_loop, find_policy()


class _Worker:
    """A thread with an event loop. There are as many as there have been requests at the same time."""

    def __init__(self) -> None:
        self._wake = threading.Lock()
        self._wake.acquire()
        self._work: _Work | None = None
        self._loop: _Loop | None = None
        self._before: tuple[object, ...] | None = None
        # A thread that starts later may have other ones: debuggers and coverage set them.
        self._hooks = thread_hooks()
        keywords: dict[str, Any] = {"context": contextvars.Context()} if sys.version_info >= (3, 14) else {}
        name = f"asyncio-portal-{id(self):x}"
        self.thread = threading.Thread(target=self._run, name=name, daemon=True, **keywords)

    def start(self, work: _Work | None) -> None:
        """Do this work; none: end the thread."""
        self._work = work
        if self.thread.ident is None:
            self.thread.start()
        self._wake.release()

    def _run(self) -> None:
        # `Thread.start` refers to the thread for a while, too.
        self._wake.acquire()
        while (work := self._work) is not None:
            self._work = None
            try:
                may_keep = self._do(work)
            except BaseException as failure:
                work.failure = failure
                may_keep = False
            if not may_keep:
                work.thread_ends = True
                work.finish()
                return
            _idle.append(self)
            work.finish()
            del work
            self._wake.acquire()
        if self._loop is not None:
            self._loop.end()

    def _do(self, work: _Work) -> bool:
        """Run an exchange; end the loop unless it and the thread are as new afterwards, and return whether they are."""
        loop = self._loop
        if loop is not None and not loop.is_for(work.options):
            self._loop = None
            loop.end()
            loop = None
        if loop is None:
            loop = self._loop = _Loop(work.options)
        if self._before is None:
            self._before = self._thread_state()
        may_keep = False
        try:
            loop.run(work)
            may_keep = CAN_COUNT and loop.is_as_new() and self._thread_state() == self._before
        finally:
            if not may_keep:
                self._loop = None
                loop.end()
        return may_keep

    def _thread_state(self) -> tuple[object, ...]:
        """What a thread that starts now would find otherwise."""
        return (*thread_state(), sys.gettrace(), sys.getprofile(), self._hooks == thread_hooks())


@atexit.register
def _end_idle() -> None:
    while _idle:
        worker = _idle.pop()
        worker.start(None)
        worker.thread.join(1)


def _abandon_idle() -> None:
    # The threads are the parent's; their loops are kept, as nobody may close them here.
    _abandoned.extend(_idle)
    _idle.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_idle)
