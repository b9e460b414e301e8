"""The default answers to exceptions. Unlike FastAPI's they render any validation error: see docs/differences.md."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.status import WS_1008_POLICY_VIOLATION

from ferroapi import _core
from ferroapi._witness import Part
from ferroapi.encoders import jsonable_encoder
from ferroapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from ferroapi.utils import is_body_allowed_for_status_code
from ferroapi.websockets import WebSocket

MAXIMUM_ERRORS = 100
"""How many errors of one request are sent to the client; handlers see all."""

MAXIMUM_REPEATED_INPUT = 16_384
"""An input that is longer than this as JSON text, in characters, is sent with the first of its errors only."""

MAXIMUM_DEPTH = 32
"""How many levels of an input that cannot be rendered as it is are sent."""

MAXIMUM_CLOSE_REASON = 123
"""Length of a WebSocket close reason in bytes. Source: RFC 6455, section 5.5."""


def http_exception_response(exc: HTTPException) -> Response:
    """Return the answer of `http_exception_handler`."""
    headers = getattr(exc, "headers", None)
    if not is_body_allowed_for_status_code(exc.status_code):
        return Response(status_code=exc.status_code, headers=headers)
    content = {"detail": exc.detail}
    if type(exc.detail) is str and not _core.is_replaced(Part.ERROR):
        return RenderedResponse(_core.encode_json(content), status_code=exc.status_code, headers=headers)
    return JSONResponse(content, status_code=exc.status_code, headers=headers)


async def http_exception_handler(request: Request, exc: HTTPException) -> Response:
    """Answer with the exception's status and headers, and its detail where the status allows a body."""
    return http_exception_response(exc)


class RenderedResponse(JSONResponse):
    """A JSON response of bytes that are rendered already."""

    def render(self, content: bytes) -> bytes:
        """Return the content as it is."""
        return content


def request_validation_response(exc: RequestValidationError) -> JSONResponse:
    """Return the answer of `request_validation_exception_handler`."""
    return validation_errors_response(exc.errors())


def validation_errors_response(errors: Sequence[Any]) -> JSONResponse:
    """Return the 422 for these errors."""
    errors = errors[:MAXIMUM_ERRORS]
    try:
        if _core.is_replaced(Part.ERROR):
            return JSONResponse({"detail": jsonable_encoder(errors)}, status_code=422)
        # In a short answer there is no long input to leave out.
        body = _core.encode_json({"detail": errors})
        if len(body) <= MAXIMUM_REPEATED_INPUT:
            return RenderedResponse(body, status_code=422)
        return JSONResponse({"detail": _encoded(errors)}, status_code=422)
    except (ValueError, TypeError, RecursionError):
        # The input has no JSON form: NaN, a lone surrogate, bytes, a number of thousands of digits, deep nesting.
        return JSONResponse({"detail": _renderable(errors)}, status_code=422)


async def request_validation_exception_handler(request: Request, exc: RequestValidationError) -> JSONResponse:
    """Answer 422 with the list of errors."""
    return request_validation_response(exc)


async def websocket_request_validation_exception_handler(
    websocket: WebSocket, exc: WebSocketRequestValidationError
) -> None:
    """Close with 1008, policy violation, and the errors in one line."""
    errors = exc.errors()
    if _core.is_replaced(Part.ERROR):
        errors = jsonable_encoder(errors)
    await websocket.close(code=WS_1008_POLICY_VIOLATION, reason=_close_reason(errors))


def _encoded(errors: Sequence[Any]) -> Any:
    """Return the errors ready for JSON, each distinct input encoded once."""
    inputs: dict[int, Any] = {}

    def encoded(error: Any) -> Any:
        if not isinstance(error, Mapping) or "input" not in error:
            return jsonable_encoder(error)
        value = error["input"]
        known = id(value) in inputs
        if not known:
            inputs[id(value)] = jsonable_encoder(value)
        elif _is_large(inputs[id(value)]):
            return jsonable_encoder({key: item for key, item in error.items() if key != "input"})
        return {key: inputs[id(value)] if key == "input" else jsonable_encoder(item) for key, item in error.items()}

    return [encoded(error) for error in errors]


def _is_large(value: Any) -> bool:
    return isinstance(value, str | list | dict) and len(json.dumps(value, ensure_ascii=False)) > MAXIMUM_REPEATED_INPUT


def _renderable(value: Any, depth: int = 0) -> Any:
    """Return the nearest value that JSON in UTF-8 can express."""
    match value:
        case None | bool():
            return value
        case int():
            # Python refuses to print integers of more than 4,300 digits.
            return value if value.bit_length() < 10_000 else f"an integer of {value.bit_length()} bits"
        case float():
            # The words of pydantic's `inf_nan_mode="strings"`.
            return value if math.isfinite(value) else "NaN" if value != value else f"{'-' * (value < 0)}Infinity"
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case bytes():
            return value.decode("utf-8", "backslashreplace")
        case _ if depth == MAXIMUM_DEPTH:
            return "..."
        case Mapping():
            return {str(_renderable(key, depth + 1)): _renderable(item, depth + 1) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_renderable(item, depth + 1) for item in value]
        case _:
            return _renderable(str(value))


def close_reason(text: str) -> str:
    """Return the text cut to the length of a close reason, between two characters."""
    return text.encode("utf-8", "replace")[:MAXIMUM_CLOSE_REASON].decode("utf-8", "ignore")


def _close_reason(errors: Sequence[Any]) -> str:
    """Return `place: message; ...`, cut to the length of a close reason."""

    def line(error: Any) -> str:
        if not isinstance(error, Mapping):
            return str(error)
        place = ".".join(str(part) for part in error.get("loc", ()))
        return f"{place}: {error.get('msg', '')}"

    return close_reason("; ".join(line(error) for error in errors[:MAXIMUM_ERRORS]))
