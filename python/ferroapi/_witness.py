"""The names that the engine stands for, as one table: whoever replaces one of them is asked again, by way of Python.

A row is an owner, a name, and the parts of the engine that do in its place what it does. `rust/core/src/witness.rs`
looks at the rows when a module or a class of them was modified, and `_core.is_replaced` answers for a part.
"""

from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from inspect import getattr_static
from operator import eq, is_
from sys import version_info
from types import GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any

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
    """From what an endpoint has returned to what its response is made of."""
    REQUEST = 1 << 23
    """The `Request` of a path operation."""
    HANDLE = 1 << 24
    """From the route that was selected to its application."""


_BOTH = Part.OPERATION | Part.SOCKET
"""From the application of a route or a websocket to its end."""

REQUEST: dict[str, dict[int, str]] = {
    "anyio": {Part.THREAD: "to_thread"},
    "anyio.to_thread": {Part.THREAD: "run_sync"},
    "ferroapi._compat.shared": {
        _BOTH | Part.FIELD: "lenient_issubclass field_annotation_is_sequence is_bytes_or_nonable_bytes_annotation "
        "get_origin get_args _annotation_is_sequence",
        Part.DECLARATION: "BaseModel lenient_issubclass field_annotation_is_scalar field_annotation_is_complex",
    },
    "ferroapi._compat.v2": {
        _BOTH | Part.ITEM: "ValidationError _regenerate_error_with_loc",
        # A plain field is made without its adapter.
        Part.DECLARATION: "TypeAdapter Field asdict",
    },
    "ferroapi._compat.v2:ModelField": {
        _BOTH | Part.FIELD: "alias validation_alias",
        _BOTH: "default",
        _BOTH | Part.ITEM: "validate get_default",
        Part.MODEL | Part.ITEM: "serialize serialize_json",
    },
    "ferroapi.concurrency": {
        _BOTH: "anyio checkpoint_if_cancelled",
        Part.THREAD: "run_in_threadpool",
    },
    "ferroapi.dependencies.models": {
        _BOTH: "_get_oauth_scopes _get_computed_scope _uses_scopes _is_security_scheme _unwrapped_call _impartial "
        "inspect _is_gen_callable _is_gen_callable_cached _is_async_gen_callable _is_async_gen_callable_cached "
        "_is_coroutine_callable_cached _CallIdentity",
    },
    "ferroapi.dependencies.utils": {
        _BOTH: "solve_dependencies _solve_generator get_missing_field_error SolvedDependency deepcopy Response "
        "BackgroundTasks SecurityScopes _get_multidict_value _get_cache_key _get_oauth_scopes _is_gen_callable "
        "_is_async_gen_callable _is_coroutine_callable _asynccontextmanager_with_shielded_exit asynccontextmanager "
        "AsyncExitStack _request_param_model_to_args _validate_value_with_model_field _get_multidict_extras",
        _BOTH | Part.RECEIVED: "request_params_to_args",
        Part.OPERATION: "Request",
        Part.SOCKET: "WebSocket",
        _BOTH | Part.FIELD: "lenient_issubclass get_cached_model_fields field_annotation_is_sequence "
        "is_bytes_sequence_annotation get_validation_alias _get_param_aliases _get_param_model _get_model_type "
        "_is_json_field _get_form_models _get_form_union_models is_bytes_or_nonable_bytes_annotation get_origin "
        "get_args params BaseModel Json",
        Part.BODY | Part.FORM: "_should_embed_body_fields request_body_to_args",
        Part.FORM: "_extract_form_model _is_empty_file_input _read_file_bytes ImmutableMultiDict FormData "
        "_extract_form_body _extract_form_items _is_form_model_supplied",
        Part.THREAD: "run_in_threadpool contextmanager_in_threadpool contextmanager",
        Part.DECLARATION: "analyze_param ParamDetails add_non_field_param_to_dependency is_typealiastype "
        "lenient_issubclass create_model_field is_uploadfile_or_nonable_uploadfile_annotation "
        "is_uploadfile_sequence_annotation field_annotation_is_scalar is_scalar_field get_typed_signature "
        "get_typed_annotation _get_signature",
    },
    "ferroapi.encoders": {
        Part.JSON | Part.ITEM | Part.ERROR: "dataclasses BaseModel Enum PurePath jsonable_encoder "
        "is_pydantic_v1_model_instance",
        Part.DOCUMENT: "BaseModel",
    },
    "ferroapi.exception_handlers": {
        Part.ERROR: "jsonable_encoder JSONResponse Response is_body_allowed_for_status_code",
    },
    "ferroapi.exceptions:RequestValidationError": {Part.ERROR: "__init__ errors"},
    "ferroapi.exceptions:ValidationException": {Part.ERROR: "__init__ errors"},
    "ferroapi.middleware.asyncexitstack": {Part.ENTRANCE: "AsyncExitStack"},
    "ferroapi.openapi.utils": {Part.DOCUMENT: "jsonable_encoder get_flat_models_from_fields OpenAPI"},
    "ferroapi.params": {
        _BOTH | Part.FIELD: "Param Path Query Header Cookie Form File",
        Part.DECLARATION: "Path Query Body",
    },
    "ferroapi.params:Body": {Part.DECLARATION: "__init__"},
    "ferroapi.params:Param": {Part.DECLARATION: "__init__"},
    "ferroapi.params:Path": {Part.DECLARATION: "__init__"},
    "ferroapi.params:Query": {Part.DECLARATION: "__init__"},
    "ferroapi.routing": {
        Part.OPERATION: "request_response Request Response is_body_allowed_for_status_code RequestValidationError "
        "ResponseValidationError _is_gen_callable _is_async_gen_callable",
        Part.STEP: "solve_dependencies run_endpoint_function",
        Part.SERIALIZATION: "serialize_response",
        _BOTH: "AsyncExitStack wrap_app_handling_exceptions _operation _extract_endpoint_context _validation_failed "
        "get_telemetry_data",
        Part.SOCKET: "WebSocket WebSocketRequestValidationError",
        Part.FORM: "_resolve_form_limits",
        Part.ITEM: "anyio json _normalize_non_finite_floats format_sse_event ServerSentEvent",
        Part.ROUTE: "_route_selected _update_scope _get_fastapi_scope get_route_path routing "
        "_get_scope_effective_route_context _get_scope_included_router _restore_fastapi_scope_key "
        "_apply_router_form_limits",
        Part.BODY: "email",
        Part.JSON | Part.TEXT | Part.ITEM: "jsonable_encoder",
        Part.THREAD: "run_in_threadpool _run_sync_endpoint",
        Part.DECLARATION: "compile_path",
    },
    "ferroapi.routing:APIRoute": {Part.ROUTE: "matches", Part.HANDLE: "handle"},
    "ferroapi.routing:APIRouter": {
        Part.ROUTE: "matches handle _get_routes_version _iter_low_priority_routes _match_low_priority",
    },
    "ferroapi.routing:APIWebSocketRoute": {Part.ROUTE: "matches", Part.HANDLE: "handle"},
    "ferroapi.routing:_EffectiveRouteContext": {Part.ROUTE: "matches"},
    "ferroapi.routing:_IncludedRouter": {
        Part.ROUTE: "matches handle _match _handle_selected effective_candidates effective_low_priority_routes",
    },
    "ferroapi.security.api_key:APIKeyBase": {Part.KEY: "check_api_key"},
    "ferroapi.security.api_key:APIKeyCookie": {Part.KEY: "__call__"},
    "ferroapi.security.api_key:APIKeyHeader": {Part.KEY: "__call__"},
    "ferroapi.security.api_key:APIKeyQuery": {Part.KEY: "__call__"},
    "ferroapi.security.http": {
        Part.AUTHORIZATION: "HTTPAuthorizationCredentials HTTPBasicCredentials b64decode "
        "get_authorization_scheme_param",
    },
    "ferroapi.security.http:HTTPBase": {Part.AUTHORIZATION: "__call__"},
    "ferroapi.security.http:HTTPBasic": {Part.AUTHORIZATION: "__call__"},
    "ferroapi.security.http:HTTPBearer": {Part.AUTHORIZATION: "__call__"},
    "ferroapi.security.http:HTTPDigest": {Part.AUTHORIZATION: "__call__"},
    "ferroapi.security.oauth2": {Part.OAUTH2: "get_authorization_scheme_param"},
    "ferroapi.security.oauth2:OAuth2": {Part.KEY: "__call__"},
    "ferroapi.security.oauth2:OAuth2AuthorizationCodeBearer": {Part.OAUTH2: "__call__"},
    "ferroapi.security.oauth2:OAuth2PasswordBearer": {Part.OAUTH2: "__call__"},
    "ferroapi.security.open_id_connect_url:OpenIdConnect": {Part.KEY: "__call__"},
    "ferroapi.telemetry._api": {
        Part.THREAD: "_operation",
        _BOTH | Part.THREAD: "_get_request_telemetry",
    },
    # A plain type is not asked for a model of pydantic's first version.
    "ferroapi.utils": {Part.DECLARATION: "annotation_is_pydantic_v1"},
    "inspect": {Part.DECLARATION: "signature"},
    "json": {
        Part.BODY: "loads detect_encoding _default_decoder",
        Part.JSON | Part.ERROR: "dumps JSONEncoder",
    },
    "json.decoder:JSONDecoder": {Part.BODY: "decode raw_decode"},
    "json.encoder": {Part.JSON | Part.ERROR: "encode_basestring c_make_encoder float"},
    "json.encoder:JSONEncoder": {Part.JSON | Part.ERROR: "__init__ encode iterencode"},
    "pydantic.fields:FieldInfo": {Part.DECLARATION: "__init__"},
    "pydantic.type_adapter:TypeAdapter": {
        _BOTH | Part.ITEM: "validate_python",
        Part.MODEL | Part.ITEM: "dump_python dump_json",
    },
    "starlette._exception_handler": {Part.ERROR: "_lookup_exception_handler is_async_callable"},
    "starlette._utils": {Part.STREAM: "anyio"},
    "starlette._utils:AwaitableOrContextManagerWrapper": {Part.FORM | Part.MULTIPART: "__init__ __await__"},
    "starlette.concurrency": {Part.THREAD: "anyio"},
    "starlette.convertors:FloatConvertor": {Part.ROUTE: "convert"},
    "starlette.convertors:IntegerConvertor": {Part.ROUTE: "convert"},
    "starlette.convertors:PathConvertor": {Part.ROUTE: "convert"},
    "starlette.convertors:StringConvertor": {Part.ROUTE: "convert"},
    "starlette.convertors:UUIDConvertor": {Part.ROUTE: "convert"},
    "starlette.datastructures": {_BOTH | Part.RECEIVED: "parse_qsl"},
    "starlette.datastructures:FormData": {Part.FORM | Part.MULTIPART: "__init__ close"},
    "starlette.datastructures:Headers": {_BOTH | Part.RECEIVED: "__init__ __getitem__ __contains__ getlist items get"},
    "starlette.datastructures:ImmutableMultiDict": {
        _BOTH | Part.RECEIVED: "__init__ __getitem__ __contains__ getlist multi_items get",
    },
    "starlette.datastructures:MutableHeaders": {_BOTH: "raw __delitem__"},
    "starlette.datastructures:QueryParams": {_BOTH | Part.RECEIVED: "__init__"},
    "starlette.datastructures:UploadFile": {Part.MULTIPART: "__init__ write seek _will_roll"},
    "starlette.formparsers": {
        # Starlette makes a file as soon as its part begins, whether or not the body ends well.
        Part.FORM: "FormData unquote_plus SpooledTemporaryFile",
        Part.FORM | Part.MULTIPART: "multipart",
        Part.MULTIPART: "Headers MultipartPart parse_options_header _user_safe_decode",
    },
    "starlette.formparsers:FormParser": {
        Part.FORM: "__init__ parse on_field_start on_field_name on_field_data on_field_end",
    },
    "starlette.formparsers:MultiPartParser": {
        Part.MULTIPART: "__init__ parse on_part_begin on_part_data on_part_end on_header_field on_header_value "
        "on_header_end on_headers_finished on_end",
    },
    "starlette.middleware.exceptions": {Part.ENTRANCE: "wrap_app_handling_exceptions Request WebSocket"},
    "starlette.requests": {
        _BOTH | Part.RECEIVED: "Headers QueryParams cookie_parser",
        Part.FORM | Part.MULTIPART: "FormParser parse_options_header AwaitableOrContextManagerWrapper",
        Part.BODY | Part.FORM | Part.MULTIPART: "aclosing",
        Part.MULTIPART: "MultiPartParser",
        Part.BODY: "json",
    },
    "starlette.requests:HTTPConnection": {
        _BOTH | Part.RECEIVED: "headers query_params cookies path_params",
        _BOTH | Part.ENTRANCE: "__init__",
    },
    "starlette.requests:Request": {
        Part.ENTRANCE | Part.REQUEST: "__init__",
        Part.OPERATION: "method",
        Part.BODY | Part.FORM: "stream body json _get_form form",
        Part.MULTIPART: "form _get_form",
    },
    "starlette.responses": {
        Part.JSON | Part.ERROR: "json",
        Part.STREAM: "create_collapsing_task_group partial",
        _BOTH: "MutableHeaders",
    },
    "starlette.responses:HTMLResponse": {
        Part.OPERATION: "__call__",
        Part.TEXT: "media_type charset __init__ render init_headers",
    },
    "starlette.responses:JSONResponse": {
        Part.OPERATION | Part.ERROR: "init_headers __call__",
        Part.JSON | Part.ERROR: "__init__ render media_type charset",
    },
    "starlette.responses:PlainTextResponse": {
        Part.OPERATION: "__call__",
        Part.TEXT: "media_type charset __init__ render init_headers",
    },
    "starlette.responses:RedirectResponse": {Part.OPERATION: "__call__"},
    "starlette.responses:Response": {
        _BOTH | Part.ERROR: "__init__ init_headers render headers media_type charset",
        Part.OPERATION | Part.ERROR: "__call__",
    },
    "starlette.responses:StreamingResponse": {Part.STREAM: "__call__ stream_response listen_for_disconnect"},
    "starlette.routing": {Part.ROUTE: "get_route_path HTTPException"},
    "starlette.routing:Host": {Part.ROUTE: "matches", Part.HANDLE: "handle"},
    "starlette.routing:Mount": {Part.ROUTE: "matches", Part.HANDLE: "handle"},
    "starlette.routing:Route": {Part.ROUTE: "matches", Part.HANDLE: "handle"},
    "starlette.routing:WebSocketRoute": {Part.ROUTE: "matches", Part.HANDLE: "handle"},
}
"""What is looked at in each request: the names that each part stands for, by owner (`module` or `module:Class`)."""


PUBLISHED = {
    "Response.media_type": None,
    "Response.charset": "utf-8",
    "JSONResponse.media_type": "application/json",
    "PlainTextResponse.media_type": "text/plain",
    "HTMLResponse.media_type": "text/html",
}
"""The attributes of Starlette's classes that are values, as it publishes them."""


def own_attributes(instance: Any) -> dict[str, Any] | None:
    """Return the dict of an instance, None if its class keeps attributes in another way.

    No code of the class is run: it may be frozen, or stand for another object.
    """
    found = next((vars(each)["__dict__"] for each in type(instance).__mro__ if "__dict__" in vars(each)), None)
    if type(found) is not GetSetDescriptorType:
        return None
    try:
        attributes: dict[str, Any] = found.__get__(instance)
        if version_info >= (3, 13):
            # An instance keeps attributes beside its dict there, and nobody is told when they are set. What it is
            # given is used, even if it is its own; it must be, as others may have it.
            object.__setattr__(instance, "__dict__", attributes)
    except (AttributeError, TypeError):
        # It is that of a proxy written in C.
        return None
    return attributes


def layer_below(layer: Any) -> Any:
    """Return what a layer of middleware keeps as `app`, None if only code of its own could tell."""
    found = getattr_static(layer, "app", None)
    if type(found) is not MemberDescriptorType:
        return found
    try:
        return found.__get__(layer)
    except AttributeError:
        # A slot without a value.
        return None


def rows_as_found(owner: Any, *names: str) -> Iterator[Row]:
    """Yield rows of what names of a class, a module, an instance or a dict mean now, whatever that is."""
    if isinstance(owner, type):
        namespaces: tuple[Any, ...] = owner.__mro__[:-1]
    elif type(owner) is dict:
        namespaces = (owner,)
    else:
        attributes = vars(owner) if isinstance(owner, ModuleType) else own_attributes(owner)
        namespaces = () if attributes is None else (attributes,)
    for each in namespaces:
        values = vars(each) if isinstance(each, type) else each
        for name in names:
            lacks = name not in values
            found = None if lacks else values.get(name)
            # A row without an object and a check says that nothing is there.
            check = None if lacks or found is not None else partial(is_, None)
            yield Row(owner=each, name=name, parts=1, original=found, may_lack=lacks, is_defined=check, label=name)


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


def watched_names() -> Iterator[tuple[str, str, int]]:
    """Yield the owner, the name and the parts of each entry of the table."""
    for owner, names_of in REQUEST.items():
        for parts, names in names_of.items():
            yield from ((owner, name, parts) for name in names.split())


def owner_of(path: str) -> Any:
    """Return the module or the class that a path of the table names."""
    module, _, name = path.partition(":")
    owner = import_module(module)
    return getattr_static(owner, name) if name else owner


def _table() -> list[Row]:
    parts_of: dict[tuple[Any, str, bool], int] = {}
    for owner, name, parts in watched_names():
        for place, may_lack in _places_of(owner_of(owner), name):
            key = place, name, may_lack
            parts_of[key] = parts_of.get(key, 0) | parts
    return [_row(owner, name, parts, may_lack=lacks) for (owner, name, lacks), parts in parts_of.items()]


def install() -> None:
    """Begin to watch, when all that the table names is there."""
    global _witness
    _witness = _core.Witness.install(_table(), Part.ENTRANCE | Part.ROUTE | Part.HANDLE, follow)


_witness: _core.Witness


def replaced_names(parts: int) -> list[str]:
    """Return what was replaced of that which these parts stand for, as `explain` prints it."""
    return _witness.names(parts)
