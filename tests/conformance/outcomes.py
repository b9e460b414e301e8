"""pytest plugin of the harness: writes the outcome of every test, with the first line of its error, as JSON.
That is done in the controlling process only, where xdist's workers send their reports. In the workers it gives the
processes that tests start the time that they need on a busy machine.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

PROCESS_SECONDS = 80.0
"""What a process of a test may take at least, in the limit of the test; the suite allows some 15 seconds, where the
import of the telemetry packages alone takes 10 when other work keeps both cores busy.
"""

_outcomes: dict[str, str] = {}
_messages: dict[str, str] = {}
_seconds: dict[str, float] = {}


def _record(test: str, outcome: str, report: Any) -> None:
    # An error in teardown or a later report of a crashed worker must not hide an earlier failure.
    if _outcomes.get(test) not in {"failed", "error"}:
        _outcomes[test] = outcome
    if outcome in {"failed", "error"}:
        crash = getattr(report.longrepr, "reprcrash", None)
        lines = (crash.message if crash else str(report.longrepr)).strip().splitlines() or [""]
        _messages.setdefault(test, (lines[0] if crash else lines[-1])[:300])


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note one phase of one test."""
    _seconds[report.nodeid] = _seconds.get(report.nodeid, 0.0) + report.duration
    if hasattr(report, "wasxfail"):
        if report.when == "call" or report.skipped:
            _record(report.nodeid, "xfailed" if report.skipped else "xpassed", report)
    elif report.skipped:
        _record(report.nodeid, "skipped", report)
    elif report.failed:
        _record(report.nodeid, "failed" if report.when == "call" else "error", report)
    elif report.when == "call":
        _record(report.nodeid, "passed", report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Note a file that could not be collected: its tests are missing from the count."""
    if report.failed:
        _record(report.nodeid, "error", report)
    elif report.skipped and report.nodeid.endswith(".py"):
        _record(report.nodeid, "skipped", report)


def pytest_configure() -> None:
    """Let what tests start run longer."""
    run = subprocess.run

    def run_patiently(*args: Any, timeout: float | None = None, **options: Any) -> Any:
        return run(*args, timeout=None if timeout is None else max(timeout, PROCESS_SECONDS), **options)

    subprocess.run = run_patiently


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the file named by `CONFORMANCE_OUTCOMES`."""
    if hasattr(session.config, "workerinput"):
        return
    document = {"outcomes": _outcomes, "messages": _messages, "seconds": {k: round(v, 3) for k, v in _seconds.items()}}
    Path(os.environ["CONFORMANCE_OUTCOMES"]).write_text(json.dumps(document, indent=1, sort_keys=True))


class _Together(LoadFileScheduling):
    """One worker a file, and one for a folder whose files share a folder on disk."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return file.rpartition("/")[0] if "/test_custom_docs_ui/" in file else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return _Together(config, log)
