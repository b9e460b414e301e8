"""One service for every package: each kind of route and of outcome that an instrumentation treats in its own way.

Imports `fastapi`, which is the real one or, under the alias, ferroapi. Run by the `run_*.py` files beside it.
"""

import json
import logging
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Form, HTTPException, Request, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.testclient import TestClient
from pydantic import BaseModel


class Order(BaseModel):
    name: str
    count: int = 1


class OutOfStock(Exception):
    pass


class Unexpected(RuntimeError):
    pass


def shop(shop: str) -> str:
    return shop.upper()


def connection() -> Iterator[str]:
    yield "open"


async def user(name: str = "nobody") -> str:
    return name


router = APIRouter(prefix="/shops/{shop}", tags=["shops"])
inner = APIRouter(prefix="/shelves")


@router.get("/items/{item_id}")
async def read_item(item_id: int, where: Annotated[str, Depends(shop)]) -> dict[str, Any]:
    return {"item_id": item_id, "where": where}


@router.post("/orders", status_code=201)
def add_order(order: Order, where: Annotated[str, Depends(shop)]) -> Order:
    return order


@inner.get("/{shelf}")
def read_shelf(shop: str, shelf: int) -> list[Any]:
    return [shop, shelf]


@inner.websocket("/{shelf}/watch")
async def watch(websocket: WebSocket, shelf: int, name: Annotated[str, Depends(user)]) -> None:
    await websocket.accept()
    await websocket.send_json([shelf, name, await websocket.receive_text()])
    await websocket.close()


router.include_router(inner)


def build() -> FastAPI:
    """Return the application, with everything declared and nothing instrumented."""
    app = FastAPI()
    mounted = FastAPI()

    @mounted.get("/deep/{name}")
    async def deep(name: str) -> str:
        return name

    @app.get("/")
    async def home() -> dict[str, str]:
        return {"hello": "world"}

    @app.get("/sync/{number}")
    def sync(number: int, open_: Annotated[str, Depends(connection)]) -> list[Any]:
        return [number, open_]

    @app.get("/model", response_model=Order)
    async def model() -> Any:
        return {"name": "saw", "count": "3", "secret": 1}

    @app.get("/wrong-model", response_model=Order)
    async def wrong_model() -> Any:
        return {"count": "many"}

    @app.post("/form")
    async def form(name: Annotated[str, Form()], count: Annotated[int, Form()] = 1) -> list[Any]:
        return [name, count]

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "short and stout", headers={"X-Tea": "green"})

    @app.get("/down")
    def down() -> None:
        raise HTTPException(503, "down")

    @app.get("/out-of-stock/{name}")
    async def out_of_stock(name: str) -> None:
        raise OutOfStock(name)

    @app.get("/broken/{name}")
    async def broken(name: str) -> None:
        raise Unexpected(name)

    @app.get("/broken-sync")
    def broken_sync() -> None:
        raise Unexpected("sync")

    @app.get("/background")
    async def background(tasks: BackgroundTasks) -> str:
        tasks.add_task(later, "async")
        tasks.add_task(later_sync, "sync")
        return "soon"

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def chunks() -> AsyncIterator[str]:
            # Without a thread: whether the client's end is seen before the last chunk would be a matter of luck.
            yield "a"
            yield "b"

        return StreamingResponse(chunks())

    @app.get("/logging")
    async def logs(request: Request) -> str:
        logging.getLogger("service").error("something odd at %s", request.url.path)
        return "logged"

    @app.exception_handler(OutOfStock)
    async def answer_out_of_stock(request: Request, error: OutOfStock) -> JSONResponse:
        return JSONResponse({"out of stock": str(error), "route": request.scope["route"].path}, 409)

    app.include_router(router)
    app.mount("/mounted", mounted)
    return app


async def later(word: str) -> None:
    assert word == "async"


def later_sync(word: str) -> None:
    assert word == "sync"


REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/", {}),
    ("HEAD", "/", {}),
    ("GET", "/sync/3", {}),
    ("GET", "/sync/three", {}),
    ("GET", "/model", {}),
    ("GET", "/wrong-model", {}),
    ("POST", "/form", {"data": {"name": "saw", "count": "2"}}),
    ("POST", "/form", {"data": {"count": "x"}}),
    ("GET", "/teapot?q=1", {}),
    ("GET", "/down", {}),
    ("GET", "/out-of-stock/saw", {}),
    ("GET", "/broken/saw", {}),
    ("GET", "/broken-sync", {}),
    ("GET", "/background", {}),
    ("GET", "/stream", {}),
    ("GET", "/logging", {}),
    ("GET", "/shops/north/items/7?limit=3", {"cookies": {"session": "abc"}}),
    ("GET", "/shops/north/items/seven", {}),
    ("POST", "/shops/north/orders", {"json": {"name": "saw", "count": 2}}),
    ("POST", "/shops/north/orders", {"json": {"count": "x"}}),
    ("POST", "/shops/north/orders", {"content": b"{", "headers": {"Content-Type": "application/json"}}),
    ("PUT", "/shops/north/orders", {}),
    ("GET", "/shops/north/shelves/4", {}),
    ("GET", "/shops/north/shelves/4/", {"follow_redirects": False}),
    ("GET", "/mounted/deep/sea", {}),
    ("GET", "/mounted/nothing", {}),
    ("GET", "/nothing", {}),
    ("GET", "/openapi.json", {}),
]


def converse(app: FastAPI, rounds: int = 2) -> list[Any]:
    """Ask everything, more than once since a first request builds what later ones use; return the answers."""
    answers: list[Any] = []
    with TestClient(app, raise_server_exceptions=False) as client:
        for _ in range(rounds):
            for method, url, options in REQUESTS:
                cookies = options.get("cookies", {})
                client.cookies.update(cookies)
                rest = {name: value for name, value in options.items() if name != "cookies"}
                response = client.request(method, url, **rest)
                client.cookies.clear()
                answers.append([method, url, response.status_code, sorted(response.headers.items()), response.text])
            with client.websocket_connect("/shops/north/shelves/4/watch?name=ada") as websocket:
                websocket.send_text("hello")
                answers.append(["WEBSOCKET", websocket.receive_json()])
    return answers


def ask_all(app: FastAPI, urls: list[str]) -> list[Any]:
    """Get each URL; return the answers without what a clock says."""
    clock = ("x-ratelimit-reset", "retry-after")
    with TestClient(app, raise_server_exceptions=False) as client:
        responses = [client.get(url) for url in urls]
    return [
        [
            each.url.path,
            each.status_code,
            sorted(item for item in each.headers.items() if item[0] not in clock),
            each.text,
        ]
        for each in responses
    ]


def without(value: Any, names: frozenset[str]) -> Any:
    """Return JSON-like data without the entries of these names, at any depth."""
    if isinstance(value, dict):
        return {name: without(each, names) for name, each in sorted(value.items()) if name not in names}
    if isinstance(value, list | tuple):
        return [without(each, names) for each in value]
    return value


def count_modes() -> Counter[str]:
    """Count how ferroapi answers: by its driver, or by a handler over the same plan. FastAPI counts nothing."""
    modes: Counter[str] = Counter()
    if (core := sys.modules.get("ferroapi._core")) is None:
        return modes
    dispatch: Any = sys.modules["ferroapi._routing.dispatch"].Dispatch
    drive, entrance, respond = dispatch._drive, dispatch._entrance, core.respond

    class CountedEntrance:
        def __init__(self, entrance: Any) -> None:
            self.entrance = entrance

        @property
        def is_current(self) -> bool:
            return bool(self.entrance.is_current)

        def serve(self, *arguments: Any) -> Any:
            rest = self.entrance.serve(*arguments)
            modes["driver"] += rest is not False
            return rest

    def counted_entrance(*arguments: Any) -> Any:
        opened = entrance(*arguments)
        return opened and CountedEntrance(opened)

    def counted_drive(router: Any, scope: Any, *arguments: Any) -> Any:
        driver = drive(router, scope, *arguments)
        modes["driver"] += driver is not None and scope["type"] == "http"
        return driver

    def counted_respond(*arguments: Any) -> Any:
        modes["handler"] += 1
        return respond(*arguments)

    dispatch._drive, dispatch._entrance, core.respond = counted_drive, counted_entrance, counted_respond
    return modes


def report(answers: list[Any], recorded: Any, modes: Counter[str]) -> None:
    """Print what was answered and what the package recorded, for `test_packages.py` to compare."""
    print(json.dumps({"answers": answers, "recorded": recorded, "modes": modes}, default=repr, sort_keys=True))
