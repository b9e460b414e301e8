"""One application used by several threads at once: first requests, registration, the document, the middleware stack.

Servers use one thread a process; test suites and free-threaded Python do not. Each thread has its own event loop.
"""

import asyncio
import json
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from ferroapi import APIRouter, Depends, FastAPI, HTTPException, Query
from ferroapi._compat import ModelField
from ferroapi.exceptions import RequestValidationError
from ferroapi.responses import JSONResponse

THREADS = 8


@pytest.fixture(autouse=True)
def _switch_often() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Run the functions in threads that start together, and return their results."""
    barrier = threading.Barrier(len(works))
    results: list[Any] = [None] * len(works)

    def run(index: int) -> None:
        barrier.wait()
        try:
            results[index] = works[index]()
        except BaseException as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def ask(app: FastAPI, *paths: str) -> list[tuple[int, bytes]]:
    """Return status and body of a request for each path, made in an event loop of this thread."""

    async def one(path: str) -> tuple[int, bytes]:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [],
            "root_path": "",
        }
        await app(scope, receive, send)
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])

    async def all_of_them() -> list[tuple[int, bytes]]:
        return [await one(path) for path in paths]

    return asyncio.run(all_of_them())


class Item(BaseModel):
    name: str
    sizes: list[int] = []


def common(q: Annotated[int, Query(ge=1)] = 1) -> int:
    return q


def application(routes: int = 20) -> FastAPI:
    app = FastAPI()
    inner = APIRouter(prefix="/inner")
    for router in (app.router, inner):
        for number in range(routes):

            async def endpoint(number: int, value: Annotated[int, Depends(common)]) -> Item:
                return Item(name=str(number), sizes=[value])

            router.add_api_route(f"/{number}/{{number}}", endpoint)
    app.include_router(inner, prefix="/outer")
    return app


PATHS = [f"{prefix}/{number}/7?q={q}" for prefix in ("", "/outer/inner") for number in range(20) for q in (2, 0)]


def test_first_requests_in_all_threads_have_the_same_answers() -> None:
    expected = ask(application(), *PATHS)
    assert {status for status, _ in expected} == {200, 422}
    for _ in range(3):
        app = application()
        assert at_once(*[lambda app=app: ask(app, *PATHS)] * THREADS) == [expected] * THREADS  # type: ignore[misc]


def test_document_is_the_same_in_all_threads_while_requests_are_served() -> None:
    expected = json.dumps(application().openapi())
    for _ in range(3):
        app = application()
        document: Callable[[], Any] = lambda app=app: json.dumps(app.openapi())  # type: ignore[misc] # noqa: E731
        requests: Callable[[], Any] = lambda app=app: ask(app, *PATHS)  # type: ignore[misc] # noqa: E731
        results = at_once(*[document, requests] * (THREADS // 2))
        assert results[::2] == [expected] * (THREADS // 2)


def test_routes_added_while_requests_are_served_are_found_at_once() -> None:
    app = application(1)
    late = APIRouter()
    app.include_router(late, prefix="/late")

    def declare(thread: int) -> None:
        for number in range(20):
            for router, prefix in ((app.router, ""), (late, "/late")):
                path = f"/{thread}-{number}"
                router.add_api_route(path, lambda path=path: path)
                assert ask(app, prefix + path) == [(200, json.dumps(path).encode())]

    at_once(*[lambda thread=thread: declare(thread) for thread in range(4)])  # type: ignore[misc]
    assert len(app.openapi()["paths"]) == 2 + 2 * 4 * 20


def test_no_request_passes_a_middleware_that_was_added_before_it() -> None:
    class Refuse:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await JSONResponse(None, status_code=403)(scope, receive, send)

    for _ in range(20):
        app = application(1)
        assert ask(app, "/0/7")[0][0] == 200
        app.middleware_stack = Refuse(app.build_middleware_stack())
        statuses = at_once(*[lambda app=app: ask(app, *["/0/7"] * 5)] * THREADS)  # type: ignore[misc]
        assert {status for answers in statuses for status, _ in answers} == {403}


def test_exception_handlers_answer_in_all_threads_from_the_first_request() -> None:
    for _ in range(10):
        app = application(1)

        @app.get("/refused")
        async def refused() -> None:
            raise HTTPException(418)

        @app.exception_handler(418)
        async def teapot(request: Any, error: Any) -> JSONResponse:
            return JSONResponse("teapot", status_code=418)

        @app.exception_handler(RequestValidationError)
        async def invalid(request: Any, error: Any) -> JSONResponse:
            return JSONResponse("invalid", status_code=400)

        answers = at_once(*[lambda app=app: ask(app, "/refused", "/0/x")] * THREADS)  # type: ignore[misc]
        assert answers == [[(418, b'"teapot"'), (400, b'"invalid"')]] * THREADS


def test_fields_made_at_once_keep_pydantics_warning_to_themselves() -> None:
    def make() -> None:
        for _ in range(100):
            info = Query(alias="q", ge=1)
            info.annotation = int
            field = ModelField(info, name="value")
            assert field.validate("2", {}, loc=("query", "q")) == (2, [])

    filters = list(warnings.filters)
    at_once(*[make] * THREADS)
    assert warnings.filters == filters
