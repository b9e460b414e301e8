"""Threads that serve the first requests of an application: one is stopped at any line, the other is served whole."""

import asyncio
import sys
import threading
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import pytest
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse

import ferroapi
from ferroapi import APIRouter, Depends, FastAPI, HTTPException

PACKAGE = Path(ferroapi.__file__).parent
FILES = tuple(
    str(PACKAGE / name)
    for name in (
        "applications.py",
        "_stack.py",
        "_engine/entrance.py",
        "_middleware",
        "_routing/dispatch.py",
        "_routing/table.py",
    )
)
"""Where a thread is stopped: what is found out by the first request, and kept."""

PATHS = ("/items/7?q=2", "/items/seven", "/refused", "/failing", "/nowhere")
WAITS = 0.01
"""Seconds that a stopped thread gives another one, which may wait for a lock of the stopped one."""

Answer = tuple[int, list[tuple[bytes, bytes]], bytes]


class Refused(Exception):
    pass


class OwnMiddleware:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


async def pass_on(request: Any, call_next: Any) -> Any:
    return await call_next(request)


def application(*middleware: Middleware, is_limited: bool = False, dispatches: bool = False) -> FastAPI:
    app = FastAPI(middleware=middleware, max_body_size=1_000 if is_limited else None)
    router = APIRouter()

    def number(q: int = 1) -> int:
        return q

    @router.get("/items/{item_id}")
    async def item(item_id: int, q: Annotated[int, Depends(number)]) -> dict[str, int]:
        return {"item_id": item_id, "q": q}

    @router.get("/refused")
    async def refused() -> None:
        raise HTTPException(418)

    @app.get("/failing")
    async def failing() -> None:
        raise Refused

    @app.exception_handler(Refused)
    async def answer(request: Any, error: Refused) -> PlainTextResponse:
        return PlainTextResponse("refused", 403)

    if dispatches:
        app.middleware("http")(pass_on)
    app.include_router(router)
    return app


APPLICATIONS: dict[str, Callable[[], FastAPI]] = {
    "plain": application,
    "limited": lambda: application(is_limited=True),
    "middleware of its own": lambda: application(Middleware(OwnMiddleware)),
    "Starlette's middleware": lambda: application(Middleware(CORSMiddleware, allow_origins=["*"])),
    "function": lambda: application(dispatches=True),
}


def answers(app: FastAPI) -> list[Answer]:
    async def one(target: str) -> Answer:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        path, _, query = target.partition("?")
        names = {"path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": ""}
        await app({"type": "http", "method": "GET", "headers": [], **names}, receive, send)
        return sent[0]["status"], sent[0]["headers"], b"".join(each.get("body", b"") for each in sent[1:])

    async def all_of_them() -> list[Answer]:
        return [await one(path) for path in PATHS]

    return asyncio.run(all_of_them())


class Stopped:
    """Runs something in another thread before a line of those files that this thread comes to for the first time."""

    def __init__(self, before: int, work: Callable[[], Any]) -> None:
        self._before = before
        self._lines: set[tuple[Any, int]] = set()
        self._work = work
        self._thread = threading.Thread(target=self._run)
        self._found: Any = None

    def _run(self) -> None:
        try:
            self._found = self._work()
        except BaseException as error:
            self._found = error

    def _trace_line(self, frame: Any, event: str, argument: Any) -> Any:
        line = frame.f_code, frame.f_lineno
        if event == "line" and line not in self._lines:
            if len(self._lines) == self._before:
                self._thread.start()
                self._thread.join(WAITS)
            self._lines.add(line)
        return self._trace_line

    def _trace_call(self, frame: Any, event: str, argument: Any) -> Any:
        return self._trace_line if frame.f_code.co_filename.startswith(FILES) else None

    def run(self, work: Callable[[], Any]) -> tuple[Any, Any] | None:
        """Return what the work of both threads has returned, None if the first one came to fewer lines."""
        former = sys.gettrace()
        sys.settrace(self._trace_call)
        try:
            found = work()
        finally:
            sys.settrace(former)
        if self._thread.ident is None:
            return None
        self._thread.join()
        return found, self._found


@pytest.mark.parametrize("kind", APPLICATIONS)
def test_thread_stopped_at_any_line_of_its_first_requests_answers_as_alone(kind: str) -> None:
    make = APPLICATIONS[kind]
    expected = answers(make())
    for before in count():
        serve = partial(answers, make())
        found = Stopped(before, serve).run(serve)
        if found is None:
            break
        assert found == (expected, expected), before
    assert before > 100
