"""The service under prometheus-fastapi-instrumentator: what `/metrics` says, without durations."""

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from prometheus_fastapi_instrumentator import Instrumentator, metrics

from service import TestClient, build, converse, count_modes, report

modes = count_modes()
registry = CollectorRegistry()
app = build()
instrumentator = Instrumentator(
    should_group_status_codes=False,
    should_group_untemplated=False,
    should_instrument_requests_inprogress=True,
    inprogress_labels=True,
    excluded_handlers=["/openapi.json"],
    registry=registry,
)
instrumentator.add(metrics.default(registry=registry)).add(metrics.requests(registry=registry))
instrumentator.instrument(app).expose(app, include_in_schema=False)
answers = converse(app)
with TestClient(app) as client:
    text = client.get("/metrics").text
samples = [
    [sample.name, sample.labels, sample.value]
    for family in text_string_to_metric_families(text)
    for sample in family.samples
    if not sample.name.endswith(("_bucket", "_created"))
    and not sample.name.endswith("_duration_seconds_sum")
    and not sample.name.endswith("_duration_highr_seconds_sum")
]
report(answers, samples, modes)
