"""What drawn streams yield, by name; events are a framework's own class."""

import threading
from collections.abc import Callable
from typing import Any

from .types import Item, Record

STREAMS: dict[str, Callable[[Any], list[Any]]] = {
    "items": lambda sse: [Item(name="one"), Item(name="é\u2028", price=3)],
    "texts": lambda sse: ["one", "é\u2028", "a\nb\r\nc\rd", ""],
    "chunks": lambda sse: [b"one", b"", b"\xff", "text", bytearray(b"array"), memoryview(b"view")],
    "values": lambda sse: [1, None, {"a": 1.5}, [True, "x"]],
    "nothing": lambda sse: [],
    "item dicts": lambda sse: [{"name": "x", "secret": 1}, {"name": "y", "price": "2.5"}],
    "bad item": lambda sse: [{"name": "x"}, {"price": "no number"}, {"name": "never sent"}],
    "unserializable": lambda sse: [1, threading],
    "not a number": lambda sse: [1.5, float("nan")],
    "records": lambda sse: [Record()],
    "events": lambda sse: [
        sse.ServerSentEvent(data={"a": [1, "é"]}),
        sse.ServerSentEvent(raw_data="one\ntwo", event="e", id="1", retry=3, comment="c\nd"),
        sse.ServerSentEvent(comment="only this"),
        sse.ServerSentEvent(data=Item(name="x"), event=""),
    ],
    "event among values": lambda sse: [{"a": 1}, sse.ServerSentEvent(data="text"), "plain"],
}
WHOLE = ["items", "texts", "values", "nothing", "item dicts", "events", "event among values"]
"""The streams that end well, whatever is made of their items."""
TYPED = ["item", "any", "str", "dict", "list of items", "item or none", "int"]
"""The types that a stream says it yields."""
