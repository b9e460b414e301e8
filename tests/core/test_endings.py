"""How async generators of dependencies end, with and without a cancel scope around the request, beside FastAPI's.

Where no scope is around it the engine enters none, so these run as under a server: each request in a task of its own.
"""

import asyncio
import contextvars
import importlib
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Annotated, Any

import anyio
import pytest

from ferroapi._engine.teardown import Unscoped, enter_scope
from ferroapi._wings import OFF

from .asgi import ask, http_scope

FRAMEWORKS = ("fastapi", "ferroapi")
VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")

Log = list[Any]
GENERATORS: dict[str, Callable[[Log, str], Any]] = {}


def generator(function: Callable[[Log, str], Any]) -> Callable[[Log, str], Any]:
    GENERATORS[function.__name__] = function
    return function


@generator
async def plain(log: Log, name: str) -> Any:
    yield
    log.append((name, "ends", VARIABLE.get()))


@generator
async def waits(log: Log, name: str) -> Any:
    try:
        yield
    except BaseException as error:
        log.append((name, "caught", type(error).__name__))
        raise
    finally:
        log.append((name, "starts to end"))
        try:
            await asyncio.sleep(0)
            await anyio.sleep(0.005)
        except BaseException as error:
            log.append((name, "caught at its end", type(error).__name__))
            raise
        log.append((name, "ends"))


@generator
async def uses_anyio(log: Log, name: str) -> Any:
    yield
    with anyio.move_on_after(0.001) as scope:
        await anyio.sleep_forever()
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 0)
    worked = await anyio.to_thread.run_sync(str, 1)
    log.append((name, scope.cancelled_caught, worked, anyio.get_current_task().has_pending_cancellation()))


@generator
async def holds_a_group(log: Log, name: str) -> Any:
    """The endpoint cancels it, so that the generator that was entered inside meets the cancellation at its end."""
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            yield group.cancel_scope.cancel
            log.append((name, "goes on"))
            await anyio.sleep(0)
            log.append((name, "is not reached"))
    except BaseException as error:
        log.append((name, "caught", type(error).__name__))
        raise
    log.append((name, "ends", group.cancel_scope.cancelled_caught))


@generator
async def leaks_a_scope(log: Log, name: str) -> Any:
    anyio.CancelScope().__enter__()
    yield
    log.append((name, "ends"))


@generator
async def leaves_what_it_entered(log: Log, name: str) -> Any:
    with anyio.CancelScope() as scope:
        yield
    log.append((name, scope.cancel_called))


@generator
async def yields_again(log: Log, name: str) -> Any:
    yield
    log.append((name, "yields again"))
    yield


@generator
async def raises(log: Log, name: str) -> Any:
    yield
    log.append((name, "raises"))
    raise LookupError(name)


@generator
async def raises_a_stop(log: Log, name: str) -> Any:
    yield
    raise StopAsyncIteration(name)


@generator
async def swallows(log: Log, name: str) -> Any:
    try:
        yield
    except Exception as error:
        log.append((name, "swallowed", type(error).__name__))


@generator
async def sets_a_variable(log: Log, name: str) -> Any:
    token = VARIABLE.set(name)
    yield
    VARIABLE.reset(token)
    log.append((name, "ends"))


def application(framework: str, log: Log, names: tuple[str, str], scope: str, *, fails: bool) -> Any:
    """An endpoint under two async generators, of which the first is entered first, and ends last."""
    fastapi = importlib.import_module(framework)
    app = fastapi.FastAPI(openapi_url=None)
    first, second = (partial(GENERATORS[name], log, place) for name, place in zip(names, PLACES, strict=True))

    async def below(value: Annotated[Any, fastapi.Depends(first)]) -> Any:
        return value

    async def endpoint(
        outer: Annotated[Any, fastapi.Depends(below)], inner: Annotated[Any, fastapi.Depends(second, scope=scope)]
    ) -> str:
        log.append("endpoint")
        for value in (outer, inner):
            if value is not None:
                value()
        if fails:
            raise KeyError("endpoint")
        return "answer"

    app.add_api_route("/", endpoint)
    return app


PLACES = ("first", "second")
ENDINGS = [
    *((each, "plain") for each in GENERATORS),
    *(("plain", each) for each in GENERATORS),
    ("waits", "waits"),
    ("holds_a_group", "waits"),
    ("leaves_what_it_entered", "waits"),
    ("waits", "swallows"),
    ("swallows", "raises"),
    ("holds_a_group", "raises"),
    ("leaks_a_scope", "leaks_a_scope"),
]


async def served(framework: str, names: tuple[str, str], scope: str, run: Callable[..., Any], *, fails: bool) -> Any:
    """What was logged of one request, behind one that the application judges its middleware by."""
    log: Log = []
    app = application(framework, log, names, scope, fails=fails)
    await ask(app, http_scope("/nowhere", "TRACE"))
    answer = await asyncio.create_task(run(app, log))
    return log, answer


async def as_it_is(app: Any, log: Log) -> Any:
    answer = await ask(app, http_scope("/"))
    return answer.status, answer.body, answer.raised


async def in_a_scope(app: Any, log: Log) -> Any:
    answer = None
    try:
        with anyio.CancelScope():
            answer = await as_it_is(app, log)
    except RuntimeError as error:  # of the scope, inside which another was leaked
        return answer, str(error)
    return answer


@pytest.mark.parametrize("run", [as_it_is, in_a_scope])
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("scope", ["function", "request"])
@pytest.mark.parametrize("names", ENDINGS, ids="-".join)
def test_generators_end_as_under_fastapi(names: tuple[str, str], scope: str, fails: bool, run: Any) -> None:
    seen = [asyncio.run(served(framework, names, scope, run, fails=fails)) for framework in FRAMEWORKS]
    assert seen[1] == seen[0]


async def at_the_end(log: Log, cancel: Callable[[], Any]) -> None:
    """Cancel while the first of the generators ends."""
    while not any(each[1:] == ("starts to end",) for each in log):
        await asyncio.sleep(0)
    cancel()


async def cancelled_while_it_ends(app: Any, log: Log) -> Any:
    """As a server does it, which knows nothing of AnyIO."""
    task = asyncio.create_task(as_it_is(app, log))
    await at_the_end(log, task.cancel)
    return await asyncio.gather(task, return_exceptions=True)


async def scope_cancelled_while_it_ends(app: Any, log: Log) -> Any:
    """As a task group around the request does it, from which the end is shielded."""
    with anyio.CancelScope() as scope:
        canceller = asyncio.create_task(at_the_end(log, scope.cancel))
        await as_it_is(app, log)
    await canceller
    return scope.cancelled_caught


@pytest.mark.parametrize("run", [cancelled_while_it_ends, scope_cancelled_while_it_ends])
@pytest.mark.parametrize("names", [("waits", "plain"), ("plain", "waits"), ("waits", "waits")], ids="-".join)
@pytest.mark.parametrize("scope", ["function", "request"])
def test_generators_are_cancelled_as_under_fastapi(names: tuple[str, str], scope: str, run: Any) -> None:
    seen = [asyncio.run(served(framework, names, scope, run, fails=False)) for framework in FRAMEWORKS]
    assert [repr(each) for each in seen[1]] == [repr(each) for each in seen[0]]


def test_scope_around_a_middleware_function_shields_the_end_as_under_fastapi() -> None:
    """What is below gets a scope only when it has to wait, which may be after the generator was entered."""

    async def main(framework: str) -> Log:
        log: Log = []
        app = application(framework, log, ("waits", "waits"), "request", fails=False)

        @app.middleware("http")  # type: ignore[untyped-decorator]
        async def between(request: Any, call_next: Any) -> Any:
            return await call_next(request)

        await ask(app, http_scope("/nowhere", "TRACE"))
        log.append(await scope_cancelled_while_it_ends(app, log))
        return log

    logs = [asyncio.run(main(framework)) for framework in FRAMEWORKS]
    assert logs[1] == logs[0]


def leave(scope: Any) -> type[Any]:
    scope.__exit__(None, None, None)
    return type(scope)


@pytest.mark.skipif(version("anyio") < "4.15", reason="a scope is always entered where AnyIO keeps them otherwise")
@pytest.mark.skipif("middleware" in OFF, reason="AnyIO's scopes are not looked at: one is entered each time")
def test_scope_is_entered_only_where_one_could_be_cancelled() -> None:
    async def main() -> list[bool]:
        found = [leave(enter_scope()) is Unscoped]
        with anyio.CancelScope():
            found.append(leave(enter_scope()) is Unscoped)
        return [*found, leave(enter_scope()) is Unscoped]

    assert asyncio.run(main()) == [True, False, True]


def test_scope_is_entered_under_another_event_loop() -> None:
    async def main() -> bool:
        return leave(enter_scope()) is Unscoped

    assert not anyio.run(main, backend="trio")


def test_end_in_another_task_is_refused_as_by_anyio() -> None:
    async def main() -> str:
        scope = enter_scope()

        async def leave() -> None:
            scope.__exit__(None, None, None)

        with pytest.raises(RuntimeError) as refused:
            await asyncio.create_task(leave())
        return str(refused.value)

    async def reference() -> str:
        scope = anyio.CancelScope().__enter__()

        async def leave() -> None:
            scope.__exit__(None, None, None)

        with pytest.raises(RuntimeError) as refused:
            await asyncio.create_task(leave())
        return str(refused.value)

    assert asyncio.run(main()) == asyncio.run(reference())
