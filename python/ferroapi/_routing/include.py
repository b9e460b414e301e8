"""What `include_router` means: live views on another router's routes, under merged settings.

A router asks its `_IncludedRouter` entries while matching; OpenAPI and tools ask them for contexts.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar, cast

from starlette import routing
from starlette.datastructures import URLPath
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from ferroapi import params
from ferroapi._body_limit import validate_max_body_size, wrap_app_with_body_limit
from ferroapi._foreign import refuse_foreign_options
from ferroapi._form_limits import _FormLimits, _validate_form_limits
from ferroapi._option_defaults import INCLUDE_DEFAULTS, ROUTER_DEFAULTS
from ferroapi._routing.changes import tell_observers
from ferroapi._routing.inherit import SHARED_SETTINGS, inherit_all
from ferroapi._routing.matching import first_match
from ferroapi._routing.scope import (
    _FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY,
    _FASTAPI_INCLUDED_ROUTER_KEY,
    _apply_router_form_limits,
    _get_fastapi_scope,
    _update_scope,
    fastapi_scope_item,
)
from ferroapi._routing.state import OWN_OPTIONS
from ferroapi._routing.views import _EffectiveAPIRouteContext, _EffectiveRouteContext, view_through
from ferroapi.datastructures import DefaultPlaceholder
from ferroapi.telemetry._api import _route_selected

if TYPE_CHECKING:
    from ferroapi.routing import APIRouter

View = TypeVar("View")

_ROUTER_DEFAULTS: Mapping[str, Any] = {**ROUTER_DEFAULTS}
_MERGED_SETTINGS = ("prefix", "default_response_class", *SHARED_SETTINGS)


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
    wait_for_first_item: bool | None = None
    raises: Sequence[type[HTTPException]] = ()
    form_limits: _FormLimits = field(default_factory=_FormLimits)

    @classmethod
    def for_include(
        cls, *, parent_router: "APIRouter", included_router: "APIRouter", **options: Any
    ) -> "_RouterIncludeContext":
        """Merge the parent router's settings with the options of one `include_router` call.

        Raises:
            ValueError: for a `max_body_size` that is no size, or form limits that are none.
            FastAPIError: for `raises` that cannot be declared.
        """
        refuse_foreign_options(options)
        options = {
            **INCLUDE_DEFAULTS,
            **OWN_OPTIONS,
            "strict_content_type": _ROUTER_DEFAULTS["strict_content_type"],
            **options,
        }
        validate_max_body_size(options["max_body_size"])
        own = inherit_all(("max_body_size", "cancel_on_disconnect", "wait_for_first_item"), included_router, options)
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


MatchedRoute = tuple[Match, Scope, BaseRoute | None, _EffectiveRouteContext | None]
"""What matching came to, what it adds to the scope, the route, and the view through which that was reached."""

WAYS_TO_ANSWER = frozenset({"matches", "handle"})
"""The methods of an included router that stand between its parent's list and its routes, where one has its own."""


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

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in WAYS_TO_ANSWER:
            tell_observers(self.original_router)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        if name in WAYS_TO_ANSWER:
            tell_observers(self.original_router)

    def effective_candidates(self) -> list["_EffectiveRouteContext | _IncludedRouter"]:
        """Return the views on the router's routes, rebuilt when it or a router below it has changed."""
        return self._current("_effective_candidates", self._build_candidates)

    def effective_low_priority_routes(self) -> list[_EffectiveRouteContext]:
        """Return the views on the routes that are matched last, of this router and of those below it."""
        return self._current("_effective_low_priority_routes", self._build_low_priority_routes)

    def _current(self, name: str, build: Callable[[], Iterator[View]]) -> list[View]:
        """Return a cached list, rebuilt by one thread when the version of the routes is another."""
        if getattr(self, name + "_version") != self.original_router._get_routes_version():
            with self._effective_routes_lock:
                version = self.original_router._get_routes_version()
                if getattr(self, name + "_version") != version:
                    setattr(self, name, list(build()))
                    setattr(self, name + "_version", version)
        views: list[View] = getattr(self, name)
        return views

    def _branch(self, child: "_IncludedRouter") -> "_IncludedRouter":
        return _IncludedRouter(child.original_router, self.include_context.combine(child.include_context))

    def _build_candidates(self) -> "Iterator[_EffectiveRouteContext | _IncludedRouter]":
        for route in self.original_router.routes:
            if isinstance(route, _IncludedRouter):
                yield self._branch(route)
            elif (view := view_through(route, self.include_context)) is not None:
                yield view

    def _build_low_priority_routes(self) -> Iterator[_EffectiveRouteContext]:
        for route in self.original_router._low_priority_routes:
            view = view_through(route, self.include_context)
            if view is None:
                continue
            if not isinstance(view, _EffectiveAPIRouteContext):
                view.app = wrap_app_with_body_limit(view.route.handle, self.include_context.max_body_size)
            yield view
        for route in self.original_router.routes:
            if isinstance(route, _IncludedRouter):
                yield from self._branch(route).effective_low_priority_routes()

    def effective_route_contexts(self) -> Iterator[_EffectiveRouteContext]:
        """Yield the view on every route, those of nested includes in place."""
        for candidate in self.effective_candidates():
            if isinstance(candidate, _IncludedRouter):
                yield from candidate.effective_route_contexts()
            else:
                yield candidate

    def _match(self, scope: Scope) -> MatchedRoute:
        """Return the answer of the first view that matches, with its route, and the view unless that is a router."""
        selection = first_match(self.effective_candidates(), scope, match=match_candidate)
        if selection is None:
            return Match.NONE, {}, None, None
        view = selection.candidate
        if isinstance(view, _IncludedRouter):
            return selection.match, selection.child_scope, view, None
        return selection.match, selection.child_scope, view.route, view

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Ask the included router, which may be a subclass that decides otherwise; `handle` looks again."""
        with fastapi_scope_item(scope, _FASTAPI_INCLUDED_ROUTER_KEY, self):
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
                _route_selected(scope=scope, path=view.telemetry_path, mount=isinstance(route, routing.Mount))
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


def match_candidate(candidate: BaseRoute | _EffectiveRouteContext, scope: Scope) -> tuple[Match, Scope]:
    """Match a route, or a view on one as its router does."""
    if isinstance(candidate, _EffectiveRouteContext):
        return candidate.match_by_router(scope)
    return candidate.matches(scope)


def _effective_attribute(name: str) -> Any:
    """Return a property: the attribute of the effective route, None for a route without one."""
    return property(lambda context: getattr(context._effective_route, name, None))


@dataclass(frozen=True)
class RouteContext:
    """A route together with how it is reached: for tools that list routes, included ones under their full path.

    Any other attribute is read from the effective route.
    """

    route: BaseRoute
    _route_context: _EffectiveRouteContext | None = field(default=None, repr=False)

    path = cast("str | None", _effective_attribute("path"))
    path_format = cast("str | None", _effective_attribute("path_format"))
    name = cast("str | None", _effective_attribute("name"))
    methods = cast("set[str] | None", _effective_attribute("methods"))
    endpoint = cast("Callable[..., Any] | None", _effective_attribute("endpoint"))

    def __init__(self, route: BaseRoute, _route_context: _EffectiveRouteContext | None = None) -> None:
        # Tracers have one made of each route at each request. What a dataclass makes for itself takes twice as long.
        attributes = self.__dict__
        attributes["route"], attributes["_route_context"] = route, _route_context

    @property
    def matches(self) -> Callable[[Scope], tuple[Match, Scope]]:
        """That of the effective route; tracers look for the route of each request."""
        route: BaseRoute | _EffectiveRouteContext = self.route if self._route_context is None else self._effective_route
        return route.matches

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
    for context in iter_route_contexts(routes):
        yield context.original_route, context._route_context


def iter_route_contexts(routes: Sequence[BaseRoute | RouteContext]) -> Iterator[RouteContext]:
    """Yield a `RouteContext` for every route, looking through included routers; contexts pass as they are."""
    for route in routes:
        if isinstance(route, RouteContext):
            yield route
        elif isinstance(route, _IncludedRouter):
            for context in route.effective_route_contexts():
                yield RouteContext(context.original_route, context)
        else:
            yield RouteContext(route)


def _iter_included_route_candidates(routes: Sequence[BaseRoute]) -> Iterator[BaseRoute]:
    """Yield every declared route, Starlette's own in their prefixed form."""
    for route, context in _iter_routes_with_context(routes):
        yield (context.starlette_route if context is not None else None) or route


def effective_path_and_name(routes: Sequence[BaseRoute]) -> Iterator[tuple[str | None, str]]:
    """Yield the effective path and name of every route; a route without a path yields `None`."""
    for context in iter_route_contexts(routes):
        yield context.path, "unknown" if context.name is None else context.name
