"""The service under opentelemetry-instrumentation-fastapi; with the argument `global`, FastAPI's own telemetry sees it.

The providers are then the global ones, which FastAPI's telemetry would use were the instrumentation not in its place.
"""

import sys

from opentelemetry import metrics, trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from recorder import metrics_as_data, spans_as_data

from service import build, converse, count_modes, report

exporter = InMemorySpanExporter()
tracer_provider = TracerProvider()
tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
reader = InMemoryMetricReader()
meter_provider = MeterProvider([reader])

modes = count_modes()
if "global" in sys.argv:
    trace.set_tracer_provider(tracer_provider)
    metrics.set_meter_provider(meter_provider)
    FastAPIInstrumentor().instrument()
    import fastapi

    import service

    service.FastAPI = fastapi.FastAPI  # type: ignore[misc]  # the instrumentation has replaced it by its subclass
    app = build()
else:
    app = build()
    FastAPIInstrumentor.instrument_app(
        app,
        tracer_provider=tracer_provider,
        meter_provider=meter_provider,
        http_capture_headers_server_request=["accept"],
        http_capture_headers_server_response=["content-type"],
    )
answers = converse(app)
spans, counted = spans_as_data(exporter.get_finished_spans()), metrics_as_data(reader)
if "global" not in sys.argv:
    exporter.clear()
    FastAPIInstrumentor.uninstrument_app(app)
    answers += converse(app)
    spans += spans_as_data(exporter.get_finished_spans())
report(answers, {"spans": spans, "metrics": counted}, modes)
