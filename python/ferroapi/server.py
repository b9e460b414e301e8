"""The HTTP protocol of the engine, for uvicorn: `uvicorn main:app --http ferroapi.server:HTTPProtocol`.

uvicorn keeps what is around it: processes, signals, TLS, lifespan, logging, WebSocket protocols. The functions here are
what most requests never need.
"""

import logging
import re
from collections.abc import Iterable
from http import HTTPStatus
from importlib import import_module
from typing import Any, ClassVar

from uvicorn.logging import TRACE_LOG_LEVEL
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.utils import (
    get_client_addr,
    get_local_addr,
    get_path_with_query_string,
    get_remote_addr,
    is_ssl,
)

from ferroapi import _core
from ferroapi._middleware import texts
from ferroapi._wings import OFF

_BYTES = re.compile(b"")
_PROXY_HEADERS_CALL = ProxyHeadersMiddleware.__call__


class HTTPProtocol(_core.HTTPProtocol):
    """An HTTP/1.1 connection; a subclass may set other limits.

    Source: uvicorn, `HttpToolsProtocol`; RFC 9112 for what is refused.
    """

    head_limit: ClassVar[int] = 64 * 1024
    """Bytes of a request head, 431 beyond."""

    request_line_limit: ClassVar[int] = 32 * 1024
    """Bytes of a request line, 414 beyond."""

    header_limit: ClassVar[int] = 100
    """Headers of a request, 431 beyond."""

    head_timeout: ClassVar[float] = 10.0
    """Seconds from the first byte of a request head to its last; then the connection is closed."""


def peers(transport: Any, logger: logging.Logger) -> tuple[Any, Any, str]:
    """Return the server's and the client's address, and the scheme, of a connection that is made."""
    client = get_remote_addr(transport)
    if logger.level <= TRACE_LOG_LEVEL:
        logger.log(TRACE_LOG_LEVEL, "%sHTTP connection made", _prefix(client))
    return get_local_addr(transport), client, "https" if is_ssl(transport) else "http"


def below_proxy_headers(application: Any) -> tuple[Any, Any]:
    """Return the application below uvicorn's middleware for proxy headers, and the hosts that this trusts.

    A middleware of another version, or another application, is returned as it is, without hosts.
    """
    is_known = (
        type(application) is ProxyHeadersMiddleware
        and ProxyHeadersMiddleware.__call__ is _PROXY_HEADERS_CALL
        and texts.is_known(ProxyHeadersMiddleware.__module__)
    )
    return (application.app, application.trusted_hosts) if is_known else (application, None)


def is_trusted(client: tuple[str, int] | None, trusted_hosts: Any) -> bool:
    """Tell whether the proxy headers of this client are believed."""
    return (client[0] if client else None) in trusted_hosts


def read_proxy_headers(scope: dict[str, Any], trusted_hosts: Any) -> None:
    """Put the scheme and the client that a trusted proxy names into the scope of a request.

    Source: uvicorn, `ProxyHeadersMiddleware`.
    """
    sent = [(name, value.decode("latin-1")) for name, value in scope["headers"]]
    schemes = [value.strip() for name, value in sent if name == b"x-forwarded-proto"]
    if schemes and schemes[-1] in {"http", "https", "ws", "wss"}:
        scope["scheme"] = schemes[-1]
    clients = [value for name, value in sent if name == b"x-forwarded-for"]
    if clients:
        host, port = trusted_hosts.get_trusted_client_address(", ".join(clients))
        if host:
            scope["client"] = (host, port)


def connection_lost(logger: logging.Logger, scope: dict[str, Any] | None) -> None:
    """Log the end of a connection."""
    if logger.level <= TRACE_LOG_LEVEL:
        logger.log(TRACE_LOG_LEVEL, "%sHTTP connection lost", _prefix(scope["client"] if scope else None))


def _prefix(client: tuple[str, int] | None) -> str:
    return "{}:{} - ".format(*client) if client else ""


def log_access(logger: logging.Logger, scope: Any, status: int) -> None:
    """Log one request as uvicorn does."""
    logger.info(
        '%s - "%s %s HTTP/%s" %d',
        get_client_addr(scope),
        scope["method"],
        get_path_with_query_string(scope),
        scope["http_version"],
        status,
    )


def refusal(status: int, text: str, default_headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the answer to bytes that are no request."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}".encode()]
    lines += [name + b": " + value for name, value in default_headers]
    lines += [b"content-type: text/plain; charset=utf-8", b"content-length: %d" % len(text), b"connection: close"]
    return b"\r\n".join([*lines, b"", text.encode()])


def header_pair(header: Any) -> tuple[bytes, bytes]:
    """Return name and value of a response header that is no tuple of two byte strings.

    Source: uvicorn, `RequestResponseCycle.send`.

    Raises:
        TypeError, ValueError: it is no pair of byte strings, byte arrays or the like.
        AttributeError: the name has no lower case, as memory has not.
    """
    name, value = header
    for part in (name, value):
        # Says what is no bytes as uvicorn's look for forbidden bytes does.
        _BYTES.search(part)
    return bytes(name.lower()), bytes(value)


def internal_error_messages() -> list[dict[str, Any]]:
    """Return the messages of the response where an application has failed before it began one."""
    body = b"Internal Server Error"
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    return [
        {"type": "http.response.start", "status": 500, "headers": headers},
        {"type": "http.response.body", "body": body, "more_body": False},
    ]


def warn_of_upgrade(logger: logging.Logger, is_websocket_missing: bool) -> None:
    """Log that a client's wish for another protocol is not met."""
    logger.warning("Unsupported upgrade request.")
    if is_websocket_missing:
        logger.warning(
            "No supported WebSocket library detected. Please use \"pip install 'uvicorn[standard]'\", "
            "or install 'websockets' or 'wsproto' manually."
        )


def upgrade_connection(
    protocol_class: Any, config: Any, server_state: Any, app_state: Any, transport: Any, data: bytes
) -> None:
    """Give a connection, and what has arrived of it, to a WebSocket protocol."""
    logger = logging.getLogger("uvicorn.error")
    if logger.level <= TRACE_LOG_LEVEL:
        logger.log(TRACE_LOG_LEVEL, "%sUpgrading to WebSocket", _prefix(get_remote_addr(transport)))
    protocol = protocol_class(config=config, server_state=server_state, app_state=app_state)
    protocol.connection_made(transport)
    protocol.data_received(data)
    transport.set_protocol(protocol)


def __getattr__(name: str) -> Any:
    """Return gunicorn's worker class, `gunicorn -k ferroapi.server.Worker`: that of uvicorn-worker on this protocol.

    Raises:
        ImportError: the package uvicorn-worker is not there.
    """
    if name != "Worker":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    base = import_module("uvicorn_worker").UvicornWorker
    options = {**base.CONFIG_KWARGS, "http": HTTPProtocol}
    worker = globals()[name] = type(name, (base,), {"__module__": __name__, "CONFIG_KWARGS": options})
    return worker


if "server" in OFF:
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    # What uvicorn serves with by default.
    globals()["HTTPProtocol"] = AutoHTTPProtocol
