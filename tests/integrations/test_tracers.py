"""Tracers that start before the program record with `FERROAPI_ALIAS=1` what they record under FastAPI."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
PROGRAMS = Path(sys.executable).parent
QUIET = {
    # Nothing leaves the machine: what a tracer would send stays in the process.
    "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
    "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    "NEW_RELIC_DEVELOPER_MODE": "true",
    "NEW_RELIC_LICENSE_KEY": "0" * 40,
    "NEW_RELIC_APP_NAME": "service",
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "OTEL_SEMCONV_STABILITY_OPT_IN": "http",
}

TRACERS = [
    pytest.param(["ddtrace-run"], "run_ddtrace.py", 76, id="ddtrace", marks=pytest.mark.gil),
    pytest.param(["newrelic-admin", "run-program"], "run_newrelic.py", 60, id="newrelic", marks=pytest.mark.gil),
    pytest.param(["opentelemetry-instrument"], "run_opentelemetry_distro.py", 214, id="opentelemetry"),
]


def environment(**variables: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in ("FERROAPI_ALIAS", "PYTHONPATH")}
    return inherited | QUIET | variables


def program(*words: str) -> list[str]:
    return [str(PROGRAMS / words[0]), *words[1:]]


def run(tracer: list[str], script: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    command = [*program(*tracer), sys.executable, script]
    return subprocess.run(command, capture_output=True, text=True, env=environment(**variables), cwd=HERE, check=False)


def recorded(tracer: list[str], script: str, **variables: str) -> dict[str, Any]:
    done = run(tracer, script, **variables)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.parametrize(("tracer", "script", "count"), TRACERS)
def test_tracer_records_the_same_with_the_variable_alone(tracer: list[str], script: str, count: int) -> None:
    expected = recorded(tracer, script)
    found = recorded(tracer, script, FERROAPI_ALIAS="1")
    assert expected["modes"] == {} and found["modes"] != {}
    assert found["answers"] == expected["answers"]
    assert found["recorded"] == expected["recorded"]
    assert len(expected["recorded"]) == count


@pytest.mark.parametrize(
    "tracer",
    [
        pytest.param(["ddtrace-run"], id="ddtrace", marks=pytest.mark.gil),
        pytest.param(["opentelemetry-instrument"], id="opentelemetry"),
    ],
)
def test_tracer_that_was_there_first_is_told_of_the_variable(tracer: list[str], tmp_path: Path) -> None:
    """OpenTelemetry imports `fastapi` when it starts; ddtrace waits until somebody does, so here the call is enough."""
    script = tmp_path / "late.py"
    script.write_text(
        "import ferroapi.alias\nferroapi.alias.install()\nimport fastapi\nprint(fastapi.FastAPI.__mro__)\n"
    )
    done = run(tracer, str(script))
    if tracer == ["ddtrace-run"]:
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode == 1
        assert "RealFastAPIImportedError" in done.stderr
        assert "Start the process with FERROAPI_ALIAS=1 in its environment" in done.stderr


def test_tracer_that_does_not_see_the_application_is_named_in_a_warning(tmp_path: Path) -> None:
    script = tmp_path / "ours.py"
    script.write_text("from ferroapi import FastAPI\napp = FastAPI()\n")
    done = run(["opentelemetry-instrument"], str(script))
    assert done.returncode == 0, done.stderr
    assert "RuntimeWarning: opentelemetry.instrumentation.fastapi has replaced fastapi.FastAPI" in done.stderr
    assert "start the process with FERROAPI_ALIAS=1" in done.stderr
    assert not run(["opentelemetry-instrument"], str(script), FERROAPI_ALIAS="1").stderr


APPLICATION = """
import fastapi

app = fastapi.FastAPI()


@app.get("/")
async def home():
    return [fastapi.FastAPI.__module__, fastapi.__file__.rpartition("/python/")[2]]
"""


def test_server_workers_have_the_alias_by_the_variable(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(APPLICATION)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # The request waits in the listener's queue until a worker takes it, and is refused when the server ends.
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        descriptor = listener.fileno()
        worker = ["-k", "uvicorn_worker.UvicornWorker", "--bind", f"fd://{descriptor}", "--no-control-socket"]
        command = program("gunicorn", "main:app", *worker)
        server = subprocess.Popen(
            command, env=environment(FERROAPI_ALIAS="1"), cwd=tmp_path, pass_fds=[descriptor], text=True
        )
    try:
        with urllib.request.urlopen(url) as response:
            assert json.loads(response.read()) == ["fastapi.applications", "ferroapi/__init__.py"]
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()
