"""The `fastapi` dictionary inside an ASGI scope, in which routers tell routes how a request has come to them.

Everything that reads or writes `scope["fastapi"]` goes through here. It knows no route class.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.types import Scope

from ferroapi._form_limits import _FormLimits

_FASTAPI_SCOPE_KEY = "fastapi"
_FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY = "effective_route_context"
_FASTAPI_FORM_LIMITS_KEY = "form_limits"
_FASTAPI_FRONTEND_PATH_KEY = "frontend_path"
_FASTAPI_FRONTEND_SPECIFICITY_KEY = "frontend_specificity"
_FASTAPI_INCLUDED_ROUTER_KEY = "included_router"
_SCOPE_MISSING = object()


def _get_fastapi_scope(scope: Scope) -> dict[str, Any]:
    """Return the `fastapi` dictionary of a scope, created when it is not there yet."""
    fastapi_scope = scope.setdefault(_FASTAPI_SCOPE_KEY, {})
    assert isinstance(fastapi_scope, dict)
    return fastapi_scope


def read_fastapi_scope(scope: Scope, key: str) -> Any:
    """Return one entry of the `fastapi` dictionary, or `None`; the scope is left as it is."""
    return scope.get(_FASTAPI_SCOPE_KEY, {}).get(key)


def _get_scope_effective_route_context(scope: Scope) -> Any | None:
    """Return the view of the route (through its includes) that was matched for this scope."""
    return read_fastapi_scope(scope, _FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY)


def _get_scope_included_router(scope: Scope) -> Any | None:
    """Return the inclusion through which a router matches this scope."""
    return read_fastapi_scope(scope, _FASTAPI_INCLUDED_ROUTER_KEY)


def _restore_fastapi_scope_key(scope: Scope, key: str, previous: Any) -> None:
    """Put an entry back as it was; a `fastapi` value that is no dictionary is left alone."""
    fastapi_scope = scope.get(_FASTAPI_SCOPE_KEY)
    if not isinstance(fastapi_scope, dict):
        return
    if previous is _SCOPE_MISSING:
        fastapi_scope.pop(key, None)
    else:
        fastapi_scope[key] = previous


@contextmanager
def fastapi_scope_item(scope: Scope, key: str, value: Any) -> Iterator[None]:
    """Set an entry for the length of a `with` block, so that a failed match leaves no trace."""
    fastapi_scope = _get_fastapi_scope(scope)
    previous = fastapi_scope.get(key, _SCOPE_MISSING)
    fastapi_scope[key] = value
    try:
        yield
    finally:
        _restore_fastapi_scope_key(scope, key, previous)


@contextmanager
def scope_keys_restored(scope: Scope, *keys: str) -> Iterator[None]:
    """Put top-level keys of a scope back, or remove them, when the `with` block ends."""
    previous = {key: scope.get(key, _SCOPE_MISSING) for key in keys}
    try:
        yield
    finally:
        for key, value in previous.items():
            if value is _SCOPE_MISSING:
                scope.pop(key, None)
            else:
                scope[key] = value


def _update_scope(scope: Scope, child_scope: Scope) -> None:
    """Merge what a match found into the scope, joining the two `fastapi` dictionaries."""
    fastapi_scope = child_scope.get(_FASTAPI_SCOPE_KEY)
    if isinstance(fastapi_scope, dict):
        _get_fastapi_scope(scope).update(fastapi_scope)
    for key, value in child_scope.items():
        if key != _FASTAPI_SCOPE_KEY:
            scope[key] = value


def _resolve_form_limits(fastapi_scope: dict[str, Any], overrides: _FormLimits | None) -> _FormLimits:
    """Return the form limits of the routers passed so far, overridden by those given."""
    inherited: _FormLimits = fastapi_scope.get(_FASTAPI_FORM_LIMITS_KEY, {})
    return {**inherited, **overrides} if overrides else inherited


def _apply_router_form_limits(scope: Scope, limits: _FormLimits) -> None:
    """Record the form limits of a router that an HTTP request passes through."""
    if limits and scope["type"] == "http":
        fastapi_scope = _get_fastapi_scope(scope)
        fastapi_scope[_FASTAPI_FORM_LIMITS_KEY] = _resolve_form_limits(fastapi_scope, limits)
