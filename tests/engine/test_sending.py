"""A streaming response on its way (`ferroapi._engine.sending`): every message and every call, beside FastAPI's.

Each scenario runs under FastAPI, and under ferroapi with its own sender and with Starlette's, to which it falls back.
"""

import asyncio
import contextvars
import importlib
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Annotated, Any

import anyio
import pytest
from starlette.responses import StreamingResponse

from ferroapi._engine import sending

from ..core.asgi import ask, http_scope

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")
CONTENDERS = ("fastapi", "ferroapi", "ferroapi, falling back")


class Failure(Exception):
    """Raised by user code."""


class Client:
    """A client and its server, which note what passes. It may leave early; its channels may be slow or fail."""

    def __init__(self, log: list[Any], *, version: str = "2.3", leaves_after: int | None = None) -> None:
        self.log = log
        self.version = version
        self.leaves_after = leaves_after
        self.is_slow = False
        self.send_error: Exception | None = None
        self.receive_error: Exception | None = None
        self.left = anyio.Event()
        self.messages = [{"type": "http.request", "body": b"", "more_body": False}]
        self.chunks = 0

    @property
    def scope(self) -> dict[str, Any]:
        return http_scope("/") | {"asgi": {"version": "3.0", "spec_version": self.version}}

    async def receive(self) -> dict[str, Any]:
        self.log.append("receive")
        if self.receive_error is not None:
            raise self.receive_error
        if self.messages:
            return self.messages.pop()
        if self.leaves_after == 0:
            return {"type": "http.disconnect"}
        try:
            await self.left.wait()
        except BaseException as error:
            self.log.append(("receive", type(error).__name__))
            raise
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        if self.is_slow:
            await anyio.sleep(0)
        self.chunks += message["type"] == "http.response.body"
        if self.send_error is not None and self.chunks == 2:
            raise self.send_error
        self.log.append({name: list(value) if name == "headers" else value for name, value in message.items()})
        if self.leaves_after is not None and self.chunks >= self.leaves_after:
            self.left.set()


Chunks = Callable[[list[Any]], Any]


async def without_waiting(log: list[Any]) -> AsyncIterator[Any]:
    log.append(("in", VARIABLE.get()))
    VARIABLE.set("of the stream")
    for chunk in (b"bytes", "t\xe9xt", memoryview(b"view")):
        yield chunk
    log.append("all produced")


async def waiting(log: list[Any]) -> AsyncIterator[Any]:
    try:
        for index in range(6):
            yield str(index)
            await anyio.sleep(0.002)
        log.append("all produced")
    except BaseException as error:
        log.append(("stream", type(error).__name__))
        raise


async def cleaning_up(log: list[Any]) -> AsyncIterator[Any]:
    try:
        yield "first"
        await anyio.sleep(1)
        yield "second"
    finally:
        try:
            await anyio.sleep(0)
            log.append("cleaned up")
        except BaseException as error:
            log.append(("cleaning", type(error).__name__))
            raise


async def stubborn(log: list[Any]) -> AsyncIterator[Any]:
    yield "first"
    try:
        await anyio.sleep(1)
    except BaseException as error:
        log.append(("ignored", type(error).__name__))
    yield "second"


async def failing_at_once(log: list[Any]) -> AsyncIterator[Any]:
    if log is not None:
        raise Failure("at once")
    yield None


async def failing_later(log: list[Any]) -> AsyncIterator[Any]:
    yield "first"
    await anyio.sleep(0)
    try:
        raise KeyError("cause")
    except KeyError as error:
        raise Failure("later") from error


async def failing_in_cleanup(log: list[Any]) -> AsyncIterator[Any]:
    try:
        yield "first"
        await anyio.sleep(1)
    finally:
        raise Failure("in cleanup")


async def of_no_bytes(log: list[Any]) -> AsyncIterator[Any]:
    yield bytearray(b"array")


async def with_a_deadline(log: list[Any]) -> AsyncIterator[Any]:
    with anyio.move_on_after(0.005) as scope:
        yield "first"
        await anyio.sleep(1)
    log.append(("too late", scope.cancelled_caught))
    yield "second"


async def with_a_native_timeout(log: list[Any]) -> AsyncIterator[Any]:
    try:
        # Long enough for a client that leaves after the first chunk, on a machine that does other things too.
        async with asyncio.timeout(0.1):
            yield "first"
            await asyncio.sleep(1)
    except TimeoutError:
        log.append("too late")
    yield "second"


async def stopping_oddly(log: list[Any]) -> AsyncIterator[Any]:
    yield "first"
    raise StopAsyncIteration


def in_threads(log: list[Any]) -> Iterator[Any]:
    yield "first"
    yield b"second"
    log.append("all produced")


class Iterating:
    """An async iterator that is no generator."""

    def __init__(self, log: list[Any]) -> None:
        self.log = log
        self.left = 3

    def __aiter__(self) -> "Iterating":
        self.log.append("aiter")
        return self

    async def __anext__(self) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise StopAsyncIteration
        return b"%d" % self.left


ENDING: list[Chunks] = [
    without_waiting,
    waiting,
    failing_at_once,
    failing_later,
    of_no_bytes,
    with_a_deadline,
    stopping_oddly,
    in_threads,
    Iterating,
]
LASTING: list[Chunks] = [cleaning_up, stubborn, failing_in_cleanup]


def application(
    framework: str, log: list[Any], chunks: Chunks, *, background_fails: bool = False, yields: bool = False
) -> Any:
    """An application whose endpoint returns a streaming response, or is a generator of its chunks."""
    fastapi = importlib.import_module(framework)
    app = fastapi.FastAPI(openapi_url=None)

    async def resource() -> AsyncIterator[str]:
        try:
            yield "resource"
        except BaseException as error:
            log.append(("resource", type(error).__name__, lines(error)))
            raise
        finally:
            log.append(("resource closed", VARIABLE.get()))

    async def task() -> None:
        log.append(("background", VARIABLE.get()))
        if background_fails:
            raise Failure("in the background")

    Resource = Annotated[str, fastapi.Depends(resource)]

    if yields:

        @app.get("/", response_class=StreamingResponse)
        async def generator(_: Resource, tasks: fastapi.BackgroundTasks) -> AsyncIterator[Any]:
            tasks.add_task(task)
            async for chunk in chunks(log):
                yield chunk

    else:

        @app.get("/")
        async def endpoint(_: Resource, tasks: fastapi.BackgroundTasks) -> Any:
            tasks.add_task(task)
            return StreamingResponse(chunks(log), status_code=203, headers={"x-a": "b"}, media_type="text/plain")

    @app.exception_handler(Failure)
    async def handler(request: Any, error: Failure) -> Any:
        log.append(("handler", str(error)))
        return fastapi.Response("handled", 418)

    return app


Around = Callable[[Awaitable[None]], Awaitable[None]]


async def alone(connection: Awaitable[None]) -> None:
    await connection


def lines(error: BaseException | traceback.TracebackException) -> list[str]:
    """The last lines of a traceback, without the address of the cancel scope that AnyIO names."""
    shown = traceback.TracebackException.from_exception(error) if isinstance(error, BaseException) else error
    return [line.partition("via cancel scope ")[0] for line in shown.format_exception_only()]


def outcome(error: BaseException) -> Any:
    """What is seen of an exception: its class and text, and those that a traceback shows before it."""
    shown = traceback.TracebackException.from_exception(error)
    chain = []
    cause = shown.__cause__
    while cause is not None:
        chain.append(lines(cause))
        cause = cause.__cause__
    parts = [outcome(part) for part in error.exceptions] if isinstance(error, BaseExceptionGroup) else []
    return lines(error), chain, parts


def logs(
    monkeypatch: pytest.MonkeyPatch,
    chunks: Chunks,
    prepare: Callable[[Client], None] = lambda client: None,
    *,
    backend: str = "asyncio",
    around: Around = alone,
    background_fails: bool = False,
    yields: bool = False,
    **client_options: Any,
) -> list[list[Any]]:
    """The log of each contender."""
    results = []
    for contender in CONTENDERS:
        framework, _, falls_back = contender.partition(", ")
        log: list[Any] = []

        async def serve(framework: str, log: list[Any]) -> None:
            app = application(framework, log, chunks, background_fails=background_fails, yields=yields)
            await ask(app, http_scope("/nowhere", "TRACE"))
            client = Client(log, **client_options)
            prepare(client)
            try:
                with anyio.fail_after(10):
                    await around(app(client.scope, client.receive, client.send))
            except BaseException as error:
                log.append(outcome(error))
            log.append(("after", VARIABLE.get()))
            await anyio.sleep(0.01)

        with monkeypatch.context() as patch:
            if falls_back:
                patch.setattr(sending, "in_asyncio_task", lambda: False)
            anyio.run(serve, framework, log, backend=backend)
        results.append(log)
    return results


def assert_equal(results: list[list[Any]]) -> None:
    fastapi, ferroapi, falling_back = results
    assert falling_back == fastapi
    assert ferroapi == fastapi


# trio warns of generators that a failed response leaves to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("version", ["2.0", "2.3", "2.4", "2.10"])
@pytest.mark.parametrize("chunks", ENDING)
def test_stream_sends_what_starlette_sends(
    monkeypatch: pytest.MonkeyPatch, chunks: Chunks, version: str, backend: str
) -> None:
    assert_equal(logs(monkeypatch, chunks, version=version, backend=backend))


@pytest.mark.parametrize("leaves_after", [0, 1, 2])
@pytest.mark.parametrize("is_slow", [False, True])
@pytest.mark.parametrize("chunks", [*ENDING, *LASTING, with_a_native_timeout])
def test_stream_ends_with_a_client_that_leaves(
    monkeypatch: pytest.MonkeyPatch, chunks: Chunks, is_slow: bool, leaves_after: int
) -> None:
    def prepare(client: Client) -> None:
        client.is_slow = is_slow

    results = logs(monkeypatch, chunks, prepare, leaves_after=leaves_after)
    assert_equal(results)


GENERATED = [chunks for chunks in (*ENDING, *LASTING) if chunks is not in_threads]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("leaves_after", [1, 2])
@pytest.mark.parametrize("chunks", GENERATED)
def test_generator_endpoint_ends_with_a_client_that_leaves(
    monkeypatch: pytest.MonkeyPatch, chunks: Chunks, leaves_after: int
) -> None:
    assert_equal(logs(monkeypatch, chunks, yields=True, leaves_after=leaves_after))


@pytest.mark.parametrize("version", ["2.3", "2.4"])
@pytest.mark.parametrize("chunks", [chunks for chunks in GENERATED if chunks not in LASTING])
def test_generator_endpoint_sends_what_starlette_sends(
    monkeypatch: pytest.MonkeyPatch, chunks: Chunks, version: str
) -> None:
    assert_equal(logs(monkeypatch, chunks, yields=True, version=version))


@pytest.mark.parametrize("version", ["2.3", "2.4"])
@pytest.mark.parametrize("error", [OSError("gone"), Failure("in send"), ValueError("in send")])
@pytest.mark.parametrize("chunks", [without_waiting, waiting])
def test_stream_fails_as_its_channel_does(
    monkeypatch: pytest.MonkeyPatch, chunks: Chunks, error: Exception, version: str
) -> None:
    def prepare(client: Client) -> None:
        client.send_error = type(error)(*error.args)

    assert_equal(logs(monkeypatch, chunks, prepare, version=version))


@pytest.mark.parametrize("chunks", [without_waiting, waiting, *LASTING])
def test_stream_ends_when_listening_fails(monkeypatch: pytest.MonkeyPatch, chunks: Chunks) -> None:
    def prepare(client: Client) -> None:
        client.receive_error = Failure("in receive")

    assert_equal(logs(monkeypatch, chunks, prepare))


@pytest.mark.parametrize("chunks", [waiting, *LASTING])
@pytest.mark.parametrize("way", ["deadline", "native timeout", "cancel"])
def test_stream_ends_with_the_task_of_its_request(monkeypatch: pytest.MonkeyPatch, chunks: Chunks, way: str) -> None:
    async def around(connection: Awaitable[None]) -> None:
        if way == "deadline":
            with anyio.move_on_after(0.005):
                await connection
        elif way == "native timeout":
            async with asyncio.timeout(0.005):
                await connection
        else:
            task = asyncio.ensure_future(connection)
            await asyncio.sleep(0.005)
            task.cancel("by the server")
            await task

    # How far the stream has come after five milliseconds is not the same each time.
    results = logs(monkeypatch, chunks, around=around)
    assert_equal([[entry for entry in log if not isinstance(entry, dict)] for log in results])


def test_background_task_fails_after_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    assert_equal(logs(monkeypatch, without_waiting, background_fails=True))


def test_changed_response_class_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    original = StreamingResponse.stream_response

    async def stream_response(self: StreamingResponse, send: Any) -> None:
        await send({"type": "http.response.debug"})
        await original(self, send)

    monkeypatch.setattr(StreamingResponse, "stream_response", stream_response)
    results = logs(monkeypatch, without_waiting)
    assert_equal(results)
    assert {"type": "http.response.debug"} in results[1]


def test_response_object_with_a_method_of_its_own_is_called() -> None:
    async def stream_response(send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"own"})

    fastapi = importlib.import_module("ferroapi")
    app = fastapi.FastAPI(openapi_url=None)

    @app.get("/")
    async def endpoint() -> Any:
        response = StreamingResponse(iter(()))
        response.stream_response = stream_response  # type: ignore[method-assign]
        return response

    assert asyncio.run(ask(app, http_scope("/"))).body == b"own"
