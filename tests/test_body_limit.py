"""`ferroapi._body_limit`: which limit holds, and the error that passes through task groups."""

import asyncio
import importlib
import itertools
from typing import Any

import anyio
import pytest
from starlette.middleware.body_limit import (
    MAX_BODY_SIZE_SCOPE_KEY,
    _RequestBodyLimitResponseSent,
    _RequestBodyTooLarge,
)
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ferroapi._body_limit import (
    AppBodyLimitMiddleware,
    get_body_limit_error,
    get_body_size_limit,
    validate_max_body_size,
    wrap_app_with_body_limit,
)

TOO_LARGE = _RequestBodyTooLarge()
SENT = _RequestBodyLimitResponseSent()
OTHER = ValueError()


@pytest.mark.parametrize("limit", [-1, True, 1.0, "1"])
def test_limit_wrong_value_is_refused(limit: Any) -> None:
    with pytest.raises(ValueError, match=r"^max_body_size must be a non-negative integer or None$"):
        validate_max_body_size(limit)


@pytest.mark.parametrize("limit", [None, 0, 1])
def test_limit_is_accepted(limit: int | None) -> None:
    validate_max_body_size(limit)


@pytest.mark.parametrize(("limits", "expected"), [((), None), ((None,), None), ((None, 0, 5), 0), ((3, None), 3)])
def test_limit_first_set_one_holds(limits: tuple[int | None, ...], expected: int | None) -> None:
    assert get_body_size_limit(*limits) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TOO_LARGE, TOO_LARGE),
        (OTHER, None),
        (ExceptionGroup("", [TOO_LARGE]), TOO_LARGE),
        (ExceptionGroup("", [ExceptionGroup("", [TOO_LARGE]), SENT]), SENT),
        (ExceptionGroup("", [TOO_LARGE, OTHER]), None),
        (ExceptionGroup("", [SENT, ExceptionGroup("", [OTHER])]), None),
    ],
)
def test_error_is_found_in_groups(error: Exception, expected: Exception | None) -> None:
    assert get_body_limit_error(error) is expected


async def answer(app: ASGIApp, body: bytes, **scope: Any) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": "http", "method": "POST", "path": "/", "headers": [], **scope}, receive, send)
    return sent


async def reads_in_task_group(scope: Scope, receive: Receive, send: Send) -> None:
    async def read() -> None:
        await receive()

    async with anyio.create_task_group() as group:
        group.start_soon(read)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.parametrize(("body", "status"), [(b"1234", 200), (b"12345", 413)])
def test_limit_counts_bytes_read_in_a_task_group(body: bytes, status: int) -> None:
    messages = anyio.run(answer, wrap_app_with_body_limit(reads_in_task_group, 4), body)
    assert messages[0]["status"] == status


def test_limit_none_leaves_the_application_alone() -> None:
    assert wrap_app_with_body_limit(reads_in_task_group, None) is reads_in_task_group


def test_other_group_passes_unchanged() -> None:
    group = ExceptionGroup("", [OTHER])

    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise group

    with pytest.raises(ExceptionGroup) as caught:
        anyio.run(answer, wrap_app_with_body_limit(fails, 4), b"")
    assert caught.value is group


def test_outer_limit_is_answered_as_an_http_exception() -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise ExceptionGroup("", [TOO_LARGE])

    async def run() -> list[Message]:
        return await answer(AppBodyLimitMiddleware(fails, None), b"", **{MAX_BODY_SIZE_SCOPE_KEY: 4})

    start, body = anyio.run(run)
    assert (start["status"], body["body"]) == (413, b'{"detail":"Content Too Large"}')


def test_outer_limit_after_the_start_is_left_to_the_server() -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise TOO_LARGE

    async def run() -> list[Message]:
        return await answer(AppBodyLimitMiddleware(fails, None), b"", **{MAX_BODY_SIZE_SCOPE_KEY: 4})

    with pytest.raises(_RequestBodyTooLarge):
        anyio.run(run)


def read_by_handlers(framework: Any, layer: str, limits: tuple[int | None, ...]) -> Any:
    """Return an application whose handlers read the body, with limits of the application, an inclusion and a route."""
    app, router = framework.FastAPI(max_body_size=limits[0]), framework.APIRouter()

    async def handler(request: Any, error: Exception) -> PlainTextResponse:
        return PlainTextResponse(await request.body(), 400)

    app.exception_handler(importlib.import_module(f"{framework.__name__}.exceptions").RequestValidationError)(handler)
    app.exception_handler(LookupError)(handler)
    own = {} if limits[2] is None else {"max_body_size": limits[2]}

    @router.post("/nothing", **own)
    async def read_nothing(fails: bool) -> None:
        if fails:
            raise LookupError

    @router.post("/body", **own)
    async def read_body(fails: bool, body: Any = framework.Body()) -> Any:
        if fails:
            raise LookupError
        return body

    @router.post("/request", **own)
    async def read_request(fails: bool, request: Request) -> Any:
        if fails:
            raise LookupError
        return len(await request.body())

    app.include_router(router, **({} if limits[1] is None else {"max_body_size": limits[1]}))
    if layer == "function":

        @app.middleware("http")
        async def pass_on(request: Any, call_next: Any) -> Any:
            return await call_next(request)
    elif layer == "mounted":
        outer = framework.FastAPI(max_body_size=50)
        outer.mount("/outer", app)
        return outer
    return app


async def sent_to(app: Any, path: str, query: bytes, pieces: tuple[bytes, ...], is_announced: bool) -> Any:
    sent: list[Any] = []
    left = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    left.append({"type": "http.request", "body": b"", "more_body": False})
    length = [(b"content-length", b"%d" % sum(map(len, pieces)))] if is_announced else []
    headers = [(b"content-type", b"application/json"), *length]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": query, "headers": headers, "root_path": ""}

    async def receive() -> Any:
        return left.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


@pytest.mark.parametrize("kind", ["nothing", "body", "request"])
@pytest.mark.parametrize("layer", ["none", "function", "mounted"])
@pytest.mark.parametrize("limits", list(itertools.product((None, 0, 10, 100), (None, 1000), (None, 5, 1000))), ids=str)
def test_body_that_a_handler_reads_is_limited_as_under_fastapi(
    kind: str, layer: str, limits: tuple[int | None, ...]
) -> None:
    apps = [read_by_handlers(importlib.import_module(name), layer, limits) for name in ("ferroapi", "fastapi")]
    path = f"/outer/{kind}" if layer == "mounted" else f"/{kind}"
    for query in (b"fails=0", b"fails=1", b"fails=x"):
        for pieces in ((b"1" * 7,), (b"", b"1" * 12, b"1" * 5)):
            for is_announced in (True, False):
                ours, theirs = (asyncio.run(sent_to(app, path, query, pieces, is_announced)) for app in apps)
                assert ours == theirs, (query, pieces, is_announced)
