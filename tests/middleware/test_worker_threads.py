"""What is no `Exception`, raised in a worker thread: it meets the same code as under FastAPI, and the loop ends so."""

import asyncio
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from failures import add_functions, uncollected

PLACES = ("before yield", "dependency", "endpoint", "after yield", "background")
FAILURES: dict[str, Callable[[], BaseException]] = {
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": lambda: KeyboardInterrupt("stop"),
    "GeneratorExit": lambda: GeneratorExit("left"),
    "CancelledError": lambda: asyncio.CancelledError("cancelled"),
    "StopIteration": lambda: StopIteration("stopped"),
    "StopAsyncIteration": lambda: StopAsyncIteration("stopped"),
    "BaseExceptionGroup": lambda: BaseExceptionGroup("several", [GeneratorExit("left"), ValueError("wrong")]),
}


def _application(framework: str, fails: dict[str, Callable[[], BaseException]], seen: list[Any], layers: int) -> Any:
    """An application whose code, all of it in worker threads, fails at a place."""
    fastapi = importlib.import_module(framework)
    app = fastapi.FastAPI()

    add_functions(app, seen, layers)

    @app.exception_handler(RuntimeError)
    def handle(request: Any, error: Exception) -> Any:
        seen.append(("handler", repr(error), repr(error.__cause__)))
        return fastapi.responses.PlainTextResponse("handled", 500)

    def meet(place: str) -> None:
        seen.append(place)
        if place in fails:
            raise fails[place]()

    def opened() -> Iterator[None]:
        meet("before yield")
        try:
            yield
        except GeneratorExit:
            # It may be one that is collected.
            raise
        except BaseException as error:
            seen.append(("opened", repr(error)))
            raise
        meet("after yield")

    def dependency() -> None:
        meet("dependency")

    @app.get("/", dependencies=[fastapi.Depends(opened), fastapi.Depends(dependency)])
    def endpoint(tasks: fastapi.BackgroundTasks) -> None:  # type: ignore[name-defined]
        tasks.add_task(meet, "background")
        meet("endpoint")

    return app


def _asked(framework: str, place: str, failure: str, layers: int, is_warm: bool) -> list[Any]:
    """Return what is seen of a request that fails at a place, and of a loop that is resumed when it was ended."""
    fails: dict[str, Callable[[], BaseException]] = {}
    seen: list[Any] = []
    app = _application(framework, fails, seen, layers)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        seen.append((message["type"], message.get("status"), message.get("body")))

    async def ask() -> None:
        await app({"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}, receive, send)

    async def serve() -> None:
        for _ in range(4 if is_warm else 0):
            # There is a thread then, and calls in it are known to be short.
            await ask()
        seen.clear()
        fails[place] = FAILURES[failure]
        request = asyncio.create_task(ask())
        await asyncio.wait({request}, timeout=5)
        seen.append(("request", "cancelled" if request.cancelled() else repr(request.exception())))

    with uncollected():
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda *_: None)
        server = loop.create_task(serve())
        while not server.done():
            try:
                loop.run_until_complete(server)
            except (SystemExit, KeyboardInterrupt) as raised:
                seen.append(("loop", repr(raised)))
        # A generator that runs a coroutine which was dropped cannot be closed.
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        server.result()
    return seen


@pytest.mark.parametrize("is_warm", [False, True], ids=["first request", "later request"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("failure", "layers"),
    [(failure, layers) for failure in FAILURES for layers in (0, 1, 2) if failure != "GeneratorExit" or layers == 0],
)
def test_what_is_raised_in_a_thread_is_met_as_under_fastapi(
    failure: str, layers: int, place: str, is_warm: bool
) -> None:
    ours, theirs = (_asked(framework, place, failure, layers, is_warm) for framework in ("ferroapi", "fastapi"))
    assert ours == theirs
    assert place in theirs


@pytest.mark.parametrize("is_warm", [False, True], ids=["first request", "later request"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("place", PLACES)
def test_generator_exit_leaves_no_cancel_scope_open_behind_middleware(place: str, layers: int, is_warm: bool) -> None:
    """FastAPI's middleware function fails by a scope that the generator's end left open: `docs/differences.md`.

    From Python 3.14 on AnyIO does not name the scope.
    """
    seen, theirs = (_asked(framework, place, "GeneratorExit", layers, is_warm) for framework in ("ferroapi", "fastapi"))
    assert sys.version_info >= (3, 14) or "cancel scope" in str(theirs)
    kind, raised = seen[-1]
    assert kind == "request"
    assert "GeneratorExit" in raised or "response already started" in raised
    assert "cancel scope" not in str(seen)
