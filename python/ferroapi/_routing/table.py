"""The live route list of one router as a `_core.RouteTable`, and the way from an entry of it to an answer.

Rebuilt when any route list or route has changed. Without the table a router asks its routes in turn (`APIRouter.app`).
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsIndex

from starlette.convertors import (
    FloatConvertor,
    IntegerConvertor,
    PathConvertor,
    StringConvertor,
    UUIDConvertor,
)
from starlette.routing import BaseRoute, Host, Match, Mount, Route, WebSocketRoute, compile_path
from starlette.types import Receive, Scope, Send

from ferroapi import _core
from ferroapi._foreign import refuse_foreign
from ferroapi._form_limits import _FormLimits
from ferroapi._request.plan import HandlerOperation
from ferroapi._routing.include import _EffectiveAPIRouteContext, _EffectiveRouteContext, _IncludedRouter
from ferroapi._routing.matching import Selection, first_match
from ferroapi._routing.scope import (
    _FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY,
    _FASTAPI_FORM_LIMITS_KEY,
    _FASTAPI_INCLUDED_ROUTER_KEY,
    _apply_router_form_limits,
    _get_fastapi_scope,
    _update_scope,
)
from ferroapi._routing.state import PathTemplate
from ferroapi._witness import Part, replaced_names
from ferroapi.telemetry._api import _route_selected

if TYPE_CHECKING:
    from ferroapi._routing.dispatch import Dispatch
    from ferroapi.routing import APIRoute

_CONVERTORS = (StringConvertor, PathConvertor, IntegerConvertor, FloatConvertor, UUIDConvertor)


class RouteList(list[BaseRoute]):
    """A router's routes: a list that tells the tables when it is edited in place."""

    def append(self, route: BaseRoute, /) -> None:
        super().append(route)
        _core.routes_changed()

    def extend(self, routes: Iterable[BaseRoute], /) -> None:
        super().extend(routes)
        _core.routes_changed()

    def insert(self, index: SupportsIndex, route: BaseRoute, /) -> None:
        super().insert(index, route)
        _core.routes_changed()

    def remove(self, route: BaseRoute, /) -> None:
        super().remove(route)
        _core.routes_changed()

    def pop(self, index: SupportsIndex = -1, /) -> BaseRoute:
        route = super().pop(index)
        _core.routes_changed()
        return route

    def clear(self) -> None:
        super().clear()
        _core.routes_changed()

    def reverse(self) -> None:
        super().reverse()
        _core.routes_changed()

    def sort(self, *, key: Any = None, reverse: bool = False) -> None:
        super().sort(key=key, reverse=reverse)
        _core.routes_changed()

    def __setitem__(self, index: Any, route: Any, /) -> None:
        super().__setitem__(index, route)
        _core.routes_changed()

    def __delitem__(self, index: SupportsIndex | slice, /) -> None:
        super().__delitem__(index)
        _core.routes_changed()

    def __iadd__(self, routes: Iterable[BaseRoute], /) -> "RouteList":  # type: ignore[misc, override]
        self.extend(routes)
        return self

    def __imul__(self, times: SupportsIndex, /) -> "RouteList":
        super().__imul__(times)
        _core.routes_changed()
        return self


Might = Callable[[Scope, str], Any]
"""Tells from a scope and the path in it, without the application's code, whether a route could answer."""


class Entry(NamedTuple):
    """One place in the table, as `_core.RouteTable` takes it; `chain` and `candidate` are for the way back."""

    path: str | None
    methods: list[str] | None
    http: bool
    websocket: bool
    route: Any
    might: Might | None
    compile: Callable[[], _core.Plan | None] | None
    scope_items: dict[str, Any] | None
    fastapi_items: dict[str, Any] | None
    chain: tuple[_IncludedRouter, ...]
    candidate: Any

    @property
    def telemetry_path(self) -> str | None:
        """The path template that telemetry reports."""
        if isinstance(self.candidate, _EffectiveRouteContext):
            return self.candidate.telemetry_path
        return getattr(self.candidate, "path_format", None)


class _Offer(NamedTuple):
    """A view, asked as its router asks it."""

    matches: Callable[[Scope], tuple[Match, Scope]]


class Table:
    """A router's entries under `_core.RouteTable`."""

    __slots__ = ("core", "entries", "includes", "is_bare", "router")

    def __init__(self, router: "Dispatch") -> None:
        # Taken before the routes are read: a change meanwhile makes this table out of date at once.
        epoch = _core.RouteTable.current_epoch()
        self.router = router
        self.is_bare = router._is_bare()
        self.includes = any(isinstance(route, _IncludedRouter) for route in router.routes)
        self.entries = list(_entries(router.routes, _Way((), router.form_limits, is_noted=False)))
        refuses = router._refuses_plainly() and not router.form_limits
        self.core = _core.RouteTable(self.entries, router, Part.ROUTE, Part.ENTRANCE, refuses, self.includes, epoch)

    def select(self, scope: Scope) -> Selection[Entry] | None:
        """Return the entry that answers a scope, a full match before a partial one, with what it adds to the scope.

        The entry's own `matches` has the last word: it makes the child scope, and may have been replaced meanwhile.
        """
        if type(scope) is not dict:
            return first_match(self.entries, scope, ask=_ask_entry)
        try:
            found = self.core.select(scope)
        except UnicodeEncodeError:
            # A path with a lone surrogate cannot be looked up.
            return first_match(self.entries, scope, ask=_ask_entry)
        if found is None:
            return None
        index, answer = found
        match, child_scope = answer or self.entries[index].route.matches(scope)
        if match != Match.NONE:
            return Selection(match, child_scope, self.entries[index])
        return first_match(self.entries, scope, ask=_ask_entry)

    def has_asked_included(self, selection: Selection[Entry] | None) -> bool:
        """Tell whether an included router was asked before this selection was made."""
        if selection is None or selection.match != Match.FULL:
            return self.includes
        return selection.candidate.fastapi_items is not None


def _ask_entry(entry: Entry, scope: Scope) -> tuple[Match, Scope]:
    answer: tuple[Match, Scope] = entry.route.matches(scope)
    return answer


async def answer_included(entry: Entry, child_scope: Scope, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer through the includes above an entry, as if each router had been asked in turn.

    Source: FastAPI behaviour, `_IncludedRouter.handle` and `_handle_selected`.
    """
    for included in entry.chain:
        _apply_router_form_limits(scope, included.include_context.form_limits)
        _get_fastapi_scope(scope)[_FASTAPI_INCLUDED_ROUTER_KEY] = included
    _update_scope(scope, child_scope)
    if isinstance(entry.candidate, _IncludedRouter):
        await entry.candidate.handle(scope, receive, send)
        return
    view: _EffectiveRouteContext = entry.candidate
    _route_selected(scope=scope, path=view.telemetry_path, mount=isinstance(view.route, Mount))
    _get_fastapi_scope(scope)[_FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY] = view
    await view.handle(scope, receive, send, entry.chain[-1].include_context.max_body_size)


class _Way(NamedTuple):
    """What a request has passed when it comes to an entry."""

    chain: tuple[_IncludedRouter, ...]
    form_limits: _FormLimits
    """Those of the routers passed, the nearest one's first."""
    is_noted: bool
    """Whether an included router was asked before, which leaves its dictionary in the scope."""

    def into(self, included: _IncludedRouter) -> "_Way":
        limits: _FormLimits = {**self.form_limits, **included.include_context.form_limits}
        return _Way((*self.chain, included), limits, is_noted=True)

    def notes(self, view: Any, *, limits_forms: bool) -> dict[str, Any] | None:
        """Return what routers leave in `scope["fastapi"]` for a route, None if no such dictionary is made."""
        notes: dict[str, Any] = {}
        if self.chain:
            notes[_FASTAPI_INCLUDED_ROUTER_KEY] = self.chain[-1]
            notes[_FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY] = view
        if limits_forms and self.form_limits:
            notes[_FASTAPI_FORM_LIMITS_KEY] = self.form_limits
        return notes if notes or self.is_noted else None


def _entries(candidates: Iterable[Any], way: _Way) -> Iterator[Entry]:
    for candidate in candidates:
        if isinstance(candidate, _IncludedRouter):
            if _is_transparent(candidate):
                yield from _entries(candidate.effective_candidates(), way.into(candidate))
            else:
                yield _asked(candidate, candidate, way)
            way = way._replace(is_noted=True)
        elif isinstance(candidate, _EffectiveAPIRouteContext):
            yield _operation(candidate, candidate.original_route, _Offer(candidate.offer), way)
        elif isinstance(candidate, _EffectiveRouteContext):
            yield _plain(candidate.route, _Offer(candidate.offer), candidate, way)
        elif _is_operation(candidate):
            yield _operation(candidate, candidate, candidate, way)
        else:
            refuse_foreign(candidate)
            yield _plain(candidate, candidate, candidate, way)


def _asked(asked: Any, candidate: Any, way: _Way, might: Might | None = None) -> Entry:
    """Return an entry whose turn it is to be asked, since only its own code knows what it matches.

    It is asked once a request, unless `might` says that it need not be.
    """
    return _entry(None, asked, candidate, way, might=might)


def _entry(
    path: str | None,
    asked: Any,
    candidate: Any,
    way: _Way,
    *,
    methods: Iterable[str] = (),
    http: bool = True,
    websocket: bool = True,
    might: Might | None = None,
    compile: Callable[[], _core.Plan | None] | None = None,
    scope_items: dict[str, Any] | None = None,
) -> Entry:
    allowed = sorted(methods) or None
    notes = way.notes(candidate, limits_forms=http and compile is not None)
    return Entry(path, allowed, http, websocket, asked, might, compile, scope_items, notes, way.chain, candidate)


def _without_template(route: BaseRoute, state: Any, asked: Any, candidate: Any, way: _Way) -> Entry:
    """Return an entry for a route that no path template describes: a host, convertors of the application, any code."""
    if type(route) is Host and _is_untouched(route):
        return _asked(asked, candidate, way, lambda scope, path: asked.matches(scope)[0] != Match.NONE)
    expression = getattr(state, "path_regex", None)
    if expression is not None and _is_untouched(route):
        return _asked(asked, candidate, way, lambda scope, path: expression.match(path))
    return _asked(asked, candidate, way)


def _plain(route: BaseRoute, asked: Any, candidate: Any, way: _Way) -> Entry:
    """Return an entry for Starlette's own routes, found by their path and answered by Python."""
    path = _template(route)
    if path is None or not _is_untouched(route):
        return _without_template(route, route, asked, candidate, way)
    if isinstance(route, WebSocketRoute):
        return _websocket(path, route, asked, candidate, way)
    if isinstance(route, Mount):
        return _entry(path, asked, candidate, way)
    methods: set[str] = getattr(route, "methods", None) or set()
    return _entry(path, asked, candidate, way, methods=methods, websocket=False)


def _websocket(path: str, route: WebSocketRoute, asked: Any, candidate: Any, way: _Way) -> Entry:
    if not hasattr(route, "websocket_plan"):
        return _entry(path, asked, candidate, way, http=False)
    compile = partial(_websocket_plan_only, route)
    scope_items = {"endpoint": route.endpoint, "route": route}
    return _entry(path, asked, candidate, way, http=False, compile=compile, scope_items=scope_items)


def _websocket_plan_only(route: Any) -> _core.Plan | None:
    plan: _core.Plan | None = route.websocket_plan()[0]
    return plan


def _operation(state: Any, route: "APIRoute", asked: Any, way: _Way) -> Entry:
    path = _template(state)
    if path is None or not _is_untouched(route):
        return _without_template(route, state, asked, state, way)
    compile = partial(_native_plan_only, state)
    scope_items = {"endpoint": state.endpoint, "route": route}
    return _entry(
        path,
        asked,
        state,
        way,
        methods=state.methods,
        websocket=False,
        compile=compile,
        scope_items=scope_items,
    )


def _native_plan_only(state: Any) -> _core.Plan | None:
    return native_plan(state)[0]


def native_plan(state: Any) -> tuple[_core.Plan | None, str]:
    """Return the plan that the driver may run for a route or a view, or None with the reason why Python answers."""
    built = state.app_as_built()
    if built is None:
        return None, "the route's application was replaced"
    if built.operation is None:
        return None, "request_response is replaced"
    if state.max_body_size is not None:
        return None, "the body size is limited"
    plan, reason = built.operation.compiled
    if isinstance(built.operation, HandlerOperation):
        reason = "get_route_handler is overridden or replaced"
    return plan, reason


def _template(route: Any) -> str | None:
    """Return the path template that means what the route's regular expression does, None if there is none."""
    path: str | None = getattr(route, "path", None)
    own: dict[str, Any] = getattr(route, "__dict__", {})
    unread: PathTemplate | None = own.get("path_template")
    if unread is not None and unread.path == path and "path_regex" not in own:
        return path if route.param_convertors == unread.convertors else None
    regex = getattr(route, "path_regex", None)
    if path is None or regex is None:
        return None
    if isinstance(route, Mount):
        path += "/{path:path}"
    is_builtin = all(type(convertor) in _CONVERTORS for convertor in route.param_convertors.values())
    return path if is_builtin and compile_path(path)[0].pattern == regex.pattern else None


_known_methods: dict[str, set[Any]] = {"matches": set(), "handle": set()}


def know(*classes: type[BaseRoute]) -> None:
    """Note how these classes match and handle now, so that a class that does otherwise is recognised later."""
    for name, known in _known_methods.items():
        known.update(getattr(cls, name) for cls in classes)


know(Route, WebSocketRoute, Mount, Host)


def _is_untouched(route: BaseRoute) -> bool:
    """Tell whether a route matches and handles by code that the table reproduces."""
    return all(
        getattr(type(route), name, None) in known and name not in vars(route) for name, known in _known_methods.items()
    )


def _is_transparent(included: _IncludedRouter) -> bool:
    """Tell whether an included router decides nothing itself: its routes can be listed in its place."""
    return type(included) is _IncludedRouter and included.original_router._is_transparent()


def _is_operation(route: BaseRoute) -> bool:
    return hasattr(route, "app_as_built")


class Explanation(NamedTuple):
    """How one route, or one middleware, is run."""

    path: str
    methods: tuple[str, ...]
    mode: str
    """`native`: by the Rust driver; `handler`: by `get_request_handler` in Python; `python`: by code of its own."""
    reason: str
    """Why it is not native; empty if it is."""


def explain(router: "Dispatch") -> list[Explanation]:
    """Return how each route of a router is run, in the order in which they are asked."""
    return [_explain(entry) for entry in router._current_table().entries]


def _explain(entry: Entry) -> Explanation:
    named = (getattr(entry.candidate, name, None) for name in ("path", "host", "prefix"))
    path = entry.path or next((str(each) for each in named if each is not None), "")
    methods = tuple(entry.methods or ())
    if entry.compile is None:
        reason = "it is asked whether it matches" if entry.path is None else f"it is a {type(entry.candidate).__name__}"
        return Explanation(path, methods, "python", reason)
    if entry.websocket:
        route = getattr(entry.candidate, "route", entry.candidate)
        plan, reason = route.websocket_plan()
    else:
        plan, reason = native_plan(entry.candidate)
    if replaced := replaced_names(Part.ROUTE | (0 if plan is None else plan.parts)):
        return Explanation(path, methods, "handler", f"{', '.join(replaced)} was replaced")
    return Explanation(path, methods, "handler" if reason else "native", reason)
