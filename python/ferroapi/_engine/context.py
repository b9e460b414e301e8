"""Where a request's endpoint is written in source, and the validation errors that tell it.

Used by handler mode and by the native driver when something is wrong; a request that succeeds need not come here.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, cast

from starlette.datastructures import FormData
from starlette.requests import HTTPConnection, Request
from starlette.types import Scope

from ferroapi._beyond.upload_stream import name_order
from ferroapi._compat import Undefined
from ferroapi._shown_errors import form_size
from ferroapi.dependencies.models import Dependant, _CallIdentity
from ferroapi.exceptions import (
    EndpointContext,
    RequestValidationError,
    WebSocketRequestValidationError,
    _note_body_size,
    _read_size,
)
from ferroapi.telemetry._api import _validation_failed

_REMEMBERED_ENDPOINTS = 4096
_PLAIN_REQUEST = Request

DescribeEndpoint = Callable[[], EndpointContext]
"""Returns `endpoint_context` of the request that is served."""


@lru_cache(maxsize=_REMEMBERED_ENDPOINTS)
def _source_location(identity: _CallIdentity) -> EndpointContext:
    context: EndpointContext = {}
    call = identity.call
    try:
        if (source_file := inspect.getsourcefile(call)) is not None:
            context["file"] = source_file
        context["line"] = inspect.getsourcelines(call)[1]
        if (name := getattr(call, "__name__", None)) is not None:
            context["function"] = name
    except Exception:
        # Builtins, callable objects and code from a console have no source; the message goes without.
        return {}
    return context


def _extract_endpoint_context(func: Any) -> EndpointContext:
    """Return the file, line and name of a callable, empty when it has no source. Files are read once."""
    return _source_location(_CallIdentity(func)).copy()


def endpoint_context(dependant: Dependant, connection: HTTPConnection) -> EndpointContext:
    """Return where the endpoint of a request is written and under which path it was reached."""
    # The class of the request may be anything that was put in its place.
    return _context(dependant, connection.scope, lambda: cast(Request, connection).method)


def scope_context(dependant: Dependant, scope: Scope) -> EndpointContext:
    """Return the same without asking the request, which may be of a class of the application's."""
    return _context(dependant, scope, lambda: scope["method"])


def _context(dependant: Dependant, scope: Scope, read_method: Callable[[], str]) -> EndpointContext:
    context = _extract_endpoint_context(dependant.call) if dependant.call else EndpointContext()
    if dependant.path:
        mount_path = scope.get("root_path", "").rstrip("/")
        method = "WS" if scope["type"] == "websocket" else read_method()
        context["path"] = f"{method} {mount_path}{dependant.path}"
    return context


def describing(dependant: Dependant, request: Request) -> DescribeEndpoint:
    """Return what describes the endpoint of a request: at once, as FastAPI does, where it asks code of others."""
    if type(request) is _PLAIN_REQUEST and isinstance(request.scope.get("root_path", ""), str):
        return partial(endpoint_context, dependant, request)
    context = endpoint_context(dependant, request)
    return lambda: context


def request_validation_error(
    errors: Sequence[Any], body: Any, context: EndpointContext, request: Request, body_size: int | None = None
) -> RequestValidationError:
    """Return the error of a request whose values do not validate, and tell telemetry."""
    shown = name_order(errors, request.scope)
    error = RequestValidationError(shown, body=None if body is Undefined else body, endpoint_ctx=context)
    if body_size is None:
        body_size = form_size(body) if isinstance(body, FormData) else _read_size(request)
    _note_body_size(error, body_size)
    _validation_failed(error)
    return error


def websocket_validation_error(errors: Sequence[Any], context: EndpointContext) -> WebSocketRequestValidationError:
    """Return the error of a websocket whose parameters do not validate, and tell telemetry."""
    error = WebSocketRequestValidationError(errors, endpoint_ctx=context)
    _validation_failed(error)
    return error
