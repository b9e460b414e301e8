"""The service under sentry-sdk: its events, transactions and spans, as they would have been sent.

With the argument `late` the application was made before sentry replaced anything in the framework.
"""

import sys
from typing import Any

import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.fastapi import FastApiIntegration
from sentry_sdk.integrations.starlette import StarletteIntegration
from sentry_sdk.transport import Transport

from service import build, converse, count_modes, report, without

VOLATILE = frozenset(
    {
        "event_id",
        "trace_id",
        "span_id",
        "parent_span_id",
        "timestamp",
        "start_timestamp",
        "server_name",
        "modules",
        "sdk",
        "runtime",
        "sys.argv",
        "thread.id",
        "thread.name",
        "client_sample_rand",
        "sample_rand",
        "_metrics_summary",
        "threads",
        "exclusive_time",
    }
)
"""Ids, times, the machine, and which worker thread it was."""

items: list[Any] = []


class Keep(Transport):
    def capture_envelope(self, envelope: Envelope) -> None:
        # Sessions are counted by the minute in which they began.
        items.extend(item.payload.json for item in envelope.items if item.type != "sessions")


def own_frames(event: dict[str, Any]) -> None:
    """Reduce tracebacks to the service's own frames: the framework's are what differs."""
    for error in event.get("exception", {}).get("values", []):
        frames = error.pop("stacktrace", {}).get("frames", [])
        error["frames"] = [
            [each["function"], each["lineno"], each["in_app"], each["vars"]]
            for each in frames
            if each["filename"].endswith("service.py") and each["function"] not in ("converse", "<module>")
        ]


def name_parents(event: dict[str, Any]) -> None:
    names = {span["span_id"]: span["description"] for span in event.get("spans", [])}
    for span in event.get("spans", []):
        span["parent"] = names.get(span.get("parent_span_id"), "transaction")


modes = count_modes()
early = build() if "late" in sys.argv else None
sentry_sdk.init(
    "https://key@sentry.example/1",
    transport=Keep,
    traces_sample_rate=1.0,
    send_default_pii=True,
    integrations=[StarletteIntegration(middleware_spans=True), FastApiIntegration(middleware_spans=True)],
)
answers = converse(early or build())
sentry_sdk.flush()
for item in items:
    own_frames(item)
    name_parents(item)
report(answers, without(items, VOLATILE), modes)
