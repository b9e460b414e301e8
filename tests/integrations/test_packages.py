"""Published packages record the same under FastAPI and under ferroapi's alias: spans, events and metrics."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
PACKAGE_ROOT = HERE.parents[1] / "python"
RUN = """
import runpy, sys
sys.path.insert(0, {folder!r})
{before}
sys.argv = {argv!r}
runpy.run_path({script!r}, run_name="__main__")
"""
ALIAS = "import ferroapi.alias\nferroapi.alias.install()"


def run(script: str, *arguments: str, before: str) -> dict[str, Any]:
    path = str(HERE / script)
    code = RUN.format(folder=str(HERE), before=before, script=path, argv=[path, *arguments])
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE_ROOT), "OTEL_SEMCONV_STABILITY_OPT_IN": "http"}
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert process.returncode == 0, process.stderr
    result: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return result


# How ferroapi answers, at least so often: by the driver itself under the package's middleware; by a handler over the
# same plan where the package puts its own handler in front; in Python where the package replaces another name, or
# where FastAPI's own telemetry is on (logfire sets the global providers).
CASES = [
    pytest.param("run_sentry.py", (), {"driver": 38, "handler": 0}, id="sentry"),
    pytest.param("run_sentry.py", ("late",), {"driver": 30, "handler": 0}, id="sentry-late"),
    pytest.param("run_opentelemetry.py", (), {"driver": 72, "handler": 8}, id="opentelemetry"),
    pytest.param("run_opentelemetry.py", ("global",), {"driver": 36, "handler": 4}, id="opentelemetry-global"),
    pytest.param("run_logfire.py", (), {"driver": 22, "handler": 0}, id="logfire"),
    pytest.param("run_prometheus.py", (), {"driver": 37, "handler": 4}, id="prometheus"),
]


@pytest.mark.parametrize(("script", "arguments", "modes"), CASES)
def test_package_records_the_same_under_both_frameworks(
    script: str, arguments: tuple[str, ...], modes: dict[str, int]
) -> None:
    expected = run(script, *arguments, before="")
    found = run(script, *arguments, before=ALIAS)
    assert expected["modes"] == {}
    assert found["answers"] == expected["answers"]
    assert found["recorded"] == expected["recorded"]
    assert len(json.dumps(expected["recorded"])) > 5_000
    assert sum(found["modes"].values()) >= sum(modes.values())
    assert (found["modes"]["driver"] == 0) == (modes["driver"] == 0)


@pytest.mark.parametrize("package", ["pagination", "slowapi"])
def test_package_answers_the_same_under_both_frameworks(package: str) -> None:
    expected = run(f"run_{package}.py", before="")
    found = run(f"run_{package}.py", before=ALIAS)
    modes = found.pop("modes")
    assert expected.pop("modes") == {}
    assert found == expected
    assert {status for _, status, *_ in expected["answers"]} >= {200}
    assert sum(modes.values()) > 0
