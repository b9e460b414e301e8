"""The defaults of every option; the order of a mapping is the order of the run-time signature."""

from typing import Any, cast

from starlette.responses import JSONResponse

from ferroapi._options import (
    AddRouteOptions,
    ApplicationOptions,
    ApplicationRouteOptions,
    BodyOptions,
    FormOptions,
    HeaderOptions,
    IncludeOptions,
    OperationOptions,
    ParamOptions,
    RouteOptions,
    RouterOptions,
    RouterRouteOptions,
)
from ferroapi.datastructures import Default, _Unset
from ferroapi.utils import generate_unique_id

OPERATION_DEFAULTS: OperationOptions = {
    "response_model": Default(None),
    "status_code": None,
    "tags": None,
    "dependencies": None,
    "summary": None,
    "description": None,
    "response_description": "Successful Response",
    "responses": None,
    "deprecated": None,
    "operation_id": None,
    "response_model_include": None,
    "response_model_exclude": None,
    "response_model_by_alias": True,
    "response_model_exclude_unset": False,
    "response_model_exclude_defaults": False,
    "response_model_exclude_none": False,
    "include_in_schema": True,
    "response_class": Default(JSONResponse),
    "name": None,
    "callbacks": None,
    "openapi_extra": None,
    "generate_unique_id_function": Default(generate_unique_id),
    "max_body_size": None,
    "form_limits": None,
}


def _extended(defaults: Any, **following: dict[str, Any]) -> Any:
    """Return `defaults` with each of `following` put right after the key it is named by."""
    extended: dict[str, Any] = {}
    for name, value in defaults.items():
        extended[name] = value
        extended |= following.get(name, {})
    return extended


ROUTER_ROUTE_DEFAULTS: RouterRouteOptions = _extended(OPERATION_DEFAULTS, deprecated={"methods": None})

APPLICATION_ROUTE_DEFAULTS: ApplicationRouteOptions = cast(
    ApplicationRouteOptions, {name: value for name, value in ROUTER_ROUTE_DEFAULTS.items() if name != "callbacks"}
)

ADD_ROUTE_DEFAULTS: AddRouteOptions = _extended(
    ROUTER_ROUTE_DEFAULTS,
    name={"route_class_override": None},
    generate_unique_id_function={"strict_content_type": Default(True)},
)

ROUTE_DEFAULTS: RouteOptions = _extended(
    OPERATION_DEFAULTS,
    deprecated={"name": None, "methods": None},
    response_class={"dependency_overrides_provider": None, "callbacks": None},
    generate_unique_id_function={"strict_content_type": Default(True)},
)

# `route_class` is completed by `routing`, which defines APIRoute.
ROUTER_DEFAULTS: RouterOptions = {
    "prefix": "",
    "tags": None,
    "dependencies": None,
    "default_response_class": Default(JSONResponse),
    "responses": None,
    "callbacks": None,
    "routes": None,
    "redirect_slashes": True,
    "default": None,
    "dependency_overrides_provider": None,
    "route_class": cast(Any, None),
    "on_startup": None,
    "on_shutdown": None,
    "lifespan": None,
    "deprecated": None,
    "include_in_schema": True,
    "generate_unique_id_function": Default(generate_unique_id),
    "strict_content_type": Default(True),
    "max_body_size": None,
    "form_limits": None,
}

INCLUDE_DEFAULTS: IncludeOptions = {
    "prefix": "",
    "tags": None,
    "dependencies": None,
    "default_response_class": Default(JSONResponse),
    "responses": None,
    "callbacks": None,
    "deprecated": None,
    "include_in_schema": True,
    "generate_unique_id_function": Default(generate_unique_id),
    "max_body_size": None,
    "form_limits": None,
}

# The same, in the order of `FastAPI.include_router`.
APPLICATION_INCLUDE_DEFAULTS: IncludeOptions = _extended(
    {name: value for name, value in INCLUDE_DEFAULTS.items() if name not in ("default_response_class", "callbacks")},
    include_in_schema={"default_response_class": Default(JSONResponse), "callbacks": None},
)

APPLICATION_DEFAULTS: ApplicationOptions = {
    "telemetry": None,
    "debug": False,
    "routes": None,
    "title": "FastAPI",
    "summary": None,
    "description": "",
    "version": "0.1.0",
    "openapi_url": "/openapi.json",
    "openapi_tags": None,
    "servers": None,
    "dependencies": None,
    "default_response_class": Default(JSONResponse),
    "redirect_slashes": True,
    "docs_url": "/docs",
    "redoc_url": "/redoc",
    "swagger_ui_oauth2_redirect_url": "/docs/oauth2-redirect",
    "swagger_ui_init_oauth": None,
    "middleware": None,
    "exception_handlers": None,
    "on_startup": None,
    "on_shutdown": None,
    "lifespan": None,
    "terms_of_service": None,
    "contact": None,
    "license_info": None,
    "root_path": "",
    "root_path_in_servers": True,
    "responses": None,
    "callbacks": None,
    "webhooks": None,
    "deprecated": None,
    "include_in_schema": True,
    "swagger_ui_parameters": None,
    "generate_unique_id_function": Default(generate_unique_id),
    "separate_input_output_schemas": True,
    "openapi_external_docs": None,
    "strict_content_type": True,
    "max_body_size": None,
    "form_limits": None,
    "lifespan_dependencies": "startup",
}

PARAM_DEFAULTS: ParamOptions = {
    "default_factory": _Unset,
    "alias": _Unset,
    "alias_priority": _Unset,
    "validation_alias": _Unset,
    "serialization_alias": _Unset,
    "title": _Unset,
    "description": _Unset,
    "gt": None,
    "ge": None,
    "lt": None,
    "le": None,
    "min_length": None,
    "max_length": None,
    "pattern": None,
    "regex": None,
    "discriminator": _Unset,
    "strict": _Unset,
    "validate_default": _Unset,
    "union_mode": _Unset,
    "fail_fast": _Unset,
    "multiple_of": _Unset,
    "allow_inf_nan": _Unset,
    "max_digits": _Unset,
    "decimal_places": _Unset,
    "examples": _Unset,
    "example": _Unset,
    "openapi_examples": None,
    "deprecated": _Unset,
    "include_in_schema": True,
    "json_schema_extra": _Unset,
}

HEADER_DEFAULTS: HeaderOptions = _extended(PARAM_DEFAULTS, serialization_alias={"convert_underscores": True})

BODY_DEFAULTS: BodyOptions = _extended(
    PARAM_DEFAULTS, default_factory={"embed": None, "media_type": "application/json"}
)

FORM_DEFAULTS: FormOptions = _extended(
    PARAM_DEFAULTS, default_factory={"media_type": "application/x-www-form-urlencoded"}
)

FILE_DEFAULTS: FormOptions = _extended(PARAM_DEFAULTS, default_factory={"media_type": "multipart/form-data"})
