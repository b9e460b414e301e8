"""What the engine does with code that turns against it: an exception that handlers see, and nothing held for ever."""

import asyncio
import gc
import importlib
import weakref
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any
from unittest import mock

import pytest
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.testclient import TestClient

from ferroapi import Depends, FastAPI, _core
from ferroapi._engine import graph


def _panic() -> type[BaseException]:
    """Return what PyO3 makes of a panic: raised by Python code, it is a panic again where the engine meets it."""
    for cls in BaseException.__subclasses__():
        if cls.__name__ == "PanicException" and _is_of_the_engine(cls):
            return cls
    raise AssertionError("PyO3 makes something else of a panic")


class _Raising(list[int]):
    error: type[BaseException]

    def __iter__(self) -> Iterator[int]:
        raise self.error("broken")


def _is_of_the_engine(cls: type[BaseException]) -> bool:
    raising = _Raising([1])
    raising.error = cls
    try:
        _core.encode_json(raising)
    except RuntimeError:
        return True
    except BaseException:
        return False
    return False


PANIC = _panic()


def test_panic_in_the_encoder_is_an_exception() -> None:
    raising = _Raising([1])
    raising.error = PANIC
    with pytest.raises(RuntimeError, match="ferroapi failed: broken"):
        _core.encode_json(raising)


def _application(marks: bool) -> tuple[FastAPI, list[Any]]:
    app, seen = FastAPI(), []

    @app.exception_handler(Exception)
    async def handle(request: Request, error: Exception) -> Response:
        seen.append(error)
        return JSONResponse({"error": str(error)}, 500)

    if marks:

        @app.middleware("http")
        async def mark(request: Request, call_next: Any) -> Response:
            try:
                return await call_next(request)  # type: ignore[no-any-return]
            except Exception as error:
                seen.append(error)
                raise

    async def opened() -> AsyncIterator[None]:
        raise PANIC("broken")
        yield

    def opened_in_thread() -> Iterator[None]:
        raise PANIC("broken")
        yield

    async def closes() -> AsyncIterator[None]:
        yield
        raise PANIC("broken")

    def plain() -> None:
        raise PANIC("broken")

    @app.get("/async")
    async def async_endpoint() -> None:
        raise PANIC("broken")

    @app.get("/waits")
    async def waits() -> None:
        await asyncio.sleep(0)
        raise PANIC("broken")

    @app.get("/sync")
    def sync_endpoint() -> None:
        raise PANIC("broken")

    @app.get("/opened")
    async def read_opened(_: Any = Depends(opened)) -> None: ...

    @app.get("/opened-in-thread")
    async def read_opened_in_thread(_: Any = Depends(opened_in_thread)) -> None: ...

    @app.get("/closes")
    async def read_closes(_: Any = Depends(closes, scope="function")) -> None: ...

    @app.get("/plain")
    async def read_plain(_: Any = Depends(plain)) -> None: ...

    @app.get("/encoded", response_model=None)
    async def encoded() -> Any:
        raising = _Raising([1])
        raising.error = PANIC
        return raising

    @app.get("/response")
    async def response() -> Response:
        class Broken(Response):
            async def __call__(self, *channels: Any) -> None:
                raise PANIC("broken")

        return Broken()

    return app, seen


PATHS = ["/async", "/waits", "/sync", "/opened", "/opened-in-thread", "/closes", "/plain", "/encoded", "/response"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("marks", [False, True], ids=["alone", "behind a middleware function"])
def test_panic_is_an_exception_that_handlers_and_middleware_see(path: str, marks: bool) -> None:
    app, seen = _application(marks)
    client = TestClient(app, raise_server_exceptions=False)
    for _ in range(2):
        seen.clear()
        answer = client.get(path)
        assert (answer.status_code, answer.json()) == (500, {"error": "ferroapi failed: broken"})
        assert [type(error) for error in seen] == [RuntimeError] * (2 if marks else 1)


def test_panic_in_send_is_an_exception() -> None:
    app, _ = _application(False)
    app.get("/ok")(lambda: {"a": 1})

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        raise PANIC("broken")

    scope = {"type": "http", "method": "GET", "path": "/ok", "headers": [], "query_string": b"", "root_path": ""}
    for _ in range(2):
        with pytest.raises(RuntimeError, match="ferroapi failed: broken"):
            asyncio.run(app(scope, receive, send))


@pytest.mark.parametrize("framework", ["fastapi", "ferroapi"])
def test_dict_that_changes_while_its_headers_are_read_is_an_exception(framework: str) -> None:
    app = importlib.import_module(framework).FastAPI()
    seen: list[Any] = []

    @app.exception_handler(Exception)
    async def handle(request: Request, error: Exception) -> Response:
        seen.append(str(error))
        return JSONResponse({}, 500)

    class Name(str):
        def lower(self) -> str:
            layer.simple_headers[f"X-{len(layer.simple_headers)}"] = "1"
            return str(self).lower()

    app.add_middleware(CORSMiddleware, allow_origins=["*"])
    app.get("/")(lambda: 1)
    client = TestClient(app, raise_server_exceptions=False)
    client.get("/")
    layer = app.middleware_stack
    while type(layer) is not CORSMiddleware:
        layer = layer.app
    layer.simple_headers = {Name("Access-Control-Allow-Origin"): "*", "A": "b"}
    assert client.get("/", headers={"origin": "http://a"}).status_code == 500
    assert seen == ["dictionary changed size during iteration"]


START = {"type": "http.response.start", "status": 200, "headers": []}


@pytest.mark.parametrize("call", ["want", "await_end", "pass_on"])
def test_messages_may_be_used_by_what_makes_a_future(call: str) -> None:
    class Loop:
        def create_future(self) -> Any:
            # A loop of somebody else's may run anything here.
            messages.expect(_core.SteppedTask(None, None, ()))
            messages.give_up()
            messages.release()
            messages.close()
            return asyncio.Future(loop=loop)

    loop = asyncio.new_event_loop()
    try:
        messages = _core.ResponseMessages(None, None, Loop())
        arguments = (START,) if call == "pass_on" else ()
        assert isinstance(getattr(messages, call)(*arguments), asyncio.Future)
        assert messages.is_closed
        assert len(messages.calls) == 1
    finally:
        loop.close()


def test_messages_may_be_used_by_what_they_drop() -> None:
    class Future:
        def __del__(self) -> None:
            messages.give_up()
            dropped.append(messages.is_closed)

    class Loop:
        def create_future(self) -> Any:
            return Future()

    dropped: list[bool] = []
    messages = _core.ResponseMessages(None, None, Loop())
    for call in (messages.want, messages.want, messages.arrived, messages.await_end, messages.await_end):
        call()
    gc.collect()
    assert dropped == [False] * 3


def test_awaitable_that_resumes_itself_is_refused_as_a_coroutine_is() -> None:
    async def send(message: Any) -> None:
        with pytest.raises(ValueError, match="coroutine already executing"):
            stream.send(None)
        with pytest.raises(ValueError, match="coroutine already executing"):
            stream.close()

    async def nothing() -> AsyncIterator[bytes]:
        return
        yield

    stream = _core.stream(StreamingResponse(nothing()), send)
    with pytest.raises(StopIteration):
        stream.send(None)
    with pytest.raises(RuntimeError, match="cannot reuse"):
        stream.send(None)
    stream.close()


class Big:
    """Something that an endpoint holds."""


def _pending(framework: ModuleType, kind: str, has_middleware: bool) -> int:
    """Leave two requests that wait for ever, and return how many of their objects are in memory still."""
    held: list[weakref.ref[Big]] = []
    _leave(_waiting(framework, kind, has_middleware, held), kind, held)
    for _ in range(2):
        gc.collect()
    return sum(ref() is not None for ref in held)


def _waiting(framework: ModuleType, kind: str, has_middleware: bool, held: list[Any]) -> Any:
    app = framework.FastAPI()

    async def wait() -> None:
        big = Big()
        held.append(weakref.ref(big))
        task = asyncio.current_task()
        await asyncio.Future()
        del big, task

    async def opened() -> AsyncIterator[None]:
        big = Big()
        held.append(weakref.ref(big))
        yield
        del big

    async def chunks() -> AsyncIterator[bytes]:
        yield b"one"
        await wait()

    if has_middleware:

        @app.middleware("http")
        async def passes(request: Request, call_next: Any) -> Response:
            return await call_next(request)  # type: ignore[no-any-return]

    if kind == "endpoint":
        app.get("/")(wait)
    elif kind == "dependency":

        @app.get("/")
        async def with_dependency(_: Any = framework.Depends(opened)) -> None:
            await wait()
    elif kind == "stream":

        @app.get("/")
        async def stream() -> Response:
            return StreamingResponse(chunks())
    elif kind == "sync":

        @app.get("/")
        async def after_thread(_: Any = framework.Depends(lambda: None)) -> None:
            await wait()
    else:

        @app.get("/")
        async def reads(request: Request) -> None:
            await request.body()
            await wait()

    return app


def _leave(app: Any, kind: str, held: list[Any]) -> None:
    async def receive() -> Any:
        if kind == "body":
            await asyncio.sleep(0)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None: ...

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "method": "GET",
        "path": "/",
        "raw_path": b"/",
        "root_path": "",
        "query_string": b"",
        "headers": [],
        "scheme": "http",
        "server": ("a", 80),
        "client": ("a", 1),
        "http_version": "1.1",
    }

    async def begin() -> None:
        asyncio.ensure_future(app(dict(scope), receive, send))  # noqa: RUF006 - nobody is to hold it
        before = len(held)
        async with asyncio.timeout(10):
            while len(held) == before:
                await asyncio.sleep(0.001)
        # A little further: to where it waits.
        for _ in range(10):
            await asyncio.sleep(0.001)

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    for _ in range(2):
        loop.run_until_complete(begin())
    loop.close()


@pytest.mark.parametrize("has_middleware", [False, True], ids=["alone", "behind a middleware function"])
@pytest.mark.parametrize("kind", ["endpoint", "dependency", "stream", "body", "sync"])
@pytest.mark.filterwarnings("ignore")
def test_pending_request_is_collected_when_it_is_under_fastapi(kind: str, has_middleware: bool) -> None:
    """Where its dependency waits, FastAPI's is not: AnyIO's scope holds it."""
    theirs, ours = (_pending(importlib.import_module(name), kind, has_middleware) for name in ("fastapi", "ferroapi"))
    assert ours <= theirs


def test_plan_with_more_names_than_arguments_is_refused() -> None:
    app = FastAPI()

    @app.get("/")
    async def endpoint(a: int = 1) -> int:
        return a

    route: Any = app.routes[-1]
    operation = route.get_route_handler().operation
    with mock.patch.object(graph, "Node", side_effect=_core.Node) as make:
        operation.overridden([])
    node = _core.Node(**{**make.call_args.kwargs, "keywords": ("a", "b", "c", "d"), "positional": None})
    with pytest.raises(ValueError, match="4 keyword names for 1 arguments"):
        _core.Plan(
            nodes=[node],
            steps=[_core.Step.call(0)],
            lookups=[],
            body=_core.Reading.UNREAD,
            answer=_core.Answer.json(status=None),
            parts=0,
            overrides_provider=None,
            source=_core.Snapshot([], []),
            operation=operation,
        )


@pytest.mark.parametrize("places", [[0, 0], [1, 2], [2]])
def test_arguments_without_places_of_their_own_are_refused(places: list[int]) -> None:
    with pytest.raises(ValueError, match="a place of its own"):
        _core.Positional(code=(lambda: None).__code__, places=places)
