"""What type a path operation's response has: declared, or taken from the return annotation of its endpoint."""

from typing import Any

from starlette.responses import Response

from ferroapi._beyond.declared_errors import check_items, without_errors
from ferroapi._compat import lenient_issubclass
from ferroapi.datastructures import DefaultPlaceholder
from ferroapi.dependencies.utils import get_stream_item_type
from ferroapi.sse import EventSourceResponse, ServerSentEvent


def resolve_response_shape(
    annotation: Any, response_model: Any, response_class: Any, *, is_generator: bool
) -> tuple[Any, Any | None]:
    """Return the type of a whole response, and that of the items of a streamed one.

    The response model is taken from the return annotation where none was declared.

    Raises:
        FastAPIError: the items of a stream name an error.

    Source: FastAPI behaviour, `routing._populate_api_route_state`.
    """
    if not isinstance(response_model, DefaultPlaceholder):
        return response_model, None
    annotation = without_errors(annotation)
    if lenient_issubclass(annotation, Response):
        return None, None
    item_type = get_stream_item_type(annotation) if is_generator else None
    if item_type is None:
        return annotation, None
    streams_items = isinstance(response_class, DefaultPlaceholder) or lenient_issubclass(
        response_class, EventSourceResponse
    )
    # A ServerSentEvent is an envelope: its data is not described by a type, so it is not validated.
    if streams_items and not lenient_issubclass(item_type, ServerSentEvent):
        check_items(item_type)
        return None, item_type
    return None, None
