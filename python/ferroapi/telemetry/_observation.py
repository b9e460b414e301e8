"""One request or connection under observation: its server span, its metrics and its place in the context.

The first request that has a provider imports this module, and opentelemetry with it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from opentelemetry import _logs, metrics, propagate, trace
from opentelemetry import context as otel_context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import SpanKind, StatusCode
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ferroapi.telemetry._api import (
    _REQUEST_TELEMETRY_KEY,
    INSTRUMENTATION_NAME,
    INSTRUMENTATION_VERSION,
    SCOPE_KEY,
    TelemetryConfig,
    _exception,
    _exception_type,
    _normal_websocket_disconnect,
    _RequestTelemetry,
    _unconfigured,
)

if TYPE_CHECKING:
    from ferroapi.telemetry._asgi import NativeTelemetry

_SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

# Seconds. Source: OpenTelemetry semantic conventions, `http.server.request.duration`.
_DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

# Source: OpenTelemetry semantic conventions, `url.query`.
_SENSITIVE_QUERY_PARAMETERS = frozenset(
    {"X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token", "sig", "X-Goog-Signature"}
)

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


# --- Who records ---


class Instruments(NamedTuple):
    """The metrics of a meter provider."""

    duration: metrics.Histogram
    active: metrics.UpDownCounter


@dataclass(frozen=True)
class Providers:
    """The providers that record a request, None for a signal that is off."""

    tracer: trace.TracerProvider | None
    meter: metrics.MeterProvider | None
    logger: _logs.LoggerProvider | None


def _live(configured: Any, get_global: Callable[[], Any], no_op: type[Any]) -> Any:
    """Return the configured provider, else the global one; None for one that would discard everything."""
    provider = configured or get_global()
    is_dead = isinstance(provider, no_op) or (configured is None and _unconfigured(provider))
    return None if is_dead else provider


def live_providers(config: TelemetryConfig, *, is_websocket: bool) -> Providers | None:
    """Return who records under `config`, None where nobody does; connections have no metrics."""
    providers = Providers(
        tracer=_live(config.get("tracer_provider"), trace.get_tracer_provider, trace.NoOpTracerProvider)
        if config.get("tracing", True)
        else None,
        meter=_live(config.get("meter_provider"), metrics.get_meter_provider, metrics.NoOpMeterProvider)
        if config.get("metrics", True) and not is_websocket
        else None,
        logger=_live(config.get("logger_provider"), _logs.get_logger_provider, _logs.NoOpLoggerProvider)
        if config.get("logs", True)
        else None,
    )
    is_dead = providers.tracer is None and providers.meter is None and providers.logger is None
    return None if is_dead else providers


def _create_tracer(provider: trace.TracerProvider) -> trace.Tracer:
    return provider.get_tracer(INSTRUMENTATION_NAME, INSTRUMENTATION_VERSION, schema_url=_SCHEMA_URL)


def _create_logger(provider: _logs.LoggerProvider) -> _logs.Logger:
    return provider.get_logger(INSTRUMENTATION_NAME, INSTRUMENTATION_VERSION, schema_url=_SCHEMA_URL)


def _create_instruments(provider: metrics.MeterProvider) -> Instruments:
    meter = provider.get_meter(INSTRUMENTATION_NAME, INSTRUMENTATION_VERSION, schema_url=_SCHEMA_URL)
    return Instruments(
        duration=meter.create_histogram(
            "http.server.request.duration",
            unit="s",
            description="Duration of HTTP server requests.",
            explicit_bucket_boundaries_advisory=_DURATION_BUCKETS,
        ),
        active=meter.create_up_down_counter(
            "http.server.active_requests",
            unit="{request}",
            description="Number of active HTTP server requests.",
        ),
    )


# --- What is recorded of a scope ---


class _HeadersGetter(Getter[Headers]):
    """Reads a parent context from headers. A list header such as `baggage` may be repeated, and is then one list."""

    def get(self, carrier: Headers, key: str) -> list[str] | None:
        values = carrier.getlist(key)
        if values and key.lower() == "baggage":
            return [",".join(values)]
        return values or None

    def keys(self, carrier: Headers) -> list[str]:
        return carrier.keys()


_HEADERS_GETTER = _HeadersGetter()


def _server_attributes(scope: Scope, headers: Headers) -> dict[str, Any]:
    """Return the address and port the client asked for, else those of the server; none where the host is no host."""
    authority = headers.get("host")
    if authority is None:
        address, port = scope.get("server") or (None, None)
    else:
        try:
            url = urlsplit(f"//{authority}")
            address, port = url.hostname, url.port
        except ValueError:
            return {}
        if url.username is not None or url.path or url.query or url.fragment:
            return {}
        if port is None:
            port = _DEFAULT_PORTS.get(scope.get("scheme", "http"))
    if address is None:
        return {}
    attributes = {"server.address": address, "server.port": port}
    return {name: value for name, value in attributes.items() if value is not None}


def _redacted_query(query_string: bytes) -> str:
    pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)
    return urlencode([(key, "REDACTED" if key in _SENSITIVE_QUERY_PARAMETERS else value) for key, value in pairs])


# --- The observation ---


async def run_excluded(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Run `app` so that it is not observed by an application mounted in it either."""
    scope[SCOPE_KEY] = None
    token = otel_context.attach(otel_context.set_value(_REQUEST_TELEMETRY_KEY, None))
    try:
        await app(scope, receive, send)
    finally:
        otel_context.detach(token)
        scope.pop(SCOPE_KEY, None)


class Observation:
    """The span and the measurements of one scope: made, `run` once, and finished when its last byte is sent."""

    def __init__(self, telemetry: "NativeTelemetry", providers: Providers, scope: Scope) -> None:
        self.config = telemetry.config
        self.scope = scope
        self.headers = Headers(scope=scope)
        self.is_websocket = scope["type"] == "websocket"
        self.original_method: str = scope.get("method", "")
        self.method = self.original_method if self.original_method in telemetry.known_methods else "_OTHER"
        self.attributes = self._common_attributes()
        # Of the protocol only the version would split the count of what is running.
        self.active_attributes = {
            name: value for name, value in self.attributes.items() if name != "network.protocol.version"
        }
        self.tracer = None if providers.tracer is None else telemetry.tracers.get(providers.tracer, _create_tracer)
        self.logger = None if providers.logger is None else _create_logger(providers.logger)
        self.instruments = (
            None if providers.meter is None else telemetry.instruments.get(providers.meter, _create_instruments)
        )
        self.is_finished = False
        self.is_disconnected = False
        self.expects_trailers = False

    def _common_attributes(self) -> dict[str, Any]:
        attributes: dict[str, Any] = {"url.scheme": self.scope.get("scheme", "ws" if self.is_websocket else "http")}
        if self.is_websocket:
            attributes["network.protocol.name"] = "websocket"
            return attributes
        attributes["http.request.method"] = self.method
        if self.scope.get("http_version"):
            attributes["network.protocol.version"] = self.scope["http_version"]
        return attributes

    def _span_attributes(self) -> dict[str, Any]:
        attributes = {**self.attributes, **_server_attributes(self.scope, self.headers)}
        if self.is_websocket:
            return attributes
        attributes["url.path"] = self.scope["path"]
        if self.scope.get("query_string"):
            attributes["url.query"] = _redacted_query(self.scope["query_string"])
        if self.original_method != self.method:
            attributes["http.request.method_original"] = self.original_method
        return attributes

    def _span_method(self) -> str:
        if self.is_websocket:
            return "WS"
        return "HTTP" if self.method == "_OTHER" else self.method

    async def run(self, app: ASGIApp, receive: Receive, send: Send) -> None:
        """Run `app` inside of the span and the context of this scope."""
        scope = self.scope
        parent = None
        if self.instruments is not None:
            self.instruments.active.add(1, self.active_attributes)
        self.started = perf_counter()
        self.span = None
        request_telemetry = None
        try:
            if self.tracer is not None:
                context = propagate.extract(self.headers, getter=_HEADERS_GETTER)
                parent = otel_context.attach(context)
                self.span = self.tracer.start_span(
                    self._span_method(), context=context, kind=SpanKind.SERVER, attributes=self._span_attributes()
                )
            request_telemetry = scope[SCOPE_KEY] = self.request_telemetry = self._make_telemetry()
            context = otel_context.set_value(_REQUEST_TELEMETRY_KEY, request_telemetry)
            if self.span is not None:
                context = trace.set_span_in_context(self.span, context)
            own = otel_context.attach(context)
            try:
                if self.is_websocket:
                    await self._run_connection(app, receive, send)
                else:
                    await self._run_request(app, receive, send)
            finally:
                otel_context.detach(own)
        finally:
            if request_telemetry is not None:
                # The context may outlive the request, in a task it started: the request must not.
                request_telemetry.data = None
                request_telemetry._exceptions.clear()
                scope.pop(SCOPE_KEY, None)
            if parent is not None:
                otel_context.detach(parent)

    def _make_telemetry(self) -> _RequestTelemetry:
        return _RequestTelemetry(
            span=self.span,
            span_method=self._span_method(),
            tracer=self.tracer if self.config.get("operation_spans", True) else None,
            logger=self.logger,
            _mount_prefix=self.scope.get("app_root_path", self.scope.get("root_path", "")).rstrip("/"),
        )

    async def _run_connection(self, app: ASGIApp, receive: Receive, send: Send) -> None:
        try:
            await app(self.scope, receive, send)
        except BaseException as exc:
            _exception(scope=self.scope, exc=exc)
            self.finish(None if _normal_websocket_disconnect(exc) else exc)
            raise
        self.finish(None)

    async def _run_request(self, app: ASGIApp, receive: Receive, send: Send) -> None:
        async def watch_disconnect() -> Message:
            message = await receive()
            self.is_disconnected = self.is_disconnected or message["type"] == "http.disconnect"
            return message

        async def watch_completion(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.request_telemetry.status_code = message["status"]
                self.expects_trailers = message.get("trailers", False)
            await send(message)
            if self._completes(message):
                self.finish(None)

        try:
            await app(self.scope, watch_disconnect, watch_completion)
        except BaseException as exc:
            _exception(scope=self.scope, exc=exc)
            self.finish(exc)
            raise
        if not self.is_finished:
            self.finish(
                ConnectionError("Client disconnected")
                if self.is_disconnected
                else RuntimeError("Incomplete ASGI response")
            )

    def _completes(self, message: Message) -> bool:
        match message["type"]:
            case "http.response.body":
                return not message.get("more_body", False) and not self.expects_trailers
            case "http.response.trailers":
                return not message.get("more_trailers", False)
            case message_type:
                return bool(message_type == "http.response.pathsend")

    def finish(self, error: BaseException | None) -> None:
        """Record the outcome and end the span; the first call counts."""
        if self.is_finished:
            return
        self.is_finished = True
        if self.request_telemetry.route is not None:
            self.attributes["http.route"] = self.request_telemetry.route
        if self.request_telemetry.status_code is not None:
            self.attributes["http.response.status_code"] = self.request_telemetry.status_code
        failed = self._is_failure(error)
        if failed:
            self.attributes["error.type"] = self._error_type(error)
        if self.span is not None:
            self.span.set_attributes(self.attributes)
            if failed:
                self.span.set_status(StatusCode.ERROR)
        # Measured while the span is current, so that a provider can link the two.
        if self.instruments is not None:
            self.instruments.duration.record(max(0, perf_counter() - self.started), self.attributes)
            self.instruments.active.add(-1, self.active_attributes)
        if self.span is not None:
            self.span.end()

    def _is_failure(self, error: BaseException | None) -> bool:
        if error is not None or self.is_websocket:
            return error is not None
        status_code = self.request_telemetry.status_code
        return status_code is None or status_code >= 500

    def _error_type(self, error: BaseException | None) -> str:
        """Return the class of what went wrong, else the status that says so."""
        causes = [*self.request_telemetry._exceptions, *([] if error is None else [error])]
        if causes:
            return _exception_type(causes[-1])
        return str(self.request_telemetry.status_code or "incomplete_response")
