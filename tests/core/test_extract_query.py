"""What endpoints receive of a query string, for arbitrary bytes, is what FastAPI gives them."""

from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from .asgi import http_scope
from .pair import Pair

NAMES = ["a", "many", "é", "with space", "a+b", "", "a[]"]
PIECES = st.sampled_from(
    [b"a", b"many", b"=", b"&", b";", b"+", b"%", b"%20", b"%61", b"%C3%A9", b"%e9", b"%zz", b"%0", b"%00", b"\xe9",
    b"\xc3\xa9",
     b"a=1", b"many=x", b"&&", b"==", b"%2B", b"%26", b"%3D", b"with+space", b"a%5B%5D", b"%ED%A0%80", b"\xf0\x9f",
     b"#"]
)  # fmt: skip
QUERIES = st.binary(max_size=30) | st.lists(PIECES | st.binary(max_size=3), max_size=12).map(b"".join)


@pytest.fixture(scope="module")
def texts() -> Pair:
    """Texts only: nothing is validated, so every byte is seen."""
    return Pair(
        "/",
        a=(str, "Query", {}, "absent"),
        many=(list[str], "Query", {}, ["absent"]),
        accented=(str, "Query", {"alias": "é"}, "absent"),
        spaced=(str, "Query", {"alias": "with space"}, "absent"),
        plus=(str, "Query", {"alias": "a+b"}, "absent"),
        brackets=(list[str] | None, "Query", {"alias": "a[]"}, None),
    )


@given(QUERIES)
@example(b"a")
@example(b"a&a=&a=1")
@example(b"many&many=&many=1")
@example(b"a=%ED%A0%80")
@example(b"\xff=1&a=\xff")
def test_query_texts_are_those_of_fastapi(texts: Pair, query: bytes) -> None:
    texts.assert_equal(http_scope("/", query=query))


@pytest.fixture(scope="module")
def numbers() -> Pair:
    return Pair(
        "/",
        a=(int, "Query", {"ge": 0}, ...),
        many=(list[float], "Query", {"max_length": 2}, ...),
        flag=(bool | None, "Query", {}, None),
    )


NUMBERS = ["1", "-1", "", " 1", "1_0", "nan", "inf", "1e5", "1.0", "true", "9" * 20, "9" * 5000, "é", "\0", "٣", "0x1"]


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "many", "flag", "x"]), st.sampled_from(NUMBERS) | st.text(max_size=3)),
        max_size=5,
    )
)
def test_query_numbers_are_those_of_fastapi(numbers: Pair, pairs: list[tuple[Any, str]]) -> None:
    query = "&".join(f"{name}={quote_plus(value, errors='replace')}" for name, value in pairs)
    numbers.assert_equal(http_scope("/", query=query.encode()))


def test_query_string_that_is_absent_is_an_error_as_in_fastapi(texts: Pair) -> None:
    scope = http_scope("/")
    del scope["query_string"]
    texts.assert_equal(scope)
    assert texts.ask(scope)["ferroapi"][0].raised == "KeyError: 'query_string'"
