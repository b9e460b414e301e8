"""opentelemetry costs nothing where nobody listens: it is not imported, and the question is cheap."""

import os
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from ferroapi.telemetry import _api
from ferroapi.telemetry._api import _named_providers, telemetry_possible


def run_fresh(code: str, **environment: str) -> str:
    """Run code in a new interpreter, where no plugin of pydantic's has imported opentelemetry."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    variables = {**inherited, "PYDANTIC_DISABLE_PLUGINS": "__all__", **environment}
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        [sys.executable, "-c", code], env=variables, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_import_of_the_package_does_not_import_opentelemetry() -> None:
    code = "import sys, ferroapi, ferroapi.telemetry._asgi, ferroapi.telemetry._runtime as _; print(*sys.modules)"
    assert "opentelemetry" not in run_fresh(code)


def test_request_and_lifespan_do_not_import_opentelemetry() -> None:
    code = """
import sys
from ferroapi import FastAPI
from ferroapi.testclient import TestClient
app = FastAPI()
with TestClient(app) as client:
    assert client.get("/openapi.json").status_code == 200
print(*sys.modules)
"""
    assert "opentelemetry" not in run_fresh(code)


def test_possible_when_the_environment_names_a_provider() -> None:
    code = "from ferroapi.telemetry._api import telemetry_possible; print(telemetry_possible())"
    assert run_fresh(code) == "False"
    assert run_fresh(code, OTEL_PYTHON_TRACER_PROVIDER="sdk_tracer_provider") == "True"


@pytest.mark.parametrize("option", ["tracer_provider", "meter_provider", "logger_provider"])
def test_possible_with_a_provider_of_its_own(option: str) -> None:
    config: Any = {option: object()}
    assert telemetry_possible(config)
    switch = {"tracer_provider": "tracing", "meter_provider": "metrics", "logger_provider": "logs"}[option]
    assert not telemetry_possible(config | {switch: False})


def test_possible_only_while_a_global_provider_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    _named_providers.cache_clear()
    assert not telemetry_possible()
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", TracerProvider(shutdown_on_exit=False))
    assert telemetry_possible()
    assert not telemetry_possible({"tracing": False})


def test_possible_asks_a_replaced_getter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: TracerProvider(shutdown_on_exit=False))
    assert telemetry_possible()
    monkeypatch.setattr(trace, "get_tracer_provider", trace.ProxyTracerProvider)
    assert not telemetry_possible()


def test_possible_during_the_import_of_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", ModuleType("opentelemetry.trace"))
    assert not telemetry_possible()


def test_context_key_is_like_one_of_the_api() -> None:
    assert _api._REQUEST_TELEMETRY_KEY.startswith("fastapi.request-")


def test_version_is_that_of_the_fastapi_implemented() -> None:
    from ferroapi.alias import FASTAPI_VERSION

    assert _api.INSTRUMENTATION_VERSION == FASTAPI_VERSION


def test_global_provider_is_noticed_whenever_it_is_set() -> None:
    """What says that there is none is kept, as long as it says so."""
    code = """
import opentelemetry
from ferroapi.telemetry._asgi import NativeTelemetry
telemetry = NativeTelemetry({})
assert [telemetry.enabled() for _ in range(3)] == [False] * 3
import opentelemetry.trace, opentelemetry.metrics
assert [telemetry.enabled() for _ in range(3)] == [False] * 3
from opentelemetry.sdk.metrics import MeterProvider
opentelemetry.metrics.set_meter_provider(MeterProvider(shutdown_on_exit=False))
assert telemetry.enabled()
telemetry.config["metrics"] = False
assert [telemetry.enabled() for _ in range(3)] == [False] * 3
telemetry.config["metrics"] = True
assert telemetry.enabled()
telemetry.config["metrics"] = False
assert not telemetry.enabled()
from opentelemetry.sdk.trace import TracerProvider
own = TracerProvider(shutdown_on_exit=False)
telemetry.config["tracer_provider"] = own
assert telemetry.enabled()
del telemetry.config["tracer_provider"]
assert not telemetry.enabled()
telemetry.config.update({"tracer_provider": own})
assert telemetry.enabled()
telemetry.config = {"metrics": False}
assert not telemetry.enabled()
get_tracer_provider = opentelemetry.trace.get_tracer_provider
opentelemetry.trace.get_tracer_provider = lambda: own
assert [telemetry.enabled() for _ in range(3)] == [True] * 3
opentelemetry.trace.get_tracer_provider = get_tracer_provider
assert [telemetry.enabled() for _ in range(3)] == [False] * 3
opentelemetry.trace.set_tracer_provider(own)
assert [telemetry.enabled() for _ in range(3)] == [True] * 3
"""
    run_fresh(code)
