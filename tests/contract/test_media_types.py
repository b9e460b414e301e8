"""Which parser reads a body is FastAPI's choice for any Content-Type: white space, quotes, comments, parameters."""

from hypothesis import example, given
from hypothesis import strategies as st

from .test_unusual_input import BODIES, MODES, compare, scope_of

SPACES = [b" ", b"\t", b"\x0b", b"\x0c", b"\x1c", b"\x1d", b"\x1e", b"\x1f", b"\x85", b"\xa0", b"\n", b"\r"]
SIGNS = [b'"', b"\\", b";", b"=", b"/", b",", b"(c)", b"*", b"+", b"\xe9", b"\x00", b"\xff"]
TYPES = [
    b"application/json",
    b"application/geo+json",
    b"application/x-www-form-urlencoded",
    b"multipart/form-data",
    b"text/plain",
    b"",
]
PARAMETERS = [
    b"; boundary=B",
    b'; boundary="B"',
    b";boundary = B",
    b"; Boundary=B",
    b"; boundary*=utf-8''B",
    b"; charset=utf-8",
    b'; charset="latin-1"',
    b'; x="y;z"',
    b'; x="\\";"',
    b"; x=y",
    b"; x",
    b";",
]


@st.composite
def content_types(draw: st.DrawFn) -> bytes:
    """A usual header with something put in, written in another case, or cut."""
    text = draw(st.sampled_from(TYPES)) + b"".join(draw(st.lists(st.sampled_from(PARAMETERS), max_size=3)))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(st.sampled_from(SPACES + SIGNS)) + text[place:]
    change = draw(st.sampled_from([bytes, bytes, bytes, bytes.upper, bytes.title]))
    return change(text)


@given(content_types(), st.data())
@example(b"\xa0application/json\x85", None)
@example(b"multipart/form-data\x0b; boundary=B", None)
@example(b"application/x-www-form-urlencoded\x1f", None)
def test_the_media_type_means_what_it_means_to_fastapi(content_type: bytes, data: st.DataObject | None) -> None:
    cases = [(path, body, MODES[0]) for path, bodies in BODIES.items() for body in bodies]
    if data is not None:
        path = data.draw(st.sampled_from(sorted(BODIES)))
        body = data.draw(st.sampled_from([body for bodies in BODIES.values() for body in bodies]))
        cases = [(path, body, data.draw(st.sampled_from(MODES)))]
    for path, body, mode in cases:
        message = {"type": "http.request", "body": body}
        headers = [(b"content-type", content_type)]
        compare(lambda: scope_of(path, "POST", list(headers)), lambda: [dict(message)], mode)  # noqa: B023
