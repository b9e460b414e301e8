"""Exporters from the environment: what is asked for, what is refused and who shuts what down."""

import logging
import os
from collections.abc import Iterator
from typing import Any

import anyio
import fastapi.telemetry._runtime as reference
import pytest
from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from starlette.types import Message, Receive, Scope, Send

from ferroapi.exceptions import FastAPIError
from ferroapi.telemetry import TelemetryConfig, _runtime

BASE = "OTEL_EXPORTER_OTLP_ENDPOINT"
NOWHERE = "http://127.0.0.1:1"
CONFIG: TelemetryConfig = {"auto_configure": True}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in os.environ:
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(_runtime, "_owned", [])
    monkeypatch.setattr(_runtime, "_configured", [])
    yield
    _runtime._shutdown()


@pytest.fixture
def global_providers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Let a test set the global providers, which opentelemetry allows once in a process."""
    providers: dict[str, Any] = {}
    for module, name in [(trace, "tracer"), (metrics, "meter"), (_logs, "logger")]:
        providers[name] = getattr(module, f"get_{name}_provider")()
        monkeypatch.setattr(module, f"get_{name}_provider", lambda name=name: providers[name])
        monkeypatch.setattr(
            module, f"set_{name}_provider", lambda provider, name=name: providers.__setitem__(name, provider)
        )
    return providers


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {BASE: ""},
        {BASE: "http://a/"},
        {BASE: "http://a", "OTEL_TRACES_EXPORTER": " None "},
        {BASE: "http://a", "OTEL_TRACES_EXPORTER": "console"},
        {BASE: "http://a", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {BASE: "http://a", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf", "OTEL_EXPORTER_OTLP_PROTOCOL": "x"},
        {BASE: "a"},
        {BASE: "http://"},
        {BASE: "x", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://b/c"},
        {"OTEL_TRACES_EXPORTER": "console"},
    ],
)
def test_endpoint_equals_reference(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def outcome(module: Any) -> Any:
        try:
            return module._export_endpoint("TRACES")
        except Exception as error:
            return type(error).__name__, str(error)

    assert outcome(_runtime) == outcome(reference)


def test_configuration_without_providers_sets_and_owns_them(
    monkeypatch: pytest.MonkeyPatch, global_providers: dict[str, Any]
) -> None:
    monkeypatch.setenv(BASE, NOWHERE)
    _runtime._configure_from_environment(CONFIG)
    assert [type(provider) for provider in global_providers.values()] == [TracerProvider, MeterProvider, LoggerProvider]
    assert _runtime._owned == [*global_providers.values()]
    _runtime._configure_from_environment(CONFIG)
    assert len(_runtime._owned) == 3


def test_configuration_adds_to_a_provider_and_owns_only_the_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", NOWHERE)
    provider = TracerProvider(shutdown_on_exit=False)
    _runtime._configure_from_environment(CONFIG | {"tracer_provider": provider})
    assert _runtime._configured == [("TRACES", provider)]
    assert len(_runtime._owned) == 1
    assert provider not in _runtime._owned
    provider.shutdown()


def test_configuration_of_a_provider_that_takes_no_exporter_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", NOWHERE)
    with pytest.raises(FastAPIError, match=r"^The configured OpenTelemetry tracer provider does not support"):
        _runtime._configure_from_environment(CONFIG | {"tracer_provider": trace.NoOpTracerProvider()})


@pytest.mark.parametrize(
    ("config", "disabled"),
    [
        ({"auto_configure": False}, ""),
        (CONFIG, "TRUE"),
        (CONFIG | dict.fromkeys(["tracing", "metrics", "logs"], False), ""),
    ],
)
def test_configuration_is_only_done_where_it_is_wanted(
    monkeypatch: pytest.MonkeyPatch, config: TelemetryConfig, disabled: str
) -> None:
    monkeypatch.setenv(BASE, "not a url")
    monkeypatch.setenv("OTEL_SDK_DISABLED", disabled)
    _runtime._configure_from_environment(config)
    assert _runtime._owned == []


class Component:
    def __init__(self, events: list[str], fails: bool = False) -> None:
        self.events = events
        self.fails = fails

    def force_flush(self) -> None:
        self.events.append("flush")
        if self.fails:
            raise OSError("unreachable")

    shutdown = force_flush


def run_lifespan(config: TelemetryConfig, events: list[str], last: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": last})

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        events.append(message["type"])

    async def run() -> None:
        await _runtime.lifespan(config=config, app=app, scope={}, receive=receive, send=send)

    anyio.run(run)


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ("lifespan.startup.complete", ["lifespan.startup.complete"]),
        ("lifespan.shutdown.complete", ["flush", "flush", "lifespan.shutdown.complete"]),
        ("lifespan.startup.failed", ["flush", "flush", "lifespan.startup.failed"]),
    ],
)
def test_lifespan_flushes_before_its_last_message(
    caplog: pytest.LogCaptureFixture, last: str, expected: list[str]
) -> None:
    events: list[str] = []
    _runtime._owned.extend([Component(events, fails=True), Component(events)])
    run_lifespan({}, events, last)
    assert events == expected
    assert len(caplog.records) == expected.count("flush") / 2


def test_lifespan_starts_without_telemetry_where_it_cannot_be_configured(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(BASE, "not a url")
    events: list[str] = []
    run_lifespan(CONFIG, events, "lifespan.startup.complete")
    assert events == ["lifespan.startup.complete"]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.name == "fastapi"
