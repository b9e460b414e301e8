"""Injection outside of a request: `async with app.resolve(function) as value`.

It runs a plan, as a request does, at whose end the value is handed over.
"""

from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from pydantic_core import PydanticUndefined
from starlette.requests import HTTPConnection, Request

from ferroapi import _core, params
from ferroapi._engine.compile import CalledOperation
from ferroapi._engine.context import endpoint_context, request_validation_error
from ferroapi._engine.reference.solve import analyzed_override
from ferroapi.dependencies import utils
from ferroapi.dependencies._analyze import get_parameterless_sub_dependant
from ferroapi.dependencies.models import Dependant
from ferroapi.exceptions import FastAPIError

from .lifespan_scope import KEY, LifespanValue, request_arguments, running_values

_VALUE = "ferroapi.resolved"
_OPERATIONS = "_resolved_operations"
_MOST_OPERATIONS = 256


def resolve(app: Any, function: Callable[..., Any]) -> AbstractAsyncContextManager[Any]:
    """Return a context manager that calls a dependency with all that it needs, and closes it at the end of the block.

    Scopes, the sharing of values and overrides are those of a request to the application.

    Raises:
        FastAPIError: a parameter's value is something that only a request has.
    """
    # A copy of an application has what it was copied from.
    operations: dict[Any, CalledOperation] = vars(app).setdefault(_OPERATIONS, {})
    operation = operations.get(function) if isinstance(function, Hashable) else None
    is_known = operation is not None and operation.dependency_overrides_provider is app
    if operation is None or not is_known:
        operation = _operation(app, function)
    (declared,) = operation.dependant.dependencies
    if not is_known or app.dependency_overrides:
        _check(declared, app.dependency_overrides)
    if not is_known and isinstance(function, Hashable) and not app.dependency_overrides:
        if len(operations) >= _MOST_OPERATIONS:
            operations.clear()
        operations[function] = operation
    return _resolved(app, operation)


def _operation(app: Any, function: Callable[..., Any]) -> CalledOperation:
    declared = get_parameterless_sub_dependant(depends=params.Depends(function), path="")
    declared.name = "value"
    dependant = Dependant(call=_hand_over, path="", dependencies=[declared], http_connection_param_name="connection")
    return CalledOperation(dependant, app, False)


async def _hand_over(connection: HTTPConnection, value: Any) -> None:
    connection.scope[_VALUE] = value


def _check(declared: Dependant, overrides: Mapping[Any, Callable[..., Any]]) -> None:
    call: Any = overrides.get(declared.call, declared.call) if overrides else declared.call
    effective = declared if call is declared.call else analyzed_override(declared, call)
    if isinstance(effective.call, LifespanValue):
        return
    fields = (*effective.path_params, *effective.query_params, *effective.header_params, *effective.cookie_params)
    optional = {field.name for field in (*fields, *effective.body_params) if not field.field_info.is_required()}
    for name in request_arguments(effective):
        if name not in optional:
            called = getattr(call, "__name__", None) or type(call).__name__
            raise FastAPIError(
                f'The parameter "{name}" of "{called}" is something that only a request has: it cannot be resolved '
                "outside of one."
            )
    for child in effective.dependencies:
        _check(child, overrides)


@asynccontextmanager
async def _resolved(app: Any, operation: CalledOperation) -> AsyncIterator[Any]:
    async with AsyncExitStack() as request_stack, AsyncExitStack() as function_stack:
        scope: dict[str, Any] = {
            "type": "http",
            "app": app,
            "method": "GET",
            "path": "",
            "path_params": {},
            "query_string": b"",
            "headers": [],
            "fastapi_inner_astack": request_stack,
            "fastapi_function_astack": function_stack,
        }
        if (values := running_values(app)) is not None:
            scope[KEY] = values
        plan = operation.plan
        if plan.is_current():
            await _core.respond(plan, Request(scope), PydanticUndefined)
            value = scope.pop(_VALUE)
        else:
            value = await _solve_by_names(app, operation.dependant, Request(scope))
        yield value


async def _solve_by_names(app: Any, dependant: Dependant, request: Request) -> Any:
    """Return the value by the functions that somebody has replaced."""
    solved = await utils.solve_dependencies(
        request=request,
        dependant=dependant,
        dependency_overrides_provider=app,
        async_exit_stack=request.scope["fastapi_inner_astack"],
        embed_body_fields=False,
    )
    if solved.errors:
        raise request_validation_error(solved.errors, None, endpoint_context(dependant, request), request)
    return solved.values["value"]
