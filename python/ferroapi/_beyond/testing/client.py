"""`TestClient`: Starlette's, at a fraction of what a request costs there."""

import inspect
from typing import Any, Literal, Self

from anyio.from_thread import BlockingPortal
from starlette import testclient
from starlette.types import ASGIApp

from . import httpx
from .requests import Requests
from .transport import Transport

# What the transport is made with, as in the versions of Starlette whose responses can be read while they are sent.
_PARAMETERS = {"app", "portal_factory", "raise_server_exceptions", "root_path", "client", "app_state"}
_replaced = getattr(testclient, "_TestClientTransport", None)
_CAN_REPLACE = (
    _replaced is not None
    and inspect.signature(_replaced).parameters.keys() == _PARAMETERS
    and "_open_requests" in _replaced.__init__.__code__.co_names
)

_MOST_URLS = 256


class TestClient(testclient.TestClient):
    """A client of an ASGI application, with the interface and the rules of Starlette's.

    A request is one call into the event loop instead of eight. Outside of `with` each request has a thread and an event
    loop that it finds new; those in which nothing was left are used again.
    """

    __test__ = False
    __module__ = "ferroapi.testclient"
    _portal: BlockingPortal | None = None
    _merged: tuple[httpx.URL, dict[str, httpx.URL]] | None = None

    def __init__(
        self,
        app: ASGIApp,
        base_url: str = "http://testserver",
        raise_server_exceptions: bool = True,
        root_path: str = "",
        backend: Literal["asyncio", "trio"] = "asyncio",
        backend_options: dict[str, Any] | None = None,
        cookies: "httpx._types.CookieTypes | None" = None,
        headers: dict[str, str] | None = None,
        follow_redirects: bool = True,
        client: tuple[str, int] = ("testclient", 50000),
    ) -> None:
        super().__init__(
            app,
            base_url,
            raise_server_exceptions,
            root_path,
            backend,
            backend_options,
            cookies,
            headers,
            follow_redirects,
            client,
        )
        if _CAN_REPLACE and isinstance(self._transport, testclient._TestClientTransport):
            self._transport = Transport(self, self._transport)

    def __enter__(self) -> Self:
        super().__enter__()
        if isinstance(self._transport, Transport) and self.async_backend["backend"] == "asyncio" and self.portal:
            requests = Requests()
            self.portal.call(requests.open)
            self.portal.start_task_soon(requests.wait_closed)
            self._transport.requests = requests
        return self

    # Starlette's `__enter__` and `__exit__` assign it; the latter when the lifespan is over, before it waits for the
    # tasks of the portal.
    @property
    def portal(self) -> BlockingPortal | None:
        """The portal into the event loop of an entered client."""
        return self._portal

    @portal.setter
    def portal(  # pyright: ignore[reportIncompatibleVariableOverride]
        self, portal: BlockingPortal | None
    ) -> None:
        self._portal = portal
        if portal is None and isinstance(self._transport, Transport) and self._transport.requests is not None:
            self._transport.requests.close()
            self._transport.requests = None

    # Measured: it parses the path of each request twice, which is a tenth of what a request costs.
    def _merge_url(self, url: "httpx._types.URLTypes") -> httpx.URL:
        if type(url) is not str:
            return super()._merge_url(url)
        if self._merged is None or self._merged[0] is not self._base_url:
            self._merged = self._base_url, {}
        merged = self._merged[1]
        if (found := merged.get(url)) is None:
            if len(merged) == _MOST_URLS:
                merged.clear()
            found = merged[url] = super()._merge_url(url)
        return found

    def send(
        self,
        request: httpx.Request,
        *,
        stream: bool = False,
        auth: "httpx._types.AuthTypes | httpx._client.UseClientDefault | None" = httpx.USE_CLIENT_DEFAULT,
        follow_redirects: "bool | httpx._client.UseClientDefault" = httpx.USE_CLIENT_DEFAULT,
    ) -> httpx.Response:
        """Send a request; see `httpx2.Client.send`."""
        transport = self._transport
        if not isinstance(transport, Transport):
            return super().send(request, stream=stream, auth=auth, follow_redirects=follow_redirects)
        before = transport.reads_whole
        # Event hooks and authentication may look at a response before its body is read.
        transport.reads_whole = not (stream or self.event_hooks["response"] or _may_look(self.auth) or _may_look(auth))
        try:
            return super().send(request, stream=stream, auth=auth, follow_redirects=follow_redirects)
        finally:
            transport.reads_whole = before


def _may_look(auth: object) -> bool:
    return auth is not None and not isinstance(auth, (tuple, httpx.BasicAuth, type(httpx.USE_CLIENT_DEFAULT)))
