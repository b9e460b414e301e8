"""Names that FastAPI's modules hold only because they import them, or work with them: packages import those too.

Each is found when somebody asks for it, so ferroapi's own modules import what they use and nothing else. Where one of
FastAPI's modules is several here, what is set in it is set in all of them: they read the name in its place.
"""

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

_UPLOADS = "is_uploadfile_or_nonable_uploadfile_annotation is_uploadfile_sequence_annotation"
_BYTES = "is_bytes_or_nonable_bytes_annotation is_bytes_sequence_annotation"
_SEQUENCES = "field_annotation_is_sequence field_annotation_is_scalar_sequence sequence_types serialize_sequence_value"

# For each module below the package, where its names come from: "name", or "name=name there".
_SOURCES: dict[str, dict[str, str]] = {
    "applications": {
        "ferroapi._form_limits": "_FormLimits",
        "ferroapi.datastructures": "Default",
        "ferroapi.exceptions": "FastAPIDeprecationWarning",
        "ferroapi.telemetry": "TelemetryConfig",
        "ferroapi.types": "IncEx",
        "ferroapi.utils": "generate_unique_id",
        "starlette.routing": "BaseRoute",
        "starlette.types": "ExceptionHandler Lifespan",
        "": "warnings",
        "collections.abc": "Coroutine",
        "enum": "Enum",
        "typing": "Annotated",
        "typing_extensions": "Doc",
    },
    "dependencies.utils": {
        "ferroapi": "params",
        "ferroapi._compat": f"RequiredParam copy_field_info create_body_model field_annotation_is_scalar {_UPLOADS} "
        f"{_BYTES} {_SEQUENCES}",
        "ferroapi._engine.reference.solve": "_solve_generator",
        "ferroapi.concurrency": "_asynccontextmanager_with_shielded_exit _contextmanager_with_concurrency_limit "
        "_DependencyConcurrency",
        "ferroapi.dependencies._body": "_add_form_union_validators _extract_form_body _extract_form_items "
        "_extract_form_model _get_form_model _is_form_model_supplied _normalize_form_model _read_file_bytes "
        "_should_embed_body_fields",
        "ferroapi.dependencies._body_field": "_apply_form_body_schema _get_body_field _get_form_model_schema",
        "ferroapi.dependencies._field": "_get_flat_body_params _get_flat_fields_from_params _get_form_models "
        "_get_form_union_models _get_model_type _get_param_aliases _get_param_model _is_json_field",
        "ferroapi.dependencies._signature": "_STREAM_ORIGINS _get_signature",
        "ferroapi.dependencies._values": "_get_multidict_extras _get_multidict_value _is_empty_file_input "
        "_request_param_model_to_args _validate_value_with_model_field",
        "ferroapi.dependencies.models": "_get_cache_key _get_computed_scope _get_oauth_scopes _is_async_gen_callable "
        "_is_coroutine_callable _is_gen_callable _UsesScopesCache",
        "ferroapi.logger": "logger",
        "ferroapi.types": "DependencyCacheKey UnionType",
        "anyio": "CancelScope",
        "pydantic": "AliasChoices AliasPath BaseModel BeforeValidator ConfigDict GetJsonSchemaHandler "
        "GetPydanticSchema Json Tag",
        "pydantic.fields": "FieldInfo",
        "pydantic_core": "CoreSchema",
        "starlette.background": "StarletteBackgroundTasks=BackgroundTasks",
        "starlette.concurrency": "run_in_threadpool",
        "starlette.datastructures": "FormData Headers ImmutableMultiDict QueryParams UploadFile",
        "starlette.requests": "HTTPConnection Request",
        "starlette.responses": "Response",
        "contextlib": "AsyncExitStack contextmanager",
        "copy": "copy deepcopy",
        "starlette.websockets": "WebSocket",
        "typing_inspection.typing_objects": "is_typealiastype",
        "": "dataclasses inspect sys",
        "collections.abc": "AsyncGenerator AsyncIterable AsyncIterator Callable Generator Iterable Iterator "
        "Mapping Sequence",
        "dataclasses": "dataclass",
        "functools": "partial",
        "typing": "Annotated Any ForwardRef Literal Union cast get_args get_origin",
    },
    "openapi.utils": {
        "ferroapi": "routing",
        "ferroapi._compat": "ModelField get_schema_from_model_field lenient_issubclass",
        "ferroapi.datastructures": "DefaultPlaceholder _Unset",
        "ferroapi.dependencies.models": "Dependant _get_cache_key _get_oauth_scopes _get_security_scheme "
        "_is_security_scheme _UsesScopesCache",
        "ferroapi.dependencies.utils": "_get_flat_fields_from_params _get_param_aliases _get_param_model "
        "get_flat_params",
        "ferroapi.exceptions": "FastAPIDeprecationWarning",
        "ferroapi.openapi._parameters": "_OpenAPIDependencyData _get_openapi_dependency_data "
        "_get_openapi_operation_parameters",
        "ferroapi.openapi._security": "_get_openapi_security_definitions",
        "ferroapi.openapi.constants": "METHODS_WITH_BODY REF_PREFIX",
        "ferroapi.params": "Body ParamTypes",
        "ferroapi.sse": "_SSE_EVENT_SCHEMA",
        "ferroapi.types": "DependencyCacheKey ModelNameMap",
        "ferroapi.utils": "deep_dict_update generate_operation_id_for_path is_body_allowed_for_status_code",
        "starlette.responses": "JSONResponse Response",
        "": "copy http inspect warnings",
        "dataclasses": "dataclass field",
        "typing": "Literal",
    },
    "param_functions": {
        "ferroapi.datastructures": "_Unset",
        "ferroapi.openapi.models": "Example",
        "pydantic": "AliasChoices AliasPath Discriminator",
        "": "re",
        "typing": "Annotated",
        "typing_extensions": "Doc deprecated",
    },
    "params": {
        "ferroapi.exceptions": "FastAPIDeprecationWarning",
        "ferroapi.openapi.models": "Example",
        "pydantic": "AliasChoices AliasPath Discriminator",
        "": "re warnings",
        "typing": "Annotated",
        "typing_extensions": "deprecated",
    },
    "routing": {
        "ferroapi._body_limit": "get_body_limit_error get_body_size_limit",
        "ferroapi._compat.starlette": "get_route_path wrap_app_handling_exceptions",
        "ferroapi._engine.context": "_extract_endpoint_context",
        "ferroapi._engine.items": "_normalize_non_finite_floats",
        "ferroapi._routing.frontend": "_FrontendRoute _FrontendStaticFiles _frontend_dependency_endpoint "
        "_frontend_path_specificity _get_resolved_absolute_path _is_frontend_navigation_request "
        "_iter_accept_media_types",
        "ferroapi._routing.include": "_iter_included_route_candidates _iter_routes_with_context",
        "ferroapi._routing.lifespan": "_AsyncLiftContextManager _DefaultLifespan _wrap_gen_lifespan_context",
        "ferroapi._routing.scope": "_FASTAPI_EFFECTIVE_ROUTE_CONTEXT_KEY _FASTAPI_FORM_LIMITS_KEY "
        "_FASTAPI_FRONTEND_PATH_KEY _FASTAPI_FRONTEND_SPECIFICITY_KEY _FASTAPI_INCLUDED_ROUTER_KEY "
        "_FASTAPI_SCOPE_KEY _SCOPE_MISSING _apply_router_form_limits _get_fastapi_scope _get_scope_included_router "
        "_resolve_form_limits _restore_fastapi_scope_key _update_scope",
        "ferroapi._routing.state": "_APIRouteLike=RouteState",
        "ferroapi.dependencies.models": "_is_async_gen_callable _is_gen_callable",
        "ferroapi.dependencies.utils": "_get_body_field _get_flat_body_params _should_embed_body_fields get_dependant "
        "get_parameterless_sub_dependant get_stream_item_type get_typed_return_annotation SolvedDependency",
        "ferroapi.encoders": "jsonable_encoder",
        "ferroapi.exceptions": "EndpointContext RequestValidationError ResponseValidationError "
        "WebSocketRequestValidationError",
        "ferroapi.sse": "KEEPALIVE_COMMENT ServerSentEvent format_sse_event",
        "ferroapi.telemetry._api": "_operation _route_selected _run_sync_endpoint _validation_failed",
        "ferroapi.utils": "create_model_field generate_unique_id is_body_allowed_for_status_code",
        "": "contextlib copy email errno functools inspect math stat threading types warnings anyio json",
        "anyio.abc": "ObjectReceiveStream",
        "contextlib": "AbstractAsyncContextManager AbstractContextManager asynccontextmanager AsyncExitStack",
        "starlette.concurrency": "iterate_in_threadpool run_in_threadpool",
        "starlette.datastructures": "URL URLPath",
        "starlette.middleware.body_limit": "MAX_BODY_SIZE_SCOPE_KEY",
        "starlette.responses": "RedirectResponse StreamingResponse",
        "starlette.routing": "NoMatchFound",
        "starlette.staticfiles": "StaticFiles",
        "starlette.types": "AppType Lifespan",
        "collections.abc": "AsyncIterator Generator Iterator Mapping",
        "contextvars": "ContextVar",
        "dataclasses": "dataclass field",
        "enum": "IntEnum",
        "typing": "Annotated Protocol TypeVar",
        "typing_extensions": "Doc deprecated",
    },
}


# The modules that do a public one's work, by folder, as far as FastAPI's module of that name does it.
_SPOKEN_FOR: dict[str, dict[str, str]] = {
    "applications": {"ferroapi": "_operations"},
    "dependencies.utils": {
        "ferroapi.dependencies": "_analyze _body _body_field _field _multipart _signature _values",
        "ferroapi._engine.reference": "solve",
    },
    "openapi.utils": {"ferroapi.openapi": "_operation _parameters _schemas _security"},
    "routing": {
        "ferroapi": "_operations",
        "ferroapi._engine": "body compile context events items rare response session stream",
        "ferroapi._engine.reference": "handler",
        "ferroapi._routing": "dispatch entries frontend include inherit lifespan matching scope state table views",
    },
}


class _PublicModule(ModuleType):
    """A module whose names are read by the private modules that do its work."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        follow()

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        follow()


_NOTHING = object()

_originals: dict[tuple[int, str], Any] = {}
"""What a private module, by the address of its globals, had under a name before the first one was set."""

_followed: dict[str, tuple[Callable[[str], Any], dict[str, Any], dict[str, Any]]] = {}
"""For each public module what finds the names that it only imports, its dictionary, and what that held when last seen.

Not the module: a test may take it out of `sys.modules`.
"""


def follow() -> None:
    """Set in the private modules what was set in the public ones since the last time, also past `setattr`.

    `_core` calls it when a module that it watches was modified, before it is asked what was replaced.
    """
    for module, (find, namespace, seen) in list(_followed.items()):
        now = namespace.copy()
        changed = [name for name in {**seen, **now} if now.get(name, _NOTHING) is not seen.get(name, _NOTHING)]
        for name in changed:
            # Each module has its own `__name__`, `__spec__` and the like.
            if not name.startswith("__"):
                before = seen[name] if name in seen else find(name)
                _spread(_below_package(module), name, before, now.get(name, _NOTHING))
        seen.clear()
        seen.update(now)


def _spread(module: str, name: str, before: Any, value: Any) -> None:
    for namespace in _namespaces(module):
        original = _originals.get((id(namespace), name), _NOTHING)
        if value is _NOTHING:
            if original is not _NOTHING:
                namespace[name] = original
        # Not what has the same name and is something else.
        elif namespace.get(name, value) is before:
            _originals.setdefault((id(namespace), name), before)
            namespace[name] = value


def _below_package(module: str) -> str:
    return module.partition(".")[2]


def _namespaces(module: str) -> Iterator[dict[str, Any]]:
    for folder, names in _SPOKEN_FOR.get(module, {}).items():
        for name in names.split():
            if (private := sys.modules.get(f"{folder}.{name}")) is not None:
                yield vars(private)


def _entries(sources: dict[str, str]) -> Iterator[tuple[str, tuple[str, str]]]:
    for source, names in sources.items():
        for entry in names.split():
            name, _, name_there = entry.partition("=")
            yield name, (source, name_there or name)


def imported_names(module: str) -> Callable[[str], Any]:
    """Return the `__getattr__` of a module: it finds the names that are in FastAPI's module of the same name as well.

    From now on what is set in the module is set in those that do its work.

    Raises:
        AttributeError: by that function, for any other name.
    """
    # Under the alias the package has FastAPI's name.
    own = _below_package(module)
    names = dict(_entries(_SOURCES[own]))

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}", name=name)
        for namespace in _namespaces(own):
            if name in namespace:
                # What it was when these modules were imported, as in FastAPI's.
                return namespace[name]
        source, name_there = names[name]
        if not source:
            return import_module(name_there)
        found = import_module(source)
        return getattr(found, name_there) if hasattr(found, name_there) else import_module(f"{source}.{name_there}")

    if own in _SPOKEN_FOR:
        sys.modules[module].__class__ = _PublicModule
        namespace = vars(sys.modules[module])
        _followed[module] = (lambda name: find(name) if name in names else _NOTHING), namespace, namespace.copy()
    return find
