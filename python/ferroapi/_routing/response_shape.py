"""What type a path operation's response has: declared, or taken from the return annotation of its endpoint."""

from typing import Any, NamedTuple

from starlette.responses import Response

from ferroapi._beyond.declared_errors import check_items, without_errors
from ferroapi._compat import lenient_issubclass
from ferroapi.datastructures import DefaultPlaceholder
from ferroapi.dependencies.utils import get_stream_item_type
from ferroapi.sse import EventSourceResponse, ServerSentEvent


class ResponseShape(NamedTuple):
    """The type of a whole response, or of the items of a streamed one."""

    response_model: Any
    stream_item_type: Any | None


def resolve_response_shape(
    annotation: Any, response_model: Any, response_class: Any, *, is_generator: bool
) -> ResponseShape:
    """Take the response model from the return annotation where none was declared.

    Raises:
        FastAPIError: the items of a stream name an error.

    Source: FastAPI behaviour, `routing._populate_api_route_state`.
    """
    if not isinstance(response_model, DefaultPlaceholder):
        return ResponseShape(response_model, None)
    annotation = without_errors(annotation)
    if lenient_issubclass(annotation, Response):
        return ResponseShape(None, None)
    item_type = get_stream_item_type(annotation) if is_generator else None
    if item_type is None:
        return ResponseShape(annotation, None)
    streams_items = isinstance(response_class, DefaultPlaceholder) or lenient_issubclass(
        response_class, EventSourceResponse
    )
    # A ServerSentEvent is an envelope: its data is not described by a type, so it is not validated.
    if streams_items and not lenient_issubclass(item_type, ServerSentEvent):
        check_items(item_type)
        return ResponseShape(None, item_type)
    return ResponseShape(None, None)
