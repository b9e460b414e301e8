"""The default answers to exceptions. Unlike FastAPI's they render any validation error: see docs/differences.md."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.status import WS_1008_POLICY_VIOLATION

from ferroapi import _core
from ferroapi._shown_errors import MAXIMUM_ERRORS, answer_limit, encoded_errors, errors_within
from ferroapi._witness import Part
from ferroapi.encoders import jsonable_encoder
from ferroapi.exceptions import RequestValidationError, WebSocketRequestValidationError, _body_size
from ferroapi.utils import is_body_allowed_for_status_code
from ferroapi.websockets import WebSocket

MAXIMUM_CLOSE_REASON = 123
"""Length of a WebSocket close reason in bytes. Source: RFC 6455, section 5.5."""


def http_exception_response(exc: HTTPException) -> Response:
    """Return the answer of `http_exception_handler`."""
    headers = getattr(exc, "headers", None)
    if not is_body_allowed_for_status_code(exc.status_code):
        return Response(status_code=exc.status_code, headers=headers)
    content = {"detail": exc.detail}
    if type(exc.detail) is str and not _core.is_replaced(Part.ERROR):
        body = _core.encode_json(content)
        if headers is None and isinstance(exc.status_code, int):
            return _rendered(body, exc.status_code)
        return RenderedResponse(body, status_code=exc.status_code, headers=headers)
    return JSONResponse(content, status_code=exc.status_code, headers=headers)


async def http_exception_handler(request: Request, exc: HTTPException) -> Response:
    """Answer with the exception's status and headers, and its detail where the status allows a body."""
    return http_exception_response(exc)


class RenderedResponse(JSONResponse):
    """A JSON response of bytes that are rendered already."""

    def render(self, content: bytes) -> bytes:
        """Return the content as it is."""
        return content


def _rendered(body: bytes, status_code: int) -> JSONResponse:
    """Return what `RenderedResponse(body, status_code)` makes of a body while nothing of Starlette's is replaced."""
    response: Any = RenderedResponse.__new__(RenderedResponse)
    response.status_code = status_code
    response.background = None
    response.body = body
    response.raw_headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
    return response  # type: ignore[no-any-return]


def validation_errors_response(errors: Any, body_size: int, connection: HTTPConnection) -> JSONResponse:
    """Return the 422 for these errors of a request, whose body had so many bytes."""
    if not isinstance(errors, list | tuple):
        # Somebody's own errors, of any form.
        return JSONResponse(content={"detail": jsonable_encoder(errors)}, status_code=422)
    shown = errors[:MAXIMUM_ERRORS]
    body = encoded_errors(shown)
    if body is None:
        shown, body = errors_within(shown, answer_limit(body_size, connection))
    if _core.is_replaced(Part.ERROR):
        return JSONResponse(content={"detail": jsonable_encoder(shown)}, status_code=422)
    return _rendered(body, 422)


def request_validation_response(exc: RequestValidationError, connection: HTTPConnection) -> JSONResponse:
    """Return the answer of `request_validation_exception_handler`."""
    return validation_errors_response(exc.errors(), _body_size(exc, connection), connection)


async def request_validation_exception_handler(request: Request, exc: RequestValidationError) -> JSONResponse:
    """Answer 422 with the list of errors."""
    return request_validation_response(exc, request)


async def websocket_request_validation_exception_handler(
    websocket: WebSocket, exc: WebSocketRequestValidationError
) -> None:
    """Close with 1008, policy violation, and the errors in one line."""
    errors = exc.errors()
    if _core.is_replaced(Part.ERROR):
        errors = jsonable_encoder(errors)
    await websocket.close(code=WS_1008_POLICY_VIOLATION, reason=_close_reason(errors))


def close_reason(text: str) -> str:
    """Return the text cut to the length of a close reason, between two characters."""
    return text.encode("utf-8", "replace")[:MAXIMUM_CLOSE_REASON].decode("utf-8", "ignore")


def _close_reason(errors: Sequence[Any]) -> str:
    """Return `place: message; ...`, cut to the length of a close reason."""

    def line(error: Any) -> str:
        if not isinstance(error, Mapping):
            return str(error)
        place = ".".join(str(part)[:MAXIMUM_CLOSE_REASON] for part in error.get("loc", ()))
        return f"{place}: {error.get('msg', '')}"

    # Each line has a character at least.
    return close_reason("; ".join(line(error)[:MAXIMUM_CLOSE_REASON] for error in errors[:MAXIMUM_CLOSE_REASON]))
