"""Streams: server-sent events with keep-alive, JSON lines and raw chunks (`ferroapi._engine.stream`)."""

import math
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from ferroapi import Depends, FastAPI, Response, routing
from ferroapi._engine import stand_ins
from ferroapi._engine.items import _normalize_non_finite_floats
from ferroapi.responses import StreamingResponse
from ferroapi.sse import EventSourceResponse, ServerSentEvent
from ferroapi.testclient import TestClient


class Item(BaseModel):
    n: int


def get(app: FastAPI, **options: Any) -> Any:
    return TestClient(app, **options).get("/")


@pytest.mark.parametrize("is_async", [True, False])
def test_json_lines_validate_each_item(is_async: bool) -> None:
    app = FastAPI()

    if is_async:

        @app.get("/")
        async def endpoint() -> AsyncIterable[Item]:
            yield Item(n=1)
            yield {"n": 2, "extra": 3}  # type: ignore[misc]

    else:

        @app.get("/")
        def plain() -> Iterable[Item]:
            yield Item(n=1)
            yield {"n": 2, "extra": 3}  # type: ignore[misc]

    response = get(app)
    assert response.headers["content-type"] == "application/jsonl"
    assert response.text == '{"n":1}\n{"n":2}\n'


def test_json_lines_are_written_by_what_stands_for_the_models_serializer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    make = stand_ins.model_serializer

    def recording(field: Any, serialization: Any) -> Any:
        asked.append(serialization)
        return make(field, serialization)

    class Item(BaseModel):
        name: str

    app = FastAPI()

    @app.get("/")
    def lines() -> Iterable[Item]:
        yield Item(name="a")

    monkeypatch.setattr(stand_ins, "model_serializer", recording)
    assert TestClient(app).get("/").text == '{"name":"a"}\n'
    # Keywords that say nothing are left out, or it would know no model that is written with them.
    assert asked == [{"by_alias": True}]


def test_json_lines_without_a_type_encode_anything() -> None:
    app = FastAPI()

    @app.get("/")
    async def endpoint() -> Any:
        yield {"when": math.nan, "who": {1}}

    assert get(app).text == '{"when": null, "who": [1]}\n'


@pytest.mark.parametrize("is_async", [True, False])
def test_events_are_framed(is_async: bool) -> None:
    app = FastAPI()

    def events() -> Iterator[Any]:
        yield Item(n=1)
        yield ServerSentEvent(data={"a": 1}, event="e", id="7", retry=5, comment="c")
        yield ServerSentEvent(raw_data="raw")
        yield ServerSentEvent(comment="only")
        yield ServerSentEvent(data=Item(n=2))

    if is_async:

        @app.get("/", response_class=EventSourceResponse)
        async def endpoint(response: Response) -> AsyncIterator[Any]:
            response.headers["x-a"] = "b"
            for event in events():
                yield event

    else:

        @app.get("/", response_class=EventSourceResponse)
        def plain(response: Response) -> Iterator[Any]:
            response.headers["x-a"] = "b"
            yield from events()

    response = get(app)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert (response.headers["cache-control"], response.headers["x-accel-buffering"]) == ("no-cache", "no")
    lines = response.text.split("\n\n")
    assert lines[0] == 'data: {"n": 1}' or lines[0] == 'data: {"n":1}'
    assert set(lines[1].split("\n")) == {'data: {"a": 1}', "event: e", "id: 7", "retry: 5", ": c"}
    assert lines[2:4] == ["data: raw", ": only"]
    assert lines[4] == 'data: {"n":2}'


def test_silence_is_filled_with_keepalive_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "_PING_INTERVAL", 0.02)
    app = FastAPI()

    @app.get("/", response_class=EventSourceResponse)
    async def endpoint() -> AsyncIterator[int]:
        yield 1
        await anyio.sleep(0.1)
        yield 2

    text = get(app).text
    assert text.index("data: 1") < text.index(": ping") < text.index("data: 2")


def test_dependency_stays_open_while_a_stream_is_sent() -> None:
    calls: list[str] = []

    def resource() -> Iterator[str]:
        yield "open"
        calls.append("closed")

    app = FastAPI()

    @app.get("/")
    async def endpoint(value: str = Depends(resource)) -> AsyncIterable[str]:
        yield value
        calls.append("item")
        yield value

    assert get(app).text == '"open"\n"open"\n'
    assert calls == ["item", "closed"]


@pytest.mark.parametrize("is_async", [True, False])
def test_raw_chunks_go_to_the_response_class(is_async: bool) -> None:
    app = FastAPI()

    if is_async:

        @app.get("/", response_class=StreamingResponse)
        async def endpoint() -> AsyncIterator[bytes]:
            yield b"a"
            yield b"b"

    else:

        @app.get("/", response_class=StreamingResponse)
        def plain() -> Iterator[bytes]:
            yield b"a"
            yield b"b"

    assert get(app).content == b"ab"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values)
def test_non_finite_floats_become_null_and_nothing_else_changes(value: Any) -> None:
    def expected(value: Any) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            return None
        if isinstance(value, list):
            return [expected(each) for each in value]
        return {key: expected(each) for key, each in value.items()} if isinstance(value, dict) else value

    assert _normalize_non_finite_floats(value) == expected(value)
