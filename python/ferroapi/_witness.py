"""The names that the engine stands for, as one table: whoever replaces one of them is asked again, by way of Python.

A row is an owner, a name, and the parts of the engine that do in its place what it does. `rust/core/src/witness.rs`
looks at the rows when a module or a class of them was modified, and `_core.is_replaced` answers for a part.
"""

from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from inspect import getattr_static
from operator import eq
from types import ModuleType
from typing import Any, NamedTuple

from ferroapi import _core
from ferroapi._core import Row
from ferroapi._definitions import is_defined
from ferroapi._imported import follow


class Part:
    """The parts of the engine that stand for the names of rows, as bits of an integer: operators of flags are slow."""

    ENTRANCE = 1 << 0
    """From an application to its router."""
    ROUTE = 1 << 1
    """From a router to the application of a route."""
    OPERATION = 1 << 2
    """From the application of a route to its response."""
    SOCKET = 1 << 3
    """The same for a websocket."""
    JSON = 1 << 4
    """The response of an endpoint that returns data."""
    TEXT = 1 << 5
    """That of an endpoint whose response class is one of text."""
    MODEL = 1 << 6
    """That of an endpoint with a response model."""
    BODY = 1 << 7
    """Receiving and parsing a body."""
    FORM = 1 << 8
    """Taking a form apart."""
    THREAD = 1 << 9
    """Calls in worker threads."""
    MULTIPART = 1 << 10
    """Taking a multipart form apart."""
    ITEM = 1 << 11
    """An item of a stream of JSON lines or events."""
    STREAM = 1 << 12
    """Sending a streaming response."""
    ERROR = 1 << 13
    """The default answers to exceptions."""
    KEY = 1 << 14
    """Credentials in a header, a cookie or the query."""
    AUTHORIZATION = 1 << 15
    """Those of `Authorization`, taken apart."""
    OAUTH2 = 1 << 16
    """Bearer tokens of OAuth2."""
    FIELD = 1 << 17
    """The facts about a field that are kept with it."""
    RECEIVED = 1 << 18
    """The query, the headers and the cookies of a connection, by name."""
    DECLARATION = 1 << 19
    """What a plain path, parameter or annotation comes to where it is declared."""
    DOCUMENT = 1 << 20
    """Reading and writing the OpenAPI document."""
    STEP = 1 << 21
    """What a handler calls by name on the way from a request to its response."""
    SERIALIZATION = 1 << 22
    """From what an endpoint that was called by name has returned to the response."""


class Names(NamedTuple):
    """Some names of one owner."""

    owner: str
    """A module, or `module:Class`."""
    parts: int
    """Bits of `Part`."""
    names: str
    """Separated by spaces."""


REQUEST = (
    Names("ferroapi.routing", Part.OPERATION, "request_response Request Response"),
    Names("ferroapi.routing", Part.STEP, "solve_dependencies run_endpoint_function"),
    Names("ferroapi.routing", Part.STEP | Part.SERIALIZATION, "serialize_response"),
    Names("ferroapi.routing", Part.OPERATION | Part.SOCKET, "AsyncExitStack"),
    Names("ferroapi.routing", Part.OPERATION | Part.SOCKET, "wrap_app_handling_exceptions"),
    Names("ferroapi.routing", Part.OPERATION, "is_body_allowed_for_status_code"),
    Names("ferroapi.routing", Part.OPERATION | Part.SOCKET, "_operation"),
    Names("ferroapi.routing", Part.SOCKET, "WebSocket WebSocketRequestValidationError"),
    Names("ferroapi.routing", Part.OPERATION, "RequestValidationError ResponseValidationError"),
    Names("ferroapi.routing", Part.OPERATION | Part.SOCKET, "_extract_endpoint_context _validation_failed"),
    Names("ferroapi.routing", Part.OPERATION | Part.SOCKET, "get_telemetry_data"),
    Names("ferroapi.routing", Part.OPERATION, "_is_gen_callable _is_async_gen_callable"),
    Names("ferroapi.routing", Part.FORM, "_resolve_form_limits"),
    Names("ferroapi.routing", Part.ITEM, "anyio"),
    Names("ferroapi.routing", Part.ROUTE, "_route_selected _update_scope _get_fastapi_scope get_route_path routing"),
    Names("ferroapi.routing", Part.BODY, "email"),
    Names("ferroapi.routing", Part.ROUTE, "_get_scope_effective_route_context _get_scope_included_router"),
    Names("ferroapi.routing", Part.ROUTE, "_restore_fastapi_scope_key _apply_router_form_limits"),
    Names("ferroapi.routing", Part.JSON | Part.TEXT | Part.ITEM, "jsonable_encoder"),
    Names("ferroapi.routing", Part.ITEM, "json _normalize_non_finite_floats format_sse_event ServerSentEvent"),
    Names("ferroapi.routing", Part.THREAD, "run_in_threadpool _run_sync_endpoint"),
    Names("ferroapi.dependencies.utils", Part.OPERATION | Part.SOCKET, "solve_dependencies"),
    Names("ferroapi.dependencies.utils", Part.OPERATION | Part.SOCKET | Part.RECEIVED, "request_params_to_args"),
    Names("ferroapi.dependencies.utils", Part.OPERATION | Part.SOCKET, "_solve_generator get_missing_field_error"),
    Names("ferroapi.dependencies.utils", Part.OPERATION | Part.SOCKET, "SolvedDependency deepcopy"),
    Names("ferroapi.dependencies.utils", Part.OPERATION | Part.SOCKET, "Response BackgroundTasks SecurityScopes"),
    Names("ferroapi.dependencies.utils", Part.OPERATION | Part.SOCKET, "_get_multidict_value"),
    Names("ferroapi.dependencies.utils", Part.OPERATION | Part.SOCKET, "_get_cache_key _get_oauth_scopes"),
    Names("ferroapi.dependencies.utils", Part.OPERATION | Part.SOCKET, "_is_gen_callable _is_async_gen_callable"),
    Names("ferroapi.dependencies.utils", Part.OPERATION | Part.SOCKET, "_is_coroutine_callable"),
    Names("ferroapi.dependencies.utils", Part.OPERATION | Part.SOCKET, "_asynccontextmanager_with_shielded_exit"),
    Names("ferroapi.dependencies.utils", Part.OPERATION | Part.SOCKET, "asynccontextmanager AsyncExitStack"),
    Names("ferroapi.dependencies.utils", Part.OPERATION, "Request"),
    Names("ferroapi.dependencies.utils", Part.SOCKET, "WebSocket"),
    Names(
        "ferroapi.dependencies.utils",
        Part.OPERATION | Part.SOCKET | Part.FIELD,
        "lenient_issubclass get_cached_model_fields field_annotation_is_sequence is_bytes_sequence_annotation",
    ),
    Names(
        "ferroapi.dependencies.utils",
        Part.OPERATION | Part.SOCKET | Part.FIELD,
        "get_validation_alias _get_param_aliases _get_param_model _get_model_type _is_json_field",
    ),
    Names(
        "ferroapi.dependencies.utils",
        Part.OPERATION | Part.SOCKET | Part.FIELD,
        "_get_form_models _get_form_union_models is_bytes_or_nonable_bytes_annotation",
    ),
    Names(
        "ferroapi.dependencies.utils",
        Part.OPERATION | Part.SOCKET | Part.FIELD,
        "get_origin get_args params BaseModel Json",
    ),
    Names("ferroapi.params", Part.OPERATION | Part.SOCKET | Part.FIELD, "Param Path Query Header Cookie Form File"),
    Names(
        "ferroapi.dependencies.utils",
        Part.OPERATION | Part.SOCKET,
        "_request_param_model_to_args _validate_value_with_model_field _get_multidict_extras",
    ),
    Names("ferroapi.dependencies.utils", Part.BODY | Part.FORM, "_should_embed_body_fields"),
    Names("ferroapi.dependencies.utils", Part.FORM, "_extract_form_model _is_empty_file_input _read_file_bytes"),
    Names("ferroapi._compat.v2:ModelField", Part.OPERATION | Part.SOCKET | Part.FIELD, "alias validation_alias"),
    Names(
        "ferroapi._compat.shared",
        Part.OPERATION | Part.SOCKET | Part.FIELD,
        "lenient_issubclass field_annotation_is_sequence is_bytes_or_nonable_bytes_annotation get_origin "
        "get_args _annotation_is_sequence",
    ),
    Names("ferroapi._compat.v2", Part.OPERATION | Part.SOCKET | Part.ITEM, "ValidationError"),
    Names(
        "ferroapi.dependencies.models",
        Part.OPERATION | Part.SOCKET,
        "_get_oauth_scopes _get_computed_scope _uses_scopes _is_security_scheme _unwrapped_call _impartial inspect",
    ),
    Names(
        "ferroapi.dependencies.models",
        Part.OPERATION | Part.SOCKET,
        "_is_gen_callable _is_gen_callable_cached _is_async_gen_callable _is_async_gen_callable_cached",
    ),
    Names("ferroapi.dependencies.models", Part.OPERATION | Part.SOCKET, "_is_coroutine_callable_cached _CallIdentity"),
    Names("ferroapi.encoders", Part.JSON | Part.ERROR | Part.ITEM, "dataclasses BaseModel Enum PurePath"),
    Names("ferroapi.exceptions:ValidationException", Part.ERROR, "__init__ errors"),
    Names("ferroapi._compat.v2:ModelField", Part.OPERATION | Part.SOCKET, "default"),
    Names("ferroapi.dependencies.utils", Part.FORM, "ImmutableMultiDict FormData"),
    Names("ferroapi._compat.v2", Part.OPERATION | Part.SOCKET | Part.ITEM, "_regenerate_error_with_loc"),
    Names("ferroapi.concurrency", Part.OPERATION | Part.SOCKET, "anyio checkpoint_if_cancelled"),
    Names("ferroapi.telemetry._api", Part.THREAD, "_operation"),
    Names("ferroapi.telemetry._api", Part.OPERATION | Part.SOCKET | Part.THREAD, "_get_request_telemetry"),
    Names("ferroapi.dependencies.utils", Part.BODY | Part.FORM, "request_body_to_args"),
    Names("ferroapi.dependencies.utils", Part.FORM, "_extract_form_body _extract_form_items _is_form_model_supplied"),
    Names("ferroapi.dependencies.utils", Part.THREAD, "run_in_threadpool contextmanager_in_threadpool contextmanager"),
    Names("ferroapi.concurrency", Part.THREAD, "run_in_threadpool"),
    Names("starlette.concurrency", Part.THREAD, "anyio"),
    Names("anyio", Part.THREAD, "to_thread"),
    Names("anyio.to_thread", Part.THREAD, "run_sync"),
    Names("ferroapi.encoders", Part.JSON | Part.ERROR | Part.ITEM, "jsonable_encoder is_pydantic_v1_model_instance"),
    Names("ferroapi.exception_handlers", Part.ERROR, "jsonable_encoder JSONResponse Response"),
    Names("ferroapi.exception_handlers", Part.ERROR, "is_body_allowed_for_status_code"),
    Names("starlette.responses", Part.JSON | Part.ERROR, "json"),
    Names("starlette.middleware.exceptions", Part.ENTRANCE, "wrap_app_handling_exceptions Request WebSocket"),
    Names("ferroapi.middleware.asyncexitstack", Part.ENTRANCE, "AsyncExitStack"),
    Names("ferroapi.routing:APIRouter", Part.ROUTE, "matches handle _get_routes_version"),
    Names("ferroapi.routing:APIRouter", Part.ROUTE, "_iter_low_priority_routes _match_low_priority"),
    Names("ferroapi.routing:_IncludedRouter", Part.ROUTE, "matches handle _match _handle_selected"),
    Names("ferroapi.routing:_IncludedRouter", Part.ROUTE, "effective_candidates effective_low_priority_routes"),
    Names("ferroapi.routing:_EffectiveRouteContext", Part.ROUTE, "matches"),
    Names("starlette.routing:Mount", Part.ROUTE, "matches handle"),
    Names("starlette.routing:Host", Part.ROUTE, "matches handle"),
    Names("ferroapi.routing:APIRoute", Part.ROUTE, "matches handle"),
    Names("ferroapi.routing:APIWebSocketRoute", Part.ROUTE, "matches handle"),
    Names("starlette.routing:Route", Part.ROUTE, "matches handle"),
    Names("starlette.routing:WebSocketRoute", Part.ROUTE, "matches handle"),
    *(
        Names(f"starlette.convertors:{kind}Convertor", Part.ROUTE, "convert")
        for kind in ("String", "Path", "Integer", "Float", "UUID")
    ),
    Names("ferroapi._compat.v2:ModelField", Part.OPERATION | Part.SOCKET | Part.ITEM, "validate get_default"),
    Names("ferroapi._compat.v2:ModelField", Part.MODEL | Part.ITEM, "serialize serialize_json"),
    Names("pydantic.type_adapter:TypeAdapter", Part.OPERATION | Part.SOCKET | Part.ITEM, "validate_python"),
    Names("pydantic.type_adapter:TypeAdapter", Part.MODEL | Part.ITEM, "dump_python dump_json"),
    Names(
        "starlette.requests:HTTPConnection",
        Part.OPERATION | Part.SOCKET | Part.RECEIVED,
        "headers query_params cookies path_params",
    ),
    Names("starlette.requests:HTTPConnection", Part.OPERATION | Part.SOCKET | Part.ENTRANCE, "__init__"),
    Names("starlette.requests:Request", Part.OPERATION | Part.ENTRANCE, "__init__"),
    Names("starlette.requests:Request", Part.OPERATION, "method"),
    Names("starlette.requests", Part.OPERATION | Part.SOCKET | Part.RECEIVED, "Headers QueryParams cookie_parser"),
    Names("starlette.requests", Part.FORM | Part.MULTIPART, "FormParser parse_options_header"),
    Names("starlette.formparsers:FormParser", Part.FORM, "__init__ parse"),
    Names("starlette.formparsers:FormParser", Part.FORM, "on_field_start on_field_name on_field_data on_field_end"),
    Names("starlette.formparsers", Part.FORM, "FormData unquote_plus"),
    Names("starlette.formparsers", Part.FORM | Part.MULTIPART, "multipart"),
    Names("starlette.formparsers", Part.MULTIPART, "Headers MultipartPart parse_options_header _user_safe_decode"),
    Names("starlette.datastructures:FormData", Part.FORM | Part.MULTIPART, "__init__ close"),
    Names("starlette._exception_handler", Part.ERROR, "_lookup_exception_handler is_async_callable"),
    Names("starlette.responses", Part.STREAM, "create_collapsing_task_group"),
    Names("starlette.datastructures", Part.OPERATION | Part.SOCKET | Part.RECEIVED, "parse_qsl"),
    Names(
        "starlette.datastructures:Headers",
        Part.OPERATION | Part.SOCKET | Part.RECEIVED,
        "__init__ __getitem__ __contains__ getlist items get",
    ),
    Names("starlette.datastructures:QueryParams", Part.OPERATION | Part.SOCKET | Part.RECEIVED, "__init__"),
    Names(
        "starlette.datastructures:ImmutableMultiDict",
        Part.OPERATION | Part.SOCKET | Part.RECEIVED,
        "__init__ __getitem__ __contains__ getlist multi_items get",
    ),
    Names("starlette._utils", Part.STREAM, "anyio"),
    Names("starlette.responses", Part.STREAM, "partial"),
    Names("starlette.requests", Part.BODY | Part.FORM | Part.MULTIPART, "aclosing"),
    Names("starlette.requests", Part.FORM | Part.MULTIPART, "AwaitableOrContextManagerWrapper"),
    Names("starlette.routing", Part.ROUTE, "get_route_path HTTPException"),
    Names("starlette._utils:AwaitableOrContextManagerWrapper", Part.FORM | Part.MULTIPART, "__init__ __await__"),
    Names("starlette.datastructures:UploadFile", Part.MULTIPART, "__init__ write seek _will_roll"),
    Names("ferroapi.exceptions:RequestValidationError", Part.ERROR, "__init__ errors"),
    Names("starlette.requests:Request", Part.BODY | Part.FORM, "stream body json _get_form form"),
    Names("starlette.requests:Request", Part.MULTIPART, "form _get_form"),
    Names("starlette.requests", Part.MULTIPART, "MultiPartParser"),
    # Starlette makes a file as soon as its part begins, whether or not the body ends well.
    Names("starlette.formparsers", Part.FORM, "SpooledTemporaryFile"),
    Names(
        "starlette.formparsers:MultiPartParser",
        Part.MULTIPART,
        "__init__ parse on_part_begin on_part_data on_part_end on_header_field on_header_value on_header_end "
        "on_headers_finished on_end",
    ),
    Names("starlette.requests", Part.BODY, "json"),
    Names("json", Part.BODY, "loads detect_encoding _default_decoder"),
    Names("json.decoder:JSONDecoder", Part.BODY, "decode raw_decode"),
    Names("starlette.responses:Response", Part.OPERATION | Part.SOCKET | Part.ERROR, "__init__ init_headers render"),
    Names("starlette.responses:Response", Part.OPERATION | Part.ERROR, "__call__"),
    Names("starlette.responses:Response", Part.OPERATION | Part.SOCKET | Part.ERROR, "headers"),
    Names("starlette.responses", Part.OPERATION | Part.SOCKET, "MutableHeaders"),
    Names("starlette.datastructures:MutableHeaders", Part.OPERATION | Part.SOCKET, "raw __delitem__"),
    Names("starlette.responses:JSONResponse", Part.OPERATION | Part.ERROR, "init_headers __call__"),
    Names("starlette.responses:PlainTextResponse", Part.OPERATION, "__call__"),
    Names("starlette.responses:HTMLResponse", Part.OPERATION, "__call__"),
    Names("starlette.responses:JSONResponse", Part.JSON | Part.ERROR, "__init__ render"),
    Names("json", Part.JSON | Part.ERROR, "dumps JSONEncoder"),
    Names("json.encoder:JSONEncoder", Part.JSON | Part.ERROR, "__init__ encode iterencode"),
    Names("json.encoder", Part.JSON | Part.ERROR, "encode_basestring c_make_encoder float"),
    Names("starlette.responses:Response", Part.OPERATION | Part.SOCKET | Part.ERROR, "media_type charset"),
    Names("starlette.responses:JSONResponse", Part.JSON | Part.ERROR, "media_type charset"),
    Names("starlette.responses:PlainTextResponse", Part.TEXT, "media_type charset"),
    Names("starlette.responses:HTMLResponse", Part.TEXT, "media_type charset"),
    Names("starlette.responses:PlainTextResponse", Part.TEXT, "__init__ render init_headers"),
    Names("starlette.responses:HTMLResponse", Part.TEXT, "__init__ render init_headers"),
    Names("starlette.responses:RedirectResponse", Part.OPERATION, "__call__"),
    Names("ferroapi.security.api_key:APIKeyBase", Part.KEY, "check_api_key"),
    Names("ferroapi.security.api_key:APIKeyHeader", Part.KEY, "__call__"),
    Names("ferroapi.security.api_key:APIKeyQuery", Part.KEY, "__call__"),
    Names("ferroapi.security.api_key:APIKeyCookie", Part.KEY, "__call__"),
    Names("ferroapi.security.open_id_connect_url:OpenIdConnect", Part.KEY, "__call__"),
    Names("ferroapi.security.oauth2:OAuth2", Part.KEY, "__call__"),
    Names("ferroapi.security.oauth2:OAuth2PasswordBearer", Part.OAUTH2, "__call__"),
    Names("ferroapi.security.oauth2:OAuth2AuthorizationCodeBearer", Part.OAUTH2, "__call__"),
    Names("ferroapi.security.oauth2", Part.OAUTH2, "get_authorization_scheme_param"),
    Names("ferroapi.security.http:HTTPBase", Part.AUTHORIZATION, "__call__"),
    Names("ferroapi.security.http:HTTPBearer", Part.AUTHORIZATION, "__call__"),
    Names("ferroapi.security.http:HTTPDigest", Part.AUTHORIZATION, "__call__"),
    Names("ferroapi.security.http:HTTPBasic", Part.AUTHORIZATION, "__call__"),
    Names(
        "ferroapi.security.http",
        Part.AUTHORIZATION,
        "HTTPAuthorizationCredentials HTTPBasicCredentials b64decode get_authorization_scheme_param",
    ),
    Names("starlette.responses:StreamingResponse", Part.STREAM, "__call__ stream_response listen_for_disconnect"),
    Names(
        "ferroapi.dependencies.utils",
        Part.DECLARATION,
        "analyze_param ParamDetails add_non_field_param_to_dependency is_typealiastype lenient_issubclass "
        "create_model_field "
        "is_uploadfile_or_nonable_uploadfile_annotation is_uploadfile_sequence_annotation "
        "field_annotation_is_scalar is_scalar_field get_typed_signature get_typed_annotation _get_signature",
    ),
    Names(
        "ferroapi._compat.shared",
        Part.DECLARATION,
        "BaseModel lenient_issubclass field_annotation_is_scalar field_annotation_is_complex",
    ),
    Names("ferroapi.params", Part.DECLARATION, "Path Query Body"),
    Names("ferroapi.routing", Part.DECLARATION, "compile_path"),
    *(Names(f"ferroapi.params:{name}", Part.DECLARATION, "__init__") for name in ("Path", "Query", "Param", "Body")),
    Names("pydantic.fields:FieldInfo", Part.DECLARATION, "__init__"),
    Names("inspect", Part.DECLARATION, "signature"),
    Names("ferroapi.openapi.utils", Part.DOCUMENT, "jsonable_encoder get_flat_models_from_fields OpenAPI"),
    Names("ferroapi.encoders", Part.DOCUMENT, "BaseModel"),
    # A plain field is made without its adapter, and its type is not asked for a model of pydantic's first version.
    Names("ferroapi._compat.v2", Part.DECLARATION, "TypeAdapter Field asdict"),
    Names("ferroapi.utils", Part.DECLARATION, "annotation_is_pydantic_v1"),
)
"""What is looked at in each request."""


PUBLISHED = {
    "Response.media_type": None,
    "Response.charset": "utf-8",
    "JSONResponse.media_type": "application/json",
    "PlainTextResponse.media_type": "text/plain",
    "HTMLResponse.media_type": "text/html",
}
"""The attributes of Starlette's classes that are values, as it publishes them."""


def rows_as_found(owner: Any, *names: str) -> Iterator[Row]:
    """Yield rows of what names of a class, a module or an instance mean now, whatever that is."""
    if not isinstance(owner, type | ModuleType):
        # From Python 3.13 on an instance keeps attributes without a dict, and nobody is told when they are set. A dict
        # that was given to it is used.
        owner.__dict__ = dict(vars(owner))
    for each in owner.__mro__[:-1] if isinstance(owner, type) else (owner,):
        for name in names:
            found = vars(each).get(name)
            lacks = found is None
            yield Row(owner=each, name=name, parts=1, original=found, may_lack=lacks, is_defined=None, label=name)


def _places_of(owner: Any, name: str) -> Iterator[tuple[Any, bool]]:
    """Yield where it is seen whether a name of a module or a class means what its definition does.

    With each owner comes whether it may lack the name, which is its base's then.
    """
    for each in owner.__mro__[:-1] if isinstance(owner, type) else (owner,):
        is_there = name in vars(each)
        yield each, not is_there
        if is_there:
            return


def _row(owner: Any, name: str, parts: int, *, may_lack: bool) -> Row:
    qualified = f"{owner.__qualname__}.{name}" if isinstance(owner, type) else name
    found = vars(owner).get(name)
    if found is None and not isinstance(owner, type):
        # It is found in another way, as long as nobody sets it, is a name of Python's own, or
        # none of this version of the package.
        found = getattr(owner, name, None)
    check: Callable[[Any], bool] | None = None
    if qualified in PUBLISHED:
        found, check = None, partial(eq, PUBLISHED[qualified])
    elif found is not None and not _is_own(owner) and not is_defined(found, qualified):
        found, check = None, partial(is_defined, qualified=qualified)
    module = owner.__module__ if isinstance(owner, type) else owner.__name__
    return Row(
        owner=owner,
        name=name,
        parts=parts,
        original=found,
        may_lack=may_lack,
        is_defined=check,
        label=f"{module}.{qualified}",
    )


def _is_own(owner: Any) -> bool:
    """Tell whether it is a class of this package: nobody can have replaced its methods before it was imported."""
    # Under the alias the package has FastAPI's name.
    return isinstance(owner, type) and owner.__module__.partition(".")[0] == __name__.partition(".")[0]


def owner_of(path: str) -> Any:
    """Return the module or the class that a path of the table names."""
    module, _, name = path.partition(":")
    owner = import_module(module)
    return getattr_static(owner, name) if name else owner


def _table() -> list[Row]:
    parts_of: dict[tuple[Any, str, bool], int] = {}
    for owner, parts, names in REQUEST:
        for name in names.split():
            for place, may_lack in _places_of(owner_of(owner), name):
                key = place, name, may_lack
                parts_of[key] = parts_of.get(key, 0) | parts
    return [_row(owner, name, parts, may_lack=lacks) for (owner, name, lacks), parts in parts_of.items()]


def install() -> None:
    """Begin to watch, when all that the table names is there."""
    global _witness
    _witness = _core.Witness.install(_table(), Part.ENTRANCE | Part.ROUTE, follow)


_witness: _core.Witness


def replaced_names(parts: int) -> list[str]:
    """Return what was replaced of that which these parts stand for, as `explain` prints it."""
    return _witness.names(parts)
