"""A service that uses all that a wing stands for, asked in process: what it answers, as JSON on the standard output.

`python applications.py fastapi` or `ferroapi`; for the latter also which of the wings were used.
"""

import asyncio
import enum
import importlib
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from unittest import mock
from uuid import UUID

import anyio.from_thread
from pydantic import BaseModel, Field, field_serializer
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware


class Color(enum.Enum):
    RED = "red"


class Part(BaseModel):
    name: str = Field(alias="partName")
    size: float | None = None


class Item(BaseModel):
    id: int
    price: Decimal
    at: datetime
    day: date
    key: UUID
    color: Color
    parts: list[Part]
    tags: dict[str, set[str]] = {}


class Custom(BaseModel):
    """A model that only pydantic can write."""

    number: int

    @field_serializer("number")
    def doubled(self, value: int) -> int:
        return value * 2


class Refused(Exception):
    pass


def item() -> dict[str, Any]:
    return {
        "id": 3,
        "price": "1.50",
        "at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "day": date(2026, 1, 2),
        "key": UUID(int=7),
        "color": Color.RED,
        "parts": [{"partName": "wheel", "size": 2.5}, {"partName": "bell"}],
        "tags": {"a": {"x"}},
    }


def application(framework: str) -> Any:
    fastapi = importlib.import_module(framework)
    app = fastapi.FastAPI()
    app.add_middleware(GZipMiddleware, minimum_size=200)
    app.add_middleware(CORSMiddleware, allow_origins=["https://a.example"], allow_methods=["*"])
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["testserver"])

    @app.middleware("http")
    async def tell(request: Any, call_next: Any) -> Any:
        if request.url.path == "/early":
            return fastapi.Response("early", 202)
        response = await call_next(request)
        response.headers["x-path"] = request.url.path
        return response

    @app.exception_handler(Refused)
    async def refuse(request: Any, error: Refused) -> Any:
        return fastapi.responses.JSONResponse({"refused": str(error)}, 409)

    def in_thread() -> bool:
        return threading.current_thread() is not threading.main_thread()

    def opened() -> Any:
        yield anyio.from_thread.run_sync(in_thread)

    async def opened_async() -> Any:
        async with asyncio.timeout(60):
            yield "async"

    @app.get("/sync/{number}")
    def sync(
        number: int, ratio: float = 0.5, flag: bool = False, plain: bool = fastapi.Depends(in_thread)
    ) -> dict[str, Any]:
        return {"number": number, "ratio": ratio, "flag": flag, "threads": [plain, in_thread()]}

    @app.get("/generators")
    def generators(first: bool = fastapi.Depends(opened), second: str = fastapi.Depends(opened_async)) -> list[Any]:
        return [first, second, in_thread()]

    @app.get("/fails")
    def fails(first: bool = fastapi.Depends(opened)) -> None:
        raise Refused("sync")

    @app.get("/stops")
    def stops() -> None:
        raise StopIteration("x")

    @app.get("/item", response_model=Item)
    async def one() -> Any:
        return item()

    @app.get("/items", response_model=list[Item], response_model_exclude_none=True)
    def many() -> Any:
        return [Item(**item()) for _ in range(5)]

    @app.get("/custom")
    async def custom() -> Custom:
        return Custom(number=4)

    @app.get("/invalid", response_model=Item)
    async def invalid() -> Any:
        return {"id": "x"}

    @app.post("/echo", response_model_by_alias=False)
    async def echo(item: Item) -> Item:
        return item

    @app.get("/stream")
    async def stream() -> Any:
        async def chunks() -> Any:
            for index in range(3):
                yield f"{index}\n"
                await asyncio.sleep(0)

        return fastapi.responses.StreamingResponse(chunks())

    @app.get("/lines")
    def lines() -> Any:
        yield from ()

    @app.get("/background")
    async def background(tasks: fastapi.BackgroundTasks) -> str:
        tasks.add_task(in_thread)
        return "later"

    return app


WHOLE = json.dumps({**item(), "parts": [{"partName": "x"}]}, default=lambda value: getattr(value, "value", str(value)))
REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    *[("GET", f"/sync/{number}?ratio=1.25&flag=on", {}) for number in (1, 2, 3, 4, 5)],
    ("GET", "/sync/x", {}),
    ("GET", "/sync/1e3?ratio=nan&flag=maybe", {}),
    *[("GET", "/generators", {})] * 5,
    *[("GET", path, {}) for path in ("/fails", "/fails", "/item", "/items", "/custom", "/invalid", "/stops")],
    ("POST", "/echo", {"content": WHOLE, "headers": {"content-type": "application/json"}}),
    ("POST", "/echo", {"json": {"id": "no"}}),
    *[("GET", path, {}) for path in ("/stream", "/lines", "/background", "/early", "/nothing", "/sync/1/")],
    ("GET", "/item", {"headers": {"accept-encoding": "gzip"}}),
    ("GET", "/item", {"headers": {"origin": "https://a.example"}}),
    ("OPTIONS", "/item", {"headers": {"origin": "https://a.example", "access-control-request-method": "GET"}}),
    ("GET", "/item", {"headers": {"host": "elsewhere"}}),
    ("DELETE", "/item", {}),
]


def answers(app: Any, framework: str) -> list[Any]:
    client_class = importlib.import_module(f"{framework}.testclient").TestClient
    found = []
    with client_class(app, raise_server_exceptions=False) as client:
        for method, path, options in REQUESTS:
            response = client.request(method, path, **options)
            found.append([method, path, response.status_code, sorted(response.headers.items()), response.text])
    return found


@contextmanager
def counted(counts: dict[str, int]) -> Iterator[None]:
    """Count the uses of three wings by the functions that each cannot do without."""
    from ferroapi._middleware import call_next
    from ferroapi._models import model_serializer
    from ferroapi._threads import workers

    places = {
        "threads": (workers, "borrow"),
        "middleware": (call_next.CallNext, "call_next"),
        "models": (model_serializer._Walk, "type_of"),
    }
    with ExitStack() as patches:
        for name, (owner, attribute) in places.items():
            function = getattr(owner, attribute)

            def count(*arguments: Any, _name: str = name, _function: Any = function, **options: Any) -> Any:
                counts[_name] += 1
                return _function(*arguments, **options)

            patches.enter_context(mock.patch.object(owner, attribute, count))
        yield


def main(framework: str) -> None:
    used: dict[str, bool] = {}
    if framework == "ferroapi":
        counts = dict.fromkeys(("threads", "middleware", "models"), 0)
        with counted(counts):
            found = answers(application(framework), framework)
        from ferroapi import _core
        from ferroapi.server import HTTPProtocol

        used = {name: count > 0 for name, count in counts.items()}
        used["server"] = issubclass(HTTPProtocol, _core.HTTPProtocol)
    else:
        found = answers(application(framework), framework)
    print(json.dumps({"answers": found, "used": used}))


if __name__ == "__main__":
    main(sys.argv[1])
