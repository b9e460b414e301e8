"""What FastAPI takes from Starlette under private names: the one place outside of the wings that knows them.

Each is tried when it is imported. Where it is missing, or does something else, what is written here stands for it.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from importlib import import_module
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Function = TypeVar("Function", bound=Callable[..., Any])


def taken(module: str, name: str, own: Function, *meanings: tuple[tuple[Any, ...], Any]) -> Function:
    """Return the function `name` of a module, or `own` where it is missing or gives other results than expected.

    `meanings` are arguments with the results that they must lead to.
    """
    try:
        found: Function = getattr(import_module(module), name)
        is_meant = all(found(*arguments) == result for arguments, result in meanings)
    except (ImportError, AttributeError, TypeError):
        return own
    return found if is_meant else own


def own_get_route_path(scope: Scope) -> str:
    """Return the path of a scope below its root path."""
    path: str = scope["path"]
    root_path: str = scope.get("root_path", "")
    below = path.removeprefix(root_path)
    return below if path.startswith(root_path) and below[:1] in ("", "/") else path


def own_is_async_callable(called: Any) -> bool:
    """Tell whether a call gives a coroutine, by the function that is called."""
    while isinstance(called, partial):
        called = called.func
    return iscoroutinefunction(called) or (callable(called) and iscoroutinefunction(called.__call__))


def own_wrap_app_handling_exceptions(app: ASGIApp, conn: Any) -> ASGIApp:
    """Return an application whose exceptions the handlers answer that the scope of a connection names.

    Raises:
        RuntimeError: by the application, where the response has started before the exception.
    """
    by_class, by_status = conn.scope.get("starlette.exception_handlers", ({}, {}))

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        has_started = False

        def noted(message: Message) -> Awaitable[None]:
            nonlocal has_started
            has_started = has_started or message["type"] == "http.response.start"
            return send(message)

        try:
            await app(scope, receive, noted)
        except Exception as error:
            handler = by_status.get(error.status_code) if isinstance(error, HTTPException) else None
            if handler is None:
                handler = next((by_class[each] for each in type(error).__mro__ if each in by_class), None)
            if handler is None:
                raise
            if has_started:
                raise RuntimeError("Caught handled exception, but response already started.") from error
            is_async = own_is_async_callable(handler)
            response = await (handler(conn, error) if is_async else run_in_threadpool(handler, conn, error))
            if response is not None:
                await response(scope, receive, noted)
            # An exception that is raised again and again would collect the tracebacks of all requests.
            error.__traceback__ = None

    return wrapped


get_route_path = taken(
    "starlette._utils",
    "get_route_path",
    own_get_route_path,
    (({"path": "/a/b", "root_path": "/a"},), "/b"),
    (({"path": "/ab", "root_path": "/a"},), "/ab"),
    (({"path": "/a"},), "/a"),
)
is_async_callable = taken(
    "starlette._utils",
    "is_async_callable",
    own_is_async_callable,
    ((run_in_threadpool,), True),
    ((taken,), False),
    (("",), False),
)
wrap_app_handling_exceptions = taken(
    "starlette._exception_handler", "wrap_app_handling_exceptions", own_wrap_app_handling_exceptions
)
