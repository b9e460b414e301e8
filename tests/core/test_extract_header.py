"""What endpoints receive of headers, for arbitrary bytes, is what FastAPI gives them."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from .asgi import http_scope
from .pair import Pair

NAMES = st.sampled_from(
    [b"x-one", b"x-many", b"X-One", b"under_score", b"x_one", b"x-number", b"\xe9", b"x-one ", b"", b"x-model"]
)
VALUES = st.binary(max_size=12) | st.sampled_from(
    [b"", b" ", b"1", b"a, b", b"\xc3\xa9", b"\xff", b"a\x00b", b"-5", b"1.0"]
)
HEADERS = st.lists(st.tuples(NAMES | st.binary(max_size=4), VALUES), max_size=6)


@pytest.fixture(scope="module")
def pair() -> Pair:
    return Pair(
        "/",
        x_one=(str, "Header", {}, "absent"),
        x_many=(list[str], "Header", {}, ["absent"]),
        under_score=(str | None, "Header", {"convert_underscores": False}, None),
        named=(str | None, "Header", {"alias": "X-One"}, None),
        accented=(str | None, "Header", {"alias": "é"}, None),
        x_number=(int, "Header", {}, 0),
    )


@given(HEADERS)
@example([(b"x-one", b"first"), (b"x-one", b"second")])
@example([(b"x-many", b"first"), (b"x-many", b""), (b"x-many", b"\xff")])
@example([(b"X-One", b"not lower case")])
def test_headers_are_those_of_fastapi(pair: Pair, headers: list[tuple[bytes, bytes]]) -> None:
    pair.assert_equal(http_scope("/", headers=headers))


@pytest.fixture(scope="module", params=[False, True], ids=["headers only", "with a cookie"])
def single(request: pytest.FixtureRequest) -> Pair:
    """Nothing is a list, so that the reading may end before the headers do."""
    parameters: dict[str, Any] = {"x_one": (str, "Header", {}, ...), "x_number": (int, "Header", {}, 0)}
    parameters["same"] = (str, "Header", {"alias": "x-number"}, "absent")
    if request.param:
        parameters["token"] = (str, "Cookie", {}, "absent")
    return Pair("/", **parameters)


@given(HEADERS)
@example(
    [(b"x-one", b"first"), (b"x-number", b"1"), (b"x-one", b"second"), (b"x-number", b"2"), (b"cookie", b"token=1")]
)
@example(
    [(b"x-number", b"one"), (b"x-one", b""), (b"x-number", b"2"), (b"cookie", b"token=1"), (b"cookie", b"token=2")]
)
def test_first_of_several_headers_counts(single: Pair, headers: list[tuple[bytes, bytes]]) -> None:
    single.assert_equal(http_scope("/", headers=headers))


@pytest.mark.parametrize("make", [tuple, lambda pairs: [list(pair) for pair in pairs]])
def test_headers_may_be_any_iterable_of_pairs(pair: Pair, make: object) -> None:
    scope = http_scope("/")
    scope["headers"] = make([(b"x-one", b"1"), (b"x-many", b"2")])  # type: ignore[operator]
    answer, received = pair.ask(scope)["ferroapi"]
    assert (answer.status, "'x_one': '1'" in received) == (200, True)
