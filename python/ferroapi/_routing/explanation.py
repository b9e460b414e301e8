"""How each route of a router is run, and why not natively: what `FastAPI.explain` and the command line show."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from ferroapi._beyond.router_layers import BEHIND
from ferroapi._core import Entry
from ferroapi._routing.entries import plan_of
from ferroapi._routing.include import _IncludedRouter
from ferroapi._witness import Part, replaced_names

if TYPE_CHECKING:
    from ferroapi._routing.dispatch import Dispatch


STREAMED = "its form is read while the endpoint runs"


class Explanation(NamedTuple):
    """How one route, or one middleware, is run."""

    path: str
    methods: tuple[str, ...]
    mode: str
    """`native`: by the Rust driver; `handler`: by `get_request_handler` in Python; `python`: by code of its own."""
    reason: str
    """Why it is not native; what is particular about it, or nothing, if it is."""


def explain(router: "Dispatch") -> list[Explanation]:
    """Return how each route of a router is run, in the order in which they are matched."""
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
        kind = f"it is a {type(entry.candidate).__name__}, not a path operation"
        reason = "it is matched by Python" if entry.path is None else kind
        return Explanation(path, methods, "python", reason)
    plan, reason = plan_of(getattr(entry.candidate, "route", entry.candidate) if entry.websocket else entry.candidate)
    parts = Part.ROUTE | Part.HANDLE | (0 if plan is None else plan.parts)
    if replaced := replaced_names(parts):
        return Explanation(path, methods, "handler", f"{', '.join(replaced)} was replaced")
    if reason:
        return Explanation(path, methods, "handler", reason)
    streamed = getattr(getattr(plan and plan.operation, "body", None), "streamed", None)
    return Explanation(path, methods, "native", "" if streamed is None else STREAMED)
