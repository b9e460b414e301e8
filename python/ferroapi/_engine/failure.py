"""Native requests that failed with an exception which no default handler answers."""

from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ferroapi._body_limit import passing_limits_again, wrap_app_with_body_limit
from ferroapi._compat.starlette import wrap_app_handling_exceptions
from ferroapi._engine.session import checked_send
from ferroapi._engine.teardown import Teardown, unwind
from ferroapi._tracebacks import without_own_frames

FAILURE_KEY = "ferroapi.failure"
"""The scope key under which a failed native request is handed to the application's own middleware stack."""

_REPLAYED_START: Message = {"type": "http.response.start"}
"""Tells the middleware that a response had started; the server, which has the real one, never sees it."""

Failure = tuple[BaseException, bool, bool, Teardown, Teardown, bool]
"""The arguments of `unwind`."""


def _failing(failure: Failure) -> ASGIApp:
    """Return an application that fails as the native request did, after the start of the response if it had started."""
    _, started, *_ = failure

    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        if started:
            await send(_REPLAYED_START)
        await unwind(*failure)

    return fail


async def answer_failure(
    channels: tuple[Scope, Receive, Send],
    failure: Failure,
    connection_teardown: Teardown,
    place: tuple[Any, bool, bool, int | None],
    request: Request | None,
) -> None:
    """Let the exception handlers answer for a native request that failed.

    `place` is the application that the request had come to, whether it had come into a route, whether it was in the
    call of a route, and the limit of the route for bodies, in bytes, under which handlers read, too. With an
    application it had come past the middleware of that: it enters it now, which meets the exception where it would have
    met it, and closes `connection_teardown`, which it would have opened. Otherwise the middleware is around this call
    already.
    `request` is what the engine has made or read for it, if it got so far.

    Raises:
        Exception: what no handler took.
    """
    scope, receive, send = channels
    application, has_route, is_called, limit = place

    async def send_once(message: Message) -> None:
        if message is not _REPLAYED_START:
            await send(message)

    failing = _failing(failure)

    async def fail_to_send(message: Message) -> None:
        raise failure[0]

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        # A start that is refused here has passed no middleware, which would take the response for started.
        handled = wrap_app_handling_exceptions(failing, Request(scope, receive, send) if request is None else request)
        await handled(scope, receive, checked_send(send))

    async def inside(scope: Scope, receive: Receive, send: Send) -> None:
        # The middleware has opened the exit stack of this request by now.
        for entered, _ in connection_teardown:
            scope["fastapi_middleware_astack"].push_async_exit(entered)
        await (answer if has_route else failing)(scope, receive, send)

    try:
        with passing_limits_again(scope, application):
            if application is None:
                await wrap_app_with_body_limit(answer, limit)(scope, receive, send_once)
            elif failure[1] and not (has_route or is_called):
                # The answer for a path without a route: what fails while a handler sends it comes to no handler.
                scope[FAILURE_KEY] = application.router.not_found
                await application._stack_plan.downstream(scope, receive, fail_to_send)
            else:
                # What a handler raises is met by the handlers again where they are around the route, too.
                scope[FAILURE_KEY] = wrap_app_with_body_limit(inside, limit)
                await application._stack_plan.downstream(scope, receive, send_once)
    except Exception as error:
        error.__traceback__ = without_own_frames(error.__traceback__)
        raise
