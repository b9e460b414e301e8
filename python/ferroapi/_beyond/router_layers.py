"""`APIRouter(middleware=[...], exception_handlers={...})`: what stands around the routes of one router.

A router that has either is asked as a whole, and its routes are run by Python behind its middleware.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from ferroapi.exceptions import FastAPIError

BEHIND = "it runs behind the middleware or exception handlers of its router"
"""The reason that `explain()` gives."""

_TARGET_KEY = "ferroapi.router_target"
"""Under it the innermost layer finds what it is around: one stack serves all routes of a router."""

_HANDLERS_KEY = "starlette.exception_handlers"


async def _call_target(scope: Scope, receive: Receive, send: Send) -> None:
    await scope[_TARGET_KEY](scope, receive, send)


class HandlerLayer:
    """Puts a router's exception handlers before those around it, for the routes below."""

    def __init__(self, app: ASGIApp, handlers: Mapping[Any, Callable[..., Any]]) -> None:
        self.app = app
        self.by_status = {key: handler for key, handler in handlers.items() if isinstance(key, int)}
        self.by_class = {key: handler for key, handler in handlers.items() if not isinstance(key, int)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a connection on, with these handlers in charge."""
        around: tuple[dict[Any, Any], dict[Any, Any]] = scope.get(_HANDLERS_KEY) or ({}, {})
        scope[_HANDLERS_KEY] = {**around[0], **self.by_class}, {**around[1], **self.by_status}
        try:
            await self.app(scope, receive, send)
        finally:
            scope[_HANDLERS_KEY] = around


class RouterLayers:
    """The stack of one router, made once: its middleware, the first outermost, and its handlers inside."""

    def __init__(self, middleware: Sequence[Middleware], handlers: Mapping[Any, Callable[..., Any]]) -> None:
        app: ASGIApp = HandlerLayer(_call_target, handlers) if handlers else _call_target
        for layer, args, kwargs in reversed(middleware):
            app = layer(app, *args, **kwargs)
        self._app = app

    async def __call__(self, target: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Run what answers a connection behind the stack."""
        scope[_TARGET_KEY] = target
        await self._app(scope, receive, send)


def layers_of(options: Mapping[str, Any]) -> RouterLayers | None:
    """Return the layers that a router declares, None if it has none.

    Raises:
        FastAPIError: what is in the list of middleware is no `Middleware`; what is declared as an exception handler can
            never be called.
    """
    handlers = options.get("exception_handlers") or {}
    middleware = options.get("middleware") or ()
    if isinstance(middleware, Middleware) or not isinstance(middleware, Iterable):
        raise FastAPIError(f"`middleware` of a router is a list, not {middleware!r}")
    middleware = tuple(middleware)
    for each in middleware:
        if not isinstance(each, Middleware):
            name = each.__name__ if isinstance(each, type) else "TheClass"
            raise FastAPIError(f"`middleware` of a router is a list of `Middleware({name}, ...)`, not of {each!r}")
    if not isinstance(handlers, Mapping):
        raise FastAPIError(f"`exception_handlers` of a router is a dictionary, not {handlers!r}")
    for key, handler in handlers.items():
        if not isinstance(key, int) and not (isinstance(key, type) and issubclass(key, Exception)):
            raise FastAPIError(f"a key of `exception_handlers` is an exception class or a status, not {key!r}")
        if not callable(handler):
            raise FastAPIError(f"the exception handler for {key!r} is no function, but {handler!r}")
    return RouterLayers(middleware, handlers) if middleware or handlers else None
