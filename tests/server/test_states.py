"""More conversations over a socket, each in a state of the connection in which a server may answer, wait or end.

The first table is answered as httptools does it; the second one otherwise, where that is decided.
"""

import asyncio
import re
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ferroapi.server import HTTPProtocol

from .test_conversations import (
    ANSWERED,
    EXPECTING,
    FRAME,
    GET,
    PROXY,
    SLOW,
    STREAM,
    UPGRADE,
    Client,
    Conversation,
    converse,
    ended_while,
    forwarded,
    held,
    log,
    posts,
    says,
)
from .test_protocol import compared

__all__ = ["log"]

SCOPE = b"GET /scope HTTP/1.1\r\nHost: x\r\n\r\n"


def got(target: bytes, *headers: bytes, version: bytes = b"1.1") -> bytes:
    return b"\r\n".join([b"GET %b HTTP/%b" % (target, version), b"Host: x", *headers, b"", b""])


def scoped(target: bytes, *headers: bytes) -> Conversation:
    return says(got(target, *headers), until=b"}")


def pauses(first: bytes, *later: bytes, seconds: float, until: bytes = b"") -> Conversation:
    """Send something, wait, send the rest, and read to the end of the connection or of the answer."""

    async def conversation(client: Client) -> Any:
        reader, writer = await client.connect()
        writer.write(first)
        await asyncio.sleep(seconds)
        writer.writelines(later)
        answer = await client.read(reader, until)
        writer.close()
        return answer

    return conversation


def goes_on_later(request: bytes, seconds: float) -> Conversation:
    """Let an answer wait, and read to the end of the time to stay behind it."""

    async def conversation(client: Client) -> Any:
        reader, writer = await client.connect()
        writer.write(request)
        await asyncio.sleep(seconds)
        client.application.go_on.set()
        answer = await client.read(reader)
        writer.close()
        return answer

    return conversation


def ends_with(*pieces: bytes, then: bytes = b"", reads: bytes = b"") -> Conversation:
    """End the server while a connection is in the state in which these bytes leave it."""

    async def conversation(client: Client) -> Any:
        reader, writer = await client.connect()
        before = b""
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.02)
        if reads:
            before, _ = await client.read(reader, reads)
        client.server.should_exit = True
        if then:
            await asyncio.sleep(0.2)
            writer.write(then)
            await asyncio.sleep(0.02)
            client.application.go_on.set()
        answer = await client.read(reader)
        writer.close()
        return before, answer

    return conversation


def resets_in(*pieces: bytes) -> Conversation:
    """Break the connection off, and make another request on another one."""

    async def conversation(client: Client) -> Any:
        _, writer = await client.connect()
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.05)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.close()
        client.application.go_on.set()
        while client.server.server_state.connections or client.server.server_state.tasks:
            await asyncio.sleep(0.01)
        return client.application.left, await client.talk(GET, until=b"GET /a ")

    return conversation


def websocket(*headers: bytes, without: bytes = b"", method: bytes = b"GET") -> bytes:
    lines = [line for line in UPGRADE.split(b"\r\n")[:-2] if not without or not line.startswith(without)]
    return b"\r\n".join([*lines, *headers, b"", b""]).replace(b"GET", method, 1)


SAME: dict[str, tuple[Conversation, dict[str, Any]]] = {
    "end in a stream": (held(STREAM, eof=True), {}),
    "end in a stream before another request": (held(STREAM, GET, eof=True), {}),
    "end in chunks": (
        says(posts(b"/a", body=b"5\r\nhel").replace(b"Content-Length: 5", b"Transfer-Encoding: chunked"), eof=True),
        {}),
    "end in chunks that nobody reads": (
        says(posts(b"/early", body=b"3\r\nab").replace(b"Content-Length: 5", b"Transfer-Encoding: chunked"), eof=True),
        {}),
    "end of what waits for an expectation": (says(EXPECTING, eof=True), {}),
    "nothing but an end": (says(eof=True), {}),
    "empty line and an end": (says(b"\r\n", eof=True), {}),
    "end before the websocket's frame": (says(UPGRADE, eof=True), {}),
    "expectation of chunks": (
        says(EXPECTING.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked"), b"5\r\nhello\r\n0\r\n\r\n",
             until=b"hello"), {}),
    "expectation of a slow answer": (held(EXPECTING.replace(b"/a", b"/slow"), b"hello", until=b"POST /slow hello"), {}),
    "expectation with the body": (says(EXPECTING + b"hello", until=b"hello"), {}),
    "expectation behind a request": (says(GET + EXPECTING, b"hello", until=b"hello"), {}),
    "expectation that is answered early and closes": (
        says(posts(b"/early", b"Expect: 100-continue", b"Connection: close", body=b""), b"hello"), {}),
    "expectation twice": (says(posts(b"/a", b"Expect: 100-continue", b"Expect: 100-continue", body=b""), b"hello",
                               until=b"hello"), {}),
    "expectation in a list": (says(posts(b"/a", b"Expect: 100-continue, x"), until=b"hello"), {}),
    "upgrade that no one asks for": (says(got(b"/a", b"Upgrade: h2c"), until=b"/a "), {}),
    "upgrade to h2c": (
        says(got(b"/a", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQ"),
             until=b"/a "), {}),
    "upgrade to a list": (says(got(b"/ws", b"Connection: Upgrade", b"Upgrade: h2c, websocket"), until=b"/ws "), {}),
    "upgrade without a name": (says(got(b"/a", b"Connection: Upgrade"), until=b"/a "), {}),
    "upgrade to an empty name": (says(got(b"/a", b"Connection: Upgrade", b"Upgrade:"), until=b"/a "), {}),
    "websocket without a key": (says(websocket(without=b"Sec-WebSocket-Key")), {}),
    "websocket of version 12": (says(websocket(without=b"Sec-WebSocket-Version") [:-2]
                                     + b"Sec-WebSocket-Version: 12\r\n\r\n"), {}),
    "websocket by POST": (says(websocket(method=b"POST")), {}),
    "websocket in upper case": (says(UPGRADE.replace(b": websocket", b": WebSocket"), FRAME, until=ANSWERED), {}),
    "websocket in a list of connections": (
        says(UPGRADE.replace(b"Connection: Upgrade", b"connection: keep-alive ,\tUPGRADE"), FRAME, until=ANSWERED), {}),
    "websocket that closes": (
        says(UPGRADE.replace(b"Connection: Upgrade", b"Connection: close, Upgrade"), FRAME, until=ANSWERED), {}),
    "websocket whose last connection header closes": (
        says(websocket(b"Connection: close"), until=b"/ws "), {}),
    "websocket whose first connection header stays": (
        says(UPGRADE.replace(b"Connection:", b"Connection: keep-alive\r\nConnection:", 1), FRAME, until=ANSWERED), {}),
    "websocket that only a proxy is asked for": (
        says(websocket(b"Proxy-Connection: Upgrade", without=b"Connection"), until=b"/ws "), {}),
    "websocket with two keys": (says(websocket(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")), {}),
    "websocket with a wrong key": (says(websocket(b"Sec-WebSocket-Key: abc", without=b"Sec-WebSocket-Key")), {}),
    "websocket behind a proxy": (says(websocket(b"X-Forwarded-For: 1.2.3.4"), FRAME, until=ANSWERED), PROXY),
    "time to stay before a request": (pauses(b"", GET, seconds=0.5, until=b"/a "), {"timeout_keep_alive": 0.3}),
    "time to stay in a head": (pauses(GET[:9], GET[9:], seconds=0.5, until=b"/a "), {"timeout_keep_alive": 0.3}),
    "time to stay in a body": (
        pauses(posts(b"/a", length=7), b"ab", seconds=0.5, until=b"helloab"), {"timeout_keep_alive": 0.3}),
    "time to stay in a body that nobody reads": (
        pauses(posts(b"/early", length=7), b"ab", GET, seconds=0.5, until=b"/a "), {"timeout_keep_alive": 0.3}),
    "time to stay in a stream": (goes_on_later(STREAM, seconds=0.5), {"timeout_keep_alive": 0.3}),
    "time to stay before a slow answer": (goes_on_later(SLOW, seconds=0.5), {"timeout_keep_alive": 0.3}),
    "time to stay in a websocket": (pauses(UPGRADE, FRAME, seconds=0.5, until=ANSWERED), {"timeout_keep_alive": 0.3}),
    "time to stay below zero": (says(GET), {"timeout_keep_alive": -1}),
    "limit of connections below zero": (says(GET), {"limit_concurrency": -1}),
    "close with a parameter": (says(got(b"/a", b"Connection: close;q=1") + got(b"/b"), until=b"/b "), {}),
    "close behind empty items": (says(got(b"/a", b"Connection: , ,close") + GET), {}),
    "close behind a tab": (says(got(b"/a", b"Connection:\tclose\t") + GET), {}),
    "close that is only a part": (
        says(got(b"/a", b"Connection: x-close, closed") + GET + got(b"/b", b"Connection: close")), {}),
    "connection that is empty": (says(got(b"/a", b"Connection:") + got(b"/b", b"Connection: close")), {}),
    "close of HTTP/1.0 that stays": (says(got(b"/a", b"Connection: keep-alive, close", version=b"1.0") + GET), {}),
    "folded value": (says(got(b"/a", b"A: b", b"\tc")), {}),
    "folded first header": (says(b"GET /a HTTP/1.1\r\n Host: x\r\n\r\n"), {}),
    "folded empty value": (says(got(b"/a", b"A:", b" b")), {}),
    "empty value with spaces": (scoped(b"/scope", b"A: \t ", b"B:"), {}),
    "length between tabs": (says(posts(b"/a").replace(b": 5", b":\t5\t"), until=b"hello"), {}),
    "lengths that differ": (says(posts(b"/a", b"Content-Length: 6")), {}),
    "length with a comma": (says(posts(b"/a").replace(b": 5", b": 5,")), {}),
    "length of a fraction": (says(posts(b"/a").replace(b": 5", b": 5.0")), {}),
    "length in other digits": (says(posts(b"/a").replace(b": 5", b": \xd9\xa5")), {}),
    "coding after chunks": (says(posts(b"/a").replace(b"Content-Length: 5", b"Transfer-Encoding: chunked, gzip")), {}),
    "coding with a parameter": (
        says(posts(b"/a").replace(b"Content-Length: 5", b"Transfer-Encoding: chunked;q=1")), {}),
    "coding that is empty": (says(posts(b"/a").replace(b"Content-Length: 5", b"Transfer-Encoding:")), {}),
    "coding before a comma": (
        says(posts(b"/a", body=b"0\r\n\r\n").replace(b"Content-Length: 5", b"Transfer-Encoding: chunked,")), {}),
    "user of an absolute target": (scoped(b"http://u:p@host:80/scope?a"), {}),
    "empty user": (scoped(b"http://@host/scope"), {}),
    "user without a host": (says(got(b"http://u@/scope")), {}),
    "absolute target of a websocket": (says(UPGRADE.replace(b"/ws", b"ws://x/ws"), FRAME, until=ANSWERED), {}),
    "absolute target of HTTPS": (scoped(b"https://[::1]:443/scope"), {}),
    "query beyond ASCII": (says(got(b"/scope?a=\xc3\xa9")), {}),
    "method beyond ASCII": (says(GET.replace(b"GET", b"G\xc3\x89T")), {}),
    "name beyond ASCII": (says(got(b"/a", b"\xc3\xa9: b")), {}),
    "version beyond ASCII": (says(GET.replace(b"1.1", b"1.\xd9\xa1")), {}),
    "end of the server before a request": (ends_with(), {}),
    "end of the server in a head": (ends_with(GET[:9]), {}),
    "end of the server in a second head": (ends_with(GET + GET[:9], reads=b"/a "), {}),
    "end of the server in a body": (ends_with(posts(b"/a", length=7), then=b"ab"), {}),
    "end of the server in a body behind a request": (ends_with(GET + posts(b"/a", length=7), then=b"ab"), {}),
    "end of the server between bytes and answer": (ends_with(SLOW, then=GET), {}),
    "end of the server in an expectation": (ends_with(EXPECTING, then=b"hello"), {}),
    "end of the server in a websocket": (ends_with(UPGRADE), {}),
    "end of the server in a long answer": (
        ends_with(STREAM, reads=b"first\r\n"), {"timeout_graceful_shutdown": 1}),
    "end of the server with two behind": (ended_while(SLOW, GET, GET), {}),
    "reset in a head": (resets_in(GET[:9]), {}),
    "reset in a body": (resets_in(posts(b"/a", length=9)), {}),
    "reset in a slow answer": (resets_in(SLOW, GET), {}),
    "reset in a websocket": (resets_in(UPGRADE), {}),
    "logged per cent": (says(got(b"/%25s/%2525/a?%s=%d%%"), until=b"/a "), {}),
    "logged format": (says(got(b"/{0}/%(a)s/a"), until=b"/a "), {}),
    "logged backslash": (says(got(b"/%5Cn%1b[31m/a"), until=b"/a "), {}),
    "logged proxy": (forwarded(b"X-Forwarded-For: 9.9.9.9:80"), PROXY),
    "logged early answer": (says(posts(b"/early"), until=b"/early "), {}),
    "root path with a slash": (scoped(b"/scope"), {"root_path": "/api/"}),
    "root path with an escape": (scoped(b"/scope"), {"root_path": "/a%20b"}),
    "root path of an asterisk": (says(got(b"*").replace(b"GET", b"OPTIONS", 1), until=b"* "), {"root_path": "/api"}),
    "root path of an absolute target": (scoped(b"http://host/scope?a"), {"root_path": "/api"}),
    "root path and an encoded slash": (scoped(b"/%2Fa/scope"), {"root_path": "/api"}),
    "root path of a websocket": (says(UPGRADE, FRAME, until=ANSWERED), {"root_path": "/api"}),
    "trusted IPv6": (forwarded(b"X-Forwarded-For: 9.9.9.9, [::1]:80, 2001:DB8:0::1"),
                     {**PROXY, "forwarded_allow_ips": "127.0.0.1, ::1, 2001:db8::/32"}),
    "trusted mapped address": (forwarded(b"X-Forwarded-For: 9.9.9.9, ::ffff:127.0.0.1"), PROXY),
    "trusted name": (forwarded(b"X-Forwarded-For: 9.9.9.9, proxy.internal"),
                     {**PROXY, "forwarded_allow_ips": "127.0.0.1,proxy.internal"}),
    "trusted list": (forwarded(b"X-Forwarded-For: 9.9.9.9, 10.0.0.1"),
                     {**PROXY, "forwarded_allow_ips": ["127.0.0.1", "10.0.0.1"]}),
    "trusted by nobody": (forwarded(b"X-Forwarded-For: 9.9.9.9"), {**PROXY, "forwarded_allow_ips": ""}),
    "all are trusted": (forwarded(b"X-Forwarded-For: 127.0.0.1:1, 127.0.0.1:2"), PROXY),
    "proxy with a wrong port": (forwarded(b"X-Forwarded-For: 1.2.3.4:x"), PROXY),
    "proxy with an open bracket": (forwarded(b"X-Forwarded-For: [::1, 1.2.3.4"), {**PROXY, "forwarded_allow_ips": "*"}),
    "proxy with a bracket and no port": (forwarded(b"X-Forwarded-For: [::1]x"), {**PROXY, "forwarded_allow_ips": "*"}),
    "proxy list that is empty": (forwarded(b"X-Forwarded-For: , ,"), PROXY),
    "proxy with a long port": (forwarded(b"X-Forwarded-For: 1.2.3.4:" + b"9" * 5000), PROXY),
    "proxy with a list of schemes": (forwarded(b"X-Forwarded-Proto: https, http"), PROXY),
    "proxy with a scheme in upper case": (forwarded(b"X-Forwarded-Proto: HTTPS"), PROXY),
    "proxy with a scheme of websockets": (forwarded(b"X-Forwarded-Proto:  wss "), PROXY),
    "proxy with an empty second scheme": (forwarded(b"X-Forwarded-Proto: https", b"X-Forwarded-Proto:"), PROXY),
    "no date and no server": (says(GET, until=b"/a "), {"server_header": False}),
    "default header that closes": (says(GET + GET), {"headers": [("Connection", "close")]}),
}  # fmt: skip


def logged(
    protocol: Any,
    log: list[str],
    conversation: Conversation,
    options: dict[str, Any],
    trust: ssl.SSLContext | None = None,
) -> Any:
    log.clear()
    return asyncio.run(converse(protocol, conversation, options, trust)), log.copy()


@compared
@pytest.mark.parametrize("name", SAME)
def test_state_is_met_as_by_httptools(name: str, log: list[str]) -> None:
    conversation, options = SAME[name]
    theirs, ours = (logged(protocol, log, conversation, options) for protocol in (HttpToolsProtocol, HTTPProtocol))
    assert ours == theirs


OVER_IPV6: dict[str, tuple[Conversation, dict[str, Any]]] = {
    "scope": (scoped(b"/scope?a"), {}),
    "logged": (says(GET, until=b"/a "), {}),
    "proxy": (
        forwarded(b"X-Forwarded-For: 9.9.9.9, fe80::2"),
        {**PROXY, "forwarded_allow_ips": "::1/128, fe80::/10, x/y"},
    ),
    "proxy that is not trusted": (forwarded(b"X-Forwarded-For: 9.9.9.9"), PROXY),
}


@compared
@pytest.mark.parametrize("name", OVER_IPV6)
def test_state_of_ipv6_is_met_as_by_httptools(name: str, log: list[str]) -> None:
    conversation, options = OVER_IPV6[name]
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    theirs, ours = (
        logged(protocol, log, conversation, {"host": "::1", **options})
        for protocol in (HttpToolsProtocol, HTTPProtocol)
    )
    # The client's port is another one each time.
    assert re.sub(r"::1:\d+", "", str(ours)) == re.sub(r"::1:\d+", "", str(theirs))


@compared
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The `websockets` implementation")
@pytest.mark.parametrize("header", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_state_of_a_websocket_with_a_body_is_met_as_by_httptools(header: bytes, log: list[str]) -> None:
    body = b"hello" if header.startswith(b"Content") else b"5\r\nhello\r\n0\r\n\r\n"
    conversation = says(websocket(header) + body, FRAME, until=ANSWERED)
    theirs, ours = (
        logged(protocol, log, conversation, {"ws": "websockets"}) for protocol in (HttpToolsProtocol, HTTPProtocol)
    )
    assert ours == theirs


OVER_UNIX: dict[str, tuple[Conversation, dict[str, Any]]] = {
    "scope": (scoped(b"/scope?a"), {}),
    "logged": (says(GET, until=b"/a "), {}),
    "refused": (says(b"rubbish\r\n\r\n"), {}),
    "websocket": (says(UPGRADE, FRAME, until=ANSWERED), {}),
    "proxy": (forwarded(b"X-Forwarded-For: 1.2.3.4", b"X-Forwarded-Proto: https"), PROXY),
    "any proxy": (
        forwarded(b"X-Forwarded-For: 1.2.3.4:5", b"X-Forwarded-Proto: https"), {**PROXY, "forwarded_allow_ips": "*"}),
    "end in a stream": (held(STREAM, eof=True), {}),
    "end of the server in a stream": (ended_while(STREAM), {}),
}  # fmt: skip


@compared
@pytest.mark.parametrize("name", OVER_UNIX)
def test_state_of_a_unix_socket_is_met_as_by_httptools(name: str, log: list[str], tmp_path: Path) -> None:
    conversation, options = OVER_UNIX[name]
    options = {"uds": str(tmp_path / "socket"), **options}
    theirs, ours = (logged(protocol, log, conversation, options) for protocol in (HttpToolsProtocol, HTTPProtocol))
    assert ours == theirs


async def leaves_without_a_word(client: Client) -> Any:
    """Close a connection of TLS below TLS, so that its end is not announced."""
    reader, writer = await client.connect()
    writer.write(STREAM)
    answer = await client.read(reader, b"first\r\n")
    writer.transport.abort()
    client.application.go_on.set()
    while client.server.server_state.connections or client.server.server_state.tasks:
        await asyncio.sleep(0.01)
    return answer, await client.talk(GET, until=b"/a ")


async def speaks_plainly(client: Client) -> Any:
    reader, writer = await asyncio.open_connection(*client.server.servers[0].sockets[0].getsockname())
    writer.write(GET)
    answer = await client.read(reader)
    writer.close()
    return answer, await client.talk(GET, until=b"/a ")


OVER_TLS: dict[str, tuple[Conversation, dict[str, Any]]] = {
    "scope": (scoped(b"/scope?a"), {}),
    "three at once": (says(GET * 2 + got(b"/b"), until=b"/b "), {}),
    "closed": (says(got(b"/a", b"Connection: close")), {}),
    "refused": (says(b"rubbish\r\n\r\n"), {}),
    "large body": (says(posts(b"/a", body=b"x" * 300_000, length=300_000), until=b"x" * 300_000), {}),
    "large body that nobody reads": (
        says(posts(b"/early", body=b"x" * 300_000, length=300_000) + GET, until=b"GET /a "), {}),
    "expectation": (says(EXPECTING, b"hello", until=b"hello"), {}),
    "websocket": (says(UPGRADE, FRAME, until=ANSWERED), {}),
    "proxy that says http": (forwarded(b"X-Forwarded-Proto: http"), PROXY),
    "end of the server in a stream": (ended_while(STREAM), {}),
    "end that is not announced": (leaves_without_a_word, {}),
    "no TLS": (speaks_plainly, {}),
    "time to stay": (says(GET), {"timeout_keep_alive": 0.3}),
}  # fmt: skip


@compared
@pytest.mark.parametrize("name", OVER_TLS)
def test_state_of_tls_is_met_as_by_httptools(name: str, log: list[str], tmp_path: Path) -> None:
    conversation, options = OVER_TLS[name]
    authority, trust = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(trust)
    certificate = str(tmp_path / "certificate.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
    options = {"ssl_certfile": certificate, **options}
    theirs, ours = (
        logged(protocol, log, conversation, options, trust) for protocol in (HttpToolsProtocol, HTTPProtocol)
    )
    assert ours == theirs


# What httptools and the engine's protocol answer; `docs/deployment.md` says why.
DIFFERENT: dict[str, tuple[Conversation, dict[str, Any], list[bytes], list[bytes]]] = {
    "time to stay in a second head": (
        pauses(GET + GET[:9], GET[9:], got(b"/b", b"Connection: close"), seconds=0.5),
        {"timeout_keep_alive": 0.3}, [b"200"], [b"200"] * 3),
    "root path beyond ASCII": (
        says(got(b"/a", b"Connection: close")), {"root_path": "/caf\xe9"}, [b"400"], [b"200"]),
    "coding behind a comma": (
        says(posts(b"/a", b"Connection: close", body=b"0\r\n\r\n")
             .replace(b"Content-Length: 5", b"Transfer-Encoding: , chunked")),
        {}, [b"200"], [b"400"]),
}  # fmt: skip


@compared
@pytest.mark.parametrize("name", DIFFERENT)
def test_state_is_met_otherwise_where_that_is_decided(name: str) -> None:
    conversation, options, *expected = DIFFERENT[name]
    answers = (
        asyncio.run(converse(protocol, conversation, options))[0] for protocol in (HttpToolsProtocol, HTTPProtocol)
    )
    assert [re.findall(rb"HTTP/1\.1 (\d+)", answer) for answer in answers] == expected
