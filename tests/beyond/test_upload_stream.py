# mypy: disable-error-code="untyped-decorator"
"""Files that the endpoint reads as they arrive, beside `UploadFile` on the same bodies."""

import asyncio
import hashlib
import importlib.util
import io
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import anyio
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from ferroapi import Body, Depends, FastAPI, File, Form, Request, UploadFile
from ferroapi.exceptions import FastAPIError, RequestValidationError
from ferroapi.responses import JSONResponse
from ferroapi.routing import APIRoute
from ferroapi.testclient import AsyncTestClient, TestClient
from ferroapi.uploads import UploadInterrupted, UploadStream

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/beyond/arriving_uploads.py"
PLAIN = "multipart/form-data; boundary=x"
Facts = list[tuple[str | None, list[tuple[bytes, bytes]], str | None, bytes]]


def scope(path: str, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"content-type", PLAIN.encode()), *headers],
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
    }


async def ask(
    app: FastAPI,
    path: str,
    chunks: Sequence[bytes],
    *,
    leaves: bool = False,
    received: Callable[[], None] | None = None,
) -> tuple[int, bytes]:
    """Serve one request; its client leaves when it has sent these pieces of the body, or ends it."""
    bodies = list(chunks) or [b""]
    messages = [
        {"type": "http.request", "body": body, "more_body": leaves or index + 1 < len(bodies)}
        for index, body in enumerate(bodies)
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        if received is not None:
            received()
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope(path), receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


def part(head: bytes, content: bytes = b"") -> bytes:
    return b"--x\r\n" + head + b"\r\n\r\n" + content + b"\r\n"


def field(name: bytes, content: bytes) -> bytes:
    return part(b'Content-Disposition: form-data; name="' + name + b'"', content)


def file(name: bytes, filename: bytes, content: bytes) -> bytes:
    head = b'Content-Disposition: form-data; name="%s"; filename="%s"\r\nContent-Type: text/plain'
    return part(head % (name, filename), content)


END = b"--x--\r\n"
WHOLE = field(b"title", b"A title") + file(b"file", b"f.txt", b"con\r\n--tent") + field(b"last", b"1") + END


# The same bodies, read by both.


class Read:
    """What an endpoint has read of a form: texts, and the files of one field."""

    def __init__(self, application: Callable[["Read"], FastAPI]) -> None:
        self.texts: list[tuple[str, str]] = []
        self.files: Facts = []
        self.app = application(self)

    def of(self, chunks: Sequence[bytes]) -> tuple[Any, ...]:
        self.texts, self.files = [], []
        status, body = asyncio.run(ask(self.app, "/", chunks))
        return (status, self.texts, self.files) if status == 200 else (status, body)


def whole(read: Read) -> FastAPI:
    app = FastAPI(openapi_url=None)

    @app.post("/")
    async def endpoint(request: Request, unsent: Annotated[str, Form()] = "") -> None:
        for name, value in (await request.form()).multi_items():
            if isinstance(value, str):
                read.texts.append((name, value))
            elif name == "file" and (value.filename or value.size):
                read.files.append((value.filename, value.headers.raw, value.content_type, await value.read()))

    return app


def arriving(read: Read) -> FastAPI:
    app = FastAPI(openapi_url=None)

    @app.post("/")
    async def endpoint(request: Request, file: UploadStream | None = None) -> None:
        form = await request.form()
        read.texts.extend((name, value) for name, value in form.multi_items() if isinstance(value, str))
        if file is None:
            return
        async for each in file.files():
            content = b"".join([piece async for piece in each])
            assert each.size == len(content)
            read.files.append((each.filename, each.headers.raw, each.content_type, content))
        read.texts.extend((name, str(value)) for name, value in file.fields.multi_items())

    return app


BOTH = Read(whole), Read(arriving)


def assert_equal(*chunks: bytes) -> None:
    reference, found = (read.of(chunks) for read in BOTH)
    if found[0] == 422:
        assert "file" in dict(reference[1]) and not reference[2], "a text is no file"
    else:
        assert found == reference


@pytest.mark.parametrize(
    "body",
    [
        WHOLE,
        WHOLE.replace(b"\r\n--x", b"\r\n--x ", 1),
        file(b"file", b"", b"") + field(b"title", b"1") + END,
        file(b"file", b"", b"") + file(b"file", b"a", b"1") + END,
        file(b"file", b"", b"1") + file(b"other", b"a", b"2") + file(b"file", b"b", b"3") + END,
        file(b"file", b"a", b"") + field(b"file", b"text") + END,
        WHOLE.removesuffix(END),
        WHOLE[:-20],
        WHOLE.replace(b' name="last"', b""),
        b"--x--\r\n",
        b"",
    ],
)
def test_bodies_that_are_cut_at_every_byte_are_read_as_upload_files(body: bytes) -> None:
    assert_equal(body)
    for at in range(len(body)):
        assert_equal(body[:at], body[at:])


names = st.sampled_from([b"title", b"file", b"file", b"", b"a;b", b"\xe9", b"\xc3\xa9", b"a%22"])
contents = st.one_of(
    st.sampled_from([b"", b"1", b"\r\n", b"\r\n--", b"\r\n--y", b"--x", b"\r", b"\n"]), st.binary(max_size=12)
)
quotes = st.sampled_from([b'"%s"', b'"%s"', b'"%s"', b"%s", b'"\\%s"'])


@st.composite
def bodies(draw: Any) -> bytes:
    """Bodies that are nearly well-formed."""
    body = b""
    for _ in range(draw(st.integers(0, 5))):
        head = b"Content-Disposition: form-data; name=" + draw(quotes) % draw(names)
        if draw(st.booleans()):
            head += draw(st.sampled_from([b"; filename=", b"; filename*=", b";filename="])) + draw(quotes) % draw(names)
        lines = draw(st.lists(st.sampled_from([b"Content-Type: text/plain", b"X: \xe9", b"X"]), max_size=2))
        body += part(b"\r\n".join([head, *lines]), draw(contents))
    body += draw(st.sampled_from([END, END, b"--x--", b"--x", b"", b"--x--\r\nmore", b"--x-"]))
    mutations = st.tuples(st.integers(0, max(len(body), 1)), st.sampled_from([b"", b"\r", b"\n", b"-", b'"', b"x"]))
    for at, new in draw(st.lists(mutations, max_size=1)):
        body = body[:at] + new + body[at + draw(st.integers(0, 1)) :]
    return bytes(body)


@given(body=bodies(), size=st.integers(1, 200))
def test_any_body_is_read_as_upload_files(body: bytes, size: int) -> None:
    assert_equal(*(body[at : at + size] for at in range(0, len(body), size)))


@given(content=st.binary(max_size=200), sizes=st.lists(st.integers(0, 40), max_size=8), chunk=st.integers(1, 60))
def test_reading_some_bytes_is_what_a_file_gives(content: bytes, sizes: list[int], chunk: int) -> None:
    app = FastAPI(openapi_url=None)
    expected = io.BytesIO(content)

    @app.post("/")
    async def endpoint(file: UploadStream) -> None:
        for size in sizes:
            assert await file.read(size) == expected.read(size)
        assert await file.read() == expected.read()
        assert await file.read() == await file.read(1) == b""

    content_of = file(b"file", b"a", content.replace(b"--x", b"---")) + END
    expected = io.BytesIO(content.replace(b"--x", b"---"))
    chunks = [content_of[at : at + chunk] for at in range(0, len(content_of), chunk)]
    assert asyncio.run(ask(app, "/", chunks))[0] == 200


# As it arrives.


def test_the_endpoint_asks_for_each_piece() -> None:
    app = FastAPI(openapi_url=None)
    asked = 0
    log: list[tuple[int, bytes]] = []

    @app.post("/")
    async def endpoint(file: UploadStream, title: Annotated[str, Form()]) -> None:
        log.append((asked, title.encode()))
        async for piece in file:
            log.append((asked, piece))

    def received() -> None:
        nonlocal asked
        asked += 1

    head = field(b"title", b"T") + file(b"file", b"a", b"").removesuffix(b"\r\n")
    chunks = [head, b"one", b"two", b"three", b"\r\n" + END]
    assert asyncio.run(ask(app, "/", chunks, received=received))[0] == 200
    assert log == [(1, b"T"), (2, b"one"), (3, b"two"), (4, b"three")]


def test_an_endpoint_need_not_read_the_file() -> None:
    app = FastAPI(openapi_url=None)
    asked: list[None] = []

    @app.post("/")
    async def endpoint(file: UploadStream) -> str | None:
        return file.filename

    chunks = [file(b"file", b"a", b"").removesuffix(b"\r\n"), b"1", b"2", b"\r\n" + END]
    assert asyncio.run(ask(app, "/", chunks, received=lambda: asked.append(None))) == (200, b'"a"')
    assert len(asked) == 1


def test_a_client_that_leaves_is_an_error_that_says_so() -> None:
    app = FastAPI(openapi_url=None)
    called = []

    @app.post("/")
    async def endpoint(file: UploadStream) -> None:
        called.append(await file.read(4))
        for _ in range(2):
            with pytest.raises(UploadInterrupted, match=r"after 7 bytes of the file 'a'\.$"):
                await file.read()
        await file.read()

    head = field(b"title", b"T") + file(b"file", b"a", b"1234567").removesuffix(b"\r\n")
    with pytest.raises(UploadInterrupted, match=r"after \d bytes of the file 'a'"):
        asyncio.run(ask(app, "/", [head], leaves=True))
    assert called == [b"1234"]
    with pytest.raises(UploadInterrupted, match="before it has sent its form to the end"):
        asyncio.run(ask(app, "/", [head[:30]], leaves=True))
    assert called == [b"1234"]


def test_a_client_that_leaves_can_be_handled() -> None:
    app = FastAPI(openapi_url=None)

    @app.post("/")
    async def endpoint(file: UploadStream) -> str:
        try:
            await file.read()
        except UploadInterrupted as error:
            return str(error)
        return "whole"

    body = file(b"file", b"a", b"12")[:-2]
    assert asyncio.run(ask(app, "/", [body], leaves=True)) == (
        200,
        b"\"The client has left after 2 bytes of the file 'a'.\"",
    )


def test_an_endpoint_is_cancelled_where_it_asks_for_that() -> None:
    app = FastAPI(openapi_url=None)
    ended = []

    @app.post("/", cancel_on_disconnect=True)
    async def endpoint(file: UploadStream) -> None:
        try:
            await file.read(1)
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    asyncio.run(ask(app, "/", [file(b"file", b"a", b"12")[:-2]], leaves=True))
    assert ended == ["cancelled"]


def test_a_read_that_took_too_long_can_be_repeated() -> None:
    app = FastAPI(openapi_url=None)
    body = file(b"file", b"a", b"12") + END
    times = []

    @app.post("/")
    async def endpoint(file: UploadStream) -> str:
        while True:
            try:
                async with asyncio.timeout(0.01):
                    return (await file.read()).decode()
            except TimeoutError:
                times.append("out")
                may_go_on.set()

    async def run() -> list[Any]:
        messages = [{"type": "http.request", "body": body[:-10], "more_body": True}]
        sent: list[Any] = []

        async def receive() -> Any:
            if messages:
                return messages.pop()
            await may_go_on.wait()
            return {"type": "http.request", "body": body[-10:]}

        async def send(message: Any) -> None:
            sent.append(message)

        await app(scope("/"), receive, send)
        return sent

    may_go_on = asyncio.Event()
    assert asyncio.run(run())[1]["body"] == b'"12"'
    assert times == ["out"]


def test_a_full_disk_is_its_own_error() -> None:
    app = FastAPI(openapi_url=None)

    @app.post("/")
    async def endpoint(file: UploadStream) -> None:
        async for _ in file:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left on device"):
        TestClient(app).post("/", files={"file": b"1"})


# What is declared beside the file.


def application() -> FastAPI:
    app = FastAPI(form_limits={"max_fields": 3, "max_files": 2, "max_part_size": 10})

    @app.post("/")
    async def endpoint(
        file: UploadStream, title: Annotated[str, Form(max_length=5)], pages: Annotated[int, Form()] = 0
    ) -> Any:
        return [
            title,
            pages,
            len(await file.read()),
            [item async for item in names_of(file)],
            file.fields.multi_items(),
        ]

    @app.post("/bounded", max_body_size=1000)
    async def bounded(file: UploadStream) -> int:
        return len(await file.read())

    return app


async def names_of(upload: UploadStream) -> Any:
    async for each in upload.files():
        yield each.filename


TITLE, FILE = field(b"title", b"T"), file(b"file", b"f", b"1")


@pytest.mark.parametrize("size", [3, 10_000])
@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (TITLE + field(b"pages", b"2") + FILE, 200, b'["T",2,1,["f"],[]]'),
        (TITLE + FILE + field(b"note", b"n") + FILE, 200, b'["T",0,1,["f","f"],[["note","n"]]]'),
        (FILE, 422, b'"loc":["body","title"],"msg":"Field required before the file \'file\'"'),
        (FILE + TITLE, 422, b'"loc":["body","title"],"msg":"Field required before the file \'file\'"'),
        (field(b"pages", b"2"), 422, b'"loc":["body","title"],"msg":"Field required"'),
        (TITLE, 422, b'"loc":["body","file"],"msg":"Field required"'),
        (field(b"title", b"too long") + FILE, 422, b"at most 5 characters"),
        (TITLE + field(b"file", b"text"), 422, b"Expected UploadStream, received: <class 'str'>"),
        (TITLE + FILE + field(b"pages", b"2"), 400, b"The field 'pages' must be sent before the file 'file'."),
        (TITLE + FILE * 3, 400, b"Too many files. Maximum number of files is 2."),
        (TITLE + FILE + field(b"a", b"1") * 3, 400, b"Too many fields. Maximum number of fields is 3."),
        (TITLE + FILE + field(b"a", b"1" * 11), 400, b"Part exceeded maximum size of 0KB."),
        (TITLE + file(b"file", b"f", b"1" * 5_000), 200, b'["T",0,5000,["f"],[]]'),
    ],
)
def test_fields_and_limits(body: bytes, status: int, text: bytes, size: int) -> None:
    body += END
    found = asyncio.run(ask(application(), "/", [body[at : at + size] for at in range(0, len(body), size)]))
    assert found[0] == status
    assert text in found[1]


def test_a_handler_of_errors_sees_that_the_field_must_come_before_the_file() -> None:
    app = application()

    @app.exception_handler(RequestValidationError)
    async def handle(request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse([each["msg"] for each in error.errors()], 422)

    found = asyncio.run(ask(app, "/", [FILE + TITLE + END]))
    assert found == (422, b"[\"Field required before the file 'file'\"]")


def test_a_body_that_is_too_long_is_refused_as_it_arrives() -> None:
    body = file(b"file", b"f", b"1" * 5_000) + END
    chunks = [body[at : at + 100] for at in range(0, len(body), 100)]
    assert asyncio.run(ask(application(), "/bounded", chunks))[0] == 413
    assert TestClient(application()).post("/bounded", files={"file": b"1" * 2_000}).status_code == 413
    assert TestClient(application()).post("/bounded", files={"file": b"1" * 200}).json() == 200


class Upload(BaseModel):
    title: str
    file: UploadStream


class ByHandler(APIRoute):
    def get_route_handler(self) -> Any:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Any:
            return await handler(request)

        return handle


async def of_dependency(upload: Annotated[UploadStream, File(alias="file")]) -> UploadStream:
    return upload


@pytest.mark.parametrize("route_class", [APIRoute, ByHandler])
def test_files_reach_dependencies_models_and_functions(route_class: type[APIRoute]) -> None:
    app = FastAPI()
    app.router.route_class = route_class

    @app.post("/dependency")
    async def dependency(upload: Annotated[UploadStream, Depends(of_dependency)]) -> str:
        return (await upload.read()).decode()

    @app.post("/model")
    async def model(data: Annotated[Upload, Form(media_type="multipart/form-data")]) -> str:
        return data.title + (await data.file.read()).decode()

    @app.post("/function")
    def function(file: UploadStream) -> str:
        return anyio.from_thread.run(file.read, 2).decode()

    client = TestClient(app)
    for path, text in (("/dependency", "123"), ("/model", "T123"), ("/function", "12")):
        assert client.post(path, data={"title": "T"}, files={"file": b"123"}).json() == text


def test_overridden_dependencies_get_the_file_too() -> None:
    app = FastAPI()

    @app.post("/")
    async def endpoint(upload: Annotated[UploadStream, Depends(of_dependency)]) -> str:
        return (await upload.read()).decode()

    async def other(file: UploadStream) -> UploadStream:
        assert await file.read(1) == b"1"
        return file

    app.dependency_overrides[of_dependency] = other
    assert TestClient(app).post("/", files={"file": b"123"}).json() == "23"


def test_a_file_is_read_once_and_closed_at_the_end() -> None:
    app = FastAPI()
    kept: list[UploadStream] = []

    @app.post("/")
    async def endpoint(file: UploadStream) -> None:
        kept.append(file)
        with pytest.raises(io.UnsupportedOperation):
            await file.seek(0)
        with pytest.raises(io.UnsupportedOperation):
            await file.write(b"1")
        assert not file.file.readable()

    TestClient(app).post("/", files={"file": ("a", b"123")})
    with pytest.raises(ValueError, match="The file 'a' is closed"):
        asyncio.run(kept[0].read())


def test_the_document_is_that_of_an_upload_file() -> None:
    def document(cls: Any) -> dict[str, Any]:
        async def upload(title: Annotated[str, Form()], file: Any, note: Annotated[str, Form()] = "") -> None:
            """Take a file."""

        upload.__annotations__["file"] = cls
        app = FastAPI()
        app.post("/")(upload)
        return app.openapi()

    found = document(UploadStream)
    assert found == document(UploadFile)
    assert found["components"]["schemas"]["Body_upload__post"]["properties"]["file"] == {
        "type": "string",
        "contentMediaType": "application/octet-stream",
        "title": "File",
    }
    assert document(UploadStream | None) == document(UploadFile | None)


def test_explain_says_that_the_form_is_read_while_the_endpoint_runs() -> None:
    rows = {row.path: row for row in application().explain()}
    assert (rows["/"].mode, rows["/"].reason) == ("native", "its form is read while the endpoint runs")


async def two(a: UploadStream, b: UploadStream) -> None: ...
async def beside(a: UploadStream, b: UploadFile) -> None: ...
async def content(a: UploadStream, b: Annotated[bytes, File()]) -> None: ...
async def listed(a: list[UploadStream]) -> None: ...
async def in_body(a: Annotated[UploadStream, Body()]) -> None: ...


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        (two, "'a' and 'b' are both an UploadStream"),
        (beside, "'b' cannot be a file beside 'a'"),
        (content, "'b' cannot be a file beside 'a'"),
        (listed, "'a' must be an UploadStream, or None"),
        (in_body, "'a' is an UploadStream, which only a form has"),
    ],
)
def test_declarations_that_cannot_be_are_refused(endpoint: Any, message: str) -> None:
    with pytest.raises(FastAPIError, match=message):
        FastAPI().post("/")(endpoint)


# Clients and servers.


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_test_client_sends_files(backend: Any) -> None:
    client = TestClient(application(), backend=backend)
    answer = client.post("/", data={"title": "T"}, files=[("file", ("a", b"1" * 300_000)), ("file", ("b", b""))])
    assert answer.json() == ["T", 0, 300_000, ["a", "b"], []]


def test_the_example_reads_a_file_as_it_arrives() -> None:
    spec = importlib.util.spec_from_file_location("arriving_uploads", EXAMPLE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    client = TestClient(module.app)
    content = bytes(range(256)) * 1000
    answer = client.post("/backups", data={"title": "Monday"}, files={"file": ("a.tar", content)})
    assert answer.json() == {
        "title": "Monday",
        "name": "a.tar",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def test_the_asynchronous_test_client_sends_files() -> None:
    async def run() -> Any:
        async with AsyncTestClient(application()) as client:
            return (await client.post("/", data={"title": "T"}, files={"file": ("a", b"1" * 300_000)})).json()

    assert asyncio.run(run()) == ["T", 0, 300_000, ["a"], []]


class Gate:
    """Lets an endpoint begin to read, and tells what it has read."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.first = threading.Event()
        self.largest = 0


@pytest.fixture(params=["h11", "httptools", "ferroapi.server:HTTPProtocol"])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[int, Gate]]:
    gate = Gate()
    app = FastAPI()

    @app.post("/")
    async def endpoint(file: UploadStream, title: Annotated[str, Form()]) -> Any:
        while not gate.opened.is_set():
            await asyncio.sleep(0.01)
        size = 0
        async for piece in file:
            size += len(piece)
            gate.largest = max(gate.largest, len(piece))
            gate.first.set()
        return [title, file.filename, size]

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", http=request.param))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    yield server.servers[0].sockets[0].getsockname()[1], gate
    server.should_exit = True
    thread.join()


def head_of(length: int) -> bytes:
    return (
        f"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: {PLAIN}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    ).encode()


def test_servers_hand_the_file_over_as_it_arrives(served: tuple[int, Gate]) -> None:
    port, gate = served
    gate.opened.set()
    start = field(b"title", b"T") + file(b"file", b"a", b"12345").removesuffix(b"\r\n")
    end = b"67890\r\n" + END
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(head_of(len(start + end)) + start)
        assert gate.first.wait(20), "the first piece is read before the last is sent"
        connection.sendall(end)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.endswith(b'["T","a",10]')


def test_servers_do_not_take_what_nobody_reads(served: tuple[int, Gate]) -> None:
    port, gate = served
    size = 64 * 1024 * 1024
    start = field(b"title", b"T") + file(b"file", b"a", b"").removesuffix(b"\r\n")
    end = b"\r\n" + END
    block = memoryview(bytes(1024 * 1024))
    with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
        connection.sendall(head_of(len(start + end) + size) + start)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < size:
                sent += connection.send(block[: size - sent])
        # What is on its way is in the buffers of the system: the server has stopped reading.
        assert sent < size / 2
        gate.opened.set()
        connection.settimeout(20)
        while sent < size:
            sent += connection.send(block[: size - sent])
        connection.sendall(end)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.endswith(f'["T","a",{size}]'.encode())
    assert gate.largest <= 256 * 1024
