"""OpenTelemetry's providers in memory: what a framework tells them of its requests, comparable."""

import re
from typing import Any

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ferroapi.telemetry import TelemetryConfig


class Recording:
    """All providers in memory, and what they were told, comparable."""

    def __init__(self) -> None:
        self.spans = InMemorySpanExporter()
        self.logs = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
        self.metrics = InMemoryMetricReader()
        self.tracer = TracerProvider(shutdown_on_exit=False)
        self.tracer.add_span_processor(SimpleSpanProcessor(self.spans))
        self.logger = LoggerProvider(shutdown_on_exit=False)
        self.logger.add_log_record_processor(SimpleLogRecordProcessor(self.logs))
        self.meter = MeterProvider(metric_readers=[self.metrics], shutdown_on_exit=False)

    def config(self, **options: Any) -> TelemetryConfig:
        config: TelemetryConfig = {
            "tracer_provider": self.tracer,
            "meter_provider": self.meter,
            "logger_provider": self.logger,
            "tracing": True,
            "metrics": True,
            "logs": True,
            "operation_spans": True,
            "auto_configure": False,
            "exclude": None,
        }
        config.update(options)  # type: ignore[typeddict-item]
        return config

    def read(self) -> list[dict[str, Any]]:
        return [*self._read_spans(), *self._read_points(), *self._read_logs()]

    def _read_spans(self) -> list[dict[str, Any]]:
        spans = self.spans.get_finished_spans()
        names = {span.context.span_id: span.name for span in spans if span.context}
        return [
            {
                "name": span.name,
                "kind": span.kind,
                "attributes": dict(span.attributes or {}),
                "status": span.status.status_code,
                "scope": span.instrumentation_scope,
                "parent": span.parent and names.get(span.parent.span_id, span.parent.span_id),
                "events": len(span.events),
            }
            for span in spans
        ]

    def _read_points(self) -> list[dict[str, Any]]:
        data = self.metrics.get_metrics_data()
        return [
            {
                "scope": scope.scope,
                "metric": (metric.name, metric.unit, metric.description),
                "attributes": dict(point.attributes or {}),
                "value": getattr(point, "value", None),
                "count": getattr(point, "count", None),
                "buckets": getattr(point, "explicit_bounds", None),
            }
            for resource in (data.resource_metrics if data else [])
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        ]

    def _read_logs(self) -> list[dict[str, Any]]:
        records = [record.log_record for record in self.logs.get_finished_logs()]
        return [
            {
                "event": (record.event_name, record.body, record.severity_number, record.severity_text),
                "attributes": {
                    name: value for name, value in (record.attributes or {}).items() if name != "exception.stacktrace"
                },
            }
            for record in records
        ]

    def close(self) -> None:
        self.tracer.shutdown()
        self.meter.shutdown()
        self.logger.shutdown()


class DataProcessor(SpanProcessor):
    """Keeps what `get_telemetry_data` gives at the start and at the end of each span."""

    def __init__(self, get_telemetry_data: Any) -> None:
        self.get_telemetry_data = get_telemetry_data
        self.seen: list[Any] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self._keep("start", span)

    def on_end(self, span: Any) -> None:
        self._keep("end", span)

    def _keep(self, moment: str, span: Any) -> None:
        data = self.get_telemetry_data()
        if data is None:
            self.seen.append((moment, span.name))
            return
        connection = data.request or data.websocket
        path = connection and connection.scope["path"]
        self.seen.append((moment, span.name, path, _shown(data.body), _shown(data.values), _shown(data.errors)))


def _shown(value: Any) -> str:
    """A text for what a request has told, the same in both frameworks and every run."""
    text = re.sub(r"<[^<>]* at 0x[0-9a-f]+[^<>]*>", "<object>", repr(value))
    return re.sub(r"\bferroapi\b", "fastapi", text)
