"""The OpenAPI document of a list of routes, top down.

`applications.FastAPI.openapi` calls `get_openapi` once and caches the result. The parts are made next door: `_schemas`,
`_parameters`, `_security`, `_operation`; their names that others import are re-exported here.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError
from starlette.routing import BaseRoute

from ferroapi import _core
from ferroapi._compat import get_definitions, get_flat_models_from_fields, get_model_name_map
from ferroapi._compat.plain_annotations import get_reached_models
from ferroapi._imported import imported_names
from ferroapi._routing.include import RouteContext
from ferroapi._routing.state import RouteState
from ferroapi._witness import Part
from ferroapi.encoders import jsonable_encoder
from ferroapi.openapi._operation import (
    generate_operation_id,
    generate_operation_summary,
    get_openapi_operation_metadata,
    get_openapi_operation_request_body,
    get_openapi_path,
    status_code_ranges,
    validation_error_definition,
    validation_error_response_definition,
)
from ferroapi.openapi._schemas import api_route_contexts, get_fields_from_routes
from ferroapi.openapi.models import OpenAPI

__all__ = [
    "generate_operation_id",
    "generate_operation_summary",
    "get_fields_from_routes",
    "get_flat_models_from_fields",
    "get_openapi",
    "get_openapi_operation_metadata",
    "get_openapi_operation_request_body",
    "get_openapi_path",
    "jsonable_encoder",
    "status_code_ranges",
    "validation_error_definition",
    "validation_error_response_definition",
]


def get_openapi(
    *,
    title: str,
    version: str,
    openapi_version: str = "3.1.0",
    summary: str | None = None,
    description: str | None = None,
    routes: Sequence[BaseRoute | RouteContext],
    webhooks: Sequence[BaseRoute | RouteContext] | None = None,
    tags: list[dict[str, Any]] | None = None,
    servers: list[dict[str, str | Any]] | None = None,
    terms_of_service: str | None = None,
    contact: dict[str, str | Any] | None = None,
    license_info: dict[str, str | Any] | None = None,
    separate_input_output_schemas: bool = True,
    external_docs: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The OpenAPI document of `routes` and `webhooks`, ready for `json.dumps`.

    `separate_input_output_schemas=False` describes a model once even if it reads and writes differently.

    Raises:
        pydantic.ValidationError: metadata or an `openapi_extra` that makes no valid document.
        ValueError: an additional response whose status is neither a number nor a range.

    Source: FastAPI behaviour, `openapi.utils.get_openapi`; keys come in the order of `models.OpenAPI`.
    """
    info = {
        "title": title,
        "version": version,
        **_given(
            summary=summary,
            description=description,
            termsOfService=terms_of_service,
            contact=contact,
            license=license_info,
        ),
    }
    operations = api_route_contexts(routes)
    hooks = api_route_contexts(webhooks or [])
    fields = get_fields_from_routes([*operations, *hooks])
    if _core.is_replaced(Part.DOCUMENT):
        flat_models = get_flat_models_from_fields(fields, known_models=set())
    else:
        flat_models = get_reached_models(field.field_info.annotation for field in fields)
    model_name_map = get_model_name_map(flat_models)
    field_mapping, definitions = get_definitions(
        fields=fields,
        model_name_map=model_name_map,
        separate_input_output_schemas=separate_input_output_schemas,
    )
    security_schemes: dict[str, Any] = {}
    operation_ids: set[str] = set()

    def paths_of(contexts: Iterable[RouteContext]) -> dict[str, dict[str, Any]]:
        """The paths of some routes; what they refer to is added to the components above."""
        paths: dict[str, dict[str, Any]] = {}
        for context in contexts:
            route = cast("RouteState", context)
            path, path_security_schemes, path_definitions = get_openapi_path(
                route=route,
                operation_ids=operation_ids,
                model_name_map=model_name_map,
                field_mapping=field_mapping,
                separate_input_output_schemas=separate_input_output_schemas,
            )
            if path:
                paths.setdefault(route.path_format, {}).update(path)
            security_schemes.update(path_security_schemes)
            definitions.update(path_definitions)
        return paths

    paths = paths_of(operations)
    webhook_paths = paths_of(hooks)
    components = _given(schemas=dict(sorted(definitions.items())), securitySchemes=security_schemes)
    return _checked(
        {
            "openapi": openapi_version,
            "info": info,
            "paths": paths,
            **_given(
                servers=servers,
                components=components,
                webhooks=webhook_paths,
                tags=tags,
                externalDocs=external_docs,
            ),
        }
    )


def _checked(document: dict[str, Any]) -> dict[str, Any]:
    """The document as `models.OpenAPI` reads and writes it.

    Its two long mappings go through in parts, since a model of a whole large document takes many times its memory.

    Raises:
        pydantic.ValidationError: for what makes no valid document.
    """
    if _core.is_replaced(Part.DOCUMENT):
        encoded: dict[str, Any] = jsonable_encoder(OpenAPI(**document), by_alias=True, exclude_none=True)
        return encoded
    components = document.get("components", {})
    schemas = components.get("schemas", {})
    head = document | {"paths": {}}
    if schemas:
        head["components"] = components | {"schemas": {}}
    try:
        written = _written(head)
        for part in _parts(paths := document["paths"]):
            written["paths"] |= (done := _written(_BARE | {"paths": part})["paths"])
            # What was read is given up for what was written, which takes its memory.
            paths |= done
        for part in _parts(schemas):
            described = _written(_BARE | {"paths": {}, "components": {"schemas": part}})
            written["components"]["schemas"] |= (done := described["components"]["schemas"])
            schemas |= done
    except ValidationError:
        # A part does not know what is wrong with the others.
        return _written(document)
    return written


_BARE: dict[str, Any] = {"openapi": "3.1.0", "info": {"title": "", "version": ""}}
_PART = 32  # entries


def _parts(mapping: dict[str, Any]) -> Iterator[dict[str, Any]]:
    entries = iter(mapping.items())
    while part := dict(islice(entries, _PART)):
        yield part


def _written(document: dict[str, Any]) -> dict[str, Any]:
    entries = OpenAPI(**document).model_dump(mode="json", by_alias=True, exclude_none=True)
    _drop_none(entries)
    return entries


def _drop_none(entries: dict[str, Any]) -> None:
    """Leave what `jsonable_encoder(exclude_none=True)` leaves of JSON, at any depth: a dump keeps None in dicts."""
    dropped = []
    for key, value in entries.items():
        if value is None or key.startswith("_sa"):
            dropped.append(key)
        elif isinstance(value, dict):
            _drop_none(value)
        elif isinstance(value, list):
            _drop_none_inside(value)
    for key in dropped:
        del entries[key]


def _drop_none_inside(items: list[Any]) -> None:
    for item in items:
        if isinstance(item, dict):
            _drop_none(item)
        elif isinstance(item, list):
            _drop_none_inside(item)


def _given(**entries: Any) -> dict[str, Any]:
    """The entries that have something to say."""
    return {name: value for name, value in entries.items() if value}


if not TYPE_CHECKING:
    __getattr__ = imported_names(__name__)
