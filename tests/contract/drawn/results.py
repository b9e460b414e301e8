"""What drawn endpoints return, and a text for each value that they are given."""

import contextvars
import threading
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from starlette.datastructures import UploadFile
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)

from .descriptions import Function
from .types import Aliased, Color, Item, Point, Record


class CustomError(Exception):
    pass


VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")


def in_loop() -> str:
    return "loop" if threading.current_thread() is threading.main_thread() else "thread"


def uploads_of(values: dict[str, Any]) -> list[UploadFile]:
    """The files among the values that a function is given."""
    flat = [each for value in values.values() for each in (value if isinstance(value, list) else [value])]
    return [each for each in flat if isinstance(each, UploadFile)]


def show(value: Any) -> str:
    """A text for a value, the same in every framework and every run."""
    if isinstance(value, UploadFile):
        content = value.file.read()
        value.file.seek(0)
        return f"{type(value).__name__} {value.filename!r} {value.size} {value.headers!r} {content!r}"
    if isinstance(value, list) and uploads_of({"": value}):
        return str([show(each) for each in value])
    module = type(value).__module__
    if "fastapi" in module or "ferroapi" in module or module.startswith("starlette"):
        return type(value).__name__ + str(getattr(value, "scopes", "") or getattr(value, "credentials", ""))
    return f"{type(value).__name__}:{value!r}" if isinstance(value, int | float | str | bytes) else repr(value)


async def _stream() -> Any:
    yield b"one"
    yield b"two"


RESULTS: dict[str, Callable[[Function, dict[str, Any], int], Any]] = {
    "values": lambda function, shown, number: {"from": function.name, "call": number, "values": shown},
    "text": lambda function, shown, number: f"{function.name} {number}",
    "none": lambda function, shown, number: None,
    "number": lambda function, shown, number: 1.0,
    "nan": lambda function, shown, number: float("nan"),
    "item": lambda function, shown, number: Item(name="é\u2028", tags=["x"]),
    "items": lambda function, shown, number: [Item(name="one"), Item(name="two", price=3)],
    "item dict": lambda function, shown, number: {"name": "dict", "price": "2.5", "secret": 1},
    "aliased": lambda function, shown, number: Aliased(item_name="alias"),
    "bad item": lambda function, shown, number: {"price": "no number"},
    "record": lambda function, shown, number: Record(),
    "point": lambda function, shown, number: Point(1),
    "mixed": lambda function, shown, number: {
        1: Decimal("1.10"),
        "when": datetime(2024, 1, 2),
        "enum": Color.red,
        "set": {1},
        "item": Item(name="x"),
        None: b"b",
    },
    "json": lambda function, shown, number: JSONResponse({"own": True}, 203, {"x-own": "1"}),
    "plain": lambda function, shown, number: PlainTextResponse("plain", media_type="text/x-own"),
    "html": lambda function, shown, number: HTMLResponse("<p>"),
    "redirect": lambda function, shown, number: RedirectResponse("/elsewhere?é"),
    "empty": lambda function, shown, number: Response(status_code=204),
    "stream": lambda function, shown, number: StreamingResponse(_stream(), media_type="text/plain"),
    "unserializable": lambda function, shown, number: {"object": threading},
}
