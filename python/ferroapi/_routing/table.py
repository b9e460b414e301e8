"""The live route list of one router as a `_core.RouteTable`, and how an entry of it answers a request.

When a route list or a route was edited, the next table has new entries for that, and the others of the table before.
"""

from collections import deque
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.routing import Match, Mount
from starlette.types import Receive, Scope, Send

from ferroapi import _core
from ferroapi._body_limit import below_body_limit
from ferroapi._core import Entry
from ferroapi._routing.changes import Reference, RouteList, observe
from ferroapi._routing.entries import IncludePath, candidates_of, entry_of, observed_by
from ferroapi._routing.include import _IncludedRouter
from ferroapi._routing.matching import Selection, first_match, match_route
from ferroapi._routing.scope import (
    _FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY,
    _FASTAPI_INCLUDED_ROUTER_KEY,
    _apply_router_form_limits,
    _get_fastapi_scope,
    _update_scope,
)
from ferroapi._routing.views import _EffectiveRouteContext
from ferroapi._witness import Part
from ferroapi.telemetry._api import _route_selected

if TYPE_CHECKING:
    from ferroapi._routing.dispatch import Dispatch


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


class Table:
    """A router's entries under `_core.RouteTable`."""

    __slots__ = ("_places", "core", "entries", "facts", "foreign", "own_lists")

    def __init__(
        self, router: "Dispatch", entries: list[Entry], facts: "_Facts", own_lists: _core.Snapshot | None
    ) -> None:
        self.entries = entries
        self.facts = facts
        self.own_lists = own_lists
        # These do not tell when they are edited.
        foreign = (entry.methods_of for entry in entries if entry.methods_of is not None)
        self.foreign = _core.Snapshot([(route, ["path_regex"]) for route in foreign], [])
        self._places: dict[int, list[int]] = {}
        self.core = _core.RouteTable(
            entries=entries,
            router=router,
            parts=Part.ROUTE,
            handle=Part.HANDLE,
            entrance=Part.ENTRANCE,
            refuses=facts.refuses,
            includes=facts.includes,
            limit=facts.limit,
            previous=facts.previous,
            own_lists=own_lists,
        )

    def has_own_lists_as_they_were(self) -> bool:
        """Tell whether the lists that do not tell of edits have the routes that the table was made of."""
        return self.own_lists is None or self.own_lists.is_current()

    def places_of(self, changed: Any) -> list[int]:
        """Return where the entries are that are made from an object, none if it is something else than a route."""
        if not self._places:
            for index, entry in enumerate(self.entries):
                for each in (entry.candidate, *observed_by(entry.candidate)):
                    self._places.setdefault(id(each), []).append(index)
        return self._places.get(id(changed), [])

    def select(self, scope: Scope) -> Selection[Entry] | None:
        """Return the entry that answers a scope, a full match before a partial one, with what it adds to the scope.

        The entry's own `matches` has the last word: it makes the child scope, and may have been replaced meanwhile.
        """
        # None for a scope with something else than servers put there, or a path with a lone surrogate.
        if (found := self.core.select(scope)) is not None:
            index, answer = found
            if index is None:
                return None
            match, child_scope = answer or self.entries[index].route.matches(scope)
            if match != Match.NONE:
                return Selection(match, child_scope, self.entries[index])
        return first_match(self.entries, scope, match=lambda entry, scope: match_route(entry.route, scope))

    def has_passed_include(self, selection: Selection[Entry] | None) -> bool:
        """Tell whether a request has been to an included router before this selection was made."""
        if selection is None or selection.match != Match.FULL:
            return self.facts.includes
        return selection.candidate.fastapi_items is not None


async def answer_included(entry: Entry, child_scope: Scope, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer through the includes above an entry, as if each router had matched it in turn.

    Source: FastAPI behaviour, `_IncludedRouter.handle` and `_handle_selected`.
    """
    chain = entry.include_path.chain
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
        try:
            return self._made_of(previous, changed)
        except BaseException:
            # The next request must not find the table from before these edits.
            self._changed.extend(changed)
            raise

    def _made_of(self, previous: Table | None, changed: list[Any]) -> Table:
        places = [] if previous is None else [previous.places_of(each) for each in changed]
        if previous is None or not changed or not all(places) or not previous.has_own_lists_as_they_were():
            return self._walked(previous, set(map(id, changed)))
        entries = previous.entries.copy()
        for place in {place for found in places for place in found}:
            entries[place] = entry_of(entries[place].candidate, entries[place].include_path)
        return Table(self._router, entries, previous.facts._replace(previous=previous.core), previous.own_lists)

    def _walked(self, previous: Table | None, changed: set[int]) -> Table:
        """Return a table of all candidates; entries of the table before that are made from nothing changed are kept."""
        own_lists: list[list[Any]] = []
        for router in self._router._routers_below():
            observe(router, self._reference)
            if isinstance(routes := router.routes, RouteList):
                observe(routes, self._reference)
            elif isinstance(routes, list):
                own_lists.append(routes)
        # Taken before the lists are walked, so that an edit meanwhile is noticed by the next request.
        seen = _core.Snapshot([], own_lists) if own_lists else None
        kept: dict[int, Entry] = {}
        for entry in () if previous is None else previous.entries:
            if changed.isdisjoint(map(id, (entry.candidate, *observed_by(entry.candidate)))):
                kept[id(entry.candidate)] = entry
        facts = _Facts.of(self._router, previous)
        entries = []
        no_include = IncludePath((), self._router.form_limits, facts.limit, has_fastapi_scope=False)
        for candidate, include_path in candidates_of(self._router.routes, no_include):
            known = kept.get(id(candidate))
            if known is None or not known.include_path.is_like(include_path):
                for each in observed_by(candidate):
                    observe(each, self._reference)
                known = entry_of(candidate, include_path)
            entries.append(known)
        return Table(self._router, entries, facts, seen)
