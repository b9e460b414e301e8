"""One item of a stream as bytes: JSON of the declared type or of anything, and the event around it.

Made once a route; `stream` and `events` call what is made here for each item.
"""

import json
import math
from collections.abc import Callable
from functools import partial
from typing import Any

from pydantic import ValidationError

from ferroapi._compat.v2 import _located
from ferroapi._engine import stand_ins
from ferroapi._engine.context import DescribeEndpoint
from ferroapi._engine.graph import is_plain_field
from ferroapi._engine.response import ResponseRecipe
from ferroapi.encoders import jsonable_encoder
from ferroapi.exceptions import ResponseValidationError
from ferroapi.sse import ServerSentEvent, format_sse_event

ItemSerializer = Callable[[Any, DescribeEndpoint], bytes]
"""Turns one item into bytes; what it is given besides says where the endpoint is written, if the item is refused."""

_SCALARS = frozenset((str, int, bool, type(None)))


def _normalize_non_finite_floats(data: Any) -> Any:
    """Return JSON-compatible data with `None` for NaN and infinities; dictionary keys stay."""
    match data:
        case float():
            return data if math.isfinite(data) else None
        case dict():
            return {key: _normalize_non_finite_floats(value) for key, value in data.items()}
        case list():
            return [_normalize_non_finite_floats(value) for value in data]
        case _:
            return data


def _is_plain(data: Any) -> bool:
    """Whether `jsonable_encoder` would return an equal object, with nothing in it to normalize."""
    kind = type(data)
    if kind in _SCALARS:
        return True
    if kind is dict:
        # The encoder leaves out what SQLAlchemy keeps in an instance's dict.
        return all(type(key) is str and key[:3] != "_sa" and _is_plain(value) for key, value in data.items())
    if kind is list:
        return all(map(_is_plain, data))
    return kind is float and math.isfinite(data)


def _dump_untyped(data: Any, *, asks: bool = False) -> str:
    if not asks and _is_plain(data):
        return json.dumps(data)
    return json.dumps(_normalize_non_finite_floats(jsonable_encoder(data)))


def _serialize_untyped(item: Any, describe_endpoint: DescribeEndpoint, *, asks: bool = False) -> bytes:
    return _dump_untyped(item, asks=asks).encode()


def item_serializer(recipe: ResponseRecipe, *, asks: bool = False) -> ItemSerializer:
    """Return the function that turns one streamed item into JSON bytes.

    With `asks` it calls each function that FastAPI calls, for somebody has replaced one.

    Raises:
        ResponseValidationError: by that function, for an item that is not of the declared type.
    """
    field = recipe.stream_item_field
    if field is None:
        return partial(_serialize_untyped, asks=asks)
    keywords = recipe.serialization
    if asks or not is_plain_field(field):
        return _by_methods(field, keywords)
    adapter = field._type_adapter
    validate, to_json = adapter.validator.validate_python, adapter.serializer.to_json
    options = recipe.to_json_options
    serializer = stand_ins.model_serializer(field, options)

    def serialize(item: Any, describe_endpoint: DescribeEndpoint) -> bytes:
        if serializer is not None and (line := serializer.receive(item)) is not None:
            return line
        try:
            value = validate(item, from_attributes=True)
        except ValidationError as error:
            errors = _located(error, ("response",))
            refused = ResponseValidationError(errors=errors, body=item, endpoint_ctx=describe_endpoint())
        else:
            return to_json(value, **options)
        # Outside of the `except`: its traceback does not show the error that it is made of.
        raise refused

    return serialize


def _by_methods(field: Any, keywords: dict[str, Any]) -> ItemSerializer:
    """Return the serializer for a field whose methods are called: they may be its own, or it is not complete yet."""

    def serialize(item: Any, describe_endpoint: DescribeEndpoint) -> bytes:
        value, errors = field.validate(item, {}, loc=("response",))
        if errors:
            raise ResponseValidationError(errors=errors, body=item, endpoint_ctx=describe_endpoint())
        written: bytes = field.serialize_json(value, **keywords)
        return written

    return serialize


def event_serializer(serialize_item: ItemSerializer, *, asks: bool = False) -> ItemSerializer:
    """Return the function that turns one item, or one `ServerSentEvent`, into the bytes of an event."""

    def serialize(item: Any, describe_endpoint: DescribeEndpoint) -> bytes:
        if not isinstance(item, ServerSentEvent):
            data = serialize_item(item, describe_endpoint)
            if asks or b"\n" in data or b"\r" in data:
                return format_sse_event(data_str=data.decode())
            return b"data: " + data + b"\n\n"
        text = _event_data(item, asks=asks)
        return format_sse_event(data_str=text, event=item.event, id=item.id, retry=item.retry, comment=item.comment)

    return serialize


def _event_data(event: ServerSentEvent, *, asks: bool) -> str | None:
    if event.raw_data is not None:
        return event.raw_data
    if event.data is None:
        return None
    if hasattr(event.data, "model_dump_json"):
        dumped: str = event.data.model_dump_json()
        return dumped
    return _dump_untyped(event.data, asks=asks)
