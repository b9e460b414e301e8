"""Strategies: multipart bodies for the form and file parameters of an operation, good and bad."""

from hypothesis import strategies as st

from ..drawn import Parameter
from ..drawn.types import FILES, FORM_MODELS
from .parameters import names_of
from .values import TEXTS, now_and_then, valid_texts

_BOUNDARIES = [b"boundary", b"----WebKitFormBoundary7MA4YWxkTrZu0gW", b"a'()+_,-./:=?", b"x"]
_CONTENTS = [b"", b"text", b"\x00\xff\r\n", b"--boundary", b"\r\n--boundar", b"\xc3\xa9" * 40, b"line\r\n" * 200]
_FILE_NAMES = ["a.txt", "", 'quo"te.bin', "é.png", "a/b\\c", "semi;colon"]
_MEDIA_TYPES = [None, b"text/plain", b"application/octet-stream", b"image/png; a=b", b"text/plain; charset=utf-8", b""]
_BROKEN = [
    b"",
    b"--boundary",
    b"no boundary at all",
    b"--boundary--\r\n",
    b"--boundary\r\n\r\nno header\r\n--boundary--\r\n",
    b"--boundary\r\nContent-Disposition: form-data\r\n\r\nno name\r\n--boundary--\r\n",
    b'--boundary\r\nContent-Disposition form-data; name="a"\r\n\r\nx\r\n--boundary--\r\n',
    b'--boundary\r\nContent-Disposition: form-data; name="a"\r\nX:\x01\r\n\r\nx\r\n--boundary--\r\n',
    b'--boundary\r\ncontent-disposition: attachment; name="a"\r\n\r\nx\r\n--boundary--\r\n',
    b'--boundary\nContent-Disposition: form-data; name="a"\n\nx\n--boundary--\n',
]
_CONTENT_TYPES = [
    b"multipart/form-data",
    b"multipart/form-data; boundary=",
    b"multipart/form-data; boundary=other",
    b"multipart/form-data; charset=utf-8; boundary=boundary",
    b"multipart/mixed; boundary=boundary",
    b"MULTIPART/FORM-DATA; BOUNDARY=boundary",
    b"multipart/form-data;boundary=boundary",
]


@st.composite
def multipart(draw: st.DrawFn, sent: list[Parameter]) -> tuple[bytes, bytes]:
    """A body and its content type."""
    if now_and_then(draw, times=12):
        return draw(st.sampled_from(_BROKEN)), draw(
            st.sampled_from([*_CONTENT_TYPES, *[b"multipart/form-data; boundary=boundary"] * 5])
        )
    boundary = draw(st.sampled_from(_BOUNDARIES))
    parts = [part for each in sent if each.source in ("form", "file") for part in draw(_parts(each))]
    if now_and_then(draw, times=5):
        parts.append(draw(_part("unknown", is_file=draw(st.booleans()), texts=["x"])))
    body = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in draw(st.permutations(parts)))
    body = draw(st.sampled_from([b"", b"", b"", b"\r\n"])) + body + b"--" + boundary + b"--"
    body += draw(st.sampled_from([b"\r\n", b"\r\n", b"", b"\r\nepilogue"]))
    quoted = b'"' + boundary + b'"'
    written = boundary if boundary.replace(b"-", b"").isalnum() and draw(st.booleans()) else quoted
    if now_and_then(draw, times=20):
        return body, draw(st.sampled_from(_CONTENT_TYPES))
    return body, b"multipart/form-data; boundary=" + written


@st.composite
def _parts(draw: st.DrawFn, parameter: Parameter) -> list[bytes]:
    texts = valid_texts(parameter.type)
    if parameter.type in FORM_MODELS:
        fields = [("title", False), ("document", True), ("tags", False), ("number", False), ("documents", True)]
        wanted = fields[:3] if parameter.type == "upload form" else fields[3:]
        named = [(name, is_file, ["4"]) for name, is_file in wanted]
    else:
        named = [(name, parameter.type in FILES and parameter.source == "file", texts) for name in names_of(parameter)]
    parts = []
    for name, is_file, values in named:
        for _ in range(draw(st.sampled_from([1, 1, 1, 0, 2]))):
            right_kind = not now_and_then(draw, times=8)
            parts.append(draw(_part(name, is_file=is_file == right_kind, texts=values)))
    return parts


@st.composite
def _part(draw: st.DrawFn, name: str, *, is_file: bool, texts: list[str]) -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"'
    headers = b""
    if is_file:
        file_name = draw(st.sampled_from(_FILE_NAMES)).replace('"', '\\"')
        disposition += f'; filename="{file_name}"'
        media_type = draw(st.sampled_from(_MEDIA_TYPES))
        headers = b"" if media_type is None else b"\r\nContent-Type: " + media_type
        content = draw(st.sampled_from(_CONTENTS))
    else:
        text = draw(TEXTS if now_and_then(draw, times=8) else st.sampled_from(texts))
        content = text.encode()
    if now_and_then(draw, times=8):
        headers += b"\r\nX-Own: 1"
    return disposition.encode() + headers + b"\r\n\r\n" + content
