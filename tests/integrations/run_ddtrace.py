"""The service under `ddtrace-run`: the spans of every trace, as they would have been sent to an agent."""

import re
from typing import Any

from ddtrace.trace import Span, TraceFilter, tracer

from service import build, converse, count_modes, report, without

VOLATILE = frozenset(
    {
        "_dd.p.tid",
        "_dd.p.dm",
        "error.stack",
        "runtime-id",
        "_dd.code_origin.frames.0.file",
        "_dd.code_origin.frames.0.line",
    }
)
"""Ids, and where the framework's own functions are written."""

# An address; and the line of an endpoint, which ddtrace changes while it looks into the endpoint's first call.
ODD = re.compile(r"0x[0-9a-f]+|, line \d+")

traces: list[list[Span]] = []


class Keep(TraceFilter):
    def process_trace(self, trace: list[Span]) -> None:
        traces.append(trace)


def as_data(trace: list[Span]) -> list[Any]:
    names = {span.span_id: span.name for span in trace}
    rows: list[Any] = []
    for span in trace:
        tags = {name: ODD.sub("", value) for name, value in without(span.get_tags(), VOLATILE).items()}
        identity = [names.get(span.parent_id or 0), span.name, span.service, span.resource, span.span_type, span.error]
        rows.append([*identity, tags, sorted(span.get_metrics())])
    return rows


modes = count_modes()
tracer.configure(trace_processors=[Keep()])
answers = converse(build())
tracer.flush()
report(answers, [as_data(trace) for trace in traces], modes)
