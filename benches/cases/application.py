"""The measured applications, written once: `framework`, the imported package, is the only difference.

An application has the routes of one case and no others, so that none is charged for its place in a list of routes.
Handlers run on every request and make what they return then; nothing that a handler returned is kept.
"""
# mypy: disable-error-code="attr-defined, name-defined, no-any-return, no-untyped-def, untyped-decorator"

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from benches.cases.exchange import ASGIApp


class Item(BaseModel):
    """The body of the `body` case."""

    name: str
    price: float
    quantity: int
    tags: list[str] = []


class Maker(BaseModel):
    """Nested in `Product`."""

    name: str
    country: str


class Product(BaseModel):
    """One of fifty."""

    id: int
    name: str
    price: float
    in_stock: bool
    maker: Maker


class Page(BaseModel):
    """The 4.1 kB answer of `model` and `dict`."""

    total: int
    items: list[Product]


class Account(BaseModel):
    """Read from the attributes of a `Record`."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    email: str
    active: bool


class Record:
    """What an object-relational mapper returns: an object with attributes."""

    def __init__(self, id: int) -> None:
        self.id = id
        self.name = f"user {id}"
        self.email = f"user{id}@example.com"
        self.active = id % 2 == 0


PRODUCTS = [
    Product(id=i, name=f"Product {i}", price=i + 0.5, in_stock=i % 2 == 0, maker=Maker(name="Acme", country="NL"))
    for i in range(50)
]
ROWS = [product.model_dump() for product in PRODUCTS]
RECORDS = [Record(id) for id in range(100)]
USERS = {"secret-token": {"username": "alice", "disabled": False}}


def json(framework: ModuleType, **options: Any) -> Any:
    app = framework.FastAPI(**options)

    @app.get("/json")
    async def read():
        return {"message": "Hello, World!"}

    return app


def plaintext(framework: ModuleType) -> ASGIApp:
    app = framework.FastAPI()

    @app.get("/plaintext", response_class=PlainTextResponse)
    async def read():
        return "Hello, World!"

    return app


def items(framework: ModuleType) -> ASGIApp:
    app = framework.FastAPI()

    @app.get("/items/{item_id}")
    async def read(
        item_id: int,
        q: str,
        limit: int = framework.Query(10, le=100),
        price: float = 0.0,
        active: bool = True,
        x_token: str = framework.Header(),
    ):
        return {"item_id": item_id, "q": q, "limit": limit, "price": price, "active": active, "token": x_token}

    return app


def deps(framework: ModuleType) -> ASGIApp:
    return _with_dependencies(framework)[0]


def _with_dependencies(framework: ModuleType) -> tuple[Any, Callable[..., Any]]:
    """Return an application with a graph of dependencies, and one of these."""
    app = framework.FastAPI()

    async def settings(tenant: str = "main") -> dict[str, str]:
        return {"tenant": tenant}

    async def session(settings: dict[str, str] = framework.Depends(settings)) -> dict[str, Any]:
        return {"tenant": settings["tenant"], "open": True}

    async def user(
        user_id: int,
        session: dict[str, Any] = framework.Depends(session),
        settings: dict[str, str] = framework.Depends(settings),
    ) -> dict[str, Any]:
        return {"id": user_id, "tenant": settings["tenant"], "open": session["open"]}

    @app.get("/deps")
    async def read(user: dict[str, Any] = framework.Depends(user), verbose: bool = False):
        return {"user": user["id"], "tenant": user["tenant"], "verbose": verbose}

    return app, settings


def body(framework: ModuleType) -> ASGIApp:
    app = framework.FastAPI()

    @app.post("/body")
    async def create(item: Item) -> Item:
        return item

    return app


def sync(framework: ModuleType) -> ASGIApp:
    app = framework.FastAPI()

    @app.get("/sync")
    def read():
        return {"message": "Hello, World!"}

    return app


def sdeps(framework: ModuleType) -> ASGIApp:
    app = framework.FastAPI()

    def first() -> int:
        return 1

    def second() -> int:
        return 2

    def third() -> int:
        return 3

    @app.get("/sdeps")
    def read(a: int = framework.Depends(first), b: int = framework.Depends(second), c: int = framework.Depends(third)):
        return {"sum": a + b + c}

    return app


def yields(framework: ModuleType) -> ASGIApp:
    app = framework.FastAPI()

    async def session() -> AsyncIterator[dict[str, bool]]:
        session = {"open": True}
        yield session
        session["open"] = False

    @app.get("/yield")
    async def read(session: dict[str, bool] = framework.Depends(session)):
        return {"open": session["open"]}

    return app


def sync_yields(framework: ModuleType) -> ASGIApp:
    app = framework.FastAPI()

    def session() -> Iterator[dict[str, bool]]:
        session = {"open": True}
        yield session
        session["open"] = False

    @app.get("/syield")
    async def read(session: dict[str, bool] = framework.Depends(session)):
        return {"open": session["open"]}

    return app


def auth(framework: ModuleType) -> ASGIApp:
    app = framework.FastAPI()
    scheme = import_module(f"{framework.__name__}.security").OAuth2PasswordBearer(tokenUrl="token")

    async def current_user(token: str = framework.Depends(scheme)) -> dict[str, Any]:
        user = USERS.get(token)
        if user is None:
            raise framework.HTTPException(401, "Unknown token")
        return user

    @app.get("/me")
    async def read(user: dict[str, Any] = framework.Depends(current_user)):
        return {"username": user["username"]}

    return app


def model(framework: ModuleType) -> ASGIApp:
    app = framework.FastAPI()

    @app.get("/model")
    async def read() -> Page:
        return Page.model_construct(total=len(PRODUCTS), items=PRODUCTS)

    return app


def dicts(framework: ModuleType) -> ASGIApp:
    app = framework.FastAPI()

    @app.get("/dict")
    async def read():
        return {"total": len(ROWS), "items": [row.copy() for row in ROWS]}

    return app


def orm(framework: ModuleType) -> ASGIApp:
    app = framework.FastAPI()

    @app.get("/orm", response_model=list[Account])
    async def read():
        return RECORDS.copy()

    return app


def form(framework: ModuleType) -> ASGIApp:
    app = framework.FastAPI()

    @app.post("/form")
    async def create(username: str = framework.Form(), password: str = framework.Form(), age: int = framework.Form()):
        return {"username": username, "length": len(password), "age": age}

    return app


def multipart(framework: ModuleType) -> ASGIApp:
    app = framework.FastAPI()

    @app.post("/multipart")
    async def create(
        file: framework.UploadFile,
        title: str = framework.Form(),
        pages: int = framework.Form(),
    ):
        return {"title": title, "pages": pages, "name": file.filename, "size": len(await file.read())}

    return app


def http_middleware(framework: ModuleType) -> ASGIApp:
    app = json(framework)

    def add(name: str) -> None:
        @app.middleware("http")
        async def mark(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
            response = await call_next(request)
            response.headers[name] = "1"
            return response

    for name in ("x-first", "x-second", "x-third"):
        add(name)
    return app


def cors(framework: ModuleType) -> ASGIApp:
    app = json(framework)
    middleware = import_module(f"{framework.__name__}.middleware.cors").CORSMiddleware
    app.add_middleware(middleware, allow_origins=["https://example.com"], allow_methods=["*"])
    return app


def routes(count: int) -> Callable[[ModuleType], ASGIApp]:
    """Return the builder of an application with `count` routes that have a path parameter each."""

    def build(framework: ModuleType) -> ASGIApp:
        app = framework.FastAPI()

        async def read(key: str):
            return {"key": key}

        for index in range(count):
            app.get(f"/resource{index}/{{key}}")(read)
        return app

    return build


def websocket(framework: ModuleType) -> ASGIApp:
    app = framework.FastAPI()

    @app.websocket("/echo")
    async def echo(websocket: framework.WebSocket):
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())
        await websocket.close()

    return app


def stream(framework: ModuleType) -> ASGIApp:
    app = framework.FastAPI()

    async def chunks() -> AsyncIterator[bytes]:
        for index in range(100):
            yield b"chunk %d\n" % index

    @app.get("/stream")
    async def read():
        return StreamingResponse(chunks(), media_type="text/plain")

    return app


def events(framework: ModuleType) -> ASGIApp:
    app = framework.FastAPI()
    response_class = import_module(f"{framework.__name__}.sse").EventSourceResponse

    @app.get("/events", response_class=response_class)
    async def read() -> AsyncIterator[dict[str, int]]:
        for index in range(100):
            yield {"index": index}

    return app


# Applications that somebody has touched.


class PureMiddleware:
    """Middleware that only calls what is below it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


def pure_middleware(framework: ModuleType) -> ASGIApp:
    app = json(framework)
    app.add_middleware(PureMiddleware)
    return app


def limited(framework: ModuleType) -> ASGIApp:
    return json(framework, max_body_size=1_000_000)


def override_of_another(framework: ModuleType) -> ASGIApp:
    app = json(framework)
    app.dependency_overrides[print] = print
    return app


def override_of_its_own(framework: ModuleType) -> ASGIApp:
    app, settings = _with_dependencies(framework)

    async def instead(tenant: str = "main") -> dict[str, str]:
        return {"tenant": tenant}

    app.dependency_overrides[settings] = instead
    return app


def _wrapped(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def wrapped(request: Request) -> Response:
        return await handler(request)

    return wrapped


def route_class(framework: ModuleType) -> ASGIApp:
    base = import_module(f"{framework.__name__}.routing").APIRoute

    class WrappedRoute(base):
        def get_route_handler(self):
            return _wrapped(super().get_route_handler())

    app = framework.FastAPI()
    app.router.route_class = WrappedRoute

    @app.get("/json")
    async def read():
        return {"message": "Hello, World!"}

    return app


def wrapped_handler(framework: ModuleType) -> ASGIApp:
    """The handler of each route is wrapped where it is made, as tracers do it."""
    routing = import_module(f"{framework.__name__}.routing")
    original = routing.get_request_handler
    routing.get_request_handler = lambda *arguments, **options: _wrapped(original(*arguments, **options))
    try:
        return json(framework)
    finally:
        routing.get_request_handler = original


def telemetry(framework: ModuleType) -> ASGIApp:
    """The framework's own telemetry, with OpenTelemetry's providers and nobody that they export to."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider

    tracer, meter = TracerProvider(shutdown_on_exit=False), MeterProvider(shutdown_on_exit=False)
    return json(framework, telemetry={"tracer_provider": tracer, "meter_provider": meter})


def starlette_json(framework: ModuleType) -> ASGIApp:
    """The `json` case as a Starlette application, for scale."""
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def read(request: Request) -> Response:
        return JSONResponse({"message": "Hello, World!"})

    return Starlette(routes=[Route("/json", read)])


def starlette_plaintext(framework: ModuleType) -> ASGIApp:
    """The `plaintext` case as a Starlette application, for scale."""
    from starlette.applications import Starlette
    from starlette.routing import Route

    async def read(request: Request) -> Response:
        return PlainTextResponse("Hello, World!")

    return Starlette(routes=[Route("/plaintext", read)])
