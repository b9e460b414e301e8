"""From a handler to an ASGI application: a `Request` or `WebSocket`, and the exit stacks that dependencies close in.

Outermost of a route; `routing` gives it the handler. It knows neither dependencies nor responses.
"""

import functools
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, cast

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from ferroapi import _core
from ferroapi._compat.starlette import is_async_callable, wrap_app_handling_exceptions
from ferroapi._engine.compile import PathOperation, note_built, note_connecting
from ferroapi._engine.sending import send_stream
from ferroapi.exception_handlers import close_reason
from ferroapi.exceptions import FastAPIError

RESPONSE_NOT_AWAITED = (
    "Response not awaited. There's a high chance that the "
    "application code is raising an exception and a dependency with yield "
    "has a block with a bare except, or a block with except Exception, "
    "and is not raising the exception again. Read more about it in the "
    "docs: https://fastapi.tiangolo.com/tutorial/dependencies/dependencies-with-yield/"
    "#dependencies-with-yield-and-except"
)


def request_response(func: Callable[[Request], Awaitable[Response] | Response]) -> ASGIApp:
    """Return an ASGI application that answers with what a `Request -> Response` callable returns.

    Dependencies of scope `function` are closed before the response is sent, those of scope `request` after it.

    Raises:
        FastAPIError: by the application, when a dependency swallowed the exception that took the response's place.
    """
    call = cast(
        Callable[[Request], Awaitable[Response]],
        func if is_async_callable(func) else functools.partial(cast(Any, run_in_threadpool), func),
    )
    operation: PathOperation | None = getattr(func, "operation", None)
    # What fails while events are produced cancels the sending, in the same turn only under Starlette's own task group.
    is_sent_here = operation is not None and not operation.response.is_event_stream

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if (driver := _core.drive(planned.plan, scope, receive, send)) is not None:
            await driver
            return
        request = Request(scope, receive, send)

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            is_sent = False
            async with AsyncExitStack() as request_stack:
                scope["fastapi_inner_astack"] = request_stack
                async with AsyncExitStack() as function_stack:
                    scope["fastapi_function_astack"] = function_stack
                    response = await call(request)
                if is_sent_here and type(response) is StreamingResponse:
                    await send_stream(response, scope, receive, send)
                else:
                    await response(scope, receive, send)
                is_sent = True
            if not is_sent:
                raise FastAPIError(RESPONSE_NOT_AWAITED)

        await wrap_app_handling_exceptions(answer, request)(scope, receive, checked_send(send))

    planned = note_built(app, func)
    return app


def checked_send(send: Send) -> Send:
    """Return a `send` that refuses the start of a response that would break or split what a server writes.

    Raises:
        RuntimeError: by the returned function, with nothing sent yet, so that a clean 500 can be.
    """

    def checked(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start" and type(message) is dict:
            _core.check_start(message)
        return send(message)

    return checked


def bounded_close(send: Send) -> Send:
    """Return a `send` of a WebSocket whose close reasons are text of at most `MAXIMUM_CLOSE_REASON` bytes."""

    def bounded(message: Message) -> Awaitable[None]:
        if message["type"] == "websocket.close" and message.get("reason"):
            message = {**message, "reason": close_reason(str(message["reason"]))}
        return send(message)

    return bounded


def websocket_session(func: Callable[[WebSocket], Awaitable[None]]) -> ASGIApp:
    """Return an ASGI application that runs a coroutine function with a `WebSocket`."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        session = WebSocket(scope, receive=receive, send=bounded_close(send))

        async def run(scope: Scope, receive: Receive, send: Send) -> None:
            async with AsyncExitStack() as request_stack, AsyncExitStack() as function_stack:
                scope["fastapi_inner_astack"] = request_stack
                scope["fastapi_function_astack"] = function_stack
                await func(session)

        await wrap_app_handling_exceptions(run, session)(scope, receive, send)

    note_connecting(app, func)
    return app
