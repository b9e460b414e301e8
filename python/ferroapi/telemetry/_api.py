"""What the rest of the package says to telemetry: a route was chosen, an operation runs, a validation failed.

Every call is cheap where nobody listens, and opentelemetry is imported only where somebody does.
"""

import os
import sys
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from time import time_ns
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from uuid import uuid4

from starlette.exceptions import HTTPException, WebSocketException
from starlette.requests import Request
from starlette.websockets import WebSocket, WebSocketDisconnect
from typing_extensions import TypedDict

from ferroapi import _core
from ferroapi._witness import rows_as_found
from ferroapi.exceptions import RequestValidationError, WebSocketRequestValidationError

if TYPE_CHECKING:
    from opentelemetry import _logs as otel_logs
    from opentelemetry import context as otel_context
    from opentelemetry import metrics as otel_metrics
    from opentelemetry import trace as otel_trace
else:

    class _LateModule:
        """A module of opentelemetry that is imported when somebody evaluates an annotation with a name of it."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, name: str) -> Any:
            return getattr(import_module(f"opentelemetry.{self._name}"), name)

    otel_logs, otel_context = _LateModule("_logs"), _LateModule("context")
    otel_metrics, otel_trace = _LateModule("metrics"), _LateModule("trace")

INSTRUMENTATION_NAME = "fastapi"
INSTRUMENTATION_VERSION = "0.165.0"
"""The FastAPI whose telemetry this is, so that a service's recorded data does not change with the engine."""

SCOPE_KEY = "fastapi.telemetry"
"""Where an ASGI scope holds its `_RequestTelemetry`; None there means that the request is excluded."""

_HTTP_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})

# What `opentelemetry.context.create_key` would make, without importing it.
_REQUEST_TELEMETRY_KEY = f"fastapi.request-{uuid4()}"

_NO_OPERATION = nullcontext()


class TelemetryConfig(TypedDict, total=False):
    """The `telemetry` option of an application; what is absent has its default."""

    tracer_provider: "otel_trace.TracerProvider | None"
    """Where spans go; the global provider by default."""
    meter_provider: "otel_metrics.MeterProvider | None"
    """Where metrics go; the global provider by default."""
    logger_provider: "otel_logs.LoggerProvider | None"
    """Where log records go; the global provider by default."""
    tracing: bool
    """Whether spans are made; True by default."""
    metrics: bool
    """Whether metrics are recorded; True by default."""
    logs: bool
    """Whether failures are logged; True by default."""
    operation_spans: bool
    """Whether dependencies, endpoint, serialization and background tasks have spans of their own; True by default."""
    auto_configure: bool
    """Whether start-up adds the exporters named in the environment; False by default."""
    exclude: Callable[[MutableMapping[str, Any]], bool] | None
    """Given an ASGI scope, whether to leave that request out of all telemetry."""


@dataclass(kw_only=True)
class TelemetryData:
    """What is known so far of the request being served, for span processors and the like."""

    request: Request | None = None
    websocket: WebSocket | None = None
    body: Any = None
    values: dict[str, Any] | None = None
    errors: Sequence[Any] | None = None


@dataclass(kw_only=True)
class _RequestTelemetry:
    """The telemetry of one request or connection, in its scope and in its context."""

    was_made: ClassVar[bool] = False
    """Whether there ever was one: until then no context holds one, so that none is asked."""
    span: "otel_trace.Span | None"
    span_method: str
    tracer: "otel_trace.Tracer | None" = None
    logger: "otel_logs.Logger | None" = None
    route: str | None = None
    status_code: int | None = None
    data: TelemetryData | None = field(default_factory=TelemetryData)
    _mount_prefix: str = ""
    _exceptions: list[BaseException] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        _RequestTelemetry.was_made = True


# --- Can telemetry matter? ---


@dataclass(frozen=True, slots=True)
class _Signal:
    """One of OpenTelemetry's three signals: its options here, and where its global provider is found."""

    option: Literal["tracing", "metrics", "logs"]
    provider_option: Literal["tracer_provider", "meter_provider", "logger_provider"]
    module: str
    getter: str
    slot: str
    """The global that the API's own getter returns once it is set."""
    variable: str
    """The environment variable by which the API loads a provider when it is first asked for one."""

    @classmethod
    def of(
        cls,
        option: Literal["tracing", "metrics", "logs"],
        provider_option: Literal["tracer_provider", "meter_provider", "logger_provider"],
        module: str,
    ) -> "_Signal":
        """Return a signal whose provider has the name of its option throughout the API."""
        constant = provider_option.upper()
        return cls(option, provider_option, module, f"get_{provider_option}", f"_{constant}", f"OTEL_PYTHON_{constant}")

    def has_global_provider(self) -> bool:
        """Tell whether code of this process, or its environment, has set a global provider."""
        is_named = self.variable in _named_providers()
        module = import_module(self.module) if is_named else sys.modules.get(self.module)
        get_provider = getattr(module, self.getter, None)
        # The API's getter reads the environment each time nothing is set, which costs more than all else here. A getter
        # that is not the API's has other globals, and is asked.
        if get_provider is None or (not is_named and _globals_of(get_provider).get(self.slot, self) is None):
            return False
        return not _unconfigured(get_provider())


_SIGNALS = (
    _Signal.of("tracing", "tracer_provider", "opentelemetry.trace"),
    _Signal.of("metrics", "meter_provider", "opentelemetry.metrics"),
    _Signal.of("logs", "logger_provider", "opentelemetry._logs"),
)

# What the API answers until a provider is set: (module, class).
_DEFERRED_PROVIDERS = frozenset(
    {
        ("opentelemetry.trace", "ProxyTracerProvider"),
        ("opentelemetry.metrics._internal", "_ProxyMeterProvider"),
        ("opentelemetry._logs._internal", "ProxyLoggerProvider"),
    }
)


@cache
def _named_providers() -> frozenset[str]:
    """Return the variables with which the environment names a provider, read when this is first asked."""
    return frozenset(signal.variable for signal in _SIGNALS if signal.variable in os.environ)


def _globals_of(function: Any) -> Mapping[str, Any]:
    return getattr(function, "__globals__", {})


def _unconfigured(provider: Any) -> bool:
    cls = type(provider)
    return (cls.__module__, cls.__name__) in _DEFERRED_PROVIDERS


def telemetry_possible(config: TelemetryConfig | None = None) -> bool:
    """Tell whether any signal that `config` leaves on has a provider, without importing opentelemetry.

    The provider is one of `config`, or a global one. There is no global one where opentelemetry is not imported, unless
    the environment names it; what the environment names is read once in a process, as this is asked for each request.
    """
    config = config or {}
    is_api_in_use = "opentelemetry" in sys.modules or bool(_named_providers())
    for signal in _SIGNALS:
        if config.get(signal.option, True) and (
            config.get(signal.provider_option) is not None or (is_api_in_use and signal.has_global_provider())
        ):
            return True
    return False


def watch_providers(config: TelemetryConfig) -> _core.Witness | None:
    """Return a witness of all that `telemetry_possible` depends on, None where that must be asked.

    It is there once opentelemetry is imported, and tells when another part of that is.
    """
    package = sys.modules.get("opentelemetry")
    if type(package) is not ModuleType or type(config) is not dict or _named_providers():
        return None
    rows = [*rows_as_found(package, *(signal.module.rpartition(".")[2] for signal in _SIGNALS))]
    for signal in _SIGNALS:
        rows += rows_as_found(config, signal.option, signal.provider_option)
        if (module := sys.modules.get(signal.module)) is None:
            continue
        names = _globals_of(vars(module).get(signal.getter)) if type(module) is ModuleType else {}
        home = sys.modules.get(names.get("__name__", ""))
        if home is None or vars(home) is not names or signal.slot not in names:
            return None
        rows += [*rows_as_found(module, signal.getter), *rows_as_found(home, signal.slot)]
    return _core.Witness(rows)


def observes_without_import(config: TelemetryConfig) -> bool:
    """Tell whether a signal may have a provider although nobody has imported opentelemetry."""
    return bool(_named_providers()) or any(
        config.get(signal.option, True) and config.get(signal.provider_option) is not None for signal in _SIGNALS
    )


# --- The telemetry of the running request ---


def _get_request_telemetry(context: "otel_context.Context | None" = None) -> _RequestTelemetry | None:
    if not _RequestTelemetry.was_made:
        return None
    # Whoever made one has imported it.
    otel_context = sys.modules.get("opentelemetry.context")
    value = otel_context and otel_context.get_value(_REQUEST_TELEMETRY_KEY, context)
    return value if isinstance(value, _RequestTelemetry) else None


def get_telemetry_data(context: "otel_context.Context | None" = None) -> TelemetryData | None:
    """Return what is known of the request being served in `context`, by default the current one.

    None outside of a request, and for a request that is excluded or not observed.
    """
    request_telemetry = _get_request_telemetry(context)
    return None if request_telemetry is None else request_telemetry.data


def _route_selected(*, scope: MutableMapping[str, Any], path: str | None, mount: bool = False) -> None:
    """Name the span after the route; a mount gives the prefix of the route that an inner application selects."""
    request_telemetry = scope.get(SCOPE_KEY)
    if path is None or not isinstance(request_telemetry, _RequestTelemetry):
        return
    if mount:
        request_telemetry._mount_prefix += path.removesuffix("/{path}")
        path = "/{path}"
    route = request_telemetry.route = request_telemetry._mount_prefix + path
    if request_telemetry.span is not None:
        request_telemetry.span.set_attribute("http.route", route)
        request_telemetry.span.update_name(f"{request_telemetry.span_method} {route}")


# --- Failures ---


def _exception_type(exc: BaseException) -> str:
    cls = type(exc)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _normal_websocket_disconnect(exc: BaseException) -> bool:
    """Tell whether a peer closed the connection as intended: normal closure, or going away."""
    return isinstance(exc, WebSocketDisconnect) and exc.code in (1000, 1001)


def _route_attributes(request_telemetry: _RequestTelemetry) -> dict[str, Any]:
    return {"http.route": request_telemetry.route} if request_telemetry.route else {}


def _emit(logger: "otel_logs.Logger", severity: Literal["WARN", "ERROR"], **record: Any) -> None:
    from opentelemetry._logs import SeverityNumber

    logger.emit(timestamp=time_ns(), severity_number=SeverityNumber[severity], severity_text=severity, **record)


def _validation_failed(exc: RequestValidationError | WebSocketRequestValidationError) -> None:
    """Keep the errors of a refused request with its data, and log how many they are."""
    request_telemetry = _get_request_telemetry()
    if request_telemetry is None:
        return
    errors = exc.errors()
    if request_telemetry.data is not None:
        request_telemetry.data.errors = errors
        if isinstance(exc, RequestValidationError):
            request_telemetry.data.body = exc.body
    if request_telemetry.logger is not None:
        _emit(
            request_telemetry.logger,
            "WARN",
            event_name="fastapi.validation.failed",
            body="Request validation failed",
            attributes={"fastapi.validation.error_count": len(errors), **_route_attributes(request_telemetry)},
        )


def _exception(*, scope: MutableMapping[str, Any], exc: BaseException) -> None:
    """Keep an exception that nobody handled as the cause of the request's failure, and log it once."""
    is_websocket = scope["type"] == "websocket"
    request_telemetry = scope.get(SCOPE_KEY)
    if not isinstance(request_telemetry, _RequestTelemetry) or (is_websocket and _normal_websocket_disconnect(exc)):
        return
    # It passes several observers on its way out. Equality is the exception's own affair, so identity decides.
    if any(seen is exc for seen in request_telemetry._exceptions):
        return
    request_telemetry._exceptions.append(exc)
    if request_telemetry.logger is not None and isinstance(exc, Exception):
        subject = "WebSocket connection" if is_websocket else "request"
        _emit(
            request_telemetry.logger,
            "ERROR",
            exception=exc,
            event_name="fastapi.websocket.exception" if is_websocket else "http.server.request.exception",
            body=f"Unhandled exception in FastAPI {subject}",
            attributes=_route_attributes(request_telemetry) or None,
        )


# --- Operations: the spans within a request ---


def _operation(*, name: str, function: Callable[..., Any] | None = None) -> AbstractContextManager[None, bool | None]:
    """Return a context that is a span `fastapi.<name>` where the running request has operation spans."""
    request_telemetry = _get_request_telemetry()
    if request_telemetry is None or request_telemetry.tracer is None:
        return _NO_OPERATION
    return _TracedOperation(request_telemetry.tracer, name, function)


class _TracedOperation:
    """A context that is the span of one operation."""

    __slots__ = ("_name", "_open", "_span")

    def __init__(self, tracer: "otel_trace.Tracer", name: str, function: Callable[..., Any] | None) -> None:
        self._name = name
        self._open = tracer.start_as_current_span(
            f"fastapi.{name}",
            attributes={} if function is None else {"code.function.name": _function_name(function)},
            record_exception=False,
            set_status_on_exception=False,
        )

    def __enter__(self) -> None:
        self._span = self._open.__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: Any) -> bool | None:
        if isinstance(error, Exception) and _is_failure(error, self._name):
            from opentelemetry.trace import StatusCode

            self._span.set_attribute("error.type", _exception_type(error))
            self._span.set_status(StatusCode.ERROR)
        return self._open.__exit__(kind, error, traceback)


def _function_name(function: Callable[..., Any]) -> str:
    """Return the dotted name of a callable, for an instance without a name that of its class."""
    cls = type(function)
    module = getattr(function, "__module__", cls.__module__)
    qualified_name = getattr(function, "__qualname__", cls.__qualname__)
    return f"{module}.{qualified_name}"


def _is_failure(exc: Exception, operation: str) -> bool:
    """Tell whether an exception is a fault, not a way to answer: after a background task nobody answers."""
    # Looked up here: a package may put another class in the place of one.
    answers = (HTTPException, RequestValidationError, WebSocketException, WebSocketRequestValidationError)
    is_answer = isinstance(exc, answers) or _normal_websocket_disconnect(exc)
    return operation == "background_task" or not is_answer


def _run_sync_endpoint(*, function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """Call a synchronous endpoint inside of its span, both in the worker thread."""
    with _operation(name="endpoint", function=function):
        return function(**arguments)
