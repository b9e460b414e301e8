"""The live route list of one router as a `_core.RouteTable`, and the way from an entry of it to an answer.

When a route list or a route was edited, the next table has new entries for that, and the others of the table before.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from operator import is_
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple

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
from ferroapi._beyond.router_layers import BEHIND
from ferroapi._body_limit import below_body_limit, countable_limit, get_body_size_limit
from ferroapi._core import Entry
from ferroapi._engine.compile import HandlerOperation, WebSocketOperation, built_app
from ferroapi._foreign import refuse_foreign, warn_of_methods
from ferroapi._form_limits import _FormLimits
from ferroapi._routing.changes import ObservedRoute, Reference, observe
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
from ferroapi._routing.state import RouteState
from ferroapi._witness import Part, replaced_names
from ferroapi.telemetry._api import _route_selected

if TYPE_CHECKING:
    from ferroapi._routing.dispatch import Dispatch
    from ferroapi.routing import APIRoute

_CONVERTORS = (StringConvertor, PathConvertor, IntegerConvertor, FloatConvertor, UUIDConvertor)


class _Facts(NamedTuple):
    """What a table knows of its router, beside the entries."""

    is_bare: bool
    """Whether no middleware of the router's own stands before it."""
    refuses: bool
    """Whether a path that no entry answers is a 404 and nothing else."""
    includes: bool
    """Whether a request that no entry answers has been to an included router."""
    limit: int | None
    """The body limit of the router, in bytes."""
    previous: _core.RouteTable | None = None
    """The table before, which is shared as far as it is the same."""

    @classmethod
    def of(cls, router: "Dispatch", previous: "Table | None") -> "_Facts":
        includes = any(isinstance(route, _IncludedRouter) for route in router.routes)
        refuses = router._refuses_plainly() and not router.form_limits
        _, limit = below_body_limit(router.middleware_stack)
        return cls(router._is_bare(), refuses, includes, limit, None if previous is None else previous.core)


class _Offer(NamedTuple):
    """A view, asked as its router asks it."""

    matches: Callable[[Scope], tuple[Match, Scope]]


class Table:
    """A router's entries under `_core.RouteTable`."""

    __slots__ = ("_places", "core", "entries", "facts", "foreign")

    def __init__(self, router: "Dispatch", entries: list[Entry], facts: "_Facts") -> None:
        self.entries = entries
        self.facts = facts
        # These do not tell when they are edited.
        foreign = (entry.methods_of for entry in entries if entry.methods_of is not None)
        self.foreign = _core.Snapshot([(route, ["path_regex"]) for route in foreign], [])
        self._places: dict[int, list[int]] = {}
        self.core = _core.RouteTable(
            entries=entries,
            router=router,
            parts=Part.ROUTE,
            entrance=Part.ENTRANCE,
            refuses=facts.refuses,
            includes=facts.includes,
            limit=facts.limit,
            previous=facts.previous,
        )

    def places_of(self, changed: Any) -> list[int]:
        """Return where the entries are that are made from an object, none if it is something else than a route."""
        if not self._places:
            for index, entry in enumerate(self.entries):
                for each in (entry.candidate, *_read_by(entry.candidate)):
                    self._places.setdefault(id(each), []).append(index)
        return self._places.get(id(changed), [])

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
            return self.facts.includes
        return selection.candidate.fastapi_items is not None


def _ask_entry(entry: Entry, scope: Scope) -> tuple[Match, Scope]:
    answer: tuple[Match, Scope] = entry.route.matches(scope)
    return answer


async def answer_included(entry: Entry, child_scope: Scope, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer through the includes above an entry, as if each router had been asked in turn.

    Source: FastAPI behaviour, `_IncludedRouter.handle` and `_handle_selected`.
    """
    chain = entry.way.chain
    for included in chain:
        _apply_router_form_limits(scope, included.include_context.form_limits)
        _get_fastapi_scope(scope)[_FASTAPI_INCLUDED_ROUTER_KEY] = included
    _update_scope(scope, child_scope)
    if isinstance(entry.candidate, _IncludedRouter):
        await entry.candidate.handle(scope, receive, send)
        return
    view: _EffectiveRouteContext = entry.candidate
    _route_selected(scope=scope, path=view.telemetry_path, mount=isinstance(view.route, Mount))
    _get_fastapi_scope(scope)[_FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY] = view
    await view.handle(scope, receive, send, chain[-1].include_context.max_body_size)


class _Way(NamedTuple):
    """What a request has passed when it comes to an entry."""

    chain: tuple[_IncludedRouter, ...]
    form_limits: _FormLimits
    """Those of the routers passed, the nearest one's first."""
    limit: int | None
    """The body limit around the router, in bytes."""
    is_noted: bool
    """Whether an included router was asked before, which leaves its dictionary in the scope."""

    def into(self, included: _IncludedRouter) -> "_Way":
        limits: _FormLimits = {**self.form_limits, **included.include_context.form_limits}
        return _Way((*self.chain, included), limits, self.limit, is_noted=True)

    def is_like(self, other: "_Way") -> bool:
        """Tell whether it leads past the same routers and limits."""
        is_same_chain = len(self.chain) == len(other.chain) and all(map(is_, self.chain, other.chain))
        return is_same_chain and self[1:] == other[1:]

    def notes(self, view: Any, *, limits_forms: bool) -> dict[str, Any] | None:
        """Return what routers leave in `scope["fastapi"]` for a route, None if no such dictionary is made."""
        notes: dict[str, Any] = {}
        if self.chain:
            notes[_FASTAPI_INCLUDED_ROUTER_KEY] = self.chain[-1]
            notes[_FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY] = view
        if limits_forms and self.form_limits:
            notes[_FASTAPI_FORM_LIMITS_KEY] = self.form_limits
        return notes if notes or self.is_noted else None


def _candidates(routes: Iterable[Any], way: _Way) -> Iterator[tuple[Any, _Way]]:
    """Yield all that can answer a request, in the order in which it is asked, each with the way to it."""
    for candidate in routes:
        if not isinstance(candidate, _IncludedRouter):
            yield candidate, way
            continue
        if _is_transparent(candidate):
            yield from _candidates(candidate.effective_candidates(), way.into(candidate))
        else:
            yield candidate, way
        way = way._replace(is_noted=True)


def _entry_of(candidate: Any, way: _Way) -> Entry:
    if isinstance(candidate, _IncludedRouter):
        return _asked(candidate, candidate, way)
    if isinstance(candidate, _EffectiveAPIRouteContext):
        return _operation(candidate, candidate.original_route, _Offer(candidate.offer), way)
    if isinstance(candidate, _EffectiveRouteContext):
        return _plain(candidate.route, _Offer(candidate.offer), candidate, way)
    if _is_operation(candidate):
        return _operation(candidate, candidate, candidate, way)
    refuse_foreign(candidate)
    return _plain(candidate, candidate, candidate, way)


def _read_by(candidate: Any) -> Iterator[ObservedRoute]:
    """Yield what the entry of a candidate is made from, as far as it tells of edits."""
    routes = (candidate, getattr(candidate, "original_route", None), getattr(candidate, "starlette_route", None))
    return (each for each in routes if isinstance(each, ObservedRoute))


class LiveTable:
    """The table of a router's routes as they are now: the one observer of all that it is made from."""

    __slots__ = ("__weakref__", "_changed", "_lock", "_reference", "_router", "table")

    def __init__(self, router: "Dispatch") -> None:
        self.table: Table | None = None
        self._router = router
        self._changed: deque[Any] = deque()
        self._lock = RLock()
        self._reference = Reference(self)

    def belongs_to(self, router: "Dispatch") -> bool:
        """Tell whether it is this router's, and not that of a router which this one is a copy of."""
        return self._router is router

    def note(self, changed: Any) -> None:
        """Take note of an edited route, or of anything else that was edited."""
        self._changed.append(changed)
        if (table := self.table) is not None:
            table.core.expire()

    def current(self) -> Table:
        """Return the table, made anew where something was edited."""
        with self._lock:
            table = self.table
            if table is not None and table.core.is_current:
                return table
            table = self.table = self._made(table)
            if self._changed:
                # Edited while it was made: it may have been read before that.
                table.core.expire()
            return table

    def renewed(self, index: int) -> Table:
        """Return a table that compiles the entry at an index again."""
        if (table := self.table) is not None and index < len(table.entries):
            self.note(table.entries[index].candidate)
        return self.current()

    def reread(self) -> Table:
        """Return a table that has the routes which do not tell of edits as they are now."""
        for entry in () if self.table is None else self.table.entries:
            if entry.methods_of is not None:
                self.note(entry.candidate)
        return self.current()

    def _made(self, previous: Table | None) -> Table:
        changed: list[Any] = []
        while self._changed:
            changed.append(self._changed.popleft())
        places = [] if previous is None else [previous.places_of(each) for each in changed]
        if previous is None or not changed or not all(places):
            return self._walked(previous, set(map(id, changed)))
        entries = previous.entries.copy()
        for place in {place for found in places for place in found}:
            entries[place] = _entry_of(entries[place].candidate, entries[place].way)
        return Table(self._router, entries, previous.facts._replace(previous=previous.core))

    def _walked(self, previous: Table | None, changed: set[int]) -> Table:
        """Return a table of all candidates; entries of the table before that are made from nothing changed are kept."""
        for router in self._router._routers_below():
            observe(router._routes, self._reference)
        kept: dict[int, Entry] = {}
        for entry in () if previous is None else previous.entries:
            if changed.isdisjoint(map(id, (entry.candidate, *_read_by(entry.candidate)))):
                kept[id(entry.candidate)] = entry
        facts = _Facts.of(self._router, previous)
        entries = []
        outset = _Way((), self._router.form_limits, facts.limit, is_noted=False)
        for candidate, way in _candidates(self._router.routes, outset):
            known = kept.get(id(candidate))
            if known is None or not known.way.is_like(way):
                for each in _read_by(candidate):
                    observe(each, self._reference)
                known = _entry_of(candidate, way)
            entries.append(known)
        return Table(self._router, entries, facts)


def _asked(asked: Any, candidate: Any, way: _Way, might: Callable[[Scope, str], Any] | None = None) -> Entry:
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
    methods: Any = (),
    methods_of: Any = None,
    http: bool = True,
    websocket: bool = True,
    might: Callable[[Scope, str], Any] | None = None,
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
        route=asked,
        might=might,
        compile=compile,
        scope_items=scope_items or {},
        fastapi_items=way.notes(candidate, limits_forms=http and compile is not None),
        limit=limit,
        cancels=cancels,
        telemetry_path=candidate.telemetry_path if is_view else getattr(candidate, "path_format", None),
        candidate=candidate,
        way=way,
    )


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
    return _entry(path, asked, candidate, way, methods_of=route, websocket=isinstance(route, Mount))


def _websocket(path: str, route: WebSocketRoute, asked: Any, candidate: Any, way: _Way) -> Entry:
    if not isinstance(route, ObservedRoute):
        return _entry(path, asked, candidate, way, methods_of=route, http=False)
    compile = partial(_plan_only, route)
    scope_items = {"endpoint": route.endpoint, "route": route}
    return _entry(path, asked, candidate, way, http=False, compile=compile, scope_items=scope_items)


def _operation(state: Any, route: "APIRoute", asked: Any, way: _Way) -> Entry:
    warn_of_methods(route)
    path = _template(state)
    if path is None or not _is_untouched(route):
        return _without_template(route, state, asked, state, way)
    compile = partial(_plan_only, state)
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
        limit=get_body_size_limit(_own_limit(state), way.limit),
        cancels=bool(state.cancel_on_disconnect),
    )


def _own_limit(state: Any) -> int | None:
    """Return the body limit that the application of a route was built with, or that of a view will be, in bytes."""
    is_view = isinstance(state, _EffectiveAPIRouteContext)
    return countable_limit(state.max_body_size) if is_view else below_body_limit(state.app)[1]


def _plan_only(state: Any) -> _core.Plan | None:
    return plan_of(state)[0]


def plan_of(state: Any) -> tuple[_core.Plan | None, str]:
    """Return the plan that the driver runs for a route or a view, None if Python answers; and what was replaced."""
    built = built_app(below_body_limit(state.app)[0])
    operation = None if built is None else built.operation
    if operation is None or isinstance(operation, WebSocketOperation) is not isinstance(state, WebSocketRoute):
        return None, "the route's application was replaced" if built is None else "get_websocket_app was replaced"
    is_around = isinstance(operation, HandlerOperation)
    return operation.plan, "get_route_handler is overridden or replaced" if is_around else ""


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
    router = included.original_router
    return type(included) is _IncludedRouter and router.layers is None and router._is_transparent()


def _is_operation(route: BaseRoute) -> bool:
    return isinstance(route, RouteState)


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
    return [row for entry in router._current_table().entries for row in _explain_all(entry)]


def _explain_all(entry: Entry) -> Iterator[Explanation]:
    candidate = entry.candidate
    if isinstance(candidate, _IncludedRouter) and candidate.original_router.layers is not None:
        for view in candidate.effective_route_contexts():
            route = view.starlette_route or view
            path, methods = getattr(route, "path", ""), getattr(route, "methods", None) or ()
            yield Explanation(str(path), tuple(sorted(methods)), "handler", BEHIND)
    else:
        yield _explain(entry)


def _explain(entry: Entry) -> Explanation:
    named = (getattr(entry.candidate, name, None) for name in ("path", "host", "prefix"))
    path = entry.path or next((str(each) for each in named if each is not None), "")
    methods = tuple(sorted(getattr(entry.methods_of, "methods", None) or entry.methods or ()))
    if entry.compile is None:
        reason = "it is asked whether it matches" if entry.path is None else f"it is a {type(entry.candidate).__name__}"
        return Explanation(path, methods, "python", reason)
    plan, reason = plan_of(getattr(entry.candidate, "route", entry.candidate) if entry.websocket else entry.candidate)
    if replaced := replaced_names(Part.ROUTE | (0 if plan is None else plan.parts)):
        return Explanation(path, methods, "handler", f"{', '.join(replaced)} was replaced")
    return Explanation(path, methods, "handler" if reason else "native", reason)
