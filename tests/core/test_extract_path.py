"""What endpoints receive of the path, for arbitrary text in it, is what FastAPI gives them."""

from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from .asgi import http_scope
from .pair import Pair

PATTERNS: dict[str, Any] = {
    "/{p}": str,
    "/{p:int}": int,
    "/{p:int}/": str,
    "/{p:float}": float,
    "/{p:float}/{q}": str,
    "/{p:uuid}": Any,
    "/{p:path}": str,
    "/x/{p:path}/y": str,
    "/{p}-{q}": str,
    "/{p}/{q:int}": int,
}
WORDS = [
    "1", "0", "-1", "007", "1.5", ".5", "1.", "1e5", "x", "y", "a-b", "a-b-c", "é", "٣", "²", "😀", "a b", "", ".",
    "..", "\0", "\u2028",
    "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "3F2504E0-4F89-41D3-9A0C-0305E82C3301",
    "3f2504e04f8941d39a0c0305e82c3301", "1" * 25,
]  # fmt: skip
TEXTS = st.sampled_from(WORDS) | st.text(max_size=4)
PATHS = st.lists(TEXTS, min_size=1, max_size=4).map(lambda words: "/" + "/".join(words))


@pytest.fixture(scope="module")
def pairs() -> dict[str, Pair]:
    made = {}
    for pattern, type_ in PATTERNS.items():
        parameters: dict[str, Any] = {"p": (type_, "Path", {}, ...)}
        if "{q" in pattern:
            parameters["q"] = (str if "int" not in pattern else int, "Path", {}, ...)
        made[pattern] = Pair(pattern, **parameters)
    return made


@given(st.sampled_from(list(PATTERNS)), PATHS)
@example("/{p:float}", "/1")
@example("/{p:int}/", "/1/")  # a `str` that the convertor made an `int` of is no `str`
@example("/{p}-{q}", "/a-b-c")
@example("/{p:path}", "/")
@example("/{p:path}", "//a//")
def test_path_parameters_are_those_of_fastapi(pairs: dict[str, Pair], pattern: str, path: str) -> None:
    # Decided difference: an encoded newline at the end is a part of the path.
    assume("\n" not in path)
    pairs[pattern].assert_equal(http_scope(path))


@given(st.sampled_from(list(PATTERNS)), st.binary(max_size=8))
def test_path_bytes_are_decoded_as_servers_do(pairs: dict[str, Pair], pattern: str, path: bytes) -> None:
    # uvicorn: `unquote`, with U+FFFD for what is no UTF-8.
    text = "/" + unquote_to_bytes(path).decode("utf-8", "replace")
    assume("\n" not in text)
    pairs[pattern].assert_equal(http_scope(text))


@pytest.mark.parametrize("pattern", ["/{p}", "/{p:path}", "/{p:int}"])
@pytest.mark.parametrize("path", ["/\ud800", "/a\udcff", "/1\udcff"])
def test_path_with_a_lone_surrogate_gets_an_answer(pairs: dict[str, Pair], pattern: str, path: str) -> None:
    scope = {**http_scope("/"), "path": path}
    found = pairs[pattern].ask(scope)
    assert found["ferroapi"] == found["fastapi"] or found["ferroapi"][0].status in (400, 404, 422)
