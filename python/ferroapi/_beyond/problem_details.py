"""`FastAPI(problem_details=True)`: the default error answers, and their descriptions, as problem details.

Source: RFC 9457. What a handler of the application's own answers stays as it is.
"""

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from itertools import chain, count
from typing import Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response

from ferroapi import _core
from ferroapi._beyond.declared_errors import error_of_body
from ferroapi._shown_errors import MAXIMUM_ERRORS, answer_limit, encoded_errors, errors_within
from ferroapi.encoders import jsonable_encoder
from ferroapi.exceptions import HTTPException as OwnHTTPException
from ferroapi.exceptions import RequestValidationError, _body_size
from ferroapi.utils import is_body_allowed_for_status_code

MEDIA_TYPE = "application/problem+json"
_TYPE_PREFIX = "urn:problem-type:"
_VALIDATION_TYPE = _TYPE_PREFIX + "request-validation-error"
_REFERENCE = "#/components/schemas/"
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_PHRASES = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}
"""Phrases of RFC 9110 that Python has since 3.13 only."""

_PROBLEM: Mapping[str, Any] = {
    "title": "Problem",
    "type": "object",
    "description": "Problem details, RFC 9457.",
    "properties": {
        "type": {"title": "Type", "type": "string", "format": "uri-reference"},
        "title": {"title": "Title", "type": "string"},
        "status": {"title": "Status", "type": "integer"},
        "detail": {"title": "Detail", "type": "string"},
        "instance": {"title": "Instance", "type": "string", "format": "uri-reference"},
    },
    "required": ["type", "title", "status"],
}
_VALIDATION_PROBLEM: Mapping[str, Any] = {
    **_PROBLEM,
    "title": "ValidationProblem",
    "properties": {
        **_PROBLEM["properties"],
        "errors": {"title": "Errors", "type": "array", "items": {"$ref": _REFERENCE + "ValidationError"}},
    },
    "required": [*_PROBLEM["required"], "errors"],
}


class ProblemResponse(JSONResponse):
    """An answer with problem details; bytes are rendered already."""

    media_type = MEDIA_TYPE

    def render(self, content: Any) -> bytes:
        """Return the members as JSON."""
        return content if isinstance(content, bytes) else super().render(content)


def _instance(scope: Mapping[str, Any]) -> str:
    return quote(str(scope.get("path", "")), safe="/:@!$&'()*+,;=~", errors="replace")


def _phrase(status: int) -> str:
    try:
        return _PHRASES.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def members(cls: type[Exception], status: int, detail: Any) -> dict[str, Any]:
    """Return the members that an `HTTPException` of a class is described with.

    A detail that is an object gives members of its own, and may say another `type`, `title` or `instance`.
    """
    problem: dict[str, Any] = {"type": "about:blank", "title": _phrase(status), "status": status}
    # What Starlette raises of its own has a class that is nobody's to know.
    if cls is not OwnHTTPException and not cls.__module__.startswith("starlette."):
        problem["type"] = _TYPE_PREFIX + _WORD_START.sub("-", cls.__name__).lower()
        if document := vars(cls).get("__doc__"):
            problem["title"] = document.strip().partition("\n")[0]
    if isinstance(detail, Mapping):
        return {**problem, **detail, "status": status}
    return {**problem, ("detail" if isinstance(detail, str) else "errors"): detail}


def http_problem(error: HTTPException, scope: Mapping[str, Any]) -> Response:
    """Return the answer of `http_problem_handler`."""
    headers = getattr(error, "headers", None)
    if not is_body_allowed_for_status_code(error.status_code):
        return Response(status_code=error.status_code, headers=headers)
    problem = members(type(error), error.status_code, error.detail)
    problem.setdefault("instance", _instance(scope))
    return ProblemResponse(problem, status_code=error.status_code, headers=headers)


async def http_problem_handler(request: Request, error: HTTPException) -> Response:
    """Answer with the exception's status and headers, and problem details where the status allows a body."""
    return http_problem(error, request.scope)


def validation_problem(errors: Any, body_size: int, connection: HTTPConnection) -> Response:
    """Return the 422 for these errors of a request, whose body had so many bytes; it is as long as the one without."""
    if isinstance(errors, list | tuple):
        shown = errors[:MAXIMUM_ERRORS]
        body = encoded_errors(shown) or errors_within(shown, answer_limit(body_size, connection))[1]
        listed = body[len(b'{"detail":') : -1]
    else:
        # Somebody's own errors, of any form.
        listed = _core.encode_json(jsonable_encoder(errors))
    problem = {
        "type": _VALIDATION_TYPE,
        "title": "Request validation error",
        "status": 422,
        "detail": "The request does not fit what the operation accepts.",
        "instance": _instance(connection.scope),
    }
    return ProblemResponse(_core.encode_json(problem)[:-1] + b',"errors":' + listed + b"}", status_code=422)


def request_validation_problem(error: RequestValidationError, connection: HTTPConnection) -> Response:
    """Return the answer of `validation_problem_handler`."""
    return validation_problem(error.errors(), _body_size(error, connection), connection)


async def validation_problem_handler(request: Request, error: RequestValidationError) -> Response:
    """Answer 422 with the list of errors as `errors`."""
    return request_validation_problem(error, request)


async def server_error_problem_handler(request: Request, error: Exception) -> Response:
    """Answer 500, and say nothing of what has failed."""
    problem = {"type": "about:blank", "title": _phrase(500), "status": 500, "instance": _instance(request.scope)}
    return ProblemResponse(problem, status_code=500)


def add_handlers(handlers: dict[Any, Any]) -> None:
    """Add the handlers to those of an application, which go before."""
    handlers.setdefault(HTTPException, http_problem_handler)
    handlers.setdefault(RequestValidationError, validation_problem_handler)
    if handlers.keys().isdisjoint((500, Exception)):
        handlers[Exception] = server_error_problem_handler


# The document.


def describe(document: dict[str, Any]) -> None:
    """Describe the default error answers of a document, and those of declared errors, as problem details."""
    schemas = document.get("components", {}).get("schemas", {})
    names = {name: _free_name(name, schemas) for name in _SCHEMAS}
    used: set[str] = set()
    replaced: set[str] = set()
    responses = (each for part in ("paths", "webhooks") for each in _responses(document.get(part, {})))
    for status, response in responses:
        content = response.get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        references = [each.get("$ref", "").removeprefix(_REFERENCE) for each in schema.get("anyOf", [schema])]
        if references == ["HTTPValidationError"]:
            content[MEDIA_TYPE] = {"schema": {"$ref": _REFERENCE + names["ValidationProblem"]}}
            del content["application/json"]
            used.add("ValidationProblem")
        elif None not in (
            errors := [error_of_body(name, status, response.get("description", "")) for name in references]
        ):
            described = dict(zip(references, errors, strict=True))
            content[MEDIA_TYPE] = _declared(content.pop("application/json"), described, schemas, names["Problem"])
            used.add("Problem")
        else:
            continue
        replaced.update(references)
    for name in replaced:
        # What is written out by hand may name it.
        if not _is_named(_REFERENCE + name, document):
            schemas.pop(name, None)
    schemas.update({names[name]: {**schema} for name, schema in _SCHEMAS.items() if name in used})


def _free_name(name: str, schemas: Mapping[str, Any]) -> str:
    """Return a name for a schema that no model of the application has."""
    others = (f"{name}{number}" for number in count(2))
    return next(each for each in chain((name,), others) if each not in schemas)


def _is_named(reference: str, part: Any) -> bool:
    if isinstance(part, Mapping):
        return part.get("$ref") == reference or any(_is_named(reference, each) for each in part.values())
    return isinstance(part, list) and any(_is_named(reference, each) for each in part)


_SCHEMAS = {"Problem": _PROBLEM, "ValidationProblem": _VALIDATION_PROBLEM}


def _responses(paths: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the status and the object of each response."""
    for path in paths.values():
        for operation in path.values():
            yield from operation.get("responses", {}).items()
            for called in operation.get("callbacks", {}).values():
                yield from _responses(called)


def _declared(
    content: Mapping[str, Any], errors: Mapping[str, Any], schemas: Mapping[str, Any], name_of_problem: str
) -> dict[str, Any]:
    """Return the content of a response of declared errors, of which each model adds its members."""

    def schema(name: str) -> dict[str, Any]:
        detail = schemas[name]["properties"]["detail"]
        problem = {"$ref": _REFERENCE + name_of_problem}
        return {"allOf": [problem, {"$ref": detail["$ref"]}]} if "$ref" in detail else problem

    unlike: list[dict[str, Any]] = []
    for described_error in map(schema, errors):
        if described_error not in unlike:
            unlike.append(described_error)
    described: dict[str, Any] = {"schema": unlike[0] if len(unlike) == 1 else {"anyOf": unlike}}
    examples: dict[str, Any] = {}
    for error in errors.values():
        if (example := content.get("examples", {}).get(error.__name__)) is not None:
            examples[error.__name__] = {"value": members(error, int(error.status_code), example["value"]["detail"])}
    return described | ({"examples": examples} if examples else {})
