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
from ferroapi.dependencies.models import Dependant, _request_params
from ferroapi.exceptions import FastAPIError

from .lifespan_scope import KEY, LifespanValue, request_arguments, running_values

_VALUE = "ferroapi.resolved"
_OPERATIONS = "_resolved_operations"
_MOST_OPERATIONS = 256
_MOST_OVERRIDES = 8


def resolve(app: Any, function: Callable[..., Any]) -> AbstractAsyncContextManager[Any]:
    """Return a context manager that calls a dependency with all that it needs, and closes it at the end of the block.

    Scopes, the sharing of values and overrides are those of a request to the application.

    Raises:
        FastAPIError: it is no function or class; a parameter's value is something that only a request has.
    """
    # A copy of an application has what it was copied from.
    operations: dict[Any, _Resolved] = vars(app).setdefault(_OPERATIONS, {})
    resolved = operations.get(function) if isinstance(function, Hashable) else None
    if resolved is None or resolved.operation.dependency_overrides_provider is not app:
        resolved = _Resolved(_operation(app, function))
        if isinstance(function, Hashable):
            if len(operations) >= _MOST_OPERATIONS:
                operations.clear()
            operations[function] = resolved
    resolved.check(app.dependency_overrides)
    return _resolved(app, resolved.operation)


class _Resolved:
    """A function that was resolved: what is made of it, and the sets of overrides that it was checked under.

    The plans under overrides are the operation's; they are as few as these sets.
    """

    def __init__(self, operation: CalledOperation) -> None:
        self.operation = operation
        self._checked: list[tuple[tuple[Any, Any], ...]] = []

    def check(self, overrides: Mapping[Any, Callable[..., Any]]) -> None:
        """Check each parameter, under overrides that have not been met lately.

        Raises:
            FastAPIError: a parameter's value is something that only a request has.
        """
        # Another mapping than a dict may answer what is not among its items.
        is_comparable = type(overrides) is dict
        items = tuple(overrides.items()) if is_comparable else ()
        if is_comparable and any(_are_same(items, each) for each in self._checked):
            return
        (declared,) = self.operation.dependant.dependencies
        _check(declared, overrides)
        if is_comparable:
            self._checked = [items, *self._checked[: _MOST_OVERRIDES - 1]]


def _are_same(left: tuple[tuple[Any, Any], ...], right: tuple[tuple[Any, Any], ...]) -> bool:
    # By identity: what the application's callables are equal to is theirs to say.
    return len(left) == len(right) and all(a is c and b is d for (a, b), (c, d) in zip(left, right, strict=True))


def _operation(app: Any, function: Callable[..., Any]) -> CalledOperation:
    if isinstance(function, params.Depends):
        raise FastAPIError("`app.resolve` takes the function itself, not `Depends(function)`")
    if not callable(function):
        raise FastAPIError(f"`app.resolve` takes a function or a class, not {function!r}")
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
    fields = (*_request_params(effective), *effective.body_params)
    optional = {field.name for field in fields if not field.field_info.is_required()}
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
