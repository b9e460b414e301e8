"""Limits on a body, where the engine keeps them: the same answers, messages and scope as under FastAPI."""

import asyncio
import importlib
from typing import Any

import pytest
from starlette import formparsers
from starlette.requests import Request

Log = list[Any]
PLACES = ("application", "router", "include", "route", "middleware", "handler", "mounted")


class Layer:
    def __init__(self, app: Any, log: Log) -> None:
        self.app, self.log = app, log

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)
        self.log.append(scope.get("starlette.max_body_size"))


def application(framework: str, place: str, log: Log) -> Any:
    f = importlib.import_module(framework)
    app = f.FastAPI(max_body_size=8 if place in ("application", "middleware", "handler", "mounted") else None)
    if place in ("middleware", "route"):
        app.add_middleware(Layer, log=log)
    if place == "handler":

        @app.exception_handler(413)
        async def too_large(request: Request, error: Any) -> Any:
            return f.responses.JSONResponse({"own": error.detail}, 413)

    router = f.APIRouter(max_body_size=8 if place == "router" else None)
    limit = {"max_body_size": 5} if place in ("route", "middleware") else {}

    @router.post("/json", **limit)
    async def json(x: Any = f.Body()) -> Any:
        return x

    @router.post("/stream", **limit)
    async def stream(request: Request) -> Any:
        log.append(request.scope.get("starlette.max_body_size"))
        return [chunk.decode() async for chunk in request.stream()]

    @router.post("/unread", **limit)
    async def unread() -> Any:
        log.append("called")
        return "unread"

    app.include_router(router, **({"max_body_size": 8} if place == "include" else {}))
    if place != "mounted":
        return app
    outer = f.FastAPI()
    outer.mount("", app)
    return outer


def bodies(size: int, *chunks: bytes, **headers: bytes) -> tuple[list[tuple[bytes, bytes]], list[bytes]]:
    length = [(b"content-length", str(size).encode())] if size >= 0 else []
    given = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    return [(b"content-type", b"application/json"), *length, *given], list(chunks)


REQUESTS = (
    bodies(3, b"123"),
    bodies(8, b"12345678"),
    bodies(9, b"123456789"),
    bodies(-1, b"123", b"456"),
    bodies(-1, b"1234", b"56789"),
    bodies(3, b"1234", b"56789"),
    bodies(-1, b"123", content_length=b"+3"),
    bodies(-1, b"123", content_length=b"none"),
    bodies(-1, b"123456789", content_length=b"none"),
    bodies(-1, b"{"),
)


async def answer(app: Any, path: str, headers: Any, chunks: list[bytes]) -> list[Any]:
    sent: list[Any] = []
    waiting = list(chunks)

    async def receive() -> Any:
        body = waiting.pop(0) if waiting else b""
        return {"type": "http.request", "body": body, "more_body": bool(waiting)}

    async def send(message: Any) -> None:
        sent.append({key: message[key] for key in ("type", "status", "headers", "body") if key in message})

    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers, "root_path": ""}
    try:
        await app(scope, receive, send)
    except Exception as error:
        sent.append([type(error).__name__, str(error)])
    return sent


@pytest.mark.parametrize("place", PLACES)
def test_limited_body_is_answered_as_by_fastapi(place: str) -> None:
    found = []
    for framework in ("fastapi", "ferroapi"):
        importlib.import_module(f"{framework}.responses")
        log: Log = []
        app = application(framework, place, log)
        for path in ("/json", "/stream", "/unread", "/none"):
            for headers, chunks in (*REQUESTS, *REQUESTS[:2]):
                log.append([path, chunks, asyncio.run(answer(app, path, headers, chunks))])
        found.append(log)
    assert found[0] == found[1]


@pytest.mark.parametrize("place", ["application", "router", "include", "route"])
def test_limited_body_is_read_by_the_engine(place: str) -> None:
    app = application("ferroapi", place, [])
    assert {each.mode for each in app.explain() if each.path in ("/json", "/stream", "/unread")} == {"native"}


def edited(framework: str) -> list[Any]:
    """Set limits again once they were declared, and ones that no integer of the machine holds."""
    f = importlib.import_module(framework)
    app, router = f.FastAPI(max_body_size=10**30), f.APIRouter(max_body_size=10**30)

    async def json(x: Any = f.Body()) -> Any:
        return x

    app.post("/own", max_body_size=5)(json)
    router.post("/included", max_body_size=5)(json)
    router.post("/large", max_body_size=10**30)(json)
    app.include_router(router)
    found = [asyncio.run(answer(app, path, *bodies(-1, b"123456"))) for path in ("/own", "/included", "/large")]
    for route in (*app.routes, *router.routes):
        if hasattr(route, "max_body_size"):
            route.max_body_size = 7
    app.router.max_body_size = 2
    return found + [asyncio.run(answer(app, path, *bodies(-1, b"123456"))) for path in ("/own", "/included", "/large")]


def test_edited_limit_counts_as_under_fastapi() -> None:
    assert edited("fastapi") == edited("ferroapi")


PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nhello'


@pytest.mark.parametrize("limit", [len(PART), len(PART) + 100])
def test_file_that_somebody_counts_is_made_as_under_fastapi(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    """Starlette makes a file when its part begins; the engine, where nobody can see it, when the form is whole."""
    files: list[Any] = []
    original: Any = formparsers.SpooledTemporaryFile

    def counted(*arguments: Any, **options: Any) -> Any:
        files.append(original(*arguments, **options))
        return files[-1]

    found = []
    for framework in ("fastapi", "ferroapi"):
        f = importlib.import_module(framework)
        app = f.FastAPI(max_body_size=limit)

        async def upload(file: Any = f.File()) -> Any:
            return file.filename

        app.post("/")(upload)
        headers = [(b"content-type", b"multipart/form-data; boundary=x")]
        with monkeypatch.context() as patch:
            asyncio.run(answer(app, "/", headers, [PART, b" more\r\n--x--\r\n"]))
            patch.setattr(formparsers, "SpooledTemporaryFile", counted)
            answered = asyncio.run(answer(app, "/", headers, [PART, b" more\r\n--x--\r\n"]))
        found.append((answered, [file.closed for file in files]))
        files.clear()
    assert found[0] == found[1]
    assert found[0][1] == [True]
