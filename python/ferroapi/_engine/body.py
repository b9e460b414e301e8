"""Read the body of a request: a form, JSON or bytes, by what the route declares and the client says.

The driver reads bodies itself, and asks for `read_limited_form` and `body_error`; `read_body` serves handlers that are
called with a `Request`, whoever solves them. Nothing is validated here.
"""

import email.message
import json
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY
from starlette.requests import Request

from ferroapi import _core
from ferroapi._beyond.upload_stream import StreamedField, UploadInterrupted, read_arriving_form
from ferroapi._body_limit import get_body_limit_error
from ferroapi._compat import ModelField, Undefined
from ferroapi._engine.context import DescribeEndpoint, request_validation_error
from ferroapi._engine.whole_form import read_form
from ferroapi._form_limits import _FormLimits
from ferroapi._routing.scope import _FASTAPI_SCOPE_KEY, _resolve_form_limits
from ferroapi._witness import Part


@dataclass(frozen=True, slots=True)
class BodyRecipe:
    """What a route says about its body."""

    field: ModelField | None
    is_form: bool
    """Whether the body is read as a form, which is known from the declaration on."""
    strict_content_type: bool
    """Whether a body without a content type stays bytes; else it is read as JSON."""
    form_limits: _FormLimits | None
    streamed: StreamedField | None
    """The file of the form that is read as it arrives, if there is one."""


def read_limited_form(request: Request, recipe: BodyRecipe) -> Coroutine[Any, Any, FormData]:
    """Return a form, under the limits of its route and of the routers that the request has passed.

    Raises:
        HTTPException, UploadInterrupted: as `read_form` and `read_arriving_form`, by the awaitable.
    """
    limits = _resolve_form_limits(request.scope.get(_FASTAPI_SCOPE_KEY, {}), recipe.form_limits)
    if recipe.streamed is not None:
        return read_arriving_form(request, limits, recipe.streamed)
    return read_form(request, limits)


def _is_json(content_type: str) -> bool:
    if not _core.is_replaced(Part.BODY):
        return _core.is_json_content_type(content_type.encode("latin-1", "replace"))
    # By the name that may be replaced.
    message = email.message.Message()
    message["content-type"] = content_type
    kind, _, subtype = message.get_content_type().partition("/")
    return kind == "application" and (subtype == "json" or subtype.endswith("+json"))


async def _read_json_or_bytes(request: Request, recipe: BodyRecipe) -> Any:
    content = await request.body()
    if not content:
        return Undefined
    content_type = request.headers.get("content-type")
    is_json = _is_json(content_type) if content_type else not recipe.strict_content_type
    return await request.json() if is_json else content


async def read_sized(request: Request, recipe: BodyRecipe) -> tuple[Any, int]:
    """Return the parsed JSON, the bytes, or `Undefined`, and how many bytes the body has."""
    body = await _read_json_or_bytes(request, recipe)
    return body, len(await request.body())


async def read_body(
    request: Request, recipe: BodyRecipe, *, describe_endpoint: DescribeEndpoint, file_stack: AsyncExitStack
) -> Any:
    """Return the form, the parsed JSON, the bytes, or `Undefined` when it is empty, of a route that takes a body.

    Uploaded files are closed with `file_stack`. A JSON `null` is returned as `None`.

    Raises:
        RequestValidationError: the JSON does not parse.
        HTTPException: 400 for any other failure while reading; 413 from the body limit as it is.
    Source: FastAPI behaviour, `routing.get_request_handler`.
    """
    try:
        if recipe.is_form:
            form = await read_limited_form(request, recipe)
            file_stack.push_async_callback(form.close)
            return form
        return await _read_json_or_bytes(request, recipe)
    except Exception as error:
        failure = body_error(error, describe_endpoint, request)
        if failure is error:
            raise
        raise failure from error


def body_error(error: Exception, describe_endpoint: DescribeEndpoint, request: Request) -> Exception:
    """Return what takes the place of an exception raised while the body was read: 422 for bad JSON, else 400 or 413."""
    if isinstance(error, json.JSONDecodeError):
        detail = {
            "type": "json_invalid",
            "loc": ("body", error.pos),
            "msg": "JSON decode error",
            "input": {},
            "ctx": {"error": error.msg},
        }
        return request_validation_error([detail], error.doc, describe_endpoint(), request)
    if isinstance(error, HTTPException | UploadInterrupted):
        return error
    if MAX_BODY_SIZE_SCOPE_KEY in request.scope and (limit_error := get_body_limit_error(error)):
        return limit_error
    return HTTPException(status_code=400, detail="There was an error parsing the body")
