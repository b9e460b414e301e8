"""Strategies: requests for a drawn application, mostly such that it understands."""

import json
from typing import Any
from urllib.parse import quote, quote_plus

from hypothesis import strategies as st

from ..drawn import Application, Dependence, Operation, Parameter, Request
from ..drawn.types import BODIES, FORM_MODELS
from .multipart import multipart
from .parameters import names_of
from .values import JSON_VALUES, TEXTS, now_and_then, valid_json, valid_texts

_BROKEN_JSON = [
    b"{",
    b'{"name": }',
    b'"\\ud800"',
    b"\xff\xfe{",
    b"nul",
    b"[1,]",
    b"1 2",
    b" ",
    b"\xef\xbb\xbf{}",
    b'{"a": "\xff"}',
]
_CONTENT_TYPES = [
    b"application/json",
    b"application/json; charset=utf-8",
    b"APPLICATION/JSON",
    b"application/vnd.api+json",
    b"text/plain",
    b"application/x-www-form-urlencoded",
    b"",
    b"application/json/x",
    b"json",
    b"application/geo+json-seq",
]


@st.composite
def requests(draw: st.DrawFn, description: Application) -> Request:
    """A request for an operation of the application, mostly one that it understands."""
    operation = draw(st.sampled_from(description.operations))
    path = "".join(description.prefixes).replace("{outer}", "out") + operation.path
    sent = reachable_parameters(description, operation)
    path = draw(_filled(path, sent))
    if description.mounted:
        path = "/mounted" + path
    method = operation.method
    if now_and_then(draw, times=10):
        method = draw(st.sampled_from(["GET", "POST", "OPTIONS", "HEAD", "get", "WEBSOCKET"]))
    headers = [(name.lower().encode(), value.encode()) for name, value in draw(_pairs(sent, "header"))]
    cookies = [*draw(_pairs(sent, "cookie")), ("session", "s")]
    if draw(st.booleans()):
        quoted = draw(st.booleans())
        text = "; ".join(f'{name}="{value}"' if quoted else f"{name}={value}" for name, value in cookies)
        headers.append((b"cookie", text.encode()))
    if draw(st.booleans()):
        headers.append((b"authorization", draw(st.sampled_from(_AUTHORIZATIONS))))
    if draw(st.booleans()):
        headers.append((b"x-key", b"k"))
    query = draw(_urlencoded(sent, "query")) + draw(st.sampled_from([b"", b"&key=k"]))
    content, content_type = draw(_content(sent))
    if content_type is not None:
        headers.append((b"content-type", content_type))
    if description.middleware:
        headers += draw(_for_middleware())
        method = "OPTIONS" if (b"access-control-request-method", b"POST") in headers else method
    cut = draw(st.integers(0, len(content)))
    chunks = (content,) if draw(st.booleans()) else (content[:cut], content[cut:])
    if method == "WEBSOCKET":
        chunks = tuple(draw(st.lists(st.sampled_from(_MESSAGES), max_size=4)))
    elif dict(headers).get(b"content-type") and now_and_then(draw, times=2):
        headers.append((b"content-length", str(len(content)).encode()))
    return Request(
        method,
        path,
        query,
        tuple(headers),
        chunks,
        root_path=draw(st.sampled_from(_ROOT_PATHS)),
        disconnects=now_and_then(draw, times=25),
    )


@st.composite
def _for_middleware(draw: st.DrawFn) -> list[tuple[bytes, bytes]]:
    """Headers that middleware reads: of CORS, compression and hosts."""
    headers: list[tuple[bytes, bytes]] = []
    if draw(st.booleans()):
        headers.append((b"origin", draw(st.sampled_from([b"https://a.example", b"https://b.other", b"null"]))))
        if draw(st.booleans()):
            headers.append((b"access-control-request-method", draw(st.sampled_from([b"POST", b"POST", b"PUT"]))))
            headers.append((b"access-control-request-headers", draw(st.sampled_from([b"x-key", b"X-Key, b", b""]))))
        if now_and_then(draw, times=5):
            headers.append((b"access-control-request-private-network", b"true"))
    if draw(st.booleans()):
        headers.append(
            (b"accept-encoding", draw(st.sampled_from([b"gzip", b"br, gzip;q=0.5", b"identity", b"x-gzip"])))
        )
    if now_and_then(draw, times=5):
        hosts = [b"testserver:80", b"a.example", b"other.org", b"www.testserver", b"", b"TESTSERVER"]
        headers.append((b"host", draw(st.sampled_from(hosts))))
    return headers


def reachable_parameters(description: Application, operation: Operation) -> list[Parameter]:
    """The parameters of an operation and of all dependencies around and below it."""
    found: list[Parameter] = []
    waiting = [
        operation.endpoint,
        *(description.dependencies[number] for number in (*operation.dependencies, *description.router_dependencies)),
    ]
    seen: set[str] = set()
    while waiting:
        function = waiting.pop()
        if function.name not in seen:
            seen.add(function.name)
            found += [each for each in function.parameters if isinstance(each, Parameter)]
            needed = [each.number for each in function.parameters if isinstance(each, Dependence)]
            waiting += [description.dependencies[number] for number in needed]
    return found


_AUTHORIZATIONS = [
    b"Bearer t",
    b"Bearer t",
    b"Basic dTpw",
    b"Basic dTpw",
    b"Basic x",
    b"bearer",
    b"Basic dTpwOnE=",
    b"Digest z",
]
_MESSAGES = [b"text", b'{"a": 1}', b"\xff", b"", b"null", b"\xc3\xa9"]
_ROOT_PATHS = ["", "", "", "", "", "/root", "/root/"]
_SEGMENTS = ["1", "x", "a%20b", "-3", "1.5", "%C3%A9", "%ff", "%zz", "red", "007", "%2F", "a%0Ab"]
_CONVERTED = {
    "int": ["1", "4", "12345678901234567890123"],
    "float": ["1", "2.50"],
    "uuid": ["3f2504e0-4f89-41d3-9a0c-0305e82c3301"],
    "path": ["a/b", "", "/x//", "1"],
}


@st.composite
def _filled(draw: st.DrawFn, path: str, sent: list[Parameter]) -> str:
    types = {each.name: each.type for each in sent}
    parts = []
    for part in path.split("/"):
        name, _, convertor = part.strip("{}").partition(":")
        if not part.startswith("{"):
            parts.append(part)
        elif now_and_then(draw, times=8):
            parts.append(draw(st.sampled_from(_SEGMENTS)))
        else:
            valid = _CONVERTED.get(convertor) or valid_texts(types.get(name, "str"))
            parts.append(quote(draw(st.sampled_from(valid)), safe="/" if convertor == "path" else ""))
    return "/".join(parts) + ("/" if now_and_then(draw, times=20) else "")


@st.composite
def _pairs(draw: st.DrawFn, sent: list[Parameter], source: str) -> list[tuple[str, str]]:
    sources = {source, "bare"} if source == "query" else {source}
    names = [(name, each) for each in sent if each.source in sources for name in names_of(each)]
    pairs = []
    for name, parameter in names:
        for _ in range(draw(st.sampled_from([1, 1, 1, 1, 1, 0, 2]))):
            valid = not now_and_then(draw, times=8)
            text = draw(st.sampled_from(valid_texts(parameter.type)) if valid else TEXTS)
            if source == "query" or not {"\u2028", "\t"} & set(text):
                pairs.append((name, text))
    if now_and_then(draw, times=8):
        pairs.append(("unknown", draw(st.sampled_from(["", "1"]))))
    return pairs


@st.composite
def _urlencoded(draw: st.DrawFn, sent: list[Parameter], source: str) -> bytes:
    pairs = draw(_pairs(sent, source))
    text = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs)
    broken = ["&&", "&=", "&a", "&a=%", "&a=%zz", "&b=%ff%fe", ";c=1", "&a=1=2", "&a%20b=1", "&a=\xe9"]
    if now_and_then(draw, times=6):
        text += draw(st.sampled_from(broken))
    return text.encode("latin-1", "replace")


@st.composite
def _content(draw: st.DrawFn, sent: list[Parameter]) -> tuple[bytes, bytes | None]:
    bodies = [
        each for each in sent if each.source in ("body", "form") or (each.source == "bare" and each.type in BODIES)
    ]
    if not bodies and not now_and_then(draw, times=5):
        return b"", None
    if any(each.source == "file" or each.type in FORM_MODELS for each in sent) and not now_and_then(draw, times=8):
        return draw(multipart(sent))
    if any(each.source == "form" for each in bodies) and now_and_then(draw, times=4):
        return draw(multipart(sent))
    if any(each.source == "form" for each in bodies) and not now_and_then(draw, times=6):
        return draw(_urlencoded(sent, "form")), b"application/x-www-form-urlencoded"
    kind = draw(st.sampled_from(["whole", "whole", "whole", "embedded", "embedded", "embedded", "broken", "empty"]))
    if kind == "empty":
        return b"", draw(st.sampled_from([None, b"application/json"]))
    content_type = (
        draw(st.sampled_from([None, *_CONTENT_TYPES])) if now_and_then(draw, times=6) else b"application/json"
    )
    if kind == "broken":
        return draw(st.sampled_from(_BROKEN_JSON)), content_type
    value = draw(_json_for(bodies[0]) if bodies else JSON_VALUES)
    if kind == "embedded" or len(bodies) > 1:
        named = [(name, each) for each in bodies for name in names_of(each)]
        value = {name: draw(_json_for(each)) for name, each in named if not now_and_then(draw, times=12)}
    return json.dumps(value, ensure_ascii=draw(st.booleans())).encode(), content_type


@st.composite
def _json_for(draw: st.DrawFn, parameter: Parameter) -> Any:
    return draw(JSON_VALUES if now_and_then(draw, times=6) else st.sampled_from(valid_json(parameter.type)))
