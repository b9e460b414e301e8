"""The entries of a table, made from the routes that routers declare: where each is found, and what makes its plan."""

from collections.abc import Callable, Iterable, Iterator
from operator import is_
from typing import Any, NamedTuple

from starlette.routing import BaseRoute, Host, Match, Mount, Route, WebSocketRoute
from starlette.types import Scope

from ferroapi import _core
from ferroapi._body_limit import below_body_limit, countable_limit, get_body_size_limit
from ferroapi._core import Entry
from ferroapi._engine.compile import HandlerOperation, WebSocketOperation, built_app
from ferroapi._foreign import refuse_foreign, warn_of_methods
from ferroapi._form_limits import _FormLimits
from ferroapi._routing.changes import ObservedRoute
from ferroapi._routing.include import WAYS_TO_ANSWER, _IncludedRouter
from ferroapi._routing.scope import (
    _FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY,
    _FASTAPI_FORM_LIMITS_KEY,
    _FASTAPI_INCLUDED_ROUTER_KEY,
)
from ferroapi._routing.state import PathTemplate, RouteState
from ferroapi._routing.views import _EffectiveAPIRouteContext, _EffectiveRouteContext


class _ViewMatcher(NamedTuple):
    """What matches a scope in the place of a view, as the view's router does."""

    matches: Callable[[Scope], tuple[Match, Scope]]


class IncludePath(NamedTuple):
    """The included routers that a request passes before it comes to an entry, and what they set."""

    chain: tuple[_IncludedRouter, ...]
    form_limits: _FormLimits
    """Those of the routers passed, the nearest one's first."""
    limit: int | None
    """The body limit around the router, in bytes."""
    has_fastapi_scope: bool
    """Whether a request has been to an included router before, which leaves `scope["fastapi"]`."""

    def through(self, included: _IncludedRouter) -> "IncludePath":
        limits: _FormLimits = {**self.form_limits, **included.include_context.form_limits}
        return IncludePath((*self.chain, included), limits, self.limit, has_fastapi_scope=True)

    def is_like(self, other: "IncludePath") -> bool:
        """Tell whether it leads past the same routers and limits."""
        is_same_chain = len(self.chain) == len(other.chain) and all(map(is_, self.chain, other.chain))
        return is_same_chain and self[1:] == other[1:]

    def fastapi_scope(self, view: Any, *, limits_forms: bool) -> dict[str, Any] | None:
        """Return what routers leave in `scope["fastapi"]` for a route, None if no such dictionary is made."""
        items: dict[str, Any] = {}
        if self.chain:
            items[_FASTAPI_INCLUDED_ROUTER_KEY] = self.chain[-1]
            items[_FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY] = view
        if limits_forms and self.form_limits:
            items[_FASTAPI_FORM_LIMITS_KEY] = self.form_limits
        return items if items or self.has_fastapi_scope else None


def candidates_of(routes: Iterable[Any], include_path: IncludePath) -> Iterator[tuple[Any, IncludePath]]:
    """Yield all that can answer a request, in the order of matching, each with the includes before it."""
    for candidate in routes:
        if not isinstance(candidate, _IncludedRouter):
            yield candidate, include_path
            continue
        if _is_transparent(candidate):
            yield from candidates_of(candidate.effective_candidates(), include_path.through(candidate))
        else:
            yield candidate, include_path
        include_path = include_path._replace(has_fastapi_scope=True)


def entry_of(candidate: Any, include_path: IncludePath) -> Entry:
    """Return the entry of a route, a view on one, or an included router."""
    if isinstance(candidate, _IncludedRouter):
        return _matched_by_python(candidate, candidate, include_path)
    if isinstance(candidate, _EffectiveAPIRouteContext):
        return _operation(candidate, candidate.original_route, _ViewMatcher(candidate.match_by_router), include_path)
    if isinstance(candidate, _EffectiveRouteContext):
        return _plain(candidate.route, _ViewMatcher(candidate.match_by_router), candidate, include_path)
    if isinstance(candidate, RouteState):
        return _operation(candidate, candidate, candidate, include_path)
    refuse_foreign(candidate)
    return _plain(candidate, candidate, candidate, include_path)


def observed_by(candidate: Any) -> Iterator[ObservedRoute]:
    """Yield what the entry of a candidate is made from and what tells when it is edited."""
    is_view = isinstance(candidate, _EffectiveRouteContext)
    routes = (candidate, candidate.original_route, candidate.starlette_route) if is_view else (candidate,)
    return (each for each in routes if isinstance(each, ObservedRoute))


def _matched_by_python(
    matcher: Any, candidate: Any, include_path: IncludePath, may_match: Callable[[Scope, str], Any] | None = None
) -> Entry:
    """Return an entry that only its own code can match: `matches` is called once, unless `may_match` says no."""
    return _entry(None, matcher, candidate, include_path, may_match=may_match)


def _entry(
    path: str | None,
    matcher: Any,
    candidate: Any,
    include_path: IncludePath,
    *,
    methods: Any = (),
    methods_of: Any = None,
    http: bool = True,
    websocket: bool = True,
    may_match: Callable[[Scope, str], Any] | None = None,
    compile: Callable[[], _core.Plan | None] | None = None,
    scope_items: dict[str, Any] | None = None,
    limit: int | None = None,
    cancels: bool = False,
) -> Entry:
    is_view = isinstance(candidate, _EffectiveRouteContext)
    return Entry(
        path=path,
        methods=methods,
        methods_of=methods_of,
        http=http,
        websocket=websocket,
        route=matcher,
        may_match=may_match,
        compile=compile,
        scope_items=scope_items or {},
        fastapi_items=include_path.fastapi_scope(candidate, limits_forms=http and compile is not None),
        limit=limit,
        cancels=cancels,
        telemetry_path=candidate.telemetry_path if is_view else getattr(candidate, "path_format", None),
        candidate=candidate,
        include_path=include_path,
    )


def _without_template(route: BaseRoute, state: Any, matcher: Any, candidate: Any, include_path: IncludePath) -> Entry:
    """Return an entry for a route that no path template describes: a host, convertors of the application, any code."""
    if type(route) is Host and _is_untouched(route):
        return _matched_by_python(
            matcher, candidate, include_path, lambda scope, path: matcher.matches(scope)[0] != Match.NONE
        )
    expression = getattr(state, "path_regex", None)
    if expression is not None and _is_untouched(route):
        return _matched_by_python(matcher, candidate, include_path, lambda scope, path: expression.match(path))
    return _matched_by_python(matcher, candidate, include_path)


def _plain(route: BaseRoute, matcher: Any, candidate: Any, include_path: IncludePath) -> Entry:
    """Return an entry for Starlette's own routes, found by their path and answered by Python."""
    path = _template(route)
    if path is None or not _is_untouched(route):
        return _without_template(route, route, matcher, candidate, include_path)
    if isinstance(route, WebSocketRoute):
        return _websocket(path, route, matcher, candidate, include_path)
    return _entry(path, matcher, candidate, include_path, methods_of=route, websocket=isinstance(route, Mount))


def _websocket(path: str, route: WebSocketRoute, matcher: Any, candidate: Any, include_path: IncludePath) -> Entry:
    if not isinstance(route, ObservedRoute):
        return _entry(path, matcher, candidate, include_path, methods_of=route, http=False)
    return _entry(
        path,
        matcher,
        candidate,
        include_path,
        http=False,
        compile=lambda: plan_of(route)[0],
        scope_items={"endpoint": route.endpoint, "route": route},
    )


def _operation(state: Any, route: Any, matcher: Any, include_path: IncludePath) -> Entry:
    if any(not hasattr(state, name) for name in _matched_by(state)):
        # What reads a deleted attribute raises, at each request that comes so far.
        return _matched_by_python(matcher, state, include_path)
    warn_of_methods(route)
    path = _template(state)
    if path is None or not _is_untouched(route):
        return _without_template(route, state, matcher, state, include_path)
    return _entry(
        path,
        matcher,
        state,
        include_path,
        methods=state.methods,
        websocket=False,
        compile=lambda: plan_of(state)[0],
        scope_items={"endpoint": state.endpoint, "route": route},
        limit=get_body_size_limit(_own_limit(state), include_path.limit),
        cancels=bool(state.cancel_on_disconnect),
    )


def _matched_by(state: Any) -> Iterator[str]:
    """Yield the attributes by which a route or a view matches and answers, but those that are made when asked for."""
    yield from ("param_convertors", "methods", "endpoint")
    if state.unread_template() is None:
        yield "path_regex"
    if not isinstance(state, _EffectiveAPIRouteContext):
        yield "app"


def _own_limit(state: Any) -> int | None:
    """Return the body limit that the application of a route was built with, or that of a view will be, in bytes."""
    is_view = isinstance(state, _EffectiveAPIRouteContext)
    return countable_limit(state.max_body_size) if is_view else below_body_limit(state.app)[1]


def plan_of(state: Any) -> tuple[_core.Plan | None, str]:
    """Return the plan that the driver runs for a route or a view, None if Python answers; and what was replaced."""
    built = built_app(below_body_limit(state.app)[0])
    operation = None if built is None else built.operation
    if operation is None or isinstance(operation, WebSocketOperation) is not isinstance(state, WebSocketRoute):
        return None, "the route's application was replaced" if built is None else "get_websocket_app was replaced"
    if isinstance(operation, HandlerOperation):
        return operation.plan, "get_route_handler is overridden or replaced"
    return operation.plan, ""


def _template(route: Any) -> str | None:
    """Return the path template that means what the route's regular expression does, None if there is none."""
    path: str | None = getattr(route, "path", None)
    if isinstance(route, RouteState) and (unread := route.unread_template()) is not None and unread.path == path:
        return path if route.param_convertors == unread.convertors else None
    regex = getattr(route, "path_regex", None)
    if path is None or regex is None:
        return None
    if isinstance(route, Mount):
        path += "/{path:path}"
    template = PathTemplate.of(path)
    # With its flags: an expression may ignore case.
    if template is None or template.regex() != regex or not isinstance(route.param_convertors, dict):
        return None
    kinds = {name: type(convertor) for name, convertor in route.param_convertors.items()}
    return path if kinds == {name: type(convertor) for name, convertor in template.convertors.items()} else None


_known: set[type[BaseRoute]] = {Route, WebSocketRoute, Mount, Host}


def know(*classes: type[BaseRoute]) -> None:
    """Note that the table does what the methods of these classes do; the witness tells when they are replaced."""
    _known.update(classes)


def _is_untouched(route: BaseRoute) -> bool:
    """Tell whether a route matches and handles by methods of the classes that are known."""
    for name in ("matches", "handle"):
        defined_by = next((cls for cls in type(route).__mro__ if name in vars(cls)), None)
        if defined_by not in _known or name in vars(route):
            return False
    return True


def _is_transparent(included: _IncludedRouter) -> bool:
    """Tell whether an included router decides nothing itself: its routes can be listed in its place."""
    router = included.original_router
    is_plain = type(included) is _IncludedRouter and vars(included).keys().isdisjoint(WAYS_TO_ANSWER)
    return is_plain and router.layers is None and router._is_transparent()
