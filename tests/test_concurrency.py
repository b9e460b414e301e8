"""`ferroapi.concurrency`: context managers in threads, under cancellation and under a limit."""

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
import anyio.to_thread
import pytest
from anyio import CancelScope

from ferroapi.concurrency import (
    _asynccontextmanager_with_shielded_exit,
    _contextmanager_with_concurrency_limit,
    _DependencyConcurrency,
    contextmanager_in_threadpool,
)


class Recorder:
    def __init__(self, swallows: bool = False) -> None:
        self.swallows = swallows
        self.threads: list[int] = []
        self.error: type[BaseException] | None = None

    def __enter__(self) -> str:
        self.threads.append(threading.get_ident())
        return "value"

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> bool:
        self.threads.append(threading.get_ident())
        self.error = kind
        return self.swallows


@pytest.mark.parametrize("swallows", [False, True])
def test_threadpool_manager_exit_sees_and_may_swallow_the_error(swallows: bool) -> None:
    recorder = Recorder(swallows)

    async def run() -> None:
        async with contextmanager_in_threadpool(recorder) as value:
            assert value == "value"
            raise KeyError

    if swallows:
        anyio.run(run)
    else:
        with pytest.raises(KeyError):
            anyio.run(run)
    assert recorder.error is KeyError
    assert threading.get_ident() not in recorder.threads


def test_threadpool_manager_exits_when_cancelled() -> None:
    recorder = Recorder()

    async def run() -> None:
        with CancelScope() as scope:
            async with contextmanager_in_threadpool(recorder):
                scope.cancel()
                await anyio.sleep(1)

    anyio.run(run)
    assert len(recorder.threads) == 2
    assert recorder.error is not None


def test_threadpool_manager_exit_needs_no_place_of_the_shared_limiter() -> None:
    async def run() -> None:
        limiter = anyio.to_thread.current_default_thread_limiter()
        async with contextmanager_in_threadpool(Recorder()):
            limiter.total_tokens = 1
            await limiter.acquire_on_behalf_of("another")
        limiter.release_on_behalf_of("another")

    anyio.run(run)


def test_shielded_exit_finishes_and_then_the_cancellation_arrives() -> None:
    events: list[str] = []

    @asynccontextmanager
    async def slow_exit() -> AsyncIterator[None]:
        try:
            yield
        finally:
            await anyio.sleep(0)
            events.append("closed")

    async def run() -> None:
        with CancelScope() as outer:
            with CancelScope() as cleanup:
                async with _asynccontextmanager_with_shielded_exit(slow_exit(), cleanup):
                    outer.cancel()
                events.append("not reached")
            assert not cleanup.shield

    anyio.run(run)
    assert events == ["closed"]


def test_concurrency_limit_holds_within_one_event_loop() -> None:
    concurrency = _DependencyConcurrency(2)
    running = most = 0

    @asynccontextmanager
    async def counted() -> AsyncIterator[None]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        yield
        running -= 1

    async def use() -> None:
        async with _contextmanager_with_concurrency_limit(counted(), concurrency.get_semaphore()):
            await anyio.sleep(0)

    async def run() -> object:
        async with anyio.create_task_group() as group:
            for _ in range(6):
                group.start_soon(use)
        assert concurrency.get_semaphore() is concurrency.get_semaphore()
        return concurrency.get_semaphore()

    assert anyio.run(run) is not anyio.run(run)
    assert most == 2


def test_threadpool_manager_accepts_generator_managers() -> None:
    @contextmanager
    def managed() -> Iterator[Callable[[], int]]:
        yield threading.get_ident

    async def run() -> int:
        async with contextmanager_in_threadpool(managed()) as identify:
            return identify()

    assert anyio.run(run) == threading.get_ident()
