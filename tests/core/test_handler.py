"""Handlers of the application's own: what they see of the request and the response, and what becomes of both."""

import importlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

Log = list[Any]
Wrap = Callable[[Any, Log], Any]


class Model(BaseModel):
    x: int = 1


def plain(handler: Any, log: Log) -> Any:
    async def wrapped(request: Request) -> Any:
        log.append(["before", type(request).__name__, sorted(key for key in request.scope if "astack" in key)])
        response = await handler(request)
        background = response.background and type(response.background).__name__
        media_type = vars(response).get("media_type")
        body = getattr(response, "body", None)
        log.append([type(response).__name__, response.status_code, response.raw_headers, media_type, body, background])
        return response

    return wrapped


def adds_a_header(handler: Any, log: Log) -> Any:
    async def wrapped(request: Request) -> Any:
        response = await handler(request)
        response.headers["x-time"] = "1"
        response.set_cookie("a", "b")
        return response

    return wrapped


def synchronous(handler: Any, log: Log) -> Any:
    def wrapped(request: Request) -> Any:
        log.append("sync")
        return PlainTextResponse("sync", background=BackgroundTask(log.append, "task"))

    return wrapped


def returns_no_response(handler: Any, log: Log) -> Any:
    async def wrapped(request: Request) -> Any:
        return {"not": "a response"}

    return wrapped


def reads_first(handler: Any, log: Log) -> Any:
    async def wrapped(request: Request) -> Any:
        log.append(await request.body())
        return await handler(request)

    return wrapped


def consumes_the_stream(handler: Any, log: Log) -> Any:
    async def wrapped(request: Request) -> Any:
        async for chunk in request.stream():
            log.append(chunk)
        return await handler(request)

    return wrapped


def gives_another_request(handler: Any, log: Log) -> Any:
    class Own(Request):
        async def body(self) -> bytes:
            log.append("own body")
            return json.dumps({"x": 5}).encode()

        async def json(self) -> Any:
            log.append("own json")
            return {"x": 6}

    async def wrapped(request: Request) -> Any:
        return await handler(Own(request.scope, request.receive))

    return wrapped


def catches(handler: Any, log: Log) -> Any:
    async def wrapped(request: Request) -> Any:
        try:
            return await handler(request)
        except Exception as error:
            errors = getattr(error, "errors", None)
            log.append([type(error).__name__, str(errors() if errors else error)])
            raise

    return wrapped


def fails(handler: Any, log: Log) -> Any:
    async def wrapped(request: Request) -> Any:
        request.scope["fastapi_function_astack"].callback(log.append, "function stack")
        request.scope["fastapi_inner_astack"].callback(log.append, "request stack")
        raise LookupError("the handler")

    return wrapped


def calls_twice(handler: Any, log: Log) -> Any:
    async def wrapped(request: Request) -> Any:
        await handler(request)
        return await handler(request)

    return wrapped


def streams(handler: Any, log: Log) -> Any:
    async def wrapped(request: Request) -> Any:
        response = await handler(request)

        async def body() -> Any:
            yield response.body
            yield b"more"

        return StreamingResponse(body(), background=BackgroundTask(log.append, "streamed"))

    return wrapped


class Awaitable:
    """A handler that is no function."""

    def __init__(self, handler: Any, log: Log) -> None:
        self.handler = handler

    async def __call__(self, request: Request) -> Any:
        return await self.handler(request)


WRAPS = (
    plain,
    adds_a_header,
    synchronous,
    returns_no_response,
    reads_first,
    consumes_the_stream,
    gives_another_request,
    catches,
    fails,
    calls_twice,
    streams,
    Awaitable,
)


def application(framework: str, wrap: Wrap, log: Log) -> Any:
    f, routing = importlib.import_module(framework), importlib.import_module(f"{framework}.routing")

    class Wrapped(routing.APIRoute):  # type: ignore[name-defined, misc]
        def get_route_handler(self) -> Any:
            return wrap(super().get_route_handler(), log)

    async def generator() -> Any:
        log.append("open")
        try:
            yield 1
        finally:
            log.append("close")

    def background(tasks: f.BackgroundTasks, response: Response) -> None:
        tasks.add_task(log.append, "background")
        response.headers["x-dependency"] = "y"

    app = f.FastAPI()
    app.router.route_class = Wrapped

    @app.get("/json", dependencies=[f.Depends(generator)])
    async def data(q: int = 1) -> Any:
        log.append("endpoint")
        return {"q": q}

    @app.get("/model", dependencies=[f.Depends(background)])
    def model(q: int = 1) -> Model:
        return {"x": q if q < 5 else "none"}  # type: ignore[return-value]

    @app.post("/body")
    async def body(model: Model) -> Any:
        return model

    @app.post("/form")
    async def form(a: str = f.Form(), file: f.UploadFile = f.File(None)) -> Any:
        return [a, file and await file.read()]

    @app.get("/none", status_code=204)
    async def none() -> None: ...

    @app.get("/text", response_class=PlainTextResponse)
    async def text() -> Any:
        return "text"

    @app.get("/own")
    async def own() -> Any:
        return PlainTextResponse("own", background=BackgroundTask(log.append, "own task"))

    @app.get("/items")
    async def items() -> Any:
        yield {"x": 1}
        yield {"x": 2}

    @app.get("/error")
    async def error() -> None:
        raise f.HTTPException(418, "teapot")

    return app


MULTIPART = (
    b"".join(
        b'--b\r\nContent-Disposition: form-data; name="' + each + b"\r\n"
        for each in (b'a"\r\n\r\nb', b'file"; filename="f"\r\n\r\ncontent')
    )
    + b"--b--\r\n"
)

REQUESTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("GET", "/json?q=2", {}),
    ("GET", "/json?q=x", {}),
    ("GET", "/model", {}),
    ("GET", "/model?q=7", {}),
    ("POST", "/body", {"json": {"x": 3}}),
    ("POST", "/body", {"json": {"x": "none"}}),
    ("POST", "/body", {"content": b"{", "headers": {"content-type": "application/json"}}),
    ("POST", "/form", {"data": {"a": "b"}}),
    ("POST", "/form", {"content": MULTIPART, "headers": {"content-type": "multipart/form-data; boundary=b"}}),
    ("GET", "/none", {}),
    ("GET", "/text", {}),
    ("GET", "/own", {}),
    ("GET", "/items", {}),
    ("GET", "/error", {}),
    ("POST", "/json", {}),
)


@pytest.mark.parametrize("wrap", WRAPS, ids=lambda wrap: wrap.__name__)
def test_handler_sees_and_gives_what_it_does_under_fastapi(wrap: Wrap) -> None:
    found = []
    for framework in ("fastapi", "ferroapi"):
        log: Log = []
        app = application(framework, wrap, log)
        client = importlib.import_module(f"{framework}.testclient").TestClient(app, raise_server_exceptions=False)
        for method, path, options in REQUESTS:
            response = client.request(method, path, **options)
            log.append([path, response.status_code, dict(response.headers), response.content])
        found.append(log)
    assert found[0] == found[1]


def test_handler_that_is_replaced_later_runs_in_the_engine() -> None:
    import ferroapi

    app = application("ferroapi", plain, [])
    rows = {row.path: (row.mode, row.reason) for row in ferroapi.FastAPI.explain(app)}
    assert rows["/json"] == ("handler", "get_route_handler is overridden or replaced")
    assert all(entry.compile() is not None for entry in app.router._current_table().entries if entry.compile)
