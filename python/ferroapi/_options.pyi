# Written by `make options-stub`: `_options.py` as editors and type checkers read it.

import re
import sys
from collections.abc import Callable, Coroutine, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

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

_Options = TypeVar("_Options")

if sys.platform == "jedi":
    from dataclasses import dataclass as listed
else:
    def listed(options: type[_Options]) -> type[_Options]: ...

@listed
class _SharedOptions(TypedDict, total=False):
    dependencies: Annotated[
        "Sequence[Depends] | None",
        "`Depends()` and `Security()` that run for their effect, before the operation's own; their results are dropped.",
    ]
    """`Depends()` and `Security()` that run for their effect, before the operation's own; their results are dropped."""
    responses: Annotated[
        dict[int | str, dict[str, Any]] | None,
        'Further responses for the OpenAPI document, by status code, "4XX" or "default". A `model` becomes a schema.',
    ]
    """Further responses for the OpenAPI document, by status code, "4XX" or "default". A `model` becomes a schema."""
    deprecated: Annotated[bool | None, "Mark operations as deprecated in the OpenAPI document."]
    """Mark operations as deprecated in the OpenAPI document."""
    include_in_schema: Annotated[bool, "Whether operations appear in the OpenAPI document; they are served either way."]
    """Whether operations appear in the OpenAPI document; they are served either way."""
    generate_unique_id_function: Annotated[
        "Callable[[APIRoute], str]", "Makes the operation id of a route that has no `operation_id`."
    ]
    """Makes the operation id of a route that has no `operation_id`."""
    max_body_size: Annotated[
        int | None,
        "The longest request body accepted, in bytes; a longer one is answered 413. None leaves it to the level above.",
    ]
    """The longest request body accepted, in bytes; a longer one is answered 413. None leaves it to the level above."""
    cancel_on_disconnect: Annotated[
        bool | None, "Whether the endpoint is cancelled when its client leaves. None leaves it to the level above."
    ]
    """Whether the endpoint is cancelled when its client leaves. None leaves it to the level above."""
    wait_for_first_item: Annotated[
        bool | None,
        "Whether the response of a generator begins with its first item: an exception in its place is answered with its status. None leaves it to the level above.",
    ]
    """Whether the response of a generator begins with its first item: an exception in its place is answered with its
    status. None leaves it to the level above."""
    raises: Annotated[
        "Sequence[type[HTTPException]]",
        "Errors that are raised, or returned: they are documented. Added to those of the level above.",
    ]
    """Errors that are raised, or returned: they are documented. Added to those of the level above."""
    form_limits: Annotated[
        "_FormLimits | None", "Limits of form parsing: `max_fields`, `max_files`, and `max_part_size` in bytes."
    ]
    """Limits of form parsing: `max_fields`, `max_files`, and `max_part_size` in bytes."""

@listed
class _CallbackOptions(TypedDict, total=False):
    callbacks: Annotated[
        list[BaseRoute] | None,
        "Routes that describe, in the OpenAPI document, requests this API sends to its clients. They are not served.",
    ]
    """Routes that describe, in the OpenAPI document, requests this API sends to its clients. They are not served."""

@listed
class _TagOptions(TypedDict, total=False):
    tags: Annotated[list[str | Enum] | None, "Groups for the documentation; added to those of the level above."]
    """Groups for the documentation; added to those of the level above."""

@listed
class _StrictContentTypeOptions(TypedDict, total=False):
    strict_content_type: Annotated[
        bool,
        "Parse a body as JSON only if its Content-Type says JSON; when false, also if there is no Content-Type. Requests without one can be sent across sites without a preflight, so false needs another protection.",
    ]
    """Parse a body as JSON only if its Content-Type says JSON; when false, also if there is no Content-Type.

    Requests without one can be sent across sites without a preflight, so false needs another protection."""

@listed
class _OperationOptions(_SharedOptions, _TagOptions, total=False):
    response_model: Annotated[
        Any,
        "The type the result is validated, filtered and serialized with, and documented by. By default the return annotation; None turns all of it off.",
    ]
    """The type the result is validated, filtered and serialized with, and documented by.

    By default the return annotation; None turns all of it off."""
    status_code: Annotated[int | None, "Status of a successful answer; by default that of the response class, 200."]
    """Status of a successful answer; by default that of the response class, 200."""
    summary: Annotated[str | None, "Short title in the documentation; by default made from the function's name."]
    """Short title in the documentation; by default made from the function's name."""
    description: Annotated[
        str | None, "Markdown text in the documentation; by default the function's docstring up to a form feed."
    ]
    """Markdown text in the documentation; by default the function's docstring up to a form feed."""
    response_description: Annotated[str, "What the documentation says of the successful response."]
    """What the documentation says of the successful response."""
    operation_id: Annotated[str | None, "Operation id in the OpenAPI document; must be unique in the application."]
    """Operation id in the OpenAPI document; must be unique in the application."""
    response_model_include: Annotated[IncEx | None, "Fields to keep in the answer, as pydantic's `include`."]
    """Fields to keep in the answer, as pydantic's `include`."""
    response_model_exclude: Annotated[IncEx | None, "Fields to drop from the answer, as pydantic's `exclude`."]
    """Fields to drop from the answer, as pydantic's `exclude`."""
    response_model_by_alias: Annotated[bool, "Name fields by their alias in the answer."]
    """Name fields by their alias in the answer."""
    response_model_exclude_unset: Annotated[bool, "Drop fields that nobody set, even if they have a default."]
    """Drop fields that nobody set, even if they have a default."""
    response_model_exclude_defaults: Annotated[bool, "Drop fields that equal their default."]
    """Drop fields that equal their default."""
    response_model_exclude_none: Annotated[bool, "Drop fields that are None."]
    """Drop fields that are None."""
    response_class: Annotated[
        type[Response],
        "The class that makes the answer from the result, when the function does not return a response itself.",
    ]
    """The class that makes the answer from the result, when the function does not return a response itself."""
    name: Annotated[str | None, "The name for `url_path_for`; by default the function's name."]
    """The name for `url_path_for`; by default the function's name."""
    openapi_extra: Annotated[dict[str, Any] | None, "Merged into the operation's object in the OpenAPI document, last."]
    """Merged into the operation's object in the OpenAPI document, last."""

@listed
class _MethodOptions(TypedDict, total=False):
    methods: Annotated[list[str] | None, "HTTP methods the route answers; by default GET."]
    """HTTP methods the route answers; by default GET."""

@listed
class _ProviderOptions(TypedDict, total=False):
    dependency_overrides_provider: Annotated[
        Any | None,
        "The object whose `dependency_overrides` replaces dependencies: the application. Set by it, not by hand.",
    ]
    """The object whose `dependency_overrides` replaces dependencies: the application. Set by it, not by hand."""

@listed
class OperationOptions(_OperationOptions, _CallbackOptions, total=False, closed=True):
    """What the verb decorators take."""

@listed
class ApplicationRouteOptions(_OperationOptions, _MethodOptions, total=False, closed=True):
    """What `FastAPI.api_route` and `FastAPI.add_api_route` take."""

@listed
class RouterRouteOptions(_OperationOptions, _MethodOptions, _CallbackOptions, total=False, closed=True):
    """What `APIRouter.api_route` takes."""

@listed
class AddRouteOptions(
    _OperationOptions, _MethodOptions, _CallbackOptions, _StrictContentTypeOptions, total=False, closed=True
):
    """What `APIRouter.add_api_route` takes."""

    route_class_override: Annotated[
        "type[APIRoute] | None", "The route class for this route, in place of the router's `route_class`."
    ]
    """The route class for this route, in place of the router's `route_class`."""

@listed
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

@listed
class _ServingOptions(_SharedOptions, _CallbackOptions, _StrictContentTypeOptions, total=False):
    default_response_class: Annotated[type[Response], "The response class of operations that choose none."]
    """The response class of operations that choose none."""
    routes: Annotated[list[BaseRoute] | None, "Starlette routes to start with. Prefer the decorators."]
    """Starlette routes to start with. Prefer the decorators."""
    redirect_slashes: Annotated[bool, "Redirect a path that matches only with, or without, a slash at its end."]
    """Redirect a path that matches only with, or without, a slash at its end."""
    on_startup: Annotated[
        Sequence[Callable[[], Any]] | None, "Functions called before the first request. Prefer `lifespan`."
    ]
    """Functions called before the first request. Prefer `lifespan`."""
    on_shutdown: Annotated[
        Sequence[Callable[[], Any]] | None, "Functions called after the last request. Prefer `lifespan`."
    ]
    """Functions called after the last request. Prefer `lifespan`."""
    lifespan: Annotated[
        Lifespan[Any] | None,
        "An async context manager, entered before the first request and left after the last; what it yields is state.",
    ]
    """An async context manager, entered before the first request and left after the last; what it yields is state."""

@listed
class _PrefixOptions(TypedDict, total=False):
    prefix: Annotated[str, "Put before every path; starts with a slash and does not end with one."]
    """Put before every path; starts with a slash and does not end with one."""

@listed
class RouterOptions(_ServingOptions, _TagOptions, _PrefixOptions, _ProviderOptions, total=False, closed=True):
    """What `APIRouter` takes."""

    middleware: Annotated[
        Sequence[Middleware],
        "ASGI middleware around the routes of this router, the outermost first, inside of the application's.",
    ]
    """ASGI middleware around the routes of this router, the outermost first, inside of the application's."""
    exception_handlers: Annotated[
        dict[int | type[Exception], Callable[[Request, Any], Any]],
        "Functions that answer exceptions of this router's routes, before those of the application.",
    ]
    """Functions that answer exceptions of this router's routes, before those of the application."""
    default: Annotated[ASGIApp | None, "The ASGI application that answers when no route matches; by default 404."]
    """The ASGI application that answers when no route matches; by default 404."""
    route_class: Annotated["type[APIRoute]", "The class of the routes this router makes."]
    """The class of the routes this router makes."""

@listed
class IncludeOptions(_SharedOptions, _CallbackOptions, _TagOptions, _PrefixOptions, total=False, closed=True):
    """What `include_router` takes; each is added to, or stands in for, what the included router has."""

    default_response_class: Annotated[
        type[Response], "The response class of included operations where neither they nor their router choose one."
    ]
    """The response class of included operations where neither they nor their router choose one."""

@listed
class ApplicationOptions(_ServingOptions, total=False, closed=True):
    """What `FastAPI` takes."""

    telemetry: Annotated["TelemetryConfig | None", "OpenTelemetry providers and switches."]
    """OpenTelemetry providers and switches."""
    debug: Annotated[bool, "Answer errors with a traceback. Never in production."]
    """Answer errors with a traceback. Never in production."""
    title: Annotated[str, "Name of the API in the documentation."]
    """Name of the API in the documentation."""
    summary: Annotated[str | None, "One line about the API in the documentation."]
    """One line about the API in the documentation."""
    description: Annotated[str, "Markdown text about the API in the documentation."]
    """Markdown text about the API in the documentation."""
    version: Annotated[str, "Version of the API itself, not of OpenAPI or of this package."]
    """Version of the API itself, not of OpenAPI or of this package."""
    openapi_url: Annotated[
        str | None, "Path of the OpenAPI document; None serves neither it nor the documentation pages."
    ]
    """Path of the OpenAPI document; None serves neither it nor the documentation pages."""
    openapi_tags: Annotated[
        list[dict[str, Any]] | None, "OpenAPI Tag objects, in the order in which the documentation shows them."
    ]
    """OpenAPI Tag objects, in the order in which the documentation shows them."""
    servers: Annotated[list[dict[str, str | Any]] | None, "OpenAPI Server objects: where the API is reachable."]
    """OpenAPI Server objects: where the API is reachable."""
    docs_url: Annotated[str | None, "Path of the Swagger UI page; None for none."]
    """Path of the Swagger UI page; None for none."""
    redoc_url: Annotated[str | None, "Path of the ReDoc page; None for none."]
    """Path of the ReDoc page; None for none."""
    swagger_ui_oauth2_redirect_url: Annotated[
        str | None, "Path of the page that Swagger UI returns to after an OAuth2 login."
    ]
    """Path of the page that Swagger UI returns to after an OAuth2 login."""
    swagger_ui_init_oauth: Annotated[dict[str, Any] | None, "OAuth2 settings of Swagger UI."]
    """OAuth2 settings of Swagger UI."""
    middleware: Annotated[Sequence[Middleware] | None, "ASGI middleware, the outermost first."]
    """ASGI middleware, the outermost first."""
    exception_handlers: Annotated[
        dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]] | None,
        "Functions that answer exceptions, by class or status code.",
    ]
    """Functions that answer exceptions, by class or status code."""
    terms_of_service: Annotated[str | None, "URL of the terms of service."]
    """URL of the terms of service."""
    contact: Annotated[dict[str, str | Any] | None, "OpenAPI Contact object."]
    """OpenAPI Contact object."""
    license_info: Annotated[dict[str, str | Any] | None, "OpenAPI License object."]
    """OpenAPI License object."""
    root_path: Annotated[str, "The path prefix a proxy strips. Deprecated: configure the server instead."]
    """The path prefix a proxy strips. Deprecated: configure the server instead."""
    root_path_in_servers: Annotated[bool, "Add the root path to the document's servers."]
    """Add the root path to the document's servers."""
    webhooks: Annotated["APIRouter | None", "A router whose routes are documented as webhooks and not served."]
    """A router whose routes are documented as webhooks and not served."""
    swagger_ui_parameters: Annotated[dict[str, Any] | None, "Settings of Swagger UI."]
    """Settings of Swagger UI."""
    separate_input_output_schemas: Annotated[
        bool, "Give a model two schemas in the document where what it accepts and what it returns differ."
    ]
    """Give a model two schemas in the document where what it accepts and what it returns differ."""
    problem_details: Annotated[bool, "Answer default errors as problem details (RFC 9457), `application/problem+json`."]
    """Answer default errors as problem details (RFC 9457), `application/problem+json`."""
    docs_assets: Annotated[
        Literal["bundled", "cdn"] | None,
        "Where the documentation pages load their scripts: from the application itself, by the extra `docs`, or from a content delivery network; with either, they have a content security policy. None: as FastAPI's pages.",
    ]
    """Where the documentation pages load their scripts: from the application itself, by the extra `docs`, or from a
    content delivery network; with either, they have a content security policy. None: as FastAPI's pages."""
    openapi_external_docs: Annotated[dict[str, Any] | None, "OpenAPI External Documentation object."]
    """OpenAPI External Documentation object."""
    lifespan_dependencies: Annotated[
        Literal["startup", "first_use"],
        'When dependencies of the scope "lifespan" are called: as the application starts, or when first needed.',
    ]
    """When dependencies of the scope "lifespan" are called: as the application starts, or when first needed."""

# Options of parameters.

@listed
class _FactoryOptions(TypedDict, total=False):
    default_factory: Annotated[Callable[[], Any] | None, "Makes the default, anew for every request."]
    """Makes the default, anew for every request."""

@listed
class _AliasOptions(TypedDict, total=False):
    alias: Annotated[str | None, "The name in the request, when it is not the parameter's."]
    """The name in the request, when it is not the parameter's."""
    alias_priority: Annotated[int | None, "Whether an alias generator may replace the alias, as in pydantic."]
    """Whether an alias generator may replace the alias, as in pydantic."""
    validation_alias: Annotated[str | AliasPath | AliasChoices | None, "The name in the request, before `alias`."]
    """The name in the request, before `alias`."""
    serialization_alias: Annotated[str | None, "The name when written out, before `alias`."]
    """The name when written out, before `alias`."""

@listed
class _SchemaOptions(TypedDict, total=False):
    title: Annotated[str | None, "Title in the documentation."]
    """Title in the documentation."""
    description: Annotated[str | None, "Text in the documentation."]
    """Text in the documentation."""
    gt: Annotated[float | None, "The value is greater than this."]
    """The value is greater than this."""
    ge: Annotated[float | None, "The value is greater than or equal to this."]
    """The value is greater than or equal to this."""
    lt: Annotated[float | None, "The value is less than this."]
    """The value is less than this."""
    le: Annotated[float | None, "The value is less than or equal to this."]
    """The value is less than or equal to this."""
    min_length: Annotated[int | None, "The least length, in characters or items."]
    """The least length, in characters or items."""
    max_length: Annotated[int | None, "The greatest length, in characters or items."]
    """The greatest length, in characters or items."""
    pattern: Annotated[str | re.Pattern[str] | None, "A regular expression found in the text."]
    """A regular expression found in the text."""
    regex: Annotated[str | None, "Deprecated name of `pattern`."]
    """Deprecated name of `pattern`."""
    discriminator: Annotated[str | Discriminator | None, "The field that tells the members of a union apart."]
    """The field that tells the members of a union apart."""
    strict: Annotated[bool | None, "Refuse values of another type instead of converting them."]
    """Refuse values of another type instead of converting them."""
    validate_default: Annotated[bool | None, "Validate the default as well."]
    """Validate the default as well."""
    union_mode: Annotated[Literal["smart", "left_to_right"] | None, "How pydantic chooses a member of a union."]
    """How pydantic chooses a member of a union."""
    fail_fast: Annotated[bool | None, "Stop at the first error in a sequence."]
    """Stop at the first error in a sequence."""
    multiple_of: Annotated[float | None, "The value is a multiple of this."]
    """The value is a multiple of this."""
    allow_inf_nan: Annotated[bool | None, "Accept infinities and NaN."]
    """Accept infinities and NaN."""
    max_digits: Annotated[int | None, "The most digits of a decimal."]
    """The most digits of a decimal."""
    decimal_places: Annotated[int | None, "The most digits after the point of a decimal."]
    """The most digits after the point of a decimal."""
    examples: Annotated[list[Any] | None, "Example values, in the JSON Schema."]
    """Example values, in the JSON Schema."""
    example: Annotated[Any | None, "Deprecated: one example; use `examples`."]
    """Deprecated: one example; use `examples`."""
    openapi_examples: Annotated["dict[str, Example] | None", "OpenAPI Example objects by name, shown by Swagger UI."]
    """OpenAPI Example objects by name, shown by Swagger UI."""
    deprecated: Annotated[
        deprecated_decorator | str | bool | None, "Mark the parameter as deprecated in the documentation."
    ]
    """Mark the parameter as deprecated in the documentation."""
    include_in_schema: Annotated[bool, "Whether the parameter appears in the documentation."]
    """Whether the parameter appears in the documentation."""
    json_schema_extra: Annotated[
        dict[str, Any] | Callable[[dict[str, Any]], None] | None, "Merged into the JSON Schema."
    ]
    """Merged into the JSON Schema."""

@listed
class _ParamOptions(_FactoryOptions, _AliasOptions, _SchemaOptions, total=False):
    pass

@listed
class _MediaTypeOptions(TypedDict, total=False):
    media_type: Annotated[str, "Media type of the body in the documentation."]
    """Media type of the body in the documentation."""

@listed
class ParamOptions(_ParamOptions, total=False, closed=True):
    """What `Path`, `Query` and `Cookie` take."""

@listed
class HeaderOptions(_ParamOptions, total=False, closed=True):
    """What `Header` takes."""

    convert_underscores: Annotated[bool, "Look for `x-token` when the parameter is `x_token`."]
    """Look for `x-token` when the parameter is `x_token`."""

@listed
class BodyOptions(_ParamOptions, _MediaTypeOptions, total=False, closed=True):
    """What `Body` takes."""

    embed: Annotated[
        bool | None,
        "Expect the value under a key with the parameter's name, as is always so with several body parameters.",
    ]
    """Expect the value under a key with the parameter's name, as is always so with several body parameters."""

@listed
class FormOptions(_ParamOptions, _MediaTypeOptions, total=False, closed=True):
    """What `Form` and `File` take."""
