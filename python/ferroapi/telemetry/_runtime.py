"""Exporters from the environment: added to the providers when an application starts, flushed when it stops.

What this module made, and only that, it shuts down with the process.
"""

import atexit
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from anyio.to_thread import run_sync
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ferroapi.exceptions import FastAPIError
from ferroapi.logger import logger
from ferroapi.telemetry._api import _SIGNALS, TelemetryConfig, _unconfigured

SignalName: TypeAlias = Literal["TRACES", "METRICS", "LOGS"]

_lock = threading.RLock()
_owned: list[Any] = []
"""The providers, processors and readers this module made."""
_configured: list[tuple[str, Any]] = []
"""The signals and providers that export to where the environment says."""

_EXPLICITLY = "pass telemetry={'auto_configure': False} to FastAPI()."
_LAST_MESSAGES = frozenset({"lifespan.shutdown.complete", "lifespan.shutdown.failed", "lifespan.startup.failed"})


# --- The end ---


def _for_each_owned(components: list[Any], method: str) -> None:
    for component in components:
        try:
            getattr(component, method)()
        except Exception:
            logger.exception("FastAPI telemetry cleanup failed")


def _flush() -> None:
    """Export what is buffered; it blocks, so not on the event loop."""
    _for_each_owned(list(_owned), "force_flush")


def _shutdown() -> None:
    """Stop what this module made; a second call finds nothing."""
    with _lock:
        owned = list(_owned)
        _owned.clear()
    _for_each_owned(owned, "shutdown")


atexit.register(_shutdown)


# --- The environment ---


def _first_set(*names: str) -> str | None:
    return next(filter(None, map(os.getenv, names)), None)


def _export_endpoint(signal: str) -> str | None:
    """Return the URL a signal is exported to, None where the environment names none.

    Raises:
        FastAPIError: the environment asks for an exporter, protocol or endpoint that is not supported here.
    Source: OpenTelemetry Protocol Exporter specification, endpoint URLs for OTLP/HTTP.
    """
    endpoint = os.getenv(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    if not endpoint and (base := os.getenv("OTEL_EXPORTER_OTLP_ENDPOINT")):
        endpoint = f"{base.removesuffix('/')}/v1/{signal.lower()}"
    exporter = (_first_set(f"OTEL_{signal}_EXPORTER") or "otlp").strip().lower()
    if not endpoint or exporter == "none":
        return None
    if exporter != "otlp":
        raise FastAPIError(
            f"FastAPI automatic telemetry supports OTEL_{signal}_EXPORTER=otlp or none. "
            f"Configure other exporters explicitly and {_EXPLICITLY}"
        )
    protocol = _first_set(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol not in (None, "http/protobuf"):
        raise FastAPIError(
            "FastAPI automatic telemetry requires the OTLP http/protobuf protocol. "
            f"Configure other transports explicitly and {_EXPLICITLY}"
        )
    url = urlsplit(endpoint)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise FastAPIError(f"Invalid OTLP {signal.lower()} endpoint. Use an absolute HTTP or HTTPS URL.")
    return endpoint


@dataclass(frozen=True)
class _Export:
    """A signal to export: where to, and the provider the application was given for it."""

    signal: SignalName
    endpoint: str
    provider: Any


def _requested_exports(config: TelemetryConfig) -> Iterator[_Export]:
    names: tuple[SignalName, ...] = ("TRACES", "METRICS", "LOGS")
    for name, signal in zip(names, _SIGNALS, strict=True):
        if config.get(signal.option, True) and (endpoint := _export_endpoint(name)) is not None:
            yield _Export(name, endpoint, config.get(signal.provider_option))


# --- The providers ---


@dataclass(frozen=True)
class _Kit:
    """How a signal's exporter is made, and how a provider takes it."""

    name: str
    get_provider: Callable[[], Any]
    set_provider: Callable[[Any], None]
    create_component: Callable[[str], Any]
    create_provider: Callable[[Any], Any]
    register_method: str


def _load_kits() -> dict[SignalName, _Kit]:
    """Import the SDK and the exporters.

    Raises:
        FastAPIError: they are not installed.
    """
    try:
        from opentelemetry import _logs, metrics, trace
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise FastAPIError(
            "Automatic OpenTelemetry export requires fastapi[opentelemetry] or fastapi[standard]. "
            f"Install the extra, configure providers yourself, or {_EXPLICITLY}"
        ) from error

    # Each provider leaves its end to `_shutdown`, so that one order holds for all.
    def provider(create: Callable[..., Any], register_method: str, component: Any) -> Any:
        created = create(shutdown_on_exit=False)
        getattr(created, register_method)(component)
        return created

    return {
        "TRACES": _Kit(
            name="tracer",
            get_provider=trace.get_tracer_provider,
            set_provider=trace.set_tracer_provider,
            create_component=lambda endpoint: BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)),
            create_provider=partial(provider, TracerProvider, "add_span_processor"),
            register_method="add_span_processor",
        ),
        "METRICS": _Kit(
            name="meter",
            get_provider=metrics.get_meter_provider,
            set_provider=metrics.set_meter_provider,
            create_component=lambda endpoint: PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=endpoint)),
            # Readers can be added later only since 1.40, while the constructor always takes them.
            create_provider=lambda reader: MeterProvider(metric_readers=[reader], shutdown_on_exit=False),
            register_method="add_metric_reader",
        ),
        "LOGS": _Kit(
            name="logger",
            get_provider=_logs.get_logger_provider,
            set_provider=_logs.set_logger_provider,
            create_component=lambda endpoint: BatchLogRecordProcessor(OTLPLogExporter(endpoint=endpoint)),
            create_provider=partial(provider, LoggerProvider, "add_log_record_processor"),
            register_method="add_log_record_processor",
        ),
    }


def _registration_provider(provider: Any) -> Any:
    """Return the provider that takes metric readers: Logfire's proxy may only wrap it."""
    cls = type(provider)
    is_logfire_proxy = (cls.__module__, cls.__name__) == ("logfire._internal.metrics", "ProxyMeterProvider")
    return provider.provider if is_logfire_proxy and not hasattr(provider, "add_metric_reader") else provider


def _install_provider(kit: _Kit, export: _Export) -> bool:
    """Make a provider and set it as the global one; False where another one was set in the meantime."""
    provider = kit.create_provider(kit.create_component(export.endpoint))
    kit.set_provider(provider)
    if kit.get_provider() is not provider:
        provider.shutdown()
        return False
    _configured.append((export.signal, provider))
    _owned.append(provider)
    return True


def _register_exporter(kit: _Kit, export: _Export, provider: Any) -> None:
    """Add an exporter to a provider of somebody else, who also shuts that provider down.

    Raises:
        FastAPIError: the provider takes no exporters.
    """
    register = getattr(provider, kit.register_method, None)
    if not callable(register):
        raise FastAPIError(
            f"The configured OpenTelemetry {kit.name} provider does not support adding an OTLP exporter. "
            f"Configure environment export through that provider and {_EXPLICITLY}"
        )
    component = kit.create_component(export.endpoint)
    try:
        register(component)
    except Exception:
        component.shutdown()
        raise
    _configured.append((export.signal, provider))
    _owned.append(component)


def _add_export(kit: _Kit, export: _Export) -> None:
    provider = _registration_provider(kit.get_provider() if export.provider is None else export.provider)
    if any(signal == export.signal and configured is provider for signal, configured in _configured):
        return
    if export.provider is None and _unconfigured(provider):
        if _install_provider(kit, export):
            return
        provider = _registration_provider(kit.get_provider())
    _register_exporter(kit, export, provider)


def _configure_from_environment(config: TelemetryConfig) -> None:
    """Export each signal to where the environment says, once for each provider.

    Raises:
        FastAPIError: the environment asks for what is not supported or not installed.
    """
    if not config.get("auto_configure", False) or os.getenv("OTEL_SDK_DISABLED", "").lower() == "true":
        return
    with _lock:
        exports = list(_requested_exports(config))
        kits = _load_kits() if exports else {}
        for export in exports:
            _add_export(kits[export.signal], export)


async def lifespan(*, config: TelemetryConfig, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Run an application's lifespan: configure before its start-up, flush before its last message.

    A configuration that fails is logged, and the application starts without.
    """

    async def configure_at_startup() -> Message:
        message = await receive()
        if message["type"] == "lifespan.startup":
            try:
                _configure_from_environment(config)
            except Exception as error:
                logger.warning("FastAPI automatic telemetry configuration failed: %s", error)
        return message

    async def flush_at_end(message: Message) -> None:
        if message["type"] in _LAST_MESSAGES and _owned:
            await run_sync(_flush)
        await send(message)

    await app(scope, configure_at_startup, flush_at_end)
