"""Responses whose content a generator produces: server-sent events, JSON lines and raw chunks.

The driver and the reference both call `stream_response`, once the endpoint's arguments are solved: a stream has no
other implementation. Each producer starts the generator and leaves sending to `StreamingResponse`.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ferroapi._beyond.first_item import started_with_first_item, with_first_item
from ferroapi._engine.compile import PathOperation
from ferroapi._engine.events import checkpoint, start_events, with_checkpoints
from ferroapi._engine.response import add_solved_headers, response_arguments
from ferroapi.dependencies.models import Dependant, _is_async_gen_callable
from ferroapi.dependencies.utils import SolvedDependency
from ferroapi.exceptions import EndpointContext


def _start(dependant: Dependant, solved: SolvedDependency) -> tuple[Any, bool]:
    """Call the endpoint; return its generator and whether that is an asynchronous one."""
    assert dependant.call is not None
    return dependant.call(**solved.values), _is_async_gen_callable(dependant.call)


async def stream_response(
    operation: PathOperation,
    request: Request,
    solved: SolvedDependency,
    context: EndpointContext,
    *,
    ping_interval: float,
) -> Response:
    """Return the response of an endpoint that is a stream. `ping_interval` is in seconds."""
    if operation.response.is_event_stream:
        return await _event_stream(operation, request, solved, context, ping_interval=ping_interval)
    response = _json_lines(operation, solved, context) if operation.is_json_stream else _raw_stream(operation, solved)
    if operation.response.waits_for_first_item and isinstance(response, StreamingResponse):
        return with_first_item(response)
    return response


async def _event_stream(
    operation: PathOperation,
    request: Request,
    solved: SolvedDependency,
    context: EndpointContext,
    *,
    ping_interval: float,
) -> Response:
    """Return a `text/event-stream` response. `ping_interval` is in seconds; the tasks end with the request's stack."""
    recipe, serialize_event = operation.response, operation.serializers()[1]
    items, is_async = _start(operation.dependant, solved)
    exit_stack: AsyncExitStack = request.scope["fastapi_inner_astack"]
    iterator: AsyncIterator[Any] = aiter(items) if is_async else iterate_in_threadpool(items)
    start = partial(
        start_events, serialize=lambda item: serialize_event(item, lambda: context), ping_interval=ping_interval
    )
    if recipe.waits_for_first_item:
        events = await started_with_first_item(exit_stack, iterator, start)
    else:
        events = await start(exit_stack, iterator)
    response = StreamingResponse(
        events, media_type="text/event-stream", **response_arguments(recipe.status_code, solved)
    )
    response.headers["Cache-Control"] = "no-cache"
    # nginx would collect the events.
    response.headers["X-Accel-Buffering"] = "no"
    return add_solved_headers(response, solved)


def _json_lines(operation: PathOperation, solved: SolvedDependency, context: EndpointContext) -> Response:
    """Return an `application/jsonl` response, one item a line."""
    serialize_item = operation.serializers()[0]
    items, is_async = _start(operation.dependant, solved)

    def describe_endpoint() -> EndpointContext:
        return context

    async def async_lines() -> AsyncIterator[bytes]:
        rest = checkpoint()
        async for item in items:
            yield serialize_item(item, describe_endpoint) + b"\n"
            await rest()

    def lines() -> Iterator[bytes]:
        for item in items:
            yield serialize_item(item, describe_endpoint) + b"\n"

    response = StreamingResponse(
        async_lines() if is_async else lines(),
        media_type="application/jsonl",
        **response_arguments(operation.response.status_code, solved),
    )
    return add_solved_headers(response, solved)


def _raw_stream(operation: PathOperation, solved: SolvedDependency) -> Response:
    """Hand the chunks of a generator to the route's own response class."""
    recipe = operation.response
    items, is_async = _start(operation.dependant, solved)
    response = recipe.response_class(
        content=with_checkpoints(items) if is_async else items, **response_arguments(recipe.status_code, solved)
    )
    return add_solved_headers(response, solved)
