"""An endpoint of any kind that fails at a drawn moment, and a server whose `receive` and `send` take turns.

One application serves many cases: what fails is read from `Case` when it is asked.
"""

import asyncio
import gc
import importlib
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import anyio.lowlevel
from layers import LAYERS
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

FILE = Path(tempfile.mkdtemp()) / "file"
FILE.write_bytes(b"hello world\n" * 10)
PATIENCE = 0.02
"""Seconds that an endpoint waits when nobody ends that."""

WARMING = 4
"""Requests after which calls in worker threads are known to be short."""

PATIENCE_OF_SERVER = 4
"""Seconds that a server waits for an answer, which comes within milliseconds unless it waits for the server."""


class Trouble(Exception):
    """What a handler takes."""


class Streamed(Exception):
    """What a handler answers with a stream."""


class Unhandled(Exception):
    """What only the handler of `Exception` takes, where there is one."""


class Escaped(BaseException):
    """What no `except Exception` sees, like the outcomes of pytest."""


def add_functions(app: Any, seen: list[Any], count: int) -> None:
    """Put so many middleware functions around an application, which note what is raised through them."""

    async def pass_on(request: Any, call_next: Any) -> Any:
        try:
            return await call_next(request)
        except BaseException as error:
            seen.append(("function", repr(error)))
            raise

    for _ in range(count):
        app.middleware("http")(pass_on)


@dataclass(frozen=True)
class Case:
    """One request: what is asked, what fails when, and how the server takes part."""

    kind: str
    failure: str = "nothing"
    moment: str = "endpoint"
    stack: tuple[str, ...] = ("one",)
    """Names of `LAYERS`, innermost first."""
    is_post: bool = False
    spec_version: str = "2.3"
    chunks: int = 1
    """Messages of the request's body."""
    receive_turns: int = 0
    """Turns of the event loop that `receive` takes, and again when it is cancelled."""
    receive_fails: tuple[int, str] | None = None
    """The message, counted from 0, instead of which something is raised, and what."""
    send_turns: int = 0
    send_fails: tuple[int, str] | None = None
    ended_by: str = "nobody"
    """Who ends an endpoint that waits: the middleware, the server, which cancels the request, or the client."""
    is_warm: bool = False
    """Whether requests before this one have left a worker thread, and their calls there were short."""


@dataclass
class Answer:
    """What a server saw."""

    messages: list[Any] = field(default_factory=list)
    raised: Any = None
    log: list[Any] = field(default_factory=list)
    is_over: bool = False


def described(error: BaseException | None, around: tuple[BaseException, ...] = ()) -> Any:
    """Return an exception with its causes and contexts, by type and text."""
    # `WouldBlock` is how AnyIO's streams say to themselves that they have to wait.
    if error is None or isinstance(error, anyio.WouldBlock):
        return None
    while isinstance(error, asyncio.CancelledError) and isinstance(error.__context__, asyncio.CancelledError):
        # A scope cancels until that is obeyed: how often depends on the turns of the event loop.
        error = error.__context__
    if error in around:
        return "again"
    around = (*around, error)
    # A scope of AnyIO is named by its address.
    text = "" if isinstance(error, asyncio.CancelledError) else str(error)
    parts = [described(each, around) for each in error.exceptions] if isinstance(error, BaseExceptionGroup) else []
    context = None if error.__suppress_context__ else described(error.__context__, around)
    return (type(error).__name__, text, parts, described(error.__cause__, around), context)


class World:
    """One application of one framework, the stack that it is under, and the case that it serves now."""

    def __init__(self, framework: str) -> None:
        self.log: list[Any] = []
        self.ends: list[Callable[[], Any]] = []
        self.case = Case("plain")
        self.framework = importlib.import_module(framework)
        self.app = _application(self, self.framework)
        self._stack: tuple[str, ...] | None = None

    def put_under(self, stack: tuple[str, ...]) -> None:
        """Put the application under a stack of middleware: its routes, which take the time, stay."""
        if stack == self._stack:
            return
        self.app.user_middleware.clear()
        self.app.exception_handlers.pop(Exception, None)
        self.app.middleware_stack = None
        for name in stack:
            LAYERS[name](self, self.app)
        self.app.middleware_stack = self.app.build_middleware_stack()
        self._stack = stack

    describe = staticmethod(described)

    async def meet(self, moment: str) -> None:
        """Fail if this is the moment."""
        case = self.case
        if case.moment != moment or case.failure == "nothing":
            return
        self.log.append(f"{case.failure} at {moment}")
        task = asyncio.current_task()
        assert task is not None
        match case.failure:
            case "cancels itself":
                task.cancel()
            case "cancels itself and waits":
                task.cancel()
                await asyncio.sleep(0)
            case "awaits a cancelled task":
                other = asyncio.create_task(asyncio.sleep(5))
                await asyncio.sleep(0)
                other.cancel()
                await other
            case "is cancelled by a scope":
                with anyio.CancelScope() as around:
                    around.cancel()
                    await anyio.sleep(1)
                raise Unhandled("after a scope")
            case "moves on":
                with anyio.CancelScope() as around:
                    around.cancel()
                    await anyio.sleep(1)
            case "times out":
                async with asyncio.timeout(0):
                    await asyncio.sleep(1)
            case "task group":
                async with anyio.create_task_group() as group:
                    group.start_soon(_fail)
                    await anyio.sleep(1)
            case "asyncio task group":
                async with asyncio.TaskGroup() as others:
                    others.create_task(_fail())
                    await asyncio.sleep(1)
            case "ends the middleware":
                if self.ends:
                    self.ends[-1]()
            case "waits":
                await self.wait()
            case _:
                self.meet_in_place(moment)

    async def wait(self) -> None:
        """Wait until somebody ends it, or for `PATIENCE`."""
        ends = self.ends if self.case.ended_by == "middleware" else self.ends[:1]
        if self.case.ended_by != "nobody" and ends:
            asyncio.get_running_loop().call_soon(ends[-1])
        try:
            await asyncio.sleep(PATIENCE)
        except asyncio.CancelledError:
            self.log.append("cancelled while it waited")
            raise

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
            case "generator exit":
                raise GeneratorExit("left")
            case "stop":
                raise StopIteration("stopped")
            case "async stop":
                raise StopAsyncIteration("stopped")


async def _fail() -> None:
    raise Unhandled("in a task")


IN_PLACE = (
    *("http exception", "handled", "unhandled", "group", "cancelled", "escaped"),
    *("generator exit", "stop", "async stop"),
)
"""Failures of any code."""
FAILURES = (
    *IN_PLACE,
    *("cancels itself", "cancels itself and waits", "awaits a cancelled task"),
    *("is cancelled by a scope", "moves on", "times out", "task group", "asyncio task group", "waits"),
    "ends the middleware",
)
"""Failures of code that can wait."""

STREAMED = ("first", "middle", "last")
OPENED = ("before yield", "after yield")
MOMENTS = {
    "plain": ("endpoint", "background"),
    "body": ("endpoint",),
    "sync": ("endpoint in place", "background", "background in place"),
    "threads": tuple(f"{moment} in place" for moment in ("before yield", "dependency", "endpoint", "after yield")),
    "response": ("endpoint",),
    "stream": ("endpoint", *STREAMED),
    "slow-stream": ("endpoint", *STREAMED),
    "sync-stream": tuple(f"{moment} in place" for moment in STREAMED),
    "handled-stream": STREAMED,
    "mounted-stream": STREAMED,
    "added-stream": ("endpoint", *STREAMED),
    "class-stream": ("endpoint", *STREAMED),
    "raw-stream": STREAMED,
    "json-lines": STREAMED,
    "sse": STREAMED,
    "sync-sse": tuple(f"{moment} in place" for moment in STREAMED),
    "file": ("endpoint",),
    "opened": ("endpoint", *OPENED),
    "opened-function": ("endpoint", *OPENED),
    "opened-sync": ("endpoint", *(f"{moment} in place" for moment in OPENED)),
    "opened-stream": ("endpoint", *OPENED, *STREAMED),
    "opened-sync-endpoint": ("endpoint in place", *OPENED),
    "swallowed": ("endpoint", *OPENED),
    "replaced": ("endpoint", *OPENED),
    "grouped": ("endpoint", "child"),
    "reads": ("endpoint",),
    "asks": ("endpoint",),
    "invalid": ("endpoint",),
}
"""What can be asked for, and when it can fail."""
STREAMS = tuple(kind for kind, moments in MOMENTS.items() if "stream" in kind or STREAMED[0] in str(moments))


def _application(world: World, framework: ModuleType) -> Any:
    app = framework.FastAPI()
    depends = framework.Depends
    meet = world.meet
    event_source = importlib.import_module(f"{framework.__name__}.sse").EventSourceResponse

    def meet_in_place(moment: str) -> None:
        world.meet_in_place(f"{moment} in place")

    def background(tasks: Any) -> None:
        if world.case.moment.startswith("background"):
            tasks.add_task(meet if world.case.moment == "background" else meet_in_place, "background")
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
    @app.post("/sync")
    def sync(tasks: framework.BackgroundTasks) -> dict[str, str]:  # type: ignore[name-defined]
        background(tasks)
        meet_in_place("endpoint")
        return {"a": "b"}

    @app.get("/response")
    @app.post("/response")
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
    @app.post("/stream")
    async def stream() -> Response:
        await meet("endpoint")
        return StreamingResponse(pieces())

    @app.get("/slow-stream")
    @app.post("/slow-stream")
    async def slow_stream() -> Response:
        async def slow() -> AsyncIterator[bytes]:
            await asyncio.sleep(0)
            async for piece in pieces():
                yield piece
                await anyio.sleep(0)

        await meet("endpoint")
        return StreamingResponse(slow(), headers={"x-slow": "1"})

    @app.get("/handled-stream")
    @app.post("/handled-stream")
    async def handled_stream() -> None:
        raise Streamed

    @app.exception_handler(Streamed)
    async def answer_with_stream(request: Request, error: Streamed) -> Response:
        return StreamingResponse(pieces())

    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        await StreamingResponse(pieces())(scope, receive, send)

    app.mount("/mounted-stream", mounted)

    async def added(request: Request) -> Response:
        await meet("endpoint")
        return StreamingResponse(pieces())

    app.add_route("/added-stream", added, methods=["GET", "POST"])

    class Handled(framework.routing.APIRoute):  # type: ignore[misc, name-defined]
        def get_route_handler(self) -> Any:
            handler = super().get_route_handler()

            async def handle(request: Request) -> Any:
                return await handler(request)

            return handle

    own = framework.APIRouter(route_class=Handled)

    @own.get("/class-stream")
    @own.post("/class-stream")
    async def class_stream() -> Response:
        await meet("endpoint")
        return StreamingResponse(pieces())

    app.include_router(own)

    @app.get("/sync-stream")
    @app.post("/sync-stream")
    async def sync_stream() -> Response:
        return StreamingResponse(pieces_in_place())

    @app.get("/raw-stream", response_class=StreamingResponse)
    @app.post("/raw-stream", response_class=StreamingResponse)
    async def raw_stream() -> AsyncIterator[bytes]:
        async for piece in pieces():
            yield piece

    @app.get("/json-lines")
    @app.post("/json-lines")
    async def json_lines() -> AsyncIterator[dict[str, int]]:
        async for piece in pieces():
            yield {"length": len(piece)}

    @app.get("/sse", response_class=event_source)
    @app.post("/sse", response_class=event_source)
    async def sse() -> AsyncIterator[dict[str, int]]:
        async for piece in pieces():
            yield {"length": len(piece)}

    @app.get("/sync-sse", response_class=event_source)
    @app.post("/sync-sse", response_class=event_source)
    def sync_sse() -> Iterator[dict[str, int]]:
        for piece in pieces_in_place():
            yield {"length": len(piece)}

    @app.get("/file")
    @app.post("/file")
    async def file() -> Response:
        await meet("endpoint")
        return FileResponse(FILE)

    def note(error: BaseException) -> None:
        world.log.append(("opened saw", described(error)))

    async def opened() -> AsyncIterator[str]:
        await meet("before yield")
        try:
            yield "value"
        except BaseException as error:
            note(error)
            raise
        finally:
            world.log.append("closed")
        await meet("after yield")

    def opened_sync() -> Iterator[str]:
        meet_in_place("before yield")
        try:
            yield "value"
        except GeneratorExit:
            # Nobody has closed it, so that it is collected at some time.
            raise
        except BaseException as error:
            note(error)
            raise
        world.log.append("closed")
        meet_in_place("after yield")

    async def swallows() -> AsyncIterator[str]:
        await meet("before yield")
        try:
            yield "value"
        except BaseException as error:
            note(error)
        await meet("after yield")

    async def replaces() -> AsyncIterator[str]:
        await meet("before yield")
        try:
            yield "value"
        except BaseException as error:
            note(error)
            raise framework.HTTPException(410, "replaced")  # noqa: B904
        await meet("after yield")

    def sync_dependency() -> str:
        meet_in_place("dependency")
        return "dependency"

    @app.get("/threads")
    @app.post("/threads")
    def threads(value: str = depends(opened_sync), another: str = depends(sync_dependency)) -> str:
        meet_in_place("endpoint")
        return value + another

    def add(path: str, dependency: Any, **options: Any) -> None:
        @app.get(path)
        @app.post(path)
        async def endpoint(value: str = depends(dependency, **options)) -> str:
            await meet("endpoint")
            return value

    add("/opened", opened)
    add("/opened-function", opened, scope="function")
    add("/opened-sync", opened_sync)
    add("/swallowed", swallows)
    add("/replaced", replaces)

    @app.get("/opened-stream")
    @app.post("/opened-stream")
    async def opened_stream(value: str = depends(opened)) -> Response:
        await meet("endpoint")
        return StreamingResponse(pieces())

    @app.get("/opened-sync-endpoint")
    @app.post("/opened-sync-endpoint")
    def opened_sync_endpoint(value: str = depends(opened)) -> str:
        meet_in_place("endpoint")
        return value

    async def grouped() -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            if world.case.moment == "child":
                group.start_soon(meet, "child")
            yield

    @app.get("/grouped")
    @app.post("/grouped")
    async def read_grouped(_: None = depends(grouped)) -> str:
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

    @app.get("/invalid")
    @app.post("/invalid")
    async def invalid(number: int) -> int:
        return number

    @app.exception_handler(Trouble)
    async def handle(request: Request, error: Trouble) -> Response:
        world.log.append(("handler", described(error)))
        return JSONResponse({"trouble": str(error)}, status_code=409)

    return app


class Server:
    """A server that gives and takes messages in its own time."""

    def __init__(self, world: World, case: Case) -> None:
        self.case = case
        self.log = world.log
        self.answer = Answer()
        self.received = self.sent = 0
        self.is_answered = asyncio.Event()

    async def receive(self) -> Message:
        case, number = self.case, self.received
        self.received += 1
        for _ in range(case.receive_turns):
            await asyncio.sleep(0)
        if number >= case.chunks:
            if case.receive_turns == 0:
                await self.is_answered.wait()
            else:
                # It takes turns until a cancellation is obeyed.
                await asyncio.wait_for(self.is_answered.wait(), PATIENCE_OF_SERVER)
        if case.receive_fails is not None and case.receive_fails[0] == number:
            raise server_error(case.receive_fails[1])
        if number >= case.chunks:
            return {"type": "http.disconnect"}
        body = b'{"a": 1}' if number == 0 else b" "
        return {"type": "http.request", "body": body, "more_body": number + 1 < case.chunks}

    async def send(self, message: Message) -> None:
        case, number = self.case, self.sent
        self.sent += 1
        for _ in range(case.send_turns):
            await asyncio.sleep(0)
        if case.send_fails is not None and case.send_fails[0] == number:
            raise server_error(case.send_fails[1])
        kept = dict(message)
        if "headers" in kept:
            kept["headers"] = sorted(
                tuple(map(bytes, pair)) for pair in kept["headers"] if pair[0] not in (b"etag", b"last-modified")
            )
        self.answer.messages.append(kept)
        if message["type"] == "http.response.start":
            self.log.append("started")
        elif message["type"] == "http.response.body" and not message.get("more_body"):
            self.log.append("sent")
            self.is_answered.set()


def server_error(kind: str) -> BaseException:
    """Return what a server raises."""
    match kind:
        case "cancelled":
            return asyncio.CancelledError("of the server")
        case "gone":
            return OSError("gone")
        case "escaped":
            return Escaped("of the server")
        case "async stop":
            return StopAsyncIteration("of the server")
        case _:
            return Unhandled("of the server")


async def _ask(world: World, case: Case) -> Answer:
    for _ in range(WARMING if case.is_warm else 0):
        await _serve(world, Case(case.kind, stack=case.stack, is_post=case.is_post))
    return await _serve(world, case)


async def _serve(world: World, case: Case) -> Answer:
    world.case = case
    world.log.clear()
    server = Server(world, case)
    # A mount without the slash is a redirect to the one with it.
    path = f"/{case.kind}/" if case.kind == "mounted-stream" else f"/{case.kind}"
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
    world.ends[:] = {"server": [task.cancel], "client": [server.is_answered.set]}.get(case.ended_by, [])
    await asyncio.wait((task,), timeout=2 * PATIENCE_OF_SERVER)
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
    world = _world(framework)
    world.put_under(case.stack)
    with uncollected() if case.failure == "generator exit" else nullcontext():
        return asyncio.run(_ask(world, case))


@contextmanager
def uncollected() -> Iterator[None]:
    """Let nothing be said of coroutines that are dropped where they wait: those that ignore a `GeneratorExit` are."""
    before, sys.unraisablehook = sys.unraisablehook, lambda _: None
    # What is there already is not looked at: that takes half a second in a whole run of tests.
    gc.freeze()
    try:
        yield
        gc.collect()
    finally:
        gc.unfreeze()
        sys.unraisablehook = before


@cache
def _world(framework: str) -> World:
    return World(framework)
