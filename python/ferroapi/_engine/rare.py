"""The cold half of the native path: what the Rust driver asks Python for when a request leaves the common case.

Each function is imported by name in `rust/core/src/names.rs`. The hot half is the driver itself.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from starlette.background import BackgroundTasks
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Scope

from ferroapi import _core, background
from ferroapi._beyond import problem_details
from ferroapi._beyond.upload_stream import BEFORE_FILE, name_order
from ferroapi._compat.starlette import is_async_callable
from ferroapi._engine.body import body_error
from ferroapi._engine.compile import PathOperation, WebSocketOperation
from ferroapi._engine.context import request_validation_error, scope_context, websocket_validation_error
from ferroapi._engine.reference.solve import SolvedDependency, parameter_values
from ferroapi._engine.response import build_response as _build_response
from ferroapi._engine.response import run_endpoint_function, serialize_response
from ferroapi._engine.stream import stream_response
from ferroapi._witness import Part
from ferroapi.dependencies._body import request_body_to_args
from ferroapi.dependencies.models import Dependant
from ferroapi.exception_handlers import (
    http_exception_handler,
    http_exception_response,
    request_validation_exception_handler,
    request_validation_response,
    validation_errors_response,
)
from ferroapi.exceptions import EndpointContext, RequestValidationError, ResponseValidationError
from ferroapi.sse import _PING_INTERVAL
from ferroapi.telemetry._api import _operation


async def _nothing() -> AsyncIterator[None]:
    yield


_step = anext(_nothing())
AsyncGeneratorStep = type(_step)
_step.close()  # type: ignore[attr-defined]  # typeshed knows it as an awaitable only

background_tasks = background.BackgroundTasks

Leaf = tuple[dict[str, Any], list[Any]]
"""Values and errors of a node."""


def sub_response() -> Response:
    """Return what `Response()` makes, without a length and a status: the response that dependencies write to."""
    response: Any = Response.__new__(Response)
    response.status_code = response.background = None
    response.body = b""
    response.raw_headers = []
    # FastAPI has looked at them, so they stay those of this list, whatever is put into its place.
    _ = response.headers
    return response  # type: ignore[no-any-return]


def missing_errors(loc: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the error of a required field that is absent."""
    return [{"type": "missing", "loc": loc, "msg": "Field required", "input": None}]


unusual_values = partial(parameter_values, is_looked_at=True)
"""Reads them from a scope that is not of the types that servers use: Starlette's classes say what it means."""


def read_body_values(dependant: Dependant, body: Any, plan: _core.Plan) -> Coroutine[Any, Any, Leaf]:
    """Return an awaitable of values and errors of one node's body fields, read by the Python leaf."""
    embed = plan.operation.embed_body_fields
    return request_body_to_args(body_fields=dependant.body_params, received_body=body, embed_body_fields=embed)


def body_values(dependant: Dependant, body: Any, plan: _core.Plan) -> Leaf:
    """Return the same of a body that is no form.

    Raises:
        RuntimeError: the leaf suspended, which it does for forms only.
    """
    leaf = read_body_values(dependant, body, plan)
    try:
        leaf.send(None)
    except StopIteration as stop:
        values, errors = stop.value
        return values, errors
    leaf.close()
    raise RuntimeError("a JSON body cannot suspend")


def body_failure(error: Exception, operation: PathOperation, request: Request) -> Exception:
    """Return what takes the place of an exception while the body was read or parsed."""
    failure = body_error(error, partial(scope_context, operation.dependant, request.scope), request)
    if failure is not error:
        failure.__cause__ = error
    return failure


def request_invalid(
    errors: list[Any], body: Any, body_size: int, operation: PathOperation | WebSocketOperation, connection: Any
) -> Exception:
    """Return the error of a request, or of a websocket, whose values do not validate."""
    context = scope_context(operation.dependant, connection.scope)
    if isinstance(operation, WebSocketOperation):
        return websocket_validation_error(errors, context)
    return request_validation_error(errors, body, context, connection, body_size or None)


def response_invalid(errors: list[Any], content: Any, operation: PathOperation, request: Request) -> Exception:
    """Return the error of a response that is not what its model promises."""
    context = scope_context(operation.dependant, request.scope)
    return ResponseValidationError(errors=errors, body=content, endpoint_ctx=context)


def call_endpoint(operation: PathOperation | WebSocketOperation, values: dict[str, Any]) -> Awaitable[Any]:
    """Return an awaitable of what an endpoint gives that FastAPI's own function calls.

    Raises:
        AssertionError: there is none.
    """
    assert isinstance(operation, WebSocketOperation) or operation.dependant.call
    return run_endpoint_function(dependant=operation.dependant, values=values, is_coroutine=operation.is_coroutine)


async def start_stream(
    plan: _core.Plan,
    values: dict[str, Any],
    response: Response | None,
    background: BackgroundTasks | None,
    request: Request,
) -> Response:
    """Call an endpoint that is a stream, and return the response that sends it."""
    operation = plan.operation
    solved = SolvedDependency(values, [], background, response or sub_response(), {})
    context = scope_context(operation.dependant, request.scope)
    return await stream_response(operation, request, solved, context, ping_interval=_PING_INTERVAL)


async def build_response(
    plan: _core.Plan, result: Any, response: Response | None, background: BackgroundTasks | None, request: Request
) -> Response:
    """Make the response object of a result that the driver does not render itself."""
    with _operation(name="serialization", function=plan.operation.dependant.call):
        content = await serialize(plan.operation, result, request)
    return respond_with(plan.operation, content, response, background)


def serialize(
    operation: PathOperation, result: Any, request: Request, context: EndpointContext | None = None
) -> Awaitable[Any]:
    """Return an awaitable of what is made of a result by the name that may be replaced."""
    recipe = operation.response
    return serialize_response(
        field=recipe.field,
        response_content=result,
        **recipe.serialization,
        is_coroutine=operation.is_coroutine,
        endpoint_ctx=context or scope_context(operation.dependant, request.scope),
        dump_json=recipe.dumps_json,
    )


def respond_with(
    operation: PathOperation, content: Any, response: Response | None, background: BackgroundTasks | None
) -> Response:
    """Return the response object with what `serialize_response` made of a result."""
    solved = SolvedDependency({}, [], background, response or sub_response(), {})
    return _build_response(content, operation.response, solved)


async def answer_returned(error: Any, request: Request) -> Response:
    """Return what the exception handlers answer to an error that an endpoint has returned.

    Raises:
        HTTPException: `error` itself, which no handler takes.
    """
    scope = request.scope
    handlers = scope.get("starlette.exception_handlers") or scope["app"]._stack_plan.handlers
    if handlers is None:
        raise error
    if (response := default_answer(error, handlers, scope)) is not None:
        return response
    handler = _handler_in_charge(error, handlers)
    if handler is None:
        raise error
    if is_async_callable(handler):
        answer: Response = await handler(request, error)
        return answer
    return await run_in_threadpool(handler, request, error)


async def answer_returned_error(
    plan: _core.Plan,
    error: HTTPException,
    response: Response | None,
    background: BackgroundTasks | None,
    request: Request,
) -> Response:
    """Return the answer to an error that a planned endpoint has returned; it runs the background tasks, too."""
    answer = await answer_returned(error, request)
    if answer.background is None:
        answer.background = background
    return answer


def form_limit_error(limit: str) -> HTTPException:
    """Return what stands for a form with more than 1,000 `fields`, or a field of more than 1 MB in `size`.

    Source: `starlette.formparsers.FormParser` under the default limits of `Request.form`.
    """
    if limit == "fields":
        return HTTPException(status_code=400, detail="Too many fields. Maximum number of fields is 1000.")
    return HTTPException(status_code=400, detail="Field exceeded maximum size of 1024KB.")


def not_found() -> HTTPException:
    """Return what stands for a path that no route answers. Source: `starlette.routing.Router.not_found`."""
    return HTTPException(status_code=404, detail="Not Found")


def default_answer(error: Exception, handlers: tuple[Any, Any] | None, scope: Scope) -> Response | None:
    """Return what FastAPI's own handler would answer, None if another handler or none is in charge of this exception.

    Source: `starlette._exception_handler.wrap_app_handling_exceptions`.
    """
    if handlers is None or _core.is_replaced(Part.ERROR):
        return None
    handler = _handler_in_charge(error, handlers)
    for default, respond in _DEFAULT_RESPONSES:
        if handler is default:
            response: Response = respond(error, scope)
            # An exception that is raised again and again would collect the traceback of every request.
            error.__traceback__ = None
            return response
    return None


def default_refusal(
    errors: list[Any], handlers: tuple[Any, Any] | None, body_size: int, scope: Scope
) -> Response | None:
    """Return FastAPI's own 422, None if another handler is in charge of `RequestValidationError`."""
    if handlers is None or _core.is_replaced(Part.ERROR):
        return None
    handler = _handler_of(RequestValidationError, handlers[0])
    for default, respond in _DEFAULT_REFUSALS:
        if handler is default:
            shown = name_order(errors, scope) if BEFORE_FILE in scope else errors
            return respond(shown, body_size, HTTPConnection(scope))
    return None


def _handler_in_charge(error: Exception, handlers: tuple[Any, Any]) -> Any:
    by_class, by_status = handlers
    handler = by_status.get(error.status_code) if isinstance(error, HTTPException) else None
    return _handler_of(type(error), by_class) if handler is None else handler


def _handler_of(error: type[Exception], by_class: Mapping[Any, Any]) -> Any:
    for cls in error.__mro__:
        if cls in by_class:
            return by_class[cls]
    return None


_DEFAULT_RESPONSES: tuple[tuple[Any, Callable[[Any, Scope], Response]], ...] = (
    (http_exception_handler, lambda error, scope: http_exception_response(error)),
    (
        request_validation_exception_handler,
        lambda error, scope: request_validation_response(error, HTTPConnection(scope)),
    ),
    (
        problem_details.validation_problem_handler,
        lambda error, scope: problem_details.request_validation_problem(error, HTTPConnection(scope)),
    ),
    (problem_details.http_problem_handler, problem_details.http_problem),
)

_DEFAULT_REFUSALS: tuple[tuple[Any, Callable[[list[Any], int, HTTPConnection], Response]], ...] = (
    (request_validation_exception_handler, validation_errors_response),
    (problem_details.validation_problem_handler, problem_details.validation_problem),
)
