"""What touches an application is an input of the engine: no other Python code of the package runs for its requests."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider

import ferroapi

PACKAGE = str(Path(ferroapi.__file__).parent)

Touch = Callable[[ferroapi.FastAPI], None]


async def dependency(q: str | None = None) -> str | None:
    return q


async def replacement(q: str | None = None) -> str:
    return f"replaced {q}"


def application(**options: Any) -> ferroapi.FastAPI:
    app = ferroapi.FastAPI(**options)

    @app.get("/json")
    async def json() -> dict[str, str]:
        return {"message": "Hello, World!"}

    @app.get("/items/{item_id}")
    async def item(item_id: int, value: Any = ferroapi.Depends(dependency), skip: int = 0) -> Any:
        return [item_id, value, skip]

    return app


def functions_called(app: ferroapi.FastAPI, path: str) -> list[str]:
    """The Python functions of the package that one request calls, after some others."""
    called: list[str] = []
    sent: list[Any] = []

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            called.append(f"{Path(frame.f_code.co_filename).relative_to(PACKAGE)}: {frame.f_code.co_qualname}")

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    async def request() -> None:
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": b"q=x&skip=3",
            "headers": [(b"host", b"x")],
            "root_path": "",
        }
        await app(scope, receive, send)

    async def run() -> None:
        for _ in range(3):
            await request()
        sent.clear()
        sys.setprofile(note)
        try:
            await request()
        finally:
            sys.setprofile(None)

    asyncio.run(run())
    assert sent[0]["status"] == 200
    return called


def override_of_another(app: ferroapi.FastAPI) -> None:
    app.dependency_overrides[print] = print


def override_of_its_own(app: ferroapi.FastAPI) -> None:
    app.dependency_overrides[dependency] = replacement


@pytest.mark.parametrize("path", ["/json", "/items/5"])
@pytest.mark.parametrize("touch", [override_of_another, override_of_its_own])
def test_touched_request_calls_no_more_python_functions(touch: Touch, path: str) -> None:
    untouched = functions_called(application(), path)
    app = application()
    touch(app)
    assert functions_called(app, path) == untouched


@pytest.mark.parametrize("path", ["/json", "/items/5"])
def test_limited_request_calls_no_more_python_functions(path: str) -> None:
    assert functions_called(application(max_body_size=1000), path) == functions_called(application(), path)


@pytest.mark.parametrize("path", ["/json", "/items/5"])
def test_observed_request_calls_functions_of_telemetry_and_the_entrance_alone(path: str) -> None:
    untouched = functions_called(application(), path)
    tracer, meter = TracerProvider(shutdown_on_exit=False), MeterProvider(shutdown_on_exit=False)
    app = application(telemetry={"tracer_provider": tracer, "meter_provider": meter})
    files = {each.partition(":")[0] for each in functions_called(app, path) if each not in untouched}
    telemetry = {each for each in files if each.startswith("telemetry")}
    assert "telemetry/_observer.py" in telemetry
    assert files - telemetry <= {"applications.py", "_routing/dispatch.py", "_routing/table.py"}
