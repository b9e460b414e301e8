"""`ferroapi._body_limit`: which limit holds, and the error that passes through task groups."""

from typing import Any

import anyio
import pytest
from starlette.middleware.body_limit import (
    MAX_BODY_SIZE_SCOPE_KEY,
    _RequestBodyLimitResponseSent,
    _RequestBodyTooLarge,
)
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
