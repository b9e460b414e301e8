"""`TestClient` beside Starlette's: what endpoints see, what callers get, and what is left running."""

import asyncio
import contextvars
import threading
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import pytest
import starlette.testclient
from hypothesis import given
from hypothesis import strategies as st

from ferroapi import BackgroundTasks, FastAPI, Request, Response
from ferroapi.responses import JSONResponse, RedirectResponse, StreamingResponse
from ferroapi.testclient import TestClient

CLIENTS = {"starlette": starlette.testclient.TestClient, "ours": TestClient}
variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


class Recorded(FastAPI):
    """An application whose endpoints note what they find in `seen`."""

    def __init__(self) -> None:
        super().__init__(lifespan=_lifespan)
        self.seen: list[object] = []
        self.loops: list[object] = []
        self.threads: list[object] = []
        self.local = threading.local()
        self.generators: list[object] = []
        for name, endpoint in ENDPOINTS.items():
            self.add_api_route(f"/{name}", endpoint, methods=["GET", "POST", "HEAD"])


@asynccontextmanager
async def _lifespan(app: Any) -> Any:
    app.seen.append("started")
    app.loops.append(asyncio.get_running_loop())
    app.threads.append(threading.current_thread())
    yield {"opened": ["by lifespan"]}
    app.seen.append("stopped")


async def loop(request: Request) -> dict[str, Any]:
    app, running = request.app, asyncio.get_running_loop()
    known = [other is running for other in app.loops]
    app.loops.append(running)
    return {"known": known, "set": [running.get_exception_handler(), running.get_debug(), running.get_task_factory()]}


async def changed_loop(request: Request) -> dict[str, Any]:
    running = asyncio.get_running_loop()
    before = [running.get_debug(), running.get_exception_handler() is None, hasattr(running, "mark")]
    running.set_exception_handler(lambda loop, context: None)
    running.mark = True  # type: ignore[attr-defined]
    return {"before": before}


async def thread(request: Request) -> dict[str, Any]:
    app, current = request.app, threading.current_thread()
    known = [other is current for other in app.threads]
    app.threads.append(current)
    main = current is threading.main_thread()
    return {"known": known, "main": main, "daemon": current.daemon, "name": current.name.rpartition("-")[0]}


async def local(request: Request) -> dict[str, Any]:
    found = getattr(request.app.local, "value", None)
    request.app.local.value = "set"
    return {"found": found}


async def context(request: Request) -> dict[str, Any]:
    found = variable.get()
    variable.set("by the endpoint")
    return {"found": found}


async def quick_task(request: Request, turns: int = 0) -> dict[str, Any]:
    async def work() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        request.app.seen.append("worked")

    request.app.task = asyncio.create_task(work())
    request.app.seen.append("returned")
    return {}


async def long_task(request: Request) -> dict[str, Any]:
    seen = request.app.seen

    async def work() -> None:
        try:
            await asyncio.sleep(30)
            seen.append("slept")
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    request.app.task = asyncio.create_task(work())
    return {}


async def callback(request: Request) -> dict[str, Any]:
    asyncio.get_running_loop().call_soon(request.app.seen.append, "called")
    return {}


async def background(request: Request, tasks: BackgroundTasks) -> dict[str, Any]:
    async def work() -> None:
        await asyncio.sleep(0.001)
        request.app.seen.append("in the background")

    tasks.add_task(work)
    await quick_task(request)
    return {}


async def generator(request: Request) -> dict[str, Any]:
    async def items() -> Any:
        try:
            yield 1
        finally:
            request.app.seen.append("generator closed")

    opened = items()
    await anext(opened)
    request.app.generators.append(opened)
    return {}


async def executor(request: Request) -> dict[str, Any]:
    def work() -> None:
        threading.Event().wait(0.01)
        request.app.seen.append("thread done")

    asyncio.get_running_loop().run_in_executor(None, work)
    return {}


def sync(request: Request) -> dict[str, Any]:
    return {"main": threading.current_thread() is threading.main_thread(), "context": variable.get()}


async def failing() -> None:
    raise ValueError("before the response")


async def failing_later(tasks: BackgroundTasks) -> Response:
    async def work() -> None:
        raise ValueError("after the response")

    tasks.add_task(work)
    response = JSONResponse({"sent": True}, background=tasks)
    response.set_cookie("later", "1")
    return response


async def cancelling() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(1)


async def waiting(request: Request, tasks: BackgroundTasks) -> dict[str, Any]:
    async def work() -> None:
        await request.receive()
        request.app.seen.append((await request.receive())["type"])

    tasks.add_task(work)
    return {}


async def streamed(request: Request) -> Response:
    async def body() -> Any:
        for index in range(5):
            yield f"{index},"
        request.app.seen.append("streamed")

    return StreamingResponse(body(), media_type="text/plain")


async def echo(request: Request) -> dict[str, Any]:
    body = await request.body()
    state = request.scope["state"]
    return {"body": body.decode(), "cookies": request.cookies, "state": {name: str(state[name]) for name in state}}


async def cookie(response: Response) -> dict[str, Any]:
    response.set_cookie("given", "x")
    return {}


async def redirect() -> Response:
    return RedirectResponse("/echo", status_code=307)


async def failing_redirect(tasks: BackgroundTasks) -> Response:
    async def work() -> None:
        raise ValueError("after the redirect")

    tasks.add_task(work)
    return RedirectResponse("/echo", background=tasks)


async def scope(request: Request) -> dict[str, Any]:
    names = (
        "type http_version method path raw_path root_path scheme query_string headers client server extensions state"
    )
    return {name: str(request.scope[name]) for name in names.split()}


ENDPOINTS = {
    function.__name__: function
    for function in (
        loop, changed_loop, thread, local, context, quick_task, long_task, callback, background, generator, executor,
        sync, failing, failing_later, cancelling, waiting, streamed, echo, cookie, redirect,
        failing_redirect, scope,
    )
}  # fmt: skip


def _answer(client: Any, name: str, index: int, options: dict[str, Any]) -> object:
    variable.set(f"caller {index}")
    method = "POST" if name in ("echo", "redirect") else options.get("method", "GET")
    try:
        response = client.request(method, f"/{name}?turns={index % 4}", content=b"sent" if method == "POST" else None)
    except BaseException as exception:
        return type(exception).__name__, type(exception).__module__, str(exception), variable.get()
    history = [(earlier.status_code, str(earlier.url)) for earlier in response.history]
    return response.status_code, response.content, response.headers.raw, history, dict(client.cookies), variable.get()


def _observe(kind: str, names: list[str], options: dict[str, Any]) -> object:
    app = Recorded()
    client = CLIENTS[kind](app, raise_server_exceptions=options["raises"], root_path=options["root_path"])
    answers: list[object] = []

    def use() -> None:
        with ExitStack() as stack:
            if options["entered"]:
                stack.enter_context(client)
            for index, name in enumerate(names):
                answers.append(_answer(client, name, index, options))
                # What ends later than the answer is not compared here, but at the end.
                if not options["entered"]:
                    answers.append(list(app.seen))

    if options["where"] == "thread":
        other = threading.Thread(target=use)
        other.start()
        other.join()
    elif options["where"] == "loop":

        async def main() -> None:
            use()

        asyncio.run(main())
    else:
        contextvars.copy_context().run(use)
    app.seen.append(sorted(client.cookies))
    # When a thread ends is not told by the order of requests in one loop.
    is_ordered = not (options["entered"] and "executor" in names)
    return answers, app.seen if is_ordered else sorted(map(str, app.seen))


OPTIONS = st.fixed_dictionaries(
    {
        "entered": st.booleans(),
        "raises": st.booleans(),
        "root_path": st.sampled_from(["", "/mounted"]),
        "where": st.sampled_from(["main", "thread", "loop"]),
        "method": st.sampled_from(["GET", "GET", "HEAD"]),
    }
)


@given(names=st.lists(st.sampled_from(sorted(ENDPOINTS)), min_size=1, max_size=5), options=OPTIONS)
def test_client_drawn_requests_see_and_answer_what_they_do_there(names: list[str], options: dict[str, Any]) -> None:
    assert _observe("ours", names, options) == _observe("starlette", names, options)


@pytest.mark.parametrize("entered", [False, True])
@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("name", ENDPOINTS)
def test_client_endpoint_sees_and_answers_what_it_does_there(name: str, entered: bool, raises: bool) -> None:
    options = {"entered": entered, "raises": raises, "root_path": "", "where": "main"}

    assert _observe("ours", [name, "echo", name], options) == _observe("starlette", [name, "echo", name], options)
