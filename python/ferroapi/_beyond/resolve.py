"""Injection outside of a request: `async with app.resolve(function) as value`."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from starlette.requests import Request

from ferroapi import params
from ferroapi._engine.reference.solve import analyzed_override, solve_dependencies
from ferroapi.dependencies._analyze import get_parameterless_sub_dependant
from ferroapi.dependencies.models import Dependant
from ferroapi.exceptions import FastAPIError

from .lifespan_scope import KEY, LifespanValue, request_arguments, running_values


def resolve(app: Any, function: Callable[..., Any]) -> AbstractAsyncContextManager[Any]:
    """Return a context manager that calls a dependency with all that it needs, and closes it at the end of the block.

    Scopes, the sharing of values and overrides are those of a request to the application.

    Raises:
        FastAPIError: a parameter's value is something that only a request has.
    """
    declared = get_parameterless_sub_dependant(depends=params.Depends(function), path="")
    declared.name = "value"
    _check(declared, app.dependency_overrides)
    return _resolved(app, Dependant(dependencies=[declared], path=""))


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
async def _resolved(app: Any, dependant: Dependant) -> AsyncIterator[Any]:
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
        solved = await solve_dependencies(
            request=Request(scope),
            dependant=dependant,
            dependency_overrides_provider=app,
            async_exit_stack=request_stack,
            embed_body_fields=False,
        )
        yield solved.values["value"]
