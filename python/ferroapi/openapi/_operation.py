"""One path of the document: an Operation Object for each method of a route.

`utils.get_openapi` calls `get_openapi_path` a route at a time and joins the paths. `_describe` is the table of contents
of an operation; parameters and security schemes come from the files of that name.
"""

import copy
import http.client
import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

from starlette.responses import JSONResponse, Response

from ferroapi import routing
from ferroapi._beyond.declared_errors import MEDIA_TYPE_KEY
from ferroapi._compat import ModelField, lenient_issubclass
from ferroapi._routing.state import RouteState
from ferroapi._signature import stack_level_outside
from ferroapi.datastructures import DefaultPlaceholder
from ferroapi.dependencies._field import _get_flat_fields_from_params
from ferroapi.exceptions import FastAPIDeprecationWarning
from ferroapi.openapi._parameters import (
    _get_openapi_dependency_data,
    _get_openapi_operation_parameters,
    _OpenAPIDependencyData,
    example_entry,
    unique_parameters,
)
from ferroapi.openapi._schemas import FieldMapping, Schemas
from ferroapi.openapi._security import _get_openapi_security_definitions
from ferroapi.openapi.constants import METHODS_WITH_BODY, REF_PREFIX
from ferroapi.params import Body
from ferroapi.sse import _SSE_EVENT_SCHEMA
from ferroapi.types import ModelNameMap
from ferroapi.utils import deep_dict_update, generate_operation_id_for_path, is_body_allowed_for_status_code

JsonObject = dict[str, Any]

validation_error_definition: JsonObject = {
    "title": "ValidationError",
    "type": "object",
    "properties": {
        "loc": {"title": "Location", "type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}},
        "msg": {"title": "Message", "type": "string"},
        "type": {"title": "Error Type", "type": "string"},
        "input": {"title": "Input"},
        "ctx": {"title": "Context", "type": "object"},
    },
    "required": ["loc", "msg", "type"],
}
"""The schema of one entry of a 422 answer."""

validation_error_response_definition: JsonObject = {
    "title": "HTTPValidationError",
    "type": "object",
    "properties": {
        "detail": {"title": "Detail", "type": "array", "items": {"$ref": REF_PREFIX + "ValidationError"}},
    },
}
"""The schema of a 422 answer."""

status_code_ranges: dict[str, str] = {
    "1XX": "Information",
    "2XX": "Success",
    "3XX": "Redirection",
    "4XX": "Client Error",
    "5XX": "Server Error",
    "DEFAULT": "Default Response",
}
"""What an additional response is called if it names a range and has no description."""

_VALIDATION_ERROR_STATUS = "422"
# An answer under one of these already tells callers what invalid input leads to.
_STATUSES_FOR_INVALID_INPUT = (_VALIDATION_ERROR_STATUS, "4XX", "default")


@dataclass(slots=True)
class _Path:
    """A route on its way into the document: what its methods share, and what they need in `components`."""

    route: RouteState
    operation_ids: set[str]
    schemas: Schemas
    response_class: type[Response]
    status_code: str = ""
    data: _OpenAPIDependencyData = field(default_factory=_OpenAPIDependencyData)
    security: list[JsonObject] = field(default_factory=list)
    parameters: list[JsonObject] = field(default_factory=list)
    definitions: JsonObject = field(default_factory=dict)


def get_openapi_path(
    *,
    route: RouteState,
    operation_ids: set[str],
    model_name_map: ModelNameMap,
    field_mapping: FieldMapping,
    separate_input_output_schemas: bool = True,
) -> tuple[JsonObject, JsonObject, JsonObject]:
    """The operations of a route by lower-case method, the security schemes they use, and the definitions they refer to.

    `operation_ids` is extended; a repeated id is warned about. All three are empty for a route hidden from the schema.

    Raises:
        AssertionError: a route without methods or without a response class.
        ValueError: an additional response whose status is neither a number nor a range.

    Source: FastAPI behaviour, `openapi.utils.get_openapi_path`.
    """
    assert route.methods is not None, "Methods must be a list"
    response_class: Any = route.response_class
    if isinstance(response_class, DefaultPlaceholder):
        response_class = response_class.value
    assert response_class, "A response class is needed to generate OpenAPI"
    if not route.include_in_schema:
        return {}, {}, {}
    schemas = Schemas(model_name_map, field_mapping, separate_input_output_schemas)
    path = _Path(route, operation_ids, schemas, response_class)
    status = route.status_code
    path.status_code = str(_default_status(response_class.__init__, inspect.signature) if status is None else status)
    path.data = _get_openapi_dependency_data(route.dependant)
    security_schemes, path.security = _get_openapi_security_definitions(path.data.security_dependencies)
    path.parameters = unique_parameters(
        _get_openapi_operation_parameters(
            dependency_data=path.data,
            model_name_map=model_name_map,
            field_mapping=field_mapping,
            separate_input_output_schemas=separate_input_output_schemas,
        )
    )
    operations: JsonObject = {}
    # A comprehension is a stack frame of its own before Python 3.12, which a warning from inside would have to count.
    for method in sorted(route.methods):
        operations[method.lower()] = _describe(path, method)
    return operations, security_schemes, path.definitions


@lru_cache(maxsize=256)
def _default_status(init: Callable[..., None], signature: Callable[..., inspect.Signature]) -> int:
    """The status a response class answers with when nothing is said: the default of `status_code` of its `__init__`."""
    parameter = signature(init).parameters.get("status_code")
    return parameter.default if parameter and isinstance(parameter.default, int) else 200


def _describe(path: _Path, method: str) -> JsonObject:
    """The Operation Object of one method, part by part."""
    route = path.route
    operation = get_openapi_operation_metadata(route=route, method=method, operation_ids=path.operation_ids)
    if path.security:
        operation["security"] = path.security
    if path.parameters:
        operation["parameters"] = path.parameters
    if method in METHODS_WITH_BODY:
        request_body = get_openapi_operation_request_body(
            body_field=route.body_field,
            model_name_map=path.schemas.model_name_map,
            field_mapping=path.schemas.field_mapping,
            separate_input_output_schemas=path.schemas.separate_input_output_schemas,
        )
        if request_body:
            operation["requestBody"] = request_body
    if route.callbacks:
        operation["callbacks"] = _callbacks(path)
    operation["responses"] = _responses(path)
    if route.openapi_extra:
        deep_dict_update(operation, route.openapi_extra)
    return operation


def get_openapi_operation_metadata(*, route: RouteState, method: str, operation_ids: set[str]) -> JsonObject:
    """Tags, summary, description, id and deprecation of an operation.

    A `UserWarning` says where an operation id is used for the second time.

    Source: FastAPI behaviour, `openapi.utils.get_openapi_operation_metadata`.
    """
    operation_id = route.operation_id or route.unique_id
    if operation_id in operation_ids:
        # Reported in `openapi.utils`, which calls the functions of this module: filters name that one.
        warnings.warn(_duplicate_id_message(operation_id, route.endpoint), stacklevel=stack_level_outside(__name__))
    operation_ids.add(operation_id)
    parts = {
        "tags": route.tags,
        "summary": generate_operation_summary(route=route, method=method),
        "description": route.description,
        "operationId": operation_id,
        "deprecated": route.deprecated,
    }
    return {name: value for name, value in parts.items() if value or name in ("summary", "operationId")}


def _duplicate_id_message(operation_id: str, endpoint: Callable[..., Any]) -> str:
    name = getattr(endpoint, "__name__", "<unnamed_endpoint>")
    file = getattr(endpoint, "__globals__", {}).get("__file__")
    return f"Duplicate Operation ID {operation_id} for function {name}" + (f" at {file}" if file else "")


def generate_operation_summary(*, route: RouteState, method: str) -> str:
    """The summary given, or the route's name in title case.

    Source: FastAPI behaviour, `openapi.utils.generate_operation_summary`.
    """
    return route.summary or route.name.replace("_", " ").title()


def generate_operation_id(*, route: RouteState, method: str) -> str:
    """The operation id given, or one made of name, path and method; deprecated, and used by nothing here.

    Source: FastAPI behaviour, `openapi.utils.generate_operation_id`.
    """
    warnings.warn(
        message="fastapi.openapi.utils.generate_operation_id() was deprecated, "
        "it is not used internally, and will be removed soon",
        category=FastAPIDeprecationWarning,
        stacklevel=2,
    )
    if route.operation_id:
        return route.operation_id
    return generate_operation_id_for_path(name=route.name, path=route.path_format, method=method)


def get_openapi_operation_request_body(
    *,
    body_field: ModelField | None,
    model_name_map: ModelNameMap,
    field_mapping: FieldMapping,
    separate_input_output_schemas: bool = True,
) -> JsonObject | None:
    """The Request Body Object of a body field, or `None` if the operation reads no body.

    Source: FastAPI behaviour, `openapi.utils.get_openapi_operation_request_body`.
    """
    if not body_field:
        return None
    assert isinstance(body_field, ModelField)
    schemas = Schemas(model_name_map, field_mapping, separate_input_output_schemas)
    info = cast(Body, body_field.field_info)
    content = {info.media_type: {"schema": schemas.of(body_field), **example_entry(info)}}
    return {"required": True, "content": content} if info.is_required() else {"content": content}


def _callbacks(path: _Path) -> JsonObject:
    """The operations the API calls itself, by the name of the callback route.

    Their security schemes and definitions stay out of `components`, as in FastAPI.
    """
    callbacks: JsonObject = {}
    declared: list[Any] = path.route.callbacks or []
    for callback in declared:
        if isinstance(callback, routing.APIRoute):
            operations, _, _ = get_openapi_path(
                route=callback,
                operation_ids=path.operation_ids,
                model_name_map=path.schemas.model_name_map,
                field_mapping=path.schemas.field_mapping,
                separate_input_output_schemas=path.schemas.separate_input_output_schemas,
            )
            callbacks[callback.name] = {callback.path: operations}
    return callbacks


def _responses(path: _Path) -> JsonObject:
    """The Responses Object: the route's own answer, the additional ones, and 422 if input can be invalid."""
    route = path.route
    own: JsonObject = {"description": route.response_description}
    if is_body_allowed_for_status_code(route.status_code) and (content := _own_content(path)):
        own["content"] = content
    responses: JsonObject = {path.status_code: own}
    for status, additional in route.declared_responses(route.dependant).items():
        _merge_additional(responses, path, status, additional)
    reads_input = route.body_field or any(_get_flat_fields_from_params(group) for _, group in path.data.groups())
    if reads_input and not any(status in responses for status in _STATUSES_FOR_INVALID_INPUT):
        error_schema = {"$ref": REF_PREFIX + "HTTPValidationError"}
        responses[_VALIDATION_ERROR_STATUS] = {
            "description": "Validation Error",
            "content": {"application/json": {"schema": error_schema}},
        }
        path.definitions["ValidationError"] = validation_error_definition
        path.definitions["HTTPValidationError"] = validation_error_response_definition
    return responses


def _own_content(path: _Path) -> JsonObject | None:
    """What the route itself answers with, by media type; `None` if the response class names no media type."""
    route, schemas = path.route, path.schemas
    item = schemas.of(route.stream_item_field) if route.stream_item_field else None
    if route.is_json_stream:
        return {"application/jsonl": {"itemSchema": item or {}}}
    if route.is_sse_stream:
        return {"text/event-stream": {"itemSchema": _event_schema(item)}}
    if not path.response_class.media_type:
        return None
    schema: JsonObject = {"type": "string"}
    if lenient_issubclass(path.response_class, JSONResponse):
        schema = schemas.of(route.response_field) if route.response_field else {}
    return {path.response_class.media_type: {"schema": schema}}


def _event_schema(item: JsonObject | None) -> JsonObject:
    """The schema of one server-sent event, whose data is JSON text of `item` if that is known."""
    schema = copy.deepcopy(_SSE_EVENT_SCHEMA)
    if item is not None:
        schema["required"] = ["data"]
        schema["properties"]["data"] = {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": item,
        }
    return schema


def _merge_additional(responses: JsonObject, path: _Path, status: int | str, additional: JsonObject) -> None:
    """Merge one entry of `responses=` into the Responses Object; the route's own answer may be the one it extends."""
    addition = copy.deepcopy(additional)
    addition.pop("model", None)
    declared_media_type: str | None = addition.pop(MEDIA_TYPE_KEY, None)
    assert isinstance(addition, dict), "An additional response must be a dict"
    status_name = str(status).upper()
    response = responses.setdefault("default" if status_name == "DEFAULT" else status_name, {})
    if model := path.route.response_fields.get(status):
        media_type = declared_media_type or path.response_class.media_type or "application/json"
        content = addition.setdefault("content", {}).setdefault(media_type, {})
        deep_dict_update(content.setdefault("schema", {}), path.schemas.of(model))
    # int() raises ValueError for a status that is neither a number nor a range, even if it has a description.
    status_text = status_code_ranges.get(status_name) or http.client.responses.get(int(status))
    description = addition.get("description") or response.get("description") or status_text or "Additional Response"
    deep_dict_update(response, addition)
    response["description"] = description
