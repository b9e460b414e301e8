"""What touches an application is an input of the engine: no other Python code of the package runs for its requests."""

import asyncio
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from pydantic import BaseModel

import ferroapi

from ..contract.drawn.middleware import PassThrough

PACKAGE = str(Path(ferroapi.__file__).parent)

Touch = Callable[[ferroapi.FastAPI], None]


async def dependency(q: str | None = None) -> str | None:
    return q


async def replacement(q: str | None = None) -> str:
    return f"replaced {q}"


class OwnHandler(ferroapi.routing.APIRoute):
    """A route with a handler around the engine's."""

    def get_route_handler(self) -> Any:
        handler = super().get_route_handler()

        async def own(request: ferroapi.Request) -> Any:
            return await handler(request)

        return own


class Filled(BaseModel):
    name: str = "nobody"


def application(route_class: Any = ferroapi.routing.APIRoute, **options: Any) -> ferroapi.FastAPI:
    app = ferroapi.FastAPI(**options)
    app.router.route_class = route_class

    @app.get("/json")
    async def json() -> dict[str, str]:
        return {"message": "Hello, World!"}

    @app.get("/items/{item_id}")
    async def item(item_id: int, value: Any = ferroapi.Depends(dependency), skip: int = 0) -> Any:
        return [item_id, value, skip]

    @app.get("/form")
    async def form(filled: Annotated[Filled, ferroapi.Form()], value: Any = ferroapi.Depends(dependency)) -> Any:
        return [filled.name, value]

    @app.websocket("/socket/{item_id}")
    async def socket(websocket: ferroapi.WebSocket, item_id: int, value: Any = ferroapi.Depends(dependency)) -> None:
        await websocket.accept(headers=[(b"x-values", f"{item_id} {value}".encode())])

    return app


def functions_called(app: ferroapi.FastAPI, path: str, kind: str = "http") -> list[str]:
    """The Python functions of the package that one request or connection calls, after some others."""
    called: list[str] = []
    sent: list[Any] = []

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            called.append(f"{Path(frame.f_code.co_filename).relative_to(PACKAGE)}: {frame.f_code.co_qualname}")

    async def receive() -> Any:
        if kind == "websocket":
            return {"type": "websocket.connect"}
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    async def request() -> None:
        scope = {
            "type": kind,
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
    assert sent[0].get("status") == 200 or (sent[0]["type"], sent[0]["headers"]) == (
        "websocket.accept",
        [(b"x-values", b"5 x")],
    )
    return called


def observed() -> ferroapi.FastAPI:
    tracer, meter = TracerProvider(shutdown_on_exit=False), MeterProvider(shutdown_on_exit=False)
    return application(telemetry={"tracer_provider": tracer, "meter_provider": meter})


def override_of_another(app: ferroapi.FastAPI) -> None:
    app.dependency_overrides[print] = print


def override_of_its_own(app: ferroapi.FastAPI) -> None:
    app.dependency_overrides[dependency] = replacement


APPLICATIONS: dict[str, Callable[[], ferroapi.FastAPI]] = {
    "alone": application,
    "with a handler of its own": partial(application, OwnHandler),
    "limited": partial(application, max_body_size=1000),
    "observed": observed,
}


@pytest.mark.parametrize("path", ["/json", "/items/5", "/form"])
@pytest.mark.parametrize("touch", [override_of_another, override_of_its_own])
@pytest.mark.parametrize("make", APPLICATIONS.values(), ids=APPLICATIONS)
def test_override_makes_a_request_call_no_more_python_functions(
    make: Callable[[], ferroapi.FastAPI], touch: Touch, path: str
) -> None:
    untouched = functions_called(make(), path)
    app = make()
    touch(app)
    called = functions_called(app, path)
    if make is APPLICATIONS["limited"] and called != untouched:
        # What an override asks for is not known beforehand: it may read the body, which is counted then.
        called.remove("_body_limit.py: limited_receive")
    assert called == untouched


class NotingMiddleware(PassThrough):
    """Middleware with something of its own that is another one after each request, as tracers have it."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.last = scope
        await self.app(scope, receive, send)


def test_middleware_that_keeps_the_last_request_makes_it_call_no_more_python_functions() -> None:
    plain, noting = application(), application()
    plain.add_middleware(PassThrough)
    noting.add_middleware(NotingMiddleware)
    assert functions_called(noting, "/json") == functions_called(plain, "/json")


NOT_PASSED = {"_engine/session.py", "middleware/asyncexitstack.py", "_routing/matching.py"}
"""Files of what Python does for a request where the driver does not."""


def test_plain_endpoint_is_called_by_the_driver_in_a_replaced_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    app, original, asked = ferroapi.FastAPI(), ferroapi.routing.run_in_threadpool, []

    @app.get("/plain/{number}")
    def read(number: int) -> dict[str, int]:
        return {"number": number}

    async def around(function: Any, /, *args: Any, **options: Any) -> Any:
        asked.append(function)
        return await original(function, *args, **options)

    monkeypatch.setattr(ferroapi.routing, "run_in_threadpool", around)
    called = functions_called(app, "/plain/5")
    # To call, and to validate what was returned, in each of the requests.
    assert len(asked) == 8
    assert not {each.partition(":")[0] for each in called} & NOT_PASSED
    assert {each.partition(": ")[2] for each in called}.isdisjoint(("solve_values", "answer"))


@pytest.mark.parametrize("is_used", [False, True], ids=["before the first request", "after it"])
@pytest.mark.parametrize("path", ["/json", "/items/5"])
@pytest.mark.parametrize("name", ["solve_dependencies", "run_endpoint_function", "serialize_response"])
def test_handler_that_asks_a_replaced_step_is_called_by_the_driver(
    name: str, path: str, is_used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is replaced; the request is native again when the step was put back."""
    original, asked = getattr(ferroapi.routing, name), []

    async def around(**options: Any) -> Any:
        asked.append(name)
        return await original(**options)

    untouched = functions_called(application(), path)
    app = application()
    if is_used:
        assert functions_called(app, path) == untouched
    monkeypatch.setattr(ferroapi.routing, name, around)
    files = {each.partition(":")[0] for each in functions_called(app, path)}
    assert len(asked) == 4
    assert not files & NOT_PASSED
    # The driver itself asks, in the place of what Python does for a request.
    assert "_engine/reference/handler.py" not in files
    # The wrapper calls the engine, which goes on with what the endpoint returns as if it had called that.
    called = {each.partition(": ")[2] for each in functions_called(app, path)}
    assert "solve_values" not in called and "answer" not in called
    assert ("serialize" in called) == (name == "serialize_response")
    assert called.isdisjoint(("build_response", "respond_with", "jsonable_encoder"))
    asked.clear()
    rows = [row for row in app.explain() if row.path == "/json"]
    assert [(row.mode, row.reason) for row in rows] == [("handler", f"ferroapi.routing.{name} was replaced")]
    monkeypatch.undo()
    assert {row.mode for row in app.explain() if row.path == "/json"} == {"native"}
    assert functions_called(app, path) == untouched
    assert not asked


@pytest.mark.parametrize("is_used", [False, True], ids=["before the first connection", "after it"])
def test_websocket_whose_solver_is_wrapped_is_solved_by_the_engine(
    is_used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is; the connection is native again when the solver was put back."""
    original, asked = ferroapi.routing.solve_dependencies, []

    async def around(**options: Any) -> Any:
        asked.append(options["request"])
        return await original(**options)

    untouched = functions_called(application(), "/socket/5", "websocket")
    app = application()
    if is_used:
        assert functions_called(app, "/socket/5", "websocket") == untouched
    monkeypatch.setattr(ferroapi.routing, "solve_dependencies", around)
    called = {each.partition(": ")[2] for each in functions_called(app, "/socket/5", "websocket")}
    assert len(asked) == 4
    assert "_Arguments.solved" in called and "solve_values" not in called
    asked.clear()
    monkeypatch.undo()
    assert functions_called(app, "/socket/5", "websocket") == untouched
    assert not asked


def test_request_in_a_stack_that_others_have_built_goes_past_the_innermost_layers() -> None:
    app = application()
    build = app.build_middleware_stack
    app.build_middleware_stack = lambda: PassThrough(build())  # type: ignore[method-assign]
    files = {each.partition(":")[0] for each in functions_called(app, "/json")}
    assert "_engine/entrance.py" in files and not files & NOT_PASSED


@pytest.mark.parametrize("path", ["/json", "/items/5"])
def test_limited_request_calls_no_more_python_functions(path: str) -> None:
    assert functions_called(application(max_body_size=1000), path) == functions_called(application(), path)


@pytest.mark.parametrize("path", ["/json", "/items/5"])
def test_observed_request_calls_functions_of_telemetry_and_the_entrance_alone(path: str) -> None:
    untouched = functions_called(application(), path)
    app = observed()
    files = {each.partition(":")[0] for each in functions_called(app, path) if each not in untouched}
    telemetry = {each for each in files if each.startswith("telemetry")}
    assert "telemetry/_observer.py" in telemetry
    assert files - telemetry <= {"applications.py", "_routing/dispatch.py", "_routing/table.py"}
