"""A websocket endpoint run by its plan: the session, its exit stacks, and the handlers of its exceptions.

It does what the middleware stack without middleware of the user's, the router and `websocket_session` do one by one.
"""

from contextlib import AsyncExitStack
from typing import Any

from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from ferroapi import _core
from ferroapi._compat import Undefined
from ferroapi._compat.starlette import wrap_app_handling_exceptions
from ferroapi._engine.session import bounded_close


async def run_connection(plan: _core.Plan, scope: Scope, receive: Receive, send: Send, application: Any) -> None:
    """Run a websocket's plan for a scope that knows its route.

    With `application` the connection came straight from the server; otherwise its middleware is around this call.

    Raises:
        Exception: what no handler took.
    """
    if application is None:
        await _run_session(plan, scope, receive, send)
        return
    scope["starlette.exception_handlers"] = application._stack_plan.handlers
    try:
        async with AsyncExitStack() as stack:
            scope["fastapi_middleware_astack"] = stack
            await _run_session(plan, scope, receive, send)
    except Exception as error:
        # A handler of the endpoint's exception may have failed, and have a handler too.
        await _handle(error, WebSocket(scope, receive, bounded_close(send)), scope, receive, send)


async def _run_session(plan: _core.Plan, scope: Scope, receive: Receive, send: Send) -> None:
    session = WebSocket(scope, receive, bounded_close(send))
    try:
        async with AsyncExitStack() as request_stack, AsyncExitStack() as function_stack:
            scope["fastapi_inner_astack"] = request_stack
            scope["fastapi_function_astack"] = function_stack
            await _core.respond(plan, session, Undefined)
    except Exception as error:
        await _handle(error, session, scope, receive, send)


async def _handle(error: Exception, session: WebSocket, scope: Scope, receive: Receive, send: Send) -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    await wrap_app_handling_exceptions(fail, session)(scope, receive, send)
