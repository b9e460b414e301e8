"""The requests of a client that was entered: tasks in the loop of its portal, each started by one call from outside."""

import asyncio
import threading

from .exchange import Exchange
from .loops import copy_context


class Requests:
    """Starts exchanges in a loop, and is itself a task there that ends after them.

    A portal makes two calls for a task: one to start it, one to wait for it.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None

    async def open(self) -> None:
        """Take the running loop for what is started."""
        self._loop = asyncio.get_running_loop()
        self._closed = asyncio.Event()

    async def wait_closed(self) -> None:
        """Wait until `close` was called and all exchanges have ended.

        Raises:
            BaseException: an application raised one that is no `Exception`; as in a portal, it ends the loop.
        """
        await self._closed.wait()
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Let `wait_closed` end, from the thread of another loop or of none."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._closed.set)

    def run(self, exchange: Exchange) -> None:
        """Run an exchange and wait for it.

        Raises:
            RuntimeError: the loop is closed.
            BaseException: the wait was interrupted; the application is cancelled.
        """
        done = threading.Lock()
        done.acquire()
        self._loop.call_soon_threadsafe(self._start, exchange, done, context=copy_context())
        try:
            done.acquire()
        except BaseException:
            if not exchange.complete:
                exchange.cancel_until(lambda: done.acquire(timeout=0.01))
            else:
                done.acquire()
            raise

    def _start(self, exchange: Exchange, done: threading.Lock) -> None:
        task = self._loop.create_task(exchange.run())
        self._tasks.add(task)

        def end(_: object) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and (failure := task.exception()) is not None:
                self._failure = failure
                self._closed.set()
            done.release()

        task.add_done_callback(end)
