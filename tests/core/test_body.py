"""What endpoints receive of a JSON body, for arbitrary bytes and content types, is what FastAPI gives them."""

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from .asgi import Answer, http_scope
from .pair import Pair

JSON = b"application/json"


@pytest.fixture(scope="module")
def anything() -> Pair:
    """The body as it was parsed: nothing is validated."""
    return Pair("/", "POST", body=(Any, "Body", {}, "absent"))


@pytest.fixture(scope="module")
def numbers() -> Pair:
    """A body that is validated, so that errors carry it."""
    return Pair("/", "POST", body=(list[int], "Body", {}, ...))


@pytest.fixture(scope="module")
def embedded() -> Pair:
    return Pair("/", "POST", a=(Any, "Body", {"embed": True}, None), b=(int, "Body", {"alias": "é"}, 0))


def scope_of(content_type: bytes | None = JSON) -> dict[str, Any]:
    headers = [] if content_type is None else [(b"content-type", content_type)]
    return http_scope("/", "POST", headers=headers)


def reference_fails_by_input(answer: Answer) -> bool:
    """Whether FastAPI answers 500 to input alone: a decided difference, see `test_input_is_no_server_error`."""
    return answer.status == 500


def assert_equal_or_better(pair: Pair, scope: dict[str, Any], *chunks: bytes) -> None:
    found = pair.ask(scope, *chunks)
    if reference_fails_by_input(found["fastapi"][0]):
        assert found["ferroapi"][0].status in (200, 400, 422)
    else:
        assert found["ferroapi"] == found["fastapi"]


PIECES = st.sampled_from(
    ["{", "}", "[", "]", ",", ":", '"', "\\", '"a"', '"é"', "1", "-", "0", ".", "e5", "null", "true", "NaN",
    "Infinity", "-Infinity", " ",
     "\n", "\t", "\\ud800", "\\udc00", "\\ud83d\\ude00", "\\u0000", "\x00", "\x1f", "\x7f", "\u2028", "😀", "\\/",
     "\\x", "//", "/**/", "'",
     "1e400", "01", "+1", "1.", ".5", "1E+2", "-0", "\ufeff", "\xa0", "9" * 20]
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)
DOCUMENTS = st.one_of(
    st.binary(max_size=12),
    st.lists(PIECES, max_size=10).map(lambda pieces: "".join(pieces).encode()),
    st.builds(
        lambda value, ascii_: json.dumps(value, ensure_ascii=ascii_).encode("utf-8", "surrogatepass"),
        VALUES,
        st.booleans(),
    ),
    st.builds(
        lambda value, encoding: json.dumps(value).encode(encoding),
        VALUES,
        st.sampled_from(["utf-16", "utf-16-le", "utf-32", "utf-8-sig"]),
    ),
)


@given(DOCUMENTS)
@example(b"-0")
@example(b"[-0, -0.0, 0e0, -0E-5]")
@example(b"[1e999, -1E400, 1e-400]")
@example(b"[NaN, Infinity, -Infinity]")
@example(b'{"a": 1, "a": 2, "b": 3, "a": 4}')
@example(b'"\\ud800"')
@example(b'{"\\udfff": "\\ud83d\\ude00\\ud83d"}')
@example(b"\xef\xbb\xbf[]")
@example(b"\xff\xfe[\x00]\x00")
@example(b"[\x00]\x00")
@example(b"9" * 5000)
@example(b"-" + b"9" * 4301)
@example(b"1" + b"0" * 400 + b".5")
@example(b"0." + b"1" * 1000)
@example(b"123456789012345678901234567890.5e-3")
@example(b"[" * 150 + b"]" * 150)
@example(b"[" * 500 + b"]" * 500)
@example(b'"\x7f\x80"')
@example(b" \n\t\r[1 , 2 ]\r\n")
@example(b"\x0b1")
@example(b"nul")
@example(b"[1, 2")
@example(b'{"a" 1}')
@example(b"{'a': 1}")
@example(b"1 2")
def test_json_is_parsed_as_by_fastapi(anything: Pair, document: bytes) -> None:
    assert_equal_or_better(anything, scope_of(), document)


@given(DOCUMENTS)
@example(b"[1, 1e999]")
@example(b"[NaN]")
@example(b'["\\ud800"]')
@example(b'[{"a": [1, {"b": NaN}]}]')
def test_errors_of_json_are_those_of_fastapi(numbers: Pair, document: bytes) -> None:
    assert_equal_or_better(numbers, scope_of(), document)


@given(
    DOCUMENTS | st.dictionaries(st.sampled_from(["a", "é", "x"]), VALUES).map(lambda value: json.dumps(value).encode())
)
@example(b'{"a": 1, "a": null}')
@example(b"[]")
@example(b"null")
@example(b'"a"')
def test_embedded_fields_are_those_of_fastapi(embedded: Pair, document: bytes) -> None:
    assert_equal_or_better(embedded, scope_of(), document)


TYPES = st.lists(
    st.sampled_from(
        [b"application", b"/", b"json", b"+json", b";", b" ", b"charset=utf-8", b"text", b"APPLICATION", b"Json",
        b"\t", b"\xff", b",",
         b"vnd.api", b"x-www-form-urlencoded", b"multipart", b"form-data", b'"', b"=", b"json-patch"]
    ),
    max_size=6,
).map(b"".join)  # fmt: skip


@given(TYPES | st.binary(max_size=20) | st.none())
@example(None)
@example(b"")
@example(b"application/json")
@example(b"application/vnd.api+json; charset=latin-1")
@example(b" application/json")
@example(b"application/json/json")
@example(b"application/+json")
@example(b'application/json; a="b;c"')
@example(b"application/json, text/plain")
def test_content_type_decides_as_under_fastapi(anything: Pair, content_type: bytes | None) -> None:
    anything.assert_equal(scope_of(content_type), b'{"a": 1}')


@given(DOCUMENTS, st.integers(0, 12))
def test_chunks_are_one_document(anything: Pair, document: bytes, cut: int) -> None:
    assert_equal_or_better(anything, scope_of(), document[:cut], b"", document[cut:])


@pytest.mark.parametrize(
    "document",
    [b"[NaN]", b"[Infinity]", b"[1e999]", b'["\\ud800"]', b'["a", NaN]', b"[" * 990 + b"]" * 990, b"[" * 100_000,
    b"9" * 5000, b"\xff",
     b'{"\\ud800": 1}', b'{"a":' * 2000],
    ids=lambda document: repr(document[:12]),
)  # fmt: skip
def test_input_is_no_server_error(anything: Pair, numbers: Pair, document: bytes) -> None:
    """Decided difference: input never causes a 5xx by itself."""
    for pair in (anything, numbers):
        answer, _ = pair.ask(scope_of(), document)["ferroapi"]
        assert (answer.raised, answer.status in (200, 400, 422)) == (None, True)


@pytest.mark.parametrize(("text", "expected"), [(b"-0", "0"), (b"-0.0", "-0.0"), (b"1E2", "100.0"), (b"1e999", "inf")])
def test_numbers_have_the_type_of_the_standard_library(anything: Pair, text: bytes, expected: str) -> None:
    """Named because a JSON parser that is not the standard library's is asked first."""
    _, received = anything.ask(scope_of(), text)["ferroapi"]
    assert received == f"[{{'body': {expected}}}]"
    assert math.isinf(json.loads("1e999"))
