"""What stands between a test client and the application: one call into the event loop for a request.

A response that is read while it is sent, WebSockets and trio are Starlette's own.
"""

import asyncio
import concurrent.futures
import threading
from collections.abc import Iterator

from starlette import testclient

from . import httpx, loops
from .exchange import Exchange
from .requests import Requests
from .scopes import add_http, scope_of

_SCHEMES = ("http", "https")


class Transport(testclient._TestClientTransport):
    """Starlette's transport; a response that is read as a whole is collected before it is returned.

    Source: starlette/testclient.py, `_TestClientTransport.handle_request`.
    """

    def __init__(self, client: testclient.TestClient, replaced: testclient._TestClientTransport) -> None:
        super().__init__(
            replaced.app,
            replaced.portal_factory,
            replaced.raise_server_exceptions,
            replaced.root_path,
            client=replaced.client,
            app_state=replaced.app_state,
        )
        self._test_client = client
        self.requests: Requests | None = None
        self._reading = threading.local()

    @property
    def reads_whole(self) -> bool:
        """Whether the request that this thread sends is answered at once: nobody looks at what was sent so far."""
        return getattr(self._reading, "whole", False)

    @reads_whole.setter
    def reads_whole(self, whole: bool) -> None:
        self._reading.whole = whole

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if (
            not self.reads_whole
            or request.url.scheme not in _SCHEMES
            or self._test_client.async_backend["backend"] != "asyncio"
            or (self.requests is None and self._test_client.portal is not None)
        ):
            return super().handle_request(request)
        scope = add_http(scope_of(request, self.root_path, self.client, self.app_state), request.method)
        exchange = Exchange(self.app, scope, request.read)
        self._open_requests.add(exchange.abort)
        try:
            if self.requests is not None:
                self.requests.run(exchange)
            else:
                loops.run(exchange, self._test_client.async_backend["backend_options"])
        finally:
            self._open_requests.discard(exchange.abort)
        return self._response(exchange, request)

    def _response(self, exchange: Exchange, request: httpx.Request) -> httpx.Response:
        failure = exchange.exception if self.raise_server_exceptions else None
        if isinstance(failure, asyncio.CancelledError):
            failure = concurrent.futures.CancelledError()
        if exchange.status_code is None:
            if failure is not None:
                raise failure
            if self.raise_server_exceptions:
                raise AssertionError("TestClient did not receive any response.")
            return httpx.Response(500, headers=[], stream=httpx.ByteStream(b""), request=request)
        content = b"" if request.method == "HEAD" else b"".join(exchange.chunks)
        response = httpx.Response(
            exchange.status_code,
            headers=exchange.headers,
            stream=httpx.ByteStream(content) if failure is None else _FailingStream(content, failure),
            request=request,
        )
        if exchange.trailers is not None:
            response.extensions["http.response.trailers"] = exchange.trailers
        if (debug_info := exchange.debug_info) is not None:
            response.extensions["http.response.debug"] = debug_info
            for name in ("template", "context"):
                if name in debug_info:
                    setattr(response, name, debug_info[name])
        return response


class _FailingStream(httpx.SyncByteStream):
    """A body after which the application failed: its exception is raised when the body is read."""

    def __init__(self, content: bytes, failure: BaseException) -> None:
        self._content = content
        self._failure = failure

    def __iter__(self) -> Iterator[bytes]:
        yield self._content
        raise self._failure
