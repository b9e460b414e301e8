"""`_core.stream` resumed by hand: what it yields, and what is left of it when it is given up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any

import pytest
from starlette.responses import StreamingResponse

from ferroapi import _core


class Pause:
    def __await__(self) -> Iterator[Any]:
        return (yield self)


async def ignore(message: Any) -> None:
    """Send nowhere."""


def test_stream_yields_what_its_generator_waits_for_and_passes_exceptions_on() -> None:
    log: list[Any] = []

    async def chunks() -> Any:
        try:
            log.append(await Pause())  # type: ignore[func-returns-value]
        except KeyError as error:
            log.append(repr(error))
        yield b""

    stream = _core.stream(StreamingResponse(chunks()), ignore)
    assert isinstance(stream.send(None), Pause)
    with pytest.raises(StopIteration) as stopped:
        stream.throw(KeyError("thrown"))
    assert stopped.value.args == ()  # as of a coroutine that returns None
    assert log == ["KeyError('thrown')"]
    with pytest.raises(RuntimeError, match="cannot reuse"):
        stream.send(None)


def test_closed_stream_closes_what_it_waits_for() -> None:
    log: list[Any] = []

    async def send(message: Any) -> None:
        try:
            await Pause()
        finally:
            log.append("closed")

    stream = _core.stream(StreamingResponse(iter(())), send)
    assert isinstance(next(iter(stream)), Pause)
    stream.close()
    assert log == ["closed"]
    with pytest.raises(RuntimeError, match="cannot reuse"):
        stream.send(None)


def test_exception_thrown_into_a_stream_that_has_not_begun_ends_it() -> None:
    stream = _core.stream(StreamingResponse(iter(())), ignore)
    with pytest.raises(KeyError):
        stream.throw(KeyError)


class Later:
    """An awaitable that is no coroutine."""

    def __init__(self, value: bytes) -> None:
        self.value = value

    def __await__(self) -> Generator[Any, None, bytes]:
        yield from asyncio.sleep(0).__await__()
        return self.value


class Countdown:
    """Iterated by a class of the application's, whose next value is what `make` makes."""

    def __init__(self, make: Callable[[bytes], Awaitable[bytes]]) -> None:
        self.left = 3
        self.make = make

    def __aiter__(self) -> "Countdown":
        return self

    def __anext__(self) -> Awaitable[bytes]:
        if not self.left:
            raise StopAsyncIteration
        self.left -= 1
        return self.make(b"%d" % self.left)


async def some_chunks(*chunks: Any, error: BaseException | None = None) -> AsyncIterator[Any]:
    for chunk in chunks:
        await asyncio.sleep(0)
        yield chunk
    if error is not None:
        raise error


async def at_once(value: bytes) -> bytes:
    return value


async def ended_chunks() -> Any:
    chunks = some_chunks(b"a", b"b")
    async for _ in chunks:
        pass
    return chunks


CHUNKS: dict[str, Callable[[], Any]] = {
    "async generator": lambda: some_chunks(b"a", "b", memoryview(b"c"), b""),
    "no chunks": some_chunks,
    "failing": lambda: some_chunks(b"a", error=KeyError("later")),
    "no chunk at all": lambda: some_chunks(b"a", None),
    "sync iterator": lambda: iter([b"a", "b"]),
    "class with coroutines": lambda: Countdown(at_once),
    "class with awaitables": lambda: Countdown(Later),
    "ended": ended_chunks,
}


@pytest.mark.parametrize("name", CHUNKS)
def test_stream_sends_what_starlette_does_to_one_who_empties_each_message(name: str) -> None:
    async def run(stream: Callable[[StreamingResponse, Any], Awaitable[None]]) -> list[Any]:
        log: list[Any] = []

        async def send(message: Any) -> None:
            log.append(dict(message))
            message.clear()

        chunks = CHUNKS[name]()
        response = StreamingResponse(await chunks if asyncio.iscoroutine(chunks) else chunks)
        try:
            await stream(response, send)
        except Exception as error:
            log.append((type(error), str(error)))
        return log

    ours = asyncio.run(run(_core.stream))
    assert ours == asyncio.run(run(StreamingResponse.stream_response))
    assert ours[0]["type"] == "http.response.start"
