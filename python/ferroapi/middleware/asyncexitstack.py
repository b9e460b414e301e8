"""The innermost middleware: an exit stack per request, on which uploaded files are closed after the answer."""

from contextlib import AsyncExitStack

from starlette.types import ASGIApp, Receive, Scope, Send


class AsyncExitStackMiddleware:
    """Put an `AsyncExitStack` into the scope under `context_name` and close it when the application returns."""

    def __init__(self, app: ASGIApp, context_name: str = "fastapi_middleware_astack") -> None:
        self.app = app
        self.context_name = context_name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as closing:
            scope[self.context_name] = closing
            await self.app(scope, receive, send)
