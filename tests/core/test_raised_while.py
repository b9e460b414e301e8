"""An exception that is raised while another one is met says so in its chain, as under FastAPI.

Error trackers show the chain, and Starlette's middleware functions make a cause of it.
"""

import asyncio
import importlib
from typing import Any

import pytest
from pydantic import create_model

from .asgi import ask, http_scope

DETAILS: dict[str, dict[str, Any]] = {
    "model": {"detail": create_model("Empty")()},
    "nan": {"detail": float("nan")},
    "headers": {"headers": {"x": 1}},
}
VALUES = {"complex": 1j, "range": range(3), "view": memoryview(b"x"), "nested": [{"a": object()}]}


def chain(error: BaseException | None) -> Any:
    """The names of an exception's class, of its cause and of its context, down to the end."""
    if error is None:
        return None
    return type(error).__name__, str(error).split(" object")[0], chain(error.__cause__), chain(error.__context__)


def raised(framework: str, path: str, *, behind_middleware: bool) -> Any:
    api = importlib.import_module(framework)
    app = api.FastAPI()
    shown: list[Any] = []
    if behind_middleware:

        async def through(request: Any, call_next: Any) -> Any:
            try:
                return await call_next(request)
            except Exception as error:
                shown.append(chain(error))
                raise

        app.middleware("http")(through)

    async def refuse(name: str) -> Any:
        raise api.HTTPException(400, **DETAILS[name])

    async def give(name: str) -> Any:
        return VALUES[name]

    def give_in_thread(name: str) -> Any:
        return VALUES[name]

    app.get("/detail/{name}")(refuse)
    app.get("/value/{name}", response_model=None)(give)
    app.get("/value-of-a-thread/{name}", response_model=None)(give_in_thread)

    async def seen(scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        except Exception as error:
            shown.append(chain(error))

    asyncio.run(ask(seen, http_scope(path)))
    return shown


@pytest.mark.parametrize("behind_middleware", [False, True])
@pytest.mark.parametrize(
    "path",
    [
        *(f"/detail/{name}" for name in DETAILS),
        *(f"/{place}/{name}" for place in ("value", "value-of-a-thread") for name in VALUES),
    ],
)
def test_exception_has_the_chain_of_fastapis(path: str, behind_middleware: bool) -> None:
    expected = raised("fastapi", path, behind_middleware=behind_middleware)
    assert any(expected[-1][2:])
    assert raised("ferroapi", path, behind_middleware=behind_middleware) == expected


@pytest.mark.parametrize("failing", ["start", "body"])
@pytest.mark.parametrize("path", ["/missing", "/detail/plain"])
@pytest.mark.parametrize("handled", [None, 404, "HTTPException", OSError])
@pytest.mark.parametrize("status", [None, 404, 418])
def test_failure_of_sending_an_error_is_met_as_by_fastapi(status: Any, handled: Any, path: str, failing: str) -> None:
    def met(framework: str) -> Any:
        api = importlib.import_module(framework)
        app, called = api.FastAPI(), []

        async def refuse() -> Any:
            raise api.HTTPException(400)

        async def handle(request: Any, error: Exception) -> Any:
            called.append(type(error).__name__)
            return api.Response(status_code=499)

        app.get("/detail/plain")(refuse)
        if handled is not None:
            app.add_exception_handler(api.HTTPException if handled == "HTTPException" else handled, handle)
        failure = OSError("gone") if status is None else api.HTTPException(status)

        async def send(message: Any) -> None:
            if message["type"].endswith(failing):
                raise failure

        async def receive() -> Any:
            return {"type": "http.request"}

        async def serve() -> list[Any]:
            found = []
            for _ in range(2):
                try:
                    await app(http_scope(path), receive, send)
                except Exception as error:
                    found.append((type(error).__name__, str(error)))
            return found

        return asyncio.run(serve()), called

    assert met("ferroapi") == met("fastapi")
