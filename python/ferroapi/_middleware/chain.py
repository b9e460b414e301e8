"""A built middleware stack, run from layer to layer: what each layer of Starlette's does, without its surroundings.

The stack itself stays as it was built. A layer that is not known runs as it is, and so does what is downstream of it.
"""

from asyncio import _get_running_loop
from collections.abc import Awaitable, Callable, Iterable, Iterator
from copy import copy
from functools import partial
from inspect import getattr_static
from typing import Any, NamedTuple

from starlette.middleware import base, cors
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ferroapi import _core
from ferroapi._core import Row
from ferroapi._definitions import is_as_written, is_original
from ferroapi._engine import stand_ins
from ferroapi._middleware import scopes, texts
from ferroapi._middleware.call_next import Application, CallNext
from ferroapi._witness import rows_as_found

Place = Callable[[Any, Application], Application]
"""Puts one layer around an application that is not the layer's own `app`."""


async def _serve_function(layer: Any, app: Application, scope: Scope, receive: Receive, send: Send) -> None:
    loop = _get_running_loop()
    # Without a loop of asyncio it is trio; a factory may start tasks in another way.
    if loop is None or loop.get_task_factory() is not None:
        await layer(scope, receive, send)
        return
    call_next = CallNext(app, (scope, receive, send), loop)
    try:
        response = await layer.dispatch_func(call_next.request, call_next.call_next)
        if call_next.passes(response):
            await _core.pass_response_on(call_next, response, send)
            # None when it was made; the middleware function may have set it.
            if response.background:
                await response.background()
                await call_next.rest()
        else:
            if type(response).__call__ is not Response.__call__:
                # Code of the application's runs between the messages.
                _core.take_turns()
            await response(scope, call_next.request.wrapped_receive, send)
            await call_next.rest()
    except BaseException as error:
        await call_next.leave(error)
    else:
        if call_next.is_over():
            return
        await call_next.leave(None)
    call_next.fail()


def _serve_cross_origin(layer: Any, app: Application, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
    outgoing = _core.cross_origin(layer, scope, send)
    # A preflight request goes no further.
    if outgoing is None:
        return layer(scope, receive, send)  # type: ignore[no-any-return]
    return app(scope, receive, outgoing)


def _around(layer: Any, app: Application) -> Application:
    """Return the layer around another application than its own: what it does, it does itself."""

    def call(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # Copied at each call, since an attribute of the layer may have been set since the last.
        placed = copy(layer)
        placed.app = app
        return placed(scope, receive, send)  # type: ignore[no-any-return]

    return call


class _Known(NamedTuple):
    """How the layers of a class of Starlette's are placed, and what the function that runs them stands for."""

    place: Place
    methods: tuple[str, ...] = ("__call__",)
    others: tuple[tuple[Any, str], ...] = ()
    """Names of its module, and methods of other classes of that."""


_KNOWN: dict[type, _Known] = {
    BaseHTTPMiddleware: _Known(
        partial(partial, _serve_function),
        others=(
            (base, "anyio"),
            (base, "create_collapsing_task_group"),
            (base, "_CachedRequest"),
            (base, "_StreamingResponse"),
            (base._CachedRequest, "wrapped_receive"),
            (base._StreamingResponse, "__call__"),
        ),
    ),
    CORSMiddleware: _Known(
        partial(partial, _serve_cross_origin),
        ("__call__", "is_allowed_origin", "simple_response", "send", "allow_explicit_origin"),
        others=((cors, "functools"), (cors, "Headers"), (cors, "MutableHeaders")),
    ),
    GZipMiddleware: _Known(_around),
    TrustedHostMiddleware: _Known(_around),
    HTTPSRedirectMiddleware: _Known(_around),
}
"""How each of Starlette's classes is run."""


_COPIED_BY = (
    *("__copy__", "__getattr__", "__getattribute__", "__getnewargs__", "__getnewargs_ex__", "__getstate__", "__new__"),
    *("__reduce__", "__reduce_ex__", "__setattr__", "__setstate__"),
)
"""What a copy of a layer around another application is made by."""


def _known_of_class(cls: Any) -> tuple[type, _Known] | None:
    """Return the class of Starlette's that this is or is derived from, and how its layers are run."""
    mro = cls.__mro__ if isinstance(cls, type) else ()
    known = next((each for each in mro if each in _KNOWN), None)
    if known is None or (known is BaseHTTPMiddleware and not scopes.IS_KNOWN):
        return None
    is_meant = _KNOWN[known].place is _around or texts.is_known(known.__module__)
    return (known, _KNOWN[known]) if is_meant else None


def _place_of_class(cls: Any) -> Place | None:
    """Return how a class of middleware is run, None if that takes code of its own."""
    found = _known_of_class(cls)
    if found is None:
        return None
    known, (place, methods, others) = found
    is_own = all(
        is_as_written(known, name) and getattr_static(cls, name) is getattr_static(known, name) for name in methods
    )
    if place is _around:
        is_own = is_own and all(getattr_static(cls, each, None) is getattr(object, each, None) for each in _COPIED_BY)
    return place if is_own and all(is_original(*other) for other in others) else None


def rows_of_layers(layers: Iterable[Any]) -> Iterator[Row]:
    """Yield rows of what calling these layers does now, and of what each leads to."""
    for layer in layers:
        found = _known_of_class(type(layer))
        methods = ("__call__",) if found is None else found[1].methods
        yield from rows_as_found(type(layer), *methods)
        yield from rows_as_found(layer, "app", *methods)
        for owner, name in () if found is None else found[1].others:
            yield from rows_as_found(owner, name)


def place_of(layer: Any) -> Place | None:
    """Return how a layer is run, None if that takes code of its own."""
    found = _known_of_class(type(layer))
    is_overridden = found is not None and getattr(layer, "__dict__", {}).keys() & found[1].methods
    return None if is_overridden else _place_of_class(type(layer))


def explain(classes: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """Yield the name of each class of middleware, outermost first, and why it runs as it is; empty if it need not."""
    blocking = None
    for cls in classes:
        name = getattr(cls, "__name__", type(cls).__name__)
        if blocking is not None:
            yield name, f"it is below {blocking}"
        elif _place_of_class(cls) is None:
            blocking = name
            yield name, "it is called in a way of its own"
        else:
            yield name, ""


class MiddlewareChain:
    """The layers of one stack from the outermost to the innermost that is known, and what is downstream."""

    __slots__ = ("_application", "_call", "_outer")

    def __init__(self, application: Any, outer: list[Any], layers: list[Any], downstream: Application) -> None:
        self._application = application
        self._outer = outer
        call = downstream
        for layer in reversed(layers):
            place = place_of(layer)
            assert place is not None, "the chain ends above the first layer that is not known"
            call = place(layer, call)
        self._call = call

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        scope["app"] = self._application
        recorder = _core.Recorder(send)
        try:
            await self._call(scope, receive, recorder)
        except Exception as error:
            await self._escape(error, recorder.has_started, (scope, receive, send))

    async def _escape(self, error: Exception, has_started: bool, channels: tuple[Scope, Receive, Send]) -> None:
        """Let the layers around the user's meet an exception, where they would have met it.

        Raises:
            Exception: the error, when they have answered.
        """
        scope, receive, send = channels

        async def fail(scope: Scope, receive: Receive, send: Send) -> None:
            if has_started:
                await send(started)
            raise error

        async def send_once(message: Message) -> None:
            if message is not started:
                await send(message)

        started: Message = {"type": "http.response.start"}
        app: ASGIApp = fail
        for layer in reversed(self._outer):
            app = _around(layer, app)
        await app(scope, receive, send_once)


MIDDLEWARE = stand_ins.Middleware(place_of, rows_of_layers, MiddlewareChain, explain)
