"""`Dependant`, one node of the dependency graph, and what kind of callable it holds.

Written by `_analyze` at registration, read by the solver and by the OpenAPI document. It solves nothing itself.
"""

import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from types import FunctionType
from typing import Any, Literal
from weakref import ref

from ferroapi._compat import ModelField
from ferroapi.concurrency import _DependencyConcurrency
from ferroapi.security.base import SecurityBase
from ferroapi.types import DependencyCacheKey

if sys.version_info >= (3, 13):
    from inspect import iscoroutinefunction
else:
    from asyncio import iscoroutinefunction

_CALLABLE_CLASSIFICATION_CACHE_SIZE = 4096


@dataclass(slots=True)
class Dependant:
    """One callable with the parameters it asks of the request and the dependencies it needs first.

    It is mutable, and packages do assign to it: nothing derived from it is stored on it.
    """

    path_params: list[ModelField] = field(default_factory=list)
    query_params: list[ModelField] = field(default_factory=list)
    header_params: list[ModelField] = field(default_factory=list)
    cookie_params: list[ModelField] = field(default_factory=list)
    body_params: list[ModelField] = field(default_factory=list)
    dependencies: list["Dependant"] = field(default_factory=list)
    name: str | None = None
    call: Callable[..., Any] | None = None
    request_param_name: str | None = None
    websocket_param_name: str | None = None
    http_connection_param_name: str | None = None
    response_param_name: str | None = None
    background_tasks_param_name: str | None = None
    security_scopes_param_name: str | None = None
    own_oauth_scopes: list[str] | None = None
    parent_oauth_scopes: list[str] | None = None
    use_cache: bool = True
    path: str | None = None
    scope: Literal["function", "request", "lifespan"] | None = None
    concurrency: _DependencyConcurrency | None = None


def _request_params(dependant: Dependant) -> tuple[ModelField, ...]:
    """Return the parameters of one node that are not of the body."""
    return (*dependant.path_params, *dependant.query_params, *dependant.header_params, *dependant.cookie_params)


def nodes_of(dependant: Dependant) -> Iterator[Dependant]:
    """Yield the nodes of a graph in the order in which they are declared, repeated ones included."""
    pending = [dependant]
    while pending:
        yield (node := pending.pop())
        pending.extend(reversed(node.dependencies))


# Keyed by id; the node is kept beside its answer so that a reused id is noticed.
_UsesScopesCache = dict[int, tuple[Dependant, bool]]


def _get_oauth_scopes(*, dependant: Dependant) -> list[str]:
    """Return the scopes of the parents, then those of the node itself, without repeating the latter."""
    scopes = list(dependant.parent_oauth_scopes or ())
    for scope in dependant.own_oauth_scopes or ():
        if scope not in scopes:
            scopes.append(scope)
    return scopes


def _get_cache_key(*, dependant: Dependant, uses_scopes_cache: _UsesScopesCache | None = None) -> DependencyCacheKey:
    """Return what two nodes must share for one solved value to serve both within a request.

    Source: FastAPI behaviour, `dependencies.models._get_cache_key`.
    """
    scopes: tuple[str, ...] = ()
    if _uses_scopes(dependant=dependant, cache=uses_scopes_cache):
        scopes = tuple(sorted(set(_get_oauth_scopes(dependant=dependant))))
    return dependant.call, scopes, _get_computed_scope(dependant=dependant) or ""


def _uses_scopes(*, dependant: Dependant, cache: _UsesScopesCache | None = None) -> bool:
    """Tell whether the node's value, or that of anything below it, may depend on OAuth scopes."""
    known = {} if cache is None else cache
    entry = known.get(id(dependant))
    if entry is not None and entry[0] is dependant:
        return entry[1]
    answer = (
        bool(dependant.own_oauth_scopes)
        or dependant.security_scopes_param_name is not None
        or _is_security_scheme(dependant=dependant)
        or any(_uses_scopes(dependant=child, cache=known) for child in dependant.dependencies)
    )
    known[id(dependant)] = (dependant, answer)
    return answer


def _is_security_scheme(*, dependant: Dependant) -> bool:
    """Tell whether the node calls a security scheme, possibly wrapped or partially applied."""
    return dependant.call is not None and isinstance(_unwrapped_call(dependant.call), SecurityBase)


def _get_security_scheme(*, dependant: Dependant) -> SecurityBase:
    """Return the node's security scheme, stripped of wrappers.

    Raises: AssertionError when `_is_security_scheme` is false.
    """
    scheme = _unwrapped_call(dependant.call)
    assert isinstance(scheme, SecurityBase)
    return scheme


def _get_computed_scope(*, dependant: Dependant) -> str | None:
    """Return the declared lifetime of the node's value; a generator without one lives as long as the request."""
    if dependant.scope:
        return dependant.scope
    is_generator = _is_gen_callable(dependant.call) or _is_async_gen_callable(dependant.call)
    return "request" if is_generator else None


def _impartial(func: Callable[..., Any]) -> Callable[..., Any]:
    """Return the callable below any `functools.partial`."""
    while isinstance(func, partial):
        func = func.func
    return func


def _plain_flags(call: Any) -> int | None:
    """Return the code flags of a function that nobody has wrapped or marked, None for any other callable."""
    return call.__code__.co_flags if type(call) is FunctionType and not call.__dict__ else None


def _unwrapped_call(call: Callable[..., Any] | None) -> Any:
    """Return the callable below any partial and any `functools.wraps` decorator, or None for None."""
    return None if call is None else inspect.unwrap(_impartial(call))


class _CallIdentity:
    """A cache key that is the object itself: callables may be unhashable, or equal and yet of different kinds.

    It does not keep the callable alive where that can be helped: a closure may hold a whole application.
    """

    __slots__ = ("_key", "_reference")

    def __init__(self, call: Callable[..., Any]) -> None:
        self._key = id(call)
        try:
            self._reference: Callable[[], Any] = ref(call)
        except TypeError:
            self._reference = lambda: call

    @property
    def call(self) -> Any:
        """The callable, None after its end."""
        return self._reference()

    def __hash__(self) -> int:
        return self._key

    def __eq__(self, other: object) -> bool:
        call = self._reference()
        return isinstance(other, _CallIdentity) and call is not None and call is other._reference()


def _call_layers(call: Callable[..., Any]) -> tuple[Callable[..., Any], Any]:
    """Return the callable as it is called and as it was written, below its decorators."""
    return _impartial(call), _unwrapped_call(call)


def _dunder_call_layers(call: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Yield the layers of an instance's `__call__`; a class yields none, calling it only constructs."""
    if inspect.isclass(_unwrapped_call(call)):
        return
    for layer in _call_layers(call):
        dunder_call = getattr(layer, "__call__", None)  # noqa: B004 - the method itself is wanted
        if dunder_call is None:
            return
        yield from _call_layers(dunder_call)


def _any_layer(call: Callable[..., Any], is_kind: Callable[[Any], bool]) -> bool:
    return any(map(is_kind, _call_layers(call))) or any(map(is_kind, _dunder_call_layers(call)))


@lru_cache(maxsize=_CALLABLE_CLASSIFICATION_CACHE_SIZE)
def _is_gen_callable_cached(call_identity: _CallIdentity) -> bool:
    call = call_identity.call
    if (flags := _plain_flags(call)) is not None:
        return flags & inspect.CO_GENERATOR != 0
    return _any_layer(call, inspect.isgeneratorfunction)


@lru_cache(maxsize=_CALLABLE_CLASSIFICATION_CACHE_SIZE)
def _is_async_gen_callable_cached(call_identity: _CallIdentity) -> bool:
    call = call_identity.call
    if (flags := _plain_flags(call)) is not None:
        return flags & inspect.CO_ASYNC_GENERATOR != 0
    return _any_layer(call, inspect.isasyncgenfunction)


@lru_cache(maxsize=_CALLABLE_CLASSIFICATION_CACHE_SIZE)
def _is_coroutine_callable_cached(call_identity: _CallIdentity) -> bool:
    call = call_identity.call
    if (flags := _plain_flags(call)) is not None:
        return flags & inspect.CO_COROUTINE != 0
    # Objects that only claim to be coroutine functions (mocks) are judged by their `__call__`.
    if any(inspect.isroutine(layer) and iscoroutinefunction(layer) for layer in _call_layers(call)):
        return True
    return any(map(iscoroutinefunction, _dunder_call_layers(call)))


def _is_gen_callable(call: Callable[..., Any] | None) -> bool:
    """Tell whether calling it makes a generator."""
    return call is not None and _is_gen_callable_cached(_CallIdentity(call))


def _is_async_gen_callable(call: Callable[..., Any] | None) -> bool:
    """Tell whether calling it makes an async generator."""
    return call is not None and _is_async_gen_callable_cached(_CallIdentity(call))


def _is_coroutine_callable(call: Callable[..., Any] | None) -> bool:
    """Tell whether calling it makes a coroutine, so that it runs on the event loop and not in a worker thread."""
    return call is not None and _is_coroutine_callable_cached(_CallIdentity(call))
