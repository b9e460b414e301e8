"""One request of a test client and what the application sends for it, as ASGI messages on asyncio.

Where the exchange runs is for the caller to say: `loops` has loops outside of a client's context.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

Message = MutableMapping[str, Any]
Application = Callable[[Any, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

# Starlette's client calls from thread to thread between the first part of a body and what the application does after
# it. The tasks that the application has started meanwhile get at least so many turns of the loop.
_TURNS = 8


async def let_others_run() -> None:
    """Give all other tasks of the loop a few turns."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


@dataclass(eq=False, slots=True)
class Exchange:
    """A request whose body is known, and its response, which is collected until the application returns.

    Source: starlette/testclient.py, `_TestClientTransport.handle_request`: which messages are refused, and when the
    client is seen as gone.
    """

    _app: Application
    _scope: dict[str, Any]
    _requested_body: Callable[[], bytes]
    _body_was_received: bool = False
    _all_sent: bool = False
    _answered: asyncio.Event | None = None
    _more_trailers_expected: bool = False
    complete: bool = False
    status_code: int | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)
    trailers: list[tuple[bytes, bytes]] | None = None
    debug_info: dict[str, Any] | None = None
    exception: BaseException | None = None
    _task: asyncio.Task[None] | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _references: int = 0

    async def run(self) -> None:
        """Call the application and keep its exception for the thread that waits."""
        self._loop = loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        # Every task, timer and handle holds the loop: more references later are work besides this exchange.
        self._references = sys.getrefcount(loop)
        try:
            await self._app(self._scope, self._receive, self._send)
        except BaseException as exception:
            self.exception = exception
            if not isinstance(exception, Exception):
                raise
        finally:
            # Whether a loop can be used again is told by the references to it.
            self._task = self._loop = None

    def cancel_until(self, has_ended: Callable[[], bool]) -> None:
        """Cancel the application until it ends, as a cancel scope of AnyIO does; `has_ended` waits for a moment."""
        while not has_ended():
            if (loop := self._loop) is not None:
                try:
                    loop.call_soon_threadsafe(self._cancel)
                except RuntimeError:
                    return  # The loop is closed: the application has ended.

    def abort(self) -> None:
        """End a request of another thread whose response has begun."""
        if self.status_code is not None and not self.complete:
            self.cancel_until(self._is_over)

    def _is_over(self) -> bool:
        time.sleep(0.005)
        return self._loop is None

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _receive(self) -> Message:
        if not self._body_was_received:
            body = self._requested_body()
            self._body_was_received = True
            return {"type": "http.request", "body": body}
        if not self.complete:
            if self._answered is None:
                self._answered = asyncio.Event()
            await self._answered.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.body":
            await self._collect(message)
        elif kind == "http.response.start":
            assert self.status_code is None, 'Received multiple "http.response.start" messages.'
            headers = [(name.decode(), value.decode()) for name, value in message.get("headers", [])]
            if message.get("trailers", False):
                self.trailers = []
                self._more_trailers_expected = True
            self.headers = headers
            self.status_code = message["status"]
        elif kind == "http.response.trailers":
            assert self.trailers is not None, 'Received "http.response.trailers" without declaring trailers.'
            assert self._all_sent, 'Received "http.response.trailers" before body completed.'
            assert not self.complete, 'Received "http.response.trailers" after response completed.'
            self.trailers.extend(message.get("headers", []))
            if not message.get("more_trailers", False):
                self._end()
        elif kind == "http.response.debug":
            self.debug_info = message["info"]

    async def _collect(self, message: Message) -> None:
        assert self.status_code is not None, 'Received "http.response.body" without "http.response.start".'
        assert not self.complete, 'Received "http.response.body" after response completed.'
        assert not self._all_sent, 'Received "http.response.body" after body completed.'
        first = not self.chunks
        await asyncio.sleep(0)
        if first and sys.getrefcount(self._loop) > self._references:
            await let_others_run()
        self.chunks.append(bytes(message.get("body", b"")))
        if not message.get("more_body", False):
            self._all_sent = True
            if not self._more_trailers_expected:
                self._end()

    def _end(self) -> None:
        self.complete = True
        if self._answered is not None:
            self._answered.set()


# Tracers name what an application calls by these.
Exchange._receive.__qualname__ = "_TestClientTransport.handle_request.<locals>.receive"
Exchange._send.__qualname__ = "_TestClientTransport.handle_request.<locals>.send"
