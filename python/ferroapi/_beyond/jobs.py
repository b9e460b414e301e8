"""Calls that run beside the one that waits for them, on asyncio and on trio."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable

import anyio


class Job:
    """A call in a task of its own, which is not bound to the task that started it.

    A task group would be: the task that entered it has to leave it, inside of what it has entered before.
    """

    def __init__(self, call: Callable[[], Awaitable[None]]) -> None:
        self._call = call
        self._scope = anyio.CancelScope()
        self._ended = anyio.Event()
        self._task: asyncio.Task[None] | None = None
        self.exception: BaseException | None = None

    @property
    def has_ended(self) -> bool:
        """Whether the call has returned or raised."""
        return self._ended.is_set()

    def start(self) -> None:
        """Start the call in the running event loop."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            import trio

            trio.lowlevel.spawn_system_task(self._run, context=contextvars.copy_context())
        else:
            self._task = loop.create_task(self._run())

    async def _run(self) -> None:
        try:
            with self._scope:
                await self._call()
        except BaseException as exception:
            self.exception = exception
            if isinstance(exception, (KeyboardInterrupt, SystemExit)):
                raise
        finally:
            self._ended.set()

    async def wait(self) -> None:
        """Wait until the call has ended."""
        await self._ended.wait()

    async def cancel(self) -> None:
        """Cancel the call and wait until it has ended."""
        self._scope.cancel()
        with anyio.CancelScope(shield=True):
            await self._ended.wait()
