"""Requests that are made to cost as much as their size allows; `test_cost` measures what serving each takes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from ferroapi import _core

from .asgi import http_scope
from .hostile_application import First, Forbidding, Keeping, Lists, Second, Tree


@dataclass(frozen=True)
class Sent:
    """One request."""

    path: str
    query: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes | None = None
    piece: int = 0
    """The length of the messages that the body comes in; 0 for one message."""
    method: str = ""

    def scope(self) -> dict[str, Any]:
        headers = [(b"host", b"testserver"), *self.headers]
        return http_scope(self.path, self.method or ("GET" if self.body is None else "POST"), self.query, headers)

    def messages(self) -> list[dict[str, Any]]:
        body = self.body or b""
        if not self.piece:
            return [{"type": "http.request", "body": body, "more_body": False}]
        pieces = [body[start : start + self.piece] for start in range(0, len(body), self.piece)]
        return [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces] + [
            {"type": "http.request"}
        ]


def many(size: int, make: Callable[[int], bytes], separator: bytes = b"") -> bytes:
    """So many different pieces that they are about `size` long together."""
    length = len(make(100_000)) + len(separator)
    return separator.join(map(make, range(100_000, 100_000 + max(size // length, 1))))


def fill(size: int, piece: bytes) -> bytes:
    return piece * max(size // len(piece), 1)


def query(path: str, text: bytes) -> Sent:
    return Sent(path, query=text)


def header(path: str, *values: bytes, name: bytes = b"x") -> Sent:
    return Sent(path, headers=tuple((name, value) for value in values))


def headers_of(size: int, length: int = 20) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((b"x-%d" % index, b"v" * (length - 10)) for index in range(100_000, 100_000 + size // length))


def json(path: str, body: bytes, content_type: bytes = b"application/json", piece: int = 0) -> Sent:
    return Sent(path, headers=((b"content-type", content_type),), body=body, piece=piece)


def form(path: str, body: bytes, piece: int = 0) -> Sent:
    return json(path, body, b"application/x-www-form-urlencoded", piece)


def multipart(path: str, body: bytes, content_type: bytes = b"multipart/form-data; boundary=B", piece: int = 0) -> Sent:
    return json(path, body, content_type, piece)


def part(name: bytes, content: bytes = b"1", more: bytes = b"") -> bytes:
    return b'--B\r\nContent-Disposition: form-data; name="' + name + b'"' + more + b"\r\n\r\n" + content + b"\r\n"


def key(index: int) -> bytes:
    return b"k%d=1" % index


CHUNK = len(b"1\r\nx\r\n")
"""What a message of one byte takes in a request at least."""

MODELS = ("ignoring", "keeping", "forbidding", "lists", "sixty")

REQUESTS: dict[str, Callable[[int], Sent]] = {
    # Paths.
    "path: one text": lambda n: Sent("/path/" + "x" * n),
    "path: many segments": lambda n: Sent("/path/" + "x/" * (n // 2)),
    "path: beyond latin-1": lambda n: Sent("/path/" + "é€" * (n // 5)),
    "path: not found": lambda n: Sent("/" + "x" * n),
    "path: many slashes": lambda n: Sent("/" * n),
    "path: redirected": lambda n: Sent("/number/" + "x" * n + "/"),
    "path: digits": lambda n: Sent("/number/" + "9" * n),
    "path: digits of a convertor": lambda n: Sent("/converted/" + "9" * n),
    "path: no number": lambda n: Sent("/number/" + "x" * n),
    "path: five texts in a segment": lambda n: Sent("/five/" + "x-" * (n // 2)),
    "path: five texts in a segment, redirected": lambda n: Sent("/five/" + "x-" * (n // 2) + "/"),
    "path: five numbers in a segment": lambda n: Sent("/numbers/" + "1" * n + "/"),
    "path: five texts of any segments": lambda n: Sent("/paths/" + "-/" * (n // 2)),
    "path: wrong method": lambda n: Sent("/number/" + "x" * n, method="PUT"),
    "method: a long one": lambda n: Sent("/plain", method="X" * n),
    # Queries.
    "query: pairs nobody wants": lambda n: query("/scalars", many(n, key, b"&")),
    "query: one name again and again": lambda n: query("/scalars", fill(n, b"q=1&")),
    "query: one text": lambda n: query("/scalars", b"s=" + b"x" * n),
    "query: escapes": lambda n: query("/scalars", b"s=" + fill(n, b"%41")),
    "query: escapes of no characters": lambda n: query("/scalars", b"s=" + fill(n, b"%ff")),
    "query: escaped names": lambda n: query("/scalars", fill(n, b"%41=&")),
    "query: raw bytes": lambda n: query("/scalars", b"s=" + b"\xff" * n),
    "query: separators": lambda n: query("/scalars", b"&" * n),
    "query: equal signs": lambda n: query("/scalars", b"=" * n),
    "query: digits": lambda n: query("/scalars", b"q=" + b"9" * n),
    "query: numbers of 4,000 digits": lambda n: query("/lists/query", fill(n, b"n=" + b"9" * 4000 + b"&")),
    "query: digits of a fraction": lambda n: query("/scalars", b"f=0." + b"9" * n),
    "query: zeros": lambda n: query("/scalars", b"q=" + b"0" * n),
    "query: a list of texts": lambda n: query("/lists/query", fill(n, b"q=x&")),
    "query: a list of numbers": lambda n: query("/lists/query", fill(n, b"n=1&")),
    "query: a list of errors": lambda n: query("/lists/query", fill(n, b"n=x&")),
    **{
        f"query: {name} model, {what}": lambda n, name=name, text=text: query(f"/query/{name}", text(n))
        for name in MODELS
        for what, text in {
            "other names": lambda n: many(n, key, b"&"),
            "one other name": lambda n: fill(n, b"k=1&"),
            "its name": lambda n: fill(n, b"a=1&"),
            "errors": lambda n: fill(n, b"b=x&"),
            "escapes": lambda n: fill(n, b"%6b=%31&"),
        }.items()
    },
    # Headers.
    "header: others": lambda n: Sent("/scalars", headers=headers_of(n)),
    "header: one text": lambda n: header("/scalars", b"x" * n, name=b"h"),
    "header: digits": lambda n: header("/scalars", b"9" * n, name=b"h"),
    "header: a list": lambda n: header("/lists/header", *[b"x"] * (n // 4), name=b"q"),
    "header: host": lambda n: Sent("/plain", headers=((b"host", b"h" * n),)),
    **{
        f"header: {name} model, {what}": lambda n, name=name, make=make: Sent(f"/header/{name}", headers=make(n))
        for name in MODELS
        for what, make in {
            "others": lambda n: headers_of(n),
            "one other": lambda n: ((b"k", b"1"),) * (n // 4),
            "its name": lambda n: ((b"a", b"1"),) * (n // 4),
            "its name and others": lambda n: ((b"a", b"1"),) * (n // 8) + headers_of(n // 2),
            "errors": lambda n: ((b"b", b"x"),) * (n // 4),
            "a long text": lambda n: ((b"a", b"x" * n),),
        }.items()
    },
    # Cookies.
    **{
        f"cookie: {name}, {what}": lambda n, path=path, text=text: header(path, text(n), name=b"cookie")
        for name, path in {
            "scalar": "/scalars",
            "list": "/lists/cookie",
            "key": "/security/key",
            **{f"{model} model": f"/cookie/{model}" for model in MODELS},
        }.items()
        for what, text in {
            "other pairs": lambda n: many(n, key, b"; "),
            "its name": lambda n: fill(n, b"c=1;a=1;"),
            "escapes": lambda n: b'c="' + fill(n, b'\\"') + b'"',
            "octal escapes": lambda n: b'c="' + fill(n, b"\\101") + b'"',
            "separators": lambda n: b";" * n,
            "white space": lambda n: b" " * n + b"c" + b" " * n + b"=" + b" " * n,
            "no names": lambda n: fill(n, b"x;"),
        }.items()
    },
    "cookie: many headers": lambda n: header("/scalars", *[b"c=1"] * (n // 9), name=b"cookie"),
    "cookie: many headers of a model": lambda n: header("/cookie/ignoring", *[b"c=1"] * (n // 9), name=b"cookie"),
    # Credentials.
    "basic: one text": lambda n: header("/security/basic", b"Basic " + b"QUFB" * (n // 4), name=b"authorization"),
    "basic: colons": lambda n: header("/security/basic", b"Basic " + b"Ojo6" * (n // 4), name=b"authorization"),
    "basic: nothing": lambda n: header("/security/basic", b"Basic " + b"=" * n, name=b"authorization"),
    "basic: spaces": lambda n: header("/security/basic", b"Basic" + b" " * n, name=b"authorization"),
    "bearer: one text": lambda n: header("/security/bearer", b"Bearer " + b"x" * n, name=b"authorization"),
    "bearer: spaces": lambda n: header("/security/bearer", b"Bearer" + b" " * n, name=b"authorization"),
    "digest: one text": lambda n: header("/security/digest", b"Digest " + b"x" * n, name=b"authorization"),
    # JSON.
    "json: numbers": lambda n: json("/body/any", b"[%s1]" % fill(n, b"1,")),
    "json: floats": lambda n: json("/body/any", b"[%s1]" % fill(n, b"1e15,")),
    "json: one text": lambda n: json("/body/any", b'"%s"' % (b"x" * n)),
    "json: escapes": lambda n: json("/body/any", b'"%s"' % fill(n, b"\\u0001")),
    "json: half characters": lambda n: json("/body/read", b'"%s"' % fill(n, b"\\ud800")),
    "json: keys": lambda n: json("/body/any", b'{%s"a":1}' % many(n, lambda i: b'"k%d":1,' % i)),
    "json: lists in lists": lambda n: json("/body/any", b"[" * n),
    "json: closed lists in lists": lambda n: json("/body/any", b"[%s[]]" % fill(n, b"[" * 90 + b"]" * 90 + b",")),
    "json: no end": lambda n: json("/body/any", b"[%s" % fill(n, b"1,")),
    "json: white space": lambda n: json("/body/any", b" " * n),
    "json: bytes of no characters": lambda n: json("/body/any", b'"' + b"\xff" * n),
    "json: lines and no end": lambda n: json("/body/any", b"[%s" % fill(n, b"1,\n")),
    "json: half characters in a list": lambda n: json("/body/read", b"[%s1]" % fill(n, b'"\\ud800",')),
    "json: NaN": lambda n: json("/body/any", b"[%s1]" % fill(n, b"NaN,")),
    "json: UTF-16": lambda n: json("/body/any", ("[%s1]" % ("1," * (n // 4))).encode("utf-16")),
    "json: integers of 4,000 digits": lambda n: json("/body/any", b"[%s1]" % fill(n, b"9" * 4000 + b",")),
    "json: an integer of many digits": lambda n: json("/body/any", b"[%s]" % (b"9" * n)),
    "json: a float of many digits": lambda n: json("/body/any", b"[0.%s]" % (b"9" * n)),
    "json: sixty missing fields": lambda n: json("/body/sixty", b'{"z": [%s1]}' % fill(n, b"1,")),
    "json: sixty missing fields beside a text": lambda n: json("/body/sixty", b'{"z": "%s"}' % (b"x" * n)),
    "json: sixty missing fields beside controls": lambda n: json("/body/sixty", b'{"z": "%s"}' % fill(n, b"\\u0001")),
    "json: sixty missing fields beside NaN": lambda n: json("/body/sixty", b'{"z": [%s1]}' % fill(n, b"NaN,")),
    "json: sixty missing fields beside half characters": lambda n: json(
        "/body/sixty", b'{"z": ["%s"]}' % fill(n, b'\\ud800","')
    ),
    "json: sixty missing fields beside long integers": lambda n: json(
        "/body/sixty", b'{"z": [%s1]}' % fill(n, b"9" * 4000 + b",")
    ),
    "json: nested children": lambda n: json(
        "/body/tree", b'{"child": ' * 90 + b'{"anything": [%s1]}' % fill(n, b"1,") + b"}" * 90
    ),
    "json: a long key that is forbidden": lambda n: json("/body/closed", b'{"%s": 1}' % (b"k" * n)),
    "json: many keys that are forbidden": lambda n: json(
        "/body/closed", b'{%s"a":1}' % many(n, lambda i: b'"k%d":1,' % i)
    ),
    "json: errors": lambda n: json("/body/integers", b'[%s"x"]' % fill(n, b'"x",')),
    "json: errors about long integers": lambda n: json("/body/integers", b'[%s"x"]' % fill(n, b"9" * 4000 + b".5,")),
    "json: long texts for integers": lambda n: json("/body/integers", b"[%s1]" % fill(n, b'"' + b"9" * 4000 + b'x",')),
    "json: long keys above errors": lambda n: json(
        "/body/mapping", b'{"%s": ["x"%s]}' % (b"k" * min(n // 2, 10_000), fill(min(n // 2, 10_000), b',"x"'))
    ),
    "json: choices": lambda n: json("/body/choice", b"[%s1]" % fill(n, b'{"z": "xxxxxxxxxxxxxxxxxxx"},')),
    "json: decimals": lambda n: json("/body/decimals", b'[%s"x"]' % fill(n, b'"1E+999999",')),
    "json: small messages": lambda n: json("/body/any", b"[%s1]" % fill(n // CHUNK, b"1,"), piece=1),
    "raw: small messages": lambda n: json("/body/raw", b"x" * (n // CHUNK), piece=1),
    "json: a long media type": lambda n: json("/body/any", b"[1]", b"application/json;" + b"x" * n),
    "json: many parameters of a media type": lambda n: json(
        "/body/any", b"[1]", b"application/json" + fill(n, b";x=y")
    ),
    "json: quotes in a media type": lambda n: json("/body/any", b"[1]", b'application/json;x="' + fill(n, b'\\"')),
    "json: white space in a media type": lambda n: json("/body/any", b"[1]", b" " * n + b"application/json" + b" " * n),
    "json: slashes in a media type": lambda n: json("/body/any", b"[1]", b"/" * n),
    # Forms.
    "form: pairs nobody wants": lambda n: form("/form/scalars", many(min(n, 9000), key, b"&")),
    "form: too many pairs": lambda n: form("/form/scalars", many(n, key, b"&")),
    "form: one text": lambda n: form("/form/scalars", b"b=" + b"x" * n),
    "form: escapes": lambda n: form("/form/scalars", b"b=" + fill(n, b"%41")),
    "form: digits": lambda n: form("/form/scalars", b"a=" + b"9" * n),
    "form: separators": lambda n: form("/form/scalars", b"&" * n),
    "form: equal signs": lambda n: form("/form/scalars", b"=" * n),
    "form: long names": lambda n: form("/form/scalars", many(n, lambda i: b"%d" % i * 100, b"&")),
    "form: a list": lambda n: form("/form/lists", fill(min(n, 3900), b"a=x&")),
    "form: a list of long texts": lambda n: form("/form/lists", fill(n, b"a=" + b"x" * 2000 + b"&")),
    "form: a list of errors": lambda n: form("/form/lists", fill(min(n, 3900), b"b=x&")),
    "form: a list of long errors": lambda n: form("/form/lists", fill(n, b"b=" + b"9" * 2000 + b"x&")),
    **{
        f"form: {name} model, {what}": lambda n, name=name, text=text: form(f"/form/{name}", text(n))
        for name in MODELS
        for what, text in {
            "other names": lambda n: many(min(n, 9000), key, b"&"),
            "long other names": lambda n: many(n, lambda i: b"%d" % i * 300, b"&"),
            "errors": lambda n: fill(min(n, 3900), b"b=x&"),
        }.items()
    },
    "form: small messages": lambda n: form("/form/scalars", b"b=" + b"x" * (n // CHUNK), piece=1),
    # Multipart forms.
    "multipart: one text": lambda n: multipart("/form/files", part(b"a", b"x" * n) + b"--B--"),
    "multipart: fields": lambda n: multipart("/form/files", many(min(n, 50_000), lambda i: part(b"%d" % i)) + b"--B--"),
    "multipart: too many fields": lambda n: multipart("/form/files", many(n, lambda i: part(b"%d" % i)) + b"--B--"),
    "multipart: files": lambda n: multipart(
        "/form/files", fill(min(n, 60_000), part(b"files", more=b'; filename="f"')) + b"--B--"
    ),
    "multipart: a file": lambda n: multipart("/form/files", part(b"files", b"x" * n, b'; filename="f"') + b"--B--"),
    "multipart: almost boundaries": lambda n: multipart("/form/files", part(b"a", fill(n, b"\r\n--")) + b"--B--"),
    "multipart: line ends": lambda n: multipart("/form/files", part(b"a", fill(n, b"\r\n")) + b"--B--"),
    "multipart: returns": lambda n: multipart("/form/files", part(b"a", b"\r" * n) + b"--B--"),
    "multipart: hyphens": lambda n: multipart("/form/files", part(b"a", b"-" * n) + b"--B--"),
    "multipart: a long name": lambda n: multipart("/form/files", part(b"n" * n) + b"--B--"),
    "multipart: a name of quotes": lambda n: multipart("/form/files", part(fill(n, b'\\"')) + b"--B--"),
    "multipart: headers": lambda n: multipart("/form/files", b"--B\r\n" + fill(n, b"X: y\r\n") + b"\r\n1\r\n--B--"),
    "multipart: one header": lambda n: multipart("/form/files", b"--B\r\nX: " + b"y" * n + b"\r\n\r\n1\r\n--B--"),
    "multipart: parameters of a header": lambda n: multipart(
        "/form/files", part(b"a", more=fill(n, b"; x=y")) + b"--B--"
    ),
    "multipart: no boundary": lambda n: multipart("/form/files", b"x" * n),
    "multipart: preamble": lambda n: multipart("/form/files", fill(n, b"x\r\n") + part(b"a") + b"--B--"),
    "multipart: epilogue": lambda n: multipart("/form/files", part(b"a") + b"--B--" + fill(n, b"--B\r\n")),
    "multipart: no end": lambda n: multipart("/form/files", part(b"a", b"x" * n)),
    "multipart: small messages": lambda n: multipart(
        "/form/files", part(b"a", b"x" * (n // CHUNK)) + b"--B--", piece=1
    ),
    "multipart: small messages of boundaries": lambda n: multipart(
        "/form/files", part(b"a", fill(n // CHUNK, b"\r\n--")) + b"--B--", piece=1
    ),
    "multipart: small messages of a header": lambda n: multipart(
        "/form/files", b"--B\r\nX:" + b"y" * min(n // CHUNK, 4000) + b"\r\n", piece=1
    ),
    "multipart: small messages of parts": lambda n: multipart(
        "/form/files", fill(min(n // CHUNK, 50_000), part(b"a")) + b"--B--", piece=1
    ),
    "multipart: messages of parts": lambda n: multipart(
        "/form/files", many(min(n, 50_000), lambda i: part(b"%d" % i)) + b"--B--", piece=20_000
    ),
    "multipart: quoted semicolons in the media type": lambda n: multipart(
        "/form/files", part(b"a") + b"--B--", b'multipart/form-data; x="%s"; boundary=B' % (b";" * n)
    ),
    "multipart: quotes in the media type": lambda n: multipart(
        "/form/files", part(b"a") + b"--B--", b'multipart/form-data; x="%s"; boundary=B' % fill(n, b'\\"')
    ),
    "multipart: parameters of the media type": lambda n: multipart(
        "/form/files", part(b"a") + b"--B--", b"multipart/form-data%s; boundary=B" % fill(n, b";x=y")
    ),
    "multipart: semicolons in an open quote": lambda n: multipart(
        "/form/files", part(b"a") + b"--B--", b'multipart/form-data; boundary=B; x="' + b";" * n
    ),
    "multipart: semicolons in the media type": lambda n: multipart(
        "/form/files", part(b"a") + b"--B--", b"multipart/form-data" + b";" * n
    ),
    "multipart: escapes in the media type": lambda n: multipart(
        "/form/files", part(b"a") + b"--B--", b'multipart/form-data; boundary=B; x="' + fill(n, b'\\";') + b'"'
    ),
    "multipart: a long boundary": lambda n: multipart(
        "/form/files", b"--x", b"multipart/form-data; boundary=" + b"B" * n
    ),
    # Answers that hold what was sent.
    "answer: a text": lambda n: query("/text", b"q=" + fill(n, b"%01")),
    "answer: a header": lambda n: query("/header-back", b"q=" + b"x" * n),
}

AROUND: dict[str, Callable[[int], Sent]] = {
    "middleware: origin": lambda n: header("/plain", b"http://" + b"x" * n, name=b"origin"),
    "middleware: preflight": lambda n: Sent(
        "/plain",
        method="OPTIONS",
        headers=(
            (b"origin", b"http://a"),
            (b"access-control-request-method", b"GET"),
            (b"access-control-request-headers", fill(n, b"x, ")),
        ),
    ),
    "middleware: encodings": lambda n: header("/text", fill(n, b"gzip;q=0,"), name=b"accept-encoding"),
    "middleware: host": lambda n: Sent("/plain", headers=((b"host", b"a." * (n // 2)),)),
    "middleware: headers": lambda n: Sent("/plain", headers=headers_of(n)),
    "middleware: small messages": lambda n: json("/body/any", b"[%s1]" % fill(n // CHUNK, b"1,"), piece=1),
    "middleware: cookies": lambda n: header("/scalars", many(n, key, b"; "), name=b"cookie"),
    "middleware: errors": lambda n: json("/body/integers", b'[%s"x"]' % fill(n, b'"x",')),
}


def refused(annotation: Any, value: Any) -> Callable[[], object]:
    """What pydantic does to refuse a value."""
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)

    def refuse() -> object:
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            return error.errors(include_url=False)

    return refuse


def refused_json(annotation: Any, body: bytes | None) -> Callable[[], object]:
    """What pydantic does to parse and refuse a body."""
    return lambda: refused(annotation, from_json(body or b""))()


PYDANTIC: dict[str, Callable[[Sent], Callable[[], object]]] = {
    "query: a list of errors": lambda sent: refused(list[int], ["x"] * sent.query.count(b"&")),
    "query: lists model, errors": lambda sent: refused(Lists, _core.group_query(sent.query)),
    "query: keeping model, other names": lambda sent: refused(Keeping, _core.group_query(sent.query)),
    "query: forbidding model, other names": lambda sent: refused(Forbidding, _core.group_query(sent.query)),
    "header: lists model, errors": lambda sent: refused(Lists, _core.group_headers(list(sent.headers))),
    "header: keeping model, others": lambda sent: refused(Keeping, _core.group_headers(list(sent.headers))),
    "header: forbidding model, others": lambda sent: refused(Forbidding, _core.group_headers(list(sent.headers))),
    "header: forbidding model, its name and others": lambda sent: refused(
        Forbidding, _core.group_headers(list(sent.headers))
    ),
    "cookie: keeping model, other pairs": lambda sent: refused(Keeping, _core.parse_cookies(sent.headers[0][1])),
    "cookie: forbidding model, other pairs": lambda sent: refused(Forbidding, _core.parse_cookies(sent.headers[0][1])),
    "json: closed lists in lists": lambda sent: lambda: from_json(sent.body or b""),
    "json: nested children": lambda sent: refused_json(Tree, sent.body),
    "json: many keys that are forbidden": lambda sent: refused_json(Forbidding, sent.body),
    "json: errors": lambda sent: refused_json(list[int], sent.body),
    "json: long keys above errors": lambda sent: refused_json(dict[int, list[int]], sent.body),
    "json: choices": lambda sent: refused_json(list[First | Second], sent.body),
    "middleware: errors": lambda sent: refused_json(list[int], sent.body),
}
"""What pydantic alone does of a request, where that is much."""
