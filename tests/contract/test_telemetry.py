"""What is recorded of a request, against FastAPI's own telemetry around the same ASGI application."""

import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import nullcontext
from importlib import import_module
from typing import Any
from unittest import mock

import anyio
import fastapi
import fastapi.telemetry._api
import fastapi.telemetry._asgi
import pytest
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from ferroapi.telemetry import _api, _asgi, get_telemetry_data

from .drawn.recording import Recording

Application = Callable[[Any, Scope, Receive, Send], Awaitable[None]]


@pytest.fixture
def recordings() -> Iterator[tuple[Recording, Recording]]:
    both = Recording(), Recording()
    yield both
    for recording in both:
        recording.close()


async def answer(api: Any, scope: Scope, receive: Receive, send: Send, status: int = 200, **start: Any) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [], **start})
    await send({"type": "http.response.body", "body": b"x"})


async def answers_on_a_route(api: Any, scope: Scope, receive: Receive, send: Send) -> None:
    api._route_selected(scope=scope, path="/api/{path}", mount=True)
    api._route_selected(scope=scope, path="/items/{item_id}")
    with api._operation(name="endpoint", function=answer):
        await answer(api, scope, receive, send)
    api._run_sync_endpoint(function=dict, arguments={"a": 1})


async def answers_an_error(api: Any, scope: Scope, receive: Receive, send: Send) -> None:
    await answer(api, scope, receive, send, status=503)


async def fails(api: Any, scope: Scope, receive: Receive, send: Send) -> None:
    api._route_selected(scope=scope, path="/fails")
    with api._operation(name="endpoint", function={}.get):
        raise KeyError("missing")


async def fails_after_the_answer(api: Any, scope: Scope, receive: Receive, send: Send) -> None:
    await answer(api, scope, receive, send)
    raise KeyError("late")


async def fails_in_background(api: Any, scope: Scope, receive: Receive, send: Send) -> None:
    await answer(api, scope, receive, send)
    with api._operation(name="background_task", function=answer):
        raise fastapi.HTTPException(status_code=400)


async def refuses_to_validate(api: Any, scope: Scope, receive: Receive, send: Send) -> None:
    error_class = api.RequestValidationError if scope["type"] == "http" else api.WebSocketRequestValidationError
    error = error_class([{"type": "missing"}])
    api._validation_failed(error)
    data = api.get_telemetry_data()
    assert data is None or data.errors == [{"type": "missing"}]
    with api._operation(name="dependencies"):
        raise error


async def disconnects(api: Any, scope: Scope, receive: Receive, send: Send) -> None:
    await receive()


async def gives_no_answer(api: Any, scope: Scope, receive: Receive, send: Send) -> None:
    pass


async def sends_trailers(api: Any, scope: Scope, receive: Receive, send: Send) -> None:
    await answer(api, scope, receive, send, trailers=True)
    await send({"type": "http.response.trailers", "headers": [], "more_trailers": True})
    await send({"type": "http.response.trailers", "headers": []})


async def sends_a_file(api: Any, scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.pathsend", "path": "/tmp/a"})


async def leaves(api: Any, scope: Scope, receive: Receive, send: Send) -> None:
    raise WebSocketDisconnect(1001)


async def breaks_off(api: Any, scope: Scope, receive: Receive, send: Send) -> None:
    raise WebSocketDisconnect(1006)


HTTP: Scope = {
    "type": "http",
    "method": "GET",
    "scheme": "https",
    "path": "/a",
    "query_string": b"a=1&sig=secret&b=",
    "http_version": "1.1",
    "headers": [(b"host", b"example.com:8080"), (b"traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01")],
    "server": ("127.0.0.1", 80),
    "root_path": "/root/",
}
WEBSOCKET: Scope = {"type": "websocket", "path": "/ws", "headers": [], "server": ("localhost", None)}
APPLICATIONS: list[Application] = [
    *(answers_on_a_route, answers_an_error, fails, fails_after_the_answer, fails_in_background, refuses_to_validate),
    *(disconnects, gives_no_answer, sends_trailers, sends_a_file, leaves, breaks_off),
]


def observe(package: Any, api: Any, recording: Recording, app: Application, scope: Scope, **options: Any) -> Any:
    legacy = options.pop("legacy_otel", False)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        pass

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        await app(api, scope, receive, send)

    async def run() -> Any:
        running = dict(scope)
        try:
            await package.NativeTelemetry(recording.config(**options))(
                app=package.ExceptionTelemetryMiddleware(inner),
                scope=running,
                receive=receive,
                send=send,
                legacy_otel=legacy,
            )
        except Exception as error:
            return repr(error), running == scope
        return None, running == scope

    return anyio.run(run), recording.read()


@pytest.mark.parametrize("app", APPLICATIONS)
@pytest.mark.parametrize("scope", [HTTP, WEBSOCKET], ids=["http", "websocket"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"operation_spans": False},
        {"tracing": False},
        {"metrics": False, "logs": False},
        {"exclude": lambda scope: True},
        {"legacy_otel": True},
    ],
    ids=["all", "no operations", "no spans", "only spans", "excluded", "other instrumentation"],
)
def test_record_equals_reference(
    recordings: tuple[Recording, Recording], app: Application, scope: Scope, options: dict[str, Any]
) -> None:
    ours = observe(_asgi, _api, recordings[0], app, scope, **options)
    theirs = observe(fastapi.telemetry._asgi, fastapi.telemetry._api, recordings[1], app, scope, **options)
    assert repr(ours).replace("ferroapi.", "fastapi.") == repr(theirs)


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": []},
        {"headers": [], "server": None},
        {"headers": [(b"host", b"user@a")]},
        {"headers": [(b"host", b"a:b")]},
        {"headers": [(b"host", b"[::1]:80")]},
        {"headers": [(b"host", b"a/b")]},
        {"headers": [(b"baggage", b"a=1"), (b"baggage", b"b=2")]},
        {"method": "BREW"},
        {"method": "BREW", "http_version": "", "query_string": b""},
        {"app_root_path": "/app", "scheme": "http"},
    ],
)
def test_record_of_an_odd_scope_equals_reference(
    recordings: tuple[Recording, Recording], changes: dict[str, Any]
) -> None:
    scope = {**HTTP, **changes}
    ours = observe(_asgi, _api, recordings[0], answers_on_a_route, scope)
    theirs = observe(fastapi.telemetry._asgi, fastapi.telemetry._api, recordings[1], answers_on_a_route, scope)
    assert repr(ours) == repr(theirs)


def test_known_methods_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", " GET, ,BREW")
    assert _asgi.NativeTelemetry({}).known_methods == {"GET", "BREW"}


def test_telemetry_data_outside_of_a_request_is_none() -> None:
    assert get_telemetry_data() is None


def test_telemetry_data_is_gone_after_the_request(recordings: tuple[Recording, Recording]) -> None:
    seen: list[Any] = []

    async def keeps(api: Any, scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["fastapi.telemetry"])
        assert seen[0].data is get_telemetry_data()
        await answer(api, scope, receive, send)

    observe(_asgi, _api, recordings[0], keeps, HTTP)
    assert seen[0].data is None
    assert get_telemetry_data() is None


@pytest.mark.parametrize("query", [b"number=4", b""])
def test_request_whose_scope_says_nothing_of_telemetry_is_recorded_as_by_fastapi(
    recordings: tuple[Recording, Recording], query: bytes
) -> None:
    def record(framework: Any, recording: Recording) -> Any:
        seen: list[Any] = []

        class Route(framework.routing.APIRoute):
            def get_route_handler(self) -> Any:
                handler = super().get_route_handler()

                async def own(request: Any) -> Any:
                    scope = {key: value for key, value in request.scope.items() if key != "fastapi.telemetry"}
                    try:
                        return await handler(type(request)(scope, request.receive))
                    finally:
                        data = framework.telemetry.get_telemetry_data()
                        seen.append([data.values, data.errors, type(data.request).__name__, data.body])

                return own

        app = framework.FastAPI(telemetry=recording.config())
        app.router.route_class = Route

        @app.get("/")
        async def endpoint(number: int, value: str = framework.Depends(lambda: "value")) -> Any:
            return [number, value]

        async def receive() -> Message:
            return {"type": "http.request"}

        async def send(message: Message) -> None:
            seen.append(message)

        anyio.run(app, {**HTTP, "path": "/", "query_string": query}, receive, send)
        return seen, recording.read()

    import ferroapi
    import ferroapi.telemetry

    ours, theirs = record(ferroapi, recordings[0]), record(fastapi, recordings[1])
    assert repr(ours).replace("ferroapi", "fastapi") == repr(theirs)


def test_other_instrumentation_is_found_in_the_stack() -> None:
    class Layer:
        def __init__(self, app: object) -> None:
            self.app = app

    middleware = type("OpenTelemetryMiddleware", (), {"__module__": "opentelemetry.instrumentation.asgi"})
    circle = Layer(None)
    circle.app = circle
    assert _asgi._legacy_otel(Layer(Layer(middleware())))
    assert not _asgi._legacy_otel(circle)
    assert not _asgi._legacy_otel(None)


def recorded(framework: str, name: str, replacement: Any, url: str) -> list[Any]:
    """Return what is recorded of a request before, while and after a name of the telemetry module is replaced."""
    f, module = import_module(framework), import_module(f"{framework}.telemetry._api")
    recording = Recording()
    app = f.FastAPI(openapi_url=None, telemetry=recording.config())

    @app.get("/refused")
    async def refuse() -> None:
        raise f.HTTPException(404)

    seen = []
    with TestClient(app) as client:
        for context in (nullcontext(), mock.patch.object(module, name, replacement), nullcontext()):
            with context:
                client.get(url)
            spans = recording._read_spans()
            seen.append([(each["name"], each["status"], each["attributes"].get("error.type")) for each in spans])
            recording.spans.clear()
    recording.close()
    return json.loads(json.dumps(seen, default=str).replace("ferroapi", "fastapi"))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("name", "replacement", "url"),
    [("HTTPException", KeyError, "/refused"), ("_exception_type", lambda error: "other", "/refused")],
)
def test_name_that_is_replaced_between_requests_is_asked_as_by_fastapi(name: str, replacement: Any, url: str) -> None:
    assert recorded("ferroapi", name, replacement, url) == recorded("fastapi", name, replacement, url)


@pytest.mark.parametrize("name", ["_server_attributes", "_HeadersGetter", "propagate", "_logs"])
def test_steps_of_observing_a_request_are_not_where_fastapi_has_them(name: str) -> None:
    """A decided difference (docs/differences.md)."""
    assert hasattr(fastapi.telemetry._asgi, name)
    assert not hasattr(_asgi, name)


def record_wrapped_steps(framework: str, name: str, recording: Recording) -> Any:
    """Return what is known and recorded of requests before, while and after a step of theirs is wrapped."""
    f, routing = import_module(framework), import_module(f"{framework}.routing")
    known, original = import_module(f"{framework}.telemetry").get_telemetry_data, getattr(routing, name)
    seen: list[Any] = []

    def note(moment: str) -> None:
        data = known()
        seen.append([moment, type(data.request).__name__, data.body, data.values and sorted(data.values), data.errors])

    async def wrapped(**keywords: Any) -> Any:
        note("begun")
        result = await original(**keywords)
        note("done")
        return result

    app = f.FastAPI(openapi_url=None, telemetry=recording.config())

    @app.post("/items/{number}")
    def add(number: int, body: dict[str, int], size: int = f.Depends(lambda: note("dependency"))) -> Any:
        note("endpoint")
        return body

    @app.get("/fails")
    async def fail() -> None:
        raise KeyError("missing")

    with TestClient(app, raise_server_exceptions=False) as client:
        for context in (nullcontext(), mock.patch.object(routing, name, wrapped), nullcontext()):
            with context:
                for url in ("/items/1", "/items/x"):
                    seen.append(client.post(url, json={"a": 1}).status_code)
                seen.append(client.get("/fails").status_code)
            spans = recording._read_spans()
            seen.append([(each["name"], each["status"], each["attributes"]) for each in spans])
            recording.spans.clear()
    return json.loads(json.dumps(seen, default=str).replace("ferroapi", "fastapi"))


@pytest.mark.parametrize("name", ["solve_dependencies", "run_endpoint_function"])
def test_request_whose_step_is_wrapped_is_recorded_as_by_fastapi(
    name: str, recordings: tuple[Recording, Recording]
) -> None:
    ours, theirs = recordings
    assert record_wrapped_steps("ferroapi", name, ours) == record_wrapped_steps("fastapi", name, theirs)
