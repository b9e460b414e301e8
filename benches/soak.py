"""`make soak`: does memory grow with requests, or with applications that are gone? Every kind of request, in process.

Requests take turns; resident memory and Python's live blocks are read in between, and a line is laid through the
readings after the warm-up. Its slope is what one request leaves behind.
"""

import argparse
import asyncio
import contextlib
import ctypes
import gc
import json
import logging
import os
import sys
import weakref
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from starlette.responses import StreamingResponse

from benches.cases.exchange import Message, Receiver, Request, ask, discard

JSON = ((b"content-type", b"application/json"),)
FORM = ((b"content-type", b"application/x-www-form-urlencoded"),)
MULTIPART = ((b"content-type", b"multipart/form-data; boundary=b"),)
UPLOAD = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n' + b"x" * 256 + b"\r\n"
    b'--b\r\nContent-Disposition: form-data; name="note"\r\n\r\ntext\r\n--b--\r\n'
)

RSS_LIMIT = 4.0  # bytes a request
BLOCKS_LIMIT = 0.02  # live Python objects a request
APPLICATION_LIMIT = 4096.0  # bytes of resident memory for an application that is gone


class Gone(Exception):
    """What an endpoint raises that nobody handles."""


class Item(BaseModel):
    """A body, and an answer read from attributes."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    price: float
    tags: list[str] = []


@dataclass
class Row:
    """What an object-relational mapper would return."""

    name: str = "row"
    price: float = 1.5
    tags: list[str] = field(default_factory=lambda: ["a"])


def make_application(framework: Any) -> Any:
    """Return an application with an endpoint for each way through the framework."""
    app = framework.FastAPI()

    async def opened() -> AsyncIterator[str]:
        yield "opened"

    def opened_in_thread() -> Iterator[str]:
        yield "opened"

    async def user(token: str = framework.Header("none")) -> str:
        return token

    @app.get("/json")
    async def read_json(
        q: str = "", limit: int = framework.Query(10, le=100), by: str = framework.Depends(user)
    ) -> Any:
        return {"q": q, "limit": limit, "by": by, "items": [{"n": number} for number in range(3)]}

    @app.post("/items/{item_id}")
    async def create(item_id: int, item: Item) -> Item:
        return item

    @app.get("/rows", response_model=list[Item])
    async def read_rows() -> Any:
        return [Row(), Row()]

    @app.get("/refused")
    async def refuse() -> None:
        raise framework.HTTPException(409, "no", headers={"x-reason": "no"})

    @app.get("/broken")
    async def fail(value: str = framework.Depends(opened)) -> None:
        raise Gone(value)

    @app.get("/sync")
    def read_in_thread(q: int = 1) -> Any:
        return {"q": q}

    @app.get("/generator")
    async def read_opened(a: str = framework.Depends(opened), b: str = framework.Depends(opened_in_thread)) -> Any:
        return [a, b]

    @app.get("/background")
    async def later(tasks: framework.BackgroundTasks, request: framework.Request) -> Any:
        tasks.add_task(len, request.url.path)
        return {"path": request.url.path}

    @app.get("/stream")
    async def stream(value: str = framework.Depends(opened)) -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(5):
                yield b"chunk"

        return StreamingResponse(chunks())

    @app.get("/lines")
    async def lines() -> AsyncIterator[Item]:
        for _ in range(5):
            yield Item(name="a", price=1)

    @app.get("/endless")
    async def endless() -> None:
        await asyncio.get_running_loop().create_future()

    @app.post("/form")
    async def submit(name: str = framework.Form(), age: int = framework.Form()) -> Any:
        return {"name": name, "age": age}

    @app.post("/upload")
    async def upload(file: framework.UploadFile, note: str = framework.Form()) -> Any:
        return {"size": len(await file.read()), "note": note}

    @app.websocket("/echo/{room}")
    async def echo(websocket: framework.WebSocket, room: int, value: str = framework.Depends(opened)) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)

    return app


@dataclass(frozen=True)
class Exchange:
    """One kind of request, and the status it must end with; None where there is no answer."""

    name: str
    request: Request
    status: int | None = 200
    run: Callable[[Any, Request], Awaitable[int | None]] | None = None


async def _answered(app: Any, request: Request) -> int | None:
    return (await ask(app, request)).status


async def _failed(app: Any, request: Request) -> int | None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    with contextlib.suppress(Gone):
        await app(request.scope(), Receiver(request.messages()), send)
    status: int = sent[0]["status"]
    return status


async def _left_while_sending(app: Any, request: Request) -> int | None:
    """Answer to a client that closes the connection after the first chunk."""
    messages = (*request.messages(), {"type": "http.disconnect"})
    await app(request.scope(), Receiver(messages), discard)
    return None


async def _left_while_receiving(app: Any, request: Request) -> int | None:
    """Read the body of a client that leaves in the middle of it."""
    messages: tuple[Message, ...] = (
        {"type": "http.request", "body": b'{"name":', "more_body": True},
        {"type": "http.disconnect"},
    )
    # FastAPI answers a body that breaks off as it answers a body that does not parse.
    with contextlib.suppress(Exception):
        await app(request.scope(), Receiver(messages), discard)
    return None


async def _cancelled(app: Any, request: Request) -> int | None:
    task = asyncio.ensure_future(app(request.scope(), Receiver(request.messages()), discard))
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return None


ITEM = json.dumps({"name": "a", "price": 1.5, "tags": ["x"]}).encode()
WRONG = json.dumps({"name": 1, "price": "much"}).encode()
TEXT: tuple[Message, ...] = ({"type": "websocket.receive", "text": "hello"},)
LEFT: tuple[Message, ...] = ({"type": "websocket.disconnect", "code": 1001},)

EXCHANGES = (
    Exchange("json", Request("/json", "q=a&limit=5")),
    Exchange("model", Request("/items/1", method="POST", headers=JSON, body=ITEM)),
    Exchange("rows", Request("/rows")),
    Exchange("parameter error", Request("/json", "limit=1000"), 422),
    Exchange("body error", Request("/items/x", method="POST", headers=JSON, body=WRONG), 422),
    Exchange("no JSON", Request("/items/1", method="POST", headers=JSON, body=b"{"), 422),
    Exchange("HTTPException", Request("/refused"), 409),
    Exchange("exception", Request("/broken"), 500, _failed),
    Exchange("not found", Request("/nothing"), 404),
    Exchange("wrong method", Request("/json", method="DELETE"), 405),
    Exchange("sync", Request("/sync", "q=2")),
    Exchange("generators", Request("/generator")),
    Exchange("background", Request("/background")),
    Exchange("stream", Request("/stream")),
    Exchange("lines", Request("/lines")),
    Exchange("form", Request("/form", method="POST", headers=FORM, body=b"name=a&age=3")),
    Exchange("upload", Request("/upload", method="POST", headers=MULTIPART, body=UPLOAD)),
    Exchange("websocket", Request("/echo/1", websocket_messages=TEXT + LEFT), None),
    Exchange("websocket refused", Request("/echo/x", websocket_messages=LEFT), None),
    Exchange("left while sending", Request("/stream"), None, _left_while_sending),
    Exchange("left while receiving", Request("/items/1", method="POST", headers=JSON), None, _left_while_receiving),
    Exchange("cancelled", Request("/endless"), None, _cancelled),
)


def resident() -> int:
    """Return the resident memory of this process in bytes, after what is free has been given back."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@dataclass
class Growth:
    """Readings after a number of repetitions, and the slope of the line through them."""

    # Arrays, because numbers in a list are objects too.
    counts: "array[int]" = field(default_factory=lambda: array("q"))
    resident: "array[int]" = field(default_factory=lambda: array("q"))
    blocks: "array[int]" = field(default_factory=lambda: array("q"))

    def read(self, count: int) -> None:
        """Take a reading."""
        self.resident.append(resident())
        self.blocks.append(sys.getallocatedblocks())
        self.counts.append(count)

    @property
    def resident_slope(self) -> float:
        """Bytes of resident memory for each repetition."""
        return _slope(self.counts, self.resident)

    @property
    def blocks_slope(self) -> float:
        """Live Python objects for each repetition."""
        return _slope(self.counts, self.blocks)


def _slope(xs: Sequence[int], ys: Sequence[int]) -> float:
    """Return the slope of the least-squares line."""
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    above = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    return above / sum((x - mean_x) ** 2 for x in xs)


async def soak(app: Any, requests: int, exchanges: tuple[Exchange, ...] = EXCHANGES, samples: int = 20) -> Growth:
    """Make requests in turn, a fifth of them to warm up, and return how memory grew over the others.

    Raises:
        AssertionError: an answer had another status than its exchange says.
    """
    growth = Growth()

    async def rounds(number: int) -> None:
        for _ in range(number):
            for exchange in exchanges:
                status = await (exchange.run or _answered)(app, exchange.request)
                assert status == exchange.status, (exchange.name, status)

    in_all = max(requests // len(exchanges), samples)
    await rounds(in_all // 5)
    each = in_all * 4 // 5 // samples
    for index in range(samples):
        await rounds(each)
        growth.read((index + 1) * each * len(exchanges))
    return growth


async def discard_applications(framework: Any, number: int) -> tuple[list[int], Growth]:
    """Make applications, ask each of them once, drop them; return which are still alive, and how memory grew."""
    alive: list[int] = []
    growth = Growth()
    batch = max(number // 10, 1)
    for index in range(10):
        dropped = [await _use_once(framework) for _ in range(batch)]
        growth.read((index + 1) * batch)
        alive += [index * batch + place for place, reference in enumerate(dropped) if reference() is not None]
    # The first of them fill caches that have a size.
    half = Growth(growth.counts[5:], growth.resident[5:], growth.blocks[5:])
    return alive, half


async def _use_once(framework: Any) -> "weakref.ref[Any]":
    app = make_application(framework)
    for path in ("/json", "/openapi.json"):
        assert (await ask(app, Request(path))).status == 200
    return weakref.ref(app)


def main() -> int:
    """Print the slopes; return 1 where one is above its limit."""
    parser = argparse.ArgumentParser(prog="python -m benches.soak", description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    # FastAPI's caches of callables hold 4,096; the readings begin when they are full.
    parser.add_argument("--applications", type=int, default=500)
    parser.add_argument("--quick", action="store_true", help="fewer of both, with limits for so few")
    parser.add_argument("--framework", default="ferroapi", help="the module to import FastAPI from")
    parser.add_argument("--each", action="store_true", help="soak each kind of request by itself, to find a leak")
    options = parser.parse_args()
    scale = 1
    if options.quick:
        options.requests, options.applications, scale = 30_000, 40, 10
    logging.disable(logging.CRITICAL)
    framework = import_module(options.framework)
    app = make_application(framework)
    groups = [(each.name, (each,)) for each in EXCHANGES] if options.each else [("all kinds", EXCHANGES)]
    failures = 0
    for name, exchanges in groups:
        growth = asyncio.run(soak(app, options.requests // len(groups), exchanges))
        failures += growth.resident_slope > RSS_LIMIT * scale or growth.blocks_slope > BLOCKS_LIMIT
        print(
            f"{name:22} {growth.counts[-1]:>9,} requests  resident {growth.resident[-1] / 1e6:6.1f} MB"
            f"  {growth.resident_slope:+8.3f} bytes a request  {growth.blocks_slope:+8.4f} objects a request",
            flush=True,
        )
    alive, growth = asyncio.run(discard_applications(framework, options.applications))
    failures += bool(alive) or growth.resident_slope > APPLICATION_LIMIT * scale
    print(
        f"{'applications dropped':22} {options.applications:>9,}           alive {len(alive)}"
        f"  {growth.resident_slope:+.0f} bytes an application  {growth.blocks_slope:+.1f} objects an application"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
