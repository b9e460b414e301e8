"""The service under `opentelemetry-instrument`, which instruments every package that it finds installed."""

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from recorder import spans_as_data

from service import build, converse, count_modes, report

exporter = InMemorySpanExporter()
modes = count_modes()
provider = trace.get_tracer_provider()
assert isinstance(provider, TracerProvider), "opentelemetry-instrument has not set it"
provider.add_span_processor(SimpleSpanProcessor(exporter))
answers = converse(build())
report(answers, spans_as_data(exporter.get_finished_spans()), modes)
