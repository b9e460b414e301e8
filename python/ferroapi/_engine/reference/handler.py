"""From a request to its response, and through a websocket: solve, call, serialize, by the names that may be replaced.

What is set in `routing` is set in this module, too.
"""

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from starlette.background import BackgroundTasks
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope
from starlette.websockets import WebSocket

from ferroapi import _core
from ferroapi._compat import Undefined
from ferroapi._engine.compile import PathOperation, WebSocketOperation
from ferroapi._engine.context import (
    DescribeEndpoint,
    endpoint_context,
    request_validation_error,
    scope_context,
    websocket_validation_error,
)
from ferroapi._engine.rare import answer_returned, serialize
from ferroapi._engine.reference.solve import find_plan_by
from ferroapi._engine.response import adopt_response, build_response, run_endpoint_function
from ferroapi._engine.stream import stream_response
from ferroapi.dependencies.models import _is_async_gen_callable, _is_gen_callable
from ferroapi.dependencies.utils import SolvedDependency, solve_dependencies
from ferroapi.sse import _PING_INTERVAL
from ferroapi.telemetry._api import _operation, get_telemetry_data

if TYPE_CHECKING:
    from ferroapi.telemetry._api import TelemetryData


def exit_stack_of(scope: Scope, key: str) -> AsyncExitStack:
    """Return an exit stack that a middleware, or a route, has left in a scope."""
    # The solver has its own: its `AsyncExitStack` is that of `dependencies.utils`, this one that of `routing`.
    stack = scope.get(key)
    assert isinstance(stack, AsyncExitStack), f"{key} not found in request scope"
    return stack


async def _solve(
    operation: PathOperation | WebSocketOperation,
    connection: Request | WebSocket,
    telemetry: "TelemetryData | None",
    **keywords: Any,
) -> SolvedDependency:
    """Solve the dependencies of an endpoint through the patch point, observed by telemetry."""
    dependant = operation.dependant
    exit_stack = exit_stack_of(connection.scope, "fastapi_inner_astack")
    if telemetry is not None and "body" in keywords:
        telemetry.body = None if keywords["body"] is Undefined else keywords["body"]
    with _operation(name="dependencies", function=dependant.call):
        find_plan_by(exit_stack, operation.solving_plan)
        solved = await solve_dependencies(
            request=connection,
            dependant=dependant,
            **keywords,
            dependency_overrides_provider=operation.dependency_overrides_provider,
            async_exit_stack=exit_stack,
            embed_body_fields=operation.embed_body_fields,
        )
        if telemetry is not None:
            telemetry.values = solved.values
            telemetry.errors = solved.errors
    return solved


async def take_steps(
    operation: PathOperation, request: Request, body: Any
) -> tuple[Any, Response, BackgroundTasks | None]:
    """Solve and call for a plan that goes on with what the endpoint returned, and with what dependencies have set.

    Raises:
        RequestValidationError: values are not what they are declared to be.
    """
    if (telemetry := get_telemetry_data()) is not None:
        telemetry.request = request
    return await take_last_steps(operation, request, body, await _solve(operation, request, telemetry, body=body))


async def take_last_steps(
    operation: PathOperation, request: Request, body: Any, solved: SolvedDependency
) -> tuple[Any, Response, BackgroundTasks | None]:
    """Do what follows the solving.

    Raises:
        RequestValidationError: values are not what they are declared to be.
    """
    dependant = operation.dependant
    if solved.errors:
        raise request_validation_error(solved.errors, body, scope_context(dependant, request.scope), request)
    result: Any
    if _is_stream(operation):
        # The solver's replacement has put a generator into the dependant.
        context = scope_context(dependant, request.scope)
        result = await stream_response(operation, request, solved, context, ping_interval=_PING_INTERVAL)
    else:
        result = await run_endpoint_function(
            dependant=dependant, values=solved.values, is_coroutine=operation.is_coroutine
        )
    return result, solved.response, solved.background_tasks


async def answer(
    operation: PathOperation,
    request: Request,
    body: Any,
    telemetry: "TelemetryData | None",
    describe_endpoint: DescribeEndpoint,
) -> Response:
    """Return the response of a path operation to a request whose body has been read.

    Raises:
        RequestValidationError, ResponseValidationError: values are not what they are declared to be.
    """
    dependant = operation.dependant
    # FastAPI asks for this in every request, which shows nowhere unless a name that is asked is replaced.
    context = describe_endpoint() if _core.is_replaced(operation.part) else None
    solved = await _solve(operation, request, telemetry, body=body)
    if solved.errors:
        raise request_validation_error(solved.errors, body, context or describe_endpoint(), request)
    # Once they are solved: a tracing package may have put another callable into the dependant.
    if _is_stream(operation):
        context = context or describe_endpoint()
        return await stream_response(operation, request, solved, context, ping_interval=_PING_INTERVAL)
    result = await run_endpoint_function(dependant=dependant, values=solved.values, is_coroutine=operation.is_coroutine)
    if isinstance(result, Response):
        return adopt_response(result, solved)
    if isinstance(result, operation.returned_errors):
        return adopt_response(await answer_returned(result, request), solved)
    with _operation(name="serialization", function=dependant.call):
        content = await serialize(operation, result, request, context or describe_endpoint())
    return build_response(content, operation.response, solved)


def _is_stream(operation: PathOperation) -> bool:
    """Tell whether the endpoint makes a stream, by the names that may be replaced."""
    call, is_declared = operation.dependant.call, operation.response.is_event_stream or operation.is_json_stream
    return is_declared or _is_async_gen_callable(call) or _is_gen_callable(call)


async def serve_websocket(
    operation: WebSocketOperation, websocket: WebSocket, telemetry: "TelemetryData | None"
) -> None:
    """Solve a websocket endpoint's dependencies, and call it.

    Raises:
        WebSocketRequestValidationError: a parameter does not validate.
    """
    dependant = operation.dependant
    context = endpoint_context(dependant, websocket)
    solved = await _solve(operation, websocket, telemetry)
    if solved.errors:
        raise websocket_validation_error(solved.errors, context)
    assert dependant.call is not None, "dependant.call must be a function"
    with _operation(name="endpoint", function=dependant.call):
        await dependant.call(**solved.values)
