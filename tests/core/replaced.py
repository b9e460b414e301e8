"""A service that makes use of every part of the engine, and what it does while a name is replaced."""

import asyncio
import builtins
import datetime
import importlib
import inspect
import json
import warnings
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Annotated, Any, Literal
from unittest import mock

from pydantic import BaseModel, Field, Json
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, StreamingResponse

from .asgi import ask, http_scope, websocket_scope

Moment = Literal["before", "after"]


class Item(BaseModel):
    name: str
    at: datetime.datetime = datetime.datetime(2024, 1, 2)


class Page(BaseModel):
    size: int = 10


class Known(BaseModel):
    x_token: str = ""
    words: list[str] = []
    model_config = {"extra": "allow"}


class Cat(BaseModel):
    lives: int = Field(alias="nine")


class Dog(BaseModel):
    bones: list[str] = []


def _first_part(path: str) -> str:
    """Return the first part of a path, or of the label of a request."""
    return path.split("/")[1].partition(" ")[0]


def _declare_only(router: Any, labels: Collection[str]) -> None:
    """Let a router take no path operations but those that some requests are for."""
    wanted, add = {_first_part(label) for label in labels}, router.add_api_route

    def add_wanted(path: str, *args: Any, **options: Any) -> None:
        if _first_part(path) in wanted:
            add(path, *args, **options)

    router.add_api_route = add_wanted


def service(f: Any, labels: Collection[str] | None = None) -> Any:
    """Return an application of FastAPI or ferroapi, by its package: all of it, or what these requests are for."""
    fields, security, sse = (importlib.import_module(f"{f.__name__}.{name}") for name in ("params", "security", "sse"))
    app = f.FastAPI(openapi_url=None)
    if labels is not None:
        _declare_only(app.router, labels)
    router = f.APIRouter(prefix="/included")

    # Functions of this application: FastAPI remembers what kind of callable each is.
    def plainly(size: int = 1) -> int:
        return size

    def held() -> Iterator[str]:
        yield "held"

    async def held_async(token: int = 0) -> AsyncIterator[int]:
        yield token

    @app.get("/json")
    async def data() -> Any:
        return {"at": datetime.datetime(2024, 1, 2), "items": [Item(name="a"), 1.5, None]}

    @app.get("/model/{number}")
    async def model(number: int, page: Annotated[Page, f.Query()], agent: Annotated[str, f.Header()] = "") -> Item:
        return Item(name=f"{number} {page.size} {agent}")

    @app.get("/sync/{number}")
    def sync(
        number: int,
        plain: Annotated[int, f.Depends(plainly)],
        generator: Annotated[str, f.Depends(held)],
        asynchronous: Annotated[int, f.Depends(held_async)],
    ) -> list[Any]:
        return [number, plain, generator, asynchronous]

    @app.get("/untyped")
    def untyped(response: f.Response, tasks: f.BackgroundTasks) -> Any:
        response.headers["x-added"] = "1"
        tasks.add_task(plainly)
        return [1]

    @app.post("/body", status_code=201)
    async def body(item: Item, cookie: Annotated[str, f.Cookie()] = "") -> dict[str, Any]:
        return {"item": item, "cookie": cookie}

    @app.post("/form")
    async def form(word: Annotated[str, f.Form()], words: Annotated[list[str], f.Form()] = []) -> list[str]:  # noqa: B006
        return [word, *words]

    @app.post("/file")
    async def file(upload: f.UploadFile) -> int:
        return len(await upload.read())

    @app.post("/bytes")
    async def contents(
        content: Annotated[bytes, f.File()],
        others: Annotated[list[bytes], f.File()] = [],  # noqa: B006
        word: str = f.Form(""),
    ) -> list[int]:
        return [len(content), *map(len, others), len(word)]

    @app.post("/form-model")
    async def form_model(given: Annotated[Known | None, f.Form()] = None) -> Any:
        return given

    @app.post("/form-union")
    async def form_union(given: Annotated[Cat | Dog, f.Form()], size: Annotated[int, f.Form()] = 1) -> Any:
        return [given, size]

    @app.post("/embedded")
    async def embedded(item: Annotated[Item, f.Body(embed=True)], flag: Annotated[bool, f.Body()] = False) -> Any:
        return [item, flag]

    @app.get("/headers")
    async def headers(known: Annotated[Known, f.Header()], cookies: Annotated[Known | None, f.Cookie()] = None) -> Any:
        return [len(known.words), known.x_token, cookies]

    @app.get("/lists")
    async def lists(
        words: Annotated[list[str], f.Query()],
        data: Annotated[Json[list[int]], f.Query()] = None,  # type: ignore[assignment]
    ) -> Any:
        return [words, data]

    @app.get("/text", response_class=PlainTextResponse)
    async def text() -> str:
        return "text"

    @app.get("/html", response_class=HTMLResponse)
    async def html() -> str:
        return "<p>"

    @app.get("/class", response_class=JSONResponse)
    async def chosen() -> Item:
        return Item(name="chosen")

    @app.get("/given")
    async def given() -> Any:
        return JSONResponse({"given": 1})

    @app.get("/redirect")
    async def redirect() -> Any:
        return RedirectResponse("/json")

    @app.get("/stream")
    async def stream() -> Any:
        return StreamingResponse(iter(["a", "b"]), media_type="text/plain")

    @app.get("/lines")
    async def lines() -> AsyncIterator[Item]:
        yield Item(name="line")

    @app.get("/untyped-lines")
    def untyped_lines() -> Iterator[Any]:
        yield {"at": datetime.datetime(2024, 1, 2)}

    @app.get("/events", response_class=sse.EventSourceResponse)
    async def events() -> AsyncIterator[Any]:
        yield sse.ServerSentEvent(data={"at": datetime.datetime(2024, 1, 2)})
        yield Item(name="event")

    @app.get("/sync-events", response_class=sse.EventSourceResponse)
    def sync_events() -> Iterator[Item]:
        yield Item(name="event")

    @app.get("/raw", response_class=StreamingResponse)
    async def raw() -> AsyncIterator[str]:
        yield "raw"

    @app.get("/key")
    async def key(value: Annotated[str, f.Depends(security.APIKeyHeader(name="x-key"))]) -> str:
        return value

    @app.get("/bearer")
    async def bearer(value: Annotated[Any, f.Depends(security.HTTPBearer())]) -> Any:
        return value.credentials

    @app.get("/basic")
    async def basic(value: Annotated[Any, f.Depends(security.HTTPBasic())]) -> Any:
        return value.username

    @app.get("/token")
    async def token(value: Annotated[Any, f.Security(security.OAuth2PasswordBearer("t"), scopes=["a"])]) -> Any:
        return value

    @app.get("/scopes")
    async def scopes(scopes: security.SecurityScopes, request: f.Request) -> Any:
        return [scopes.scopes, request.url.path]

    @app.get("/refused")
    async def refused() -> None:
        raise f.HTTPException(418, {"why": [datetime.date(2024, 1, 2).isoformat()]})

    @app.get("/plainly-refused")
    def plainly_refused() -> None:
        raise f.HTTPException(404, "not here", headers={"x-why": "1"})

    @app.get("/invalid")
    def invalid() -> Item:
        return {"nothing": 1}  # type: ignore[return-value]

    @app.get("/default")
    async def default(fields: Annotated[list[int], fields.Query(default_factory=lambda: [1])]) -> Any:
        return fields

    @app.websocket("/socket/{number}")
    async def socket(websocket: f.WebSocket, number: int, plain: Annotated[int, f.Depends(plainly)]) -> None:
        await websocket.accept()
        await websocket.send_json([number, plain])
        await websocket.close()

    @router.get("/{number}")
    async def included(number: int) -> dict[str, int]:
        return {"number": number}

    app.include_router(router, prefix="/outer")
    app.add_route("/plain", lambda request: PlainTextResponse("plain"))
    mounted = f.FastAPI(openapi_url=None)
    mounted.add_api_route("/word", plainly)
    app.mount("/mounted", mounted)
    if labels is not None:
        del app.router.add_api_route
    return app


def overridden(f: Any) -> Any:
    """Return the service with overrides that are run by other parts of the engine than what they stand in for."""
    app = service(f)
    names = {route.dependant.call.__name__: route.dependant for route in app.routes if hasattr(route, "dependant")}
    plain, generator, asynchronous = (each.call for each in names["sync"].dependencies)

    async def instead() -> int:
        return 7

    def instead_of_generator() -> str:
        return "overridden"

    def instead_of_asynchronous(token: int = 5) -> Iterator[int]:
        yield token

    app.dependency_overrides.update(
        {plain: instead, generator: instead_of_generator, asynchronous: instead_of_asynchronous}
    )
    return app


def layered(f: Any) -> Any:
    """Return an application with every kind of middleware that the engine runs itself."""
    app = f.FastAPI(openapi_url=None)

    @app.get("/json")
    async def data() -> Any:
        return {"text": "x" * 1000}

    app.add_middleware(GZipMiddleware, minimum_size=100)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["testserver"])
    app.add_middleware(CORSMiddleware, allow_origins=["http://here"])

    @app.middleware("http")
    async def pass_on(request: Any, call_next: Callable[[Any], Any]) -> Any:
        response = await call_next(request)
        response.headers["x-passed"] = "1"
        return response

    return app


PATHS = """
/json /sync/3 /sync/x /untyped /text /html /class /given /redirect /stream /lines /untyped-lines /events
/sync-events /raw /key /bearer /basic /token /scopes /refused /plainly-refused /invalid /default /outer/included/5
/outer/included/x /plain /mounted/word /nothing /json/ /model/x /lists
"""


def _scopes() -> Iterator[tuple[str, dict[str, Any], bytes]]:
    host = (b"host", b"testserver")
    for path in PATHS.split():
        yield path, http_scope(path, headers=[host]), b""
    given = [host, (b"user-agent", b"b"), (b"agent", b"a"), (b"cookie", b"cookie=c"), (b"origin", b"http://here")]
    yield "/json by a browser", http_scope("/json", headers=[*given, (b"accept-encoding", b"gzip")]), b""
    yield "/model", http_scope("/model/3", query=b"size=4", headers=given), b""
    yield "/model size=x", http_scope("/model/3", query=b"size=x", headers=given), b""
    yield "/key given", http_scope("/key", headers=[(b"x-key", b"k")]), b""
    for scheme, value in (("bearer", b"Bearer b"), ("token", b"Bearer t"), ("basic", b"Basic dTpw")):
        yield f"/{scheme} given", http_scope(f"/{scheme}", headers=[(b"authorization", value)]), b""
    is_json = (b"content-type", b"application/json")
    for content in (b'{"name": "n"}', b'{"nam": "n"}', b"{"):
        yield f"/body {content.decode()}", http_scope("/body", "POST", headers=[*given, is_json]), content
    form = (b"content-type", b"application/x-www-form-urlencoded")
    several = [*given, (b"words", b"a"), (b"words", b"b"), (b"x-token", b"t")]
    yield "/headers", http_scope("/headers", headers=several), b""
    yield "/lists given", http_scope("/lists", query=b"words=a&words=b&data=[1]"), b""
    for content in (b'{"item": {"name": "n"}}', b"[]"):
        yield f"/embedded {content.decode()}", http_scope("/embedded", "POST", headers=[is_json]), content
    yield "/form", http_scope("/form", "POST", headers=[form]), b"word=a&words=b&words=c"
    for path, content in (("model", b"x_token=a&words=b&words=c&other=d"), ("model", b""), ("union", b"nine=9&size=2")):
        scope = http_scope(f"/form-{path}", "POST", headers=[form])
        yield f"/form-{path} {content.decode()}", scope, content
    yield "/form empty", http_scope("/form", "POST", headers=[form]), b""
    parts = (b"content-type", b"multipart/form-data; boundary=b")
    content = b'--b\r\ncontent-disposition: form-data; name="upload"; filename="a"\r\n\r\nabc\r\n--b--\r\n'
    named = b'--b\r\ncontent-disposition: form-data; name="%s"; filename="%s"\r\n\r\n%s\r\n'
    files = [(b"content", b"a", b"1"), (b"others", b"b", b"22"), (b"others", b"", b""), (b"others", b"c", b"333")]
    yield (
        "/bytes",
        http_scope("/bytes", "POST", headers=[parts]),
        b"".join(named % each for each in files) + b"--b--\r\n",
    )
    yield "/file", http_scope("/file", "POST", headers=[parts]), content
    yield "/refused POST", http_scope("/json", "POST"), b""
    yield "/socket", websocket_scope("/socket/3"), b""
    yield "/socket x", websocket_scope("/socket/x"), b""


REQUESTS = list(_scopes())


class Notes:
    """What is called while one request after the other is served."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def note(self, *args: Any, **keywords: Any) -> None:
        """Note a call, and how it is given its arguments."""
        self.calls.append((len(args), sorted(keywords)))


def replacement(original: Any, notes: Notes) -> Any:
    """Return what does the same as the original and notes each call, or another value."""
    if original is None or isinstance(original, str):
        return "latin-1" if original == "utf-8" else "text/other"
    if original is json.encoder.c_make_encoder:  # type: ignore[attr-defined]
        return None
    if isinstance(original, json.JSONDecoder):
        decoder: Any = json.JSONDecoder()
        decoder.decode = replacement(original.decode, notes)
        return decoder
    if isinstance(original, staticmethod | classmethod):
        return type(original)(replacement(original.__func__, notes))
    if isinstance(original, property):
        return property(replacement(original.fget, notes))
    if isinstance(original, ModuleType):
        return _NotedModule(original, notes)
    if isinstance(original, type):

        class Noted(original):  # type: ignore[misc]
            def __init__(self, *args: Any, **keywords: Any) -> None:
                notes.note()
                super().__init__(*args, **keywords)

        return Noted
    if inspect.iscoroutinefunction(original):

        async def noted_later(*args: Any, **keywords: Any) -> Any:
            notes.note(*args, **keywords)
            return await original(*args, **keywords)

        return noted_later

    def noted(*args: Any, **keywords: Any) -> Any:
        notes.note(*args, **keywords)
        return original(*args, **keywords)

    return noted


class _NotedModule(ModuleType):
    def __init__(self, original: ModuleType, notes: Notes) -> None:
        super().__init__(original.__name__)
        self.__dict__["_original"], self.__dict__["_notes"] = original, notes

    def __getattr__(self, name: str) -> Any:
        self._notes.note()
        return getattr(self._original, name)


def owner_of(framework: str, path: str) -> Any:
    """Return a module or a class of FastAPI, Starlette or another package, as FastAPI names it, for this framework."""
    module, _, name = path.partition(":")
    owner: Any = importlib.import_module(
        module.replace("fastapi", framework, 1) if module.startswith("fastapi") else module
    )
    return getattr(owner, name) if name else owner


Way = Literal["setattr", "dictionary", "mock"]
"""How a name is replaced: as an attribute, in the dictionary of its module, or by `mock.patch.object`."""


@contextmanager
def replaced(owner: Any, name: str, notes: Notes, way: Way = "setattr") -> Iterator[None]:
    """Put something in the place of a name of a module or a class, and put the name back at the end."""
    is_own = name in vars(owner)
    static = vars(owner)[name] if is_own else inspect.getattr_static(owner, name, None)
    # A name of Python's own can be given to a module, too.
    original = getattr(owner, name, getattr(builtins, name, None)) if static is None else static
    instead = replacement(original, notes)
    if way == "dictionary":
        with mock.patch.dict(vars(owner), {name: instead}):
            yield
        return
    if way == "mock":
        with mock.patch.object(owner, name, instead):
            yield
        return
    setattr(owner, name, instead)
    try:
        yield
    finally:
        if is_own:
            setattr(owner, name, original)
        else:
            delattr(owner, name)


async def serve(app: Any, notes: Notes) -> dict[str, Any]:
    """Return the calls that are noted and the answer, by request."""
    seen: dict[str, Any] = {}
    for label, *_ in REQUESTS:
        notes.calls = []
        answer = await served(app, label)
        seen[label] = (notes.calls, *answer)
    return seen


_BY_LABEL = {label: (scope, content) for label, scope, content in REQUESTS}


async def served(app: Any, label: str) -> tuple[Any, ...]:
    """Return the answer to one of the requests."""
    scope, content = _BY_LABEL[label]
    answer = await ask(app, {**scope, "headers": list(scope["headers"])}, content)
    for message in answer.websocket:
        # It is a text, and a short one, on purpose.
        message.pop("reason", None)
    # Behind its first line an error says where the endpoint is, which FastAPI looks up by its address.
    return (answer.status, answer.headers, answer.body, answer.websocket, str(answer.raised).partition("\n")[0])


def observed(
    framework: str, make: Callable[[Any], Any], path: str, name: str, moment: Moment, way: Way = "setattr"
) -> list[dict[str, Any]]:
    """Return calls of the name and answers, by request: while it is replaced, and when it is put back."""
    f = importlib.import_module(framework)
    owner, notes = owner_of(framework, path), Notes()

    async def run() -> list[dict[str, Any]]:
        if moment == "after":
            app = make(f)
            await serve(app, Notes())
        with replaced(owner, name, notes, way):
            if moment == "before":
                app = make(f)
            seen = [await serve(app, notes)]
            if moment == "before":
                # What is declared late is declared by one request or another.
                late = seen.pop()
                seen += [{label: answer[1:] for label, answer in late.items()}, await serve(app, notes)]
        return [*seen, await serve(app, notes)]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return asyncio.run(run())
