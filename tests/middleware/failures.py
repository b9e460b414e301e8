"""An endpoint of any kind that fails at a drawn moment, and a server whose `receive` and `send` take turns.

One application serves many cases: what fails is read from `Case` when it is asked.
"""

import asyncio
import importlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import anyio.lowlevel
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Next = Callable[[Request], Awaitable[Response]]
FILE = Path(tempfile.mkdtemp()) / "file"
FILE.write_bytes(b"hello world\n" * 10)


class Trouble(Exception):
    """What a handler takes."""


class Unhandled(Exception):
    """What only the handler of `Exception` takes, where there is one."""


class Escaped(BaseException):
    """What no `except Exception` sees, like the outcomes of pytest."""


@dataclass(frozen=True)
class Case:
    """One request: what is asked, what fails when, and how the server takes part."""

    kind: str
    failure: str = "nothing"
    moment: str = "endpoint"
    stack: str = "one"
    is_post: bool = False
    spec_version: str = "2.3"
    chunks: int = 1
    """Messages of the request's body."""
    receive_turns: int = 0
    """Turns of the event loop that `receive` takes, and again when it is cancelled."""
    receive_fails: tuple[int, str] | None = None
    """The message, counted from 0, that raises instead, and what it raises."""
    send_turns: int = 0
    send_fails: tuple[int, str] | None = None


@dataclass
class Answer:
    """What a server saw."""

    messages: list[Any] = field(default_factory=list)
    raised: Any = None
    log: list[Any] = field(default_factory=list)
    is_over: bool = False


def described(error: BaseException | None, around: tuple[BaseException, ...] = ()) -> Any:
    """Return an exception with its causes and contexts, by type and text."""
    if error is None or error in around:
        return None if error is None else "again"
    around = (*around, error)
    # A scope of AnyIO is named by its address.
    text = "" if isinstance(error, asyncio.CancelledError) else str(error)
    parts = [described(each, around) for each in error.exceptions] if isinstance(error, BaseExceptionGroup) else []
    context = None if error.__suppress_context__ else described(error.__context__, around)
    return (type(error).__name__, text, parts, described(error.__cause__, around), context)


class World:
    """One application of one framework under one stack, and the case that it serves now."""

    def __init__(self, framework: str, stack: str) -> None:
        self.log: list[Any] = []
        self.case = Case("plain")
        self.framework = importlib.import_module(framework)
        self.app = _application(self, self.framework)
        for add in STACKS[stack]:
            add(self, self.app)

    async def meet(self, moment: str) -> None:
        """Fail if this is the moment."""
        case = self.case
        if case.moment != moment or case.failure == "nothing":
            return
        self.log.append(f"{case.failure} at {moment}")
        if case.failure == "cancels itself":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        elif case.failure == "awaits a cancelled task":
            task = asyncio.create_task(asyncio.sleep(5))
            await asyncio.sleep(0)
            task.cancel()
            await task
        elif case.failure == "is cancelled by a scope":
            with anyio.CancelScope() as around:
                around.cancel()
                await anyio.sleep(1)
            raise Unhandled("after a scope")
        else:
            self.meet_in_place(moment)

    def meet_in_place(self, moment: str) -> None:
        """Fail if this is the moment, in code that cannot wait."""
        case = self.case
        if case.moment != moment:
            return
        match case.failure:
            case "http exception":
                raise self.framework.HTTPException(403, "no", {"x-no": "1"})
            case "handled":
                raise Trouble("handled")
            case "unhandled":
                raise Unhandled("not handled")
            case "group":
                raise ExceptionGroup("several", [Unhandled("one"), Trouble("two")])
            case "cancelled":
                raise asyncio.CancelledError("cancelled")
            case "escaped":
                raise Escaped("escaped")


def _application(world: World, framework: ModuleType) -> Any:
    app = framework.FastAPI()
    meet, meet_in_place = world.meet, world.meet_in_place
    event_source = importlib.import_module(f"{framework.__name__}.sse").EventSourceResponse

    def background(tasks: Any) -> None:
        if world.case.moment == "background":
            tasks.add_task(meet, "background")
            tasks.add_task(world.log.append, "second task")

    @app.get("/plain")
    @app.post("/plain")
    async def plain(tasks: framework.BackgroundTasks) -> dict[str, str]:  # type: ignore[name-defined]
        background(tasks)
        await meet("endpoint")
        return {"a": "b"}

    @app.post("/body")
    async def body(item: dict[str, int]) -> dict[str, int]:
        await meet("endpoint")
        return item

    @app.get("/sync")
    def sync(tasks: framework.BackgroundTasks) -> dict[str, str]:  # type: ignore[name-defined]
        background(tasks)
        meet_in_place("endpoint")
        return {"a": "b"}

    @app.get("/response")
    async def response() -> Response:
        await meet("endpoint")
        return PlainTextResponse("text")

    async def pieces() -> AsyncIterator[bytes]:
        await meet("first")
        yield b"one"
        await meet("middle")
        yield b"two"
        await meet("last")

    def pieces_in_place() -> Iterator[bytes]:
        meet_in_place("first")
        yield b"one"
        meet_in_place("middle")
        yield b"two"
        meet_in_place("last")

    @app.get("/stream")
    async def stream() -> Response:
        await meet("endpoint")
        return StreamingResponse(pieces())

    @app.get("/slow-stream")
    async def slow_stream() -> Response:
        async def slow() -> AsyncIterator[bytes]:
            await asyncio.sleep(0)
            async for piece in pieces():
                yield piece
                await anyio.sleep(0)

        return StreamingResponse(slow(), headers={"x-slow": "1"})

    @app.get("/sync-stream")
    async def sync_stream() -> Response:
        return StreamingResponse(pieces_in_place())

    @app.get("/raw-stream", response_class=StreamingResponse)
    async def raw_stream() -> AsyncIterator[bytes]:
        async for piece in pieces():
            yield piece

    @app.get("/json-lines")
    async def json_lines() -> AsyncIterator[dict[str, int]]:
        async for piece in pieces():
            yield {"length": len(piece)}

    @app.get("/sse", response_class=event_source)
    async def sse() -> AsyncIterator[dict[str, int]]:
        async for piece in pieces():
            yield {"length": len(piece)}

    @app.get("/sync-sse", response_class=event_source)
    def sync_sse() -> Iterator[dict[str, int]]:
        for piece in pieces_in_place():
            yield {"length": len(piece)}

    @app.get("/file")
    async def file() -> Response:
        await meet("endpoint")
        return FileResponse(FILE)

    async def opened() -> AsyncIterator[str]:
        await meet("before yield")
        try:
            yield "value"
        except BaseException as error:
            world.log.append(f"opened saw {type(error).__name__}")
            raise
        finally:
            world.log.append("closed")
        await meet("after yield")

    @app.get("/opened")
    async def read_opened(value: str = framework.Depends(opened)) -> str:
        await meet("endpoint")
        return value

    async def grouped() -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            if world.case.moment == "child":
                group.start_soon(meet, "child")
            yield

    @app.get("/grouped")
    async def read_grouped(_: None = framework.Depends(grouped)) -> str:
        await meet("endpoint")
        return "grouped"

    @app.get("/reads")
    @app.post("/reads")
    async def reads(request: Request) -> dict[str, Any]:
        await meet("endpoint")
        try:
            received = (await request.body()).decode()
        except Exception as error:
            world.log.append(described(error))
            raise
        return {"body": received}

    @app.get("/asks")
    @app.post("/asks")
    async def asks(request: Request) -> list[str]:
        await meet("endpoint")
        kinds = []
        for _ in range(world.case.chunks):
            kinds.append((await request.receive())["type"])
        return kinds

    @app.exception_handler(Trouble)
    async def handle(request: Request, error: Trouble) -> Response:
        world.log.append("handler")
        return JSONResponse({"trouble": str(error)}, status_code=409)

    return app


class Server:
    """A server that gives and takes messages in its own time."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.answer = Answer()
        self.received = self.sent = 0
        self.is_answered = asyncio.Event()

    async def receive(self) -> Message:
        case, number = self.case, self.received
        self.received += 1
        for _ in range(case.receive_turns):
            await asyncio.sleep(0)
        if case.receive_fails is not None and case.receive_fails[0] == number:
            raise _error(case.receive_fails[1])
        if number < case.chunks:
            body = b'{"a": 1}' if number == 0 else b" "
            return {"type": "http.request", "body": body, "more_body": number + 1 < case.chunks}
        if case.receive_turns == 0:
            await self.is_answered.wait()
        else:
            # It takes turns until a cancellation is obeyed.
            await asyncio.wait_for(self.is_answered.wait(), 20)
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        case, number = self.case, self.sent
        self.sent += 1
        for _ in range(case.send_turns):
            await asyncio.sleep(0)
        if case.send_fails is not None and case.send_fails[0] == number:
            raise _error(case.send_fails[1])
        kept = dict(message)
        if "headers" in kept:
            kept["headers"] = sorted(
                tuple(map(bytes, pair)) for pair in kept["headers"] if pair[0] not in (b"etag", b"last-modified")
            )
        self.answer.messages.append(kept)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self.is_answered.set()


def _error(kind: str) -> BaseException:
    match kind:
        case "cancelled":
            return asyncio.CancelledError("of the server")
        case "gone":
            return OSError("gone")
        case "escaped":
            return Escaped("of the server")
        case _:
            return Unhandled("of the server")


async def _ask(world: World, case: Case) -> Answer:
    world.case = case
    world.log.clear()
    server = Server(case)
    path = f"/{case.kind}"
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": case.spec_version},
        "http_version": "1.1",
        "method": "POST" if case.is_post else "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"testserver"), (b"content-type", b"application/json"), (b"accept-encoding", b"gzip")],
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
    }
    task = asyncio.create_task(world.app(scope, server.receive, server.send))
    await asyncio.wait((task,), timeout=10)
    answer = server.answer
    answer.is_over = task.done()
    try:
        await asyncio.wait_for(task, 1)
    except BaseException as error:
        answer.raised = described(error)
    # What is left behind must have come to rest: nothing is raised, sent or called after the end.
    for _ in range(5):
        await asyncio.sleep(0)
    answer.log = list(world.log)
    return answer


def ask(framework: str, case: Case) -> Answer:
    """Serve one request in a loop of its own."""
    world = _world(framework, case.stack)
    return asyncio.run(_ask(world, case))


@cache
def _world(framework: str, stack: str) -> World:
    world = World(framework, stack)
    asyncio.run(_ask(world, Case("plain")))
    return world


# The stacks.

Add = Callable[[World, Any], None]


def marks(name: str) -> Add:
    def add(world: World, app: Any) -> None:
        @app.middleware("http")
        async def mark(request: Request, call_next: Next) -> Response:
            try:
                response = await call_next(request)
            except BaseException as error:
                world.log.append((name, described(error)))
                raise
            response.headers[f"x-{name}"] = "1"
            return response

    return add


def catches(world: World, app: Any) -> None:
    @app.middleware("http")
    async def catch(request: Request, call_next: Next) -> Response:
        try:
            return await call_next(request)
        except Exception as error:
            world.log.append(described(error))
            return JSONResponse({"caught": type(error).__name__}, 503)


def reads(world: World, app: Any) -> None:
    @app.middleware("http")
    async def read(request: Request, call_next: Next) -> Response:
        await request.body()
        return await call_next(request)


def joins(world: World, app: Any) -> None:
    @app.middleware("http")
    async def join(request: Request, call_next: Next) -> Response:
        response: Any = await call_next(request)
        content = b"".join([chunk async for chunk in response.body_iterator])
        return Response(content, response.status_code, {"x-joined": "1"})


def handles(world: World, app: Any) -> None:
    @app.exception_handler(Exception)
    async def handle(request: Request, error: Exception) -> Response:
        world.log.append(("any", described(error)))
        return JSONResponse({"error": type(error).__name__}, 500)


def limits(world: World, app: Any) -> None:
    @app.middleware("http")
    async def limit(request: Request, call_next: Next) -> Response:
        with anyio.fail_after(10):
            return await call_next(request)


class Pure:
    """A middleware that is none of Starlette's."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def receives() -> Message:
            return await receive()

        async def sends(message: Any) -> None:
            await send(message)

        await self.app(scope, receives, sends)


class Subclass(BaseHTTPMiddleware):
    """A middleware class with a method."""

    async def dispatch(self, request: Request, call_next: Next) -> Response:
        response = await call_next(request)
        response.headers["x-class"] = "1"
        return response


def of(name: str, **options: Any) -> Add:
    def add(world: World, app: Any) -> None:
        module, _, attribute = name.partition(":")
        app.add_middleware(getattr(importlib.import_module(module), attribute), **options)

    return add


def pure(world: World, app: Any) -> None:
    app.add_middleware(Pure)


def subclass(world: World, app: Any) -> None:
    app.add_middleware(Subclass)


GZIP = of("starlette.middleware.gzip:GZipMiddleware", minimum_size=1)
CORS = of("starlette.middleware.cors:CORSMiddleware", allow_origins=["*"])

STACKS: dict[str, tuple[Add, ...]] = {
    "none": (),
    "one": (marks("one"),),
    "two": (marks("one"), marks("two")),
    "class": (subclass,),
    "catches": (catches,),
    "catches outside": (marks("one"), catches),
    "reads": (reads,),
    "joins": (joins,),
    "limits": (limits,),
    "handles": (handles, marks("one")),
    "handles two": (handles, marks("one"), subclass),
    "pure inside": (pure, marks("one")),
    "pure between": (marks("one"), pure, marks("two")),
    "gzip inside": (GZIP, marks("one")),
    "gzip outside": (marks("one"), GZIP),
    "cors": (CORS, marks("one")),
}
