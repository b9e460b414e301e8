"""The ASGI scopes of a test client's requests.

Source: starlette/testclient.py, `_TestClientTransport.handle_request`.
"""

from typing import Any
from urllib.parse import unquote

from . import httpx

_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


def scope_of(request: httpx.Request, root_path: str, client: tuple[str, int], state: dict[str, Any]) -> dict[str, Any]:
    """Return the scope of a request, without what only one kind of connection has."""
    url = request.url
    headers = request.headers
    if headers.encoding == "ascii":
        pairs = [(name.lower(), value) for name, value in headers.raw]
    else:
        pairs = [(name.lower().encode(), value.encode()) for name, value in headers.multi_items()]
    if "host" not in headers:
        pairs.insert(0, (b"host", url.netloc))
    scheme = url.scheme
    port = url.port
    return {
        "path": unquote(url.path),
        "raw_path": url.raw_path.partition(b"?")[0],
        "root_path": root_path,
        "scheme": scheme,
        "query_string": url.query,
        "headers": pairs,
        "client": client,
        "server": [url.raw_host.decode(encoding="ascii"), _PORTS[scheme] if port is None else port],
        "state": state.copy(),
    }


def add_http(scope: dict[str, Any], method: str) -> dict[str, Any]:
    """Make it the scope of an HTTP request."""
    scope["type"] = "http"
    scope["http_version"] = "1.1"
    scope["method"] = method
    scope["extensions"] = {"http.response.debug": {}, "http.response.trailers": {}}
    return scope


def add_websocket(scope: dict[str, Any], subprotocols: list[str]) -> dict[str, Any]:
    """Make it the scope of a WebSocket."""
    scope["type"] = "websocket"
    scope["subprotocols"] = subprotocols
    scope["extensions"] = {"websocket.http.response": {}}
    return scope
