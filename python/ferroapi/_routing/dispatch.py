"""How a router finds the route for a request by asking every route in turn, and how it answers as an included router.

The reference for the native route table, which falls back to `app`. What is declared on a router is in `routing`.
"""

from collections.abc import Awaitable, Iterator

from starlette import routing
from starlette._utils import get_route_path
from starlette.datastructures import URL
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import Receive, Scope, Send

from ferroapi._form_limits import _FormLimits
from ferroapi._routing.frontend import is_more_specific
from ferroapi._routing.include import _EffectiveRouteContext, _IncludedRouter
from ferroapi._routing.matching import Selection, best_match, first_match, slash_twin
from ferroapi._routing.scope import (
    _FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY,
    _apply_router_form_limits,
    _get_fastapi_scope,
    _get_scope_included_router,
    _update_scope,
)
from ferroapi.telemetry._api import _route_selected


def _ask_low_priority(candidate: BaseRoute | _EffectiveRouteContext, scope: Scope) -> tuple[Match, Scope]:
    return candidate.offer(scope) if isinstance(candidate, _EffectiveRouteContext) else candidate.matches(scope)


class Dispatch(routing.Router):
    """The part of a router that a connection passes."""

    form_limits: _FormLimits
    _low_priority_routes: list[BaseRoute]

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Dispatch a connection by asking every route in turn: the reference for the native route table.

        Raises:
            HTTPException: 404 inside an application, when nothing answers.
        Source: Starlette behaviour, `routing.Router.app`; FastAPI behaviour, `routing.APIRouter.app`.
        """
        assert scope["type"] in ("http", "websocket", "lifespan")
        _apply_router_form_limits(scope, self.form_limits)
        scope.setdefault("router", self)
        if scope["type"] == "lifespan":
            await self.lifespan(scope, receive, send)
            return
        if (selection := first_match(self.routes, scope)) is not None:
            answer: Awaitable[None] = self._handle_match(selection, scope, receive, send)
        elif (redirect := self._slash_redirect(scope)) is not None:
            answer = redirect(scope, receive, send)
        elif (low_priority := self._match_low_priority(scope)) is not None:
            answer = self._handle_low_priority(low_priority, scope, receive, send)
        else:
            answer = self.default(scope, receive, send)
        await answer

    async def _handle_match(self, selection: Selection[BaseRoute], scope: Scope, receive: Receive, send: Send) -> None:
        route = selection.candidate
        _update_scope(scope, selection.child_scope)
        _route_selected(scope=scope, path=getattr(route, "path_format", None), mount=isinstance(route, Mount))
        await route.handle(scope, receive, send)

    def _slash_redirect(self, scope: Scope) -> Response | None:
        """Return a redirect to the same path with or without its trailing slash, when a route is there."""
        route_path = get_route_path(scope)
        if scope["type"] != "http" or not self.redirect_slashes or route_path == "/":
            return None
        redirect_scope = slash_twin(scope, route_path)
        for route in self.routes:
            match, _ = route.matches(redirect_scope)
            if match != Match.NONE:
                self._report_redirect(route, scope, redirect_scope)
                return RedirectResponse(url=str(URL(scope=redirect_scope)))
        return None

    def _report_redirect(self, route: BaseRoute, scope: Scope, redirect_scope: Scope) -> None:
        if scope.get("fastapi.telemetry") is None:
            return
        path: str | None
        if isinstance(route, _IncludedRouter):
            context = route.find_context(redirect_scope)
            path = None if context is None else context.telemetry_path
        else:
            path = getattr(route, "path_format", None)
        _route_selected(scope=scope, path=path)

    def _iter_low_priority_routes(self) -> Iterator[BaseRoute | _EffectiveRouteContext]:
        yield from self._low_priority_routes
        for route in self.routes:
            if isinstance(route, _IncludedRouter):
                yield from route.effective_low_priority_routes()

    def _match_low_priority(self, scope: Scope) -> Selection[BaseRoute | _EffectiveRouteContext] | None:
        """Return the most specific frontend that answers."""
        candidates = self._iter_low_priority_routes()
        return best_match(candidates, scope, ask=_ask_low_priority, is_better=is_more_specific)

    async def _handle_low_priority(
        self, selection: Selection[BaseRoute | _EffectiveRouteContext], scope: Scope, receive: Receive, send: Send
    ) -> None:
        chosen = selection.candidate
        _update_scope(scope, selection.child_scope)
        _route_selected(scope=scope, path=getattr(chosen, "path_format", None))
        if isinstance(chosen, _EffectiveRouteContext):
            _get_fastapi_scope(scope)[_FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY] = chosen
            await chosen.handle(scope, receive, send, None)
        else:
            await chosen.handle(scope, receive, send)

    def _inclusion(self, scope: Scope) -> _IncludedRouter | None:
        """Return the inclusion through which this router is being asked, if it is."""
        included = _get_scope_included_router(scope)
        is_own = isinstance(included, _IncludedRouter) and included.original_router is self
        return included if is_own else None

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match as an included router; without an inclusion nothing matches."""
        inclusion = self._inclusion(scope)
        selection = None if inclusion is None else inclusion._match(scope)
        return (Match.NONE, {}) if selection is None else (selection.match, selection.child_scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as an included router, or as an application of its own."""
        inclusion = self._inclusion(scope)
        if inclusion is not None:
            await inclusion._handle_selected(scope, receive, send)
        else:
            await self.app(scope, receive, send)
