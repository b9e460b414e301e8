"""The cold half of the native path: what the Rust driver asks Python for when a request leaves the common case.

Each function is imported by name in `rust/core/src/names.rs`. The hot half is the driver itself.
"""

import json
from collections.abc import Awaitable
from typing import Any

from pydantic import ValidationError
from starlette._exception_handler import wrap_app_handling_exceptions
from starlette.background import BackgroundTasks
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ferroapi import _core
from ferroapi._compat import get_missing_field_error
from ferroapi._compat.v2 import _regenerate_error_with_loc
from ferroapi._request.body import body_error, is_json_content_type as _is_json
from ferroapi._request.context import endpoint_context, request_validation_error
from ferroapi._request.plan import PathOperation
from ferroapi._request.response import build_response as _build_response
from ferroapi.background import BackgroundTasks as background_tasks
from ferroapi.dependencies._body import request_body_to_args
from ferroapi.dependencies._solve import SolvedDependency, _shared_response, _solve_generator
from ferroapi.dependencies._values import request_params_to_args
from ferroapi.dependencies.models import Dependant, _is_coroutine_callable
from ferroapi.exceptions import ResponseValidationError

FAILURE_KEY = "ferroapi.failure"
"""The scope key under which a failed native request is handed to the application's own middleware stack."""

sub_response = _shared_response

_REPLAYED_START: Message = {"type": "http.response.start"}
"""Tells the middleware that a response had started; the server, which has the real one, never sees it."""


def field_errors(field: Any, error: ValidationError, loc: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the errors of one field, each under the field's place in the request."""
    return _regenerate_error_with_loc(errors=error.errors(include_url=False), loc_prefix=loc)


def missing_errors(loc: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the error of a required field that is absent."""
    return [get_missing_field_error(loc)]


def is_json_content_type(content_type: bytes) -> bool:
    """Tell whether a Content-Type header says JSON."""
    return _is_json(content_type.decode("latin-1"))


def parameter_values(dependant: Dependant, request: Request) -> tuple[dict[str, Any], list[Any]]:
    """Return values and errors of one node's parameters, read by the Python leaf."""
    values: dict[str, Any] = {}
    errors: list[Any] = []
    for fields, received in (
        (dependant.path_params, request.path_params),
        (dependant.query_params, request.query_params),
        (dependant.header_params, request.headers),
        (dependant.cookie_params, request.cookies),
    ):
        if fields:
            found, failed = request_params_to_args(fields, received)
            values |= found
            errors += failed
    return values, errors


def body_values(dependant: Dependant, body: Any, plan: _core.Plan) -> tuple[dict[str, Any], list[Any]]:
    """Return values and errors of one node's body fields, read by the Python leaf.

    Raises:
        RuntimeError: the leaf suspended, which it does for forms only; a plan has none.
    """
    embed = plan.route.embed_body_fields
    leaf = request_body_to_args(body_fields=dependant.body_params, received_body=body, embed_body_fields=embed)
    try:
        leaf.send(None)
    except StopIteration as stop:
        values, errors = stop.value
        return values, errors
    leaf.close()
    raise RuntimeError("a JSON body cannot suspend")


def body_failure(error: Exception, operation: PathOperation, scope: Scope) -> Exception:
    """Return what takes the place of an exception while the body was read or parsed."""
    failure = body_error(error, operation.dependant, Request(scope))
    if failure is not error:
        failure.__cause__ = error
    return failure


def request_invalid(errors: list[Any], body: Any, operation: PathOperation, scope: Scope) -> Exception:
    """Return the error of a request whose values do not validate."""
    return request_validation_error(errors, body, operation.dependant, Request(scope))


def response_invalid(error: ValidationError, content: Any, operation: PathOperation, scope: Scope) -> Exception:
    """Return the error of a response that is not what its model promises."""
    context = endpoint_context(operation.dependant, Request(scope))
    return ResponseValidationError(errors=field_errors(None, error, ("response",)), body=content, endpoint_ctx=context)


def enter_generator(dependant: Dependant, stack: Any, values: dict[str, Any], request: Request) -> Awaitable[Any]:
    """Enter a generator dependency in its exit stack and return an awaitable of what it yields."""
    return _solve_generator(dependant=dependant, stack=stack, sub_values=values, request=request)


async def build_response(
    plan: _core.Plan, result: Any, response: Response | None, background: BackgroundTasks | None, scope: Scope
) -> Response:
    """Make the response object of a result that the driver does not render itself."""
    from ferroapi import routing

    operation = plan.route
    recipe = operation.response
    content = await routing.serialize_response(
        field=recipe.field,
        response_content=result,
        **recipe.serialization,
        is_coroutine=_is_coroutine_callable(operation.dependant.call),
        endpoint_ctx=endpoint_context(operation.dependant, Request(scope)) if recipe.field else None,
        dump_json=recipe.dumps_json,
    )
    solved = SolvedDependency({}, [], background, response or sub_response(), {})
    return _build_response(content, recipe, solved)


def raising(error: Exception, started: bool) -> ASGIApp:
    """Return an application that fails as the native request did, after the start of the response if it had started."""

    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        if started:
            await send(_REPLAYED_START)
        raise error

    return fail


async def answer_failure(
    channels: tuple[Scope, Receive, Send], error: Exception, started: bool, application: Any
) -> None:
    """Let the exception handlers answer for a native request that failed.

    With `application` the request had come straight from the server: it enters the application's middleware now, which
    meets the exception where it would have met it. Otherwise the middleware is around this call already.

    Raises:
        Exception: what no handler took.
    """
    scope, receive, send = channels

    async def send_once(message: Message) -> None:
        if message is not _REPLAYED_START:
            await send(message)

    failing = raising(error, started)
    if application is None:
        await answer_as(failing, scope, receive, send_once)
    else:
        scope[FAILURE_KEY] = failing
        await application.middleware_stack(scope, receive, send_once)


async def answer_as(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Run an application under the exception handlers that the scope names."""
    await wrap_app_handling_exceptions(app, Request(scope, receive, send))(scope, receive, send)
