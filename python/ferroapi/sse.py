"""Server-sent events: the event model, its wire format and the response class that marks a stream of them.

It formats; `_engine.stream` decides when events and keep-alive pings are sent.
"""

import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator
from starlette.responses import StreamingResponse

from ferroapi.openapi._descriptions import SERVER_SENT_EVENT

KEEPALIVE_COMMENT = b": ping\n\n"
"""The comment that keeps idle connections open through proxies."""

_PING_INTERVAL: float = 15.0  # seconds without an event

_SSE_EVENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "data": {"type": "string"},
        "event": {"type": "string"},
        "id": {"type": "string"},
        "retry": {"type": "integer", "minimum": 0},
    },
}

# The three line ends of the format; `str.splitlines` knows more of them.
# Source: WHATWG HTML, 9.2.5 Parsing an event stream.
_LINE_END = re.compile("\r\n|\r|\n")


class EventSourceResponse(StreamingResponse):
    """The response class of a *path operation* that yields server-sent events."""

    media_type = "text/event-stream"


def _check_single_line(v: str | None, field_name: str) -> str | None:
    if v is not None and _LINE_END.search(v):
        raise ValueError(f"SSE '{field_name}' must be a single line")
    return v


def _check_event_single_line(v: str | None) -> str | None:
    return _check_single_line(v, "event")


def _check_id_valid(v: str | None) -> str | None:
    if v is not None and "\0" in v:
        raise ValueError("SSE 'id' must not contain null characters")
    return _check_single_line(v, "id")


class ServerSentEvent(BaseModel):
    """One event, for *path operations* that set more of it than its data."""

    data: Any = None
    """The payload, sent as JSON; a string is sent with its quotes."""
    raw_data: str | None = None
    """The payload as it is; excludes `data`."""
    event: Annotated[str | None, AfterValidator(_check_event_single_line)] = None
    """The event's type, which a browser dispatches it by; one line."""
    id: Annotated[str | None, AfterValidator(_check_id_valid)] = None
    """What the client sends as `Last-Event-ID` when it reconnects; one line without null characters."""
    retry: Annotated[int | None, Field(ge=0)] = None
    """How long the client waits before it reconnects, in milliseconds."""
    comment: str | None = None
    """Text that clients ignore."""

    @model_validator(mode="after")
    def _check_data_exclusive(self) -> Self:
        if self.data is not None and self.raw_data is not None:
            raise ValueError(
                "Cannot set both 'data' and 'raw_data' on the same ServerSentEvent. "
                "Use 'data' for JSON-serialized payloads or 'raw_data' for pre-formatted strings."
            )
        return self


ServerSentEvent.__doc__ = SERVER_SENT_EVENT


def _lines(text: str) -> list[str]:
    return _LINE_END.split(text) if "\n" in text or "\r" in text else [text]


def format_sse_event(
    *,
    data_str: str | None = None,
    event: str | None = None,
    id: str | None = None,
    retry: int | None = None,
    comment: str | None = None,
) -> bytes:
    """Return the bytes of one event, its terminating blank line included.

    Data and comment may have several lines. `event` and `id` must be single lines, as `ServerSentEvent` ensures.
    """
    lines: list[str] = []
    if comment is not None:
        lines += [f": {line}" for line in _lines(comment)]
    if event is not None:
        lines.append(f"event: {event}")
    if data_str is not None:
        lines += [f"data: {line}" for line in _lines(data_str)]
    if id is not None:
        lines.append(f"id: {id}")
    if retry is not None:
        lines.append(f"retry: {retry}")
    return "\n".join([*lines, "", ""]).encode()
