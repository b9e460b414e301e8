"""What FastAPI takes from Starlette under private names, beside what stands for it where a version lacks it."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from ferroapi._compat import starlette as taken

SCOPES = [
    {"path": path, **more}
    for path in ("", "/", "/a", "/a/", "/a/b", "/ab", "/b")
    for more in ({}, {"root_path": ""}, {"root_path": "/a"}, {"root_path": "/a/"}, {"root_path": "/other"})
]


class AsynchronouslyCalled:
    async def __call__(self) -> None: ...


class Called:
    def __call__(self) -> None: ...


async def coroutine_function() -> None: ...


@pytest.mark.parametrize("scope", SCOPES, ids=str)
def test_route_path_is_starlettes(scope: dict[str, str]) -> None:
    assert taken.own_get_route_path(scope) == taken.get_route_path(scope)


@pytest.mark.parametrize(
    "called",
    [coroutine_function, partial(partial(coroutine_function)), AsynchronouslyCalled(), Called(), Called, len, 1, None],
    ids=["function", "partial", "awaited", "called", "class", "builtin", "number", "nothing"],
)
def test_async_callables_are_starlettes(called: Any) -> None:
    assert taken.own_is_async_callable(called) == taken.is_async_callable(called)


def _answered(wrap: Callable[..., Any], failure: Exception, handlers: Any, *, starts: bool) -> list[Any]:
    """Return what is sent, and what is raised, by an application that fails under these handlers."""
    seen: list[Any] = []
    scope: dict[str, Any] = {"type": "http", "headers": [], **handlers}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if starts:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise failure

    async def send(message: Any) -> None:
        seen.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing asks for it")

    try:
        asyncio.run(wrap(app, Request(scope))(scope, receive, send))
    except Exception as error:
        seen.append((type(error), str(error), type(error.__cause__)))
    return seen


async def _awaited(request: Request, error: Exception) -> PlainTextResponse:
    return PlainTextResponse(f"awaited {error!r}")


def _called(request: Request, error: Exception) -> PlainTextResponse:
    return PlainTextResponse(f"called {error!r}")


@pytest.mark.parametrize("starts", [False, True])
@pytest.mark.parametrize("failure", [ValueError("a"), KeyError("b"), HTTPException(404), HTTPException(418)], ids=repr)
@pytest.mark.parametrize(
    "handlers",
    [
        {},
        {"starlette.exception_handlers": ({LookupError: _awaited, HTTPException: _called}, {404: _awaited})},
        {"starlette.exception_handlers": ({Exception: _called, ValueError: lambda request, error: None}, {})},
    ],
    ids=["none", "some", "all"],
)
def test_handlers_answer_as_starlettes(handlers: Any, failure: Exception, starts: bool) -> None:
    own = _answered(taken.own_wrap_app_handling_exceptions, failure, handlers, starts=starts)
    assert own == _answered(taken.wrap_app_handling_exceptions, failure, handlers, starts=starts)


def test_taken_is_own_where_starlette_lacks_it_or_means_something_else() -> None:
    own = taken.own_get_route_path
    assert taken.taken("starlette._gone", "get_route_path", own) is own
    assert taken.taken("starlette.routing", "gone", own) is own
    assert taken.taken("starlette.routing", "get_route_path", own, (({"path": "/a"},), "/a")) is not own
    assert taken.taken("starlette.routing", "get_route_path", own, (({"path": "/a"},), "/b")) is own
    assert taken.taken("starlette.routing", "Mount", own, (({"path": "/a"},), "/a")) is own
