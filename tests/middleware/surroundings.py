"""One application under many middleware stacks, and a server that keeps every message as it is.

What an application did and saw is in its `log`, so that order and context are compared with the messages.
"""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Annotated, Any

import anyio
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

Log = list[Any]
Next = Callable[[Request], Awaitable[Response]]
Stack = Callable[[Any, Log], None]

seen: contextvars.ContextVar[str] = contextvars.ContextVar("seen", default="nothing")


class Trouble(Exception):
    """What an endpoint raises and a handler takes."""


class Unhandled(Exception):
    """What no handler takes."""


def build(framework: ModuleType, add: Stack, log: Log) -> Any:
    """Return the application under a stack."""
    app = framework.FastAPI()

    async def opened() -> AsyncIterator[str]:
        log.append("open")
        try:
            yield "value"
        except Exception as error:
            log.append(f"opened saw {type(error).__name__}")
            raise
        finally:
            log.append("close")

    def opened_sync() -> Iterator[str]:
        log.append("open sync")
        yield "value"
        log.append("close sync")

    @app.get("/json")
    async def read_json() -> dict[str, str]:
        log.append(("json sees", seen.get()))
        seen.set("json")
        return {"message": "Hello, World!"}

    @app.get("/sync")
    def read_sync() -> dict[str, str]:
        log.append(("sync sees", seen.get()))
        seen.set("sync")
        return {"message": "Hello, thread!"}

    @app.get("/waits")
    async def waits() -> dict[str, str]:
        await asyncio.sleep(0)
        with anyio.fail_after(60):
            await anyio.sleep(0.001)
        async with asyncio.timeout(60):
            await asyncio.sleep(0.001)
        log.append(("waits sees", seen.get()))
        return {"message": "late"}

    @app.get("/scoped")
    async def scoped() -> dict[str, str]:
        with anyio.fail_after(60):
            await anyio.sleep(0.001)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep, 0.001)
            tasks.start_soon(asyncio.sleep, 0)
        return {"message": "scoped"}

    @app.get("/task")
    async def task() -> dict[str, Any]:
        current = asyncio.current_task()
        assert current is not None
        return {"name": current.get_name().rstrip("0123456789"), "type": type(current).__name__}

    @app.get("/cancels")
    async def cancels() -> dict[str, str]:
        current = asyncio.current_task()
        assert current is not None
        current.cancel()
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            current.uncancel()
            log.append("cancelled")
        return {"message": "went on"}

    @app.get("/plain", response_class=PlainTextResponse)
    async def plain() -> str:
        return "plain " * 200

    @app.get("/empty", status_code=204)
    async def empty() -> None:
        return None

    @app.get("/given")
    async def given() -> Response:
        return JSONResponse({"given": True}, status_code=201, headers={"x-given": "1", "vary": "Accept"})

    @app.get("/file")
    async def file() -> Response:
        return FileResponse(__file__)

    @app.get("/stream")
    async def stream() -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            for index in range(4):
                log.append(f"chunk {index}")
                yield b"%d" % index * 300

        return StreamingResponse(chunks(), background=BackgroundTask(log.append, "streamed"))

    @app.get("/slow-stream")
    async def slow_stream() -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            for index in range(3):
                await asyncio.sleep(0.001)
                yield b"%d" % index

        return StreamingResponse(chunks())

    @app.get("/broken-stream")
    async def broken_stream() -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"first"
            raise Unhandled("in the stream")

        return StreamingResponse(chunks())

    @app.get("/background")
    async def background(tasks: framework.BackgroundTasks) -> dict[str, str]:  # type: ignore[name-defined]
        async def later() -> None:
            await asyncio.sleep(0)
            log.append("background")

        tasks.add_task(later)
        tasks.add_task(log.append, "background in a thread")
        return {"message": "later"}

    @app.get("/broken-background")
    async def broken_background(tasks: framework.BackgroundTasks) -> dict[str, str]:  # type: ignore[name-defined]
        async def fail() -> None:
            raise Unhandled("in the background")

        tasks.add_task(fail)
        return {"message": "later"}

    @app.get("/opened")
    async def read_opened(value: Annotated[str, framework.Depends(opened)]) -> dict[str, str]:
        return {"value": value}

    @app.get("/opened-sync")
    def read_opened_sync(value: Annotated[str, framework.Depends(opened_sync)]) -> dict[str, str]:
        return {"value": value}

    @app.get("/opened-fails")
    async def read_opened_fails(value: Annotated[str, framework.Depends(opened)]) -> dict[str, str]:
        raise Unhandled(value)

    @app.post("/body")
    async def body(item: dict[str, int]) -> dict[str, int]:
        return item

    @app.post("/raw")
    async def raw(request: Request) -> Response:
        return Response(await request.body())

    @app.post("/raw-stream")
    async def raw_stream(request: Request) -> dict[str, Any]:
        return {"chunks": [chunk.decode() async for chunk in request.stream()]}

    @app.get("/disconnected")
    async def disconnected(request: Request) -> dict[str, bool]:
        return {"disconnected": await request.is_disconnected()}

    @app.get("/items/{number}")
    async def item(number: int) -> int:
        return number

    @app.get("/http-exception")
    async def http_exception() -> None:
        raise framework.HTTPException(418, "teapot", {"x-tea": "green"})

    @app.get("/trouble")
    async def trouble() -> None:
        raise Trouble("handled")

    @app.get("/unhandled")
    async def unhandled() -> None:
        raise Unhandled("not handled")

    @app.get("/caused")
    async def caused() -> None:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise Unhandled("second") from error

    @app.get("/in-context")
    async def in_context() -> None:
        try:
            raise KeyError("first")
        except KeyError:
            raise Unhandled("second")  # noqa: B904

    @app.websocket("/socket")
    async def socket(websocket: framework.WebSocket) -> None:  # type: ignore[name-defined]
        await websocket.accept()
        await websocket.send_text("hello")
        await websocket.close()

    @app.exception_handler(Trouble)
    async def handle(request: Request, error: Trouble) -> Response:
        log.append("handler")
        return JSONResponse({"trouble": str(error)}, status_code=409)

    add(app, log)
    return app


@dataclass(frozen=True)
class Asked:
    """One request."""

    path: str
    method: str = "GET"
    headers: tuple[tuple[bytes, bytes], ...] = ()
    chunks: tuple[bytes, ...] = ()
    type: str = "http"
    scheme: str = "http"

    def scope(self) -> dict[str, Any]:
        scope: dict[str, Any] = {
            "type": self.type,
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": self.scheme,
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"testserver"), *self.headers],
            "client": ("127.0.0.1", 50000),
            "server": ("testserver", 80),
        }
        return scope | ({"subprotocols": []} if self.type == "websocket" else {})


ORIGIN = (b"origin", b"https://example.com")
PATHS = """
/json /sync /waits /scoped /task /cancels /plain /empty /given /file /stream /slow-stream /broken-stream /background
/broken-background /opened /opened-sync /opened-fails /disconnected /items/3 /items/x /http-exception /trouble
/unhandled /caused /in-context /missing /json/
"""
REQUESTS = [
    *map(Asked, PATHS.split()),
    Asked("/json", "POST"),
    Asked("/json", headers=(ORIGIN,)),
    Asked("/json", headers=((b"origin", b"https://other.example"),)),
    Asked("/given", headers=(ORIGIN,)),
    Asked("/trouble", headers=(ORIGIN,)),
    Asked("/unhandled", headers=(ORIGIN,)),
    Asked("/json", "OPTIONS", headers=(ORIGIN, (b"access-control-request-method", b"GET"))),
    Asked("/json", "OPTIONS", headers=(ORIGIN,)),
    Asked("/plain", headers=((b"accept-encoding", b"gzip, br"), ORIGIN)),
    Asked("/stream", headers=((b"accept-encoding", b"gzip, br"), ORIGIN)),
    Asked("/json", headers=((b"accept-encoding", b"gzip"),)),
    Asked("/unhandled", headers=((b"accept-encoding", b"gzip"),)),
    Asked("/broken-stream", headers=((b"accept-encoding", b"gzip"),)),
    Asked("/json", scheme="https"),
    Asked("/body", "POST", ((b"content-type", b"application/json"),), (b'{"a": ', b"1}")),
    Asked("/body", "POST", ((b"content-type", b"application/json"),), (b'{"a": "x"}',)),
    Asked("/raw", "POST", (), (b"one", b"two")),
    Asked("/raw-stream", "POST", (), (b"one", b"two")),
    Asked("/raw", "POST"),
    Asked("/socket", type="websocket", scheme="ws"),
]


@dataclass
class Seen:
    """What a server gets, and what the application noted."""

    messages: list[Any] = field(default_factory=list)
    raised: Any = None
    log: Log = field(default_factory=list)
    scope: list[str] = field(default_factory=list)


def chain(error: BaseException | None) -> Any:
    """Return an exception with its causes and contexts, by type and text."""
    if error is None:
        return None
    cause = chain(error.__cause__)
    context = None if error.__suppress_context__ else chain(error.__context__)
    return (type(error).__name__, str(error), cause, context)


async def serve(app: Any, log: Log, asked: Asked, *, waits: bool) -> Seen:
    """Serve one request; `waits` makes the server's `receive` and `send` wait for the loop."""
    seen_now = Seen()
    incoming: list[Any] = [
        {"type": "http.request", "body": chunk, "more_body": index + 1 < len(asked.chunks)}
        for index, chunk in enumerate(asked.chunks or (b"",))
    ]
    if asked.type == "websocket":
        incoming = [{"type": "websocket.connect"}]
    gone = {"type": "websocket.disconnect", "code": 1001} if asked.type == "websocket" else {"type": "http.disconnect"}

    async def receive() -> Any:
        if waits:
            await asyncio.sleep(0)
        if not incoming and asked.type == "http":
            await asyncio.sleep(300)
        return incoming.pop(0) if incoming else gone

    async def send(message: Any) -> None:
        if waits:
            await asyncio.sleep(0)
        log.append(message["type"])
        seen_now.messages.append(
            {key: list(map(tuple, value)) if key == "headers" else value for key, value in message.items()}
        )

    scope = asked.scope()
    log.clear()
    try:
        async with asyncio.timeout(60):
            await app(scope, receive, send)
    except Exception as error:
        seen_now.raised = chain(error)
    seen_now.log = list(log)
    if asked.path.endswith("stream"):
        # Two tasks take turns: which of them is first at what is nobody's promise.
        seen_now.log = [event for event in log if not str(event).startswith("chunk")]
    # The exit stacks are there only where code with a request could reach them.
    hidden = {"fastapi_async_cleanup_scopes", "starlette.exception_handlers"}
    seen_now.scope = sorted(key for key in scope if not key.endswith("astack") and key not in hidden)
    return seen_now


# The stacks.


def marking(name: str) -> Stack:
    def add(app: Any, log: Log) -> None:
        @app.middleware("http")
        async def mark(request: Request, call_next: Next) -> Response:
            log.append(f"{name} in {seen.get()}")
            seen.set(name)
            response = await call_next(request)
            log.append(f"{name} out {seen.get()} {type(response).__name__} {response.status_code}")
            response.headers[f"x-{name}"] = "1"
            return response

    return add


def several(*stacks: Stack) -> Stack:
    def add(app: Any, log: Log) -> None:
        for each in stacks:
            each(app, log)

    return add


def function(make: Callable[[Log], Callable[[Request, Next], Awaitable[Response]]]) -> Stack:
    def add(app: Any, log: Log) -> None:
        app.middleware("http")(make(log))

    return add


def of(cls: Any, **options: Any) -> Stack:
    return lambda app, log: app.add_middleware(cls, **options)


class Timing(BaseHTTPMiddleware):
    """The commonest shape in the wild: a subclass with settings of its own."""

    def __init__(self, app: ASGIApp, name: str = "x-time") -> None:
        super().__init__(app)
        self.name = name

    async def dispatch(self, request: Request, call_next: Next) -> Response:
        response = await call_next(request)
        response.headers[self.name] = "0"
        return response


class Pure:
    """A middleware that is none of Starlette's."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sends(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-pure", b"1")]
            await send(message)

        await self.app(scope, receive, sends)


class Own(BaseHTTPMiddleware):
    """A subclass that is called in its own way."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


def reads_body(log: Log) -> Any:
    async def read(request: Request, call_next: Next) -> Response:
        log.append(await request.body())
        return await call_next(request)

    return read


def reads_stream(log: Log) -> Any:
    async def read(request: Request, call_next: Next) -> Response:
        async for chunk in request.stream():
            log.append(chunk)
        return await call_next(request)

    return read


def reads_part(log: Log) -> Any:
    async def read(request: Request, call_next: Next) -> Response:
        async for chunk in request.stream():
            log.append(chunk)
            break
        return await call_next(request)

    return read


def replaces(log: Log) -> Any:
    async def replace(request: Request, call_next: Next) -> Response:
        response = await call_next(request)
        chunks = [chunk async for chunk in response.body_iterator]  # type: ignore[attr-defined]
        log.append(chunks)
        return Response(b"".join(chunks)[:10], response.status_code, {"x-was": str(len(chunks))})

    return replace


def wraps(log: Log) -> Any:
    async def wrap(request: Request, call_next: Next) -> Response:
        response: Any = await call_next(request)
        inner = response.body_iterator

        async def louder() -> AsyncIterator[bytes]:
            async for chunk in inner:
                yield chunk if isinstance(chunk, dict) else chunk + b"!"

        response.body_iterator = louder()
        del response.headers["content-length"]
        response.background = BackgroundTask(log.append, "of the middleware")
        return response  # type: ignore[no-any-return]

    return wrap


def refuses(log: Log) -> Any:
    async def refuse(request: Request, call_next: Next) -> Response:
        return PlainTextResponse("no", status_code=403)

    return refuse


def drops(log: Log) -> Any:
    async def drop(request: Request, call_next: Next) -> Response:
        await call_next(request)
        log.append("dropped")
        return PlainTextResponse("another")

    return drop


def swallows(log: Log) -> Any:
    async def swallow(request: Request, call_next: Next) -> Response:
        try:
            return await call_next(request)
        except Exception as error:
            log.append(chain(error))
            return JSONResponse({"error": type(error).__name__}, status_code=500)

    return swallow


def retries(log: Log) -> Any:
    async def retry(request: Request, call_next: Next) -> Response:
        try:
            return await call_next(request)
        except Exception as error:
            log.append(chain(error))
            return await call_next(request)

    return retry


def calls_twice(log: Log) -> Any:
    async def twice(request: Request, call_next: Next) -> Response:
        await call_next(request)
        return await call_next(request)

    return twice


def fails_before(log: Log) -> Any:
    async def fail(request: Request, call_next: Next) -> Response:
        raise Unhandled("before")

    return fail


def fails_after(log: Log) -> Any:
    async def fail(request: Request, call_next: Next) -> Response:
        await call_next(request)
        raise Unhandled("after")

    return fail


def fails_in_context(log: Log) -> Any:
    async def fail(request: Request, call_next: Next) -> Response:
        try:
            await call_next(request)
            raise KeyError("own")
        except KeyError as error:
            raise Trouble("in the middleware") from error

    return fail


def waits(log: Log) -> Any:
    async def wait(request: Request, call_next: Next) -> Response:
        await asyncio.sleep(0.001)
        response = await call_next(request)
        await asyncio.sleep(0.001)
        return response

    return wait


def limits_time(log: Log) -> Any:
    async def limit(request: Request, call_next: Next) -> Response:
        with anyio.fail_after(60):
            response = await call_next(request)
        async with asyncio.timeout(60):
            await asyncio.sleep(0)
        return response

    return limit


def in_a_task(log: Log) -> Any:
    async def start(request: Request, call_next: Next) -> Response:
        return await asyncio.wait_for(asyncio.create_task(call_next(request)), 60)  # type: ignore[arg-type]

    return start


def returns_nothing(log: Log) -> Any:
    async def nothing(request: Request, call_next: Next) -> Response:
        await call_next(request)
        return None  # type: ignore[return-value]

    return nothing


CORS = of(CORSMiddleware, allow_origins=["https://example.com"], allow_methods=["*"])

STACKS: dict[str, Stack] = {
    "none": several(),
    "one": marking("one"),
    "three": several(marking("one"), marking("two"), marking("three")),
    "subclass": of(Timing, name="x-timing"),
    "subclass and function": several(of(Timing), marking("one")),
    "own call": several(marking("one"), of(Own), marking("two")),
    "pure outside": several(marking("one"), of(Pure)),
    "pure inside": several(of(Pure), marking("one")),
    "pure between": several(marking("one"), of(Pure), marking("two")),
    "cors": CORS,
    "cors all": of(CORSMiddleware, allow_origins=["*"], expose_headers=["X-A", "X-B"]),
    "cors credentials": of(CORSMiddleware, allow_origins=["*"], allow_credentials=True),
    "cors regex": of(CORSMiddleware, allow_origin_regex=r"https://.*\.com", allow_credentials=True),
    "cors twice": several(CORS, of(CORSMiddleware, allow_origins=["*"])),
    "cors outside": several(marking("one"), CORS),
    "cors inside": several(CORS, marking("one"), marking("two")),
    "gzip": of(GZipMiddleware, minimum_size=100),
    "gzip outside": several(marking("one"), of(GZipMiddleware, minimum_size=100)),
    "gzip inside": several(of(GZipMiddleware, minimum_size=100), marking("one")),
    "trusted": of(TrustedHostMiddleware, allowed_hosts=["testserver", "*.example.com"]),
    "not trusted": several(marking("one"), of(TrustedHostMiddleware, allowed_hosts=["www.testserver"])),
    "https": several(marking("one"), of(HTTPSRedirectMiddleware)),
    "all": several(
        marking("one"),
        CORS,
        of(GZipMiddleware, minimum_size=100),
        of(TrustedHostMiddleware, allowed_hosts=["testserver"]),
        marking("two"),
    ),
    **{
        made.__name__: function(made)
        for made in (
            reads_body,
            reads_stream,
            reads_part,
            replaces,
            wraps,
            refuses,
            drops,
            swallows,
            retries,
            calls_twice,
            fails_before,
            fails_after,
            fails_in_context,
            waits,
            limits_time,
            in_a_task,
            returns_nothing,
        )
    },
    **{
        f"{made.__name__} inside": several(function(made), marking("out"))
        for made in (reads_body, reads_stream, replaces, wraps, drops, fails_after, waits, limits_time)
    },
    **{
        f"{made.__name__} outside": several(marking("in"), function(made))
        for made in (reads_body, reads_stream, replaces, wraps, drops, swallows, fails_after, waits, limits_time)
    },
}
