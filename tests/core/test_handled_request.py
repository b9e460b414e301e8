"""Handlers of exceptions get the request with what was read of it for the endpoint, as under FastAPI."""

import asyncio
import importlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response


class Item(BaseModel):
    number: int


class Trouble(Exception):
    """What a handler takes."""


def _application(framework: str, layers: int) -> Any:
    fastapi = importlib.import_module(framework)
    exceptions = importlib.import_module(f"{framework}.exceptions")
    app = fastapi.FastAPI()

    async def answer(request: Request, error: Exception) -> Response:
        seen: list[Any] = [type(error).__name__]
        for read in (request.body, request.json, request.form):
            try:
                seen.append(str(await read()))
            except Exception as failure:
                seen.append(type(failure).__name__)
        return JSONResponse(seen)

    for error in (
        *(Trouble, Exception, fastapi.HTTPException),
        *(exceptions.RequestValidationError, exceptions.ResponseValidationError),
    ):
        app.exception_handler(error)(answer)

    async def pass_on(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    for _ in range(layers):
        app.middleware("http")(pass_on)

    @app.post("/validated")
    async def validated(item: Item) -> None: ...

    @app.post("/failed")
    async def failed(item: dict[str, Any]) -> None:
        raise Trouble

    @app.post("/failed-in-thread")
    def failed_in_thread(item: dict[str, Any]) -> None:
        raise Trouble

    @app.post("/unread")
    async def unread() -> None:
        raise Trouble

    @app.post("/refused")
    async def refused(item: dict[str, Any]) -> None:
        raise fastapi.HTTPException(418)

    @app.post("/unexpected")
    async def unexpected(item: dict[str, Any]) -> None:
        raise ValueError

    @app.post("/wrong", response_model=int)
    async def wrong(item: dict[str, Any]) -> str:
        return "text"

    async def opened() -> AsyncIterator[None]:
        yield

    @app.post("/opened")
    async def read_opened(item: dict[str, Any], _: None = fastapi.Depends(opened)) -> None:
        raise Trouble

    @app.post("/form")
    async def form(number: int = fastapi.Form()) -> None: ...

    @app.post("/failed-form")
    def failed_form(number: str = fastapi.Form()) -> None:
        raise Trouble

    @app.post("/query")
    async def query(number: int) -> None: ...

    return app


async def _answer(app: Any, path: str, content_type: bytes, body: bytes) -> Any:
    messages: list[Any] = [{"type": "http.request", "body": body}, {"type": "http.disconnect"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0) if len(messages) > 1 else messages[0]

    async def send(message: Any) -> None:
        sent.append((message["type"], message.get("status"), message.get("body")))

    headers = [(b"content-type", content_type)]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"number=a", "headers": headers}
    try:
        await app(scope | {"raw_path": path.encode()}, receive, send)
    except Exception as error:
        sent.append(type(error).__name__)
    return sent


@pytest.mark.parametrize("layers", [0, 1])
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (b"application/json", b'{"number": "a"}'),
        (b"application/json", b"{"),
        (b"application/json", b""),
        (b"application/x-www-form-urlencoded", b"number=a"),
        (
            b"multipart/form-data; boundary=X",
            b'--X\r\nContent-Disposition: form-data; name="number"\r\n\r\na\r\n--X--\r\n',
        ),
    ],
    ids=["json", "broken", "empty", "url-encoded", "multipart"],
)
@pytest.mark.parametrize(
    "path",
    [
        *("/validated", "/failed", "/failed-in-thread", "/unread", "/refused", "/unexpected", "/wrong", "/opened"),
        *("/form", "/failed-form", "/query"),
    ],
)
def test_handler_of_an_exception_gets_the_body_that_was_read(
    path: str, content_type: bytes, body: bytes, layers: int
) -> None:
    ours, theirs = (
        asyncio.run(_answer(_application(framework, layers), path, content_type, body))
        for framework in ("ferroapi", "fastapi")
    )
    assert ours == theirs
