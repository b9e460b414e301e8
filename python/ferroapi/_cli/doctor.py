"""`ferroapi doctor`: what surrounds an application in this environment, and what of it costs speed or breaks the alias.

It looks only: at versions, the alias, tracing agents, the server's parts, routes, and settings.
"""

import os
import platform
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import Any, NamedTuple

from packaging.requirements import Requirement

from ferroapi import alias
from ferroapi._cli.report import Row, count_of, rows_of
from ferroapi._cli.serving import OWN_PROTOCOL, event_loop

OK, NOTE, PROBLEM = "ok", "note", "problem"

_AGENTS = {
    "ddtrace": "ddtrace",
    "elasticapm": "Elastic APM",
    "logfire": "Logfire",
    "newrelic": "New Relic",
    "opentelemetry.instrumentation.fastapi": "OpenTelemetry instrumentation",
    "sentry_sdk": "Sentry",
    "prometheus_fastapi_instrumentator": "Prometheus instrumentator",
}


class Finding(NamedTuple):
    """One thing that was looked at."""

    topic: str
    level: str
    """`ok`, `note` or `problem`; a problem makes the command end with code 1."""
    text: str


def examine(app: Any, already_imported: frozenset[str]) -> list[Finding]:
    """All findings about an application, which was imported after the modules `already_imported`."""
    rows = rows_of(app)
    debug = [Finding("settings", NOTE, "debug=True: errors show their tracebacks to the client")] if app.debug else []
    return [*_environment(already_imported), *_server(), *_routes(rows), *debug, *_settings()]


def examine_without(error: Exception, already_imported: frozenset[str]) -> list[Finding]:
    """The findings about what surrounds an application that raised `error` when it was imported."""
    broken = Finding("application", PROBLEM, f"{type(error.__cause__).__name__}: {error.__cause__}")
    return [*_environment(already_imported), *_server(), broken, *_settings()]


def _environment(already_imported: frozenset[str]) -> list[Finding]:
    return [*_versions(), *_alias(already_imported), *_agents()]


def _versions() -> Iterator[Finding]:
    own = metadata.version("ferroapi")
    yield Finding(
        "versions",
        OK,
        f"ferroapi {own} (FastAPI {alias.FASTAPI_VERSION}) on {platform.python_implementation()} "
        f"{platform.python_version()}, {platform.machine()}",
    )
    for text in metadata.requires("ferroapi") or ():
        requirement = Requirement(text)
        extra = {"extra": "standard"}
        if requirement.marker is not None and not requirement.marker.evaluate(extra):
            continue
        try:
            installed = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            if requirement.marker is None:
                yield Finding("versions", PROBLEM, f"{requirement.name} is not installed")
            continue
        if requirement.specifier.contains(installed, prereleases=True):
            yield Finding("versions", OK, f"{requirement.name} {installed}")
        else:
            wanted = f"{requirement.name}{requirement.specifier}"
            yield Finding("versions", PROBLEM, f"{requirement.name} {installed} is installed, {wanted} is required")


def _alias(already_imported: frozenset[str]) -> Iterator[Finding]:
    real = sys.modules.get(alias.THEIRS)
    if alias.is_installed():
        yield Finding("alias", OK, "`import fastapi` means ferroapi")
    elif real is None:
        yield Finding("alias", OK, "not installed, and nothing imports fastapi")
    else:
        early = [title for module, title in _AGENTS.items() if module in already_imported]
        first = f"; {', '.join(early)} came before the application" if early else ""
        yield Finding(
            "alias",
            PROBLEM,
            f"the real fastapi {getattr(real, '__version__', '')} is imported beside ferroapi{first}: "
            "start the process with FERROAPI_ALIAS=1 if anything here was written for FastAPI",
        )


def _agents() -> Iterator[Finding]:
    found = [title for module, title in _AGENTS.items() if module in sys.modules]
    text = f"imported: {', '.join(found)}" if found else "none is imported"
    yield Finding("agents", OK, text)


def _server() -> Iterator[Finding]:
    if (loop := event_loop()) == "uvloop":
        yield Finding("server", OK, "event loop: uvloop")
    else:
        yield Finding("server", NOTE, f"event loop: {loop}; uvloop is faster where it can be installed")
    yield Finding("server", OK, f"HTTP: {OWN_PROTOCOL} under `ferroapi run`, else what the server is told by --http")


def _routes(rows: list[Row]) -> Iterator[Finding]:
    slow = [row for row in rows if not row.is_native]
    yield Finding("routes", NOTE if slow else OK, count_of(rows))
    for row in slow:
        name = " ".join((",".join(row.methods), row.path)).strip()
        yield Finding("routes", NOTE, f"{name} {_cost_of(row)}: {row.reason}")


def _cost_of(row: Row) -> str:
    is_engine_below = row.mode == "handler" and not row.reason.endswith("was replaced")
    return "costs about a fifth of what it does in FastAPI" if is_engine_below else "costs what it does in FastAPI"


def _settings() -> Iterator[Finding]:
    for is_set, text in (
        (sys.flags.dev_mode, "Python runs in development mode (-X dev), which makes asyncio several times slower"),
        (
            bool(os.environ.get("PYTHONASYNCIODEBUG")),
            "PYTHONASYNCIODEBUG is set, which makes asyncio several times slower",
        ),
        (bool(os.environ.get("FERROAPI_PLAIN")), "FERROAPI_PLAIN switches parts of the engine off"),
        (sys.gettrace() is not None, "a trace function (debugger, coverage) is set, and runs for every line"),
        (sys.getprofile() is not None, "a profile function is set, and runs for every call"),
    ):
        if is_set:
            yield Finding("settings", NOTE, text)
