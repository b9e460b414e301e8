"""Choosing among routes as Starlette does: the first full match, else the first partial one."""

import re
from collections.abc import Callable, Iterable
from typing import Any, Generic, NamedTuple, TypeVar

from starlette.datastructures import URL
from starlette.routing import Match
from starlette.types import Scope

Candidate = TypeVar("Candidate")


class Selection(NamedTuple, Generic[Candidate]):
    """The candidate that answers a request, and what its match adds to the scope."""

    match: Match
    child_scope: Scope
    candidate: Candidate


def match_route(route: Any, scope: Scope) -> tuple[Match, Scope]:
    """Return what a route's own `matches` says."""
    result: tuple[Match, Scope] = route.matches(scope)
    return result


def first_match(
    candidates: Iterable[Candidate],
    scope: Scope,
    match: Callable[[Candidate, Scope], tuple[Match, Scope]] = match_route,
) -> Selection[Candidate] | None:
    """Return the first full match in order, else the first partial match, else nothing.

    Source: Starlette behaviour, `routing.Router.app`.
    """
    partial: Selection[Candidate] | None = None
    for candidate in candidates:
        result, child_scope = match(candidate, scope)
        if result == Match.FULL:
            return Selection(result, child_scope, candidate)
        if result == Match.PARTIAL and partial is None:
            partial = Selection(result, child_scope, candidate)
    return partial


def slash_twin(scope: Scope, route_path: str) -> Scope:
    """Return the scope of the same request with a trailing slash taken away or added."""
    path = scope["path"]
    return {**scope, "path": path.rstrip("/") if route_path.endswith("/") else path + "/"}


_NOT_ASCII = re.compile(rb"[\x80-\xff]")


def redirect_url(scope: Scope) -> URL:
    """Return the URL of a scope for a redirect to it, whose query need not be text.

    Starlette's `URL` raises for a query that is not UTF-8. `RedirectResponse` would encode the rest of it likewise.
    """
    query = scope.get("query_string")
    if type(query) is bytes:
        scope = {**scope, "query_string": _NOT_ASCII.sub(lambda found: b"%%%02X" % found[0][0], query)}
    return URL(scope=scope)
