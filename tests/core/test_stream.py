"""`_core.Stream` resumed by hand: what it yields, and what is left of it when it is given up."""

from collections.abc import Iterator
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

    stream = _core.Stream(StreamingResponse(chunks()), ignore)
    assert isinstance(stream.send(None), Pause)
    with pytest.raises(StopIteration):
        stream.throw(KeyError("thrown"))
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

    stream = _core.Stream(StreamingResponse(iter(())), send)
    assert isinstance(next(iter(stream)), Pause)
    stream.close()
    assert log == ["closed"]
    with pytest.raises(RuntimeError, match="cannot reuse"):
        stream.send(None)


def test_exception_thrown_into_a_stream_that_has_not_begun_ends_it() -> None:
    stream = _core.Stream(StreamingResponse(iter(())), ignore)
    with pytest.raises(KeyError):
        stream.throw(KeyError)
