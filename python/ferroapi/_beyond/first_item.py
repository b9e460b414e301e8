"""`wait_for_first_item=True`: streams whose first item, or what is raised in its place, is there before they begin.

A generator runs in one task from its first step to its last: what it has entered knows in which task that was.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, TypeVar

import anyio
from starlette.responses import StreamingResponse
from starlette.types import Send

from ferroapi._compat import lenient_issubclass
from ferroapi.datastructures import DefaultPlaceholder
from ferroapi.dependencies.models import _is_async_gen_callable, _is_gen_callable
from ferroapi.exceptions import FastAPIError

_Response = TypeVar("_Response", bound=StreamingResponse)
_Started = TypeVar("_Started")


def refuse_without_items(endpoint: Callable[..., Any], response_class: Any) -> None:
    """Refuse the option for a path operation whose response is no stream of the endpoint's items.

    Raises:
        FastAPIError: the endpoint is no generator, or the response class is no `StreamingResponse`.
    """
    name = getattr(endpoint, "__name__", None) or repr(endpoint)
    if not (_is_async_gen_callable(endpoint) or _is_gen_callable(endpoint)):
        raise FastAPIError(
            f"`wait_for_first_item=True` is for an endpoint that yields its items, and {name!r} does not. Let a "
            "StreamingResponse that it returns wait by `ferroapi.streams.with_first_item`"
        )
    if not isinstance(response_class, DefaultPlaceholder) and not lenient_issubclass(response_class, StreamingResponse):
        raise FastAPIError(
            f"`wait_for_first_item=True` is for a response class that is a StreamingResponse, and that of {name!r} is "
            f"{response_class!r}"
        )


def with_first_item(response: _Response) -> _Response:
    """Let the response begin with its first chunk: an exception in its place is answered, since nothing was sent.

    Raises:
        TypeError: it is no `StreamingResponse`, which has no first chunk.
    """
    if not isinstance(response, StreamingResponse):
        raise TypeError(f"`with_first_item` takes a StreamingResponse, not {response!r}")
    response.stream_response = partial(_send_from_first, response)  # type: ignore[method-assign]
    return response


async def _send_from_first(response: StreamingResponse, send: Send) -> None:
    chunks: AsyncIterator[Any] = aiter(response.body_iterator)
    try:
        first = await anext(chunks)
    except StopAsyncIteration:
        pass
    else:
        chunks = _from_first(first, chunks)
    response.body_iterator = chunks
    await type(response).stream_response(response, send)


async def _from_first(first: Any, rest: AsyncIterator[Any]) -> AsyncIterator[Any]:
    yield first
    async for item in rest:
        yield item


class FirstItem:
    """The items of a stream that a task of its own produces, while another waits for the first of them."""

    def __init__(self, items: AsyncIterator[Any]) -> None:
        self._items = items
        self._is_there = anyio.Event()
        self._failure: Exception | None = None

    async def __aiter__(self) -> AsyncIterator[Any]:
        first = none = object()
        try:
            first = await anext(self._items)
        except StopAsyncIteration:
            pass
        except Exception as error:
            self._failure = error
        self._is_there.set()
        if first is not none:
            yield first
            async for item in self._items:
                yield item

    async def failure(self) -> Exception | None:
        """Wait until the first item is there, or there is none; return what was raised in its place."""
        await self._is_there.wait()
        return self._failure


async def started_with_first_item(
    exit_stack: AsyncExitStack, items: AsyncIterator[Any], start: Callable[..., Awaitable[_Started]]
) -> _Started:
    """Return what `start(stack, items)` does when it has the first item. What it enters ends with the exit stack.

    Raises:
        Exception: what was raised in the place of the first item; what was entered has ended.
    """
    first = FirstItem(items)
    async with AsyncExitStack() as own_stack:
        started = await start(own_stack, aiter(first))
        failure = await first.failure()
        if failure is None:
            exit_stack.push_async_exit(own_stack.pop_all())
            return started
    # Not inside: what ends with the stack would make a group of it.
    raise failure
