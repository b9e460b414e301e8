"""Every option of the public API, declared and documented once, as TypedDicts for `**options: Unpack[...]`.

TypedDicts that others extend stay open. `_option_defaults` has the defaults.
"""

import re
from collections.abc import Callable, Coroutine, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal

from pydantic import AliasChoices, AliasPath, Discriminator
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Lifespan
from typing_extensions import TypedDict
from typing_extensions import deprecated as deprecated_decorator

from ferroapi.types import IncEx

if TYPE_CHECKING:
    from ferroapi._form_limits import _FormLimits
    from ferroapi.openapi.models import Example
    from ferroapi.params import Depends
    from ferroapi.routing import APIRoute, APIRouter
    from ferroapi.telemetry import TelemetryConfig


def late_names() -> dict[str, Any]:
    """Return the classes that options name in quotes, because their modules import this one."""
    from ferroapi._form_limits import _FormLimits
    from ferroapi.openapi.models import Example
    from ferroapi.params import Depends
    from ferroapi.routing import APIRoute, APIRouter
    from ferroapi.telemetry import TelemetryConfig

    names = (_FormLimits, Example, Depends, APIRoute, APIRouter, TelemetryConfig)
    return {each.__name__: each for each in names}


# Options of path operations, routes, routers and applications.


class _SharedOptions(TypedDict, total=False):
    dependencies: "Sequence[Depends] | None"
    """`Depends()` and `Security()` that run for their effect, before the operation's own; their results are dropped."""
    responses: dict[int | str, dict[str, Any]] | None
    """Further responses for the OpenAPI document, by status code, "4XX" or "default". A `model` becomes a schema."""
    deprecated: bool | None
    """Mark operations as deprecated in the OpenAPI document."""
    include_in_schema: bool
    """Whether operations appear in the OpenAPI document; they are served either way."""
    generate_unique_id_function: "Callable[[APIRoute], str]"
    """Makes the operation id of a route that has no `operation_id`."""
    max_body_size: int | None
    """The longest request body accepted, in bytes; a longer one is answered 413. None leaves it to the level above."""
    cancel_on_disconnect: bool | None
    """Whether the endpoint is cancelled when its client leaves. None leaves it to the level above."""
    wait_for_first_item: bool | None
    """Whether the response of a generator begins with its first item: an exception in its place is answered with its
    status. None leaves it to the level above."""
    raises: "Sequence[type[HTTPException]]"
    """Errors that are raised, or returned: they are documented. Added to those of the level above."""
    form_limits: "_FormLimits | None"
    """Limits of form parsing: `max_fields`, `max_files`, and `max_part_size` in bytes."""


class _CallbackOptions(TypedDict, total=False):
    callbacks: list[BaseRoute] | None
    """Routes that describe, in the OpenAPI document, requests this API sends to its clients. They are not served."""


class _TagOptions(TypedDict, total=False):
    tags: list[str | Enum] | None
    """Groups for the documentation; added to those of the level above."""


class _StrictContentTypeOptions(TypedDict, total=False):
    strict_content_type: bool
    """Parse a body as JSON only if its Content-Type says JSON; when false, also if there is no Content-Type.

    Requests without one can be sent across sites without a preflight, so false needs another protection."""


class _OperationOptions(_SharedOptions, _TagOptions, total=False):
    response_model: Any
    """The type the result is validated, filtered and serialized with, and documented by.

    By default the return annotation; None turns all of it off."""
    status_code: int | None
    """Status of a successful answer; by default that of the response class, 200."""
    summary: str | None
    """Short title in the documentation; by default made from the function's name."""
    description: str | None
    """Markdown text in the documentation; by default the function's docstring up to a form feed."""
    response_description: str
    """What the documentation says of the successful response."""
    operation_id: str | None
    """Operation id in the OpenAPI document; must be unique in the application."""
    response_model_include: IncEx | None
    """Fields to keep in the answer, as pydantic's `include`."""
    response_model_exclude: IncEx | None
    """Fields to drop from the answer, as pydantic's `exclude`."""
    response_model_by_alias: bool
    """Name fields by their alias in the answer."""
    response_model_exclude_unset: bool
    """Drop fields that nobody set, even if they have a default."""
    response_model_exclude_defaults: bool
    """Drop fields that equal their default."""
    response_model_exclude_none: bool
    """Drop fields that are None."""
    response_class: type[Response]
    """The class that makes the answer from the result, when the function does not return a response itself."""
    name: str | None
    """The name for `url_path_for`; by default the function's name."""
    openapi_extra: dict[str, Any] | None
    """Merged into the operation's object in the OpenAPI document, last."""


class _MethodOptions(TypedDict, total=False):
    methods: list[str] | None
    """HTTP methods the route answers; by default GET."""


class _ProviderOptions(TypedDict, total=False):
    dependency_overrides_provider: Any | None
    """The object whose `dependency_overrides` replaces dependencies: the application. Set by it, not by hand."""


class OperationOptions(_OperationOptions, _CallbackOptions, total=False, closed=True):
    """What the verb decorators take."""


class ApplicationRouteOptions(_OperationOptions, _MethodOptions, total=False, closed=True):
    """What `FastAPI.api_route` and `FastAPI.add_api_route` take."""


class RouterRouteOptions(_OperationOptions, _MethodOptions, _CallbackOptions, total=False, closed=True):
    """What `APIRouter.api_route` takes."""


class AddRouteOptions(
    _OperationOptions, _MethodOptions, _CallbackOptions, _StrictContentTypeOptions, total=False, closed=True
):
    """What `APIRouter.add_api_route` takes."""

    route_class_override: "type[APIRoute] | None"
    """The route class for this route, in place of the router's `route_class`."""


class RouteOptions(
    _OperationOptions,
    _MethodOptions,
    _CallbackOptions,
    _StrictContentTypeOptions,
    _ProviderOptions,
    total=False,
    closed=True,
):
    """What `APIRoute` takes."""


class _ServingOptions(_SharedOptions, _CallbackOptions, _StrictContentTypeOptions, total=False):
    default_response_class: type[Response]
    """The response class of operations that choose none."""
    routes: list[BaseRoute] | None
    """Starlette routes to start with. Prefer the decorators."""
    redirect_slashes: bool
    """Redirect a path that matches only with, or without, a slash at its end."""
    on_startup: Sequence[Callable[[], Any]] | None
    """Functions called before the first request. Prefer `lifespan`."""
    on_shutdown: Sequence[Callable[[], Any]] | None
    """Functions called after the last request. Prefer `lifespan`."""
    lifespan: Lifespan[Any] | None
    """An async context manager, entered before the first request and left after the last; what it yields is state."""


class _PrefixOptions(TypedDict, total=False):
    prefix: str
    """Put before every path; starts with a slash and does not end with one."""


class RouterOptions(_ServingOptions, _TagOptions, _PrefixOptions, _ProviderOptions, total=False, closed=True):
    """What `APIRouter` takes."""

    middleware: Sequence[Middleware]
    """ASGI middleware around the routes of this router, the outermost first, inside of the application's."""
    exception_handlers: dict[int | type[Exception], Callable[[Request, Any], Any]]
    """Functions that answer exceptions of this router's routes, before those of the application."""
    default: ASGIApp | None
    """The ASGI application that answers when no route matches; by default 404."""
    route_class: "type[APIRoute]"
    """The class of the routes this router makes."""


class IncludeOptions(_SharedOptions, _CallbackOptions, _TagOptions, _PrefixOptions, total=False, closed=True):
    """What `include_router` takes; each is added to, or stands in for, what the included router has."""

    default_response_class: type[Response]
    """The response class of included operations where neither they nor their router choose one."""


class ApplicationOptions(_ServingOptions, total=False, closed=True):
    """What `FastAPI` takes."""

    telemetry: "TelemetryConfig | None"
    """OpenTelemetry providers and switches."""
    debug: bool
    """Answer errors with a traceback. Never in production."""
    title: str
    """Name of the API in the documentation."""
    summary: str | None
    """One line about the API in the documentation."""
    description: str
    """Markdown text about the API in the documentation."""
    version: str
    """Version of the API itself, not of OpenAPI or of this package."""
    openapi_url: str | None
    """Path of the OpenAPI document; None serves neither it nor the documentation pages."""
    openapi_tags: list[dict[str, Any]] | None
    """OpenAPI Tag objects, in the order in which the documentation shows them."""
    servers: list[dict[str, str | Any]] | None
    """OpenAPI Server objects: where the API is reachable."""
    docs_url: str | None
    """Path of the Swagger UI page; None for none."""
    redoc_url: str | None
    """Path of the ReDoc page; None for none."""
    swagger_ui_oauth2_redirect_url: str | None
    """Path of the page that Swagger UI returns to after an OAuth2 login."""
    swagger_ui_init_oauth: dict[str, Any] | None
    """OAuth2 settings of Swagger UI."""
    middleware: Sequence[Middleware] | None
    """ASGI middleware, the outermost first."""
    exception_handlers: dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]] | None
    """Functions that answer exceptions, by class or status code."""
    terms_of_service: str | None
    """URL of the terms of service."""
    contact: dict[str, str | Any] | None
    """OpenAPI Contact object."""
    license_info: dict[str, str | Any] | None
    """OpenAPI License object."""
    root_path: str
    """The path prefix a proxy strips. Deprecated: configure the server instead."""
    root_path_in_servers: bool
    """Add the root path to the document's servers."""
    webhooks: "APIRouter | None"
    """A router whose routes are documented as webhooks and not served."""
    swagger_ui_parameters: dict[str, Any] | None
    """Settings of Swagger UI."""
    separate_input_output_schemas: bool
    """Give a model two schemas in the document where what it accepts and what it returns differ."""
    problem_details: bool
    """Answer default errors as problem details (RFC 9457), `application/problem+json`."""
    docs_assets: Literal["bundled", "cdn"] | None
    """Where the documentation pages load their scripts: from the application itself, by the extra `docs`, or from a
    content delivery network; with either, they have a content security policy. None: as FastAPI's pages."""
    openapi_external_docs: dict[str, Any] | None
    """OpenAPI External Documentation object."""
    lifespan_dependencies: Literal["startup", "first_use"]
    """When dependencies of the scope "lifespan" are called: as the application starts, or when first needed."""


# Options of parameters.


class _FactoryOptions(TypedDict, total=False):
    default_factory: Callable[[], Any] | None
    """Makes the default, anew for every request."""


class _AliasOptions(TypedDict, total=False):
    alias: str | None
    """The name in the request, when it is not the parameter's."""
    alias_priority: int | None
    """Whether an alias generator may replace the alias, as in pydantic."""
    validation_alias: str | AliasPath | AliasChoices | None
    """The name in the request, before `alias`."""
    serialization_alias: str | None
    """The name when written out, before `alias`."""


class _SchemaOptions(TypedDict, total=False):
    title: str | None
    """Title in the documentation."""
    description: str | None
    """Text in the documentation."""
    gt: float | None
    """The value is greater than this."""
    ge: float | None
    """The value is greater than or equal to this."""
    lt: float | None
    """The value is less than this."""
    le: float | None
    """The value is less than or equal to this."""
    min_length: int | None
    """The least length, in characters or items."""
    max_length: int | None
    """The greatest length, in characters or items."""
    pattern: str | re.Pattern[str] | None
    """A regular expression found in the text."""
    regex: str | None
    """Deprecated name of `pattern`."""
    discriminator: str | Discriminator | None
    """The field that tells the members of a union apart."""
    strict: bool | None
    """Refuse values of another type instead of converting them."""
    validate_default: bool | None
    """Validate the default as well."""
    union_mode: Literal["smart", "left_to_right"] | None
    """How pydantic chooses a member of a union."""
    fail_fast: bool | None
    """Stop at the first error in a sequence."""
    multiple_of: float | None
    """The value is a multiple of this."""
    allow_inf_nan: bool | None
    """Accept infinities and NaN."""
    max_digits: int | None
    """The most digits of a decimal."""
    decimal_places: int | None
    """The most digits after the point of a decimal."""
    examples: list[Any] | None
    """Example values, in the JSON Schema."""
    example: Any | None
    """Deprecated: one example; use `examples`."""
    openapi_examples: "dict[str, Example] | None"
    """OpenAPI Example objects by name, shown by Swagger UI."""
    deprecated: deprecated_decorator | str | bool | None
    """Mark the parameter as deprecated in the documentation."""
    include_in_schema: bool
    """Whether the parameter appears in the documentation."""
    json_schema_extra: dict[str, Any] | Callable[[dict[str, Any]], None] | None
    """Merged into the JSON Schema."""


class _ParamOptions(_FactoryOptions, _AliasOptions, _SchemaOptions, total=False):
    pass


class _MediaTypeOptions(TypedDict, total=False):
    media_type: str
    """Media type of the body in the documentation."""


class ParamOptions(_ParamOptions, total=False, closed=True):
    """What `Path`, `Query` and `Cookie` take."""


class HeaderOptions(_ParamOptions, total=False, closed=True):
    """What `Header` takes."""

    convert_underscores: bool
    """Look for `x-token` when the parameter is `x_token`."""


class BodyOptions(_ParamOptions, _MediaTypeOptions, total=False, closed=True):
    """What `Body` takes."""

    embed: bool | None
    """Expect the value under a key with the parameter's name, as is always so with several body parameters."""


class FormOptions(_ParamOptions, _MediaTypeOptions, total=False, closed=True):
    """What `Form` and `File` take."""
