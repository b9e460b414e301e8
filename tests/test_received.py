"""The query and headers by name are Starlette's, and each name is found at the same cost."""

import importlib
from http import cookies
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette import requests
from starlette.datastructures import Headers, QueryParams
from starlette.requests import HTTPConnection, Request
from starlette.testclient import TestClient

from ferroapi._received import GroupedHeaders, GroupedQuery, received

from .core.asgi import http_scope

QUERIES = st.lists(st.sampled_from([b"a", b"b", b"%61", b"=", b"&", b"+", b"%", b"\xff", b"%ff", b"a=1&"])).map(
    b"".join
)
NAMES = ["a", "b", "A", "é", "+", "", " ", "ÿ", "\ufffd", "€"]
HEADERS = st.lists(st.tuples(st.sampled_from([b"a", b"b", b"A", b"\xe9"]), st.sampled_from([b"", b"1", b"\xff"])))


def seen(values: Any) -> list[Any]:
    """Everything that can be asked."""
    # Starlette refuses to look for a header of a name that is not latin-1.
    names = NAMES if isinstance(values, QueryParams) else NAMES[:-2]
    by_name = [(name in values, values.get(name), values.getlist(name)) for name in names]
    pairs = values.multi_items() if isinstance(values, QueryParams) else values.raw
    listed = [list(values.items()), list(values.values()), list(values.keys()), pairs, len(values)]
    return [by_name, list(dict.fromkeys(values)), *listed, str(values).partition("(")[2]]


@given(QUERIES)
def test_received_query_is_starlettes(query: bytes) -> None:
    connection = HTTPConnection(http_scope("/", query=query))
    for _ in range(2):
        found = received(connection, "query_params")
        assert isinstance(found, GroupedQuery)
        assert seen(found) == seen(connection.query_params) == seen(QueryParams(query))


@given(HEADERS)
def test_received_headers_are_starlettes(headers: list[tuple[bytes, bytes]]) -> None:
    connection = HTTPConnection(http_scope("/", headers=headers))
    for _ in range(2):
        found = received(connection, "headers")
        assert type(found) is GroupedHeaders
        assert seen(found) == seen(connection.headers) == seen(Headers(raw=headers))


def test_received_header_of_an_impossible_name_is_refused_as_by_starlette() -> None:
    for headers in (received(HTTPConnection(http_scope("/")), "headers"), Headers()):
        with pytest.raises(UnicodeEncodeError):
            headers.get("€")


def test_received_values_are_those_that_somebody_has_put_there(monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(QueryParams):
        pass

    class OwnRequest(Request):
        headers = Headers({"a": "own"})  # type: ignore[assignment]

    def own_parser(text: str) -> dict[str, str]:
        return {"own": text}

    scope = http_scope("/", query=b"a=1", headers=[(b"cookie", b"a=1"), (b"x", b"y")])
    request = OwnRequest(scope)
    request._query_params = Own("a=2")
    assert type(received(request, "query_params")) is Own
    assert received(request, "headers") is OwnRequest.headers
    replaced = Request(scope)
    replaced._query_params = QueryParams("b=1&b=2")
    found = received(replaced, "query_params")
    assert seen(found) == seen(QueryParams("b=1&b=2"))
    monkeypatch.setattr(requests, "cookie_parser", own_parser)
    assert received(Request(scope), "cookies") == {"own": "a=1"}
    monkeypatch.undo()
    assert received(Request(scope), "cookies") == {"a": "1"}
    assert received(Request({**scope, "path_params": {"p": 1}}), "path_params") == {"p": 1}


def test_received_query_that_was_edited_is_read_as_starlette_reads_it() -> None:
    request = Request(http_scope("/", query=b"a=1&b=2&b=3"))
    # By its parts, which cadwyn changes.
    request.query_params._dict |= {"a": "edited", "c": "added"}
    del request.query_params._dict["b"]
    found = received(request, "query_params")
    assert seen(found) == seen(request.query_params)
    assert (found["a"], found.get("b"), found["c"]) == ("edited", None, "added")


@pytest.mark.parametrize("headers", [((b"a", b"1"),), [(b"a", bytearray(b"1"))]])
def test_received_headers_of_another_type_are_left_to_starlette(headers: Any) -> None:
    scope = http_scope("/")
    scope["headers"] = headers
    found = received(HTTPConnection(scope), "headers")
    assert type(found) is Headers
    assert found["a"] == "1"


@pytest.mark.parametrize("framework", ["fastapi", "ferroapi"])
def test_cookies_that_nobody_wants_are_not_taken_apart_by_pythons_parser(
    framework: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes quadratic time up to Python 3.12. Of an unusual scope all is looked at, whatever is wanted."""
    unquoted: list[str] = []
    original = cookies._unquote  # type: ignore[attr-defined]

    def unquote(text: str) -> str:
        unquoted.append(text)
        return str(original(text))

    monkeypatch.setattr(cookies, "_unquote", unquote)
    app = importlib.import_module(framework).FastAPI()

    @app.get("/")
    async def read(number: int) -> int:
        return number

    async def served(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "query_string": "number=1"}, receive, send)

    assert TestClient(served).get("/", headers={"cookie": 'a="\\""'}).text == "1"
    assert unquoted == (['"\\""'] if framework == "fastapi" else [])
