"""Multipart forms by the engine's parser, or by Starlette's where a body is unusual, beside FastAPI's: what endpoints
receive, what is refused, and when files are closed.
"""

import asyncio
import importlib
import inspect
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import pytest
import python_multipart
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartParser

from ferroapi._engine.whole_form import TRUNCATED
from ferroapi._routing.entries import plan_of

from .asgi import Answer, ask, http_scope

FRAMEWORKS = ("fastapi", "ferroapi")


class Pair:
    """An endpoint of texts and files, twice."""

    def __init__(self, **parameters: Callable[[Any], Any]) -> None:
        self.received: list[Any] = []
        self.files: list[UploadFile] = []
        self.apps = {framework: self._build(framework, parameters) for framework in FRAMEWORKS}
        for app in self.apps.values():
            asyncio.run(ask(app, http_scope("/nowhere", "TRACE")))

    def _build(self, framework: str, parameters: dict[str, Callable[[Any], Any]]) -> Any:
        fastapi = importlib.import_module(framework)

        async def endpoint(**values: Any) -> str:
            self.received.append({name: await self._facts(value) for name, value in values.items()})
            return "received"

        endpoint.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=make(fastapi))
                for name, make in parameters.items()
            ]
        )
        app = fastapi.FastAPI(openapi_url=None)
        app.add_api_route("/", endpoint, methods=["POST"])
        if framework == "ferroapi":
            plan, reason = plan_of(app.router.routes[0])
            assert plan is not None, reason
        return app

    async def _facts(self, value: Any) -> Any:
        if isinstance(value, list):
            return [await self._facts(item) for item in value]
        if not isinstance(value, UploadFile):
            return value
        self.files.append(value)
        file: Any = value.file
        storage = (type(value), type(file), file._max_size, file._rolled, file.tell(), file.closed)
        return value.filename, value.size, value.headers.raw, value.content_type, storage, await value.read()

    def ask(
        self, content_type: bytes, *chunks: bytes, leaves: bool = False
    ) -> dict[str, tuple[Answer, str, list[bool]]]:
        found = {}
        for framework, app in self.apps.items():
            self.received.clear()
            self.files.clear()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                scope = http_scope("/", "POST", headers=[(b"content-type", content_type)])
                answer = asyncio.run(ask(app, scope, *chunks, leaves=leaves))
            found[framework] = (answer, repr(self.received), [file.file.closed for file in self.files])
        return found

    def assert_equal(self, content_type: bytes, *chunks: bytes, leaves: bool = False) -> Answer:
        found = self.ask(content_type, *chunks, leaves=leaves)
        if TRUNCATED.encode() in found["ferroapi"][0].body:
            # Decided otherwise: half a form is no form. `contract/test_decided_differences.py` has the cases.
            assert found["ferroapi"][0].status == 400
            assert found["fastapi"][0].status in (200, 422)
        else:
            assert found["ferroapi"] == found["fastapi"]
        return found["fastapi"][0]


def required(fastapi: Any) -> Any:
    return Annotated[fastapi.UploadFile, fastapi.File()]


def optional(fastapi: Any) -> Any:
    return Annotated[fastapi.UploadFile | None, fastapi.File()]


def many(fastapi: Any) -> Any:
    return Annotated[list[fastapi.UploadFile], fastapi.File()]


def text(fastapi: Any) -> Any:
    return Annotated[str, fastapi.Form()]


def number(fastapi: Any) -> Any:
    return Annotated[int, fastapi.Form()]


def texts(fastapi: Any) -> Any:
    return Annotated[list[str], fastapi.Form()]


PAIRS = {
    "file and texts": Pair(file=required, title=text, pages=number),
    "texts": Pair(title=text, tags=texts),
    "files": Pair(file=many),
    "two of a name": Pair(file=required, title=texts),
}
PLAIN = b"multipart/form-data; boundary=x"


def part(head: bytes, content: bytes = b"", *, start: bytes = b"--x\r\n", end: bytes = b"\r\n") -> bytes:
    return start + head + b"\r\n\r\n" + content + end


def field(name: bytes, content: bytes) -> bytes:
    return part(b'Content-Disposition: form-data; name="' + name + b'"', content)


def file(name: bytes, filename: bytes, content: bytes, kind: bytes = b"text/plain") -> bytes:
    head = (
        b'Content-Disposition: form-data; name="' + name + b'"; filename="' + filename + b'"\r\nContent-Type: ' + kind
    )
    return part(head, content)


WHOLE = field(b"title", b"A title") + field(b"pages", b"3") + file(b"file", b"f.txt", b"content") + b"--x--\r\n"

BODIES: dict[str, tuple[bytes, bytes]] = {
    "plain": (PLAIN, WHOLE),
    "quoted boundary": (b'multipart/form-data; boundary="x"', WHOLE),
    "capitals": (b"Multipart/Form-Data; Boundary=x", WHOLE),
    "capitals, no name": (b"Multipart/Form-Data; Boundary=x", WHOLE.replace(b' name="title"', b"")),
    "white space": (b"multipart/form-data\xa0; boundary=x", WHOLE),
    "white space, no name": (b"multipart/form-data\xa0; boundary=x", WHOLE.replace(b' name="title"', b"")),
    "white space, no parameter": (b"multipart/form-data\x0b", WHOLE),
    "charset": (PLAIN + b"; charset=latin-1", WHOLE.replace(b"A title", b"\xe9")),
    "no boundary": (b"multipart/form-data", WHOLE),
    "another boundary": (b"multipart/form-data; boundary=y", WHOLE),
    "long boundary": (b"multipart/form-data; boundary=" + b"b" * 300, WHOLE),
    "no closing line end": (PLAIN, WHOLE.removesuffix(b"\r\n")),
    "epilogue": (PLAIN, WHOLE + b"more"),
    "preamble": (PLAIN, b"preamble\r\n" + WHOLE),
    "line end first": (PLAIN, b"\r\n" + WHOLE),
    "truncated": (PLAIN, WHOLE[:-20]),
    "no end": (PLAIN, WHOLE.removesuffix(b"--x--\r\n")),
    "empty": (PLAIN, b""),
    "empty form": (PLAIN, b"--x--\r\n"),
    "line feeds": (PLAIN, WHOLE.replace(b"\r\n", b"\n")),
    "padding": (PLAIN, WHOLE.replace(b"--x\r\n", b"--x \r\n")),
    "latin-1": (PLAIN, WHOLE.replace(b"A title", b"\xe9").replace(b"f.txt", b"\xe9.txt")),
    "utf-8": (PLAIN, WHOLE.replace(b"A title", "é€😀".encode()).replace(b"f.txt", "é€😀.txt".encode())),
    "escaped name": (PLAIN, WHOLE.replace(b"f.txt", b'a\\"b.txt')),
    "percent in name": (PLAIN, WHOLE.replace(b"f.txt", b"a%22;b=c.txt")),
    "windows path": (PLAIN, WHOLE.replace(b"f.txt", b"C:\\dir\\f.txt")),
    "extended name": (PLAIN, WHOLE.replace(b'filename="f.txt"', b"filename*=utf-8''%c3%a9")),
    "both names": (PLAIN, WHOLE.replace(b'filename="f.txt"', b"filename=\"a\"; filename*=utf-8''b")),
    "unquoted": (PLAIN, WHOLE.replace(b'"title"', b"title")),
    "no name": (PLAIN, WHOLE.replace(b' name="title"', b"")),
    "no disposition": (PLAIN, WHOLE.replace(b"Content-Disposition", b"X-Disposition", 1)),
    "two dispositions": (PLAIN, part(b'Content-Disposition: form-data; name="a"\r\nContent-Disposition: b') + WHOLE),
    "nameless header": (PLAIN, WHOLE.replace(b"Content-Type:", b":")),
    "no colon": (PLAIN, WHOLE.replace(b"Content-Type:", b"Content-Type")),
    "many headers": (PLAIN, part(b"\r\n".join(b"h%d: v" % i for i in range(9))) + WHOLE),
    "long header": (PLAIN, WHOLE.replace(b"text/plain", b"t" * 4300)),
    "fairly long header": (PLAIN, WHOLE.replace(b"text/plain", b"t" * 4150)),
    "spaces in header": (PLAIN, WHOLE.replace(b"Content-Type: ", b"Content-Type:   ").replace(b"plain", b"plain \t")),
    "empty texts": (PLAIN, field(b"title", b"") + field(b"pages", b"") + b"--x--"),
    "blank file": (PLAIN, WHOLE.replace(b"f.txt", b"").replace(b"content", b"")),
    "nameless file": (PLAIN, WHOLE.replace(b"f.txt", b"")),
    "empty file": (PLAIN, WHOLE.replace(b"content", b"")),
    "file as text": (PLAIN, file(b"title", b"f", b"1") + file(b"pages", b"f", b"1") + field(b"file", b"1") + b"--x--"),
    "repeated": (PLAIN, field(b"title", b"0") + file(b"file", b"0", b"0") + field(b"other", b"1") + WHOLE),
    "blank file last": (PLAIN, file(b"file", b"f", b"1") + file(b"file", b"", b"") + field(b"title", b"1") + b"--x--"),
    "binary": (PLAIN, WHOLE.replace(b"content", bytes(range(256)) + b"\r\n--\r\n-x--x\r")),
    "boundary as data": (PLAIN, WHOLE.replace(b"content", b"a\r\n--xy\r\nb")),
    "too many fields": (PLAIN, field(b"title", b"1") * 1001 + b"--x--"),
    "too many files": (PLAIN, file(b"file", b"f", b"") * 1001 + b"--x--"),
    "many fields": (PLAIN, field(b"title", b"1") * 500 + WHOLE),
    "large field": (PLAIN, field(b"title", b"a" * (1024 * 1024 + 1)) + WHOLE),
    "large file": (PLAIN, WHOLE.replace(b"content", b"a" * (1024 * 1024 + 1))),
    "rather large file": (PLAIN, WHOLE.replace(b"content", b"a" * (1024 * 1024 - 500))),
}


def chunked(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)] or [b""]


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("kind", PAIRS)
def test_bodies_are_read_as_under_fastapi(kind: str, name: str) -> None:
    content_type, body = BODIES[name]
    for size in (len(body) + 1, 7 if len(body) < 2000 else 65536):
        PAIRS[kind].assert_equal(content_type, *chunked(body, size))


HEAD = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n'


@pytest.mark.parametrize(
    ("chunks", "read"),
    [
        ((b"no boundary", b"more", b"--x--"), 1),
        ((b"--x\r\nNo Header", b": ", HEAD, b"--x--"), 1),
        ((b"--x\r\nX: y\r\n\r\n", b"more", b"\r\n--x--"), 1),
        ((HEAD, b"\r\n--x\r\nX y", b"more", b"\r\n--x--"), 2),
        ((HEAD, b"\r\n", b"--x", b"\r\n", b"X", b" y", b"more", b"\r\n--x--"), 6),
        (((HEAD + b"\r\n") * 600,) * 2 + (HEAD, b"\r\n--x--"), 2),
        ((HEAD, b"\r\n--x--", b"more", b"more"), 4),
    ],
)
def test_a_malformed_body_is_refused_without_its_rest(chunks: tuple[bytes, ...], read: int) -> None:
    found = PAIRS["texts"].ask(b"multipart/form-data; boundary=x", *chunks)
    assert {framework: answer.read for framework, (answer, _, _) in found.items()} == dict.fromkeys(FRAMEWORKS, read)
    assert found["ferroapi"] == found["fastapi"]


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What python-multipart was asked to parse."""
    seen: list[Any] = []
    original = python_multipart.MultipartParser

    def parser(boundary: Any, *arguments: Any, **options: Any) -> Any:
        seen.append(boundary)
        return original(boundary, *arguments, **options)

    monkeypatch.setattr(python_multipart, "MultipartParser", parser)
    return seen


@pytest.mark.parametrize(
    "name", ["plain", "latin-1", "utf-8", "percent in name", "blank file", "binary", "many fields"]
)
def test_plain_bodies_never_reach_the_other_parser(name: str, parsed: list[Any]) -> None:
    content_type, body = BODIES[name]
    PAIRS["file and texts"].assert_equal(content_type, body)
    assert len(parsed) == 1, "FastAPI's own"
    parsed.clear()
    PAIRS["file and texts"].assert_equal(content_type, *chunked(body, 100))
    assert len(parsed) == 1, "FastAPI's own"


def test_a_replaced_parser_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    original = MultiPartParser.on_part_end

    def on_part_end(self: MultiPartParser) -> None:
        self._current_part.data += b"!"
        original(self)

    monkeypatch.setattr(MultiPartParser, "on_part_end", on_part_end)
    found = PAIRS["texts"].ask(PLAIN, field(b"title", b"A") + field(b"tags", b"B") + b"--x--")
    assert found["ferroapi"] == found["fastapi"]
    assert "A!" in found["ferroapi"][1]


@pytest.mark.parametrize("size", [0, 3, 7, 1024])
def test_the_size_in_memory_is_starlettes(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(MultiPartParser, "spool_max_size", size)
    PAIRS["file and texts"].assert_equal(PLAIN, WHOLE)


names = st.sampled_from([b"title", b"pages", b"file", b"tags", b"", b"a;b", b"\xe9", b"\xc3\xa9", b"a%22", b"a b"])
contents = st.one_of(
    st.sampled_from([b"", b"1", b"\r\n", b"\r\n--", b"\r\n--y", b"--x", b"\r", b"\n", b"\xff"]), st.binary(max_size=12)
)
lines = st.one_of(
    st.sampled_from(
        [
            b"Content-Type: text/plain",
            b"content-type:image/png",
            b"Content-Length: 3",
            b"X: \tvalue ",
            b"X:",
            b"X",
            b"X : v",
            b"Content-Disposition: form-data",
            b"\xe9: v",
            b"x-\xe9: v",
            b"X: \xe9",
            b"X: \x00",
        ]
    )
)
separators = st.sampled_from([b"; ", b";", b" ; ", b";\t", b";;", b", "])
quotes = st.sampled_from([b'"%s"', b'"%s"', b'"%s"', b"%s", b'"%s" ', b"'%s'", b'"\\%s"'])


@st.composite
def bodies(draw: Any) -> bytes:
    """Bodies that are nearly well-formed."""
    whole = b""
    for _ in range(draw(st.integers(0, 4))):
        head = b"form-data" + draw(separators) + b"name=" + draw(quotes) % draw(names)
        if draw(st.booleans()):
            head += draw(separators) + draw(st.sampled_from([b"filename=", b"filename*=", b"Filename="]))
            head += draw(quotes) % draw(names)
        heads = [b"Content-Disposition: " + head, *draw(st.lists(lines, max_size=2))]
        if draw(st.booleans()):
            heads.reverse()
        whole += part(b"\r\n".join(heads), draw(contents))
    whole += draw(st.sampled_from([b"--x--\r\n", b"--x--", b"--x", b"", b"--x--\r\nmore", b"--x-", b"--x\r\n"]))
    mutations = st.tuples(st.integers(0, max(len(whole), 1)), st.sampled_from([b"", b"\r", b"\n", b"-", b'"', b"x"]))
    for at, new in draw(st.lists(mutations, max_size=2)):
        whole = whole[:at] + new + whole[at + draw(st.integers(0, 1)) :]
    return bytes(whole)


@given(body=bodies(), kind=st.sampled_from(sorted(PAIRS)), size=st.integers(1, 400))
def test_any_body_is_read_as_under_fastapi(body: bytes, kind: str, size: int) -> None:
    PAIRS[kind].assert_equal(PLAIN, *chunked(body, size))


headers = st.one_of(
    st.sampled_from([b"multipart/form-data", b"multipart/form-data;boundary=x;", b"multipart/form-data; boundary=x "]),
    st.text("abx;=\"' \t\\-*/", max_size=12).map(lambda end: b"multipart/form-data; boundary=x" + end.encode()),
    st.text("abx;=\"' \t\\-*/", max_size=12).map(lambda end: b"multipart/form-data; boundary=" + end.encode()),
)


@given(content_type=headers, leaves=st.booleans())
def test_any_content_type_is_read_as_under_fastapi(content_type: bytes, leaves: bool) -> None:
    PAIRS["file and texts"].assert_equal(content_type, WHOLE, leaves=leaves)


def test_a_missing_boundary_is_refused_before_the_body_is_read() -> None:
    answer = PAIRS["texts"].assert_equal(b"multipart/form-data", WHOLE, leaves=True)
    assert (answer.status, answer.body) == (400, b'{"detail":"Missing boundary in multipart."}')


# When files are closed.


def closing_log(framework: str, fails: str, body: bytes) -> list[Any]:
    fastapi = importlib.import_module(framework)
    exceptions = importlib.import_module(f"{framework}.exceptions")
    app = fastapi.FastAPI(openapi_url=None)
    log: list[Any] = []
    files: list[UploadFile] = []

    def note(place: str) -> None:
        log.append((place, [file.file.closed for file in files]))

    async def with_end(request: fastapi.Request) -> Any:
        yield
        note("request scope")

    async def with_function_end() -> Any:
        yield
        note("function scope")

    @app.exception_handler(exceptions.RequestValidationError)
    async def invalid(request: Any, error: Any) -> Any:
        files.extend(value for value in error.body.values() if isinstance(value, UploadFile))
        note("invalid")
        return fastapi.responses.JSONResponse([await file.read() == b"content" for file in files], 422)

    @app.exception_handler(ValueError)
    async def failed(request: Any, error: Any) -> Any:
        note("failed")
        return fastapi.responses.JSONResponse([(await file.read()).decode() for file in files], 500)

    @app.post("/", dependencies=[fastapi.Depends(with_end), fastapi.Depends(with_function_end, scope="function")])
    async def endpoint(
        file: fastapi.UploadFile,
        request: fastapi.Request,
        tasks: fastapi.BackgroundTasks,
        title: Annotated[str, fastapi.Form(max_length=10)],
    ) -> Any:
        files.append(file)
        form = await request.form()
        log.append((list(form), form["file"] is file))
        tasks.add_task(note, "background")
        note("endpoint")
        if fails == "endpoint":
            raise ValueError("failed")
        if fails == "cancelled":
            raise asyncio.CancelledError
        return (await file.read()).decode()

    async def main() -> None:
        await ask(app, http_scope("/nowhere", "TRACE"))
        scope = http_scope("/", "POST", headers=[(b"content-type", PLAIN)])
        try:
            answer = await ask(app, scope, body)
            log.append((answer.status, answer.body, answer.raised))
        except asyncio.CancelledError:
            log.append("cancelled")
        note("after")

    asyncio.run(main())
    return log


@pytest.mark.parametrize("size", [10, 2 * 1024 * 1024])
@pytest.mark.parametrize("fails", ["", "endpoint", "cancelled", "validation"])
def test_files_are_closed_when_fastapi_closes_them(fails: str, size: int) -> None:
    title = b"a" * 11 if fails == "validation" else b"title"
    body = field(b"title", title) + file(b"file", b"f", b"content".ljust(size)) + b"--x--"
    found = {framework: closing_log(framework, fails, body) for framework in FRAMEWORKS}
    assert found["ferroapi"] == found["fastapi"]
    assert found["ferroapi"][-1] == ("after", [True])
