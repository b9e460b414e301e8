"""What `include_router` means: live views on another router's routes, under merged settings.

A router asks its `_IncludedRouter` entries while matching; OpenAPI and tools ask them for contexts.
"""

import copy
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum
from functools import singledispatch
from typing import TYPE_CHECKING, Any, cast

from starlette._utils import get_route_path
from starlette.datastructures import URLPath
from starlette.exceptions import HTTPException
from starlette.responses import Response
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

from ferroapi import params
from ferroapi._beyond.declared_errors import check_errors
from ferroapi._body_limit import validate_max_body_size, wrap_app_with_body_limit
from ferroapi._foreign import refuse_foreign_options
from ferroapi._form_limits import _FormLimits, _validate_form_limits
from ferroapi._options import INCLUDE_DEFAULTS, ROUTER_DEFAULTS
from ferroapi._routing.inherit import SHARED_SETTINGS, inherit_all
from ferroapi._routing.matching import first_match
from ferroapi._routing.scope import (
    _FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY,
    _FASTAPI_INCLUDED_ROUTER_KEY,
    _apply_router_form_limits,
    _get_fastapi_scope,
    _update_scope,
    note,
)
from ferroapi._routing.state import COMPILED_ATTRIBUTES, KEPT_OPTIONS, OWN_OPTIONS, RouteState, empty_state
from ferroapi.datastructures import DefaultPlaceholder
from ferroapi.telemetry._api import _route_selected
from ferroapi.utils import get_value_or_default

if TYPE_CHECKING:
    from ferroapi.routing import APIRoute, APIRouter

_ROUTER_DEFAULTS: Mapping[str, Any] = {**ROUTER_DEFAULTS}
_MERGED_SETTINGS = ("prefix", "default_response_class", *SHARED_SETTINGS)

_effective_route_context_var: ContextVar[Any | None] = ContextVar("fastapi_effective_route_context", default=None)


@dataclass
class _RouterIncludeContext:
    """The settings that every route of an included router receives on top of its own."""

    included_router: "APIRouter"
    prefix: str = ""
    tags: list[str | Enum] = field(default_factory=list)
    dependencies: list[params.Depends] = field(default_factory=list)
    default_response_class: type[Response] | DefaultPlaceholder = field(
        default_factory=lambda: _ROUTER_DEFAULTS["default_response_class"]
    )
    responses: dict[int | str, dict[str, Any]] = field(default_factory=dict)
    callbacks: list[BaseRoute] = field(default_factory=list)
    deprecated: bool | None = None
    include_in_schema: bool = True
    generate_unique_id_function: Callable[[Any], str] | DefaultPlaceholder = field(
        default_factory=lambda: _ROUTER_DEFAULTS["generate_unique_id_function"]
    )
    strict_content_type: bool | DefaultPlaceholder = field(
        default_factory=lambda: _ROUTER_DEFAULTS["strict_content_type"]
    )
    dependency_overrides_provider: Any | None = None
    max_body_size: int | None = None
    cancel_on_disconnect: bool | None = None
    raises: Sequence[type[HTTPException]] = ()
    form_limits: _FormLimits = field(default_factory=_FormLimits)

    @classmethod
    def for_include(
        cls, *, parent_router: "APIRouter", included_router: "APIRouter", **options: Any
    ) -> "_RouterIncludeContext":
        """Merge the parent router's settings with the options of one `include_router` call.

        Raises:
            ValueError: for a `max_body_size` that is no size, or form limits that are none.
        """
        refuse_foreign_options(options)
        options = {
            **INCLUDE_DEFAULTS,
            **OWN_OPTIONS,
            "strict_content_type": _ROUTER_DEFAULTS["strict_content_type"],
            **options,
        }
        validate_max_body_size(options["max_body_size"])
        check_errors(options["raises"])
        own = inherit_all(("max_body_size", "cancel_on_disconnect"), included_router, options)
        merged = inherit_all(_MERGED_SETTINGS, parent_router, options | own)
        return cls(
            included_router=included_router,
            dependency_overrides_provider=parent_router.dependency_overrides_provider,
            form_limits={**_validate_form_limits(options["form_limits"]), **included_router.form_limits},
            **merged,
        )

    def combine(self, child_context: "_RouterIncludeContext") -> "_RouterIncludeContext":
        """Return the context of an include inside an include."""
        return _RouterIncludeContext(
            included_router=child_context.included_router,
            dependency_overrides_provider=self.dependency_overrides_provider,
            form_limits=child_context.form_limits,
            **inherit_all(_MERGED_SETTINGS, self, vars(child_context)),
        )

    def path_for(self, route: Any) -> str:
        """Return the path of a route below this include."""
        path: str = self.prefix + route.path
        return path


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

    def offer(self, scope: Scope) -> tuple[Match, Scope]:
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


MatchedRoute = tuple[Match, Scope, BaseRoute | None, _EffectiveRouteContext | None]
"""What matching came to, what it adds to the scope, the route, and the view through which that was reached."""

_publishing = threading.Lock()


class _EffectiveAPIRouteContext(_EffectiveRouteContext):
    """A path operation seen through its includes. The endpoint is read again on first use: the path may name more."""

    __slots__ = ("_response_types",)

    original_route: "APIRoute"
    _is_assigned_at_once = True
    _response_types: tuple[Any, Any]

    def __init__(self, original_route: "APIRoute", include_context: _RouterIncludeContext) -> None:
        self._own_attributes().update(original_route=original_route, starlette_route=None, frontend_prefix="")
        self._response_types = original_route.response_model, original_route.stream_item_type
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
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
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

    def _match_path(self, scope: Scope) -> tuple[Match, Scope]:
        # The methods, too. Source: Starlette behaviour, `routing.Route.matches`.
        found = self.path_regex.match(get_route_path(scope)) if scope["type"] == "http" else None
        if found is None:
            return Match.NONE, {}
        own_params = {name: self.param_convertors[name].convert(text) for name, text in found.groupdict().items()}
        child_scope = {"endpoint": self.endpoint, "path_params": {**scope.get("path_params", {}), **own_params}}
        is_full = not self.methods or scope["method"] in self.methods
        return (Match.FULL if is_full else Match.PARTIAL), child_scope

    def offer(self, scope: Scope) -> tuple[Match, Scope]:
        with note(scope, _FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY, self):
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


def _merge_route_options(route: "APIRoute", include: _RouterIncludeContext) -> dict[str, Any]:
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
def view_through(route: BaseRoute, include_context: _RouterIncludeContext) -> _EffectiveRouteContext | None:
    """Return the view on a route through an include; a kind of route that cannot be prefixed has none.

    `routing` and `frontend` register the views of their own classes.
    """
    return None


@view_through.register
def _view_route(route: Route, include_context: _RouterIncludeContext) -> _EffectiveRouteContext:
    prefixed = Route(
        include_context.path_for(route),
        endpoint=route.endpoint,
        methods=list(route.methods or []),
        name=route.name,
        include_in_schema=route.include_in_schema,
    )
    return _EffectiveRouteContext(route, prefixed)


@view_through.register
def _view_websocket_route(route: WebSocketRoute, include_context: _RouterIncludeContext) -> _EffectiveRouteContext:
    prefixed = WebSocketRoute(include_context.path_for(route), route.endpoint, name=route.name)
    return _EffectiveRouteContext(route, prefixed)


@view_through.register
def _view_mount(route: Mount, include_context: _RouterIncludeContext) -> _EffectiveRouteContext:
    prefixed = copy.copy(route)
    prefixed.path = include_context.path_for(route).rstrip("/")
    prefixed.path_regex, prefixed.path_format, prefixed.param_convertors = compile_path(prefixed.path + "/{path:path}")
    return _EffectiveRouteContext(route, prefixed)


@view_through.register
def _view_host(route: Host, include_context: _RouterIncludeContext) -> _EffectiveRouteContext:
    prefix = include_context.prefix
    app = Router(routes=[Mount(prefix, app=route.app)]) if prefix else route.app
    return _EffectiveRouteContext(route, Host(route.host, app=app, name=route.name))


@dataclass
class _IncludedRouter(BaseRoute):
    """The entry that `include_router` leaves in the parent's routes: the other router, live, under a context."""

    original_router: "APIRouter"
    include_context: _RouterIncludeContext
    _effective_routes_lock: Any = field(default_factory=threading.Lock, repr=False, compare=False)
    _effective_candidates: list["_EffectiveRouteContext | _IncludedRouter"] = field(default_factory=list)
    _effective_candidates_version: int | None = None
    _effective_low_priority_routes: list[_EffectiveRouteContext] = field(default_factory=list)
    _effective_low_priority_routes_version: int | None = None

    def effective_candidates(self) -> list["_EffectiveRouteContext | _IncludedRouter"]:
        """Return the views on the router's routes, rebuilt when it or a router below it has changed."""
        return cast(
            "list[_EffectiveRouteContext | _IncludedRouter]",
            self._current("_effective_candidates", lambda: list(self._build_candidates())),
        )

    def effective_low_priority_routes(self) -> list[_EffectiveRouteContext]:
        """Return the views on the routes that are asked last, of this router and of those below it."""
        return cast(
            "list[_EffectiveRouteContext]",
            self._current("_effective_low_priority_routes", lambda: list(self._build_low_priority_routes())),
        )

    def _current(self, name: str, build: Callable[[], list[Any]]) -> Any:
        """Return a cached list, rebuilt by one thread when the version of the routes is another."""
        if getattr(self, name + "_version") != self.original_router._get_routes_version():
            with self._effective_routes_lock:
                version = self.original_router._get_routes_version()
                if getattr(self, name + "_version") != version:
                    setattr(self, name, build())
                    setattr(self, name + "_version", version)
        return getattr(self, name)

    def _branch(self, child: "_IncludedRouter") -> "_IncludedRouter":
        return _IncludedRouter(child.original_router, self.include_context.combine(child.include_context))

    def _build_candidates(self) -> "Iterator[_EffectiveRouteContext | _IncludedRouter]":
        for route in self.original_router.routes:
            view = self._branch(route) if isinstance(route, _IncludedRouter) else self._view(route)
            if view is not None:
                yield view

    def _build_low_priority_routes(self) -> Iterator[_EffectiveRouteContext]:
        for route in self.original_router._low_priority_routes:
            view = self._view(route)
            if view is None:
                continue
            if not isinstance(view, _EffectiveAPIRouteContext):
                view.app = wrap_app_with_body_limit(view.route.handle, self.include_context.max_body_size)
            yield view
        for route in self.original_router.routes:
            if isinstance(route, _IncludedRouter):
                yield from self._branch(route).effective_low_priority_routes()

    def _view(self, route: BaseRoute) -> _EffectiveRouteContext | None:
        return view_through(route, self.include_context)

    def effective_route_contexts(self) -> Iterator[_EffectiveRouteContext]:
        """Yield the view on every route, those of nested includes in place."""
        for candidate in self.effective_candidates():
            if isinstance(candidate, _IncludedRouter):
                yield from candidate.effective_route_contexts()
            else:
                yield candidate

    def _match(self, scope: Scope) -> MatchedRoute:
        """Return the answer of the first view that matches, with its route, and the view unless that is a router."""
        selection = first_match(self.effective_candidates(), scope, ask=_ask_candidate)
        if selection is None:
            return Match.NONE, {}, None, None
        view = selection.candidate
        if isinstance(view, _IncludedRouter):
            return selection.match, selection.child_scope, view, None
        return selection.match, selection.child_scope, view.route, view

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Ask the included router, which may be a subclass that decides otherwise; `handle` looks again."""
        with note(scope, _FASTAPI_INCLUDED_ROUTER_KEY, self):
            match, _ = self.original_router.matches(scope)
        return match, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request through the included router, which calls `_handle_selected`."""
        _apply_router_form_limits(scope, self.include_context.form_limits)
        _get_fastapi_scope(scope)[_FASTAPI_INCLUDED_ROUTER_KEY] = self
        await self.original_router.handle(scope, receive, send)

    async def _handle_selected(self, scope: Scope, receive: Receive, send: Send) -> None:
        max_body_size = self.include_context.max_body_size
        match, child_scope, route, view = self._match(scope)
        if match == Match.NONE or route is None:
            await wrap_app_with_body_limit(self.original_router.default, max_body_size)(scope, receive, send)
            return
        _update_scope(scope, child_scope)

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if isinstance(route, _IncludedRouter):
                await route.handle(scope, receive, send)
            elif view is None:
                await wrap_app_with_body_limit(route.handle, max_body_size)(scope, receive, send)
            else:
                _route_selected(scope=scope, path=view.telemetry_path, mount=isinstance(route, Mount))
                _get_fastapi_scope(scope)[_FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY] = view
                await view.handle(scope, receive, send, max_body_size)

        layers = self.original_router.layers
        await (answer(scope, receive, send) if layers is None else layers(answer, scope, receive, send))

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Build the full path of a named route below this include.

        Raises:
            NoMatchFound: when no route has that name and those parameters.
        """
        for context in self.effective_route_contexts():
            try:
                return context.url_path_for(name, **path_params)
            except NoMatchFound:
                continue
        raise NoMatchFound(name, path_params)


def _ask_candidate(candidate: _EffectiveRouteContext | _IncludedRouter, scope: Scope) -> tuple[Match, Scope]:
    return candidate.matches(scope) if isinstance(candidate, _IncludedRouter) else candidate.offer(scope)


def _effective_attribute(name: str) -> Any:
    def read(self: "RouteContext") -> Any:
        return getattr(self._effective_route, name, None)

    return property(read, doc=f"The effective `{name}`, or `None` for a route without one.")


@dataclass(frozen=True)
class RouteContext:
    """A route together with how it is reached: for tools that list routes, included ones under their full path.

    Any other attribute is read from the effective route.
    """

    route: BaseRoute
    _route_context: _EffectiveRouteContext | None = field(default=None, repr=False)

    if TYPE_CHECKING:

        @property
        def path(self) -> str | None: ...

        @property
        def path_format(self) -> str | None: ...

        @property
        def name(self) -> str | None: ...

        @property
        def methods(self) -> set[str] | None: ...

        @property
        def endpoint(self) -> Callable[..., Any] | None: ...
    else:
        path = _effective_attribute("path")
        path_format = _effective_attribute("path_format")
        name = _effective_attribute("name")
        methods = _effective_attribute("methods")
        endpoint = _effective_attribute("endpoint")

    @property
    def original_route(self) -> BaseRoute:
        """The route as it was declared."""
        return self.route if self._route_context is None else self._route_context.original_route

    @property
    def _effective_route(self) -> BaseRoute | _EffectiveRouteContext:
        context = self._route_context
        return self.route if context is None else context.starlette_route or context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._effective_route, name)


def _iter_routes_with_context(
    routes: Sequence[BaseRoute],
) -> Iterator[tuple[BaseRoute, _EffectiveRouteContext | None]]:
    """Yield every declared route with its view, or `None` for a route that is not included."""
    for route in routes:
        if isinstance(route, _IncludedRouter):
            for context in route.effective_route_contexts():
                yield context.original_route, context
        else:
            yield route, None


def iter_route_contexts(routes: Sequence[BaseRoute | RouteContext]) -> Iterator[RouteContext]:
    """Yield a `RouteContext` for every route, looking through included routers; contexts pass as they are."""
    for route in routes:
        if isinstance(route, RouteContext):
            yield route
        else:
            for original_route, context in _iter_routes_with_context([route]):
                yield RouteContext(original_route, context)


def _iter_included_route_candidates(routes: Sequence[BaseRoute]) -> Iterator[BaseRoute]:
    """Yield every declared route, Starlette's own in their prefixed form."""
    for route, context in _iter_routes_with_context(routes):
        yield (context.starlette_route if context is not None else None) or route


def effective_path_and_name(routes: Sequence[BaseRoute]) -> Iterator[tuple[str | None, str]]:
    """Yield the effective path and name of every route; a route without a path yields `None`."""
    for context in iter_route_contexts(routes):
        yield context.path, "unknown" if context.name is None else context.name
