"""What is sent of validation errors: all of it while it is short, and never more than the bound, whatever the input."""

import asyncio
import json
import math
import time
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, create_model
from starlette.requests import HTTPConnection

import ferroapi
from ferroapi import _core
from ferroapi._shown_errors import ANSWER_PER_BYTE, LEAST_ANSWER, answer_limit, errors_within

TEXTS = st.one_of(
    st.text(max_size=20),
    st.builds(
        lambda text, times: text * times, st.sampled_from(["x", "\x01", '"', "é", "\ud800"]), st.integers(0, 3000)
    ),
)
LEAVES = st.one_of(
    TEXTS, st.none(), st.integers(), st.floats(), st.builds(pow, st.just(10), st.just(4500)), st.binary(max_size=5)
)
SHARED: list[Any] = [[1] * 2000, {"a": "x" * 9000}, [math.nan] * 500, ["\ud800"] * 300, [[[["deep"] * 100] * 10] * 5]]
INPUTS = st.one_of(
    LEAVES,
    st.sampled_from(SHARED),
    st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3)),
)
ERRORS = st.one_of(
    st.fixed_dictionaries(
        {"type": TEXTS, "loc": st.lists(st.integers() | TEXTS, max_size=4).map(tuple), "msg": TEXTS, "input": INPUTS},
        optional={"ctx": st.dictionaries(TEXTS, LEAVES, max_size=2)},
    ),
    st.dictionaries(st.sampled_from(["type", "input"]), INPUTS),
    TEXTS,
)


def full_text(errors: Any) -> bytes | None:
    try:
        return _core.encode_json({"detail": errors})
    except (ValueError, TypeError, RecursionError):
        return None


@given(st.lists(ERRORS, max_size=30), st.integers(0, 60_000))
def test_errors_are_within_the_limit_and_whole_if_they_can_be(errors: list[Any], size: int) -> None:
    limit = LEAST_ANSWER + ANSWER_PER_BYTE * size
    shown, text = errors_within(errors, limit)
    assert text == _core.encode_json({"detail": shown})
    assert len(text) <= limit
    whole = full_text(errors)
    if whole is not None and len(whole) <= limit:
        assert text == whole
    # The first error is always shown, and what is left out is the inputs and the last errors.
    assert len(shown) >= min(len(errors), 1)
    for error, left in zip(errors, shown, strict=False):
        if isinstance(error, dict):
            assert left.keys() <= error.keys()


@given(ERRORS, st.integers(0, 500))
def test_encode_json_within_says_what_encode_json_says_or_nothing(value: Any, limit: int) -> None:
    text = full_text(value)
    try:
        found = _core.encode_json_within({"detail": value}, limit)
    except (ValueError, TypeError, RecursionError):
        assert text is None
    else:
        assert found == (text if text is not None and len(text) <= limit else None)


def test_answer_limit_counts_the_whole_request() -> None:
    headers = [(b"host", b"h"), [b"x", b"y" * 10]]
    scope = {"type": "http", "path": "/é", "query_string": b"a=1", "headers": headers}
    assert answer_limit(100, HTTPConnection(scope)) == 16_000 + 2 * (100 + 2 + 3 + 5 + 11)
    assert answer_limit(100, None) == 16_200
    unusual = {"type": "http", "headers": [(b"a", None), None, 7, (b"bc",), "de"]}
    assert answer_limit(100, HTTPConnection(unusual)) == 16_000 + 2 * (100 + 3)
    assert answer_limit(0, HTTPConnection({"type": "http", "headers": iter(headers)})) == 16_000


Sixty: Any = create_model("Sixty", **{f"field{index}": (int, ...) for index in range(60)})


class Tree(BaseModel):
    value: int
    child: "Tree | None" = None
    anything: list[Any] = []


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class A(BaseModel):
    kind: Literal["a"]
    value: int


class B(BaseModel):
    kind: Literal["b"]
    value: int


app = ferroapi.FastAPI(openapi_url=None)


@app.post("/sixty")
async def sixty(body: Sixty) -> None: ...


@app.post("/tree")
async def tree(body: Tree) -> None: ...


@app.post("/closed")
async def closed(body: Closed) -> None: ...


@app.post("/integers")
async def integers(body: dict[int, list[int]]) -> None: ...


@app.post("/choice")
async def choice(body: list[A | B]) -> None: ...


@app.post("/form")
async def form(body: Annotated[Closed, ferroapi.Form()]) -> None: ...


@app.get("/query")
async def query(numbers: Annotated[list[int], ferroapi.Query()]) -> None: ...


CHILDREN = 90
HOSTILE: dict[str, tuple[str, bytes]] = {
    "one text": ("/sixty", b'{"z": "%s"}' % (b"x" * 300)),
    "a text of controls": ("/sixty", b'{"z": "%s"}' % (b"\\u0001" * 3000)),
    "numbers that grow": ("/sixty", b'{"z": [%s1]}' % (b"1e15," * 4000)),
    "numbers that are none": ("/sixty", b'{"z": [%s1]}' % (b"NaN," * 4000)),
    "half characters": ("/sixty", b'{"z": ["%s"]}' % (b'\\ud800","' * 2000)),
    "long integers": ("/sixty", b'{"z": [%s1]}' % (b"9" * 4000 + b",") * 4),
    "nested children": ("/tree", b'{"child": ' * CHILDREN + b'{"anything": [%s1]}' % (b"1," * 5000) + b"}" * CHILDREN),
    "a long key": ("/closed", b'{"%s": 1}' % (b"k" * 30_000)),
    "many keys": ("/closed", b"{%s}" % b",".join(b'"k%d": 1' % index for index in range(3000))),
    "long keys above errors": ("/integers", b'{"%s": ["x"%s]}' % (b"k" * 20_000, b',"x"' * 500)),
    "choices": ("/choice", b"[%s]" % b",".join([b'{"z": "%s"}' % (b"x" * 200)] * 300)),
    "a name of controls": ("/form", b"\x01" * 20_000),
    "fields of controls": ("/form", b"&".join(b"%d=\x01\x01\x01" % index for index in range(900))),
    "a query of controls": ("/query", b"numbers=%s" % (b"%01" * 5000)),
    "a query of errors": ("/query", b"&".join([b"numbers=x"] * 5000)),
    "a raw query": ("/query", b"numbers=%s" % (b"\xff" * 20_000)),
}


async def answer_to(path: str, text: bytes) -> tuple[int, bytes, int]:
    kinds = {"/form": b"application/x-www-form-urlencoded"}
    is_query = path == "/query"
    body = b"" if is_query else text
    headers = [(b"content-type", kinds.get(path, b"application/json"))]
    scope = {
        "type": "http",
        "method": "GET" if is_query else "POST",
        "path": path,
        "query_string": text if is_query else b"",
        "headers": headers,
        "server": ("h", 80),
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], sent[1]["body"], len(text) + len(headers[0][1])


@pytest.mark.parametrize("name", HOSTILE)
def test_answer_to_hostile_input_is_at_most_16_kb_and_twice_the_request(name: str) -> None:
    path, text = HOSTILE[name]
    # The native driver begins with the second request.
    for _ in range(2):
        status, body, size = asyncio.run(answer_to(path, text))
        assert status == 422
        assert json.loads(body)["detail"]
        assert len(body) <= 16_384 + 2 * size


class Unprintable:
    """Has neither a JSON form nor a text."""

    def __init__(self) -> None:
        self.value = math.nan

    def __str__(self) -> str:
        return str(10**5000)


@pytest.mark.parametrize("value", [{"": 10**5000}, [10**5000], Unprintable()], ids=lambda value: type(value).__name__)
def test_errors_within_shows_what_cannot_be_printed_by_its_class(value: Any) -> None:
    for error in ([value], {"type": value, "loc": (value,), "msg": value, "input": value}):
        shown, text = errors_within([error], LEAST_ANSWER)
        assert text == _core.encode_json({"detail": shown})
        assert b"<" in text


def test_errors_within_finds_room_for_an_input_behind_shared_ones() -> None:
    # Its room is more where the long input is shown once than where all errors are tried whole.
    long, own = "x" * 6000, ["y" * 3000]
    errors = [{"type": "t", "loc": (index,), "msg": "m", "input": long} for index in range(3)]
    errors.append({"type": "t", "loc": (3,), "msg": "m", "input": own})
    shown, text = errors_within(errors, 12_000)
    assert [error.get("input") for error in shown] == [long, None, None, own]
    assert text == _core.encode_json({"detail": shown})


def test_errors_within_gives_up_where_many_texts_have_no_form() -> None:
    def cost(count: int) -> float:
        value = ["\ud800"] * count
        start = time.process_time()
        with pytest.raises(UnicodeEncodeError):
            _core.encode_json_within(value, 16_000)
        return time.process_time() - start

    assert min(cost(400_000) for _ in range(3)) < 0.02
