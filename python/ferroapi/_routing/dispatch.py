"""How a router finds the route for a request in its table, and how it answers as an included router.

A path operation that has a plan is run by the native driver; everything else is answered in Python. What is declared
on a router is in `routing`.
"""

from collections.abc import Awaitable, Iterator
from types import MethodType
from typing import Any, Self, cast

from starlette import routing
from starlette.applications import Starlette
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from ferroapi import _core
from ferroapi._beyond.router_layers import RouterLayers
from ferroapi._body_limit import below_body_limit
from ferroapi._compat.starlette import get_route_path
from ferroapi._definitions import is_defined
from ferroapi._engine.connection import run_connection
from ferroapi._engine.failure import FAILURE_KEY
from ferroapi._form_limits import _FormLimits
from ferroapi._routing.changes import Reference, RouteList, tell_observers
from ferroapi._routing.frontend import most_specific_match
from ferroapi._routing.include import MatchedRoute, _IncludedRouter, match_candidate
from ferroapi._routing.matching import Selection, first_match, redirect_url, slash_twin
from ferroapi._routing.scope import (
    _FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY,
    _apply_router_form_limits,
    _get_fastapi_scope,
    _get_scope_included_router,
    _update_scope,
)
from ferroapi._routing.table import LiveTable, Table, answer_included
from ferroapi._routing.views import _EffectiveRouteContext
from ferroapi._witness import Part
from ferroapi.telemetry._api import _route_selected


def _innermost_path(route: Any, scope: Scope) -> str | None:
    """Return the path template of the route that answers a scope, asking included routers for theirs."""
    while isinstance(route, _IncludedRouter):
        _, _, matched, view = route._match(scope)
        route = matched if view is None else view.starlette_route or view
    return getattr(route, "path_format", None)


def _is_application_of_ours(candidate: BaseRoute | _EffectiveRouteContext) -> bool:
    """Tell whether a route leads to an application of this package, which finds its own way through its routes."""
    route = candidate.route if isinstance(candidate, _EffectiveRouteContext) else candidate
    if not (isinstance(route, routing.Mount) and issubclass(type(route.app), Starlette)):
        return False
    return isinstance(getattr(route.app, "router", None), Dispatch)


_LOW_PRIORITY_METHODS = ("_match_low_priority", "_iter_low_priority_routes")
"""The methods that say what answers where no route does."""

_READ_BY_TABLES = frozenset(
    {
        *("default", "middleware_stack", "app", "matches", "handle", "form_limits", "__class__", "_get_routes_version"),
        *_LOW_PRIORITY_METHODS,
    }
)
"""The attributes of a router that its table, or that of a router around it, is made from."""


class Dispatch(routing.Router):
    """The part of a router that a connection passes."""

    form_limits: _FormLimits
    layers: RouterLayers | None = None
    """The middleware and exception handlers of this router's own."""
    _low_priority_routes: list[BaseRoute]
    _live_table: LiveTable | None = None
    _observers: tuple[Reference, ...] = ()

    @property
    def routes(self) -> list[BaseRoute]:
        """The routes in the order in which they are matched. The list may be edited in place."""
        # Where FastAPI has them, for whom `vars()` of a router is what a router is made of.
        routes: list[BaseRoute] = self.__dict__["routes"]
        return routes

    @routes.setter
    def routes(self, routes: list[BaseRoute]) -> None:
        # The first list is made by the router itself; any later one stays its owner's, who may go on editing it.
        self.__dict__["routes"] = routes if "routes" in self.__dict__ else RouteList(routes)
        tell_observers(self)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in _READ_BY_TABLES and "routes" in self.__dict__:
            tell_observers(self)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy has: a copied router makes a table of its own."""
        return {name: value for name, value in vars(self).items() if name not in ("_live_table", "_observers")}

    def _routers_below(self, seen: set[int] | None = None) -> "Iterator[Self]":
        """Yield this router and every router included in it, each once, cycles notwithstanding."""
        seen = set() if seen is None else seen
        seen.add(id(self))
        yield self
        for route in self.routes:
            if isinstance(route, _IncludedRouter) and id(route.original_router) not in seen:
                yield from cast(Any, route.original_router)._routers_below(seen)

    def _current_table(self) -> Table:
        """Return the table of the routes as they are now."""
        live = self._live_table
        if live is None or not live.belongs_to(self):
            live = self.__dict__["_live_table"] = LiveTable(self)
        table = live.table
        return table if table is not None and table.core.is_current else live.current()

    def _renew_table(self, index: int) -> _core.RouteTable:
        """Return a table that compiles the entry at an index again."""
        self._current_table()
        assert self._live_table is not None, "there is one"
        return self._live_table.renewed(index).core

    def _reread_table(self) -> Table:
        """Return a table that has the routes which do not tell of edits as they are now."""
        assert self._live_table is not None, "there is one"
        return self._live_table.reread()

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Dispatch a connection to the native driver, else to the route that answers it.

        Raises:
            HTTPException: 404 inside an application, when nothing answers.
        Source: Starlette behaviour, `routing.Router.app`; FastAPI behaviour, `routing.APIRouter.app`.
        """
        assert scope["type"] in ("http", "websocket", "lifespan")
        _apply_router_form_limits(scope, self.form_limits)
        scope.setdefault("router", self)
        if scope["type"] == "lifespan":
            await self.lifespan(scope, receive, send)
        elif (failed := scope.pop(FAILURE_KEY, None)) is not None:
            await failed(scope, receive, send)
        elif (driver := self._drive(scope, receive, send)) is not None:
            await driver
        else:
            await self._answer(scope, receive, send)

    def _refuses_plainly(self) -> bool:
        """Tell whether a path that no route answers is a 404: no frontend, and no application by default."""
        default: Any = self.default
        is_default = type(default) is MethodType and is_defined(default.__func__, "Router.not_found")
        own = (getattr(self, name).__func__ is getattr(Dispatch, name) for name in _LOW_PRIORITY_METHODS)
        return is_default and all(own) and next(iter(self._iter_low_priority_routes()), None) is None

    def _is_bare(self) -> bool:
        """Tell whether a request goes from this router's `__call__` to its table, past nothing but its body limit."""
        below, _ = below_body_limit(self.middleware_stack)
        if type(self).__call__ is not routing.Router.__call__ or type(below) is not MethodType:
            # A class that was given to the router later, or a layer.
            return False
        return below == self.app and below.__func__ is Dispatch.app

    def _drive(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None] | None:
        """Return the native driver of a request that has come to this router, None where Python must answer."""
        if scope["type"] == "http":
            return self._current_table().core.drive(scope, receive, send)
        plan = self._current_table().core.connect(scope) if scope["type"] == "websocket" else None
        return None if plan is None else run_connection(plan, scope, receive, send, None)

    def _entrance(self, application: Any, layers: _core.Witness, *, is_inner: bool) -> _core.Entrance | None:
        """Return the entrance to this router's table, past layers of middleware; None if something stands between."""
        table = self._current_table()
        return _core.Entrance(table.core, application, layers, is_inner) if table.facts.is_bare else None

    def _answer(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return the answer of the route that the table selects, or of what stands in when none does."""
        if _core.is_replaced(Part.ROUTE):
            # Each route matches in turn, by what whoever replaced that has put there.
            chosen: Selection[Any] | None = first_match(self.routes, scope)
            _core.take_turns()
        else:
            table = self._current_table()
            selection = table.select(scope)
            if (selection is None or selection.match != Match.FULL) and not table.foreign.is_current():
                table = self._reread_table()
                selection = table.select(scope)
            if table.has_passed_include(selection):
                # Each included router that a request has been to makes this dictionary.
                _get_fastapi_scope(scope)
            if not (selection and _is_application_of_ours(selection.candidate.candidate)):
                # Code between the messages of a response may end what is further out.
                _core.take_turns()
            if selection is not None and selection.candidate.include_path.chain:
                return answer_included(selection.candidate, selection.child_scope, scope, receive, send)
            chosen = selection and selection._replace(candidate=selection.candidate.candidate)
        if chosen is not None:
            return self._handle_match(chosen, scope, receive, send)
        if (redirect := self._slash_redirect(scope)) is not None:
            return redirect(scope, receive, send)
        match, child_scope, route, view = self._match_low_priority(scope)
        if match != Match.NONE and route is not None:
            _update_scope(scope, child_scope)
            return self._handle_low_priority(route, view, scope, receive, send)
        return self.default(scope, receive, send)

    async def _handle_match(self, selection: Selection[BaseRoute], scope: Scope, receive: Receive, send: Send) -> None:
        route = selection.candidate
        _update_scope(scope, selection.child_scope)
        _route_selected(scope=scope, path=getattr(route, "path_format", None), mount=isinstance(route, routing.Mount))
        await route.handle(scope, receive, send)

    def _slash_redirect(self, scope: Scope) -> Response | None:
        """Return a redirect to the same path with or without its trailing slash, when a route is there."""
        route_path = get_route_path(scope)
        if scope["type"] != "http" or not self.redirect_slashes or route_path == "/":
            return None
        redirect_scope = slash_twin(scope, route_path)
        if _core.is_replaced(Part.ROUTE):
            found: Selection[Any] | None = first_match(self.routes, redirect_scope)
            path = found and _innermost_path(found.candidate, redirect_scope)
        else:
            found = self._current_table().select(redirect_scope)
            path = found and found.candidate.telemetry_path
        if found is None:
            return None
        if scope.get("fastapi.telemetry") is not None:
            # It names the route that the redirect leads to.
            _route_selected(scope=scope, path=path)
        return RedirectResponse(url=str(redirect_url(redirect_scope)))

    def _iter_low_priority_routes(self) -> Iterator[BaseRoute | _EffectiveRouteContext]:
        yield from self._low_priority_routes
        for route in self.routes:
            if isinstance(route, _IncludedRouter):
                yield from route.effective_low_priority_routes()

    def _match_low_priority(self, scope: Scope) -> MatchedRoute:
        """Return the answer of the most specific frontend, with its route, and the view that led to it."""
        candidates = self._iter_low_priority_routes()
        selection = most_specific_match(candidates, scope, match=match_candidate)
        if selection is None:
            return Match.NONE, {}, None, None
        chosen = selection.candidate
        if isinstance(chosen, _EffectiveRouteContext):
            return selection.match, selection.child_scope, chosen.route, chosen
        return selection.match, selection.child_scope, chosen, None

    async def _handle_low_priority(
        self, route: BaseRoute, view: _EffectiveRouteContext | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        _route_selected(scope=scope, path=getattr(view or route, "path_format", None))
        if view is None:
            await route.handle(scope, receive, send)
        else:
            _get_fastapi_scope(scope)[_FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY] = view
            await view.handle(scope, receive, send, None)

    def _inclusion(self, scope: Scope) -> _IncludedRouter | None:
        """Return the inclusion through which this router matches a scope, if it does."""
        included = _get_scope_included_router(scope)
        is_own = isinstance(included, _IncludedRouter) and included.original_router is self
        return included if is_own else None

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match as an included router; without an inclusion nothing matches."""
        inclusion = self._inclusion(scope)
        if inclusion is None:
            return Match.NONE, {}
        match, child_scope, *_ = inclusion._match(scope)
        return match, child_scope

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as an included router, or as an application of its own."""
        inclusion = self._inclusion(scope)
        if inclusion is not None:
            await inclusion._handle_selected(scope, receive, send)
        else:
            await self.app(scope, receive, send)
