"""Views on routes through their includes: one route under its full path and with the merged settings."""

import copy
import threading
from contextvars import ContextVar
from functools import singledispatch
from typing import TYPE_CHECKING, Any, cast

from starlette.datastructures import URLPath
from starlette.routing import (
    BaseRoute,
    Host,
    Match,
    Mount,
    NoMatchFound,
    Route,
    Router,
    WebSocketRoute,
    compile_path,
    replace_params,
)
from starlette.types import ASGIApp, Receive, Scope, Send

from ferroapi._beyond.declared_errors import ErrorClass
from ferroapi._body_limit import wrap_app_with_body_limit
from ferroapi._compat.starlette import get_route_path
from ferroapi._routing.inherit import SHARED_SETTINGS, inherit_all
from ferroapi._routing.scope import _FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY, fastapi_scope_item
from ferroapi._routing.state import COMPILED_ATTRIBUTES, KEPT_OPTIONS, OWN_OPTIONS, RouteState, empty_state
from ferroapi.utils import get_value_or_default

if TYPE_CHECKING:
    from ferroapi._routing.include import _RouterIncludeContext
    from ferroapi.routing import APIRoute

_effective_route_context_var: ContextVar[Any | None] = ContextVar("fastapi_effective_route_context", default=None)


class _EffectiveRouteContext(RouteState):
    """One route as seen through its includes: the full path and the merged settings.

    The base serves Starlette's routes, of which a prefixed copy (`starlette_route`) does the work.
    """

    original_route: Any
    starlette_route: BaseRoute | None
    app: ASGIApp | None
    frontend_prefix: str

    def __init__(self, original_route: BaseRoute, starlette_route: BaseRoute | None = None) -> None:
        self.__dict__.update(original_route=original_route, starlette_route=starlette_route, **empty_state())

    def __repr__(self) -> str:
        return f"{type(self).__name__}(path={self.path!r}, original_route={self.original_route!r})"

    @property
    def route(self) -> BaseRoute:
        """The route that handles a request matched here."""
        return self.starlette_route or self.original_route

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match the full path, as the kind of route does. It is the one method of all kinds, which may be replaced."""
        return self._match_path(scope)

    def _match_path(self, scope: Scope) -> tuple[Match, Scope]:
        assert self.starlette_route is not None
        return self.starlette_route.matches(scope)

    def match_by_router(self, scope: Scope) -> tuple[Match, Scope]:
        """Match as the router does it: where the original route may be overridden, through the original route."""
        return self.matches(scope)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Build the full path of the named route.

        Raises:
            NoMatchFound: when the name or the parameters are not this route's.
        """
        assert self.starlette_route is not None
        return self.starlette_route.url_path_for(name, **path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send, max_body_size: int | None) -> None:
        """Hand a matched request to the route, under the body limit of the include in bytes."""
        handle = wrap_app_with_body_limit(self.app or self.route.handle, None if self.app else max_body_size)
        await handle(scope, receive, send)

    @property
    def telemetry_path(self) -> str:
        """The path template that telemetry reports."""
        return getattr(self.starlette_route, "path_format", None) or self.path_format


_publishing = threading.Lock()

_PLAIN_DEFAULTS = {name: value for name, value in empty_state().items() if not isinstance(value, dict | list | set)}
"""What an attribute of FastAPI's dataclass means once it was deleted; one of the others is missed then."""


class _EffectiveAPIRouteContext(_EffectiveRouteContext):
    """A path operation seen through its includes. The endpoint is read again on first use: the path may name more."""

    __slots__ = ("_response_types",)

    original_route: "APIRoute"
    _is_assigned_at_once = True
    _response_types: tuple[Any, Any, tuple[ErrorClass, ...]]

    def __init__(self, original_route: "APIRoute", include_context: "_RouterIncludeContext") -> None:
        self._own_attributes().update(original_route=original_route, starlette_route=None, frontend_prefix="")
        returned = getattr(getattr(original_route, "dependant", None), "returned", ())
        self._response_types = original_route.response_model, original_route.stream_item_type, returned
        self._declare(
            include_context.path_for(original_route),
            original_route.endpoint,
            _merge_route_options(original_route, include_context),
        )

    def _complete(self) -> None:
        _ = self.path_regex, self.dependant, self.app

    def __getattr__(self, name: str) -> Any:
        # Only called for what is not set yet, so a compiled context pays nothing for this.
        if name not in COMPILED_ATTRIBUTES:
            if name in _PLAIN_DEFAULTS:
                return _PLAIN_DEFAULTS[name]
            raise AttributeError(f"{_EffectiveRouteContext.__name__!r} object has no attribute {name!r}")
        own = self._own_attributes()
        draft: _EffectiveAPIRouteContext = object.__new__(type(self))
        draft._own_attributes().update(own)
        draft._compile(*self._response_types)
        # Two threads may both get here. All of them see what the first one published, and never a part of it: the
        # document looks schemas up by the fields that it has collected before.
        with _publishing:
            if name not in own:
                own |= {each: value for each, value in draft._own_attributes().items() if each not in own}
        return own[name]

    @property
    def route(self) -> BaseRoute:
        return self.original_route

    @property
    def app(self) -> ASGIApp:
        """The ASGI application of the route under the merged settings, built once through `get_route_handler`."""
        own = self._own_attributes()
        if "app" not in own:
            token = _effective_route_context_var.set(self)
            try:
                app = self.original_route._build_app(self)
            finally:
                _effective_route_context_var.reset(token)
            # The first of several threads that build it sets it for all.
            own.setdefault("app", app)
        return cast(ASGIApp, own["app"])

    @app.setter
    def app(self, app: ASGIApp) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self._own_attributes()["app"] = app

    @app.deleter
    def app(self) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self._own_attributes()["app"] = None

    def _match_path(self, scope: Scope) -> tuple[Match, Scope]:
        # The methods, too. Source: Starlette behaviour, `routing.Route.matches`.
        found = self.path_regex.match(get_route_path(scope)) if scope["type"] == "http" else None
        if found is None:
            return Match.NONE, {}
        own_params = {name: self.param_convertors[name].convert(text) for name, text in found.groupdict().items()}
        path_params = dict(scope.get("path_params", {})) | own_params
        child_scope = {"endpoint": self.endpoint, "path_params": path_params}
        is_full = not self.methods or scope["method"] in self.methods
        return (Match.FULL if is_full else Match.PARTIAL), child_scope

    def match_by_router(self, scope: Scope) -> tuple[Match, Scope]:
        with fastapi_scope_item(scope, _FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY, self):
            return self.original_route.matches(scope)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        if name != self.name or path_params.keys() != self.param_convertors.keys():
            raise NoMatchFound(name, path_params)
        path, remaining_params = replace_params(self.path_format, self.param_convertors, path_params)
        assert not remaining_params
        return URLPath(path=path, protocol="http")

    async def handle(self, scope: Scope, receive: Receive, send: Send, max_body_size: int | None) -> None:
        # The limit is already part of `app`, which the original route calls.
        scope["route"] = self.original_route
        await self.original_route.handle(scope, receive, send)


def _merge_route_options(route: "APIRoute", include: "_RouterIncludeContext") -> dict[str, Any]:
    """Return the options of a route with those of its includes merged in.

    Source: FastAPI behaviour, `_EffectiveRouteContext.from_api_route`.
    """
    own = {name: getattr(route, name) for name in KEPT_OPTIONS}
    own |= {name: getattr(route, name) for name in ("tags", "dependencies", "responses", *OWN_OPTIONS)}
    for name in ("generate_unique_id_function", "strict_content_type"):
        own[name] = get_value_or_default(own[name], getattr(include.included_router, name))
    return {
        **own,
        **inherit_all(SHARED_SETTINGS, include, own),
        "response_class": get_value_or_default(
            route.response_class, include.included_router.default_response_class, include.default_response_class
        ),
        "dependency_overrides_provider": include.dependency_overrides_provider,
        "name": route.name,
        "methods": route.methods,
        "status_code": route.status_code,
        "description": route.description,
    }


@singledispatch
def view_through(route: BaseRoute, include_context: "_RouterIncludeContext") -> _EffectiveRouteContext | None:
    """Return the view on a route through an include; a kind of route that cannot be prefixed has none.

    `routing` and `frontend` register the views of their own classes.
    """
    return None


@view_through.register(Route)
def _view_route(route: Route, include_context: "_RouterIncludeContext") -> _EffectiveRouteContext:
    prefixed = Route(
        include_context.path_for(route),
        endpoint=route.endpoint,
        methods=list(route.methods or []),
        name=route.name,
        include_in_schema=route.include_in_schema,
    )
    return _EffectiveRouteContext(route, prefixed)


@view_through.register(WebSocketRoute)
def _view_websocket_route(route: WebSocketRoute, include_context: "_RouterIncludeContext") -> _EffectiveRouteContext:
    prefixed = WebSocketRoute(include_context.path_for(route), route.endpoint, name=route.name)
    return _EffectiveRouteContext(route, prefixed)


@view_through.register(Mount)
def _view_mount(route: Mount, include_context: "_RouterIncludeContext") -> _EffectiveRouteContext:
    prefixed = copy.copy(route)
    prefixed.path = include_context.path_for(route).rstrip("/")
    prefixed.path_regex, prefixed.path_format, prefixed.param_convertors = compile_path(prefixed.path + "/{path:path}")
    return _EffectiveRouteContext(route, prefixed)


@view_through.register(Host)
def _view_host(route: Host, include_context: "_RouterIncludeContext") -> _EffectiveRouteContext:
    prefix = include_context.prefix
    app = Router(routes=[Mount(prefix, app=route.app)]) if prefix else route.app
    return _EffectiveRouteContext(route, Host(route.host, app=app, name=route.name))
