"""Responses whose content a generator produces: server-sent events, JSON lines and raw chunks.

Chosen by the route's response class; each producer starts the generator and leaves sending to `StreamingResponse`.
"""

import json
import math
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import anyio
from anyio.abc import ObjectReceiveStream, ObjectSendStream
from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ferroapi._request.context import endpoint_context
from ferroapi._request.response import ResponseRecipe, add_solved_headers, response_arguments
from ferroapi.dependencies.models import Dependant, _is_async_gen_callable
from ferroapi.dependencies.utils import SolvedDependency
from ferroapi.encoders import jsonable_encoder
from ferroapi.exceptions import EndpointContext, ResponseValidationError
from ferroapi.sse import KEEPALIVE_COMMENT, ServerSentEvent, format_sse_event

_BUFFERED_EVENTS = 1
_EVENT_STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}

Serializer = Callable[[Any], bytes]


def _normalize_non_finite_floats(data: Any) -> Any:
    """Return JSON-compatible data with `None` for NaN and infinities; dictionary keys stay."""
    match data:
        case float():
            return data if math.isfinite(data) else None
        case dict():
            return {key: _normalize_non_finite_floats(value) for key, value in data.items()}
        case list():
            return [_normalize_non_finite_floats(value) for value in data]
        case _:
            return data


def _dump_untyped(data: Any) -> str:
    return json.dumps(_normalize_non_finite_floats(jsonable_encoder(data)))


def item_serializer(recipe: ResponseRecipe, describe_endpoint: Callable[[], EndpointContext]) -> Serializer:
    """Return the function that turns one streamed item into JSON bytes.

    Raises:
        ResponseValidationError: by that function, for an item that is not of the declared type.
    """
    field = recipe.stream_item_field
    if field is None:
        return lambda item: _dump_untyped(item).encode()
    keywords = recipe.serialization

    def serialize(item: Any) -> bytes:
        value, errors = field.validate(item, {}, loc=("response",))
        if errors:
            raise ResponseValidationError(errors=errors, body=item, endpoint_ctx=describe_endpoint())
        return field.serialize_json(value, **keywords)

    return serialize


def event_serializer(serialize_item: Serializer) -> Serializer:
    """Return the function that turns one item, or one `ServerSentEvent`, into the bytes of an event."""

    def serialize(item: Any) -> bytes:
        if not isinstance(item, ServerSentEvent):
            return format_sse_event(data_str=serialize_item(item).decode())
        return format_sse_event(
            data_str=_event_data(item), event=item.event, id=item.id, retry=item.retry, comment=item.comment
        )

    return serialize


def _event_data(event: ServerSentEvent) -> str | None:
    if event.raw_data is not None:
        return event.raw_data
    if event.data is None:
        return None
    if hasattr(event.data, "model_dump_json"):
        dumped: str = event.data.model_dump_json()
        return dumped
    return _dump_untyped(event.data)


async def _with_checkpoints(items: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Pass items on with a chance to be cancelled after each: a generator that never waits offers none."""
    async for item in items:
        yield item
        await anyio.sleep(0)


async def _forward_with_keepalive(
    source: ObjectReceiveStream[bytes], target: ObjectSendStream[bytes], ping_interval: float
) -> None:
    """Pass events on, with a comment in every silence of `ping_interval` seconds."""
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


@asynccontextmanager
async def _event_producer(
    items: AsyncIterator[Any], serialize: Serializer, ping_interval: float
) -> AsyncIterator[ObjectReceiveStream[bytes]]:
    """Run the generator in one task and the keep-alive in another, both ended with the `async with` block.

    A timeout cancels what it waits for. It must be the queue and never the generator, which would lose its state.
    """
    produced, to_forward = anyio.create_memory_object_stream[bytes](max_buffer_size=_BUFFERED_EVENTS)
    forwarded, to_send = anyio.create_memory_object_stream[bytes](max_buffer_size=_BUFFERED_EVENTS)

    async def produce() -> None:
        async with produced:
            async for item in items:
                await produced.send(serialize(item))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(produce)
        tasks.start_soon(_forward_with_keepalive, to_forward, forwarded, ping_interval)
        yield to_send
        tasks.cancel_scope.cancel()


def _start(dependant: Dependant, solved: SolvedDependency) -> tuple[Any, bool]:
    """Call the endpoint; return its generator and whether that is an asynchronous one."""
    assert dependant.call is not None
    return dependant.call(**solved.values), _is_async_gen_callable(dependant.call)


async def event_stream(
    request: Request, dependant: Dependant, solved: SolvedDependency, recipe: ResponseRecipe, *, ping_interval: float
) -> Response:
    """Return a `text/event-stream` response. `ping_interval` is in seconds; the tasks end with the request's stack."""
    items, is_async = _start(dependant, solved)
    serialize = event_serializer(item_serializer(recipe, partial(endpoint_context, dependant, request)))
    exit_stack: AsyncExitStack = request.scope["fastapi_inner_astack"]
    source = aiter(items) if is_async else iterate_in_threadpool(items)
    events = await exit_stack.enter_async_context(_event_producer(source, serialize, ping_interval))
    exit_stack.push_async_callback(events.aclose)
    response = StreamingResponse(
        _with_checkpoints(events), media_type="text/event-stream", **response_arguments(recipe.status_code, solved)
    )
    response.headers.update(_EVENT_STREAM_HEADERS)
    return add_solved_headers(response, solved)


def json_lines(request: Request, dependant: Dependant, solved: SolvedDependency, recipe: ResponseRecipe) -> Response:
    """Return an `application/jsonl` response, one item a line."""
    items, is_async = _start(dependant, solved)
    serialize = item_serializer(recipe, partial(endpoint_context, dependant, request))

    async def async_lines() -> AsyncIterator[bytes]:
        async for item in items:
            yield serialize(item) + b"\n"
            await anyio.sleep(0)

    def lines() -> Iterator[bytes]:
        for item in items:
            yield serialize(item) + b"\n"

    response = StreamingResponse(
        async_lines() if is_async else lines(),
        media_type="application/jsonl",
        **response_arguments(recipe.status_code, solved),
    )
    return add_solved_headers(response, solved)


def raw_stream(dependant: Dependant, solved: SolvedDependency, recipe: ResponseRecipe) -> Response:
    """Hand the chunks of a generator to the route's own response class."""
    items, is_async = _start(dependant, solved)
    response = recipe.response_class(
        content=_with_checkpoints(items) if is_async else items, **response_arguments(recipe.status_code, solved)
    )
    return add_solved_headers(response, solved)
