"""`ferroapi.sse`: the event model's checks and the bytes of an event."""

from typing import Any

import fastapi.sse as reference
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ferroapi import sse
from ferroapi.sse import ServerSentEvent, format_sse_event

TEXT = st.none() | st.text(st.sampled_from("ab\r\n\u2028\x0b\x85é\0: "), max_size=8)


@given(data_str=TEXT, event=TEXT, id=TEXT, retry=st.none() | st.integers(), comment=TEXT)
def test_format_equals_reference(**parts: Any) -> None:
    assert format_sse_event(**parts) == reference.format_sse_event(**parts)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(["data", "raw_data", "event", "id", "retry", "comment"], TEXT)))
def test_event_validation_equals_reference(values: dict[str, Any]) -> None:
    def outcome(model: Any) -> Any:
        try:
            return model(**values).model_dump()
        except ValidationError as error:
            return error.errors(include_url=False, include_context=False)

    assert outcome(ServerSentEvent) == outcome(reference.ServerSentEvent)


@pytest.mark.parametrize("name", ["KEEPALIVE_COMMENT", "_PING_INTERVAL", "_SSE_EVENT_SCHEMA"])
def test_constant_equals_reference(name: str) -> None:
    assert getattr(sse, name) == getattr(reference, name)


def test_response_class_has_the_media_type() -> None:
    assert sse.EventSourceResponse([]).headers["content-type"] == "text/event-stream; charset=utf-8"
