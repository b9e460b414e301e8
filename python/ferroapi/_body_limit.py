"""The limit on a request body: Starlette's middleware, and its errors seen through exception groups.

The middleware counts bytes; here is which limit holds, and that its refusal reaches the client from inside task groups.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.exceptions import HTTPException
from starlette.middleware import body_limit
from starlette.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY, RequestBodyLimitMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ferroapi._beyond.problem_details import http_problem
from ferroapi.exception_handlers import http_exception_handler

# Starlette keeps these private, so a version may lack one.
_response_sent: tuple[type[Exception], ...] = tuple(
    filter(None, [getattr(body_limit, "_RequestBodyLimitResponseSent", None)])
)
_body_limit_errors: tuple[type[Exception], ...] = (
    *filter(None, [getattr(body_limit, "_RequestBodyTooLarge", None)]),
    *_response_sent,
)


_responder_class: Any = getattr(body_limit, "RequestBodyLimitResponder", None)
_responder_key: str | None = getattr(body_limit, "_BODY_LIMIT_RESPONDER_SCOPE_KEY", None)


def validate_max_body_size(max_body_size: int | None) -> None:
    """Check a limit in bytes where it is declared.

    Raises:
        ValueError: it is neither None nor an integer of zero or more; booleans are no integers here.
    """
    if max_body_size is None:
        return
    if isinstance(max_body_size, bool) or not isinstance(max_body_size, int) or max_body_size < 0:
        raise ValueError("max_body_size must be a non-negative integer or None")


def get_body_size_limit(*limits: int | None) -> int | None:
    """Return the limit that holds, in bytes: the first that is set, given from the most specific to the least."""
    return next((limit for limit in limits if limit is not None), None)


def _leaves(error: Exception) -> Iterator[Exception]:
    if not isinstance(error, ExceptionGroup):
        yield error
        return
    for member in error.exceptions:
        yield from _leaves(member)


def get_body_limit_error(exc: Exception) -> Exception | None:
    """Return the body limit's error that `exc` is, or that is all a group of exceptions holds; else None.

    In a group, an error that says the answer was already sent goes before the others.
    """
    leaves = list(_leaves(exc))
    if not all(isinstance(leaf, _body_limit_errors) for leaf in leaves):
        return None
    return next((leaf for leaf in leaves if isinstance(leaf, _response_sent)), leaves[0])


def wrap_app_with_body_limit(app: ASGIApp, max_body_size: int | None) -> ASGIApp:
    """Return `app` with request bodies limited to `max_body_size` bytes, `app` itself where there is no limit."""
    if max_body_size is None:
        return app
    return RequestBodyLimitMiddleware(_BodyLimitExceptionMiddleware(app), max_body_size=max_body_size)


def countable_limit(limit: int | None) -> int | None:
    """Return a limit in bytes as the engine counts it: what is more than that is no limit that a body could reach."""
    return None if limit is None else min(limit, sys.maxsize)


def below_body_limit(app: Any) -> tuple[Any, int | None]:
    """Return what `wrap_app_with_body_limit` has wrapped and the limit in bytes, or the application itself and None."""
    inner: Any = app.app if type(app) is RequestBodyLimitMiddleware else None
    if type(inner) is _BodyLimitExceptionMiddleware:
        return inner.app, countable_limit(app.max_body_size)
    return app, None


def limited_receive(application: Any, scope: Scope, receive: Receive, send: Send, limit: int) -> Receive | None:
    """Return a `receive` under a limit in bytes, for a body of no announced length that exceeds it.

    None where Starlette's middleware must stand around the request: somebody looks at the scope when that is over.
    Source: `starlette.middleware.body_limit.RequestBodyLimitResponder`.
    """
    if _responder_class is None or _responder_key is None:
        return None
    active = scope.get(_responder_key)
    if active is not None:
        scope[MAX_BODY_SIZE_SCOPE_KEY] = active.max_body_size = limit
        return receive if active.total_size <= limit else None
    is_seen = application is None or application.user_middleware or "app_root_path" in scope
    if is_seen or MAX_BODY_SIZE_SCOPE_KEY in scope:
        return None
    responder = _responder_class(application, limit)
    responder._scope, responder._receive, responder._send = scope, receive, send
    scope[MAX_BODY_SIZE_SCOPE_KEY] = limit
    scope[_responder_key] = responder
    limited: Receive = responder.receive_with_limit
    return limited


@contextmanager
def passing_limits_again(scope: Scope, application: Any) -> Iterator[None]:
    """Let a scope pass the limits of an application once more.

    One that nothing stands around, as `limited_receive` left it for this application, is taken out of the scope for a
    while. Another one forgets what has been read, which the limit of a route allowed or which has failed already.
    """
    active = None if _responder_key is None else scope.get(_responder_key)
    if active is not None and active.app is not application:
        read, active.total_size = active.total_size, 0
        try:
            yield
        finally:
            active.total_size += read
        return
    keys = [MAX_BODY_SIZE_SCOPE_KEY, *([] if _responder_key is None else [_responder_key])]
    taken = {key: scope.pop(key) for key in keys if key in scope}
    try:
        yield
    finally:
        scope.update(taken)


def _answers_problems(scope: Scope) -> bool:
    """Tell whether the application at hand answers errors with problem details."""
    return scope["type"] == "http" and getattr(scope.get("app"), "problem_details", False) is True


async def _refuse(error: HTTPException, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a limit's error as the application at hand answers errors by default."""
    if _answers_problems(scope):
        response = http_problem(error, scope)
    else:
        response = await http_exception_handler(Request(scope, receive), error)
    await response(scope, receive, send)


class _BodyLimitExceptionMiddleware:
    """Takes the limit's error out of an exception group, so that Starlette's middleware around it sees it.

    Where errors are answered with problem details, it answers in the place of that middleware.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        responder = scope.get(_responder_key) if _responder_key and _answers_problems(scope) else None
        if responder is None or not _response_sent:
            await self._call(scope, receive, send)
        else:
            await self._answer_problems(responder, scope, receive, send)

    async def _answer_problems(self, responder: Any, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse what Starlette's middleware would refuse, at the same moments.

        Source: `starlette.middleware.body_limit.RequestBodyLimitResponder`.
        """

        def is_announced() -> bool:
            return responder.content_length is not None and responder.content_length > responder.max_body_size

        async def refuse() -> None:
            # A length that was announced is refused whatever the application answers, past what checks its answer.
            past = responder._send if is_announced() else send
            responder.response_started = True
            await _refuse(HTTPException(413, "Content Too Large"), scope, receive, past)

        async def send_or_refuse(message: Message) -> None:
            if message["type"] == "http.response.start" and is_announced():
                await refuse()
                raise _response_sent[0]
            await send(message)

        try:
            await self._call(scope, receive, send_or_refuse)
        except Exception as error:
            if responder.response_started or not isinstance(error, _body_limit_errors):
                raise
            await refuse()

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except ExceptionGroup as group:
            error = get_body_limit_error(group) if scope["type"] == "http" else None
            if error is None:
                raise
            raise error from group


LIMIT_LAYERS: tuple[type, ...] = (RequestBodyLimitMiddleware, _BodyLimitExceptionMiddleware)
"""What `wrap_app_with_body_limit` puts around an application, outermost first."""


class AppBodyLimitMiddleware:
    """The application's limit, and the answer to a limit's error that no inner layer has answered."""

    def __init__(self, app: ASGIApp, max_body_size: int | None) -> None:
        self.app = wrap_app_with_body_limit(app, max_body_size)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The key is there when a limit outside of this application is in force: its error passes through here.
        if MAX_BODY_SIZE_SCOPE_KEY in scope:
            await self._answer_refusals(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _answer_refusals(self, scope: Scope, receive: Receive, send: Send) -> None:
        response_started = False

        async def watch_start(message: Message) -> None:
            nonlocal response_started
            response_started = response_started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watch_start)
        except Exception as exc:
            error = get_body_limit_error(exc)
            if response_started or not isinstance(error, HTTPException):
                raise
            await _refuse(error, scope, receive, send)
