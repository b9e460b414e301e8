"""An application that uses everything of docs/beyond.md, as somebody with strict type checking writes it."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from http import HTTPMethod
from typing import Annotated, Any, assert_type

from pydantic import BaseModel
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware

from ferroapi import APIRouter, Depends, FastAPI, Form, HTTPException, Request
from ferroapi.errors import DeclaredHTTPException, ErrorRecorder, undeclared_errors
from ferroapi.responses import JSONResponse, Response, StreamingResponse
from ferroapi.streams import with_first_item
from ferroapi.testclient import AsyncTestClient, TestClient
from ferroapi.uploads import UploadInterrupted, UploadStream


class Item(BaseModel):
    name: str


class Shortage(BaseModel):
    left: int


class ItemNotFound(DeclaredHTTPException):
    """There is no such item."""

    status_code = 404
    detail = "Item not found"


class OutOfStock(DeclaredHTTPException):
    status_code = 409
    model = Shortage
    headers = {"retry-after": "60"}  # noqa: RUF012


class Closed(HTTPException):
    """An error that another version of the application has had."""

    status_code = 503

    def __init__(self) -> None:
        super().__init__(self.status_code, "closed")


class Pool:
    def __init__(self, url: str) -> None:
        self.url = url


def database_url() -> str:
    return "postgresql://db"


async def open_pool(url: Annotated[str, Depends(database_url, scope="lifespan")]) -> AsyncIterator[Pool]:
    yield Pool(url)


def open_cache() -> Generator[dict[str, str]]:
    yield {}


SharedPool = Annotated[Pool, Depends(open_pool, scope="lifespan")]


def opening_hours() -> None:
    raise Closed


async def log(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    return await call_next(request)


async def answer_missing_key(request: Request, error: KeyError) -> Response:
    return JSONResponse({"missing": str(error)}, status_code=404)


app = FastAPI(
    problem_details=True,
    docs_assets="bundled",
    lifespan_dependencies="first_use",
    raises=[Closed],
    wait_for_first_item=True,
)
router = APIRouter(
    prefix="/items",
    raises=[ItemNotFound],
    middleware=[Middleware(BaseHTTPMiddleware, dispatch=log)],
    exception_handlers={KeyError: answer_missing_key, 418: answer_missing_key},
    dependencies=[Depends(opening_hours, raises=[Closed])],
)


@router.get("/{item}", raises=[OutOfStock])
async def read(
    item: int, pool: SharedPool, cache: Annotated[dict[str, str], Depends(open_cache, scope="lifespan")]
) -> Item:
    if item == 0:
        raise ItemNotFound
    if item == 1:
        raise OutOfStock(Shortage(left=0))
    return Item(name=pool.url)


@router.post("/{item}/order")
async def order(item: int) -> Item | ItemNotFound | OutOfStock:
    if item == 0:
        return ItemNotFound("no item 0")
    return OutOfStock({"left": 0}, headers={"retry-after": "1"}) if item == 1 else Item(name="tea")


@router.api_route("/both", methods=[HTTPMethod.GET], wait_for_first_item=False)
async def names() -> AsyncIterator[Item]:
    yield Item(name="tea")


@app.get("/letters")
async def letters() -> StreamingResponse:
    return with_first_item(StreamingResponse(iter("letters")))


@app.post("/uploads", max_body_size=10_000_000)
async def upload(title: Annotated[str, Form()], file: UploadStream) -> dict[str, int | str | None]:
    size = 0
    try:
        async for piece in file:
            size += len(assert_type(piece, bytes))
        async for each in file.files():
            size += len(await each.read())
    except UploadInterrupted as interrupted:
        return {"interrupted": str(interrupted)}
    return {"name": file.filename, "type": file.content_type, "size": file.size, "title": title}


@app.post("/optional-uploads")
async def upload_or_not(file: UploadStream | None = None) -> str | None:
    return None if file is None else file.filename


app.include_router(router, raises=[Closed], wait_for_first_item=None)


class Invoices:
    def __init__(self, pool: SharedPool) -> None:
        self.pool = pool

    def send(self, limit: int) -> str:
        return f"{self.pool.url} {limit}"


async def count(pool: SharedPool, limit: int = 100) -> int:
    return limit


def count_in_thread(pool: SharedPool) -> float:
    return 0.5


async def rows(pool: SharedPool) -> AsyncGenerator[Item]:
    yield Item(name=pool.url)


async def job() -> None:
    async with app.resolve(Invoices) as invoices:
        assert_type(invoices, Invoices)
        assert_type(invoices.send(3), str)
    async with app.resolve(count) as counted, app.resolve(count_in_thread) as threaded:
        assert_type(counted, int)
        assert_type(threaded, float)
    async with app.resolve(rows) as item, app.resolve(open_cache) as cache:
        assert_type(item, Item)
        assert_type(cache, dict[str, str])
    async with app.resolve(open_pool) as pool:
        assert_type(pool, Any)


def test_in_threads() -> None:
    recorder = ErrorRecorder(app)
    with TestClient(recorder, backend="asyncio", client=("testclient", 1)) as client:
        assert_type(client, TestClient)
        assert client.get("/items/0").status_code == 404
        with client.websocket_connect("/socket") as websocket:
            websocket.send_text("hello")
    assert_type(recorder.undeclared(), list[str])
    assert_type(undeclared_errors(app, [("GET", "/items/{item}", 404)]), list[str])


async def test_in_a_loop() -> None:
    async with AsyncTestClient(app, base_url="http://test", raise_server_exceptions=False) as client:
        assert_type(client, AsyncTestClient)
        async with client.stream("GET", "/items/both") as response:
            lines = [assert_type(line, str) async for line in response.aiter_lines()]
        assert lines
        async with client.websocket_connect("/socket", subprotocols=["chat"]) as websocket:
            await websocket.send_json({"a": 1})
            assert_type(await websocket.receive_text(), str)
            assert_type(await websocket.receive_bytes(), bytes)
