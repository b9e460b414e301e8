"""The query, headers and cookies of a connection by name, at a cost that is linear in them whatever is read of them.

Starlette goes through all pairs for each name; its cookies take quadratic time up to Python 3.12.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from starlette.datastructures import Headers, QueryParams
from starlette.requests import HTTPConnection

from ferroapi import _core
from ferroapi._witness import Part

Grouped = dict[str, str | list[str]]
"""The value of each name in the order of the first of each, a list where there are several."""


class GroupedQuery(QueryParams):
    """A query whose pairs are grouped by their names; the pairs themselves are made for whoever asks for them."""

    def __init__(self, grouped: Grouped, make_pairs: Callable[[], QueryParams]) -> None:
        self.grouped = grouped
        self._make_pairs = make_pairs

    def __getattr__(self, name: str) -> Any:
        if name not in ("_list", "_dict"):
            raise AttributeError(name)
        pairs = self._make_pairs()
        self._list, self._dict = pairs._list, pairs._dict
        return getattr(self, name)

    def __getitem__(self, key: str) -> str:
        found = self.grouped[key]
        return found if isinstance(found, str) else found[-1]

    def __contains__(self, key: Any) -> bool:
        return key in self.grouped

    def __iter__(self) -> Iterator[str]:
        return iter(self.grouped)

    def getlist(self, key: Any) -> list[str]:
        """Return all values of a name, in order."""
        return _as_list(self.grouped.get(key))


class MadeQuery(GroupedQuery):
    """The query of a connection that somebody has asked for it, and may have edited.

    A value that stands for itself is read from the dictionary of Starlette's object, and lists from its pairs, as by
    Starlette: packages that change one leave the other as it was.
    """

    def __init__(self, made: QueryParams) -> None:
        grouped: dict[str, list[str]] = {}
        for name, value in made.multi_items():
            grouped.setdefault(name, []).append(value)
        found: Grouped = {name: values if len(values) > 1 else values[0] for name, values in grouped.items()}
        super().__init__(found, lambda: made)
        self._list, self._dict = made._list, made._dict

    __getitem__ = QueryParams.__getitem__
    __contains__ = QueryParams.__contains__
    __iter__ = QueryParams.__iter__


class GroupedHeaders(Headers):
    """Headers that are grouped by their names."""

    def __init__(self, raw: list[tuple[bytes, bytes]], grouped: Grouped) -> None:
        super().__init__(raw=raw)
        self.grouped = grouped

    def __getitem__(self, key: str) -> str:
        found = self.grouped[_header_name(key)]
        return found if isinstance(found, str) else found[0]

    def __contains__(self, key: Any) -> bool:
        return _header_name(key) in self.grouped

    def __iter__(self) -> Iterator[str]:
        return iter(self.grouped)

    def getlist(self, key: str) -> list[str]:
        """Return all values of a name, in order."""
        return _as_list(self.grouped.get(_header_name(key)))


def _as_list(found: str | list[str] | None) -> list[str]:
    return [found] if isinstance(found, str) else list(found or ())


def _header_name(key: str) -> str:
    # Starlette refuses a name that no header can have.
    return key.lower().encode("latin-1").decode("latin-1")


def received(connection: HTTPConnection, place: str) -> Mapping[str, Any]:
    """Return what the attribute `query_params`, `headers`, `cookies` or `path_params` of a connection says.

    Where somebody has replaced that attribute, its value or its parser, it is theirs.
    """
    make = _MAKERS.get(place)
    if make is not None and _is_starlettes(connection, place) and not _core.is_replaced(Part.RECEIVED):
        made: Mapping[str, Any] | None = make(connection)
        if made is not None:
            return made
    found: Mapping[str, Any] = getattr(connection, place)
    return found


def _is_starlettes(connection: HTTPConnection, place: str) -> bool:
    cls = type(connection)
    is_plain = cls.__getattribute__ is object.__getattribute__
    return is_plain and getattr(cls, place, None) is vars(HTTPConnection)[place]


def says_as_sent(connection: HTTPConnection, headers: Any, query_string: Any, path_params: Any) -> bool:
    """Tell whether a connection that others had, or made, still says what its scope said before."""
    known = vars(connection)
    sent = HTTPConnection({"type": "http", "headers": headers or (), "query_string": query_string})
    return (
        all(_is_starlettes(connection, place) for place in ("path_params", *_MAKERS))
        and connection.scope.get("path_params", {}) == (path_params or {})
        and all(
            type(known[name]) is type(made := getattr(sent, place)) and vars(known[name]) == vars(made)
            for name, place in (("_headers", "headers"), ("_query_params", "query_params"))
            if name in known
        )
        and ("_cookies" not in known or (type(known["_cookies"]) is dict and known["_cookies"] == _cookies(sent)))
    )


def keep_as_sent(connection: HTTPConnection, headers: Any, pairs: Any, query_string: Any) -> None:
    """Let a connection that others have changed say the rest of what it said before, as FastAPI's, which was read.

    `pairs` are those that were in the list `headers`.
    """
    known, sent = vars(connection), HTTPConnection({"type": "http", "headers": pairs, "query_string": query_string})
    known.setdefault("_headers", Headers(raw=headers))
    known.setdefault("_query_params", QueryParams(query_string))
    known.setdefault("_cookies", _cookies(sent))


def read_cookies(connection: HTTPConnection) -> Mapping[str, str]:
    """Return what `connection.cookies` says."""
    return received(connection, "cookies")


def _query(connection: HTTPConnection) -> QueryParams | None:
    known, raw = getattr(connection, "_query_params", None), connection.scope.get("query_string")
    if type(known) is QueryParams:
        return MadeQuery(known)
    if known is None and type(raw) is bytes:
        return GroupedQuery(_core.group_query(raw), lambda: QueryParams(raw))
    return None


def _headers(connection: HTTPConnection) -> Headers | None:
    known = getattr(connection, "_headers", None)
    raw: Any = connection.scope.get("headers")
    if type(known) is Headers:
        raw = known.raw
    elif known is not None:
        return None
    grouped = _core.group_headers(raw) if type(raw) is list else None
    return None if grouped is None else GroupedHeaders(raw, grouped)


def _cookies(connection: HTTPConnection) -> dict[str, str] | None:
    if hasattr(connection, "_cookies"):
        return None
    cookies: dict[str, str] = {}
    headers: Any = received(connection, "headers")
    for header in headers.getlist("cookie"):
        cookies.update(_core.parse_cookies(header.encode("latin-1")))
    # Whoever asks later is given the same.
    connection._cookies = cookies
    return cookies


_MAKERS: dict[str, Callable[[HTTPConnection], Any]] = {"query_params": _query, "headers": _headers, "cookies": _cookies}
