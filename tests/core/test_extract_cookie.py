"""What endpoints receive of the Cookie headers, for arbitrary bytes, is what FastAPI gives them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from .asgi import http_scope
from .pair import Pair

PIECES = st.sampled_from(
    [b"a", b"b", b"=", b";", b"; ", b'"', b"\\", b'\\"', b"\\101", b"\\999", b"\\012", b" ", b"\t", b",", b'a="x"',
    b"a=1; a=2", b"%20",
     b"\xe9", b"\xc3\xa9", b"\xa0", b"\x85", b"\x1f", b"\x0b", b"b=2", b"$Version=1", b"number=3", b"\n", b"\x00",
     b'a=""', b'"a"="b"']
)  # fmt: skip
COOKIES = st.binary(max_size=20) | st.lists(PIECES | st.binary(max_size=2), max_size=12).map(b"".join)


@pytest.fixture(scope="module")
def pair() -> Pair:
    return Pair(
        "/",
        a=(str, "Cookie", {}, "absent"),
        b=(str | None, "Cookie", {}, None),
        nameless=(str | None, "Cookie", {"alias": "é"}, None),
        quoted=(str | None, "Cookie", {"alias": '"a"'}, None),
        number=(int, "Cookie", {}, 0),
    )


class Cookies(BaseModel):
    model_config = ConfigDict(extra="allow")

    a: str = "absent"


@pytest.fixture(scope="module")
def leaf() -> Pair:
    """What Python reads: a model, and a list, for which a cookie is a text that is none."""
    return Pair("/", cookies=(Cookies, "Cookie", {}, ...))


@pytest.fixture(scope="module")
def lists() -> Pair:
    return Pair("/", b=(list[str], "Cookie", {}, []))


@given(st.lists(COOKIES, min_size=1, max_size=3))
@example([b'a="\\"\\101\\999"', b"b"])
def test_cookies_of_models_and_lists_are_those_of_fastapi(leaf: Pair, lists: Pair, cookies: list[bytes]) -> None:
    scope = http_scope("/", headers=[(b"cookie", cookie) for cookie in cookies])
    leaf.assert_equal(scope)
    lists.assert_equal(scope)


@given(st.lists(COOKIES, min_size=1, max_size=3))
@example([b'a="\\"\\101\\999"'])
@example([b"a=1;a=2"])
@example([b"a=1", b"a=2; b=3"])
@example([b"\xa0a=1\x85"])
@example([b"a"])
@example([b'a="'])
def test_cookies_are_those_of_fastapi(pair: Pair, cookies: list[bytes]) -> None:
    pair.assert_equal(http_scope("/", headers=[(b"cookie", cookie) for cookie in cookies]))
