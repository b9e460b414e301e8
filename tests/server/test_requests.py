"""Requests as clients, proxies and attackers send them, to the engine's protocol and to uvicorn's two."""

import re
from typing import Any

import pytest
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ferroapi.server import HTTPProtocol

from .exchange import converse
from .test_protocol import compared, echo, messages_joined


def sent(line: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join([line, b"Host: x", *headers, b"", body])


def posted(*headers: bytes, body: bytes = b"hello") -> bytes:
    return sent(b"POST /length HTTP/1.1", *headers, body=body)


def chunked(body: bytes, *headers: bytes) -> bytes:
    return posted(b"Transfer-Encoding: chunked", *headers, body=body) + GET


def got(target: bytes, version: bytes = b"1.1", *headers: bytes) -> bytes:
    return sent(b"GET %b HTTP/%b" % (target, version), *headers)


GET = got(b"/length")
LATE = got(b"/late/length")

SAME: dict[str, bytes] = {
    "asterisk": sent(b"OPTIONS * HTTP/1.1"),
    "asterisk of another method": got(b"*"),
    "asterisk with a query": sent(b"OPTIONS *?a=1 HTTP/1.1"),
    "asterisk with a path": sent(b"OPTIONS */a HTTP/1.1"),
    "method of WebDAV": sent(b"PROPFIND /length HTTP/1.1"),
    "method with a hyphen": sent(b"M-SEARCH /length HTTP/1.1"),
    "trace": sent(b"TRACE /length HTTP/1.1"),
    "connect": sent(b"CONNECT host:80 HTTP/1.1"),
    "preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "absolute": got(b"http://host:80/length/a?b=c"),
    "absolute with a user": got(b"http://u:p@host/a"),
    "absolute in upper case": got(b"HTTP://HOST/A"),
    "absolute of another scheme": got(b"ftp://host/a"),
    "absolute with an address": got(b"http://[::1]:80/a"),
    "absolute with a word for a port": got(b"http://host:abc/a"),
    "absolute with a port too large": got(b"http://host:99999/a"),
    "absolute with an open bracket": got(b"http://[::1/a"),
    "absolute with a wrong host": got(b"http://ho<st/a"),
    "absolute with two users": got(b"http://a@b@c/a"),
    "absolute without a host": got(b"http:///a"),
    "scheme with a digit": got(b"h2://host/a"),
    "target without a slash": got(b"a/b"),
    "target of an authority": got(b"host:80"),
    "target of a query": got(b"?a"),
    "two slashes": got(b"//host/a"),
    "encoded slash": got(b"/a%2Fb/length?%2F"),
    "escape that is none": got(b"/a%2/%zz"),
    "escape of zero": got(b"/a%00"),
    "escape that is no UTF-8": got(b"/a%ff"),
    "fragment": got(b"/a?b#c?d#e"),
    "bytes that should be escaped": got(b'/a"<>^`{|}\\?"<>^`{|}\\'),
    "bytes beyond ASCII": got(b"/\xc3\xa9"),
    "control byte in the target": got(b"/a\x01"),
    "tab in the target": got(b"/a\tb"),
    "space in the target": got(b"/a b"),
    "minor version that is unknown": got(b"/length", b"1.2"),
    "version without a minor one": got(b"/length", b"1"),
    "empty lines before": b"\r\n\r\n" + GET,
    "space before": b" " + GET,
    "bare line feeds": b"GET / HTTP/1.1\nHost: x\n\n",
    "bare returns": b"GET / HTTP/1.1\rHost: x\r\r",
    "return in a value": got(b"/", b"1.1", b"A: b\rc"),
    "zero in a value": got(b"/", b"1.1", b"A: b\0c"),
    "byte beyond ASCII in a value": got(b"/", b"1.1", b"A: b\xe9c"),
    "name that is empty": got(b"/", b"1.1", b": b"),
    "space before the colon": got(b"/", b"1.1", b"A : b"),
    "no colon": got(b"/", b"1.1", b"abc"),
    "each byte of a token": got(b"/", b"1.1", b"!#$%&'*+-.^_`|~1a: c"),
    "name that is no token": got(b"/", b"1.1", b"A(b): c"),
    "folded line": got(b"/", b"1.1", b"A: b", b" c"),
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "host that is a list": b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "length with a plus": posted(b"Content-Length: +5"),
    "length with a minus": posted(b"Content-Length: -5"),
    "length that is empty": posted(b"Content-Length:"),
    "length that is a list": posted(b"Content-Length: 5, 5"),
    "length twice": posted(b"Content-Length: 5", b"Content-Length: 5"),
    "length in hexadecimal": posted(b"Content-Length: 0x5"),
    "length with zeros": posted(b"Content-Length: 005"),
    "length that has no room": posted(b"Content-Length: 99999999999999999999999"),
    "length and chunks": posted(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "body of a GET": sent(b"GET /length HTTP/1.1", b"Content-Length: 5", body=b"hello") + GET,
    "body of a HEAD": sent(b"HEAD /length HTTP/1.1", b"Content-Length: 5", body=b"hello") + GET,
    "chunks of a HEAD": sent(b"HEAD / HTTP/1.1", b"Transfer-Encoding: chunked", body=b"1\r\na\r\n0\r\n\r\n") + GET,
    "coding that is not the last": posted(b"Transfer-Encoding: identity"),
    "coding by another name": posted(b"Transfer-Encoding: xchunked"),
    "coding in quotes": posted(b'Transfer-Encoding: "chunked"'),
    "coding in upper case": posted(b"Transfer-Encoding: CHUNKED", body=b"0\r\n\r\n"),
    "coding twice": posted(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "chunk in upper case": chunked(b"A\r\n0123456789\r\n0\r\n\r\n"),
    "chunk with extensions": chunked(b'5;a=b;c="d;\\"e"\r\nhello\r\n0;x\r\n\r\n'),
    "chunk of no number": chunked(b"zz\r\n\r\n"),
    "chunk of no number after another": chunked(b"5\r\nhello\r\nzz\r\n\r\n"),
    "chunk with line feeds": chunked(b"5\nhello\n0\n\n"),
    "chunk that has no room": chunked(b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
    "chunk behind an empty line": chunked(b"\r\n5\r\nhello\r\n0\r\n\r\n"),
    "chunk with a space": chunked(b"5 \r\nhello\r\n0\r\n\r\n"),
    "trailer without a colon": chunked(b"5\r\nhello\r\n0\r\na\r\n\r\n"),
    "trailer without a name": chunked(b"5\r\nhello\r\n0\r\n:a\r\n\r\n"),
    "trailer with a space": chunked(b"5\r\nhello\r\n0\r\na : b\r\n\r\n"),
    "trailer that is folded": chunked(b"5\r\nhello\r\n0\r\na: b\r\n c\r\n\r\n"),
    "expectation": posted(b"Expect: 100-CONTINUE", b"Content-Length: 5") + GET,
    "expectation that is unknown": posted(b"Expect: something", b"Content-Length: 5") + GET,
    "expectation without a body": got(b"/length", b"1.1", b"Expect: 100-continue") + GET,
    "expectation of HTTP/1.0": posted(b"Expect: 100-continue", b"Content-Length: 5").replace(b"/1.1", b"/1.0"),
    "HTTP/1.0": got(b"/length", b"1.0") + GET,
    "HTTP/1.0 that stays": got(b"/length", b"1.0", b"Connection: Keep-Alive") + GET,
    "close": got(b"/length", b"1.1", b"Connection: CLOSE") + GET,
    "close in a list": got(b"/length", b"1.1", b"Connection: keep-alive, close") + GET,
    "close in a second header": got(b"/length", b"1.1", b"Connection: keep-alive", b"Connection: close") + GET,
    "close that a proxy is told": got(b"/length", b"1.1", b"Proxy-Connection: close") + GET,
    "upgrade that is not asked for": got(b"/length", b"1.1", b"Upgrade: websocket") + GET,
    "three at once": GET * 3,
    "three at once that wait": LATE * 3,
    "empty line between": GET + b"\r\n" + GET,
    "close inside": GET + got(b"/length", b"1.1", b"Connection: close") + GET,
    "close by the application inside": got(b"/close/length") + GET,
    "no length of a POST": posted(body=b"") + GET,
    "99 headers": got(b"/length", b"1.1", *[b"A%d: b" % number for number in range(99)]),
    "header of 60,000 bytes": got(b"/length", b"1.1", b"A: " + b"b" * 60_000),
    "greeting of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "response": b"HTTP/1.1 200 OK\r\n\r\n",
}  # fmt: skip


def statuses(answers: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", answers)]


@compared
@pytest.mark.parametrize("name", SAME)
def test_request_is_answered_as_by_httptools(name: str) -> None:
    def result(protocol: Any) -> Any:
        seen, answers, closed = converse(protocol, echo, [SAME[name]])
        # Of a request that is refused behind its head, the application may have seen the head, or not.
        return (None if 400 in statuses(answers) else messages_joined(seen), answers, closed)

    assert result(HTTPProtocol) == result(HttpToolsProtocol)


# What httptools, h11 and the engine's protocol answer; `docs/deployment.md` says why.
DIFFERENT: dict[str, tuple[bytes, list[int], list[int], list[int]]] = {
    "method that is not registered": (sent(b"CUSTOM /length HTTP/1.1"), [400], [200], [200]),
    "method in lower case": (sent(b"get /length HTTP/1.1"), [400], [200], [200]),
    "absolute without a path": (got(b"http://host?a"), [400], [200], [200]),
    "absolute with an empty port": (got(b"http://host:/a"), [400], [200], [200]),
    "absolute with an underscore": (got(b"http://ho_st/a"), [400], [200], [200]),
    "two spaces": (got(b" /a"), [200], [400], [400]),
    "no version": (b"GET /a\r\n\r\n", [200], [400], [400]),
    "version 2.0": (got(b"/a", b"2.0"), [200], [200], [400]),
    "version 0.9": (got(b"/a", b"0.9"), [200], [200], [400]),
    "line feed before": (b"\n" + GET, [200], [400], [400]),
    "two hosts": (got(b"/", b"1.1", b"Host: x"), [200], [400], [400]),
    "coding that is unknown": (posted(b"Transfer-Encoding: a, chunked", body=b"0\r\n\r\n"), [200], [400], [501]),
    "chunks in HTTP/1.0": (chunked(b"0\r\n\r\n").replace(b"1.1", b"1.0", 1), [200], [200], [400]),
    "extension with a space": (chunked(b"5; a=b\r\nhello\r\n0\r\n\r\n"), [400], [200] * 2, [200] * 2),
    "trailer that frames": (chunked(b"5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n"), [400], [200] * 2, [200] * 2),
    "error behind a request": (GET + b"rubbish\r\n\r\n", [400], [200, 400], [200, 400]),
    "error behind one that waits": (LATE + b"rubbish\r\n\r\n", [400], [200, 400], [200, 400]),
    "upgrade to what is unknown": (
        posted(b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 5") + GET,
        [200], [200] * 2, [200] * 2,
    ),
    "101 headers": (got(b"/length", b"1.1", *[b"A: b"] * 100), [200], [200], [431]),
    "header of 70,000 bytes": (got(b"/length", b"1.1", b"A: " + b"b" * 70_000), [200], [200], [431]),
    "line of 40,000 bytes": (got(b"/length" + b"a" * 40_000), [200], [200], [414]),
}  # fmt: skip


@compared
@pytest.mark.parametrize("name", DIFFERENT)
def test_request_is_answered_otherwise_where_that_is_decided(name: str) -> None:
    request, *expected = DIFFERENT[name]
    protocols: list[Any] = [HttpToolsProtocol, H11Protocol, HTTPProtocol]
    assert [statuses(converse(protocol, echo, [request])[1]) for protocol in protocols] == expected


def test_request_that_asks_for_an_unknown_protocol_keeps_its_body() -> None:
    _, answers, _ = converse(HTTPProtocol, echo, [DIFFERENT["upgrade to what is unknown"][0]])
    assert b"\r\n\r\nhelloHTTP/1.1 200 OK" in answers


def test_request_has_no_trailers_among_its_headers() -> None:
    seen, _, _ = converse(HTTPProtocol, echo, [chunked(b"1\r\na\r\n0\r\nX-A: b\r\n\r\n")])
    assert seen[0]["headers"] == [(b"host", b"x"), (b"transfer-encoding", b"chunked")]
