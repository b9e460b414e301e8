"""Spans and metrics of OpenTelemetry as plain data, without ids, times and tracebacks."""

import json
from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan

from service import without

VOLATILE_SPAN = frozenset(
    {
        "trace_id",
        "span_id",
        "parent_id",
        "start_time",
        "end_time",
        "timestamp",
        "exception.stacktrace",
        "thread.id",
        "thread.name",
        "process.pid",
        "service.instance.id",
        "logfire.exception.fingerprint",
    }
)
"""Ids, times, the process, and what is made of a traceback with the framework's own frames in it."""

VOLATILE_POINT = frozenset(
    {
        "start_time_unix_nano",
        "time_unix_nano",
        "sum",
        "min",
        "max",
        "bucket_counts",
        "exemplars",
        "telemetry.sdk.version",
        "scale",
        "positive",
        "negative",
        "service.instance.id",
        "process.pid",
    }
)


def spans_as_data(spans: Sequence[ReadableSpan]) -> list[Any]:
    """Return spans in the order in which they ended, each with the name of its parent."""
    names = {span.context.span_id: span.name for span in spans if span.context is not None}
    rows: list[Any] = []
    for span in spans:
        row = json.loads(span.to_json())
        row["parent"] = names.get(span.parent.span_id) if span.parent else None
        row["scope"] = span.instrumentation_scope.name if span.instrumentation_scope else None
        row["attributes"] = {
            name: value for name, value in row["attributes"].items() if not name.endswith("_timestamp")
        }
        rows.append(without(row, VOLATILE_SPAN))
    return rows


def metrics_as_data(reader: InMemoryMetricReader) -> Any:
    """Return what the metrics counted: attributes and counts, sizes and durations left out."""
    data = reader.get_metrics_data()
    return None if data is None else without(json.loads(data.to_json()), VOLATILE_POINT)
