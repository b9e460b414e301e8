"""The exit stacks that a request's scope has are entered by applications: who sees which exception, and in which order.

What stands in `fastapi_middleware_astack` is left outside of the route's exception handlers, inside the application's.
"""

import importlib
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import product
from typing import Any

import pytest
from starlette.testclient import TestClient

FRAMEWORKS = ("fastapi", "ferroapi")
STACKS = ("fastapi_middleware_astack", "fastapi_inner_astack", "fastapi_function_astack")
FAILURES = (None, "http", "handled", "handler fails", "unhandled")
EXITS = ("passes", "suppresses", "replaces", "answers")


class Handled(Exception):
    pass


class OfAnExit(Exception):
    pass


def _failure(f: Any, kind: str) -> Exception:
    if kind == "http":
        error: Exception = f.HTTPException(404)
        return error
    return ValueError("unhandled") if kind == "unhandled" else Handled(kind)


def _application(
    framework: str, stack: str, failure: str | None, exit_: str, place: str, middleware: bool
) -> tuple[Any, list[str]]:
    f: Any = importlib.import_module(framework)
    app: Any = f.FastAPI()
    log: list[str] = []

    @asynccontextmanager
    async def entered(name: str) -> AsyncIterator[None]:
        try:
            yield
        except Exception as error:
            log.append(f"{name} sees {type(error).__name__}")
            if exit_ == "replaces":
                raise OfAnExit(name) from None
            if exit_ == "answers":
                raise f.HTTPException(418) from error
            if exit_ != "suppresses":
                raise
        else:
            log.append(f"{name} ends")

    if middleware:

        async def passes_on(request: Any, call_next: Callable[[Any], Any]) -> Any:
            return await call_next(request)

        app.middleware("http")(passes_on)

    async def handle(_: Any, error: Handled) -> Any:
        log.append("handler")
        if str(error) == "handler fails":
            raise OfAnExit("handler")
        return f.responses.JSONResponse("handled", 409)

    async def handle_other(_: Any, error: OfAnExit) -> Any:
        log.append("other handler")
        return f.responses.JSONResponse(f"of {error}", 410)

    app.add_exception_handler(Handled, handle)
    app.add_exception_handler(OfAnExit, handle_other)

    def fail_in(here: str) -> None:
        log.append(here)
        if failure is not None and place == here:
            raise _failure(f, failure)

    async def dependency() -> AsyncIterator[None]:
        yield
        fail_in("dependency's end")

    async def endpoint(request: Any, tasks: Any) -> str:
        for name in ("first", "second"):
            await request.scope[stack].enter_async_context(entered(name))
        tasks.add_task(fail_in, "background")
        fail_in("endpoint")
        return "answered"

    endpoint.__annotations__ = {"request": f.Request, "tasks": f.BackgroundTasks}
    app.get("/", dependencies=[f.Depends(dependency)])(endpoint)
    return app, log


def _outcome(*case: Any) -> list[Any]:
    app, log = _application(*case)
    found = []
    # The middleware is built by the lifespan: the first request is as native as the next.
    with TestClient(app) as client:
        for _ in range(2):
            log.clear()
            try:
                response = client.get("/")
                answer = f"{response.status_code} {response.text}"
            except Exception as error:
                answer = f"{type(error).__name__}: {error} after {type(error.__context__).__name__}"
            found.append((answer, log.copy()))
    return found


@pytest.mark.parametrize("middleware", [False, True], ids=["bare", "behind middleware"])
@pytest.mark.parametrize("stack", STACKS)
def test_what_enters_an_exit_stack_is_left_as_under_fastapi(stack: str, middleware: bool) -> None:
    for failure, exit_, place in product(FAILURES, EXITS, ("endpoint", "dependency's end", "background")):
        fastapi, ferroapi = (_outcome(name, stack, failure, exit_, place, middleware) for name in FRAMEWORKS)
        assert ferroapi == fastapi, (failure, exit_, place)


OPAQUE = """
import contextlib

Stack = contextlib.AsyncExitStack


class OpaqueStack:
    left = 0

    def __init__(self):
        stack = Stack()
        self.push_async_callback, self._leave = stack.push_async_callback, stack.__aexit__

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exception):
        type(self).left += 1
        return await self._leave(*exception)


contextlib.AsyncExitStack = OpaqueStack
import ferroapi
from ferroapi.testclient import TestClient

app = ferroapi.FastAPI()
log = []


async def leave():
    log.append("left")


@app.get("/")
async def root(request: ferroapi.Request):
    request.scope["fastapi_inner_astack"].push_async_callback(leave)


with TestClient(app) as client:
    OpaqueStack.left = 0
    print(client.get("/").text, log, OpaqueStack.left)
"""


def test_stack_whose_content_is_not_seen_is_left() -> None:
    """Exit stacks of a Python that keeps what was entered under another name: all three are left."""
    done = subprocess.run([sys.executable, "-c", OPAQUE], capture_output=True, text=True, check=False)
    assert done.stdout == f"null ['left'] {len(STACKS)}\n", done.stderr
