"""Produces server-sent events in one task and keeps the connection alive in another, ahead of what is sent.

In an asyncio task the two are joined by `_Channel`; elsewhere by AnyIO's memory object streams, which it follows step
by step: what a failing or leaving end finds sent, and what it finds waiting, is the same.
"""

import asyncio
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
from anyio import BrokenResourceError
from anyio.abc import ObjectReceiveStream, ObjectSendStream

from ferroapi._engine import sending
from ferroapi.sse import KEEPALIVE_COMMENT

_BUFFERED_EVENTS = 1

Serializer = Callable[[Any], bytes]

_MEANT = anyio
"""What `pause` and `_Channel` stand for."""


@types.coroutine
def pause() -> Generator[None]:
    """Let the event loop go round once: `anyio.sleep(0)` for an asyncio task."""
    yield


def checkpoint() -> Callable[[], Awaitable[None]]:
    """Return what gives a stream the chance to be cancelled between two chunks, which a generator may never offer."""
    return pause if anyio is _MEANT and sending.in_asyncio_task() else lambda: anyio.sleep(0)


async def with_checkpoints(items: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Pass items on with a checkpoint after each."""
    rest = checkpoint()
    async for item in items:
        yield item
        await rest()


async def start_events(
    exit_stack: AsyncExitStack, items: AsyncIterator[Any], serialize: Serializer, ping_interval: float
) -> AsyncIterator[bytes]:
    """Start to produce events, with a comment in every silence of `ping_interval` seconds.

    The tasks, which raise what the generator raises, end with the exit stack.
    """
    if ping_interval > 0 and anyio is _MEANT and sending.in_asyncio_task():
        events = await exit_stack.enter_async_context(_producer(items, serialize, ping_interval))
        exit_stack.callback(events.stop_taking)
        return _taken(events)
    stream = await exit_stack.enter_async_context(_anywhere_producer(items, serialize, ping_interval))
    exit_stack.push_async_callback(stream.aclose)
    return with_checkpoints(stream)


# For asyncio.

_NOTHING: Any = object()
"""Stands for an event where there is none: a place that is free, an end."""


class _Channel:
    """One place for an event between a task that puts and a task that takes.

    Source: AnyIO behaviour, `streams.memory` with a buffer of one item, one sender and one receiver.
    """

    __slots__ = ("_deadline", "_loop", "_place", "_putting", "_taking", "_timer", "_waiting_put", "_waiting_take")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._place: Any = _NOTHING
        self._waiting_put: tuple[asyncio.Future[None], bytes] | None = None
        self._waiting_take: asyncio.Future[Any] | None = None
        self._putting = self._taking = True
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def put(self, event: bytes) -> None:
        """Hand an event over, and wait while the place is taken.

        Raises:
            BrokenResourceError: nobody takes any more.
        """
        await pause()
        if not self._taking:
            raise BrokenResourceError
        taker, self._waiting_take = self._waiting_take, None
        # A taker that is cancelled, or has been told to send a ping, finds the event when it comes back.
        if taker is not None and not taker.done():
            taker.set_result(event)
            return
        if self._place is _NOTHING:
            self._place = event
            return
        future = self._loop.create_future()
        self._waiting_put = (future, event)
        try:
            await future
        finally:
            is_left, self._waiting_put = self._waiting_put is not None, None
        if is_left:
            raise BrokenResourceError

    async def take(self, within: float | None = None) -> Any:
        """Return the next event, `_NOTHING` at the end, or a keep-alive comment when none comes `within` seconds."""
        await pause()
        event, self._place = self._place, _NOTHING
        if self._waiting_put is not None:
            future, self._place = self._waiting_put
            self._waiting_put = None
            if not future.done():
                future.set_result(None)
        if event is not _NOTHING or not self._putting:
            return event
        taker = self._waiting_take = self._loop.create_future()
        if within is not None:
            self._deadline = self._loop.time() + within
            if self._timer is None:
                self._timer = self._loop.call_at(self._deadline, self._ring)
        try:
            return await taker
        finally:
            if self._waiting_take is taker:
                self._waiting_take = None

    def _ring(self) -> None:
        # One timer serves many waits: each only moves the deadline, and an early ring is put off.
        self._timer = None
        taker = self._waiting_take
        if taker is None or taker.done():
            return
        if self._loop.time() >= self._deadline:
            taker.set_result(KEEPALIVE_COMMENT)
        else:
            self._timer = self._loop.call_at(self._deadline, self._ring)

    def stop_putting(self) -> None:
        """Tell the taker that there is no more."""
        self._putting = False
        taker, self._waiting_take = self._waiting_take, None
        if taker is not None and not taker.done():
            taker.set_result(_NOTHING)

    def stop_taking(self) -> None:
        """Refuse what is put from now on, and what waits to be put."""
        self._taking = False
        if self._timer is not None:
            self._timer.cancel()
        if self._waiting_put is not None and not self._waiting_put[0].done():
            self._waiting_put[0].set_result(None)


@asynccontextmanager
async def _producer(items: AsyncIterator[Any], serialize: Serializer, ping_interval: float) -> AsyncIterator[_Channel]:
    """Run the generator in one task and the keep-alive in another, both ended with the `async with` block.

    A silence ends a wait for the queue and never one for the generator, which would lose its state.
    """
    loop = asyncio.get_running_loop()
    produced, forwarded = _Channel(loop), _Channel(loop)

    async def produce() -> None:
        try:
            async for item in items:
                await produced.put(serialize(item))
        finally:
            produced.stop_putting()

    async def forward() -> None:
        try:
            while (event := await produced.take(ping_interval)) is not _NOTHING:
                await forwarded.put(event)
        finally:
            produced.stop_taking()
            forwarded.stop_putting()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(produce)
        tasks.start_soon(forward)
        yield forwarded
        tasks.cancel_scope.cancel()


async def _taken(events: _Channel) -> AsyncIterator[bytes]:
    while (event := await events.take()) is not _NOTHING:
        yield event
        await pause()


# For any event loop.


@asynccontextmanager
async def _anywhere_producer(
    items: AsyncIterator[Any], serialize: Serializer, ping_interval: float
) -> AsyncIterator[ObjectReceiveStream[bytes]]:
    """Do what `_producer` does with AnyIO's streams and timeouts."""
    produced, to_forward = anyio.create_memory_object_stream[bytes](max_buffer_size=_BUFFERED_EVENTS)
    forwarded, to_send = anyio.create_memory_object_stream[bytes](max_buffer_size=_BUFFERED_EVENTS)

    async def produce() -> None:
        async with produced:
            async for item in items:
                await produced.send(serialize(item))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(produce)
        tasks.start_soon(_forward_anywhere, to_forward, forwarded, ping_interval)
        yield to_send
        tasks.cancel_scope.cancel()


async def _forward_anywhere(
    source: ObjectReceiveStream[bytes], target: ObjectSendStream[bytes], ping_interval: float
) -> None:
    async with target, source:
        while True:
            try:
                with anyio.fail_after(ping_interval):
                    event = await source.receive()
            except TimeoutError:
                event = KEEPALIVE_COMMENT
            except anyio.EndOfStream:
                return
            await target.send(event)
