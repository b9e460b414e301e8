"""The reference solver: walks a `Dependant` tree for one request, calling each dependency and collecting errors.

Called by `handler` before the endpoint; the native driver runs the same steps and calls the same leaves, also for a
function that was put in the place of the solver and calls it.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from anyio import CancelScope
from starlette.background import BackgroundTasks as StarletteBackgroundTasks
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from ferroapi import _core
from ferroapi._compat import Undefined
from ferroapi._received import received
from ferroapi._witness import Part
from ferroapi.background import BackgroundTasks
from ferroapi.concurrency import (
    _asynccontextmanager_with_shielded_exit,
    _contextmanager_with_concurrency_limit,
    asynccontextmanager,
    contextmanager_in_threadpool,
)
from ferroapi.dependencies._analyze import get_dependant
from ferroapi.dependencies._body import request_body_to_args
from ferroapi.dependencies._values import request_params_to_args
from ferroapi.dependencies.models import (
    Dependant,
    _get_cache_key,
    _get_oauth_scopes,
    _is_async_gen_callable,
    _is_coroutine_callable,
    _is_gen_callable,
    _UsesScopesCache,
)
from ferroapi.security.oauth2 import SecurityScopes
from ferroapi.types import DependencyCacheKey

_FindPlan = Callable[[Dependant, Any, Any, bool], _core.Plan | None]

_PLAIN_CONNECTIONS = (Request, WebSocket)


@dataclass
class SolvedDependency:
    """What solving a graph gave: the arguments of its root, or the errors because of which it must not be called."""

    values: dict[str, Any]
    errors: list[Any]
    background_tasks: StarletteBackgroundTasks | None
    response: Response
    dependency_cache: dict[DependencyCacheKey, Any]


def find_plan_by(stack: AsyncExitStack, find: _FindPlan) -> None:
    """Note on a request's exit stack how the solver finds a plan where it is called by a name that may be replaced."""
    vars(stack)["find_plan"] = find


class NodeValues(NamedTuple):
    """The arguments and errors of one node alone, and the request's background tasks once a node has asked for them."""

    values: dict[str, Any]
    errors: list[Any]
    background_tasks: StarletteBackgroundTasks | None


async def solve_dependencies(
    *,
    request: Request | WebSocket,
    dependant: Dependant,
    body: Any = Undefined,
    background_tasks: StarletteBackgroundTasks | None = None,
    response: Response | None = None,
    dependency_overrides_provider: Any | None = None,
    dependency_cache: dict[DependencyCacheKey, Any] | None = None,
    async_exit_stack: AsyncExitStack,
    embed_body_fields: bool,
    _uses_scopes_cache: _UsesScopesCache | None = None,
) -> SolvedDependency:
    """Call the dependencies of a graph, depth first, and return the arguments of its root.

    A dependency whose own arguments have errors is not called; its siblings are.
    Raises: AssertionError without the two exit stacks in the request's scope; whatever a dependency raises.
    Source: FastAPI behaviour, `dependencies.utils.solve_dependencies`.
    """
    scope = request.scope
    request_stack, function_stack = scope.get("fastapi_inner_astack"), scope.get("fastapi_function_astack")
    assert isinstance(request_stack, AsyncExitStack), "fastapi_inner_astack not found in request scope"
    assert isinstance(function_stack, AsyncExitStack), "fastapi_function_astack not found in request scope"
    find: _FindPlan | None = vars(request_stack).get("find_plan")
    if find is not None and response is None and background_tasks is None and dependency_cache is None:
        plan = find(dependant, body, dependency_overrides_provider, embed_body_fields)
        if plan is not None:
            found = _Arguments()
            shared, tasks, cache = await _core.solve(plan, request, body, found)
            return SolvedDependency(found.values, found.errors, tasks, shared, cache)
    if response is None:
        response = _shared_response()
    if dependency_cache is None:
        dependency_cache = {}
    if _uses_scopes_cache is None:
        _uses_scopes_cache = {}
    values: dict[str, Any] = {}
    errors: list[Any] = []
    for declared in dependant.dependencies:
        effective = _with_override(declared, dependency_overrides_provider)
        solved = await solve_dependencies(
            request=request,
            dependant=effective,
            body=body,
            background_tasks=background_tasks,
            response=response,
            dependency_overrides_provider=dependency_overrides_provider,
            dependency_cache=dependency_cache,
            async_exit_stack=async_exit_stack,
            embed_body_fields=embed_body_fields,
            _uses_scopes_cache=_uses_scopes_cache,
        )
        background_tasks = solved.background_tasks
        if solved.errors:
            errors.extend(solved.errors)
            continue
        key = _get_cache_key(dependant=declared, uses_scopes_cache=_uses_scopes_cache)
        if declared.use_cache and key in dependency_cache:
            value = dependency_cache[key]
        else:
            stack = function_stack if declared.scope == "function" else request_stack
            value = await _call(effective, solved.values, request, stack)
        if declared.name is not None:
            values[declared.name] = value
        # The first value stays the one to share, also when a node that refuses sharing was called again.
        dependency_cache.setdefault(key, value)

    own = await solve_values(
        request=request,
        dependant=dependant,
        body=body,
        embed_body_fields=embed_body_fields,
        background_tasks=background_tasks,
        response=response,
    )
    return SolvedDependency(
        values=values | own.values,
        errors=errors + own.errors,
        background_tasks=own.background_tasks,
        response=response,
        dependency_cache=dependency_cache,
    )


class _Arguments:
    """What the engine tells of the arguments of an endpoint."""

    def solved(self, values: dict[str, Any], errors: list[Any]) -> None:
        """Take them, or as many as there are beside the errors."""
        self.values = values
        self.errors = errors


async def solve_values(
    *,
    request: Request | WebSocket,
    dependant: Dependant,
    body: Any,
    embed_body_fields: bool,
    background_tasks: StarletteBackgroundTasks | None,
    response: Response,
) -> NodeValues:
    """Return the arguments a node takes from the request itself, without looking at its dependencies."""
    is_looked_at = type(request) not in _PLAIN_CONNECTIONS or _core.is_replaced(Part.RECEIVED)
    values, errors = parameter_values(dependant, request, is_looked_at=is_looked_at)
    if dependant.body_params:
        body_values, body_errors = await request_body_to_args(
            body_fields=dependant.body_params, received_body=body, embed_body_fields=embed_body_fields
        )
        values.update(body_values)
        errors.extend(body_errors)
    if dependant.background_tasks_param_name and background_tasks is None:
        background_tasks = BackgroundTasks()
    values.update(_special_values(request, dependant, background_tasks, response))
    return NodeValues(values, errors, background_tasks)


def parameter_values(
    dependant: Dependant, request: Request | WebSocket, *, is_looked_at: bool = False
) -> tuple[dict[str, Any], list[Any]]:
    """Return values and errors of one node's parameters.

    FastAPI looks at all that was received, whatever is wanted; where code of others could tell, this does, too.
    """
    values: dict[str, Any] = {}
    errors: list[Any] = []
    for fields, source in (
        (dependant.path_params, "path_params"),
        (dependant.query_params, "query_params"),
        (dependant.header_params, "headers"),
        (dependant.cookie_params, "cookies"),
    ):
        if fields or is_looked_at:
            # What nobody wants is made and kept as by Starlette, but for cookies, which take it quadratic time.
            is_received = fields or source == "cookies"
            found = received(request, source) if is_received else getattr(request, source)
            source_values, source_errors = request_params_to_args(fields, found)
            values |= source_values
            errors += source_errors
    return values, errors


def _special_values(
    request: Request | WebSocket,
    dependant: Dependant,
    background_tasks: StarletteBackgroundTasks | None,
    response: Response,
) -> dict[str, Any]:
    """Return the arguments that are objects of the request itself."""
    values: dict[str, Any] = {}
    if dependant.http_connection_param_name:
        values[dependant.http_connection_param_name] = request
    if dependant.request_param_name and isinstance(request, Request):
        values[dependant.request_param_name] = request
    if dependant.websocket_param_name and isinstance(request, WebSocket):
        values[dependant.websocket_param_name] = request
    if dependant.background_tasks_param_name:
        values[dependant.background_tasks_param_name] = background_tasks
    if dependant.response_param_name:
        values[dependant.response_param_name] = response
    if dependant.security_scopes_param_name:
        values[dependant.security_scopes_param_name] = SecurityScopes(scopes=_get_oauth_scopes(dependant=dependant))
    return values


async def _call(
    dependant: Dependant, values: dict[str, Any], request: Request | WebSocket, stack: AsyncExitStack
) -> Any:
    """Call a dependency as its kind demands; a generator's second half is left to the stack."""
    call = dependant.call
    if _is_gen_callable(call) or _is_async_gen_callable(call):
        return await _solve_generator(dependant=dependant, stack=stack, sub_values=values, request=request)
    async with _concurrency_slot(dependant):
        if _is_coroutine_callable(call):
            return await cast(Any, call)(**values)
        return await run_in_threadpool(cast(Any, call), **values)


async def _solve_generator(
    *, dependant: Dependant, stack: AsyncExitStack, sub_values: dict[str, Any], request: Request | WebSocket
) -> Any:
    """Run a generator dependency to its `yield` and leave the rest of it on the stack.

    A concurrency slot is held until that rest has run.
    """
    assert dependant.call
    manager: AbstractAsyncContextManager[Any]
    if _is_async_gen_callable(dependant.call):
        manager = _asynccontextmanager_with_shielded_exit(
            asynccontextmanager(dependant.call)(**sub_values), _cleanup_scope(request)
        )
    else:
        assert _is_gen_callable(dependant.call), "it was one when the dependency was called"
        manager = contextmanager_in_threadpool(contextmanager(dependant.call)(**sub_values))
    if dependant.concurrency is not None:
        manager = _contextmanager_with_concurrency_limit(manager, dependant.concurrency.get_semaphore())
    return await stack.enter_async_context(manager)


def _cleanup_scope(request: Request | WebSocket) -> CancelScope:
    """Return the cancel scope all of a request's async generators share, to be shielded while one of them exits."""
    scopes: dict[AsyncExitStack, CancelScope] = request.scope.setdefault("fastapi_async_cleanup_scopes", {})
    request_stack = cast(AsyncExitStack, request.scope["fastapi_inner_astack"])
    scope = scopes.get(request_stack)
    if scope is None:
        scope = scopes[request_stack] = request_stack.enter_context(CancelScope())
        request_stack.callback(scopes.pop, request_stack)
    return scope


def _concurrency_slot(dependant: Dependant) -> AbstractAsyncContextManager[Any]:
    return nullcontext() if dependant.concurrency is None else dependant.concurrency.get_semaphore()


def _shared_response() -> Response:
    """Return the response whose headers, cookies and status dependencies may set; it is never sent itself."""
    response = Response()
    del response.headers["content-length"]
    # None says that no dependency chose a status.
    response.status_code = cast(Any, None)
    return response


def _with_override(dependant: Dependant, provider: Any | None) -> Dependant:
    """Return the node that is to be solved instead of a declared one.

    While an application has any override, every node is analyzed again, also those that are not replaced.
    """
    if not provider or not provider.dependency_overrides:
        return dependant
    call = cast(Callable[..., Any], dependant.call)
    return analyzed_override(dependant, provider.dependency_overrides.get(call, call))


def analyzed_override(declared: Dependant, call: Callable[..., Any]) -> Dependant:
    """Return the node of a callable that is called in the place of a declared one."""
    return get_dependant(
        path=cast(str, declared.path),
        call=call,
        name=declared.name,
        parent_oauth_scopes=_get_oauth_scopes(dependant=declared),
        scope=declared.scope,
        concurrency=declared.concurrency,
    )
