"""The service under logfire, which replaces `solve_dependencies` and `run_endpoint_function` in `fastapi.routing`."""

import sys
from pathlib import Path

import logfire
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from recorder import metrics_as_data, spans_as_data

from service import build, converse, count_modes, report

exporter = InMemorySpanExporter()
reader = InMemoryMetricReader()

modes = count_modes()
logfire.configure(
    send_to_logfire=False,
    console=False,
    additional_span_processors=[SimpleSpanProcessor(exporter)],
    metrics=logfire.MetricsOptions(additional_readers=[reader]),
)
if (package := sys.modules.get("ferroapi")) is not None:
    # Logfire skips what is installed when it looks for the user's code; here ferroapi need not be installed.
    logfire.add_non_user_code_prefix(Path(str(package.__file__)).parent)
app = build()
before = converse(app, rounds=1)
app.middleware_stack = None
with logfire.instrument_fastapi(app, extra_spans=True, capture_headers=True):
    answers = converse(app)
recorded = {"spans": spans_as_data(exporter.get_finished_spans()), "metrics": metrics_as_data(reader)}
report(before + answers, recorded, modes)
